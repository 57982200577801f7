"""Losses of pairs of rows on the device: a warp to each pair.  Meaning: kernels/reference/embedding_criterion.py.

A row's products are summed in float64, as on the CPU: the loss of two rows that are nearly
parallel is a small difference.
"""
import math

import numpy as np

from ..cpu import embedding_criterion as cpu
from .compile import device, each_warp, on_device, per_warp, warp_sum, wide

_loss = on_device(cpu._loss)
_EPSILON = cpu._EPSILON


def cosine_embedding_update_output(x1, x2, target, losses, margin):
    """losses[n] <- 1 - cos, or max(0, cos - margin).  See the reference."""
    each_warp(_cosine_embedding, x1.shape[0], x1, x2, target, losses, float(margin))


def cosine_embedding_update_grad_input(x1, x2, target, dx1, dx2, margin, norm):
    """dx1, dx2 <- norm times the gradients.  See the reference."""
    each_warp(_cosine_embedding_grad, x1.shape[0], x1, x2, target, dx1, dx2, float(margin), float(norm))


@device
def _products(n, lane, a, b):
    ab = aa = bb = 0.0
    for d in range(lane, a.shape[1], 32):
        u, v = np.float64(a[n, d]), np.float64(b[n, d])
        ab += u * v
        aa += u * u
        bb += v * v
    return warp_sum(ab), warp_sum(aa) + _EPSILON, warp_sum(bb) + _EPSILON


@per_warp
@wide("products of rows are summed in float64")
def _cosine_embedding(n, lane, x1, x2, target, losses, margin):
    ab, aa, bb = _products(n, lane, x1, x2)
    if lane == 0:
        losses[n] = _loss(ab / math.sqrt(aa) / math.sqrt(bb), target[n], margin)


@per_warp
@wide("products of rows are summed in float64")
def _cosine_embedding_grad(n, lane, x1, x2, target, dx1, dx2, margin, norm):
    cast = x1.dtype.type
    ab, aa, bb = _products(n, lane, x1, x2)
    length = math.sqrt(aa) * math.sqrt(bb)
    cos = ab / math.sqrt(aa) / math.sqrt(bb)
    factor = 0.0 if _loss(cos, target[n], margin) <= 0 else -np.float64(target[n]) * norm
    across, along1, along2 = cast(factor / length), cast(factor * cos / aa), cast(factor * cos / bb)
    for d in range(lane, x1.shape[1], 32):
        u, v = x1[n, d], x2[n, d]
        dx1[n, d] = across * v - along1 * u
        dx2[n, d] = across * u - along2 * v
