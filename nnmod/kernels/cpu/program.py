"""Several small kernels as one call: nothing of Python's runs between them.

A *step* is a kernel with its arguments as integers, addresses among them; a program is a table of
steps, whose first reads the input and the others what is left by the ones before.  A call from
Python costs a microsecond where its code is in the cache, and several where a layer's weights have
just passed through it.  The kernels are those that are called one by one elsewhere, so no bit differs.
"""
import numpy as np

from . import threads
from .compile import call, jit
from .conv_columns import output_part, pack_weights_part
from .conv_frame import aligned
from .linear import at, linear_part
from .simd import address
from .window_max import squares

_KINDS = ("linear", "convolution", "squares")
_LENGTH = 19


def step(kind, y, numbers, low=0.0, high=0.0, work=0):
    """A step: its *kind*, its arguments but for the input, an activation's numbers, the scratch that it needs."""
    return kind, y.dtype, numbers, low, high, work


def program(calls):
    """*calls*, pairs of a function with a step and its input, as one such pair."""
    steps, inputs = [function.step for function, _ in calls], [x for _, x in calls]
    code = np.zeros((len(calls), _LENGTH), np.int64)
    ends = np.zeros((len(calls), 2), steps[0][1])
    for row, (kind, _, numbers, *_), x in zip(code, steps, inputs):
        row[:2 + len(numbers)] = _KINDS.index(kind), at(x), *numbers
    code[0, 1] = 0  # whatever comes
    ends[:] = [(low, high) for *_, low, high, _ in steps]
    size = max(work for *_, work in steps)

    def run(x, keep=calls):
        _run(x.reshape(-1), threads.workspace(size), code, ends)

    return run, inputs[0]


@jit
def _run(x, work, code, ends):
    for i in range(code.shape[0]):
        c, low, high = code[i], ends[i, 0], ends[i, 1]
        source = c[1] if c[1] else address(x)
        if c[0] == 0:
            call(linear_part, (low, high, 0, 1, c[5], c[2], c[3], c[4], source, c[6], c[7], c[8], c[9], c[10],
                               address(work), c[11]))
        elif c[0] == 1:
            units, w, b, y, sizes, offsets, wide, direct = c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9]
            in_place, tile_bytes, shared, panel_bytes, norm = c[10], c[11], c[12], c[13], c[14]
            scratch = aligned(work)
            if not in_place:
                call(pack_weights_part, (low, 0, c[16], w, b, scratch, sizes, 0, c[17], c[18], tile_bytes))
            call(output_part, (low, high, 0, 1, 0, 1, units, source, w if in_place else 0, b, y, scratch,
                               scratch + shared, sizes, offsets, wide, direct, tile_bytes, panel_bytes, norm, c[15]))
        else:
            call(squares, (low, source, c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9]))
