"""Elementwise nonlinearities: ReLU, LeakyReLU, ELU, Tanh, Sigmoid, SoftPlus, HardTanh."""
from . import check, kernels
from .kernels import formulas
from .module import Module


class Elementwise(Module):
    """The base of every module that maps each element by one formula.

    A subclass sets two kernels from :func:`nnmod.kernels.elementwise`, ``function``
    and ``derivative``, and says in ``backwardNeeds`` what the derivative reads: the
    input, ``derivative(x, dy, dx, ...)``, or the output, ``derivative(y, dy, dx, ...)``.
    ``numbers()`` gives the numbers that both formulas take after their tensors.

    Shapes
    ------
    input   any
    output  the same as input

    >>> import numpy as np
    >>> class Cube(Elementwise):
    ...     function = kernels.elementwise(lambda x: x * x * x)
    ...     derivative = kernels.elementwise(lambda x, dy: type(x)(3) * x * x * dy)
    ...     backwardNeeds = frozenset({"input"})
    >>> Cube().forward(np.array([1, 2], np.float32))
    array([1., 8.], dtype=float32)
    """

    paramNames = ()
    function = derivative = None

    def numbers(self):
        """The numbers that the formulas take after their tensors."""
        return ()

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        if self.inplace:
            self.output = input
        else:
            self.resize("output", input.shape, like=input)
        self.function(input, self.output, *self.numbers())
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if self.inplace:
            self.gradInput = gradOutput
        else:
            self.resize("gradInput", input.shape, like=input)
        source = self.output if "output" in self.backwardNeeds else input
        self.derivative(source, gradOutput, self.gradInput, *self.numbers())
        return self.gradInput


class _InPlace(Elementwise):
    """An elementwise module that can overwrite its input."""

    def __init__(self, inplace=False):
        super().__init__()
        check.boolean(inplace=inplace)
        self.inplace = inplace

    def _suffix(self):
        return ", in place" if self.inplace else ""


class ReLU(_InPlace):
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
    """

    function = kernels.elementwise(formulas.relu)
    derivative = kernels.elementwise(formulas.relu_grad)
    backwardNeeds = frozenset({"output"})

    def describe(self):
        return self._suffix()[2:]


class LeakyReLU(_InPlace):
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


class ELU(_InPlace):
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


class Tanh(Elementwise):
    """Hyperbolic tangent.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.Tanh.
    """

    function = kernels.elementwise(formulas.tanh)
    derivative = kernels.elementwise(formulas.tanh_grad)
    backwardNeeds = frozenset({"output"})


class Sigmoid(Elementwise):
    """``y = 1 / (1 + exp(-x))``.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.Sigmoid.
    """

    function = kernels.elementwise(formulas.sigmoid)
    derivative = kernels.elementwise(formulas.sigmoid_grad)
    backwardNeeds = frozenset({"output"})


class SoftPlus(Elementwise):
    """``y = log(1 + exp(beta * x)) / beta``, a smooth ReLU.

    Parameters
    ----------
    beta : float
        Sharpness, > 0.  Where ``beta * x > 20`` the output is x itself.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.SoftPlus.
    """

    function = kernels.elementwise(formulas.soft_plus)
    derivative = kernels.elementwise(formulas.soft_plus_grad)
    backwardNeeds = frozenset({"output"})

    def __init__(self, beta=1.0):
        super().__init__()
        check.number(beta=beta)
        if beta <= 0:
            raise ValueError(f"beta must be > 0, got {beta}")
        self.beta = beta

    def numbers(self):
        return self.beta, 20.0

    def describe(self):
        return f"{self.beta:g}"


class HardTanh(_InPlace):
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
