"""Adam: a rate for each parameter from running means of the gradient and its square."""
import math

from .. import kernels
from ..kernels import optim_formulas
from . import protocol

_BELOW_1 = math.nextafter(1, 0)
_OPTIONS = {
    "learningRate": (1e-3, 0, None),
    "learningRateDecay": (0.0, 0, None),
    "beta1": (0.9, 0, _BELOW_1),
    "beta2": (0.999, 0, _BELOW_1),
    "epsilon": (1e-8, 0, None),
    "weightDecay": (0.0, 0, None),
}
_KEPT = ("t", "m", "v", "denom")
_step = kernels.elementwise(optim_formulas.adam, 3)


def adam(opfunc, x, config=None, state=None):
    """Adam: ``x -= rate * m / (sqrt(v) + epsilon)``, for the t-th step (from 1)::

        g    = dfdx + weightDecay * x
        m    = beta1 * m + (1 - beta1) * g
        v    = beta2 * v + (1 - beta2) * g * g
        rate = learningRate / (1 + (t - 1) * learningRateDecay)
               * sqrt(1 - beta2 ** t) / (1 - beta1 ** t)

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
    beta1               0.9        0 .. 1, 1 excluded
    beta2               0.999      0 .. 1, 1 excluded
    epsilon             1e-8       >= 0; stands outside the bias correction
    weightDecay         0          >= 0
    ==================  =========  ==================================================

    State: ``t``, the number of steps, and the means ``m`` and ``v``.  (Torch's scratch
    ``denom`` is not needed.)

    Shapes
    ------
    x, dfdx, m, v  any, such as (P,); float32 or float64

    Returns ``(x, [f])``, f the loss before the step.  Raises ValueError for an unknown
    option or a wrong value, ShapeError or TypeError for a wrong x or gradient; x is
    then as it was.

    Source: Torch7's optim.adam.  Kingma and Ba, "Adam: a method for stochastic
    optimization" (2015).

    >>> import numpy as np
    >>> square = lambda x: (float(x @ x), 2 * x)
    >>> x, config = np.array([4, -2], np.float32), {"learningRate": 0.5}
    >>> x, fs = adam(square, x, config)
    >>> x.round(3), fs, config["t"]
    (array([ 3.5, -1.5], dtype=float32), [20.0], 1)
    """
    (learningRate, learningRateDecay, beta1, beta2, epsilon,
     weightDecay), state = protocol.read("adam", config, state, _OPTIONS, _KEPT)
    protocol.floats("x", x)

    f, dfdx = protocol.evaluate(opfunc, x)
    t = state.get("t", 0) + 1
    m, v = protocol.memory(state, "m", x), protocol.memory(state, "v", x)
    rate = learningRate / (1 + (t - 1) * learningRateDecay)
    rate *= math.sqrt(1 - beta2**t) / (1 - beta1**t)
    _step(dfdx, m, v, x, m, v, x, weightDecay, beta1, 1 - beta1, beta2, 1 - beta2, rate, epsilon)
    state["t"] = t
    return x, [f]
