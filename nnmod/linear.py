"""Affine layers: Linear."""
import math

from . import check, geometry, init, kernels, tensor
from .module import Module


class Linear(Module):
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
        dtype = tensor.dtype_of(self._type)
        self.weight = tensor.empty((self.outputSize, self.inputSize), dtype)
        self.gradWeight = tensor.zeros(self.weight.shape, dtype)
        if self.hasBias:
            self.bias = tensor.empty((self.outputSize,), dtype)
            self.gradBias = tensor.zeros(self.bias.shape, dtype)
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
        x = check.batched("input", input, "N", self.inputSize or "inputSize")
        if self.weight is None:
            check.type_is("input", input, self._type)
            self.inputSize = x.shape[1]
            self._allocate()
        # Looked at only after one was replaced: at batch 1 the check would cost more than the rest.
        seen = self._seen
        if (seen is None or self.weight is not seen[0] or self.bias is not seen[1]
                or self.gradWeight is not seen[2] or self.gradBias is not seen[3]):
            check.parameters(self, weight=(self.outputSize, self.inputSize), bias=(self.outputSize,))
            self._seen = self.weight, self.bias, self.gradWeight, self.gradBias
        K = kernels.of(input, self.weight, self.bias)
        output = self.resize("output", (*input.shape[:-1], self.outputSize), like=input)
        K.gemm(x, self.weight, geometry.with_batch(output, 2), trans_b=True, bias=self.bias)
        return output

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
