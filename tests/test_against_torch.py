"""The same numbers as PyTorch, over random arguments, where both have a class."""
import numpy as np
import pytest

from nnmod import Criterion, nested
from torch_twins import TWINS
from torch_twins_arguments import MORE_TWINS

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

DRAWS = 6


class Parameters:
    """A module whose parameters and running statistics are torch tensors."""

    def __init__(self, module):
        self.module = module
        self.tensors = {}
        for name in module._tensorNames():
            value = getattr(module, name, None)
            if value is not None:
                self.tensors[name] = torch.tensor(value, requires_grad=name in module.paramNames)

    def __getattr__(self, name):
        return self.tensors[name] if name in self.tensors else getattr(self.module, name)


def to_torch(value):
    return nested.map(lambda x: torch.tensor(x, requires_grad=x.dtype.kind == "f"), value)


def to_numpy(value):
    return nested.map(lambda y: y.detach().numpy(), value)


def gradients(value):
    return nested.map(lambda x: None if x.grad is None else x.grad.numpy(), value)


@pytest.mark.parametrize("seed", range(DRAWS))
@pytest.mark.parametrize("twin", TWINS + MORE_TWINS, ids=lambda twin: twin.id)
def test_same_numbers(twin, seed):
    rng = np.random.default_rng(seed)
    module, input, *target = twin.draw(rng)
    module.double()
    x = to_torch(input)
    if isinstance(module, Criterion):
        t = nested.map(lambda a: torch.tensor(a) if isinstance(a, np.ndarray) else a, target[0])
        loss = twin.torch(torch.nn.functional, module, x, t)
        loss.backward()
        assert module.forward(input, target[0]) == pytest.approx(float(loss.detach()), rel=1e-9)
        same(module.backward(input, target[0]), gradients(x), "gradInput")
        return
    parameters = Parameters(module)
    args = x if isinstance(x, list) else [x]
    output = twin.torch(torch.nn.functional, parameters, *args)
    ours = nested.map(np.copy, module.forward(input))
    same(ours, to_numpy(output), "output")
    gradOutput = nested.map(lambda y: rng.standard_normal(y.shape), ours)
    leaves = list(nested.leaves(output))
    torch.autograd.backward(leaves, [torch.tensor(g) for g in nested.leaves(gradOutput)])
    module.zeroGradParameters()
    gradInput = module.backward(input, gradOutput)
    if gradInput is not None:  # there is none by indices and what comes with them
        same(gradInput, gradients(x), "gradInput")
    for name in module.paramNames:
        if getattr(module, name) is not None:
            grad = getattr(module, "grad" + name[0].upper() + name[1:])
            same(grad, parameters.tensors[name].grad.numpy(), f"gradient of {name}")


def same(actual, expected, what):
    actual, expected = list(nested.leaves(actual)), list(nested.leaves(expected))
    assert len(actual) == len(expected), what
    for a, b in zip(actual, expected):
        if a is None:
            continue
        assert a.shape == b.shape, what
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-9 * max(1.0, np.abs(b).max(initial=0)), err_msg=what)
