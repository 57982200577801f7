"""Many tensors as one vector: what getParameters() makes, and how it recognises it."""
from . import tensor


def flatten(tensors, moved, type_name):
    """Copy *tensors* into one new vector; note in *moved* the view that replaces each."""
    dtype = tensors[0].dtype if tensors else tensor.dtype_of(type_name)
    flat = tensor.empty((sum(t.size for t in tensors),), dtype)
    start = 0
    for old in tensors:
        if old.dtype != dtype:
            raise TypeError(f"parameters must share one dtype, got {dtype.name} and {old.dtype.name}; "
                            "convert the network with .float() or .double()")
        view = flat[start:start + old.size].reshape(old.shape)
        tensor.copy(old, view)
        moved[id(old)] = view
        start += old.size
    return flat


def slice_of(tensors):
    """The slice of one vector that *tensors* are consecutive views of, or None."""
    base = tensors[0].base if tensors else None
    if base is None or base.ndim != 1 or not base.flags.carray or base.dtype != tensors[0].dtype:
        return None
    start = position = _address(tensors[0])
    for view in tensors:
        if view.base is not base or _address(view) != position:
            return None
        position += view.nbytes
    first = (start - _address(base)) // base.itemsize
    return base[first:first + (position - start) // base.itemsize]


def _address(array):
    return array.__array_interface__["data"][0]
