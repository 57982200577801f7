"""Rows of zeros that stand for padding, in plain NumPy."""
import numpy as np


def zero_row_mask(x, mask):
    """mask[n] <- 1 if row n of x is all 0, else 0; a row with NaN is not.

    x     (N, F)
    mask  (N,)    [out] uint8
    """
    mask[...] = (x == 0).all(axis=1)


def mask_rows(x, mask, y):
    """y <- x, with 0 in the rows that the mask marks; what x holds there is not used.

    x     (N, F)
    mask  (N,)    uint8
    y     (N, F)  [out]
    """
    y[...] = np.where(mask[:, None] != 0, 0, x)


def masked_lookup_update_output(w, index, y):
    """y[n] <- w[index[n]], or 0 where index[n] is 0.

    w      (R, F)
    index  (N,)    int32 or int64, within 0 .. R - 1
    y      (N, F)  [out]
    """
    y[...] = np.where(index[:, None] == 0, 0, w[index])


def masked_lookup_acc_grad_parameters(index, dy, dw, scale=1.0):
    """dw[index[n]] <- itself + scale dy[n] for every n whose index is not 0.

    index  (N,)    int32 or int64, within 0 .. R - 1
    dy     (N, F)
    dw     (R, F)  added to
    """
    real = index != 0
    with np.errstate(all="ignore"):
        np.add.at(dw, index[real], dw.dtype.type(scale) * dy[real])
