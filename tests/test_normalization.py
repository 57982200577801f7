"""Batch normalisation beyond the table of cases: statistics, modes, precision, threads, errors."""
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


@pytest.fixture(params=BACKENDS)
def backend(request):
    with kernels.use_backend(request.param):
        yield request.param


def normal(*shape, dtype=np.float64):
    return np.random.default_rng(4).standard_normal(shape).astype(dtype)


def with_statistics(module):
    """*module* in float64, with running statistics that are not those of any batch."""
    module.double()
    module.running_mean[...] = np.linspace(-1, 1, module.nOutput)
    module.running_var[...] = np.linspace(0.5, 2, module.nOutput)
    return module


@pytest.mark.parametrize("scale", [1.0, -0.4])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(5, 3, 1), (2, 4, 6), (1, 2, 7), (9, 1, 1), (3, 5, 33)])
@pytest.mark.parametrize("train", [True, False])
def test_kernels_beside_one_channel_at_a_time(backend, shape, train, affine, scale):
    rng = np.random.default_rng(2)
    N, C, S = shape
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 2e-5)):
        x, dy = rng.standard_normal((2, *shape)).astype(dtype)
        w, b = rng.standard_normal((2, C)).astype(dtype) if affine else (None, None)
        running_mean, running_var = rng.standard_normal(C).astype(dtype), rng.uniform(1, 2, C).astype(dtype)
        moved_mean, moved_var = running_mean.copy(), running_var.copy()
        y, dx = np.full((2, *shape), np.nan, dtype)
        mean, invstd = np.full((2, C), np.nan, dtype)
        dw, db = np.full((2, C), 0.5, dtype)
        backend.batch_norm_update_output(x, w, b, moved_mean, moved_var, y, mean, invstd, train, 0.3, 1e-3)
        backend.batch_norm_update_grad_input(x, dy, w, mean, invstd, dx, train)
        backend.batch_norm_acc_grad_parameters(x, dy, mean, invstd, dw, db, scale)
        for c in range(C):
            v, g = x[:, c].ravel().astype(np.float64), dy[:, c].ravel().astype(np.float64)
            center, variance = (v.mean(), v.var()) if train else (running_mean[c], running_var[c])
            deviation = np.sqrt(variance + 1e-3)
            z = (v - center) / deviation
            weight, bias = (w[c], b[c]) if affine else (1, 0)
            d = g - g.mean() - z * (g * z).mean() if train else g
            new = (0.7 * running_mean[c] + 0.3 * v.mean(), 0.7 * running_var[c] + 0.3 * v.var(ddof=1)) \
                if train else (running_mean[c], running_var[c])
            for actual, wanted in [
                (y[:, c].ravel(), z * weight + bias), (dx[:, c].ravel(), d * weight / deviation),
                (mean[c], center), (invstd[c], 1 / deviation),
                (dw[c], 0.5 + scale * (g * z).sum()), (db[c], 0.5 + scale * g.sum()),
                ((moved_mean[c], moved_var[c]), new),
            ]:
                np.testing.assert_allclose(actual, wanted, rtol=tolerance, atol=tolerance * 10)


def test_large_mean_costs_no_variance(backend):
    """E[x^2] - E[x]^2 would be all rounding here."""
    x = (1e4 + normal(64, 2)).astype(np.float32)
    module = nnmod.BatchNormalization(2, affine=False)
    y = module.forward(x)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(y, (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5), atol=2e-3)
    np.testing.assert_allclose(module.running_var, 0.9 + 0.1 * exact.var(0, ddof=1), rtol=1e-6)


def test_momentum(backend):
    x = normal(8, 3)
    for momentum in (0, 0.1, 1):
        module = with_statistics(nnmod.BatchNormalization(3, 1e-5, momentum))
        mean, var = module.running_mean.copy(), module.running_var.copy()
        for _ in range(2):
            module.forward(x)
            mean = (1 - momentum) * mean + momentum * x.mean(0)
            var = (1 - momentum) * var + momentum * x.var(0, ddof=1)
        np.testing.assert_allclose(module.running_mean, mean)
        np.testing.assert_allclose(module.running_var, var)
    module = with_statistics(nnmod.BatchNormalization(3, 1e-5, 0))
    kept = module.running_mean.copy()
    module.forward(np.full((4, 3), np.nan))  # 0 times NaN is not 0: they must not even be added
    np.testing.assert_array_equal(module.running_mean, kept)


def test_evaluation_keeps_the_statistics(backend):
    module = with_statistics(nnmod.SpatialBatchNormalization(3)).evaluate()
    mean, var = module.running_mean.copy(), module.running_var.copy()
    x = normal(2, 3, 4, 5)
    y = module.forward(x)
    wanted = (x - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
    np.testing.assert_allclose(y, wanted * module.weight[:, None, None] + module.bias[:, None, None])
    np.testing.assert_array_equal([module.running_mean, module.running_var], [mean, var])


@pytest.mark.parametrize("make, shape", [
    (nnmod.BatchNormalization, (1, 3)), (nnmod.BatchNormalization, (3,)),
    (nnmod.SpatialBatchNormalization, (1, 3, 1, 1)), (nnmod.SpatialBatchNormalization, (3, 1, 1))])
def test_one_value_has_no_variance(backend, make, shape):
    """It is normalised as in evaluation, and leaves the statistics alone; so does backward."""
    module = with_statistics(make(3))
    mean, var = module.running_mean.copy(), module.running_var.copy()
    x, dy = normal(*shape), normal(*shape) + 1
    y = module.forward(x).copy()
    dx = module.backward(x, dy).copy()
    np.testing.assert_array_equal([module.running_mean, module.running_var], [mean, var])
    module.evaluate()
    np.testing.assert_array_equal(module.forward(x), y)
    np.testing.assert_array_equal(module.backward(x, dy), dx)
    np.testing.assert_allclose(dx.ravel(), dy.ravel() * module.weight / np.sqrt(var + 1e-5))


@pytest.mark.parametrize("start", ["training", "evaluate"])
def test_backward_works_in_the_mode_of_its_forward(backend, start):
    x, dy = normal(6, 3), normal(6, 3)[::-1].copy()
    module = getattr(with_statistics(nnmod.BatchNormalization(3)), start)()
    module.forward(x)
    expected = module.backward(x, dy).copy()
    gradients = [g.copy() for g in module.parameters()[1]]
    other = getattr(with_statistics(nnmod.BatchNormalization(3)), start)()
    other.weight[...], other.bias[...] = module.weight, module.bias
    other.forward(x)
    other.train = not other.train
    np.testing.assert_array_equal(other.backward(x, dy), expected)
    for a, b in zip(other.parameters()[1], gradients):
        np.testing.assert_array_equal(a, b)


def test_nan_stays_in_its_channel(backend):
    x = normal(4, 3, 2, 2)
    x[1, 1, 0, 1] = np.nan
    module = with_statistics(nnmod.SpatialBatchNormalization(3))
    y = module.forward(x)
    assert np.isnan(y[:, 1]).all() and not np.isnan(y[:, ::2]).any()
    assert np.isnan([module.running_mean[1], module.running_var[1]]).all()
    assert not np.isnan(module.running_mean[::2]).any()
    dx = module.backward(x, np.ones_like(x))
    assert np.isnan(dx[:, 1]).all() and not np.isnan(dx[:, ::2]).any()
    module = with_statistics(nnmod.SpatialBatchNormalization(3)).evaluate()
    assert np.isnan(module.forward(x)).sum() == 1


def test_constant_channel(backend):
    """No variance, but eps: finite, and zero."""
    module = nnmod.BatchNormalization(2).double()
    x = np.tile([3.0, -0.1], (5, 1))
    np.testing.assert_allclose(module.forward(x), 0, atol=1e-12)
    assert np.isfinite(module.backward(x, normal(5, 2))).all()


@pytest.mark.parametrize("make, shape", [(nnmod.BatchNormalization, (0, 3)),
                                         (nnmod.SpatialBatchNormalization, (0, 3, 4, 4)),
                                         (nnmod.SpatialBatchNormalization, (2, 3, 0, 4))])
def test_empty_batch(backend, make, shape):
    for affine in (True, False):
        module = with_statistics(make(3, affine=affine))
        before = [t.copy() for t in (module.running_mean, module.running_var, *module.parameters()[1])]
        x = np.empty(shape)
        assert module.forward(x).shape == shape
        assert module.backward(x, x.copy()).shape == shape
        for now, then in zip((module.running_mean, module.running_var, *module.parameters()[1]), before):
            np.testing.assert_array_equal(now, then)


@needs_numba
def test_threads_change_no_bit(monkeypatch):
    before = threads.get_num_threads()
    monkeypatch.setattr(threads, "ELEMENTS_PER_THREAD", 1)
    x, dy = np.random.default_rng(0).standard_normal((2, 4, 7, 5, 6)).astype(np.float32)
    results = []
    try:
        for count in (1, 2, 3):
            threads.set_num_threads(count)
            nnmod.manualSeed(1)
            module = nnmod.SpatialBatchNormalization(7)
            results.append([module.forward(x), module.backward(x, dy), module.running_mean, module.running_var,
                            *module.parameters()[1]])
    finally:
        threads.set_num_threads(before)
    for row in results[1:]:
        for a, b in zip(results[0], row):
            np.testing.assert_array_equal(a, b)


def test_reset():
    module = with_statistics(nnmod.BatchNormalization(200))
    module.bias.fill(3)
    weight = module.weight
    assert module.reset() is module and module.weight is weight
    assert 0 <= weight.min() < 0.05 and 0.95 < weight.max() <= 1
    assert not module.bias.any() and not module.running_mean.any() and (module.running_var == 1).all()


def test_not_affine_has_no_parameters():
    module = nnmod.BatchNormalization(3, affine=False)
    assert module.weight is None and module.gradBias is None and module.parameters() == ([], [])
    assert module.double().running_var.dtype == np.float64


def test_repr():
    assert repr(nnmod.BatchNormalization(3)) == "BatchNormalization(3)"
    assert repr(nnmod.SpatialBatchNormalization(None)) == "SpatialBatchNormalization(?)"
    assert (repr(nnmod.SpatialBatchNormalization(3, 1e-3, 0, False))
            == "SpatialBatchNormalization(3, eps 0.001, momentum 0, not affine)")


@pytest.mark.parametrize("words, text", [
    ({"nOutput": 0}, "nOutput must be an int > 0, got 0"),
    ({"eps": -1}, "eps must be a number >= 0, got -1"),
    ({"momentum": 2}, "momentum must be a number within 0..1, got 2"),
    ({"momentum": "0.1"}, "momentum must be a number within 0..1, got '0.1'"),
    ({"affine": 0}, "affine must be True or False, got 0"),
], ids=lambda v: next(iter(v)) if isinstance(v, dict) else "")
def test_arguments(words, text):
    with pytest.raises(ValueError) as error:
        nnmod.BatchNormalization(**{"nOutput": 3} | words)
    assert str(error.value) == text


def f32(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize("make, input, error, text", [
    (nnmod.BatchNormalization, f32(4, 5), nnmod.ShapeError, "input must have shape (N, 3) or (3,), got (4, 5)"),
    (nnmod.BatchNormalization, f32(4, 3, 2), nnmod.ShapeError,
     "input must have shape (N, 3) or (3,), got (4, 3, 2)"),
    (nnmod.SpatialBatchNormalization, f32(4, 2, 5, 5), nnmod.ShapeError,
     "input must have shape (N, 3, H, W) or (3, H, W), got (4, 2, 5, 5)"),
    (nnmod.BatchNormalization, np.ones((4, 3)), TypeError,
     "tensors must share one device and one dtype, got cpu.float64 (4, 3) and cpu.float32 (3,); "
     "convert the module with .float() or .double(), or the tensor with .astype"),
    (lambda n: nnmod.BatchNormalization(n, affine=False), np.ones((4, 3)), TypeError,
     "tensors must share one device and one dtype, got cpu.float64 (4, 3) and cpu.float32 (3,); "
     "convert the module with .float() or .double(), or the tensor with .astype"),
    (nnmod.BatchNormalization, np.ones((4, 3), int), TypeError, None),
], ids=["features", "dimensions", "channels", "dtype", "dtype-not_affine", "int"])
def test_wrong_input_changes_nothing(make, input, error, text):
    module = make(3)
    output = module.forward(normal(*((4, 3) if input.ndim < 4 else (4, 3, 5, 5)), dtype=np.float32))
    tensors = output, module.running_mean, module.running_var, *sum(module.parameters(), [])
    before = [t.copy() for t in tensors]
    with pytest.raises(error) as caught:
        module.forward(input)
    assert text is None or str(caught.value) == text
    assert module.output is output
    for now, then in zip(tensors, before):
        np.testing.assert_array_equal(now, then)


def test_sizes_are_inferred_only_from_a_good_input():
    module = nnmod.SpatialBatchNormalization(None)
    for input, error, text in [
        (f32(2, 3), nnmod.ShapeError, "input must have shape (N, nOutput, H, W) or (nOutput, H, W), got (2, 3)"),
        (f32(2, 0, 5, 5), nnmod.ShapeError, "input must have at least one channel, got (2, 0, 5, 5)"),
        (np.ones((2, 3, 5, 5)), TypeError, "input must be float32 like the module, got float64; convert the "
         "module with .float() or .double(), or the tensor with .astype"),
    ]:
        with pytest.raises(error) as caught:
            module.forward(input)
        assert str(caught.value) == text
        assert not module.sizesKnown and module.nOutput is None
    module.forward(f32(3, 2, 4))
    assert module.running_var.shape == (3,) and module.weight.shape == (3,)
