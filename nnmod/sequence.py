"""Recurrent layers that take a whole sequence at once: SeqLSTM, SeqLSTMP, SeqGRU.

One product serves the input of all time steps, and each step is one fused kernel;
recurrent.py has the same cells a step at a time.
"""
import math

import numpy as np

from . import check, init, kernels, tensor
from .errors import ShapeError
from .joining import copy_slices
from .module import Module
from .recurrent import GRU, FastLSTM

_MODES = ("both", "train", "eval", "neither")


class _Sequence(Module):
    """What SeqLSTM and SeqGRU share: layout, lengths, and the state before the first step."""

    bufferNames = ("_steps", "_gradSteps", "_laidOut", "_gradLaidOut", "_hidden", "_emitted", "_dh", "_kept",
                   "gradPrevOutput", "userGradPrevOutput", "_firstThere", "_lastThere")
    backwardBuffers = ("_gradSteps", "_gradLaidOut")
    #: (name of the user's first state, name of the array of states, what is kept, gradient of the first)
    _states = (("userPrevOutput", "_hidden", "_kept", "_dh"),)
    backwardNeeds = frozenset({"input"})

    def __init__(self, inputsize, outputsize, batchfirst):
        super().__init__()
        check.positive(inputsize=inputsize, outputsize=outputsize)
        check.boolean(batchfirst=batchfirst)
        self.inputsize = inputsize
        self.outputsize = outputsize
        self.batchfirst = batchfirst
        self.lengths = None
        self.padding = "right"
        self.userPrevOutput = None
        self._first = self._last = None
        self._remember = "neither"
        self._mode = None  # whether the last forward was in training, once there was one
        for name in self.bufferNames:
            setattr(self, name, None)

    # -- variable lengths ---------------------------------------------------------

    def setLengths(self, lengths, padding="right"):
        """Say how many steps of each sequence of the batch are real; returns self.

        Parameters
        ----------
        lengths : int tensor (N,), a list of ints, or None
            None, the default, means all.  It holds until it is set again.
        padding : "right" or "left"
            Where the other steps are.  What they hold is never used: their outputs are
            0 and so are their gradients, and the state passes them by.
        """
        if padding not in ("right", "left"):
            raise ValueError(f'padding must be "right" or "left", got {padding!r}')
        if lengths is not None:
            lengths = np.array(tensor.host(lengths))
            if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any():
                raise ValueError("lengths must be a tensor of shape (N,) of ints >= 0, one for each "
                                 f"sequence, got {tensor.describe(lengths)}")
            lengths = lengths.astype(np.int64)
        self.lengths = lengths
        self.padding = padding
        return self

    def _setSpan(self, T, N):
        """Which steps are real, from lengths: first <= t < last."""
        if self.lengths is None:
            self._first = self._last = None
            return
        if self.lengths.shape != (N,) or (N and self.lengths.max() > T):
            raise ShapeError(
                f"lengths must be {N} numbers, one for each sequence of the batch, within 0..{T}, got "
                f"{self.lengths.tolist()}; setLengths(None) means that all steps are real")
        if self.padding == "right":
            self._first, self._last = np.zeros(N, np.int64), self.lengths
        else:
            self._first, self._last = T - self.lengths, np.full(N, T)

    def _span(self, like):
        """Which steps are real, on the device of *like*: two tensors, or None twice for all."""
        if self._first is None:
            return None, None
        return self._placed("_firstThere", self._first, like), self._placed("_lastThere", self._last, like)

    # -- the state between sequences ------------------------------------------------

    def remember(self, remember="both"):
        """When to go on from the state that the last forward ended with; returns self.

        "both", "train", "eval" (in training mode, in evaluation mode) or "neither",
        the default, which starts every sequence from 0.  The batch must keep its size.
        Gradients stop where a forward begins.
        """
        if remember not in _MODES:
            raise ValueError(f"remember must be one of {', '.join(_MODES)}, got {remember!r}")
        self._remember = remember
        return self

    def forget(self):
        """Start the next sequence from 0, whatever remember says; returns self."""
        self._mode = None
        return self

    def _remembers(self):
        return self._remember in ("both", "train" if self.train else "eval")

    def _setFirstStates(self, T, N, like):
        """Provide the arrays of states; fill entry 0 of each."""
        goesOn = self._remembers() and self._mode == self.train
        for user, states, kept, _ in self._states:
            given, last = getattr(self, user), getattr(self, kept)
            size = self._sizeOf(states)
            if given is None and goesOn and last is not None and last.shape != (N, size):
                raise ShapeError(f"the batch must have {last.shape[0]} sequences, as the last one had whose "
                                 f"state is remembered, got {N}; call forget() to start anew")
            array = self.resize(states, (T + 1, N, size), like=like)
            self._setState(array[0], user, given, last if goesOn else None)

    def _setState(self, target, name, given, otherwise=None):
        """Copy what the user gave to *target*, or *otherwise*, or 0."""
        if given is None:
            tensor.fill(target, 0) if otherwise is None else tensor.copy(otherwise, target)
            return
        check.is_tensor(name, given)
        if given.shape != target.shape and given[None].shape != target.shape:
            raise ShapeError(f"{name} must have shape {target.shape}, got {given.shape}")
        if given.dtype != target.dtype:
            raise TypeError(f"{name} must be {target.dtype.name} like the input, got {given.dtype.name}")
        tensor.copy(given, target)

    def _keepLastStates(self):
        self._mode = self.train
        if self._remembers():
            for _, states, kept, _ in self._states:
                array = getattr(self, states)
                tensor.copy(array[-1], self.resize(kept, array.shape[1:], like=array))

    # -- layout -----------------------------------------------------------------------

    def _timeFirst(self, value, name, size, laidOut, masked):
        """*value* as (T, N, size), the padding 0 if it is to be *masked*; copies go to buffers."""
        check.is_tensor(name, value)
        if value.ndim not in (2, 3) or value.shape[-1] != size:
            order = ("N", "T") if self.batchfirst else ("T", "N")
            raise ShapeError(f"{name} must have shape {check.show((*order, size))} or "
                             f"{check.show(('T', size))}, got {value.shape}")
        if value.ndim == 2:
            x = value[:, None]
        else:
            x = value.swapaxes(0, 1) if self.batchfirst else value
        if masked:
            self._setSpan(*x.shape[:2])
        masked = masked and self._first is not None
        if x is value and not masked:
            return value
        if tensor.is_dense(x) and not masked:
            return x.reshape(x.shape)
        copy = self.resize(laidOut, x.shape, like=x)
        tensor.copy(x, copy)
        if masked:
            for n, (first, last) in enumerate(zip(self._first, self._last)):
                copy[:first, n] = 0
                copy[last:, n] = 0
        return copy

    def _asGiven(self, name, steps, like):
        """(T, N, F) in the layout of *like*, as attribute *name*."""
        if like.ndim == 2:
            result = steps.reshape(steps.shape[0], steps.shape[2])
        elif self.batchfirst:
            result = self.resize(name, (steps.shape[1], steps.shape[0], steps.shape[2]), like=steps)
            tensor.copy(steps.swapaxes(0, 1), result)
            return result
        else:
            result = steps
        setattr(self, name, result)
        return result

    # -- the verbs ---------------------------------------------------------------------

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        x = self._timeFirst(input, "input", self.inputsize, "_laidOut", masked=True)
        T, N, _ = x.shape
        self._checkParameters()
        K = kernels.of(input, *(getattr(self, name) for name in self.paramNames))
        self._setFirstStates(T, N, x)
        y = None if self._first is None else self.resize("_emitted", (T, N, self.outputsize), like=x)
        self._runForward(K, x, y)
        self._keepLastStates()
        self._steps = x
        return self._asGiven("output", self._hidden[1:] if y is None else y, input)

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        dy = self._timeFirst(gradOutput, "gradOutput", self.outputsize, "_gradLaidOut", masked=False)
        x = self._steps
        for (_, states, _, gradient), name in zip(self._states, ("gradPrevOutput", "userNextGradCell")):
            buffer = self.resize(gradient, (x.shape[1], self._sizeOf(states)), like=x)
            self._setState(buffer, name, getattr(self, name))
        dx = self.resize("_gradSteps", x.shape, like=x) if self.needsGradInput else None
        self._runBackward(kernels.of(gradOutput, self.weight), dy, dx)
        self.userGradPrevOutput = self._dh
        if dx is None:
            self.gradInput = None
            return None
        return self._asGiven("gradInput", dx, input)

    def describe(self):
        return f"{self.inputsize} -> {self.outputsize}" + (", batch first" if self.batchfirst else "")


class SeqLSTM(_Sequence):
    """A long short-term memory over a whole sequence.

    ``i, f, o = sigmoid([x, h'] W + b)``, ``g = tanh([x, h'] W + b)``,
    ``c = f c' + i g``, ``h = o tanh(c)``, where c' and h' are of the step before.

    Parameters
    ----------
    inputsize : int
        Features of a step of the input.
    hiddensize : int
        Features of a step of the output.
    batchfirst : bool
        The batch is the first dimension of input and output, and time the second.

    Shapes
    ------
    input   (T, N, inputsize), with batchfirst (N, T, inputsize); (T, inputsize) for one sequence
    output  the same with hiddensize features: h of every step
    weight  (inputsize + hiddensize, 4 hiddensize), columns i, f, o, g; gradWeight the same
    bias    (4 hiddensize,), gradBias the same

    ``setLengths`` says how long each sequence of a batch is; zeros in the data are
    data (rnn's maskzero took them for padding).  ``remember`` and ``forget`` say
    whether a forward goes on where the last one ended.

    The state may come from elsewhere and its gradient go there, as between an encoder
    and a decoder.  The tensors ``userPrevOutput`` and ``userPrevCell``, (N,
    hiddensize) or None, are the state before the first step, with or without
    remember; ``backward`` leaves their gradients in ``userGradPrevOutput`` and
    ``userGradPrevCell``.  ``gradPrevOutput`` and ``userNextGradCell`` are gradients
    of the state after the last step, which backward adds; set them to None again when
    they no longer hold.  ``lastOutput`` and ``lastCell`` are that state.

    Raises ShapeError for another number of features, or lengths that do not fit.
    Source: Element-Research's rnn, nn.SeqLSTM (Hochreiter and Schmidhuber, 1997).

    >>> SeqLSTM(3, 4).forward(np.ones((5, 2, 3), np.float32)).shape
    (5, 2, 4)
    """

    bufferNames = (*_Sequence.bufferNames, "_gates", "_cell", "_keptCell", "_dz", "_dm", "_dc", "_mixed",
                   "_dr", "userNextGradCell", "userGradPrevCell")
    backwardBuffers = (*_Sequence.backwardBuffers, "_dz", "_dm", "_dr")
    _states = (*_Sequence._states, ("userPrevCell", "_cell", "_keptCell", "_dc"))

    def __init__(self, inputsize, hiddensize, batchfirst=False):
        check.positive(hiddensize=hiddensize)
        self._build(inputsize, hiddensize, hiddensize, batchfirst)

    def _build(self, inputsize, hiddensize, outputsize, batchfirst):
        super().__init__(inputsize, outputsize, batchfirst)
        self.hiddensize = hiddensize
        self.userPrevCell = None
        self.weight = tensor.empty((inputsize + outputsize, 4 * hiddensize), np.float32)
        self.bias = tensor.empty((4 * hiddensize,), np.float32)
        self.gradWeight = tensor.zeros(self.weight.shape, np.float32)
        self.gradBias = tensor.zeros(self.bias.shape, np.float32)
        self._allocateProjection()
        self.reset()

    def _allocateProjection(self):
        """Make the projection, where a class has one."""

    #: The projection and its gradient: None but in SeqLSTMP.
    weightO = gradWeightO = None

    def reset(self, stdv=None):
        """Draw weight from N(0, stdv), by default 1 / sqrt(rows); bias is 0, and 1 at the forget gate."""
        init.normal(self.weight, 1 / math.sqrt(self.hiddensize + self.inputsize) if stdv is None else stdv)
        init.constant(self.bias, 0)
        init.constant(self.bias[self.hiddensize:2 * self.hiddensize], 1)
        return self

    @property
    def lastOutput(self):
        """h after the last step of the last forward, (N, outputsize); None before it."""
        return None if self._hidden is None else self._hidden[-1]

    @property
    def lastCell(self):
        """c after the last step of the last forward, (N, hiddensize); None before it."""
        return None if self._cell is None else self._cell[-1]

    def toFastLSTM(self):
        """A FastLSTM, the same cell a step at a time, that shares this module's parameters."""
        step = FastLSTM(self.inputsize, self.hiddensize).type(self._type)
        for name in ("weight", "bias", "gradWeight", "gradBias"):
            setattr(step, name, getattr(self, name))
        return step

    def _sizeOf(self, states):
        return self.outputsize if states == "_hidden" else self.hiddensize

    def _checkParameters(self):
        H = self.hiddensize
        check.parameters(self, weight=(self.inputsize + self.outputsize, 4 * H), bias=(4 * H,))

    def _runForward(self, K, x, y):
        T, N, _ = x.shape
        gates = self.resize("_gates", (T, N, 4 * self.hiddensize), like=x)
        mixed = None if self.weightO is None else self.resize("_mixed", (T, N, self.hiddensize), like=x)
        first, last = self._span(x)
        K.lstm_update_output(x, self.weight, self.bias, None, self.weightO, first, last,
                             gates, self._hidden, self._cell, mixed, y)

    def _runBackward(self, K, dy, dx):
        T, N, R = dy.shape
        dz = self.resize("_dz", (T, N, 4 * self.hiddensize), like=dy)
        dm = self.resize("_dm", (N, self.hiddensize), like=dy)
        dr = None if self.weightO is None else self.resize("_dr", (T, N, R), like=dy)
        first, last = self._span(dy)
        K.lstm_update_grad_input(self._gates, self._cell, self.weight, None, self.weightO,
                                 first, last, dy, dz, dr, dm, self._dh, self._dc, dx)
        self.userGradPrevCell = self._dc

    def accGradParameters(self, input, gradOutput, scale=1.0):
        self.takeGradOutput(input, gradOutput)
        K = kernels.of(self._steps, self.gradWeight, self.gradBias, self.gradWeightO)
        K.lstm_acc_grad_parameters(self._steps, self._hidden, self._cell, self._mixed, self._dz, self._dr,
                                   self.gradWeight, self.gradBias, None, self.gradWeightO, scale)


class SeqLSTMP(SeqLSTM):
    """A SeqLSTM whose output is projected: ``h = (o tanh(c)) weightO``.

    The projection, smaller than the hidden layer, is the output and what the next
    step sees of it.

    Parameters
    ----------
    inputsize, hiddensize, batchfirst
        As of SeqLSTM.
    outputsize : int
        Features of a step of the output.

    Shapes
    ------
    input    (T, N, inputsize), with batchfirst (N, T, inputsize); (T, inputsize) for one sequence
    output   the same with outputsize features
    weight   (inputsize + outputsize, 4 hiddensize), columns i, f, o, g; gradWeight the same
    bias     (4 hiddensize,), gradBias the same
    weightO  (hiddensize, outputsize), gradWeightO the same

    All else is as in SeqLSTM; ``userPrevOutput`` is (N, outputsize).  Source:
    Element-Research's rnn, nn.SeqLSTMP (Sak, Senior and Beaufays, 2014).

    >>> SeqLSTMP(3, 100, 4).forward(np.ones((5, 2, 3), np.float32)).shape
    (5, 2, 4)
    """

    paramNames = ("weight", "bias", "weightO")

    def __init__(self, inputsize, hiddensize, outputsize, batchfirst=False):
        check.positive(hiddensize=hiddensize)
        self._build(inputsize, hiddensize, outputsize, batchfirst)

    def _allocateProjection(self):
        self.weightO = tensor.empty((self.hiddensize, self.outputsize), np.float32)
        self.gradWeightO = tensor.zeros(self.weightO.shape, np.float32)

    def reset(self, stdv=None):
        """As SeqLSTM; weightO from N(0, stdv), by default 1 / sqrt(outputsize + hiddensize)."""
        super().reset(stdv)
        init.normal(self.weightO, 1 / math.sqrt(self.outputsize + self.hiddensize) if stdv is None else stdv)
        return self

    def toFastLSTM(self):
        """Raises NotImplementedError: a FastLSTM has no projection."""
        raise NotImplementedError("a FastLSTM has no projection, so a SeqLSTMP cannot become one")

    def _checkParameters(self):
        super()._checkParameters()
        check.parameters(self, weightO=(self.hiddensize, self.outputsize))

    def describe(self):
        return f"{self.inputsize} -> {self.hiddensize} -> {self.outputsize}" + (
            ", batch first" if self.batchfirst else "")


class SeqGRU(_Sequence):
    """A gated recurrent unit over a whole sequence.

    ``r, u = sigmoid([x, h'] W + b)``, ``k = tanh([x, r h'] W + b)``,
    ``h = (1 - u) k + u h'``, where h' is of the step before.

    Parameters
    ----------
    inputSize : int
        Features of a step of the input.
    outputSize : int
        Features of a step of the output.
    batchfirst : bool
        The batch is the first dimension of input and output, and time the second.

    Shapes
    ------
    input   (T, N, inputSize), with batchfirst (N, T, inputSize); (T, inputSize) for one sequence
    output  the same with outputSize features: h of every step
    weight  (inputSize + outputSize, 3 outputSize), columns r, u, k; gradWeight the same
    bias    (3 outputSize,), gradBias the same

    The reset gate acts before the product with the state (PyTorch's and cuDNN's GRU
    apply it after).  Lengths, remember and the states given by the user are as in
    SeqLSTM, without a cell.  Source: Element-Research's rnn, nn.SeqGRU (Cho et al., 2014).

    >>> SeqGRU(3, 4).forward(np.ones((5, 2, 3), np.float32)).shape
    (5, 2, 4)
    """

    bufferNames = (*_Sequence.bufferNames, "_a", "_k", "_q", "_da", "_dk", "_dq", "_wa", "_wc", "_ga", "_gc")
    backwardBuffers = (*_Sequence.backwardBuffers, "_da", "_dk", "_dq", "_ga", "_gc")

    def __init__(self, inputSize, outputSize, batchfirst=False):
        check.positive(inputSize=inputSize, outputSize=outputSize)
        super().__init__(inputSize, outputSize, batchfirst)
        self.weight = tensor.empty((inputSize + outputSize, 3 * outputSize), np.float32)
        self.bias = tensor.empty((3 * outputSize,), np.float32)
        self.gradWeight = tensor.zeros(self.weight.shape, np.float32)
        self.gradBias = tensor.zeros(self.bias.shape, np.float32)
        self.reset()

    def reset(self, stdv=None):
        """Draw weight from N(0, stdv), by default 1 / sqrt(rows); bias is 0, and 1 at the update gate."""
        init.normal(self.weight, 1 / math.sqrt(self.outputsize + self.inputsize) if stdv is None else stdv)
        init.constant(self.bias, 0)
        init.constant(self.bias[self.outputsize:2 * self.outputsize], 1)
        return self

    @property
    def lastOutput(self):
        """h after the last step of the last forward, (N, outputSize); None before it."""
        return None if self._hidden is None else self._hidden[-1]

    def toGRU(self):
        """A GRU, the same cell a step at a time, with copies of the parameters and their gradients."""
        H = self.outputsize
        step = GRU(self.inputsize, H).type(self._type)
        for source, gates, candidate in ((self.weight, step.weightGates, step.weight),
                                         (self.bias, step.biasGates, step.bias),
                                         (self.gradWeight, step.gradWeightGates, step.gradWeight),
                                         (self.gradBias, step.gradBiasGates, step.gradBias)):
            tensor.copy(source[..., :2 * H], gates)
            tensor.copy(source[..., 2 * H:], candidate)
        return step

    def _sizeOf(self, states):
        return self.outputsize

    def _checkParameters(self):
        H = self.outputsize
        check.parameters(self, weight=(self.inputsize + H, 3 * H), bias=(3 * H,))

    def _runForward(self, K, x, y):
        T, N, D = x.shape
        H = self.outputsize
        a = self.resize("_a", (T, N, 2 * H), like=x)
        k = self.resize("_k", (T, N, H), like=x)
        q = self.resize("_q", (T, N, H), like=x)
        # Products want dense operands: the columns of the gates and of the candidate apart.
        copy_slices(self.weight, 0, self.resize("_wa", (D + H, 2 * H), like=x), 0, 2 * H, 1)
        copy_slices(self.weight, 2 * H, self.resize("_wc", (D + H, H), like=x), 0, H, 1)
        first, last = self._span(x)
        K.gru_update_output(x, self._wa, self.bias[:2 * H], self._wc, self.bias[2 * H:],
                            first, last, a, k, q, self._hidden, y)

    def _runBackward(self, K, dy, dx):
        T, N, H = dy.shape
        da = self.resize("_da", (T, N, 2 * H), like=dy)
        dk = self.resize("_dk", (T, N, H), like=dy)
        dq = self.resize("_dq", (N, H), like=dy)
        first, last = self._span(dy)
        K.gru_update_grad_input(self._hidden, self._a, self._k, self._wa, self._wc, first, last,
                                dy, da, dk, dq, self._dh, dx)

    def accGradParameters(self, input, gradOutput, scale=1.0):
        self.takeGradOutput(input, gradOutput)
        H = self.outputsize
        K = kernels.of(self._steps, self.gradWeight, self.gradBias)
        ga = self.resize("_ga", self._wa.shape, like=self._wa)
        gc = self.resize("_gc", self._wc.shape, like=self._wc)
        copy_slices(self.gradWeight, 0, ga, 0, 2 * H, 1)
        copy_slices(self.gradWeight, 2 * H, gc, 0, H, 1)
        K.gru_acc_grad_parameters(self._steps, self._hidden, self._q, self._da, self._dk,
                                  ga, self.gradBias[:2 * H], gc, self.gradBias[2 * H:], scale)
        copy_slices(ga, 0, self.gradWeight, 0, 2 * H, 1)
        copy_slices(gc, 0, self.gradWeight, 2 * H, H, 1)
