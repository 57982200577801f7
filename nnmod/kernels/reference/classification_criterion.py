"""Losses of class scores that are not elementwise, in plain NumPy."""
import numpy as np


def class_nll_update_output(x, target, weights, out, ignore):
    """out[0] <- the sum of -w x[n, target[n, s], s]; out[1] <- the sum of w.

    x        (N, C, S)  log-probabilities; S is 1 for rows, height * width for images
    target   (N, S)     int32 or int64, 0 .. C-1; targets equal to *ignore* do not count
    weights  (C,) or None; w = weights[target[n, s]], or 1
    out      (2,)       [out] float64
    """
    n, classes, s, w = _counted(target, weights, ignore)
    with np.errstate(all="ignore"):
        out[0] = -(w * x[n, classes, s]).sum()
    out[1] = w.sum()


def class_nll_update_grad_input(target, weights, dx, ignore, average):
    """dx <- gradient of the loss, divided by the sum of weights with *average*.

    target   (N, S)
    weights  (C,) or None
    dx       (N, C, S)  [out] 0 where the target is *ignore*
    """
    n, classes, s, w = _counted(target, weights, ignore)
    total = w.sum()
    dx[...] = 0
    dx[n, classes, s] = -w / (total if average and total != 0 else 1)


def _counted(target, weights, ignore):
    """Where the targets that count are, their classes and their weights."""
    n, s = np.nonzero(target != ignore)
    classes = target[n, s]
    w = np.ones(len(classes)) if weights is None else weights[classes].astype(np.float64)
    return n, classes, s, w


def multi_margin_update_output(x, target, weights, losses, p, margin):
    """losses[n] <- w / C times the sum over c != t of max(0, margin - x[n, t] + x[n, c])^p.

    x        (N, C)  scores
    target   (N,)    int32 or int64, t = target[n]
    weights  (C,) or None; w = weights[t], or 1
    losses   (N,)    [out] float64
    p        1 or 2
    """
    z, w = _margins(x, target, weights, margin)
    with np.errstate(all="ignore"):
        losses[...] = w * np.sum(z**p, axis=1, dtype=np.float64) / x.shape[1]


def multi_margin_update_grad_input(x, target, weights, dx, p, margin, norm):
    """dx <- norm times the gradient of C times the losses.

    x, target, weights  as in multi_margin_update_output
    dx  (N, C)  [out]
    p, margin, norm  numbers
    """
    z, w = _margins(x, target, weights, margin)
    slope = _step(z) if p == 1 else 2 * z
    dx[...] = norm * w[:, None] * slope
    dx[np.arange(len(target)), target] = -dx.sum(axis=1)


def _margins(x, target, weights, margin):
    """The margins that are violated, by how much (0 for the target itself), and the rows' weights."""
    rows = np.arange(len(target))
    with np.errstate(all="ignore"):
        z = x.dtype.type(margin) - x[rows, target][:, None] + x
    z = np.where(z <= 0, x.dtype.type(0), z)
    z[rows, target] = 0
    return z, np.ones(len(target)) if weights is None else weights[target].astype(np.float64)


def _step(z):
    """1 where z > 0, 0 where z is 0, NaN where z is NaN."""
    return np.where(z > 0, 1, z)


def multi_label_margin_update_output(x, target, is_target, losses):
    """losses[n] <- 1 / C times the sum over t in, c not in the row's targets of max(0, 1 - x[t] + x[c]).

    x          (N, C)  scores
    target     (N, C)  int32 or int64: classes up to the first that is negative
    is_target  (N, C)  [out] uint8, 1 at the classes of the row
    losses     (N,)    [out] float64
    """
    _mark(target, is_target)
    for n, row in enumerate(x):
        losses[n] = sum(np.sum(_violations(row, t, is_target[n]), dtype=np.float64)
                        for t in _classes(target[n])) / row.size


def multi_label_margin_update_grad_input(x, target, is_target, dx, norm):
    """dx <- norm times the gradient of C times the losses.

    x, target  as in multi_label_margin_update_output
    is_target  (N, C)  [out] uint8
    dx         (N, C)  [out]
    norm       number
    """
    _mark(target, is_target)
    dx[...] = 0
    for n, row in enumerate(x):
        for t in _classes(target[n]):
            slope = norm * _step(_violations(row, t, is_target[n]))
            dx[n] += slope
            dx[n, t] -= slope.sum()


def _classes(labels):
    """The labels before the first negative one."""
    return labels[:np.argmax(labels < 0)] if (labels < 0).any() else labels


def _mark(target, is_target):
    is_target[...] = 0
    for n, labels in enumerate(target):
        is_target[n, _classes(labels)] = 1


def _violations(row, t, is_target):
    with np.errstate(all="ignore"):
        z = 1 - row[t] + row
    return np.where((is_target != 0) | (z <= 0), row.dtype.type(0), z)


def class_simplex_target(simplex, target, t):
    """t[n] <- simplex[target[n]].

    simplex  (C, C)  a vertex for each class
    target   (N,)    int32 or int64, 0 .. C-1
    t        (N, C)  [out]
    """
    t[...] = simplex[target]
