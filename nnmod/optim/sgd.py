"""Stochastic gradient descent, with momentum, Nesterov's momentum and weight decay."""
from .. import kernels
from ..kernels import optim_formulas
from . import protocol

_OPTIONS = {
    "learningRate": (1e-3, 0, None),
    "learningRateDecay": (0.0, 0, None),
    "weightDecay": (0.0, 0, None),
    "momentum": (0.0, 0, None),
    "dampening": (None, 0, 1),
    "nesterov": False,
    "learningRates": None,
    "weightDecays": None,
}
_KEPT = ("evalCounter", "dfdx", "decayParameters", "deltaParameters")

# With momentum?  A vector of decays?  A vector of rates?  One kernel for each, since
# a kernel's tensors come before its numbers.
_STEPS = {
    (False, False, False): kernels.elementwise(optim_formulas.sgd),
    (False, True, False): kernels.elementwise(optim_formulas.sgd),
    (False, True, True): kernels.elementwise(optim_formulas.sgd),
    (False, False, True): kernels.elementwise(optim_formulas.sgd_shares),
    (True, False, False): kernels.elementwise(optim_formulas.sgd_momentum, 2),
    (True, True, False): kernels.elementwise(optim_formulas.sgd_momentum, 2),
    (True, True, True): kernels.elementwise(optim_formulas.sgd_momentum, 2),
    (True, False, True): kernels.elementwise(optim_formulas.sgd_momentum_shares, 2),
}


def sgd(opfunc, x, config=None, state=None):
    """Gradient descent: ``x -= rate * d``, for the t-th step (from 0)::

        rate = learningRate / (1 + t * learningRateDecay)
        g    = dfdx + weightDecay * x
        v    = momentum * v + (1 - dampening) * g       the first time: v = g
        d    = g without momentum, v with it, g + momentum * v with nesterov

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
    momentum            0          >= 0
    dampening           momentum   0 .. 1; **set it to 0 for the common form of momentum**
    nesterov            False      needs momentum > 0 and dampening 0
    learningRates       None       a tensor like x: each parameter's rate is times this
    weightDecays        None       a tensor like x, instead of weightDecay
    ==================  =========  ==================================================

    State: ``evalCounter``, the number of steps, and ``dfdx``, the v of momentum.
    (Torch's scratch ``decayParameters`` and ``deltaParameters`` is not needed.)

    Shapes
    ------
    x, dfdx                      any, such as (P,); float32 or float64
    learningRates, weightDecays  (P,)

    Returns ``(x, [f])``, f the loss before the step.  Raises ValueError for an unknown
    option or a wrong value, ShapeError or TypeError for a wrong x or gradient; x is
    then as it was.

    Source: Torch7's optim.sgd.  Robbins and Monro (1951); momentum: Polyak (1964);
    nesterov: Sutskever, Martens, Dahl and Hinton (2013).

    >>> import numpy as np
    >>> square = lambda x: (float(x @ x), 2 * x)
    >>> x = np.array([4, -2], np.float32)
    >>> sgd(square, x, {"learningRate": 0.25})
    (array([ 2., -1.], dtype=float32), [20.0])
    """
    (learningRate, learningRateDecay, weightDecay, momentum, dampening, nesterov, shares,
     decays), state = protocol.read("sgd", config, state, _OPTIONS, _KEPT)
    dampening = momentum if dampening is None else dampening
    if nesterov and (momentum <= 0 or dampening != 0):
        raise ValueError("nesterov needs momentum > 0 and dampening = 0 (dampening is momentum unless "
                         f"it is set), got momentum {momentum} and dampening {dampening}")
    if weightDecay and decays is not None:
        raise ValueError("give weightDecay or weightDecays, not both")
    protocol.floats("x", x)
    for name, value in (("weightDecays", decays), ("learningRates", shares)):
        if value is not None:
            protocol.like_x(name, value, x)

    f, dfdx = protocol.evaluate(opfunc, x)
    t = state.get("evalCounter", 0)
    tensors = [value for value in (decays, shares) if value is not None]
    numbers = [] if decays is not None else [weightDecay]
    if shares is None:
        numbers.append(1.0)
    numbers.append(learningRate / (1 + t * learningRateDecay))
    step = _STEPS[momentum != 0, decays is not None, shares is not None]
    if momentum:
        keep, gain = (momentum, 1 - dampening) if state.get("dfdx") is not None else (0.0, 1.0)
        v = protocol.memory(state, "dfdx", x)
        step(dfdx, v, x, *tensors, v, x, *numbers, keep, gain, momentum if nesterov else 0.0)
    else:
        step(dfdx, x, *tensors, x, *numbers)
    state["evalCounter"] = t + 1
    return x, [f]
