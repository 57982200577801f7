"""Pooling by a norm beyond the table of cases: zeros, negative sums, errors."""
import numpy as np
import pytest

import nnmod
from nnmod import kernels
from nnmod.kernels import reference

try:
    from nnmod.kernels import cpu
except ImportError:
    cpu = None

on_each_backend = pytest.mark.parametrize("backend", [
    pytest.param(reference, id="reference"),
    pytest.param(cpu, id="cpu", marks=pytest.mark.skipif(cpu is None, reason="numba is not installed"))])


@on_each_backend
@pytest.mark.parametrize("p", [1, 2, 3, 2.5])
def test_a_window_of_zeros_has_no_slope(backend, p):
    x = np.array([[[0.0, 0, 3, 0]]])
    with kernels.use_backend(backend):
        for pool, given in ((nnmod.SpatialLPPooling(1, p, 2, 1), x), (nnmod.FeatureLPPooling(2, 2, p, False), x[0, 0])):
            np.testing.assert_allclose(pool.forward(given).ravel(), [0, 3])
            dx = pool.backward(given, np.ones_like(pool.output))
            assert np.isfinite(dx).all()
            np.testing.assert_allclose(dx.ravel()[2], 1)
            assert p == 1 or (dx.ravel()[[0, 1, 3]] == 0).all()


@on_each_backend
def test_the_root_of_a_negative_sum_is_nan(backend):
    with kernels.use_backend(backend):
        pool = nnmod.SpatialLPPooling(1, 3, 2, 1)
        np.testing.assert_array_equal(pool.forward(np.array([[[-1.0, -1, 2, 0]]])), [[[np.nan, 2]]])
        np.testing.assert_allclose(nnmod.SpatialLPPooling(1, 2, 2, 1).forward(np.array([[[-3.0, 4]]])), [[[5]]])


@pytest.mark.parametrize("make, text", [
    (lambda: nnmod.SpatialLPPooling(2, 0.5, 2, 2), "pnorm must be a number >= 1, got 0.5"),
    (lambda: nnmod.SpatialLPPooling(0, 2, 2, 2), "nInputPlane must be an int > 0, got 0"),
    (lambda: nnmod.FeatureLPPooling(1, 1, 2, True), "width must be an int within 2..16, got 1"),
    (lambda: nnmod.FeatureLPPooling(2, 5, 2, True), "stride must be an int within 1..4, got 5"),
    (lambda: nnmod.FeatureLPPooling(2, 2, 2, 1), "batch_mode must be True or False, got 1"),
])
def test_arguments(make, text):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == text


@pytest.mark.parametrize("pool, shape, text", [
    (nnmod.SpatialLPPooling(3, 2, 2, 2), (1, 2, 4, 4),
     "input must have shape (N, 3, H, W) or (3, H, W), got (1, 2, 4, 4)"),
    (nnmod.FeatureLPPooling(2, 1, 2, True), (4,),
     "input must have shape (N, F), (N, F, A) or (N, F, A, B) with batch_mode=True, got (4,)"),
    (nnmod.FeatureLPPooling(4, 1, 2, False), (3, 9),
     "input must have at least width = 4 features in dimension 0, got (3, 9)"),
])
def test_wrong_input(pool, shape, text):
    with pytest.raises(nnmod.ShapeError) as error:
        pool.forward(np.ones(shape, np.float32))
    assert str(error.value) == text
    assert pool.output is None


def test_repr():
    assert repr(nnmod.SpatialLPPooling(4, 2, 3, 2)) == "SpatialLPPooling(4 planes, p=2, 3x2, 3,2)"
    assert repr(nnmod.SpatialLPPooling(None, 2.5, 3, 2, 1, 1)) == "SpatialLPPooling(any planes, p=2.5, 3x2, 1,1)"
    assert repr(nnmod.FeatureLPPooling(2, 1, 2, True)) == "FeatureLPPooling(2, 1, p=2, batch)"
