"""Recurrent cells on the CPU.  Meaning and shapes: kernels/reference/recurrent.py.

What does not depend on the state is one product for the whole sequence; a step is
one product with the state (two in a GRU) and one pass over its rows, which stay in
the nearest cache.  A pass is many short loops with few arrays each: LLVM vectorises
a loop only while it can afford to check that its arrays do not overlap.  Rows are
independent, so threads share no write.
"""
import math

import numpy as np

from ..formulas import exp, tanh
from . import functions  # noqa: F401  gives exp and tanh their compiled forms
from . import threads
from .compile import call, inline, jit
from .conv_frame import aligned
from .gemm import DOT_LIMIT, STREAM_LIMIT, multiply, pack_panels, panels_bytes, product_of_panels
from .linear import (RECORD, add_bands, bands_bytes, cut_bands, empty_vector, gemm, shared_bands, shared_product,
                     sum_rows)
from .simd import address


def lstm_update_output(x, w, b, peephole, projection, first, last, gates, h, c, m, y):
    """One LSTM over a sequence.  See the reference."""
    T, N, D = x.shape
    H = c.shape[2]
    _project(x, w[:D], b, gates)
    recurrent = w[D:]
    first, last, p = _or_none(first), _or_none(last), _or_empty(peephole, x)
    if m is None:
        panels = _panels(recurrent, T if N > STREAM_LIMIT else 0, N, False)
        parts, record, grain, bands = _sharing(recurrent, N, T, True)
        threads.run(_lstm_sequence, N, grain, gates, h, c, p, first, last, recurrent, panels, bands,
                    x[:0] if y is None else y, record, parts)
        return
    grain = threads.grain(30 * H, threads.ELEMENTS_PER_THREAD)
    for t in range(T):
        before, after = h[t], h[t + 1]
        gemm(before, recurrent, gates[t], 1.0, 1.0)
        threads.run(_lstm_cell, N, grain, t, gates[t], c[t], p, first, last, c[t + 1], m[t])
        gemm(m[t], projection, after)
        if y is not None:
            _hold_and_emit(0, N, t, before, first, last, after, y[t])


def lstm_update_grad_input(gates, c, w, peephole, projection, first, last, dy, dz, dr, dm, dh, dc, dx):
    """The gradients of x, of the gates' sums and of the first state.  See the reference."""
    T, N, R = dy.shape
    H = c.shape[2]
    D = w.shape[0] - R
    recurrent = w[D:]
    beta = 0.0 if first is None else 1.0
    first, last, p = _or_none(first), _or_none(last), _or_empty(peephole, gates)
    if dr is None:
        panels = _panels(recurrent, T if N > DOT_LIMIT else 0, N, True)
        parts, record, grain, _ = _sharing(recurrent, N, T, False)
        threads.run(_lstm_sequence_grad, N, grain, gates, c, dm, p, first, last, dy, recurrent, panels,
                    beta, dh, dc, dz, record, parts)
    else:
        grain = threads.grain(30 * H, threads.ELEMENTS_PER_THREAD)
        for t in range(T - 1, -1, -1):
            _collect(0, N, t, dy[t], first, last, dh, dr[t])
            gemm(dr[t], projection, dm, trans_b=True)
            threads.run(_lstm_cell_grad, N, grain, t, gates[t], c[t], c[t + 1], dm, p, first, last, dc, dz[t])
            gemm(dz[t], recurrent, dh, 1.0, beta, trans_b=True)
    if dx is not None:
        gemm(dz.reshape(T * N, 4 * H), w[:D], dx.reshape(T * N, D), trans_b=True)


#: From so many steps on a matrix that every step multiplies by is packed, once.
_STEPS = 4
#: From so many on, one of so many bytes, more than the nearest caches hold, is cut into bands for a row or two.
_BAND_STEPS, _BAND_BYTES = 24, 400_000


def _sharing(w, N, T, by_columns):
    """How the steps of a sequence are divided: parts of each product, memory for that, rows to a thread, and bands.

    Rows stay with a thread from the first step to the last.  But a few of them take as long as w
    takes to be read: then each product is divided, by columns.  Where these are w's, and steps and bytes
    are many, w is cut into bands, which are read faster.
    """
    few = N <= STREAM_LIMIT
    parts = threads.summon(threads.worth(N * w.size, w.size)) if few else 1
    cut = by_columns and few and T >= _BAND_STEPS and w.nbytes >= _BAND_BYTES
    cut = bands_bytes(*w.shape, w.itemsize) if cut else 0
    work = threads.workspace(8 * RECORD + cut) if cut or parts > 1 else threads.workspace(0)[:0]
    bands = work[8 * RECORD:]
    if cut:
        threads.run(cut_bands, parts, 1, parts, w, bands)
    return parts, work[:8 * RECORD].view(np.int64), threads.grain(T * w.size) if parts == 1 else N, bands[:cut]


def _panels(w, T, M, turned):
    """w (K, N), or its transpose if *turned*, packed for the products of T steps with M rows; empty for few steps."""
    if T < _STEPS or w.size == 0:
        return threads.workspace(0)[:0]
    K, N = w.shape[::-1] if turned else w.shape
    work = threads.workspace(64 + panels_bytes(N, K, w.itemsize))
    _pack(0, 1, w, M, turned, work)
    return work


@jit
def _pack(start, stop, w, M, turned, work):
    K, N, step, across = w.shape[0], w.shape[1], w.strides[0], w.itemsize
    if turned:
        K, N, step, across = N, K, across, step
    call(pack_panels, (w.dtype.type(0), M, N, K, address(w), step, across, aligned(work)))


def lstm_acc_grad_parameters(x, h, c, m, dz, dr, dw, db, dpeephole, dprojection, scale=1.0):
    """The parameters' gradients <- themselves + scale times this sequence's.  See the reference."""
    T, N, D = x.shape
    H, R = c.shape[2], h.shape[2]
    flat = dz.reshape(T * N, 4 * H)
    gemm(x.reshape(T * N, D), flat, dw[:D], scale, 1.0, trans_a=True)
    gemm(h[:T].reshape(T * N, R), flat, dw[D:], scale, 1.0, trans_a=True)
    sum_rows(flat, db, scale)
    if dpeephole is not None:
        _peephole_grad(0, H, flat, c[:T].reshape(T * N, H), c[1:].reshape(T * N, H), dpeephole, float(scale))
    if dprojection is not None:
        gemm(m.reshape(T * N, H), dr.reshape(T * N, R), dprojection, scale, 1.0, trans_a=True)


def gru_update_output(x, wa, ba, wc, bc, first, last, a, k, q, h, y):
    """One GRU over a sequence.  See the reference."""
    T, N, D = x.shape
    H = h.shape[2]
    _project(x, wa[:D], ba, a)
    _project(x, wc[:D], bc, k)
    gate, candidate = wa[D:], wc[D:]
    first, last = _or_none(first), _or_none(last)
    grain = threads.grain(20 * H, threads.ELEMENTS_PER_THREAD)
    for t in range(T):
        before, after = h[t], h[t + 1]
        gemm(before, gate, a[t], 1.0, 1.0)
        threads.run(_gru_gates, N, grain, before, a[t], q[t])
        gemm(q[t], candidate, k[t], 1.0, 1.0)
        threads.run(_gru_mix, N, grain, a[t], before, k[t], after)
        if y is not None:
            _hold_and_emit(0, N, t, before, first, last, after, y[t])


def gru_update_grad_input(h, a, k, wa, wc, first, last, dy, da, dk, dq, dh, dx):
    """The gradients of x, of the gates' sums and of h[0].  See the reference."""
    T, N, H = dy.shape
    D = wa.shape[0] - H
    gate, candidate = wa[D:], wc[D:]
    first, last = _or_none(first), _or_none(last)
    grain = threads.grain(20 * H, threads.ELEMENTS_PER_THREAD)
    for t in range(T - 1, -1, -1):
        threads.run(_gru_mix_grad, N, grain, t, h[t], a[t], k[t], dy[t], first, last, dh, da[t], dk[t])
        gemm(dk[t], candidate, dq, trans_b=True)
        threads.run(_gru_reset_grad, N, grain, t, h[t], a[t], dq, first, last, dh, da[t])
        gemm(da[t], gate, dh, 1.0, 1.0, trans_b=True)
    if dx is not None:
        flat = dx.reshape(T * N, D)
        gemm(da.reshape(T * N, 2 * H), wa[:D], flat, trans_b=True)
        gemm(dk.reshape(T * N, H), wc[:D], flat, 1.0, 1.0, trans_b=True)


def gru_acc_grad_parameters(x, h, q, da, dk, dwa, dba, dwc, dbc, scale=1.0):
    """The parameters' gradients <- themselves + scale times this sequence's.  See the reference."""
    T, N, D = x.shape
    H = h.shape[2]
    flat, gate, candidate = x.reshape(T * N, D), da.reshape(T * N, 2 * H), dk.reshape(T * N, H)
    gemm(flat, gate, dwa[:D], scale, 1.0, trans_a=True)
    gemm(h[:T].reshape(T * N, H), gate, dwa[D:], scale, 1.0, trans_a=True)
    gemm(flat, candidate, dwc[:D], scale, 1.0, trans_a=True)
    gemm(q.reshape(T * N, H), candidate, dwc[D:], scale, 1.0, trans_a=True)
    sum_rows(gate, dba, scale)
    sum_rows(candidate, dbc, scale)


def mufuru_update_output(s, v, ops, p, y):
    """y <- the weighted sum of the operations of s and v.  See the reference."""
    _mufuru(0, s.shape[0], s, v, ops, p, y)


def mufuru_update_grad_input(s, v, ops, p, dy, dp, ds, dv):
    """The gradients of mufuru_update_output.  See the reference."""
    _mufuru_grad(0, s.shape[0], s, v, ops, p, dy, dp, ds, dv)


def row_norms(x, norms):
    """norms[n] <- the length of row n.  See the reference."""
    _row_norms(0, x.shape[0], x, norms)


def add_norm_gradient(x, norms, others, dx, factor):
    """dx <- dx + factor (1 - others / norms) x, row by row.  See the reference."""
    _add_norm_gradient(0, x.shape[0], x, norms, others, dx, float(factor))


def _project(x, w, b, z):
    """z <- x w + b for the whole sequence."""
    T, N, D = x.shape
    gemm(x.reshape(T * N, D), w, z.reshape(T * N, w.shape[1]), bias=b)


_ALL_REAL = np.empty(0, np.int64)


def _or_none(steps):
    return _ALL_REAL if steps is None else steps


def _or_empty(matrix, like):
    return empty_vector(like).reshape(0, 0) if matrix is None else matrix


# -- rows ------------------------------------------------------------------------

@inline
def _real(t, n, first, last):
    return first.size == 0 or (first[n] <= t and t < last[n])


@inline
def _sigmoid(v):
    one = v.dtype.type(1)
    for j in range(v.size):
        v[j] = one / (one + exp(-v[j]))


@inline
def _tanh(v):
    for j in range(v.size):
        v[j] = tanh(v[j])


@inline
def _add_product(a, b, y):
    for j in range(y.size):
        y[j] += a[j] * b[j]


@inline
def _copy(x, y):
    for j in range(y.size):
        y[j] = x[j]


@inline
def _zero(y):
    for j in range(y.size):
        y[j] = 0


@jit
def _hold_and_emit(start, stop, t, before, first, last, after, y):
    for n in range(start, stop):
        if _real(t, n, first, last):
            _copy(after[n], y[n])
        else:
            _copy(before[n], after[n])
            _zero(y[n])


@jit
def _collect(start, stop, t, dy, first, last, dh, total):
    for n in range(start, stop):
        a, b, out = dy[n], dh[n], total[n]
        if _real(t, n, first, last):
            for j in range(out.size):
                out[j] = a[j] + b[j]
            if first.size:
                _zero(b)
        else:
            _zero(out)


# -- LSTM ------------------------------------------------------------------------

@jit
def _lstm_sequence(start, stop, z, h, c, p, first, last, w, panels, bands, y, record, parts):
    """All steps of some rows: the gates' sums, which x has its share in already, then the cells."""
    T, N, _ = z.shape
    K, M = w.shape
    size, one = w.itemsize, w.dtype.type(1)
    for t in range(T):
        before, after, gates = h[t], h[t + 1], z[t]
        if bands.size and parts > 1:
            shared_bands(one, record, N, M, K, address(before), K * size, aligned(bands), address(gates), M * size,
                         t & 1, parts)
        elif bands.size:
            add_bands(one, 0, 1, stop - start, M, K, address(before) + start * K * size, K * size, aligned(bands),
                      address(gates) + start * M * size, M * size, t & 1)
        elif parts > 1:
            shared_product(record, N, M, K, address(before), K * size, size, address(w), M * size, size,
                           address(gates), M * size, size, one, one, parts)
        elif panels.size:
            call(product_of_panels, (N, M, K, start, stop, address(before), K * size, size, aligned(panels),
                                     address(gates), M * size, one, one))
        else:
            multiply(N, M, K, start, stop, 0, M, address(before), K * size, size, address(w), M * size, size,
                     address(gates), M * size, size, one, one, 0, 0, 0)
        _lstm_cell(start, stop, t, gates, c[t], p, first, last, c[t + 1], after)
        if y.size:
            _hold_and_emit(start, stop, t, before, first, last, after, y[t])


@jit
def _lstm_sequence_grad(start, stop, z, c, dm, p, first, last, dy, w, panels, beta, dh, dc, dz, record, parts):
    """All steps of some rows, last to first."""
    T, N, _ = z.shape
    M, K = w.shape
    size, one, keep = w.itemsize, w.dtype.type(1), w.dtype.type(beta)
    for t in range(T - 1, -1, -1):
        _collect(start, stop, t, dy[t], first, last, dh, dm)
        _lstm_cell_grad(start, stop, t, z[t], c[t], c[t + 1], dm, p, first, last, dc, dz[t])
        d = dz[t]
        if parts > 1:
            shared_product(record, N, M, K, address(d), K * size, size, address(w), size, K * size,
                           address(dh), M * size, size, one, keep, parts)
        elif panels.size:
            call(product_of_panels, (N, M, K, start, stop, address(d), K * size, size, aligned(panels),
                                     address(dh), M * size, one, keep))
        else:
            multiply(N, M, K, start, stop, 0, M, address(d), K * size, size, address(w), size, K * size,
                     address(dh), M * size, size, one, keep, 0, 0, 0)


@jit
def _lstm_cell(start, stop, t, z, cp, p, first, last, c, m):
    H = c.shape[1]
    for n in range(start, stop):
        before, after, out = cp[n], c[n], m[n]
        if not _real(t, n, first, last):
            _copy(before, after)
            _zero(out)
            continue
        i, f, o, g = z[n, :H], z[n, H:2 * H], z[n, 2 * H:3 * H], z[n, 3 * H:]
        if p.size:
            _add_product(p[0], before, i)
            _add_product(p[1], before, f)
            _sigmoid(z[n, :2 * H])
        else:
            _sigmoid(z[n, :3 * H])
        _tanh(g)
        for j in range(after.size):
            after[j] = f[j] * before[j] + i[j] * g[j]
        if p.size:
            _add_product(p[2], after, o)
            _sigmoid(o)
        for j in range(out.size):
            out[j] = o[j] * tanh(after[j])


@jit
def _lstm_cell_grad(start, stop, t, z, cp, c, dm, p, first, last, dc, dz):
    H = c.shape[1]
    one = c.dtype.type(1)
    for n in range(start, stop):
        if not _real(t, n, first, last):
            _zero(dz[n])
            continue
        i, f, o, g = z[n, :H], z[n, H:2 * H], z[n, 2 * H:3 * H], z[n, 3 * H:]
        di, df, do, dg = dz[n, :H], dz[n, H:2 * H], dz[n, 2 * H:3 * H], dz[n, 3 * H:]
        before, after, d, cell = cp[n], c[n], dm[n], dc[n]
        for j in range(di.size):
            di[j] = tanh(after[j])  # kept here for the next two loops
        for j in range(cell.size):
            cell[j] += d[j] * o[j] * (one - di[j] * di[j])
        for j in range(do.size):
            do[j] = d[j] * di[j] * o[j] * (one - o[j])
        if p.size:
            _add_product(p[2], do, cell)
        for j in range(dg.size):
            dg[j] = cell[j] * i[j] * (one - g[j] * g[j])
        for j in range(df.size):
            df[j] = cell[j] * before[j] * f[j] * (one - f[j])
        for j in range(di.size):
            di[j] = cell[j] * g[j] * i[j] * (one - i[j])
        for j in range(cell.size):
            cell[j] *= f[j]
        if p.size:
            _add_product(p[0], di, cell)
            _add_product(p[1], df, cell)


@jit
def _peephole_grad(start, stop, dz, before, after, dp, scale):
    H = before.shape[1]
    scale = dp.dtype.type(scale)
    pi, pf, po = dp[0, start:stop], dp[1, start:stop], dp[2, start:stop]
    for n in range(dz.shape[0]):
        b, a = before[n, start:stop], after[n, start:stop]
        i, f, o = dz[n, start:stop], dz[n, H + start:H + stop], dz[n, 2 * H + start:2 * H + stop]
        for j in range(pi.size):
            pi[j] += scale * i[j] * b[j]
        for j in range(pf.size):
            pf[j] += scale * f[j] * b[j]
        for j in range(po.size):
            po[j] += scale * o[j] * a[j]


# -- GRU -------------------------------------------------------------------------

@jit
def _gru_gates(start, stop, h, a, q):
    H = h.shape[1]
    for n in range(start, stop):
        _sigmoid(a[n])
        r, before, out = a[n, :H], h[n], q[n]
        for j in range(out.size):
            out[j] = r[j] * before[j]


@jit
def _gru_mix(start, stop, a, h, k, y):
    H = h.shape[1]
    for n in range(start, stop):
        u, before, candidate, out = a[n, H:], h[n], k[n], y[n]
        _tanh(candidate)
        for j in range(out.size):
            out[j] = candidate[j] + u[j] * (before[j] - candidate[j])


@jit
def _gru_mix_grad(start, stop, t, h, a, k, dy, first, last, dh, da, dk):
    H = h.shape[1]
    one = h.dtype.type(1)
    for n in range(start, stop):
        if not _real(t, n, first, last):
            _zero(da[n])
            _zero(dk[n])
            continue
        u, before, candidate, source, d = a[n, H:], h[n], k[n], dy[n], dh[n]
        du, out = da[n, H:], dk[n]
        for j in range(d.size):
            d[j] += source[j]
        for j in range(out.size):
            out[j] = d[j] * (one - u[j]) * (one - candidate[j] * candidate[j])
        for j in range(du.size):
            du[j] = d[j] * (before[j] - candidate[j]) * u[j] * (one - u[j])
        for j in range(d.size):
            d[j] *= u[j]


@jit
def _gru_reset_grad(start, stop, t, h, a, dq, first, last, dh, da):
    H = h.shape[1]
    one = h.dtype.type(1)
    for n in range(start, stop):
        if not _real(t, n, first, last):
            continue
        r, before, source, d, dr = a[n, :H], h[n], dq[n], dh[n], da[n, :H]
        for j in range(dr.size):
            dr[j] = source[j] * before[j] * r[j] * (one - r[j])
        _add_product(source, r, d)


# -- MuFuRu and norms ----------------------------------------------------------------

@inline
def _operation(op, s, v):
    """Operation op: its value, and its derivatives by s and by v."""
    one, zero = type(s)(1), type(s)(0)
    if op == 0:
        return s, one, zero
    if op == 1:
        return v, zero, one
    if op == 2:
        return s * v, v, s
    if op == 3:
        return s - v, one, -one
    if op == 4:
        return zero * s, zero, zero
    if op == 5:
        d = s - v
        root = math.sqrt(abs(d))
        slope = zero if d == 0 else math.copysign(type(s)(0.125), d) / root
        return root * type(s)(0.25), slope, -slope
    if s != s:
        return s, zero, one
    if (op == 6 and s >= v) or (op == 7 and s <= v):
        return s, one, zero
    return v, zero, one


@jit
def _mufuru(start, stop, s, v, ops, p, y):
    count, H = p.shape[1], p.shape[2]
    for n in range(start, stop):
        for j in range(H):
            top = p[n, 0, j]
            for k in range(1, count):
                if p[n, k, j] > top:
                    top = p[n, k, j]
            total = type(top)(0)
            for k in range(count):
                e = exp(p[n, k, j] - top)
                p[n, k, j] = e
                total += e
            mixed = type(top)(0)
            for k in range(count):
                p[n, k, j] /= total
                mixed += p[n, k, j] * _operation(ops[k], s[n, j], v[n, j])[0]
            y[n, j] = mixed


@jit
def _mufuru_grad(start, stop, s, v, ops, p, dy, dp, ds, dv):
    count, H = p.shape[1], p.shape[2]
    for n in range(start, stop):
        for j in range(H):
            d = dy[n, j]
            by_s = by_v = dot = type(d)(0)
            for k in range(count):
                value, slope_s, slope_v = _operation(ops[k], s[n, j], v[n, j])
                weight = p[n, k, j]
                dp[n, k, j] = d * value
                dot += weight * d * value
                by_s += weight * d * slope_s
                by_v += weight * d * slope_v
            for k in range(count):
                dp[n, k, j] = p[n, k, j] * (dp[n, k, j] - dot)
            ds[n, j] = by_s
            dv[n, j] = by_v


@jit
def _row_norms(start, stop, x, norms):
    for n in range(start, stop):
        row = x[n]
        total = norms.dtype.type(0)
        for j in range(row.size):
            total += row[j] * row[j]
        norms[n] = math.sqrt(total)


@jit
def _add_norm_gradient(start, stop, x, norms, others, dx, factor):
    dtype = x.dtype.type
    for n in range(start, stop):
        if norms[n] == 0:
            continue
        slope = dtype(factor) * (dtype(1) - others[n] / norms[n])
        row, out = x[n], dx[n]
        for j in range(out.size):
            out[j] += slope * row[j]
