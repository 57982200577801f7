"""The same numbers in another order or place, in plain NumPy."""


def permute(x, y, axes):
    """y <- x with its dimensions in another order: dimension i of y is dimension axes[i] of x.

    x     any shape
    y     [out] the sizes of x in the order of *axes*
    axes  a permutation of 0 .. x.ndim-1, a tuple
    """
    y[...] = x.transpose(axes)


def copy_columns(x, y, rows, x_first, y_first, count):
    """Columns y_first .. y_first+count-1 of y <- columns x_first .. x_first+count-1 of x; others of y stay.

    x     any shape, read as *rows* rows
    y     [out] any shape, *rows* rows as well; it shares no memory with x
    rows  how many; 0 where x or y has no elements
    """
    if rows and count:
        y.reshape(rows, -1)[:, y_first:y_first + count] = x.reshape(rows, -1)[:, x_first:x_first + count]
