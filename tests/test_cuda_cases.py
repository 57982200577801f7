"""Every case of the table through the CUDA kernels, which run in the emulator, beside the reference kernels.

The modules make the calls, so each kernel gets the shapes, options and optional tensors that it
will meet.  Of each kernel that was launched the PTX is read: no float64 in a kernel of float32.
"""
import re
import sys

import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from cases import CASES, CRITERION_CASES
from nnmod import kernels, testing
from nnmod.kernels import cuda
from nnmod.kernels.cuda import target
from nnmod.kernels.cuda.emulator import launch

_read = set()


@pytest.fixture(autouse=True)
def stays_in_float32():
    """Of all kernels that the test compiles, those of float32 hold no instruction of float64.

    Those that sum up in float64 on purpose say why, with compile.wide, or write float64 tensors.
    """
    yield
    launched = sys.modules[launch.__module__]._kernels
    for key in launched.keys() - _read:
        function, kinds, capability, fastmath = key
        _read.add(key)
        names = " ".join(map(str, kinds))
        if "array(float32" not in names or "array(float64" in names or getattr(function, "wide", ""):
            continue
        wide = re.findall(r"^.*[a-z]\S*\.f64.*$",
                          target.ptx(function, kinds, capability, fastmath, getattr(function, "launch_bounds", None)),
                          re.MULTILINE)
        assert not wide, f"{function.__module__}.{function.__name__}({names}) computes in float64: {wide[:3]}"


def run(check, *arguments):
    with kernels.use_backend(cuda):
        try:
            check(*arguments)
        except cuda.MissingKernel as missing:
            pytest.skip(str(missing))


@pytest.mark.parametrize("case", [case for case in CASES if "backends" not in case.excused], ids=lambda case: case.id)
def test_module(case):
    run(testing.check_backends, case.make, case.input())


@pytest.mark.parametrize("case", CRITERION_CASES, ids=lambda case: case.id)
def test_criterion(case):
    run(testing.check_criterion_backends, case.make, *case.arguments())
