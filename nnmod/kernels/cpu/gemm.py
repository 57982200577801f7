"""The matrix product c <- alpha a b + beta c + bias, around the tiles of tiles.py.

Loops go over tiles of c.  An operand that they read often, or whose elements do not lie as
a tile wants them, is first copied ("packed") into panels as wide as a tile, so that every
step of a tile reads on where the last one stopped.  Where few rows or columns meet operands
that both run along the common dimension, each element of c is a dot product of two runs.

All works on addresses and strides in bytes: a transposed matrix is one whose strides have
changed places.  Scratch memory is on the stack of the thread that computes, or handed in by
who has more of it: nothing is allocated, nothing shared.

The way that a product takes depends on its whole shape, never on the rows or columns that a
thread was given, and the common dimension is always cut in the same places: every element
is computed by the same operations in the same order, however many threads there are.
"""
from numba import types
from numba.extending import intrinsic

from .compile import call, inline, native
from .simd import VECTOR_BYTES, Emitter
from .tiles import (DOT_COLUMNS, DOT_LINE_COLUMNS, DOT_ROWS, TALL_COLUMNS, TALL_ROWS, WIDE_COLUMNS, WIDE_ROWS,
                    dot_line, dot_tile, emit_turn, stream_one, stream_two, tall_tile, wide_tile)

#: The common dimension is cut into equal parts of this length at most: a panel of b then stays
#: in the L1 cache while a block of a, in the L2 cache, passes by.
DEPTH = 512
_BLOCK_BYTES = 128 * 1024
# A transposed square may reach over a panel's end by all but one of its rows.
_PANEL_BYTES = (DEPTH + 16) * max(TALL_COLUMNS, WIDE_COLUMNS) * VECTOR_BYTES
_DOT_BYTES = 8 * max(DOT_ROWS * DOT_COLUMNS, DOT_LINE_COLUMNS) + VECTOR_BYTES

#: With so short a common dimension, and so small a b, c is written along its rows.
FLAT_DEPTH = 64
FLAT_BYTES = 256 * 1024

#: Up to so many rows (or columns) dot products of long runs are faster than packing.
DOT_LIMIT = 24
#: Up to so many rows b is streamed by, and never packed: stream_one, stream_two.
STREAM_LIMIT = 2
#: Up to so many tiles above each other b is read where it lies, and beside each other a.
DIRECT_B = 3
DIRECT_A = 4

#: Scratch memory beyond this serves no more.
MOST_WORK_BYTES = 8 * 1024 * 1024


def work_bytes(M, N, K, itemsize):
    """How much scratch memory a product of M rows can use: 0 if the stack has enough."""
    needed = (min(K, DEPTH) * itemsize * M * 4) // 3 + 4096
    return min(needed, MOST_WORK_BYTES) if needed > _BLOCK_BYTES and N > DIRECT_A * 16 else 0


# Threads share a product in steps of so many rows, or vectors of columns: whole tiles.
ROW_STEP = TALL_ROWS * WIDE_ROWS // 2
COLUMN_STEP = TALL_COLUMNS * WIDE_COLUMNS


@inline
def multiply(M, N, K, top, bottom, left, right, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col,
             alpha, beta, bias, work, work_bytes):
    """Rows top .. bottom and columns left .. right of c (M, N) <- alpha a b + beta c + bias.

    a (M, K), b (K, N)  addresses, with the steps in bytes along each dimension
    c                   likewise; along one dimension its elements must be neighbours
    bias                the address of N numbers, or 0; the dtype is that of alpha and beta
    work, work_bytes    scratch memory of the thread's own, where there is more than it has
                        on its stack: b is then packed less often.  It changes no bit.
    """
    call(product, (M, N, K, top, bottom, left, right, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col,
                     alpha, beta, bias, work, work_bytes))


@intrinsic
def _emitted(typingctx, M, N, K, top, bottom, left, right, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col,
             alpha, beta, bias, work, work_bytes):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, alpha)
        emit_multiply(e, *e.values(args))
        return context.get_dummy_value()

    return types.void(*[types.intp] * 16, alpha, beta, *[types.intp] * 3), codegen


@native(*["int"] * 16, "number", "number", "int", "int", "int")
def product(M, N, K, top, bottom, left, right, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col,
              alpha, beta, bias, work, work_bytes):
    _emitted(M, N, K, top, bottom, left, right, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col,
             alpha, beta, bias, work, work_bytes)


def emit_multiply(e, M, N, K, top, bottom, left, right, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col,
                  alpha, beta, bias, work, work_bytes):
    """The whole product; see multiply."""
    size = e.item_bytes
    rows, columns = bottom - top, right - left
    a, b, c = a + top * a_row, b + left * b_col, c + top * c_row + left * c_col
    bias = e.where(bias.equals(0), bias, bias + left * size)
    # NumPy lets the step along a dimension of one element be anything; the way taken must not depend on it.
    a_k, b_k = (e.where(K.equals(1), size, step) for step in (a_k, b_k))
    b_col = e.where(N.equals(1), size, b_col)
    runs = a_k.equals(size) & b_k.equals(size)
    # A dot product ends with the sum of a vector's lanes, which only a long run is worth.
    few, many = e.smaller(M, N), e.larger(M, N)
    long = K >= few * e.smaller(many, e.integer(4 * e.lanes))
    by_dots = runs & (few <= DOT_LIMIT) & long
    by_rows = (M <= STREAM_LIMIT) & b_col.equals(size)

    def dots():
        flip = M > N  # c's transpose has few rows

        def flipped(x, y):
            return e.where(flip, y, x), e.where(flip, x, y)

        (few, many), (a_, b_), (a_step, b_step) = flipped(rows, columns), flipped(a, b), flipped(a_row, b_col)
        c_steps, bias_steps = flipped(c_row, c_col), flipped(e.integer(0), e.integer(size))
        _emit_by_dots(e, few, many, K, a_, a_step, b_, b_step, c, *c_steps, alpha, beta, bias, *bias_steps)

    def streams():
        stream = e.where(rows.equals(1), e.function(stream_one), e.function(stream_two))
        e.call(stream, K, a, a_row, a_k, b, b_k, c, c_row, columns, alpha, beta, bias)

    with e.when((rows > 0) & (columns > 0)), e.choice(by_dots) as (yes, no):
        with yes:
            dots()
        with no, e.choice(by_rows) as (yes_, no_):
            with yes_:
                streams()
            with no_:
                _emit_by_tiles(e, M, N, rows, columns, K, a, a_row, a_k, b, b_k, b_col, c, c_row, alpha, beta, bias,
                               work, work_bytes)


# -- many products with one b ------------------------------------------------------------------

def panels_bytes(N, K, itemsize):
    """The room for b (K, N) as panels."""
    vector = VECTOR_BYTES // itemsize
    widest = max(TALL_COLUMNS, WIDE_COLUMNS) * vector
    return (K + -(-K // DEPTH) * vector) * (N + widest) * itemsize + _PANEL_BYTES


@native("number", *["int"] * 7)
def pack_panels(like, M, N, K, b, b_k, b_col, out):
    """b (K, N) as product_of_panels reads it, for products with M rows."""
    _emitted_panels(like, M, N, K, b, b_k, b_col, out)


@native(*["int"] * 11, "number", "number")
def product_of_panels(M, N, K, top, bottom, a, a_row, a_k, panels, c, c_row, alpha, beta):
    """Rows top .. bottom of c (M, N) <- alpha a b + beta c, with b as pack_panels left it; rows of c have no gaps."""
    _emitted_product(M, N, K, top, bottom, a, a_row, a_k, panels, c, c_row, alpha, beta)


@intrinsic
def _emitted_panels(typingctx, like, M, N, K, b, b_k, b_col, out):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_pack_panels(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 7), codegen


@intrinsic
def _emitted_product(typingctx, M, N, K, top, bottom, a, a_row, a_k, panels, c, c_row, alpha, beta):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, alpha)
        M, N, K, top, bottom, a, a_row, a_k, panels, c, c_row, alpha_, beta_ = e.values(args)
        nothing = e.integer(0)
        _emit_by_tiles(e, M, N, bottom - top, N, K, a + top * a_row, a_row, a_k, panels, nothing, nothing,
                       c + top * c_row, c_row, alpha_, beta_, nothing, nothing, nothing, in_panels=True)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 11, alpha, beta), codegen


def emit_pack_panels(e, M, N, K, b, b_k, b_col, out):
    """Panels of one part of the common dimension after another; each has room for what its packing writes past it."""
    size = e.item_bytes
    _, _, W = _emit_tile_for(e, M, N)
    depth = _emit_depth(e, K)
    pack_rows, one = e.function(pack), e.number(1.0)
    with e.range(0, K, depth) as k, e.range(0, N, W) as j:
        e.call(pack_rows, one, b + k * b_k + j * b_col, b_k, b_col, out + _emit_panel(e, N, W, depth, k, j),
               e.smaller(depth, K - k), W, e.smaller(W, N - j))


def _emit_depth(e, K):
    """The common dimension is cut into equal parts of at most DEPTH."""
    parts = e.larger(e.rounded(K, DEPTH) // DEPTH, e.integer(1))
    return e.larger((K + parts - 1) // parts, e.integer(1))


def _emit_panel(e, N, W, depth, k, j):
    """Where the panel from (k, j) on begins, in bytes."""
    panels = (N + W - 1) // W
    return (k // depth * panels + j // W) * ((depth + e.lanes) * W * e.item_bytes)


# -- tiles -------------------------------------------------------------------------------------

def _emit_by_tiles(e, M, N, rows, columns, K, a, a_row, a_k, b, b_k, b_col, c, c_row, alpha, beta, bias,
                   work, work_bytes, in_panels=False):
    """All of c in tiles; c's rows lie without gaps.  *in_panels*: b is what pack_panels made."""
    size = e.item_bytes
    tile, R, W = _emit_tile_for(e, M, N)
    pack_a = columns > W * DIRECT_A
    pack_b = b_col.differs(size) | (rows > R * DIRECT_B)
    # A packed row of a is a tile's height; where that is more than a vector, whole vectors, for
    # turning a square writes whole vectors: past a row's end that is made good by the next row.
    P = e.where(R <= e.lanes, R, e.rounded(R, e.lanes))
    pack_rows = e.function(pack)
    block, panels = e.where(work_bytes > _BLOCK_BYTES, work, e.stack(_BLOCK_BYTES)), e.stack(2 * _PANEL_BYTES)
    in_pairs = pack_b & b_col.equals(size)
    block_bytes = e.larger(work_bytes, e.integer(_BLOCK_BYTES))

    depth = _emit_depth(e, K)
    height = (block_bytes - P * (e.lanes * size)) // (depth * P * size) * R
    flat = b_col.equals(size) & (K <= FLAT_DEPTH) & (K * N * size <= FLAT_BYTES)

    with e.range(0, e.larger(K, e.integer(1)), depth) as k:
        length = e.smaller(depth, K - k)
        keep = e.where(k.equals(0), beta, e.number(1.0))
        added = e.where(k.equals(0), bias, 0)

        def tiles(i, j, upper, left, times=1, down=0, right=0, onward=0):
            """Some tiles from (i, j) on; *upper* and *left* say where they find a and b."""
            e.call(tile, length, *upper, *left, c + i * c_row + j * size, c_row,
                   e.smaller(R, rows - i), e.smaller(W, columns - j), times, down, right, onward, alpha, keep,
                   e.where(added.equals(0), 0, added + j * size))

        def along_rows():
            """b is small, and read where it lies; c is written row by row."""
            last = columns // W * W
            with e.when(last < columns):  # but a tile reads whole vectors
                e.call(pack_rows, alpha, b + k * b_k + last * size, b_k, b_col, panels, length, W, columns - last)
            with e.range(0, rows, R) as i:
                a_here = a + i * a_row + k * a_k
                with e.when(pack_a):
                    e.call(pack_rows, alpha, a_here, a_k, a_row, block, length, P, e.smaller(R, rows - i))
                upper = (e.where(pack_a, block, a_here), e.where(pack_a, size, a_row), e.where(pack_a, P * size, a_k))
                tiles(i, e.integer(0), upper, (b + k * b_k, b_k), last // W, 0, W * size, W * size)
                with e.when(last < columns):
                    tiles(i, last, upper, (panels, W * size))

        def in_blocks():
            with e.range(0, rows, height) as top:
                bottom = e.smaller(top + height, rows)

                def packed(i):
                    return block + (i - top) // R * depth * P * size

                with e.when(pack_a), e.range(top, bottom, R) as i:
                    e.call(pack_rows, alpha, a + i * a_row + k * a_k, a_k, a_row, packed(i), length, P,
                           e.smaller(R, bottom - i))
                with e.range(0, columns, W) as j:
                    if in_panels:
                        left = b + _emit_panel(e, N, W, depth, k, j), W * size
                    else:
                        copied = pack_b | (columns - j < W)
                        b_here, second = b + k * b_k + j * b_col, (j // W) & 1
                        panel = panels + second * _PANEL_BYTES
                        pair = in_pairs & second.equals(0) & (columns - j >= W + W)
                        with e.when(pair):
                            e.call(e.function(pack_two), alpha, b_here, b_k, panels, panels + _PANEL_BYTES, length, W)
                        packed_before = in_pairs & second.equals(1) & (columns - j >= W)
                        with e.when(copied & ~pair & ~packed_before):
                            e.call(pack_rows, alpha, b_here, b_k, b_col, panel, length, W, e.smaller(W, columns - j))
                        left = (e.where(copied, panel, b_here), e.where(copied, W * size, b_k))
                    last = top + (bottom - top) // R * R

                    def upper(i):
                        return (e.where(pack_a, packed(i), a + i * a_row + k * a_k), e.where(pack_a, size, a_row),
                                e.where(pack_a, P * size, a_k))

                    tiles(top, j, upper(top), left, (last - top) // R,
                          e.where(pack_a, depth * P * size, R * a_row), 0, R * c_row)
                    with e.when(last < bottom):
                        tiles(last, j, upper(last), left)

        if in_panels:
            in_blocks()
        else:
            with e.choice(flat) as (yes, no):
                with yes:
                    along_rows()
                with no:
                    in_blocks()


def _emit_tile_for(e, M, N):
    """Which tile, with its rows and its width: the one that wastes less."""
    def waste(rows, columns):
        return e.rounded(M, rows) * e.rounded(N, columns * e.lanes)

    wide = waste(WIDE_ROWS, WIDE_COLUMNS) < waste(TALL_ROWS, TALL_COLUMNS)
    return (e.where(wide, e.function(wide_tile), e.function(tall_tile)),
            e.where(wide, WIDE_ROWS, e.integer(TALL_ROWS)),
            e.where(wide, WIDE_COLUMNS * e.lanes, e.integer(TALL_COLUMNS * e.lanes)))


@intrinsic
def _emitted_pack(typingctx, like, source, step, across, out, K, width, valid):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_pack(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 7), codegen


@native("number", *["int"] * 7)
def pack(like, source, step, across, out, K, width, valid):
    _emitted_pack(like, source, step, across, out, K, width, valid)


def emit_pack(e, source, step, across, out, K, width, valid):
    """out[k, w] <- source[k, w], for w < valid; what it writes for other w means nothing.

    source  element (k, w) at source + k step + w across
    out     (K, width) without gaps, width at most three vectors; up to a square of vectors
            beyond its end may be written
    """
    size, V = e.item_bytes, e.lanes
    row = width * size

    def copy_rows(vectors):
        masks = [e.mask(valid, v * V) for v in range(vectors)]
        with e.range(0, K) as k:
            here, there = source + k * step, out + k * row
            e.prefetch(here + step * 8)
            for v in range(vectors):
                e.store(e.load(here + v * e.vector_bytes, masks[v]), there + v * e.vector_bytes)

    def turn_squares():
        with e.range(0, width, V) as w, e.range(0, K, V) as k:
            emit_turn(e, source + k * step + w * across, across, out + k * row + w * size, row, valid - w, K - k)

    def copy_numbers():
        with e.range(0, K) as k, e.range(0, width) as w:
            e.put(e.get(source + k * step + e.smaller(w, valid - 1) * across), out + k * row + w * size)

    with e.choice(across.equals(size)) as (yes, no):
        with yes:
            for vectors in (1, 2, 3):
                with e.when((width > (vectors - 1) * V) & (width <= vectors * V)):
                    copy_rows(vectors)
        with no, e.choice(step.equals(size)) as (yes_, no_):
            with yes_:
                turn_squares()
            with no_:
                copy_numbers()


@intrinsic
def _emitted_pack_two(typingctx, like, source, step, first, second, K, width):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_pack_two(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 6), codegen


@native("number", *["int"] * 6)
def pack_two(like, source, step, first, second, K, width):
    _emitted_pack_two(like, source, step, first, second, K, width)


def emit_pack_two(e, source, step, first, second, K, width):
    """Two neighbouring panels, of whole tiles and with rows in place, in one pass over the source.

    Rows that are 4096 bytes apart share a set of the L1 cache: a line that two panels have a part
    of has gone before the second one comes to it.
    """
    for vectors in sorted({TALL_COLUMNS, WIDE_COLUMNS}):
        half = vectors * e.vector_bytes
        with e.when(width.equals(vectors * e.lanes)), e.range(0, K) as k:
            here = source + k * step
            for line in range(0, 2 * half, 64):
                e.prefetch(here + step * 2 + line)
            for out, start in ((first, here), (second, here + half)):
                for v in range(0, half, e.vector_bytes):
                    e.store(e.load(start + v), out + k * half + v)


def _emit_by_dots(e, rows, columns, K, a, a_row, b, b_row, c, c_row, c_col, alpha, beta, bias, bias_row, bias_col):
    """c[i, j] <- alpha times row i of a times row j of b, + beta c + bias[i or j]."""
    size = e.item_bytes
    one = rows.equals(1)
    tile = e.where(one, e.function(dot_line), e.function(dot_tile))
    R, C = e.where(one, 1, e.integer(DOT_ROWS)), e.where(one, DOT_LINE_COLUMNS, e.integer(DOT_COLUMNS))
    out = e.stack(_DOT_BYTES)
    with e.range(0, columns, C) as j, e.range(0, rows, R) as i:
        m, n = e.smaller(R, rows - i), e.smaller(C, columns - j)
        e.call(tile, alpha, K, a + i * a_row, a_row, b + j * b_row, b_row, m, n, out)

        def one_by_one():
            with e.range(0, m) as p, e.range(0, n) as q:
                there = c + (i + p) * c_row + (j + q) * c_col
                total = [e.get(out + (p * C + q) * size) * alpha]
                total = e.changed(beta.differs(0.0), lambda total: [total[0] + e.get(there) * beta], total)
                total = e.changed(bias.differs(0), lambda total: [
                    total[0] + e.get(bias + (i + p) * bias_row + (j + q) * bias_col)], total)
                e.put(total[0], there)

        def whole_vectors():
            scale, keep = e.broadcast(alpha), e.broadcast(beta)
            for v in range(0, DOT_LINE_COLUMNS, e.lanes):
                there, added = c + (j + v) * size, bias + (j + v) * size
                total = [e.load(out + v * size) * scale]
                total = e.changed(beta.differs(0.0), lambda total: [total[0] + e.load(there) * keep], total)
                total = e.changed(bias.differs(0), lambda total: [total[0] + e.load(added)], total)
                e.store(total[0], there)

        if DOT_LINE_COLUMNS % e.lanes:
            one_by_one()
        else:
            dense = one & n.equals(DOT_LINE_COLUMNS) & c_col.equals(size) & (bias.equals(0) | bias_col.equals(size))
            with e.choice(dense) as (yes, no):
                with yes:
                    whole_vectors()
                with no:
                    one_by_one()
