"""Neighbours as one kernel, in plain NumPy: a product, a normalisation, an activation.

*activation* is a number in formulas.ACTIVATIONS, 0 for none, and *low* and *high* are the
numbers that its formula takes, where it takes any.  A *norm* holds three rows of a number for
each channel, center, factor and shift: v becomes ``(v - center) factor + shift``.
"""
import inspect

import numpy as np

from .. import formulas
from .convolution import conv2d_update_output
from .linear import gemm


def norm_of_statistics(w, b, mean, var, norm, eps):
    """The normalisation that batch normalisation amounts to in evaluation mode.

    w, b       (C,), or None for 1 and 0
    mean, var  (C,)    running statistics
    norm       (3, C)  [out] mean; w / sqrt(var + eps); b
    """
    with np.errstate(all="ignore"):
        norm[0] = mean
        norm[1] = 1 / np.sqrt(var.astype(np.float64) + eps)
        if w is not None:
            norm[1] *= w
        norm[2] = 0 if b is None else b


def linear_fused_update_output(x, w, b, norm, y, activation=0, low=0.0, high=0.0):
    """y[n, o] <- activation of the normalised b[o] + sum over k of x[n, k] w[o, k].

    x     (N, K)
    w     (O, K)
    b     (O,) or None
    norm  (3, O) or None
    y     (N, O)  [out]
    """
    gemm(x, w, y, trans_b=True, bias=b)
    _finish(y, norm, activation, low, high)


def conv2d_kept_size(x_shape, w_shape, y_shape, stride, pad, dilation=(1, 1), groups=1, dtype="float32"):
    """How many bytes conv2d_fused_update_output can use to keep what it makes of the weights.

    0 where it makes nothing of them that is worth keeping.  x_shape, w_shape, y_shape, stride, pad,
    dilation and groups are those of that kernel, and dtype the name of the tensors' dtype.
    """
    return 0


def conv2d_fused_update_output(x, w, b, norm, y, kept, stride, pad, dilation=(1, 1), groups=1, activation=0,
                               low=0.0, high=0.0):
    """y <- activation of the normalised convolution of x with w, plus b.

    x     (N, C, H, W)
    w     (O, C / groups, kh, kw)
    b     (O,) or None
    norm  (3, O) or None
    y     (N, O, OH, OW)  [out]
    kept  (conv2d_kept_size(...),) bytes, or None: zeros before the first call, then what the last
          one left there.  It holds what was made of w beside a copy of w, to the bit: what was
          made is used again as long as w equals its copy, and made anew where it does not.

    stride, pad, dilation, groups  as of conv2d_update_output
    """
    conv2d_update_output(x, w, b, y, stride, pad, dilation, groups)
    _finish(y, norm, activation, low, high)


def joined(calls):
    """Kernel calls as fewer calls, where a backend has such.

    calls  pairs of a function of a tensor, made by kernels.ready, and that tensor; each but the first
           reads what a call before it has written.  None in the place of the tensor is handed on.

    Returns such pairs; the first takes the first one's tensor, or another of its shape.
    """
    return list(calls)


def _finish(y, norm, activation, low, high):
    """Normalisation and activation of y (N, C, ...), in place."""
    with np.errstate(all="ignore"):
        if norm is not None:
            center, factor, shift = norm.reshape(3, -1, *(1,) * (y.ndim - 2))
            y[...] = (y - center) * factor + shift
        if activation:
            formula = formulas.ACTIVATIONS[activation]
            count = len(inspect.signature(formula).parameters) - 1
            y[...] = formula(y, *(y.dtype.type(number) for number in (low, high)[:count]))
