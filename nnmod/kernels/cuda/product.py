"""Products and distances of tables of tensors on the device.  Meaning: kernels/reference/product.py.

A warp sums a row; where no sum is, a thread computes one element.
"""
import math

from .compile import each, each_warp, number, per_item, per_warp, split, warp_sum
from .epilogue import NO_END
from .linear import product


def batch_gemm(a, b, c, trans_a=False, trans_b=False):
    """c[n] <- op(a[n]) op(b[n]).  See the reference."""
    B, M, N = c.shape
    product(a, b, c, B, M, N, a.shape[1] if trans_a else a.shape[2], 1, 0, trans_a, trans_b, None, NO_END)


def dot_rows(a, b, y):
    """y[n] <- the sum over f of a[n, f] b[n, f].  See the reference."""
    each_warp(_dot_rows, a.shape[0], a, b, y)


def scale_rows(factor, x, y):
    """y[n, f] <- factor[n] x[n, f].  See the reference."""
    each(_scale_rows, x.size, factor, x, y)


def cosine_update_output(a, b, y, norms):
    """y[n] <- the cosine of a[n] and b[n].  See the reference."""
    each_warp(_cosine, a.shape[0], a, b, y, norms)


def cosine_update_grad_input(a, b, y, norms, dy, da, db):
    """da, db <- the gradients of a and b.  See the reference."""
    each(_cosine_grad, a.size, a, b, y, norms, dy, da, db)


def distance_update_output(a, b, y, p):
    """y[n] <- the p-norm of a[n] - b[n].  See the reference."""
    each_warp(_distance, a.shape[0], a, b, y, number(p, a), number(1 / p, a))


def distance_update_grad_input(a, b, y, dy, da, db, p):
    """da, db <- the gradients of a and b.  See the reference."""
    each(_distance_grad, a.size, a, b, y, dy, da, db, number(p, a), number(p - 1, a))


def mixture_update_output(gate, x, y, first=0, accumulate=False):
    """y[n, a, b] <- the sum over e of gate[n, first + e] x[n, a, e, b].  See the reference."""
    each(_mixture, y.size, gate, x, y, first, bool(accumulate))


def mixture_update_grad_input(gate, x, dy, dgate, dx, first=0):
    """dgate <- the sums of dy x; dx <- gate dy.  See the reference."""
    each(_mixture_grad, x.size, gate, dy, dx, first)
    each_warp(_gate_grad, x.shape[0] * x.shape[2], x, dy, dgate, first)


@per_warp
def _dot_rows(n, lane, a, b, y):
    total = a.dtype.type(0)
    for f in range(lane, a.shape[1], 32):
        total += a[n, f] * b[n, f]
    total = warp_sum(total)
    if lane == 0:
        y[n] = total


@per_item
def _scale_rows(i, factor, x, y):
    n, f = split(i, x.shape[1])
    y[n, f] = factor[n] * x[n, f]


@per_warp
def _cosine(n, lane, a, b, y, norms):
    zero, one, eps = a.dtype.type(0), a.dtype.type(1), a.dtype.type(1e-12)
    dot, vv, ww = zero, zero, zero
    for f in range(lane, a.shape[1], 32):
        v, w = a[n, f], b[n, f]
        dot += v * w
        vv += v * v
        ww += w * w
    dot, vv, ww = warp_sum(dot), one / (warp_sum(vv) + eps), one / (warp_sum(ww) + eps)
    if lane == 0:
        norms[0, n], norms[1, n] = vv, ww
        # Two roots: the product of two large norms would overflow.
        y[n] = dot * math.sqrt(vv) * math.sqrt(ww)


@per_item
def _cosine_grad(i, a, b, y, norms, dy, da, db):
    n, f = split(i, a.shape[1])
    v, w = a[n, f], b[n, f]
    cross = dy[n] * math.sqrt(norms[0, n]) * math.sqrt(norms[1, n])
    along = dy[n] * y[n]
    da[n, f] = cross * w - along * norms[0, n] * v
    db[n, f] = cross * v - along * norms[1, n] * w


@per_warp
def _distance(n, lane, a, b, y, p, root):
    total = a.dtype.type(0)
    for f in range(lane, a.shape[1], 32):
        d = abs(a[n, f] - b[n, f])
        total += d if p == 1 else (d * d if p == 2 else math.pow(d, p))
    total = warp_sum(total)
    if lane == 0:
        y[n] = total if p == 1 else (math.sqrt(total) if p == 2 else math.pow(total, root))


@per_item
def _distance_grad(i, a, b, y, dy, da, db, p, power):
    n, f = split(i, a.shape[1])
    one, eps = a.dtype.type(1), a.dtype.type(1e-6)
    d = a[n, f] - b[n, f]
    if p == 1:
        slope = one if d > 0 else (-one if d < 0 else d)  # 0, or NaN
    elif p == 2:
        slope = d / (y[n] + eps)
    elif d == 0:
        slope = d
    else:
        slope = math.copysign(math.pow(abs(d), power), d) * math.pow(y[n] + eps, -power)
    slope *= dy[n]
    da[n, f] = slope
    db[n, f] = -slope


@per_item
def _mixture(i, gate, x, y, first, accumulate):
    i, b = split(i, y.shape[2])
    n, a = split(i, y.shape[1])
    total = y[n, a, b] if accumulate else y.dtype.type(0)
    for e in range(x.shape[2]):
        total += gate[n, first + e] * x[n, a, e, b]
    y[n, a, b] = total


@per_item
def _mixture_grad(i, gate, dy, dx, first):
    i, b = split(i, dx.shape[3])
    i, e = split(i, dx.shape[2])
    n, a = split(i, dx.shape[1])
    dx[n, a, e, b] = gate[n, first + e] * dy[n, a, b]


@per_warp
def _gate_grad(i, lane, x, dy, dgate, first):
    n, e = split(i, x.shape[2])
    total = x.dtype.type(0)
    for a in range(x.shape[1]):
        for b in range(lane, x.shape[3], 32):
            total += dy[n, a, b] * x[n, a, e, b]
    total = warp_sum(total)
    if lane == 0:
        dgate[n, first + e] = total
