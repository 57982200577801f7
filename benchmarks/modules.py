"""How fast is each module beside the same in torch, at a small, a medium and a large size?

Forward and backward with all gradients, float32.  The classes and sizes are those of
tests/torch_twins.py, whose test compares the numbers.  What comes out close is measured
again, longer.
"""
import inspect
import pathlib
import sys

import numpy as np

import nnmod
from nnmod import nested

from .harness import Row, find_torch, measure, threads

TITLE = "Modules"
SIZES = "small", "medium", "large"
#: A ratio torch / nnmod below this may be an accident of the moment.
_CLOSE = 1.15
_TESTS = str(pathlib.Path(__file__).parents[1] / "tests")


def rows(run):
    """A line for each class that torch has too, size and number of threads; nothing where torch is not installed."""
    torch = find_torch()
    if not torch:
        return
    if _TESTS not in sys.path:
        sys.path.insert(0, _TESTS)
    from torch_twins import TWINS
    for twin in TWINS:
        for size, draw in zip(SIZES, twin.sizes):
            name = f"{twin.id}, {size}"
            if run.wants(name) and not (run.quick and size != "medium") and not (run.tiny and size != "small"):
                for count in run.threads:
                    with threads(count):
                        tasks = _tasks(torch, twin, draw)
                        times = measure(tasks, run.seconds / 10, count, least=1 if run.tiny else 3)
                        if times["torch"] < _CLOSE * times["nnmod"] and not run.tiny:
                            times = measure(tasks, run.seconds / 3, count, least=7)
                    yield Row(name, times.pop("nnmod"), times, count, goal=1.0)


def _tasks(torch, twin, draw):
    drawn = draw(np.random.default_rng(0))
    module, input, target = drawn if len(drawn) == 3 else (*drawn, None)
    module.float()

    def single(value):
        return nested.map(lambda a: a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a,
                          value)

    input, target = single(input), single(target)
    return {"nnmod": _ours(module, input, target), "torch": _theirs(torch, twin, module, input, target)}


def _ours(module, input, target):
    module.float()
    if isinstance(module, nnmod.Criterion):
        def run():
            module.forward(input, target)
            module.backward(input, target)
        return run
    gradOutput = nested.map(np.ones_like, module.forward(input))

    def run():
        module.forward(input)
        module.backward(input, gradOutput)
    return run


def _theirs(torch, twin, module, input, target):
    from test_against_torch import Parameters, to_torch

    parameters, x = Parameters(module), to_torch(input)
    args = x if isinstance(x, list) else [x]
    if isinstance(module, nnmod.Criterion):
        t = nested.map(lambda a: torch.tensor(a) if isinstance(a, np.ndarray) else a, target)
        args = [x, t] if len(inspect.signature(twin.torch).parameters) == 4 else [x]
        return lambda: twin.torch(torch.nn.functional, parameters, *args).backward()
    output = twin.torch(torch.nn.functional, parameters, *args)
    ones = [torch.ones_like(y) for y in nested.leaves(output)]

    def run():
        output = twin.torch(torch.nn.functional, parameters, *args)
        torch.autograd.backward(list(nested.leaves(output)), ones)
    return run
