"""Batch normalisation in plain NumPy (Ioffe and Szegedy, 2015).

S is what remains of a sample in a channel: H * W for images, 1 for vectors.  M =
N * S is how many values a channel has.  Sums are taken in float64.
"""
import numpy as np


def batch_norm_update_output(x, w, b, running_mean, running_var, y, mean, invstd, train, momentum, eps):
    """y <- (x - mean) * invstd * w + b, channel by channel.

    x                          (N, C, S)
    w, b                       (C,), or None for 1 and 0
    running_mean, running_var  (C,)       updated if train and momentum is not 0
    y                          (N, C, S)  [out]
    mean, invstd               (C,)       [out] what this pass normalised with
    train  normalise with mean and biased variance of this batch (then M > 1), and move
           the running ones by *momentum* towards its mean and unbiased variance;
           else normalise with the running ones
    eps    added to the variance: invstd = 1 / sqrt(variance + eps)
    """
    with np.errstate(all="ignore"):
        if train:
            count = x.shape[0] * x.shape[2]
            center = x.mean(axis=(0, 2), dtype=np.float64)
            # In two passes: the difference of two large sums would lose the variance.
            variance = np.square(x - center[:, None]).mean(axis=(0, 2))
            mean[...] = center
            if momentum != 0:
                _move(running_mean, center, momentum)
                _move(running_var, variance * count / (count - 1), momentum)
        else:
            mean[...] = running_mean
            variance = running_var.astype(np.float64)
        invstd[...] = 1 / np.sqrt(variance + eps)
        y[...] = (x - mean[:, None]) * _factor(invstd, w)[:, None]
        if b is not None:
            y += b[:, None]


def batch_norm_update_grad_input(x, dy, w, mean, invstd, dx, train):
    """dx <- the gradient of x.

    x, dy         (N, C, S)
    w             (C,) or None
    mean, invstd  (C,)       of the forward pass
    dx            (N, C, S)  [out]
    train  whether mean and invstd came from x, and so have gradients too:
           dx = (dy - E[dy] - z E[dy z]) * invstd * w, with z = (x - mean) * invstd
           and E the mean over N and S; else they are constants: dx = dy * invstd * w
    """
    with np.errstate(all="ignore"):
        if train:
            count = x.shape[0] * x.shape[2]
            total, product = _sums(x, dy, mean)
            slope = (product * np.square(invstd, dtype=np.float64) / count).astype(x.dtype)
            shift = (total / count).astype(x.dtype)
            dx[...] = dy - shift[:, None] - (x - mean[:, None]) * slope[:, None]
            dx *= _factor(invstd, w)[:, None]
        else:
            dx[...] = dy * _factor(invstd, w)[:, None]


def batch_norm_acc_grad_parameters(x, dy, mean, invstd, dw, db, scale=1.0):
    """dw <- dw + scale * sum of dy z, db <- db + scale * sum of dy, with z = (x - mean) * invstd.

    x, dy         (N, C, S)
    mean, invstd  (C,)  of the forward pass
    dw, db        (C,)  added to
    """
    with np.errstate(all="ignore"):
        total, product = _sums(x, dy, mean)
        dw += (scale * product * invstd).astype(dw.dtype)
        db += (scale * total).astype(db.dtype)


def _sums(x, dy, mean):
    """Sum of dy, and of dy (x - mean), for each channel in float64."""
    product = (dy.astype(np.float64) * (x - mean[:, None])).sum(axis=(0, 2))
    return dy.sum(axis=(0, 2), dtype=np.float64), product


def _factor(invstd, w):
    return invstd if w is None else invstd * w


def _move(running, towards, momentum):
    running[...] = (1 - momentum) * running + momentum * towards
