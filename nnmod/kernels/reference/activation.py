"""The learned rectifier in plain NumPy.  x is (N, C, S); w has C slopes, or one for all."""
import numpy as np


def prelu_update_output(x, w, y):
    """y <- x where x > 0, else w x.

    x  (N, C, S)
    w  (C,) or (1,)
    y  (N, C, S)  [out]
    """
    with np.errstate(all="ignore"):
        y[...] = np.where(x <= 0, w[:, None] * x, x)


def prelu_update_grad_input(x, dy, w, dx):
    """dx <- dy where x > 0, w dy where x <= 0, and NaN where x is NaN.

    x, dy  (N, C, S)
    w      (C,) or (1,)
    dx     (N, C, S)  [out]
    """
    with np.errstate(all="ignore"):
        dx[...] = np.where(x > 0, dy, np.where(x <= 0, w[:, None] * dy, x))


def prelu_acc_grad_parameters(x, dy, dw, scale=1.0):
    """dw <- dw + scale times the sum of x dy where x <= 0, over N and S (and C for one slope).

    x, dy  (N, C, S)
    dw     (C,) or (1,)  added to
    """
    with np.errstate(all="ignore"):
        part = np.where(x > 0, 0, x * dy).sum(axis=(0, 2), dtype=np.float64)
        dw += (scale * (part if dw.size == part.size else part.sum(keepdims=True))).astype(dw.dtype)
