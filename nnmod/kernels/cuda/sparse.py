"""Linear maps of inputs that are mostly 0, on the device.  Meaning: kernels/reference/sparse.py.

In forward a thread computes one output.  In gradients the first entry of a feature owns its row
of the table, and its threads walk the chain of the feature's other entries (chains.py).
"""
import numpy as np

from .chains import chains
from .compile import THREADS, each, each_warp, number, per_item, per_warp, split, warp_sum
from .launch import launch, scratch
from .lookup import first_outside, note_least
from .target import cuda


def entry_offsets(sizes, offsets, where):
    """offsets <- where the entries of each example start.  See the reference."""
    each(_entry_offsets, offsets.size, sizes, offsets)
    first_outside(sizes, where, 0, np.iinfo(np.int64).max)


def even_offsets(offsets, entries):
    """offsets <- multiples of entries.  See the reference."""
    each(_even_offsets, offsets.size, offsets, entries)


def shift_keys(keys, shifted, offset):
    """shifted <- keys + offset.  See the reference."""
    each(_shift_keys, keys.size, keys, shifted, offset)


def split_pairs(pairs, keys, values, where, size):
    """keys and values <- the two columns of pairs.  See the reference."""
    right = scratch(pairs, keys.shape, np.int32)
    each(_split_pairs, keys.size, pairs, keys, values, right, size)
    launch(_first_wrong, 1, THREADS, right, where)


def join_pairs(values, pairs):
    """pairs <- features and their values.  See the reference."""
    each(_join_pairs, values.size, values, pairs)


def sparse_linear_update_output(keys, values, offsets, w, bias, y):
    """y <- bias + sums over entries.  See the reference."""
    each(_sparse_update_output, y.size, keys, values, offsets, w, bias, y)


def sparse_linear_acc_grad_parameters(keys, values, offsets, dy, dw, scale=1.0):
    """dw <- itself + scale times the entries' gradients.  See the reference."""
    each(_sparse_acc, keys.size * dw.shape[0], keys, *chains(keys), _examples(keys, offsets), values, dy, dw,
         number(scale, dw))


def index_linear_update_output(keys, values, offsets, w, bias, y):
    """y <- bias + sums over entries.  See the reference."""
    each(_index_update_output, y.size, keys, values, offsets, w, bias, y)


def index_linear_acc_grad_parameters(keys, values, offsets, dy, dw, scale=1.0):
    """dw <- itself + scale times the entries' gradients.  See the reference."""
    each(_index_acc, keys.size * dw.shape[1], keys, *chains(keys), _examples(keys, offsets), values, dy, dw,
         number(scale, dw))


def index_normalize(keys, values, shift, maxima, before, normalized, train):
    """normalized <- values over the maxima of their features.  See the reference."""
    each(_normalize, keys.size, keys, *chains(keys), values, shift, maxima, before, normalized, bool(train))


def index_restore(keys, before, maxima):
    """Undo what index_normalize did to maxima.  See the reference."""
    heads, _ = chains(keys)
    each(_restore, keys.size, keys, heads, before, maxima)


def index_acc_grad_shift(keys, offsets, dy, w, dshift, scale=1.0):
    """dshift <- itself + scale times the entries' gradients.  See the reference."""
    each_warp(_acc_grad_shift, keys.size, keys, *chains(keys), _examples(keys, offsets), dy, w, dshift,
              number(scale, w))


def _examples(keys, offsets):
    """The example of each entry."""
    examples = scratch(keys, keys.shape, np.int32)
    each(_number_examples, offsets.size - 1, offsets, examples)
    return examples


@per_item
def _number_examples(n, offsets, examples):
    for m in range(offsets[n], offsets[n + 1]):
        examples[m] = n


@per_item
def _entry_offsets(n, sizes, offsets):
    total = 0
    for other in range(n):
        total += sizes[other]
    offsets[n] = total


@per_item
def _even_offsets(n, offsets, entries):
    offsets[n] = n * entries


@per_item
def _shift_keys(m, keys, shifted, offset):
    shifted[m] = keys[m] + offset


@per_item
def _split_pairs(m, pairs, keys, values, right, size):
    f = pairs.dtype.type
    feature, key, fits = pairs[m, 0], np.int64(0), 0
    if feature >= f(0) and feature < f(2**62):
        key = np.int64(feature)
        if key < size and f(key) == feature:
            fits = 1
        else:
            key = np.int64(0)
    keys[m] = key
    values[m] = pairs[m, 1]
    right[m] = fits


def _first_wrong(right, where):
    first = right.size
    for m in range(cuda.threadIdx.x, right.size, THREADS):
        if first == right.size and right[m] == 0:
            first = m
    note_least(first, right.size, where)


@per_item
def _join_pairs(i, values, pairs):
    n, k = split(i, values.shape[1])
    pairs[n, k, 0] = pairs.dtype.type(k)
    pairs[n, k, 1] = values[n, k]


@per_item
def _sparse_update_output(i, keys, values, offsets, w, bias, y):
    n, o = split(i, y.shape[1])
    total = bias[o]
    for m in range(offsets[n], offsets[n + 1]):
        total += values[m] * w[o, keys[m]]
    y[n, o] = total


@per_item
def _index_update_output(i, keys, values, offsets, w, bias, y):
    n, o = split(i, y.shape[1])
    total = bias[o]
    for m in range(offsets[n], offsets[n + 1]):
        total += values[m] * w[keys[m], o]
    y[n, o] = total


@per_item
def _sparse_acc(i, keys, heads, following, examples, values, dy, dw, scale):
    o, m = split(i, keys.size)
    if heads[m]:
        key, total = keys[m], dw.dtype.type(0)
        while m >= 0:
            total += dy[examples[m], o] * values[m]
            m = np.int64(following[m])
        dw[o, key] += scale * total


@per_item
def _index_acc(i, keys, heads, following, examples, values, dy, dw, scale):
    m, o = split(i, dw.shape[1])
    m = np.int64(m)
    if heads[m]:
        key, total = keys[m], dw.dtype.type(0)
        while m >= 0:
            total += values[m] * dy[examples[m], o]
            m = np.int64(following[m])
        dw[key, o] += scale * total


@per_item
def _normalize(m, keys, heads, following, values, shift, maxima, before, normalized, train):
    one = values.dtype.type(1)
    m = np.int64(m)
    if heads[m]:
        key = keys[m]
        greatest, shifted = maxima[key], shift[key]
        while m >= 0:
            value = values[m]
            size = abs(value)
            before[m] = greatest
            if train and size > greatest:
                greatest = size
            if size > greatest:
                value = one if value > 0 else -one
            elif greatest != 0:
                value /= greatest
            normalized[m] = value + shifted
            m = np.int64(following[m])
        maxima[key] = greatest


@per_item
def _restore(m, keys, heads, before, maxima):
    if heads[m]:
        maxima[keys[m]] = before[m]


@per_warp
def _acc_grad_shift(m, lane, keys, heads, following, examples, dy, w, dshift, scale):
    m = np.int64(m)
    if heads[m]:
        key, total = keys[m], w.dtype.type(0)
        while m >= 0:
            for o in range(lane, w.shape[1], 32):
                total += dy[examples[m], o] * w[key, o]
            m = np.int64(following[m])
        total = warp_sum(total)
        if lane == 0:
            dshift[key] += scale * total
