"""Pooling that follows the size of the input, in plain NumPy.

Tensors are planes (P, D, H, W); a picture has depth 1.  ``starts`` and ``stops`` say
where the regions lie: int32, (1, OD + OH + OW) for all planes alike, or a row for each
plane.  A row holds the OD starts along the depth, the OH along the height, the OW along
the width; region (d, h, w) is the box between the d-th start and stop along the depth,
the h-th along the height, the w-th along the width.  No region is empty.
"""
import numpy as np


def max_regions_update_output(x, starts, stops, y, argmax):
    """y[p, d, h, w] <- the maximum of x over region (d, h, w) of plane p.

    x              (P, D, H, W)
    starts, stops  (1 or P, OD + OH + OW)
    y              (P, OD, OH, OW)  [out]
    argmax         (P, OD, OH, OW)  [out] int32: the place (d * H + h) * W + w of each maximum

    Ties go to the first place; NaN wins over every number.
    """
    for p, place, box in _boxes(x, y, starts, stops):
        region = x[p][box]
        where = np.unravel_index(np.argmax(region), region.shape)  # the first NaN, else the first maximum
        y[p][place] = region[where]
        argmax[p][place] = np.ravel_multi_index([w + b.start for w, b in zip(where, box)], x.shape[1:])


def mean_regions_update_output(x, starts, stops, y):
    """y[p, d, h, w] <- the mean of x over region (d, h, w) of plane p.

    x              (P, D, H, W)
    starts, stops  (1 or P, OD + OH + OW)
    y              (P, OD, OH, OW)  [out]
    """
    with np.errstate(all="ignore"):
        for p, place, box in _boxes(x, y, starts, stops):
            y[p][place] = x[p][box].mean()


def mean_regions_update_grad_input(dy, starts, stops, dx):
    """dx <- each dy, divided by the size of its region, added to all of the region.

    dy             (P, OD, OH, OW)
    starts, stops  (1 or P, OD + OH + OW)
    dx             (P, D, H, W)  [out]
    """
    dx[...] = 0
    with np.errstate(all="ignore"):
        for p, place, box in _boxes(dx, dy, starts, stops):
            dx[p][box] += dy[p][place] / dx[p][box].size


def fractional_regions(samples, starts, stops, size, out, pool):
    """starts, stops <- regions of one size at steps that vary, drawn by one number for each side.

    samples          (P, S)  float64 within [0, 1), for the last S sides, the last one first
    starts, stops    (P, OD + OH + OW)  [out] int32
    size, out, pool  (depth, height, width): of a plane, how many regions, of a region

    Region i starts at ``floor((i + u) a) - floor(u a)`` with u the sample and
    ``a = (size - pool) / (out - 1)``; the last one ends with the plane (Graham, 2014).
    A side without a sample has one region.
    """
    begin = 0
    for side, (n, o, k) in enumerate(zip(size, out, pool)):
        part = starts[:, begin:begin + o]
        if o > 1:
            u = samples[:, 2 - side, None]
            a = (n - k) / (o - 1)
            part[...] = np.floor((np.arange(o) + u) * a) - np.floor(u * a)
        part[:, o - 1] = n - k
        stops[:, begin:begin + o] = part + k
        begin += o


def k_max_pool_update_output(x, y, argmax, work):
    """y <- the k greatest elements of each column of x, in the order in which they stand there.

    x       (N, T, F)
    y       (N, k, F)  [out], 1 <= k <= T
    argmax  (N, k, F)  [out] int32: t * F + f of each element
    work    (N, k)     scratch

    Of equal elements the first ones are taken.  NaN counts as the greatest.
    """
    k, F = y.shape[1:]
    # Last key first: NaN before numbers, then falling values; a stable sort keeps the first of equals.
    rank = np.lexsort((-np.where(np.isnan(x), 0, x), ~np.isnan(x)), axis=1)
    first = np.sort(rank[:, :k], axis=1)
    y[...] = np.take_along_axis(x, first, axis=1)
    argmax[...] = first * F + np.arange(F)


def _boxes(x, y, starts, stops):
    """For every region of every plane: the plane, the region's number, and its box of slices."""
    OD, OH, _ = y.shape[1:]
    for p, d, h, w in np.ndindex(*y.shape):
        row = p if len(starts) > 1 else 0
        sides = d, OD + h, OD + OH + w
        yield p, (d, h, w), tuple(slice(int(starts[row, i]), int(stops[row, i])) for i in sides)
