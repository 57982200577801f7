"""Winograd's transforms of patches, kernels, products and gradients, lane by lane; see conv_winograd.py.

A function with ``e`` writes the instructions of one side of a transform into a kernel; what the
loops call are the native functions.  ``cell`` is how far the 36 numbers of a lane are apart.
"""
from numba import types
from numba.extending import intrinsic

from .compile import call, native
from .conv_frame import put_zeros
from .simd import VECTOR_BYTES, Emitter, lanes
from .tiles import TALL_COLUMNS, emit_turn

_SIDE = 6


def _patch(e, d):
    """B^T d: six numbers of a patch, along one of its sides."""
    four = e.broadcast(e.number(4.0))
    minus_four, minus_five, two = (e.broadcast(e.number(n)) for n in (-4.0, -5.0, 2.0))
    even, odd = e.fma(minus_four, d[2], d[4]), e.fma(minus_four, d[1], d[3])
    near, far = d[4] - d[2], two * (d[3] - d[1])
    return [e.fma(four, d[0], e.fma(minus_five, d[2], d[4])), even + odd, even - odd, near + far, near - far,
            e.fma(four, d[1], e.fma(minus_five, d[3], d[5]))]


def _kernel(e, w):
    """G w: three numbers of a kernel."""
    quarter, sixth, twelfth, part = (e.broadcast(e.number(n)) for n in (1 / 4, 1 / 6, 1 / 12, 1 / 24))
    outer, middle = (w[0] + w[2]) * e.broadcast(e.number(-1 / 6)), w[1] * sixth
    mixed, half = e.fma(sixth, w[2], w[0] * part), w[1] * twelfth
    return [w[0] * quarter, outer - middle, outer + middle, mixed + half, mixed - half, w[2]]


def _back(e, m):
    """A^T m: from six products to four outputs."""
    two, four, eight = (e.broadcast(e.number(n)) for n in (2.0, 4.0, 8.0))
    near, turn, far, slope = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return [m[0] + near + far, e.fma(two, slope, turn), e.fma(four, far, near), e.fma(eight, slope, turn) + m[5]]


def _spread(e, y):
    """A y, the adjoint of _back: from four outputs' gradients to six."""
    two, four, eight = (e.broadcast(e.number(n)) for n in (2.0, 4.0, 8.0))
    even, odd = y[0] + y[2], y[1] + y[3]
    far, slope = e.fma(four, y[2], y[0]), e.fma(eight, y[3], two * y[1])
    return [y[0], even + odd, even - odd, far + slope, far - slope, y[3]]


def _gather(e, u):
    """G^T u, the adjoint of _kernel: from six to three."""
    quarter, sixth, twelfth, part = (e.broadcast(e.number(n)) for n in (1 / 4, 1 / 6, 1 / 12, 1 / 24))
    minus = e.broadcast(e.number(-1 / 6))
    near, turn, far, slope = u[1] + u[2], u[2] - u[1], u[3] + u[4], u[3] - u[4]
    return [e.fma(part, far, e.fma(minus, near, quarter * u[0])), e.fma(twelfth, slope, sixth * turn),
            e.fma(sixth, far, e.fma(minus, near, u[5]))]


def _both_ways(e, transform, grid):
    """The transform of every column, then of every row, of a list of rows."""
    columns = [transform(e, list(column)) for column in zip(*grid)]
    return [transform(e, list(row)) for row in zip(*columns)]


def _grid(e, here, row, column, side):
    return [[e.load(here + i * row + j * column) for j in range(side)] for i in range(side)]


@intrinsic
def _emitted_kernels(typingctx, like, source, across, valid, turned, out, cell):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_transform_kernels(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 6), codegen


@native("number", *["int"] * 6)
def transform_kernels(like, source, across, valid, turned, out, cell):
    _emitted_kernels(like, source, across, valid, turned, out, cell)


def emit_transform_kernels(e, source, across, valid, turned, out, cell):
    """G w G^T of the kernels of a panel for one plane, lane by lane; *turned*: each backwards.

    The kernel of lane i is nine numbers at source + i across.  Element k of the 36 goes to out + k cell.
    """
    size = e.item_bytes
    lines = e.stack(VECTOR_BYTES * (9 + 2 * e.lanes))
    for v in range(TALL_COLUMNS):
        with e.when(valid > v * e.lanes):
            here = source + v * e.lanes * across
            for k in range(0, 9, e.lanes):
                emit_turn(e, here + k * size, across, lines + k * VECTOR_BYTES, e.integer(VECTOR_BYTES),
                          valid - v * e.lanes, e.integer(9 - k))
            last = e.where(turned.differs(0), 8, e.integer(0))
            step = e.where(turned.differs(0), -VECTOR_BYTES, e.integer(VECTOR_BYTES))
            w = [e.load(lines + last * VECTOR_BYTES + step * t) for t in range(9)]
            for i, line in enumerate(_both_ways(e, _kernel, [w[0:3], w[3:6], w[6:9]])):
                for j, vector in enumerate(line):
                    e.store(vector, out + cell * (i * _SIDE + j) + v * VECTOR_BYTES)


@native("number", *["int"] * 15)
def transform_rows(zero, x, planes, H, W, ph, pw, down, across, first, last, wanted, patch, out, tile, cell):
    """V, or Q, for the rows *first* .. *last* of tiles, counted through all samples.

    With *wanted* 0 all planes of x (N, planes, H, W) and 6x6 patches (V), else as many planes,
    and 4x4 patches (Q).
    """
    step = lanes(zero)
    size = VECTOR_BYTES // step
    count = wanted if wanted else planes
    row = first
    line = (4 * across + 2) * VECTOR_BYTES
    done = 0
    while row < last:
        n, top = row // down, row % down
        high = min(down - top, last - row)
        for c in range(0, count, step):
            valid = min(step, count - c)
            source = x + (n * planes + c) * H * W * size
            for h in range(4 * top - ph, 4 * (top + high) + 2 - ph):
                here = patch + (h - 4 * top + ph) * line
                if h < 0 or h >= H:
                    put_zeros(zero, here, here + line)
                else:
                    put_zeros(zero, here, here + pw * VECTOR_BYTES)
                    call(turn_line, (zero, source + h * W * size, H * W * size, valid, W, here + pw * VECTOR_BYTES))
                    put_zeros(zero, here + (pw + W) * VECTOR_BYTES, here + line)
            for y in range(high):
                here = patch + 4 * y * line
                there = out + ((done + y) * across) * tile + c * size
                if wanted:
                    call(transform_gradients, (zero, here, line, across, there, tile, cell))
                else:
                    call(transform_patches, (zero, here, line, across, there, tile, cell))
        row += high
        done += high


@intrinsic
def _emitted_line(typingctx, like, source, across, valid, count, out):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        source, across, valid, count, out = e.values(args[1:])
        with e.range(0, count, e.lanes) as w:
            emit_turn(e, source + w * e.item_bytes, across, out + w * VECTOR_BYTES, e.integer(VECTOR_BYTES), valid,
                      count - w)
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 5), codegen


@native("number", *["int"] * 5)
def turn_line(like, source, across, valid, count, out):
    """Of *valid* lines of *count* numbers, *across* apart: a vector for each number, its lanes the lines."""
    _emitted_line(like, source, across, valid, count, out)


def _emit_patches(e, transform, side, here, line, count, out, tile, cell):
    with e.range(0, count) as x:
        grid = _grid(e, here + x * (4 * VECTOR_BYTES), line, VECTOR_BYTES, side)
        for i, cells in enumerate(_both_ways(e, transform, grid)):
            for j, vector in enumerate(cells):
                e.store(vector, out + x * tile + cell * (i * _SIDE + j))


@intrinsic
def _emitted_patches(typingctx, like, here, line, count, out, tile, cell):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        _emit_patches(e, _patch, 6, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 6), codegen


@native("number", *["int"] * 6)
def transform_patches(like, here, line, count, out, tile, cell):
    """B^T d B for a row of 6x6 patches."""
    _emitted_patches(like, here, line, count, out, tile, cell)


@intrinsic
def _emitted_gradients(typingctx, like, here, line, count, out, tile, cell):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        _emit_patches(e, _spread, 4, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 6), codegen


@native("number", *["int"] * 6)
def transform_gradients(like, here, line, count, out, tile, cell):
    """A d A^T for a row of 4x4 patches of gradients."""
    _emitted_gradients(like, here, line, count, out, tile, cell)


@intrinsic
def _emitted_back(typingctx, like, here, tile, cell, count, bias, valid, strip, y, y_row, y_plane, rows, width):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_transform_back(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 12), codegen


@native("number", *["int"] * 12)
def transform_back(like, here, tile, cell, count, bias, valid, strip, y, y_row, y_plane, rows, width):
    _emitted_back(like, here, tile, cell, count, bias, valid, strip, y, y_row, y_plane, rows, width)


def emit_transform_back(e, here, tile, cell, count, bias, valid, strip, y, y_row, y_plane, rows, width):
    """A^T m A of a row of tiles, plus bias, into *rows* rows of *width* numbers of *valid* planes of y."""
    bias_vector = e.changed(bias.differs(0), lambda _: [e.load(bias, e.mask(valid))], [e.zero()])[0]
    line = count * (4 * VECTOR_BYTES)
    with e.range(0, count) as x:
        there = here + x * tile
        m = [[e.load(there + cell * (i * _SIDE + j)) for j in range(_SIDE)] for i in range(_SIDE)]
        for i, outputs in enumerate(_both_ways(e, _back, m)):
            for j, vector in enumerate(outputs):
                e.store(vector + bias_vector, strip + line * i + x * (4 * VECTOR_BYTES) + j * VECTOR_BYTES)
    with e.range(0, rows) as r, e.range(0, width, e.lanes) as w:
        start = strip + r * line + w * VECTOR_BYTES
        vectors = e.transpose([e.load(start + k * VECTOR_BYTES) for k in range(e.lanes)])
        place = y + r * y_row + w * e.item_bytes

        def put(mask):
            for k, vector in enumerate(vectors):
                with e.when(valid > k):
                    e.store(vector, place + k * y_plane, mask)

        with e.choice(width - w >= e.lanes) as (yes, no):
            with yes:
                put(None)
            with no:
                put(e.mask(width - w))


@intrinsic
def _emitted_gradient(typingctx, factor, here, cell, valid, square, dw, dw_row):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, factor)
        emit_transform_gradient(e, *e.values(args))
        return context.get_dummy_value()

    return types.void(factor, *[types.intp] * 6), codegen


@native("number", *["int"] * 6)
def transform_gradient(factor, here, cell, valid, square, dw, dw_row):
    _emitted_gradient(factor, here, cell, valid, square, dw, dw_row)


def emit_transform_gradient(e, factor, here, cell, valid, square, dw, dw_row):
    """dw <- itself + factor times G^T u G, for *valid* kernels of nine numbers, dw_row apart."""
    grid = [[e.load(here + cell * (i * _SIDE + j)) for j in range(_SIDE)] for i in range(_SIDE)]
    nine = [vector for row in _both_ways(e, _gather, grid) for vector in row]
    scale = e.broadcast(factor)
    for first in range(0, 9, e.lanes):
        some = nine[first:first + e.lanes]
        turned = e.transpose(some + [e.zero()] * (e.lanes - len(some)))
        mask = e.mask(e.integer(len(some))) if len(some) < e.lanes else None
        for k, vector in enumerate(turned):
            with e.when(valid > k):
                place = dw + dw_row * k + first * e.item_bytes
                e.store(e.fma(scale, vector, e.load(place, mask)), place, mask)
