"""Pooling by a window that slides: the maximum, the mean, and back to the maximum's place."""
import math

import numpy as np

from . import check, geometry, kernels
from .errors import ShapeError
from .module import Module


class _Pooling(Module):
    """A window that slides over each plane; the base of the classes below.

    Kernels see planes of a depth, a height and a width.  ``_sides`` names the sides that a
    subclass has, and ``_geometry`` gives its window for all three.
    """

    paramNames = ()
    bufferNames = ("_known",)
    backwardNeeds = frozenset()
    ceilMode = False
    _sides = ()
    _leading = ("N", "C")

    def __init__(self):
        super().__init__()
        # The last input's shape and the window; the output's shape that they make; both as planes.
        self._known = None

    def _outputShape(self, input):
        """The shape of the output; *input* is checked where its shape, or the window, is new."""
        window = *self._geometry(), self.ceilMode
        known = self._known
        if known is not None and input.__class__ is np.ndarray and known[:2] == (input.shape, window):
            return known[2]
        self._check(input)
        sides = len(self._sides)
        size = self._outputSize(input.shape[-sides:], *(numbers[-sides:] for numbers in window[:-1]))
        shape = (*input.shape[:-sides], *size)
        planes = (geometry.planes_of(size, sides) for size in (input.shape, shape))
        self._known = input.shape, window, shape, *planes
        return shape

    def _check(self, input):
        check.batched("input", input, *self._leading, *self._sides)
        size = input.shape[-len(self._sides):]
        if 0 in size:
            raise ShapeError(f"input must have at least one element along {', '.join(self._sides)}, "
                             f"got {input.shape}")
        if math.prod(size) >= 2**31:
            raise ShapeError(f"input must have fewer than 2**31 elements in a plane, got {input.shape}")

    def _planes(self, tensor):
        """*tensor* as planes (P, D, H, W), a view; a side that this class does not have is 1."""
        return geometry.planes(tensor, len(self._sides))


def _padding(names, pads, window):
    """Check the padding: at most half of the window, so that no window lies wholly in it."""
    check.not_negative(**dict(zip(names, pads)))
    if any(2 * pad > size for pad, size in zip(pads, window)):
        raise ValueError(
            f"{' and '.join(names)} must be at most half of the window, so that no window lies wholly in the "
            f"padding; got padding {','.join(map(str, pads))} for a window of {'x'.join(map(str, window))}")


# -- the maximum --------------------------------------------------------------------------------

class _MaxPooling(_Pooling):
    """The maximum under each window; a subclass says where windows lie."""

    bufferNames = ("indices", "pooledShape", "_known")

    def __init__(self):
        super().__init__()
        self.indices = None
        self.pooledShape = None  # of the input that indices belong to

    def updateOutput(self, input):
        input = self.takeInput(input)
        shape = self._outputShape(input)
        _, window, _, before, after = self._known
        K = kernels.of(input)
        output = self.resize("output", shape, like=input)
        indices = self.resize("indices", shape, like=input, dtype=_INT32)
        self.pooledShape = input.shape
        K.max_pool_update_output(input.reshape(before), output.reshape(after), indices.reshape(after), *window[:-1])
        return output

    def _outputSize(self, size, kernel, stride, pad, dilation):
        geometry.check_covered(size, kernel, stride, pad, dilation)
        return geometry.window_output(size, kernel, stride, pad, dilation, self.ceilMode)

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        kernels.of(gradOutput).max_pool_update_grad_input(
            self._planes(gradOutput), self._planes(self.indices), self._planes(gradInput))
        return gradInput


class _Rounding:
    """Mixed into poolings whose number of windows may be rounded up."""

    def ceil(self):
        """Round the number of windows up, as ``ceilMode=True`` does; returns self."""
        self.ceilMode = True
        return self

    def floor(self):
        """Round the number of windows down, as by default; returns self."""
        self.ceilMode = False
        return self


class SpatialMaxPooling(_Rounding, _MaxPooling):
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

    _sides = ("H", "W")
    dilationW = dilationH = 1

    def __init__(self, kW, kH, dW=None, dH=None, padW=0, padH=0, ceilMode=False):
        super().__init__()
        dW, dH = kW if dW is None else dW, kH if dH is None else dH
        check.positive(kW=kW, kH=kH, dW=dW, dH=dH)
        _padding(("padW", "padH"), (padW, padH), (kW, kH))
        check.boolean(ceilMode=ceilMode)
        self.kW, self.kH = kW, kH
        self.dW, self.dH = dW, dH
        self.padW, self.padH = padW, padH
        self.ceilMode = bool(ceilMode)

    def _geometry(self):
        """Window, stride, padding and dilation."""
        return ((1, self.kH, self.kW), (1, self.dH, self.dW), (0, self.padH, self.padW),
                (1, self.dilationH, self.dilationW))

    def describe(self):
        return _describe(self, "WH") + (", ceil" if self.ceilMode else "")


class SpatialDilatedMaxPooling(SpatialMaxPooling):
    """The maximum under a window whose elements lie apart.

    Parameters
    ----------
    kW, kH : int
        How many elements the window has along the width and the height.
    dW, dH : int
        Step along the width and the height; kW and kH unless given.
    padW, padH : int
        Padding on each side, at most half of kW and kH.
    dilationW, dilationH : int
        From one element of the window to the next.
    ceilMode : bool
        Also use a last window that sticks out of the padded input.

    Shapes
    ------
    input    (N, C, H, W) or (C, H, W)
    output   (N, C, OH, OW) or (C, OH, OW),
             OH = floor((H + 2 padH - dilationH (kH - 1) - 1) / dH) + 1, OW in the same
             way; ceilMode as in SpatialMaxPooling
    indices  like output, int32: row * W + column of each maximum

    Padding, ties and NaN are as in SpatialMaxPooling.  Raises ShapeError for an input
    smaller than the window, and for one so small that a window steps over it.
    Source: Torch7's nn.SpatialDilatedMaxPooling.

    >>> SpatialDilatedMaxPooling(2, 2, 1, 1, dilationW=2, dilationH=2)
    SpatialDilatedMaxPooling(2x2, 1,1, dilation 2,2)
    >>> pool = SpatialDilatedMaxPooling(2, 2, 1, 1, dilationW=2, dilationH=2)
    >>> pool.forward(np.arange(12.0).reshape(1, 3, 4))
    array([[[10., 11.]]])
    """

    def __init__(self, kW, kH, dW=None, dH=None, padW=0, padH=0, dilationW=1, dilationH=1, ceilMode=False):
        super().__init__(kW, kH, dW, dH, padW, padH, ceilMode)
        check.positive(dilationW=dilationW, dilationH=dilationH)
        self.dilationW, self.dilationH = dilationW, dilationH


class VolumetricMaxPooling(_Rounding, _MaxPooling):
    """The maximum under a window that slides through each volume.

    Parameters
    ----------
    kT, kW, kH : int
        Size of the window along time, width and height.
    dT, dW, dH : int
        Step along each; the size of the window unless given.
    padT, padW, padH : int
        Padding on each side, at most half of the window.
    ceilMode : bool
        Also use a last window that sticks out of the padded input.

    Shapes
    ------
    input    (N, C, T, H, W) or (C, T, H, W)
    output   (N, C, OT, OH, OW) or (C, OT, OH, OW),
             OT = floor((T + 2 padT - kT) / dT) + 1, OH and OW in the same way; ceilMode
             as in SpatialMaxPooling
    indices  like output, int32: (t * H + row) * W + column of each maximum

    Padding, ties and NaN are as in SpatialMaxPooling.  In ceil mode with a stride above
    the window Torch7 reads past its memory; here no window lies outside.  Raises
    ShapeError for an input smaller than the window.  Source: Torch7's
    nn.VolumetricMaxPooling.

    >>> VolumetricMaxPooling(2, 2, 2).forward(np.ones((1, 3, 4, 6, 8))).shape
    (1, 3, 2, 3, 4)
    """

    _sides = ("T", "H", "W")
    dilationT = dilationW = dilationH = 1

    def __init__(self, kT, kW, kH, dT=None, dW=None, dH=None, padT=0, padW=0, padH=0, ceilMode=False):
        super().__init__()
        dT, dW, dH = (k if d is None else d for k, d in ((kT, dT), (kW, dW), (kH, dH)))
        check.positive(kT=kT, kW=kW, kH=kH, dT=dT, dW=dW, dH=dH)
        _padding(("padT", "padW", "padH"), (padT, padW, padH), (kT, kW, kH))
        check.boolean(ceilMode=ceilMode)
        self.kT, self.kW, self.kH = kT, kW, kH
        self.dT, self.dW, self.dH = dT, dW, dH
        self.padT, self.padW, self.padH = padT, padW, padH
        self.ceilMode = bool(ceilMode)

    def _geometry(self):
        """Window, stride, padding and dilation."""
        return ((self.kT, self.kH, self.kW), (self.dT, self.dH, self.dW), (self.padT, self.padH, self.padW),
                (self.dilationT, self.dilationH, self.dilationW))

    def describe(self):
        return _describe(self, "TWH") + (", ceil" if self.ceilMode else "")


class VolumetricDilatedMaxPooling(VolumetricMaxPooling):
    """The maximum under a window through a volume whose elements lie apart.

    Parameters
    ----------
    kT, kW, kH : int
        How many elements the window has along time, width and height.
    dT, dW, dH : int
        Step along each; kT, kW and kH unless given.
    padT, padW, padH : int
        Padding on each side, at most half of the window.
    dilationT, dilationW, dilationH : int
        From one element of the window to the next.
    ceilMode : bool
        Also use a last window that sticks out of the padded input.

    Shapes
    ------
    input    (N, C, T, H, W) or (C, T, H, W)
    output   (N, C, OT, OH, OW) or (C, OT, OH, OW),
             OT = floor((T + 2 padT - dilationT (kT - 1) - 1) / dT) + 1, OH and OW in the
             same way; ceilMode as in SpatialMaxPooling
    indices  like output, int32: (t * H + row) * W + column of each maximum

    Padding, ties and NaN are as in SpatialMaxPooling.  Raises ShapeError for an input
    smaller than the window, and for one so small that a window steps over it.
    Source: Torch7's nn.VolumetricDilatedMaxPooling.

    >>> pool = VolumetricDilatedMaxPooling(2, 2, 2, 1, 1, 1, dilationT=3, dilationW=3, dilationH=3)
    >>> pool.forward(np.arange(64.0).reshape(1, 4, 4, 4)), pool.indices.item()
    (array([[[[63.]]]]), 63)
    """

    def __init__(self, kT, kW, kH, dT=None, dW=None, dH=None, padT=0, padW=0, padH=0,
                 dilationT=1, dilationW=1, dilationH=1, ceilMode=False):
        super().__init__(kT, kW, kH, dT, dW, dH, padT, padW, padH, ceilMode)
        check.positive(dilationT=dilationT, dilationW=dilationW, dilationH=dilationH)
        self.dilationT, self.dilationW, self.dilationH = dilationT, dilationW, dilationH


class TemporalMaxPooling(_MaxPooling):
    """The maximum of each feature under a window that slides along a sequence.

    Parameters
    ----------
    kW : int
        How many frames the window has.
    dW : int
        Step, in frames; kW unless given.

    Shapes
    ------
    input    (N, T, F) or (T, F): T frames of F features
    output   (N, OT, F) or (OT, F), OT = floor((T - kW) / dW) + 1
    indices  like output, int32: t * F + feature of each maximum

    Ties go to the first frame; NaN wins over every number.  Raises ShapeError for a
    sequence shorter than the window.  Source: Torch7's nn.TemporalMaxPooling.

    >>> TemporalMaxPooling(2).forward(np.arange(8.0).reshape(4, 2))
    array([[2., 3.],
           [6., 7.]])
    """

    _leading = ("N",)
    _sides = ("T", "F")

    def __init__(self, kW, dW=None):
        super().__init__()
        dW = kW if dW is None else dW
        check.positive(kW=kW, dW=dW)
        self.kW, self.dW = kW, dW

    def _check(self, input):
        super()._check(input)
        if input.shape[-2] < self.kW:
            raise ShapeError(f"input must have at least kW = {self.kW} frames, got {input.shape}")

    def _geometry(self):
        """Window, stride, padding and dilation."""
        return (1, self.kW, 1), (1, self.dW, 1), (0, 0, 0), (1, 1, 1)

    def describe(self):
        return f"{self.kW}, {self.dW}"


# -- back to the place of the maximum --------------------------------------------------------------

class _MaxUnpooling(Module):
    """Puts what was pooled back; the base of the classes below."""

    paramNames = ()
    backwardNeeds = frozenset()
    _pooling = None

    def __init__(self, poolingModule):
        super().__init__()
        if not isinstance(poolingModule, self._pooling):
            raise TypeError(f"poolingModule must be a {self._pooling.__name__}, got {poolingModule!r}")
        kernel, stride, _, dilation = poolingModule._geometry()
        if any(s < k for k, s in zip(kernel, stride)) or max(dilation) > 1:
            raise ValueError("the windows of poolingModule must not overlap, or a maximum would have two "
                             f"values: its step must be at least its window, got {poolingModule!r}")
        self.pooling = poolingModule

    def updateOutput(self, input):
        input = self.takeInput(input)
        pooling = self.pooling
        if pooling.indices is None:
            raise RuntimeError(f"{pooling!r} must run before its unpooling: call its forward first, or "
                               "put both into one network (and copy the network as a whole)")
        check.is_tensor("input", input)
        if input.shape != pooling.indices.shape:
            raise ShapeError(f"input must have the shape of what {pooling!r} returned, "
                             f"{pooling.indices.shape}, got {input.shape}")
        K = kernels.of(input)
        output = self.resize("output", pooling.pooledShape, like=input)
        K.max_unpool_update_output(pooling._planes(input), pooling._planes(pooling.indices),
                                   pooling._planes(output))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        pooling = self.pooling
        if pooling.indices is None or pooling.indices.shape != input.shape:
            raise RuntimeError(f"{pooling!r} has taken another input since the forward of its unpooling: "
                               "run both forwards again")
        gradInput = self.resize("gradInput", input.shape, like=input)
        kernels.of(gradOutput).max_unpool_update_grad_input(
            pooling._planes(gradOutput), pooling._planes(pooling.indices), pooling._planes(gradInput))
        return gradInput

    def describe(self):
        return f"of {self.pooling!r}"


class SpatialMaxUnpooling(_MaxUnpooling):
    """Each element where its maximum was before a SpatialMaxPooling, and 0 elsewhere.

    Parameters
    ----------
    poolingModule : SpatialMaxPooling
        Gives the places and the size; its windows must not overlap.  It runs before this
        module, usually earlier in the same network; ``clone``, pickle and checkpoints of
        that network keep the two together.

    Shapes
    ------
    input   (N, C, OH, OW) or (C, OH, OW): what poolingModule returned
    output  (N, C, H, W) or (C, H, W): what it was given

    Raises RuntimeError where poolingModule has not run, ShapeError for an input of
    another shape.  Source: Torch7's nn.SpatialMaxUnpooling (Zeiler and Fergus, 2014).

    >>> pool = SpatialMaxPooling(2, 2)
    >>> y = pool.forward(np.arange(4.0).reshape(1, 2, 2))
    >>> SpatialMaxUnpooling(pool).forward(y)
    array([[[0., 0.],
            [0., 3.]]])
    """

    _pooling = SpatialMaxPooling


class VolumetricMaxUnpooling(_MaxUnpooling):
    """Each element where its maximum was before a VolumetricMaxPooling, and 0 elsewhere.

    Parameters
    ----------
    poolingModule : VolumetricMaxPooling
        Gives the places and the size; its windows must not overlap.  It runs before this
        module, as in SpatialMaxUnpooling.

    Shapes
    ------
    input   (N, C, OT, OH, OW) or (C, OT, OH, OW): what poolingModule returned
    output  (N, C, T, H, W) or (C, T, H, W): what it was given

    Raises RuntimeError where poolingModule has not run, ShapeError for an input of
    another shape.  Source: Torch7's nn.VolumetricMaxUnpooling.

    >>> pool = VolumetricMaxPooling(1, 2, 2)
    >>> y = pool.forward(np.arange(4.0).reshape(1, 1, 2, 2))
    >>> VolumetricMaxUnpooling(pool).forward(y)
    array([[[[0., 0.],
             [0., 3.]]]])
    """

    _pooling = VolumetricMaxPooling


# -- the mean ---------------------------------------------------------------------------------------

class _AveragePooling(_Pooling):
    """The mean, or the sum, under each window; a subclass says where windows lie."""

    countIncludePad = True
    divide = True

    def updateOutput(self, input):
        input = self.takeInput(input)
        shape = self._outputShape(input)
        K = kernels.of(input)
        output = self.resize("output", shape, like=input)
        K.avg_pool_update_output(self._planes(input), self._planes(output), *self._geometry(),
                                 self.countIncludePad, self.divide)
        return output

    def _outputSize(self, size, kernel, stride, pad):
        out = geometry.window_output(size, kernel, stride, pad, (1,) * len(size), self.ceilMode)
        if self.ceilMode and not any(pad):
            # Torch7 drops windows that cover nothing only where there is padding.
            out = tuple(-(-(n - k) // s) + 1 for n, k, s in zip(size, kernel, stride))
        return out

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        kernels.of(gradOutput).avg_pool_update_grad_input(
            self._planes(gradOutput), self._planes(gradInput), *self._geometry(),
            self.countIncludePad, self.divide)
        return gradInput


class SpatialAveragePooling(_Rounding, _AveragePooling):
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

    _sides = ("H", "W")

    def __init__(self, kW, kH, dW=1, dH=1, padW=0, padH=0, ceilMode=False, countIncludePad=True, divide=True):
        super().__init__()
        check.positive(kW=kW, kH=kH, dW=dW, dH=dH)
        _padding(("padW", "padH"), (padW, padH), (kW, kH))
        check.boolean(ceilMode=ceilMode, countIncludePad=countIncludePad, divide=divide)
        self.kW, self.kH = kW, kH
        self.dW, self.dH = dW, dH
        self.padW, self.padH = padW, padH
        self.ceilMode = bool(ceilMode)
        self.countIncludePad = bool(countIncludePad)
        self.divide = bool(divide)

    def setCountIncludePad(self):
        """Divide by the size of the whole window, its padding included, as by default; returns self."""
        self.countIncludePad = True
        return self

    def setCountExcludePad(self):
        """Divide by the elements of the input alone, as ``countIncludePad=False`` does; returns self."""
        self.countIncludePad = False
        return self

    def _geometry(self):
        """Window, stride and padding."""
        return (1, self.kH, self.kW), (1, self.dH, self.dW), (0, self.padH, self.padW)

    def describe(self):
        return (_describe(self, "WH") + (", ceil" if self.ceilMode else "")
                + ("" if self.countIncludePad else ", padding not counted")
                + ("" if self.divide else ", sum"))


class VolumetricAveragePooling(_AveragePooling):
    """The mean under a window that slides through each volume.

    Parameters
    ----------
    kT, kW, kH : int
        Size of the window along time, width and height.
    dT, dW, dH : int
        Step along each; the size of the window unless given.

    Shapes
    ------
    input   (N, C, T, H, W) or (C, T, H, W)
    output  (N, C, OT, OH, OW) or (C, OT, OH, OW),
            OT = floor((T - kT) / dT) + 1, OH and OW in the same way

    Raises ShapeError for an input smaller than the window.  Source: Torch7's
    nn.VolumetricAveragePooling.

    >>> VolumetricAveragePooling(2, 2, 2)
    VolumetricAveragePooling(2x2x2, 2,2,2)
    >>> VolumetricAveragePooling(2, 2, 2).forward(np.arange(16.0).reshape(1, 2, 2, 4))
    array([[[[6.5, 8.5]]]])
    """

    _sides = ("T", "H", "W")

    def __init__(self, kT, kW, kH, dT=None, dW=None, dH=None):
        super().__init__()
        dT, dW, dH = (k if d is None else d for k, d in ((kT, dT), (kW, dW), (kH, dH)))
        check.positive(kT=kT, kW=kW, kH=kH, dT=dT, dW=dW, dH=dH)
        self.kT, self.kW, self.kH = kT, kW, kH
        self.dT, self.dW, self.dH = dT, dW, dH

    def _geometry(self):
        """Window, stride and padding."""
        return (self.kT, self.kH, self.kW), (self.dT, self.dH, self.dW), (0, 0, 0)

    def describe(self):
        return _describe(self, "TWH")


def _describe(module, sides):
    """Window and step, then padding and dilation where there are any: ``3x3, 2,2, 1,1``."""
    def numbers(name):
        return [getattr(module, name + side, 0) for side in sides]

    text = "x".join(map(str, numbers("k"))) + ", " + ",".join(map(str, numbers("d")))
    if any(numbers("pad")):
        text += ", " + ",".join(map(str, numbers("pad")))
    if max(numbers("dilation")) > 1:
        text += ", dilation " + ",".join(map(str, numbers("dilation")))
    return text


_INT32 = np.dtype(np.int32)
