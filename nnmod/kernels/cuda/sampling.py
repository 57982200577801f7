"""Grids of places and images at them, and regions, on the device.  Meaning and shapes: kernels/reference/sampling.py.

The gradient of an image is gathered: the thread of a pixel walks all places of its image and
takes those beside it, so that no two threads add to one pixel.  With regions it walks those
whose maxima lie around it, in the order in which the reference adds them.
"""
import math

import numpy as np

from .compile import device, each, each_warp, per_item, per_warp, split, warp_sum, wide
from .launch import scratch

#: Where a place lies that is near no pixel.
_NOWHERE = np.int32(-2**30)


def affine_grid_update_output(t, y):
    """y[n, h, w] <- t[n] (a, b, 1).  See the reference."""
    each(_affine_grid, y.size, t, y)


def affine_grid_update_grad_input(dy, dt):
    """dt[n] <- the sum over h and w of dy[n, h, w] times (a, b, 1).  See the reference."""
    each_warp(_affine_grid_grad, 2 * dy.shape[0], dy, dt)


def sample_bilinear_update_output(x, grid, y):
    """y[n, i, j] <- x[n] at the place grid[n, i, j].  See the reference."""
    each(_sample, y.size, x, grid, y)


def sample_bilinear_update_grad_input(x, grid, dy, dx, dgrid):
    """dx and dgrid <- the gradients of images and places.  See the reference."""
    N, h, w, _ = grid.shape
    corners = scratch(x, (N, h * w, 2), np.int32)
    each(_places_grad, N * h * w, x, grid, dy, corners, dgrid)
    each(_image_grad, x.size, x, grid, dy, corners, dx)


@device
def _around(place, size):
    """*place* in pixels: the pixel before it, how far behind that it lies, whether one is near."""
    f = type(place)
    at = (place + f(1)) * (f(size - 1) / f(2))
    if not (at > f(-1) and at < f(size)):
        return 0, f(0), False
    low = math.floor(at)
    return np.int64(low), f(at - f(low)), True


@per_item
def _affine_grid(i, t, y):
    i, k = split(i, 2)
    i, w = split(i, y.shape[2])
    n, h = split(i, y.shape[1])
    f = t.dtype.type
    a = f(2) * f(h) / f(y.shape[1] - 1) - f(1)
    b = f(2) * f(w) / f(y.shape[2] - 1) - f(1)
    y[n, h, w, k] = t[n, k, 0] * a + t[n, k, 1] * b + t[n, k, 2]


@per_warp
def _affine_grid_grad(i, lane, dy, dt):
    n, k = split(i, 2)
    H, W = dy.shape[1:3]
    f = dt.dtype.type
    first, second, third = f(0), f(0), f(0)
    for h in range(H):
        a = f(2) * f(h) / f(H - 1) - f(1)
        for w in range(lane, W, 32):
            value = dy[n, h, w, k]
            first += value * a
            second += value * (f(2) * f(w) / f(W - 1) - f(1))
            third += value
    first, second, third = warp_sum(first), warp_sum(second), warp_sum(third)
    if lane == 0:
        dt[n, k, 0], dt[n, k, 1], dt[n, k, 2] = first, second, third


@per_item
def _sample(i, x, grid, y):
    i, c = split(i, y.shape[3])
    i, column = split(i, y.shape[2])
    n, row = split(i, y.shape[1])
    H, W = x.shape[1:3]
    one = x.dtype.type(1)
    gy, gx = grid[n, row, column, 0], grid[n, row, column, 1]
    h, u, high = _around(gy, H)
    w, v, wide = _around(gx, W)
    total = x.dtype.type(0)
    if math.isnan(gy) or math.isnan(gx):
        total = gy + gx
    elif high and wide:
        for down in range(2):
            for right in range(2):
                if 0 <= h + down < H and 0 <= w + right < W:
                    total += (u if down else one - u) * (v if right else one - v) * x[n, h + down, w + right, c]
    y[n, row, column, c] = total


@per_item
def _places_grad(i, x, grid, dy, corners, dgrid):
    n, place = split(i, corners.shape[1])
    row, column = place // dy.shape[2], place % dy.shape[2]
    H, W, C = x.shape[1:]
    f = x.dtype.type
    one = f(1)
    gy, gx = grid[n, row, column, 0], grid[n, row, column, 1]
    h, u, high = _around(gy, H)
    w, v, wide = _around(gx, W)
    near = high and wide
    corners[n, place, 0] = h if near else _NOWHERE
    corners[n, place, 1] = w if near else _NOWHERE
    along_y, along_x = f(0), f(0)
    if near:
        for down in range(2):
            for right in range(2):
                if 0 <= h + down < H and 0 <= w + right < W:
                    total = f(0)
                    for c in range(C):
                        total += dy[n, row, column, c] * x[n, h + down, w + right, c]
                    q, p = (v if right else one - v) * total, (u if down else one - u) * total
                    along_y += q if down else -q
                    along_x += p if right else -p
        along_y *= f(H - 1) * f(0.5)
        along_x *= f(W - 1) * f(0.5)
    elif math.isnan(gy) or math.isnan(gx):
        # NaN stays NaN; what is infinite has no slope.
        along_y = along_x = gy + gx
    dgrid[n, row, column, 0] = along_y
    dgrid[n, row, column, 1] = along_x


@per_item
def _image_grad(i, x, grid, dy, corners, dx):
    i, c = split(i, dx.shape[3])
    i, w = split(i, dx.shape[2])
    n, h = split(i, dx.shape[1])
    one = dx.dtype.type(1)
    total = dx.dtype.type(0)
    for place in range(corners.shape[1]):
        down, right = h - corners[n, place, 0], w - corners[n, place, 1]
        if 0 <= down <= 1 and 0 <= right <= 1:
            row, column = place // dy.shape[2], place % dy.shape[2]
            _, u, _ = _around(grid[n, row, column, 0], x.shape[1])
            _, v, _ = _around(grid[n, row, column, 1], x.shape[2])
            total += (u if down else one - u) * (v if right else one - v) * dy[n, row, column, c]
    dx[n, h, w, c] = total


def roi_pool_update_output(x, rois, y, indices, scale, v2):
    """y[r, c, i, j] <- the largest element of x[n, c] in bin (i, j) of region r.  See the reference."""
    h, w = y.shape[2:]
    borders = scratch(x, (len(rois), h + w, 2), np.int32)
    each(_borders, len(rois) * (h + w), rois, borders, np.int64(h), np.int64(x.shape[2]), np.int64(x.shape[3]),
         np.float64(scale), np.uint32(bool(v2)))
    each(_roi_pool, y.size, x, rois, borders, y, indices)


def roi_pool_update_grad_input(dy, rois, indices, dx):
    """dx <- each dy, added to the element that was the largest.  See the reference."""
    extent = scratch(dx, (*dy.shape[:2], 2), np.int32)
    each(_extents, dy.shape[0] * dy.shape[1], indices, extent)
    each(_roi_pool_grad, dx.size, dy, rois, indices, extent, dx)


@device
def _edge(value, scale):
    """An edge of a region in pixels, rounded half away from 0."""
    value = np.float64(value) * scale
    return np.int64(math.floor(value + 0.5)) if value >= 0.0 else np.int64(math.ceil(value - 0.5))


@per_item
@wide("edges are scaled and rounded as on the CPU, so that bins are the same")
def _borders(i, rois, borders, bins, height, width, scale, v2):
    r, k = split(i, borders.shape[1])
    # The rows' bins come first.  Their borders k length / count are rounded as integers: exactly.
    count, size, first = bins, height, 2
    if k >= bins:
        k, count, size, first = k - bins, borders.shape[1] - bins, width, 1
    start, stop = _edge(rois[r, first], scale), _edge(rois[r, first + 2], scale)
    length = max(stop - start + (0 if v2 else 1), 1)
    low, high = k * length, (k + 1) * length
    if v2:
        low, high = (2 * low + count) // (2 * count), (2 * high + count) // (2 * count)
    else:
        low, high = low // count, (high + count - 1) // count
    place = i - r * borders.shape[1]
    borders[r, place, 0] = min(max(low + start, 0), size)
    borders[r, place, 1] = min(max(high + start, 0), size)


@per_item
def _roi_pool(i, x, rois, borders, y, indices):
    i, column = split(i, y.shape[3])
    i, row = split(i, y.shape[2])
    r, c = split(i, y.shape[1])
    n = np.int64(rois[r, 0])
    best, place = x.dtype.type(0), np.int32(-1)
    for h in range(borders[r, row, 0], borders[r, row, 1]):
        for w in range(borders[r, y.shape[2] + column, 0], borders[r, y.shape[2] + column, 1]):
            value = x[n, c, h, w]
            # A NaN is larger than everything, and stays.
            if place < 0 or value > best or (value != value and best == best):
                best, place = value, np.int32(h * x.shape[3] + w)
    y[r, c, row, column] = best
    indices[r, c, row, column] = place


@per_item
def _extents(i, indices, extent):
    r, c = split(i, indices.shape[1])
    first, last = np.int32(2**31 - 1), np.int32(-1)
    for row in range(indices.shape[2]):
        for column in range(indices.shape[3]):
            place = indices[r, c, row, column]
            if place >= 0:
                first, last = min(first, place), max(last, place)
    extent[r, c, 0], extent[r, c, 1] = first, last


@per_item
def _roi_pool_grad(i, dy, rois, indices, extent, dx):
    i, w = split(i, dx.shape[3])
    i, h = split(i, dx.shape[2])
    n, c = split(i, dx.shape[1])
    here = h * dx.shape[3] + w
    total = dx.dtype.type(0)
    for r in range(dy.shape[0]):
        if np.int64(rois[r, 0]) == n and extent[r, c, 0] <= here <= extent[r, c, 1]:
            for row in range(dy.shape[2]):
                for column in range(dy.shape[3]):
                    if indices[r, c, row, column] == here:
                        total += dy[r, c, row, column]
    dx[n, c, h, w] = total
