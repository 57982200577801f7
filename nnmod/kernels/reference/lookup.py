"""Rows of a table picked by number, in plain NumPy.

``indices`` are int32 or int64, one-dimensional, and within the table.
"""
import numpy as np


def first_outside(indices, where, low, high):
    """where[0] <- the position of the first index outside low .. high-1, or -1.

    indices  (N,)  any integers
    where    (1,)  [out] int64
    low and high are numbers.
    """
    wrong = (indices < low) | (indices >= high)
    where[0] = wrong.argmax() if wrong.any() else -1


def lookup_update_output(indices, w, y):
    """y[n, :] <- w[indices[n], :].

    indices  (N,)
    w        (K, D)
    y        (N, D)  [out]
    """
    y[...] = w[indices]


def lookup_count(indices, counts):
    """counts[k] <- how often k occurs in indices; those that do not occur are left as they are.

    indices  (N,)
    counts   (K,)  [out] int32
    """
    numbers, times = np.unique(indices, return_counts=True)
    counts[numbers] = times


def lookup_acc_grad_parameters(indices, dy, counts, dw, scale=1.0, padding=-1):
    """dw[indices[n], :] <- itself + scale dy[n, :], over the count of the index where there are counts.

    indices  (N,)
    dy       (N, D)
    counts   (K,) int32 or None
    dw       (K, D)  added to
    padding  an index that gets nothing
    """
    with np.errstate(all="ignore"):
        kept = indices != padding
        indices, dy = indices[kept], dw.dtype.type(scale) * dy[kept]
        if counts is not None:
            dy /= counts[indices][:, None].astype(dy.dtype)
        np.add.at(dw, indices, dy)


def lookup_renorm(indices, w, max_norm, norm_type):
    """Scale each row w[indices[n], :] whose norm is above max_norm down to it.

    indices  (N,)
    w        (K, D)  changed in place
    max_norm, norm_type  numbers: the p-norm of a row is at most max_norm afterwards

    A row is multiplied by max_norm / (norm + 1e-7), as in Torch7.
    """
    with np.errstate(all="ignore"):
        for k in np.unique(indices):
            norm = (np.abs(w[k]) ** norm_type).sum() ** (1 / norm_type)
            if norm > max_norm:
                w[k] *= w.dtype.type(max_norm / (norm + 1e-7))


def note_rows(indices, flags, rows, count):
    """Append to rows the indices that are not there yet, and count them.

    indices  (N,)
    flags    (K,)  uint8, 1 for each index that rows holds; updated
    rows     (K,)  int64; updated
    count    (1,)  int64, how many rows holds; updated
    """
    for k in indices:
        if not flags[k]:
            flags[k] = 1
            rows[count[0]] = k
            count[0] += 1


def add_scaled_rows(rows, x, y, scale):
    """y[:, k, :] <- itself + scale x[:, k, :] for each k in rows.

    rows  (R,)       int64, no number twice
    x     (A, K, B)
    y     (A, K, B)  added to
    scale is a number.
    """
    with np.errstate(all="ignore"):
        y[:, rows] += y.dtype.type(scale) * x[:, rows]


def clear_rows(rows, x, flags, count):
    """x[:, k, :] <- 0 and flags[k] <- 0 for each k in rows; count <- 0.

    rows   (R,)       int64
    x      (A, K, B)  changed in place
    flags  (K,)       uint8; changed in place
    count  (1,)       int64 [out]
    """
    x[:, rows] = 0
    flags[rows] = 0
    count[0] = 0
