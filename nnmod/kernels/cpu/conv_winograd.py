"""Convolution by Winograd's minimal filtering: method "winograd", for 3x3 kernels with stride 1, in float32.

The output is cut into tiles of 4x4.  A tile's 6x6 patch of the input and the 3x3 kernel are
each turned into 36 numbers by sums and a few multiplications; there a convolution is 36
products, and summing over channels makes them 36 small matrix products, with 36 multiply-adds
to a tile and pair of channels instead of 144.  The sums come back through a third transform.
(Winograd, "Arithmetic complexity of computations", 1980; Lavin and Gray, "Fast algorithms for
convolutional neural networks", 2016.)

The gradient of the input is the same computation, with the kernel turned round and the planes
exchanged.  The gradient of the weight is its adjoint: the same 36 products with the roles changed.

Rounding is a little worse than a plain sum's, within 2e-5 of the largest output.  A NaN or an
infinity reaches every output that depends on it, and may reach, as NaN, others of the tiles
whose patches hold it.

Lanes are channels.  Memory, in this order:

    V  (36, tiles, channels)     the transformed patches of a group of tiles
    U  (panels, 36, channels, panel)  the transformed kernel, a panel being as wide as a tile of tiles.py
    M  (36, tiles, some panels)   the products

Threads take groups of tiles, or panels of the gradient of the weight: every number is computed
by one thread, in an order that does not depend on how many there are.
"""
import numpy as np
from numba import types
from numba.extending import intrinsic

from . import threads
from .compile import call, jit, native
from .conv_frame import SLACK, aligned, put_zeros, rounded, sum_planes
from .epilogue import finish, no_end
from .simd import VECTOR_BYTES, Emitter, address, lanes
from .tiles import TALL_COLUMNS, TALL_ROWS, emit_turn, tall_tile

#: Tiles of a group: enough for the products, few enough for the caches.
_TILES = 64
#: Panels of products that are transformed back together.
_TOGETHER = 2
_CELLS = 36
#: Weights are compared in blocks of so many.
_BLOCK = 4096
_SIDE = 6


def pays(g, kept=False):
    """Whether this method is expected to be faster than plain products; *kept*: with U of an earlier call.

    In multiply-adds of a vector, for each pair of planes: the products and the transforms of
    patches, products and kernels, with weights as measured.
    """
    tiles = g.N * -(-g.OH // 4) * -(-g.OW // 4)
    columns = TALL_COLUMNS * VECTOR_BYTES // g.size
    wasted = rounded(g.O, columns) / g.O
    return min(g.C, g.O) >= 8 and tiles * (2.9 * wasted + 16 / g.O + 18 / g.C) + (12 if kept else 40) < 0.65 * g.N * g.P


class Plan:
    """How one of the verbs is computed: sizes of the source and the target, groups of tiles, memory."""

    def __init__(self, planes, H, W, wanted, OH, OW, ph, pw, N, size):
        vector = VECTOR_BYTES // size
        self.columns = TALL_COLUMNS * vector
        self.planes, self.wanted, self.size = planes, wanted, size
        self.down, self.across = -(-OH // 4), -(-OW // 4)  # tiles of a sample
        self.rows = N * self.down
        self.together = min(self.rows, max(1, _TILES // self.across))  # rows of tiles in a group
        self.groups = -(-self.rows // self.together)
        self.panels = -(-wanted // self.columns)
        tiles = self.together * self.across
        # The 36 parts of V, U, M are a vector further apart than they are long: they would all
        # fall into the same places of the caches else.
        self.v_tile = rounded(planes, vector) * size
        self.v_cell = tiles * self.v_tile + VECTOR_BYTES
        self.m_tile = min(self.panels, _TOGETHER) * self.columns * size
        self.m_cell = tiles * self.m_tile + VECTOR_BYTES
        self.u_cell = planes * self.columns * size + VECTOR_BYTES
        self.u_panel = _CELLS * self.u_cell
        self.u_bytes = rounded(self.panels * self.u_panel + SLACK, 64)
        line = (4 * self.across + 2) * VECTOR_BYTES
        self.patch = rounded((4 * min(self.together, self.down) + 2) * line + vector * VECTOR_BYTES + SLACK, 64)
        self.v_bytes = rounded(_CELLS * self.v_cell + SLACK, 64)
        self.m_bytes = rounded(_CELLS * self.m_cell + SLACK, 64)
        self.strip = rounded(16 * (self.across + vector) * VECTOR_BYTES, 64)
        self.slot = self.patch + self.v_bytes + self.m_bytes + self.strip
        self.sizes = (planes, H, W, wanted, OH, OW, ph, pw, self.down, self.across, self.rows, self.together,
                      self.columns, self.v_tile, self.v_cell, self.m_tile, self.m_cell, self.u_cell, self.u_panel)


def _forward(g):
    return g.kept("winograd forward", lambda: Plan(g.C, g.H, g.W, g.O, g.OH, g.OW, g.ph, g.pw, g.N, g.size))


def _backward(g):
    return g.kept("winograd backward",
                  lambda: Plan(g.O, g.OH, g.OW, g.C, g.H, g.W, 2 - g.ph, 2 - g.pw, g.N, g.size))


def update_output(g, x, w, b, y, end, kept):
    """y <- the convolution of x with w, plus b (empty: without), and its *end*; U may be *kept*, see kept_size."""
    _correlate(_forward(g), x, w, b, y, 0, g.flops, end, kept)


def update_grad_input(g, dy, w, dx, nothing):
    """dx <- the gradient of x; *nothing* is an empty vector."""
    _correlate(_backward(g), dy, w, nothing, dx, 1, g.flops, no_end(dx), None)


def kept_size(g):
    """How many bytes hold U, a copy of the weights it was made of, and a byte that says they are there."""
    return 64 + _forward(g).u_bytes + g.O * g.K * g.size + 1


def _correlate(plan, x, w, b, y, turned, flops, end, kept):
    parts = max(1, min(threads.get_num_threads(), plan.groups, flops // (2 * threads.FLOPS_PER_THREAD)))
    square = rounded(2 * VECTOR_BYTES * plan.columns + SLACK, 64)
    slots = parts * max(plan.slot, square)
    if kept is None:
        before = plan.u_bytes
        u = work = threads.workspace(64 + before + slots)
    else:
        before, u, work = 0, kept, threads.workspace(64 + slots)
    if kept is None or not _still(w, kept, 64 + plan.u_bytes):
        threads.run(_kernels, plan.panels * plan.planes,
                    threads.grain(_CELLS * plan.columns, threads.ELEMENTS_PER_THREAD),
                    w, u, turned, plan.planes, plan.wanted, plan.columns, plan.u_cell, plan.u_panel)
    threads.run(_tiles, parts, 1, parts, plan.groups, x, b, y, u, work, before, plan.slot, plan.patch, plan.v_bytes,
                plan.m_bytes, plan.sizes, *end)


def _still(w, kept, start):
    """Whether the weights are, to the bit, those that U was made of; from now on they are."""
    if kept[-1]:
        # Any of the threads may find a difference; all would write the same byte.
        threads.run(_compare, w.size, threads.ELEMENTS_PER_THREAD, w, kept, start)
    if kept[-1]:
        return True
    kept[start:start + w.nbytes].view(w.dtype)[...] = w.reshape(-1)
    kept[-1] = 1
    return False


@jit
def _compare(start, stop, w, kept, offset):
    here = w.reshape(w.size).view(np.int32)
    there = kept[offset:offset + 4 * w.size].view(np.int32)
    for first in range(start, stop, _BLOCK):
        a, b = here[first:min(stop, first + _BLOCK)], there[first:min(stop, first + _BLOCK)]
        different = np.int32(0)
        for i in range(a.size):
            different |= a[i] ^ b[i]
        if different:
            kept[kept.size - 1] = 0
            return


@jit
def _kernels(start, stop, w, work, turned, planes, wanted, columns, u_cell, u_panel):
    """U for the planes *start* .. *stop* of all panels; *turned*: w (planes, wanted, 3, 3), each kernel backwards."""
    zero, size = w.dtype.type(0), w.itemsize
    base = (address(w), planes * 9 * size, 9 * size)
    if turned:
        base = (address(w), 9 * size, wanted * 9 * size)
    source, across, along = base
    out = aligned(work)
    for unit in range(start, stop):
        panel, c = unit // planes, unit % planes
        o = panel * columns
        call(transform_kernels, (zero, source + o * across + c * along, across, min(columns, wanted - o), turned,
                                 out + panel * u_panel + c * columns * size, u_cell))


@jit
def _tiles(start, stop, parts, groups, x, b, y, transformed, work, before, slot, patch_bytes, v_bytes, m_bytes, sizes,
           norm, activation, low, high):
    (planes, H, W, wanted, OH, OW, ph, pw, down, across, rows, together, columns, v_tile, v_cell, m_tile, m_cell,
     u_cell, u_panel) = sizes
    zero, one, size, step = x.dtype.type(0), x.dtype.type(1), x.itemsize, lanes(x.dtype.type(0))
    u = aligned(transformed)
    panels = (wanted + columns - 1) // columns
    for part in range(start, stop):
        patch = aligned(work) + before + part * slot
        v = patch + patch_bytes
        m = v + v_bytes
        strip = m + m_bytes
        for group in range(groups * part // parts, groups * (part + 1) // parts):
            first, last = group * together, min((group + 1) * together, rows)
            call(transform_rows, (zero, address(x), planes, H, W, ph, pw, down, across, first, last, 0, patch,
                                  v, v_tile,
                                  v_cell))
            tiles = (last - first) * across
            whole = tiles // TALL_ROWS
            rest = tiles - whole * TALL_ROWS
            for j in range(0, panels, _TOGETHER):
                for cell in range(_CELLS):
                    for panel in range(j, min(panels, j + _TOGETHER)):
                        a, c = v + cell * v_cell, m + cell * m_cell + (panel - j) * columns * size
                        kernel = u + panel * u_panel + cell * u_cell
                        call(tall_tile, (planes, a, v_tile, size, kernel, columns * size, c, m_tile, TALL_ROWS, columns,
                                         whole, TALL_ROWS * v_tile, 0, TALL_ROWS * m_tile, one, zero, 0))
                        if rest:
                            call(tall_tile, (planes, a + whole * TALL_ROWS * v_tile, v_tile, size, kernel,
                                             columns * size, c + whole * TALL_ROWS * m_tile, m_tile, rest, columns,
                                             1, 0, 0, 0, one, zero, 0))
                for o in range(j * columns, min(wanted, (j + _TOGETHER) * columns), step):
                    here = m + (o - j * columns) * size
                    for row in range(first, last):
                        n, line = row // down, row % down
                        call(transform_back, (zero, here + (row - first) * across * m_tile, m_tile, m_cell, across,
                                              address(b) + o * size if b.size else 0, min(step, wanted - o), strip,
                                              address(y) + (((n * wanted + o) * OH + 4 * line) * OW) * size,
                                              OW * size, OH * OW * size, min(4, OH - 4 * line), OW))
            row = first
            while row < last and (norm.size or activation):
                n, top = row // down, row % down
                high_row = min(down, top + last - row)
                here = address(y) + (n * wanted * OH + 4 * top) * OW * size
                call(finish, (x.dtype.type(low), x.dtype.type(high), here, wanted, OH * OW * size,
                              (min(OH, 4 * high_row) - 4 * top) * OW, address(norm) if norm.size else 0,
                              wanted, 0, activation))
                row += high_row - top


# -- the gradient of the weight ---------------------------------------------------------------------

def acc_grad_parameters(g, x, dy, dw, db, scale):
    """dw <- itself + scale times the gradient of w; db alike, unless it is empty."""
    plan = _forward(g)
    panels = plan.panels
    parts = max(1, min(threads.get_num_threads(), panels, g.flops // (2 * threads.FLOPS_PER_THREAD)))
    # Q has the place of M, with as many panels as a part has.
    most = -(-panels // parts)
    q_tile = most * plan.columns * plan.size
    q_cell = plan.together * plan.across * q_tile + VECTOR_BYTES
    slot = plan.patch + plan.v_bytes + rounded(_CELLS * q_cell + SLACK, 64) + 64 * VECTOR_BYTES
    work = threads.workspace(64 + plan.u_bytes + parts * slot)
    threads.run(_grad, parts, 1, parts, x, dy, dw, db, work, scale, plan.u_bytes, slot, plan.patch, plan.v_bytes,
                q_tile, q_cell, plan.sizes)


@jit
def _grad(start, stop, parts, x, dy, dw, db, work, scale, u_bytes, slot, patch_bytes, v_bytes, q_tile, q_cell, sizes):
    (planes, H, W, wanted, OH, OW, ph, pw, down, across, rows, together, columns, v_tile, v_cell, m_tile, m_cell,
     u_cell, u_panel) = sizes
    zero, one, size, step = x.dtype.type(0), x.dtype.type(1), x.itemsize, lanes(x.dtype.type(0))
    factor = x.dtype.type(scale)
    u = aligned(work)
    panels = (wanted + columns - 1) // columns
    whole = planes // TALL_ROWS
    for part in range(start, stop):
        patch = u + u_bytes + part * slot
        v = patch + patch_bytes
        q = v + v_bytes
        square = u + u_bytes + (part + 1) * slot - 64 * VECTOR_BYTES
        j0, j1 = panels * part // parts, panels * (part + 1) // parts
        o0, o1 = j0 * columns, min(wanted, j1 * columns)
        for first in range(0, rows, together):
            last = min(first + together, rows)
            tiles = (last - first) * across
            call(transform_rows, (zero, address(x), planes, H, W, ph, pw, down, across, first, last, 0, patch,
                                  v, v_tile,
                                  v_cell))
            # Of all planes of dy, those of this part.
            call(transform_rows, (zero, address(dy) + o0 * OH * OW * size, wanted, OH, OW, 0, 0, down, across,
                                  first, last,
                                  o1 - o0, patch, q, q_tile, q_cell))
            for panel in range(j0, j1):
                for cell in range(_CELLS):
                    out = u + panel * u_panel + cell * u_cell
                    b = q + cell * q_cell + (panel - j0) * columns * size
                    a = v + cell * v_cell
                    beta = zero if first == 0 else one
                    call(tall_tile, (tiles, a, size, v_tile, b, q_tile, out, columns * size, TALL_ROWS, columns,
                                     whole, TALL_ROWS * size, 0, TALL_ROWS * columns * size, one, beta, 0))
                    if whole * TALL_ROWS < planes:
                        call(tall_tile, (tiles, a + whole * TALL_ROWS * size, size, v_tile, b, q_tile,
                                         out + whole * TALL_ROWS * columns * size, columns * size,
                                         planes - whole * TALL_ROWS, columns, 1, 0, 0, 0, one, beta, 0))
        for panel in range(j0, j1):
            for c in range(planes):
                for o in range(panel * columns, min((panel + 1) * columns, wanted), step):
                    here = u + panel * u_panel + (c * columns + o - panel * columns) * size
                    call(transform_gradient, (factor, here, u_cell, min(step, wanted - o), square,
                                              address(dw) + (o * planes + c) * 9 * size, planes * 9 * size))
        if db.size:
            call(sum_planes, (factor, address(dy), dy.shape[0], wanted, OH * OW, o0, o1, address(db)))


# -- the transforms -----------------------------------------------------------------------------------

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
