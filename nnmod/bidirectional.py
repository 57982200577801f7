"""Through a sequence from both ends: SeqReverseSequence, SeqBRNN, BiSequencer, BiSequencerLM."""
from . import check, nested, tensor
from .arithmetic import CAddTable
from .container import Container, Sequential
from .errors import ShapeError
from .module import Module
from .sequence import SeqLSTM
from .sequencer import Sequencer, add_to, as_steps, copy_to, put_step, room_for
from .table import ConcatTable, JoinTable


class SeqReverseSequence(Module):
    """The same elements, one dimension in reverse order.

    Parameters
    ----------
    dim : int
        The dimension, counted from 0; negative counts from the end.

    Shapes
    ------
    input   any with that dimension, also integers
    output  the same

    Source: Element-Research's rnn, nn.SeqReverseSequence.

    >>> import numpy as np
    >>> SeqReverseSequence(0).forward(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[3., 4.],
           [1., 2.]])
    """

    paramNames = ()
    backwardNeeds = frozenset()

    def __init__(self, dim):
        super().__init__()
        if not check.is_int(dim):
            raise ValueError(f"dim must be an int, counted from 0, got {dim!r}")
        self.dim = dim

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.is_tensor("input", input)
        if input.dtype.kind not in "iu":
            check.floating("input", input)
        return self._reverse("output", input)

    def updateGradInput(self, input, gradOutput):
        _, gradOutput = self.takeGradOutput(input, gradOutput)
        if gradOutput.dtype.kind != "f":
            self.gradInput = None
            return None
        return self._reverse("gradInput", gradOutput)

    def _reverse(self, name, x):
        axis = check.dimension("dim", self.dim, x.ndim)
        target = self.resize(name, x.shape, like=x)
        tensor.copy(x[(slice(None),) * axis + (slice(None, None, -1),)], target)
        return target

    def describe(self):
        return f"{self.dim}"


class SeqBRNN(Sequential):
    """Two recurrent layers over a whole sequence, one of them from its end; their outputs are merged.

    Parameters
    ----------
    inputDim : int
        Features of a step of the input.
    hiddenDim : int
        Features of a step of each layer's output.
    batchFirst : bool
        The batch is the first dimension of input and output, and time the second.
    merge : Module or None
        Joins the table of the two outputs; None is a CAddTable, their sum.  A
        JoinTable(-1) makes what is called a bidirectional LSTM elsewhere.
    forwardModule, backwardModule : Module or None
        The layers, such as SeqGRUs (made with batchFirst as here); None is a SeqLSTM.

    Shapes
    ------
    input   (T, N, inputDim), with batchFirst (N, T, inputDim); (T, inputDim) for one sequence
    output  the same, with what merge makes of hiddenDim features twice

    With ``setLengths`` each sequence is read from its own end.  ``remember`` is for the
    forward layer: what the other one has read lies in the future.  Source:
    Element-Research's rnn, nn.SeqBRNN (Schuster and Paliwal, 1997).

    >>> import numpy as np
    >>> SeqBRNN(3, 4, merge=JoinTable(-1)).forward(np.ones((5, 2, 3), np.float32)).shape
    (5, 2, 8)
    """

    def __init__(self, inputDim, hiddenDim, batchFirst=False, merge=None,
                 forwardModule=None, backwardModule=None):
        check.boolean(batchFirst=batchFirst)
        ahead = SeqLSTM(inputDim, hiddenDim, batchFirst) if forwardModule is None else forwardModule
        back = SeqLSTM(inputDim, hiddenDim, batchFirst) if backwardModule is None else backwardModule
        time = -2 if batchFirst else 0
        super().__init__(
            ConcatTable(ahead, Sequential(SeqReverseSequence(time), back, SeqReverseSequence(time))),
            CAddTable() if merge is None else merge)

    @property
    def forwardModule(self):
        """The layer that reads from the start."""
        return self.modules[0].modules[0]

    @property
    def backwardModule(self):
        """The layer that reads from the end."""
        return self.modules[0].modules[1].modules[1]

    def setLengths(self, lengths, padding="right"):
        """Say how many steps of each sequence of the batch are real: see SeqLSTM; returns self."""
        self.forwardModule.setLengths(lengths, padding)
        # What is reversed has its padding at the other end.
        self.backwardModule.setLengths(lengths, "left" if padding == "right" else "right")
        return self

    def remember(self, remember="both"):
        """When the forward layer goes on from its last state: see SeqLSTM; returns self."""
        self.forwardModule.remember(remember)
        return self


class _TwoWays(Container):
    """The base of BiSequencer and BiSequencerLM: one step module from the start, one from the end."""

    bufferNames = ("_pairs", "_sums", "_stacked", "_edges")

    def __init__(self, forward, backward=None, merge=None):
        super().__init__()
        for name in _TwoWays.bufferNames:
            setattr(self, name, None)
        if not isinstance(forward, Module):
            raise TypeError(f"forward must be a module, got {forward!r}")
        if backward is None:
            backward = forward.clone().reset()
        if merge is None or check.is_int(merge):
            merge = JoinTable(0, 1 if merge is None else merge)
        self._setChildren([Sequencer(module) for module in (forward, backward, merge)])

    def _checkChildren(self, children):
        if len(children) != 3 or not all(isinstance(child, Sequencer) for child in children):
            raise ValueError(f"{type(self).__name__} has three Sequencers: forward, backward and merge")

    def _childrenOfInput(self):
        return self.modules[:2]

    def remember(self, remember="both"):
        """When the forward module goes on from its last state: see Sequencer; returns self.

        What the backward module has read lies in the future, so it always starts anew.
        """
        self.modules[0].remember(remember)
        return self

    # A subclass gives four slices: the steps that each module reads, and those it speaks for.

    def _slices(self, T):
        raise NotImplementedError(f"{type(self).__name__} must define _slices(T)")

    def _joined(self, outputs, reverse):
        """The table of pairs that merge takes, one for each step."""
        raise NotImplementedError(f"{type(self).__name__} must define _joined(outputs, reverse)")

    def updateOutput(self, input):
        input = self.takeInput(input)
        steps = as_steps(input)
        ahead, back, _, _ = self._slices(len(steps))
        outputs = self.call(0, "forward", steps[ahead])
        reverse = self.call(1, "forward", steps[back][::-1])[::-1]
        self._pairs = self._joined(outputs, reverse)
        output = self.call(2, "forward", self._pairs)
        self.output = self._stack("output", output) if tensor.is_tensor(input) else output
        return self.output

    def backward(self, input, gradOutput, scale=1.0):
        """backward of the three Sequencers."""
        self._checkBackward(input, gradOutput)
        self._back("backward", self._input, self._gradOutput, scale)
        if not self.needsGradInput:
            self.gradInput = None
        return self.gradInput

    def updateGradInput(self, input, gradOutput):
        return self._back("updateGradInput", *self.takeGradOutput(input, gradOutput))

    def _back(self, method, input, gradOutput, *scale):
        steps = as_steps(input)
        ahead, back, given, givenBack = self._slices(len(steps))
        pairs = self.call(2, method, self._pairs, as_steps(gradOutput), *scale)
        first = self.call(0, method, steps[ahead], [a for a, _ in pairs[given]], *scale)
        second = self.call(1, method, steps[back][::-1], [b for _, b in pairs[givenBack]][::-1], *scale)
        if first is None or second is None:
            self.gradInput = None
            return None
        old = self._sums if self._sums is not None and len(self._sums) == len(steps) else [None] * len(steps)
        sums = self._sums = [None] * len(steps)
        for at, gradients in ((ahead, first), (back, second[::-1])):
            for t, gradient in zip(range(len(steps))[at], gradients):
                if sums[t] is None:
                    sums[t] = copy_to(old[t], gradient)
                else:
                    add_to(sums[t], gradient)
        self.gradInput = self._stack("gradInput", sums) if tensor.is_tensor(input) else list(sums)
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        steps, merge = as_steps(input), self.modules[2]
        ahead, back, given, givenBack = self._slices(len(steps))
        self.call(2, "accGradParameters", self._pairs, as_steps(gradOutput), scale)
        for index, seen, gradients in (
                (0, steps[ahead], [a for a, _ in merge.gradInput[given]]),
                (1, steps[back][::-1], [b for _, b in merge.gradInput[givenBack]][::-1])):
            self.call(index, "accGradParameters", seen, gradients, scale)

    def _stack(self, name, steps):
        """The steps' tensors as one; a list where they are tables."""
        if self._stacked is None:
            self._stacked = {}
        room = self._stacked[name] = room_for(self._stacked.get(name), steps[0], len(steps), True)
        for t, step in enumerate(steps):
            put_step(room, t, step)
        return room if tensor.is_tensor(room) else list(room)


class BiSequencer(_TwoWays):
    """Runs one step module over a sequence and another over it from its end; merges step by step.

    Parameters
    ----------
    forward : Module
        Takes the steps in order.
    backward : Module or None
        Takes them in reverse; None is a copy of forward with other parameters.
    merge : Module, int or None
        Joins the table of the two outputs of each step; an int n joins them along the
        first dimension of an output of n dimensions (without the batch), None means 1.

    Shapes
    ------
    input   a table with an entry for each step, or a tensor (T, ...)
    output  the same with what merge makes of each step

    Source: Element-Research's rnn, nn.BiSequencer (Schuster and Paliwal, 1997).

    >>> import numpy as np
    >>> from nnmod import LSTM
    >>> BiSequencer(LSTM(3, 4)).forward(np.ones((5, 2, 3), np.float32)).shape
    (5, 2, 8)
    """

    def _slices(self, T):
        if T < 1:
            raise ShapeError("a sequence must have at least one step, got an empty one")
        return (slice(None),) * 4

    def _joined(self, outputs, reverse):
        return [[a, b] for a, b in zip(outputs, reverse)]


class BiSequencerLM(_TwoWays):
    """A BiSequencer for language models: no step sees itself.

    The output of step t is made of what comes before it and what comes after it:
    forward has read steps 0 .. t - 1, backward T - 1 .. t + 1.  At the ends, where one
    of them has read nothing, its output is 0.

    Parameters
    ----------
    forward, backward, merge
        As of BiSequencer.

    Shapes
    ------
    input   a table with an entry for each step, or a tensor (T, ...), T > 1
    output  the same with what merge makes of each step

    Source: Element-Research's rnn, nn.BiSequencerLM.

    >>> import numpy as np
    >>> from nnmod import LSTM
    >>> BiSequencerLM(LSTM(3, 4)).forward(np.ones((5, 2, 3), np.float32)).shape
    (5, 2, 8)
    """

    def _slices(self, T):
        if T < 2:
            raise ShapeError(f"a sequence for BiSequencerLM must have at least two steps, got {T}")
        return slice(None, -1), slice(1, None), slice(1, None), slice(None, -1)

    def _joined(self, outputs, reverse):
        edges = self._edges or [None, None]
        self._edges = [copy_to(edge, like) for edge, like in zip(edges, (outputs[0], reverse[-1]))]
        for leaf in nested.leaves(self._edges):
            tensor.fill(leaf, 0)
        return [[a, b] for a, b in zip([self._edges[0], *outputs], [*reverse, self._edges[1]])]
