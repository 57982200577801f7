"""Changing the number of pixels, in plain NumPy.

Tensors are planes (P, D, H, W), each of a depth, a height and a width: a picture has
depth 1.
"""
import numpy as np


def upsample_nearest_update_output(x, y):
    """y <- x with every element repeated, as often along each side as y is larger.

    x  (P, D, H, W)
    y  (P, a D, b H, c W)  [out]
    """
    _blocks(x, y)[...] = x[:, :, None, :, None, :, None]


def upsample_nearest_update_grad_input(dy, dx):
    """dx <- the sum of dy over all copies of each element.

    dy  (P, a D, b H, c W)
    dx  (P, D, H, W)  [out]
    """
    with np.errstate(invalid="ignore"):
        dx[...] = _blocks(dx, dy).sum(axis=(2, 4, 6))


def linear_positions(lows, weights, size, out):
    """lows, weights <- where each position of the output lies between elements of the input.

    lows       (OD + OH + OW,)  [out] int32: for each position along the depth, then the
               height, then the width, the element at or before it
    weights    (OD + OH + OW,)  [out] how far it is from there to the next element, 0 to 1
    size, out  (depth, height, width) of the input and of the output

    Corners lie on corners: position i of o is at ``i (n - 1) / (o - 1)`` of n elements, in
    whole numbers until the last division, so that it is exact.
    """
    begin = 0
    for n, o in zip(size, out):
        low, rest = np.divmod(np.arange(o) * (n - 1), max(o - 1, 1))
        lows[begin:begin + o] = low
        weights[begin:begin + o] = rest / max(o - 1, 1)
        begin += o


def upsample_linear_update_output(x, lows, weights, y, work):
    """y <- x, interpolated linearly along each side.

    x              (P, D, H, W)
    lows, weights  (OD + OH + OW,) each, from linear_positions
    y              (P, OD, OH, OW)  [out]
    work           (P, W)  scratch
    """
    with np.errstate(all="ignore"):
        for axis, (low, weight) in enumerate(_sides(lows, weights, y.shape[1:]), 1):
            high = np.minimum(low + 1, x.shape[axis] - 1)
            weight = weight.reshape(-1, *[1] * (3 - axis))
            x = (1 - weight) * x.take(low, axis) + weight * x.take(high, axis)
    y[...] = x


def upsample_linear_update_grad_input(dy, lows, weights, dx, work):
    """dx <- each dy, added to the elements that it was interpolated from, by their weights.

    dy             (P, OD, OH, OW)
    lows, weights  (OD + OH + OW,) each, from linear_positions
    dx             (P, D, H, W)  [out]
    work           (P, W)  scratch
    """
    size = dx.shape[1:]
    with np.errstate(all="ignore"):
        for axis, (low, weight) in reversed([*enumerate(_sides(lows, weights, dy.shape[1:]), 1)]):
            high = np.minimum(low + 1, size[axis - 1] - 1)
            # The side in question goes first: add.at then adds whole slices.
            part = np.moveaxis(dy, axis, 0)
            weight = weight.reshape(-1, 1, 1, 1)
            sums = np.zeros((size[axis - 1], *part.shape[1:]), dy.dtype)
            np.add.at(sums, low, (1 - weight) * part)
            np.add.at(sums, high, weight * part)
            dy = np.moveaxis(sums, 0, axis)
    dx[...] = dy


def pixel_shuffle_update_output(x, y):
    """y <- x, where r * r channels of small pictures become one picture, r times as wide and high.

    x  (N, C r r, H, W)
    y  (N, C, r H, r W)  [out]: y[n, c, r h + i, r w + j] is x[n, (c r + i) r + j, h, w]
    """
    N, C, H, W = y.shape
    h, w = x.shape[2:]
    r = H // h if h else 1
    if y.size:
        y.reshape(N, C, h, r, w, r)[...] = x.reshape(N, C, r, r, h, w).transpose(0, 1, 4, 2, 5, 3)


def pixel_shuffle_update_grad_input(dy, dx):
    """dx <- dy, each pixel back in its channel.

    dy  (N, C, r H, r W)
    dx  (N, C r r, H, W)  [out]
    """
    N, C, H, W = dy.shape
    h, w = dx.shape[2:]
    r = H // h if h else 1
    if dy.size:
        dx.reshape(N, C, r, r, h, w)[...] = dy.reshape(N, C, h, r, w, r).transpose(0, 1, 3, 5, 2, 4)


def _blocks(x, y):
    """y (P, a D, b H, c W) as (P, D, a, H, b, W, c), for x (P, D, H, W): a view."""
    shape = [y.shape[0]]
    for small, large in zip(x.shape[1:], y.shape[1:]):
        shape += [small, large // small]
    return y.reshape(shape)


def _sides(lows, weights, out):
    """The parts of lows and weights that belong to the depth, the height, the width."""
    cuts = np.cumsum(out)[:-1]
    return zip(np.split(lows, cuts), np.split(weights, cuts))
