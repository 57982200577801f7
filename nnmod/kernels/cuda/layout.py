"""The same numbers in another order on the device.  Meaning and shapes: kernels/reference/layout.py.

As on the CPU, neighbouring dimensions that stay neighbours are one.  Where the last one stays,
a thread copies one element; where it changes, a block turns a tile of 32 x 32 in shared memory,
so that reads and writes both run along memory.
"""
import numpy as np

from ..cpu import layout as cpu
from .compile import device, each, index, split
from .launch import launch
from .target import cuda

_TILE, _LINES = 32, 8  # a block is _LINES rows of _TILE threads
_OTHERS = 3  # dimensions that a kernel walks beside the tile; of more there is a launch for each index


def permute(x, y, axes):
    """y <- x with its dimensions in another order.  See the reference."""
    if not x.size:
        return
    kernel, _, _, table = cpu._plan(x.shape, axes)
    first, *others = table.tolist()
    _launch(_turn if kernel is cpu._swap_tiles else _copy_all, first, others, 0, 0,
            x.reshape(x.size), y.reshape(y.size))


def copy_columns(x, y, rows, x_first, y_first, count):
    """Columns of y <- columns of x; others of y stay.  See the reference."""
    if rows and count:
        each(_copy_columns, rows * count, x.reshape(x.size), y.reshape(y.size), count,
             x_first, x.size // rows, y_first, y.size // rows)


def _launch(kernel, first, others, in_x, in_y, x, y):
    if len(others) > _OTHERS:
        (size, sx, sy, _), *others = others
        for k in range(size):
            _launch(kernel, first, others, in_x + k * sx, in_y + k * sy, x, y)
        return
    others = others + [(1, 0, 0, 0)] * (_OTHERS - len(others))
    count = int(np.prod([size for size, *_ in others], dtype=np.int64))
    strides = [number for size, sx, sy, _ in others for number in (size, sx, sy)]
    P, Q, sq, sp = first
    if kernel is _copy_all:
        each(kernel, count * P, x, y, in_x, in_y, P, *strides)
    else:
        tiles = -(-P // _TILE) * -(-Q // _TILE)
        launch(kernel, count * tiles, (_TILE, _LINES), index(count * tiles), x, y, in_x, in_y, P, Q, sq, sp, *strides)


@device
def _offsets(i, in_x, in_y, n0, x0, y0, n1, x1, y1, n2, x2, y2):
    """Where index i of the other dimensions, the last one fastest, begins in x and in y."""
    i, k2 = split(i, n2)
    k0, k1 = split(i, n1)
    return in_x + k0 * x0 + k1 * x1 + k2 * x2, in_y + k0 * y0 + k1 * y1 + k2 * y2


def _copy_columns(total, x, y, count, x_first, x_step, y_first, y_step):
    i = cuda.grid(1)
    if i < total:
        row, k = split(type(total)(i), count)
        y[row * y_step + y_first + k] = x[row * x_step + x_first + k]


def _copy_all(count, x, y, in_x, in_y, size, n0, x0, y0, n1, x1, y1, n2, x2, y2):
    i = cuda.grid(1)
    if i < count:
        part, k = split(type(count)(i), size)
        from_x, from_y = _offsets(part, in_x, in_y, n0, x0, y0, n1, x1, y1, n2, x2, y2)
        y[from_y + k] = x[from_x + k]


def _turn(count, x, y, in_x, in_y, P, Q, sq, sp, n0, x0, y0, n1, x1, y1, n2, x2, y2):
    # One column more than the tile has, so that a column's elements lie in different banks.
    tile = cuda.shared.array((32, 33), x.dtype)
    part, q0 = split(type(count)(cuda.blockIdx.x), (Q + 31) // 32)
    part, p0 = split(part, (P + 31) // 32)
    from_x, from_y = _offsets(part, in_x, in_y, n0, x0, y0, n1, x1, y1, n2, x2, y2)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    p, q0 = p0 * 32 + column, q0 * 32
    for line in range(row, 32, 8):
        if p < P and q0 + line < Q:
            tile[line, column] = x[from_x + p + (q0 + line) * sq]
    cuda.syncthreads()
    q, p0 = q0 + column, p0 * 32
    for line in range(row, 32, 8):
        if q < Q and p0 + line < P:
            y[from_y + q + (p0 + line) * sp] = tile[column, line]


