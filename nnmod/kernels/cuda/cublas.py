"""Matrix products by NVIDIA's cuBLAS; vendor.py says when."""
import ctypes

import numpy as np

from . import vendor

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


def product(a, b, c, batches, M, N, K, alpha, beta, trans_a, trans_b):
    """c <- alpha op(a) op(b) + beta c by cuBLAS; False where nnmod's own kernels are to do it.

    a, b, c are dense, *batches* matrices one after the other in each.
    """
    cublas = vendor.library("cublas")
    # cuBLAS may leave out what a factor of 0 multiplies, and NaN with it.
    if cublas is None or isinstance(c, np.ndarray) or not K or not alpha or max(M, N, K, batches) > _LARGEST:
        return False
    cublas.product(a, b, c, batches, M, N, K, alpha, beta, trans_a, trans_b)
    return True


class Cublas(vendor.Library):
    """Matrix products by *library*, the loaded cuBLAS.

    cuBLAS counts matrices by columns.  A matrix that lies in memory row by row is, read by columns, its
    own transpose; so the transpose of c = op(a) op(b) is asked for, which is op(b)' op(a)', and lies in
    memory as c does: the operands change places, and nothing is copied.
    """

    name, create, stream = "cublas", "cublasCreate_v2", "cublasSetStream_v2"

    def __init__(self, library):
        super().__init__(library)
        scalar = {np.dtype(np.float32): ctypes.c_float, np.dtype(np.float64): ctypes.c_double}
        self._products = {}
        pointer, number, long = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
        for (dtype, real), letter in zip(scalar.items(), "SD"):
            names = f"cublas{letter}gemm_v2", f"cublas{letter}gemmStridedBatched"
            real_pointer = ctypes.POINTER(real)
            one = self.declare(names[0], pointer, number, number, number, number, number, real_pointer, pointer,
                               number, pointer, number, real_pointer, pointer, number)
            many = self.declare(names[1], pointer, number, number, number, number, number, real_pointer, pointer,
                                number, long, pointer, number, long, real_pointer, pointer, number, long, number)
            self._products[dtype] = real, names, one, many

    def product(self, a, b, c, batches, M, N, K, alpha, beta, trans_a, trans_b):
        """c <- alpha op(a) op(b) + beta c, on the stream of this thread's work."""
        real, names, one, many = self._products[c.dtype]
        left = _TRANSPOSED if trans_b else _AS_IT_IS, K if trans_b else N  # how b is taken, the step of its rows
        right = _TRANSPOSED if trans_a else _AS_IT_IS, M if trans_a else K
        alpha, beta = ctypes.byref(real(alpha)), ctypes.byref(real(beta))
        with self._lock:
            begin = self.ready(), left[0], right[0], N, M, K, alpha
            if batches == 1:
                self.check(names[0], one(*begin, b.address, left[1], a.address, right[1], beta, c.address, N))
            else:
                self.check(names[1], many(*begin, b.address, left[1], N * K, a.address, right[1], M * K, beta,
                                          c.address, N, M * N, batches))

    def no_memory(self, status):
        return status == _ALLOC_FAILED

    def describe(self, status):
        return f"CUBLAS_STATUS_{STATUS.get(status, 'unknown')}"
