"""Locally connected layers in plain NumPy: a convolution whose weights differ from place to place."""
import numpy as np

from .windows import padded, taps, unpadded


def local_conv_work_size(x_shape, w_shape, y_shape, stride, pad):
    """How many elements of scratch the three kernels below need for these shapes.

    The scratch is their argument *work*: 1-D, of the tensors' dtype, contents
    undefined before and after.  This backend allocates its own and needs none.
    """
    return 0


def local_conv_update_output(x, w, b, y, work, stride, pad):
    """y[n, o, h, v] <- b[o, h, v] + sum over c, i, j of w[h, v, o, c, i, j] x[n, c, row, column]

    with row = h * stride - pad + i, column in the same way; outside x is 0.

    x     (N, C, H, W)
    w     (OH, OW, O, C, kh, kw)
    b     (O, OH, OW) or None
    y     (N, O, OH, OW)  [out]
    work  (local_conv_work_size(...),)  [out]
    """
    with np.errstate(all="ignore"):
        y[...] = 0 if b is None else b
        for (i, j), seen in _taps(_wide(x, w, y, stride, pad), w, y, stride):
            y += np.einsum("hvoc,nchv->nohv", w[..., i, j], seen)


def local_conv_update_grad_input(dy, w, dx, work, stride, pad):
    """dx <- the gradient of x: each dy goes back, times its w, to the elements its window saw.

    dy    (N, O, OH, OW)
    w     (OH, OW, O, C, kh, kw)
    dx    (N, C, H, W)  [out]
    work  (local_conv_work_size(...),)  [out]
    """
    wide = _wide(np.zeros_like(dx), w, dy, stride, pad)
    with np.errstate(all="ignore"):
        for (i, j), seen in _taps(wide, w, dy, stride):
            seen += np.einsum("hvoc,nohv->nchv", w[..., i, j], dy)
    dx[...] = unpadded(wide, dx.shape[2:], pad)


def local_conv_acc_grad_parameters(x, dy, dw, db, work, stride, pad, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.

    x     (N, C, H, W)
    dy    (N, O, OH, OW)
    dw    (OH, OW, O, C, kh, kw)  added to
    db    (O, OH, OW) or None     added to
    work  (local_conv_work_size(...),)  [out]
    """
    scale = dw.dtype.type(scale)
    with np.errstate(all="ignore"):
        for (i, j), seen in _taps(_wide(x, dw, dy, stride, pad), dw, dy, stride):
            dw[..., i, j] += scale * np.einsum("nohv,nchv->hvoc", dy, seen)
        if db is not None:
            db += scale * dy.sum(axis=0)


def _wide(x, w, y, stride, pad):
    return padded(x, 0, y.shape[2:], w.shape[4:], stride, pad, (1, 1))


def _taps(wide, w, y, stride):
    return taps(wide, y.shape[2:], w.shape[4:], stride, (1, 1))
