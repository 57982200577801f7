"""Elements taken by number or by mask, in plain NumPy.

A tensor is seen as (A, n, B): the dimension in question has n elements, and what comes
before and after it is one dimension each.
"""
import numpy as np


def index_axis(x, index, y):
    """y[a, j, b] <- x[a, index[j], b]

    x      (A, n, B)
    index  (m,)  int32 or int64, 0 .. n-1
    y      (A, m, B)  [out]
    """
    y[...] = x[:, index]


def index_axis_update_grad_input(dy, index, dx):
    """dx[a, i, b] <- the sum of dy[a, j, b] over every j with index[j] = i.

    dy     (A, m, B)
    index  (m,)
    dx     (A, n, B)  [out]
    """
    dx[...] = 0
    with np.errstate(all="ignore"):
        np.add.at(dx, (slice(None), index), dy)


def masked_select(x, mask, y):
    """y <- the elements of x where mask is not 0, in order.

    x, mask  (n,)  mask of uint8
    y        (k,)  [out], as many elements as mask has that are not 0
    """
    y[...] = x[mask != 0]


def masked_select_update_grad_input(dy, mask, dx):
    """dx <- dy, one after the other, where mask is not 0, and 0 elsewhere.

    dy        (k,)
    mask, dx  (n,)  dx is [out]
    """
    dx[...] = 0
    dx[mask != 0] = dy


def one_hot(index, y):
    """y[i, index[i]] <- 1, and 0 elsewhere.

    index  (N,)    int32 or int64, 0 .. C-1
    y      (N, C)  [out]
    """
    y[...] = 0
    y[np.arange(index.size), index] = 1
