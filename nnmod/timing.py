"""How long each layer of a network takes, forward and backward.

>>> import numpy as np
>>> from nnmod import Linear, Sequential, Tanh
>>> times = time_layers(Sequential(Linear(30, 40), Tanh()), np.zeros((8, 30), np.float32), repeats=3)
>>> [row.path for row in times.rows], times.forward > 0
(['0', '1'], True)
"""
import statistics
import time
from dataclasses import dataclass

import numpy as np

from . import check, nested, summary, tensor


@dataclass
class LayerTime:
    """The times of one layer, in seconds: medians over the passes.

    ``forward`` and ``backward`` are sums over all its calls in one pass of the network, a
    container's without those of its children;
    ``multiplyAdds`` is that of :class:`nnmod.summary.Layer`.  ``forwardRate`` and
    ``backwardRate`` are in FLOPs a second, a multiply-add being two; None where the
    arithmetic is not a sum of products.
    """

    path: str
    module: object
    forward: float
    backward: float
    multiplyAdds: int | None = None
    gradients: int = 2

    @property
    def forwardRate(self):
        """FLOPs a second of the forward."""
        return 2 * self.multiplyAdds / self.forward if self.multiplyAdds and self.forward else None

    @property
    def backwardRate(self):
        """FLOPs a second of the backward: as many for each gradient as the forward has."""
        if not (self.multiplyAdds and self.backward):
            return None
        return self.gradients * 2 * self.multiplyAdds / self.backward


class Times:
    """What :func:`time_layers` measured.

    Attributes
    ----------
    rows : list of LayerTime
        The layers, in the order of the network: modules without children, and containers that
        do the work of theirs.
    containers : list of LayerTime
        All other containers: what they add to their children.
    forward, backward : float
        Of a pass of the whole network that nothing watches, in seconds.
    summary : nnmod.summary.Summary
        Shapes, parameters and arithmetic of the same network.
    repeats : int
        How many passes the medians are of.
    """

    def __init__(self, rows, containers, forward, backward, found, repeats):
        self.rows, self.containers, self.forward, self.backward = rows, containers, forward, backward
        self.summary, self.repeats = found, repeats


def time_layers(net, input, repeats=None, seconds=2.0):
    """Time every layer of a clone of *net*: a :class:`Times`.

    Parameters
    ----------
    net : Module
        It is left as it is; the clone runs in the same mode, training or evaluation.
    input : tensor or table
        What every pass gets; gradOutput is random.
    repeats : int or None
        How many passes are measured; None for as many as fit into *seconds*, at least 5
        and at most 100.
    seconds : float
        About how long to measure; compiling and a warm-up come before it.

    Passes that are watched, layer by layer, and passes that are not take turns.
    """
    if repeats is not None:
        check.positive(repeats=repeats)
    check.number(low=0, seconds=seconds)
    if net.type().startswith("cuda."):
        raise TypeError("layers are timed on the CPU, net.cpu(): the device works on while Python goes ahead, so "
                        "its clock would be another")
    net = net.clone()
    found = summary.summarize(net, input)
    rng = np.random.default_rng(1)
    gradOutput = nested.map(
        lambda y: rng.standard_normal(y.shape).astype(y.dtype)
        if tensor.is_tensor(y) and y.dtype.kind == "f" else None, net.output)
    rows = {layer.path: LayerTime(layer.path, layer.module, 0.0, 0.0, layer.multiplyAdds,
                                  _gradients(layer.module))
            for layer in found.layers}
    spent = {path: {"forward": [], "backward": []} for path in rows}

    def note(path, module, method, given, elapsed):
        if path in spent:
            spent[path][method][-1] += elapsed

    def step():
        net.zeroGradParameters()
        given = nested.map(np.copy, input) if changed else input
        began = time.perf_counter()
        net.forward(given)
        middle = time.perf_counter()
        net.backward(given, nested.map(lambda g: None if g is None else g.copy(), gradOutput) if changed
                     else gradOutput)
        return middle - began, time.perf_counter() - middle

    changed = any(module.inplace for module in net.listModules())
    step()  # compiles, and provides the buffers
    first = sum(step())
    if repeats is None:
        repeats = int(min(100, max(5, seconds / (2 * max(first, 1e-6)))))
    whole = []
    for _ in range(repeats):
        whole.append(step())
        for times in spent.values():
            for values in times.values():
                values.append(0.0)
        with summary.Watch(net, note):
            step()
    for path, row in rows.items():
        row.forward = statistics.median(spent[path]["forward"])
        row.backward = statistics.median(spent[path]["backward"])
    forward, backward = (statistics.median(values) for values in zip(*whole))
    layers, containers = _sorted(rows)
    return Times(layers, containers, forward, backward, found, repeats)


def _sorted(rows):
    """The rows of layers, and those of containers that only hand on."""
    ran = [path for path, row in rows.items() if row.forward and not row.module.modules]
    # A container none of whose children was called has done their work itself.
    doers = [path for path, row in rows.items() if row.module.modules and row.forward
             and not any(other.forward and summary.is_below(other.path, path) for other in rows.values())]
    layers, containers = [], []
    for path, row in rows.items():
        if row.module.modules:
            (layers if path in doers else containers).append(row)
        elif path in ran or not any(summary.is_below(path, doer) for doer in doers):
            layers.append(row)
    return layers, containers


def _gradients(module):
    """How many products of the forward's size the backward has: by the input, and by the weights."""
    learns = any(getattr(module, name, None) is not None for name in module.paramNames)
    return bool(module.needsGradInput) + learns
