"""Cells made of modules, further: their states and truncation, noise and frames, statistics beside autograd."""
import numpy as np
import pytest

import nnmod
from test_recurrent import D, H, N, close, data, run


class GateOfOnesOwn(nnmod.LSTM):
    def buildInputGate(self):
        return super().buildInputGate()


class OwnFastLSTM(nnmod.FastLSTM):
    def buildModel(self):
        return super().buildModel()


class OwnGRU(nnmod.GRU):
    def buildModel(self):
        return super().buildModel()


def columns(cell, name, places):
    """The columns of a fused weight and bias that belong to each gate of the modules, as Linear has them."""
    weight, bias = getattr(cell, name[0]), getattr(cell, name[1])
    for place in places:
        block = slice(place * H, (place + 1) * H)
        yield weight[:D, block].T, bias[block], weight[D:, block].T


def copies(cell):
    """The parameters of a fused cell in the order in which the modules have them."""
    if isinstance(cell, nnmod.GRU):
        r, u = columns(cell, ("weightGates", "biasGates"), (0, 1))
        return [np.concatenate(parts) for parts in zip(r, u)] + [*next(columns(cell, ("weight", "bias"), (0,)))]
    if isinstance(cell, nnmod.FastLSTM):  # i, g, f, o
        return [np.concatenate(parts) for parts in zip(*columns(cell, ("weight", "bias"), (0, 3, 1, 2)))]
    found = []
    for place, peephole in ((1, 1), (0, 0), (3, None), (2, 2)):  # f, i, g, o
        found += next(columns(cell, ("weight", "bias"), (place,)))
        found += [] if peephole is None else [cell.peephole[peephole]]
    return found


@pytest.mark.parametrize("fused, own", [
    (nnmod.LSTM, GateOfOnesOwn), (nnmod.FastLSTM, OwnFastLSTM), (nnmod.GRU, OwnGRU)])
def test_modules_compute_what_the_kernels_do(fused, own):
    a, b = fused(D, H).double(), own(D, H).double()
    assert a.recurrentModule is None and b.recurrentModule is b.modules[0]
    params = b.parameters()[0]
    values = copies(a)
    assert [p.shape for p in params] == [v.shape for v in values]
    for param, value in zip(params, values):
        param[...] = value
    rng = np.random.default_rng(3)
    first, after = rng.standard_normal((2, 2, N, H))
    for step in (a, b):
        step.userPrevOutput, step.userPrevCell = first
    xs, dys = data()
    for rho in (9999, 2):
        for step in (a, b):
            step.forget().maxBPTTstep(rho)
        ours, theirs = run(a, xs, dys, 0.5), run(b, xs, dys, 0.5)
        close(ours[:2], theirs[:2])
        assert sum(g.sum() for g in ours[2]) == pytest.approx(sum(g.sum() for g in theirs[2]))
        if rho == 9999:
            close(a.userGradPrevOutput, b.userGradPrevOutput)
    for step in (a, b):
        step.forget()
        step.userPrevOutput = step.userPrevCell = None
    close(a.forward(xs[0][0]), b.forward(xs[0][0]))  # without a batch


def test_a_model_that_gives_another_size_is_refused():
    class Wrong(nnmod.GRU):
        def buildModel(self):
            return nnmod.SelectTable(0)

    with pytest.raises(nnmod.ShapeError, match="what the module of Wrong returns"):
        Wrong(D, H).forward(np.ones((N, D), np.float32))
    with pytest.raises(ValueError, match="GRU has 0 modules"):
        nnmod.GRU(D, H).add(nnmod.Tanh())


NOISY = {
    "LSTM": lambda **options: nnmod.LSTM(D, H, p=0.5, **options),
    "FastLSTM": lambda **options: nnmod.FastLSTM(D, H, p=0.5, **options),
    "GRU": lambda **options: nnmod.GRU(D, H, p=0.5, **options),
}


@pytest.mark.parametrize("make", NOISY.values(), ids=NOISY)
@pytest.mark.parametrize("mono", [False, True])
def test_noise_of_each_gate_and_of_sequences_that_go_on(make, mono):
    nnmod.manualSeed(5)
    step = make(mono=mono)
    net = nnmod.Sequencer(step)
    xs = [np.ones((6, D), np.float32)] * 4

    def noises():
        net.forward(xs)
        frames = [step._line.frame(t) for t in range(4)]
        return [[m.noise.copy() for m in frame.used[0].findModules(nnmod.Dropout)[0]] for frame in frames]

    first, second = noises(), noises()
    for t in range(1, 4):
        close(first[t], first[0])
    assert len(first[0]) == {"GRU": 6}.get(type(step).__name__, 8)
    different = [a.tobytes() for a in first[0] if a.shape[1] == H]
    assert len(set(different)) == len(different) or mono
    assert any((a != b).any() for a, b in zip(first[0], second[0]))  # another sequence has other noise
    assert all((a == a[0]).all() for a in first[0]) == mono
    assert set(np.unique(np.concatenate([a.ravel() for a in first[0]]))) == {0, 2}
    net.remember("both")
    kept = [noises()[0], noises()[0]]
    close(*kept)  # a sequence that goes on keeps its noise
    a, b = (net.evaluate().forward(xs) for _ in range(2))
    close(a, b)


def test_the_same_seed_gives_the_same_noise():
    step = nnmod.Sequencer(nnmod.GRU(D, H, p=0.3))
    x, results = np.ones((5, 2, D), np.float32), []
    for _ in range(2):
        nnmod.manualSeed(3)
        results.append(step.forward(x).copy())
    assert np.array_equal(*results)


@pytest.mark.parametrize("rho", [9999, 2])
def test_noise_with_truncation(rho):
    """Frames go round: each new sequence still has one noise for all of its steps."""
    step = nnmod.GRU(D, H, rho, p=0.5)
    net, x = nnmod.Sequencer(step), np.ones((5, 2, D), np.float32)
    for _ in range(4):
        net.forward(x)
        keys = {m._key for t in range(3, 5) for m in [step._line.frame(t).used[0].findModules(nnmod.Dropout)[0][0]]}
        assert len(keys) == 1 and None not in keys
        net.backward(x, net.output)


def test_lazy_dropout_by_itself():
    nnmod.manualSeed(1)
    dropout, x = nnmod.Dropout(0.5, lazy=True), np.ones((3, 50), np.float32)
    a = dropout.forward(x).copy()
    assert np.array_equal(a, dropout.forward(x)) and not np.array_equal(a, dropout.forget().forward(x))
    rows = nnmod.Dropout(0.5, mono=True).forward(x)
    assert (rows == rows[0]).all() and 0 < rows[0].mean() < 2
    assert nnmod.Dropout(0.5, mono=True).forward(np.ones((0, 4), np.float32)).shape == (0, 4)


def test_recurrent_batch_normalization_is_its_formula():
    torch = pytest.importorskip("torch")
    step = nnmod.FastLSTM(D, H, 9999, 1e-3, 0.2, True, bn=True).double()
    for k, p in enumerate(step.parameters()[0]):
        p[...] = np.random.default_rng(k).standard_normal(p.shape)
    rng = np.random.default_rng(1)
    xs, dys = list(rng.standard_normal((3, 6, D))), list(rng.standard_normal((3, 6, H)))
    ys, dxs, grads = run(step, xs, dys)
    wx, gx, bx, wh, gh, bh, add, gc, bc = params = [torch.tensor(p, requires_grad=True) for p in step.parameters()[0]]
    inputs = [torch.tensor(x, requires_grad=True) for x in xs]

    def norm(z, g, b):
        return torch.nn.functional.batch_norm(z, None, None, g, b, True, eps=1e-3)

    h = c = torch.zeros(6, H, dtype=torch.float64)
    outputs = []
    for x in inputs:
        i, g, f, o = (norm(x @ wx.T, gx, bx) + norm(h @ wh.T, gh, bh) + add).split(H, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(norm(c, gc, bc))
        outputs.append(h)
    torch.autograd.backward(outputs, [torch.tensor(dy) for dy in dys])
    close(ys, [y.detach().numpy() for y in outputs], 1e-9)
    close(dxs, [x.grad.numpy() for x in inputs], 1e-8)
    close(grads, [p.grad.numpy() for p in params], 1e-8)


NOISY = {"LSTM": nnmod.LSTM, "FastLSTM": nnmod.FastLSTM, "GRU": nnmod.GRU}
every_noisy = pytest.mark.parametrize("cls", NOISY.values(), ids=NOISY)


@every_noisy
def test_options_that_contradict_each_other(cls):
    with pytest.raises(ValueError, match="mono says that all rows get the same noise, and p=0"):
        cls(D, H, mono=True)
    with pytest.raises(ValueError, match="p must be within 0 <= p < 1, got 1.5"):
        cls(D, H, p=1.5)


def test_statistics_of_a_fast_lstm():
    with pytest.raises(ValueError, match="bn or p, not both"):
        nnmod.FastLSTM(D, H, bn=True, p=0.2)
    with pytest.raises(ValueError, match="eps, momentum and affine are of the normalisation"):
        nnmod.FastLSTM(D, H, eps=0.1)
    cell = nnmod.FastLSTM(D, H, bn=True, momentum=0.5)
    norms = [m for m in cell.listModules() if isinstance(m, nnmod.BatchNormalization)]
    assert sorted(m.running_mean.size for m in norms) == [H, 4 * H, 4 * H]
    assert {m.momentum for m in norms} == {0.5}
    x = np.random.default_rng(0).standard_normal((8, D)).astype(np.float32)
    first = cell.forward(x).copy()
    # What is added to every row of a batch is normalised away.
    np.testing.assert_allclose(cell.forget().forward(x + 3), first, rtol=1e-4, atol=1e-5)


def test_the_class_says_whether_instances_have_statistics(monkeypatch):
    monkeypatch.setattr(nnmod.FastLSTM, "bn", True)
    assert nnmod.FastLSTM(D, H).recurrentModule is not None
    assert nnmod.FastLSTM(D, H, bn=False).recurrentModule is None


def test_a_gate_of_ones_own():
    class Open(nnmod.LSTM):
        """Never forgets: the gate f is 1."""

        def buildForgetGate(self):
            return nnmod.Sequential(nnmod.SelectTable(0), nnmod.Linear(self.inputSize, self.outputSize),
                                    nnmod.MulConstant(0), nnmod.AddConstant(1))

    step = nnmod.Sequencer(Open(D, H)).double()
    x = np.random.default_rng(0).standard_normal((4, 2, D))
    nnmod.testing.check_gradients(step, x)
    cell = step.modules[0]
    assert "Open" in repr(cell) and cell.parameters()[0]
