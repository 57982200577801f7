"""Distances and angles to learned points: Euclidean, WeightedEuclidean, Cosine, Kmeans."""
import math

import numpy as np

from . import check, geometry, init, kernels, random, tensor
from .errors import ShapeError
from .kernels import formulas
from .module import Module

_over_distance = kernels.elementwise(formulas.over_distance)
_total = kernels.elementwise_sum(formulas.itself)


class _ToPoints(Module):
    """The base of modules that compare each example with outputSize learned points."""

    paramNames = ("weight",)
    accReadsGradInput = False

    def __init__(self, inputSize, outputSize):
        super().__init__()
        check.positive(outputSize=outputSize)
        if inputSize is not None:
            check.positive(inputSize=inputSize)
        self.inputSize = inputSize
        self.outputSize = outputSize
        for name in self.paramNames:
            setattr(self, name, None)
            setattr(self, "grad" + name[0].upper() + name[1:], None)
        if inputSize is not None:
            self._allocate()

    def _shape(self):
        return self.inputSize, self.outputSize

    def _allocate(self):
        like = self._type
        for name in self.paramNames:
            setattr(self, name, tensor.empty(self._shape(), like))
            setattr(self, "grad" + name[0].upper() + name[1:], tensor.zeros(self._shape(), like))
        self.reset()

    @property
    def sizesKnown(self):
        """False until inputSize is given or inferred."""
        return self.weight is not None

    def reset(self, stdv=None):
        """Draw weight from U(-b, b): b = 1 / sqrt(its first size), or std *stdv*."""
        if self.weight is not None:
            bound = 1 / math.sqrt(self._shape()[0]) if stdv is None else stdv * math.sqrt(3)
            init.uniform(self.weight, bound)
        return self

    def rows(self, input):
        """*input* as a batch, checked; sizes that were left out are taken from it."""
        x = check.batched("input", input, "N", self.inputSize or "inputSize")
        if self.weight is None:
            check.type_is("input", input, self._type)
            if x.shape[1] == 0:
                raise ShapeError(f"input must have at least one feature, got {input.shape}")
            self.inputSize = x.shape[1]
            self._allocate()
        check.parameters(self, **dict.fromkeys(self.paramNames, self._shape()))
        return x

    def describe(self):
        return f"{self.inputSize or '?'} -> {self.outputSize}"


class Euclidean(_ToPoints):
    """Distances to learned points: ``y[o] = |x - weight[:, o]|``.

    Parameters
    ----------
    inputSize : int or None
        Features of a row of the input; None takes it from the first input.
    outputSize : int
        How many points there are.

    Shapes
    ------
    input   (N, inputSize) or (inputSize,)
    output  (N, outputSize) or (outputSize,)
    weight  (inputSize, outputSize), a point in each column; gradWeight the same

    The gradient of a distance of 0 is 0.  Distances in its denominators have 1e-7
    added, as in Torch7.  Raises ShapeError for another number of features.
    Source: Torch7's nn.Euclidean.

    >>> Euclidean(3, 2)
    Euclidean(3 -> 2)
    >>> distance = Euclidean(2, 2)
    >>> distance.weight[...] = [[0, 3], [0, 4]]
    >>> distance.forward(np.array([3, 4], np.float32))
    array([5., 0.], dtype=float32)
    """

    bufferNames = ("_overDistance",)
    diagCov = gradDiagCov = None
    _overDistance = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = self.rows(input)
        K = kernels.of(input, self.weight, self.diagCov)
        output = self.resize("output", (*input.shape[:-1], self.outputSize), like=input)
        K.euclidean_update_output(x, self.weight, self.diagCov, geometry.with_batch(output, 2))
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, gradOutput, self.weight, self.diagCov)
        gradInput = self.resize("gradInput", input.shape, like=input)
        K.euclidean_update_grad_input(geometry.with_batch(input, 2), self.weight, self.diagCov,
                                      self._ratio(gradOutput), geometry.with_batch(gradInput, 2))
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, gradOutput, self.weight, self.gradWeight, self.diagCov, self.gradDiagCov)
        K.euclidean_acc_grad_parameters(geometry.with_batch(input, 2), self.weight, self.diagCov,
                                        self._ratio(gradOutput), self.gradWeight, self.gradDiagCov, scale)

    def _ratio(self, gradOutput):
        """gradOutput over the distances, as a batch."""
        ratio = self.resize("_overDistance", gradOutput.shape, like=gradOutput)
        _over_distance(self.output, gradOutput, ratio)
        return geometry.with_batch(ratio, 2)


class WeightedEuclidean(Euclidean):
    """Distances with learned weights: ``y[o] = |diagCov[:, o] * (x - weight[:, o])|``.

    Parameters
    ----------
    inputSize : int or None
        Features of a row of the input; None takes it from the first input.
    outputSize : int
        How many points there are.

    Shapes
    ------
    input    (N, inputSize) or (inputSize,)
    output   (N, outputSize) or (outputSize,)
    weight   (inputSize, outputSize), a point in each column; gradWeight the same
    diagCov  (inputSize, outputSize), gradDiagCov the same

    The gradient of a distance of 0 is 0.  Distances in its denominators have 1e-7
    added, as in Torch7.  Raises ShapeError for another number of features.
    Source: Torch7's nn.WeightedEuclidean.

    >>> WeightedEuclidean(3, 2)
    WeightedEuclidean(3 -> 2)
    >>> distance = WeightedEuclidean(2, 1)
    >>> distance.weight[...], distance.diagCov[...] = 0, [[2], [1]]
    >>> distance.forward(np.array([2, 3], np.float32))
    array([5.], dtype=float32)
    """

    paramNames = ("weight", "diagCov")

    def reset(self, stdv=None):
        """Draw weight from U(-b, b): b = 1 / sqrt(inputSize), or std *stdv*; diagCov is 1."""
        super().reset(stdv)
        if self.diagCov is not None:
            init.constant(self.diagCov, 1)
        return self


class Cosine(_ToPoints):
    """Cosines of the angles to learned vectors: ``y[o] = weight[o] . x / (|weight[o]| |x|)``.

    Parameters
    ----------
    inputSize : int or None
        Features of a row of the input; None takes it from the first input.
    outputSize : int
        How many vectors there are.

    Shapes
    ------
    input   (N, inputSize) or (inputSize,)
    output  (N, outputSize) or (outputSize,)
    weight  (outputSize, inputSize), gradWeight the same

    Norms have 1e-12 added, as in Torch7, so that the cosine of a vector of zeros is
    0.  Raises ShapeError for another number of features.  Source: Torch7's nn.Cosine.

    >>> import numpy as np
    >>> cosine = Cosine(2, 1)
    >>> cosine.weight[...] = [3, 4]
    >>> cosine.forward(np.array([4, 3], np.float32)).round(4).tolist()
    [0.9599999785423279]
    """

    bufferNames = ("_inputNorm", "_weightNorm", "_ratio", "_rows", "_columns")
    _inputNorm = _weightNorm = _ratio = _rows = _columns = None

    def _shape(self):
        return self.outputSize, self.inputSize

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = self.rows(input)
        K = kernels.of(input, self.weight)
        output = self.resize("output", (*input.shape[:-1], self.outputSize), like=input)
        inputNorm = self.resize("_inputNorm", x.shape[:1], like=input)
        weightNorm = self.resize("_weightNorm", (self.outputSize,), like=input)
        y = geometry.with_batch(output, 2)
        K.vector_norms(x, inputNorm, 1e-12)
        K.vector_norms(self.weight, weightNorm, 1e-12)
        K.gemm(x, self.weight, y, trans_b=True)
        K.divide_outer(inputNorm, weightNorm, y)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = self._prepare(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        dx = geometry.with_batch(gradInput, 2)
        K.add_factored_rows(geometry.with_batch(input, 2), self._rows, dx)
        K.gemm(self._ratio, self.weight, dx, beta=1.0)
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = self._prepare(input, gradOutput)
        K.add_factored_rows(self.weight, self._columns, self.gradWeight, 1.0, scale)
        K.gemm(self._ratio, geometry.with_batch(input, 2), self.gradWeight, scale, 1.0, trans_a=True)

    def _prepare(self, input, gradOutput):
        K = kernels.of(input, gradOutput, self.weight, self.gradWeight)
        y, dy = geometry.with_batch(self.output, 2), geometry.with_batch(gradOutput, 2)
        self.resize("_ratio", y.shape, like=y)
        self.resize("_rows", y.shape[:1], like=y)
        self.resize("_columns", y.shape[1:], like=y)
        K.cosine_gradients(y, dy, self._inputNorm, self._weightNorm, self._ratio, self._rows, self._columns)
        return K


class Kmeans(Module):
    """The number of the nearest of k centers; learning moves centers to the mean of what is near.

    Parameters
    ----------
    k : int
        How many centers there are.
    dim : int
        Features of an example.
    scale : float or None
        Multiplies each step, > 0; None stands for 1.

    Shapes
    ------
    input   (N, dim) or (dim,)
    output  (N,) or (1,), numbers 0 .. k-1 in the dtype of the input
    weight  (k, dim), gradWeight the same
    clusterSampleCount  (k,), examples of each center in the last accGradParameters

    ``gradWeight`` is not the derivative of the output, which is 0 wherever it exists:
    it is scale times the mean difference between a center and its examples, so that
    ``updateParameters(1)`` after ``zeroGradParameters`` and a backward puts each
    center into the middle.  ``gradInput`` is 0.  ``loss`` is the sum of the squared
    distances of the last forward.  An example with NaN has the number NaN.  Raises
    ShapeError for another number of features.  Source: Torch7's nn.Kmeans (Lloyd,
    1982; Coates and Ng, 2012).

    >>> import numpy as np
    >>> kmeans = Kmeans(2, 1)
    >>> kmeans.weight[...] = [[0], [1]]
    >>> kmeans.forward(np.array([[0.2], [0.9], [7]], np.float32))
    array([0., 1., 1.], dtype=float32)
    """

    paramNames = ("weight",)
    stateNames = ("clusterSampleCount",)
    bufferNames = ("_nearest", "_score")
    backwardNeeds = frozenset({"input"})
    accReadsGradInput = False

    def __init__(self, k, dim, scale=None):
        super().__init__()
        check.positive(k=k, dim=dim)
        if scale is not None:
            check.number(scale=scale)
            if scale <= 0:
                raise ValueError(f"scale must be > 0, got {scale}")
        self.k = k
        self.dim = dim
        self.scale = scale
        self.loss = 0.0
        like = self._type
        self.weight = tensor.empty((k, dim), like)
        self.gradWeight = tensor.zeros((k, dim), like)
        self.clusterSampleCount = tensor.zeros((k,), like)
        self._nearest = self._score = None
        self.reset()

    def reset(self, stdv=None):
        """Draw the centers from U(-b, b), b = *stdv* or 1."""
        init.uniform(self.weight, 1.0 if stdv is None else stdv)
        return self

    def initRandom(self, input):
        """Put each center on an example of *input*, drawn at random; returns self."""
        self._samples(input)
        for center, index in enumerate(_draw(input.shape[0], self.k)):
            tensor.copy(input[index], self.weight[center])
        return self

    def initKmeansPlus(self, input, p=0.95):
        """Put the centers on examples of *input* that are far from each other; returns self.

        Each center after the first is drawn among the share 1 - *p* of the examples
        that are farthest from the centers so far (after Arthur and Vassilvitskii, 2007).
        """
        check.number(low=0, high=1, p=p)
        self._samples(input)
        input, N = tensor.host(input), input.shape[0]
        # Of the numbers 1 - p makes, 0.05 x 20 is a little over 1.
        far = max(1, math.ceil((1 - p) * N - 1e-9))
        tensor.copy(input[_draw(N, 1)[0]], self.weight[0])
        distance = np.full(N, np.inf)
        for center in range(1, self.k):
            np.minimum(distance, ((input - tensor.host(self.weight[center - 1])) ** 2).sum(axis=1), out=distance)
            order = np.argsort(-distance, kind="stable")
            tensor.copy(input[order[_draw(far, 1)[0]]], self.weight[center])
        return self

    def _samples(self, input):
        check.shape("input", input, "N", self.dim)
        check.type_is("input", input, self._type)
        if input.shape[0] < self.k:
            raise ShapeError(f"input must have at least k = {self.k} examples to put centers on, "
                             f"got {input.shape[0]}")

    def updateOutput(self, input):
        input = self.takeInput(input)
        x = check.batched("input", input, "N", self.dim)
        check.parameters(self, weight=(self.k, self.dim))
        check.shape("clusterSampleCount", self.clusterSampleCount, self.k)
        K = kernels.of(input, self.weight, self.clusterSampleCount)
        output = self.resize("output", x.shape[:1], like=input)
        nearest = self.resize("_nearest", x.shape[:1], like=x, dtype=np.dtype(np.int64))
        score = self.resize("_score", x.shape[:1], like=input)
        K.nearest_update_output(x, self.weight, nearest, score, output)
        self.loss = _total(score)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        tensor.fill(self.resize("gradInput", input.shape, like=input), 0)
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        K = kernels.of(input, self.weight, self.gradWeight, self.clusterSampleCount)
        factor = scale if self.scale is None else scale * self.scale
        K.nearest_acc_grad_parameters(geometry.with_batch(input, 2), self.weight, self._nearest,
                                      self.clusterSampleCount, self.gradWeight, factor)

    def describe(self):
        return f"{self.k} x {self.dim}" + ("" if self.scale is None else f", scale {self.scale:g}")


def _draw(below, count):
    """*count* random integers in 0 .. below-1."""
    unit = np.empty(count)
    random.uniform(unit)
    return np.minimum((unit * below).astype(np.int64), below - 1)
