"""Every test, and every example in a docstring, starts from the same seed."""
import importlib.util
import os
import re

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")

import nnmod

# Without numba there is nothing to look for in the compiled backend.
collect_ignore_glob = [] if importlib.util.find_spec("numba") else [
    "nnmod/kernels/cpu/*", "nnmod/kernels/cuda/*", "tests/test_benchmarks.py", "tests/*_draws.py", "tests/soak_*.py"]
# Kernels for CUDA are compiled by numba-cuda.
collect_ignore_glob += [] if importlib.util.find_spec("numba_cuda") else [
    "nnmod/kernels/cuda/*", "tests/cuda_*.py"]
# The examples of SciPy's methods need SciPy.
collect_ignore_glob += [] if importlib.util.find_spec("scipy") else ["nnmod/optim/scipy_methods.py"]


@pytest.fixture(autouse=True)
def seed():
    nnmod.manualSeed(7)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """With several processes, the tests of one class go to one of them: its kernels compile once."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            names = re.findall(r"[A-Z][A-Za-z0-9]{2,}", item.nodeid.partition("[")[2])
            if names:
                item.add_marker(pytest.mark.xdist_group(names[0]))
