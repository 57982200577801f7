"""Losses of scores and probabilities: which class, which labels, which distribution.

ClassNLLCriterion, SpatialClassNLLCriterion, CrossEntropyCriterion, MultiMarginCriterion,
MultiLabelMarginCriterion, ClassSimplexCriterion; elementwise: BCECriterion,
MultiLabelSoftMarginCriterion, MarginCriterion, SoftMarginCriterion, DistKLDivCriterion.
"""
import functools

import numpy as np

from . import check, geometry, kernels, tensor
from .criterion import Criterion, PointwiseCriterion
from .kernels import formulas
from .softmax import LogSoftMax

_FLOAT64, _UINT8 = np.dtype(np.float64), np.dtype(np.uint8)
_total = kernels.elementwise_sum(formulas.row_loss)


class BCECriterion(PointwiseCriterion):
    """Binary cross entropy: the average of ``-(t log x + (1 - t) log(1 - x))``.

    Parameters
    ----------
    weights : tensor or None
        A factor for each element of an example, (n,) for an input (N, n) or (n,).
    sizeAverage : bool
        False takes the sum.

    Shapes
    ------
    input   any, probabilities within 0..1 (the output of a Sigmoid)
    target  the same as input, within 0..1

    Logarithms are taken of x + 1e-12, as in Torch7.  Source: Torch7's nn.BCECriterion.

    >>> x, t = np.array([0.5, 0.5], np.float32), np.array([1, 0], np.float32)
    >>> round(BCECriterion().forward(x, t), 4)  # log 2
    0.6931
    """

    value = kernels.elementwise_sum(formulas.binary_cross_entropy)
    derivative = kernels.elementwise(formulas.binary_cross_entropy_grad)
    weightedValue = kernels.elementwise_sum(formulas.weighted_binary_cross_entropy)
    weightedDerivative = kernels.elementwise(formulas.weighted_binary_cross_entropy_grad)

    def __init__(self, weights=None, sizeAverage=True):
        super().__init__(sizeAverage)
        self.takeClassWeights(weights)


class MultiLabelSoftMarginCriterion(PointwiseCriterion):
    """Sigmoid and binary cross entropy in one, for several labels at once.

    The average of ``-(t log s + (1 - t) log(1 - s))``, where s is sigmoid(x); it does not
    overflow.

    Parameters
    ----------
    weights : tensor or None
        (C,): a factor for each label.
    sizeAverage : bool
        False takes the sum.

    Shapes
    ------
    input   (N, C) or (C,), scores
    target  the same as input, within 0..1 (1: the label holds)

    Source: Torch7's nn.MultiLabelSoftMarginCriterion.

    >>> round(MultiLabelSoftMarginCriterion().forward(np.array([900.0, 0.0]), np.array([1.0, 1.0])), 4)
    0.3466
    """

    value = kernels.elementwise_sum(formulas.binary_logits)
    derivative = kernels.elementwise(formulas.binary_logits_grad)
    weightedValue = kernels.elementwise_sum(formulas.weighted_binary_logits)
    weightedDerivative = kernels.elementwise(formulas.weighted_binary_logits_grad)

    def __init__(self, weights=None, sizeAverage=True):
        super().__init__(sizeAverage)
        self.takeClassWeights(weights)


class MarginCriterion(PointwiseCriterion):
    """Two classes with a hinge: the average of ``max(0, margin - t x)``.

    Parameters
    ----------
    margin : float
        How far on its side a score has no loss any more.
    sizeAverage : bool
        False takes the sum.

    Shapes
    ------
    input   any, scores
    target  the same as input: 1 or -1

    Source: Torch7's nn.MarginCriterion.

    >>> MarginCriterion().forward(np.array([2.0, 0.5]), np.array([1.0, -1.0]))
    0.75
    """

    value = kernels.elementwise_sum(formulas.margin_loss)
    derivative = kernels.elementwise(formulas.margin_loss_grad)

    def __init__(self, margin=1, sizeAverage=True):
        super().__init__(sizeAverage)
        check.number(margin=margin)
        self.margin = margin

    def numbers(self):
        return self.margin,

    def describe(self):
        return _words(self, margin=1)


class SoftMarginCriterion(PointwiseCriterion):
    """Two classes with a logistic loss: the average of ``log(1 + exp(-t x))``.

    Parameters
    ----------
    sizeAverage : bool
        False takes the sum.

    Shapes
    ------
    input   any, scores
    target  the same as input: 1 or -1

    Large scores give large losses; Torch7's are inf there, and its gradients NaN.
    Source: Torch7's nn.SoftMarginCriterion.

    >>> SoftMarginCriterion().forward(np.array([-800.0]), np.array([1.0]))
    800.0
    """

    value = kernels.elementwise_sum(formulas.soft_margin)
    derivative = kernels.elementwise(formulas.soft_margin_grad)

    def __init__(self, sizeAverage=True):
        super().__init__(sizeAverage)


class DistKLDivCriterion(PointwiseCriterion):
    """Kullback-Leibler divergence of distributions: the average of ``t (log t - x)``.

    Parameters
    ----------
    sizeAverage : bool
        False takes the sum.  (The average is over all elements, not over the rows.)

    Shapes
    ------
    input   any, log-probabilities (the output of a LogSoftMax)
    target  the same as input, probabilities; where t is not > 0 there is no loss

    Source: Torch7's nn.DistKLDivCriterion.

    >>> DistKLDivCriterion().forward(np.log([0.5, 0.5]), np.array([0.5, 0.5]))
    0.0
    """

    value = kernels.elementwise_sum(formulas.kl_divergence)
    derivative = kernels.elementwise(formulas.kl_divergence_grad)

    def __init__(self, sizeAverage=True):
        super().__init__(sizeAverage)


class ClassNLLCriterion(Criterion):
    """Negative log-likelihood of the right class: the average of ``-x[n, target[n]]``.

    Parameters
    ----------
    weights : tensor or None
        (C,): a factor for each class.  The average then divides by the sum of the
        factors of the targets.
    sizeAverage : bool
        False takes the sum.
    ignoreIndex : int
        Rows with this target do not count.

    Shapes
    ------
    input   (N, C) or (C,), log-probabilities (the output of a LogSoftMax)
    target  (N,) int32 or int64, classes 0 .. C-1; an int for an input (C,)

    Raises IndexError for a class that is not there.  Source: Torch7's
    nn.ClassNLLCriterion, with classes counted from 0.

    >>> ClassNLLCriterion().forward(np.array([[-1.0, -2.0]]), np.array([1]))
    2.0
    """

    stateNames = ("weights",)
    bufferNames = ("_out",)

    def __init__(self, weights=None, sizeAverage=True, ignoreIndex=-100):
        super().__init__()
        check.boolean(sizeAverage=sizeAverage)
        if not check.is_int(ignoreIndex):
            raise ValueError(f"ignoreIndex must be an int, got {ignoreIndex!r}")
        self.takeClassWeights(weights)
        self.sizeAverage = sizeAverage
        self.ignoreIndex = ignoreIndex
        self._out = None

    def updateOutput(self, input, target):
        K, x, t = self.takeArguments(input, target)
        out = self.resize("_out", (2,), like=x, dtype=_FLOAT64)
        K.class_nll_update_output(x, t, self.weights, out, self.ignoreIndex)
        loss, total = map(float, tensor.host(out))
        self.output = loss / total if self.sizeAverage and total != 0 else loss
        return self.output

    def updateGradInput(self, input, target):
        K, x, t = self.takeArguments(input, target)
        dx = self.resize("gradInput", input.shape, like=input)
        K.class_nll_update_grad_input(
            t, self.weights, dx.reshape(x.shape), self.ignoreIndex, self.sizeAverage)
        return dx

    def takeArguments(self, input, target):
        """Check input and target; return the kernels, (N, C, S) and (N, S)."""
        check.floating("input", input)
        x = check.batched("input", input, "N", "C")
        self.checkWeights(x, input)
        N, C = x.shape
        K = kernels.of(x, self.weights)
        target = self.usable("target", check.class_targets(target, N, C, self.ignoreIndex, like=x))
        return K, self.usable("input", x).reshape(N, C, 1), target.reshape(N, 1)

    def checkWeights(self, x, input):
        """Check that the weights, if any, fit x of shape (N, C, ...), and that there is an average."""
        self.refuseEmptyAverage(x.size // max(1, x.shape[1]), input)
        if self.weights is not None:
            check.shape("input", x, "N", self.weights.size, *x.shape[2:], hint="one weight for each class")

    def describe(self):
        known = [] if self.weights is None else [f"{self.weights.size} weights"]
        known += [] if self.sizeAverage else ["sizeAverage=False"]
        return ", ".join(known + ([] if self.ignoreIndex == -100 else [f"ignoreIndex={self.ignoreIndex}"]))


class SpatialClassNLLCriterion(ClassNLLCriterion):
    """Negative log-likelihood of the right class of every pixel, averaged over all of them.

    Parameters
    ----------
    weights : tensor or None
        (C,): a factor for each class.  The average then divides by the sum of the
        factors of the targets.
    sizeAverage : bool
        False takes the sum.
    ignoreIndex : int
        Pixels with this target do not count.  (Torch7 has it in ClassNLLCriterion only.)

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W), log-probabilities (the output of a SpatialLogSoftMax)
    target  (N, H, W) or (H, W), int32 or int64, classes 0 .. C-1

    Raises IndexError for a class that is not there.  Source: Torch7's
    nn.SpatialClassNLLCriterion, with classes counted from 0.

    >>> SpatialClassNLLCriterion().forward(np.full((2, 3, 3), -1.5), np.zeros((3, 3), int))
    1.5
    """

    def takeArguments(self, input, target):
        check.floating("input", input)
        x = check.batched("input", input, "N", "C", "H", "W")
        self.checkWeights(x, input)
        N, C, H, W = x.shape
        K = kernels.of(x, self.weights)
        shape = input.shape[:-3] + (H, W)
        target = self.usable("target", check.class_targets(target, shape, C, self.ignoreIndex, like=x))
        return K, self.usable("input", x).reshape(N, C, H * W), target.reshape(N, H * W)


class CrossEntropyCriterion(Criterion):
    """LogSoftMax and ClassNLLCriterion in one.

    Parameters
    ----------
    weights, sizeAverage
        As of ClassNLLCriterion.

    Shapes
    ------
    input   (N, C) or (C,), any numbers
    target  (N,) int32 or int64, classes 0 .. C-1; an int for an input (C,)

    Source: Torch7's nn.CrossEntropyCriterion.

    >>> criterion, scores = CrossEntropyCriterion(), np.zeros((1, 4), np.float32)
    >>> round(criterion.forward(scores, np.array([2])), 4)  # log 4: all classes alike
    1.3863
    >>> criterion.backward(scores, np.array([2]))
    array([[ 0.25,  0.25, -0.75,  0.25]], dtype=float32)
    """

    def __init__(self, weights=None, sizeAverage=True):
        super().__init__()
        self.lsm = LogSoftMax()
        self.nll = ClassNLLCriterion(weights, sizeAverage)
        self._type = self.nll._type

    @property
    def modules(self):
        """The two parts."""
        return self.lsm, self.nll

    def updateOutput(self, input, target):
        self.nll.takeArguments(input, target)
        self.output = self.nll.forward(self.lsm.forward(input), target)
        return self.output

    def updateGradInput(self, input, target):
        if self.lsm.output is None or input is not self.lsm._given:
            self.nll.takeArguments(input, target)
            self.lsm.forward(input)
        self.gradInput = self.lsm.backward(input, self.nll.backward(self.lsm.output, target))
        return self.gradInput

    def describe(self):
        return self.nll.describe()


class MultiMarginCriterion(Criterion):
    """One class of several, with a hinge: ``sum over c != t of max(0, margin - x[t] + x[c])**p / C``.

    Averaged over the rows.

    Parameters
    ----------
    p : int
        1 or 2.
    weights : tensor or None
        (C,): a factor for the loss of each row, by the class of its target.
    margin : float
        How far above the others the score of the target has no loss any more.
    sizeAverage : bool
        False takes the sum over the rows.

    Shapes
    ------
    input   (N, C) or (C,), scores
    target  (N,) int32 or int64, classes 0 .. C-1; an int for an input (C,)

    Raises IndexError for a class that is not there.  Source: Torch7's
    nn.MultiMarginCriterion, with classes counted from 0.

    >>> MultiMarginCriterion().forward(np.array([1.0, 0.5, -3.0, 1.0]), 0)
    0.375
    """

    stateNames = ("weights",)
    bufferNames = ("_losses",)

    def __init__(self, p=1, weights=None, margin=1, sizeAverage=True):
        super().__init__()
        if p not in (1, 2):
            raise ValueError(f"p must be 1 or 2, got {p!r}")
        check.number(margin=margin)
        check.boolean(sizeAverage=sizeAverage)
        self.takeClassWeights(weights)
        self.p = int(p)
        self.margin = margin
        self.sizeAverage = sizeAverage
        self._losses = None

    def updateOutput(self, input, target):
        K, x, t = self._taken(input, target)
        losses = self.resize("_losses", t.shape, like=x, dtype=_FLOAT64)
        K.multi_margin_update_output(x, t, self.weights, losses, self.p, self.margin)
        self.output = _total(losses) / (len(t) if self.sizeAverage else 1)
        return self.output

    def updateGradInput(self, input, target):
        K, x, t = self._taken(input, target)
        dx = self.resize("gradInput", input.shape, like=input)
        norm = 1 / (x.size if self.sizeAverage else max(1, x.shape[1]))
        K.multi_margin_update_grad_input(
            x, t, self.weights, geometry.with_batch(dx, 2), self.p, self.margin, norm)
        return dx

    def _taken(self, input, target):
        check.floating("input", input)
        x = check.batched("input", input, "N", "C" if self.weights is None else self.weights.size,
                          hint="" if self.weights is None else "one weight for each class")
        self.refuseEmptyAverage(x.size, input)
        t = check.class_targets(target, *x.shape, like=x)
        return kernels.of(x, self.weights), self.usable("input", x), self.usable("target", t)

    def describe(self):
        known = [] if self.p == 1 else ["p=2"]
        known += [] if self.weights is None else [f"{self.weights.size} weights"]
        return ", ".join(known + [words for words in [_words(self, margin=1)] if words])


class MultiLabelMarginCriterion(Criterion):
    """Several classes at once, with a hinge.

    ``sum over t in, c not in the row's labels of max(0, 1 - x[t] + x[c]) / C``, averaged
    over the rows.

    Parameters
    ----------
    sizeAverage : bool
        False takes the sum over the rows.

    Shapes
    ------
    input   (N, C) or (C,), scores
    target  the same shape, int32 or int64: the labels of the row, classes 0 .. C-1, and
            then -1; what comes after the first -1 does not count

    Raises IndexError for a class that is not there.  Source: Torch7's
    nn.MultiLabelMarginCriterion, with classes counted from 0, and -1 for its 0.

    >>> MultiLabelMarginCriterion().forward(np.array([0.5, 1.0, 0.25, 0.0]), np.array([0, 1, -1, -1]))
    0.375
    """

    bufferNames = ("_isTarget", "_losses")

    def __init__(self, sizeAverage=True):
        super().__init__()
        check.boolean(sizeAverage=sizeAverage)
        self.sizeAverage = sizeAverage
        self._isTarget = self._losses = None

    def updateOutput(self, input, target):
        K, x, t = self._taken(input, target)
        losses = self.resize("_losses", (len(t),), like=x, dtype=_FLOAT64)
        K.multi_label_margin_update_output(x, t, self.resize("_isTarget", t.shape, like=x, dtype=_UINT8), losses)
        self.output = _total(losses) / (len(t) if self.sizeAverage else 1)
        return self.output

    def updateGradInput(self, input, target):
        K, x, t = self._taken(input, target)
        dx = self.resize("gradInput", input.shape, like=input)
        norm = 1 / (x.size if self.sizeAverage else max(1, x.shape[1]))
        K.multi_label_margin_update_grad_input(
            x, t, self.resize("_isTarget", t.shape, like=x, dtype=_UINT8), geometry.with_batch(dx, 2), norm)
        return dx

    def _taken(self, input, target):
        check.floating("input", input)
        x = check.batched("input", input, "N", "C")
        self.refuseEmptyAverage(x.size, input)
        t = check.class_targets(target, input.shape, x.shape[1], low=-1, like=x)
        return (kernels.of(x), self.usable("input", x),
                geometry.with_batch(self.usable("target", t), 2))

    def describe(self):
        return "" if self.sizeAverage else "sizeAverage=False"


class ClassSimplexCriterion(PointwiseCriterion):
    """Mean squared error to the vertex of the right class on a regular simplex.

    Parameters
    ----------
    nClasses : int
        At least 2.
    sizeAverage : bool
        False takes the sum.

    Attributes
    ----------
    simplex : (nClasses, nClasses)
        A vertex for each class, at distance 1 from the origin and as far from all
        others; the last coordinate of each is 0.

    Shapes
    ------
    input   (N, nClasses) or (nClasses,), embeddings
    target  (N,) int32 or int64, classes 0 .. nClasses-1; an int for an input (nClasses,)

    Raises IndexError for a class that is not there.  Source: Torch7's
    nn.ClassSimplexCriterion (Mroueh et al., "Multiclass learning with simplex coding",
    2012), with classes counted from 0.

    >>> criterion = ClassSimplexCriterion(3)
    >>> criterion.getTopPrediction(criterion.simplex)
    array([0, 1, 2])
    """

    bufferNames = ("_expanded", "_target", "_predictions")
    value = kernels.elementwise_sum(formulas.squared_error)
    derivative = kernels.elementwise(formulas.squared_error_grad)

    def __init__(self, nClasses, sizeAverage=True):
        super().__init__(sizeAverage)
        if not check.is_int(nClasses) or nClasses < 2:
            raise ValueError(f"nClasses must be an int >= 2, got {nClasses!r}")
        self.nClasses = nClasses
        self._target = self._predictions = None

    @property
    def simplex(self):
        """A copy of the vertices, in the criterion's type."""
        return _simplex(self.nClasses, tensor.dtype_of(self._type)).copy()

    def takeArguments(self, input, target):
        check.floating("input", input)
        x = check.batched("input", input, "N", self.nClasses)
        self.refuseEmptyAverage(x.size, input)
        t = self.usable("classes", check.class_targets(target, *x.shape, like=x))
        vertices = self.resize("_target", input.shape, like=input)
        simplex = self._onDevice(_simplex(self.nClasses, x.dtype), x)
        kernels.of(simplex).class_simplex_target(simplex, t, geometry.with_batch(vertices, 2))
        return self.usable("input", input), vertices

    def getPredictions(self, input):
        """How near *input*, (N, nClasses) or (nClasses,), is to each vertex: (N, nClasses) scores."""
        check.floating("input", input)
        x = self.usable("input", check.batched("input", input, "N", self.nClasses))
        scores = self.resize("_predictions", x.shape, like=x)
        kernels.of(x).gemm(x, self._onDevice(_simplex(self.nClasses, x.dtype), x), scores, trans_b=True)
        return scores

    def getTopPrediction(self, input):
        """The class whose vertex is nearest, for each row of *input*: (N,) int64."""
        return tensor.host(self.getPredictions(input)).argmax(axis=1)

    def describe(self):
        return f"{self.nClasses}" + ("" if self.sizeAverage else ", sizeAverage=False")


@functools.lru_cache(maxsize=16)
def _simplex(nClasses, dtype):
    """The vertices of a regular simplex around the origin, one for each class; not to be changed."""
    # Vertex k has its last coordinate that is not 0 at k; the later vertices share
    # coordinate k, so that all are as far from vertex k.
    n = nClasses - 1
    left = n - np.arange(n)  # dimensions still free
    own = np.sqrt((n + 1) * left / (n * (left + 1)))
    simplex = np.zeros((n + 1, n + 1))
    simplex[:, :n] = np.tril(np.tile(-own / left, (n + 1, 1)), -1)
    simplex[np.arange(n), np.arange(n)] = own
    return simplex.astype(dtype)


def _words(criterion, **defaults):
    """What differs from the defaults, and sizeAverage=False, for repr."""
    known = [f"{name}={getattr(criterion, name):g}" for name, value in defaults.items()
             if getattr(criterion, name) != value]
    return ", ".join(known + ([] if criterion.sizeAverage else ["sizeAverage=False"]))
