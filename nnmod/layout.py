"""The same numbers in another order or of another type: Transpose, Convert, Copy."""
import math

from . import check, kernels, tensor
from .errors import ShapeError
from .module import Module


class Transpose(Module):
    """Dimensions exchanged, pair after pair.

    Parameters
    ----------
    *permutations : pairs of int
        ``(0, 2), (0, 1)`` exchanges dimensions 0 and 2, then 0 and 1.  Counted from 0;
        negative counts from the end.
    numInputDims : int or None
        How many dimensions one example has: what comes before them is batch, stays in
        front, and dimensions are counted after it.

    Shapes
    ------
    input   any
    output  the same sizes in the new order

    Raises ShapeError where there is no such dimension.  Source: Torch7's nn.Transpose.

    >>> import numpy as np
    >>> Transpose((0, 1)).forward(np.zeros((2, 3, 4), np.float32)).shape
    (3, 2, 4)
    """

    paramNames = ()
    backwardNeeds = frozenset()

    def __init__(self, *permutations, numInputDims=None):
        super().__init__()
        for pair in permutations:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2 or not all(map(check.is_int, pair)):
                raise ValueError(f"permutations must be pairs of dimensions such as (0, 1), got {pair!r}")
        self.setNumInputDims(numInputDims)
        self.permutations = tuple((int(a), int(b)) for a, b in permutations)

    def setNumInputDims(self, numInputDims):
        """Say how many dimensions one example has, or None; returns self."""
        if numInputDims is not None:
            check.positive(numInputDims=numInputDims)
        self.numInputDims = numInputDims
        return self

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        axes = self._axes(input.ndim)
        return _permuted(self, "output", input, axes)

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        return _permuted(self, "gradInput", gradOutput, _inverse(self._axes(input.ndim)))

    def _axes(self, ndim):
        """For each dimension of the output, the one of the input that it is."""
        batch = 0 if self.numInputDims is None else ndim - self.numInputDims
        if batch < 0:
            raise ShapeError(f"input must have at least {self.numInputDims} dimensions (numInputDims), got {ndim}")
        axes = list(range(ndim))
        for pair in self.permutations:
            i, j = (batch + check.dimension("dimension", dim, ndim - batch) for dim in pair)
            axes[i], axes[j] = axes[j], axes[i]
        return tuple(axes)

    def describe(self):
        known = [str(pair) for pair in self.permutations]
        known += [] if self.numInputDims is None else [f"numInputDims={self.numInputDims}"]
        return ", ".join(known)


class Convert(Module):
    """From one layout of a batch to another, each written with one letter a dimension.

    b is the batch, f features, t time or target, c channels, h height, w width; any
    other letter may name a dimension too.  The input is also converted to the type of
    the module, and gradInput to that of the input.

    Parameters
    ----------
    inputShape : str or None
        The layout of the input, such as ``"bchw"``; without a b, a b goes in front.
        None (``"b*"``) takes any shape and converts the type alone.
    outputShape : str or None
        The layout of the output: the same letters in another order; ``"bf"``, which
        flattens each example; ``"b"`` of ``"bf"`` with one feature or of ``"bt"``, whose
        first entry is taken; ``"bt"`` of ``"b"``.  None is inputShape.

    Shapes
    ------
    input   as *inputShape* says, float32, float64 or integers; the batch may be absent
    output  as *outputShape* says, of the module's type

    Raises ValueError for layouts that cannot be converted, ShapeError for an input of
    another number of dimensions.  Source: Torch7's nn.Convert.

    >>> import numpy as np
    >>> Convert("bchw", "bhwc").forward(np.zeros((2, 3, 5, 4), np.float32)).shape
    (2, 5, 4, 3)
    >>> Convert("chw", "f").forward(np.zeros((3, 5, 4), np.uint8)).shape
    (60,)
    """

    paramNames = ()
    bufferNames = ("_cast", "_ordered", "_first", "_unordered", "_uncast")
    backwardNeeds = frozenset()

    def __init__(self, inputShape=None, outputShape=None):
        super().__init__()
        if inputShape is None and outputShape is not None:
            raise ValueError("inputShape must be given where outputShape is")
        inputShape, outputShape = inputShape or "b*", outputShape or inputShape or "b*"
        for name, shape in (("inputShape", inputShape), ("outputShape", outputShape)):
            if not isinstance(shape, str) or (shape != "b*" and (
                    not shape.isalpha() or len(set(shape)) < len(shape))):
                raise ValueError(
                    f'{name} must be letters, one a dimension and each once, such as "bchw", got {shape!r}')
        self.inputShape = inputShape if "b" in inputShape else "b" + inputShape
        self.outputShape = outputShape if "b" in outputShape else "b" + outputShape
        self._order, self._ending = _conversion(self.inputShape, self.outputShape)
        self._cast = self._ordered = self._first = self._unordered = self._uncast = None

    @property
    def sharesInput(self):
        """Whether the output may be a view of the input: where the order stays."""
        return self._order is None or self._order == tuple(range(len(self._order)))

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.is_tensor("input", input)
        if input.dtype.kind not in "iu" and input.dtype.char not in "fd":
            raise TypeError(f"input must be float32, float64 or integers, got {input.dtype.name}")
        x, batched = self._withBatch(input)
        if self._ending == "first" and "f" in self.inputShape and x.shape[self._order[1]] != 1:
            raise ShapeError(f"input must have one feature to be converted to 'b', got shape {input.shape}")
        if self._ending == "first" and x.shape[self._order[1]] == 0:
            raise ShapeError(f"input must have at least one entry to take the first of, got shape {input.shape}")
        x = _converted(self, "_cast", x, tensor.dtype_of(self._type))
        if not self.sharesInput:
            x = _permuted(self, "_ordered", x, self._order)
        if self._ending == "flat":
            x = x.reshape(x.shape[0], math.prod(x.shape[1:]))
        elif self._ending == "first":
            x = x[:, 0]
        if not batched:
            batch = self.outputShape.index("b")
            x = x.reshape(x.shape[:batch] + x.shape[batch + 1:] or (1,))
        self.output = x
        return x

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if input.dtype.kind != "f" or gradOutput is None:
            self.gradInput = None
            return None
        x, _ = self._withBatch(input)
        dx = gradOutput
        if self._ending == "first":
            self._first = tensor.resize(self._first, tuple(x.shape[axis] for axis in self._order), dx)
            tensor.fill(self._first, 0)
            tensor.copy(dx, self._first[:, 0])
            dx = self._first
        if not self.sharesInput:
            dx = dx.reshape(tuple(x.shape[axis] for axis in self._order))
            dx = _permuted(self, "_unordered", dx, _inverse(self._order))
        self.gradInput = _converted(self, "_uncast", dx.reshape(input.shape), input.dtype)
        return self.gradInput

    def _withBatch(self, input):
        """*input* with a batch dimension, and whether it had one."""
        if self._order is None or input.ndim == len(self.inputShape):
            return input, True
        if input.ndim == len(self.inputShape) - 1:
            batch = self.inputShape.index("b")
            return input.reshape(input.shape[:batch] + (1,) + input.shape[batch:]), False
        raise ShapeError(f"input must have the dimensions {self.inputShape!r}, with or without b, "
                         f"got shape {input.shape}")

    def describe(self):
        return f"{self.inputShape!r} -> {self.outputShape!r}"


class Copy(Module):
    """``y = x`` in another type, or in memory of its own.

    Parameters
    ----------
    intype, outtype : str
        The types of input and output, ``"float32"`` or ``"float64"``.
    forceCopy : bool
        Copy where both are the same too; otherwise the output is then the input itself.
    dontCast : bool
        Keep both types when the network is converted.  Otherwise ``double()`` and the
        like make both the type of the network, as in Torch7.

    Shapes
    ------
    input   any tensor of intype; any value where nothing is to be copied
    output  the same shape, of outtype

    Raises TypeError for an input of another type.  Source: Torch7's nn.Copy.

    >>> import numpy as np
    >>> Copy("float32", "float64").forward(np.ones(2, np.float32)).dtype
    dtype('float64')
    """

    paramNames = ()
    _typeNames = ("intype", "outtype")
    backwardNeeds = frozenset()
    dontCast = False

    def __init__(self, intype="float32", outtype="float32", forceCopy=False, dontCast=False):
        super().__init__()
        check.boolean(forceCopy=forceCopy, dontCast=dontCast)
        self.intype, self.outtype = tensor.type_name(intype), tensor.type_name(outtype)
        self.forceCopy = forceCopy
        self.dontCast = dontCast

    @property
    def _type(self):
        """The type of the output; converting the network sets it."""
        return self.outtype

    @_type.setter
    def _type(self, name):
        if not self.dontCast:
            self.intype = self.outtype = name

    @property
    def sharesInput(self):
        """Whether the output is the input itself."""
        return self.intype == self.outtype and not self.forceCopy

    def updateOutput(self, input):
        input = self.takeInput(input)
        if self.sharesInput:
            self.output = input
            return input
        check.is_tensor("input", input)
        check.type_is("input", input, self.intype)
        self.output = tensor.resize(self.output, input.shape, self.outtype)
        tensor.copy(input, self.output)
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if self.sharesInput:
            self.gradInput = gradOutput
        else:
            tensor.copy(gradOutput, self.resize("gradInput", input.shape, like=input))
        return self.gradInput

    def describe(self):
        return (f"{self.intype.removeprefix('cpu.')} -> {self.outtype.removeprefix('cpu.')}"
                + (", forced" if self.forceCopy else "") + (", not cast" if self.dontCast else ""))


def _conversion(source, target):
    """How layout *source* becomes *target*: the order of dimensions, and what is done last.

    That is None, or "flat" (all but the batch as one), or "first" (of the second
    dimension).  The order is None for any shape.
    """
    if "*" in source or "*" in target:
        if source != target:
            raise ValueError(f'both layouts or neither must be "b*", got {source!r} and {target!r}')
        return None, None
    if sorted(source) == sorted(target):
        return tuple(map(source.index, target)), None
    if target == "bf" and source != "bt":
        order = list(range(len(source)))
        batch = source.index("b")
        order[0], order[batch] = batch, 0  # exchanged, not moved: "chwb" becomes b, h, w, c
        return tuple(order), "flat"
    if target == "b" and sorted(source) in (["b", "t"], ["b", "f"]):
        return (source.index("b"), 1 - source.index("b")), "first"
    if target == "bt" and source == "b":
        return (0,), "flat"
    raise ValueError(f"there is no conversion of layout {source!r} to {target!r}")


def _permuted(module, name, x, axes):
    """*x* with its dimensions in the order *axes*, in buffer *name* of *module*."""
    y = module.resize(name, tuple(x.shape[axis] for axis in axes), like=x)
    kernels.of(x).permute(x, y, axes)
    return y


def _inverse(axes):
    return tuple(map(axes.index, range(len(axes))))


def _converted(module, name, x, dtype):
    """*x* itself if it has this dtype, else a copy that has, in buffer *name* of *module*."""
    if x.dtype == dtype:
        return x
    y = module.resize(name, x.shape, like=x, dtype=dtype)
    tensor.copy(x, y)
    return y
