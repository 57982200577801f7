"""Neighbours as one kernel on the GPU.  Meaning and shapes: kernels/reference/fused.py.

A product finishes what it has written while that is in the cache: see epilogue.py.
"""
import math

import numpy as np

from .compile import each, per_item
from .convolution import output
from .epilogue import End
from .linear import product


def norm_of_statistics(w, b, mean, var, norm, eps):
    """The normalisation that batch normalisation amounts to in evaluation.  See the reference."""
    each(_norm_of_statistics, mean.size, mean if w is None else w, np.uint32(w is not None), mean if b is None else b,
         np.uint32(b is not None), mean, var, norm.reshape(-1), norm.dtype.type(eps))


@per_item
def _norm_of_statistics(c, w, has_w, b, has_b, mean, var, norm, eps):
    C = mean.size
    factor = type(eps)(1) / math.sqrt(var[c] + eps)
    norm[c] = mean[c]
    norm[C + c] = factor * w[c] if has_w else factor
    norm[2 * C + c] = b[c] if has_b else type(eps)(0)


def joined(calls):
    """Kernel calls as fewer calls: here as they are, since launches do not wait.  See the reference."""
    return list(calls)


def linear_fused_update_output(x, w, b, norm, y, activation=0, low=0.0, high=0.0):
    """y <- activation of the normalised x w^T + b.  See the reference."""
    N, O = y.shape
    product(x, w, y, 1, N, O, x.shape[1], 1, 0, False, True, b, End(norm, activation, low, high))


def conv2d_kept_size(x_shape, w_shape, y_shape, stride, pad, dilation=(1, 1), groups=1, dtype="float32"):
    """How many bytes of what is made of the weights are worth keeping: none.  See the reference."""
    return 0


def conv2d_fused_update_output(x, w, b, norm, y, kept, stride, pad, dilation=(1, 1), groups=1, activation=0,
                               low=0.0, high=0.0):
    """y <- activation of the normalised convolution.  See the reference."""
    output(x, w, b, y, stride, pad, dilation, groups, End(norm, activation, low, high))
