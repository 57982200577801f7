"""The same numbers in another order or place on the CPU.  Meaning and shapes: kernels/reference/layout.py.

Neighbouring dimensions that stay neighbours are one dimension.  What is left either
keeps its last dimension, so that runs of memory are copied, or swaps: the dimension that
is last in x (p) and the one that is last in y (q) are walked in tiles, so that both sides
stay in the first cache.  Threads take runs or tiles, each written once.

Columns are copied by vectors: what C libraries copy memory with (``rep movsb``) falls to a
fifth of its speed for rows that lie a multiple of 4096 bytes apart.
"""
import functools

import numpy as np

from . import threads
from .compile import inline, jit
from .simd import address, get, lanes, load, put, store

#: A tile has _TILE elements along p and _LINES along q.  More lines of x than that, a
#: power of two apart, would not fit into one set of the first cache.
_TILE, _LINES = 64, 8
#: Long rows are copied in pieces of so many elements, so that threads can share one.
_PIECE = 16384


def permute(x, y, axes):
    """y <- x with its dimensions in another order.  See the reference."""
    kernel, count, grain, plan = _plan(x.shape, axes)
    if x.size:
        threads.run(kernel, count, grain, x.ravel(), y.ravel(), plan)


def copy_columns(x, y, rows, x_first, y_first, count):
    """Columns of y <- columns of x, both read as *rows* rows.  See the reference."""
    if rows == 0 or count == 0:
        return
    x_step, y_step = x.size // rows, y.size // rows
    if x_step == y_step == count:  # one long row
        rows, x_step, y_step, count = 1, x.size, x.size, x.size
    pieces = -(-count // _PIECE)
    threads.run(_copy_columns, rows * pieces, threads.grain(min(count, _PIECE), threads.ELEMENTS_PER_THREAD),
                x.ravel(), y.ravel(), pieces, x_first, x_step, y_first, y_step, count)


@jit
def _copy_columns(start, stop, x, y, pieces, x_first, x_step, y_first, y_step, count):
    like = x[0]
    size = x.itemsize
    vector = lanes(like) * size
    for item in range(start, stop):
        row, first = item // pieces, item % pieces * _PIECE
        source = address(x) + (x_first + row * x_step + first) * size
        target = address(y) + (y_first + row * y_step + first) * size
        left = min(_PIECE, count - first) * size
        while left >= 4 * vector:
            a, b = load(like, source), load(like, source + vector)
            c, d = load(like, source + 2 * vector), load(like, source + 3 * vector)
            store(a, target)
            store(b, target + vector)
            store(c, target + 2 * vector)
            store(d, target + 3 * vector)
            source, target, left = source + 4 * vector, target + 4 * vector, left - 4 * vector
        while left >= vector:
            store(load(like, source), target)
            source, target, left = source + vector, target + vector, left - vector
        while left > 0:
            put(get(like, source), target)
            source, target, left = source + size, target + size, left - size


@functools.lru_cache(maxsize=256)
def _plan(shape, axes):
    """The kernel, how many parts it has, and a table: (P, Q, sq, sp), then (size, sx, sy) of the others.

    Element (p, q) is at ``p + q * sq`` of x and at ``q + p * sp`` of y.
    """
    dims = []  # (size, stride in x), in y's order
    for axis in axes:
        size, stride = shape[axis], int(np.prod(shape[axis + 1:], dtype=np.int64))
        if size == 1:
            continue
        if dims and dims[-1][1] == size * stride:
            dims[-1] = dims[-1][0] * size, stride
        else:
            dims.append((size, stride))
    dims = dims or [(1, 1)]
    strides = [int(np.prod([size for size, _ in dims[i + 1:]], dtype=np.int64)) for i in range(len(dims))]
    dims = [(size, sx, sy) for (size, sx), sy in zip(dims, strides)]
    Q, sq, _ = dims.pop()
    if sq == 1:
        plan = [(Q, 1, 1, 1), *((*dim, 0) for dim in dims)]
        count = int(np.prod([size for size, _, _ in dims], dtype=np.int64))
        return _copy_runs, count, threads.grain(Q, threads.ELEMENTS_PER_THREAD), _table(plan)
    P, _, sp = dims.pop(next(i for i, (_, sx, _) in enumerate(dims) if sx == 1))
    plan = [(P, Q, sq, sp), *((*dim, 0) for dim in dims)]
    count = int(np.prod([size for size, _, _ in dims], dtype=np.int64)) * (-(-P // _TILE))
    return _swap_tiles, count, threads.grain(_TILE * Q, threads.ELEMENTS_PER_THREAD), _table(plan)


def _table(rows):
    return np.array(rows, np.int64)


@inline
def _offsets(plan, item):
    """Where part *item* of the other dimensions begins in x and in y."""
    in_x = in_y = 0
    for row in range(plan.shape[0] - 1, 0, -1):
        k = item % plan[row, 0]
        item //= plan[row, 0]
        in_x += k * plan[row, 1]
        in_y += k * plan[row, 2]
    return in_x, in_y


@jit
def _copy_runs(start, stop, x, y, plan):
    size = plan[0, 0]
    for item in range(start, stop):
        in_x, in_y = _offsets(plan, item)
        source, target = x[in_x:in_x + size], y[in_y:in_y + size]
        for i in range(size):
            target[i] = source[i]


@jit
def _swap_tiles(start, stop, x, y, plan):
    P, Q, sq, sp = plan[0]
    tiles = (P + _TILE - 1) // _TILE
    whole = Q // _LINES * _LINES
    for item in range(start, stop):
        in_x, in_y = _offsets(plan, item // tiles)
        p0 = item % tiles * _TILE
        p1 = min(p0 + _TILE, P)
        for q0 in range(0, whole, _LINES):
            for p in range(p0, p1):
                first = in_y + p * sp + q0
                target = y[first:first + _LINES]
                source = x[in_x + p + q0 * sq:]
                for i in range(_LINES):
                    target[i] = source[i * sq]
        for p in range(p0, p1):
            for q in range(whole, Q):
                y[in_y + p * sp + q] = x[in_x + p + q * sq]
