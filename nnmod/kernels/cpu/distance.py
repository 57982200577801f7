"""Distances and angles on the CPU.  Meaning and shapes: kernels/reference/distance.py.

Distances are summed from differences: the shorter way over a matrix product would
lose the digits of small ones.  Threads take examples, or in gradients of points the
coordinates, so that every element has one writer and one order.
"""
import math

from . import threads
from .compile import inline, jit
from .linear import empty_vector


def euclidean_update_output(x, w, c, y):
    """y <- distances of each x to each w.  See the reference."""
    threads.run(_euclidean, x.shape[0], threads.grain(w.size), x, w, _or_empty(c, w), y)


def euclidean_update_grad_input(x, w, c, t, dx):
    """dx <- the gradient of x.  See the reference."""
    threads.run(_euclidean_grad_input, x.shape[0], threads.grain(w.size), x, w, _or_empty(c, w), t, dx)


def euclidean_acc_grad_parameters(x, w, c, t, dw, dc, scale=1.0):
    """dw and dc <- themselves + scale times the gradients.  See the reference."""
    threads.run(_euclidean_acc, w.shape[0], threads.grain(t.size), x, w, _or_empty(c, w), t, dw,
                _or_empty(dc, w), float(scale))


def vector_norms(x, norm, eps):
    """norm <- the norm of each row, plus eps.  See the reference."""
    threads.run(_vector_norms, x.shape[0], threads.grain(x.shape[1], threads.ELEMENTS_PER_THREAD),
                x, norm, float(eps))


def divide_outer(a, b, y):
    """y <- y / (a b).  See the reference."""
    threads.run(_divide_outer, y.shape[0], threads.grain(y.shape[1], threads.ELEMENTS_PER_THREAD), a, b, y)


def cosine_gradients(y, dy, a, b, t, rows, columns):
    """t, rows and columns <- what both gradients need.  See the reference."""
    _cosine_gradients(y, dy, a, b, t, rows, columns)


def add_factored_rows(x, factors, out, beta=0.0, scale=1.0):
    """out <- beta out + scale factors x.  See the reference."""
    threads.run(_add_factored_rows, x.shape[0], threads.grain(x.shape[1], threads.ELEMENTS_PER_THREAD),
                x, factors, out, float(beta), float(scale))


def nearest_update_output(x, w, nearest, score, y):
    """nearest, score, y <- the nearest w of each x.  See the reference."""
    threads.run(_nearest, x.shape[0], threads.grain(w.size), x, w, nearest, score, y)


def nearest_acc_grad_parameters(x, w, nearest, counts, dw, scale=1.0):
    """dw <- dw + scale times the mean differences.  See the reference."""
    _nearest_counts(nearest, counts)
    threads.run(_nearest_acc, w.shape[0], threads.grain(x.size), x, w, nearest, counts, dw, float(scale))


def _or_empty(c, like):
    return empty_vector(like)[:, None] if c is None else c


@jit
def _euclidean(start, stop, x, w, c, y):
    I, O = w.shape
    for n in range(start, stop):
        yn = y[n]
        for o in range(O):
            yn[o] = 0
        if c.size:
            for i in range(I):
                value, wi, ci = x[n, i], w[i], c[i]
                for o in range(O):
                    d = ci[o] * (value - wi[o])
                    yn[o] += d * d
        else:
            I4 = I // 4 * 4
            for i in range(0, I4, 4):
                x0, x1, x2, x3 = x[n, i], x[n, i + 1], x[n, i + 2], x[n, i + 3]
                w0, w1, w2, w3 = w[i], w[i + 1], w[i + 2], w[i + 3]
                for o in range(O):
                    d0, d1, d2, d3 = x0 - w0[o], x1 - w1[o], x2 - w2[o], x3 - w3[o]
                    yn[o] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)
            for i in range(I4, I):
                value, wi = x[n, i], w[i]
                for o in range(O):
                    d = value - wi[o]
                    yn[o] += d * d
        for o in range(O):
            yn[o] = math.sqrt(yn[o])


@jit
def _euclidean_grad_input(start, stop, x, w, c, t, dx):
    I, O = w.shape
    for n in range(start, stop):
        tn = t[n]
        for i in range(I):
            value, wi = x[n, i], w[i]
            total = w.dtype.type(0)
            if c.size:
                ci = c[i]
                for o in range(O):
                    total += ci[o] * ci[o] * (value - wi[o]) * tn[o]
            else:
                for o in range(O):
                    total += (value - wi[o]) * tn[o]
            dx[n, i] = total


@jit
def _euclidean_acc(start, stop, x, w, c, t, dw, dc, scale):
    N, O = t.shape
    scale = w.dtype.type(scale)
    for i in range(start, stop):
        wi, dwi = w[i], dw[i]
        if c.size:
            ci, dci = c[i], dc[i]
            for n in range(N):
                value, tn = x[n, i], t[n]
                for o in range(O):
                    d = value - wi[o]
                    step = scale * ci[o] * d * tn[o]
                    dwi[o] -= step * ci[o]
                    dci[o] += step * d
        else:
            N4 = N // 4 * 4
            for n in range(0, N4, 4):
                x0, x1, x2, x3 = x[n, i], x[n + 1, i], x[n + 2, i], x[n + 3, i]
                t0, t1, t2, t3 = t[n], t[n + 1], t[n + 2], t[n + 3]
                for o in range(O):
                    wo = wi[o]
                    dwi[o] -= scale * (((x0 - wo) * t0[o] + (x1 - wo) * t1[o])
                                       + ((x2 - wo) * t2[o] + (x3 - wo) * t3[o]))
            for n in range(N4, N):
                value, tn = x[n, i], t[n]
                for o in range(O):
                    dwi[o] -= scale * ((value - wi[o]) * tn[o])


@jit
def _vector_norms(start, stop, x, norm, eps):
    eps = x.dtype.type(eps)
    for n in range(start, stop):
        xn = x[n]
        total = x.dtype.type(0)
        for i in range(xn.size):
            total += xn[i] * xn[i]
        norm[n] = math.sqrt(total) + eps


@jit
def _divide_outer(start, stop, a, b, y):
    for n in range(start, stop):
        yn, an = y[n], a[n]
        for o in range(yn.size):
            yn[o] /= an * b[o]


@jit
def _cosine_gradients(y, dy, a, b, t, rows, columns):
    N, O = y.shape
    for o in range(O):
        columns[o] = 0
    for n in range(N):
        yn, dyn, tn, an = y[n], dy[n], t[n], a[n]
        total = y.dtype.type(0)
        for o in range(O):
            product = yn[o] * dyn[o]
            tn[o] = dyn[o] / (an * b[o])
            columns[o] -= product
            total += product
        rows[n] = -total / (an * an)
    for o in range(O):
        columns[o] /= b[o] * b[o]


@jit
def _add_factored_rows(start, stop, x, factors, out, beta, scale):
    beta, scale = x.dtype.type(beta), x.dtype.type(scale)
    for n in range(start, stop):
        xn, on, factor = x[n], out[n], scale * factors[n]
        if beta == 0:
            for i in range(xn.size):
                on[i] = factor * xn[i]
        else:
            for i in range(xn.size):
                on[i] = beta * on[i] + factor * xn[i]


@inline
def _squared_distance(a, b):
    total = a.dtype.type(0)
    for i in range(a.size):
        d = a[i] - b[i]
        total += d * d
    return total


@jit
def _nearest(start, stop, x, w, nearest, score, y):
    for n in range(start, stop):
        xn = x[n]
        best, where = _squared_distance(xn, w[0]), 0
        for k in range(1, w.shape[0]):
            distance = _squared_distance(xn, w[k])
            if distance < best or (distance != distance and best == best):
                best, where = distance, k
        nearest[n] = where
        score[n] = best
        y[n] = where if best == best else best


@jit
def _nearest_counts(nearest, counts):
    counts[:] = 0
    for n in range(nearest.size):
        counts[nearest[n]] += 1


@jit
def _nearest_acc(start, stop, x, w, nearest, counts, dw, scale):
    for k in range(start, stop):
        if counts[k] > 0:
            wk, dwk = w[k], dw[k]
            factor = w.dtype.type(scale) / (counts[k] + w.dtype.type(1e-7))
            for n in range(nearest.size):
                if nearest[n] == k:
                    xn = x[n]
                    for d in range(wk.size):
                        dwk[d] += factor * (wk[d] - xn[d])
