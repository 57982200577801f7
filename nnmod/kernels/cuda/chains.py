"""Places of one number in a list, chained, so that one thread can add up what belongs to it.

Where many entries may name one row, the first entry that names it owns the row: its thread walks
the chain of the others, in their order, and no two threads write one place.
"""
import numpy as np

from .compile import each, per_item
from .launch import scratch


def chains(keys):
    """(heads, following) for keys (M,): 1 where a key stands for the first time, and the next place of it or -1."""
    heads, following = scratch(keys, keys.shape, np.uint8), scratch(keys, keys.shape, np.int32)
    each(_chain, keys.size, keys, heads, following)
    return heads, following


@per_item
def _chain(m, keys, heads, following):
    m = np.int64(m)
    key = keys[m]
    other = m - 1
    while other >= 0 and keys[other] != key:
        other -= 1
    heads[m] = other < 0
    other = m + 1
    while other < keys.size and keys[other] != key:
        other += 1
    following[m] = other if other < keys.size else -1

