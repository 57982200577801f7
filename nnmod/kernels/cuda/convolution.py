"""Convolution on the GPU.  Meaning and shapes: kernels/reference/convolution.py.

All three verbs are products whose operands are gathered (gather.py):

    output         rows o, columns (n, oh, ow), k = (c, i, j):  x at row oh * stride + i * dilation - pad
    gradInput      rows c, columns (n, h, w),   k = (o, i, j):  dy where a window saw (h, w)
    gradParameters rows o, columns (c, i, j),   k = (n, oh, ow): x as for the output

With a stride, an element of the input is seen through every stride-th tap only.  So gradInput is
computed phase by phase: the elements whose row leaves the same rest, and whose column does, share
their taps, and are together one product without a stride.

cuDNN computes all three where that is asked for (cudnn.py); biases and ends are then added here.
"""
import math

from . import cudnn, tiles, vendor
from .epilogue import NO_END
from .gather import Gathered, add_gathered_parts, gathered_product
from .launch import scratch
from .sums import add_channel_sums


def conv2d_method(x_shape, w_shape, y_shape, stride, pad, dilation=(1, 1), groups=1, dtype="float32"):
    """Which method computes a convolution of these shapes.  See the reference."""
    return "implicit_gemm" if vendor.library("cudnn") is None else "cudnn"


def conv2d_update_output(x, w, b, y, stride, pad, dilation=(1, 1), groups=1):
    """y <- the convolution of x with w, plus b.  See the reference."""
    output(x, w, b, y, stride, pad, dilation, groups, NO_END)


def output(x, w, b, y, stride, pad, dilation, groups, end):
    """The same with an end."""
    (N, C, H, W), (O, CG, kh, kw), (OH, OW) = x.shape, w.shape, y.shape[2:]
    taps, P = kh * kw, OH * OW
    g = Gathered(
        groups, O // groups, (CG, kh, kw), (N, OH, OW),
        O // groups * CG * taps, CG * taps, (taps, kw, 1), 0,
        CG * H * W, H * W, C * H * W, H, W, (stride[0], dilation[0], -pad[0]), (stride[1], dilation[1], -pad[1]),
        O // groups * P, P, (O * P, OW, 1), 0)
    if not cudnn.output(x, w, y, stride, pad, dilation, groups):
        gathered_product(g, w, x, y, b, False, 1, 0, end)
    elif b is not None or end is not NO_END:  # a sum of one part: each thread reads its element of y, and writes it
        add_gathered_parts(g, y.reshape(-1), y, b, 1, 1, 0, end)


def conv2d_update_grad_input(dy, w, dx, stride, pad, dilation=(1, 1), groups=1):
    """dx <- the gradient of x.  See the reference."""
    (N, C, H, W), (O, CG, kh, kw), (OH, OW) = dx.shape, w.shape, dy.shape[2:]
    if cudnn.grad_input(dy, w, dx, stride, pad, dilation, groups):
        return
    OG, taps = O // groups, kh * kw
    products = []
    for top, row_count, i_first, i_step, i_count, high in _phases(H, kh, stride[0], pad[0], dilation[0]):
        for left, column_count, j_first, j_step, j_count, wide in _phases(W, kw, stride[1], pad[1], dilation[1]):
            products.append(Gathered(
                groups, CG, (OG, i_count, j_count), (N, row_count, column_count),
                OG * CG * taps, taps, (CG * taps, i_step * kw, j_step), i_first * kw + j_first,
                OG * OH * OW, OH * OW, O * OH * OW, OH, OW, high, wide,
                CG * H * W, H * W, (C * H * W, stride[0] * W, stride[1]), top * W + left))
    # One number of parts for all phases, so that their sums meet in one place.
    parts = max((tiles.choose(g.rows, math.prod(g.column_sizes), math.prod(g.k_sizes), dx.dtype, groups)[1]
                 for g in products), default=1)
    work = scratch(dx, (parts * dx.size,), dx.dtype) if parts > 1 else None
    for g in products:
        gathered_product(g, w, dy, dx, None, False, 1, 0, NO_END, work, parts)
    if parts > 1:
        add_gathered_parts(products[0], work, dx, None, parts, 1, 0, NO_END)


def _phases(size, taps, stride, pad, dilation):
    """Of each phase: its first element, how many; first tap, step of taps, how many; where dy is.

    Element h = first + stride u sees window (h + pad - i dilation) / stride through tap i, where
    that is whole: for every (stride / gcd(stride, dilation))-th tap, from the first on for which it is.
    """
    step = stride // math.gcd(stride, dilation)
    for first in range(min(stride, size)):
        tap = next((i for i in range(min(step, taps)) if (first + pad - i * dilation) % stride == 0), None)
        count = -(-(size - first) // stride)
        if tap is None:  # no window ever sees these: their gradient is 0
            yield first, count, 0, 1, 0, (1, 0, 0)
        else:
            start = (first + pad - tap * dilation) // stride
            yield first, count, tap, step, -(-(taps - tap) // step), (1, -step * dilation // stride, start)


def conv2d_acc_grad_parameters(x, dy, dw, db, stride, pad, dilation=(1, 1), groups=1, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    (N, C, H, W), (O, CG, kh, kw), (OH, OW) = x.shape, dw.shape, dy.shape[2:]
    OG, taps, P = O // groups, kh * kw, OH * OW
    if not x.size * dy.size:
        return
    if not cudnn.grad_weight(x, dy, dw, stride, pad, dilation, groups, scale):
        gathered_product(Gathered(
            groups, OG, (N, OH, OW), (CG, kh, kw),
            OG * P, P, (O * P, OW, 1), 0,
            CG * H * W, C * H * W, H * W, H, W, (dilation[0], stride[0], -pad[0]), (dilation[1], stride[1], -pad[1]),
            OG * CG * taps, CG * taps, (taps, kw, 1), 0), dy, x, dw, None, True, scale, 1, NO_END)
    if db is not None:
        add_channel_sums(dy.reshape(N, O, P), db, scale)
