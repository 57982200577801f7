"""Convolution of single planes in plain NumPy: each pair of an input and an output plane has its own window.

The pairs are integers (K, 2): window k leads from plane pairs[k, 0] of x to plane
pairs[k, 1] of y.  Several pairs may lead to one plane, and none.  *to* and *back* are the
same pairs in the order of the planes of y and of x, for kernels that want to go through
them so: (order, first), where the windows of plane p are order[first[p]:first[p + 1]].

A bias of planes is b (M, A): plane a * M + m of the A * M planes has b[m, a].
"""
import numpy as np

from .windows import padded, taps, unpadded


def plane_conv_work_size(x_shape, w_shape, y_shape, stride, pad):
    """How many elements of scratch the three kernels below need for these shapes.

    The scratch is their argument *work*: 1-D, of the tensors' dtype, contents
    undefined before and after.  This backend allocates its own and needs none.
    """
    return 0


def plane_conv_update_output(x, w, b, pairs, to, y, work, stride, pad):
    """y[n, p, h, v] <- b + sum over windows k to p, i, j of w[k, i, j] x[n, pairs[k, 0], row, column]

    with row = h * stride - pad + i, column in the same way; outside x is 0.

    x      (N, C, H, W)
    w      (K, kh, kw)
    b      (M, O / M) or None
    pairs  (K, 2), int64
    to     (order, first), int64 (K,) and (O + 1,)
    y      (N, O, OH, OW)  [out]
    work   (plane_conv_work_size(...),)  [out]
    """
    with np.errstate(all="ignore"):
        y[...] = 0
        for k, (source, target) in enumerate(pairs):
            for tap, seen in _taps(_wide(x[:, source], w, y, stride, pad), w, y, stride):
                y[:, target] += w[k][tap] * seen
        if b is not None:
            add_planes(b, y)


def plane_conv_update_grad_input(dy, w, pairs, back, dx, work, stride, pad):
    """dx <- the gradient of x: each dy goes back, times w, to the elements its windows saw.

    dy     (N, O, OH, OW)
    w      (K, kh, kw)
    pairs  (K, 2), int64
    back   (order, first), int64 (K,) and (C + 1,)
    dx     (N, C, H, W)  [out]
    work   (plane_conv_work_size(...),)  [out]
    """
    dx[...] = 0
    with np.errstate(all="ignore"):
        for k, (source, target) in enumerate(pairs):
            wide = _wide(np.zeros_like(dx[:, source]), w, dy, stride, pad)
            for tap, seen in _taps(wide, w, dy, stride):
                seen += w[k][tap] * dy[:, target]
            dx[:, source] += unpadded(wide, dx.shape[2:], pad)


def plane_conv_acc_grad_parameters(x, dy, pairs, dw, work, stride, pad, scale=1.0):
    """dw <- itself + scale times the gradient of w.

    x      (N, C, H, W)
    dy     (N, O, OH, OW)
    pairs  (K, 2), int64
    dw     (K, kh, kw)  added to
    work   (plane_conv_work_size(...),)  [out]
    """
    with np.errstate(all="ignore"):
        for k, (source, target) in enumerate(pairs):
            for tap, seen in _taps(_wide(x[:, source], dw, dy, stride, pad), dw, dy, stride):
                dw[k][tap] += dw.dtype.type(scale) * (seen * dy[:, target]).sum()


def add_planes(b, y):
    """y <- itself + the bias of every plane.

    b  (M, A)
    y  (N, A * M, ...)  added to
    """
    with np.errstate(all="ignore"):
        y += b.T.reshape(-1, *(1 for _ in y.shape[2:]))


def sum_planes(dy, db, scale=1.0):
    """db <- itself + scale times the sum over samples and elements of every plane.

    dy  (N, A * M, ...)
    db  (M, A)  added to
    """
    with np.errstate(all="ignore"):
        sums = dy.reshape(*dy.shape[:2], -1).sum(axis=(0, 2)) if dy.size else np.zeros(db.size, db.dtype)
        db += db.dtype.type(scale) * sums.reshape(db.shape[::-1]).T


def _wide(planes, w, y, stride, pad):
    return padded(planes, 0, y.shape[2:], w.shape[1:], stride, pad, (1, 1))


def _taps(wide, w, y, stride):
    return taps(wide, y.shape[2:], w.shape[1:], stride, (1, 1))
