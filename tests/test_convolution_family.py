"""The convolutions beyond SpatialConvolution: what the table of cases, Torch7 and PyTorch do not show."""
import numpy as np
import pytest

import nnmod
from nnmod import kernels
from nnmod.kernels import reference

try:
    from nnmod.kernels import cpu
    from nnmod.kernels.cpu import frames, local_convolution, plane_convolution, row_convolution, threads
    from nnmod.kernels.cpu.compile import jit
except ImportError:
    cpu = None

needs_numba = pytest.mark.skipif(cpu is None, reason="numba is not installed")
BACKENDS = [pytest.param(reference, id="reference"), pytest.param(cpu, id="cpu", marks=needs_numba)]
on_each_backend = pytest.mark.parametrize("backend", BACKENDS)


def normal(*shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def passes(module, x, seed=3):
    """Copies of the output, gradInput and, added to zeros, the gradients of the parameters."""
    y = module.forward(x).copy()
    module.zeroGradParameters()
    dx = module.backward(x, normal(*y.shape, seed=seed, dtype=y.dtype))
    return [y, dx.copy(), *(g.copy() for g in module.parameters()[1])]


def assert_all_close(actual, expected, tolerance=1e-12):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a.reshape(b.shape), b, rtol=tolerance, atol=10 * tolerance)


# -- one class beside another -----------------------------------------------------------

def like(module, other):
    """*module* with the numbers of *other*'s parameters, which may have another shape."""
    module.double()
    for mine, theirs in zip(module.parameters()[0], other.parameters()[0]):
        mine[...] = theirs.reshape(mine.shape)
    return module


def spatial(*args, **words):
    return nnmod.SpatialConvolution(*args, **words).double()


@on_each_backend
def test_the_same_convolution_under_other_names(backend):
    x, plain = normal(2, 3, 6, 7), spatial(3, 4, 2, 3, 2, 1, 1, 0)
    with kernels.use_backend(backend):
        expected = passes(plain, x)
        assert_all_close(passes(like(nnmod.SpatialConvolutionMM(3, 4, 2, 3, 2, 1, 1, 0), plain), x), expected)
        assert_all_close(passes(like(nnmod.SpatialDilatedConvolution(3, 4, 2, 3, 2, 1, 1, 0), plain), x), expected)
        deep = like(nnmod.VolumetricConvolution(3, 4, 1, 2, 3, 1, 2, 1, 0, 1, 0), plain)
        assert_all_close(passes(deep, x[:, :, None]), [e[:, :, None] for e in expected[:2]] + expected[2:])
        table = spatial(3, 4, 2, 3, 2, 1)
        mapped = nnmod.SpatialConvolutionMap(nnmod.tables.full(3, 4), 2, 3, 2, 1)
        assert_all_close(passes(like(mapped, table), x), passes(table, x))


@on_each_backend
def test_a_sequence_is_an_image_of_one_column(backend):
    x, module = normal(2, 9, 3), nnmod.TemporalConvolution(3, 4, 3, 2).double()
    image = spatial(1, 4, 3, 3, 1, 2)  # a window as wide as a frame
    like(image, module)
    with kernels.use_backend(backend):
        y = module.forward(x)
        np.testing.assert_allclose(y, image.forward(x[:, None])[..., 0].swapaxes(1, 2), rtol=1e-12, atol=1e-12)


@on_each_backend
def test_a_transposed_convolution_is_the_adjoint(backend):
    """<conv(x), z> = <x, full(z)>, for sizes that several images share."""
    with kernels.use_backend(backend):
        for height, adj in ((9, 0), (10, 1)):
            conv = spatial(2, 3, 3, 4, 1, 2, 1, 1, bias=False)
            full = like(nnmod.SpatialFullConvolution(3, 2, 3, 4, 1, 2, 1, 1, 0, adj, bias=False), conv)
            x = normal(2, 2, height - 1, 5)
            y = conv.forward(x)
            z = normal(*y.shape, seed=1)
            assert full.forward(z).shape == x.shape
            assert np.vdot(y, z) == pytest.approx(np.vdot(x, full.output))
            np.testing.assert_allclose(full.output, conv.updateGradInput(x, z), rtol=1e-12, atol=1e-12)


def test_groups_are_convolutions_side_by_side():
    x, module = normal(2, 6, 5, 4), spatial(6, 4, 2, 3, groups=2)
    y, halves = module.forward(x).copy(), []
    for g in range(2):
        part = spatial(3, 2, 2, 3)
        part.weight[...], part.bias[...] = module.weight[2 * g:2 * g + 2], module.bias[2 * g:2 * g + 2]
        halves.append(part.forward(x[:, 3 * g:3 * g + 3].copy()))
    np.testing.assert_allclose(y, np.concatenate(halves, axis=1), rtol=1e-12, atol=1e-12)
    assert repr(module) == "SpatialConvolution(6 -> 4, 2x3, 2 groups)"


# -- where Torch7 is wrong ---------------------------------------------------------------------

@on_each_backend
def test_depthwise_keeps_height_and_width_apart(backend):
    """Torch7 swaps them: right for square images alone."""
    module = nnmod.SpatialDepthWiseConvolution(3, 2, 2, 3, 1, 2, 1, 0).double()
    x = normal(2, 3, 8, 5)
    with kernels.use_backend(backend):
        y = module.forward(x)
        assert y.shape == (2, 6, 3, 6)
        w = module.weight.reshape(2, 3, 3, 2)
        for c in range(3):
            for m in range(2):
                alone = spatial(1, 1, 2, 3, 1, 2, 1, 0)
                alone.weight[...], alone.bias[...] = w[m, c], module.bias[m, c]
                np.testing.assert_allclose(y[:, [2 * c + m]], alone.forward(x[:, [c]].copy()), rtol=1e-12, atol=1e-12)


@on_each_backend
def test_a_stride_that_does_not_tile_has_its_gradient(backend):
    """Torch7's SpatialConvolutionMap reads and writes out of bounds here."""
    module = nnmod.SpatialConvolutionMap([(0, 0), (1, 1), (0, 1)], 2, 3, 3, 2).double()
    with kernels.use_backend(backend):
        nnmod.testing.check_gradients(module, normal(2, 2, 8, 7))


@on_each_backend
def test_what_no_connection_reaches(backend):
    """An output plane without connections is its bias; an input plane without gets no gradient."""
    for cls in (nnmod.SpatialConvolutionMap, nnmod.SpatialFullConvolutionMap):
        module = cls([(0, 0), (2, 2)], 2, 2).double()
        with kernels.use_backend(backend):
            x = normal(2, 3, 4, 4)
            x[:, 1] = np.nan
            y = module.forward(x)
            assert (y[:, 1] == module.bias[1]).all() and not np.isnan(y).any()
            dx = module.backward(x, normal(*y.shape))
            assert not dx[:, 1].any() and dx[:, 0].any()
            assert np.isfinite(module.reset().weight).all() and np.isfinite(module.bias).all()


@on_each_backend
def test_what_no_window_reaches_is_the_bias(backend):
    module = nnmod.SpatialFullConvolution(2, 3, 1, 2, 3, 2, adjW=2).double()
    x = normal(2, 2, 2, 3)
    with kernels.use_backend(backend):
        y = module.forward(x)
        assert y.shape == (2, 3, 4, 9)
        gap = np.ones(9, bool)
        gap[::3] = False
        np.testing.assert_array_equal(y[..., gap], np.broadcast_to(module.bias[:, None, None], y.shape)[..., gap])
        nnmod.testing.check_gradients(module, x)
        nnmod.testing.check_gradients(nnmod.SpatialFullConvolutionMap([(0, 1), (1, 0)], 1, 2, 3, 3), x)


# -- NaN, scratch, threads, chunks ----------------------------------------------------------------

@on_each_backend
@pytest.mark.parametrize("make, shape, at, seen", [
    (lambda: nnmod.SpatialDepthWiseConvolution(2, 1, 3, 2, 1, 1, 1, 0), (2, 2, 5, 6), (1, 0, 2, 0),
     (1, 0, slice(1, 3), slice(0, 2))),
    (lambda: nnmod.VolumetricConvolution(1, 2, 2, 3, 2), (2, 1, 4, 5, 6), (0, 0, 1, 4, 5),
     (0, slice(None), slice(0, 2), slice(3, 4), slice(3, 4))),
    (lambda: nnmod.TemporalConvolution(2, 3, 2), (2, 5, 2), (1, 4, 1), (1, slice(3, 4), slice(None))),
    (lambda: nnmod.SpatialConvolutionLocal(1, 2, 5, 4, 2, 3), (2, 1, 4, 5), (1, 0, 3, 0),
     (1, slice(None), slice(1, 2), slice(0, 1))),
    (lambda: nnmod.TemporalRowConvolution(3, 2), (2, 5, 3), (0, 2, 1), (0, slice(1, 3), 1)),
    (lambda: nnmod.SpatialFullConvolution(2, 3, 2, 3, 2, 1), (2, 2, 4, 3), (1, 1, 2, 1),
     (1, slice(None), slice(2, 5), slice(2, 4))),
], ids=["depthwise", "volumetric", "temporal", "local", "row", "full"])
def test_nan_reaches_exactly_what_sees_it(backend, make, shape, at, seen):
    module, x = make().double(), normal(*shape)
    with kernels.use_backend(backend):
        clean = module.forward(x).copy()
        x[at] = np.nan
        y = module.forward(x)
        expected = np.zeros(y.shape, bool)
        expected[seen] = True
        np.testing.assert_array_equal(np.isnan(y), expected)
        np.testing.assert_array_equal(y[~expected], clean[~expected])


MODULES = [
    (lambda: nnmod.VolumetricConvolution(3, 5, 2, 3, 3, 1, 2, 1, 1, 1, 1), (3, 3, 4, 6, 7)),
    (lambda: nnmod.VolumetricFullConvolution(3, 2, 2, 3, 3, 2, 2, 1), (2, 3, 3, 4, 5)),
    (lambda: nnmod.TemporalConvolution(5, 7, 3, 2), (4, 11, 5)),
    (lambda: nnmod.SpatialFullConvolution(6, 9, 3, 3, 2, 2), (3, 6, 5, 4)),
    (lambda: nnmod.SpatialConvolutionMap(nnmod.tables.full(4, 5), 3, 3), (3, 4, 7, 8)),
    (lambda: nnmod.SpatialFullConvolutionMap(nnmod.tables.full(4, 5), 3, 3, 2, 2), (3, 4, 5, 5)),
    (lambda: nnmod.SpatialDepthWiseConvolution(5, 2, 3, 3, 2, 1, 1), (3, 5, 7, 8)),
    (lambda: nnmod.SpatialConvolutionLocal(3, 5, 7, 6, 3, 3), (6, 3, 6, 7)),
    (lambda: nnmod.SpatialSubSampling(5, 2, 3, 2, 2), (3, 5, 7, 8)),
    (lambda: nnmod.TemporalRowConvolution(7, 3), (3, 9, 7)),
    (lambda: nnmod.TemporalRowConvolution(7, 3, 2, True), (3, 7, 9)),
    (lambda: nnmod.TemporalSubSampling(7, 3, 2), (3, 9, 7)),
]
every_module = pytest.mark.parametrize("make, shape", MODULES, ids=[make().__class__.__name__ for make, _ in MODULES])


@pytest.fixture
def compiled():
    """The compiled kernels, whichever were asked for."""
    with kernels.use_backend(cpu):
        yield


@pytest.fixture
def eager_threads(compiled, monkeypatch):
    """Threads are woken for the smallest work; as many as before afterwards."""
    before = threads.get_num_threads()
    monkeypatch.setattr(threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(threads, "ELEMENTS_PER_THREAD", 1)
    yield
    threads.set_num_threads(before)


@needs_numba
@every_module
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_no_bit(make, shape, dtype, eager_threads):
    module, x = make().type(np.dtype(dtype).name), normal(*shape, dtype=dtype)
    results = []
    for count in (1, 3, 2):  # 2 after 3: scratch of another size
        threads.set_num_threads(count)
        results.append(passes(module, x))
    for other in results[1:]:
        for a, b in zip(results[0], other):
            np.testing.assert_array_equal(a, b)


@needs_numba
def test_scratch_made_for_fewer_threads_still_serves(eager_threads):
    x, w = normal(4, 3, 6, 6), normal(3, 3, 3)
    pairs = np.stack([np.arange(3)] * 2, axis=1)
    to, y = (np.arange(3), np.arange(4)), np.empty((4, 3, 4, 4))
    numbers = (1, 1), (0, 0)
    threads.set_num_threads(1)
    work = np.empty(cpu.plane_conv_work_size(x.shape, w.shape, y.shape, *numbers))
    places = normal(4, 4, 2, 3, 3, 3)
    local = np.empty(cpu.local_conv_work_size(x.shape, places.shape, (4, 2, 4, 4), *numbers))
    threads.set_num_threads(4)
    assert cpu.plane_conv_work_size(x.shape, w.shape, y.shape, *numbers) == 4 * work.size
    expected = np.empty_like(y)
    cpu.plane_conv_update_output(x, w, None, pairs, to, y, work, *numbers)
    reference.plane_conv_update_output(x, w, None, pairs, to, expected, work, *numbers)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)
    y, expected = np.empty((4, 2, 4, 4)), np.empty((4, 2, 4, 4))
    cpu.local_conv_update_output(x, places, None, y, local, *numbers)
    reference.local_conv_update_output(x, places, None, expected, local, *numbers)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@needs_numba
@pytest.mark.parametrize("chunk", [1, 200, 1000])
@pytest.mark.parametrize("make, shape", MODULES[:3], ids=["volumetric", "volumetric full", "temporal"])
def test_frames_laid_out_a_few_at_a_time(make, shape, chunk, compiled, monkeypatch):
    """Ranges that end inside a sample, and that span several."""
    module, x = make().double(), normal(*shape)
    expected = passes(module, x)
    monkeypatch.setattr(frames, "_CHUNK", chunk)
    monkeypatch.setattr(frames, "_IMAGES", 1)
    assert_all_close(passes(module.clearState(), x), expected)


@needs_numba
def test_scratch_is_bounded():
    """One image of a batch at a time does not depend on how many there are."""
    shapes = [(n, 8, 16, 32, 32) for n in (16, 64)]
    sizes = [cpu.conv3d_work_size(s, (8, 8, 3, 3, 3), (s[0], 8, 14, 30, 30), (1, 1, 1), (0, 0, 0)) for s in shapes]
    assert sizes[0] == sizes[1] < 2 * 2**20
    assert cpu.temporal_conv_work_size((64, 1000, 256), (256, 5 * 256), (64, 996, 256), 1) <= 2**20
    assert cpu.temporal_conv_work_size((64, 1000, 256), (256, 5 * 256), (64, 200, 256), 5) == 0  # tiles: as it lies


@needs_numba
def test_float32_kernels_hold_no_float64(compiled, monkeypatch):
    """A literal of another type would double the width of the arithmetic."""
    monkeypatch.setattr("nnmod.kernels.cpu.cache.KernelCache.load_overload", lambda *_: None)
    monkeypatch.setattr("nnmod.kernels.cpu.cache.KernelCache.save_overload", lambda *_: None)
    # The gradients of the parameters, which take the scale: the other verbs have no number but 0.
    names = [(room, "_acc_grad_parameters") for room in (plane_convolution, local_convolution, row_convolution)]
    made = []
    for room, name in names:
        fresh = jit(getattr(room, name).py_func)
        monkeypatch.setattr(room, name, fresh)
        made.append(fresh)
    for make, shape in MODULES[6:8] + MODULES[9:10]:
        passes(make(), normal(*shape, dtype=np.float32))
    for (room, name), kernel in zip(names, made):
        (body,) = kernel.inspect_llvm().values()
        arithmetic = [line for line in body.splitlines()
                      if " double" in line and any(op in line for op in ("fmul", "fadd", "fsub", "fdiv", "fma"))]
        assert not arithmetic, f"{room.__name__}.{name}: {arithmetic[0]}"


# -- tables: {planes, a tensor of the wanted size} ----------------------------------------------------

def test_the_size_reference_may_be_any_tensor():
    module = nnmod.SpatialFullConvolution(2, 3, 3, 3, 2, 2, 1, 1)
    x = normal(2, 2, 4, 5, dtype=np.float32)
    for reference_ in (normal(8, 10), np.ones((1, 1, 7, 9), np.float32), np.ones((2, 8, 9), np.int64)):
        y = module.forward([x, reference_])
        assert y.shape == (2, 3, *reference_.shape[-2:])
        dx, nothing = module.backward([x, reference_], np.ones_like(y))
        assert dx.shape == x.shape
        if reference_.dtype.kind == "f":
            assert nothing.shape == reference_.shape and nothing.dtype == reference_.dtype and not nothing.any()
        else:
            assert nothing is None
    y = module.forward(x)  # and without one again
    assert y.shape == (2, 3, 7, 9) and module.backward(x, np.ones_like(y)).shape == x.shape


@pytest.mark.parametrize("input, error, text", [
    ([np.ones((1, 2, 4, 5), np.float32), np.ones((9, 9))], nnmod.ShapeError,
     "the last 2 dimensions of input[1] give the size of the output, which can be 7..8 x 9..10 for an input of "
     "size (4, 5), got (9, 9)"),
    ([np.ones((1, 2, 4, 5), np.float32), np.ones(7)], nnmod.ShapeError,
     "input[1], whose size the output takes, must be a tensor of 2 dimensions or more, got float64 (7,)"),
    ([np.ones((1, 2, 4, 5), np.float32)], nnmod.ShapeError, "input must be a table of 2 entries, got 1"),
    ([np.ones((1, 4, 5), np.float32), np.ones((7, 9))], nnmod.ShapeError,
     "input[0] must have shape (N, 2, H, W) or (2, H, W), got (1, 4, 5)"),
    (np.ones((1, 2, 1, 0), np.float32), nnmod.ShapeError,
     "an input of size (1, 0) gives an output of size (1, -1): nothing is left of it after the padding is cut off"),
])
def test_wrong_input_of_a_full_convolution(input, error, text):
    module = nnmod.SpatialFullConvolution(2, 3, 3, 3, 2, 2, 1, 1)
    with pytest.raises(error) as caught:
        module.forward(input)
    assert str(caught.value) == text and module.output is None


# -- connection tables ---------------------------------------------------------------------------------

def test_random_tables_deal_the_planes_out():
    nnmod.manualSeed(5)
    table = nnmod.tables.random(7, 10, 3)
    assert table.shape == (30, 2) and table.dtype == np.int64
    np.testing.assert_array_equal(table[:, 1], np.repeat(np.arange(10), 3))
    for o in range(10):
        assert len(set(table[table[:, 1] == o, 0])) == 3 and set(table[:, 0]) <= set(range(7))
    assert not np.array_equal(table, nnmod.tables.random(7, 10, 3))
    nnmod.manualSeed(5)
    np.testing.assert_array_equal(table, nnmod.tables.random(7, 10, 3))
    with pytest.raises(ValueError, match="nto must be at most nin = 2, got 3"):
        nnmod.tables.random(2, 4, 3)


def test_a_table_sets_the_bounds_of_its_windows():
    """An output plane that sees four planes starts with half the weights of one that sees one."""
    table = [(c, 0) for c in range(4)] + [(0, 1)]
    drawn = [nnmod.SpatialConvolutionMap(table, 2, 3) for _ in range(200)]
    weight, bias = (np.abs(np.stack([getattr(m, name) for m in drawn])) for name in ("weight", "bias"))
    for largest, seen in ((weight[:, :4], 4), (bias[:, 0], 4), (weight[:, 4], 1), (bias[:, 1], 1)):
        assert 0.97 / np.sqrt(6 * seen) < largest.max() <= 1 / np.sqrt(6 * seen)


# -- words ------------------------------------------------------------------------------------------------

def test_repr():
    assert repr(nnmod.SpatialConvolutionMM(2, 3, 5, 4, padW=1)) == "SpatialConvolutionMM(2 -> 3, 5x4, 1,1, 1,1)"
    assert repr(nnmod.SpatialDilatedConvolution(2, 3, 5, 4, 2, 1, dilationW=2, dilationH=1)) == (
        "SpatialDilatedConvolution(2 -> 3, 5x4, 2,1, dilation 2,1)")
    assert repr(nnmod.VolumetricConvolution(None, 3, 2, 5, 4, 1, 2, 3, bias=False)) == (
        "VolumetricConvolution(? -> 3, 2x5x4, 1,2,3, no bias)")
    assert repr(nnmod.SpatialFullConvolution(2, 3, 4, 4, 2, 2, 1, 1, 1, 0)) == (
        "SpatialFullConvolution(2 -> 3, 4x4, 2,2, 1,1, adj 1,0)")
    assert repr(nnmod.VolumetricFullConvolution(2, 3, 2, 4, 4, 2, 2, 2)) == (
        "VolumetricFullConvolution(2 -> 3, 2x4x4, 2,2,2)")
    assert repr(nnmod.SpatialDepthWiseConvolution(None, 2, 3, 3)) == "SpatialDepthWiseConvolution(? -> 2, 3x3)"
    assert repr(nnmod.SpatialConvolutionLocal(1, 2, None, None, 3, 2)) == "SpatialConvolutionLocal(1 -> 2, ?x?, 3x2)"
    assert repr(nnmod.TemporalRowConvolution(4, 3, 2, True, False)) == (
        "TemporalRowConvolution(4, 3, 2, no bias, featFirst)")
    assert repr(nnmod.TemporalSubSampling(None, 3)) == "TemporalSubSampling(?, 3)"


@pytest.mark.parametrize("make, text", [
    (lambda: nnmod.SpatialConvolution(4, 6, 3, 3, groups=3),
     "nInputPlane and nOutputPlane must be multiples of groups = 3, got 4 and 6"),
    (lambda: nnmod.SpatialConvolution(4, 6, 3, 3, groups=0), "groups must be an int > 0, got 0"),
    (lambda: nnmod.SpatialDilatedConvolution(1, 1, 3, 3, dilationH=0), "dilationH must be an int > 0, got 0"),
    (lambda: nnmod.VolumetricConvolution(1, 1, 3, 3, 0), "kH must be an int > 0, got 0"),
    (lambda: nnmod.VolumetricConvolution(1, 1, 3, 3, 3, padT=-1), "padT must be an int >= 0, got -1"),
    (lambda: nnmod.SpatialFullConvolution(1, 1, 3, 3, 2, 2, adjW=2), "adjW must be smaller than dW = 2, got 2"),
    (lambda: nnmod.VolumetricFullConvolution(1, 1, 3, 3, 3, adjT=1), "adjT must be smaller than dT = 1, got 1"),
    (lambda: nnmod.TemporalConvolution(3, None, 1), "outputFrameSize must be an int > 0, got None"),
    (lambda: nnmod.TemporalRowConvolution(3, 1, 1, 1), "featFirst must be True or False, got 1"),
    (lambda: nnmod.SpatialDepthWiseConvolution(3, 0, 1, 1), "nOutputPlane must be an int > 0, got 0"),
    (lambda: nnmod.SpatialConvolutionLocal(3, 2, 0, 4, 1, 1), "iW must be an int > 0, got 0"),
    (lambda: nnmod.SpatialConvolutionLocal(3, 2, 2, 4, 3, 1),
     "input of size (4, 2) padded by (0, 0) is smaller than the window (1, 3), dilation (1, 1) (height, width)"),
    (lambda: nnmod.SpatialConvolutionMap([(1.0, 1.0)], 1, 1),
     "conMatrix must be a table of whole numbers (connections, 2), each row an input plane and an output plane, "
     "got float64 (1, 2); see nnmod.tables"),
    (lambda: nnmod.SpatialConvolutionMap([(0, -1)], 1, 1), "conMatrix counts planes from 0, got -1"),
    (lambda: nnmod.SpatialSubSampling(2, 1, 1, bias=1), "bias must be True or False, got 1"),
])
def test_arguments(make, text):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == text


def f32(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize("make, input, text", [
    (lambda: nnmod.SpatialConvolution(None, 4, 1, 1, groups=2), f32(3, 4, 4),
     "the channels of input must be a multiple of groups = 2, got (3, 4, 4)"),
    (lambda: nnmod.VolumetricConvolution(2, 3, 2, 2, 2), f32(1, 2, 1, 4, 4),
     "input of size (1, 4, 4) padded by (0, 0, 0) is smaller than the window (2, 2, 2), dilation (1, 1, 1) "
     "(time, height, width)"),
    (lambda: nnmod.VolumetricConvolution(2, 3, 2, 2, 2), f32(2, 4, 4),
     "input must have shape (N, 2, T, H, W) or (2, T, H, W), got (2, 4, 4)"),
    (lambda: nnmod.TemporalConvolution(3, 2, 4), f32(3, 3),
     "input of size (3,) padded by (0,) is smaller than the window (4,), dilation (1,) (width)"),
    (lambda: nnmod.TemporalRowConvolution(3, 2, featFirst=True), f32(2, 4, 5),
     "input must have shape (N, 3, T) or (3, T), got (2, 4, 5)"),
    (lambda: nnmod.SpatialConvolutionLocal(1, 2, 5, 4, 2, 2), f32(1, 1, 5, 4),
     "input must have shape (N, 1, 4, 5) or (1, 4, 5), got (1, 1, 5, 4)"),
    (lambda: nnmod.SpatialFullConvolutionMap([(0, 0)], 2, 2), f32(1, 0, 3),
     "input must have at least one row and one column, got (1, 0, 3)"),
    (lambda: nnmod.SpatialConvolutionLocal(None, 2, 3, 3, 2, 2), f32(0, 3, 3),
     "input must have at least one channel, got (0, 3, 3)"),
])
def test_wrong_input(make, input, text):
    module = make()
    with pytest.raises(nnmod.ShapeError) as error:
        module.forward(input)
    assert str(error.value) == text and module.output is None
