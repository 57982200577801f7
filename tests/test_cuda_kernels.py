"""Every kernel's CUDA twin: the same name, in the same file, with the same signature as the reference."""
import ast
import inspect
import pathlib

import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from nnmod.kernels import cuda, reference

FOLDER = pathlib.Path(cuda.__file__).parent

NAMES = sorted(name for name, value in vars(reference).items() if inspect.isfunction(value))


def exports(package):
    """name -> the file that a package's __init__ takes it from."""
    tree = ast.parse(pathlib.Path(package.__file__).read_text())
    return {alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.level
            for alias in node.names}


@pytest.mark.parametrize("name", NAMES)
def test_twin(name):
    twin = vars(cuda).get(name)
    assert twin is not None, f"kernels/cuda has no {name}"
    assert str(inspect.signature(twin)) == str(inspect.signature(getattr(reference, name)))
    assert exports(cuda)[name] == exports(reference)[name], "a twin stands in the same file"


def test_nothing_else_is_exported():
    assert set(exports(cuda)) <= set(exports(reference))


def test_a_name_that_is_no_kernel():
    with pytest.raises(AttributeError, match="has no attribute 'no_such_kernel'") as caught:
        cuda.no_such_kernel
    assert not isinstance(caught.value, cuda.MissingKernel)
