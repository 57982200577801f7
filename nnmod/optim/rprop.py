"""Rprop: steps that follow the sign of the gradient, each parameter with its own length."""
from .. import kernels
from ..kernels import optim_formulas
from . import protocol

_OPTIONS = {
    "stepsize": (0.1, 0, None),
    "etaplus": (1.2, 1, None),
    "etaminus": (0.5, 0, 1),
    "stepsizemax": (50.0, 0, None),
    "stepsizemin": (1e-6, 0, None),
    "niter": (1, 1, None, int),
}
_KEPT = ("delta", "stepsizes", "sign", "psign", "nsign", "zsign", "dminmax")
_step = kernels.elementwise(optim_formulas.rprop, 3)


def rprop(opfunc, x, config=None, state=None):
    """Resilient propagation: ``x -= sign(g) * step``, with::

        turn = sign(dfdx * before)                      before: the g of the last step
        step = step * (etaplus where turn > 0, etaminus where turn < 0)
        step = step, within stepsizemin .. stepsizemax
        g    = 0 where turn < 0, else dfdx

    Made for gradients of all the data; on small batches signs flip at random.

    Parameters
    ----------
    opfunc : function
        ``opfunc(x) -> (f, dfdx)``: the loss at x and its gradient, which is like x
        and is left as it is.
    x : tensor
        The parameters; changed in place.
    config, state : dict
        Options, and what is kept between steps; without a state, config keeps it.

    ===========  =========  =========================================================
    option       default    meaning
    ===========  =========  =========================================================
    stepsize     0.1        >= 0; every step before the first gradient
    etaplus      1.2        >= 1
    etaminus     0.5        0 .. 1
    stepsizemax  50         >= 0
    stepsizemin  1e-6       >= 0, and not above stepsizemax
    niter        1          how many steps one call makes
    ===========  =========  =========================================================

    State: ``delta``, the g above, and ``stepsizes``, the step of each parameter (Torch
    calls it ``stepsize``, which would take the option's place in config).  Torch's
    scratch tensors are not needed, and dfdx is not changed.

    Shapes
    ------
    x, dfdx, delta, stepsizes  any, such as (P,); float32 or float64

    Returns ``(x, fs)``, the loss before each step.  Raises ValueError for an unknown
    option or a wrong value, ShapeError or TypeError for a wrong x or gradient; x is
    then as the last step left it.

    Source: Torch7's optim.rprop.  Riedmiller and Braun, "A direct adaptive method for
    faster backpropagation learning" (1993).

    >>> import numpy as np
    >>> square = lambda x: (float(x @ x), 2 * x)
    >>> x, config = np.array([4, -2], np.float32), {"stepsize": 1}
    >>> for _ in range(3):
    ...     x, fs = rprop(square, x, config)
    >>> x.round(2), config["stepsizes"].round(2)
    (array([0.36, 0.2 ], dtype=float32), array([1.44, 0.6 ], dtype=float32))
    """
    (stepsize, etaplus, etaminus, high, low,
     niter), state = protocol.read("rprop", config, state, _OPTIONS, _KEPT)
    if low > high:
        raise ValueError(f"stepsizemin must not be above stepsizemax, got {low} and {high}")
    protocol.floats("x", x)

    fs = []
    for _ in range(niter):
        f, dfdx = protocol.evaluate(opfunc, x)
        before = protocol.memory(state, "delta", x)
        step = protocol.memory(state, "stepsizes", x, stepsize)
        _step(dfdx, before, step, x, before, step, x, etaplus, etaminus, low, high)
        fs.append(f)
    return x, fs
