"""Conjugate gradients with a line search that interpolates by cubics."""
import math

from .. import tensor
from . import protocol
from .vectors import add_scaled, combine, dot, scale

_OPTIONS = {
    "rho": (0.01, 0, 1),
    "sig": (0.5, 0, 1),
    "int": (0.1, 0, 0.5),
    "ext": (3.0, 1, None),
    "maxIter": (20, 1, None, int),
    "ratio": (100.0, 0, None),
    "maxEval": (None, 1, None),
}
_KEPT = ("funcEval", "x0", "s", "df0", "df1", "df2", "df3")
_TINY = 1e-320  # keeps the quotient of two slopes finite


def cg(opfunc, x, config=None, state=None):
    """Nonlinear conjugate gradients: line searches along s, with::

        s = -dfdx at first, then -dfdx + (dfdx - last) . dfdx / (last . last) * s

    (Polak and Ribiere; s is -dfdx again where that s would climb).  A line search stops
    where the Wolfe conditions hold.

    Parameters
    ----------
    opfunc : function
        ``opfunc(x) -> (f, dfdx)``: the loss at x and its gradient, which is like x
        and is left as it is.
    x : tensor
        The parameters; changed in place.
    config, state : dict
        Options, and the scratch tensors; without a state, config keeps them.

    =======  ==============  =========================================================
    option   default         meaning
    =======  ==============  =========================================================
    rho      0.01            0 .. 1: the share of the promised decrease that is enough
    sig      0.5             0 .. 1: the share of the slope that may be left
    int      0.1             0 .. 0.5: stay so far inside a bracket, relative to it
    ext      3               >= 1: extrapolate no further than so many times the step
    maxIter  20              >= 1: losses in one line search
    ratio    100             >= 0: the largest factor between the first steps of two searches
    maxEval  1.25 * maxIter  >= 1: losses in one call; a search that is going on may end
    =======  ==============  =========================================================

    State: ``funcEval``, the losses so far, and scratch: ``x0``, ``s``, ``df1``, ``df2``.
    Every call begins anew with the direction -dfdx.  A search that finds no better point
    ends the call, with x where the search began.

    Shapes
    ------
    x, dfdx, x0, s, df1, df2  any, such as (P,); float32 or float64

    Returns ``(x, fs)``: the loss before the first search and after each that succeeded.
    Raises ValueError for an unknown option or a wrong value, ShapeError or TypeError for
    a wrong x or gradient; x is then where the search began, and so it is where opfunc
    raises.

    >>> import numpy as np
    >>> x = np.array([4.0, -2.0])
    >>> x, fs = cg(lambda x: (float(x @ x), 2 * x), x)
    >>> bool(abs(x).max() < 1e-8), fs[0]
    (True, 20.0)

    Source: Torch7's optim.cg, after Rasmussen's minimize.  Polak and Ribiere (1969).
    """
    (rho, sig, inside, ext, maxIter, ratio,
     maxEval), state = protocol.read("cg", config, state, _OPTIONS, _KEPT)
    maxEval = 1.25 * maxIter if maxEval is None else maxEval
    protocol.floats("x", x)
    for name in ("x0", "s", "df1", "df2"):
        if state.get(name) is not None:
            protocol.like_x(f"state[{name!r}]", state[name], x)

    f1, dfdx = protocol.evaluate(opfunc, x)
    fs, count = [f1], 1
    state["funcEval"] = state.get("funcEval", 0) + 1
    x0, s, df1, df2 = [protocol.memory(state, name, x) for name in ("x0", "s", "df1", "df2")]
    tensor.copy(dfdx, df1)
    scale(df1, s, -1)
    d1 = -dot(s, s)
    z1 = 1 / (1 - d1)

    def move(z):
        """The loss and the slope along s a way z further on; df2 holds the gradient."""
        nonlocal count
        add_scaled(s, x, x, z)
        try:
            f, dfdx = protocol.evaluate(opfunc, x)
        except BaseException:
            tensor.copy(x0, x)
            raise
        count += 1
        state["funcEval"] += 1
        tensor.copy(dfdx, df2)
        return f, dot(df2, s)

    while count < maxEval:
        tensor.copy(x, x0)
        f2, d2 = move(z1)
        f3, d3, z3 = f1, d1, -z1  # the third point: at a distance of z3 from the second
        left = min(maxIter, maxEval - count)
        limit = None
        while True:
            while (f2 > f1 + z1 * rho * d1 or d2 > -sig * d1) and left > 0:
                limit = z1
                z2 = _interpolate(f1, f2, f3, d2, d3, z3)
                z2 = max(min(z2, inside * z3), (1 - inside) * z3)
                z1 += z2
                f2, d2 = move(z2)
                left -= 1
                z3 -= z2
            found = not (f2 > f1 + z1 * rho * d1 or d2 > -sig * d1) and d2 > sig * d1
            if found or left <= 0 or f2 > f1 + z1 * rho * d1 or d2 > -sig * d1:
                break
            z2 = _extrapolate(f2, f3, d2, d3, z1, z3, limit, inside, ext)
            f3, d3, z3 = f2, d2, -z2
            z1 += z2
            f2, d2 = move(z2)
            left -= 1
        if not found:
            tensor.copy(x0, x)
            break
        f1 = f2
        fs.append(f1)
        share = (dot(df2, df2) - dot(df2, df1)) / dot(df1, df1)
        combine(s, df2, s, share, -1)
        df1, df2 = df2, df1
        d2 = dot(df1, s)
        if d2 > 0:
            scale(df1, s, -1)
            d2 = -dot(s, s)
        z1 *= min(ratio, d1 / (d2 - _TINY))
        d1 = d2
    state["df1"], state["df2"] = df1, df2
    return x, fs


def _interpolate(f1, f2, f3, d2, d3, z3):
    """The way to the minimum between points 2 and 3: of a parabola, or of a cubic."""
    if f2 > f1:
        z2 = z3 - _over(0.5 * d3 * z3 * z3, d3 * z3 + f2 - f3)
    else:
        a, b, root = _cubic(f2, f3, d2, d3, z3)
        z2 = _over(root - b, a)
    return z2 if math.isfinite(z2) else z3 / 2


def _extrapolate(f2, f3, d2, d3, z1, z3, limit, inside, ext):
    """The way onwards from point 2, away from point 3, no further than the limits allow."""
    _, b, root = _cubic(f2, f3, d2, d3, z3)
    z2 = _over(-d2 * z3 * z3, b + root)
    farthest = z1 * (ext - 1) if limit is None else (limit - z1) / 2
    if not math.isfinite(z2) or z2 < 0:
        return farthest
    if limit is not None and z1 + z2 > limit:
        return farthest
    if limit is None and z1 + z2 > z1 * ext:
        return farthest
    if z2 < -z3 * inside:
        return -z3 * inside
    if limit is not None and z2 < (limit - z1) * (1 - inside):
        return (limit - z1) * (1 - inside)
    return z2


def _cubic(f2, f3, d2, d3, z3):
    """The cubic through points 2 and 3: two coefficients and the root of its discriminant."""
    a = _over(6 * (f2 - f3), z3) + 3 * (d2 + d3)
    b = 3 * (f3 - f2) - z3 * (d3 + 2 * d2)
    square = b * b - a * d2 * z3 * z3
    return a, b, math.sqrt(square) if square >= 0 else math.nan


def _over(a, b):
    """a / b, NaN where b is 0"""
    return a / b if b != 0 else math.nan
