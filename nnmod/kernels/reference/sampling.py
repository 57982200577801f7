"""Images at places of a grid, and in regions, in plain NumPy.  A place is (y, x), from -1 to 1."""
import math

import numpy as np


def affine_grid_update_output(t, y):
    """y[n, h, w] <- t[n] (a, b, 1), with a and b from -1 to 1 along the rows and columns.

    t  (N, 2, 3)
    y  (N, H, W, 2)  [out]; H and W above 1
    """
    with np.errstate(all="ignore"):
        y[...] = np.einsum("nij,hwj->nhwi", t, _base(y))


def affine_grid_update_grad_input(dy, dt):
    """dt[n] <- the sum over h and w of dy[n, h, w] times (a, b, 1).

    dy  (N, H, W, 2)
    dt  (N, 2, 3)  [out]
    """
    with np.errstate(all="ignore"):
        dt[...] = np.einsum("nhwi,hwj->nij", dy.astype(np.float64), _base(dy))


def _base(y):
    H, W = y.shape[1:3]
    base = np.ones((H, W, 3))
    base[..., 0] = np.linspace(-1, 1, H)[:, None]
    base[..., 1] = np.linspace(-1, 1, W)
    return base


def sample_bilinear_update_output(x, grid, y):
    """y[n, i, j] <- x[n] at the place grid[n, i, j], linear between pixels, with 0 around them.

    x     (N, H, W, C)  H and W above 0
    grid  (N, h, w, 2)
    y     (N, h, w, C)  [out]; NaN where the place is
    """
    with np.errstate(all="ignore"):
        y[...] = np.where(np.isnan(grid).any(-1, keepdims=True), x.dtype.type(np.nan), 0)
        for value, weight, *_ in _corners(x, grid):
            y += value * weight[..., None]


def sample_bilinear_update_grad_input(x, grid, dy, dx, dgrid):
    """dx and dgrid <- the gradients of images and places.

    x, grid, dy  as above
    dx           (N, H, W, C)  [out]
    dgrid        (N, h, w, 2)  [out]; NaN where the place is, 0 where all around it is
    """
    with np.errstate(all="ignore"):
        dx[...] = 0
        dgrid[...] = np.where(np.isnan(grid).any(-1, keepdims=True), x.dtype.type(np.nan), 0)
        for value, weight, slopes, inside, place in _corners(x, grid):
            np.add.at(dx, tuple(p[inside] for p in place), (dy * weight[..., None])[inside])
            dgrid += ((value * dy).sum(-1)[..., None] * slopes).astype(x.dtype)


def _corners(x, grid):
    """For each of the four pixels around a place: value, weight, its slopes, whether there is one, where."""
    H, W = x.shape[1:3]
    half = (np.array([H, W]) - 1) / 2
    at = (grid + 1) * half.astype(x.dtype)
    near = ((at > -1) & (at < (H, W))).all(-1)
    at = np.where(near[..., None], at, x.dtype.type(0))
    low = np.floor(at)
    part = at - low
    n = np.broadcast_to(np.arange(len(x))[:, None, None], near.shape)
    for down in (0, 1):
        for right in (0, 1):
            h, w = (low[..., axis].astype(np.int64) + step for axis, step in enumerate((down, right)))
            inside = near & (h >= 0) & (h < H) & (w >= 0) & (w < W)
            h, w = h.clip(0, H - 1), w.clip(0, W - 1)
            u, v = (part[..., axis] if step else 1 - part[..., axis] for axis, step in enumerate((down, right)))
            slopes = np.stack([v * (half[0] if down else -half[0]), u * (half[1] if right else -half[1])], -1)
            yield np.where(inside[..., None], x[n, h, w], x.dtype.type(0)), u * v, slopes, inside, (n, h, w)


def roi_pool_update_output(x, rois, y, indices, scale, v2):
    """y[r, c, i, j] <- the largest element of x[n, c] in bin (i, j) of region r; 0 for an empty bin.

    x        (N, C, H, W)
    rois     (R, 5)  image n, and first and last column and row: (n, left, top, right, bottom)
    y        (R, C, h, w)  [out]; a NaN in a bin wins
    indices  (R, C, h, w)  [out] int32: where it is, row * W + column; -1 for an empty bin
    scale    regions are multiplied by it, and rounded half away from 0
    v2       the last column and row are left out, and bins are cut where their borders round to;
             else they are in, and bins take every element that they touch
    """
    (H, W), (h, w) = x.shape[2:], y.shape[2:]
    for r, roi in enumerate(rois):
        n = int(roi[0])
        left, top, right, bottom = (_rounded(float(edge) * scale) for edge in roi[1:])
        rows, columns = list(_bins(top, bottom, h, H, v2)), list(_bins(left, right, w, W, v2))
        for i, (first, last) in enumerate(rows):
            for j, (begin, end) in enumerate(columns):
                window = x[n, :, first:last, begin:end]
                if not window.size:
                    y[r, :, i, j], indices[r, :, i, j] = 0, -1
                    continue
                flat = window.reshape(len(window), -1)
                best = flat.argmax(axis=1)  # the first NaN, where there is one
                y[r, :, i, j] = flat[np.arange(len(flat)), best]
                down, right_ = np.divmod(best, end - begin)
                indices[r, :, i, j] = (first + down) * W + begin + right_


def roi_pool_update_grad_input(dy, rois, indices, dx):
    """dx <- each dy, added to the element that was the largest.

    dy, rois, indices  as above
    dx                 (N, C, H, W)  [out]
    """
    dx[...] = 0
    planes = dx.reshape(*dx.shape[:2], dx.shape[2] * dx.shape[3])
    r, c, i, j = np.nonzero(indices >= 0)
    np.add.at(planes, (rois[r, 0].astype(np.int64), c, indices[r, c, i, j]), dy[r, c, i, j])


def _rounded(value):
    return math.floor(value + 0.5) if value >= 0 else math.ceil(value - 0.5)


def _bins(first, last, count, size, v2):
    """The borders of *count* bins over the elements first .. last, within 0 .. size."""
    length = max(last - first + (0 if v2 else 1), 1)
    for k in range(count):
        low, high = k * length / count, (k + 1) * length / count
        low, high = (_rounded(low), _rounded(high)) if v2 else (math.floor(low), math.ceil(high))
        yield min(max(low + first, 0), size), min(max(high + first, 0), size)
