"""The learned rectifier on the GPU.  Meaning and shapes: kernels/reference/activation.py."""
import numpy as np

from .compile import device, each, per_item, split
from .sums import put_sums, sum_channels_by


def prelu_update_output(x, w, y):
    """y <- x where x > 0, else w x.  See the reference."""
    each(_prelu, x.size, x.reshape(-1), w, y.reshape(-1), *map(np.int64, (x.shape[2], w.size)))


def prelu_update_grad_input(x, dy, w, dx):
    """dx <- dy where x > 0, w dy where x <= 0, NaN where x is NaN.  See the reference."""
    each(_prelu_gradient, x.size, x.reshape(-1), dy.reshape(-1), w, dx.reshape(-1),
         *map(np.int64, (x.shape[2], w.size)))


def prelu_acc_grad_parameters(x, dy, dw, scale=1.0):
    """dw <- dw + scale times the sum of x dy where x <= 0.  See the reference."""
    N, C, S = x.shape
    if not x.size:
        return
    if dw.size == 1:  # all that is a channel's is the one slope's
        C, S = 1, C * S
    flat = x.reshape(-1)
    put_sums(sum_channels_by(_slope_term, N, C, S, x, flat, dy.reshape(-1), flat, flat), dw, scale, True)


@per_item
def _prelu(i, x, w, y, S, slopes):
    v = x[i]
    channel = split(i, S)[0] % slopes if slopes > 1 else 0
    y[i] = w[np.uint64(channel)] * v if v <= x.dtype.type(0) else v


@per_item
def _prelu_gradient(i, x, dy, w, dx, S, slopes):
    v, zero = x[i], x.dtype.type(0)
    channel = split(i, S)[0] % slopes if slopes > 1 else 0
    dx[i] = dy[i] if v > zero else w[np.uint64(channel)] * dy[i] if v <= zero else v


@device
def _slope_term(at, row, channel, x, dy, z, t):
    zero = x.dtype.type(0)
    return (zero if x[at] > zero else x[at] * dy[at]), zero

