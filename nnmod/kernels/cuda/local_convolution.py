"""Locally connected layers on the device.  Meaning and shapes: kernels/reference/local_convolution.py.

The weights are read once and are most of the memory, so threads of a warp go along them: in
forward a warp takes one output of a place for all samples; for the gradient of the weights a
thread takes one weight.  The gradient of the input is gathered, element by element.
"""
from .compile import each, each_warp, number, or_empty, per_item, per_warp, resident, split, warp_sum


def local_conv_work_size(x_shape, w_shape, y_shape, stride, pad):
    """The three kernels need no scratch."""
    return 0


def local_conv_update_output(x, w, b, y, work, stride, pad):
    """y <- every place's product with its weights, plus b.  See the reference."""
    b = or_empty(None if b is None else b.reshape(b.size), y)
    each_warp(_update_output, y.shape[1] * y.shape[2] * y.shape[3], x, w, b, y, *stride, *pad)


def local_conv_update_grad_input(dy, w, dx, work, stride, pad):
    """dx <- the gradient of x.  See the reference."""
    each(_update_grad_input, dx.size, dy, w, dx, *stride, *pad)


def local_conv_acc_grad_parameters(x, dy, dw, db, work, stride, pad, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    each(_acc_grad_weight, dw.size, x, dy, dw, *stride, *pad, number(scale, dw))
    if db is not None:
        each(_acc_grad_bias, db.size, dy.reshape(dy.shape[0], db.size), db.reshape(db.size), number(scale, db))


@resident(3)
@per_warp
def _update_output(i, lane, x, w, b, y, sh, sw, ph, pw):
    place, o = split(i, y.shape[1])
    h, v = split(place, y.shape[3])
    kh, kw = w.shape[4:]
    top, left = h * sh - ph, v * sw - pw
    bias = b[(o * y.shape[2] + h) * y.shape[3] + v] if b.size else y.dtype.type(0)
    for n in range(x.shape[0]):
        total = y.dtype.type(0)
        for k in range(lane, w.shape[3] * kh * kw, 32):
            c, tap = k // (kh * kw), k % (kh * kw)
            row, column = top + tap // kw, left + tap % kw
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                total += w[h, v, o, c, tap // kw, tap % kw] * x[n, c, row, column]
        total = warp_sum(total)
        if lane == 0:
            y[n, o, h, v] = total + bias


@per_item
def _update_grad_input(i, dy, w, dx, sh, sw, ph, pw):
    i, column = split(i, dx.shape[3])
    i, row = split(i, dx.shape[2])
    n, c = split(i, dx.shape[1])
    total = dx.dtype.type(0)
    for a in range((row + ph) % sh, min(w.shape[4], row + ph + 1), sh):
        h = (row + ph - a) // sh
        if h < dy.shape[2]:
            for b in range((column + pw) % sw, min(w.shape[5], column + pw + 1), sw):
                v = (column + pw - b) // sw
                if v < dy.shape[3]:
                    for o in range(dy.shape[1]):
                        total += w[h, v, o, c, a, b] * dy[n, o, h, v]
    dx[n, c, row, column] = total


@per_item
def _acc_grad_weight(i, x, dy, dw, sh, sw, ph, pw, scale):
    i, b = split(i, dw.shape[5])
    i, a = split(i, dw.shape[4])
    i, c = split(i, dw.shape[3])
    i, o = split(i, dw.shape[2])
    h, v = split(i, dw.shape[1])
    row, column = h * sh - ph + a, v * sw - pw + b
    if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
        total = dw.dtype.type(0)
        for n in range(x.shape[0]):
            total += dy[n, o, h, v] * x[n, c, row, column]
        dw[h, v, o, c, a, b] += scale * total


@per_item
def _acc_grad_bias(i, dy, db, scale):
    total = db.dtype.type(0)
    for n in range(dy.shape[0]):
        total += dy[n, i]
    db[i] += scale * total
