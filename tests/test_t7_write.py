"""Torch7's files written: what nnmod writes is what Torch wrote, and comes back equal."""
import functools
import io
import os

import numpy as np
import pytest

import nnmod
from cases import CASES, CRITERION_CASES
from nnmod import nested
from nnmod.serialization import t7, t7_format, t7_writer
from nnmod.serialization.t7_format import Function, Storage, Table, Tensor, Torch
from test_architecture import BASES, public_classes
from test_t7 import FILES, MODULES, path_of


def there_and_back(value, **words):
    file = io.BytesIO()
    nnmod.save(file, value, **words)
    return nnmod.load(io.BytesIO(file.getvalue()))


def assert_equal(a, b):
    """Equal plain data, arrays and all."""
    assert type(a) is type(b)
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            assert_equal(x, y)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_equal(a[key], b[key])
    else:
        assert a == b


# -- raw objects -------------------------------------------------------------------------


def rewritten(data):
    ascii = data[:1].isdigit()
    file = io.BytesIO()
    t7_format.Writer(file, ascii).object(t7_format.read(data))
    return file.getvalue()


@pytest.mark.parametrize("name", [n for n in FILES if n not in ("bigendian.t7", "two_objects.t7")])
def test_a_file_is_written_again_byte_for_byte(name):
    data = path_of(name).read_bytes()
    assert rewritten(data) == data


def test_all_recorded_modules_are_written_again_byte_for_byte():
    for name, data in MODULES.items():
        assert rewritten(data) == data, name


def test_a_big_endian_file_is_written_little_endian():
    data = path_of("bigendian.t7").read_bytes()
    again = rewritten(data)
    assert again != data and rewritten(again) == again
    assert repr(nnmod.load(io.BytesIO(again))) == repr(nnmod.load(path_of("bigendian.t7")))


# -- modules beside Torch's own ------------------------------------------------------------

#: Fields that Torch left undefined, or that its next forward makes: (class, field).
UNDEFINED = {("nn.CAdd", "output"), ("nn.CMul", "output"), ("nn.Euclidean", "output"), ("nn.Euclidean", "gradInput"),
             ("nn.SparseLinear", "output"), ("nn.LinearWeightNorm", "norm"), ("nn.LinearWeightNorm", "scale"),
             ("nn.LinearWeightNorm", "weight"), ("nn.WeightNorm", "_norm"), ("nn.WeightNorm", "_scale"),
             ("nn.Sequential", "gradInput"), ("nn.Bottle", "inShape"), ("nn.Bottle", "outShape"),
             ("nn.ClassSimplexCriterion", "_target"), ("nn.MarginRankingCriterion", "gradInput"),
             ("nn.ModuleFromCriterion", "output"), ("nn.Reshape", "batchsize"), ("nn.UpSampling", "inputSize"),
             ("nn.UpSampling", "outputSize"), ("nn.SpatialUpSamplingNearest", "inputSize"),
             ("nn.SpatialUpSamplingNearest", "outputSize"), ("nn.SpatialUpSamplingBilinear", "inputSize"),
             ("nn.SpatialUpSamplingBilinear", "outputSize"), ("nn.Copy", "updateOutput"),
             ("nn.Copy", "updateGradInput"), ("nn.SpatialSubtractiveNormalization", "coef"),
             ("nn.SpatialDivisiveNormalization", "coef"), ("nn.SpatialConvolution", "gradWeight"),
             ("nn.SpatialConvolution", "gradBias"),
             ("nn.Container", "output")}
#: CReLU joins before the batch there, and counts from the end of its dimensions here: the same.
OTHERWISE = {("nn.JoinTable", "dimension")}


def differences(theirs, ours, path=""):
    """Where what we write differs from what Torch wrote, but for fields that it does not have."""
    if type(theirs) is not type(ours):
        yield f"{path}: {type(theirs).__name__} there, {type(ours).__name__} here"
    elif isinstance(theirs, Torch):
        if (theirs.name, theirs.version, len(theirs.before)) != (ours.name, ours.version, len(ours.before)):
            yield f"{path}: {theirs.name} {theirs.version} there, {ours.name} {ours.version} here"
        elif isinstance(theirs.content, Table) and not theirs.name.startswith(("nngraph.Node", "graph.")):
            mine = dict(ours.content.items)
            for key, value in theirs.content.items:
                if (theirs.name, key.decode()) in UNDEFINED | OTHERWISE:
                    continue
                if key not in mine:
                    yield f"{path}.{key.decode()}: missing"
                else:
                    yield from differences(value, mine[key], f"{path}.{key.decode()}")
    elif isinstance(theirs, Table):
        plain = [{key: value for key, value in table.items if isinstance(key, (float, bytes))}
                 for table in (theirs, ours)]
        if set(plain[0]) != set(plain[1]):
            yield f"{path}: keys {list(plain[0])} there, {list(plain[1])} here"
        else:
            for key in plain[0]:
                yield from differences(plain[0][key], plain[1][key], f"{path}[{key}]")
    elif isinstance(theirs, Tensor):
        if (theirs.name, theirs.shape) != (ours.name, ours.shape):
            yield f"{path}: {theirs.name} {theirs.shape} there, {ours.name} {ours.shape} here"
        elif not np.allclose(theirs.array, ours.array, rtol=1e-14, atol=0, equal_nan=True):
            yield f"{path}: other values"
    elif isinstance(theirs, Storage):
        if theirs.name != ours.name or not np.array_equal(theirs.data, ours.data):
            yield f"{path}: another storage"
    elif theirs != ours and theirs == theirs and not isinstance(theirs, Function):
        yield f"{path}: {theirs!r} there, {ours!r} here"


@pytest.mark.parametrize("start", range(0, 312, 24))
def test_what_is_written_has_the_fields_that_torch_wrote(start):
    for name, data in list(MODULES.items())[start:start + 24]:
        theirs = dict(t7_format.read(data).items)[b"module"]
        file = io.BytesIO()
        nnmod.save(file, t7.load(io.BytesIO(data))["module"])
        assert list(differences(theirs, t7_format.read(file.getvalue()))) == [], name


# -- there and back --------------------------------------------------------------------------

#: Numbers that no file of Torch holds, or keeps in another form.
NOT_KEPT = {"SpatialLPPooling": "Torch does not keep nInputPlane",
            "SpatialSubtractiveNormalization": "Torch divides the kernel by its sum over all planes",
            "SpatialDivisiveNormalization": "the same", "SpatialContrastiveNormalization": "the same"}


def refusal(module):
    """Why a module has no form in a .t7 file, or None."""
    try:
        t7_writer.to_raw(module)
    except TypeError as error:
        assert "no form in" in str(error), error
        return str(error)


@pytest.mark.parametrize("case", [*CASES, *CRITERION_CASES], ids=lambda case: case.id)
def test_every_class_comes_back(case):
    module = case.make()
    if isinstance(module, nnmod.Fused):  # comes back as the network that it was made of
        module = module.forFile()
    if any(not getattr(m, "sizesKnown", True) for m in module.listModules()):
        with pytest.raises(TypeError, match="does not know its sizes yet|no form in"):
            nnmod.save(io.BytesIO(), module)
        return
    if refusal(module):
        pytest.skip(refusal(module))
    for ascii in (False, True):
        again = there_and_back(module, ascii=ascii)
        module = module.forFile()
        assert type(again) is type(module)
        kept = not any(type(m).__name__ in NOT_KEPT for m in module.listModules())
        if kept:
            assert repr(again) == repr(module)
        for ours, theirs in zip(module.listModules(), again.listModules(), strict=True):
            assert type(ours) is type(theirs) and ours.type() == theirs.type()
            for name in ours._tensorNames():
                a, b = getattr(ours, name, None), getattr(theirs, name, None)
                assert (a is None) == (b is None), name
                derived = name == "weight" and name not in ours.paramNames  # of a WeightNorm
                if a is not None and kept and not derived:
                    np.testing.assert_array_equal(a, b, err_msg=name)


#: Classes that Torch7's files have no form for, or no configuration of which, with the reason.
WITHOUT_A_FORM = {
    "CTCCriterion": "Torch7 had it from another package, with labels of its own",
    "Fused": "comes back as the network that it was made of",
}


def test_every_class_has_a_round_trip_or_a_reason():
    written, refused = set(), set()
    for case in (*CASES, *CRITERION_CASES):
        module = case.make()
        classes = {type(m).__name__ for m in module.listModules()} | {type(module).__name__}
        if all(getattr(m, "sizesKnown", True) for m in module.listModules()):
            (refused if refusal(module) else written).update(classes)
    public = {name for name, _ in public_classes()} - BASES - {"Container"}
    assert public - written <= set(WITHOUT_A_FORM), "no case of these is written and read"
    assert set(WITHOUT_A_FORM) <= refused | {"Fused"}, "these have a form by now"


def test_index_linear_keeps_its_maxima_in_columns_of_its_weight():
    module = nnmod.IndexLinear(5, 2, normalize=True, keysOffset=1).double().reset()
    x = [np.array([0, 2, 3]), np.array([0.5, -4.0, 2.0])]
    module.forward(x)
    module.featureBias[:] = np.arange(5) / 10
    file = io.BytesIO()
    nnmod.save(file, module)
    weight = dict(t7_format.read(file.getvalue()).content.items)[b"weight"].array
    np.testing.assert_array_equal(weight[:, :4], [[0, 0, 0, 0], [0.5, 2, 1, 0.1], [0, 0, 0, 0.2], [4, 0.25, 1, 0.3],
                                                  [2, 0.5, 1, 0.4]])
    np.testing.assert_array_equal(weight[:, 4:], module.weight)
    again = there_and_back(module)
    assert again.normalize and again.keysOffset == 1
    for m in (module, again):
        m.zeroGradParameters()
        m.forward(x)
        m.backward(x, np.ones(2))
    np.testing.assert_array_equal(again.output, module.output)
    for ours, theirs in zip(module.parameters()[1], again.parameters()[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_graph_with_nested_inputs_computes_the_same():
    case = next(case for case in CASES if case.id == "gModule-nested")
    module, x = case.make().double(), case.input()
    again = there_and_back(module)
    assert repr(again) == repr(module)
    for ours, theirs in zip(nested.leaves(module.forward(x)), nested.leaves(again.forward(x)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    gradOutput = nested.map(np.copy, module.output)
    for ours, theirs in zip(nested.leaves(module.backward(x, gradOutput)), nested.leaves(again.backward(x, gradOutput)),
                            strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_recorded_file_is_here():
    """Those that Torch wrote and recorded nothing of have tests by their names."""
    recorded = {name for name, entry in FILES.items() if entry.get("content") or "output" in entry}
    assert set(FILES) - recorded == {"two_objects.t7", "cuda_names_ascii.t7"} and len(FILES) == 39
    assert {path.name for path in path_of("nil.t7").parent.glob("*.t7")} == set(FILES)


def test_train_and_sharing_come_back():
    first = nnmod.Linear(3, 3)
    net = nnmod.Sequential(first, nnmod.Tanh(), first.clone("weight", "gradWeight")).evaluate()
    again = there_and_back(net)
    assert not again.train and not again[1].train
    assert again[0].weight is again[2].weight and again[0].gradWeight is again[2].gradWeight
    assert again[0].bias is not again[2].bias


def test_flat_parameters_share_no_more_than_they_must():
    net = nnmod.Sequential(nnmod.Linear(3, 4), nnmod.Linear(4, 2)).double()
    net.getParameters()
    file = io.BytesIO()
    nnmod.save(file, net)
    assert len(file.getvalue()) < 4000
    again = nnmod.load(io.BytesIO(file.getvalue()))
    np.testing.assert_array_equal(again.getParameters()[0], net.getParameters()[0])


def test_gradients_and_buffers():
    net = nnmod.Linear(2, 2)
    net.forward(np.ones((5, 2), np.float32))
    net.backward(np.ones((5, 2), np.float32), np.ones((5, 2), np.float32))
    again = there_and_back(net)
    np.testing.assert_array_equal(again.gradWeight, net.gradWeight)
    plain, whole = io.BytesIO(), io.BytesIO()
    nnmod.save(plain, net)
    nnmod.save(whole, net, buffers=True)
    assert len(whole.getvalue()) > len(plain.getvalue())
    content = dict(t7_format.read(whole.getvalue()).content.items)
    np.testing.assert_array_equal(content[b"output"].array, net.output)


@pytest.mark.parametrize("ascii", [False, True])
def test_plain_data_comes_back_equal(ascii):
    data = {"name": "é", "bytes": b"\xff\x00\n", "empty": "", "yes": True, "no": False, "list": [1, 2.5, [3]],
            "negative": -7, "big": 2**53, "tiny": 5e-324, "inf": float("inf"), 3: "three", 1.5: "half",
            "nested": {"a": {"b": [1]}}, -1: "minus", "third": 1 / 3, "text": "line\nline"}
    for dtype in ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8"):
        data[dtype] = (np.arange(6).reshape(2, 3) - (0 if dtype == "uint8" else 3)).astype(dtype) / np.array(
            1, dtype) if dtype.startswith("f") else np.arange(6).reshape(2, 3).astype(dtype)
    data["fractions"] = np.array([1 / 3, np.pi, 1e-300, np.inf, -np.inf, -0.0])
    assert_equal(there_and_back(data, ascii=ascii), data)


def test_values_that_are_shared_and_cycles_come_back():
    inner = [1]
    value = {"a": inner, "b": inner}
    value["self"] = value
    again = there_and_back(value)
    assert again["a"] is again["b"] and again["self"] is again
    base = np.arange(12.0).reshape(3, 4)
    views = there_and_back({"base": base, "column": base[:, 1], "part": base[1:, ::2], "same": base})
    views["base"][...] = -1
    assert views["same"] is views["base"] and (views["column"] == -1).all() and (views["part"] == -1).all()
    turned = there_and_back([base[::-1], np.asfortranarray(base), base.astype(">f8"), np.array(2.5), np.float32(0.5)])
    np.testing.assert_array_equal(turned[0], base[::-1])
    np.testing.assert_array_equal(turned[1], base)
    np.testing.assert_array_equal(turned[2], base)
    assert turned[3:] == [2.5, 0.5]


def test_what_torch_cannot_hold_is_refused_with_its_place():
    for value, words in (({"a": [1, None]}, r"\['a'\]\[1\] is None"), ({"a": {"b": None}}, "is None"),
                         ([{1, 2}], r"\[0\] is of type set"), ({(1, 2): 3}, "has the key"),
                         ([object()], "of type object"), ([np.zeros(2, np.uint32)], "array of uint32"),
                         ([np.zeros(2, complex)], "array of complex128")):
        with pytest.raises(TypeError, match=words):
            nnmod.save(io.BytesIO(), value)
    with pytest.raises(ValueError, match=r"up to 2\*\*53"):
        nnmod.save(io.BytesIO(), 2**60 + 1)

    class Mine(nnmod.Identity):
        pass

    with pytest.raises(TypeError, match=r"the value.modules\[0\] is a Mine, which has no form in Torch7's"):
        nnmod.save(io.BytesIO(), nnmod.Sequential(Mine()))


def test_a_file_is_replaced_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "model.t7"
    nnmod.save(path, [1])
    with pytest.raises(TypeError):
        nnmod.save(path, object())
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        nnmod.save(path, [2])
    monkeypatch.undo()
    assert nnmod.load(path) == [1] and os.listdir(tmp_path) == ["model.t7"]
    with pytest.raises(OSError) as caught:
        nnmod.save(tmp_path / "missing" / "model.t7", [1])
    assert caught.value.filename == str(tmp_path / "missing" / "model.t7")


# -- classes that nnmod does not know ----------------------------------------------------------


@functools.cache
def mystery():
    """A Sequential of a Linear, and twice of a class that nobody knows."""
    file = io.BytesIO()
    nnmod.save(file, nnmod.Sequential(nnmod.Linear(2, 3), nnmod.Power(3), nnmod.Tanh(), nnmod.Power(2)))
    return file.getvalue().replace(b"\x08\x00\x00\x00nn.Power", b"\x08\x00\x00\x00nn.Mystr")


def test_an_unknown_class_is_opaque_and_is_written_unchanged():
    net = nnmod.load(io.BytesIO(mystery()))
    assert isinstance(net[1], t7.Opaque) and net[1].fields["pow"] == 3
    assert repr(net[1]) == "Opaque(nn.Mystr, pow=3)"
    with pytest.raises(NotImplementedError, match=r"nn\.Mystr \(2 times\): nnmod does not know this class"):
        net.forward(np.ones(2, np.float32))
    assert net[0].forward(np.ones(2, np.float32)).shape == (3,)
    file = io.BytesIO()
    nnmod.save(file, net)
    theirs, ours = t7_format.read(mystery()), t7_format.read(file.getvalue())
    assert list(differences(theirs, ours)) == []
    assert isinstance(net.clone()[1], t7.Opaque)


def test_register_teaches_the_reader_a_class():
    t7.register("nn.Mystr", lambda fields: nnmod.Power(fields.number("pow")))
    try:
        net = nnmod.load(io.BytesIO(mystery()))
        assert isinstance(net[1], nnmod.Power)
        assert net.forward(np.ones(2, np.float32)).shape == (3,)
    finally:
        t7.register("nn.Mystr", None)
    assert isinstance(nnmod.load(io.BytesIO(mystery()))[1], t7.Opaque)
    t7.register("nn.Tanh", lambda fields: nnmod.Sigmoid())
    try:
        assert isinstance(nnmod.load(io.BytesIO(mystery()))[2], nnmod.Sigmoid)
    finally:
        t7.register("nn.Tanh", None)
    assert isinstance(nnmod.load(io.BytesIO(mystery()))[2], nnmod.Tanh)
    with pytest.raises(TypeError):
        t7.register(3, None)


def test_a_class_with_functions_of_its_own_is_opaque():
    thing = Torch("nn.Tanh", 1)
    thing.content = Table()
    thing.content.items += [(b"_type", b"torch.FloatTensor"), (b"updateOutput", Function(8, b"code"))]
    thing.content.items[1][1].upvalues = None
    file = io.BytesIO()
    t7_format.Writer(file).object(thing)
    module = nnmod.load(io.BytesIO(file.getvalue()))
    assert isinstance(module, t7.Opaque) and "functions of its own (updateOutput)" in module.reason


def test_an_in_place_module_that_would_spoil_another_works_out_of_place():
    file = io.BytesIO()
    nnmod.save(file, nnmod.Sequential(nnmod.Sigmoid(), nnmod.ReLU(), nnmod.Linear(2, 2)))
    data = file.getvalue()
    # inplace: a string, a boolean kind, and its value
    place = data.index(b"inplace") + len(b"inplace") + 4
    changed = data[:place] + b"\x01\x00\x00\x00" + data[place + 4:]
    assert t7.load(io.BytesIO(changed))[1].inplace is False
    alone = io.BytesIO()
    nnmod.save(alone, nnmod.Sequential(nnmod.Linear(2, 2), nnmod.ReLU(True)))
    assert nnmod.load(io.BytesIO(alone.getvalue()))[1].inplace is True


def test_graphs_come_back():
    x, h = nnmod.Identity()(), nnmod.Identity()()
    a, b = nnmod.SplitTable(1)(nnmod.Linear(3, 4)(x)).split(4)[:2]
    joined = nnmod.JoinTable(0)([nnmod.View(-1)(a), nnmod.View(-1)(b), nnmod.View(-1)(h)]).annotate(name="joined")
    graph = nnmod.gModule([x, h], [joined, nnmod.Tanh()(joined)]).double()
    again = there_and_back(graph)
    input = [np.ones((2, 3)), np.arange(3.0)]
    for ours, theirs in zip(nested.leaves(graph.forward(input)), nested.leaves(again.forward(input)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert any(node.annotations.get("name") == "joined" for node in again.forwardnodes)
