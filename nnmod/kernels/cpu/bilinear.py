"""What a bilinear form needs around its matrix products, on the CPU.

Meaning and shapes: kernels/reference/bilinear.py.  Threads take examples.
"""
from . import threads
from .compile import jit
from .linear import empty_vector


def bilinear_dots(z, x, bias, y):
    """y <- bias + dot products.  See the reference."""
    _run(_dots, z, z, x, empty_vector(z) if bias is None else bias, y)


def bilinear_weighted(z, dy, dx):
    """dx <- weighted sums of the rows of z.  See the reference."""
    _run(_weighted, z, z, dy, dx)


def bilinear_outer(dy, x, p):
    """p <- outer products.  See the reference."""
    _run(_outer, p, dy, x, p)


def _run(kernel, z, *args):
    N, O, I = z.shape
    threads.run(kernel, N, threads.grain(O * I, threads.ELEMENTS_PER_THREAD), *args)


@jit
def _dots(start, stop, z, x, bias, y):
    for n in range(start, stop):
        xn, yn = x[n], y[n]
        for o in range(yn.size):
            zo = z[n, o]
            total = z.dtype.type(0)
            for i in range(xn.size):
                total += zo[i] * xn[i]
            yn[o] = total + bias[o] if bias.size else total


@jit
def _weighted(start, stop, z, dy, dx):
    for n in range(start, stop):
        dxn = dx[n]
        for i in range(dxn.size):
            dxn[i] = 0
        for o in range(dy.shape[1]):
            zo, factor = z[n, o], dy[n, o]
            for i in range(dxn.size):
                dxn[i] += factor * zo[i]


@jit
def _outer(start, stop, dy, x, p):
    for n in range(start, stop):
        xn = x[n]
        for o in range(dy.shape[1]):
            po, factor = p[n, o], dy[n, o]
            for i in range(xn.size):
                po[i] = factor * xn[i]
