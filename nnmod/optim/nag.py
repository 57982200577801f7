"""Nesterov's accelerated gradient: the gradient is taken where the momentum will lead."""
import math

from .. import kernels
from ..kernels import formulas, optim_formulas
from . import protocol

_OPTIONS = {
    "learningRate": (1e-3, 0, None),
    "learningRateDecay": (0.0, 0, None),
    "weightDecay": (0.0, 0, None),
    "momentum": (0.9, math.ulp(0), None),
    "learningRates": None,
}
_KEPT = ("evalCounter", "dfdx", "deltaParameters")
_ahead = kernels.elementwise(formulas.add_scaled)
_step = kernels.elementwise(optim_formulas.nag, 2)
_step_shares = kernels.elementwise(optim_formulas.nag_shares, 2)


def nag(opfunc, x, config=None, state=None):
    """Nesterov's method: ``x += v``, for the t-th step (from 0)::

        rate = learningRate / (1 + t * learningRateDecay)
        y    = x + momentum * v                         the place where opfunc is called
        g    = dfdx(y) + weightDecay * y
        v    = momentum * v - rate * g

    Parameters
    ----------
    opfunc : function
        ``opfunc(x) -> (f, dfdx)``: the loss at x and its gradient, which is like x
        and is left as it is.
    x : tensor
        The parameters; changed in place.
    config, state : dict
        Options, and what is kept between steps; without a state, config keeps it.

    ==================  =========  ==================================================
    option              default    meaning
    ==================  =========  ==================================================
    learningRate        1e-3       >= 0
    learningRateDecay   0          >= 0
    weightDecay         0          >= 0
    momentum            0.9        > 0
    learningRates       None       a tensor like x: each parameter's rate is times this
    ==================  =========  ==================================================

    (Torch's nag reads ``dampening`` and makes no use of it; here it is refused.)

    State: ``evalCounter``, the number of steps, and ``dfdx``, the velocity v.

    Shapes
    ------
    x, dfdx, learningRates  any, such as (P,); float32 or float64

    Returns ``(x, [f])``, f the loss at y.  Raises ValueError for an unknown option or a
    wrong value, ShapeError or TypeError for a wrong x or gradient; x is then as it was,
    and so it is, but for rounding, where opfunc itself raises.

    Source: Torch7's optim.nag.  Nesterov (1983), in the form of Sutskever, Martens,
    Dahl and Hinton, "On the importance of initialization and momentum in deep
    learning" (2013).

    >>> import numpy as np
    >>> square = lambda x: (float(x @ x), 2 * x)
    >>> x, config = np.array([4, -2], np.float32), {"learningRate": 0.25, "momentum": 0.5}
    >>> for _ in range(2):
    ...     x, fs = nag(square, x, config)
    >>> x, fs  # the second loss is that at x + 0.5 v = (1, -0.5)
    (array([ 0.5 , -0.25], dtype=float32), [1.25])
    """
    (learningRate, learningRateDecay, weightDecay, momentum,
     shares), state = protocol.read("nag", config, state, _OPTIONS, _KEPT)
    protocol.floats("x", x)
    if shares is not None:
        protocol.like_x("learningRates", shares, x)

    moving = state.get("dfdx") is not None
    if moving:
        v = protocol.memory(state, "dfdx", x)
        _ahead(v, x, x, momentum)
    try:
        f, dfdx = protocol.evaluate(opfunc, x)
    except BaseException:
        if moving:
            _ahead(v, x, x, -momentum)
        raise
    t = state.get("evalCounter", 0)
    v = protocol.memory(state, "dfdx", x)
    rate = learningRate / (1 + t * learningRateDecay)
    if shares is None:
        _step(dfdx, v, x, v, x, weightDecay, 1.0, rate, momentum)
    else:
        _step_shares(dfdx, v, x, shares, v, x, weightDecay, rate, momentum)
    state["evalCounter"] = t + 1
    return x, [f]
