"""Every promise of the contract, over every case of the table."""
import numpy as np
import pytest

import nnmod
from cases import CASES, CRITERION_CASES
from nnmod import nested, testing

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
every_criterion = pytest.mark.parametrize("case", CRITERION_CASES, ids=lambda case: case.id)


@every_case
@pytest.mark.parametrize("check", testing.MODULE_CHECKS, ids=lambda check: check.__name__[6:])
def test_module(case, check):
    name = check.__name__.removeprefix("check_")
    if name in case.excused:
        pytest.skip(case.excused[name])
    check(case.make, case.input())


@every_criterion
@pytest.mark.parametrize("check", testing.CRITERION_CHECKS, ids=lambda check: check.__name__[16:])
def test_criterion(case, check):
    check(case.make, *case.arguments())


@every_case
def test_evaluate_keeps_nothing_that_only_backward_uses(case):
    """Gradients are dropped, and a backward after that makes the same again."""
    module, input = case.make().double(), case.input()
    # A step keeps its past in training alone: its gradients are those of a pass in training.
    steps = any(isinstance(part, nnmod.AbstractRecurrent) for part in module.listModules())
    module.training() if steps else module.evaluate()

    def forward():
        nnmod.manualSeed(3)
        return module.forward(nested.map(np.copy, input) if module.inplace else input)

    forward()  # parameters of inferred sizes are drawn here
    gradOutput = nested.map(lambda y: np.linspace(-1, 1, y.size).reshape(y.shape), forward())

    def gradients():
        module.zeroGradParameters()
        gradInput = module.backward(module._input, nested.map(np.copy, gradOutput))
        return [np.copy(g) for g in [*nested.leaves(gradInput), *module.parameters()[1]] if g is not None]

    before = gradients() if not module.inplace else None
    if module.inplace:
        forward()
    assert module.evaluate() is module
    for part in module.listModules():
        for name in ("gradInput", "_gradOutput", *part.backwardBuffers):
            assert getattr(part, name) is None, (part, name)
    if before is not None:
        if steps:
            module.training()
            forward()
        for mine, first in zip(gradients(), before, strict=True):
            np.testing.assert_array_equal(mine, first)


@pytest.mark.parametrize("case", [case for case in CASES if case.single], ids=lambda case: case.id)
def test_without_a_batch_dimension(case):
    """A row alone gives that row of the batch's result, in the same form (line 9)."""
    module, input = case.make().double(), case.input()
    rng = np.random.default_rng(3)
    output = nested.map(np.copy, module.forward(input))
    gradOutput = nested.map(lambda y: rng.standard_normal(y.shape), output)
    gradInput = np.copy(module.backward(input, gradOutput))
    for row in range(input.shape[0]):
        alone = module.forward(input[row])
        dx = module.backward(input[row], nested.map(lambda g: g[row], gradOutput))
        for actual, batch in zip(nested.leaves([alone, dx]), nested.leaves([output, gradInput])):
            assert actual.shape == batch.shape[1:]
            np.testing.assert_allclose(actual, batch[row], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("case", [case for case in CASES if case.single], ids=lambda case: case.id)
def test_an_empty_batch(case):
    """No rows in, no rows out; the gradients of the parameters stay as they are."""
    module, input = case.make().double(), case.input()
    full = [y.shape for y in nested.leaves(module.forward(input))]
    nothing = input[:0].copy()
    output = module.forward(nothing)
    assert [y.shape for y in nested.leaves(output)] == [(0, *shape[1:]) for shape in full]
    for grad in module.parameters()[1]:
        grad.fill(3)
    gradInput = module.backward(nothing, nested.map(np.copy, output))
    assert gradInput.shape == nothing.shape
    assert all((grad == 3).all() for grad in module.parameters()[1])
