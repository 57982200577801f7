"""Linear maps of inputs that are mostly 0, in plain NumPy.

Example n has the entries offsets[n] .. offsets[n + 1] - 1, each a feature ``keys[m]`` and
its value ``values[m]``.  ``keys`` are int32 or int64, ``offsets`` int64 with one more
element than there are examples.
"""
import numpy as np


def entry_offsets(sizes, offsets, where):
    """offsets <- where the entries of each example start, and the last ends.

    sizes    (N,)      entries of each example
    offsets  (N + 1,)  [out] int64
    where    (1,)      [out] int64, the first example of a negative size, or -1
    """
    offsets[0] = 0
    offsets[1:] = np.cumsum(sizes)
    negative = sizes < 0
    where[0] = negative.argmax() if negative.any() else -1


def even_offsets(offsets, entries):
    """offsets <- where the entries of each example start, where each has as many.

    offsets  (N + 1,)  [out] int64
    entries  a number: entries of an example
    """
    offsets[...] = np.arange(offsets.size) * entries


def shift_keys(keys, shifted, offset):
    """shifted <- keys + offset.

    keys     (M,)
    shifted  (M,)  [out] int64
    offset is a number.
    """
    shifted[...] = keys
    shifted += offset


def split_pairs(pairs, keys, values, where, size):
    """Take apart rows of a feature and its value.

    pairs   (M, 2)
    keys    (M,)  [out] int64, 0 for a feature that is wrong
    values  (M,)  [out]
    where   (1,)  [out] int64, the first row whose feature is no whole number 0 .. size-1, or -1
    size is a number.
    """
    features = pairs[:, 0]
    with np.errstate(all="ignore"):
        right = (features >= 0) & (features < size) & (features == np.floor(features))
    keys[...] = np.where(right, features, 0)
    values[...] = pairs[:, 1]
    where[0] = -1 if right.all() else right.argmin()


def join_pairs(values, pairs):
    """pairs[n, i] <- (i, values[n, i]).

    values  (N, I)
    pairs   (N, I, 2)  [out]
    """
    pairs[..., 0] = np.arange(values.shape[1])
    pairs[..., 1] = values


def sparse_linear_update_output(keys, values, offsets, w, bias, y):
    """y[n, :] <- bias + the sum over n's entries of value w[:, key].

    keys, values  (M,)
    offsets       (N + 1,)
    w             (O, I)
    bias          (O,)
    y             (N, O)  [out]
    """
    with np.errstate(all="ignore"):
        for n in range(y.shape[0]):
            own = slice(offsets[n], offsets[n + 1])
            y[n] = bias + w[:, keys[own]] @ values[own]


def sparse_linear_acc_grad_parameters(keys, values, offsets, dy, dw, scale=1.0):
    """dw[:, key] <- itself + scale value dy[n, :], for every entry of every n.

    keys, values  (M,)
    offsets       (N + 1,)
    dy            (N, O)
    dw            (O, I)  added to
    """
    with np.errstate(all="ignore"):
        rows = dw.dtype.type(scale) * values[:, None] * dy[_examples(offsets)]
        np.add.at(dw.T, keys, rows)


def index_linear_update_output(keys, values, offsets, w, bias, y):
    """y[n, :] <- bias + the sum over n's entries of value w[key, :].

    keys, values  (M,)
    offsets       (N + 1,)
    w             (I, O)
    bias          (O,)
    y             (N, O)  [out]
    """
    with np.errstate(all="ignore"):
        for n in range(y.shape[0]):
            own = slice(offsets[n], offsets[n + 1])
            y[n] = bias + values[own] @ w[keys[own]]


def index_linear_acc_grad_parameters(keys, values, offsets, dy, dw, scale=1.0):
    """dw[key, :] <- itself + scale value dy[n, :], for every entry of every n.

    keys, values  (M,)
    offsets       (N + 1,)
    dy            (N, O)
    dw            (I, O)  added to
    """
    with np.errstate(all="ignore"):
        np.add.at(dw, keys, dw.dtype.type(scale) * values[:, None] * dy[_examples(offsets)])


def index_normalize(keys, values, shift, maxima, before, normalized, train):
    """normalized[m] <- values[m] over the greatest absolute value of its feature, plus shift[key].

    keys, values  (M,)
    shift         (I,)  added to each feature
    maxima        (I,)  greatest absolute value so far; in training raised first, entry by entry
    before        (M,)  [out] maxima[key] before that entry
    normalized    (M,)  [out] without shift within -1 .. 1
    train is True or False.
    """
    with np.errstate(all="ignore"):
        for m, k in enumerate(keys):
            size = abs(values[m])
            before[m] = maxima[k]
            if train and size > maxima[k]:
                maxima[k] = size
            if size > maxima[k]:
                normalized[m] = np.sign(values[m]) + shift[k]
            else:
                normalized[m] = (values[m] / maxima[k] if maxima[k] else values[m]) + shift[k]


def index_restore(keys, before, maxima):
    """Undo what index_normalize did to maxima.

    keys, before  (M,)
    maxima        (I,)  changed in place
    """
    maxima[keys[::-1]] = before[::-1]


def index_acc_grad_shift(keys, offsets, dy, w, dshift, scale=1.0):
    """dshift[key] <- itself + scale dy[n, :] . w[key, :], for every entry of every n.

    keys     (M,)
    offsets  (N + 1,)
    dy       (N, O)
    w        (I, O)
    dshift   (I,)  added to
    """
    with np.errstate(all="ignore"):
        np.add.at(dshift, keys, w.dtype.type(scale) * (dy[_examples(offsets)] * w[keys]).sum(axis=1))


def _examples(offsets):
    """The example of each entry."""
    return np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
