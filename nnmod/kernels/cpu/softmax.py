"""Softmax on the CPU.  Meaning and shapes: kernels/reference/softmax.py.

A column is the classes of one row or pixel.  Rows (S = 1) lie along memory and are
taken one by one.  The columns of an image stand side by side: there 256 of them are
taken at a time, class by class, and what is summed over the classes lives in rows of
the output that are written last.  Columns are independent, so threads share no write.
"""
import math

from ..formulas import exp, log
from . import functions  # noqa: F401  gives exp its compiled form
from . import threads
from .compile import inline, jit
from .simd import VECTOR_BYTES, address, broadcast, lanes, largest_lane, load, maximum


def softmax_update_output(x, y):
    """y <- softmax of x over c."""
    _run(_softmax_rows, _softmax, x, y)


def softmax_update_grad_input(y, dy, dx):
    """dx <- gradient of x."""
    _run(_softmax_grad_rows, _softmax_grad, y, dy, dx)


def log_softmax_update_output(x, y):
    """y <- log of the softmax of x over c."""
    _run(_log_softmax_rows, _log_softmax, x, y)


def log_softmax_update_grad_input(y, dy, dx):
    """dx <- gradient of x."""
    _run(_log_softmax_grad_rows, _log_softmax_grad, y, dy, dx)


def _run(by_rows, by_blocks, *tensors):
    """One kernel or the other, so that nobody waits for the compiler of one that he does not use."""
    N, C, S = tensors[0].shape
    grain = threads.grain(10 * C, threads.ELEMENTS_PER_THREAD)
    if S == 1:
        threads.run(by_rows, N, grain, *[tensor[:, :, 0] for tensor in tensors])
    else:
        threads.run(by_blocks, N * S, grain, *tensors)


@inline
def _row_maximum(x):
    """The largest of a contiguous x: no flag lets LLVM reorder a maximum, so vectors are written out.

    NaN may lose here: it comes back with the sum of exponentials.
    """
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


_BLOCK = 256


@inline
def _softmax_block(x, y, first, last):
    """The same for columns side by side: those from first to last of x and y, (C, S)."""
    C, size = x.shape[0], last - first
    one = x.dtype.type(1)
    top = y[0, first:last]
    _top(x, top, first, last)
    if C == 1:
        for s in range(size):
            top[s] = one + (x[0, first + s] - top[s])  # 1, or NaN
        return
    total = y[1, first:last]
    x0, x1 = x[0, first:last], x[1, first:last]
    for s in range(size):
        total[s] = exp(x0[s] - top[s]) + exp(x1[s] - top[s])
    for c in range(2, C):
        source, out = x[c, first:last], y[c, first:last]
        for s in range(size):
            e = exp(source[s] - top[s])
            out[s] = e
            total[s] += e
    for c in range(2, C):
        out = y[c, first:last]
        for s in range(size):
            out[s] /= total[s]
    for s in range(size):
        t, whole = top[s], total[s]
        top[s] = exp(x0[s] - t) / whole
        total[s] = exp(x1[s] - t) / whole


@inline
def _log_softmax_block(x, y, first, last):
    C, size = x.shape[0], last - first
    top = y[0, first:last]
    _top(x, top, first, last)
    if C == 1:
        for s in range(size):
            top[s] = x[0, first + s] - top[s]  # 0, or NaN
        return
    total = y[1, first:last]
    x0, x1 = x[0, first:last], x[1, first:last]
    for s in range(size):
        total[s] = exp(x0[s] - top[s]) + exp(x1[s] - top[s])
    for c in range(2, C):
        source = x[c, first:last]
        for s in range(size):
            total[s] += exp(source[s] - top[s])
    for s in range(size):
        total[s] = log(total[s])
    for c in range(2, C):
        source, out = x[c, first:last], y[c, first:last]
        for s in range(size):
            out[s] = (source[s] - top[s]) - total[s]
    for s in range(size):
        t, shift = top[s], total[s]
        top[s] = (x0[s] - t) - shift
        total[s] = (x1[s] - t) - shift


@inline
def _top(x, top, first, last):
    zeroth = x[0, first:last]
    for s in range(top.size):
        top[s] = zeroth[s]
    for c in range(1, x.shape[0]):
        source = x[c, first:last]
        for s in range(top.size):
            v, t = source[s], top[s]
            top[s] = v if v > t else t


@inline
def _softmax_grad_block(y, dy, dx, first, last):
    C, size = y.shape[0], last - first
    zero = y.dtype.type(0)
    dot = dx[0, first:last]
    for s in range(size):
        dot[s] = zero
    for c in range(C):
        a, b = y[c, first:last], dy[c, first:last]
        for s in range(size):
            dot[s] += a[s] * b[s]
    for c in range(C - 1, -1, -1):  # the row that holds the sums comes last
        a, b, out = y[c, first:last], dy[c, first:last], dx[c, first:last]
        for s in range(size):
            out[s] = a[s] * (b[s] - dot[s])


@inline
def _log_softmax_grad_block(y, dy, dx, first, last):
    C, size = y.shape[0], last - first
    zero = y.dtype.type(0)
    total = dx[0, first:last]
    for s in range(size):
        total[s] = zero
    for c in range(C):
        b = dy[c, first:last]
        for s in range(size):
            total[s] += b[s]
    for c in range(C - 1, -1, -1):
        a, b, out = y[c, first:last], dy[c, first:last], dx[c, first:last]
        for s in range(size):
            out[s] = b[s] - exp(a[s]) * total[s]


@inline
def _block_end(k, stop, S):
    """Where the columns that start at k end: one block, one image, or the range."""
    return min(k + _BLOCK, stop, (k // S + 1) * S)


@jit
def _softmax_rows(start, stop, x, y):
    for n in range(start, stop):
        _softmax_one(x[n], y[n], _row_maximum(x[n]))


@jit
def _softmax_grad_rows(start, stop, y, dy, dx):
    for n in range(start, stop):
        _softmax_grad_one(y[n], dy[n], dx[n])


@jit
def _log_softmax_rows(start, stop, x, y):
    for n in range(start, stop):
        _log_softmax_one(x[n], y[n], _row_maximum(x[n]))


@jit
def _log_softmax_grad_rows(start, stop, y, dy, dx):
    for n in range(start, stop):
        _log_softmax_grad_one(y[n], dy[n], dx[n])


@jit
def _softmax(start, stop, x, y):
    S = x.shape[2]
    k = start
    while k < stop:
        end, n = _block_end(k, stop, S), k // S
        _softmax_block(x[n], y[n], k - n * S, end - n * S)
        k = end


@jit
def _softmax_grad(start, stop, y, dy, dx):
    S = y.shape[2]
    k = start
    while k < stop:
        end, n = _block_end(k, stop, S), k // S
        _softmax_grad_block(y[n], dy[n], dx[n], k - n * S, end - n * S)
        k = end


@jit
def _log_softmax(start, stop, x, y):
    S = x.shape[2]
    k = start
    while k < stop:
        end, n = _block_end(k, stop, S), k // S
        _log_softmax_block(x[n], y[n], k - n * S, end - n * S)
        k = end


@jit
def _log_softmax_grad(start, stop, y, dy, dx):
    S = y.shape[2]
    k = start
    while k < stop:
        end, n = _block_end(k, stop, S), k // S
        _log_softmax_grad_block(y[n], dy[n], dx[n], k - n * S, end - n * S)
        k = end
