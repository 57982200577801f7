"""Convolution over frames on the device.  Meaning and shapes: kernels/reference/frames.py.

What windows see is laid out in *work* as a matrix, so that all sums are matrix products: of
sequences of vectors so many windows at a time as fit into _CHUNK elements, of sequences of
planes one sample and group at a time.  Where windows tile a sequence, it is used as it lies.
"""
import numpy as np

from ..cpu.frames import _as_rows, _tiled
from .compile import each, per_item, split
from .linear import gemm, sum_rows
from .plane_convolution import add_planes, sum_planes

_CHUNK = 1 << 24


# -- frames that are vectors -----------------------------------------------------------

def temporal_conv_work_size(x_shape, w_shape, y_shape, stride):
    """How many elements of scratch the three kernels need.  See the reference."""
    if _tiled(x_shape, w_shape, y_shape, stride):
        return 0
    return _rows_at_once(y_shape[0] * y_shape[1], w_shape[1]) * w_shape[1]


def temporal_conv_update_output(x, w, b, y, work, stride):
    """y <- the convolution of x with w, plus b.  See the reference."""
    rows = y.reshape(y.shape[0] * y.shape[1], w.shape[0])
    if _tiled(x.shape, w.shape, y.shape, stride):
        gemm(_as_rows(x.reshape(x.size), w, rows), w, rows, trans_b=True, bias=b)
        return
    for first, last, seen in _chunks(w, rows, work):
        each(_lay_out_frames, seen.size, first, x, seen, y.shape[1], stride)
        gemm(seen, w, rows[first:last], trans_b=True, bias=b)


def temporal_conv_update_grad_input(dy, w, dx, work, stride):
    """dx <- the gradient of x.  See the reference."""
    rows = dy.reshape(dy.shape[0] * dy.shape[1], w.shape[0])
    if _tiled(dx.shape, w.shape, dy.shape, stride):
        gemm(rows, w, _as_rows(dx.reshape(dx.size), w, rows))
        rest = dx.reshape(dx.size)[rows.shape[0] * w.shape[1]:]  # frames after the last window
        each(_clear, rest.size, rest)
        return
    each(_clear, dx.size, dx.reshape(dx.size))
    for first, last, seen in _chunks(w, rows, work):
        gemm(rows[first:last], w, seen)
        each(_put_frames_back, dx.size, first, last, seen, dx, dy.shape[1], stride)


def temporal_conv_acc_grad_parameters(x, dy, dw, db, work, stride, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    rows = dy.reshape(dy.shape[0] * dy.shape[1], dw.shape[0])
    if _tiled(x.shape, dw.shape, dy.shape, stride):
        gemm(rows, _as_rows(x.reshape(x.size), dw, rows), dw, scale, 1.0, trans_a=True)
    else:
        for first, last, seen in _chunks(dw, rows, work):
            each(_lay_out_frames, seen.size, first, x, seen, dy.shape[1], stride)
            gemm(rows[first:last], seen, dw, scale, 1.0, trans_a=True)
    if db is not None:
        sum_rows(rows, db, scale)


def _rows_at_once(count, size):
    """How many of *count* windows are laid out at a time."""
    return max(1, min(count, _CHUNK // size))


def _chunks(w, rows, work):
    """Ranges first .. last of the windows, each with its part of *work* as a matrix (last - first, k * F)."""
    many = _rows_at_once(rows.shape[0], w.shape[1])
    for first in range(0, rows.shape[0], many):
        last = min(first + many, rows.shape[0])
        yield first, last, work[:(last - first) * w.shape[1]].reshape(last - first, w.shape[1])


@per_item
def _clear(i, x):
    x[i] = 0


@per_item
def _lay_out_frames(i, first, x, seen, OT, stride):
    row, column = split(i, seen.shape[1])
    F, window = x.shape[2], first + row
    seen[row, column] = x[window // OT, window % OT * stride + column // F, column % F]


@per_item
def _put_frames_back(i, first, last, seen, dx, OT, stride):
    i, f = split(i, dx.shape[2])
    n, t = split(i, dx.shape[1])
    total = dx[n, t, f]
    # The windows that see frame t: those that begin at t - k, a multiple of the stride.
    for k in range(t % stride, min(seen.shape[1] // dx.shape[2], t + 1), stride):
        window = n * OT + (t - k) // stride
        if (t - k) // stride < OT and first <= window < last:
            total += seen[window - first, k * dx.shape[2] + f]
    dx[n, t, f] = total


# -- frames that are planes --------------------------------------------------------------

def conv3d_work_size(x_shape, w_shape, y_shape, stride, pad, dilation=(1, 1, 1), groups=1):
    """How many elements of scratch the three kernels need.  See the reference."""
    _, C, kt, kh, kw = w_shape
    return C * kt * kh * kw * y_shape[2] * y_shape[3] * y_shape[4]


def conv3d_update_output(x, w, b, y, work, stride, pad, dilation=(1, 1, 1), groups=1):
    """y <- the convolution of x with w, plus b.  See the reference."""
    for image, weights, maps, seen in _groups(x, w, y, work, groups):
        each(_lay_out, seen.size, image, seen, *w.shape[2:], *y.shape[3:], *stride, *pad, *dilation)
        gemm(weights, seen, maps)
    if b is not None:
        add_planes(b.reshape(b.size, 1), y)


def conv3d_update_grad_input(dy, w, dx, work, stride, pad, dilation=(1, 1, 1), groups=1):
    """dx <- the gradient of x.  See the reference."""
    for image, weights, maps, seen in _groups(dx, w, dy, work, groups):
        gemm(weights, maps, seen, trans_a=True)
        each(_put_back, image.size, seen, image, *w.shape[2:], *dy.shape[2:], *stride, *pad, *dilation)


def conv3d_acc_grad_parameters(x, dy, dw, db, work, stride, pad, dilation=(1, 1, 1), groups=1, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    for image, weights, maps, seen in _groups(x, dw, dy, work, groups):
        each(_lay_out, seen.size, image, seen, *dw.shape[2:], *dy.shape[3:], *stride, *pad, *dilation)
        gemm(maps, seen, weights, scale, 1.0, trans_b=True)
    if db is not None:
        sum_planes(dy, db.reshape(db.size, 1), scale)


def _groups(x, w, y, work, groups):
    """For each sample and group: its channels of x, its weights and maps as matrices, and *work* as what is seen."""
    C, O = x.shape[1] // groups, y.shape[1] // groups
    weights, places = w.reshape(w.shape[0], w.size // w.shape[0]), y.shape[2] * y.shape[3] * y.shape[4]
    seen = work[:weights.shape[1] * places].reshape(weights.shape[1], places)
    for n in range(x.shape[0]):
        maps = y[n].reshape(y.shape[1], places)
        for g in range(groups):
            yield x[n][g * C:(g + 1) * C], weights[g * O:(g + 1) * O], maps[g * O:(g + 1) * O], seen


@per_item
def _lay_out(i, x, seen, kt, kh, kw, OH, OW, st, sh, sw, pt, ph, pw, dt, dh, dw):
    tap, place = split(i, seen.shape[1])
    tap, b = split(tap, kw)
    tap, a = split(tap, kh)
    c, k = split(tap, kt)
    t, h, w = place // (OH * OW), place // OW % OH, place % OW
    frame, row, column = t * st - pt + k * dt, h * sh - ph + a * dh, w * sw - pw + b * dw
    inside = 0 <= frame < x.shape[1] and 0 <= row < x.shape[2] and 0 <= column < x.shape[3]
    seen[np.int64(i) // seen.shape[1], place] = x[c, frame, row, column] if inside else x.dtype.type(0)


@per_item
def _put_back(i, seen, dx, kt, kh, kw, OT, OH, OW, st, sh, sw, pt, ph, pw, dt, dh, dw):
    i, column = split(i, dx.shape[3])
    i, row = split(i, dx.shape[2])
    c, frame = split(i, dx.shape[1])
    total = dx.dtype.type(0)
    for k in range(kt):
        t = frame + pt - k * dt
        if t >= 0 and t % st == 0 and t // st < OT:
            for a in range(kh):
                h = row + ph - a * dh
                if h >= 0 and h % sh == 0 and h // sh < OH:
                    for b in range(kw):
                        w = column + pw - b * dw
                        if w >= 0 and w % sw == 0 and w // sw < OW:
                            tap = ((c * kt + k) * kh + a) * kw + b
                            total += seen[tap, (t // st * OH + h // sh) * OW + w // sw]
    dx[c, frame, row, column] = total
