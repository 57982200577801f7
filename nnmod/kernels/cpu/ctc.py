"""Connectionist temporal classification on the CPU.  Meaning and shapes: kernels/reference/ctc.py.

Samples are independent, so threads take samples and share no write.
"""
import math

import numpy as np

from ..formulas import exp
from . import functions  # noqa: F401  gives exp its compiled form
from . import threads
from .compile import inline, jit


def ctc_update_output(x, labels, steps, counts, alpha, losses, blank):
    """losses[n] <- minus the log of the summed probability of all paths.  See the reference."""
    _run(_forward, x, alpha, x, labels, steps, counts, alpha, losses, blank)


def ctc_update_grad_input(x, labels, steps, counts, alpha, losses, beta, dx, scales, blank):
    """dx <- scales[n] times the gradient of losses[n].  See the reference."""
    _run(_backward, x, alpha, x, labels, steps, counts, alpha, losses, beta, dx, scales, blank)


def _run(kernel, x, alpha, *args):
    _, T, S = alpha.shape
    threads.run(kernel, x.shape[1], threads.grain(20 * T * S, threads.ELEMENTS_PER_THREAD), *args)


@inline
def _class(labels, s, blank):
    """The class of state s: a blank where s is even."""
    return labels[s // 2] if s % 2 else blank


@inline
def _skips(labels, s):
    """Whether state s may be reached from two states before it: a label unlike the last."""
    return s % 2 == 1 and s > 1 and labels[s // 2] != labels[s // 2 - 1]


@inline
def _log_sum(a, b, c):
    """log(exp a + exp b + exp c), -inf where all are; NaN in any makes it NaN."""
    top = a if a > b else b
    top = top if top > c else c
    if top == -np.inf:
        return top + a + b + c  # NaN hides from a comparison, but not from a sum
    return top + type(a)(math.log(exp(a - top) + exp(b - top) + exp(c - top)))


@jit
def _forward(start, stop, x, labels, steps, counts, alpha, losses, blank):
    none = x.dtype.type(-np.inf)
    for n in range(start, stop):
        T, label = steps[n], labels[n]
        S = 2 * counts[n] + 1
        if T == 0:
            losses[n] = 0 if counts[n] == 0 else np.inf
            continue
        row, now = x[0, n], alpha[n, 0]
        for s in range(S):
            now[s] = row[_class(label, s, blank)] if s < 2 else none
        for t in range(1, T):
            row, before, now = x[t, n], alpha[n, t - 1], alpha[n, t]
            for s in range(S):
                now[s] = row[_class(label, s, blank)] + _log_sum(
                    before[s], before[s - 1] if s else none, before[s - 2] if _skips(label, s) else none)
        end = alpha[n, T - 1]
        losses[n] = -_log_sum(end[S - 1], end[S - 2] if S > 1 else none, none)


@jit
def _backward(start, stop, x, labels, steps, counts, alpha, losses, beta, dx, scales, blank):
    none = x.dtype.type(-np.inf)
    for n in range(start, stop):
        T, label, scale = steps[n], labels[n], scales[n]
        S = 2 * counts[n] + 1
        for t in range(dx.shape[0]):
            dx[t, n] = 0
        if scale == 0:
            continue
        back, ahead = beta[n, 0], beta[n, 1]
        for s in range(S):
            back[s] = 0 if s >= S - 2 else none
        for t in range(T - 1, -1, -1):
            row, out, forth = x[t, n], dx[t, n], alpha[n, t]
            for s in range(S):
                out[_class(label, s, blank)] -= scale * exp(forth[s] + back[s] + losses[n])
                ahead[s] = back[s] + row[_class(label, s, blank)]
            for s in range(S):
                back[s] = _log_sum(ahead[s], ahead[s + 1] if s + 1 < S else none,
                                   ahead[s + 2] if s + 2 < S and _skips(label, s + 2) else none)
