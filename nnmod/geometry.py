"""Integers only: output sizes of windows, and batch-or-not."""
import math

from .errors import ShapeError


def window_output(size, kernel, stride, pad, dilation=(1, 1, 1), ceil_mode=False):
    """How many windows fit, for each spatial dimension.

    ``out = floor((size + 2 pad - (dilation (kernel - 1) + 1)) / stride) + 1``, or
    the ceiling with *ceil_mode*; the last window then starts inside the input or
    its left padding (Torch7's rule), so none lies wholly in the right padding.

    size, kernel, stride, pad, dilation : sequences of int, (height, width), one longer or shorter for
        windows in three dimensions or one

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
                f"{tuple(kernel)}, dilation {tuple(dilation)[:len(kernel)]} ({_AXES[len(kernel)]})"
            )
        out.append(count)
    return tuple(out)


def around(shape, axis):
    """*shape* as three sizes: what comes before dimension *axis*, that dimension, what comes after.

    >>> around((2, 3, 4, 5), 2)
    (6, 4, 5)
    """
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:])


_AXES = {1: "width", 2: "height, width", 3: "time, height, width"}


def with_batch(tensor, ndim):
    """*tensor* as a view of *ndim* dimensions: a batch of one goes in front where it has one fewer."""
    return tensor if tensor.ndim == ndim else tensor[None]


def planes(tensor, sides):
    """*tensor* as planes (P, D, H, W), a view: its last *sides* dimensions, and all others as one.

    >>> import numpy as np
    >>> planes(np.zeros((2, 3, 5, 4)), 2).shape
    (6, 1, 5, 4)
    """
    return tensor.reshape(planes_of(tensor.shape, sides))


def planes_of(shape, sides):
    """The shape that planes() gives a tensor of *shape*.

    >>> planes_of((2, 3, 5, 4), 2)
    (6, 1, 5, 4)
    """
    return math.prod(shape[:-sides]), *(1,) * (3 - sides), *shape[-sides:]


def check_covered(size, kernel, stride, pad, dilation):
    """Raise ShapeError where a window that starts in the padding steps over the whole input."""
    for n, k, s, p, d in zip(size, kernel, stride, pad, dilation):
        # The first element at or after 0 of a window that starts at o s - p is (o s - p) mod d.
        if d > n and any((start - p) % d >= n for start in range(0, p, s)):
            raise ShapeError(
                f"input of size {tuple(size)} has a window that steps over it: an element in the padding, "
                f"the next one behind the end; window {tuple(kernel)}, dilation {tuple(dilation)}, "
                f"padding {tuple(pad)}")
