"""Winograd's transforms of patches, kernels, products and gradients, lane by lane; see conv_winograd.py.

A function with ``e`` writes the instructions of one side of a transform into a kernel; what the
loops call are the native functions.  ``cell`` is how far the numbers of a transformed patch are apart.
"""
from numba import types
from numba.extending import intrinsic

from .compile import call, native
from .conv_frame import put_zeros
from .simd import VECTOR_BYTES, Emitter, lanes
from .tiles import emit_turn

# A patch is 6 numbers wide for kernels of 3, and 8 for kernels of 5: its *side*.  A polynomial is taken at
# the places 0, 1, -1, 2, -2 and infinity, with a side of 8 at 1/2 and -1/2 as well.


def _patch(e, d):
    """B^T d: the numbers of a patch, along one of its sides."""
    if len(d) == 6:
        four = e.broadcast(e.number(4.0))
        minus_four, minus_five, two = (e.broadcast(e.number(n)) for n in (-4.0, -5.0, 2.0))
        even, odd = e.fma(minus_four, d[2], d[4]), e.fma(minus_four, d[1], d[3])
        near, far = d[4] - d[2], two * (d[3] - d[1])
        return [e.fma(four, d[0], e.fma(minus_five, d[2], d[4])), even + odd, even - odd, near + far, near - far,
                e.fma(four, d[1], e.fma(minus_five, d[3], d[5]))]
    first, middle, minus_five, minus_two, half, quarter, two, four = (
        e.broadcast(e.number(n)) for n in (5.25, -4.25, -5.0, -2.5, 0.5, 0.25, 2.0, 4.0))
    even, odd = e.fma(middle, d[4], d[2] + d[6]), e.fma(middle, d[3], d[1] + d[5])
    far_even = e.fma(quarter, d[2], e.fma(e.broadcast(e.number(-1.25)), d[4], d[6]))
    far_odd = e.fma(half, d[1], e.fma(minus_two, d[3], two * d[5]))
    near_even = e.fma(four, d[2], e.fma(minus_five, d[4], d[6]))
    near_odd = e.fma(two, d[1], e.fma(minus_two, d[3], half * d[5]))
    return [e.fma(first, d[4] - d[2], d[0] - d[6]), even + odd, even - odd, far_even + far_odd, far_even - far_odd,
            near_even + near_odd, near_even - near_odd, e.fma(first, d[3] - d[5], d[7] - d[1])]


def _unpatch(e, m):
    """B m, the adjoint of _patch."""
    four, minus_four, minus_five, two = (e.broadcast(e.number(n)) for n in (4.0, -4.0, -5.0, 2.0))
    near, turn, far, slope = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    if len(m) == 6:
        slope = two * slope
        return [four * m[0], e.fma(minus_four, turn, four * m[5] - slope),
                e.fma(minus_five, m[0], minus_four * near) - far, e.fma(minus_five, m[5], turn + slope),
                m[0] + near + far, m[5]]
    first, minus_first, middle, minus_two, last, half, quarter = (
        e.broadcast(e.number(n)) for n in (5.25, -5.25, -4.25, -2.5, -1.25, 0.5, 0.25))
    close, rise = m[5] + m[6], m[5] - m[6]
    even = e.fma(four, close, e.fma(quarter, far, near))
    odd = e.fma(minus_two, slope + rise, middle * turn)
    return [m[0], e.fma(two, rise, e.fma(half, slope, turn)) - m[7], e.fma(minus_first, m[0], even),
            e.fma(first, m[7], odd), e.fma(first, m[0], e.fma(minus_five, close, e.fma(last, far, middle * near))),
            e.fma(minus_first, m[7], e.fma(half, rise, e.fma(two, slope, turn))), near + far + close - m[0], m[7]]


def _kernel(e, w):
    """G w: the numbers of a kernel."""
    if len(w) == 3:
        quarter, sixth, twelfth, part = (e.broadcast(e.number(n)) for n in (1 / 4, 1 / 6, 1 / 12, 1 / 24))
        outer, middle = (w[0] + w[2]) * e.broadcast(e.number(-1 / 6)), w[1] * sixth
        mixed, half = e.fma(sixth, w[2], w[0] * part), w[1] * twelfth
        return [w[0] * quarter, outer - middle, outer + middle, mixed + half, mixed - half, w[2]]
    found = [w[0]]
    for place, factor in _PLACES:
        c = [e.broadcast(e.number(factor * place ** k)) for k in range(5)]
        even, odd = e.fma(c[4], w[4], e.fma(c[2], w[2], c[0] * w[0])), e.fma(c[3], w[3], c[1] * w[1])
        found += [even + odd, even - odd]
    return [*found, w[4]]


#: The places beside their negatives, and what a kernel's polynomial is multiplied by there.
_PLACES = (1, -2 / 9), (2, 1 / 90), (1 / 2, 32 / 45)


def _back(e, m):
    """A^T m: from the products to four outputs."""
    two, four, eight = (e.broadcast(e.number(n)) for n in (2.0, 4.0, 8.0))
    near, turn, far, slope = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    sums = [m[0] + near + far, e.fma(two, slope, turn), e.fma(four, far, near), e.fma(eight, slope, turn) + m[-1]]
    if len(m) == 6:
        return sums
    half, quarter, eighth = (e.broadcast(e.number(n)) for n in (1 / 2, 1 / 4, 1 / 8))
    close, rise = m[5] + m[6], m[5] - m[6]
    return [sums[0] + close, e.fma(half, rise, sums[1]), e.fma(quarter, close, sums[2]), e.fma(eighth, rise, sums[3])]


def _spread(e, y, side):
    """A y, the adjoint of _back: from four outputs' gradients to those of *side* products."""
    two, four, eight = (e.broadcast(e.number(n)) for n in (2.0, 4.0, 8.0))
    even, odd = y[0] + y[2], y[1] + y[3]
    far, slope = e.fma(four, y[2], y[0]), e.fma(eight, y[3], two * y[1])
    found = [y[0], even + odd, even - odd, far + slope, far - slope]
    if side == 8:
        half, quarter, eighth = (e.broadcast(e.number(n)) for n in (1 / 2, 1 / 4, 1 / 8))
        close, rise = e.fma(quarter, y[2], y[0]), e.fma(eighth, y[3], half * y[1])
        found += [close + rise, close - rise]
    return [*found, y[3]]


def _gather(e, u):
    """G^T u, the adjoint of _kernel."""
    if len(u) == 6:
        quarter, sixth, twelfth, part = (e.broadcast(e.number(n)) for n in (1 / 4, 1 / 6, 1 / 12, 1 / 24))
        minus = e.broadcast(e.number(-1 / 6))
        near, turn, far, slope = u[1] + u[2], u[2] - u[1], u[3] + u[4], u[3] - u[4]
        return [e.fma(part, far, e.fma(minus, near, quarter * u[0])), e.fma(twelfth, slope, sixth * turn),
                e.fma(sixth, far, e.fma(minus, near, u[5]))]
    found = [u[0], *[e.zero()] * 3, u[7]]
    for k in range(5):
        for p, (place, factor) in enumerate(_PLACES):
            plus, minus = u[1 + 2 * p], u[2 + 2 * p]
            scale = e.broadcast(e.number(factor * place ** k))
            found[k] = e.fma(scale, plus - minus if k % 2 else plus + minus, found[k])
    return found


def _both_ways(e, transform, at, rows, columns):
    """The transform of every column, then of every row, of numbers at(row, column)."""
    # A column is loaded where it is used: all of them together are more than there are registers.
    turned = [transform(e, [at(i, j) for i in range(rows)]) for j in range(columns)]
    return [transform(e, list(row)) for row in zip(*turned)]


@intrinsic(prefer_literal=True)
def _emitted_kernels(typingctx, like, side, source, across, valid, turned, out, cell):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_transform_kernels(e, side.literal_value, *e.values(args[2:]))
        return context.get_dummy_value()

    return types.void(like, side, *[types.intp] * 6), codegen


@native("number", *["int"] * 6)
def transform_kernels_of_3(like, source, across, valid, turned, out, cell):
    """G w G^T of kernels 3x3; see emit_transform_kernels."""
    _emitted_kernels(like, 6, source, across, valid, turned, out, cell)


@native("number", *["int"] * 6)
def transform_kernels_of_5(like, source, across, valid, turned, out, cell):
    """G w G^T of kernels 5x5; see emit_transform_kernels."""
    _emitted_kernels(like, 8, source, across, valid, turned, out, cell)


def emit_transform_kernels(e, side, source, across, valid, turned, out, cell):
    """G w G^T of the kernels of a panel for one plane, lane by lane; *turned*: each backwards.

    The kernel of lane i is r r numbers at source + i across.  Element k of the transformed goes to out + k cell.
    """
    size, r = e.item_bytes, side - 3
    taps = r * r
    lines = e.stack(VECTOR_BYTES * (taps + 2 * e.lanes))
    with e.range(0, valid, e.lanes) as lane:
        here = source + lane * across
        for k in range(0, taps, e.lanes):
            emit_turn(e, here + k * size, across, lines + k * VECTOR_BYTES, e.integer(VECTOR_BYTES), valid - lane,
                      e.integer(taps - k))
        last = lines + e.where(turned.differs(0), taps - 1, e.integer(0)) * VECTOR_BYTES
        step = e.where(turned.differs(0), -VECTOR_BYTES, e.integer(VECTOR_BYTES))
        for i, line in enumerate(_both_ways(e, _kernel, lambda i, j: e.load(last + step * (i * r + j)), r, r)):
            for j, vector in enumerate(line):
                e.store(vector, out + cell * (i * side + j) + lane * size)


@native("number", *["int"] * 16)
def transform_rows(zero, side, x, planes, H, W, ph, pw, down, across, first, last, wanted, patch, out, tile, cell):
    """V, or Q, for the rows *first* .. *last* of tiles, counted through all samples.

    With *wanted* 0 all planes of x (N, planes, H, W) and patches of *side* squared (V), else as
    many planes, and 4x4 patches (Q).
    """
    step = lanes(zero)
    size = VECTOR_BYTES // step
    count = wanted if wanted else planes
    over = side - 4
    row = first
    line = (4 * across + over) * VECTOR_BYTES
    done = 0
    while row < last:
        n, top = row // down, row % down
        high = min(down - top, last - row)
        for c in range(0, count, step):
            valid = min(step, count - c)
            source = x + (n * planes + c) * H * W * size
            for h in range(4 * top - ph, 4 * (top + high) + over - ph):
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
                if wanted and side == 6:
                    call(spread_to_6, (zero, here, line, across, there, tile, cell))
                elif wanted:
                    call(spread_to_8, (zero, here, line, across, there, tile, cell))
                elif side == 6:
                    call(transform_patches_of_6, (zero, here, line, across, there, tile, cell))
                else:
                    call(transform_patches_of_8, (zero, here, line, across, there, tile, cell))
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


@intrinsic(prefer_literal=True)
def _emitted_patches(typingctx, like, side, spread, here, line, count, out, tile, cell):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_transform_patches(e, side.literal_value, spread.literal_value, *e.values(args[3:]))
        return context.get_dummy_value()

    return types.void(like, side, spread, *[types.intp] * 6), codegen


def emit_transform_patches(e, side, spread, here, line, count, out, tile, cell):
    """B^T d B for a row of patches of *side* squared, or A d A^T for one of 4x4 patches of gradients (*spread*)."""
    if spread:
        wide, transform = 4, lambda e, y: _spread(e, y, side)
    else:
        wide, transform = side, _patch
    with e.range(0, count) as x:
        left = here + x * (4 * VECTOR_BYTES)
        grid = _both_ways(e, transform, lambda i, j: e.load(left + i * line + j * VECTOR_BYTES), wide, wide)
        for i, cells in enumerate(grid):
            for j, vector in enumerate(cells):
                e.store(vector, out + x * tile + cell * (i * side + j))


@native("number", *["int"] * 6)
def transform_patches_of_6(like, here, line, count, out, tile, cell):
    """B^T d B for a row of 6x6 patches."""
    _emitted_patches(like, 6, 0, here, line, count, out, tile, cell)


@native("number", *["int"] * 6)
def transform_patches_of_8(like, here, line, count, out, tile, cell):
    """B^T d B for a row of 8x8 patches."""
    _emitted_patches(like, 8, 0, here, line, count, out, tile, cell)


@native("number", *["int"] * 6)
def spread_to_6(like, here, line, count, out, tile, cell):
    """A d A^T for a row of 4x4 patches of gradients, for kernels 3x3."""
    _emitted_patches(like, 6, 1, here, line, count, out, tile, cell)


@native("number", *["int"] * 6)
def spread_to_8(like, here, line, count, out, tile, cell):
    """A d A^T for a row of 4x4 patches of gradients, for kernels 5x5."""
    _emitted_patches(like, 8, 1, here, line, count, out, tile, cell)


@intrinsic(prefer_literal=True)
def _emitted_back(typingctx, like, side, here, tile, cell, count, bias, valid, strip, y, y_row, y_plane, rows, width):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_transform_back(e, side.literal_value, *e.values(args[2:]))
        return context.get_dummy_value()

    return types.void(like, side, *[types.intp] * 12), codegen


@native("number", *["int"] * 12)
def transform_back_from_6(like, here, tile, cell, count, bias, valid, strip, y, y_row, y_plane, rows, width):
    """A^T m A where kernels are 3x3; see emit_transform_back."""
    _emitted_back(like, 6, here, tile, cell, count, bias, valid, strip, y, y_row, y_plane, rows, width)


@native("number", *["int"] * 12)
def transform_back_from_8(like, here, tile, cell, count, bias, valid, strip, y, y_row, y_plane, rows, width):
    """A^T m A where kernels are 5x5; see emit_transform_back."""
    _emitted_back(like, 8, here, tile, cell, count, bias, valid, strip, y, y_row, y_plane, rows, width)


def emit_transform_back(e, side, here, tile, cell, count, bias, valid, strip, y, y_row, y_plane, rows, width):
    """A^T m A of a row of tiles, plus bias, into *rows* rows of *width* numbers of *valid* planes of y."""
    bias_vector = e.changed(bias.differs(0), lambda _: [e.load(bias, e.mask(valid))], [e.zero()])[0]
    line = count * (4 * VECTOR_BYTES)
    with e.range(0, count) as x:
        there = here + x * tile
        found = _both_ways(e, _back, lambda i, j: e.load(there + cell * (i * side + j)), side, side)
        for i, outputs in enumerate(found):
            for j, vector in enumerate(outputs):
                e.store(vector + bias_vector, strip + line * i + x * (4 * VECTOR_BYTES) + j * VECTOR_BYTES)
    _emit_lines(e, strip, line, y, y_row, y_plane, rows, width, valid)


def _emit_lines(e, strip, line, y, y_row, y_plane, rows, width, valid):
    """*rows* rows of *width* numbers of *valid* planes of y, from lines of vectors whose lanes are the planes."""
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


@intrinsic(prefer_literal=True)
def _emitted_overlap(typingctx, like, side, here, tile, cell, count, frame, line):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_overlap(e, side.literal_value, *e.values(args[2:]))
        return context.get_dummy_value()

    return types.void(like, side, *[types.intp] * 6), codegen


@native("number", *["int"] * 6)
def overlap_from_6(like, here, tile, cell, count, frame, line):
    """frame <- itself + B m B^T where kernels are 3x3; see emit_overlap."""
    _emitted_overlap(like, 6, here, tile, cell, count, frame, line)


@native("number", *["int"] * 6)
def overlap_from_8(like, here, tile, cell, count, frame, line):
    """frame <- itself + B m B^T where kernels are 5x5; see emit_overlap."""
    _emitted_overlap(like, 8, here, tile, cell, count, frame, line)


def emit_overlap(e, side, here, tile, cell, count, frame, line):
    """frame <- itself + B m B^T for a row of tiles, whose patches of *side* squared overlap; rows are *line* apart."""
    with e.range(0, count) as x:
        there, left = here + x * tile, frame + x * (4 * VECTOR_BYTES)
        patch = _both_ways(e, _unpatch, lambda i, j: e.load(there + cell * (i * side + j)), side, side)
        for i, row in enumerate(patch):
            for j, vector in enumerate(row):
                place = left + i * line + j * VECTOR_BYTES
                e.store(e.load(place) + vector, place)


@intrinsic
def _emitted_lines(typingctx, like, strip, line, y, y_row, y_plane, rows, width, valid):
    def codegen(context, builder, signature, args):
        _emit_lines(Emitter(builder, like), *Emitter(builder, like).values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 8), codegen


@native("number", *["int"] * 8)
def put_lines(like, strip, line, y, y_row, y_plane, rows, width, valid):
    """*rows* rows of *width* numbers of *valid* planes of y, from lines of vectors whose lanes are the planes."""
    _emitted_lines(like, strip, line, y, y_row, y_plane, rows, width, valid)


@intrinsic(prefer_literal=True)
def _emitted_gradient(typingctx, factor, side, here, cell, valid, dw, dw_row):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, factor)
        emit_gather_kernels(e, side.literal_value, *e.values([args[0], *args[2:]]))
        return context.get_dummy_value()

    return types.void(factor, side, *[types.intp] * 5), codegen


@native("number", *["int"] * 5)
def gather_kernels_of_3(factor, here, cell, valid, dw, dw_row):
    """dw <- itself + factor times G^T u G, for kernels 3x3; see emit_gather_kernels."""
    _emitted_gradient(factor, 6, here, cell, valid, dw, dw_row)


@native("number", *["int"] * 5)
def gather_kernels_of_5(factor, here, cell, valid, dw, dw_row):
    """dw <- itself + factor times G^T u G, for kernels 5x5; see emit_gather_kernels."""
    _emitted_gradient(factor, 8, here, cell, valid, dw, dw_row)


def emit_gather_kernels(e, side, factor, here, cell, valid, dw, dw_row):
    """dw <- itself + factor times G^T u G, for *valid* kernels of r r numbers, dw_row apart."""
    grid = _both_ways(e, _gather, lambda i, j: e.load(here + cell * (i * side + j)), side, side)
    taps = [vector for row in grid for vector in row]
    scale = e.broadcast(factor)
    for first in range(0, len(taps), e.lanes):
        some = taps[first:first + e.lanes]
        turned = e.transpose(some + [e.zero()] * (e.lanes - len(some)))
        mask = e.mask(e.integer(len(some))) if len(some) < e.lanes else None
        for k, vector in enumerate(turned):
            with e.when(valid > k):
                place = dw + dw_row * k + first * e.item_bytes
                e.store(e.fma(scale, vector, e.load(place, mask)), place, mask)
