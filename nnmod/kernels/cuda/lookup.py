"""Rows of a table picked by number, on the device.  Meaning: kernels/reference/lookup.py.

Where rows are changed, the first place at which a number stands owns its row: its thread
looks for the number's other places itself, and meets them in their order.
"""
import math

import numpy as np

from .chains import chains
from .compile import THREADS, device, each, each_warp, number, per_item, per_warp, split, warp_sum
from .launch import launch, scratch
from .target import cuda


def first_outside(indices, where, low, high):
    """where <- the position of the first index outside.  See the reference."""
    launch(_first_outside, 1, THREADS, indices, where, low, high)


def lookup_update_output(indices, w, y):
    """y <- the rows of w.  See the reference."""
    each(_gather, y.size, indices, w, y)


def lookup_count(indices, counts):
    """counts <- how often each index occurs.  See the reference."""
    each(_count, indices.size, indices, *chains(indices), counts)


def lookup_acc_grad_parameters(indices, dy, counts, dw, scale=1.0, padding=-1):
    """dw <- itself + scale dy in the rows of the indices.  See the reference."""
    counts = scratch(dw, (0,), np.int32) if counts is None else counts
    each(_scatter, dy.size, indices, *chains(indices), dy, counts, dw, number(scale, dw), padding)


def lookup_renorm(indices, w, max_norm, norm_type):
    """Scale rows of w down to max_norm.  See the reference."""
    heads, _ = chains(indices)
    each_warp(_renorm, indices.size, indices, heads, w, number(max_norm, w), number(norm_type, w))


def note_rows(indices, flags, rows, count):
    """Append new indices to rows.  See the reference."""
    fresh, _ = chains(indices)
    each(_leave_out, indices.size, indices, flags, fresh)
    each(_note, indices.size, indices, fresh, flags, rows, count)
    launch(_add_count, 1, 32, fresh, count)


def add_scaled_rows(rows, x, y, scale):
    """y <- itself + scale x at the rows.  See the reference."""
    each(_add_scaled, x.shape[0] * rows.size * x.shape[2], rows, x, y, number(scale, y))


def clear_rows(rows, x, flags, count):
    """x <- 0 at the rows, which are forgotten.  See the reference."""
    each(_clear, x.shape[0] * rows.size * x.shape[2], rows, x)
    each(_forget, rows.size + 1, rows, flags, count)


def _first_outside(indices, where, low, high):
    first = indices.size
    for n in range(cuda.threadIdx.x, indices.size, THREADS):
        if first == indices.size and (indices[n] < low or indices[n] >= high):
            first = n
    note_least(first, indices.size, where)


@device
def note_least(first, size, where):
    """where[0] <- the least *first* of a block's threads, of which there are THREADS; -1 if that is *size*."""
    firsts = cuda.shared.array(THREADS, np.int64)
    thread = cuda.threadIdx.x
    firsts[thread] = first
    step = THREADS // 2
    while step > 0:
        cuda.syncthreads()
        if thread < step:
            firsts[thread] = min(firsts[thread], firsts[thread + step])
        step //= 2
    if thread == 0:
        where[0] = firsts[0] if firsts[0] < size else -1


@per_item
def _gather(i, indices, w, y):
    n, d = split(i, y.shape[1])
    y[n, d] = w[indices[n], d]


@per_item
def _count(n, indices, heads, following, counts):
    n = np.int64(n)
    if heads[n]:
        k, total = indices[n], 0
        while n >= 0:
            total += 1
            n = np.int64(following[n])
        counts[k] = total


@per_item
def _scatter(i, indices, heads, following, dy, counts, dw, scale, padding):
    n, d = split(i, dy.shape[1])
    n = np.int64(n)
    k = indices[n]
    if heads[n] and k != padding:
        if counts.size:
            scale /= dw.dtype.type(counts[k])
        total = dw[k, d]
        while n >= 0:
            total += scale * dy[n, d]
            n = np.int64(following[n])
        dw[k, d] = total


@per_warp
def _renorm(n, lane, indices, heads, w, max_norm, p):
    k = indices[n]
    if heads[n]:  # for all threads of the warp alike
        total = w.dtype.type(0)
        for d in range(lane, w.shape[1], 32):
            size = abs(w[k, d])
            total += size * size if p == 2 else (size if p == 1 else math.pow(size, p))
        total = warp_sum(total)
        norm = math.sqrt(total) if p == 2 else (total if p == 1 else math.pow(total, w.dtype.type(1) / p))
        if norm > max_norm:
            factor = max_norm / (norm + w.dtype.type(1e-7))
            for d in range(lane, w.shape[1], 32):
                w[k, d] *= factor


@per_item
def _leave_out(n, indices, flags, fresh):
    if flags[indices[n]]:
        fresh[n] = 0


@per_item
def _note(n, indices, fresh, flags, rows, count):
    n = np.int64(n)
    if fresh[n]:
        at = count[0]
        for other in range(n):
            at += fresh[other]
        rows[at] = indices[n]
        flags[indices[n]] = 1


def _add_count(fresh, count):
    total = 0
    for n in range(cuda.threadIdx.x, fresh.size, 32):
        total += fresh[n]
    total = warp_sum(np.int64(total))
    if cuda.threadIdx.x == 0:
        count[0] += total


@per_item
def _add_scaled(i, rows, x, y, scale):
    i, b = split(i, x.shape[2])
    a, r = split(i, rows.size)
    y[a, rows[r], b] += scale * x[a, rows[r], b]


@per_item
def _clear(i, rows, x):
    i, b = split(i, x.shape[2])
    a, r = split(i, rows.size)
    x[a, rows[r], b] = 0


@per_item
def _forget(r, rows, flags, count):
    if r < rows.size:
        flags[rows[r]] = 0
    else:
        count[0] = 0
