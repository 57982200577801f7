"""Pooling beyond the table of cases: kernels beside loops, NaN, ties, empty windows, unpooling, threads, errors."""
import pickle

import numpy as np
import pytest

import nnmod
from golden_data import GOLDEN
from nnmod import geometry, kernels
from nnmod.kernels import reference

try:
    from nnmod.kernels import cpu
    from nnmod.kernels.cpu import threads
except ImportError:
    cpu = None

needs_numba = pytest.mark.skipif(cpu is None, reason="numba is not installed")
BACKENDS = [pytest.param(reference, id="reference"), pytest.param(cpu, id="cpu", marks=needs_numba)]
on_each_backend = pytest.mark.parametrize("backend", BACKENDS)


def windows(size, out, kernel, stride, pad, dilation=(1, 1, 1)):
    """For each window, the elements of the input under it, in order of their places."""
    for place in np.ndindex(*out):
        taps = [tuple(o * s - p + t * d for o, s, p, t, d in zip(place, stride, pad, tap, dilation))
                for tap in np.ndindex(*kernel)]
        yield place, [tap for tap in taps if all(0 <= t < n for t, n in zip(tap, size))]


def random_geometries(count, dilated, widest=10):
    """(x shape, ceil mode, kernel, stride, pad, dilation) without an empty window; half of them flat."""
    rng = np.random.default_rng(3)
    while count:
        size = tuple(int(v) for v in (*rng.integers(1, 6, 1), *rng.integers(1, widest, 2)))
        kernel, stride = (tuple(int(v) for v in rng.integers(1, 5, 3)) for _ in range(2))
        pad = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
        dilation = tuple(int(v) for v in rng.integers(1, 4, 3)) if dilated else (1, 1, 1)
        if count % 2:
            size, kernel, stride, pad, dilation = ((n, *t[1:]) for n, t in zip(
                (1, 1, 1, 0, 1), (size, kernel, stride, pad, dilation)))
        ceil = bool(rng.integers(2))
        try:
            out = geometry.window_output(size, kernel, stride, pad, dilation, ceil)
        except nnmod.ShapeError:
            continue
        covered = all(seen for _, seen in windows(size, out, kernel, stride, pad, dilation))
        if covered:
            geometry.check_covered(size, kernel, stride, pad, dilation)
            count -= 1
            yield (int(rng.integers(1, 4)), *size), out, kernel, stride, pad, dilation
        else:
            with pytest.raises(nnmod.ShapeError, match="steps over it"):
                geometry.check_covered(size, kernel, stride, pad, dilation)


@on_each_backend
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("widest", [10, 40])
def test_max_kernels_beside_loops(backend, dtype, widest):
    rng = np.random.default_rng(0)
    for shape, out, kernel, stride, pad, dilation in random_geometries(40 if widest == 10 else 8, True, widest):
        x = rng.integers(-4, 5, shape).astype(dtype)  # few values: many ties
        x[rng.uniform(size=shape) < 0.05] = np.nan
        x[rng.uniform(size=shape) < (0.05 if widest == 10 else 0.9)] = -np.inf
        dy = rng.integers(-9, 9, (shape[0], *out)).astype(dtype)
        y, dx = np.full(dy.shape, np.nan, dtype), np.full(shape, np.nan, dtype)
        argmax = np.full(dy.shape, -7, np.int32)
        backend.max_pool_update_output(x, y, argmax, kernel, stride, pad, dilation)
        backend.max_pool_update_grad_input(dy, argmax, dx)
        wanted = np.zeros(shape, dtype)
        for p in range(shape[0]):
            for place, seen in windows(shape[1:], out, kernel, stride, pad, dilation):
                values = [x[(p, *tap)] for tap in seen]
                winner = seen[int(np.argmax(values))]  # NumPy's rule is the one wanted: the first NaN, or maximum
                assert argmax[(p, *place)] == np.ravel_multi_index(winner, shape[1:])
                np.testing.assert_array_equal(y[(p, *place)], x[(p, *winner)])
                wanted[(p, *winner)] += dy[(p, *place)]
        np.testing.assert_array_equal(dx, wanted)


@on_each_backend
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize("divide", [True, False])
def test_average_kernels_beside_loops(backend, dtype, count_include_pad, divide):
    rng = np.random.default_rng(0)
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-13}
    for shape, out, kernel, stride, pad, _ in [*random_geometries(24, False), *random_geometries(4, False, 30)]:
        x, dy = rng.standard_normal(shape).astype(dtype), rng.standard_normal((shape[0], *out)).astype(dtype)
        y, dx = np.full(dy.shape, np.nan, dtype), np.full(shape, np.nan, dtype)
        backend.avg_pool_update_output(x, y, kernel, stride, pad, count_include_pad, divide)
        backend.avg_pool_update_grad_input(dy, dx, kernel, stride, pad, count_include_pad, divide)
        wanted = np.zeros(shape)
        for place, seen in windows(shape[1:], out, kernel, stride, pad):
            ends = [min(o * s - p + k, n + p) - (o * s - p)
                    for o, s, p, k, n in zip(place, stride, pad, kernel, shape[1:])]
            size = (np.prod(ends) if count_include_pad else len(seen)) if divide else 1
            mean = sum(x[(slice(None), *tap)].astype(np.float64) for tap in seen) / size
            np.testing.assert_allclose(y[(slice(None), *place)], mean, **tolerance)
            for tap in seen:
                wanted[(slice(None), *tap)] += dy[(slice(None), *place)] / size
        np.testing.assert_allclose(dx, wanted, **tolerance)


@on_each_backend
def test_nan_wins_and_takes_the_gradient(backend):
    x = np.array([[[1.0, np.nan, np.inf, 0], [np.nan, 2, 3, 4]]])
    with kernels.use_backend(backend):
        pool = nnmod.SpatialMaxPooling(2, 2)
        np.testing.assert_array_equal(pool.forward(x), [[[np.nan, np.inf]]])
        np.testing.assert_array_equal(pool.indices, [[[1, 2]]])
        np.testing.assert_array_equal(pool.backward(x, np.array([[[5.0, 7]]])), [[[0, 5, 7, 0], [0, 0, 0, 0]]])
        mean = nnmod.SpatialAveragePooling(2, 2, 2, 2)
        np.testing.assert_array_equal(mean.forward(x), [[[np.nan, np.inf]]])


@on_each_backend
def test_padding_never_wins_and_ties_go_to_the_first(backend):
    x = np.full((1, 3, 3), -5.0)
    with kernels.use_backend(backend):
        pool = nnmod.SpatialMaxPooling(3, 3, 1, 1, 1, 1)
        assert (pool.forward(x) == -5).all()
        np.testing.assert_array_equal(pool.indices[0], [[0, 0, 1], [0, 0, 1], [3, 3, 4]])
        assert (pool.forward(np.full((1, 3, 3), -np.inf)) == -np.inf).all()
        np.testing.assert_array_equal(pool.indices[0], [[0, 0, 1], [0, 0, 1], [3, 3, 4]])


@on_each_backend
def test_windows_that_would_cover_nothing(backend):
    """Max pooling drops them where Torch answers -1.8e308; average pooling keeps them, as Torch does, as 0."""
    x = np.random.default_rng(0).standard_normal((1, 2, 9, 8))
    with kernels.use_backend(backend):
        y = nnmod.SpatialMaxPooling(1, 1, 3, 3, ceilMode=True).forward(x)
        np.testing.assert_array_equal(y, x[:, :, ::3, ::3])
        for include, divide in ((True, True), (False, True), (True, False)):
            pool = nnmod.SpatialAveragePooling(1, 1, 3, 3, 0, 0, True, include, divide)
            y = pool.forward(x)
            assert y.shape == (1, 2, 4, 4)
            np.testing.assert_array_equal(y[:, :, :3, :3], x[:, :, ::3, ::3])
            assert not y[:, :, 3].any() and not y[:, :, :, 3].any()
            dx = pool.backward(x, np.ones_like(y))
            assert dx.sum() == 18 and (dx[:, :, ::3, ::3] == 1).all()


@on_each_backend
@pytest.mark.parametrize("make", [nnmod.SpatialMaxPooling, nnmod.SpatialAveragePooling], ids=lambda m: m.__name__)
def test_empty_batch(backend, make):
    x = np.empty((0, 2, 4, 5), np.float32)
    with kernels.use_backend(backend):
        pool = make(2, 2, 2, 2)
        y = pool.forward(x)
        assert y.shape == (0, 2, 2, 2)
        assert pool.backward(x, y.copy()).shape == x.shape


@needs_numba
def test_threads_change_no_bit(monkeypatch):
    before = threads.get_num_threads()
    monkeypatch.setattr(threads, "ELEMENTS_PER_THREAD", 1)
    x = np.random.default_rng(0).standard_normal((3, 5, 9, 8)).astype(np.float32)
    results = []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            row = []
            for pool in (nnmod.SpatialMaxPooling(3, 3, 2, 2, 1, 1), nnmod.SpatialAveragePooling(3, 3, 2, 2, 1, 1),
                         unpooled(nnmod.SpatialMaxPooling(2, 2)), nnmod.TemporalMaxPooling(2)):
                given = x[0] if isinstance(pool, nnmod.TemporalMaxPooling) else x
                y = pool.forward(given)
                row += [y, pool.backward(given, y.copy())]
            results.append(row)
    finally:
        threads.set_num_threads(before)
    for row in results[1:]:
        for a, b in zip(results[0], row):
            np.testing.assert_array_equal(a, b)


# -- volumes and gaps -----------------------------------------------------------------------------

@on_each_backend
def test_a_ceil_mode_that_torch_reads_past_its_memory_with(backend):
    """VolumetricMaxPooling with a step above its window: no window lies outside."""
    x = np.random.default_rng(0).standard_normal((1, 2, 7, 6, 8))
    with kernels.use_backend(backend):
        pool = nnmod.VolumetricMaxPooling(1, 1, 1, 3, 3, 3, ceilMode=True)
        y = pool.forward(x)
        np.testing.assert_array_equal(y, x[:, :, ::3, ::3, ::3])
        assert pool.backward(x, np.ones_like(y)).sum() == y.size


def test_windows_that_step_over_the_input_are_refused():
    pool = nnmod.SpatialDilatedMaxPooling(2, 2, 1, 1, 1, 1, 3, 3)
    with pytest.raises(nnmod.ShapeError) as error:
        pool.forward(np.ones((1, 5, 2)))
    assert str(error.value) == (
        "input of size (5, 2) has a window that steps over it: an element in the padding, the next one behind the "
        "end; window (2, 2), dilation (3, 3), padding (1, 1)")
    assert pool.forward(np.ones((1, 5, 3))).shape == (1, 4, 2)


def test_a_window_changed_later_is_used():
    pool, x = nnmod.SpatialMaxPooling(2, 2), np.arange(36.0).reshape(1, 6, 6)
    assert pool.forward(x).shape == (1, 3, 3)
    pool.kW = pool.kH = pool.dW = pool.dH = 3
    np.testing.assert_array_equal(pool.forward(x), [[[14, 17], [32, 35]]])


# -- unpooling ------------------------------------------------------------------------------------------

def unpooled(pool):
    make = nnmod.SpatialMaxUnpooling if isinstance(pool, nnmod.SpatialMaxPooling) else nnmod.VolumetricMaxUnpooling
    return nnmod.Sequential(pool, make(pool))


@pytest.mark.parametrize("name, make", [
    ("SpatialMaxUnpooling__1", lambda: nnmod.SpatialMaxPooling(2, 2)),
    ("VolumetricMaxUnpooling__1", lambda: nnmod.VolumetricMaxPooling(2, 2, 2)),
])
def test_unpooling_as_torch_recorded_it(name, make):
    case = GOLDEN.case(name)
    net = unpooled(make())
    np.testing.assert_array_equal(net.forward(case["input"]), case["output"])
    np.testing.assert_array_equal(net.backward(case["input"], case["gradOutput"]), case["gradInput"])


@pytest.mark.parametrize("copied", [
    lambda net, path: net.clone(),
    lambda net, path: pickle.loads(pickle.dumps(net)),
    lambda net, path: (nnmod.save_checkpoint(path, net), nnmod.load_checkpoint(path)["model"])[1],
], ids=["clone", "pickle", "checkpoint"])
def test_an_unpooling_stays_with_its_pooling(copied, tmp_path):
    net = unpooled(nnmod.SpatialMaxPooling(2, 2))
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 6))
    expected = net.forward(x).copy()
    twin = copied(net, tmp_path / "net.safetensors")
    assert twin[1].pooling is twin[0] and twin[0] is not net[0]
    np.testing.assert_array_equal(twin.forward(x), expected)
    assert not np.shares_memory(twin[0].indices, net[0].indices)


def test_unpooling_says_what_is_wrong():
    with pytest.raises(TypeError, match="poolingModule must be a SpatialMaxPooling, got ReLU"):
        nnmod.SpatialMaxUnpooling(nnmod.ReLU())
    for pool in (nnmod.SpatialMaxPooling(3, 3, 2, 2), nnmod.SpatialDilatedMaxPooling(2, 2, 2, 2, dilationW=2)):
        with pytest.raises(ValueError, match="must not overlap, or a maximum would have two values"):
            nnmod.SpatialMaxUnpooling(pool)
    pool = nnmod.SpatialMaxPooling(2, 2)
    back = nnmod.SpatialMaxUnpooling(pool)
    with pytest.raises(RuntimeError, match="must run before its unpooling: call its forward first"):
        back.forward(np.ones((1, 2, 2)))
    y = pool.forward(np.arange(16.0).reshape(1, 4, 4)).copy()
    with pytest.raises(nnmod.ShapeError, match=r"input must have the shape of what .* returned, \(1, 2, 2\), got"):
        back.forward(np.ones((1, 2, 3)))
    back.forward(y)
    pool.forward(np.ones((1, 6, 6)))
    with pytest.raises(RuntimeError, match="has taken another input since the forward of its unpooling"):
        back.backward(y, np.ones((1, 4, 4)))


def test_a_temporal_pooling_needs_a_window_of_frames():
    with pytest.raises(nnmod.ShapeError) as error:
        nnmod.TemporalMaxPooling(3).forward(np.ones((2, 5), np.float32))
    assert str(error.value) == "input must have at least kW = 3 frames, got (2, 5)"


def test_repr():
    assert repr(nnmod.SpatialMaxPooling(2, 3)) == "SpatialMaxPooling(2x3, 2,3)"
    assert repr(nnmod.SpatialMaxPooling(3, 3, 2, 2, 1, 1, True)) == "SpatialMaxPooling(3x3, 2,2, 1,1, ceil)"
    assert (repr(nnmod.VolumetricDilatedMaxPooling(2, 3, 4, padH=1, dilationT=2))
            == "VolumetricDilatedMaxPooling(2x3x4, 2,3,4, 0,0,1, dilation 2,1,1)")
    assert repr(nnmod.TemporalMaxPooling(2)) == "TemporalMaxPooling(2, 2)"
    assert (repr(nnmod.SpatialMaxUnpooling(nnmod.SpatialMaxPooling(2, 2)))
            == "SpatialMaxUnpooling(of SpatialMaxPooling(2x2, 2,2))")
    assert repr(nnmod.SpatialAveragePooling(2, 2)) == "SpatialAveragePooling(2x2, 1,1)"
    assert (repr(nnmod.SpatialAveragePooling(3, 2, 2, 2, 1, 0, countIncludePad=False, divide=False))
            == "SpatialAveragePooling(3x2, 2,2, 1,0, padding not counted, sum)")


@pytest.mark.parametrize("make, text", [
    (lambda: nnmod.SpatialMaxPooling(0, 2), "kW must be an int > 0, got 0"),
    (lambda: nnmod.SpatialMaxPooling(2, 2, dH=0), "dH must be an int > 0, got 0"),
    (lambda: nnmod.SpatialMaxPooling(3, 3, 1, 1, 2, 1),
     "padW and padH must be at most half of the window, so that no window lies wholly in the padding; "
     "got padding 2,1 for a window of 3x3"),
    (lambda: nnmod.SpatialMaxPooling(2, 2, ceilMode="yes"), "ceilMode must be True or False, got 'yes'"),
    (lambda: nnmod.SpatialAveragePooling(2, 2, padH=-1), "padH must be an int >= 0, got -1"),
    (lambda: nnmod.SpatialAveragePooling(2, 1, 1, 1, 1, 1),
     "padW and padH must be at most half of the window, so that no window lies wholly in the padding; "
     "got padding 1,1 for a window of 2x1"),
    (lambda: nnmod.SpatialAveragePooling(2, 2, divide=2), "divide must be True or False, got 2"),
])
def test_arguments(make, text):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == text


@pytest.mark.parametrize("make", [nnmod.SpatialMaxPooling, nnmod.SpatialAveragePooling], ids=lambda m: m.__name__)
@pytest.mark.parametrize("input, error, text", [
    (np.ones((2, 2), np.float32), nnmod.ShapeError,
     "input must have shape (N, C, H, W) or (C, H, W), got (2, 2)"),
    (np.ones((2, 2, 2, 4), np.float32), nnmod.ShapeError,
     "input of size (2, 4) padded by (0, 1) is smaller than the window (3, 2), dilation (1, 1) (height, width)"),
    (np.ones((2, 2, 4, 0), np.float32), nnmod.ShapeError,
     "input must have at least one element along H, W, got (2, 2, 4, 0)"),
    (np.ones((2, 2, 4, 4), int), TypeError,
     "kernels work on float32 or float64, got cpu.int64 (2, 2, 4, 4); convert it with .astype(np.float32)"),
], ids=["dimensions", "small", "nothing", "int"])
def test_wrong_input_changes_nothing(make, input, error, text):
    pool = make(2, 3, 1, 1, 1, 0)
    output = pool.forward(np.arange(16, dtype=np.float32).reshape(1, 4, 4))
    before = output.copy()
    with pytest.raises(error) as caught:
        pool.forward(input)
    assert str(caught.value) == text
    assert pool.output is output
    np.testing.assert_array_equal(output, before)
