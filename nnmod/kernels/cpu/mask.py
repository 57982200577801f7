"""Rows of zeros that stand for padding, on the CPU.  Meaning and shapes: kernels/reference/mask.py."""
from . import threads
from .compile import jit


def zero_row_mask(x, mask):
    """mask[n] <- 1 if row n of x is all 0, else 0.  See the reference."""
    _zero_row_mask(0, x.shape[0], x, mask)


def mask_rows(x, mask, y):
    """y <- x, with 0 in the rows that the mask marks.  See the reference."""
    N, F = x.shape
    threads.run(_mask_rows, N, threads.grain(F, threads.ELEMENTS_PER_THREAD), x, mask, y)


def masked_lookup_update_output(w, index, y):
    """y[n] <- w[index[n]], or 0 where index[n] is 0.  See the reference."""
    N, F = y.shape
    threads.run(_lookup, N, threads.grain(F, threads.ELEMENTS_PER_THREAD), w, index, y)


def masked_lookup_acc_grad_parameters(index, dy, dw, scale=1.0):
    """dw[index[n]] <- itself + scale dy[n] where index[n] is not 0.  See the reference."""
    # Two rows may share an index, so threads take columns.
    N, F = dy.shape
    threads.run(_lookup_grad, F, threads.grain(N, threads.ELEMENTS_PER_THREAD), index, dy, dw, float(scale))


@jit
def _zero_row_mask(start, stop, x, mask):
    for n in range(start, stop):
        row = x[n]
        padding = 1
        for j in range(row.size):
            if row[j] != 0:
                padding = 0
                break
        mask[n] = padding


@jit
def _mask_rows(start, stop, x, mask, y):
    for n in range(start, stop):
        row, out = x[n], y[n]
        if mask[n]:
            for j in range(out.size):
                out[j] = 0
        else:
            for j in range(out.size):
                out[j] = row[j]


@jit
def _lookup(start, stop, w, index, y):
    for n in range(start, stop):
        row, out = w[index[n]], y[n]
        if index[n] == 0:
            for j in range(out.size):
                out[j] = 0
        else:
            for j in range(out.size):
                out[j] = row[j]


@jit
def _lookup_grad(start, stop, index, dy, dw, scale):
    scale = dw.dtype.type(scale)
    for n in range(index.size):
        if index[n] != 0:
            source, target = dy[n, start:stop], dw[index[n], start:stop]
            for j in range(target.size):
                target[j] += scale * source[j]
