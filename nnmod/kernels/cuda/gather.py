"""Convolution as a matrix product whose operands are gathered: the kernel, and what it is given.

The product is y = w x with x never laid out as a matrix: each of its elements is found in the
tensor by arithmetic, while it is loaded into a tile.  An element (k, column) of x is found from
two places, each of three numbers:

    k = (q, a, b)       a plane and a tap, or a sample and a window
    column = (n, u, v)  a sample and a window, or a plane and a tap
    row = u column_step + a k_step + start,  and so for columns; outside the picture x is 0

and an element of w, and of y, at a step for each of the numbers.  All three verbs of
convolution are of this form (convolution.py says how).
"""
import functools
from collections import namedtuple

import numpy as np

from . import tiles
from .compile import device, number
from .division import divide, magic
from .epilogue import FINISH, NO_END, finish
from .launch import blocks, launch, scratch
from .linear import add_parts, tile_of_block
from .tiles import column_of, row_of, tiled_kernel
from .vectors import load4, room, store4


class Gathered(namedtuple("Gathered", """
        groups rows k_sizes column_sizes
        w_group w_row w_k w_start
        x_group x_k x_column height width high wide
        y_group y_row y_column y_start""")):
    """One product of *groups*, each (rows, k) (k, columns).

    k_sizes, column_sizes  three sizes each: k = (q * size[1] + a) * size[2] + b
    w_group, w_row, w_start, w_k  where w's element is: steps of group, row, and of q, a, b
    x_group  step of a group; x_k, x_column  steps of q and of n
    height, width  of x's pictures
    high, wide     (step of u, step of a, start): the row and the column of an element of x
    y_group, y_row, y_start, y_column  where y's element is: steps of group, row, and of n, u, v
    """


def gathered_product(g, w, x, y, bias, along_k, alpha, beta, end, work=None, parts=None):
    """y <- alpha w x + beta y + bias, finished; bias and end have a number for each row of all groups.

    along_k      whether threads side by side load along k (else along the columns)
    work, parts  where to put the sums of so many parts instead, for a later add_parts
    """
    depth, columns = _size(g.k_sizes), _size(g.column_sizes)
    if not g.groups * g.rows * columns:
        return
    if max(depth, columns) >= 2**31:
        raise ValueError(f"a convolution on the GPU must have fewer than 2^31 windows and taps, got {columns} columns "
                         f"of {depth} products; use smaller batches")
    tile, own_parts = tiles.choose(g.rows, columns, depth, y.dtype, g.groups)
    parts = own_parts if parts is None else parts
    flat, w, x, target = y.reshape(-1), w.reshape(-1), x.reshape(-1), y.reshape(-1)
    if parts > 1:
        target = scratch(y, (parts * y.size,), y.dtype) if work is None else work
    has_bias = np.uint32(bias is not None)
    bias = flat if bias is None else bias.reshape(-1)
    once = parts == 1
    sizes = [np.uint32(n) for n in (g.rows, depth, columns, along_k, tiles.share(depth, parts), parts)]
    numbers = [np.uint32(_quads(g.k_sizes, g.w_k, g.w_row, g.w_group, g.w_start)),
               *map(np.int64, (g.w_group, g.w_row, g.w_start, *g.w_k)),
               *map(np.int64, (g.x_group, g.x_k, g.x_column)), np.uint32(g.height), np.uint32(g.width),
               *map(np.int32, (*g.high, *g.wide)), *_divisors(g.k_sizes), *_divisors(g.column_sizes),
               np.uint32(g.groups * g.rows),
               np.uint32(_quads(g.column_sizes, g.y_column, g.y_row, g.y_group, g.y_start, y.size)),
               *map(np.int64, (g.y_group, g.y_row, g.y_start, y.size, *g.y_column))]
    kernel = gather_kernel(y.dtype.name, tile)
    grid = g.groups * parts * blocks(g.rows, tile.rows) * blocks(columns, tile.columns)
    launch(kernel, grid, tile.threads, w, x, target, bias, has_bias if once else np.uint32(0), *sizes, *numbers,
           number(alpha if once else 1, y), number(beta if once else 0, y), *(end if once else NO_END).args(flat))
    if parts > 1 and work is None:
        add_gathered_parts(g, target, y, bias if has_bias else None, parts, alpha, beta, end)


def add_gathered_parts(g, work, y, bias, parts, alpha, beta, end):
    """y <- alpha times the sum of its parts + beta y + bias, finished."""
    flat = y.reshape(-1)
    add_parts(work, flat, flat if bias is None else bias, np.uint32(bias is not None), 1, parts, y.size, g.y_row,
              g.groups * g.rows, number(alpha, y), number(beta, y), end)


def _size(sizes):
    return sizes[0] * sizes[1] * sizes[2]


def _quads(sizes, steps, *others):
    """Whether each four numbers from a multiple of four on lie side by side, at a multiple of four elements."""
    run, beyond = 1, list(others)
    for size, step in zip(sizes[::-1], steps[::-1]):
        if size == 1:
            continue
        if step == run and len(beyond) == len(others):
            run *= size
        else:
            beyond.append(step)
    return run % 4 == 0 and not any(step % 4 for step in beyond)


def _divisors(sizes):
    """For (q, a, b): the size of a, and what divides by a's and b's sizes together, and by b's."""
    return np.uint32(sizes[1]), *magic(max(sizes[1] * sizes[2], 1)), *magic(max(sizes[2], 1))


@device
def following(q, a, b, a_size, b_size):
    """What comes after (q, a, b)."""
    b = np.uint32(b + np.uint32(1))
    if b == b_size:
        b = np.uint32(0)
        a = np.uint32(a + np.uint32(1))
        if a == a_size:
            a = np.uint32(0)
            q = np.uint32(q + np.uint32(1))
    return q, a, b


@device
def place(start, q, a, b, q_step, a_step, b_step):
    """Where element (q, a, b) is."""
    return start + np.int64(q) * q_step + np.int64(a) * a_step + np.int64(b) * b_step


@device
def stepped4(w, start, q, a, b, a_size, b_size, q_step, a_step, b_step, count):
    """The first *count* of four elements from (q, a, b) on, and 0 for the others."""
    zero = w.dtype.type(0)
    w0 = w[np.uint64(place(start, q, a, b, q_step, a_step, b_step))] if count > np.uint32(0) else zero
    q, a, b = following(q, a, b, a_size, b_size)
    w1 = w[np.uint64(place(start, q, a, b, q_step, a_step, b_step))] if count > np.uint32(1) else zero
    q, a, b = following(q, a, b, a_size, b_size)
    w2 = w[np.uint64(place(start, q, a, b, q_step, a_step, b_step))] if count > np.uint32(2) else zero
    q, a, b = following(q, a, b, a_size, b_size)
    w3 = w[np.uint64(place(start, q, a, b, q_step, a_step, b_step))] if count > np.uint32(3) else zero
    return w0, w1, w2, w3


@device
def seen(x, start, row, column, height, width, there):
    """The element of a picture that begins at *start*; 0 outside of it, and where it is not *there*."""
    if there and np.uint32(row) < height and np.uint32(column) < width:
        return x[np.uint64(start + np.int64(row) * np.int64(width) + np.int64(column))]
    return x.dtype.type(0)


@device
def gathered4(x, start, row, column, q, a, b, a_size, b_size, q_step, row_step, column_step, height, width, count):
    """The first *count* of the four elements of x that are seen from (q, a, b) on, and 0 for the others."""
    x0 = seen(x, start + np.int64(q) * q_step, np.int32(row + np.int32(a) * row_step),
              np.int32(column + np.int32(b) * column_step), height, width, count > np.uint32(0))
    q, a, b = following(q, a, b, a_size, b_size)
    x1 = seen(x, start + np.int64(q) * q_step, np.int32(row + np.int32(a) * row_step),
              np.int32(column + np.int32(b) * column_step), height, width, count > np.uint32(1))
    q, a, b = following(q, a, b, a_size, b_size)
    x2 = seen(x, start + np.int64(q) * q_step, np.int32(row + np.int32(a) * row_step),
              np.int32(column + np.int32(b) * column_step), height, width, count > np.uint32(2))
    q, a, b = following(q, a, b, a_size, b_size)
    x3 = seen(x, start + np.int64(q) * q_step, np.int32(row + np.int32(a) * row_step),
              np.int32(column + np.int32(b) * column_step), height, width, count > np.uint32(3))
    return x0, x1, x2, x3


@device
def places4(column, plane, plane_factor, plane_shift, line, line_factor, line_shift, u_size, n_step, u_step, v_step):
    """Where y's elements of a column and the three after it are."""
    n, rest = divide(column, plane, plane_factor, plane_shift)
    u, v = divide(rest, line, line_factor, line_shift)
    p0 = place(np.int64(0), n, u, v, n_step, u_step, v_step)
    n, u, v = following(n, u, v, u_size, line)
    p1 = place(np.int64(0), n, u, v, n_step, u_step, v_step)
    n, u, v = following(n, u, v, u_size, line)
    p2 = place(np.int64(0), n, u, v, n_step, u_step, v_step)
    n, u, v = following(n, u, v, u_size, line)
    return p0, p1, p2, place(np.int64(0), n, u, v, n_step, u_step, v_step)


@device
def put_one(y, at, there, beta, v):
    """y[at] <- v + beta y[at], where it is *there*."""
    if there:
        if beta != y.dtype.type(0):
            v += beta * y[np.uint64(at)]
        y[np.uint64(at)] = v


@device
def scatter4(y, start, p0, p1, p2, p3, count, whole, beta, a, b, c, d):
    """y at four places <- a, b, c, d, plus beta times what was there; only the first *count*."""
    if whole and count >= np.uint32(4):
        at = np.uint64(start + p0)
        if beta != y.dtype.type(0):
            p, q, r, s = load4(y, at)
            a, b, c, d = a + beta * p, b + beta * q, c + beta * r, d + beta * s
        store4(y, at, a, b, c, d)
    else:
        put_one(y, start + p0, count > np.uint32(0), beta, a)
        put_one(y, start + p1, count > np.uint32(1), beta, b)
        put_one(y, start + p2, count > np.uint32(2), beta, c)
        put_one(y, start + p3, count > np.uint32(3), beta, d)


@functools.cache
def gather_kernel(dtype, tile):
    """The kernel of a tile."""
    return tiled_kernel(
        f"gather_{tile.name}", dtype, tile,
        "w, x, y, bias, has_bias, rows, depth, columns, along_k, share, parts, "
        "w_quads, w_group, w_row, w_start, w_q, w_a, w_b, x_group, x_q, x_n, height, width, "
        "row_u, row_a, row_start, column_v, column_b, column_start, "
        "a_size, plane_k, plane_k_factor, plane_k_shift, line_k, line_k_factor, line_k_shift, "
        "u_size, plane_c, plane_c_factor, plane_c_shift, line_c, line_c_factor, line_c_shift, "
        "channels, y_quads, y_group, y_row, y_start, y_size, y_n, y_u, y_v, alpha, beta, " + FINISH,
        tile_of_block("rows", "columns", "depth") + _BEGIN, _LOAD, _STORE.format(x="a", X="A"),
        _STORE.format(x="b", X="B"), _end(tile),
        {"__name__": __name__, "ROWS": np.uint32(tile.rows), "COLUMNS": np.uint32(tile.columns), "i64": np.int64,
         "i32": np.int32, "room": room, "divide": divide, "placed": place, "stepped4": stepped4,
         "gathered4": gathered4, "places4": places4, "scatter4": scatter4, "finish": finish})


# A thread loads four numbers along k of one row of w, and of one column of x.
_BEGIN = """
a_row = u(thread // u(2))
a_k = u(u(thread % u(2)) * u(4))
w_whole = w_quads and aligned(w)
a_put = u(a_k * u(PITCH_A) + a_row)
if along_k:
    b_column = u(thread // u(2))
    b_k = a_k
else:
    b_column = u(thread % COLUMNS)
    b_k = u(u(thread // COLUMNS) * u(4))
b_put = u(b_k * u(PITCH_B) + b_column)
n, rest = divide(u(left + b_column), plane_c, plane_c_factor, plane_c_shift)
over, across = divide(rest, line_c, line_c_factor, line_c_shift)
x_from = i64(batch) * x_group + i64(n) * x_n
x_row = i32(i32(over) * row_u + row_start)
x_column = i32(i32(across) * column_v + column_start)
"""
# Where w's row begins is computed anew each time: kept, it would take two registers too many.
_LOAD = """
w_from = w_start + i64(place[3]) * w_group + i64(u(place[0] + a_row)) * w_row
count = room(u(k + a_k), last) if u(place[0] + a_row) < rows else u(0)
q, rest = divide(u(k + a_k), plane_k, plane_k_factor, plane_k_shift)
a, b = divide(rest, line_k, line_k_factor, line_k_shift)
if w_whole and count >= u(4):
    a0, a1, a2, a3 = load4(w, wide(placed(w_from, q, a, b, w_q, w_a, w_b)))
else:
    a0, a1, a2, a3 = stepped4(w, w_from, q, a, b, a_size, line_k, w_q, w_a, w_b, count)
q, rest = divide(u(k + b_k), plane_k, plane_k_factor, plane_k_shift)
a, b = divide(rest, line_k, line_k_factor, line_k_shift)
b0, b1, b2, b3 = gathered4(x, x_from, x_row, x_column, q, a, b, a_size, line_k, x_q, row_a, column_b, height, width,
                           room(u(k + b_k), last) if u(place[1] + b_column) < columns else u(0))
"""
_STORE = """
{x}_at = u(at * u(PITCH_{X}) + {x}_put)
shared_{x}[{x}_at] = {x}0
shared_{x}[{x}_at + u(PITCH_{X})] = {x}1
shared_{x}[{x}_at + u(2 * PITCH_{X})] = {x}2
shared_{x}[{x}_at + u(3 * PITCH_{X})] = {x}3
"""


def _end(tile):
    """Source: store a tile where its rows and columns belong, with alpha, beta, bias, and finish it."""
    lines = ["group = place[3]", "y_from = y_start + i64(group) * y_group",
             "y_from += i64(u(place[2] % parts)) * y_size",
             "y_whole = y_quads and aligned(y)",
             "first_row, first_column = u(place[0] + run_top), u(place[1] + run_left)", "zero = number(0)"]
    quads = range(tile.run_columns // 4)
    for q in quads:
        lines += [f"column = u(first_column + {column_of(tile, q)})", f"quad{q} = room(column, columns)",
                  f"p{4 * q}, p{4 * q + 1}, p{4 * q + 2}, p{4 * q + 3} = places4(",
                  "    column, plane_c, plane_c_factor, plane_c_shift, line_c, line_c_factor, line_c_shift, u_size,",
                  "    y_n, y_u, y_v)"]
    lines += [f"for i in range({tile.run_rows}):", f"    row = u(first_row + {row_of(tile)})", "    if row < rows:",
              "        shift = bias[wide(group) * wide(rows) + wide(row)] if has_bias else zero",
              "        y_at = y_from + i64(row) * y_row"]
    for q in quads:
        sums = ", ".join(f"alpha * s{j} + shift" for j in range(4))
        places = ", ".join(f"p{4 * q + j}" for j in range(4))
        lines += [f"        s0, s1, s2, s3 = sum4_{4 * q}(sums)",
                  f"        scatter4(y, y_at, {places}, quad{q}, y_whole, beta,", f"                 {sums})"]
    lines += ["    rotate(sums)"]
    # What a thread has just stored, it reads again from the cache: nobody else touches it.
    lines += ["if activation or has_norm:",
              f"    for j in range({tile.run_columns}):",
              f"        column = u(first_column + u(j // 4 * {tile.column_gap} + j % 4))",
              "        n, rest = divide(column, plane_c, plane_c_factor, plane_c_shift)",
              "        over, across = divide(rest, line_c, line_c_factor, line_c_shift)",
              "        y_at = placed(y_from, n, over, across, y_n, y_u, y_v)",
              f"        for i in range({tile.run_rows}):",
              f"            row = u(first_row + {row_of(tile)})",
              "            if row < rows and column < columns:",
              "                at = wide(y_at + i64(row) * y_row)",
              "                channel = wide(group) * wide(rows) + wide(row)",
              f"                y[at] = finish(y[at], channel, channels, {FINISH})"]
    return "\n".join(lines)
