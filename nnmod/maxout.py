"""The greatest of several affine maps: Maxout."""
from . import check
from .container import Sequential
from .linear import Linear
from .reduction import Max
from .reshape import View


class Maxout(Sequential):
    """Each output is the greatest of several affine maps: ``y[o] = max over k of (W x + b)[k, o]``.

    Parameters
    ----------
    inputSize : int or None
        Features of a row of the input; None takes it from the first input.
    outputSize : int
        Features of a row of the output.
    maxoutNumber : int
        Of how many maps each output is the greatest.
    preprocess : Module or None
        What the maps' results, of shape (N, maxoutNumber, outputSize), go through
        before the greatest is taken, such as a Dropout.

    Shapes
    ------
    input   (N, inputSize) or (inputSize,)
    output  (N, outputSize) or (outputSize,)

    Its modules are a Linear, a View, *preprocess* if there is one, and a Max.  Raises
    ShapeError for another number of features.  Source: Torch7's nn.Maxout (Goodfellow
    and others, 2013).

    >>> import numpy as np
    >>> Maxout(5, 3, 2).forward(np.ones((4, 5), np.float32)).shape
    (4, 3)
    """

    def __init__(self, inputSize, outputSize, maxoutNumber, preprocess=None):
        check.positive(outputSize=outputSize, maxoutNumber=maxoutNumber)
        self.inputSize = inputSize
        self.outputSize = outputSize
        self.maxoutNumber = maxoutNumber
        between = () if preprocess is None else (preprocess,)
        super().__init__(Linear(inputSize, outputSize * maxoutNumber),
                         View(maxoutNumber, outputSize, numInputDims=1), *between, Max(0, 2))
