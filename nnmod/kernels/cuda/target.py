"""The one import point for Numba's CUDA target, and how a Python function becomes PTX.

The target is the package numba-cuda; the older one inside Numba is not used, since it knows no
recent GPU.  Compiling to PTX needs neither a driver nor a GPU.
"""
import contextlib
import functools
import importlib.metadata
import importlib.util
import pathlib
import threading
import warnings

INSTALL = "CUDA kernels need the package numba-cuda: pip install 'nnmod[cuda]'"

if importlib.util.find_spec("numba_cuda") is None:
    raise ImportError(INSTALL)

from numba import cuda as cuda
from numba.cuda import dispatcher as _dispatcher
from numba.cuda.core.errors import NumbaDebugInfoWarning
from numba.cuda.typing.typeof import typeof as _typeof

from ..cpu.compile import fingerprint
from .emulator.cache import cached, digest

#: What kernels are compiled for where there is no GPU to ask.
COMPUTE_CAPABILITY = (9, 0)

_lock = threading.RLock()


def type_of(value):
    """Numba's type of a kernel argument.

    Read-only arrays count as writable, so that one kernel serves both; the emulator finds a write.
    """
    kind = _typeof(value)
    return kind.copy(readonly=False) if getattr(kind, "mutable", True) is False and hasattr(kind, "ndim") else kind


def ptx(function, types, compute_capability=COMPUTE_CAPABILITY, fastmath=False, launch_bounds=None):
    """The PTX of a Python function for arguments of Numba's *types*, with line numbers.

    It is kept on disk by the digest of the function, of what it calls and of this package.
    A function that does not compile raises Numba's error, which names its line; a note names the kernel.
    """
    def build():
        with named(function), _lock, _without_device(compute_capability), warnings.catch_warnings():
            warnings.simplefilter("ignore", NumbaDebugInfoWarning)  # a function without a source file
            text, _ = cuda.compile(function, tuple(types), cc=compute_capability, device=False, abi="numba",
                                   output="ptx", lineinfo=True, fastmath=fastmath, launch_bounds=launch_bounds)
        return text.encode()

    print_of = fingerprint(function)
    if print_of is None:
        return build().decode()
    where = function.__code__.co_filename, function.__code__.co_firstlineno
    key = digest("ptx", print_of, where, tuple(map(str, types)), compute_capability, fastmath, launch_bounds,
                 _versions(), _sources())
    return cached(key, "ptx", build).decode()


@contextlib.contextmanager
def named(function):
    """What is raised within gets a note that says which kernel it was, and where that begins."""
    try:
        yield
    except Exception as error:
        code = function.__code__
        error.add_note(f"in kernel {function.__name__}, {code.co_filename}:{code.co_firstlineno}")
        raise


class _NoDevice:
    """What Numba asks for a compute capability when it compiles a function for the GPU."""

    def __init__(self, compute_capability):
        self.compute_capability = compute_capability


@contextlib.contextmanager
def _without_device(compute_capability):
    """Let Numba compile functions that kernels call without asking a driver for its device."""
    asked = _dispatcher.get_current_device
    _dispatcher.get_current_device = lambda: _NoDevice(compute_capability)
    try:
        yield
    finally:
        _dispatcher.get_current_device = asked


@functools.cache
def _versions():
    names = {d.metadata["Name"] for d in importlib.metadata.distributions()}
    return tuple(f"{name} {importlib.metadata.version(name)}" for name in sorted(
        name for name in names if name and name.startswith(("numba", "nvidia-nvvm", "nvidia-cuda-nvrtc", "cuda-"))))


@functools.cache
def _sources():
    """A digest of the files that kernels may inline from."""
    here = pathlib.Path(__file__).parent
    files = sorted([*here.glob("*.py"), here.parent / "formulas.py", here.parent / "optim_formulas.py"])
    return digest(*(file.read_text() for file in files if file.stem not in _HOST_ONLY))


#: Files of this folder with no function that a kernel could call.
_HOST_ONLY = {"__init__", "allocator", "array", "dlpack", "engine", "launch", "vendor", "cublas", "cudnn"}
