"""A small tensor that meets every element of a large one, on the CPU.

Meaning and shapes: kernels/reference/broadcast.py.  The last dimension is the inner
loop; the four before it are one loop over rows.  Sums run over all rows in order, and
threads take columns, so that no element of the small tensor has two writers.
"""
from . import threads
from .compile import inline, jit


def broadcast_add(x, w, y):
    """y <- x + w.  See the reference."""
    _each_row(_add, x, w, x, y)


def broadcast_multiply(x, w, y):
    """y <- x * w.  See the reference."""
    _each_row(_multiply, x, w, x, y)


def broadcast_sum(x, w, scale=1.0):
    """w <- w + scale times the sum of x.  See the reference."""
    _each_column(_sum, x, w, scale, x)


def broadcast_product_sum(x, dy, w, scale=1.0):
    """w <- w + scale times the sum of x * dy.  See the reference."""
    _each_column(_product_sum, x, w, scale, x, dy)


def _each_row(kernel, like, w, *tensors):
    A, B, C, D, E = like.shape
    rows = A * B * C * D
    threads.run(kernel, rows, threads.grain(E, threads.ELEMENTS_PER_THREAD),
                *[t.reshape(rows, E) for t in tensors], *_steps(like, w))


def _each_column(kernel, like, w, scale, *tensors):
    A, B, C, D, E = like.shape
    rows = A * B * C * D
    args = (*[t.reshape(rows, E) for t in tensors], *_steps(like, w), float(scale))
    if w.shape[4] == E > 1:
        threads.run(kernel, E, threads.grain(rows, threads.ELEMENTS_PER_THREAD), *args)
    else:
        kernel(0, E, *args)


def _steps(x, w):
    """w as rows, and how to find the row of w that belongs to a row of x."""
    A, B, C, D, E = w.shape
    return (w.reshape(A * B * C * D, E), x.shape[1], x.shape[2], x.shape[3],
            B * C * D * (A > 1), C * D * (B > 1), D * (C > 1), 1 * (D > 1))


@inline
def _row_of(r, B, C, D, step_a, step_b, step_c, step_d):
    d, r = r % D, r // D
    c, r = r % C, r // C
    return r // B * step_a + r % B * step_b + c * step_c + d * step_d


@jit
def _add(start, stop, x, y, w, B, C, D, step_a, step_b, step_c, step_d):
    for r in range(start, stop):
        xr, yr, wr = x[r], y[r], w[_row_of(r, B, C, D, step_a, step_b, step_c, step_d)]
        if wr.size == 1:
            value = wr[0]
            for e in range(xr.size):
                yr[e] = xr[e] + value
        else:
            for e in range(xr.size):
                yr[e] = xr[e] + wr[e]


@jit
def _multiply(start, stop, x, y, w, B, C, D, step_a, step_b, step_c, step_d):
    for r in range(start, stop):
        xr, yr, wr = x[r], y[r], w[_row_of(r, B, C, D, step_a, step_b, step_c, step_d)]
        if wr.size == 1:
            value = wr[0]
            for e in range(xr.size):
                yr[e] = xr[e] * value
        else:
            for e in range(xr.size):
                yr[e] = xr[e] * wr[e]


@jit
def _sum(start, stop, x, w, B, C, D, step_a, step_b, step_c, step_d, scale):
    scale = w.dtype.type(scale)
    for r in range(x.shape[0]):
        xr, wr = x[r, start:stop], w[_row_of(r, B, C, D, step_a, step_b, step_c, step_d)]
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
def _product_sum(start, stop, x, dy, w, B, C, D, step_a, step_b, step_c, step_d, scale):
    scale = w.dtype.type(scale)
    for r in range(x.shape[0]):
        xr, dyr = x[r, start:stop], dy[r, start:stop]
        wr = w[_row_of(r, B, C, D, step_a, step_b, step_c, step_d)]
        if wr.size == 1:
            total = w.dtype.type(0)
            for e in range(xr.size):
                total += xr[e] * dyr[e]
            wr[0] += scale * total
        else:
            wr = wr[start:stop]
            for e in range(xr.size):
                wr[e] += scale * (xr[e] * dyr[e])
