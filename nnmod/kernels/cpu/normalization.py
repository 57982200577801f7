"""Batch normalisation on the CPU.  Meaning and shapes: kernels/reference/normalization.py.

Threads take channels, which are independent of each other.  Vectors (S = 1) have their
channels side by side in memory, so there the loop over channels is the inner one; the
sums of a channel then live in a tensor that is yet to be written.
"""
import math

from .. import formulas
from . import threads
from .compile import inline, jit
from .elementwise import compilable
from .linear import empty_vector

_relu, _relu_grad = compilable(formulas.relu), compilable(formulas.relu_grad)


def batch_norm_update_output(x, w, b, running_mean, running_var, y, mean, invstd, train, momentum, eps, rectify=False):
    """y <- (x - mean) * invstd * w + b, channel by channel.  See the reference."""
    _run(_update_output, x, x, _or_empty(w, x), _or_empty(b, x), running_mean, running_var, y,
         mean, invstd, bool(train), float(momentum), float(eps), bool(rectify))


def batch_norm_relu_backward(x, y, dy, w, mean, invstd, dx, dw, db, train, scale=1.0):
    """The gradients of a rectified batch_norm_update_output.  See the reference."""
    N, C, S = x.shape
    if S == 1 and N > 1:  # vectors: what passed is written down first
        passed = threads.workspace(y.nbytes)[:y.nbytes].view(y.dtype).reshape(y.shape)
        _passed(0, N, y, dy, passed)
        if dw is not None:
            batch_norm_acc_grad_parameters(x, passed, mean, invstd, dw, db, scale)
        if dx is not None:
            batch_norm_update_grad_input(x, passed, w, mean, invstd, dx, train)
        return
    threads.run(_relu_backward, C, threads.grain(N * S, threads.ELEMENTS_PER_THREAD), x, y, dy, _or_empty(w, x),
                mean, invstd, x[:0] if dx is None else dx, _or_empty(dw, x), _or_empty(db, x), bool(train),
                float(scale))


def batch_norm_update_grad_input(x, dy, w, mean, invstd, dx, train):
    """dx <- the gradient of x.  See the reference."""
    _run(_update_grad_input, x, x, dy, _or_empty(w, x), mean, invstd, dx, bool(train))


def batch_norm_acc_grad_parameters(x, dy, mean, invstd, dw, db, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    _run(_acc_grad_parameters, x, x, dy, mean, invstd, dw, db, float(scale))


def _run(kernel, x, *args):
    N, C, S = x.shape
    if S == 1 and N > 1:
        kernel = _OF_VECTORS[kernel]
    threads.run(kernel, C, threads.grain(N * S, threads.ELEMENTS_PER_THREAD), *args)


def _or_empty(w, like):
    return empty_vector(like) if w is None else w


@jit
def _update_output(start, stop, x, w, b, running_mean, running_var, y, mean, invstd, train, momentum, eps, rectify):
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
            if rectify:
                for s in range(run.size):
                    out[s] = _relu((run[s] - m) * factor + shift)
            else:
                for s in range(run.size):
                    out[s] = (run[s] - m) * factor + shift


@jit
def _relu_backward(start, stop, x, y, dy, w, mean, invstd, dx, dw, db, train, scale):
    N = x.shape[0]
    dtype = x.dtype.type
    for c in range(start, stop):
        factor, m = _factor(c, invstd, w), mean[c]
        total = product = 0.0
        if train or dw.size:
            for n in range(N):
                run, seen, source = x[n, c], y[n, c], dy[n, c]
                for s in range(run.size):
                    g = _relu_grad(seen[s], source[s])
                    total += g
                    product += float(g) * (run[s] - m)
        if dw.size:
            dw[c] += dtype(scale * product * invstd[c])
            db[c] += dtype(scale * total)
        if dx.size == 0:
            continue
        if train:
            count = N * x.shape[2]
            r = invstd[c] * 1.0
            slope, shift = dtype(product * r * r / count), dtype(total / count)
            for n in range(N):
                run, seen, source, out = x[n, c], y[n, c], dy[n, c], dx[n, c]
                for s in range(run.size):
                    g = _relu_grad(seen[s], source[s])
                    out[s] = (g - shift - (run[s] - m) * slope) * factor
        else:
            for n in range(N):
                seen, source, out = y[n, c], dy[n, c], dx[n, c]
                for s in range(source.size):
                    out[s] = _relu_grad(seen[s], source[s]) * factor


@jit
def _passed(start, stop, y, dy, out):
    for n in range(start, stop):
        seen, source, to = y[n, :, 0], dy[n, :, 0], out[n, :, 0]
        for c in range(to.size):
            to[c] = _relu_grad(seen[c], source[c])


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


@jit
def _vectors_update_output(start, stop, x, w, b, running_mean, running_var, y, mean, invstd, train, momentum, eps,
                           rectify):
    dtype, zero = x.dtype.type, x.dtype.type(0)
    N = x.shape[0]
    x, y = x.reshape(N, x.shape[1]), y.reshape(N, x.shape[1])
    center, spread = mean[start:stop], invstd[start:stop]
    C = center.size
    if train:
        # Sums of 128 rows at a time, then the sum of those: the error grows with neither.
        # Differences from the first row are small where the mean is large.
        part, pivot = y[0, start:stop], x[0, start:stop]
        for c in range(C):
            center[c] = zero
        for first in range(0, N, 128):
            for c in range(C):
                part[c] = zero
            for n in range(first, min(N, first + 128)):
                run = x[n, start:stop]
                for c in range(C):
                    part[c] += run[c] - pivot[c]
            for c in range(C):
                center[c] += part[c]
        for c in range(C):
            center[c] = pivot[c] + center[c] / dtype(N)
            spread[c] = zero
        for first in range(0, N, 128):
            for c in range(C):
                part[c] = zero
            for n in range(first, min(N, first + 128)):
                run = x[n, start:stop]
                for c in range(C):
                    d = run[c] - center[c]
                    part[c] += d * d
            for c in range(C):
                spread[c] += part[c]
        if momentum != 0:
            moving, varying = running_mean[start:stop], running_var[start:stop]
            for c in range(C):
                moving[c] = (1 - momentum) * moving[c] + momentum * center[c]
                varying[c] = (1 - momentum) * varying[c] + momentum * (spread[c] / float(N - 1))
        for c in range(C):
            spread[c] = 1 / math.sqrt(float(spread[c]) / N + eps)
    else:
        for c in range(C):
            center[c] = running_mean[start + c]
            spread[c] = 1 / math.sqrt(float(running_var[start + c]) + eps)
    for n in range(N):
        run, out = x[n, start:stop], y[n, start:stop]
        if w.size:
            factor, shift = w[start:stop], b[start:stop]
            for c in range(C):
                out[c] = (run[c] - center[c]) * (spread[c] * factor[c]) + shift[c]
        else:
            for c in range(C):
                out[c] = (run[c] - center[c]) * spread[c]
    if rectify:
        for n in range(N):
            out = y[n, start:stop]
            for c in range(C):
                out[c] = _relu(out[c])


@jit
def _vectors_update_grad_input(start, stop, x, dy, w, mean, invstd, dx, train):
    dtype, zero = x.dtype.type, x.dtype.type(0)
    N = x.shape[0]
    x, dy, dx = x.reshape(N, x.shape[1]), dy.reshape(N, x.shape[1]), dx.reshape(N, x.shape[1])
    center, spread = mean[start:stop], invstd[start:stop]
    C = center.size
    # The first two rows hold the sums of dy and of dy (x - mean) until they are written, last.
    total, product = dx[0, start:stop], dx[1, start:stop]
    for c in range(C):
        total[c] = product[c] = zero
    if train:
        for n in range(N):
            run, source = x[n, start:stop], dy[n, start:stop]
            for c in range(C):
                total[c] += source[c]
                product[c] += source[c] * (run[c] - center[c])
        share = dtype(1 / N)
        for c in range(C):
            total[c] *= share
            product[c] *= spread[c] * spread[c] * share
    for n in range(2, N):
        run, source, out = x[n, start:stop], dy[n, start:stop], dx[n, start:stop]
        for c in range(C):
            out[c] = (source[c] - total[c] - (run[c] - center[c]) * product[c]) * spread[c]
    run0, run1, dy0, dy1 = x[0, start:stop], x[1, start:stop], dy[0, start:stop], dy[1, start:stop]
    for c in range(C):
        a, b = total[c], product[c]
        total[c] = (dy0[c] - a - (run0[c] - center[c]) * b) * spread[c]
        product[c] = (dy1[c] - a - (run1[c] - center[c]) * b) * spread[c]
    if w.size:
        factor = w[start:stop]
        for n in range(N):
            out = dx[n, start:stop]
            for c in range(C):
                out[c] *= factor[c]


@jit
def _vectors_acc_grad_parameters(start, stop, x, dy, mean, invstd, dw, db, scale):
    center, spread = mean[start:stop], invstd[start:stop]
    into_w, into_b = dw[start:stop], db[start:stop]
    factor = x.dtype.type(scale)
    x, dy = x.reshape(x.shape[:2]), dy.reshape(x.shape[:2])
    for n in range(x.shape[0]):
        run, source = x[n, start:stop], dy[n, start:stop]
        for c in range(into_w.size):
            g = factor * source[c]
            into_w[c] += g * ((run[c] - center[c]) * spread[c])
            into_b[c] += g


_OF_VECTORS = {
    _update_output: _vectors_update_output,
    _update_grad_input: _vectors_update_grad_input,
    _acc_grad_parameters: _vectors_acc_grad_parameters,
}


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


# -- rows: threads take rows, or columns where rows are summed ----------------------------

def layer_norm_update_output(x, w, b, y, mean, factor, eps):
    """y <- (x - mean) factor w + b, row by row.  See the reference."""
    N, F = x.shape
    threads.run(_layer_update_output, N, threads.grain(F, threads.ELEMENTS_PER_THREAD),
                x, _or_empty(w, x), _or_empty(b, x), y, mean, factor, float(eps))


def layer_norm_update_grad_input(x, dy, w, mean, factor, dx):
    """dx <- the gradient of x.  See the reference."""
    N, F = x.shape
    threads.run(_layer_update_grad_input, N, threads.grain(F, threads.ELEMENTS_PER_THREAD),
                x, dy, _or_empty(w, x), mean, factor, dx)


def layer_norm_acc_grad_parameters(x, dy, mean, factor, dw, db, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    N, F = x.shape
    threads.run(_layer_acc_grad_parameters, F, threads.grain(N, threads.ELEMENTS_PER_THREAD),
                x, dy, mean, factor, dw, db, float(scale))


def normalize_update_output(x, y, norm, p, eps):
    """y <- x / norm, row by row.  See the reference."""
    N, F = x.shape
    threads.run(_normalize_update_output, N, threads.grain(F, threads.ELEMENTS_PER_THREAD),
                x, y, norm, float(p), float(eps))


def normalize_update_grad_input(x, dy, norm, dx, p):
    """dx <- the gradient of x.  See the reference."""
    N, F = x.shape
    threads.run(_normalize_update_grad_input, N, threads.grain(F, threads.ELEMENTS_PER_THREAD),
                x, dy, norm, dx, float(p))


@jit
def _layer_update_output(start, stop, x, w, b, y, mean, factor, eps):
    dtype = x.dtype.type
    F = x.shape[1]
    for n in range(start, stop):
        run, out = x[n], y[n]
        total = 0.0
        for f in range(F):
            total += run[f]
        center = total / F
        total = 0.0
        for f in range(F):
            total += (run[f] - center) * (run[f] - center)
        mean[n] = center
        factor[n] = math.sqrt(F / (total + eps))
        m, r = mean[n], factor[n]
        if w.size:
            for f in range(F):
                out[f] = (run[f] - m) * r * w[f] + b[f]
        else:
            for f in range(F):
                out[f] = dtype((run[f] - m) * r)


@jit
def _layer_update_grad_input(start, stop, x, dy, w, mean, factor, dx):
    dtype = x.dtype.type
    F = x.shape[1]
    for n in range(start, stop):
        run, source, out = x[n], dy[n], dx[n]
        m, r = mean[n], factor[n]
        total = product = 0.0
        if w.size:
            for f in range(F):
                g = source[f] * w[f]
                total += g
                product += g * ((run[f] - m) * r)
            shift, along = dtype(total / F), dtype(product / F)
            for f in range(F):
                out[f] = (source[f] * w[f] - shift - (run[f] - m) * r * along) * r
        else:
            for f in range(F):
                total += source[f]
                product += source[f] * ((run[f] - m) * r)
            shift, along = dtype(total / F), dtype(product / F)
            for f in range(F):
                out[f] = (source[f] - shift - (run[f] - m) * r * along) * r


@jit
def _layer_acc_grad_parameters(start, stop, x, dy, mean, factor, dw, db, scale):
    factor_of_all = x.dtype.type(scale)
    into_w, into_b = dw[start:stop], db[start:stop]
    for n in range(x.shape[0]):
        run, source = x[n, start:stop], dy[n, start:stop]
        m, r = mean[n], factor[n]
        for f in range(into_w.size):
            g = factor_of_all * source[f]
            into_w[f] += g * ((run[f] - m) * r)
            into_b[f] += g


@jit
def _normalize_update_output(start, stop, x, y, norm, p, eps):
    for n in range(start, stop):
        run, out = x[n], y[n]
        total = 0.0
        if p == 2:
            for f in range(run.size):
                total += run[f] * run[f]
            norm[n] = math.sqrt(total + eps)
        elif p == 1:
            for f in range(run.size):
                total += abs(run[f])
            norm[n] = total + eps
        elif p == math.inf:
            for f in range(run.size):
                v = abs(run[f])
                total = v if v > total or v != v else total  # NaN stays, nothing is above it
            norm[n] = total + eps
        else:
            for f in range(run.size):
                total += math.pow(abs(float(run[f])), p)
            norm[n] = math.pow(total + eps, 1 / p)
        inverse = x.dtype.type(1) / norm[n]
        for f in range(run.size):
            out[f] = run[f] * inverse


@jit
def _normalize_update_grad_input(start, stop, x, dy, norm, dx, p):
    dtype = x.dtype.type
    for n in range(start, stop):
        run, source, out = x[n], dy[n], dx[n]
        total = 0.0
        for f in range(run.size):
            total += float(run[f]) * source[f]
        inverse = dtype(1) / norm[n]
        slope = dtype(total / (float(norm[n]) * norm[n]))
        if p == 2:
            slope *= inverse
            for f in range(run.size):
                out[f] = source[f] * inverse - run[f] * slope
        elif p == math.inf:
            largest = 0
            for f in range(run.size):
                out[f] = source[f] * inverse
                if abs(run[f]) > abs(run[largest]) or (run[f] != run[f] and run[largest] == run[largest]):
                    largest = f
            if run.size:
                v = run[largest]
                out[largest] -= slope if v > dtype(0) else (-slope if v < dtype(0) else v * slope)
        else:
            for f in range(run.size):
                v = run[f]
                part = dtype(math.pow(abs(float(v) * inverse), p - 1)) * slope
                out[f] = source[f] * inverse - (part if v > dtype(0) else (-part if v < dtype(0) else v))
