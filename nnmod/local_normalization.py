"""Normalisation by the neighbourhood.

SpatialCrossMapLRN, SpatialSubtractiveNormalization, SpatialDivisiveNormalization,
SpatialContrastiveNormalization.
"""
import math

import numpy as np

from . import check, geometry, kernels, tensor
from .container import Sequential
from .module import Module


class SpatialCrossMapLRN(Module):
    """``y = x / (k + alpha / size * sum(x'**2))**beta``, the sum over *size* neighbouring channels.

    Parameters
    ----------
    size : int
        Channels in a neighbourhood, odd; those outside count as 0.
    alpha, beta, k : float
        As in the formula.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W)
    output  the same as input

    Raises ShapeError for another number of dimensions.  Source: Torch7's
    nn.SpatialCrossMapLRN (Krizhevsky, Sutskever and Hinton, 2012).

    >>> x = np.array([1, 2, 0], np.float32).reshape(3, 1, 1)
    >>> SpatialCrossMapLRN(3, alpha=3, beta=1).forward(x).ravel().round(4)  # 1 / 6, 2 / 6, 0
    array([0.1667, 0.3333, 0.    ], dtype=float32)
    """

    paramNames = ()
    bufferNames = ("scale",)

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0):
        super().__init__()
        check.positive(size=size)
        if size % 2 == 0:
            raise ValueError(f"size must be odd, got {size}")
        check.number(alpha=alpha, beta=beta, k=k)
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.scale = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        x = _planes(check.batched("input", input, "N", "C", "H", "W"))
        K = kernels.of(input)
        output = self.resize("output", input.shape, like=input)
        scale = self.resize("scale", input.shape, like=input)
        K.cross_map_lrn_update_output(x, output.reshape(x.shape), scale.reshape(x.shape),
                                      self.size, self.alpha, self.beta, self.k)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        x = _planes(geometry.with_batch(input, 4))
        K.cross_map_lrn_update_grad_input(
            *(t.reshape(x.shape) for t in (input, self.output, gradOutput, self.scale, gradInput)),
            self.size, self.alpha, self.beta)
        return gradInput

    def describe(self):
        return f"{self.size}, alpha {self.alpha:g}, beta {self.beta:g}, k {self.k:g}"


class _Neighbourhood(Module):
    """A weighted mean over the pixels around, and over all channels.

    Near the border the weights that fall inside are scaled up to the whole sum.
    """

    paramNames = ()
    stateNames = ("kernel",)
    backwardNeeds = frozenset({"input"})

    def __init__(self, nInputPlane=1, kernel=None):
        super().__init__()
        check.positive(nInputPlane=nInputPlane)
        if kernel is None:
            kernel = np.ones((9, 9))
        check.is_tensor("kernel", kernel)
        kernel = tensor.host(kernel)
        if kernel.ndim not in (1, 2) or not all(n % 2 for n in kernel.shape):
            raise ValueError(f"kernel must have one or two dimensions of odd size, got shape {kernel.shape}")
        if kernel.ndim == 1:
            kernel = np.outer(kernel, kernel)  # one pass along the rows, one along the columns
        if not kernel.sum() > 0:
            raise ValueError(f"the sum of kernel must be > 0, got {kernel.sum():g}")
        self.nInputPlane = nInputPlane
        self.kernel = kernel.astype(tensor.dtype_of(self._type))
        for name in self.bufferNames:
            setattr(self, name, None)

    def _take(self, input):
        """Check *input*; returns the kernels, the input as (N, C, S), N, H and W."""
        check.floating("input", input)
        x = check.batched("input", input, "N", self.nInputPlane, "H", "W")
        check.type_is("input", input, self._type)
        N, _, H, W = x.shape
        return kernels.of(input, self.kernel), _planes(x), N, H, W

    def _border(self, K, like, H, W, unit):
        """*unit* over the sum of the weights that fall inside, for every pixel."""
        K.kernel_share(self.kernel, self.resize("_share", (H, W), like=like), unit)
        return self._share

    def describe(self):
        return f"{self.nInputPlane}, {self.kernel.shape[0]}x{self.kernel.shape[1]}"


class SpatialSubtractiveNormalization(_Neighbourhood):
    """Subtract the weighted mean over the neighbourhood of each pixel, in all channels.

    Parameters
    ----------
    nInputPlane : int
        Channels of the input.
    kernel : tensor or None
        Weights of the neighbourhood, (kH, kW), or (k,) for the same along rows and
        columns; odd sizes.  None is 9x9 ones.

    Shapes
    ------
    input   (N, nInputPlane, H, W) or (nInputPlane, H, W)
    output  the same as input

    Pixels outside the image do not count: near the border the remaining weights are scaled
    up.  Raises ShapeError for another number of channels.  Source: Torch7's
    nn.SpatialSubtractiveNormalization (Jarrett, Kavukcuoglu, Ranzato and LeCun, 2009).

    >>> flat = np.full((1, 1, 5), 7, np.float32)
    >>> SpatialSubtractiveNormalization(1, np.ones(3)).forward(flat)
    array([[[0., 0., 0., 0., 0.]]], dtype=float32)
    """

    bufferNames = ("_sums", "_mean", "_share")

    def updateOutput(self, input):
        input = self.takeInput(input)
        K, x, N, H, W = self._take(input)
        output = self.resize("output", input.shape, like=input)
        sums = self.resize("_sums", (N, H, W), like=input)
        mean = self.resize("_mean", (N, H, W), like=input)
        K.sum_channels(x, sums.reshape(N, H * W), False)
        K.filter_planes(sums, self.kernel, self._border(K, input, H, W, 1 / self.nInputPlane), mean)
        K.subtract_planes(x, mean.reshape(N, H * W), output.reshape(x.shape))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K, x, N, H, W = self._take(gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        sums, mean = self._sums, self._mean  # free by now
        K.sum_channels(x, sums.reshape(N, H * W), False)
        K.filter_planes_adjoint(sums, self.kernel, self._share, mean)
        K.subtract_planes(x, mean.reshape(N, H * W), gradInput.reshape(x.shape))
        return gradInput


class SpatialDivisiveNormalization(_Neighbourhood):
    """Divide by the weighted deviation (root mean square) over the neighbourhood of each pixel.

    Parameters
    ----------
    nInputPlane, kernel
        As in SpatialSubtractiveNormalization.
    threshold : float
        Deviations up to this one are replaced ...
    thresval : float or None
        ... by this one; None is the threshold itself.

    Shapes
    ------
    input   (N, nInputPlane, H, W) or (nInputPlane, H, W)
    output  the same as input

    Raises ShapeError for another number of channels.  Source: Torch7's
    nn.SpatialDivisiveNormalization.

    >>> x = np.array([[[2, -2, 2, -2]]], np.float32)
    >>> SpatialDivisiveNormalization(1, np.ones((1, 1))).forward(x)
    array([[[ 1., -1.,  1., -1.]]], dtype=float32)
    """

    bufferNames = ("_sums", "_squares", "_deviation", "_share", "_slope")

    def __init__(self, nInputPlane=1, kernel=None, threshold=1e-4, thresval=None):
        super().__init__(nInputPlane, kernel)
        thresval = threshold if thresval is None else thresval
        check.number(threshold=threshold, thresval=thresval)
        self.threshold = threshold
        self.thresval = thresval

    def updateOutput(self, input):
        input = self.takeInput(input)
        K, x, N, H, W = self._take(input)
        output = self.resize("output", input.shape, like=input)
        sums, squares, deviation = (self.resize(name, (N, H, W), like=input)
                                    for name in ("_sums", "_squares", "_deviation"))
        K.sum_channels(x, sums.reshape(N, H * W), True)
        K.filter_planes(sums, self.kernel, None, squares)
        # The root of the mean over the whole kernel, scaled up where a part of it lies outside.
        unit = math.sqrt(tensor.host(self.kernel).sum(dtype=np.float64) / self.nInputPlane)
        K.local_deviation(squares, self._border(K, input, H, W, unit), deviation, self.threshold, self.thresval)
        K.divide_planes(x, deviation.reshape(N, H * W), output.reshape(x.shape))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K, x, N, H, W = self._take(input)
        gradInput = self.resize("gradInput", input.shape, like=input)
        slope = self.resize("_slope", (N, H, W), like=input)
        flat, dy = (N, H * W), gradOutput.reshape(x.shape)
        K.local_deviation_grad(x, dy, self._squares.reshape(flat), self._share.reshape(-1),
                               self._deviation.reshape(flat), slope.reshape(flat), self.threshold)
        K.filter_planes_adjoint(slope, self.kernel, None, self._sums)
        K.divide_planes_grad(x, dy, self._deviation.reshape(flat), self._sums.reshape(flat),
                             gradInput.reshape(x.shape))
        return gradInput


class SpatialContrastiveNormalization(Sequential):
    """Subtractive, then divisive normalisation over the neighbourhood of each pixel.

    Parameters
    ----------
    nInputPlane, kernel, threshold, thresval
        As in SpatialDivisiveNormalization.

    Shapes
    ------
    input   (N, nInputPlane, H, W) or (nInputPlane, H, W)
    output  the same as input

    Source: Torch7's nn.SpatialContrastiveNormalization.

    >>> norm = SpatialContrastiveNormalization(1, np.ones(3)).double()
    >>> x = np.arange(25.0).reshape(1, 5, 5)  # brightness and contrast are taken out:
    >>> bool(np.allclose(norm.forward(x).copy(), norm.forward(100 * x + 3)))
    True
    """

    def __init__(self, nInputPlane=1, kernel=None, threshold=1e-4, thresval=None):
        super().__init__(SpatialSubtractiveNormalization(nInputPlane, kernel),
                         SpatialDivisiveNormalization(nInputPlane, kernel, threshold, thresval))


def _planes(x):
    """(N, C, H, W) as (N, C, H * W): a view."""
    N, C, H, W = x.shape
    return x.reshape(N, C, H * W)
