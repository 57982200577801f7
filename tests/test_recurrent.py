"""Step modules: beside autograd, truncated, carried on, in evaluation, and called in the wrong order."""
import numpy as np
import pytest

import nnmod
from nnmod import ShapeError, nested

T, N, D, H = 5, 2, 3, 4
STEPS = {
    "LSTM": lambda rho=9999: nnmod.LSTM(D, H, rho),
    "FastLSTM": lambda rho=9999: nnmod.FastLSTM(D, H, rho),
    "GRU": lambda rho=9999: nnmod.GRU(D, H, rho),
    "MuFuRu": lambda rho=9999: nnmod.MuFuRu(D, H, rho=rho),
    "Recurrent": lambda rho=9999: nnmod.Recurrent(H, nnmod.Linear(D, H), nnmod.Linear(H, H), rho=rho),
    "Recurrence": lambda rho=9999: nnmod.Recurrence(nnmod.Sequential(
        nnmod.ParallelTable(nnmod.Linear(D, H), nnmod.Linear(H, H)), nnmod.CAddTable(), nnmod.Tanh()), H, 1, rho),
    "Recursor": lambda rho=9999: nnmod.Recursor(nnmod.Sequential(
        nnmod.FastLSTM(D, 3), nnmod.Linear(3, 5), nnmod.Tanh(), nnmod.LSTM(5, H)), rho),
}
every_step = pytest.mark.parametrize("make", STEPS.values(), ids=STEPS)


def data(seed=0, steps=T):
    rng = np.random.default_rng(seed)
    return list(rng.standard_normal((steps, N, D))), list(rng.standard_normal((steps, N, H)))


def run(step, xs, dys, scale=1.0):
    """Outputs, gradInputs and the parameters' gradients of one sequence."""
    step.zeroGradParameters()
    ys = [step.forward(x).copy() for x in xs]
    dxs = [step.backward(x, dy, scale).copy() for x, dy in zip(xs[::-1], dys[::-1])][::-1]
    return ys, dxs, [g.copy() for g in step.parameters()[1]]


def close(actual, expected, tolerance=1e-12):
    actual, expected = list(nested.leaves(actual)), list(nested.leaves(expected))
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def randomised(step, seed=3):
    rng = np.random.default_rng(seed)
    for p in step.double().parameters()[0]:
        p[...] = 0.5 * rng.standard_normal(p.shape)
    return step


# -- the cells, written again with autograd ---------------------------------------------

def lstm(torch, p, x, state):
    h, c = state
    z = torch.cat([x, h], 1) @ p[0] + p[1]
    i, f, o, g = (z[:, k * H:(k + 1) * H] for k in range(4))
    peep = p[2] if len(p) > 2 else torch.zeros(3, H, dtype=z.dtype)
    i, f = torch.sigmoid(i + peep[0] * c), torch.sigmoid(f + peep[1] * c)
    c = f * c + i * torch.tanh(g)
    return torch.sigmoid(o + peep[2] * c) * torch.tanh(c), c


def gru(torch, p, x, state):
    h, = state
    r, u = torch.sigmoid(torch.cat([x, h], 1) @ p[0] + p[1]).split(H, 1)
    k = torch.tanh(torch.cat([x, r * h], 1) @ p[2] + p[3])
    return (1 - u) * k + u * h,


def mufuru(torch, p, x, state):
    s, = state
    xs = torch.cat([x, s], 1)
    r = torch.sigmoid(xs @ p[0] + p[1])
    v = torch.sigmoid(torch.cat([x, r * s], 1) @ p[2] + p[3])
    weights = torch.softmax((xs @ p[4] + p[5]).reshape(-1, 8, H), 1)
    ops = [s, v, s * v, s - v, 0 * s, (s - v).abs().sqrt() / 4, torch.maximum(s, v), torch.minimum(s, v)]
    return (weights * torch.stack(ops, 1)).sum(1),


@pytest.mark.parametrize("name, cell, states", [
    ("LSTM", lstm, 2), ("FastLSTM", lstm, 2), ("GRU", gru, 1), ("MuFuRu", mufuru, 1)])
def test_a_cell_is_its_formula(name, cell, states):
    torch = pytest.importorskip("torch")
    step = randomised(STEPS[name]())
    xs, dys = data()
    rng = np.random.default_rng(4)
    first = [rng.standard_normal((N, H)) for _ in range(states)]
    after = [rng.standard_normal((N, H)) for _ in range(states)]
    params = [torch.tensor(p, requires_grad=True) for p in step.parameters()[0]]
    inputs = [torch.tensor(x, requires_grad=True) for x in xs]
    begin = [torch.tensor(s, requires_grad=True) for s in first]
    state, outputs = tuple(begin), []
    for x in inputs:
        state = cell(torch, params, x, state)
        outputs.append(state[0])
    torch.autograd.backward([*outputs, *state], [torch.tensor(a) for a in (*dys, *after)])
    step.userPrevOutput, step.userPrevCell = first[0], first[-1]
    ys = [step.forward(x).copy() for x in xs]
    step.gradPrevOutput, step.userNextGradCell = after[0], after[-1]
    dxs = [step.backward(x, dy).copy() for x, dy in zip(xs[::-1], dys[::-1])][::-1]
    close(ys, [y.detach().numpy() for y in outputs])
    close(dxs, [x.grad.numpy() for x in inputs])
    close(step.parameters()[1], [p.grad.numpy() for p in params])
    close([step.userGradPrevOutput, step.userGradPrevCell][:states], [s.grad.numpy() for s in begin])


def test_mufuru_where_old_and_new_are_equal():
    """The root has no derivative there (0, as Torch's Sqrt has it); max and min take the old state."""
    from nnmod.kernels import reference
    backends = [reference, nnmod.kernels.of(np.zeros(1))]
    s = np.array([[0.25, np.nan]])
    for K in backends:
        for op, by_s in ((5, 0), (6, 1), (7, 1)):
            ops, p, y = np.array([op]), np.zeros((1, 1, 2)), np.empty((1, 2))
            K.mufuru_update_output(s, s, ops, p, y)
            assert y[0, 0] == (0 if op == 5 else 0.25) and np.isnan(y[0, 1])
            dp, ds, dv = np.empty_like(p), np.empty_like(s), np.empty_like(s)
            K.mufuru_update_grad_input(s, s, ops, p, np.ones((1, 2)), dp, ds, dv)
            assert ds[0, 0] == by_s and dv[0, 0] == 0


# -- the protocol ------------------------------------------------------------------------

@every_step
def test_a_sequencer_calls_every_step(make):
    step = randomised(make())
    xs, dys = data()
    ours = run(step, xs, dys)
    net = nnmod.Sequencer(step.clone())
    net.zeroGradParameters()
    ys = net.forward(xs)
    close([ys, net.backward(xs, dys), net.parameters()[1]], list(ours))
    stacked = net.forward(np.stack(xs))
    close([list(stacked)], [ours[0]])
    net.zeroGradParameters()
    net.updateGradInput(np.stack(xs), np.stack(dys))  # the two halves of backward, apart
    net.accGradParameters(np.stack(xs), np.stack(dys))
    close([list(net.gradInput), net.parameters()[1]], list(ours[1:]))
    net.accGradParameters(np.stack(xs), np.stack(dys), 2.0)
    close([net.parameters()[1]], [[3 * g for g in ours[2]]])


@every_step
@pytest.mark.parametrize("rho", [1, 2, 3])
def test_truncated_backpropagation_is_a_loop_that_ends_early(make, rho):
    """Only the last rho steps have a backward; what comes before them is as good as given."""
    full = randomised(make())
    xs, dys = data(1)
    full.zeroGradParameters()
    ys = [full.forward(x).copy() for x in xs]
    expected = [full.backward(x, dy).copy() for x, dy in list(zip(xs, dys))[:-rho - 1:-1]]
    grads = [g.copy() for g in full.parameters()[1]]
    short = randomised(make(rho))
    for _ in range(2):  # the second sequence meets the frames of the first
        close(list(run(short.forget(), xs, dys)),
              [ys, [np.zeros((N, D))] * (T - rho) + expected[::-1], grads])
    again = randomised(make()).maxBPTTstep(rho)
    close(list(run(again, xs, dys))[2], grads)


@every_step
def test_a_truncated_sequence_keeps_no_more_than_it_needs(make):
    step = make(2)
    x = np.ones((N, D), np.float32)
    for _ in range(4):
        step.forward(x)
    before = nnmod.tensor.allocations
    for _ in range(20):
        step.forward(x)
    assert nnmod.tensor.allocations == before and step.step == 24


@every_step
def test_evaluation_computes_the_same_and_keeps_one_step(make):
    step = randomised(make())
    xs, dys = data(2)
    ys = [step.forward(x).copy() for x in xs]
    step.evaluate()  # forgets
    close([step.forward(x).copy() for x in xs], ys)
    before = nnmod.tensor.allocations
    for x in xs * 5:
        step.forward(x)
    assert nnmod.tensor.allocations == before
    step.backward(xs[-1], dys[-1])
    with pytest.raises(RuntimeError, match="this step is not kept: evaluation keeps the last step only"):
        step.backward(xs[-2], dys[-2])
    step.training()
    close([step.forward(x).copy() for x in xs], ys)


@every_step
def test_forget_starts_anew_and_parameters_may_move(make):
    """What getParameters, clone and a step of descent do reaches every step's copy."""
    step = randomised(make())
    xs, dys = data(3)
    expected = run(step, xs, dys)
    flat, grad = step.getParameters()
    close(list(run(step.forget(), xs, dys)), list(expected))
    close([grad], [np.concatenate([g.ravel() for g in expected[2]])])
    flat *= 0.5
    twin = step.clone()
    assert twin.step == 0
    close(list(run(step.forget(), xs, dys)), list(run(twin, xs, dys)))
    other = randomised(make())
    for p in other.parameters()[0]:
        p *= 0.5
    close(list(run(step.forget(), xs, dys)), list(run(other, xs, dys)))


@every_step
def test_frames_full_of_nan_change_nothing(make):
    step = randomised(make())
    xs, dys = data(4)
    expected = run(step, xs, dys)
    frames = list(step._line._kept.values())
    buffers = [b for frame in frames for b in frame.buffers.values()]
    assert buffers or make is STEPS["Recursor"]  # whose modules have them all
    for buffer in buffers:
        buffer.fill(np.nan)
    close(list(run(step.forget(), xs, dys)), list(expected))


@every_step
def test_calls_in_the_wrong_order(make):
    step = make()
    x, y = np.ones((N, D), np.float32), np.ones((N, H), np.float32)
    with pytest.raises(RuntimeError, match="backward before forward"):
        step.backward(x, y)
    step.forward(x)
    with pytest.raises(RuntimeError, match="needs updateGradInput of that step before it"):
        step.accGradParameters(x, y)
    with pytest.raises(RuntimeError, match=r"step 0 had an input float32 \(2, 3\) with other values"):
        step.backward(x + 1, y)
    with pytest.raises(ShapeError, match=r"gradOutput must have the shape of the output of this step, \(2, 4\)"):
        step.backward(x, y[:1])
    step.backward(x, y)
    with pytest.raises(RuntimeError, match="backward has been called for all 1 steps"):
        step.backward(x, y)
    step.rewind().backward(x, y)
    with pytest.raises(ValueError, match="rho must be an int > 0, got 0"):
        make(0)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "MuFuRu", "Recurrence"])
def test_a_wrong_step_leaves_the_sequence_as_it_was(name):
    step = randomised(STEPS[name]())
    xs, dys = data(5)
    expected = run(step, xs, dys)
    step.forget().zeroGradParameters()
    ys = []
    for x in xs:
        with pytest.raises((ShapeError, TypeError)):
            step.forward(np.ones((N, D + 1)))
        if ys:
            with pytest.raises(ShapeError):
                step.forward(np.ones((N + 1, D)))
        ys.append(step.forward(x).copy())
    close(ys, expected[0])
    close([step.backward(x, dy).copy() for x, dy in zip(xs[::-1], dys[::-1])][::-1], expected[1])


def test_the_state_of_a_step_is_checked():
    step = nnmod.LSTM(D, H)
    step.userPrevCell = np.zeros((N, H + 1), np.float32)
    with pytest.raises(ShapeError, match=r"userPrevCell must have shape \(2, 4\), got \(2, 5\)"):
        step.forward(np.ones((N, D), np.float32))
    step.userPrevCell = np.zeros((N, H))
    with pytest.raises(TypeError, match="userPrevCell must be float32 like the module, got float64"):
        step.forward(np.ones((N, D), np.float32))


@pytest.mark.parametrize("name", ["LSTM", "Recurrence", "Recursor", "Recurrent"])
def test_a_sequencer_that_remembers(name):
    net = nnmod.Sequencer(randomised(STEPS[name]())).remember("both")
    xs, dys = data(6)
    x = np.stack(xs)
    whole = net.forward(x).copy()
    net.forget()
    parts = [x[:2].copy(), x[2:].copy()]
    close([np.concatenate([net.forward(part).copy() for part in parts])], [whole])
    for k in range(8):
        if k == 3:
            before = nnmod.tensor.allocations
        net.forward(parts[0])
        net.backward(parts[0], np.stack(dys[:2]))
    assert nnmod.tensor.allocations == before
    net.remember("eval").forward(parts[0])
    close([net.forward(parts[0])], [whole[:2]])
    with pytest.raises(ValueError, match="remember must be one of"):
        net.remember("all")


def test_the_gradient_stops_where_a_remembered_sequence_begins():
    net = nnmod.Sequencer(randomised(STEPS["LSTM"]())).remember("both")
    xs, dys = data(7)
    net.forward(xs[:2])
    states = [s.copy() for s in net.module._line.frame(1).after]
    net.zeroGradParameters()
    net.forward(xs[2:])
    dx = [d.copy() for d in net.backward(xs[2:], dys[2:])]
    grads = [g.copy() for g in net.parameters()[1]]
    step = randomised(STEPS["LSTM"]())
    step.userPrevOutput, step.userPrevCell = states
    close(list(run(step, xs[2:], dys[2:]))[1:], [dx, grads])


def test_stacked_steps_are_stacked_sequencers():
    a, b, linear = nnmod.LSTM(D, 5), nnmod.GRU(5, H), nnmod.Linear(5, 5)
    one = nnmod.Sequencer(nnmod.Sequential(a.clone(), linear.clone(), b.clone())).double()
    two = nnmod.Sequential(*map(nnmod.Sequencer, (a, linear, b))).double()
    xs, dys = data(8)
    for net in (one, two):
        net.zeroGradParameters()
        net.forward(xs)
    close([one.output, one.backward(xs, dys), one.parameters()[1]],
          [two.output, two.backward(xs, dys), two.parameters()[1]])


def test_steps_inside_set_the_limit():
    """A Recursor goes no further back than the shortest step inside it."""
    def net(outer, inner):
        nnmod.manualSeed(3)
        return nnmod.Recursor(nnmod.Sequential(nnmod.FastLSTM(D, 3, inner), nnmod.Linear(3, H)), outer).double()
    xs, dys = data(9)
    close(list(run(net(9, 2), xs, dys)), list(run(net(2, 9), xs, dys)))


def test_statistics_are_shared_by_all_steps():
    norm = nnmod.BatchNormalization(D)
    net = nnmod.Sequencer(norm)
    xs = [x.astype(np.float32) for x in data(10)[0]]
    net.forward(xs)
    alone = nnmod.BatchNormalization(D)
    for x in xs:
        alone.forward(x)
    close([norm.running_mean, norm.running_var], [alone.running_mean, alone.running_var], 0)


def test_settings_changed_later_reach_every_step():
    drop = nnmod.Dropout(0.5)
    net = nnmod.Sequencer(nnmod.Sequential(nnmod.Identity(), drop))
    xs = [x.astype(np.float32) for x in data(11)[0]]
    net.forward(xs)
    drop.p = 0
    close(net.forward(xs), xs, 0)
    net.module.modules[0].add(nnmod.SAdd(1))  # and so does a change of structure
    close(net.forward(xs), [x + np.float32(1) for x in xs], 0)


def test_a_recurrent_starts_with_its_start_module():
    step = randomised(STEPS["Recurrent"]())
    start, first, feedback, _, _ = step.modules
    xs, _ = data(12)
    sigmoid = lambda z: 1 / (1 + np.exp(-z))
    y = sigmoid(xs[0] @ first.weight.T + first.bias + start.bias)
    close([step.forward(xs[0])], [y])
    y = sigmoid(xs[1] @ first.weight.T + first.bias + y @ feedback.weight.T + feedback.bias)
    close([step.forward(xs[1])], [y])


def test_a_recurrence_of_a_wrong_size():
    step = nnmod.Recurrence(nnmod.Sequential(nnmod.ParallelTable(nnmod.Linear(3, 4), nnmod.Linear(5, 4)),
                                             nnmod.CAddTable()), 5, 1)
    with pytest.raises(ShapeError, match=r"the output of recurrentModule must have the shape of outputSize with the "
                                         r"batch, \(2, 5\), got \(2, 4\)"):
        step.forward(np.ones((2, 3), np.float32))
    with pytest.raises(ShapeError, match=r"input must have 1 dimensions, or 2 with a batch \(nInputDim=1\)"):
        step.forward(np.ones((2, 2, 3), np.float32))
    with pytest.raises(ValueError, match="a size must be an int > 0"):
        nnmod.Recurrence(nnmod.Identity(), 0, 1)
    with pytest.raises(ValueError, match="Recursor has 1 modules, each in its place, got 2"):
        nnmod.Recursor(nnmod.Identity()).add(nnmod.Identity())


def test_an_error_in_a_step_names_the_way():
    net = nnmod.Sequential(nnmod.Identity(), nnmod.Sequencer(nnmod.Sequential(nnmod.LSTM(3, 4), nnmod.Linear(5, 2))))
    with pytest.raises(ShapeError) as caught:
        net.forward(np.ones((4, 2, 3), np.float32))
    assert any("Sequential[1] > Sequencer[0] > Recursor[0] > Sequential[1] > Linear(5 -> 2).forward" in note
               for note in caught.value.__notes__)


# -- zeros as padding ---------------------------------------------------------------------

@pytest.mark.parametrize("name", ["LSTM", "FastLSTM", "GRU", "MuFuRu", "Recurrence"])
def test_mask_zero_starts_a_sequence_after_its_padding(name):
    """Rows of zeros give 0 and reset the state: what follows is as if it came first."""
    step = randomised(STEPS[name]()).maskZero()
    xs, dys = data(13)
    for t in range(2):
        xs[t][1] = 0
    ys, dxs, grads = run(step, xs, dys)
    assert not any(y[1].any() or dx[1].any() for y, dx in zip(ys[:2], dxs[:2]))
    plain = randomised(STEPS[name]())
    expected = [np.zeros_like(g) for g in grads]
    for n, start in ((0, 0), (1, 2)):
        alone = run(plain.forget(), [x[n:n + 1] for x in xs[start:]], [dy[n:n + 1] for dy in dys[start:]])
        close([[y[n:n + 1] for y in ys[start:]], [dx[n:n + 1] for dx in dxs[start:]]], list(alone[:2]))
        expected = [a + b for a, b in zip(expected, alone[2])]
    close(grads, expected)


# -- small ones -----------------------------------------------------------------------------

def test_norm_stabilizer_adds_the_gradient_of_its_loss():
    xs, dys = data(14)
    dys = [np.random.default_rng(15).standard_normal(x.shape) for x in xs]
    m = nnmod.NormStabilizer(0.7)
    for x in xs:
        m.forward(x)
    norms = np.array([np.linalg.norm(x, axis=1) for x in xs])
    assert m.updateLoss() == pytest.approx(0.7 / T * np.square(np.diff(norms, axis=0)).mean(axis=1).sum())
    dxs = [m.backward(x, dy).copy() for x, dy in zip(xs[::-1], dys[::-1])][::-1]

    def loss():
        m.forget()
        for x in xs:
            m.forward(x)
        return m.updateLoss() + sum(float(np.vdot(x, dy)) for x, dy in zip(xs, dys))

    for x, dx in zip(xs, dxs):
        for index in np.ndindex(x.shape):
            saved, values = x[index], []
            for x[index] in (saved + 1e-6, saved - 1e-6):
                values.append(loss())
            x[index] = saved
            assert dx[index] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-8)
    m.evaluate()
    m.forward(xs[0])
    close([m.backward(xs[0], dys[0])], [dys[0]], 0)
    m = nnmod.NormStabilizer(1.0)
    zeros = [np.zeros((N, D)), np.ones((N, D))]
    for x in zeros:
        m.forward(x)
    m.backward(zeros[1], zeros[1])
    assert np.isfinite(m.backward(zeros[0], zeros[1])).all()  # a length of 0 has no direction


def test_copy_grad_gives_a_gradient_of_its_own():
    m, x, dy = nnmod.CopyGrad(), np.ones(3), np.ones(3)
    assert m.forward(x) is x
    m.backward(x, dy)[...] = 5
    assert (dy == 1).all()
