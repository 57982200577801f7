"""Normalisation by neighbouring channels or pixels, on the device: a thread to each element of the result.

Meaning and shapes: kernels/reference/local_normalization.py.
"""
import math

from ..cpu import local_normalization as cpu
from .compile import each, number, on_device, or_empty, per_item, resident, split

_power = on_device(cpu._power)


def cross_map_lrn_update_output(x, y, scale, size, alpha, beta, k):
    """y <- x scale**-beta.  See the reference."""
    each(_lrn_update_output, x.size, x, y, scale, int(size) // 2, number(alpha / size, x), number(-beta, x),
         number(k, x))


def cross_map_lrn_update_grad_input(x, y, dy, scale, dx, size, alpha, beta):
    """dx <- the gradient of x.  See the reference."""
    each(_lrn_update_grad_input, x.size, x, y, dy, scale, dx, int(size) // 2,
         number(2 * alpha * beta / size, x), number(-beta, x))


def sum_channels(x, y, square):
    """y <- the sum of x, or of x**2, over the channels.  See the reference."""
    each(_sum_channels, y.size, x, y, bool(square))


def kernel_share(kernel, share, unit):
    """share <- unit / the sum of the weights inside the image.  See the reference."""
    each(_kernel_share, share.size, kernel, share, number(unit, share))


def filter_planes(x, kernel, factor, y):
    """y <- the kernel over x.  See the reference."""
    each(_filter_planes, y.size, x, kernel, _factors(factor, x), y)


def filter_planes_adjoint(dy, kernel, factor, dx):
    """dx <- the flipped kernel over factor dy.  See the reference."""
    each(_filter_planes_adjoint, dx.size, dy, kernel, _factors(factor, dy), dx)


def subtract_planes(x, m, y):
    """y <- x - m, the same m for every channel.  See the reference."""
    each(_subtract_planes, x.size, x, m, y)


def divide_planes(x, d, y):
    """y <- x / d, the same d for every channel.  See the reference."""
    each(_divide_planes, x.size, x, d, y)


def local_deviation(squares, share, d, threshold, value):
    """d <- sqrt(squares) share, or *value* at small ones.  See the reference."""
    each(_local_deviation, squares.size, squares.reshape(squares.size), share.reshape(share.size),
         d.reshape(d.size), number(threshold, d), number(value, d))


def local_deviation_grad(x, dy, squares, share, d, slope, threshold):
    """slope <- the gradient of squares.  See the reference."""
    each(_local_deviation_grad, slope.size, x, dy, squares, share, d, slope, number(threshold, x))


def divide_planes_grad(x, dy, d, slope, dx):
    """dx <- dy / d + 2 x slope.  See the reference."""
    each(_divide_planes_grad, x.size, x, dy, d, slope, dx)


def _factors(factor, like):
    return or_empty(None if factor is None else factor.reshape(factor.size), like)


@per_item
def _lrn_update_output(i, x, y, scale, half, factor, minus_beta, shift):
    i, s = split(i, x.shape[2])
    n, c = split(i, x.shape[1])
    total = x.dtype.type(0)
    for other in range(max(0, c - half), min(x.shape[1], c + half + 1)):
        total += x[n, other, s] * x[n, other, s]
    total = shift + factor * total
    scale[n, c, s] = total
    y[n, c, s] = x[n, c, s] * _power(total, minus_beta)


@per_item
def _lrn_update_grad_input(i, x, y, dy, scale, dx, half, factor, minus_beta):
    i, s = split(i, x.shape[2])
    n, c = split(i, x.shape[1])
    total = x.dtype.type(0)
    for other in range(max(0, c - half), min(x.shape[1], c + half + 1)):
        total += dy[n, other, s] * y[n, other, s] / scale[n, other, s]
    dx[n, c, s] = dy[n, c, s] * _power(scale[n, c, s], minus_beta) - factor * x[n, c, s] * total


@per_item
def _sum_channels(i, x, y, square):
    n, s = split(i, y.shape[1])
    total = x.dtype.type(0)
    for c in range(x.shape[1]):
        total += x[n, c, s] * x[n, c, s] if square else x[n, c, s]
    y[n, s] = total


@per_item
def _kernel_share(i, kernel, share, unit):
    h, w = split(i, share.shape[1])
    kH, kW = kernel.shape
    top, left = h - kH // 2, w - kW // 2
    total = share.dtype.type(0)
    for u in range(max(0, -top), min(kH, share.shape[0] - top)):
        for v in range(max(0, -left), min(kW, share.shape[1] - left)):
            total += kernel[u, v]
    share[h, w] = unit / total


@per_item
def _filter_planes(i, x, kernel, factor, y):
    i, w = split(i, x.shape[2])
    n, h = split(i, x.shape[1])
    kH, kW = kernel.shape
    top, left = h - kH // 2, w - kW // 2
    total = x.dtype.type(0)
    for u in range(max(0, -top), min(kH, x.shape[1] - top)):
        for v in range(max(0, -left), min(kW, x.shape[2] - left)):
            total += kernel[u, v] * x[n, top + u, left + v]
    y[n, h, w] = total * factor[h * x.shape[2] + w] if factor.size else total


@resident(3)
@per_item
def _filter_planes_adjoint(i, dy, kernel, factor, dx):
    i, w = split(i, dx.shape[2])
    n, h = split(i, dx.shape[1])
    H, W = dx.shape[1:]
    kH, kW = kernel.shape
    bottom, right = h + kH // 2, w + kW // 2
    total = dx.dtype.type(0)
    for u in range(max(0, bottom - H + 1), min(kH, bottom + 1)):
        for v in range(max(0, right - W + 1), min(kW, right + 1)):
            value = dy[n, bottom - u, right - v]
            if factor.size:
                value *= factor[(bottom - u) * W + right - v]
            total += kernel[u, v] * value
    dx[n, h, w] = total


@per_item
def _subtract_planes(i, x, m, y):
    i, s = split(i, x.shape[2])
    n, c = split(i, x.shape[1])
    y[n, c, s] = x[n, c, s] - m[n, s]


@per_item
def _divide_planes(i, x, d, y):
    i, s = split(i, x.shape[2])
    n, c = split(i, x.shape[1])
    y[n, c, s] = x[n, c, s] / d[n, s]


@per_item
def _local_deviation(i, squares, share, d, limit, replacement):
    _, s = split(i, share.size)
    value = math.sqrt(squares[i]) * share[s]
    d[i] = replacement if value <= limit else value


@per_item
def _local_deviation_grad(i, x, dy, squares, share, d, slope, limit):
    n, s = split(i, slope.shape[1])
    zero, half = x.dtype.type(0), x.dtype.type(0.5)
    total = zero
    for c in range(x.shape[1]):
        total -= x[n, c, s] * dy[n, c, s]
    root, by = math.sqrt(squares[n, s]), d[n, s]
    g = total / (by * by) * share[s] * half / root
    slope[n, s] = zero if root * share[s] <= limit or root == zero else g


@per_item
def _divide_planes_grad(i, x, dy, d, slope, dx):
    i, s = split(i, x.shape[2])
    n, c = split(i, x.shape[1])
    dx[n, c, s] = dy[n, c, s] / d[n, s] + x.dtype.type(2) * x[n, c, s] * slope[n, s]
