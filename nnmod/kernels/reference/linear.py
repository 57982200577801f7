"""Matrix products in plain NumPy."""
import numpy as np


def gemm(a, b, c, alpha=1.0, beta=0.0, trans_a=False, trans_b=False, bias=None):
    """c <- alpha op(a) op(b) + beta c + bias, where op transposes if asked.

    a     (M, K), or (K, M) with trans_a
    b     (K, N), or (N, K) with trans_b
    c     (M, N)  [out], and read first unless beta is 0
    bias  (N,) or None; added to every row

    alpha and beta are numbers, trans_a and trans_b True or False.
    """
    a = a.T if trans_a else a
    b = b.T if trans_b else b
    with np.errstate(all="ignore"):
        product = c.dtype.type(alpha) * (a @ b)
        c[...] = product if beta == 0 else product + c.dtype.type(beta) * c
        if bias is not None:
            c += bias


def sum_rows(x, row, scale=1.0):
    """row <- row + scale times the sum over n of x[n, :].

    x    (N, F)
    row  (F,)    added to
    """
    with np.errstate(all="ignore"):
        row += row.dtype.type(scale) * x.sum(axis=0)
