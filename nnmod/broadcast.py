"""Learned numbers, repeated over the input: Add, CAdd, Mul, CMul."""
import math

from . import check, init, kernels, tensor
from .errors import ShapeError
from .kernels import formulas
from .module import Module

_total = kernels.elementwise_sum(formulas.itself)
_dot = kernels.elementwise_sum(formulas.multiply)
_scale = kernels.elementwise(formulas.scale)


class _Broadcast(Module):
    """The base of modules whose one parameter is repeated over the input."""

    backwardNeeds = frozenset()
    accReadsGradInput = False
    bufferNames = ("_layout",)

    def __init__(self, name, size):
        super().__init__()
        self.paramNames = (name,)
        self.weight = self.gradWeight = self.bias = self.gradBias = self._layout = None
        like = self._type
        setattr(self, name, tensor.empty(size, like))
        setattr(self, "grad" + name.title(), tensor.zeros(size, like))
        self.size = size
        self.reset()

    def reset(self, stdv=None):
        """Draw the parameter from U(-b, b): b = 1 / sqrt(its number of elements), or std *stdv*."""
        parameter = getattr(self, self.paramNames[0])
        init.uniform(parameter, 1 / math.sqrt(parameter.size) if stdv is None else stdv * math.sqrt(3))
        return self

    def layout(self, input):
        """The shapes in which kernels see the input and the parameter: five dimensions each."""
        if self._layout is None or self._layout[0] != input.shape:
            self._layout = input.shape, *_meet(self.size, input.shape)
        return self._layout[1:]

    def describe(self):
        return " x ".join(map(str, self.size))


def _meet(size, shape):
    """Shapes of five dimensions in which an input of *shape* meets a parameter of *size*.

    They have equally many elements; or as many dimensions, the batch aside, and sizes
    that are equal or 1; or each row of the input has as many elements.
    """
    elements, parameters, row = math.prod(shape), math.prod(size), math.prod(shape[1:])
    if elements == parameters:
        return (1, 1, 1, 1, elements), (1, 1, 1, 1, elements)
    for repeated in (size, (1, *size), size[1:] if size[0] == 1 else None):
        if repeated is not None and len(repeated) == len(shape) and all(
                p in (1, x) for p, x in zip(repeated, shape)):
            groups = _merge(shape, repeated)
            if len(groups) > 5:
                raise ShapeError(f"input {shape} alternates too often between dimensions that the parameter "
                                 f"{size} has and repeats: bring together what belongs together")
            groups = [(1, 1)] * (5 - len(groups)) + groups
            return tuple(x for x, _ in groups), tuple(p for _, p in groups)
    if row == parameters and shape:
        return (1, 1, 1, shape[0], row), (1, 1, 1, 1, row)
    raise ShapeError(
        f"input must have shape {check.show(size)}, with or without a batch in front, sizes of 1 standing for "
        f"any, or rows of {parameters} elements, got {shape}")


def _merge(shape, repeated):
    """Pairs of sizes, neighbours of one kind made one: (of the input, of the parameter)."""
    groups = []
    for x, p in zip(shape, repeated):
        if x == p == 1:
            continue
        if groups and (groups[-1][1] == 1) == (p == 1 != x):
            x, p = x * groups[-1][0], p * groups[-1][1]
            groups.pop()
        groups.append((x, p))
    return groups


class Add(_Broadcast):
    """``y = x + bias``, a number for each feature, or one for all.

    Parameters
    ----------
    inputSize : int
        Features of an example.  With *scalar* it may be any number.
    scalar : bool
        True adds one number to every element.

    Shapes
    ------
    input   (N, ...) or (...) with inputSize elements to an example; with scalar any
    output  the same as input
    bias    (inputSize,), with scalar (1,); gradBias the same

    Raises ShapeError for another number of features.  Source: Torch7's nn.Add.

    >>> import numpy as np
    >>> Add(2).forward(np.zeros((3, 2), np.float32)).shape
    (3, 2)
    """

    def __init__(self, inputSize, scalar=False):
        check.boolean(scalar=scalar)
        check.positive(inputSize=inputSize)
        self.scalar = bool(scalar)
        super().__init__("bias", (1 if scalar else inputSize,))

    def layout(self, input):
        if self.scalar:
            return (1, 1, 1, 1, input.size), (1, 1, 1, 1, 1)
        return super().layout(input)

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        wide, narrow = self.layout(input)
        check.parameters(self, bias=self.size)
        K = kernels.of(input, self.bias)
        output = self.resize("output", input.shape, like=input)
        K.broadcast_add(input.reshape(wide), self.bias.reshape(narrow), output.reshape(wide))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        tensor.copy(gradOutput, gradInput)
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(gradOutput, self.gradBias)
        if self.bias.size == 1:
            self.gradBias += scale * _total(gradOutput)  # summed in float64
        else:
            wide, narrow = self.layout(input)
            K.broadcast_sum(gradOutput.reshape(wide), self.gradBias.reshape(narrow), scale)

    def describe(self):
        return "scalar" if self.scalar else f"{self.size[0]}"


class CAdd(Add):
    """``y = x + bias``, elementwise; sizes of 1 are repeated.

    Parameters
    ----------
    *size : int
        The sizes of the bias, as numbers or as one tuple.

    Shapes
    ------
    input   *size*, or (N, *size*); where *size* has a 1 any size; or rows of as many elements
    output  the same as input
    bias    *size*, gradBias the same

    Raises ShapeError where input and bias do not fit.  Source: Torch7's nn.CAdd.

    >>> import numpy as np
    >>> CAdd(1, 3, 1, 1).forward(np.zeros((2, 3, 4, 5), np.float32)).shape
    (2, 3, 4, 5)
    """

    def __init__(self, *size):
        self.scalar = False
        _Broadcast.__init__(self, "bias", _sizes(size))

    def describe(self):
        return _Broadcast.describe(self)


class CMul(_Broadcast):
    """``y = x * weight``, elementwise; sizes of 1 are repeated.

    Parameters
    ----------
    *size : int
        The sizes of the weight, as numbers or as one tuple.

    Shapes
    ------
    input   *size*, or (N, *size*); where *size* has a 1 any size; or rows of as many elements
    output  the same as input
    weight  *size*, gradWeight the same

    Raises ShapeError where input and weight do not fit.  Source: Torch7's nn.CMul.

    >>> import numpy as np
    >>> CMul(1, 3, 1, 1).forward(np.zeros((2, 3, 4, 5), np.float32)).shape
    (2, 3, 4, 5)
    """

    backwardNeeds = frozenset({"input"})

    def __init__(self, *size):
        super().__init__("weight", _sizes(size))

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        wide, narrow = self.layout(input)
        check.parameters(self, weight=self.size)
        K = kernels.of(input, self.weight)
        output = self.resize("output", input.shape, like=input)
        K.broadcast_multiply(input.reshape(wide), self.weight.reshape(narrow), output.reshape(wide))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        wide, narrow = self.layout(input)
        K = kernels.of(gradOutput, self.weight)
        gradInput = self.resize("gradInput", input.shape, like=input)
        K.broadcast_multiply(gradOutput.reshape(wide), self.weight.reshape(narrow), gradInput.reshape(wide))
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        wide, narrow = self.layout(input)
        K = kernels.of(input, gradOutput, self.gradWeight)
        if self.weight.size == 1:
            self.gradWeight += scale * _dot(input, gradOutput)  # summed in float64
        else:
            K.broadcast_product_sum(input.reshape(wide), gradOutput.reshape(wide),
                                    self.gradWeight.reshape(narrow), scale)


def _sizes(size):
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = tuple(size[0])
    if not size:
        raise ValueError("size must have at least one number, got none")
    for index, number in enumerate(size):
        check.positive(**{f"size[{index}]": number})
    return tuple(int(number) for number in size)


class Mul(Module):
    """``y = weight * x``: one learned number.

    Shapes
    ------
    input   any
    output  the same as input
    weight  (1,), gradWeight the same

    Source: Torch7's nn.Mul.

    >>> Mul()
    Mul()
    >>> import numpy as np
    >>> mul = Mul()
    >>> mul.weight[...] = 3
    >>> mul.forward(np.array([1, 2], np.float32))
    array([3., 6.], dtype=float32)
    """

    paramNames = ("weight",)
    backwardNeeds = frozenset({"input"})
    accReadsGradInput = False

    def __init__(self):
        super().__init__()
        like = self._type
        self.weight, self.gradWeight = tensor.empty((1,), like), tensor.zeros((1,), like)
        self.reset()

    def reset(self, stdv=None):
        """Draw weight from U(-1, 1), or with standard deviation *stdv*."""
        init.uniform(self.weight, 1.0 if stdv is None else stdv * math.sqrt(3))
        return self

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        check.parameters(self, weight=(1,))
        kernels.of(input, self.weight)
        output = self.resize("output", input.shape, like=input)
        _scale(input, output, float(self.weight[0]))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        _scale(gradOutput, gradInput, float(self.weight[0]))
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.gradWeight += scale * _dot(input, gradOutput)  # summed in float64
