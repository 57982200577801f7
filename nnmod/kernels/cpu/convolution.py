"""Convolution on the CPU.  Meaning and shapes: kernels/reference/convolution.py."""
from . import conv_columns
from .conv_frame import geometry
from .linear import empty_vector


def conv2d_work_size(x_shape, w_shape, y_shape, stride, pad, dilation=(1, 1), groups=1):
    """How many elements of scratch the three kernels need: none, since they use threads.workspace."""
    return 0


def conv2d_update_output(x, w, b, y, work, stride, pad, dilation=(1, 1), groups=1):
    """y <- the convolution of x with w, plus b.  See the reference."""
    g = geometry(x.shape, w.shape, y.shape, stride, pad, dilation, groups, y.itemsize)
    if g.flops:
        conv_columns.update_output(g, x, w, empty_vector(y) if b is None else b, y)


def conv2d_update_grad_input(dy, w, dx, work, stride, pad, dilation=(1, 1), groups=1):
    """dx <- the gradient of x.  See the reference."""
    g = geometry(dx.shape, w.shape, dy.shape, stride, pad, dilation, groups, dy.itemsize)
    if g.flops:
        conv_columns.update_grad_input(g, dy, w, dx)


def conv2d_acc_grad_parameters(x, dy, dw, db, work, stride, pad, dilation=(1, 1), groups=1, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    g = geometry(x.shape, dw.shape, dy.shape, stride, pad, dilation, groups, dy.itemsize)
    if g.flops:
        conv_columns.acc_grad_parameters(g, x, dy, dw, empty_vector(dy) if db is None else db, float(scale))
