"""Rows of zeros that stand for padding, in plain NumPy."""
import numpy as np


def zero_row_mask(x, mask):
    """mask[n] <- 1 if row n of x is all 0, else 0; a row with NaN is not.

    x     (N, F)
    mask  (N,)    [out] uint8
    """
    mask[...] = (x == 0).all(axis=1)


def zero_masked_rows(x, mask, y):
    """y <- x, with 0 in the rows that the mask marks; what x holds there is not used.

    x     (N, F)
    mask  (N,)    uint8
    y     (N, F)  [out]
    """
    y[...] = np.where(mask[:, None] != 0, 0, x)
