"""Recurrent cells that take one time step at a time: LSTM, FastLSTM, GRU, MuFuRu.

The protocol is in steps.py; what wraps any module is in recurrence.py, and gates.py has the
parts of cells that are made of modules.
"""
import math

import numpy as np

from . import check, gates, init, kernels, tensor
from .module import Module
from .stateful import gradient_name
from .step_of_modules import StepOfModules


class _Cell(StepOfModules):
    """The base of cells: states are (N, H), inputs (N, D) or (D,).

    A cell runs in kernels of its own, on parameters that *_shapes* names.  With noise or
    statistics between the gates, or where a subclass replaces one of *factories*, it is
    made of modules instead: *recurrentModule*, a function of the input and the states.
    """

    _stateCount = 1
    #: Methods that make the parts of the cell; their results are used if a subclass has others.
    factories = ()

    def __init__(self, inputSize, outputSize, rho, p=0.0, mono=False):
        super().__init__(rho)
        check.positive(inputSize=inputSize, outputSize=outputSize)
        check.number(p=p)
        check.boolean(mono=mono)
        if not 0 <= p < 1:
            raise ValueError(f"p must be within 0 <= p < 1, got {p}")
        if mono and not p:
            raise ValueError("mono says that all rows get the same noise, and p=0 asks for none")
        self.inputSize = inputSize
        self.outputSize = outputSize
        self.p = p
        self.mono = mono

    def _build(self, ofModules=False, **shapes):
        """Provide parameters of *shapes*, or, if need be, the modules."""
        replaced = [name for name in self.factories if getattr(type(self), name).__module__ != __name__]
        if not (ofModules or self.p or replaced):
            self._allocate(**shapes)
            return
        self.paramNames = ()
        self._count = 1
        self._setChildren([self.buildModel()])

    def _allocate(self, **shapes):
        for name, shape in shapes.items():
            setattr(self, name, tensor.empty(shape, np.float32))
            setattr(self, gradient_name(name), tensor.zeros(shape, np.float32))
        self._shapes = dict(shapes)
        self.reset()

    @property
    def recurrentModule(self):
        """The module that a step runs, where the cell is made of modules; else None."""
        return self.modules[0] if self.modules else None

    @property
    def accumulatesInBackward(self):
        """Whether backward adds the parameters' gradients as it goes: modules do."""
        return bool(self.modules)

    def _childrenOfInput(self):
        return []  # the module's gradInput has the gradients of the states too

    def reset(self, stdv=None):
        """Draw the parameters anew; modules as each of them does."""
        if self.modules:
            return super().reset(stdv)
        self._draw(stdv)
        return self

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
        if self.modules:
            after = self._forwardModule(frame, x, states)
        else:
            check.parameters(self, **self._shapes)
            K = kernels.of(input, *(getattr(self, name) for name in self.paramNames), *states)
            after = self._forwardKernel(K, frame, x, states)
        return after[0].reshape(*input.shape[:-1], self.outputSize), after

    def stepBackward(self, frame, input, states, gradOutput, gradStates, scale):
        N = states[0].shape[0]
        dy = gradOutput.reshape(N, self.outputSize)
        if self.modules:
            gradients = self._backwardModule(frame, states, dy, gradStates, scale)
            return gradients[0].reshape(input.shape), gradients[1:]
        gradInput = frame.buffer("gradInput", input.shape, input) if self.needsGradInput else None
        dx = None if gradInput is None else gradInput.reshape(1, N, self.inputSize)
        K = kernels.of(gradOutput, *(getattr(self, name) for name in self.paramNames))
        return gradInput, self._backwardKernel(K, frame, dy[None], gradStates, dx)

    def stepAccumulate(self, frame, input, states, scale):
        if self.modules:
            self._run(frame, 0, "accGradParameters", frame.table, frame.gradient, scale)
            return
        K = kernels.of(input, *(getattr(self, gradient_name(name)) for name in self.paramNames))
        self._accumulate(K, frame, input.reshape(1, states[0].shape[0], self.inputSize), scale)

    # -- made of modules: [x, states ...] -> the states after it, or the one there is --------

    def _forwardModule(self, frame, x, states):
        frame.table = [x, *states]
        result = self._forward(frame, 0, frame.table)
        after = [result] if self._stateCount == 1 else result
        check.same_shape(f"what the module of {type(self).__name__} returns", after, "the states", states)
        return after

    def _backwardModule(self, frame, states, dy, later, scale):
        total = [frame.sum("total", dy, later[0])]
        for k, gradient in enumerate(later[1:], 1):
            total.append(frame.zeros(f"none{k}", states[k].shape, dy) if gradient is None
                         else gradient.reshape(states[k].shape))
        frame.gradient = total[0] if self._stateCount == 1 else total
        return self._backward(frame, 0, frame.table, frame.gradient, scale)

    # -- kernels: what a cell writes ----------------------------------------------------------

    def _later(self, frame, later, like):
        """Gradients of the states that come from later steps, in buffers that kernels go on with."""
        for k, gradient in enumerate(later):
            d = frame.buffer(f"d{k}", like.shape[1:], like)
            tensor.fill(d, 0) if gradient is None else tensor.copy(gradient.reshape(d.shape), d)
            yield d

    def __repr__(self):
        return super().__repr__() if self.modules else Module.__repr__(self)

    def describe(self):
        return f"{self.inputSize} -> {self.outputSize}" + (f", p={self.p:g}" if self.p else "") + (
            ", mono" if self.mono else "")


class _LSTM(_Cell):
    """What LSTM and FastLSTM share: kernels of a sequence of one step."""

    _stateCount = 2
    factories = ("buildModel",)
    peephole = gradPeephole = None

    def _forwardKernel(self, K, frame, x, states):
        N, H = states[0].shape
        gates = frame.buffer("gates", (1, N, 4 * H), x)
        hidden, cell = frame.buffer("hidden", (2, N, H), x), frame.buffer("cell", (2, N, H), x)
        tensor.copy(states[0], hidden[0])
        tensor.copy(states[1], cell[0])
        K.lstm_update_output(x[None], self.weight, self.bias, self.peephole, None, None, None,
                             gates, hidden, cell, None, None)
        return [hidden[1], cell[1]]

    def _backwardKernel(self, K, frame, dy, later, dx):
        _, N, H = dy.shape
        gradients = list(self._later(frame, later, dy))
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
        """Draw weight from N(0, stdv), by default 1 / sqrt(rows); bias is 0, and 1 at the forget gate.

        Peepholes come from N(0, stdv), too, by default 1 / sqrt(outputSize); modules draw
        as each of them does.
        """
        return super().reset(stdv)

    def _draw(self, stdv):
        self._normal(("weight",), stdv)
        init.constant(self.bias, 0)
        init.constant(self.bias[self.outputSize:2 * self.outputSize], 1)
        if self.peephole is not None:
            init.normal(self.peephole, 1 / math.sqrt(self.outputSize) if stdv is None else stdv)


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
    p : float
        In training, what goes into each gate is dropped with this probability, by noise that
        stays the same over a sequence; do not drop the input besides.
    mono : bool
        The same noise for all rows of a batch.

    Shapes
    ------
    input     (N, inputSize) or (inputSize,), one step
    output    (N, outputSize) or (outputSize,): h
    weight    (inputSize + outputSize, 4 outputSize), columns i, f, o, g; gradWeight the same
    bias      (4 outputSize,), gradBias the same
    peephole  (3, outputSize) for i, f, o, gradPeephole the same; None without cell2gate

    With p, or in a subclass with a factory of its own (buildModel, buildCell, buildHidden,
    buildGate, buildInputGate, buildForgetGate, buildOutputGate), the cell is made of
    modules, ``recurrentModule``, and these have the parameters.

    See AbstractRecurrent for steps and states.  In rnn's own files the blocks of W are
    Linear modules, transposed, and the peepholes are CMul.  Source: Element-Research's
    rnn, nn.LSTM (Graves, Mohamed and Hinton, 2013; for p, Gal and Ghahramani, 2016).

    >>> step = LSTM(3, 4)
    >>> [step.forward(np.ones((2, 3), np.float32)).shape for _ in range(5)][-1], step.step
    ((2, 4), 5)
    """

    paramNames = ("weight", "bias", "peephole")
    factories = ("buildModel", "buildCell", "buildHidden", "buildGate", "buildInputGate", "buildForgetGate",
                 "buildOutputGate")

    def __init__(self, inputSize, outputSize, rho=9999, cell2gate=True, p=0.0, mono=False):
        super().__init__(inputSize, outputSize, rho, p, mono)
        check.boolean(cell2gate=cell2gate)
        self.cell2gate = cell2gate
        shapes = {"peephole": (3, outputSize)} if cell2gate else {}
        self._build(weight=(inputSize + outputSize, 4 * outputSize), bias=(4 * outputSize,), **shapes)

    def buildGate(self):
        """A gate: a module ``[x, h', c] -> (N, outputSize)``, c' instead of c but for the output gate."""
        if self.cell2gate:
            return gates.sigmoid_of(gates.peephole_sums(self.inputSize, self.outputSize, self.p, self.mono))
        return gates.Sequential(gates.NarrowTable(0, 2), gates.sigmoid_of(
            gates.sums(self.inputSize, self.outputSize, 1, self.p, self.mono)))

    def buildInputGate(self):
        """The gate i."""
        return self.buildGate()

    def buildForgetGate(self):
        """The gate f."""
        return self.buildGate()

    def buildOutputGate(self):
        """The gate o, which sees the new cell."""
        return self.buildGate()

    def buildHidden(self):
        """The candidate g: a module ``[x, h', c'] -> (N, outputSize)``."""
        return gates.Sequential(gates.NarrowTable(0, 2), gates.tanh_of(
            gates.sums(self.inputSize, self.outputSize, 1, self.p, self.mono)))

    def buildCell(self):
        """The new cell: a module ``[x, h', c'] -> f c' + i g``."""
        return gates.plus(gates.times(self.buildForgetGate(), gates.SelectTable(2)),
                          gates.times(self.buildInputGate(), self.buildHidden()))

    def buildModel(self):
        """The whole step: a module ``[x, h', c'] -> [h, c]``."""
        return gates.lstm_of_parts(self.buildCell(), self.buildOutputGate())

    def describe(self):
        return super().describe() + ("" if self.cell2gate else ", no peepholes")


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
    eps, momentum, affine : float, float, bool or None
        With bn, as of BatchNormalization; None means 0.1, 0.1 and True.
    p, mono : float, bool
        Noise, as of LSTM.
    bn : bool or None
        True normalises over the batch what W makes of x, what it makes of h', and c on its
        way to h; None takes the attribute of the class, False unless ``FastLSTM.bn`` was set.

    Shapes
    ------
    input   (N, inputSize) or (inputSize,), one step
    output  (N, outputSize) or (outputSize,): h
    weight  (inputSize + outputSize, 4 outputSize), columns i, f, o, g; gradWeight the same
    bias    (4 outputSize,), gradBias the same

    With bn or p, or in a subclass with a buildModel of its own, the cell is made of
    modules, ``recurrentModule``, and these have the parameters.  (rnn's ``usenngraph``
    said what its cell was made of; it made no difference to the numbers.)

    See AbstractRecurrent for steps and states.  rnn's own weights are those of two
    Linear modules, transposed, with the gates in the order i, g, f, o.  Source:
    Element-Research's rnn, nn.FastLSTM; for bn, Cooijmans et al., 2017.

    >>> step = FastLSTM(3, 4)
    >>> step.forward(np.ones((2, 3), np.float32)).shape, step.weight.shape
    ((2, 4), (7, 16))
    """

    paramNames = ("weight", "bias")
    #: Whether instances normalise their sums over the batch; scripts set it on the class.
    bn = False

    def __init__(self, inputSize, outputSize, rho=9999, eps=None, momentum=None, affine=None, p=0.0, mono=False,
                 bn=None):
        super().__init__(inputSize, outputSize, rho, p, mono)
        self.bn = self.bn if bn is None else bn
        check.boolean(bn=self.bn)
        if self.bn and p:
            raise ValueError("a FastLSTM has bn or p, not both: noise would be normalised away")
        if not self.bn and not eps is momentum is affine is None:
            raise ValueError("eps, momentum and affine are of the normalisation that bn=True asks for")
        self.eps = 0.1 if eps is None else eps
        self.momentum = 0.1 if momentum is None else momentum
        self.affine = True if affine is None else affine
        self._build(self.bn, weight=(inputSize + outputSize, 4 * outputSize), bias=(4 * outputSize,))

    def buildModel(self):
        """The whole step, where it is made of modules: ``[x, h', c'] -> [h, c]``."""
        D, H = self.inputSize, self.outputSize
        sums, statistics = gates.sums(D, H, 4, self.p, self.mono), None
        if self.bn:
            options = self.eps, self.momentum, self.affine
            sums, statistics = gates.normalized_sums(D, H, 4, *options), gates.BatchNormalization(H, *options)
        return gates.lstm_of_gates(gates.Sequential(sums, gates.apart(H, *gates.lstm_transfers())), statistics)

    def describe(self):
        return super().describe() + (", bn" if self.bn else "")


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
    p, mono : float, bool
        Noise, as of LSTM.

    Shapes
    ------
    input        (N, inputSize) or (inputSize,), one step
    output       (N, outputSize) or (outputSize,): h
    weightGates  (inputSize + outputSize, 2 outputSize): A, columns r, u; gradWeightGates the same
    biasGates    (2 outputSize,), gradBiasGates the same
    weight       (inputSize + outputSize, outputSize): C; gradWeight the same
    bias         (outputSize,), gradBias the same

    With p, or in a subclass with a buildModel of its own, the cell is made of modules,
    ``recurrentModule``, and these have the parameters.

    See AbstractRecurrent for steps and states.  Source: Element-Research's rnn,
    nn.GRU (Cho et al., 2014; for p, Moon et al., 2015, and Gal and Ghahramani, 2016).

    >>> step = GRU(3, 4)
    >>> step.forward(np.ones((2, 3), np.float32)).shape, step.weightGates.shape, step.weight.shape
    ((2, 4), (7, 8), (7, 4))
    """

    paramNames = ("weightGates", "biasGates", "weight", "bias")
    factories = ("buildModel",)

    def __init__(self, inputSize, outputSize, rho=9999, p=0.0, mono=False):
        super().__init__(inputSize, outputSize, rho, p, mono)
        rows = inputSize + outputSize
        self._build(weightGates=(rows, 2 * outputSize), biasGates=(2 * outputSize,),
                    weight=(rows, outputSize), bias=(outputSize,))

    def buildModel(self):
        """The whole step, where it is made of modules: ``[x, h'] -> h``."""
        gatesAndTransfers = gates.Sequential(
            gates.sums(self.inputSize, self.outputSize, 2, self.p, self.mono),
            gates.apart(self.outputSize, *gates.gru_transfers()))
        candidate = gates.tanh_of(gates.sums(self.inputSize, self.outputSize, 1, self.p, self.mono))
        return gates.gru_of_sums(gatesAndTransfers, candidate)

    def reset(self, stdv=None):
        """Draw the weights from N(0, stdv), by default 1 / sqrt(rows); biases are 0, and 1 at the gate u.

        Modules draw as each of them does.
        """
        return super().reset(stdv)

    def _draw(self, stdv):
        self._normal(("weightGates", "weight"), stdv)
        init.constant(self.bias, 0)
        init.constant(self.biasGates, 0)
        init.constant(self.biasGates[self.outputSize:], 1)

    def _forwardKernel(self, K, frame, x, states):
        N, H = states[0].shape
        hidden = frame.buffer("hidden", (2, N, H), x)
        tensor.copy(states[0], hidden[0])
        K.gru_update_output(x[None], self.weightGates, self.biasGates, self.weight, self.bias, None, None,
                            frame.buffer("a", (1, N, 2 * H), x), frame.buffer("k", (1, N, H), x),
                            frame.buffer("q", (1, N, H), x), hidden, None)
        return [hidden[1]]

    def _backwardKernel(self, K, frame, dy, later, dx):
        _, N, H = dy.shape
        d, = self._later(frame, later, dy)
        b = frame.buffers
        K.gru_update_grad_input(b["hidden"], b["a"], b["k"], self.weightGates, self.weight, None, None, dy,
                                frame.buffer("da", (1, N, 2 * H), dy), frame.buffer("dk", (1, N, H), dy),
                                frame.buffer("dq", (N, H), dy), d, dx)
        return [d]

    def _accumulate(self, K, frame, x, scale):
        b = frame.buffers
        K.gru_acc_grad_parameters(x, b["hidden"], b["q"], b["da"], b["dk"], self.gradWeightGates,
                                  self.gradBiasGates, self.gradWeight, self.gradBias, scale)


#: What a MuFuRu can do with its old state s and its new feature v, in the kernels' order.
_OPERATIONS = ("keep", "replace", "mul", "diff", "forget", "sqrt_diff", "max", "min")


class MuFuRu(_Cell):
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
        "forget" (0), "sqrt_diff" (``sqrt(|h' - v|) / 4``), "max" and "min"; None means
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

    >>> step = MuFuRu(3, 4, ops=("keep", "replace", "max"))
    >>> step.forward(np.ones((2, 3), np.float32)).shape, step.weightOps.shape
    ((2, 4), (7, 12))
    """

    paramNames = ("weightReset", "biasReset", "weightFeature", "biasFeature", "weightOps", "biasOps")

    def __init__(self, inputSize, outputSize, ops=None, rho=9999):
        super().__init__(inputSize, outputSize, rho)
        self.ops = _OPERATIONS if ops is None else tuple(ops)
        if not self.ops or any(op not in _OPERATIONS for op in self.ops):
            raise ValueError(f"ops must be some of {', '.join(_OPERATIONS)}, got {ops!r}")
        self._codes = np.array([_OPERATIONS.index(op) for op in self.ops], np.int64)
        rows, H = inputSize + outputSize, outputSize
        self._build(weightReset=(rows, H), biasReset=(H,), weightFeature=(rows, H), biasFeature=(H,),
                    weightOps=(rows, len(self.ops) * H), biasOps=(len(self.ops) * H,))

    def reset(self, stdv=None):
        """Draw the weights from N(0, stdv), by default 1 / sqrt(rows); biases are 0."""
        return super().reset(stdv)

    def _draw(self, stdv):
        self._normal(("weightReset", "weightFeature", "weightOps"), stdv)
        for bias in (self.biasReset, self.biasFeature, self.biasOps):
            init.constant(bias, 0)

    def _forwardKernel(self, K, frame, x, states):
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
        K.mufuru_update_output(s, v, self._onDevice(self._codes, s), p, y)
        frame.state = s
        return [y]

    def _backwardKernel(self, K, frame, dy, later, dx):
        b, s, D = frame.buffers, frame.state, self.inputSize
        N, H = s.shape
        dh = frame.sum("dh", dy.reshape(N, H), later[0])
        dp = frame.buffer("dp", b["p"].shape, dy)
        ds, dv = frame.buffer("ds", (N, H), dy), frame.buffer("dv", (N, H), dy)
        K.mufuru_update_grad_input(s, b["v"], self._onDevice(self._codes, s), b["p"], dh, dp, ds, dv)
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
