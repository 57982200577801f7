"""What a bilinear form needs around its matrix products, in plain NumPy.

Letters: N examples, O outputs, I features of the first input.
"""
import numpy as np


def bilinear_dots(z, x, bias, y):
    """y[n, o] <- bias[o] + the sum over i of z[n, o, i] x[n, i].

    z     (N, O, I)
    x     (N, I)
    bias  (O,) or None
    y     (N, O)  [out]
    """
    with np.errstate(all="ignore"):
        y[...] = (z * x[:, None, :]).sum(axis=2)
        if bias is not None:
            y += bias


def bilinear_weighted(z, dy, dx):
    """dx[n, i] <- the sum over o of dy[n, o] z[n, o, i].

    z   (N, O, I)
    dy  (N, O)
    dx  (N, I)  [out]
    """
    with np.errstate(all="ignore"):
        dx[...] = (z * dy[:, :, None]).sum(axis=1)


def bilinear_outer(dy, x, p):
    """p[n, o, i] <- dy[n, o] x[n, i].

    dy  (N, O)
    x   (N, I)
    p   (N, O, I)  [out]
    """
    with np.errstate(all="ignore"):
        np.multiply(dy[:, :, None], x[:, None, :], out=p)
