"""Modules that nngraph adds to nn: JustElement, JustTable, ModuleFromCriterion."""
from . import check, kernels, nested, tensor
from .criterion import Criterion
from .module import Module

_scale = kernels.elementwise(kernels.formulas.scale)


class JustElement(Module):
    """The one entry of a table: ``[x]`` gives ``x``.

    Shapes
    ------
    input   a table of one entry, a tensor or a table
    output  that entry

    Raises ShapeError for a table of another length.  Source: nngraph's nn.JustElement.

    >>> JustElement().forward([[1, 2]])
    [1, 2]
    """

    paramNames = ()
    backwardNeeds = frozenset()
    sharesInput = True

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input, 1)
        self.output = input[0]
        return self.output

    def updateGradInput(self, input, gradOutput):
        self.gradInput = [self.takeGradOutput(input, gradOutput)[1]]
        return self.gradInput


class JustTable(Module):
    """A table of one entry: ``x`` gives ``[x]``.

    Shapes
    ------
    input   any tensor or table
    output  a table with the input as its one entry

    Source: nngraph's nn.JustTable.

    >>> JustTable().forward([1, 2])
    [[1, 2]]
    """

    paramNames = ()
    backwardNeeds = frozenset()
    sharesInput = True

    def updateOutput(self, input):
        self.output = [self.takeInput(input)]
        return self.output

    def updateGradInput(self, input, gradOutput):
        self.gradInput = self.takeGradOutput(input, gradOutput)[1][0]
        return self.gradInput


class ModuleFromCriterion(Module):
    """A criterion as a module: ``[prediction, target]`` gives the loss, a tensor of one element.

    In a graph, ``criterion([prediction, target])`` makes the node of one.

    Parameters
    ----------
    criterion : Criterion
        The loss; it belongs to this module, as a child belongs to a container.

    Shapes
    ------
    input   a table [prediction, target], as the criterion takes them
    output  (1,), of the dtype of the prediction

    The target is a constant: its gradient is 0, or None where it holds integers.
    Source: nngraph's nn.ModuleFromCriterion.

    >>> import numpy as np
    >>> from nnmod import MSECriterion
    >>> ModuleFromCriterion(MSECriterion()).forward([np.array([1.0, 3.0]), np.array([1.0, 1.0])])
    array([2.])
    """

    paramNames = ()
    bufferNames = ("_scaled", "_zeros")
    backwardNeeds = frozenset({"input"})

    def __init__(self, criterion):
        super().__init__()
        if not isinstance(criterion, Criterion):
            raise TypeError(f"criterion must be a Criterion, got {criterion!r}")
        self.criterion = criterion
        self._type = criterion._type
        self._scaled = self._zeros = None

    @property
    def criterions(self):
        """The criterion: it is converted and cleared with the network."""
        return (self.criterion,)

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input, 2)
        prediction, target = input
        loss = self.criterion.forward(prediction, target)
        tensor.fill(self.resize("output", (1,), like=next(nested.leaves(prediction))), loss)
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        prediction, target = input
        gradient = self.criterion.backward(prediction, target)
        self._scaled = _scaled(self._scaled, gradient, float(gradOutput[0]))
        self._zeros = _zeros(self._zeros, target)
        self.gradInput = [self._scaled, self._zeros]
        return self.gradInput

    def describe(self):
        return repr(self.criterion)


def _scaled(buffer, value, factor):
    """``factor * value``, a tensor or a table, in *buffer* where that fits."""
    if nested.is_table(value):
        return [_scaled(old, item, factor) for old, item in zip(_entries(buffer, len(value)), value)]
    if value is None:
        return None
    buffer = tensor.resize(buffer, value.shape, value)
    _scale(value, buffer, factor)
    return buffer


def _zeros(buffer, like):
    """Zeros for every tensor of *like* that could have a gradient, None for the others."""
    if nested.is_table(like):
        return [_zeros(old, item) for old, item in zip(_entries(buffer, len(like)), like)]
    if not tensor.is_tensor(like) or like.dtype.kind != "f":
        return None
    buffer = tensor.resize(buffer, like.shape, like)
    tensor.fill(buffer, 0)
    return buffer


def _entries(buffer, count):
    return buffer if isinstance(buffer, list) and len(buffer) == count else [None] * count
