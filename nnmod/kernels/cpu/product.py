"""Products and distances of tables of tensors on the CPU.  Meaning: kernels/reference/product.py.

Rows and the matrices of a batch are independent of each other; threads share them out.
"""
import math

from . import threads
from .compile import inline, jit
from .linear import gemm

#: Matrices of more multiply-adds than this are worth a call of gemm each.
_LARGE = 131_072


def batch_gemm(a, b, c, trans_a=False, trans_b=False):
    """c[n] <- op(a[n]) op(b[n]).  See the reference."""
    B, M, N = c.shape
    K = a.shape[1] if trans_a else a.shape[2]
    if min(M, N, K) > 1 and M * N * K > _LARGE:
        for n in range(B):
            gemm(a[n], b[n], c[n], trans_a=trans_a, trans_b=trans_b)
    else:
        threads.run(_batch_gemm, B, threads.grain(2 * M * N * K, threads.ELEMENTS_PER_THREAD),
                    a, b, c, trans_a, trans_b)


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
def _batch_gemm(start, stop, a, b, c, trans_a, trans_b):
    M = c.shape[1]
    for n in range(start, stop):
        if trans_b and not trans_a:
            for m in range(M):
                _row_of_dots(a[n, m], b[n], c[n, m])
        elif trans_b:
            for m in range(M):
                _row_both_transposed(m, a[n], b[n], c[n, m])
        else:
            for m in range(0, M // 2 * 2, 2):
                _two_rows(m, a[n], b[n], c[n], trans_a)
            if M % 2:
                _one_row(M - 1, a[n], b[n], c[n, M - 1], trans_a)


@inline
def _row_of_dots(left, b, target):
    K = left.size
    N4 = target.size // 4 * 4
    for j in range(0, N4, 4):
        b0, b1, b2, b3 = b[j], b[j + 1], b[j + 2], b[j + 3]
        s0 = s1 = s2 = s3 = left.dtype.type(0)
        for k in range(K):
            x = left[k]
            s0 += x * b0[k]
            s1 += x * b1[k]
            s2 += x * b2[k]
            s3 += x * b3[k]
        target[j], target[j + 1], target[j + 2], target[j + 3] = s0, s1, s2, s3
    for j in range(N4, target.size):
        target[j] = _dot(left, b[j])


@inline
def _row_both_transposed(m, a, b, target):
    for j in range(target.size):
        total, right = target.dtype.type(0), b[j]
        for k in range(right.size):
            total += a[k, m] * right[k]
        target[j] = total


@inline
def _two_rows(m, a, b, c, trans_a):
    K, N = b.shape
    K4 = K // 4 * 4
    c0, c1 = c[m], c[m + 1]
    for j in range(N):
        c0[j] = c.dtype.type(0)
        c1[j] = c.dtype.type(0)
    for k in range(0, K4, 4):
        f00, f01 = _factor(a, m, k, trans_a), _factor(a, m, k + 1, trans_a)
        f02, f03 = _factor(a, m, k + 2, trans_a), _factor(a, m, k + 3, trans_a)
        f10, f11 = _factor(a, m + 1, k, trans_a), _factor(a, m + 1, k + 1, trans_a)
        f12, f13 = _factor(a, m + 1, k + 2, trans_a), _factor(a, m + 1, k + 3, trans_a)
        b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
        for j in range(N):
            x0, x1, x2, x3 = b0[j], b1[j], b2[j], b3[j]
            c0[j] += (f00 * x0 + f01 * x1) + (f02 * x2 + f03 * x3)
            c1[j] += (f10 * x0 + f11 * x1) + (f12 * x2 + f13 * x3)
    for k in range(K4, K):
        f0, f1, right = _factor(a, m, k, trans_a), _factor(a, m + 1, k, trans_a), b[k]
        for j in range(N):
            c0[j] += f0 * right[j]
            c1[j] += f1 * right[j]


@inline
def _one_row(m, a, b, target, trans_a):
    K = b.shape[0]
    K4 = K // 4 * 4
    for j in range(target.size):
        target[j] = target.dtype.type(0)
    for k in range(0, K4, 4):
        f0, f1 = _factor(a, m, k, trans_a), _factor(a, m, k + 1, trans_a)
        f2, f3 = _factor(a, m, k + 2, trans_a), _factor(a, m, k + 3, trans_a)
        b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
        for j in range(target.size):
            target[j] += (f0 * b0[j] + f1 * b1[j]) + (f2 * b2[j] + f3 * b3[j])
    for k in range(K4, K):
        factor, right = _factor(a, m, k, trans_a), b[k]
        for j in range(target.size):
            target[j] += factor * right[j]


@inline
def _factor(a, m, k, trans_a):
    return a[k, m] if trans_a else a[m, k]


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
