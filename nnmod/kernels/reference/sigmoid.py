"""The gated linear unit in plain NumPy: x holds the halves a and b as (N, 2, M)."""
import numpy as np


def gated_linear_unit_update_output(x, y):
    """y <- a sigmoid(b).

    x  (N, 2, M)
    y  (N, M)     [out]
    """
    with np.errstate(all="ignore"):
        y[...] = x[:, 0] / (1 + np.exp(-x[:, 1]))


def gated_linear_unit_update_grad_input(x, dy, dx):
    """dx <- (dy s, dy a s (1 - s)) with s = sigmoid(b).

    x   (N, 2, M)
    dy  (N, M)
    dx  (N, 2, M)  [out]
    """
    with np.errstate(all="ignore"):
        s = 1 / (1 + np.exp(-x[:, 1]))
        dx[:, 0] = dy * s
        dx[:, 1] = dy * x[:, 0] * (1 - s) * s
