"""The learned rectifier on the CPU.  Meaning and shapes: kernels/reference/activation.py.

Threads take rows (n, c) of the elementwise kernels, and whole channels of the sum.
"""
from . import threads
from .compile import jit


def prelu_update_output(x, w, y):
    """y <- x where x > 0, else w x.  See the reference."""
    _run(_update_output, x, w, y)


def prelu_update_grad_input(x, dy, w, dx):
    """dx <- the gradient of x.  See the reference."""
    _run(_update_grad_input, x, dy, w, dx)


def prelu_acc_grad_parameters(x, dy, dw, scale=1.0):
    """dw <- dw + scale times the gradient of w.  See the reference."""
    _, C, _ = x.shape
    if dw.size == C:
        threads.run(_acc_grad_parameters, C, threads.grain(x.size // max(1, C), threads.ELEMENTS_PER_THREAD),
                    x, dy, dw, float(scale))
    else:
        one = x.reshape(1, 1, x.size)
        _acc_grad_parameters(0, 1, one, dy.reshape(one.shape), dw, float(scale))


def _run(kernel, x, *args):
    N, C, S = x.shape
    threads.run(kernel, N * C if S > 1 else N,
                threads.grain(S if S > 1 else C, threads.ELEMENTS_PER_THREAD), x, *args)



@jit
def _update_output(start, stop, x, w, y):
    zero = x.dtype.type(0)
    C, S = x.shape[1:]
    if S > 1:
        for row in range(start, stop):
            n, c = row // C, row % C
            source, out = x[n, c], y[n, c]
            slope = w[c if w.size > 1 else 0]
            for s in range(S):
                v = source[s]
                out[s] = slope * v if v <= zero else v
    else:
        for n in range(start, stop):
            source, out = x[n, :, 0], y[n, :, 0]
            if w.size > 1:
                for c in range(C):
                    v, slope = source[c], w[c]
                    out[c] = slope * v if v <= zero else v
            else:
                slope = w[0]
                for c in range(C):
                    v = source[c]
                    out[c] = slope * v if v <= zero else v


@jit
def _update_grad_input(start, stop, x, dy, w, dx):
    zero = x.dtype.type(0)
    C, S = x.shape[1:]
    if S > 1:
        for row in range(start, stop):
            n, c = row // C, row % C
            source, grad, out = x[n, c], dy[n, c], dx[n, c]
            slope = w[c if w.size > 1 else 0]
            for s in range(S):
                v, g = source[s], grad[s]
                out[s] = g if v > zero else (slope * g if v <= zero else v)
    else:
        for n in range(start, stop):
            source, grad, out = x[n, :, 0], dy[n, :, 0], dx[n, :, 0]
            for c in range(C):
                v, g = source[c], grad[c]
                slope = w[c if w.size > 1 else 0]
                out[c] = g if v > zero else (slope * g if v <= zero else v)


@jit
def _acc_grad_parameters(start, stop, x, dy, dw, scale):
    zero = x.dtype.type(0)
    N, _, S = x.shape
    for c in range(start, stop):
        total = 0.0
        for n in range(N):
            source, grad = x[n, c], dy[n, c]
            # Blocks in the tensor's own precision, which vectorise; their sum in float64.
            for first in range(0, S, 4096):
                part = zero
                here, there = source[first:first + 4096], grad[first:first + 4096]
                for s in range(here.size):
                    v, g = here[s], there[s]
                    part += zero if v > zero else v * g
                total += part
        dw[c] += x.dtype.type(scale * total)
