"""Tensors joined along a dimension, and cut apart again."""
from . import check, tensor


def join(module, name, parts, dimension, what):
    """Write *parts*, joined along *dimension*, to ``module.name`` and return it."""
    first = parts[0]
    check.is_tensor(f"{what} 0", first)
    axis = check.dimension("dimension", dimension, first.ndim)
    total = 0
    for index, part in enumerate(parts):
        want = (*first.shape[:axis], f"n{index}", *first.shape[axis + 1:])
        check.shape(f"{what} {index}", part, *want)
        if part.dtype != first.dtype:
            raise TypeError(f"{what} {index} must be {first.dtype.name} like the first, got {part.dtype.name}")
        total += part.shape[axis]
    out = module.resize(name, (*first.shape[:axis], total, *first.shape[axis + 1:]), like=first)
    start = 0
    for part in parts:
        tensor.copy(part, narrow(out, axis, start, part.shape[axis]))
        start += part.shape[axis]
    return out


def split(joined, like, dimension, buffers):
    """Cut *joined* along *dimension* into tensors shaped as *like*, kept in list *buffers*."""
    axis = dimension % joined.ndim
    start = 0
    for index, part in enumerate(like):
        buffers[index] = tensor.resize(buffers[index], part.shape, joined)
        tensor.copy(narrow(joined, axis, start, part.shape[axis]), buffers[index])
        start += part.shape[axis]


def narrow(array, axis, start, length):
    """The view of *array* that has *length* places of *axis*, from *start* on."""
    return array[(slice(None),) * axis + (slice(start, start + length),)]
