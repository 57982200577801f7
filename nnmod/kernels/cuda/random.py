"""Random words on the device: Philox-4x32-10, from the CPU's own source.

A thread computes one block of four words and writes the four elements that take them, so masks
and uniform noise have the CPU's bits, and normal noise differs by rounding alone.
"""
import math

import numpy as np

from ..cpu import random as cpu
from .compile import each, number, on_device, per_item, split, wide
from .launch import blocks
from .target import cuda

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


@per_item
def _dropout_mask(i, mask, key, first, limit, value):
    words = _block(first + np.uint64(i), key)
    begin = 4 * np.int64(i)
    for lane in range(min(4, mask.size - begin)):
        mask[begin + lane] = mask.dtype.type(0) if words[lane] < limit else value


@per_item
@wide("the CPU's bits: a word has more digits than float32")
def _uniform_noise(i, noise, key, first, low, step):
    words = _block(first + np.uint64(i), key)
    begin = 4 * np.int64(i)
    for lane in range(min(4, noise.size - begin)):
        noise[begin + lane] = noise.dtype.type(low + step * float(words[lane]))


@per_item
def _normal_noise(i, noise, key, first, mean, stdv):
    words = _block(first + np.uint64(i), key)
    begin = 4 * np.int64(i)
    for pair in range(min(2, (noise.size - begin + 1) // 2)):
        radius = stdv * math.sqrt(-2 * math.log((float(words[2 * pair]) + 1) * 2.0**-32))
        angle = 2 * math.pi * 2.0**-32 * float(words[2 * pair + 1])
        at = begin + 2 * pair
        noise[at] = mean + radius * math.cos(angle)
        if at + 1 < noise.size:
            noise[at + 1] = mean + radius * math.sin(angle)


@per_item
def _normal_noise_float(i, noise, key, first, mean, stdv):
    words = _block(first + np.uint64(i), key)
    begin, f = 4 * np.int64(i), np.float32
    for pair in range(min(2, (noise.size - begin + 1) // 2)):
        u, v = np.uint32(words[2 * pair]), np.int32(words[2 * pair + 1])
        # With u = 2**32 - 1 - rest, log((u + 1) / 2**32) loses no digits near 1 as log1p(-rest / 2**32).
        rest = np.uint32(~u)
        if rest < np.uint32(2**31):
            size = math.log1p(f(rest) * f(-2.0**-32))
        else:
            size = math.log((f(u) + f(1)) * f(2.0**-32))
        radius = stdv * math.sqrt(f(-2) * size)
        # As a signed number v is the same angle, within -pi .. pi, where float32 is finer.
        turn = f(v) * f(2.0**-31)
        at = begin + 2 * pair
        noise[at] = mean + radius * cuda.libdevice.cospif(turn)
        if at + 1 < noise.size:
            noise[at + 1] = mean + radius * cuda.libdevice.sinpif(turn)


@per_item
def _mask_rows(i, x, factor, y):
    row, column = split(i, x.shape[1])
    y[row, column] = factor[row] * x[row, column]
