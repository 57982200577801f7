"""What is said where CUDA cannot do what was asked for: full memory, kernels that do not compile, no compiler."""
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
os.environ.setdefault("NNMOD_CUDA", "emulate")

from numba import cuda

import nnmod
from nnmod import kernels
from nnmod.kernels import reference
from nnmod.kernels.cuda import emulator
from nnmod.kernels.cuda.allocator import Allocator
from nnmod.kernels.cuda.engine import _aligned_bytes, engine
from nnmod.kernels.cuda.launch import launch


# -- memory -------------------------------------------------------------------------------------------

class Small:
    """A device of a few bytes."""

    def __init__(self, nbytes):
        self.free_bytes, self.given = nbytes, {}

    def allocate(self, size):
        if size > self.free_bytes:
            raise MemoryError
        raw = _aligned_bytes(size)
        self.free_bytes -= size
        self.given[id(raw)] = size
        return raw

    def free(self, raw):
        self.free_bytes += self.given.pop(id(raw))


@pytest.fixture
def device(monkeypatch):
    """One MiB of memory for all tensors that the test makes."""
    small = Small(1 << 20)
    monkeypatch.setattr(engine(), "allocator", Allocator(small.allocate, small.free))
    return small


def network():
    nnmod.manualSeed(1)
    return nnmod.Sequential(nnmod.Linear(64, 64), nnmod.Tanh(), nnmod.Linear(64, 8)).cuda()


def step(net, x):
    y = net.forward(x)
    net.zeroGradParameters()
    net.backward(x, y)
    net.updateParameters(0.1)
    return y.numpy()


def test_a_batch_that_does_not_fit(device):
    """It names the module, and the network goes on with smaller batches as if nothing had been."""
    small = np.random.default_rng(1).standard_normal((8, 64)).astype(np.float32)
    with kernels.use_backend(reference):
        undisturbed = network()
        expected = [step(undisturbed, nnmod.cuda(small)) for _ in range(3)]
        net = network()
        first = step(net, nnmod.cuda(small))
        large = nnmod.cuda(np.zeros((2300, 64), np.float32))
        before = [p.numpy() for p in net.parameters()[0]]
        with pytest.raises(MemoryError, match=r"no memory for 576 KiB more: tensors hold .*; use smaller batches"
                           ) as caught:
            net.forward(large)
        assert caught.value.__notes__ == [
            "in module: Sequential[0] > Linear(64 -> 64).forward, given cuda.float32 (2300, 64)"]
        for p, kept in zip(net.parameters()[0], before):
            np.testing.assert_array_equal(p.numpy(), kept)
        del large, caught
        results = [first, *(step(net, nnmod.cuda(small)) for _ in range(2))]
    np.testing.assert_array_equal(results, expected)


def test_what_is_kept_unused_is_given_back_first(device):
    dropped = [nnmod.cuda(np.zeros(size, np.float32)) for size in (50_000, 60_000, 70_000)]
    del dropped
    assert engine().allocator.kept > 700_000
    x = nnmod.cuda(np.ones((3000, 64), np.float32))  # 750 KiB
    assert engine().allocator.kept == 0 and (x.numpy() == 1).all()


# -- kernels that do not compile -----------------------------------------------------------------------

@cuda.jit
def no_such_attribute(x):
    i = cuda.grid(1)
    x[i] = x.nothing


def no_such_name(x):
    return x * x * undefined  # noqa: F821


def no_such_field(x):
    y = x * x
    return y.field


def line_of(function, number):
    return function.__code__.co_firstlineno + number


@pytest.mark.parametrize("run", [emulator.launch, launch], ids=["NumPy", "device"])
def test_a_kernel_of_your_own(run):
    x = np.ones(32, np.float32)
    with pytest.raises(Exception, match="Unknown attribute 'nothing'") as caught:
        run(no_such_attribute, 1, 32, x if run is emulator.launch else nnmod.cuda(x))
    code = no_such_attribute.py_func.__code__
    assert f'test_cuda_errors.py", line {code.co_firstlineno + 3}' in str(caught.value)
    assert caught.value.__notes__ == [f"in kernel no_such_attribute, {code.co_filename}:{code.co_firstlineno}"]


@pytest.mark.parametrize("formula, line", [(no_such_name, 0), (no_such_field, 2)], ids=["name", "attribute"])
def test_a_formula(formula, line):
    """The line of the formula, whatever the kernel around it looks like."""
    x = nnmod.cuda(np.ones(32, np.float32))
    with pytest.raises(Exception, match=f'test_cuda_errors.py", line {line_of(formula, line)}:') as caught:
        kernels.elementwise(formula)(x, x.copy())
    assert caught.value.__notes__ == [f"in kernel {formula.__name__}, {__file__}:{line_of(formula, 0)}"]


# -- no compiler ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("asked, text", [("", kernels.NO_CUDA), ("driver", kernels.NO_CUDA),
                                         ("emulate", kernels.NO_EMULATOR)])
def test_without_numba_cuda(asked, text):
    code = ("import importlib.util, nnmod, numpy as np\n"
            "find = importlib.util.find_spec\n"
            "importlib.util.find_spec = lambda name, *rest: None if name == 'numba_cuda' else find(name, *rest)\n"
            "for call in (nnmod.Linear(2, 2).cuda, lambda: nnmod.cuda(np.zeros(3)), nnmod.MSECriterion().cuda):\n"
            "    try: call()\n"
            "    except RuntimeError as error: print(error)")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                            env=os.environ | {"NNMOD_CUDA": asked})
    assert result.stdout.splitlines() == [text] * 3, result.stderr
