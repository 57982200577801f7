"""Fill and copy tensors on the device, with strides, with broadcasting, and from one dtype to another."""
import numpy as np

from .launch import blocks, launch
from .target import cuda

_THREADS = 256
_DIMS = 6


def fill(target, value):
    """Set every element of *target* to *value*."""
    if target.dense:
        flat = target.ravel()
        launch(_fill, blocks(flat.size, _THREADS), _THREADS, flat, target.dtype.type(value))
    else:
        one = type(target).empty((1,), target.dtype)
        fill(one, value)
        copy(one.reshape((1,) * target.ndim), target)


def copy(source, target):
    """Copy *source* into *target*: broadcast to its shape, converted to its dtype."""
    shape = target.shape
    strides = broadcast(source, shape)
    if target.dense and source.dense and source.shape == shape and source.dtype == target.dtype:
        target.move_from(source)
        return
    sizes, from_, to = _merge(shape, strides, target.strides)
    extra = len(sizes) - _DIMS
    if extra > 0:  # more dimensions than the kernel knows: the first of them one by one
        for index in np.ndindex(*shape[:target.ndim - _DIMS]):
            part = source if source.ndim <= _DIMS else source[tuple(
                0 if source.shape[k] == 1 else index[k] for k in range(source.ndim - _DIMS))]
            copy(part, target[index])
        return
    flat_source, first_source = source.span()
    flat_target, first_target = target.span()
    sizes = (1,) * -extra + sizes
    from_ = tuple(step // source.itemsize for step in (0,) * -extra + from_)
    to = tuple(step // target.itemsize for step in (0,) * -extra + to)
    launch(_copy, blocks(target.size, _THREADS), _THREADS, flat_source, flat_target, target.size,
           *sizes[1:], first_source, *from_, first_target, *to)


def broadcast(source, shape):
    """The strides of *source* over *shape*: 0 along what is repeated."""
    sizes, strides = source.shape, source.strides
    lead = len(shape) - len(sizes)
    if lead < 0 and all(size == 1 for size in sizes[:-lead]):
        sizes, strides, lead = sizes[-lead:], strides[-lead:], 0
    if lead < 0 or any(a != b and a != 1 for a, b in zip(sizes, shape[lead:])):
        raise ValueError(f"a tensor of shape {source.shape} does not fit one of shape {shape}")
    return (0,) * lead + tuple(0 if a == 1 else step for a, step in zip(sizes, strides))


def _merge(shape, first, second):
    """The same walk in as few dimensions as possible: those that follow on from each other are one."""
    sizes, a, b = [], [], []
    for size, x, y in zip(shape, first, second):
        if size == 1:
            continue
        if sizes and a[-1] == size * x and b[-1] == size * y:
            sizes[-1] *= size
            a[-1], b[-1] = x, y
        else:
            sizes.append(size)
            a.append(x)
            b.append(y)
    return tuple(sizes), tuple(a), tuple(b)


def take_rows(source, rows, target):
    """Copy the rows of *source* with the numbers *rows* to *target*; both dense."""
    if target.size:
        launch(_take_rows, blocks(target.size, _THREADS), _THREADS, source.ravel(), rows, target.ravel(),
               target.size // len(rows))


def put_rows(source, rows, target):
    """Copy the rows of *source* to the rows of *target* with the numbers *rows*, all different; both dense."""
    if source.size:
        launch(_put_rows, blocks(source.size, _THREADS), _THREADS, source.ravel(), rows, target.ravel(),
               source.size // len(rows))


def _take_rows(source, rows, target, columns):
    i = cuda.grid(1)
    if i < target.size:
        target[i] = source[rows[i // columns] * columns + i % columns]


def _put_rows(source, rows, target, columns):
    i = cuda.grid(1)
    if i < source.size:
        target[rows[i // columns] * columns + i % columns] = source[i]


def _fill(target, value):
    i = cuda.grid(1)
    if i < target.size:
        target[i] = value


def _copy(source, target, count, n1, n2, n3, n4, n5, first, s0, s1, s2, s3, s4, s5, start, t0, t1, t2, t3, t4, t5):
    i = cuda.grid(1)
    if i < count:
        k5 = i % n5
        i //= n5
        k4 = i % n4
        i //= n4
        k3 = i % n3
        i //= n3
        k2 = i % n2
        i //= n2
        k1 = i % n1
        k0 = i // n1
        target[start + k0 * t0 + k1 * t1 + k2 * t2 + k3 * t3 + k4 * t4 + k5 * t5] = (
            source[first + k0 * s0 + k1 * s1 + k2 * s2 + k3 * s3 + k4 * s4 + k5 * s5])
