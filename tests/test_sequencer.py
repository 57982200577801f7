"""Sequences of tables and tensors, both directions, losses over sequences, and zeros as padding."""
import numpy as np
import pytest

import nnmod
from nnmod import ShapeError


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def sequence(T=4, N=2, F=3, seed=0):
    return np.random.default_rng(seed).standard_normal((T, N, F))


def test_a_table_in_a_table_out_a_tensor_in_a_tensor_out():
    net = nnmod.Sequencer(nnmod.Linear(3, 2)).double()
    x = sequence()
    stacked = net.forward(x).copy()
    table = net.forward(list(x))
    assert isinstance(table, list) and len(table) == 4
    close(np.stack(table), stacked)
    assert len(net.forward(list(x)[:2])) == 2  # shorter sequences give shorter tables
    dy = np.ones_like(stacked)
    dx = net.forward(x) is not None and net.backward(x, dy).copy()
    net.forward(list(x))
    close(np.stack(net.backward(list(x), list(dy))), dx)


def test_steps_that_give_tables():
    net = nnmod.Sequencer(nnmod.ConcatTable(nnmod.Linear(3, 2), nnmod.Tanh())).double()
    x = sequence()
    y = net.forward(x)
    assert len(y) == 4 and [part.shape for part in y[0]] == [(2, 2), (2, 3)]
    assert net.backward(x, [[np.ones((2, 2)), np.ones((2, 3))]] * 4).shape == x.shape


def test_indices_have_no_gradient():
    net = nnmod.Sequencer(nnmod.Sequential(nnmod.LookupTableMaskZero(5, 3), nnmod.GRU(3, 2)))
    x = np.array([[1, 2], [0, 5], [3, 3]])
    y = net.forward(x)
    assert y.shape == (3, 2, 2) and net.backward(x, np.ones_like(y)) is None
    assert net.parameters()[1][0][1:].any(axis=1).tolist() == [True, True, True, False, True]


def test_a_vector_is_a_sequence_of_numbers():
    net = nnmod.Sequencer(nnmod.SAdd(1))
    close(net.forward(np.arange(3.0)), [1, 2, 3])
    close(net.backward(np.arange(3.0), np.ones(3)), [1, 1, 1])


@pytest.mark.parametrize("make", [lambda: nnmod.Sequencer(nnmod.Linear(3, 2)),
                                  lambda: nnmod.BiSequencer(nnmod.Linear(3, 2))])
def test_an_empty_sequence_is_refused(make):
    for empty in ([], np.zeros((0, 2, 3), np.float32)):
        with pytest.raises(ShapeError, match="a sequence must have at least one step"):
            make().forward(empty)


def test_what_a_sequencer_drives():
    with pytest.raises(TypeError, match="Sequencer takes a module, got 3"):
        nnmod.Sequencer(3)
    with pytest.raises(ValueError, match="Sequencer drives one step module"):
        nnmod.Sequencer(nnmod.Identity()).add(nnmod.Identity())
    assert isinstance(nnmod.Sequencer(nnmod.Linear(2, 2)).module, nnmod.Recursor)
    lstm = nnmod.LSTM(2, 2)
    assert nnmod.Sequencer(lstm).module is lstm


def test_steps_that_differ_do_not_stack():
    """Only a table has room for them."""
    class Growing(nnmod.Module):
        count = 0

        def updateOutput(self, input):
            Growing.count += 1
            self.output = np.ones(Growing.count, np.float32)
            return self.output

    with pytest.raises(ShapeError, match=r"all steps must give what the first gives, float32 \(1,\), step 1 gives "
                                         r"float32 \(2,\); use a table"):
        nnmod.Sequencer(Growing()).forward(np.ones((2, 3), np.float32))


def test_a_sequencer_inside_a_step():
    """A step that runs over a short sequence of its own: each step has its own states."""
    inner = nnmod.Sequencer(nnmod.FastLSTM(3, 4))
    net = nnmod.Sequencer(nnmod.Sequential(inner, nnmod.SeqReverseSequence(0))).double()
    x = np.random.default_rng(1).standard_normal((3, 5, 2, 3))
    y = net.forward(x).copy()
    dy = np.random.default_rng(2).standard_normal(y.shape)
    net.zeroGradParameters()
    dx = net.backward(x, dy).copy()
    alone = nnmod.Sequencer(inner.module.clone()).double()
    alone.zeroGradParameters()
    for t in range(3):
        close(alone.forward(x[t])[::-1], y[t])
        close(alone.backward(x[t], dy[t, ::-1].copy()), dx[t])
    for a, b in zip(net.parameters()[1], alone.parameters()[1]):
        close(a, b)


def test_a_repeater_repeats():
    step = nnmod.GRU(3, 2).double()
    net = nnmod.Repeater(step.clone(), 3)
    x = sequence()[0]
    other = nnmod.Sequencer(step)
    y, expected = net.forward(x), other.forward([x, x, x])
    for a, b in zip(y, expected):
        close(a, b)
    dy = list(np.random.default_rng(3).standard_normal((3, 2, 2)))
    close(net.backward(x, dy), sum(other.backward([x, x, x], dy)))
    with pytest.raises(ValueError, match="nStep must be an int > 0"):
        nnmod.Repeater(step, 0)


# -- both directions -------------------------------------------------------------------------

def test_two_ways_are_two_sequencers():
    a, b = nnmod.LSTM(3, 2).double(), nnmod.GRU(3, 2).double()
    x = list(sequence())
    ahead = [y.copy() for y in nnmod.Sequencer(a.clone()).forward(x)]
    back = [y.copy() for y in nnmod.Sequencer(b.clone()).forward(x[::-1])][::-1]
    for t, y in enumerate(nnmod.BiSequencer(a.clone(), b.clone()).forward(x)):
        close(y, np.concatenate([ahead[t], back[t]], 1))
    for t, y in enumerate(nnmod.BiSequencer(a.clone(), b.clone(), nnmod.CAddTable()).forward(x)):
        close(y, ahead[t] + back[t])
    past = nnmod.Sequencer(a.clone()).forward(x[:-1])
    future = nnmod.Sequencer(b.clone()).forward(x[:0:-1])[::-1]
    y = nnmod.BiSequencerLM(a.clone(), b.clone()).forward(x)
    for t in range(4):
        before = past[t - 1] if t else np.zeros((2, 2))
        after = future[t] if t < 3 else np.zeros((2, 2))
        close(y[t], np.concatenate([before, after], 1))


def test_the_other_way_is_a_copy_with_parameters_of_its_own():
    net = nnmod.BiSequencer(nnmod.LSTM(3, 2))
    a, b = net.modules[0].module, net.modules[1].module
    assert a.weight.shape == b.weight.shape and not np.array_equal(a.weight, b.weight)
    with pytest.raises(ValueError, match="BiSequencer has three Sequencers"):
        net.add(nnmod.Identity())
    with pytest.raises(TypeError, match="forward must be a module"):
        nnmod.BiSequencer(3)
    with pytest.raises(ShapeError, match="at least two steps, got 1"):
        nnmod.BiSequencerLM(nnmod.LSTM(3, 2)).forward([np.ones((2, 3), np.float32)])


def test_only_the_way_forward_remembers():
    x = sequence()
    for net in (nnmod.BiSequencer(nnmod.LSTM(3, 2)), nnmod.SeqBRNN(3, 2, merge=nnmod.JoinTable(-1))):
        net.double()
        first = net.forward(x).copy()
        nnmod.Sequential(net).remember("both")
        net.forward(x)
        second = net.forward(x)
        assert not np.allclose(second[..., :2], first[..., :2])
        close(second[..., 2:], first[..., 2:])


def test_a_bidirectional_layer_is_pytorchs():
    torch = pytest.importorskip("torch")
    T, N, D, H = 5, 2, 3, 4
    m = nnmod.SeqBRNN(D, H, merge=nnmod.JoinTable(-1)).double()
    t = torch.nn.LSTM(D, H, bidirectional=True).double()

    def reordered(w):
        return np.concatenate([w[..., k * H:(k + 1) * H] for k in (0, 1, 3, 2)], -1)

    with torch.no_grad():
        for layer, end in ((m.forwardModule, ""), (m.backwardModule, "_reverse")):
            getattr(t, "weight_ih_l0" + end).copy_(torch.tensor(reordered(layer.weight[:D]).T))
            getattr(t, "weight_hh_l0" + end).copy_(torch.tensor(reordered(layer.weight[D:]).T))
            getattr(t, "bias_ih_l0" + end).copy_(torch.tensor(reordered(layer.bias)))
            getattr(t, "bias_hh_l0" + end).zero_()
    x = sequence(T, N, D)
    tx = torch.tensor(x, requires_grad=True)
    ty, _ = t(tx)
    dy = np.random.default_rng(1).standard_normal(ty.shape)
    ty.backward(torch.tensor(dy))
    close(m.forward(x), ty.detach().numpy())
    close(m.backward(x, dy), tx.grad.numpy())


def test_reversing_integers_and_dimensions_that_are_not_there():
    assert nnmod.SeqReverseSequence(-1).forward(np.array([[1, 2]])).tolist() == [[2, 1]]
    with pytest.raises(ShapeError, match="dim 3 does not exist"):
        nnmod.SeqReverseSequence(3).forward(np.ones((2, 2)))
    with pytest.raises(ValueError, match="dim must be an int"):
        nnmod.SeqReverseSequence("time")


# -- losses ------------------------------------------------------------------------------------

def test_the_loss_of_a_sequence_is_the_sum_of_its_steps():
    x, t = sequence(), sequence(seed=1)
    one = nnmod.MSECriterion()
    losses = [one.forward(a, b) for a, b in zip(x, t)]
    gradients = [one.backward(a, b).copy() for a, b in zip(x, t)]
    for average, norm in ((False, 1), (True, 4)):
        c = nnmod.SequencerCriterion(nnmod.MSECriterion(), average)
        for given, target in ((x, t), (list(x), list(t)), (list(x), t), (x, list(t))):
            assert c.forward(given, target) == pytest.approx(sum(losses) / norm)
            dx = c.backward(given, target)
            assert type(dx) is type(given)
            close(np.stack(list(dx)), np.stack(gradients) / norm)
    r = nnmod.RepeaterCriterion(nnmod.MSECriterion())
    assert r.forward(x, t[0]) == pytest.approx(sum(one.forward(a, t[0]) for a in x))
    close(r.backward(x, t[0])[2], one.backward(x[2], t[0]))


def test_each_step_has_a_criterion_of_its_own():
    """A criterion that remembers its forward must meet it again in backward."""
    class Remembering(nnmod.Criterion):
        def updateOutput(self, input, target):
            self.kept = float(input.sum())
            return self.kept

        def updateGradInput(self, input, target):
            return np.full_like(input, self.kept)

    c = nnmod.SequencerCriterion(Remembering())
    x = sequence()
    c.forward(x, x)
    close(c.backward(x, x)[:, 0, 0], x.sum(axis=(1, 2)))


def test_targets_are_counted():
    c = nnmod.SequencerCriterion(nnmod.MSECriterion())
    with pytest.raises(ShapeError, match="target must have 4 entries, one for each step of the input, got 3"):
        c.forward(sequence(), sequence(3))
    with pytest.raises(ShapeError, match="at least one step"):
        c.forward([], [])
    with pytest.raises(TypeError, match="SequencerCriterion takes a criterion"):
        nnmod.SequencerCriterion(nnmod.Linear(2, 2))


# -- zeros as padding ---------------------------------------------------------------------------

@pytest.mark.parametrize("kind", [nnmod.MaskZero, nnmod.TrimZero])
def test_rows_of_zeros_are_left_out(kind):
    plain = nnmod.Linear(3, 2).double()
    m = kind(plain.clone(), 1)
    x = sequence()[0:1].repeat(3, 0).reshape(6, 3) + np.arange(6.0)[:, None]
    x[[1, 4]] = 0
    real = [0, 2, 3, 5]
    dy = np.random.default_rng(1).standard_normal((6, 2))
    for net in (m, plain):
        net.zeroGradParameters()
    y = m.forward(x)
    close(y[real], plain.forward(x[real]))
    assert not y[[1, 4]].any()
    dx = m.backward(x, dy)
    close(dx[real], plain.backward(x[real], dy[real]))
    assert not dx[[1, 4]].any()
    for a, b in zip(m.parameters()[1], plain.parameters()[1]):
        close(a, b)
    m.zeroGradParameters()
    m.updateGradInput(x, dy)
    m.accGradParameters(x, dy)
    for a, b in zip(m.parameters()[1], plain.parameters()[1]):
        close(a, b)
    assert not m.forward(np.zeros((6, 3))).any()  # nothing but padding
    before = [g.copy() for g in m.parameters()[1]]
    assert not m.backward(np.zeros((6, 3)), dy).any()
    for a, b in zip(m.parameters()[1], before):
        close(a, b)
    assert not m.forward(np.zeros(3)).any()  # one row without a batch
    close(m.forward(x[0]), plain.forward(x[0]))
    with pytest.raises(ShapeError, match=r"the first tensor of the input must have 1 dimensions, or 2 with a batch"):
        m.forward(np.ones((2, 3, 3)))


def test_nan_is_not_padding():
    x = np.array([[np.nan, 0], [0, 0], [0, 1]])
    y = nnmod.MaskZero(nnmod.Tanh(), 1).forward(x)
    assert np.isnan(y[0, 0]) and y[2, 1] != 0


def test_trimmed_rows_are_not_in_statistics():
    x = sequence()[0:1].reshape(2, 3)
    padded = np.concatenate([x, np.zeros((3, 3))])
    plain = nnmod.BatchNormalization(3).double()
    m = nnmod.TrimZero(plain.clone(), 1)
    close(m.forward(padded)[:2], plain.forward(x))


def test_words_of_old_scripts_keep_their_numbers():
    m = nnmod.LookupTableMaskZero(3, 2).double()
    assert m.weight.shape == (4, 2) and not m.weight[0].any()
    y = m.forward(np.array([[3, 0], [1, 3]]))
    close(y, [[m.weight[3], [0, 0]], [m.weight[1], m.weight[3]]])
    m.backward(np.array([[3, 0], [1, 3]]), np.ones((2, 2, 2)), 0.5)
    close(m.gradWeight[:, 0], [0, 0.5, 0, 1])
    with pytest.raises(IndexError, match=r"input\[1\] is 4, but indices are 0..3"):
        m.forward(np.array([1, 4]))
    m.getParameters()[0].fill(7)  # as scripts draw all parameters at once
    assert m.forward(np.array([0, 1])).tolist() == [[0, 0], [7, 7]]


def test_a_table_that_steps_by_itself_in_a_sequence():
    """backwardUpdate reaches the table in every step."""
    def net():
        nnmod.manualSeed(5)
        return nnmod.Sequencer(nnmod.Sequential(nnmod.LookupTable(5, 3), nnmod.GRU(3, 2))).double()
    x = np.array([[1, 2], [0, 4], [3, 1]])
    a, b = net(), net()
    dy = np.random.default_rng(1).standard_normal((3, 2, 2))
    a.forward(x)
    a.backwardUpdate(x, dy, 0.5)
    b.zeroGradParameters()
    b.forward(x)
    b.backward(x, dy)
    b.updateParameters(0.5)
    for p, q in zip(a.parameters()[0], b.parameters()[0]):
        close(p, q)


def test_a_loss_without_its_padding():
    x = sequence()[0:2].reshape(4, 3)
    t = sequence(seed=1)[0:2].reshape(4, 3)
    x[1] = 0
    c, plain = nnmod.MaskZeroCriterion(nnmod.MSECriterion(), 1), nnmod.MSECriterion()
    real = [0, 2, 3]
    assert c.forward(x, t) == plain.forward(x[real], t[real])
    dx = c.backward(x, t)
    close(dx[real], plain.backward(x[real], t[real]))
    assert not dx[1].any()
    assert c.forward(np.zeros((4, 3)), t) == 0 and not c.backward(np.zeros((4, 3)), t).any()
    with pytest.raises(ShapeError, match=r"input must have 2 dimensions, a batch and 1 more"):
        c.forward(x[0], t[0])
    with pytest.raises(ShapeError, match="target must have 4 rows"):
        c.forward(x, t[:2])
