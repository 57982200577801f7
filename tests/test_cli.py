"""The nnmod command, through its real entry: what it says, its exit codes, bad files, bad usage."""
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import nnmod
from nnmod import cli, warmup
from nnmod.commands import doctor, files, shapes, text, values
from nnmod.serialization.t7 import Opaque, Record

ROOT = pathlib.Path(__file__).parent.parent
T7 = ROOT / "tests" / "golden" / "t7"
LENET, TABLES, MODELS, GRAPH = (str(T7 / name) for name in (
    "lenet5.t7", "tables.t7", "table_of_modules.t7", "gmodule.t7"))


@pytest.fixture
def nn(capsys):
    """Runs the command; returns its exit code, its output and its errors."""
    def run(*arguments):
        code = cli.main(list(map(str, arguments)))
        said = capsys.readouterr()
        return code, said.out, said.err
    return run


def refused(result, words):
    """Exit code 2, no output, and one line on stderr that has *words*."""
    code, out, err = result
    assert code == 2 and out == "", result
    assert err.startswith("nnmod: ") and err.count("\n") == 1 and "Traceback" not in err
    assert re.search(words, err), err


def small():
    nnmod.manualSeed(3)
    return nnmod.Sequential(nnmod.Linear(3, 4), nnmod.Tanh(), nnmod.Linear(4, 2))


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small.t7"
    nnmod.save(path, small())
    return path


@pytest.fixture
def unknown(tmp_path):
    path = tmp_path / "unknown.t7"
    net = small()
    net.add(Opaque("nn.Mystery", 1, {"gain": 2.5, "table": np.ones(3)}))
    nnmod.save(path, net)
    return path


# -- the command as a whole -----------------------------------------------------------


def test_as_a_process_with_python_m(model):
    def run(*arguments, **words):
        return subprocess.run([sys.executable, "-m", "nnmod", *map(str, arguments)], capture_output=True, text=True,
                              cwd=ROOT, env=os.environ | {"NNMOD_QUIET": "1"}, **words)

    done = run("info", model)
    assert done.returncode == 0 and "Linear(3 -> 4)" in done.stdout and done.stderr == ""
    done = run("info", "missing.t7")
    assert done.returncode == 2 and done.stderr == "nnmod: missing.t7: No such file or directory\n"
    assert run("--version").stdout == f"nnmod {nnmod.__version__}\n"


def test_a_reader_that_leaves_early_breaks_nothing(tmp_path):
    path = tmp_path / "many.t7"
    nnmod.save(path, {f"key{i}": f"value {i}" for i in range(20000)})
    command = f"{sys.executable} -m nnmod list {path} | head -2"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, cwd=ROOT,
                          env=os.environ | {"NNMOD_QUIET": "1"})
    assert done.returncode == 0 and done.stderr == "" and len(done.stdout.splitlines()) == 2


def test_help_has_examples_and_every_command(nn):
    code, out, _ = nn("--help")
    names = re.findall(r"^    (\w+) +[a-z]", out, re.M)
    assert code == 0 and names == list(cli.COMMANDS)
    for name in names:
        code, out, _ = nn(name, "--help")
        assert code == 0 and f"examples:\n  nnmod {name}" in out


@pytest.mark.parametrize("arguments, words", [
    ([], ""), (["frobnicate"], "invalid choice"), (["info"], "required: FILE"), (["time", LENET], "required: --input"),
    (["check", LENET, "--input", "1x1x28x28", "--samples", "-1"], "must be a whole number, 0 or more"),
    (["time", LENET, "--input", "1x1x28x28", "--seconds", "nan"], "must be a number of seconds"),
    (["list", LENET, "--depth", "x"], "must be a whole number"),
])
def test_bad_usage(nn, arguments, words):
    code, _, err = nn(*arguments)
    assert code == 2 and words in err


def test_wide_and_narrow_terminals(nn, monkeypatch):
    monkeypatch.setattr(text, "width", lambda: 60)
    narrow = nn("info", LENET, "--input", "1x1x28x28")[1]
    rows = [line for line in narrow.splitlines() if re.match(r"layer|Sequential|  \d", line)]
    assert len(rows) == 13 and all(len(line) <= 60 for line in rows) and any(".." in line for line in rows)
    assert "86,400" in narrow and "10  LogSoftMax" in narrow
    monkeypatch.setattr(text, "width", lambda: 200)
    assert ".." not in nn("info", LENET, "--input", "1x1x28x28")[1]


def test_text_from_a_file_cannot_steer_the_terminal(nn, tmp_path):
    path = tmp_path / "evil.t7"
    nnmod.save(path, {"a\x1b[2J": "\x1b]0;title\x07\u202e", "b": Record("x\x1b[31m", 1, {"f": 1})})
    for arguments in (["list", path], ["cat", path], ["cat", path, "a\x1b[2J"], ["info", path], ["list", path, "--json"]):
        code, out, _ = nn(*arguments)
        assert code == 0 and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", out)
    refused(nn("cat", path, "no\x1b"), r"no\\x1b")


@pytest.mark.parametrize("command", [
    ["info"], ["list"], ["cat"], ["convert", "OUT"], ["run", "OUT"], ["time", "--input", "1"],
    ["check", "--input", "1"], ["warmup", "--input", "1"]])
def test_files_that_cannot_be_read(nn, tmp_path, command):
    name, *rest = command
    rest = [str(tmp_path / "out.npz") if word == "OUT" else word for word in rest]
    missing, folder, foreign, cut, empty = (tmp_path / name for name in ("missing.t7", "folder", "a.txt", "cut.t7", "e"))
    folder.mkdir()
    foreign.write_text("hello, this is no model\n")
    cut.write_bytes(pathlib.Path(LENET).read_bytes()[:5000])
    empty.touch()
    refused(nn(name, missing, *rest), r"missing.t7: No such file")
    refused(nn(name, folder, *rest), r"folder: Is a directory")
    refused(nn(name, foreign, *rest), r"a.txt: this is a text file.*\(at byte 0\)")
    refused(nn(name, cut, *rest), r"cut.t7: .*\(at byte \d+\)")
    refused(nn(name, empty, *rest), r"the file is empty")
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("name, data, words", [
    ("a.npz", b"PK\x03\x04 not a zip at all", "damaged|zip"), ("b.npy", b"\x93NUMPY\x01\x00\x10\x00{'descr'", "damaged"),
    ("c.safetensors", (40).to_bytes(8, "little") + b'{"a":1}' + b" " * 60, "damaged|cannot"),
])
def test_damaged_files_of_other_kinds(nn, tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    refused(nn("list", tmp_path / name), words)


def test_arrays_of_objects_are_not_unpickled(nn, tmp_path):
    np.savez(tmp_path / "o.npz", a=np.array([{}, []], object))
    np.save(tmp_path / "o.npy", np.array([{}, []], object))
    refused(nn("list", tmp_path / "o.npz"), "holds more than tensors")
    refused(nn("list", tmp_path / "o.npy"), "holds more than tensors")


def test_a_shape_that_is_none(nn):
    for wrong in ("3xx4", "", "1x-2", "0x3", "1.5", "axb", "1x" * 40 + "1"):
        refused(nn("info", LENET, f"--input={wrong}"), "is no shape")
    refused(nn("info", LENET, "--input", "99999x99999x9999"), "too many for one input")


def test_shapes():
    net = nnmod.Linear(3, 2).double()
    assert shapes.make("4x3", net).dtype == np.float64 and shapes.make("4X3", net).shape == (4, 3)
    pair = shapes.make("2x3, 5:int", net)
    assert pair[0].shape == (2, 3) and pair[1].shape == (5,) and pair[1].dtype == np.int64 and not pair[1].any()
    np.testing.assert_array_equal(shapes.make("4x3", net), shapes.make("4x3", net))
    named = shapes.make("words=5:int,image=3x8x8", net)
    assert {name: x.shape for name, x in named.items()} == {"words": (5,), "image": (3, 8, 8)}
    for wrong in ("a=3,4", "a=3,a=4", "3=4", "a="):
        with pytest.raises(text.CommandError):
            shapes.parse(wrong)


def test_a_model_that_takes_a_table_with_names(nn, tmp_path):
    net = nnmod.MapTable(nnmod.Linear(4, 2))
    nnmod.save(tmp_path / "net.t7", net)
    code, out, _ = nn("info", tmp_path / "net.t7", "--input", "a=3x4,b=5x4")
    assert code == 0 and "{a: 3x2, b: 5x2}" in out
    np.savez(tmp_path / "x.npz", **shapes.make("a=3x4,b=5x4", net))
    assert nn("run", tmp_path / "net.t7", tmp_path / "x.npz", "-o", tmp_path / "y.npz")[0] == 0
    with np.load(tmp_path / "y.npz") as archive:
        assert {name: archive[name].shape for name in archive.files} == {"a": (3, 2), "b": (5, 2)}
    assert "output b: float32 5x2" in nn("run", tmp_path / "net.t7", tmp_path / "x.npz")[1]
    assert nn("time", tmp_path / "net.t7", "--input", "a=3x4,b=5x4", "--repeats", "2")[0] == 0
    net.forward(shapes.make("a=3x4,b=5x4", net))
    assert "{a: 3x2, b: 5x2}" in net._repr_html_()


# -- info ------------------------------------------------------------------------------


def test_info_of_a_model(nn):
    code, out, err = nn("info", LENET, "--input", "2x1x28x28")
    assert code == 0 and err == ""
    assert "Torch7 file, binary, 1.2 MB, float32" in out
    assert re.search(r"^  3   SpatialConvolution\(6 -> 12, 5x5\) +2x12x8x8 +1,812 +230,400$", out, re.M)
    assert re.search(r"^  10  LogSoftMax\(\) +2x10 +- +-$", out, re.M)
    assert "parameters  14,158  (56.6 kB)" in out and "arithmetic  427,440 multiply-adds a forward (854,880 FLOPs)" in out
    code, out, _ = nn("info", LENET)
    assert code == 0 and "14,158" in out and "--input 1x3x224x224" in out and "multiply-adds" not in out


def test_info_as_json(nn):
    code, out, _ = nn("info", GRAPH, "--input", "2x3", "--json")
    found = json.loads(out)
    assert code == 0 and found["parameters"] == 42 and found["multiply_adds"] == 64 and found["type"] == "cpu.float64"
    assert [layer["output"] for layer in found["layers"]] == [[2, 2]] + [[2, 3]] + 4 * [[2, 4]] + [[2, 2]]
    assert found["layers"][1]["path"] == "0" and found["opaque"] == []
    assert json.loads(nn("info", LENET, "--json")[1])["multiply_adds"] is None


def test_info_where_the_input_does_not_fit_names_the_layer(nn):
    refused(nn("info", LENET, "--input", "1x3x28x28"), r"lenet5.t7: input must have shape \(N, 1, H, W\).*"
            r"in module: Sequential\[0\] > SpatialConvolution")
    refused(nn("time", LENET, "--input", "1x1x20x20"), r"in module: Sequential\[")


def test_info_marks_what_cannot_run_and_names_all_of_it(nn, unknown):
    for more in ([], ["--input", "1x3"]):
        code, out, _ = nn("info", unknown, *more)
        assert code == 1 and re.search(r"^  3  \?\? nn.Mystery, opaque", out, re.M)
        assert "nn.Mystery at 3: nnmod does not know this class" in out
    code, out, _ = nn("info", unknown, "--json")
    assert code == 1 and "nn.Mystery" in json.loads(out)["opaque"][0]
    refused(nn("time", unknown, "--input", "1x3"), "nnmod cannot run: nn.Mystery")


def test_integers_as_an_input(nn, tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "words.safetensors"
    nnmod.save_checkpoint(path, nnmod.Sequential(nnmod.LookupTable(9, 3), nnmod.SeqLSTM(3, 4)))
    code, out, _ = nn("info", path, "--input", "7x2:int")
    assert code == 0 and re.search(r"LookupTable\(9 x 3\) +7x2x3", out)
    refused(nn("info", path, "--input", "7x2"), r"must be int32 or int64.*--input 7x2:int.*LookupTable")
    code, out, _ = nn("check", path, "--input", "7x2:int", "--samples", "2")
    assert code == 0 and "All 3 gradients are right: of" in out and "gradInput" not in out
    assert "inputs a second" not in nn("time", path, "--input", "7x2:int", "--repeats", "1")[1]


def test_info_of_data_and_of_one_model_among_others(nn, tmp_path):
    code, out, _ = nn("info", TABLES)
    assert code == 0 and "It holds no model but data: table of 23" in out and "nnmod list" in out
    assert json.loads(nn("info", TABLES, "--json")[1])["model"] is None
    assert "Linear(2 -> 2)" in nn("info", MODELS)[1]  # the one at model
    path = tmp_path / "two.t7"
    nnmod.save(path, {"best": small(), "last": [small()], "n": 1})
    refused(nn("info", path), r"holds 2 models \((best, last.0|last.0, best)\): say which with --at")
    assert nn("info", path, "--at", "last.0")[0] == 0
    refused(nn("info", path, "--at", "n"), "n is no model but 1")
    refused(nn("time", TABLES, "--input", "1"), "holds no model but table of 23")


# -- list and cat --------------------------------------------------------------------


def test_list_of_a_table_with_modules(nn):
    code, out, _ = nn("list", MODELS)
    assert code == 0
    for line in (r"opt.layers +list of 2: 10, 20", r"model.0.weight +float64 2x2 +32 B", r"opt.cuda +false",
                 r"criterion.weights +float64 2 ", r"loss +list of 2: 2.3, 1.1"):
        assert re.search(f"^{line}", out, re.M), line
    assert [line.split()[0] for line in nn("list", MODELS, "--at", "model", "--depth", "1")[1].splitlines()[1:3]] == [
        "model", "model.0"]
    entries = {entry["path"]: entry for entry in json.loads(nn("list", MODELS, "--json")[1])["entries"]}
    assert entries["model.0.weight"] == {"path": "model.0.weight", "what": "float64 2x2", "dtype": "float64",
                                         "shape": [2, 2], "bytes": 32}
    assert entries["loss"]["value"] == [2.3, 1.1] and "loss.0" not in entries and entries["epoch"]["value"] == 12


def test_list_of_a_table_with_cycles_and_every_kind_of_key(nn):
    code, out, _ = nn("list", TABLES)
    assert code == 0 and re.search(r"^self +the same as \(all\)$", out, re.M)
    assert re.search(r"^list +the same as alias$", out, re.M) and re.search(r"^nested.a.b.c.d +1.5$", out, re.M)
    found = json.loads(nn("list", TABLES, "--json")[1])
    assert {"path": "nan", "what": "nan", "value": "nan"} in found["entries"]


@pytest.mark.parametrize("name", sorted(path.name for path in T7.glob("*.t7")))
def test_every_golden_file_can_be_listed_and_shown(nn, name):
    code, out, err = nn("list", T7 / name)
    assert code == 0 and err == ""
    paths = [entry["path"] for entry in json.loads(nn("list", T7 / name, "--json")[1])["entries"]]
    for path in paths[:40]:
        assert nn("cat", T7 / name, path)[0] == 0, path
    assert nn("info", T7 / name)[0] == 0


def test_cat(nn, tmp_path):
    code, out, _ = nn("cat", LENET, "0.weight")
    assert code == 0 and out.startswith("float32 6x1x5x5, -0.199856 .. 0.209638, mean 0.0059")
    assert nn("cat", LENET, "0.kW")[1] == "5\n" and nn("cat", MODELS, "opt.name")[1] == "adam\n"
    assert nn("cat", MODELS, "opt.layers")[1] == "10, 20\n" and nn("cat", TABLES, "1.5")[1] == "half\n"
    assert "Linear(192 -> 60)" in nn("cat", LENET)[1] and "opt: table of 4" in nn("cat", MODELS)[1]
    weight = nnmod.load(LENET)[7].weight
    assert len(nn("cat", LENET, "7.weight")[1]) < 5000 < len(nn("cat", LENET, "7.weight", "--all")[1])
    out = tmp_path / "w.npy"
    assert nn("cat", LENET, "7.weight", "-o", out)[0] == 0
    np.testing.assert_array_equal(np.load(out), weight)
    refused(nn("cat", LENET, "7.weight", "-o", out), "exists: --force replaces it")
    refused(nn("cat", LENET, "7", "-o", tmp_path / "w2.npy"), "holds one tensor, and this is Linear")
    refused(nn("cat", LENET, "7", "-o", tmp_path / "w.t7"), "nnmod convert")
    refused(nn("cat", LENET, "7.gain"), "there is no 7.gain: 7 has weight, bias")
    refused(nn("cat", MODELS, "epoch.x"), "there is no epoch.x: epoch has nothing inside, it is 12")
    refused(nn("cat", MODELS, "nothing"), "the file has opt, epoch, model|the file has .*model")


def test_cat_tells_nan(nn, tmp_path):
    np.save(tmp_path / "x.npy", np.array([1.0, np.nan, np.inf, 3.0]))
    assert "float64 4, 1 .. 3, mean 2, 2 of 4 not finite" in nn("cat", tmp_path / "x.npy")[1]


def test_opaque_fields_and_checkpoints_can_be_looked_into(nn, unknown, tmp_path):
    assert nn("cat", unknown, "3.gain")[1] == "2.5\n" and "3.table" in nn("list", unknown)[1]
    pytest.importorskip("safetensors")
    path = tmp_path / "c.safetensors"
    nnmod.save_checkpoint(path, small(), epoch=4, optimizer={"t": 3})
    out = nn("list", path)[1]
    assert "model.0.weight" in out and re.search(r"^optimizer.t +3$", out, re.M)
    assert nn("cat", path, "epoch")[1] == "4\n"


def test_safetensors_of_others_can_be_listed(nn, tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    path = tmp_path / "foreign.safetensors"
    numpy.save_file({"layer.weight": np.ones((2, 3), np.float32)}, path)
    assert re.search(r"^layer.weight +float32 2x3", nn("list", path)[1], re.M)
    assert nn("cat", path, "layer.weight")[0] == 0
    refused(nn("time", path, "--input", "1"), "holds no model")


def test_paths_with_dots_and_names_that_collide():
    value = {"a.b": {"c": 1}, "a": {"b": 2, "b.c": 3}, 1: "number", "1": "text"}
    assert values.at(value, "a.b.c") == 1 and values.at(value, "a.b") == {"c": 1}
    assert [name for name, _ in values.children(value)] == ["a.b", "a", "1", "1'"]
    assert values.at(value, "1") == "number" and values.at(value, "1'") == "text"


def test_files_that_are_nested_very_deeply(nn, tmp_path):
    deep = value = {}
    for _ in range(20_000):
        value["a"] = {}
        value = value["a"]
    assert values.at(deep, ".".join(["a"] * 2_000)) != {}
    nnmod.save(tmp_path / "deep.t7", deep)
    assert len(json.loads(nn("list", tmp_path / "deep.t7", "--json")[1])["entries"]) == values.DEEPEST + 1
    assert nn("info", tmp_path / "deep.t7")[0] == 0 and nn("cat", tmp_path / "deep.t7", "a.a.a")[0] == 0
    refused(nn("convert", tmp_path / "deep.t7", tmp_path / "x.npz"), "nested 500 deep")
    net = nnmod.Tanh()
    for _ in range(2000):
        around = nnmod.Sequential()
        around.modules = [net]  # add() looks at the whole tree, each time
        net = around
    nnmod.save(tmp_path / "net.t7", net)
    code, out, _ = nn("info", tmp_path / "net.t7", "--input", "3")
    assert code == 1 and "nested more than 200 deep" in out
    refused(nn("time", tmp_path / "net.t7", "--input", "3"), "nested more than 200 deep|too deep")
    with pytest.raises(text.CommandError, match="containers 500 deep and deeper"):
        values.model(net, None, "net.t7")


# -- convert and run --------------------------------------------------------------------


def test_convert_round_trips(nn, model, tmp_path):
    pytest.importorskip("safetensors")
    x = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    expected = small().forward(x)
    before = model
    for name in ("a.safetensors", "b.t7a", "c.t7", "d.safetensors", "e.t7"):
        code, out, err = nn("convert", before, tmp_path / name)
        assert code == 0 and err == "" and str(tmp_path / name) in out
        value, kind = files.read(str(tmp_path / name))
        assert kind == {".safetensors": "checkpoint", ".t7a": "t7-ascii", ".t7": "t7"}[(tmp_path / name).suffix]
        np.testing.assert_array_equal(values.model(value, None, name).forward(x), expected)
        before = tmp_path / name
    assert (tmp_path / "c.t7").read_bytes() == (tmp_path / "e.t7").read_bytes()


def test_convert_to_arrays(nn, model, tmp_path):
    assert nn("convert", model, tmp_path / "w.npz")[0] == 0
    with np.load(tmp_path / "w.npz") as archive:
        assert set(archive.files) == {"0.weight", "0.bias", "2.weight", "2.bias"}
        np.testing.assert_array_equal(archive["2.bias"], small()[2].bias)
    code, _, err = nn("convert", MODELS, tmp_path / "m.npz")
    assert code == 0
    with np.load(tmp_path / "m.npz") as archive:
        assert archive["opt.layers.1"] == 20 and archive["opt.name"] == "adam" and archive["model.0.weight"].shape == (2, 2)
    assert "confusion" in err  # what is lost is named
    assert nn("convert", tmp_path / "w.npz", tmp_path / "again.t7")[0] == 0
    assert set(nnmod.load(tmp_path / "again.t7")) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert nn("convert", model, tmp_path / "bias.npy", "--at", "2.bias")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "bias.npy"), small()[2].bias)
    # Names that numpy.savez takes for its own arguments.
    nnmod.save(tmp_path / "file.t7", {"file": np.ones(2), "args": np.zeros(3)})
    assert nn("convert", tmp_path / "file.t7", tmp_path / "file.npz")[0] == 0
    with np.load(tmp_path / "file.npz") as archive:
        assert archive["file"].shape == (2,)


def test_convert_refuses_what_cannot_be_or_must_not_be(nn, model, tmp_path):
    pytest.importorskip("safetensors")
    before = model.read_bytes()
    refused(nn("convert", LENET, model), "exists: --force replaces it")
    refused(nn("convert", LENET, tmp_path / "x.pkl"), "what kind of file")
    refused(nn("convert", LENET, tmp_path / "none" / "x.t7"), "there is no directory")
    refused(nn("convert", LENET, tmp_path), "is a directory|what kind")
    refused(nn("convert", TABLES, tmp_path / "x.safetensors"), "a checkpoint holds a model")
    refused(nn("convert", str(T7 / "nil.t7"), tmp_path / "x.npz"), "there are none in nil")
    refused(nn("convert", LENET, tmp_path / "x.t7", "--at", "0.none"), "there is no 0.none")
    refused(nn("convert", TABLES, model, "--to", "checkpoint", "--force"), "a checkpoint holds a model")
    assert model.read_bytes() == before and sorted(p.name for p in tmp_path.iterdir()) == ["small.t7"]
    assert nn("convert", LENET, model, "--force")[0] == 0 and len(nnmod.load(model)) == 11


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_target(nn, tmp_path):
    tmp_path.chmod(0o500)
    try:
        refused(nn("convert", LENET, tmp_path / "x.t7"), "Permission denied")
    finally:
        tmp_path.chmod(0o700)


def test_a_target_where_no_file_can_be(nn):
    refused(nn("convert", LENET, "/proc/nnmod.t7"), "/proc")


def test_run(nn, model, tmp_path):
    x = np.random.default_rng(1).standard_normal((4, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    code, out, err = nn("run", model, tmp_path / "x.npy", "-o", tmp_path / "y.npy")
    assert code == 0 and err == "" and "float32 4x2" in out
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), small().forward(x))
    code, out, _ = nn("run", model, tmp_path / "x.npy")
    assert code == 0 and out.startswith("float32 4x2") and "row 3, largest first: [" in out
    np.save(tmp_path / "double.npy", x.astype(np.float64))
    code, _, err = nn("run", model, tmp_path / "double.npy")
    assert code == 0 and "the input is float64; the model works in float32" in err
    np.save(tmp_path / "wrong.npy", np.ones((4, 7), np.float32))
    refused(nn("run", model, tmp_path / "wrong.npy", "-o", tmp_path / "z.npy"), r"input must have shape \(N, 3\)")
    refused(nn("run", model, tmp_path / "x.npy", "-o", tmp_path / "y.npy"), "exists")
    refused(nn("run", model, tmp_path / "x.npy", "-o", tmp_path / "y.txt"), "what kind|run writes")
    refused(nn("run", model, model), "must hold a tensor")
    assert not (tmp_path / "z.npy").exists()


def test_run_with_several_inputs_and_outputs(nn, tmp_path):
    nnmod.save(tmp_path / "net.t7", nnmod.ParallelTable(nnmod.Tanh(), nnmod.Linear(3, 2)))
    x = [np.ones((2, 5), np.float32), np.ones((4, 3), np.float32)]
    np.savez(tmp_path / "x.npz", *x)
    assert nn("run", tmp_path / "net.t7", tmp_path / "x.npz", "-o", tmp_path / "y.npz")[0] == 0
    with np.load(tmp_path / "y.npz") as archive:
        assert [archive[name].shape for name in archive.files] == [(2, 5), (4, 2)]
    assert "output 1: float32 4x2" in nn("run", tmp_path / "net.t7", tmp_path / "x.npz")[1]
    refused(nn("run", tmp_path / "net.t7", tmp_path / "x.npz", "-o", tmp_path / "y.npy"), "write them to an .npz|holds one")
    assert nn("info", tmp_path / "net.t7", "--input", "2x5,4x3")[0] == 0


# -- time, check, warmup, doctor ---------------------------------------------------------


def test_time(nn, model, tmp_path):
    code, out, err = nn("time", model, "--input", "8x3", "--repeats", "3")
    assert code == 0 and "medians of 3 passes" in out and "training mode" in out
    rows = re.findall(r"^(\d)  (\w+)\(.*\) +(\S+) +([\d.]+) +(\S+) +([\d.]+) +(\S+) +([\d.]+) %$", out, re.M)
    assert [row[:3] for row in rows] == [("0", "Linear", "8x4"), ("1", "Tanh", "8x4"), ("2", "Linear", "8x2")]
    assert all(float(row[3]) > 0 and float(row[5]) > 0 for row in rows) and rows[1][4] == rows[1][6] == "-"
    found = json.loads(nn("time", model, "--input", "8x3", "--repeats", "2", "--json", "--evaluate")[1])
    assert found["mode"] == "evaluation" and found["multiply_adds"] == 8 * (12 + 8) and len(found["layers"]) == 3
    assert found["layers"][0]["forward_flops_per_s"] == pytest.approx(2 * 96 / found["layers"][0]["forward_s"])
    pytest.importorskip("matplotlib")
    assert nn("time", model, "--input", "8x3", "--repeats", "2", "--plot", tmp_path / "t.png")[0] == 0
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
    refused(nn("time", model, "--input", "8x3", "--plot", tmp_path / "t.png"), "exists")
    refused(nn("time", model, "--input", "8x3", "--plot", tmp_path / "t.xyz"), "ends in .png, .svg or .pdf")


def test_check_says_yes_and_no(nn, model, monkeypatch):
    code, out, _ = nn("check", model, "--input", "2x3", "--samples", "3")
    assert code == 0 and "All 5 gradients are right" in out and re.search(r"gradInput +3 of 6 +right", out)
    assert "all elements" in nn("check", model, "--input", "2x3", "--samples", "0", "--training")[1]
    wrong = nnmod.Linear.accGradParameters
    monkeypatch.setattr(nnmod.Linear, "accGradParameters",
                        lambda self, input, gradOutput, scale=1.0: wrong(self, input, gradOutput, 2 * scale))
    code, out, _ = nn("check", model, "--input", "2x3")
    assert code == 1 and "WRONG at" in out and "4 of 5 gradients are not the derivative" in out


def test_check_is_not_misled_by_kinks(nn, tmp_path):
    """A ReLU that stands within a step of its corner; a smaller step stays on its side."""
    net = nnmod.Sequential(nnmod.Linear(1, 1), nnmod.ReLU()).double()
    net[0].weight[...], net[0].bias[...] = 1, 0
    x = np.array([[3e-8]])
    for steps, good in (((1e-6,), False), ((1e-6, 1e-7, 1e-8), True)):
        found = list(nnmod.testing.compare_gradients(net, x, steps=steps, rtol=1e-5, atol=1e-6))
        assert all(f.good for f in found) == good


def test_warmup_for_a_model_and_for_a_group(nn, model):
    refused(nn("warmup", model), "what will .* be given")
    if nnmod.kernels.backend_name() == "reference":
        assert "nothing to do" in nn("warmup")[1] and "nothing to do" in nn("warmup", model, "--input", "4x3")[1]
        return
    code, out, _ = nn("warmup", model, "--input", "4x3")
    assert code == 0 and "needs for an input of 4x3" in out
    code, out, err = nn("warmup", "--only", "linear", "--jobs", "1")
    assert code == 0 and "the kernels of 1 groups for float32 in 1 processes" in out
    assert nn("warmup", model, "--input", "4x3", "--type", "both")[0] == 0
    refused(nn("warmup", model, "--input", "4x3", "--jobs", "2"), "leave the file out")
    refused(nn("warmup", "--input", "4x3"), "name its file")
    refused(nn("warmup", "--only", "nonsense"), "there is no group nonsense; the groups are activation")
    assert nn("warmup", "--list")[1].split("\n")[0] == "activation"


def test_every_class_has_a_place_in_warmup():
    """The table of warmup mentions every module and criterion that has kernels of its own."""
    named = (ROOT / "nnmod" / "warmup.py").read_text()
    for room in ("linear", "convolution", "full_convolution", "plane_convolution", "local_convolution", "row_convolution",
                 "pooling", "dynamic_pooling", "lp_pooling", "resampling", "normalization", "local_normalization",
                 "activation", "sigmoid", "softmax", "dropout", "reduction", "recurrent", "sequence", "padding",
                 "classification_criterion", "criterion", "distance", "product", "lookup", "sparse", "broadcast"):
        module = getattr(__import__(f"nnmod.{room}"), room)
        for name, value in vars(module).items():
            if (isinstance(value, type) and value.__module__ == module.__name__ and not name.startswith("_")
                    and issubclass(value, (nnmod.Module, nnmod.Criterion)) and name not in NO_KERNELS):
                assert re.search(rf"\bnn\.{name}\b", named), f"{name} is not in nnmod/warmup.py"
    assert len(warmup.GROUPS) > 15


#: Bases, and classes that run the kernels of another that is there.
NO_KERNELS = {"Criterion", "PointwiseCriterion", "SpatialConvolutionMM", "VolumetricDilatedConvolution",
              "VolumetricDilatedMaxPooling", "VolumetricMaxUnpooling", "SpatialAutoCropMSECriterion", "L1Cost"}


def test_doctor(nn, monkeypatch):
    code, out, err = nn("doctor", "--no-test")
    assert code == 0 and err == "" and nnmod.__version__ in out and np.__version__ in out and "kernel cache" in out
    facts = json.loads(nn("doctor", "--json", "--no-test")[1])
    assert facts["nnmod"]["kernels"] == nnmod.kernels.backend_name() and "test" not in facts
    if facts["cache"]:
        assert facts["cache"]["files"] >= 0 and facts["cache"]["place"] in out
    good = {"right": True, "error": 0.0, "tolerance": 1.0, "seconds": 0.1, "flops_per_s": 1e9}
    monkeypatch.setattr(doctor, "self_test", lambda: {"gemm": good, "tanh": good | {"flops_per_s": None}})
    code, out, _ = nn("doctor")
    assert code == 0 and "All is well" in out and "1.0 GF/s" in out
    monkeypatch.setattr(doctor, "self_test", lambda: {"gemm": good | {"right": False}})
    code, out, _ = nn("doctor")
    assert code == 1 and "WRONG: gemm" in out
    assert nn("doctor", "--json")[0] == 1


def test_the_self_test_sees_a_wrong_kernel(monkeypatch):
    found = doctor.self_test()
    assert len(found) == 4 and all(test["right"] for test in found.values())
    K = nnmod.kernels.of(np.ones(1))
    right = K.gemm
    monkeypatch.setattr(K, "gemm", lambda a, b, c, *rest: right(a[:, :-1].copy(), b[:-1].copy(), c, *rest))
    assert not all(test["right"] for name, test in doctor.self_test().items() if "gemm" in name)
