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
def shape(rng, ndim, high=9):
    """A random shape of *ndim* dimensions, each 1 .. high-1."""
    return tuple(int(n) for n in rng.integers(1, high, ndim))


def reduced(cls):
    """A draw of a reduction over a random dimension of a random tensor, sometimes counted from the end."""
    def draw(rng):
        ndim = int(rng.integers(2, 5))
        return cls(int(rng.integers(-ndim, ndim))), rng.standard_normal(shape(rng, ndim))
    return draw


def pairs(make, *shapes):
    """The three cases of a module of a table of equal tensors."""
    return tuple(lambda rng, s=s: (make(), [rng.standard_normal(s) for _ in range(2)]) for s in shapes)


def tables(make, most=2):
    """A draw of a module of a table of 2 .. most equal tensors of a random shape."""
    def draw(rng):
        s = shape(rng, int(rng.integers(1, 4)))
        return make(), [rng.standard_normal(s) for _ in range(int(rng.integers(2, most + 1)))]
    return draw


def rows(make):
    """A draw of a module of two matrices of a random shape, some way from each other."""
    def draw(rng):
        s = shape(rng, 2, 30)
        return make(rng), [10 * rng.standard_normal(s), 10 * rng.standard_normal(s)]
    return draw


def bordered(cls, count, spatial, low):
    """A draw of a padding with *count* random sides, *low* or more, of images or volumes of 5 or more a side."""
    return lambda rng: (cls(*(int(p) for p in rng.integers(low, 5, count))),
                        rng.standard_normal((*shape(rng, 2, 4), *(int(n) for n in rng.integers(5, 9, spatial)))))


IMAGES = (2, 4, 8, 8), (8, 16, 28, 28), (32, 64, 56, 56)
MATRICES = (16, 64), (128, 1024), (512, 4096)


def sides(m):
    return m.pad_l, m.pad_r, m.pad_t, m.pad_b


def indexed(rng, s, axis, count):
    return nnmod.Index(axis), [rng.standard_normal(s), rng.integers(0, s[axis], count)]


def matrices(rng, batch, m, k, n, transA=False, transB=False):
    a, b = ((k, m) if transA else (m, k)), ((n, k) if transB else (k, n))
    return nnmod.MM(transA, transB), [rng.standard_normal((*batch, *a)), rng.standard_normal((*batch, *b))]


def drawn_matrices(rng):
    batch = [(), (int(rng.integers(1, 5)),)][int(rng.integers(2))]
    return matrices(rng, batch, *shape(rng, 3, 70), bool(rng.integers(2)), bool(rng.integers(2)))


def drawn_vector(rng):
    m, k = shape(rng, 2, 70)
    batch = [(), (int(rng.integers(1, 5)),)][int(rng.integers(2))]
    trans = bool(rng.integers(2))
    return nnmod.MV(trans), [rng.standard_normal((*batch, m, k)), rng.standard_normal((*batch, m if trans else k))]


def distance(F, m, a, b):
    """The p-norm, with Torch7's guard against 0 in its gradient."""
    total = ((a - b).abs() ** m.p).sum(1)
    y = (total ** (1 / m.p)).detach()
    return y + (total - total.detach()) / m.p * (y + 1e-6) ** (1 - m.p)


def one_each(size):
    return tuple(lambda rng, n=n: (nnmod.MixtureTable(1), [rng.standard_normal((n, 4)),
                                                           rng.standard_normal((n, 4, f))]) for n, f in size)


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
    Twin("Maxout",
         lambda r: (nnmod.Maxout(a := _int(r, 1, 20), _int(r, 1, 9), _int(r, 1, 5)),
                    r.standard_normal((_int(r, 1, 9), a))),
         lambda F, m, x: F.linear(x, *map(F.torch.from_numpy, m.modules[0].parameters()[0])).view(
             len(x), m.maxoutNumber, m.outputSize).max(1).values,
         sized(lambda s: nnmod.Maxout(s[1], s[1], 4), (16, 64), (128, 256), (256, 512))),
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
    # reshape
    Twin("Squeeze", lambda r: (nnmod.Squeeze(1), r.standard_normal((3, 1, 4))), lambda F, m, x: x.squeeze(1),
         sized(lambda s: nnmod.Squeeze(1), (16, 1, 64), (128, 1, 1024), (512, 1, 4096))),
    Twin("Unsqueeze", lambda r: (nnmod.Unsqueeze(int(r.integers(-3, 3))), r.standard_normal((3, 4))),
         lambda F, m, x: x.unsqueeze(m.pos), sized(lambda s: nnmod.Unsqueeze(1), *MATRICES)),
    Twin("Collapse", lambda r: (nnmod.Collapse(3), r.standard_normal(shape(r, 4))),
         lambda F, m, x: x.flatten(1), sized(lambda s: nnmod.Collapse(3), *IMAGES)),
    # layout
    Twin("Transpose",
         lambda r: (nnmod.Transpose(*(tuple(map(int, r.integers(-4, 4, 2))) for _ in range(3))),
                    r.standard_normal(shape(r, 4, 20))),
         lambda F, m, x: _transposed(x, m.permutations),
         sized(lambda s: nnmod.Transpose((0, 1)), (64, 64), (512, 512), (2048, 2048))),
    Twin("Convert", lambda r: (nnmod.Convert("bchw", ["bhwc", "cbwh", "bf"][int(r.integers(3))]),
                               r.standard_normal(shape(r, 4, 20))),
         lambda F, m, x: x.flatten(1) if m.outputShape == "bf" else x.permute(
             *map("bchw".index, m.outputShape)).contiguous(),
         sized(lambda s: nnmod.Convert("bchw", "bhwc"), *IMAGES)),
    # indexing
    Twin("Select", lambda r: (nnmod.Select(int(r.integers(-3, 3)), -1), r.standard_normal(shape(r, 3))),
         lambda F, m, x: x.select(m.dimension, m.index), sized(lambda s: nnmod.Select(1, 2), *MATRICES)),
    Twin("Narrow", lambda r: (nnmod.Narrow(int(r.integers(-3, 3)), 1, int(r.integers(1, 3))),
                              r.standard_normal((3, 4, 5))),
         lambda F, m, x: x.narrow(m.dimension, m.offset, m.length),
         sized(lambda s: nnmod.Narrow(1, 2, 8), *MATRICES)),
    Twin("Replicate", lambda r: (nnmod.Replicate(int(r.integers(1, 5)), int(r.integers(-4, 4))),
                                 r.standard_normal(shape(r, 3))),
         lambda F, m, x: x.unsqueeze(m.dim).repeat_interleave(m.nf, m.dim),
         sized(lambda s: nnmod.Replicate(4, 1), *MATRICES)),
    Twin("Index", lambda r: indexed(r, shape(r, 3), int(r.integers(-3, 3)), 6),
         lambda F, m, x, i: x.index_select(m.dimension, i),
         (lambda r: indexed(r, (64, 64), 0, 16), lambda r: indexed(r, (1000, 512), 0, 256),
          lambda r: indexed(r, (256, 10000), 1, 5000))),
    Twin("MaskedSelect", lambda r: (nnmod.MaskedSelect(), [r.standard_normal((5, 6)), r.random((5, 6)) < 0.5]),
         lambda F, m, x, mask: x.masked_select(mask),
         tuple(lambda r, s=s: (nnmod.MaskedSelect(), [r.standard_normal(s), r.random(s) < 0.5]) for s in MATRICES)),
    Twin("OneHot", lambda r: (nnmod.OneHot(6), r.integers(0, 6, shape(r, 2))),
         lambda F, m, x: F.one_hot(x, m.outputSize).double().requires_grad_(),
         tuple(lambda r, n=n, c=c: (nnmod.OneHot(c), r.integers(0, c, n))
               for n, c in ((16, 10), (256, 1000), (4096, 1000)))),
    # padding
    Twin("Padding", lambda r: (nnmod.Padding(1, int(r.choice([-3, -1, 2])), value=0.5), r.standard_normal(shape(r, 3))),
         lambda F, m, x: F.pad(x, (0, 0, -m.pad, 0) if m.pad < 0 else (0, 0, 0, m.pad), value=m.value),
         sized(lambda s: nnmod.Padding(1, 2), *MATRICES)),
    Twin("SpatialZeroPadding", bordered(nnmod.SpatialZeroPadding, 4, 2, -2), lambda F, m, x: F.pad(x, sides(m)),
         sized(lambda s: nnmod.SpatialZeroPadding(1), *IMAGES)),
    Twin("SpatialReflectionPadding", bordered(nnmod.SpatialReflectionPadding, 4, 2, 0),
         lambda F, m, x: F.pad(x, sides(m), mode="reflect"),
         sized(lambda s: nnmod.SpatialReflectionPadding(1), *IMAGES)),
    Twin("SpatialReplicationPadding", bordered(nnmod.SpatialReplicationPadding, 4, 2, -2),
         lambda F, m, x: F.pad(x, sides(m), mode="replicate"),
         sized(lambda s: nnmod.SpatialReplicationPadding(1), *IMAGES)),
    Twin("VolumetricReplicationPadding", bordered(nnmod.VolumetricReplicationPadding, 6, 3, -2),
         lambda F, m, x: F.pad(x, (m.pleft, m.pright, m.ptop, m.pbottom, m.pfront, m.pback), mode="replicate"),
         sized(lambda s: nnmod.VolumetricReplicationPadding(1), (1, 2, 4, 6, 6), (4, 8, 8, 16, 16),
               (8, 16, 16, 28, 28))),
    # reduction
    Twin("Sum", reduced(nnmod.Sum), lambda F, m, x: x.sum(m.dimension), sized(lambda s: nnmod.Sum(1), *MATRICES)),
    Twin("Sum-first", reduced(nnmod.Sum), lambda F, m, x: x.sum(m.dimension),
         sized(lambda s: nnmod.Sum(0), *MATRICES)),
    Twin("Mean", reduced(nnmod.Mean), lambda F, m, x: x.mean(m.dimension), sized(lambda s: nnmod.Mean(1), *MATRICES)),
    Twin("Max", reduced(nnmod.Max), lambda F, m, x: x.max(m.dimension)[0], sized(lambda s: nnmod.Max(1), *MATRICES)),
    Twin("Max-first", reduced(nnmod.Max), lambda F, m, x: x.max(m.dimension)[0],
         sized(lambda s: nnmod.Max(0), *MATRICES)),
    Twin("Min", reduced(nnmod.Min), lambda F, m, x: x.min(m.dimension)[0], sized(lambda s: nnmod.Min(1), *MATRICES)),
    # table
    Twin("JoinTable", lambda r: (nnmod.JoinTable(1), [r.standard_normal((3, n, 2)) for n in shape(r, 3)]),
         lambda F, m, *x: _torch().cat(x, m.dimension), pairs(lambda: nnmod.JoinTable(1), *MATRICES)),
    Twin("SplitTable", lambda r: (nnmod.SplitTable(int(r.integers(-3, 3))), r.standard_normal(shape(r, 3))),
         lambda F, m, x: list(x.unbind(m.dimension)),
         sized(lambda s: nnmod.SplitTable(0), (4, 64), (16, 128, 64), (64, 128, 256))),
    # arithmetic
    Twin("CAddTable", tables(nnmod.CAddTable, 4), lambda F, m, *x: sum(x[1:], x[0]),
         pairs(nnmod.CAddTable, *MATRICES)),
    Twin("CSubTable", tables(nnmod.CSubTable), lambda F, m, a, b: a - b, pairs(nnmod.CSubTable, *MATRICES)),
    Twin("CMulTable", tables(nnmod.CMulTable, 5), lambda F, m, *x: _torch().stack(x).prod(0) if len(x) > 2 else x[0] * x[1],
         pairs(nnmod.CMulTable, *MATRICES)),
    Twin("CDivTable", tables(nnmod.CDivTable), lambda F, m, a, b: a / b, pairs(nnmod.CDivTable, *MATRICES)),
    Twin("CMaxTable", tables(nnmod.CMaxTable, 4), lambda F, m, *x: x[0].maximum(x[1]) if len(x) == 2 else _torch().stack(
        x).max(0)[0], pairs(nnmod.CMaxTable, *MATRICES)),
    Twin("CMinTable", tables(nnmod.CMinTable, 4), lambda F, m, *x: x[0].minimum(x[1]) if len(x) == 2 else _torch().stack(
        x).min(0)[0], pairs(nnmod.CMinTable, *MATRICES)),
    Twin("MixtureTable", lambda r: (nnmod.MixtureTable(1), [r.standard_normal((3, 4)), r.standard_normal((3, 4, 5))]),
         lambda F, m, gate, x: (gate[:, :, None] * x).sum(1), one_each(((16, 32), (128, 256), (512, 1024)))),
    # product
    Twin("MM", drawn_matrices,
         lambda F, m, a, b: (a.mT if m.transA else a) @ (b.mT if m.transB else b),
         (lambda r: matrices(r, (16,), 8, 8, 8), lambda r: matrices(r, (64,), 32, 64, 32),
          lambda r: matrices(r, (16,), 128, 128, 128, False, True))),
    Twin("MV", drawn_vector, lambda F, m, a, v: ((a.mT if m.trans else a) @ v[..., None])[..., 0],
         tuple(lambda r, n=n, f=f: (nnmod.MV(), [r.standard_normal((n, f, f)), r.standard_normal((n, f))])
               for n, f in ((4, 16), (16, 64), (32, 256)))),
    Twin("DotProduct", rows(lambda r: nnmod.DotProduct()), lambda F, m, a, b: (a * b).sum(1),
         pairs(nnmod.DotProduct, *MATRICES)),
    Twin("CosineDistance", rows(lambda r: nnmod.CosineDistance()), lambda F, m, a, b: F.cosine_similarity(a, b),
         pairs(nnmod.CosineDistance, *MATRICES)),
    Twin("PairwiseDistance", rows(lambda r: nnmod.PairwiseDistance(float(r.choice([1, 1.5, 2, 3])))), distance,
         pairs(lambda: nnmod.PairwiseDistance(2), *MATRICES)),
    # criterion
    Twin("MSECriterion",
         lambda r: (nnmod.MSECriterion(sizeAverage=bool(r.integers(2))), r.standard_normal((4, 5)),
                    r.standard_normal((4, 5))),
         lambda F, m, x, t: F.mse_loss(x, t, reduction="mean" if m.sizeAverage else "sum")),
]


def _transposed(x, pairs):
    for pair in pairs:
        x = x.transpose(*pair)
    return x.contiguous()


def _torch():
    import torch
    return torch
