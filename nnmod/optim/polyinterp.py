"""The minimum of a polynomial through points with known values and slopes."""
import math

import numpy as np

from .. import check
from ..errors import ShapeError


def polyinterp(points, xminBound=None, xmaxBound=None):
    """Where the polynomial through *points* is smallest.

    Parameters
    ----------
    points : tensor or table
        A row ``(x, f, g)`` for each point: where, the value there and the slope there.
        At least two, at places that differ.
    xminBound, xmaxBound : float or None
        Where the minimum is looked for; by default between the outermost points.  With
        bounds the polynomial serves beyond its points too.

    Shapes
    ------
    points  (N, 3)

    The polynomial has degree 2N - 1: a cubic for two points.  Candidates are the bounds,
    the points and the places where its slope is 0.  For two points without bounds the
    cubic's minimum is taken, moved to the nearer end if it lies outside; their mean where
    the cubic has none.

    >>> polyinterp([[0.0, 1.0, -2.0], [2.0, 1.0, 2.0]])
    1.0

    Raises ShapeError for points of another shape, ValueError for two points at one place
    or bounds the wrong way round.

    Source: Torch7's optim.polyinterp, after Schmidt's minFunc; the cubic is Nocedal and
    Wright, "Numerical optimization", equation 3.59.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) < 2:
        raise ShapeError(f"points must have shape (N, 3), rows of x, f and g for two points or more, "
                         f"got {points.shape}")
    places = points[:, 0]
    if len(np.unique(places)) != len(places):
        raise ValueError(f"points must lie at places that differ, got {places.tolist()}")
    for name, bound in (("xminBound", xminBound), ("xmaxBound", xmaxBound)):
        if bound is not None:
            check.number(**{name: bound})
    if len(points) == 2 and xminBound is None and xmaxBound is None:
        return _cubic(*points[places.argsort()].tolist())
    low = places.min() if xminBound is None else xminBound
    high = places.max() if xmaxBound is None else xmaxBound
    if low > high:
        raise ValueError(f"xminBound must not be above xmaxBound, got {low} and {high}")
    return _within(points, float(low), float(high))


def _cubic(left, right):
    """The minimum of the cubic through two points, within them."""
    (x1, f1, g1), (x2, f2, g2) = left, right
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if not 0 <= square < math.inf:
        return (x1 + x2) / 2
    d2 = math.sqrt(square)
    below = g2 - g1 + 2 * d2
    if below == 0:  # a straight line
        return (x1 + x2) / 2
    return min(max(x2 - (x2 - x1) * ((g2 + d2 - d1) / below), x1), x2)


def _within(points, low, high):
    """The best candidate in low .. high; the middle where none has a value."""
    # About the middle of the points and in units of their width powers stay near 1.
    places = points[:, 0]
    middle, width = (places.min() + places.max()) / 2, (places.max() - places.min()) / 2
    z = (places - middle) / width
    powers = np.arange(2 * len(points))
    values = z[:, None] ** powers
    slopes = powers * z[:, None] ** np.maximum(powers - 1, 0)
    known = np.concatenate([points[:, 1] - points[0, 1], points[:, 2] * width])
    if not np.isfinite(known).all():
        return (low + high) / 2
    curve = np.linalg.solve(np.concatenate([values, slopes]), known)
    # A coefficient that is rounding alone would send roots to infinity and blur the others.
    slope = powers[1:] * curve[1:]
    slope[np.abs(slope) < 1e-14 * np.abs(slope).max()] = 0
    roots = np.roots(slope[::-1])
    roots = roots[np.isreal(roots)].real * width + middle
    best, least = (low + high) / 2, math.inf
    for place in (low, high, *places.tolist(), *roots.tolist()):
        if low <= place <= high:
            value = np.polyval(curve[::-1], (place - middle) / width)
            if value < least:
                best, least = place, value
    return float(best)
