"""Neighbours as one kernel on the CPU.  Meaning and shapes: kernels/reference/fused.py.

A product finishes what it has written while that is in the cache: see epilogue.py.  Threads
take what they take of the product alone, so that no bit depends on how many there are.
"""
import math

from . import conv_columns, program, threads
from .compile import call, jit
from .conv_frame import geometry
from .convolution import METHODS, method
from .conv_winograd import kept_size
from .epilogue import no_end
from .linear import at, divided, empty_vector, linear_part
from .simd import address


def norm_of_statistics(w, b, mean, var, norm, eps):
    """The normalisation that batch normalisation amounts to in evaluation.  See the reference."""
    _norm_of_statistics(empty_vector(mean) if w is None else w, empty_vector(mean) if b is None else b, mean, var, norm,
                        float(eps))


@jit
def _norm_of_statistics(w, b, mean, var, norm, eps):
    for c in range(mean.size):
        norm[0, c] = mean[c]
        norm[1, c] = 1 / math.sqrt(float(var[c]) + eps)
        if w.size:
            norm[1, c] *= w[c]
        norm[2, c] = b[c] if b.size else norm.dtype.type(0)


def linear_fused_update_output(x, w, b, norm, y, activation=0, low=0.0, high=0.0):
    """y <- activation of the normalised x w^T + b.  See the reference."""
    _ready_linear(x, w, b, norm, y, activation, low, high)(x)


def _ready_linear(x, w, b, norm, y, activation=0, low=0.0, high=0.0):
    """The same as a function of x, for one of this shape."""
    N, O = y.shape
    count = threads.get_num_threads()
    parts, by_columns, size = divided(N, O, x.shape[1], y.itemsize)
    b, norm = empty_vector(y) if b is None else b, no_end(y)[0] if norm is None else norm
    low, high = float(low), float(high)

    def run(x):
        if N == 0:
            return
        if threads.get_num_threads() != count:
            linear_fused_update_output(x, w, b, norm, y, activation, low, high)
            return
        work = threads.workspace(parts * size)
        if parts == 1:
            _linear(0, 1, 1, by_columns, x, w, b, norm, y, activation, low, high, work, size)
        else:
            threads.run(_linear, parts, 1, parts, by_columns, x, w, b, norm, y, activation, low, high, work, size)

    if parts == 1 and N:
        numbers = N, O, x.shape[1], by_columns, at(w), at(b), at(norm), at(y), activation, size
        run.step = program.step("linear", y, numbers, low, high, size)
    return run


linear_fused_update_output.ready = _ready_linear


@jit
def _linear(start, stop, parts, by_columns, x, w, b, norm, y, activation, low, high, work, work_size):
    (N, O), number = y.shape, y.dtype.type
    for part in range(start, stop):
        call(linear_part, (number(low), number(high), part, parts, by_columns, N, O, x.shape[1], address(x), address(w),
                           address(b) if b.size else 0, address(norm) if norm.size else 0, address(y), activation,
                           address(work) + part * work_size, work_size))


def conv2d_kept_size(x_shape, w_shape, y_shape, stride, pad, dilation=(1, 1), groups=1, dtype="float32"):
    """How many bytes of what is made of the weights are worth keeping.  See the reference."""
    g = geometry(tuple(x_shape), tuple(w_shape), tuple(y_shape), stride, pad, dilation, groups,
                 4 if dtype == "float32" else 8)
    return kept_size(g) if g.flops and method(g, True) == "winograd" else 0


def conv2d_fused_update_output(x, w, b, norm, y, kept, stride, pad, dilation=(1, 1), groups=1, activation=0,
                               low=0.0, high=0.0):
    """y <- activation of the normalised convolution.  See the reference."""
    _ready_conv2d(x, w, b, norm, y, kept, stride, pad, dilation, groups, activation, low, high)(x)


def _ready_conv2d(x, w, b, norm, y, kept, stride, pad, dilation=(1, 1), groups=1, activation=0, low=0.0, high=0.0):
    """The same as a function of x, for one of this shape, and for the method that is taken now."""
    g = geometry(x.shape, w.shape, y.shape, stride, pad, dilation, groups, y.itemsize)
    if not g.flops:
        return lambda x: None
    end = (no_end(y)[0] if norm is None else norm, activation, float(low), float(high))
    update_output = METHODS[method(g, kept is not None)].update_output
    b = empty_vector(y) if b is None else b

    def run(x):
        update_output(g, x, w, b, y, end, kept)

    alone = conv_columns.alone(g, w, b, y, end) if update_output is conv_columns.update_output else None
    if alone:
        run.step = program.step("convolution", y, *alone)
    return run


conv2d_fused_update_output.ready = _ready_conv2d


def joined(calls):
    """Neighbouring calls as one, where each of them has a step for programs.  See the reference."""
    found, group = [], []
    for function, x in [*calls, (None, None)]:
        if hasattr(function, "step"):
            group.append((function, x))
            continue
        found += [program.program(group)] if len(group) > 1 else group
        group = []
        if function:
            found.append((function, x))
    return found
