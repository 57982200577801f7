"""Tensors joined along a dimension, and cut apart again."""
from . import check, geometry, kernels, tensor


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
        copy_slices(part, 0, out, start, part.shape[axis], axis)
        start += part.shape[axis]
    return out


def split(joined, like, dimension, buffers):
    """Cut *joined* along *dimension* into tensors shaped as *like*, kept in list *buffers*."""
    axis = dimension % joined.ndim
    start = 0
    for index, part in enumerate(like):
        buffers[index] = tensor.resize(buffers[index], part.shape, joined)
        copy_slices(joined, start, buffers[index], 0, part.shape[axis], axis)
        start += part.shape[axis]


def copy_slices(x, x_first, y, y_first, count, axis):
    """Copy *count* slices of *axis* from x, from slice *x_first* on, to y, from *y_first* on.

    x and y have one dtype, and differ in no other dimension.
    """
    if x.dtype.kind == "f" and tensor.is_dense(x) and tensor.is_dense(y):
        before, _, after = geometry.around(x.shape, axis)
        kernels.of(x, y).copy_columns(x, y, before, x_first * after, y_first * after, count * after)
    else:
        tensor.copy(_narrow(x, axis, x_first, count), _narrow(y, axis, y_first, count))


def _narrow(array, axis, start, length):
    return array[(slice(None),) * axis + (slice(start, start + length),)]
