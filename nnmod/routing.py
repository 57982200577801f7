"""Entries of a table, led elsewhere: SelectTable, NarrowTable, FlattenTable, ZipTable, ZipTableOneToMany."""
from . import check, kernels, nested, tensor
from .errors import ShapeError
from .module import Module

_add = kernels.elementwise(kernels.formulas.add)


class _Leading(Module):
    """The base of modules that hand on entries of a table: their own buffers hold zeros at most."""

    paramNames = ()
    bufferNames = ("_zeros",)
    backwardNeeds = frozenset()
    sharesInput = True

    def __init__(self):
        super().__init__()
        self._zeros = None

    def _zerosLike(self, values):
        """Zeros shaped as the floating tensors of the table *values*; None for the others."""
        self._zeros = _zeros(self._zeros, values)
        return self._zeros.copy()


def _zeros(buffer, value):
    if nested.is_table(value):
        if not isinstance(buffer, list) or len(buffer) != len(value):
            buffer = [None] * len(value)
        return [_zeros(old, entry) for old, entry in zip(buffer, value)]
    if nested.is_named(value):
        buffer = buffer if isinstance(buffer, dict) else {}
        return {name: _zeros(buffer.get(name), entry) for name, entry in value.items()}
    if not tensor.is_tensor(value) or value.dtype.kind != "f":
        return None
    buffer = tensor.resize(buffer if tensor.is_tensor(buffer) else None, value.shape, value)
    tensor.fill(buffer, 0)
    return buffer


class SelectTable(_Leading):
    """One entry of a table; no number is copied.

    Parameters
    ----------
    index : int or str
        Which one, counted from 0; negative counts from the end.  A str is the name of an
        entry of a dict.

    Shapes
    ------
    input   a table: a list, or for a name a dict
    output  its entry, a tensor or a table

    The gradient of the other entries is 0.  Raises IndexError where there is no such
    entry, TypeError for a list where a name is wanted, or a dict for a number.  Source:
    Torch7's nn.SelectTable.

    >>> SelectTable(-1).forward([1, 2, 3]), SelectTable("b").forward({"a": 1, "b": 2})
    (3, 2)
    """

    def __init__(self, index):
        super().__init__()
        if not isinstance(index, str) and not check.is_int(index):
            raise ValueError(f"index must be an int, counted from 0, or the name of an entry, got {index!r}")
        self.index = index

    def updateOutput(self, input):
        input = self.takeInput(input)
        self.output = input[self._place(input)]
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        chosen = self._place(input)
        if nested.is_named(input):
            others = {name: None if name == chosen else entry for name, entry in input.items()}
        else:
            others = [None if i == chosen else entry for i, entry in enumerate(input)]
        self.gradInput = self._zerosLike(others)
        self.gradInput[chosen] = gradOutput
        return self.gradInput

    def _place(self, input):
        """Where the entry stands in *input*: a name, or a number not below 0."""
        index = self.index
        if isinstance(index, str):
            if not nested.is_named(input):
                raise TypeError(f"input must be a dict with an entry {index!r}, got {tensor.describe(input)}")
            if index not in input:
                raise IndexError(f"entry {index!r} does not exist in a table with "
                                 + (", ".join(map(repr, input)) or "no entries"))
            return index
        check.table("input", input)
        if not -len(input) <= index < len(input):
            raise IndexError(f"entry {index} does not exist in a table of {len(input)} (counted from 0)")
        return index % len(input)

    def describe(self):
        return repr(self.index)


class NarrowTable(_Leading):
    """A run of entries of a table; no number is copied.

    Parameters
    ----------
    offset : int
        The first entry, counted from 0; negative counts from the end.
    length : int
        How many.

    Shapes
    ------
    input   a table
    output  a list of *length* entries

    The gradient of the other entries is 0.  Raises ShapeError where the table is too
    short.  Source: Torch7's nn.NarrowTable.

    >>> NarrowTable(1, 2).forward([1, 2, 3, 4]), NarrowTable(-2, 2).forward([1, 2, 3, 4])
    ([2, 3], [3, 4])
    """

    def __init__(self, offset, length=1):
        super().__init__()
        check.integer(offset=offset)
        check.positive(length=length)
        self.offset = offset
        self.length = length

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input)
        run = self._run(len(input))
        if run.start < 0 or run.stop > len(input):
            least = run.stop if self.offset >= 0 else max(-self.offset, self.length)
            raise ShapeError(f"input must be a table of at least {least} entries, got {len(input)}"
                             if len(input) < least else
                             f"{self.length} entries from {self.offset} on go beyond a table of {len(input)}")
        self.output = list(input[run.start:run.stop])
        return self.output

    def _run(self, count):
        """The entries' numbers in a table of *count*."""
        start = self.offset if self.offset >= 0 else count + self.offset
        return range(start, start + self.length)

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        run = self._run(len(input))
        self.gradInput = self._zerosLike([None if i in run else entry for i, entry in enumerate(input)])
        self.gradInput[run.start:run.stop] = gradOutput
        return self.gradInput

    def describe(self):
        return f"{self.offset}, {self.length}"


class FlattenTable(_Leading):
    """The tensors of nested tables as one table; no number is copied.

    Shapes
    ------
    input   a table of tensors and tables
    output  a list of its tensors, in order

    gradInput is nested as the input is.  Source: Torch7's nn.FlattenTable.

    >>> FlattenTable().forward([1, [2, [3]], 4])
    [1, 2, 3, 4]
    """

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input)
        self.output = list(nested.leaves(input))
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradients = iter(gradOutput)
        self.gradInput = nested.map(lambda _: next(gradients), input)
        return self.gradInput


class ZipTable(_Leading):
    """Tables of as many entries each, regrouped: ``[[a, b], [c, d]]`` becomes ``[[a, c], [b, d]]``.

    Shapes
    ------
    input   a table of tables of one length
    output  a list with one list for each place in them

    Raises ShapeError where their lengths differ.  Source: Torch7's nn.ZipTable.

    >>> ZipTable().forward([[1, 2, 3], [4, 5, 6]])
    [[1, 4], [2, 5], [3, 6]]
    """

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input)
        for index, entry in enumerate(input):
            check.table(f"input[{index}]", entry)
            check.table(f"input[{index}]", entry, len(input[0]))
        self.output = [list(entries) for entries in zip(*input)]
        return self.output

    def updateGradInput(self, input, gradOutput):
        _, gradOutput = self.takeGradOutput(input, gradOutput)
        self.gradInput = [list(entries) for entries in zip(*gradOutput)]
        return self.gradInput


class ZipTableOneToMany(_Leading):
    """One tensor beside each entry of a table: ``[x, [a, b]]`` becomes ``[[x, a], [x, b]]``.

    Shapes
    ------
    input   a table: a tensor, and a table
    output  a list of pairs

    The gradient of the tensor is the sum over the pairs.  Source: Torch7's
    nn.ZipTableOneToMany.

    >>> import numpy as np
    >>> ZipTableOneToMany().forward([np.ones(1), [2, 3]])
    [[array([1.]), 2], [array([1.]), 3]]
    """

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.table("input", input, 2)
        check.is_tensor("input[0]", input[0])
        check.table("input[1]", input[1])
        self.output = [[input[0], entry] for entry in input[1]]
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        total, = self._zerosLike([input[0]])
        if total is not None:
            for dy, _ in gradOutput:
                if dy is not None:
                    _add(total, dy, total)
        self.gradInput = [total, [dy for _, dy in gradOutput]]
        return self.gradInput
