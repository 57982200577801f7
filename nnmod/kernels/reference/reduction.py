"""Sums and extremes over one dimension, in plain NumPy.

A tensor is seen as (A, n, B): the dimension in question has n elements, and what comes
before and after it is one dimension each.
"""
import numpy as np


def sum_axis(x, y, work, scale=1.0):
    """y[a, b] <- scale times the sum over i of x[a, i, b].

    x     (A, n, B)
    y     (A, B)  [out]
    work  (A, B)  [out] float64, scratch: contents undefined before and after

    Sums of more than a few elements are put together in float64.
    """
    with np.errstate(all="ignore"):
        y[...] = scale * x.sum(axis=1, dtype=np.float64)


def expand_axis(x, y, scale=1.0):
    """y[a, i, b] <- scale times x[a, b]: the adjoint of sum_axis.

    x  (A, B)
    y  (A, n, B)  [out]
    """
    with np.errstate(all="ignore"):
        y[...] = (x.dtype.type(scale) * x)[:, None, :]


def extreme_axis(x, y, where, largest=True):
    """y[a, b] <- the largest (or smallest) of x[a, :, b], where[a, b] <- its place.

    x      (A, n, B), n > 0
    y      (A, B)  [out]
    where  (A, B)  [out] int32, 0 .. n-1
    largest  False takes the smallest

    Ties go to the first place.  NaN wins over every number, so that it stays visible.
    """
    where[...] = x.argmax(axis=1) if largest else x.argmin(axis=1)
    y[...] = np.take_along_axis(x, where[:, None, :], axis=1)[:, 0, :]


def extreme_axis_update_grad_input(dy, where, dx):
    """dx <- dy at the places *where*, and 0 elsewhere.

    dy, where  (A, B)
    dx         (A, n, B)  [out]
    """
    dx[...] = 0
    np.put_along_axis(dx, where[:, None, :].astype(np.intp), dy[:, None, :], axis=1)
