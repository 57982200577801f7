"""Spatial pooling in plain NumPy: one strided slice of the input for each tap of the window."""
import numpy as np

from .windows import padded, taps, unpadded


def max_pool2d_update_output(x, y, argmax, kernel, stride, pad, dilation=(1, 1)):
    """y[n, c, h, w] <- the maximum of x over window (h, w) of plane (n, c).

    x       (N, C, H, W)
    y       (N, C, OH, OW)  [out]
    argmax  (N, C, OH, OW)  [out] int32: row * W + column of each maximum

    No window may be empty.  Padding is never a maximum.  Ties go to the first element
    in row order.  NaN wins over every number, so that it stays visible.
    """
    size, out = x.shape[2:], y.shape[2:]
    places = np.arange(size[0] * size[1], dtype=argmax.dtype).reshape(size)
    places = padded(places, -1, out, kernel, stride, pad, dilation)
    wide = padded(x, 0, out, kernel, stride, pad, dilation)
    argmax[...] = -1
    with np.errstate(invalid="ignore"):
        for (_, value), (_, place) in zip(taps(wide, out, kernel, stride, dilation),
                                          taps(places, out, kernel, stride, dilation)):
            better = (argmax < 0) | (value > y) | (np.isnan(value) & ~np.isnan(y))
            better &= place >= 0
            y[...] = np.where(better, value, y)
            argmax[...] = np.where(better, place, argmax)


def max_pool2d_update_grad_input(dy, argmax, dx, kernel, stride, pad, dilation=(1, 1)):
    """dx <- each dy, added to the element that won its window.

    dy, argmax  (N, C, OH, OW)
    dx          (N, C, H, W)    [out]
    """
    N, C, H, W = dx.shape
    planes = np.zeros((N * C, H * W), dx.dtype)
    winners = argmax.reshape(N * C, argmax.shape[2] * argmax.shape[3])
    np.add.at(planes, (np.arange(N * C)[:, None], winners), dy.reshape(winners.shape))
    dx[...] = planes.reshape(dx.shape)


def avg_pool2d_update_output(x, y, kernel, stride, pad, count_include_pad=True, divide=True):
    """y[n, c, h, w] <- the mean of x over window (h, w) of plane (n, c), or its sum.

    x                  (N, C, H, W)
    y                  (N, C, OH, OW)  [out]
    count_include_pad  divide by the size of the window, of which what sticks out of
                       the padded input is cut off; else by how many elements of x it covers
    divide             False gives the sum

    A window that covers nothing gives 0.
    """
    out = y.shape[2:]
    wide = padded(x, 0, out, kernel, stride, pad, (1, 1))
    y[...] = 0
    with np.errstate(all="ignore"):
        for _, value in taps(wide, out, kernel, stride, (1, 1)):
            y += value
        if divide:
            y /= _divisors(x, out, kernel, stride, pad, count_include_pad)


def avg_pool2d_update_grad_input(dy, dx, kernel, stride, pad, count_include_pad=True, divide=True):
    """dx <- each dy, divided as in the forward pass, added to all elements its window covers.

    dy                         (N, C, OH, OW)
    dx                         (N, C, H, W)    [out]
    count_include_pad, divide  as in the forward pass
    """
    out = dy.shape[2:]
    wide = padded(np.zeros_like(dx), 0, out, kernel, stride, pad, (1, 1))
    with np.errstate(all="ignore"):
        share = dy / _divisors(dx, out, kernel, stride, pad, count_include_pad) if divide else dy
        for _, target in taps(wide, out, kernel, stride, (1, 1)):
            target += share
    dx[...] = unpadded(wide, dx.shape[2:], pad)


def _divisors(x, out, kernel, stride, pad, count_include_pad):
    """What each window divides by: (OH, OW), at least 1."""
    counts = []
    for n, o, k, s, p in zip(x.shape[2:], out, kernel, stride, pad):
        start = np.arange(o) * s - p
        end = np.minimum(start + k, n + p)
        if not count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, n)
        counts.append(np.maximum(end - start, 0))
    return np.maximum(np.outer(*counts), 1).astype(x.dtype)
