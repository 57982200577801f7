"""The house's rules, read from the source: imports, exports, docstrings, twins."""
import ast
import inspect
import pathlib
import re
import subprocess
import sys

import pytest

import nnmod
from cases import CASES, CRITERION_CASES

ROOT = pathlib.Path(nnmod.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

#: The layers, lowest first.  A file imports from its own layer (unless it is a room) and below.
ROOMS = {
    "activation", "convolution", "criterion", "dropout", "gradient", "linear", "local_normalization", "normalization",
    "pointwise", "pooling", "reshape", "sigmoid", "softmax", "table",
    "broadcast", "decorator", "distance", "lookup", "sparse",
    "full_convolution", "local_convolution", "plane_convolution", "row_convolution",
    "dynamic_pooling", "lp_pooling", "resampling", "sampling",
    "classification_criterion", "composite_criterion", "embedding_criterion",
    "bidirectional", "ctc", "gates", "mask", "recurrence", "recurrent", "sequence", "sequencer",
    "arithmetic", "indexing", "layout", "padding", "product", "reduction", "routing", "maxout",
}
LAYERS = [
    {"kernels"},
    {"errors", "nested", "node"},
    {"tensor"},
    {"check", "flat", "geometry", "random", "torch_generator", "init", "joining", "rows", "drawing", "notebook"},
    {"stateful"},
    {"module"},
    {"elementwise"},
    {"container", "windowed", "tables", "steps", "step_of_modules"},
    ROOMS,
    {"testing_tools"},
    {"optim", "training", "confusion", "data", "testing", "serialization",
     "fused", "replay", "graph", "graph_modules", "graphviz", "hessian", "jacobian", "summary", "timing", "warmup"},
    {"commands", "cli", "__main__"},
]
#: Composites: rooms that are made of another room.  criterion.py holds the contract of all losses, which
#: the rooms with the losses derive from; cross entropy is made of a LogSoftMax.
ALLOWED_BETWEEN_ROOMS = {
    ("classification_criterion", "criterion"), ("classification_criterion", "softmax"),
    ("embedding_criterion", "criterion"), ("composite_criterion", "criterion"),
    # CReLU is a Sequential of a negation, a join and a ReLU.
    ("activation", "pointwise"), ("activation", "reshape"), ("activation", "table"),
    # A Recurrent starts with an Add, and merges and squashes by default as Torch's does.
    ("recurrence", "arithmetic"), ("recurrence", "broadcast"), ("recurrence", "sigmoid"),
    # A whole sequence becomes its step (toFastLSTM); any module becomes a step (Recursor).
    ("sequence", "recurrent"), ("sequencer", "recurrence"),
    # A cell with noise or statistics is a step of modules; gates.py makes them.
    ("recurrent", "gates"),
    *(("gates", room) for room in ("arithmetic", "broadcast", "dropout", "linear", "normalization", "pointwise",
                                   "reshape", "routing", "sigmoid", "table")),
    ("bidirectional", "arithmetic"), ("bidirectional", "sequence"), ("bidirectional", "sequencer"),
    ("bidirectional", "table"),
    ("sequencer", "criterion"), ("mask", "criterion"), ("ctc", "criterion"), ("mask", "lookup"),
    # Maxout is a Sequential of a Linear, a View and a Max.
    ("maxout", "linear"), ("maxout", "reduction"), ("maxout", "reshape"),
}


def layer(name):
    for index, names in enumerate(LAYERS):
        if name in names:
            return index
    raise AssertionError(f"nnmod/{name} has no place in the architecture: give it a layer in this test")


def top_level_name(path):
    """linear for nnmod/linear.py, kernels for anything below nnmod/kernels."""
    parts = path.relative_to(ROOT).parts
    return parts[0].removesuffix(".py")


def imported_names(path):
    """The top-level nnmod names that a file imports, wherever in the file."""
    package = ["nnmod", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, node.module] if node.module else base)
            modules = [f"{prefix}.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            if module.startswith("nnmod."):
                yield module.split(".")[1], module


@pytest.mark.parametrize("path", [p for p in FILES if p != ROOT / "__init__.py"],
                         ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down(path):
    name = top_level_name(path)
    for imported, module in imported_names(path):
        if imported == name:
            continue
        if name == "kernels":
            pytest.fail(f"kernels import nothing from the rest of nnmod, but {path.name} imports {module}")
        if name in ROOMS and imported in ROOMS:
            assert (name, imported) in ALLOWED_BETWEEN_ROOMS, f"rooms do not import rooms: {module}"
            continue
        if name == "random" and module == "nnmod.kernels.reference.random":
            continue
        assert layer(imported) <= layer(name), f"nnmod/{name} must not import {module}, which stands above it"


def test_optim_sees_tensors_and_never_modules():
    for path in (ROOT / "optim").glob("*.py"):
        above = {imported for imported, _ in imported_names(path)} & {"module", "container", *ROOMS}
        assert not above, f"{path.name} imports {above}"


def test_importing_nnmod_is_light():
    """No compiler, no driver, nothing that only some users have."""
    code = ("import sys, nnmod; heavy = {'numba', 'llvmlite', 'scipy', 'matplotlib', 'tqdm', 'safetensors'};"
            "sys.exit(', '.join(heavy & set(sys.modules)) or None)")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, f"import nnmod imports {result.stderr}"


@pytest.mark.parametrize("path", sorted(ROOT.rglob("__init__.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_exports_are_explicit(path):
    """A package re-exports names one by one, ``from .x import Name as Name``, sorted by file."""
    if path == ROOT / "kernels" / "__init__.py":
        return  # the dispatcher, not a list
    modules = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            for alias in node.names:
                assert alias.name != "*" and alias.asname == alias.name, f"{path}: {ast.unparse(node)}"
            modules.append(node.module or "")
    assert modules == sorted(modules)


def public_classes():
    for name, value in vars(nnmod).items():
        if isinstance(value, type) and issubclass(value, (nnmod.Module, nnmod.Criterion)):
            yield name, value


BASES = {"Module", "Container", "Branching", "Criterion", "PointwiseCriterion", "Elementwise", "AbstractRecurrent"}


@pytest.mark.parametrize("name, cls", list(public_classes()), ids=lambda v: v if isinstance(v, str) else "")
def test_every_class_has_a_case_and_a_docstring_with_shapes(name, cls):
    doc = inspect.getdoc(cls)
    assert doc and "Shapes\n------" in doc, f"{name}: the docstring needs a section Shapes"
    assert re.search(r"^input", doc, re.M), f"{name}: the docstring gives no shape of the input"
    if name in BASES:
        return
    assert "Source:" in doc, f"{name}: the docstring names no source"
    parameters = list(inspect.signature(cls).parameters)
    if parameters:
        assert "Parameters\n----------" in doc, f"{name}: the docstring needs a section Parameters"
        for parameter in parameters:
            assert re.search(rf"\b{parameter}\b", doc), f"{name}: {parameter} is not documented"
    made = [type(case.make()) for case in (*CASES, *CRITERION_CASES)]
    inside = [type(m) for case in (*CASES, *CRITERION_CASES) for m in case.make().listModules()]
    assert cls in made or cls in inside, f"{name} has no case in tests/cases.py"


def test_every_module_class_of_a_room_is_exported():
    for room in ROOMS | {"container"}:
        for name, value in vars(__import__(f"nnmod.{room}", fromlist=[room])).items():
            if isinstance(value, type) and value.__module__ == f"nnmod.{room}" and not name.startswith("_"):
                assert getattr(nnmod, name, None) is value, f"nnmod does not export {room}.{name}"


def kernel_names(backend):
    return {name for name, value in vars(backend).items()
            if inspect.isfunction(value) and not name.startswith("_")}


def test_backends_are_twins():
    """The same kernels with the same signatures; the reference says what each argument is."""
    from nnmod.kernels import reference
    cpu = pytest.importorskip("nnmod.kernels.cpu", reason="numba is not installed", exc_type=ImportError)
    assert kernel_names(cpu) == kernel_names(reference)
    for name in kernel_names(cpu):
        here, there = getattr(cpu, name), getattr(reference, name)
        assert str(inspect.signature(here)) == str(inspect.signature(there)), name
        assert here.__doc__ and there.__doc__, f"{name} has no docstring"
        if "work_size" not in name:
            for parameter in inspect.signature(there).parameters:
                documented = re.search(rf"\b{parameter}\b", there.__doc__ + (inspect.getmodule(there).__doc__ or "")
                                       + reference.__doc__)
                assert documented, f"reference.{name}: {parameter} is not documented"
        assert here.__module__.rpartition(".")[2] == there.__module__.rpartition(".")[2], f"{name}: another room"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_house_style(path):
    text = path.read_text()
    lines = text.splitlines()
    assert ast.get_docstring(ast.parse(text)), f"{path.name} does not say what it is for"
    assert len(lines) <= 650, f"{path.name} has {len(lines)} lines: split it by concept"
    for number, line in enumerate(lines, 1):
        assert len(line) <= 120, f"{path.name}:{number} is {len(line)} characters long"
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", line), f"{path.name}:{number}: {line.strip()}"
    allowed_to_print = {"training.py", "compile.py", "cmaes.py", "decorator.py", "lbfgs.py",
                        "reshape.py"} | (
        {"__init__.py"} if path.parent.name == "kernels" else set())
    if path.name not in allowed_to_print:
        for node in ast.walk(ast.parse(text)):
            called = isinstance(node, ast.Call) and getattr(node.func, "id", "")
            assert called != "print", f"{path.name}:{node.lineno} prints"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_public_functions_are_documented(path):
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            if path.name.endswith("formulas.py") or any(
                    word in ast.unparse(d) for d in node.decorator_list for word in ("jit", "inline", "native")):
                continue
            assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"
