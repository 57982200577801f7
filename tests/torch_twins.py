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
    # criterion
    Twin("MSECriterion",
         lambda r: (nnmod.MSECriterion(sizeAverage=bool(r.integers(2))), r.standard_normal((4, 5)),
                    r.standard_normal((4, 5))),
         lambda F, m, x, t: F.mse_loss(x, t, reduction="mean" if m.sizeAverage else "sum")),
]
