"""What a fused kernel does to its output while that is in the cache: a normalisation, an activation.

Kernels call finish on what they have just written.  The formulas are those of the modules, so
that a fused network computes what the plain one does.
"""
import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from .. import formulas
from . import functions  # noqa: F401  teaches Numba the functions that formulas call
from .compile import inline, native
from .elementwise import compilable

_relu, _leaky_relu, _hard_tanh, _tanh, _sigmoid = map(compilable, formulas.ACTIVATIONS[1:])


@intrinsic
def _pointer(typingctx, like, address):
    """*address* as a pointer to numbers of the dtype of *like*."""
    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[1], context.get_value_type(signature.return_type))

    return types.CPointer(like)(like, types.intp), codegen


@inline
def activate(run, activation, low, high):
    """run <- its activation, a number in formulas.ACTIVATIONS, element by element."""
    # A loop for each, so that each vectorises.
    if activation == 1:
        for i in range(run.size):
            run[i] = _relu(run[i])
    elif activation == 2:
        for i in range(run.size):
            run[i] = _leaky_relu(run[i], low)
    elif activation == 3:
        for i in range(run.size):
            run[i] = _hard_tanh(run[i], low, high)
    elif activation == 4:
        for i in range(run.size):
            run[i] = _tanh(run[i])
    elif activation == 5:
        for i in range(run.size):
            run[i] = _sigmoid(run[i])


@native("number", "number", *["int"] * 8)
def finish(low, high, y, rows, step, count, norm, channels, first, activation):
    """Normalise and activate *rows* runs of *count* numbers, *step* bytes apart, from y on.

    norm  the address of (3, channels) numbers, or 0; the first run is of channel *first*
    """
    for i in range(rows):
        run = carray(_pointer(low, y + i * step), (count,))
        if norm:
            own = carray(_pointer(low, norm), (3, channels))
            center, factor, shift = own[0, first + i], own[1, first + i], own[2, first + i]
            for j in range(run.size):
                run[j] = (run[j] - center) * factor + shift
        activate(run, activation, low, high)


_nothing = {}


def no_end(like):
    """The end of a kernel that does nothing to its output: no normalisation, no activation, its numbers."""
    found = _nothing.get(like.dtype)
    if found is None:
        found = _nothing[like.dtype] = np.empty((0, 0), like.dtype), 0, 0.0, 0.0
    return found
