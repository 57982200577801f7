"""Affine layers: Linear, LinearNoBias, LinearWeightNorm, PartialLinear, Bilinear."""
import math

import numpy as np

from . import check, geometry, init, kernels, tensor
from .errors import ShapeError
from .module import Module
from .windowed import BiasOption


class Linear(BiasOption, Module):
    """Affine map ``y = x @ weight.T + bias`` of each row of a batch.

    Parameters
    ----------
    inputSize : int or None
        Features of a row of the input; None takes it from the first input.
    outputSize : int
        Features of a row of the output.
    bias : bool
        False leaves the bias out: ``bias`` and ``gradBias`` are then None.

    Shapes
    ------
    input   (N, inputSize) or (inputSize,)
    output  (N, outputSize) or (outputSize,)
    weight  (outputSize, inputSize), gradWeight the same
    bias    (outputSize,), gradBias the same

    Raises ShapeError for another number of features.  Source: Torch7's nn.Linear.

    >>> import numpy as np
    >>> Linear(3, 2)
    Linear(3 -> 2)
    >>> Linear(3, 2).forward(np.ones((4, 3), np.float32)).shape
    (4, 2)
    """

    backwardNeeds = frozenset({"input"})
    accReadsGradInput = False

    def __init__(self, inputSize, outputSize, bias=True):
        super().__init__()
        check.positive(outputSize=outputSize)
        check.boolean(bias=bias)
        self.inputSize = inputSize
        self.outputSize = outputSize
        self.hasBias = bool(bias)
        self.weight = self.gradWeight = self.bias = self.gradBias = None
        if inputSize is not None:
            check.positive(inputSize=inputSize)
            self._allocate()

    def _allocate(self):
        like = self._type
        self.weight = tensor.empty((self.outputSize, self.inputSize), like)
        self.gradWeight = tensor.zeros(self.weight.shape, like)
        if self.hasBias:
            self.bias = tensor.empty((self.outputSize,), like)
            self.gradBias = tensor.zeros(self.bias.shape, like)
        self.reset()

    @property
    def sizesKnown(self):
        """False until inputSize is given or inferred."""
        return self.weight is not None

    def reset(self, stdv=None):
        """Draw weight and bias from U(-b, b): b = 1 / sqrt(inputSize), or std *stdv*."""
        if self.weight is not None:
            bound = 1 / math.sqrt(self.inputSize) if stdv is None else stdv * math.sqrt(3)
            init.uniform(self.weight, bound)
            if self.bias is not None:
                init.uniform(self.bias, bound)
        return self

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = self._rows(input)
        K = kernels.of(input, self.weight, self.bias)
        output = self.resize("output", (*input.shape[:-1], self.outputSize), like=input)
        K.gemm(x, self.weight, geometry.with_batch(output, 2), trans_b=True, bias=self.bias)
        return output

    def compute(self, owner, input, norm=None, end=()):
        """The output in a buffer of *owner*, a Fused, which also says how it ends.

        norm, end  what linear_fused_update_output takes: a normalisation, an activation and its numbers
        """
        x = self._rows(input)
        K = kernels.of(input, self.weight, self.bias)
        output = owner.resize("output", (*input.shape[:-1], self.outputSize), like=input)
        K.linear_fused_update_output(x, self.weight, self.bias, norm, geometry.with_batch(output, 2), *end)
        return output

    def _rows(self, input):
        """*input* as a batch, after it and the parameters are checked."""
        x = check.batched("input", input, "N", self.inputSize or "inputSize")
        if self.weight is None:
            check.type_is("input", input, self._type)
            if x.shape[1] == 0:
                raise ShapeError(f"input must have at least one feature, got {input.shape}")
            self.inputSize = x.shape[1]
            self._allocate()
        # Looked at only after one was replaced: at batch 1 the check would cost more than the rest.
        seen = self._seen
        if (seen is None or self.weight is not seen[0] or self.bias is not seen[1]
                or self.gradWeight is not seen[2] or self.gradBias is not seen[3]):
            check.parameters(self, weight=(self.outputSize, self.inputSize), bias=(self.outputSize,))
            self._seen = self.weight, self.bias, self.gradWeight, self.gradBias
        return x

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(gradOutput, self.weight)
        gradInput = self.resize("gradInput", input.shape, like=input)
        K.gemm(geometry.with_batch(gradOutput, 2), self.weight, geometry.with_batch(gradInput, 2))
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, gradOutput, self.gradWeight, self.gradBias)
        dy = geometry.with_batch(gradOutput, 2)
        K.gemm(dy, geometry.with_batch(input, 2), self.gradWeight, scale, 1.0, trans_a=True)
        if self.gradBias is not None:
            K.sum_rows(dy, self.gradBias, scale)

    def describe(self):
        return f"{self.inputSize or '?'} -> {self.outputSize}" + ("" if self.hasBias else ", no bias")


class LinearNoBias(Linear):
    """Linear map ``y = x @ weight.T``: Linear without a bias.

    Parameters
    ----------
    inputSize : int or None
        Features of a row of the input; None takes it from the first input.
    outputSize : int
        Features of a row of the output.

    Shapes
    ------
    input   (N, inputSize) or (inputSize,)
    output  (N, outputSize) or (outputSize,)
    weight  (outputSize, inputSize), gradWeight the same

    Source: nn.LinearNoBias of the rnn library for Torch7.

    >>> LinearNoBias(3, 2)
    LinearNoBias(3 -> 2, no bias)
    >>> LinearNoBias(3, 2).forward(np.zeros(3, np.float32))
    array([0., 0.], dtype=float32)
    """

    def __init__(self, inputSize, outputSize):
        super().__init__(inputSize, outputSize, bias=False)


class LinearWeightNorm(Linear):
    """Linear whose weight is learned as directions and lengths: ``weight[o] = g[o] * v[o] / |v[o]|``.

    Parameters
    ----------
    inputSize : int or None
        Features of a row of the input; None takes it from the first input.
    outputSize : int
        Features of a row of the output.
    bias : bool
        False leaves the bias out.
    eps : float
        The least norm of a direction that is divided by, >= 0.

    Shapes
    ------
    input   (N, inputSize) or (inputSize,)
    output  (N, outputSize) or (outputSize,)
    v       (outputSize, inputSize), gradV the same
    g       (outputSize, 1), gradG the same
    bias    (outputSize,), gradBias the same
    weight  (outputSize, inputSize), made from v and g at each forward

    Gradients add up over backwards, unlike in Torch7, whose second backward scales
    the first one's again.  Raises ShapeError for another number of features.
    Source: Torch7's nn.LinearWeightNorm (Salimans and Kingma, 2016).

    >>> LinearWeightNorm(3, 2)
    LinearWeightNorm(3 -> 2)
    >>> layer = LinearWeightNorm(2, 1)
    >>> layer.v[...], layer.g[...], layer.bias[...] = [3, 4], 10, 0
    >>> layer.forward(np.array([1, 0], np.float32))
    array([6.], dtype=float32)
    >>> layer.weight
    array([[6., 8.]], dtype=float32)
    """

    paramNames = ("v", "g", "bias")
    bufferNames = ("weight", "gradWeight", "_norm")

    def __init__(self, inputSize, outputSize, bias=True, eps=1e-16):
        check.number(low=0, eps=eps)
        self.eps = eps
        self.v = self.gradV = self.g = self.gradG = self._norm = None
        super().__init__(inputSize, outputSize, bias)

    @classmethod
    def fromLinear(cls, linear):
        """A LinearWeightNorm that computes what *linear* does."""
        if not isinstance(linear, Linear) or isinstance(linear, LinearWeightNorm):
            raise TypeError(f"linear must be a Linear, got {linear!r}")
        weight, bias = linear.parameters()[0][0], linear.bias
        module = cls(linear.inputSize, linear.outputSize, bias is not None).type(linear.type())
        tensor.copy(weight, module.v)
        module._lengthsOfDirections()
        if bias is not None:
            tensor.copy(bias, module.bias)
        return module

    def toLinear(self):
        """A Linear that computes what this module does now."""
        self.parameters()  # says so where sizes are unknown
        module = Linear(self.inputSize, self.outputSize, self.hasBias).type(self.type())
        self._makeWeight()
        tensor.copy(self.weight, module.weight)
        if self.bias is not None:
            tensor.copy(self.bias, module.bias)
        return module

    def _allocate(self):
        like = self._type
        self.v = tensor.empty((self.outputSize, self.inputSize), like)
        self.gradV = tensor.zeros(self.v.shape, like)
        self.g = tensor.empty((self.outputSize, 1), like)
        self.gradG = tensor.zeros(self.g.shape, like)
        if self.hasBias:
            self.bias = tensor.empty((self.outputSize,), like)
            self.gradBias = tensor.zeros(self.bias.shape, like)
        self.reset()

    @property
    def sizesKnown(self):
        """False until inputSize is given or inferred."""
        return self.v is not None

    def reset(self, stdv=None):
        """Draw v and bias from U(-b, b): b = 1 / sqrt(inputSize), or std *stdv*; g is the length of v."""
        if self.v is not None:
            bound = 1 / math.sqrt(self.inputSize) if stdv is None else stdv * math.sqrt(3)
            init.uniform(self.v, bound)
            self._lengthsOfDirections()
            if self.bias is not None:
                init.uniform(self.bias, bound)
        return self

    def _lengthsOfDirections(self):
        kernels.of(self.v).vector_norms(self.v, self.g.reshape(-1), 0.0)

    def _makeWeight(self):
        weight = self.resize("weight", self.v.shape, like=self.v)
        norm = self.resize("_norm", self.g.shape, like=self.g)
        kernels.of(self.v, self.g).weight_norm_update_output(self.v, self.g, norm, weight, 0.0, self.eps)

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = check.batched("input", input, "N", self.inputSize or "inputSize")
        if self.v is None:
            check.type_is("input", input, self._type)
            if x.shape[1] == 0:
                raise ShapeError(f"input must have at least one feature, got {input.shape}")
            self.inputSize = x.shape[1]
            self._allocate()
        check.parameters(self, v=(self.outputSize, self.inputSize), g=(self.outputSize, 1),
                         bias=(self.outputSize,))
        K = kernels.of(input, self.v, self.g, self.bias)
        self._makeWeight()
        output = self.resize("output", (*input.shape[:-1], self.outputSize), like=input)
        K.gemm(x, self.weight, geometry.with_batch(output, 2), trans_b=True, bias=self.bias)
        return output

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, gradOutput, self.gradV, self.gradG, self.gradBias)
        dy = geometry.with_batch(gradOutput, 2)
        gradWeight = self.resize("gradWeight", self.v.shape, like=self.v)
        K.gemm(dy, geometry.with_batch(input, 2), gradWeight, scale, 0.0, trans_a=True)
        K.weight_norm_acc_grad_parameters(self.v, self.g, self._norm, gradWeight, self.gradV, self.gradG,
                                          self.eps)
        if self.gradBias is not None:
            K.sum_rows(dy, self.gradBias, scale)


class PartialLinear(BiasOption, Module):
    """Linear of which a part of the outputs can be computed alone.

    Parameters
    ----------
    inputsize : int
        Features of a row of the input.
    outputsize : int
        How many outputs there are in all.
    bias : bool
        False leaves the bias out.

    Shapes
    ------
    input   (N, inputsize) or (inputsize,)
    output  (N, P) or (P,), where P outputs are in the partition, all of them at first
    weight  (outputsize, inputsize), gradWeight the same
    bias    (1, outputsize), gradBias the same

    ``setPartition(indices)`` chooses the outputs and their order, ``resetPartition()``
    returns to all.  Rows outside the partition get no gradient.  Raises ShapeError for
    another number of features.  Source: Torch7's nn.PartialLinear.

    >>> layer = PartialLinear(3, 1000)
    >>> layer.setPartition(np.array([7, 2]))
    PartialLinear(3 -> 2 of 1000)
    >>> layer.forward(np.zeros((4, 3), np.float32)).shape
    (4, 2)
    """

    bufferNames = ("_weight", "_bias", "_gradWeight", "_gradBias", "_computed")
    backwardNeeds = frozenset({"input"})
    accReadsGradInput = False

    def __init__(self, inputsize, outputsize, bias=True):
        super().__init__()
        check.positive(inputsize=inputsize, outputsize=outputsize)
        check.boolean(bias=bias)
        self.inputsize = inputsize
        self.outputsize = outputsize
        like = self._type
        self.weight = tensor.empty((outputsize, inputsize), like)
        self.gradWeight = tensor.zeros((outputsize, inputsize), like)
        self.bias = self.gradBias = None
        if bias:
            self.bias = tensor.zeros((1, outputsize), like)
            self.gradBias = tensor.zeros((1, outputsize), like)
        self.partition = None
        self._weight = self._bias = self._gradWeight = self._gradBias = self._computed = None
        self.reset()

    def reset(self, stdv=None):
        """Draw weight from the normal distribution of standard deviation *stdv*, 1 by default; bias is 0."""
        init.normal(self.weight, 1.0 if stdv is None else stdv)
        if self.bias is not None:
            init.constant(self.bias, 0)
        return self

    def setPartition(self, indices):
        """Compute the outputs *indices* alone, a tensor of int32 or int64, in that order; returns self."""
        check.integers("indices", indices)
        indices = tensor.host(indices)
        if indices.ndim != 1 or not indices.size:
            raise ShapeError(f"indices must have shape (P,), at least one, got {indices.shape}")
        wrong = (indices < 0) | (indices >= self.outputsize)
        if wrong.any():
            place = int(wrong.argmax())
            raise IndexError(f"indices[{place}] is {int(indices[place])}, but outputs are "
                             f"0..{self.outputsize - 1} (nnmod counts from 0)")
        self.partition = np.array(indices, np.int64)
        return self

    def resetPartition(self):
        """Compute all outputs; returns self."""
        self.partition = None
        return self

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = check.batched("input", input, "N", self.inputsize)
        check.parameters(self, weight=(self.outputsize, self.inputsize), bias=(1, self.outputsize))
        K = kernels.of(input, self.weight, self.bias)
        weight, bias = self.weight, self.bias
        self._computed = self.partition
        if self.partition is not None:
            rows = self._onDevice(self.partition, input)
            weight = self.resize("_weight", (self.partition.size, self.inputsize), like=input)
            K.lookup_update_output(rows, self.weight, weight)
            if bias is not None:
                bias = self.resize("_bias", (self.partition.size, 1), like=input)
                K.lookup_update_output(rows, self.bias.reshape(-1, 1), bias)
        output = self.resize("output", (*input.shape[:-1], weight.shape[0]), like=input)
        K.gemm(x, weight, geometry.with_batch(output, 2), trans_b=True,
               bias=None if bias is None else bias.reshape(-1))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self._samePartition()
        K = kernels.of(gradOutput, self.weight)
        gradInput = self.resize("gradInput", input.shape, like=input)
        K.gemm(geometry.with_batch(gradOutput, 2), self.weight if self.partition is None else self._weight,
               geometry.with_batch(gradInput, 2))
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self._samePartition()
        K = kernels.of(input, gradOutput, self.gradWeight, self.gradBias)
        x, dy = geometry.with_batch(input, 2), geometry.with_batch(gradOutput, 2)
        if self.partition is None:
            K.gemm(dy, x, self.gradWeight, scale, 1.0, trans_a=True)
            if self.gradBias is not None:
                K.sum_rows(dy, self.gradBias.reshape(-1), scale)
            return
        rows = self._onDevice(self.partition, input)
        part = self.resize("_gradWeight", (self.partition.size, self.inputsize), like=input)
        K.gemm(dy, x, part, trans_a=True)
        K.lookup_acc_grad_parameters(rows, part, None, self.gradWeight, scale)
        if self.gradBias is not None:
            part = self.resize("_gradBias", (self.partition.size, 1), like=input)
            tensor.fill(part, 0)
            K.sum_rows(dy, part.reshape(-1))
            K.lookup_acc_grad_parameters(rows, part, None, self.gradBias.reshape(-1, 1), scale)

    def _samePartition(self):
        if self._computed is not self.partition:
            raise RuntimeError("the partition has changed since the last forward: call forward again")

    def describe(self):
        part = "" if self.partition is None else f"{self.partition.size} of "
        return f"{self.inputsize} -> {part}{self.outputsize}" + ("" if self.bias is not None else ", no bias")


class Bilinear(BiasOption, Module):
    """A form of two inputs: ``y[o] = x1 @ weight[o] @ x2 + bias[o]``.

    Parameters
    ----------
    inputSize1, inputSize2 : int
        Features of the rows of the two inputs.
    outputSize : int
        Features of a row of the output.
    bias : bool
        False leaves the bias out.

    Shapes
    ------
    input   a table: (N, inputSize1) and (N, inputSize2), or (inputSize1,) and (inputSize2,)
    output  (N, outputSize) or (outputSize,)
    weight  (outputSize, inputSize1, inputSize2), gradWeight the same
    bias    (outputSize,), gradBias the same

    Raises ShapeError for other sizes.  (Torch7 forgets *scale* in gradWeight.)
    Source: Torch7's nn.Bilinear.

    >>> Bilinear(3, 4, 2)
    Bilinear(3 x 4 -> 2)
    >>> form = Bilinear(2, 2, 1, bias=False)
    >>> form.weight[...] = [[[1, 2], [3, 4]]]
    >>> form.forward([np.array([1, 0], np.float32), np.array([0, 1], np.float32)])
    array([2.], dtype=float32)
    """

    bufferNames = ("_form", "_outer", "_gradInputs")
    backwardNeeds = frozenset({"input"})
    accReadsGradInput = False

    def __init__(self, inputSize1, inputSize2, outputSize, bias=True):
        super().__init__()
        check.positive(inputSize1=inputSize1, inputSize2=inputSize2, outputSize=outputSize)
        check.boolean(bias=bias)
        self.inputSize1 = inputSize1
        self.inputSize2 = inputSize2
        self.outputSize = outputSize
        like = self._type
        self.weight = tensor.empty((outputSize, inputSize1, inputSize2), like)
        self.gradWeight = tensor.zeros(self.weight.shape, like)
        self.bias = self.gradBias = None
        if bias:
            self.bias = tensor.empty((outputSize,), like)
            self.gradBias = tensor.zeros((outputSize,), like)
        self._form = self._outer = self._gradInputs = None
        self.reset()

    def reset(self, stdv=None):
        """Draw weight and bias from U(-b, b): b = 1 / sqrt(inputSize1), or std *stdv*."""
        bound = 1 / math.sqrt(self.inputSize1) if stdv is None else stdv * math.sqrt(3)
        init.uniform(self.weight, bound)
        if self.bias is not None:
            init.uniform(self.bias, bound)
        return self

    def _rows(self, input):
        """The two inputs as batches."""
        return geometry.with_batch(input[0], 2), geometry.with_batch(input[1], 2)

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input, 2)
        check.batched("input[0]", input[0], "N", self.inputSize1)
        check.batched("input[1]", input[1], "N", self.inputSize2)
        if input[0].shape[:-1] != input[1].shape[:-1]:
            raise ShapeError("input[0] and input[1] must have as many rows as each other, "
                             f"got {input[0].shape} and {input[1].shape}")
        O, I = self.outputSize, self.inputSize1
        check.parameters(self, weight=(O, I, self.inputSize2), bias=(O,))
        K = kernels.of(*input, self.weight, self.bias)
        x1, x2 = self._rows(input)
        output = self.resize("output", (*input[0].shape[:-1], O), like=x1)
        form = self.resize("_form", (x1.shape[0], O, I), like=x1)
        K.gemm(x2, self.weight.reshape(O * I, -1), form.reshape(x1.shape[0], O * I), trans_b=True)
        K.bilinear_dots(form, x1, self.bias, geometry.with_batch(output, 2))
        return output

    def _outerProducts(self, K, x1, dy):
        """gradOutput times the first input, example by example, as (N, outputSize * inputSize1)."""
        outer = self.resize("_outer", (x1.shape[0], self.outputSize, self.inputSize1), like=x1)
        K.bilinear_outer(dy, x1, outer)
        return outer.reshape(x1.shape[0], self.outputSize * self.inputSize1)

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(gradOutput, self.weight)
        if self._gradInputs is None:
            self._gradInputs = [None, None]
        for index, x in enumerate(input):
            self._gradInputs[index] = tensor.resize(self._gradInputs[index], x.shape, x)
        self.gradInput = list(self._gradInputs)
        (x1, _), (dx1, dx2) = self._rows(input), self._rows(self.gradInput)
        dy = geometry.with_batch(gradOutput, 2)
        K.bilinear_weighted(self._form, dy, dx1)
        K.gemm(self._outerProducts(K, x1, dy), self.weight.reshape(-1, self.inputSize2), dx2)
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(*input, gradOutput, self.gradWeight, self.gradBias)
        x1, x2 = self._rows(input)
        dy = geometry.with_batch(gradOutput, 2)
        K.gemm(self._outerProducts(K, x1, dy), x2, self.gradWeight.reshape(-1, self.inputSize2), scale, 1.0,
               trans_a=True)
        if self.gradBias is not None:
            K.sum_rows(dy, self.gradBias, scale)

    def describe(self):
        return (f"{self.inputSize1} x {self.inputSize2} -> {self.outputSize}"
                + ("" if self.bias is not None else ", no bias"))
