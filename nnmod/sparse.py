"""Linear maps of inputs that are mostly 0: SparseLinear, IndexLinear."""
import math

import numpy as np

from . import check, geometry, init, kernels, nested, rows, tensor
from .errors import ShapeError
from .module import Module

_INT64 = np.dtype(np.int64)


class _Entries(Module):
    """The base of modules that take the features that are not 0, and their values."""

    bufferNames = ("_keys", "_values", "_offsets", "_where", "_dense_", "_gradForm")
    backwardNeeds = frozenset({"input"})
    accReadsGradInput = False
    updatesDirectly = True

    def __init__(self, inputSize, outputSize, doGradInput):
        super().__init__()
        check.positive(inputSize=inputSize, outputSize=outputSize)
        check.boolean(doGradInput=doGradInput)
        self.inputSize = inputSize
        self.outputSize = outputSize
        self.doGradInput = bool(doGradInput)
        self._keys = self._values = self._offsets = self._where = self._dense_ = self._gradForm = None

    def _room(self, entries, examples, like):
        """Buffers for the entries of a batch: keys, values, offsets, and where one is wrong."""
        return (self.resize("_keys", (entries,), like=like, dtype=_INT64),
                self.resize("_values", (entries,), like=like),
                self.resize("_offsets", (examples + 1,), like=like, dtype=_INT64),
                self.resize("_where", (1,), like=like, dtype=_INT64))

    def _gradients(self, scale):
        """What accGradParameters adds to, and with which scale: gradients, or parameters at once."""
        if self._rate is not None:
            return self.weight, self.bias, -self._rate * scale
        return self.gradWeight, self.gradBias, scale

    def describe(self):
        return f"{self.inputSize} -> {self.outputSize}"


class SparseLinear(_Entries):
    """Linear for inputs that are mostly 0: only the features that are given are worked on.

    Parameters
    ----------
    inputSize : int
        How many features there are.
    outputSize : int
        Features of a row of the output.
    doGradInput : bool
        True computes gradInput; otherwise it is None.

    Shapes
    ------
    input   pairs of a feature, counted from 0, and its value, in one of three forms: (M, 2)
            is one example; (N, M, 2) a batch with equally many pairs; and a table of N
            tensors (M_n, 2) a batch of any
    output  (outputSize,) for one example, (N, outputSize) for a batch
    gradInput  the form of the input with a pair for every feature: (inputSize, 2),
            (N, inputSize, 2), or a table of N tensors (inputSize, 2)
    weight  (outputSize, inputSize), gradWeight the same
    bias    (outputSize,), gradBias the same

    A feature may come several times: its values add up.  A pair with the value 0 does
    nothing, so it can fill up a batch.  After ``zeroGradParameters``, features that no
    input had cost nothing in ``updateParameters`` and in the next ``zeroGradParameters``;
    where you write into gradWeight yourself, use an optimizer of ``nnmod.optim``.

    Raises ShapeError for other shapes and IndexError for a feature that is no whole
    number 0 .. inputSize-1.  Source: Torch7's nn.SparseLinear.

    >>> layer = SparseLinear(1000, 2)
    >>> layer.forward([np.array([[3, 0.5], [999, 1]], np.float32), np.array([[7, 2]], np.float32)]).shape
    (2, 2)
    """

    sparseAxes = {"weight": 1}

    def __init__(self, inputSize, outputSize, doGradInput=False):
        super().__init__(inputSize, outputSize, doGradInput)
        like = self._type
        self.weight = tensor.empty((outputSize, inputSize), like)
        self.gradWeight = tensor.zeros((outputSize, inputSize), like)
        self.bias = tensor.empty((outputSize,), like)
        self.gradBias = tensor.zeros((outputSize,), like)
        self.reset()

    def reset(self, stdv=None):
        """Draw weight from U(-b, b): b = 1 / sqrt(inputSize), or std *stdv*; bias is a millionth of it."""
        bound = 1 / math.sqrt(self.inputSize) if stdv is None else stdv * math.sqrt(3)
        init.uniform(self.weight, bound)
        init.uniform(self.bias, bound * 1e-6)
        return self

    def updateOutput(self, input):
        input = self.takeInput(input)
        parts = self._parts(input)
        check.parameters(self, weight=(self.outputSize, self.inputSize), bias=(self.outputSize,))
        K = kernels.of(self.weight, self.bias, *parts)
        self._split(K, input, parts)
        examples = self._offsets.size - 1
        shape = (self.outputSize,) if _is_single(input) else (examples, self.outputSize)
        output = self.resize("output", shape, like=self.weight)
        K.sparse_linear_update_output(self._keys, self._values, self._offsets, self.weight, self.bias,
                                      geometry.with_batch(output, 2))
        return output

    def _parts(self, input):
        """The tensors of *input*, a list, after their shapes are checked."""
        if nested.is_table(input):
            check.table("input", input)
            for index, part in enumerate(input):
                check.floating(f"input[{index}]", part)
                check.shape(f"input[{index}]", part, f"M{index}", 2)
            return list(input)
        check.floating("input", input)
        if input.ndim not in (2, 3) or input.shape[-1] != 2:
            raise ShapeError("input must have shape (M, 2) or (N, M, 2), pairs of a feature and its value, or be "
                             f"a table of (M, 2), got {input.shape}")
        return [input]

    def _split(self, K, input, parts):
        entries = sum(part.size // 2 for part in parts)
        table = nested.is_table(input)
        examples = len(parts) if table else input.shape[0] if input.ndim == 3 else 1
        keys, values, offsets, where = self._room(entries, examples, parts[0])
        start = 0
        for index, part in enumerate(parts):
            stop = start + part.size // 2
            K.split_pairs(part.reshape(-1, 2), keys[start:stop], values[start:stop], where, self.inputSize)
            wrong = int(tensor.host(where)[0])
            if wrong >= 0:
                self._refuse(f"input[{index}]" if table else "input", part, wrong)
            if table:
                offsets[index], offsets[index + 1] = start, stop
            start = stop
        if not table:
            K.even_offsets(offsets, input.shape[-2])

    def _refuse(self, name, part, row):
        place = ", ".join(str(int(i)) for i in np.unravel_index(row, part.shape[:-1]))
        feature = float(part.reshape(-1, 2)[row, 0])
        raise IndexError(f"{name}[{place}] has the feature {feature:g}, but features are whole "
                         f"numbers 0..{self.inputSize - 1} (nnmod counts from 0; Torch7 files are converted on load)")

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.gradInput = None
        if not self.doGradInput:
            return None
        K = kernels.of(gradOutput, self.weight)
        dy = geometry.with_batch(gradOutput, 2)
        dense = self.resize("_dense_", (dy.shape[0], self.inputSize), like=dy)
        K.gemm(dy, self.weight, dense)
        pairs = self.resize("_gradForm", (*dense.shape, 2), like=dy)
        K.join_pairs(dense, pairs)
        self.gradInput = list(pairs) if nested.is_table(input) else pairs[0] if input.ndim == 2 else pairs
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        weight, bias, scale = self._gradients(scale)
        K = kernels.of(gradOutput, weight, bias)
        dy = geometry.with_batch(gradOutput, 2)
        K.sparse_linear_acc_grad_parameters(self._keys, self._values, self._offsets, dy, weight, scale)
        K.sum_rows(dy, bias, scale)
        if self._rate is None:
            rows.note(self.gradWeight, 1, self._keys)


def _is_single(input):
    return not nested.is_table(input) and input.ndim == 2


class IndexLinear(_Entries):
    """Linear for inputs of few features among very many, given by keys and values.

    Parameters
    ----------
    inputSize : int or None
        How many features there are; None with *weight*.
    outputSize : int or None
        Features of a row of the output; None with *weight*.
    doGradInput : bool
        True computes gradInput; otherwise it is None.  Not with *normalize*.
    keysOffset : int
        Added to every key.
    weight, bias : tensor or None
        Parameters to use as they are, such as those of another module; the module then
        has their type.  None makes them, of zeros.
    normalize : bool
        Divide each value by the greatest absolute value that its feature has had in
        training, clip it to -1..1, and add a learned number for each feature.

    Shapes
    ------
    input   a table, in one of three forms: [keys (M,), values (M,)] is one example;
            [keys (M,), values (M,), sizes (N,)] a batch, one example after the other, of
            sizes[n] entries each; [[keys (M_n,), ...], [values (M_n,), ...]] a batch too.
            Keys and sizes are int32 or int64; keys + keysOffset count from 0
    output  (outputSize,) for one example, (N, outputSize) for a batch
    gradInput  [keys, values] of every feature: (inputSize,) each, or (N, inputSize) each, or
            two tables of N tensors (inputSize,)
    weight  (inputSize, outputSize), gradWeight the same
    bias    (outputSize,), gradBias the same
    featureBias  (inputSize,) with normalize, else None; gradFeatureBias the same
    maxima  (inputSize,) with normalize, else None: the greatest absolute values

    A key may come several times: its values add up.  After ``zeroGradParameters``,
    features that no input had cost nothing in ``updateParameters`` and in the next
    ``zeroGradParameters``; ``accUpdateGradParameters`` and ``backwardUpdate`` need no
    gradient at all.  Where you write into gradWeight yourself, use an optimizer of
    ``nnmod.optim``.

    Raises ShapeError for other shapes and IndexError for a key outside.  Source:
    Torch7's nn.IndexLinear (which keeps featureBias and maxima in columns of weight).

    >>> layer = IndexLinear(1_000_000, 2)
    >>> layer.forward([np.array([5, 70_000]), np.array([0.5, 2], np.float32)])
    array([0., 0.], dtype=float32)
    """

    paramNames = ("weight", "bias", "featureBias")
    sparseAxes = {"weight": 0}
    bufferNames = (*_Entries.bufferNames, "_before", "_normalized", "_gradKeys")

    def __init__(self, inputSize, outputSize, doGradInput=False, keysOffset=0, weight=None, bias=None,
                 normalize=False):
        if weight is not None:
            check.floating("weight", weight)
            inputSize, outputSize = check.shape("weight", weight, inputSize or "inputSize",
                                                outputSize or "outputSize")
        super().__init__(inputSize, outputSize, doGradInput)
        check.boolean(normalize=normalize)
        if not check.is_int(keysOffset):
            raise ValueError(f"keysOffset must be an int, got {keysOffset!r}")
        if doGradInput and normalize:
            raise ValueError("doGradInput and normalize cannot both be True: "
                             "a running maximum has no gradient by the input")
        self.keysOffset = keysOffset
        self.normalize = bool(normalize)
        if weight is not None:
            self._type = tensor.type_name(weight.dtype)
        like = self._type
        self.weight = tensor.zeros((inputSize, outputSize), like) if weight is None else weight
        self.gradWeight = tensor.zeros((inputSize, outputSize), like)
        if bias is not None:
            check.shape("bias", bias, outputSize)
            check.type_is("bias", bias, self._type)
        self.bias = tensor.zeros((outputSize,), like) if bias is None else bias
        self.gradBias = tensor.zeros((outputSize,), like)
        self.featureBias = self.gradFeatureBias = self.maxima = None
        if normalize:
            self.featureBias, self.gradFeatureBias, self.maxima = (
                tensor.zeros((inputSize,), like) for _ in range(3))
            self.sparseAxes = {"weight": 0, "featureBias": 0}
            self.stateNames = ("maxima",)
        self._before = self._normalized = self._gradKeys = None

    def reset(self, stdv=None):
        """Draw weight from U(-b, b): b = 1 / sqrt(outputSize), with normalize of 4 more, or std *stdv*.

        bias is a millionth of it; featureBias and maxima are 0.
        """
        size = self.outputSize + 4 * self.normalize  # the columns of Torch7's weight
        bound = 1 / math.sqrt(size) if stdv is None else stdv * math.sqrt(3)
        init.uniform(self.weight, bound)
        init.uniform(self.bias, bound * 1e-6)
        if self.normalize:
            init.constant(self.featureBias, 0)
            init.constant(self.maxima, 0)
        return self

    def updateOutput(self, input):
        input = self.takeInput(input)
        self._checkForm(input)
        check.parameters(self, weight=(self.inputSize, self.outputSize), bias=(self.outputSize,),
                         featureBias=(self.inputSize,))
        if self.normalize:
            check.shape("maxima", self.maxima, self.inputSize)
        K = kernels.of(self.weight, self.bias, self.featureBias, self.maxima, *nested.leaves(input[1]))
        self._gather(K, input)
        values = self._values
        self._stateMoved = False
        if self.normalize:
            values = self.resize("_normalized", values.shape, like=values)
            before = self.resize("_before", values.shape, like=values)
            K.index_normalize(self._keys, self._values, self.featureBias, self.maxima, before, values, self.train)
            self._keptState, self._stateMoved = {}, self.train
        examples = self._offsets.size - 1
        shape = (self.outputSize,) if _is_one(input) else (examples, self.outputSize)
        output = self.resize("output", shape, like=self.weight)
        K.index_linear_update_output(self._keys, values, self._offsets, self.weight, self.bias,
                                     geometry.with_batch(output, 2))
        return output

    def _checkForm(self, input):
        if not nested.is_table(input):
            raise TypeError("input must be a table [keys, values] or [keys, values, sizes], "
                            f"got {tensor.describe(input)}")
        if len(input) not in (2, 3):
            raise ShapeError(f"input must be a table of 2 or 3 entries, keys, values and sizes, got {len(input)}")
        keys, values = input[:2]
        if nested.is_table(keys):
            check.table("input[0]", keys)
            check.table("input[1]", values, len(keys))
            if len(input) == 3:
                raise ShapeError("input must have no sizes where keys and values are tables: "
                                 "each tensor has its own")
        else:
            keys, values = [keys], [values]
        for index, (k, v) in enumerate(zip(keys, values)):
            at = f"[{index}]" if keys is input[0] else ""
            check.integers(f"input[0]{at}", k)
            check.floating(f"input[1]{at}", v)
            if k.ndim != 1 or v.shape != k.shape:
                raise ShapeError(f"input[0]{at} and input[1]{at} must have shape (M,), as many values as keys, "
                                 f"got {k.shape} and {v.shape}")
        if len(input) == 3:
            check.integers("input[2]", input[2])
            check.shape("input[2]", input[2], "N")

    def _gather(self, K, input):
        """The entries of *input* in buffers, keys with keysOffset added, after their range is checked."""
        lists = nested.is_table(input[0])
        parts = list(zip(*input)) if lists else [input[:2]]
        entries = sum(keys.size for keys, _ in parts)
        examples = input[2].size if len(input) == 3 else len(parts)
        keys, values, offsets, where = self._room(entries, examples, parts[0][1])
        start = 0
        for index, (own, numbers) in enumerate(parts):
            K.first_outside(own, where, -self.keysOffset, self.inputSize - self.keysOffset)
            wrong = int(tensor.host(where)[0])
            if wrong >= 0:
                name = f"input[0][{index}]" if lists else "input[0]"
                raise IndexError(
                    f"{name}[{wrong}] is {int(own[wrong])}, but keys are {-self.keysOffset}.."
                    f"{self.inputSize - self.keysOffset - 1} "
                    "(nnmod counts from 0; Torch7 files are converted on load)")
            stop = start + own.size
            K.shift_keys(own, keys[start:stop], self.keysOffset)
            tensor.copy(numbers, values[start:stop])
            if index < examples:
                offsets[index], offsets[index + 1] = start, stop
            start = stop
        if len(input) == 3:
            K.entry_offsets(input[2], offsets, where)
            wrong = int(tensor.host(where)[0])
            if wrong >= 0 or int(offsets[-1]) != entries:
                raise ShapeError(f"input[2], the sizes, must be >= 0 and add up to the {entries} keys, got a sum of "
                                 f"{int(tensor.host(input[2]).sum())}" + (" with one below 0" if wrong >= 0 else ""))

    def _restoreState(self):
        kernels.of(self.maxima).index_restore(self._keys, self._before, self.maxima)

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.gradInput = None
        if not self.doGradInput:
            return None
        K = kernels.of(gradOutput, self.weight)
        dy = geometry.with_batch(gradOutput, 2)
        shape = dy.shape[0], self.inputSize
        values = self.resize("_gradForm", shape, like=dy)
        K.gemm(dy, self.weight, values, trans_b=True)
        if self._gradKeys is None or self._gradKeys.shape != shape:
            keys = self.resize("_gradKeys", shape, like=dy, dtype=_INT64)
            tensor.copy(np.arange(self.inputSize) - self.keysOffset, keys)
        self.gradInput = [self._gradKeys, values]
        if _is_one(input):
            self.gradInput = [self._gradKeys[0], values[0]]
        elif nested.is_table(input[0]):
            self.gradInput = [list(self._gradKeys), list(values)]
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        weight, bias, scale = self._gradients(scale)
        K = kernels.of(gradOutput, weight, bias)
        dy = geometry.with_batch(gradOutput, 2)
        values = self._values
        if self.normalize:
            values = self._normalized
            # Before the weights move, in a direct step: it reads them.
            K.index_acc_grad_shift(self._keys, self._offsets, dy, self.weight,
                                   self.gradFeatureBias if self._rate is None else self.featureBias, scale)
        K.index_linear_acc_grad_parameters(self._keys, values, self._offsets, dy, weight, scale)
        K.sum_rows(dy, bias, scale)
        if self._rate is None:
            for name in self.sparseAxes:
                rows.note(self.gradWeight if name == "weight" else self.gradFeatureBias, 0, self._keys)

    def describe(self):
        text = super().describe()
        if self.keysOffset:
            text += f", keysOffset {self.keysOffset}"
        return text + (", normalize" if self.normalize else "")


def _is_one(input):
    """Whether *input* is one example: a tensor of keys and one of values."""
    return len(input) == 2 and not nested.is_table(input[0])
