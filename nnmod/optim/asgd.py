"""Averaged stochastic gradient descent: the mean of the path is the better answer."""
from .. import kernels
from ..kernels import optim_formulas
from . import protocol

_OPTIONS = {
    "eta0": (1e-4, 0, None),
    "lambda": (1e-4, 0, None),
    "alpha": (0.75, 0, None),
    "t0": (1e6, 0, None),
}
_KEPT = ("t", "eta_t", "mu_t", "ax", "tmp")
_step = kernels.elementwise(optim_formulas.asgd, 2)


def asgd(opfunc, x, config=None, state=None):
    """Averaged gradient descent, for the t-th step (from 0)::

        eta = eta0 / (1 + lambda * eta0 * t) ** alpha
        x   = (1 - lambda * eta) * x - eta * dfdx
        mu  = 1 / max(1, t - t0)
        ax  = ax + mu * (x - ax)                        the mean since step t0; before, x

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
    eta0    1e-4       >= 0; the first rate
    lambda  1e-4       >= 0; decay of the weights, and of the rate
    alpha   0.75       >= 0; how fast the rate falls
    t0      1e6        >= 0; the step with which averaging begins
    ======  =========  ==============================================================

    State: ``t``, the number of steps, ``eta_t`` and ``mu_t``, the numbers of the step to
    come, and the average ``ax`` (which Torch returns as a third value).

    Shapes
    ------
    x, dfdx, ax  any, such as (P,); float32 or float64

    Returns ``(x, [f])``, f the loss before the step.  Raises ValueError for an unknown
    option or a wrong value, ShapeError or TypeError for a wrong x or gradient; x is
    then as it was.

    Source: Torch7's optim.asgd, after Bottou's sgd-2.0.  Polyak and Juditsky,
    "Acceleration of stochastic approximation by averaging" (1992).

    >>> import numpy as np
    >>> square = lambda x: (float(x @ x), 2 * x)
    >>> x, config = np.array([4, -2], np.float32), {"eta0": 0.25, "lambda": 0, "t0": 0}
    >>> for _ in range(3):
    ...     x, fs = asgd(square, x, config)
    >>> x, config["ax"].round(3)  # the last point, and the mean on the way
    (array([ 0.5 , -0.25], dtype=float32), array([ 0.75 , -0.375], dtype=float32))
    """
    (eta0, decay, alpha, t0), state = protocol.read("asgd", config, state, _OPTIONS, _KEPT)
    protocol.floats("x", x)

    f, dfdx = protocol.evaluate(opfunc, x)
    t, rate, weight = state.get("t", 0), state.get("eta_t", eta0), state.get("mu_t", 1.0)
    mean = protocol.memory(state, "ax", x)
    _step(dfdx, x, mean, x, mean, 1 - decay * rate, rate, weight)
    t += 1
    state["t"] = t
    state["eta_t"] = eta0 / (1 + decay * eta0 * t) ** alpha
    state["mu_t"] = 1 / max(1, t - t0)
    return x, [f]
