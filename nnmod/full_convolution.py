"""Transposed convolutions: every input element writes a window of the output."""
from . import check, geometry, kernels, nested, tensor
from .errors import ShapeError
from .windowed import Windowed


class _FullConvolution(Windowed):
    """The adjoint of a convolution, in two or three dimensions: its verbs, swapped."""

    bufferNames = ("_work", "_gradPlanes", "_gradReference")

    def _start(self, nInputPlane, nOutputPlane, **window):
        check.positive(nOutputPlane=nOutputPlane)
        self._keep(**window)
        for axis in self.axes:
            adj, step = getattr(self, "adj" + axis), getattr(self, "d" + axis)
            if adj >= step:
                raise ValueError(f"adj{axis} must be smaller than d{axis} = {step}, got {adj}")
        self.nOutputPlane = nOutputPlane
        self._gradPlanes = self._gradReference = None
        self._keepSizes(nInputPlane=nInputPlane)

    def _shapes(self):
        return {"weight": (self.nInputPlane, self.nOutputPlane, *self._kernel()),
                "bias": (self.nOutputPlane,)}

    def _fanIn(self):
        return self.weight.size // self.nOutputPlane

    def _outputSize(self, size, reference):
        """The size of the output, or that of the tensor *reference*, which must be a possible one."""
        rank = len(self.axes)
        stride, pad, _ = self._geometry()
        least = [(n - 1) * d - 2 * p + k for n, d, p, k in zip(size, stride, pad, self._kernel())]
        if reference is None:
            made = [n + getattr(self, "adj" + axis) for n, axis in zip(least, self.axes)]
        else:
            if not tensor.is_tensor(reference) or reference.ndim < rank:
                raise ShapeError(f"input[1], whose size the output takes, must be a tensor of {rank} dimensions "
                                 f"or more, got {tensor.describe(reference)}")
            made = reference.shape[-rank:]
            if any(not 0 <= n - low < d for n, low, d in zip(made, least, stride)):
                ranges = " x ".join(f"{low}..{low + d - 1}" for low, d in zip(least, stride))
                raise ShapeError(f"the last {rank} dimensions of input[1] give the size of the output, which can "
                                 f"be {ranges} for an input of size {tuple(size)}, got {tuple(made)}")
        if min(made, default=1) < 1 or 0 in size:
            raise ShapeError(f"an input of size {tuple(size)} gives an output of size {tuple(made)}: nothing is "
                             "left of it after the padding is cut off")
        return tuple(made)

    def _split(self, input):
        """The planes, and the tensor whose size the output takes or None."""
        if nested.is_table(input):
            check.table("input", input, 2)
            return input
        return input, None

    def updateOutput(self, input):
        input = self.takeInput(input)
        planes, reference = self._split(input)
        name, rank = "input" if planes is input else "input[0]", len(self.axes)
        x = check.batched(name, planes, "N", self.nInputPlane or "nInputPlane", *self.axes)
        size = self._outputSize(x.shape[2:], reference)
        if self.weight is None:
            self._infer(planes, nInputPlane=x.shape[1])
        check.parameters(self, **self._shapes())
        K = kernels.of(planes, self.weight, self.bias)
        output = self.resize("output", (*planes.shape[:-rank - 1], self.nOutputPlane, *size), like=planes)
        y = geometry.with_batch(output, rank + 2)
        run = K.conv2d_update_grad_input if rank == 2 else K.conv3d_update_grad_input
        run(x, self.weight, y, *self._scratch(K, y, x), *self._geometry())
        if self.bias is not None:
            K.add_planes(self.bias.reshape(1, self.nOutputPlane), y)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        planes, reference = self._split(input)
        rank = len(self.axes)
        K = kernels.of(gradOutput, self.weight)
        self.gradInput = gradPlanes = self.resize("_gradPlanes", planes.shape, like=planes)
        dy, dx = geometry.with_batch(gradOutput, rank + 2), geometry.with_batch(gradPlanes, rank + 2)
        run = K.conv2d_update_output if rank == 2 else K.conv3d_update_output
        run(dy, self.weight, None, dx, *self._scratch(K, dy, dx), *self._geometry())
        if reference is not None:
            gradReference = None  # integers have no gradient
            if reference.dtype.kind == "f":
                gradReference = self.resize("_gradReference", reference.shape, like=reference)
                tensor.fill(gradReference, 0)  # only the size of it was used
            self.gradInput = [gradPlanes, gradReference]
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        planes, _ = self._split(input)
        rank = len(self.axes)
        K = kernels.of(planes, gradOutput, self.gradWeight, self.gradBias)
        x, dy = geometry.with_batch(planes, rank + 2), geometry.with_batch(gradOutput, rank + 2)
        run = K.conv2d_acc_grad_parameters if rank == 2 else K.conv3d_acc_grad_parameters
        run(dy, x, self.gradWeight, None, *self._scratch(K, dy, x), *self._geometry(), scale=scale)
        if self.gradBias is not None:
            K.sum_planes(dy, self.gradBias.reshape(1, self.nOutputPlane), scale)

    def _scratch(self, K, wide, narrow):
        """The scratch of the convolution from this module's output back to its input: in three dimensions only."""
        if len(self.axes) == 2:
            return ()
        size = K.conv3d_work_size(wide.shape, self.weight.shape, narrow.shape, *self._geometry())
        return (self.resize("_work", (size,), like=wide),)

    def _windowText(self):
        text, adj = super()._windowText(), self._text("adj")
        return text if set(adj) <= set("0,") else f"{text}, adj {adj}"


class SpatialFullConvolution(_FullConvolution):
    """Transposed convolution: each input element adds its window, times weights, to the output.

    ``output[n, o, h * dH - padH + i, w * dW - padW + j]`` is the bias plus the sum of
    ``weight[c, o, i, j] * input[n, c, h, w]`` over all that land there.  It is the
    adjoint of the SpatialConvolution with the same numbers: that one's updateGradInput
    is this one's updateOutput.

    Parameters
    ----------
    nInputPlane : int or None
        Channels of the input; None takes it from the first input.
    nOutputPlane : int
        Channels of the output.
    kW, kH : int
        Width and height of the window.
    dW, dH : int
        How far apart neighbours of the input land.
    padW, padH : int
        Rows and columns cut off from each side of the output.
    adjW, adjH : int
        Added to the size of the output, below dW and dH: several sizes of an image give
        one size after a convolution with a stride, and this says which one is meant.
    bias : bool
        False leaves the bias out.

    Shapes
    ------
    input   (N, nInputPlane, H, W) or (nInputPlane, H, W); or a table of that and of a
            tensor (..., OH, OW) whose size the output takes, in place of adjW and adjH
    output  (N, nOutputPlane, OH, OW) or (nOutputPlane, OH, OW),
            OH = (H - 1) dH - 2 padH + kH + adjH, OW in the same way
    weight  (nInputPlane, nOutputPlane, kH, kW), gradWeight the same
    bias    (nOutputPlane,), gradBias the same

    The gradient of the second tensor of a table is 0.  Raises ShapeError for another
    number of channels, and for a size that no adjustment reaches (Torch7 gives another
    size then).  Source: Torch7's nn.SpatialFullConvolution (Zeiler et al.,
    "Deconvolutional networks", 2010).

    >>> import numpy as np
    >>> up = SpatialFullConvolution(3, 2, 4, 4, 2, 2, 1, 1)
    >>> up
    SpatialFullConvolution(3 -> 2, 4x4, 2,2, 1,1)
    >>> up.forward(np.ones((1, 3, 8, 5), np.float32)).shape
    (1, 2, 16, 10)
    >>> up.forward([np.ones((1, 3, 8, 5), np.float32), np.ones((1, 7, 17, 10), np.float32)]).shape
    (1, 2, 17, 10)
    """

    def __init__(self, nInputPlane, nOutputPlane, kW, kH, dW=1, dH=1, padW=0, padH=0, adjW=0, adjH=0,
                 bias=True):
        super().__init__(bias)
        self._start(nInputPlane, nOutputPlane, kW=kW, kH=kH, dW=dW, dH=dH, padW=padW, padH=padH,
                    adjW=adjW, adjH=adjH)


class VolumetricFullConvolution(_FullConvolution):
    """Transposed convolution over time (or depth), height and width; the adjoint of VolumetricConvolution.

    ``output[n, o, t * dT - padT + k, h * dH - padH + i, w * dW - padW + j]`` is the bias
    plus the sum of ``weight[c, o, k, i, j] * input[n, c, t, h, w]`` over all that land there.

    Parameters
    ----------
    nInputPlane : int or None
        Channels of the input; None takes it from the first input.
    nOutputPlane : int
        Channels of the output.
    kT, kW, kH : int
        Extent of the window in time, its width and its height.
    dT, dW, dH : int
        How far apart neighbours of the input land.
    padT, padW, padH : int
        Cut off from each side of the output.
    adjT, adjW, adjH : int
        Added to the size of the output, below dT, dW and dH.
    bias : bool
        False leaves the bias out.

    Shapes
    ------
    input   (N, nInputPlane, T, H, W) or (nInputPlane, T, H, W); or a table of that and of
            a tensor (..., OT, OH, OW) whose size the output takes, in place of the adj
    output  (N, nOutputPlane, OT, OH, OW) or (nOutputPlane, OT, OH, OW),
            OT = (T - 1) dT - 2 padT + kT + adjT, OH and OW in the same way
    weight  (nInputPlane, nOutputPlane, kT, kH, kW), gradWeight the same
    bias    (nOutputPlane,), gradBias the same

    The gradient of the second tensor of a table is 0.  Raises ShapeError for another
    number of channels, and for a size that no adjustment reaches (Torch7 gives another
    size then).  Source: Torch7's nn.VolumetricFullConvolution.

    >>> VolumetricFullConvolution(3, 2, 2, 4, 4, 2, 2, 2, 0, 1, 1)
    VolumetricFullConvolution(3 -> 2, 2x4x4, 2,2,2, 0,1,1)
    >>> import numpy as np
    >>> up = VolumetricFullConvolution(3, 2, 2, 4, 4, 2, 2, 2, 0, 1, 1)
    >>> up.forward(np.ones((3, 2, 5, 5), np.float32)).shape
    (2, 4, 10, 10)
    """

    axes = ("T", "H", "W")

    def __init__(self, nInputPlane, nOutputPlane, kT, kW, kH, dT=1, dW=1, dH=1, padT=0, padW=0, padH=0,
                 adjT=0, adjW=0, adjH=0, bias=True):
        super().__init__(bias)
        self._start(nInputPlane, nOutputPlane, kT=kT, kW=kW, kH=kH, dT=dT, dW=dW, dH=dH,
                    padT=padT, padW=padW, padH=padH, adjT=adjT, adjW=adjW, adjH=adjH)
