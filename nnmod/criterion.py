"""Criterions: what a network is trained to make small.  The contract, and losses of regression.

MSECriterion, AbsCriterion, SmoothL1Criterion, WeightedMSECriterion,
SpatialAutoCropMSECriterion, L1Cost.
"""
import numpy as np

from . import check, kernels, nested, tensor
from .errors import ShapeError
from .kernels import formulas
from .stateful import Stateful
from .node import Node, has_nodes


class Criterion(Stateful):
    """The base of every loss: a number from an input and a target, and its gradient.

    A subclass writes ``updateOutput`` and ``updateGradInput``.  Source: Torch7's
    nn.Criterion.

    Shapes
    ------
    input, target   what the subclass says: a tensor, or a table (a list) of them; a
                    target may also be a number, or None for a loss that takes none
    output          a Python float
    gradInput       the shape of input; a list for a table

    >>> class Squared(Criterion):
    ...     def updateOutput(self, input, target):
    ...         return float(((input - target)**2).sum())
    ...     def updateGradInput(self, input, target):
    ...         return 2 * (input - target)
    >>> squared = Squared()
    >>> squared.forward(np.array([3.0]), np.array([1.0])), squared.backward(np.array([3.0]), np.array([1.0]))
    (4.0, array([4.]))
    """

    def forward(self, input, target=None):
        """The loss, a Python float; also ``self.output``."""
        return self.updateOutput(input, target)

    def __call__(self, *arguments):
        """``criterion(input, target)`` is forward; of nodes it makes a node of a graph.

        ``criterion([input, target])`` does so too: see :class:`nnmod.ModuleFromCriterion`.
        """
        if has_nodes(arguments):
            return Node(self, arguments[0] if len(arguments) == 1 else list(arguments))
        return self.forward(*arguments)

    def backward(self, input, target=None):
        """The gradient of the loss by the input; the tensor belongs to the criterion."""
        return self.updateGradInput(input, target)

    def updateOutput(self, input, target):
        """Compute the loss."""
        raise NotImplementedError(f"{type(self).__name__} must define updateOutput(input, target)")

    def updateGradInput(self, input, target):
        """Compute the gradient of the loss by the input."""
        raise NotImplementedError(f"{type(self).__name__} must define updateGradInput(input, target)")

    def usable(self, name, value):
        """*value* in a form that kernels can use: itself, or a copy in a buffer of this criterion."""
        if value.__class__ is np.ndarray and value.flags.carray:
            return value
        return self._usable(name, value)

    def takeWeights(self, weights):
        """Keep a copy of *weights* (None: all count alike), and take its type."""
        self.weights = None
        if weights is None:
            return
        weights = weights.copy() if tensor.is_on_device(weights) else np.array(weights, order="C")
        if not weights.ndim or weights.dtype.char not in "fd":
            raise ValueError("weights must be a tensor of float32 or float64, "
                             f"got {tensor.describe(weights)}")
        self.weights = weights
        self._type = tensor.type_of(weights)

    def takeClassWeights(self, weights):
        """Keep a copy of *weights*, one for each class, or None."""
        shape = weights.shape if tensor.is_tensor(weights) else np.shape(weights)
        if weights is not None and len(shape) != 1:
            raise ValueError("weights must be a tensor of shape (n,), one weight for each class, "
                             f"got shape {shape}")
        self.takeWeights(weights)

    def refuseEmptyAverage(self, count, input):
        """Raise ShapeError for an average over nothing."""
        if self.sizeAverage and not count:
            raise ShapeError("an average over no elements has no value; use sizeAverage=False "
                             f"or skip the empty batch (input has shape {_shapes(input)})")

    def resizePair(self, first, second):
        """``gradInput`` as a list of two tensors like *first* and *second*, reused where they fit."""
        old = self.gradInput if self.gradInput is not None else [None, None]
        new = [tensor.resize(buffer, x.shape, x) for buffer, x in zip(old, (first, second))]
        if new[0] is not old[0] or new[1] is not old[1]:
            self.gradInput = new
        return self.gradInput


def _shapes(value):
    return nested.map(lambda x: x.shape, value)


def _same_rows(target, input):
    """Whether *target* holds the elements of *input* in another shape: (N,) for (N, 1), (N, C, H, W) for (N, C*H*W).

    Torch counts elements only, and its scripts rely on it; where rows differ it is a mistake.
    """
    return (tensor.is_tensor(target) and target.shape != input.shape and target.size == input.size
            and target.dtype == input.dtype and tensor.is_on_device(target) == tensor.is_on_device(input)
            and (target.shape[:1] == input.shape[:1]
                 or [n for n in target.shape if n != 1] == [n for n in input.shape if n != 1]))


class PointwiseCriterion(Criterion):
    """The base of every loss that sums one formula over all elements, or averages it.

    A subclass sets two kernels: ``value``, from
    :func:`nnmod.kernels.elementwise_sum`, called as ``value(x, t, *numbers)``, and
    ``derivative``, from :func:`nnmod.kernels.elementwise`, called as
    ``derivative(x, t, dx, *numbers, norm)``; norm is 1, or 1 / the number of elements.
    ``numbers()`` gives the numbers that both take.  With ``weights`` the kernels
    ``weightedValue`` and ``weightedDerivative`` take their place, with a tensor w
    after t.

    Parameters
    ----------
    sizeAverage : bool
        False takes the sum.
    weights : tensor or None
        A factor for each element of an example.

    Shapes
    ------
    input   any
    target  the same as input, of the same dtype; or with its rows in another shape, such
            as (N,) for (N, 1) and (N, C, H, W) for (N, C*H*W)

    >>> class Quartic(PointwiseCriterion):
    ...     value = kernels.elementwise_sum(lambda x, t: (x - t)**4)
    ...     derivative = kernels.elementwise(lambda x, t, norm: 4 * norm * (x - t)**3)
    >>> Quartic().forward(np.array([1.0, 2.0]), np.zeros(2))
    8.5
    """

    stateNames = ("weights",)
    bufferNames = ("_expanded",)
    value = derivative = weightedValue = weightedDerivative = None

    def __init__(self, sizeAverage=True, weights=None):
        super().__init__()
        check.boolean(sizeAverage=sizeAverage)
        self.sizeAverage = sizeAverage
        self.takeWeights(weights)
        self._expanded = None

    def numbers(self):
        """The numbers that the formulas take after their tensors."""
        return ()

    def updateOutput(self, input, target):
        x, t = self.takeArguments(input, target)
        if self.weights is None:
            total = self.value(x, t, *self.numbers())
        else:
            total = self.weightedValue(x, t, self._weightsFor(x), *self.numbers())
        self.output = total * self._norm(x)
        return self.output

    def updateGradInput(self, input, target):
        x, t = self.takeArguments(input, target)
        weights = None if self.weights is None else self._weightsFor(x)
        dx = self.resize("gradInput", x.shape, like=x)
        if weights is None:
            self.derivative(x, t, dx, *self.numbers(), self._norm(x))
        else:
            self.weightedDerivative(x, t, weights, dx, *self.numbers(), self._norm(x))
        return dx

    def takeArguments(self, input, target):
        """Check input and target; return both in a form that kernels can use."""
        check.floating("input", input)
        alike = _same_rows(target, input)
        if not alike:
            check.same_shape("target", target, "input", input)
        self.refuseEmptyAverage(input.size, input)
        target = self.usable("target", target)
        return self.usable("input", input), target.reshape(input.shape) if alike else target

    def _norm(self, input):
        return 1 / input.size if self.sizeAverage else 1.0

    def _weightsFor(self, input):
        """The weights, once for each example of the input."""
        shape = self.weights.shape
        if input.shape[-len(shape):] != shape:
            raise ShapeError(f"input must have shape {check.show(('N', *shape))} or {check.show(shape)}, "
                             f"one weight for each element, got {input.shape}")
        kernels.of(input, self.weights)
        if input.shape == shape:
            return self.weights
        expanded = self.resize("_expanded", input.shape, like=input)
        tensor.copy(self.weights, expanded)
        return expanded

    def describe(self):
        known = [] if self.weights is None else [f"{self.weights.size} weights"]
        return ", ".join(known + ([] if self.sizeAverage else ["sizeAverage=False"]))


class MSECriterion(PointwiseCriterion):
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

    def __init__(self, sizeAverage=True):
        super().__init__(sizeAverage)


class AbsCriterion(PointwiseCriterion):
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

    >>> criterion, x, t = AbsCriterion(), np.array([1, 3], np.float32), np.array([2, 0], np.float32)
    >>> criterion.forward(x, t)
    2.0
    >>> criterion.backward(x, t)
    array([-0.5,  0.5], dtype=float32)
    """

    value = kernels.elementwise_sum(formulas.absolute_error)
    derivative = kernels.elementwise(formulas.absolute_error_grad)

    def __init__(self, sizeAverage=True):
        super().__init__(sizeAverage)


class SmoothL1Criterion(PointwiseCriterion):
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

    >>> criterion, x = SmoothL1Criterion(), np.array([0.5, 3], np.float32)
    >>> criterion.forward(x, np.zeros(2, np.float32))  # (0.125 + 2.5) / 2
    1.3125
    >>> criterion.backward(x, np.zeros(2, np.float32))
    array([0.25, 0.5 ], dtype=float32)
    """

    value = kernels.elementwise_sum(formulas.smooth_l1)
    derivative = kernels.elementwise(formulas.smooth_l1_grad)

    def __init__(self, sizeAverage=True):
        super().__init__(sizeAverage)


class WeightedMSECriterion(PointwiseCriterion):
    """The average of ``(x - w t)**2``: the squared error to a target that is weighted first.

    Parameters
    ----------
    w : tensor
        A factor for each element of an example of the target, kept in ``weights``.
    sizeAverage : bool
        False takes the sum.

    Shapes
    ------
    input   (N, *w.shape) or w.shape
    target  the same as input, of the same dtype

    The weight multiplies the target, as in Torch7, and not the error: the input that
    has no loss is w t.  Source: Torch7's nn.WeightedMSECriterion.

    >>> WeightedMSECriterion(np.array([1.0, 2.0])).forward(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    0.5
    """

    weightedValue = kernels.elementwise_sum(formulas.weighted_squared_error)
    weightedDerivative = kernels.elementwise(formulas.weighted_squared_error_grad)

    def __init__(self, w, sizeAverage=True):
        if w is None:
            raise ValueError("w must be a tensor of weights, got None; without weights, use MSECriterion")
        super().__init__(sizeAverage, w)


class SpatialAutoCropMSECriterion(MSECriterion):
    """Mean squared error between images and the centre, of their size, of larger targets.

    Parameters
    ----------
    sizeAverage : bool
        False takes the sum.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W)
    target  (N, C, TH, TW) or (C, TH, TW) with TH >= H and TW >= W, of the same dtype;
            of its rows, TH - H are left out, the odd one at the bottom; its columns
            likewise

    backward takes the same target as forward.  (Torch7's wants it cropped, which is
    accepted too.)  Raises ShapeError for a target smaller than the input.  Source:
    Torch7's nn.SpatialAutoCropMSECriterion.

    >>> target = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    >>> SpatialAutoCropMSECriterion().forward(target[:, 1:3, 1:3].copy(), target)
    0.0
    """

    bufferNames = ("_expanded", "_cropped")

    def __init__(self, sizeAverage=True):
        super().__init__(sizeAverage)
        self._cropped = None

    def takeArguments(self, input, target):
        check.floating("input", input)
        check.is_tensor("target", target)
        shape, wide = input.shape, target.shape
        if len(shape) not in (3, 4):
            raise ShapeError(f"input must have shape (N, C, H, W) or (C, H, W), got {shape}")
        if len(wide) != len(shape) or wide[:-2] != shape[:-2] or wide[-2] < shape[-2] or wide[-1] < shape[-1]:
            raise ShapeError(f"target must have shape {check.show((*shape[:-2], 'TH', 'TW'))} with "
                             f"TH >= {shape[-2]} and TW >= {shape[-1]}, got {wide}")
        top, left = (wide[-2] - shape[-2]) // 2, (wide[-1] - shape[-1]) // 2
        centre = target[..., top:top + shape[-2], left:left + shape[-1]]
        check.same_shape("target", centre, "input", input)
        if wide != shape:
            cropped = self.resize("_cropped", shape, like=input)
            tensor.copy(centre, cropped)
            centre = cropped
        return super().takeArguments(input, centre)


class L1Cost(Criterion):
    """The sum of ``|x|`` over all elements: a penalty, which takes no target.

    Shapes
    ------
    input   any
    target  not looked at: None, or what other losses beside it take

    The derivative at 0 is 0.  Source: Torch7's nn.L1Cost.

    >>> L1Cost().forward(np.array([1.0, -3.0]))
    4.0
    """

    value = kernels.elementwise_sum(formulas.l1_cost)
    derivative = kernels.elementwise(formulas.l1_cost_grad)

    def updateOutput(self, input, target=None):
        check.floating("input", input)
        self.output = self.value(self.usable("input", input))
        return self.output

    def updateGradInput(self, input, target=None):
        check.floating("input", input)
        dx = self.resize("gradInput", input.shape, like=input)
        self.derivative(self.usable("input", input), dx, 1.0)
        return dx
