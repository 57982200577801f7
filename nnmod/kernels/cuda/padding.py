"""Borders around images and volumes on the device.  Meaning and shapes: kernels/reference/padding.py.

A thread computes one element of the result; of the gradient it gathers all places that show
its element, of which a side has up to three runs: before, inside and behind.
"""
from ..cpu import padding as cpu
from .compile import device, each, on_device, per_item, split

_source = on_device(cpu._source)


def pad3d_update_output(x, y, pad, mode):
    """y <- x with a border, or cropped.  See the reference."""
    each(_pad, y.size, x, y, *pad, cpu._MODES[mode])


def pad3d_update_grad_input(dy, dx, pad, mode):
    """dx <- for each element, the sum of the dy at all places that show it.  See the reference."""
    # Three parts of a side, as an argument: with a constant the compiler unrolls 27 loops, in 250 registers.
    each(_pad_grad, dx.size, dy, dx, *pad, cpu._MODES[mode], 3)


@device
def _places(part, place, n, out, before, mode):
    """The run of places of the result, first and behind the last, that show *place* of n elements.

    *part* is 0 for the border before them, 1 for the inside, 2 for the border behind.
    """
    first, count = place + before, 1
    if part == 0:
        if mode == 1:
            first, count = before - place, 1 if place > 0 else 0
        elif mode == 3:
            first = before - 1 - place
        else:
            first, count = 0, before if mode == 2 and place == 0 else 0
    elif part == 2:
        if mode == 1:
            first, count = before + 2 * (n - 1) - place, 1 if place < n - 1 else 0
        elif mode == 3:
            first = before + 2 * n - 1 - place
        else:
            first = before + n
            count = out - first if mode == 2 and place == n - 1 else 0
    last = min(first + count, out)
    return max(first, 0), last


@per_item
def _pad(i, x, y, front, top, left, mode):
    i, w = split(i, y.shape[3])
    i, h = split(i, y.shape[2])
    p, d = split(i, y.shape[1])
    a, b = _source(d - front, x.shape[1], mode), _source(h - top, x.shape[2], mode)
    c = _source(w - left, x.shape[3], mode)
    y[p, d, h, w] = x[p, a, b, c] if a >= 0 and b >= 0 and c >= 0 else x.dtype.type(0)


@per_item
def _pad_grad(i, dy, dx, front, top, left, mode, parts):
    i, w = split(i, dx.shape[3])
    i, h = split(i, dx.shape[2])
    p, d = split(i, dx.shape[1])
    total = dx.dtype.type(0)
    for part_d in range(parts):
        first_d, last_d = _places(part_d, d, dx.shape[1], dy.shape[1], front, mode)
        for at_d in range(first_d, last_d):
            for part_h in range(parts):
                first_h, last_h = _places(part_h, h, dx.shape[2], dy.shape[2], top, mode)
                for at_h in range(first_h, last_h):
                    for part_w in range(parts):
                        first_w, last_w = _places(part_w, w, dx.shape[3], dy.shape[3], left, mode)
                        for at_w in range(first_w, last_w):
                            total += dy[p, at_d, at_h, at_w]
    dx[p, d, h, w] = total
