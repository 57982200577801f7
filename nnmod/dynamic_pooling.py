"""Pooling that follows the size of the input: adaptive, fractional, and the k greatest."""
import math

import numpy as np

from . import check, geometry, kernels, random, tensor
from .errors import ShapeError
from .module import Module


class _RegionPooling(Module):
    """Pooling over regions that lie where two tables say; a subclass fills the tables."""

    paramNames = ()
    backwardNeeds = frozenset()
    _sides = ("H", "W")

    def _planes(self, tensor):
        """*tensor* as planes (P, D, H, W), a view."""
        return geometry.planes(tensor, len(self._sides))

    def _examples(self, input):
        x = check.batched("input", input, "N", "C", *self._sides)
        if 0 in x.shape[2:]:
            raise ShapeError(f"input must have at least one element along {', '.join(self._sides)}, "
                             f"got {input.shape}")
        return x

    def _tables(self, rows, out, like):
        """Starts and stops of the regions, int32: buffers of the right size, contents undefined."""
        shape = rows, sum(out)
        return tuple(self.resize(name, shape, like=like, dtype=_INT32) for name in ("_starts", "_stops"))

    def _maxima(self, input, x, out):
        """output and indices: the maximum of each region of planes *x*."""
        shape = *input.shape[:-len(self._sides)], *out[-len(self._sides):]
        output = self.resize("output", shape, like=input)
        indices = self.resize("indices", shape, like=input, dtype=_INT32)
        kernels.of(input).max_regions_update_output(x, self._starts, self._stops, self._planes(output),
                                                    self._planes(indices))
        return output

    def _gradientOfMaxima(self, input, gradOutput):
        gradInput = self.resize("gradInput", input.shape, like=input)
        kernels.of(gradOutput).max_pool_update_grad_input(
            self._planes(gradOutput), self._planes(self.indices), self._planes(gradInput))
        return gradInput


# -- adaptive: so many regions, of whatever size ---------------------------------------------------

class _AdaptivePooling(_RegionPooling):
    """Region i of n goes from floor(i size / n) to ceil((i + 1) size / n)."""

    def __init__(self, W, H):
        super().__init__()
        check.positive(W=W, H=H)
        self.W, self.H = W, H
        self._starts = self._stops = self._tablesOf = None

    def _divide(self, input):
        """*input* as planes, the output's size, and the tables of regions for it."""
        x = self._planes(self._examples(input))
        kernels.of(input)
        size, out = x.shape[1:], (1, self.H, self.W)
        if self._tablesOf != size or tensor.is_on_device(self._starts) != tensor.is_on_device(input):
            starts, stops = self._tables(1, out, input)
            begin = 0
            for n, o in zip(size, out):
                i = np.arange(o)
                starts[0, begin:begin + o] = i * n // o
                stops[0, begin:begin + o] = -(-(i + 1) * n // o)
                begin += o
            self._tablesOf = size
        return x, out

    def describe(self):
        return f"{self.W}x{self.H}"


class SpatialAdaptiveMaxPooling(_AdaptivePooling):
    """The maximum of each of W x H regions that divide the plane.

    Parameters
    ----------
    W, H : int
        Width and height of the output.

    Shapes
    ------
    input    (N, C, IH, IW) or (C, IH, IW)
    output   (N, C, H, W) or (C, H, W): element (h, w) is the maximum of the rows
             floor(h IH / H) .. ceil((h + 1) IH / H), and of the columns likewise
    indices  like output, int32: row * IW + column of each maximum

    Regions overlap where the sizes do not divide, and repeat elements where the output is
    larger.  Ties go to the first element in row order; NaN wins over every number.
    Source: Torch7's nn.SpatialAdaptiveMaxPooling.

    >>> SpatialAdaptiveMaxPooling(2, 1).forward(np.arange(12.0).reshape(1, 3, 4))
    array([[[ 9., 11.]]])
    """

    bufferNames = ("indices", "_starts", "_stops", "_tablesOf")

    def __init__(self, W, H):
        super().__init__(W, H)
        self.indices = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        return self._maxima(input, *self._divide(input))

    def updateGradInput(self, input, gradOutput):
        return self._gradientOfMaxima(*self.takeGradOutput(input, gradOutput))


class SpatialAdaptiveAveragePooling(_AdaptivePooling):
    """The mean of each of W x H regions that divide the plane.

    Parameters
    ----------
    W, H : int
        Width and height of the output.

    Shapes
    ------
    input   (N, C, IH, IW) or (C, IH, IW)
    output  (N, C, H, W) or (C, H, W): element (h, w) is the mean of the rows
            floor(h IH / H) .. ceil((h + 1) IH / H), and of the columns likewise

    Regions overlap where the sizes do not divide, and repeat elements where the output is
    larger.  Source: Torch7's nn.SpatialAdaptiveAveragePooling.

    >>> SpatialAdaptiveAveragePooling(2, 1).forward(np.arange(12.0).reshape(1, 3, 4))
    array([[[4.5, 6.5]]])
    """

    bufferNames = ("_starts", "_stops", "_tablesOf")

    def updateOutput(self, input):
        input = self.takeInput(input)
        x, out = self._divide(input)
        output = self.resize("output", (*input.shape[:-2], *out[1:]), like=input)
        kernels.of(input).mean_regions_update_output(x, self._starts, self._stops, self._planes(output))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        kernels.of(gradOutput).mean_regions_update_grad_input(
            self._planes(gradOutput), self._starts, self._stops, self._planes(gradInput))
        return gradInput


# -- fractional: regions of one size, at steps that are drawn ---------------------------------------

class _FractionalMaxPooling(_RegionPooling):
    """Regions of one size at random steps; a subclass names the sides and their numbers."""

    bufferNames = ("indices", "randomSamples", "_starts", "_stops")

    def __init__(self, fixPoolingRegions, pool, sizes):
        super().__init__()
        check.boolean(fixPoolingRegions=fixPoolingRegions)
        for name, size in pool.items():
            if not check.is_int(size) or size < 2:
                raise ValueError(f"{name} must be an int > 1, got {size!r}")
        whole = all(check.is_int(size) and size > 0 for size in sizes.values())
        ratio = all(isinstance(size, (float, np.floating)) and 0 < size < 1 for size in sizes.values())
        if not (whole or ratio):
            raise ValueError(f"{', '.join(sizes)} must be the sizes of the output, ints > 0, or their ratios "
                             f"to the input's, between 0 and 1, got {', '.join(map(repr, sizes.values()))}")
        self.fixPoolingRegions = bool(fixPoolingRegions)
        self._ratios = ratio
        self._stream = None  # the random numbers of the fixed regions: a stream, and a place in it
        self.indices = self.randomSamples = self._starts = self._stops = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        examples = self._examples(input)
        x = self._planes(examples)
        K = kernels.of(input)
        sides = len(self._sides)
        pool, wanted = self._geometry()
        size = examples.shape[2:]
        out = tuple(math.floor(n * w) for n, w in zip(size, wanted)) if self._ratios else wanted
        for side, n, o, k in zip(self._sides, size, out, pool):
            if o < 1 or n < o + k - 1:
                raise ShapeError(f"input must have at least {max(o, 1) + k - 1} elements along {side}, for "
                                 f"{max(o, 1)} regions of {k} at different places, got {input.shape}")
        samples = self.resize("randomSamples", (*examples.shape[:2], sides), like=input, dtype=_FLOAT64)
        K.uniform_noise(samples, *self._words(samples.size), 0.0, 1.0)
        one = (1,) * (3 - sides)
        starts, stops = self._tables(x.shape[0], (*one, *out), x)
        K.fractional_regions(samples.reshape(x.shape[0], sides), starts, stops, x.shape[1:], (*one, *out),
                             (*one, *pool))
        return self._maxima(input, x, out)

    def _words(self, count):
        """Where the random numbers of this pass come from."""
        if not self.fixPoolingRegions:
            return random.take(count)
        if self._stream is None:
            self._stream = random.take(count)
        return self._stream

    def updateGradInput(self, input, gradOutput):
        return self._gradientOfMaxima(*self.takeGradOutput(input, gradOutput))


class SpatialFractionalMaxPooling(_FractionalMaxPooling):
    """The maximum of regions of one size, whose steps are drawn at random to fit the output.

    Parameters
    ----------
    poolSizeW, poolSizeH : int
        Width and height of a region, at least 2.
    arg1, arg2 : int or float
        Width and height of the output; or, both between 0 and 1, their ratios to the
        input's.
    fixPoolingRegions : bool
        True draws the regions once and keeps them; else every forward draws anew.

    Shapes
    ------
    input    (N, C, H, W) or (C, H, W)
    output   (N, C, arg2, arg1) or (C, arg2, arg1)
    indices  like output, int32: row * W + column of each maximum

    Region i of n starts at ``floor((i + u) a) - floor(u a)`` with
    ``a = (size - poolSize) / (n - 1)``; u is a random number for each side of each plane
    from ``nnmod.random`` (``randomSamples`` holds those of the last forward, for the width
    and then the height).  Ties go to the first element in row order; NaN wins over every
    number.  Raises ShapeError for an input without room for the regions.  Source: Torch7's
    nn.SpatialFractionalMaxPooling (Graham, "Fractional max-pooling", 2014).

    >>> SpatialFractionalMaxPooling(2, 2, 0.7, 0.7).forward(np.ones((1, 3, 10, 20))).shape
    (1, 3, 7, 14)
    """

    def __init__(self, poolSizeW, poolSizeH, arg1, arg2, fixPoolingRegions=False):
        super().__init__(fixPoolingRegions, {"poolSizeW": poolSizeW, "poolSizeH": poolSizeH},
                         {"arg1": arg1, "arg2": arg2})
        self.poolSizeW, self.poolSizeH = poolSizeW, poolSizeH
        self.arg1, self.arg2 = arg1, arg2

    def _geometry(self):
        """Size of a region, and how many regions there are (or their ratio)."""
        return (self.poolSizeH, self.poolSizeW), (self.arg2, self.arg1)

    def describe(self):
        return (f"{self.arg1}x{self.arg2}, {self.poolSizeW},{self.poolSizeH}"
                + (", fixed" if self.fixPoolingRegions else ""))


class VolumetricFractionalMaxPooling(_FractionalMaxPooling):
    """The maximum of regions of one size in a volume, whose steps are drawn to fit the output.

    Parameters
    ----------
    poolSizeT, poolSizeW, poolSizeH : int
        Size of a region along time, width and height, at least 2.
    arg1, arg2, arg3 : int or float
        Size of the output along time, width and height; or, all between 0 and 1, their
        ratios to the input's.
    fixPoolingRegions : bool
        True draws the regions once and keeps them; else every forward draws anew.

    Shapes
    ------
    input    (N, C, H, W, T) or (C, H, W, T): here, as in Torch7, **time is the last
             dimension**, not the first of the three as in every other Volumetric class
    output   (N, C, arg3, arg2, arg1) or (C, arg3, arg2, arg1)
    indices  like output, int32: (row * W + column) * T + t of each maximum

    Regions, ties, NaN and errors are as in SpatialFractionalMaxPooling; ``randomSamples``
    holds the numbers for time, width and height.  Source: Torch7's
    nn.VolumetricFractionalMaxPooling (Graham, 2014).

    >>> pool = VolumetricFractionalMaxPooling(2, 2, 2, 0.5, 0.7, 0.7)
    >>> pool.forward(np.ones((1, 3, 10, 20, 8))).shape
    (1, 3, 7, 14, 4)
    """

    _sides = ("H", "W", "T")

    def __init__(self, poolSizeT, poolSizeW, poolSizeH, arg1, arg2, arg3, fixPoolingRegions=False):
        super().__init__(fixPoolingRegions,
                         {"poolSizeT": poolSizeT, "poolSizeW": poolSizeW, "poolSizeH": poolSizeH},
                         {"arg1": arg1, "arg2": arg2, "arg3": arg3})
        self.poolSizeT, self.poolSizeW, self.poolSizeH = poolSizeT, poolSizeW, poolSizeH
        self.arg1, self.arg2, self.arg3 = arg1, arg2, arg3

    def _geometry(self):
        """Size of a region, and how many regions there are (or their ratio)."""
        return (self.poolSizeH, self.poolSizeW, self.poolSizeT), (self.arg3, self.arg2, self.arg1)

    def describe(self):
        return (f"{self.arg1}x{self.arg2}x{self.arg3}, {self.poolSizeT},{self.poolSizeW},{self.poolSizeH}"
                + (", fixed" if self.fixPoolingRegions else ""))


# -- the k greatest -------------------------------------------------------------------------------------

class TemporalDynamicKMaxPooling(Module):
    """The k greatest values of each feature in a sequence, in the order in which they stand.

    ``k = max(minK, ceil(factor * T))`` for a sequence of T frames.

    Parameters
    ----------
    minK : int
        The least k.
    factor : float
        Part of the frames to keep, 0 to 1.

    Shapes
    ------
    input    (N, T, F) or (T, F), T >= minK
    output   (N, k, F) or (k, F)
    indices  like output, int32: t * F + feature of each value

    Of equal values the first ones are kept.  NaN counts as the greatest.  Raises
    ShapeError for a sequence shorter than minK.  Source: Torch7's
    nn.TemporalDynamicKMaxPooling (Kalchbrenner et al., 2014).

    >>> TemporalDynamicKMaxPooling(2).forward(np.array([[1.0], [5], [2], [3]]))
    array([[5.],
           [3.]])
    """

    paramNames = ()
    bufferNames = ("indices", "_work")
    backwardNeeds = frozenset()

    def __init__(self, minK, factor=0):
        super().__init__()
        check.positive(minK=minK)
        check.number(low=0, high=1, factor=factor)
        self.minK = minK
        self.factor = factor
        self.indices = self._work = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = check.batched("input", input, "N", "T", "F")
        N, T, F = x.shape
        if T < self.minK:
            raise ShapeError(f"input must have at least minK = {self.minK} frames, got {input.shape}")
        if T * F >= 2**31:
            raise ShapeError(f"input must have fewer than 2**31 elements in a sequence, got {input.shape}")
        K = kernels.of(input)
        k = max(self.minK, math.ceil(self.factor * T))
        output = self.resize("output", (*input.shape[:-2], k, F), like=input)
        indices = self.resize("indices", output.shape, like=input, dtype=_INT32)
        K.k_max_pool_update_output(x, geometry.with_batch(output, 3), geometry.with_batch(indices, 3),
                                   self.resize("_work", (N, k), like=input))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        kernels.of(gradOutput).max_pool_update_grad_input(
            geometry.planes(gradOutput, 2), geometry.planes(self.indices, 2), geometry.planes(gradInput, 2))
        return gradInput

    def describe(self):
        return f"{self.minK}" + (f", factor {self.factor:g}" if self.factor else "")


_INT32, _FLOAT64 = np.dtype(np.int32), np.dtype(np.float64)
