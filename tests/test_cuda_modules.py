"""Every case of the table on tensors of the CUDA device, emulated here, beside the CPU; and LeNet trained on it.

The modules make the calls, so each kernel gets the shapes, options and optional tensors that it
will meet.  Of each kernel that was launched the PTX is read: no float64 in a kernel of float32.
"""
import os
import re
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
os.environ.setdefault("NNMOD_CUDA", "emulate")

import cuda_table
import nnmod
from benchmarks import gpu, harness
from cases import CASES, CRITERION_CASES
from nnmod import kernels, nested, optim, random, tensor, testing
from nnmod.kernels import reference
from nnmod.kernels.cuda import target
from nnmod.kernels.cuda.emulator import launch
from nnmod.kernels.cuda.engine import engine

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}

# Both dtypes: they take other kernels of the same source.
RUNS = [(case, dtype) for case in CASES for dtype in TOLERANCE]
CRITERION_RUNS = [(case, dtype) for case in CRITERION_CASES for dtype in TOLERANCE]

_read = set()


@pytest.fixture(autouse=True)
def stays_in_float32(request):
    """Of the kernels of nnmod and of the test's own file, those of float32 hold no instruction of float64.

    Those that sum up in float64 on purpose say why, with compile.wide, or write float64 tensors.
    """
    yield
    launched = sys.modules[launch.__module__]._kernels
    for key in launched.keys() - _read:
        function, kinds, capability, fastmath = key
        names, owner = " ".join(map(str, kinds)), function.__module__ or ""
        if not owner.startswith("nnmod") and owner != request.module.__name__:
            continue  # the kernels of other tests may do what they like
        _read.add(key)
        if "array(float32" not in names or "array(float64" in names or getattr(function, "wide", ""):
            continue
        wide = re.findall(r"^.*[a-z]\S*\.f64.*$",
                          target.ptx(function, kinds, capability, fastmath, getattr(function, "launch_bounds", None)),
                          re.MULTILINE)
        assert not wide, f"{function.__module__}.{function.__name__}({names}) computes in float64: {wide[:3]}"


def name_of(run):
    return f"{run[0].id}-{run[1]}"


def cast(value, dtype):
    return nested.map(lambda x: x.astype(dtype) if tensor.is_tensor(x) and x.dtype.kind == "f" else x, value)


def place(value, device):
    """A copy of *value*, its tensors on the device where that is asked for."""
    return nested.map(lambda x: (tensor.cuda(x) if device else x.copy()) if tensor.is_tensor(x) else x, value)


def on_host(value):
    return nested.map(lambda x: np.array(tensor.host(x)) if tensor.is_tensor(x) else x, value)


def run(module, input, device, gradOutput=None):
    """Output, gradInput, the gradients and the state of a pass; and the gradOutput that it took."""
    random.set_state((7, 0))
    given = place(input, device)
    output = module.forward(given)
    kept = on_host(output)
    for y in nested.leaves(output):
        assert not tensor.is_tensor(y) or tensor.is_on_device(y) == device, "the output is on the other device"
    if gradOutput is None:
        rng = np.random.default_rng(5)
        gradOutput = nested.map(
            lambda y: None if y is None else rng.standard_normal(y.shape).astype(y.dtype) if y.dtype.kind == "f"
            else np.zeros_like(y), kept)
    module.zeroGradParameters()
    gradInput = module.backward(given, place(gradOutput, device), 1.5)
    state = [getattr(m, name) for m in module.listModules() for name in m.stateNames
             if getattr(m, name, None) is not None]
    return [kept, *map(on_host, (gradInput, module.parameters()[1], state))], gradOutput


def compare(actual, expected, tolerance, what):
    actual, expected = list(nested.leaves(actual)), list(nested.leaves(expected))
    assert len(actual) == len(expected), what
    for a, b in zip(actual, expected):
        if a is None or b is None:
            assert a is b, what
            continue
        assert a.shape == b.shape and a.dtype == b.dtype, f"{what}: {tensor.describe(a)} and {tensor.describe(b)}"
        scale = max(1.0, float(np.max(np.abs(b), initial=0))) if b.dtype.kind == "f" else 0
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale, err_msg=what)


@pytest.mark.parametrize("case, dtype", RUNS, ids=[name_of(run) for run in RUNS])
def test_module(case, dtype):
    with kernels.use_backend(reference):  # the CPU's side needs no compiler
        module, input = case.make(), case.input()
        if any(not m.sizesKnown for m in module.listModules()):
            module.forward(cast(place(input, False), "float32"))  # sizes that were left out
            module.clearState()
        input = cast(input, dtype)
        module.type(dtype)
        on_device = module.clone()
        expected, gradOutput = run(module, input, False)
        actual, _ = run(on_device.cuda(), input, True, gradOutput)
        for what, a, b in zip(("output", "gradInput", "gradients", "state"), actual, expected):
            compare(a, b, TOLERANCE[dtype], what)


@pytest.mark.parametrize("case", [case for case in CASES if "Kmeans" not in case.id], ids=lambda case: case.id)
def test_module_without_rows(case):
    """An empty batch is worked on, or refused, as on the CPU."""
    with kernels.use_backend(reference), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of NumPy, about the mean of nothing
        module, input = case.make(), case.input()
        if any(not m.sizesKnown for m in module.listModules()):
            module.forward(cast(place(input, False), "float32"))
            module.clearState()
        input = nested.map(lambda x: x[:0] if tensor.is_tensor(x) and x.ndim else x, cast(input, "float32"))
        on_device = module.clone()
        try:
            expected, gradOutput = run(module, input, False)
        except Exception as error:
            with pytest.raises(type(error)):
                run(on_device.cuda(), input, True)
            return
        actual, _ = run(on_device.cuda(), input, True, gradOutput)
        for what, a, b in zip(("output", "gradInput", "gradients", "state"), actual, expected):
            compare(a, b, TOLERANCE["float32"], what)


@pytest.mark.parametrize("case, dtype", CRITERION_RUNS, ids=[name_of(run) for run in CRITERION_RUNS])
def test_criterion(case, dtype):
    with kernels.use_backend(reference):
        criterion = case.make().type(dtype)
        input, target = cast(list(case.arguments()), dtype)
        on_device = criterion.clone()
        random.set_state((7, 0))
        loss = criterion.forward(input, target)
        gradient = on_host(criterion.backward(input, target))
        on_device.cuda()
        random.set_state((7, 0))
        given, wanted = place([input, target], True)
        actual = on_device.forward(given, wanted)
        assert type(actual) is float
        np.testing.assert_allclose(actual, loss, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])
        compare(on_host(on_device.backward(given, wanted)), gradient, TOLERANCE[dtype], "gradInput")


def test_the_table_of_the_documentation_is_fresh():
    assert cuda_table.PAGE.read_text() == cuda_table.text(), "run python tests/cuda_table.py"
    with_cases = {type(m).__name__ for case in (*CASES, *CRITERION_CASES) for m in case.make()._everything()}
    assert set(cuda_table.classes()) <= with_cases, "a class without a case says yes for nothing"


@pytest.mark.parametrize("check", testing.MODULE_CHECKS, ids=lambda check: check.__name__[6:])
@pytest.mark.parametrize("make, shape", [
    (lambda: nnmod.Linear(4, 3), (3, 4)),
    (lambda: nnmod.Sequential(nnmod.BatchNormalization(4), nnmod.Dropout(0.5), nnmod.Tanh()), (3, 4)),
], ids=["Linear", "Sequential"])
def test_checks_of_a_module_on_the_device(make, shape, check):
    with kernels.use_backend(reference):
        check(lambda: make().cuda(), np.random.default_rng(4).standard_normal(shape))


@pytest.mark.parametrize("check", testing.CRITERION_CHECKS, ids=lambda check: check.__name__[16:])
def test_checks_of_a_loss_on_the_device(check):
    with kernels.use_backend(reference):
        check(lambda: nnmod.ClassNLLCriterion().cuda(), np.random.default_rng(4).standard_normal((3, 4)),
              np.array([0, 3, 1]))


# -- training -------------------------------------------------------------------------------------------

def lenet():
    nnmod.manualSeed(11)
    return nnmod.Sequential(
        nnmod.SpatialConvolution(1, 4, 5, 5), nnmod.Tanh(), nnmod.SpatialMaxPooling(2, 2),
        nnmod.SpatialConvolution(4, 8, 5, 5), nnmod.ReLU(), nnmod.SpatialMaxPooling(2, 2),
        nnmod.View(8 * 4 * 4, numInputDims=3), nnmod.Linear(128, 32), nnmod.Dropout(0.25), nnmod.Tanh(),
        nnmod.Linear(32, 10), nnmod.LogSoftMax())


def train(device, steps=20, batch=8):
    """The losses of the first steps, with momentum, on images that have something to learn."""
    rng = np.random.default_rng(2)
    net, criterion = lenet(), nnmod.ClassNLLCriterion()
    if device:
        net.cuda()
        criterion.cuda()
    classes = rng.standard_normal((10, 1, 28, 28)).astype(np.float32)
    params, grads = net.getParameters()
    losses, config = [], {"learningRate": 0.05, "momentum": 0.9, "dampening": 0.0}
    for _ in range(steps):
        target = rng.integers(0, 10, batch)
        images = classes[target] + rng.standard_normal((batch, 1, 28, 28)).astype(np.float32)
        x, t = place([images, target], device)

        def loss(_):
            net.zeroGradParameters()
            f = criterion.forward(net.forward(x), t)
            net.backward(x, criterion.backward(net.output, t))
            return f, grads

        losses.append(optim.sgd(loss, params, config)[1][0])
    return losses, tensor.host(params)


def test_lenet_trains_as_on_the_cpu():
    with kernels.use_backend(reference):
        expected, cpu = train(False)
        losses, params = train(True)
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(params, cpu, rtol=1e-3, atol=1e-4)
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_the_benchmark_for_a_gpu_computes_what_the_cpu_does(capsys):
    """At small sizes, and without a time: it is the emulator that ran."""
    assert not list(gpu.rows(harness.Run(seconds=0, tiny=True)))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(gpu.PRODUCTS) + len(gpu.CONVOLUTIONS) + 1
    assert all(line.endswith(": equal to the CPU's, in the emulator") for line in lines)


def test_a_training_step_allocates_nothing():
    with kernels.use_backend(reference):
        net, criterion = lenet().cuda(), nnmod.ClassNLLCriterion().cuda()
        reserved = []
        x = tensor.cuda(np.zeros((2, 1, 28, 28), np.float32))
        t = tensor.cuda(np.array([1, 2]))
        for _ in range(3):
            before = tensor.allocations
            net.zeroGradParameters()
            criterion.forward(net.forward(x), t)
            net.backward(x, criterion.backward(net.output, t))
            net.updateParameters(0.1)
            reserved.append(engine().allocator.reserved)
    assert tensor.allocations == before and reserved[1] == reserved[2], "each step takes memory from the device"
