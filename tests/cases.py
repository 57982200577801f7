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
    Case("SpatialConvolution-groups", lambda: nnmod.SpatialConvolution(4, 6, 3, 2, 1, 2, 1, groups=2),
         (2, 4, 5, 6), single=True),
    Case("SpatialConvolutionMM", lambda: nnmod.SpatialConvolutionMM(2, 3, 3, 2, 2, 1, 1, 0), (2, 2, 6, 5),
         single=True),
    Case("SpatialConvolutionMM-no_bias", lambda: nnmod.SpatialConvolutionMM(1, 4, 1, 1, bias=False), (2, 1, 3, 4)),
    Case("SpatialConvolutionMM-inferred", lambda: nnmod.SpatialConvolutionMM(None, 2, 2, 3), (2, 4, 3)),
    Case("SpatialDilatedConvolution", lambda: nnmod.SpatialDilatedConvolution(2, 3, 3, 2, 1, 2, 2, 1, 2, 3),
         (2, 2, 7, 6), single=True),
    Case("SpatialDilatedConvolution-no_bias", lambda: nnmod.SpatialDilatedConvolution(
        None, 2, 2, 2, dilationW=2, bias=False), (2, 5, 4)),
    Case("VolumetricConvolution", lambda: nnmod.VolumetricConvolution(2, 3, 2, 3, 2), (2, 2, 4, 3, 5), single=True),
    Case("VolumetricConvolution-stride_pad", lambda: nnmod.VolumetricConvolution(2, 2, 3, 2, 2, 2, 1, 2, 1, 0, 1),
         (2, 2, 4, 3, 3), single=True),
    Case("VolumetricConvolution-groups", lambda: nnmod.VolumetricConvolution(
        4, 2, 2, 1, 2, padT=1, padW=0, padH=0, bias=False, groups=2), (4, 3, 2, 3)),
    Case("VolumetricConvolution-whole", lambda: nnmod.VolumetricConvolution(2, 3, 3, 2, 2), (2, 2, 3, 3, 3)),
    Case("VolumetricConvolution-inferred", lambda: nnmod.VolumetricConvolution(None, 2, 1, 2, 2), (2, 2, 2, 3, 2)),
    Case("VolumetricDilatedConvolution", lambda: nnmod.VolumetricDilatedConvolution(
        2, 2, 2, 3, 2, 1, 1, 1, 0, 1, 1, 2, 1, 2), (2, 2, 4, 3, 4), single=True),
    Case("VolumetricDilatedConvolution-no_bias", lambda: nnmod.VolumetricDilatedConvolution(
        1, 2, 3, 1, 1, 2, padT=2, padW=0, dilationT=2, bias=False), (1, 5, 2, 2)),
    Case("TemporalConvolution", lambda: nnmod.TemporalConvolution(3, 5, 3), (2, 6, 3), single=True),
    Case("TemporalConvolution-stride", lambda: nnmod.TemporalConvolution(2, 3, 2, 3), (2, 7, 2), single=True),
    Case("TemporalConvolution-tiled", lambda: nnmod.TemporalConvolution(2, 3, 2, 2, bias=False), (3, 6, 2)),
    Case("TemporalConvolution-rest", lambda: nnmod.TemporalConvolution(2, 3, 3, 3), (8, 2)),
    Case("TemporalConvolution-inferred", lambda: nnmod.TemporalConvolution(None, 3, 1), (2, 4, 2)),
    # full convolution
    Case("SpatialFullConvolution", lambda: nnmod.SpatialFullConvolution(2, 3, 3, 2), (2, 2, 3, 4), single=True),
    Case("SpatialFullConvolution-stride_pad_adj", lambda: nnmod.SpatialFullConvolution(
        3, 2, 4, 3, 3, 2, 2, 1, 2, 1), (2, 3, 3, 2), single=True),
    Case("SpatialFullConvolution-1x1", lambda: nnmod.SpatialFullConvolution(3, 2, 1, 1, bias=False), (2, 3, 2, 3)),
    Case("SpatialFullConvolution-inferred", lambda: nnmod.SpatialFullConvolution(None, 2, 2, 2, 2, 2),
         (2, 2, 2, 3)),
    Case("SpatialFullConvolution-table", lambda: nnmod.SpatialFullConvolution(2, 3, 3, 3, 2, 3, 1, 1),
         [(2, 2, 2, 3), (2, 1, 5, 6)]),
    Case("VolumetricFullConvolution", lambda: nnmod.VolumetricFullConvolution(2, 3, 2, 3, 2), (2, 2, 2, 2, 3),
         single=True),
    Case("VolumetricFullConvolution-stride_pad_adj", lambda: nnmod.VolumetricFullConvolution(
        2, 2, 3, 2, 4, 2, 1, 3, 1, 0, 2, 1, 0, 2), (2, 2, 2, 3, 2), single=True),
    Case("VolumetricFullConvolution-no_bias", lambda: nnmod.VolumetricFullConvolution(
        None, 2, 1, 2, 2, bias=False), (1, 2, 2, 2)),
    Case("VolumetricFullConvolution-table", lambda: nnmod.VolumetricFullConvolution(
        2, 1, 3, 2, 3, 2, 2, 2, 1, 0, 1), [(2, 2, 2, 2), (4, 4, 4)]),
    # plane convolution
    Case("SpatialConvolutionMap", lambda: nnmod.SpatialConvolutionMap(
        [(0, 0), (1, 0), (1, 2), (2, 2), (0, 1)], 3, 2), (2, 3, 5, 6), single=True),
    Case("SpatialConvolutionMap-stride", lambda: nnmod.SpatialConvolutionMap(nnmod.tables.full(2, 3), 2, 3, 3, 2),
         (2, 2, 8, 7), single=True),
    Case("SpatialConvolutionMap-no_bias", lambda: nnmod.SpatialConvolutionMap(
        nnmod.tables.oneToOne(3), 1, 2, 2, 1, bias=False), (3, 4, 5)),
    Case("SpatialFullConvolutionMap", lambda: nnmod.SpatialFullConvolutionMap(
        [(0, 0), (1, 0), (1, 2), (2, 2), (0, 1)], 3, 2), (2, 3, 3, 4), single=True),
    Case("SpatialFullConvolutionMap-stride", lambda: nnmod.SpatialFullConvolutionMap(
        nnmod.tables.full(2, 3), 3, 3, 3, 2), (2, 2, 3, 2), single=True),
    Case("SpatialDepthWiseConvolution", lambda: nnmod.SpatialDepthWiseConvolution(3, 2, 3, 2), (2, 3, 4, 6),
         single=True),
    Case("SpatialDepthWiseConvolution-stride_pad", lambda: nnmod.SpatialDepthWiseConvolution(
        2, 3, 3, 4, 2, 3, 2, 1), (2, 2, 7, 5), single=True),
    Case("SpatialDepthWiseConvolution-3x3", lambda: nnmod.SpatialDepthWiseConvolution(2, 1, 3, 3, 1, 1, 1),
         (2, 2, 4, 3), single=True),
    Case("SpatialDepthWiseConvolution-gaps", lambda: nnmod.SpatialDepthWiseConvolution(
        2, 1, 2, 1, 3, 2, 1, 0, bias=False), (2, 5, 7)),
    Case("SpatialDepthWiseConvolution-inferred", lambda: nnmod.SpatialDepthWiseConvolution(None, 2, 2, 2),
         (2, 2, 3, 3)),
    Case("SpatialSubSampling", lambda: nnmod.SpatialSubSampling(3, 2, 3), (2, 3, 5, 6), single=True),
    Case("SpatialSubSampling-stride", lambda: nnmod.SpatialSubSampling(2, 3, 2, 2, 3, bias=False), (2, 2, 6, 7)),
    Case("SpatialSubSampling-inferred", lambda: nnmod.SpatialSubSampling(None, 2, 2, 2, 2), (2, 4, 5)),
    # local and row convolution
    Case("SpatialConvolutionLocal", lambda: nnmod.SpatialConvolutionLocal(2, 3, 5, 4, 3, 2), (2, 2, 4, 5),
         single=True),
    Case("SpatialConvolutionLocal-stride_pad", lambda: nnmod.SpatialConvolutionLocal(
        1, 5, 4, 6, 3, 2, 2, 3, 2, 1), (6, 1, 6, 4), single=True),
    Case("SpatialConvolutionLocal-inferred", lambda: nnmod.SpatialConvolutionLocal(
        None, 2, None, None, 2, 2, bias=False), (2, 3, 3)),
    Case("TemporalRowConvolution", lambda: nnmod.TemporalRowConvolution(3, 3, 2), (2, 8, 3), single=True),
    Case("TemporalRowConvolution-no_bias", lambda: nnmod.TemporalRowConvolution(4, 2, bias=False), (5, 4)),
    Case("TemporalRowConvolution-featFirst", lambda: nnmod.TemporalRowConvolution(3, 3, 2, True), (2, 3, 8),
         single=True),
    Case("TemporalRowConvolution-inferred", lambda: nnmod.TemporalRowConvolution(None, 2, featFirst=True), (3, 4)),
    Case("TemporalSubSampling", lambda: nnmod.TemporalSubSampling(3, 2), (2, 6, 3), single=True),
    Case("TemporalSubSampling-stride", lambda: nnmod.TemporalSubSampling(None, 3, 2, bias=False), (8, 2)),
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
