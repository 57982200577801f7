"""Is a gradient right?  Compare it with differences of the loss."""
import math

from .. import check, tensor
from . import protocol
from .vectors import combine, dot


def checkgrad(opfunc, x, eps=1e-7):
    """The gradient of opfunc at x beside the central differences ``(f(x + h) - f(x - h)) / 2 eps``.

    Parameters
    ----------
    opfunc : function
        ``opfunc(x) -> (f, dfdx)``; without randomness such as Dropout.
    x : tensor
        Where to look; each element is moved by eps and put back, so it is as it was.
    eps : float
        > 0.  The default is for float64; float32 needs about 1e-2.

    Shapes
    ------
    x, dC, dC_est  (P,), float32 or float64

    Returns ``(diff, dC, dC_est)``: ``|dC - dC_est| / |dC + dC_est|`` (0 where both are 0),
    the gradient that opfunc gives, and the one estimated.  opfunc is called 2P + 1 times.

    >>> import numpy as np
    >>> diff, dC, dC_est = checkgrad(lambda x: (float(x @ x), 2 * x), np.array([1.0, -2.0]))
    >>> diff < 1e-8, dC
    (True, array([ 2., -4.]))

    Raises ValueError for an eps that is not > 0 or is lost in rounding, ShapeError or
    TypeError for a wrong x or gradient.

    Source: Torch7's optim.checkgrad.
    """
    check.number(math.ulp(0), eps=eps)
    protocol.vector("x", x)
    _, dfdx = protocol.evaluate(opfunc, x)
    exact, estimate = tensor.empty(x.shape, x), tensor.empty(x.shape, x)
    tensor.copy(dfdx, exact)
    for index in range(x.size):
        before = tensor.number(x, index)
        try:
            x[index] = before + eps
            if tensor.number(x, index) == before:
                raise ValueError(f"eps must be large enough to change x[{index}], {before}, of dtype "
                                 f"{x.dtype.name}, got {eps}")
            above, _ = protocol.evaluate(opfunc, x)
            x[index] = before - eps
            below, _ = protocol.evaluate(opfunc, x)
        finally:
            x[index] = before
        estimate[index] = (above - below) / (2 * eps)
    apart, together = tensor.empty(x.shape, x), tensor.empty(x.shape, x)
    combine(exact, estimate, apart, 1, -1)
    combine(exact, estimate, together, 1, 1)
    difference, size = math.sqrt(dot(apart, apart)), math.sqrt(dot(together, together))
    return (difference / size if size else math.inf if difference else 0.0), exact, estimate
