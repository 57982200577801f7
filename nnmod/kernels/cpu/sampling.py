"""Grids of places and images at them, on the CPU.  Meaning and shapes: kernels/reference/sampling.py.

Threads take images: several places of one image add to the same pixels of its gradient.
Only forwards of the sampler, which share nothing, are cut into rows of the grid.
"""
import math

from . import threads
from .compile import inline, jit


def affine_grid_update_output(t, y):
    """y[n, h, w] <- t[n] (a, b, 1).  See the reference."""
    _run(_affine_grid, len(y), y[:1].size, t, y)


def affine_grid_update_grad_input(dy, dt):
    """dt[n] <- the sum over h and w of dy[n, h, w] times (a, b, 1).  See the reference."""
    _run(_affine_grid_grad, len(dy), dy[:1].size, dy, dt)


def sample_bilinear_update_output(x, grid, y):
    """y[n, i, j] <- x[n] at the place grid[n, i, j].  See the reference."""
    _run(_sample, y.shape[0] * y.shape[1], 8 * y.shape[2] * y.shape[3], x, grid, y)


def sample_bilinear_update_grad_input(x, grid, dy, dx, dgrid):
    """dx and dgrid <- the gradients of images and places.  See the reference."""
    _run(_sample_grad, len(x), x[:1].size + 16 * dy[:1].size, x, grid, dy, dx, dgrid)


def _run(kernel, count, steps, *args):
    threads.run(kernel, count, threads.grain(max(steps, 1), threads.ELEMENTS_PER_THREAD), *args)


@jit
def _affine_grid(start, stop, t, y):
    H, W = y.shape[1:3]
    for n in range(start, stop):
        for h in range(H):
            a = 2.0 * h / (H - 1) - 1.0
            for w in range(W):
                b = 2.0 * w / (W - 1) - 1.0
                for i in range(2):
                    y[n, h, w, i] = t[n, i, 0] * a + t[n, i, 1] * b + t[n, i, 2]


@jit
def _affine_grid_grad(start, stop, dy, dt):
    H, W = dy.shape[1:3]
    for n in range(start, stop):
        for i in range(2):
            first, second, third = 0.0, 0.0, 0.0
            for h in range(H):
                a = 2.0 * h / (H - 1) - 1.0
                for w in range(W):
                    value = dy[n, h, w, i]
                    first += value * a
                    second += value * (2.0 * w / (W - 1) - 1.0)
                    third += value
            dt[n, i, 0], dt[n, i, 1], dt[n, i, 2] = first, second, third


@inline
def _around(place, size):
    """*place* in pixels: the pixel before it, how far behind that it lies, whether one is near."""
    half = type(place)(size - 1) / type(place)(2)
    at = (place + type(place)(1)) * half
    if not (at > -1 and at < size):
        return 0, type(place)(0), False
    low = math.floor(at)
    return int(low), type(place)(at - low), True


@jit
def _sample(start, stop, x, grid, y):
    H, W, C = x.shape[1:]
    rows, columns = y.shape[1:3]
    one = x.dtype.type(1)
    for row in range(start, stop):
        n, i = row // rows, row % rows
        for j in range(columns):
            gy, gx = grid[n, i, j, 0], grid[n, i, j, 1]
            to = y[n, i, j]
            h, u, high = _around(gy, H)
            w, v, wide = _around(gx, W)
            if math.isnan(gy) or math.isnan(gx):
                for c in range(C):
                    to[c] = gy + gx
                continue
            for c in range(C):
                to[c] = x.dtype.type(0)
            if not (high and wide):
                continue
            for down in range(2):
                for right in range(2):
                    if 0 <= h + down < H and 0 <= w + right < W:
                        weight = (u if down else one - u) * (v if right else one - v)
                        source = x[n, h + down, w + right]
                        for c in range(C):
                            to[c] += weight * source[c]


@jit
def _sample_grad(start, stop, x, grid, dy, dx, dgrid):
    H, W, C = x.shape[1:]
    rows, columns = dy.shape[1:3]
    one = x.dtype.type(1)
    for n in range(start, stop):
        dx[n] = 0
        for i in range(rows):
            for j in range(columns):
                gy, gx = grid[n, i, j, 0], grid[n, i, j, 1]
                h, u, high = _around(gy, H)
                w, v, wide = _around(gx, W)
                if not (high and wide):
                    # NaN stays NaN; what is infinite has no slope.
                    lost = math.isnan(gy) or math.isnan(gx)
                    dgrid[n, i, j, 0] = dgrid[n, i, j, 1] = gy + gx if lost else x.dtype.type(0)
                    continue
                along_y, along_x = 0.0, 0.0
                given = dy[n, i, j]
                for down in range(2):
                    for right in range(2):
                        if 0 <= h + down < H and 0 <= w + right < W:
                            p, q = u if down else one - u, v if right else one - v
                            source, to = x[n, h + down, w + right], dx[n, h + down, w + right]
                            total = 0.0
                            for c in range(C):
                                total += given[c] * source[c]
                                to[c] += p * q * given[c]
                            along_y += q * total if down else -q * total
                            along_x += p * total if right else -p * total
                dgrid[n, i, j, 0] = along_y * (H - 1) / 2
                dgrid[n, i, j, 1] = along_x * (W - 1) / 2


def roi_pool_update_output(x, rois, y, indices, scale, v2):
    """y[r, c, i, j] <- the largest element of x[n, c] in bin (i, j) of region r.  See the reference."""
    _run(_roi_pool, y.shape[0] * y.shape[1], y[:1, :1].size + x[:1, :1].size, x, rois, y, indices, float(scale),
         bool(v2))


def roi_pool_update_grad_input(dy, rois, indices, dx):
    """dx <- each dy, added to the element that was the largest.  See the reference."""
    # Regions of one image add to the same elements; channels share nothing.
    _run(_roi_pool_grad, dx.shape[1], dx[:, :1].size + dy[:, :1].size, dy, rois, indices, dx)


@inline
def _rounded(value):
    return math.floor(value + 0.5) if value >= 0.0 else math.ceil(value - 0.5)


@inline
def _bin(k, first, length, count, size, v2):
    """The borders of bin k, within 0 .. size."""
    low, high = k * length / count, (k + 1) * length / count
    if v2:
        begin, end = _rounded(low), _rounded(high)
    else:
        begin, end = math.floor(low), math.ceil(high)
    return min(max(int(begin) + first, 0), size), min(max(int(end) + first, 0), size)


@jit
def _roi_pool(start, stop, x, rois, y, indices, scale, v2):
    C, H, W = x.shape[1:]
    h, w = y.shape[2:]
    extra = 0 if v2 else 1
    for task in range(start, stop):
        r, c = task // C, task % C
        plane = x[int(rois[r, 0]), c]
        left, top = int(_rounded(float(rois[r, 1]) * scale)), int(_rounded(float(rois[r, 2]) * scale))
        right, bottom = int(_rounded(float(rois[r, 3]) * scale)), int(_rounded(float(rois[r, 4]) * scale))
        high, wide = max(bottom - top + extra, 1), max(right - left + extra, 1)
        for i in range(h):
            first, last = _bin(i, top, high, h, H, v2)
            for j in range(w):
                begin, end = _bin(j, left, wide, w, W, v2)
                best, place = x.dtype.type(0), -1
                for a in range(first, last):
                    for b in range(begin, end):
                        value = plane[a, b]
                        # A NaN is larger than everything, and stays.
                        if place < 0 or value > best or (value != value and best == best):
                            best, place = value, a * W + b
                y[r, c, i, j] = best
                indices[r, c, i, j] = place


@jit
def _roi_pool_grad(start, stop, dy, rois, indices, dx):
    N, _, H, W = dx.shape
    R, _, h, w = dy.shape
    for c in range(start, stop):
        for n in range(N):
            plane = dx[n, c].reshape(H * W)
            for i in range(plane.size):
                plane[i] = dx.dtype.type(0)
        for r in range(R):
            plane = dx[int(rois[r, 0]), c].reshape(H * W)
            for i in range(h):
                for j in range(w):
                    place = indices[r, c, i, j]
                    if place >= 0:
                        plane[place] += dy[r, c, i, j]
