"""Penalties on images, on the CPU.  Meaning and shapes: kernels/reference/gradient.py.

Threads take planes.  A row of the result is written from its own row of x and the two
beside it, so that it stays in the cache meanwhile.
"""
from . import threads
from .compile import jit


def total_variation_update_grad_input(x, dy, dx, strength):
    """dx <- dy plus the gradient of the total variation of x, plane by plane.  See the reference."""
    P, H, W = x.shape
    threads.run(_total_variation, P, threads.grain(H * W, threads.ELEMENTS_PER_THREAD), x, dy, dx,
                float(strength))


@jit
def _total_variation(start, stop, x, dy, dx, strength):
    H, W = x.shape[1:]
    factor = dx.dtype.type(strength)
    for p in range(start, stop):
        for h in range(H):
            row, to, given = x[p, h], dx[p, h], dy[p, h]
            for w in range(W):
                to[w] = given[w]
            if h + 1 < H:
                below = x[p, h + 1]
                for w in range(W - 1):
                    to[w] += factor * ((row[w] - row[w + 1]) + (row[w] - below[w]))
                for w in range(W - 1):
                    to[w + 1] -= factor * (row[w] - row[w + 1])
            if h > 0:
                above = x[p, h - 1]
                for w in range(W - 1):
                    to[w] -= factor * (above[w] - row[w])
