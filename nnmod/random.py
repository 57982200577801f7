"""The one generator: counter-based, so that a stream is the same on every device.

Philox-4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
1, 2, 3", 2011) turns a key and a counter into four random 32-bit words.  The seed
is the key; the generator remembers only how many blocks of four it has given out,
so any element of a stream can be computed alone, by any thread.
"""
import os
import threading

import numpy as np

from .kernels.reference.random import philox_words

_lock = threading.Lock()
_key = int.from_bytes(os.urandom(8), "little")
_position = 0


def manualSeed(seed):
    """Start the generator anew from *seed*, an int; the same seed gives the same numbers."""
    global _key, _position
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
        raise ValueError(f"seed must be an int, got {seed!r}")
    with _lock:
        _key, _position = int(seed) % 2**64, 0


def get_state():
    """The state of the generator: ``(key, position)``, two ints."""
    return _key, _position


def set_state(state):
    """Return to a state from :func:`get_state`."""
    global _key, _position
    key, position = state
    with _lock:
        _key, _position = int(key), int(position)


def take(count):
    """Reserve *count* random words; returns ``(key, first block)`` for a kernel to start from."""
    global _position
    with _lock:
        first = _position
        _position += -(-count // 4)
    return _key, first


def fork():
    """The key of a stream of its own, drawn from this one: a kernel starts it at block 0."""
    words = philox_words(*take(2), 2)
    return int(words[0]) << 32 | int(words[1])


def uniform(target, low=0.0, high=1.0):
    """Fill tensor *target* from the uniform distribution on [low, high)."""
    unit = _unit(target.size).reshape(target.shape)
    target[...] = low + (high - low) * unit


def normal(target, mean=0.0, stdv=1.0):
    """Fill tensor *target* from the normal distribution (Box and Muller)."""
    half = -(-target.size // 2)
    unit = _unit(2 * half)
    radius = np.sqrt(-2 * np.log1p(-unit[:half]))
    angle = 2 * np.pi * unit[half:]
    values = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    target[...] = mean + stdv * values[:target.size].reshape(target.shape)


def permutation(count):
    """The numbers 0 .. count-1 in random order, as an int64 tensor."""
    return np.argsort(_unit(count), kind="stable")


def _unit(count):
    """*count* float64 numbers in [0, 1), of 53 random bits each."""
    words = philox_words(*take(2 * count), 2 * count).astype(np.uint64)
    high, low = words[0::2] >> np.uint64(5), words[1::2] >> np.uint64(6)
    return (high * 67108864.0 + low) / 9007199254740992.0


def integer(count):
    """One random int of 0 .. count-1."""
    if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or not 0 < count <= 2**32:
        raise ValueError(f"count must be an int of 1 .. 2**32, got {count!r}")
    # 53 random bits spread over the count: no number is favoured by more than 1 in 2**21.
    return int(_unit(1)[0] * count)
