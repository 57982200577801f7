"""AdaMax: Adam with the largest gradient so far in place of a mean of squares."""
import math

from .. import kernels
from ..kernels import optim_formulas
from . import protocol

_BELOW_1 = math.nextafter(1, 0)
_OPTIONS = {
    "learningRate": (2e-3, 0, None),
    "beta1": (0.9, 0, _BELOW_1),
    "beta2": (0.999, 0, 1),
    "epsilon": (1e-38, 0, None),
    "weightDecay": (0.0, 0, None),
}
_KEPT = ("t", "m", "u", "max")
_step = kernels.elementwise(optim_formulas.adamax, 3)


def adamax(opfunc, x, config=None, state=None):
    """AdaMax: ``x -= rate * m / u``, for the t-th step (from 1)::

        g    = dfdx + weightDecay * x
        m    = beta1 * m + (1 - beta1) * g
        u    = max(beta2 * u, |g| + epsilon)
        rate = learningRate / (1 - beta1 ** t)

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
    learningRate        2e-3       >= 0; it does not decay
    beta1               0.9        0 .. 1, 1 excluded
    beta2               0.999      0 .. 1
    epsilon             1e-38      >= 0; 0 divides by 0 where no gradient has come yet
    weightDecay         0          >= 0
    ==================  =========  ==================================================

    State: ``t``, the number of steps, the mean ``m`` and the largest ``u``.  (Torch's
    scratch ``max`` is not needed.)

    Shapes
    ------
    x, dfdx, m, u  any, such as (P,); float32 or float64

    Returns ``(x, [f])``, f the loss before the step.  Raises ValueError for an unknown
    option or a wrong value, ShapeError or TypeError for a wrong x or gradient; x is
    then as it was.

    Source: Torch7's optim.adamax.  Kingma and Ba, "Adam: a method for stochastic
    optimization" (2015), section 7.

    >>> import numpy as np
    >>> square = lambda x: (float(x @ x), 2 * x)
    >>> x, fs = adamax(square, np.array([4, -2], np.float32), {"learningRate": 0.5})
    >>> x.round(3), fs
    (array([ 3.5, -1.5], dtype=float32), [20.0])
    """
    (learningRate, beta1, beta2, epsilon,
     weightDecay), state = protocol.read("adamax", config, state, _OPTIONS, _KEPT)
    protocol.floats("x", x)

    f, dfdx = protocol.evaluate(opfunc, x)
    t = state.get("t", 0) + 1
    m, u = protocol.memory(state, "m", x), protocol.memory(state, "u", x)
    rate = learningRate / (1 - beta1**t)
    _step(dfdx, m, u, x, m, u, x, weightDecay, beta1, 1 - beta1, beta2, rate, epsilon)
    state["t"] = t
    return x, [f]
