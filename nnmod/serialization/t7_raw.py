"""The raw objects of a .t7 file: what stands in it, with no meaning given to classes."""
import functools
import re

import numpy as np

#: The element types by the first part of a class name; those of a GPU are read as CPU types.
DTYPES = {"Double": np.dtype("f8"), "Float": np.dtype("f4"), "Half": np.dtype("f2"), "Long": np.dtype("i8"),
          "Int": np.dtype("i4"), "Short": np.dtype("i2"), "Char": np.dtype("i1"), "Byte": np.dtype("u1"),
          "Cl": np.dtype("f4"), "Cuda": np.dtype("f4"), "CudaDouble": np.dtype("f8"), "CudaHalf": np.dtype("f2"),
          "CudaLong": np.dtype("i8"), "CudaInt": np.dtype("i4"), "CudaShort": np.dtype("i2"),
          "CudaChar": np.dtype("i1"), "CudaByte": np.dtype("u1")}
_TYPED = re.compile(r"torch\.(\w*?)(Tensor|Storage)\Z")


#: What a file is that ends too early, or seems to, and what to do.
CUT_OFF = "cut off or damaged; fetch it again, or write it again"


class T7Error(ValueError):
    """A .t7 file that is damaged, cut off or something else; ``position`` is in bytes."""

    def __init__(self, text, position=None):
        super().__init__(text if position is None else f"{text} (at byte {position})")
        self.position = position


class Table:
    """A Lua table as the file has it: ``items``, a list of (key, value) pairs in file order."""

    __slots__ = ("items",)

    def __init__(self):
        self.items = []


class Torch:
    """An object of a class that is no tensor: its name, its version and what the class wrote.

    ``content`` is the last object that it wrote, a Table for nearly every class, and
    ``before`` those that came first.
    """

    __slots__ = ("name", "version", "before", "content", "position")

    def __init__(self, name, version, position=None):
        self.name, self.version, self.position = name, version, position
        self.before, self.content = [], None


class Function:
    """A Lua function: bytecode, never executed, and its upvalues."""

    __slots__ = ("kind", "code", "upvalues")

    def __init__(self, kind, code):
        self.kind, self.code, self.upvalues = kind, code, None

    def __repr__(self):
        return f"Function({len(self.code)} bytes of Lua's, never run)"


class Storage:
    """A storage: ``data``, a 1-D array; ``name`` is the class that the file names."""

    __slots__ = ("name", "version", "data")

    def __init__(self, name, data=None, version=1):
        self.name, self.data, self.version = name, data, version


class Tensor:
    """A view of a storage: shape and strides in elements, offset from 0."""

    __slots__ = ("name", "version", "shape", "strides", "offset", "storage", "array")

    def __init__(self, name, version=1):
        self.name, self.version = name, version
        self.shape = self.strides = ()
        self.offset, self.storage, self.array = 0, None, None


@functools.lru_cache(256)
def element_type(name):
    """(dtype, "Tensor" or "Storage") of a class name, or None for other classes.

    >>> element_type("torch.CudaTensor")
    (dtype('float32'), 'Tensor')
    """
    match = _TYPED.match(name)
    if match and match[1] in DTYPES:
        return DTYPES[match[1]], match[2]
    return None


def view(tensor, dtype, position=None, data=None):
    """The elements of *tensor* as an array, a view of its storage; checked against its bounds.

    *data* stands for the elements of the storage, if given.
    """
    shape, strides = tensor.shape, tensor.strides
    if not shape or 0 in shape:
        if any(n < 0 for n in shape):
            raise T7Error(f"a {tensor.name} has sizes {shape}", position)
        # Torch's tensor of no dimensions has no elements.
        return _array(tensor, shape or (0,), dtype, None, 0, None, position)
    if data is None and tensor.storage is not None:
        data = tensor.storage.data
    count = 0 if data is None else data.size
    last = tensor.offset + sum([(n - 1) * s for n, s in zip(shape, strides)])
    if min(shape) < 0 or min(strides) < 0 or tensor.offset < 0 or last >= count:
        raise T7Error(f"a {tensor.name} of sizes {shape}, strides {strides} and offset {tensor.offset + 1} "
                      f"does not fit into its storage of {count} elements", position)
    total = 1
    for n in shape:
        total *= n
    if total > max(count, 1) * 1_000_000:
        raise T7Error(f"a {tensor.name} of sizes {shape} repeats a storage of {count} elements too often", position)
    if data.dtype != dtype:
        raise T7Error(f"a {tensor.name} lies in a {tensor.storage.name}", position)
    steps = [s * dtype.itemsize for s in strides]
    return _array(tensor, shape, dtype, data, tensor.offset * dtype.itemsize, steps, position)


def _array(tensor, shape, dtype, data, offset, steps, position):
    try:
        return np.ndarray(shape, dtype, data, offset, steps)
    except (ValueError, OverflowError, MemoryError) as error:
        raise T7Error(f"a {tensor.name} of sizes {shape} and strides {tensor.strides} cannot be: {error}",
                      position) from None
