"""What a bilinear form needs around its matrix products, on the device.

Meaning and shapes: kernels/reference/bilinear.py.
"""
from .compile import each, each_warp, or_empty, per_item, per_warp, split, warp_sum


def bilinear_dots(z, x, bias, y):
    """y <- bias + dot products.  See the reference."""
    each_warp(_dots, y.size, z, x, or_empty(bias, z), y)


def bilinear_weighted(z, dy, dx):
    """dx <- weighted sums of the rows of z.  See the reference."""
    each(_weighted, dx.size, z, dy, dx)


def bilinear_outer(dy, x, p):
    """p <- outer products.  See the reference."""
    each(_outer, p.size, dy, x, p)


@per_warp
def _dots(i, lane, z, x, bias, y):
    n, o = split(i, y.shape[1])
    total = z.dtype.type(0)
    for k in range(lane, x.shape[1], 32):
        total += z[n, o, k] * x[n, k]
    total = warp_sum(total)
    if lane == 0:
        y[n, o] = total + bias[o] if bias.size else total


@per_item
def _weighted(i, z, dy, dx):
    n, k = split(i, dx.shape[1])
    total = z.dtype.type(0)
    for o in range(dy.shape[1]):
        total += dy[n, o] * z[n, o, k]
    dx[n, k] = total


@per_item
def _outer(i, dy, x, p):
    i, k = split(i, p.shape[2])
    n, o = split(i, p.shape[1])
    p[n, o, k] = dy[n, o] * x[n, k]
