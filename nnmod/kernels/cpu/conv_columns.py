"""Convolution as matrix products: method "im2col".

Output.  y (O, P) = w (O, K) times the matrix of what each window sees (K, P).  That matrix is
never laid out: a panel of it, some vectors of windows wide, is gathered from the frame just
before the tiles of tiles.py pass over it, with a row of ones below that meets the bias.

Gradient of the input.  With stride 1 it is such a convolution itself, of dy with the kernels
turned round.  Else, and where that means much more work, it is w^T (K, O) times dy (O, P),
some channels at a time, each element added to the place in a frame that its window saw.

Gradient of the weight.  Its transpose (K, O) is summed over windows and samples, in tiles
whose rows read the frame where it lies; at the end it is turned and added.

Threads take panels, blocks of channels, or rows or columns of the gradient: every element is
computed by one thread, in an order that does not depend on how many there are.
"""
from numba import types
from numba.extending import intrinsic

from . import threads
from .compile import call, inline, jit, native
from .conv_frame import (SLACK, drain_frame, fill_frame, geometry, get_integer, integer_at, numbers, put_integer,
                         put_zeros, rounded)
from .gemm import _pack as pack
from .gemm import multiply
from .simd import (VECTOR_BITS, VECTOR_BYTES, Emitter, address, broadcast, lanes, load, load_part, put, store)
from .tiles import TALL_COLUMNS, TALL_ROWS, WIDE_COLUMNS, WIDE_ROWS, tall_tile, wide_tile

#: A panel is so many rows deep at most.
DEPTH = 512
#: Channels of the gradient of the input are computed together up to so many bytes of their matrix.
_FOLD_BYTES = 192 * 1024
#: Windows whose gradients are turned into vectors at a time.
_TURNED = 256
_COPIES_BYTES = 1024
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


@inline
def _aligned(work):
    return (address(work) + 63) // 64 * 64


# -- output --------------------------------------------------------------------------------------

def update_output(g, x, w, b, y):
    """y <- the convolution of x with w, plus b (empty: without)."""
    _convolve(g, x, w, b, y, False)


def _convolve(g, x, w, b, y, turned):
    """As update_output; *turned*: w is (C, O / groups, kh, kw), and each kernel is taken backwards."""
    vector = VECTOR_BYTES // g.size
    wide = _wide(g.OG, g.P, vector)
    R, RP, W = _tile(wide, vector)
    tiles = -(-g.OG // R)
    tile_bytes = (rounded(g.K + 1, 16) + 16) * RP * g.size
    shared = rounded(g.G * tiles * tile_bytes + SLACK, 64)
    panel_bytes = rounded((min(DEPTH, g.K) + 1) * W * g.size + SLACK, 64)
    slot = g.frame_bytes(g.CG) + panel_bytes + _COPIES_BYTES
    units = g.N * g.G * -(-g.P // W)
    parts = _parts(g, units)
    work = _scratch(shared, slot, parts)
    threads.run(_pack_weights, g.G * tiles, threads.grain(g.K * R, threads.ELEMENTS_PER_THREAD), w, b, work, g.numbers,
                turned, R, RP, tile_bytes)
    threads.run(_output, parts, 1, parts, units, x, b, y, work, g.numbers, g.offsets, wide, tile_bytes, shared, slot,
                panel_bytes)


@jit
def _pack_weights(start, stop, w, b, work, sizes, turned, R, RP, tile_bytes):
    """Tiles of all groups: R rows of w side by side, and the bias below."""
    N, C, H, W, O, OH, OW, G, CG, OG, K, P, ph, pw, sw, width, plane, window_row, taps = numbers(sizes)
    zero, size = w.dtype.type(0), w.itemsize
    tiles = (OG + R - 1) // R
    for unit in range(start, stop):
        o = unit // tiles * OG + unit % tiles * R
        valid = min(R, OG - unit % tiles * R)
        out = _aligned(work) + unit * tile_bytes
        if turned:
            g, c = o // OG, o % OG
            for plane_ in range(CG):
                kernel = ((g * CG + plane_) * OG + c + 1) * taps - 1
                call(pack, (zero, address(w) + kernel * size, -size, taps * size, out + plane_ * taps * RP * size,
                            taps, RP, valid))
        else:
            call(pack, (zero, address(w) + o * K * size, size, K * size, out, K, RP, valid))
        if b.size:
            for i in range(valid):
                put(b[o + i], out + (K * RP + i) * size)


@jit
def _output(start, stop, parts, units, x, b, y, work, sizes, offsets, wide, tile_bytes, shared, slot, panel_bytes):
    N, C, H, W, O, OH, OW, G, CG, OG, K, P, ph, pw, sw, width, plane, window_row, taps = numbers(sizes)
    zero, one, size, step = x.dtype.type(0), x.dtype.type(1), x.itemsize, lanes(x.dtype.type(0))
    R, columns = (WIDE_ROWS, WIDE_COLUMNS) if wide else (TALL_ROWS, TALL_COLUMNS)
    RP = R if R <= step else (R + step - 1) // step * step
    columns *= step
    panels = (P + columns - 1) // columns
    tiles = (OG + R - 1) // R
    whole = OG // R
    pieces = (K + DEPTH - 1) // DEPTH
    depth = (K + pieces - 1) // pieces
    for part in range(start, stop):
        panel = _aligned(work) + shared + part * slot
        copies = panel + panel_bytes
        frame = copies + _COPIES_BYTES
        unit, end = units * part // parts, units * (part + 1) // parts
        while unit < end:
            sample = unit // panels  # and its group
            first = unit - sample * panels
            last = min(panels, end - sample * panels)
            unit = sample * panels + last
            g = sample % G
            call(fill_frame, (zero, address(x) + sample * CG * H * W * size, CG, H, W, ph, pw, sw, width, plane, frame))
            weights = _aligned(work) + g * tiles * tile_bytes
            out = address(y) + sample * OG * P * size
            for k in range(0, K, depth):
                length = min(depth, K - k)
                rows = length + 1 if b.size and k + length == K else length
                for p in range(first * columns, min(last * columns, P), columns):
                    count = min(columns, P - p)
                    n = _list_copies(p, count, OW, window_row, size, step, frame, copies)
                    call(pack_columns, (zero, address(offsets) + 8 * k, length, copies, n, columns // step, panel))
                    if rows > length:
                        for v in range(0, columns, step):
                            store(broadcast(one), panel + (length * columns + v) * size)
                    beta = zero if k == 0 else one
                    a, c = weights + k * RP * size, out + p * size
                    args = (rows, a, size, RP * size, panel, columns * size, c, P * size, R, count, whole,
                            tile_bytes, 0, R * P * size, one, beta, 0)
                    edge = (rows, a + whole * tile_bytes, size, RP * size, panel, columns * size,
                            c + whole * R * P * size, P * size, OG - whole * R, count, 1, 0, 0, 0, one, beta, 0)
                    if wide:
                        call(wide_tile, args)
                        if whole < tiles:
                            call(wide_tile, edge)
                    else:
                        call(tall_tile, args)
                        if whole < tiles:
                            call(tall_tile, edge)


@inline
def _list_copies(p, count, OW, window_row, size, step, frame, copies):
    """Which vectors of a frame a panel consists of: (from, to), for tap offset 0 and row 0; their number.

    One run for each row of windows, in vectors; the last may reach into the next run.
    """
    n, lane = 0, 0
    while lane < count:
        oh = (p + lane) // OW
        ow = p + lane - oh * OW
        run = min(OW - ow, count - lane)
        here = frame + oh * window_row + ow * size
        for v in range(0, run, step):
            put_integer(here + v * size, copies + 16 * n)
            put_integer((lane + v) * size, copies + 16 * n + 8)
            n += 1
        lane += run
    return n


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
        _convolve(back, dy, w, nothing, dx, True)
        return
    taps = g.K // g.CG
    together = max(1, min(g.CG, _FOLD_BYTES // (taps * g.P * g.size)))  # channels
    together = -(-g.CG // -(-g.CG // together))
    matrix = rounded(together * taps * g.P * g.size + SLACK, 64)
    slot = matrix + g.frame_bytes(together)
    units = g.N * g.G * -(-g.CG // together)
    parts = _parts(g, units)
    work = _scratch(0, slot, parts)
    threads.run(_grad_input, parts, 1, parts, units, dy, w, dx, work, g.numbers, g.offsets, together, matrix, slot)


def as_convolution(g):
    """The geometry of the convolution that leads from dy to dx, or None where the other way is better."""
    (sh, sw), (dh, dw), (kh, kw) = g.stride, g.dilation, g.kernel
    ph, pw = dh * (kh - 1) - g.ph, dw * (kw - 1) - g.pw
    if (sh, sw) != (1, 1) or ph < 0 or pw < 0 or g.H * g.W > _MORE_WORK * g.P:
        return None
    return geometry((g.N, g.O, g.OH, g.OW), (g.C, g.OG, kh, kw), (g.N, g.C, g.H, g.W), (1, 1), (ph, pw), (dh, dw),
                    g.G, g.size)


@jit
def _grad_input(start, stop, parts, units, dy, w, dx, work, sizes, offsets, together, matrix_bytes, slot):
    N, C, H, W, O, OH, OW, G, CG, OG, K, P, ph, pw, sw, width, plane, window_row, taps = numbers(sizes)
    zero, one, size = dx.dtype.type(0), dx.dtype.type(1), dx.itemsize
    blocks = (CG + together - 1) // together
    for part in range(start, stop):
        matrix = _aligned(work) + part * slot
        frame = matrix + matrix_bytes
        for unit in range(units * part // parts, units * (part + 1) // parts):
            sample, c = unit // blocks, unit % blocks * together
            count = min(together, CG - c)
            rows = count * taps
            weights = address(w) + (sample % G * OG * K + c * taps) * size
            multiply(rows, P, OG, 0, rows, 0, P, weights, size, K * size,
                     address(dy) + sample * OG * P * size, P * size, size, matrix, P * size, size,
                     one, zero, 0, 0, 0)
            put_zeros(zero, frame, frame + count * plane)
            call(fold, (zero, matrix, rows, address(offsets), OH, OW, window_row, frame))
            call(drain_frame, (zero, frame, count, H, W, ph, pw, sw, width, plane,
                               address(dx) + (sample * CG + c) * H * W * size))


@native("number", *["int"] * 7)
def fold(zero, matrix, rows, offsets, OH, OW, window_row, frame):
    """Add each row of a matrix (rows, OH * OW) to the places in a frame that its tap sees."""
    step = lanes(zero)
    size = VECTOR_BYTES // step
    for t in range(rows):
        out = frame + get_integer(offsets + 8 * t)
        for oh in range(OH):
            ow = 0
            while ow + step <= OW:
                store(load(zero, out + ow * size) + load(zero, matrix + ow * size), out + ow * size)
                ow += step
            if ow < OW:  # past the end zeros are added
                store(load(zero, out + ow * size) + load_part(zero, matrix + ow * size, OW - ow), out + ow * size)
            out += window_row
            matrix += OW * size


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
    N, C, H, W, O, OH, OW, G, CG, OG, K, P, ph, pw, sw, width, plane, window_row, taps = numbers(sizes)
    zero, size, step = x.dtype.type(0), x.itemsize, lanes(x.dtype.type(0))
    factor = x.dtype.type(scale)
    R, columns = (WIDE_ROWS, WIDE_COLUMNS) if wide else (TALL_ROWS, TALL_COLUMNS)
    columns *= step
    tiles, panels = (K + R - 1) // R, (OG + columns - 1) // columns
    per_group = tiles if by_rows else panels
    row = columns * size
    for part in range(start, stop):
        turned = _aligned(work) + shared + part * slot
        frame = turned + turned_bytes
        u0, u1 = units * part // parts, units * (part + 1) // parts
        for g in range(u0 // per_group, (u1 + per_group - 1) // per_group):
            # This part's share of the group's gradient (K, O / groups): rows k0 .. k1 of panels j0 .. j1.
            low, high = max(u0 - g * per_group, 0), min(u1 - g * per_group, per_group)
            k0, k1, j0, j1 = 0, K, low, high
            if by_rows:
                k0, k1, j0, j1 = low * R, min(high * R, K), 0, panels
            sums = _aligned(work) + g * panels * K * row
            c0, c1 = k0 // taps, (k1 + taps - 1) // taps
            for j in range(j0, j1):
                put_zeros(zero, sums + (j * K + k0) * row, sums + (j * K + k1) * row)
            for n in range(N):
                source = address(x) + ((n * G + g) * CG + c0) * H * W * size
                call(fill_frame, (zero, source, c1 - c0, H, W, ph, pw, sw, width, plane, frame + c0 * plane))
                for j in range(j0, j1):
                    for h in range(0, OH, lines):
                        count = min(lines, OH - h)
                        gradient = address(dy) + (((n * G + g) * OG + j * columns) * P + h * OW) * size
                        call(pack, (zero, gradient, size, P * size, turned, count * OW, columns,
                                    min(columns, OG - j * columns)))
                        args = (zero, frame + h * window_row, address(offsets) + 8 * k0, k1 - k0, count, OW, window_row,
                                turned, sums + (j * K + k0) * row)
                        if wide:
                            call(wide_sums, args)
                        else:
                            call(tall_sums, args)
            for j in range(j0, j1):
                o = g * OG + j * columns
                call(turn_and_add, (factor, sums + (j * K + k0) * row, row, k1 - k0, min(columns, OG - j * columns),
                                    address(dw) + (o * K + k0) * size, K * size))
        if db.size:
            for o in range(O * part // parts, O * (part + 1) // parts):
                total = zero
                for n in range(N):
                    line = dy[n, o].reshape(P)
                    plane_total = zero
                    for p in range(P):
                        plane_total += line[p]
                    total += plane_total
                db[o] += factor * total


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


@intrinsic
def _emitted_turn(typingctx, factor, sums, row, K, O, dw, dw_row):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, factor)
        emit_turn_and_add(e, *e.values(args))
        return context.get_dummy_value()

    return types.void(factor, *[types.intp] * 6), codegen


@native("number", *["int"] * 6)
def turn_and_add(factor, sums, row, K, O, dw, dw_row):
    _emitted_turn(factor, sums, row, K, O, dw, dw_row)


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
