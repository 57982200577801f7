"""Pooling in plain NumPy: one strided slice of the input for each tap of the window.

Tensors are planes (P, D, H, W), each of a depth, a height and a width: a picture has
depth 1.  ``kernel``, ``stride``, ``pad`` and ``dilation`` are (depth, height, width)
triples, and a *place* is an element's number within its plane, ``(d * H + h) * W + w``.
"""
import numpy as np


def max_pool_update_output(x, y, argmax, kernel, stride, pad, dilation):
    """y[p, d, h, w] <- the maximum of x over window (d, h, w) of plane p.

    x       (P, D, H, W)
    y       (P, OD, OH, OW)  [out]
    argmax  (P, OD, OH, OW)  [out] int32: the place of each maximum

    No window may be empty.  Padding is never a maximum.  Ties go to the first place.
    NaN wins over every number, so that it stays visible.
    """
    out, size = y.shape[1:], x.shape[1:]
    places = np.arange(np.prod(size), dtype=argmax.dtype).reshape(1, *size)
    places = _padded(places, -1, out, kernel, stride, pad, dilation)
    wide = _padded(x, 0, out, kernel, stride, pad, dilation)
    argmax[...] = -1
    with np.errstate(invalid="ignore"):
        for tap in np.ndindex(*kernel):
            value = _seen(wide, tap, out, stride, dilation)
            place = _seen(places, tap, out, stride, dilation)
            better = (argmax < 0) | (value > y) | (np.isnan(value) & ~np.isnan(y))
            better &= place >= 0
            y[...] = np.where(better, value, y)
            argmax[...] = np.where(better, place, argmax)


def max_pool_update_grad_input(dy, argmax, dx):
    """dx <- each dy, added to the element that won its window; the rest is 0.

    dy, argmax  (P, OD, OH, OW), argmax from the forward pass
    dx          (P, D, H, W)  [out]
    """
    P = dx.shape[0]
    planes = np.zeros((P, dx[0].size if P else 0), dx.dtype)
    winners = argmax.reshape(P, argmax[0].size if P else 0)
    np.add.at(planes, (np.arange(P)[:, None], winners), dy.reshape(winners.shape))
    dx[...] = planes.reshape(dx.shape)


def max_unpool_update_output(x, argmax, y):
    """y <- each x at the place of the maximum that it was pooled from; the rest is 0.

    x, argmax  (P, OD, OH, OW), argmax from the pooling, no place twice in a plane
    y          (P, D, H, W)  [out]
    """
    max_pool_update_grad_input(x, argmax, y)


def max_unpool_update_grad_input(dy, argmax, dx):
    """dx <- dy at the place that each element was put to.

    dy          (P, D, H, W)
    argmax, dx  (P, OD, OH, OW), dx [out]
    """
    P = dy.shape[0]
    places = argmax.reshape(P, argmax[0].size if P else 0)
    planes = dy.reshape(P, dy[0].size if P else 0)
    dx[...] = np.take_along_axis(planes, places, axis=1).reshape(dx.shape)


def avg_pool_update_output(x, y, kernel, stride, pad, count_include_pad, divide):
    """y[p, d, h, w] <- the mean of x over window (d, h, w) of plane p, or its sum.

    x                  (P, D, H, W)
    y                  (P, OD, OH, OW)  [out]
    count_include_pad  divide by the size of the window, of which what sticks out of
                       the padded input is cut off; else by how many elements of x it covers
    divide             False gives the sum

    A window that covers nothing gives 0.
    """
    out = y.shape[1:]
    wide = _padded(x, 0, out, kernel, stride, pad, (1, 1, 1))
    y[...] = 0
    with np.errstate(all="ignore"):
        for tap in np.ndindex(*kernel):
            y += _seen(wide, tap, out, stride, (1, 1, 1))
        if divide:
            y /= _divisors(x, out, kernel, stride, pad, count_include_pad)


def avg_pool_update_grad_input(dy, dx, kernel, stride, pad, count_include_pad, divide):
    """dx <- each dy, divided as in the forward pass, added to all elements its window covers.

    dy                         (P, OD, OH, OW)
    dx                         (P, D, H, W)  [out]
    count_include_pad, divide  as in the forward pass
    """
    out = dy.shape[1:]
    wide = _padded(np.zeros_like(dx), 0, out, kernel, stride, pad, (1, 1, 1))
    with np.errstate(all="ignore"):
        share = dy / _divisors(dx, out, kernel, stride, pad, count_include_pad) if divide else dy
        for tap in np.ndindex(*kernel):
            _seen(wide, tap, out, stride, (1, 1, 1))[...] += share
    dx[...] = _inside(wide, dx.shape[1:], pad)


def _padded(x, fill, out, kernel, stride, pad, dilation):
    """A copy of x with *fill* around it, so large that no window sticks out."""
    ends = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out, stride, kernel, dilation)]
    sizes = [max(end, p + n) for end, p, n in zip(ends, pad, x.shape[1:])]
    wide = np.full((x.shape[0], *sizes), fill, x.dtype)
    _inside(wide, x.shape[1:], pad)[...] = x
    return wide


def _inside(wide, size, pad):
    """The part of a padded tensor that holds the input itself."""
    return wide[(slice(None), *(slice(p, p + n) for p, n in zip(pad, size)))]


def _seen(wide, tap, out, stride, dilation):
    """What *tap*, a position inside the window, sees in all windows: a view (P, OD, OH, OW)."""
    starts = [t * d for t, d in zip(tap, dilation)]
    return wide[(slice(None), *(slice(a, a + (o - 1) * s + 1, s) for a, o, s in zip(starts, out, stride)))]


def _divisors(x, out, kernel, stride, pad, count_include_pad):
    """What each window divides by: (OD, OH, OW), at least 1."""
    counts = []
    for n, o, k, s, p in zip(x.shape[1:], out, kernel, stride, pad):
        start = np.arange(o) * s - p
        end = np.minimum(start + k, n + p)
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, n)
        counts.append(np.maximum(end - start, 0))
    counts = counts[0][:, None, None] * counts[1][:, None] * counts[2]
    return np.maximum(counts, 1).astype(x.dtype)
