"""Rows of zeros that stand for padding, on the CPU.  Meaning and shapes: kernels/reference/mask.py."""
from . import threads
from .compile import jit


def zero_row_mask(x, mask):
    """mask[n] <- 1 if row n of x is all 0, else 0.  See the reference."""
    _zero_row_mask(0, x.shape[0], x, mask)


def zero_masked_rows(x, mask, y):
    """y <- x, with 0 in the rows that the mask marks.  See the reference."""
    N, F = x.shape
    threads.run(_mask_rows, N, threads.grain(F, threads.ELEMENTS_PER_THREAD), x, mask, y)


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
