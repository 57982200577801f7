"""Random words on the CPU: Philox-4x32-10.  Meaning: kernels/reference/random.py.

Element i of a mask takes word i of the stream, whoever computes it, so the number of
threads changes nothing.
"""
import math

import numpy as np

from . import threads
from .compile import inline, jit
from .functions import float_from_bits

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_SHIFT, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


def dropout_mask(mask, key, first, p, value):
    """mask <- 0 with probability p, else *value*.  See the reference."""
    flat = mask.ravel()
    blocks = -(-flat.size // 4)
    threads.run(_dropout_mask, blocks, threads.grain(16, threads.ELEMENTS_PER_THREAD), flat,
                np.uint64(key), np.uint64(first), np.uint64(p * 2**32), value)


@inline
def _block(counter, key):
    """Four random words for one counter."""
    c0, c1 = counter & _LOW, counter >> _SHIFT
    c2 = c3 = np.uint64(0)
    k0, k1 = key & _LOW, key >> _SHIFT
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ k0, p1 & _LOW, (p0 >> _SHIFT) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return c0, c1, c2, c3


@jit
def _dropout_mask(start, stop, mask, key, first, limit, value):
    zero, value = mask.dtype.type(0), mask.dtype.type(value)
    # Whole blocks of four in a loop that vectorises, the rest of the last one apart.
    whole = max(start, min(stop, mask.size // 4))
    out = mask[4 * start:4 * whole]
    base = first + np.uint64(start)
    for block in range(whole - start):
        w0, w1, w2, w3 = _block(base + np.uint64(block), key)
        out[4 * block] = zero if w0 < limit else value
        out[4 * block + 1] = zero if w1 < limit else value
        out[4 * block + 2] = zero if w2 < limit else value
        out[4 * block + 3] = zero if w3 < limit else value
    if whole < stop:
        words = _block(first + np.uint64(whole), key)
        for lane in range(mask.size - 4 * whole):
            mask[4 * whole + lane] = zero if words[lane] < limit else value


def uniform_noise(noise, key, first, low, high):
    """noise <- uniform within low .. high.  See the reference."""
    _fill(_uniform_noise, noise, key, first, low, high)


def normal_noise(noise, key, first, mean, stdv):
    """noise <- normal.  See the reference."""
    _fill(_normal_noise, noise, key, first, mean, stdv)


def _fill(kernel, noise, key, first, *numbers):
    flat = noise.ravel()
    threads.run(kernel, -(-flat.size // 4), threads.grain(32, threads.ELEMENTS_PER_THREAD), flat,
                np.uint64(key), np.uint64(first), *map(float, numbers))


def mask_rows(x, factor, y):
    """y <- factor x, one factor for each row.  See the reference."""
    R, S = x.shape
    threads.run(_mask_rows, R, threads.grain(S, threads.ELEMENTS_PER_THREAD), x, factor, y)


@jit
def _uniform_noise(start, stop, noise, key, first, low, high):
    step = (high - low) * 2.0**-32
    dtype = noise.dtype.type
    whole = max(start, min(stop, noise.size // 4))
    out = noise[4 * start:4 * whole]
    base = first + np.uint64(start)
    for block in range(whole - start):
        w0, w1, w2, w3 = _block(base + np.uint64(block), key)
        out[4 * block] = dtype(low + step * _float(w0))
        out[4 * block + 1] = dtype(low + step * _float(w1))
        out[4 * block + 2] = dtype(low + step * _float(w2))
        out[4 * block + 3] = dtype(low + step * _float(w3))
    if whole < stop:
        words = _block(first + np.uint64(whole), key)
        for lane in range(noise.size - 4 * whole):
            noise[4 * whole + lane] = dtype(low + step * _float(words[lane]))


@inline
def _float(word):
    """A word below 2**32 as float64: as the low bits of 2**52, for want of a vector conversion."""
    return float_from_bits(word | np.uint64(0x4330000000000000)) - 4503599627370496.0


@jit
def _normal_noise(start, stop, noise, key, first, mean, stdv):
    for block in range(start, stop):
        w0, w1, w2, w3 = _block(first + np.uint64(block), key)
        for pair in range(min(2, (noise.size - 4 * block + 1) // 2)):
            u, v = (w0, w1) if pair == 0 else (w2, w3)
            radius = stdv * math.sqrt(-2 * math.log((float(u) + 1) * 2.0**-32))
            angle = 2 * math.pi * 2.0**-32 * float(v)
            i = 4 * block + 2 * pair
            noise[i] = noise.dtype.type(mean + radius * math.cos(angle))
            if i + 1 < noise.size:
                noise[i + 1] = noise.dtype.type(mean + radius * math.sin(angle))


@jit
def _mask_rows(start, stop, x, factor, y):
    for row in range(start, stop):
        f, source, out = factor[row], x[row], y[row]
        for s in range(out.size):
            out[s] = f * source[s]
