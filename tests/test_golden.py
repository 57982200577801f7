"""What nnmod computes beside what the real Torch7 computed, case by case.

Inputs, parameters and gradOutputs are Torch's own; outputs, gradients and running
statistics must agree to 1e-10 of the largest element in float64.
"""
import numpy as np
import pytest

import nnmod
from golden_build import INPUTS, TARGETS, build, classes, zero_based
from golden_data import GOLDEN
from nnmod import kernels, nested, optim

#: Where nnmod differs from Torch7 on purpose.
DEVIATIONS = {
    "Dropout__7": "Torch's backward forgets the noise of stochastic inference; nnmod's is the derivative",
    "SpatialMaxPooling__21": "Torch adds a row of windows wholly outside the input, which hold -DBL_MAX; "
                             "nnmod has no such windows",
    **dict.fromkeys((*(f"SpatialUpSamplingBilinear__{n}" for n in (1, 3, 6, 8)), "UpSampling__5"),
                    "Torch computes in float32 where a pixel lies between others, even for float64; "
                    "nnmod's positions are exact, and with Torch's it computes the same"),
}

#: What the constructor refuses already, where Torch waits for the first input.
REFUSED_AT_ONCE = {"SpatialUpSamplingNearest__3": ValueError}


def float32_positions(lows, weights, size, out):
    """nnmod's linear_positions as Torch rounds them."""
    begin = 0
    for n, o in zip(size, out):
        step = np.float32(n - 1) / np.float32(o - 1) if o > 1 else np.float32(0)
        position = step * np.arange(o, dtype=np.float32)
        lows[begin:begin + o] = position
        weights[begin:begin + o] = position - np.floor(position)
        begin += o


def known(kind):
    """The cases of *kind*; those of a class that is still to come are skipped, by name."""
    cases = []
    for name in GOLDEN.names(kind):
        if "new" not in GOLDEN.case(name):
            continue  # a graph: built by hand in the tests of its room
        missing = sorted({c for c in classes(GOLDEN.case(name)["new"]) if not hasattr(nnmod, c)})
        marks = pytest.mark.skip(f"not there yet: {', '.join(missing)}") if missing else ()
        cases.append(pytest.param(name, marks=marks))
    return cases


def assert_close(actual, expected, what, tolerance=1e-10):
    actual, expected = list(nested.leaves(actual)), list(nested.leaves(expected))
    assert len(actual) == len(expected), what
    expected = [np.asarray(b) for b in expected]
    largest = max((np.abs(b[np.isfinite(b)]).max(initial=0) for b in expected), default=0)
    for a, b in zip(actual, expected):
        assert a.shape == b.shape, what
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * largest + np.finfo(a.dtype).tiny,
                                   equal_nan=True, err_msg=what)


@pytest.mark.parametrize("name", known("module"))
@pytest.mark.parametrize("convert, tolerance", [("double", 1e-10), ("float", 1e-5)])
def test_module(name, convert, tolerance, monkeypatch):
    case = GOLDEN.case(name)
    module = getattr(build(case["new"]), convert)()
    module.training() if case["train"] else module.evaluate()
    dtype = np.float64 if convert == "double" else np.float32
    input, gradOutput = (nested.map(lambda x: np.asarray(x).astype(dtype), case[key])
                         for key in ("input", "gradOutput"))
    if case["class"][3:] in INPUTS:
        input = INPUTS[case["class"][3:]](input)
    for param, value in zip(module.parameters()[0], case["params"], strict=True):
        param[...] = value
    for path in case["state_before"]:
        if path.rpartition("/")[2] in ("running_mean", "running_var"):
            state_of(module, path)[...] = case["state_before"][path]
    if "randomSamples" in case["state_after"]:
        drawn = case["state_after"]["randomSamples"]
        monkeypatch.setattr(kernels.of(input), "uniform_samples", lambda samples, *_: np.copyto(samples, drawn))
    if "noise" in case["state_after"]:
        noise = case["state_after"]["noise"]
        monkeypatch.setattr(kernels.of(input), "dropout_mask",
                            lambda mask, *rest: np.copyto(mask, noise, casting="same_kind"))
    if "UpSampling" in name and name in DEVIATIONS:
        exact = module.forward(input).copy()
        assert_close(exact, case["output"], "output, but for float32's rounding", 1e-6)
        with pytest.raises(AssertionError):
            assert_close(exact.astype(np.float64), case["output"], "output")
        monkeypatch.setattr(kernels.of(input), "linear_positions", float32_positions)
    if name == "SpatialMaxPooling__21":
        output = module.forward(input)
        inside = output.shape[2]
        assert_close(output, case["output"][:, :, :inside], "output", tolerance)
        assert (case["output"][:, :, inside:] == -np.finfo(np.float64).max).all()
        gradInput = module.backward(input, np.ascontiguousarray(gradOutput[:, :, :inside]))
        assert_close(gradInput, case["gradInput"], "gradInput", tolerance)
        return
    for _ in range(case["steps"]):
        given = nested.map(np.copy, input) if module.inplace or "input_after" in case else input
        output = nested.map(np.copy, module.forward(given))
        gradInput = module.backward(given, nested.map(np.copy, gradOutput), case["scale"])
    assert_close(output, case["output"], "output", tolerance)
    if name in DEVIATIONS and "noise" in case["state_after"]:
        with pytest.raises(AssertionError):
            assert_close(gradInput, case["gradInput"], "gradInput", tolerance)
        assert_close(gradInput, case["gradOutput"] * noise, "gradInput, the derivative", tolerance)
        return
    assert_close(gradInput, case["gradInput"], "gradInput", tolerance)
    assert_close(module.parameters()[1], case["gradParams"], "gradParams", tolerance)
    for path, value in case["state_after"].items():
        if path.rpartition("/")[2] in ("running_mean", "running_var"):
            assert_close(state_of(module, path), value, path, tolerance)




def state_of(module, path):
    """The tensor at a recorded path: modules/2/running_mean."""
    parts = path.split("/")
    while parts[0] == "modules":
        module = module.modules[int(parts[1]) - 1]
        parts = parts[2:]
    return getattr(module, parts[0])


@pytest.mark.parametrize("name", known("criterion"))
@pytest.mark.parametrize("convert, tolerance", [("double", 1e-10), ("float", 1e-5)])
def test_criterion(name, convert, tolerance):
    case = GOLDEN.case(name)
    criterion = getattr(build(case["new"]), convert)()
    dtype = np.float64 if convert == "double" else np.float32
    input = nested.map(lambda x: np.asarray(x).astype(dtype), case["input"])
    target = TARGETS.get(case["class"][3:], lambda t: nested.map(lambda x: np.asarray(x).astype(dtype), t))(
        case["target"])
    assert criterion.forward(input, target) == pytest.approx(case["output"], rel=tolerance, abs=1e-300)
    assert_close(criterion.backward(input, target), case["gradInput"], "gradInput", tolerance)


@pytest.mark.parametrize("name", known("module_error"))
def test_what_torch_refuses_is_refused(name):
    case = GOLDEN.case(name)
    with pytest.raises(REFUSED_AT_ONCE.get(name, nnmod.ShapeError)):
        build(case["new"]).double().forward(case["input"])


def test_default_initialisation_is_drawn_from_torchs_bounds():
    """Other numbers (Philox, not MT19937), but the same distributions."""
    classes = {"nn.Linear", "nn.SpatialConvolution", "nn.BatchNormalization", "nn.SpatialBatchNormalization"}
    compared = set()
    for record in GOLDEN.case("default_init__1")["inits"]:
        if record["class"] not in classes:
            continue
        compared.add(record["class"])
        cls = getattr(nnmod, record["class"][3:])
        drawn = [cls(*map(int, record["args"])) for _ in range(400)]
        for index, torch in enumerate(record["params"]):
            ours = np.stack([module.parameters()[0][index] for module in drawn])
            # 400 draws of several elements reach within 2 % of the bounds.
            low, high = ours.min(), ours.max()
            assert low <= torch.min() + 0.02 and torch.max() - 0.02 <= high
            assert ours.mean() == pytest.approx((low + high) / 2, abs=0.03)
        for index, torch in enumerate(record.get("params_reset_01") or []):
            ours = np.stack([m.reset(0.1).parameters()[0][index] for m in drawn])
            if np.ptp(torch) and "Batch" not in record["class"]:
                assert ours.std() == pytest.approx(0.1, rel=0.05)
    assert compared == classes


def api_network():
    return nnmod.Sequential(
        nnmod.Linear(3, 4), nnmod.ReLU(), nnmod.ConcatTable(nnmod.Linear(4, 2), nnmod.Identity()),
        nnmod.ParallelTable(nnmod.Tanh(), nnmod.Linear(4, 2)), nnmod.CAddTable()).double()


def test_walking_and_flat_parameters():
    case = GOLDEN.case("module_api__1")
    net = api_network()
    visited = []
    net.apply(lambda m: visited.append("nn." + type(m).__name__))
    assert visited == case["apply_order"]
    assert ["nn." + type(m).__name__ for m in net.listModules()] == case["listModules"]
    containers = net.findModules(nnmod.Linear)[1]
    assert ["nn." + type(c).__name__ for c in containers] == case["findModules_Linear_containers"]

    flat, gradFlat = net.getParameters()
    assert flat.size == case["nparams"]
    flat[...] = case["flat_params"]
    net.zeroGradParameters()
    assert_close(net.forward(case["input"]), case["output"], "output")
    net.backward(case["input"], case["gradOutput"])
    net.updateParameters(0.1)
    assert_close(flat, case["flat_after_updateParameters"], "flat parameters after a step")


def test_shared_modules_learn_once():
    case = GOLDEN.case("module_api__1")["shared"]
    first = nnmod.Linear(3, 3).double()
    second = first.clone("weight", "bias", "gradWeight", "gradBias")
    net = nnmod.Sequential(first, second)
    flat, gradFlat = net.getParameters()
    assert flat.size == case["n"]
    assert first.weight is second.weight
    flat[...] = case["flat"]
    output = net.forward(case["input"])
    assert_close(output, case["output"], "output")
    net.backward(case["input"], output.copy())
    assert_close(gradFlat, case["flat_grad"], "flat gradient")


def test_direct_update():
    case = GOLDEN.case("module_api__1")["accUpdate"]
    module = nnmod.Linear(3, 2).double()
    module.weight[...], module.bias[...] = case["w0"], case["b0"]
    module.gradWeight.fill(3)
    module.forward(case["input"])
    module.accUpdateGradParameters(case["input"], case["gradOutput"], case["lr"])
    assert_close([module.weight, module.bias], [case["w1"], case["b1"]], "parameters")
    assert (module.gradWeight == 3).all()


NETWORKS = {
    "train_mlp__1": lambda: nnmod.Sequential(
        nnmod.Linear(6, 8), nnmod.BatchNormalization(8), nnmod.ReLU(), nnmod.Linear(8, 3),
        nnmod.LogSoftMax()),
    "train_cnn__1": lambda: nnmod.Sequential(
        nnmod.SpatialConvolution(1, 3, 3, 3, 1, 1, 1, 1), nnmod.SpatialBatchNormalization(3), nnmod.ReLU(),
        nnmod.SpatialMaxPooling(2, 2), nnmod.SpatialConvolution(3, 4, 3, 3), nnmod.Tanh(),
        nnmod.SpatialAveragePooling(2, 2), nnmod.View(-1, numInputDims=3), nnmod.Linear(4, 3)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_training_takes_torchs_path(name):
    """Losses of every step, parameters, running statistics and the evaluated output."""
    case = GOLDEN.case(name)
    net = NETWORKS[name]().double()
    criterion = getattr(nnmod, case["crit"][3:])().double()
    flat, gradFlat = net.getParameters()
    flat[...] = case["flat_params_before"]
    target = zero_based(case["Y"])
    config, losses = dict(case["config"]), []

    def evaluate(_):
        gradFlat.fill(0)
        loss = criterion.forward(net.forward(case["X"]), target)
        net.backward(case["X"], criterion.backward(net.output, target))
        return loss, gradFlat

    for _ in case["losses"]:
        losses.append(optim.sgd(evaluate, flat, config)[1][0])
    np.testing.assert_allclose(losses, case["losses"], rtol=1e-10)
    assert_close(flat, case["flat_params_after"], "parameters")
    for path, value in case["state_after"].items():
        assert_close(state_of(net, path), value, path)
    assert_close(net.evaluate().forward(case["X"]), case["output_eval"], "evaluated output")
