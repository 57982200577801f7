"""Convolution beyond the table of cases: kernels beside loops, threads, edges, errors."""
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


class Geometry:
    """Sizes of one convolution, with tensors to go with them."""

    def __init__(self, x_shape, out_planes, kernel, stride=(1, 1), pad=(0, 0), dilation=(1, 1), groups=1):
        self.x_shape, self.groups = x_shape, groups
        self.w_shape = out_planes, x_shape[1] // groups, *kernel
        self.stride, self.pad, self.dilation = stride, pad, dilation
        self.y_shape = x_shape[0], out_planes, *(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(x_shape[2:], kernel, stride, pad, dilation))

    def __repr__(self):
        return (f"{self.x_shape} * {self.w_shape}, stride {self.stride}, pad {self.pad}, "
                f"dilation {self.dilation}, groups {self.groups}")

    @property
    def numbers(self):
        return self.stride, self.pad, self.dilation, self.groups

    def tensors(self, dtype=np.float64):
        """x, w, b, dy."""
        rng = np.random.default_rng(5)
        shapes = self.x_shape, self.w_shape, self.w_shape[:1], self.y_shape
        return [rng.standard_normal(shape).astype(dtype) for shape in shapes]

    def run(self, backend, dtype=np.float64, bias=True, scale=1.0):
        """y, dx and, added to noise, dw and db; every output starts full of NaN."""
        x, w, b, dy = self.tensors(dtype)
        y, dx = (np.full(shape, np.nan, dtype) for shape in (dy.shape, x.shape))
        dw, db = np.full_like(w, 0.5), np.full_like(b, -0.5) if bias else None
        backend.conv2d_update_output(x, w, b if bias else None, y, *self.numbers)
        backend.conv2d_update_grad_input(dy, w, dx, *self.numbers)
        backend.conv2d_acc_grad_parameters(x, dy, dw, db, *self.numbers, scale)
        return y, dx, dw, db

    def naive(self, bias=True, scale=1.0):
        """The same by the definition, one product at a time."""
        x, w, b, dy = self.tensors()
        y, dx, dw = np.zeros_like(dy), np.zeros_like(x), np.full_like(w, 0.5)
        inputs, outputs = w.shape[1], w.shape[0] // self.groups
        for n, o, oh, ow in np.ndindex(*dy.shape):
            if bias:
                y[n, o, oh, ow] = b[o]
            for k, i, j in np.ndindex(*w.shape[1:]):
                h = oh * self.stride[0] - self.pad[0] + i * self.dilation[0]
                v = ow * self.stride[1] - self.pad[1] + j * self.dilation[1]
                if 0 <= h < x.shape[2] and 0 <= v < x.shape[3]:
                    c = o // outputs * inputs + k
                    y[n, o, oh, ow] += w[o, k, i, j] * x[n, c, h, v]
                    dx[n, c, h, v] += w[o, k, i, j] * dy[n, o, oh, ow]
                    dw[o, k, i, j] += scale * x[n, c, h, v] * dy[n, o, oh, ow]
        return y, dx, dw, scale * dy.sum(axis=(0, 2, 3)) - 0.5 if bias else None


def random_geometries(count):
    rng = np.random.default_rng(11)
    while count:
        kernel, stride, pad, dilation = (tuple(int(v) for v in rng.integers(low, high, 2))
                                         for low, high in ((1, 5), (1, 4), (0, 3), (1, 4)))
        groups = int(rng.choice([1, 1, 2, 3]))
        x_shape = (int(rng.integers(1, 4)), groups * int(rng.integers(1, 4)), *map(int, rng.integers(1, 9, 2)))
        geometry = Geometry(x_shape, groups * int(rng.integers(1, 7)), kernel, stride, pad, dilation, groups)
        if min(geometry.y_shape) > 0:
            count -= 1
            yield geometry


GEOMETRIES = [
    Geometry((2, 3, 5, 6), 4, (1, 1)),                             # the sample is its own matrix
    Geometry((2, 9, 1, 2), 5, (1, 1)),                             # windows of one element, few of them
    Geometry((2, 9, 3, 4), 6, (3, 3), pad=(1, 1)),                 # many more elements to a window than windows
    Geometry((2, 9, 5, 4), 6, (3, 2), pad=(2, 1), dilation=(2, 3)),
    Geometry((3, 6, 7, 6), 6, (3, 3), pad=(1, 1), groups=6),       # one channel to a group
    Geometry((2, 8, 6, 6), 12, (2, 3), (2, 1), (0, 2), (1, 2), 4),
    Geometry((1, 1, 1, 1), 1, (1, 1)),
    Geometry((2, 2, 3, 3), 9, (3, 3)),                             # one window
    Geometry((2, 2, 2, 2), 3, (5, 4), (3, 2), (4, 3)),             # mostly padding
    *random_geometries(40),
]


@on_each_backend
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=repr)
def test_kernels_beside_loops(backend, geometry):
    for bias, scale in ((True, 1.0), (False, -0.3)):
        expected = geometry.naive(bias, scale)
        for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 2e-5)):
            for actual, wanted in zip(geometry.run(backend, dtype, bias, scale), expected):
                if wanted is None:
                    assert actual is None
                else:
                    assert actual.dtype == dtype
                    np.testing.assert_allclose(actual, wanted, rtol=tolerance, atol=tolerance * 10)


@pytest.fixture
def eager_threads(monkeypatch):
    """Threads are woken for the smallest work; as many as before afterwards."""
    before = threads.get_num_threads()
    monkeypatch.setattr(threads, "FLOPS_PER_THREAD", 1)
    yield
    threads.set_num_threads(before)


@needs_numba
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("geometry", [
    Geometry((5, 3, 9, 9), 11, (3, 3), pad=(1, 1)), Geometry((7, 12, 3, 3), 22, (3, 3), pad=(1, 1)),
    Geometry((4, 6, 5, 7), 13, (1, 1)), Geometry((1, 4, 8, 8), 9, (2, 2)),
    Geometry((5, 8, 6, 6), 24, (3, 3), (2, 2), (1, 1), groups=4), Geometry((2, 5, 4, 4), 5, (2, 2), groups=5)],
    ids=repr)
def test_threads_change_no_bit(geometry, dtype, eager_threads):
    results = []
    for count in (1, 2, 3):
        threads.set_num_threads(count)
        results.append(geometry.run(cpu, dtype))
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_array_equal(a, b)


@on_each_backend
def test_nan_reaches_exactly_the_windows_that_see_it(backend):
    module = nnmod.SpatialConvolution(2, 3, 3, 2, 1, 1, 1, 0).double()
    x = np.random.default_rng(0).standard_normal((2, 2, 5, 6))
    with kernels.use_backend(backend):
        clean = module.forward(x).copy()
        x[1, 0, 2, 3] = np.nan
        y = module.forward(x)
        seen = np.zeros(y.shape, bool)
        seen[1, :, 1:3, 2:5] = True
        np.testing.assert_array_equal(np.isnan(y), seen)
        np.testing.assert_array_equal(y[~seen], clean[~seen])
        dx = module.backward(x, np.where(seen, np.nan, 1.0))
        assert np.isnan(dx[1, :, 1:4, 1:6]).all() and not np.isnan(dx[0]).any()
        assert np.isnan(module.gradWeight).all() and np.isnan(module.gradBias).all()


@on_each_backend
def test_empty_batch(backend):
    module = nnmod.SpatialConvolution(2, 3, 3, 3)
    x = np.empty((0, 2, 5, 6), np.float32)
    with kernels.use_backend(backend):
        assert module.forward(x).shape == (0, 3, 3, 4)
        assert module.backward(x, np.empty((0, 3, 3, 4), np.float32)).shape == x.shape
        assert not module.gradWeight.any() and not module.gradBias.any()
        inferred = nnmod.SpatialConvolution(None, 3, 3, 3)
        assert inferred.forward(x).shape == (0, 3, 3, 4) and inferred.nInputPlane == 2


def test_a_batch_is_its_samples_in_turn():
    """To the bit, whichever way the samples were divided."""
    module = nnmod.SpatialConvolution(3, 5, 3, 3, padW=1)
    x = np.random.default_rng(0).standard_normal((6, 3, 8, 7)).astype(np.float32)
    together = module.forward(x).copy()
    for n in range(6):
        np.testing.assert_array_equal(module.forward(x[n]), together[n])


def test_reset_draws_from_torchs_bounds():
    module = nnmod.SpatialConvolution(4, 50, 5, 3)
    bound = 1 / np.sqrt(5 * 3 * 4)
    for p in (module.weight, module.bias):
        assert 0.8 * bound < np.abs(p).max() <= bound
    weight = module.weight
    assert module.reset(0.1) is module and module.weight is weight
    assert weight.std() == pytest.approx(0.1, rel=0.05)


def test_repr():
    C = nnmod.SpatialConvolution
    assert repr(C(1, 20, 5, 5)) == "SpatialConvolution(1 -> 20, 5x5)"
    assert repr(C(1, 2, 3, 5, 2, 1)) == "SpatialConvolution(1 -> 2, 3x5, 2,1)"
    assert repr(C(1, 3, 3, 3, 1, 1, 1)) == "SpatialConvolution(1 -> 3, 3x3, 1,1, 1,1)"
    assert repr(C(1, 3, 3, 2, padH=1, bias=False)) == "SpatialConvolution(1 -> 3, 3x2, 1,1, 0,1, no bias)"
    assert repr(C(None, 3, 2, 2)) == "SpatialConvolution(? -> 3, 2x2)"


@pytest.mark.parametrize("words, text", [
    ({"kW": 0}, "kW must be an int > 0, got 0"),
    ({"kH": 2.0}, "kH must be an int > 0, got 2.0"),
    ({"dW": -1}, "dW must be an int > 0, got -1"),
    ({"padW": -1}, "padW must be an int >= 0, got -1"),
    ({"padH": True}, "padH must be an int >= 0, got True"),
    ({"nInputPlane": 0}, "nInputPlane must be an int > 0, got 0"),
    ({"nOutputPlane": None}, "nOutputPlane must be an int > 0, got None"),
    ({"bias": 1}, "bias must be True or False, got 1"),
], ids=lambda v: next(iter(v)) if isinstance(v, dict) else "")
def test_arguments(words, text):
    with pytest.raises(ValueError) as error:
        nnmod.SpatialConvolution(**{"nInputPlane": 2, "nOutputPlane": 3, "kW": 3, "kH": 3} | words)
    assert str(error.value) == text


def f32(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize("input, error, text", [
    (f32(2, 4, 5, 5), nnmod.ShapeError,
     "input must have shape (N, 2, H, W) or (2, H, W), got (2, 4, 5, 5)"),
    (f32(2, 5), nnmod.ShapeError, "input must have shape (N, 2, H, W) or (2, H, W), got (2, 5)"),
    (f32(2, 2, 2, 5), nnmod.ShapeError,
     "input of size (2, 5) padded by (0, 0) is smaller than the window (3, 3), dilation (1, 1) (height, width)"),
    (np.ones((2, 2, 5, 5)), TypeError,
     "tensors must share one device and one dtype, got cpu.float64 (2, 2, 5, 5) and cpu.float32 (3, 2, 3, 3); "
     "convert the module with .float() or .double(), or the tensor with .astype"),
    (np.ones((2, 2, 5, 5), int), TypeError, None),
    ([[1.0]], TypeError, "input must be a tensor (numpy.ndarray), got list; use np.asarray(..., np.float32)"),
], ids=["channels", "dimensions", "small", "dtype", "int", "list"])
def test_wrong_input_changes_nothing(input, error, text):
    module = nnmod.SpatialConvolution(2, 3, 3, 3)
    output = module.forward(f32(2, 2, 4, 4))
    before = [p.copy() for p in (output, *sum(module.parameters(), []))]
    with pytest.raises(error) as caught:
        module.forward(input)
    assert text is None or str(caught.value) == text
    assert module.output is output
    for now, then in zip((output, *sum(module.parameters(), [])), before):
        np.testing.assert_array_equal(now, then)


def test_sizes_are_inferred_only_from_a_good_input():
    module = nnmod.SpatialConvolution(None, 3, 3, 3)
    with pytest.raises(RuntimeError, match="does not know its sizes yet: run forward once"):
        module.parameters()
    for input, text in [
        (f32(2, 0, 5, 5), "input must have at least one channel, got (2, 0, 5, 5)"),
        (f32(5, 5), "input must have shape (N, nInputPlane, H, W) or (nInputPlane, H, W), got (5, 5)"),
        (f32(4, 2, 5), "input of size (2, 5) padded by (0, 0) is smaller than the window (3, 3), "
                       "dilation (1, 1) (height, width)"),
    ]:
        with pytest.raises(nnmod.ShapeError) as error:
            module.forward(input)
        assert str(error.value) == text
        assert not module.sizesKnown
    with pytest.raises(TypeError) as error:
        module.forward(np.ones((4, 5, 5)))
    assert str(error.value).startswith("input must be float32 like the module, got float64")
    assert module.forward(f32(4, 5, 5)).shape == (3, 3, 3)
    assert module.weight.shape == (3, 4, 3, 3)


def test_verbs_by_hand():
    """accGradParameters works alone, and a first layer may skip its gradInput."""
    module = nnmod.SpatialConvolution(2, 3, 2, 2).double()
    x, dy = np.random.default_rng(0).standard_normal((2, 4, 4)), np.ones((3, 3, 3))
    module.forward(x)
    module.accGradParameters(x, dy)
    alone = module.gradWeight.copy()
    module.zeroGradParameters()
    module.needsGradInput = False
    assert module.backward(x, dy) is None
    np.testing.assert_array_equal(module.gradWeight, alone)
