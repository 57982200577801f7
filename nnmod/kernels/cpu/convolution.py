"""Convolution on the CPU.  Meaning and shapes: kernels/reference/convolution.py.

There are several ways to compute it, one to a file, and conv2d_method says which is taken.
"""
import os

import numpy as np

from . import conv_columns, conv_depthwise, conv_points, conv_winograd
from .conv_frame import geometry
from .linear import empty_vector

#: What a caller has asked for, or None.
_wanted = None
_winograd_allowed = os.environ.get("NNMOD_WINOGRAD", "") != "0"
_METHODS = {"im2col": conv_columns, "1x1": conv_points, "depthwise": conv_depthwise, "winograd": conv_winograd}


def conv2d_method(x_shape, w_shape, y_shape, stride, pad, dilation=(1, 1), groups=1, dtype=np.float32):
    """Which method computes a convolution of these shapes.  See the reference."""
    kernel, plain = w_shape[2:], (stride, dilation, groups) == ((1, 1), (1, 1), 1)
    able = {"im2col"}
    if kernel == (3, 3) and plain and max(pad) <= 2 and dtype == np.float32:
        able.add("winograd")
    if kernel == (1, 1) and not any(pad):
        able.add("1x1")
    if w_shape[1] == 1:
        able.add("depthwise")
    if _wanted in able:
        return _wanted
    if "winograd" in able and _winograd_allowed and min(w_shape[:2]) >= 8:
        return "winograd"
    if "1x1" in able and not (groups > 1 and "depthwise" in able):
        return "1x1"
    if groups > 1 and "depthwise" in able:
        return "depthwise"
    return "im2col"


def conv2d_work_size(x_shape, w_shape, y_shape, stride, pad, dilation=(1, 1), groups=1):
    """How many elements of scratch the three kernels need: none, since they use threads.workspace."""
    return 0


def conv2d_update_output(x, w, b, y, work, stride, pad, dilation=(1, 1), groups=1):
    """y <- the convolution of x with w, plus b.  See the reference."""
    g = geometry(x.shape, w.shape, y.shape, stride, pad, dilation, groups, y.itemsize)
    if g.flops:
        _METHODS[_method(x, w, y, stride, pad, dilation, groups)].update_output(
            g, x, w, empty_vector(y) if b is None else b, y)


def conv2d_update_grad_input(dy, w, dx, work, stride, pad, dilation=(1, 1), groups=1):
    """dx <- the gradient of x.  See the reference."""
    g = geometry(dx.shape, w.shape, dy.shape, stride, pad, dilation, groups, dy.itemsize)
    if g.flops:
        _METHODS[_method(dx, w, dy, stride, pad, dilation, groups)].update_grad_input(g, dy, w, dx, empty_vector(dy))


def conv2d_acc_grad_parameters(x, dy, dw, db, work, stride, pad, dilation=(1, 1), groups=1, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    g = geometry(x.shape, dw.shape, dy.shape, stride, pad, dilation, groups, dy.itemsize)
    if g.flops:
        _METHODS[_method(x, dw, dy, stride, pad, dilation, groups)].acc_grad_parameters(
            g, x, dy, dw, empty_vector(dy) if db is None else db, float(scale))


def _method(x, w, y, stride, pad, dilation, groups):
    return conv2d_method(x.shape, w.shape, y.shape, stride, pad, dilation, groups, x.dtype)
