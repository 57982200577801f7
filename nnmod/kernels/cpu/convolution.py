"""Convolution on the CPU.  Meaning and shapes: kernels/reference/convolution.py.

There are several ways to compute it, one to a file, and conv2d_method says which is taken.
Scratch memory is the thread's workspace, which all layers share.
"""
import os

import numpy as np

from . import conv_columns, conv_depthwise, conv_points, conv_winograd
from .conv_frame import geometry
from .epilogue import no_end
from .linear import empty_vector

#: Every method by its name.
METHODS = {"im2col": conv_columns, "1x1": conv_points, "depthwise": conv_depthwise, "winograd": conv_winograd}
#: What set_conv2d_method was given, and whether Winograd's method may be chosen.
_wanted = None
_winograd_allowed = os.environ.get("NNMOD_WINOGRAD", "") != "0"


def conv2d_method(x_shape, w_shape, y_shape, stride, pad, dilation=(1, 1), groups=1, dtype="float32"):
    """Which method computes a convolution of these shapes.  See the reference."""
    return method(geometry(tuple(x_shape), tuple(w_shape), tuple(y_shape), stride, pad, dilation, groups,
                            np.dtype(dtype).itemsize))


def set_conv2d_method(name):
    """Take method *name* wherever it is able to compute; None: choose by shape."""
    global _wanted
    _wanted = name


def get_conv2d_method():
    """What set_conv2d_method was given."""
    return _wanted


def conv2d_update_output(x, w, b, y, stride, pad, dilation=(1, 1), groups=1):
    """y <- the convolution of x with w, plus b.  See the reference."""
    g = geometry(x.shape, w.shape, y.shape, stride, pad, dilation, groups, y.itemsize)
    if g.flops:
        METHODS[method(g)].update_output(g, x, w, empty_vector(y) if b is None else b, y, no_end(y), None)


def conv2d_update_grad_input(dy, w, dx, stride, pad, dilation=(1, 1), groups=1):
    """dx <- the gradient of x.  See the reference."""
    g = geometry(dx.shape, w.shape, dy.shape, stride, pad, dilation, groups, dy.itemsize)
    if g.flops:
        METHODS[method(g)].update_grad_input(g, dy, w, dx, empty_vector(dy))


def conv2d_acc_grad_parameters(x, dy, dw, db, stride, pad, dilation=(1, 1), groups=1, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    g = geometry(x.shape, dw.shape, dy.shape, stride, pad, dilation, groups, dy.itemsize)
    if g.flops:
        METHODS[method(g)].acc_grad_parameters(g, x, dy, dw, empty_vector(dy) if db is None else db, float(scale))


def method(g, kept=False):
    """Which method computes a convolution; *kept*: with what an earlier call made of the weights."""
    points = g.kernel == (1, 1) and g.ph == g.pw == 0
    planes = g.CG == 1 and g.G > 1
    winograd = (g.kernel in ((3, 3), (5, 5)) and g.stride == g.dilation == (1, 1) and g.G == 1 and g.size == 4
                and max(g.ph, g.pw) < g.kernel[0])
    if _wanted == "im2col" or (_wanted == "1x1" and points) or (_wanted == "depthwise" and g.CG == 1) or (
            _wanted == "winograd" and winograd):
        return _wanted
    if planes:
        return "depthwise"
    if points:
        return "1x1"
    if winograd and _winograd_allowed and g.kept(("winograd pays", kept), lambda: conv_winograd.pays(g, kept)):
        return "winograd"
    return "im2col"
