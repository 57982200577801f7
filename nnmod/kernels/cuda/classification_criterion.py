"""Losses of class scores on the device.  Meaning: kernels/reference/classification_criterion.py.

A warp takes a row; its 32 threads take classes.  Losses are summed in float64, as on the CPU.
"""
import numpy as np

from .compile import THREADS, each, each_warp, number, or_empty, per_item, per_warp, split, warp_sum, wide
from .elementwise import add_parts, add_up, parts_of
from .launch import launch, scratch
from .target import cuda


def class_nll_update_output(x, target, weights, out, ignore):
    """out <- the weighted sum of the losses, and the sum of the weights."""
    _class_sums(x, target, weights, out, ignore, True)


def class_nll_update_grad_input(target, weights, dx, ignore, average):
    """dx <- gradient of the loss."""
    norm = scratch(dx, (1,), dx.dtype)
    sums = scratch(dx, (2,), np.float64)
    if average:
        _class_sums(dx, target, weights, sums, ignore, False)
    launch(_norm, 1, 1, sums, norm, bool(average))
    each(_class_nll_grad, dx.size, target, or_empty(weights, dx), norm, dx, ignore)


def multi_margin_update_output(x, target, weights, losses, p, margin):
    """losses[n] <- how far the other classes violate the margin.  See the reference."""
    each_warp(_multi_margin, x.shape[0], x, target, or_empty(weights, x), losses, p, number(margin, x))


def multi_margin_update_grad_input(x, target, weights, dx, p, margin, norm):
    """dx <- norm times the gradient.  See the reference."""
    each_warp(_multi_margin_grad, x.shape[0], x, target, or_empty(weights, x), dx, p, number(margin, x),
              number(norm, x))


def multi_label_margin_update_output(x, target, is_target, losses):
    """losses[n] <- how far the other classes violate the margins.  See the reference."""
    each_warp(_multi_label_margin, x.shape[0], x, target, is_target, losses)


def multi_label_margin_update_grad_input(x, target, is_target, dx, norm):
    """dx <- norm times the gradient.  See the reference."""
    each_warp(_multi_label_margin_grad, x.shape[0], x, target, is_target, dx, number(norm, x))


def class_simplex_target(simplex, target, t):
    """t[n] <- simplex[target[n]]."""
    each(_class_simplex_target, t.size, simplex, target, t)


def _class_sums(x, target, weights, out, ignore, losses):
    """out[0] <- the weighted sum of the losses, if asked for; out[1] <- the sum of the weights."""
    parts = parts_of(target.size)
    sums = scratch(x, (2, parts), np.float64)
    launch(_class_nll, parts, THREADS, x, target.reshape(target.size), or_empty(weights, x), sums[0], sums[1],
           ignore, losses)
    launch(add_parts, 1, THREADS, sums[0], out[:1])
    launch(add_parts, 1, THREADS, sums[1], out[1:])


@wide("losses are summed in float64")
def _class_nll(x, target, weights, losses, totals, ignore, reads):
    loss = total = 0.0
    S = x.shape[2]
    for i in range(cuda.grid(1), target.size, cuda.gridsize(1)):
        t = target[i]
        if t != ignore:
            w = np.float64(weights[t]) if weights.size else 1.0
            total += w
            if reads:
                loss -= w * x[i // S, t, i % S]
    add_up(loss, losses)
    add_up(total, totals)


@wide("the sum of the weights comes in float64")
def _norm(sums, norm, average):
    norm[0] = -1 / sums[1] if average and sums[1] != 0 else -1


@per_item
def _class_nll_grad(i, target, weights, norm, dx, ignore):
    i, s = split(i, dx.shape[2])
    n, c = split(i, dx.shape[1])
    t = target[n, s]
    value = dx.dtype.type(0)
    if t == c and t != ignore:
        value = norm[0] * weights[t] if weights.size else norm[0]
    dx[n, c, s] = value


@per_warp
def _multi_margin(n, lane, x, target, weights, losses, p, margin):
    t, zero = target[n], x.dtype.type(0)
    offset = margin - x[n, t]
    total = 0.0
    for c in range(lane, x.shape[1], 32):
        if c != t:
            z = offset + x[n, c]
            z = zero if z <= zero else z
            total += np.float64(z) if p == 1 else np.float64(z) * np.float64(z)
    total = warp_sum(total)
    if lane == 0:
        losses[n] = (weights[t] * total if weights.size else total) / x.shape[1]


@per_warp
def _multi_margin_grad(n, lane, x, target, weights, dx, p, margin, norm):
    t, zero, one = target[n], x.dtype.type(0), x.dtype.type(1)
    offset, total = margin - x[n, t], zero
    g = norm * weights[t] if weights.size else norm
    for c in range(lane, x.shape[1], 32):
        if c != t:
            z = offset + x[n, c]
            z = zero if z <= zero else z
            slope = g * (one if z > zero else z) if p == 1 else (g + g) * z
            dx[n, c] = slope
            total += slope
    total = warp_sum(total)
    if lane == 0:
        dx[n, t] = -total


@per_warp
def _multi_label_margin(n, lane, x, target, is_target, losses):
    zero, one = x.dtype.type(0), x.dtype.type(1)
    C, total = x.shape[1], 0.0
    for c in range(lane, C, 32):  # a thread reads only the flags that it has set
        k = flag = 0
        while k < C and target[n, k] >= 0:
            flag |= target[n, k] == c
            k += 1
        is_target[n, c] = flag
    k = 0
    while k < C and target[n, k] >= 0:
        offset = one - x[n, target[n, k]]
        for c in range(lane, C, 32):
            z = offset + x[n, c]
            if is_target[n, c] == 0 and not z <= zero:
                total += np.float64(z)
        k += 1
    total = warp_sum(total)
    if lane == 0:
        losses[n] = total / C


@per_warp
def _multi_label_margin_grad(n, lane, x, target, is_target, dx, norm):
    zero, one = x.dtype.type(0), x.dtype.type(1)
    C = x.shape[1]
    for c in range(lane, C, 32):  # a thread reads and writes only its own classes
        k = flag = 0
        while k < C and target[n, k] >= 0:
            flag |= target[n, k] == c
            k += 1
        is_target[n, c] = flag
        dx[n, c] = zero
    k = 0
    while k < C and target[n, k] >= 0:
        t = target[n, k]
        offset, total = one - x[n, t], zero
        for c in range(lane, C, 32):
            z = offset + x[n, c]
            if is_target[n, c] == 0 and not z <= zero:
                slope = norm * (one if z > zero else z)
                dx[n, c] += slope
                total += slope
        total = warp_sum(total)
        if lane == t % 32:
            dx[n, t] -= total
        k += 1


@per_item
def _class_simplex_target(i, simplex, target, t):
    n, k = split(i, t.shape[1])
    t[n, k] = simplex[target[n], k]
