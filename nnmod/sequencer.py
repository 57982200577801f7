"""Whole sequences through step modules: Sequencer, Repeater; losses over sequences.

A sequence is a table with an entry for each step, or a tensor whose first dimension
is time.  bidirectional.py has what goes through a sequence from both ends.
"""
from . import check, kernels, nested, tensor
from .container import Container
from .criterion import Criterion
from .errors import ShapeError
from .module import Module
from .recurrence import Recursor
from .steps import AbstractRecurrent

_MODES = ("both", "train", "eval", "neither")
_add = kernels.elementwise(kernels.formulas.add)


class _Driver(Container):
    """The base of modules that drive one step module through a sequence."""

    bufferNames = ("_outputs", "_gradInputs")
    #: Step modules inside count the steps of this sequence, not those of one around it.
    drivesSteps = True

    def __init__(self, module):
        super().__init__()
        self._outputs = self._gradInputs = None
        self._remember = "neither"
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__} takes a module, got {module!r}")
        self.add(module if isinstance(module, AbstractRecurrent) else Recursor(module))

    @property
    def module(self):
        """The step module: the one given, in a Recursor unless it is an AbstractRecurrent."""
        return self.modules[0]

    def _checkChildren(self, children):
        if len(children) > 1 or not all(isinstance(child, AbstractRecurrent) for child in children):
            raise ValueError(f"{type(self).__name__} drives one step module; put others in a "
                             "Recursor(Sequential(...))")

    def remember(self, remember="both"):
        """When to go on from the state that the last forward ended with; returns self.

        "both", "train", "eval" (in training mode, in evaluation mode) or "neither",
        the default.  Gradients stop where a forward begins.
        """
        if remember not in _MODES:
            raise ValueError(f"remember must be one of {', '.join(_MODES)}, got {remember!r}")
        self._remember = remember
        return self

    def _begin(self):
        if self._remember in ("both", "train" if self.train else "eval"):
            self.module.carryOn()
        else:
            self.module.forget()

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        return self._back("updateGradInput", input, gradOutput)

    def backward(self, input, gradOutput, scale=1.0):
        """backward of every step, last to first."""
        self._checkBackward(input, gradOutput)
        self._back("backward", self._input, self._gradOutput, scale)
        if not self.needsGradInput:
            self.gradInput = None
        return self.gradInput


class Sequencer(_Driver):
    """Runs a module over a sequence: each step of the input gives a step of the output.

    Parameters
    ----------
    module : Module
        An AbstractRecurrent such as LSTM, or any module, which is put in a Recursor.

    Shapes
    ------
    input   a table with an entry for each step, or a tensor (T, ...) of T steps
    output  a table of as many entries, or a tensor (T, ...)

    Every forward starts a new sequence, unless ``remember`` says otherwise.  Source:
    Element-Research's rnn, nn.Sequencer.

    >>> import numpy as np
    >>> from nnmod import LSTM, Linear, Sequential
    >>> net = Sequencer(Sequential(LSTM(3, 4), Linear(4, 2)))
    >>> net.forward(np.ones((5, 2, 3), np.float32)).shape
    (5, 2, 2)
    """

    def updateOutput(self, input):
        input = self.takeInput(input)
        steps = as_steps(input)
        if not steps:
            raise ShapeError(f"a sequence must have at least one step, got {tensor.describe(input)}")
        self._begin()
        for t, step in enumerate(steps):
            output = self.call(0, "forward", step)
            if t == 0:
                self._outputs = room_for(self._outputs, output, len(steps), tensor.is_tensor(input))
            put_step(self._outputs, t, output)
        self.output = self._outputs if tensor.is_tensor(self._outputs) else list(self._outputs)
        return self.output

    def _back(self, method, input, gradOutput, *scale):
        self.module.rewind()
        gradients = self._eachStep(method, input, gradOutput, *scale)
        self.gradInput = self._collect(gradients, tensor.is_tensor(input))
        return self.gradInput

    def _eachStep(self, method, input, gradOutput, *scale):
        """Call *method* of the step module for every step, last first; the results, first first."""
        steps, gradients = as_steps(input), as_steps(gradOutput)
        results = [self.call(0, method, steps[t], gradients[t], *scale) for t in reversed(range(len(steps)))]
        return results[::-1]

    def _collect(self, gradients, stacked):
        """The steps' gradients as one tensor or table; None where the input has none."""
        if gradients[0] is None:
            return None
        self._gradInputs = room_for(self._gradInputs, gradients[0], len(gradients), stacked)
        for t, gradient in enumerate(gradients):
            put_step(self._gradInputs, t, gradient)
        return self._gradInputs if tensor.is_tensor(self._gradInputs) else list(self._gradInputs)

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.module.rewind(accumulation=True)
        self._eachStep("accGradParameters", input, gradOutput, scale)


class Repeater(_Driver):
    """Gives one input to a step module again and again: a table of all its outputs.

    Parameters
    ----------
    module : Module
        An AbstractRecurrent such as LSTM, or any module, which is put in a Recursor.
    nStep : int
        How many steps.

    Shapes
    ------
    input   what the module takes in one step
    output  a table of nStep outputs

    Source: Element-Research's rnn, nn.Repeater.

    >>> import numpy as np
    >>> from nnmod import LSTM
    >>> [y.shape for y in Repeater(LSTM(3, 4), 2).forward(np.ones((5, 3), np.float32))]
    [(5, 4), (5, 4)]
    """

    def __init__(self, module, nStep):
        super().__init__(module)
        check.positive(nStep=nStep)
        self.nStep = nStep

    def updateOutput(self, input):
        input = self.takeInput(input)
        self._begin()
        for t in range(self.nStep):
            output = self.call(0, "forward", input)
            if t == 0:
                self._outputs = room_for(self._outputs, output, self.nStep, False)
            put_step(self._outputs, t, output)
        self.output = list(self._outputs)
        return self.output

    def _back(self, method, input, gradOutput, *scale):
        self.module.rewind()
        total = None
        for t in reversed(range(self.nStep)):
            gradient = self.call(0, method, input, gradOutput[t], *scale)
            if gradient is None:
                continue
            if total is None:
                total = self._gradInputs = copy_to(self._gradInputs, gradient)
            else:
                add_to(total, gradient)
        self.gradInput = total
        return total

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        self.module.rewind(accumulation=True)
        for t in reversed(range(self.nStep)):
            self.call(0, "accGradParameters", input, gradOutput[t], scale)

    def describe(self):
        return f"{self.nStep} steps"


class SequencerCriterion(Criterion):
    """A loss over sequences: the sum of *criterion* over the steps, each with its target.

    Parameters
    ----------
    criterion : Criterion
        The loss of a step.
    sizeAverage : bool
        True divides by the number of steps.

    Shapes
    ------
    input   a table with an entry for each step, or a tensor (T, ...)
    target  a table, or a tensor, of as many targets

    Source: Element-Research's rnn, nn.SequencerCriterion.

    >>> import numpy as np
    >>> from nnmod import MSECriterion
    >>> SequencerCriterion(MSECriterion()).forward(np.ones((3, 2)), np.zeros((3, 2)))
    3.0
    """

    bufferNames = ("_clones", "_gradInputs")

    def __init__(self, criterion, sizeAverage=False):
        super().__init__()
        if not isinstance(criterion, Criterion):
            raise TypeError(f"{type(self).__name__} takes a criterion, got {criterion!r}")
        check.boolean(sizeAverage=sizeAverage)
        self.criterion = criterion
        self.sizeAverage = sizeAverage
        self._clones = self._gradInputs = None

    @property
    def modules(self):
        """The criterion of a step."""
        return (self.criterion,)

    def updateOutput(self, input, target):
        pairs, norm = self._pairs(input, target)
        # A criterion may keep something for its backward, so each step has one of its own.
        criterions = self._stepCriterions(len(pairs))
        losses = [criterion.forward(x, t) for criterion, (x, t) in zip(criterions, pairs)]
        self.output = sum(losses, 0.0) * norm
        return self.output

    def updateGradInput(self, input, target):
        pairs, norm = self._pairs(input, target)
        for step, (criterion, (x, t)) in enumerate(zip(self._stepCriterions(len(pairs)), pairs)):
            gradient = criterion.backward(x, t)
            if step == 0:
                self._gradInputs = room_for(self._gradInputs, gradient, len(pairs), tensor.is_tensor(input))
            put_step(self._gradInputs, step, gradient)
        if norm != 1:
            for leaf in nested.leaves(self._gradInputs):
                _scale(leaf, leaf, norm)
        self.gradInput = self._gradInputs if tensor.is_tensor(self._gradInputs) else list(self._gradInputs)
        return self.gradInput

    def _pairs(self, input, target):
        steps = as_steps(input)
        targets = self._targets(target, len(steps))
        if not steps:
            raise ShapeError("a sequence must have at least one step, got an empty one")
        return list(zip(steps, targets)), 1 / len(steps) if self.sizeAverage else 1.0

    def _targets(self, target, count):
        targets = as_steps(target, "target")
        if len(targets) != count:
            raise ShapeError(f"target must have {count} entries, one for each step of the input, "
                             f"got {len(targets)}")
        return targets

    def _stepCriterions(self, count):
        if self._clones is None:
            self._clones = []
        while len(self._clones) < count:
            self._clones.append(self.criterion.clone())
        return self._clones

    def describe(self):
        return repr(self.criterion) + (", sizeAverage=True" if self.sizeAverage else "")


class RepeaterCriterion(SequencerCriterion):
    """A loss over sequences with one target: the sum of *criterion* over the steps.

    Parameters
    ----------
    criterion : Criterion
        The loss of a step.
    sizeAverage : bool
        True divides by the number of steps.

    Shapes
    ------
    input   a table with an entry for each step, or a tensor (T, ...)
    target  the target of every step

    Source: Element-Research's rnn, nn.RepeaterCriterion.

    >>> import numpy as np
    >>> from nnmod import MSECriterion
    >>> x, target = np.array([[1.0], [4.0]]), np.array([2.0])  # two steps
    >>> RepeaterCriterion(MSECriterion()).forward(x, target)  # 1 + 4
    5.0
    """

    def _targets(self, target, count):
        return [target] * count


_scale = kernels.elementwise(kernels.formulas.scale)


def as_steps(sequence, name="input"):
    """A sequence as a list of its steps."""
    if nested.is_table(sequence):
        return list(sequence)
    check.is_tensor(name, sequence)
    if sequence.ndim == 0:
        raise ShapeError(f"{name} must be a table or a tensor whose first dimension is time, got shape ()")
    # Of a vector the steps are tensors without dimensions; list() would make numbers of them.
    if sequence.ndim > 1:
        return list(sequence)
    return [sequence[t:t + 1].reshape(()) for t in range(sequence.size)]


def room_for(buffer, step, count, stacked):
    """Room for *count* steps like *step*: one tensor if *stacked* and step is one, else a list."""
    if stacked and tensor.is_tensor(step):
        return tensor.resize(buffer if tensor.is_tensor(buffer) else None, (count, *step.shape), step)
    buffer = buffer if isinstance(buffer, list) else []
    return [buffer[t] if t < len(buffer) else None for t in range(count)]


def put_step(room, t, step):
    """Copy *step* to its place."""
    if tensor.is_tensor(room):
        if not tensor.is_tensor(step) or step.shape != room.shape[1:] or step.dtype != room.dtype:
            raise ShapeError(f"all steps must give what the first gives, {room.dtype.name} {room.shape[1:]}, "
                             f"step {t} gives {tensor.describe(step)}; use a table for steps that differ")
        room[t] = step
    else:
        room[t] = copy_to(room[t], step)


def copy_to(buffer, value):
    """A copy of *value*, a tensor or a table, in *buffer* where that fits."""
    if nested.is_table(value):
        buffer = buffer if isinstance(buffer, list) else []
        return [copy_to(buffer[i] if i < len(buffer) else None, item) for i, item in enumerate(value)]
    if nested.is_named(value):
        buffer = buffer if isinstance(buffer, dict) else {}
        return {name: copy_to(buffer.get(name), item) for name, item in value.items()}
    if value is None:
        return None
    buffer = tensor.resize(buffer if tensor.is_tensor(buffer) else None, value.shape, value)
    tensor.copy(value, buffer)
    return buffer


def add_to(total, value):
    """total += value, leaf by leaf."""
    def add(a, b):
        if a is not None:
            _add(a, b, a)
    nested.zip(add, total, value)
