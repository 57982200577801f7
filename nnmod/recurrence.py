"""Recurrent modules made of any modules: Recursor, Recurrence, Recurrent; NormStabilizer, CopyGrad, SAdd."""
import numpy as np

from . import check, kernels, nested, tensor
from .arithmetic import CAddTable
from .broadcast import Add, CAdd
from .errors import ShapeError
from .module import Module
from .sigmoid import Sigmoid
from .step_of_modules import StepOfModules
from .steps import AbstractRecurrent


class Recursor(StepOfModules):
    """Makes a step of any module: each step runs it with buffers of its own.

    Step modules inside it, such as two LSTMs in a Sequential, keep their states by
    themselves and are driven along.

    Parameters
    ----------
    module : Module
        What a step runs.
    rho : int
        How many steps back from the last one backward goes.

    Shapes
    ------
    input, output   those of module

    See AbstractRecurrent for steps.  Source: Element-Research's rnn, nn.Recursor.

    >>> from nnmod import Linear, LSTM, Sequential
    >>> Recursor(Sequential(LSTM(3, 4), Linear(4, 2))).forward(np.ones((5, 3), np.float32)).shape
    (5, 2)
    """

    def __init__(self, module, rho=9999):
        super().__init__(rho, module)

    @property
    def inplace(self):
        """Whether the input is overwritten."""
        return any(module.inplace for module in self.modules)

    def firstStates(self, frame, input):
        return []

    def stepForward(self, frame, input, states):
        return self._forward(frame, 0, input), []

    def stepBackward(self, frame, input, states, gradOutput, gradStates, scale):
        frame.gradOutput = gradOutput
        return self._backward(frame, 0, input, gradOutput, scale), []

    def stepAccumulate(self, frame, input, states, scale):
        self._run(frame, 0, "accGradParameters", input, frame.gradOutput, scale)


class Recurrence(StepOfModules):
    """A recurrence of any module: ``output(t) = module([input(t), output(t - 1)])``.

    Parameters
    ----------
    recurrentModule : Module
        Takes a table of the input and its own last output, and returns the next.
    outputSize : int, tuple, or a list of them
        The shape of an output without the batch: of the 0 that stands for the output
        before the first step.  A list for outputs that are tables.
    nInputDim : int
        How many dimensions the input (its first tensor, if it is a table) has without
        a batch; with one more, the first is the batch.
    rho : int
        How many steps back from the last one backward goes.

    Shapes
    ------
    input   what recurrentModule takes as its first entry
    output  what it returns

    See AbstractRecurrent for steps; ``userPrevOutput`` is the output before the first
    step.  Source: Element-Research's rnn, nn.Recurrence.

    >>> from nnmod import CAddTable, Linear, ParallelTable, Sequential, Tanh
    >>> step = Sequential(ParallelTable(Linear(3, 4), Linear(4, 4)), CAddTable(), Tanh())
    >>> Recurrence(step, 4, 1).forward(np.ones((2, 3), np.float32)).shape
    (2, 4)
    """

    def __init__(self, recurrentModule, outputSize, nInputDim, rho=9999):
        super().__init__(rho, recurrentModule)
        check.positive(nInputDim=nInputDim)
        self.outputSize = _sizes(outputSize)
        self.nInputDim = nInputDim

    def _childrenOfInput(self):
        return []  # the module's gradInput has the gradient of the last output too

    def firstStates(self, frame, input):
        first = next(nested.leaves(input))
        check.is_tensor("input", first)
        if first.ndim not in (self.nInputDim, self.nInputDim + 1):
            raise ShapeError(f"input must have {self.nInputDim} dimensions, or {self.nInputDim + 1} with a "
                             f"batch (nInputDim={self.nInputDim}), got {first.shape}")
        batch = first.shape[:1] if first.ndim > self.nInputDim else ()
        like = first if first.dtype.kind == "f" else self._type

        def zeros(name, size):
            if isinstance(size, list):
                return [zeros(f"{name}.{i}", item) for i, item in enumerate(size)]
            return frame.zeros(name, (*batch, *size), like)
        return [zeros("first", self.outputSize)]

    def stepForward(self, frame, input, states):
        frame.pair = [input, states[0]]
        output = self._forward(frame, 0, frame.pair)
        check.same_shape("the output of recurrentModule", output, "outputSize with the batch", states[0])
        return output, [output]

    def stepBackward(self, frame, input, states, gradOutput, gradStates, scale):
        frame.gradOutput = frame.sum("total", gradOutput, gradStates[0])
        gradInput, gradBefore = self._backward(frame, 0, frame.pair, frame.gradOutput, scale)
        return gradInput, [gradBefore]

    def stepAccumulate(self, frame, input, states, scale):
        self._run(frame, 0, "accGradParameters", frame.pair, frame.gradOutput, scale)


class Recurrent(StepOfModules):
    """A simple recurrent network: ``output(t) = transfer(input(x(t)) + feedback(output(t - 1)))``.

    The first step has no output before it: ``output(0) = transfer(start(input(x(0))))``.

    Parameters
    ----------
    start : int, tuple or Module
        What stands between input and transfer in the first step; a size (the shape of
        an output without the batch) makes a learned bias of that size, an Add or CAdd.
    input : Module
        From the input of a step to the size of an output.
    feedback : Module
        From the last output to the size of an output.
    transfer : Module or None
        The nonlinearity; None is a Sigmoid.
    rho : int
        How many steps back from the last one backward goes.
    merge : Module or None
        Joins the table of what input and feedback return; None is a CAddTable.

    Shapes
    ------
    input   what the module *input* takes
    output  what the module *transfer* returns

    See AbstractRecurrent for steps.  With ``userPrevOutput`` the first step is one
    like the others.  Gradients are not divided by the number of steps (rnn's first
    versions did).  Source: Element-Research's rnn, nn.Recurrent (Mikolov, 2012).

    >>> from nnmod import Linear, Sequencer
    >>> net = Recurrent(4, Linear(3, 4), Linear(4, 4))
    >>> Sequencer(net).forward(np.ones((5, 2, 3), np.float32)).shape
    (5, 2, 4)
    """

    _START, _INPUT, _FEEDBACK, _TRANSFER, _MERGE = range(5)

    def __init__(self, start, input, feedback, transfer=None, rho=9999, merge=None):
        if not isinstance(start, Module):
            size = _sizes(start)
            start = Add(*size) if len(size) == 1 else CAdd(*size)
        super().__init__(rho, start, input, feedback, Sigmoid() if transfer is None else transfer,
                         CAddTable() if merge is None else merge)

    def firstStates(self, frame, input):
        return [None]

    def _statesBefore(self, frame, line):
        if line.carried is not None:
            return line.carried
        return [self.userPrevOutput]

    def stepForward(self, frame, input, states):
        before = states[0]
        frame.hidden = self._forward(frame, self._INPUT, input)
        if before is None:
            frame.sum_ = self._forward(frame, self._START, frame.hidden)
        else:
            frame.pair = [frame.hidden, self._forward(frame, self._FEEDBACK, before)]
            frame.sum_ = self._forward(frame, self._MERGE, frame.pair)
        output = self._forward(frame, self._TRANSFER, frame.sum_)
        return output, [output]

    def stepBackward(self, frame, input, states, gradOutput, gradStates, scale):
        before = states[0]
        frame.gradOutput = frame.sum("total", gradOutput, gradStates[0])
        frame.gradSum = self._backward(frame, self._TRANSFER, frame.sum_, frame.gradOutput, scale)
        if before is None:
            frame.gradPair = [self._backward(frame, self._START, frame.hidden, frame.gradSum, scale)]
            gradBefore = None
        else:
            frame.gradPair = self._backward(frame, self._MERGE, frame.pair, frame.gradSum, scale)
            gradBefore = self._backward(frame, self._FEEDBACK, before, frame.gradPair[1], scale)
        return self._backward(frame, self._INPUT, input, frame.gradPair[0], scale), [gradBefore]

    def stepAccumulate(self, frame, input, states, scale):
        before = states[0]
        runs = [(self._TRANSFER, frame.sum_, frame.gradOutput), (self._INPUT, input, frame.gradPair[0])]
        if before is None:
            runs.append((self._START, frame.hidden, frame.gradSum))
        else:
            runs += [(self._MERGE, frame.pair, frame.gradSum), (self._FEEDBACK, before, frame.gradPair[1])]
        for index, given, gradient in runs:
            self._run(frame, index, "accGradParameters", given, gradient, scale)

    def _childrenOfInput(self):
        return self.modules[self._INPUT:self._INPUT + 1]


class NormStabilizer(AbstractRecurrent):
    """The identity, with a penalty on changes of the length of what passes from step to step.

    In training backward adds the gradient of ``beta / T`` times the sum over the steps
    t > 0 of the mean over the batch of ``(|h(t)| - |h(t - 1)|)**2``, with T the
    number of steps; ``updateLoss`` computes it.

    Parameters
    ----------
    beta : number
        The weight of the penalty.
    rho : int
        How many steps back from the last one backward goes.

    Shapes
    ------
    input   (N, F), one step
    output  the same as input

    rnn's loss takes the sum of the two lengths, and its gradient is not divided by T;
    here both are as in the paper.  A row of length 0 has no gradient.  Source:
    Element-Research's rnn, nn.NormStabilizer (Krueger and Memisevic, 2015).

    >>> norm, steps = NormStabilizer(0.5), np.array([[[3, 4]], [[0, 7]]], np.float32)
    >>> [norm.forward(x).tolist() for x in steps], norm.updateLoss()
    ([[[3.0, 4.0]], [[0.0, 7.0]]], 1.0)
    """

    def __init__(self, beta=1, rho=9999):
        super().__init__(rho)
        check.number(beta=beta)
        self.beta = beta

    def firstStates(self, frame, input):
        return []

    def stepForward(self, frame, input, states):
        check.floating("input", input)
        check.shape("input", input, "N", "F")
        output = frame.buffer("output", input.shape, input)
        tensor.copy(input, output)
        kernels.of(input).row_norms(input, frame.buffer("norms", input.shape[:1], input))
        return output, []

    def stepBackward(self, frame, input, states, gradOutput, gradStates, scale):
        gradInput = frame.buffer("gradInput", input.shape, input)
        tensor.copy(gradOutput, gradInput)
        if self.train and input.shape[0]:
            K, line, norms = kernels.of(input), self._line, frame.buffers["norms"]
            factor = 2 * self.beta / (line.count * input.shape[0])
            index = line.toBack - 1
            for other in (line.frame(index - 1), line.frame(index + 1)):
                if other is not None:
                    K.add_norm_gradient(input, norms, other.buffers["norms"], gradInput, factor)
        return gradInput, []

    def updateLoss(self):
        """The penalty of the steps since forget, a Python float; also ``self.loss``."""
        line = self._line
        frames = [] if line is None else [f for f in map(line.frame, range(line.count)) if f is not None]
        total = 0.0
        for before, after in zip(frames, frames[1:]):
            change = tensor.host(after.buffers["norms"]).astype(np.float64) - tensor.host(before.buffers["norms"])
            total += float(np.mean(change * change))
        self.loss = self.beta * total / line.count if frames else 0.0
        return self.loss

    def describe(self):
        return f"{self.beta:g}"


class CopyGrad(Module):
    """The identity; gradInput is a copy of gradOutput, so that it may be changed.

    Shapes
    ------
    input   any tensor
    output  the input itself

    Source: Element-Research's rnn, nn.CopyGrad.

    >>> copy, dy = CopyGrad(), np.ones(2, np.float32)
    >>> x = copy.forward(np.zeros(2, np.float32))
    >>> copy.backward(x, dy) is dy
    False
    """

    backwardNeeds = frozenset()
    paramNames = ()
    sharesInput = True

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        self.output = input
        return input

    def updateGradInput(self, input, gradOutput):
        _, gradOutput = self.takeGradOutput(input, gradOutput)
        tensor.copy(gradOutput, self.resize("gradInput", gradOutput.shape, like=gradOutput))
        return self.gradInput


class SAdd(Module):
    """``y = x + addend``, with *negate* ``y = -(x + addend)``.

    Parameters
    ----------
    addend : number
        What is added to every element.
    negate : bool
        Whether the sign of the sum is changed.

    Shapes
    ------
    input   any tensor
    output  the same

    Source: Element-Research's rnn, nn.SAdd.

    >>> SAdd(-1, True).forward(np.array([0.25, 1.0]))
    array([ 0.75, -0.  ])
    """

    backwardNeeds = frozenset()
    paramNames = ()

    def __init__(self, addend, negate=False):
        super().__init__()
        check.number(addend=addend)
        check.boolean(negate=negate)
        self.addend = addend
        self.negate = negate

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        output = self.resize("output", input.shape, like=input)
        _add_constant(input, output, self.addend)
        if self.negate:
            _scale(output, output, -1)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        _scale(gradOutput, self.resize("gradInput", input.shape, like=input), -1 if self.negate else 1)
        return self.gradInput

    def describe(self):
        return f"{self.addend:g}" + (", negated" if self.negate else "")


def _sizes(size):
    """A size as a tuple of ints, or a list of them."""
    if isinstance(size, list):
        return [_sizes(item) for item in size]
    size = tuple(size) if isinstance(size, tuple) else (size,)
    if not size or not all(check.is_int(n) and n > 0 for n in size):
        raise ValueError(f"a size must be an int > 0, a tuple of them, or a list of sizes, got {size!r}")
    return size


_scale = kernels.elementwise(kernels.formulas.scale)
_add_constant = kernels.elementwise(kernels.formulas.add_constant)
