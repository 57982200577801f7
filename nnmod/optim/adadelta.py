"""Adadelta: steps as large as the last ones were, without a rate to choose."""
from .. import kernels
from ..kernels import optim_formulas
from . import protocol

_OPTIONS = {"rho": (0.9, 0, 1), "eps": (1e-6, 0, None)}
_KEPT = ("evalCounter", "paramVariance", "accDelta", "paramStd", "delta")
_step = kernels.elementwise(optim_formulas.adadelta, 3)


def adadelta(opfunc, x, config=None, state=None):
    """Adadelta: ``x -= d``, with::

        v = rho * v + (1 - rho) * dfdx * dfdx
        d = sqrt(a + eps) / sqrt(v + eps) * dfdx
        a = rho * a + (1 - rho) * d * d

    Parameters
    ----------
    opfunc : function
        ``opfunc(x) -> (f, dfdx)``: the loss at x and its gradient, which is like x
        and is left as it is.
    x : tensor
        The parameters; changed in place.
    config, state : dict
        Options, and what is kept between steps; without a state, config keeps it.

    ======  =========  ==============================================================
    option  default    meaning
    ======  =========  ==============================================================
    rho     0.9        0 .. 1: how much of the means is kept
    eps     1e-6       >= 0; its root is about the size of the first steps
    ======  =========  ==============================================================

    State: ``evalCounter``, the number of steps, ``paramVariance``, the v above, and
    ``accDelta``, the a.  (Torch's scratch ``paramStd`` and ``delta`` is not needed.)

    Shapes
    ------
    x, dfdx, paramVariance, accDelta  any, such as (P,); float32 or float64

    Returns ``(x, [f])``, f the loss before the step.  Raises ValueError for an unknown
    option or a wrong value, ShapeError or TypeError for a wrong x or gradient; x is
    then as it was.

    Source: Torch7's optim.adadelta.  Zeiler, "ADADELTA: an adaptive learning rate
    method" (2012).

    >>> import numpy as np
    >>> square = lambda x: (float(x @ x), 2 * x)
    >>> x, config = np.array([4, -2], np.float32), {"eps": 1e-2}
    >>> for _ in range(20):
    ...     x, fs = adadelta(square, x, config)
    >>> x.round(2)
    array([ 0.44, -0.01], dtype=float32)
    """
    (rho, eps), state = protocol.read("adadelta", config, state, _OPTIONS, _KEPT)
    protocol.floats("x", x)

    f, dfdx = protocol.evaluate(opfunc, x)
    v, a = protocol.memory(state, "paramVariance", x), protocol.memory(state, "accDelta", x)
    _step(dfdx, v, a, x, v, a, x, rho, 1 - rho, eps)
    state["evalCounter"] = state.get("evalCounter", 0) + 1
    return x, [f]
