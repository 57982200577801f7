"""Softmax on the CPU.  Meaning and shapes: kernels/reference/softmax.py.

A column is the classes of one row or pixel.  Rows (S = 1) lie along memory; the
columns of an image are walked with stride S.  Columns are independent, so threads
share no write.
"""
import math

from ..formulas import exp
from . import functions  # noqa: F401  gives exp its compiled form
from . import threads
from .compile import inline, jit
from .simd import VECTOR_BYTES, address, broadcast, lanes, largest_lane, load, maximum


def softmax_update_output(x, y):
    """y <- softmax of x over c."""
    _run(_softmax, x, x, y)


def softmax_update_grad_input(y, dy, dx):
    """dx <- gradient of x."""
    _run(_softmax_grad, y, y, dy, dx)


def log_softmax_update_output(x, y):
    """y <- log of the softmax of x over c."""
    _run(_log_softmax, x, x, y)


def log_softmax_update_grad_input(y, dy, dx):
    """dx <- gradient of x."""
    _run(_log_softmax_grad, y, y, dy, dx)


def _run(kernel, like, *tensors):
    N, C, S = like.shape
    threads.run(kernel, N * S, threads.grain(10 * C, threads.ELEMENTS_PER_THREAD), *tensors)


@inline
def _column(a, k):
    """Column k of a (N, C, S): for S = 1 a row, contiguous."""
    S = a.shape[2]
    return a[k // S, :, k % S]


@inline
def _row(a, k):
    return a.reshape(a.shape[0], a.shape[1])[k]


@inline
def _row_maximum(x):
    """As _maximum, for a contiguous x; no flag lets LLVM reorder a maximum, so vectors are written out."""
    like, where = x[0], address(x)
    step = lanes(like)
    size = VECTOR_BYTES // step
    whole = x.size // step * step
    tops = broadcast(like)
    for c in range(0, whole, step):
        tops = maximum(load(like, where + c * size), tops)
    top = largest_lane(tops)
    for c in range(whole, x.size):
        if x[c] > top:
            top = x[c]
    return top


@inline
def _maximum(x):
    # NaN may lose here: it comes back with the sum of exponentials.
    top = x[0]
    for c in range(1, x.size):
        if x[c] > top:
            top = x[c]
    return top


@inline
def _softmax_one(x, y, top):
    for c in range(x.size):
        y[c] = exp(x[c] - top)
    total = y[0]
    for c in range(1, y.size):
        total += y[c]
    for c in range(y.size):
        y[c] /= total


@inline
def _softmax_grad_one(y, dy, dx):
    dot = y[0] * dy[0]
    for c in range(1, y.size):
        dot += y[c] * dy[c]
    for c in range(y.size):
        dx[c] = y[c] * (dy[c] - dot)


@inline
def _log_softmax_one(x, y, top):
    for c in range(x.size):
        y[c] = exp(x[c] - top)
    total = y[0]
    for c in range(1, y.size):
        total += y[c]
    shift = math.log(total)
    for c in range(y.size):
        # Two steps: top + log(total) would lose the small one of the two.
        y[c] = (x[c] - top) - shift


@inline
def _log_softmax_grad_one(y, dy, dx):
    total = dy[0]
    for c in range(1, y.size):
        total += dy[c]
    for c in range(y.size):
        dx[c] = dy[c] - exp(y[c]) * total


@jit
def _softmax(start, stop, x, y):
    if x.shape[2] == 1:
        for k in range(start, stop):
            _softmax_one(_row(x, k), _row(y, k), _row_maximum(_row(x, k)))
    else:
        for k in range(start, stop):
            _softmax_one(_column(x, k), _column(y, k), _maximum(_column(x, k)))


@jit
def _softmax_grad(start, stop, y, dy, dx):
    if y.shape[2] == 1:
        for k in range(start, stop):
            _softmax_grad_one(_row(y, k), _row(dy, k), _row(dx, k))
    else:
        for k in range(start, stop):
            _softmax_grad_one(_column(y, k), _column(dy, k), _column(dx, k))


@jit
def _log_softmax(start, stop, x, y):
    if x.shape[2] == 1:
        for k in range(start, stop):
            _log_softmax_one(_row(x, k), _row(y, k), _row_maximum(_row(x, k)))
    else:
        for k in range(start, stop):
            _log_softmax_one(_column(x, k), _column(y, k), _maximum(_column(x, k)))


@jit
def _log_softmax_grad(start, stop, y, dy, dx):
    if y.shape[2] == 1:
        for k in range(start, stop):
            _log_softmax_grad_one(_row(y, k), _row(dy, k), _row(dx, k))
    else:
        for k in range(start, stop):
            _log_softmax_grad_one(_column(y, k), _column(dy, k), _column(dx, k))
