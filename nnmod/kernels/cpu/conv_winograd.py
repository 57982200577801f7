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

Lanes are channels.  Memory:

    V  (36, tiles, channels)     the transformed patches of a group of tiles
    U  (panels, 36, channels, panel)  the transformed kernel, a panel being as wide as a tile of tiles.py
    M  (36, tiles, some panels)   the products

The transforms move more than they compute, so groups are of a size that leaves V and M in a
near cache while all of U passes by.  Where all tiles are one group, as in the deep layers of a
network, U is what is large: its panels are then made, used and forgotten one after the other.

Threads take groups of tiles, or panels where there is one group, and in the gradient of the
weight: every number is computed by one thread, in an order that does not depend on how many
there are.
"""
import numpy as np

from . import threads
from .compile import call, inline, jit, native
from .conv_frame import SLACK, aligned, rounded, sum_planes
from .epilogue import finish, no_end
from .simd import VECTOR_BYTES, address, lanes
from .tiles import TALL_COLUMNS, TALL_ROWS, tall_tile
from .winograd_transforms import transform_back, transform_gradient, transform_kernels, transform_rows

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
_CELLS = 36
#: Weights are compared in blocks of so many.
_BLOCK = 4096


def pays(g, kept=False):
    """Whether this method is expected to be faster than plain products; *kept*: with U of an earlier call.

    In multiply-adds of a vector, for each pair of planes: the products and the transforms of
    patches, products and kernels, with weights as measured.
    """
    tiles = g.N * -(-g.OH // 4) * -(-g.OW // 4)
    columns = TALL_COLUMNS * VECTOR_BYTES // g.size
    wasted = rounded(g.O, columns) / g.O
    return min(g.C, g.O) >= 8 and tiles * (2.9 * wasted + 16 / g.O + 18 / g.C) + (30 if kept else 40) < 0.65 * g.N * g.P


class Plan:
    """How one of the verbs is computed: sizes of the source and the target, groups of tiles, memory."""

    def __init__(self, planes, H, W, wanted, OH, OW, ph, pw, N, size, gradient=False, groups=1):
        vector = VECTOR_BYTES // size
        self.columns = TALL_COLUMNS * vector
        self.planes, self.wanted, self.size = planes, wanted, size
        self.down, self.across = -(-OH // 4), -(-OW // 4)  # tiles of a sample
        self.rows = N * self.down
        most = _TILES
        if self.rows * self.across <= _ONE_GROUP:
            most = _ONE_GROUP
        elif gradient:
            fewest, most = _GRADIENT_TILES
            if _CELLS * planes * wanted * size < _LARGE_U:
                most = min(most, max(fewest, _GRADIENT_BYTES // (_CELLS * (planes + wanted) * size)))
        self.together = min(-(-self.rows // groups), max(1, most // self.across))  # rows of tiles in a group
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


def _forward(g, groups=1):
    return g.kept(("winograd forward", groups), lambda: Plan(g.C, g.H, g.W, g.O, g.OH, g.OW, g.ph, g.pw, g.N, g.size,
                                                             groups=groups))


def _backward(g):
    return g.kept("winograd backward",
                  lambda: Plan(g.O, g.OH, g.OW, g.C, g.H, g.W, 2 - g.ph, 2 - g.pw, g.N, g.size))


def _gradient(g):
    return g.kept("winograd gradient",
                  lambda: Plan(g.C, g.H, g.W, g.O, g.OH, g.OW, g.ph, g.pw, g.N, g.size, gradient=True))


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
    _correlate(_backward(g), dy, w, nothing, dx, 1, _most(g.flops), no_end(dx), None)


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
    threads.run(_kernels, plan.panels * plan.planes, threads.grain(_CELLS * plan.columns, threads.ELEMENTS_PER_THREAD),
                w, u, turned, plan.planes, plan.wanted, plan.columns, plan.u_cell, plan.u_panel)


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
    """U of plane c in a panel, from out on; *turned*: w (planes, wanted, 3, 3), each kernel backwards."""
    size, o = w.itemsize, panel * columns
    across, along = (9 * size, wanted * 9 * size) if turned else (planes * 9 * size, 9 * size)
    call(transform_kernels, (w.dtype.type(0), address(w) + o * across + c * along, across, min(columns, wanted - o),
                             turned, out + c * columns * size, u_cell))


@jit
def _kernels(start, stop, w, work, turned, planes, wanted, columns, u_cell, u_panel):
    """U for the planes *start* .. *stop* of all panels."""
    out = aligned(work)
    for unit in range(start, stop):
        panel, c = unit // planes, unit % planes
        _kernel_panel(w, out + panel * u_panel, panel, c, turned, planes, wanted, columns, u_cell)


@native("number", *["int"] * 23)
def multiply_panels(zero, v, u, m, strip, b, y, j, first, last, planes, wanted, OH, OW, down, across, columns,
                    v_tile, v_cell, m_tile, m_cell, u_cell, u_panel, stop):
    """The outputs of the rows *first* .. *last* of tiles, for the panels *j* .. *stop*; their U begins at u."""
    one, step = zero + type(zero)(1), lanes(zero)
    size = VECTOR_BYTES // step
    whole = (last - first) * across // TALL_ROWS
    rest = (last - first) * across - whole * TALL_ROWS
    for cell in range(_CELLS):
        for panel in range(stop - j):
            a, c = v + cell * v_cell, m + cell * m_cell + panel * columns * size
            kernel = u + panel * u_panel + cell * u_cell
            call(tall_tile, (planes, a, v_tile, size, kernel, columns * size, c, m_tile, TALL_ROWS, columns,
                             whole, TALL_ROWS * v_tile, 0, TALL_ROWS * m_tile, one, zero, 0))
            if rest:
                call(tall_tile, (planes, a + whole * TALL_ROWS * v_tile, v_tile, size, kernel, columns * size,
                                 c + whole * TALL_ROWS * m_tile, m_tile, rest, columns, 1, 0, 0, 0, one, zero, 0))
    for o in range(j * columns, min(wanted, stop * columns), step):
        here = m + (o - j * columns) * size
        for row in range(first, last):
            n, line = row // down, row % down
            call(transform_back, (zero, here + (row - first) * across * m_tile, m_tile, m_cell, across,
                                  b + o * size if b else 0, min(step, wanted - o), strip,
                                  y + (((n * wanted + o) * OH + 4 * line) * OW) * size,
                                  OW * size, OH * OW * size, min(4, OH - 4 * line), OW))


@jit
def _tiles(start, stop, parts, groups, x, b, y, transformed, work, before, slot, patch_bytes, v_bytes, m_bytes, sizes,
           norm, activation, low, high):
    """Groups of tiles: V, then all panels of U."""
    (planes, H, W, wanted, OH, OW, ph, pw, down, across, rows, together, columns, v_tile, v_cell, m_tile, m_cell,
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
            call(transform_rows, (zero, address(x), planes, H, W, ph, pw, down, across, first, last, 0, patch,
                                  v, v_tile, v_cell))
            for j in range(0, panels, _TOGETHER):
                call(multiply_panels, (zero, v, u + j * u_panel, m, strip, address(b) if b.size else 0, address(y),
                                       j, first, last, planes, wanted, OH, OW, down, across, columns,
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
    (planes, H, W, wanted, OH, OW, ph, pw, down, across, rows, together, columns, v_tile, v_cell, m_tile, m_cell,
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
            call(transform_rows, (zero, address(x) + c * H * W * size, end - c, H, W, ph, pw, down, across, 0, rows, 0,
                                  patch, v + c * size, v_tile, v_cell))
        else:
            first, last = rows * part // parts, rows * (part + 1) // parts
            call(transform_rows, (zero, address(x), planes, H, W, ph, pw, down, across, first, last, 0, patch,
                                  v + first * across * v_tile, v_tile, v_cell))


@jit
def _panels(start, stop, parts, w, b, y, turned, kept, work, v_bytes, slot, own, m_bytes, sizes,
            norm, activation, low, high):
    """The only group: all its tiles for a few panels, then for the next."""
    (planes, H, W, wanted, OH, OW, ph, pw, down, across, rows, together, columns, v_tile, v_cell, m_tile, m_cell,
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
            call(multiply_panels, (zero, v, u, m, m + m_bytes, address(b) if b.size else 0, address(y), j, 0, rows,
                                   planes, wanted, OH, OW, down, across, columns, v_tile, v_cell, m_tile, m_cell,
                                   u_cell, u_panel, end))
            if norm.size or activation:
                o = j * columns
                for n in range(rows // down):
                    call(finish, (w.dtype.type(low), w.dtype.type(high), address(y) + (n * wanted + o) * OH * OW * size,
                                  min(wanted, end * columns) - o, OH * OW * size, OH * OW,
                                  address(norm) if norm.size else 0, wanted, o, activation))


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
    slot = plan.patch + plan.v_bytes + rounded(_CELLS * q_cell + SLACK, 64) + 64 * VECTOR_BYTES
    work = threads.workspace(64 + u_bytes + parts * slot)
    threads.run(_grad, parts, 1, parts, x, dy, dw, db, work, scale, u_bytes, slot, plan.patch, plan.v_bytes,
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
            beta = zero if first == 0 else one
            for panel in range(j0, j1):
                here = u + (panel if together < rows else part) * u_panel
                for cell in range(_CELLS):
                    out = here + cell * u_cell
                    b = q + cell * q_cell + (panel - j0) * columns * size
                    a = v + cell * v_cell
                    call(tall_tile, (tiles, a, size, v_tile, b, q_tile, out, columns * size, TALL_ROWS, columns,
                                     whole, TALL_ROWS * size, 0, TALL_ROWS * columns * size, one, beta, 0))
                    if whole * TALL_ROWS < planes:
                        call(tall_tile, (tiles, a + whole * TALL_ROWS * size, size, v_tile, b, q_tile,
                                         out + whole * TALL_ROWS * columns * size, columns * size,
                                         planes - whole * TALL_ROWS, columns, 1, 0, 0, 0, one, beta, 0))
                if last == rows:
                    for c in range(planes):
                        for o in range(panel * columns, min((panel + 1) * columns, wanted), step):
                            sums = here + (c * columns + o - panel * columns) * size
                            call(transform_gradient, (factor, sums, u_cell, min(step, wanted - o), square,
                                                      address(dw) + (o * planes + c) * 9 * size, planes * 9 * size))
        if db.size:
            call(sum_planes, (factor, address(dy), dy.shape[0], wanted, OH * OW, o0, o1, address(db)))
