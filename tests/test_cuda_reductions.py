"""Pooling, softmax, normalisation, sums and broadcasting on the emulated GPU beside the reference."""
import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from nnmod.kernels import cuda, reference
from test_cuda_modules import stays_in_float32  # noqa: F401  reads the PTX of what is launched here, too
from test_cuda_products import compare, each_dtype, numbers, unwritten


def _out(x, kernel, stride, pad, dilation=(1, 1, 1)):
    return [(n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(x.shape[1:], pad, dilation, kernel, stride)]


def _planes(dtype, P):
    x = numbers(1, dtype, P, 3, 7, 9).round(1)
    if P:
        x[0, 0, 2, 3], x[1, 1] = np.nan, -np.inf
    return x


@each_dtype
@pytest.mark.parametrize("window", [
    ((1, 3, 3), (1, 2, 2), (0, 1, 1), (1, 1, 1)), ((1, 1, 1), (1, 1, 1), (0, 0, 0), (1, 1, 1)),
    ((2, 2, 3), (1, 2, 1), (1, 0, 1), (1, 2, 2)), ((1, 3, 3), (1, 1, 1), (0, 0, 0), (1, 1, 1))])
def test_max_pooling(dtype, window):
    for P in (4, 0):
        x = _planes(dtype, P)
        shape = P, *_out(x, *window)
        compare("max_pool_update_output", lambda: (x, unwritten(dtype, *shape), np.full(shape, -7, np.int32), *window),
                [1, 2])
        y, argmax = unwritten(dtype, *shape), np.empty(shape, np.int32)
        reference.max_pool_update_output(x, y, argmax, *window)
        for name in ("max_pool_update_grad_input", "max_unpool_update_output"):
            compare(name, lambda: (numbers(2, dtype, *shape), argmax, unwritten(dtype, *x.shape)), [2])
        compare("max_unpool_update_grad_input", lambda: (
            numbers(2, dtype, *x.shape), argmax, unwritten(dtype, *shape)), [2])


def test_gradients_of_a_plane_that_many_warps_own():
    """One large plane: its ranges have their own warps, and all windows may choose the same element."""
    argmax = np.zeros((1, 1, 40, 40), np.int32)
    argmax.ravel()[::3] = np.arange(argmax.size)[::3]
    compare("max_pool_update_grad_input", lambda: (
        numbers(1, "float32", *argmax.shape), argmax, unwritten("float32", 1, 1, 40, 40)), [2])


@each_dtype
@pytest.mark.parametrize("window", [((1, 3, 3), (1, 2, 2), (0, 1, 1)), ((2, 2, 3), (1, 3, 1), (1, 0, 1)),
                                    ((3, 7, 9), (1, 1, 1), (0, 0, 0))])
def test_average_pooling(dtype, window):
    x = numbers(1, dtype, 3, 3, 7, 9)
    x[0, 0, 2, 3] = np.nan
    shape = 3, *(n + (ceil and s > 1) for n, s, ceil in zip(_out(x, *window), window[1], (0, 0, 1)))
    for count_include_pad in (False, True):
        for divide in (False, True):
            numbers_of = (*window, count_include_pad, divide)
            compare("avg_pool_update_output", lambda: (x, unwritten(dtype, *shape), *numbers_of), [1])
            compare("avg_pool_update_grad_input", lambda: (
                numbers(2, dtype, *shape), unwritten(dtype, *x.shape), *numbers_of), [1])


@each_dtype
@pytest.mark.parametrize("shape", [(3, 10, 1), (5, 70, 1), (1, 1, 1), (2, 5, 12), (0, 3, 1), (2, 0, 1), (130, 33, 1)],
                         ids=str)
def test_softmax(dtype, shape):
    x = 3 * numbers(1, dtype, *shape)
    if shape[0] > 2:
        x[1, 2], x[2, 0] = np.nan, -np.inf
    if not x.size:
        for name in ("softmax", "log_softmax"):
            getattr(cuda, f"{name}_update_output")(x, x.copy())
            getattr(cuda, f"{name}_update_grad_input")(x, x, x.copy())
        return
    for name in ("softmax", "log_softmax"):
        compare(f"{name}_update_output", lambda: (x, unwritten(dtype, *shape)), [1])
        y = unwritten(dtype, *shape)
        getattr(reference, f"{name}_update_output")(numbers(1, dtype, *shape), y)
        compare(f"{name}_update_grad_input", lambda: (y, numbers(2, dtype, *shape), unwritten(dtype, *shape)), [2])


CHANNELS = [(2, 3, 5), (7, 33, 1), (3, 2, 700), (300, 2, 1), (2, 1, 1)]


@each_dtype
@pytest.mark.parametrize("shape", CHANNELS, ids=str)
def test_batch_normalization(dtype, shape):
    C = shape[1]
    for train in (True, False):
        for affine in (True, False):
            w, b = (numbers(2, dtype, C), numbers(3, dtype, C)) if affine else (None, None)
            compare("batch_norm_update_output", lambda: (
                numbers(1, dtype, *shape) + 30, w, b, numbers(4, dtype, C), np.abs(numbers(5, dtype, C)),
                unwritten(dtype, *shape), unwritten(dtype, C), unwritten(dtype, C), train, 0.1, 1e-3),
                [3, 4, 6] if dtype == "float32" else [3, 4, 5, 6, 7])
            compare("batch_norm_update_output", lambda: (
                numbers(1, dtype, *shape), w, b, numbers(4, dtype, C), np.abs(numbers(5, dtype, C)),
                unwritten(dtype, *shape), unwritten(dtype, C), unwritten(dtype, C), train, 0, 1e-3), [3, 4, 5, 6, 7])
            compare("batch_norm_update_grad_input", lambda: (
                numbers(1, dtype, *shape), numbers(6, dtype, *shape), w, numbers(4, dtype, C),
                np.abs(numbers(5, dtype, C)), unwritten(dtype, *shape), train), [5])
    compare("batch_norm_acc_grad_parameters", lambda: (
        numbers(1, dtype, *shape), numbers(6, dtype, *shape), numbers(4, dtype, C), np.abs(numbers(5, dtype, C)),
        numbers(7, dtype, C), numbers(8, dtype, C), 0.5), [4, 5])


@each_dtype
@pytest.mark.parametrize("shape", CHANNELS, ids=str)
def test_batch_normalization_that_rectifies(dtype, shape):
    C = shape[1]
    w, b, mean, invstd = (numbers(k, dtype, C) for k in range(2, 6))
    y = np.maximum(numbers(9, dtype, *shape), 0)
    for train in (True, False):
        compare("batch_norm_update_output", lambda: (
            numbers(1, dtype, *shape), w, b, mean.copy(), np.abs(invstd), unwritten(dtype, *shape), unwritten(dtype, C),
            unwritten(dtype, C), train, 0, 1e-3, True), [5, 6, 7])
        compare("batch_norm_relu_backward", lambda: (
            numbers(1, dtype, *shape), y, numbers(6, dtype, *shape), w, mean, np.abs(invstd), unwritten(dtype, *shape),
            w.copy(), b.copy(), train, 0.5), [6, 7, 8])


@each_dtype
@pytest.mark.parametrize("shape", [(1, 1), (5, 33), (300, 7), (0, 4)], ids=str)
def test_layer_normalization(dtype, shape):
    N, F = shape
    w, b = numbers(2, dtype, F), numbers(3, dtype, F)
    for weights in ((w, b), (None, None)):
        compare("layer_norm_update_output", lambda: (
            numbers(1, dtype, *shape) + 9, *weights, unwritten(dtype, *shape), unwritten(dtype, N), unwritten(dtype, N),
            1e-3), [4] if dtype == "float32" else [3, 4, 5])
        compare("layer_norm_update_grad_input", lambda: (
            numbers(1, dtype, *shape), numbers(4, dtype, *shape), weights[0], numbers(5, dtype, N),
            numbers(6, dtype, N), unwritten(dtype, *shape)), [5])
    compare("layer_norm_acc_grad_parameters", lambda: (
        numbers(1, dtype, *shape), numbers(4, dtype, *shape), numbers(5, dtype, N), numbers(6, dtype, N), w.copy(),
        b.copy(), 0.5), [4, 5])


@each_dtype
@pytest.mark.parametrize("p", [1, 2, 2.5, 0.5, np.inf])
def test_normalize(dtype, p):
    for N, F in ((1, 1), (6, 40), (0, 3)):
        x = numbers(1, dtype, N, F)
        if N > 2:
            x[1, 3], x[2] = np.nan, 0
            x[3, 5] = x[3, 7] = -9
        compare("normalize_update_output", lambda: (x, unwritten(dtype, N, F), unwritten(dtype, N), p, 1e-3), [1, 2])
        norm = np.abs(numbers(3, dtype, N)) + dtype_of(dtype, 1)
        compare("normalize_update_grad_input", lambda: (
            x, numbers(2, dtype, N, F), norm, unwritten(dtype, N, F), p), [3])


def dtype_of(dtype, value):
    """A number of a dtype given by name."""
    return np.dtype(dtype).type(value)


AXES = [(1, 1, 1), (3, 5, 7), (1, 300, 4), (40, 70, 1), (2, 0, 3), (0, 2, 2), (1, 5000, 1)]


@each_dtype
@pytest.mark.parametrize("shape", AXES, ids=str)
def test_sums_and_extremes_over_a_dimension(dtype, shape):
    A, n, B = shape
    compare("sum_axis", lambda: (numbers(1, dtype, *shape), unwritten(dtype, A, B), np.empty((A, B)), 0.5), [1])
    compare("expand_axis", lambda: (numbers(1, dtype, A, B), unwritten(dtype, *shape), 0.5), [1])
    if not n:
        return
    x = numbers(1, dtype, *shape).round(1)
    if x.size > 50:
        x[0, 3, 0] = np.nan
    for largest in (True, False):
        compare("extreme_axis", lambda: (
            x, unwritten(dtype, A, B), np.full((A, B), -7, np.int32), largest), [1, 2])
    where = np.random.default_rng(1).integers(0, n, (A, B)).astype(np.int32)
    compare("extreme_axis_update_grad_input", lambda: (
        numbers(1, dtype, A, B), where, unwritten(dtype, *shape)), [2])


def test_sums_are_as_good_as_in_float64():
    """A sum that float32 alone would lose, and infinity, which stays what it is."""
    x = np.ones((1, 60_000, 1), np.float32)
    x[0, 0] = 2.0**25
    y = unwritten("float32", 1, 1)
    cuda.sum_axis(x, y, None)
    assert y[0, 0] == np.float32(2.0**25 + 59_999)
    x[0, 1] = np.inf
    cuda.sum_axis(x, y, None)
    assert y[0, 0] == np.inf


SMALL = [(1, 1, 1, 1, 1), (2, 3, 4, 5, 6), (1, 3, 1, 1, 1), (2, 1, 4, 1, 6), (1, 1, 1, 5, 6), (1, 3, 1, 5, 1),
         (2, 3, 1, 1, 1)]


@each_dtype
@pytest.mark.parametrize("small", SMALL, ids=str)
def test_broadcasting(dtype, small):
    shape = 2, 3, 4, 5, 6
    x, w = numbers(1, dtype, *shape), numbers(2, dtype, *small)
    for name in ("broadcast_add", "broadcast_multiply"):
        compare(name, lambda: (x, w, unwritten(dtype, *shape)), [2])
    compare("broadcast_sum", lambda: (x, w.copy(), 0.5), [1])
    compare("broadcast_product_sum", lambda: (x, numbers(3, dtype, *shape), w.copy(), 0.5), [2])
    empty = x[:0] if small[0] == 1 else None
    if empty is not None:
        cuda.broadcast_add(empty, w, empty.copy())
        compare("broadcast_sum", lambda: (empty, w.copy(), 0.5), [1])


@each_dtype
@pytest.mark.parametrize("shape", CHANNELS + [(0, 2, 3)], ids=str)
def test_learned_rectifier(dtype, shape):
    x = numbers(1, dtype, *shape)
    if x.size > 20:
        x[0, 0, 0], x[1, 0, 0] = np.nan, 0
    for slopes in (shape[1], 1):
        w = numbers(2, dtype, slopes)
        compare("prelu_update_output", lambda: (x, w, unwritten(dtype, *shape)), [2])
        compare("prelu_update_grad_input", lambda: (x, numbers(3, dtype, *shape), w, unwritten(dtype, *shape)), [3])
        compare("prelu_acc_grad_parameters", lambda: (x, numbers(3, dtype, *shape), w.copy(), 0.5), [2])
