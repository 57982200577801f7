"""Products of tables of tensors on the GPU.  Meaning and shapes: kernels/reference/product.py."""
from .epilogue import NO_END
from .linear import product


def batch_gemm(a, b, c, trans_a=False, trans_b=False):
    """c[n] <- op(a[n]) op(b[n]).  See the reference."""
    B, M, N = c.shape
    product(a, b, c, B, M, N, a.shape[1] if trans_a else a.shape[2], 1, 0, trans_a, trans_b, None, NO_END)
