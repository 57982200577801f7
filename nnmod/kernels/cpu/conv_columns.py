"""Convolution as matrix products: method "im2col".

Output.  y (O, P) = w (O, K) times the matrix of what each window sees (K, P).  That matrix is
never laid out: a panel of it, some vectors of windows wide, is gathered from the frame just
before the tiles of tiles.py pass over it, with a row of ones below that meets the bias.

Gradient of the input.  With stride 1 it is such a convolution itself, of dy with the kernels
turned round.  Else, and where that means much more work, it is w^T (K, O) times dy (O, P),
some channels at a time, each element added to the place in a frame that its window saw.

Gradient of the weight.  Its transpose (K, O) is summed over windows and samples, in tiles
whose rows read the frame where it lies; at the end it is turned and added.

Threads take panels, blocks of channels, both, or rows or columns of the gradient: every element
is computed by one thread, in an order that does not depend on how many there are.
"""
from numba import types
from numba.extending import intrinsic

from . import threads
from .compile import call, jit, native
from .conv_frame import (SLACK, Sizes, aligned, drain_frame, emit_clear, fill_frame, geometry, integer_at,
                         put_integer, rounded, sum_planes)
from .epilogue import finish, no_end
from .gemm import pack, product
from .linear import at
from .simd import VECTOR_BYTES, Emitter, address
from .tiles import TALL_COLUMNS, TALL_ROWS, WIDE_COLUMNS, WIDE_ROWS, tall_tile, wide_tile

#: A panel is so many rows deep at most.
DEPTH = 512
#: Channels of the gradient of the input are computed together up to so many bytes of their matrix.
_FOLD_BYTES = 192 * 1024
#: Windows whose gradients are turned into vectors at a time.
_TURNED = 256
_COPIES_BYTES = 1024
#: Weights that so few panels meet are read where they lie.
IN_PLACE = 6
#: The gradient of the input is taken as a convolution up to so many times the work.
_MORE_WORK = 1.3


def _wide(rows, columns, vector):
    """Whether wide tiles waste less than tall ones."""
    return (rounded(rows, WIDE_ROWS) * rounded(columns, WIDE_COLUMNS * vector)
            < rounded(rows, TALL_ROWS) * rounded(columns, TALL_COLUMNS * vector))


def _tile(wide, vector):
    """Rows, elements of a row of a packed operand, and columns of a tile."""
    rows, columns = (WIDE_ROWS, WIDE_COLUMNS) if wide else (TALL_ROWS, TALL_COLUMNS)
    return rows, rows if rows <= vector else rounded(rows, vector), columns * vector


def _parts(g, units):
    return max(1, min(threads.get_num_threads(), units, g.flops // threads.FLOPS_PER_THREAD))


def _scratch(shared, each, parts):
    """The workspace as an array: a shared piece, then one for each part."""
    return threads.workspace(64 + shared + parts * each)


# -- output --------------------------------------------------------------------------------------

def update_output(g, x, w, b, y, end, kept):
    """y <- the convolution of x with w, plus b (empty: without), and its *end*; *kept* has no use here."""
    convolve(g, x, w, b, y, False, end)


def convolve(g, x, w, b, y, turned, end):
    """As update_output; *turned*: w is (C, O / groups, kh, kw), and each kernel is taken backwards."""
    plan = g.kept("turned columns" if turned else "columns", lambda: _Plan(g, turned))
    by_units, by_rows = plan.division(g)
    parts = by_units * by_rows
    work = _scratch(plan.shared, plan.slot, parts)
    if not plan.in_place:
        threads.run(_pack_weights, plan.tiles, plan.grain, w, b, work, g.numbers, turned, plan.R, plan.RP,
                    plan.tile_bytes)
    if parts == 1:
        _output(0, 1, 1, 1, x, w, b, y, work, g.numbers, plan.offsets, plan.sizes, *end)
    else:
        threads.run(_output, parts, 1, by_units, by_rows, x, w, b, y, work, g.numbers, plan.offsets, plan.sizes, *end)


def alone(g, w, b, y, end):
    """What program.step takes for update_output on one thread; None where more would share it."""
    plan = g.kept("columns", lambda: _Plan(g, False))
    if plan.division(g) != (1, 1):
        return None
    norm, activation, low, high = end
    units, wide, direct, in_place, tile_bytes, shared, slot, panel_bytes = plan.sizes
    return ((units, at(w), at(b), at(y), at(g.numbers), at(plan.offsets), wide, direct, in_place, tile_bytes, shared,
             panel_bytes, at(norm), activation, plan.tiles, plan.R, plan.RP), low, high, 64 + shared + slot)


class _Plan:
    """How one convolution goes: its tiles, its units of work, its memory."""

    def __init__(self, g, turned):
        self.offsets = g.turned_offsets() if turned else g.offsets
        # A kernel of one element reads x where it lies, unless the last vector would reach past its end.
        direct = (g.kernel == g.stride == (1, 1) and g.ph == g.pw == 0 and g.OW % (VECTOR_BYTES // g.size) == 0
                  and g.plane == g.P * g.size)
        vector = VECTOR_BYTES // g.size
        wide = _wide(g.OG, g.P, vector)
        self.R, self.RP, W = _tile(wide, vector)
        panels = -(-g.P // W)
        self.units = g.N * g.G * panels
        # What few panels read is not worth packing.
        self.in_place = not turned and g.N * panels <= IN_PLACE
        self.rows = -(-g.OG // self.R)  # of tiles, in a panel
        self.tiles = g.G * self.rows
        self.grain = threads.grain(g.K * self.R, threads.ELEMENTS_PER_THREAD)
        self.tile_bytes = self.R * g.K * g.size if self.in_place else (rounded(g.K + 1, 16) + 16) * self.RP * g.size
        self.shared = 0 if self.in_place else rounded(self.tiles * self.tile_bytes + SLACK, 64)
        panel_bytes = rounded((min(DEPTH, g.K) + 1) * W * g.size + SLACK, 64)
        self.slot = g.frame_bytes(g.CG) + panel_bytes + _COPIES_BYTES
        #: as the kernel takes them
        self.sizes = (self.units, wide, direct, self.in_place, self.tile_bytes, self.shared, self.slot, panel_bytes)
        self._divisions = {}

    def division(self, g):
        """Into how many pieces the panels are divided, and into how many the rows of tiles in each."""
        most = threads.worth(g.flops, g.O * g.K)
        found = self._divisions.get(most)
        if found is None:
            # Rows first where weights are read from where they lie: each is then one thread's.
            pieces = [(max(1, min(self.units, most // rows)), rows) for rows in range(1, min(most, self.rows) + 1)]
            found = self._divisions[most] = min(pieces[::-1] if self.in_place else pieces, key=lambda pair: (
                -(-self.units // pair[0]) * -(-self.rows // pair[1])))
        return found


@jit
def _pack_weights(start, stop, w, b, work, sizes, turned, R, RP, tile_bytes):
    call(pack_weights_part, (w.dtype.type(0), start, stop, address(w), address(b) if b.size else 0, aligned(work),
                             address(sizes), turned, R, RP, tile_bytes))


@intrinsic
def _emitted_weights(typingctx, like, start, stop, w, b, out, sizes, turned, R, RP, tile_bytes):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_pack_weights_part(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 10), codegen


@native("number", *["int"] * 10)
def pack_weights_part(like, start, stop, w, b, out, sizes, turned, R, RP, tile_bytes):
    _emitted_weights(like, start, stop, w, b, out, sizes, turned, R, RP, tile_bytes)


def emit_pack_weights_part(e, start, stop, w, b, out, sizes, turned, R, RP, tile_bytes):
    """Tiles of all groups, from *start* to *stop*: R rows of w side by side, and the bias below."""
    s, size, pack_rows, one = Sizes(e, sizes), e.item_bytes, e.function(pack), e.number(1.0)
    tiles = (s.OG + R - 1) // R
    with e.range(start, stop) as unit:
        g = unit // tiles
        first = (unit - g * tiles) * R
        valid, there = e.smaller(R, s.OG - first), out + unit * tile_bytes
        with e.choice(turned.differs(0)) as (yes, no):
            with yes, e.choice(s.taps.equals(1)) as (one_tap, more):
                with one_tap:
                    e.call(pack_rows, one, w + (g * s.CG * s.OG + first) * size, s.OG * size, size, there, s.CG,
                           RP, valid)
                with more, e.range(0, s.CG) as plane:
                    kernel = w + ((g * s.CG + plane) * s.OG + first) * s.taps * size
                    e.call(pack_rows, one, kernel, size, s.taps * size, there + plane * s.taps * RP * size, s.taps, RP,
                           valid)
            with no:
                e.call(pack_rows, one, w + (g * s.OG + first) * s.K * size, size, s.K * size, there, s.K, RP, valid)
        with e.when(b.differs(0)), e.range(0, valid) as i:
            e.put(e.get(b + (g * s.OG + first + i) * size), there + (s.K * RP + i) * size)


@jit
def _output(start, stop, by_units, by_rows, x, w, b, y, work, sizes, offsets, plan, norm, activation, low, high):
    units, wide, direct, in_place, tile_bytes, shared, slot, panel_bytes = plan
    dtype = x.dtype.type
    for part in range(start, stop):
        call(output_part, (dtype(low), dtype(high), part // by_rows, by_units, part % by_rows, by_rows, units,
                           address(x), address(w) if in_place else 0, address(b) if b.size else 0, address(y),
                           aligned(work), aligned(work) + shared + part * slot, address(sizes), address(offsets), wide,
                           direct, tile_bytes, panel_bytes, address(norm) if norm.size else 0, activation))


@intrinsic
def _emitted_output(typingctx, low, high, part, parts, block, blocks, units, x, w, b, y, packed, own, sizes, offsets,
                    wide, direct, tile_bytes, panel_bytes, norm, activation):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, low)
        emit_output_part(e, *e.values(args))
        return context.get_dummy_value()

    return types.void(low, low, *[types.intp] * 19), codegen


@native("number", "number", *["int"] * 19)
def output_part(low, high, part, parts, block, blocks, units, x, w, b, y, packed, own, sizes, offsets, wide, direct,
                tile_bytes, panel_bytes, norm, activation):
    _emitted_output(low, high, part, parts, block, blocks, units, x, w, b, y, packed, own, sizes, offsets, wide,
                    direct, tile_bytes, panel_bytes, norm, activation)


def _emit_shape(e, wide):
    """Of the tiles that are taken: rows, numbers of a packed row of the left operand, vectors."""
    packed = [rows if rows <= e.lanes else rounded(rows, e.lanes) for rows in (WIDE_ROWS, TALL_ROWS)]
    return (e.where(wide, WIDE_ROWS, e.integer(TALL_ROWS)), e.where(wide, packed[0], e.integer(packed[1])),
            e.where(wide, WIDE_COLUMNS, e.integer(TALL_COLUMNS)))


def emit_output_part(e, low, high, part, parts, block, blocks, units, x, w, b, y, packed, own, sizes, offsets, wide,
                     direct, tile_bytes, panel_bytes, norm, activation):
    """The share of one part of all panels of all samples and groups, and in each the share of a block of the tiles.

    w    the weights where they lie, a row of which is then as long as they are apart, or 0: they are *packed*
    b    the biases, or 0; packed weights have them below
    own  scratch memory of the part and block
    """
    s, size, wide = Sizes(e, sizes), e.item_bytes, wide.differs(0)
    R, RP, vectors = _emit_shape(e, wide)
    tile = e.where(wide, e.function(wide_tile), e.function(tall_tile))
    pack_panel, one = e.function(pack_columns), e.number(1.0)
    columns = vectors * e.lanes
    panels, whole, tiles_high = (s.P + columns - 1) // columns, s.OG // R, (s.OG + R - 1) // R
    top, bottom = tiles_high * block // blocks, tiles_high * (block + 1) // blocks
    top_row, bottom_row = top * R, e.smaller(bottom * R, s.OG)
    is_packed = w.equals(0)
    a_row, a_k = e.where(is_packed, e.integer(size), s.K * size), e.where(is_packed, RP * size, e.integer(size))
    pieces = (s.K + (DEPTH - 1)) // DEPTH
    depth = (s.K + pieces - 1) // pieces
    panel, copies = own, own + panel_bytes
    own_frame = copies + _COPIES_BYTES
    unit, end = units * part // parts, units * (part + 1) // parts
    with e.range(unit // panels, (end + panels - 1) // panels) as sample:  # a sample and a group
        first = e.larger(unit - sample * panels, e.integer(0)) * columns
        last = e.smaller(e.smaller(end - sample * panels, panels) * columns, s.P)
        group = sample - sample // s.G * s.G
        weights = e.where(is_packed, packed + group * tiles_high * tile_bytes, w + group * s.OG * s.K * size)
        source = x + sample * s.CG * s.H * s.W * size
        with e.when(direct.equals(0)):
            e.call(e.function(fill_frame), one, source, s.CG, s.H, s.W, s.ph, s.pw, s.sw, s.width, s.plane, own_frame)
        frame = e.where(direct.differs(0), source, own_frame)
        with e.range(0, s.K, depth) as k, e.range(first, last, columns) as p:
            length, count = e.smaller(depth, s.K - k), e.smaller(columns, s.P - p)
            n = _emit_list_copies(e, s, p, count, frame, copies)
            e.call(pack_panel, one, offsets + k * 8, length, copies, n, vectors, panel)
            ones = is_packed & b.differs(0) & (k + length).equals(s.K)
            with e.when(ones), e.range(0, vectors) as v:
                e.store(e.broadcast(one), panel + (length * vectors + v) * VECTOR_BYTES)
            rows = length + e.where(ones, 1, e.integer(0))
            out = y + (sample * s.OG * s.P + p) * size
            first_biased = ~is_packed & b.differs(0) & k.equals(0)
            with e.when(first_biased), e.range(top_row, bottom_row) as o:
                bias = e.broadcast(e.get(b + (group * s.OG + o) * size))
                with e.range(0, count, e.lanes) as j:
                    e.store(bias, out + (o * s.P + j) * size, e.mask(count - j))
            beta = e.where(k.equals(0) & ~first_biased, e.number(0.0), one)
            a = weights + k * a_k

            def tiles(first, rows_of_tile, times):
                e.call(tile, rows, a + first * tile_bytes, a_row, a_k, panel, vectors * VECTOR_BYTES,
                       out + first * R * s.P * size, s.P * size, rows_of_tile, count, times, tile_bytes, 0,
                       R * s.P * size, one, beta, 0)

            tiles(top, R, e.smaller(bottom, whole) - top)
            with e.when(bottom > whole):
                tiles(whole, s.OG - whole * R, 1)
        with e.when(norm.differs(0) | activation.differs(0)):
            e.call(e.function(finish), low, high, y + ((sample * s.OG + top_row) * s.P + first) * size,
                   bottom_row - top_row, s.P * size, last - first, norm, s.O, group * s.OG + top_row, activation)


def _emit_list_copies(e, s, p, count, frame, copies):
    """Which vectors of a frame a panel consists of: (from, to), for tap offset 0 and row 0; their number.

    One run for each row of windows, in vectors; the last may reach into the next run.
    """
    size = e.item_bytes
    first, last = p // s.OW, (p + count - 1) // s.OW

    def line(oh, n):
        start = e.larger(p - oh * s.OW, e.integer(0))
        run = e.smaller(s.OW, p + count - oh * s.OW) - start
        here, there = frame + oh * s.window_row + start * size, (oh * s.OW + start - p) * size

        def vector(v, n):
            put_integer(e, here + v * VECTOR_BYTES, copies + n * 16)
            put_integer(e, there + v * VECTOR_BYTES, copies + n * 16 + 8)
            return v + 1, n + 1

        return oh + 1, e.loop((run + (e.lanes - 1)) // e.lanes, vector, e.integer(0), n)[1]

    return e.loop(last - first + 1, line, first, e.integer(0))[1]


@intrinsic
def _emitted_columns(typingctx, like, offsets, depth, copies, n, vectors, out):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_columns(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 6), codegen


@native("number", *["int"] * 6)
def pack_columns(like, offsets, depth, copies, n, vectors, out):
    _emitted_columns(like, offsets, depth, copies, n, vectors, out)


def emit_columns(e, offsets, depth, copies, n, vectors, out):
    """A panel: row k holds n vectors, each read at its place plus offsets[k]; rows are *vectors* long."""
    row = vectors * e.vector_bytes

    def some(count):
        places = [(integer_at(e, copies + 16 * i), integer_at(e, copies + (16 * i + 8))) for i in range(count)]

        def step(offsets, out):
            offset = integer_at(e, offsets)
            for here, there in places:
                e.store(e.load(here + offset), out + there)
            return offsets + 8, out + row

        e.loop(depth, step, offsets, out)

    def any_number():
        with e.range(0, depth) as k:
            offset, there = integer_at(e, offsets + k * 8), out + k * row
            with e.range(0, n) as i:
                copy = copies + i * 16
                e.store(e.load(integer_at(e, copy) + offset), there + integer_at(e, copy + 8))

    for count in (1, 2, 3, 4):
        with e.when(n.equals(count)):
            some(count)
    with e.when(n > 4):
        any_number()


# -- gradient of the input -----------------------------------------------------------------------

def update_grad_input(g, dy, w, dx, nothing):
    """dx <- the gradient of x; *nothing* is an empty vector."""
    back = g.kept("gradient", lambda: as_convolution(g))
    if back:
        convolve(back, dy, w, nothing, dx, True, no_end(dx))
        return
    together = max(1, min(g.CG, _FOLD_BYTES // (g.taps * g.P * g.size)))  # channels
    together = -(-g.CG // -(-g.CG // together))
    matrix = rounded(together * g.taps * g.P * g.size + SLACK, 64)
    slot = matrix + g.frame_bytes(together)
    units = g.N * g.G * -(-g.CG // together)
    parts = _parts(g, units)
    work = _scratch(0, slot, parts)
    threads.run(_grad_input, parts, 1, parts, units, dy, w, dx, work, g.numbers, g.offsets, together, matrix, slot)


def as_convolution(g):
    """The geometry of the convolution that leads from dy to dx, or None where the other way is better."""
    (sh, sw), (dh, dw), (kh, kw) = g.stride, g.dilation, g.kernel
    ph, pw = dh * (kh - 1) - g.ph, dw * (kw - 1) - g.pw
    few = g.taps > 1 and g.N * g.P < 4 * g.O  # windows: turning the kernels round would take most of the time
    if (sh, sw) != (1, 1) or ph < 0 or pw < 0 or g.H * g.W > _MORE_WORK * g.P or few:
        return None
    return geometry((g.N, g.O, g.OH, g.OW), (g.C, g.OG, kh, kw), (g.N, g.C, g.H, g.W), (1, 1), (ph, pw), (dh, dw),
                    g.G, g.size)


@jit
def _grad_input(start, stop, parts, units, dy, w, dx, work, sizes, offsets, together, matrix_bytes, slot):
    for part in range(start, stop):
        call(grad_input_part, (dx.dtype.type(0), part, parts, units, address(dy), address(w), address(dx),
                               aligned(work),
                               address(sizes), address(offsets), together, matrix_bytes, slot))


@intrinsic
def _emitted_grad_input(typingctx, like, part, parts, units, dy, w, dx, work, sizes, offsets, together, matrix_bytes,
                        slot):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_grad_input_part(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 12), codegen


@native("number", *["int"] * 12)
def grad_input_part(like, part, parts, units, dy, w, dx, work, sizes, offsets, together, matrix_bytes, slot):
    _emitted_grad_input(like, part, parts, units, dy, w, dx, work, sizes, offsets, together, matrix_bytes, slot)


def emit_grad_input_part(e, part, parts, units, dy, w, dx, work, sizes, offsets, together, matrix_bytes, slot):
    """The share of one part of all blocks of channels of all samples and groups."""
    s, size = Sizes(e, sizes), e.item_bytes
    blocks = (s.CG + together - 1) // together
    matrix = work + part * slot
    frame = matrix + matrix_bytes
    one, zero = e.number(1.0), e.number(0.0)
    with e.range(units * part // parts, units * (part + 1) // parts) as unit:
        sample = unit // blocks
        c = (unit - sample * blocks) * together
        count = e.smaller(together, s.CG - c)
        rows = count * s.taps
        weights = w + ((sample - sample // s.G * s.G) * s.OG * s.K + c * s.taps) * size
        e.call(e.function(product), rows, s.P, s.OG, 0, rows, 0, s.P, weights, size, s.K * size,
               dy + sample * s.OG * s.P * size, s.P * size, size, matrix, s.P * size, size, one, zero, 0, 0, 0)
        emit_clear(e, frame, frame + count * s.plane)
        _emit_fold(e, matrix, rows, offsets, s, frame)
        e.call(e.function(drain_frame), one, frame, count, s.H, s.W, s.ph, s.pw, s.sw, s.width, s.plane,
               dx + (sample * s.CG + c) * s.H * s.W * size)


def _emit_fold(e, matrix, rows, offsets, s, frame):
    """Add each row of a matrix (rows, OH * OW) to the places in a frame that its tap sees."""
    size, whole = e.item_bytes, s.OW // e.lanes * e.lanes
    with e.range(0, rows) as t:
        first = frame + integer_at(e, offsets + t * 8)
        with e.range(0, s.OH) as oh:
            out, here = first + oh * s.window_row, matrix + (t * s.P + oh * s.OW) * size
            with e.range(0, whole, e.lanes) as ow:
                e.store(e.load(out + ow * size) + e.load(here + ow * size), out + ow * size)
            with e.when(whole < s.OW):  # past the end zeros are added
                there = out + whole * size
                e.store(e.load(there) + e.load(here + whole * size, e.mask(s.OW - whole)), there)


# -- gradient of the weight ----------------------------------------------------------------------

def acc_grad_parameters(g, x, dy, dw, db, scale):
    """dw and db <- themselves + scale times the gradients of w and b."""
    vector = VECTOR_BYTES // g.size
    wide = _wide(g.K, g.OG, vector)
    R, _, W = _tile(wide, vector)
    tiles, panels = -(-g.K // R), -(-g.OG // W)
    by_rows = tiles >= panels
    units = g.G * (tiles if by_rows else panels)
    parts = _parts(g, units)
    lines = max(1, min(g.OH, _TURNED // g.OW))  # rows of windows that are turned together
    turned = rounded((lines * g.OW + 2 * vector) * W * g.size + SLACK, 64)
    shared = rounded(g.G * panels * g.K * W * g.size + SLACK, 64)
    slot = turned + g.frame_bytes(g.CG)
    work = _scratch(shared, slot, parts)
    threads.run(_grad_parameters, parts, 1, parts, units, x, dy, dw, db, work, g.numbers, g.offsets, scale, wide,
                by_rows, lines, shared, slot, turned)


@jit
def _grad_parameters(start, stop, parts, units, x, dy, dw, db, work, sizes, offsets, scale, wide, by_rows, lines,
                     shared, slot, turned_bytes):
    for part in range(start, stop):
        call(grad_parameters_part, (dw.dtype.type(scale), part, parts, units, address(x), address(dy), address(dw),
                                    address(db) if db.size else 0, aligned(work), address(sizes), address(offsets),
                                    wide, by_rows, lines, shared, slot, turned_bytes))


@intrinsic
def _emitted_grad_parameters(typingctx, factor, part, parts, units, x, dy, dw, db, work, sizes, offsets, wide, by_rows,
                             lines, shared, slot, turned_bytes):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, factor)
        emit_grad_parameters_part(e, *e.values(args))
        return context.get_dummy_value()

    return types.void(factor, *[types.intp] * 16), codegen


@native("number", *["int"] * 16)
def grad_parameters_part(factor, part, parts, units, x, dy, dw, db, work, sizes, offsets, wide, by_rows, lines, shared,
                         slot, turned_bytes):
    _emitted_grad_parameters(factor, part, parts, units, x, dy, dw, db, work, sizes, offsets, wide, by_rows,
                             lines, shared,
                             slot, turned_bytes)


def emit_grad_parameters_part(e, factor, part, parts, units, x, dy, dw, db, work, sizes, offsets, wide, by_rows, lines,
                              shared, slot, turned_bytes):
    """The share of one part of the gradients: rows, or panels of columns, of some groups."""
    s, size, wide, by_rows = Sizes(e, sizes), e.item_bytes, wide.differs(0), by_rows.differs(0)
    R, _, vectors = _emit_shape(e, wide)
    columns, row = vectors * e.lanes, vectors * VECTOR_BYTES
    add_up = e.where(wide, e.function(wide_sums), e.function(tall_sums))
    panels = (s.OG + columns - 1) // columns
    per_group = e.where(by_rows, (s.K + R - 1) // R, panels)
    turned = work + shared + part * slot
    frame = turned + turned_bytes
    one = e.number(1.0)
    u0, u1 = units * part // parts, units * (part + 1) // parts
    with e.range(u0 // per_group, (u1 + per_group - 1) // per_group) as g:
        # This part's share of the group's gradient (K, O / groups): rows k0 .. k1 of panels j0 .. j1.
        low = e.larger(u0 - g * per_group, e.integer(0))
        high = e.smaller(u1 - g * per_group, per_group)
        k0, k1 = e.where(by_rows, low * R, 0), e.where(by_rows, e.smaller(high * R, s.K), s.K)
        j0, j1 = e.where(by_rows, 0, low), e.where(by_rows, panels, high)
        c0, c1 = k0 // s.taps, (k1 + s.taps - 1) // s.taps

        def sums(j):
            return work + ((g * panels + j) * s.K + k0) * row

        with e.range(j0, j1) as j:
            emit_clear(e, sums(j), sums(j) + (k1 - k0) * row)
        with e.range(0, s.N) as n:
            sample = n * s.G + g
            e.call(e.function(fill_frame), one, x + (sample * s.CG + c0) * s.H * s.W * size, c1 - c0, s.H, s.W, s.ph,
                   s.pw, s.sw, s.width, s.plane, frame + c0 * s.plane)
            with e.range(j0, j1) as j, e.range(0, s.OH, lines) as h:
                count = e.smaller(lines, s.OH - h)
                gradient = dy + ((sample * s.OG + j * columns) * s.P + h * s.OW) * size
                e.call(e.function(pack), one, gradient, size, s.P * size, turned, count * s.OW, columns,
                       e.smaller(columns, s.OG - j * columns))
                e.call(add_up, one, frame + h * s.window_row, offsets + k0 * 8, k1 - k0, count, s.OW, s.window_row,
                       turned, sums(j))
        with e.range(j0, j1) as j:
            emit_turn_and_add(e, factor, sums(j), row, k1 - k0, e.smaller(columns, s.OG - j * columns),
                              dw + ((g * s.OG + j * columns) * s.K + k0) * size, s.K * size)
    e.call(e.function(sum_planes), factor, dy, s.N, s.O, s.P, s.O * part // parts, s.O * (part + 1) // parts, db)


@intrinsic(prefer_literal=True)
def _emitted_sums(typingctx, like, rows, columns, frame, offsets, K, OH, OW, window_row, turned, out):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_sums(e, rows.literal_value, columns.literal_value, *e.values(args[3:]))
        return context.get_dummy_value()

    return types.void(like, rows, columns, *[types.intp] * 8), codegen


@native("number", *["int"] * 8)
def tall_sums(like, frame, offsets, K, OH, OW, window_row, turned, out):
    _emitted_sums(like, TALL_ROWS, TALL_COLUMNS, frame, offsets, K, OH, OW, window_row, turned, out)


@native("number", *["int"] * 8)
def wide_sums(like, frame, offsets, K, OH, OW, window_row, turned, out):
    _emitted_sums(like, WIDE_ROWS, WIDE_COLUMNS, frame, offsets, K, OH, OW, window_row, turned, out)


def emit_sums(e, rows, columns, frame, offsets, K, OH, OW, window_row, turned, out):
    """out[k] <- itself + the sum over windows (oh, ow) of tap k's element times turned[oh, ow], for K taps.

    A row of out, and of turned, is *columns* vectors.
    """
    row = columns * e.vector_bytes
    tile = [(i, j) for i in range(rows) for j in range(columns)]
    with e.range(0, K, rows) as k:
        valid = K - k
        taps = [integer_at(e, offsets + (k + e.smaller(valid - 1, i)) * 8) for i in range(rows)]

        def window(here, there, sums):
            there = e.unknown(there)  # LLVM leaves the loop as it is; two windows at a time do not fit into registers
            right = [e.load(there + j * e.vector_bytes) for j in range(columns)]
            left = [e.broadcast(e.get(here + tap)) for tap in taps]
            return (here + e.item_bytes, there + row,
                    [e.fma(left[i], right[j], total) for (i, j), total in zip(tile, sums)])

        def line(here, there, sums):
            _, there, sums = e.loop(OW, window, here, there, sums)
            return here + window_row, there, sums

        _, _, sums = e.loop(OH, line, frame, turned, [e.zero() for _ in tile])
        for i in range(rows):
            with e.when(valid > i):
                for j in range(columns):
                    place = out + (k + i) * row + j * e.vector_bytes
                    e.store(e.load(place) + sums[i * columns + j], place)


def emit_turn_and_add(e, factor, sums, row, K, O, dw, dw_row):
    """dw (O, K) <- itself + factor times the transpose of sums (K, O)."""
    scale = e.broadcast(factor)
    with e.range(0, O, e.lanes) as o, e.range(0, K, e.lanes) as k:
        here = sums + k * row + o * e.item_bytes
        squares = e.transpose([e.load(here + e.smaller(K - k - 1, i) * row) for i in range(e.lanes)])
        mask = e.mask(K - k)
        for i, vector in enumerate(squares):
            with e.when(O - o > i):
                place = dw + (o + i) * dw_row + k * e.item_bytes
                e.store(e.fma(scale, vector, e.load(place, mask)), place, mask)
