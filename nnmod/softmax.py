"""Softmax and its kin: SoftMax, LogSoftMax, SoftMin, SpatialSoftMax, SpatialLogSoftMax."""
from . import check, kernels
from .errors import ShapeError
from .kernels import formulas
from .module import Module


class _OverClasses(Module):
    """What both share: which dimension holds the classes."""

    paramNames = ()
    backwardNeeds = frozenset({"output"})

    def _forward(self, input):
        input = self.takeInput(input)
        N, C, S = self._columns(input)
        K = kernels.of(input)
        output = self.resize("output", input.shape, like=input)
        return K, input.reshape(N, C, S), output.reshape(N, C, S)

    def _backward(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        shape = self._columns(input)
        K = kernels.of(self.output, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        return K, self.output.reshape(shape), gradOutput.reshape(shape), gradInput.reshape(shape)

    @staticmethod
    def _columns(input):
        """(N, C, S): a batch of S columns of C classes."""
        check.is_tensor("input", input)
        shape = input.shape
        if not 1 <= len(shape) <= 4:
            raise ShapeError(f"input must have shape (C,), (N, C), (C, H, W) or (N, C, H, W), got {shape}")
        if len(shape) % 2:
            shape = (1, *shape)
        N, C = shape[:2]
        if C == 0:
            raise ShapeError(f"input must have at least one class, got shape {input.shape}")
        return N, C, 1 if len(shape) == 2 else shape[2] * shape[3]


class SoftMax(_OverClasses):
    """``y = exp(x) / sum(exp(x))`` over the classes: positive, and the sum is 1.

    Shapes
    ------
    input   (N, C) or (C,); (N, C, H, W) or (C, H, W) at every pixel
    output  the same as input

    Source: Torch7's nn.SoftMax.

    >>> import numpy as np
    >>> SoftMax().forward(np.zeros(4, np.float32))
    array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """

    def updateOutput(self, input):
        K, x, y = self._forward(input)
        K.softmax_update_output(x, y)
        return self.output

    def updateGradInput(self, input, gradOutput):
        K, y, dy, dx = self._backward(input, gradOutput)
        K.softmax_update_grad_input(y, dy, dx)
        return self.gradInput


class LogSoftMax(_OverClasses):
    """``y = x - log(sum(exp(x)))`` over the classes: the logarithm of SoftMax, without overflow.

    Shapes
    ------
    input   (N, C) or (C,); (N, C, H, W) or (C, H, W) at every pixel
    output  the same as input

    Source: Torch7's nn.LogSoftMax.

    >>> import numpy as np
    >>> LogSoftMax().forward(np.array([1000, 1000], np.float32)).round(3)
    array([-0.693, -0.693], dtype=float32)
    """

    def updateOutput(self, input):
        K, x, y = self._forward(input)
        K.log_softmax_update_output(x, y)
        return self.output

    def updateGradInput(self, input, gradOutput):
        K, y, dy, dx = self._backward(input, gradOutput)
        K.log_softmax_update_grad_input(y, dy, dx)
        return self.gradInput


class SoftMin(SoftMax):
    """``y = exp(-x) / sum(exp(-x))`` over the classes.

    Shapes
    ------
    input   (N, C) or (C,); (N, C, H, W) or (C, H, W) at every pixel
    output  the same as input

    Source: Torch7's nn.SoftMin.

    >>> import numpy as np
    >>> SoftMin().forward(np.log(np.array([1, 3], np.float32))).round(3)
    array([0.75, 0.25], dtype=float32)
    """

    bufferNames = ("_negative",)
    _scale = staticmethod(kernels.elementwise(formulas.scale))

    def __init__(self):
        super().__init__()
        self._negative = None

    def updateOutput(self, input):
        K, x, y = self._forward(input)
        negative = self.resize("_negative", x.shape, like=x)
        self._scale(x, negative, -1.0)
        K.softmax_update_output(negative, y)
        return self.output

    def updateGradInput(self, input, gradOutput):
        super().updateGradInput(input, gradOutput)
        self._scale(self.gradInput, self.gradInput, -1.0)
        return self.gradInput


class SpatialSoftMax(SoftMax):
    """SoftMax over the channels at every pixel; the same as SoftMax.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W); (N, C) or (C,) too
    output  the same as input

    Source: Torch7's nn.SpatialSoftMax.

    >>> import numpy as np
    >>> SpatialSoftMax().forward(np.zeros((2, 1, 3), np.float32)).reshape(2, 3)
    array([[0.5, 0.5, 0.5],
           [0.5, 0.5, 0.5]], dtype=float32)
    """


class SpatialLogSoftMax(LogSoftMax):
    """LogSoftMax over the channels at every pixel; the same as LogSoftMax.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W); (N, C) or (C,) too
    output  the same as input

    Source: Torch7's nn.SpatialLogSoftMax.

    >>> import numpy as np
    >>> SpatialLogSoftMax().forward(np.zeros((2, 1, 3), np.float32)).reshape(2, 3).round(3)
    array([[-0.693, -0.693, -0.693],
           [-0.693, -0.693, -0.693]], dtype=float32)
    """
