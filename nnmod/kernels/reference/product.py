"""Products and distances of tables of tensors, in plain NumPy.

N counts the rows of a batch, F what one row holds.
"""
import numpy as np


def batch_gemm(a, b, c, trans_a=False, trans_b=False):
    """c[n] <- op(a[n]) op(b[n]), where op transposes if asked.

    a  (B, M, K), or (B, K, M) with trans_a
    b  (B, K, N), or (B, N, K) with trans_b
    c  (B, M, N)  [out]

    trans_a and trans_b are True or False.
    """
    with np.errstate(all="ignore"):
        c[...] = (a.swapaxes(1, 2) if trans_a else a) @ (b.swapaxes(1, 2) if trans_b else b)


def dot_rows(a, b, y):
    """y[n] <- the sum over f of a[n, f] b[n, f].

    a, b  (N, F)
    y     (N,)  [out]
    """
    with np.errstate(all="ignore"):
        y[...] = (a * b).sum(axis=1)


def scale_rows(factor, x, y):
    """y[n, f] <- factor[n] x[n, f]

    factor  (N,)
    x       (N, F)
    y       (N, F)  [out]
    """
    with np.errstate(all="ignore"):
        y[...] = factor[:, None] * x


def cosine_update_output(a, b, y, norms):
    """y[n] <- a[n] . b[n] / (|a[n]| |b[n]|)

    a, b   (N, F)
    y      (N,)    [out]
    norms  (2, N)  [out] 1 / (|a|^2 + eps) and 1 / (|b|^2 + eps), with eps = 1e-12
    """
    eps = a.dtype.type(1e-12)
    with np.errstate(all="ignore"):
        norms[0] = 1 / ((a * a).sum(axis=1) + eps)
        norms[1] = 1 / ((b * b).sum(axis=1) + eps)
        y[...] = (a * b).sum(axis=1) * np.sqrt(norms[0]) * np.sqrt(norms[1])


def cosine_update_grad_input(a, b, y, norms, dy, da, db):
    """da, db <- the gradients of a and b.

    With w = sqrt(norms[0] norms[1]):  da = dy (w b - y norms[0] a), and db likewise.

    a, b      (N, F)
    y, norms  of the forward pass
    dy        (N,)
    da, db    (N, F)  [out]
    """
    with np.errstate(all="ignore"):
        cross = (dy * np.sqrt(norms[0]) * np.sqrt(norms[1]))[:, None]
        da[...] = cross * b - (dy * y * norms[0])[:, None] * a
        db[...] = cross * a - (dy * y * norms[1])[:, None] * b


def distance_update_output(a, b, y, p):
    """y[n] <- (the sum over f of |a[n, f] - b[n, f]|^p)^(1/p)

    a, b  (N, F)
    y     (N,)  [out]
    p     a number > 0
    """
    with np.errstate(all="ignore"):
        y[...] = (np.abs(a - b) ** a.dtype.type(p)).sum(axis=1) ** a.dtype.type(1 / p)


def distance_update_grad_input(a, b, y, dy, da, db, p):
    """da <- dy sign(a - b) |a - b|^(p-1) (y + 1e-6)^(1-p), db <- -da.

    a, b    (N, F)
    y       (N,)  of the forward pass
    dy      (N,)
    da, db  (N, F)  [out]
    p       a number > 0

    1e-6 keeps the gradient of equal rows finite.  Where a equals b it is 0.
    """
    with np.errstate(all="ignore"):
        d = a - b
        slope = np.where(d == 0, a.dtype.type(0), np.sign(d) * np.abs(d) ** a.dtype.type(p - 1))
        da[...] = slope * (dy * (y + y.dtype.type(1e-6)) ** y.dtype.type(1 - p))[:, None]
        db[...] = -da


def mixture_update_output(gate, x, y, first=0, accumulate=False):
    """y[n, a, b] <- the sum over e of gate[n, first + e] x[n, a, e, b]

    gate  (N, G)
    x     (N, A, E, B)
    y     (N, A, B)  [out], and read first with accumulate
    first  which column of gate belongs to the first e
    accumulate  add to y
    """
    with np.errstate(all="ignore"):
        total = np.einsum("ne,naeb->nab", gate[:, first:first + x.shape[2]], x)
        y[...] = y + total if accumulate else total


def mixture_update_grad_input(gate, x, dy, dgate, dx, first=0):
    """dgate[n, first + e] <- the sum of dy x over a and b; dx <- gate dy.

    gate   (N, G)
    x      (N, A, E, B)
    dy     (N, A, B)
    dgate  (N, G)        [out] in the columns first .. first + E
    dx     (N, A, E, B)  [out]
    first  which column of gate belongs to the first e
    """
    columns = slice(first, first + x.shape[2])
    with np.errstate(all="ignore"):
        dgate[:, columns] = np.einsum("nab,naeb->ne", dy, x)
        dx[...] = gate[:, None, columns, None] * dy[:, :, None, :]
