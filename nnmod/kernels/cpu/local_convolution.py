"""Locally connected layers on the CPU.  Meaning and shapes: kernels/reference/local_convolution.py.

At every place, what its window sees of all samples is laid out as rows, one for each
sample, and the products run along them; weights are read from memory once.  Threads take
places, or samples for the gradient of the input, and each has a slot of *work* of its own.
"""
from . import threads
from .compile import inline, jit
from .linear import empty_vector


def local_conv_work_size(x_shape, w_shape, y_shape, stride, pad):
    """How many elements of scratch the three kernels need.  See the reference."""
    places = y_shape[2] * y_shape[3]
    return _slot(w_shape, y_shape) * max(_parts(places, w_shape, y_shape), _parts(y_shape[0], w_shape, y_shape))


def local_conv_update_output(x, w, b, y, work, stride, pad):
    """y <- every place's product with its weights, plus b.  See the reference."""
    _run(_update_output, y.shape[2] * y.shape[3], x, w, empty_vector(y) if b is None else b.reshape(-1),
         y, work, stride, pad)


def local_conv_update_grad_input(dy, w, dx, work, stride, pad):
    """dx <- the gradient of x.  See the reference."""
    _run(_update_grad_input, dy.shape[0], dx, w, empty_vector(dy), dy, work, stride, pad)


def local_conv_acc_grad_parameters(x, dy, dw, db, work, stride, pad, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    _run(_acc_grad_parameters, dy.shape[2] * dy.shape[3], x, dw, empty_vector(dy) if db is None else db.reshape(-1),
         dy, work, stride, pad, float(scale))


def _run(kernel, count, x, w, b, y, work, stride, pad, *rest):
    slot = _slot(w.shape, y.shape)
    # The number of threads may have been raised since the scratch was made.
    parts = min(_parts(count, w.shape, y.shape), work.size // slot)
    places = y.shape[2] * y.shape[3]
    threads.run(kernel, parts, 1, count, parts, slot, x, w.reshape(places, w.shape[2], slot // max(1, y.shape[0])),
                b, y.reshape(*y.shape[:2], places), work, y.shape[3], *w.shape[4:], *stride, *pad, *rest)


def _slot(w_shape, y_shape):
    """What one window sees, of all samples."""
    return max(1, y_shape[0]) * w_shape[3] * w_shape[4] * w_shape[5]


def _parts(count, w_shape, y_shape):
    """How many threads are worth waking, with at least one of *count* items for each."""
    flops = y_shape[2] * y_shape[3] * w_shape[2] * _slot(w_shape, y_shape)
    return max(1, min(threads.get_num_threads(), count, 2 * flops // threads.FLOPS_PER_THREAD))


@jit
def _update_output(start, stop, count, parts, slot, x, w, b, y, work, OW, kh, kw, sh, sw, ph, pw):
    N, O, P = y.shape
    K = w.shape[2]
    for part in range(start, stop):
        seen = work[part * slot:part * slot + N * K].reshape(N, K)
        for p in range(count * part // parts, count * (part + 1) // parts):
            for n in range(N):
                _look(x[n], seen[n], p, OW, kh, kw, sh, sw, ph, pw)
            for o in range(O):
                wo = w[p, o]
                value = y.dtype.type(0)
                if b.size:
                    value = b[o * P + p]
                n = 0
                while n + 4 <= N:
                    x0, x1, x2, x3 = seen[n], seen[n + 1], seen[n + 2], seen[n + 3]
                    s0 = s1 = s2 = s3 = y.dtype.type(0)
                    for k in range(K):
                        s0 += wo[k] * x0[k]
                        s1 += wo[k] * x1[k]
                        s2 += wo[k] * x2[k]
                        s3 += wo[k] * x3[k]
                    y[n, o, p] = s0 + value
                    y[n + 1, o, p] = s1 + value
                    y[n + 2, o, p] = s2 + value
                    y[n + 3, o, p] = s3 + value
                    n += 4
                while n < N:
                    x0, s0 = seen[n], y.dtype.type(0)
                    for k in range(K):
                        s0 += wo[k] * x0[k]
                    y[n, o, p] = s0 + value
                    n += 1


@jit
def _update_grad_input(start, stop, count, parts, slot, x, w, b, y, work, OW, kh, kw, sh, sw, ph, pw):
    O, P = y.shape[1:]
    K = w.shape[2]
    for part in range(start, stop):
        back = work[part * slot:part * slot + K]
        n0, n1 = count * part // parts, count * (part + 1) // parts
        for n in range(n0, n1):
            x[n] = 0
        for p in range(P):  # outermost: the weights of a place serve all samples
            for n in range(n0, n1):
                back[:] = 0
                o = 0
                while o + 4 <= O:
                    g0, g1, g2, g3 = y[n, o, p], y[n, o + 1, p], y[n, o + 2, p], y[n, o + 3, p]
                    w0, w1, w2, w3 = w[p, o], w[p, o + 1], w[p, o + 2], w[p, o + 3]
                    for k in range(K):
                        back[k] += g0 * w0[k] + g1 * w1[k] + g2 * w2[k] + g3 * w3[k]
                    o += 4
                while o < O:
                    g0, w0 = y[n, o, p], w[p, o]
                    for k in range(K):
                        back[k] += g0 * w0[k]
                    o += 1
                _give_back(back, x[n], p, OW, kh, kw, sh, sw, ph, pw)


@jit
def _acc_grad_parameters(start, stop, count, parts, slot, x, w, b, y, work, OW, kh, kw, sh, sw, ph, pw, scale):
    N, O, P = y.shape
    K = w.shape[2]
    factor = w.dtype.type(scale)
    for part in range(start, stop):
        seen = work[part * slot:part * slot + N * K].reshape(N, K)
        for p in range(count * part // parts, count * (part + 1) // parts):
            for n in range(N):
                _look(x[n], seen[n], p, OW, kh, kw, sh, sw, ph, pw)
            for o in range(O):
                wo = w[p, o]
                n = 0
                while n + 4 <= N:
                    g0, g1 = factor * y[n, o, p], factor * y[n + 1, o, p]
                    g2, g3 = factor * y[n + 2, o, p], factor * y[n + 3, o, p]
                    x0, x1, x2, x3 = seen[n], seen[n + 1], seen[n + 2], seen[n + 3]
                    for k in range(K):
                        wo[k] += g0 * x0[k] + g1 * x1[k] + g2 * x2[k] + g3 * x3[k]
                    n += 4
                while n < N:
                    g0, x0 = factor * y[n, o, p], seen[n]
                    for k in range(K):
                        wo[k] += g0 * x0[k]
                    n += 1
                if b.size:
                    total = y.dtype.type(0)
                    for n in range(N):
                        total += y[n, o, p]
                    b[o * P + p] += factor * total


@inline
def _columns_inside(left, kw, W):
    """The range of j in 0 .. kw for which 0 <= left + j < W."""
    return max(0, -left), max(max(0, -left), min(kw, W - left))


@inline
def _look(x, out, p, OW, kh, kw, sh, sw, ph, pw):
    """out (C * kh * kw) <- what the window at place p sees of x (C, H, W)."""
    C, H, W = x.shape
    top, left = p // OW * sh - ph, p % OW * sw - pw
    j0, j1 = _columns_inside(left, kw, W)
    t = 0
    for c in range(C):
        for i in range(kh):
            line = out[t:t + kw]
            if top + i < 0 or top + i >= H:
                line[:] = 0
            else:
                line[:j0] = 0
                run = x[c, top + i]
                for j in range(j0, j1):
                    line[j] = run[left + j]
                line[j1:] = 0
            t += kw


@inline
def _give_back(back, x, p, OW, kh, kw, sh, sw, ph, pw):
    """The adjoint of _look: x <- itself + back, place by place."""
    C, H, W = x.shape
    top, left = p // OW * sh - ph, p % OW * sw - pw
    j0, j1 = _columns_inside(left, kw, W)
    for c in range(C):
        for i in range(max(0, -top), min(kh, H - top)):
            line, run = x[c, top + i], back[(c * kh + i) * kw:]
            for j in range(j0, j1):
                line[left + j] += run[j]
