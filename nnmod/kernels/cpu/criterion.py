"""Losses that are not elementwise, on the CPU.  Meaning: kernels/reference/criterion.py.

One pass over N targets: too little work for a second thread.
"""
from .compile import jit
from .linear import empty_vector


def class_nll_update_output(x, target, weights, out, ignore):
    """out <- the weighted sum of the losses, and the sum of the weights."""
    _class_nll(x, target, empty_vector(x) if weights is None else weights, out, ignore)


def class_nll_update_grad_input(target, weights, dx, ignore, average):
    """dx <- gradient of the loss."""
    _class_nll_grad(target, empty_vector(dx) if weights is None else weights, dx, ignore, average)


@jit
def _class_nll(x, target, weights, out, ignore):
    loss = total = 0.0
    for n in range(target.size):
        if target[n] != ignore:
            w = weights[target[n]] if weights.size else 1.0
            loss -= w * x[n, target[n]]
            total += w
    out[0] = loss
    out[1] = total


@jit
def _class_nll_grad(target, weights, dx, ignore, average):
    total = 0.0
    for n in range(target.size):
        if target[n] != ignore:
            total += weights[target[n]] if weights.size else 1.0
    norm = -1.0 / total if average and total != 0 else -1.0
    for n in range(target.size):
        row = dx[n]
        row[:] = 0
        if target[n] != ignore:
            row[target[n]] = norm * (weights[target[n]] if weights.size else 1.0)
