"""Products and distances of two tensors: MM, MV, DotProduct, CosineDistance, PairwiseDistance."""
from . import check, kernels, tensor
from .errors import ShapeError
from .module import Module


class _Pair(Module):
    """The base: two tensors in, one out; a gradient for each."""

    paramNames = ()
    bufferNames = ("_parts",)
    backwardNeeds = frozenset({"input"})

    def __init__(self):
        super().__init__()
        self._parts = None

    def _taken(self, input):
        """The two tensors of *input*, of one dtype."""
        input = self.takeInput(input)
        check.table("input", input, 2)
        for index, entry in enumerate(input):
            check.floating(f"input[{index}]", entry)
        kernels.of(*input)
        return input

    def _gradients(self, input):
        """A buffer for the gradient of each; also gradInput."""
        parts = self._parts or [None, None]
        self._parts = [tensor.resize(part, x.shape, x) for part, x in zip(parts, input)]
        self.gradInput = list(self._parts)
        return self._parts


class MM(_Pair):
    """The product of two matrices, or of the matrices of two batches: ``y = op(a) op(b)``.

    Parameters
    ----------
    transA, transB : bool
        Transpose the matrices of the first, of the second tensor.

    Shapes
    ------
    input   a table: (N, M, K) or (M, K), with transA (N, K, M) or (K, M);
            (N, K, P) or (K, P), with transB (N, P, K) or (P, K)
    output  (N, M, P) or (M, P)

    Raises ShapeError where the sizes do not fit each other.  Source: Torch7's nn.MM.

    >>> import numpy as np
    >>> MM(transB=True).forward([np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)]).shape
    (2, 4)
    """

    def __init__(self, transA=False, transB=False):
        super().__init__()
        check.boolean(transA=transA, transB=transB)
        self.transA = transA
        self.transB = transB

    def updateOutput(self, input):
        a, b = self._taken(input)
        if a.ndim not in (2, 3) or b.ndim != a.ndim:
            raise ShapeError(f"input must be two matrices (M, K) and (K, P), or two batches of them, "
                             f"got {a.shape} and {b.shape}")
        rows, inner = a.shape[-2:][::-1] if self.transA else a.shape[-2:]
        other, columns = b.shape[-2:][::-1] if self.transB else b.shape[-2:]
        if inner != other or a.shape[:-2] != b.shape[:-2]:
            raise ShapeError(f"the matrices do not fit: {inner} columns by {other} rows, "
                             f"of shapes {a.shape} and {b.shape}" + self._how())
        output = self.resize("output", (*a.shape[:-2], rows, columns), like=a)
        kernels.of(a).batch_gemm(_batch(a), _batch(b), _batch(output), self.transA, self.transB)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        da, db = map(_batch, self._gradients(input))
        a, b = map(_batch, input)
        dy = _batch(gradOutput)
        K = kernels.of(dy)
        if self.transA:
            K.batch_gemm(b, dy, da, self.transB, True)
        else:
            K.batch_gemm(dy, b, da, False, not self.transB)
        if self.transB:
            K.batch_gemm(dy, a, db, True, self.transA)
        else:
            K.batch_gemm(a, dy, db, not self.transA, False)
        return self.gradInput

    def _how(self):
        return (" (first transposed)" if self.transA else "") + (" (second transposed)" if self.transB else "")

    def describe(self):
        return ", ".join((["transA"] if self.transA else []) + (["transB"] if self.transB else []))


class MV(_Pair):
    """The product of a matrix and a vector, or of the ones of two batches: ``y = op(M) v``.

    Parameters
    ----------
    trans : bool
        Transpose the matrix.

    Shapes
    ------
    input   a table: (N, M, K) or (M, K), with trans (N, K, M) or (K, M); (N, K) or (K,)
    output  (N, M) or (M,)

    Raises ShapeError where the sizes do not fit each other.  Source: Torch7's nn.MV.

    >>> import numpy as np
    >>> MV().forward([np.ones((2, 3), np.float32), np.ones(3, np.float32)])
    array([3., 3.], dtype=float32)
    """

    def __init__(self, trans=False):
        super().__init__()
        check.boolean(trans=trans)
        self.trans = trans

    def updateOutput(self, input):
        m, v = self._taken(input)
        if m.ndim not in (2, 3) or v.ndim != m.ndim - 1:
            raise ShapeError(f"input must be a matrix (M, K) and a vector (K,), or batches of them, "
                             f"got {m.shape} and {v.shape}")
        rows, inner = m.shape[-2:][::-1] if self.trans else m.shape[-2:]
        if inner != v.shape[-1] or m.shape[:-2] != v.shape[:-1]:
            raise ShapeError(f"matrix and vector do not fit: {inner} columns by {v.shape[-1]} elements, of shapes "
                             f"{m.shape} and {v.shape}" + (" (transposed)" if self.trans else ""))
        output = self.resize("output", (*m.shape[:-2], rows), like=m)
        # As a row or a column, so that each product runs along memory.
        if self.trans:
            kernels.of(m).batch_gemm(_row(v), _batch(m), _row(output))
        else:
            kernels.of(m).batch_gemm(_batch(m), _row(v), _column(output), False, True)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        dm, dv = self._gradients(input)
        m, v = input
        K = kernels.of(gradOutput)
        if self.trans:
            K.batch_gemm(_column(v), _row(gradOutput), _batch(dm))
            K.batch_gemm(_batch(m), _row(gradOutput), _column(dv), False, True)
        else:
            K.batch_gemm(_column(gradOutput), _row(v), _batch(dm))
            K.batch_gemm(_row(gradOutput), _batch(m), _row(dv))
        return self.gradInput

    def describe(self):
        return "trans" if self.trans else ""


def _batch(matrix):
    return matrix if matrix.ndim == 3 else matrix[None]


def _row(vector):
    return vector[None, None] if vector.ndim == 1 else vector[:, None]


def _column(vector):
    return vector[None, :, None] if vector.ndim == 1 else vector[:, :, None]


class _RowPair(_Pair):
    """The base of what makes one number of each pair of rows."""

    def _rows(self, input):
        """The two tensors as (N, F)."""
        a, b = self._taken(input)
        if a.ndim not in (1, 2) or a.shape != b.shape:
            raise ShapeError(f"input must be two tensors of one shape, (N, F) or (F,), got {a.shape} and {b.shape}")
        return _matrix(a), _matrix(b)


def _matrix(x):
    return x if x.ndim == 2 else x[None]


class DotProduct(_RowPair):
    """The dot product of each pair of rows: ``y[n] = a[n] . b[n]``.

    Shapes
    ------
    input   a table of two tensors (N, F), or (F,)
    output  (N,), or (1,)

    Raises ShapeError where the shapes differ.  Source: Torch7's nn.DotProduct.

    >>> import numpy as np
    >>> DotProduct().forward([np.ones((2, 3), np.float32), np.ones((2, 3), np.float32)])
    array([3., 3.], dtype=float32)
    """

    def updateOutput(self, input):
        a, b = self._rows(input)
        output = self.resize("output", a.shape[:1], like=a)
        kernels.of(a).dot_rows(a, b, output)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        da, db = map(_matrix, self._gradients(input))
        a, b = map(_matrix, input)
        K = kernels.of(gradOutput)
        K.scale_rows(gradOutput, b, da)
        K.scale_rows(gradOutput, a, db)
        return self.gradInput


class CosineDistance(_RowPair):
    """The cosine of the angle of each pair of rows: ``y[n] = a[n] . b[n] / (|a[n]| |b[n]|)``.

    Shapes
    ------
    input   a table of two tensors (N, F), or (F,)
    output  (N,), or (1,)

    Squared lengths are taken plus 1e-12, so that a row of zeros gives 0.  Raises
    ShapeError where the shapes differ.  Source: Torch7's nn.CosineDistance.

    >>> import numpy as np
    >>> CosineDistance().forward([np.array([[3.0, 4.0]]), np.array([[4.0, 3.0]])])
    array([0.96])
    """

    bufferNames = ("_parts", "_norms")
    backwardNeeds = frozenset({"input", "output"})

    def __init__(self):
        super().__init__()
        self._norms = None

    def updateOutput(self, input):
        a, b = self._rows(input)
        output = self.resize("output", a.shape[:1], like=a)
        norms = self.resize("_norms", (2, a.shape[0]), like=a)
        kernels.of(a).cosine_update_output(a, b, output, norms)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        da, db = map(_matrix, self._gradients(input))
        a, b = map(_matrix, input)
        kernels.of(gradOutput).cosine_update_grad_input(a, b, self.output, self._norms, gradOutput, da, db)
        return self.gradInput


class PairwiseDistance(_RowPair):
    """The distance of each pair of rows in the p-norm: ``y[n] = (sum |a[n] - b[n]|**p)**(1/p)``.

    Parameters
    ----------
    p : float
        The norm, > 0.

    Shapes
    ------
    input   a table of two tensors (N, F), or (F,)
    output  (N,), or (1,)

    As in Torch7 the gradient divides by ``(y + 1e-6)**(p - 1)``, so that it is finite for
    equal rows; where an element of both is equal it is 0 (Torch7 draws a sign for p = 1).
    For 1 < p < 2 it is the derivative, which Torch7's is not.  Raises ShapeError where the
    shapes differ.  Source: Torch7's nn.PairwiseDistance.

    >>> import numpy as np
    >>> PairwiseDistance(2).forward([np.array([[3.0, 4.0]]), np.array([[0.0, 0.0]])])
    array([5.])
    """

    backwardNeeds = frozenset({"input", "output"})

    def __init__(self, p):
        super().__init__()
        check.number(low=0, p=p)
        if p == 0:
            raise ValueError("p must be > 0, got 0")
        self.p = p

    def updateOutput(self, input):
        a, b = self._rows(input)
        output = self.resize("output", a.shape[:1], like=a)
        kernels.of(a).distance_update_output(a, b, output, self.p)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        da, db = map(_matrix, self._gradients(input))
        a, b = map(_matrix, input)
        kernels.of(gradOutput).distance_update_grad_input(a, b, self.output, gradOutput, da, db, self.p)
        return self.gradInput

    def describe(self):
        return f"{self.p:g}"
