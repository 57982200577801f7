"""One dimension reduced to one element: Sum, Mean, Max, Min."""
import numpy as np

from . import check, geometry, kernels
from .errors import ShapeError
from .module import Module

_INT32, _FLOAT64 = np.dtype(np.int32), np.dtype(np.float64)


class _Reduction(Module):
    """The base of what follows: which dimension it is."""

    paramNames = ()

    def __init__(self, dimension, nInputDims):
        super().__init__()
        check.integer(dimension=dimension)
        if nInputDims is not None:
            check.positive(nInputDims=nInputDims)
        self.dimension = dimension
        self.nInputDims = nInputDims

    def _axis(self, input):
        return check.axis("dimension", self.dimension, input.ndim, self.nInputDims)

    def describe(self):
        return f"{self.dimension}" + ("" if self.nInputDims is None else f", nInputDims={self.nInputDims}")


class Sum(_Reduction):
    """The sum over one dimension.

    Parameters
    ----------
    dimension : int
        Counted from 0; negative counts from the end.
    nInputDims : int or None
        How many dimensions one example has: with a batch in front, *dimension* moves on
        by one.
    sizeAverage : bool
        True takes the mean.
    squeeze : bool
        False keeps the dimension, with size 1.

    Shapes
    ------
    input   any
    output  the same sizes without *dimension*; (1,) for an input of one dimension

    Raises ShapeError where there is no such dimension.  Source: Torch7's nn.Sum.

    >>> import numpy as np
    >>> Sum(1).forward(np.array([[1, 2], [3, 4]], np.float32))
    array([3., 7.], dtype=float32)
    """

    bufferNames = ("_work",)
    backwardNeeds = frozenset()

    def __init__(self, dimension=0, nInputDims=None, sizeAverage=False, squeeze=True):
        super().__init__(dimension, nInputDims)
        self._work = None
        check.boolean(sizeAverage=sizeAverage, squeeze=squeeze)
        self.sizeAverage = sizeAverage
        self.squeeze = squeeze

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        axis = self._axis(input)
        A, n, B = geometry.around(input.shape, axis)
        if self.sizeAverage and n == 0:
            raise ShapeError(f"a mean over no elements has no value, got shape {input.shape}")
        kept = (1,) if not self.squeeze or input.ndim == 1 else ()
        output = self.resize("output", (*input.shape[:axis], *kept, *input.shape[axis + 1:]), like=input)
        work = self.resize("_work", (A, B), like=input, dtype=_FLOAT64)
        kernels.of(input).sum_axis(input.reshape(A, n, B), output.reshape(A, B), work, self._scale(n))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        A, n, B = geometry.around(input.shape, self._axis(input))
        gradInput = self.resize("gradInput", input.shape, like=input)
        kernels.of(gradOutput).expand_axis(gradOutput.reshape(A, B), gradInput.reshape(A, n, B), self._scale(n))
        return gradInput

    def _scale(self, n):
        return 1 / n if self.sizeAverage and n else 1.0

    def describe(self):
        return (super().describe() + (", sizeAverage" if self.sizeAverage and type(self) is Sum else "")
                + ("" if self.squeeze else ", squeeze=False"))


class Mean(Sum):
    """The mean over one dimension.

    Parameters
    ----------
    dimension : int
        Counted from 0; negative counts from the end.
    nInputDims : int or None
        How many dimensions one example has: with a batch in front, *dimension* moves on
        by one.

    Shapes
    ------
    input   any
    output  the same sizes without *dimension*; (1,) for an input of one dimension

    Raises ShapeError where there is no such dimension, or nothing in it.  Source:
    Torch7's nn.Mean.

    >>> import numpy as np
    >>> Mean(1).forward(np.array([[1, 2], [3, 4]], np.float32))
    array([1.5, 3.5], dtype=float32)
    """

    def __init__(self, dimension=0, nInputDims=None):
        super().__init__(dimension, nInputDims, sizeAverage=True)


class _Extreme(_Reduction):
    """What Max and Min share: the place of each winner is kept for the gradient."""

    bufferNames = ("_where",)
    backwardNeeds = frozenset()
    largest = None

    def __init__(self, dimension=0, nInputDims=None):
        super().__init__(dimension, nInputDims)
        self._where = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        axis = self._axis(input)
        A, n, B = geometry.around(input.shape, axis)
        if n == 0:
            raise ShapeError(f"{type(self).__name__} needs at least one element, got shape {input.shape}")
        shape = input.shape[:axis] + input.shape[axis + 1:] or (1,)
        output = self.resize("output", shape, like=input)
        where = self.resize("_where", shape, like=input, dtype=_INT32)
        kernels.of(input).extreme_axis(input.reshape(A, n, B), output.reshape(A, B), where.reshape(A, B),
                                       self.largest)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        A, n, B = geometry.around(input.shape, self._axis(input))
        gradInput = self.resize("gradInput", input.shape, like=input)
        kernels.of(gradOutput).extreme_axis_update_grad_input(
            gradOutput.reshape(A, B), self._where.reshape(A, B), gradInput.reshape(A, n, B))
        return gradInput


class Max(_Extreme):
    """The largest element of one dimension.

    Parameters
    ----------
    dimension : int
        Counted from 0; negative counts from the end.
    nInputDims : int or None
        How many dimensions one example has: with a batch in front, *dimension* moves on
        by one.

    Shapes
    ------
    input   any
    output  the same sizes without *dimension*; (1,) for an input of one dimension

    Of equal elements the first gets the gradient.  NaN counts as largest.  Raises
    ShapeError where there is no such dimension, or nothing in it.  Source: Torch7's nn.Max.

    >>> import numpy as np
    >>> Max(1).forward(np.array([[1, 2], [4, 3]], np.float32))
    array([2., 4.], dtype=float32)
    """

    largest = True


class Min(_Extreme):
    """The smallest element of one dimension.

    Parameters
    ----------
    dimension : int
        Counted from 0; negative counts from the end.
    nInputDims : int or None
        How many dimensions one example has: with a batch in front, *dimension* moves on
        by one.

    Shapes
    ------
    input   any
    output  the same sizes without *dimension*; (1,) for an input of one dimension

    Of equal elements the first gets the gradient.  NaN counts as smallest.  Raises
    ShapeError where there is no such dimension, or nothing in it.  Source: Torch7's nn.Min.

    >>> import numpy as np
    >>> Min(1).forward(np.array([[1, 2], [4, 3]], np.float32))
    array([1., 3.], dtype=float32)
    """

    largest = False
