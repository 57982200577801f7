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
    # activation
    Twin("Tanh", lambda r: (nnmod.Tanh(), r.standard_normal((3, 17))), lambda F, m, x: x.tanh(),
         sized(lambda s: nnmod.Tanh(), (16, 64), (128, 1024), (512, 4096))),
    # criterion
    Twin("MSECriterion",
         lambda r: (nnmod.MSECriterion(sizeAverage=bool(r.integers(2))), r.standard_normal((4, 5)),
                    r.standard_normal((4, 5))),
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
