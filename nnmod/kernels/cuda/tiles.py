"""The tile of a matrix product: what GEMM and convolution have in common, as generated source.

A block of threads computes a tile of c = a b.  Step by step along k it loads a slice of a and
one of b, four numbers a thread, into shared memory, and every thread multiplies runs of both
that it holds in registers.  Shared memory is double: while one half is multiplied, the next
slice is already on its way from global memory, in registers.

On tensor cores a warp multiplies both slices together.  Which rows and columns of its part of
the tile the hardware's places stand for is free: they are dealt out so that every thread reads
its factors by 4 and ends up with runs of four, and all else is as without.

Where a and b come from and where c goes differs: a kernel is the loop below with its own lines
for that (see :func:`tiled_kernel`).  The multiplications are written out one by one, as LLVM
code: in Python's text they would take minutes to compile.
"""
import functools
import linecache
from collections import namedtuple

import numpy as np
from llvmlite import ir
from numba.cuda import types

from .target import cuda
from .tensor_cores import get_tensor_cores, multiply_add, tf32
from .vectors import aligned, intrinsic, load4, pointer4, store4

#: A slice of a tile is so many numbers deep: then each thread loads four of a and four of b.
DEPTH = 8


class Tile(namedtuple("Tile", "rows columns run_rows run_columns tensor", defaults=(False,))):
    """So many rows and columns of c to a block, and to a thread of it; tensor: on tensor cores."""

    @property
    def threads(self):
        """How many threads a block has."""
        return self.rows * self.columns // (self.run_rows * self.run_columns)

    @property
    def name(self):
        """Such as "64x64"."""
        return f"{self.rows}x{self.columns}" + "_tf32" * self.tensor

    @property
    def row_gap(self):
        """How far it is from the first four rows of a thread's run to the next four."""
        return 32 if self.tensor else self.rows * 4 // self.run_rows

    @property
    def column_gap(self):
        """The same for columns."""
        return 4 if self.tensor else self.columns * 4 // self.run_columns

    def pitch(self, size):
        """The distance of rows in shared memory: with the gap, what threads read together is in different banks."""
        return size + (8 if self.tensor else 4)


LARGE, MIDDLE, SMALL = Tile(128, 128, 8, 8), Tile(64, 64, 8, 4), Tile(32, 32, 4, 4)
#: Registers for at least so many blocks on a multiprocessor: what the compiler is held to.
BLOCKS_PER_PROCESSOR = {LARGE: 2, MIDDLE: 4, SMALL: 8}
#: The multiprocessors that work is divided for.  A number of its own, asked of no GPU: sums
#: are cut by it, and the same network should give the same bits on every GPU.
PROCESSORS = 128


def choose(rows, columns, depth, dtype, batches=1):
    """The tile for a product (rows, depth) (depth, columns), and into how many parts its depth is cut.

    The largest tile that still gives every multiprocessor a block; for float64 not the largest
    of all, whose sums would not fit into the registers.  Where even the smallest leaves
    multiprocessors idle and the depth is long, the depth is cut: each part is summed by a block
    of its own, and the parts are then added in a fixed order.
    """
    tiles = [LARGE, MIDDLE, SMALL] if np.dtype(dtype).itemsize == 4 else [MIDDLE, SMALL]
    if np.dtype(dtype).itemsize == 4 and get_tensor_cores():
        tiles = [tile._replace(tensor=True) for tile in tiles]
    for tile in tiles:
        blocks = batches * -(-rows // tile.rows) * -(-columns // tile.columns)
        if blocks >= PROCESSORS:
            return tile, 1
    # Too small to fill the GPU by its size alone: tiles as large as the product, and its depth cut.
    tile = next((t for t in tiles if rows > t.rows // 2 and columns > t.columns // 2
                 and depth >= 16 * t.rows), tiles[-1])
    blocks = batches * -(-rows // tile.rows) * -(-columns // tile.columns)
    return tile, max(1, min(2 * PROCESSORS // max(blocks, 1), depth // 256, 64))


def share(depth, parts):
    """How deep each of *parts* parts is: whole slices."""
    return -(-(-(-depth // parts)) // DEPTH) * DEPTH


def tiled_kernel(name, dtype, tile, arguments, begin, load, store_a, store_b, end, names):
    """A kernel: the loop over slices of a tile, with lines of source of its own.

    arguments  the kernel's, as source
    begin      lines before the loop: which tile this block has (``top``, ``left``), ``first`` and
               ``last`` of its depth, and what the loads need
    load       lines that set a0 .. a3 and b0 .. b3 for the slice that begins at ``k``
    store_a, store_b  lines that put them into shared memory, from ``at`` on
    end        lines after the loop; ``sum4_4(sums)`` reads four of the first row from the fourth
               on, and ``rotate(sums)`` makes the next row the first
    names      what the lines name: functions, constants

    In all lines ``u`` makes an unsigned int and ``wide`` one of 64 bits, ``PITCH_A`` and ``PITCH_B``
    are the distances of rows in shared memory, ``place`` is shared memory for four unsigned ints,
    ``thread`` is the thread's number, and its run begins at ``run_top``, ``run_left`` of the tile.
    """
    store_a, store_b = (_rounded("a") + store_a, _rounded("b") + store_b) if tile.tensor else (store_a, store_b)
    lines = [f"def {name}({arguments}):",
             f"    shared_a = cuda.shared.array({2 * DEPTH * tile.pitch(tile.rows)}, number, alignment=16)",
             f"    shared_b = cuda.shared.array({2 * DEPTH * tile.pitch(tile.columns)}, number, alignment=16)",
             "    place = cuda.shared.array(4, u)",
             "    thread = u(cuda.threadIdx.x)",
             "    block = u(cuda.blockIdx.x)", *indented(_runs(tile), 4)]
    lines += indented(begin, 4)
    lines += [f"    sums = cuda.local.array({tile.run_rows * tile.run_columns}, number)", "    clear(sums)",
              "    k = first", *indented(load, 4), "    at = u(0)", *indented(store_a, 4), *indented(store_b, 4),
              "    cuda.syncthreads()", "    half = u(0)",
              "    while True:",
              f"        k = u(k + u({DEPTH}))", "        more = k < last", "        if more:", *indented(load, 12),
              f"        multiply(sums, shared_a, u(half * u({DEPTH}) * u(PITCH_A) + read_a),",
              f"                 shared_b, u(half * u({DEPTH}) * u(PITCH_B) + read_b))"]
    # The other half was last read before the barrier of the round before: it is free.
    lines += ["        if not more:", "            break", "        half = half ^ u(1)",
              f"        at = u(half * u({DEPTH}))",
              *indented(store_a, 8), *indented(store_b, 8), "        cuda.syncthreads()"]
    lines += indented(end, 4)
    space = {"cuda": cuda, "u": np.uint32, "wide": np.uint64, "number": np.dtype(dtype).type, "load4": load4,
             "store4": store4, "tf32": tf32, "clear": clearer(tile), "rotate": rotator(tile),
             "multiply": tensor_multiplier(tile) if tile.tensor else multiplier(tile),
             "aligned": aligned, "PITCH_A": tile.pitch(tile.rows),
             "PITCH_B": tile.pitch(tile.columns),
             **{f"sum4_{n}": quad(n) for n in range(0, tile.run_columns, 4)}, **names}
    made = compiled(name, lines, space)
    blocks = BLOCKS_PER_PROCESSOR[tile._replace(tensor=False)]
    made.launch_bounds = tile.threads, blocks if np.dtype(dtype).itemsize == 4 else 1
    return made


def _runs(tile):
    """Source: where a thread's run begins in the tile, and where in a slice it begins to read."""
    if not tile.tensor:
        across = tile.columns // tile.run_columns
        return f"""
run_left = (thread % u({across})) * u(4)
run_top = (thread // u({across})) * u(4)
read_a, read_b = run_top, run_left
"""
    # A warp has 8 run_rows rows and 4 run_columns columns.  Of its threads g = lane // 4 reads rows
    # from 4 g on, and every 32 rows, and columns from run_columns / 2 g on, for k = lane % 4 and 4 more.
    warps = tile.columns // (4 * tile.run_columns)
    return f"""
lane, warp = u(thread % u(32)), u(thread // u(32))
warp_left = u(u(warp % u({warps})) * u({4 * tile.run_columns}))
run_left = u(warp_left + u(lane % u(4)) * u({tile.run_columns}))
run_top = u(u(warp // u({warps})) * u({8 * tile.run_rows}) + u(lane // u(4)) * u(4))
read_a = u(u(lane % u(4)) * u(PITCH_A) + run_top)
read_b = u(u(lane % u(4)) * u(PITCH_B) + warp_left + u(lane // u(4)) * u({tile.run_columns // 2}))
"""


def _rounded(x):
    """Source: round what a thread has loaded."""
    return f"{x}0, {x}1, {x}2, {x}3 = tf32({x}0), tf32({x}1), tf32({x}2), tf32({x}3)\n"


@functools.cache
def tensor_multiplier(tile):
    """``multiply(sums, a, a_at, b, b_at)`` as multiplier, of a warp, on tensor cores.

    The hardware's product has 16 rows and 8 columns (tensor_cores.multiply_add says who has what).
    Row g of half h of product i stands for row 4 g + j of the warp's part, with 2 i + h = j below 4, and
    32 rows further from 4 on; column g of product j for column run_columns / 2 g + j.  So a thread's
    rows are four and four together, and of columns it has run_columns side by side.
    """
    across = tile.run_columns // 2

    def update(builder, values, left, right):
        x = [[value for quad in range(0, tile.run_rows, 4) for value in left(
            k * tile.pitch(tile.rows) + quad * 8, 4)] for k in (0, 4)]
        y = [right(k * tile.pitch(tile.columns), across) for k in (0, 4)]
        for i in range(0, tile.run_rows, 2):
            for j in range(across):
                mine = [row * tile.run_columns + column for row in (i, i + 1) for column in (j, across + j)]
                new = multiply_add(builder, (x[0][i], x[0][i + 1], x[1][i], x[1][i + 1]), (y[0][j], y[1][j]),
                                   [values[n] for n in mine])
                for n, value in zip(mine, new):
                    values[n] = value

    return _multiplier(tile, update)


@functools.cache
def multiplier(tile):
    """``multiply(sums, a, a_at, b, b_at)``: sums <- sums + a slice of a times a slice of b, of a thread's runs.

    sums  (run_rows * run_columns,) local; every place in it is a constant, so that LLVM keeps it in registers
    a, b  shared memory, where the runs begin at a_at and b_at in the slice's first row
    """
    def update(builder, values, left, right):
        for depth in range(DEPTH):
            x = _run(left, depth * tile.pitch(tile.rows), tile.run_rows, tile.rows)
            y = _run(right, depth * tile.pitch(tile.columns), tile.run_columns, tile.columns)
            for i, xi in enumerate(x):
                for j, yj in enumerate(y):
                    n = i * tile.run_columns + j
                    values[n] = builder.fma(xi, yj, values[n])

    return _multiplier(tile, update)


def _multiplier(tile, update):
    """``multiply(sums, a, a_at, b, b_at)``, whose sums ``update(builder, sums, left, right)`` moves on.

    left, right  functions (offset, count): so many numbers of a, or of b, from that offset after their place on
    """
    @intrinsic
    def multiply(typingctx, sums, a, a_at, b, b_at):
        def codegen(context, builder, signature, args):
            memory = context.make_array(sums)(context, builder, args[0]).data
            places = [builder.gep(memory, [_int(n)]) for n in range(tile.run_rows * tile.run_columns)]
            values = [builder.load(place) for place in places]
            left, right = (functools.partial(_vector, context, builder, signature.args[i], *args[i:i + 2])
                           for i in (1, 3))
            update(builder, values, left, right)
            for value, place in zip(values, places):
                builder.store(value, place)
            return context.get_dummy_value()

        return types.void(sums, a, a_at, b, b_at), codegen

    return multiply


@functools.cache
def rotator(tile):
    """``rotate(sums)``: every row of a thread's sums <- the next one, so that a loop always finds its row first."""
    @intrinsic
    def rotate(typingctx, sums):
        def codegen(context, builder, signature, args):
            memory = context.make_array(sums)(context, builder, args[0]).data
            places = [builder.gep(memory, [_int(n)]) for n in range(tile.run_rows * tile.run_columns)]
            values = [builder.load(place) for place in places[tile.run_columns:]]
            for value, place in zip(values, places):
                builder.store(value, place)
            return context.get_dummy_value()

        return types.void(sums), codegen

    return rotate


@functools.cache
def clearer(tile):
    """``clear(sums)``: sums <- 0."""
    @intrinsic
    def clear(typingctx, sums):
        def codegen(context, builder, signature, args):
            memory = context.make_array(sums)(context, builder, args[0]).data
            for n in range(tile.run_rows * tile.run_columns):
                builder.store(ir.Constant(memory.type.pointee, 0.0), builder.gep(memory, [_int(n)]))
            return context.get_dummy_value()

        return types.void(sums), codegen

    return clear


def _run(read, offset, run, size):
    """A thread's run of one row of shared memory: quads, evenly spread over *size*."""
    return [value for quad in range(run // 4) for value in read(offset + quad * (size * 4 // run), 4)]


def _vector(context, builder, kind, array, at, offset, count):
    """*count* numbers of shared memory side by side, *offset* after *at*, by one load."""
    index = builder.add(at, ir.Constant(at.type, offset))
    pointer = pointer4(context, builder, kind, array, index, count)
    vector = builder.load(pointer, align=16 if count == 4 else 8)
    return [builder.extract_element(vector, _int(i)) for i in range(count)]


def _int(n):
    return ir.Constant(ir.IntType(32), n)


@functools.cache
def quad(first):
    """``sum4(sums)``: the four sums from the constant *first* on."""
    @intrinsic
    def sum4(typingctx, sums):
        def codegen(context, builder, signature, args):
            memory = context.make_array(sums)(context, builder, args[0]).data
            parts = [builder.load(builder.gep(memory, [_int(first + i)])) for i in range(4)]
            return context.make_tuple(builder, signature.return_type, parts)

        return types.UniTuple(sums.dtype, 4)(sums), codegen

    return sum4


def row_of(tile):
    """Source: how far row number i of a thread's run is from the first."""
    return f"u(i // 4 * {tile.row_gap} + i % 4)"


def column_of(tile, quad):
    """Source: how far quad number *quad* of a thread's run of columns is from the first."""
    return f"u({quad * tile.column_gap})"


def indented(lines, spaces):
    """Lines of source, moved to the right."""
    return [" " * spaces + line for line in lines.strip("\n").splitlines() if line.strip()]


def compiled(name, lines, space):
    """The function of that name that the lines of source define; messages can show its lines."""
    text, file = "\n".join(lines) + "\n", f"<nnmod {name}>"
    linecache.cache[file] = len(text), None, text.splitlines(True), file
    exec(compile(text, file, "exec"), space)
    return space[name]
