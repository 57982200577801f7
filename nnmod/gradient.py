"""Modules that pass their input on and change what comes back.

L1Penalty, TotalVariation, GradientReversal, ZeroGrad.
"""
from . import check, geometry, kernels, tensor
from .kernels import formulas
from .module import Module


class _PassesOn(Module):
    """The output is the input itself."""

    paramNames = ()
    sharesInput = True

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        self.output = input
        return input


class L1Penalty(_PassesOn):
    """Pass the input on and add ``l1weight * |x|`` to the loss, which makes x sparse.

    Parameters
    ----------
    l1weight : float
        Weight of the penalty.
    sizeAverage : bool
        Divide the weight by the number of elements.
    provideOutput : bool
        Add gradOutput to the gradient; False is for a penalty at the end of a branch.

    Shapes
    ------
    input   any
    output  the input itself

    ``loss`` holds the penalty of the last forward.  The derivative at 0 is 0.  Source:
    Torch7's nn.L1Penalty.

    >>> import numpy as np
    >>> penalty, x = L1Penalty(0.5), np.array([3, -1], np.float32)
    >>> penalty.forward(x), penalty.loss
    (array([ 3., -1.], dtype=float32), 2.0)
    >>> penalty.backward(x, np.zeros(2, np.float32))
    array([ 0.5, -0.5], dtype=float32)
    """

    backwardNeeds = frozenset({"input"})
    _norm = staticmethod(kernels.elementwise_sum(formulas.absolute))
    _sign = staticmethod(kernels.elementwise(formulas.sign_scaled))
    _add_sign = staticmethod(kernels.elementwise(formulas.add_sign_scaled))

    def __init__(self, l1weight, sizeAverage=False, provideOutput=True):
        super().__init__()
        check.number(l1weight=l1weight)
        check.boolean(sizeAverage=sizeAverage, provideOutput=provideOutput)
        self.l1weight = l1weight
        self.sizeAverage = sizeAverage
        self.provideOutput = provideOutput
        self.loss = None

    def updateOutput(self, input):
        output = super().updateOutput(input)
        self.loss = self._weight(output) * self._norm(output)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        if self.provideOutput:
            self._add_sign(input, gradOutput, gradInput, self._weight(input))
        else:
            self._sign(input, gradInput, self._weight(input))
        return gradInput

    def _weight(self, input):
        return self.l1weight / max(1, input.size) if self.sizeAverage else self.l1weight

    def describe(self):
        flags = ", average" * self.sizeAverage + ", no output" * (not self.provideOutput)
        return f"{self.l1weight:g}" + flags


class TotalVariation(_PassesOn):
    """Pass images on and add their total variation to the loss, which makes them smooth.

    The loss is ``strength / 2`` times the sum, over all pixels but those of the last row
    and column, of the squared differences from the pixels to the right and below.  Only
    its gradient is computed, which backward adds to gradOutput.

    Parameters
    ----------
    strength : float
        Weight of the loss.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W)
    output  the input itself

    Source: nn.TotalVariation of fast-neural-style, on Torch7 (Johnson et al., 2016).

    >>> import numpy as np
    >>> smooth, x = TotalVariation(0.5), np.array([[[1, 3], [2, 9]]], np.float32)
    >>> smooth.forward(x) is x
    True
    >>> smooth.backward(x, np.zeros_like(x))
    array([[[-1.5,  1. ],
            [ 0.5,  0. ]]], dtype=float32)
    """

    backwardNeeds = frozenset({"input"})

    def __init__(self, strength):
        super().__init__()
        check.number(strength=strength)
        self.strength = strength

    def updateOutput(self, input):
        check.batched("input", input, "N", "C", "H", "W")
        return super().updateOutput(input)

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        planes = (geometry.planes(value, 2)[:, 0] for value in (input, gradOutput, gradInput))
        kernels.of(input, gradOutput).total_variation_update_grad_input(*planes, self.strength)
        return gradInput

    def describe(self):
        return f"{self.strength:g}"


class GradientReversal(_PassesOn):
    """Pass the input on; multiply the gradient by ``-lambda_``.

    Parameters
    ----------
    lambda_ : float
        The factor (Torch's lambda, which is a keyword of Python).

    Shapes
    ------
    input   any
    output  the input itself

    So that what comes before is trained against what comes behind.  ``setLambda`` changes
    the factor.  Source: Torch7's nn.GradientReversal (Ganin and Lempitsky, 2015).

    >>> import numpy as np
    >>> reversal, x = GradientReversal(2), np.array([3, -1], np.float32)
    >>> reversal.forward(x), reversal.backward(x, np.ones(2, np.float32))
    (array([ 3., -1.], dtype=float32), array([-2., -2.], dtype=float32))
    """

    backwardNeeds = frozenset()
    _scale = staticmethod(kernels.elementwise(formulas.scale))

    def __init__(self, lambda_=1.0):
        super().__init__()
        self.setLambda(lambda_)

    def setLambda(self, lambda_):
        """Set the factor; returns self."""
        check.number(lambda_=lambda_)
        self.lambda_ = lambda_
        return self

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self._scale(gradOutput, self.resize("gradInput", input.shape, like=input), -self.lambda_)
        return self.gradInput

    def describe(self):
        return f"{self.lambda_:g}"


class ZeroGrad(_PassesOn):
    """Pass the input on and no gradient back.

    Shapes
    ------
    input   any
    output  the input itself

    Source: Torch7's nn.ZeroGrad.

    >>> import numpy as np
    >>> zero, x = ZeroGrad(), np.array([3, -1], np.float32)
    >>> zero.forward(x), zero.backward(x, np.ones(2, np.float32))
    (array([ 3., -1.], dtype=float32), array([0., 0.], dtype=float32))
    """

    backwardNeeds = frozenset()

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        tensor.fill(self.resize("gradInput", input.shape, like=input), 0)
        return self.gradInput
