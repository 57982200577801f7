"""Jacobians and the diagonal of the Hessian on the CUDA device, emulated here, beside the CPU's."""
import os

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
os.environ.setdefault("NNMOD_CUDA", "emulate")

import nnmod
from nnmod import hessian, kernels, nested, random, tensor
from nnmod.kernels import reference
from nnmod.testing import Jacobian, SparseJacobian
from test_cuda_modules import compare, on_host, place
from test_hessian import each_criterion, run, with_a_rule
from test_jacobian import NETS


@pytest.fixture(autouse=True)
def _quick():
    with kernels.use_backend(reference):  # where something is computed on the CPU
        yield


@pytest.mark.parametrize("name", NETS)
def test_right_modules_have_small_errors(name):
    nnmod.manualSeed(1)
    module, input = NETS[name]()
    module.double().cuda()
    input = tensor.cuda(input)
    assert Jacobian.testJacobian(module, input) < 1e-6
    assert all(tensor.is_on_device(x) and x.numpy().any() for x in nested.leaves(input)), "it is drawn anew"
    assert Jacobian.testJacobianParameters(module, input) < 1e-6
    assert Jacobian.testJacobianUpdateParameters(module, input) < 1e-6
    assert Jacobian.testIO(module, input) == (0.0, 0.0)


def test_ways_to_take_a_step():
    nnmod.manualSeed(1)
    errors = Jacobian.testAllUpdate(nnmod.Linear(4, 3).double().cuda(), nnmod.cuda(np.ones((2, 4))),
                                    "weight", "gradWeight")
    assert len(errors) == 6 and max(errors.values()) < 1e-12, errors


def test_wrong_modules_have_large_errors():
    class Wrong(nnmod.Linear):
        def updateGradInput(self, input, gradOutput):
            gradInput = super().updateGradInput(input, gradOutput)
            gradInput[0, :1] += 0.1
            return gradInput

    assert Jacobian.testJacobian(Wrong(3, 2).double().cuda(), nnmod.cuda(np.zeros((2, 3)))) == pytest.approx(0.1, 1e-5)


def test_sparse_inputs():
    nnmod.manualSeed(1)
    rows = [np.array([[0, 1.0], [3, 1.0]]), np.array([[4, 1.0]])]
    module = nnmod.SparseLinear(6, 4).double().cuda()
    assert SparseJacobian.testJacobianParameters(module, nnmod.cuda(rows)) < 1e-6


@pytest.mark.parametrize("case", list(with_a_rule()))
def test_diagonal_of_the_hessian(case):
    random.set_state((7, 0))
    module, input, dh = run(case)
    expected = hessian.diag_hessian(module, input, dh)
    module.clearState().cuda()
    given = place(case.input(), True)
    random.set_state((7, 0))
    module.forward(given)
    actual = hessian.diag_hessian(module, given, place(dh, True))
    compare(on_host(list(actual)), list(expected), 1e-10, "diagonals")


def test_modules_without_a_rule_and_containers():
    nnmod.manualSeed(2)
    net = nnmod.Sequential(
        nnmod.Linear(5, 4), nnmod.ConcatTable(nnmod.Tanh(), nnmod.Linear(4, 4)), nnmod.CAddTable(),
        nnmod.Concat(1, nnmod.Linear(4, 2), nnmod.SoftMax())).double()
    rng = np.random.default_rng(3)
    x, dh = rng.standard_normal((3, 5)), rng.uniform(size=(3, 6))
    net.forward(x)
    expected = hessian.diag_hessian(net, x, dh)
    net.clearState().cuda()
    x, dh = place([x, dh], True)
    net.forward(x)
    diagInput, into = hessian.diag_hessian(net, x, dh)
    compare(on_host([diagInput, into]), list(expected), 1e-10, "diagonals")
    again = hessian.diag_hessian(net, x, dh, into)[1]
    compare(on_host(again), [2 * p for p in expected[1]], 1e-10, "added to")


@each_criterion
def test_second_derivatives_of_losses(case):
    criterion = case.make().double()
    input, target = case.arguments()
    expected = hessian.diag_hessian_criterion(criterion, input, target)
    actual = hessian.diag_hessian_criterion(criterion.cuda(), *place([input, target], True))
    assert tensor.is_on_device(actual)
    compare(on_host(actual), expected, 1e-10, "second derivatives")
