"""Convolutions: SpatialConvolution."""
import math

from . import check, geometry, init, kernels, tensor
from .errors import ShapeError
from .module import Module


class SpatialConvolution(Module):
    """Each output plane is the sum of all input planes, each under its own small window of weights.

    ``output[n, o, h, w] = bias[o] + sum over c, i, j of
    weight[o, c, i, j] * input[n, c, h * dH - padH + i, w * dW - padW + j]``, with
    zeros around the input.  The window is not flipped.

    Parameters
    ----------
    nInputPlane : int or None
        Channels of the input; None takes it from the first input.
    nOutputPlane : int
        Channels of the output.
    kW, kH : int
        Width and height of the window.
    dW, dH : int
        Step of the window along the width and the height.
    padW, padH : int
        Zeros added on each side; padH is padW unless given.
    bias : bool
        False leaves the bias out: ``bias`` and ``gradBias`` are then None.

    Shapes
    ------
    input   (N, nInputPlane, H, W) or (nInputPlane, H, W)
    output  (N, nOutputPlane, OH, OW) or (nOutputPlane, OH, OW),
            OH = floor((H + 2 padH - kH) / dH) + 1, OW in the same way
    weight  (nOutputPlane, nInputPlane, kH, kW), gradWeight the same
    bias    (nOutputPlane,), gradBias the same

    Raises ShapeError for another number of channels, and for an input smaller than
    the window.  Source: Torch7's nn.SpatialConvolution (LeCun et al., 1989).

    >>> import numpy as np
    >>> SpatialConvolution(1, 20, 5, 5)
    SpatialConvolution(1 -> 20, 5x5)
    >>> SpatialConvolution(1, 20, 5, 5).forward(np.ones((4, 1, 28, 28), np.float32)).shape
    (4, 20, 24, 24)
    """

    bufferNames = ("_work",)
    backwardNeeds = frozenset({"input"})
    accReadsGradInput = False

    def __init__(self, nInputPlane, nOutputPlane, kW, kH, dW=1, dH=1, padW=0, padH=None, bias=True):
        super().__init__()
        padH = padW if padH is None else padH
        check.positive(nOutputPlane=nOutputPlane, kW=kW, kH=kH, dW=dW, dH=dH)
        check.not_negative(padW=padW, padH=padH)
        check.boolean(bias=bias)
        self.nInputPlane = nInputPlane
        self.nOutputPlane = nOutputPlane
        self.kW, self.kH = kW, kH
        self.dW, self.dH = dW, dH
        self.padW, self.padH = padW, padH
        self.hasBias = bool(bias)
        self.weight = self.gradWeight = self.bias = self.gradBias = self._work = None
        if nInputPlane is not None:
            check.positive(nInputPlane=nInputPlane)
            self._allocate()

    def _allocate(self):
        dtype = tensor.dtype_of(self._type)
        self.weight = tensor.empty((self.nOutputPlane, self.nInputPlane, self.kH, self.kW), dtype)
        self.gradWeight = tensor.zeros(self.weight.shape, dtype)
        if self.hasBias:
            self.bias = tensor.empty((self.nOutputPlane,), dtype)
            self.gradBias = tensor.zeros(self.bias.shape, dtype)
        self.reset()

    @property
    def sizesKnown(self):
        """False until nInputPlane is given or inferred."""
        return self.weight is not None

    def reset(self, stdv=None):
        """Draw weight and bias from U(-b, b): b = 1 / sqrt(kW * kH * nInputPlane), or std *stdv*."""
        if self.weight is not None:
            fan_in = self.kW * self.kH * self.nInputPlane
            bound = 1 / math.sqrt(fan_in) if stdv is None else stdv * math.sqrt(3)
            init.uniform(self.weight, bound)
            if self.bias is not None:
                init.uniform(self.bias, bound)
        return self

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = check.batched("input", input, "N", self.nInputPlane or "nInputPlane", "H", "W")
        size = geometry.window_output(x.shape[2:], (self.kH, self.kW), *self._geometry())
        if self.weight is None:
            check.type_is("input", input, self._type)
            if x.shape[1] == 0:
                raise ShapeError(f"input must have at least one channel, got {input.shape}")
            self.nInputPlane = x.shape[1]
            self._allocate()
        check.parameters(self, weight=(self.nOutputPlane, self.nInputPlane, self.kH, self.kW),
                         bias=(self.nOutputPlane,))
        K = kernels.of(input, self.weight, self.bias)
        output = self.resize("output", (*input.shape[:-3], self.nOutputPlane, *size), like=input)
        y = geometry.with_batch(output, 4)
        K.conv2d_update_output(x, self.weight, self.bias, y, self._scratch(K, x, y), *self._geometry())
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(gradOutput, self.weight)
        gradInput = self.resize("gradInput", input.shape, like=input)
        dy, dx = geometry.with_batch(gradOutput, 4), geometry.with_batch(gradInput, 4)
        K.conv2d_update_grad_input(dy, self.weight, dx, self._scratch(K, dx, dy), *self._geometry())
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, gradOutput, self.gradWeight, self.gradBias)
        x, dy = geometry.with_batch(input, 4), geometry.with_batch(gradOutput, 4)
        K.conv2d_acc_grad_parameters(x, dy, self.gradWeight, self.gradBias, self._scratch(K, x, dy),
                                     *self._geometry(), scale=scale)

    def _geometry(self):
        """Stride and padding."""
        return (self.dH, self.dW), (self.padH, self.padW)

    def _scratch(self, K, x, y):
        size = K.conv2d_work_size(x.shape, self.weight.shape, y.shape, *self._geometry())
        return self.resize("_work", (size,), like=x)

    def describe(self):
        text = f"{self.nInputPlane or '?'} -> {self.nOutputPlane}, {self.kW}x{self.kH}"
        stride, pad = self._geometry()
        if stride != (1, 1) or pad != (0, 0):
            text += f", {self.dW},{self.dH}"
        if pad != (0, 0):
            text += f", {self.padW},{self.padH}"
        return text + ("" if self.hasBias else ", no bias")
