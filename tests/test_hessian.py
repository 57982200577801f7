"""The diagonal of the Hessian: what Torch recorded, and every rule against the whole Jacobian."""
import numpy as np
import pytest

import nnmod
from cases import CASES, CRITERION_CASES
from golden_data import GOLDEN
from nnmod import hessian, nested
from test_golden import assert_close


@pytest.mark.parametrize("convert, tolerance", [("double", 1e-10), ("float", 1e-5)])
def test_recorded_diagonal(convert, tolerance):
    case = GOLDEN.case("diag_hessian__1")
    net = getattr(nnmod.Sequential(nnmod.Linear(4, 5), nnmod.Tanh(), nnmod.Linear(5, 3)), convert)()
    criterion = getattr(nnmod.MSECriterion(), convert)()
    dtype = np.dtype(np.float64 if convert == "double" else np.float32)
    input, target = case["input"].astype(dtype), case["target"].astype(dtype)
    for param, value in zip(net.parameters()[0], case["params"], strict=True):
        param[...] = value
    output = net.forward(input)
    assert_close(output, case["output"], "output", tolerance)
    second = hessian.diag_hessian_criterion(criterion, output, target)
    assert_close(second, case["crit_diagHessianInput"], "crit_diagHessianInput", tolerance)
    diagInput, diagParams = hessian.diag_hessian(net, input, second)
    assert_close(diagInput, case["diagHessianInput"], "diagHessianInput", tolerance)
    assert_close(diagParams, case["diagHessianParams"], "diagHessianParams", tolerance)


FAMILIES = hessian.ELEMENTWISE | hessian.SELECTING | hessian.BILINEAR


def with_a_rule():
    for case in CASES:
        module = case.make()
        if type(module).__name__ in FAMILIES:
            yield pytest.param(case, id=case.id)


def run(case):
    """The case's module after a forward, that input, a positive D_y, and gradients that are not 0."""
    module = case.make()
    input = case.input()
    if not all(m.sizesKnown for m in module.listModules()):
        module.forward(nested.map(lambda x: x.astype(np.float32), input))
    module.double().clearState()
    given = nested.map(np.copy, input)
    output = module.forward(given)
    dh = nested.map(lambda y: np.random.default_rng(7).uniform(0.5, 2, y.shape), output)
    for grad in module.parameters()[1]:
        grad.fill(3)
    return module, given, dh


@pytest.mark.parametrize("case", list(with_a_rule()))
def test_rules_agree_with_the_whole_jacobian(case):
    module, input, dh = run(case)
    before = nested.map(np.copy, dh)
    actual, params = hessian.diag_hessian(module, input, dh)
    again = [p.copy() for p in params]
    assert hessian.diag_hessian(module, input, dh, params)[1] is params
    assert_close(params, [2 * p for p in again], "diagonals added up")
    expected = [np.zeros_like(p) for p in params]
    diagonals = {id(p): d for p, d in zip(module.parameters()[0], expected)}
    assert_close(actual, hessian._by_jacobian(module, input, dh, diagonals), "diagHessianInput")
    assert_close(again, expected, "diagHessianParameters")
    assert_close(dh, before, "diagHessianOutput after the call")
    assert all((grad == 3).all() for grad in module.parameters()[1])


def test_every_family_is_tested():
    tested = {type(p.values[0].make()).__name__ for p in with_a_rule()}
    assert {name for name in FAMILIES if hasattr(nnmod, name)} == tested


def test_modules_without_a_rule_use_their_jacobian():
    x = np.random.default_rng(0).standard_normal((3, 4))
    net = nnmod.SoftMax().double()
    y = net.forward(x)
    dh = np.random.default_rng(1).uniform(size=(3, 4))
    jacobian = np.einsum("no,oi->noi", y, np.eye(4)) - y[:, :, None] * y[:, None, :]
    np.testing.assert_allclose(hessian.diag_hessian(net, x, dh)[0], np.einsum("noi,no->ni", jacobian**2, dh))


def test_a_rule_of_the_users():
    class Double(nnmod.Module):
        def updateOutput(self, input):
            self.output = 2 * self.takeInput(input)
            return self.output

    @hessian.rule(Double)
    def rule(module, input, dh, add):
        return 4 * dh

    net = Double()
    x = np.ones((2, 3))
    net.forward(x)
    np.testing.assert_array_equal(hessian.diag_hessian(net, x, x)[0], 4 * x)


def test_containers_and_graphs_agree():
    nnmod.manualSeed(2)
    net = nnmod.Sequential(
        nnmod.Linear(5, 4), nnmod.ConcatTable(nnmod.Tanh(), nnmod.Linear(4, 4)),
        nnmod.ParallelTable(nnmod.Sigmoid(), nnmod.Identity()), nnmod.CAddTable(),
        nnmod.Concat(1, nnmod.Linear(4, 2), nnmod.Tanh())).double()
    first, branch, parallel, _, concat = net.clone().modules
    h = first(nnmod.Identity()())
    sum = nnmod.CAddTable()([parallel[0](branch[0](h)), parallel[1](branch[1](h))])
    graph = nnmod.gModule(h.inputs, nnmod.JoinTable(1)([concat[0](sum), concat[1](sum)])).double()
    x, dh = np.random.default_rng(3).standard_normal((6, 5)), np.random.default_rng(4).uniform(size=(6, 6))
    results = []
    for module in (net, graph):
        module.forward(x)
        diagInput, diagParams = hessian.diag_hessian(module, x, dh)
        results.append([diagInput, *diagParams])
    assert_close(results[0], results[1], "containers and graph")
    with pytest.raises(RuntimeError, match="needs updateGradInput"):
        graph.accGradParameters(x, dh)


def test_the_last_layer_has_its_true_second_derivatives():
    """MSE of a Linear is quadratic in its parameters: finite differences of the gradient are exact."""
    nnmod.manualSeed(5)
    net, criterion = nnmod.Linear(4, 3).double(), nnmod.MSECriterion(sizeAverage=False)
    rng = np.random.default_rng(0)
    x, target = rng.standard_normal((6, 4)), rng.standard_normal((6, 3))
    second = hessian.diag_hessian_criterion(criterion, net.forward(x), target)
    _, (weight, bias) = hessian.diag_hessian(net, x, second)
    for param, grad, diagonal in ((net.weight, net.gradWeight, weight), (net.bias, net.gradBias, bias)):
        for index in np.ndindex(param.shape):
            slopes = []
            for step in (1.0, -1.0):
                param[index] += step
                net.zeroGradParameters()
                net.backward(x, criterion.backward(net.forward(x), target))
                slopes.append(grad[index])
                param[index] -= step
            assert (slopes[0] - slopes[1]) / 2 == pytest.approx(diagonal[index], rel=1e-10)


#: Each case of a criterion that has a rule.
each_criterion = pytest.mark.parametrize(
    "case", [c for c in CRITERION_CASES if type(c.make()).__name__ in hessian._CRITERIONS], ids=lambda case: case.id)


@each_criterion
def test_criterions_by_finite_differences(case):
    criterion = case.make().double()
    input, target = case.arguments()
    actual = hessian.diag_hessian_criterion(criterion, input, target)
    for index in np.ndindex(input.shape):
        slopes, saved = [], input[index]
        for step in (1e-5, -1e-5):
            input[index] = saved + step
            criterion.forward(input, target)
            slopes.append(criterion.backward(input, target)[index])
        input[index] = saved
        assert (slopes[0] - slopes[1]) / 2e-5 == pytest.approx(actual[index], rel=1e-4, abs=1e-8)


def test_wrong_calls_are_refused():
    net, x = nnmod.Linear(3, 2), np.ones((4, 3), np.float32)
    with pytest.raises(RuntimeError, match="diag_hessian before forward"):
        hessian.diag_hessian(net, x, x)
    net.forward(x)
    with pytest.raises(nnmod.ShapeError, match="diagHessianOutput must have the shape of output"):
        hessian.diag_hessian(net, x, x)
    with pytest.raises(nnmod.ShapeError, match="into"):
        hessian.diag_hessian(net, x, net.output, [np.zeros(3, np.float32)])

    class Mine(nnmod.MSECriterion):
        pass

    with pytest.raises(NotImplementedError, match="@nnmod.hessian.criterion_rule\\(Mine\\)"):
        hessian.diag_hessian_criterion(Mine(), x, x)
