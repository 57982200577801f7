"""Losses of pairs of rows on the CPU.  Meaning: kernels/reference/embedding_criterion.py.

Rows are independent: threads share no write.  A row's products are summed in float64.
"""
import math

import numpy as np

from . import threads
from .compile import inline, jit

_EPSILON = 1e-12


def cosine_embedding_update_output(x1, x2, target, losses, margin):
    """losses[n] <- 1 - cos, or max(0, cos - margin).  See the reference."""
    _rows(_cosine_embedding, x1, x2, target, losses, float(margin))


def cosine_embedding_update_grad_input(x1, x2, target, dx1, dx2, margin, norm):
    """dx1, dx2 <- norm times the gradients.  See the reference."""
    _rows(_cosine_embedding_grad, x1, x2, target, dx1, dx2, float(margin), float(norm))


def _rows(kernel, x, *args):
    N, D = x.shape
    if x.size < threads.ELEMENTS_PER_THREAD:
        kernel(0, N, x, *args)
    else:
        threads.run(kernel, N, threads.grain(2 * D, threads.ELEMENTS_PER_THREAD), x, *args)


@inline
def _products(a, b):
    ab = aa = bb = 0.0
    for d in range(a.size):
        u, v = np.float64(a[d]), np.float64(b[d])
        ab += u * v
        aa += u * u
        bb += v * v
    return ab, aa + _EPSILON, bb + _EPSILON


@inline
def _loss(cos, target, margin):
    if target == 1:
        return 1 - cos
    if target == -1:
        return 0.0 if cos - margin <= 0 else cos - margin
    return np.nan


@jit
def _cosine_embedding(start, stop, x1, x2, target, losses, margin):
    for n in range(start, stop):
        ab, aa, bb = _products(x1[n], x2[n])
        losses[n] = _loss(ab / math.sqrt(aa) / math.sqrt(bb), target[n], margin)


@jit
def _cosine_embedding_grad(start, stop, x1, x2, target, dx1, dx2, margin, norm):
    cast = x1.dtype.type
    for n in range(start, stop):
        a, b = x1[n], x2[n]
        ab, aa, bb = _products(a, b)
        length = math.sqrt(aa) * math.sqrt(bb)
        cos = ab / math.sqrt(aa) / math.sqrt(bb)
        factor = 0.0 if _loss(cos, target[n], margin) <= 0 else -np.float64(target[n]) * norm
        across, along1, along2 = cast(factor / length), cast(factor * cos / aa), cast(factor * cos / bb)
        da, db = dx1[n], dx2[n]
        for d in range(a.size):
            u, v = a[d], b[d]
            da[d] = across * v - along1 * u
            db[d] = across * u - along2 * v
