"""Containers: modules made of modules.  Sequential, Concat, DepthConcat, Parallel."""
from . import check, errors, kernels, tensor
from .errors import ShapeError
from .joining import copy_slices, join, split, sum_tables
from .module import Module


class Container(Module):
    """A module with children in ``modules``, and the base of every container.

    A subclass implements the verbs (and ``backward``, to interleave its children);
    everything that recurses is written once in Module.  Errors that rise through a
    container carry the path to the layer that raised them.  Source: Torch7's
    nn.Container.

    Shapes
    ------
    input, output   what the subclass says

    >>> from nnmod import Linear, Sequential, Tanh
    >>> net = Sequential(Linear(2, 3), Sequential(Tanh(), Linear(3, 1)))
    >>> [layer.weight.shape for layer in net.findModules(Linear)[0]]
    [(3, 2), (1, 3)]
    >>> [type(module).__name__ for module in net.listModules()]
    ['Sequential', 'Linear', 'Sequential', 'Tanh', 'Linear']
    """

    paramNames = ()

    def __init__(self, *modules):
        super().__init__()
        self.modules = []
        self._needsGradInput = True
        for module in modules:
            self.add(module)

    # -- children -----------------------------------------------------------------

    def add(self, module):
        """Append *module*; returns self, so that calls chain."""
        return self.insert(len(self.modules), module)

    def insert(self, index, module):
        """Put *module* in front of position *index*; returns self."""
        if not check.is_int(index) or not -len(self.modules) <= index <= len(self.modules):
            raise IndexError(f"index {index!r} is outside this container of {len(self.modules)} modules")
        if not isinstance(module, Module):
            hint = "; make an instance of it first" if isinstance(module, type) else ""
            raise TypeError(f"a container takes modules, got {module!r}{hint}")
        children = list(self.modules)
        children.insert(index, module)
        self._setChildren(children)
        return self

    def remove(self, index=-1):
        """Take out and return the module at *index*, the last by default."""
        children = list(self.modules)
        module = children.pop(index)
        self._setChildren(children)
        return module

    def get(self, index):
        """The module at *index*: the same as ``container[index]``."""
        return self.modules[index]

    def size(self):
        """How many children there are: the same as ``len(container)``."""
        return len(self.modules)

    def __getitem__(self, index):
        return self.modules[index]

    def __len__(self):
        return len(self.modules)

    def __bool__(self):
        return True  # an empty container is a module all the same

    def __iter__(self):
        return iter(self.modules)

    def _setChildren(self, children):
        """Put *children* in the place of the present ones, if they may stand here."""
        seen = {id(self)}
        for child in children:
            for m in child.listModules():
                if id(m) in seen:
                    name = repr(m) if not m.modules else f"{type(m).__name__} of {len(m.modules)} modules"
                    raise ValueError(
                        f"{name} is already in this container, and one module holds one position; to use "
                        'its weights twice, add m.clone("weight", "bias", "gradWeight", "gradBias")'
                    )
                seen.add(id(m))
        self._checkChildren(children)
        self.modules = children
        if not self._needsGradInput:
            self.needsGradInput = False  # of a new first child too

    def _checkChildren(self, children):
        """Raise ValueError unless these children may stand together."""

    def applyToModules(self, function):
        """Call *function* with each child: ``apply`` is for all of the tree."""
        for module in self.modules:
            function(module)

    # -- a first layer's gradient ----------------------------------------------------

    @property
    def needsGradInput(self):
        """False skips the gradient by the input, here and in the children that see it."""
        return self._needsGradInput

    @needsGradInput.setter
    def needsGradInput(self, value):
        self._needsGradInput = value
        for child in self._childrenOfInput():
            child.needsGradInput = value

    def _childrenOfInput(self):
        """The children that take this container's input."""
        return self.modules

    # -- sequences: passed on to the recurrent modules below ----------------------------

    def forget(self):
        """Let recurrent modules below start a new sequence; returns self."""
        return self._tellChildren("forget")

    def remember(self, remember="both"):
        """Say when recurrent modules below go on where the last forward ended; returns self.

        "both", "train", "eval" or "neither": see Sequencer and SeqLSTM.
        """
        return self._tellChildren("remember", remember)

    def setLengths(self, lengths, padding="right"):
        """Tell recurrent modules below how long each sequence of the batch is: see SeqLSTM; returns self.

        Raises TypeError where no module below reads whole sequences: one that takes a step
        at a time never sees how long they are.
        """
        children = [child for child in self.modules if _reads_lengths(child)]
        if not children:
            raise TypeError(f"no module in {type(self).__name__} takes lengths; SeqLSTM, SeqLSTMP, SeqGRU and "
                            "SeqBRNN do, and step modules such as LSTM have maskZero()")
        for child in children:
            child.setLengths(lengths, padding)
        return self

    def _tellChildren(self, method, *args):
        for child in self.modules:
            if hasattr(child, method):
                getattr(child, method)(*args)
        return self

    # -- errors learn where they happened ------------------------------------------------

    def located(self, error, index, method, input, module=None):
        """Note on *error* that it rose through ``modules[index].method``, given *input*.

        *module* stands in the place of that child where the container made it itself.

        A forward is also taken back in the children before it, which it has been through.
        """
        if module is None:
            module = self.modules[index]
        if method == "forward":
            for child in self.modules[:index]:
                child.takeBack()
        step = self._stepTo(index)
        if not errors.has_location(error):
            name = type(module).__name__ if module.modules else repr(module)
            step += f" > {name}.{method}, given {tensor.describe(input)}"
        errors.add_location(error, step)

    def _stepTo(self, index):
        """How a path in an error names the way to ``modules[index]``."""
        return f"{type(self).__name__}[{index}]"

    def call(self, index, method, *args):
        """``modules[index].method(*args)``; an error on the way learns where it happened."""
        try:
            return getattr(self.modules[index], method)(*args)
        except Exception as error:
            self.located(error, index, method, args[0])
            raise

    # -- text -----------------------------------------------------------------------

    def __repr__(self):
        head = type(self).__name__ + (f"({self.describe()})" if self.describe() else "")
        if not self.modules:
            return head + " {}"
        lines = [f"{head} {{"]
        for index, child in enumerate(self.modules):
            text = repr(child).splitlines()
            lines.append(f"  [{index}] {text[0]}")
            lines += ["  " + line for line in text[1:]]
        return "\n".join([*lines, "}"])


class Sequential(Container):
    """Modules in a row: each takes the output of the one before it.

    Without modules it is the identity.  ``net[1:3]`` is a Sequential of the same
    modules.  Source: Torch7's nn.Sequential.

    Parameters
    ----------
    *modules : Module
        The modules, first to last.

    Shapes
    ------
    input   what the first module takes
    output  what the last module returns

    >>> from nnmod import Linear, ReLU
    >>> Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
    Sequential {
      [0] Linear(3 -> 4)
      [1] ReLU()
      [2] Linear(4 -> 2)
    }
    """

    bufferNames = ("_replay", "_case")
    #: Whether forwards in evaluation mode are noted, and replayed where nothing has changed: in networks
    #: that fused() returns.  What was noted, of what input, and what notes, which replay.py sets.
    _replays = False
    _replay = _case = _noteForReplay = None

    def forFile(self):
        """This module, with the modules of a Fused in that one's place."""
        if type(self) is not Sequential or not any(child.dissolves for child in self.modules):
            return self
        plain = Sequential()
        vars(plain).update(self.__getstate__())
        plain.modules = [part for child in self.modules for part in (child.modules if child.dissolves else (child,))]
        return plain

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Sequential(*self.modules[index])
        return self.modules[index]

    def updateOutput(self, input):
        """The output of the last module."""
        x = self.takeInput(input)
        replay, modules, index = self._replay, self.modules, 0
        if replay is not None and replay.again(x):
            index = replay.count
            x, modules = modules[index - 1].output, modules[index:]
        try:
            for module in modules:
                x = module.forward(x)
                index += 1
        except Exception as error:
            self.located(error, index, "forward", x)
            raise
        self.output = x
        if self._replays and modules is self.modules:
            self._noteForReplay()
        return x

    def backward(self, input, gradOutput, scale=1.0):
        """backward of every module, last to first."""
        self._checkBackward(input, gradOutput)
        gradOutput = self._gradOutput
        modules = self.modules
        index = len(modules)
        shared = self._spares is not None
        if shared:
            self.gradInput = None
        try:
            while index:
                index -= 1
                x = modules[index - 1].output if index else self._input
                gradOutput = modules[index].backward(x, gradOutput, scale)
                if shared:
                    _forget(modules[index], "_gradOutput")
                    _forget(modules[index + 1] if index + 1 < len(modules) else self, "gradInput")
        except Exception as error:
            self.located(error, index, "backward", x)
            raise
        if shared and modules:
            _forget(modules[0], "gradInput")
        self.gradInput = gradOutput if self._needsGradInput else None
        return self.gradInput

    def updateGradInput(self, input, gradOutput):
        """updateGradInput of every module, last to first."""
        _, gradOutput = self.takeGradOutput(input, gradOutput)
        for index in reversed(range(len(self.modules))):
            gradOutput = self.call(index, "updateGradInput", self._inputOf(index), gradOutput)
        self.gradInput = gradOutput
        return gradOutput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        """accGradParameters of every module; needs updateGradInput before it."""
        _, gradOutput = self.takeGradOutput(input, gradOutput)
        for index in reversed(range(len(self.modules))):
            self.call(index, "accGradParameters", self._inputOf(index), gradOutput, scale)
            gradOutput = self.modules[index].gradInput

    def _inputOf(self, index):
        return self.modules[index - 1].output if index else self._input

    def _childrenOfInput(self):
        return self.modules[:1]

    @property
    def sharesInput(self):
        """Whether the output may be a view of the input: every module's is."""
        return all(module.sharesInput or module.inplace for module in self.modules)

    @property
    def inplace(self):
        """Whether the input is overwritten."""
        for module in self.modules:
            if module.inplace:
                return True
            if not module.sharesInput:
                return False
        return False

    @property
    def backwardNeeds(self):
        """What backward reads of the input and the output of the whole chain."""
        needs = set(self.modules[0].backwardNeeds & {"input"}) if self.modules else set()
        if self._readerOfOutput(self.modules) is not None:
            needs.add("output")
        return frozenset(needs)

    @staticmethod
    def _readerOfOutput(modules):
        """The module whose backward reads the memory that the last output is in, or None."""
        for module in reversed(modules):
            if "output" in module.backwardNeeds:
                return module
            if not (module.sharesInput or module.inplace):
                return None
        return None

    def _checkChildren(self, children):
        for index, module in enumerate(children):
            if index and module.inplace:
                reader = self._readerOfOutput(children[:index])
                if reader is not None:
                    raise ValueError(
                        f"{module!r} works in place and would overwrite the output of {reader!r}, "
                        "which that module's backward needs; use inplace=False"
                    )


class Branching(Container):
    """The base of containers whose modules all take the same input; their gradients add up.

    A subclass joins the outputs in ``updateOutput``, and cuts gradOutput for the
    branches in ``partsOf``.

    Shapes
    ------
    input, output   what the subclass says

    >>> import numpy as np
    >>> from nnmod import ConcatTable, Identity, MulConstant
    >>> both, x, dy = ConcatTable(Identity(), MulConstant(3)), *np.ones((2, 1), np.float32)
    >>> both.forward(x), both.backward(x, [dy, dy])  # 1 + 3
    ([array([1.], dtype=float32), array([3.], dtype=float32)], array([4.], dtype=float32))
    """

    def partsOf(self, gradOutput):
        """A list: the gradient of each branch's output, None where there is none."""
        raise NotImplementedError(f"{type(self).__name__} must define partsOf(gradOutput)")

    def backward(self, input, gradOutput, scale=1.0):
        """backward of every branch with its part of gradOutput."""
        self._checkBackward(input, gradOutput)
        return self._eachBranch("backward", self._input, self._gradOutput, scale)

    def updateGradInput(self, input, gradOutput):
        """The sum of the branches' gradInput."""
        return self._eachBranch("updateGradInput", *self.takeGradOutput(input, gradOutput))

    def accGradParameters(self, input, gradOutput, scale=1.0):
        """accGradParameters of every branch with its part of gradOutput."""
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        for index, part in enumerate(self.partsOf(gradOutput)):
            if part is not None:
                self.call(index, "accGradParameters", input, part, scale)

    def _eachBranch(self, method, input, gradOutput, *scale):
        gradients = [self.call(index, method, input, part, *scale)
                     for index, part in enumerate(self.partsOf(gradOutput)) if part is not None]
        present = [g for g in gradients if g is not None]
        buffer = self.gradInput
        if self._spares is not None and present and tensor.is_tensor(present[0]):
            buffer = self._spares.take(present[0].shape, present[0].dtype, present[0])
        self.gradInput = sum_tables(buffer, present) if present and self._needsGradInput else None
        if self._spares is not None and method == "backward":
            for module in self.modules:
                _forget(module, "gradInput")
                _forget(module, "_gradOutput")
        return self.gradInput

    def _checkChildren(self, children):
        for module in children:
            if module.inplace:
                raise ValueError(
                    f"{module!r} works in place and would overwrite the input that the other branches "
                    f"of {type(self).__name__} read; use inplace=False for its first step"
                )


class Concat(Branching):
    """Every module takes the same input; the outputs are joined along *dimension*.

    Parameters
    ----------
    dimension : int
        Counted from 0, the batch included; negative counts from the end.
    *modules : Module
        The branches.

    Shapes
    ------
    input   what the modules take
    output  the modules' outputs, equal but in *dimension*, joined there

    Source: Torch7's nn.Concat.

    >>> import numpy as np
    >>> from nnmod import Linear, Identity
    >>> Concat(1, Linear(3, 2), Identity()).forward(np.ones((4, 3), np.float32)).shape
    (4, 5)
    """

    bufferNames = ("_gradSlices",)
    backwardNeeds = frozenset()

    def __init__(self, dimension, *modules):
        if not check.is_int(dimension):
            raise ValueError(f"dimension must be an int, counted from 0, got {dimension!r}")
        self.dimension = dimension
        self._gradSlices = None
        super().__init__(*modules)

    def updateOutput(self, input):
        """The modules' outputs, joined."""
        input = self.takeInput(input)
        if not self.modules:
            raise RuntimeError("Concat has no modules: add some before forward")
        outputs = [self.call(index, "forward", input) for index in range(len(self.modules))]
        return join(self, "output", outputs, self.dimension, "the output of branch")

    def partsOf(self, gradOutput):
        """gradOutput, cut at the branches; each part in a buffer of its own."""
        outputs = [module.output for module in self.modules]
        if self._gradSlices is None or len(self._gradSlices) != len(outputs):
            self._gradSlices = [None] * len(outputs)
        split(gradOutput, outputs, self.dimension, self._gradSlices)
        return self._gradSlices

    def describe(self):
        return f"{self.dimension}"


class DepthConcat(Concat):
    """A Concat whose branches may differ in all dimensions: smaller outputs get a border of zeros.

    Each lies in the middle of what the largest takes; where the border is odd, the part
    after it is the wider one.

    Parameters
    ----------
    dimension : int
        Where the outputs are joined, counted from 0, the batch included; negative counts
        from the end.
    *modules : Module
        The branches.

    Shapes
    ------
    input   what the modules take
    output  in *dimension* the sum of the outputs' sizes, in the others the largest

    Source: Torch7's nn.DepthConcat (Szegedy et al., "Going deeper with convolutions", 2015).

    >>> import numpy as np
    >>> from nnmod import Identity, SpatialConvolution
    >>> DepthConcat(0, Identity(), SpatialConvolution(1, 2, 3, 3)).forward(np.ones((1, 5, 5), np.float32)).shape
    (3, 5, 5)
    """

    def updateOutput(self, input):
        """The modules' outputs, joined."""
        input = self.takeInput(input)
        if not self.modules:
            raise RuntimeError("DepthConcat has no modules: add some before forward")
        outputs = [self.call(index, "forward", input) for index in range(len(self.modules))]
        first = outputs[0]
        for index, part in enumerate(outputs):
            check.is_tensor(f"the output of branch {index}", part)
            if part.ndim != first.ndim:
                raise ShapeError(f"the output of branch {index} must have {first.ndim} dimensions like the first, "
                                 f"got shape {part.shape}")
        kernels.of(*outputs)
        axis = check.dimension("dimension", self.dimension, first.ndim)
        shape = [max(sizes) for sizes in zip(*(part.shape for part in outputs))]
        shape[axis] = sum(part.shape[axis] for part in outputs)
        output = self.resize("output", tuple(shape), like=first)
        tensor.fill(output, 0)
        for part, window in zip(outputs, self._windows(output, outputs)):
            tensor.copy(part, window)
        return output

    def partsOf(self, gradOutput):
        """gradOutput, cut to the windows of the branches; each part in a buffer of its own."""
        outputs = [module.output for module in self.modules]
        if self._gradSlices is None or len(self._gradSlices) != len(outputs):
            self._gradSlices = [None] * len(outputs)
        for index, window in enumerate(self._windows(gradOutput, outputs)):
            self._gradSlices[index] = tensor.resize(self._gradSlices[index], window.shape, window)
            tensor.copy(window, self._gradSlices[index])
        return self._gradSlices

    def _windows(self, whole, parts):
        """Views of *whole*: where each of *parts* lies."""
        axis = self.dimension % whole.ndim
        first = 0
        for part in parts:
            starts = [(size - own) // 2 for size, own in zip(whole.shape, part.shape)]
            starts[axis] = first
            first += part.shape[axis]
            yield whole[tuple(slice(start, start + own) for start, own in zip(starts, part.shape))]


class Parallel(Container):
    """Module i takes slice i of the input; the outputs are joined.

    Parameters
    ----------
    inputDimension : int
        Along which the slices lie, counted from 0, the batch included; negative counts
        from the end.  The modules take the input without it.
    outputDimension : int
        Where their outputs are joined, counted in the same way.
    *modules : Module
        One for each slice.

    Shapes
    ------
    input   len(modules) in *inputDimension*; the rest is what the modules take
    output  the modules' outputs, equal but in *outputDimension*, joined there

    Raises ShapeError where the input has another number of slices.  Source: Torch7's
    nn.Parallel.

    >>> import numpy as np
    >>> from nnmod import Linear
    >>> Parallel(1, 0, Linear(5, 3), Linear(5, 2)).forward(np.ones((5, 2), np.float32)).shape
    (5,)
    """

    bufferNames = ("_slices", "_gradSlices", "_gradient")

    def __init__(self, inputDimension, outputDimension, *modules):
        check.integer(inputDimension=inputDimension, outputDimension=outputDimension)
        self.inputDimension = inputDimension
        self.outputDimension = outputDimension
        self._slices = self._gradSlices = self._gradient = None
        super().__init__(*modules)

    def updateOutput(self, input):
        """The modules' outputs, joined."""
        input = self.takeInput(input)
        check.is_tensor("input", input)
        axis = check.dimension("inputDimension", self.inputDimension, input.ndim)
        if not self.modules or input.shape[axis] != len(self.modules):
            raise ShapeError(f"input must have one slice in dimension {axis} for each of {len(self.modules)} "
                             f"modules, got shape {input.shape}")
        self._slices = list(_slices(input, axis))
        outputs = [self.call(index, "forward", part) for index, part in enumerate(self._slices)]
        return join(self, "output", outputs, self.outputDimension, "the output of module")

    def backward(self, input, gradOutput, scale=1.0):
        """backward of every module with its part of gradOutput."""
        self._checkBackward(input, gradOutput)
        return self._eachModule("backward", self._input, self._gradOutput, scale)

    def updateGradInput(self, input, gradOutput):
        """updateGradInput of every module, put together."""
        return self._eachModule("updateGradInput", *self.takeGradOutput(input, gradOutput))

    def accGradParameters(self, input, gradOutput, scale=1.0):
        """accGradParameters of every module with its part of gradOutput."""
        _, gradOutput = self.takeGradOutput(input, gradOutput)
        for index, part in enumerate(self._partsOf(gradOutput)):
            self.call(index, "accGradParameters", self._slices[index], part, scale)

    def _eachModule(self, method, input, gradOutput, *scale):
        gradients = [self.call(index, method, self._slices[index], part, *scale)
                     for index, part in enumerate(self._partsOf(gradOutput))]
        if not self._needsGradInput or any(gradient is None for gradient in gradients):
            self.gradInput = None
            return None
        self.gradInput = self._gradient = tensor.resize(self._gradient, input.shape, input)
        axis = self.inputDimension % input.ndim
        for index, gradient in enumerate(gradients):
            slice = gradient.reshape(*gradient.shape[:axis], 1, *gradient.shape[axis:])
            copy_slices(slice, 0, self._gradient, index, 1, axis)
        return self.gradInput

    def _partsOf(self, gradOutput):
        outputs = [module.output for module in self.modules]
        if self._gradSlices is None or len(self._gradSlices) != len(outputs):
            self._gradSlices = [None] * len(outputs)
        split(gradOutput, outputs, self.outputDimension, self._gradSlices)
        return self._gradSlices

    @property
    def backwardNeeds(self):
        """What backward reads: the input, where some module reads its own; outputs are copied."""
        needs = set()
        for module in self.modules:
            needs |= module.backwardNeeds & {"input"}
        return frozenset(needs)

    def describe(self):
        return f"{self.inputDimension}, {self.outputDimension}"


def _slices(array, axis):
    for index in range(array.shape[axis]):
        yield array[(slice(None),) * axis + (index,)]


def _reads_lengths(module):
    """Whether *module* or one below it takes lengths; a container only hands them on."""
    return any(hasattr(m, "setLengths") and not isinstance(m, Container) for m in module.listModules())


def _forget(module, name):
    """Let go of a gradient that nobody reads any more, where the module takes its gradients from spares."""
    if module._spares is not None:
        setattr(module, name, None)
