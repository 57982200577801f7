"""Recurrent cells that take one time step at a time: LSTM, FastLSTM, GRU, Mufuru.

The protocol is in steps.py; what wraps any module is in recurrence.py.
"""
import math

import numpy as np

from . import check, init, kernels, tensor
from .steps import AbstractRecurrent


class _Cell(AbstractRecurrent):
    """The base of cells with kernels of their own: states are (N, H), inputs (N, D) or (D,)."""

    _stateCount = 1

    def __init__(self, inputSize, outputSize, rho):
        super().__init__(rho)
        check.positive(inputSize=inputSize, outputSize=outputSize)
        self.inputSize = inputSize
        self.outputSize = outputSize

    def _allocate(self, **shapes):
        for name, shape in shapes.items():
            setattr(self, name, tensor.empty(shape, np.float32))
            setattr(self, "grad" + name[0].upper() + name[1:], tensor.zeros(shape, np.float32))
        self._shapes = dict(shapes)
        self.reset()

    def _normal(self, names, stdv):
        """Draw the weights *names* as SeqLSTM and SeqGRU draw theirs."""
        for name in names:
            init.normal(getattr(self, name), 1 / math.sqrt(self.inputSize + self.outputSize)
                        if stdv is None else stdv)

    def firstStates(self, frame, input):
        check.floating("input", input)
        x = check.batched("input", input, "N", self.inputSize)
        return [frame.zeros(f"first{k}", (x.shape[0], self.outputSize), x) for k in range(self._stateCount)]

    def stepForward(self, frame, input, states):
        check.floating("input", input)
        x = check.batched("input", input, "N", self.inputSize)
        check.shape("input", x, states[0].shape[0], self.inputSize, hint="every step needs the same batch")
        check.parameters(self, **self._shapes)
        K = kernels.of(input, *(getattr(self, name) for name in self.paramNames), *states)
        after = self._forward(K, frame, x, states)
        return after[0].reshape(*input.shape[:-1], self.outputSize), after

    def stepBackward(self, frame, input, states, gradOutput, gradStates, scale):
        N = states[0].shape[0]
        gradInput = frame.buffer("gradInput", input.shape, input) if self.needsGradInput else None
        dx = None if gradInput is None else gradInput.reshape(1, N, self.inputSize)
        K = kernels.of(gradOutput, *(getattr(self, name) for name in self.paramNames))
        return gradInput, self._backward(K, frame, gradOutput.reshape(1, N, self.outputSize), gradStates, dx)

    def stepAccumulate(self, frame, input, states, scale):
        K = kernels.of(input, *(getattr(self, "grad" + n[0].upper() + n[1:]) for n in self.paramNames))
        self._accumulate(K, frame, input.reshape(1, states[0].shape[0], self.inputSize), scale)

    def describe(self):
        return f"{self.inputSize} -> {self.outputSize}"


class _LSTM(_Cell):
    """What LSTM and FastLSTM share: kernels of a sequence of one step."""

    _stateCount = 2
    peephole = gradPeephole = None

    def _forward(self, K, frame, x, states):
        N, H = states[0].shape
        gates = frame.buffer("gates", (1, N, 4 * H), x)
        hidden, cell = frame.buffer("hidden", (2, N, H), x), frame.buffer("cell", (2, N, H), x)
        tensor.copy(states[0], hidden[0])
        tensor.copy(states[1], cell[0])
        K.lstm_update_output(x[None], self.weight, self.bias, self.peephole, None, None, None,
                             gates, hidden, cell, None, None)
        return [hidden[1], cell[1]]

    def _backward(self, K, frame, dy, later, dx):
        _, N, H = dy.shape
        gradients = []
        for k in range(2):
            d = frame.buffer(f"d{k}", (N, H), dy)
            tensor.fill(d, 0) if later[k] is None else tensor.copy(later[k].reshape(N, H), d)
            gradients.append(d)
        gates, cell = frame.buffers["gates"], frame.buffers["cell"]
        dz, dm = frame.buffer("dz", (1, N, 4 * H), dy), frame.buffer("dm", (N, H), dy)
        K.lstm_update_grad_input(gates, cell, self.weight, self.peephole, None, None, None,
                                 dy, dz, None, dm, *gradients, dx)
        return gradients

    def _accumulate(self, K, frame, x, scale):
        b = frame.buffers
        K.lstm_acc_grad_parameters(x, b["hidden"], b["cell"], None, b["dz"], None,
                                   self.gradWeight, self.gradBias, self.gradPeephole, None, scale)

    def reset(self, stdv=None):
        """Draw weight from N(0, stdv), by default 1 / sqrt(rows); bias is 0, and 1 at the forget gate."""
        self._normal(("weight",), stdv)
        init.constant(self.bias, 0)
        init.constant(self.bias[self.outputSize:2 * self.outputSize], 1)
        return self


class LSTM(_LSTM):
    """One step of a long short-term memory with peepholes from the cell to the gates.

    ``i = sigmoid([x, h'] W + b + p c')``, f likewise, ``g = tanh([x, h'] W + b)``,
    ``c = f c' + i g``, ``o = sigmoid([x, h'] W + b + p c)``, ``h = o tanh(c)``, where
    c' and h' are of the step before.

    Parameters
    ----------
    inputSize : int
        Features of the input.
    outputSize : int
        Features of the output.
    rho : int
        How many steps back from the last one backward goes.
    cell2gate : bool
        False leaves the peepholes out; that is a FastLSTM.

    Shapes
    ------
    input     (N, inputSize) or (inputSize,), one step
    output    (N, outputSize) or (outputSize,): h
    weight    (inputSize + outputSize, 4 outputSize), columns i, f, o, g; gradWeight the same
    bias      (4 outputSize,), gradBias the same
    peephole  (3, outputSize) for i, f, o, gradPeephole the same; None without cell2gate

    See AbstractRecurrent for steps and states.  In rnn's own files the blocks of W are
    Linear modules, transposed, and the peepholes are CMul.  Source: Element-Research's
    rnn, nn.LSTM (Graves, Mohamed and Hinton, 2013).

    >>> step = LSTM(3, 4)
    >>> [step.forward(np.ones((2, 3), np.float32)).shape for _ in range(5)][-1], step.step
    ((2, 4), 5)
    """

    paramNames = ("weight", "bias", "peephole")

    def __init__(self, inputSize, outputSize, rho=9999, cell2gate=True):
        super().__init__(inputSize, outputSize, rho)
        check.boolean(cell2gate=cell2gate)
        shapes = {"peephole": (3, outputSize)} if cell2gate else {}
        self._allocate(weight=(inputSize + outputSize, 4 * outputSize), bias=(4 * outputSize,), **shapes)

    def reset(self, stdv=None):
        """As FastLSTM; the peepholes from N(0, stdv) too, by default 1 / sqrt(outputSize)."""
        super().reset(stdv)
        if self.peephole is not None:
            init.normal(self.peephole, 1 / math.sqrt(self.outputSize) if stdv is None else stdv)
        return self

    def describe(self):
        return super().describe() + ("" if self.peephole is not None else ", no peepholes")


class FastLSTM(_LSTM):
    """One step of a long short-term memory, without peepholes: the cell of SeqLSTM.

    ``i, f, o = sigmoid([x, h'] W + b)``, ``g = tanh([x, h'] W + b)``,
    ``c = f c' + i g``, ``h = o tanh(c)``, where c' and h' are of the step before.

    Parameters
    ----------
    inputSize : int
        Features of the input.
    outputSize : int
        Features of the output.
    rho : int
        How many steps back from the last one backward goes.

    Shapes
    ------
    input   (N, inputSize) or (inputSize,), one step
    output  (N, outputSize) or (outputSize,): h
    weight  (inputSize + outputSize, 4 outputSize), columns i, f, o, g; gradWeight the same
    bias    (4 outputSize,), gradBias the same

    See AbstractRecurrent for steps and states.  rnn's own weights are those of two
    Linear modules, transposed, with the gates in the order i, g, f, o.  Source:
    Element-Research's rnn, nn.FastLSTM.
    """

    paramNames = ("weight", "bias")

    def __init__(self, inputSize, outputSize, rho=9999):
        super().__init__(inputSize, outputSize, rho)
        self._allocate(weight=(inputSize + outputSize, 4 * outputSize), bias=(4 * outputSize,))


class GRU(_Cell):
    """One step of a gated recurrent unit: the cell of SeqGRU.

    ``r, u = sigmoid([x, h'] A + a)``, ``k = tanh([x, r h'] C + c)``,
    ``h = (1 - u) k + u h'``, where h' is of the step before.

    Parameters
    ----------
    inputSize : int
        Features of the input.
    outputSize : int
        Features of the output.
    rho : int
        How many steps back from the last one backward goes.

    Shapes
    ------
    input        (N, inputSize) or (inputSize,), one step
    output       (N, outputSize) or (outputSize,): h
    weightGates  (inputSize + outputSize, 2 outputSize): A, columns r, u; gradWeightGates the same
    biasGates    (2 outputSize,), gradBiasGates the same
    weight       (inputSize + outputSize, outputSize): C; gradWeight the same
    bias         (outputSize,), gradBias the same

    See AbstractRecurrent for steps and states.  Source: Element-Research's rnn,
    nn.GRU (Cho et al., 2014).
    """

    paramNames = ("weightGates", "biasGates", "weight", "bias")

    def __init__(self, inputSize, outputSize, rho=9999):
        super().__init__(inputSize, outputSize, rho)
        rows = inputSize + outputSize
        self._allocate(weightGates=(rows, 2 * outputSize), biasGates=(2 * outputSize,),
                       weight=(rows, outputSize), bias=(outputSize,))

    def reset(self, stdv=None):
        """Draw the weights from N(0, stdv), by default 1 / sqrt(rows); biases are 0, and 1 at the gate u."""
        self._normal(("weightGates", "weight"), stdv)
        init.constant(self.bias, 0)
        init.constant(self.biasGates, 0)
        init.constant(self.biasGates[self.outputSize:], 1)
        return self

    def _forward(self, K, frame, x, states):
        N, H = states[0].shape
        hidden = frame.buffer("hidden", (2, N, H), x)
        tensor.copy(states[0], hidden[0])
        K.gru_update_output(x[None], self.weightGates, self.biasGates, self.weight, self.bias, None, None,
                            frame.buffer("a", (1, N, 2 * H), x), frame.buffer("k", (1, N, H), x),
                            frame.buffer("q", (1, N, H), x), hidden, None)
        return [hidden[1]]

    def _backward(self, K, frame, dy, later, dx):
        _, N, H = dy.shape
        d = frame.buffer("d", (N, H), dy)
        tensor.fill(d, 0) if later[0] is None else tensor.copy(later[0].reshape(N, H), d)
        b = frame.buffers
        K.gru_update_grad_input(b["hidden"], b["a"], b["k"], self.weightGates, self.weight, None, None, dy,
                                frame.buffer("da", (1, N, 2 * H), dy), frame.buffer("dk", (1, N, H), dy),
                                frame.buffer("dq", (N, H), dy), d, dx)
        return [d]

    def _accumulate(self, K, frame, x, scale):
        b = frame.buffers
        K.gru_acc_grad_parameters(x, b["hidden"], b["q"], b["da"], b["dk"], self.gradWeightGates,
                                  self.gradBiasGates, self.gradWeight, self.gradBias, scale)


#: What a Mufuru can do with its old state s and its new feature v, in the kernels' order.
_OPERATIONS = ("keep", "replace", "mul", "diff", "forget", "sqrt_diff", "max", "min")


class Mufuru(_Cell):
    """One step of a multi-function recurrent unit: the new state is a mixture of operations.

    ``r = sigmoid([x, h'] R + b)``, ``v = sigmoid([x, r h'] V + c)``,
    ``p = softmax over the operations of [x, h'] P + d``, for each unit on its own;
    ``h = sum over the operations of p op(h', v)``, where h' is of the step before.

    Parameters
    ----------
    inputSize : int
        Features of the input.
    outputSize : int
        Features of the output.
    ops : sequence of str or None
        The operations, of "keep" (h'), "replace" (v), "mul" (h' v), "diff" (h' - v),
        "forget" (0), "sqrt_diff" (sqrt(|h' - v|) / 4), "max" and "min"; None means
        all.  "keep" and "replace" alone make a GRU of a kind.
    rho : int
        How many steps back from the last one backward goes.

    Shapes
    ------
    input          (N, inputSize) or (inputSize,), one step
    output         (N, outputSize) or (outputSize,): h
    weightReset    (inputSize + outputSize, outputSize): R
    weightFeature  (inputSize + outputSize, outputSize): V
    weightOps      (inputSize + outputSize, len(ops) outputSize): P, operation by operation
    biasReset, biasFeature, biasOps  one for each column

    See AbstractRecurrent for steps and states.  Source: Element-Research's rnn,
    nn.MuFuRu (Weissenborn and Rocktaeschel, 2016).
    """

    paramNames = ("weightReset", "biasReset", "weightFeature", "biasFeature", "weightOps", "biasOps")

    def __init__(self, inputSize, outputSize, ops=None, rho=9999):
        super().__init__(inputSize, outputSize, rho)
        self.ops = _OPERATIONS if ops is None else tuple(ops)
        if not self.ops or any(op not in _OPERATIONS for op in self.ops):
            raise ValueError(f"ops must be some of {', '.join(_OPERATIONS)}, got {ops!r}")
        self._codes = np.array([_OPERATIONS.index(op) for op in self.ops], np.int64)
        rows, H = inputSize + outputSize, outputSize
        self._allocate(weightReset=(rows, H), biasReset=(H,), weightFeature=(rows, H), biasFeature=(H,),
                       weightOps=(rows, len(self.ops) * H), biasOps=(len(self.ops) * H,))

    def reset(self, stdv=None):
        """Draw the weights from N(0, stdv), by default 1 / sqrt(rows); biases are 0."""
        self._normal(("weightReset", "weightFeature", "weightOps"), stdv)
        for bias in (self.biasReset, self.biasFeature, self.biasOps):
            init.constant(bias, 0)
        return self

    def _forward(self, K, frame, x, states):
        s = states[0]
        (N, H), D = s.shape, self.inputSize
        r, v = frame.buffer("r", (N, H), x), frame.buffer("v", (N, H), x)
        q, p = frame.buffer("q", (N, H), x), frame.buffer("p", (N, len(self.ops), H), x)
        y = frame.buffer("y", (N, H), x)
        for w, b, state, out in ((self.weightReset, self.biasReset, s, r),
                                 (self.weightOps, self.biasOps, s, p.reshape(N, len(self.ops) * H)),
                                 (self.weightFeature, self.biasFeature, q, v)):
            if out is v:
                _sigmoid(r, r)
                _multiply(r, s, q)
            K.gemm(x, w[:D], out, bias=b)
            K.gemm(state, w[D:], out, 1.0, 1.0)
        _sigmoid(v, v)
        K.mufuru_update_output(s, v, self._codes, p, y)
        frame.state = s
        return [y]

    def _backward(self, K, frame, dy, later, dx):
        b, s, D = frame.buffers, frame.state, self.inputSize
        N, H = s.shape
        dh = frame.sum("dh", dy.reshape(N, H), later[0])
        dp = frame.buffer("dp", b["p"].shape, dy)
        ds, dv = frame.buffer("ds", (N, H), dy), frame.buffer("dv", (N, H), dy)
        K.mufuru_update_grad_input(s, b["v"], self._codes, b["p"], dh, dp, ds, dv)
        flat = dp.reshape(N, b["p"].shape[1] * H)
        dq, dr = frame.buffer("dq", (N, H), dy), frame.buffer("dr", (N, H), dy)
        _sigmoid_grad(b["v"], dv, dv)
        K.gemm(dv, self.weightFeature[D:], dq, trans_b=True)
        _multiply(dq, s, dr)
        _sigmoid_grad(b["r"], dr, dr)
        _multiply(dq, b["r"], dq)
        _add(ds, dq, ds)
        K.gemm(dr, self.weightReset[D:], ds, 1.0, 1.0, trans_b=True)
        K.gemm(flat, self.weightOps[D:], ds, 1.0, 1.0, trans_b=True)
        if dx is not None:
            dx = dx[0]
            K.gemm(dv, self.weightFeature[:D], dx, trans_b=True)
            K.gemm(dr, self.weightReset[:D], dx, 1.0, 1.0, trans_b=True)
            K.gemm(flat, self.weightOps[:D], dx, 1.0, 1.0, trans_b=True)
        return [ds]

    def _accumulate(self, K, frame, x, scale):
        b, s, D = frame.buffers, frame.state, self.inputSize
        N, H = s.shape
        for d, state, dw, db in (
                (b["dr"], s, self.gradWeightReset, self.gradBiasReset),
                (b["dv"], b["q"], self.gradWeightFeature, self.gradBiasFeature),
                (b["dp"].reshape(N, b["p"].shape[1] * H), s, self.gradWeightOps, self.gradBiasOps)):
            K.gemm(x[0], d, dw[:D], scale, 1.0, trans_a=True)
            K.gemm(state, d, dw[D:], scale, 1.0, trans_a=True)
            K.sum_rows(d, db, scale)

    def describe(self):
        return super().describe() + ": " + ", ".join(self.ops)


_sigmoid = kernels.elementwise(kernels.formulas.sigmoid)
_sigmoid_grad = kernels.elementwise(kernels.formulas.sigmoid_grad)
_multiply = kernels.elementwise(kernels.formulas.multiply)
_add = kernels.elementwise(kernels.formulas.add)
