"""Recurrent cells on the device.  Meaning and shapes: kernels/reference/recurrent.py.

As on the CPU, what does not depend on the state is one product for the whole sequence, and a
step is one product with the state (two in a GRU) and one launch, in which a thread computes
one hidden unit of one row.
"""
import math

import numpy as np

from ..cpu import recurrent as cpu
from ..formulas import exp, tanh
from .compile import device, each, each_warp, number, on_device, per_item, per_warp, split, warp_sum
from .launch import scratch
from .linear import gemm, sum_rows

_real = on_device(cpu._real)
_operation = on_device(cpu._operation)


def lstm_update_output(x, w, b, peephole, projection, first, last, gates, h, c, m, y):
    """One LSTM over a sequence.  See the reference."""
    T, N, D = x.shape
    H, R = c.shape[2], h.shape[2]
    _project(x, w[:D], b, gates)
    recurrent = w[D:]
    first, last, p = _or_none(first, x), _or_none(last, x), _or_empty(peephole, x)
    for t in range(T):
        before, after = h[t], h[t + 1]
        gemm(before, recurrent, gates[t], 1.0, 1.0)
        each(_lstm_cell, N * H, t, gates[t], c[t], p, first, last, c[t + 1], after if m is None else m[t])
        if m is not None:
            gemm(m[t], projection, after)
        if y is not None:
            each(_hold_and_emit, N * R, t, before, first, last, after, y[t])


def lstm_update_grad_input(gates, c, w, peephole, projection, first, last, dy, dz, dr, dm, dh, dc, dx):
    """The gradients of x, of the gates' sums and of the first state.  See the reference."""
    T, N, R = dy.shape
    H = c.shape[2]
    D = w.shape[0] - R
    recurrent = w[D:]
    beta = 0.0 if first is None else 1.0
    first, last, p = _or_none(first, dy), _or_none(last, dy), _or_empty(peephole, dy)
    for t in range(T - 1, -1, -1):
        each(_collect, N * R, t, dy[t], first, last, dh, dm if dr is None else dr[t])
        if dr is not None:
            gemm(dr[t], projection, dm, trans_b=True)
        each(_lstm_cell_grad, N * H, t, gates[t], c[t], c[t + 1], dm, p, first, last, dc, dz[t])
        gemm(dz[t], recurrent, dh, 1.0, beta, trans_b=True)
    if dx is not None:
        gemm(dz.reshape(T * N, 4 * H), w[:D], dx.reshape(T * N, D), trans_b=True)


def lstm_acc_grad_parameters(x, h, c, m, dz, dr, dw, db, dpeephole, dprojection, scale=1.0):
    """The parameters' gradients <- themselves + scale times this sequence's.  See the reference."""
    T, N, D = x.shape
    H, R = c.shape[2], h.shape[2]
    flat = dz.reshape(T * N, 4 * H)
    gemm(x.reshape(T * N, D), flat, dw[:D], scale, 1.0, trans_a=True)
    gemm(h[:T].reshape(T * N, R), flat, dw[D:], scale, 1.0, trans_a=True)
    sum_rows(flat, db, scale)
    if dpeephole is not None:
        each(_peephole_grad, 3 * H, flat, c[:T].reshape(T * N, H), c[1:].reshape(T * N, H), dpeephole,
             number(scale, dw))
    if dprojection is not None:
        gemm(m.reshape(T * N, H), dr.reshape(T * N, R), dprojection, scale, 1.0, trans_a=True)


def gru_update_output(x, wa, ba, wc, bc, first, last, a, k, q, h, y):
    """One GRU over a sequence.  See the reference."""
    T, N, D = x.shape
    H = h.shape[2]
    _project(x, wa[:D], ba, a)
    _project(x, wc[:D], bc, k)
    gate, candidate = wa[D:], wc[D:]
    first, last = _or_none(first, x), _or_none(last, x)
    for t in range(T):
        before, after = h[t], h[t + 1]
        gemm(before, gate, a[t], 1.0, 1.0)
        each(_gru_gates, N * H, before, a[t], q[t])
        gemm(q[t], candidate, k[t], 1.0, 1.0)
        each(_gru_mix, N * H, a[t], before, k[t], after)
        if y is not None:
            each(_hold_and_emit, N * H, t, before, first, last, after, y[t])


def gru_update_grad_input(h, a, k, wa, wc, first, last, dy, da, dk, dq, dh, dx):
    """The gradients of x, of the gates' sums and of h[0].  See the reference."""
    T, N, H = dy.shape
    D = wa.shape[0] - H
    gate, candidate = wa[D:], wc[D:]
    first, last = _or_none(first, dy), _or_none(last, dy)
    for t in range(T - 1, -1, -1):
        each(_gru_mix_grad, N * H, t, h[t], a[t], k[t], dy[t], first, last, dh, da[t], dk[t])
        gemm(dk[t], candidate, dq, trans_b=True)
        each(_gru_reset_grad, N * H, t, h[t], a[t], dq, first, last, dh, da[t])
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
    each(_mufuru, s.size, s, v, ops, p, y)


def mufuru_update_grad_input(s, v, ops, p, dy, dp, ds, dv):
    """The gradients of mufuru_update_output.  See the reference."""
    each(_mufuru_grad, s.size, s, v, ops, p, dy, dp, ds, dv)


def row_norms(x, norms):
    """norms[n] <- the length of row n.  See the reference."""
    each_warp(_row_norms, x.shape[0], x, norms)


def add_norm_gradient(x, norms, others, dx, factor):
    """dx <- dx + factor (1 - others / norms) x, row by row.  See the reference."""
    each(_add_norm_gradient, x.size, x, norms, others, dx, number(factor, x))


def _project(x, w, b, z):
    """z <- x w + b for the whole sequence."""
    T, N, D = x.shape
    gemm(x.reshape(T * N, D), w, z.reshape(T * N, w.shape[1]), bias=b)


def _or_none(steps, like):
    return scratch(like, (0,), np.int64) if steps is None else steps


def _or_empty(matrix, like):
    return scratch(like, (0, 0), like.dtype) if matrix is None else matrix


@device
def _sigmoid(x):
    one = type(x)(1)
    return one / (one + exp(-x))


@per_item
def _hold_and_emit(i, t, before, first, last, after, y):
    n, j = split(i, y.shape[1])
    if _real(t, n, first, last):
        y[n, j] = after[n, j]
    else:
        after[n, j] = before[n, j]
        y[n, j] = 0


@per_item
def _collect(i, t, dy, first, last, dh, total):
    n, j = split(i, dy.shape[1])
    if _real(t, n, first, last):
        total[n, j] = dy[n, j] + dh[n, j]
        if first.size:
            dh[n, j] = 0
    else:
        total[n, j] = 0


# -- LSTM ------------------------------------------------------------------------

@per_item
def _lstm_cell(i, t, z, cp, p, first, last, c, m):
    H = c.shape[1]
    n, j = split(i, H)
    if _real(t, n, first, last):
        into, forget, out, before = z[n, j], z[n, H + j], z[n, 2 * H + j], cp[n, j]
        if p.size:
            into += p[0, j] * before
            forget += p[1, j] * before
        into, forget, candidate = _sigmoid(into), _sigmoid(forget), tanh(z[n, 3 * H + j])
        after = forget * before + into * candidate
        if p.size:
            out += p[2, j] * after
        out = _sigmoid(out)
        z[n, j], z[n, H + j], z[n, 2 * H + j], z[n, 3 * H + j] = into, forget, out, candidate
        c[n, j] = after
        m[n, j] = out * tanh(after)
    else:
        c[n, j] = cp[n, j]
        m[n, j] = 0


@per_item
def _lstm_cell_grad(i, t, z, cp, c, dm, p, first, last, dc, dz):
    H = c.shape[1]
    n, j = split(i, H)
    one, zero = c.dtype.type(1), c.dtype.type(0)
    by_into, by_forget, by_out, by_candidate = zero, zero, zero, zero
    if _real(t, n, first, last):
        into, forget, out, candidate = z[n, j], z[n, H + j], z[n, 2 * H + j], z[n, 3 * H + j]
        d, shown = dm[n, j], tanh(c[n, j])
        cell = dc[n, j] + d * out * (one - shown * shown)
        by_out = d * shown * out * (one - out)
        if p.size:
            cell += p[2, j] * by_out
        by_candidate = cell * into * (one - candidate * candidate)
        by_forget = cell * cp[n, j] * forget * (one - forget)
        by_into = cell * candidate * into * (one - into)
        cell *= forget
        if p.size:
            cell += p[0, j] * by_into + p[1, j] * by_forget
        dc[n, j] = cell
    dz[n, j], dz[n, H + j], dz[n, 2 * H + j], dz[n, 3 * H + j] = by_into, by_forget, by_out, by_candidate


@per_item
def _peephole_grad(i, dz, before, after, dp, scale):
    gate, j = split(i, before.shape[1])
    total = dz.dtype.type(0)
    for n in range(dz.shape[0]):
        total += dz[n, i] * (before[n, j] if gate < 2 else after[n, j])
    dp[gate, j] += scale * total


# -- GRU -------------------------------------------------------------------------

@per_item
def _gru_gates(i, h, a, q):
    H = h.shape[1]
    n, j = split(i, H)
    reset = _sigmoid(a[n, j])
    a[n, j], a[n, H + j] = reset, _sigmoid(a[n, H + j])
    q[n, j] = reset * h[n, j]


@per_item
def _gru_mix(i, a, h, k, y):
    H = h.shape[1]
    n, j = split(i, H)
    candidate = tanh(k[n, j])
    k[n, j] = candidate
    y[n, j] = candidate + a[n, H + j] * (h[n, j] - candidate)


@per_item
def _gru_mix_grad(i, t, h, a, k, dy, first, last, dh, da, dk):
    H = h.shape[1]
    n, j = split(i, H)
    one, by_update, by_candidate = h.dtype.type(1), h.dtype.type(0), h.dtype.type(0)
    if _real(t, n, first, last):
        update, candidate, d = a[n, H + j], k[n, j], dh[n, j] + dy[n, j]
        by_candidate = d * (one - update) * (one - candidate * candidate)
        by_update = d * (h[n, j] - candidate) * update * (one - update)
        dh[n, j] = d * update
    # The reset gate's follows in _gru_reset_grad, where the step is real.
    da[n, j] = 0
    da[n, H + j] = by_update
    dk[n, j] = by_candidate


@per_item
def _gru_reset_grad(i, t, h, a, dq, first, last, dh, da):
    n, j = split(i, h.shape[1])
    if _real(t, n, first, last):
        reset, d = a[n, j], dq[n, j]
        da[n, j] = d * h[n, j] * reset * (h.dtype.type(1) - reset)
        dh[n, j] += d * reset


# -- MuFuRu and norms ----------------------------------------------------------------

@per_item
def _mufuru(i, s, v, ops, p, y):
    n, j = split(i, s.shape[1])
    count, top = p.shape[1], p[n, 0, j]
    for k in range(1, count):
        if p[n, k, j] > top:
            top = p[n, k, j]
    total, mixed = s.dtype.type(0), s.dtype.type(0)
    for k in range(count):
        e = exp(p[n, k, j] - top)
        p[n, k, j] = e
        total += e
    for k in range(count):
        share = p[n, k, j] / total
        p[n, k, j] = share
        mixed += share * _operation(ops[k], s[n, j], v[n, j])[0]
    y[n, j] = mixed


@per_item
def _mufuru_grad(i, s, v, ops, p, dy, dp, ds, dv):
    n, j = split(i, s.shape[1])
    count, d = p.shape[1], dy[n, j]
    by_s, by_v, dot = s.dtype.type(0), s.dtype.type(0), s.dtype.type(0)
    for k in range(count):
        value, slope_s, slope_v = _operation(ops[k], s[n, j], v[n, j])
        weight = p[n, k, j]
        dot += weight * d * value
        by_s += weight * d * slope_s
        by_v += weight * d * slope_v
    for k in range(count):
        dp[n, k, j] = p[n, k, j] * (d * _operation(ops[k], s[n, j], v[n, j])[0] - dot)
    ds[n, j] = by_s
    dv[n, j] = by_v


@per_warp
def _row_norms(n, lane, x, norms):
    total = x.dtype.type(0)
    for j in range(lane, x.shape[1], 32):
        total += x[n, j] * x[n, j]
    total = warp_sum(total)
    if lane == 0:
        norms[n] = math.sqrt(total)


@per_item
def _add_norm_gradient(i, x, norms, others, dx, factor):
    n, j = split(i, x.shape[1])
    if norms[n] != 0:
        dx[n, j] += factor * (x.dtype.type(1) - others[n] / norms[n]) * x[n, j]
