"""Noise for training: Dropout, SpatialDropout, VolumetricDropout, WhiteNoise."""
from . import check, kernels, random, tensor
from .kernels import formulas
from .module import Module

_multiply = kernels.elementwise(formulas.multiply)
_scale = kernels.elementwise(formulas.scale)
_add = kernels.elementwise(formulas.add)
_add_constant = kernels.elementwise(formulas.add_constant)


class _Probability:
    """Mixed into modules that drop with a probability p."""

    def setp(self, p):
        """Drop with probability *p* from the next forward on, 0 <= p < 1; returns self."""
        check.number(p=p)
        if not 0 <= p < 1:
            raise ValueError(f"p must be within 0 <= p < 1, got {p}")
        self.p = p
        return self


class Dropout(_Probability, Module):
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
    lazy : bool
        Keep the noise until ``forget()``: in a step module it is the same at every step
        of a sequence (Gal and Ghahramani, 2016).
    mono : bool
        The same noise for every row of the batch, the first dimension.

    Shapes
    ------
    input   any
    output  the same as input

    The noise comes from ``nnmod.random``: the same seed gives the same noise on every
    device and with any number of threads.  Source: Torch7's nn.Dropout (Srivastava et
    al., 2014), whose backward forgets the noise of stochastic inference; *lazy* and *mono*
    are Element-Research's rnn's.

    >>> import numpy as np
    >>> x = np.ones(1000, np.float32)
    >>> dropout = Dropout(0.75)
    >>> np.unique(dropout.forward(x))
    array([0., 4.], dtype=float32)
    >>> np.unique(dropout.evaluate().forward(x))
    array([1.], dtype=float32)
    """

    paramNames = ()
    bufferNames = ("noise",)
    backwardNeeds = frozenset()

    #: The key of the noise that is kept, where there is one.
    _key = None
    lazy = mono = False

    def __init__(self, p=0.5, v1=False, inplace=False, stochasticInference=False, lazy=False, mono=False):
        super().__init__()
        self.setp(p)
        check.boolean(v1=v1, inplace=inplace, stochasticInference=stochasticInference, lazy=lazy, mono=mono)
        self.v1 = v1
        self.inplace = inplace
        self.stochasticInference = stochasticInference
        self.lazy = lazy
        self.mono = mono
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
            drawn = noise[:1] if self.mono and noise.ndim > 1 else noise
            K.dropout_mask(drawn, *self._stream(drawn.size), self.p, 1.0 if self.v1 else 1 / (1 - self.p))
            if drawn is not noise:
                tensor.copy(drawn, noise[1:])
        self._apply(input, self.output)
        return self.output

    def _stream(self, count):
        if not self.lazy:
            return random.take(count)
        self.hold()
        return self._key, 0

    def hold(self):
        """With *lazy*: settle what noise there is till ``forget()``."""
        if self._key is None:
            self._key = random.fork()

    def forget(self):
        """With *lazy*: draw other noise in the next forward; returns self."""
        self._key = None
        return self

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
        flags += ["lazy"] * self.lazy + ["mono"] * self.mono
        return ", ".join(flags)


class SpatialDropout(_Probability, Module):
    """Drop whole channels with probability *p* in training: one random number for each plane.

    In training ``y = x * noise`` with noise 0 or 1; in evaluation ``y = (1 - p) * x``.

    Parameters
    ----------
    p : float
        Probability of dropping, 0 <= p < 1.
    stochasticInference : bool
        Drop in evaluation too.

    Shapes
    ------
    input   (N, C, H, W) or (C, H, W)
    output  the same as input

    Unlike Dropout it scales in evaluation.  Source: Torch7's nn.SpatialDropout (Tompson et
    al., 2015), whose backward raises in evaluation; here it is the derivative.

    >>> import numpy as np
    >>> x = np.ones((1, 100, 2, 2), np.float32)
    >>> planes = SpatialDropout(0.25).forward(x).reshape(100, 4)
    >>> bool((planes == planes[:, :1]).all()), np.unique(planes)
    (True, array([0., 1.], dtype=float32))
    """

    paramNames = ()
    bufferNames = ("noise", "_noisy")
    backwardNeeds = frozenset()
    _positions = ("H", "W")

    def __init__(self, p=0.5, stochasticInference=False):
        super().__init__()
        self.setp(p)
        check.boolean(stochasticInference=stochasticInference)
        self.stochasticInference = stochasticInference
        self.noise = self._noisy = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        x = check.batched("input", input, "N", "C", *self._positions)
        K = kernels.of(input)
        self.resize("output", input.shape, like=input)
        # What backward must know: whether the last forward drew noise.
        self._noisy = self.train or self.stochasticInference
        if self._noisy:
            noise = self.resize("noise", x.shape[:2], like=input)
            K.dropout_mask(noise, *random.take(noise.size), self.p, 1.0)
        self._apply(K, input, self.output)
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.resize("gradInput", input.shape, like=input)
        self._apply(kernels.of(gradOutput), gradOutput, self.gradInput)
        return self.gradInput

    def _apply(self, K, source, target):
        if self._noisy:
            rows = self.noise.size, source.size // max(1, self.noise.size)
            K.mask_rows(source.reshape(rows), self.noise.reshape(-1), target.reshape(rows))
        else:
            _scale(source, target, 1 - self.p)

    def describe(self):
        return f"{self.p:g}" + ", stochastic inference" * self.stochasticInference


class VolumetricDropout(SpatialDropout):
    """Drop whole channels of volumes with probability *p* in training.

    Parameters
    ----------
    p, stochasticInference
        As in SpatialDropout.

    Shapes
    ------
    input   (N, C, T, H, W) or (C, T, H, W)
    output  the same as input

    Source: Torch7's nn.VolumetricDropout.

    >>> import numpy as np
    >>> VolumetricDropout(0.25).evaluate().forward(np.ones((1, 1, 1, 2), np.float32))
    array([[[[0.75, 0.75]]]], dtype=float32)
    """

    _positions = ("T", "H", "W")


class WhiteNoise(Module):
    """Add normal noise in training, and its mean in evaluation.

    Parameters
    ----------
    mean : float
        Of the noise.
    std : float
        Its standard deviation, >= 0.

    Shapes
    ------
    input   any
    output  the same as input

    Source: Torch7's nn.WhiteNoise, whose backward raises in evaluation; here it is the
    identity.

    >>> import numpy as np
    >>> noise = WhiteNoise(2, 0.5)
    >>> noise.evaluate().forward(np.zeros(2, np.float32))
    array([2., 2.], dtype=float32)
    >>> y = noise.training().forward(np.zeros(10000, np.float32))
    >>> round(float(y.mean()), 1), round(float(y.std()), 1)
    (2.0, 0.5)
    """

    paramNames = ()
    bufferNames = ("noise",)
    backwardNeeds = frozenset()

    def __init__(self, mean=0.0, std=0.1):
        super().__init__()
        check.number(mean=mean)
        check.number(low=0, std=std)
        self.mean = mean
        self.std = std
        self.noise = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        K = kernels.of(input)
        output = self.resize("output", input.shape, like=input)
        if self.train:
            noise = self.resize("noise", input.shape, like=input)
            K.normal_noise(noise, *random.take(noise.size), self.mean, self.std)
            _add(input, noise, output)
        else:
            _add_constant(input, output, self.mean)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        tensor.copy(gradOutput, self.resize("gradInput", input.shape, like=input))
        return self.gradInput

    def describe(self):
        return f"{self.mean:g}, {self.std:g}"
