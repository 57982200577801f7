"""Resampling beyond the table of cases: kernels beside loops, exact corners, threads, errors."""
import numpy as np
import pytest

import nnmod
from nnmod.kernels import reference

try:
    from nnmod.kernels import cpu
    from nnmod.kernels.cpu import threads
except ImportError:
    cpu = None

needs_numba = pytest.mark.skipif(cpu is None, reason="numba is not installed")
BACKENDS = [pytest.param(reference, id="reference"), pytest.param(cpu, id="cpu", marks=needs_numba)]
on_each_backend = pytest.mark.parametrize("backend", BACKENDS)


@on_each_backend
def test_nearest_kernels_beside_kron(backend):
    rng = np.random.default_rng(0)
    for times in ((1, 1, 1), (1, 2, 2), (3, 2, 2), (2, 4, 3), (1, 1, 5)):
        x = rng.standard_normal((2, 2, 3, 7))
        y = np.full((2, *(n * t for n, t in zip(x.shape[1:], times))), np.nan)
        backend.upsample_nearest_update_output(x, y)
        np.testing.assert_array_equal(y, np.kron(x, np.ones((1, *times))))
        dy, dx = rng.standard_normal(y.shape), np.full(x.shape, np.nan)
        backend.upsample_nearest_update_grad_input(dy, dx)
        blocks = dy.reshape(2, 2, times[0], 3, times[1], 7, times[2])
        np.testing.assert_allclose(dx, blocks.sum(axis=(2, 4, 6)), rtol=1e-13, atol=1e-13)


@on_each_backend
@pytest.mark.parametrize("size, out", [((1, 4, 6), (1, 8, 11)), ((3, 2, 5), (2, 7, 1)), ((1, 1, 1), (2, 3, 4)),
                                       ((4, 9, 8), (2, 3, 3)), ((2, 3, 4), (2, 3, 4))])
def test_linear_kernels_are_a_product_of_matrices(backend, size, out):
    """Each side is a matrix of weights; backward is its transpose."""
    def matrix(n, o):
        weights = np.zeros((o, n))
        for i in range(o):
            low, rest = divmod(i * (n - 1), o - 1) if o > 1 else (0, 0)
            weights[i, low] += 1 - rest / max(o - 1, 1)
            weights[i, min(low + 1, n - 1)] += rest / max(o - 1, 1)
        return weights

    rng = np.random.default_rng(0)
    sides = [matrix(n, o) for n, o in zip(size, out)]
    x, dy = rng.standard_normal((3, *size)), rng.standard_normal((3, *out))
    lows, weights = np.full(sum(out), -9, np.int32), np.full(sum(out), np.nan)
    work = np.full((3, size[2]), np.nan)
    y, dx = np.full(dy.shape, np.nan), np.full(x.shape, np.nan)
    backend.linear_positions(lows, weights, size, out)
    backend.upsample_linear_update_output(x, lows, weights, y, work)
    backend.upsample_linear_update_grad_input(dy, lows, weights, dx, work)
    np.testing.assert_allclose(y, np.einsum("aA,bB,cC,pABC->pabc", *sides, x), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(dx, np.einsum("aA,bB,cC,pabc->pABC", *sides, dy), rtol=1e-12, atol=1e-13)


def test_corners_lie_on_corners_to_the_bit():
    x = np.random.default_rng(0).standard_normal((2, 5, 7)).astype(np.float32)
    for params in (2, 5, {"oheight": 23, "owidth": 41}, {"oheight": 2, "owidth": 3}):
        y = nnmod.SpatialUpSamplingBilinear(params).forward(x)
        np.testing.assert_array_equal(y[:, ::y.shape[1] - 1, ::y.shape[2] - 1], x[:, ::4, ::6])
    same = nnmod.SpatialUpSamplingBilinear({"oheight": 5, "owidth": 7})
    np.testing.assert_array_equal(same.forward(x), x)


def test_what_the_specialised_classes_share_with_upsampling():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    for name, one, other in (("nearest", nnmod.SpatialUpSamplingNearest(3), nnmod.UpSampling(3)),
                             ("linear", nnmod.SpatialUpSamplingBilinear(2), nnmod.UpSampling(2, "bilinear"))):
        y = one.forward(x)
        np.testing.assert_array_equal(y, other.forward(x), err_msg=name)
        np.testing.assert_array_equal(one.backward(x, y.copy()), other.backward(x, y.copy()), err_msg=name)


def test_a_picture_changes_its_size_between_passes():
    up = nnmod.UpSampling({"odepth": 3, "oheight": 5, "owidth": 6}, "linear")
    for shape in ((2, 3, 4), (2, 3, 2, 2), (1, 2, 2, 3, 4), (2, 3, 4)):
        x = np.random.default_rng(1).standard_normal(shape)
        y = up.forward(x)
        assert y.shape == ((*shape[:-3], 3, 5, 6) if len(shape) == 5 else (*shape[:-2], 5, 6))
        assert up.backward(x, y.copy()).shape == shape


@on_each_backend
def test_pixel_shuffle_beside_its_formula(backend):
    x = np.random.default_rng(0).standard_normal((2, 18, 3, 4))
    y, back = np.full((2, 2, 9, 12), np.nan), np.full(x.shape, np.nan)
    backend.pixel_shuffle_update_output(x, y)
    for n, c, h, w, i, j in np.ndindex(2, 2, 3, 4, 3, 3):
        assert y[n, c, 3 * h + i, 3 * w + j] == x[n, (3 * c + i) * 3 + j, h, w]
    backend.pixel_shuffle_update_grad_input(y, back)
    np.testing.assert_array_equal(back, x)


@needs_numba
def test_threads_change_no_bit(monkeypatch):
    before = threads.get_num_threads()
    monkeypatch.setattr(threads, "ELEMENTS_PER_THREAD", 1)
    x = np.random.default_rng(0).standard_normal((3, 4, 5, 6)).astype(np.float32)
    results = []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            row = []
            for up in (nnmod.UpSampling(2), nnmod.UpSampling(3, "linear"), nnmod.PixelShuffle(2)):
                y = up.forward(x)
                row += [y, up.backward(x, y.copy())]
            results.append(row)
    finally:
        threads.set_num_threads(before)
    for row in results[1:]:
        for a, b in zip(results[0], row):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make, text", [
    (lambda: nnmod.SpatialUpSamplingNearest(1), "scale must be an int > 1, got 1"),
    (lambda: nnmod.SpatialUpSamplingBilinear(2.5),
     "params must be an int, or a dict with oheight and owidth, got 2.5"),
    (lambda: nnmod.SpatialUpSamplingBilinear({"oheight": 3}),
     "params must be an int, or a dict with oheight and owidth, got {'oheight': 3}"),
    (lambda: nnmod.UpSampling({"oheight": 3, "owidth": 0}, "linear"), "owidth must be an int > 0, got 0"),
    (lambda: nnmod.UpSampling({"oheight": 3, "owidth": 2}), "params must be an int > 0, got {'oheight': 3, 'owidth': 2}"),
    (lambda: nnmod.UpSampling({"width": 3}, "linear"),
     "params must be an int, or a dict with oheight and owidth (and odepth for volumes), got {'width': 3}"),
    (lambda: nnmod.UpSampling(2, "cubic"),
     "mode must be 'nearest', 'linear', 'bilinear' or 'trilinear', got 'cubic'"),
    (lambda: nnmod.PixelShuffle(0), "upscaleFactor must be an int > 0, got 0"),
])
def test_arguments(make, text):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == text


@pytest.mark.parametrize("module, shape, text", [
    (nnmod.SpatialUpSamplingNearest(2), (2, 3), "input must have shape (N, C, H, W) or (C, H, W), got (2, 3)"),
    (nnmod.UpSampling(2), (2, 3),
     "input must have shape (N, C, H, W) or (C, H, W) or (N, C, T, H, W), got (2, 3)"),
    (nnmod.UpSampling({"oheight": 3, "owidth": 2}, "linear"), (1, 1, 2, 2, 2),
     "input must be pictures, (N, C, H, W): for volumes params must say odepth too; got (1, 1, 2, 2, 2)"),
    (nnmod.SpatialUpSamplingBilinear(2), (1, 2, 0, 4), "input must have at least one element along H, W, got (1, 2, 0, 4)"),
    (nnmod.PixelShuffle(2), (1, 6, 2, 2),
     "input must have a multiple of upscaleFactor ** 2 = 4 channels, got (1, 6, 2, 2)"),
], ids=["nearest", "dimensions", "depth", "nothing", "channels"])
def test_wrong_input(module, shape, text):
    with pytest.raises(nnmod.ShapeError) as error:
        module.forward(np.ones(shape, np.float32))
    assert str(error.value) == text
    assert module.output is None


def test_repr():
    assert repr(nnmod.SpatialUpSamplingNearest(2)) == "SpatialUpSamplingNearest(2)"
    assert repr(nnmod.SpatialUpSamplingBilinear({"oheight": 3, "owidth": 2})) == "SpatialUpSamplingBilinear(3, 2)"
    assert repr(nnmod.UpSampling(2)) == "UpSampling(2x, nearest)"
    assert repr(nnmod.UpSampling({"odepth": 1, "oheight": 3, "owidth": 2}, "linear")) == "UpSampling(1x3x2, linear)"
    assert repr(nnmod.PixelShuffle(3)) == "PixelShuffle(3)"


def test_places_that_are_nan_infinite_or_far_away():
    sampler = nnmod.BilinearSamplerBHWD().double()
    images = np.arange(1.0, 13.0).reshape(1, 3, 4, 1)
    places = np.array([[np.nan, 0], [0, np.inf], [-1e300, 0], [1, 1], [-1, -1], [0, np.nan]]).reshape(1, 1, 6, 2)
    np.testing.assert_array_equal(sampler.forward([images, places]).ravel(), [np.nan, 0, 0, 12, 1, np.nan])
    dx, dplaces = sampler.backward([images, places], np.ones((1, 1, 6, 1)))
    assert dx.sum() == 2 and dx[0, 0, 0, 0] == dx[0, 2, 3, 0] == 1
    assert np.isnan(dplaces[0, 0, [0, 5]]).all() and not dplaces[0, 0, [1, 2]].any()
