"""Torch7's files: everything that the real Torch7 wrote, read and run."""
import io
import json
import math
import pathlib
import tarfile

import numpy as np
import pytest

import nnmod
from golden_data import GOLDEN
from nnmod.confusion import ConfusionMatrix
from nnmod.serialization import t7, t7_format
from nnmod.serialization.t7_format import Function, Storage, Table, Tensor, Torch
from test_golden import assert_close, check_criterion, check_module

FOLDER = pathlib.Path(__file__).parent / "golden"
_EXPECTED = json.loads((FOLDER / "t7" / "expected.json").read_text())
FILES = {entry["file"]: entry for entry in _EXPECTED["entries"]}
with np.load(FOLDER / "t7" / "expected.npz") as _archive:
    _ARRAYS = dict(_archive)


def archive():
    """The recorded modules: name -> bytes."""
    with tarfile.open(FOLDER / "modules.tar.xz") as tar:
        return {pathlib.Path(member.name).stem: tar.extractfile(member).read() for member in tar if member.isfile()}


MODULES = archive()
KINDS = {name: GOLDEN.case(name)["kind"] for name in MODULES}


def path_of(name):
    return FOLDER / "t7" / name


def array(reference):
    key, start, shape = _EXPECTED["tensors"][reference["$t"]]
    return _ARRAYS[key][start:start + math.prod(shape)].reshape(shape)


def recorded(name):
    return t7.load(io.BytesIO(MODULES[name]))


# -- the modules -----------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in MODULES if KINDS[n] == "module"])
def test_a_recorded_module_computes_what_torch_did(name, monkeypatch):
    case, module = GOLDEN.case(name), recorded(name)["module"]
    assert module.train == case["train"]
    assert module.type() == "cpu.float64" or not module.parameters()[0]
    if name.startswith("MapTable"):  # Torch lists what clones share once for each of them
        case["params"] = case["params"][:len(module.parameters()[0])]
    assert_close(module.parameters()[0], case["params"], "parameters", 0)
    module.zeroGradParameters()  # WeightNorm's file has something else
    check_module(name, case, module, "double", 1e-10, monkeypatch)


@pytest.mark.parametrize("name", [n for n in MODULES if KINDS[n] == "criterion"])
def test_a_recorded_criterion_computes_what_torch_did(name):
    check_criterion(name, GOLDEN.case(name), recorded(name)["module"], "double", 1e-10)


@pytest.mark.parametrize("name", [n for n in MODULES if KINDS[n] == "training"])
def test_a_recorded_network_computes_what_torch_did(name):
    file = recorded(name)
    net = file["module"]
    net.train = True
    if file.get("output") is None:
        assert net.getParameters()[0].size == GOLDEN.case(name)["flat_params_before"].size
        return
    assert_close(net.forward(file["input"]), file["output"], "output")


def test_the_archive_has_every_kind():
    assert len(MODULES) == 312 and set(KINDS.values()) == {"module", "criterion", "training"}


# -- the files -------------------------------------------------------------------------


class Comparison:
    """The recorded content of a file beside our raw objects: structure, values, what is shared."""

    def __init__(self, content):
        self.storages = content["storages"]
        self.tables, self.known = {}, {}  # number in the record -> our object

    def same(self, expected, raw):
        if isinstance(expected, dict) and "$ref" in expected:
            assert self.tables[expected["$ref"]] is raw
        elif isinstance(expected, dict) and "$table" in expected:
            assert self.tables.setdefault(expected["$table"], raw) is raw
            if expected["class"]:
                assert type(raw) is Torch and raw.name == expected["class"]
                raw = raw.content
            assert type(raw) is Table and len(raw.items) == len(expected["items"])
            plain = {self.key(key): value for key, value in raw.items if type(key) in (bool, float, bytes)}
            for key, value in expected["items"]:
                if isinstance(key, dict) and "$table" in key:
                    match, = (pair for pair in raw.items if type(pair[0]) is Table)
                    self.same(key, match[0])
                    self.same(value, match[1])
                else:
                    self.same(value, plain[self.key(key)])
        elif isinstance(expected, dict) and "$tensor" in expected:
            self.tensor(expected, raw)
        elif isinstance(expected, dict) and "$storage" in expected:
            self.storage(expected["$storage"], raw)
        elif isinstance(expected, dict) and "$function" in expected:
            assert type(raw) is Function and raw.code
        elif isinstance(expected, dict) and "$bytes" in expected:
            assert raw == bytes(expected["$bytes"])
        elif isinstance(expected, dict) and "$num" in expected:
            np.testing.assert_equal(raw, float(expected["$num"]))
        elif isinstance(expected, str):
            assert raw == expected.encode()
        else:
            assert raw == expected and isinstance(raw, bool) == isinstance(expected, bool)

    @staticmethod
    def key(key):
        return (type(key) is bool, key.encode() if isinstance(key, str) else key)

    def tensor(self, expected, raw):
        assert type(raw) is Tensor and raw.name == expected["$tensor"]
        assert list(raw.shape) == expected["shape"] and list(raw.strides) == expected["stride"]
        if expected["storage"] is not None:
            assert raw.offset == expected["offset"] - 1
            self.storage(expected["storage"], raw.storage)

    def storage(self, number, raw):
        assert self.known.setdefault(number, raw) is raw
        expected = self.storages[number - 1]
        assert type(raw) is Storage and raw.name == expected["type"] and raw.data.size == expected["size"]
        if "data" in expected and isinstance(expected["data"], dict) and "$t" in expected["data"]:
            np.testing.assert_array_equal(raw.data.astype(array(expected["data"]).dtype), array(expected["data"]))


#: Recorded after Torch had upgraded them: their own tests compare what that gives.
UPGRADED = {"weightnorm.t7", "legacy_bn_running_std.t7"}


@pytest.mark.parametrize("name", [n for n, entry in FILES.items() if entry.get("content") and n not in UPGRADED])
def test_a_file_holds_what_torch_wrote(name):
    content = FILES[name]["content"]
    Comparison(content).same(content["root"], t7_format.read(path_of(name).read_bytes()))


@pytest.mark.parametrize("name", [n for n, entry in FILES.items() if "output" in entry])
def test_a_network_in_a_file_computes_what_torch_did(name):
    entry, net = FILES[name], nnmod.load(path_of(name))
    if "network" in entry:
        net.evaluate()
    single = array(entry["output"]).dtype == np.float32 or net.type() == "cpu.float32"
    # Torch ran the old classes, which have no type in their files, in float64.
    input = array(entry["input"])
    if net.parameters()[0]:
        input = input.astype(net.parameters()[0][0].dtype)
    assert_close(net.forward(input), array(entry["output"]), "output", 1e-5 if single else 1e-10)
    if "params" in entry:
        assert_close(net.parameters()[0], [array(p) for p in entry["params"]], "parameters", 0)


@pytest.mark.parametrize("name", ["lenet5.t7", "vgg_small.t7"])
def test_a_trained_network_is_whole_and_learns_on(name):
    entry, net = FILES[name], nnmod.load(path_of(name))
    assert [m.__class__.__name__ for m in net.listModules()] == [n[3:] for n in entry["modules"]]
    flat, gradients = net.getParameters()
    assert flat.size == entry["nparams"] and flat.dtype == np.float32
    np.testing.assert_array_equal(flat, array(entry["flat_params"]))
    for bn in entry["bn"]:
        module = net.listModules()[bn["index"] - 1]
        np.testing.assert_array_equal(module.running_mean, array(bn["running_mean"]))
        np.testing.assert_array_equal(module.running_var, array(bn["running_var"]))
    criterion = nnmod.ClassNLLCriterion() if name == "lenet5.t7" else nnmod.CrossEntropyCriterion()
    if "train_X" not in entry:
        return
    x, y = array(entry["train_X"]).astype(np.float32), array(entry["train_Y"]).astype(np.int64) - 1
    nnmod.manualSeed(1)
    losses, config = [], {"learningRate": 0.05, "momentum": 0.9}

    def evaluate(_):
        gradients.fill(0)
        loss = criterion.forward(net.forward(x), y)
        net.backward(x, criterion.backward(net.output, y))
        return loss, gradients

    for _ in range(5):
        losses.append(nnmod.optim.sgd(evaluate, flat, config)[1][0])
    if name == "lenet5.t7":  # without dropout: it goes on where Torch stopped
        assert losses[0] < entry["losses"][-1] and losses == sorted(losses, reverse=True)
    assert np.isfinite(losses).all()


# -- values ----------------------------------------------------------------------------


def test_tables():
    root = nnmod.load(path_of("tables.t7"))
    assert root["self"] is root and root["alias"] is root["list"] and root["list"]["parent"] is root
    assert root["holes"] == {1: 1, 3: 3} and root["emptytab"] == []
    assert root["nested"] == {"a": {"b": {"c": {"d": 1.5}}}}
    assert type(root["big"]) is int and root["big"] == 2**53 and math.isnan(root["nan"])
    assert math.copysign(1, root["negzero"]) == -1
    assert root["utf8"] == "é日本" and root["bytes"] == b'a\x00b\x01\xff\n"quote"\\'
    # true and 1 are one key in Python: the boolean comes as a Key.
    keys = [key for key in root if isinstance(key, t7.Key)]
    assert sorted(map(type, (key.value for key in keys)), key=repr) == [bool, list] and root[1] == "one"
    assert {repr(key): root[key] for key in keys if key.value is True} == {"Key(True)": "bool key"}


def test_tensors_share_their_memory():
    views = nnmod.load(path_of("views.t7"))
    base = views["base"]
    base[...] = np.arange(24).reshape(4, 6)
    np.testing.assert_array_equal(views["col"], base[:, 3])
    assert views["expand"].strides[1] == 0 and views["four"].shape == (2, 2, 2, 2)


def test_tensor_types():
    for name in ("tensor_types.t7", "tensor_types_ascii.t7"):
        values = nnmod.load(path_of(name))
        types = {key: value.dtype.name for key, value in values.items() if isinstance(value, np.ndarray)}
        assert {"Double": "float64", "Float": "float32", "Long": "int64", "Int": "int32", "Short": "int16",
                "Char": "int8", "Byte": "uint8"}.items() <= types.items()


def test_shared_parameters_are_one_array():
    net = nnmod.load(path_of("shared_weights.t7"))
    assert net[0].weight is net[2].weight and net[0].bias is net[2].bias and net[0].gradWeight is net[2].gradWeight
    assert len(net.parameters()[0]) == 2


def test_a_module_that_stands_twice_comes_as_clones_that_learn_together():
    net = nnmod.load(path_of("same_module_twice.t7"))
    assert net[0] is not net[2] and net[0].weight is net[2].weight and net[0].gradBias is net[2].gradBias
    flat, _ = net.getParameters()
    assert flat.size == 12


def test_old_versions():
    assert nnmod.load(path_of("legacy_dropout.t7")).v1
    pool = nnmod.load(path_of("legacy_avgpool.t7"))
    assert (pool.padW, pool.ceilMode, pool.countIncludePad) == (0, False, True)
    assert not nnmod.load(path_of("legacy_reshape_threshold.t7")).inplace
    for name in ("legacy_v0_linear.t7", "legacy_v0_linear_ascii.t7"):
        linear = nnmod.load(path_of(name))
        assert linear.type() == "cpu.float64" and linear.forward(np.ones(2)).shape == (2,)
    norm = nnmod.load(path_of("legacy_bn_running_std.t7"))
    content = FILES["legacy_bn_running_std.t7"]["content"]
    variance = dict(content["root"]["items"])["running_var"]
    expected = array(content["storages"][variance["storage"] - 1]["data"])
    np.testing.assert_allclose(norm.running_var, expected, rtol=1e-14)


def test_the_weight_that_weight_norm_leaves_out_is_made():
    net = nnmod.load(path_of("weightnorm.t7"))
    norm, linear = net[0], net[0].modules[0]
    expected = norm.g * norm.v / np.sqrt((norm.v ** 2).sum(axis=1, keepdims=True) + 1e-4)
    np.testing.assert_allclose(linear.weight, expected, rtol=1e-14)
    assert [p.shape for p in net.parameters()[0]] == [(3, 4), (3, 1), (3,)]


def test_names_of_the_gpu_are_read_as_the_cpus():
    linear = nnmod.load(path_of("cuda_names_ascii.t7"))
    assert linear.type() == "cpu.float32"
    np.testing.assert_array_equal(linear.weight, array(FILES["cuda_names_ascii.t7"]["weight"]))


def test_a_checkpoint_of_modules_and_options():
    root = nnmod.load(path_of("table_of_modules.t7"))
    assert root["epoch"] == 12 and root["opt"]["layers"] == [10, 20] and root["opt"]["cuda"] is False
    assert isinstance(root["model"], nnmod.Sequential) and isinstance(root["criterion"], nnmod.ClassNLLCriterion)
    assert root["confusion"].mat.shape == (2, 2) and isinstance(root["confusion"], ConfusionMatrix)


def test_functions_are_bytes():
    root = nnmod.load(path_of("functions.t7"))
    assert isinstance(root["plain"], t7.Function) and isinstance(root["plain"].code, bytes)
    assert root["after"] == "value after functions"
    assert repr(root["plain"]).startswith("Function(")


def test_two_objects_in_a_file_the_first_is_read():
    assert nnmod.load(path_of("two_objects.t7")) == [1]


def test_file_objects_and_mmap():
    with open(path_of("views.t7"), "rb") as file:
        np.testing.assert_array_equal(nnmod.load(file)["base"], nnmod.load(path_of("views.t7"), mmap=True)["base"])
    views = nnmod.load(path_of("views.t7"), mmap=True)
    views["base"][...] = 7
    assert (views["col"] == 7).all() and (nnmod.load(path_of("views.t7"))["base"] != 7).any()


def test_loading_draws_no_random_numbers():
    nnmod.manualSeed(3)
    before = nnmod.random.get_state()
    nnmod.load(path_of("lenet5.t7"))
    assert nnmod.random.get_state() == before


def long4(*values):
    """A file with longs of four bytes, as Torch writes on Windows: {tensor of *values*, "x"}."""
    def integers(*numbers):
        return np.array(numbers, "<i4").tobytes()

    def text(value):
        return integers(len(value)) + value

    data = np.array(values, "<f4").tobytes()
    tensor = (integers(4, 2) + text(b"V 1") + text(b"torch.FloatTensor") + integers(1, len(values), 1, 1)
              + integers(4, 3) + text(b"V 1") + text(b"torch.FloatStorage") + integers(len(values)) + data)
    one, two = (integers(1) + np.array([n], "<f8").tobytes() for n in (1, 2))
    return integers(3, 1, 2) + one + tensor + two + integers(2) + text(b"x")


@pytest.mark.parametrize("values", [(1.5, -2.0, 3.0), (0.0, 0.0), (0.0,) * 8, (7.0,)])
def test_longs_of_four_bytes(values):
    tensor, word = nnmod.load(io.BytesIO(long4(*values)))
    assert word == "x"
    np.testing.assert_array_equal(tensor, np.float32(values))


def test_only_1_is_true():
    """As Torch reads it."""
    two = (5).to_bytes(4, "little") + (2).to_bytes(4, "little")
    table = b"".join(n.to_bytes(4, "little") for n in (3, 1, 1)) + two + two
    assert nnmod.load(io.BytesIO(two)) is False and nnmod.load(io.BytesIO(b"5\n2\n")) is False
    assert nnmod.load(io.BytesIO(table)) == {False: False}
    assert nnmod.load(io.BytesIO(b"5\n1\n")) is True


def test_deep_nesting():
    depth, value = 100_000, 1.0
    for _ in range(depth):
        value = {"in": value}
    file = io.BytesIO()
    nnmod.save(file, value)
    for copy in (nnmod.load(io.BytesIO(file.getvalue())), value):
        levels = 0
        while isinstance(copy, dict):
            copy, levels = copy["in"], levels + 1
        assert (copy, levels) == (1, depth)
    while isinstance(value, dict):  # taken apart by hand: Python's own way recurses
        value = value.pop("in")
