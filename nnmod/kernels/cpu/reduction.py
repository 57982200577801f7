"""Sums and extremes over one dimension on the CPU.  Meaning and shapes: kernels/reference/reduction.py.

Along the last dimension (B = 1) a row is reduced at a time; otherwise the loop runs over
the columns b, along memory.  Threads take rows or tiles of columns, and each result is
computed in one fixed order, so their number changes no bit.
"""
import numpy as np

from . import threads
from .compile import inline, jit

#: Columns in one part of the work.
_TILE = 512
#: Elements of a row, and rows of columns, in one partial sum.
_BLOCK, _ROWS = 1024, 64
#: With fewer columns than this, a loop over them would not fill a vector.
_FEW = 6


def sum_axis(x, y, work, scale=1.0):
    """y[a, b] <- scale times the sum over i of x[a, i, b].  See the reference."""
    A, n, B = x.shape
    if B == 1:
        _run(_sum_rows, A, n, x.reshape(A, n), y.reshape(A), float(scale))
    elif B < _FEW:
        _run(_sum_few, A, n * B, x.reshape(A, n * B), y, float(scale))
    else:
        _run(_sum_columns, A * _tiles(B), n * min(B, _TILE), x, y, work, float(scale))


def expand_axis(x, y, scale=1.0):
    """y[a, i, b] <- scale times x[a, b].  See the reference."""
    A, n, B = y.shape
    if B == 1:
        _run(_expand_rows, A, n, x.reshape(A), y.reshape(A, n), float(scale))
    else:
        _run(_expand_columns, A * _tiles(B), n * min(B, _TILE), x, y, float(scale))


def extreme_axis(x, y, where, largest=True):
    """y <- the largest or smallest of x along axis 1, where <- its place.  See the reference."""
    A, n, B = x.shape
    if B == 1:
        integer, infinity = (np.int32, 0x7F800000) if x.dtype == np.float32 else (np.int64, 0x7FF0000000000000)
        x = x.reshape(A, n)
        _run(_extreme_rows, A, n, x, x.view(integer), y.reshape(A), where.reshape(A), infinity, largest)
    else:
        sign = 1.0 if largest else -1.0
        _run(_extreme_columns, A * _tiles(B), n * min(B, _TILE), x, y, where, sign)


def extreme_axis_update_grad_input(dy, where, dx):
    """dx <- dy at the places *where*, and 0 elsewhere.  See the reference."""
    A, n, B = dx.shape
    _run(_scatter, A * _tiles(B), n * min(B, _TILE), dy, where, dx)


def _tiles(B):
    return (B + _TILE - 1) // _TILE


def _run(kernel, count, work, *args):
    """Run *kernel* over *count* items, each of *work* elements."""
    if count * work < 2 * threads.ELEMENTS_PER_THREAD:
        kernel(0, count, *args)
    else:
        threads.run(kernel, count, threads.grain(work, threads.ELEMENTS_PER_THREAD), *args)


@inline
def _columns(item, B):
    """Row a and the columns low .. high of part *item*."""
    tiles = (B + _TILE - 1) // _TILE
    low = item % tiles * _TILE
    return item // tiles, low, min(low + _TILE, B)


@jit
def _sum_rows(start, stop, x, y, scale):
    n = x.shape[1]
    for a in range(start, stop):
        row = x[a]
        total = 0.0
        for first in range(0, n, _BLOCK):
            block = row[first:min(first + _BLOCK, n)]
            part = x.dtype.type(0)
            for i in range(block.size):
                part += block[i]
            total += part
        y[a] = total * scale


@jit
def _sum_few(start, stop, x, y, scale):
    B = y.shape[1]
    size = x.shape[1]
    step = _BLOCK * B
    for a in range(start, stop):
        row = x[a]
        for b in range(B):
            total = 0.0
            for first in range(b, size, step):
                column = row[first:min(first + step, size)]
                count = (column.size + B - 1) // B
                # Four sums side by side: each addition need not wait for the one before.
                p0 = p1 = p2 = p3 = x.dtype.type(0)
                for i in range(0, count // 4 * 4, 4):
                    p0 += column[i * B]
                    p1 += column[(i + 1) * B]
                    p2 += column[(i + 2) * B]
                    p3 += column[(i + 3) * B]
                for i in range(count // 4 * 4, count):
                    p0 += column[i * B]
                total += (p0 + p1) + (p2 + p3)
            y[a, b] = total * scale


@jit
def _sum_columns(start, stop, x, y, work, scale):
    n, B = x.shape[1:]
    for item in range(start, stop):
        a, low, high = _columns(item, B)
        part, total = y[a, low:high], work[a, low:high]
        for b in range(total.size):
            total[b] = 0.0
        for first in range(0, n, _ROWS):
            last = min(first + _ROWS, n)
            for b in range(part.size):
                part[b] = x.dtype.type(0)
            four = first + (last - first) // 4 * 4
            for i in range(first, four, 4):
                x0, x1, x2, x3 = x[a, i, low:high], x[a, i + 1, low:high], x[a, i + 2, low:high], x[a, i + 3, low:high]
                for b in range(part.size):
                    part[b] += (x0[b] + x1[b]) + (x2[b] + x3[b])
            for i in range(four, last):
                xi = x[a, i, low:high]
                for b in range(part.size):
                    part[b] += xi[b]
            for b in range(part.size):
                total[b] += part[b]
        for b in range(part.size):
            part[b] = total[b] * scale


@jit
def _expand_rows(start, stop, x, y, scale):
    scale = x.dtype.type(scale)
    for a in range(start, stop):
        value = scale * x[a]
        row = y[a]
        for i in range(row.size):
            row[i] = value


@jit
def _expand_columns(start, stop, x, y, scale):
    n, B = y.shape[1:]
    scale = x.dtype.type(scale)
    for item in range(start, stop):
        a, low, high = _columns(item, B)
        source = x[a, low:high]
        for i in range(n):
            target = y[a, i, low:high]
            for b in range(target.size):
                target[b] = scale * source[b]


@inline
def _ordered(bits, infinity, top, flip):
    """An integer that grows with the number of these *bits*; NaN is the largest, -0 equals 0.

    Integers have no NaN, so that their maximum compiles to vector code.  *flip* is 0,
    or -1 for the opposite order.
    """
    integer = type(bits)
    magnitude = integer(bits & top)
    signed = integer(-magnitude) if bits < 0 else magnitude
    return top if magnitude > infinity else integer(signed ^ flip)


@jit
def _extreme_rows(start, stop, x, bits, y, where, infinity, largest):
    n = x.shape[1]
    integer = bits.dtype.type
    top, flip = integer(np.iinfo(bits.dtype).max), integer(0 if largest else -1)
    infinity = integer(infinity)
    for a in range(start, stop):
        row = bits[a]
        best, home = _ordered(row[0], infinity, top, flip), 0
        for first in range(0, n, _TILE):
            block = row[first:min(first + _TILE, n)]
            most = best
            for i in range(block.size):
                key = _ordered(block[i], infinity, top, flip)
                most = key if key > most else most
            if most > best:
                best, home = most, first
        while _ordered(row[home], infinity, top, flip) != best:
            home += 1
        y[a] = x[a, home]
        where[a] = home


@jit
def _extreme_columns(start, stop, x, y, where, sign):
    n, B = x.shape[1:]
    sign = x.dtype.type(sign)
    for item in range(start, stop):
        a, low, high = _columns(item, B)
        best, place = y[a, low:high], where[a, low:high]
        first = x[a, 0, low:high]
        for b in range(best.size):
            best[b] = first[b]
            place[b] = 0
        for i in range(1, n):
            xi = x[a, i, low:high]
            for b in range(best.size):
                value, old, home = xi[b], best[b], place[b]
                better = (sign * value > sign * old) | ((value != value) & (old == old))
                best[b] = value if better else old
                place[b] = np.int32(i) if better else home


@jit
def _scatter(start, stop, dy, where, dx):
    n, B = dx.shape[1:]
    if B <= _TILE:  # whole rows: their zeros in one go
        zeros = dx[start:stop].reshape((stop - start) * n * B)
        for i in range(zeros.size):
            zeros[i] = dx.dtype.type(0)
    for item in range(start, stop):
        a, low, high = _columns(item, B)
        if B > _TILE:
            for i in range(n):
                target = dx[a, i, low:high]
                for b in range(target.size):
                    target[b] = dx.dtype.type(0)
        for b in range(low, high):
            dx[a, where[a, b], b] = dy[a, b]
