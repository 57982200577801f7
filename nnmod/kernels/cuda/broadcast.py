"""A small tensor that meets every element of a large one, on the GPU.

Meaning and shapes: kernels/reference/broadcast.py.
"""
import math

import numpy as np

from .compile import device, each, number, per_item, split
from .sums import element, plus, put_sums, rounded, sum_channels_by


def broadcast_add(x, w, y):
    """y <- x + w.  See the reference."""
    each(_add, x.size, x.reshape(-1), w.reshape(-1), y.reshape(-1), *x.shape[1:], *_steps(w))


def broadcast_multiply(x, w, y):
    """y <- x * w.  See the reference."""
    each(_multiply, x.size, x.reshape(-1), w.reshape(-1), y.reshape(-1), *x.shape[1:], *_steps(w))


def broadcast_sum(x, w, scale=1.0):
    """w <- w + scale times the sum of x.  See the reference."""
    _add_sums(element, x, x, w, scale, False)


def broadcast_product_sum(x, dy, w, scale=1.0):
    """w <- w + scale times the sum of x * dy.  See the reference."""
    _add_sums(_product, x, dy, w, scale, True)


def _steps(w):
    """How far to go in w for a step along each dimension: 0 where it is repeated."""
    return [0 if n == 1 else math.prod(w.shape[axis + 1:]) for axis, n in enumerate(w.shape)]


def _add_sums(term, x, dy, w, scale, product):
    if not x.size:
        return
    kept = [axis for axis in range(5) if w.shape[axis] > 1]
    first, last = (kept[0], kept[-1]) if kept else (0, -1)
    if all(w.shape[axis] == x.shape[axis] for axis in range(first, last + 1)):
        # What is kept lies together: it is the channels.
        C, N = w.size, math.prod(x.shape[:first])
        flat = x.reshape(-1)
        put_sums(sum_channels_by(term, N, C, x.size // (N * C), x, flat, dy.reshape(-1), flat, flat), w, scale, True)
    else:
        each(_sum, w.size, x.reshape(-1), dy.reshape(-1), w.reshape(-1), *x.shape, *w.shape, number(scale, w),
             bool(product))


@device
def _product(at, row, channel, x, dy, z, t):
    return x[at] * dy[at], x.dtype.type(0)


@device
def _meets(i, B, C, D, E, a_step, b_step, c_step, d_step, e_step):
    """The element of w that element i of x meets."""
    i, e = split(i, E)
    i, d = split(i, D)
    i, c = split(i, C)
    a, b = split(i, B)
    return np.uint64(np.int64(a) * a_step + b * b_step + c * c_step + d * d_step + e * e_step)


@per_item
def _add(i, x, w, y, B, C, D, E, a_step, b_step, c_step, d_step, e_step):
    y[i] = x[i] + w[_meets(i, B, C, D, E, a_step, b_step, c_step, d_step, e_step)]


@per_item
def _multiply(i, x, w, y, B, C, D, E, a_step, b_step, c_step, d_step, e_step):
    y[i] = x[i] * w[_meets(i, B, C, D, E, a_step, b_step, c_step, d_step, e_step)]


@per_item
def _sum(i, x, dy, w, A, B, C, D, E, wA, wB, wC, wD, wE, scale, product):
    rest, e = split(i, wE)
    rest, d = split(rest, wD)
    rest, c = split(rest, wC)
    a, b = split(rest, wB)
    a = np.int64(a)
    total, lost = w.dtype.type(0), w.dtype.type(0)
    for ia in range(a, a + 1 if wA > 1 else A):
        for ib in range(b, b + 1 if wB > 1 else B):
            for ic in range(c, c + 1 if wC > 1 else C):
                for id in range(d, d + 1 if wD > 1 else D):
                    for ie in range(e, e + 1 if wE > 1 else E):
                        at = np.uint64((((ia * B + ib) * C + ic) * D + id) * E + ie)
                        total, lost = plus(total, lost, x[at] * dy[at] if product else x[at])
    w[i] += scale * rounded(total, lost)
