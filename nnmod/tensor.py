"""The tensor types behind one door: allocate, convert, copy, describe.

Today a tensor is a :class:`numpy.ndarray` of float32 or float64 (int32 or int64
for targets and indices).  Every tensor that nnmod allocates comes from
:func:`empty`, so :data:`allocations` shows whether a training step is in steady
state.
"""
import math
import sys

import numpy as np

from . import nested

#: How many tensors nnmod has allocated in this process.
allocations = 0

_TYPES = {
    "float32": "cpu.float32",
    "float64": "cpu.float64",
    "cpu.float32": "cpu.float32",
    "cpu.float64": "cpu.float64",
}


def is_tensor(value):
    """Whether *value* is a tensor (and not a table, a number or None)."""
    return isinstance(value, np.ndarray)


def empty(shape, dtype):
    """A new tensor with undefined contents."""
    global allocations
    allocations += 1
    return np.empty(shape, dtype)


def zeros(shape, dtype):
    """A new tensor of zeros."""
    new = empty(shape, dtype)
    new.fill(0)
    return new


def fill(target, value):
    """Set every element of *target* to *value*."""
    target.fill(value)


def copy(source, target):
    """Copy *source* into *target*, which has its shape; converts the dtype."""
    target[...] = source


def is_dense(value):
    """Whether kernels can use *value* as it is: C-contiguous, aligned and writable."""
    return value.flags.carray


def dense(value, buffer=None):
    """*value* in a form that kernels can use, and the buffer to give to the next call.

    That is *value* itself if it is dense, else a copy of it.  The copy goes to *buffer*
    where that has the right shape and dtype, so that a loop over strided inputs
    allocates once.  Tables are handled leaf by leaf.  The buffer returned holds copies
    only, never a tensor of the caller's: the next call may write to it.
    """
    if nested.is_table(value):
        spares = buffer if isinstance(buffer, list) and len(buffer) == len(value) else [None] * len(value)
        pairs = [dense(item, spare) for item, spare in zip(value, spares)]
        new = [usable for usable, _ in pairs]
        if isinstance(value, list) and all(a is b for a, b in zip(new, value)):
            new = value
        return new, [spare for _, spare in pairs]
    if nested.is_named(value):
        entries = list(value.values())
        new, buffer = dense(entries, buffer)
        return value if new is entries else dict(zip(value, new)), buffer
    if not is_tensor(value) or is_dense(value):
        return value, buffer
    if not (is_tensor(buffer) and buffer.shape == value.shape and buffer.dtype == value.dtype):
        buffer = empty(value.shape, value.dtype)
    copy(value, buffer)
    return buffer, buffer


def resize(buffer, shape, dtype):
    """*buffer* itself if it has this shape and dtype, else a new tensor."""
    if buffer is not None and buffer.shape == shape and buffer.dtype == dtype:
        return buffer
    return empty(shape, dtype)


def _references_when_alone():
    for block in [np.empty(0)]:
        return sys.getrefcount(block)


#: What is counted where nothing but a list, and the loop that looks, holds a block.
_ALONE = _references_when_alone()


class Spares:
    """Memory for tensors that are needed for a short while: used again as soon as nobody holds the tensor.

    >>> spares = Spares()
    >>> first = spares.take((2, 3), np.dtype(np.float32))
    >>> second, place = spares.take((6,), np.dtype(np.float32)), first.ctypes.data
    >>> del first
    >>> spares.take((3, 2), np.dtype(np.float32)).ctypes.data == place != second.ctypes.data
    True
    """

    def __init__(self):
        self._blocks = {}

    def take(self, shape, dtype):
        """A tensor with undefined contents, in memory that no other tensor is in."""
        size = math.prod(shape) * dtype.itemsize
        blocks = self._blocks.setdefault(size, [])
        for block in blocks:
            if sys.getrefcount(block) == _ALONE:  # no view of it is left
                return block.view(dtype).reshape(shape)
        blocks.append(empty((size,), np.dtype(np.uint8)))
        return blocks[-1].view(dtype).reshape(shape)


def convert(value, type_name):
    """*value* as type *type_name* (see :func:`type_name`): itself if it already is."""
    dtype = dtype_of(type_name)
    if value.dtype == dtype:
        return value
    new = empty(value.shape, dtype)
    copy(value, new)
    return new


def type_name(type):
    """The full name of a type: ``"float32"`` or ``np.float32`` gives ``"cpu.float32"``.

    Raises ValueError for an unknown type, RuntimeError for a CUDA type (this
    version of nnmod has no CUDA kernels).
    """
    name = type if isinstance(type, str) else np.dtype(type).name
    if name.startswith("cuda"):
        raise RuntimeError(
            "this version of nnmod has no CUDA kernels: keep the module on the CPU (\"float32\" or \"float64\")"
        )
    if name not in _TYPES:
        raise ValueError(f"type must be one of {', '.join(_TYPES)}, got {name!r}")
    return _TYPES[name]


def dtype_of(type_name):
    """The NumPy dtype of a full type name.

    >>> dtype_of("cpu.float64")
    dtype('float64')
    """
    return np.dtype(type_name.partition(".")[2])


def same_memory(value, other):
    """Whether two values are the same tensor, or views of exactly the same memory."""
    if nested.is_table(value) or nested.is_table(other):
        return (nested.is_table(value) and nested.is_table(other) and len(value) == len(other)
                and all(same_memory(a, b) for a, b in zip(value, other)))
    if nested.is_named(value):
        return nested.same_names(value, other) and all(same_memory(value[name], other[name]) for name in value)
    if value is other:
        return True
    return (is_tensor(value) and is_tensor(other)
            and value.shape == other.shape and value.dtype == other.dtype
            and value.strides == other.strides
            and value.__array_interface__["data"][0] == other.__array_interface__["data"][0])


def equal(value, other):
    """Whether two values (tensors or tables) hold the same numbers; NaN equals NaN."""
    if nested.is_table(value) or nested.is_table(other):
        return (nested.is_table(value) and nested.is_table(other) and len(value) == len(other)
                and all(equal(a, b) for a, b in zip(value, other)))
    if nested.is_named(value):
        return nested.same_names(value, other) and all(equal(value[name], other[name]) for name in value)
    if not (is_tensor(value) and is_tensor(other)):
        return value is other or (isinstance(value, (int, float)) and value == other)
    return (value.shape == other.shape and value.dtype == other.dtype
            and np.array_equal(value, other, equal_nan=value.dtype.kind == "f"))


def describe(value):
    """dtype and shape in words, for messages: ``float32 (3, 12)``."""
    if nested.is_table(value):
        return "[" + ", ".join(describe(item) for item in value) + "]"
    if nested.is_named(value):
        return "{" + ", ".join(f"{name!r}: {describe(item)}" for name, item in value.items()) + "}"
    if is_tensor(value):
        return f"{value.dtype.name} {value.shape}"
    return repr(value) if isinstance(value, (int, float, str, type(None))) else type(value).__name__
