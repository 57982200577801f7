"""Convolution of single planes on the device.  Meaning and shapes: kernels/reference/plane_convolution.py.

A thread computes one element of the result: it walks the windows that lead to its plane, or
from it.  The gradient of a weight, and of a plane's bias, is summed by a warp.
"""
from .compile import each, each_warp, number, per_item, per_warp, resident, split, warp_sum
from .launch import scratch


def plane_conv_work_size(x_shape, w_shape, y_shape, stride, pad):
    """The three kernels need no scratch."""
    return 0


def plane_conv_update_output(x, w, b, pairs, to, y, work, stride, pad):
    """y <- the windows' results, added up for each plane, plus b.  See the reference."""
    b = scratch(y, (1, 0), y.dtype) if b is None else b
    each(_update_output, y.size, x, w, b, pairs, *to, y, *stride, *pad)


def plane_conv_update_grad_input(dy, w, pairs, back, dx, work, stride, pad):
    """dx <- the gradient of x.  See the reference."""
    each(_update_grad_input, dx.size, dy, w, pairs, *back, dx, *stride, *pad)


def plane_conv_acc_grad_parameters(x, dy, pairs, dw, work, stride, pad, scale=1.0):
    """dw <- itself + scale times the gradient of w.  See the reference."""
    each_warp(_acc_grad_parameters, dw.size, x, dy, pairs, dw, *stride, *pad, number(scale, dw))


def add_planes(b, y):
    """y <- itself + the bias of every plane.  See the reference."""
    each(_add_planes, y.size, b, _planes(y))


def sum_planes(dy, db, scale=1.0):
    """db <- itself + scale times the sum over every plane.  See the reference."""
    each_warp(_sum_planes, db.size, _planes(dy), db, number(scale, db))


def _planes(y):
    """y as (N, planes, elements)."""
    N, planes = y.shape[:2]
    return y.reshape(N, planes, y.size // max(1, N * planes))


@per_item
def _update_output(i, x, w, b, pairs, order, first, y, sh, sw, ph, pw):
    i, column = split(i, y.shape[3])
    i, row = split(i, y.shape[2])
    n, p = split(i, y.shape[1])
    H, W = x.shape[2:]
    top, left = row * sh - ph, column * sw - pw
    total = b[p % b.shape[0], p // b.shape[0]] if b.size else y.dtype.type(0)
    for at in range(first[p], first[p + 1]):
        k = order[at]
        source = pairs[k, 0]
        for a in range(max(0, -top), min(w.shape[1], H - top)):
            for c in range(max(0, -left), min(w.shape[2], W - left)):
                total += w[k, a, c] * x[n, source, top + a, left + c]
    y[n, p, row, column] = total


@per_item
def _update_grad_input(i, dy, w, pairs, order, first, dx, sh, sw, ph, pw):
    i, column = split(i, dx.shape[3])
    i, row = split(i, dx.shape[2])
    n, p = split(i, dx.shape[1])
    bottom, right = row + ph, column + pw
    total = dx.dtype.type(0)
    for at in range(first[p], first[p + 1]):
        k = order[at]
        target = pairs[k, 1]
        for a in range(bottom % sh, min(w.shape[1], bottom + 1), sh):
            if (bottom - a) // sh < dy.shape[2]:
                for c in range(right % sw, min(w.shape[2], right + 1), sw):
                    if (right - c) // sw < dy.shape[3]:
                        total += w[k, a, c] * dy[n, target, (bottom - a) // sh, (right - c) // sw]
    dx[n, p, row, column] = total


@resident(3)
@per_warp
def _acc_grad_parameters(i, lane, x, dy, pairs, dw, sh, sw, ph, pw, scale):
    i, c = split(i, dw.shape[2])
    k, a = split(i, dw.shape[1])
    source, target = pairs[k, 0], pairs[k, 1]
    H, W = x.shape[2:]
    OH, OW = dy.shape[2:]
    total = dw.dtype.type(0)
    for n in range(dy.shape[0]):
        for place in range(lane, OH * OW, 32):
            row, column = place // OW, place % OW
            top, left = row * sh - ph + a, column * sw - pw + c
            if 0 <= top < H and 0 <= left < W:
                total += dy[n, target, row, column] * x[n, source, top, left]
    total = warp_sum(total)
    if lane == 0:
        dw[k, a, c] += scale * total


@per_item
def _add_planes(i, b, y):
    i, s = split(i, y.shape[2])
    n, p = split(i, y.shape[1])
    y[n, p, s] += b[p % b.shape[0], p // b.shape[0]]


@per_warp
def _sum_planes(i, lane, dy, db, scale):
    m, a = split(i, db.shape[1])
    plane = a * db.shape[0] + m
    total = db.dtype.type(0)
    for n in range(dy.shape[0]):
        for s in range(lane, dy.shape[2], 32):
            total += dy[n, plane, s]
    total = warp_sum(total)
    if lane == 0:
        db[m, a] += scale * total
