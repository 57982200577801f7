"""Parts of a tensor, by number or by mask: Select, Narrow, Index, MaskedSelect; Replicate, OneHot."""
import numpy as np

from . import check, geometry, kernels, tensor
from .errors import ShapeError
from .joining import copy_slices
from .module import Module

_FLOAT64 = np.dtype(np.float64)


class _Part(Module):
    """The base of Select and Narrow: the output is a view of a part of the input."""

    paramNames = ()
    bufferNames = ("_gradient",)
    backwardNeeds = frozenset()
    sharesInput = True

    def __init__(self):
        super().__init__()
        self._gradient = None

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if input.dtype.kind != "f" or gradOutput is None:
            self.gradInput = None
            return None
        self.gradInput = self._gradient = tensor.resize(self._gradient, input.shape, input)
        axis, first, count = self._place(input.shape)
        # Each element is written once: what lies before the part, the part, what lies after it.
        A, n, B = geometry.around(input.shape, axis)
        dx = self.gradInput.reshape(A, n, B)
        tensor.fill(dx[:, :first], 0)
        copy_slices(gradOutput.reshape(A, count, B), 0, dx, first, count, 1)
        tensor.fill(dx[:, first + count:], 0)
        return self.gradInput


class Select(_Part):
    """One slice of a tensor; no number is copied.

    Parameters
    ----------
    dimension : int
        Counted from 0; negative counts from the end.
    index : int
        Which slice, counted from 0; negative counts from the end.

    Shapes
    ------
    input   any
    output  the same sizes without *dimension*; (1,) where nothing would be left

    Raises ShapeError where there is no such dimension, IndexError where there is no such
    slice.  Source: Torch7's nn.Select.

    >>> import numpy as np
    >>> Select(1, 0).forward(np.array([[1, 2], [3, 4]], np.float32))
    array([1., 3.], dtype=float32)
    """

    def __init__(self, dimension, index):
        super().__init__()
        check.integer(dimension=dimension, index=index)
        self.dimension = dimension
        self.index = index

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.is_tensor("input", input)
        axis, index, _ = self._place(input.shape)
        if input.ndim == 1:
            self.output = input[index:index + 1]
        else:
            self.output = input[(slice(None),) * axis + (index,)]
        return self.output

    def _place(self, shape):
        axis = check.dimension("dimension", self.dimension, len(shape))
        if not -shape[axis] <= self.index < shape[axis]:
            raise IndexError(f"index {self.index} does not exist in dimension {axis} of shape {shape} "
                             "(counted from 0)")
        return axis, self.index % shape[axis], 1

    def describe(self):
        return f"{self.dimension}, {self.index}"


class Narrow(_Part):
    """A run of slices of a tensor; no number is copied.

    Parameters
    ----------
    dimension : int
        Counted from 0; negative counts from the end.
    offset : int
        The first slice, counted from 0.
    length : int
        How many slices.  A negative length counts from the end: -1 takes all that follow
        *offset*, -2 all but the last.

    Shapes
    ------
    input   any
    output  the same sizes but *length* in *dimension*

    Raises ShapeError where the input is too small.  Source: Torch7's nn.Narrow.

    >>> import numpy as np
    >>> Narrow(0, 1, 2).forward(np.arange(4, dtype=np.float32))
    array([1., 2.], dtype=float32)
    """

    def __init__(self, dimension, offset, length=1):
        super().__init__()
        check.integer(dimension=dimension, length=length)
        check.not_negative(offset=offset)
        if length == 0:
            raise ValueError("length must not be 0")
        self.dimension = dimension
        self.offset = offset
        self.length = length

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.is_tensor("input", input)
        axis, first, count = self._place(input.shape)
        self.output = input[(slice(None),) * axis + (slice(first, first + count),)]
        return self.output

    def _place(self, shape):
        axis = check.dimension("dimension", self.dimension, len(shape))
        size = shape[axis]
        count = self.length if self.length > 0 else size - self.offset + self.length + 1
        if count < 1 or self.offset + count > size:
            raise ShapeError(f"input must have {self.offset + max(count, 1)} slices or more in dimension {axis} "
                             f"for offset {self.offset} and length {self.length}, got shape {shape}")
        return axis, self.offset, count

    def describe(self):
        return f"{self.dimension}, {self.offset}, {self.length}"


class Replicate(Module):
    """The input *nf* times, along a new dimension.

    Parameters
    ----------
    nf : int
        How often.
    dim : int
        Where the new dimension stands in the output, counted from 0; negative counts
        from the end.
    ndim : int or None
        How many dimensions one example has: with a batch in front, *dim* moves on by one.

    Shapes
    ------
    input   any
    output  the same sizes and *nf* at *dim*

    Raises ShapeError where there is no such place.  Source: Torch7's nn.Replicate.

    >>> import numpy as np
    >>> Replicate(2).forward(np.array([1, 2], np.float32))
    array([[1., 2.],
           [1., 2.]], dtype=float32)
    """

    paramNames = ()
    bufferNames = ("_work",)
    backwardNeeds = frozenset()

    def __init__(self, nf, dim=0, ndim=None):
        super().__init__()
        self._work = None
        check.positive(nf=nf)
        check.integer(dim=dim)
        if ndim is not None:
            check.positive(ndim=ndim)
        self.nf = nf
        self.dim = dim
        self.ndim = ndim

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        axis = self._axis(input)
        K = kernels.of(input)
        output = self.resize("output", (*input.shape[:axis], self.nf, *input.shape[axis:]), like=input)
        A, n, B = geometry.around(output.shape, axis)
        K.expand_axis(input.reshape(A, B), output.reshape(A, n, B))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        A, n, B = geometry.around(gradOutput.shape, self._axis(input))
        gradInput = self.resize("gradInput", input.shape, like=input)
        work = self.resize("_work", (A, B), like=input, dtype=_FLOAT64)
        kernels.of(gradOutput).sum_axis(gradOutput.reshape(A, n, B), gradInput.reshape(A, B), work)
        return gradInput

    def _axis(self, input):
        batch = 1 if self.ndim is not None and input.ndim > self.ndim and self.dim >= 0 else 0
        return check.dimension("dim", self.dim + batch, input.ndim + 1)

    def describe(self):
        return f"{self.nf}, {self.dim}" + ("" if self.ndim is None else f", ndim={self.ndim}")


class Index(Module):
    """Slices of a tensor, taken by number: ``y[j] = x[index[j]]``.

    Parameters
    ----------
    dimension : int
        Along which the slices lie, counted from 0; negative counts from the end.

    Shapes
    ------
    input   a table: the tensor; index (m,) of int32 or int64, counted from 0
    output  the shape of the tensor with m in *dimension*

    The gradient of a slice that was taken more than once adds up; index has none (None).
    Raises IndexError for a number outside the dimension.  Source: Torch7's nn.Index.

    >>> import numpy as np
    >>> Index(0).forward([np.array([5, 6, 7], np.float32), np.array([2, 0, 2])])
    array([7., 5., 7.], dtype=float32)
    """

    paramNames = ()
    bufferNames = ("_gradient",)
    backwardNeeds = frozenset({"input"})

    def __init__(self, dimension):
        super().__init__()
        check.integer(dimension=dimension)
        self.dimension = dimension
        self._gradient = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input, 2)
        x, index = input
        check.floating("input[0]", x)
        axis = check.dimension("dimension", self.dimension, x.ndim)
        check.is_tensor("input[1]", index, "np.int64")
        check.shape("input[1]", index, "m")
        check.indices("input[1]", index, x.shape[axis], "slices")
        A, n, B = geometry.around(x.shape, axis)
        output = self.resize("output", (*x.shape[:axis], index.size, *x.shape[axis + 1:]), like=x)
        kernels.of(x).index_axis(x.reshape(A, n, B), index, output.reshape(A, index.size, B))
        return output

    def updateGradInput(self, input, gradOutput):
        (x, index), gradOutput = self.takeGradOutput(input, gradOutput)
        axis = check.dimension("dimension", self.dimension, x.ndim)
        check.indices("input[1]", index, x.shape[axis], "slices")
        A, n, B = geometry.around(x.shape, axis)
        self._gradient = tensor.resize(self._gradient, x.shape, x)
        kernels.of(gradOutput).index_axis_update_grad_input(
            gradOutput.reshape(A, index.size, B), index, self._gradient.reshape(A, n, B))
        self.gradInput = [self._gradient, None]
        return self.gradInput

    def describe(self):
        return f"{self.dimension}"


class MaskedSelect(Module):
    """The elements of a tensor where a mask is set, one after the other.

    Shapes
    ------
    input   a table: the tensor; the mask, of the same shape, bool or uint8 (0 is unset)
    output  (k,), as many elements as are set

    The mask has no gradient (None).  Raises ShapeError where the shapes differ.
    Source: Torch7's nn.MaskedSelect.

    >>> import numpy as np
    >>> MaskedSelect().forward([np.array([5, 6, 7], np.float32), np.array([True, False, True])])
    array([5., 7.], dtype=float32)
    """

    paramNames = ()
    bufferNames = ("_gradient",)
    backwardNeeds = frozenset({"input"})

    def __init__(self):
        super().__init__()
        self._gradient = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input, 2)
        x, mask = input
        check.floating("input[0]", x)
        check.is_tensor("input[1]", mask, "bool")
        if mask.dtype.char not in "?B":
            raise TypeError(f"input[1], the mask, must be bool or uint8, got {mask.dtype.name}; "
                            "convert it with .astype(bool)")
        if mask.shape != x.shape:
            raise ShapeError(f"input[1], the mask, must have the shape of input[0], {x.shape}, got {mask.shape}")
        output = self.resize("output", (_count(mask),), like=x)
        kernels.of(x).masked_select(x.reshape(x.size), _bytes(mask), output)
        return output

    def updateGradInput(self, input, gradOutput):
        (x, mask), gradOutput = self.takeGradOutput(input, gradOutput)
        if _count(mask) != gradOutput.size:
            raise RuntimeError("the mask has changed since forward: call forward again")
        self._gradient = tensor.resize(self._gradient, x.shape, x)
        kernels.of(x).masked_select_update_grad_input(gradOutput, _bytes(mask), self._gradient.reshape(x.size))
        self.gradInput = [self._gradient, None]
        return self.gradInput


def _bytes(mask):
    return mask.reshape(mask.size).view(np.uint8)


def _count(mask):
    return int(np.count_nonzero(tensor.host(mask)))


class OneHot(Module):
    """A row of zeros with a one at the given number.

    Parameters
    ----------
    outputSize : int
        How many numbers there are: 0 .. outputSize-1.

    Shapes
    ------
    input   any shape of int32 or int64, or an int
    output  (*input.shape, outputSize), of the module's type

    Numbers have no gradient: gradInput is None.  Raises IndexError for a number outside
    0 .. outputSize-1.  Source: Torch7's nn.OneHot.

    >>> import numpy as np
    >>> OneHot(3).forward(np.array([2, 0]))
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """

    paramNames = ()
    backwardNeeds = frozenset()

    def __init__(self, outputSize):
        super().__init__()
        check.positive(outputSize=outputSize)
        self.outputSize = outputSize

    def updateOutput(self, input):
        index = self.takeInput(input)
        if check.is_int(index):
            index = tensor.beside(np.asarray(index, np.int64), self._type)
        check.indices("input", index, self.outputSize, "numbers")
        output = self.resize("output", (*index.shape, self.outputSize), like=index, dtype=tensor.dtype_of(self._type))
        kernels.of(output).one_hot(index.reshape(index.size), output.reshape(index.size, self.outputSize))
        return output

    def updateGradInput(self, input, gradOutput):
        self.takeGradOutput(input, gradOutput)
        self.gradInput = None
        return None

    def describe(self):
        return f"{self.outputSize}"
