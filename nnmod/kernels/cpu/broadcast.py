"""A small tensor that meets every element of a large one, on the CPU.

Meaning and shapes: kernels/reference/broadcast.py.  The last dimension is the inner
loop; the four before it are one loop over rows.  Sums run over all rows in order, and
threads take columns, so that no element of the small tensor has two writers.
"""
from . import threads
from .compile import inline, jit


def broadcast_add(x, w, y):
    """y <- x + w.  See the reference."""
    _each_row(_add, x, w, y)


def broadcast_multiply(x, w, y):
    """y <- x * w.  See the reference."""
    _each_row(_multiply, x, w, y)


def broadcast_sum(x, w, scale=1.0):
    """w <- w + scale times the sum of x.  See the reference."""
    _each_column(_sum, x, w, x, w, float(scale))


def broadcast_product_sum(x, dy, w, scale=1.0):
    """w <- w + scale times the sum of x * dy.  See the reference."""
    _each_column(_product_sum, x, w, x, dy, w, float(scale))


def _each_row(kernel, x, w, y):
    rows = x.size // max(1, x.shape[4])
    if x.size < 2 * threads.ELEMENTS_PER_THREAD:
        kernel(0, rows, x, w, y)
    else:
        threads.run(kernel, rows, threads.grain(x.shape[4], threads.ELEMENTS_PER_THREAD), x, w, y)


def _each_column(kernel, x, w, *args):
    columns = x.shape[4]
    if x.size < 2 * threads.ELEMENTS_PER_THREAD or w.shape[4] == 1:
        kernel(0, columns, *args)
    else:
        threads.run(kernel, columns, threads.grain(x.size // columns, threads.ELEMENTS_PER_THREAD), *args)


@inline
def _rows(t):
    return t.reshape((t.shape[0] * t.shape[1] * t.shape[2] * t.shape[3], t.shape[4]))


@inline
def _steps(x, w):
    """What finds the row of w that belongs to a row of x: sizes of x, and how far to go in w."""
    A, B, C, D, _ = w.shape
    return (x.shape[1], x.shape[2], x.shape[3], B * C * D if A > 1 else 0, C * D if B > 1 else 0,
            D if C > 1 else 0, 1 if D > 1 else 0)


@inline
def _row_of(r, steps):
    B, C, D, step_a, step_b, step_c, step_d = steps
    d, r = r % D, r // D
    c, r = r % C, r // C
    return r // B * step_a + r % B * step_b + c * step_c + d * step_d


@jit
def _add(start, stop, x, w, y):
    steps = _steps(x, w)
    x, w, y = _rows(x), _rows(w), _rows(y)
    for r in range(start, stop):
        xr, yr, wr = x[r], y[r], w[_row_of(r, steps)]
        if wr.size == 1:
            value = wr[0]
            for e in range(xr.size):
                yr[e] = xr[e] + value
        else:
            for e in range(xr.size):
                yr[e] = xr[e] + wr[e]


@jit
def _multiply(start, stop, x, w, y):
    steps = _steps(x, w)
    x, w, y = _rows(x), _rows(w), _rows(y)
    for r in range(start, stop):
        xr, yr, wr = x[r], y[r], w[_row_of(r, steps)]
        if wr.size == 1:
            value = wr[0]
            for e in range(xr.size):
                yr[e] = xr[e] * value
        else:
            for e in range(xr.size):
                yr[e] = xr[e] * wr[e]


@jit
def _sum(start, stop, x, w, scale):
    scale = w.dtype.type(scale)
    steps = _steps(x, w)
    x, w = _rows(x), _rows(w)
    for r in range(x.shape[0]):
        xr, wr = x[r, start:stop], w[_row_of(r, steps)]
        if wr.size == 1:
            total = w.dtype.type(0)
            for e in range(xr.size):
                total += xr[e]
            wr[0] += scale * total
        else:
            wr = wr[start:stop]
            for e in range(xr.size):
                wr[e] += scale * xr[e]


@jit
def _product_sum(start, stop, x, dy, w, scale):
    scale = w.dtype.type(scale)
    steps = _steps(x, w)
    x, dy, w = _rows(x), _rows(dy), _rows(w)
    for r in range(x.shape[0]):
        xr, dyr, wr = x[r, start:stop], dy[r, start:stop], w[_row_of(r, steps)]
        if wr.size == 1:
            total = w.dtype.type(0)
            for e in range(xr.size):
                total += xr[e] * dyr[e]
            wr[0] += scale * total
        else:
            wr = wr[start:stop]
            for e in range(xr.size):
                wr[e] += scale * (xr[e] * dyr[e])
