"""Convolution in plain NumPy: unfold the patches that the window sees, multiply, fold back.

Torch's convolution does not flip the kernel: it is a cross-correlation.  With
*groups* the channels are cut into so many parts, and each part of the output sees
only its own part of the input.

The tensors are C-contiguous.  Letters: O output channels, C input channels, G groups, K = C/G * kh * kw elements
of a patch, P = OH * OW windows.
"""
import numpy as np

from .windows import padded, taps, unpadded


def conv2d_method(x_shape, w_shape, y_shape, stride, pad, dilation=(1, 1), groups=1, dtype="float32"):
    """Which method the backend takes for these shapes: this one has but "im2col".

    ``"im2col"``
        The weights times the matrix of what every window sees.  It computes everything.
    ``"1x1"``
        The same where a window is one element: the input is that matrix.  No padding.
    ``"depthwise"``
        One input plane to a group: there is no sum over planes, and no matrix.
    ``"winograd"``
        3x3 and 5x5 windows with stride 1 and padding less than that, in float32, without groups or
        dilation: a quarter of the multiplications and a sixth, by way of tiles of 6x6 and 8x8.  It
        rounds within 2e-5 of the largest element; a NaN or an infinity reaches every output that
        depends on it, and may reach, as NaN, others of the same 4x4 tiles, in the gradient of the
        input of the same 6x6 or 8x8 tiles (with other methods it does not).  Not used with the
        environment variable NNMOD_WINOGRAD=0.
    ``"implicit_gemm"``
        That of "im2col" without the matrix: what windows see is gathered while it is multiplied.
        On the GPU it computes everything,
    ``"cudnn"``
        but where nnmod.kernels.setcudalibraries has asked for cuDNN.

    x_shape, w_shape, y_shape, stride, pad, dilation, groups are those of the kernels below, and
    dtype the name of the tensors' dtype.  nnmod.kernels.setconv2dmethod overrules the choice.
    """
    return "im2col"


def conv2d_update_output(x, w, b, y, stride, pad, dilation=(1, 1), groups=1):
    """y[n, o, h, w'] <- b[o] + sum over c, i, j of w[o, c, i, j] x[n, c, row, column]

    with row = h * stride - pad + i * dilation, column in the same way; outside x is 0.

    x     (N, C, H, W)
    w     (O, C / groups, kh, kw)
    b     (O,) or None
    y     (N, O, OH, OW)  [out]
    """
    N, O, OH, OW = y.shape
    columns = _unfold(x, w, y, stride, pad, dilation, groups)
    with np.errstate(all="ignore"):
        y[...] = (_per_group(w, groups) @ columns).reshape(y.shape)
        if b is not None:
            y += b[:, None, None]


def conv2d_update_grad_input(dy, w, dx, stride, pad, dilation=(1, 1), groups=1):
    """dx <- the gradient of x: each dy goes back, times w, to the elements its window saw.

    A weight that is NaN or infinite may reach more of dx than that, as NaN.

    dy    (N, O, OH, OW)
    w     (O, C / groups, kh, kw)
    dx    (N, C, H, W)  [out]
    """
    with np.errstate(all="ignore"):
        columns = _per_group(w, groups).swapaxes(1, 2) @ _pixels(dy, groups)
        _fold(columns, w, dy, dx, stride, pad, dilation)


def conv2d_acc_grad_parameters(x, dy, dw, db, stride, pad, dilation=(1, 1), groups=1, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.

    x     (N, C, H, W)
    dy    (N, O, OH, OW)
    dw    (O, C / groups, kh, kw)  added to
    db    (O,) or None             added to
    """
    columns = _unfold(x, dw, dy, stride, pad, dilation, groups)
    with np.errstate(all="ignore"):
        gradient = (_pixels(dy, groups) @ columns.swapaxes(2, 3)).sum(axis=0)
        dw += dw.dtype.type(scale) * gradient.reshape(dw.shape)
        if db is not None:
            db += db.dtype.type(scale) * dy.sum(axis=(0, 2, 3))


def _unfold(x, w, y, stride, pad, dilation, groups):
    """What every window sees: (N, G, K, P)."""
    (N, C), (OH, OW), kernel = x.shape[:2], y.shape[2:], w.shape[2:]
    patches = np.empty((N, C, *kernel, OH, OW), x.dtype)
    wide = padded(x, 0, (OH, OW), kernel, stride, pad, dilation)
    for (i, j), seen in taps(wide, (OH, OW), kernel, stride, dilation):
        patches[:, :, i, j] = seen
    return patches.reshape(N, groups, w[0].size, OH * OW)


def _fold(columns, w, y, x, stride, pad, dilation):
    """The adjoint of _unfold: x <- for each element, the sum over all places that saw it."""
    (N, C), (OH, OW), kernel = x.shape[:2], y.shape[2:], w.shape[2:]
    patches = columns.reshape(N, C, *kernel, OH, OW)
    wide = padded(np.zeros_like(x), 0, (OH, OW), kernel, stride, pad, dilation)
    for (i, j), seen in taps(wide, (OH, OW), kernel, stride, dilation):
        seen += patches[:, :, i, j]
    x[...] = unpadded(wide, x.shape[2:], pad)


def _per_group(w, groups):
    """The weight as one matrix for each group: (G, O / G, K)."""
    return w.reshape(groups, w.shape[0] // groups, w[0].size)


def _pixels(y, groups):
    """(N, O, OH, OW) as (N, G, O / G, P)."""
    N, O, OH, OW = y.shape
    return y.reshape(N, groups, O // groups, OH * OW)
