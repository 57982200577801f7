"""How Sphinx builds the documentation: python -m sphinx -W -b html docs docs/_build"""
import importlib.util
import pathlib
import sys
import tomllib

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "tests")]

import nnmod  # noqa: E402
import pages  # noqa: E402

project = "nnmod"
author = "the nnmod developers"
copyright = author
version = release = nnmod.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
html_theme = "furo"
html_title = f"nnmod {version}"
exclude_patterns = ["_build"]
# Without numba-cuda there is nothing of CUDA's to import, and its pages lack what is drawn from docstrings.
suppress_warnings = [] if importlib.util.find_spec("numba_cuda") else ["autodoc.import_object"]
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = ["Shapes"]

FORMULAS = tomllib.loads((HERE / "formulas.toml").read_text())


def prepare(app, what, name, obj, options, lines):
    """Docstrings as napoleon wants them: the table of Shapes keeps its columns, parameters end where prose begins.

    Behind its first paragraph stands the formula.
    """
    out = []
    section = None
    index = 0
    while index < len(lines):
        line = lines[index]
        if line and index + 1 < len(lines) and set(lines[index + 1]) == {"-"}:
            section = line
            out += [line, lines[index + 1]]
            index += 2
            if section == "Shapes":
                out += [".. code-block:: text", ""]
                while index < len(lines) and lines[index]:
                    out.append("   " + lines[index])
                    index += 1
            continue
        after = lines[index + 1:index + 2]
        if section == "Parameters" and line and not line.startswith(" ") and not (
                after and after[0].startswith(" ")):
            section = None
            out.append("")  # two empty lines end a section
        out.append(line)
        index += 1
    lines[:] = out
    formula = FORMULAS.get(name.removeprefix("nnmod.")) if what in ("class", "function") else None
    if formula:
        at = _end_of_first_paragraph(lines)
        lines[at:at] = ["", ".. math::", "", *("   " + text for text in formula.strip().splitlines()), ""]


def _end_of_first_paragraph(lines):
    """Behind the first paragraph, and behind the block of code that it may introduce."""
    at = lines.index("") if "" in lines else len(lines)
    if lines[at - 1].endswith("::"):
        while at < len(lines) and (not lines[at] or lines[at].startswith(" ")):
            at += 1
    return at


def setup(app):
    pages.write(HERE)
    # Before napoleon, which would take the section apart.
    app.connect("autodoc-process-docstring", prepare, priority=100)
