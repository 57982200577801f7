"""The innermost kernels of the matrix product: one tile of the result, in registers.

Each is written once for tiles of every size (see simd.py on Emitters), and compiled at the
sizes that the tables below name.  All addresses and strides are in bytes.
"""
import platform

from numba import types
from numba.extending import intrinsic

from .compile import native
from .simd import VECTOR_BITS, Emitter

_MANY_REGISTERS = VECTOR_BITS == 512 or platform.machine().lower() in ("aarch64", "arm64")

# Tiles are rows x vectors: as many sums as the multipliers can have under way at once, and
# few enough to leave registers for a row of b and an element of a.
TALL_ROWS, TALL_COLUMNS = (14, 2) if _MANY_REGISTERS else (6, 2)
WIDE_ROWS, WIDE_COLUMNS = (8, 3) if _MANY_REGISTERS else (4, 3)
# Tiles of dot products are rows x columns sums, each a vector until its end.
DOT_ROWS, DOT_COLUMNS = (4, 5) if _MANY_REGISTERS else (4, 3)
DOT_LINE_COLUMNS = 8


# -- a tile whose lanes run along the rows of b and c ------------------------------------------

def emit_product(e, rows, columns, K, a, a_row, a_k, b, b_k, c, c_row, m, n, times, down, right, onward,
                 alpha, beta, bias):
    """c <- alpha a b + beta c + bias, for *rows* rows and *columns* vectors of c.

    K      the length of the common dimension
    a      element (i, k) at a + i a_row + k a_k; past row m that row is read again
    b      element (k, j) at b + k b_k and on from there; whole vectors are read
    c      element (i, j) at c + i c_row and on from there; touched are m rows and n columns
    beta   with 0, c is not read
    times  how many such tiles are wanted, each *down* bytes further in a, *right* in b and bias, *onward* in c
    bias   the address of a number for each column, or 0
    """
    tile = [(i, j) for i in range(rows) for j in range(columns)]
    offsets = [e.smaller(m - 1, i) * a_row for i in range(rows)]
    biased = bias.differs(0)
    with e.range(0, times) as t:
        _emit_tile(e, rows, columns, tile, K, a + t * down, offsets, a_k, b + t * right, b_k, c + t * onward, c_row,
                   m, n, alpha, beta, biased, bias + t * right)


def _emit_tile(e, rows, columns, tile, K, a, offsets, a_k, b, b_k, c, c_row, m, n, alpha, beta, biased, bias):
    vector_bytes = e.vector_bytes

    def at(i, j):
        return c + i * c_row + j * vector_bytes

    def step(a, b, sums):
        b = e.unknown(b)  # LLVM leaves the loop as it is: two steps at a time need more registers than there are
        right = [e.load(b + j * vector_bytes) for j in range(columns)]
        left = [e.broadcast(e.get(a + offset)) for offset in offsets]
        return a + a_k, b + b_k, [e.fma(left[i], right[j], total) for (i, j), total in zip(tile, sums)]

    def finish(sums, masks):
        """alpha, beta and bias, and into memory."""
        scale, keep = e.broadcast(alpha), e.broadcast(beta)
        sums = e.changed(alpha.differs(1.0), lambda sums: [vector * scale for vector in sums], sums)

        def add_c(sums):
            kept = []
            for (i, j), vector in zip(tile, sums):
                row = c + e.smaller(m - 1, i) * c_row
                kept.append(e.fma(keep, e.load(row + j * vector_bytes, masks[j]), vector))
            return kept

        def add_bias(sums):
            added = [e.load(bias + j * vector_bytes, masks[j]) for j in range(columns)]
            return [vector + added[j] for (i, j), vector in zip(tile, sums)]

        sums = e.changed(beta.differs(0.0), add_c, sums)
        sums = e.changed(biased, add_bias, sums)
        for i in range(rows):
            with e.when(m > i):
                for j in range(columns):
                    e.store(sums[i * columns + j], at(i, j), masks[j])

    for i in range(rows):
        for j in range(0, columns, max(1, 64 // vector_bytes)):
            e.prefetch(at(i, j))
    a, b, sums = e.loop(K, step, a, b, [e.zero() for _ in tile])
    with e.choice(n >= columns * e.lanes) as (yes, no):
        with yes:
            finish(sums, [None] * columns)
        with no:
            finish(sums, [e.mask(n, j * e.lanes) for j in range(columns)])


@intrinsic(prefer_literal=True)
def _product(typingctx, like, rows, columns, K, a, a_row, a_k, b, b_k, c, c_row, m, n, times, down, right, onward,
             alpha, beta, bias):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_product(e, rows.literal_value, columns.literal_value, *e.values(args[3:]))
        return context.get_dummy_value()

    return types.void(like, rows, columns, *[types.intp] * 14, like, like, types.intp), codegen


_PRODUCT = (*["int"] * 14, "number", "number", "int")


@native(*_PRODUCT)
def tall_tile(K, a, a_row, a_k, b, b_k, c, c_row, m, n, times, down, right, onward,
              alpha, beta, bias):
    """emit_product's tile of TALL_ROWS x TALL_COLUMNS."""
    _product(alpha, TALL_ROWS, TALL_COLUMNS, K, a, a_row, a_k, b, b_k, c, c_row, m, n,
             times, down, right, onward, alpha, beta, bias)


@native(*_PRODUCT)
def wide_tile(K, a, a_row, a_k, b, b_k, c, c_row, m, n, times, down, right, onward,
              alpha, beta, bias):
    """emit_product's tile of WIDE_ROWS x WIDE_COLUMNS."""
    _product(alpha, WIDE_ROWS, WIDE_COLUMNS, K, a, a_row, a_k, b, b_k, c, c_row, m, n,
             times, down, right, onward, alpha, beta, bias)


# -- few rows, b read once: its rows stream by, c stays in the cache ------------------------------

def emit_stream(e, rows, K, a, a_row, a_k, b, b_k, c, c_row, n, alpha, beta, bias):
    """c <- alpha a b + beta c + bias, for *rows* rows and n columns of c; arguments as emit_product's.

    Several rows of b are added to c at a time, each from its start to its end.
    """
    # Rows that are 4096 bytes apart share a set of the L1 cache: a line of each is used up at once.
    side = min(2, 64 // e.vector_bytes)
    together = 8 // rows
    whole = n // e.lanes * e.lanes

    def along(update, side=1):
        """update(offsets, mask) for all columns, *side* vectors at a time."""
        step = side * e.lanes
        first = n // step * step
        with e.range(0, first, step) as j:
            update([j * e.item_bytes + v * e.vector_bytes for v in range(side)], None)
        if side > 1:
            with e.range(first, whole, e.lanes) as j:
                update([j * e.item_bytes], None)
        with e.when(whole < n):
            update([whole * e.item_bytes], e.mask(n - whole))

    def start(offsets, mask):
        for i in range(rows):
            offset, = offsets
            there = c + i * c_row + offset
            value = [e.zero()]
            value = e.changed(beta.differs(0.0), lambda value: [e.load(there, mask) * e.broadcast(beta)], value)
            value = e.changed(bias.differs(0), lambda value: [value[0] + e.load(bias + offset, mask)], value)
            e.store(value[0], there, mask)

    def add(k, count):
        weights = [[e.broadcast(e.get(a + i * a_row + (k + r) * a_k) * alpha) for r in range(count)]
                   for i in range(rows)]
        starts = [b + (k + r) * b_k for r in range(count)]

        def update(offsets, mask):
            places = [(i, offset) for i in range(rows) for offset in offsets]
            sums = [e.load(c + i * c_row + offset, mask) for i, offset in places]
            for r in range(count):
                row = {offset: e.load(starts[r] + offset, mask) for offset in offsets}
                sums = [e.fma(weights[i][r], row[offset], total) for (i, offset), total in zip(places, sums)]
            for (i, offset), total in zip(places, sums):
                e.store(total, c + i * c_row + offset, mask)

        along(update, side)

    along(start)
    grouped = K // together * together
    with e.range(0, grouped, together) as k:
        add(k, together)
    with e.range(grouped, K) as k:
        add(k, 1)


@intrinsic(prefer_literal=True)
def _stream(typingctx, rows, K, a, a_row, a_k, b, b_k, c, c_row, n, alpha, beta, bias):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, alpha)
        emit_stream(e, rows.literal_value, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(rows, *[types.intp] * 9, alpha, alpha, types.intp), codegen


_STREAM = (*["int"] * 9, "number", "number", "int")


@native(*_STREAM)
def stream_one(K, a, a_row, a_k, b, b_k, c, c_row, n, alpha, beta, bias):
    """emit_stream for one row."""
    _stream(1, K, a, a_row, a_k, b, b_k, c, c_row, n, alpha, beta, bias)


@native(*_STREAM)
def stream_two(K, a, a_row, a_k, b, b_k, c, c_row, n, alpha, beta, bias):
    """emit_stream for two rows."""
    _stream(2, K, a, a_row, a_k, b, b_k, c, c_row, n, alpha, beta, bias)


# -- few rows, and bands of b: columns that stay in registers, one band after another in memory ------

#: A band is so many vectors wide.
BAND = 4
# Reading is all that takes time here: the processor's own looking ahead ends with a page of memory.
_AHEAD = 4096


def emit_add_bands(e, rows, K, a, a_row, b, first, last, N, c, c_row, backwards):
    """c <- itself + a b for *rows* rows, and for the columns of the bands *first* .. *last* of b (K, N).

    b          each band (K, BAND vectors) without gaps, the last one filled up
    backwards  whether the last band comes first: what was read last is read from a nearer cache.  It changes no bit.
    """
    width = BAND * e.vector_bytes
    tile = [(i, v) for i in range(rows) for v in range(BAND)]

    def step(a, b, sums):
        for line in range(0, width, 64):
            e.prefetch(b + (_AHEAD + line))
        right = [e.load(b + v * e.vector_bytes) for v in range(BAND)]
        left = [e.broadcast(e.get(a + i * a_row)) for i in range(rows)]
        return a + e.item_bytes, b + width, [e.fma(left[i], right[v], total) for (i, v), total in zip(tile, sums)]

    def two(a, b, sums):
        return step(*step(a, b, sums))

    with e.range(0, last - first) as count:
        band = e.where(backwards.differs(0), last - 1 - count, first + count)
        here, there = b + band * K * width, c + band * width
        x, y, sums = e.loop(K >> 1, two, a, here, [e.zero() for _ in tile])
        _, _, sums = e.loop(K & 1, step, x, y, sums)
        n = N - band * (BAND * e.lanes)

        def add(masks):
            for (i, v), total in zip(tile, sums):
                place = there + i * c_row + v * e.vector_bytes
                e.store(e.load(place, masks[v]) + total, place, masks[v])

        with e.choice(n >= BAND * e.lanes) as (yes, no):
            with yes:
                add([None] * BAND)
            with no:
                add([e.mask(n, v * e.lanes) for v in range(BAND)])


def emit_cut_bands(e, K, N, b, b_k, first, last, out):
    """out <- the bands *first* .. *last* of b (K, N), whose rows are b_k apart, each where it lies among all bands."""
    width, together = BAND * e.vector_bytes, 8  # rows of b that are read side by side, as by emit_stream

    def copy(count, here, there, masks):
        with e.range(0, count) as k:
            for v in range(BAND):
                place = v * e.vector_bytes
                e.store(e.load(here + k * b_k + place, masks[v]), there + k * width + place)

    with e.range(0, K, together) as k, e.range(first, last) as band:
        count, n = e.smaller(together, K - k), N - band * (BAND * e.lanes)
        here, there = b + k * b_k + band * width, out + (band * K + k) * width
        with e.choice(n >= BAND * e.lanes) as (yes, no):
            with yes:
                copy(count, here, there, [None] * BAND)
            with no:
                copy(count, here, there, [e.mask(n, v * e.lanes) for v in range(BAND)])


@intrinsic
def _cut(typingctx, like, K, N, b, b_k, first, last, out):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_cut_bands(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 7), codegen


@native("number", *["int"] * 7)
def cut_some_bands(like, K, N, b, b_k, first, last, out):
    """emit_cut_bands."""
    _cut(like, K, N, b, b_k, first, last, out)


@intrinsic(prefer_literal=True)
def _bands(typingctx, like, rows, K, a, a_row, b, first, last, N, c, c_row, backwards):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_add_bands(e, rows.literal_value, *e.values(args[2:]))
        return context.get_dummy_value()

    return types.void(like, rows, *[types.intp] * 10), codegen


_BANDS = ("number", *["int"] * 10)


@native(*_BANDS)
def add_bands_to_one(like, K, a, a_row, b, first, last, N, c, c_row, backwards):
    """emit_add_bands for one row."""
    _bands(like, 1, K, a, a_row, b, first, last, N, c, c_row, backwards)


@native(*_BANDS)
def add_bands_to_two(like, K, a, a_row, b, first, last, N, c, c_row, backwards):
    """emit_add_bands for two rows."""
    _bands(like, 2, K, a, a_row, b, first, last, N, c, c_row, backwards)


# -- a tile of dot products: lanes run along the common dimension ---------------------------------

def emit_dots(e, rows, columns, K, a, a_row, b, b_row, m, n, out):
    """out <- the products of rows of a with rows of b: rows x columns numbers, row by row, in whole vectors.

    a  row i at a + i a_row, K numbers; b alike.  Of a there are m rows, and of b n: past them
       the last is taken again, so that out has every place filled.
    """
    tile = [(i, j) for i in range(rows) for j in range(columns)]
    lefts = [e.smaller(m - 1, i) * a_row for i in range(rows)]
    rights = [e.smaller(n - 1, j) * b_row for j in range(columns)]

    def step(a, b, sums, mask=None):
        x = [e.load(a + offset, mask) for offset in lefts]
        y = [e.load(b + offset, mask) for offset in rights]
        return a + e.vector_bytes, b + e.vector_bytes, [e.fma(x[i], y[j], total) for (i, j), total in zip(tile, sums)]

    def two(a, b, sums):
        return step(*step(a, b, sums))

    shift = e.lanes.bit_length() - 1
    sums = [e.zero() for _ in tile]
    if rows == 1:  # bound by memory: a line of each row is used up at once
        a, b, sums = e.loop(K >> (shift + 1), two, a, b, sums)
        a, b, sums = e.loop((K >> shift) & 1, step, a, b, sums)
    else:
        a, b, sums = e.loop(K >> shift, step, a, b, sums)
    rest = K & (e.lanes - 1)
    sums = e.changed(rest > 0, lambda sums: step(a, b, sums, e.mask(rest))[2], sums)
    for k, vector in enumerate(e.sums(sums)):
        e.store(vector, out + k * e.vector_bytes)


@intrinsic(prefer_literal=True)
def _dots(typingctx, like, rows, columns, K, a, a_row, b, b_row, m, n, out):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_dots(e, rows.literal_value, columns.literal_value, *e.values(args[3:]))
        return context.get_dummy_value()

    return types.void(like, rows, columns, *[types.intp] * 8), codegen


_DOTS = ("number", *["int"] * 8)


@native(*_DOTS)
def dot_tile(like, K, a, a_row, b, b_row, m, n, out):
    """emit_dots for DOT_ROWS x DOT_COLUMNS products."""
    _dots(like, DOT_ROWS, DOT_COLUMNS, K, a, a_row, b, b_row, m, n, out)


@native(*_DOTS)
def dot_line(like, K, a, a_row, b, b_row, m, n, out):
    """emit_dots for one row with DOT_LINE_COLUMNS."""
    _dots(like, 1, DOT_LINE_COLUMNS, K, a, a_row, b, b_row, m, n, out)


# -- packing ------------------------------------------------------------------------------------

def emit_turn(e, a, a_row, out, out_row, m, n):
    """A square of a matrix, transposed: lane i of vector k is element (i, k) of a.

    Read are n elements, or a vector if that is less, of each of m rows.  A whole square is
    written, vector k at out + k out_row: lanes past m and vectors past n mean nothing.
    """
    starts = [a + e.smaller(m - 1, i) * a_row for i in range(e.lanes)]

    def turn(mask):
        for k, vector in enumerate(e.transpose([e.load(start, mask) for start in starts])):
            e.store(vector, out + k * out_row)

    with e.choice(n >= e.lanes) as (yes, no):
        with yes:
            turn(None)
        with no:
            turn(e.mask(n))
