"""Rows of zeros that stand for padding, on the device.  Meaning and shapes: kernels/reference/mask.py."""
from .compile import each, each_warp, per_item, per_warp, split
from .target import cuda


def zero_row_mask(x, mask):
    """mask[n] <- 1 if row n of x is all 0, else 0.  See the reference."""
    each_warp(_zero_row_mask, x.shape[0], x, mask)


def zero_masked_rows(x, mask, y):
    """y <- x, with 0 in the rows that the mask marks.  See the reference."""
    each(_mask_rows, x.size, x, mask, y)


@per_warp
def _zero_row_mask(n, lane, x, mask):
    found = 0
    for j in range(lane, x.shape[1], 32):
        if x[n, j] != 0:
            found = 1
    if not cuda.any_sync(0xFFFFFFFF, found) and lane == 0:
        mask[n] = 1
    elif lane == 0:
        mask[n] = 0


@per_item
def _mask_rows(i, x, mask, y):
    n, j = split(i, x.shape[1])
    y[n, j] = x.dtype.type(0) if mask[n] else x[n, j]
