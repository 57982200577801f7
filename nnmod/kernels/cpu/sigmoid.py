"""The gated linear unit on the CPU.  Meaning and shapes: kernels/reference/sigmoid.py."""
from ..formulas import exp
from . import functions  # noqa: F401  gives exp its compiled form
from . import threads
from .compile import inline, jit


def gated_linear_unit_update_output(x, y):
    """y <- a sigmoid(b).  See the reference."""
    _run(_update_output, x, y)


def gated_linear_unit_update_grad_input(x, dy, dx):
    """dx <- the gradients of a and b.  See the reference."""
    _run(_update_grad_input, x, dy, dx)


def _run(kernel, x, *args):
    N, _, M = x.shape
    threads.run(kernel, N, threads.grain(8 * M, threads.ELEMENTS_PER_THREAD), x, *args)


@inline
def _sigmoid(x):
    one = type(x)(1)
    return one / (one + exp(-x))


@jit
def _update_output(start, stop, x, y):
    for n in range(start, stop):
        a, b, out = x[n, 0], x[n, 1], y[n]
        for i in range(out.size):
            out[i] = a[i] * _sigmoid(b[i])


@jit
def _update_grad_input(start, stop, x, dy, dx):
    one = x.dtype.type(1)
    for n in range(start, stop):
        a, b, grad, da, db = x[n, 0], x[n, 1], dy[n], dx[n, 0], dx[n, 1]
        for i in range(grad.size):
            s = _sigmoid(b[i])
            g = grad[i] * s
            da[i] = g
            db[i] = g * a[i] * (one - s)
