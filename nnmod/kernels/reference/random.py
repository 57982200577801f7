"""Random words from a counter, in plain NumPy: Philox-4x32-10."""
import numpy as np

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox_words(key, first, count):
    """*count* random 32-bit words: blocks first, first + 1, ... of stream *key*.

    key, first  ints below 2**64
    returns     (count,) uint32
    """
    block = np.arange(first, first + -(-count // 4), dtype=np.uint64)
    c0, c1 = block & _LOW, block >> _SHIFT
    c2 = np.zeros_like(block)
    c3 = np.zeros_like(block)
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = ((p1 >> _SHIFT) ^ c1 ^ np.uint64(k0), p1 & _LOW,
                          (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1), p0 & _LOW)
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).ravel()[:count].astype(np.uint32)


def dropout_mask(mask, key, first, p, value):
    """mask <- 0 with probability p, else *value*; word i of the stream decides element i.

    mask   any shape  [out]
    key    the stream, and first, the block of four words it starts from: below 2**64
    p      within 0 <= p < 1
    value  of the elements that are kept
    """
    words = philox_words(key, first, mask.size).reshape(mask.shape)
    mask[...] = np.where(words < np.uint64(p * 2**32), 0, mask.dtype.type(value))


def uniform_noise(noise, key, first, low, high):
    """noise <- low + (high - low) word / 2**32; word i of the stream makes element i.

    noise       any shape  [out]
    key, first  as in dropout_mask
    low, high   the limits
    """
    words = philox_words(key, first, noise.size).reshape(noise.shape)
    noise[...] = low + (high - low) * (words * 2.0**-32)


def normal_noise(noise, key, first, mean, stdv):
    """noise <- mean + stdv times a normal variate, two from every two words (Box and Muller, 1958).

    noise       any shape  [out]; elements 2i and 2i + 1 come from words 2i and 2i + 1
    key, first  as in dropout_mask
    mean, stdv  of the distribution
    """
    count = noise.size + noise.size % 2
    words = philox_words(key, first, count).astype(np.float64)
    radius = np.sqrt(-2 * np.log((words[0::2] + 1) * 2.0**-32))
    angle = 2 * np.pi * 2.0**-32 * words[1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    noise[...] = (mean + stdv * pairs.ravel()[:noise.size]).reshape(noise.shape)


def mask_rows(x, factor, y):
    """y <- factor x, one factor for each row.

    x       (R, S)
    factor  (R,)
    y       (R, S)  [out]
    """
    with np.errstate(all="ignore"):
        y[...] = factor[:, None] * x
