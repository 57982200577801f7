"""Convolution of each feature of a sequence on the CPU.  Meaning and shapes: kernels/reference/row_convolution.py.

The inner loops run along the features of a frame, which is how they lie in memory, with
the weights transposed to lie so too.  Threads take frames, or features for the gradient
of the weights, so that every element is computed in one fixed order.
"""
from . import threads
from .compile import inline, jit
from .linear import empty_vector, sum_rows
from .views import flat


def row_conv_work_size(x_shape, w_shape, y_shape, stride):
    """How many elements of scratch the three kernels need.  See the reference."""
    return w_shape[0] * w_shape[1]


def row_conv_update_output(x, w, b, y, work, stride):
    """y <- every feature's convolution with its row of w, plus b.  See the reference."""
    _run(_update_output, y.shape[0] * y.shape[1], w, x, _transposed(w, work), empty_vector(y) if b is None else b,
         y, stride)


def row_conv_update_grad_input(dy, w, dx, work, stride):
    """dx <- the gradient of x.  See the reference."""
    _run(_update_grad_input, dx.shape[0] * dx.shape[1], w, dy, _transposed(w, work), dx, stride)


def row_conv_acc_grad_parameters(x, dy, dw, db, work, stride, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    N, OT, F = dy.shape
    sums = work.reshape(dw.shape[1], F)
    threads.run(_acc_grad_parameters, F, threads.grain(N * OT * dw.shape[1], threads.ELEMENTS_PER_THREAD),
                x, dy, dw, sums, stride, float(scale))
    if db is not None:
        sum_rows(dy.reshape(N * OT, F), db, scale)


def _run(kernel, frames, w, *args):
    threads.run(kernel, frames, threads.grain(w.size, threads.ELEMENTS_PER_THREAD), *args)


def _transposed(w, work):
    """w as (k, F), in *work*."""
    t = work.reshape(w.shape[1], w.shape[0])
    t[...] = w.T
    return t


@jit
def _update_output(start, stop, x, w, b, y, stride):
    N, T, F = x.shape
    OT, kt = y.shape[1], w.shape[0]
    for q in range(start, stop):
        n, t = q // OT, q % OT
        line = y[n, t]
        if b.size:
            for f in range(F):
                line[f] = b[f]
        else:
            line[:] = 0
        k = 0
        while k + 2 <= kt:
            w0, w1, x0, x1 = w[k], w[k + 1], x[n, t * stride + k], x[n, t * stride + k + 1]
            for f in range(F):
                line[f] += w0[f] * x0[f] + w1[f] * x1[f]
            k += 2
        if k < kt:
            _add_product(w[k], x[n, t * stride + k], line)


@jit
def _update_grad_input(start, stop, dy, w, dx, stride):
    T = dx.shape[1]
    OT, kt = dy.shape[1], w.shape[0]
    for q in range(start, stop):
        n, t = q // T, q % T
        line = dx[n, t]
        line[:] = 0
        # The windows that see frame t: those that begin at t - k, a multiple of the stride.
        for k in range(t % stride, min(kt, t + 1), stride):
            if (t - k) // stride < OT:
                _add_product(w[k], dy[n, (t - k) // stride], line)


@jit
def _acc_grad_parameters(start, stop, x, dy, dw, sums, stride, scale):
    N, OT, F = dy.shape
    T, kt = x.shape[1], dw.shape[1]
    xs, dys = flat(x), flat(dy)
    factor = dw.dtype.type(scale)
    size = stop - start
    for k in range(kt):
        sums[k][start:stop] = 0
    for n in range(N):
        for k in range(kt):
            line = sums[k][start:]
            t = 0
            while t + 4 <= OT:
                at, see = (n * OT + t) * F + start, (n * T + t * stride + k) * F + start
                g0, g1, g2, g3 = dys[at:], dys[at + F:], dys[at + 2 * F:], dys[at + 3 * F:]
                x0, x1, x2 = xs[see:], xs[see + stride * F:], xs[see + 2 * stride * F:]
                x3 = xs[see + 3 * stride * F:]
                for f in range(size):
                    line[f] += g0[f] * x0[f] + g1[f] * x1[f] + g2[f] * x2[f] + g3[f] * x3[f]
                t += 4
            while t < OT:
                g0, x0 = dys[(n * OT + t) * F + start:], xs[(n * T + t * stride + k) * F + start:]
                for f in range(size):
                    line[f] += g0[f] * x0[f]
                t += 1
    for k in range(kt):
        line = sums[k][start:]
        for f in range(size):
            dw[start + f, k] += factor * line[f]


@inline
def _add_product(a, b, out):
    for f in range(out.size):
        out[f] += a[f] * b[f]
