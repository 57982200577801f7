"""Tensors joined along a dimension, cut apart again, and summed."""
from . import check, geometry, kernels, tensor

_add = kernels.elementwise(kernels.formulas.add)


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


def sum_tables(buffer, values):
    """The sum of tensors, or of tables of them, in *buffer* where that fits; None counts as 0."""
    values = [value for value in values if value is not None]
    if not values:
        return None
    if isinstance(values[0], list):
        old = buffer if isinstance(buffer, list) else []
        return [sum_tables(old[i] if i < len(old) else None, [v[i] for v in values])
                for i in range(len(values[0]))]
    if isinstance(values[0], dict):
        old = buffer if isinstance(buffer, dict) else {}
        return {name: sum_tables(old.get(name), [v[name] for v in values]) for name in values[0]}
    buffer = tensor.resize(buffer if tensor.is_tensor(buffer) else None, values[0].shape, values[0])
    tensor.copy(values[0], buffer)
    for value in values[1:]:
        _add(buffer, value, buffer)
    return buffer


def _narrow(array, axis, start, length):
    return array[(slice(None),) * axis + (slice(start, start + length),)]
