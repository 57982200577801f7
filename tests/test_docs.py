"""The documentation says what is so: formulas, examples, the tables, and pages that build without a warning."""
import inspect
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

DOCS = pathlib.Path(__file__).parent.parent / "docs"
sys.path.insert(0, str(DOCS))
import pages  # noqa: E402
from golden_build import GRAD_INPUTS, INPUTS, ONE_BASED, OUTPUTS, SPECIAL, TARGETS  # noqa: E402
from test_golden import DEVIATIONS, REFUSED_AT_ONCE  # noqa: E402

CLASSES = list(pages.public_classes())
METHODS = [f"optim.{name}" for name in pages.public_methods()]
TORCHS = [torchs for torchs, _ in pages.catalogue()]


def test_every_class_has_a_formula_and_every_formula_a_class():
    formulas = tomllib.loads((DOCS / "formulas.toml").read_text())
    assert sorted(formulas) == sorted(CLASSES + METHODS)
    for name, formula in formulas.items():
        assert formula.strip() and formula.count("{") - formula.count(r"\{") == (
            formula.count("}") - formula.count(r"\}")), f"{name}: braces do not match"
        assert re.findall(r"\\begin\{(\w+)\}", formula) == re.findall(r"\\end\{(\w+)\}", formula), name


@pytest.mark.parametrize("name", CLASSES + METHODS)
def test_every_class_has_an_example(name):
    assert ">>> " in inspect.getdoc(pages.resolve(name)), f"{name}: the docstring shows no example"


@pytest.mark.parametrize("torchs", TORCHS)
def test_every_name_of_torch_stands_for_something(torchs):
    if torchs in pages.CHANGES["absent"]:
        with pytest.raises(AttributeError):
            pages.resolve(torchs)
    else:
        pages.resolve(pages.CHANGES["renamed"].get(torchs, torchs))


METHODS_OF_TORCH = dict(pages.torch_methods())


@pytest.mark.parametrize("name", METHODS_OF_TORCH)
def test_every_method_of_torch_stands_for_something(name):
    """It is there, with as many arguments; or another way is written, or a reason."""
    toml = pages.METHODS_OF_TORCH
    if name in toml["absent"] or name in toml["written"]:
        assert not (name in toml["absent"] and name in toml["written"])
        if name.endswith(("__", ":forget", ":remember", ":fixPoolingRegions", ":resize")):
            return  # Python's own, of some classes alone, or another thing of that name
        with pytest.raises(AttributeError):
            pages.owner_of(name)
        return
    _, method = pages.owner_of(name)
    assert callable(method) and inspect.getdoc(method)
    theirs = [a for a in METHODS_OF_TORCH[name].partition("(")[2].rstrip(")").split(", ") if a]
    ours = [p for p in inspect.signature(method).parameters.values() if p.name != "self"]
    starred = any(p.kind is p.VAR_POSITIONAL for p in ours)
    known = FEWER_ARGUMENTS.get(name, 0)
    assert starred or len(ours) >= len(theirs) - known, f"{name}: {ours}"


#: Arguments that nnmod does without, as docs/methods.toml says.
FEWER_ARGUMENTS = {"rnn.AbstractRecurrent:forget": 1, "optim.ConfusionMatrix:render": 1}


def test_what_is_said_of_methods_is_of_methods_that_are_there():
    for section in ("changed", "written", "absent"):
        assert set(pages.METHODS_OF_TORCH[section]) <= set(METHODS_OF_TORCH), section
    assert set(FEWER_ARGUMENTS) <= set(pages.METHODS_OF_TORCH["changed"])


def test_every_class_is_in_the_catalogue_or_not_torchs():
    ours = {pages.CHANGES["renamed"].get(torchs, torchs) for torchs in TORCHS}
    not_torchs = {"Branching", "Criterion", "Elementwise", "Fused", "Module", "PointwiseCriterion", "AbstractRecurrent",
                  "optim.bfgs", "optim.lbfgs_scipy"}
    assert set(CLASSES + METHODS) - ours == not_torchs


def test_what_differs_is_said():
    """What the recorded cases had to be translated by, or differ in, has its sentence."""
    differs = {*INPUTS, *TARGETS, *OUTPUTS, *GRAD_INPUTS, *SPECIAL}
    differs |= {case.partition("__")[0] for case in (*DEVIATIONS, *REFUSED_AT_ONCE)}
    assert differs <= set(pages.CHANGES["changed"]), "docs/changes.toml says nothing of these"
    rows = {ours.strip("`").partition("(")[0]: what for _, ours, what in pages.from_torch7()}
    for name in ONE_BASED:
        assert re.search("counts? from 0", rows[name]), name


def test_changes_are_of_names_that_are_there():
    changes = pages.CHANGES
    for section in ("changed", "renamed", "absent"):
        assert set(changes[section]) <= set(TORCHS), f"[{section}] of docs/changes.toml"
    for section in ("not_recorded", "not_compared", "compared"):
        assert set(changes[section]) <= set(CLASSES + METHODS), f"[{section}] of docs/changes.toml"
    parameters = {name for cls in pages.public_classes().values() for name in inspect.signature(cls).parameters}
    assert set(changes["argument"]) <= parameters


@pytest.mark.parametrize("rows", [pages.from_torch7, pages.methods_from_torch7, pages.tested, pages.tested_methods], ids=lambda f: f.__name__)
def test_no_cell_is_empty(rows):
    cells = [cell for row in rows() for cell in row]
    assert cells and all(isinstance(cell, str) and cell.strip() for cell in cells)


def test_reasons_are_not_out_of_date():
    """What is recorded, or compared, needs no reason why it is not."""
    recorded = pages.recordings()
    assert not [name for name in pages.CHANGES["not_recorded"] if recorded[name]]
    compared = [row[0].split()[0].removeprefix(":doc:`") for row in pages.tested() if row[3] == "yes"]
    assert not set(compared) & set(pages.CHANGES["not_compared"])


def test_the_optimizers_that_are_compared():
    from test_optim import test_pytorch_takes_the_same_path as compared
    argument_sets = compared.pytestmark[0].args[1]
    # nag has a test of its own.
    assert {f"optim.{args[0].__name__}" for args in argument_sets} | {"optim.nag"} == set(pages.CHANGES["compared"])


def test_the_table_refuses_an_empty_cell():
    assert pages.table(("a", "b"), [("1", "2")]).endswith("   * - 1\n     - 2\n")
    with pytest.raises(ValueError, match="a cell is empty"):
        pages.table(("a", "b"), [("1", " ")])


def test_the_page_of_the_command_has_every_subcommand(tmp_path):
    (tmp_path / "reference").mkdir()
    pages.write(tmp_path)
    text = (tmp_path / "command.rst").read_text()
    for name in pages.cli.COMMANDS:
        assert f"nnmod {name}\n------" in text and f"   usage: nnmod {name} " in text


def test_pages_of_what_is_gone_are_removed(tmp_path):
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "Gone.rst").write_text("Gone\n====\n")
    pages.write(tmp_path)
    written = {path.stem for path in (tmp_path / "reference").glob("*.rst")}
    assert written == {"index", *CLASSES, *METHODS}


def test_pages_build_without_a_warning(tmp_path):
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")
    result = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", tmp_path / "trees",
                             "-b", "text", DOCS, tmp_path / "text"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "text" / "reference" / "Linear.txt").read_text()
    for part in ("Affine map", r"y = x W^{\top} + b", "inputSize", "(N, inputSize) or (inputSize,)\n", "Source: Torch7",
                 "Linear(3 -> 2)"):
        assert part in page, part
