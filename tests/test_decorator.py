"""Modules around one module, by what the generic tests cannot see."""
import pickle

import numpy as np
import pytest

import nnmod


def linear(inputs=5, outputs=3):
    return nnmod.Linear(inputs, outputs).double()


def batch(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


ALL = [nnmod.Decorator, nnmod.Bottle, nnmod.WeightNorm, nnmod.DontCast, nnmod.NaN, nnmod.Profile,
       lambda module: nnmod.GPU(module, 0)]


@pytest.mark.parametrize("make", ALL)
def test_one_module_it_is(make):
    decorated = make(nnmod.Linear(5, 3))
    name = type(decorated).__name__
    with pytest.raises(ValueError, match=f"{name} holds one module, not 2; put several into a Sequential"):
        decorated.add(nnmod.Tanh())
    with pytest.raises(ValueError, match=f"{name} holds one module, not 0"):
        decorated.remove()
    assert len(decorated) == 1


@pytest.mark.parametrize("make", ALL)
def test_errors_name_the_module(make):
    net = nnmod.Sequential(make(nnmod.Linear(5, 3)))
    with pytest.raises(nnmod.ShapeError) as error:
        net.forward(np.zeros((2, 4), np.float32))
    name = type(net[0]).__name__
    assert error.value.__notes__ == [
        f"in module: Sequential[0] > {name}[0] > Linear(5 -> 3).forward, given float32 (2, 4)"]


@pytest.mark.parametrize("make", ALL)
def test_a_first_layer_skips_its_gradient(make):
    net = nnmod.Sequential(make(linear())).double()
    net.needsGradInput = False
    x = batch(2, 5)
    net.forward(x)
    assert net.backward(x, batch(2, 3)) is None and net[0].modules[0].gradInput is None
    assert all(grad.any() for grad in net.parameters()[1])


@pytest.mark.parametrize("make", ALL)
def test_an_inplace_module_inside_is_seen(make):
    if make is nnmod.WeightNorm:
        return
    with pytest.raises(ValueError, match="works in place and would overwrite the output of Tanh"):
        nnmod.Sequential(nnmod.Tanh(), make(nnmod.ReLU(True)))


@pytest.mark.parametrize("make", ALL)
def test_the_verbs_by_hand_are_backward(make):
    one, two = make(linear()), None
    two = one.clone()
    x, dy = batch(4, 5), batch(4, 3)
    if make is nnmod.DontCast:
        one.double(), two.double()
    for module in (one, two):
        module.forward(x)
    dx = one.backward(x, dy, 0.5)
    np.testing.assert_array_equal(two.updateGradInput(x, dy), dx)
    two.accGradParameters(x, dy, 0.5)
    for a, b in zip(one.parameters()[1], two.parameters()[1]):
        np.testing.assert_array_equal(a, b)


# -- Bottle ------------------------------------------------------------------------------------

def test_bottle_works_on_any_number_of_dimensions():
    module = linear()
    bottle = nnmod.Bottle(module)
    for shape in [(5,), (4, 5), (2, 3, 5), (2, 3, 4, 5), (2, 0, 5), (0, 3, 5)]:
        x = batch(*shape)
        assert bottle.forward(x).shape == (*shape[:-1], 3)
        np.testing.assert_allclose(bottle.output, x @ module.weight.T + module.bias, rtol=1e-13)
        assert bottle.backward(x, batch(*shape[:-1], 3)).shape == shape


def test_bottle_says_what_the_module_must_return():
    bottle = nnmod.Bottle(nnmod.View(2, 3, numInputDims=1))
    with pytest.raises(nnmod.ShapeError, match=r"must have nOutputDim = 2 dimensions, the first a multiple of 4, "
                                               r"got \(20, 2, 3\)"):
        bottle.forward(np.zeros((4, 5, 6), np.float32))
    with pytest.raises(ValueError, match="nInputDim must be an int > 0"):
        nnmod.Bottle(nnmod.Tanh(), 0)


# -- WeightNorm --------------------------------------------------------------------------------

def test_weight_norm_makes_the_weight():
    module = nnmod.WeightNorm(linear())
    module.forward(batch(2, 5))
    norms = np.sqrt((module.v ** 2).sum(axis=1, keepdims=True) + 1e-4)
    np.testing.assert_allclose(module.modules[0].weight, module.g * module.v / norms, rtol=1e-14)
    assert [p.shape for p in module.parameters()[0]] == [(3, 5), (3, 1), (3,)]
    assert not module.modules[0].bias.any()


def test_weight_norm_along_another_dimension():
    conv = nnmod.SpatialConvolution(2, 3, 4, 5).double()
    module = nnmod.WeightNorm(conv, 1)
    assert module.v.shape == (2, 3 * 5 * 4)
    norms = np.sqrt((module.v ** 2).sum(axis=1, keepdims=True) + 1e-4)
    expected = (module.g * module.v / norms).reshape(2, 3, 5, 4).transpose(1, 0, 2, 3)
    np.testing.assert_allclose(conv.weight, expected, rtol=1e-14)


def test_weight_norm_gradients_add_up():
    """Torch7 assigns gradV and gradG."""
    module = nnmod.WeightNorm(linear())
    x, dy = batch(4, 5), batch(4, 3)
    module.forward(x)
    module.backward(x, dy)
    once = [g.copy() for g in module.parameters()[1]]
    module.backward(x, dy, -3.0)
    for after, before in zip(module.parameters()[1], once):
        np.testing.assert_allclose(after, -2 * before, rtol=1e-12)


def copies(module, folder):
    yield module.clone()
    yield pickle.loads(pickle.dumps(module))
    pytest.importorskip("safetensors")
    nnmod.save_checkpoint(folder / "model", module)
    yield nnmod.load_checkpoint(folder / "model")["model"]


@pytest.mark.parametrize("outputDim", [0, 1])
def test_weight_norm_survives_being_saved(tmp_path, outputDim):
    """Torch7 drops the weight, and what it loads does not run."""
    module = nnmod.Sequential(nnmod.WeightNorm(linear(), outputDim), nnmod.Tanh())
    x, dy = batch(4, 5), batch(4, 3)
    expected = module.forward(x).copy()
    for copy in copies(module, tmp_path):
        np.testing.assert_array_equal(copy[0].modules[0].weight, module[0].modules[0].weight)
        np.testing.assert_array_equal(copy.forward(x), expected)
        copy.zeroGradParameters()
        copy.backward(x, dy)
        copy.updateParameters(0.1)
        assert len(copy.parameters()[0]) == 3
        assert not np.array_equal(copy.forward(x), expected)
    np.testing.assert_array_equal(module.forward(x), expected)


def test_weight_norm_trains_what_takes_direct_steps():
    """A LookupTable inside has no weight of its own to step with."""
    x, dy = np.array([1, 4, 1]), batch(3, 2)
    nnmod.manualSeed(0)
    usual = nnmod.WeightNorm(nnmod.LookupTable(6, 2)).double()
    direct = usual.clone()
    usual.zeroGradParameters()
    usual.forward(x)
    usual.backward(x, dy)
    usual.updateParameters(0.5)
    direct.forward(x)
    direct.backwardUpdate(x, dy, 0.5)
    np.testing.assert_allclose(direct.v, usual.v, rtol=1e-13)
    np.testing.assert_allclose(direct.g, usual.g, rtol=1e-13)
    np.testing.assert_allclose(direct.forward(x), usual.forward(x), rtol=1e-13)


def test_weight_norm_needs_a_weight():
    for module, text in [(nnmod.Tanh(), "a module with a parameter weight, got Tanh()"),
                         (nnmod.Add(3), "a module with a parameter weight"),
                         (nnmod.WeightNorm(nnmod.Linear(2, 2)), "a module with a parameter weight"),
                         ("Linear", "a module with a parameter weight, got 'Linear'"),
                         (nnmod.Linear(None, 2), "does not know its sizes yet: give them")]:
        with pytest.raises(ValueError) as error:
            nnmod.WeightNorm(module)
        assert text in str(error.value)
    with pytest.raises(nnmod.ShapeError, match="outputDim 2 does not exist"):
        nnmod.WeightNorm(nnmod.Linear(2, 2), 2)
    with pytest.raises(ValueError, match="outputDim must be an int"):
        nnmod.WeightNorm(nnmod.Linear(2, 2), 0.5)


# -- DontCast ----------------------------------------------------------------------------------

def test_dont_cast_keeps_its_module():
    inner = nnmod.Linear(5, 3)
    net = nnmod.Sequential(nnmod.Linear(4, 5), nnmod.DontCast(inner, True), nnmod.Linear(3, 2)).double()
    assert [m.weight.dtype for m in (net[0], inner, net[2])] == [np.float64, np.float32, np.float64]
    x = batch(2, 4)
    y = net.forward(x)
    assert inner.output.dtype == np.float32 and net[1].output.dtype == y.dtype == np.float64
    np.testing.assert_array_equal(net[1].output, inner.output)
    assert net.backward(x, batch(2, 2)).dtype == np.float64
    assert inner.gradInput.dtype == np.float32 and net[1].gradInput.dtype == np.float64
    assert inner.gradWeight.any()
    net.float()
    assert net[1].forward(batch(2, 5).astype(np.float32)) is inner.output  # nothing to convert


def test_dont_cast_only_out_or_in():
    x32, x64 = batch(2, 5).astype(np.float32), batch(2, 5)
    out = nnmod.DontCast(nnmod.Linear(5, 3).double(), False, True).float()
    assert out.forward(x64).dtype == np.float32
    assert out.backward(x64, batch(2, 3).astype(np.float32)).dtype == np.float64
    with pytest.raises(TypeError, match="one device and one dtype"):
        out.forward(x32)
    into = nnmod.DontCast(nnmod.Linear(5, 3).double(), True, False).float()
    assert into.forward(x32).dtype == np.float64
    assert into.backward(x32, batch(2, 3)).dtype == np.float32


def test_dont_cast_leaves_integers():
    module = nnmod.DontCast(nnmod.LookupTable(4, 2), True).double()
    assert module.forward(np.array([0, 3])).dtype == np.float64
    assert module.backward(np.array([0, 3]), np.ones((2, 2))) is None


def test_dont_cast_can_be_told_the_type():
    assert nnmod.DontCast(nnmod.Tanh(), True, moduleType="float64").modules[0].type() == "cpu.float64"
    with pytest.raises(ValueError, match="type must be one of"):
        nnmod.DontCast(nnmod.Tanh(), True, moduleType="int8")


# -- NaN ---------------------------------------------------------------------------------------

def raises(text, call, *args):
    with pytest.raises(FloatingPointError) as error:
        call(*args)
    assert str(error.value) == text


def test_nan_says_where_it_was_first():
    net = nnmod.Sequential(nnmod.NaN(linear(), "first"), nnmod.NaN(nnmod.Tanh()))
    x, dy = batch(2, 5), batch(2, 3)
    net.forward(x)
    bad = x.copy()
    bad[1, 2] = np.nan
    raises("NaN in the input of Linear(5 -> 3), id 'first'", net.forward, bad)
    bad = dy.copy()
    bad[0, 0] = np.nan
    net.forward(x)
    raises("NaN in gradOutput of Tanh()", net.backward, x, bad)
    net[0].modules[0].weight[0, 0] = np.nan
    raises("NaN in the parameters of Linear(5 -> 3), id 'first'", net.forward, x)


class Broken(nnmod.Linear):
    """A Linear with a fault at one place."""

    fault = None

    def updateOutput(self, input):
        output = super().updateOutput(input)
        if self.fault == "output":
            output[0, 0] = np.nan
        return output

    def updateGradInput(self, input, gradOutput):
        gradInput = super().updateGradInput(input, gradOutput)
        if self.fault == "gradInput":
            gradInput[0, 0] = np.nan
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        super().accGradParameters(input, gradOutput, scale)
        if self.fault == "gradients":
            self.gradBias[0] = np.nan


def test_nan_finds_a_fault_in_every_verb():
    module = nnmod.NaN(Broken(5, 3).double())
    x, dy = batch(2, 5), batch(2, 3)
    module.forward(x)
    for fault, text in [("gradInput", "gradInput"), ("gradients", "the gradients of the parameters")]:
        module.modules[0].fault = fault
        raises(f"NaN in {text} of Broken(5 -> 3)", module.backward, x, dy)
    raises("NaN in the gradients of the parameters of Broken(5 -> 3)", module.accGradParameters, x, dy)
    module.modules[0].fault = "output"
    raises("NaN in the output of Broken(5 -> 3)", module.forward, x)
    with pytest.raises(FloatingPointError) as error:
        nnmod.Sequential(module).forward(x)
    assert error.value.__notes__ == ["in module: Sequential[0] > NaN.forward, given float64 (2, 5)"]


def test_nan_is_not_infinity():
    """Torch7 adds the elements up: Inf - Inf would be a NaN that is not there."""
    module = nnmod.NaN(nnmod.Identity())
    module.forward(np.array([np.inf, -np.inf]))
    with pytest.raises(ValueError, match="id must be a text or None"):
        nnmod.NaN(nnmod.Identity(), 3)


# -- Profile -----------------------------------------------------------------------------------

def test_profile_prints_after_an_interval(capsys):
    module = nnmod.Profile(linear(), 3, "my layer")
    x, dy = batch(2, 5), batch(2, 3)
    for _ in range(4):
        module.forward(x)
        module.backward(x, dy)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("took")[0] for line in lines] == ["my layer "] * 2
    assert lines[0].endswith("seconds for 3 forward passes") and lines[1].endswith("seconds for 3 backward passes")
    assert module.numFwds == module.numBwds == 1
    assert 0 < module.summedFwdTime < 1 and 0 < module.summedBwdTime < 1
    assert nnmod.Profile(nnmod.Tanh()).name == "Tanh"


def test_profile_refuses():
    with pytest.raises(ValueError, match="print_interval must be an int > 0"):
        nnmod.Profile(nnmod.Tanh(), 0)
    with pytest.raises(ValueError, match="name must be a text or None"):
        nnmod.Profile(nnmod.Tanh(), 1, 2)


# -- GPU ---------------------------------------------------------------------------------------

def test_gpu_keeps_its_numbers():
    module = nnmod.GPU(linear(), 1)
    assert (module.device, module.outdevice) == (1, 1)
    with pytest.raises(ValueError, match="device must be an int >= 0"):
        nnmod.GPU(nnmod.Tanh(), -1)
