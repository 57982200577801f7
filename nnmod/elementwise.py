"""Elementwise: the base of every module that maps each element by one formula."""
from . import check, kernels
from .module import Module


class Elementwise(Module):
    """The base of every module that maps each element by one formula.

    A subclass sets two kernels from :func:`nnmod.kernels.elementwise`, ``function``
    and ``derivative``, and says in ``backwardNeeds`` what the derivative reads: the
    input, ``derivative(x, dy, dx, ...)``, or the output, ``derivative(y, dy, dx, ...)``.
    ``numbers()`` gives the numbers that both formulas take after their tensors.

    Shapes
    ------
    input   any
    output  the same as input

    >>> import numpy as np
    >>> class Cube(Elementwise):
    ...     function = kernels.elementwise(lambda x: x * x * x)
    ...     derivative = kernels.elementwise(lambda x, dy: type(x)(3) * x * x * dy)
    ...     backwardNeeds = frozenset({"input"})
    >>> Cube().forward(np.array([1, 2], np.float32))
    array([1., 8.], dtype=float32)
    """

    paramNames = ()
    function = derivative = None

    def numbers(self):
        """The numbers that the formulas take after their tensors."""
        return ()

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        if self.inplace:
            self.output = input
        else:
            self.resize("output", input.shape, like=input)
        self.function(input, self.output, *self.numbers())
        return self.output

    def updateGradInput(self, input, gradOutput):
        return self._derive(input, gradOutput, *self.numbers())

    def _derive(self, input, gradOutput, *numbers):
        """The derivative, with numbers of its own."""
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        if self.inplace:
            self.gradInput = gradOutput
        else:
            self.resize("gradInput", input.shape, like=input)
        source = self.output if "output" in self.backwardNeeds else input
        self.derivative(source, gradOutput, self.gradInput, *numbers)
        return self.gradInput


class InPlace(Elementwise):
    """An elementwise module that can overwrite its input.

    Parameters
    ----------
    inplace : bool
        Overwrite the input, and gradOutput in backward.
    """

    def __init__(self, inplace=False):
        super().__init__()
        check.boolean(inplace=inplace)
        self.inplace = inplace

    def _suffix(self):
        """What describe() ends with."""
        return ", in place" if self.inplace else ""
