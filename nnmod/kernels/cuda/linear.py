"""Matrix products on the GPU.  Meaning and shapes: kernels/reference/linear.py.

choose() in tiles.py says which tile a product takes; cuBLAS computes it where that is asked for (cublas.py).
"""
import functools

import numpy as np

from . import cublas, tiles
from .epilogue import FINISH, NO_END, finish
from .launch import blocks, launch, scratch
from .sums import add_channel_sums
from .target import cuda
from .tiles import column_of, row_of, tiled_kernel
from .compile import device
from .vectors import aligned, load4, put4, room, some4

#: Up to so many rows of c are dot products of their own, where both matrices lie along k.
FEW_ROWS = 4
#: Warps of a block of the kernels with a warp for each column.
_WARPS = 4


def gemm(a, b, c, alpha=1.0, beta=0.0, trans_a=False, trans_b=False, bias=None):
    """c <- alpha op(a) op(b) + beta c + bias.  See the reference."""
    M, N = c.shape
    K = a.shape[0] if trans_a else a.shape[1]
    product(a, b, c, 1, M, N, K, alpha, beta, trans_a, trans_b, bias, NO_END)


def product(a, b, c, batches, M, N, K, alpha, beta, trans_a, trans_b, bias, end):
    """*batches* products, one after the other in memory; *end* is as epilogue.no_end says."""
    if not batches * M * N:
        return
    number, flat = c.dtype.type, c.reshape(-1)
    a, b = a.reshape(-1), b.reshape(-1)
    has_bias = np.uint32(bias is not None)
    bias = flat if bias is None else bias.reshape(-1)
    if cublas.product(a, b, flat, batches, M, N, K, alpha, beta, trans_a, trans_b):
        if has_bias or end is not NO_END:  # a sum of one part: each thread reads its element of c, and writes it
            add_parts(flat, flat, bias, has_bias, batches, 1, M * N, 1, N, number(1), number(0), end)
        return
    alpha, beta = number(alpha), number(beta)
    if M <= FEW_ROWS and batches == 1 and not trans_a and trans_b and end is NO_END:
        launch(_dot_rows, blocks(N, _WARPS), 32 * _WARPS, a, b, flat, bias, has_bias, np.uint32(M), np.uint32(N),
               np.uint32(K), alpha, beta)
        return
    tile, parts = tiles.choose(M, N, K, c.dtype, batches)
    grid = batches * parts * blocks(M, tile.rows) * blocks(N, tile.columns)
    share = tiles.share(K, parts)
    sizes = [np.uint32(n) for n in (M, N, K, *_layout(not trans_a, M, K), *_layout(trans_b, N, K), share, parts)]
    kernel = gemm_kernel(c.dtype.name, tile)
    if parts == 1:
        launch(kernel, grid, tile.threads, a, b, flat, bias, has_bias, *sizes, alpha, beta, *end.args(flat))
    else:
        work = scratch(c, (batches * parts * M * N,), c.dtype)
        launch(kernel, grid, tile.threads, a, b, work, bias, np.uint32(0), *sizes, number(1), number(0),
               *NO_END.args(flat))
        add_parts(work, flat, bias, has_bias, batches, parts, M * N, 1, N, alpha, beta, end)


def _layout(along, size, K):
    """How a (size, K) matrix lies: whether along k, the steps of rows and of k, whether whole quads are in a row."""
    return (True, K, 1, K % 4 == 0) if along else (False, 1, size, size % 4 == 0)


@functools.cache
def gemm_kernel(dtype, tile):
    """The kernel of a tile: slabs of products, each cut into parts of its depth."""
    return tiled_kernel(
        f"gemm_{tile.name}", dtype, tile,
        "a, b, c, bias, has_bias, M, N, K, along_a, row_step_a, k_step_a, quads_a, along_b, row_step_b, "
        "k_step_b, quads_b, share, parts, alpha, beta, "
        + FINISH,
        tile_of_block("M", "N", "K") + _BEGIN.format(x="a", X="A", start="top", size="M", span="ROWS")
        + _BEGIN.format(x="b", X="B", start="left", size="N", span="COLUMNS"),
        _LOAD.format(x="a", at=0, size="M") + _LOAD.format(x="b", at=1, size="N"),
        _STORE.format(x="a", X="A"), _STORE.format(x="b", X="B"), matrix_end(tile),
        {"__name__": __name__, "ROWS": np.uint32(tile.rows), "COLUMNS": np.uint32(tile.columns), "room": room,
         "some4": some4, "put4": put4, "finish": finish})


def tile_of_block(rows, columns, depth):
    """Source: which tile of which slab a block has, and the part of the depth that it sums.

    What is needed again after the loop waits in shared memory, so that it takes no registers.
    """
    return f"""
tiles_across = u(u({columns} + COLUMNS - u(1)) // COLUMNS)
tiles_in_all = u(u(u({rows} + ROWS - u(1)) // ROWS) * tiles_across)
slab = u(block // tiles_in_all)
tile = u(block % tiles_in_all)
top = u(u(tile // tiles_across) * ROWS)
left = u(u(tile % tiles_across) * COLUMNS)
batch = u(slab // parts)
first = u(u(slab % parts) * share)
last = min({depth}, u(first + share))
if thread == u(0):
    place[0] = top
    place[1] = left
    place[2] = slab
    place[3] = batch
cuda.syncthreads()
"""


# An operand x is a (size, K) matrix, whose element (row, k) is row_step row + k_step k from its
# start.  If it lies along k in memory, a thread loads four numbers of one row, and stores them
# into four rows of shared memory; else four neighbours there too.
_BEGIN = """
if along_{x}:
    {x}_row = u(thread // u(2))
    {x}_k = u(u(thread % u(2)) * u(4))
else:
    {x}_row = u(u(thread % u({span} // u(4))) * u(4))
    {x}_k = u(thread // u({span} // u(4)))
{x}_from = wide(batch) * wide({size}) * wide(K) + wide({start} + {x}_row) * wide(row_step_{x})
{x}_from += wide({x}_k) * wide(k_step_{x})
{x}_whole = quads_{x} and aligned({x}) and u({start} + {span}) <= {size}
{x}_put = u({x}_k * u(PITCH_{X}) + {x}_row)
"""
_LOAD = """
if {x}_whole and u(k + u(8)) <= last:
    {x}0, {x}1, {x}2, {x}3 = load4({x}, {x}_from + wide(k) * wide(k_step_{x}))
else:
    {x}_count = room(u(k + {x}_k), last)
    {x}_many = room(u(place[{at}] + {x}_row), {size})
    if not along_{x}:
        {x}_count = {x}_many if {x}_count else u(0)
    elif not {x}_many:
        {x}_count = u(0)
    {x}0, {x}1, {x}2, {x}3 = some4({x}, {x}_from + wide(k) * wide(k_step_{x}), {x}_count)
"""
_STORE = """
{x}_at = u(at * u(PITCH_{X}) + {x}_put)
if along_{x}:
    shared_{x}[{x}_at] = {x}0
    shared_{x}[{x}_at + u(PITCH_{X})] = {x}1
    shared_{x}[{x}_at + u(2 * PITCH_{X})] = {x}2
    shared_{x}[{x}_at + u(3 * PITCH_{X})] = {x}3
else:
    store4(shared_{x}, {x}_at, {x}0, {x}1, {x}2, {x}3)
"""


def matrix_end(tile):
    """Source: store a tile into the matrix c (M, N) of its slab, with alpha, beta, bias, and finish it."""
    quads = range(tile.run_columns // 4)
    lines = ["c_whole = aligned(c) and u(N % u(4)) == u(0)", "c_from = wide(place[2]) * wide(M) * wide(N)",
             "first_row, first_column = u(place[0] + run_top), u(place[1] + run_left)"]
    for q in quads:
        lines += [f"column{q} = u(first_column + {column_of(tile, q)})", f"quad{q} = room(column{q}, N)",
                  f"d{4 * q}, d{4 * q + 1}, d{4 * q + 2}, d{4 * q + 3} = some4(bias, wide(column{q}), quad{q}"
                  " if has_bias else u(0))"]
    lines += [f"for i in range({tile.run_rows}):", f"    row = u(first_row + {row_of(tile)})", "    if row < M:",
              "        c_at = c_from + wide(row) * wide(N)"]
    for q in quads:
        sums = ", ".join(f"alpha * s{j} + d{4 * q + j}" for j in range(4))
        lines += [f"        s0, s1, s2, s3 = sum4_{4 * q}(sums)",
                  f"        put4(c, c_at + wide(column{q}), quad{q}, c_whole, beta, {sums})"]
    # What a thread has just stored, it reads again from the cache: nobody else touches it.
    lines += ["    rotate(sums)",
              "if activation or has_norm:",
              f"    for i in range({tile.run_rows}):",
              f"        row = u(first_row + {row_of(tile)})",
              f"        for j in range({tile.run_columns}):",
              f"            column = u(first_column + u(j // 4 * {tile.column_gap} + j % 4))",
              "            if row < M and column < N:",
              "                c_at = c_from + wide(row) * wide(N) + wide(column)",
              f"                c[c_at] = finish(c[c_at], column, N, {FINISH})"]
    return "\n".join(lines)


def add_parts(work, y, bias, has_bias, batches, parts, size, inner, channels, alpha, beta, end):
    """y <- alpha times the sum of its parts, + beta y + bias, finished.

    work  (batches, parts, size)
    y     (batches, size), where element e is of channel e // inner % channels
    """
    launch(_add_parts, blocks(batches * size, 256), 256, work, y, bias, has_bias, np.uint32(parts), np.uint64(size),
           np.uint64(batches * size), np.uint64(inner), np.uint64(channels), alpha, beta, *end.args(y))


def _add_parts(work, y, bias, has_bias, parts, size, count, inner, channels, alpha, beta, norm, has_norm, activation,
               low, high):
    at = np.uint64(cuda.grid(1))
    if at < count:
        place = at // size * size * np.uint64(parts) + at % size
        total = work[place]
        for _ in range(1, parts):
            place += size
            total += work[place]
        total *= alpha
        channel = at // inner % channels
        if has_bias:
            total += bias[channel]
        if beta != y.dtype.type(0):
            total += beta * y[at]
        y[at] = finish(total, channel, channels, norm, has_norm, activation, low, high)


def _dot_rows(a, b, c, bias, has_bias, M, N, K, alpha, beta):
    """A warp takes column n: the dot products of row n of b with all of the few rows of a."""
    lane = np.uint32(cuda.threadIdx.x) % np.uint32(32)
    n = np.uint32(cuda.blockIdx.x) * np.uint32(_WARPS) + np.uint32(cuda.threadIdx.x) // np.uint32(32)
    zero = c.dtype.type(0)
    if n < N:
        s0, s1, s2, s3 = zero, zero, zero, zero
        row = np.uint64(n) * np.uint64(K)
        whole = aligned(a) and aligned(b) and K % np.uint32(4) == np.uint32(0)
        for k in range(np.uint64(lane) * np.uint64(4), np.uint64(K), np.uint64(128)):
            count = room(np.uint32(k), K)
            if whole:
                p, q, r, s = load4(b, row + k)
            else:
                p, q, r, s = some4(b, row + k, count)
            s0 += _dot4(a, k, count, whole, p, q, r, s)
            if M > np.uint32(1):
                s1 += _dot4(a, np.uint64(K) + k, count, whole, p, q, r, s)
            if M > np.uint32(2):
                s2 += _dot4(a, np.uint64(2) * np.uint64(K) + k, count, whole, p, q, r, s)
            if M > np.uint32(3):
                s3 += _dot4(a, np.uint64(3) * np.uint64(K) + k, count, whole, p, q, r, s)
        step = 16
        while step > 0:
            s0 += cuda.shfl_xor_sync(0xFFFFFFFF, s0, step)
            s1 += cuda.shfl_xor_sync(0xFFFFFFFF, s1, step)
            s2 += cuda.shfl_xor_sync(0xFFFFFFFF, s2, step)
            s3 += cuda.shfl_xor_sync(0xFFFFFFFF, s3, step)
            step >>= 1
        # Lane m stores row m.
        if lane < M:
            total = s0 if lane == np.uint32(0) else s1 if lane == np.uint32(1) else s2 if lane == np.uint32(2) else s3
            total *= alpha
            at = np.uint64(lane) * np.uint64(N) + np.uint64(n)
            if has_bias:
                total += bias[np.uint64(n)]
            if beta != zero:
                total += beta * c[at]
            c[at] = total


@device
def _dot4(a, at, count, whole, p, q, r, s):
    """The product sum of p .. s with four elements of a, of which *count* are there."""
    if whole:
        e, f, g, h = load4(a, at)
    else:
        e, f, g, h = some4(a, at, count)
    return e * p + f * q + g * r + h * s


def sum_rows(x, row, scale=1.0):
    """row <- row + scale times the sum over n of x[n, :].  See the reference."""
    N, F = x.shape
    add_channel_sums(x.reshape(N, F, 1), row, scale)
