"""Batch normalisation in plain NumPy (Ioffe and Szegedy, 2015).

S is what remains of a sample in a channel: H * W for images, 1 for vectors.  M =
N * S is how many values a channel has.  Sums are taken in float64.
"""
import numpy as np

from .. import formulas


def batch_norm_update_output(x, w, b, running_mean, running_var, y, mean, invstd, train, momentum, eps, rectify=False):
    """y <- (x - mean) * invstd * w + b, channel by channel; with *rectify*, and then 0 where that is negative.

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
        if rectify:
            y[...] = formulas.relu(y)


def batch_norm_relu_backward(x, y, dy, w, mean, invstd, dx, dw, db, train, scale=1.0):
    """The gradients of batch_norm_update_output with *rectify*, in one.

    x, y, dy      (N, C, S)  y is the output of the forward pass: its sign says what passed
    w             (C,) or None
    mean, invstd  (C,)       of the forward pass
    dx            (N, C, S)  [out], or None where it is not wanted
    dw, db        (C,)       added to *scale* times their gradients; None where they are not wanted
    train         as of batch_norm_update_grad_input
    """
    with np.errstate(all="ignore"):
        passed = formulas.relu_grad(y, dy)
    if dw is not None:
        batch_norm_acc_grad_parameters(x, passed, mean, invstd, dw, db, scale)
    if dx is not None:
        batch_norm_update_grad_input(x, passed, w, mean, invstd, dx, train)


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


def layer_norm_update_output(x, w, b, y, mean, factor, eps):
    """y <- (x - mean) factor w + b, row by row, with factor = sqrt(F / (sum of (x - mean)**2 + eps)).

    x             (N, F)
    w, b          (F,), or None for 1 and 0
    y             (N, F)  [out]
    mean, factor  (N,)    [out] what this pass normalised with
    """
    with np.errstate(all="ignore"):
        center = x.mean(axis=1, dtype=np.float64)
        squares = np.square(x - center[:, None]).sum(axis=1)
        mean[...] = center
        factor[...] = np.sqrt(x.shape[1] / (squares + eps))
        y[...] = (x - mean[:, None]) * factor[:, None]
        if w is not None:
            y *= w
            y += b


def layer_norm_update_grad_input(x, dy, w, mean, factor, dx):
    """dx <- (g - E[g] - z E[g z]) factor, with g = dy w, z = (x - mean) factor and E the mean of a row.

    x, dy         (N, F)
    w             (F,) or None
    mean, factor  (N,)    of the forward pass
    dx            (N, F)  [out]
    """
    with np.errstate(all="ignore"):
        z = (x - mean[:, None]) * factor[:, None]
        g = dy if w is None else dy * w
        along = (g * z).mean(axis=1, dtype=np.float64).astype(x.dtype)
        shift = g.mean(axis=1, dtype=np.float64).astype(x.dtype)
        dx[...] = (g - shift[:, None] - z * along[:, None]) * factor[:, None]


def layer_norm_acc_grad_parameters(x, dy, mean, factor, dw, db, scale=1.0):
    """dw <- dw + scale * sum over N of dy z, db <- db + scale * sum of dy, with z = (x - mean) factor.

    x, dy         (N, F)
    mean, factor  (N,)  of the forward pass
    dw, db        (F,)  added to
    """
    with np.errstate(all="ignore"):
        z = (x - mean[:, None]) * factor[:, None]
        dw += (scale * (dy * z).sum(axis=0, dtype=np.float64)).astype(dw.dtype)
        db += (scale * dy.sum(axis=0, dtype=np.float64)).astype(db.dtype)


def normalize_update_output(x, y, norm, p, eps):
    """y <- x / norm, row by row, with norm = (sum of |x|**p + eps)**(1 / p), or max |x| + eps.

    x     (N, F)
    y     (N, F)  [out]
    norm  (N,)    [out]
    p     > 0; np.inf is the largest absolute value
    """
    with np.errstate(all="ignore"):
        if np.isinf(p):
            norm[...] = np.abs(x).max(axis=1, initial=0) + eps
        else:
            norm[...] = (np.power(np.abs(x), p, dtype=np.float64).sum(axis=1) + eps) ** (1 / p)
        y[...] = x / norm[:, None]


def normalize_update_grad_input(x, dy, norm, dx, p):
    """dx <- dy / norm - c sign(x) |x|**(p-1) / norm**(p+1), c = sum of x dy.

    x, dy  (N, F)
    norm   (N,)    of the forward pass
    dx     (N, F)  [out]
    p      as in the forward pass; for np.inf only the first largest |x| of a row carries c / norm**2
    """
    with np.errstate(all="ignore"):
        c = (x * dy).sum(axis=1, dtype=np.float64)
        n = norm.astype(np.float64)
        dx[...] = dy / norm[:, None]
        if np.isinf(p):
            rows = np.arange(len(x))
            if x.shape[1]:
                first = np.abs(x).argmax(axis=1)
                dx[rows, first] -= (np.sign(x[rows, first]) * c / n**2).astype(dx.dtype)
        else:
            slope = np.sign(x) * np.power(np.abs(x / norm[:, None]), p - 1)
            dx -= slope * (c / n**2).astype(dx.dtype)[:, None]
