"""Adagrad: a rate for each parameter that falls with all its gradients so far."""
from .. import kernels
from ..kernels import optim_formulas
from . import protocol

_OPTIONS = {
    "learningRate": (1e-3, 0, None),
    "learningRateDecay": (0.0, 0, None),
    "weightDecay": (0.0, 0, None),
}
_KEPT = ("evalCounter", "paramVariance", "paramStd")
_EPSILON = 1e-10  # Torch's; not an option there either
_step = kernels.elementwise(optim_formulas.adagrad, 2)


def adagrad(opfunc, x, config=None, state=None):
    """Adagrad: ``x -= rate * g / (sqrt(v) + 1e-10)``, for the t-th step (from 0)::

        rate = learningRate / (1 + t * learningRateDecay)
        g    = dfdx + weightDecay * x
        v    = v + g * g

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
    ==================  =========  ==================================================

    State: ``evalCounter``, the number of steps, and ``paramVariance``, the v above.
    (Torch's scratch ``paramStd`` is not needed.)

    Shapes
    ------
    x, dfdx, paramVariance  any, such as (P,); float32 or float64

    Returns ``(x, [f])``, f the loss before the step.  Raises ValueError for an unknown
    option or a wrong value, ShapeError or TypeError for a wrong x or gradient; x is
    then as it was.

    Source: Torch7's optim.adagrad.  Duchi, Hazan and Singer, "Adaptive subgradient
    methods for online learning and stochastic optimization" (2011).

    >>> import numpy as np
    >>> square = lambda x: (float(x @ x), 2 * x)
    >>> x, config = np.array([4, -2], np.float32), {"learningRate": 0.5}
    >>> for _ in range(2):
    ...     x, fs = adagrad(square, x, config)
    >>> x.round(3), fs
    (array([ 3.171, -1.2  ], dtype=float32), [14.5])
    """
    (learningRate, learningRateDecay,
     weightDecay), state = protocol.read("adagrad", config, state, _OPTIONS, _KEPT)
    protocol.floats("x", x)

    f, dfdx = protocol.evaluate(opfunc, x)
    t = state.get("evalCounter", 0)
    v = protocol.memory(state, "paramVariance", x)
    _step(dfdx, v, x, v, x, weightDecay, learningRate / (1 + t * learningRateDecay), _EPSILON)
    state["evalCounter"] = t + 1
    return x, [f]
