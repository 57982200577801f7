"""AbstractRecurrent: the protocol of modules that take one time step of a sequence at a time."""
import copy

import numpy as np

from . import check, kernels, nested, tensor
from .errors import ShapeError
from .module import Module

_add = kernels.elementwise(kernels.formulas.add)
_UNLIMITED = 10**9


class AbstractRecurrent(Module):
    """A module whose forward is one time step; each remembers what its backward needs.

    Call ``forward`` once for each step of a sequence, ``backward`` once for each in
    reverse order, and ``forget`` before the next sequence; a Sequencer does all three.
    The state that a step ends with is what the next one starts from.

    Parameters
    ----------
    rho : int
        At most so many steps back from the last one have a backward: for an earlier
        step it returns 0 and adds nothing (truncated backpropagation through time).

    Shapes
    ------
    input, output   of one step, as the subclass says

    In evaluation only the last step is kept, so that a sequence may be endless; it
    is the only one that has a backward then.  Changing between training and
    evaluation forgets.

    ``userPrevOutput``, and ``userPrevCell`` where there are cells, are the state
    before the first step; None means 0.  After the backward of the first step their
    gradients are in ``userGradPrevOutput`` and ``userGradPrevCell``.
    ``gradPrevOutput`` and ``userNextGradCell``, gradients of the state after the last
    step, are added in its backward; the next forward sets them to None.
    The inputs of all steps are read again in backward: leave them as they are till then.

    A subclass writes ``firstStates``, ``stepForward``, ``stepBackward`` and
    ``stepAccumulate``.  Source: Element-Research's rnn, nn.AbstractRecurrent.

    >>> from nnmod import LSTM
    >>> step, x = LSTM(3, 4), np.ones((2, 3), np.float32)
    >>> ys = [step.forward(x).copy() for _ in range(3)]
    >>> dxs = [step.backward(x, y) for y in reversed(ys)]
    >>> step.step, step.forget().step
    (3, 0)
    """

    paramNames = ()
    bufferNames = ("_line", "_noGradient", "gradPrevOutput", "userNextGradCell", "userGradPrevOutput",
                   "userGradPrevCell")
    #: Names of the user's first states, of their gradients, and of the gradients of the last ones.
    stateTriples = (("userPrevOutput", "userGradPrevOutput", "gradPrevOutput"),
                    ("userPrevCell", "userGradPrevCell", "userNextGradCell"))

    def __init__(self, rho=9999):
        super().__init__()
        check.positive(rho=rho)
        self.rho = rho
        self.maskzero = None
        self.userPrevOutput = self.userPrevCell = None
        for name in AbstractRecurrent.bufferNames:
            setattr(self, name, None)

    # -- what a subclass writes -----------------------------------------------------

    def firstStates(self, frame, input):
        """The states before the first step, all 0, in buffers of *frame*."""
        raise NotImplementedError(f"{type(self).__name__} must define firstStates(frame, input)")

    def stepForward(self, frame, input, states):
        """One step: ``(output, states after it)``; what backward needs is kept in *frame*."""
        raise NotImplementedError(f"{type(self).__name__} must define stepForward(frame, input, states)")

    def stepBackward(self, frame, input, states, gradOutput, gradStates, scale):
        """``(gradInput, gradients of the states before)``.

        *gradStates* are the gradients of the states after the step that come from
        later steps; an entry is None where there are none.  With *scale* None
        parameters' gradients are left to ``stepAccumulate``; else they may be added here.
        """
        raise NotImplementedError(f"{type(self).__name__} must define stepBackward(...)")

    def stepAccumulate(self, frame, input, states, scale):
        """Add *scale* times the parameters' gradients of a step whose stepBackward has run."""

    def _startSequence(self):
        """Called before the first step of a sequence."""

    #: How many steps a module around this one will go back in the coming sequence, at most.
    _limit = _UNLIMITED

    #: Whether stepBackward, given a scale, adds the parameters' gradients itself.
    accumulatesInBackward = False

    # -- sequences --------------------------------------------------------------------

    @property
    def step(self):
        """How many steps have been taken since the last forget."""
        return 0 if self._line is None else self._line.count

    def forget(self):
        """Start a new sequence; returns self."""
        if self._line is not None:
            self._line.restart(self.train)
        for child in self._innerSteps():
            child.forget()
        return self

    def carryOn(self):
        """Go on from the present state, of which no backward is asked any more; returns self."""
        line = self._line
        if line is not None and line.count and line.train == self.train:
            line.carry()
        for child in self._innerSteps():
            child.carryOn()
        return self

    def rewind(self, accumulation=False):
        """Let backward begin at the last step again, or only accGradParameters; returns self."""
        if self._line is not None:
            self._line.rewind(accumulation)
        for child in self._innerSteps():
            child.rewind(accumulation)
        return self

    def maxBPTTstep(self, rho):
        """Set rho, here and in the steps inside; returns self."""
        check.positive(rho=rho)
        self.rho = rho
        for child in self._innerSteps():
            child.maxBPTTstep(rho)
        return self

    def maskZero(self, nInputDim=1):
        """Take rows of the input that are all 0 for padding, as old scripts do; returns self.

        The state after such a row is 0.  *nInputDim* is how many dimensions a row
        has.  Zeros in real data are taken for padding too: where you can, use a
        SeqLSTM or SeqGRU with ``setLengths``.
        """
        check.positive(nInputDim=nInputDim)
        self.maskzero = nInputDim
        return self

    def trimZero(self, nInputDim=1):
        """The same as maskZero: in rnn the one that is faster when much is padding."""
        return self.maskZero(nInputDim)

    def _reach(self):
        """How many steps back a backward can go, here and in the steps inside."""
        return min([self.rho, *(child._reach() for child in self._innerSteps())])

    def showOutput(self, accumulating):
        """Set ``output`` to that of the step that backward (or accGradParameters) comes to next.

        The module that follows in a Sequential was given that output as its input.
        """
        line = self._line
        if line is not None:
            frame = line.frame((line.toAccumulate if accumulating else line.toBack) - 1)
            if frame is not None:
                self.output = frame.output
            for child in line.inner:
                child.showOutput(accumulating)

    def _innerSteps(self):
        """The step modules inside, each with a count of its own."""
        return [step for child in self.modules for step in steps_of(child)]

    # -- the verbs -----------------------------------------------------------------------

    def forward(self, input):
        """Take one step and return its output; the next steps leave it as it is."""
        return self.updateOutput(input)

    def updateOutput(self, input):
        if self._line is None:
            self._line = _Line(self.train)
        line = self._line
        if line.train != self.train:
            self.forget()
        if line.count == 0:
            self._startSequence()
            line.inner = self._innerSteps()
            line.reach = min(self._reach(), self._limit)
            self._limit = _UNLIMITED
            for child in line.inner:
                child._limit = line.reach
        frame = line.next(line.reach if self.train else 1)
        frame.given = input
        frame.input, frame.dense = tensor.dense(input, frame.dense)
        if line.count:
            frame.before = line.frame(line.count - 1).after
        else:
            frame.before = self._statesBefore(frame, line)
        frame.output, frame.after = self.stepForward(frame, frame.input, frame.before)
        if self.maskzero is None:
            frame.mask = None
        else:
            self._maskForward(frame)
        line.advance()
        self.gradPrevOutput = self.userNextGradCell = None
        self.output = frame.output
        return self.output

    def backward(self, input, gradOutput, scale=1.0):
        """backward of the last step that had none yet; *scale* times the parameters' gradients, added."""
        self._stepBack(input, gradOutput, scale if self.accumulatesInBackward else None)
        if self.accumulatesInBackward:
            self._line.accumulated()
        else:
            self.accGradParameters(input, gradOutput, scale)
        if not self.needsGradInput:
            self.gradInput = None
        return self.gradInput

    def updateGradInput(self, input, gradOutput):
        return self._stepBack(input, gradOutput, None)

    def accGradParameters(self, input, gradOutput, scale=1.0):
        line = self._line
        if line is None or line.toAccumulate <= line.toBack:
            raise RuntimeError("accGradParameters of a step needs updateGradInput of that step before it")
        index = line.toAccumulate - 1
        if index >= line.count - line.reach:
            frame = line.frame(index)
            self.stepAccumulate(frame, frame.input, frame.before, scale)
        line.accumulated()

    def _stepBack(self, input, gradOutput, scale):
        line = self._line
        if line is None or not line.count:
            raise RuntimeError("backward before forward: call forward(input) first")
        index = line.toBack - 1
        if index < 0:
            raise RuntimeError(f"backward has been called for all {line.count} steps of this sequence; "
                               "call forward, or rewind() to go through them again")
        if not line.train and index < line.count - 1:
            raise RuntimeError("this step is not kept: evaluation keeps the last step only; "
                               "call training() before a sequence that is to have a backward")
        if index < line.count - line.reach:
            self.gradInput = self._nothing(input)
            line.stepped(None)
            return self.gradInput
        frame = line.frame(index)
        if not tensor.same_memory(input, frame.given) and not tensor.equal(input, frame.given):
            raise RuntimeError(f"backward goes through the steps in reverse order: step {index} had an input "
                               f"{tensor.describe(frame.given)} with other values than this one")
        check.same_shape("gradOutput", gradOutput, "the output of this step", frame.output)
        gradOutput, frame.denseGradient = tensor.dense(gradOutput, frame.denseGradient)
        later = line.gradients
        if later is None:
            later = [getattr(self, names[2]) for _, names in zip(frame.after, self.stateTriples)]
        if frame.mask is not None:
            gradOutput = self._masked(frame, "maskedGradient", gradOutput)
            later = [None if gradient is None else self._masked(frame, f"maskedGradient{i}", gradient)
                     for i, gradient in enumerate(later)]
        gradInput, gradients = self.stepBackward(frame, frame.input, frame.before, gradOutput, later, scale)
        if index == 0:
            for names, gradient in zip(self.stateTriples, gradients):
                setattr(self, names[1], gradient)
        line.stepped(gradients)
        self.gradInput = gradInput
        return gradInput

    def _nothing(self, input):
        """A gradient of 0 for an input, in a buffer."""
        def zeros(x, buffer):
            if nested.is_table(x):
                buffer = buffer if isinstance(buffer, list) and len(buffer) == len(x) else [None] * len(x)
                return [zeros(item, spare) for item, spare in zip(x, buffer)]
            if nested.is_named(x):
                buffer = buffer if isinstance(buffer, dict) else {}
                return {name: zeros(item, buffer.get(name)) for name, item in x.items()}
            if x.dtype.kind != "f":
                return None
            buffer = tensor.resize(buffer if tensor.is_tensor(buffer) else None, x.shape, x)
            tensor.fill(buffer, 0)
            return buffer
        self._noGradient = zeros(input, self._noGradient)
        return self._noGradient

    def _statesBefore(self, frame, line):
        """What the first step starts from: carried over, given by the user, or 0."""
        if line.carried is not None:
            return line.carried
        states = self.firstStates(frame, frame.input)
        for index, (state, names) in enumerate(zip(states, self.stateTriples)):
            given = getattr(self, names[0])
            if given is not None:
                states[index] = _fitting(names[0], given, state)
        return states

    # -- zeros as padding ------------------------------------------------------------------

    def _maskForward(self, frame):
        leaf = next(nested.leaves(frame.input))
        frame.mask = mask_of_zero_rows(leaf, self.maskzero, frame.mask)
        output, states = frame.output, frame.after
        frame.after = [self._masked(frame, f"masked{i}", state) for i, state in enumerate(states)]
        same = bool(states) and states[0] is output
        frame.output = frame.after[0] if same else self._masked(frame, "maskedOutput", output)

    @staticmethod
    def _masked(frame, name, value):
        """*value* with 0 in the rows that are padding, in buffers of *frame*."""
        mask = frame.mask

        def run(x, y):
            kernels.of(x).zero_masked_rows(_rows(x, mask), mask, _rows(y, mask))
        return frame.map(name, value, run)


def steps_of(module):
    """The outermost step modules of a tree, but those that a Sequencer drives on its own."""
    if isinstance(module, AbstractRecurrent):
        return [module]
    if getattr(module, "drivesSteps", False):
        return []
    return [step for child in module.modules for step in steps_of(child)]


def mask_of_zero_rows(x, nInputDim, buffer):
    """(N,) uint8: 1 for each row of *x* that is all 0; x has a batch, or is one row."""
    if x.ndim not in (nInputDim, nInputDim + 1):
        raise ShapeError(f"the first tensor of the input must have {nInputDim} dimensions, or "
                         f"{nInputDim + 1} with a batch, got {x.shape}")
    rows = x.shape[0] if x.ndim == nInputDim + 1 else 1
    mask = tensor.resize(buffer, (rows,), x, np.dtype(np.uint8))
    kernels.of(x).zero_row_mask(x.reshape(rows, -1 if rows else 0), mask)
    return mask


def _rows(x, mask):
    if x.size % max(mask.size, 1) or (x.ndim and mask.size != 1 and x.shape[0] != mask.size):
        raise ShapeError(f"a tensor of {mask.size} rows is needed, one for each row of the input, "
                         f"got {x.shape}")
    return x.reshape(mask.size, x.size // max(mask.size, 1))


def _fitting(name, given, like):
    """The user's *given* in the place of *like*: of its shape (a missing batch is added) and dtype."""
    if nested.is_table(like):
        if not nested.is_table(given) or len(given) != len(like):
            raise ShapeError(f"{name} must be a table like the output, {tensor.describe(like)}, "
                             f"got {tensor.describe(given)}")
        return [_fitting(f"{name}[{i}]", g, x) for i, (g, x) in enumerate(zip(given, like))]
    check.is_tensor(name, given)
    if given.shape != like.shape and given[None].shape != like.shape:
        raise ShapeError(f"{name} must have shape {like.shape}, got {given.shape}")
    if given.dtype != like.dtype:
        raise TypeError(f"{name} must be {like.dtype.name} like the module, got {given.dtype.name}")
    check.same_device(name, given, "the output", like)
    return tensor.dense(given)[0].reshape(like.shape)


class Frame:
    """What one step keeps for its backward: buffers by name, and what it was given."""

    def __init__(self):
        self.buffers = {}
        self.given = self.input = self.dense = self.denseGradient = None
        self.before = self.after = self.output = self.mask = self.twin = self.used = None

    def buffer(self, name, shape, like):
        """A tensor of this frame, its contents undefined; reused while the shape stays."""
        found = self.buffers[name] = tensor.resize(self.buffers.get(name), tuple(shape), like)
        return found

    def zeros(self, name, shape, like):
        """A tensor of this frame, full of 0."""
        found = self.buffer(name, shape, like)
        tensor.fill(found, 0)
        return found

    def map(self, name, value, function):
        """``function(leaf, buffer)`` for every leaf of *value*; the buffers, in the same structure."""
        if nested.is_table(value):
            return [self.map(f"{name}.{i}", item, function) for i, item in enumerate(value)]
        buffer = self.buffer(name, value.shape, value)
        function(value, buffer)
        return buffer

    def sum(self, name, a, b):
        """a + b leaf by leaf, in buffers of this frame; *b* may be None for 0."""
        if b is None:
            return a
        if nested.is_table(a):
            return [self.sum(f"{name}.{i}", x, y) for i, (x, y) in enumerate(zip(a, b))]
        total = self.buffer(name, a.shape, a)
        _add(a, b.reshape(a.shape), total)
        return total


class _Line:
    """The steps of one sequence, as far as they are kept, and how far backward has come."""

    def __init__(self, train):
        self._kept = {}      # number of a step -> its frame
        self._free = []
        self._coming = None  # the frame of a step that is being taken
        self._carry = Frame()
        self.original = None  # the frame whose twin is the module itself
        self.inner, self.reach = [], 1
        self.restart(train)

    def restart(self, train):
        """Before the first step."""
        # Given out from the end: each step gets the frame that it had in the last sequence.
        self._free += reversed(self._kept.values())
        self._kept.clear()
        self._oldest = self.count = 0
        self.carried = None
        self.train = train
        self.rewind()

    def rewind(self, accumulation=False):
        """Backward begins at the last step; with *accumulation* accGradParameters alone does."""
        self.toAccumulate = self.count
        if not accumulation:
            self.toBack = self.count
            self.gradients = None

    def carry(self):
        """Keep a copy of the last states as those before the first step, and no steps."""
        states = self.frame(self.count - 1).after
        self.restart(self.train)
        self.carried = [self._carry.map(f"state{i}", state, lambda x, y: tensor.copy(x, y))
                        for i, state in enumerate(states)]

    def next(self, keep):
        """The frame of the next step; steps before the last *keep* are kept no longer."""
        while self._oldest < self.count - keep:
            self._free.append(self._kept.pop(self._oldest))
            self._oldest += 1
        if self._coming is None:
            self._coming = self._free.pop() if self._free else Frame()
        return self._coming

    def advance(self):
        """The step whose frame was asked for has been taken."""
        self._kept[self.count] = self._coming
        self._coming = None
        self.count += 1
        self.rewind()

    def frame(self, index):
        """The frame of step *index*, or None if it is not kept."""
        return self._kept.get(index)

    def stepped(self, gradients):
        """Backward has gone through one more step."""
        self.toBack -= 1
        self.gradients = gradients

    def accumulated(self):
        """accGradParameters has gone through one more step."""
        self.toAccumulate -= 1


class Twin:
    """A copy of a module that shares its parameters and statistics, with buffers of its own."""

    def __init__(self, module):
        shared = {}
        for m in module.listModules():
            for name in m._tensorNames():
                value = getattr(m, name, None)
                if value is not None:
                    shared[id(value)] = value
        inner = steps_of(module)
        for step in inner:
            shared[id(step)] = step  # steps count by themselves: there is one of each
        self.module = copy.deepcopy(module, shared)
        skipped = {id(m) for step in inner for m in step.listModules()}
        self._pairs = [(a, b) for a, b in zip(module.listModules(), self.module.listModules())
                       if id(a) not in skipped]
        self._original = [id(m) for m in module.listModules()]
        self._direct = [pair for pair in self._pairs if pair[0].updatesDirectly]

    def fits(self, module):
        """Whether *module* still has the structure that was copied."""
        return [id(m) for m in module.listModules()] == self._original

    def follow(self):
        """Take over the original's tensors and settings, which may have been replaced since."""
        for owner, twin in self._pairs:
            mine, buffers = vars(twin), owner.bufferNames
            tensors = owner._tensorNames()
            for name, value in vars(owner).items():
                if mine.get(name) is not value and (
                        name in tensors or name in _DECLARED or (
                            isinstance(value, _PLAIN) and name not in buffers
                            and name not in owner._passBuffers)):
                    mine[name] = value
        return self.module


    def followRate(self):
        """Take over how far a step goes that backward takes itself: see ``Module.updatesDirectly``."""
        for owner, twin in self._direct:
            twin._rate = owner._rate


_DECLARED = ("paramNames", "stateNames", "sparseAxes")  # where an instance has its own
_PLAIN = (bool, int, float, str, type(None))
