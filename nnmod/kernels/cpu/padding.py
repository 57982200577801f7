"""Borders around images and volumes on the CPU.  Meaning and shapes: kernels/reference/padding.py.

A row of the result is a left border, a run that is copied, and a right border.  Threads
take volumes p, which are independent of each other.
"""
from . import threads
from .compile import inline, jit

_MODES = {"zero": 0, "reflect": 1, "replicate": 2, "symmetric": 3}


def pad3d_update_output(x, y, pad, mode):
    """y <- x with a border, or cropped.  See the reference."""
    _run(_pad, y, x, y, *pad, _MODES[mode])


def pad3d_update_grad_input(dy, dx, pad, mode):
    """dx <- for each element, the sum of the dy at all places that show it.  See the reference."""
    _run(_pad_grad, dy, dy, dx, *pad, _MODES[mode])


def _run(kernel, owned, *args):
    P, D, H, W = owned.shape
    threads.run(kernel, P, threads.grain(D * H * W, threads.ELEMENTS_PER_THREAD), *args)


@inline
def _source(place, n, mode):
    """What *place*, counted from the first of n elements, shows; -1 for nothing."""
    if 0 <= place < n:
        return place
    if mode == 0:
        return -1
    if mode == 1:
        return -place if place < 0 else 2 * (n - 1) - place
    if mode == 3:
        return -1 - place if place < 0 else 2 * n - 1 - place
    return 0 if place < 0 else n - 1


@jit
def _pad(start, stop, x, y, front, top, left, mode):
    D, H, W = x.shape[1:]
    OD, OH, OW = y.shape[1:]
    low, high = _run_inside(left, W, OW)
    for p in range(start, stop):
        for od in range(OD):
            d = _source(od - front, D, mode)
            for oh in range(OH):
                h = _source(oh - top, H, mode)
                target = y[p, od, oh]
                if d < 0 or h < 0:
                    for w in range(OW):
                        target[w] = y.dtype.type(0)
                    continue
                row = x[p, d, h]
                for w in range(low):
                    s = _source(w - left, W, mode)
                    target[w] = row[s] if s >= 0 else y.dtype.type(0)
                for w in range(high, OW):
                    s = _source(w - left, W, mode)
                    target[w] = row[s] if s >= 0 else y.dtype.type(0)
                inner, source = target[low:high], row[low - left:high - left]
                for w in range(inner.size):
                    inner[w] = source[w]


@jit
def _pad_grad(start, stop, dy, dx, front, top, left, mode):
    D, H, W = dx.shape[1:]
    OD, OH, OW = dy.shape[1:]
    low, high = _run_inside(left, W, OW)
    for p in range(start, stop):
        whole = dx[p].reshape(D * H * W)
        for i in range(whole.size):
            whole[i] = dx.dtype.type(0)
        for od in range(OD):
            d = _source(od - front, D, mode)
            for oh in range(OH):
                h = _source(oh - top, H, mode)
                if d < 0 or h < 0:
                    continue
                source, row = dy[p, od, oh], dx[p, d, h]
                inner, run = source[low:high], row[low - left:high - left]
                for w in range(inner.size):
                    run[w] += inner[w]
                if mode != 0:
                    for w in range(low):
                        row[_source(w - left, W, mode)] += source[w]
                    for w in range(high, OW):
                        row[_source(w - left, W, mode)] += source[w]


@inline
def _run_inside(left, W, OW):
    """The columns low .. high of the result that show x itself."""
    low = min(max(left, 0), OW)
    return low, max(low, min(OW, W + left))
