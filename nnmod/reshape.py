"""The same numbers in another shape: Identity, View, Reshape, Squeeze, Unsqueeze, Collapse.

And what changes nothing but looks: Contiguous, PrintSize.
"""
import math

from . import check, tensor
from .errors import ShapeError
from .module import Module


class Identity(Module):
    """``y = x``: the output is the input itself.

    Shapes
    ------
    input   any tensor or table
    output  the same

    Source: Torch7's nn.Identity.

    >>> x = [1, [2, 3]]
    >>> Identity().forward(x) is x
    True
    """

    paramNames = ()
    backwardNeeds = frozenset()
    sharesInput = True

    def updateOutput(self, input):
        self.output = self.takeInput(input)
        return self.output

    def updateGradInput(self, input, gradOutput):
        self.gradInput = self.takeGradOutput(input, gradOutput)[1]
        return self.gradInput


class _Viewing(Module):
    """The base of modules whose output is the input in another shape: a view of it."""

    paramNames = ()
    bufferNames = ("_viewed",)
    backwardNeeds = frozenset()
    sharesInput = True

    def __init__(self):
        super().__init__()
        self._viewed = None

    def _outputShape(self, shape):
        """The shape of the output for an input of *shape*."""
        raise NotImplementedError(f"{type(self).__name__} must define _outputShape(shape)")

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.is_tensor("input", input)
        shape = self._outputShape(input.shape)
        # The same input object again: its view is still the right one.
        if self.output is None or input is not self._viewed or self.output.shape != shape:
            self.output = input.reshape(shape)
            self._viewed = input
        return self.output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.gradInput = None if gradOutput is None else gradOutput.reshape(input.shape)
        return self.gradInput


class _Reshaping(_Viewing):
    """What View and Reshape share: sizes."""

    def __init__(self, sizes, lowest):
        super().__init__()
        self._setSizes(sizes, lowest)

    def _setSizes(self, sizes, lowest):
        if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
            sizes = sizes[0]
        for size in sizes:
            if not check.is_int(size) or size < lowest or size == 0:
                allowed = "ints > 0" + (" and at most one -1" if lowest < 0 else "")
                raise ValueError(f"sizes must be {allowed}, got {tuple(sizes)}")
        if not sizes or list(sizes).count(-1) > 1:
            raise ValueError(f"sizes must name at least one size, and at most one -1, got {tuple(sizes)}")
        self.sizes = tuple(int(size) for size in sizes)
        self.numElements = math.prod(size for size in self.sizes if size > 0)

    def _mismatch(self, shape):
        return ShapeError(
            f"input must hold a multiple of {self.numElements} elements to be viewed as "
            f"{check.show(self.sizes)}, got shape {shape}")

    def describe(self):
        return ", ".join(map(str, self.sizes))


class View(_Reshaping):
    """The input seen in another shape; no number is copied.

    Parameters
    ----------
    *sizes : int
        The new shape, without the batch; one may be -1, which takes what is left.
    numInputDims : int or None
        How many dimensions one example of the input has.  What comes before them is
        the batch, and stays.  None lets the batch be what the sizes leave over: then a
        batch of one cannot be told from no batch and is dropped, as in Torch7.

    Shapes
    ------
    input   (N, ...) or (...)
    output  (N, *sizes) or sizes

    Raises ShapeError where the number of elements does not fit.  Source: Torch7's
    nn.View with setNumInputDims.

    >>> import numpy as np
    >>> View(800, numInputDims=3).forward(np.zeros((1, 50, 4, 4), np.float32)).shape
    (1, 800)
    """

    def __init__(self, *sizes, numInputDims=None):
        super().__init__(sizes, -1)
        self.setNumInputDims(numInputDims)

    def resetSize(self, *sizes):
        """View in another shape from the next forward on; returns self."""
        self._setSizes(sizes, -1)
        return self

    def setNumInputDims(self, numInputDims):
        """Say how many dimensions one example of the input has, or None; returns self."""
        if numInputDims is not None:
            check.positive(numInputDims=numInputDims)
        self.numInputDims = numInputDims
        return self

    def _outputShape(self, shape):
        one = len(shape) if self.numInputDims is None else self.numInputDims
        if one > len(shape):
            raise ShapeError(f"input must have at least {one} dimensions (numInputDims), got shape {shape}")
        split = len(shape) - one
        batch, elements = math.prod(shape[:split]), math.prod(shape[split:])
        if elements % self.numElements:
            raise self._mismatch(shape)
        if -1 in self.sizes:
            sizes = tuple(elements // self.numElements if n == -1 else n for n in self.sizes)
        else:
            sizes = self.sizes
            batch *= elements // self.numElements
        return sizes if batch == 1 and split == 0 else (batch, *sizes)

    def describe(self):
        known = "" if self.numInputDims is None else f", numInputDims={self.numInputDims}"
        return super().describe() + known


class Reshape(_Reshaping):
    """The input in another shape, with the first dimension as the batch or without one.

    Parameters
    ----------
    *sizes : int
        The new shape, without the batch.
    batchMode : bool or None
        True: the first dimension of the input is the batch and stays.  False: there is
        none.  None decides by the number of elements; a first dimension of 1 then
        counts as a batch.

    Shapes
    ------
    input   (N, ...) or (...)
    output  (N, *sizes) or sizes

    Raises ShapeError where the number of elements does not fit.  Source: Torch7's
    nn.Reshape.

    >>> import numpy as np
    >>> Reshape(4, 3).forward(np.zeros((5, 2, 6), np.float32)).shape
    (5, 4, 3)
    """

    def __init__(self, *sizes, batchMode=None):
        if len(sizes) > 1 and isinstance(sizes[-1], bool):  # Torch7 writes it as the last argument
            *sizes, batchMode = sizes
        super().__init__(tuple(sizes), 1)
        if batchMode is not None:
            check.boolean(batchMode=batchMode)
        self.batchMode = batchMode

    def _outputShape(self, shape):
        elements = math.prod(shape)
        batched = self.batchMode
        if batched is None:
            batched = elements != self.numElements or (len(shape) > 0 and shape[0] == 1)
        if not batched:
            if elements != self.numElements:
                raise self._mismatch(shape)
            return self.sizes
        if not shape or math.prod(shape[1:]) != self.numElements:
            raise self._mismatch(shape)
        return (shape[0], *self.sizes)

    def describe(self):
        known = "" if self.batchMode is None else f", batchMode={self.batchMode}"
        return super().describe() + known


class Squeeze(_Viewing):
    """Dimensions of size 1 left out; no number is copied.

    Parameters
    ----------
    dim : int or None
        The one to leave out if its size is 1, counted from 0; negative counts from the
        end.  None leaves out all of them.
    numInputDims : int or None
        How many dimensions one example has: with a batch in front, *dim* moves on by
        one and a batch of one stays.

    Shapes
    ------
    input   any
    output  the same sizes without those of 1; (1,) where nothing would be left

    Raises ShapeError where there is no such dimension.  Source: Torch7's nn.Squeeze.

    >>> import numpy as np
    >>> Squeeze().forward(np.zeros((3, 1, 4, 1), np.float32)).shape
    (3, 4)
    """

    def __init__(self, dim=None, numInputDims=None):
        super().__init__()
        if dim is not None:
            check.integer(dim=dim)
        if numInputDims is not None:
            check.positive(numInputDims=numInputDims)
        self.dim = dim
        self.numInputDims = numInputDims

    def _outputShape(self, shape):
        if self.dim is not None:
            axis = check.axis("dim", self.dim, len(shape), self.numInputDims)
            kept = shape[:axis] + shape[axis + 1:] if shape[axis] == 1 else shape
        else:
            batch = 1 if self.numInputDims is not None and len(shape) == self.numInputDims + 1 else 0
            kept = shape[:batch] + tuple(size for size in shape[batch:] if size != 1)
        return kept or (1,)

    def describe(self):
        known = [] if self.dim is None else [str(self.dim)]
        known += [] if self.numInputDims is None else [f"numInputDims={self.numInputDims}"]
        return ", ".join(known)


class Unsqueeze(_Viewing):
    """A dimension of size 1 put in; no number is copied.

    Parameters
    ----------
    pos : int
        Where it stands in the output, counted from 0; negative counts from the end.
    numInputDims : int or None
        How many dimensions one example has: what comes before them is batch, and *pos*
        is counted after it.

    Shapes
    ------
    input   any
    output  the same sizes and a 1 at *pos*

    Raises ShapeError where there is no such place.  Source: Torch7's nn.Unsqueeze.

    >>> import numpy as np
    >>> Unsqueeze(1).forward(np.zeros((2, 3), np.float32)).shape
    (2, 1, 3)
    """

    def __init__(self, pos, numInputDims=None):
        super().__init__()
        check.integer(pos=pos)
        if numInputDims is not None:
            check.positive(numInputDims=numInputDims)
        self.pos = pos
        self.numInputDims = numInputDims

    def _outputShape(self, shape):
        batch = 0 if self.numInputDims is None else len(shape) - self.numInputDims
        if batch < 0:
            raise ShapeError(f"input must have at least {self.numInputDims} dimensions (numInputDims), "
                             f"got shape {shape}")
        place = batch + check.dimension("pos", self.pos, len(shape) - batch + 1)
        return (*shape[:place], 1, *shape[place:])

    def describe(self):
        return f"{self.pos}" + ("" if self.numInputDims is None else f", numInputDims={self.numInputDims}")


class Collapse(_Viewing):
    """All dimensions of an example as one; no number is copied.

    Parameters
    ----------
    nInputDim : int
        How many dimensions one example has.  Where the input has more, its first is the
        batch and stays.

    Shapes
    ------
    input   (N, ...) or (...)
    output  (N, elements) or (elements,)

    Source: Torch7's nn.Collapse.

    >>> import numpy as np
    >>> Collapse(2).forward(np.zeros((5, 2, 3), np.float32)).shape
    (5, 6)
    """

    def __init__(self, nInputDim):
        super().__init__()
        check.positive(nInputDim=nInputDim)
        self.nInputDim = nInputDim

    def _outputShape(self, shape):
        batch = shape[:1] if len(shape) > self.nInputDim else ()
        return (*batch, math.prod(shape[len(batch):]))

    def describe(self):
        return f"{self.nInputDim}"


class Contiguous(Module):
    """``y = x``, copied if x does not lie in memory in one run, as kernels need it.

    Shapes
    ------
    input   any tensor or table
    output  the same

    Source: Torch7's nn.Contiguous.

    >>> import numpy as np
    >>> x = np.arange(6, dtype=np.float32).reshape(2, 3).T
    >>> x.flags.c_contiguous, Contiguous().forward(x).flags.c_contiguous
    (False, True)
    """

    paramNames = ()
    backwardNeeds = frozenset()
    sharesInput = True

    def updateOutput(self, input):
        self.output = self.takeInput(input)
        return self.output

    def updateGradInput(self, input, gradOutput):
        self.gradInput = self.takeGradOutput(input, gradOutput)[1]
        return self.gradInput


class PrintSize(Identity):
    """``y = x``: prints the shapes of input and gradOutput as they pass.

    Parameters
    ----------
    prefix : str
        What stands before them.

    Shapes
    ------
    input   any tensor or table
    output  the same

    Prints to ``sys.stdout``.  Source: Torch7's nn.PrintSize.

    >>> import numpy as np
    >>> y = PrintSize("fc").forward(np.zeros((2, 3), np.float32))
    fc:input float32 (2, 3)
    """

    def __init__(self, prefix=""):
        super().__init__()
        if not isinstance(prefix, str):
            raise ValueError(f"prefix must be a str, got {prefix!r}")
        self.prefix = prefix

    def updateOutput(self, input):
        print(f"{self.prefix}:input {tensor.describe(input)}")
        return super().updateOutput(input)

    def updateGradInput(self, input, gradOutput):
        print(f"{self.prefix}:gradOutput {tensor.describe(gradOutput)}")
        return super().updateGradInput(input, gradOutput)

    def describe(self):
        return repr(self.prefix) if self.prefix else ""
