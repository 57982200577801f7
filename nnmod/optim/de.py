"""Differential evolution: a population that searches without gradients."""
from .. import random, tensor
from . import protocol

_OPTIONS = {
    "popsize": (None, 3, None, int),
    "scaleFactor": (0.5, 0, None),
    "crossoverRate": (0.9, 0, 1),
    "maxFEs": (None, 1, None, int),
    "minRegion": (-30.0, None, None),
    "maxRegion": (30.0, None, None),
    "generator": None,
}
_KEPT = ("funcEval", "fitness")


def de(opfunc, x, config=None, state=None):
    """Differential evolution: for each point p of a population, with others p1 and p2::

        child = best + scaleFactor * (p1 - p2)          in crossoverRate of the elements,
                                                        p in the rest
        p     = child, if its loss is not higher

    Parameters
    ----------
    opfunc : function
        ``opfunc(x)``: the loss at x, alone or in ``(f, dfdx)``; the gradient is not used.
    x : tensor
        Tells how many parameters there are; where it stands plays no part.  It holds each
        point while opfunc is called, and the best in the end.
    config, state : dict
        Options, and what is told of the last call; without a state, config keeps it.

    =============  ===============  ==================================================
    option         default          meaning
    =============  ===============  ==================================================
    popsize        10 * P           >= 3: points in the population
    scaleFactor    0.5              >= 0, usually 0.4 .. 1
    crossoverRate  0.9              0 .. 1
    maxFEs         100 * popsize    >= 1: no further generation after so many losses
    minRegion      -30              the first population is uniform in minRegion ..
    maxRegion      30               maxRegion, in each element
    generator      None             where random numbers come from: nnmod.random, or an
                                    nnmod.TorchGenerator (Torch's de has one with seed 1)
    =============  ===============  ==================================================

    State: ``funcEval``, the losses so far, and ``fitness``, the loss of each point of the
    last population.  Every call begins with a new population.

    Shapes
    ------
    x  (P,), float32 or float64

    Returns ``(x, fs)``, the best point and all losses in the order of evaluation.  As in
    Torch, ``best`` is at first the **worst** point of the first population, which keeps
    it from closing in too early, and then the best child accepted; and one point in P
    (its number drawn for each child) takes all elements of its child from the mutant.

    >>> import numpy as np, nnmod
    >>> config = {"generator": nnmod.TorchGenerator(1), "popsize": 20, "maxFEs": 2000}
    >>> x, fs = de(lambda x: float(np.sum((x - 3)**2)), np.zeros(2), config)
    >>> x.round(3)
    array([3., 3.])

    Raises ValueError for an unknown option or a wrong value, TypeError for a wrong x or
    loss; x is then as it was, and so it is where opfunc raises.

    Source: Torch7's optim.de.  Storn and Price, "Differential evolution" (1997).
    """
    (popsize, scaleFactor, crossoverRate, maxFEs, minRegion, maxRegion,
     generator), state = protocol.read("de", config, state, _OPTIONS, _KEPT)
    if minRegion > maxRegion:
        raise ValueError(f"minRegion must not be above maxRegion, got {minRegion} and {maxRegion}")
    protocol.vector("x", x)
    generator = random if generator is None else generator
    popsize = max(10 * x.size, 3) if popsize is None else popsize
    maxFEs = 100 * popsize if maxFEs is None else maxFEs

    # Points are bred on the host, wherever x is.
    population = tensor.empty((popsize, x.size), x.dtype)
    children = tensor.empty((popsize, x.size), x.dtype)
    chances = tensor.empty(x.shape, "float64")
    start, fs = x.copy(), []

    def losses(points):
        found = []
        for point in points:
            tensor.copy(point, x)
            found.append(protocol.loss(opfunc, x))
        fs.extend(found)
        state["funcEval"] = state.get("funcEval", 0) + len(found)
        return found

    try:
        generator.uniform(population, minRegion, maxRegion)
        fitness = losses(population)
        best_loss = max(fitness)
        best = population[fitness.index(best_loss)].copy()
        # Torch counts from 1, so a generation begins as long as one loss is left after these.
        while len(fs) + 1 < maxFEs:
            for index, child in enumerate(children):
                first = _other(generator, popsize, index)
                second = _other(generator, popsize, index, first)
                whole = generator.integer(x.size) == index
                generator.uniform(chances)
                crossed = True if whole else chances < crossoverRate
                tensor.copy(population[index], child)
                child[crossed] = (best + scaleFactor * (population[first] - population[second]))[crossed]
            for index, loss in enumerate(losses(children)):
                if loss <= fitness[index]:
                    population[index], fitness[index] = children[index], loss
                    if loss < best_loss:
                        best_loss = loss
                        tensor.copy(children[index], best)
    except BaseException:
        tensor.copy(start, x)
        raise
    state["fitness"] = fitness
    # A point of the first population that no child beat is better than the best child.
    if min(fitness) < best_loss:
        tensor.copy(population[fitness.index(min(fitness))], best)
    tensor.copy(best, x)
    return x, fs


def _other(generator, count, *taken):
    """The number of a point that is not among those taken."""
    while True:
        drawn = generator.integer(count)
        if drawn not in taken:
            return drawn
