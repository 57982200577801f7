"""Recurrent cells over whole sequences, in plain NumPy.  A single step is a sequence of one.

T steps of N rows; D features in, H hidden units, R features out (H unless projected).
State arrays have T + 1 entries: entry 0 is the state before the first step and is
read, entry t + 1 is the state after step t and is written.

``first`` and ``last`` are (N,) int64, or None: row n is real in the steps
first[n] <= t < last[n].  Elsewhere its state stays as it was, its output is 0 and
its gradients are 0.
"""
import numpy as np

from .. import formulas


def lstm_update_output(x, w, b, peephole, projection, first, last, gates, h, c, m, y):
    """One LSTM over a sequence.

    x           (T, N, D)
    w           (D + R, 4 H)    columns: input gate, forget gate, output gate, candidate
    b           (4 H,)
    peephole    (3, H) or None  from the cell to the input, forget and output gate
    projection  (H, R) or None
    gates       (T, N, 4 H)     [out] i, f, o, g after their nonlinearities
    h           (T + 1, N, R)   entry 0 read, the others [out]
    c           (T + 1, N, H)   entry 0 read, the others [out]
    m           (T, N, H)       [out] what is projected; None without a projection
    y           (T, N, R)       [out] h[1:] with 0 where no step is real; None where all are

    i = sigmoid(. + p_i c'), f = sigmoid(. + p_f c'), g = tanh(.), c = f c' + i g,
    o = sigmoid(. + p_o c), m = o tanh(c), h = m or m @ projection; c' is the cell before.
    """
    D, H = x.shape[2], c.shape[2]
    with np.errstate(all="ignore"):
        for t in range(x.shape[0]):
            z = gates[t]
            z[...] = x[t] @ w[:D] + b + h[t] @ w[D:]
            i, f, o, g = (z[:, k * H:(k + 1) * H] for k in range(4))
            if peephole is not None:
                i += peephole[0] * c[t]
                f += peephole[1] * c[t]
            i[...], f[...], g[...] = formulas.sigmoid(i), formulas.sigmoid(f), np.tanh(g)
            c[t + 1] = f * c[t] + i * g
            if peephole is not None:
                o += peephole[2] * c[t + 1]
            o[...] = formulas.sigmoid(o)
            mixed = o * np.tanh(c[t + 1])
            if m is not None:
                m[t] = mixed
                mixed = mixed @ projection
            h[t + 1] = mixed
            _hold(t, first, last, h, c)
            if y is not None:
                y[t] = np.where(_real(t, first, last), h[t + 1], 0)


def lstm_update_grad_input(gates, c, w, peephole, projection, first, last, dy, dz, dr, dm, dh, dc, dx):
    """The gradients of x, of what the gates sum up, and of the state before the first step.

    gates, c    of the forward pass
    w, peephole, projection  the parameters
    dy          (T, N, R)    gradient of the outputs
    dz          (T, N, 4 H)  [out] gradient of the gates' sums
    dr          (T, N, R)    [out] gradient of h of each step; None without a projection
    dm          (N, H)       [out] scratch
    dh, dc      (N, R), (N, H)  on entry the gradients of the state after the last step,
                on return those of the state before the first
    dx          (T, N, D)    [out], or None
    """
    H = c.shape[2]
    D = w.shape[0] - dh.shape[1]
    with np.errstate(all="ignore"):
        for t in reversed(range(dy.shape[0])):
            real = _real(t, first, last)
            total = np.where(real, dh + dy[t], 0)
            if dr is not None:
                dr[t] = total
                total = total @ projection.T
            dm[...] = total
            i, f, o, g = (gates[t][:, k * H:(k + 1) * H] for k in range(4))
            tanh_c = np.tanh(c[t + 1])
            do = dm * tanh_c * o * (1 - o)
            cell = dc + dm * o * (1 - tanh_c * tanh_c)
            if peephole is not None:
                cell = cell + do * peephole[2]
            di, df, dg = cell * g * i * (1 - i), cell * c[t] * f * (1 - f), cell * i * (1 - g * g)
            dz[t] = np.where(real, np.concatenate([di, df, do, dg], axis=1), 0)
            before = cell * f
            if peephole is not None:
                before = before + di * peephole[0] + df * peephole[1]
            dc[...] = np.where(real, before, dc)
            dh[...] = np.where(real, 0, dh) + dz[t] @ w[D:].T
        if dx is not None:
            dx[...] = dz @ w[:D].T


def lstm_acc_grad_parameters(x, h, c, m, dz, dr, dw, db, dpeephole, dprojection, scale=1.0):
    """The parameters' gradients <- themselves + scale times those of this sequence.

    x, h, c, m, dz, dr  as above
    dw, db              (D + R, 4 H), (4 H,)  added to
    dpeephole           (3, H) or None        added to
    dprojection         (H, R) or None        added to
    """
    D, H = x.shape[2], c.shape[2]
    scale = dw.dtype.type(scale)
    with np.errstate(all="ignore"):
        flat = dz.reshape(-1, 4 * H)
        dw[:D] += scale * (x.reshape(-1, D).T @ flat)
        dw[D:] += scale * (h[:-1].reshape(-1, h.shape[2]).T @ flat)
        db += scale * flat.sum(axis=0)
        if dpeephole is not None:
            dpeephole[0] += scale * (dz[..., :H] * c[:-1]).sum(axis=(0, 1))
            dpeephole[1] += scale * (dz[..., H:2 * H] * c[:-1]).sum(axis=(0, 1))
            dpeephole[2] += scale * (dz[..., 2 * H:3 * H] * c[1:]).sum(axis=(0, 1))
        if dprojection is not None:
            dprojection += scale * (m.reshape(-1, H).T @ dr.reshape(-1, dr.shape[2]))


def gru_update_output(x, wa, ba, wc, bc, first, last, a, k, q, h, y):
    """One GRU over a sequence.

    x   (T, N, D)
    wa  (D + H, 2 H)   columns: reset gate, update gate;  ba  (2 H,)
    wc  (D + H, H)     candidate;  bc  (H,)
    a   (T, N, 2 H)    [out] r and u
    k   (T, N, H)      [out] the candidate
    q   (T, N, H)      [out] r h'
    h   (T + 1, N, H)  entry 0 read, the others [out]
    y   (T, N, H)      [out] h[1:] with 0 where no step is real; None where all are

    r, u = sigmoid(.), k = tanh(x wc + (r h') wc), h = (1 - u) k + u h'; h' is the state
    before.  The reset gate acts before the product, as in Cho et al. (2014).
    """
    D, H = x.shape[2], h.shape[2]
    with np.errstate(all="ignore"):
        for t in range(x.shape[0]):
            a[t] = formulas.sigmoid(x[t] @ wa[:D] + ba + h[t] @ wa[D:])
            r, u = a[t][:, :H], a[t][:, H:]
            q[t] = r * h[t]
            k[t] = np.tanh(x[t] @ wc[:D] + bc + q[t] @ wc[D:])
            h[t + 1] = k[t] + u * (h[t] - k[t])
            _hold(t, first, last, h)
            if y is not None:
                y[t] = np.where(_real(t, first, last), h[t + 1], 0)


def gru_update_grad_input(h, a, k, wa, wc, first, last, dy, da, dk, dq, dh, dx):
    """The gradients of x, of what the gates and the candidate sum up, and of h[0].

    h, a, k  of the forward pass
    wa, wc   the weights
    dy       (T, N, H)
    da, dk   (T, N, 2 H), (T, N, H)  [out]
    dq       (N, H)     [out] scratch
    dh       (N, H)     on entry the gradient of the state after the last step, on
             return that of the state before the first
    dx       (T, N, D)  [out], or None
    """
    H = h.shape[2]
    D = wa.shape[0] - H
    with np.errstate(all="ignore"):
        for t in reversed(range(dy.shape[0])):
            real = _real(t, first, last)
            total = np.where(real, dh + dy[t], 0)
            r, u = a[t][:, :H], a[t][:, H:]
            dk[t] = np.where(real, total * (1 - u) * (1 - k[t] * k[t]), 0)
            dq[...] = dk[t] @ wc[D:].T
            da[t][:, :H] = np.where(real, dq * h[t] * r * (1 - r), 0)
            da[t][:, H:] = np.where(real, total * (h[t] - k[t]) * u * (1 - u), 0)
            dh[...] = np.where(real, total * u + dq * r, dh) + da[t] @ wa[D:].T
        if dx is not None:
            dx[...] = da @ wa[:D].T + dk @ wc[:D].T


def gru_acc_grad_parameters(x, h, q, da, dk, dwa, dba, dwc, dbc, scale=1.0):
    """The parameters' gradients <- themselves + scale times those of this sequence.

    x, h, q, da, dk     as above
    dwa, dba, dwc, dbc  shaped like wa, ba, wc, bc; added to
    """
    D, H = x.shape[2], h.shape[2]
    scale = dwa.dtype.type(scale)
    with np.errstate(all="ignore"):
        gate, candidate = da.reshape(-1, 2 * H), dk.reshape(-1, H)
        dwa[:D] += scale * (x.reshape(-1, D).T @ gate)
        dwa[D:] += scale * (h[:-1].reshape(-1, H).T @ gate)
        dwc[:D] += scale * (x.reshape(-1, D).T @ candidate)
        dwc[D:] += scale * (q.reshape(-1, H).T @ candidate)
        dba += scale * gate.sum(axis=0)
        dbc += scale * candidate.sum(axis=0)


def mufuru_update_output(s, v, ops, p, y):
    """y <- the sum over k of p[:, k] times operation ops[k] of s and v, element by element.

    s, v  (N, H)     the state before, and the new feature
    ops   (K,)       int64: 0 keep s, 1 replace v, 2 s v, 3 s - v, 4 forget 0,
                     5 sqrt(|s - v|) / 4, 6 max, 7 min
    p     (N, K, H)  on entry any numbers, on return their softmax over k
    y     (N, H)     [out]
    """
    with np.errstate(all="ignore"):
        e = np.exp(p - p.max(axis=1, keepdims=True))
        p[...] = e / e.sum(axis=1, keepdims=True)
        y[...] = sum(p[:, k] * _operation(op, s, v)[0] for k, op in enumerate(ops))


def mufuru_update_grad_input(s, v, ops, p, dy, dp, ds, dv):
    """The gradients of mufuru_update_output.

    s, v, ops, p  p is the softmax
    dy            (N, H)
    dp            (N, K, H)  [out] gradient of what the softmax was taken of
    ds, dv        (N, H)     [out]

    Where s equals v, max and min take s, and the derivative of the root is 0.
    """
    with np.errstate(all="ignore"):
        ds[...] = 0
        dv[...] = 0
        for k, op in enumerate(ops):
            value, by_s, by_v = _operation(op, s, v)
            dp[:, k] = dy * value
            ds += p[:, k] * dy * by_s
            dv += p[:, k] * dy * by_v
        dp[...] = p * (dp - (p * dp).sum(axis=1, keepdims=True))


def row_norms(x, norms):
    """norms[n] <- the length of row n.

    x      (N, F)
    norms  (N,)  [out]
    """
    with np.errstate(all="ignore"):
        norms[...] = np.sqrt((x * x).sum(axis=1))


def add_norm_gradient(x, norms, others, dx, factor):
    """dx <- dx + factor (1 - others / norms) x, row by row; a row of length 0 adds nothing.

    x              (N, F)
    norms, others  (N,)    lengths of the rows of x, and of another step
    dx             (N, F)  added to
    factor         a number
    """
    with np.errstate(all="ignore"):
        slope = np.where(norms == 0, 0, x.dtype.type(factor) * (1 - others / norms))
        dx += slope[:, None] * x


def _real(t, first, last):
    """(N, 1): whether step t is real, row by row; True where all are."""
    return np.True_ if first is None else ((first <= t) & (t < last))[:, None]


def _hold(t, first, last, *states):
    """Where step t is not real, the state after it is the one before."""
    if first is not None:
        real = _real(t, first, last)
        for state in states:
            state[t + 1] = np.where(real, state[t + 1], state[t])


def _operation(op, s, v):
    """Operation *op*: its value, and its derivatives by s and by v."""
    one, zero = np.ones_like(s), np.zeros_like(s)
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
        root = np.sqrt(np.abs(s - v))
        slope = np.where(s == v, 0, np.sign(s - v) * 0.125 / root)
        return root / 4, slope, -slope
    # A comparison with NaN is false; max and min pass it on all the same.
    first = s >= v if op == 6 else s <= v
    chosen = np.where(first, s, np.where(s == s, v, s))
    return chosen, np.where(first, one, zero), np.where(first, zero, one)
