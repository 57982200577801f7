"""Distances and angles on the device.  Meaning and shapes: kernels/reference/distance.py.

Distances are summed from differences, as on the CPU.  A thread sums where neighbours then read
neighbouring elements, and a warp where the sum runs along memory.
"""
import math

from .compile import each, each_warp, number, per_item, per_warp, split, warp_sum
from .launch import scratch


def euclidean_update_output(x, w, c, y):
    """y <- distances of each x to each w.  See the reference."""
    each(_euclidean, y.size, x, w, _weights(c, w), y)


def euclidean_update_grad_input(x, w, c, t, dx):
    """dx <- the gradient of x.  See the reference."""
    each_warp(_euclidean_grad_input, dx.size, x, w, _weights(c, w), t, dx)


def euclidean_acc_grad_parameters(x, w, c, t, dw, dc, scale=1.0):
    """dw and dc <- themselves + scale times the gradients.  See the reference."""
    each(_euclidean_acc, w.size, x, w, _weights(c, w), t, dw, _weights(dc, w), number(scale, w))


def vector_norms(x, norm, eps):
    """norm <- the norm of each row, plus eps.  See the reference."""
    each_warp(_vector_norms, x.shape[0], x, norm, number(eps, x))


def divide_outer(a, b, y):
    """y <- y / (a b).  See the reference."""
    each(_divide_outer, y.size, a, b, y)


def cosine_gradients(y, dy, a, b, t, rows, columns):
    """t, rows and columns <- what both gradients need.  See the reference."""
    each_warp(_cosine_rows, y.shape[0], y, dy, a, b, t, rows)
    each(_cosine_columns, y.shape[1], y, dy, b, columns)


def add_factored_rows(x, factors, out, beta=0.0, scale=1.0):
    """out <- beta out + scale factors x.  See the reference."""
    each(_add_factored_rows, x.size, x, factors, out, number(beta, x), number(scale, x))


def nearest_update_output(x, w, nearest, score, y):
    """nearest, score, y <- the nearest w of each x.  See the reference."""
    each_warp(_nearest, x.shape[0], x, w, nearest, score, y)


def nearest_acc_grad_parameters(x, w, nearest, counts, dw, scale=1.0):
    """dw <- dw + scale times the mean differences.  See the reference."""
    each(_nearest_counts, w.shape[0], nearest, counts)
    each(_nearest_acc, w.size, x, w, nearest, counts, dw, number(scale, w))


def _weights(c, w):
    return scratch(w, (0, 0), w.dtype) if c is None else c


@per_item
def _euclidean(i, x, w, c, y):
    n, o = split(i, y.shape[1])
    total = x.dtype.type(0)
    for k in range(x.shape[1]):
        d = x[n, k] - w[k, o]
        if c.size:
            d *= c[k, o]
        total += d * d
    y[n, o] = math.sqrt(total)


@per_warp
def _euclidean_grad_input(i, lane, x, w, c, t, dx):
    n, k = split(i, dx.shape[1])
    value, total = x[n, k], x.dtype.type(0)
    for o in range(lane, w.shape[1], 32):
        d = value - w[k, o]
        if c.size:
            d *= c[k, o] * c[k, o]
        total += d * t[n, o]
    total = warp_sum(total)
    if lane == 0:
        dx[n, k] = total


@per_item
def _euclidean_acc(i, x, w, c, t, dw, dc, scale):
    k, o = split(i, w.shape[1])
    zero = x.dtype.type(0)
    point, along, across = w[k, o], zero, zero
    for n in range(t.shape[0]):
        d = x[n, k] - point
        along += d * t[n, o]
        across += d * d * t[n, o]
    if c.size:
        dc[k, o] += scale * c[k, o] * across
        along *= c[k, o] * c[k, o]
    dw[k, o] -= scale * along


@per_warp
def _vector_norms(n, lane, x, norm, eps):
    total = x.dtype.type(0)
    for k in range(lane, x.shape[1], 32):
        total += x[n, k] * x[n, k]
    total = warp_sum(total)
    if lane == 0:
        norm[n] = math.sqrt(total) + eps


@per_item
def _divide_outer(i, a, b, y):
    n, o = split(i, y.shape[1])
    y[n, o] /= a[n] * b[o]


@per_warp
def _cosine_rows(n, lane, y, dy, a, b, t, rows):
    total = y.dtype.type(0)
    for o in range(lane, y.shape[1], 32):
        t[n, o] = dy[n, o] / (a[n] * b[o])
        total += y[n, o] * dy[n, o]
    total = warp_sum(total)
    if lane == 0:
        rows[n] = -total / (a[n] * a[n])


@per_item
def _cosine_columns(o, y, dy, b, columns):
    total = y.dtype.type(0)
    for n in range(y.shape[0]):
        total -= y[n, o] * dy[n, o]
    columns[o] = total / (b[o] * b[o])


@per_item
def _add_factored_rows(i, x, factors, out, beta, scale):
    n, k = split(i, x.shape[1])
    value = scale * factors[n] * x[n, k]
    out[n, k] = value if beta == 0 else beta * out[n, k] + value


@per_warp
def _nearest(n, lane, x, w, nearest, score, y):
    best, where = x.dtype.type(0), -1
    for k in range(w.shape[0]):
        distance = x.dtype.type(0)
        for d in range(lane, w.shape[1], 32):
            gap = x[n, d] - w[k, d]
            distance += gap * gap
        distance = warp_sum(distance)
        if where < 0 or distance < best or (distance != distance and best == best):
            best, where = distance, k
    if lane == 0:
        nearest[n] = where
        score[n] = best
        y[n] = x.dtype.type(where) if best == best else best


@per_item
def _nearest_counts(k, nearest, counts):
    total = 0
    for n in range(nearest.size):
        total += nearest[n] == k
    counts[k] = total


@per_item
def _nearest_acc(i, x, w, nearest, counts, dw, scale):
    k, d = split(i, w.shape[1])
    if counts[k] > 0:
        total = w.dtype.type(0)
        for n in range(nearest.size):
            if nearest[n] == k:
                total += w[k, d] - x[n, d]
        dw[k, d] += scale / (w.dtype.type(counts[k]) + w.dtype.type(1e-7)) * total
