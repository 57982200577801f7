"""FISTA: gradient steps on a smooth loss, each followed by the answer to a simple one."""
import math

import numpy as np

from .. import check, tensor
from . import protocol
from .vectors import add_scaled, combine, dot

_OPTIONS = {
    "L": (0.1, math.ulp(0), None),
    "Lstep": (1.5, math.nextafter(1, 2), None),
    "maxiter": (50, 1, None, int),
    "maxline": (20, 0, None, int),
    "errthres": (1e-4, 0, None),
    "doFistaUpdate": True,
}
_KEPT = ("xk", "xkm", "y", "ply")


def FistaLS(f, g, pl, xinit, params=None):
    """Minimise f + g, with f smooth and g simple, such as ``lambda * sum |x|``::

        x  = pl(y - grad f(y) / L)                      L grows until f(x) is below its bound
        t' = (1 + sqrt(1 + 4 t * t)) / 2                t is 1 at first
        y  = x + (t - 1) / t' * (x - last x)

    Parameters
    ----------
    f : function
        The smooth part: ``f(x)`` is its value, ``f(x, "dx")`` its value and its gradient.
    g : function
        The other part: ``g(x)`` is its value.
    pl : function
        ``pl(x, L)`` changes x in place into the z that minimises ``g(z) + L/2 |z - x|^2``:
        for lambda times ``sum |z|``, into x moved by lambda / L towards 0, and not beyond.
    xinit : tensor
        Where to begin; changed in place.
    params : dict
        Options, and what is kept.

    =============  =========  =======================================================
    option         default    meaning
    =============  =========  =======================================================
    L              0.1        > 0: 1 / the first step
    Lstep          1.5        > 1: what L grows by when a step was too long
    maxiter        50         >= 1: steps
    maxline        20         >= 0: how often L grows for one step; after that x stays
    errthres       1e-4       >= 0: stop when f + g changes by no more
    doFistaUpdate  True       False: y = x, the plain method (ISTA)
    =============  =========  =======================================================

    ``params["L"]`` holds the last L in the end, and ``xk``, ``xkm``, ``y`` and ``ply`` are
    scratch: the next call with these params begins with that L and allocates nothing.

    Shapes
    ------
    xinit, gradients of f  any, float32 or float64

    Returns ``(x, history)``: xinit, which holds the last **y**, as in Torch, and for each
    step a dict of ``F``, ``Fply`` and ``Gply`` (f + g, f and g at y), ``L``, ``nline`` (how
    often f was tried) and ``Q`` (the bound).  Raises ValueError for an unknown option or a
    wrong value, ShapeError or TypeError for a wrong tensor; xinit is then as it was, and
    so it is where f, g or pl raises.

    >>> import numpy as np
    >>> def f(x, mode=None):
    ...     d = x - np.array([3.0, 0.1])
    ...     return (float(d @ d) / 2, d) if mode == "dx" else float(d @ d) / 2
    >>> def pl(x, L):
    ...     x[:] = np.sign(x) * np.maximum(abs(x) - 1 / L, 0)
    >>> x, history = FistaLS(f, lambda x: float(abs(x).sum()), pl, np.zeros(2), {"errthres": 1e-12})
    >>> x.round(4)
    array([2., 0.])

    Source: Torch7's optim.FistaLS.  Beck and Teboulle, "A fast iterative
    shrinkage-thresholding algorithm for linear inverse problems" (2009).
    """
    params = {} if params is None else params
    (L, Lstep, maxiter, maxline, errthres,
     doFistaUpdate), _ = protocol.read("FistaLS", params, None, _OPTIONS, _KEPT)
    check.floating("xinit", xinit)
    if not tensor.is_dense(xinit):
        raise ValueError("xinit must be C-contiguous and writable: it is changed in place; "
                         "copy it first with .copy()")
    xk, last, y, ply = [protocol.memory(params, name, xinit) for name in _KEPT]
    for begin in (last, y):
        tensor.copy(xinit, begin)

    # Near the minimum rounding would decide about the bound, and L would grow without end.
    rounding = 4 * float(np.finfo(xinit.dtype).eps)
    t, history = 1.0, []
    while len(history) < maxiter:
        fy, slope = protocol.evaluate(lambda y: f(y, "dx"), y)
        tries = 0
        while True:
            add_scaled(slope, y, ply, -1 / L)
            answer = pl(ply, L)
            if answer is not None and answer is not ply:
                raise TypeError("pl must change its first argument in place, "
                                f"got {tensor.describe(answer)} back")
            tensor.copy(ply, xk)
            value = f(ply)
            combine(ply, y, ply, 1, -1)
            bound = fy + dot(slope, ply) + L / 2 * dot(ply, ply)
            tries += 1
            if value <= bound + rounding * abs(fy):
                break
            if tries > maxline:
                tensor.copy(last, xk)
                break
            L *= Lstep
        if doFistaUpdate:
            following = (1 + math.sqrt(1 + 4 * t * t)) / 2
            ahead = (t - 1) / following
            combine(xk, last, y, 1 + ahead, -ahead)
            t = following
        else:
            tensor.copy(xk, y)
        tensor.copy(xk, last)
        fply, gply = f(y), g(y)
        params["L"] = L
        history.append({"F": fply + gply, "Fply": fply, "Gply": gply, "L": L, "nline": tries, "Q": bound})
        if len(history) > 1 and abs(history[-1]["F"] - history[-2]["F"]) <= errthres:
            break
    tensor.copy(y, xinit)
    return xinit, history
