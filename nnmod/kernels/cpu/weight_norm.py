"""Weights as direction and length, on the CPU.  Meaning: kernels/reference/weight_norm.py.

Threads take rows, which are independent of each other.
"""
import math

from . import threads
from .compile import jit


def weight_norm_update_output(v, g, norm, w, add, floor):
    """norm and w <- the norms of v, and its rows of length g.  See the reference."""
    threads.run(_update_output, v.shape[0], threads.grain(v.shape[1], threads.ELEMENTS_PER_THREAD),
                v, g, norm, w, float(add), float(floor))


def weight_norm_acc_grad_parameters(v, g, norm, dw, dv, dg, floor):
    """dv and dg <- themselves + the gradients by v and g.  See the reference."""
    threads.run(_acc_grad_parameters, v.shape[0], threads.grain(v.shape[1], threads.ELEMENTS_PER_THREAD),
                v, g, norm, dw, dv, dg, float(floor))


@jit
def _update_output(start, stop, v, g, norm, w, add, floor):
    add, floor = v.dtype.type(add), v.dtype.type(floor)
    for r in range(start, stop):
        vr, wr = v[r], w[r]
        total = add
        for c in range(vr.size):
            total += vr[c] * vr[c]
        length = math.sqrt(total)
        if length < floor:
            length = floor
        norm[r, 0] = length
        factor = g[r, 0] / length
        for c in range(vr.size):
            wr[c] = factor * vr[c]


@jit
def _acc_grad_parameters(start, stop, v, g, norm, dw, dv, dg, floor):
    floor = v.dtype.type(floor)
    for r in range(start, stop):
        vr, dwr, dvr, length = v[r], dw[r], dv[r], norm[r, 0]
        along = v.dtype.type(0)
        for c in range(vr.size):
            along += dwr[c] * vr[c]
        along /= length
        dg[r, 0] += along
        moves = v.dtype.type(0) if length == floor else along / length
        factor = g[r, 0] / length
        for c in range(vr.size):
            dvr[c] += factor * (dwr[c] - moves * vr[c])
