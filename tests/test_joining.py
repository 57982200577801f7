"""Copies of columns and of slices, which JoinTable, Concat, Padding and others are made of."""
import numpy as np
import pytest

import nnmod
from nnmod import joining, kernels
from test_kernels import DTYPES, backend, eager_threads, needs_numba, on_each_backend  # noqa: F401


@on_each_backend
@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_are_copied_and_nothing_else_is_touched(backend, dtype):  # noqa: F811
    rng = np.random.default_rng(0)
    for rows, p, q in [(1, 1, 1), (3, 5, 9), (4, 70, 33), (2, 300, 1000), (7, 64, 64), (2, 40_000, 40_001)]:
        for _ in range(4):
            count = int(rng.integers(0, min(p, q) + 1))
            x_first, y_first = int(rng.integers(0, p - count + 1)), int(rng.integers(0, q - count + 1))
            x, y = rng.standard_normal((rows, p)).astype(dtype), rng.standard_normal((rows, q)).astype(dtype)
            want, before = y.copy(), x.copy()
            want[:, y_first:y_first + count] = x[:, x_first:x_first + count]
            kernels.of(x, y).copy_columns(x, y, rows, x_first, y_first, count)
            np.testing.assert_array_equal(y, want)
            np.testing.assert_array_equal(x, before)


@on_each_backend
def test_columns_of_what_has_no_elements(backend):  # noqa: F811
    empty, y = np.zeros((0, 3), np.float32), np.ones((2, 3), np.float32)
    kernels.of(y).copy_columns(empty, np.zeros((0, 5), np.float32), 0, 0, 2, 3)
    kernels.of(y).copy_columns(np.zeros((2, 0), np.float32), y, 2, 0, 1, 0)
    assert (y == 1).all()


@on_each_backend
def test_a_nan_is_copied_with_its_bits(backend):  # noqa: F811
    x = np.arange(0x7fc00001, 0x7fc00001 + 40, dtype=np.uint32).view(np.float32).reshape(2, 20)
    y = np.zeros((2, 22), np.float32)
    kernels.of(x).copy_columns(x, y, 2, 0, 1, 20)
    np.testing.assert_array_equal(y[:, 1:21].copy().view(np.uint32), x.view(np.uint32))


@needs_numba
def test_threads_share_one_long_row(eager_threads):  # noqa: F811
    eager_threads.set_num_threads(3)
    with kernels.use_backend(kernels.of(np.zeros(1))):
        x = np.random.default_rng(0).standard_normal(300_001)
        y = np.zeros_like(x)
        kernels.of(x).copy_columns(x, y, 1, 0, 0, x.size)
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_of_any_dtype_and_any_strides(axis, dtype):
    rng = np.random.default_rng(axis)
    whole = rng.integers(-9, 9, (4, 5, 6)).astype(dtype)
    for x in (whole, whole[::-1, :, ::-1], np.asfortranarray(whole)):
        y = np.zeros([size + 3 * (i == axis) for i, size in enumerate(whole.shape)], dtype)
        joining.copy_slices(x, 1, y, 2, 3, axis)
        want = np.zeros_like(y)
        where, there = [slice(None)] * 3, [slice(None)] * 3
        where[axis], there[axis] = slice(2, 5), slice(1, 4)
        want[tuple(where)] = x[tuple(there)]
        np.testing.assert_array_equal(y, want)


def test_branches_whose_outputs_are_views_are_joined():
    """Narrow and Select give views that are not dense."""
    x = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    both = nnmod.Concat(1, nnmod.Narrow(2, 1, 2), nnmod.Narrow(2, 0, 2))
    np.testing.assert_array_equal(both.forward(x), np.concatenate([x[:, :, 1:3], x[:, :, :2]], 1))
    dx = both.backward(x, np.ones((2, 6, 2), np.float32))
    np.testing.assert_array_equal(dx, np.broadcast_to([1, 2, 1, 0], x.shape))


def test_parallel_puts_gradients_together():
    x = np.random.default_rng(0).standard_normal((3, 2, 4)).astype(np.float32)
    net = nnmod.Parallel(1, 0, nnmod.MulConstant(2), nnmod.Identity())
    np.testing.assert_array_equal(net.forward(x), np.concatenate([2 * x[:, 0], x[:, 1]]))
    gradOutput = np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32)
    want = np.stack([2 * gradOutput[:3], gradOutput[3:]], 1)
    np.testing.assert_array_equal(net.backward(x, gradOutput), want)
