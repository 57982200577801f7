"""Pooling that follows the size of the input: regions beside loops, random regions, the k greatest, errors."""
import math
import pickle

import numpy as np
import pytest

import nnmod
from nnmod import kernels
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
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adaptive_regions_beside_loops(backend, dtype):
    rng = np.random.default_rng(0)
    with kernels.use_backend(backend):
        for _ in range(12):
            W, H, IH, IW = map(int, rng.integers(1, 24, 4))
            x = rng.integers(-4, 5, (2, IH, IW)).astype(dtype)
            x[rng.uniform(size=x.shape) < 0.03] = np.nan
            most, mean = nnmod.SpatialAdaptiveMaxPooling(W, H), nnmod.SpatialAdaptiveAveragePooling(W, H)
            maxima, means = most.forward(x), mean.forward(x)
            for c, h, w in np.ndindex(2, H, W):
                rows = slice(h * IH // H, -(-(h + 1) * IH // H))
                columns = slice(w * IW // W, -(-(w + 1) * IW // W))
                region = x[c, rows, columns]
                i, j = np.unravel_index(np.argmax(region), region.shape)
                np.testing.assert_array_equal(maxima[c, h, w], region[i, j])
                assert most.indices[c, h, w] == (rows.start + i) * IW + columns.start + j
                np.testing.assert_allclose(means[c, h, w], region.mean(dtype=np.float64), rtol=1e-5, atol=1e-6)


def test_a_new_size_gets_new_regions():
    pool = nnmod.SpatialAdaptiveAveragePooling(2, 2)
    for size in (4, 6, 4):
        x = np.random.default_rng(size).standard_normal((3, size, size))
        half = size // 2
        wanted = x.reshape(3, 2, half, 2, half).mean(axis=(2, 4))
        np.testing.assert_allclose(pool.forward(x), wanted)
        np.testing.assert_allclose(pool.backward(x, wanted), np.kron(wanted, np.ones((half, half))) / half**2)


@on_each_backend
def test_nan_wins_in_regions(backend):
    x = np.array([[[1, np.nan, 3, np.inf], [np.nan, 2, 3, 4]]])
    with kernels.use_backend(backend):
        pool = nnmod.SpatialAdaptiveMaxPooling(2, 1)
        np.testing.assert_array_equal(pool.forward(x), [[[np.nan, np.inf]]])
        np.testing.assert_array_equal(pool.indices, [[[1, 3]]])


# -- fractional ---------------------------------------------------------------------------------------

@on_each_backend
def test_fractional_regions_tile_the_input(backend):
    """Steps are floor(a) or ceil(a), the first region starts at 0, the last one ends with the input."""
    samples = np.random.default_rng(0).uniform(size=(50, 2))
    size, out, pool = (1, 23, 17), (1, 8, 16), (1, 3, 2)
    starts, stops = np.full((50, sum(out)), -9, np.int32), np.full((50, sum(out)), -9, np.int32)
    backend.fractional_regions(samples, starts, stops, size, out, pool)
    begin = 0
    for n, o, k in zip(size, out, pool):
        first = starts[:, begin:begin + o]
        np.testing.assert_array_equal(stops[:, begin:begin + o], first + k)
        assert (first[:, 0] == 0).all() and (first[:, -1] == n - k).all()
        if o > 1:
            a = (n - k) / (o - 1)
            steps = np.diff(first, axis=1)
            assert steps.min() >= math.floor(a) - 1 and steps.max() <= math.ceil(a) + 1
            inner = steps[:, :-1]
            assert inner.min() >= math.floor(a) and inner.max() <= math.ceil(a)
        begin += o
    # The first sample belongs to the last side.
    alike = samples.copy()
    alike[:, 1] = 0.5
    again = np.empty_like(starts)
    backend.fractional_regions(alike, again, stops, size, out, pool)
    np.testing.assert_array_equal(again[:, 9:], starts[:, 9:])
    assert (again[:, 1:9] == again[0, 1:9]).all()


@on_each_backend
def test_uniform_noise_is_made_of_the_words_of_the_stream(backend):
    samples = np.full((3, 5), np.nan)
    backend.uniform_noise(samples, 2**63 + 5, 11, 0.0, 1.0)
    words = reference.random.philox_words(2**63 + 5, 11, 15)
    np.testing.assert_array_equal(samples.ravel(), words / 2**32)


def test_each_forward_draws_new_regions_unless_they_are_fixed():
    x = np.random.default_rng(0).standard_normal((4, 8, 30, 30)).astype(np.float32)
    free, fixed = (nnmod.SpatialFractionalMaxPooling(2, 2, 0.7, 0.7, fixPoolingRegions=f) for f in (False, True))
    assert not np.array_equal(free.forward(x).copy(), free.forward(x))
    first = fixed.forward(x).copy()
    np.testing.assert_array_equal(fixed.forward(x), first)
    assert fixed.randomSamples.shape == (4, 8, 2)
    np.testing.assert_array_equal(fixed.forward(x[:2]), first[:2])
    for twin in (fixed.clone(), pickle.loads(pickle.dumps(fixed)), fixed.clearState()):
        np.testing.assert_array_equal(twin.forward(x), first)


def test_the_seed_decides_the_regions():
    x = np.random.default_rng(0).standard_normal((2, 3, 9, 9, 9))
    results = []
    for dtype in (np.float64, np.float64, np.float32):
        nnmod.manualSeed(5)
        pool = nnmod.VolumetricFractionalMaxPooling(2, 2, 2, 4, 5, 6)
        pool.forward(x.astype(dtype))
        results.append(pool.indices)
    assert results[0].shape == (2, 3, 6, 5, 4)
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


@pytest.mark.parametrize("make, text", [
    (lambda: nnmod.SpatialFractionalMaxPooling(1, 2, 3, 3), "poolSizeW must be an int > 1, got 1"),
    (lambda: nnmod.SpatialFractionalMaxPooling(2, 2, 3, 0.5),
     "arg1, arg2 must be the sizes of the output, ints > 0, or their ratios to the input's, between 0 and 1, "
     "got 3, 0.5"),
    (lambda: nnmod.SpatialAdaptiveMaxPooling(0, 2), "W must be an int > 0, got 0"),
    (lambda: nnmod.TemporalDynamicKMaxPooling(2, 1.5), "factor must be a number within 0..1, got 1.5"),
])
def test_arguments(make, text):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == text


@pytest.mark.parametrize("pool, shape, text", [
    (nnmod.SpatialFractionalMaxPooling(2, 3, 4, 2), (2, 4, 4),
     "input must have at least 5 elements along W, for 4 regions of 2 at different places, got (2, 4, 4)"),
    (nnmod.SpatialFractionalMaxPooling(2, 2, 0.1, 0.5), (1, 2, 9, 8),
     "input must have at least 2 elements along W, for 1 regions of 2 at different places, got (1, 2, 9, 8)"),
    (nnmod.SpatialAdaptiveMaxPooling(2, 2), (2, 3), "input must have shape (N, C, H, W) or (C, H, W), got (2, 3)"),
    (nnmod.SpatialAdaptiveAveragePooling(2, 2), (1, 2, 0, 3),
     "input must have at least one element along H, W, got (1, 2, 0, 3)"),
    (nnmod.TemporalDynamicKMaxPooling(3), (2, 4), "input must have at least minK = 3 frames, got (2, 4)"),
], ids=["fractional", "ratio", "dimensions", "nothing", "frames"])
def test_wrong_input(pool, shape, text):
    before = nnmod.random.get_state()
    with pytest.raises(nnmod.ShapeError) as error:
        pool.forward(np.ones(shape, np.float32))
    assert str(error.value) == text
    assert pool.output is None and nnmod.random.get_state() == before


# -- the k greatest ------------------------------------------------------------------------------------

@on_each_backend
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_k_greatest_beside_sorting(backend, dtype):
    rng = np.random.default_rng(0)
    for _ in range(30):
        N, T, F = map(int, rng.integers(1, 12, 3))
        k = int(rng.integers(1, T + 1))
        x = rng.integers(-3, 4, (N, T, F)).astype(dtype)  # few values: many ties
        x[rng.uniform(size=x.shape) < 0.1] = np.nan
        x[rng.uniform(size=x.shape) < 0.1] = -np.inf
        y, places = np.full((N, k, F), 99, dtype), np.full((N, k, F), -9, np.int32)
        backend.k_max_pool_update_output(x, y, places, np.full((N, k), np.nan, dtype))
        for n, f in np.ndindex(N, F):
            order = sorted(range(T), key=lambda t: (not np.isnan(x[n, t, f]), -x[n, t, f], t))
            kept = sorted(order[:k])
            np.testing.assert_array_equal(places[n, :, f], [t * F + f for t in kept])
            np.testing.assert_array_equal(y[n, :, f], x[n, kept, f])


def test_k_follows_the_length():
    pool = nnmod.TemporalDynamicKMaxPooling(2, 0.5)
    for T, k in ((2, 2), (4, 2), (5, 3), (9, 5)):
        assert pool.forward(np.ones((3, T, 4))).shape == (3, k, 4)


@needs_numba
def test_threads_change_no_bit(monkeypatch):
    before = threads.get_num_threads()
    monkeypatch.setattr(threads, "ELEMENTS_PER_THREAD", 1)
    x = np.random.default_rng(0).standard_normal((3, 5, 9, 8)).astype(np.float32)
    results = []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            nnmod.manualSeed(1)
            row = []
            for pool, given in ((nnmod.SpatialAdaptiveMaxPooling(4, 3), x), (nnmod.SpatialAdaptiveAveragePooling(4, 3), x),
                                (nnmod.SpatialFractionalMaxPooling(2, 2, 4, 5), x),
                                (nnmod.TemporalDynamicKMaxPooling(3), x[0])):
                y = pool.forward(given)
                row += [y, pool.backward(given, y.copy())]
            results.append(row)
    finally:
        threads.set_num_threads(before)
    for row in results[1:]:
        for a, b in zip(results[0], row):
            np.testing.assert_array_equal(a, b)


def test_repr():
    assert repr(nnmod.SpatialAdaptiveMaxPooling(3, 2)) == "SpatialAdaptiveMaxPooling(3x2)"
    assert repr(nnmod.SpatialFractionalMaxPooling(2, 3, 4, 5)) == "SpatialFractionalMaxPooling(4x5, 2,3)"
    assert (repr(nnmod.VolumetricFractionalMaxPooling(2, 2, 3, 0.5, 0.6, 0.7, True))
            == "VolumetricFractionalMaxPooling(0.5x0.6x0.7, 2,2,3, fixed)")
    assert repr(nnmod.TemporalDynamicKMaxPooling(3, 0.5)) == "TemporalDynamicKMaxPooling(3, factor 0.5)"
