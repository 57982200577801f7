"""More pixels: nearest and linear upsampling, and the pixel shuffle."""
import numpy as np

from . import check, geometry, kernels
from .errors import ShapeError
from .module import Module


class _UpSampling(Module):
    """Upsampling of the last sides of a tensor; a subclass says what input it takes."""

    paramNames = ()
    bufferNames = ("_lows", "_weights", "_work")
    backwardNeeds = frozenset()

    def __init__(self):
        super().__init__()
        self._lows = self._weights = self._work = None  # for linear interpolation: see the kernels

    def _take(self, input, *forms):
        """Check that *input* has one of the shapes *forms*, and something on every side; give the form."""
        check.is_tensor("input", input)
        form = next((form for form in forms if len(form) == input.ndim), None)
        if form is None:
            raise ShapeError(f"input must have shape {' or '.join(map(check.show, forms))}, "
                             f"got {input.shape}")
        sides = form[form.index("C") + 1:]
        if 0 in input.shape[-len(sides):]:
            raise ShapeError(f"input must have at least one element along {', '.join(sides)}, "
                             f"got {input.shape}")
        return len(sides)

    def _nearest(self, input, sides, scale):
        shape = *input.shape[:-sides], *(n * scale for n in input.shape[-sides:])
        K = kernels.of(input)
        output = self.resize("output", shape, like=input)
        K.upsample_nearest_update_output(geometry.planes(input, sides), geometry.planes(output, sides))
        return output

    def _linear(self, input, sides, size):
        K = kernels.of(input)
        output = self.resize("output", (*input.shape[:-sides], *size), like=input)
        x, y = geometry.planes(input, sides), geometry.planes(output, sides)
        count = (sum(y.shape[1:]),)
        lows, weights = self.resize("_lows", count, like=x, dtype=_INT32), self.resize("_weights", count, like=x)
        K.linear_positions(lows, weights, x.shape[1:], y.shape[1:])
        K.upsample_linear_update_output(x, lows, weights, y, self._scratch(x))
        return output

    def _scratch(self, x):
        return self.resize("_work", (x.shape[0], x.shape[3]), like=x)

    def _gradient(self, input, gradOutput, sides, linear):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        K = kernels.of(gradOutput)
        dy, dx = geometry.planes(gradOutput, sides), geometry.planes(gradInput, sides)
        if linear:
            K.upsample_linear_update_grad_input(dy, self._lows, self._weights, dx, self._scratch(dx))
        else:
            K.upsample_nearest_update_grad_input(dy, dx)
        return gradInput


class SpatialUpSamplingNearest(_UpSampling):
    """Every pixel becomes a square of *scale* x *scale* equal pixels.

    Parameters
    ----------
    scale : int
        How often a pixel is repeated along each side, at least 2.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W)
    output  (N, C, scale H, scale W) or (C, scale H, scale W)

    Source: Torch7's nn.SpatialUpSamplingNearest.

    >>> SpatialUpSamplingNearest(2).forward(np.array([[[1.0, 2]]]))
    array([[[1., 1., 2., 2.],
            [1., 1., 2., 2.]]])
    """

    def __init__(self, scale):
        super().__init__()
        if not check.is_int(scale) or scale < 2:
            raise ValueError(f"scale must be an int > 1, got {scale!r}")
        self.scale = scale

    def updateOutput(self, input):
        input = self.takeInput(input)
        return self._nearest(input, self._take(input, *_PICTURES), self.scale)

    def updateGradInput(self, input, gradOutput):
        return self._gradient(input, gradOutput, 2, False)

    def describe(self):
        return f"{self.scale}"


class SpatialUpSamplingBilinear(_UpSampling):
    """A picture of another size, interpolated linearly along both sides, corner on corner.

    Parameters
    ----------
    params : int or dict
        How many times as many pixels along each side; or the size itself, as
        ``{"oheight": 20, "owidth": 30}``.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W)
    output  (N, C, OH, OW) or (C, OH, OW): params times H and W for a number, else as given

    Row i of the output lies at row ``i (H - 1) / (OH - 1)`` of the input, so that the four
    corners coincide.  Torch7 computes these positions in float32, whatever the type; here
    they are exact.  Source: Torch7's nn.SpatialUpSamplingBilinear.

    >>> SpatialUpSamplingBilinear({"oheight": 1, "owidth": 5}).forward(np.array([[[1.0, 2, 3]]]))
    array([[[1. , 1.5, 2. , 2.5, 3. ]]])
    """

    def __init__(self, params):
        super().__init__()
        self.scale_factor = params if check.is_int(params) else None
        self.oheight = self.owidth = None
        if self.scale_factor is not None:
            check.positive(params=params)
        else:
            self.oheight, self.owidth = _sizes(params, ("oheight", "owidth"))

    def updateOutput(self, input):
        input = self.takeInput(input)
        sides = self._take(input, *_PICTURES)
        size = self.oheight, self.owidth
        if self.scale_factor is not None:
            size = tuple(n * self.scale_factor for n in input.shape[-2:])
        return self._linear(input, sides, size)

    def updateGradInput(self, input, gradOutput):
        return self._gradient(input, gradOutput, 2, True)

    def describe(self):
        return f"{self.scale_factor}" if self.scale_factor else f"{self.oheight}, {self.owidth}"


class UpSampling(_UpSampling):
    """A picture or a volume with more elements along every side.

    Parameters
    ----------
    params : int or dict
        How many times as many elements along each side; with a linear mode also the size
        itself, as ``{"odepth": 5, "oheight": 20, "owidth": 30}`` (odepth for volumes).
    mode : str
        ``"nearest"`` repeats elements; ``"linear"`` (or ``"bilinear"``, ``"trilinear"``)
        interpolates along each side, corner on corner.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W), or a volume (N, C, T, H, W): a volume always has its
            batch dimension, since four dimensions mean a batch of pictures
    output  the same with params times as many elements along each side, or as given

    Source: Torch7's nn.UpSampling.

    >>> UpSampling(2).forward(np.zeros((1, 3, 4, 5, 6), np.float32)).shape
    (1, 3, 8, 10, 12)
    >>> UpSampling({"oheight": 7, "owidth": 9}, "linear")
    UpSampling(7x9, linear)
    """

    def __init__(self, params, mode="nearest"):
        super().__init__()
        if mode not in ("nearest", "linear", "bilinear", "trilinear"):
            raise ValueError(f"mode must be 'nearest', 'linear', 'bilinear' or 'trilinear', got {mode!r}")
        self.mode = "nearest" if mode == "nearest" else "linear"
        self.scale_factor = params if check.is_int(params) else None
        self.odepth = self.oheight = self.owidth = None
        if self.scale_factor is not None or self.mode == "nearest":
            check.positive(params=params)
        else:
            self.odepth, self.oheight, self.owidth = _sizes(params, ("oheight", "owidth"), ("odepth",))

    def updateOutput(self, input):
        input = self.takeInput(input)
        sides = self._take(input, *_PICTURES, _VOLUME)
        if self.mode == "nearest":
            return self._nearest(input, sides, self.scale_factor)
        if self.scale_factor is not None:
            size = tuple(n * self.scale_factor for n in input.shape[-sides:])
        elif sides == 3 and self.odepth is None:
            raise ShapeError(f"input must be pictures, {check.show(_PICTURES[0])}: for volumes params must "
                             f"say odepth too; got {input.shape}")
        else:
            size = (self.odepth, self.oheight, self.owidth)[-sides:]
        return self._linear(input, sides, size)

    def updateGradInput(self, input, gradOutput):
        return self._gradient(input, gradOutput, 3 if input.ndim == 5 else 2, self.mode == "linear")

    def describe(self):
        sizes = [str(n) for n in (self.odepth, self.oheight, self.owidth) if n is not None]
        text = f"{self.scale_factor}x" if self.scale_factor else "x".join(sizes)
        return f"{text}, {self.mode}"


class PixelShuffle(Module):
    """Channels become pixels: r * r channels of H x W make one picture of r H x r W.

    ``output[n, c, r h + i, r w + j] = input[n, (c r + i) r + j, h, w]``

    Parameters
    ----------
    upscaleFactor : int
        The factor r.

    Shapes
    ------
    input   (N, C r r, H, W) or (C r r, H, W)
    output  (N, C, r H, r W) or (C, r H, r W)

    Raises ShapeError where r * r does not divide the channels.  Source: Torch7's
    nn.PixelShuffle (Shi et al., 2016).

    >>> PixelShuffle(2).forward(np.arange(4.0).reshape(4, 1, 1))
    array([[[0., 1.],
            [2., 3.]]])
    """

    paramNames = ()
    backwardNeeds = frozenset()

    def __init__(self, upscaleFactor):
        super().__init__()
        check.positive(upscaleFactor=upscaleFactor)
        self.upscaleFactor = upscaleFactor

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = check.batched("input", input, "N", "C", "H", "W")
        r = self.upscaleFactor
        C, H, W = x.shape[1:]
        if C % (r * r):
            raise ShapeError(f"input must have a multiple of upscaleFactor ** 2 = {r * r} channels, "
                             f"got {input.shape}")
        K = kernels.of(input)
        output = self.resize("output", (*input.shape[:-3], C // (r * r), r * H, r * W), like=input)
        K.pixel_shuffle_update_output(x, geometry.with_batch(output, 4))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        kernels.of(gradOutput).pixel_shuffle_update_grad_input(
            geometry.with_batch(gradOutput, 4), geometry.with_batch(gradInput, 4))
        return gradInput

    def describe(self):
        return f"{self.upscaleFactor}"


def _sizes(params, names, optional=()):
    """The sizes that a dict gives, in the order *optional*, *names*; None for one that it leaves out."""
    if not isinstance(params, dict) or not set(names) <= set(params) <= {*names, *optional}:
        more = f" (and {', '.join(optional)} for volumes)" if optional else ""
        raise ValueError(f"params must be an int, or a dict with {' and '.join(names)}{more}, got {params!r}")
    check.positive(**{name: size for name, size in params.items()})
    return [params.get(name) for name in (*optional, *names)]


_PICTURES = ("N", "C", "H", "W"), ("C", "H", "W")
_VOLUME = ("N", "C", "T", "H", "W")
_INT32 = np.dtype(np.int32)
