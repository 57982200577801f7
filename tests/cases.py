"""One line per configuration.  Every generic test runs over all of them.

A new module or criterion adds its lines here, before it is written, and gets every
test of the contract.
"""
import math
from dataclasses import dataclass, field
from typing import Callable

import numpy as np

import nnmod
from nnmod import nested


@dataclass(frozen=True)
class Case:
    """A module, made by *make*, and the shape of an input (a list of shapes for a table)."""

    id: str
    make: Callable[[], nnmod.Module]
    shape: tuple | list | None
    spread: bool = False  # distinct inputs 0.1 apart, for functions with kinks or ties
    single: bool = False  # row i of the batch, alone, gives row i of the output
    values: Callable | None = None  # makes the input instead: function(rng) -> tensor or table
    #: Checks that have no meaning here: name without check_ -> reason.
    excused: dict = field(default_factory=dict)

    def input(self):
        """One float64 input (indices: integers), the same each time."""
        if self.values is not None:
            return self.values(np.random.default_rng(1))
        return _tensors(self.shape, self.spread)


@dataclass(frozen=True)
class CriterionCase:
    """A criterion, made by *make*, an input of *shape* (a list of shapes for a table) and its target."""

    id: str
    make: Callable[[], nnmod.Criterion]
    shape: tuple | list
    target: Callable[[np.random.Generator], object]  # a tensor, a table, a number or None
    spread: bool = False
    unit: bool = False  # inputs within 0..1

    def arguments(self):
        """(input, target), the same each time."""
        input = _tensors(self.shape, self.spread)
        if self.unit:
            input = nested.map(lambda x: 1 / (1 + np.exp(-x)), input)
        return input, self.target(np.random.default_rng(2))


def _tensors(shape, spread, rng=None):
    rng = rng or np.random.default_rng(1)
    if isinstance(shape, list):
        return [_tensors(s, spread, rng) for s in shape]
    if isinstance(shape, dict):
        return {name: _tensors(s, spread, rng) for name, s in shape.items()}
    if not spread:
        return rng.standard_normal(shape)
    size = int(np.prod(shape))
    return rng.permutation(size).reshape(shape) / 10 - size / 20 + 0.03


def _indices(below, shape, dtype=np.int64):
    return lambda rng: rng.integers(0, below, shape).astype(dtype)


def _pairs(below, count):
    return lambda rng: np.stack([rng.integers(0, below, count).astype(float), rng.standard_normal(count)], -1)


def _entries(below, *sizes):
    return lambda rng: [rng.integers(0, below, sum(sizes)), rng.standard_normal(sum(sizes)), np.array(sizes)]


def _drawn(linear):
    linear.reset()
    return linear


def _net():
    return nnmod.Sequential(nnmod.Linear(5, 4), nnmod.Tanh(), nnmod.Linear(4, 3), nnmod.LogSoftMax())


_PADDED = {"nan": "padding gives 0 whatever it holds, NaN too: see test_sequence.py"}
_ENDS = {"nan": "the first output has read nothing before it, and the last nothing after: 0, whatever the input"}


def _recurrence():
    """A step of a Recurrence from 3 features to 4."""
    return nnmod.Sequential(nnmod.ParallelTable(nnmod.Linear(3, 4), nnmod.Linear(4, 4)), nnmod.CAddTable(),
                            nnmod.Tanh())


# NaN for a feature's number is an error; gradInput has other places than the input, see test_sparse.py.
_SPARSE = {"nan": "an index is never NaN"}
_LOOKUP = {"gradients_of": "padding, frequencies and maxNorm make gradients that are not the derivative, on purpose"}
_EUCLIDEAN = {"gradients_of": "Torch7's 1e-7 in the denominators is more than this check forgives: test_distance.py"}
_REGIONS = {"gradients_of": "the number of an image is none that changes a little: test_sampling.py",
            "nan": "a region must have edges that are numbers: test_sampling.py"}


def _regions(*rows):
    """Features, and regions of them whose edges are not near where they round up."""
    return lambda rng: [_tensors((2, 3, 6, 7), True, rng), np.array(rows)]


_UNSEEN = {"nan": "a pixel that no place is near has no say: test_resampling.py"}
_CONSTANT_BORDER = {"gradients_of": "the border is a constant for backward, as in DeepMask: test_shape.py"}
_KMEANS = {"gradients_of": "gradWeight is a step towards means, not a derivative",
           "nan": "gradInput is 0 whatever gradOutput is"}


def _graph(make):
    """A case's gModule: *make* returns its input nodes and its output nodes."""
    return lambda: nnmod.gModule(*make())


def _graph_sum():
    """A node used twice: its gradients add up."""
    h = nnmod.Tanh()(nnmod.Linear(5, 4)())
    return h.inputs, nnmod.CAddTable()([nnmod.Linear(4, 3)(h), nnmod.Linear(4, 3)(h)])


def _graph_several():
    """Two inputs, and two outputs of which one is on the way to the other."""
    a, b = nnmod.Identity()(), nnmod.Linear(3, 4)()
    h = nnmod.CAddTable()([nnmod.Linear(5, 4)(a), b])
    return [a, b], [h, nnmod.Tanh()(h)]


def _graph_nested():
    """Inputs, outputs and the table of a module inside are nested lists."""
    a, b, c = nnmod.Identity()(), nnmod.Identity()(), nnmod.Tanh()()
    both = nnmod.ParallelTable(nnmod.CAddTable(), nnmod.Linear(3, 2))([[a, b], c])
    sum, linear = both.split(2)
    return [a, [b, c]], [[nnmod.Tanh()(sum), linear], nnmod.Sigmoid()(b)]


def _graph_shared():
    """One Linear at two nodes: two modules with the same tensors."""
    x = nnmod.Identity()()
    first = nnmod.Linear(4, 4)
    again = first.clone("weight", "bias", "gradWeight", "gradBias")
    return x, again(nnmod.Tanh()(first(x)))


def _graph_dead():
    """A branch that leads nowhere, and an entry of a table that nothing uses."""
    x = nnmod.Identity()()
    nnmod.Linear(5, 7)(x)
    a, b, _ = nnmod.ConcatTable(nnmod.Linear(5, 4), nnmod.Tanh(), nnmod.Linear(5, 2))(x).split(3)
    return x, nnmod.JoinTable(1)([b, a, b])


def _graph_tables():
    """Modules that take and give tables, and a table that is used whole and in parts."""
    x = nnmod.Identity()()
    table = nnmod.ConcatTable(nnmod.Linear(5, 4), nnmod.Linear(5, 4))(x)
    a, _ = table.split(2)
    element = nnmod.JustElement()(nnmod.JustTable()(a))
    return x, nnmod.JoinTable(1)([nnmod.CAddTable()(table), element])


def _graph_inplace():
    """Modules that overwrite the output of a Linear, after which it is used twice."""
    x = nnmod.Identity()()
    h = nnmod.ReLU(True)(nnmod.Linear(5, 4)(x))
    return x, nnmod.CAddTable(True)([nnmod.Linear(4, 4)(h), h])


def _graph_nested_inside():
    """A graph in a graph."""
    inner = nnmod.gModule(*_graph_of_three())
    x = nnmod.Tanh()()
    return x, nnmod.CAddTable()([inner(x), nnmod.Linear(3, 2)(x)])


def _graph_of_three():
    x = nnmod.Linear(3, 2)()
    return x, nnmod.Sigmoid()(x)


def _graph_loss():
    """A criterion inside: the loss of two predictions, by integer targets."""
    x, target = nnmod.Identity()(), nnmod.Identity()()
    h = nnmod.Linear(5, 4)(x)
    return [x, target], nnmod.CAddTable()([nnmod.CrossEntropyCriterion()([h, target]),
                                          nnmod.CrossEntropyCriterion()(nnmod.Tanh()(h), target)])


def _apart(shape):
    """Two tensors some way from each other: PairwiseDistance's gradient has a guard against 0."""
    return lambda rng: [10 * rng.standard_normal(shape), 10 * rng.standard_normal(shape)]


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
    Case("LinearNoBias", lambda: nnmod.LinearNoBias(5, 3), (4, 5), single=True),
    Case("LinearNoBias-inferred", lambda: nnmod.LinearNoBias(None, 3), (5,)),
    Case("LinearWeightNorm", lambda: nnmod.LinearWeightNorm(5, 3), (4, 5), single=True),
    Case("LinearWeightNorm-no_bias", lambda: nnmod.LinearWeightNorm(5, 3, False), (4, 5), single=True),
    Case("LinearWeightNorm-floor", lambda: nnmod.LinearWeightNorm(5, 3, eps=10.0), (4, 5)),
    Case("LinearWeightNorm-inferred", lambda: nnmod.LinearWeightNorm(None, 3), (5,)),
    Case("PartialLinear", lambda: nnmod.PartialLinear(5, 3), (4, 5), single=True),
    Case("PartialLinear-no_bias", lambda: nnmod.PartialLinear(5, 3, False), (5,)),
    Case("PartialLinear-part", lambda: nnmod.PartialLinear(5, 7).setPartition(np.array([6, 1, 3])), (4, 5),
         single=True),
    Case("PartialLinear-twice", lambda: nnmod.PartialLinear(5, 7, False).setPartition(np.array([2, 2, 0])),
         (4, 5), single=True),
    Case("Bilinear", lambda: nnmod.Bilinear(3, 4, 2), [(5, 3), (5, 4)]),
    Case("Bilinear-no_bias", lambda: nnmod.Bilinear(9, 2, 5, False), [(4, 9), (4, 2)]),
    Case("Bilinear-unbatched", lambda: nnmod.Bilinear(3, 4, 2), [(3,), (4,)]),
    # maxout
    Case("Maxout", lambda: nnmod.Maxout(5, 3, 2), (4, 5), single=True),
    Case("Maxout-preprocess", lambda: nnmod.Maxout(5, 3, 4, nnmod.Tanh()), (4, 5), single=True),
    Case("Maxout-one", lambda: nnmod.Maxout(5, 3, 1), (5,)),
    # broadcast
    Case("Add", lambda: nnmod.Add(5), (4, 5), single=True),
    Case("Add-scalar", lambda: nnmod.Add(5, True), (2, 3, 4), single=True),
    Case("Add-image", lambda: nnmod.Add(6), (4, 2, 3), single=True),
    Case("CAdd", lambda: nnmod.CAdd(5), (4, 5), single=True),
    Case("CAdd-channels", lambda: nnmod.CAdd(1, 3, 1, 1), (2, 3, 4, 5), single=True),
    Case("CAdd-whole", lambda: nnmod.CAdd(3, 4), (3, 4)),
    Case("CAdd-mixed", lambda: nnmod.CAdd(2, 1, 3, 1), (2, 4, 3, 5)),
    Case("CMul", lambda: nnmod.CMul(5), (4, 5), single=True),
    Case("CMul-channels", lambda: nnmod.CMul(1, 3, 1, 1), (2, 3, 4, 5), single=True),
    Case("CMul-rows", lambda: nnmod.CMul((2, 3)), (4, 6), single=True),
    Case("CMul-batched", lambda: nnmod.CMul(3, 1), (4, 3, 2), single=True),
    Case("CMul-mixed", lambda: nnmod.CMul(2, 1, 3, 1), (2, 4, 3, 5)),
    Case("CMul-one", lambda: nnmod.CMul(1), (4, 1)),
    Case("Mul", nnmod.Mul, (3, 4), single=True),
    Case("Mul-vector", nnmod.Mul, (7,)),
    # distance
    Case("Euclidean", lambda: nnmod.Euclidean(5, 3), (4, 5), single=True, excused=_EUCLIDEAN),
    Case("Euclidean-wide", lambda: nnmod.Euclidean(19, 23), (9, 19), single=True, excused=_EUCLIDEAN),
    Case("Euclidean-unbatched", lambda: nnmod.Euclidean(5, 3), (5,), excused=_EUCLIDEAN),
    Case("Euclidean-inferred", lambda: nnmod.Euclidean(None, 3), (4, 5), excused=_EUCLIDEAN),
    Case("WeightedEuclidean", lambda: nnmod.WeightedEuclidean(5, 3), (4, 5), single=True, excused=_EUCLIDEAN),
    Case("WeightedEuclidean-unbatched", lambda: nnmod.WeightedEuclidean(5, 3), (5,), excused=_EUCLIDEAN),
    Case("WeightedEuclidean-inferred", lambda: nnmod.WeightedEuclidean(None, 3), (4, 5), excused=_EUCLIDEAN),
    Case("Cosine", lambda: nnmod.Cosine(5, 3), (4, 5), single=True),
    Case("Cosine-wide", lambda: nnmod.Cosine(19, 23), (9, 19), single=True),
    Case("Cosine-unbatched", lambda: nnmod.Cosine(5, 3), (5,)),
    Case("Cosine-inferred", lambda: nnmod.Cosine(None, 3), (4, 5)),
    Case("Kmeans", lambda: nnmod.Kmeans(3, 4), (7, 4), excused=_KMEANS),
    Case("Kmeans-scale", lambda: nnmod.Kmeans(2, 5, 0.5), (6, 5), excused=_KMEANS),
    Case("Kmeans-unbatched", lambda: nnmod.Kmeans(3, 4), (4,), excused=_KMEANS),
    # lookup
    Case("LookupTable", lambda: nnmod.LookupTable(7, 4), None, values=_indices(7, (5,))),
    Case("LookupTable-matrix_int32", lambda: nnmod.LookupTable(7, 4, 3), None,
         values=_indices(7, (3, 4), np.int32), excused=_LOOKUP),
    Case("LookupTable-by_frequency", lambda: nnmod.LookupTable(4, 3).scaleGradByFreq(), None,
         values=_indices(4, (9,)), excused=_LOOKUP),
    Case("LookupTable-max_norm", lambda: nnmod.LookupTable(7, 4, None, 1.2, 1.5), None,
         values=_indices(7, (5,)), excused=_LOOKUP),
    # sparse
    Case("SparseLinear", lambda: nnmod.SparseLinear(6, 3), None, values=_pairs(6, (4, 5)), excused=_SPARSE),
    Case("SparseLinear-one", lambda: nnmod.SparseLinear(6, 3), None, values=_pairs(6, (3,)), excused=_SPARSE),
    Case("SparseLinear-table", lambda: nnmod.SparseLinear(9, 4), None, excused=_SPARSE,
         values=lambda rng: [_pairs(9, (count,))(rng) for count in (3, 1, 4)]),
    Case("SparseLinear-gradient", lambda: nnmod.SparseLinear(6, 3, True), None, values=_pairs(6, (4, 5)),
         excused={"gradients_of": "its own tests have it", "nan": "indices hold no NaN"}),
    Case("IndexLinear", lambda: _drawn(nnmod.IndexLinear(9, 3)), None, values=_entries(9, 4, 1, 3)),
    Case("IndexLinear-one", lambda: _drawn(nnmod.IndexLinear(9, 1)), None,
         values=lambda rng: _entries(9, 4)(rng)[:2]),
    Case("IndexLinear-tables_offset", lambda: _drawn(nnmod.IndexLinear(9, 3, keysOffset=2)), None,
         values=lambda rng: [[rng.integers(-2, 7, n) for n in (3, 2)], [rng.standard_normal(n) for n in (3, 2)]]),
    Case("IndexLinear-normalize", lambda: _drawn(nnmod.IndexLinear(7, 3, normalize=True)), None,
         values=_entries(7, 4, 2, 5)),
    Case("IndexLinear-gradient", lambda: _drawn(nnmod.IndexLinear(6, 3, True)), None, values=_entries(6, 4, 2),
         excused={"gradients_of": "the gradient by the keys' values alone: test_sparse.py"}),
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
    Case("InstanceNormalization", lambda: nnmod.InstanceNormalization(3), (2, 3, 4, 3), single=True),
    Case("InstanceNormalization-not_affine", lambda: nnmod.InstanceNormalization(2, 1e-3, False), (3, 2, 2, 3),
         single=True),
    Case("InstanceNormalization-evaluate", lambda: nnmod.InstanceNormalization(3).evaluate(), (2, 3, 4, 3),
         single=True),
    Case("InstanceNormalization-unbatched", lambda: nnmod.InstanceNormalization(2), (2, 3, 4)),
    Case("InstanceNormalization-one_pixel", lambda: nnmod.InstanceNormalization(2), (3, 2, 1, 1)),
    Case("VolumetricBatchNormalization", lambda: nnmod.VolumetricBatchNormalization(3), (2, 3, 2, 2, 3)),
    Case("VolumetricBatchNormalization-evaluate", lambda: nnmod.VolumetricBatchNormalization(3).evaluate(),
         (2, 3, 2, 2, 3), single=True),
    Case("LayerNormalization", lambda: nnmod.LayerNormalization(5), (4, 5), single=True),
    Case("LayerNormalization-bias", lambda: nnmod.LayerNormalization(7, 0.5, 1e-3), (2, 3, 7), single=True),
    Case("LayerNormalization-not_affine", lambda: nnmod.LayerNormalization(5, affine=False), (4, 5), single=True),
    Case("Normalize", lambda: nnmod.Normalize(2), (4, 5), single=True),
    Case("Normalize-1", lambda: nnmod.Normalize(1), (4, 5), spread=True, single=True),
    Case("Normalize-p", lambda: nnmod.Normalize(3.5, 1e-6), (4, 5), spread=True, single=True),
    Case("Normalize-inf", lambda: nnmod.Normalize(math.inf), (4, 5), spread=True, single=True),
    # local normalization
    Case("SpatialCrossMapLRN", lambda: nnmod.SpatialCrossMapLRN(3, 0.5), (2, 5, 2, 3), single=True),
    Case("SpatialCrossMapLRN-wide", lambda: nnmod.SpatialCrossMapLRN(7, 1, 0.5, 1.5), (2, 3, 2, 3), single=True),
    Case("SpatialCrossMapLRN-1", lambda: nnmod.SpatialCrossMapLRN(1, 0.7, 0.875), (5, 2, 2)),
    Case("SpatialSubtractiveNormalization", lambda: nnmod.SpatialSubtractiveNormalization(3, np.ones((3, 3))),
         (2, 3, 4, 5), single=True),
    Case("SpatialSubtractiveNormalization-9x9", nnmod.SpatialSubtractiveNormalization, (2, 1, 4, 5), single=True),
    Case("SpatialSubtractiveNormalization-uneven", lambda: nnmod.SpatialSubtractiveNormalization(
        2, np.arange(1.0, 16).reshape(5, 3)), (2, 2, 6, 5), single=True),
    Case("SpatialDivisiveNormalization", lambda: nnmod.SpatialDivisiveNormalization(2, np.ones((3, 3))),
         (2, 2, 4, 5), single=True),
    Case("SpatialDivisiveNormalization-threshold", lambda: nnmod.SpatialDivisiveNormalization(
        2, np.array([1.0, 2, 1]), 0.8, 0.5), (2, 2, 4, 5), single=True),
    Case("SpatialDivisiveNormalization-uneven", lambda: nnmod.SpatialDivisiveNormalization(
        1, np.arange(1.0, 16).reshape(3, 5)), (1, 4, 5)),
    Case("SpatialContrastiveNormalization", lambda: nnmod.SpatialContrastiveNormalization(2, np.ones((3, 3))),
         (2, 2, 4, 5), single=True),
    Case("SpatialContrastiveNormalization-1d", lambda: nnmod.SpatialContrastiveNormalization(
        1, np.array([1.0, 2, 3, 2, 1])), (2, 1, 6, 5), single=True),
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
    Case("Threshold", nnmod.Threshold, (4, 6), spread=True, single=True),
    Case("Threshold-value", lambda: nnmod.Threshold(0.5, -3), (4, 6), spread=True, single=True),
    Case("Threshold-inplace", lambda: nnmod.Threshold(0.5, 0.1, True), (4, 6), spread=True),
    Case("ReLU6", nnmod.ReLU6, (4, 40), spread=True, single=True),
    Case("ReLU6-inplace", lambda: nnmod.ReLU6(True), (4, 40), spread=True),
    Case("PReLU", nnmod.PReLU, (4, 6), spread=True, single=True),
    Case("PReLU-rows", lambda: nnmod.PReLU(6), (4, 6), spread=True, single=True),
    Case("PReLU-images", lambda: nnmod.PReLU(3), (2, 3, 2, 4), spread=True),
    Case("RReLU", nnmod.RReLU, (4, 7), spread=True),
    Case("RReLU-inplace", lambda: nnmod.RReLU(0.1, 0.4, True), (4, 7), spread=True),
    Case("RReLU-evaluate", lambda: nnmod.RReLU().evaluate(), (4, 7), spread=True, single=True),
    Case("RReLU-inplace_evaluate", lambda: nnmod.RReLU(inplace=True).evaluate(), (4, 7), spread=True),
    Case("CReLU", lambda: nnmod.CReLU(1), (4, 3), spread=True, single=True),
    Case("CReLU-images_inplace", lambda: nnmod.CReLU(3, True), (2, 3, 2, 4), spread=True),
    Case("Clamp", lambda: nnmod.Clamp(-0.5, 0.8), (5, 6), spread=True, single=True),
    Case("Clamp-wide", lambda: nnmod.Clamp(-2, 1), (5, 9), spread=True, single=True),
    Case("HardShrink", nnmod.HardShrink, (5, 6), spread=True, single=True),
    Case("HardShrink-lam", lambda: nnmod.HardShrink(0.71), (5, 6), spread=True, single=True),
    Case("SoftShrink", nnmod.SoftShrink, (5, 6), spread=True, single=True),
    Case("SoftShrink-lam", lambda: nnmod.SoftShrink(0.21), (5, 6), spread=True, single=True),
    # sigmoid
    Case("LogSigmoid", nnmod.LogSigmoid, (3, 7), single=True),
    Case("LogSigmoid-far", nnmod.LogSigmoid, (10, 8), spread=True, single=True),
    Case("TanhShrink", nnmod.TanhShrink, (3, 7), single=True),
    Case("TanhShrink-volume", nnmod.TanhShrink, (2, 3, 4, 1, 2), single=True),
    Case("SoftSign", nnmod.SoftSign, (3, 7), spread=True, single=True),
    Case("SoftSign-vector", nnmod.SoftSign, (9,), spread=True),
    Case("GatedLinearUnit", nnmod.GatedLinearUnit, (3, 8), single=True),
    Case("GatedLinearUnit-channels", lambda: nnmod.GatedLinearUnit(1), (2, 4, 3, 2)),
    # pointwise
    Case("Abs", nnmod.Abs, (3, 6), spread=True, single=True),
    Case("Abs-images", nnmod.Abs, (2, 3, 2, 2), spread=True, single=True),
    Case("Power-square", lambda: nnmod.Power(2), (3, 5), single=True),
    Case("Power-cube", lambda: nnmod.Power(3), (3, 5), single=True),
    Case("Power-reciprocal", lambda: nnmod.Power(-1), (3, 5), spread=True, single=True),
    Case("Power-half", lambda: nnmod.Power(0.5), None, values=lambda rng: rng.uniform(0.5, 3, (3, 5)), single=True),
    Case("Power-4", lambda: nnmod.Power(4), (3, 5), single=True),
    Case("Square", nnmod.Square, (3, 5), single=True),
    Case("Square-vector", nnmod.Square, (7,)),
    Case("Sqrt", nnmod.Sqrt, None, values=lambda rng: rng.uniform(0.5, 3, (3, 5)), single=True),
    Case("Sqrt-b", lambda: nnmod.Sqrt(0.5), None, values=lambda rng: rng.uniform(0, 3, (3, 5)), single=True),
    Case("Exp", nnmod.Exp, (3, 5), single=True),
    Case("Exp-volume", nnmod.Exp, (2, 1, 3, 2, 2), single=True),
    Case("Log", nnmod.Log, None, values=lambda rng: rng.uniform(0.5, 3, (3, 5)), single=True),
    Case("Log-vector", nnmod.Log, None, values=lambda rng: rng.uniform(0.5, 3, 9)),
    Case("AddConstant", lambda: nnmod.AddConstant(2.5), (3, 5), single=True),
    Case("AddConstant-inplace", lambda: nnmod.AddConstant(-1, True), (3, 5)),
    Case("AddConstant-tensor", lambda: nnmod.AddConstant(np.arange(5.0)), (3, 5), single=True),
    Case("MulConstant", lambda: nnmod.MulConstant(2.5), (3, 5), single=True),
    Case("MulConstant-inplace", lambda: nnmod.MulConstant(-1, True), (3, 5)),
    Case("MulConstant-tensor", lambda: nnmod.MulConstant(np.arange(1, 11.0).reshape(2, 5)), (3, 2, 5), single=True),
    Case("Constant", lambda: nnmod.Constant(np.arange(6.0).reshape(2, 3), 1), (4, 5), single=True,
         excused={"nan": "the output does not depend on the input"}),
    Case("Constant-number", lambda: nnmod.Constant(2), (4, 5),
         excused={"nan": "the output does not depend on the input"}),
    # gradient
    Case("L1Penalty-zero", lambda: nnmod.L1Penalty(0), (3, 4), spread=True),
    Case("L1Penalty", lambda: nnmod.L1Penalty(0.1), (3, 4), spread=True,
         excused={"gradients_of": "the gradient holds that of the penalty: test_gradient.py"}),
    Case("L1Penalty-no_output", lambda: nnmod.L1Penalty(0.1, True, False), (3, 4), spread=True,
         excused={"gradients_of": "the gradient is that of the penalty alone: test_gradient.py",
                  "nan": "gradOutput is not read"}),
    Case("GradientReversal", nnmod.GradientReversal, (3, 4), single=True,
         excused={"gradients_of": "it changes the gradient, which is its purpose: test_gradient.py"}),
    Case("GradientReversal-lambda", lambda: nnmod.GradientReversal(0.3), (3, 4),
         excused={"gradients_of": "it changes the gradient, which is its purpose: test_gradient.py"}),
    Case("TotalVariation-zero", lambda: nnmod.TotalVariation(0), (2, 2, 3, 4), single=True),
    Case("TotalVariation", lambda: nnmod.TotalVariation(0.3), (2, 2, 3, 4), single=True,
         excused={"gradients_of": "the gradient holds that of the variation: test_gradient.py"}),
    Case("TotalVariation-unbatched", lambda: nnmod.TotalVariation(2), (1, 4, 1),
         excused={"gradients_of": "the gradient holds that of the variation: test_gradient.py"}),
    Case("ZeroGrad", nnmod.ZeroGrad, (3, 4), single=True,
         excused={"gradients_of": "it drops the gradient, which is its purpose: test_gradient.py",
                  "nan": "the gradient is 0 whatever comes"}),
    Case("ZeroGrad-images", nnmod.ZeroGrad, (2, 3, 2, 2),
         excused={"gradients_of": "it drops the gradient, which is its purpose: test_gradient.py",
                  "nan": "the gradient is 0 whatever comes"}),
    # softmax
    Case("SoftMin", nnmod.SoftMin, (4, 5), single=True),
    Case("SoftMin-image", nnmod.SoftMin, (3, 2, 4)),
    Case("SpatialSoftMax", nnmod.SpatialSoftMax, (2, 3, 2, 4), single=True),
    Case("SpatialSoftMax-image", nnmod.SpatialSoftMax, (3, 2, 4)),
    Case("SpatialLogSoftMax", nnmod.SpatialLogSoftMax, (2, 3, 2, 4), single=True),
    Case("SpatialLogSoftMax-image", nnmod.SpatialLogSoftMax, (3, 2, 4)),
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
    Case("Dropout-lazy", lambda: nnmod.Dropout(0.4, lazy=True), (4, 9)),
    Case("Dropout-mono", lambda: nnmod.Dropout(0.4, mono=True), (4, 9)),
    Case("SpatialDropout", nnmod.SpatialDropout, (3, 5, 2, 3)),
    Case("SpatialDropout-evaluate", lambda: nnmod.SpatialDropout(0.3).evaluate(), (3, 5, 2, 3), single=True),
    Case("SpatialDropout-stochastic", lambda: nnmod.SpatialDropout(0.3, True).evaluate(), (9, 2, 3)),
    Case("VolumetricDropout", lambda: nnmod.VolumetricDropout(0.3), (3, 5, 2, 1, 3)),
    Case("VolumetricDropout-evaluate", lambda: nnmod.VolumetricDropout().evaluate(), (2, 3, 2, 1, 3), single=True),
    Case("WhiteNoise", nnmod.WhiteNoise, (4, 7)),
    Case("WhiteNoise-evaluate", lambda: nnmod.WhiteNoise(0.5, 2).evaluate(), (4, 7), single=True),
    # reshape
    Case("Identity", nnmod.Identity, (3, 4), single=True),
    Case("Identity-table", nnmod.Identity, [(3, 4), (2,)]),
    Case("View", lambda: nnmod.View(6), (4, 2, 3)),
    Case("View-rest", lambda: nnmod.View(-1, 3, numInputDims=2), (4, 2, 6), single=True),
    Case("View-batch_of_one", lambda: nnmod.View(6, numInputDims=2), (1, 2, 3)),
    Case("Reshape", lambda: nnmod.Reshape(3, 2), (4, 6), single=True),
    Case("Reshape-batch", lambda: nnmod.Reshape(3, 2, batchMode=True), (6, 6)),
    Case("Reshape-whole", lambda: nnmod.Reshape(8, 3, batchMode=False), (4, 6)),
    Case("Squeeze", nnmod.Squeeze, (3, 1, 4, 1)),
    Case("Squeeze-dim", lambda: nnmod.Squeeze(-2), (3, 4, 1, 2), single=True),
    Case("Squeeze-batch", lambda: nnmod.Squeeze(1, 3), (2, 3, 1, 4), single=True),
    Case("Squeeze-batch_of_one", lambda: nnmod.Squeeze(None, 2), (1, 3, 1)),
    Case("Unsqueeze", lambda: nnmod.Unsqueeze(0), (2, 3)),
    Case("Unsqueeze-batch", lambda: nnmod.Unsqueeze(1, 2), (4, 2, 3), single=True),
    Case("Unsqueeze-end", lambda: nnmod.Unsqueeze(-1), (2, 3), single=True),
    Case("Collapse", lambda: nnmod.Collapse(2), (4, 2, 3), single=True),
    Case("Collapse-whole", lambda: nnmod.Collapse(3), (4, 2, 3)),
    Case("Contiguous", nnmod.Contiguous, (3, 4), single=True),
    Case("Contiguous-table", nnmod.Contiguous, [(3, 4), (2,)]),
    Case("PrintSize", lambda: nnmod.PrintSize("here"), (3, 4), single=True),
    Case("PrintSize-table", nnmod.PrintSize, [(3, 4), (2,)]),
    # layout
    Case("Transpose", lambda: nnmod.Transpose((0, 1)), (3, 4)),
    Case("Transpose-batch", lambda: nnmod.Transpose((0, 2), (0, 1), numInputDims=3), (2, 3, 4, 5), single=True),
    Case("Transpose-last", lambda: nnmod.Transpose((-1, -3)), (2, 3, 9, 10)),
    Case("Transpose-wide", lambda: nnmod.Transpose((1, 2)), (2, 17, 70)),
    Case("Transpose-none", nnmod.Transpose, (3, 4), single=True),
    Case("Convert", lambda: nnmod.Convert("bchw", "bhwc"), (2, 3, 4, 5), single=True),
    Case("Convert-swap", lambda: nnmod.Convert("bf", "fb"), (3, 4)),
    Case("Convert-flat", lambda: nnmod.Convert("bchw", "bf"), (2, 3, 4, 5), single=True),
    Case("Convert-flat_last", lambda: nnmod.Convert("chwb", "bf"), (3, 4, 5, 2)),
    Case("Convert-first", lambda: nnmod.Convert("bt", "b"), (5, 3)),
    Case("Convert-one", lambda: nnmod.Convert("fb", "b"), (1, 5)),
    Case("Convert-column", lambda: nnmod.Convert("b", "bt"), (5,)),
    Case("Convert-type", nnmod.Convert, (5, 2), single=True),
    Case("Copy", nnmod.Copy, (3, 4), single=True),
    Case("Copy-forced", lambda: nnmod.Copy(forceCopy=True), (3, 4), single=True),
    # indexing
    Case("Select", lambda: nnmod.Select(1, 2), (2, 3, 4)),
    Case("Select-first", lambda: nnmod.Select(0, -1), (3, 4)),
    Case("Select-last", lambda: nnmod.Select(-1, -2), (2, 3, 4), single=True),
    Case("Select-vector", lambda: nnmod.Select(0, 1), (4,)),
    Case("Narrow", lambda: nnmod.Narrow(1, 1, 2), (2, 4, 3)),
    Case("Narrow-rest", lambda: nnmod.Narrow(-1, 1, -2), (2, 3, 5), single=True),
    Case("Narrow-first", lambda: nnmod.Narrow(0, 1, 2), (4, 3)),
    Case("Replicate", lambda: nnmod.Replicate(3), (2, 4)),
    Case("Replicate-last", lambda: nnmod.Replicate(3, -1), (2, 4), single=True),
    Case("Replicate-batch", lambda: nnmod.Replicate(2, 1, 2), (3, 2, 4), single=True),
    Case("Index", lambda: nnmod.Index(0), None,
         values=lambda rng: [rng.standard_normal((5, 3)), np.array([1, 3, 1, 0])]),
    Case("Index-last", lambda: nnmod.Index(-1), None,
         values=lambda rng: [rng.standard_normal((3, 2, 4)), np.array([3, 0, 3], np.int32)]),
    Case("Index-middle", lambda: nnmod.Index(1), None,
         values=lambda rng: [rng.standard_normal((3, 4, 2)), np.array([2, 2, 0])]),
    Case("MaskedSelect", nnmod.MaskedSelect, None,
         values=lambda rng: [rng.standard_normal((4, 5)), rng.random((4, 5)) < 0.4]),
    Case("MaskedSelect-bytes", nnmod.MaskedSelect, None,
         values=lambda rng: [rng.standard_normal(7), np.array([1, 0, 0, 2, 0, 1, 0], np.uint8)]),
    Case("OneHot", lambda: nnmod.OneHot(5), None, values=lambda rng: rng.integers(0, 5, 7)),
    Case("OneHot-image", lambda: nnmod.OneHot(3), None,
         values=lambda rng: rng.integers(0, 3, (2, 4)).astype(np.int32)),
    # padding
    Case("AffineGridGeneratorBHWD", lambda: nnmod.AffineGridGeneratorBHWD(3, 4), (2, 2, 3), single=True),
    Case("AffineGridGeneratorBHWD-unbatched", lambda: nnmod.AffineGridGeneratorBHWD(2, 2), (2, 3)),
    Case("BilinearSamplerBHWD", nnmod.BilinearSamplerBHWD, [(2, 4, 5, 3), (2, 6, 6, 2)], excused=_UNSEEN),
    Case("BilinearSamplerBHWD-unbatched", nnmod.BilinearSamplerBHWD, [(3, 3, 2), (5, 6, 2)], excused=_UNSEEN),
    Case("ROIPooling", lambda: nnmod.ROIPooling(3, 2, 0.5), None, excused=_REGIONS,
         values=_regions([0, 2.2, 1.1, 5.3, 3.2], [0, 4, 4, 2, 1], [1, 0, 0, 6, 5])),
    Case("ROIPooling-first_version", lambda: nnmod.ROIPooling(2, 2, v2=False), None, excused=_REGIONS,
         values=_regions([0, 2.2, 1.1, 5.3, 3.2], [0, 4, 4, 2, 1], [1, 0, 0, 6, 5])),
    Case("ROIPooling-whole", lambda: nnmod.ROIPooling(2, 3), None,
         values=_regions([0, 2, 1, 5, 4], [0, 4, 4, 2, 1], [1, -1, 0, 7, 9])),
    Case("ROIPooling-whole_first_version", lambda: nnmod.ROIPooling(3, 1, 0.6, False), None,
         values=_regions([0, 2, 1, 5, 4], [0, 4, 4, 2, 1], [1, 0, 0, 9, 7])),
    Case("Padding", lambda: nnmod.Padding(0, 2), (3, 4)),
    Case("Padding-front", lambda: nnmod.Padding(0, -2, 1, 1.5), (3, 4), single=True),
    Case("Padding-inside", lambda: nnmod.Padding(1, 2, 3, -1, 1), (2, 3, 4)),
    Case("Padding-inside_front", lambda: nnmod.Padding(-1, -1, value=3, index=2), (2, 3, 4), single=True),
    Case("SpatialZeroPadding", lambda: nnmod.SpatialZeroPadding(1, 2, 3, 1), (2, 2, 3, 4), single=True),
    Case("SpatialZeroPadding-all", lambda: nnmod.SpatialZeroPadding(2), (2, 3, 2)),
    Case("SpatialZeroPadding-crop", lambda: nnmod.SpatialZeroPadding(-1, 2, 1, -2), (2, 2, 5, 4), single=True),
    Case("SpatialReflectionPadding", lambda: nnmod.SpatialReflectionPadding(1, 2, 2, 1), (2, 2, 3, 4), single=True),
    Case("SpatialReflectionPadding-crop", lambda: nnmod.SpatialReflectionPadding(-1, 3, -2, 2), (2, 2, 4, 5),
         single=True),
    Case("SpatialReflectionPadding-all", lambda: nnmod.SpatialReflectionPadding(1), (2, 3, 2)),
    Case("SpatialSymmetricPadding", lambda: nnmod.SpatialSymmetricPadding(1, 4, 3, 2), (2, 2, 3, 4), single=True,
         excused=_CONSTANT_BORDER),
    Case("SpatialSymmetricPadding-crop", lambda: nnmod.SpatialSymmetricPadding(-1, 3, -2, 2), (2, 2, 4, 5),
         single=True, excused=_CONSTANT_BORDER),
    Case("SpatialSymmetricPadding-no_border", lambda: nnmod.SpatialSymmetricPadding(0, -1), (2, 4, 3)),
    Case("ShaveImage", lambda: nnmod.ShaveImage(1), (2, 2, 3, 4), single=True),
    Case("ShaveImage-nothing", lambda: nnmod.ShaveImage(0), (2, 3, 4)),
    Case("SpatialReplicationPadding", lambda: nnmod.SpatialReplicationPadding(1, 2, 4, 1), (2, 2, 3, 4),
         single=True),
    Case("SpatialReplicationPadding-crop", lambda: nnmod.SpatialReplicationPadding(-1, 3, 0, -2), (2, 2, 4, 5),
         single=True),
    Case("VolumetricReplicationPadding", lambda: nnmod.VolumetricReplicationPadding(1, 2, 0, 1, 2, 1),
         (2, 2, 2, 3, 2), single=True),
    Case("VolumetricReplicationPadding-crop", lambda: nnmod.VolumetricReplicationPadding(1, -1, 2, -1, -1, 3),
         (1, 2, 3, 3, 3)),
    # reduction
    Case("Sum", nnmod.Sum, (3, 4)),
    Case("Sum-batch", lambda: nnmod.Sum(0, 2), (3, 4, 5), single=True),
    Case("Sum-keep", lambda: nnmod.Sum(1, squeeze=False), (3, 4, 9)),
    Case("Sum-average_last", lambda: nnmod.Sum(-1, sizeAverage=True), (3, 4, 5), single=True),
    Case("Sum-vector", lambda: nnmod.Sum(0), (7,)),
    Case("Mean", lambda: nnmod.Mean(1), (3, 4)),
    Case("Mean-batch", lambda: nnmod.Mean(0, 2), (3, 4, 8), single=True),
    Case("Mean-few", lambda: nnmod.Mean(0), (13, 3)),
    Case("Max", nnmod.Max, (5, 4), spread=True),
    Case("Max-batch", lambda: nnmod.Max(0, 2), (3, 5, 2), spread=True, single=True),
    Case("Max-last", lambda: nnmod.Max(-1), (2, 3, 7), spread=True, single=True),
    Case("Max-vector", nnmod.Max, (7,), spread=True),
    Case("Min", nnmod.Min, (5, 4), spread=True),
    Case("Min-last", lambda: nnmod.Min(1, 2), (2, 3, 7), spread=True, single=True),
    # container
    Case("Sequential", _net, (4, 5), single=True),
    Case("Sequential-empty", nnmod.Sequential, (4, 5), single=True),
    Case("Fused", lambda: nnmod.Fused(nnmod.Linear(5, 4), nnmod.ReLU()), (4, 5), single=True),
    Case("Fused-inferred", lambda: nnmod.Fused(nnmod.Linear(None, 4), nnmod.Tanh()), (4, 5), single=True),
    Case("Fused-convolution", lambda: nnmod.Fused(nnmod.SpatialConvolution(2, 3, 3, 3, 1, 1, 1, 1), nnmod.LeakyReLU(0.2)),
         (2, 2, 5, 4), single=True),
    Case("Fused-normalized", lambda: nnmod.Fused(
        nnmod.LinearNoBias(5, 4), nnmod.BatchNormalization(4), nnmod.Sigmoid()),
        (4, 5)),
    Case("Fused-evaluate", lambda: nnmod.Fused(
        nnmod.SpatialConvolution(2, 3, 3, 3), nnmod.SpatialBatchNormalization(3), nnmod.HardTanh()).evaluate(),
        (2, 2, 5, 4), single=True),
    Case("Sequential-inplace", lambda: nnmod.Sequential(nnmod.Linear(5, 4), nnmod.ReLU(True)), (4, 5)),
    Case("Concat", lambda: nnmod.Concat(1, nnmod.Linear(5, 2), nnmod.Identity(), _net()), (4, 5)),
    Case("Concat-last", lambda: nnmod.Concat(-1, nnmod.Linear(5, 2), nnmod.Tanh()), (5,)),
    # decorator
    Case("Decorator", lambda: nnmod.Decorator(nnmod.Linear(5, 3)), (4, 5), single=True),
    Case("Decorator-inplace", lambda: nnmod.Decorator(nnmod.ReLU(True)), (4, 5), spread=True),
    Case("Decorator-table", lambda: nnmod.Decorator(nnmod.CAddTable()), [(4, 5), (4, 5)]),
    Case("Bottle", lambda: nnmod.Bottle(nnmod.Linear(5, 3)), (2, 4, 5), single=True),
    Case("Bottle-not_needed", lambda: nnmod.Bottle(nnmod.Linear(5, 3)), (4, 5), single=True),
    Case("Bottle-more", lambda: nnmod.Bottle(nnmod.View(2, 3, numInputDims=1), 2, 3), (2, 3, 4, 6)),
    Case("Bottle-images", lambda: nnmod.Bottle(nnmod.SpatialConvolution(2, 3, 2, 2), 4), (2, 3, 2, 4, 4)),
    Case("WeightNorm", lambda: nnmod.WeightNorm(nnmod.Linear(5, 3)), (4, 5), single=True),
    Case("WeightNorm-no_bias", lambda: nnmod.WeightNorm(nnmod.Linear(5, 3, False), 1), (4, 5), single=True),
    Case("WeightNorm-convolution", lambda: nnmod.WeightNorm(nnmod.SpatialConvolution(2, 3, 3, 2)), (2, 2, 5, 4)),
    Case("WeightNorm-inner", lambda: nnmod.WeightNorm(nnmod.SpatialConvolution(2, 3, 3, 2), -3), (2, 2, 5, 4)),
    Case("WeightNorm-net", lambda: nnmod.Sequential(nnmod.WeightNorm(nnmod.Linear(5, 4)), nnmod.Tanh(),
                                                    nnmod.WeightNorm(nnmod.Linear(4, 2))), (3, 5), single=True),
    Case("DontCast", lambda: nnmod.DontCast(nnmod.Linear(5, 3), True, moduleType="float64"), (4, 5), single=True,
         excused={"types": "it keeps its type, which is its purpose"}),
    Case("DontCast-table", lambda: nnmod.DontCast(nnmod.ParallelTable(nnmod.Linear(5, 2), nnmod.Tanh()).double(),
                                                  True), [(4, 5), (4, 3)], excused={"types": "it keeps its type, which is its purpose"}),
    Case("NaN", lambda: nnmod.NaN(nnmod.Linear(5, 3)), (4, 5), single=True, excused={"nan": "it stops where it meets NaN, which is its purpose"}),
    Case("NaN-id", lambda: nnmod.NaN(nnmod.CAddTable(), "sum"), [(4, 5), (4, 5)], excused={"nan": "it stops where it meets NaN, which is its purpose"}),
    Case("Profile", lambda: nnmod.Profile(nnmod.Linear(5, 3)), (4, 5), single=True),
    Case("Profile-name", lambda: nnmod.Profile(nnmod.Tanh(), 1000, "activation"), (4, 5), single=True),
    Case("GPU", lambda: nnmod.GPU(nnmod.Linear(5, 3), 0), (4, 5), single=True),
    Case("GPU-out", lambda: nnmod.GPU(nnmod.Tanh(), 1, 0), (4, 5), single=True),
    Case("DepthConcat", lambda: nnmod.DepthConcat(
        1, nnmod.SpatialConvolution(2, 2, 1, 1), nnmod.SpatialConvolution(2, 3, 3, 3),
        nnmod.SpatialConvolution(2, 1, 2, 4)), (2, 2, 5, 6)),
    Case("DepthConcat-image", lambda: nnmod.DepthConcat(
        0, nnmod.SpatialConvolution(2, 1, 2, 2), nnmod.Tanh()), (2, 4, 3)),
    Case("DepthConcat-last", lambda: nnmod.DepthConcat(-1, nnmod.Linear(5, 2), nnmod.Tanh()), (4, 5), single=True),
    Case("Parallel", lambda: nnmod.Parallel(1, 0, nnmod.Linear(5, 3), nnmod.Linear(5, 2)), (5, 2)),
    Case("Parallel-batch", lambda: nnmod.Parallel(
        1, -1, nnmod.Linear(4, 3), nnmod.Tanh(), nnmod.Linear(4, 2)), (2, 3, 4)),
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
    Case("MapTable", lambda: nnmod.MapTable(nnmod.Linear(5, 2)), [(4, 5), (3, 5), (4, 5)]),
    Case("MapTable-not_shared", lambda: nnmod.MapTable(nnmod.Linear(5, 2), shared=False).extend(2), [(4, 5), (3, 5)]),
    Case("MapTable-net", lambda: nnmod.MapTable(nnmod.Sequential(
        nnmod.Linear(5, 3), nnmod.Tanh(), nnmod.BatchNormalization(3))), [(4, 5), (3, 5)]),
    Case("SplitTable", lambda: nnmod.SplitTable(1), (2, 3, 4)),
    Case("SplitTable-batch", lambda: nnmod.SplitTable(0, 2), (2, 3, 4)),
    Case("SplitTable-vector", lambda: nnmod.SplitTable(-1), (4,)),
    Case("CriterionTable", lambda: nnmod.CriterionTable(nnmod.MSECriterion()), [(4, 3), (4, 3)]),
    Case("CriterionTable-classes", lambda: nnmod.CriterionTable(nnmod.ClassNLLCriterion()), None,
         values=lambda rng: [rng.standard_normal((5, 3)), rng.integers(0, 3, 5)]),
    # routing
    Case("SelectTable", lambda: nnmod.SelectTable(1), [(2, 3), (4,), (3,)]),
    Case("NarrowTable-negative", lambda: nnmod.NarrowTable(-2, 2), [(2, 3), (4,), (3,)]),
    Case("SelectTable-name", lambda: nnmod.SelectTable("b"), {"a": (2, 3), "b": (4,), "c": [(3,)]}),
    Case("MapTable-named", lambda: nnmod.MapTable(nnmod.Linear(3, 2)), {"a": (4, 3), "b": (3,)}),
    Case("ConcatTable-named", lambda: nnmod.ConcatTable(
        nnmod.Sequential(nnmod.SelectTable("a"), nnmod.Linear(3, 2)), nnmod.SelectTable("b"),
        nnmod.Sequential(nnmod.SelectTable("a"), nnmod.Tanh())), {"a": (4, 3), "b": (3,)}),
    Case("SelectTable-nested", lambda: nnmod.SelectTable(-1), [(2, 3), [(4,), (3,)]]),
    Case("NarrowTable", lambda: nnmod.NarrowTable(1, 2), [(2, 3), (4,), (3,)]),
    Case("NarrowTable-nested", lambda: nnmod.NarrowTable(1), [(2, 3), [(4,), (3,)], [(2,)]]),
    Case("FlattenTable", nnmod.FlattenTable, [(2, 3), [(4,), [(3,), (2,)]]]),
    Case("FlattenTable-flat", nnmod.FlattenTable, [(2, 3), (3,)]),
    Case("ZipTable", nnmod.ZipTable, [[(2,), (3,), (4,)], [(5,), (2, 2), (1,)]]),
    Case("ZipTable-one", nnmod.ZipTable, [[(2,)], [(5,)]]),
    Case("ZipTableOneToMany", nnmod.ZipTableOneToMany, [(3,), [(4,), (2, 2)]]),
    Case("ZipTableOneToMany-one", nnmod.ZipTableOneToMany, [(3, 2), [(4,)]]),
    # arithmetic
    Case("CAddTable-shapes", nnmod.CAddTable, [(2, 3), (3, 2), (6,)]),
    Case("CSubTable", nnmod.CSubTable, [(2, 3), (2, 3)]),
    Case("CSubTable-shapes", nnmod.CSubTable, [(2, 3), (3, 2)]),
    Case("CMulTable", nnmod.CMulTable, [(2, 3), (2, 3)]),
    Case("CMulTable-four", nnmod.CMulTable, [(2, 3), (6,), (3, 2), (2, 3)]),
    Case("CMulTable-one", nnmod.CMulTable, [(2, 3)]),
    Case("CDivTable", nnmod.CDivTable, [(2, 3), (2, 3)]),
    Case("CDivTable-shapes", nnmod.CDivTable, [(2, 3), (6,)]),
    Case("CMaxTable", nnmod.CMaxTable, [(2, 3), (2, 3)], spread=True),
    Case("CMaxTable-four", nnmod.CMaxTable, [(2, 3), (6,), (3, 2), (2, 3)]),
    Case("CMinTable", nnmod.CMinTable, [(2, 3), (2, 3)]),
    Case("CMinTable-three", nnmod.CMinTable, [(2, 3), (6,), (3, 2)]),
    Case("CMinTable-one", nnmod.CMinTable, [(2, 3)]),
    Case("CAddTensorTable", nnmod.CAddTensorTable, [(5,), [(5,), (5,), (5,)]]),
    Case("CAddTensorTable-shapes", nnmod.CAddTensorTable, [(2, 3), [(6,)]]),
    Case("MixtureTable", nnmod.MixtureTable, [(3, 2), [(3, 4), (3, 4)]]),
    Case("MixtureTable-images", nnmod.MixtureTable, [(2, 3), [(2, 2, 3), (2, 2, 3), (2, 2, 3)]]),
    Case("MixtureTable-tensor", lambda: nnmod.MixtureTable(1), [(3, 2), (3, 2, 4)]),
    Case("MixtureTable-tensor_last", lambda: nnmod.MixtureTable(-1), [(3, 2), (3, 4, 2)]),
    Case("MixtureTable-unbatched", nnmod.MixtureTable, [(2,), (2, 3, 4)]),
    Case("MixtureTable-unbatched_table", nnmod.MixtureTable, [(2,), [(3,), (3,)]]),
    # product
    Case("MM", nnmod.MM, [(3, 4), (4, 5)]),
    Case("MM-batch_transB", lambda: nnmod.MM(False, True), [(2, 3, 4), (2, 5, 4)]),
    Case("MM-transA", lambda: nnmod.MM(True), [(4, 3), (4, 5)]),
    Case("MM-batch_both", lambda: nnmod.MM(True, True), [(2, 4, 3), (2, 5, 4)]),
    Case("MV", nnmod.MV, [(3, 4), (4,)]),
    Case("MV-batch", nnmod.MV, [(2, 3, 4), (2, 4)]),
    Case("MV-batch_trans", lambda: nnmod.MV(True), [(2, 3, 4), (2, 3)]),
    Case("MV-trans", lambda: nnmod.MV(True), [(3, 4), (3,)]),
    Case("DotProduct", nnmod.DotProduct, [(4, 5), (4, 5)]),
    Case("DotProduct-unbatched", nnmod.DotProduct, [(5,), (5,)]),
    Case("CosineDistance", nnmod.CosineDistance, [(4, 5), (4, 5)]),
    Case("CosineDistance-unbatched", nnmod.CosineDistance, [(5,), (5,)]),
    Case("PairwiseDistance", lambda: nnmod.PairwiseDistance(2), None, values=_apart((4, 5))),
    Case("PairwiseDistance-1", lambda: nnmod.PairwiseDistance(1), None, values=_apart((4, 5))),
    Case("PairwiseDistance-3", lambda: nnmod.PairwiseDistance(3), None, values=_apart((4, 5))),
    Case("PairwiseDistance-unbatched", lambda: nnmod.PairwiseDistance(1.5), None, values=_apart((5,))),
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
    Case("LSTM-noise", lambda: nnmod.Sequencer(nnmod.LSTM(3, 4, p=0.3)), (3, 2, 3)),
    Case("FastLSTM-noise", lambda: nnmod.Sequencer(nnmod.FastLSTM(3, 4, p=0.3, mono=True)), (3, 2, 3)),
    Case("FastLSTM-statistics", lambda: nnmod.Sequencer(nnmod.FastLSTM(3, 4, bn=True)), (3, 4, 3)),
    Case("GRU", lambda: nnmod.Sequencer(nnmod.GRU(3, 4)), (5, 2, 3)),
    Case("GRU-noise", lambda: nnmod.Sequencer(nnmod.GRU(3, 4, p=0.3)), (3, 2, 3)),
    Case("GRU-unbatched", lambda: nnmod.Sequencer(nnmod.GRU(3, 2)), (4, 3)),
    Case("MuFuRu", lambda: nnmod.Sequencer(nnmod.MuFuRu(3, 4)), (4, 2, 3)),
    Case("MuFuRu-ops", lambda: nnmod.Sequencer(nnmod.MuFuRu(3, 4, ("keep", "replace", "diff"))), (3, 2, 3)),
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
    Case("SeqLSTM-lengths", lambda: nnmod.SeqLSTM(3, 4).setLengths([5, 2, 0]), (5, 3, 3), excused=_PADDED),
    Case("SeqLSTM-lengths_left", lambda: nnmod.SeqLSTM(3, 4).setLengths([5, 2, 3], "left"), (5, 3, 3), excused=_PADDED),
    Case("SeqLSTMP", lambda: nnmod.SeqLSTMP(3, 5, 2), (4, 2, 3)),
    Case("SeqLSTMP-lengths", lambda: nnmod.SeqLSTMP(3, 5, 2, batchfirst=True).setLengths([1, 4]), (2, 4, 3), excused=_PADDED),
    Case("SeqGRU", lambda: nnmod.SeqGRU(3, 4), (5, 2, 3)),
    Case("SeqGRU-batchfirst", lambda: nnmod.SeqGRU(3, 4, batchfirst=True), (2, 5, 3), single=True),
    Case("SeqGRU-lengths", lambda: nnmod.SeqGRU(3, 4).setLengths([5, 2, 0]), (5, 3, 3), excused=_PADDED),
    Case("SeqGRU-lengths_left", lambda: nnmod.SeqGRU(3, 4, True).setLengths([5, 2, 3], "left"), (3, 5, 3), excused=_PADDED),
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
        3, 4, forwardModule=nnmod.SeqGRU(3, 4), backwardModule=nnmod.SeqGRU(3, 4)).setLengths([4, 2]), (4, 2, 3), excused=_PADDED),
    Case("BiSequencer", lambda: nnmod.BiSequencer(nnmod.LSTM(3, 2)), (4, 2, 3)),
    Case("BiSequencer-merge", lambda: nnmod.BiSequencer(
        nnmod.FastLSTM(3, 2), nnmod.GRU(3, 2), nnmod.CAddTable()), [(2, 3), (2, 3), (2, 3)]),
    Case("BiSequencerLM", lambda: nnmod.BiSequencerLM(nnmod.GRU(3, 2)), (4, 2, 3), excused=_ENDS),
    Case("BiSequencerLM-two", lambda: nnmod.BiSequencerLM(nnmod.Linear(3, 2), merge=1), [(2, 3), (2, 3)],
         excused=_ENDS),
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
    # graph
    Case("gModule", _graph(_graph_sum), (4, 5), single=True),
    Case("gModule-node", _graph(lambda: [nnmod.Linear(5, 3)()] * 2), (4, 5), single=True),
    Case("gModule-several", _graph(_graph_several), [(4, 5), (4, 3)]),
    Case("gModule-nested", _graph(_graph_nested), [(2, 3), [(2, 3), (2, 3)]]),
    Case("gModule-shared", _graph(_graph_shared), (3, 4), single=True),
    Case("gModule-dead", _graph(_graph_dead), (4, 5)),
    Case("gModule-tables", _graph(_graph_tables), (4, 5)),
    Case("gModule-inplace", _graph(_graph_inplace), (4, 5)),
    Case("gModule-inside", lambda: nnmod.Sequential(
        nnmod.gModule(*_graph_sum()), nnmod.gModule(*_graph_nested_inside())), (4, 5), single=True),
    Case("gModule-loss", _graph(_graph_loss), None,
         values=lambda rng: [rng.standard_normal((6, 5)), rng.integers(0, 4, 6)]),
    Case("JustElement", nnmod.JustElement, [(3, 4)]),
    Case("JustElement-table", nnmod.JustElement, [[(3, 4), (2,)]]),
    Case("JustTable", nnmod.JustTable, (3, 4), single=True),
    Case("JustTable-table", nnmod.JustTable, [(3, 4), (2,)]),
    Case("ModuleFromCriterion", lambda: nnmod.ModuleFromCriterion(nnmod.ClassNLLCriterion()), None,
         values=lambda rng: [rng.standard_normal((6, 4)), rng.integers(0, 4, 6)]),
    Case("ModuleFromCriterion-weights", lambda: nnmod.ModuleFromCriterion(
        nnmod.CrossEntropyCriterion(np.arange(1, 5, dtype=np.float32))), None,
         values=lambda rng: [rng.standard_normal((6, 4)), rng.integers(0, 4, 6).astype(np.int32)]),
]


def _like(shape, unit=False):
    return lambda rng: rng.uniform(size=shape) if unit else rng.standard_normal(shape)


def _classes(count, n_classes):
    return lambda rng: rng.integers(0, n_classes, count)


def _signs(*shape):
    return lambda rng: rng.choice([-1.0, 1.0], shape)


def _value(value):
    return lambda rng: value


def _distributions(shape):
    return lambda rng: (lambda e: e / e.sum(axis=-1, keepdims=True))(rng.exponential(size=shape))


def _both():
    return nnmod.ParallelCriterion().add(nnmod.MSECriterion(), 0.5).add(nnmod.ClassNLLCriterion(), 2)


_weights3, _weights4 = np.array([0.5, 2, 1], np.float32), np.array([0.5, 2, 1, 0.25], np.float32)

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
    CriterionCase("WeightedMSE", lambda: nnmod.WeightedMSECriterion(_weights3), (4, 3), _like((4, 3))),
    CriterionCase("WeightedMSE-single_sum", lambda: nnmod.WeightedMSECriterion(np.ones((2, 3)) / 3, False),
                  (2, 3), _like((2, 3))),
    CriterionCase("SpatialAutoCropMSE", nnmod.SpatialAutoCropMSECriterion, (2, 2, 3, 4), _like((2, 2, 6, 7))),
    CriterionCase("SpatialAutoCropMSE-sum", lambda: nnmod.SpatialAutoCropMSECriterion(False), (2, 3, 4),
                  _like((2, 3, 4))),
    CriterionCase("L1Cost", nnmod.L1Cost, (4, 3), _value(None), spread=True),
    CriterionCase("L1Cost-vector", nnmod.L1Cost, (5,), _value(None), spread=True),
    CriterionCase("SpatialClassNLL", nnmod.SpatialClassNLLCriterion, (2, 3, 2, 4), _classes((2, 2, 4), 3)),
    CriterionCase("SpatialClassNLL-weights_ignore", lambda: nnmod.SpatialClassNLLCriterion(
        _weights3, True, 1), (2, 3, 2, 4), _classes((2, 2, 4), 3)),
    CriterionCase("SpatialClassNLL-single_sum", lambda: nnmod.SpatialClassNLLCriterion(sizeAverage=False),
                  (3, 2, 2), _classes((2, 2), 3)),
    CriterionCase("DistKLDiv", nnmod.DistKLDivCriterion, (4, 3), _distributions((4, 3))),
    CriterionCase("DistKLDiv-sum", lambda: nnmod.DistKLDivCriterion(False), (2, 3, 2), _distributions((2, 3, 2))),
    CriterionCase("ClassSimplex", lambda: nnmod.ClassSimplexCriterion(4), (5, 4), _classes(5, 4)),
    CriterionCase("ClassSimplex-single_sum", lambda: nnmod.ClassSimplexCriterion(2, False), (2,), _value(1)),
    CriterionCase("Margin", nnmod.MarginCriterion, (4, 3), _signs(4, 3), spread=True),
    CriterionCase("Margin-margin_sum", lambda: nnmod.MarginCriterion(0.3, False), (7,), _signs(7), spread=True),
    CriterionCase("SoftMargin", nnmod.SoftMarginCriterion, (4, 3), _signs(4, 3)),
    CriterionCase("SoftMargin-sum", lambda: nnmod.SoftMarginCriterion(False), (7,), _signs(7)),
    CriterionCase("MultiMargin", nnmod.MultiMarginCriterion, (5, 4), _classes(5, 4)),
    CriterionCase("MultiMargin-weights", lambda: nnmod.MultiMarginCriterion(1, _weights4), (5, 4), _classes(5, 4)),
    CriterionCase("MultiMargin-squared_sum", lambda: nnmod.MultiMarginCriterion(2, _weights4, 0.3, False), (5, 4),
                  _classes(5, 4)),
    CriterionCase("MultiMargin-single", lambda: nnmod.MultiMarginCriterion(2), (4,), _value(3)),
    CriterionCase("MultiLabelMargin", nnmod.MultiLabelMarginCriterion, (3, 4),
                  _value(np.array([[0, 2, -1, -1], [1, -1, 2, 0], [3, 0, 1, 2]]))),
    CriterionCase("MultiLabelMargin-single_sum", lambda: nnmod.MultiLabelMarginCriterion(False), (5,),
                  _value(np.array([4, 1, -1, 0, 0], np.int32))),
    CriterionCase("MultiLabelSoftMargin", nnmod.MultiLabelSoftMarginCriterion, (4, 3), _like((4, 3), True)),
    CriterionCase("MultiLabelSoftMargin-weights_sum", lambda: nnmod.MultiLabelSoftMarginCriterion(_weights3, False),
                  (4, 3), _like((4, 3), True)),
    CriterionCase("HingeEmbedding", nnmod.HingeEmbeddingCriterion, (6, 4), _signs(6, 4), spread=True),
    CriterionCase("HingeEmbedding-margin_sum", lambda: nnmod.HingeEmbeddingCriterion(0.5, False), (9,), _signs(9),
                  spread=True),
    CriterionCase("HingeEmbedding-number", nnmod.HingeEmbeddingCriterion, (5,), _value(-1), spread=True),
    CriterionCase("L1HingeEmbedding", nnmod.L1HingeEmbeddingCriterion, [(4, 3), (4, 3)], _value(1.0)),
    CriterionCase("L1HingeEmbedding-apart", lambda: nnmod.L1HingeEmbeddingCriterion(40), [(5,), (5,)],
                  _value(np.array([-1.0]))),
    CriterionCase("L1HingeEmbedding-far", lambda: nnmod.L1HingeEmbeddingCriterion(0.1), [(5,), (5,)], _value(-1)),
    CriterionCase("CosineEmbedding", nnmod.CosineEmbeddingCriterion, [(6, 5), (6, 5)], _signs(6)),
    CriterionCase("CosineEmbedding-margin_sum", lambda: nnmod.CosineEmbeddingCriterion(-0.9, False),
                  [(6, 5), (6, 5)], _signs(6)),
    CriterionCase("CosineEmbedding-single", nnmod.CosineEmbeddingCriterion, [(5,), (5,)], _value(1)),
    CriterionCase("MarginRanking", nnmod.MarginRankingCriterion, [(6,), (6,)], _signs(6)),
    CriterionCase("MarginRanking-margin_sum", lambda: nnmod.MarginRankingCriterion(0.5, False),
                  [(6, 2), (6, 2)], _signs(6, 2)),
    CriterionCase("MarginRanking-number", nnmod.MarginRankingCriterion, [(3, 2), (3, 2)], _value(-1.0)),
    CriterionCase("DistanceRatio", nnmod.DistanceRatioCriterion, [(5,), (5,)], _value(None)),
    CriterionCase("DistanceRatio-sum", lambda: nnmod.DistanceRatioCriterion(False), [(5, 1), (5, 1)], _value(None)),
    CriterionCase("Multi", lambda: nnmod.MultiCriterion().add(nnmod.MSECriterion(), 0.5).add(
        nnmod.AbsCriterion(), 2), (4, 3), _like((4, 3)), spread=True),
    CriterionCase("Multi-table", lambda: nnmod.MultiCriterion().add(nnmod.CosineEmbeddingCriterion()).add(
        nnmod.MarginRankingCriterion(0.5), -0.3), [(4,), (4,)], _value(1)),
    CriterionCase("Parallel", _both, [(4, 3), (6, 4)], lambda rng: [_like((4, 3))(rng), _classes(6, 4)(rng)]),
    CriterionCase("Parallel-repeat", lambda: nnmod.ParallelCriterion(True).add(nnmod.MSECriterion()).add(
        nnmod.SmoothL1Criterion(), 3), [(4, 3), (4, 3)], _like((4, 3))),
    CriterionCase("Parallel-nested", lambda: nnmod.ParallelCriterion().add(_both(), 2).add(
        nnmod.DistanceRatioCriterion()).add(nnmod.L1Cost()), [[(4, 3), (6, 4)], [(3,), (3,)], (2, 2)],
        lambda rng: [[_like((4, 3))(rng), _classes(6, 4)(rng)], None, None]),
    CriterionCase("Module", lambda: nnmod.ModuleCriterion(nnmod.MSECriterion(), nnmod.Tanh(), nnmod.Sigmoid()),
                  (4, 3), _like((4, 3))),
    CriterionCase("Module-weights", lambda: nnmod.ModuleCriterion(
        nnmod.MultiMarginCriterion(), nnmod.Sequential(nnmod.Linear(3, 4), nnmod.Tanh())), (5, 3), _classes(5, 4)),
    CriterionCase("Module-target", lambda: nnmod.ModuleCriterion(
        nnmod.CosineEmbeddingCriterion(), targetModule=nnmod.HardTanh()), [(4, 5), (4, 5)],
        lambda rng: 10 * _signs(4)(rng)),
]
