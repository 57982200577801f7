"""The same numbers in another shape: Identity, View, Reshape."""
import math

from . import check
from .errors import ShapeError
from .module import Module


class Identity(Module):
    """``y = x``: the output is the input itself.

    Shapes
    ------
    input   any tensor or table
    output  the same

    Source: Torch7's nn.Identity.
    """

    paramNames = ()
    backwardNeeds = frozenset()
    sharesInput = True

    def updateOutput(self, input):
        self.output = self.takeInput(input)
        return self.output

    def updateGradInput(self, input, gradOutput):
        self.gradInput = self.takeGradOutput(input, gradOutput)[1]
        return self.gradInput


class _Reshaping(Module):
    """What View and Reshape share: the output is a view of the input."""

    paramNames = ()
    bufferNames = ("_viewed",)
    backwardNeeds = frozenset()
    sharesInput = True

    def __init__(self, sizes, lowest):
        super().__init__()
        if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
            sizes = sizes[0]
        for size in sizes:
            if not check.is_int(size) or size < lowest or size == 0:
                allowed = "ints > 0" + (" and at most one -1" if lowest < 0 else "")
                raise ValueError(f"sizes must be {allowed}, got {tuple(sizes)}")
        if not sizes or list(sizes).count(-1) > 1:
            raise ValueError(f"sizes must name at least one size, and at most one -1, got {tuple(sizes)}")
        self.sizes = tuple(int(size) for size in sizes)
        self.numElements = math.prod(size for size in self.sizes if size > 0)
        self._viewed = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.is_tensor("input", input)
        shape = self._outputShape(input.shape)
        # The same input object again: its view is still the right one.
        if self.output is None or input is not self._viewed or self.output.shape != shape:
            self.output = input.reshape(shape)
            self._viewed = input
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.gradInput = gradOutput.reshape(input.shape)
        return self.gradInput

    def _mismatch(self, shape):
        return ShapeError(
            f"input must hold a multiple of {self.numElements} elements to be viewed as "
            f"{check.show(self.sizes)}, got shape {shape}")

    def describe(self):
        return ", ".join(map(str, self.sizes))


class View(_Reshaping):
    """The input seen in another shape; no number is copied.

    Parameters
    ----------
    *sizes : int
        The new shape, without the batch; one may be -1, which takes what is left.
    numInputDims : int or None
        How many dimensions one example of the input has.  What comes before them is
        the batch, and stays.  None lets the batch be what the sizes leave over: then a
        batch of one cannot be told from no batch and is dropped, as in Torch7.

    Shapes
    ------
    input   (N, ...) or (...)
    output  (N, *sizes) or sizes

    Raises ShapeError where the number of elements does not fit.  Source: Torch7's
    nn.View with setNumInputDims.

    >>> import numpy as np
    >>> View(800, numInputDims=3).forward(np.zeros((1, 50, 4, 4), np.float32)).shape
    (1, 800)
    """

    def __init__(self, *sizes, numInputDims=None):
        super().__init__(sizes, -1)
        if numInputDims is not None:
            check.positive(numInputDims=numInputDims)
        self.numInputDims = numInputDims

    def _outputShape(self, shape):
        one = len(shape) if self.numInputDims is None else self.numInputDims
        if one > len(shape):
            raise ShapeError(f"input must have at least {one} dimensions (numInputDims), got shape {shape}")
        split = len(shape) - one
        batch, elements = math.prod(shape[:split]), math.prod(shape[split:])
        if elements % self.numElements:
            raise self._mismatch(shape)
        if -1 in self.sizes:
            sizes = tuple(elements // self.numElements if n == -1 else n for n in self.sizes)
        else:
            sizes = self.sizes
            batch *= elements // self.numElements
        return sizes if batch == 1 and split == 0 else (batch, *sizes)

    def describe(self):
        known = "" if self.numInputDims is None else f", numInputDims={self.numInputDims}"
        return super().describe() + known


class Reshape(_Reshaping):
    """The input in another shape, with the first dimension as the batch or without one.

    Parameters
    ----------
    *sizes : int
        The new shape, without the batch.
    batchMode : bool or None
        True: the first dimension of the input is the batch and stays.  False: there is
        none.  None decides by the number of elements; a first dimension of 1 then
        counts as a batch.

    Shapes
    ------
    input   (N, ...) or (...)
    output  (N, *sizes) or sizes

    Raises ShapeError where the number of elements does not fit.  Source: Torch7's
    nn.Reshape.

    >>> import numpy as np
    >>> Reshape(4, 3).forward(np.zeros((5, 2, 6), np.float32)).shape
    (5, 4, 3)
    """

    def __init__(self, *sizes, batchMode=None):
        if len(sizes) > 1 and isinstance(sizes[-1], bool):  # Torch7 writes it as the last argument
            *sizes, batchMode = sizes
        super().__init__(tuple(sizes), 1)
        if batchMode is not None:
            check.boolean(batchMode=batchMode)
        self.batchMode = batchMode

    def _outputShape(self, shape):
        elements = math.prod(shape)
        batched = self.batchMode
        if batched is None:
            batched = elements != self.numElements or (len(shape) > 0 and shape[0] == 1)
        if not batched:
            if elements != self.numElements:
                raise self._mismatch(shape)
            return self.sizes
        if not shape or math.prod(shape[1:]) != self.numElements:
            raise self._mismatch(shape)
        return (shape[0], *self.sizes)

    def describe(self):
        known = "" if self.batchMode is None else f", batchMode={self.batchMode}"
        return super().describe() + known
