"""Weights as direction and length, on the device: a warp to each row.  Meaning: kernels/reference/weight_norm.py."""
import math

from .compile import each_warp, number, per_warp, warp_sum


def weight_norm_update_output(v, g, norm, w, add, floor):
    """norm and w <- the norms of v, and its rows of length g.  See the reference."""
    each_warp(_update_output, v.shape[0], v, g, norm, w, number(add, v), number(floor, v))


def weight_norm_acc_grad_parameters(v, g, norm, dw, dv, dg, floor):
    """dv and dg <- themselves + the gradients by v and g.  See the reference."""
    each_warp(_acc_grad_parameters, v.shape[0], v, g, norm, dw, dv, dg, number(floor, v))


@per_warp
def _update_output(r, lane, v, g, norm, w, add, floor):
    total = v.dtype.type(0)
    for c in range(lane, v.shape[1], 32):
        total += v[r, c] * v[r, c]
    length = math.sqrt(warp_sum(total) + add)
    if length < floor:
        length = floor
    if lane == 0:
        norm[r, 0] = length
    factor = g[r, 0] / length
    for c in range(lane, v.shape[1], 32):
        w[r, c] = factor * v[r, c]


@per_warp
def _acc_grad_parameters(r, lane, v, g, norm, dw, dv, dg, floor):
    length, along = norm[r, 0], v.dtype.type(0)
    for c in range(lane, v.shape[1], 32):
        along += dw[r, c] * v[r, c]
    along = warp_sum(along) / length
    if lane == 0:
        dg[r, 0] += along
    moves = v.dtype.type(0) if length == floor else along / length
    factor = g[r, 0] / length
    for c in range(lane, v.shape[1], 32):
        dv[r, c] += factor * (dw[r, c] - moves * v[r, c])
