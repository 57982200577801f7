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

_ROWS = 4


def gemm(a, b, c, alpha=1.0, beta=0.0, trans_a=False, trans_b=False, bias=None):
    """c <- alpha op(a) op(b) + beta c + bias.  See the reference."""
    M, N = c.shape
    K = a.shape[0] if trans_a else a.shape[1]
    if bias is None:
        bias = empty_vector(c)
    alpha, beta = float(alpha), float(beta)  # one compiled form, whatever kind of number comes
    blocks = (M + _ROWS - 1) // _ROWS
    if M * N * K < 2 * threads.FLOPS_PER_THREAD:
        _gemm(0, blocks, a, b, c, alpha, beta, trans_a, trans_b, bias)
    else:
        threads.run(_gemm, blocks, threads.grain(_ROWS * N * K), a, b, c,
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
def _gemm(start, stop, a, b, c, alpha, beta, trans_a, trans_b, bias):
    gemm_rows(start * _ROWS, min(stop * _ROWS, c.shape[0]), a, b, c, alpha, beta, trans_a, trans_b)
    if bias.size:
        for m in range(start * _ROWS, min(stop * _ROWS, c.shape[0])):
            cm = c[m]
            for n in range(cm.size):
                cm[n] += bias[n]


@inline
def gemm_rows(first, last, a, b, c, alpha, beta, trans_a, trans_b):
    """Rows first .. last of c; *first* is a multiple of the block."""
    alpha, beta = c.dtype.type(alpha), c.dtype.type(beta)
    M4 = first + (last - first) // _ROWS * _ROWS
    if trans_b and not trans_a:
        for m in range(first, M4, _ROWS):
            _dot4(m, a, b, c, alpha, beta)
        for m in range(M4, last):
            _dot1(m, a, b, c, alpha, beta)
        return
    for m in range(first, last):
        cm = c[m]
        if beta == 0:
            cm[:] = 0
        elif beta != 1:
            for n in range(cm.size):
                cm[n] *= beta
    if trans_b:
        for m in range(first, last):
            _scalar(m, a, b, c, alpha)
        return
    for m in range(first, M4, _ROWS):
        _axpy4(m, a, b, c, alpha, trans_a)
    for m in range(M4, last):
        _axpy1(m, a, b, c, alpha, trans_a)


@inline
def _at(a, m, k, trans):
    return a[k, m] if trans else a[m, k]


@inline
def _axpy4(m, a, b, c, alpha, trans_a):
    K, N = b.shape
    c0, c1, c2, c3 = c[m], c[m + 1], c[m + 2], c[m + 3]
    K4 = K // 4 * 4
    for k in range(0, K4, 4):
        a00, a01 = alpha * _at(a, m, k, trans_a), alpha * _at(a, m, k + 1, trans_a)
        a02, a03 = alpha * _at(a, m, k + 2, trans_a), alpha * _at(a, m, k + 3, trans_a)
        a10, a11 = alpha * _at(a, m + 1, k, trans_a), alpha * _at(a, m + 1, k + 1, trans_a)
        a12, a13 = alpha * _at(a, m + 1, k + 2, trans_a), alpha * _at(a, m + 1, k + 3, trans_a)
        a20, a21 = alpha * _at(a, m + 2, k, trans_a), alpha * _at(a, m + 2, k + 1, trans_a)
        a22, a23 = alpha * _at(a, m + 2, k + 2, trans_a), alpha * _at(a, m + 2, k + 3, trans_a)
        a30, a31 = alpha * _at(a, m + 3, k, trans_a), alpha * _at(a, m + 3, k + 1, trans_a)
        a32, a33 = alpha * _at(a, m + 3, k + 2, trans_a), alpha * _at(a, m + 3, k + 3, trans_a)
        b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
        for n in range(N):
            x0, x1, x2, x3 = b0[n], b1[n], b2[n], b3[n]
            c0[n] += a00 * x0 + a01 * x1 + a02 * x2 + a03 * x3
            c1[n] += a10 * x0 + a11 * x1 + a12 * x2 + a13 * x3
            c2[n] += a20 * x0 + a21 * x1 + a22 * x2 + a23 * x3
            c3[n] += a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3
    for k in range(K4, K):
        a0, a1 = alpha * _at(a, m, k, trans_a), alpha * _at(a, m + 1, k, trans_a)
        a2, a3 = alpha * _at(a, m + 2, k, trans_a), alpha * _at(a, m + 3, k, trans_a)
        bk = b[k]
        for n in range(N):
            x = bk[n]
            c0[n] += a0 * x
            c1[n] += a1 * x
            c2[n] += a2 * x
            c3[n] += a3 * x


@inline
def _axpy1(m, a, b, c, alpha, trans_a):
    K, N = b.shape
    cm = c[m]
    K4 = K // 4 * 4
    for k in range(0, K4, 4):
        a0, a1 = alpha * _at(a, m, k, trans_a), alpha * _at(a, m, k + 1, trans_a)
        a2, a3 = alpha * _at(a, m, k + 2, trans_a), alpha * _at(a, m, k + 3, trans_a)
        b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
        for n in range(N):
            cm[n] += a0 * b0[n] + a1 * b1[n] + a2 * b2[n] + a3 * b3[n]
    for k in range(K4, K):
        a0, bk = alpha * _at(a, m, k, trans_a), b[k]
        for n in range(N):
            cm[n] += a0 * bk[n]


@inline
def _dot4(m, a, b, c, alpha, beta):
    N, K = b.shape
    zero = c.dtype.type(0)
    a0, a1, a2, a3 = a[m], a[m + 1], a[m + 2], a[m + 3]
    N2 = N // 2 * 2
    for n in range(0, N2, 2):
        b0, b1 = b[n], b[n + 1]
        s00 = s01 = s10 = s11 = s20 = s21 = s30 = s31 = zero
        for k in range(K):
            x0, x1 = b0[k], b1[k]
            s00 += a0[k] * x0
            s01 += a0[k] * x1
            s10 += a1[k] * x0
            s11 += a1[k] * x1
            s20 += a2[k] * x0
            s21 += a2[k] * x1
            s30 += a3[k] * x0
            s31 += a3[k] * x1
        _store(c, m, n, s00, alpha, beta)
        _store(c, m, n + 1, s01, alpha, beta)
        _store(c, m + 1, n, s10, alpha, beta)
        _store(c, m + 1, n + 1, s11, alpha, beta)
        _store(c, m + 2, n, s20, alpha, beta)
        _store(c, m + 2, n + 1, s21, alpha, beta)
        _store(c, m + 3, n, s30, alpha, beta)
        _store(c, m + 3, n + 1, s31, alpha, beta)
    for n in range(N2, N):
        b0 = b[n]
        s0 = s1 = s2 = s3 = zero
        for k in range(K):
            x = b0[k]
            s0 += a0[k] * x
            s1 += a1[k] * x
            s2 += a2[k] * x
            s3 += a3[k] * x
        _store(c, m, n, s0, alpha, beta)
        _store(c, m + 1, n, s1, alpha, beta)
        _store(c, m + 2, n, s2, alpha, beta)
        _store(c, m + 3, n, s3, alpha, beta)


@inline
def _dot1(m, a, b, c, alpha, beta):
    N, K = b.shape
    zero = c.dtype.type(0)
    a0 = a[m]
    N4 = N // 4 * 4
    for n in range(0, N4, 4):
        b0, b1, b2, b3 = b[n], b[n + 1], b[n + 2], b[n + 3]
        s0 = s1 = s2 = s3 = zero
        for k in range(K):
            x = a0[k]
            s0 += x * b0[k]
            s1 += x * b1[k]
            s2 += x * b2[k]
            s3 += x * b3[k]
        _store(c, m, n, s0, alpha, beta)
        _store(c, m, n + 1, s1, alpha, beta)
        _store(c, m, n + 2, s2, alpha, beta)
        _store(c, m, n + 3, s3, alpha, beta)
    for n in range(N4, N):
        b0 = b[n]
        s0 = zero
        for k in range(K):
            s0 += a0[k] * b0[k]
        _store(c, m, n, s0, alpha, beta)


@inline
def _store(c, m, n, value, alpha, beta):
    # With beta == 0 c may hold anything, NaN too: it is not read.
    c[m, n] = alpha * value if beta == 0 else alpha * value + beta * c[m, n]


@inline
def _scalar(m, a, b, c, alpha):
    # Both transposed: no inner loop runs along memory. Nothing in nnmod needs it fast.
    N, K = b.shape
    for n in range(N):
        total = c.dtype.type(0)
        for k in range(K):
            total += a[k, m] * b[n, k]
        c[m, n] += alpha * total


@jit
def _sum_rows(start, stop, x, row, scale):
    scale = row.dtype.type(scale)
    row = row[start:stop]
    for n in range(x.shape[0]):
        xn = x[n, start:stop]
        for f in range(row.size):
            row[f] += scale * xn[f]
