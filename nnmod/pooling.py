"""Pooling: SpatialMaxPooling, SpatialAveragePooling."""
import numpy as np

from . import check, geometry, kernels
from .errors import ShapeError
from .module import Module


class _SpatialPooling(Module):
    """A window that slides over each plane; the base of the classes below."""

    paramNames = ()
    backwardNeeds = frozenset()

    def __init__(self, kW, kH, dW, dH, padW, padH, ceilMode):
        super().__init__()
        check.positive(kW=kW, kH=kH, dW=dW, dH=dH)
        check.not_negative(padW=padW, padH=padH)
        check.boolean(ceilMode=ceilMode)
        if 2 * padW > kW or 2 * padH > kH:
            raise ValueError(
                "padW and padH must be at most half of kW and kH, so that no window lies wholly in the "
                f"padding; got padding {padW},{padH} for a window of {kW}x{kH}"
            )
        self.kW, self.kH = kW, kH
        self.dW, self.dH = dW, dH
        self.padW, self.padH = padW, padH
        self.ceilMode = bool(ceilMode)

    def _geometry(self):
        """Window, stride and padding."""
        return (self.kH, self.kW), (self.dH, self.dW), (self.padH, self.padW)

    def _planes(self, input):
        """*input* with a batch dimension; checked, so that every window covers something."""
        x = check.batched("input", input, "N", "C", "H", "W")
        if 0 in x.shape[2:]:
            raise ShapeError(f"input must have at least one row and one column, got {input.shape}")
        return x

    def describe(self):
        text = f"{self.kW}x{self.kH}, {self.dW},{self.dH}"
        if self.padW or self.padH:
            text += f", {self.padW},{self.padH}"
        return text + (", ceil" if self.ceilMode else "")


class SpatialMaxPooling(_SpatialPooling):
    """The maximum under a window that slides over each plane.

    Parameters
    ----------
    kW, kH : int
        Width and height of the window.
    dW, dH : int
        Step along the width and the height; the size of the window unless given.
    padW, padH : int
        Padding on each side, at most half of the window.
    ceilMode : bool
        Also use a last window that sticks out of the padded input.

    Shapes
    ------
    input    (N, C, H, W) or (C, H, W)
    output   (N, C, OH, OW) or (C, OH, OW),
             OH = floor((H + 2 padH - kH) / dH) + 1, OW in the same way; with ceilMode
             the ceiling, as long as the last window starts inside the input or the
             padding before it
    indices  like output, int32: row * W + column of each maximum

    Padding is never a maximum.  Ties go to the first element in row order, and the
    gradient goes to that element alone.  NaN wins over every number.  In ceil mode
    Torch7 without padding keeps a window that covers no element and gives it
    -1.8e308; here there is no such window.  Raises ShapeError for an input smaller
    than the window.  Source: Torch7's nn.SpatialMaxPooling.

    >>> SpatialMaxPooling(2, 2)
    SpatialMaxPooling(2x2, 2,2)
    >>> SpatialMaxPooling(2, 2).forward(np.arange(16.0).reshape(1, 4, 4))
    array([[[ 5.,  7.],
            [13., 15.]]])
    """

    bufferNames = ("indices",)

    def __init__(self, kW, kH, dW=None, dH=None, padW=0, padH=0, ceilMode=False):
        super().__init__(kW, kH, kW if dW is None else dW, kH if dH is None else dH, padW, padH, ceilMode)
        self.indices = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = self._planes(input)
        K = kernels.of(input)
        size = geometry.window_output(x.shape[2:], *self._geometry(), ceil_mode=self.ceilMode)
        shape = *input.shape[:-2], *size
        output = self.resize("output", shape, like=input)
        indices = self.resize("indices", shape, dtype=_INT32)
        K.max_pool2d_update_output(x, geometry.with_batch(output, 4), geometry.with_batch(indices, 4),
                                   *self._geometry())
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        kernels.of(gradOutput).max_pool2d_update_grad_input(
            geometry.with_batch(gradOutput, 4), geometry.with_batch(self.indices, 4),
            geometry.with_batch(gradInput, 4), *self._geometry())
        return gradInput


class SpatialAveragePooling(_SpatialPooling):
    """The mean under a window that slides over each plane.

    Parameters
    ----------
    kW, kH : int
        Width and height of the window.
    dW, dH : int
        Step along the width and the height; 1 unless given.
    padW, padH : int
        Zeros added on each side, at most half of the window.
    ceilMode : bool
        Also use a last window that sticks out of the padded input.
    countIncludePad : bool
        Divide by the size of the window, of which what sticks out of the padded input
        is cut off; False divides by how many elements of the input it covers.
    divide : bool
        False gives sums instead of means.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W)
    output  (N, C, OH, OW) or (C, OH, OW),
            OH = floor((H + 2 padH - kH) / dH) + 1, OW in the same way; with ceilMode
            the ceiling, and with padding only windows that start before its end

    In ceil mode without padding a stride above the window can leave the last window
    without any element: as in Torch7 it is kept and gives 0.  Raises ShapeError for
    an input smaller than the window.  Source: Torch7's nn.SpatialAveragePooling.

    >>> SpatialAveragePooling(2, 2, 2, 2).forward(np.arange(16.0).reshape(1, 4, 4))
    array([[[ 2.5,  4.5],
            [10.5, 12.5]]])
    """

    def __init__(self, kW, kH, dW=1, dH=1, padW=0, padH=0, ceilMode=False, countIncludePad=True, divide=True):
        super().__init__(kW, kH, dW, dH, padW, padH, ceilMode)
        check.boolean(countIncludePad=countIncludePad, divide=divide)
        self.countIncludePad = bool(countIncludePad)
        self.divide = bool(divide)

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = self._planes(input)
        K = kernels.of(input)
        output = self.resize("output", (*input.shape[:-2], *self._outputSize(x.shape[2:])), like=input)
        K.avg_pool2d_update_output(x, geometry.with_batch(output, 4), *self._geometry(),
                                   self.countIncludePad, self.divide)
        return output

    def _outputSize(self, size):
        padded = self.padW or self.padH
        ceil = self.ceilMode
        out = geometry.window_output(size, *self._geometry(), ceil_mode=ceil)
        if ceil and not padded:
            # Torch7 drops windows that cover nothing only where there is padding.
            kernel, stride, _ = self._geometry()
            out = tuple(-(-(n - k) // s) + 1 for n, k, s in zip(size, kernel, stride))
        return out

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        kernels.of(gradOutput).avg_pool2d_update_grad_input(
            geometry.with_batch(gradOutput, 4), geometry.with_batch(gradInput, 4), *self._geometry(),
            self.countIncludePad, self.divide)
        return gradInput

    def describe(self):
        return (super().describe() + ("" if self.countIncludePad else ", padding not counted")
                + ("" if self.divide else ", sum"))


_INT32 = np.dtype(np.int32)
