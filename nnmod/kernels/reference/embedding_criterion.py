"""Losses of pairs of rows that are not elementwise, in plain NumPy."""
import numpy as np

_EPSILON = 1e-12  # keeps the cosine of a zero vector finite; Torch7's


def cosine_embedding_update_output(x1, x2, target, losses, margin):
    """losses[n] <- 1 - cos where target[n] is 1, max(0, cos - margin) where it is -1.

    x1, x2  (N, D)  cos is that of the angle between x1[n] and x2[n]
    target  (N,)    1 or -1, of x1's dtype; any other gives NaN
    losses  (N,)    [out] float64
    """
    losses[...] = _losses(_cosines(x1, x2)[0], target, margin)


def cosine_embedding_update_grad_input(x1, x2, target, dx1, dx2, margin, norm):
    """dx1, dx2 <- norm times the gradients of the losses; 0 for rows without loss.

    x1, x2, target  as in cosine_embedding_update_output
    dx1, dx2  (N, D)  [out]
    margin, norm  numbers
    """
    cos, square1, square2 = _cosines(x1, x2)
    with np.errstate(all="ignore"):
        factor = np.where(_losses(cos, target, margin) <= 0, 0, -target * norm)
        a = factor / np.sqrt(square1) / np.sqrt(square2)
        dx1[...] = a[:, None] * x2 - (factor * cos / square1)[:, None] * x1
        dx2[...] = a[:, None] * x1 - (factor * cos / square2)[:, None] * x2


def _cosines(x1, x2):
    x1, x2 = x1.astype(np.float64), x2.astype(np.float64)
    with np.errstate(all="ignore"):
        square1, square2 = (x1 * x1).sum(axis=1) + _EPSILON, (x2 * x2).sum(axis=1) + _EPSILON
        return (x1 * x2).sum(axis=1) / np.sqrt(square1) / np.sqrt(square2), square1, square2


def _losses(cos, target, margin):
    apart = np.where(cos - margin <= 0, 0, cos - margin)
    return np.where(target == 1, 1 - cos, np.where(target == -1, apart, np.nan))
