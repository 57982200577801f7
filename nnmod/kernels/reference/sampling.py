"""Grids of places and images at them, in plain NumPy.  A place is (y, x), from -1 to 1."""
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
