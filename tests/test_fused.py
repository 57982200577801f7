"""Networks whose neighbours run as one kernel: the same numbers, the same parameters, never a stale weight."""
import io
import pickle

import numpy as np
import pytest

import nnmod as nn
from nnmod import ShapeError, kernels, tensor


def _image_net():
    return nn.Sequential(
        nn.SpatialConvolution(3, 16, 3, 3, 1, 1, 1, 1), nn.SpatialBatchNormalization(16), nn.ReLU(),
        nn.ConcatTable(
            nn.Sequential(nn.SpatialConvolution(16, 16, 3, 3, 1, 1, 1, 1, bias=False), nn.SpatialBatchNormalization(16),
                          nn.ReLU6(), nn.SpatialConvolution(16, 16, 1, 1), nn.Tanh()),
            nn.Identity()),
        nn.CAddTable(), nn.ReLU(),
        nn.SpatialConvolution(16, 8, 3, 3, 2, 2, groups=2), nn.LeakyReLU(0.1),
        nn.SpatialMaxPooling(2, 2), nn.View(8 * 9, numInputDims=3),
        nn.Linear(72, 20), nn.BatchNormalization(20), nn.HardTanh(), nn.Linear(20, 12), nn.Sigmoid(), nn.Linear(12, 5))


def _images(rng, N=4):
    return rng.standard_normal((N, 3, 14, 14)).astype(np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def _trained(rng, net=None):
    """A network whose running statistics have moved."""
    nn.manualSeed(3)
    net = net or _image_net()
    for _ in range(3):
        net.forward(_images(rng))
    return net


def _close(actual, expected, tolerance=2e-5):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max()))


def test_repr_says_what_runs_as_one():
    text = repr(_image_net().fused())
    assert ("Fused(SpatialConvolution(3 -> 16, 3x3, 1,1, 1,1) + SpatialBatchNormalization(16) + ReLU())" in text)
    assert "Fused(SpatialConvolution(16 -> 16, 1x1) + Tanh())" in text
    assert "Fused(Linear(72 -> 20) + BatchNormalization(20) + HardTanh(-1..1))" in text
    assert text.count("Fused(") == 6


@pytest.mark.parametrize("train", [True, False])
def test_same_numbers_and_gradients_as_the_plain_network(rng, train):
    net = _trained(rng)
    twin = net.clone()
    fused = twin.fused()
    for module in (net, fused):
        (module.training if train else module.evaluate)()
        module.zeroGradParameters()
    for _ in range(2):
        x = _images(rng)
        y = net.forward(x)
        _close(fused.forward(x), y)
        dy = rng.standard_normal(y.shape).astype(np.float32)
        _close(fused.backward(x, dy, 0.5), net.backward(x, dy, 0.5))
    for name, a, b in zip(range(99), net.parameters()[1], twin.parameters()[1], strict=False):
        _close(b, a)
    for a, b in zip(net.listModules(), twin.listModules()):
        for state in a.stateNames:
            np.testing.assert_array_equal(getattr(a, state), getattr(b, state))


def test_an_activation_behind_a_product_changes_no_bit(rng):
    for activation in (nn.ReLU(), nn.ReLU(True), nn.ReLU6(), nn.HardTanh(-0.5, 0.5), nn.LeakyReLU(0.2), nn.Tanh(),
                       nn.Sigmoid()):
        net = nn.Sequential(nn.Linear(30, 20), activation)
        fused, x = net.fused(), rng.standard_normal((9, 30)).astype(np.float32)
        x[0, 0] = np.nan
        dy = rng.standard_normal((9, 20)).astype(np.float32)
        assert isinstance(fused[0], nn.Fused), activation
        np.testing.assert_array_equal(fused.forward(x), net.forward(x))
        np.testing.assert_array_equal(fused.backward(x, dy), net.backward(x, dy.copy()))


@pytest.mark.parametrize("before", [None, lambda: nn.SpatialConvolution(4, 5, 3, 3),
                                    lambda: nn.SpatialConvolution(4, 5, 3, 3, bias=False)])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_a_normalisation_and_its_relu_are_one_kernel(rng, before, train, affine):
    """With and without a product before them: the plain network's output, gradients and statistics."""
    product = [before()] if before else []
    net = nn.Sequential(*product, nn.SpatialBatchNormalization(5 if before else 4, affine=affine), nn.ReLU())
    twin = net.clone()
    fused = twin.fused()
    assert repr(fused).count("Fused(") == 1 and "SpatialBatchNormalization" in repr(fused[0])
    for _ in range(2):
        for module in (net, fused):
            (module.training if train else module.evaluate)()
        x = rng.standard_normal((3, 4, 9, 7)).astype(np.float32)
        x[0, 0, 0, 0] = np.nan if not train else x[0, 0, 0, 0]
        y = net.forward(x)
        _close(fused.forward(x), y)
        dy = rng.standard_normal(y.shape).astype(np.float32)
        _close(fused.backward(x, dy, 0.5), net.backward(x, dy, 0.5))
        # The other two verbs, one after the other.
        _close(fused.updateGradInput(x, dy), net.updateGradInput(x, dy))
        fused.accGradParameters(x, dy, 2.0), net.accGradParameters(x, dy, 2.0)
        for a, b in zip(net.parameters()[1], twin.parameters()[1], strict=True):
            _close(b, a)
        for state in ("running_mean", "running_var"):
            np.testing.assert_allclose(getattr(twin[-2], state), getattr(net[-2], state), rtol=1e-6)


@pytest.mark.parametrize("make", [lambda: nn.BatchNormalization(6), lambda: nn.SpatialBatchNormalization(6),
                                  lambda: nn.VolumetricBatchNormalization(6)])
def test_rectified_normalisations_of_every_rank_and_number_of_threads(rng, make):
    shape = (40, 6, 30, 41)[:2] if type(make()) is nn.BatchNormalization else (4, 6, 90, 200)
    if type(make()) is nn.VolumetricBatchNormalization:
        shape = (4, 6, 3, 30, 200)
    x, dy = rng.standard_normal((2, *shape)).astype(np.float32)
    before, results = nn.getnumthreads(), []
    net = nn.Sequential(make(), nn.ReLU())
    try:
        for count in (1, 3):
            nn.setnumthreads(count)
            fused = net.clone().fused()
            assert isinstance(fused[0], nn.Fused)
            results.append([fused.forward(x).copy(), fused.backward(x, dy).copy(),
                            *map(np.copy, fused.parameters()[1])])
    finally:
        nn.setnumthreads(before)
    for one, three in zip(*results, strict=True):
        np.testing.assert_array_equal(one, three)
    _close(results[0][0], net.forward(x))
    _close(results[0][1], net.backward(x, dy))
    for mine, plain in zip(results[0][2:], net.parameters()[1], strict=True):
        _close(mine, plain)


def test_a_rectified_normalisation_hides_no_nan(rng):
    x, dy = rng.standard_normal((2, 2, 3, 5, 5)).astype(np.float32)
    x[1, 1, 2, 2] = np.nan
    net = nn.Sequential(nn.SpatialBatchNormalization(3), nn.ReLU())
    fused = net.clone().fused()
    for part in (lambda net: net.forward(x), lambda net: net.backward(x, dy)):
        np.testing.assert_array_equal(np.isnan(part(fused)), np.isnan(part(net)))
    for mine, plain in zip(fused.parameters()[1], net.parameters()[1], strict=True):
        np.testing.assert_array_equal(np.isnan(mine), np.isnan(plain))


def test_a_first_normalisation_without_the_gradient_of_its_input(rng):
    fused = nn.Sequential(nn.SpatialBatchNormalization(3), nn.ReLU()).fused()
    fused.needsGradInput = False
    x = rng.standard_normal((2, 3, 5, 5)).astype(np.float32)
    assert fused.backward(x, fused.forward(x)) is None
    assert fused.parameters()[1][0].any()


def test_modes_may_change_in_turn(rng):
    """A rectified pass, one in evaluation, one with another batch: no buffer of one is taken for another's."""
    net = _trained(rng)
    fused = net.clone().fused()
    plain = net
    for step in range(6):
        for module in (plain, fused):
            (module.evaluate if step % 3 == 1 else module.training)()
        x = _images(rng, 2 + step % 2)
        y = plain.forward(x).copy()
        _close(fused.forward(x), y)
        _close(fused.backward(x, y), plain.backward(x, y))


def test_parameters_are_the_same_arrays_and_stay_so_when_flat():
    net = _image_net()
    fused = net.fused()
    assert all(a is b for a, b in zip(sum(net.parameters(), []), sum(fused.parameters(), []), strict=True))
    flat, _ = fused.getParameters()
    assert net[0].weight is fused[0][0].weight and net[0].weight.base is flat
    assert net.getParameters()[0].base is flat or net.getParameters()[0] is flat
    other = _image_net()
    second = other.fused()
    flat, gradFlat = other.getParameters()
    assert second[0][0].gradWeight is other[0].gradWeight and other[0].gradWeight.base is gradFlat


def test_modes_are_their_own_and_statistics_are_shared(rng):
    net = _trained(rng)
    fast = net.fused().evaluate()
    assert net.train and all(module.train for module in net.listModules())
    before = net[1].running_mean.copy()
    fast.forward(_images(rng))
    np.testing.assert_array_equal(net[1].running_mean, before)
    fast.training().forward(_images(rng))
    assert (net[1].running_mean != before).any()


def test_never_a_stale_weight(rng):
    """Whatever changes a parameter or a statistic, by whatever way, is seen by the next forward."""
    net = _trained(rng, nn.Sequential(nn.SpatialConvolution(3, 32, 3, 3, 1, 1, 1, 1), nn.SpatialBatchNormalization(32),
                                      nn.ReLU(), nn.SpatialConvolution(32, 32, 3, 3, 1, 1, 1, 1), nn.ReLU()))
    fused, plain, x = net.fused().evaluate(), net.clone().evaluate(), _images(rng, 1)
    if kernels.backend_name() == "cpu":
        fused.forward(x)
        assert fused[1]._keptWeights is not None, "a test of what is kept must keep something"
    flat, _ = net.getParameters()

    def by_one_bit():
        net[3].weight.view(np.uint32).reshape(-1)[-1] ^= 1 << 22

    def optimizer():
        nn.optim.sgd(lambda flat: (0.0, np.full_like(flat, 0.1)), flat, {"learningRate": 1.0})

    def statistics():
        net[1].running_var[...] *= 2

    def both_ways():
        net[3].weight[...] = -net[3].weight

    for change in (by_one_bit, optimizer, statistics, net.reset, both_ways, both_ways):
        change()
        for theirs, ours in zip(plain.listModules(), net.listModules()):
            for name in theirs._tensorNames():
                if getattr(theirs, name, None) is not None:
                    getattr(theirs, name)[...] = getattr(ours, name)
        plain.clearState()
        want = plain.forward(x).copy()
        got = fused.forward(x)
        assert np.abs(got - want).max() <= 2e-6 * np.abs(want).max(), change


def test_a_kept_buffer_that_was_made_for_other_weights_is_not_used(rng):
    """kernels: weights that change between calls, with the same memory and another memory."""
    x = rng.standard_normal((1, 16, 12, 12)).astype(np.float32)
    K = kernels.of(x)
    weights = [rng.standard_normal((24, 16, 3, 3)).astype(np.float32) for _ in range(2)]
    size = K.conv2d_kept_size(x.shape, weights[0].shape, (1, 24, 12, 12), (1, 1), (1, 1))
    kept = np.zeros(size, np.uint8) if size else None
    for w in (weights[0], weights[1], weights[0], weights[0]):
        y, z = np.full((1, 24, 12, 12), np.nan, np.float32), np.empty((1, 24, 12, 12), np.float32)
        K.conv2d_fused_update_output(x, w, None, None, y, kept, (1, 1), (1, 1))
        kernels.reference.conv2d_update_output(x, w, None, z, (1, 1), (1, 1))
        _close(y, z)


def test_training_keeps_nothing_that_only_evaluation_needs(rng):
    net, x = _trained(rng), _images(rng, 1)
    net.evaluate().forward(x)
    net.training().forward(_images(rng))
    assert all(getattr(module, "_keptWeights", None) is None for module in net.listModules())


def test_gradients_inside_share_memory_and_are_let_go(rng):
    net = _trained(rng)
    fused, x = net.fused(), _images(rng)
    dy = rng.standard_normal(net.forward(x).shape).astype(np.float32)
    want = net.backward(x, dy)
    dx = fused.forward(x) is not None and fused.backward(x, dy)
    _close(dx, want)
    assert fused.gradInput is dx
    for module in fused.listModules()[1:]:
        assert module.gradInput is None and module._gradOutput is None, module
    # What somebody holds is not written to.
    kept = dx.copy()
    fused.backward(x, -dy)
    np.testing.assert_array_equal(dx, kept)
    # The other two verbs, which need the gradients that the first left, and backward after them.
    fused.zeroGradParameters()
    _close(fused.updateGradInput(x, dy), want)
    fused.accGradParameters(x, dy)
    net.zeroGradParameters()
    net.backward(x, dy)
    for mine, plain in zip(fused.parameters()[1], net.parameters()[1], strict=True):
        _close(mine, plain)
    _close(fused.backward(x, dy), want)


@pytest.mark.parametrize("train", [True, False])
def test_a_residual_network_that_works_in_place(rng, train):
    """Written as fb.resnet.torch writes it: sums and ReLUs overwrite what a normalisation returned."""
    def convolution(inner, outer):
        return nn.SpatialConvolution(inner, outer, 3, 3, 1, 1, 1, 1, bias=False)

    def block(inner, outer):
        main = nn.Sequential(convolution(inner, outer), nn.SpatialBatchNormalization(outer), nn.ReLU(True),
                             convolution(outer, outer), nn.SpatialBatchNormalization(outer))
        short = nn.Identity() if inner == outer else nn.Sequential(
            nn.SpatialConvolution(inner, outer, 1, 1, bias=False), nn.SpatialBatchNormalization(outer))
        return nn.Sequential(nn.ConcatTable(main, short), nn.CAddTable(True), nn.ReLU(True))

    net = _trained(rng, nn.Sequential(convolution(3, 8), nn.SpatialBatchNormalization(8), nn.ReLU(True), block(8, 8),
                                      block(8, 12), nn.SpatialConvolution(12, 4, 1, 1),
                                      nn.SpatialBatchNormalization(4), nn.Dropout(0.5, True)))
    fused = net.clone().fused()
    for module in (net, fused):
        (module.training if train else module.evaluate)()
    for _ in range(3):
        x = _images(rng)
        results = []
        for module in (net, fused):
            nn.manualSeed(7)
            module.zeroGradParameters()
            y = module.forward(x).copy()
            dx = module.backward(x, np.cos(y)).copy()
            results.append([y, dx, *(grad.copy() for grad in module.parameters()[1])])
        for plain, mine in zip(*results, strict=True):
            _close(mine, plain, 1e-4)
    assert len(fused.findModules(nn.Fused)[0]) == 7


@pytest.mark.parametrize("inplace", [False, True])
def test_a_gradient_that_a_module_overwrites_is_read_by_nobody_else(rng, inplace):
    """The sum hands one gradient to all branches, of which some overwrite theirs."""
    branches = [nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5, True)),
                nn.Sequential(nn.Linear(4, 4), nn.MulConstant(2, True)), nn.Linear(4, 4), nn.Identity()]
    if not inplace:  # these read the output that the sum would overwrite
        branches += [nn.Sequential(nn.Identity(), nn.Linear(4, 4), nn.ReLU(True)),
                     nn.Sequential(nn.Linear(4, 4), nn.BatchNormalization(4), nn.ReLU6(True))]
    net = nn.Sequential(nn.Linear(4, 4), nn.ConcatTable(*branches), nn.CAddTable(inplace),
                        nn.MulConstant(-0.5, True), nn.Linear(4, 4))
    fused, x = net.clone().fused(), rng.standard_normal((3, 4)).astype(np.float32)
    dy = rng.standard_normal((3, 4)).astype(np.float32)
    for _ in range(3):
        results = []
        for module in (net, fused):
            nn.manualSeed(3)
            module.zeroGradParameters()
            module.forward(x)
            results.append([module.backward(x, dy).copy(), *(grad.copy() for grad in module.parameters()[1])])
        for plain, mine in zip(*results, strict=True):
            _close(mine, plain)
    assert all(module.gradInput is None for module in fused.listModules()[1:])


def test_a_residual_network_takes_less_memory_for_gradients(rng):
    """Of a chain of blocks, each a sum of two branches, a few gradients are there at a time."""
    block = [nn.Sequential(nn.ConcatTable(nn.Sequential(nn.SpatialConvolution(4, 4, 3, 3, 1, 1, 1, 1), nn.ReLU(),
                                                        nn.SpatialConvolution(4, 4, 3, 3, 1, 1, 1, 1)), nn.Identity()),
                           nn.CAddTable(), nn.ReLU()) for _ in range(6)]
    net = nn.Sequential(*block)
    fused, x = net.clone().fused(), rng.standard_normal((2, 4, 9, 9)).astype(np.float32)
    y = net.forward(x)
    fused.forward(x)
    _close(fused.backward(x, y), net.backward(x, y))
    blocks = fused._spares._blocks
    assert list(blocks) == [x.nbytes] and len(blocks[x.nbytes]) <= 4
    copy = fused.clone()
    copy.forward(x)
    _close(copy.backward(x, y), net.gradInput)


@pytest.mark.parametrize("train", [True, False])
def test_steady_state_allocates_nothing(rng, train):
    fused = _trained(rng).fused()
    (fused.training if train else fused.evaluate)()
    x = _images(rng)
    dy = np.ones((4, 5), np.float32)
    for _ in range(2):
        fused.forward(x), fused.backward(x, dy)
    before = tensor.allocations
    fused.forward(x), fused.backward(x, dy)
    assert tensor.allocations == before


def test_what_may_mean_something_else_is_left_alone():
    class MyReLU(nn.ReLU):
        pass

    class MyLinear(nn.Linear):
        pass

    hooked = nn.ReLU()
    hooked.updateOutput = lambda input: input
    for net in (nn.Sequential(nn.Linear(3, 3), MyReLU()), nn.Sequential(MyLinear(3, 3), nn.ReLU()),
                nn.Sequential(nn.Linear(3, 3), hooked), nn.Sequential(nn.Linear(3, 3), nn.BatchNormalization(4)),
                nn.Sequential(nn.Linear(3, 3), nn.LeakyReLU(-1)), nn.Sequential(nn.ReLU(), nn.Linear(3, 3)),
                nn.Sequential(nn.Linear(3, 3), nn.LeakyReLU(0.1),
                              nn.Sequential(nn.Identity(), nn.MulConstant(2, True)))):
        assert not net.fused().findModules(nn.Fused)[0], net


def test_graphs_and_branches_are_reached(rng):
    x = nn.Identity()()
    net = nn.gModule([x], [nn.Concat(1, nn.Sequential(nn.Linear(3, 3), nn.ReLU()), nn.Identity())(x)])
    fused, data = net.fused(), rng.standard_normal((2, 3)).astype(np.float32)
    assert len(fused.findModules(nn.Fused)[0]) == 1 and not net.findModules(nn.Fused)[0]
    np.testing.assert_array_equal(fused.forward(data), net.forward(data))


def test_shared_weights_stay_shared(rng):
    layer = nn.Linear(4, 4)
    net = nn.Sequential(layer, nn.ReLU(), layer.clone("weight", "bias", "gradWeight", "gradBias"), nn.ReLU())
    fused, x = net.fused(), rng.standard_normal((2, 4)).astype(np.float32)
    assert fused[0][0].weight is fused[1][0].weight is layer.weight and len(fused.parameters()[0]) == 2
    net.zeroGradParameters()
    net.forward(x), net.backward(x, np.ones((2, 4), np.float32))
    want = layer.gradWeight.copy()
    net.zeroGradParameters()
    fused.forward(x), fused.backward(x, np.ones((2, 4), np.float32))
    np.testing.assert_array_equal(layer.gradWeight, want)


def test_clone_type_and_pickle_are_networks_of_their_own(rng):
    net = _trained(rng)
    fused, x = net.fused().evaluate(), _images(rng)
    want = fused.forward(x).copy()
    for other in (fused.clone(), pickle.loads(pickle.dumps(fused))):
        assert repr(other) == repr(fused)
        assert other[0][0].weight is not net[0].weight
        np.testing.assert_array_equal(other.forward(x), want)
    _close(fused.clone().double().forward(x.astype(np.float64)), want)
    fused.double()
    assert net.type() == net[0].type() == "cpu.float32" and net[0].weight.dtype == np.float32


def test_files_hold_the_plain_network(rng, tmp_path):
    net = _trained(rng, nn.Sequential(nn.SpatialConvolution(3, 4, 3, 3), nn.SpatialBatchNormalization(4), nn.ReLU(),
                                      nn.Sequential(nn.SpatialConvolution(4, 2, 3, 3), nn.Tanh()))).evaluate()
    x = _images(rng)
    want = net.forward(x)
    file = io.BytesIO()
    nn.save(file, {"net": net.fused(), "first": net.fused()[0]})
    read = nn.load(io.BytesIO(file.getvalue()))
    assert repr(read["net"]) == repr(net) and repr(read["first"]) == repr(net[:3])
    np.testing.assert_array_equal(read["net"].forward(x), want)
    pytest.importorskip("safetensors")
    nn.save_checkpoint(tmp_path / "net", net.fused())
    assert repr(nn.load_checkpoint(tmp_path / "net")["model"]) == repr(net)


def test_errors_name_the_layer(rng):
    fused = nn.Sequential(nn.Identity(), nn.Linear(4, 3), nn.ReLU()).fused()
    with pytest.raises(ShapeError, match="input must have shape") as caught:
        fused.forward(np.ones((2, 5), np.float32))
    assert caught.value.__notes__ == [
        "in module: Sequential[1] > Fused[0] > Linear(4 -> 3).forward, given float32 (2, 5)"]
    with pytest.raises(RuntimeError, match="does not know its sizes yet"):
        nn.Sequential(nn.Linear(None, 3), nn.ReLU()).fused()
    with pytest.raises(ValueError, match="Fused takes a Linear or a convolution"):
        nn.Fused(nn.ReLU(), nn.Linear(3, 3))
    with pytest.raises(RuntimeError, match="backward before forward"):
        nn.Fused(nn.Linear(3, 3), nn.ReLU()).backward(np.ones((1, 3), np.float32), np.ones((1, 3), np.float32))


def test_backward_goes_the_way_its_forward_went(rng):
    """A mode that changes between forward and backward changes no statistic and no gradient."""
    net = _trained(rng).evaluate()
    fused, x = net.fused(), _images(rng)
    dy = rng.standard_normal(net.forward(x).shape).astype(np.float32)
    want = net.backward(x, dy).copy()
    fused.forward(x)
    before = net[1].running_mean.copy()
    fused.training()
    _close(fused.backward(x, dy), want)
    np.testing.assert_array_equal(net[1].running_mean, before)
