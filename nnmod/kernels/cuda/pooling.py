"""Pooling on the GPU.  Meaning and shapes: kernels/reference/pooling.py.

One thread computes one element, of the output or of the gradient of an average: it gathers what
the windows that cover it have to give.  Which windows chose an element as their maximum is not
known from sizes, so their gradients are scattered: a warp owns a range of a plane and adds to
it in the order of the windows.
"""
import numpy as np

from .compile import device, each, per_item, resident, split
from .launch import blocks, launch
from .target import cuda
from .tiles import PROCESSORS

#: Warps of a block of the kernel that scatters.
_WARPS = 4
_FULL = 0xFFFFFFFF


def max_pool_update_output(x, y, argmax, kernel, stride, pad, dilation):
    """y <- the maximum of x over each window, argmax <- where it was.  See the reference."""
    each(_max_pool, y.size, x.reshape(-1), y.reshape(-1), argmax.reshape(-1),
         *map(np.int32, (*x.shape[1:], *y.shape[1:], *kernel, *stride, *pad, *dilation)))


def max_pool_update_grad_input(dy, argmax, dx):
    """dx <- each dy, added to the element that won its window.  See the reference."""
    _scatter_planes(dy, argmax, dx)


def max_unpool_update_output(x, argmax, y):
    """y <- each x at the place that it was pooled from, else 0.  See the reference."""
    _scatter_planes(x, argmax, y)


def max_unpool_update_grad_input(dy, argmax, dx):
    """dx <- dy at the place that each element was put to.  See the reference."""
    P = dx.shape[0]
    if dx.size:
        each(_take, dx.size, dy.reshape(-1), argmax.reshape(-1), dx.reshape(-1), np.int64(dx.size // P),
             np.int64(dy.size // P))


def avg_pool_update_output(x, y, kernel, stride, pad, count_include_pad, divide):
    """y <- the mean, or the sum, of x over each window.  See the reference."""
    each(_avg_pool, y.size, x.reshape(-1), y.reshape(-1),
         *map(np.int32, (*x.shape[1:], *y.shape[1:], *kernel, *stride, *pad, count_include_pad, divide)))


def avg_pool_update_grad_input(dy, dx, kernel, stride, pad, count_include_pad, divide):
    """dx <- each dy, shared out over the elements of its window.  See the reference."""
    each(_avg_pool_gradient, dx.size, dy.reshape(-1), dx.reshape(-1),
         *map(np.int32, (*dx.shape[1:], *dy.shape[1:], *kernel, *stride, *pad, count_include_pad, divide)))


@device
def _place(i, depth, height, width):
    """Plane, depth, row and column of element number i."""
    i, w = split(i, width)
    i, h = split(i, height)
    p, d = split(i, depth)
    return np.int64(p), d, h, w


@device
def _taps(first, count, step, size):
    """The range of i in 0 .. count for which 0 <= first + i step < size."""
    start = (step - 1 - first) // step if first < 0 else 0
    stop = (size - 1 - first) // step + 1 if first + (count - 1) * step >= size else count
    return np.int64(start), np.int64(stop)


@resident(3)
@per_item
def _max_pool(i, x, y, argmax, D, H, W, OD, OH, OW, kd, kh, kw, sd, sh, sw, pd, ph, pw, dd, dh, dw):
    plane, od, oh, ow = _place(i, OD, OH, OW)
    d, h, w = od * sd - pd, oh * sh - ph, ow * sw - pw
    a0, a1 = _taps(d, kd, dd, D)
    i0, i1 = _taps(h, kh, dh, H)
    j0, j1 = _taps(w, kw, dw, W)
    start = plane * D * H * W
    where = ((d + a0 * dd) * H + h + i0 * dh) * W + w + j0 * dw
    best = x[np.uint64(start + where)]
    for a in range(a0, a1):
        for k in range(i0, i1):
            line = ((d + a * dd) * H + h + k * dh) * W + w
            for j in range(j0, j1):
                at = line + j * dw
                v = x[np.uint64(start + at)]
                if v > best or (v != v and best == best):
                    best, where = v, at
    y[i] = best
    argmax[i] = np.int32(where)


@per_item
def _take(i, source, places, y, windows, size):
    plane, _ = split(i, windows)
    y[i] = source[np.uint64(np.int64(plane) * size + np.int64(places[i]))]


def _scatter_planes(source, places, y):
    """y <- the sum, at each place of a plane, of the source's elements that belong there, in their order."""
    P = y.shape[0]
    if not y.size:
        return
    size, count = y.size // P, source.size // P
    ranges = max(1, min(4 * PROCESSORS // P, 16, size // 256))
    launch(_scatter, blocks(P * ranges, _WARPS), 32 * _WARPS, source.reshape(-1), places.reshape(-1), y.reshape(-1),
           np.int64(P * ranges), np.int64(ranges), np.int64(size), np.int64(count))


def _scatter(source, places, y, warps, ranges, size, count):
    """A warp owns a range of a plane, and looks at all that may belong there, 32 at a time.

    Where several of the 32 belong to the same place, they are added one after the other.
    """
    lane = np.int64(np.uint32(cuda.threadIdx.x) % np.uint32(32))
    warp = np.int64(cuda.blockIdx.x) * _WARPS + np.int64(np.uint32(cuda.threadIdx.x) // np.uint32(32))
    if warp < warps:
        plane, part = warp // ranges, warp % ranges
        low, high = size * part // ranges, size * (part + 1) // ranges
        for at in range(low + lane, high, 32):
            y[np.uint64(plane * size + at)] = source.dtype.type(0)
        cuda.syncwarp(_FULL)
        for first in range(0, count, 32):
            at = plane * count + first + lane
            place = np.int32(-1)
            v = source.dtype.type(0)
            if first + lane < count:
                place = places[np.uint64(at)]
                v = source[np.uint64(at)]
            mine = place >= low and place < high
            if cuda.any_sync(_FULL, mine):
                same = cuda.match_any_sync(_FULL, place)
                turn = cuda.popc(same & ((np.uint32(1) << np.uint32(lane)) - np.uint32(1)))
                now = 0
                while cuda.any_sync(_FULL, mine and turn >= now):
                    if mine and turn == now:
                        y[np.uint64(plane * size + np.int64(place))] += v
                    cuda.syncwarp(_FULL)
                    now += 1


@device
def _length(o, taps, stride, pad, size, with_pad):
    """How many elements, of the picture or of it with its padding, window o covers along one axis."""
    start = o * stride - pad
    end = min(start + taps, size + pad)
    if not with_pad:
        start, end = max(start, np.int64(0)), min(end, np.int64(size))
    return max(end - start, np.int64(0))


@device
def _divisor(like, od, oh, ow, D, H, W, kd, kh, kw, sd, sh, sw, pd, ph, pw, with_pad, divide):
    """What a window's sum is divided by."""
    count = (_length(od, kd, sd, pd, D, with_pad) * _length(oh, kh, sh, ph, H, with_pad)
             * _length(ow, kw, sw, pw, W, with_pad))
    return type(like)(max(count, 1)) if divide else type(like)(1)


@per_item
def _avg_pool(i, x, y, D, H, W, OD, OH, OW, kd, kh, kw, sd, sh, sw, pd, ph, pw, with_pad, divide):
    plane, od, oh, ow = _place(i, OD, OH, OW)
    d, h, w = od * sd - pd, oh * sh - ph, ow * sw - pw
    start = plane * D * H * W
    total = x.dtype.type(0)
    for a in range(max(d, 0), min(d + kd, D)):
        for k in range(max(h, 0), min(h + kh, H)):
            for j in range(max(w, 0), min(w + kw, W)):
                total += x[np.uint64(start + (a * H + k) * W + j)]
    y[i] = total / _divisor(total, od, oh, ow, D, H, W, kd, kh, kw, sd, sh, sw, pd, ph, pw, with_pad, divide)


@device
def _windows(at, taps, stride, pad, count):
    """The range of windows along an axis that cover element *at*."""
    first = at + pad - taps
    start = first // stride + 1 if first >= 0 else 0
    return np.int64(start), min(np.int64((at + pad) // stride + 1), np.int64(count))


@per_item
def _avg_pool_gradient(i, dy, dx, D, H, W, OD, OH, OW, kd, kh, kw, sd, sh, sw, pd, ph, pw, with_pad, divide):
    plane, d, h, w = _place(i, D, H, W)
    d0, d1 = _windows(d, kd, sd, pd, OD)
    h0, h1 = _windows(h, kh, sh, ph, OH)
    w0, w1 = _windows(w, kw, sw, pw, OW)
    total = dy.dtype.type(0)
    for od in range(d0, d1):
        for oh in range(h0, h1):
            for ow in range(w0, w1):
                share = _divisor(total, od, oh, ow, D, H, W, kd, kh, kw, sd, sh, sw, pd, ph, pw, with_pad, divide)
                total += dy[np.uint64(((plane * OD + od) * OH + oh) * OW + ow)] / share
    dx[i] = total
