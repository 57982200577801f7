"""Matrix products on the CPU.  Meaning and shapes: kernels/reference/linear.py.

A block of four rows of the result shares every load of the other operand, and
the inner loop runs along memory, so that it vectorises: along a row of b where b
is used as it lies, along the common dimension where it is transposed.  A block
computes each element in one fixed order, and ranges are cut between blocks, so
the number of threads changes no bit.
"""
import numpy as np

from . import threads
from .compile import inline, jit
from .gemm import COLUMN_STEP, ROW_STEP, multiply
from .simd import VECTOR_BYTES, address, lanes


def gemm(a, b, c, alpha=1.0, beta=0.0, trans_a=False, trans_b=False, bias=None):
    """c <- alpha op(a) op(b) + beta c + bias.  See the reference."""
    M, N = c.shape
    K = a.shape[0] if trans_a else a.shape[1]
    if bias is None:
        bias = empty_vector(c)
    alpha, beta = float(alpha), float(beta)  # one compiled form, whatever kind of number comes
    if M * N * K < 2 * threads.FLOPS_PER_THREAD:
        _gemm(0, M, False, a, b, c, alpha, beta, trans_a, trans_b, bias)
        return
    by_columns = N >= M
    step, size, other = (COLUMN_STEP * VECTOR_BYTES // c.itemsize, N, M) if by_columns else (ROW_STEP, M, N)
    threads.run(_gemm, -(-size // step), threads.grain(step * other * K), by_columns, a, b, c,
                alpha, beta, trans_a, trans_b, bias)


def sum_rows(x, row, scale=1.0):
    """row <- row + scale times the sum over n of x[n, :].  See the reference."""
    N, F = x.shape
    scale = float(scale)
    if x.size < 2 * threads.ELEMENTS_PER_THREAD:
        _sum_rows(0, F, x, row, scale)
    else:
        threads.run(_sum_rows, F, threads.grain(N, threads.ELEMENTS_PER_THREAD), x, row, scale)


_empty = {}


def empty_vector(like):
    """An empty vector of that dtype: stands for None, so that one signature serves both."""
    found = _empty.get(like.dtype)
    if found is None:
        found = _empty[like.dtype] = np.empty(0, like.dtype)
    return found


@jit
def _gemm(start, stop, by_columns, a, b, c, alpha, beta, trans_a, trans_b, bias):
    M, N = c.shape
    number = c.dtype.type
    where = address(bias) if bias.size else 0
    if by_columns:
        step = COLUMN_STEP * lanes(number(0))
        _range(0, M, start * step, min(stop * step, N), a, b, c, number(alpha), number(beta), trans_a, trans_b, where)
    else:
        _range(start * ROW_STEP, min(stop * ROW_STEP, M), 0, N, a, b, c, number(alpha), number(beta),
               trans_a, trans_b, where)


@inline
def gemm_rows(first, last, a, b, c, alpha, beta, trans_a, trans_b):
    """Rows first .. last of c, inside a kernel; c's rows without gaps."""
    number = c.dtype.type
    _range(first, last, 0, c.shape[1], a, b, c, number(alpha), number(beta), trans_a, trans_b, 0)


@inline
def _range(top, bottom, left, right, a, b, c, alpha, beta, trans_a, trans_b, bias):
    M, N = c.shape
    K, a_row, a_k = a.shape[1], a.strides[0], a.strides[1]
    if trans_a:
        K, a_row, a_k = a.shape[0], a.strides[1], a.strides[0]
    b_k, b_col = b.strides
    if trans_b:
        b_k, b_col = b_col, b_k
    multiply(M, N, K, top, bottom, left, right, address(a), a_row, a_k, address(b), b_k, b_col,
             address(c), c.strides[0], c.strides[1], alpha, beta, bias)


@jit
def _sum_rows(start, stop, x, row, scale):
    scale = row.dtype.type(scale)
    row = row[start:stop]
    for n in range(x.shape[0]):
        xn = x[n, start:stop]
        for f in range(row.size):
            row[f] += scale * xn[f]
