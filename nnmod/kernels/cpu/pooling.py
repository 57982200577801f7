"""Pooling on the CPU.  Meaning and shapes: kernels/reference/pooling.py.

Threads take planes, which are independent of each other.  A kernel goes along a row of
windows, not through one window after the other, so that vectors hold neighbouring
windows; the few windows at the ends of a row that padding cuts go one by one.
"""
import numpy as np

from . import program, threads
from .compile import call, inline, jit
from .linear import at
from .simd import address
from .views import flat
from .window_max import lanes, squares, windows_max
from .window_sum import window_add, window_sum


def max_pool_update_output(x, y, argmax, kernel, stride, pad, dilation):
    """y <- the maximum of x over each window, argmax <- where it was.  See the reference."""
    _ready_max_pool(x, y, argmax, kernel, stride, pad, dilation)(x)


def _ready_max_pool(x, y, argmax, kernel, stride, pad, dilation):
    """The same as a function of x, for one of this shape."""
    half = 16 // x.itemsize  # of a vector of squares_max
    P, OD, OH, OW = y.shape
    if not (kernel == stride == (1, 2, 2) and pad == (0, 0, 0) and dilation == (1, 1, 1)
            and OD == 1 and OW % half == 0 and OH * OW >= 2 * half):
        return lambda x: _run(_max_update_output, y, kernel, x, y, argmax, *kernel, *stride, *pad, *dilation)

    def run(x):
        _run(_max_of_squares, y, (1, 1, 1), x, y, argmax)

    if P * OH * OW < 2 * threads.ELEMENTS_PER_THREAD or threads.get_num_threads() == 1:
        run.step = program.step("squares", y, (0, P, at(y), at(argmax), *x.shape[2:], OH, OW))
    return run


max_pool_update_output.ready = _ready_max_pool


def max_pool_update_grad_input(dy, argmax, dx):
    """dx <- each dy, added to the element that won its window.  See the reference."""
    _run(_scatter, dx, (1, 1, 1), dy, argmax, dx)


def max_unpool_update_output(x, argmax, y):
    """y <- each x at the place that it was pooled from, else 0.  See the reference."""
    _run(_scatter, y, (1, 1, 1), x, argmax, y)


def max_unpool_update_grad_input(dy, argmax, dx):
    """dx <- dy at the place that each element was put to.  See the reference."""
    _run(_gather, dx, (1, 1, 1), dy, argmax, dx)


def avg_pool_update_output(x, y, kernel, stride, pad, count_include_pad, divide):
    """y <- the mean, or the sum, of x over each window.  See the reference."""
    _run(_avg_update_output, y, kernel, x, y, *kernel, *stride, *pad, count_include_pad, divide)


def avg_pool_update_grad_input(dy, dx, kernel, stride, pad, count_include_pad, divide):
    """dx <- each dy, shared out over the elements of its window.  See the reference."""
    _run(_avg_update_grad_input, dy, kernel, dy, dx, *kernel, *stride, *pad, count_include_pad, divide)


def _run(kernel, owned, window, *args):
    """Run *kernel* over planes; each element of *owned* takes as many steps as a window has elements."""
    P, D, H, W = owned.shape
    steps = D * H * W * window[0] * window[1] * window[2]
    threads.run(kernel, P, threads.grain(steps, threads.ELEMENTS_PER_THREAD), *args)


# -- the maximum ------------------------------------------------------------------------------

@jit
def _max_update_output(start, stop, x, y, argmax, kd, kh, kw, sd, sh, sw, pd, ph, pw, dd, dh, dw):
    D, H, W = x.shape[1:]
    OD, OH, OW = y.shape[1:]
    xs, ys, places = flat(x), flat(y), flat(argmax)
    wide = min(lanes(x.dtype.type(0)), OW)
    for plane in range(start, stop):
        first = plane * D * H * W
        for od in range(OD):
            a0, a1 = _taps_inside(od * sd - pd, kd, dd, D)
            for oh in range(OH):
                i0, i1 = _taps_inside(oh * sh - ph, kh, dh, H)
                row = ((od * sd - pd + a0 * dd) * H + oh * sh - ph + i0 * dh) * W
                line = ((plane * OD + od) * OH + oh) * OW
                if OW < 3:
                    for ow in range(OW):
                        j0, j1 = _taps_inside(ow * sw - pw, kw, dw, W)
                        ys[line + ow], places[line + ow] = window_max(
                            xs, first, row + ow * sw - pw + j0 * dw, a1 - a0, i1 - i0, j1 - j0,
                            dd * H * W, dh * W, dw)
                    continue
                for block in range(0, OW, wide):
                    ow = min(block, OW - wide)  # the last block overlaps the one before
                    column = ow * sw - pw
                    inside = (wide == lanes(x.dtype.type(0)) and column >= 0
                              and column + (wide - 1) * sw + (kw - 1) * dw < W)
                    if windows_max(xs, ys, places, first, row + column, line + ow, wide, a1 - a0, i1 - i0, kw,
                                   dd * H * W, dh * W, dw, sw, column, W, inside):
                        for t in range(wide):
                            if places[line + ow + t] < 0:  # -inf wherever one looks: the first of them
                                j, _ = _taps_inside(column + t * sw, kw, dw, W)
                                places[line + ow + t] = row + column + t * sw + j * dw


@jit
def _max_of_squares(start, stop, x, y, argmax):
    call(squares, (x.dtype.type(0), address(x), start, stop, address(y), address(argmax), x.shape[2], x.shape[3],
                   y.shape[2], y.shape[3]))


@inline
def _taps_inside(first, count, step, size):
    """The range of i in 0 .. count for which 0 <= first + i * step < size."""
    start, stop = 0, count
    if first < 0:
        start = (-first + step - 1) // step
    if first + (count - 1) * step >= size:
        stop = (size - 1 - first) // step + 1
    return start, stop


@inline
def window_max(xs, plane, corner, depth, height, width, deeper, lower, righter):
    """The maximum of one window of all planes *xs*, and its place within its plane."""
    best, where, poisoned = xs[np.uint64(plane + corner)], corner, False
    # One plain comparison compiles to code without jumps; NaN, which it misses, is only
    # noted here.
    for a in range(depth):
        for i in range(height):
            place = corner + a * deeper + i * lower
            for _ in range(width):
                value = xs[np.uint64(plane + place)]
                where = place if value > best else where
                best = value if value > best else best
                poisoned |= value != value
                place += righter
    if poisoned:
        for a in range(depth):
            for i in range(height):
                for j in range(width):
                    place = corner + a * deeper + i * lower + j * righter
                    value = xs[np.uint64(plane + place)]
                    if best == best and value != value:
                        best, where = value, place
    return best, where


@jit
def _scatter(start, stop, source, places, target):
    for plane in range(start, stop):
        to, values, numbers = flat(target[plane]), flat(source[plane]), flat(places[plane])
        to[:] = 0
        for t in range(numbers.size):
            to[np.uint32(numbers[t])] += values[t]


@jit
def _gather(start, stop, source, places, target):
    for plane in range(start, stop):
        values, to, numbers = flat(source[plane]), flat(target[plane]), flat(places[plane])
        for t in range(numbers.size):
            to[t] = values[np.uint32(numbers[t])]


# -- the mean -------------------------------------------------------------------------------------

@jit
def _avg_update_output(start, stop, x, y, kd, kh, kw, sd, sh, sw, pd, ph, pw, count_include_pad, divide):
    D, H, W = x.shape[1:]
    OD, OH, OW = y.shape[1:]
    xs, ys = flat(x), flat(y)
    left, right = _whole_windows(W, OW, kw, sw, pw)
    for plane in range(start, stop):
        for od in range(OD):
            front, back, depth = _span(od, kd, sd, pd, D, count_include_pad)
            for oh in range(OH):
                top, bottom, height = _span(oh, kh, sh, ph, H, count_include_pad)
                line = ((plane * OD + od) * OH + oh) * OW
                for t in range(right - left):
                    ys[np.uint64(line + left + t)] = 0
                for d in range(front, back if right > left else front):
                    for h in range(top, bottom):
                        row = ((plane * D + d) * H + h) * W
                        _row_sum(xs, row + left * sw - pw, ys, line + left, right - left, kw, sw)
                if divide:
                    size = x.dtype.type(depth * height * kw)
                    for t in range(right - left):
                        ys[np.uint64(line + left + t)] /= size
                for ow in range(OW):
                    if left <= ow < right:
                        continue
                    first, last, width = _span(ow, kw, sw, pw, W, count_include_pad)
                    # Rows that are covered as a whole lie one after the other: they are one.
                    rows, run = (1, (bottom - top) * W) if last - first == W else (bottom - top, last - first)
                    total = window_sum(xs, ((plane * D + front) * H + top) * W + first,
                                       back - front, rows, run, H * W, W)
                    ys[line + ow] = total / x.dtype.type(depth * height * width) if divide else total


@jit
def _avg_update_grad_input(start, stop, dy, dx, kd, kh, kw, sd, sh, sw, pd, ph, pw, count_include_pad, divide):
    D, H, W = dx.shape[1:]
    OD, OH, OW = dy.shape[1:]
    dxs, dys = flat(dx), flat(dy)
    left, right = _whole_windows(W, OW, kw, sw, pw)
    for plane in range(start, stop):
        dx[plane] = 0
        for od in range(OD):
            front, back, depth = _span(od, kd, sd, pd, D, count_include_pad)
            for oh in range(OH):
                top, bottom, height = _span(oh, kh, sh, ph, H, count_include_pad)
                line = ((plane * OD + od) * OH + oh) * OW
                size = dy.dtype.type(depth * height * kw if divide else 1)
                for d in range(front, back if right > left else front):
                    for h in range(top, bottom):
                        row = ((plane * D + d) * H + h) * W
                        _row_add(dys, line + left, dxs, row + left * sw - pw, right - left, size, kw, sw)
                for ow in range(OW):
                    if left <= ow < right:
                        continue
                    first, last, width = _span(ow, kw, sw, pw, W, count_include_pad)
                    share = dys[line + ow]
                    if divide:
                        share /= dy.dtype.type(depth * height * width)
                    rows, run = (1, (bottom - top) * W) if last - first == W else (bottom - top, last - first)
                    window_add(share, dxs, ((plane * D + front) * H + top) * W + first,
                               back - front, rows, run, H * W, W)


@inline
def _whole_windows(W, OW, kw, sw, pw):
    """Windows left .. right of a row have no column outside; none where going along the row does not pay."""
    left = min((pw + sw - 1) // sw, OW)
    right = max(min((W - kw + pw) // sw + 1, OW), left)
    if right - left < 4 or 2 * (right - left) < kw:
        return OW, OW
    return left, right


@inline
def _span(o, k, s, p, n, count_include_pad):
    """Along one side: the elements start .. stop that window o covers, and what it counts, at least 1."""
    begin = o * s - p
    end = min(begin + k, n + p)
    start = max(begin, 0)
    stop = max(min(end, n), start)  # a window may lie outside, and covers nothing then
    return start, stop, max(end - begin if count_include_pad else stop - start, 1)


# Numbers of elements are unsigned below: a negative one would count from the end, and the
# test for that keeps a loop from becoming vector code; so does a step that is not a constant.

@inline
def _row_sum(xs, x, ys, y, count, kw, sw):
    """*count* sums from ys[y] on += one row of every window, the first of which starts at xs[x]."""
    if kw == 2 and sw == 2:
        for t in range(count):
            ys[np.uint64(y + t)] += xs[np.uint64(x + 2 * t)] + xs[np.uint64(x + 2 * t + 1)]
    elif kw == 3 and sw == 1:
        for t in range(count):
            ys[np.uint64(y + t)] += xs[np.uint64(x + t)] + xs[np.uint64(x + t + 1)] + xs[np.uint64(x + t + 2)]
    elif kw == 3 and sw == 2:
        for t in range(count):
            ys[np.uint64(y + t)] += (xs[np.uint64(x + 2 * t)] + xs[np.uint64(x + 2 * t + 1)]
                                     + xs[np.uint64(x + 2 * t + 2)])
    else:
        for j in range(x, x + kw):
            if sw == 1:
                for t in range(count):
                    ys[np.uint64(y + t)] += xs[np.uint64(j + t)]
            else:
                for t in range(count):
                    ys[np.uint64(y + t)] += xs[np.uint64(j + t * sw)]


@inline
def _row_add(dys, y, dxs, x, count, size, kw, sw):
    """One row of every window, the first of which starts at dxs[x], += the window's dy / size."""
    factor = type(size)(1) / size
    if kw == 2 and sw == 2:
        for t in range(count):
            share = factor * dys[np.uint64(y + t)]
            dxs[np.uint64(x + 2 * t)] += share
            dxs[np.uint64(x + 2 * t + 1)] += share
    else:
        for j in range(x, x + kw):
            if sw == 1:
                for t in range(count):
                    dxs[np.uint64(j + t)] += factor * dys[np.uint64(y + t)]
            else:
                for t in range(count):
                    dxs[np.uint64(j + t * sw)] += factor * dys[np.uint64(y + t)]
