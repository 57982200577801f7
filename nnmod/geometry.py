"""Integers only: output sizes of windows, and batch-or-not."""
from .errors import ShapeError


def window_output(size, kernel, stride, pad, dilation=(1, 1), ceil_mode=False):
    """How many windows fit, for each spatial dimension.

    ``out = floor((size + 2 pad - (dilation (kernel - 1) + 1)) / stride) + 1``, or
    the ceiling with *ceil_mode*; the last window then starts inside the input or
    its left padding (Torch7's rule), so none lies wholly in the right padding.

    size, kernel, stride, pad, dilation : sequences of int, (height, width)

    >>> window_output((28, 28), (5, 5), (1, 1), (0, 0))
    (24, 24)
    >>> window_output((6, 6), (3, 3), (2, 2), (0, 0), ceil_mode=True)
    (3, 3)
    """
    out = []
    for n, k, s, p, d in zip(size, kernel, stride, pad, dilation):
        room = n + 2 * p - (d * (k - 1) + 1)
        count = (room + s - 1 if ceil_mode else room) // s + 1
        if ceil_mode and (count - 1) * s >= n + p:
            count -= 1
        if count < 1:
            raise ShapeError(
                f"input of size {tuple(size)} padded by {tuple(pad)} is smaller than the window "
                f"{tuple(kernel)}, dilation {tuple(dilation)} (height, width)"
            )
        out.append(count)
    return tuple(out)


def with_batch(tensor, ndim):
    """*tensor* as a view of *ndim* dimensions: a batch of one goes in front where it has one fewer."""
    return tensor if tensor.ndim == ndim else tensor[None]


def rows(shape, dim):
    """(N, C, S): how many elements lie before, along and behind dimension *dim*.

    >>> rows((2, 3, 4, 5), 1)
    (2, 3, 20)
    """
    N = S = 1
    for n in shape[:dim]:
        N *= n
    for n in shape[dim + 1:]:
        S *= n
    return N, shape[dim], S
