"""How Python functions become CUDA kernels of one thread, or one warp, to an item.

``per_item`` makes a kernel of ``function(i, ...)``, which computes item i, launched by
``each(kernel, count, ...)``; ``per_warp`` one of ``function(i, lane, ...)``, which 32 threads run
together, launched by ``each_warp``.  What such a function calls, a scalar formula or a helper of
the CPU's kernels, is compiled for the device from the same source.
"""
import ast
import math
import types

import numba
import numpy as np

from .. import formulas
from .launch import blocks, launch, scratch
from .target import cuda

#: Threads of a block.
THREADS = 256

#: A function, as the CPU knows it -> the same for the device; what formulas call stands at the end of the file.
_twins = {}


def device(function):
    """A helper that kernels call; it becomes part of them."""
    return cuda.jit(device=True, forceinline=True)(rebuilt(function))


def rebuilt(function):
    """*function* with every function that it calls in its form for the device; what it calls stands above it."""
    scope = function.__globals__
    changed = {}
    for name in _names(function.__code__):
        if name in scope and on_device(scope[name]) is not scope[name]:
            changed[name] = on_device(scope[name])
    cells = [on_device(cell.cell_contents) for cell in function.__closure__ or ()]
    if not changed and all(new is cell.cell_contents for new, cell in zip(cells, function.__closure__ or ())):
        return function
    made = types.FunctionType(function.__code__, {**scope, **changed}, function.__name__, function.__defaults__,
                              tuple(map(types.CellType, cells)) or None)
    made.__qualname__ = function.__qualname__
    return made


def _names(code):
    """The global names of *code* and of the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def on_device(value):
    """What kernels call in place of *value*; anything but a function or intrinsic stays as it is."""
    try:
        found = _twins.get(value)
    except TypeError:  # not hashable, so not a function
        return value
    if found is not None:
        return found
    if isinstance(value, types.FunctionType):
        made = device(value)
    elif isinstance(value, numba.core.dispatcher.Dispatcher):
        made = device(value.py_func)
    else:
        return value
    _twins[value] = made
    return made


# -- kernels ---------------------------------------------------------------------------------

def each(kernel, count, *args):
    """Launch *kernel*, made by per_item, with one thread to each of *count* items."""
    launch(kernel, blocks(count, THREADS), THREADS, index(count), *args)


def each_warp(kernel, count, *args):
    """Launch *kernel*, made by per_warp, with 32 threads to each of *count* items."""
    launch(kernel, blocks(count, THREADS // 32), THREADS, index(count), *args)


def or_empty(tensor, like):
    """*tensor*, or where it is None one of no elements, which kernels take for "absent"."""
    return scratch(like, (0,), like.dtype) if tensor is None else tensor


def index(count):
    """*count* as the type that items are numbered in: 32 bits divide many times faster than 64."""
    return np.uint32(count) if count < 2**31 else np.int64(count)


def number(value, like):
    """*value* in the dtype of *like*: float64 arithmetic has no place in a kernel of float32."""
    with np.errstate(over="ignore"):
        return like.dtype.type(value)


@device
def warp_sum(x):
    """The sum of x over the 32 threads of a warp, the same for all, in one fixed order."""
    for step in (16, 8, 4, 2, 1):
        x += cuda.shfl_xor_sync(0xFFFFFFFF, x, step)
    return x


@device
def split(i, n):
    """(i // n, i % n) for an item's number, or a quotient of one.

    The quotient keeps the type of i, so that it can be split again; the rest is an int64.
    Two uint32 may not be multiplied or added but by way of an int64: Numba would make a
    uint64 of them, and of that and an int64 a float64.
    """
    n = type(i)(n)
    quotient = type(i)(i // n)
    return quotient, np.int64(type(i)(i - quotient * n))


def per_item(function):
    """A kernel of which thread i runs ``function(i, ...)``; it keeps function's name and lines."""
    names = _parameters(function, 1)
    return build("\n".join([
        f"def kernel({', '.join(['items', *names])}):",
        "    i = cuda.grid(1)",
        "    if i < items:",
        f"        function(type(items)(i), {', '.join(names)})"]), function, {"function": on_device(function)})


def per_warp(function):
    """A kernel of which warp i runs ``function(i, lane, ...)``: 32 threads to a row, say.

    Whatever lane a thread has, it must take part in each warp_sum.  Launched by each_warp.
    """
    names = _parameters(function, 2)
    return build("\n".join([
        f"def kernel({', '.join(['items', *names])}):",
        "    i = cuda.grid(1)",
        "    if i // 32 < items:",
        f"        function(type(items)(i // 32), i % 32, {', '.join(names)})"]),
        function, {"function": on_device(function)})


def _parameters(function, given):
    """The names of all parameters but the first *given* ones."""
    return list(function.__code__.co_varnames[given:function.__code__.co_argcount])


def build(source, function, scope):
    """The function ``kernel`` of *source*; all of its lines are, for messages, the first one of *function*."""
    code = function.__code__
    namespace = {"cuda": cuda, "np": np, "__name__": function.__module__, **scope}
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if hasattr(node, "lineno"):
            node.lineno = node.end_lineno = code.co_firstlineno
    exec(compile(tree, code.co_filename, "exec"), namespace)
    kernel = namespace["kernel"]
    kernel.__qualname__ = kernel.__name__ = function.__name__.replace("<", "").replace(">", "")
    kernel.wide = getattr(function, "wide", "")
    return kernel


def resident(blocks):
    """Mark a kernel of per_item or per_warp of which *blocks* must fit on a multiprocessor at a time.

    Loops that the compiler unrolls may take more registers than leave room for enough threads to
    hide what each waits for; this bounds them.
    """
    def mark(kernel):
        kernel.launch_bounds = THREADS, blocks
        return kernel
    return mark


def wide(reason):
    """Mark a function whose kernel computes in float64 on purpose, and say why."""
    def mark(function):
        function.wide = reason
        return function
    return mark


# -- what formulas and the CPU's kernels call ---------------------------------------------------
# The compiler's own functions (libdevice) keep float32 in float32, and IEEE's edges.

@device
def _constant(value, like):
    return type(like)(value)


@device
def _select(condition, a, b):
    return a if condition else b


@device
def _exp(x):
    return math.exp(x)


@device
def _expm1(x):
    return math.expm1(x)


@device
def _log(x):
    return math.log(x)


@device
def _log1p(x):
    return math.log1p(x)


@device
def _tanh(x):
    return math.tanh(x)


@device
def _sqrt(x):
    return math.sqrt(x)


@device
def _fabs(x):
    return abs(x)


@device
def _power(x, p):
    return math.pow(x, p)


_twins.update({
    formulas.constant: _constant, formulas.select: _select, formulas.exp: _exp, formulas.expm1: _expm1,
    formulas.log: _log, formulas.log1p: _log1p, formulas.tanh: _tanh, formulas.sqrt: _sqrt,
    formulas.fabs: _fabs, formulas.power: _power,
})
