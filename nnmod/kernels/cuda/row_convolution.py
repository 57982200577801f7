"""Convolution of each feature of a sequence on the device.  Meaning: kernels/reference/row_convolution.py.

A thread computes one element of the result; neighbours are features of one frame.
"""
from .compile import each, number, or_empty, per_item, split


def row_conv_work_size(x_shape, w_shape, y_shape, stride):
    """The three kernels need no scratch."""
    return 0


def row_conv_update_output(x, w, b, y, work, stride):
    """y <- every feature's convolution with its row of w, plus b.  See the reference."""
    each(_update_output, y.size, x, w, or_empty(b, y), y, stride)


def row_conv_update_grad_input(dy, w, dx, work, stride):
    """dx <- the gradient of x.  See the reference."""
    each(_update_grad_input, dx.size, dy, w, dx, stride)


def row_conv_acc_grad_parameters(x, dy, dw, db, work, stride, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    each(_acc_grad_weight, dw.size, x, dy, dw, stride, number(scale, dw))
    if db is not None:
        each(_acc_grad_bias, db.size, dy, db, number(scale, db))


@per_item
def _update_output(i, x, w, b, y, stride):
    i, f = split(i, y.shape[2])
    n, t = split(i, y.shape[1])
    total = b[f] if b.size else y.dtype.type(0)
    for k in range(w.shape[1]):
        total += w[f, k] * x[n, t * stride + k, f]
    y[n, t, f] = total


@per_item
def _update_grad_input(i, dy, w, dx, stride):
    i, f = split(i, dx.shape[2])
    n, t = split(i, dx.shape[1])
    total = dx.dtype.type(0)
    # The windows that see frame t: those that begin at t - k, a multiple of the stride.
    for k in range(t % stride, min(w.shape[1], t + 1), stride):
        if (t - k) // stride < dy.shape[1]:
            total += w[f, k] * dy[n, (t - k) // stride, f]
    dx[n, t, f] = total


@per_item
def _acc_grad_weight(i, x, dy, dw, stride, scale):
    k, f = split(i, dw.shape[0])
    total = dw.dtype.type(0)
    for n in range(dy.shape[0]):
        for t in range(dy.shape[1]):
            total += dy[n, t, f] * x[n, t * stride + k, f]
    dw[f, k] += scale * total


@per_item
def _acc_grad_bias(f, dy, db, scale):
    total = db.dtype.type(0)
    for n in range(dy.shape[0]):
        for t in range(dy.shape[1]):
            total += dy[n, t, f]
    db[f] += scale * total
