"""Elements taken by number or by mask on the CPU.  Meaning and shapes: kernels/reference/indexing.py.

Threads take rows a, or the rows of the result where there is but one a.
"""
from . import threads
from .compile import jit


def index_axis(x, index, y):
    """y[a, j, b] <- x[a, index[j], b].  See the reference."""
    A, m, B = y.shape
    if B == 1:
        _run(_index_elements, A, m, x.reshape(A, x.shape[1]), index, y.reshape(A, m))
    else:
        _run(_index_rows, A * m, B, x, index, y)


def index_axis_update_grad_input(dy, index, dx):
    """dx[a, i, b] <- the sum of dy[a, j, b] over every j with index[j] = i.  See the reference."""
    A, n, B = dx.shape
    _run(_index_grad, A, (n + index.size) * B, dy, index, dx)


def masked_select(x, mask, y):
    """y <- the elements of x where mask is not 0, in order.  See the reference."""
    _masked_select(x, mask, y)


def masked_select_update_grad_input(dy, mask, dx):
    """dx <- dy, one after the other, where mask is not 0, and 0 elsewhere.  See the reference."""
    _masked_select_grad(dy, mask, dx)


def one_hot(index, y):
    """y[i, index[i]] <- 1, and 0 elsewhere.  See the reference."""
    _run(_one_hot, index.size, y.shape[1], index, y)


def _run(kernel, count, work, *args):
    threads.run(kernel, count, threads.grain(work, threads.ELEMENTS_PER_THREAD), *args)


@jit
def _index_rows(start, stop, x, index, y):
    m = index.size
    for item in range(start, stop):
        a, j = item // m, item % m
        source, target = x[a, index[j]], y[a, j]
        for b in range(target.size):
            target[b] = source[b]


@jit
def _index_elements(start, stop, x, index, y):
    for a in range(start, stop):
        source, target = x[a], y[a]
        for j in range(target.size):
            target[j] = source[index[j]]


@jit
def _index_grad(start, stop, dy, index, dx):
    n, B = dx.shape[1:]
    for a in range(start, stop):
        whole = dx[a].reshape(n * B)
        for i in range(whole.size):
            whole[i] = dx.dtype.type(0)
        if B == 1:
            source = dy[a].reshape(index.size)
            for j in range(index.size):
                whole[index[j]] += source[j]
        else:
            for j in range(index.size):
                source, target = dy[a, j], dx[a, index[j]]
                for b in range(B):
                    target[b] += source[b]


@jit
def _masked_select(x, mask, y):
    # Each element is stored, and the next one over it where the mask is 0: no jump to mispredict.
    i = k = 0
    while k < y.size:
        y[k] = x[i]
        k += mask[i] != 0
        i += 1


@jit
def _masked_select_grad(dy, mask, dx):
    zero = dx.dtype.type(0)
    k, last = 0, dy.size - 1
    if last < 0:
        for i in range(dx.size):
            dx[i] = zero
        return
    for i in range(dx.size):
        value = dy[min(k, last)]
        dx[i] = value if mask[i] != 0 else zero
        k += mask[i] != 0


@jit
def _one_hot(start, stop, index, y):
    C = y.shape[1]
    zeros = y[start:stop].reshape((stop - start) * C)
    for i in range(zeros.size):
        zeros[i] = y.dtype.type(0)
    for i in range(start, stop):
        y[i, index[i]] = y.dtype.type(1)
