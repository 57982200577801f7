"""L-BFGS: Newton's method with a curvature learned from the last steps."""
from .. import tensor
from . import protocol
from .vectors import add_scaled, combine, dot, scale, sum_abs

_OPTIONS = {
    "maxIter": (20, 1, None, int),
    "maxEval": (None, 1, None),
    "tolFun": (1e-5, 0, None),
    "tolX": (1e-9, 0, None),
    "nCorrection": (100, 1, None, int),
    "learningRate": (1.0, 0, None),
    "lineSearch": None,
    "lineSearchOptions": None,
    "verbose": False,
}
_KEPT = ("funcEval", "nIter", "d", "t", "old_dirs", "old_stps", "ro", "Hdiag", "g_old", "f_old", "search",
         "spare_s", "spare_y", "tmp1", "al", "dir_bufs", "stp_bufs")


def lbfgs(opfunc, x, config=None, state=None):
    """Up to maxIter steps ``x += t * d``, where d is ``-H . dfdx``.

    H stands for the inverse of the matrix of second derivatives.  It is never written
    down: each step s with its change y of the gradient teaches it ``H . y = s``, and the
    last nCorrection pairs are kept.

    Parameters
    ----------
    opfunc : function
        ``opfunc(x) -> (f, dfdx)``: the loss at x and its gradient, which is like x
        and is left as it is.
    x : tensor
        The parameters; changed in place.
    config, state : dict
        Options, and what is kept between calls; without a state, config keeps it.

    =================  ==============  ================================================
    option             default         meaning
    =================  ==============  ================================================
    maxIter            20              >= 1: steps in one call
    maxEval            1.25 * maxIter  >= 1: no further step after so many losses in one call
    tolFun             1e-5            >= 0: stop when the sum of ``|dfdx|`` is not above it
    tolX               1e-9            >= 0: stop when the sum of ``|t d|``, or the change of
                                       the loss, is not above it
    nCorrection        100             >= 1: how many pairs are kept, two vectors each
    learningRate       1               >= 0: the step t, or the one a line search tries
                                       first; the very first step is shorter,
                                       learningRate * min(1, 1 / sum of abs(dfdx))
    lineSearch         None            a function such as optim.lswolfe
    lineSearchOptions  None            a dict: its options
    verbose            False           print why it stopped
    =================  ==============  ================================================

    A line search is called as ``lineSearch(opfunc, x, t, d, f, g, gtd, options, state)``,
    changes x, and returns ``(f, g, x, t, evaluations)``; see optim.lswolfe.

    State: ``funcEval`` and ``nIter``, the losses and steps so far; the last ``d``, ``t``,
    ``g_old`` and ``f_old``; the pairs ``old_dirs`` (s) and ``old_stps`` (y) with their
    ``ro``, 1 / (s . y), and ``Hdiag``, the H to begin with; ``search``, what the line
    search keeps; ``spare_s`` and ``spare_y``, room for the next pair.  The next call goes
    on from there.

    Shapes
    ------
    x, dfdx, d, g_old  any, such as (P,); float32 or float64

    Returns ``(x, fs)``: fs begins with the loss before the first step and has one loss
    for each step, except that the maxIter-th step without a line search is not followed
    by another evaluation.  Raises ValueError for an unknown option or a wrong value,
    ShapeError or TypeError for a wrong x or gradient; x is then as the last step left it.

    >>> import numpy as np
    >>> x = np.array([4.0, -2.0])
    >>> x, fs = lbfgs(lambda x: (float(x @ x), 2 * x), x, {"learningRate": 0.5, "maxIter": 50})
    >>> bool(abs(x).max() < 1e-4)
    True

    Source: Torch7's optim.lbfgs, after Schmidt's minFunc.  Nocedal, "Updating
    quasi-Newton matrices with limited storage" (1980).
    """
    (maxIter, maxEval, tolFun, tolX, nCorrection, learningRate, lineSearch,
     searchOptions, verbose), state = protocol.read("lbfgs", config, state, _OPTIONS, _KEPT)
    maxEval = 1.25 * maxIter if maxEval is None else maxEval
    if lineSearch is not None and not callable(lineSearch):
        raise TypeError("lineSearch must be a function such as optim.lswolfe, "
                        f"got {tensor.describe(lineSearch)}")
    if searchOptions is not None and lineSearch is None:
        raise ValueError("lineSearchOptions need a lineSearch, such as optim.lswolfe")
    protocol.floats("x", x)
    _check(state, x)

    f, g = protocol.evaluate(opfunc, x)
    fs, evaluations = [f], 1
    state["funcEval"] = state.get("funcEval", 0) + 1
    total = sum_abs(g)
    if total <= tolFun:
        _say(verbose, "the gradient is below tolFun")
        return x, fs

    for step in range(1, maxIter + 1):
        first = state.get("nIter", 0) == 0
        d, g_old = protocol.memory(state, "d", x), protocol.memory(state, "g_old", x)
        if first:
            state.update(old_dirs=[], old_stps=[], ro=[], Hdiag=1.0)
            scale(g, d, -1)
        else:
            _learn(state, x, g, nCorrection)
            _direction(state, g, d)
        tensor.copy(g, g_old)
        state["nIter"] = state.get("nIter", 0) + 1
        state["f_old"] = f_old = f
        slope = dot(g, d)
        if slope > -tolX:
            _say(verbose, "no progress can be made along the direction")
            break
        t = learningRate * (min(1, 1 / total) if first else 1)

        tried = 0
        if lineSearch is not None:
            state["t"] = 0.0  # no step is learned from if the search raises
            f, g, _, t, tried = lineSearch(opfunc, x, t, d, f, g, slope, searchOptions,
                                           state.setdefault("search", {}))
            state["t"] = t
            fs.append(f)
        else:
            state["t"] = t
            add_scaled(d, x, x, t)
            if step < maxIter:  # the next call begins with this loss
                f, g = protocol.evaluate(opfunc, x)
                tried = 1
                fs.append(f)
        evaluations += tried
        state["funcEval"] += tried

        reason = None
        if step == maxIter:
            reason = "maxIter steps are done"
        elif evaluations >= maxEval:
            reason = "maxEval losses were computed"
        else:
            total = sum_abs(g)
            if total <= tolFun:
                reason = "the gradient is below tolFun"
            elif abs(t) * sum_abs(d) <= tolX:
                reason = "the step is below tolX"
            elif abs(f - f_old) < tolX:
                reason = "the loss changes by less than tolX"
        if reason:
            _say(verbose, reason)
            break
    return x, fs


def _say(verbose, reason):
    if verbose:
        print(f"<optim.lbfgs> {reason}")


def _learn(state, x, g, most):
    """Keep the last step and its change of the gradient, if the curvature along it is positive."""
    dirs, stps, ro = state["old_dirs"], state["old_stps"], state["ro"]
    # The pair goes where the oldest is, or where the last refused one was.
    full = len(dirs) >= most
    if full:
        del dirs[:len(dirs) - most], stps[:len(stps) - most], ro[:len(ro) - most]
    s, y = protocol.memory(state, "spare_s", x), protocol.memory(state, "spare_y", x)
    combine(g, state["g_old"], y, 1, -1)
    scale(state["d"], s, state["t"])
    curvature = dot(y, s)
    if not curvature > 1e-10:
        return
    state["Hdiag"] = curvature / dot(y, y)
    for kept, new in ((dirs, s), (stps, y)):
        kept.append(new)
    ro.append(1 / curvature)
    if full:
        state["spare_s"], state["spare_y"] = dirs.pop(0), stps.pop(0)
        ro.pop(0)
    else:
        del state["spare_s"], state["spare_y"]


def _direction(state, g, d):
    """d <- -H g, by the two loops over the pairs, newest to oldest and back."""
    pairs = list(zip(state["old_dirs"], state["old_stps"], state["ro"]))
    scale(g, d, -1)
    shares = []
    for s, y, ro in reversed(pairs):
        share = ro * dot(s, d)
        add_scaled(y, d, d, -share)
        shares.append(share)
    scale(d, d, state["Hdiag"])
    for (s, y, ro), share in zip(pairs, reversed(shares)):
        add_scaled(s, d, d, share - ro * dot(y, d))


def _check(state, x):
    """Check that the pairs in *state* are like x before one of them is used."""
    for name in ("old_dirs", "old_stps"):
        for index, kept in enumerate(state.get(name, ())):
            protocol.like_x(f"state[{name!r}][{index}]", kept, x)
