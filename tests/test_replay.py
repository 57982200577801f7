"""Forwards that are replayed in a fused network: the same bits as without, and never one that is out of date."""
import copy
import pickle

import numpy as np
import pytest

import nnmod as nn
from nnmod import kernels, tensor


def _net():
    nn.manualSeed(2)
    net = nn.Sequential(
        nn.View(1, 14, 14, numInputDims=2), nn.SpatialConvolution(1, 6, 3, 3), nn.SpatialBatchNormalization(6),
        nn.ReLU(), nn.SpatialMaxPooling(2, 2),
        nn.SpatialConvolution(6, 7, 3, 3, 1, 1, 1, 1), nn.SpatialAveragePooling(2, 2, 2, 2),
        nn.View(63, numInputDims=3), nn.Linear(63, 9), nn.HardTanh(-0.5, 0.5), nn.Linear(9, 1), nn.Exp())
    for _ in range(2):
        net.training().forward(_images(5))
    return net.evaluate()


def _images(seed, count=2):
    return np.random.default_rng(seed).standard_normal((count, 14, 14)).astype(np.float32)


@pytest.fixture
def pair():
    """A fused network that replays, and one that computes the same and does not."""
    net = _net()
    return _settled(net.fused()), net.fused()


def _settled(fused):
    for seed in (1, 2, 3):
        fused.forward(_images(seed))
    assert fused._replay.count == 8
    return fused


def _agree(fused, other, x):
    want = other.clearState().forward(x).copy()
    for _ in range(3):
        got = fused.forward(x)
        np.testing.assert_array_equal(got, want)
        for mine, theirs in zip(fused.modules, other.modules, strict=True):
            np.testing.assert_array_equal(mine.output, theirs.output)


def test_a_replay_calls_no_module_and_computes_the_same_bits(pair, monkeypatch):
    fused, other = pair
    for seed in range(4, 8):
        _agree(fused, other, _images(seed))

    def called(self, input):
        raise AssertionError(f"{self!r} was run")

    monkeypatch.setattr(nn.Fused, "updateOutput", called)
    monkeypatch.setattr(nn.SpatialMaxPooling, "updateOutput", called)
    fused.forward(_images(9))
    with pytest.raises(AssertionError, match="was run"):
        other.forward(_images(9))


def test_inputs_of_every_kind(pair):
    fused, other = pair
    x = _images(11, 4)
    fixed = _images(12)
    fixed.flags.writeable = False
    for input in (x[::2], x, x[0], _images(13), fixed, _images(14).astype(np.float32, order="F"), x[:2]):
        _agree(fused, other, input)
    with pytest.raises(nn.ShapeError) as raised:
        fused.forward(np.zeros((2, 14, 15), np.float32))
    assert any("Sequential[0] > View" in note for note in raised.value.__notes__)
    with pytest.raises(TypeError, match="float64"):
        fused.forward(_images(1).astype(np.float64))
    _agree(fused, other, x[:2])


def _change_window(net):
    net[2].padW = net[2].padH = 1


@pytest.mark.parametrize("change", [
    lambda net: net[1].modules[0].weight.fill(0.25),
    lambda net: setattr(net[1].modules[0], "weight", net[1].modules[0].weight * 2),
    lambda net: setattr(net[1].modules[1], "running_var", net[1].modules[1].running_var * 2),
    lambda net: net[1].modules[1].running_mean.fill(3),
    lambda net: setattr(net[1].modules[1], "eps", 0.5),
    lambda net: setattr(net[6].modules[1], "max_value", 0.25),
    lambda net: setattr(net[7], "bias", net[7].bias + 1),  # one number
    lambda net: setattr(net[7], "bias", net[7].bias.copy()) or net[7].bias.fill(1),
    lambda net: setattr(net[7], "weight", net[7].weight.copy()) or net[7].weight.fill(1),
    lambda net: net[5].resetSize(9, 7),
    lambda net: net.modules.__setitem__(7, nn.Linear(9, 1).evaluate()),
    lambda net: net[6].modules.__setitem__(1, nn.Tanh().evaluate()),
    lambda net: net.insert(6, nn.MulConstant(2).evaluate()),
    lambda net: net.clearState(),
    lambda net: net.training() and net.forward(_images(4)) is not None and net.evaluate(),
    lambda net: net.modules[1].forward(np.ones((3, 1, 8, 8), np.float32)),
    lambda net: net.modules[2].forward(np.ones((2, 6, 12, 12), np.float32)),
    lambda net: setattr(net[4], "updateOutput", lambda x: nn.SpatialMaxPooling(2, 2).forward(x)),
    lambda net: net.getParameters()[0].fill(0.125),
    _change_window,
])
def test_nothing_that_changes_is_missed(change):
    """Two networks of the same numbers, one of which replays: the same change to both."""
    first, second = _net(), _net()
    fused, other = _settled(first.fused()), second.fused()
    other.forward(_images(1))
    states = []
    for net in (fused, other):
        nn.manualSeed(9)
        try:
            change(net)
            states.append(None)
        except nn.ShapeError as error:
            states.append(str(error))
    assert states[0] == states[1]
    try:
        other.forward(_images(20))
    except nn.ShapeError as error:
        with pytest.raises(nn.ShapeError) as raised:
            fused.forward(_images(20))
        assert str(raised.value) == str(error)
        return
    for seed in (20, 21, 22, 23):
        np.testing.assert_array_equal(fused.forward(_images(seed)), other.clearState().forward(_images(seed)))


def test_a_wrong_weight_is_refused(pair):
    fused, _ = pair
    fused[7].weight = np.zeros((1, 5), np.float32)
    for _ in range(3):
        with pytest.raises(nn.ShapeError, match="weight"):
            fused.forward(_images(3))


def test_backward_after_a_replay(pair):
    fused, other = pair
    x = _images(31)
    for net in pair:
        net.zeroGradParameters()
    other.forward(x), fused.forward(x)
    dy = np.random.default_rng(1).standard_normal(fused.output.shape).astype(np.float32)
    want = other.backward(x, dy)
    gradients = [grad.copy() for grad in other.parameters()[1]]
    other.zeroGradParameters()
    np.testing.assert_array_equal(fused.backward(x, dy), want)
    for mine, theirs in zip(fused.parameters()[1], gradients, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    _agree(fused, other, x)


def test_backend_method_and_threads_are_part_of_it(pair):
    fused, other = pair
    x, before = _images(41), nn.getnumthreads()
    want = other.forward(x).copy()
    calls = []

    class Spy:
        def __getattr__(self, name):
            calls.append(name)
            return getattr(kernels.reference, name)

    import nnmod.kernels.reference  # noqa: F401
    with kernels.use_backend(Spy()):
        np.testing.assert_allclose(fused.forward(x), want, rtol=1e-4, atol=1e-5)
        assert "conv2d_fused_update_output" in calls
    _agree(fused, other, x)
    try:
        for method in ("im2col", "winograd", None):
            nn.kernels.setconv2dmethod(method)
            _agree(fused, other, x)
        for count in (3, 1, 2):
            nn.setnumthreads(count)
            _agree(fused, other, x)
    finally:
        nn.kernels.setconv2dmethod(None)
        nn.setnumthreads(before)


def test_a_steady_state_allocates_nothing_and_a_plain_network_notes_nothing(pair):
    fused, _ = pair
    before = tensor.allocations
    for seed in range(5):
        fused.forward(_images(seed))
    assert tensor.allocations == before
    plain = _net()
    for seed in range(5):
        plain.forward(_images(seed))
    assert plain._replay is None


def test_copies_note_for_themselves(pair):
    fused, other = pair
    for twin in (copy.deepcopy(fused), pickle.loads(pickle.dumps(fused)), fused.clone()):
        assert twin._replay is None
        _agree(twin, other, _images(51))
    fused.clearState()
    assert fused._replay is None


def _sequence_net():
    nn.manualSeed(4)
    return nn.Sequential(nn.SeqLSTM(5, 6), nn.SeqLSTM(6, 7), nn.Select(0, -1), nn.Linear(7, 3)).evaluate()


@pytest.mark.parametrize("change", [
    lambda net: None,
    lambda net: net.setLengths([3, 2]),
    lambda net: net.remember(),
    lambda net: setattr(net[0], "userPrevOutput", np.ones((2, 6), np.float32)),
    lambda net: setattr(net[1], "userPrevCell", np.ones((2, 7), np.float32)),
    lambda net: net[1].lastOutput.fill(7) or net[1]._hidden.fill(7),
    lambda net: setattr(net[2], "index", 1),
    lambda net: setattr(net[2], "dimension", 1),
])
def test_sequences_start_where_they_should(change):
    rng = np.random.default_rng(3)
    fused, other = _sequence_net().fused(), _sequence_net()
    for _ in range(3):
        fused.forward(rng.standard_normal((4, 2, 5)).astype(np.float32))
    assert fused._replay.count == 4
    other.forward(np.zeros((4, 2, 5), np.float32))
    change(fused), change(other)
    if fused[1]._remembers():  # what was kept differs
        fused.forget(), other.forget()
    for _ in range(4):
        x = rng.standard_normal((4, 2, 5)).astype(np.float32)
        want = other.forward(x)
        np.testing.assert_array_equal(fused.forward(x), want)
        dy = rng.standard_normal(want.shape).astype(np.float32)
        if rng.random() < 0.5:
            np.testing.assert_array_equal(fused.backward(x, dy), other.backward(x, dy))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_kernels_that_run_as_one_program_compute_the_same_bits(dtype, count):
    """Linear, convolution by columns and pooling in a row, with a bias and without, for one thread and for three."""
    rng, before = np.random.default_rng(6), nn.getnumthreads()
    net = nn.Sequential(
        nn.SpatialConvolution(2, 9, 5, 5, 1, 1, 2, 2, bias=False), nn.ReLU(), nn.SpatialMaxPooling(2, 2),
        nn.SpatialConvolution(9, 5, 3, 3, 1, 1, 1, 1), nn.HardTanh(-0.5, 0.5), nn.SpatialMaxPooling(2, 2),
        nn.View(80, numInputDims=3), nn.Linear(80, 33), nn.LeakyReLU(0.1), nn.LinearNoBias(33, 4)).type(dtype).evaluate()
    try:
        for threads in (1, 3):
            nn.setnumthreads(threads)
            fused = net.fused()
            for _ in range(5):
                x = rng.standard_normal((count, 2, 16, 16)).astype(dtype)
                x[:1, 0, 3, 3] = np.nan if threads == 3 else 0
                np.testing.assert_array_equal(fused.forward(x), net.forward(x))
            assert fused._replay.count == 7
            if threads == 1 and count and kernels.backend_name() == "cpu":
                assert not fused._replay._calls  # one call for all
    finally:
        nn.setnumthreads(before)


def test_what_is_not_known_runs_as_always():
    """A class derived from a known one may compute something else."""
    class Twice(nn.Linear):
        def updateOutput(self, input):
            super().updateOutput(input)
            self.output *= 2
            return self.output

    nn.manualSeed(1)
    net = nn.Sequential(nn.Linear(4, 3), Twice(3, 2), nn.Linear(2, 2)).evaluate().fused()
    x = np.ones((2, 4), np.float32)
    want = net.forward(x).copy()
    for _ in range(4):
        np.testing.assert_array_equal(net.forward(x), want)
    assert net._replay.count == 1
