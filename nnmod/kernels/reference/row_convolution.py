"""Convolution along a sequence of frames, each feature by itself, in plain NumPy."""
import numpy as np


def row_conv_work_size(x_shape, w_shape, y_shape, stride):
    """How many elements of scratch the three kernels below need for these shapes.

    The scratch is their argument *work*: 1-D, of the tensors' dtype, contents
    undefined before and after.  This backend allocates its own and needs none.
    """
    return 0


def row_conv_update_output(x, w, b, y, work, stride):
    """y[n, t, f] <- b[f] + sum over k of w[f, k] x[n, t * stride + k, f]

    x       (N, T, F)
    w       (F, k)
    b       (F,) or None
    y       (N, OT, F)  [out]
    work    (row_conv_work_size(...),)  [out]
    stride  an int
    """
    with np.errstate(all="ignore"):
        y[...] = 0 if b is None else b
        for k, seen in _taps(x, w, y, stride):
            y += w[:, k] * seen


def row_conv_update_grad_input(dy, w, dx, work, stride):
    """dx <- the gradient of x: each dy goes back, times w, to the frames its window saw.

    dy    (N, OT, F)
    w     (F, k)
    dx    (N, T, F)  [out]
    work  (row_conv_work_size(...),)  [out]
    """
    dx[...] = 0
    with np.errstate(all="ignore"):
        for k, seen in _taps(dx, w, dy, stride):
            seen += w[:, k] * dy


def row_conv_acc_grad_parameters(x, dy, dw, db, work, stride, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.

    x     (N, T, F)
    dy    (N, OT, F)
    dw    (F, k)        added to
    db    (F,) or None  added to
    work  (row_conv_work_size(...),)  [out]
    """
    scale = dw.dtype.type(scale)
    with np.errstate(all="ignore"):
        for k, seen in _taps(x, dw, dy, stride):
            dw[:, k] += scale * (dy * seen).sum(axis=(0, 1))
        if db is not None:
            db += scale * dy.sum(axis=(0, 1))


def _taps(x, w, y, stride):
    """For each place k in the window, the frames that all windows see there: (N, OT, F)."""
    for k in range(w.shape[1]):
        yield k, x[:, k:k + (y.shape[1] - 1) * stride + 1:stride]
