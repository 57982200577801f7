"""Sums and extremes over one dimension: what the generic tests cannot see."""
import numpy as np
import pytest

import nnmod
from nnmod import ShapeError, kernels
from test_kernels import DTYPES, backend, on_each_backend  # noqa: F401

#: (A, n, B) around the sizes at which the kernels change their ways: few columns, tiles, blocks.
SIZES = [(1, 1, 1), (3, 5, 1), (2, 513, 1), (1, 9000, 1), (2, 7, 2), (1, 33, 5), (2, 9, 6), (1, 4, 512), (2, 3, 1030),
         (0, 3, 2), (3, 2, 0)]


@on_each_backend
@pytest.mark.parametrize("dtype", DTYPES)
def test_sum_and_expand(backend, dtype):
    rng = np.random.default_rng(0)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for A, n, B in [*SIZES, (2, 0, 3), (2, 0, 1)]:
        x = rng.standard_normal((A, n, B)).astype(dtype)
        y = np.full((A, B), np.nan, dtype)
        backend.sum_axis(x, y, np.full((A, B), np.nan), 0.5)
        np.testing.assert_allclose(y, 0.5 * x.sum(1, dtype=np.float64), rtol=tolerance, atol=tolerance * 10)
        z = np.full_like(x, np.nan)
        backend.expand_axis(y, z, -2.0)
        np.testing.assert_allclose(z, np.broadcast_to(-2 * y[:, None], x.shape), rtol=tolerance)


@on_each_backend
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("largest", [True, False])
def test_extremes_and_their_places(backend, dtype, largest):
    """Ties (also of 0 and -0) go to the first; NaN of either sign and inf win as they should."""
    rng = np.random.default_rng(0)
    for A, n, B in SIZES:
        for special in ([], [np.inf, -np.inf], [0.0, -0.0], [np.nan], [-np.nan, np.inf]):
            x = rng.integers(-3, 4, (A, n, B)).astype(dtype)
            if special and x.size:
                x.flat[rng.integers(0, x.size, len(special))] = special
            y, where = np.full((A, B), np.nan, dtype), np.full((A, B), -1, np.int32)
            backend.extreme_axis(x, y, where, largest)
            np.testing.assert_array_equal(where, x.argmax(1) if largest else x.argmin(1))
            np.testing.assert_array_equal(y, x.max(1) if largest else x.min(1))
            dx = np.full_like(x, np.nan)
            backend.extreme_axis_update_grad_input(y, where, dx)
            expected = np.zeros_like(x)
            np.put_along_axis(expected, where[:, None].astype(int), y[:, None], 1)
            np.testing.assert_array_equal(dx, expected)


def test_a_long_float32_sum_keeps_its_digits():
    x = np.full(4_000_000, 0.1, np.float32)
    exact = x.astype(np.float64).sum()
    assert nnmod.Sum(0).forward(x)[0] == pytest.approx(exact, rel=3e-6)
    assert nnmod.Mean(0).forward(x.reshape(-1, 4))[2] == pytest.approx(exact / 4e6, rel=3e-6)
    assert nnmod.Mean(0).forward(x.reshape(-1, 8))[5] == pytest.approx(exact / 4e6, rel=1e-6)


def test_one_dimension_gives_one_element():
    x = np.array([3.0, 1.0, 2.0])
    for module, value in [(nnmod.Sum(), 6), (nnmod.Mean(), 2), (nnmod.Max(), 3), (nnmod.Min(), 1)]:
        y = module.forward(x)
        assert y.shape == (1,) and y[0] == value
        assert module.backward(x, y.copy()).shape == (3,)


def test_an_empty_sum_is_zero_and_an_empty_mean_is_refused():
    nothing = np.zeros((2, 0, 3), np.float32)
    module = nnmod.Sum(1)
    assert module.forward(nothing).tolist() == [[0, 0, 0]] * 2
    assert module.backward(nothing, np.ones((2, 3), np.float32)).shape == nothing.shape
    for module in (nnmod.Mean(1), nnmod.Max(1), nnmod.Min(1)):
        with pytest.raises(ShapeError, match="element"):
            module.forward(nothing)


def test_results_do_not_depend_on_the_number_of_threads():
    if kernels.backend_name() != "cpu":
        pytest.skip("the reference kernels leave threads to NumPy")
    x = np.random.default_rng(0).standard_normal((64, 300, 400)).astype(np.float32)
    before, results = nnmod.getnumthreads(), []
    try:
        for count in (1, 3):
            nnmod.setnumthreads(count)
            made = []
            for module in (nnmod.Sum(0), nnmod.Mean(1), nnmod.Sum(2), nnmod.Max(0), nnmod.Min(2)):
                y = module.forward(x)
                made += [y.copy(), module.backward(x, y.copy()).copy()]
            results.append(made)
    finally:
        nnmod.setnumthreads(before)
    for one, other in zip(*results):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("call, kind, text", [
    (lambda: nnmod.Sum(2).forward(np.zeros((2, 3))), ShapeError,
     "dimension 2 does not exist in a tensor of 2 dimensions (counted from 0)"),
    (lambda: nnmod.Max(1, 1).forward(np.zeros((2, 3))), ShapeError,
     "dimension 2 does not exist in a tensor of 2 dimensions (counted from 0)"),
    (lambda: nnmod.Sum(0).forward(np.zeros((2, 3), int)), TypeError,
     "input must be float32 or float64, got int64; convert it with .astype(np.float32)"),
    (lambda: nnmod.Sum(0, squeeze=3), ValueError, "squeeze must be True or False, got 3"),
    (lambda: nnmod.Mean(0, 0), ValueError, "nInputDims must be an int > 0, got 0"),
])
def test_errors_in_words(call, kind, text):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text
