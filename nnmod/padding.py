"""Borders: Padding, SpatialZero-, SpatialReflection-, SpatialSymmetric- and SpatialReplicationPadding,
VolumetricReplicationPadding, and ShaveImage, which takes them off.
"""
import math

from . import check, geometry, kernels, tensor
from .errors import ShapeError
from .joining import copy_slices
from .module import Module


class Padding(Module):
    """*pad* slices of *value* put into one dimension.

    Parameters
    ----------
    dim : int
        The dimension, counted from 0; negative counts from the end.
    pad : int
        How many slices.  Negative: ``-pad`` slices, and *index* counts from the front.
        Positive: *index* counts from the end.
    nInputDim : int or None
        How many dimensions one example has: an input of another number has a batch in
        front, and *dim* moves on by one.
    value : float
        What the slices hold.
    index : int
        How many slices of the input come before them (negative *pad*) or after them
        (positive).  0 puts them in front or at the end.

    Shapes
    ------
    input   any
    output  the same sizes but ``|pad|`` more in *dim*

    Raises ShapeError where the input is too small.  Source: Torch7's nn.Padding, whose
    index is one more.

    >>> import numpy as np
    >>> Padding(0, -2).forward(np.ones(3, np.float32))
    array([0., 0., 1., 1., 1.], dtype=float32)
    >>> Padding(0, 1, value=7, index=1).forward(np.ones(3, np.float32))
    array([1., 1., 7., 1.], dtype=float32)
    """

    paramNames = ()
    backwardNeeds = frozenset()

    def __init__(self, dim, pad, nInputDim=None, value=0, index=0):
        super().__init__()
        check.integer(dim=dim, pad=pad)
        if nInputDim is not None:
            check.positive(nInputDim=nInputDim)
        check.number(value=value)
        check.not_negative(index=index)
        self.dim = dim
        self.pad = pad
        self.nInputDim = nInputDim
        self.value = value
        self.index = index

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        axis, place = self._place(input.shape)
        shape = list(input.shape)
        shape[axis] += abs(self.pad)
        output = self.resize("output", tuple(shape), like=input)
        A, n, B = geometry.around(input.shape, axis)
        after = place + abs(self.pad)
        copy_slices(input, 0, output, 0, place, axis)
        tensor.fill(output.reshape(A, n + abs(self.pad), B)[:, place:after], self.value)
        copy_slices(input, place, output, after, n - place, axis)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        axis, place = self._place(input.shape)
        gradInput = self.resize("gradInput", input.shape, like=input)
        copy_slices(gradOutput, 0, gradInput, 0, place, axis)
        copy_slices(gradOutput, place + abs(self.pad), gradInput, place, input.shape[axis] - place, axis)
        return gradInput

    def _place(self, shape):
        """The dimension, and how many slices of the input come before the new ones."""
        batch = 1 if self.nInputDim is not None and len(shape) != self.nInputDim and self.dim >= 0 else 0
        axis = check.dimension("dim", self.dim + batch, len(shape))
        if self.index > shape[axis]:
            raise ShapeError(f"input must have {self.index} slices or more in dimension {axis} (index), "
                             f"got shape {shape}")
        return axis, shape[axis] - self.index if self.pad > 0 else self.index

    def describe(self):
        known = "" if self.nInputDim is None else f", nInputDim={self.nInputDim}"
        return f"{self.dim}, {self.pad}{known}, value={self.value:g}, index={self.index}"


class _Bordered(Module):
    """The base of paddings of images and volumes: one kernel, three ways to fill a border."""

    paramNames = ()
    backwardNeeds = frozenset()
    mode = None
    #: The mode whose gradient backward gives, where that is another one.
    gradientMode = None
    #: How many dimensions an example has: 3 for images, 4 for volumes.
    ndim = 3

    def __init__(self, **pads):
        super().__init__()
        for name, value in pads.items():
            if not check.is_int(value):
                raise ValueError(f"{name} must be an int (negative crops), got {value!r}")
            setattr(self, name, value)

    def _pads(self):
        """(before, after) for depth, height and width."""
        return (0, 0), (self.pad_t, self.pad_b), (self.pad_l, self.pad_r)

    def updateOutput(self, input):
        input = self.takeInput(input)
        names = ("N", "C", "D", "H", "W") if self.ndim == 4 else ("N", "C", "H", "W")
        check.batched("input", input, *names)
        check.floating("input", input)
        spatial = 1 - self.ndim  # so many dimensions from the end are no channels
        sizes = input.shape[spatial:]
        out = []
        for size, (before, after) in zip(sizes, self._pads()[spatial:]):
            self._checkSide(size, before, after, input.shape)
            out.append(size + before + after)
        output = self.resize("output", (*input.shape[:spatial], *out), like=input)
        kernels.of(input).pad3d_update_output(self._volumes(input), self._volumes(output), self._before(), self.mode)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        kernels.of(gradOutput).pad3d_update_grad_input(
            self._volumes(gradOutput), self._volumes(gradInput), self._before(), self.gradientMode or self.mode)
        return gradInput

    def _checkSide(self, size, before, after, shape):
        if size + before + after < 1 or size < 1:
            raise ShapeError(f"input of shape {shape} is too small to be cropped by {self.describe()}")
        if self.mode == "reflect" and max(before, after) >= size:
            raise ShapeError(f"input must be larger than the reflected border on each side, "
                             f"got shape {shape} for {self.describe()}")
        if self.mode == "symmetric" and max(before, after) > size:
            raise ShapeError(f"input must be as large as the mirrored border on each side, "
                             f"got shape {shape} for {self.describe()}")

    def _before(self):
        return tuple(before for before, _ in self._pads())

    def _volumes(self, tensor):
        """*tensor* as (P, D, H, W)."""
        sizes = tensor.shape[1 - self.ndim:]
        return tensor.reshape(math.prod(tensor.shape[:1 - self.ndim]), *(1,) * (3 - len(sizes)), *sizes)


class _Spatial(_Bordered):
    def __init__(self, pad_l, pad_r=None, pad_t=None, pad_b=None):
        super().__init__(pad_l=pad_l, pad_r=pad_l if pad_r is None else pad_r,
                         pad_t=pad_l if pad_t is None else pad_t, pad_b=pad_l if pad_b is None else pad_b)

    def describe(self):
        return f"l={self.pad_l}, r={self.pad_r}, t={self.pad_t}, b={self.pad_b}"


class SpatialZeroPadding(_Spatial):
    """Images with a border of zeros.

    Parameters
    ----------
    pad_l, pad_r, pad_t, pad_b : int
        Left, right, top and bottom; those left out are pad_l.  Negative ones crop.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W)
    output  (N, C, pad_t + H + pad_b, pad_l + W + pad_r), or without N

    Raises ShapeError where nothing would be left.  Source: Torch7's nn.SpatialZeroPadding.

    >>> import numpy as np
    >>> SpatialZeroPadding(1, 0, 0, -1).forward(np.ones((1, 2, 2), np.float32))
    array([[[0., 1., 1.]]], dtype=float32)
    """

    mode = "zero"


class SpatialReflectionPadding(_Spatial):
    """Images with a border that mirrors them; the outermost pixels are the mirror.

    Parameters
    ----------
    pad_l, pad_r, pad_t, pad_b : int
        Left, right, top and bottom; those left out are pad_l.  Negative ones crop.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W)
    output  (N, C, pad_t + H + pad_b, pad_l + W + pad_r), or without N

    Raises ShapeError unless each border is smaller than the image.  Source: Torch7's
    nn.SpatialReflectionPadding.

    >>> import numpy as np
    >>> SpatialReflectionPadding(2, 1, 0, 0).forward(np.arange(3.0).reshape(1, 1, 3))
    array([[[2., 1., 0., 1., 2., 1.]]])
    """

    mode = "reflect"


class SpatialSymmetricPadding(_Spatial):
    """Images with a border that mirrors them, the outermost pixels too.

    Parameters
    ----------
    pad_l, pad_r, pad_t, pad_b : int
        Left, right, top and bottom; those left out are pad_l.  Negative ones crop.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W)
    output  (N, C, pad_t + H + pad_b, pad_l + W + pad_r), or without N

    backward takes the border for a constant, as DeepMask's does: what comes back to it is
    dropped, not added to the pixels that it shows.  Raises ShapeError where the image has
    fewer pixels than a border.  Source: nn.SpatialSymmetricPadding of DeepMask, on Torch7.

    >>> import numpy as np
    >>> pad, x = SpatialSymmetricPadding(2, 1, 0, 0), np.arange(3.0).reshape(1, 1, 3)
    >>> pad.double().forward(x)
    array([[[1., 0., 0., 1., 2., 2.]]])
    >>> pad.backward(x, np.ones((1, 1, 6)))
    array([[[1., 1., 1.]]])
    """

    mode = "symmetric"
    gradientMode = "zero"


class ShaveImage(_Bordered):
    """Images without their outermost pixels.

    Parameters
    ----------
    size : int
        How many pixels go, on each of the four sides.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W)
    output  (N, C, H - 2 size, W - 2 size), or without N

    Raises ShapeError where nothing would be left.  Source: nn.ShaveImage of
    fast-neural-style, on Torch7 (Johnson et al., 2016).

    >>> import numpy as np
    >>> ShaveImage(1).forward(np.arange(12, dtype=np.float32).reshape(1, 3, 4))
    array([[[5., 6.]]], dtype=float32)
    """

    mode = "zero"

    def __init__(self, size):
        check.not_negative(size=size)
        super().__init__(size=size)

    def _pads(self):
        return (0, 0), (-self.size, -self.size), (-self.size, -self.size)

    def describe(self):
        return f"{self.size}"


class SpatialReplicationPadding(_Spatial):
    """Images with a border that repeats their outermost pixels.

    Parameters
    ----------
    pad_l, pad_r, pad_t, pad_b : int
        Left, right, top and bottom; those left out are pad_l.  Negative ones crop.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W)
    output  (N, C, pad_t + H + pad_b, pad_l + W + pad_r), or without N

    Raises ShapeError where nothing would be left.  Source: Torch7's
    nn.SpatialReplicationPadding.

    >>> import numpy as np
    >>> SpatialReplicationPadding(2, 1, 0, 0).forward(np.arange(3.0).reshape(1, 1, 3))
    array([[[0., 0., 0., 1., 2., 2.]]])
    """

    mode = "replicate"


class VolumetricReplicationPadding(_Bordered):
    """Volumes with a border that repeats their outermost elements.

    Parameters
    ----------
    pleft, pright, ptop, pbottom, pfront, pback : int
        Those left out are pleft.  Negative ones crop.

    Shapes
    ------
    input   (N, C, D, H, W) or (C, D, H, W)
    output  (N, C, pfront + D + pback, ptop + H + pbottom, pleft + W + pright), or without N

    Raises ShapeError where nothing would be left.  Source: Torch7's
    nn.VolumetricReplicationPadding.

    >>> import numpy as np
    >>> pad = VolumetricReplicationPadding(1, 2, 0, 0, 0, 0)
    >>> pad.forward(np.array([3, 5], np.float32).reshape(1, 1, 1, 2)).ravel()
    array([3., 3., 5., 5., 5.], dtype=float32)
    """

    mode = "replicate"
    ndim = 4

    def __init__(self, pleft, pright=None, ptop=None, pbottom=None, pfront=None, pback=None):
        super().__init__(pleft=pleft, **{
            name: pleft if value is None else value for name, value in (
                ("pright", pright), ("ptop", ptop), ("pbottom", pbottom), ("pfront", pfront), ("pback", pback))})

    def _pads(self):
        return (self.pfront, self.pback), (self.ptop, self.pbottom), (self.pleft, self.pright)

    def describe(self):
        return (f"l={self.pleft}, r={self.pright}, t={self.ptop}, b={self.pbottom}, "
                f"f={self.pfront}, b={self.pback}")
