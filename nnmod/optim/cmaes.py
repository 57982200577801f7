"""CMA-ES: a cloud of points whose shape learns the shape of the loss, without gradients."""
import math

import numpy as np

from .. import random, tensor
from . import protocol

_OPTIONS = {
    "sigma": (0.5, math.ulp(0), None),
    "maxEval": (None, 1, None),
    "ftarget": (None, None, None),
    "popsize": (None, 4, None, int),
    "min_iterations": (1, 0, None, int),
    "verb_disp": (0, 0, None, int),
    "generator": None,
}
_KEPT = ("funcEval", "stopped")


def cmaes(opfunc, x, config=None, state=None):
    """Draw ``popsize`` points from ``N(mean, sigma^2 C)``, move mean to the better half, repeat.

    C, a matrix of all pairs of parameters, learns which directions paid, and sigma how
    far to go: for some dozens of parameters, not for a network.

    Parameters
    ----------
    opfunc : function
        ``opfunc(x)``: the loss at x, alone or in ``(f, dfdx)``; the gradient is not used.
    x : tensor
        The first mean.  It holds each point while opfunc is called, and the best in the end.
    config, state : dict
        Options, and what is told of the last call; without a state, config keeps it.

    ==============  ======================  ==========================================
    option          default                 meaning
    ==============  ======================  ==========================================
    sigma           0.5                     > 0: the first deviation in each direction
    maxEval         1000 * P**2             >= 1: no further generation after so many losses
    ftarget         None                    stop when a loss is not above it
    popsize         4 + floor(3 * log(P))   >= 4: points in a generation
    min_iterations  1                       >= 0: generations that are made in any case
    verb_disp       0                       print the state every so many generations; 0: never
    generator       None                    where random numbers come from: nnmod.random, or
                                            an nnmod.TorchGenerator for Torch's path
    ==============  ======================  ==========================================

    It stops, too, where sigma or the spread of the losses has become nothing, or the
    longest axis of the cloud is 1e7 times the shortest.

    State: ``funcEval``, the losses so far, and ``stopped``, the reasons in words.  Every
    call begins anew.

    Shapes
    ------
    x  (P,), float32 or float64; C (P, P), float64

    Returns ``(x, fs)``, the best point; the loss at the first x, the lowest of each
    generation, and the lowest of all.

    >>> import numpy as np, nnmod
    >>> config = {"generator": nnmod.TorchGenerator(1), "maxEval": 1000}
    >>> x, fs = cmaes(lambda x: float(np.sum((x - 3)**2)), np.zeros(2), config)
    >>> x.round(3)
    array([3., 3.])

    Raises ValueError for an unknown option or a wrong value, TypeError for a wrong x or
    loss; x is then as it was, and so it is where opfunc raises.

    Source: Torch7's optim.cmaes, after Hansen's barecmaes2.  Hansen and Ostermeier,
    "Completely derandomized self-adaptation in evolution strategies" (2001).
    """
    (sigma, maxEval, ftarget, popsize, min_iterations, verb_disp,
     generator), state = protocol.read("cmaes", config, state, _OPTIONS, _KEPT)
    protocol.vector("x", x)
    if not x.size:
        raise ValueError("x must have one parameter at least, got none")
    generator = random if generator is None else generator
    popsize = 4 + math.floor(3 * math.log(x.size)) if popsize is None else popsize
    maxEval = 1e3 * x.size**2 if maxEval is None else maxEval
    cloud = _Cloud(tensor.host(x).astype(np.float64), sigma, popsize)
    start, best, count, stopped = x.copy(), (math.inf, x.copy()), 0, []

    def loss(point):
        tensor.copy(point, x)
        state["funcEval"] = state.get("funcEval", 0) + 1
        return protocol.loss(opfunc, x)

    try:
        fs = [loss(start)]
        generation = 0
        while not stopped or generation < min_iterations:
            generation += 1
            points = cloud.ask(generator)
            losses = np.array([loss(point) for point in points])
            order = losses.argsort(kind="stable")
            points, losses = points[order], losses[order]
            cloud.tell(points)
            count += popsize
            fs.append(float(losses[0]))
            if losses[0] < best[0]:
                best = fs[-1], points[0].copy()
            if verb_disp and (generation <= 2 or generation % verb_disp == 0):
                print(f"{count}: axes {cloud.ratio():.1f}, deviation {cloud.deviation():.1e}, loss {fs[-1]}")
            stopped = cloud.exhausted()
            if count >= maxEval:
                stopped.append(f"{count} losses of {maxEval:g}")
            if ftarget is not None and losses[0] <= ftarget:
                stopped.append(f"a loss of {fs[-1]:g}, the target is {ftarget:g}")
            if losses[-1] - losses[0] < 1e-12:
                stopped.append("the losses of a generation are the same")
    except BaseException:
        tensor.copy(start, x)
        raise
    state["stopped"] = stopped
    tensor.copy(best[1], x)
    fs.append(best[0])
    return x, fs


class _Cloud:
    """The distribution N(mean, sigma^2 C), and how it learns."""

    def __init__(self, mean, sigma, popsize):
        size = mean.size
        self.mean, self.sigma, self.popsize = mean, sigma, popsize
        # The better half takes part, the best most of all.
        half = popsize / 2
        weights = math.log(half + 0.5) - np.log(np.arange(1, int(half) + 1))
        self.weights = weights / weights.sum()
        self.effective = mu = self.weights.sum() ** 2 / (self.weights**2).sum()
        # Hansen's constants: how fast the two paths, C and sigma change.
        self.cc = (4 + mu / size) / (size + 4 + 2 * mu / size)
        self.cs = (mu + 2) / (size + mu + 5)
        self.c1 = 2 / ((size + 1.3) ** 2 + mu)
        self.cmu = min(1 - self.c1, 2 * (mu - 2 + 1 / mu) / ((size + 2) ** 2 + mu))
        self.damping = 2 * mu / popsize + 0.3 + self.cs
        self.path, self.sigma_path = np.zeros(size), np.zeros(size)
        self.C, self.axes, self.lengths, self.whiten = np.eye(size), np.eye(size), np.ones(size), np.eye(size)
        self.count = self.decomposed = 0

    def ask(self, generator):
        """The points of a generation, (popsize, P)."""
        size = self.mean.size
        # Not every time: so a generation costs P^2 for each point on average.
        if self.count - self.decomposed > self.popsize / (self.c1 + self.cmu) / size / 10:
            self.decomposed = self.count
            self.C = np.triu(self.C) + np.triu(self.C, 1).T
            squares, self.axes = np.linalg.eigh(self.C, UPLO="U")
            self.lengths = np.sqrt(squares)
            self.whiten = (self.axes / self.lengths) @ self.axes.T
        draws = np.empty((self.popsize, size))
        for draw in draws:  # one point after another, as Torch draws
            generator.normal(draw)
        return self.mean + (draws * self.lengths) @ self.axes.T * self.sigma

    def tell(self, points):
        """Learn from the points of a generation, the best first."""
        size, mu = self.mean.size, self.effective
        self.count += self.popsize
        points = points[:len(self.weights)]
        before, self.mean = self.mean, self.weights @ points
        way = (self.mean - before) / self.sigma
        self.sigma_path = (1 - self.cs) * self.sigma_path + (
            math.sqrt(self.cs * (2 - self.cs) * mu) * (self.whiten @ way))
        length = self.sigma_path @ self.sigma_path
        # C's path stands still while sigma's is so long that sigma must grow first.
        usual = length / (1 - (1 - self.cs) ** (2 * self.count / self.popsize)) / size < 2 + 4 / (size + 1)
        self.path = (1 - self.cc) * self.path + usual * math.sqrt(self.cc * (2 - self.cc) * mu) * way
        fade = self.c1 - (1 - usual) * self.c1 * self.cc * (2 - self.cc) + self.cmu
        steps = (points - before) / self.sigma
        self.C = ((1 - fade) * self.C + self.c1 * np.outer(self.path, self.path)
                  + self.cmu * (steps.T * self.weights) @ steps)
        self.sigma *= math.exp(min(0.6, self.cs / self.damping * (length / size - 1) / 2))

    def ratio(self):
        """The longest axis in units of the shortest."""
        return self.lengths.max() / self.lengths.min()

    def deviation(self):
        """The largest standard deviation of an element."""
        return self.sigma * math.sqrt(self.C.diagonal().max())

    def exhausted(self):
        """Why nothing more can come of it, in words."""
        reasons = []
        if self.lengths.max() > 1e7 * self.lengths.min():
            reasons.append("the longest axis is 1e7 times the shortest")
        if self.sigma * self.lengths.max() < 1e-11:
            reasons.append("the points of a generation are the same")
        return reasons
