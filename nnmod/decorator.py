"""Modules around one module: Decorator, Bottle, WeightNorm, DontCast, NaN, Profile, GPU."""
import math
import time

import numpy as np

from . import check, init, kernels, nested, tensor
from .container import Container
from .errors import ShapeError
from .kernels import formulas
from .module import Module

_count_nan = kernels.elementwise_sum(formulas.is_nan)


class Decorator(Container):
    """One module, which everything is passed to: the base of all that surrounds a module.

    A subclass changes what goes in and comes out, in ``given``, ``returned``,
    ``givenGradient`` and ``returnedGradient``, or the verbs.

    Parameters
    ----------
    module : Module
        What is decorated.

    Shapes
    ------
    input   what the module takes
    output  what it returns

    Source: Torch7's nn.Decorator.

    >>> from nnmod import Linear
    >>> Decorator(Linear(3, 2))
    Decorator {
      [0] Linear(3 -> 2)
    }
    """

    bufferNames = ("_inside", "_insideOf")
    _inside = _insideOf = None

    def __init__(self, module):
        super().__init__(module)

    def _checkChildren(self, children):
        if len(children) != 1:
            raise ValueError(f"{type(self).__name__} holds one module, not {len(children)}; "
                             "put several into a Sequential first")

    # -- what goes in and comes out ---------------------------------------------------

    def given(self, input):
        """What the module gets for *input*."""
        return input

    def returned(self, output):
        """What is returned for the module's *output*."""
        return output

    def givenGradient(self, gradOutput):
        """What the module gets for *gradOutput*."""
        return gradOutput

    def returnedGradient(self, gradInput):
        """What is returned for the module's *gradInput*, which is not None."""
        return gradInput

    # -- the verbs --------------------------------------------------------------------

    def updateOutput(self, input):
        """The module's output."""
        input = self.takeInput(input)
        self._inside, self._insideOf = self.given(input), input
        self.output = self.returned(self.call(0, "forward", self._inside))
        return self.output

    def backward(self, input, gradOutput, scale=1.0):
        """backward of the module."""
        self._checkBackward(input, gradOutput)
        return self._takeGradient(self.call(0, "backward", self._insideFor(self._input),
                                            self.givenGradient(self._gradOutput), scale))

    def updateGradInput(self, input, gradOutput):
        """updateGradInput of the module."""
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        return self._takeGradient(self.call(0, "updateGradInput", self._insideFor(input),
                                            self.givenGradient(gradOutput)))

    def accGradParameters(self, input, gradOutput, scale=1.0):
        """accGradParameters of the module."""
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.call(0, "accGradParameters", self._insideFor(input), self.givenGradient(gradOutput), scale)

    def _insideFor(self, input):
        return self._inside if input is self._insideOf else self.given(input)

    def _takeGradient(self, gradInput):
        wanted = gradInput is not None and self._needsGradInput
        self.gradInput = self.returnedGradient(gradInput) if wanted else None
        return self.gradInput

    # -- as the module is -------------------------------------------------------------

    @property
    def inplace(self):
        """Whether the module overwrites its input."""
        return self.modules[0].inplace

    @property
    def sharesInput(self):
        """Whether the module's output may be a view of its input."""
        return self.modules[0].sharesInput

    @property
    def backwardNeeds(self):
        """What the module's backward reads."""
        return self.modules[0].backwardNeeds


class Bottle(Decorator):
    """Lets a module work on inputs of more dimensions than it takes: the first ones are made one.

    Parameters
    ----------
    module : Module
        What is decorated.
    nInputDim : int
        How many dimensions the module's input has, the batch included.
    nOutputDim : int or None
        How many its output has; None for as many as the input.

    Shapes
    ------
    input   (A, B, ..., *rest), as many dimensions as one likes
    output  (A, B, ..., *rest of the module's output), where the module sees (A * B ..., *rest)

    An input of nInputDim dimensions or fewer goes through as it is.  Raises ShapeError
    where the module returns another number of dimensions.  Source: Torch7's nn.Bottle.

    >>> from nnmod import Linear
    >>> Bottle(Linear(5, 2)).forward(np.zeros((3, 4, 5), np.float32)).shape
    (3, 4, 2)
    """

    def __init__(self, module, nInputDim=2, nOutputDim=None):
        check.positive(nInputDim=nInputDim)
        if nOutputDim is not None:
            check.positive(nOutputDim=nOutputDim)
        self.nInputDim = nInputDim
        self.nOutputDim = nInputDim if nOutputDim is None else nOutputDim
        super().__init__(module)

    def given(self, input):
        check.is_tensor("input", input)
        extra = input.ndim - self.nInputDim
        if extra <= 0:
            return input
        return input.reshape(math.prod(input.shape[:extra + 1]), *input.shape[extra + 1:])

    def returned(self, output):
        extra = self._insideOf.ndim - self.nInputDim
        if extra <= 0:
            return output
        check.is_tensor("the module's output", output)
        outer = self._insideOf.shape[:extra]
        many = math.prod(outer)
        if output.ndim != self.nOutputDim or (many and output.shape[0] % many):
            raise ShapeError(f"the module's output must have nOutputDim = {self.nOutputDim} dimensions, the first a "
                             f"multiple of {many}, got {output.shape}")
        return output.reshape(*outer, output.shape[0] // many if many else self._insideOf.shape[extra],
                              *output.shape[1:])

    def givenGradient(self, gradOutput):
        inside = self.modules[0].output
        return gradOutput.reshape(inside.shape) if tensor.is_tensor(inside) else gradOutput

    def returnedGradient(self, gradInput):
        return gradInput.reshape(self._input.shape)

    def describe(self):
        same = self.nInputDim == self.nOutputDim
        return f"{self.nInputDim}" + ("" if same else f" -> {self.nOutputDim}")


class WeightNorm(Decorator):
    """Learns the weight of a module as directions and lengths: ``weight = g * v / |v|``.

    Parameters
    ----------
    module : Module
        Any with a parameter ``weight``.  From now on that is made from v and g at each
        forward, and is no longer among the parameters.
    outputDim : int
        The dimension of weight that holds the outputs, counted from 0: each of them
        has a direction and a length of its own.

    Shapes
    ------
    input   what the module takes
    output  what it returns
    v       (O, all others) where weight has O in outputDim, gradV the same
    g       (O, 1), gradG the same

    Squared norms have 1e-4 added, as in Torch7.  Gradients add up over backwards,
    unlike in Torch7, and what is saved is complete.  Raises ValueError for a module
    without weight.  Source: Torch7's nn.WeightNorm (Salimans and Kingma, 2016).

    >>> from nnmod import Linear
    >>> [p.shape for p in WeightNorm(Linear(3, 2)).parameters()[0]]
    [(2, 3), (2, 1), (2,)]
    """

    paramNames = ("v", "g")
    bufferNames = (*Decorator.bufferNames, "_norm", "_rows", "_gradRows")

    def __init__(self, module, outputDim=0):
        if not isinstance(module, Module) or "weight" not in module.paramNames:
            raise ValueError(f"WeightNorm needs a module with a parameter weight, got {module!r}")
        if not module.sizesKnown:
            raise ValueError(f"{module!r} does not know its sizes yet: give them when you make it")
        if not check.is_int(outputDim):
            raise ValueError(f"outputDim must be an int, counted from 0, got {outputDim!r}")
        self.outputDim = check.dimension("outputDim", outputDim, module.weight.ndim)
        # The weight is state now: converted and saved, but made and not learned.
        module.paramNames = tuple(name for name in module.paramNames if name != "weight")
        module.stateNames = (*module.stateNames, "weight")
        module.bufferNames = (*module.bufferNames, "gradWeight")
        module.sparseAxes, module.updatesDirectly = {}, False
        super().__init__(module)
        self._type = module.type()
        outputs = module.weight.shape[self.outputDim]
        self.v = tensor.empty((outputs, module.weight.size // outputs), module.weight)
        self.gradV = tensor.zeros(self.v.shape, self.v)
        self.g = tensor.empty((outputs, 1), self.v)
        self.gradG = tensor.zeros(self.g.shape, self.v)
        self._norm = self._rows = self._gradRows = None
        self.reset()

    def reset(self, stdv=None):
        """Draw v from the normal distribution, of variance 2 / its fan-in or of *stdv*.

        g is the length of v; the module is reset too, and its bias is 0.
        """
        module = self.modules[0]
        module.reset(stdv)
        if getattr(module, "bias", None) is not None:
            init.constant(module.bias, 0)
        init.normal(self.v, math.sqrt(2 / self.v.shape[1]) if stdv is None else stdv)
        kernels.of(self.v).vector_norms(self.v, self.g.reshape(-1), 0.0)
        self._makeWeight()
        return self

    def _makeWeight(self):
        weight = self.modules[0].weight
        K = kernels.of(self.v, self.g, weight)
        norm = self.resize("_norm", self.g.shape, like=self.g)
        rows = weight.reshape(self.v.shape)
        if self.outputDim:
            rows = self.resize("_rows", self.v.shape, like=self.v)
        K.weight_norm_update_output(self.v, self.g, norm, rows, 1e-4, 0.0)
        if self.outputDim:
            tensor.copy(self._permuted(rows), self._outputsInside(weight))

    def _outputsInside(self, weight):
        """*weight* with what is before outputDim, it, and what is after: a view of three dimensions."""
        before = math.prod(weight.shape[:self.outputDim])
        return weight.reshape(before, weight.shape[self.outputDim], -1)

    def _permuted(self, rows):
        """*rows*, in v's shape, as a view that _outputsInside(weight) is like."""
        before = math.prod(self.modules[0].weight.shape[:self.outputDim])
        return rows.reshape(rows.shape[0], before, -1).transpose(1, 0, 2)

    def updateOutput(self, input):
        """The module's output, with its weight made anew."""
        module = self.modules[0]
        check.parameters(self, v=(module.weight.shape[self.outputDim], self.v.shape[1]), g=(self.v.shape[0], 1))
        if getattr(module, "gradWeight", None) is None:
            module.gradWeight = tensor.zeros(module.weight.shape, module.weight)
        self._makeWeight()
        return super().updateOutput(input)

    def backward(self, input, gradOutput, scale=1.0):
        """backward of the module, whose gradWeight goes on to gradV and gradG."""
        self._checkBackward(input, gradOutput)
        tensor.fill(self.modules[0].gradWeight, 0)
        super().backward(input, gradOutput, scale)
        self._passOn()
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        """accGradParameters of the module, whose gradWeight goes on to gradV and gradG."""
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        tensor.fill(self.modules[0].gradWeight, 0)
        super().accGradParameters(input, gradOutput, scale)
        self._passOn()

    def _passOn(self):
        gradWeight = self.modules[0].gradWeight
        K = kernels.of(self.v, self.g, gradWeight, self.gradV, self.gradG)
        rows = gradWeight.reshape(self.v.shape)
        if self.outputDim:
            rows = self.resize("_gradRows", self.v.shape, like=self.v)
            tensor.copy(self._outputsInside(gradWeight), self._permuted(rows))
        K.weight_norm_acc_grad_parameters(self.v, self.g, self._norm, rows, self.gradV, self.gradG, 0.0)

    def describe(self):
        return f"outputDim {self.outputDim}" if self.outputDim else ""


class DontCast(Decorator):
    """A module that keeps its type when the network around it is converted.

    Parameters
    ----------
    module : Module
        What is decorated: ``type()``, ``float()`` and ``double()`` pass it by.
    castin : bool
        True converts inputs to the module's type, and gradInput back to the input's.
    castout : bool or None
        True converts outputs to the type of the network, and gradOutput to the
        module's; None for the same as castin.
    moduleType : type or None
        The type that the module is to keep, such as ``"float64"``; None for the one it has.

    Shapes
    ------
    input   what the module takes; integers are never converted
    output  what it returns

    Source: Torch7's nn.DontCast.

    >>> from nnmod import Linear
    >>> net = DontCast(Linear(3, 2), True, moduleType="float64").float()
    >>> net.modules[0].weight.dtype, net.forward(np.ones((1, 3), np.float32)).dtype
    (dtype('float64'), dtype('float32'))
    """

    bufferNames = (*Decorator.bufferNames, "_casts")

    def __init__(self, module, castin=False, castout=None, moduleType=None):
        check.boolean(castin=castin)
        if castout is not None:
            check.boolean(castout=castout)
        self.castin = bool(castin)
        self.castout = self.castin if castout is None else bool(castout)
        super().__init__(module)
        if moduleType is not None:
            module.type(moduleType)
        self._casts = None

    def _castModules(self):
        return [self]

    def _cast(self, name, value, type_name):
        if self._casts is None:
            self._casts = {}
        cast, self._casts[name] = _converted(value, self._casts.get(name), type_name)
        return cast

    def given(self, input):
        return self._cast("input", input, self.modules[0].type()) if self.castin else input

    def returned(self, output):
        return self._cast("output", output, self._type) if self.castout else output

    def givenGradient(self, gradOutput):
        if not self.castout:
            return gradOutput
        return self._cast("gradOutput", gradOutput, self.modules[0].type())

    def returnedGradient(self, gradInput):
        if not self.castin:
            return gradInput
        types = [tensor.type_of(x) for x in nested.leaves(self._input) if x.dtype.kind == "f"]
        return self._cast("gradInput", gradInput, types[0]) if types else gradInput

    def describe(self):
        return f"castin {self.castin}, castout {self.castout}"


def _converted(value, buffer, type_name):
    """*value* with every tensor of floats of type *type_name*, and the buffer to give to the next call."""
    if nested.is_table(value):
        spares = buffer if isinstance(buffer, list) and len(buffer) == len(value) else [None] * len(value)
        pairs = [_converted(item, spare, type_name) for item, spare in zip(value, spares)]
        return [new for new, _ in pairs], [spare for _, spare in pairs]
    if not tensor.is_tensor(value) or value.dtype.kind != "f" or tensor.type_of(value) == type_name:
        return value, buffer
    buffer = tensor.resize(buffer if tensor.is_tensor(buffer) else None, value.shape, type_name)
    tensor.copy(value, buffer)
    return buffer, buffer


class NaN(Decorator):
    """Raises FloatingPointError as soon as there is a NaN in or around a module.

    Parameters
    ----------
    module : Module
        What is decorated.
    id : str or None
        A name for the error; it names the path to the module anyway.

    Shapes
    ------
    input   what the module takes
    output  what it returns

    After each verb the result is looked at; where it has a NaN, the error says whether
    that was there before, in the input, the gradOutput or the parameters.
    Source: Torch7's nn.NaN.

    >>> from nnmod import Identity
    >>> NaN(Identity(), "the first").forward(np.array([np.nan]))
    Traceback (most recent call last):
    FloatingPointError: NaN in the input of Identity(), id 'the first'
    """

    def __init__(self, module, id=None):
        if id is not None and not isinstance(id, str):
            raise ValueError(f"id must be a text or None, got {id!r}")
        self.id = id
        super().__init__(module)

    def returned(self, output):
        if _has_nan(output):
            self._raise("the input" if _has_nan(self._inside) else
                        "the parameters" if _has_nan(self.parameters()[0]) else "the output")
        return output

    def returnedGradient(self, gradInput):
        if _has_nan(gradInput):
            self._raise("gradOutput" if _has_nan(self._gradOutput) else
                        "the parameters" if _has_nan(self.parameters()[0]) else "gradInput")
        return gradInput

    def backward(self, input, gradOutput, scale=1.0):
        """backward of the module, looked at."""
        super().backward(input, gradOutput, scale)
        self._checkGradients()
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        """accGradParameters of the module, looked at."""
        super().accGradParameters(input, gradOutput, scale)
        self._checkGradients()

    def _checkGradients(self):
        if _has_nan(self.parameters()[1]):
            self._raise("gradOutput" if _has_nan(self._gradOutput) else "the gradients of the parameters")

    def _raise(self, where):
        suffix = "" if self.id is None else f", id {self.id!r}"
        raise FloatingPointError(f"NaN in {where} of {self.modules[0]!r}{suffix}")

    def describe(self):
        return self.id or ""


def _has_nan(value):
    return any(_count_nan(x) for x in nested.leaves(value) if tensor.is_tensor(x) and x.dtype.kind == "f")


class Profile(Decorator):
    """Prints how long a module takes.

    Parameters
    ----------
    module : Module
        What is decorated.
    print_interval : int
        After so many passes their time is printed, and counting starts anew.
    name : str or None
        What to call the module; None for its class.

    Shapes
    ------
    input   what the module takes
    output  what it returns

    ``numFwds``, ``summedFwdTime``, ``numBwds`` and ``summedBwdTime`` count the passes since
    the last print, in seconds.  Source: Torch7's nn.Profile.

    >>> from nnmod import Identity
    >>> profile = Profile(Identity(), print_interval=100)
    >>> for _ in range(3):
    ...     y = profile.forward(np.zeros(4, np.float32))
    >>> profile.numFwds
    3
    """

    def __init__(self, module, print_interval=100, name=None):
        check.positive(print_interval=print_interval)
        if name is not None and not isinstance(name, str):
            raise ValueError(f"name must be a text or None, got {name!r}")
        super().__init__(module)
        self.print_interval = print_interval
        self.name = type(module).__name__ if name is None else name
        self.numFwds = self.numBwds = 0
        self.summedFwdTime = self.summedBwdTime = 0.0

    def updateOutput(self, input):
        """The module's output, timed."""
        start = time.perf_counter()
        output = super().updateOutput(input)
        self.summedFwdTime += time.perf_counter() - start
        self.numFwds += 1
        if self.numFwds >= self.print_interval:
            self._tell(self.summedFwdTime, "forward")
            self.numFwds, self.summedFwdTime = 0, 0.0
        return output

    def backward(self, input, gradOutput, scale=1.0):
        """backward of the module, timed."""
        start = time.perf_counter()
        super().backward(input, gradOutput, scale)
        self._countBackward(start)
        return self.gradInput

    def updateGradInput(self, input, gradOutput):
        """updateGradInput of the module, timed: one backward pass."""
        start = time.perf_counter()
        super().updateGradInput(input, gradOutput)
        self._countBackward(start)
        return self.gradInput

    def _countBackward(self, start):
        self.summedBwdTime += time.perf_counter() - start
        self.numBwds += 1
        if self.numBwds >= self.print_interval:
            self._tell(self.summedBwdTime, "backward")
            self.numBwds, self.summedBwdTime = 0, 0.0

    def accGradParameters(self, input, gradOutput, scale=1.0):
        """accGradParameters of the module; its time counts with the next backward pass."""
        start = time.perf_counter()
        super().accGradParameters(input, gradOutput, scale)
        self.summedBwdTime += time.perf_counter() - start

    def _tell(self, seconds, kind):
        print(f"{self.name} took {seconds:.3f} seconds for {self.print_interval} {kind} passes", flush=True)

    def describe(self):
        return f"{self.name}, every {self.print_interval}"


class GPU(Decorator):
    """A module with the number of the GPU that it is meant for.

    Parameters
    ----------
    module : Module
        What is decorated.
    device : int
        The GPU, counted from 0, that the module's parameters are to live on.
    outdevice : int or None
        The GPU that outputs are to be on; None for *device*.

    Shapes
    ------
    input   what the module takes
    output  what it returns

    nnmod works on one GPU: the numbers are kept for files, and after ``cuda()`` the module
    runs on the one that there is.  Source: Torch7's nn.GPU.

    >>> from nnmod import Linear
    >>> GPU(Linear(3, 2), 1)
    GPU(1) {
      [0] Linear(3 -> 2)
    }
    """

    def __init__(self, module, device, outdevice=None):
        check.not_negative(device=device)
        if outdevice is not None:
            check.not_negative(outdevice=outdevice)
        self.device = device
        self.outdevice = device if outdevice is None else outdevice
        super().__init__(module)

    def describe(self):
        return f"{self.device}" + ("" if self.outdevice == self.device else f" -> {self.outdevice}")
