"""Rows of zeros as padding, as rnn's old scripts have it.

MaskZero, TrimZero, LookupTableMaskZero, MaskZeroCriterion.  Where you can, say the
lengths instead (``SeqLSTM.setLengths``): zeros in real data are data then.
"""
import numpy as np

from . import check, init, kernels, nested, tensor
from .container import Container
from .criterion import Criterion
from .errors import ShapeError
from .lookup import LookupTable
from .steps import mask_of_zero_rows


class MaskZero(Container):
    """Sets the rows of a module's output to 0 whose rows of the input are all 0.

    In backward the same rows of gradOutput count as 0.  For a step module use its own
    ``maskZero()``, which sets its state to 0 as well.

    Parameters
    ----------
    module : Module
        What is decorated.
    nInputDim : int
        How many dimensions the input (its first tensor, if it is a table) has without
        a batch; without a batch it is one row.

    Shapes
    ------
    input   what module takes
    output  what it returns, one row for each row of the input

    Source: Element-Research's rnn, nn.MaskZero.

    >>> from nnmod import Linear
    >>> MaskZero(Linear(2, 1), 1).forward(np.array([[0, 0], [1, 2]], np.float32))[0]
    array([0.], dtype=float32)
    """

    bufferNames = ("_mask", "_output", "_gradient")

    def __init__(self, module, nInputDim):
        super().__init__()
        check.positive(nInputDim=nInputDim)
        self.nInputDim = nInputDim
        for name in type(self).bufferNames:
            setattr(self, name, None)
        self.add(module)

    def _checkChildren(self, children):
        if len(children) > 1:
            raise ValueError(f"{type(self).__name__} decorates one module; put several into a Sequential")

    def _findRows(self, input):
        first = next(nested.leaves(input))
        check.floating("input", first)
        self._mask = mask_of_zero_rows(first, self.nInputDim, self._mask)

    def updateOutput(self, input):
        input = self.takeInput(input)
        self._findRows(input)
        self._output = self.output = self._masked(self._output, self.call(0, "forward", input), "the output")
        return self.output

    def backward(self, input, gradOutput, scale=1.0):
        """backward of the module, with 0 for the padding."""
        self._checkBackward(input, gradOutput)
        self._gradient = self._masked(self._gradient, self._gradOutput, "gradOutput")
        self.gradInput = self.call(0, "backward", self._input, self._gradient, scale)
        return self.gradInput

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self._gradient = self._masked(self._gradient, gradOutput, "gradOutput")
        self.gradInput = self.call(0, "updateGradInput", input, self._gradient)
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self._gradient = self._masked(self._gradient, gradOutput, "gradOutput")
        self.call(0, "accGradParameters", input, self._gradient, scale)

    def _masked(self, buffer, value, name):
        if nested.is_table(value):
            old = buffer if isinstance(buffer, list) and len(buffer) == len(value) else [None] * len(value)
            return [self._masked(b, v, name) for b, v in zip(old, value)]
        rows = self._mask.size
        if rows != 1 and (value.ndim == 0 or value.shape[0] != rows):
            raise ShapeError(f"{name} must have {rows} rows, one for each row of the input, "
                             f"got {value.shape}")
        buffer = tensor.resize(None if isinstance(buffer, list) else buffer, value.shape, value)
        columns = value.size // max(rows, 1)
        K = kernels.of(value)
        K.zero_masked_rows(value.reshape(rows, columns), self._mask, buffer.reshape(rows, columns))
        return buffer

    def describe(self):
        return f"{self.nInputDim}"


class TrimZero(MaskZero):
    """MaskZero that leaves rows of zeros out of the computation: faster where there are many.

    The module sees the other rows only, so what it computes over the batch, such as
    the mean of a BatchNormalization, is computed without the padding.

    Parameters
    ----------
    module, nInputDim
        As of MaskZero.

    Shapes
    ------
    input   what module takes; all tensors of a table have one row for each row of the first
    output  what it returns, one row for each row of the input

    Source: Element-Research's rnn, nn.TrimZero.

    >>> from nnmod import Linear
    >>> trim = TrimZero(Linear(2, 1), 1)
    >>> trim.forward(np.array([[0, 0], [1, 2], [0, 0]], np.float32)).shape, trim.modules[0].output.shape
    ((3, 1), (1, 1))
    """

    bufferNames = (*MaskZero.bufferNames, "_rows", "_allPadded", "_trimmed", "_gradInput")

    def updateOutput(self, input):
        input = self.takeInput(input)
        self._findRows(input)
        # One row is run even if all are padding: then there is at least a shape to return.
        rows = np.flatnonzero(tensor.host(self._mask) == 0)
        self._allPadded = not rows.size
        self._rows = rows if rows.size or not self._mask.size else np.zeros(1, np.int64)
        self._trimmed = self._trim(self._trimmed, input, "input")
        output = self.call(0, "forward", self._trimmed)
        self._output = self.output = self._spread(self._output, output)
        return self.output

    def backward(self, input, gradOutput, scale=1.0):
        """backward of the module with the rows that are not padding."""
        self._checkBackward(input, gradOutput)
        return self._back("backward", self._gradOutput, scale)

    def updateGradInput(self, input, gradOutput):
        _, gradOutput = self.takeGradOutput(input, gradOutput)
        return self._back("updateGradInput", gradOutput)

    def accGradParameters(self, input, gradOutput, scale=1.0):
        self.takeGradOutput(input, gradOutput)
        self.call(0, "accGradParameters", self._trimmed, self._gradient, scale)

    def _back(self, method, gradOutput, *scale):
        self._gradient = self._trim(self._gradient, gradOutput, "gradOutput")
        if self._allPadded:
            for leaf in nested.leaves(self._gradient):
                tensor.fill(leaf, 0)
        gradient = self.call(0, method, self._trimmed, self._gradient, *scale)
        self._gradInput = None if gradient is None else self._spread(self._gradInput, gradient)
        self.gradInput = self._gradInput
        return self.gradInput

    def _whole(self, value):
        """Whether *value* is one row without a batch."""
        return self._mask.size == 1 and next(nested.leaves(self._input)).ndim == self.nInputDim

    def _trim(self, buffer, value, name):
        if nested.is_table(value):
            old = buffer if isinstance(buffer, list) and len(buffer) == len(value) else [None] * len(value)
            return [self._trim(b, v, name) for b, v in zip(old, value)]
        single = self._whole(value)
        if not single and (value.ndim == 0 or value.shape[0] != self._mask.size):
            raise ShapeError(f"{name} must have {self._mask.size} rows, one for each row of the input, "
                             f"got {value.shape}")
        shape = value.shape if single else (self._rows.size, *value.shape[1:])
        buffer = tensor.resize(None if isinstance(buffer, list) else buffer, shape, value)
        tensor.copy(value, buffer) if single else tensor.take_rows(value, self._rows, buffer)
        return buffer

    def _spread(self, buffer, value):
        if nested.is_table(value):
            old = buffer if isinstance(buffer, list) and len(buffer) == len(value) else [None] * len(value)
            return [self._spread(b, v) for b, v in zip(old, value)]
        if value is None:
            return None
        single = self._whole(value)
        shape = value.shape if single else (self._mask.size, *value.shape[1:])
        buffer = tensor.resize(None if isinstance(buffer, list) else buffer, shape, value)
        tensor.fill(buffer, 0)
        if not self._allPadded:
            if single:
                tensor.copy(value, buffer)
            else:
                tensor.put_rows(value, self._rows, buffer)
        return buffer


class LookupTableMaskZero(LookupTable):
    """A LookupTable for the indices 1 .. nIndex; index 0 stands for padding and gives zeros.

    Parameters
    ----------
    nIndex : int
        How many vectors can be looked up.
    nOutput : int
        The length of a vector.

    Shapes
    ------
    input   any, int32 or int64, within 0 .. nIndex
    output  the shape of input with nOutput behind it
    weight  (nIndex + 1, nOutput): row i for index i, gradWeight the same

    forward sets row 0 to 0, and it gets no gradient.  The words of an old script keep
    their numbers: they count from 1 in Torch7's rnn as well.  Source:
    Element-Research's rnn, nn.LookupTableMaskZero.

    >>> LookupTableMaskZero(5, 2).forward(np.array([0, 3]))[0]
    array([0., 0.], dtype=float32)
    """

    def __init__(self, nIndex, nOutput):
        check.positive(nIndex=nIndex)
        super().__init__(nIndex + 1, nOutput, paddingValue=0)

    def reset(self, stdv=None):
        """As LookupTable; row 0 is 0."""
        super().reset(stdv)
        init.constant(self.weight[0], 0)
        return self

    def updateOutput(self, input):
        # Scripts draw all parameters at once, this row too, and forward has to undo that.
        tensor.fill(self.weight[0], 0)
        return super().updateOutput(input)

    def describe(self):
        return f"{self.nIndex - 1} x {self.nOutput}"


class MaskZeroCriterion(Criterion):
    """A loss that leaves out the rows whose rows of the input are all 0.

    Parameters
    ----------
    criterion : Criterion
        The loss of the other rows; an average is over them.
    nInputDim : int
        How many dimensions the input (its first tensor, if it is a table) has without
        its batch.

    Shapes
    ------
    input   what criterion takes, with a batch
    target  what it takes, one row for each row of the input

    Where all rows are left out, the loss is 0.  Source: Element-Research's rnn,
    nn.MaskZeroCriterion.

    >>> from nnmod import MSECriterion
    >>> x, t = np.array([[0.0, 0.0], [1.0, 2.0]]), np.array([[5.0, 5.0], [1.0, 1.0]])
    >>> MaskZeroCriterion(MSECriterion(), 1).forward(x, t)
    0.5
    """

    bufferNames = ("_mask", "_parts", "_gradient")

    def __init__(self, criterion, nInputDim):
        super().__init__()
        if not isinstance(criterion, Criterion):
            raise TypeError(f"MaskZeroCriterion takes a criterion, got {criterion!r}")
        check.positive(nInputDim=nInputDim)
        self.criterion = criterion
        self.nInputDim = nInputDim
        self._mask = self._parts = self._gradient = None

    @property
    def modules(self):
        """The decorated criterion."""
        return (self.criterion,)

    def updateOutput(self, input, target):
        x, t = self._trimmed(input, target)
        self.output = 0.0 if x is None else self.criterion.forward(x, t)
        return self.output

    def updateGradInput(self, input, target):
        x, t = self._trimmed(input, target)
        gradient = None if x is None else self.criterion.backward(x, t)
        self._gradient = self._spread(self._gradient, input, gradient)
        self.gradInput = self._gradient
        return self.gradInput

    def _trimmed(self, input, target):
        """Input and target without the padding, or None twice where there is nothing else."""
        first = next(nested.leaves(input))
        check.floating("input", first)
        if first.ndim != self.nInputDim + 1:
            raise ShapeError(f"input must have {self.nInputDim + 1} dimensions, a batch and "
                             f"{self.nInputDim} more (nInputDim={self.nInputDim}), got {first.shape}")
        self._mask = mask_of_zero_rows(tensor.dense(first)[0], self.nInputDim, self._mask)
        rows = np.flatnonzero(tensor.host(self._mask) == 0)
        if not rows.size:
            return None, None
        old = self._parts or [None, None]
        # The same tensors as in the forward with the same rows: a criterion may look whether they are.
        self._parts = [self._take(old[0], input, rows, "input"), self._take(old[1], target, rows, "target")]
        return self._parts

    def _take(self, buffer, value, rows, name):
        if nested.is_table(value):
            old = buffer if isinstance(buffer, list) and len(buffer) == len(value) else [None] * len(value)
            return [self._take(b, v, rows, name) for b, v in zip(old, value)]
        check.is_tensor(name, value)
        if value.ndim == 0 or value.shape[0] != self._mask.size:
            raise ShapeError(f"{name} must have {self._mask.size} rows, one for each row of the input, "
                             f"got {value.shape}")
        shape = (rows.size, *value.shape[1:])
        buffer = tensor.resize(None if isinstance(buffer, list) else buffer, shape, value)
        return tensor.take_rows(value, rows, buffer)

    def _spread(self, buffer, like, gradient):
        if nested.is_table(like):
            old = buffer if isinstance(buffer, list) and len(buffer) == len(like) else [None] * len(like)
            return [self._spread(b, x, None if gradient is None else gradient[i])
                    for i, (b, x) in enumerate(zip(old, like))]
        buffer = tensor.resize(None if isinstance(buffer, list) else buffer, like.shape, like)
        tensor.fill(buffer, 0)
        if gradient is not None:
            tensor.put_rows(gradient, np.flatnonzero(tensor.host(self._mask) == 0), buffer)
        return buffer

    def describe(self):
        return f"{self.criterion!r}, {self.nInputDim}"
