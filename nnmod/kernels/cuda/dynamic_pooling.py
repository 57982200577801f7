"""Pooling that follows the size of the input, on the device.  Meaning: kernels/reference/dynamic_pooling.py.

A thread computes one element of the result; of the gradient it gathers all regions around its
element.  The k greatest are found by rank: how many are greater, or as great and earlier.
"""
import numpy as np

from ..cpu import dynamic_pooling as cpu
from .compile import each, on_device, per_item, split
from .launch import scratch

_less = on_device(cpu._less)


def max_regions_update_output(x, starts, stops, y, argmax):
    """y <- the maximum of x over each region, argmax <- where it was.  See the reference."""
    each(_max_update_output, y.size, x, starts, stops, y, argmax)


def mean_regions_update_output(x, starts, stops, y):
    """y <- the mean of x over each region.  See the reference."""
    each(_mean_update_output, y.size, x, starts, stops, y)


def mean_regions_update_grad_input(dy, starts, stops, dx):
    """dx <- each dy, shared out over the elements of its region.  See the reference."""
    each(_mean_update_grad_input, dx.size, dy, starts, stops, dx)


def fractional_regions(samples, starts, stops, size, out, pool):
    """starts, stops <- regions at steps that vary.  See the reference."""
    begin = 0
    for side, (n, o, k) in enumerate(zip(size, out, pool)):
        each(_fractional_regions, samples.shape[0] * o, samples, starts, stops, begin, 2 - side, n, o, k)
        begin += o


def k_max_pool_update_output(x, y, argmax, work):
    """y <- the k greatest elements of each column, in their order.  See the reference; *work* is the CPU's."""
    taken = scratch(x, x.shape, np.uint8)
    each(_take, x.size, x, taken, y.shape[1])
    each(_place_taken, x.size, x, taken, y, argmax)


@per_item
def _max_update_output(i, x, starts, stops, y, argmax):
    i, w = split(i, y.shape[3])
    i, h = split(i, y.shape[2])
    p, d = split(i, y.shape[1])
    row = np.int64(p) if starts.shape[0] > 1 else 0
    OD, OH = y.shape[1:3]
    H, W = x.shape[2:]
    best, place = x.dtype.type(0), -1
    for a in range(starts[row, d], stops[row, d]):
        for b in range(starts[row, OD + h], stops[row, OD + h]):
            for c in range(starts[row, OD + OH + w], stops[row, OD + OH + w]):
                value = x[p, a, b, c]
                # The first NaN wins over all numbers.
                if place < 0 or value > best or (value != value and best == best):
                    best, place = value, (a * H + b) * W + c
    y[p, d, h, w] = best
    argmax[p, d, h, w] = place


@per_item
def _mean_update_output(i, x, starts, stops, y):
    i, w = split(i, y.shape[3])
    i, h = split(i, y.shape[2])
    p, d = split(i, y.shape[1])
    row = np.int64(p) if starts.shape[0] > 1 else 0
    OD, OH = y.shape[1:3]
    total, count = x.dtype.type(0), 0
    for a in range(starts[row, d], stops[row, d]):
        for b in range(starts[row, OD + h], stops[row, OD + h]):
            for c in range(starts[row, OD + OH + w], stops[row, OD + OH + w]):
                total += x[p, a, b, c]
                count += 1
    y[p, d, h, w] = total / x.dtype.type(count)


@per_item
def _mean_update_grad_input(i, dy, starts, stops, dx):
    i, w = split(i, dx.shape[3])
    i, h = split(i, dx.shape[2])
    p, d = split(i, dx.shape[1])
    row = np.int64(p) if starts.shape[0] > 1 else 0
    OD, OH, OW = dy.shape[1:]
    total = dx.dtype.type(0)
    for a in range(OD):
        deep = stops[row, a] - starts[row, a]
        if starts[row, a] <= d < stops[row, a]:
            for b in range(OH):
                high = deep * (stops[row, OD + b] - starts[row, OD + b])
                if starts[row, OD + b] <= h < stops[row, OD + b]:
                    for c in range(OW):
                        at = OD + OH + c
                        if starts[row, at] <= w < stops[row, at]:
                            total += dy[p, a, b, c] / dx.dtype.type(high * (stops[row, at] - starts[row, at]))
    dx[p, d, h, w] = total


@per_item
def _fractional_regions(i, samples, starts, stops, begin, side, n, o, k):
    p, i = split(i, o)
    first = n - k
    if i < o - 1:
        u, a = samples[p, side], (n - k) / (o - 1)
        first = int((i + u) * a) - int(u * a)
    starts[p, begin + i] = first
    stops[p, begin + i] = first + k


@per_item
def _take(i, x, taken, k):
    i, f = split(i, x.shape[2])
    n, t = split(i, x.shape[1])
    value, before = x[n, t, f], 0
    for other in range(x.shape[1]):
        there = x[n, other, f]
        before += _less(value, there) or (other < t and not _less(there, value))
    taken[n, t, f] = before < k


@per_item
def _place_taken(i, x, taken, y, argmax):
    i, f = split(i, x.shape[2])
    n, t = split(i, x.shape[1])
    if taken[n, t, f]:
        to = 0
        for other in range(t):
            to += taken[n, other, f]
        y[n, to, f] = x[n, t, f]
        argmax[n, to, f] = t * x.shape[2] + f
