"""Connectionist temporal classification on the device.  Meaning and shapes: kernels/reference/ctc.py.

A block takes a sample and its threads the states of a step; a barrier stands between steps.
"""
import numpy as np

from ..formulas import exp, log
from .compile import THREADS, device, rebuilt
from .launch import launch
from .target import cuda


def ctc_update_output(x, labels, steps, counts, alpha, losses, work, blank):
    """losses[n] <- minus the log of the summed probability of all paths.  See the reference."""
    launch(_forward, x.shape[1], THREADS, x, labels, steps, counts, alpha, losses, blank)


def ctc_update_grad_input(x, labels, steps, counts, alpha, losses, work, dx, scales, blank):
    """dx <- scales[n] times the gradient of losses[n].  See the reference."""
    launch(_backward, x.shape[1], THREADS, x, labels, steps, counts, alpha, losses, work, dx, scales, blank)


@device
def _log_sum(a, b, c):
    """log(exp a + exp b + exp c), -inf where all are; NaN in any makes it NaN."""
    none = type(a)(-np.inf)
    top = a if a > b else b
    top = top if top > c else c
    nothing = top == none
    shift = type(a)(0) if nothing else top
    total = top + log(exp(a - shift) + exp(b - shift) + exp(c - shift))
    # NaN hides from a comparison, but not from a sum.
    return a + b + c if nothing else total


@device
def _class(labels, n, s, blank):
    """The class of state s."""
    return labels[n, s // 2] if s % 2 == 1 else blank


@device
def _skips(labels, n, s):
    """Whether state s may be reached from two before it: a label unlike the last."""
    return s % 2 == 1 and s > 1 and labels[n, s // 2] != labels[n, s // 2 - 1]


@rebuilt
def _forward(x, labels, steps, counts, alpha, losses, blank):
    n, thread = cuda.blockIdx.x, cuda.threadIdx.x
    T, S = steps[n], 2 * counts[n] + 1
    none = x.dtype.type(-np.inf)
    if T > 0:
        for s in range(thread, S, THREADS):
            alpha[n, 0, s] = x[0, n, _class(labels, n, s, blank)] if s < 2 else none
    for t in range(1, T):
        cuda.syncthreads()
        for s in range(thread, S, THREADS):
            a = alpha[n, t - 1, s]
            b = alpha[n, t - 1, s - 1] if s > 0 else none
            c = alpha[n, t - 1, s - 2] if _skips(labels, n, s) else none
            # The first state has one way in: the log of its own exponential could differ.
            way = a if s == 0 else _log_sum(a, b, c)
            alpha[n, t, s] = way + x[t, n, _class(labels, n, s, blank)]
    cuda.syncthreads()
    if thread == 0:
        if T == 0:
            losses[n] = 0 if S == 1 else -none
        else:
            losses[n] = -_log_sum(alpha[n, T - 1, S - 1], alpha[n, T - 1, S - 2] if S > 1 else none, none)


@rebuilt
def _backward(x, labels, steps, counts, alpha, losses, work, dx, scales, blank):
    n, thread = cuda.blockIdx.x, cuda.threadIdx.x
    T, L = steps[n], counts[n]
    S = 2 * L + 1
    zero, none = x.dtype.type(0), x.dtype.type(-np.inf)
    scale, loss = scales[n], losses[n]
    for t in range(dx.shape[0]):
        for k in range(thread, dx.shape[2], THREADS):
            dx[t, n, k] = zero
    # work[n]: 0 and 1 the way back from the states of this step and of the one behind it, by
    # turns; 2 the probability of each state.
    for s in range(thread, S, THREADS):
        work[n, 0, s] = zero if s >= S - 2 else none
    for step in range(T if scale != zero else 0):
        t, now, behind = T - 1 - step, step % 2, 1 - step % 2
        cuda.syncthreads()
        for s in range(thread, S, THREADS):
            if step > 0:
                a = work[n, behind, s] + x[t + 1, n, _class(labels, n, s, blank)]
                b = c = none
                if s + 1 < S:
                    b = work[n, behind, s + 1] + x[t + 1, n, _class(labels, n, s + 1, blank)]
                if s + 2 < S and _skips(labels, n, s + 2):
                    c = work[n, behind, s + 2] + x[t + 1, n, _class(labels, n, s + 2, blank)]
                work[n, now, s] = a if s + 1 == S else _log_sum(a, b, c)
            work[n, 2, s] = exp(alpha[n, t, s] + work[n, now, s] + loss)
        cuda.syncthreads()
        # They sum to 1 but for rounding, which grows with the steps: that is taken out here.
        total = zero
        for s in range(S):
            total += work[n, 2, s]
        share = scale / total
        # Each class is written by one thread: the blank's, or that of the class's first label.
        for k in range(thread, L + 1, THREADS):
            owned = blank if k == 0 else labels[n, k - 1]
            owns = k == 0 or owned != blank
            for other in range(k - 1):
                owns = owns and labels[n, other] != owned
            if owns:
                sum_of_class = zero
                for s in range(S):
                    if _class(labels, n, s, blank) == owned:
                        sum_of_class += work[n, 2, s]
                dx[t, n, owned] -= share * sum_of_class
