"""The generated pages: one a class, the table from Torch7 to nnmod, and what tests each class.

Everything comes from the library, the table of test cases and the recorded data, so the
pages cannot say what is not so.
"""
import collections
import inspect
import pathlib
import tomllib

import nnmod
from nnmod import Criterion, Module, optim

HERE = pathlib.Path(__file__).parent


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
    _keep(folder / "from_torch7.rst", _titled("From Torch7 to nnmod") + FROM_TORCH7 + table(
        ("Torch7", "nnmod", "what changed"), from_torch7()))
    _keep(folder / "tested.rst", _titled("What tests each class") + TESTED + table(
        ("class", "configurations", "recorded from Torch7", "beside PyTorch"), tested()))


def public_classes():
    """Name to class, for every module and criterion that nnmod exports."""
    return {name: value for name, value in sorted(vars(nnmod).items())
            if isinstance(value, type) and issubclass(value, (Module, Criterion))}


def public_methods():
    """The functions of nnmod.optim."""
    return [name for name, value in sorted(vars(optim).items())
            if inspect.isfunction(value) and not name.startswith("_")]


FROM_TORCH7 = """Every name of Torch7's nn, nngraph, optim and rnn, with Torch's arguments. What holds for all:
dims, indices and classes count from 0; arguments can be named; ``bias=False`` stands for
``noBias()``, ``ceilMode=True`` for ``ceil()``; a table is a list.

"""


def from_torch7():
    """Rows of (Torch's constructor, nnmod's, what changed)."""
    changes = tomllib.loads((HERE / "changes.toml").read_text())
    for section in tomllib.loads((HERE / "catalogue.toml").read_text()).values():
        prefix = section.get("prefix", "")
        for signature in section["classes"]:
            name = signature.partition("(")[0]
            ours = changes.get("renamed", {}).get(name, prefix + name)
            yield (f"``{prefix}{signature}``", f"``{ours}{_signature(ours)}``",
                   changes.get(name) or changes["unchanged"])


def _signature(name):
    value = nnmod
    for part in name.split("."):
        value = getattr(value, part)
    return str(inspect.signature(value)).replace("()", "")


TESTED = """Each configuration goes through every check of ``nnmod.testing``: gradients by finite
differences, accumulation, memory, NaN, the compiled kernels against the reference, copies,
types, errors. The recorded numbers are those of the real Torch7.

"""


def tested():
    """Rows of (class, configurations, recorded cases, compared with PyTorch)."""
    from cases import CASES, CRITERION_CASES
    from golden_build import classes
    from golden_data import GOLDEN
    from torch_twins import TWINS

    reasons = tomllib.loads((HERE / "changes.toml").read_text())
    configurations = collections.Counter()
    for case in (*CASES, *CRITERION_CASES):
        made = case.make()
        configurations.update({type(m).__name__ for m in made.listModules()})
    recorded = collections.Counter()
    for name in GOLDEN.names("module", "criterion", "module_error"):
        recorded.update(set(classes(GOLDEN.case(name).get("new", {}))))
    twins = {twin.id.partition("-")[0] for twin in TWINS}
    for name in public_classes():
        yield (f":doc:`{name} <reference/{name}>`", str(configurations[name] or ""),
               str(recorded[name] or reasons["not_recorded"].get(name, "no case of it was recorded")),
               "yes" if name in twins else reasons["no_twin"].get(name, "PyTorch has no such class"))


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
