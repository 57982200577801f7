"""Torch7's files: every file and every module that the real Torch7 wrote, read, run and written again."""
import io
import json
import pathlib
import tarfile

import numpy as np
import pytest

import nnmod
from golden_data import GOLDEN
from nnmod.serialization import t7, t7_format
from test_golden import assert_close, check_criterion, check_module

FOLDER = pathlib.Path(__file__).parent / "golden"
EXPECTED = {entry["file"]: entry for entry in json.loads((FOLDER / "t7" / "expected.json").read_text())["entries"]}


def archive():
    """The recorded modules: name -> bytes."""
    with tarfile.open(FOLDER / "modules.tar.xz") as tar:
        return {pathlib.Path(member.name).stem: tar.extractfile(member).read() for member in tar if member.isfile()}


MODULES = archive()
#: Modules whose file leaves part of their state out, so that they cannot give what was recorded.
_KINDS = {name: GOLDEN.case(name)["kind"] for name in MODULES}


def recorded(name):
    return t7.load(io.BytesIO(MODULES[name]))


def indices(value):
    """Arrays of Torch's whole numbers, as the cases have them."""
    return value


@pytest.mark.parametrize("name", [n for n in MODULES if _KINDS[n] == "module"])
def test_a_recorded_module_computes_what_torch_did(name, monkeypatch):
    case, file = GOLDEN.case(name), recorded(name)
    module = file["module"]
    assert module.train == case["train"]
    assert_close(module.parameters()[0], case["params"], "parameters", 0)
    check_module(name, case, module, "double", 1e-10, monkeypatch)


@pytest.mark.parametrize("name", [n for n in MODULES if _KINDS[n] == "criterion"])
def test_a_recorded_criterion_computes_what_torch_did(name):
    check_criterion(name, GOLDEN.case(name), recorded(name)["module"], "double", 1e-10)
