"""Rows of a table picked by number, on the CPU.  Meaning: kernels/reference/lookup.py.

Where rows are added to, every thread reads all indices and takes those of its own
part of the table: a row has one writer, which meets its gradients in their order.
"""
import math

import numpy as np

from . import threads
from .compile import inline, jit
from .views import flat


def first_outside(indices, where, low, high):
    """where <- the position of the first index outside.  See the reference."""
    _first_outside(indices, where, low, high)


def lookup_update_output(indices, w, y):
    """y <- the rows of w.  See the reference."""
    if y.size < 2 * threads.ELEMENTS_PER_THREAD:
        _gather(0, indices.size, indices, w, y)
    else:
        threads.run(_gather, indices.size, threads.grain(w.shape[1], threads.ELEMENTS_PER_THREAD), indices, w, y)


def lookup_count(indices, counts):
    """counts <- how often each index occurs.  See the reference."""
    _count(indices, counts)


def lookup_acc_grad_parameters(indices, dy, counts, dw, scale=1.0, padding=-1):
    """dw <- itself + scale dy in the rows of the indices.  See the reference."""
    counts = _NO_COUNTS if counts is None else counts
    scale = float(scale)
    if dy.size < 2 * threads.ELEMENTS_PER_THREAD:
        _scatter(0, dw.shape[0], indices, dy, counts, dw, scale, padding)
    else:
        threads.run(_scatter, dw.shape[0], threads.grain(dy.size // dw.shape[0], threads.ELEMENTS_PER_THREAD),
                    indices, dy, counts, dw, scale, padding)


def lookup_renorm(indices, w, max_norm, norm_type):
    """Scale rows of w down to max_norm.  See the reference."""
    _renorm(indices, w, float(max_norm), float(norm_type))


def note_rows(indices, flags, rows, count):
    """Append new indices to rows.  See the reference."""
    _note(indices, flags, rows, count)


def add_scaled_rows(rows, x, y, scale):
    """y <- itself + scale x at the rows.  See the reference."""
    _add_scaled(rows, x, y, float(scale))


def clear_rows(rows, x, flags, count):
    """x <- 0 at the rows, which are forgotten.  See the reference."""
    _clear(rows, x, flags, count)


_NO_COUNTS = np.empty(0, np.int32)


@jit
def _first_outside(indices, where, low, high):
    outside = 0
    for n in range(indices.size):
        outside += (indices[n] < low) | (indices[n] >= high)
    where[0] = -1
    if outside:
        for n in range(indices.size):
            if indices[n] < low or indices[n] >= high:
                where[0] = n
                return


@jit
def _gather(start, stop, indices, w, y):
    # Flat, so that the copy of a row is a plain run of memory.
    D = w.shape[1]
    flat_w, flat_y = flat(w), flat(y)
    for n in range(start, stop):
        k = indices[n] * D
        row, yn = flat_w[k:k + D], flat_y[n * D:n * D + D]
        for d in range(D):
            yn[d] = row[d]


@jit
def _count(indices, counts):
    for n in range(indices.size):
        counts[indices[n]] = 0
    for n in range(indices.size):
        counts[indices[n]] += 1


@jit
def _scatter(start, stop, indices, dy, counts, dw, scale, padding):
    for n in range(indices.size):
        k = indices[n]
        if start <= k < stop and k != padding:
            factor = dw.dtype.type(scale)
            if counts.size:
                factor /= dw.dtype.type(counts[k])
            row, dyn = dw[k], dy[n]
            for d in range(row.size):
                row[d] += factor * dyn[d]


@inline
def _norm(row, p):
    total = 0.0
    if p == 2:
        for d in range(row.size):
            total += row[d] * row[d]
        return math.sqrt(total)
    for d in range(row.size):
        total += abs(row[d]) if p == 1 else math.pow(abs(row[d]), p)
    return total if p == 1 else math.pow(total, 1 / p)


@jit
def _renorm(indices, w, max_norm, norm_type):
    for n in range(indices.size):
        row = w[indices[n]]
        norm = _norm(row, norm_type)
        if norm > max_norm:
            factor = row.dtype.type(max_norm / (norm + 1e-7))
            for d in range(row.size):
                row[d] *= factor


@jit
def _note(indices, flags, rows, count):
    found = count[0]
    for n in range(indices.size):
        k = indices[n]
        if not flags[k]:
            flags[k] = 1
            rows[found] = k
            found += 1
    count[0] = found


@jit
def _add_scaled(rows, x, y, scale):
    scale = y.dtype.type(scale)
    for a in range(x.shape[0]):
        for r in range(rows.size):
            xk, yk = x[a, rows[r]], y[a, rows[r]]
            for b in range(xk.size):
                yk[b] += scale * xk[b]


@jit
def _clear(rows, x, flags, count):
    for a in range(x.shape[0]):
        for r in range(rows.size):
            xk = x[a, rows[r]]
            for b in range(xk.size):
                xk[b] = 0
    for r in range(rows.size):
        flags[rows[r]] = 0
    count[0] = 0
