"""Weights as direction and length, in plain NumPy.

Each row of v is a direction, g its length: w = g v / norm, where norm is the length
of v as the class defines it: max(floor, sqrt(sum of v^2 + add)).
"""
import numpy as np


def weight_norm_update_output(v, g, norm, w, add, floor):
    """norm and w <- the norms of v, and its rows of length g.

    v     (R, C)
    g     (R, 1)
    norm  (R, 1)  [out]
    w     (R, C)  [out]
    add, floor  numbers; norm[r] = max(floor, sqrt(sum of v[r]^2 + add)), NaN where v[r] has one
    """
    with np.errstate(all="ignore"):
        norm[...] = np.maximum(np.sqrt((v * v).sum(axis=1, keepdims=True) + v.dtype.type(add)),
                               v.dtype.type(floor))
        w[...] = g / norm * v


def weight_norm_acc_grad_parameters(v, g, norm, dw, dv, dg, floor):
    """dv and dg <- themselves + the gradients by v and g, for the gradient dw of w.

    v, dw  (R, C)
    g      (R, 1)
    norm   (R, 1)  from weight_norm_update_output
    dv     (R, C)  added to
    dg     (R, 1)  added to
    floor  a number: at the floor the norm does not move with v
    """
    with np.errstate(all="ignore"):
        along = (dw * v).sum(axis=1, keepdims=True) / norm
        moves = np.where(norm == v.dtype.type(floor), v.dtype.type(0), along)
        dg += along
        dv += g / norm * (dw - moves / norm * v)
