"""Connectionist temporal classification (Graves et al., 2006), in plain NumPy.

The path of a sample goes through 2 L + 1 states: its L labels with a blank before,
between and after them.  A step stays in its state, goes on to the next, or skips a
blank between two labels that differ.  All is in logarithms.
"""
import numpy as np


def ctc_update_output(x, labels, steps, counts, alpha, losses, work, blank):
    """losses[n] <- minus the log of the summed probability of all paths of sample n.

    x       (T, N, C)            log-probabilities
    labels  (N, S)               int64; of sample n the first counts[n] count
    steps   (N,)                 int64, of sample n the first steps[n] steps count
    counts  (N,)                 int64
    alpha   (N, T, 2 S + 1)      [out] within the steps and states of each sample: log of
                                 the probability of all paths to a state, that step included
    losses  (N,)                 [out] inf where no path is possible
    work    (N, 4, 2 S + 1)      [out] scratch
    blank   the class that stands for no label
    """
    with np.errstate(all="ignore"):
        for n in range(x.shape[1]):
            states = _states(labels[n, :counts[n]], blank)
            T, S = int(steps[n]), states.size
            if T == 0:
                losses[n] = 0 if counts[n] == 0 else np.inf
                continue
            a = alpha[n]
            a[0, :S] = -np.inf
            a[0, :min(S, 2)] = x[0, n, states[:2]]
            for t in range(1, T):
                a[t, :S] = _step(a[t - 1, :S], _skips(states)) + x[t, n, states]
            losses[n] = -np.logaddexp.reduce(a[T - 1, max(S - 2, 0):S])


def ctc_update_grad_input(x, labels, steps, counts, alpha, losses, work, dx, scales, blank):
    """dx <- scales[n] times the gradient of losses[n]: minus the probability of each class at each step.

    x, labels, steps, counts, alpha, losses  of the forward pass
    work    (N, 4, 2 S + 1)  [out] scratch
    dx      (T, N, C)        [out] 0 beyond the steps of a sample
    scales  (N,)             a scale of 0 gives 0 even where the loss is inf
    """
    dx[...] = 0
    with np.errstate(all="ignore"):
        for n in range(x.shape[1]):
            states = _states(labels[n, :counts[n]], blank)
            T, S = int(steps[n]), states.size
            if scales[n] == 0 or T == 0:
                continue
            back = np.full(S, -np.inf, x.dtype)
            back[max(S - 2, 0):] = 0
            for t in reversed(range(T)):
                p = np.exp(alpha[n, t, :S] + back + losses[n])
                # They sum to 1 but for rounding, which grows with the steps: that is taken out here.
                np.add.at(dx[t, n], states, -scales[n] * (p / p.sum()))
                back = _step((back + x[t, n, states])[::-1], _skips(states[::-1]))[::-1]


def _states(labels, blank):
    states = np.full(2 * labels.size + 1, blank, np.int64)
    states[1::2] = labels
    return states


def _skips(states):
    """Whether each state may be reached from two states before it: a label unlike that one."""
    skips = np.zeros(states.size, bool)
    skips[2:] = states[2:] != states[:-2]
    return skips


def _step(before, skips):
    """The log of the sum over the ways into each state."""
    total = before.copy()
    total[1:] = np.logaddexp(total[1:], before[:-1])
    total[2:] = np.where(skips[2:], np.logaddexp(total[2:], before[:-2]), total[2:])
    return total
