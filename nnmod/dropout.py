"""Noise for training: Dropout."""
from . import check, kernels, random, tensor
from .kernels import formulas
from .module import Module

_multiply = kernels.elementwise(formulas.multiply)
_scale = kernels.elementwise(formulas.scale)


class Dropout(Module):
    """Set each element to 0 with probability *p* in training.

    In training ``y = x * noise``, where noise is 0 with probability p and else
    ``1 / (1 - p)``; in evaluation ``y = x``.  With *v1*, Torch's first version, noise
    is 0 or 1, and evaluation multiplies by ``1 - p``.

    Parameters
    ----------
    p : float
        Probability of dropping, 0 <= p < 1.
    v1 : bool
        Scale in evaluation rather than in training.
    inplace : bool
        Overwrite the input, and gradOutput in backward.
    stochasticInference : bool
        Drop in evaluation too.

    Shapes
    ------
    input   any
    output  the same as input

    The noise comes from ``nnmod.random``: the same seed gives the same noise on every
    device and with any number of threads.  Source: Torch7's nn.Dropout (Srivastava et
    al., 2014), whose backward forgets the noise of stochastic inference.
    """

    paramNames = ()
    bufferNames = ("noise",)
    backwardNeeds = frozenset()

    def __init__(self, p=0.5, v1=False, inplace=False, stochasticInference=False):
        super().__init__()
        check.number(p=p)
        if not 0 <= p < 1:
            raise ValueError(f"p must be within 0 <= p < 1, got {p}")
        check.boolean(v1=v1, inplace=inplace, stochasticInference=stochasticInference)
        self.p = p
        self.v1 = v1
        self.inplace = inplace
        self.stochasticInference = stochasticInference
        self.noise = None
        self._noisy = False  # whether the last forward drew noise

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        K = kernels.of(input)
        if self.inplace:
            self.output = input
        else:
            self.resize("output", input.shape, like=input)
        self._noisy = self.p > 0 and (self.train or self.stochasticInference)
        if self._noisy:
            noise = self.resize("noise", input.shape, like=input)
            K.dropout_mask(noise, *random.take(noise.size), self.p, 1.0 if self.v1 else 1 / (1 - self.p))
        self._apply(input, self.output)
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if self.inplace:
            self.gradInput = gradOutput
        else:
            self.resize("gradInput", input.shape, like=input)
        self._apply(gradOutput, self.gradInput)
        return self.gradInput

    def _apply(self, source, target):
        if self._noisy:
            _multiply(source, self.noise, target)
        elif self.v1 and self.p > 0:
            _scale(source, target, 1 - self.p)
        elif source is not target:
            tensor.copy(source, target)

    def describe(self):
        flags = [f"{self.p:g}"]
        flags += ["v1"] * self.v1 + ["in place"] * self.inplace
        flags += ["stochastic inference"] * self.stochasticInference
        return ", ".join(flags)
