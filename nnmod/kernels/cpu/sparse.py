"""Linear maps of inputs that are mostly 0, on the CPU.  Meaning: kernels/reference/sparse.py.

Where the weight has a row for each output, threads take outputs; where it has one for
each feature, they take examples in forward, and in gradients parts of the table, of
which every thread reads all entries.  So an element has one writer and one order.
"""
from . import threads
from .compile import jit


def entry_offsets(sizes, offsets, where):
    """offsets <- where the entries of each example start.  See the reference."""
    _entry_offsets(sizes, offsets, where)


def even_offsets(offsets, entries):
    """offsets <- multiples of entries.  See the reference."""
    _even_offsets(offsets, entries)


def shift_keys(keys, shifted, offset):
    """shifted <- keys + offset.  See the reference."""
    _shift_keys(keys, shifted, offset)


def split_pairs(pairs, keys, values, where, size):
    """keys and values <- the two columns of pairs.  See the reference."""
    _split_pairs(pairs, keys, values, where, size)


def join_pairs(values, pairs):
    """pairs <- features and their values.  See the reference."""
    threads.run(_join_pairs, values.shape[0], threads.grain(values.shape[1], threads.ELEMENTS_PER_THREAD),
                values, pairs)


def sparse_linear_update_output(keys, values, offsets, w, bias, y):
    """y <- bias + sums over entries.  See the reference."""
    threads.run(_sparse_update_output, w.shape[0], threads.grain(keys.size, threads.ELEMENTS_PER_THREAD),
                keys, values, offsets, w, bias, y)


def sparse_linear_acc_grad_parameters(keys, values, offsets, dy, dw, scale=1.0):
    """dw <- itself + scale times the entries' gradients.  See the reference."""
    threads.run(_sparse_acc, dw.shape[0], threads.grain(keys.size, threads.ELEMENTS_PER_THREAD),
                keys, values, offsets, dy, dw, float(scale))


def index_linear_update_output(keys, values, offsets, w, bias, y):
    """y <- bias + sums over entries.  See the reference."""
    N, O = y.shape
    threads.run(_index_update_output, N, threads.grain(keys.size * O // max(1, N), threads.ELEMENTS_PER_THREAD),
                keys, values, offsets, w, bias, y)


def index_linear_acc_grad_parameters(keys, values, offsets, dy, dw, scale=1.0):
    """dw <- itself + scale times the entries' gradients.  See the reference."""
    I, O = dw.shape
    threads.run(_index_acc, I, threads.grain(keys.size * O // I, threads.ELEMENTS_PER_THREAD),
                keys, values, offsets, dy, dw, float(scale))


def index_normalize(keys, values, shift, maxima, before, normalized, train):
    """normalized <- values over the maxima of their features.  See the reference."""
    _normalize(keys, values, shift, maxima, before, normalized, bool(train))


def index_restore(keys, before, maxima):
    """Undo what index_normalize did to maxima.  See the reference."""
    _restore(keys, before, maxima)


def index_acc_grad_shift(keys, offsets, dy, w, dshift, scale=1.0):
    """dshift <- itself + scale times the entries' gradients.  See the reference."""
    _acc_grad_shift(keys, offsets, dy, w, dshift, float(scale))


@jit
def _entry_offsets(sizes, offsets, where):
    where[0] = -1
    offsets[0] = 0
    for n in range(sizes.size):
        if sizes[n] < 0 and where[0] < 0:
            where[0] = n
        offsets[n + 1] = offsets[n] + sizes[n]


@jit
def _even_offsets(offsets, entries):
    for n in range(offsets.size):
        offsets[n] = n * entries


@jit
def _shift_keys(keys, shifted, offset):
    for m in range(keys.size):
        shifted[m] = keys[m] + offset


@jit
def _split_pairs(pairs, keys, values, where, size):
    where[0] = -1
    for m in range(keys.size):
        feature = pairs[m, 0]
        key = 0
        if feature >= 0 and feature < size:
            key = int(feature)
        if feature != key:
            key = 0
            if where[0] < 0:
                where[0] = m
        keys[m] = key
        values[m] = pairs[m, 1]


@jit
def _join_pairs(start, stop, values, pairs):
    for n in range(start, stop):
        for i in range(values.shape[1]):
            pairs[n, i, 0] = i
            pairs[n, i, 1] = values[n, i]


@jit
def _sparse_update_output(start, stop, keys, values, offsets, w, bias, y):
    for o in range(start, stop):
        wo = w[o]
        for n in range(y.shape[0]):
            total = bias[o]
            for m in range(offsets[n], offsets[n + 1]):
                total += values[m] * wo[keys[m]]
            y[n, o] = total


@jit
def _sparse_acc(start, stop, keys, values, offsets, dy, dw, scale):
    scale = dw.dtype.type(scale)
    for o in range(start, stop):
        dwo = dw[o]
        for n in range(dy.shape[0]):
            factor = scale * dy[n, o]
            for m in range(offsets[n], offsets[n + 1]):
                dwo[keys[m]] += factor * values[m]


@jit
def _index_update_output(start, stop, keys, values, offsets, w, bias, y):
    for n in range(start, stop):
        yn = y[n]
        for o in range(yn.size):
            yn[o] = bias[o]
        first, last = offsets[n], offsets[n + 1]
        last4 = first + (last - first) // 4 * 4
        for m in range(first, last4, 4):
            w0, w1, w2, w3 = w[keys[m]], w[keys[m + 1]], w[keys[m + 2]], w[keys[m + 3]]
            v0, v1, v2, v3 = values[m], values[m + 1], values[m + 2], values[m + 3]
            for o in range(yn.size):
                yn[o] += (v0 * w0[o] + v1 * w1[o]) + (v2 * w2[o] + v3 * w3[o])
        for m in range(last4, last):
            wk, value = w[keys[m]], values[m]
            for o in range(yn.size):
                yn[o] += value * wk[o]


@jit
def _index_acc(start, stop, keys, values, offsets, dy, dw, scale):
    scale = dw.dtype.type(scale)
    for n in range(dy.shape[0]):
        dyn = dy[n]
        for m in range(offsets[n], offsets[n + 1]):
            k = keys[m]
            if start <= k < stop:
                row, factor = dw[k], scale * values[m]
                for o in range(row.size):
                    row[o] += factor * dyn[o]


@jit
def _normalize(keys, values, shift, maxima, before, normalized, train):
    for m in range(keys.size):
        k, value = keys[m], values[m]
        size = abs(value)
        before[m] = maxima[k]
        if train and size > maxima[k]:
            maxima[k] = size
        if size > maxima[k]:
            value = values.dtype.type(1) if value > 0 else values.dtype.type(-1)
        elif maxima[k] != 0:
            value /= maxima[k]
        normalized[m] = value + shift[k]


@jit
def _restore(keys, before, maxima):
    for m in range(keys.size - 1, -1, -1):
        maxima[keys[m]] = before[m]


@jit
def _acc_grad_shift(keys, offsets, dy, w, dshift, scale):
    scale = w.dtype.type(scale)
    for n in range(dy.shape[0]):
        dyn = dy[n]
        for m in range(offsets[n], offsets[n + 1]):
            wk = w[keys[m]]
            total = w.dtype.type(0)
            for o in range(wk.size):
                total += dyn[o] * wk[o]
            dshift[keys[m]] += scale * total
