"""SpatialConvolutionLocal: a convolution whose weights differ from place to place."""
from . import check, geometry, kernels
from .windowed import Windowed


class SpatialConvolutionLocal(Windowed):
    """SpatialConvolution with weights and a bias of its own for every place of the output.

    ``output[n, o, h, w] = bias[o, h, w] + sum over c, i, j of weight[h, w, o, c, i, j] *
    input[n, c, h * dH - padH + i, w * dW - padW + j]``, with zeros around the input.

    Parameters
    ----------
    nInputPlane : int or None
        Channels of the input; None takes it from the first input.
    nOutputPlane : int
        Channels of the output.
    iW, iH : int or None
        Width and height of the input; None takes them from the first input.
    kW, kH : int
        Width and height of the window.
    dW, dH : int
        Step of the window along the width and the height.
    padW, padH : int
        Zeros added on each side; padH is padW unless given.
    bias : bool
        False leaves the bias out.

    Shapes
    ------
    input   (N, nInputPlane, iH, iW) or (nInputPlane, iH, iW)
    output  (N, nOutputPlane, OH, OW) or (nOutputPlane, OH, OW),
            OH = floor((iH + 2 padH - kH) / dH) + 1, OW in the same way
    weight  (OH, OW, nOutputPlane, nInputPlane, kH, kW), gradWeight the same
    bias    (nOutputPlane, OH, OW), gradBias the same

    Raises ShapeError for an input of another size, and for one smaller than the
    window.  Source: Torch7's nn.SpatialConvolutionLocal (Gregor and LeCun, "Emergence
    of complex-like cells in a temporal product network with local receptive fields",
    2010).

    >>> import numpy as np
    >>> SpatialConvolutionLocal(3, 2, 8, 6, 3, 3)
    SpatialConvolutionLocal(3 -> 2, 8x6, 3x3)
    >>> SpatialConvolutionLocal(3, 2, 8, 6, 3, 3).forward(np.ones((5, 3, 6, 8), np.float32)).shape
    (5, 2, 4, 6)
    """

    def __init__(self, nInputPlane, nOutputPlane, iW, iH, kW, kH, dW=1, dH=1, padW=0, padH=None, bias=True):
        super().__init__(bias)
        check.positive(nOutputPlane=nOutputPlane)
        self.nOutputPlane = nOutputPlane
        self._keep(kW=kW, kH=kH, dW=dW, dH=dH, padW=padW, padH=padW if padH is None else padH)
        self._keepSizes(nInputPlane=nInputPlane, iW=iW, iH=iH)

    def _outputSize(self, size):
        return geometry.window_output(size, self._kernel(), *self._geometry())

    def _shapes(self):
        size = self._outputSize((self.iH, self.iW))
        return {"weight": (*size, self.nOutputPlane, self.nInputPlane, self.kH, self.kW),
                "bias": (self.nOutputPlane, *size)}

    def _fanIn(self):
        return self.kW * self.kH * self.nInputPlane

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = check.batched("input", input, "N", self.nInputPlane or "nInputPlane", self.iH or "iH", self.iW or "iW")
        size = self._outputSize(x.shape[2:])
        if self.weight is None:
            self._infer(input, nInputPlane=x.shape[1], iH=x.shape[2], iW=x.shape[3])
        check.parameters(self, **self._shapes())
        K = kernels.of(input, self.weight, self.bias)
        output = self.resize("output", (*input.shape[:-3], self.nOutputPlane, *size), like=input)
        y = geometry.with_batch(output, 4)
        K.local_conv_update_output(x, self.weight, self.bias, y, self._scratch(K, x, y), *self._geometry()[:2])
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(gradOutput, self.weight)
        gradInput = self.resize("gradInput", input.shape, like=input)
        dy, dx = geometry.with_batch(gradOutput, 4), geometry.with_batch(gradInput, 4)
        K.local_conv_update_grad_input(dy, self.weight, dx, self._scratch(K, dx, dy), *self._geometry()[:2])
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, gradOutput, self.gradWeight, self.gradBias)
        x, dy = geometry.with_batch(input, 4), geometry.with_batch(gradOutput, 4)
        K.local_conv_acc_grad_parameters(x, dy, self.gradWeight, self.gradBias, self._scratch(K, x, dy),
                                         *self._geometry()[:2], scale)

    def _scratch(self, K, x, y):
        size = K.local_conv_work_size(x.shape, self.weight.shape, y.shape, *self._geometry()[:2])
        return self.resize("_work", (size,), like=x)

    def describe(self):
        return (f"{self.nInputPlane or '?'} -> {self.nOutputPlane}, {self.iW or '?'}x{self.iH or '?'}, "
                + self._windowText())
