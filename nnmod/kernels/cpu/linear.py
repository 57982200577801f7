"""Matrix products on the CPU.  Meaning and shapes: kernels/reference/linear.py.

The product is gemm.py's; here it is divided over threads, by columns of c or by rows,
whichever are more.
"""
import functools

import numpy as np
from numba import carray

from . import threads
from .compile import call, inline, jit, native, share
from .conv_frame import aligned, get_integer
from .epilogue import activate, pointer
from .gemm import COLUMN_STEP, ROW_STEP, multiply, work_bytes
from .simd import VECTOR_BYTES, address, lanes
from .tiles import BAND, add_bands_to_one, add_bands_to_two, cut_some_bands


# Below so many multiply-adds a product needs no memory beyond the stack.
_SMALL = 1_000_000
_no_work = np.empty(0, np.uint8)


def gemm(a, b, c, alpha=1.0, beta=0.0, trans_a=False, trans_b=False, bias=None):
    """c <- alpha op(a) op(b) + beta c + bias.  See the reference."""
    M, N = c.shape
    if M == 0 or N == 0:
        return  # NumPy may give an empty slice strides of 0
    K = a.shape[0] if trans_a else a.shape[1]
    if c.size == 0:
        return
    if N > 1 and c.strides[1] != c.itemsize:  # the kernels write rows without gaps
        dense = c.copy()
        gemm(a, b, dense, alpha, beta, trans_a, trans_b, bias)
        c[...] = dense
        return
    if bias is None:
        bias = empty_vector(c)
    elif bias.strides[0] != bias.itemsize:
        bias = bias.copy()
    alpha, beta = float(alpha), float(beta)  # one compiled form, whatever kind of number comes
    dense = a.flags.carray and b.flags.carray and c.flags.carray and bias.flags.carray
    parts, by_columns, size = divided(M, N, K, c.itemsize)
    work = threads.workspace(parts * size) if size else _no_work
    if dense:
        kernel, args = _gemm, (a, b, c, alpha, beta, trans_a, trans_b, bias, work, size)
    else:  # as addresses: every other combination of layouts would be compiled of its own
        number = c.dtype.type
        a_row, a_k = a.strides[::-1] if trans_a else a.strides
        b_k, b_col = b.strides[::-1] if trans_b else b.strides
        kernel, args = _gemm_at, (M, N, K, at(a), a_row, a_k, at(b), b_k, b_col, at(c), *c.strides,
                                  number(alpha), number(beta), at(bias), work, size)
    if parts == 1:
        kernel(0, 1, 1, by_columns, *args)
    else:
        threads.run(kernel, parts, 1, parts, by_columns, *args)


def divided(M, N, K, itemsize):
    """How a product is cut: into how many parts, whether of columns, and how much scratch memory each can use."""
    return _divided(M, N, K, itemsize, threads.get_num_threads(), threads.FLOPS_PER_THREAD, threads.ELEMENTS_PER_THREAD)


@functools.lru_cache(1024)
def _divided(M, N, K, itemsize, *circumstances):
    by_columns = N >= M
    steps = -(-N // (COLUMN_STEP * VECTOR_BYTES // itemsize)) if by_columns else -(-M // ROW_STEP)
    # A row times a matrix takes as long as reading that, a column times a row as long as writing.
    parts = min(threads.worth(M * N * K, M * K + K * N + M * N), steps)
    size = work_bytes(M if by_columns else -(-M // parts) + ROW_STEP, N, K, itemsize) if M * N * K > _SMALL else 0
    return parts, by_columns, size


def at(array):
    """Where the first element of *array* lies; 0 for an array of none, which stands for None."""
    return array.__array_interface__["data"][0] if array.size else 0


def sum_rows(x, row, scale=1.0):
    """row <- row + scale times the sum over n of x[n, :].  See the reference."""
    N, F = x.shape
    scale = float(scale)
    if x.size < 2 * threads.ELEMENTS_PER_THREAD:
        _sum_rows(0, F, x, row, scale)
    else:
        threads.run(_sum_rows, F, threads.grain(N, threads.ELEMENTS_PER_THREAD), x, row, scale)


_empty = {}


def empty_vector(like):
    """An empty vector of that dtype: stands for None, so that one signature serves both."""
    found = _empty.get(like.dtype)
    if found is None:
        found = _empty[like.dtype] = np.empty(0, like.dtype)
    return found


@jit
def _gemm(start, stop, parts, by_columns, a, b, c, alpha, beta, trans_a, trans_b, bias, work, work_size):
    """Of c, divided into so many *parts*, the parts start .. stop."""
    M, N = c.shape
    K, a_row, a_k = a.shape[1], a.strides[0], a.strides[1]
    if trans_a:
        K, a_row, a_k = a.shape[0], a.strides[1], a.strides[0]
    b_k, b_col = b.strides
    if trans_b:
        b_k, b_col = b_col, b_k
    number = c.dtype.type
    _parts(start, stop, parts, by_columns, M, N, K, address(a), a_row, a_k, address(b), b_k, b_col,
           address(c), c.strides[0], c.strides[1], number(alpha), number(beta), address(bias) if bias.size else 0,
           work, work_size)


@jit
def _gemm_at(start, stop, parts, by_columns, M, N, K, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col,
             alpha, beta, bias, work, work_size):
    _parts(start, stop, parts, by_columns, M, N, K, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col,
           alpha, beta, bias, work, work_size)


@inline
def _parts(start, stop, parts, by_columns, M, N, K, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col,
           alpha, beta, bias, work, work_size):
    for part in range(start, stop):
        top, bottom, left, right = part_of(part, parts, by_columns, M, N, alpha)
        multiply(M, N, K, top, bottom, left, right, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col,
                 alpha, beta, bias, address(work) + part * work_size, work_size)


@inline
def shared_product(record, M, N, K, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col, alpha, beta, parts):
    """multiply without a bias, from a kernel, whose threads are as many as the *parts* of c's columns.

    *record*: RECORD integers in which the numbers are handed over.
    """
    numbers = (M, N, K, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col, parts)
    for i in range(len(numbers)):
        record[i] = numbers[i]
    ends = record[len(numbers):].view(np.float64)
    ends[0], ends[1] = alpha, beta
    share(_product_part, alpha, address(record), parts)


#: How many integers shared_product and shared_bands need.
RECORD = 15


@native("number", "int", "int")
def _product_part(like, record, part):
    number = type(like)
    M, N, K, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col, parts = (
        get_integer(record), get_integer(record + 8), get_integer(record + 16), get_integer(record + 24),
        get_integer(record + 32), get_integer(record + 40), get_integer(record + 48), get_integer(record + 56),
        get_integer(record + 64), get_integer(record + 72), get_integer(record + 80), get_integer(record + 88),
        get_integer(record + 96))
    ends = carray(pointer(0.0, record + 104), (2,))
    _, _, left, right = part_of(part, parts, True, M, N, like)
    multiply(M, N, K, 0, M, left, right, a, a_row, a_k, b, b_k, b_col, c, c_row, c_col, number(ends[0]),
             number(ends[1]), 0, 0, 0)


# -- a row or two times a matrix, again and again ------------------------------------------------------

def bands_bytes(K, N, itemsize):
    """The room for b (K, N) in bands."""
    return 64 + K * (N * itemsize + BAND * VECTOR_BYTES)


@jit
def cut_bands(start, stop, parts, b, out):
    """b (K, N) in bands, as emit_add_bands reads it, from aligned(out) on; each of *parts* cuts what it will read.

    Rows of a part of the columns would be pieces of memory: the processor, which fetches ahead, fetches
    the other parts' pieces too.
    """
    (K, N), like = b.shape, b.dtype.type(0)
    for part in range(start, stop):
        first, last = _bands_of(part, parts, N, BAND * lanes(like))
        call(cut_some_bands, (like, K, N, address(b), b.strides[0], first, last, aligned(out)))


@inline
def add_bands(like, part, parts, M, N, K, a, a_row, b, c, c_row, backwards):
    """Of c <- itself + a b a part, for M rows, at most two, and b as cut_bands leaves it."""
    first, last = _bands_of(part, parts, N, BAND * lanes(like))
    if M == 1:
        call(add_bands_to_one, (like, K, a, a_row, b, first, last, N, c, c_row, backwards))
    else:
        call(add_bands_to_two, (like, K, a, a_row, b, first, last, N, c, c_row, backwards))


@inline
def shared_bands(like, record, M, N, K, a, a_row, b, c, c_row, backwards, parts):
    """All parts of add_bands, from a kernel, each by a thread; *record*: RECORD integers."""
    numbers = (M, N, K, a, a_row, b, c, c_row, backwards, parts)
    for i in range(len(numbers)):
        record[i] = numbers[i]
    share(_bands_part, like, address(record), parts)


@native("number", "int", "int")
def _bands_part(like, record, part):
    M, N, K, a, a_row, b, c, c_row, backwards, parts = (
        get_integer(record), get_integer(record + 8), get_integer(record + 16), get_integer(record + 24),
        get_integer(record + 32), get_integer(record + 40), get_integer(record + 48), get_integer(record + 56),
        get_integer(record + 64), get_integer(record + 72))
    add_bands(like, part, parts, M, N, K, a, a_row, b, c, c_row, backwards)


@inline
def _bands_of(part, parts, N, width):
    """The first band of a part, and that of the next."""
    bands = (N + width - 1) // width
    return bands * part // parts, bands * (part + 1) // parts


@native("number", "number", *["int"] * 14)
def linear_part(low, high, part, parts, by_columns, N, O, K, x, w, b, norm, y, activation, work, work_size):
    """One part of linear_fused_update_output, on addresses: 0 stands for no bias, and for no normalisation."""
    number = type(low)
    size = VECTOR_BYTES // lanes(low)
    top, bottom, left, right = part_of(part, parts, by_columns, N, O, low)
    multiply(N, O, K, top, bottom, left, right, x, K * size, size, w, size, K * size, y, O * size, size,
             number(1), number(0), b, work, work_size)
    for n in range(top, bottom):
        run = carray(pointer(low, y + (n * O + left) * size), (right - left,))
        if norm:
            lines = carray(pointer(low, norm), (3, O))
            center, factor, shift = lines[0, left:right], lines[1, left:right], lines[2, left:right]
            for o in range(run.size):
                run[o] = (run[o] - center[o]) * factor[o] + shift[o]
        activate(run, activation, low, high)


@inline
def part_of(part, parts, by_columns, M, N, like):
    """The rows and columns of c (M, N), of the dtype of *like*, that are a part's."""
    top, bottom, left, right = 0, M, 0, N
    if by_columns:
        left, right = _share(part, parts, N, COLUMN_STEP * lanes(like))
    else:
        top, bottom = _share(part, parts, M, ROW_STEP)
    return top, bottom, left, right


@inline
def _share(part, parts, size, step):
    """Where a part of 0 .. size begins and ends, in whole steps."""
    steps = (size + step - 1) // step
    return min(steps * part // parts * step, size), min(steps * (part + 1) // parts * step, size)


@jit
def _sum_rows(start, stop, x, row, scale):
    scale = row.dtype.type(scale)
    row = row[start:stop]
    for n in range(x.shape[0]):
        xn = x[n, start:stop]
        for f in range(row.size):
            row[f] += scale * xn[f]
