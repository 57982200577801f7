"""Borders around images and volumes, in plain NumPy.

A volume is (D, H, W); an image is a volume with D = 1.  P counts batch and channels.
"""
import numpy as np


def pad3d_update_output(x, y, pad, mode):
    """y[p, d, h, w] <- x[p, d - front, h - top, w - left]; outside x, what *mode* says.

    x     (P, D, H, W)
    y     (P, OD, OH, OW)  [out]; smaller than x where it is cropped
    pad   (front, top, left), negative to crop; the other sides follow from y's sizes
    mode  "zero"; "reflect" mirrors x at its outermost elements, so each pad is smaller
          than that side of x; "replicate" repeats them;
          "symmetric" mirrors them too, so each pad is that side at most
    """
    planes, inside = _sources(x.shape[1:], y.shape[1:], pad, mode)
    with np.errstate(all="ignore"):
        y[...] = np.where(inside, x[(slice(None), *planes)], x.dtype.type(0))


def pad3d_update_grad_input(dy, dx, pad, mode):
    """dx <- for each element, the sum of the dy at all places that show it.

    dy    (P, OD, OH, OW)
    dx    (P, D, H, W)  [out]
    pad, mode  as above
    """
    planes, inside = _sources(dx.shape[1:], dy.shape[1:], pad, mode)
    dx[...] = 0
    with np.errstate(all="ignore"):
        np.add.at(dx, (slice(None), *planes), np.where(inside, dy, dy.dtype.type(0)))


def _sources(sizes, out, pad, mode):
    """For each place of the result: the place it shows, one array a dimension, and whether it shows one."""
    places, inside = [], np.ones((1, 1, 1), bool)
    for axis, (n, m, before) in enumerate(zip(sizes, out, pad)):
        place = np.arange(m) - before
        within = (place >= 0) & (place < n)
        if mode == "reflect":
            place = np.where(place < 0, -place, np.where(place >= n, 2 * (n - 1) - place, place))
        elif mode == "symmetric":
            place = np.where(place < 0, -1 - place, np.where(place >= n, 2 * n - 1 - place, place))
        shape = [1, 1, 1]
        shape[axis] = m
        places.append(place.clip(0, n - 1).reshape(shape))
        if mode == "zero":
            inside = inside & within.reshape(shape)
    return places, inside
