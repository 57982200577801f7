"""The tensor types behind one door: allocate, convert, copy, describe.

A tensor is a :class:`numpy.ndarray` on the CPU and a
:class:`nnmod.kernels.cuda.array.CudaTensor` on the CUDA device, of float32 or float64 (int32
or int64 for targets and indices).  Every tensor that nnmod allocates comes from
:func:`empty`, so :data:`allocations` shows whether a training step is in steady state.

Where a function takes *like*, that says of what dtype and where: a tensor, a type such as
``"cuda.float32"``, or a dtype, which means the CPU.
"""
import math
import sys

import numpy as np

from . import kernels, nested

#: How many tensors nnmod has allocated in this process.
allocations = 0

_TYPES = {
    "float32": "cpu.float32",
    "float64": "cpu.float64",
    "cpu.float32": "cpu.float32",
    "cpu.float64": "cpu.float64",
    "cuda.float32": "cuda.float32",
    "cuda.float64": "cuda.float64",
}


def is_tensor(value):
    """Whether *value* is a tensor (and not a table, a number or None)."""
    return isinstance(value, np.ndarray) or isinstance(value, kernels.device_types)


def is_on_device(value):
    """Whether *value* is a tensor on the CUDA device."""
    return isinstance(value, kernels.device_types)


def cuda(array):
    """A copy of *array* on the CUDA device; itself if it is there.  Tables are handled leaf by leaf.

    Parameters
    ----------
    array : NumPy array, tensor on the device, or a table of them
        float32 or float64, or integers for targets and indices.

    Raises RuntimeError, in one sentence, where there is no CUDA.
    """
    if nested.is_table(array) or nested.is_named(array):
        return nested.map(cuda, array)
    if is_on_device(array):
        return array
    if not isinstance(array, np.ndarray):
        raise TypeError(f"cuda takes a NumPy array, or a table of them, got {type(array).__name__}; "
                        "use np.asarray(..., np.float32)")
    global allocations
    allocations += 1
    return kernels.device().of(array)


def host(value):
    """*value*, a tensor, as a NumPy array: itself on the CPU, a copy of one on the device.

    A copy waits until the device has done its work, so this is for a few numbers: indices
    that are checked, sizes that depend on values.
    """
    return value.numpy() if is_on_device(value) else value


def number(value, place):
    """The element of *value* at *place*, an index of all its dimensions, as a NumPy number."""
    return value[place].numpy()[()] if is_on_device(value) else value[place]


def beside(array, like):
    """NumPy *array*, or a tuple of them, on the device of *like*: itself on the CPU, else a copy there."""
    if isinstance(array, tuple):
        return tuple(beside(part, like) for part in array)
    return kernels.device().of(array) if like is not None and _kind(like)[1] else array


def empty(shape, like, dtype=None):
    """A new tensor with undefined contents, of *dtype* where that is given."""
    global allocations
    allocations += 1
    usual, on_device = _kind(like)
    return (kernels.device().empty if on_device else np.empty)(shape, dtype or usual)


def _kind(like):
    """The dtype, and whether it is the device, that *like* says."""
    if like.__class__ is np.ndarray:
        return like.dtype, False
    if like.__class__ is str and "." in like:
        return dtype_of(like), like.startswith("cuda.")
    return (like.dtype if is_tensor(like) else np.dtype(like)), is_on_device(like)


def zeros(shape, like, dtype=None):
    """A new tensor of zeros."""
    new = empty(shape, like, dtype)
    new.fill(0)
    return new


def fill(target, value):
    """Set every element of *target* to *value*."""
    target.fill(value)


def copy(source, target):
    """Copy *source* into *target*, which has its shape; converts the dtype, and the device."""
    if kernels.device_types and not is_on_device(target):
        source = host(source)
    target[...] = source


def clone(value):
    """A new tensor with the numbers of *value*, where it is; tables leaf by leaf, and None stays None."""
    def copied(leaf):
        if leaf is None:
            return None
        new = empty(leaf.shape, leaf)
        new[...] = leaf
        return new
    return nested.map(copied, value)


def take_rows(source, rows, target):
    """Copy those rows of *source* whose numbers are in *rows*, of int64 on the host, to *target*; returns it."""
    if not is_on_device(target):
        return np.take(source, rows, axis=0, out=target, mode="clip")
    from .kernels.cuda import copying
    copying.take_rows(source, beside(np.asarray(rows, np.int64), target), target)
    return target


def put_rows(source, rows, target):
    """Copy the rows of *source* to those of *target* whose numbers are in *rows*, of int64 on the host."""
    if not is_on_device(target):
        target[rows] = source
        return
    from .kernels.cuda import copying
    copying.put_rows(source, beside(np.asarray(rows, np.int64), target), target)


def is_dense(value):
    """Whether kernels can use *value* as it is: C-contiguous, aligned and writable."""
    return value.dense if is_on_device(value) else value.flags.carray


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
    buffer = resize(buffer if is_tensor(buffer) else None, value.shape, value)
    copy(value, buffer)
    return buffer, buffer


def resize(buffer, shape, like, dtype=None):
    """*buffer* itself if it has this shape, the dtype and the device of *like*, else a new tensor.

    *dtype* takes the place of the dtype of *like*.
    """
    usual, on_device = _kind(like)
    if (buffer is not None and buffer.shape == shape and buffer.dtype == (dtype or usual)
            and is_on_device(buffer) == on_device):
        return buffer
    return empty(shape, like, dtype)


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

    def __init__(self, overwritten=False):
        #: Whether somebody may write to a tensor that others still read: then each needs its own.
        self.overwritten = overwritten
        self._blocks = {}

    def take(self, shape, dtype, like=None):
        """A tensor with undefined contents, in memory that no other tensor is in, on the device of *like*."""
        if is_on_device(like):
            return empty(shape, like, dtype)  # the device's allocator does the same for all
        size = math.prod(shape) * dtype.itemsize
        blocks = self._blocks.setdefault(size, [])
        for block in blocks:
            if sys.getrefcount(block) == _ALONE:  # no view of it is left
                return block.view(dtype).reshape(shape)
        blocks.append(empty((size,), np.dtype(np.uint8)))
        return blocks[-1].view(dtype).reshape(shape)


def convert(value, type_name):
    """*value* as type *type_name* (see :func:`type_name`): itself if it already is."""
    if value.dtype == dtype_of(type_name) and is_on_device(value) == type_name.startswith("cuda."):
        return value
    new = empty(value.shape, type_name)
    copy(value, new)
    return new


def type_name(type):
    """The full name of a type: ``"float32"`` or ``np.float32`` gives ``"cpu.float32"``.

    Raises ValueError for an unknown type, RuntimeError for a CUDA type where there is no CUDA.
    """
    name = type if isinstance(type, str) else np.dtype(type).name
    if name not in _TYPES:
        raise ValueError(f"type must be one of {', '.join(_TYPES)}, got {name!r}")
    if name.startswith("cuda."):
        kernels.device()
    return _TYPES[name]


def dtype_of(type_name):
    """The NumPy dtype of a full type name.

    >>> dtype_of("cpu.float64")
    dtype('float64')
    """
    return np.dtype(type_name.partition(".")[2])


def type_of(value):
    """The full name of the type of tensor *value*, such as ``"cpu.float32"``."""
    return f"{'cuda' if is_on_device(value) else 'cpu'}.{value.dtype.name}"


def same_memory(value, other):
    """Whether two values are the same tensor, or views of exactly the same memory."""
    if nested.is_table(value) or nested.is_table(other):
        return (nested.is_table(value) and nested.is_table(other) and len(value) == len(other)
                and all(same_memory(a, b) for a, b in zip(value, other)))
    if nested.is_named(value):
        return nested.same_names(value, other) and all(same_memory(value[name], other[name]) for name in value)
    if value is other:
        return True
    if is_on_device(value) or is_on_device(other):
        return is_on_device(value) and is_on_device(other) and value.same_memory(other)
    return (is_tensor(value) and is_tensor(other)
            and value.shape == other.shape and value.dtype == other.dtype
            and value.strides == other.strides
            and value.__array_interface__["data"][0] == other.__array_interface__["data"][0])


def shares_memory(value, other):
    """Whether two tensors may have elements in the same memory."""
    if is_on_device(value) or is_on_device(other):
        return is_on_device(value) and is_on_device(other) and value.overlaps(other)
    return np.may_share_memory(value, other)


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
            and is_on_device(value) == is_on_device(other)
            and np.array_equal(host(value), host(other), equal_nan=value.dtype.kind == "f"))


def address(value):
    """Where the first element of *value* is in the memory of its device."""
    return value.address if is_on_device(value) else value.__array_interface__["data"][0]


def describe(value):
    """dtype and shape in words, for messages: ``float32 (3, 12)``, ``cuda.float32 (3, 12)``."""
    if nested.is_table(value):
        return "[" + ", ".join(describe(item) for item in value) + "]"
    if nested.is_named(value):
        return "{" + ", ".join(f"{name!r}: {describe(item)}" for name, item in value.items()) + "}"
    if is_on_device(value):
        return repr(value)
    if is_tensor(value):
        return f"{value.dtype.name} {value.shape}"
    return repr(value) if isinstance(value, (int, float, str, type(None))) else type(value).__name__
