"""Normalisation on the GPU.  Meaning and shapes: kernels/reference/normalization.py.

Sums are those of sums.py: as good as sums in float64, in two stages, in a fixed order.
"""
import math

import numpy as np

from .. import formulas
from .compile import device, each, each_warp, number, on_device, per_item, per_warp, split, wide
from .launch import scratch
from .sums import element, joined, parts_total, plus, rounded, sum_channels_by
from .target import cuda

_FULL = 0xFFFFFFFF

relu, relu_grad = on_device(formulas.relu), on_device(formulas.relu_grad)


# -- batch normalisation -------------------------------------------------------------------------

def batch_norm_update_output(x, w, b, running_mean, running_var, y, mean, invstd, train, momentum, eps, rectify=False):
    """y <- (x - mean) * invstd * w + b, channel by channel.  See the reference."""
    N, C, S = x.shape
    flat = x.reshape(-1)
    if train and x.size:
        work, parts = sum_channels_by(element, N, C, S, x, flat, flat, flat, flat)
        each(_set_mean, C, work, np.uint32(parts), mean, number(N * S, x))
        work, parts = sum_channels_by(_squares, N, C, S, x, flat, mean, flat, flat)
        each(_set_deviation, C, work, np.uint32(parts), mean, invstd, running_mean, running_var, number(N * S, x),
             number(momentum, x), number(eps, x))
    elif not train:
        each(_take_running, C, running_mean, running_var, mean, invstd, number(eps, x))
    each(_normalize, x.size, flat, mean if w is None else w, w is not None, mean if b is None else b, b is not None,
         mean, invstd, y.reshape(-1), S, C, bool(rectify))


def batch_norm_update_grad_input(x, dy, w, mean, invstd, dx, train):
    """dx <- the gradient of x.  See the reference."""
    N, C, S = x.shape
    flat, gradient = x.reshape(-1), dy.reshape(-1)
    if not x.size:
        return
    lines = scratch(x, (2 * C,), x.dtype)
    if train:
        work, parts = sum_channels_by(_products, N, C, S, x, flat, gradient, mean, flat)
        each(_set_lines, C, work, np.uint32(parts), invstd, lines, number(N * S, x))
    each(_normalize_gradient, x.size, flat, gradient, mean if w is None else w, w is not None, mean, invstd, lines,
         dx.reshape(-1), bool(train), S, C)


def batch_norm_acc_grad_parameters(x, dy, mean, invstd, dw, db, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    N, C, S = x.shape
    if x.size:
        flat = x.reshape(-1)
        work, parts = sum_channels_by(_products, N, C, S, x, flat, dy.reshape(-1), mean, flat)
        each(_add_gradients, C, work, np.uint32(parts), invstd, dw, db, number(scale, x))


def batch_norm_relu_backward(x, y, dy, w, mean, invstd, dx, dw, db, train, scale=1.0):
    """The gradients of batch_norm_update_output with *rectify*, in one.  See the reference."""
    N, C, S = x.shape
    if not x.size:
        return
    flat, out, gradient = x.reshape(-1), y.reshape(-1), dy.reshape(-1)
    work, parts = sum_channels_by(_passed_products, N, C, S, x, flat, gradient, mean, out)
    if dx is not None:
        lines = scratch(x, (2 * C,), x.dtype)
        each(_set_lines, C, work, np.uint32(parts), invstd, lines, number(N * S, x))
        each(_passed_gradient, x.size, flat, out, gradient, mean if w is None else w, w is not None, mean, invstd,
             lines, dx.reshape(-1), bool(train), S, C)
    if dw is not None:
        each(_add_gradients, C, work, np.uint32(parts), invstd, dw, db, number(scale, x))


@device
def _squares(at, row, channel, x, mean, z, t):
    """x - mean and its square: the sum of the first is what rounding the mean has left."""
    d = x[at] - mean[channel]
    return d, d * d


@device
def _products(at, row, channel, x, dy, mean, t):
    return dy[at], dy[at] * (x[at] - mean[channel])


@per_item
def _set_mean(c, work, parts, mean, size):
    mean[c] = parts_total(work, np.uint32(0), parts, mean.size, c) / size


@per_item
def _set_deviation(c, work, parts, mean, invstd, running_mean, running_var, size, momentum, eps):
    one, C = type(size)(1), mean.size
    rest = parts_total(work, np.uint32(0), parts, C, c) / size
    variance = parts_total(work, np.uint32(1), parts, C, c) / size - rest * rest
    if momentum != type(size)(0):
        running_mean[c] = (one - momentum) * running_mean[c] + momentum * (mean[c] + rest)
        running_var[c] = (one - momentum) * running_var[c] + momentum * (variance * size / (size - one))
    invstd[c] = one / math.sqrt(variance + eps)


@per_item
def _take_running(c, running_mean, running_var, mean, invstd, eps):
    mean[c] = running_mean[c]
    invstd[c] = type(eps)(1) / math.sqrt(running_var[c] + eps)


@device
def _channel(i, S, C):
    return split(split(i, S)[0], C)[1]


@per_item
def _normalize(i, x, w, has_w, b, has_b, mean, invstd, y, S, C, rectify):
    c = _channel(i, S, C)
    factor = invstd[c] * w[c] if has_w else invstd[c]
    v = (x[i] - mean[c]) * factor
    v = v + b[c] if has_b else v
    y[i] = relu(v) if rectify else v


@per_item
def _set_lines(c, work, parts, invstd, lines, size):
    """What is taken from a channel's dy: a slope times x - mean, and a shift."""
    C = invstd.size
    lines[c] = parts_total(work, np.uint32(1), parts, C, c) * invstd[c] * invstd[c] / size
    lines[C + c] = parts_total(work, np.uint32(0), parts, C, c) / size


@per_item
def _normalize_gradient(i, x, dy, w, has_w, mean, invstd, lines, dx, train, S, C):
    c = _channel(i, S, C)
    v = dy[i]
    if train:
        v = v - lines[C + c] - (x[i] - mean[c]) * lines[c]
    dx[i] = v * (invstd[c] * w[c] if has_w else invstd[c])


@device
def _passed_products(at, row, channel, x, dy, mean, y):
    g = relu_grad(y[at], dy[at])
    return g, g * (x[at] - mean[channel])


@per_item
def _passed_gradient(i, x, y, dy, w, has_w, mean, invstd, lines, dx, train, S, C):
    c = _channel(i, S, C)
    v = relu_grad(y[i], dy[i])
    if train:
        v = v - lines[C + c] - (x[i] - mean[c]) * lines[c]
    dx[i] = v * (invstd[c] * w[c] if has_w else invstd[c])


@per_item
def _add_gradients(c, work, parts, invstd, dw, db, scale):
    C = invstd.size
    dw[c] += scale * parts_total(work, np.uint32(1), parts, C, c) * invstd[c]
    db[c] += scale * parts_total(work, np.uint32(0), parts, C, c)


# -- layer normalisation: a warp takes a row -------------------------------------------------------

def layer_norm_update_output(x, w, b, y, mean, factor, eps):
    """y <- (x - mean) factor w + b, row by row.  See the reference."""
    each_warp(_layer_norm, x.shape[0], x, mean if w is None else w, mean if b is None else b, w is not None, y, mean,
              factor, number(x.shape[1], x), number(eps, x))


def layer_norm_update_grad_input(x, dy, w, mean, factor, dx):
    """dx <- (g - E[g] - z E[g z]) factor.  See the reference."""
    each_warp(_layer_norm_gradient, x.shape[0], x, dy, mean if w is None else w, w is not None, mean, factor, dx,
              number(x.shape[1], x))


def layer_norm_acc_grad_parameters(x, dy, mean, factor, dw, db, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    N, F = x.shape
    if x.size:
        work, parts = sum_channels_by(_row_products, N, F, 1, x, x.reshape(-1), dy.reshape(-1), mean, factor)
        each(_add_row_gradients, F, work, np.uint32(parts), dw, db, number(scale, x))


@device
def _row_products(at, row, channel, x, dy, mean, factor):
    return dy[at], dy[at] * ((x[at] - mean[row]) * factor[row])


@per_item
def _add_row_gradients(f, work, parts, dw, db, scale):
    dw[f] += scale * parts_total(work, np.uint32(1), parts, dw.size, f)
    db[f] += scale * parts_total(work, np.uint32(0), parts, dw.size, f)


@device
def _all_lanes(total, lost):
    """The sum of the lanes' pairs, the same bits for all of them."""
    for step in (16, 8, 4, 2, 1):
        other = cuda.shfl_xor_sync(_FULL, total, step)
        other_lost = cuda.shfl_xor_sync(_FULL, lost, step)
        total, lost = joined(total, lost, other, other_lost)
    # Two lanes may have rounded a + b and b + a apart: the first lane's word counts.
    return cuda.shfl_sync(_FULL, rounded(total, lost), 0)


@per_warp
def _layer_norm(n, lane, x, w, b, affine, y, mean, factor, size, eps):
    F, zero = x.shape[1], type(size)(0)
    a, a_lost = zero, zero
    for f in range(lane, F, 32):
        a, a_lost = plus(a, a_lost, x[n, f])
    center = _all_lanes(a, a_lost) / size
    a, a_lost, s, s_lost = zero, zero, zero, zero
    for f in range(lane, F, 32):
        d = x[n, f] - center
        a, a_lost = plus(a, a_lost, d)
        s, s_lost = plus(s, s_lost, d * d)
    rest = _all_lanes(a, a_lost)
    scale = math.sqrt(size / (_all_lanes(s, s_lost) - rest * rest / size + eps))
    if lane == 0:
        mean[n], factor[n] = center, scale
    for f in range(lane, F, 32):
        v = (x[n, f] - center) * scale
        y[n, f] = v * w[f] + b[f] if affine else v


@per_warp
def _layer_norm_gradient(n, lane, x, dy, w, affine, mean, factor, dx, size):
    F, zero = x.shape[1], type(size)(0)
    a, a_lost, s, s_lost = zero, zero, zero, zero
    for f in range(lane, F, 32):
        g = dy[n, f] * w[f] if affine else dy[n, f]
        a, a_lost = plus(a, a_lost, g)
        s, s_lost = plus(s, s_lost, g * ((x[n, f] - mean[n]) * factor[n]))
    shift, along = _all_lanes(a, a_lost) / size, _all_lanes(s, s_lost) / size
    for f in range(lane, F, 32):
        g = dy[n, f] * w[f] if affine else dy[n, f]
        dx[n, f] = (g - shift - (x[n, f] - mean[n]) * factor[n] * along) * factor[n]


# -- division by a norm: a warp takes a row ----------------------------------------------------------

def normalize_update_output(x, y, norm, p, eps):
    """y <- x / norm, row by row.  See the reference."""
    each_warp(_divide_by_norm, x.shape[0], x, y, norm, float(p), float(eps))


def normalize_update_grad_input(x, dy, norm, dx, p):
    """dx <- dy / norm - c sign(x) |x|**(p-1) / norm**(p+1).  See the reference."""
    each_warp(_divide_by_norm_gradient, x.shape[0], x, dy, norm, dx, float(p))


@device
def _lanes_total(v):
    for step in (16, 8, 4, 2, 1):
        v += cuda.shfl_xor_sync(_FULL, v, step)
    return v


@device
def _farthest(n, lane, x):
    """The largest |x| of a row and its first place; NaN is larger than every number."""
    best, where = type(x[n, 0])(-1), np.int64(x.shape[1])
    for f in range(lane, x.shape[1], 32):
        v = abs(x[n, f])
        if v > best or (v != v and best == best):
            best, where = v, np.int64(f)
    for step in (16, 8, 4, 2, 1):
        v = cuda.shfl_xor_sync(_FULL, best, step)
        place = cuda.shfl_xor_sync(_FULL, where, step)
        larger = v > best or (v != v and best == best)
        same = v == best or (v != v and best != best)
        if larger or (same and place < where):
            best, where = v, place
    return best, where


@per_warp
@wide("powers of a float32 leave its range; where the sums are taken in float64, rows are")
def _divide_by_norm(n, lane, x, y, norm, p, eps):
    if p == math.inf:
        largest, _ = _farthest(n, lane, x)
        total = type(largest)(max(largest, type(largest)(0)) if largest == largest else largest) + eps
    else:
        total = 0.0
        for f in range(lane, x.shape[1], 32):
            v = abs(np.float64(x[n, f]))
            total += v * v if p == 2.0 else v if p == 1.0 else math.pow(v, p)
        total = math.pow(_lanes_total(total) + eps, 1.0 / p)
    length = x.dtype.type(total)
    if lane == 0:
        norm[n] = length
    for f in range(lane, x.shape[1], 32):
        y[n, f] = x[n, f] / length


@per_warp
@wide("powers of a float32 leave its range; where the sums are taken in float64, rows are")
def _divide_by_norm_gradient(n, lane, x, dy, norm, dx, p):
    total = 0.0
    for f in range(lane, x.shape[1], 32):
        total += np.float64(x[n, f]) * np.float64(dy[n, f])
    length = np.float64(norm[n])
    share = x.dtype.type(_lanes_total(total) / (length * length))
    zero = x.dtype.type(0)
    first = np.int64(-1)
    if p == math.inf:
        _, first = _farthest(n, lane, x)
    for f in range(lane, x.shape[1], 32):
        v, g = x[n, f], dy[n, f] / norm[n]
        sign = x.dtype.type(1) if v > zero else x.dtype.type(-1) if v < zero else v
        if p == math.inf:
            dx[n, f] = g - sign * share if f == first else g
        else:
            dx[n, f] = g - sign * math.pow(abs(v / norm[n]), x.dtype.type(p - 1.0)) * share
