"""Convolutions: every output plane sees all input planes, in 1, 2 and 3 dimensions."""
import numpy as np

from . import check, geometry, kernels, tensor
from .errors import ShapeError
from .windowed import Windowed


class _Convolution(Windowed):
    """Planes to planes, in two or three dimensions; the base of the classes below."""

    bufferNames = (*Windowed.bufferNames, "_keptWeights", "_case", "_keptSize")
    groups = 1
    # What evaluation keeps of the weights, for which case, and how much that is.
    _keptWeights = _case = _keptSize = None

    def _start(self, nInputPlane, nOutputPlane, groups=1, **window):
        check.positive(nOutputPlane=nOutputPlane)
        self._keep(**window)
        self._keep(groups=groups)
        if nOutputPlane % groups or check.is_int(nInputPlane) and nInputPlane % groups:
            raise ValueError(f"nInputPlane and nOutputPlane must be multiples of groups = {groups}, "
                             f"got {nInputPlane} and {nOutputPlane}")
        self.nOutputPlane = nOutputPlane
        self._keepSizes(nInputPlane=nInputPlane)

    def _shapes(self):
        return {"weight": (self.nOutputPlane, self.nInputPlane // self.groups, *self._kernel()),
                "bias": (self.nOutputPlane,)}

    def _fanIn(self):
        return self.weight.size // self.nOutputPlane

    def _windows(self, weight):
        """*weight*, or its gradient, with a dimension for each axis of the window."""
        return weight

    def updateOutput(self, input):
        return self.compute(self, self.takeInput(input))

    def compute(self, owner, input, norm=None, end=()):
        """The output, in a buffer of *owner*: this module, or a Fused, which also says how it ends.

        norm, end  what conv2d_fused_update_output takes: a normalisation, an activation and its numbers
        """
        rank = len(self.axes)
        numbers = self._geometry()
        seen = self._seen
        if (seen is None or input.__class__ is not np.ndarray or seen[0] != (input.shape, numbers, self._kernel())
                or seen[1] is not self.weight or seen[2] is not self.bias
                or seen[3] is not self.gradWeight or seen[4] is not self.gradBias):
            seen = self._check(input, numbers)
        _, _, _, _, _, shape, w = seen
        K = kernels.of(input, self.weight, self.bias)
        output = owner.resize("output", shape, like=input)
        x, y = input, output
        if input.ndim == rank + 1:
            x, y = x[None], y[None]
        if self.train:
            owner._keptWeights = None  # evaluation's alone
        if rank == 2 and (end or norm is not None or not self.train):
            K.conv2d_fused_update_output(x, w, self.bias, norm, y, self._kept(owner, K, x, w, y, numbers),
                                         *numbers, self.groups, *end)
            return output
        run = K.conv2d_update_output if rank == 2 else K.conv3d_update_output
        run(x, w, self.bias, y, *self._scratch(K, x, w, y, numbers), *numbers, self.groups)
        return output

    def _check(self, input, numbers):
        """See that input and parameters fit, infer sizes; what follows from them, which is noted in _seen.

        It is asked for where one of them is new: at batch 1 it would cost as much as the rest.
        """
        x = check.batched("input", input, "N", self.nInputPlane or "nInputPlane", *self.axes)
        size = geometry.window_output(x.shape[2:], self._kernel(), *numbers)
        if self.nInputPlane is None and x.shape[1] % self.groups:
            raise ShapeError(f"the channels of input must be a multiple of groups = {self.groups}, "
                             f"got {input.shape}")
        if self.weight is None:
            self._infer(input, nInputPlane=x.shape[1])
        check.parameters(self, **self._shapes())
        shape = (*input.shape[:-len(self.axes) - 1], self.nOutputPlane, *size)
        self._seen = ((input.shape, numbers, self._kernel()), self.weight, self.bias, self.gradWeight, self.gradBias,
                       shape, self._windows(self.weight))
        return self._seen

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        rank, numbers = len(self.axes), self._geometry()
        K = kernels.of(gradOutput, self.weight)
        gradInput = self.resize("gradInput", input.shape, like=input)
        dy, dx = geometry.with_batch(gradOutput, rank + 2), geometry.with_batch(gradInput, rank + 2)
        w = self._windows(self.weight)
        run = K.conv2d_update_grad_input if rank == 2 else K.conv3d_update_grad_input
        run(dy, w, dx, *self._scratch(K, dx, w, dy, numbers), *numbers, self.groups)
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        rank, numbers = len(self.axes), self._geometry()
        K = kernels.of(input, gradOutput, self.gradWeight, self.gradBias)
        x, dy = geometry.with_batch(input, rank + 2), geometry.with_batch(gradOutput, rank + 2)
        dw = self._windows(self.gradWeight)
        run = K.conv2d_acc_grad_parameters if rank == 2 else K.conv3d_acc_grad_parameters
        run(x, dy, dw, self.gradBias, *self._scratch(K, x, dw, dy, numbers), *numbers, self.groups, scale)

    def _kept(self, owner, K, x, w, y, numbers):
        """In evaluation mode, what the kernel keeps of the weights between calls: a buffer of *owner*, or None."""
        if self.train:
            return None
        kept, case = owner._keptWeights, (K, x.shape, numbers, x.dtype, kernels.getconv2dmethod())
        if self._case != case:
            size = K.conv2d_kept_size(x.shape, w.shape, y.shape, *numbers, self.groups, x.dtype.name)
            self._case, self._keptSize = case, size
        if (0 if kept is None else kept.size) != self._keptSize:
            size = self._keptSize
            kept = owner._keptWeights = tensor.zeros((size,), np.dtype(np.uint8)) if size else None
        return kept

    def _scratch(self, K, x, w, y, numbers):
        """The scratch that a kernel takes as an argument: in three dimensions only."""
        if len(self.axes) == 2:
            return ()
        size = K.conv3d_work_size(x.shape, w.shape, y.shape, *numbers, self.groups)
        return (self.resize("_work", (size,), like=x),)

    def describe(self):
        return super().describe() + (f", {self.groups} groups" if self.groups != 1 else "")


class SpatialConvolution(_Convolution):
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
    groups : int
        Cuts input and output planes into so many parts; a part of the output sees
        only its own part of the input.

    Shapes
    ------
    input   (N, nInputPlane, H, W) or (nInputPlane, H, W)
    output  (N, nOutputPlane, OH, OW) or (nOutputPlane, OH, OW),
            OH = floor((H + 2 padH - kH) / dH) + 1, OW in the same way
    weight  (nOutputPlane, nInputPlane / groups, kH, kW), gradWeight the same
    bias    (nOutputPlane,), gradBias the same

    Raises ShapeError for another number of channels, and for an input smaller than
    the window.  Source: Torch7's nn.SpatialConvolution (LeCun et al., 1989), groups:
    its cudnn.SpatialConvolution (Krizhevsky et al., 2012).

    >>> import numpy as np
    >>> SpatialConvolution(1, 20, 5, 5)
    SpatialConvolution(1 -> 20, 5x5)
    >>> SpatialConvolution(1, 20, 5, 5).forward(np.ones((4, 1, 28, 28), np.float32)).shape
    (4, 20, 24, 24)
    """

    def __init__(self, nInputPlane, nOutputPlane, kW, kH, dW=1, dH=1, padW=0, padH=None, bias=True, groups=1):
        super().__init__(bias)
        self._start(nInputPlane, nOutputPlane, groups, kW=kW, kH=kH, dW=dW, dH=dH,
                    padW=padW, padH=padW if padH is None else padH)


class SpatialConvolutionMM(_Convolution):
    """SpatialConvolution whose weight is a matrix: a row for each output plane.

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
        False leaves the bias out.

    Shapes
    ------
    input   (N, nInputPlane, H, W) or (nInputPlane, H, W)
    output  (N, nOutputPlane, OH, OW) or (nOutputPlane, OH, OW), as SpatialConvolution's
    weight  (nOutputPlane, nInputPlane * kH * kW), gradWeight the same
    bias    (nOutputPlane,), gradBias the same

    Raises ShapeError for another number of channels, and for an input smaller than
    the window.  Source: Torch7's nn.SpatialConvolutionMM.

    >>> SpatialConvolutionMM(2, 3, 5, 4).weight.shape
    (3, 40)
    """

    def __init__(self, nInputPlane, nOutputPlane, kW, kH, dW=1, dH=1, padW=0, padH=None, bias=True):
        super().__init__(bias)
        self._start(nInputPlane, nOutputPlane, kW=kW, kH=kH, dW=dW, dH=dH,
                    padW=padW, padH=padW if padH is None else padH)

    def _shapes(self):
        return {"weight": (self.nOutputPlane, self.nInputPlane * self.kH * self.kW),
                "bias": (self.nOutputPlane,)}

    def _windows(self, weight):
        return weight.reshape(self.nOutputPlane, self.nInputPlane, self.kH, self.kW)


class SpatialDilatedConvolution(_Convolution):
    """SpatialConvolution with gaps between the elements that a window sees.

    ``output[n, o, h, w] = bias[o] + sum over c, i, j of weight[o, c, i, j] *
    input[n, c, h * dH - padH + i * dilationH, w * dW - padW + j * dilationW]``.

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
    dilationW, dilationH : int
        Distance between neighbours in the window; 1 leaves no gap.
    bias : bool
        False leaves the bias out.

    Shapes
    ------
    input   (N, nInputPlane, H, W) or (nInputPlane, H, W)
    output  (N, nOutputPlane, OH, OW) or (nOutputPlane, OH, OW),
            OH = floor((H + 2 padH - dilationH (kH - 1) - 1) / dH) + 1, OW in the same way
    weight  (nOutputPlane, nInputPlane, kH, kW), gradWeight the same
    bias    (nOutputPlane,), gradBias the same

    Raises ShapeError for another number of channels, and for an input smaller than
    the window.  Source: Torch7's nn.SpatialDilatedConvolution (Yu and Koltun,
    "Multi-scale context aggregation by dilated convolutions", 2016).

    >>> SpatialDilatedConvolution(1, 2, 3, 3, dilationW=2, dilationH=2)
    SpatialDilatedConvolution(1 -> 2, 3x3, dilation 2,2)
    >>> import numpy as np
    >>> wide = SpatialDilatedConvolution(1, 2, 3, 3, dilationW=2, dilationH=2)
    >>> wide.forward(np.ones((1, 7, 9), np.float32)).shape
    (2, 3, 5)
    """

    def __init__(self, nInputPlane, nOutputPlane, kW, kH, dW=1, dH=1, padW=0, padH=None,
                 dilationW=1, dilationH=None, bias=True):
        super().__init__(bias)
        self._start(nInputPlane, nOutputPlane, kW=kW, kH=kH, dW=dW, dH=dH,
                    padW=padW, padH=padW if padH is None else padH,
                    dilationW=dilationW, dilationH=dilationW if dilationH is None else dilationH)


class VolumetricConvolution(_Convolution):
    """Convolution over time (or depth), height and width.

    ``output[n, o, t, h, w] = bias[o] + sum over c, k, i, j of weight[o, c, k, i, j] *
    input[n, c, t * dT - padT + k, h * dH - padH + i, w * dW - padW + j]``, with zeros
    around the input.

    Parameters
    ----------
    nInputPlane : int or None
        Channels of the input; None takes it from the first input.
    nOutputPlane : int
        Channels of the output.
    kT, kW, kH : int
        Extent of the window in time, its width and its height.
    dT, dW, dH : int
        Step of the window in the same order.
    padT, padW, padH : int
        Zeros added on each side; padW is padT and padH is padW unless given.
    bias : bool
        False leaves the bias out.
    groups : int
        Cuts input and output planes into so many parts; a part of the output sees
        only its own part of the input.

    Shapes
    ------
    input   (N, nInputPlane, T, H, W) or (nInputPlane, T, H, W)
    output  (N, nOutputPlane, OT, OH, OW) or (nOutputPlane, OT, OH, OW),
            OT = floor((T + 2 padT - kT) / dT) + 1, OH and OW in the same way
    weight  (nOutputPlane, nInputPlane / groups, kT, kH, kW), gradWeight the same
    bias    (nOutputPlane,), gradBias the same

    Raises ShapeError for another number of channels, and for an input smaller than
    the window.  Source: Torch7's nn.VolumetricConvolution.

    >>> VolumetricConvolution(3, 8, 2, 5, 4)
    VolumetricConvolution(3 -> 8, 2x5x4)
    >>> import numpy as np
    >>> VolumetricConvolution(3, 8, 2, 5, 4).forward(np.ones((3, 6, 10, 10), np.float32)).shape
    (8, 5, 7, 6)
    """

    axes = ("T", "H", "W")

    def __init__(self, nInputPlane, nOutputPlane, kT, kW, kH, dT=1, dW=1, dH=1, padT=0, padW=None, padH=None,
                 bias=True, groups=1):
        super().__init__(bias)
        padW = padT if padW is None else padW
        self._start(nInputPlane, nOutputPlane, groups, kT=kT, kW=kW, kH=kH, dT=dT, dW=dW, dH=dH,
                    padT=padT, padW=padW, padH=padW if padH is None else padH)


class VolumetricDilatedConvolution(_Convolution):
    """VolumetricConvolution with gaps between the elements that a window sees.

    ``output[n, o, t, h, w] = bias[o] + sum over c, k, i, j of weight[o, c, k, i, j] *
    input[n, c, t * dT - padT + k * dilationT, ...]``, height and width in the same way.

    Parameters
    ----------
    nInputPlane : int or None
        Channels of the input; None takes it from the first input.
    nOutputPlane : int
        Channels of the output.
    kT, kW, kH : int
        Extent of the window in time, its width and its height.
    dT, dW, dH : int
        Step of the window in the same order.
    padT, padW, padH : int
        Zeros added on each side; padW is padT and padH is padW unless given.
    dilationT, dilationW, dilationH : int
        Distance between neighbours in the window; 1 leaves no gap.
    bias : bool
        False leaves the bias out.

    Shapes
    ------
    input   (N, nInputPlane, T, H, W) or (nInputPlane, T, H, W)
    output  (N, nOutputPlane, OT, OH, OW) or (nOutputPlane, OT, OH, OW),
            OT = floor((T + 2 padT - dilationT (kT - 1) - 1) / dT) + 1, OH and OW in the same way
    weight  (nOutputPlane, nInputPlane, kT, kH, kW), gradWeight the same
    bias    (nOutputPlane,), gradBias the same

    Raises ShapeError for another number of channels, and for an input smaller than
    the window.  Source: Torch7's nn.VolumetricDilatedConvolution.

    >>> import numpy as np
    >>> wide = VolumetricDilatedConvolution(1, 2, 3, 3, 3, dilationT=2, dilationW=2, dilationH=2)
    >>> wide.forward(np.ones((1, 5, 6, 7), np.float32)).shape
    (2, 1, 2, 3)
    """

    axes = ("T", "H", "W")

    def __init__(self, nInputPlane, nOutputPlane, kT, kW, kH, dT=1, dW=1, dH=1, padT=0, padW=None, padH=None,
                 dilationT=1, dilationW=1, dilationH=1, bias=True):
        super().__init__(bias)
        padW = padT if padW is None else padW
        self._start(nInputPlane, nOutputPlane, kT=kT, kW=kW, kH=kH, dT=dT, dW=dW, dH=dH,
                    padT=padT, padW=padW, padH=padW if padH is None else padH,
                    dilationT=dilationT, dilationW=dilationW, dilationH=dilationH)


class TemporalConvolution(Windowed):
    """Convolution over a sequence of frames: every output frame is an affine map of kW input frames.

    ``output[n, t] = bias + weight @ (input[n, t * dW], ..., input[n, t * dW + kW - 1])``,
    the frames one after the other.

    Parameters
    ----------
    inputFrameSize : int or None
        Features of a frame of the input; None takes it from the first input.
    outputFrameSize : int
        Features of a frame of the output.
    kW : int
        How many frames the window sees.
    dW : int
        Step of the window.
    bias : bool
        False leaves the bias out.

    Shapes
    ------
    input   (N, T, inputFrameSize) or (T, inputFrameSize)
    output  (N, OT, outputFrameSize) or (OT, outputFrameSize), OT = floor((T - kW) / dW) + 1
    weight  (outputFrameSize, kW * inputFrameSize), gradWeight the same
    bias    (outputFrameSize,), gradBias the same

    Raises ShapeError for another number of features, and for a sequence shorter than
    the window.  Source: Torch7's nn.TemporalConvolution (Waibel et al., "Phoneme
    recognition using time-delay neural networks", 1989).

    >>> import numpy as np
    >>> TemporalConvolution(10, 4, 3)
    TemporalConvolution(10 -> 4, 3)
    >>> TemporalConvolution(10, 4, 3).forward(np.ones((7, 10), np.float32)).shape
    (5, 4)
    """

    axes = ("W",)
    sizeNames = ("inputFrameSize", "outputFrameSize")

    def __init__(self, inputFrameSize, outputFrameSize, kW, dW=1, bias=True):
        super().__init__(bias)
        check.positive(outputFrameSize=outputFrameSize)
        self.outputFrameSize = outputFrameSize
        self._keep(kW=kW, dW=dW)
        self._keepSizes(inputFrameSize=inputFrameSize)

    def _shapes(self):
        return {"weight": (self.outputFrameSize, self.kW * self.inputFrameSize),
                "bias": (self.outputFrameSize,)}

    def _fanIn(self):
        return self.kW * self.inputFrameSize

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = check.batched("input", input, "N", "T", self.inputFrameSize or "inputFrameSize")
        size = geometry.window_output(x.shape[1:2], (self.kW,), (self.dW,), (0,))
        if self.weight is None:
            self._infer(input, inputFrameSize=x.shape[2])
        check.parameters(self, **self._shapes())
        K = kernels.of(input, self.weight, self.bias)
        output = self.resize("output", (*input.shape[:-2], *size, self.outputFrameSize), like=input)
        y = geometry.with_batch(output, 3)
        K.temporal_conv_update_output(x, self.weight, self.bias, y, self._scratch(K, x, y), self.dW)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(gradOutput, self.weight)
        gradInput = self.resize("gradInput", input.shape, like=input)
        dy, dx = geometry.with_batch(gradOutput, 3), geometry.with_batch(gradInput, 3)
        K.temporal_conv_update_grad_input(dy, self.weight, dx, self._scratch(K, dx, dy), self.dW)
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, gradOutput, self.gradWeight, self.gradBias)
        x, dy = geometry.with_batch(input, 3), geometry.with_batch(gradOutput, 3)
        K.temporal_conv_acc_grad_parameters(x, dy, self.gradWeight, self.gradBias,
                                            self._scratch(K, x, dy), self.dW, scale)

    def _scratch(self, K, x, y):
        size = K.temporal_conv_work_size(x.shape, self.weight.shape, y.shape, self.dW)
        return self.resize("_work", (size,), like=x)
