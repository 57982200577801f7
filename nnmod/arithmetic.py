"""A table of tensors made one by arithmetic: CAddTable, CSubTable, CMulTable, CDivTable, CMaxTable, CMinTable.

CAddTensorTable adds one tensor to each of a table; MixtureTable adds them up with weights.
"""
import math

from . import check, kernels, nested, tensor
from .errors import ShapeError
from .kernels import formulas
from .module import Module

_add = kernels.elementwise(formulas.add)
_subtract = kernels.elementwise(formulas.subtract)
_negative = kernels.elementwise(formulas.negative)
_multiply = kernels.elementwise(formulas.multiply)
_divide = kernels.elementwise(formulas.divide)
_divide_grad = kernels.elementwise(formulas.divide_grad, outputs=2)
_pick = kernels.elementwise(formulas.pick)


class _Arithmetic(Module):
    """The base: a table of tensors of equally many elements becomes one of the shape of the first."""

    paramNames = ()
    bufferNames = ("_parts",)
    #: How many tensors the table must have; None for any number.
    length = None

    def __init__(self):
        super().__init__()
        self._parts = None

    def _checked(self, input):
        """*input* as tensors of one shape, that of the first."""
        check.table("input", input, self.length)
        first = input[0]
        if _alike(input):
            return input
        for index, entry in enumerate(input):
            check.floating(f"input[{index}]", entry)
            if entry.size != first.size:
                raise ShapeError(
                    f"input[{index}] must have as many elements as input[0], {first.shape}, got {entry.shape}")
        kernels.of(*input)
        return _in_shape(input, first.shape)

    def _gradients(self, input):
        """A buffer for the gradient of each entry."""
        parts = self._parts
        if parts is None or len(parts) != len(input):
            parts = self._parts = [None] * len(input)
        for index, entry in enumerate(input):
            parts[index] = tensor.resize(parts[index], entry.shape, entry)
        return parts


def _alike(values):
    """Whether all are floating tensors of one shape and dtype: the usual case, found out quickly."""
    first = values[0]
    if not tensor.is_tensor(first) or first.dtype.char not in "fd":
        return False
    for value in values:
        if not tensor.is_tensor(value) or value.shape != first.shape or value.dtype != first.dtype:
            return False
    return True


def _in_shape(tensors, shape):
    return [t if t.shape == shape else t.reshape(shape) for t in tensors]


class CAddTable(_Arithmetic):
    """The sum of the tensors of a table.

    Parameters
    ----------
    inplace : bool
        Write the sum over the first tensor, and use gradOutput as its gradient.

    Shapes
    ------
    input   a table of tensors with equally many elements (Torch7 asks no more)
    output  the shape of the first

    Raises ShapeError where the numbers of elements differ.  Source: Torch7's
    nn.CAddTable.

    >>> import numpy as np
    >>> CAddTable().forward([np.ones(2, np.float32), np.ones(2, np.float32)])
    array([2., 2.], dtype=float32)
    """

    backwardNeeds = frozenset()

    def __init__(self, inplace=False):
        super().__init__()
        check.boolean(inplace=inplace)
        self.inplace = inplace

    def updateOutput(self, input):
        input = self.takeInput(input)
        tensors = self._checked(input)
        if self.inplace:
            self.output = input[0]
        else:
            self.resize("output", input[0].shape, like=input[0])
        if len(tensors) == 1:
            if not self.inplace:
                tensor.copy(input[0], self.output)
        else:
            _add(tensors[0], tensors[1], self.output)
        for entry in tensors[2:]:
            _add(self.output, entry, self.output)
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if self._spares is not None:
            self.gradInput = [gradOutput if self.inplace and not index else self._spare(gradOutput, entry.shape)
                              for index, entry in enumerate(input)]
            return self.gradInput
        if self._parts is None or len(self._parts) != len(input):
            self._parts = [None] * len(input)
        for index, entry in enumerate(input):
            if self.inplace and index == 0:
                self._parts[0] = gradOutput
                continue
            part = self._parts[index] = tensor.resize(self._parts[index], entry.shape, entry)
            tensor.copy(gradOutput.reshape(entry.shape), part)
        self.gradInput = list(self._parts)
        return self.gradInput

    def _spare(self, gradOutput, shape):
        """*gradOutput* itself where no module would overwrite it, else a copy in memory that is shared."""
        if not self._spares.overwritten:
            return gradOutput.reshape(shape)
        part = self._spares.take(shape, gradOutput.dtype, gradOutput)
        tensor.copy(gradOutput.reshape(shape), part)
        return part

    def describe(self):
        return "in place" if self.inplace else ""


class CSubTable(_Arithmetic):
    """``y = a - b``

    Shapes
    ------
    input   a table of two tensors with equally many elements
    output  the shape of the first

    Raises ShapeError for another number of tensors, or of elements.  Source: Torch7's
    nn.CSubTable.

    >>> import numpy as np
    >>> CSubTable().forward([np.ones(2, np.float32), np.array([1, 3], np.float32)])
    array([ 0., -2.], dtype=float32)
    """

    backwardNeeds = frozenset()
    length = 2

    def updateOutput(self, input):
        input = self.takeInput(input)
        a, b = self._checked(input)
        _subtract(a, b, self.resize("output", a.shape, like=a))
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        da, db = self._gradients(input)
        tensor.copy(gradOutput, da)
        _negative(gradOutput.reshape(db.shape), db)
        self.gradInput = [da, db]
        return self.gradInput


class CMulTable(_Arithmetic):
    """The product of the tensors of a table.

    Shapes
    ------
    input   a table of tensors with equally many elements
    output  the shape of the first

    Raises ShapeError where the numbers of elements differ.  Source: Torch7's nn.CMulTable.

    >>> import numpy as np
    >>> CMulTable().forward([np.full(2, 3, np.float32), np.array([1, 2], np.float32)])
    array([3., 6.], dtype=float32)
    """

    bufferNames = ("_parts", "_product")
    backwardNeeds = frozenset({"input"})

    def __init__(self):
        super().__init__()
        self._product = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        tensors = self._checked(input)
        output = self.resize("output", input[0].shape, like=input[0])
        if len(tensors) == 1:
            tensor.copy(tensors[0], output)
        else:
            _multiply(tensors[0], tensors[1], output)
        for entry in tensors[2:]:
            _multiply(output, entry, output)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.gradInput = list(self._gradients(input))
        x, dx = _in_shape(input, input[0].shape), _in_shape(self.gradInput, input[0].shape)
        # dx[i] is gradOutput times all tensors before i, then times all after it: no
        # division, which would lose a product with a zero.
        last = len(x) - 1
        if last == 0:
            tensor.copy(gradOutput, dx[0])
            return self.gradInput
        before = gradOutput
        for index in range(1, last + 1):
            _multiply(before, x[index - 1], dx[index])
            before = dx[index]
        after = x[last]
        for index in range(last - 1, 0, -1):
            _multiply(dx[index], after, dx[index])
            product = self.resize("_product", input[0].shape, like=gradOutput)
            _multiply(after, x[index], product)
            after = product
        _multiply(gradOutput, after, dx[0])
        return self.gradInput


class CDivTable(_Arithmetic):
    """``y = a / b``

    Shapes
    ------
    input   a table of two tensors with equally many elements
    output  the shape of the first

    Raises ShapeError for another number of tensors, or of elements.  Source: Torch7's
    nn.CDivTable.

    >>> import numpy as np
    >>> CDivTable().forward([np.ones(2, np.float32), np.array([1, 4], np.float32)])
    array([1.  , 0.25], dtype=float32)
    """

    backwardNeeds = frozenset({"input"})
    length = 2

    def updateOutput(self, input):
        input = self.takeInput(input)
        a, b = self._checked(input)
        _divide(a, b, self.resize("output", a.shape, like=a))
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.gradInput = list(self._gradients(input))
        shape = gradOutput.shape
        _divide_grad(*_in_shape(input, shape), gradOutput, *_in_shape(self.gradInput, shape))
        return self.gradInput


class _Extremes(_Arithmetic):
    """What CMaxTable and CMinTable share: the number of each winner is kept for the gradient."""

    bufferNames = ("_parts", "_where")
    backwardNeeds = frozenset()
    ofTwo = ofMore = None

    def __init__(self):
        super().__init__()
        self._where = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        tensors = self._checked(input)
        output = self.resize("output", input[0].shape, like=input[0])
        where = self.resize("_where", input[0].shape, like=input[0])
        if len(tensors) == 1:
            tensor.copy(tensors[0], output)
            tensor.fill(where, 0)
        else:
            self.ofTwo(tensors[0], tensors[1], output, where)
        for index, entry in enumerate(tensors[2:], 2):
            self.ofMore(output, where, entry, output, where, index)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.gradInput = list(self._gradients(input))
        for index, dx in enumerate(_in_shape(self.gradInput, gradOutput.shape)):
            _pick(self._where, gradOutput, dx, index)
        return self.gradInput


class CMaxTable(_Extremes):
    """The largest of the tensors of a table, element by element.

    Shapes
    ------
    input   a table of tensors with equally many elements
    output  the shape of the first

    Of equal elements the first gets the gradient.  NaN counts as largest.  Raises
    ShapeError where the numbers of elements differ.  Source: Torch7's nn.CMaxTable.

    >>> import numpy as np
    >>> CMaxTable().forward([np.array([1, 5], np.float32), np.array([2, 3], np.float32)])
    array([2., 5.], dtype=float32)
    """

    ofTwo = kernels.elementwise(formulas.larger_of_two, outputs=2)
    ofMore = kernels.elementwise(formulas.larger, outputs=2)


class CMinTable(_Extremes):
    """The smallest of the tensors of a table, element by element.

    Shapes
    ------
    input   a table of tensors with equally many elements
    output  the shape of the first

    Of equal elements the first gets the gradient.  NaN counts as smallest.  Raises
    ShapeError where the numbers of elements differ.  Source: Torch7's nn.CMinTable.

    >>> import numpy as np
    >>> CMinTable().forward([np.array([1, 5], np.float32), np.array([2, 3], np.float32)])
    array([1., 3.], dtype=float32)
    """

    ofTwo = kernels.elementwise(formulas.smaller_of_two, outputs=2)
    ofMore = kernels.elementwise(formulas.smaller, outputs=2)


class CAddTensorTable(Module):
    """One tensor added to each of a table: ``y[i] = x + t[i]``.

    Shapes
    ------
    input   a table: the tensor x, and a table of tensors with as many elements
    output  a list of tensors, shaped as those of the table

    Raises ShapeError where the numbers of elements differ.  Source: Torch7's
    nn.CAddTensorTable.

    >>> import numpy as np
    >>> one = np.ones(2, np.float32)
    >>> CAddTensorTable().forward([one, [one, 2 * one]])
    [array([2., 2.], dtype=float32), array([3., 3.], dtype=float32)]
    """

    paramNames = ()
    bufferNames = ("_outputs", "_parts", "_sum")
    backwardNeeds = frozenset()

    def __init__(self):
        super().__init__()
        self._outputs = self._parts = self._sum = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input, 2)
        x, entries = input
        check.floating("input[0]", x)
        check.table("input[1]", entries)
        for index, entry in enumerate(entries):
            check.floating(f"input[1][{index}]", entry)
            if entry.size != x.size:
                raise ShapeError(f"input[1][{index}] must have as many elements as input[0], {x.shape}, "
                                 f"got {entry.shape}")
        kernels.of(x, *entries)
        self._outputs = _buffers(self._outputs, entries)
        for entry, output in zip(entries, self._outputs):
            _add(x.reshape(entry.shape), entry, output)
        self.output = list(self._outputs)
        return self.output

    def updateGradInput(self, input, gradOutput):
        (x, entries), gradOutput = self.takeGradOutput(input, gradOutput)
        self._sum = tensor.resize(self._sum, x.shape, x)
        self._parts = _buffers(self._parts, entries)
        for index, (dy, part) in enumerate(zip(gradOutput, self._parts)):
            tensor.copy(dy, part)
            dy = dy.reshape(x.shape)
            if index == 0:
                tensor.copy(dy, self._sum)
            else:
                _add(self._sum, dy, self._sum)
        self.gradInput = [self._sum, list(self._parts)]
        return self.gradInput


def _buffers(buffers, like):
    """A list of tensors shaped as *like*: those in *buffers* where they fit."""
    if buffers is None or len(buffers) != len(like):
        buffers = [None] * len(like)
    return [tensor.resize(buffer, entry.shape, entry) for buffer, entry in zip(buffers, like)]


class MixtureTable(Module):
    """Experts' outputs added up with the weights of a gater: ``y = sum of gate[e] * x[e]``.

    Parameters
    ----------
    dim : int or None
        Where the experts lie in a tensor of them, counted from 0 with the batch; negative
        counts from the end.  None is the first dimension of an example.  A table of
        experts has no use for it.

    Shapes
    ------
    input   a table: gate (N, E) or (E,); the experts' outputs, a table of E tensors
            (N, ...) or (...), or one tensor with E in dimension *dim*
    output  the shape of one expert's output

    Raises ShapeError where gate and experts do not fit each other.  Source: Torch7's
    nn.MixtureTable (Jacobs, Jordan, Nowlan and Hinton, 1991).

    >>> import numpy as np
    >>> gate, experts = np.array([0.25, 0.75]), [np.array([4.0, 0.0]), np.array([0.0, 8.0])]
    >>> MixtureTable().forward([gate, experts])
    array([1., 6.])
    """

    paramNames = ()
    bufferNames = ("_gradGate", "_gradExperts")
    backwardNeeds = frozenset({"input"})

    def __init__(self, dim=None):
        super().__init__()
        if dim is not None:
            check.integer(dim=dim)
        self.dim = dim
        self._gradGate = self._gradExperts = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input, 2)
        gate, experts = input
        check.floating("input[0]", gate)
        if gate.ndim not in (1, 2):
            raise ShapeError(f"input[0], the gate, must have shape (N, E) or (E,), got {gate.shape}")
        kernels.of(gate, *nested.leaves(experts))
        shape = self._expertShape(gate, experts)
        output = self.resize("output", shape, like=gate)
        gate, blocks = self._blocks(gate, experts)
        y = output.reshape(blocks[0].shape[0], blocks[0].shape[1], blocks[0].shape[3])
        K = kernels.of(gate)
        for index, block in enumerate(blocks):
            K.mixture_update_output(gate, block, y, index, index > 0)
        return output

    def updateGradInput(self, input, gradOutput):
        (gate, experts), gradOutput = self.takeGradOutput(input, gradOutput)
        self._gradGate = tensor.resize(self._gradGate, gate.shape, gate)
        if nested.is_table(experts):
            self._gradExperts = _buffers(self._gradExperts if isinstance(self._gradExperts, list) else None, experts)
            gradients = list(self._gradExperts)
        else:
            old = None if isinstance(self._gradExperts, list) else self._gradExperts
            gradients = self._gradExperts = tensor.resize(old, experts.shape, experts)
        dgate, dblocks = self._blocks(self._gradGate, gradients)
        gate, blocks = self._blocks(gate, experts)
        dy = gradOutput.reshape(blocks[0].shape[0], blocks[0].shape[1], blocks[0].shape[3])
        K = kernels.of(gate)
        for index, (block, dblock) in enumerate(zip(blocks, dblocks)):
            K.mixture_update_grad_input(gate, block, dy, dgate, dblock, index)
        self.gradInput = [self._gradGate, gradients]
        return self.gradInput

    def _expertShape(self, gate, experts):
        """The shape of one expert's output; raises ShapeError where the input does not fit."""
        count = gate.shape[-1]
        if nested.is_table(experts):
            check.table("input[1]", experts, count)
            for index, expert in enumerate(experts):
                check.shape(f"input[1][{index}]", expert, *experts[0].shape)
            shape = experts[0].shape
        else:
            check.is_tensor("input[1]", experts)
            axis = self._axis(gate, experts)
            if experts.shape[axis] != count:
                raise ShapeError(f"input[1] must have {count} experts in dimension {axis}, one for each number of "
                                 f"the gate, got shape {experts.shape}")
            shape = experts.shape[:axis] + experts.shape[axis + 1:]
        if gate.ndim == 2 and (not shape or shape[0] != gate.shape[0]):
            raise ShapeError(f"the experts' outputs must have the batch of the gate, {gate.shape[0]}, got {shape}")
        return shape

    def _axis(self, gate, experts):
        batch = gate.ndim - 1
        if self.dim is None:
            return check.dimension("dim", batch, experts.ndim)
        axis = check.dimension("dim", self.dim, experts.ndim)
        if axis < batch:
            raise ShapeError(f"dim {self.dim} is the batch: experts lie in a later dimension of {experts.shape}")
        return axis

    def _blocks(self, gate, experts):
        """The gate as (N, E); the experts as tensors (N, A, E, B), one for each call of the kernel."""
        N = gate.shape[0] if gate.ndim == 2 else 1
        if nested.is_table(experts):
            blocks = [expert.reshape(N, 1, 1, expert.size // N if N else 0) for expert in experts]
        else:
            axis, shape = self._axis(gate, experts), experts.shape
            A, B = math.prod(shape[gate.ndim - 1:axis]), math.prod(shape[axis + 1:])
            blocks = [experts.reshape(N, A, shape[axis], B)]
        return gate.reshape(N, gate.shape[-1]), blocks

    def describe(self):
        return "" if self.dim is None else f"{self.dim}"
