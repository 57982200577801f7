"""Spatial pooling on the CPU.  Meaning and shapes: kernels/reference/pooling.py.

Threads take planes, which are independent of each other.
"""
from . import threads
from .compile import inline, jit


def max_pool2d_update_output(x, y, argmax, kernel, stride, pad, dilation=(1, 1)):
    """y <- the maximum of x over each window, argmax <- where it was.  See the reference."""
    _run(_max_update_output, y, kernel, x, y, argmax, *kernel, *stride, *pad, *dilation)


def max_pool2d_update_grad_input(dy, argmax, dx, kernel, stride, pad, dilation=(1, 1)):
    """dx <- each dy, added to the element that won its window.  See the reference."""
    _run(_max_update_grad_input, dx, (1, 1), dy, argmax, dx)


def avg_pool2d_update_output(x, y, kernel, stride, pad, count_include_pad=True, divide=True):
    """y <- the mean, or the sum, of x over each window.  See the reference."""
    _run(_avg_update_output, y, kernel, x, y, *kernel, *stride, *pad, count_include_pad, divide)


def avg_pool2d_update_grad_input(dy, dx, kernel, stride, pad, count_include_pad=True, divide=True):
    """dx <- each dy, shared out over the elements of its window.  See the reference."""
    _run(_avg_update_grad_input, dy, kernel, dy, dx, *kernel, *stride, *pad, count_include_pad, divide)


def _run(kernel, owned, window, *args):
    """Run *kernel* over planes; each element of *owned* takes as many steps as a window has elements."""
    N, C, H, W = owned.shape
    steps = H * W * window[0] * window[1]
    threads.run(kernel, N * C, threads.grain(steps, threads.ELEMENTS_PER_THREAD), *args)


@jit
def _max_update_output(start, stop, x, y, argmax, kh, kw, sh, sw, ph, pw, dh, dw):
    C, H, W = x.shape[1:]
    OH, OW = y.shape[2:]
    for plane in range(start, stop):
        n, c = plane // C, plane % C
        source = x[n, c].reshape(H * W)
        for oh in range(OH):
            i0, i1 = _taps_inside(oh * sh - ph, kh, dh, H)
            for ow in range(OW):
                j0, j1 = _taps_inside(ow * sw - pw, kw, dw, W)
                corner = (oh * sh - ph + i0 * dh) * W + ow * sw - pw + j0 * dw
                best, where, poisoned = source[corner], corner, False
                # One plain comparison compiles to code without jumps; NaN, which it
                # misses, is only noted here.
                for i in range(i1 - i0):
                    place = corner + i * dh * W
                    for _ in range(j1 - j0):
                        value = source[place]
                        where = place if value > best else where
                        best = value if value > best else best
                        poisoned |= value != value
                        place += dw
                if poisoned:
                    for i in range(i1 - i0):
                        for j in range(j1 - j0):
                            place = corner + i * dh * W + j * dw
                            if best == best and source[place] != source[place]:
                                best, where = source[place], place
                y[n, c, oh, ow] = best
                argmax[n, c, oh, ow] = where


@inline
def _taps_inside(first, count, step, size):
    """The range of i in 0 .. count for which 0 <= first + i * step < size."""
    start, stop = 0, count
    if first < 0:
        start = (-first + step - 1) // step
    if first + (count - 1) * step >= size:
        stop = (size - 1 - first) // step + 1
    return start, stop


@jit
def _max_update_grad_input(start, stop, dy, argmax, dx):
    C, H, W = dx.shape[1:]
    for plane in range(start, stop):
        n, c = plane // C, plane % C
        target = dx[n, c].reshape(H * W)
        source = dy[n, c].reshape(dy.shape[2] * dy.shape[3])
        winner = argmax[n, c].reshape(source.size)
        target[:] = 0
        for t in range(source.size):
            target[winner[t]] += source[t]


@jit
def _avg_update_output(start, stop, x, y, kh, kw, sh, sw, ph, pw, count_include_pad, divide):
    C, H, W = x.shape[1:]
    OH, OW = y.shape[2:]
    for plane in range(start, stop):
        n, c = plane // C, plane % C
        for oh in range(OH):
            top, bottom, height = _span(oh, kh, sh, ph, H, count_include_pad)
            for ow in range(OW):
                left, right, width = _span(ow, kw, sw, pw, W, count_include_pad)
                total = x.dtype.type(0)
                for h in range(top, bottom):
                    run = x[n, c, h, left:right]
                    for w in range(run.size):
                        total += run[w]
                y[n, c, oh, ow] = total / x.dtype.type(height * width) if divide else total


@jit
def _avg_update_grad_input(start, stop, dy, dx, kh, kw, sh, sw, ph, pw, count_include_pad, divide):
    C, H, W = dx.shape[1:]
    OH, OW = dy.shape[2:]
    for plane in range(start, stop):
        n, c = plane // C, plane % C
        dx[n, c] = 0
        for oh in range(OH):
            top, bottom, height = _span(oh, kh, sh, ph, H, count_include_pad)
            for ow in range(OW):
                left, right, width = _span(ow, kw, sw, pw, W, count_include_pad)
                share = dy[n, c, oh, ow]
                if divide:
                    share /= dy.dtype.type(height * width)
                for h in range(top, bottom):
                    run = dx[n, c, h, left:right]
                    for w in range(run.size):
                        run[w] += share


@inline
def _span(o, k, s, p, n, count_include_pad):
    """Along one side: the elements start .. stop that window o covers, and what it counts, at least 1."""
    begin = o * s - p
    end = min(begin + k, n + p)
    start, stop = max(begin, 0), min(end, n)
    return start, stop, max(end - begin if count_include_pad else stop - start, 1)
