"""NVIDIA's cuBLAS for matrix products, where it is installed and asked for.

``nnmod.kernels.setcudalibrary("cublas")``, or ``NNMOD_CUBLAS=1`` in the environment, gives it the
products of matrices on the GPU; without either, nnmod's own kernels compute everything.  cuDNN is
not used.

It was written beside cuBLAS's documentation and is tested with a stand-in that computes what cuBLAS
promises: **it has never run on a GPU**.
"""
import ctypes
import os
import threading

import numpy as np

INSTALL = ("cuBLAS was asked for and cannot be loaded: pip install nvidia-cublas (CUDA 13) or nvidia-cublas-cu12, "
           "or leave out NNMOD_CUBLAS=1 and setcudalibrary('cublas'): nnmod's own kernels need no library")

#: What cuBLAS calls the codes that it returns.
STATUS = {
    1: "NOT_INITIALIZED", 3: "ALLOC_FAILED", 7: "INVALID_VALUE", 8: "ARCH_MISMATCH", 11: "MAPPING_ERROR",
    13: "EXECUTION_FAILED", 14: "INTERNAL_ERROR", 15: "NOT_SUPPORTED", 16: "LICENSE_ERROR",
}
_ALLOC_FAILED = 3
#: Whether an operand is taken as it lies or transposed: cublasOperation_t.
_AS_IT_IS, _TRANSPOSED = 0, 1
#: Sizes and steps of rows are 32-bit numbers.
_LARGEST = 2**31 - 1

_UNKNOWN = object()
_lock = threading.RLock()
_chosen = _UNKNOWN  # None or a Cublas, once it is known


def use(library):
    """Let *library* compute matrix products on the GPU: ``"cublas"``, or None for nnmod's own kernels.

    A :class:`Cublas` of a library that you loaded yourself is taken, too.
    Raises ImportError where it is not installed, RuntimeError where there is no GPU for it (the
    emulator is none), and ValueError for another name; then nothing has changed.
    """
    global _chosen
    if library is not None and library != "cublas" and not isinstance(library, Cublas):
        raise ValueError(f"the library must be 'cublas' or None, got {library!r}; cuDNN is not used")
    if library == "cublas":
        from .engine import engine

        if engine().name == "emulator":
            raise RuntimeError("cuBLAS runs on a GPU, and this process emulates one: leave out NNMOD_CUBLAS=1 and "
                               "setcudalibrary('cublas'), or NNMOD_CUDA=emulate")
        library = Cublas(_load())
    with _lock:
        _chosen = library


def used():
    """``"cublas"``, or None where nnmod's own kernels compute matrix products."""
    return None if _library() is None else "cublas"


def product(a, b, c, batches, M, N, K, alpha, beta, trans_a, trans_b):
    """c <- alpha op(a) op(b) + beta c by cuBLAS; False where nnmod's own kernels are to do it.

    a, b, c are dense, *batches* matrices one after the other in each.
    """
    library = _library()
    # cuBLAS may leave out what a factor of 0 multiplies, and NaN with it.
    if library is None or isinstance(c, np.ndarray) or not K or not alpha or max(M, N, K, batches) > _LARGEST:
        return False
    library.product(a, b, c, batches, M, N, K, alpha, beta, trans_a, trans_b)
    return True


def _library():
    """The Cublas in use, or None; what the environment asks for is loaded once."""
    if _chosen is _UNKNOWN:
        with _lock:
            if _chosen is _UNKNOWN:
                asked = os.environ.get("NNMOD_CUBLAS", "")
                if asked not in ("", "0", "1"):
                    raise ValueError(f"NNMOD_CUBLAS must be 0 or 1, got {asked!r}")
                use("cublas" if asked == "1" else None)
    return _chosen


def _load():
    """The shared library, from its wheel, from conda or from the system."""
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib  # it comes with numba-cuda

        return ctypes.CDLL(load_nvidia_dynamic_lib("cublas").abs_path)
    except (ImportError, RuntimeError, OSError) as error:
        raise ImportError(INSTALL) from error


class Cublas:
    """Matrix products by *library*, the loaded cuBLAS.

    cuBLAS counts matrices by columns.  A matrix that lies in memory row by row is, read by columns, its
    own transpose; so the transpose of c = op(a) op(b) is asked for, which is op(b)' op(a)', and lies in
    memory as c does: the operands change places, and nothing is copied.

    The handle is made at the first product and kept: it owns memory of the GPU.
    """

    def __init__(self, library):
        self._handle = None
        self._lock = threading.Lock()
        self._library = library
        scalar = {np.dtype(np.float32): ctypes.c_float, np.dtype(np.float64): ctypes.c_double}
        self._products = {}
        pointer, number, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
        for (dtype, real), letter in zip(scalar.items(), "SD"):
            names = f"cublas{letter}gemm_v2", f"cublas{letter}gemmStridedBatched"
            one, many = (getattr(library, name) for name in names)
            real_pointer = ctypes.POINTER(real)
            one.argtypes = [pointer, number, number, number, number, number, real_pointer, pointer, number, pointer,
                            number, real_pointer, pointer, number]
            many.argtypes = [pointer, number, number, number, number, number, real_pointer, pointer, number, long,
                             pointer, number, long, real_pointer, pointer, number, long, number]
            one.restype = many.restype = number
            self._products[dtype] = real, names, one, many
        library.cublasCreate_v2.argtypes = [ctypes.POINTER(pointer)]
        library.cublasSetStream_v2.argtypes = [pointer, pointer]
        library.cublasCreate_v2.restype = library.cublasSetStream_v2.restype = number

    def product(self, a, b, c, batches, M, N, K, alpha, beta, trans_a, trans_b):
        """c <- alpha op(a) op(b) + beta c, on the stream of this thread's work."""
        from .engine import engine

        device = engine()
        real, names, one, many = self._products[c.dtype]
        left = _TRANSPOSED if trans_b else _AS_IT_IS, K if trans_b else N  # how b is taken, the step of its rows
        right = _TRANSPOSED if trans_a else _AS_IT_IS, M if trans_a else K
        alpha, beta = ctypes.byref(real(alpha)), ctypes.byref(real(beta))
        # The stream is the handle's, not the call's.
        with self._lock:
            handle = self._ready(device)
            _check("cublasSetStream_v2", self._library.cublasSetStream_v2(handle, int(device.stream)))
            begin = handle, left[0], right[0], N, M, K, alpha
            if batches == 1:
                _check(names[0], one(*begin, b.address, left[1], a.address, right[1], beta, c.address, N))
            else:
                _check(names[1], many(*begin, b.address, left[1], N * K, a.address, right[1], M * K, beta,
                                      c.address, N, M * N, batches))

    def _ready(self, device):
        """The handle, with the GPU as the device of this thread."""
        device.enter()
        if self._handle is None:
            handle = ctypes.c_void_p()
            status = self._library.cublasCreate_v2(ctypes.byref(handle))
            if status == _ALLOC_FAILED:
                device.release()
                status = self._library.cublasCreate_v2(ctypes.byref(handle))
            _check("cublasCreate_v2", status)
            self._handle = handle
        return self._handle


def _check(function, status):
    """Raise RuntimeError, or MemoryError, where cuBLAS returned something other than success."""
    if status == _ALLOC_FAILED:
        raise MemoryError(f"{function}: the CUDA device has no memory for cuBLAS; use smaller batches, or "
                          "nnmod's own kernels")
    if status:
        raise RuntimeError(f"{function} failed with status {status} (CUBLAS_STATUS_{STATUS.get(status, 'unknown')})")
