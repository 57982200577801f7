"""Criterions: what a network is trained to make small.

MSECriterion, AbsCriterion, SmoothL1Criterion, BCECriterion, ClassNLLCriterion,
CrossEntropyCriterion.
"""
import numpy as np

from . import check, kernels, tensor
from .errors import ShapeError
from .kernels import formulas
from .module import Stateful
from .node import Node, has_nodes
from .softmax import LogSoftMax


class Criterion(Stateful):
    """The base of every loss: a number from an input and a target, and its gradient.

    A subclass writes ``updateOutput`` and ``updateGradInput``.  Source: Torch7's
    nn.Criterion.

    Shapes
    ------
    input, target   what the subclass says
    output          a Python float
    gradInput       the shape of input
    """

    def forward(self, input, target):
        """The loss, a Python float; also ``self.output``."""
        return self.updateOutput(input, target)

    def __call__(self, *arguments):
        """``criterion(input, target)`` is forward; of nodes it makes a node of a graph.

        ``criterion([input, target])`` does so too: see :class:`nnmod.ModuleFromCriterion`.
        """
        if has_nodes(arguments):
            return Node(self, arguments[0] if len(arguments) == 1 else list(arguments))
        return self.forward(*arguments)

    def backward(self, input, target):
        """The gradient of the loss by the input; the tensor belongs to the criterion."""
        return self.updateGradInput(input, target)

    def updateOutput(self, input, target):
        """Compute the loss."""
        raise NotImplementedError(f"{type(self).__name__} must define updateOutput(input, target)")

    def updateGradInput(self, input, target):
        """Compute the gradient of the loss by the input."""
        raise NotImplementedError(f"{type(self).__name__} must define updateGradInput(input, target)")


class _Pointwise(Criterion):
    """A loss that sums one formula over all elements, or averages it."""

    value = derivative = None

    def __init__(self, sizeAverage=True):
        super().__init__()
        check.boolean(sizeAverage=sizeAverage)
        self.sizeAverage = sizeAverage

    def updateOutput(self, input, target):
        input, target = self._checked(input, target)
        self.output = self.value(input, target) * self._norm(input)
        return self.output

    def updateGradInput(self, input, target):
        input, target = self._checked(input, target)
        self.resize("gradInput", input.shape, like=input)
        self.derivative(input, target, self.gradInput, self._norm(input))
        return self.gradInput

    def _checked(self, input, target):
        check.floating("input", input)
        check.same_shape("target", target, "input", input)
        if self.sizeAverage and input.size == 0:
            raise ShapeError("an average over no elements has no value; use sizeAverage=False "
                             f"or skip the empty batch (input has shape {input.shape})")
        return input, target

    def _norm(self, input):
        return 1 / input.size if self.sizeAverage else 1.0

    def describe(self):
        return "" if self.sizeAverage else "sizeAverage=False"


class MSECriterion(_Pointwise):
    """Mean squared error: the average of ``(x - t)**2`` over all elements.

    Parameters
    ----------
    sizeAverage : bool
        False takes the sum.

    Shapes
    ------
    input   any
    target  the same as input, of the same dtype

    Source: Torch7's nn.MSECriterion.

    >>> MSECriterion().forward(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    2.0
    """

    value = kernels.elementwise_sum(formulas.squared_error)
    derivative = kernels.elementwise(formulas.squared_error_grad)


class AbsCriterion(_Pointwise):
    """Mean absolute error: the average of ``|x - t|`` over all elements.

    Parameters
    ----------
    sizeAverage : bool
        False takes the sum.

    Shapes
    ------
    input   any
    target  the same as input, of the same dtype

    Where x equals t the derivative is that of x > t.  Source: Torch7's nn.AbsCriterion.
    """

    value = kernels.elementwise_sum(formulas.absolute_error)
    derivative = kernels.elementwise(formulas.absolute_error_grad)


class SmoothL1Criterion(_Pointwise):
    """``0.5 (x - t)**2`` where ``|x - t| < 1``, else ``|x - t| - 0.5``; averaged.

    Parameters
    ----------
    sizeAverage : bool
        False takes the sum.

    Shapes
    ------
    input   any
    target  the same as input, of the same dtype

    Source: Torch7's nn.SmoothL1Criterion (Girshick, "Fast R-CNN", 2015).
    """

    value = kernels.elementwise_sum(formulas.smooth_l1)
    derivative = kernels.elementwise(formulas.smooth_l1_grad)


class BCECriterion(_Pointwise):
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
    """

    stateNames = ("weights",)
    bufferNames = ("_expanded",)
    value = kernels.elementwise_sum(formulas.binary_cross_entropy)
    derivative = kernels.elementwise(formulas.binary_cross_entropy_grad)
    weightedValue = kernels.elementwise_sum(formulas.weighted_binary_cross_entropy)
    weightedDerivative = kernels.elementwise(formulas.weighted_binary_cross_entropy_grad)

    def __init__(self, weights=None, sizeAverage=True):
        super().__init__(sizeAverage)
        self.weights = _class_weights(weights)
        if self.weights is not None:
            self._type = f"cpu.{self.weights.dtype.name}"
        self._expanded = None

    def updateOutput(self, input, target):
        if self.weights is None:
            return super().updateOutput(input, target)
        input, target = self._checked(input, target)
        self.output = self.weightedValue(input, target, self._weightsFor(input)) * self._norm(input)
        return self.output

    def updateGradInput(self, input, target):
        if self.weights is None:
            return super().updateGradInput(input, target)
        input, target = self._checked(input, target)
        weights = self._weightsFor(input)
        self.resize("gradInput", input.shape, like=input)
        self.weightedDerivative(input, target, weights, self.gradInput, self._norm(input))
        return self.gradInput

    def _weightsFor(self, input):
        """The weights, once for each row of the input."""
        if input.shape[-1:] != self.weights.shape:
            raise ShapeError(f"input must have shape (N, {self.weights.size}) or ({self.weights.size},), "
                             f"one weight for each element, got {input.shape}")
        kernels.of(input, self.weights)
        expanded = self._expanded
        if expanded is None or expanded.shape != input.shape:
            expanded = self.resize("_expanded", input.shape, like=input)
        expanded[...] = self.weights
        return expanded


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
        self.weights = _class_weights(weights)
        if self.weights is not None:
            self._type = f"cpu.{self.weights.dtype.name}"
        self.sizeAverage = sizeAverage
        self.ignoreIndex = ignoreIndex
        self._out = None

    def updateOutput(self, input, target):
        K, x, target = self._checked(input, target)
        out = self.resize("_out", (2,), dtype=_FLOAT64)
        K.class_nll_update_output(x, target, self.weights, out, self.ignoreIndex)
        loss, total = float(out[0]), float(out[1])
        self.output = loss / total if self.sizeAverage and total != 0 else loss
        return self.output

    def updateGradInput(self, input, target):
        K, x, target = self._checked(input, target)
        dx = self.resize("gradInput", input.shape, like=input)
        K.class_nll_update_grad_input(
            target, self.weights, dx.reshape(x.shape), self.ignoreIndex, self.sizeAverage)
        return dx

    def _checked(self, input, target):
        check.floating("input", input)
        x = tensor.dense(check.batched("input", input, "N", "C"))[0]
        N, C = x.shape
        if self.sizeAverage and N == 0:
            raise ShapeError("an average over no rows has no value; use sizeAverage=False "
                             f"or skip the empty batch (input has shape {input.shape})")
        if self.weights is not None:
            check.shape("input", x, "N", self.weights.size, hint="one weight for each class")
        return kernels.of(x, self.weights), x, check.class_targets(target, N, C, self.ignoreIndex)

    def describe(self):
        known = [f"{self.weights.size} weights"] if self.weights is not None else []
        known += ["sizeAverage=False"] if not self.sizeAverage else []
        return ", ".join(known)


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
        self._check(input, target)
        self.output = self.nll.forward(self.lsm.forward(input), target)
        return self.output

    def updateGradInput(self, input, target):
        self._check(input, target)
        if self.lsm.output is None or input is not self.lsm._given:
            self.lsm.forward(input)
        self.gradInput = self.lsm.backward(input, self.nll.backward(self.lsm.output, target))
        return self.gradInput

    def _check(self, input, target):
        self.nll._checked(input, target)

    def describe(self):
        return self.nll.describe()


_FLOAT64 = np.dtype(np.float64)


def _class_weights(weights):
    if weights is None:
        return None
    weights = np.array(weights, order="C")
    if weights.ndim != 1 or weights.dtype.char not in "fd":
        raise ValueError(f"weights must be a tensor of shape (n,), float32 or float64, "
                         f"got {tensor.describe(weights)}")
    return weights
