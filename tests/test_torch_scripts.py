"""What well-known scripts of Torch7 do, line by line: constructors with nil, targets of another shape, pictures to fit."""
import numpy as np
import pytest

import nnmod as nn
from nnmod import optim

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def the_same_numbers_in_any_order_of_tests():
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state
    nn.manualSeed(1)


def noise(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


# -- nil ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_nil, without", [
    (lambda: nn.SpatialBatchNormalization(4, None, None, False), lambda: nn.SpatialBatchNormalization(4, affine=False)),
    (lambda: nn.SpatialConvolution(2, 3, 3, 3, None, None, 1, 1),
     lambda: nn.SpatialConvolution(2, 3, 3, 3, padW=1, padH=1)),
    (lambda: nn.Linear(3, 2, None), lambda: nn.Linear(3, 2, True)),
    (lambda: nn.GRU(3, 4, None, 0.25), lambda: nn.GRU(3, 4, p=0.25)),
    (lambda: nn.LSTM(3, 4, rho=None, cell2gate=None), lambda: nn.LSTM(3, 4)),
    (lambda: nn.BCECriterion(None, None), lambda: nn.BCECriterion()),
    (lambda: nn.Copy(None, None), lambda: nn.Copy()),
    (lambda: nn.Sequential(nn.Dropout(None, None, True)), lambda: nn.Sequential(nn.Dropout(inplace=True))),
], ids=lambda make: repr(make()).partition("(")[0])
def test_none_is_the_default_of_an_argument_as_nil_is(with_nil, without):
    one, other = with_nil(), without()
    assert repr(one) == repr(other)
    plain = (bool, int, float, str)
    assert ({k: v for k, v in vars(one).items() if isinstance(v, plain)}
            == {k: v for k, v in vars(other).items() if isinstance(v, plain)})


def test_none_for_an_argument_without_default_is_refused_and_own_classes_get_what_they_are_given():
    with pytest.raises(ValueError, match="outputFrameSize must be an int > 0, got None"):
        nn.TemporalConvolution(3, None, 1)

    class Own(nn.Identity):
        def __init__(self, after="relu"):
            super().__init__()
            self.after = after

    assert Own(None).after is None


# -- targets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("input, target", [((4, 1), (4,)), ((4,), (4, 1)), ((4, 6), (4, 1, 2, 3)), ((1, 3), (3, 1))])
@pytest.mark.parametrize("make", [nn.BCECriterion, nn.MSECriterion, nn.AbsCriterion, nn.SmoothL1Criterion])
def test_a_target_may_have_its_rows_in_another_shape(make, input, target):
    x, t = np.abs(noise(*input)) % 1, np.abs(noise(*target)) % 1
    one, other = make(), make()
    assert one.forward(x, t) == other.forward(x, t.reshape(input))
    np.testing.assert_array_equal(one.backward(x, t), other.backward(x, t.reshape(input)))
    assert one.gradInput.shape == input
    strided = np.repeat(t, 2, axis=-1)[..., ::2]
    assert one.forward(x, strided) == other.output


@pytest.mark.parametrize("input, target", [((2, 3), (3, 2)), ((6,), (2, 3)), ((4, 1), (3,))])
def test_a_target_with_other_rows_is_refused(input, target):
    with pytest.raises(nn.ShapeError, match="target must have the shape of input"):
        nn.MSECriterion().forward(noise(*input), noise(*target))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_labels_of_pairs_may_be_integers(dtype):
    signs = np.array([1, -1, 1, -1], dtype)
    a, b = np.linspace(-1, 2, 4, dtype=np.float32), np.array([1, -1, 0.5, 2], np.float32)
    rows = np.outer(a, b)
    for criterion, input in ((nn.CosineEmbeddingCriterion(0.5), [rows, rows + b]),
                             (nn.HingeEmbeddingCriterion(1), b),
                             (nn.MarginRankingCriterion(0.1), [a, b])):
        loss, gradient = criterion.forward(input, signs), nn.nested.map(np.copy, criterion.backward(input, signs))
        assert loss == criterion.forward(input, signs.astype(np.float32)) > 0
        for one, other in zip(nn.nested.leaves(gradient),
                              nn.nested.leaves(criterion.backward(input, signs.astype(np.float32)))):
            np.testing.assert_array_equal(one, other)


# -- optim -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["sgd", "adam", "adamax", "adagrad", "adadelta", "rmsprop", "nag", "asgd", "rprop",
                                    "lbfgs", "cg"])
def test_what_is_fitted_may_be_a_picture(method):
    """As neural-style does; its gradient is flat."""
    picture, vector = (np.linspace(-1, 2, 24).reshape(2, 3, 4) for _ in range(2))
    vector, goal = vector.reshape(-1), np.arange(24.0)
    config = {"momentum": 0.9} if method in ("sgd", "nag") else {}
    one, other = dict(config), dict(config)
    for _ in range(3):
        x, losses = getattr(optim, method)(
            lambda x: (((x.reshape(-1) - goal)**2).sum(), 2 * (x.reshape(-1) - goal)), picture, one)
        _, same = getattr(optim, method)(lambda x: (((x - goal)**2).sum(), 2 * (x - goal)), vector, other)
        assert x is picture and losses == same and all(type(loss) is float for loss in losses)
    np.testing.assert_array_equal(picture.reshape(-1), vector)


def test_what_searches_without_a_gradient_wants_a_vector():
    with pytest.raises(nn.ShapeError, match=r"x must have shape \(P,\), got \(2, 3\); .* x.reshape\(-1\)"):
        optim.cmaes(lambda x: 0.0, np.zeros((2, 3)))


def test_a_loss_that_is_no_number_is_refused():
    with pytest.raises(TypeError, match="the loss that opfunc returns must be a number, got None"):
        optim.sgd(lambda x: (None, x), np.zeros(2))


@pytest.mark.parametrize("config, words", [
    ({"maxIter": 2}, "maxIter steps are done"), ({"maxEval": 2}, "maxEval losses were computed"),
    ({"tolFun": 1e3}, "the gradient is below tolFun"),
    ({"tolX": 1e9}, "no progress can be made along the direction")])
def test_lbfgs_says_why_it_stopped(config, words, capsys):
    def bowl(x):
        return float(x @ x), 2 * x

    optim.lbfgs(bowl, np.array([3.0, 4.0]), dict(config))
    assert capsys.readouterr().out == ""
    optim.lbfgs(bowl, np.array([3.0, 4.0]), dict(config, verbose=True))
    assert capsys.readouterr().out.startswith("<optim.lbfgs> " + words)


def test_names():
    assert optim.ConfusionMatrix is nn.ConfusionMatrix and optim.Logger is nn.Logger
    assert nn.MuFuRu(3, 4).forward(noise(2, 3)).shape == (2, 4)


# -- networks ----------------------------------------------------------------------------------


def test_a_layer_added_after_get_parameters():
    """train-on-mnist.lua adds its LogSoftMax then."""
    model = nn.Sequential().add(nn.Reshape(6)).add(nn.Linear(6, 3))
    parameters, gradParameters = model.getParameters()
    model.add(nn.LogSoftMax())
    criterion, x, t = nn.ClassNLLCriterion(), noise(4, 2, 3), np.array([0, 1, 2, 0])

    def feval(_):
        gradParameters.fill(0)
        loss = criterion.forward(model.forward(x), t)
        model.backward(x, criterion.backward(model.output, t))
        return loss, gradParameters

    before = optim.sgd(feval, parameters, {"learningRate": 0.1})[1][0]
    assert feval(None)[0] < before


def test_dcgan():
    """Labels are a vector, the discriminator's View(1) gives a column; its fGx needs netD.output of fDx."""
    netG = nn.Sequential().add(nn.SpatialFullConvolution(5, 4, 4, 4)).add(nn.SpatialBatchNormalization(4)).add(
        nn.ReLU(True)).add(nn.SpatialFullConvolution(4, 3, 4, 4, 2, 2, 1, 1)).add(nn.Tanh())
    netD = nn.Sequential().add(nn.SpatialConvolution(3, 4, 4, 4, 2, 2, 1, 1)).add(nn.LeakyReLU(0.2, True)).add(
        nn.SpatialConvolution(4, 1, 4, 4)).add(nn.Sigmoid()).add(nn.View(1).setNumInputDims(3))
    criterion = nn.BCECriterion()
    parametersD, gradParametersD = netD.getParameters()
    parametersG, gradParametersG = netG.getParameters()
    input, label, z = np.empty((2, 3, 8, 8), np.float32), np.empty(2, np.float32), noise(2, 5, 1, 1)

    def fDx(_):
        gradParametersD.fill(0)
        error = 0
        for images, real in ((noise(*input.shape), 1), (netG.forward(z), 0)):
            input[...] = images
            label.fill(real)
            output = netD.forward(input)
            error += criterion.forward(output, label)
            netD.backward(input, criterion.backward(output, label))
        return error, gradParametersD

    def fGx(_):
        gradParametersG.fill(0)
        label.fill(1)
        error = criterion.forward(netD.output, label)
        netG.backward(z, netD.updateGradInput(input, criterion.backward(netD.output, label)))
        return error, gradParametersG

    for method, parameters in ((fDx, parametersD), (fGx, parametersG)):
        before = parameters.copy()
        optim.adam(method, parameters, {"learningRate": 0.0002, "beta1": 0.5})
        assert np.isfinite(parameters).all() and (parameters != before).any()


def test_a_gradient_that_is_taken_away_is_asked_for():
    """neural-style sets gradWeight to nil, for memory; here what no pass adds to takes none."""
    net = nn.Linear(3, 2)
    net.gradWeight = None
    with pytest.raises(TypeError, match="gradWeight must be a tensor as long as weight is one, got None; .*no memory"):
        net.forward(noise(4, 3))


def test_a_language_model_that_remembers():
    """rnn's Sequencer with remember: two halves are one sequence, until forget."""
    lm = nn.Sequential(nn.LookupTable(6, 4), nn.SplitTable(0), nn.Sequencer(
        nn.Sequential(nn.FastLSTM(4, 5, None), nn.Linear(5, 6), nn.LogSoftMax())))
    criterion = nn.SequencerCriterion(nn.ClassNLLCriterion())
    words, next_words = RNG.integers(0, 6, (2, 4, 3))
    targets = nn.SplitTable(0).forward(next_words)
    whole = [step.copy() for step in lm.forward(words)]
    lm.remember("both")
    lm.forget()
    halves = [step.copy() for half in (words[:2], words[2:]) for step in lm.forward(half)]
    np.testing.assert_array_equal(halves, whole)
    lm.forget()
    before = criterion.forward(lm.forward(words), targets)
    lm.zeroGradParameters()
    lm.backward(words, criterion.backward(lm.output, targets))
    lm.updateParameters(0.1)
    lm.forget()
    assert criterion.forward(lm.forward(words), targets) < before


def test_names_of_the_readme_are_there_without_another_import():
    assert "12" in str(nn.summary.summarize(nn.Sequential(nn.Linear(2, 4)))) and nn.timing.time_layers


def test_a_siamese_net_is_told_how_to_share():
    encoder = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    siamese = nn.ParallelTable().add(encoder)
    with pytest.raises(ValueError, match='^Sequential of 2 modules is already in this container, .*"gradBias"'):
        siamese.add(encoder)
    siamese.add(encoder.clone("weight", "bias", "gradWeight", "gradBias"))
    assert siamese.getParameters()[0].size == 8
