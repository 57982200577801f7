"""Losses that are not elementwise, in plain NumPy."""
import numpy as np


def class_nll_update_output(x, target, weights, out, ignore):
    """out[0] <- the sum of -w x[n, target[n]]; out[1] <- the sum of w.

    x        (N, C)  log-probabilities
    target   (N,)    int32 or int64, 0 .. C-1; rows whose target is *ignore* do not count
    weights  (C,) or None; w = weights[target[n]], or 1
    out      (2,)    [out] float64
    """
    counted = np.flatnonzero(target != ignore)
    classes = target[counted]
    w = np.ones(len(classes)) if weights is None else weights[classes].astype(np.float64)
    with np.errstate(all="ignore"):
        out[0] = -(w * x[counted, classes]).sum()
    out[1] = w.sum()


def class_nll_update_grad_input(target, weights, dx, ignore, average):
    """dx <- gradient of the loss, divided by the sum of weights with *average*.

    target   (N,)
    weights  (C,) or None
    dx       (N, C)  [out] 0 in rows whose target is *ignore*
    """
    counted = np.flatnonzero(target != ignore)
    classes = target[counted]
    w = np.ones(len(classes)) if weights is None else weights[classes].astype(np.float64)
    total = w.sum()
    dx[...] = 0
    dx[counted, classes] = -w / (total if average and total != 0 else 1)
