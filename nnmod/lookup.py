"""Rows of a learned table: LookupTable."""
import numpy as np

from . import check, init, kernels, tensor
from .errors import ShapeError
from .module import Module


class LookupTable(Module):
    """Rows of a table, picked by number: ``y = weight[input]``.  Also called an embedding.

    Parameters
    ----------
    nIndex : int
        How many rows the table has.
    nOutput : int
        The length of a row.
    paddingValue : int or None
        An index whose row gets no gradient.
    maxNorm : float or None
        forward scales every row that it meets, and whose norm is above maxNorm, down to it.
    normType : float
        Which norm: 2 is Euclid's, 1 the sum of absolute values.

    Shapes
    ------
    input   (N,), (N, T) or any other; int32 or int64, each 0 .. nIndex-1
    output  the shape of input, then nOutput
    weight  (nIndex, nOutput), gradWeight the same

    ``gradInput`` is None: indices have no gradient.  Raises TypeError for other dtypes
    and IndexError for an index outside.  Source: Torch7's nn.LookupTable.

    >>> table = LookupTable(4, 2)
    >>> table.weight[...] = [[0, 1], [10, 11], [20, 21], [30, 31]]
    >>> table.forward(np.array([2, 0]))
    array([[20., 21.],
           [ 0.,  1.]], dtype=float32)
    """

    paramNames = ("weight",)
    bufferNames = ("_where", "_counts")
    backwardNeeds = frozenset({"input"})
    accReadsGradInput = False
    updatesDirectly = True

    def __init__(self, nIndex, nOutput, paddingValue=None, maxNorm=None, normType=2):
        super().__init__()
        check.positive(nIndex=nIndex, nOutput=nOutput)
        self.nIndex = nIndex
        self.nOutput = nOutput
        self.shouldScaleGradByFreq = False
        self._where = self._counts = None
        self.setPadding(paddingValue).setMaxNorm(maxNorm).setNormType(normType)
        like = self._type
        self.weight = tensor.empty((nIndex, nOutput), like)
        self.gradWeight = tensor.zeros((nIndex, nOutput), like)
        self.reset()

    def setPadding(self, paddingValue):
        """Give the row *paddingValue* no gradient; None: every row has one.  Returns self."""
        if paddingValue is not None and not (check.is_int(paddingValue) and 0 <= paddingValue < self.nIndex):
            raise ValueError(f"paddingValue must be None or an index 0..{self.nIndex - 1}, got {paddingValue!r}")
        self.paddingValue = paddingValue
        return self

    def setMaxNorm(self, maxNorm):
        """Keep the norms of rows within *maxNorm*; None: leave them.  Returns self."""
        if maxNorm is not None:
            check.number(maxNorm=maxNorm)
            if maxNorm <= 0:
                raise ValueError(f"maxNorm must be > 0, got {maxNorm}")
        self.maxNorm = maxNorm
        return self

    def setNormType(self, normType):
        """Which norm *maxNorm* means; returns self."""
        check.number(normType=normType)
        if normType <= 0:
            raise ValueError(f"normType must be > 0, got {normType}")
        self.normType = normType
        return self

    def scaleGradByFreq(self):
        """Divide the gradient of a row by how often the input has its index; returns self."""
        self.shouldScaleGradByFreq = True
        return self

    def accUpdateOnly(self):
        """Drop gradWeight, to save its memory; returns self.

        The table then learns by ``backwardUpdate`` and ``accUpdateGradParameters``
        alone, of itself or of a network that it is in.  Its weight is no longer among
        the ``parameters()``.
        """
        self.gradWeight = None
        self.paramNames, self.stateNames = (), ("weight",)
        return self

    def reset(self, stdv=None):
        """Draw weight from the normal distribution of standard deviation *stdv*, 1 by default."""
        init.normal(self.weight, 1.0 if stdv is None else stdv)
        return self

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.integers("input", input)
        if input.ndim == 0:
            raise ShapeError("input must have one dimension or more, got a single number; use input[None]")
        size = self.nIndex, self.nOutput
        if self.paramNames:
            check.parameters(self, weight=size)
        else:
            check.shape("weight", self.weight, *size)
        indices = self.renorm(input)
        K = kernels.of(self.weight)
        output = self.resize("output", (*input.shape, self.nOutput), like=self.weight)
        K.lookup_update_output(indices, self.weight, output.reshape(indices.size, self.nOutput))
        return output

    def renorm(self, input):
        """Scale the rows that *input* names down to *maxNorm*, where that is set; forward does so.

        input  indices of any shape; what comes back is them, in one dimension
        """
        check.integers("input", input)
        indices = input.reshape(-1)
        K = kernels.of(self.weight)
        self._checkRange(K, input, indices)
        if self.maxNorm is not None:
            K.lookup_renorm(indices, self.weight, self.maxNorm, self.normType)
        return indices

    def _checkRange(self, K, input, indices):
        where = self.resize("_where", (1,), like=self.weight, dtype=_INT64)
        check.same_device("input", input, "weight", self.weight)
        K.first_outside(indices, where, 0, self.nIndex)
        first = int(tensor.host(where)[0])
        if first >= 0:
            place = ", ".join(str(int(i)) for i in np.unravel_index(first, input.shape))
            raise IndexError(
                f"input[{place}] is {int(indices[first])}, but indices are 0..{self.nIndex - 1} "
                "(nnmod counts from 0; Torch7 files are converted on load)")

    def updateGradInput(self, input, gradOutput):
        self.takeGradOutput(input, gradOutput)
        self.gradInput = None
        return None

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        target = self.gradWeight
        if self._rate is not None:
            target, scale = self.weight, -self._rate * scale
        elif target is None:
            raise RuntimeError(f"{self!r} has no gradWeight after accUpdateOnly(): "
                               "use backwardUpdate or accUpdateGradParameters")
        K = kernels.of(gradOutput, target)
        indices = input.reshape(-1)
        counts = None
        if self.shouldScaleGradByFreq:
            counts = self.resize("_counts", (self.nIndex,), like=target, dtype=_INT32)
            K.lookup_count(indices, counts)
        K.lookup_acc_grad_parameters(indices, gradOutput.reshape(indices.size, self.nOutput), counts, target,
                                     scale, -1 if self.paddingValue is None else self.paddingValue)

    def describe(self):
        text = f"{self.nIndex} x {self.nOutput}"
        if self.paddingValue is not None:
            text += f", padding {self.paddingValue}"
        if self.maxNorm is not None:
            text += f", maxNorm {self.maxNorm:g}" + (f", normType {self.normType:g}" if self.normType != 2 else "")
        return text


_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)
