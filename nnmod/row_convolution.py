"""Convolutions along a sequence of frames in which every feature is by itself."""
import numpy as np

from . import check, geometry, kernels, tensor
from .windowed import Windowed


class _RowConvolution(Windowed):
    """Every feature of a frame has a row of weights; the base of the classes below."""

    axes = ("W",)
    featFirst = False

    def _start(self, inputFrameSize, kW, dW):
        self._keep(kW=kW, dW=dW)
        self._keepSizes(inputFrameSize=inputFrameSize)

    def _rows(self, weight):
        """*weight*, or its gradient, as (inputFrameSize, kW)."""
        return weight.reshape(self.inputFrameSize, self.kW)

    def updateOutput(self, input):
        input = self.takeInput(input)
        F = self.inputFrameSize or "inputFrameSize"
        x = check.batched("input", input, "N", *((F, "T") if self.featFirst else ("T", F)))
        frames, features = (x.shape[2], x.shape[1]) if self.featFirst else x.shape[1:]
        size, = geometry.window_output((frames,), (self.kW,), (self.dW,), (0,))
        if self.weight is None:
            self._infer(input, inputFrameSize=features)
        check.parameters(self, **self._shapes())
        K = kernels.of(input, self.weight, self.bias)
        shape = (features, size) if self.featFirst else (size, features)
        output = self.resize("output", (*input.shape[:-2], *shape), like=input)
        y, w = geometry.with_batch(output, 3), self._rows(self.weight)
        if self.featFirst:
            pairs, one = self._onDevice(self._pairs, x)
            K.plane_conv_update_output(_planes(x), w[:, None], self._biases(self.bias), pairs, one, _planes(y),
                                       self._scratch(K, x, w, y), *self._step())
        else:
            K.row_conv_update_output(x, w, self.bias, y, self._scratch(K, x, w, y), self.dW)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(gradOutput, self.weight)
        gradInput = self.resize("gradInput", input.shape, like=input)
        dy, dx = geometry.with_batch(gradOutput, 3), geometry.with_batch(gradInput, 3)
        w = self._rows(self.weight)
        if self.featFirst:
            pairs, one = self._onDevice(self._pairs, dy)
            K.plane_conv_update_grad_input(_planes(dy), w[:, None], pairs, one, _planes(dx),
                                           self._scratch(K, dx, w, dy), *self._step())
        else:
            K.row_conv_update_grad_input(dy, w, dx, self._scratch(K, dx, w, dy), self.dW)
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, gradOutput, self.gradWeight, self.gradBias)
        x, dy = geometry.with_batch(input, 3), geometry.with_batch(gradOutput, 3)
        dw = self._rows(self.gradWeight)
        if self.featFirst:
            K.plane_conv_acc_grad_parameters(_planes(x), _planes(dy), self._onDevice(self._pairs, x)[0], dw[:, None],
                                             self._scratch(K, x, dw, dy), *self._step(), scale)
            if self.gradBias is not None:
                K.sum_planes(dy, self._biases(self.gradBias), scale)
        else:
            K.row_conv_acc_grad_parameters(x, dy, dw, self.gradBias, self._scratch(K, x, dw, dy), self.dW, scale)

    def _biases(self, bias):
        return None if bias is None else bias[None]

    def _step(self):
        """Stride and padding of the window on planes of one row."""
        return (1, self.dW), (0, 0)

    def _scratch(self, K, x, w, y):
        if self.featFirst:
            size = K.plane_conv_work_size(_planes(x).shape, w[:, None].shape, _planes(y).shape, *self._step())
        else:
            size = K.row_conv_work_size(x.shape, w.shape, y.shape, self.dW)
        return self.resize("_work", (size,), like=x)

    def describe(self):
        return f"{self.inputFrameSize or '?'}, {self._windowText()}"


class TemporalRowConvolution(_RowConvolution):
    """Convolution along a sequence in which every feature has its own window and sees itself alone.

    ``output[n, t, f] = bias[f] + sum over k of weight[f, 0, k] * input[n, t * dW + k, f]``.

    Parameters
    ----------
    inputFrameSize : int or None
        Features of a frame; None takes it from the first input.
    kW : int
        How many frames the window sees.
    dW : int
        Step of the window.
    featFirst : bool
        True for sequences with the features before the frames: (N, inputFrameSize, T).
    bias : bool
        False leaves the bias out.

    Shapes
    ------
    input   (N, T, inputFrameSize) or (T, inputFrameSize); with featFirst
            (N, inputFrameSize, T) or (inputFrameSize, T)
    output  (N, OT, inputFrameSize) or (OT, inputFrameSize), OT = floor((T - kW) / dW) + 1;
            with featFirst the last two dimensions swapped
    weight  (inputFrameSize, 1, kW), gradWeight the same
    bias    (inputFrameSize,), gradBias the same

    Raises ShapeError for another number of features, and for a sequence shorter than
    the window.  Source: Torch7's nn.TemporalRowConvolution (Amodei et al., "Deep
    speech 2", 2016).

    >>> TemporalRowConvolution(8, 3)
    TemporalRowConvolution(8, 3)
    >>> TemporalRowConvolution(8, 3).forward(np.ones((10, 8), np.float32)).shape
    (8, 8)
    """

    def __init__(self, inputFrameSize, kW, dW=1, featFirst=False, bias=True):
        super().__init__(bias)
        check.boolean(featFirst=featFirst)
        self.featFirst = bool(featFirst)
        self._start(inputFrameSize, kW, dW)

    def _shapes(self):
        return {"weight": (self.inputFrameSize, 1, self.kW), "bias": (self.inputFrameSize,)}

    def _fanIn(self):
        return self.kW * self.inputFrameSize  # Torch's choice, as if an output saw all features

    def _allocate(self):
        each = np.arange(self.inputFrameSize + 1)
        self._pairs = np.stack([each[:-1]] * 2, axis=1), (each[:-1].copy(), each)
        super()._allocate()

    def describe(self):
        return super().describe() + (", featFirst" if self.featFirst else "")


class TemporalSubSampling(_RowConvolution):
    """The sum of each feature over kW frames, times the feature's weight, plus its bias.

    ``output[n, t, f] = bias[f] + weight[f] * sum over k of input[n, t * dW + k, f]``.

    Parameters
    ----------
    inputFrameSize : int or None
        Features of a frame; None takes it from the first input.
    kW : int
        How many frames the window sees.
    dW : int
        Step of the window.
    bias : bool
        False leaves the bias out.

    Shapes
    ------
    input   (N, T, inputFrameSize) or (T, inputFrameSize)
    output  (N, OT, inputFrameSize) or (OT, inputFrameSize), OT = floor((T - kW) / dW) + 1
    weight  (inputFrameSize,), gradWeight the same
    bias    (inputFrameSize,), gradBias the same

    Raises ShapeError for another number of features, and for a sequence shorter than
    the window.  Source: Torch7's nn.TemporalSubSampling.

    >>> TemporalSubSampling(8, 2, 2)
    TemporalSubSampling(8, 2, 2)
    >>> layer = TemporalSubSampling(1, 2, 2)
    >>> layer.weight[...], layer.bias[...] = 0.5, 1
    >>> layer.forward(np.array([[1], [3], [5], [7]], np.float32)).ravel()
    array([3., 7.], dtype=float32)
    """

    bufferNames = ("_work", "_expanded", "_gradExpanded", "_ones")

    def __init__(self, inputFrameSize, kW, dW=1, bias=True):
        super().__init__(bias)
        self._expanded = self._gradExpanded = self._ones = None
        self._start(inputFrameSize, kW, dW)

    def _shapes(self):
        return {"weight": (self.inputFrameSize,), "bias": (self.inputFrameSize,)}

    def _fanIn(self):
        return self.kW

    def _rows(self, weight):
        """A row for each feature, full of the feature's weight; for the gradient one of zeros."""
        size = self.inputFrameSize, self.kW
        if weight is self.gradWeight:
            rows = self.resize("_gradExpanded", size, like=weight)
            tensor.fill(rows, 0)
        else:
            rows = self.resize("_expanded", size, like=weight)
            tensor.copy(weight[:, None], rows)
        return rows

    def accGradParameters(self, input, gradOutput, scale=1.0):
        super().accGradParameters(input, gradOutput, scale)
        # The weights of a row are one: its gradient is the sum of theirs.
        ones = self.resize("_ones", (1, self.kW), like=self.gradWeight)
        tensor.fill(ones, 1)
        kernels.of(self.gradWeight).gemm(self._gradExpanded, ones, self.gradWeight[:, None], 1.0, 1.0,
                                         trans_b=True)


def _planes(sequences):
    """(N, F, T) as planes of one row: (N, F, 1, T)."""
    return sequences[:, :, None]
