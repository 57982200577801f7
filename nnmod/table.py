"""Modules whose input or output is a table (a list of tensors).

ConcatTable, ParallelTable, JoinTable, CAddTable.
"""
from . import check, kernels, tensor
from .container import Branching, Container, join, split
from .errors import ShapeError
from .kernels import formulas
from .module import Module

_add = kernels.elementwise(formulas.add)


class ConcatTable(Branching):
    """Every module takes the same input; the output is the list of their outputs.

    Parameters
    ----------
    *modules : Module
        The branches.

    Shapes
    ------
    input   what the modules take: a tensor or a table
    output  a list with the output of each module

    Source: Torch7's nn.ConcatTable.
    """

    def updateOutput(self, input):
        input = self.takeInput(input)
        self.output = [self.call(index, "forward", input) for index in range(len(self.modules))]
        return self.output

    def partsOf(self, gradOutput):
        """gradOutput itself: one entry for each branch."""
        return gradOutput

    @property
    def backwardNeeds(self):
        """What backward reads: the output, where some branch reads its own."""
        return _needs_of(self.modules)


class ParallelTable(Container):
    """Module i takes entry i of the input; the output is the list of their outputs.

    Parameters
    ----------
    *modules : Module
        One for each entry.

    Shapes
    ------
    input   a table with one entry for each module
    output  a list of the same length

    Raises ShapeError for a table of another length.  Source: Torch7's nn.ParallelTable.
    """

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input, len(self.modules))
        self.output = [self.call(index, "forward", entry) for index, entry in enumerate(input)]
        return self.output

    def backward(self, input, gradOutput, scale=1.0):
        """backward of every module with its entry of gradOutput."""
        self._checkBackward(input, gradOutput)
        gradients = [self.call(index, "backward", entry, self._gradOutput[index], scale)
                     for index, entry in enumerate(self._input)]
        self.gradInput = gradients if self.needsGradInput else None
        return self.gradInput

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.gradInput = [self.call(index, "updateGradInput", entry, gradOutput[index])
                          for index, entry in enumerate(input)]
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        for index, entry in enumerate(input):
            self.call(index, "accGradParameters", entry, gradOutput[index], scale)

    @property
    def backwardNeeds(self):
        """What backward reads: the output, where some module reads its own."""
        return _needs_of(self.modules)

    @property
    def inplace(self):
        """Whether some entry of the input is overwritten."""
        return any(module.inplace for module in self.modules)


def _needs_of(modules):
    needs = {"input"}
    for module in modules:
        needs |= module.backwardNeeds
    return frozenset(needs)


class JoinTable(Module):
    """The tensors of a table, joined along one dimension.

    Parameters
    ----------
    dimension : int
        Counted from 0; negative counts from the end.
    nInputDims : int or None
        How many dimensions one example has: with a batch in front, *dimension* moves
        on by one.  None takes *dimension* as it is.

    Shapes
    ------
    input   a table of tensors, equal but in *dimension*
    output  the tensors joined there

    Source: Torch7's nn.JoinTable.

    >>> import numpy as np
    >>> JoinTable(1).forward([np.zeros((2, 3), np.float32), np.ones((2, 1), np.float32)]).shape
    (2, 4)
    """

    paramNames = ()
    bufferNames = ("_parts",)
    backwardNeeds = frozenset()

    def __init__(self, dimension, nInputDims=None):
        super().__init__()
        if not check.is_int(dimension):
            raise ValueError(f"dimension must be an int, counted from 0, got {dimension!r}")
        if nInputDims is not None:
            check.positive(nInputDims=nInputDims)
        self.dimension = dimension
        self.nInputDims = nInputDims
        self._parts = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input)
        for index, entry in enumerate(input):
            check.floating(f"input[{index}]", entry)
        return join(self, "output", input, self._axis(input[0]), "entry")

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if self._parts is None or len(self._parts) != len(input):
            self._parts = [None] * len(input)
        split(gradOutput, input, self._axis(input[0]), self._parts)
        self.gradInput = list(self._parts)
        return self.gradInput

    def _axis(self, first):
        if self.nInputDims is not None and self.dimension >= 0 and first.ndim == self.nInputDims + 1:
            return self.dimension + 1
        return self.dimension

    def describe(self):
        return f"{self.dimension}" + ("" if self.nInputDims is None else f", nInputDims={self.nInputDims}")


class CAddTable(Module):
    """The sum of the tensors of a table.

    Parameters
    ----------
    inplace : bool
        Write the sum over the first tensor, and use gradOutput as its gradient.

    Shapes
    ------
    input   a table of tensors with equally many elements (Torch7 asks no more)
    output  the shape of the first

    Raises ShapeError where the numbers of elements differ.  Source: Torch7's
    nn.CAddTable.

    >>> import numpy as np
    >>> CAddTable().forward([np.ones(2, np.float32), np.ones(2, np.float32)])
    array([2., 2.], dtype=float32)
    """

    paramNames = ()
    bufferNames = ("_parts",)
    backwardNeeds = frozenset()

    def __init__(self, inplace=False):
        super().__init__()
        check.boolean(inplace=inplace)
        self.inplace = inplace
        self._parts = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input)
        for index, entry in enumerate(input):
            check.floating(f"input[{index}]", entry)
            if entry.size != input[0].size:
                raise ShapeError(
                    f"input[{index}] must have as many elements as input[0], {input[0].shape}, "
                    f"got {entry.shape}")
        kernels.of(*input)
        if self.inplace:
            self.output = input[0]
        else:
            tensor.copy(input[0], self.resize("output", input[0].shape, like=input[0]))
        for entry in input[1:]:
            _add(self.output, entry.reshape(self.output.shape), self.output)
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if self._parts is None or len(self._parts) != len(input):
            self._parts = [None] * len(input)
        for index, entry in enumerate(input):
            if self.inplace and index == 0:
                self._parts[0] = gradOutput
                continue
            part = self._parts[index] = tensor.resize(self._parts[index], entry.shape, entry.dtype)
            tensor.copy(gradOutput.reshape(entry.shape), part)
        self.gradInput = list(self._parts)
        return self.gradInput

    def describe(self):
        return "in place" if self.inplace else ""
