"""Modules whose input or output is a table (a list of tensors).

ConcatTable, ParallelTable, MapTable, JoinTable, SplitTable, CriterionTable.
"""
from . import check, kernels, nested, tensor
from .container import Branching, Container
from .errors import ShapeError
from .joining import join, split
from .module import Module
from .stateful import Stateful

_scale = kernels.elementwise(kernels.formulas.scale)


class ConcatTable(Branching):
    """Every module takes the same input; the output is the list of their outputs.

    Parameters
    ----------
    *modules : Module
        The branches.

    Shapes
    ------
    input   what the modules take: a tensor or a table
    output  a list with the output of each module

    Source: Torch7's nn.ConcatTable.

    >>> import numpy as np
    >>> from nnmod import Identity, Linear
    >>> [y.shape for y in ConcatTable(Linear(3, 2), Identity()).forward(np.ones((4, 3), np.float32))]
    [(4, 2), (4, 3)]
    """

    def updateOutput(self, input):
        input = self.takeInput(input)
        self.output = [self.call(index, "forward", input) for index in range(len(self.modules))]
        return self.output

    def partsOf(self, gradOutput):
        """gradOutput itself: one entry for each branch."""
        return gradOutput

    @property
    def backwardNeeds(self):
        """What backward reads: the output, where some branch reads its own."""
        return _needs_of(self.modules)


class ParallelTable(Container):
    """Module i takes entry i of the input; the output is the list of their outputs.

    Parameters
    ----------
    *modules : Module
        One for each entry.

    Shapes
    ------
    input   a table with one entry for each module
    output  a list of the same length

    Where gradOutput has None for an entry, no gradient flows into its module.  Raises
    ShapeError for a table of another length.  Source: Torch7's nn.ParallelTable.

    >>> import numpy as np
    >>> from nnmod import Linear, Tanh
    >>> both = ParallelTable(Linear(3, 2), Tanh())
    >>> [y.shape for y in both.forward([np.ones((4, 3), np.float32), np.ones(5, np.float32)])]
    [(4, 2), (5,)]
    """

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input, len(self.modules))
        self.output = [self.call(index, "forward", entry) for index, entry in enumerate(input)]
        return self.output

    def backward(self, input, gradOutput, scale=1.0):
        """backward of every module with its entry of gradOutput."""
        self._checkBackward(input, gradOutput)
        gradients = self._eachModule("backward", self._input, self._gradOutput, scale)
        self.gradInput = gradients if self.needsGradInput else None
        return self.gradInput

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.gradInput = self._eachModule("updateGradInput", input, gradOutput)
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        self._eachModule("accGradParameters", *self.takeGradOutput(input, gradOutput), scale)

    def _eachModule(self, method, input, gradOutput, *scale):
        return [None if dy is None else self.call(index, method, entry, dy, *scale)
                for index, (entry, dy) in enumerate(zip(input, gradOutput))]

    @property
    def backwardNeeds(self):
        """What backward reads: the output, where some module reads its own."""
        return _needs_of(self.modules)

    @property
    def inplace(self):
        """Whether some entry of the input is overwritten."""
        return any(module.inplace for module in self.modules)


def _needs_of(modules):
    needs = {"input"}
    for module in modules:
        needs |= module.backwardNeeds
    return frozenset(needs)


class MapTable(Container):
    """One module for every entry of a table.

    Parameters
    ----------
    module : Module
        Takes an entry.  Entries beyond the first go through clones of it, which are made
        as they are needed.
    shared : bool
        The clones have the parameters, running statistics and settings of the module.
        False gives each its own: they are then children of their own, and ``extend(n)``
        makes n of them before the first forward.

    Shapes
    ------
    input   a table of what the module takes; a dict too, where the clones share
    output  a list of what it returns, or a dict with the same names

    Where gradOutput has None for an entry, no gradient flows into its module.  Source:
    Torch7's nn.MapTable, which shares the parameters whatever it is told.

    >>> import numpy as np
    >>> from nnmod import Linear
    >>> [y.shape for y in MapTable(Linear(3, 2)).forward([np.ones((4, 3), np.float32), np.ones(3, np.float32)])]
    [(4, 2), (2,)]
    """

    bufferNames = ("_clones",)

    def __init__(self, module, shared=True):
        check.boolean(shared=shared)
        self.shared = shared
        self._clones = None
        super().__init__(module)

    def extend(self, count):
        """Have a module ready for each of *count* entries; returns self."""
        check.positive(count=count)
        if not self.shared:
            while len(self.modules) < count:
                self.add(self.modules[0].clone())
            return self
        module = self.modules[0]
        originals = module.listModules()
        if self._clones is None or list(map(id, self._clones[0][1])) != list(map(id, originals)):
            self._clones = [(module, originals)]
        names = {name for m in originals for name in m._tensorNames() if getattr(m, name, None) is not None}
        while len(self._clones) < count:
            clone = module.clone(*names)
            self._clones.append((clone, clone.listModules()))
        return self

    def updateOutput(self, input):
        input = self.takeInput(input)
        if nested.is_named(input):
            if not self.shared:
                raise TypeError("a MapTable with shared=False takes a list, in which each module knows its entry, "
                                f"got {tensor.describe(input)}")
            if not input:
                raise ShapeError("input must be a table of at least one tensor, got an empty one")
        else:
            check.table("input", input)
        self.extend(len(input))
        outputs = []
        for index, entry in enumerate(_entries(input)):
            if self.shared and index:
                self._liken(index)
            outputs.append(self._callEntry(index, "forward", entry))
        self.output = _named_as(input, outputs)
        return self.output

    def backward(self, input, gradOutput, scale=1.0):
        """backward of the module, or its clone, for every entry."""
        self._checkBackward(input, gradOutput)
        gradients = self._eachEntry("backward", self._input, self._gradOutput, scale)
        self.gradInput = gradients if self.needsGradInput else None
        return self.gradInput

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.gradInput = self._eachEntry("updateGradInput", input, gradOutput)
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        self._eachEntry("accGradParameters", *self.takeGradOutput(input, gradOutput), scale)

    def _eachEntry(self, method, input, gradOutput, *scale):
        if nested.is_named(input):
            gradOutput = [gradOutput[name] for name in input]
        return _named_as(input, [None if dy is None else self._callEntry(index, method, entry, dy, *scale)
                                 for index, (entry, dy) in enumerate(zip(_entries(input), gradOutput))])

    def _callEntry(self, index, method, *args):
        module = self._clones[index][0] if self.shared else self.modules[index]
        try:
            return getattr(module, method)(*args)
        except Exception as error:
            self.located(error, index, method, args[0], module)
            raise

    def _liken(self, index):
        """Give clone *index* everything of the module but buffers and children.

        Whatever was set on the module since (mode, parameters, options) is so set on the
        clone too, which no walk over the tree reaches.
        """
        for original, twin in zip(self._clones[0][1], self._clones[index][1]):
            own = {*original._passBuffers, *original.bufferNames, "modules", "_flat"}
            vars(twin).update({name: value for name, value in vars(original).items()
                               if name not in own and not _holdsModules(value)})

    @property
    def backwardNeeds(self):
        """What backward reads: the output, where the module reads its own."""
        return _needs_of(self.modules)

    @property
    def inplace(self):
        """Whether the entries are overwritten."""
        return self.modules[0].inplace

    def _setChildren(self, children):
        if not children or (self.shared and len(children) > 1):
            raise ValueError(f"MapTable takes one module for all entries, got {len(children)}")
        super()._setChildren(children)
        self._clones = None

    def describe(self):
        return "" if self.shared else "not shared"


def _entries(table):
    return table.values() if nested.is_named(table) else table


def _named_as(table, values):
    """*values* as a table like *table*: a dict with its names, or the list."""
    return dict(zip(table, values)) if nested.is_named(table) else values


def _holdsModules(value):
    return isinstance(value, Stateful) or (
        isinstance(value, (list, tuple)) and any(isinstance(item, Stateful) for item in value))


class JoinTable(Module):
    """The tensors of a table, joined along one dimension.

    Parameters
    ----------
    dimension : int
        Counted from 0; negative counts from the end.
    nInputDims : int or None
        How many dimensions one example has: with a batch in front, *dimension* moves
        on by one.  None takes *dimension* as it is.

    Shapes
    ------
    input   a table of tensors, equal but in *dimension*
    output  the tensors joined there

    Source: Torch7's nn.JoinTable.

    >>> import numpy as np
    >>> JoinTable(1).forward([np.zeros((2, 3), np.float32), np.ones((2, 1), np.float32)]).shape
    (2, 4)
    """

    paramNames = ()
    bufferNames = ("_parts",)
    backwardNeeds = frozenset()

    def __init__(self, dimension, nInputDims=None):
        super().__init__()
        check.integer(dimension=dimension)
        if nInputDims is not None:
            check.positive(nInputDims=nInputDims)
        self.dimension = dimension
        self.nInputDims = nInputDims
        self._parts = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input)
        for index, entry in enumerate(input):
            check.floating(f"input[{index}]", entry)
        return join(self, "output", input, self._axis(input[0]), "entry")

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if self._parts is None or len(self._parts) != len(input):
            self._parts = [None] * len(input)
        split(gradOutput, input, self._axis(input[0]), self._parts)
        self.gradInput = list(self._parts)
        return self.gradInput

    def _axis(self, first):
        return check.axis("dimension", self.dimension, first.ndim, self.nInputDims)

    def describe(self):
        return f"{self.dimension}" + ("" if self.nInputDims is None else f", nInputDims={self.nInputDims}")


class SplitTable(Module):
    """The slices of a tensor along one dimension, as a table; no number is copied.

    Parameters
    ----------
    dimension : int
        Counted from 0; negative counts from the end.
    nInputDims : int or None
        How many dimensions one example has: with a batch in front, *dimension* moves on
        by one.

    Shapes
    ------
    input   any
    output  a list with one tensor for each slice, of the same sizes without *dimension*;
            (1,) where nothing would be left

    Raises ShapeError where there is no such dimension.  Source: Torch7's nn.SplitTable.

    >>> import numpy as np
    >>> SplitTable(1).forward(np.array([[1, 2], [3, 4]], np.float32))
    [array([1., 3.], dtype=float32), array([2., 4.], dtype=float32)]
    """

    paramNames = ()
    bufferNames = ("_gradient",)
    backwardNeeds = frozenset()
    sharesInput = True

    def __init__(self, dimension, nInputDims=None):
        super().__init__()
        check.integer(dimension=dimension)
        if nInputDims is not None:
            check.positive(nInputDims=nInputDims)
        self.dimension = dimension
        self.nInputDims = nInputDims
        self._gradient = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.is_tensor("input", input)
        self.output = self._slices(input)
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if input.dtype.kind != "f":
            self.gradInput = None
            return None
        self.gradInput = self._gradient = tensor.resize(self._gradient, input.shape, input)
        for dx, dy in zip(self._slices(self._gradient), gradOutput):
            if dy is None:
                tensor.fill(dx, 0)
            else:
                tensor.copy(dy, dx)
        return self.gradInput

    def _slices(self, value):
        axis = check.axis("dimension", self.dimension, value.ndim, self.nInputDims)
        before = (slice(None),) * axis
        if value.ndim == 1:
            return [value[index:index + 1] for index in range(value.size)]
        return [value[before + (index,)] for index in range(value.shape[axis])]

    def describe(self):
        return f"{self.dimension}" + ("" if self.nInputDims is None else f", nInputDims={self.nInputDims}")


class CriterionTable(Module):
    """A criterion as a module: its loss for a table of input and target.

    Parameters
    ----------
    criterion : Criterion
        Computes the loss.

    Shapes
    ------
    input   a table: what the criterion takes as input; as target
    output  (), the loss

    gradInput is gradOutput, a tensor of shape () as well, times the criterion's; Torch7 leaves
    gradOutput out of account.  The target has no gradient (None).  Source: Torch7's
    nn.CriterionTable.

    >>> import numpy as np
    >>> from nnmod import MSECriterion
    >>> CriterionTable(MSECriterion()).forward([np.array([1.0, 3.0]), np.array([1.0, 1.0])])
    array(2.)
    """

    paramNames = ()
    bufferNames = ("_gradients",)
    backwardNeeds = frozenset({"input"})

    def __init__(self, criterion):
        super().__init__()
        if not hasattr(criterion, "updateOutput") or isinstance(criterion, Module):
            raise TypeError(f"criterion must be a criterion, got {criterion!r}")
        self.criterion = criterion
        self._gradients = None

    @property
    def criterions(self):
        """The criterion: it is converted and cleared with the network."""
        return (self.criterion,)

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input, 2)
        loss = self.criterion.forward(*input)
        first = next((x for x in nested.leaves(input[0]) if tensor.is_tensor(x)), None)
        tensor.fill(self.resize("output", (), like=first), loss)
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        factor = float(gradOutput)
        self._gradients = _scaled(self._gradients, self.criterion.backward(*input), factor)
        self.gradInput = [self._gradients, None]
        return self.gradInput

    def describe(self):
        return repr(self.criterion)


def _scaled(buffer, value, factor):
    """*factor* times a tensor or the tensors of a table, in *buffer* where that fits."""
    if nested.is_table(value):
        if not isinstance(buffer, list) or len(buffer) != len(value):
            buffer = [None] * len(value)
        return [_scaled(old, entry, factor) for old, entry in zip(buffer, value)]
    if value is None:
        return None
    buffer = tensor.resize(buffer if tensor.is_tensor(buffer) else None, value.shape, value)
    _scale(value, buffer, factor)
    return buffer
