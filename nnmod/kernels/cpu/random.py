"""Random words on the CPU: Philox-4x32-10.  Meaning: kernels/reference/random.py.

Element i of a mask takes word i of the stream, whoever computes it, so the number of
threads changes nothing.
"""
import numpy as np

from . import threads
from .compile import inline, jit

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
    for block in range(start, stop):
        words = _block(first + np.uint64(block), key)
        for lane in range(min(4, mask.size - 4 * block)):
            mask[4 * block + lane] = zero if words[lane] < limit else value


def uniform_samples(samples, key, first):
    """samples <- uniform numbers on [0, 1).  See the reference."""
    flat = samples.ravel()
    blocks = -(-flat.size // 4)
    threads.run(_uniform_samples, blocks, threads.grain(16, threads.ELEMENTS_PER_THREAD), flat,
                np.uint64(key), np.uint64(first))


@jit
def _uniform_samples(start, stop, samples, key, first):
    for block in range(start, stop):
        words = _block(first + np.uint64(block), key)
        for lane in range(min(4, samples.size - 4 * block)):
            samples[4 * block + lane] = words[lane] / 4294967296.0
