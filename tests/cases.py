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
    without: tuple = ()  # names of the checks whose promise has no meaning for the class; its tests say why

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


# The steps that are padding give 0 whatever they hold, NaN too; test_sequence.py has NaN elsewhere.
_PADDED = ("nan",)
# The first output has read nothing before it, the last nothing after: 0 there, whatever the input.
_ENDS = ("nan",)


def _recurrence():
    """A step of a Recurrence from 3 features to 4."""
    return nnmod.Sequential(nnmod.ParallelTable(nnmod.Linear(3, 4), nnmod.Linear(4, 4)), nnmod.CAddTable(),
                            nnmod.Tanh())


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
    # recurrent: steps, inside a Sequencer
    Case("LSTM", lambda: nnmod.Sequencer(nnmod.LSTM(3, 4)), (5, 2, 3)),
    Case("LSTM-no_peepholes", lambda: nnmod.Sequencer(nnmod.LSTM(3, 4, cell2gate=False)), (3, 2, 3)),
    Case("LSTM-unbatched", lambda: nnmod.Sequencer(nnmod.LSTM(3, 2)), (4, 3)),
    Case("FastLSTM", lambda: nnmod.Sequencer(nnmod.FastLSTM(3, 4)), (5, 2, 3)),
    Case("FastLSTM-table", lambda: nnmod.Sequencer(nnmod.FastLSTM(3, 4)), [(2, 3), (2, 3), (2, 3)]),
    Case("FastLSTM-maskzero", lambda: nnmod.Sequencer(nnmod.FastLSTM(3, 4).maskZero()), (3, 2, 3)),
    Case("GRU", lambda: nnmod.Sequencer(nnmod.GRU(3, 4)), (5, 2, 3)),
    Case("GRU-unbatched", lambda: nnmod.Sequencer(nnmod.GRU(3, 2)), (4, 3)),
    Case("Mufuru", lambda: nnmod.Sequencer(nnmod.Mufuru(3, 4)), (4, 2, 3)),
    Case("Mufuru-ops", lambda: nnmod.Sequencer(nnmod.Mufuru(3, 4, ("keep", "replace", "diff"))), (3, 2, 3)),
    # recurrence
    Case("Recurrent", lambda: nnmod.Sequencer(nnmod.Recurrent(4, nnmod.Linear(3, 4), nnmod.Linear(4, 4))),
         (4, 2, 3)),
    Case("Recurrent-modules", lambda: nnmod.Sequencer(nnmod.Recurrent(
        nnmod.Linear(4, 6), nnmod.Linear(3, 4), nnmod.Linear(6, 2), nnmod.Tanh(), 9, nnmod.JoinTable(0, 1))),
         (4, 2, 3)),
    Case("Recurrence", lambda: nnmod.Sequencer(nnmod.Recurrence(_recurrence(), 4, 1)), (4, 2, 3)),
    Case("Recurrence-unbatched", lambda: nnmod.Sequencer(nnmod.Recurrence(_recurrence(), 4, 1)), (3, 3)),
    Case("Recurrence-table", lambda: nnmod.Sequencer(nnmod.Recurrence(nnmod.Sequential(
        nnmod.ParallelTable(nnmod.Linear(3, 4), nnmod.CAddTable()), nnmod.CAddTable(),
        nnmod.ConcatTable(nnmod.Tanh(), nnmod.Linear(4, 4))), [4, 4], 1)), (3, 2, 3)),
    Case("Recursor", lambda: nnmod.Sequencer(nnmod.Sequential(
        nnmod.LSTM(3, 4), nnmod.Linear(4, 3), nnmod.Tanh(), nnmod.GRU(3, 2))), (4, 2, 3)),
    Case("Recursor-inferred", lambda: nnmod.Sequencer(nnmod.Sequential(nnmod.Linear(None, 2), nnmod.Dropout(0.3))),
         (3, 2, 3)),
    Case("NormStabilizer", lambda: nnmod.Sequencer(nnmod.NormStabilizer(0)), (4, 2, 3)),
    Case("CopyGrad", nnmod.CopyGrad, (3, 4), single=True),
    Case("SAdd", lambda: nnmod.SAdd(0.5), (3, 4), single=True),
    Case("SAdd-negate", lambda: nnmod.SAdd(-1, True), (3, 4), single=True),
    # sequence
    Case("SeqLSTM", lambda: nnmod.SeqLSTM(3, 4), (5, 2, 3)),
    Case("SeqLSTM-batchfirst", lambda: nnmod.SeqLSTM(3, 4, batchfirst=True), (2, 5, 3), single=True),
    Case("SeqLSTM-wide", lambda: nnmod.SeqLSTM(9, 11), (3, 7, 9)),
    Case("SeqLSTM-lengths", lambda: nnmod.SeqLSTM(3, 4).setLengths([5, 2, 0]), (5, 3, 3), without=_PADDED),
    Case("SeqLSTM-lengths_left", lambda: nnmod.SeqLSTM(3, 4).setLengths([5, 2, 3], "left"), (5, 3, 3), without=_PADDED),
    Case("SeqLSTMP", lambda: nnmod.SeqLSTMP(3, 5, 2), (4, 2, 3)),
    Case("SeqLSTMP-lengths", lambda: nnmod.SeqLSTMP(3, 5, 2, batchfirst=True).setLengths([1, 4]), (2, 4, 3), without=_PADDED),
    Case("SeqGRU", lambda: nnmod.SeqGRU(3, 4), (5, 2, 3)),
    Case("SeqGRU-batchfirst", lambda: nnmod.SeqGRU(3, 4, batchfirst=True), (2, 5, 3), single=True),
    Case("SeqGRU-lengths", lambda: nnmod.SeqGRU(3, 4).setLengths([5, 2, 0]), (5, 3, 3), without=_PADDED),
    Case("SeqGRU-lengths_left", lambda: nnmod.SeqGRU(3, 4, True).setLengths([5, 2, 3], "left"), (3, 5, 3), without=_PADDED),
    # sequencer
    Case("Sequencer", lambda: nnmod.Sequencer(_net()), [(4, 5), (4, 5), (4, 5)]),
    Case("Sequencer-lengths_differ", lambda: nnmod.Sequencer(nnmod.Linear(5, 2)), [(4, 5), (2, 5)]),
    Case("Repeater", lambda: nnmod.Repeater(nnmod.LSTM(3, 4), 3), (2, 3)),
    Case("Repeater-net", lambda: nnmod.Repeater(nnmod.Sequential(nnmod.Linear(3, 3), nnmod.GRU(3, 2)), 3), (2, 3)),
    # bidirectional
    Case("SeqReverseSequence", lambda: nnmod.SeqReverseSequence(0), (4, 2, 3)),
    Case("SeqReverseSequence-last", lambda: nnmod.SeqReverseSequence(-1), (4, 3), single=True),
    Case("SeqBRNN", lambda: nnmod.SeqBRNN(3, 4), (4, 2, 3)),
    Case("SeqBRNN-join", lambda: nnmod.SeqBRNN(3, 4, True, nnmod.JoinTable(-1)), (2, 4, 3), single=True),
    Case("SeqBRNN-gru_lengths", lambda: nnmod.SeqBRNN(
        3, 4, forwardModule=nnmod.SeqGRU(3, 4), backwardModule=nnmod.SeqGRU(3, 4)).setLengths([4, 2]), (4, 2, 3), without=_PADDED),
    Case("BiSequencer", lambda: nnmod.BiSequencer(nnmod.LSTM(3, 2)), (4, 2, 3)),
    Case("BiSequencer-merge", lambda: nnmod.BiSequencer(
        nnmod.FastLSTM(3, 2), nnmod.GRU(3, 2), nnmod.CAddTable()), [(2, 3), (2, 3), (2, 3)]),
    Case("BiSequencerLM", lambda: nnmod.BiSequencerLM(nnmod.GRU(3, 2)), (4, 2, 3), without=_ENDS),
    Case("BiSequencerLM-two", lambda: nnmod.BiSequencerLM(nnmod.Linear(3, 2), merge=1), [(2, 3), (2, 3)],
         without=_ENDS),
    # mask
    Case("MaskZero", lambda: nnmod.MaskZero(_net(), 1), (4, 5), single=True),
    Case("MaskZero-table", lambda: nnmod.MaskZero(nnmod.ParallelTable(nnmod.Linear(3, 2), nnmod.Tanh()), 1),
         [(4, 3), (4, 2)]),
    Case("TrimZero", lambda: nnmod.TrimZero(_net(), 1), (4, 5), single=True),
    Case("TrimZero-table", lambda: nnmod.TrimZero(nnmod.CAddTable(), 1), [(4, 3), (4, 3)]),
    Case("LookupTableMaskZero", lambda: nnmod.LookupTableMaskZero(5, 3), None,
         values=lambda rng: rng.integers(0, 6, (4, 2))),
    Case("LookupTableMaskZero-int32", lambda: nnmod.LookupTableMaskZero(5, 3), None,
         values=lambda rng: rng.integers(0, 6, 7).astype(np.int32)),
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
    CriterionCase("Sequencer", lambda: nnmod.SequencerCriterion(nnmod.MSECriterion()), (3, 4, 2), _like((3, 4, 2))),
    CriterionCase("Sequencer-average", lambda: nnmod.SequencerCriterion(nnmod.ClassNLLCriterion(), True), (3, 4, 5),
                  lambda rng: rng.integers(0, 5, (3, 4))),
    CriterionCase("Sequencer-steps", lambda: nnmod.SequencerCriterion(nnmod.CrossEntropyCriterion()), (3, 4, 5),
                  lambda rng: list(rng.integers(0, 5, (3, 4)))),
    CriterionCase("Repeater", lambda: nnmod.RepeaterCriterion(nnmod.MSECriterion()), (3, 4, 2), _like((4, 2))),
    CriterionCase("Repeater-average", lambda: nnmod.RepeaterCriterion(nnmod.ClassNLLCriterion(), True), (3, 4, 5),
                  _classes(4, 5)),
    CriterionCase("MaskZero", lambda: nnmod.MaskZeroCriterion(nnmod.MSECriterion(), 1), (4, 3), _like((4, 3))),
    CriterionCase("MaskZero-classes", lambda: nnmod.MaskZeroCriterion(nnmod.ClassNLLCriterion(), 1), (4, 3),
                  _classes(4, 3)),
    CriterionCase("CTC", nnmod.CTCCriterion, (6, 2, 4), lambda rng: rng.integers(1, 4, (2, 3))),
    CriterionCase("CTC-lengths", lambda: nnmod.CTCCriterion(2, sizeAverage=False), (6, 4, 4), lambda rng: [
        np.array([[0, 1, 1], [3, 3, 9], [1, 0, 2], [9, 9, 9]]), np.array([6, 4, 2, 5]), np.array([3, 2, 2, 0])]),
    CriterionCase("CTC-one", nnmod.CTCCriterion, (5, 4), lambda rng: np.array([1, 1, 3], np.int32)),
]
