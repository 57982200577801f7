"""A line search for a step that satisfies the strong Wolfe conditions."""
from .. import check, tensor
from . import protocol
from .polyinterp import polyinterp
from .vectors import add_scaled, dot

_OPTIONS = {
    "c1": (1e-4, 0, 1),
    "c2": (0.9, 0, 1),
    "tolX": (1e-9, 0, None),
    "maxIter": (20, 1, None, int),
}


class _Point:
    """A step t that was tried: the loss there, its gradient, and the slope along d."""

    def __init__(self, t, f, g, slope):
        self.t, self.f, self.g, self.slope = t, f, g, slope

    def row(self):
        return self.t, self.f, self.slope


def lswolfe(opfunc, x, t, d, f, g, gtd, options=None, state=None):
    """Move x to ``x + t * d`` with a t that satisfies the strong Wolfe conditions::

        f(x + t d) <= f + c1 * t * gtd          the loss falls enough
        |gtd(x + t d)| <= c2 * |gtd|            and has nearly stopped falling

    Parameters
    ----------
    opfunc : function
        ``opfunc(x) -> (f, dfdx)``.
    x : tensor
        Where the search begins; changed in place.
    t : float
        The first step to try, > 0.
    d : tensor
        The direction, like x.
    f, g, gtd : float, tensor, float
        The loss and the gradient at x, and the slope ``g . d``, < 0.
    options : dict
        See below.
    state : dict
        Keeps the scratch tensors from one search to the next; without it they are made anew.

    =======  =========  =============================================================
    option   default    meaning
    =======  =========  =============================================================
    c1       1e-4       0 .. 1: the share of the promised decrease that is enough
    c2       0.9        0 .. 1: the share of the slope that may be left
    tolX     1e-9       >= 0: stop when the bracket promises less change than that
    maxIter  20         >= 1: the number of trials after the first
    =======  =========  =============================================================

    Shapes
    ------
    x, d, g  any, such as (P,); float32 or float64

    Returns ``(f, g, x, t, evaluations)``: the loss and the gradient at the new x, the x
    itself, the step and how often opfunc was called.  The step is the best that was tried
    where the search ends early.

    Steps grow (by cubic extrapolation, tenfold at most) until two of them bracket a
    minimum; then cubic interpolation narrows the bracket.

    Raises ValueError for an unknown option or a wrong value, ShapeError or TypeError for
    a wrong tensor or gradient; x is then as it was, and so it is where opfunc raises.

    Source: Torch7's optim.lswolfe, after Schmidt's minFunc.  Nocedal and Wright,
    "Numerical optimization" (2006), algorithms 3.5 and 3.6.

    >>> import numpy as np
    >>> square = lambda x: (float(x @ x), 2 * x)
    >>> x, g = np.array([4.0]), np.array([8.0])
    >>> f, g, x, t, evaluations = lswolfe(square, x, 0.01, -g, 16.0, g, -64.0)
    >>> x.round(4), round(float(t), 4), evaluations  # 0.01 is too short, 0.1 will do
    (array([3.2]), 0.1, 2)
    """
    (c1, c2, tolX, maxIter), _ = protocol.read("lswolfe", options, {}, _OPTIONS, ())
    protocol.floats("x", x)
    protocol.like_x("d", d, x)
    protocol.like_x("g", g, x)
    check.number(t=t, gtd=gtd)
    state = {} if state is None else state
    origin = protocol.memory(state, "origin", x)
    tensor.copy(x, origin)
    # At most four points are alive at once: the start, two that bracket, and the new one.
    spare = [protocol.memory(state, f"gradient{k}", x) for k in range(4)]
    evaluations = 0

    def move(t):
        add_scaled(d, origin, x, t)

    def evaluate(t):
        nonlocal evaluations
        move(t)
        try:
            loss, gradient = protocol.evaluate(opfunc, x)
        except BaseException:
            tensor.copy(origin, x)
            raise
        evaluations += 1
        # opfunc may return the same tensor every time.
        kept = spare.pop()
        tensor.copy(gradient, kept)
        return _Point(t, loss, kept, dot(kept, d))

    start = _Point(0.0, f, spare.pop(), gtd)
    tensor.copy(g, start.g)
    before, new = start, evaluate(t)
    done, tries, bracket = False, 0, None
    while tries < maxIter:
        if new.f > f + c1 * new.t * gtd or (tries > 1 and new.f >= before.f):
            bracket = [before, new]
        elif abs(new.slope) <= -c2 * gtd:
            bracket, done = [new], True
        elif new.slope >= 0:
            bracket = [before, new]
        if bracket:
            break
        t = polyinterp([before.row(), new.row()], new.t + 0.01 * (new.t - before.t), new.t * 10)
        if before is not start:
            spare.append(before.g)
        before, new = new, evaluate(t)
        tries += 1
    if tries == maxIter:
        bracket = [start, new]

    stalled = False
    while not done and tries < maxIter:
        low = min(bracket, key=lambda point: point.f)
        high = bracket[1] if low is bracket[0] else bracket[0]
        t, stalled = _inside(bracket, stalled)
        new = evaluate(t)
        tries += 1
        if new.f > f + c1 * t * gtd or new.f >= low.f:
            dropped = high
        else:
            dropped = low
            if abs(new.slope) <= -c2 * gtd:
                done = True
            elif new.slope * (high.t - low.t) >= 0:
                # The minimum lies between the new point and the lowest so far.
                dropped = high
        if dropped is not start:
            spare.append(dropped.g)
        bracket[bracket.index(dropped)] = new
        if not done and abs((bracket[0].t - bracket[1].t) * new.slope) < tolX:
            break

    best = min(bracket, key=lambda point: point.f)
    move(best.t)
    return best.f, best.g, x, best.t, evaluations


def _inside(bracket, stalled):
    """The next step to try within the bracket, and whether the last two stayed at its edge."""
    t = polyinterp([point.row() for point in bracket])
    left, right = sorted(point.t for point in bracket)
    width = right - left
    if not min(right - t, t - left) < 0.1 * width:
        return t, False
    if not (stalled or t >= right or t <= left):
        return t, True
    return (right - 0.1 * width if abs(t - right) < abs(t - left) else left + 0.1 * width), False
