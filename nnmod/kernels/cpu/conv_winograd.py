"""Convolution by Winograd's minimal filtering: method "winograd", for 3x3 and 5x5 kernels with stride 1, in float32.

The output is cut into tiles of 4x4.  A tile's patch of the input, 6x6 or 8x8, and the kernel are
each turned into as many numbers, 36 or 64, by sums and a few multiplications; there a convolution
is so many products, and summing over channels makes them 36 or 64 small matrix products: a tile
and pair of channels takes 36 multiply-adds instead of 144, or 64 instead of 400.  The sums come
back through a third transform.
(Winograd, "Arithmetic complexity of computations", 1980; Lavin and Gray, "Fast algorithms for
convolutional neural networks", 2016.)

The gradient of the input is the same computation, with the kernel turned round and the planes
exchanged; or its adjoint, where that has fewer tiles: they are then those of the output, and the
patches they come back as are added where they overlap.  The gradient of the weight is the other
adjoint: the same products with the roles changed.

Rounding is a little worse than a plain sum's, within 2e-5 of the largest output.  A NaN or an
infinity reaches every output that depends on it, and may reach, as NaN, others of the tiles
whose patches hold it.

Lanes are channels.  Memory:

    V  (cells, tiles, channels)     the transformed patches of a group of tiles, with 36 or 64 cells
    U  (panels, cells, channels, panel)  the transformed kernel, a panel being as wide as a tile of tiles.py
    M  (cells, tiles, some panels)   the products

The transforms move more than they compute, so groups are of a size that leaves V and M in a
near cache while all of U passes by.  Where all tiles are one group, as in the deep layers of a
network, U is what is large: its panels are then made, used and forgotten one after the other.

Threads take groups of tiles, or panels where there is one group, and in the gradient of the
weight: every number is computed by one thread, in an order that does not depend on how many
there are.
"""
import numpy as np
from numba import types
from numba.extending import intrinsic

from . import threads
from .compile import call, inline, jit, native
from .conv_frame import SLACK, aligned, put_zeros, rounded, sum_planes
from .epilogue import finish, no_end
from .simd import VECTOR_BYTES, Emitter, address, lanes
from .tiles import TALL_COLUMNS, TALL_ROWS, WIDE_COLUMNS, WIDE_ROWS, tall_tile, wide_tile
from .winograd_transforms import (gather_kernels_of_3, gather_kernels_of_5, overlap_from_6, overlap_from_8, put_lines,
                                  transform_back_from_6, transform_back_from_8, transform_kernels_of_3,
                                  transform_kernels_of_5, transform_rows)

#: Tiles of a group: enough for the products, few enough for the caches, and whole tiles of tiles.py.
_TILES = 48
#: Up to so many tiles are one group.
_ONE_GROUP = 64
#: One group is divided over threads where their tiles together take at most so many times their number.
_FULL = 1.2
#: The gradient of the weight reads and writes all of U for each group: V and Q, the transformed
#: gradients, are to be of this size together, within these limits; of a U beyond a cache, many tiles.
_GRADIENT_BYTES = 1_200_000
_GRADIENT_TILES = 24, 64
_LARGE_U = 16_000_000
#: Panels of products that are transformed back together.
_TOGETHER = 2
#: Sums are cut into parts of so many, which are then added: they round less than long ones.  Shorter ones for 5x5
#: kernels, whose transforms make more of an error.
_DEPTH, _DEPTH_OF_5 = 256, 64
#: The input's gradient takes the output's tiles if the input has so many times more.
_FEWER = 1.2
#: What is done to the weights: nothing (0), planes exchanged and kernels backwards, or planes exchanged alone.
_BACKWARDS, _EXCHANGED = 1, 2
#: Weights are compared in blocks of so many.
_BLOCK = 4096


#: What pays reckons with, for each width of kernels: the fewest planes, and multiply-adds, as measured, for a tile's
#: products, its transforms there and back, the transforms of a kernel, kept or not, and a call.
_COSTS = {3: (8, 40, 222, 249, 415, 554, 0), 5: (6, 71, 500, 350, 740, 1100, 400_000)}


def pays(g, kept=False):
    """Whether this method is expected to be faster than plain products; *kept*: with U of an earlier call.

    It reckons in multiply-adds for each pair of planes.
    """
    fewest, product, there, back, of_kept, of_kernel, of_call = _COSTS[g.kernel[0]]
    tiles = g.N * -(-g.OH // 4) * -(-g.OW // 4)
    columns = TALL_COLUMNS * VECTOR_BYTES // g.size
    wasted = rounded(g.O, columns) / g.O
    cost = tiles * (product * wasted + there / g.O + back / g.C) + (of_kept if kept else of_kernel)
    return min(g.C, g.O) >= fewest and cost + of_call / (g.C * g.O) < g.taps * g.N * g.P


class Plan:
    """How one of the verbs is computed: sizes of the source and the target, groups of tiles, memory.

    Tiles are those of the target, or, with *overlapping*, of the source, and groups then whole samples.
    """

    def __init__(self, kernel, planes, H, W, wanted, OH, OW, ph, pw, N, size, gradient=False, groups=1,
                 overlapping=False):
        side = kernel + 3  # of a patch
        self.cells = cells = side * side
        vector = VECTOR_BYTES // size
        # The tile of tiles.py that wastes fewer columns.
        self.columns = min((TALL_COLUMNS * vector, WIDE_COLUMNS * vector), key=lambda width: rounded(wanted, width))
        self.planes, self.wanted, self.size = planes, wanted, size
        self.down, self.across = (-(-n // 4) for n in ((H, W) if overlapping else (OH, OW)))  # tiles of a sample
        self.rows = N * self.down
        most = _TILES
        if self.rows * self.across <= _ONE_GROUP:
            most = _ONE_GROUP
        elif gradient:
            fewest, most = _GRADIENT_TILES
            if cells * planes * wanted * size < _LARGE_U:
                most = min(most, max(fewest, _GRADIENT_BYTES // (cells * (planes + wanted) * size)))
        self.together = min(-(-self.rows // groups), max(1, most // self.across))  # rows of tiles in a group
        if overlapping:
            self.together = max(1, self.together // self.down) * self.down
        self.groups = -(-self.rows // self.together)
        self.panels = -(-wanted // self.columns)
        tiles = self.together * self.across
        # The cells of V, U, M are a vector further apart than they are long: they would all
        # fall into the same places of the caches else.
        self.v_tile = rounded(planes, vector) * size
        self.v_cell = tiles * self.v_tile + VECTOR_BYTES
        self.m_tile = min(self.panels, _TOGETHER) * self.columns * size
        self.m_cell = tiles * self.m_tile + VECTOR_BYTES
        self.u_cell = planes * self.columns * size + VECTOR_BYTES
        self.u_panel = cells * self.u_cell
        self.u_bytes = rounded(self.panels * self.u_panel + SLACK, 64)
        line = (4 * self.across + side - 4) * VECTOR_BYTES
        self.patch = rounded((4 * min(self.together, self.down) + side - 4) * line + vector * VECTOR_BYTES + SLACK, 64)
        self.v_bytes = rounded(cells * self.v_cell + SLACK, 64)
        self.m_bytes = rounded(cells * self.m_cell + SLACK, 64)
        self.strip = rounded(16 * (self.across + vector) * VECTOR_BYTES, 64)
        if overlapping:  # all lines of a sample's patches
            self.strip = rounded((4 * self.down + side - 4) * line + vector * VECTOR_BYTES, 64)
        self.slot = self.patch + self.v_bytes + self.m_bytes + self.strip
        self.sizes = (side, planes, H, W, wanted, OH, OW, ph, pw, self.down, self.across, self.rows, self.together,
                      self.columns, self.v_tile, self.v_cell, self.m_tile, self.m_cell, self.u_cell, self.u_panel)


def _forward(g, groups=1):
    return g.kept(("winograd forward", groups), lambda: Plan(g.kernel[0], g.C, g.H, g.W, g.O, g.OH, g.OW, g.ph, g.pw,
                                                             g.N, g.size, groups=groups))


def _backward(g):
    return g.kept("winograd backward",
                  lambda: Plan(g.kernel[0], g.O, g.OH, g.OW, g.C, g.H, g.W, g.kernel[0] - 1 - g.ph,
                               g.kernel[0] - 1 - g.pw, g.N, g.size))


def _overlapping(g):
    """The plan of the input's gradient with the output's tiles, or None: there are to be clearly fewer of them."""
    def make():
        fewer = -(-g.OH // 4) * -(-g.OW // 4)
        if fewer > _ONE_GROUP or _FEWER * fewer > -(-g.H // 4) * -(-g.W // 4):
            return (None,)
        return (Plan(g.kernel[0], g.O, g.OH, g.OW, g.C, g.H, g.W, g.ph, g.pw, g.N, g.size, overlapping=True),)

    plan, = g.kept("winograd overlapping", make)
    return plan


def _gradient(g):
    return g.kept("winograd gradient",
                  lambda: Plan(g.kernel[0], g.C, g.H, g.W, g.O, g.OH, g.OW, g.ph, g.pw, g.N, g.size, gradient=True))


def update_output(g, x, w, b, y, end, kept):
    """y <- the convolution of x with w, plus b (empty: without), and its *end*; U may be *kept*, see kept_size."""
    plan, most = _forward(g), _most(g.flops)
    if plan.groups == 1 and kept is not None and most > 1:
        # What threads write and others read is slow to come: a group of tiles for each, if that fills tiles.py's tiles.
        tiles = -(-plan.rows // most) * plan.across
        if most * rounded(tiles, TALL_ROWS) <= _FULL * plan.rows * plan.across:
            plan = _forward(g, most)
    _correlate(plan, x, w, b, y, 0, most, end, kept)


def update_grad_input(g, dy, w, dx, nothing):
    """dx <- the gradient of x; *nothing* is an empty vector."""
    plan, most = _overlapping(g), _most(g.flops)
    if plan is None:
        _correlate(_backward(g), dy, w, nothing, dx, _BACKWARDS, most, no_end(dx), None)
        return
    parts = max(1, min(most, plan.groups))
    work = threads.workspace(64 + plan.u_bytes + parts * plan.slot)
    _transform(plan, w, work, _EXCHANGED)
    threads.run(_overlaps, parts, 1, parts, plan.groups, dy, dx, work, plan.u_bytes, plan.slot, plan.patch,
                plan.v_bytes, plan.m_bytes, plan.sizes)


def _most(flops):
    """How many threads so much work of plain sums is worth."""
    return min(threads.get_num_threads(), flops // (2 * threads.FLOPS_PER_THREAD))


def kept_size(g):
    """How many bytes hold U, a copy of the weights it was made of, and a byte that says they are there."""
    return 64 + _forward(g).u_bytes + g.O * g.K * g.size + 1


def _correlate(plan, x, w, b, y, turned, most, end, kept):
    if kept is not None and not _still(w, kept, 64 + plan.u_bytes):
        _transform(plan, w, kept, turned)
    if plan.groups == 1:
        _in_panels(plan, x, w, b, y, turned, most, end, kept)
        return
    parts = max(1, min(most, plan.groups))
    before = plan.u_bytes if kept is None else 0
    work = threads.workspace(64 + before + parts * plan.slot)
    if kept is None:
        _transform(plan, w, work, turned)
    threads.run(_tiles, parts, 1, parts, plan.groups, x, b, y, work if kept is None else kept, work, before, plan.slot,
                plan.patch, plan.v_bytes, plan.m_bytes, plan.sizes, *end)


def _transform(plan, w, u, turned):
    """All of U."""
    grain = threads.grain(plan.cells * plan.columns, threads.ELEMENTS_PER_THREAD)
    threads.run(_kernels, plan.panels * plan.planes, grain, w, u, turned, plan.planes, plan.wanted, plan.columns,
                plan.u_cell, plan.u_panel)


def _in_panels(plan, x, w, b, y, turned, most, end, kept):
    """All tiles in one group: V first, then a few panels at a time, with the U of a thread's own unless it is kept."""
    parts = max(1, min(most, -(-plan.panels // _TOGETHER)))
    own = rounded(min(plan.panels, _TOGETHER) * plan.u_panel + SLACK, 64)
    slot = rounded(max(plan.patch, own + plan.m_bytes + plan.strip), 64)
    work = threads.workspace(64 + plan.v_bytes + parts * slot)
    threads.run(_patches, parts, 1, parts, x, work, plan.v_bytes, slot, plan.sizes)
    threads.run(_panels, parts, 1, parts, w, b, y, turned, work[:0] if kept is None else kept, work, plan.v_bytes, slot,
                own, plan.m_bytes, plan.sizes, *end)


def _still(w, kept, start):
    """Whether the weights are, to the bit, those that U was made of; from now on they are."""
    if kept[-1]:
        # Any of the threads may find a difference; all would write the same byte.
        threads.run(_compare, w.size, threads.grain(2, threads.ELEMENTS_PER_THREAD), w, kept, start)
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


@inline
def _kernel_panel(w, out, panel, c, turned, planes, wanted, columns, u_cell):
    """U of plane c in a panel, from out on; *turned*: w is (planes, wanted, r, r)."""
    zero, size, o = w.dtype.type(0), w.itemsize, panel * columns
    one = w.shape[2] * w.shape[3] * size
    across, along = (one, wanted * one) if turned else (planes * one, one)
    source, out = address(w) + o * across + c * along, out + c * columns * size
    arguments = (zero, source, across, min(columns, wanted - o), turned == _BACKWARDS, out, u_cell)
    if w.shape[2] == 3:
        call(transform_kernels_of_3, arguments)
    else:
        call(transform_kernels_of_5, arguments)


@jit
def _kernels(start, stop, w, work, turned, planes, wanted, columns, u_cell, u_panel):
    """U for the planes *start* .. *stop* of all panels."""
    out = aligned(work)
    for unit in range(start, stop):
        panel, c = unit // planes, unit % planes
        _kernel_panel(w, out + panel * u_panel, panel, c, turned, planes, wanted, columns, u_cell)


@intrinsic
def _emitted_cells(typingctx, beta, side, panels, rows, K, columns, a, a_cell, a_row, a_k, b, b_cell, b_panel, b_row,
                   c, c_cell, c_panel, c_row):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, beta)
        emit_multiply_cells(e, *e.values(args))
        return context.get_dummy_value()

    return types.void(beta, *[types.intp] * 17), codegen


@native("number", *["int"] * 17)
def multiply_cells(beta, side, panels, rows, K, columns, a, a_cell, a_row, a_k, b, b_cell, b_panel, b_row,
                   c, c_cell, c_panel, c_row):
    _emitted_cells(beta, side, panels, rows, K, columns, a, a_cell, a_row, a_k, b, b_cell, b_panel, b_row,
                   c, c_cell, c_panel, c_row)


def emit_multiply_cells(e, beta, side, panels, rows, K, columns, a, a_cell, a_row, a_k, b, b_cell, b_panel, b_row,
                        c, c_cell, c_panel, c_row):
    """c (rows, columns) <- a (rows, K) b (K, columns) + beta c for every cell and panel.

    columns  as many as a tile of tiles.py has, the wide one or the tall one
    """
    wide = columns.equals(WIDE_COLUMNS * e.lanes)
    tile = e.where(wide, e.function(wide_tile), e.function(tall_tile))
    R = e.where(wide, WIDE_ROWS, e.integer(TALL_ROWS))
    last = rows // R * R
    one, depth = e.number(1.0), e.where(side.equals(6), _DEPTH, e.integer(_DEPTH_OF_5))
    with e.range(0, side * side) as cell, e.range(0, panels) as panel, e.range(0, K, depth) as k:
        here = a + cell * a_cell + k * a_k
        there = b + cell * b_cell + panel * b_panel
        out = c + cell * c_cell + panel * c_panel
        keep = e.where(k.equals(0), beta, one)

        def tiles(first, valid, times):
            e.call(tile, e.smaller(depth, K - k), here + first * a_row, a_row, a_k, there + k * b_row, b_row,
                   out + first * c_row, c_row, valid, columns, times, R * a_row, 0, R * c_row, one, keep, 0)

        tiles(e.integer(0), R, rows // R)
        with e.when(last < rows):
            tiles(last, rows - last, 1)


@native("number", *["int"] * 24)
def multiply_panels(zero, side, v, u, m, strip, b, y, j, first, last, planes, wanted, OH, OW, down, across, columns,
                    v_tile, v_cell, m_tile, m_cell, u_cell, u_panel, stop):
    """The outputs of the rows *first* .. *last* of tiles, for the panels *j* .. *stop*; their U begins at u."""
    step = lanes(zero)
    size = VECTOR_BYTES // step
    call(multiply_cells, (zero, side, stop - j, (last - first) * across, planes, columns, v, v_cell, v_tile, size,
                          u, u_cell, u_panel, columns * size, m, m_cell, columns * size, m_tile))
    for o in range(j * columns, min(wanted, stop * columns), step):
        here = m + (o - j * columns) * size
        for row in range(first, last):
            n, line = row // down, row % down
            source, bias = here + (row - first) * across * m_tile, b + o * size if b else 0
            target = y + (((n * wanted + o) * OH + 4 * line) * OW) * size
            arguments = (zero, source, m_tile, m_cell, across, bias, min(step, wanted - o), strip, target,
                         OW * size, OH * OW * size, min(4, OH - 4 * line), OW)
            if side == 6:
                call(transform_back_from_6, arguments)
            else:
                call(transform_back_from_8, arguments)


@jit
def _tiles(start, stop, parts, groups, x, b, y, transformed, work, before, slot, patch_bytes, v_bytes, m_bytes, sizes,
           norm, activation, low, high):
    """Groups of tiles: V, then all panels of U."""
    (side, planes, H, W, wanted, OH, OW, ph, pw, down, across, rows, together, columns, v_tile, v_cell, m_tile, m_cell,
     u_cell, u_panel) = sizes
    zero, size = x.dtype.type(0), x.itemsize
    u = aligned(transformed)
    panels = (wanted + columns - 1) // columns
    for part in range(start, stop):
        patch = aligned(work) + before + part * slot
        v = patch + patch_bytes
        m = v + v_bytes
        strip = m + m_bytes
        for group in range(groups * part // parts, groups * (part + 1) // parts):
            first, last = group * together, min((group + 1) * together, rows)
            call(transform_rows, (zero, side, address(x), planes, H, W, ph, pw, down, across, first, last, 0, patch,
                                  v, v_tile, v_cell))
            for j in range(0, panels, _TOGETHER):
                call(multiply_panels, (zero, side, v, u + j * u_panel, m, strip, address(b) if b.size else 0,
                                       address(y), j, first, last, planes, wanted, OH, OW, down, across, columns,
                                       v_tile, v_cell, m_tile, m_cell, u_cell, u_panel, min(panels, j + _TOGETHER)))
            row = first
            while row < last and (norm.size or activation):
                n, top = row // down, row % down
                high_row = min(down, top + last - row)
                here = address(y) + (n * wanted * OH + 4 * top) * OW * size
                call(finish, (x.dtype.type(low), x.dtype.type(high), here, wanted, OH * OW * size,
                              (min(OH, 4 * high_row) - 4 * top) * OW, address(norm) if norm.size else 0,
                              wanted, 0, activation))
                row += high_row - top


@jit
def _patches(start, stop, parts, x, work, v_bytes, slot, sizes):
    """V of the only group."""
    (side, planes, H, W, wanted, OH, OW, ph, pw, down, across, rows, together, columns, v_tile, v_cell, m_tile, m_cell,
     u_cell, u_panel) = sizes
    zero, size, v = x.dtype.type(0), x.itemsize, aligned(work)
    for part in range(start, stop):
        patch = v + v_bytes + part * slot
        if rows == down:
            # Of one sample planes are shared out: the layer before has often been, and what another
            # processor has just written is slow to come.
            step = lanes(zero)
            vectors = (planes + step - 1) // step
            c, end = vectors * part // parts * step, min(planes, vectors * (part + 1) // parts * step)
            call(transform_rows, (zero, side, address(x) + c * H * W * size, end - c, H, W, ph, pw, down, across, 0,
                                  rows, 0, patch, v + c * size, v_tile, v_cell))
        else:
            first, last = rows * part // parts, rows * (part + 1) // parts
            call(transform_rows, (zero, side, address(x), planes, H, W, ph, pw, down, across, first, last, 0, patch,
                                  v + first * across * v_tile, v_tile, v_cell))


@jit
def _panels(start, stop, parts, w, b, y, turned, kept, work, v_bytes, slot, own, m_bytes, sizes,
            norm, activation, low, high):
    """The only group: all its tiles for a few panels, then for the next."""
    (side, planes, H, W, wanted, OH, OW, ph, pw, down, across, rows, together, columns, v_tile, v_cell, m_tile, m_cell,
     u_cell, u_panel) = sizes
    zero, size = w.dtype.type(0), w.itemsize
    v = aligned(work)
    panels = (wanted + columns - 1) // columns
    blocks = (panels + _TOGETHER - 1) // _TOGETHER
    for part in range(start, stop):
        scratch = v + v_bytes + part * slot
        m = scratch + own
        for block in range(blocks * part // parts, blocks * (part + 1) // parts):
            j = block * _TOGETHER
            end = min(panels, j + _TOGETHER)
            u = aligned(kept) + j * u_panel if kept.size else scratch
            if kept.size == 0:
                for panel in range(j, end):
                    for c in range(planes):
                        _kernel_panel(w, u + (panel - j) * u_panel, panel, c, turned, planes, wanted, columns, u_cell)
            call(multiply_panels, (zero, side, v, u, m, m + m_bytes, address(b) if b.size else 0, address(y), j, 0,
                                   rows, planes, wanted, OH, OW, down, across, columns, v_tile, v_cell, m_tile, m_cell,
                                   u_cell, u_panel, end))
            if norm.size or activation:
                o = j * columns
                for n in range(rows // down):
                    call(finish, (w.dtype.type(low), w.dtype.type(high), address(y) + (n * wanted + o) * OH * OW * size,
                                  min(wanted, end * columns) - o, OH * OW * size, OH * OW,
                                  address(norm) if norm.size else 0, wanted, o, activation))


# -- the gradient of the input, with the output's tiles ------------------------------------------------

@native("number", *["int"] * 24)
def add_panels(zero, side, v, u, m, frame, dx, j, samples, planes, wanted, H, W, ph, pw, down, across, columns,
               v_tile, v_cell, m_tile, m_cell, u_cell, u_panel, stop):
    """dx of some samples, for the panels *j* .. *stop*; their U begins at u."""
    step = lanes(zero)
    size = VECTOR_BYTES // step
    call(multiply_cells, (zero, side, stop - j, samples * down * across, planes, columns, v, v_cell, v_tile, size,
                          u, u_cell, u_panel, columns * size, m, m_cell, columns * size, m_tile))
    line = (4 * across + side - 4) * VECTOR_BYTES
    for n in range(samples):
        for o in range(j * columns, min(wanted, stop * columns), step):
            put_zeros(zero, frame, frame + (4 * down + side - 4) * line)
            for row in range(down):
                here = m + (n * down + row) * across * m_tile + (o - j * columns) * size
                arguments = (zero, here, m_tile, m_cell, across, frame + 4 * row * line, line)
                if side == 6:
                    call(overlap_from_6, arguments)
                else:
                    call(overlap_from_8, arguments)
            call(put_lines, (zero, frame + ph * line + pw * VECTOR_BYTES, line, dx + (n * wanted + o) * H * W * size,
                             W * size, H * W * size, H, W, min(step, wanted - o)))


@jit
def _overlaps(start, stop, parts, groups, dy, dx, work, before, slot, patch_bytes, v_bytes, m_bytes, sizes):
    """Groups of samples: the transformed gradients in the place of V, then all panels of U."""
    (side, planes, OH, OW, wanted, H, W, ph, pw, down, across, rows, together, columns, v_tile, v_cell, m_tile, m_cell,
     u_cell, u_panel) = sizes
    zero, size = dy.dtype.type(0), dy.itemsize
    u = aligned(work)
    panels = (wanted + columns - 1) // columns
    for part in range(start, stop):
        patch = u + before + part * slot
        v = patch + patch_bytes
        m = v + v_bytes
        for group in range(groups * part // parts, groups * (part + 1) // parts):
            first, last = group * together, min((group + 1) * together, rows)
            call(transform_rows, (zero, side, address(dy), planes, OH, OW, 0, 0, down, across, first, last, planes,
                                  patch, v, v_tile, v_cell))
            here = address(dx) + first // down * wanted * H * W * size
            for j in range(0, panels, _TOGETHER):
                call(add_panels, (zero, side, v, u + j * u_panel, m, m + m_bytes, here, j, (last - first) // down,
                                  planes, wanted, H, W, ph, pw, down, across, columns, v_tile, v_cell, m_tile, m_cell,
                                  u_cell, u_panel, min(panels, j + _TOGETHER)))


# -- the gradient of the weight ---------------------------------------------------------------------

def acc_grad_parameters(g, x, dy, dw, db, scale):
    """dw <- itself + scale times the gradient of w; db alike, unless it is empty."""
    plan = _gradient(g)
    panels = plan.panels
    parts = max(1, min(threads.get_num_threads(), panels, g.flops // (2 * threads.FLOPS_PER_THREAD)))
    # Q has the place of M, with as many panels as a part has.  Of one group a panel of U is done with at once.
    most = -(-panels // parts)
    q_tile = most * plan.columns * plan.size
    q_cell = plan.together * plan.across * q_tile + VECTOR_BYTES
    u_bytes = plan.u_bytes if plan.groups > 1 else rounded(parts * plan.u_panel + SLACK, 64)
    slot = plan.patch + plan.v_bytes + rounded(plan.cells * q_cell + SLACK, 64)
    work = threads.workspace(64 + u_bytes + parts * slot)
    threads.run(_grad, parts, 1, parts, x, dy, dw, db, work, scale, u_bytes, slot, plan.patch, plan.v_bytes,
                q_tile, q_cell, plan.sizes)


@jit
def _grad(start, stop, parts, x, dy, dw, db, work, scale, u_bytes, slot, patch_bytes, v_bytes, q_tile, q_cell, sizes):
    (side, planes, H, W, wanted, OH, OW, ph, pw, down, across, rows, together, columns, v_tile, v_cell, m_tile, m_cell,
     u_cell, u_panel) = sizes
    zero, one, size, step = x.dtype.type(0), x.dtype.type(1), x.itemsize, lanes(x.dtype.type(0))
    factor = x.dtype.type(scale)
    u = aligned(work)
    panels = (wanted + columns - 1) // columns
    taps = (side - 3) * (side - 3)
    for part in range(start, stop):
        patch = u + u_bytes + part * slot
        v = patch + patch_bytes
        q = v + v_bytes
        j0, j1 = panels * part // parts, panels * (part + 1) // parts
        o0, o1 = j0 * columns, min(wanted, j1 * columns)
        for first in range(0, rows, together):
            last = min(first + together, rows)
            tiles = (last - first) * across
            call(transform_rows, (zero, side, address(x), planes, H, W, ph, pw, down, across, first, last, 0, patch,
                                  v, v_tile,
                                  v_cell))
            # Of all planes of dy, those of this part.
            call(transform_rows, (zero, side, address(dy) + o0 * OH * OW * size, wanted, OH, OW, 0, 0, down, across,
                                  first, last,
                                  o1 - o0, patch, q, q_tile, q_cell))
            beta = zero if first == 0 else one
            for panel in range(j0, j1):
                here = u + (panel if together < rows else part) * u_panel
                call(multiply_cells, (beta, side, 1, planes, tiles, columns, v, v_cell, size, v_tile,
                                      q + (panel - j0) * columns * size, q_cell, 0, q_tile,
                                      here, u_cell, 0, columns * size))
                if last == rows:
                    for c in range(planes):
                        for o in range(panel * columns, min((panel + 1) * columns, wanted), step):
                            sums = here + (c * columns + o - panel * columns) * size
                            arguments = (factor, sums, u_cell, min(step, wanted - o),
                                         address(dw) + (o * planes + c) * taps * size, planes * taps * size)
                            if side == 6:
                                call(gather_kernels_of_3, arguments)
                            else:
                                call(gather_kernels_of_5, arguments)
        if db.size:
            call(sum_planes, (factor, address(dy), dy.shape[0], wanted, OH * OW, o0, o1, address(db)))
