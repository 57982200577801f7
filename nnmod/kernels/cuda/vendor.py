"""NVIDIA's libraries, where they are installed and asked for: cuBLAS for matrix products, cuDNN for convolutions.

``nnmod.kernels.setcudalibraries("cublas", "cudnn")``, or ``NNMOD_CUBLAS=1`` and ``NNMOD_CUDNN=1`` in
the environment, give them their part of the work on the GPU; without either, nnmod's own kernels
compute everything.

Both were written beside their documentation and are tested with stand-ins that compute what they
promise: **they have never run on a GPU**.
"""
import ctypes
import os
import threading

_UNKNOWN = object()
_lock = threading.RLock()
_chosen = {}  # name -> its Library, or None, once it is known


class Library:
    """A loaded library of NVIDIA's, with the handle that each of its functions takes.

    The handle is made when it is first needed and kept: it owns memory of the GPU.

    name             as it is asked for
    create, stream   the functions that make a handle, and that set its stream
    """

    name = create = stream = ""

    def __init__(self, library):
        self._handle, self._library = None, library
        self._lock = threading.Lock()
        pointer = ctypes.c_void_p
        self.declare(self.create, ctypes.POINTER(pointer))
        self.declare(self.stream, pointer, pointer)

    def declare(self, name, *kinds):
        """The function *name*, with its arguments' types; it returns a status."""
        function = getattr(self._library, name)
        function.argtypes, function.restype = kinds, ctypes.c_int
        return function

    def ready(self):
        """The handle, on the GPU and the stream of this thread's work; the caller has the lock."""
        from .engine import engine

        device = engine()
        device.enter()
        if self._handle is None:
            handle = ctypes.c_void_p()
            status = getattr(self._library, self.create)(ctypes.byref(handle))
            if self.no_memory(status):
                device.release()
                status = getattr(self._library, self.create)(ctypes.byref(handle))
            self.check(self.create, status)
            self._handle = handle
        # The stream is the handle's, not the call's.
        self.check(self.stream, getattr(self._library, self.stream)(self._handle, int(device.stream)))
        return self._handle

    def no_memory(self, status):
        """Whether a status says that the device has no memory left."""
        raise NotImplementedError(f"{type(self).__name__} must define no_memory(status)")

    def describe(self, status):
        """The library's own name of a status."""
        raise NotImplementedError(f"{type(self).__name__} must define describe(status)")

    def check(self, function, status):
        """Raise RuntimeError, or MemoryError, where a function returned something other than success."""
        if self.no_memory(status):
            raise MemoryError(f"{function}: the CUDA device has no memory for {self.name}; use smaller batches, or "
                              "nnmod's own kernels")
        if status:
            raise RuntimeError(f"{function} failed with status {status} ({self.describe(status)})")


def kinds():
    """The classes of libraries, by name."""
    from .cublas import Cublas
    from .cudnn import Cudnn

    return {"cublas": Cublas, "cudnn": Cudnn}


def use(*wanted):
    """Let these libraries compute their part on the GPU, of ``"cublas"`` and ``"cudnn"``; those left out do not.

    A Library of a shared library that you loaded yourself is taken, too.  Raises ImportError where
    one is not installed, RuntimeError where there is no GPU for it (the emulator is none), and
    ValueError for another name; then nothing has changed.
    """
    found = {}
    for library in wanted:
        if not isinstance(library, Library):
            if not isinstance(library, str) or library not in kinds():
                raise ValueError(f"a library must be 'cublas' or 'cudnn', got {library!r}")
            library = _load(library)
        found[library.name] = library
    with _lock:
        _chosen.update({name: found.get(name) for name in kinds()})


def used():
    """The names of the libraries in use; an empty tuple where nnmod's own kernels compute everything."""
    return tuple(name for name in kinds() if library(name) is not None)


def library(name):
    """The Library *name*, or None where it is not used; what the environment asks for is loaded once."""
    found = _chosen.get(name, _UNKNOWN)
    if found is _UNKNOWN:
        with _lock:
            if name not in _chosen:
                variable = f"NNMOD_{name.upper()}"
                asked = os.environ.get(variable, "")
                if asked not in ("", "0", "1"):
                    raise ValueError(f"{variable} must be 0 or 1, got {asked!r}")
                _chosen[name] = _load(name) if asked == "1" else None
            found = _chosen[name]
    return found


def _load(name):
    """The library *name*, from its wheel, from conda or from the system."""
    from .engine import engine

    if engine().name == "emulator":
        raise RuntimeError(f"{name} runs on a GPU, and this process emulates one: leave out NNMOD_{name.upper()}=1 and "
                           f"setcudalibraries({name!r}), or NNMOD_CUDA=emulate")
    try:
        return kinds()[name](shared(name))
    except (ImportError, RuntimeError, OSError, AttributeError) as error:
        raise ImportError(
            f"{name} was asked for and cannot be loaded ({error}): pip install nvidia-{name} or nvidia-{name}-cu13 "
            f"(CUDA 13) or nvidia-{name}-cu12, or leave out NNMOD_{name.upper()}=1 and setcudalibraries({name!r}): "
            "nnmod's own kernels need no library") from error


def shared(name):
    """The loaded shared library *name*."""
    from cuda.pathfinder import load_nvidia_dynamic_lib  # it comes with numba-cuda

    return ctypes.CDLL(load_nvidia_dynamic_lib(name).abs_path)
