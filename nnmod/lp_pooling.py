"""Pooling by a norm: SpatialLPPooling, FeatureLPPooling."""
from . import check, geometry, kernels
from .errors import ShapeError
from .kernels import formulas
from .module import Module

_power = kernels.elementwise(formulas.lp_power)
_root = kernels.elementwise(formulas.lp_root)
_share = kernels.elementwise(formulas.lp_share)
_slope = kernels.elementwise(formulas.lp_slope)
_square = kernels.elementwise(formulas.lp_square)
_square_root = kernels.elementwise(formulas.lp_square_root)
_share_of_square = kernels.elementwise(formulas.lp_share_of_square)
_multiply = kernels.elementwise(formulas.multiply)


class _LPPooling(Module):
    """``y = (sum of x ** p over the window) ** (1 / p)``; a subclass says where windows lie."""

    paramNames = ()
    bufferNames = ("_powers", "_sums", "_shares")

    def __init__(self, p):
        super().__init__()
        self._p = p
        self._powers = self._sums = self._shares = None

    def _pool(self, input, shape, planes):
        """The norms of *input*, of *shape*; *planes* views a tensor as planes (P, D, H, W)."""
        K = kernels.of(input)
        output = self.resize("output", shape, like=input)
        sums = self.resize("_sums", shape, like=input)
        powers = self.resize("_powers", input.shape, like=input)
        if self._p == 2:
            _square(input, powers)
        else:
            _power(input, powers, self._p)
        K.avg_pool_update_output(planes(powers), planes(sums), *self._geometry(), True, False)
        if self._p == 2:
            _square_root(sums, output)
        else:
            _root(sums, output, self._p)
        return output

    def _unpool(self, input, gradOutput, planes):
        """gradInput: dx = x ** (p - 1) times the sum of dy * y ** (1 - p) over all windows."""
        gradInput = self.resize("gradInput", input.shape, like=input)
        shares = self.resize("_shares", self.output.shape, like=input)
        if self._p == 2:
            _share_of_square(self.output, gradOutput, shares)
        else:
            _share(self.output, gradOutput, shares, self._p)
        kernels.of(gradOutput).avg_pool_update_grad_input(planes(shares), planes(gradInput),
                                                          *self._geometry(), True, False)
        if self._p == 2:
            _multiply(input, gradInput, gradInput)
        else:
            _slope(input, gradInput, gradInput, self._p)
        return gradInput


class SpatialLPPooling(_LPPooling):
    """The p-norm under a window that slides over each plane.

    ``y = (sum of x ** pnorm over the window) ** (1 / pnorm)``, without absolute values:
    where an odd power makes the sum negative, the root is NaN.

    Parameters
    ----------
    nInputPlane : int or None
        Channels of the input; None takes any number.
    pnorm : float
        The power, at least 1; 2 unless given.
    kW, kH : int
        Width and height of the window.
    dW, dH : int
        Step along the width and the height; the size of the window unless given.

    Shapes
    ------
    input   (N, nInputPlane, H, W) or (nInputPlane, H, W)
    output  (N, nInputPlane, OH, OW) or (nInputPlane, OH, OW),
            OH = floor((H - kH) / dH) + 1, OW in the same way

    The gradient of a window of zeros is 0 (Torch7's is NaN, unless pnorm is 2).  One
    module, where Torch7 makes a Sequential of four.  Raises ShapeError for another number
    of channels, and for an input smaller than the window.  Source: Torch7's
    nn.SpatialLPPooling (Sermanet et al., 2012).

    >>> import numpy as np
    >>> SpatialLPPooling(1, 2, 2, 2).forward(np.full((1, 2, 4), 3.0))
    array([[[6., 6.]]])
    """

    def __init__(self, nInputPlane, pnorm, kW, kH, dW=None, dH=None):
        pnorm = 2 if pnorm is None else pnorm
        dW, dH = kW if dW is None else dW, kH if dH is None else dH
        check.number(low=1, pnorm=pnorm)
        super().__init__(pnorm)
        if nInputPlane is not None:
            check.positive(nInputPlane=nInputPlane)
        check.positive(kW=kW, kH=kH, dW=dW, dH=dH)
        self.nInputPlane = nInputPlane
        self.pnorm = pnorm
        self.kW, self.kH = kW, kH
        self.dW, self.dH = dW, dH

    def _geometry(self):
        """Window, stride and padding."""
        return (1, self.kH, self.kW), (1, self.dH, self.dW), (0, 0, 0)

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = check.batched("input", input, "N", self.nInputPlane or "nInputPlane", "H", "W")
        size = geometry.window_output(x.shape[2:], (self.kH, self.kW), (self.dH, self.dW), (0, 0))
        return self._pool(input, (*input.shape[:-2], *size), _pictures)

    def updateGradInput(self, input, gradOutput):
        return self._unpool(*self.takeGradOutput(input, gradOutput), _pictures)

    def describe(self):
        return (f"{self.nInputPlane or 'any'} planes, p={self.pnorm:g}, {self.kW}x{self.kH}, "
                f"{self.dW},{self.dH}")


class FeatureLPPooling(_LPPooling):
    """The p-norm of neighbouring features.

    ``y[f] = (sum over i < width of x[f * stride + i] ** power) ** (1 / power)``, without
    absolute values: where an odd power makes the sum negative, the root is NaN.

    Parameters
    ----------
    width : int
        How many features are pooled, 2 to 16.
    stride : int
        Step from one group of features to the next, 1 to 4.
    power : float
        The power, at least 1.
    batch_mode : bool
        Whether the first dimension is a batch and the second holds the features; else
        the first holds the features.

    Shapes
    ------
    input   (N, F), (N, F, A) or (N, F, A, B) with batch_mode; (F,), (F, A) or (F, A, B) without
    output  the same with (F - width) // stride + 1 features

    The gradient of a group of zeros is 0.  Raises ShapeError for fewer features than
    width.  Source: Torch7's nn.FeatureLPPooling.

    >>> import numpy as np
    >>> FeatureLPPooling(2, 1, 2, False).forward(np.array([3.0, 4, 0]))
    array([5., 4.])
    """

    def __init__(self, width, stride, power, batch_mode):
        check.number(low=1, power=power)
        super().__init__(power)
        for name, value, low, high in (("width", width, 2, 16), ("stride", stride, 1, 4)):
            if not check.is_int(value) or not low <= value <= high:
                raise ValueError(f"{name} must be an int within {low}..{high}, got {value!r}")
        check.boolean(batch_mode=batch_mode)
        self.width, self.stride = width, stride
        self._alone = False  # whether nothing lies behind the features of the input
        self.power = power
        self.batch_mode = bool(batch_mode)

    def _geometry(self):
        """Window, stride and padding: features are columns, or rows where something lies behind them."""
        if self._alone:
            return (1, 1, self.width), (1, 1, self.stride), (0, 0, 0)
        return (1, self.width, 1), (1, self.stride, 1), (0, 0, 0)

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.is_tensor("input", input)
        axis = int(self.batch_mode)
        if not 1 <= input.ndim - axis <= 3:
            forms = "(N, F), (N, F, A) or (N, F, A, B)" if axis else "(F,), (F, A) or (F, A, B)"
            raise ShapeError(f"input must have shape {forms} with batch_mode={self.batch_mode}, "
                             f"got {input.shape}")
        if input.shape[axis] < self.width:
            raise ShapeError(f"input must have at least width = {self.width} features in dimension {axis}, "
                             f"got {input.shape}")
        count = (input.shape[axis] - self.width) // self.stride + 1
        self._alone = input.ndim == axis + 1
        return self._pool(input, (*input.shape[:axis], count, *input.shape[axis + 1:]), self._planes)

    def updateGradInput(self, input, gradOutput):
        return self._unpool(*self.takeGradOutput(input, gradOutput), self._planes)

    def _planes(self, tensor):
        """*tensor* as planes, a view: of one column for each feature, or one row."""
        shape = tensor.shape if self.batch_mode else (1, *tensor.shape)
        columns = 1
        for size in shape[2:]:
            columns *= size
        sides = (1, shape[1]) if self._alone else (shape[1], columns)
        return tensor.reshape(shape[0], 1, *sides)

    def describe(self):
        return f"{self.width}, {self.stride}, p={self.power:g}" + (", batch" if self.batch_mode else "")


def _pictures(tensor):
    return geometry.planes(tensor, 2)
