"""The classes of rnn in Torch7's files: they compute after a round trip what they did before, and old forms load."""
import io

import numpy as np
import pytest

import nnmod
from cases import CASES
from nnmod import nested
from nnmod.serialization import t7, t7_format, t7_writer
from nnmod.serialization.t7_format import Table, Torch
from test_t7_write import refusal, there_and_back

ROOMS = {"nnmod.recurrent", "nnmod.recurrence", "nnmod.sequence", "nnmod.sequencer", "nnmod.bidirectional", "nnmod.mask"}
RECURRENT = [case for case in CASES if type(case.make()).__module__ in ROOMS]


def read(raw):
    """The value of a file that holds *raw*."""
    file = io.BytesIO()
    t7_format.Writer(file).object(raw)
    return nnmod.load(io.BytesIO(file.getvalue()))


def computed(module, input):
    """Copies of output, gradInput and gradients, with the generator where it was."""
    state = nnmod.random.get_state()
    module.zeroGradParameters()
    output = nested.map(np.copy, module.forward(nested.map(np.copy, input)))
    gradInput = module.backward(module._given, nested.map(np.copy, output))
    nnmod.random.set_state(state)
    return [leaf for value in (output, gradInput) for leaf in nested.leaves(value) if leaf is not None]


@pytest.mark.parametrize("case", RECURRENT, ids=lambda case: case.id)
def test_what_comes_back_computes_the_same(case):
    module = case.make().double()
    module.forward(case.input())  # sizes are inferred
    assert refusal(module) is None
    again = there_and_back(module)
    module.clearState()
    if hasattr(module, "lengths") or "lengths" in case.id:  # they are of a batch, and not kept
        return
    for ours, theirs in zip(computed(module, case.input()), computed(again, case.input()), strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-12, atol=1e-12)
    assert sum(g.size for g in again.parameters()[1]) == sum(g.size for g in module.parameters()[1])


@pytest.mark.parametrize("cell", [nnmod.LSTM, nnmod.FastLSTM, nnmod.GRU])
def test_a_cell_whose_network_is_another_runs_that(cell):
    """As those that rnn wrote are: other modules, the same numbers."""
    module = cell(3, 4).double()
    raw = t7_writer.to_raw(module)
    content = dict(raw.content.items)
    network = dict(content[b"recurrentModule"].content.items)
    identity = Torch("nn.Identity", 1)
    identity.content = Table()
    identity.content.items += [(b"_type", b"torch.DoubleTensor")]
    children = network[b"modules"]
    children.items.append((float(len(children.items) + 1), identity))
    again = read(raw)
    assert type(again) is cell and again.recurrentModule is not None and not isinstance(again, t7.Opaque)
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    results = [computed(nnmod.Sequencer(m), x) for m in (module, again)]
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-12, atol=1e-12)


def changed(module, **fields):
    """*module* after its file got other fields."""
    raw = t7_writer.to_raw(module)
    content = dict(raw.content.items)
    for name, value in fields.items():
        content.pop(name.encode(), None)
        if value is not None:
            content[name.encode()] = value
    raw.content.items[:] = content.items()
    return read(raw)


def test_the_first_sequences_had_the_batch_in_front():
    layer = nnmod.SeqLSTM(3, 4)
    old = changed(layer, batchfirst=None, maskzero=None, _remember=None, remember_states=True)
    assert old.batchfirst and old._remember == "both"
    assert not changed(layer, batchfirst=None, maskzero=None, _remember=None).batchfirst
    x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(old.forward(x), layer.forward(x.swapaxes(0, 1).copy()).swapaxes(0, 1), rtol=1e-6)


def test_what_nnmod_cannot_do_is_said():
    assert "setLengths" in changed(nnmod.SeqGRU(3, 4), maskzero=True).reason
    assert "_remember must be one of" in changed(nnmod.SeqGRU(3, 4), _remember=b"sometimes").reason
    for module in (nnmod.Recurrent(2, nnmod.Linear(2, 2), nnmod.Linear(2, 2)), nnmod.NormStabilizer()):
        with pytest.raises(TypeError, match="with maskZero has no form"):
            nnmod.save(io.BytesIO(), nnmod.Sequential(module.maskZero()))


@pytest.mark.parametrize("make", [
    lambda: nnmod.LSTM(3, 4), lambda: nnmod.FastLSTM(3, 4), lambda: nnmod.GRU(3, 4), lambda: nnmod.MuFuRu(3, 4),
    lambda: nnmod.Recursor(nnmod.Sequential(nnmod.Linear(3, 3), nnmod.GRU(3, 4))),
    lambda: nnmod.Recurrence(nnmod.Sequential(nnmod.JoinTable(0, 1), nnmod.Linear(7, 4)), 4, 1)])
def test_zeros_stay_padding(make):
    module = make().double().maskZero()
    again = there_and_back(module)
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    x[:2, 0] = 0
    results = [computed(nnmod.Sequencer(m), x) for m in (module, again)]
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=1e-12, atol=1e-12)
    assert not results[1][0][:2, 0].any() and results[1][0][2:].all()


@pytest.mark.parametrize("ops", [None, ("keep", "replace"), ("max", "sqrt_diff", "min")])
def test_mufurus_network_computes_what_its_kernels_do(ops):
    module = nnmod.MuFuRu(3, 4, ops).double()
    raw = t7_writer.to_raw(module)
    network = read(dict(raw.content.items)[b"recurrentModule"])
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    h, expected = np.zeros((2, 4)), nnmod.Sequencer(module).forward(x)
    for t in range(5):
        h = network.forward([x[t], h]).copy()
        np.testing.assert_allclose(h, expected[t], rtol=1e-12)
    again = read(raw)
    assert not again.modules and again.ops == module.ops and repr(again) == repr(module)


def test_the_mufuru_of_rnn_with_another_bias_runs_as_it_is():
    module = nnmod.MuFuRu(3, 4, ("keep", "mul")).double()
    raw = t7_writer.to_raw(module)
    waiting = [dict(raw.content.items)[b"recurrentModule"]]
    while waiting:  # the second Linear of the reset gate gets a bias, as rnn's has
        thing = waiting.pop(0)
        fields = dict(thing.content.items)
        waiting += [item for _, item in fields[b"modules"].items] if b"modules" in fields else []
        if thing.name == "nn.Linear" and b"bias" not in fields:
            thing.content.items += [(name, t7_writer.to_raw(np.zeros(4))) for name in (b"bias", b"gradBias")]
    again = read(raw)
    assert type(again) is nnmod.MuFuRu and again.modules and again.ops == module.ops
    x = np.random.default_rng(0).standard_normal((5, 2, 3))
    np.testing.assert_allclose(nnmod.Sequencer(again).forward(x), nnmod.Sequencer(module).forward(x), rtol=1e-12)
    there_and_back(again)


def test_two_ways_have_all_that_rnn_gives_them():
    for cls in (nnmod.BiSequencer, nnmod.BiSequencerLM):
        raw = t7_writer.to_raw(cls(nnmod.LSTM(3, 2)).remember("eval"))
        fields = dict(raw.content.items)
        assert {b"forwardModule", b"backwardModule", b"mergeModule", b"fwdSeq", b"bwdSeq", b"mergeSeq", b"modules",
                b"_remember"} <= set(fields)
        inner = dict(fields[b"fwdSeq"].content.items)
        assert inner[b"module"] is fields[b"forwardModule"]
        again = read(raw)
        assert again.modules[0]._remember == "eval" and again.modules[1]._remember == "neither"


def test_two_ways_are_read():
    """rnn's BiSequencer holds its modules twice: by name, and in a network."""
    ahead, back = nnmod.FastLSTM(3, 2), nnmod.GRU(3, 2)
    raw = Torch("nn.BiSequencer", 1)
    raw.content = Table()
    merge = nnmod.JoinTable(0, 1)
    raw.content.items += [(name, t7_writer.to_raw(module)) for name, module in (
        (b"forwardModule", ahead), (b"backwardModule", back), (b"mergeModule", merge))]
    module = read(raw)
    x = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
    for ours, theirs in zip(computed(nnmod.BiSequencer(ahead, back, merge), x), computed(module, x), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_sizes_that_the_tensors_do_not_account_for_allocate_nothing():
    opaque = changed(nnmod.LSTM(3, 4), inputSize=1e9, outputSize=1e9)
    assert opaque.recurrentModule is not None  # the network as it is
    assert isinstance(changed(nnmod.SeqLSTM(3, 4), bias=nnmod.serialization.t7_format.Table()), t7.Opaque)
