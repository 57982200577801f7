"""Normalisation by neighbouring channels or pixels, in plain NumPy."""
import numpy as np


def cross_map_lrn_update_output(x, y, scale, size, alpha, beta, k):
    """y <- x scale**-beta with scale = k + alpha / size * the sum of x**2 over neighbouring channels.

    x      (N, C, S)
    y      (N, C, S)  [out]
    scale  (N, C, S)  [out]
    size   channels in a neighbourhood, odd; those outside count as 0
    alpha, beta, k  numbers
    """
    with np.errstate(all="ignore"):
        scale[...] = k + alpha / size * _window_sum(x * x, size)
        y[...] = x * np.power(scale, -beta)


def cross_map_lrn_update_grad_input(x, y, dy, scale, dx, size, alpha, beta):
    """dx <- dy scale**-beta - 2 alpha beta / size x times the sum of dy y / scale over the neighbours.

    x, y, dy, scale  (N, C, S)  of the forward pass
    dx               (N, C, S)  [out]
    size, alpha, beta  as in the forward pass
    """
    with np.errstate(all="ignore"):
        dx[...] = dy * np.power(scale, -beta) - 2 * alpha * beta / size * x * _window_sum(dy * y / scale, size)


def _window_sum(x, size):
    half, C = size // 2, x.shape[1]
    padded = np.pad(x, ((0, 0), (half, half), (0, 0)))
    return sum(padded[:, i:i + C] for i in range(size))


def sum_channels(x, y, square):
    """y <- the sum of x, or of x**2 if *square*, over the channels.

    x  (N, C, S)
    y  (N, S)     [out]
    """
    with np.errstate(all="ignore"):
        y[...] = (x * x if square else x).sum(axis=1)


def kernel_share(kernel, share, unit):
    """share <- unit / the sum of the weights that fall inside the image, for every pixel.

    kernel  (kH, kW)  odd sizes, centred at the pixel
    share   (H, W)    [out]
    unit    a number
    """
    inside = np.empty_like(share)
    filter_planes(np.ones_like(share)[None], kernel, None, inside[None])
    with np.errstate(all="ignore"):
        share[...] = unit / inside


def filter_planes(x, kernel, factor, y):
    """y[h, w] <- factor[h, w] times the sum over u, v of kernel[u, v] x[h + u - kH // 2, w + v - kW // 2].

    x       (N, H, W)  0 outside
    kernel  (kH, kW)   odd sizes
    factor  (H, W), or None for 1
    y       (N, H, W)  [out]
    """
    N, H, W = x.shape
    kH, kW = kernel.shape
    padded = np.pad(x, ((0, 0), (kH // 2, kH // 2), (kW // 2, kW // 2)))
    with np.errstate(all="ignore"):
        y[...] = sum(kernel[u, v] * padded[:, u:u + H, v:v + W] for u in range(kH) for v in range(kW))
        if factor is not None:
            y *= factor


def filter_planes_adjoint(dy, kernel, factor, dx):
    """dx <- the gradient of x in filter_planes: the flipped kernel over factor dy.

    dy      (N, H, W)
    kernel, factor  as in filter_planes
    dx      (N, H, W)  [out]
    """
    with np.errstate(all="ignore"):
        filter_planes(dy if factor is None else dy * factor, kernel[::-1, ::-1], None, dx)


def subtract_planes(x, m, y):
    """y <- x - m, the same m for every channel.

    x  (N, C, S)
    m  (N, S)
    y  (N, C, S)  [out]
    """
    with np.errstate(all="ignore"):
        y[...] = x - m[:, None]


def divide_planes(x, d, y):
    """y <- x / d, the same d for every channel.

    x  (N, C, S)
    d  (N, S)
    y  (N, C, S)  [out]
    """
    with np.errstate(all="ignore"):
        y[...] = x / d[:, None]


def local_deviation(squares, share, d, threshold, value):
    """d <- sqrt(squares) share, or *value* where that is not above *threshold*.

    squares  (N, H, W)  weighted sums of squares
    share    (H, W)     what makes a root of them a deviation
    d        (N, H, W)  [out]
    """
    with np.errstate(all="ignore"):
        d[...] = np.sqrt(squares) * share
        d[d <= threshold] = value


def local_deviation_grad(x, dy, squares, share, d, slope, threshold):
    """slope <- the gradient of squares, given y = x / d.

    x, dy    (N, C, S)
    squares, d  (N, S)  of the forward pass
    share    (S,)
    slope    (N, S)     [out] 0 where the deviation was not above the threshold
    """
    with np.errstate(all="ignore"):
        root = np.sqrt(squares)
        g = -(x * dy).sum(axis=1) / (d * d) * share / (2 * root)
        slope[...] = np.where((root * share <= threshold) | (root == 0), 0, g)


def divide_planes_grad(x, dy, d, slope, dx):
    """dx <- dy / d + 2 x slope.

    x, dy     (N, C, S)
    d, slope  (N, S)
    dx        (N, C, S)  [out]
    """
    with np.errstate(all="ignore"):
        dx[...] = dy / d[:, None] + 2 * x * slope[:, None]
