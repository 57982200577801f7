"""Losses of distances and pairs: alike or not, above or below.

HingeEmbeddingCriterion, L1HingeEmbeddingCriterion, CosineEmbeddingCriterion,
MarginRankingCriterion, DistanceRatioCriterion.
"""
import numpy as np

from . import check, kernels, tensor
from .criterion import Criterion, PointwiseCriterion
from .errors import ShapeError
from .geometry import with_batch
from .kernels import formulas

_FLOAT64 = np.dtype(np.float64)
_total = kernels.elementwise_sum(formulas.row_loss)


class HingeEmbeddingCriterion(PointwiseCriterion):
    """Distances, small where alike: ``x`` where t is 1, ``max(0, margin - x)`` where it is -1; averaged.

    Parameters
    ----------
    margin : float
        The distance from which what is not alike has no loss any more.
    sizeAverage : bool
        False takes the sum.

    Shapes
    ------
    input   any, distances
    target  the same as input, or integers: 1 (alike) or -1; or one number for all

    Raises ValueError for a target that is neither.  Source: Torch7's
    nn.HingeEmbeddingCriterion.

    >>> HingeEmbeddingCriterion().forward(np.array([0.5, 0.25]), np.array([1.0, -1.0]))
    0.625
    """

    bufferNames = ("_expanded", "_signs")
    value = kernels.elementwise_sum(formulas.hinge_embedding)
    derivative = kernels.elementwise(formulas.hinge_embedding_grad)

    def __init__(self, margin=1, sizeAverage=True):
        super().__init__(sizeAverage)
        check.number(margin=margin)
        self.margin = margin
        self._signs = None

    def numbers(self):
        return self.margin,

    def updateOutput(self, input, target):
        super().updateOutput(input, target)
        if self.output != self.output:
            _refuse_other_than_signs(target)
        return self.output

    def takeArguments(self, input, target):
        check.floating("input", input)
        self.refuseEmptyAverage(input.size, input)
        return self.usable("input", input), _signs(self, target, input.shape, input)

    def describe(self):
        return _words(self, 1)


class L1HingeEmbeddingCriterion(Criterion):
    """Two tensors, near where alike: ``d`` if t is 1, ``max(0, margin - d)`` if it is -1.

    d is the sum of ``|a - b|`` over all elements.

    Parameters
    ----------
    margin : float
        The distance from which what is not alike has no loss any more.

    Shapes
    ------
    input   a table of two tensors of one shape, a and b
    target  1 (alike) or -1, a number or a tensor of one element

    Where a equals b the derivative is 0.  (Torch7 draws 1 or -1 there.)  Source:
    Torch7's nn.L1HingeEmbeddingCriterion (Hadsell, Chopra and LeCun, 2006).

    >>> L1HingeEmbeddingCriterion(2).forward([np.array([1.0, 0.5]), np.array([0.0, 0.0])], -1)
    0.5
    """

    distance = kernels.elementwise_sum(formulas.absolute_error)
    derivative = kernels.elementwise(formulas.l1_difference_grad, outputs=2)

    def __init__(self, margin=1):
        super().__init__()
        check.number(margin=margin)
        self.margin = margin

    def updateOutput(self, input, target):
        a, b = _pair(self, input)
        alike = _one_sign(target)
        distance = self.distance(a, b)
        gap = self.margin - distance
        self.output = distance if alike else 0.0 if gap <= 0 else float(gap)
        return self.output

    def updateGradInput(self, input, target):
        a, b = _pair(self, input)
        factor = 1.0 if _one_sign(target) else 0.0 if self.distance(a, b) > self.margin else -1.0
        gradients = self.resizePair(a, b)
        self.derivative(a, b, *gradients, factor)
        return gradients

    def describe(self):
        return "" if self.margin == 1 else f"margin={self.margin:g}"


class CosineEmbeddingCriterion(Criterion):
    """Pairs of rows, at a small angle where alike: ``1 - cos`` if t is 1, ``max(0, cos - margin)`` if -1.

    Averaged over the rows.

    Parameters
    ----------
    margin : float
        The cosine up to which what is not alike has no loss, within -1..1.
    sizeAverage : bool
        False takes the sum.

    Shapes
    ------
    input   a table of two tensors (N, D) or (D,)
    target  (N,) of the same dtype, or integers: 1 (alike) or -1; or one number for all

    Squared lengths have 1e-12 added, as in Torch7.  Raises ValueError for another
    target.  Source: Torch7's nn.CosineEmbeddingCriterion.

    >>> CosineEmbeddingCriterion().forward([np.array([3.0, 0.0]), np.array([0.0, 2.0])], 1)
    1.0
    """

    bufferNames = ("_signs", "_losses")

    def __init__(self, margin=0, sizeAverage=True):
        super().__init__()
        check.number(margin=margin, low=-1, high=1)
        check.boolean(sizeAverage=sizeAverage)
        self.margin = margin
        self.sizeAverage = sizeAverage
        self._signs = self._losses = None

    def updateOutput(self, input, target):
        a, b, t = self._taken(input, target)
        losses = self.resize("_losses", t.shape, like=a, dtype=_FLOAT64)
        kernels.of(a).cosine_embedding_update_output(a, b, t, losses, self.margin)
        self.output = _total(losses) * self._norm(t)
        if self.output != self.output:
            _refuse_other_than_signs(target)
        return self.output

    def updateGradInput(self, input, target):
        a, b, t = self._taken(input, target)
        gradients = self.resizePair(*input)
        da, db = (with_batch(g, 2) for g in gradients)
        kernels.of(a).cosine_embedding_update_grad_input(a, b, t, da, db, self.margin, self._norm(t))
        return gradients

    def _taken(self, input, target):
        a, b = _pair(self, input)
        a, b = check.batched("input[0]", a, "N", "D"), with_batch(b, 2)
        self.refuseEmptyAverage(len(a), input)
        return a, b, _signs(self, target, (len(a),), a)

    def _norm(self, target):
        return 1 / len(target) if self.sizeAverage else 1.0

    def describe(self):
        return _words(self, 0)


class MarginRankingCriterion(Criterion):
    """Pairs of scores in the right order: the average of ``max(0, margin - t (a - b))``.

    Parameters
    ----------
    margin : float
        How far apart scores in the right order have no loss any more.
    sizeAverage : bool
        False takes the sum.  The average is over the first dimension.

    Shapes
    ------
    input   a table of two tensors of one shape, a and b
    target  the same shape and dtype, or integers: 1 (a shall be the higher) or -1; or one number for all

    At the corner the pair still counts.  Raises ValueError for another target.  Source:
    Torch7's nn.MarginRankingCriterion.

    >>> MarginRankingCriterion(0.5).forward([np.array([1.0, 2.0]), np.array([1.0, 0.0])], 1)
    0.25
    """

    bufferNames = ("_signs",)
    value = kernels.elementwise_sum(formulas.margin_ranking)
    derivative = kernels.elementwise(formulas.margin_ranking_grad, outputs=2)

    def __init__(self, margin=1, sizeAverage=True):
        super().__init__()
        check.number(margin=margin)
        check.boolean(sizeAverage=sizeAverage)
        self.margin = margin
        self.sizeAverage = sizeAverage
        self._signs = None

    def updateOutput(self, input, target):
        a, b, t = self._taken(input, target)
        self.output = self.value(a, b, t, self.margin) * _rows_norm(self, a)
        if self.output != self.output:
            _refuse_other_than_signs(target)
        return self.output

    def updateGradInput(self, input, target):
        a, b, t = self._taken(input, target)
        gradients = self.resizePair(a, b)
        self.derivative(a, b, t, *gradients, self.margin, _rows_norm(self, a))
        return gradients

    def _taken(self, input, target):
        a, b = _pair(self, input)
        self.refuseEmptyAverage(a.size, input)
        return a, b, _signs(self, target, a.shape, a)

    def describe(self):
        return _words(self, 1)


class DistanceRatioCriterion(Criterion):
    """Triplets: ``-log(exp(-a) / (exp(-a) + exp(-b)))`` of the distances to the like and the unlike.

    Averaged over the first dimension; it does not overflow.

    Parameters
    ----------
    sizeAverage : bool
        False takes the sum.

    Shapes
    ------
    input   a table of two tensors of one shape: a, distances of what is alike, and b, of
            what is not
    target  not looked at: None, or what other losses beside it take

    Source: Torch7's nn.DistanceRatioCriterion (Hoffer and Ailon, "Deep metric learning
    using triplet network", 2015).

    >>> round(DistanceRatioCriterion().forward([np.array([900.0]), np.array([900.0])]), 4)
    0.6931
    """

    value = kernels.elementwise_sum(formulas.distance_ratio)
    derivative = kernels.elementwise(formulas.distance_ratio_grad, outputs=2)

    def __init__(self, sizeAverage=True):
        super().__init__()
        check.boolean(sizeAverage=sizeAverage)
        self.sizeAverage = sizeAverage

    def updateOutput(self, input, target=None):
        a, b = self._taken(input)
        self.output = self.value(a, b) * _rows_norm(self, a)
        return self.output

    def updateGradInput(self, input, target=None):
        a, b = self._taken(input)
        gradients = self.resizePair(a, b)
        self.derivative(a, b, *gradients, _rows_norm(self, a))
        return gradients

    def _taken(self, input):
        a, b = _pair(self, input)
        self.refuseEmptyAverage(a.size, input)
        return a, b

    def describe(self):
        return "" if self.sizeAverage else "sizeAverage=False"


# -- what they share: pairs, and targets of 1 or -1 ------------------------------------


def _pair(criterion, input):
    """Check a table of two tensors of one shape; return both in a form that kernels can use."""
    check.table("input", input, 2)
    check.floating("input[0]", input[0])
    check.same_shape("input[1]", input[1], "input[0]", input[0])
    return criterion.usable("input[0]", input[0]), criterion.usable("input[1]", input[1])


def _is_number(value):
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _signs(criterion, target, shape, like):
    """The target as a tensor of *shape*; a number stands for all its elements."""
    if _is_number(target):
        _refuse_other_than_signs(target)
        signs = criterion.resize("_signs", shape, like=like)
        tensor.fill(signs, target)
        return signs
    check.is_tensor("target", target, f"np.{like.dtype.name}")
    if target.shape != shape:
        raise ShapeError(f"target must have shape {check.show(shape)}, or be the number 1 or -1 for all, "
                         f"got {target.shape}")
    if target.dtype.kind == "i":  # labels
        signs = criterion.resize("_signs", shape, like=like)
        tensor.copy(target, signs)
        return signs
    if target.dtype != like.dtype:
        raise TypeError(f"target must be {like.dtype.name} like the input, or of integers, got {target.dtype.name}")
    return criterion.usable("target", target)


def _one_sign(target):
    """Whether the one target, a number or a tensor of one element, is 1 (and not -1)."""
    if tensor.is_tensor(target) and target.size == 1:
        target = target.item()
    elif not _is_number(target):
        raise TypeError(f"target must be the number 1 or -1, got {tensor.describe(target)}")
    _refuse_other_than_signs(target)
    return target == 1


def _refuse_other_than_signs(target):
    """Raise ValueError if a target is neither 1 nor -1 (what a loss of NaN may come from)."""
    if _is_number(target):
        if target not in (1, -1):
            raise ValueError(f"target must be 1 or -1, got {target!r}")
        return
    target = tensor.host(target)
    wrong = (target != 1) & (target != -1)
    if wrong.any():
        index = np.unravel_index(wrong.argmax(), wrong.shape)
        place = ", ".join(map(str, index))
        raise ValueError(f"target[{place}] is {target[index]:g}, but must be 1 or -1")


def _rows_norm(criterion, x):
    return 1 / len(x) if criterion.sizeAverage and x.ndim else 1.0


def _words(criterion, margin):
    known = [] if criterion.margin == margin else [f"margin={criterion.margin:g}"]
    return ", ".join(known + ([] if criterion.sizeAverage else ["sizeAverage=False"]))
