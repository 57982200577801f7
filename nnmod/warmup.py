"""Kernels compiled ahead: a list of what to run so that every kernel is compiled, by room.

A kernel is compiled when it is first called with arguments of a new kind, and kept on disk;
so a small pass of each module, in shapes that choose each of its ways, compiles them all.

>>> sorted(GROUPS)[:3]
['activation', 'broadcast', 'classification']
"""
import os

import numpy as np

import nnmod as nn

from . import kernels, nested, tensor

_MAP = np.array([[0, 0], [1, 0], [1, 1]])
_ONES = np.ones((3, 3), np.float32)


def _indices(below, *shape):
    return lambda rng: rng.integers(0, below, shape)


def _positive(*shape):
    return lambda rng: rng.uniform(0.5, 2, shape)


def _like(*shape):
    return lambda rng: rng.uniform(0.1, 0.9, shape)


def _signs(*shape):
    return lambda rng: rng.integers(0, 2, shape) * 2.0 - 1


def _labels(rng):
    target = np.full((3, 4), -1)
    target[:, 0] = 1
    return target


def _pairs(rng):
    return np.stack([rng.integers(0, 6, (4, 5)).astype(float), rng.standard_normal((4, 5))], -1)


def _unpool(pool, unpool):
    return lambda: nn.Sequential(pool, unpool(pool))


def _by_frequency():
    table = nn.LookupTable(7, 4)
    return table.scaleGradByFreq() or table


def _step():
    return nn.Sequential(nn.ParallelTable(nn.Linear(3, 4), nn.Linear(4, 4)), nn.CAddTable(), nn.Tanh())


#: A line is a module that is made, and its input: a shape, a list of shapes for a table, or a function of a
#: generator; a criterion has a target behind it.  The large shapes are those that choose another way.
GROUPS = {
    "linear": [
        (lambda: nn.Linear(5, 3), (4, 5)), (lambda: nn.Linear(5, 3), (5,)),
        (lambda: nn.Linear(300, 200), (64, 300)),
        (lambda: nn.LinearNoBias(5, 3), (4, 5)), (lambda: nn.LinearWeightNorm(5, 3), (4, 5)),
        (lambda: nn.PartialLinear(5, 3), (4, 5)), (lambda: nn.Bilinear(3, 4, 2), [(5, 3), (5, 4)]),
        (lambda: nn.Maxout(5, 3, 2), (4, 5)), (lambda: nn.WeightNorm(nn.Linear(5, 3)), (4, 5)),
    ],
    "lookup": [
        (lambda: nn.LookupTable(7, 4), _indices(7, 5)),
        (lambda: nn.LookupTable(7, 4, 1, 1.0), _indices(7, 2, 5)),
        (lambda: nn.LookupTableMaskZero(7, 4), _indices(7, 5)), (_by_frequency, _indices(7, 5)),
        (lambda: nn.SparseLinear(6, 3), _pairs), (lambda: nn.SparseLinear(6, 3, True), _pairs),
        (lambda: nn.IndexLinear(9, 3, normalize=True),
         lambda rng: [rng.integers(0, 9, 8), rng.standard_normal(8), np.array([4, 1, 3])]),
        (lambda: nn.IndexLinear(9, 3),
         lambda rng: [rng.integers(0, 9, 8), rng.standard_normal(8), np.array([4, 1, 3])]),
    ],
    "broadcast": [
        (lambda: nn.Add(5), (4, 5)), (lambda: nn.Add(1, True), (4, 5)), (lambda: nn.CAdd(5), (4, 5)),
        (lambda: nn.CAdd(1, 4, 1, 1), (2, 4, 3, 3)), (lambda: nn.CMul(5), (4, 5)),
        (lambda: nn.CMul(1, 4, 1, 1), (2, 4, 3, 3)), (lambda: nn.Mul(), (3, 4)),
    ],
    "distance": [
        (lambda: nn.Euclidean(5, 3), (4, 5)), (lambda: nn.WeightedEuclidean(5, 3), (4, 5)),
        (lambda: nn.Cosine(5, 3), (4, 5)), (lambda: nn.Kmeans(3, 4), (7, 4)),
        (nn.CosineDistance, [(4, 5), (4, 5)]), (nn.DotProduct, [(4, 5), (4, 5)]),
        (lambda: nn.PairwiseDistance(2), [(4, 5), (4, 5)]),
        (lambda: nn.PairwiseDistance(1), [(4, 5), (4, 5)]),
    ],
    "convolution": [
        (lambda: nn.SpatialConvolution(3, 8, 3, 3, 1, 1, 1, 1), (2, 3, 16, 16)),
        (lambda: nn.SpatialConvolution(32, 32, 3, 3, 1, 1, 1, 1), (2, 32, 16, 16)),
        (lambda: nn.SpatialConvolution(64, 64, 3, 3, 1, 1, 1, 1), (1, 64, 56, 56)),
        (lambda: nn.SpatialConvolution(16, 16, 3, 3, 2, 2, 1, 1), (2, 16, 16, 16)),
        (lambda: nn.SpatialConvolution(32, 16, 1, 1), (2, 32, 16, 16)),
        (lambda: nn.SpatialConvolution(32, 16, 1, 1, 2, 2), (2, 32, 16, 16)),
        (lambda: nn.SpatialConvolution(1, 20, 5, 5), (4, 1, 28, 28)),
        (lambda: nn.SpatialConvolution(3, 16, 7, 7, 2, 2, 3, 3), (1, 3, 64, 64)),
        (lambda: nn.SpatialConvolution(256, 256, 3, 3, 1, 1, 1, 1), (1, 256, 8, 8)),
        (lambda: nn.SpatialConvolution(8, 8, 3, 3, 1, 1, 1, 1, groups=8), (2, 8, 16, 16)),
        (lambda: nn.Fused(nn.SpatialConvolution(32, 32, 3, 3, 1, 1, 1, 1), nn.SpatialBatchNormalization(32),
                          nn.ReLU()).evaluate(), (1, 32, 16, 16)),
        (lambda: nn.Fused(nn.Linear(5, 3), nn.BatchNormalization(3), nn.ReLU()).evaluate(), (4, 5)),
        (lambda: nn.Fused(nn.SpatialBatchNormalization(3), nn.ReLU()), (2, 3, 4, 4)),
        (lambda: nn.Fused(nn.BatchNormalization(3), nn.ReLU()), (4, 3)),
        (lambda: nn.SpatialConvolution(8, 8, 3, 3, 1, 1, 1, 1, groups=2), (2, 8, 16, 16)),
        (lambda: nn.SpatialConvolution(8, 8, 3, 3, 2, 2, 1, 1, groups=8), (2, 8, 16, 16)),
        (lambda: nn.SpatialDilatedConvolution(4, 8, 3, 3, 1, 1, 2, 2, 2, 2), (2, 4, 16, 16)),
        (lambda: nn.SpatialFullConvolution(4, 3, 4, 4, 2, 2, 1, 1), (2, 4, 8, 8)),
    ],
    "convolution family": [
        (lambda: nn.VolumetricConvolution(2, 3, 2, 3, 2), (2, 2, 4, 6, 5)),
        (lambda: nn.VolumetricFullConvolution(2, 3, 2, 3, 2), (2, 2, 2, 2, 3)),
        (lambda: nn.TemporalConvolution(3, 5, 3), (2, 6, 3)),
        (lambda: nn.TemporalRowConvolution(3, 3), (2, 8, 3)),
        (lambda: nn.TemporalSubSampling(3, 2), (2, 6, 3)),
        (lambda: nn.SpatialSubSampling(3, 2, 2), (2, 3, 6, 6)),
        (lambda: nn.SpatialConvolutionMap(_MAP, 3, 3), (2, 2, 6, 6)),
        (lambda: nn.SpatialFullConvolutionMap(_MAP, 3, 3), (2, 2, 6, 6)),
        (lambda: nn.SpatialDepthWiseConvolution(3, 2, 3, 3), (2, 3, 6, 6)),
        (lambda: nn.SpatialConvolutionLocal(2, 3, 6, 6, 3, 3), (2, 2, 6, 6)),
    ],
    "pooling": [
        (lambda: nn.SpatialMaxPooling(2, 2), (2, 3, 16, 16)),
        (lambda: nn.SpatialMaxPooling(3, 3, 2, 2, 1, 1), (2, 3, 16, 16)),
        (lambda: nn.SpatialAveragePooling(2, 2), (2, 3, 16, 16)),
        (lambda: nn.SpatialAveragePooling(3, 3, 2, 2, 1, 1), (2, 3, 16, 16)),
        (lambda: nn.SpatialDilatedMaxPooling(2, 2, 1, 1, 0, 0, 2, 2), (2, 2, 8, 8)),
        (lambda: nn.VolumetricMaxPooling(2, 2, 2), (2, 2, 4, 4, 4)),
        (lambda: nn.VolumetricAveragePooling(2, 2, 2), (2, 2, 4, 4, 4)),
        (lambda: nn.TemporalMaxPooling(2), (2, 6, 3)),
        (_unpool(nn.SpatialMaxPooling(2, 2), nn.SpatialMaxUnpooling), (2, 2, 4, 4)),
        (lambda: nn.SpatialAdaptiveMaxPooling(3, 2), (2, 2, 5, 7)),
        (lambda: nn.SpatialAdaptiveAveragePooling(3, 2), (2, 2, 5, 7)),
        (lambda: nn.SpatialFractionalMaxPooling(2, 2, 3, 3), (2, 2, 6, 6)),
        (lambda: nn.VolumetricFractionalMaxPooling(2, 2, 2, 3, 3, 3), (2, 2, 6, 6, 6)),
        (lambda: nn.TemporalDynamicKMaxPooling(3), (2, 7, 4)),
        (lambda: nn.SpatialLPPooling(2, 2, 2, 2), (2, 2, 4, 4)),
        (lambda: nn.FeatureLPPooling(2, 1, 2, True), (3, 5)),
    ],
    "resampling": [
        (lambda: nn.SpatialUpSamplingNearest(2), (2, 3, 4, 5)), (lambda: nn.UpSampling(2), (2, 3, 4, 5)),
        (lambda: nn.SpatialUpSamplingBilinear(2), (2, 2, 3, 4)), (lambda: nn.PixelShuffle(2), (2, 8, 3, 2)),
        (lambda: nn.AffineGridGeneratorBHWD(3, 4), (2, 2, 3)),
        (nn.BilinearSamplerBHWD, [(2, 4, 3, 2), (2, 3, 3, 2)]),
        (lambda: nn.Padding(1, 2), (3, 4)), (lambda: nn.SpatialZeroPadding(1, 1, 1, 1), (2, 2, 3, 4)),
        (lambda: nn.SpatialReflectionPadding(1, 1, 1, 1), (2, 2, 3, 4)),
        (lambda: nn.SpatialReplicationPadding(1, 1, 1, 1), (2, 2, 3, 4)),
        (lambda: nn.SpatialSymmetricPadding(1, 1, 1, 1), (2, 2, 3, 4)), (lambda: nn.ShaveImage(1), (2, 2, 3, 4)),
        (lambda: nn.VolumetricReplicationPadding(1, 1, 1, 1, 1, 1), (2, 2, 3, 4, 3)),
    ],
    "normalization": [
        (lambda: nn.BatchNormalization(3), (5, 3)), (lambda: nn.SpatialBatchNormalization(3), (2, 3, 4, 4)),
        (lambda: nn.SpatialBatchNormalization(16), (8, 16, 32, 32)),
        (lambda: nn.VolumetricBatchNormalization(3), (2, 3, 2, 2, 3)),
        (lambda: nn.InstanceNormalization(3), (2, 3, 4, 4)), (lambda: nn.LayerNormalization(5), (4, 5)),
        (lambda: nn.Normalize(2), (4, 5)), (lambda: nn.SpatialCrossMapLRN(3), (2, 5, 4, 4)),
        (lambda: nn.SpatialSubtractiveNormalization(3, _ONES), (2, 3, 6, 6)),
        (lambda: nn.SpatialDivisiveNormalization(3, _ONES), (2, 3, 6, 6)),
        (lambda: nn.SpatialContrastiveNormalization(3, _ONES), (2, 3, 6, 6)),
    ],
    "activation": [
        *[(make, (4, 40)) for make in (
            nn.ReLU, lambda: nn.ReLU(True), nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.Threshold, nn.HardTanh,
            nn.RReLU,
            nn.HardShrink, nn.SoftShrink, nn.PReLU, lambda: nn.CReLU(1), lambda: nn.Clamp(-0.5, 0.8))],
        (lambda: nn.PReLU(3), (2, 3, 4, 4)),
    ],
    "sigmoid": [
        (make, (4, 40)) for make in (
            nn.Tanh, nn.Sigmoid, nn.SoftPlus, nn.LogSigmoid, nn.TanhShrink, nn.SoftSign, nn.GatedLinearUnit)
    ],
    "softmax": [
        (make, shape) for make in (nn.SoftMax, nn.LogSoftMax, nn.SoftMin) for shape in ((4, 10), (2, 3, 4, 4))
    ] + [(nn.SpatialSoftMax, (2, 3, 4, 4)), (nn.SpatialLogSoftMax, (2, 3, 4, 4))],
    "pointwise": [
        *[(make, _positive(3, 20)) for make in (
            nn.Abs, lambda: nn.Power(2), lambda: nn.Power(1.5), nn.Square, nn.Sqrt, nn.Exp, nn.Log,
            lambda: nn.AddConstant(2.5), lambda: nn.MulConstant(2.5), nn.GradientReversal,
            lambda: nn.L1Penalty(0.1))],
        (lambda: nn.TotalVariation(0.1), (2, 3, 4, 5)),
    ],
    "dropout": [
        (nn.Dropout, (4, 9)), (nn.SpatialDropout, (3, 5, 2, 3)), (nn.VolumetricDropout, (3, 5, 2, 1, 3)),
        (nn.WhiteNoise, (4, 7)),
    ],
    "shapes": [
        (lambda: nn.Transpose((0, 1)), (3, 4)), (lambda: nn.Transpose((0, 1)), (3, 4, 5)),
        (lambda: nn.Convert("bchw", "bhwc"), (2, 3, 4, 5)),
        (lambda: nn.Select(1, 2), (2, 3, 4)), (lambda: nn.Narrow(1, 1, 2), (2, 4, 3)),
        (lambda: nn.Replicate(3), (2, 4)),
        (lambda: nn.Index(0), lambda rng: [rng.standard_normal((5, 3)), np.array([0, 2])]),
        (lambda: nn.Index(0), lambda rng: [rng.standard_normal(5), np.array([0, 2])]),
        (lambda: nn.Index(1), lambda rng: [rng.standard_normal((3, 5)), np.array([0, 2])]),
        (nn.MaskedSelect, lambda rng: [rng.standard_normal((3, 4)), np.eye(3, 4).astype(bool)]),
        (lambda: nn.OneHot(5), _indices(5, 7)), (nn.Sum, (3, 4)), (lambda: nn.Sum(1), (3, 4, 5)),
        (lambda: nn.Mean(1), (3, 4)), (nn.Max, (5, 4)), (lambda: nn.Max(1), (5, 4, 3)),
        (lambda: nn.Min(1), (5, 4)),
    ],
    "tables": [
        (lambda: nn.Concat(1, nn.Linear(5, 2), nn.Identity()), (4, 5)),
        (lambda: nn.ConcatTable(nn.Identity(), nn.Tanh()), (4, 5)),
        (lambda: nn.JoinTable(1), [(2, 3), (2, 1)]),
        *[(make, [(2, 3), (2, 3)]) for make in (
            nn.CAddTable, nn.CSubTable, nn.CMulTable, nn.CDivTable, nn.CMaxTable, nn.CMinTable)],
        (nn.MixtureTable, [(3, 2), [(3, 4), (3, 4)]]), (nn.MM, [(3, 4), (4, 5)]),
        (nn.MM, [(2, 3, 4), (2, 4, 5)]), (nn.MM, [(8, 64, 64), (8, 64, 64)]),
        (lambda: nn.MM(True, True), [(4, 3), (5, 4)]), (nn.MV, [(3, 4), (4,)]), (nn.MV, [(2, 3, 4), (2, 4)]),
    ],
    "recurrent": [
        (lambda: nn.SeqLSTM(3, 4), (5, 2, 3)), (lambda: nn.SeqLSTMP(3, 5, 2), (4, 2, 3)),
        (lambda: nn.SeqGRU(3, 4), (5, 2, 3)), (lambda: nn.SeqLSTM(3, 4).setLengths([5, 3]), (5, 2, 3)),
        (lambda: nn.SeqLSTM(3, 4), (5, 30, 3)), (lambda: nn.SeqLSTMP(3, 5, 2).setLengths([4, 3]), (4, 2, 3)),
        (lambda: nn.SeqBRNN(3, 4), (4, 2, 3)),
        *[(lambda cls=cls: nn.Sequencer(cls(3, 4)), (5, 2, 3))
         for cls in (nn.LSTM, nn.FastLSTM, nn.GRU, nn.MuFuRu)],
        (lambda: nn.Sequencer(nn.Recurrence(_step(), 4, 1)), (4, 2, 3)),
        (lambda: nn.BiSequencer(nn.LSTM(3, 2)), (4, 2, 3)), (lambda: nn.MaskZero(nn.Linear(3, 2), 1), (4, 3)),
        (lambda: nn.Sequencer(nn.NormStabilizer(0.1)), (4, 2, 3)),
    ],
    "classification": [
        (nn.ClassNLLCriterion, (6, 4), _indices(4, 6)), (nn.CrossEntropyCriterion, (6, 4), _indices(4, 6)),
        (nn.SpatialClassNLLCriterion, (2, 3, 2, 4), _indices(3, 2, 2, 4)),
        (nn.BCECriterion, _like(4, 3), _like(4, 3)),
        (nn.MarginCriterion, (4, 3), _signs(4, 3)), (nn.SoftMarginCriterion, (4, 3), _signs(4, 3)),
        (nn.MultiMarginCriterion, (5, 4), _indices(4, 5)), (nn.MultiLabelMarginCriterion, (3, 4), _labels),
        (nn.MultiLabelSoftMarginCriterion, (4, 3), _like(4, 3)), (nn.DistKLDivCriterion, (4, 3), _like(4, 3)),
        (lambda: nn.ClassSimplexCriterion(4), (5, 4), _indices(4, 5)),
        (nn.CTCCriterion, (6, 2, 4), lambda rng: rng.integers(1, 4, (2, 3))),
    ],
    "criterion": [
        (nn.MSECriterion, (4, 3), _like(4, 3)), (nn.AbsCriterion, (4, 3), _like(4, 3)),
        (nn.SmoothL1Criterion, (4, 5), _like(4, 5)), (nn.HingeEmbeddingCriterion, (6, 4), _signs(6, 4)),
        (lambda: nn.WeightedMSECriterion(np.ones(3, np.float32)), (4, 3), _like(4, 3)),
        (nn.CosineEmbeddingCriterion, [(6, 5), (6, 5)], _signs(6)),
        (nn.MarginRankingCriterion, [(6,), (6,)], _signs(6)),
        (nn.DistanceRatioCriterion, [(5,), (5,)], lambda rng: None),
    ],
    "optim": [
        (lambda: nn.Linear(9, 9), (4, 9)),
    ],
}


def compile_group(name, dtype="float32"):
    """Run everything of the group *name*, forward and backward, for numbers of *dtype*.

    With compiled kernels that is what compiles them; the library's generator and the state
    of the process stay as they are but for that.
    """
    state = nn.random.get_state()
    try:
        for make, input, *target in GROUPS[name]:
            (_criterion if target else _module)(make, input, *target, dtype=dtype)
        if name == "linear":  # matrices with gaps between their rows
            a, b, c = (np.ones((4, 6), dtype)[:, :4] for _ in range(3))
            kernels.of(a).gemm(a, b, c)
        if name == "convolution":  # kernels in a row, as a fused network replays them
            net = nn.Sequential(nn.SpatialConvolution(1, 4, 3, 3), nn.ReLU(), nn.SpatialMaxPooling(2, 2),
                                nn.View(64, numInputDims=3), nn.Linear(64, 3)).type(dtype).evaluate().fused()
            for _ in range(3):
                net.forward(np.ones((1, 1, 10, 10), dtype))
        if name == "optim":
            _optimizers(dtype)
    finally:
        nn.random.set_state(state)


def compile_for(net, input):
    """Compile what *net* needs for *input*: a forward and a backward of a clone, in both modes."""
    net = net.clone()
    for mode in (net.evaluate, net.training):
        mode()
        given = nested.map(np.copy, input)
        output = net.forward(given)
        net.zeroGradParameters()
        net.backward(given, nested.map(_gradient, output))
        net.updateParameters(0.0)


def processes():
    """How many processes compile at once by default: one a processor that may be used."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def _module(make, input, dtype):
    net = make().type(dtype)
    given = _input(input, dtype)
    net.forward(given)
    if net.parameters()[0]:
        net.zeroGradParameters()
    net.backward(given, nested.map(_gradient, net.output))
    net.updateParameters(0.1)
    net.zeroGradParameters()
    net.evaluate().forward(_input(input, dtype))
    net.reset()


def _criterion(make, input, target, dtype):
    criterion, given, wanted = make().type(dtype), _input(input, dtype), _input(target, dtype)
    criterion.forward(given, wanted)
    criterion.backward(given, wanted)


def _optimizers(dtype):
    for method in (nn.optim.sgd, nn.optim.adam, nn.optim.adamax, nn.optim.adagrad, nn.optim.adadelta,
                   nn.optim.rmsprop, nn.optim.rprop, nn.optim.nag, nn.optim.asgd, nn.optim.cg,
                   nn.optim.lbfgs):
        x = np.linspace(-1, 1, 64).astype(dtype)
        config = {"maxIter": 3} if method in (nn.optim.cg, nn.optim.lbfgs) else {}
        if method is nn.optim.sgd:
            config = {"momentum": 0.9, "weightDecay": 0.01, "learningRateDecay": 0.1}
        for _ in range(2):
            method(lambda x: (float((x * x).sum()), 2 * x), x, config)


def _input(spec, dtype):
    rng = np.random.default_rng(1)
    value = spec(rng) if callable(spec) else _normal(spec, rng)
    return nested.map(lambda x: x.astype(dtype) if tensor.is_tensor(x) and x.dtype.kind == "f" else x, value)


def _normal(shape, rng):
    return [_normal(s, rng) for s in shape] if isinstance(shape, list) else rng.standard_normal(shape)


def _gradient(output):
    return np.ones_like(output) if tensor.is_tensor(output) and output.dtype.kind == "f" else None


def uncompiled():
    """The names of compiled kernels that this process has not called yet, for those who extend GROUPS."""
    import importlib
    import pkgutil

    from numba.core.caching import NullCache

    from .kernels import cpu
    found = []
    for entry in pkgutil.iter_modules(cpu.__path__):
        module = importlib.import_module(f"{cpu.__name__}.{entry.name}")
        for name, value in vars(module).items():
            # Helpers that are inlined into kernels have no cache of their own.
            kernel = hasattr(value, "signatures") and type(value._cache) is not NullCache
            if kernel and value.__module__ == module.__name__ and not value.signatures:
                found.append(f"{entry.name}.{name}")
    return sorted(found)
