"""What the README shows is true: its examples run, its two commands stand where they should."""
import pathlib
import re

import numpy as np
import pytest

from nnmod import testing

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.S)


def test_the_first_example_learns(capsys):
    assert README.index(EXAMPLES[0]) < 1500, "the example belongs to the first screen"
    assert len([line for line in EXAMPLES[0].splitlines() if line.strip()]) <= 24
    exec(compile(EXAMPLES[0], "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert int(re.search(r"right: (\d+)%", printed)[1]) >= 95, printed


def test_the_formula_example_keeps_every_promise():
    scope = {"__name__": __name__}
    exec(compile(EXAMPLES[1], "README.md", "exec"), scope)
    try:
        globals()["Swish"] = scope["Swish"]  # pickle looks the class up by its module
        testing.check_module(scope["Swish"], np.random.default_rng(0).standard_normal((3, 4)))
    finally:
        del globals()["Swish"]


def test_two_commands_of_one_line_each():
    section = README.split("## Two commands\n")[1].split("\n## ")[0]
    commands = re.findall(r"```sh\n(.*?)```", section, re.S)
    assert len(commands) == 2 and all(len(c.strip().splitlines()) == 1 for c in commands)
    for script in re.findall(r"\S+\.py", " ".join(commands)):
        assert (ROOT / script).exists()


@pytest.mark.parametrize("name", re.findall(r"`([A-Z]\w+)`", README.split("## What is inside")[1].split("###")[0]))
def test_every_class_that_is_named_exists(name):
    import nnmod
    from nnmod import optim, training

    assert any(hasattr(place, name) for place in (nnmod, training, optim)), name
