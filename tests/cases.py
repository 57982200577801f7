"""One line per configuration.  Every generic test runs over all of them.

A new module or criterion adds its lines here, before it is written, and gets every
test of the contract.
"""
from dataclasses import dataclass
from typing import Callable

import numpy as np

import nnmod


@dataclass(frozen=True)
class Case:
    """A module, made by *make*, and the shape of an input (a list of shapes for a table)."""

    id: str
    make: Callable[[], nnmod.Module]
    shape: tuple | list | None
    spread: bool = False  # distinct inputs 0.1 apart, for functions with kinks or ties
    single: bool = False  # row i of the batch, alone, gives row i of the output
    values: Callable | None = None  # makes the input instead: function(rng) -> tensor or table

    def input(self):
        """One float64 input (indices: integers), the same each time."""
        if self.values is not None:
            return self.values(np.random.default_rng(1))
        return _tensors(self.shape, self.spread)


@dataclass(frozen=True)
class CriterionCase:
    """A criterion, made by *make*, an input of *shape* and its target."""

    id: str
    make: Callable[[], nnmod.Criterion]
    shape: tuple
    target: Callable[[np.random.Generator], np.ndarray]
    spread: bool = False
    unit: bool = False  # inputs within 0..1

    def arguments(self):
        """(input, target), the same each time."""
        input = _tensors(self.shape, self.spread)
        if self.unit:
            input = 1 / (1 + np.exp(-input))
        return input, self.target(np.random.default_rng(2))


def _tensors(shape, spread, rng=None):
    rng = rng or np.random.default_rng(1)
    if isinstance(shape, list):
        return [_tensors(s, spread, rng) for s in shape]
    if not spread:
        return rng.standard_normal(shape)
    size = int(np.prod(shape))
    return rng.permutation(size).reshape(shape) / 10 - size / 20 + 0.03


def _net():
    return nnmod.Sequential(nnmod.Linear(5, 4), nnmod.Tanh(), nnmod.Linear(4, 3), nnmod.LogSoftMax())


def _unpooled(pool, unpooling):
    return nnmod.Sequential(pool, unpooling(pool))


CASES = [
    # linear
    Case("Linear", lambda: nnmod.Linear(5, 3), (4, 5), single=True),
    Case("Linear-no_bias", lambda: nnmod.Linear(5, 3, bias=False), (4, 5), single=True),
    Case("Linear-wide", lambda: nnmod.Linear(19, 23), (9, 19), single=True),
    Case("Linear-one", lambda: nnmod.Linear(1, 1), (1, 1)),
    Case("Linear-unbatched", lambda: nnmod.Linear(5, 3), (5,)),
    Case("Linear-inferred", lambda: nnmod.Linear(None, 3), (4, 5)),
    # convolution
    Case("SpatialConvolution", lambda: nnmod.SpatialConvolution(2, 3, 3, 3), (2, 2, 6, 5), single=True),
    Case("SpatialConvolution-stride_pad", lambda: nnmod.SpatialConvolution(2, 3, 3, 2, 2, 1, 1, 0), (2, 2, 7, 6),
         single=True),
    Case("SpatialConvolution-pad", lambda: nnmod.SpatialConvolution(1, 5, 2, 3, 1, 1, 1), (2, 1, 4, 3)),
    Case("SpatialConvolution-deep", lambda: nnmod.SpatialConvolution(9, 5, 3, 3, padW=1), (2, 9, 3, 4),
         single=True),
    Case("SpatialConvolution-no_bias", lambda: nnmod.SpatialConvolution(3, 2, 2, 2, bias=False), (2, 3, 4, 4)),
    Case("SpatialConvolution-1x1", lambda: nnmod.SpatialConvolution(3, 6, 1, 1), (2, 3, 3, 4), single=True),
    Case("SpatialConvolution-1x1_stride", lambda: nnmod.SpatialConvolution(2, 3, 1, 1, 2, 3), (2, 2, 4, 5)),
    Case("SpatialConvolution-whole", lambda: nnmod.SpatialConvolution(2, 4, 4, 3), (3, 2, 3, 4), single=True),
    Case("SpatialConvolution-batch_of_1", lambda: nnmod.SpatialConvolution(2, 3, 3, 3), (1, 2, 5, 4)),
    Case("SpatialConvolution-unbatched", lambda: nnmod.SpatialConvolution(2, 3, 3, 3, 2, 2, 1, 1), (2, 5, 6)),
    Case("SpatialConvolution-inferred", lambda: nnmod.SpatialConvolution(None, 3, 2, 2), (2, 2, 4, 3)),
    # pooling
    Case("SpatialMaxPooling", lambda: nnmod.SpatialMaxPooling(2, 2), (2, 3, 4, 6), spread=True, single=True),
    Case("SpatialMaxPooling-overlap_pad", lambda: nnmod.SpatialMaxPooling(3, 2, 2, 1, 1, 1), (2, 2, 5, 7),
         spread=True, single=True),
    Case("SpatialMaxPooling-ceil", lambda: nnmod.SpatialMaxPooling(3, 2, 2, 2, ceilMode=True), (2, 2, 5, 6),
         spread=True, single=True),
    Case("SpatialMaxPooling-ceil_pad", lambda: nnmod.SpatialMaxPooling(2, 3, 3, 2, 1, 1, True), (2, 2, 6, 5),
         spread=True),
    Case("SpatialMaxPooling-gaps", lambda: nnmod.SpatialMaxPooling(1, 2, 3, 3), (2, 2, 7, 8), spread=True),
    Case("SpatialMaxPooling-unbatched", lambda: nnmod.SpatialMaxPooling(2, 2), (3, 4, 5), spread=True),
    Case("SpatialAveragePooling", lambda: nnmod.SpatialAveragePooling(2, 2), (2, 3, 4, 5), single=True),
    Case("SpatialAveragePooling-stride_pad", lambda: nnmod.SpatialAveragePooling(3, 2, 2, 1, 1, 1), (2, 2, 4, 6),
         single=True),
    Case("SpatialAveragePooling-ceil_pad", lambda: nnmod.SpatialAveragePooling(3, 4, 2, 3, 1, 2, True),
         (2, 2, 6, 6), single=True),
    Case("SpatialAveragePooling-ceil_exclude", lambda: nnmod.SpatialAveragePooling(
        3, 4, 2, 3, 1, 2, True, countIncludePad=False), (2, 2, 6, 6), single=True),
    Case("SpatialAveragePooling-sum", lambda: nnmod.SpatialAveragePooling(2, 3, 1, 2, divide=False),
         (2, 2, 5, 4)),
    Case("SpatialAveragePooling-global", lambda: nnmod.SpatialAveragePooling(5, 4), (2, 3, 4, 5)),
    Case("SpatialAveragePooling-unbatched", lambda: nnmod.SpatialAveragePooling(2, 2, 2, 2), (3, 4, 5)),
    Case("SpatialMaxPooling-few", lambda: nnmod.SpatialMaxPooling(3, 3), (2, 3, 7, 6), spread=True, single=True),
    Case("SpatialMaxPooling-wide", lambda: nnmod.SpatialMaxPooling(3, 3, 1, 1, 1, 1), (1, 2, 4, 19), spread=True),
    Case("SpatialMaxPooling-wide_step", lambda: nnmod.SpatialMaxPooling(3, 2, 2, 2), (1, 2, 4, 37), spread=True),
    Case("SpatialDilatedMaxPooling", lambda: nnmod.SpatialDilatedMaxPooling(2, 3, 1, 2, 1, 1, 2, 2), (2, 2, 6, 7),
         spread=True, single=True),
    Case("SpatialDilatedMaxPooling-ceil", lambda: nnmod.SpatialDilatedMaxPooling(
        2, 2, 2, 3, dilationW=3, dilationH=1, ceilMode=True), (2, 2, 6, 8), spread=True, single=True),
    Case("VolumetricMaxPooling", lambda: nnmod.VolumetricMaxPooling(2, 2, 2), (2, 2, 3, 4, 5), spread=True,
         single=True),
    Case("VolumetricMaxPooling-pad_ceil", lambda: nnmod.VolumetricMaxPooling(3, 2, 2, 2, 1, 2, 1, 1, 0, True),
         (2, 2, 4, 3, 4), spread=True, single=True),
    Case("VolumetricDilatedMaxPooling", lambda: nnmod.VolumetricDilatedMaxPooling(2, 2, 2, 1, 1, 1, 1, 0, 0, 2, 1, 2),
         (2, 2, 3, 4, 4), spread=True, single=True),
    Case("VolumetricDilatedMaxPooling-ceil", lambda: nnmod.VolumetricDilatedMaxPooling(
        1, 2, 2, 2, 2, 2, dilationW=2, ceilMode=True), (1, 2, 4, 5, 6), spread=True),
    Case("TemporalMaxPooling", lambda: nnmod.TemporalMaxPooling(2), (2, 5, 3), spread=True, single=True),
    Case("TemporalMaxPooling-overlap", lambda: nnmod.TemporalMaxPooling(3, 1), (2, 6, 9), spread=True, single=True),
    Case("SpatialMaxUnpooling", lambda: _unpooled(nnmod.SpatialMaxPooling(2, 3), nnmod.SpatialMaxUnpooling),
         (2, 2, 7, 4), spread=True, single=True),
    Case("SpatialMaxUnpooling-pad_ceil", lambda: _unpooled(
        nnmod.SpatialMaxPooling(2, 2, 3, 2, 1, 1, True), nnmod.SpatialMaxUnpooling), (1, 2, 6, 5), spread=True),
    Case("VolumetricMaxUnpooling", lambda: _unpooled(nnmod.VolumetricMaxPooling(2, 2, 2),
                                                     nnmod.VolumetricMaxUnpooling), (2, 2, 4, 3, 5),
         spread=True, single=True),
    Case("VolumetricMaxUnpooling-gaps", lambda: _unpooled(
        nnmod.VolumetricMaxPooling(1, 2, 1, 2, 2, 2), nnmod.VolumetricMaxUnpooling), (1, 2, 4, 4, 3), spread=True),
    Case("VolumetricAveragePooling", lambda: nnmod.VolumetricAveragePooling(2, 2, 2), (2, 2, 3, 4, 3), single=True),
    Case("VolumetricAveragePooling-stride", lambda: nnmod.VolumetricAveragePooling(1, 3, 2, 2, 1, 2), (2, 2, 4, 5, 7),
         single=True),
    # dynamic pooling
    Case("SpatialAdaptiveMaxPooling", lambda: nnmod.SpatialAdaptiveMaxPooling(3, 2), (2, 2, 5, 7), spread=True,
         single=True),
    Case("SpatialAdaptiveMaxPooling-larger", lambda: nnmod.SpatialAdaptiveMaxPooling(4, 5), (2, 2, 3, 3),
         spread=True, single=True),
    Case("SpatialAdaptiveAveragePooling", lambda: nnmod.SpatialAdaptiveAveragePooling(3, 2), (2, 2, 5, 7),
         single=True),
    Case("SpatialAdaptiveAveragePooling-larger", lambda: nnmod.SpatialAdaptiveAveragePooling(4, 1), (2, 2, 4, 3),
         single=True),
    Case("SpatialFractionalMaxPooling", lambda: nnmod.SpatialFractionalMaxPooling(2, 3, 4, 2), (2, 3, 6, 7),
         spread=True),
    Case("SpatialFractionalMaxPooling-ratio_fixed", lambda: nnmod.SpatialFractionalMaxPooling(
        2, 2, 0.7, 0.5, fixPoolingRegions=True), (2, 5, 8), spread=True),
    Case("VolumetricFractionalMaxPooling", lambda: nnmod.VolumetricFractionalMaxPooling(2, 2, 3, 2, 3, 2),
         (2, 2, 4, 5, 4), spread=True),
    Case("VolumetricFractionalMaxPooling-one", lambda: nnmod.VolumetricFractionalMaxPooling(2, 2, 2, 1, 2, 1),
         (1, 2, 3, 4, 3), spread=True),
    Case("TemporalDynamicKMaxPooling", lambda: nnmod.TemporalDynamicKMaxPooling(3), (2, 7, 4), spread=True,
         single=True),
    Case("TemporalDynamicKMaxPooling-factor", lambda: nnmod.TemporalDynamicKMaxPooling(1, 0.5), (2, 5, 3),
         spread=True, single=True),
    # lp pooling
    Case("SpatialLPPooling", lambda: nnmod.SpatialLPPooling(2, 2, 2, 2), (2, 2, 4, 5), spread=True, single=True),
    Case("SpatialLPPooling-4", lambda: nnmod.SpatialLPPooling(None, 4, 2, 3, 1, 1), (2, 3, 4, 4), single=True),
    Case("SpatialLPPooling-1.5", lambda: nnmod.SpatialLPPooling(2, 1.5, 2, 2, 2, 1), (2, 2, 3, 4), single=True,
         values=lambda rng: rng.uniform(0.2, 2, (2, 2, 3, 4))),
    Case("FeatureLPPooling", lambda: nnmod.FeatureLPPooling(2, 1, 2, True), (3, 5), single=False, spread=True),
    Case("FeatureLPPooling-3", lambda: nnmod.FeatureLPPooling(3, 2, 3, False), (7, 2, 3),
         values=lambda rng: rng.uniform(0.2, 2, (7, 2, 3))),
    Case("FeatureLPPooling-1", lambda: nnmod.FeatureLPPooling(2, 2, 1, True), (2, 6, 3)),
    # resampling
    Case("SpatialUpSamplingNearest", lambda: nnmod.SpatialUpSamplingNearest(2), (2, 3, 2, 5), single=True),
    Case("SpatialUpSamplingNearest-3", lambda: nnmod.SpatialUpSamplingNearest(3), (2, 2, 3, 2), single=True),
    Case("SpatialUpSamplingBilinear", lambda: nnmod.SpatialUpSamplingBilinear(2), (2, 2, 3, 4), single=True),
    Case("SpatialUpSamplingBilinear-size", lambda: nnmod.SpatialUpSamplingBilinear({"oheight": 2, "owidth": 7}),
         (2, 2, 5, 3), single=True),
    Case("UpSampling", lambda: nnmod.UpSampling(2), (2, 3, 4, 5), single=True),
    Case("UpSampling-volume", lambda: nnmod.UpSampling(3), (2, 2, 1, 3, 2)),
    Case("UpSampling-linear", lambda: nnmod.UpSampling(2, "linear"), (2, 2, 3, 1), single=True),
    Case("UpSampling-trilinear", lambda: nnmod.UpSampling({"odepth": 4, "oheight": 3, "owidth": 5}, "trilinear"),
         (1, 2, 2, 3, 3)),
    Case("PixelShuffle", lambda: nnmod.PixelShuffle(2), (2, 8, 3, 2), single=True),
    Case("PixelShuffle-3", lambda: nnmod.PixelShuffle(3), (2, 9, 2, 1), single=True),
    # normalization
    Case("BatchNormalization", lambda: nnmod.BatchNormalization(3), (5, 3)),
    Case("BatchNormalization-not_affine", lambda: nnmod.BatchNormalization(3, affine=False), (5, 3)),
    Case("BatchNormalization-momentum_0", lambda: nnmod.BatchNormalization(3, 1e-3, 0), (4, 3)),
    Case("BatchNormalization-evaluate", lambda: nnmod.BatchNormalization(3).evaluate(), (5, 3), single=True),
    Case("BatchNormalization-batch_of_1", lambda: nnmod.BatchNormalization(3), (1, 3)),
    Case("BatchNormalization-unbatched", lambda: nnmod.BatchNormalization(3), (3,)),
    Case("BatchNormalization-inferred", lambda: nnmod.BatchNormalization(None), (5, 3)),
    Case("SpatialBatchNormalization", lambda: nnmod.SpatialBatchNormalization(3), (2, 3, 4, 3)),
    Case("SpatialBatchNormalization-not_affine", lambda: nnmod.SpatialBatchNormalization(2, 1e-4, 0.3, False),
         (3, 2, 2, 2)),
    Case("SpatialBatchNormalization-evaluate", lambda: nnmod.SpatialBatchNormalization(3).evaluate(),
         (2, 3, 2, 3), single=True),
    Case("SpatialBatchNormalization-not_affine_evaluate",
         lambda: nnmod.SpatialBatchNormalization(2, affine=False).evaluate(), (2, 2, 2, 3), single=True),
    Case("SpatialBatchNormalization-batch_of_1", lambda: nnmod.SpatialBatchNormalization(2), (1, 2, 3, 3)),
    Case("SpatialBatchNormalization-one_value", lambda: nnmod.SpatialBatchNormalization(2), (1, 2, 1, 1)),
    Case("SpatialBatchNormalization-unbatched", lambda: nnmod.SpatialBatchNormalization(2), (2, 3, 4)),
    Case("SpatialBatchNormalization-inferred", lambda: nnmod.SpatialBatchNormalization(None), (2, 2, 3, 3)),
    # activation
    Case("ReLU", nnmod.ReLU, (4, 6), spread=True, single=True),
    Case("ReLU-inplace", lambda: nnmod.ReLU(True), (4, 6), spread=True),
    Case("LeakyReLU", lambda: nnmod.LeakyReLU(0.2), (2, 3, 4), spread=True, single=True),
    Case("LeakyReLU-inplace", lambda: nnmod.LeakyReLU(0.2, True), (2, 3, 4), spread=True),
    Case("ELU", nnmod.ELU, (4, 6), spread=True, single=True),
    Case("ELU-alpha_inplace", lambda: nnmod.ELU(0.7, True), (4, 6), spread=True),
    Case("Tanh", nnmod.Tanh, (3, 7), single=True),
    Case("Sigmoid", nnmod.Sigmoid, (3, 7), single=True),
    Case("SoftPlus", nnmod.SoftPlus, (3, 7), single=True),
    Case("SoftPlus-beta", lambda: nnmod.SoftPlus(2.5), (3, 7), single=True),
    Case("HardTanh", nnmod.HardTanh, (5, 6), spread=True, single=True),
    Case("HardTanh-limits_inplace", lambda: nnmod.HardTanh(-0.5, 0.8, True), (5, 6), spread=True),
    # softmax
    Case("SoftMax", nnmod.SoftMax, (4, 5), single=True),
    Case("SoftMax-vector", nnmod.SoftMax, (5,)),
    Case("SoftMax-spatial", nnmod.SoftMax, (2, 3, 2, 4), single=True),
    Case("LogSoftMax", nnmod.LogSoftMax, (4, 5), single=True),
    Case("LogSoftMax-spatial", nnmod.LogSoftMax, (2, 3, 2, 4), single=True),
    Case("LogSoftMax-image", nnmod.LogSoftMax, (3, 2, 4)),
    # dropout
    Case("Dropout", nnmod.Dropout, (4, 9)),
    Case("Dropout-p_inplace", lambda: nnmod.Dropout(0.3, inplace=True), (4, 9)),
    Case("Dropout-v1", lambda: nnmod.Dropout(0.3, v1=True), (4, 9)),
    Case("Dropout-v1_evaluate", lambda: nnmod.Dropout(0.3, v1=True).evaluate(), (4, 9)),
    Case("Dropout-evaluate", lambda: nnmod.Dropout().evaluate(), (4, 9), single=True),
    Case("Dropout-stochastic", lambda: nnmod.Dropout(0.4, stochasticInference=True).evaluate(), (4, 9)),
    Case("Dropout-zero", lambda: nnmod.Dropout(0), (4, 9), single=True),
    # reshape
    Case("Identity", nnmod.Identity, (3, 4), single=True),
    Case("Identity-table", nnmod.Identity, [(3, 4), (2,)]),
    Case("View", lambda: nnmod.View(6), (4, 2, 3)),
    Case("View-rest", lambda: nnmod.View(-1, 3, numInputDims=2), (4, 2, 6), single=True),
    Case("View-batch_of_one", lambda: nnmod.View(6, numInputDims=2), (1, 2, 3)),
    Case("Reshape", lambda: nnmod.Reshape(3, 2), (4, 6), single=True),
    Case("Reshape-batch", lambda: nnmod.Reshape(3, 2, batchMode=True), (6, 6)),
    Case("Reshape-whole", lambda: nnmod.Reshape(8, 3, batchMode=False), (4, 6)),
    # container
    Case("Sequential", _net, (4, 5), single=True),
    Case("Sequential-empty", nnmod.Sequential, (4, 5), single=True),
    Case("Sequential-inplace", lambda: nnmod.Sequential(nnmod.Linear(5, 4), nnmod.ReLU(True)), (4, 5)),
    Case("Concat", lambda: nnmod.Concat(1, nnmod.Linear(5, 2), nnmod.Identity(), _net()), (4, 5)),
    Case("Concat-last", lambda: nnmod.Concat(-1, nnmod.Linear(5, 2), nnmod.Tanh()), (5,)),
    # table
    Case("ConcatTable", lambda: nnmod.ConcatTable(nnmod.Linear(5, 2), nnmod.Tanh()), (4, 5), single=True),
    Case("ConcatTable-table", lambda: nnmod.ConcatTable(nnmod.CAddTable(), nnmod.JoinTable(1)),
         [(2, 3), (2, 3)]),
    Case("ParallelTable", lambda: nnmod.ParallelTable(nnmod.Linear(5, 2), nnmod.Tanh()), [(4, 5), (4, 3)]),
    Case("JoinTable", lambda: nnmod.JoinTable(1), [(2, 3), (2, 1), (2, 4)]),
    Case("JoinTable-batch", lambda: nnmod.JoinTable(0, 2), [(2, 3, 4), (2, 1, 4)]),
    Case("JoinTable-last", lambda: nnmod.JoinTable(-1), [(2, 3), (2, 2)]),
    Case("CAddTable", nnmod.CAddTable, [(2, 3), (2, 3), (2, 3)]),
    Case("CAddTable-inplace", lambda: nnmod.CAddTable(True), [(2, 3), (2, 3)]),
    Case("residual", lambda: nnmod.Sequential(
        nnmod.ConcatTable(nnmod.Sequential(nnmod.Linear(5, 5), nnmod.Tanh()), nnmod.Identity()),
        nnmod.CAddTable(), nnmod.Linear(5, 2)), (4, 5), single=True),
]


def _like(shape, unit=False):
    return lambda rng: rng.uniform(size=shape) if unit else rng.standard_normal(shape)


def _classes(count, n_classes):
    return lambda rng: rng.integers(0, n_classes, count)


CRITERION_CASES = [
    CriterionCase("MSE", nnmod.MSECriterion, (4, 3), _like((4, 3))),
    CriterionCase("MSE-sum", lambda: nnmod.MSECriterion(sizeAverage=False), (2, 3, 2), _like((2, 3, 2))),
    CriterionCase("Abs", nnmod.AbsCriterion, (4, 3), _like((4, 3)), spread=True),
    CriterionCase("Abs-sum", lambda: nnmod.AbsCriterion(False), (7,), _like((7,)), spread=True),
    CriterionCase("SmoothL1", nnmod.SmoothL1Criterion, (4, 5), _like((4, 5)), spread=True),
    CriterionCase("SmoothL1-sum", lambda: nnmod.SmoothL1Criterion(False), (4, 5), _like((4, 5)), spread=True),
    CriterionCase("BCE", nnmod.BCECriterion, (4, 3), _like((4, 3), True), unit=True),
    CriterionCase("BCE-weights", lambda: nnmod.BCECriterion(np.array([0.5, 2.0, 1.0], np.float32)),
                  (4, 3), _like((4, 3), True), unit=True),
    CriterionCase("BCE-sum", lambda: nnmod.BCECriterion(sizeAverage=False), (5,), _like((5,), True), unit=True),
    CriterionCase("ClassNLL", nnmod.ClassNLLCriterion, (6, 4), _classes(6, 4)),
    CriterionCase("ClassNLL-int32", nnmod.ClassNLLCriterion, (6, 4),
                  lambda rng: rng.integers(0, 4, 6).astype(np.int32)),
    CriterionCase("ClassNLL-weights", lambda: nnmod.ClassNLLCriterion(np.arange(1, 5, dtype=np.float32)),
                  (6, 4), _classes(6, 4)),
    CriterionCase("ClassNLL-sum", lambda: nnmod.ClassNLLCriterion(sizeAverage=False), (6, 4), _classes(6, 4)),
    CriterionCase("ClassNLL-ignore", lambda: nnmod.ClassNLLCriterion(ignoreIndex=2), (6, 4), _classes(6, 3)),
    CriterionCase("ClassNLL-single", nnmod.ClassNLLCriterion, (4,), lambda rng: 2),
    CriterionCase("CrossEntropy", nnmod.CrossEntropyCriterion, (6, 4), _classes(6, 4)),
    CriterionCase("CrossEntropy-weights", lambda: nnmod.CrossEntropyCriterion(
        np.arange(1, 5, dtype=np.float32)), (6, 4), _classes(6, 4)),
    CriterionCase("CrossEntropy-single", nnmod.CrossEntropyCriterion, (4,), lambda rng: 1),
]
