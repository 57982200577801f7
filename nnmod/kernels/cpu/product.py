"""Products and distances of tables of tensors on the CPU.  Meaning: kernels/reference/product.py.

Rows and the matrices of a batch are independent of each other; threads share them out.
"""
import math

from . import threads
from .compile import inline, jit
from .gemm import multiply
from .linear import gemm
from .simd import address

#: Matrices of so many multiply-adds at most are multiplied by plain loops, ...
_SMALL = 128
#: ... and of more than this by a call of gemm each, which divides the product over threads.
_LARGE = 1_000_000


def batch_gemm(a, b, c, trans_a=False, trans_b=False):
    """c[n] <- op(a[n]) op(b[n]).  See the reference."""
    B, M, N = c.shape
    K = a.shape[1] if trans_a else a.shape[2]
    if M * N * K > _LARGE:
        for n in range(B):
            gemm(a[n], b[n], c[n], trans_a=trans_a, trans_b=trans_b)
    else:
        kernel = _batch_small if M * N * K <= _SMALL else _batch_gemm
        threads.run(kernel, B, threads.grain(M * N * K), a, b, c, trans_a, trans_b)


def dot_rows(a, b, y):
    """y[n] <- the sum over f of a[n, f] b[n, f].  See the reference."""
    _run(_dot_rows, *a.shape, a, b, y)


def scale_rows(factor, x, y):
    """y[n, f] <- factor[n] x[n, f].  See the reference."""
    _run(_scale_rows, *x.shape, factor, x, y)


def cosine_update_output(a, b, y, norms):
    """y[n] <- the cosine of a[n] and b[n].  See the reference."""
    _run(_cosine, *a.shape, a, b, y, norms)


def cosine_update_grad_input(a, b, y, norms, dy, da, db):
    """da, db <- the gradients of a and b.  See the reference."""
    _run(_cosine_grad, *a.shape, a, b, y, norms, dy, da, db)


def distance_update_output(a, b, y, p):
    """y[n] <- the p-norm of a[n] - b[n].  See the reference."""
    _run(_distance, *a.shape, a, b, y, float(p))


def distance_update_grad_input(a, b, y, dy, da, db, p):
    """da, db <- the gradients of a and b.  See the reference."""
    _run(_distance_grad, *a.shape, a, b, y, dy, da, db, float(p))


def mixture_update_output(gate, x, y, first=0, accumulate=False):
    """y[n, a, b] <- the sum over e of gate[n, first + e] x[n, a, e, b].  See the reference."""
    _run(_mixture, x.shape[0], x[:1].size, gate, x, y, first, accumulate)


def mixture_update_grad_input(gate, x, dy, dgate, dx, first=0):
    """dgate <- the sums of dy x; dx <- gate dy.  See the reference."""
    _run(_mixture_grad, x.shape[0], x[:1].size, gate, x, dy, dgate, dx, first)


def _run(kernel, count, work, *args):
    threads.run(kernel, count, threads.grain(work, threads.ELEMENTS_PER_THREAD), *args)


@jit
def _batch_small(start, stop, a, b, c, trans_a, trans_b):
    M, N = c.shape[1:]
    K = a.shape[1] if trans_a else a.shape[2]
    for n in range(start, stop):
        for i in range(M):
            for j in range(N):
                total = c.dtype.type(0)
                for k in range(K):
                    total += (a[n, k, i] if trans_a else a[n, i, k]) * (b[n, j, k] if trans_b else b[n, k, j])
                c[n, i, j] = total


@jit
def _batch_gemm(start, stop, a, b, c, trans_a, trans_b):
    M, N = c.shape[1:]
    (K, a_row, a_k), (b_k, b_col) = (a.shape[2], a.strides[1], a.strides[2]), b.strides[1:]
    if trans_a:
        K, a_row, a_k = a.shape[1], a_k, a_row
    if trans_b:
        b_k, b_col = b_col, b_k
    zero, one = c.dtype.type(0), c.dtype.type(1)
    for n in range(start, stop):
        multiply(M, N, K, 0, M, 0, N, address(a) + n * a.strides[0], a_row, a_k, address(b) + n * b.strides[0], b_k,
                 b_col, address(c) + n * c.strides[0], c.strides[1], c.strides[2], one, zero, 0, 0, 0)


@inline
def _dot(a, b):
    total = a.dtype.type(0)
    for f in range(a.size):
        total += a[f] * b[f]
    return total


@jit
def _dot_rows(start, stop, a, b, y):
    for n in range(start, stop):
        y[n] = _dot(a[n], b[n])


@jit
def _scale_rows(start, stop, factor, x, y):
    for n in range(start, stop):
        value, source, target = factor[n], x[n], y[n]
        for f in range(target.size):
            target[f] = value * source[f]


@jit
def _cosine(start, stop, a, b, y, norms):
    one, eps = a.dtype.type(1), a.dtype.type(1e-12)
    for n in range(start, stop):
        v, w = a[n], b[n]
        dot = vv = ww = a.dtype.type(0)
        for f in range(v.size):
            dot += v[f] * w[f]
            vv += v[f] * v[f]
            ww += w[f] * w[f]
        norms[0, n], norms[1, n] = one / (vv + eps), one / (ww + eps)
        # Two roots: the product of two large norms would overflow.
        y[n] = dot * math.sqrt(norms[0, n]) * math.sqrt(norms[1, n])


@jit
def _cosine_grad(start, stop, a, b, y, norms, dy, da, db):
    for n in range(start, stop):
        v, w, dv, dw = a[n], b[n], da[n], db[n]
        cross = dy[n] * math.sqrt(norms[0, n]) * math.sqrt(norms[1, n])
        on_v, on_w = dy[n] * y[n] * norms[0, n], dy[n] * y[n] * norms[1, n]
        for f in range(v.size):
            vf, wf = v[f], w[f]
            dv[f] = cross * wf - on_v * vf
            dw[f] = cross * vf - on_w * wf


@jit
def _distance(start, stop, a, b, y, p):
    power, root = a.dtype.type(p), a.dtype.type(1 / p)
    for n in range(start, stop):
        v, w = a[n], b[n]
        total = a.dtype.type(0)
        if p == 1:
            for f in range(v.size):
                total += abs(v[f] - w[f])
        elif p == 2:
            for f in range(v.size):
                d = v[f] - w[f]
                total += d * d
            total = math.sqrt(total)
        else:
            for f in range(v.size):
                total += abs(v[f] - w[f]) ** power
            total = total ** root
        y[n] = total


@jit
def _distance_grad(start, stop, a, b, y, dy, da, db, p):
    zero, one, eps = a.dtype.type(0), a.dtype.type(1), a.dtype.type(1e-6)
    power = a.dtype.type(p - 1)
    for n in range(start, stop):
        v, w, dv, dw = a[n], b[n], da[n], db[n]
        if p == 1:
            factor = dy[n]
            for f in range(v.size):
                d = v[f] - w[f]
                slope = d if d != d else (one if d > zero else (-one if d < zero else zero))
                dv[f] = factor * slope
                dw[f] = -factor * slope
        elif p == 2:
            factor = dy[n] / (y[n] + eps)
            for f in range(v.size):
                d = (v[f] - w[f]) * factor
                dv[f] = d
                dw[f] = -d
        else:
            factor = dy[n] * (y[n] + eps) ** -power
            for f in range(v.size):
                d = v[f] - w[f]
                slope = zero if d == zero else math.copysign(abs(d) ** power, d)
                dv[f] = factor * slope
                dw[f] = -factor * slope


@jit
def _mixture(start, stop, gate, x, y, first, accumulate):
    A, E = x.shape[1:3]
    for n in range(start, stop):
        for a in range(A):
            target = y[n, a]
            if not accumulate:
                for i in range(target.size):
                    target[i] = y.dtype.type(0)
            for e in range(E):
                share, source = gate[n, first + e], x[n, a, e]
                for i in range(target.size):
                    target[i] += share * source[i]


@jit
def _mixture_grad(start, stop, gate, x, dy, dgate, dx, first):
    A, E = x.shape[1:3]
    for n in range(start, stop):
        for e in range(E):
            share, total = gate[n, first + e], x.dtype.type(0)
            for a in range(A):
                source, slope, target = x[n, a, e], dy[n, a], dx[n, a, e]
                total += _dot(slope, source)
                for i in range(target.size):
                    target[i] = share * slope[i]
            dgate[n, first + e] = total
