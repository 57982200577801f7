"""Which entries of a large gradient may be other than 0.

A module that sees few of its features in a step leaves most of gradWeight alone.
What has been touched since the gradient was last set to 0 is remembered here, with
the tensor itself, so that modules that share a gradient share that knowledge.
Nothing is known of a gradient that was never set to 0 through this file: then all
of it is worked on.  So it is on the CUDA device: there, a few rows are found no sooner than all
are set to 0.
"""
import weakref

import numpy as np

from . import kernels, tensor

_known = {}  # id of a gradient -> (weak reference to it, _Touched)


class _Touched:
    def __init__(self, size):
        self.flags = tensor.zeros((size,), np.uint8)
        self.rows = tensor.empty((size,), np.int64)
        self.count = tensor.zeros((1,), np.int64)

    def found(self):
        return self.rows[:self.count[0]]


def note(grad, axis, indices):
    """Remember that *grad* was added to at *indices* of dimension *axis*."""
    touched = _of(grad)
    if touched is not None:
        kernels.of(grad).note_rows(indices, touched.flags, touched.rows, touched.count)


def clear(grad, axis):
    """Set *grad* to 0 and begin to remember what is touched along dimension *axis*."""
    touched = _of(grad)
    if tensor.is_on_device(grad):
        tensor.fill(grad, 0)
    elif touched is None:
        tensor.fill(grad, 0)
        key = id(grad)
        _known[key] = weakref.ref(grad, lambda _: _known.pop(key, None)), _Touched(grad.shape[axis])
    else:
        kernels.of(grad).clear_rows(touched.found(), _around(grad, axis), touched.flags, touched.count)


def step(grad, param, axis, rate):
    """``param -= rate * grad`` where *grad* was touched; False where nothing is known of it."""
    touched = _of(grad)
    if touched is None:
        return False
    kernels.of(grad, param).add_scaled_rows(touched.found(), _around(grad, axis), _around(param, axis), -rate)
    return True


def _of(grad):
    reference, touched = _known.get(id(grad), (None, None))
    return touched if reference is not None and reference() is grad else None


def _around(value, axis):
    """*value* with three dimensions, of which the middle one is *axis*: a view."""
    before = 1
    for size in value.shape[:axis]:
        before *= size
    return value.reshape(before, value.shape[axis], -1 if value.size else 0)
