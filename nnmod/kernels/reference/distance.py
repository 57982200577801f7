"""Distances and angles between examples and learned points, in plain NumPy.

Letters: N examples x of I features; O learned points w.
"""
import numpy as np


def euclidean_update_output(x, w, c, y):
    """y[n, o] <- the square root of the sum over i of (c[i, o] (x[n, i] - w[i, o]))^2.

    x  (N, I)
    w  (I, O)  the points, one a column
    c  (I, O)  weights of the coordinates, or None for 1
    y  (N, O)  [out]
    """
    with np.errstate(all="ignore"):
        y[...] = np.sqrt((_difference(x, w, c) ** 2).sum(axis=1))


def euclidean_update_grad_input(x, w, c, t, dx):
    """dx[n, i] <- the sum over o of c[i, o]^2 (x[n, i] - w[i, o]) t[n, o].

    x   (N, I)
    w   (I, O)
    c   (I, O) or None
    t   (N, O)  gradient of y, over y
    dx  (N, I)  [out]
    """
    with np.errstate(all="ignore"):
        d = _difference(x, w, c) if c is None else c * _difference(x, w, c)
        dx[...] = (d * t[:, None, :]).sum(axis=2)


def euclidean_acc_grad_parameters(x, w, c, t, dw, dc, scale=1.0):
    """dw and dc <- themselves + scale times the gradients of w and c.

    dw[i, o] takes minus the sum over n of c^2 (x - w) t, dc[i, o] that of c (x - w)^2 t.

    x       (N, I)
    w       (I, O)
    c       (I, O) or None
    t       (N, O)  gradient of y, over y
    dw, dc  (I, O)  added to; dc is None with c
    """
    with np.errstate(all="ignore"):
        d, t, scale = x[:, :, None] - w, t[:, None, :], dw.dtype.type(scale)
        dw -= scale * ((d if c is None else c * c * d) * t).sum(axis=0)
        if c is not None:
            dc += scale * (c * d * d * t).sum(axis=0)


def _difference(x, w, c):
    d = x[:, :, None] - w
    return d if c is None else c * d


def vector_norms(x, norm, eps):
    """norm[n] <- the Euclidean norm of x[n, :], plus eps.

    x     (N, I)
    norm  (N,)  [out]
    eps is a number.
    """
    with np.errstate(all="ignore"):
        norm[...] = np.sqrt((x * x).sum(axis=1)) + x.dtype.type(eps)


def divide_outer(a, b, y):
    """y[n, o] <- y[n, o] / (a[n] b[o]).

    a  (N,)
    b  (O,)
    y  (N, O)  divided in place
    """
    with np.errstate(all="ignore"):
        y /= a[:, None] * b


def cosine_gradients(y, dy, a, b, t, rows, columns):
    """What both gradients of y[n, o] = x[n] . w[o] / (a[n] b[o]) need.

    t <- dy / (a b); rows[n] and columns[o] <- minus the sums of dy * y, over a^2 and b^2.

    y, dy    (N, O)
    a        (N,)    norms of the x[n]
    b        (O,)    norms of the w[o]
    t        (N, O)  [out]
    rows     (N,)    [out]
    columns  (O,)    [out]
    """
    with np.errstate(all="ignore"):
        t[...] = dy / (a[:, None] * b)
        product = y * dy
        rows[...] = -product.sum(axis=1) / (a * a)
        columns[...] = -product.sum(axis=0) / (b * b)


def add_factored_rows(x, factors, out, beta=0.0, scale=1.0):
    """out[n, :] <- beta out[n, :] + scale factors[n] x[n, :].

    x        (N, I)
    factors  (N,)
    out      (N, I)  [out], and read first unless beta is 0
    beta and scale are numbers.
    """
    with np.errstate(all="ignore"):
        value = (x.dtype.type(scale) * factors)[:, None] * x
        out[...] = value if beta == 0 else x.dtype.type(beta) * out + value


def nearest_update_output(x, w, nearest, score, y):
    """For each x[n] the nearest w[k]: its number and the squared distance.

    x        (N, D)
    w        (K, D)
    nearest  (N,)  [out] int64; of several the first, and NaN is nearest of all
    score    (N,)  [out] the squared distance
    y        (N,)  [out] the number once more in x's dtype, NaN where score is
    """
    with np.errstate(all="ignore"):
        distance = ((x[:, None, :] - w) ** 2).sum(axis=2)
        nearest[...] = distance.argmin(axis=1)
        score[...] = np.take_along_axis(distance, nearest[:, None], 1)[:, 0]
        y[...] = np.where(score == score, nearest, score)


def nearest_acc_grad_parameters(x, w, nearest, counts, dw, scale=1.0):
    """dw[k] <- dw[k] + scale times the mean over its x[n] of w[k] - x[n].

    x        (N, D)
    w        (K, D)
    nearest  (N,)    int64
    counts   (K,)    [out] how many x have w[k] as their nearest
    dw       (K, D)  added to

    The mean is the sum over count + 1e-7, as Torch7 takes it: 0 where there is none.
    """
    counts[...] = np.bincount(nearest, minlength=w.shape[0])
    with np.errstate(all="ignore"):
        for k in range(w.shape[0]):
            total = (w[k] - x[nearest == k]).sum(axis=0)
            dw[k] += w.dtype.type(scale) * total / (counts[k] + w.dtype.type(1e-7))
