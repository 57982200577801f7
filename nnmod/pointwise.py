"""Plain functions of each element, and constants.

Abs, Power, Square, Sqrt, Exp, Log, AddConstant, MulConstant, Constant.
"""
from . import check, kernels, tensor
from .elementwise import Elementwise, InPlace
from .errors import ShapeError
from .kernels import formulas
from .module import Module


class Abs(Elementwise):
    """``y = |x|``.

    Shapes
    ------
    input   any
    output  the same as input

    The derivative at 0 is that of x > 0.  Source: Torch7's nn.Abs.

    >>> import numpy as np
    >>> Abs().forward(np.array([-2, 3], np.float32))
    array([2., 3.], dtype=float32)
    """

    function = kernels.elementwise(formulas.absolute)
    derivative = kernels.elementwise(formulas.absolute_grad)
    backwardNeeds = frozenset({"input"})


class Power(Elementwise):
    """``y = x ** p``.

    Parameters
    ----------
    p : float
        The exponent.

    Shapes
    ------
    input   any
    output  the same as input

    NaN where x is negative and p no whole number.  Source: Torch7's nn.Power.

    >>> import numpy as np
    >>> Power(3).forward(np.array([-2, 3], np.float32))
    array([-8., 27.], dtype=float32)
    """

    def __init__(self, p):
        super().__init__()
        check.number(p=p)
        self.pow = p

    # The usual exponents have formulas of their own.
    function = property(lambda self: _POWERS.get(self.pow, _ANY_POWER)[0])
    derivative = property(lambda self: _POWERS.get(self.pow, _ANY_POWER)[1])
    backwardNeeds = property(lambda self: _POWERS.get(self.pow, _ANY_POWER)[2])

    def numbers(self):
        return () if self.pow in _POWERS else (self.pow,)

    def updateGradInput(self, input, gradOutput):
        numbers = () if self.pow in _POWERS else (self.pow, self.pow - 1)
        return self._derive(input, gradOutput, *numbers)

    def describe(self):
        return f"{self.pow:g}"


_ANY_POWER = (kernels.elementwise(formulas.power_of), kernels.elementwise(formulas.power_grad),
              frozenset({"input"}))
_POWERS = {
    2: (kernels.elementwise(formulas.square), kernels.elementwise(formulas.square_grad), frozenset({"input"})),
    3: (kernels.elementwise(formulas.cube), kernels.elementwise(formulas.cube_grad), frozenset({"input"})),
    -1: (kernels.elementwise(formulas.reciprocal), kernels.elementwise(formulas.reciprocal_grad),
         frozenset({"output"})),
}


class Square(Elementwise):
    """``y = x * x``.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.Square.

    >>> import numpy as np
    >>> square, x = Square(), np.array([-2, 3], np.float32)
    >>> square.forward(x), square.backward(x, np.ones(2, np.float32))
    (array([4., 9.], dtype=float32), array([-4.,  6.], dtype=float32))
    """

    function = kernels.elementwise(formulas.square)
    derivative = kernels.elementwise(formulas.square_grad)
    backwardNeeds = frozenset({"input"})


class Sqrt(Elementwise):
    """``y = sqrt(x + b)``.

    Parameters
    ----------
    b : float
        Added to the input.

    Shapes
    ------
    input   any
    output  the same as input

    Where y is 0 the gradient is 0, as in Torch7, rather than infinite.  Source: Torch7's
    nn.Sqrt, which takes b and does not add it.

    >>> import numpy as np
    >>> Sqrt(1).forward(np.array([0, 8], np.float32))
    array([1., 3.], dtype=float32)
    """

    function = kernels.elementwise(formulas.shifted_sqrt)
    derivative = kernels.elementwise(formulas.sqrt_grad)
    backwardNeeds = frozenset({"output"})

    def __init__(self, b=0.0):
        super().__init__()
        check.number(low=0, b=b)
        self.eps = b

    def numbers(self):
        return (self.eps,)

    def updateGradInput(self, input, gradOutput):
        return self._derive(input, gradOutput)

    def describe(self):
        return f"{self.eps:g}" if self.eps else ""


class Exp(Elementwise):
    """``y = exp(x)``.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.Exp.

    >>> import numpy as np
    >>> Exp().forward(np.array([0, 1], np.float32)).round(3)
    array([1.   , 2.718], dtype=float32)
    """

    function = kernels.elementwise(formulas.exp)
    derivative = kernels.elementwise(formulas.exp_grad)
    backwardNeeds = frozenset({"output"})


class Log(Elementwise):
    """``y = log(x)``, the natural logarithm.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.Log.

    >>> import numpy as np
    >>> Log().forward(np.array([1, 10], np.float32)).round(3)
    array([0.   , 2.303], dtype=float32)
    """

    function = kernels.elementwise(formulas.log)
    derivative = kernels.elementwise(formulas.log_grad)
    backwardNeeds = frozenset({"input"})


class _WithConstant(InPlace):
    """One number, or a tensor that every sample of the batch meets."""

    stateNames = ("constant_tensor",)
    bufferNames = ("_expanded",)
    backwardNeeds = frozenset()
    _with_number = _with_tensor = None

    def __init__(self, constant_scalar, ip=False):
        super().__init__(ip)
        self.constant_tensor = self._expanded = None
        if tensor.is_tensor(constant_scalar):
            self.constant_tensor = constant_scalar.astype(tensor.dtype_of(self._type))
            constant_scalar = None
        else:
            check.number(constant_scalar=constant_scalar)
        self.constant_scalar = constant_scalar

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        self._expand(input)
        if self.inplace:
            self.output = input
        else:
            self.resize("output", input.shape, like=input)
        self._combine(input, self.output)
        return self.output

    def _expand(self, input):
        """Lay the tensor out over the batch."""
        constant = self.constant_tensor
        if constant is not None:
            check.type_is("input", input, self._type)
            if input.shape[input.ndim - constant.ndim:] != constant.shape or input.ndim < constant.ndim:
                raise ShapeError(f"input must have shape (N, ..., {', '.join(map(str, constant.shape))}) "
                                 f"like the constant, got {input.shape}")
            tensor.copy(constant, self.resize("_expanded", input.shape, like=input))

    def _combine(self, source, target):
        if self.constant_tensor is None:
            self._with_number(source, target, self.constant_scalar)
        else:
            self._with_tensor(source, self._expanded, target)

    def describe(self):
        constant = self.constant_tensor
        text = f"{self.constant_scalar:g}" if constant is None else f"tensor {constant.shape}"
        return text + self._suffix()


class AddConstant(_WithConstant):
    """``y = x + constant_scalar``.

    Parameters
    ----------
    constant_scalar : float or tensor
        What is added; a tensor has the shape of one sample, or of its last dimensions.
    ip : bool
        Overwrite the input, and gradOutput in backward.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.AddConstant.

    >>> import numpy as np
    >>> AddConstant(10).forward(np.array([1, 2], np.float32))
    array([11., 12.], dtype=float32)
    >>> AddConstant(np.array([10, 20], np.float32)).forward(np.ones((2, 2), np.float32))
    array([[11., 21.],
           [11., 21.]], dtype=float32)
    """

    _with_number = staticmethod(kernels.elementwise(formulas.add_constant))
    _with_tensor = staticmethod(kernels.elementwise(formulas.add))

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if self.inplace:
            self.gradInput = gradOutput
        else:
            tensor.copy(gradOutput, self.resize("gradInput", input.shape, like=input))
        return self.gradInput


class MulConstant(_WithConstant):
    """``y = x * constant_scalar``.

    Parameters
    ----------
    constant_scalar : float or tensor
        The factor; a tensor has the shape of one sample, or of its last dimensions.
    ip : bool
        Overwrite the input, and gradOutput in backward.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.MulConstant.

    >>> import numpy as np
    >>> MulConstant(10).forward(np.array([1, 2], np.float32))
    array([10., 20.], dtype=float32)
    """

    _with_number = staticmethod(kernels.elementwise(formulas.scale))
    _with_tensor = staticmethod(kernels.elementwise(formulas.multiply))

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if self.inplace:
            self.gradInput = gradOutput
        else:
            self.resize("gradInput", input.shape, like=input)
        self._combine(gradOutput, self.gradInput)
        return self.gradInput


class Constant(Module):
    """The same tensor whatever the input; its gradient is 0.

    Parameters
    ----------
    value : float or tensor
        The output, or the output for each sample of a batch.
    nInputDim : int or None
        Dimensions of one sample: an input with one more is a batch, and so is the output.

    Shapes
    ------
    input   any
    output  the shape of value, or (N, ...) with that of value behind

    Source: Torch7's nn.Constant.

    >>> import numpy as np
    >>> Constant(np.array([5, 6], np.float32), 1).forward(np.zeros((2, 3), np.float32))
    array([[5., 6.],
           [5., 6.]], dtype=float32)
    """

    paramNames = ()
    stateNames = ("value",)
    backwardNeeds = frozenset()

    def __init__(self, value, nInputDim=None):
        super().__init__()
        like = self._type
        if tensor.is_tensor(value):
            self.value = value.astype(tensor.dtype_of(like))
        else:
            check.number(value=value)
            self.value = tensor.empty((1,), like)
            tensor.fill(self.value, value)
        if nInputDim is not None:
            check.positive(nInputDim=nInputDim)
        self.nInputDim = nInputDim

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        shape = self.value.shape
        if self.nInputDim is not None and input.ndim > self.nInputDim:
            shape = (input.shape[0], *shape)
        tensor.copy(self.value, self.resize("output", shape, like=self.value))
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        tensor.fill(self.resize("gradInput", input.shape, like=input), 0)
        return self.gradInput

    def describe(self):
        return f"{self.value.shape}"
