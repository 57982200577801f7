"""BFGS and bounded L-BFGS of SciPy, called as the other methods are."""
import numpy as np

from .. import check, tensor
from . import protocol

_BFGS = {
    "maxIter": (None, 1, None, int),
    "tolFun": (1e-5, 0, None),
    "tolX": (0.0, 0, None),
}
_LBFGS = {
    "maxIter": (15000, 1, None, int),
    "maxEval": (15000, 1, None, int),
    "tolFun": (1e-5, 0, None),
    "tolF": (2.220446049250313e-09, 0, None),
    "nCorrection": (10, 1, None, int),
    "maxLine": (20, 1, None, int),
    "low": None,
    "high": None,
}
_KEPT = ("funcEval", "nIter", "message")


def bfgs(opfunc, x, config=None, state=None):
    """BFGS with a line search, from SciPy: steps ``-H . dfdx`` with a full matrix H.

    H, of P * P numbers, is learned from the steps: for some thousands of parameters at
    most, where it needs fewer losses than lbfgs.

    Parameters
    ----------
    opfunc : function
        ``opfunc(x) -> (f, dfdx)``: the loss at x and its gradient, which is like x
        and is left as it is.
    x : tensor
        The parameters; changed in place.  SciPy computes in float64 whatever x is.
    config, state : dict
        Options, and what is told of the call; without a state, config keeps it.

    =======  =========  ==============================================================
    option   default    meaning
    =======  =========  ==============================================================
    maxIter  200 * P    >= 1: steps in one call
    tolFun   1e-5       >= 0: stop when the largest ``|dfdx|`` is not above it
    tolX     0          >= 0: stop when a step is not longer than so many times ``|x|``
    =======  =========  ==============================================================

    State: ``funcEval`` and ``nIter``, the losses and steps so far, ``message``, why the
    last call ended, and ``hess_inv``, its H, from which the next call goes on.

    Shapes
    ------
    x, dfdx   (P,), float32 or float64
    hess_inv  (P, P), float64

    Returns ``(x, fs)``: the loss before the first step and after each.  Raises
    ImportError where SciPy is not installed, ValueError for an unknown option or a wrong
    value, ShapeError or TypeError for a wrong x or gradient; x is then as it was, and so
    it is where opfunc raises.

    >>> import numpy as np
    >>> x, fs = bfgs(lambda x: (float(x @ x), 2 * x), np.array([4.0, -2.0]))
    >>> fs[0]
    20.0

    Source: SciPy's ``minimize(method="BFGS")``; not in Torch7.  Broyden, Fletcher,
    Goldfarb, Shanno (1970).
    """
    (maxIter, tolFun, tolX), state = protocol.read("bfgs", config, state, _BFGS, (*_KEPT, "hess_inv"))
    protocol.vector("x", x)
    options = {"gtol": tolFun, "xrtol": tolX}
    if maxIter is not None:
        options["maxiter"] = maxIter
    if state.get("hess_inv") is not None:
        check.shape("state['hess_inv']", state["hess_inv"], x.size, x.size)
        options["hess_inv0"] = state["hess_inv"]
    result, fs = _minimize("bfgs", "BFGS", opfunc, x, state, options)
    # Rounding leaves it a little unsymmetric, and SciPy would not take it back.
    state["hess_inv"] = (result.hess_inv + result.hess_inv.T) / 2
    return x, fs


def lbfgs_scipy(opfunc, x, config=None, state=None):
    """L-BFGS with bounds and a line search, from SciPy (L-BFGS-B).

    Parameters
    ----------
    opfunc : function
        ``opfunc(x) -> (f, dfdx)``: the loss at x and its gradient, which is like x
        and is left as it is.
    x : tensor
        The parameters; changed in place.  SciPy computes in float64 whatever x is.
    config, state : dict
        Options, and what is told of the call; without a state, config keeps it.

    ===========  =========  ==========================================================
    option       default    meaning
    ===========  =========  ==========================================================
    maxIter      15000      >= 1: steps in one call
    maxEval      15000      >= 1: no further step after so many losses in one call
    tolFun       1e-5       >= 0: stop when no ``|dfdx|`` is above it, bounds considered
    tolF         2.2e-9     >= 0: stop when the loss changes by no more, relative to it
    nCorrection  10         >= 1: how many pairs of vectors are kept
    maxLine      20         >= 1: losses in one line search
    low, high    None       bounds of x: a number for all parameters, or a tensor like x
    ===========  =========  ==========================================================

    State: ``funcEval`` and ``nIter``, the losses and steps so far, and ``message``, why
    the last call ended.  Every call begins without pairs.

    Shapes
    ------
    x, dfdx    (P,), float32 or float64
    low, high  (P,)

    Returns ``(x, fs)``: the loss before the first step (within the bounds, where x is
    moved first) and after each.  Raises ImportError where SciPy is not installed,
    ValueError for an unknown option or a wrong value, ShapeError or TypeError for a wrong
    x or gradient; x is then as it was, and so it is where opfunc raises.

    >>> import numpy as np
    >>> config = {"low": 1.0}
    >>> lbfgs_scipy(lambda x: (float(x @ x), 2 * x), np.array([4.0, 2.0]), config)[0]
    array([1., 1.])

    Source: SciPy's ``minimize(method="L-BFGS-B")``; not in Torch7.  Byrd, Lu, Nocedal and
    Zhu, "A limited memory algorithm for bound constrained optimization" (1995).
    """
    (maxIter, maxEval, tolFun, tolF, nCorrection, maxLine, low,
     high), state = protocol.read("lbfgs_scipy", config, state, _LBFGS, _KEPT)
    protocol.vector("x", x)
    bounds = [_bound("low", low, x, -np.inf), _bound("high", high, x, np.inf)]
    if (bounds[0] > bounds[1]).any():
        raise ValueError("low must not be above high anywhere")
    options = {"maxiter": maxIter, "maxfun": maxEval, "gtol": tolFun, "ftol": tolF, "maxcor": nCorrection,
               "maxls": maxLine}
    if low is None and high is None:
        bounds = None
    _, fs = _minimize("lbfgs_scipy", "L-BFGS-B", opfunc, x, state, options, bounds)
    return x, fs


def _bound(name, value, x, absent):
    """*value* as one number for each parameter."""
    if value is None:
        value = absent
    elif tensor.is_tensor(value):
        protocol.like_x(name, value, x)
    else:
        check.number(**{f"the bound {name}": value})
    return np.broadcast_to(np.asarray(tensor.host(value), np.float64), x.shape)


def _minimize(name, method, opfunc, x, state, options, bounds=None):
    """scipy.optimize.minimize on x; its result and the losses step by step."""
    optimize = check.package("scipy.optimize", "scipy", f"optim.{name}")
    start, fs = x.copy(), []
    count = state.get("funcEval", 0)

    def evaluate(point):
        nonlocal count
        tensor.copy(point, x)
        f, dfdx = protocol.evaluate(opfunc, x)
        count += 1
        f = float(f)
        if not fs:
            fs.append(f)
        return f, tensor.host(dfdx).astype(np.float64)  # a copy: opfunc may use the tensor again

    def after_step(intermediate_result):
        fs.append(float(intermediate_result.fun))

    try:
        result = optimize.minimize(
            evaluate, tensor.host(start).astype(np.float64), jac=True, method=method, callback=after_step,
            options=options, bounds=None if bounds is None else optimize.Bounds(*bounds))
    except BaseException:
        tensor.copy(start, x)
        raise
    tensor.copy(result.x, x)
    state["funcEval"] = count
    state["nIter"] = state.get("nIter", 0) + int(result.nit)
    state["message"] = str(result.message)
    return result, fs
