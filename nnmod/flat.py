"""Many tensors as one vector, of which they are views: what getParameters gives."""
from . import tensor


def flatten(tensors, moved, type_name):
    """Copy *tensors* into one new vector; note in *moved* the view that replaces each."""
    flat = tensor.empty((sum(t.size for t in tensors),), tensors[0] if tensors else type_name)
    start = 0
    for old in tensors:
        if old.dtype != flat.dtype:
            raise TypeError(f"parameters must share one dtype, got {flat.dtype.name} and {old.dtype.name}; "
                            "convert the network with .float() or .double()")
        if tensor.is_on_device(old) != tensor.is_on_device(flat):
            raise TypeError(f"parameters must share one device, got {tensor.describe(tensors[0])} and "
                            f"{tensor.describe(old)}; convert the network with .cuda() or .cpu()")
        view = flat[start:start + old.size].reshape(old.shape)
        tensor.copy(old, view)
        moved[id(old)] = view
        start += old.size
    return flat


def flat_slice(tensors):
    """The slice of one vector that *tensors* are consecutive views of, or None."""
    base = tensors[0].base if tensors else None
    if base is None or base.ndim != 1 or not tensor.is_dense(base) or base.dtype != tensors[0].dtype:
        return None
    start = position = tensor.address(tensors[0])
    for view in tensors:
        if view.base is not base or tensor.address(view) != position:
            return None
        position += view.nbytes
    first = (start - tensor.address(base)) // base.itemsize
    return base[first:first + (position - start) // base.itemsize]
