"""Softmax over the classes of every row or pixel, in plain NumPy."""
import numpy as np


def softmax_update_output(x, y):
    """y <- exp(x) / sum over c of exp(x).

    x  (N, C, S)  S is 1 for rows, height * width for images
    y  (N, C, S)  [out] positive, sums to 1 over c

    The maximum is subtracted first, so that exp does not overflow.  A NaN makes its
    whole column NaN.
    """
    with np.errstate(all="ignore"):
        e = np.exp(x - x.max(axis=1, keepdims=True))
        y[...] = e / e.sum(axis=1, keepdims=True)


def softmax_update_grad_input(y, dy, dx):
    """dx <- y (dy - sum over c of y dy).

    y, dy  (N, C, S)
    dx     (N, C, S)  [out]
    """
    with np.errstate(all="ignore"):
        dx[...] = y * (dy - (y * dy).sum(axis=1, keepdims=True))


def log_softmax_update_output(x, y):
    """y <- x - log sum over c of exp(x).

    x  (N, C, S)
    y  (N, C, S)  [out]
    """
    with np.errstate(all="ignore"):
        shifted = x - x.max(axis=1, keepdims=True)
        y[...] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def log_softmax_update_grad_input(y, dy, dx):
    """dx <- dy - exp(y) sum over c of dy.

    y, dy  (N, C, S)
    dx     (N, C, S)  [out]
    """
    with np.errstate(all="ignore"):
        dx[...] = dy - np.exp(y) * dy.sum(axis=1, keepdims=True)
