"""RMSProp: the gradient divided by a running mean of its size."""
from .. import kernels
from ..kernels import optim_formulas
from . import protocol

_OPTIONS = {
    "learningRate": (1e-2, 0, None),
    "alpha": (0.99, 0, 1),
    "epsilon": (1e-8, 0, None),
    "weightDecay": (0.0, 0, None),
    "initialMean": (0.0, 0, None),
}
_KEPT = ("m", "tmp")
_step = kernels.elementwise(optim_formulas.rmsprop, 2)


def rmsprop(opfunc, x, config=None, state=None):
    """RMSProp: ``x -= learningRate * g / (sqrt(m) + epsilon)``::

        g = dfdx + weightDecay * x
        m = alpha * m + (1 - alpha) * g * g

    Parameters
    ----------
    opfunc : function
        ``opfunc(x) -> (f, dfdx)``: the loss at x and its gradient, which is like x
        and is left as it is.
    x : tensor
        The parameters; changed in place.
    config, state : dict
        Options, and what is kept between steps; without a state, config keeps it.

    ==============  =========  ======================================================
    option          default    meaning
    ==============  =========  ======================================================
    learningRate    1e-2       >= 0; it does not decay
    alpha           0.99       0 .. 1
    epsilon         1e-8       >= 0
    weightDecay     0          >= 0
    initialMean     0          >= 0; m before the first step
    ==============  =========  ======================================================

    State: the mean of squares ``m``.  (Torch's scratch ``tmp`` is not needed.)

    Shapes
    ------
    x, dfdx, m  any, such as (P,); float32 or float64

    Returns ``(x, [f])``, f the loss before the step.  Raises ValueError for an unknown
    option or a wrong value, ShapeError or TypeError for a wrong x or gradient; x is
    then as it was.

    Source: Torch7's optim.rmsprop.  Tieleman and Hinton, "Neural networks for machine
    learning", lecture 6.5 (2012).

    >>> import numpy as np
    >>> square = lambda x: (float(x @ x), 2 * x)
    >>> x, config = np.array([4, -2], np.float32), {"learningRate": 0.05}
    >>> x, fs = rmsprop(square, x, config)
    >>> x.round(3), fs
    (array([ 3.5, -1.5], dtype=float32), [20.0])
    """
    (learningRate, alpha, epsilon, weightDecay,
     initialMean), state = protocol.read("rmsprop", config, state, _OPTIONS, _KEPT)
    protocol.floats("x", x)

    f, dfdx = protocol.evaluate(opfunc, x)
    m = protocol.memory(state, "m", x, initialMean)
    _step(dfdx, m, x, m, x, weightDecay, alpha, 1 - alpha, learningRate, epsilon)
    return x, [f]
