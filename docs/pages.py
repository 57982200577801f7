"""The generated pages: one a class, the table from Torch7 to nnmod, and what tests each class.

Everything comes from the library, the table of test cases and the recorded data, so the
pages cannot say what is not so.
"""
import collections
import contextlib
import functools
import importlib
import inspect
import io
import os
import pathlib
import re
import tomllib

import nnmod
from nnmod import Criterion, Module, cli, optim

HERE = pathlib.Path(__file__).parent
CHANGES = tomllib.loads((HERE / "changes.toml").read_text())
METHODS_OF_TORCH = tomllib.loads((HERE / "methods.toml").read_text())
#: Classes that others derive from, and no network is made of.
BASES = {"AbstractRecurrent", "Branching", "Container", "Criterion", "Elementwise", "Module", "PointwiseCriterion"}


def write(folder):
    """Write every generated page below *folder*."""
    reference = folder / "reference"
    reference.mkdir(exist_ok=True)
    rooms = collections.defaultdict(list)
    for name, cls in public_classes().items():
        rooms[cls.__module__.rpartition(".")[2]].append(name)
        _keep(reference / f"{name}.rst", _titled(name) + f".. autoclass:: nnmod.{name}\n")
    for name in public_methods():
        rooms["optim"].append(f"optim.{name}")
        _keep(reference / f"optim.{name}.rst", _titled(f"optim.{name}") + f".. autofunction:: nnmod.optim.{name}\n")
    text = _titled("Reference")
    for room in sorted(rooms):
        text += _titled(room.replace("_", " "), "-")
        text += ".. toctree::\n   :maxdepth: 1\n\n" + "".join(f"   {name}\n" for name in sorted(rooms[room])) + "\n"
    _keep(reference / "index.rst", text)
    known = {"index", *(name for names in rooms.values() for name in names)}
    for page in reference.glob("*.rst"):
        if page.stem not in known:
            page.unlink()  # of a class that is no more
    _keep(folder / "from_torch7.rst", _titled("From Torch7 to nnmod") + FROM_TORCH7 + table(
        ("Torch7", "nnmod", "what changed"), from_torch7()) + "\n" + _titled("Methods", "-") + METHODS_TEXT + table(
        ("Torch7", "nnmod", "what changed"), methods_from_torch7()))
    _keep(folder / "command.rst", _titled("The nnmod command") + COMMAND + command())
    _keep(folder / "tested.rst", _titled("What tests each class") + TESTED + table(
        ("class", "configurations", "recorded from Torch7", "beside PyTorch"), tested()) +
        "\n" + _titled("Optimizers", "-") + METHODS + table(
        ("method", "recorded from Torch7", "beside PyTorch"), tested_methods()))


def public_classes():
    """Name to class, for every module and criterion that nnmod exports."""
    return {name: value for name, value in sorted(vars(nnmod).items())
            if isinstance(value, type) and issubclass(value, (Module, Criterion))}


def public_methods():
    """The functions of nnmod.optim."""
    return [name for name, value in sorted(vars(optim).items())
            if inspect.isfunction(value) and not name.startswith("_")]


FROM_TORCH7 = """Every name of Torch7's nn, nngraph, optim and rnn, with Torch's arguments. What holds for all:

- dims, indices and classes count **from 0**; negative dims count from the end;
- arguments have Torch's names and order, and can be named;
- a table is a list, and an absent tensor is None;
- None for the number of inputs takes it from the first input;
- ``noBias()``, ``ceil()`` and their like are arguments, too;
- gradients start at zero, and ``backward`` checks that ``forward`` saw the same input;
- two modules share a weight if ``a.weight is b.weight``; ``getParameters()`` can be called again;
- wrong shapes, types and indices raise before anything is written;
- NaN is never hidden, and where Torch's gradient is wrong, nnmod's is the derivative.

"""


def from_torch7():
    """Rows of (Torch's constructor, nnmod's, what changed)."""
    for torchs, signature in catalogue():
        ours = CHANGES["renamed"].get(torchs, torchs)
        arguments = signature[len(torchs):]
        if torchs in CHANGES["absent"]:
            yield f"``{torchs}{arguments}``", "not there", CHANGES["absent"][torchs]
            continue
        parameters = str(inspect.signature(resolve(ours))).replace("()", "")
        yield (f"``{torchs}{arguments}``", f"``{ours}{parameters}``",
               "; ".join(changed(torchs, arguments, ours)) or CHANGES["unchanged"])


def catalogue():
    """Torch's full names with their signatures: ("optim.sgd", "optim.sgd")."""
    for section in tomllib.loads((HERE / "catalogue.toml").read_text()).values():
        for signature in section["classes"]:
            signature = section.get("prefix", "") + signature
            yield signature.partition("(")[0], signature


def resolve(name):
    """What nnmod calls *name*, such as optim.sgd; AttributeError where there is no such thing."""
    package, _, last = name.rpartition(".")
    return getattr(importlib.import_module(f"nnmod.{package}") if package else nnmod, last)


def changed(torchs, arguments, ours):
    """What a user of Torch must know about one name: a list of phrases."""
    from golden_build import ONE_BASED

    parameters = list(inspect.signature(resolve(ours)).parameters)
    numbered = [parameters[i] for i in ONE_BASED.get(torchs, ()) if i < len(parameters)]
    if numbered:
        yield " and ".join(f"``{name}``" for name in numbered) + (
            " counts from 0" if len(numbered) == 1 else " count from 0")
    if "(" in arguments:
        known = set(re.findall(r"\w+", arguments))
        yield from (CHANGES["argument"][name] for name in parameters
                    if name in CHANGES["argument"] and name not in known)
    if torchs in CHANGES["changed"]:
        yield CHANGES["changed"][torchs]


METHODS_TEXT = """Every method of Torch7's classes, where a class has it first. Methods that change a
module, such as ``setMaxNorm`` or ``ceil``, return it.

"""


def methods_from_torch7():
    """Rows of (Torch's method, nnmod's, what changed)."""
    changed, written, absent = (METHODS_OF_TORCH[section] for section in ("changed", "written", "absent"))
    for name, signature in torch_methods():
        arguments = signature[signature.index("("):]
        torchs = f"``{name}{arguments}``"
        if name in absent:
            yield torchs, "not there", absent[name]
        elif name in written:
            yield torchs, f"``{written[name]}``", CHANGES["unchanged"]
        else:
            owner, method = owner_of(name)
            parameters = [str(p) for p in inspect.signature(method).parameters.values() if p.name != "self"]
            yield (torchs, f"``{owner}.{method.__name__}({', '.join(parameters)})``",
                   changed.get(name, CHANGES["unchanged"]))


def torch_methods():
    """("nn.Linear:noBias", "noBias()") for every method of Torch's."""
    for package in ("nn", "nngraph", "optim", "rnn"):
        for cls, methods in METHODS_OF_TORCH[package].items():
            for method in methods:
                yield f"{package}.{cls}:{method.partition('(')[0]}", method


def owner_of(name):
    """What nnmod calls the class of Torch's method *name*, and the method; AttributeError where there is none."""
    cls, method = name.partition(".")[2].split(":")
    ours = {"Jacobian": "testing.Jacobian", "SparseJacobian": "testing.SparseJacobian", "Node": "node.Node"}.get(cls, cls)
    owner = resolve(ours)
    return ours, getattr(owner, method)


COMMAND = """``nnmod``, or ``python -m nnmod``, looks into model files, and converts, runs, times and checks
them. It needs nothing but nnmod itself; checkpoints need ``nnmod[checkpoint]``, plots ``nnmod[plot]``.
Its exit code is 0 where all is good, 1 where the answer is no (a gradient is wrong, a model has parts that
cannot run), and 2 for bad usage or a bad file, with one line on standard error that says what is wrong.
From Python, ``nnmod.summary.summarize`` and ``nnmod.timing.time_layers`` give what ``info`` and ``time`` show.

"""


def command():
    """The help of the command and of each subcommand, as a terminal of 90 columns shows it."""
    text = _help()
    for name in cli.COMMANDS:
        text += _titled(f"nnmod {name}", "-") + _help(name)
    return text


def _help(*name):
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "92"  # argparse leaves two free
    try:
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            cli.main([*name, "--help"])
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before
    lines = "".join(f"   {line}".rstrip() + "\n" for line in shown.getvalue().splitlines())
    return f".. code-block:: text\n\n{lines}\n"


TESTED = """Each configuration of a class goes through every check of ``nnmod.testing``: gradients by finite
differences, accumulation, memory, NaN, the compiled kernels against the reference, copies, types,
errors. The recorded cases are those of the real Torch7, the comparison with PyTorch is over random
arguments. For a base class the configurations are those of its subclasses.

"""

METHODS = """The options, states, errors and paths of the optimizers are tested in ``tests/test_optim.py`` and
``tests/test_optim_search.py``.

"""


def tested():
    """Rows of (class, configurations, recorded cases, compared with PyTorch)."""
    from cases import CASES, CRITERION_CASES
    from torch_twins import TWINS

    configurations = collections.Counter()
    for case in (*CASES, *CRITERION_CASES):
        inside = {type(m) for m in case.make().listModules()}
        exact = {cls.__name__ for cls in inside}
        configurations.update(exact)
        configurations.update({b.__name__ for cls in inside for b in cls.__mro__[1:]
                               if b.__name__ in BASES} - exact)
    recorded = recordings()
    twins = {twin.id.partition("-")[0] for twin in TWINS}
    for name in public_classes():
        yield (f":doc:`{name} <reference/{name}>`", str(configurations[name] or ""),
               str(recorded[name] or not_recorded(name)),
               "yes" if name in twins else CHANGES["not_compared"].get(name, "PyTorch has no such class"))


def tested_methods():
    """Rows of (method, recorded cases, compared with PyTorch)."""
    recorded = recordings()
    for name in public_methods():
        name = f"optim.{name}"
        yield (f":doc:`{name} <reference/{name}>`", str(recorded[name] or not_recorded(name)),
               CHANGES["compared"].get(name) or CHANGES["not_compared"].get(name, "PyTorch has no such method"))


@functools.cache
def recordings():
    """How many recorded cases a class, or a method of optim, has a part in: a Counter."""
    from golden_build import classes
    from golden_data import GOLDEN

    recorded = collections.Counter()
    for name in GOLDEN.names("module", "criterion", "module_error", "optim", "misc"):
        case = GOLDEN.case(name)
        used = {name.partition("__")[0], case["class"].removeprefix("nn."), *classes(case.get("new", {}))}
        if case["group"] == "optim":
            used |= set(functions(case))
        recorded.update(used)
    return recorded


def functions(value):
    """The names of all functions in the options of a recorded case."""
    if isinstance(value, dict):
        if "$function" in value:
            yield value["$function"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from functions(item)


def not_recorded(name):
    """Why the real Torch7 recorded nothing of *name*."""
    reason = CHANGES["not_recorded"].get(name)
    if reason is None and "rnn" in inspect.getdoc(resolve(name)):
        reason = "of rnn, of which nothing was recorded"
    return reason or ""


def table(head, rows):
    """A reStructuredText table; raises ValueError for an empty cell."""
    text = ".. list-table::\n   :header-rows: 1\n\n"
    for row in (head, *rows):
        if not all(cell.strip() for cell in row):
            raise ValueError(f"a cell is empty: {row}")
        text += "".join(f"   {'*' if i == 0 else ' '} - {cell}\n" for i, cell in enumerate(row))
    return text


def _titled(text, line="="):
    return f"{text}\n{line * len(text)}\n\n"


def _keep(path, text):
    """Write only what changed, so that Sphinx does not read every page again."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
