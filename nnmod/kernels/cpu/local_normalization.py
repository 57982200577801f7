"""Normalisation by neighbouring channels or pixels, on the CPU.

Meaning and shapes: kernels/reference/local_normalization.py.  Threads take samples, or
rows of them, which are independent of each other.
"""
import math

from ..formulas import exp, log
from . import functions  # noqa: F401  gives exp and log their compiled forms
from . import threads
from .compile import inline, jit
from .linear import empty_vector


def cross_map_lrn_update_output(x, y, scale, size, alpha, beta, k):
    """y <- x scale**-beta.  See the reference."""
    _run(_lrn_update_output, x, size + 20, x, y, scale, int(size), alpha / size, float(beta), float(k))


def cross_map_lrn_update_grad_input(x, y, dy, scale, dx, size, alpha, beta):
    """dx <- the gradient of x.  See the reference."""
    _run(_lrn_update_grad_input, x, size + 20, x, y, dy, scale, dx, int(size),
         2 * alpha * beta / size, float(beta))


def sum_channels(x, y, square):
    """y <- the sum of x, or of x**2, over the channels.  See the reference."""
    _run(_sum_channels, x, 1, x, y, bool(square))


def kernel_share(kernel, share, unit):
    """share <- unit / the sum of the weights inside the image.  See the reference."""
    _kernel_share(kernel, share, float(unit))


def filter_planes(x, kernel, factor, y):
    """y <- the kernel over x.  See the reference."""
    _filter(_filter_planes, x, kernel, factor, y)


def filter_planes_adjoint(dy, kernel, factor, dx):
    """dx <- the flipped kernel over factor dy.  See the reference."""
    _filter(_filter_planes_adjoint, dy, kernel, factor, dx)


def subtract_planes(x, m, y):
    """y <- x - m, the same m for every channel.  See the reference."""
    _run(_subtract_planes, x, 1, x, m, y)


def divide_planes(x, d, y):
    """y <- x / d, the same d for every channel.  See the reference."""
    _run(_divide_planes, x, 2, x, d, y)


def local_deviation(squares, share, d, threshold, value):
    """d <- sqrt(squares) share, or *value* at small ones.  See the reference."""
    _local_deviation(squares.reshape(len(squares), share.size), share.ravel(), d.reshape(len(d), share.size),
                     float(threshold), float(value))


def local_deviation_grad(x, dy, squares, share, d, slope, threshold):
    """slope <- the gradient of squares.  See the reference."""
    _run(_local_deviation_grad, x, 2, x, dy, squares, share, d, slope, float(threshold))


def divide_planes_grad(x, dy, d, slope, dx):
    """dx <- dy / d + 2 x slope.  See the reference."""
    _run(_divide_planes_grad, x, 2, x, dy, d, slope, dx)


def _run(kernel, x, work, *args):
    N, C, S = x.shape
    threads.run(kernel, N, threads.grain(work * C * S, threads.ELEMENTS_PER_THREAD), *args)


def _filter(kernel, x, weights, factor, y):
    N, H, W = x.shape
    factor = empty_vector(x) if factor is None else factor.ravel()
    threads.run(kernel, N * H, threads.grain(W * weights.size // 4, threads.ELEMENTS_PER_THREAD),
                x, weights, factor, y)


@inline
def _power(x, minus_beta):
    """x to a power; x is > 0."""
    return exp(minus_beta * log(x))


@jit
def _lrn_update_output(start, stop, x, y, scale, size, factor, beta, k):
    dtype = x.dtype.type
    a, b, shift = dtype(factor), dtype(-beta), dtype(k)
    C, S = x.shape[1:]
    half = size // 2
    for n in range(start, stop):
        for c in range(C):
            total, source, out = scale[n, c], x[n, c], y[n, c]
            for s in range(S):
                total[s] = source[s] * source[s]
            for other in range(max(0, c - half), min(C, c + half + 1)):
                if other != c:
                    there = x[n, other]
                    for s in range(S):
                        total[s] += there[s] * there[s]
            for s in range(S):
                v = shift + a * total[s]
                total[s] = v
                out[s] = source[s] * _power(v, b)


@jit
def _lrn_update_grad_input(start, stop, x, y, dy, scale, dx, size, factor, beta):
    dtype = x.dtype.type
    a, b = dtype(factor), dtype(-beta)
    C, S = x.shape[1:]
    half = size // 2
    for n in range(start, stop):
        for c in range(C):
            out = dx[n, c]
            for s in range(S):
                out[s] = dtype(0)
            for other in range(max(0, c - half), min(C, c + half + 1)):
                g, v, t = dy[n, other], y[n, other], scale[n, other]
                for s in range(S):
                    out[s] += g[s] * v[s] / t[s]
            g, v, t = dy[n, c], x[n, c], scale[n, c]
            for s in range(S):
                out[s] = g[s] * _power(t[s], b) - a * v[s] * out[s]


@jit
def _sum_channels(start, stop, x, y, square):
    zero = x.dtype.type(0)
    C, S = x.shape[1:]
    for n in range(start, stop):
        out = y[n]
        for s in range(S):
            out[s] = zero
        for c in range(C):
            source = x[n, c]
            if square:
                for s in range(S):
                    out[s] += source[s] * source[s]
            else:
                for s in range(S):
                    out[s] += source[s]


@jit
def _kernel_share(kernel, share, unit):
    H, W = share.shape
    kH, kW = kernel.shape
    for h in range(H):
        for w in range(W):
            total = 0.0
            for u in range(max(0, kH // 2 - h), min(kH, H + kH // 2 - h)):
                for v in range(max(0, kW // 2 - w), min(kW, W + kW // 2 - w)):
                    total += kernel[u, v]
            share[h, w] = unit / total


@jit
def _filter_planes(start, stop, x, kernel, factor, y):
    H, W = x.shape[1:]
    kH, kW = kernel.shape
    zero = x.dtype.type(0)
    for row in range(start, stop):
        n, h = row // H, row % H
        out = y[n, h]
        for w in range(W):
            out[w] = zero
        for u in range(max(0, kH // 2 - h), min(kH, H + kH // 2 - h)):
            source = x[n, h + u - kH // 2]
            for v in range(kW):
                _add_shifted(source, kernel[u, v], v - kW // 2, out)
        if factor.size:
            here = factor[h * W:(h + 1) * W]
            for w in range(W):
                out[w] *= here[w]


@jit
def _filter_planes_adjoint(start, stop, dy, kernel, factor, dx):
    H, W = dy.shape[1:]
    kH, kW = kernel.shape
    zero = dy.dtype.type(0)
    for row in range(start, stop):
        n, h = row // H, row % H
        out = dx[n, h]
        for w in range(W):
            out[w] = zero
        for u in range(max(0, kH // 2 + h - H + 1), min(kH, h + kH // 2 + 1)):
            other = h - u + kH // 2
            source = dy[n, other]
            for v in range(kW):
                if factor.size:
                    _add_shifted_product(source, factor[other * W:(other + 1) * W], kernel[u, v], kW // 2 - v, out)
                else:
                    _add_shifted(source, kernel[u, v], kW // 2 - v, out)


@inline
def _add_shifted(source, weight, shift, out):
    """out[w] += weight source[w + shift], where both exist."""
    first, last = max(0, -shift), min(out.size, out.size - shift)
    if last > first:
        here, there = out[first:last], source[first + shift:last + shift]
        for w in range(here.size):
            here[w] += weight * there[w]


@inline
def _add_shifted_product(source, factor, weight, shift, out):
    """out[w] += weight (factor source)[w + shift], where both exist."""
    first, last = max(0, -shift), min(out.size, out.size - shift)
    if last > first:
        here, there = out[first:last], source[first + shift:last + shift]
        scales = factor[first + shift:last + shift]
        for w in range(here.size):
            here[w] += weight * (there[w] * scales[w])


@jit
def _subtract_planes(start, stop, x, m, y):
    for n in range(start, stop):
        for c in range(x.shape[1]):
            source, mean, out = x[n, c], m[n], y[n, c]
            for s in range(out.size):
                out[s] = source[s] - mean[s]


@jit
def _divide_planes(start, stop, x, d, y):
    for n in range(start, stop):
        for c in range(x.shape[1]):
            source, by, out = x[n, c], d[n], y[n, c]
            for s in range(out.size):
                out[s] = source[s] / by[s]


@jit
def _local_deviation(squares, share, d, threshold, value):
    limit, replacement = share.dtype.type(threshold), share.dtype.type(value)
    for n in range(squares.shape[0]):
        source, out = squares[n], d[n]
        for s in range(out.size):
            v = math.sqrt(source[s]) * share[s]
            out[s] = replacement if v <= limit else v


@jit
def _local_deviation_grad(start, stop, x, dy, squares, share, d, slope, threshold):
    zero, half = x.dtype.type(0), x.dtype.type(0.5)
    limit = x.dtype.type(threshold)
    for n in range(start, stop):
        out = slope[n]
        for s in range(out.size):
            out[s] = zero
        for c in range(x.shape[1]):
            source, grad = x[n, c], dy[n, c]
            for s in range(out.size):
                out[s] -= source[s] * grad[s]
        here, by = squares[n], d[n]
        for s in range(out.size):
            root = math.sqrt(here[s])
            g = out[s] / (by[s] * by[s]) * share[s] * half / root
            out[s] = zero if root * share[s] <= limit or root == zero else g


@jit
def _divide_planes_grad(start, stop, x, dy, d, slope, dx):
    two = x.dtype.type(2)
    for n in range(start, stop):
        for c in range(x.shape[1]):
            source, grad, by, along, out = x[n, c], dy[n, c], d[n], slope[n], dx[n, c]
            for s in range(out.size):
                out[s] = grad[s] / by[s] + two * source[s] * along[s]
