"""What convolution and pooling share: one slice of the input for each tap of a window.

A tap is a position inside the window.  Tap (i, j) of all windows together is a
strided slice of the padded input, so that a loop over the few taps can replace a
loop over the many windows.
"""
import numpy as np


def padded(x, fill, out, kernel, stride, pad, dilation):
    """A copy of *x* with *fill* around it, so large that no window sticks out.

    x    (..., H, W)
    out  (OH, OW), how many windows there are; with Torch's ceil mode the last one
         may need more room than *pad* gives
    """
    ends = [(o - 1) * s + (k - 1) * d + 1 for o, s, k, d in zip(out, stride, kernel, dilation)]
    sizes = [max(end, p + n) for end, p, n in zip(ends, pad, x.shape[-2:])]
    wide = np.full((*x.shape[:-2], *sizes), fill, x.dtype)
    unpadded(wide, x.shape[-2:], pad)[...] = x
    return wide


def unpadded(wide, size, pad):
    """The part of a padded tensor that holds the input itself; *size* is its (H, W)."""
    return wide[..., pad[0]:pad[0] + size[0], pad[1]:pad[1] + size[1]]


def taps(wide, out, kernel, stride, dilation):
    """For each tap in row order: ``(i, j)`` and what it sees, a view (..., OH, OW) of *wide*."""
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            top, left = i * dilation[0], j * dilation[1]
            yield (i, j), wide[..., top:top + (out[0] - 1) * stride[0] + 1:stride[0],
                               left:left + (out[1] - 1) * stride[1] + 1:stride[1]]
