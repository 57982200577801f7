"""Penalties on images, in plain NumPy.  P counts batch and channels."""
import numpy as np


def total_variation_update_grad_input(x, dy, dx, strength):
    """dx <- dy plus the gradient of the total variation of x, plane by plane.

    x, dy     (P, H, W)
    dx        (P, H, W)  [out]
    strength  the variation is strength / 2 times the sum of (x[h, w] - x[h, w + 1])**2
              and (x[h, w] - x[h + 1, w])**2, over h < H - 1 and w < W - 1
    """
    with np.errstate(all="ignore"):
        dx[...] = dy
        right = strength * (x[:, :-1, :-1] - x[:, :-1, 1:])
        below = strength * (x[:, :-1, :-1] - x[:, 1:, :-1])
        dx[:, :-1, :-1] += right + below
        dx[:, :-1, 1:] -= right
        dx[:, 1:, :-1] -= below
