"""How Sphinx builds the documentation: python -m sphinx -W -b html docs docs/_build"""
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
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False

FORMULAS = tomllib.loads((HERE / "formulas.toml").read_text())


def shapes_as_they_stand(app, what, name, obj, options, lines):
    """A section Shapes is a table of words: it keeps its columns.  A class starts with its formula."""
    out = []
    index = 0
    while index < len(lines):
        line = lines[index]
        if line.strip() == "Shapes" and index + 1 < len(lines) and set(lines[index + 1].strip()) == {"-"}:
            out += [".. rubric:: Shapes", "", ".. code-block:: text", ""]
            index += 2
            while index < len(lines) and lines[index].strip():
                out.append("   " + lines[index])
                index += 1
            out.append("")
        else:
            out.append(line)
            index += 1
    lines[:] = out
    formula = FORMULAS.get(name.rpartition(".")[2]) if what == "class" else None
    if formula:
        lines[1:1] = ["", ".. math::", "", *("   " + text for text in formula.strip().splitlines()), ""]


def setup(app):
    pages.write(HERE)
    # Before napoleon, which would take the section apart.
    app.connect("autodoc-process-docstring", shapes_as_they_stand, priority=100)
