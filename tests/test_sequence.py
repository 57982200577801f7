"""Whole sequences beside PyTorch, beside the same cell step by step, and beside each sequence alone."""
import numpy as np
import pytest

import nnmod
from nnmod import ShapeError

KINDS = {
    "SeqLSTM": lambda batchfirst=False: nnmod.SeqLSTM(3, 4, batchfirst),
    "SeqLSTMP": lambda batchfirst=False: nnmod.SeqLSTMP(3, 5, 4, batchfirst),
    "SeqGRU": lambda batchfirst=False: nnmod.SeqGRU(3, 4, batchfirst),
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


def run(module, x, dy):
    """output, gradInput and the parameters' gradients."""
    module.zeroGradParameters()
    y = module.forward(x).copy()
    dx = module.backward(x, dy)
    return [y, dx.copy(), *(g.copy() for g in module.parameters()[1])]


def close(actual, expected, tolerance=1e-12):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def blocks(w, order, H, axis):
    return np.concatenate([np.take(w, range(k * H, (k + 1) * H), axis) for k in order], axis)


@pytest.mark.parametrize("projected", [False, True])
def test_lstm_is_pytorchs(projected):
    torch = pytest.importorskip("torch")
    T, N, D, H, R = 6, 3, 5, 7, (4 if projected else 7)
    rng = np.random.default_rng(0)
    m = (nnmod.SeqLSTMP(D, H, R) if projected else nnmod.SeqLSTM(D, H)).double()
    t = torch.nn.LSTM(D, H, proj_size=R if projected else 0).double()
    m.bias[...] = rng.standard_normal(m.bias.shape)
    order = (0, 1, 3, 2)  # PyTorch's gates are i, f, g, o
    with torch.no_grad():
        t.weight_ih_l0.copy_(torch.tensor(blocks(m.weight[:D], order, H, 1).T))
        t.weight_hh_l0.copy_(torch.tensor(blocks(m.weight[D:], order, H, 1).T))
        t.bias_ih_l0.copy_(torch.tensor(blocks(m.bias, order, H, 0)))
        t.bias_hh_l0.zero_()
        if projected:
            t.weight_hr_l0.copy_(torch.tensor(m.weightO.T))
    x, dy = rng.standard_normal((T, N, D)), rng.standard_normal((T, N, R))
    h0, c0 = rng.standard_normal((N, R)), rng.standard_normal((N, H))
    dh, dc = rng.standard_normal((N, R)), rng.standard_normal((N, H))
    tx, th, tc = (torch.tensor(a, requires_grad=True) for a in (x, h0, c0))
    ty, (hn, cn) = t(tx, (th[None], tc[None]))
    torch.autograd.backward([ty, hn, cn], [torch.tensor(dy), torch.tensor(dh)[None], torch.tensor(dc)[None]])
    m.userPrevOutput, m.userPrevCell, m.gradPrevOutput, m.userNextGradCell = h0, c0, dh, dc
    y, dx, dw, db, *rest = run(m, x, dy)
    close([y, m.lastOutput, m.lastCell], [ty.detach().numpy(), hn[0].detach().numpy(), cn[0].detach().numpy()])
    close([dx, m.userGradPrevOutput, m.userGradPrevCell], [a.grad.numpy() for a in (tx, th, tc)])
    close([blocks(dw[:D], order, H, 1).T, blocks(dw[D:], order, H, 1).T, blocks(db, order, H, 0)],
          [t.weight_ih_l0.grad.numpy(), t.weight_hh_l0.grad.numpy(), t.bias_ih_l0.grad.numpy()])
    if projected:
        close(rest, [t.weight_hr_l0.grad.numpy().T])


def test_gru_is_cho_et_als():
    """Written with autograd: PyTorch's own GRU applies the reset gate after the product."""
    torch = pytest.importorskip("torch")
    T, N, D, H = 5, 3, 4, 6
    rng = np.random.default_rng(1)
    m = nnmod.SeqGRU(D, H).double()
    m.bias[...] = rng.standard_normal(m.bias.shape)
    x, dy, h0 = rng.standard_normal((T, N, D)), rng.standard_normal((T, N, H)), rng.standard_normal((N, H))
    tx, tw, tb, th = (torch.tensor(a, requires_grad=True) for a in (x, m.weight, m.bias, h0))
    h, outputs = th, []
    for t in range(T):
        ru = torch.sigmoid(torch.cat([tx[t], h], 1) @ tw[:, :2 * H] + tb[:2 * H])
        r, u = ru[:, :H], ru[:, H:]
        k = torch.tanh(torch.cat([tx[t], r * h], 1) @ tw[:, 2 * H:] + tb[2 * H:])
        h = (1 - u) * k + u * h
        outputs.append(h)
    torch.stack(outputs).backward(torch.tensor(dy))
    m.userPrevOutput = h0
    y, dx, dw, db = run(m, x, dy)
    close([y, dx, dw, db, m.userGradPrevOutput],
          [torch.stack(outputs).detach().numpy(), *(a.grad.numpy() for a in (tx, tw, tb, th))])


@pytest.mark.parametrize("make, convert", [(KINDS["SeqLSTM"], "toFastLSTM"), (KINDS["SeqGRU"], "toGRU")])
def test_a_sequence_is_its_step_unrolled(make, convert):
    rng = np.random.default_rng(2)
    whole = make().double()
    whole.bias[...] = rng.standard_normal(whole.bias.shape)
    step = getattr(whole, convert)()
    unrolled = nnmod.Sequencer(step)
    x, dy = rng.standard_normal((6, 2, 3)), rng.standard_normal((6, 2, 4))
    y, dx, dw, db = run(whole, x, dy)
    other = run(unrolled, x, dy)
    close(other[:2], [y, dx])
    if convert == "toFastLSTM":
        assert step.weight is whole.weight and step.gradBias is whole.gradBias
        close(other[2:], [dw, db])
    else:
        close(other[2:], [dw[:, :8], db[:8], dw[:, 8:], db[8:]])


def test_a_projection_has_no_step():
    with pytest.raises(NotImplementedError, match="has no projection"):
        nnmod.SeqLSTMP(3, 5, 2).toFastLSTM()


@every_kind
def test_batchfirst_is_a_transpose(make):
    rng = np.random.default_rng(3)
    a = make().double()
    b = make(True).double()
    for p, q in zip(a.parameters()[0], b.parameters()[0]):
        q[...] = p
    x, dy = rng.standard_normal((5, 2, 3)), rng.standard_normal((5, 2, 4))
    ours = run(a, x, dy)
    theirs = run(b, np.ascontiguousarray(x.swapaxes(0, 1)), np.ascontiguousarray(dy.swapaxes(0, 1)))
    close([theirs[0].swapaxes(0, 1), theirs[1].swapaxes(0, 1), *theirs[2:]], ours)


# -- lengths ----------------------------------------------------------------------------

@every_kind
@pytest.mark.parametrize("padding", ["right", "left"])
@pytest.mark.parametrize("hole", [0.0, np.nan])
def test_padding_changes_nothing(make, padding, hole):
    """Each sequence of a padded batch gives what it gives alone, whatever the padding holds."""
    rng = np.random.default_rng(4)
    m = make().double()
    T, lengths = 6, [6, 3, 1, 0]
    x, dy = rng.standard_normal((T, 4, 3)), rng.standard_normal((T, 4, 4))
    spans = [slice(0, n) if padding == "right" else slice(T - n, T) for n in lengths]
    for n, span in enumerate(spans):
        padded = np.ones(T, bool)
        padded[span] = False
        x[padded, n] = dy[padded, n] = hole
    first = rng.standard_normal((4, 4))
    m.userPrevOutput = first
    results = run(m.setLengths(lengths, padding), x, dy)
    first_grad, last = m.userGradPrevOutput.copy(), m.lastOutput.copy()
    m.setLengths(None)
    gradients = [np.zeros_like(g) for g in results[2:]]
    for n, span in enumerate(spans):
        m.userPrevOutput = first[n:n + 1]
        y, dx, *grads = run(m, x[span, n:n + 1].copy(), dy[span, n:n + 1].copy())
        close([results[0][span, n:n + 1], results[1][span, n:n + 1]], [y, dx])
        close([first_grad[n:n + 1], last[n:n + 1]], [m.userGradPrevOutput, m.lastOutput])
        padded = np.ones(T, bool)
        padded[span] = False
        assert (results[0][padded, n] == 0).all() and (results[1][padded, n] == 0).all()
        gradients = [a + b for a, b in zip(gradients, grads)]
    close(results[2:], gradients)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@pytest.mark.parametrize("padding", ["right", "left"])
def test_a_bidirectional_layer_reads_each_sequence_from_its_own_end(kind, padding):
    rng = np.random.default_rng(5)
    layer = (lambda: nnmod.SeqLSTM(3, 4)) if kind == "lstm" else (lambda: nnmod.SeqGRU(3, 4))
    m = nnmod.SeqBRNN(3, 4, merge=nnmod.JoinTable(-1), forwardModule=layer(), backwardModule=layer()).double()
    x, lengths, T = rng.standard_normal((5, 3, 3)), [5, 2, 3], 5
    y = m.setLengths(lengths, padding).forward(x).copy()
    for n, length in enumerate(lengths):
        span = slice(0, length) if padding == "right" else slice(T - length, T)
        alone = x[span, n:n + 1].copy()
        ahead = m.forwardModule.setLengths(None).forward(alone)
        back = m.backwardModule.setLengths(None).forward(alone[::-1].copy())[::-1]
        close([y[span, n:n + 1]], [np.concatenate([ahead, back], -1)])


def test_lengths_reach_layers_in_containers():
    net = nnmod.Sequential(nnmod.SeqLSTM(3, 4), nnmod.Tanh(), nnmod.Sequential(nnmod.SeqGRU(4, 2)))
    assert net.setLengths([2, 1]) is net
    y = net.forward(np.ones((3, 2, 3), np.float32))
    assert not y[2:, 0].any() and not y[1:, 1].any() and y[1, 0].any() and y[0, 1].any()


@pytest.mark.parametrize("make", [
    lambda: nnmod.Sequencer(nnmod.LSTM(3, 2)), lambda: nnmod.Sequential(nnmod.Linear(3, 2)), lambda: nnmod.GRU(3, 2),
    lambda: nnmod.Sequencer(nnmod.FastLSTM(3, 2, bn=True))])
def test_lengths_that_nothing_would_read_are_refused(make):
    with pytest.raises(TypeError, match="no module in .* takes lengths; SeqLSTM"):
        make().setLengths([1, 2])


@pytest.mark.parametrize("lengths, error, words", [
    ([[1, 2]], ValueError, r"lengths must be a tensor of shape \(N,\) of ints >= 0"),
    ([1.5], ValueError, "of ints >= 0"),
    ([-1], ValueError, "of ints >= 0"),
])
def test_lengths_are_checked(lengths, error, words):
    with pytest.raises(error, match=words):
        nnmod.SeqLSTM(3, 4).setLengths(lengths)


def test_lengths_must_fit_the_input():
    m = nnmod.SeqGRU(3, 4).setLengths([2, 9])
    with pytest.raises(ShapeError, match=r"lengths must be 2 numbers, one for each sequence of the batch, "
                                         r"within 0..5, got \[2, 9\]"):
        m.forward(np.ones((5, 2, 3), np.float32))
    with pytest.raises(ShapeError, match="lengths must be 3 numbers"):
        m.forward(np.ones((9, 3, 3), np.float32))
    with pytest.raises(ValueError, match='padding must be "right" or "left", got \'middle\''):
        m.setLengths([1], "middle")


# -- states -------------------------------------------------------------------------------

@every_kind
def test_remember_goes_on_where_the_last_forward_ended(make):
    x = np.random.default_rng(6).standard_normal((6, 2, 3))
    m = make().double()
    whole = m.forward(x).copy()
    parts = [x[:2].copy(), x[2:].copy()]
    m.remember("both").forget()
    close([np.concatenate([m.forward(part).copy() for part in parts])], [whole])
    m.forget()
    close([m.forward(parts[0])], [whole[:2]])
    m.remember("neither")
    m.forward(parts[0])
    close([m.forward(parts[0])], [whole[:2]])


@every_kind
def test_remember_in_one_mode_only(make):
    x = np.random.default_rng(7).standard_normal((2, 2, 3))
    m = make().double()
    first = m.forward(x).copy()

    def goes_on():
        m.forward(x)
        return not np.array_equal(m.forward(x), first)

    m.remember("eval")
    assert not goes_on()
    m.evaluate()
    assert goes_on()
    m.remember("train")
    assert not goes_on()
    m.training()
    assert goes_on()
    m.remember("both")
    m.forward(x)
    m.evaluate()  # a change of mode starts anew
    close([m.forward(x)], [first])


def test_a_remembered_state_needs_its_batch():
    m = nnmod.SeqLSTM(3, 4).remember()
    m.forward(np.ones((5, 2, 3), np.float32))
    with pytest.raises(ShapeError, match="must have 2 sequences, as the last one had .* call forget"):
        m.forward(np.ones((5, 3, 3), np.float32))
    m.forget().forward(np.ones((5, 3, 3), np.float32))
    with pytest.raises(ValueError, match="remember must be one of both, train, eval, neither, got 'always'"):
        m.remember("always")


def test_the_gradient_of_a_sequence_stops_where_its_forward_began():
    m = nnmod.SeqLSTM(3, 4).remember("both")
    rng = np.random.default_rng(8)
    a, b, dy = rng.standard_normal((2, 2, 3)), rng.standard_normal((3, 2, 3)), rng.standard_normal((3, 2, 4))
    m.double()
    m.forward(a)
    h, c = m.lastOutput.copy(), m.lastCell.copy()
    remembered = run(m, b, dy)
    m.remember("neither")
    m.userPrevOutput, m.userPrevCell = h, c
    close(run(m, b, dy), remembered)


def test_an_encoder_and_a_decoder_learn_through_the_state():
    """The gradient through both is the finite difference."""
    rng = np.random.default_rng(9)
    encoder, decoder = nnmod.SeqLSTM(3, 4).double(), nnmod.SeqLSTM(2, 4).double()
    x, z, dy = rng.standard_normal((3, 2, 3)), rng.standard_normal((4, 2, 2)), rng.standard_normal((4, 2, 4))

    def loss():
        encoder.forward(x)
        decoder.userPrevOutput, decoder.userPrevCell = encoder.lastOutput, encoder.lastCell
        return float(np.vdot(decoder.forward(z), dy))

    loss()
    decoder.backward(z, dy)
    encoder.gradPrevOutput, encoder.userNextGradCell = decoder.userGradPrevOutput, decoder.userGradPrevCell
    dx = encoder.backward(x, np.zeros((3, 2, 4))).copy()
    close([dx], [numeric(x, loss)], 1e-7)


def numeric(x, loss, eps=1e-6):
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        saved, values = x[index], []
        for x[index] in (saved + eps, saved - eps):
            values.append(loss())
        x[index] = saved
        gradient[index] = (values[0] - values[1]) / (2 * eps)
    return gradient


@pytest.mark.parametrize("given, error, words", [
    (np.zeros((3, 4), np.float32), ShapeError, r"userPrevOutput must have shape \(2, 4\), got \(3, 4\)"),
    (np.zeros((2, 4)), TypeError, "userPrevOutput must be float32 like the input, got float64"),
    ([0, 0], TypeError, "userPrevOutput must be a tensor"),
])
def test_a_first_state_is_checked(given, error, words):
    m = nnmod.SeqLSTM(3, 4)
    m.userPrevOutput = given
    with pytest.raises(error, match=words):
        m.forward(np.ones((5, 2, 3), np.float32))


def test_one_sequence_without_a_batch():
    rng = np.random.default_rng(10)
    for m in (nnmod.SeqLSTM(3, 4).double(), nnmod.SeqGRU(3, 4, True).double()):
        x, dy = rng.standard_normal((5, 3)), rng.standard_normal((5, 4))
        alone = run(m, x, dy)
        axis = 0 if m.batchfirst else 1
        batch = run(m, np.expand_dims(x, axis), np.expand_dims(dy, axis))
        close(alone, [batch[0].reshape(5, 4), batch[1].reshape(5, 3), *batch[2:]])


def test_nothing_in_nothing_out():
    m = nnmod.SeqLSTM(3, 4)
    for shape in ((5, 0, 3), (0, 2, 3)):
        x = np.ones(shape, np.float32)
        assert m.forward(x).shape == (*shape[:2], 4)
        assert m.backward(x, np.ones((*shape[:2], 4), np.float32)).shape == shape
    assert not m.gradWeight.any()


def test_a_first_layer_may_skip_its_gradient():
    m = nnmod.SeqLSTM(3, 4)
    x, dy = np.ones((5, 2, 3), np.float32), np.ones((5, 2, 4), np.float32)
    expected = run(m, x, dy)
    m.needsGradInput = False
    m.zeroGradParameters()
    m.forward(x)
    assert m.backward(x, dy) is None
    close(m.parameters()[1], expected[2:], 0)


@every_kind
def test_wrong_sizes_in_words(make):
    with pytest.raises(ShapeError, match=r"input must have shape \(T, N, 3\) or \(T, 3\), got \(5, 2, 4\)"):
        make().forward(np.ones((5, 2, 4), np.float32))
    with pytest.raises(ShapeError, match=r"input must have shape \(N, T, 3\) or \(T, 3\), got \(3,\)"):
        make(True).forward(np.ones(3, np.float32))
    with pytest.raises(TypeError, match="input must be float32 or float64, got int64"):
        make().forward(np.ones((5, 2, 3), np.int64))


@pytest.mark.parametrize("batch", [1, 2, 9])
@pytest.mark.parametrize("make", [lambda: nnmod.SeqLSTM(3, 70), lambda: nnmod.SeqLSTMP(3, 70, 66),
                                  lambda: nnmod.SeqGRU(3, 70)], ids=KINDS)
def test_threads_change_no_bit(make, batch, monkeypatch):
    """Rows are shared out, and of few rows each step's product."""
    threads = pytest.importorskip("nnmod.kernels.cpu.threads", exc_type=ImportError)
    monkeypatch.setattr(threads, "ELEMENTS_PER_THREAD", 64)
    monkeypatch.setattr(threads, "FLOPS_PER_THREAD", 64)
    rng = np.random.default_rng(11)
    m = make()
    size = m.forward(np.zeros((1, 1, 3), np.float32)).shape[2]
    x, dy = (rng.standard_normal((4, batch, n)).astype(np.float32) for n in (3, size))
    results, before = [], nnmod.getnumthreads()
    try:
        for count in (1, 2, 3, 5):
            nnmod.setnumthreads(count)
            results.append(run(m, x, dy))
    finally:
        nnmod.setnumthreads(before)
    for result in results[1:]:
        close(result, results[0], 0)
