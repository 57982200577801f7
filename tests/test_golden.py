"""What nnmod computes beside what the real Torch7 computed, case by case.

Inputs, parameters and gradOutputs are Torch's own; outputs, gradients and running
statistics must agree to 1e-10 of the largest element in float64.
"""
import numpy as np
import pytest

import nnmod
from golden_build import GRAD_INPUTS, GRADIENTS, INPUTS, OUTPUTS, TARGETS, build, classes, zero_based
from golden_data import GOLDEN
from nnmod import kernels, nested, optim

#: Where nnmod differs from Torch7 on purpose.
DEVIATIONS = {
    "LayerNormalization__1": "in a batch Torch subtracts means of other rows: see test_layer_normalization",
    "SpatialCrossMapLRN__7": "Torch's Lua fails where size is 1; nnmod computes it",
    "Abs__5": "Torch's derivative of |NaN| is -1; here NaN stays NaN",
    "Container__1": "Torch's base class returns an empty tensor; nnmod's says what a subclass must define",
    "Dropout__7": "Torch's backward forgets the noise of stochastic inference; nnmod's is the derivative",
    "SpatialMaxPooling__21": "Torch adds a row of windows wholly outside the input, which hold -DBL_MAX; "
                             "nnmod has no such windows",
    "SoftMarginCriterion__3": "Torch's exp overflows at a score of 800: the loss is inf, a gradient NaN; nnmod's "
                              "are 225 and 1/4",
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
    # What has no gradient (indices, a target) is None here; Torch has zeros there, or nothing.
    without = [index for index, a in enumerate(actual) if a is None]
    assert not any(np.any(expected[index]) for index in without if index < len(expected)), what
    actual, expected = ([a for index, a in enumerate(values) if index not in without]
                        for values in (actual, expected))
    assert len(actual) == len(expected), what
    expected = [np.asarray(b) for b in expected]
    largest = max((np.abs(b[np.isfinite(b)]).max(initial=0) for b in expected), default=0)
    for a, b in zip(actual, expected):
        a = np.asarray(a)
        assert a.shape == b.shape, what
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * largest + np.finfo(a.dtype).tiny,
                                   equal_nan=True, err_msg=what)


@pytest.mark.parametrize("name", known("module"))
@pytest.mark.parametrize("convert, tolerance", [("double", 1e-10), ("float", 1e-5)])
def test_module(name, convert, tolerance, monkeypatch):
    case = GOLDEN.case(name)
    module = getattr(build(case["new"]), convert)()
    module.training() if case["train"] else module.evaluate()
    for param, value in zip(module.parameters()[0], case["params"], strict=True):
        param[...] = value
    for path in case["state_before"]:
        if path.rpartition("/")[2] in ("running_mean", "running_var"):
            state_of(module, path)[...] = case["state_before"][path]
    check_module(name, case, module, convert, tolerance, monkeypatch)


def check_module(name, case, module, convert, tolerance, monkeypatch):
    """Run *module*, which has the parameters of *case*, and compare all that Torch recorded."""
    dtype = np.float64 if convert == "double" else np.float32
    input, gradOutput = (nested.map(lambda x: None if x is None else np.asarray(x).astype(dtype), case.get(key))
                         for key in ("input", "gradOutput"))
    if case["class"][3:] in INPUTS:
        input = INPUTS[case["class"][3:]](input)
    if "randomSamples" in case["state_after"]:
        drawn = case["state_after"]["randomSamples"]
        monkeypatch.setattr(kernels.of(input), "uniform_noise", lambda samples, *_: np.copyto(samples, drawn))
    if "noise" in case["state_after"]:
        noise = case["state_after"]["noise"]
        for name_of_noise in ("dropout_mask", "uniform_noise", "normal_noise"):
            monkeypatch.setattr(kernels.of(input), name_of_noise,
                                lambda mask, *rest: np.copyto(mask.reshape(-1), noise.ravel(), casting="same_kind"))
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
    if name == "Container__1":
        with pytest.raises(NotImplementedError, match="must define updateOutput"):
            module.forward(input)
        return
    if name == "LayerNormalization__1":
        return
    if gradOutput is None:  # Torch's backward raises
        assert_close(module.forward(input), case["output"], "output", tolerance)
        return
    if name == "Abs__5":
        assert_close(module.forward(input), case["output"], "output", tolerance)
        gradInput = module.backward(input, gradOutput)
        assert np.isnan(gradInput[0])
        assert_close(gradInput[1:], case["gradInput"][1:], "gradInput", tolerance)
        return
    for _ in range(case["steps"]):
        given = nested.map(np.copy, input) if module.inplace or "input_after" in case else input
        output = nested.map(np.copy, module.forward(given))
        gradInput = module.backward(given, nested.map(np.copy, gradOutput), case["scale"])
    if case["class"][3:] in OUTPUTS:
        case["output"] = OUTPUTS[case["class"][3:]](case["output"])
    assert_close(output, case["output"], "output", tolerance)
    if name in DEVIATIONS and "noise" in case["state_after"]:
        with pytest.raises(AssertionError):
            assert_close(gradInput, case["gradInput"], "gradInput", tolerance)
        assert_close(gradInput, case["gradOutput"] * noise, "gradInput, the derivative", tolerance)
        return
    if case["class"][3:] in GRAD_INPUTS:
        case["gradInput"] = GRAD_INPUTS[case["class"][3:]](case["gradInput"])
    if case["class"][3:] in GRADIENTS:
        case["gradParams"] = GRADIENTS[case["class"][3:]](case, module.parameters()[0])
    if gradInput is None:  # indices: where nnmod says None, Torch7 gives zeros or nothing
        assert not any(np.any(dx) for dx in nested.leaves(case["gradInput"]))
    else:
        assert_close(gradInput, case["gradInput"], "gradInput", tolerance)
    grads = module.parameters()[1]
    if name.startswith("MapTable"):  # Torch lists what clones share once for each of them
        grads *= len(case["gradParams"]) // len(grads)
    assert_close(grads, case["gradParams"], "gradParams", tolerance)
    if "params_after" in case:
        for call in case["calls"]:
            if call.startswith("updateParameters"):
                module.updateParameters(float(call[len("updateParameters("):-1]))
        assert_close(module.parameters()[0], case["params_after"], "parameters afterwards", tolerance)
    for path, value in case["state_after"].items():
        if path.rpartition("/")[2] in ("running_mean", "running_var", "loss"):
            assert_close(state_of(module, path), value, path, tolerance)




def state_of(module, path):
    """The tensor at a recorded path: modules/2/running_mean."""
    parts = path.split("/")
    while parts[0] == "modules":
        module = module.modules[int(parts[1]) - 1]
        parts = parts[2:]
    return getattr(module, parts[0])


def test_layer_normalization():
    """Torch lays the means of a batch out in the wrong order; with the same means it agrees."""
    case = GOLDEN.case("LayerNormalization__1")
    module = build(case["new"]).double()
    module.weight[...], module.bias[...] = case["params"]
    x = case["input"]
    wrong = np.tile(x.mean(axis=1), x.shape[1]).reshape(x.shape)
    centred = x - wrong
    norm = np.sqrt((centred ** 2).sum(axis=1, keepdims=True) + module.eps)
    assert_close(centred / norm * np.sqrt(5) * module.weight + module.bias, case["output"], "Torch's output")
    centred = x - x.mean(axis=1, keepdims=True)
    norm = np.sqrt((centred ** 2).sum(axis=1, keepdims=True) + module.eps)
    assert_close(module.forward(x), centred / norm * np.sqrt(5) * module.weight + module.bias, "output")


@pytest.mark.parametrize("name", known("criterion"))
@pytest.mark.parametrize("convert, tolerance", [("double", 1e-10), ("float", 1e-5)])
def test_criterion(name, convert, tolerance):
    case = GOLDEN.case(name)
    check_criterion(name, case, getattr(build(case["new"]), convert)(), convert, tolerance)


def check_criterion(name, case, criterion, convert, tolerance):
    """Run *criterion* and compare all that Torch recorded."""
    dtype = np.float64 if convert == "double" else np.float32
    input = nested.map(lambda x: np.asarray(x).astype(dtype), case["input"])
    target = TARGETS.get(case["class"][3:], lambda t: t)(case["target"])
    target = nested.map(lambda t: t.astype(dtype) if getattr(t, "dtype", np.dtype(int)).kind == "f" else t, target)
    if name == "SoftMarginCriterion__3":
        assert case["output"] == np.inf and np.isnan(case["gradInput"][3]), DEVIATIONS[name]
        case["output"] = (100 + np.log1p(np.exp(-100)) + np.log(2) + 800 + np.log1p(np.exp(-100))) / 4
        case["gradInput"] = np.append(case["gradInput"][:3], 0.25)
    assert criterion.forward(input, target) == pytest.approx(case["output"], rel=tolerance, abs=1e-300)
    assert_close(criterion.backward(input, target), case["gradInput"], "gradInput", tolerance)


@pytest.mark.parametrize("name", known("module_error"))
def test_what_torch_refuses_is_refused(name):
    case = GOLDEN.case(name)
    input = INPUTS.get(case["class"][3:], lambda x: x)(case["input"])
    if name in DEVIATIONS:
        assert np.isfinite(build(case["new"]).double().forward(input)).all()
        return
    with pytest.raises(REFUSED_AT_ONCE.get(name, (nnmod.ShapeError, IndexError))):
        build(case["new"]).double().forward(input)


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
