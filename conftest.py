"""Every test, and every example in a docstring, starts from the same seed."""
import importlib.util
import os

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")

import nnmod

# Without numba there is nothing to look for in the compiled backend.
collect_ignore_glob = [] if importlib.util.find_spec("numba") else ["nnmod/kernels/cpu/*"]
# The examples of SciPy's methods need SciPy.
collect_ignore_glob += [] if importlib.util.find_spec("scipy") else ["nnmod/optim/scipy_methods.py"]


@pytest.fixture(autouse=True)
def seed():
    nnmod.manualSeed(7)
