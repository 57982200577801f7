"""Rectifiers and other activations made of straight pieces, and ELU.

Threshold, ReLU, ReLU6, LeakyReLU, PReLU, RReLU, CReLU, ELU, HardTanh, Clamp, HardShrink,
SoftShrink.
"""
from . import check, geometry, init, kernels, random, tensor
from .container import Sequential
from .elementwise import Elementwise, InPlace
from .errors import ShapeError
from .kernels import formulas
from .module import Module
from .pointwise import MulConstant
from .reshape import Identity
from .table import ConcatTable, JoinTable


class Threshold(InPlace):
    """``y = x`` for x > th, else v.

    Parameters
    ----------
    th : float
        The threshold.
    v : float
        What stands in the place of smaller values.  In place it must be <= th, so that the
        output tells what was replaced.
    ip : bool
        Overwrite the input, and gradOutput in backward.

    Shapes
    ------
    input   any
    output  the same as input

    NaN stays NaN.  The derivative at th is 0.  Source: Torch7's nn.Threshold.

    >>> import numpy as np
    >>> Threshold(0.5, -1).forward(np.array([0, 0.5, 2], np.float32))
    array([-1., -1.,  2.], dtype=float32)
    """

    function = kernels.elementwise(formulas.threshold)
    derivative = kernels.elementwise(formulas.threshold_grad)

    def __init__(self, th=1e-6, v=0.0, ip=False):
        super().__init__(ip)
        check.number(th=th, v=v)
        if ip and v > th:
            raise ValueError(f"v must be <= th in place, where the input is lost, got v {v} and th {th}")
        self.threshold = th
        self.val = v
        # In place the input is gone; the output is above th exactly where the input was.
        self.backwardNeeds = frozenset({"output" if ip else "input"})

    def numbers(self):
        return self.threshold, self.val

    def updateGradInput(self, input, gradOutput):
        return self._derive(input, gradOutput, self.threshold)

    def describe(self):
        return f"{self.threshold:g}, {self.val:g}" + self._suffix()


class ReLU(InPlace):
    """Rectified linear unit: ``y = max(x, 0)``.

    Parameters
    ----------
    inplace : bool
        Overwrite the input, and gradOutput in backward.

    Shapes
    ------
    input   any
    output  the same as input

    NaN stays NaN.  The derivative at 0 is 0.  Source: Torch7's nn.ReLU.

    >>> import numpy as np
    >>> relu = ReLU()
    >>> relu.forward(np.array([-2, 0, 3], np.float32))
    array([0., 0., 3.], dtype=float32)
    >>> relu.backward(np.array([-2, 0, 3], np.float32), np.ones(3, np.float32))
    array([0., 0., 1.], dtype=float32)
    """

    function = kernels.elementwise(formulas.relu)
    derivative = kernels.elementwise(formulas.relu_grad)
    backwardNeeds = frozenset({"output"})

    def describe(self):
        return self._suffix()[2:]


class ReLU6(InPlace):
    """``y = min(max(x, 0), 6)``.

    Parameters
    ----------
    inplace : bool
        Overwrite the input, and gradOutput in backward.

    Shapes
    ------
    input   any
    output  the same as input

    The derivative at 0 and 6 is 0.  Source: Torch7's nn.ReLU6 (Krizhevsky, 2010).

    >>> import numpy as np
    >>> ReLU6().forward(np.array([-2, 3, 8], np.float32))
    array([0., 3., 6.], dtype=float32)
    """

    function = kernels.elementwise(formulas.hard_tanh)
    derivative = kernels.elementwise(formulas.hard_tanh_grad)
    # The output is at a limit exactly where the derivative is 0.
    backwardNeeds = frozenset({"output"})

    def numbers(self):
        return 0.0, 6.0

    def describe(self):
        return self._suffix()[2:]


class LeakyReLU(InPlace):
    """``y = x`` for x > 0, else ``negval * x``.

    Parameters
    ----------
    negval : float
        The slope below 0.  In place it must be >= 0, so that the sign survives.
    inplace : bool
        Overwrite the input, and gradOutput in backward.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.LeakyReLU (Maas, Hannun and Ng, 2013).

    >>> import numpy as np
    >>> LeakyReLU(0.25).forward(np.array([-2, 0, 3], np.float32))
    array([-0.5,  0. ,  3. ], dtype=float32)
    """

    function = kernels.elementwise(formulas.leaky_relu)
    derivative = kernels.elementwise(formulas.leaky_relu_grad)

    def __init__(self, negval=0.01, inplace=False):
        super().__init__(inplace)
        check.number(negval=negval)
        if inplace and negval < 0:
            raise ValueError(f"negval must be >= 0 in place, where the sign of the input is lost, got {negval}")
        self.negval = negval
        # In place the input is gone, and the output has its sign.
        self.backwardNeeds = frozenset({"output" if inplace else "input"})

    def numbers(self):
        return (self.negval,)

    def describe(self):
        return f"{self.negval:g}" + self._suffix()


class PReLU(Module):
    """``y = x`` for x > 0, else ``weight * x``, with a learned slope.

    Parameters
    ----------
    nOutputPlane : int
        Number of channels, each with a slope of its own; 0 is one slope for all.

    Shapes
    ------
    input   any for one slope; else (N, C, ...) or (C,), with C = nOutputPlane
    output  the same as input
    weight  (max(nOutputPlane, 1),), gradWeight the same

    An input of three dimensions is (N, C, L), as in Torch7.  Raises ShapeError for another
    number of channels.  Source: Torch7's nn.PReLU (He, Zhang, Ren and Sun, 2015).

    >>> import numpy as np
    >>> prelu = PReLU(2)
    >>> prelu.weight
    array([0.25, 0.25], dtype=float32)
    >>> prelu.forward(np.array([[-1, -4], [1, 4]], np.float32))
    array([[-0.25, -1.  ],
           [ 1.  ,  4.  ]], dtype=float32)
    """

    paramNames = ("weight",)
    backwardNeeds = frozenset({"input"})
    accReadsGradInput = False

    def __init__(self, nOutputPlane=0):
        super().__init__()
        check.not_negative(nOutputPlane=nOutputPlane)
        self.nOutputPlane = nOutputPlane
        like, shape = self._type, (max(nOutputPlane, 1),)
        self.weight = tensor.empty(shape, like)
        self.gradWeight = tensor.zeros(shape, like)
        self.reset()

    def reset(self, stdv=None):
        """Set every slope to 0.25; *stdv* has no say here, as in Torch7."""
        init.constant(self.weight, 0.25)
        return self

    def updateOutput(self, input):
        input = self.takeInput(input)
        shape = self._rows(input)
        check.parameters(self, weight=(max(self.nOutputPlane, 1),))
        K = kernels.of(input, self.weight)
        output = self.resize("output", input.shape, like=input)
        K.prelu_update_output(input.reshape(shape), self.weight, output.reshape(shape))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        shape = self._rows(input)
        K = kernels.of(input, gradOutput, self.weight)
        gradInput = self.resize("gradInput", input.shape, like=input)
        K.prelu_update_grad_input(input.reshape(shape), gradOutput.reshape(shape), self.weight,
                                  gradInput.reshape(shape))
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        shape = self._rows(input)
        K = kernels.of(input, gradOutput, self.gradWeight)
        K.prelu_acc_grad_parameters(input.reshape(shape), gradOutput.reshape(shape), self.gradWeight, scale)

    def _rows(self, input):
        """The shape (N, C, S) that the kernels see."""
        check.floating("input", input)
        C = self.nOutputPlane
        if not C:
            return 1, 1, input.size
        if input.ndim == 0:
            raise ShapeError(f"input must have {C} channels, got a tensor of no dimensions")
        shape = input.shape if input.ndim > 1 else (1, *input.shape)
        if shape[1] != C:
            raise ShapeError(f"input must have shape (N, {C}, ...) or ({C},), got {input.shape}")
        return geometry.around(shape, 1)

    def describe(self):
        return f"{self.nOutputPlane}" if self.nOutputPlane else ""


class RReLU(InPlace):
    """``y = x`` for x > 0, else ``a * x`` with a random slope a.

    In training a is drawn from U(l, u) for each element; in evaluation it is (l + u) / 2.

    Parameters
    ----------
    l, u : float
        The limits of the slope, l <= u.  In place l must be >= 0, so that signs survive.
    inplace : bool
        Overwrite the input, and gradOutput in backward.

    Shapes
    ------
    input   any
    output  the same as input

    The slopes come from ``nnmod.random``.  Source: Torch7's nn.RReLU (Xu, Wang, Chen and
    Li, 2015).

    >>> import numpy as np
    >>> RReLU(0.25, 0.75).evaluate().forward(np.array([-2, 4], np.float32))
    array([-1.,  4.], dtype=float32)
    >>> y = RReLU(0.25, 0.75).forward(np.full(1000, -1, np.float32))
    >>> bool(-0.75 <= y.min() < y.max() <= -0.25)
    True
    """

    bufferNames = ("noise", "_noisy")
    _function = staticmethod(kernels.elementwise(formulas.random_leaky_relu))
    _slope = staticmethod(kernels.elementwise(formulas.random_leaky_relu_slope))
    _multiply = staticmethod(kernels.elementwise(formulas.multiply))
    function = kernels.elementwise(formulas.leaky_relu)
    derivative = kernels.elementwise(formulas.leaky_relu_grad)

    def __init__(self, l=1 / 8, u=1 / 3, inplace=False):
        super().__init__(inplace)
        check.number(l=l, u=u)
        if l > u:
            raise ValueError(f"l must be <= u, got {l} and {u}")
        if inplace and l < 0:
            raise ValueError(f"l must be >= 0 in place, where the sign of the input is lost, got {l}")
        self.lower = l
        self.upper = u
        self.noise = self._noisy = None
        self.backwardNeeds = frozenset({"output" if inplace else "input"})

    def numbers(self):
        return ((self.lower + self.upper) / 2,)

    def updateOutput(self, input):
        # What backward must know: whether the last forward drew slopes.
        self._noisy = self.train
        if not self.train:
            return super().updateOutput(input)
        input = self.takeInput(input)
        check.floating("input", input)
        K = kernels.of(input)
        noise = self.resize("noise", input.shape, like=input)
        K.uniform_noise(noise, *random.take(noise.size), self.lower, self.upper)
        self._slope(input, noise, noise)
        if self.inplace:
            self.output = input
        else:
            self.resize("output", input.shape, like=input)
        self._multiply(input, noise, self.output)
        return self.output

    def updateGradInput(self, input, gradOutput):
        if not self._noisy:
            return super().updateGradInput(input, gradOutput)
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if self.inplace:
            self.gradInput = gradOutput
        else:
            self.resize("gradInput", input.shape, like=input)
        self._multiply(gradOutput, self.noise, self.gradInput)
        return self.gradInput

    def describe(self):
        return f"{self.lower:g}, {self.upper:g}" + self._suffix()


class CReLU(Sequential):
    """``max(x, 0)`` and ``max(-x, 0)``, joined along the channels.

    Parameters
    ----------
    nInputDims : int
        Dimensions of one sample, so that an input with one more is a batch.
    inplace : bool
        Rectify the joined tensor in place.

    Shapes
    ------
    input   (N, C, ...) or (C, ...)
    output  (N, 2C, ...) or (2C, ...)

    Source: Torch7's nn.CReLU (Shang, Sohn, Almeida and Lee, 2016).

    >>> import numpy as np
    >>> CReLU(1).forward(np.array([1, -2], np.float32))
    array([1., 0., 0., 2.], dtype=float32)
    """

    def __init__(self, nInputDims, inplace=False):
        check.positive(nInputDims=nInputDims)
        check.boolean(inplace=inplace)
        super().__init__(ConcatTable(Identity(), MulConstant(-1)), JoinTable(0, nInputDims), ReLU(inplace))
        self.nInputDims = nInputDims


class ELU(InPlace):
    """``y = x`` for x > 0, else ``alpha * (exp(x) - 1)``.

    Parameters
    ----------
    alpha : float
        Minus the limit for very negative inputs.
    inplace : bool
        Overwrite the input, and gradOutput in backward.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.ELU (Clevert, Unterthiner and Hochreiter, 2016).

    >>> import numpy as np
    >>> ELU().forward(np.array([-100, 0, 2], np.float32))
    array([-1.,  0.,  2.], dtype=float32)
    """

    function = kernels.elementwise(formulas.elu)
    derivative = kernels.elementwise(formulas.elu_grad)
    backwardNeeds = frozenset({"output"})

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__(inplace)
        check.number(low=0, alpha=alpha)
        self.alpha = alpha

    def numbers(self):
        return (self.alpha,)

    def describe(self):
        return f"{self.alpha:g}" + self._suffix()


class HardTanh(InPlace):
    """Clip to [min_value, max_value].

    Parameters
    ----------
    min_value, max_value : float
        The limits, min_value < max_value.
    inplace : bool
        Overwrite the input, and gradOutput in backward.

    Shapes
    ------
    input   any
    output  the same as input

    The derivative at the limits is 0.  Source: Torch7's nn.HardTanh.

    >>> import numpy as np
    >>> HardTanh().forward(np.array([-3, 0.5, 3], np.float32))
    array([-1. ,  0.5,  1. ], dtype=float32)
    """

    function = kernels.elementwise(formulas.hard_tanh)
    derivative = kernels.elementwise(formulas.hard_tanh_grad)

    def __init__(self, min_value=-1.0, max_value=1.0, inplace=False):
        super().__init__(inplace)
        check.number(min_value=min_value, max_value=max_value)
        if min_value >= max_value:
            raise ValueError(f"min_value must be < max_value, got {min_value} and {max_value}")
        self.min_value = min_value
        self.max_value = max_value
        # In place the input is gone; the output is at a limit exactly where it was clipped.
        self.backwardNeeds = frozenset({"output" if inplace else "input"})

    def numbers(self):
        return self.min_value, self.max_value

    def describe(self):
        return f"{self.min_value:g}..{self.max_value:g}" + self._suffix()


class Clamp(HardTanh):
    """Clip to [min_value, max_value]: HardTanh with limits that must be given.

    Parameters
    ----------
    min_value, max_value : float
        The limits, min_value < max_value.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.Clamp.

    >>> import numpy as np
    >>> Clamp(0, 255).forward(np.array([-3, 100, 300], np.float32))
    array([  0., 100., 255.], dtype=float32)
    """

    def __init__(self, min_value, max_value):
        super().__init__(min_value, max_value)


class HardShrink(Elementwise):
    """``y = x`` where ``|x| > lam``, else 0.

    Parameters
    ----------
    lam : float
        Half the width of the gap.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.HardShrink.

    >>> import numpy as np
    >>> HardShrink().forward(np.array([-2, -0.25, 0.25, 2], np.float32))
    array([-2.,  0.,  0.,  2.], dtype=float32)
    """

    function = kernels.elementwise(formulas.hard_shrink)
    derivative = kernels.elementwise(formulas.hard_shrink_grad)
    backwardNeeds = frozenset({"input"})

    def __init__(self, lam=0.5):
        super().__init__()
        check.number(low=0, lam=lam)
        self.lam = lam

    def numbers(self):
        return (self.lam,)

    def describe(self):
        return f"{self.lam:g}"


class SoftShrink(HardShrink):
    """Shrink towards 0 by lam: ``x - lam`` above lam, ``x + lam`` below -lam, else 0.

    Parameters
    ----------
    lam : float
        Half the width of the gap.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.SoftShrink.

    >>> import numpy as np
    >>> SoftShrink().forward(np.array([-2, -0.25, 0.25, 2], np.float32))
    array([-1.5,  0. ,  0. ,  1.5], dtype=float32)
    """

    function = kernels.elementwise(formulas.soft_shrink)
