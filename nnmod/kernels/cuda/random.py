"""Random words on the device: Philox-4x32-10, from the CPU's own source.

A thread computes one block of four words and writes the four elements that take them, so masks
and uniform noise have the CPU's bits, and normal noise differs by rounding alone.
"""
import math

import numpy as np

from ..cpu import random as cpu
from .compile import device, each, number, on_device, per_item, split, wide
from .launch import blocks
from .target import cuda
from .vectors import aligned, store4

_block = on_device(cpu._block)


def dropout_mask(mask, key, first, p, value):
    """mask <- 0 with probability p, else *value*.  See the reference."""
    _fill(_dropout_mask, mask, key, first, np.uint32(p * 2**32), number(value, mask))


def uniform_noise(noise, key, first, low, high):
    """noise <- uniform within low .. high.  See the reference."""
    _fill(_uniform_noise, noise, key, first, float(low), (high - low) * 2.0**-32)


def normal_noise(noise, key, first, mean, stdv):
    """noise <- normal.  See the reference."""
    kernel = _normal_noise if noise.dtype == np.float64 else _normal_noise_float
    _fill(kernel, noise, key, first, number(mean, noise), number(stdv, noise))


def mask_rows(x, factor, y):
    """y <- factor x, one factor for each row.  See the reference."""
    each(_mask_rows, x.size, x, factor, y)


def _fill(kernel, noise, key, first, *numbers):
    each(kernel, blocks(noise.size, 4), noise.reshape(noise.size), np.uint64(key), np.uint64(first), *numbers)


@device
def _put(x, begin, a, b, c, d):
    """x[begin], ... <- a, b, c, d, as far as x goes; in one store where that is possible."""
    if begin + 4 <= x.size and aligned(x):
        store4(x, begin, a, b, c, d)
    else:
        x[begin] = a
        if begin + 1 < x.size:
            x[begin + 1] = b
        if begin + 2 < x.size:
            x[begin + 2] = c
        if begin + 3 < x.size:
            x[begin + 3] = d


@per_item
def _dropout_mask(i, mask, key, first, limit, value):
    w0, w1, w2, w3 = _block(first + np.uint64(i), key)
    zero = mask.dtype.type(0)
    _put(mask, 4 * np.int64(i), zero if w0 < limit else value, zero if w1 < limit else value,
         zero if w2 < limit else value, zero if w3 < limit else value)


@per_item
@wide("the CPU's bits: a word has more digits than float32")
def _uniform_noise(i, noise, key, first, low, step):
    w0, w1, w2, w3 = _block(first + np.uint64(i), key)
    f = noise.dtype.type
    _put(noise, 4 * np.int64(i), f(low + step * float(w0)), f(low + step * float(w1)),
         f(low + step * float(w2)), f(low + step * float(w3)))


@device
def _pair(u, v, mean, stdv):
    radius = stdv * math.sqrt(-2 * math.log((float(u) + 1) * 2.0**-32))
    angle = 2 * math.pi * 2.0**-32 * float(v)
    return mean + radius * math.cos(angle), mean + radius * math.sin(angle)


@per_item
def _normal_noise(i, noise, key, first, mean, stdv):
    w0, w1, w2, w3 = _block(first + np.uint64(i), key)
    a, b = _pair(w0, w1, mean, stdv)
    c, d = _pair(w2, w3, mean, stdv)
    _put(noise, 4 * np.int64(i), a, b, c, d)


@device
def _pair_of_floats(u, v, mean, stdv):
    f, u = np.float32, np.uint32(u)
    # With u = 2**32 - 1 - rest, log((u + 1) / 2**32) loses no digits near 1 as log1p(-rest / 2**32).
    rest = np.uint32(~u)
    if rest < np.uint32(2**31):
        size = math.log1p(f(rest) * f(-2.0**-32))
    else:
        size = math.log((f(u) + f(1)) * f(2.0**-32))
    radius = stdv * math.sqrt(f(-2) * size)
    # As a signed number v is the same angle, within -pi .. pi, where float32 is finer.
    turn = f(np.int32(v)) * f(2.0**-31)
    return mean + radius * cuda.libdevice.cospif(turn), mean + radius * cuda.libdevice.sinpif(turn)


@per_item
def _normal_noise_float(i, noise, key, first, mean, stdv):
    w0, w1, w2, w3 = _block(first + np.uint64(i), key)
    a, b = _pair_of_floats(w0, w1, mean, stdv)
    c, d = _pair_of_floats(w2, w3, mean, stdv)
    _put(noise, 4 * np.int64(i), a, b, c, d)


@per_item
def _mask_rows(i, x, factor, y):
    row, column = split(i, x.shape[1])
    y[row, column] = factor[row] * x[row, column]
