"""A small tensor that meets every element of a large one, in plain NumPy.

All tensors have five dimensions; the small one has size 1 where it is repeated.
"""
import numpy as np


def broadcast_add(x, w, y):
    """y <- x + w, w repeated where its size is 1.

    x  (A, B, C, D, E)
    w  five dimensions, each that of x or 1
    y  (A, B, C, D, E)  [out]
    """
    with np.errstate(all="ignore"):
        np.add(x, w, out=y)


def broadcast_multiply(x, w, y):
    """y <- x * w, w repeated where its size is 1.

    x  (A, B, C, D, E)
    w  five dimensions, each that of x or 1
    y  (A, B, C, D, E)  [out]
    """
    with np.errstate(all="ignore"):
        np.multiply(x, w, out=y)


def broadcast_sum(x, w, scale=1.0):
    """w <- w + scale times the sum of x over the dimensions where w has size 1.

    x  (A, B, C, D, E)
    w  five dimensions, each that of x or 1; added to
    """
    with np.errstate(all="ignore"):
        w += w.dtype.type(scale) * x.sum(axis=_repeated(w), keepdims=True)


def broadcast_product_sum(x, dy, w, scale=1.0):
    """w <- w + scale times the sum of x * dy over the dimensions where w has size 1.

    x, dy  (A, B, C, D, E)
    w      five dimensions, each that of x or 1; added to
    """
    with np.errstate(all="ignore"):
        w += w.dtype.type(scale) * (x * dy).sum(axis=_repeated(w), keepdims=True)


def _repeated(w):
    return tuple(axis for axis in range(5) if w.shape[axis] == 1)
