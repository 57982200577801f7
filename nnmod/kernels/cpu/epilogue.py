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
from .simd import VECTOR_BYTES, Emitter, lanes

_relu, _leaky_relu, _hard_tanh, _tanh, _sigmoid = map(compilable, formulas.ACTIVATIONS[1:])


@intrinsic
def pointer(typingctx, like, address):
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


def emit_straight(e, y, count, norm, channels, rectify):
    """The same for one run without an activation, or with ReLU, in one pass; *norm* is where its center is, or 0."""
    normed, rectify = norm.differs(0), rectify.differs(0)
    here = e.where(normed, norm, y)  # anything that can be read
    center, factor, shift = (e.broadcast(e.get(e.where(normed, here + k * channels, y))) for k in range(3))
    whole = count // e.lanes * e.lanes

    def run(change):
        out = e.unknown(y)
        with e.range(0, whole, e.lanes) as i:
            e.store(change(e.load(y + i * e.item_bytes)), out + i * e.item_bytes)
        with e.when(whole < count):
            rest, mask = whole * e.item_bytes, e.mask(count - whole)
            e.store(change(e.load(y + rest, mask)), out + rest, mask)

    def normalised(x):
        return e.fma(x - center, factor, shift)

    with e.choice(normed) as (yes, no):
        with yes, e.choice(rectify) as (yes_, no_):
            with yes_:
                run(lambda x: e.rectified(normalised(x)))
            with no_:
                run(normalised)
        with no, e.when(rectify):
            run(e.rectified)


@intrinsic
def _straight(typingctx, like, y, count, norm, channels, rectify):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_straight(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 5), codegen


@native("number", "number", *["int"] * 8)
def finish(low, high, y, rows, step, count, norm, channels, first, activation):
    """Normalise and activate *rows* runs of *count* numbers, *step* bytes apart, from y on.

    norm  the address of (3, channels) numbers, or 0; the first run is of channel *first*
    """
    if activation <= 1:
        size = VECTOR_BYTES // lanes(low)
        for i in range(rows):
            here = norm + (first + i) * size if norm else 0
            _straight(low, y + i * step, count, here, channels * size, activation)
        return
    for i in range(rows):
        run = carray(pointer(low, y + i * step), (count,))
        if norm:
            own = carray(pointer(low, norm), (3, channels))
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
