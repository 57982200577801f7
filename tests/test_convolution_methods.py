"""The methods of convolution: random calls at every width of vectors, the choice, Winograd's bounds, threads."""
import os
import subprocess
import sys

import numpy as np
import pytest

import nnmod
from nnmod import kernels
from nnmod.kernels import reference

pytest.importorskip("numba")

import convolution_draws
from nnmod.kernels import cpu
from nnmod.kernels.cpu import threads
from nnmod.kernels.cpu.simd import VECTOR_BITS

PLAIN = (1, 1), (1, 1)


@pytest.fixture(autouse=True)
def method_by_shape():
    with kernels.use_backend(cpu):
        yield
        kernels.setconv2dmethod(None)


def run_python(code, **environment):
    here = os.path.dirname(__file__)
    paths = [here, os.path.dirname(here), os.environ.get("PYTHONPATH")]
    environment = {"NNMOD_QUIET": "1", "NNMOD_KERNELS": "cpu", "PYTHONPATH": os.pathsep.join(filter(None, paths))
                   } | environment
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=os.environ | environment,
                          capture_output=True, text=True)


# -- right results ------------------------------------------------------------------------------

def test_random_calls():
    done, errors = convolution_draws.run(seed=0, count=1000)
    assert done == 1000 and not errors, "\n".join(errors)


@pytest.mark.parametrize("bits", [bits for bits in (128, 256, 512) if bits != VECTOR_BITS])
def test_random_calls_at_another_width(bits):
    result = run_python("import convolution_draws, sys; from nnmod.kernels.cpu.simd import VECTOR_BITS; "
                        f"assert VECTOR_BITS == {bits}; done, errors = convolution_draws.run(seed={bits}, count=100); "
                        "sys.exit('\\n'.join(errors) or None)", NNMOD_VECTOR_BITS=str(bits))
    assert result.returncode == 0, result.stderr


def tensors(x_shape, planes, kernel, pad=(1, 1), dtype=np.float32):
    """x, w, b, dy."""
    rng = np.random.default_rng(0)
    size = [n + 2 * p - kernel + 1 for n, p in zip(x_shape[2:], pad)]
    shapes = x_shape, (planes, x_shape[1], kernel, kernel), (planes,), (x_shape[0], planes, *size)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


def verbs(backend, x, w, b, dy, numbers):
    """y, dx, dw, db."""
    y, dx, dw, db = np.full_like(dy, np.nan), np.full_like(x, np.nan), np.zeros_like(w), np.zeros_like(b)
    backend.conv2d_update_output(x, w, b, y, *numbers)
    backend.conv2d_update_grad_input(dy, w, dx, *numbers)
    backend.conv2d_acc_grad_parameters(x, dy, dw, db, *numbers)
    return y, dx, dw, db


@pytest.mark.parametrize("planes, out, size", [(8, 8, 6), (64, 64, 32), (256, 128, 8), (512, 512, 4), (24, 40, 17)])
@pytest.mark.parametrize("kernel, pad", [(3, 1), (5, 2), (5, 0)])
@pytest.mark.parametrize("shift", [0.0, 3.0])
def test_winograd_rounds_within_its_bound(planes, out, size, kernel, pad, shift):
    """Against float64: within 2e-5 of the largest element, with means far from zero too."""
    if size < kernel:
        pad = kernel // 2
    kernels.setconv2dmethod("winograd")
    given = [a + np.float32(shift) for a in tensors((2, planes, size, size), out, kernel, (pad, pad))]
    numbers = (1, 1), (pad, pad)
    expected = verbs(reference, *[a.astype(np.float64) for a in given], numbers)
    for found, right in zip(verbs(cpu, *given, numbers), expected):
        assert np.abs(found - right).max() <= 2e-5 * np.abs(right).max()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_winograd_spreads_what_is_not_finite_over_its_tiles(value):
    """It reaches all windows that see it, and perhaps others, but none outside the tiles whose patches hold it."""
    kernels.setconv2dmethod("winograd")
    x, w, b, dy = tensors((2, 9, 14, 13), 10, 3)
    clean = verbs(cpu, x, w, b, dy, PLAIN)[0]
    x[1, 3, 6, 8] = value
    y = verbs(cpu, x, w, b, dy, PLAIN)[0]
    assert not np.isfinite(y[1, :, 5:8, 7:10]).any()
    tiles = np.zeros(y.shape, bool)
    tiles[1, :, 4:8, 4:12] = True  # patches of tile rows 1 (rows 3 to 8), and of tile columns 1 and 2
    found = y[tiles]
    np.testing.assert_allclose(found[np.isfinite(found)], clean[tiles][np.isfinite(found)], atol=1e-3)
    np.testing.assert_array_equal(y[~tiles], clean[~tiles])


def test_winograd_of_a_kernel_of_5_spreads_what_is_not_finite_over_its_tiles():
    kernels.setconv2dmethod("winograd")
    x, w, b, dy = tensors((2, 9, 18, 17), 10, 5, (0, 0))
    numbers = (1, 1), (0, 0)
    clean = verbs(cpu, x, w, b, dy, numbers)
    x[1, 3, 6, 9], dy[0, 2, 5, 6] = np.nan, np.inf
    y, dx, dw, db = verbs(cpu, x, w, b, dy, numbers)
    assert np.isnan(y[1, :, 2:7, 5:10]).all()
    tiles = np.zeros(y.shape, bool)
    tiles[1, :, 0:8, 4:12] = True  # patches of tile rows 0 and 1 (rows 0 to 11), and of tile columns 1 and 2
    np.testing.assert_array_equal(y[~tiles], clean[0][~tiles])
    assert not np.isfinite(dx[0, :, 5:10, 6:11]).any()
    patch = np.zeros(dx.shape, bool)
    patch[0, :, 4:12, 4:12] = True  # that of the tile of dy: its gradients are added where it lies
    np.testing.assert_array_equal(dx[~patch], clean[1][~patch])
    assert not np.isfinite(dw).any(axis=(2, 3))[2].any() and np.isfinite(dw[:2][:, :3]).all()
    assert np.isposinf(db[2]) and np.isfinite(np.delete(db, 2)).all()


def test_a_nan_reaches_the_gradients():
    for method in ("winograd", "im2col"):
        kernels.setconv2dmethod(method)
        x, w, b, dy = tensors((2, 9, 14, 13), 10, 3)
        dy[1, 2, 6, 8] = np.nan
        _, dx, dw, db = verbs(cpu, x, w, b, dy, PLAIN)
        assert np.isnan(dx[1, :, 5:8, 7:10]).all() and not np.isnan(dx[0]).any()
        assert np.isnan(dw[2]).all() and not np.isnan(np.delete(dw, 2, 0)).any()
        assert np.isnan(db[2]) and not np.isnan(np.delete(db, 2)).any()


# -- threads ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("method, shape, planes, kernel, pad, groups", [
    ("winograd", (5, 20, 9, 11), 70, 3, (1, 1), 1), ("winograd", (1, 9, 30, 6), 8, 3, (0, 0), 1),
    ("winograd", (7, 20, 12, 12), 50, 5, (0, 0), 1), ("winograd", (3, 18, 26, 30), 21, 5, (2, 2), 1),
    ("im2col", (3, 9, 10, 10), 40, 5, (2, 2), 1), ("im2col", (1, 3, 24, 24), 20, 5, (0, 0), 1),
    ("1x1", (1, 40, 30, 30), 70, 1, (0, 0), 1), ("1x1", (3, 70, 5, 5), 20, 1, (0, 0), 1),
    ("im2col", (1, 40, 4, 4), 50, 3, (1, 1), 1), ("im2col", (2, 40, 5, 4), 50, 3, (1, 1), 2),
    ("depthwise", (3, 7, 12, 9), 14, 3, (1, 1), 7)])
def test_the_number_of_threads_changes_no_bit(method, shape, planes, kernel, pad, groups, monkeypatch):
    monkeypatch.setattr(threads, "FLOPS_PER_THREAD", 1)
    kernels.setconv2dmethod(method)
    numbers = (1, 1), pad, (1, 1), groups
    x, w, b, dy = tensors(shape, planes, kernel, pad)
    w = np.ascontiguousarray(w[:, :shape[1] // groups])
    assert cpu.conv2d_method(x.shape, w.shape, dy.shape, *numbers) == method
    before, found = threads.get_num_threads(), set()
    try:
        for count in (1, 2, 3, 7):
            threads.set_num_threads(count)
            found.add(b"".join(result.tobytes() for result in verbs(cpu, x, w, b, dy, numbers)))
    finally:
        threads.set_num_threads(before)
    assert len(found) == 1


@pytest.mark.parametrize("method, shape, planes, kernel, stride, pad, groups", [
    ("winograd", (1, 20, 32, 24), 36, 3, 1, 1, 1), ("winograd", (1, 40, 9, 8), 70, 3, 1, 1, 1),
    ("im2col", (1, 40, 4, 4), 50, 3, 1, 1, 1), ("im2col", (2, 40, 9, 9), 50, 3, 2, 1, 2),
    ("winograd", (1, 20, 12, 17), 50, 5, 1, 2, 1), ("1x1", (1, 40, 9, 8), 90, 1, 2, 0, 1),
    ("1x1", (1, 40, 6, 6), 90, 1, 2, 0, 2), ("1x1", (1, 64, 2, 2), 90, 1, 1, 0, 1)])
def test_nor_does_it_of_one_image_in_evaluation(method, shape, planes, kernel, stride, pad, groups, monkeypatch):
    """Rows, panels, and groups of tiles are divided; bias, normalisation and rectifier are each thread's share."""
    monkeypatch.setattr(threads, "FLOPS_PER_THREAD", 1)
    kernels.setconv2dmethod(method)
    size = [(n + 2 * pad - kernel) // stride + 1 for n in shape[2:]]
    rng = np.random.default_rng(8)
    x, w, b, norm = (rng.standard_normal(s).astype(np.float32) for s in (
        shape, (planes, shape[1] // groups, kernel, kernel), planes, (3, planes)))
    numbers = (stride, stride), (pad, pad), (1, 1), groups
    wanted, y = np.empty((shape[0], planes, *size), np.float64), np.empty((shape[0], planes, *size), np.float32)
    reference.conv2d_fused_update_output(*(v.astype(np.float64) for v in (x, w, b, norm)), wanted, None, *numbers, 1)
    kept = cpu.conv2d_kept_size(x.shape, w.shape, y.shape, *numbers)
    before, found = threads.get_num_threads(), set()
    try:
        for count in (1, 2, 3, 7, 40):
            threads.set_num_threads(count)
            for memory in (None, np.zeros(kept, np.uint8)) if kept else (None,):
                y.fill(np.nan)
                cpu.conv2d_fused_update_output(x, w, b, norm, y, memory, *numbers, 1)
                found.add(y.tobytes())
    finally:
        threads.set_num_threads(before)
    assert len(found) == 1 and np.abs(y - wanted).max() < 2e-5 * np.abs(wanted).max()


def test_a_steady_state_allocates_nothing():
    for method in ("winograd", "im2col"):
        kernels.setconv2dmethod(method)
        given = tensors((4, 32, 20, 20), 48, 3)
        verbs(cpu, *given, PLAIN)
        memory = threads.workspace(1)
        verbs(cpu, *given, PLAIN)
        assert threads.workspace(1) is memory and memory.size > 1


# -- the choice ------------------------------------------------------------------------------------------

def choice(x_shape, planes, kernel, stride=1, pad=0, dilation=1, groups=1, dtype="float32"):
    size = [(n + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1 for n in x_shape[2:]]
    return cpu.conv2d_method(x_shape, (planes, x_shape[1] // groups, kernel, kernel), (x_shape[0], planes, *size),
                             (stride, stride), (pad, pad), (dilation, dilation), groups, dtype)


def test_the_choice_by_shape():
    assert choice((32, 64, 32, 32), 64, 3, pad=1) == "winograd"
    assert choice((32, 64, 32, 32), 64, 3, pad=1, dtype=np.float64) == "im2col"
    assert choice((32, 3, 32, 32), 64, 3, pad=1) == "im2col"
    assert choice((32, 64, 32, 32), 64, 3, 2, 1) == "im2col"
    assert choice((32, 64, 32, 32), 64, 3, pad=2, dilation=2) == "im2col"
    assert choice((32, 64, 32, 32), 64, 3, pad=3) == "im2col"
    assert choice((64, 20, 12, 12), 50, 5) == choice((16, 64, 27, 27), 192, 5, pad=2) == "winograd"
    assert choice((64, 1, 28, 28), 20, 5) == choice((64, 20, 12, 12), 50, 5, 2) == "im2col"
    assert choice((64, 20, 12, 12), 50, 5, pad=5) == choice((64, 20, 12, 12), 50, 7) == "im2col"
    assert choice((1, 256, 4, 4), 256, 3, pad=1) == "im2col"  # turning the kernels would cost more
    assert choice((32, 64, 32, 32), 64, 1) == choice((32, 64, 32, 32), 64, 1, 2) == "1x1"
    assert choice((32, 64, 32, 32), 64, 1, pad=1) == "im2col"
    assert choice((32, 64, 32, 32), 64, 3, pad=1, groups=64) == "depthwise"
    assert choice((32, 64, 32, 32), 64, 3, pad=1, groups=8) == "im2col"


def test_the_choice_can_be_overruled():
    assert kernels.getconv2dmethod() is None
    kernels.setconv2dmethod("im2col")
    assert kernels.getconv2dmethod() == "im2col"
    for case in ((64, 3, 1, 1), (64, 1, 1, 0)):
        assert choice((32, 64, 32, 32), *case) == "im2col"
    kernels.setconv2dmethod("winograd")
    assert choice((1, 1, 3, 3), 1, 3) == "winograd"
    assert choice((32, 64, 32, 32), 64, 1) == "1x1"  # which Winograd's is not able to compute
    x, w, b, dy = tensors((2, 16, 8, 8), 16, 3)
    tiled = verbs(cpu, x, w, b, dy, PLAIN)[0]
    kernels.setconv2dmethod("im2col")
    plain = verbs(cpu, x, w, b, dy, PLAIN)[0]
    assert not np.array_equal(tiled, plain) and np.allclose(tiled, plain, atol=1e-4)


def test_a_wrong_method():
    with pytest.raises(ValueError) as caught:
        kernels.setconv2dmethod("fft")
    assert str(caught.value) == "the method must be None, 'im2col', '1x1', 'depthwise' or 'winograd', got 'fft'"


def test_the_reference_knows_one_method():
    with kernels.use_backend(reference):
        kernels.setconv2dmethod("winograd")
        assert kernels.getconv2dmethod() is None
    assert reference.conv2d_method((1, 8, 9, 9), (8, 8, 3, 3), (1, 8, 7, 7), (1, 1), (0, 0)) == "im2col"


def test_winograd_can_be_forbidden():
    code = ("from nnmod.kernels import cpu\n"
            "print(cpu.conv2d_method((32, 64, 32, 32), (64, 64, 3, 3), (32, 64, 30, 30), (1, 1), (0, 0)))")
    assert run_python(code, NNMOD_WINOGRAD="0").stdout == "im2col\n"
    assert run_python(code).stdout == "winograd\n"


def test_a_strided_weight_is_refused():
    """The kernels take addresses: what they are given lies without gaps."""
    module = nnmod.SpatialConvolution(9, 10, 3, 3)
    module.weight = np.zeros((10, 9, 3, 6), np.float32)[..., ::2]
    with pytest.raises(ValueError, match="weight must be C-contiguous and writable"):
        module.forward(np.ones((2, 9, 8, 8), np.float32))


def test_a_second_process_compiles_nothing(tmp_path):
    code = ("import numba.core.compiler as C, numpy as np\n"
            "made = []; real = C.compile_extra\n"
            "C.compile_extra = lambda *a, **k: (made.append(a[2].__name__), real(*a, **k))[1]\n"
            "import nnmod\n"
            "for net in (nnmod.SpatialConvolution(8, 16, 3, 3, padW=1), nnmod.SpatialConvolution(3, 4, 5, 5)):\n"
            "    x = np.ones((8, net.nInputPlane, 12, 12), np.float32)\n"
            "    net.backward(x, net.forward(x).copy())\n"
            "print(len(made))")
    made = [int(run_python(code, NNMOD_CACHE_DIR=str(tmp_path)).stdout) for _ in range(2)]
    assert made[0] > 0 and made[1] == 0


def test_a_module_trains_with_either_method():
    """The same losses, nearly, from the same start."""
    losses = {}
    for method in (None, "im2col"):
        kernels.setconv2dmethod(method)
        nnmod.manualSeed(2)
        net = nnmod.Sequential(nnmod.SpatialConvolution(8, 16, 3, 3, padW=1), nnmod.ReLU(),
                               nnmod.View(-1, numInputDims=3), nnmod.Linear(16 * 64, 5))
        criterion = nnmod.CrossEntropyCriterion()
        x = np.random.default_rng(0).standard_normal((8, 8, 8, 8)).astype(np.float32)
        losses[method] = []
        for _ in range(10):
            net.zeroGradParameters()
            losses[method].append(criterion.forward(net.forward(x), np.arange(8) % 5))
            net.backward(x, criterion.backward(net.output, np.arange(8) % 5))
            net.updateParameters(0.05)
    np.testing.assert_allclose(losses[None], losses["im2col"], rtol=1e-3)
    assert losses[None][-1] < 0.7 * losses[None][0]
