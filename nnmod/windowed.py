"""Windowed: what every module with a sliding window of weights shares; BiasOption."""
import math
import operator

from . import check, init, tensor
from .errors import ShapeError
from .module import Module


class BiasOption:
    """Mixed into modules that can do without a bias."""

    def noBias(self):
        """Leave the bias out from now on, as ``bias=False`` does; returns self."""
        self.hasBias = False
        self.bias = self.gradBias = None
        return self


class Windowed(BiasOption, Module):
    """A weight, and a bias if it is wanted, under a window that slides over the input.

    A subclass keeps the numbers of its window with ``_keep``, says in ``_shapes`` what
    shapes its parameters have and in ``_fanIn`` how many inputs an output has, calls
    ``_allocate`` as soon as it knows its sizes, and writes the three verbs.

    Shapes
    ------
    input   what the subclass takes
    """

    bufferNames = ("_work",)
    backwardNeeds = frozenset({"input"})
    accReadsGradInput = False

    #: The directions in which the window slides, in the order of memory.
    axes = ("H", "W")
    #: What the names of the input's planes, or features, and of the output's are.
    sizeNames = ("nInputPlane", "nOutputPlane")
    dilationT = dilationH = dilationW = 1

    def __init__(self, bias):
        super().__init__()
        check.boolean(bias=bias)
        self.hasBias = bool(bias)
        self.weight = self.gradWeight = self.bias = self.gradBias = self._work = None

    def _keep(self, **numbers):
        """Check the numbers of the window and keep each as an attribute of its name."""
        for name, value in numbers.items():
            (check.not_negative if name.startswith(("pad", "adj")) else check.positive)(**{name: value})
            setattr(self, name, value)

    def _keepSizes(self, **sizes):
        """Check sizes that may be None until the first forward, and keep them; allocate if all are known."""
        for name, value in sizes.items():
            if value is not None:
                check.positive(**{name: value})
            setattr(self, name, value)
        if None not in sizes.values():
            self._allocate()

    def _shapes(self):
        """The shapes of weight and bias, by name."""
        raise NotImplementedError(f"{type(self).__name__} must define _shapes()")

    def _fanIn(self):
        """How many weights an element of the output has, for the bounds of reset."""
        raise NotImplementedError(f"{type(self).__name__} must define _fanIn()")

    def _allocate(self):
        like = self._type
        shapes = self._shapes()
        self.weight = tensor.empty(shapes["weight"], like)
        self.gradWeight = tensor.zeros(shapes["weight"], like)
        if self.hasBias:
            self.bias = tensor.empty(shapes["bias"], like)
            self.gradBias = tensor.zeros(shapes["bias"], like)
        self.reset()

    @property
    def sizesKnown(self):
        """False until the sizes that were left out are inferred."""
        return self.weight is not None

    def _infer(self, input, **sizes):
        """At the first forward: take *sizes*, which *input* has, and allocate."""
        check.type_is("input", input, self._type)
        if 0 in sizes.values():
            raise ShapeError(f"input must have at least one channel, got {input.shape}")
        for name, value in sizes.items():
            setattr(self, name, value)
        self._allocate()

    def reset(self, stdv=None):
        """Draw weight and bias from U(-b, b): b = 1 / sqrt(weights of an output), or std *stdv*."""
        if self.weight is not None:
            bound = 1 / math.sqrt(self._fanIn()) if stdv is None else stdv * math.sqrt(3)
            init.uniform(self.weight, bound)
            if self.bias is not None:
                init.uniform(self.bias, bound)
        return self

    def __init_subclass__(cls, **words):
        super().__init_subclass__(**words)
        # One reader for each kind of number, as every pass asks for them.
        cls._read = {prefix: operator.attrgetter(*(prefix + axis for axis in cls.axes))
                     for prefix in ("k", "d", "pad", "dilation")}

    def _kernel(self):
        """The size of the window along each axis: (kH, kW)."""
        return self._read["k"](self)

    def _geometry(self):
        """Stride, padding and dilation along each axis."""
        read = self._read
        return read["d"](self), read["pad"](self), read["dilation"](self)

    def _text(self, prefix, separator=","):
        """The numbers of one kind as Torch prints them: the width before the height."""
        axes = (*self.axes[:-2], "W", "H") if len(self.axes) > 1 else self.axes
        return separator.join(str(getattr(self, prefix + axis)) for axis in axes)

    def describe(self):
        given, made = (getattr(self, name) for name in self.sizeNames)
        return f"{given or '?'} -> {made}, {self._windowText()}"

    def _windowText(self):
        """The window with what differs from stride 1, no padding, no dilation and a bias."""
        text = self._text("k", "x")
        ones = ",".join("1" for _ in self.axes)
        zeros = ones.replace("1", "0")
        stride, dilation = self._text("d"), self._text("dilation")
        pad = self._text("pad") if hasattr(self, "pad" + self.axes[-1]) else zeros
        if stride != ones or pad != zeros:
            text += f", {stride}"
        if pad != zeros:
            text += f", {pad}"
        if dilation != ones:
            text += f", dilation {dilation}"
        return text + ("" if self.hasBias else ", no bias")
