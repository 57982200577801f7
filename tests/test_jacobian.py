"""Torch's gradient checkers: small errors of right modules, large ones of wrong modules."""
import numpy as np
import pytest

import nnmod
from nnmod import nested
from nnmod.testing import Jacobian, SparseJacobian


def zeros(*shape):
    return np.zeros(shape)


NETS = {
    "Linear": lambda: (nnmod.Linear(4, 3), zeros(2, 4)),
    "convolution": lambda: (nnmod.SpatialConvolution(2, 3, 2, 2), zeros(2, 2, 4, 3)),
    "statistics": lambda: (nnmod.SpatialBatchNormalization(2), zeros(3, 2, 2, 2)),
    "noise": lambda: (nnmod.Sequential(nnmod.Linear(4, 5), nnmod.Dropout(0.3), nnmod.Linear(5, 2)), zeros(3, 4)),
    "in place": lambda: (nnmod.Sequential(nnmod.Dropout(0.5, inplace=True), nnmod.Linear(4, 2)), zeros(3, 4)),
    "table": lambda: (nnmod.Sequential(nnmod.ParallelTable(nnmod.Linear(3, 2), nnmod.Tanh()), nnmod.CAddTable()),
                      [zeros(4, 3), zeros(4, 2)]),
    "table out": lambda: (nnmod.ConcatTable(nnmod.Linear(3, 2), nnmod.Tanh()), zeros(2, 3)),
}


@pytest.mark.parametrize("name", NETS)
def test_right_modules_have_small_errors(name):
    nnmod.manualSeed(1)
    module, input = NETS[name]()
    module.double()
    assert Jacobian.testJacobian(module, input) < 1e-6
    assert all(x.any() for x in nested.leaves(input)), "the input is drawn anew, as in Torch"
    assert Jacobian.testJacobianParameters(module, input) < 1e-6
    assert Jacobian.testJacobianUpdateParameters(module, input) < 1e-6
    assert Jacobian.testIO(module, input) == (0.0, 0.0)
    for m in module.listModules():
        if getattr(m, "weight", None) is not None and module is m:
            errors = Jacobian.testAllUpdate(m, input, "weight", "gradWeight")
            assert len(errors) == 6 and max(errors.values()) < 1e-12, errors


def test_a_named_parameter_and_a_first_layer():
    nnmod.manualSeed(2)
    module = nnmod.Linear(4, 3).double()
    module.needsGradInput = False
    before = module.weight.copy()
    assert Jacobian.testJacobianParameters(module, zeros(2, 4), module.bias, module.gradBias, 0, 1) < 1e-8
    assert (module.bias >= 0).all() and (module.weight == before).all()
    with pytest.raises(ValueError, match="dparam must be the gradient of param"):
        Jacobian.testJacobianParameters(module, zeros(2, 4), module.bias)


def test_the_matrices():
    module = nnmod.Linear(2, 3).double()
    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(Jacobian.backward(module, x), module.weight.T)
    np.testing.assert_allclose(Jacobian.forward(module, x), module.weight.T, atol=1e-8)
    np.testing.assert_allclose(Jacobian.backward(module, x, module.bias, module.gradBias), np.eye(3))
    np.testing.assert_allclose(Jacobian.backwardUpdate(module, x, module.bias), module.bias[:, None] - np.eye(3))
    np.testing.assert_allclose(Jacobian.forwardUpdate(module, x, module.bias), module.bias[:, None] - np.eye(3),
                               atol=1e-8)


class Wrong(nnmod.Linear):
    """A Linear whose gradients can be made wrong, one at a time."""

    fault = ""

    def updateGradInput(self, input, gradOutput):
        gradInput = super().updateGradInput(input, gradOutput)
        if self.fault == "input":
            gradInput[0, 0] += 0.1
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        super().accGradParameters(input, gradOutput, scale)
        if self.fault == "weight":
            self.gradWeight[0, 0] += 0.1
        if self.fault == "assign":
            self.gradBias[...] = scale * gradOutput.sum(axis=0)

    def __setstate__(self, state):
        vars(self).update(state)
        if self.fault == "file":
            self.weight = self.weight + 0.1


def test_wrong_modules_have_large_errors():
    nnmod.manualSeed(3)
    wrong, x = Wrong(3, 2).double(), zeros(2, 3)
    assert Jacobian.testJacobian(wrong, x) < 1e-6 and Jacobian.testJacobianParameters(wrong, x) < 1e-6
    wrong.fault = "input"
    assert Jacobian.testJacobian(wrong, x) == pytest.approx(0.1, abs=1e-6)
    assert Jacobian.testJacobianParameters(wrong, x) < 1e-6
    wrong.fault = "weight"
    assert Jacobian.testJacobian(wrong, x) < 1e-6
    assert Jacobian.testJacobianParameters(wrong, x) == pytest.approx(0.1, abs=1e-6)
    assert Jacobian.testJacobianUpdateParameters(wrong, x) == pytest.approx(0.1, abs=1e-6)
    wrong.fault = "assign"
    errors = Jacobian.testAllUpdate(wrong, np.ones((2, 3)), "bias", "gradBias")
    assert {name for name, error in errors.items() if error > 1e-3} == {
        "accGradParameters [shared with its gradient]"}
    wrong.fault = "file"
    errors = Jacobian.testIO(wrong, np.ones((2, 3)))
    assert errors[0] == pytest.approx(0.3) and errors[1] > 0.01


def test_nan_is_not_hidden():
    class NotANumber(nnmod.Tanh):
        def updateGradInput(self, input, gradOutput):
            gradInput = super().updateGradInput(input, gradOutput)
            gradInput[0] = np.nan
            return gradInput

    assert np.isnan(Jacobian.testJacobian(NotANumber(), zeros(3)))


def test_wrong_arguments_are_refused():
    with pytest.raises(TypeError, match="input must be float64, got float32: differences of float32 say nothing"):
        Jacobian.testJacobian(nnmod.Tanh(), np.zeros(3, np.float32))
    with pytest.raises(TypeError, match="module must be a Module"):
        Jacobian.testJacobian(np.tanh, zeros(3))

    class Integers(nnmod.Tanh):
        def updateGradInput(self, input, gradOutput):
            self.gradInput = None

    with pytest.raises(ValueError, match="has no gradient by its input"):
        Jacobian.testJacobian(Integers(), zeros(3))


class Weighted(nnmod.Module):
    """The sum of weight[index] * value over rows (index, value)."""

    paramNames = ("weight",)

    def __init__(self):
        super().__init__()
        self.weight, self.gradWeight = np.arange(1.0, 6.0), np.zeros(5)

    def updateOutput(self, input):
        input = self.takeInput(input)
        self.output = np.array([self.weight[input[:, 0].astype(int)] @ input[:, 1]])
        return self.output

    def updateGradInput(self, input, gradOutput):
        self.gradInput = np.stack([input[:, 0], gradOutput[0] * self.weight[input[:, 0].astype(int)]], axis=1)
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        np.add.at(self.gradWeight, input[:, 0].astype(int), scale * gradOutput[0] * input[:, 1])


def test_sparse_inputs_vary_in_their_values_only():
    module, x = Weighted(), np.array([[3.0, 0.0], [0.0, 0.0], [3.0, 0.0]])
    assert SparseJacobian.testJacobian(module, x) < 1e-7
    np.testing.assert_array_equal(x[:, 0], [3, 0, 3])
    assert x[:, 1].all()
    assert SparseJacobian.testJacobianParameters(module, x) < 1e-7
    assert SparseJacobian.testIO(module, x) == (0.0, 0.0)
    np.testing.assert_allclose(SparseJacobian.backward(Weighted(), x), [[4], [1], [4]])
