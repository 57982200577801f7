"""Checkpoints: what goes in comes out, shared as it was; nothing else gets in."""
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import nnmod
import soak_checkpoint
from cases import CASES, CRITERION_CASES
from nnmod import load_checkpoint, nested, optim, save_checkpoint
from nnmod.serialization import atomic

safe_open = pytest.importorskip("safetensors").safe_open
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def small_net():
    return nnmod.Sequential(nnmod.Linear(3, 4), nnmod.Tanh(), nnmod.Linear(4, 2))


class Scaled(nnmod.Module):
    """A module of a user's, with attributes of many kinds."""

    paramNames = ("scale",)
    stateNames = ("count",)
    bufferNames = ("scratch",)

    def __init__(self, size):
        super().__init__()
        self.scale = np.linspace(1, 2, size, dtype=np.float32)
        self.gradScale = np.ones(size, np.float32)
        self.count = np.zeros((), np.float32)
        self.scratch = np.ones(5)
        self.table = {"inside": [nnmod.ReLU(), (1, None)], 3: frozenset({"a"})}

    def updateOutput(self, input):
        self.output = input * self.scale
        self.count += 1
        return self.output


# -- models ------------------------------------------------------------------------------


@every_case
@pytest.mark.parametrize("type", ["float32", "float64"])
def test_every_module_computes_the_same_bits(case, type, path):
    module = case.make().type(type)
    input = nnmod.nested.map(lambda t: t.astype(type) if t.dtype.kind == "f" else t, case.input())
    state = nnmod.random.get_state()
    module.forward(nnmod.nested.map(np.copy, input))  # sizes are inferred, statistics learned
    save_checkpoint(path, module)
    loaded = load_checkpoint(path)["model"]
    module = module.forFile()
    assert repr(loaded) == repr(module) and loaded.type() == module.type()
    assert [m.train for m in loaded.listModules()] == [m.train for m in module.listModules()]
    results = []
    for net in (module, loaded):
        nnmod.random.set_state(state)
        net.zeroGradParameters()
        output = nnmod.nested.map(np.copy, net.forward(nnmod.nested.map(np.copy, input)))
        net.backward(net._given, nnmod.nested.map(np.copy, output))
        results.append([output, net.gradInput, *net.parameters()[1]])
    for one, other in zip(nnmod.nested.leaves(results[0]), nnmod.nested.leaves(results[1]), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("case", CRITERION_CASES, ids=lambda case: case.id)
def test_every_criterion_computes_the_same_bits(case, path):
    criterion = case.make().double()
    save_checkpoint(path, criterion)
    loaded = load_checkpoint(path)["model"]
    assert repr(loaded) == repr(criterion)
    assert loaded.forward(*case.arguments()) == criterion.forward(*case.arguments())
    for actual, expected in zip(nested.leaves(loaded.backward(*case.arguments())),
                                nested.leaves(criterion.backward(*case.arguments())), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_a_module_of_the_users_keeps_its_attributes(path):
    module = Scaled(3)
    module.forward(np.ones(3, np.float32))
    save_checkpoint(path, module)
    loaded = load_checkpoint(path)["model"]
    assert type(loaded) is Scaled and loaded.count == 1 and loaded.count.shape == ()
    assert repr(loaded.table) == repr(module.table)
    assert loaded.output is None and loaded.scratch is None
    np.testing.assert_array_equal(loaded.scale, module.scale)


def test_buffers_and_gradients_are_not_saved(path):
    net = small_net()
    x = np.ones((500, 3), np.float32)
    net.backward(x, net.forward(x))
    assert net[0].gradWeight.any()
    save_checkpoint(path, net)
    assert path.stat().st_size < 4000
    loaded = load_checkpoint(path)["model"]
    assert loaded[0].gradWeight.shape == (4, 3) and not loaded[0].gradWeight.any()
    assert loaded[0].output is None


def test_a_network_without_its_sizes_is_saved_too(path):
    save_checkpoint(path, nnmod.Linear(None, 2))
    loaded = load_checkpoint(path)["model"]
    assert repr(loaded) == "Linear(? -> 2)"
    assert loaded.forward(np.ones((1, 7), np.float32)).shape == (1, 2)


def test_shared_parameters_are_stored_once_and_shared_again(path):
    first = nnmod.Linear(3, 3)
    net = nnmod.Sequential(first, nnmod.Tanh(), first.clone("weight", "bias", "gradWeight", "gradBias"),
                           first.clone("weight"))
    save_checkpoint(path, net, tied=first.weight)
    with safe_open(path, framework="np") as file:
        assert sorted(file.keys()) == ["0.bias", "0.weight", "3.bias", "3.gradWeight"]
    loaded = load_checkpoint(path)
    a, _, b, c = loaded["model"]
    assert a.weight is b.weight is c.weight is loaded["tied"]
    assert a.bias is b.bias and a.bias is not c.bias
    assert a.gradWeight is b.gradWeight and a.gradBias is b.gradBias
    assert a.gradWeight is not c.gradWeight and not c.gradWeight.any()


def test_flat_parameters_stay_usable(path):
    net = small_net()
    flat, _ = net.getParameters()
    save_checkpoint(path, net)
    loaded = load_checkpoint(path)["model"]
    again, grads = loaded.getParameters()
    np.testing.assert_array_equal(again, flat)
    again[:] = 0
    assert not loaded[0].weight.any() and grads.shape == flat.shape


def test_tensors_are_fresh_memory(path):
    save_checkpoint(path, small_net())
    weight = load_checkpoint(path)["model"][0].weight
    assert weight.flags.carray
    weight += 1
    path.unlink()
    weight += 1


def test_other_libraries_read_the_weights(path):
    net = small_net()
    save_checkpoint(path, net)
    with safe_open(path, framework="np") as file:
        assert sorted(file.keys()) == ["0.bias", "0.weight", "2.bias", "2.weight"]
        np.testing.assert_array_equal(file.get_tensor("2.weight"), net[2].weight)


# -- extras ---------------------------------------------------------------------------------


def test_extras_come_back_as_they_were(path):
    extras = {
        "epoch": 3, "loss": 0.1 + 0.2, "name": "µ \ud800 \"", "done": True, "nothing": None, "big": 2**64 - 1,
        "tuple": (1, (2.5,), []), "set": {1, 2}, "empty": {}, "nested": {"a": [{"b": 1}], "$odd": "key"},
        "by_number": {1: "one", (2, 3): "pair", None: 0},
        "scalar": np.float32(0.1), "count": np.int64(7), "flag": np.bool_(True),
    }
    save_checkpoint(path, small_net(), **extras)
    loaded = load_checkpoint(path)
    del loaded["model"]
    assert loaded == extras
    assert [type(value) for value in loaded.values()] == [type(value) for value in extras.values()]
    assert list(loaded) == list(extras)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan"), -0.0, 5e-324, np.float64("nan")])
def test_every_number_survives(number, path):
    save_checkpoint(path, small_net(), number=number)
    loaded = load_checkpoint(path)["number"]
    assert type(loaded) is type(number) and repr(loaded) == repr(number)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", "uint64", "float16",
                                   "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3)])
def test_every_tensor_survives(dtype, shape, path):
    value = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    save_checkpoint(path, small_net(), value=value)
    loaded = load_checkpoint(path)["value"]
    assert loaded.dtype == value.dtype and loaded.shape == value.shape and loaded.flags.writeable
    np.testing.assert_array_equal(loaded, value)


@pytest.mark.parametrize("value", [np.arange(12.0).reshape(3, 4).T, np.arange(12.0)[::-2],
                                   np.arange(5).astype(">i8"), np.broadcast_to(np.float32(1), (2, 2))])
def test_tensors_lie_in_memory_as_they_like(value, path):
    save_checkpoint(path, small_net(), value=value)
    np.testing.assert_array_equal(load_checkpoint(path)["value"], value)


def test_a_second_model_and_a_criterion(path):
    net, other = small_net(), nnmod.Linear(2, 2)
    net.friend = other
    save_checkpoint(path, net, other=other, criterion=nnmod.CrossEntropyCriterion())
    loaded = load_checkpoint(path)
    assert loaded["model"].friend is loaded["other"]
    assert isinstance(loaded["criterion"], nnmod.CrossEntropyCriterion)


def test_names_do_not_collide(path):
    linear = nnmod.Linear(2, 2)
    save_checkpoint(path, linear, weight=np.zeros(3), a={"b.c": np.ones(1), "b": {"c": np.full(1, 2.0)}})
    loaded = load_checkpoint(path)
    np.testing.assert_array_equal(loaded["model"].weight, linear.weight)
    assert loaded["weight"].shape == (3,)
    assert (loaded["a"]["b.c"], loaded["a"]["b"]["c"]) == (1, 2)


def train(net, config, state, batches, passes):
    flat, gradFlat = net.getParameters()
    criterion = nnmod.CrossEntropyCriterion()
    for _ in range(passes):
        for x, y in batches:
            def opfunc(_):
                net.zeroGradParameters()
                loss = criterion.forward(net.forward(x), y)
                net.backward(x, criterion.backward(net.output, y))
                return loss, gradFlat
            optim.adam(opfunc, flat, config, state)


def test_resuming_gives_the_same_bits_as_never_having_stopped(path):
    def batches():
        return nnmod.data.minibatches(*nnmod.data.spirals(60, seed=1), 16)

    def fresh():
        nnmod.manualSeed(4)
        return nnmod.Sequential(nnmod.Linear(2, 8), nnmod.Tanh(), nnmod.Dropout(0.2), nnmod.Linear(8, 2))

    config = {"learningRate": 0.02, "weightDecay": 1e-3}
    whole = fresh()
    train(whole, config, {}, batches(), 4)

    net, state = fresh(), {}
    train(net, config, state, batches(), 2)
    save_checkpoint(path, net, config=config, state=state, random=nnmod.random.get_state())
    nnmod.manualSeed(99)
    loaded = load_checkpoint(path)
    nnmod.random.set_state(loaded["random"])
    train(loaded["model"], loaded["config"], loaded["state"], batches(), 2)
    np.testing.assert_array_equal(loaded["model"].getParameters()[0], whole.getParameters()[0])


# -- what cannot be saved ----------------------------------------------------------------------


@pytest.mark.parametrize("extra, where, what", [
    ({"f": len}, "extra.f", "builtin_function_or_method"),
    ({"a": {"b": [1, object()]}}, "extra.a.b.1", "object"),
    ({"z": 1j}, "extra.z", "complex"),
    ({"b": b"bytes"}, "extra.b", "bytes"),
])
def test_what_a_checkpoint_does_not_hold_is_named(extra, where, what, path):
    with pytest.raises(TypeError) as caught:
        save_checkpoint(path, small_net(), **extra)
    assert str(caught.value).startswith(f"{where} is of type {what}, but a checkpoint holds None, booleans, ")
    assert not path.exists()


def test_an_attribute_that_cannot_be_saved_is_named(path):
    net = small_net()
    net[1].hook = lambda: None
    with pytest.raises(TypeError, match=r"^1\.hook is of type function, but a checkpoint holds"):
        save_checkpoint(path, net)
    with pytest.raises(TypeError, match="extra.x is a tensor of complex128, but a checkpoint holds tensors of bool"):
        save_checkpoint(path, small_net(), x=np.zeros(2, complex))
    with pytest.raises(TypeError, match="model must be a module or a criterion, got dict"):
        save_checkpoint(path, {})


def test_what_contains_itself_is_refused(path):
    loop = []
    loop.append(loop)
    with pytest.raises(ValueError, match="nested this deeply, or contains itself"):
        save_checkpoint(path, small_net(), loop=loop)


def test_the_package_is_asked_for(monkeypatch, path):
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"writing a checkpoint needs the package safetensors: "
                                          r"pip install nnmod\[checkpoint\]"):
        save_checkpoint(path, small_net())
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match="reading a checkpoint needs the package safetensors"):
        load_checkpoint(path)


# -- writing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("unnamed", [True, False], ids=["a file without a name", "a hidden file"])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(step, unnamed, path, monkeypatch):
    if not unnamed:  # as on systems that have no such files
        monkeypatch.setattr(atomic, "_unnamed", lambda folder: None)
    save_checkpoint(path, small_net(), epoch=1)
    before = path.read_bytes()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(path, small_net(), epoch=2)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]  # nothing is left lying about


def test_a_write_replaces_the_file(path):
    for epoch in (1, 2):
        save_checkpoint(str(path), small_net(), epoch=epoch)
        assert load_checkpoint(str(path))["epoch"] == epoch
    assert os.listdir(path.parent) == [path.name]


def test_a_link_goes_on_pointing_to_the_file(path):
    link = path.parent / "latest"
    save_checkpoint(path, small_net(), epoch=1)
    link.symlink_to(path)
    save_checkpoint(link, small_net(), epoch=2)
    assert link.is_symlink() and load_checkpoint(path)["epoch"] == 2


def test_a_path_that_cannot_be_written_or_read_is_the_usual_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        save_checkpoint(tmp_path / "no" / "folder", small_net())
    with pytest.raises(OSError):
        save_checkpoint(tmp_path, small_net())
    assert os.listdir(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        load_checkpoint(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        load_checkpoint(tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a process")
def test_a_killed_process_leaves_a_file_that_loads(path):
    """Writes over and over; is killed; what is there is whole."""
    code = ("import sys, nnmod\n"
            "net = nnmod.Sequential(*[nnmod.Linear(64, 64) for _ in range(20)])\n"
            "epoch = 0\n"
            "while True:\n"
            "    epoch += 1\n"
            "    nnmod.save_checkpoint(sys.argv[1], net, epoch=epoch)\n"
            "    print(epoch, flush=True)\n")
    for writes in (1, 3):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
        with process:
            for _ in range(writes):
                process.stdout.readline()
            process.kill()
        assert load_checkpoint(path)["epoch"] >= writes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes")
def test_training_that_is_killed_twenty_times_comes_to_the_same_bits():
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "NNMOD_QUIET": "1"}
    done = subprocess.run([sys.executable, soak_checkpoint.__file__, "--kills", "20", "--seed", "2"],
                          capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0 and "seed 2: 20 kills" in done.stdout, done.stdout + done.stderr


def test_a_process_that_is_killed_while_it_writes_leaves_nothing_behind(path):
    descriptor = atomic._unnamed(path.parent)
    if descriptor is None:
        pytest.skip("no files without a name here")
    os.close(descriptor)
    code = ("import sys, time, pathlib; from nnmod.serialization import atomic\n"
            "def fill(file):\n"
            "    file.write(b'half'); file.flush(); print(flush=True); time.sleep(60)\n"
            "atomic.write(sys.argv[1], fill)\n")
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.kill()
    assert os.listdir(path.parent) == []


# -- reading what is not a checkpoint ------------------------------------------------------------


def forge(path, change=None, tensors=None, digest=None):
    """Write a file whose structure went through *change*."""
    from safetensors.numpy import save_file
    save_checkpoint(path, small_net(), epoch=1, pair=(1, 2))
    with safe_open(path, framework="np") as file:
        structure = json.loads(file.metadata()["nnmod"])
        tensors = {name: file.get_tensor(name) for name in file.keys()} | (tensors or {})
    if change:
        structure = change(structure) or structure
    text = structure if isinstance(structure, str) else json.dumps(structure)
    digest = digest or hashlib.sha256(text.encode()).hexdigest()
    save_file({k: v for k, v in tensors.items() if v is not None}, path,
              {"nnmod": text, "nnmod.sha256": digest})


def refused(path):
    with pytest.raises(ValueError) as caught:
        load_checkpoint(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"version https://git-lfs.github.com/spec/v1\n", b"\0" * 100,
                                     b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}", b"PK\3\4" + b"\0" * 50])
def test_another_file_is_refused(content, path):
    path.write_bytes(content)
    refused(path)


def test_a_file_that_is_cut_off_is_refused(path):
    save_checkpoint(path, small_net())
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert "is not a safetensors file, or is cut off" in refused(path)


def test_damage_in_the_header_is_found(path):
    """One byte is changed, anywhere in front of the tensors: a clear error, or no change of meaning."""
    net = small_net()
    save_checkpoint(path, net, epoch=1)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    rng = np.random.default_rng(0)
    for position in rng.choice(header, 300, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            loaded = load_checkpoint(path)
        except ValueError as error:
            assert str(error).startswith(str(path))
        else:
            assert repr(loaded["model"]) == repr(net) and loaded["epoch"] == 1


def test_weights_without_a_structure_are_refused(path):
    from safetensors.numpy import save_file
    save_file({"0.weight": np.zeros(3)}, path)
    assert "no checkpoint of nnmod: it has tensors (0.weight...) and no structure" in refused(path)


def first_linear(structure):
    return next(entry for entry in structure["modules"] if entry["class"] == "Linear")


def set_class(name):
    return lambda s: first_linear(s).update({"class": name})


def set_state(**values):
    return lambda s: first_linear(s)["state"].update(values)


def set_all(**values):
    return lambda s: s.update(values)


@pytest.mark.parametrize("change, text", [
    (lambda s: "not json", "JSONDecodeError"),
    (lambda s: "[1]", "its structure is not one of nnmod"),
    (lambda s: "{}", "its structure is not one of nnmod"),
    (lambda s: "[" * 100_000, "nested too deeply"),
    (set_all(format=2), "it has format 2, and this nnmod reads format 1; it needs a newer nnmod"),
    (set_all(format="1"), "its structure is not one of nnmod"),
    (set_all(modules=[]), "module 0 is missing"),
    (set_all(modules=7), "its structure is wrong"),
    (set_all(content={}), "it has no model"),
    (set_all(content={"model": 3}), "it has no model"),
    (set_all(content={"model": {"$module": -1}}), "module -1 is missing"),
    (set_all(content={"model": {"$module": True}}), "module True is missing"),
    (set_all(content={"model": {"$evil": 1}}), "its structure is wrong (KeyError('$evil'))"),
    (set_all(content={"model": {"$tensor": "nothing"}}), "its structure is wrong (KeyError('nothing'))"),
    (set_all(content={"model": {"$tuple": 3}}), "its structure is wrong"),
    (set_all(content={"model": {"$scalar": ["object", 3]}}), "unknown dtype 'object'"),
    (lambda s: s["tensors"].update(more=["float32", [2]]), "tensors are missing: more"),
    (lambda s: s["tensors"].update({"0.weight": ["float32", [3, 4]]}),
     "tensor '0.weight' must be float32 (3, 4), as the structure says, but is float32 (4, 3)"),
    (lambda s: s["tensors"].update({"0.weight": ["float64", [4, 3]]}),
     "tensor '0.weight' must be float64 (4, 3), as the structure says, but is float32 (4, 3)"),
    (set_class("Evil"), "class 'Evil' is not one of this version of nnmod"),
    (set_class("os:system"), "class 'system' of os is not defined here: import it first"),
    (set_class("subprocess:Popen"), "class 'Popen' of subprocess is not defined here: import it first"),
    (set_class("test_checkpoint:safe_open"), "class 'safe_open' of test_checkpoint is not defined here"),
    (set_class("dict"), "class 'dict' is not one of this version of nnmod"),
    (set_class(None), "its structure is wrong"),
    (set_state(forward=1), "'forward' is not an attribute that Linear keeps"),
    (set_state(updateOutput="x"), "'updateOutput' is not an attribute that Linear keeps"),
    (set_state(__class__=1), "'__class__' is not an attribute that Linear keeps"),
    (set_state(sizesKnown=True), "'sizesKnown' is not an attribute that Linear keeps"),
    (set_state(_type="cpu.int8"), "type must be one of"),
    (set_state(_type="float32"), "Linear has an unknown type"),
    (set_state(_type=3), "type must be one of"),
    (set_state(train="yes"), "Linear must have train, True or False"),
    (set_state(weight=None), "Linear must have weight and gradWeight, tensors of one shape and dtype"),
    (set_state(gradBias=None), "Linear must have bias and gradBias, tensors of one shape and dtype"),
    (set_state(weight={"$tensor": "0.bias"}), "Linear must have weight and gradWeight, tensors of one shape"),
    (set_state(weight=3), "Linear must have weight and gradWeight, tensors of one shape and dtype"),
    (set_state(modules=3), "Linear must have modules, a list of them"),
    (set_state(modules=[3]), "Linear must have modules, a list of them"),
    (set_state(modules=[{"$module": 0}]), "a module contains itself"),
    (set_state(modules=[{"$module": 2}]), "stands in two places of a network"),
    (lambda s: first_linear(s).pop("state"), "its structure is wrong (KeyError('state'))"),
    (lambda s: first_linear(s).update(state=[]), "its structure is wrong"),
])
def test_a_forged_structure_is_refused(change, text, path):
    def apply(structure):
        result = change(structure)
        return result if isinstance(result, str) else structure

    forge(path, apply)
    assert text in refused(path)


def test_a_structure_that_was_changed_is_refused(path):
    forge(path, set_state(inputSize=5), digest="0" * 64)
    assert "its structure is damaged: the digest does not fit" in refused(path)


def test_tensors_that_others_changed(path):
    forge(path, tensors={"0.weight": np.full((4, 3), 0.5, np.float32), "more": np.zeros(3)})
    assert (load_checkpoint(path)["model"][0].weight == 0.5).all()
    forge(path, tensors={"0.weight": np.zeros((4, 3, 1), np.float32)})
    assert "tensor '0.weight' must be float32 (4, 3), as the structure says" in refused(path)
    forge(path, tensors={"0.weight": None})
    assert "tensors are missing: 0.weight" in refused(path)


def test_nothing_that_a_file_names_is_imported(path, tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    forge(path, set_class("trap:Trap"))
    assert "class 'Trap' of trap is not defined here: import it first" in refused(path)
    assert "trap" not in sys.modules


def test_a_class_is_found_by_its_name_where_it_moved(path, monkeypatch):
    save_checkpoint(path, Scaled(2))
    monkeypatch.setattr(Scaled, "__module__", "elsewhere")
    assert type(load_checkpoint(path)["model"]) is Scaled


def test_the_later_of_two_definitions_counts(path):
    def define():
        class Again(nnmod.Identity):
            """Defined twice, as in a notebook."""
        return Again

    old = define()
    save_checkpoint(path, old())
    new = define()
    assert type(load_checkpoint(path)["model"]) is new is not old


def test_two_classes_of_one_name_are_told_apart(path, monkeypatch):
    def define(module):
        class Same(nnmod.Identity):
            """One of two."""
        Same.__module__ = module
        return Same

    one, two = define("first"), define("second")
    save_checkpoint(path, one())
    assert type(load_checkpoint(path)["model"]) is one
    save_checkpoint(path, two())
    monkeypatch.setattr(one, "__module__", "third")
    monkeypatch.setattr(two, "__module__", "fourth")
    assert "could be any of fourth:" in refused(path)
