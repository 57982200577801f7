"""Beside the package torchfile: what both read is the same, and what it makes of damaged files is the same or refused."""
import io
import math
import random

import numpy as np
import pytest

import nnmod
from fuzz_t7 import mutated, seeds
from nnmod.serialization import t7_format
from nnmod.serialization.t7_format import Function, Storage, Table, Tensor, Torch
from test_t7 import FILES, MODULES, path_of

torchfile = pytest.importorskip("torchfile")

#: Classes that write another number of objects than torchfile believes; it has None for a tds container in itself.
OTHERWISE = (b"torch.Timer", b"nn.GPU", b"tds")


def theirs(data, path):
    """What torchfile makes of *data*; None where it fails, whatever the way."""
    path.write_bytes(data)
    try:
        return torchfile.load(str(path))
    except Exception:  # it has no errors of its own
        return None


def number(raw):
    return int(raw) if raw.is_integer() else raw


def assert_same(raw, value):
    """A raw object of nnmod's holds what torchfile returned."""
    seen, waiting = set(), [(raw, value)]
    while waiting:
        raw, value = waiting.pop()
        if (id(raw), id(value)) in seen:
            continue
        seen.add((id(raw), id(value)))
        if isinstance(raw, (Tensor, Storage)):
            array = raw.array if isinstance(raw, Tensor) else raw.data
            assert array.dtype == value.dtype and array.shape == value.shape
            np.testing.assert_array_equal(array, value)
        elif isinstance(raw, Torch):
            assert raw.name.encode() == value._typename and raw.version == value._version_number
            waiting.append((raw.content, value._obj))
        elif isinstance(raw, Function):
            assert raw.code == value.dumped
            waiting.append((raw.upvalues, value.upvalues))
        elif isinstance(raw, Table):
            value = {i + 1: item for i, item in enumerate(value)} if isinstance(value, list) else value
            plain = {number(key) if isinstance(key, float) else key: item for key, item in raw.items
                     if isinstance(key, (float, bytes, bool)) and key == key}
            kept = {key: item for key, item in value.items() if isinstance(key, (int, float, bytes, bool)) and key == key}
            assert plain.keys() == kept.keys()
            waiting += [(item, kept[key]) for key, item in plain.items()]
        elif isinstance(raw, float):
            assert not isinstance(value, (bool, bytes)) and (value == raw or (math.isnan(raw) and math.isnan(value)))
        else:
            assert type(raw) is type(value) and raw == value


def test_recorded_files_that_both_read_hold_the_same(tmp_path):
    files = {name: path_of(name).read_bytes() for name in FILES} | MODULES
    read = []
    for name, data in files.items():
        value = theirs(data, tmp_path / "file.t7")
        if value is not None and not any(word in data for word in OTHERWISE):
            read.append(name)
            assert_same(t7_format.read(data), value)
    assert len(read) > 100, "torchfile reads fewer files than it did"
    assert {"plain_table.t7", "views.t7", "lenet5.t7"} & set(read)


def test_containers_of_tds_are_read_alike(tmp_path):
    vector, made, file = Torch("tds.Vec", 0), Torch("tds.Hash", 0), io.BytesIO()
    vector.content, made.content = Table(), Table()
    vector.content.items += [(1.0, b"x"), (2.0, None), (3.0, 2.5)]
    made.content.items += [(b"v", vector), (b"n", 4.0)]
    t7_format.Writer(file).object(made)
    value = theirs(file.getvalue(), tmp_path / "file.t7")
    assert dict(value) == {b"v": [b"x", None, 2.5], b"n": 4}
    assert nnmod.load(tmp_path / "file.t7") == {"v": ["x", None, 2.5], "n": 4}


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files_that_it_reads_are_the_same_or_refused(seed, tmp_path):
    """Its arrays are looked at only where nnmod found that they lie within their storage."""
    rng = random.Random(seed)
    files = [data for data in seeds(3_000).values() if not any(word in data for word in OTHERWISE)]
    both = refused = 0
    for _ in range(1500):
        data = mutated(rng.choice(files), files, rng)
        value = theirs(data, tmp_path / "file.t7")
        if value is None or any(word in data for word in OTHERWISE):
            continue
        try:
            nnmod.load(tmp_path / "file.t7")
        except nnmod.T7Error:
            refused += 1
            continue
        assert_same(t7_format.read(data), value)
        both += 1
    assert both > 100 and refused > 10
