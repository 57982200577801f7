"""Connectionist temporal classification on the CPU.  Meaning and shapes: kernels/reference/ctc.py.

Samples are independent, so threads take samples and share no write.
"""
import functools
import math

import numpy as np

from ..formulas import exp
from . import functions  # noqa: F401  gives exp its compiled form
from . import threads
from .compile import IN_ORDER, inline, jit

_ordered_jit = functools.partial(jit, fastmath=IN_ORDER)
_ordered_inline = functools.partial(inline, fastmath=IN_ORDER)


def ctc_update_output(x, labels, steps, counts, alpha, losses, work, blank):
    """losses[n] <- minus the log of the summed probability of all paths.  See the reference."""
    _run(_forward, x, alpha, x, labels, steps, counts, alpha, losses, work, blank)


def ctc_update_grad_input(x, labels, steps, counts, alpha, losses, work, dx, scales, blank):
    """dx <- scales[n] times the gradient of losses[n].  See the reference."""
    _run(_backward, x, alpha, x, labels, steps, counts, alpha, losses, work, dx, scales, blank)


def _run(kernel, x, alpha, *args):
    _, T, S = alpha.shape
    threads.run(kernel, x.shape[1], threads.grain(20 * T * S, threads.ELEMENTS_PER_THREAD), *args)


@_ordered_inline
def _log_1_to_3(y):
    # log y = log sqrt 3 + 2 atanh z with z = (w - 1) / (w + 1), w = y / sqrt 3, |z| < 0.27;
    # the series is long enough for float64.
    c = type(y)
    w = y * c(1 / math.sqrt(3))
    z = (w - c(1)) / (w + c(1))
    q = z * z
    p = c(1 / 27)
    p = p * q + c(1 / 25)
    p = p * q + c(1 / 23)
    p = p * q + c(1 / 21)
    p = p * q + c(1 / 19)
    p = p * q + c(1 / 17)
    p = p * q + c(1 / 15)
    p = p * q + c(1 / 13)
    p = p * q + c(1 / 11)
    p = p * q + c(1 / 9)
    p = p * q + c(1 / 7)
    p = p * q + c(1 / 5)
    p = p * q + c(1 / 3)
    p = p * q + c(1)
    return c(2) * z * p + c(0.5 * math.log(3))


@_ordered_inline
def _log_sum(a, b, c):
    """log(exp a + exp b + exp c), -inf where all are; NaN in any makes it NaN."""
    top = a if a > b else b
    top = top if top > c else c
    nothing = top == -np.inf
    shift = type(a)(0) if nothing else top
    total = top + _log_1_to_3(exp(a - shift) + exp(b - shift) + exp(c - shift))
    # NaN hides from a comparison, but not from a sum.
    return a + b + c if nothing else total


@_ordered_inline
def _prepare(label, S, skip):
    """skip[s] <- 0 where state s may be reached from two before it (a label unlike the last), else -inf."""
    for s in range(S):
        skip[s] = 0 if s % 2 == 1 and s > 1 and label[s // 2] != label[s // 2 - 1] else -np.inf


@_ordered_inline
def _gather(row, label, blank, e):
    """e[s] <- the log-probability of the class of state s."""
    b = row[blank]
    for s in range(0, e.size, 2):
        e[s] = b
    for s in range(1, e.size, 2):
        e[s] = row[label[s // 2]]


@_ordered_inline
def _ways(p0, p1, p2, skip, top, y):
    """y <- the log-sum of p0, p1 and p2 + skip, state by state; top is scratch.

    One exp to a loop: more would be too long to become part of it, and a loop with a
    call in it does not vectorise.
    """
    zero, none = y.dtype.type(0), y.dtype.type(-np.inf)
    for s in range(y.size):
        a = p0[s] if p0[s] > p1[s] else p1[s]
        c = p2[s] + skip[s]
        top[s] = a if a > c else c
    for s in range(y.size):
        shift = zero if top[s] == none else top[s]
        y[s] = exp(p0[s] - shift)
    for s in range(y.size):
        shift = zero if top[s] == none else top[s]
        y[s] += exp(p1[s] - shift)
    for s in range(y.size):
        shift = zero if top[s] == none else top[s]
        y[s] += exp(p2[s] + skip[s] - shift)
    for s in range(y.size):
        # exp of NaN is NaN, which is not 0 either: only where all are -inf is the sum 0.
        y[s] = none if y[s] == zero else top[s] + _log_1_to_3(y[s])


@_ordered_jit
def _forward(start, stop, x, labels, steps, counts, alpha, losses, work, blank):
    none = x.dtype.type(-np.inf)
    for n in range(start, stop):
        T, label = steps[n], labels[n]
        S = 2 * counts[n] + 1
        if T == 0:
            losses[n] = 0 if counts[n] == 0 else np.inf
            continue
        skip, e, top, now = work[n, 0, :S], work[n, 1, :S], work[n, 2, :S], alpha[n, 0, :S]
        _prepare(label, S, skip)
        _gather(x[0, n], label, blank, e)
        for s in range(S):
            now[s] = e[s] if s < 2 else none
        for t in range(1, T):
            before, now = alpha[n, t - 1, :S], alpha[n, t, :S]
            _gather(x[t, n], label, blank, e)
            now[0] = before[0]
            if S > 1:
                now[1] = _log_sum(before[1], before[0], none)
                _ways(before[2:], before[1:S - 1], before[:S - 2], skip[2:], top[2:], now[2:])
            for s in range(S):
                now[s] += e[s]
        now = alpha[n, T - 1, :S]
        losses[n] = -_log_sum(now[S - 1], now[S - 2] if S > 1 else none, none)


@_ordered_jit
def _backward(start, stop, x, labels, steps, counts, alpha, losses, work, dx, scales, blank):
    none = x.dtype.type(-np.inf)
    for n in range(start, stop):
        T, label, scale, loss = steps[n], labels[n], scales[n], losses[n]
        S = 2 * counts[n] + 1
        for t in range(dx.shape[0]):
            dx[t, n] = 0
        if scale == 0:
            continue
        skip, e, back, ahead = work[n, 0, :S], work[n, 1, :S], work[n, 2, :S], work[n, 3, :S]
        _prepare(label, S, skip)
        for s in range(S):
            back[s] = 0 if s >= S - 2 else none
        for t in range(T - 1, -1, -1):
            out, forth = dx[t, n], alpha[n, t, :S]
            _gather(x[t, n], label, blank, e)
            for s in range(S):
                ahead[s] = back[s] + e[s]
            for s in range(S):
                e[s] = exp(forth[s] + back[s] + loss)
            # They sum to 1 but for rounding, which grows with the steps: that is taken out here.
            total = x.dtype.type(0)
            for s in range(S):
                total += e[s]
            share = scale / total
            # A loop of its own: next to the subtraction, the product would be rounded or not, as LLVM likes.
            for s in range(S):
                e[s] *= share
            for s in range(0, S, 2):
                out[blank] -= e[s]
            for s in range(1, S, 2):
                out[label[s // 2]] -= e[s]
            back[S - 1] = ahead[S - 1]
            if S > 1:
                back[S - 2] = _log_sum(ahead[S - 2], ahead[S - 1], none)
                _ways(ahead[:S - 2], ahead[1:S - 1], ahead[2:], skip[2:], e[2:], back[:S - 2])
