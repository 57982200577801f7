"""What PyTorch computes for the classes that it has as well: one entry a class.

Read by test_against_torch.py, which compares numbers over random arguments, and by
benchmarks/modules.py, which compares times at three sizes.
"""
from dataclasses import dataclass
from typing import Callable

import numpy as np

import nnmod


@dataclass(frozen=True)
class Twin:
    """A module (or criterion) of nnmod and the same in PyTorch."""

    id: str
    #: function(rng) -> (module, input) with random constructor arguments and a random float64 input
    #: (a list for a table); a criterion returns (criterion, input, target).
    draw: Callable
    #: function(F, m, *input) -> output, written with torch.nn.functional as F; m.weight and the other
    #: parameters are torch tensors, m.kW and the like what the module has.  (F, m, input, target) for a criterion.
    torch: Callable
    #: Three functions like draw: a small, a medium and a large case for the benchmark.
    sizes: tuple = ()


def sized(make, *shapes):
    """The three cases of a module that differ in the shape of the input alone."""
    return tuple(lambda rng, shape=shape: (make(shape), rng.standard_normal(shape)) for shape in shapes)


def lstm(F, x, weight, bias, features, hidden):
    """PyTorch's LSTM with nnmod's weights: from gates i, f, o, g to i, f, g, o."""
    i, f, o, g = weight.split(hidden, 1)
    w = F.torch.cat([i, f, g, o], 1)
    i, f, o, g = bias.split(hidden)
    b = F.torch.cat([i, f, g, o])
    zeros = x.new_zeros(1, x.shape[1], hidden)
    flat = [w[:features].t().contiguous(), w[features:].t().contiguous(), b, F.torch.zeros_like(b)]
    return F.torch.lstm(x, (zeros, zeros), flat, True, 1, 0.0, False, False, False)[0]


def gru(F, x, weight, bias, features, hidden):
    """A loop over the steps: PyTorch's own GRU applies the reset gate after the product."""
    h, outputs = x.new_zeros(x.shape[1], hidden), []
    for step in x:
        a = (F.torch.cat([step, h], 1) @ weight[:, :2 * hidden] + bias[:2 * hidden]).sigmoid()
        r, u = a.split(hidden, 1)
        k = (F.torch.cat([step, r * h], 1) @ weight[:, 2 * hidden:] + bias[2 * hidden:]).tanh()
        h = k + u * (h - k)
        outputs.append(h)
    return F.torch.stack(outputs)


def ctc(F, m, x, target):
    """PyTorch's loss, whose own gradient is that before a log-softmax: exp(x) more than nnmod's."""
    labels, steps, counts = target
    loss = F.ctc_loss(x, labels, steps, counts, m.blank, "mean" if m.sizeAverage else "sum")
    norm = 1 / (counts.clamp(min=1).to(x.dtype) * len(counts)) if m.sizeAverage else x.new_ones(len(counts))
    real = F.torch.arange(len(x))[:, None] < steps
    extra = (x.exp().sum(-1) * real * norm).sum()
    return loss - (extra - extra.detach())


def _ctc_case(r, T, N, C, S):
    x = r.standard_normal((T, N, C))
    x -= np.log(np.exp(x).sum(-1, keepdims=True))
    return (nnmod.CTCCriterion(0, bool(r.integers(2))), x,
            [r.integers(1, C, (N, S)), r.integers(2 * S + 1, T + 1, N), r.integers(0, S + 1, N)])


#: Rows for classes that do the same at every element.
SIZES = (16, 64), (128, 1024), (512, 4096)
def _int(r, low, high):
    return int(r.integers(low, high))


def _table(r, rows, columns, *shape):
    return nnmod.LookupTable(rows, columns), r.integers(0, rows, shape)


def _embedding(r):
    rows = _int(r, 1, 20)
    padding = [None, _int(r, 0, rows)][_int(r, 0, 2)]
    table = nnmod.LookupTable(rows, _int(r, 1, 20), padding)
    if r.integers(2):
        table.scaleGradByFreq()
    return table, r.integers(0, rows, (_int(r, 1, 5), _int(r, 1, 9)))


def _index_linear(r, features, outputs, examples, each):
    sizes = r.integers(0, 2 * each + 1, examples)
    linear = nnmod.IndexLinear(features, outputs).reset()
    return linear, [r.integers(0, features, sizes.sum()), r.standard_normal(sizes.sum()), sizes]


def _sparse_linear(r, features, outputs, examples, each):
    pairs = np.stack([r.integers(0, features, (examples, each)).astype(float),
                      r.standard_normal((examples, each))], -1)
    return nnmod.SparseLinear(features, outputs), pairs


def _bilinear(r, first, second, outputs, examples, bias=True):
    return (nnmod.Bilinear(first, second, outputs, bias),
            [r.standard_normal((examples, first)), r.standard_normal((examples, second))])


def _part(r, inputs, outputs, part, examples):
    layer = nnmod.PartialLinear(inputs, outputs).setPartition(r.integers(0, outputs, part))
    return layer, r.standard_normal((examples, inputs))


def _unit_rows(x):
    return x / (x.norm(dim=-1, keepdim=True) + 1e-12)


def compared(make, target, *shapes):
    """The three cases of a criterion that differ in the shape of the input; target(rng, shape)."""
    return tuple(lambda rng, shape=shape: (make(shape), rng.standard_normal(shape), target(rng, shape))
                 for shape in shapes)


def paired(make, target, *shapes):
    """The same for a criterion of two tensors of that shape."""
    return tuple(lambda rng, shape=shape: (
        make(shape), [rng.standard_normal(shape), rng.standard_normal(shape)], target(rng, shape))
        for shape in shapes)


def _reduction(criterion):
    return "mean" if criterion.sizeAverage else "sum"


def _weights_of(torch_like, weights):
    """The criterion's weights (or None) as a torch tensor."""
    return None if weights is None else torch_like.new_tensor(weights)


def _some(rng, weights):
    return weights if rng.integers(2) else None


def _signs(rng, shape):
    return rng.choice([-1.0, 1.0], shape)


def _classes(rng, shape):
    return rng.integers(0, shape[1], (shape[0], *shape[2:]))


def _unit(rng, shape):
    return rng.uniform(size=shape)


def _labels(rng, shape):
    """For each row of (N, C) some classes, and then -1."""
    order = np.argsort(rng.uniform(size=shape), axis=1)
    return np.where(np.arange(shape[1]) < rng.integers(1, max(2, min(shape[1], 9)), (shape[0], 1)), order, -1)


def _noise(rng, shape):
    return rng.standard_normal(shape)


_sizes = (16, 64), (128, 1024), (512, 4096)

TWINS = [
    # linear
    Twin("Linear",
         lambda r: (nnmod.Linear(a := int(r.integers(1, 40)), int(r.integers(1, 40)), bool(r.integers(2))),
                    r.standard_normal((int(r.integers(1, 9)), a))),
         lambda F, m, x: F.linear(x, m.weight, m.bias),
         sized(lambda s: nnmod.Linear(s[1], s[1]), (16, 64), (128, 512), (512, 2048))),
    Twin("LinearWeightNorm",
         lambda r: (nnmod.LinearWeightNorm(a := _int(r, 1, 40), _int(r, 1, 40), bool(r.integers(2))),
                    r.standard_normal((_int(r, 1, 9), a))),
         lambda F, m, x: F.linear(x, m.v * (m.g / m.v.norm(dim=1, keepdim=True)), m.bias),
         sized(lambda s: nnmod.LinearWeightNorm(s[1], s[1]), (16, 64), (128, 512), (512, 1024))),
    Twin("PartialLinear",
         lambda r: _part(r, _int(r, 1, 20), 30, _int(r, 1, 9), _int(r, 1, 9)),
         lambda F, m, x: F.linear(x, m.weight[m.partition], m.bias[0, m.partition]),
         tuple(lambda r, s=s: _part(r, *s) for s in ((64, 1000, 64, 16), (256, 10000, 512, 128),
                                                     (512, 20000, 2000, 256)))),
    Twin("Bilinear",
         lambda r: _bilinear(r, *r.integers(1, 12, 4).tolist(), bool(r.integers(2))),
         lambda F, m, x1, x2: F.bilinear(x1, x2, m.weight, m.bias),
         tuple(lambda r, s=s: _bilinear(r, *s) for s in ((8, 8, 8, 16), (32, 32, 32, 128), (64, 64, 128, 256)))),
    # broadcast
    Twin("Add", lambda r: (nnmod.Add(a := _int(r, 1, 20)), r.standard_normal((_int(r, 1, 9), a))),
         lambda F, m, x: x + m.bias,
         sized(lambda s: nnmod.Add(s[1]), (16, 64), (128, 1024), (512, 4096))),
    Twin("CAdd",
         lambda r: (nnmod.CAdd(1, a := _int(r, 1, 9), 1, 1), r.standard_normal((2, a, _int(r, 1, 9), 3))),
         lambda F, m, x: x + m.bias,
         sized(lambda s: nnmod.CAdd(1, s[1], 1, 1), (2, 8, 8, 8), (8, 32, 28, 28), (32, 64, 56, 56))),
    Twin("CMul",
         lambda r: (nnmod.CMul(1, a := _int(r, 1, 9), 1, 1), r.standard_normal((2, a, _int(r, 1, 9), 3))),
         lambda F, m, x: x * m.weight,
         sized(lambda s: nnmod.CMul(1, s[1], 1, 1), (2, 8, 8, 8), (8, 32, 28, 28), (32, 64, 56, 56))),
    Twin("Mul", lambda r: (nnmod.Mul(), r.standard_normal((_int(r, 1, 9), 7))), lambda F, m, x: x * m.weight,
         sized(lambda s: nnmod.Mul(), (16, 64), (128, 1024), (512, 4096))),
    # distance: far apart, where the 1e-7 that Torch7 adds to distances is out of sight
    Twin("Euclidean",
         lambda r: (nnmod.Euclidean(a := _int(r, 1, 20), _int(r, 1, 20)), 1e4 * r.standard_normal((_int(r, 1, 9), a))),
         lambda F, m, x: F.torch.cdist(x, m.weight.t(), compute_mode="donot_use_mm_for_euclid_dist"),
         sized(lambda s: nnmod.Euclidean(s[1], s[1]), (16, 16), (64, 128), (256, 256))),
    Twin("WeightedEuclidean",
         lambda r: (nnmod.WeightedEuclidean(a := _int(r, 1, 20), _int(r, 1, 20)),
                    1e4 * r.standard_normal((_int(r, 1, 9), a))),
         lambda F, m, x: (m.diagCov * (x[:, :, None] - m.weight)).norm(dim=1),
         sized(lambda s: nnmod.WeightedEuclidean(s[1], s[1]), (16, 16), (64, 128), (128, 256))),
    Twin("Cosine",
         lambda r: (nnmod.Cosine(a := _int(r, 1, 20), _int(r, 1, 20)), r.standard_normal((_int(r, 1, 9), a))),
         lambda F, m, x: F.linear(_unit_rows(x), _unit_rows(m.weight)),
         sized(lambda s: nnmod.Cosine(s[1], s[1]), (16, 64), (128, 512), (256, 1024))),
    # lookup
    Twin("LookupTable", _embedding,
         lambda F, m, x: F.embedding(x, m.weight, m.paddingValue, scale_grad_by_freq=m.shouldScaleGradByFreq),
         tuple(lambda r, s=s: _table(r, *s) for s in ((100, 16, 4, 8), (1000, 64, 32, 32), (10000, 256, 64, 128)))),
    # sparse
    Twin("SparseLinear", lambda r: _sparse_linear(r, *r.integers(1, 12, 4).tolist()),
         lambda F, m, x: F.embedding_bag(x[..., 0].long(), m.weight.t(), mode="sum",
                                         per_sample_weights=x[..., 1]) + m.bias,
         tuple(lambda r, s=s: _sparse_linear(r, *s) for s in ((100, 10, 8, 5), (2000, 50, 64, 20),
                                                              (10000, 100, 256, 50)))),
    Twin("IndexLinear", lambda r: _index_linear(r, *r.integers(1, 12, 4).tolist()),
         lambda F, m, keys, values, sizes: F.embedding_bag(
             keys, m.weight, sizes.cumsum(0) - sizes, mode="sum", per_sample_weights=values) + m.bias,
         tuple(lambda r, s=s: _index_linear(r, *s) for s in ((100, 10, 8, 5), (2000, 50, 64, 20),
                                                             (10000, 100, 256, 50)))),
    # decorator
    Twin("WeightNorm",
         lambda r: (nnmod.WeightNorm(nnmod.Linear(a := _int(r, 1, 20), _int(r, 1, 20), False)),
                    r.standard_normal((3, a))),
         lambda F, m, x: F.linear(x, m.g * m.v / (m.v.square().sum(1, keepdim=True) + 1e-4).sqrt()),
         sized(lambda s: nnmod.WeightNorm(nnmod.Linear(s[1], s[1], False)), (16, 64), (128, 512), (512, 1024))),
    # activation
    Twin("Tanh", lambda r: (nnmod.Tanh(), r.standard_normal((3, 17))), lambda F, m, x: x.tanh(),
         sized(lambda s: nnmod.Tanh(), (16, 64), (128, 1024), (512, 4096))),
    Twin("ReLU", lambda r: (nnmod.ReLU(), r.standard_normal((3, 17))), lambda F, m, x: F.relu(x),
         sized(lambda s: nnmod.ReLU(), *SIZES)),
    Twin("Threshold", lambda r: (nnmod.Threshold(th := float(r.normal()), th - 1), r.standard_normal((3, 17))),
         lambda F, m, x: F.threshold(x, m.threshold, m.val), sized(lambda s: nnmod.Threshold(0.1, -1), *SIZES)),
    Twin("ReLU6", lambda r: (nnmod.ReLU6(), 5 * r.standard_normal((3, 17))), lambda F, m, x: F.relu6(x),
         sized(lambda s: nnmod.ReLU6(), *SIZES)),
    Twin("LeakyReLU", lambda r: (nnmod.LeakyReLU(float(r.uniform(0, 1))), r.standard_normal((3, 17))),
         lambda F, m, x: F.leaky_relu(x, m.negval), sized(lambda s: nnmod.LeakyReLU(), *SIZES)),
    Twin("PReLU", lambda r: (nnmod.PReLU(5), r.standard_normal((3, 5, 4))), lambda F, m, x: F.prelu(x, m.weight),
         sized(lambda s: nnmod.PReLU(s[1]), (4, 8, 8, 8), (32, 64, 32, 32), (64, 128, 32, 32))),
    Twin("RReLU", lambda r: (nnmod.RReLU(0.1, float(r.uniform(0.2, 0.5))).evaluate(), r.standard_normal((3, 17))),
         lambda F, m, x: F.rrelu(x, m.lower, m.upper, m.train), sized(lambda s: nnmod.RReLU(), *SIZES)),
    Twin("ELU", lambda r: (nnmod.ELU(float(r.uniform(0.5, 2))), r.standard_normal((3, 17))),
         lambda F, m, x: F.elu(x, m.alpha), sized(lambda s: nnmod.ELU(), *SIZES)),
    Twin("HardTanh", lambda r: (nnmod.HardTanh(-0.5, float(r.uniform(0, 2))), r.standard_normal((3, 17))),
         lambda F, m, x: F.hardtanh(x, m.min_value, m.max_value), sized(lambda s: nnmod.HardTanh(), *SIZES)),
    Twin("HardShrink", lambda r: (nnmod.HardShrink(float(r.uniform(0, 1))), r.standard_normal((3, 17))),
         lambda F, m, x: F.hardshrink(x, m.lam), sized(lambda s: nnmod.HardShrink(), *SIZES)),
    Twin("SoftShrink", lambda r: (nnmod.SoftShrink(float(r.uniform(0, 1))), r.standard_normal((3, 17))),
         lambda F, m, x: F.softshrink(x, m.lam), sized(lambda s: nnmod.SoftShrink(), *SIZES)),
    Twin("Sigmoid", lambda r: (nnmod.Sigmoid(), r.standard_normal((3, 17))), lambda F, m, x: x.sigmoid(),
         sized(lambda s: nnmod.Sigmoid(), *SIZES)),
    Twin("LogSigmoid", lambda r: (nnmod.LogSigmoid(), r.standard_normal((3, 17))), lambda F, m, x: F.logsigmoid(x),
         sized(lambda s: nnmod.LogSigmoid(), *SIZES)),
    Twin("TanhShrink", lambda r: (nnmod.TanhShrink(), r.standard_normal((3, 17))), lambda F, m, x: F.tanhshrink(x),
         sized(lambda s: nnmod.TanhShrink(), *SIZES)),
    Twin("SoftPlus", lambda r: (nnmod.SoftPlus(float(r.uniform(0.5, 2))), r.standard_normal((3, 17))),
         lambda F, m, x: F.softplus(x, m.beta), sized(lambda s: nnmod.SoftPlus(), *SIZES)),
    Twin("SoftSign", lambda r: (nnmod.SoftSign(), r.standard_normal((3, 17))), lambda F, m, x: F.softsign(x),
         sized(lambda s: nnmod.SoftSign(), *SIZES)),
    Twin("GatedLinearUnit", lambda r: (nnmod.GatedLinearUnit(int(r.integers(-2, 2))), r.standard_normal((4, 6))),
         lambda F, m, x: F.glu(x, m.dim), sized(lambda s: nnmod.GatedLinearUnit(), *SIZES)),
    Twin("Abs", lambda r: (nnmod.Abs(), r.standard_normal((3, 17))), lambda F, m, x: x.abs(),
         sized(lambda s: nnmod.Abs(), *SIZES)),
    Twin("Power", lambda r: (nnmod.Power([2, 3, -1, 0.5, 1.7][r.integers(5)]), r.uniform(0.5, 2, (3, 17))),
         lambda F, m, x: x ** m.pow, sized(lambda s: nnmod.Power(3), *SIZES)),
    Twin("Square", lambda r: (nnmod.Square(), r.standard_normal((3, 17))), lambda F, m, x: x * x,
         sized(lambda s: nnmod.Square(), *SIZES)),
    Twin("Sqrt", lambda r: (nnmod.Sqrt(), r.uniform(0.5, 2, (3, 17))), lambda F, m, x: x.sqrt(),
         sized(lambda s: nnmod.Sqrt(), *SIZES)),
    Twin("Exp", lambda r: (nnmod.Exp(), r.standard_normal((3, 17))), lambda F, m, x: x.exp(),
         sized(lambda s: nnmod.Exp(), *SIZES)),
    Twin("Log", lambda r: (nnmod.Log(), r.uniform(0.5, 2, (3, 17))), lambda F, m, x: x.log(),
         sized(lambda s: nnmod.Log(), *SIZES)),
    Twin("AddConstant", lambda r: (nnmod.AddConstant(float(r.normal())), r.standard_normal((3, 17))),
         lambda F, m, x: x + m.constant_scalar, sized(lambda s: nnmod.AddConstant(0.5), *SIZES)),
    Twin("MulConstant", lambda r: (nnmod.MulConstant(float(r.normal())), r.standard_normal((3, 17))),
         lambda F, m, x: x * m.constant_scalar, sized(lambda s: nnmod.MulConstant(0.5), *SIZES)),
    # dropout: the benchmark's only, for the noise differs
    Twin("Dropout", lambda r: (nnmod.Dropout(0.3).evaluate(), r.standard_normal((3, 17))),
         lambda F, m, x: F.dropout(x, m.p, m.train), sized(lambda s: nnmod.Dropout(), *SIZES)),
    # softmax
    Twin("SoftMax", lambda r: (nnmod.SoftMax(), r.standard_normal((3, 17))), lambda F, m, x: F.softmax(x, 1),
         sized(lambda s: nnmod.SoftMax(), (16, 10), (128, 1000), (512, 4096))),
    Twin("SoftMin", lambda r: (nnmod.SoftMin(), r.standard_normal((3, 17))), lambda F, m, x: F.softmin(x, 1),
         sized(lambda s: nnmod.SoftMin(), (16, 10), (128, 1000), (512, 4096))),
    Twin("LogSoftMax", lambda r: (nnmod.LogSoftMax(), r.standard_normal((3, 17))),
         lambda F, m, x: F.log_softmax(x, 1), sized(lambda s: nnmod.LogSoftMax(), (16, 10), (128, 1000), (512, 4096))),
    Twin("SpatialLogSoftMax", lambda r: (nnmod.SpatialLogSoftMax(), r.standard_normal((2, 3, 4, 5))),
         lambda F, m, x: F.log_softmax(x, 1),
         sized(lambda s: nnmod.SpatialLogSoftMax(), (2, 4, 8, 8), (8, 21, 32, 32), (8, 21, 128, 128))),
    # normalization
    Twin("BatchNormalization", lambda r: (nnmod.BatchNormalization(6), r.standard_normal((9, 6))),
         lambda F, m, x: F.batch_norm(x, None, None, m.weight, m.bias, True),
         sized(lambda s: nnmod.BatchNormalization(s[1]), (16, 64), (128, 512), (512, 2048))),
    Twin("SpatialBatchNormalization", lambda r: (nnmod.SpatialBatchNormalization(3), r.standard_normal((2, 3, 4, 5))),
         lambda F, m, x: F.batch_norm(x, None, None, m.weight, m.bias, True),
         sized(lambda s: nnmod.SpatialBatchNormalization(s[1]), (4, 8, 8, 8), (32, 64, 32, 32), (64, 128, 32, 32))),
    Twin("VolumetricBatchNormalization",
         lambda r: (nnmod.VolumetricBatchNormalization(3), r.standard_normal((2, 3, 2, 4, 5))),
         lambda F, m, x: F.batch_norm(x, None, None, m.weight, m.bias, True),
         sized(lambda s: nnmod.VolumetricBatchNormalization(s[1]), (2, 4, 4, 8, 8), (8, 16, 8, 16, 16),
               (8, 32, 16, 32, 32))),
    Twin("LayerNormalization", lambda r: (nnmod.LayerNormalization(9, eps=9e-5), r.standard_normal((4, 9))),
         lambda F, m, x: F.layer_norm(x, (m.nOutput,), m.weight, m.bias, m.eps / m.nOutput),
         sized(lambda s: nnmod.LayerNormalization(s[1]), (16, 64), (128, 512), (512, 2048))),
    Twin("Normalize", lambda r: (nnmod.Normalize([1, 2, 3.5][r.integers(3)], 0), r.standard_normal((4, 9))),
         lambda F, m, x: F.normalize(x, m.p), sized(lambda s: nnmod.Normalize(2), (16, 64), (128, 512), (512, 2048))),
    Twin("SpatialCrossMapLRN",
         lambda r: (nnmod.SpatialCrossMapLRN(5, 0.3, 0.75, 1.5), r.standard_normal((2, 7, 3, 4))),
         lambda F, m, x: F.local_response_norm(x, m.size, m.alpha, m.beta, m.k),
         sized(lambda s: nnmod.SpatialCrossMapLRN(5), (2, 8, 8, 8), (16, 64, 27, 27), (32, 256, 27, 27))),
    # criterion
    Twin("MSECriterion",
         lambda r: (nnmod.MSECriterion(sizeAverage=bool(r.integers(2))), r.standard_normal((4, 5)),
                    r.standard_normal((4, 5))),
         lambda F, m, x, t: F.mse_loss(x, t, reduction="mean" if m.sizeAverage else "sum")),
    # sequence
    Twin("SeqLSTM",
         lambda r: (nnmod.SeqLSTM(a := int(r.integers(1, 20)), int(r.integers(1, 20))),
                    r.standard_normal((int(r.integers(1, 7)), int(r.integers(1, 5)), a))),
         lambda F, m, x: lstm(F, x, m.weight, m.bias, m.inputsize, m.hiddensize),
         sized(lambda s: nnmod.SeqLSTM(s[2], s[2]), (8, 4, 32), (32, 16, 128), (64, 32, 256))),
    Twin("SeqGRU",
         lambda r: (nnmod.SeqGRU(a := int(r.integers(1, 20)), int(r.integers(1, 20))),
                    r.standard_normal((int(r.integers(1, 7)), int(r.integers(1, 5)), a))),
         lambda F, m, x: gru(F, x, m.weight, m.bias, m.inputsize, m.outputsize),
         sized(lambda s: nnmod.SeqGRU(s[2], s[2]), (8, 4, 32), (32, 16, 128), (64, 32, 256))),
    Twin("FastLSTM",
         lambda r: (nnmod.FastLSTM(a := int(r.integers(1, 20)), int(r.integers(1, 20))),
                    r.standard_normal((int(r.integers(1, 5)), a))),
         lambda F, m, x: lstm(F, x[None], m.weight, m.bias, m.inputSize, m.outputSize)[0]),
    # ctc
    Twin("CTCCriterion", lambda r: _ctc_case(r, int(r.integers(9, 20)), int(r.integers(1, 5)), 5, 4), ctc,
         tuple(lambda r, size=size: _ctc_case(r, *size)
               for size in ((20, 2, 10, 5), (100, 16, 30, 20), (200, 32, 80, 40)))),
         lambda F, m, x, t: F.mse_loss(x, t, reduction=_reduction(m)),
         compared(lambda s: nnmod.MSECriterion(), _noise, *_sizes)),
    Twin("AbsCriterion",
         lambda r: (nnmod.AbsCriterion(bool(r.integers(2))), r.standard_normal((4, 5)), r.standard_normal((4, 5))),
         lambda F, m, x, t: F.l1_loss(x, t, reduction=_reduction(m)),
         compared(lambda s: nnmod.AbsCriterion(), _noise, *_sizes)),
    Twin("SmoothL1Criterion",
         lambda r: (nnmod.SmoothL1Criterion(bool(r.integers(2))), 2 * r.standard_normal((4, 5)),
                    r.standard_normal((4, 5))),
         lambda F, m, x, t: F.smooth_l1_loss(x, t, reduction=_reduction(m)),
         compared(lambda s: nnmod.SmoothL1Criterion(), _noise, *_sizes)),
    Twin("L1Cost", lambda r: (nnmod.L1Cost(), r.standard_normal((4, 5)), None), lambda F, m, x, t: x.abs().sum(),
         compared(lambda s: nnmod.L1Cost(), lambda r, s: None, *_sizes)),
    # classification criterion
    Twin("BCECriterion",
         lambda r: (nnmod.BCECriterion(_some(r, r.uniform(size=5)), bool(r.integers(2))), r.uniform(0.01, 0.99, (4, 5)),
                    r.uniform(size=(4, 5))),
         lambda F, m, x, t: F.binary_cross_entropy(x, t, _weights_of(x, m.weights), reduction=_reduction(m)),
         tuple(lambda r, s=s: (nnmod.BCECriterion(), r.uniform(0.01, 0.99, s), r.uniform(size=s)) for s in _sizes)),
    Twin("ClassNLLCriterion",
         lambda r: (nnmod.ClassNLLCriterion(_some(r, r.uniform(size=5)), bool(r.integers(2)), int(r.integers(-2, 5))),
                    r.standard_normal((7, 5)), r.integers(0, 5, 7)),
         lambda F, m, x, t: F.nll_loss(x, t, _weights_of(x, m.weights), ignore_index=m.ignoreIndex,
                                       reduction=_reduction(m)),
         compared(lambda s: nnmod.ClassNLLCriterion(), _classes, (16, 10), (128, 1000), (512, 8192))),
    Twin("SpatialClassNLLCriterion",
         lambda r: (nnmod.SpatialClassNLLCriterion(_some(r, r.uniform(size=5)), bool(r.integers(2)),
                                                   int(r.integers(-2, 5))),
                    r.standard_normal((2, 5, 3, 4)), r.integers(0, 5, (2, 3, 4))),
         lambda F, m, x, t: F.nll_loss(x, t, _weights_of(x, m.weights), ignore_index=m.ignoreIndex,
                                       reduction=_reduction(m)),
         compared(lambda s: nnmod.SpatialClassNLLCriterion(), _classes, (2, 3, 8, 8), (4, 10, 64, 64),
                  (4, 21, 160, 160))),
    Twin("CrossEntropyCriterion",
         lambda r: (nnmod.CrossEntropyCriterion(_some(r, r.uniform(size=5)), bool(r.integers(2))),
                    r.standard_normal((7, 5)), r.integers(0, 5, 7)),
         lambda F, m, x, t: F.cross_entropy(x, t, _weights_of(x, m.nll.weights), reduction=_reduction(m.nll)),
         compared(lambda s: nnmod.CrossEntropyCriterion(), _classes, (16, 10), (128, 1000), (512, 8192))),
    Twin("DistKLDivCriterion",
         lambda r: (nnmod.DistKLDivCriterion(bool(r.integers(2))), r.standard_normal((4, 5)), r.uniform(size=(4, 5))),
         lambda F, m, x, t: F.kl_div(x, t, reduction="sum") / (x.numel() if m.sizeAverage else 1),
         compared(lambda s: nnmod.DistKLDivCriterion(), _unit, *_sizes)),
    Twin("SoftMarginCriterion",
         lambda r: (nnmod.SoftMarginCriterion(bool(r.integers(2))), r.standard_normal((4, 5)), _signs(r, (4, 5))),
         lambda F, m, x, t: F.soft_margin_loss(x, t, reduction=_reduction(m)),
         compared(lambda s: nnmod.SoftMarginCriterion(), _signs, *_sizes)),
    Twin("MultiMarginCriterion",
         lambda r: (nnmod.MultiMarginCriterion(int(r.integers(1, 3)), _some(r, r.uniform(size=5)),
                                               float(r.uniform(0, 2)), bool(r.integers(2))),
                    r.standard_normal((7, 5)), r.integers(0, 5, 7)),
         lambda F, m, x, t: F.multi_margin_loss(x, t, m.p, m.margin, _weights_of(x, m.weights),
                                                reduction=_reduction(m)),
         compared(lambda s: nnmod.MultiMarginCriterion(), _classes, (16, 10), (128, 1000), (512, 8192))),
    Twin("MultiLabelMarginCriterion",
         lambda r: (nnmod.MultiLabelMarginCriterion(bool(r.integers(2))), r.standard_normal((7, 5)),
                    _labels(r, (7, 5))),
         lambda F, m, x, t: F.multilabel_margin_loss(x, t, reduction=_reduction(m)),
         compared(lambda s: nnmod.MultiLabelMarginCriterion(), _labels, (16, 10), (128, 1000), (512, 4096))),
    Twin("MultiLabelSoftMarginCriterion",  # PyTorch's sum is over the means of the rows
         lambda r: (nnmod.MultiLabelSoftMarginCriterion(_some(r, r.uniform(size=5)), bool(r.integers(2))),
                    r.standard_normal((4, 5)), r.uniform(size=(4, 5))),
         lambda F, m, x, t: F.multilabel_soft_margin_loss(x, t, _weights_of(x, m.weights), reduction=_reduction(m))
         * (1 if m.sizeAverage else x.shape[1]),
         compared(lambda s: nnmod.MultiLabelSoftMarginCriterion(), _unit, *_sizes)),
    # embedding criterion
    Twin("HingeEmbeddingCriterion",
         lambda r: (nnmod.HingeEmbeddingCriterion(float(r.uniform(0, 2)), bool(r.integers(2))),
                    r.standard_normal((4, 5)), _signs(r, (4, 5))),
         lambda F, m, x, t: F.hinge_embedding_loss(x, t, m.margin, reduction=_reduction(m)),
         compared(lambda s: nnmod.HingeEmbeddingCriterion(), _signs, *_sizes)),
    Twin("CosineEmbeddingCriterion",
         lambda r: (nnmod.CosineEmbeddingCriterion(float(r.uniform(-0.5, 0.5)), bool(r.integers(2))),
                    [r.standard_normal((6, 5)), r.standard_normal((6, 5))], _signs(r, 6)),
         lambda F, m, x, t: F.cosine_embedding_loss(*x, t, m.margin, reduction=_reduction(m)),
         paired(lambda s: nnmod.CosineEmbeddingCriterion(), lambda r, s: _signs(r, s[0]), *_sizes)),
    Twin("MarginRankingCriterion",
         lambda r: (nnmod.MarginRankingCriterion(float(r.uniform(0, 2)), bool(r.integers(2))),
                    [r.standard_normal(6), r.standard_normal(6)], _signs(r, 6)),
         lambda F, m, x, t: F.margin_ranking_loss(*x, t, m.margin, reduction=_reduction(m)),
         paired(lambda s: nnmod.MarginRankingCriterion(), _signs, (64,), (100_000,), (2_000_000,))),
]
