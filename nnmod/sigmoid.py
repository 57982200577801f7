"""Smooth activations: Tanh, Sigmoid, LogSigmoid, TanhShrink, SoftPlus, SoftSign, GatedLinearUnit."""
from . import check, geometry, kernels
from .elementwise import Elementwise
from .errors import ShapeError
from .kernels import formulas
from .module import Module


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


class LogSigmoid(Elementwise):
    """``y = log(1 / (1 + exp(-x)))``, without overflow.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.LogSigmoid.
    """

    function = kernels.elementwise(formulas.log_sigmoid)
    derivative = kernels.elementwise(formulas.log_sigmoid_grad)
    backwardNeeds = frozenset({"input"})


class TanhShrink(Elementwise):
    """``y = x - tanh(x)``.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.TanhShrink.
    """

    function = kernels.elementwise(formulas.tanh_shrink)
    derivative = kernels.elementwise(formulas.tanh_shrink_grad)
    backwardNeeds = frozenset({"input"})


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


class SoftSign(Elementwise):
    """``y = x / (1 + |x|)``.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.SoftSign.
    """

    function = kernels.elementwise(formulas.soft_sign)
    derivative = kernels.elementwise(formulas.soft_sign_grad)
    backwardNeeds = frozenset({"input"})


class GatedLinearUnit(Module):
    """``y = a * sigmoid(b)``, where a and b are the halves of the input along *dim*.

    Parameters
    ----------
    dim : int
        The dimension to halve, counted from 0 with the batch; negative counts from the end.

    Shapes
    ------
    input   any, of even size along dim
    output  the same with half the size along dim

    Raises ShapeError for an odd size.  Source: Torch7's nn.GatedLinearUnit (Dauphin, Fan,
    Auli and Grangier, 2017).
    """

    paramNames = ()
    backwardNeeds = frozenset({"input"})

    def __init__(self, dim=-1):
        super().__init__()
        check.integer(dim=dim)
        self.dim = dim

    def updateOutput(self, input):
        input = self.takeInput(input)
        N, M, shape = self._halves(input)
        K = kernels.of(input)
        output = self.resize("output", shape, like=input)
        K.gated_linear_unit_update_output(input.reshape(N, 2, M), output.reshape(N, M))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        N, M, _ = self._halves(input)
        K = kernels.of(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        K.gated_linear_unit_update_grad_input(input.reshape(N, 2, M), gradOutput.reshape(N, M),
                                              gradInput.reshape(N, 2, M))
        return gradInput

    def _halves(self, input):
        """N, M of (N, 2, M) and the output's shape."""
        check.floating("input", input)
        shape = input.shape
        dim = check.dimension("dim", self.dim, len(shape))
        if shape[dim] % 2:
            raise ShapeError(f"input must have an even size along dimension {dim}, got {shape}")
        N, _, S = geometry.around(shape, dim)
        return N, shape[dim] // 2 * S, (*shape[:dim], shape[dim] // 2, *shape[dim + 1:])

    def describe(self):
        return f"{self.dim}"
