"""Convolutions of single planes: connection tables, depthwise, subsampling."""
import math

import numpy as np

from . import check, geometry, kernels, tensor
from .errors import ShapeError
from .windowed import Windowed


class _PlaneConvolution(Windowed):
    """Every connection of an input plane with an output plane has a window of its own.

    ``_pairs`` holds input and output plane of each window; ``_to`` and ``_back`` are the
    same in the order of the output planes and of the input planes.
    """

    padW = padH = 0

    def _connect(self, pairs):
        """Keep the connections (K, 2), in the three forms that kernels read."""
        self._pairs = np.ascontiguousarray(pairs, np.int64)
        self._to = _sorted(self._pairs[:, 1], self.nOutputPlane)
        self._back = _sorted(self._pairs[:, 0], self.nInputPlane)

    def _windows(self, weight):
        """*weight*, or its gradient, as one window for each connection: (K, kH, kW)."""
        return weight

    def _biases(self, bias):
        """*bias*, or its gradient, as (M, nOutputPlane / M), or None."""
        return None if bias is None else bias.reshape(1, self.nOutputPlane)

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = check.batched("input", input, "N", self.nInputPlane or "nInputPlane", *self.axes)
        stride, pad, _ = self._geometry()
        size = geometry.window_output(x.shape[2:], self._kernel(), stride, pad)
        if self.weight is None:
            self._infer(input, nInputPlane=x.shape[1])
        check.parameters(self, **self._shapes())
        K = kernels.of(input, self.weight, self.bias)
        output = self.resize("output", (*input.shape[:-3], self.nOutputPlane, *size), like=input)
        y, w = geometry.with_batch(output, 4), self._windows(self.weight)
        pairs, to = self._onDevice(self._pairs, x), self._onDevice(self._to, x)
        K.plane_conv_update_output(x, w, self._biases(self.bias), pairs, to, y,
                                   self._scratch(K, x, w, y), stride, pad)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        stride, pad, _ = self._geometry()
        K = kernels.of(gradOutput, self.weight)
        gradInput = self.resize("gradInput", input.shape, like=input)
        dy, dx = geometry.with_batch(gradOutput, 4), geometry.with_batch(gradInput, 4)
        w = self._windows(self.weight)
        pairs, back = self._onDevice(self._pairs, dy), self._onDevice(self._back, dy)
        K.plane_conv_update_grad_input(dy, w, pairs, back, dx, self._scratch(K, dx, w, dy),
                                       stride, pad)
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        stride, pad, _ = self._geometry()
        K = kernels.of(input, gradOutput, self.gradWeight, self.gradBias)
        x, dy = geometry.with_batch(input, 4), geometry.with_batch(gradOutput, 4)
        dw = self._windows(self.gradWeight)
        pairs = self._onDevice(self._pairs, x)
        K.plane_conv_acc_grad_parameters(x, dy, pairs, dw, self._scratch(K, x, dw, dy), stride, pad, scale)
        if self.gradBias is not None:
            K.sum_planes(dy, self._biases(self.gradBias), scale)

    def _scratch(self, K, x, w, y):
        size = K.plane_conv_work_size(x.shape, w.shape, y.shape, *self._geometry()[:2])
        return self.resize("_work", (size,), like=x)


class _ConnectionMap(_PlaneConvolution):
    """Connections from a table; the base of the two modules below."""

    def __init__(self, conMatrix, kW, kH, dW, dH, bias):
        super().__init__(bias)
        self._keep(kW=kW, kH=kH, dW=dW, dH=dH)
        table = np.asarray(conMatrix)
        if table.ndim != 2 or table.shape[1] != 2 or not table.size or table.dtype.kind not in "iu":
            raise ValueError("conMatrix must be a table of whole numbers (connections, 2), each row an input plane "
                             f"and an output plane, got {table.dtype.name} {table.shape}; see nnmod.tables")
        if table.min() < 0:
            raise ValueError(f"conMatrix counts planes from 0, got {table.min()}")
        self.connTable = np.array(table, np.int64)
        self.nInputPlane, self.nOutputPlane = (int(n) + 1 for n in self.connTable.max(axis=0))
        self._connect(self._ways())
        self._allocate()

    def _ways(self):
        """The connections as the convolution kernels take them."""
        return self.connTable

    def _shapes(self):
        return {"weight": (len(self.connTable), self.kH, self.kW), "bias": (self.nOutputPlane,)}

    def reset(self, stdv=None):
        """Draw each window and its plane's bias from U(-b, b), or std *stdv*.

        b = 1 / sqrt(kW * kH * planes), where planes is how many the output plane sees.
        """
        super().reset(1 / math.sqrt(3) if stdv is None else stdv)
        if stdv is None:
            planes = np.bincount(self.connTable[:, 1], minlength=self.nOutputPlane)
            bounds = 1 / np.sqrt(self.kW * self.kH * np.maximum(planes, 1))
            self.weight *= bounds[self.connTable[:, 1], None, None].astype(self.weight.dtype)
            if self.bias is not None:
                self.bias *= bounds.astype(self.bias.dtype)
        return self

    def describe(self):
        return (f"{self.nInputPlane} -> {self.nOutputPlane}, {len(self.connTable)} connections, "
                + self._windowText())


class SpatialConvolutionMap(_ConnectionMap):
    """Convolution in which an output plane sees only the input planes that a table connects it with.

    ``output[n, o, h, w] = bias[o] + sum over the rows k of conMatrix with
    conMatrix[k, 1] == o, and over i, j, of
    weight[k, i, j] * input[n, conMatrix[k, 0], h * dH + i, w * dW + j]``.

    Parameters
    ----------
    conMatrix : integers (connections, 2)
        A row is an input plane and an output plane, both counted from 0; see
        ``nnmod.tables.full``, ``oneToOne`` and ``random``.
    kW, kH : int
        Width and height of the window.
    dW, dH : int
        Step of the window along the width and the height.
    bias : bool
        False leaves the bias out.

    Shapes
    ------
    input   (N, nInputPlane, H, W) or (nInputPlane, H, W), nInputPlane as the table has it
    output  (N, nOutputPlane, OH, OW) or (nOutputPlane, OH, OW),
            OH = floor((H - kH) / dH) + 1, OW in the same way
    weight  (connections, kH, kW), gradWeight the same
    bias    (nOutputPlane,), gradBias the same

    A stride that does not tile the input is fine (Torch7's gradWeight is not defined
    then).  Raises ShapeError for another number of channels, and for an input smaller
    than the window.  Source: Torch7's nn.SpatialConvolutionMap (LeCun et al., 1998).

    >>> import nnmod
    >>> nnmod.SpatialConvolutionMap(nnmod.tables.random(6, 16, 3), 5, 5)
    SpatialConvolutionMap(6 -> 16, 48 connections, 5x5)
    """

    def __init__(self, conMatrix, kW, kH, dW=1, dH=1, bias=True):
        super().__init__(conMatrix, kW, kH, dW, dH, bias)


class SpatialFullConvolutionMap(_ConnectionMap):
    """Transposed convolution between the planes that a table connects; the adjoint of SpatialConvolutionMap.

    ``output[n, o, h * dH + i, w * dW + j]`` is the bias plus the sum of
    ``weight[k, i, j] * input[n, conMatrix[k, 0], h, w]`` over all that land there, for
    the rows k of conMatrix with ``conMatrix[k, 1] == o``.

    Parameters
    ----------
    conMatrix : integers (connections, 2)
        A row is an input plane and an output plane, both counted from 0.
    kW, kH : int
        Width and height of the window.
    dW, dH : int
        How far apart neighbours of the input land.
    bias : bool
        False leaves the bias out.

    Shapes
    ------
    input   (N, nInputPlane, H, W) or (nInputPlane, H, W), nInputPlane as the table has it
    output  (N, nOutputPlane, OH, OW) or (nOutputPlane, OH, OW), OH = (H - 1) dH + kH,
            OW in the same way
    weight  (connections, kH, kW), gradWeight the same
    bias    (nOutputPlane,), gradBias the same

    Raises ShapeError for another number of channels.  Source: Torch7's
    nn.SpatialFullConvolutionMap.

    >>> import nnmod
    >>> net = nnmod.SpatialFullConvolutionMap(nnmod.tables.oneToOne(3), 4, 4, 2, 2)
    >>> net.forward(np.ones((3, 5, 5), np.float32)).shape
    (3, 12, 12)
    """

    def __init__(self, conMatrix, kW, kH, dW=1, dH=1, bias=True):
        super().__init__(conMatrix, kW, kH, dW, dH, bias)

    def _ways(self):
        # The kernels' convolution leads from the output back to the input.
        return self.connTable[:, ::-1]

    def _connect(self, pairs):
        self._pairs = np.ascontiguousarray(pairs, np.int64)
        self._to = _sorted(self._pairs[:, 1], self.nInputPlane)
        self._back = _sorted(self._pairs[:, 0], self.nOutputPlane)

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = check.batched("input", input, "N", self.nInputPlane, *self.axes)
        if 0 in x.shape[2:]:
            raise ShapeError(f"input must have at least one row and one column, got {input.shape}")
        check.parameters(self, **self._shapes())
        stride, pad, _ = self._geometry()
        size = [(n - 1) * d + k for n, d, k in zip(x.shape[2:], stride, self._kernel())]
        K = kernels.of(input, self.weight, self.bias)
        output = self.resize("output", (*input.shape[:-3], self.nOutputPlane, *size), like=input)
        y = geometry.with_batch(output, 4)
        pairs, back = self._onDevice(self._pairs, x), self._onDevice(self._back, x)
        K.plane_conv_update_grad_input(x, self.weight, pairs, back, y,
                                       self._scratch(K, y, self.weight, x), stride, pad)
        if self.bias is not None:
            K.add_planes(self._biases(self.bias), y)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        stride, pad, _ = self._geometry()
        K = kernels.of(gradOutput, self.weight)
        gradInput = self.resize("gradInput", input.shape, like=input)
        dy, dx = geometry.with_batch(gradOutput, 4), geometry.with_batch(gradInput, 4)
        pairs, to = self._onDevice(self._pairs, dy), self._onDevice(self._to, dy)
        K.plane_conv_update_output(dy, self.weight, None, pairs, to, dx,
                                   self._scratch(K, dy, self.weight, dx), stride, pad)
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        stride, pad, _ = self._geometry()
        K = kernels.of(input, gradOutput, self.gradWeight, self.gradBias)
        x, dy = geometry.with_batch(input, 4), geometry.with_batch(gradOutput, 4)
        K.plane_conv_acc_grad_parameters(dy, x, self._onDevice(self._pairs, x), self.gradWeight,
                                         self._scratch(K, dy, self.weight, x), stride, pad, scale)
        if self.gradBias is not None:
            K.sum_planes(dy, self._biases(self.gradBias), scale)


class SpatialDepthWiseConvolution(_PlaneConvolution):
    """Convolution of each input plane alone, with nOutputPlane windows for each.

    ``output[n, c * nOutputPlane + m, h, w] = bias[m, c] + sum over i, j of
    weight[m, c, i, j] * input[n, c, h * dH - padH + i, w * dW - padW + j]``, with the
    weight read as (nOutputPlane, nInputPlane, kH, kW).

    Parameters
    ----------
    nInputPlane : int or None
        Channels of the input; None takes it from the first input.
    nOutputPlane : int
        Channels of the output for each channel of the input.
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
    output  (N, nInputPlane * nOutputPlane, OH, OW) or (nInputPlane * nOutputPlane, OH, OW),
            OH = floor((H + 2 padH - kH) / dH) + 1, OW in the same way
    weight  (nOutputPlane, nInputPlane * kH * kW), gradWeight the same
    bias    (nOutputPlane, nInputPlane), gradBias the same

    Height and width need not be equal (Torch7 swaps them).  Raises ShapeError for
    another number of channels, and for an input smaller than the window.  Source:
    Torch7's nn.SpatialDepthWiseConvolution (Sifre and Mallat, 2014; Chollet,
    "Xception", 2017).

    >>> import numpy as np
    >>> SpatialDepthWiseConvolution(3, 2, 3, 3).forward(np.ones((3, 5, 7), np.float32)).shape
    (6, 3, 5)
    """

    def __init__(self, nInputPlane, nOutputPlane, kW, kH, dW=1, dH=1, padW=0, padH=None, bias=True):
        super().__init__(bias)
        check.positive(nOutputPlane=nOutputPlane)
        self._keep(kW=kW, kH=kH, dW=dW, dH=dH, padW=padW, padH=padW if padH is None else padH)
        self.depthwiseMultiplier = nOutputPlane
        self._keepSizes(nInputPlane=nInputPlane)

    @property
    def nOutputPlane(self):
        """Channels of the output."""
        return self.depthwiseMultiplier * self.nInputPlane

    def _shapes(self):
        return {"weight": (self.depthwiseMultiplier, self.nInputPlane * self.kH * self.kW),
                "bias": (self.depthwiseMultiplier, self.nInputPlane)}

    def _fanIn(self):
        return self.kW * self.kH * self.nInputPlane  # Torch's choice, as if an output saw all planes

    def _allocate(self):
        C, M = self.nInputPlane, self.depthwiseMultiplier
        planes, copies = np.tile(np.arange(C), M), np.repeat(np.arange(M), C)
        self._connect(np.stack([planes, planes * M + copies], axis=1))
        super()._allocate()

    def _windows(self, weight):
        return weight.reshape(self.nOutputPlane, self.kH, self.kW)

    def _biases(self, bias):
        return bias

    def describe(self):
        return f"{self.nInputPlane or '?'} -> {self.depthwiseMultiplier}, {self._windowText()}"


class SpatialSubSampling(_PlaneConvolution):
    """The sum under a window that slides over each plane, times the plane's weight, plus its bias.

    ``output[n, c, h, w] = bias[c] + weight[c] * sum over i, j of
    input[n, c, h * dH + i, w * dW + j]``.

    Parameters
    ----------
    nInputPlane : int or None
        Channels of the input; None takes it from the first input.
    kW, kH : int
        Width and height of the window.
    dW, dH : int
        Step of the window along the width and the height.
    bias : bool
        False leaves the bias out.

    Shapes
    ------
    input   (N, nInputPlane, H, W) or (nInputPlane, H, W)
    output  (N, nInputPlane, OH, OW) or (nInputPlane, OH, OW),
            OH = floor((H - kH) / dH) + 1, OW in the same way
    weight  (nInputPlane,), gradWeight the same
    bias    (nInputPlane,), gradBias the same

    Raises ShapeError for another number of channels, and for an input smaller than
    the window.  Source: Torch7's nn.SpatialSubSampling (LeCun et al., 1989).

    >>> SpatialSubSampling(6, 2, 2, 2, 2)
    SpatialSubSampling(6, 2x2, 2,2)
    >>> layer = SpatialSubSampling(1, 2, 2, 2, 2)
    >>> layer.weight[...], layer.bias[...] = 0.5, 1
    >>> layer.forward(np.arange(8, dtype=np.float32).reshape(1, 2, 4))
    array([[[ 6., 10.]]], dtype=float32)
    """

    bufferNames = ("_work", "_expanded", "_gradExpanded", "_ones")

    def __init__(self, nInputPlane, kW, kH, dW=1, dH=1, bias=True):
        super().__init__(bias)
        self._keep(kW=kW, kH=kH, dW=dW, dH=dH)
        self._expanded = self._gradExpanded = self._ones = None
        self._keepSizes(nInputPlane=nInputPlane)

    @property
    def nOutputPlane(self):
        """Channels of the output: as many as of the input."""
        return self.nInputPlane

    def _shapes(self):
        return {"weight": (self.nInputPlane,), "bias": (self.nInputPlane,)}

    def _fanIn(self):
        return self.kW * self.kH

    def _allocate(self):
        self._connect(np.stack([np.arange(self.nInputPlane)] * 2, axis=1))
        super()._allocate()

    def _windows(self, weight):
        """A window for each plane, full of the plane's weight; for the gradient one of zeros."""
        size = self.nInputPlane, self.kH, self.kW
        if weight is self.gradWeight:
            windows = self.resize("_gradExpanded", size, like=weight)
            tensor.fill(windows, 0)
        else:
            windows = self.resize("_expanded", size, like=weight)
            tensor.copy(weight[:, None, None], windows)
        return windows

    def accGradParameters(self, input, gradOutput, scale=1.0):
        super().accGradParameters(input, gradOutput, scale)
        # The windows of a plane are one weight: its gradient is the sum of theirs.
        C, taps = self.nInputPlane, self.kH * self.kW
        ones = self.resize("_ones", (1, taps), like=self.gradWeight)
        tensor.fill(ones, 1)
        kernels.of(self.gradWeight).gemm(self._gradExpanded.reshape(C, taps), ones,
                                         self.gradWeight.reshape(C, 1), 1.0, 1.0, trans_b=True)

    def describe(self):
        return f"{self.nInputPlane or '?'}, {self._windowText()}"


def _sorted(planes, count):
    """Windows in the order of their *planes*, and where each of the *count* planes begins in it."""
    order = np.argsort(planes, kind="stable").astype(np.int64)
    first = np.searchsorted(planes[order], np.arange(count + 1)).astype(np.int64)
    return order, first
