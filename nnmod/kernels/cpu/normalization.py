"""Batch normalisation on the CPU.  Meaning and shapes: kernels/reference/normalization.py.

Threads take channels, which are independent of each other.
"""
import math

from . import threads
from .compile import inline, jit
from .linear import empty_vector


def batch_norm_update_output(x, w, b, running_mean, running_var, y, mean, invstd, train, momentum, eps):
    """y <- (x - mean) * invstd * w + b, channel by channel.  See the reference."""
    _run(_update_output, x, x, _or_empty(w, x), _or_empty(b, x), running_mean, running_var, y,
         mean, invstd, bool(train), float(momentum), float(eps))


def batch_norm_update_grad_input(x, dy, w, mean, invstd, dx, train):
    """dx <- the gradient of x.  See the reference."""
    _run(_update_grad_input, x, x, dy, _or_empty(w, x), mean, invstd, dx, bool(train))


def batch_norm_acc_grad_parameters(x, dy, mean, invstd, dw, db, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    _run(_acc_grad_parameters, x, x, dy, mean, invstd, dw, db, float(scale))


def _run(kernel, x, *args):
    N, C, S = x.shape
    threads.run(kernel, C, threads.grain(N * S, threads.ELEMENTS_PER_THREAD), *args)


def _or_empty(w, like):
    return empty_vector(like) if w is None else w


@jit
def _update_output(start, stop, x, w, b, running_mean, running_var, y, mean, invstd, train, momentum, eps):
    N = x.shape[0]
    dtype = x.dtype.type
    for c in range(start, stop):
        if train:
            count = N * x.shape[2]
            total = 0.0
            for n in range(N):
                run = x[n, c]
                for s in range(run.size):
                    total += run[s]
            center = total / count
            # In two passes: the difference of two large sums would lose the variance.
            total = 0.0
            for n in range(N):
                run = x[n, c]
                for s in range(run.size):
                    total += (run[s] - center) * (run[s] - center)
            variance = total / count
            if momentum != 0:
                running_mean[c] = (1 - momentum) * running_mean[c] + momentum * center
                running_var[c] = (1 - momentum) * running_var[c] + momentum * (total / (count - 1))
        else:
            center, variance = running_mean[c] * 1.0, running_var[c] * 1.0
        mean[c] = center
        invstd[c] = 1 / math.sqrt(variance + eps)
        m, factor = mean[c], _factor(c, invstd, w)
        shift = b[c] if b.size else dtype(0)
        for n in range(N):
            run, out = x[n, c], y[n, c]
            for s in range(run.size):
                out[s] = (run[s] - m) * factor + shift


@jit
def _update_grad_input(start, stop, x, dy, w, mean, invstd, dx, train):
    N = x.shape[0]
    dtype = x.dtype.type
    for c in range(start, stop):
        factor = _factor(c, invstd, w)
        if train:
            count = N * x.shape[2]
            total, product = _sums(c, x, dy, mean)
            r = invstd[c] * 1.0
            slope, shift, m = dtype(product * r * r / count), dtype(total / count), mean[c]
            for n in range(N):
                run, source, out = x[n, c], dy[n, c], dx[n, c]
                for s in range(run.size):
                    out[s] = (source[s] - shift - (run[s] - m) * slope) * factor
        else:
            for n in range(N):
                source, out = dy[n, c], dx[n, c]
                for s in range(source.size):
                    out[s] = source[s] * factor


@jit
def _acc_grad_parameters(start, stop, x, dy, mean, invstd, dw, db, scale):
    dtype = x.dtype.type
    for c in range(start, stop):
        total, product = _sums(c, x, dy, mean)
        dw[c] += dtype(scale * product * invstd[c])
        db[c] += dtype(scale * total)


@inline
def _sums(c, x, dy, mean):
    """Sum of dy, and of dy (x - mean), in channel c."""
    m = mean[c]
    total = product = 0.0
    for n in range(x.shape[0]):
        run, source = x[n, c], dy[n, c]
        for s in range(run.size):
            total += source[s]
            product += float(source[s]) * (run[s] - m)
    return total, product


@inline
def _factor(c, invstd, w):
    return invstd[c] * w[c] if w.size else invstd[c]
