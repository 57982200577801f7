"""Losses of class scores on the CPU.  Meaning: kernels/reference/classification_criterion.py.

Rows are independent, and each row's loss is summed in float64 in one fixed order, so
threads share no write and change no bit.  Summing over N targets is too little work
for a second thread.
"""
import numpy as np

from . import threads
from .compile import inline, jit
from .linear import empty_vector


def class_nll_update_output(x, target, weights, out, ignore):
    """out <- the weighted sum of the losses, and the sum of the weights."""
    _class_nll(x, target, empty_vector(x) if weights is None else weights, out, ignore)


def class_nll_update_grad_input(target, weights, dx, ignore, average):
    """dx <- gradient of the loss."""
    N, C, S = dx.shape
    weights = empty_vector(dx) if weights is None else weights
    if dx.size < 2 * threads.ELEMENTS_PER_THREAD:
        _class_nll_grad(0, N, target, weights, dx, ignore, average)
    else:
        threads.run(_class_nll_grad, N, threads.grain(C * S, threads.ELEMENTS_PER_THREAD),
                    target, weights, dx, ignore, average)


def multi_margin_update_output(x, target, weights, losses, p, margin):
    """losses[n] <- how far the other classes violate the margin.  See the reference."""
    _rows(_multi_margin, x, target, empty_vector(x) if weights is None else weights, losses, p, float(margin))


def multi_margin_update_grad_input(x, target, weights, dx, p, margin, norm):
    """dx <- norm times the gradient.  See the reference."""
    _rows(_multi_margin_grad, x, target, empty_vector(x) if weights is None else weights, dx, p,
          float(margin), float(norm))


def multi_label_margin_update_output(x, target, is_target, losses):
    """losses[n] <- how far the other classes violate the margins.  See the reference."""
    _rows(_multi_label_margin, x, target, is_target, losses)


def multi_label_margin_update_grad_input(x, target, is_target, dx, norm):
    """dx <- norm times the gradient.  See the reference."""
    _rows(_multi_label_margin_grad, x, target, is_target, dx, float(norm))


def class_simplex_target(simplex, target, t):
    """t[n] <- simplex[target[n]]."""
    _class_simplex_target(simplex, target, t)


def _rows(kernel, x, *args):
    N, C = x.shape
    if x.size < 2 * threads.ELEMENTS_PER_THREAD:
        kernel(0, N, x, *args)
    else:
        threads.run(kernel, N, threads.grain(C, threads.ELEMENTS_PER_THREAD), x, *args)


@jit
def _class_nll(x, target, weights, out, ignore):
    loss = total = 0.0
    for n in range(target.shape[0]):
        for s in range(target.shape[1]):
            t = target[n, s]
            if t != ignore:
                w = weights[t] if weights.size else 1.0
                loss -= w * x[n, t, s]
                total += w
    out[0] = loss
    out[1] = total


@jit
def _class_nll_grad(start, stop, target, weights, dx, ignore, average):
    norm = -1.0
    if average:  # every thread sums all weights, in the same order
        total = 0.0
        for n in range(target.shape[0]):
            for s in range(target.shape[1]):
                if target[n, s] != ignore:
                    total += weights[target[n, s]] if weights.size else 1.0
        norm = -1.0 / total if total != 0 else -1.0
    for n in range(start, stop):
        dx[n] = 0
        for s in range(target.shape[1]):
            t = target[n, s]
            if t != ignore:
                dx[n, t, s] = norm * (weights[t] if weights.size else 1.0)


@inline
def _violations(row, offset, p):
    """The sum of max(0, offset + row[c])^p; NaN stays."""
    zero = row.dtype.type(0)
    total = 0.0
    for c in range(row.size):
        z = offset + row[c]
        z = zero if z <= zero else z
        total += np.float64(z) if p == 1 else np.float64(z) * np.float64(z)
    return total


@inline
def _violation_slopes(row, dx, offset, p, g):
    """dx[c] <- g times the derivative of max(0, offset + row[c])^p; returns their sum."""
    zero, one = row.dtype.type(0), row.dtype.type(1)
    total = 0.0
    for c in range(row.size):
        z = offset + row[c]
        z = zero if z <= zero else z
        slope = g * (one if z > zero else z) if p == 1 else (g + g) * z
        dx[c] = slope
        total += slope
    return total


@jit
def _multi_margin(start, stop, x, target, weights, losses, p, margin):
    C = x.shape[1]
    for n in range(start, stop):
        row, t = x[n], target[n]
        offset = x.dtype.type(margin) - row[t]
        # The target's own term is left out rather than taken away: Inf - Inf would be NaN.
        total = _violations(row[:t], offset, p) + _violations(row[t + 1:], offset, p)
        losses[n] = (weights[t] * total if weights.size else total) / C


@jit
def _multi_margin_grad(start, stop, x, target, weights, dx, p, margin, norm):
    for n in range(start, stop):
        row, t = x[n], target[n]
        offset = x.dtype.type(margin) - row[t]
        g = x.dtype.type(norm * weights[t] if weights.size else norm)
        total = _violation_slopes(row[:t], dx[n, :t], offset, p, g)
        total += _violation_slopes(row[t + 1:], dx[n, t + 1:], offset, p, g)
        dx[n, t] = -total


@inline
def _mark(labels, is_target):
    """Set the flags of a row; returns how many labels come before the first negative one."""
    is_target[:] = 0
    count = 0
    while count < labels.size and labels[count] >= 0:
        is_target[labels[count]] = 1
        count += 1
    return count


@jit
def _multi_label_margin(start, stop, x, target, is_target, losses):
    zero, one = x.dtype.type(0), x.dtype.type(1)
    for n in range(start, stop):
        row, labels, flags = x[n], target[n], is_target[n]
        total = 0.0
        for k in range(_mark(labels, flags)):
            offset = one - row[labels[k]]
            for c in range(row.size):
                z = offset + row[c]
                z = zero if z <= zero else z
                total += zero if flags[c] != 0 else z
        losses[n] = total / row.size


@jit
def _multi_label_margin_grad(start, stop, x, target, is_target, dx, norm):
    zero, one, g = x.dtype.type(0), x.dtype.type(1), x.dtype.type(norm)
    for n in range(start, stop):
        row, labels, flags, out = x[n], target[n], is_target[n], dx[n]
        count = _mark(labels, flags)
        out[:] = 0
        for k in range(count):
            offset = one - row[labels[k]]
            total = zero
            for c in range(row.size):
                z = offset + row[c]
                z = zero if z <= zero else z
                slope = g * (one if z > zero else z)
                slope = zero if flags[c] != 0 else slope
                out[c] += slope
                total += slope
            out[labels[k]] -= total


@jit
def _class_simplex_target(simplex, target, t):
    for n in range(target.size):
        t[n] = simplex[target[n]]
