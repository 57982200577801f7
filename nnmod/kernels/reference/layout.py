"""The same numbers in another order, in plain NumPy."""


def permute(x, y, axes):
    """y <- x with its dimensions in another order: dimension i of y is dimension axes[i] of x.

    x     any shape
    y     [out] the sizes of x in the order of *axes*
    axes  a permutation of 0 .. x.ndim-1, a tuple
    """
    y[...] = x.transpose(axes)
