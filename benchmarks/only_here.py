"""How fast are the modules that torch does not have, beside what the machine can do?

Forward and backward with all gradients, float32.  A class is measured in its first configuration of
tests/cases.py, the batch repeated up to about 400,000 elements; what holds other modules, or steps through
time, in the configuration below.  Classes that multiply matrices are stated in multiply-adds, all
others in the bytes that must at least be read and written: the input, the output and their gradients, as
far as the passes need them, and the parameters.  Where the output is the input itself there are none.
Beyond 100% of peak, what is copied fits in a cache, and what the peak was measured on does not.
"""
import pathlib
import sys

import numpy as np

import nnmod
from nnmod import nested, summary

from .harness import Row, measure, threads

TITLE = "Modules that torch does not have"
ELEMENTS = 400_000
_TESTS = str(pathlib.Path(__file__).parents[1] / "tests")
_WIDE = 256


def _linear():
    return nnmod.Linear(_WIDE, _WIDE)


def _joined():
    """Two products of one input, added."""
    x = nnmod.Identity()()
    return nnmod.gModule(x, nnmod.CAddTable()([nnmod.Tanh()(_linear()(x)), _linear()(x)]))


def _masked(cls):
    return lambda: cls(_linear(), 1)


def _sequencer(step):
    return lambda: nnmod.Sequencer(step())


def _recurrence():
    both = nnmod.ParallelTable(nnmod.Linear(128, 128), nnmod.Linear(128, 128))
    return nnmod.Recurrence(nnmod.Sequential(both, nnmod.CAddTable(), nnmod.Tanh()), 128, 1)


_ROWS, _STEPS, _IMAGES = (1600, _WIDE), (32, 64, 128), (16, 32, 28, 28)
#: Classes whose first case says nothing about their speed: (make, shape of the input or function(rng) -> input).
LARGE = {
    "Bottle": (lambda: nnmod.Bottle(_linear()), (40, 40, _WIDE)),
    "Concat": (lambda: nnmod.Concat(1, nnmod.Tanh(), nnmod.Tanh()), _ROWS),
    "ConcatTable": (lambda: nnmod.ConcatTable(_linear(), nnmod.Tanh()), _ROWS),
    "CReLU": (lambda: nnmod.CReLU(1), _ROWS),
    "Decorator": (lambda: nnmod.Decorator(_linear()), _ROWS),
    "DepthConcat": (lambda: nnmod.DepthConcat(1, nnmod.Tanh(), nnmod.SpatialAveragePooling(3, 3)), (16, 32, 28, 28)),
    "DontCast": (lambda: nnmod.DontCast(_linear()), _ROWS),
    "FeatureLPPooling": (lambda: nnmod.FeatureLPPooling(2, 2, 2, True), _ROWS),
    "Fused": (lambda: nnmod.Fused(_linear(), nnmod.ReLU()), _ROWS),
    "GPU": (lambda: nnmod.GPU(_linear(), 1), _ROWS),
    "GRU": (_sequencer(lambda: nnmod.GRU(128, 128)), _STEPS),
    "Kmeans": (lambda: nnmod.Kmeans(64, _WIDE), _ROWS),
    "LSTM": (_sequencer(lambda: nnmod.LSTM(128, 128)), _STEPS),
    "LinearNoBias": (lambda: nnmod.LinearNoBias(_WIDE, _WIDE), _ROWS),
    "LookupTableMaskZero": (lambda: nnmod.LookupTableMaskZero(1000, 64), lambda rng: rng.integers(0, 1001, 6000)),
    "MapTable": (lambda: nnmod.MapTable(_linear()), [(800, _WIDE), (800, _WIDE)]),
    "MaskZero": (_masked(nnmod.MaskZero), _ROWS),
    "MuFuRu": (_sequencer(lambda: nnmod.MuFuRu(128, 128)), _STEPS),
    "NaN": (lambda: nnmod.NaN(_linear()), _ROWS),
    "NormStabilizer": (_sequencer(lambda: nnmod.NormStabilizer(1)), _STEPS),
    "Parallel": (lambda: nnmod.Parallel(1, 1, nnmod.Tanh(), nnmod.Tanh()), (800, 2, _WIDE)),
    "ParallelTable": (lambda: nnmod.ParallelTable(_linear(), nnmod.Tanh()), [(800, _WIDE), (800, _WIDE)]),
    "Profile": (lambda: nnmod.Profile(_linear(), 10**9), _ROWS),
    "Recurrence": (_sequencer(_recurrence), _STEPS),
    "Recurrent": (_sequencer(lambda: nnmod.Recurrent(128, nnmod.Linear(128, 128), nnmod.Linear(128, 128))), _STEPS),
    "SeqBRNN": (lambda: nnmod.SeqBRNN(128, 128), _STEPS),
    "SeqLSTMP": (lambda: nnmod.SeqLSTMP(128, 128, 64), _STEPS),
    "SeqReverseSequence": (lambda: nnmod.SeqReverseSequence(0), _STEPS),
    "SpatialContrastiveNormalization": (lambda: nnmod.SpatialContrastiveNormalization(32), _IMAGES),
    "SpatialDivisiveNormalization": (lambda: nnmod.SpatialDivisiveNormalization(32), _IMAGES),
    "SpatialFractionalMaxPooling": (lambda: nnmod.SpatialFractionalMaxPooling(2, 2, 0.6, 0.6), _IMAGES),
    "SpatialSubtractiveNormalization": (lambda: nnmod.SpatialSubtractiveNormalization(32), _IMAGES),
    "SpatialSymmetricPadding": (lambda: nnmod.SpatialSymmetricPadding(2, 2, 2, 2), _IMAGES),
    "TemporalDynamicKMaxPooling": (lambda: nnmod.TemporalDynamicKMaxPooling(4, 0.1), (32, 100, 128)),
    "TotalVariation": (lambda: nnmod.TotalVariation(0.1), _IMAGES),
    "TrimZero": (_masked(nnmod.TrimZero), _ROWS),
    "VolumetricFractionalMaxPooling": (
        lambda: nnmod.VolumetricFractionalMaxPooling(2, 2, 2, 0.6, 0.6, 0.6), (4, 16, 8, 28, 28)),
    "gModule": (_joined, _ROWS),
}
_AROUND_A_STEP = "runs a step that the caller chooses: see the steps"
_AROUND_A_CRITERION = "calls a criterion for each step: see the criterions"
#: What is not measured, and why.
SKIPPED = {
    "AbstractRecurrent": "a base class", "Branching": "a base class", "Container": "a base class",
    "Criterion": "a base class", "Elementwise": "a base class", "Module": "a base class",
    "PointwiseCriterion": "a base class",
    "BiSequencer": _AROUND_A_STEP, "BiSequencerLM": _AROUND_A_STEP, "Recursor": _AROUND_A_STEP,
    "Repeater": _AROUND_A_STEP, "Sequencer": _AROUND_A_STEP, "Sequential": "computes nothing itself",
    "RepeaterCriterion": _AROUND_A_CRITERION, "SequencerCriterion": _AROUND_A_CRITERION,
    "PrintSize": "prints",
}


def rows(run):
    """A line for each class that torch does not have, and number of threads."""
    found = configurations()
    for name in names():
        if name not in SKIPPED and run.wants(name):
            make, arguments = found[name]
            for count in run.threads:
                with threads(count):
                    row = _measured(name, make(), *arguments(1000 if run.tiny else ELEMENTS), run, count)
                yield row


def names():
    """The classes of nnmod that have no twin in torch."""
    _find_tests()
    from torch_twins import TWINS
    twins = {twin.id.partition("-")[0] for twin in TWINS}
    return [name for name, value in sorted(vars(nnmod).items()) if isinstance(value, type)
            and issubclass(value, (nnmod.Module, nnmod.Criterion)) and name not in twins]


def configurations():
    """{class: (make, function(elements) -> (input, target))}; the target of a module is None."""
    _find_tests()
    from cases import CASES, CRITERION_CASES
    found = {}
    for case in CASES:
        found.setdefault(type(case.make()).__name__, (case.make, lambda elements, case=case: (
            _repeated(case.input(), elements), None)))
    for case in CRITERION_CASES:
        found.setdefault(type(case.make()).__name__, (case.make, lambda elements, case=case: _repeated(
            list(case.arguments()), elements)))
    for name, (make, shape) in LARGE.items():
        found[name] = make, lambda elements, shape=shape: (_drawn(shape), None)
    return found


def _find_tests():
    if _TESTS not in sys.path:
        sys.path.insert(0, _TESTS)


def _drawn(shape):
    rng = np.random.default_rng(0)
    if callable(shape):
        return shape(rng)
    if isinstance(shape, list):
        return [rng.standard_normal(s).astype(np.float32) for s in shape]
    return rng.standard_normal(shape).astype(np.float32)


def _tensors(value):
    return [leaf for leaf in nested.leaves(value) if isinstance(leaf, np.ndarray)]


def _repeated(value, elements):
    """The batch of every tensor repeated, until together they have about so many elements; float32."""
    times = max(1, round(elements / sum(x.size for x in _tensors(value))))
    return nested.map(lambda x: np.concatenate([x.astype(np.float32) if x.dtype.kind == "f" else x] * times)
                      if isinstance(x, np.ndarray) else x, value)


def _measured(name, module, input, target, run, count):
    module.float()
    if isinstance(module, nnmod.Criterion):
        def task():
            module.forward(input, target)
            module.backward(input, target)
        task()
        moved, products = 2 * _bytes(input) + 2 * _bytes(target) + _bytes(module.gradInput), 0
    else:
        products = summary.summarize(module, input).multiplyAdds
        gradOutput = nested.map(lambda y: np.ones_like(y) if isinstance(y, np.ndarray) and y.dtype.kind == "f" else None,
                                module.output)

        def task():
            module.forward(input)
            module.backward(input, gradOutput)
        task()
        moved = _moved(module, input, gradOutput)
    seconds = measure({name: task}, run.seconds / 10, count, least=1 if run.tiny else 5)[name]
    # As many products by the weights, and by the input, as in forward.
    return Row(name, seconds, {}, count, flops=6 * products if products else 0, bytes=0 if products else moved)


def _moved(module, input, gradOutput):
    """The bytes that forward and backward must at least read and write."""
    total = 0
    for source, result in ((input, module.output), (gradOutput, module.gradInput)):
        fresh = [y for y in _tensors(result) if not any(np.may_share_memory(x, y) for x in _tensors(source))]
        if fresh:
            total += _bytes(source) + _bytes(fresh)
    if total:
        total += _bytes(input) * ("input" in module.backwardNeeds) + _bytes(module.output) * (
            "output" in module.backwardNeeds)
    return total + 4 * _bytes(module.parameters()[0])


def _bytes(value):
    return sum(x.nbytes for x in _tensors(value))
