"""Methods that Torch's scripts call where nnmod has an argument too: both ways are one."""
import numpy as np
import pytest

import nnmod

X = np.random.default_rng(0).standard_normal
BIASED = {
    "Linear": (lambda **k: nnmod.Linear(5, 3, **k), (4, 5)),
    "Linear-inferred": (lambda **k: nnmod.Linear(None, 3, **k), (4, 5)),
    "LinearWeightNorm": (lambda **k: nnmod.LinearWeightNorm(5, 3, **k), (4, 5)),
    "PartialLinear": (lambda **k: nnmod.PartialLinear(5, 3, **k), (4, 5)),
    "Bilinear": (lambda **k: nnmod.Bilinear(5, 3, 2, **k), [(4, 5), (4, 3)]),
    "SpatialConvolution": (lambda **k: nnmod.SpatialConvolution(2, 3, 3, 2, **k), (2, 2, 6, 5)),
    "SpatialConvolution-inferred": (lambda **k: nnmod.SpatialConvolution(None, 3, 3, 2, **k), (2, 2, 6, 5)),
    "SpatialConvolutionMM": (lambda **k: nnmod.SpatialConvolutionMM(2, 3, 3, 2, **k), (2, 2, 6, 5)),
    "SpatialConvolutionLocal": (lambda **k: nnmod.SpatialConvolutionLocal(2, 3, 5, 6, 3, 2, **k), (2, 2, 6, 5)),
    "SpatialDilatedConvolution": (lambda **k: nnmod.SpatialDilatedConvolution(2, 3, 3, 2, **k), (2, 2, 6, 5)),
    "SpatialDepthWiseConvolution": (lambda **k: nnmod.SpatialDepthWiseConvolution(2, 3, 3, 2, **k), (2, 2, 6, 5)),
    "SpatialFullConvolution": (lambda **k: nnmod.SpatialFullConvolution(2, 3, 3, 2, **k), (2, 2, 4, 5)),
    "VolumetricConvolution": (lambda **k: nnmod.VolumetricConvolution(2, 3, 2, 3, 2, **k), (2, 2, 3, 4, 5)),
    "VolumetricFullConvolution": (lambda **k: nnmod.VolumetricFullConvolution(2, 3, 2, 3, 2, **k), (2, 2, 2, 3, 4)),
    "TemporalConvolution": (lambda **k: nnmod.TemporalConvolution(3, 4, 2, **k), (2, 5, 3)),
    "TemporalRowConvolution": (lambda **k: nnmod.TemporalRowConvolution(3, 2, **k), (2, 5, 3)),
}


def given(shape):
    return [X(s).astype(np.float32) for s in shape] if isinstance(shape, list) else X(shape).astype(np.float32)


@pytest.mark.parametrize("name", BIASED)
def test_no_bias(name):
    make, shape = BIASED[name]
    x = given(shape)
    nnmod.manualSeed(1)
    plain, without = make(bias=False), make()
    assert without.noBias() is without and repr(without) == repr(plain)
    plain.forward(x), without.forward(x)
    for ours, theirs in zip(without.parameters()[0], plain.parameters()[0], strict=True):
        ours[...] = theirs
    np.testing.assert_array_equal(without.forward(x), plain.forward(x))
    without.backward(x, np.ones_like(without.output))
    assert without.bias is None and without.gradBias is None
    without.reset().clone().double()


def test_no_bias_of_flat_parameters():
    net = nnmod.Sequential(nnmod.Linear(5, 3), nnmod.Linear(3, 2))
    assert net.getParameters()[0].size == 26
    net[0].noBias()
    assert net.getParameters()[0].size == 23
    x = given((4, 5))
    assert net.forward(x).shape == (4, 2) and net.backward(x, np.ones((4, 2), np.float32)).shape == x.shape


@pytest.mark.parametrize("cls, shape", [(nnmod.SpatialMaxPooling, (2, 6, 6)), (nnmod.SpatialAveragePooling, (2, 6, 6)),
                                        (nnmod.VolumetricMaxPooling, (2, 6, 6, 6))])
def test_ceil_and_floor(cls, shape):
    sides = len(shape) - 1
    pool, x = cls(*[3] * sides, *[2] * sides), given(shape)
    assert pool.forward(x).shape == (2, *[2] * sides)
    assert pool.ceil() is pool and pool.forward(x).shape == (2, *[3] * sides)
    np.testing.assert_array_equal(pool.output, cls(*[3] * sides, *[2] * sides, ceilMode=True).forward(x))
    assert pool.backward(x, pool.output).shape == shape and "ceil" in repr(pool)
    assert pool.floor().forward(x).shape == (2, *[2] * sides)


def test_what_an_average_counts():
    pool, x = nnmod.SpatialAveragePooling(2, 2, 2, 2, 1, 1), np.ones((1, 2, 2), np.float32)
    assert (pool.forward(x) == 0.25).all()
    assert pool.setCountExcludePad() is pool and (pool.forward(x) == 1).all()
    assert (pool.setCountIncludePad().forward(x) == 0.25).all()


@pytest.mark.parametrize("cls", [nnmod.Dropout, nnmod.SpatialDropout, nnmod.VolumetricDropout])
def test_setp(cls):
    module, x = cls(0.2), np.ones((1, 50, 2, 3, 4)[:3 if cls is nnmod.Dropout else None], np.float32)
    x = np.ones((2, 50, 3, 4), np.float32) if cls is nnmod.SpatialDropout else x
    assert module.setp(0) is module and (module.forward(x) == 1).all()
    module.setp(0.9)
    assert 0 < np.count_nonzero(module.forward(x)) < x.size / 2
    with pytest.raises(ValueError, match="p must be within 0 <= p < 1, got 1"):
        module.setp(1)
    assert module.p == 0.9 and repr(module) == f"{cls.__name__}(0.9)"


def test_a_view_of_another_size():
    view, x = nnmod.View(6), given((4, 2, 3))
    assert view.forward(x).shape == (4, 6)
    assert view.resetSize(3, 2) is view and view.forward(x).shape == (4, 3, 2)
    assert view.backward(x, view.output).shape == x.shape
    assert view.resetSize(-1).setNumInputDims(2).forward(x[:1]).shape == (1, 6)
    with pytest.raises(ValueError, match="at most one -1"):
        view.resetSize(-1, -1)
    assert view.sizes == (-1,)
    with pytest.raises(ValueError, match="numInputDims must be an int > 0"):
        view.setNumInputDims(0)
    assert view.setNumInputDims(None).numInputDims is None


def test_a_transpose_of_examples():
    transpose, x = nnmod.Transpose((0, 1)), given((4, 2, 3))
    assert transpose.forward(x).shape == (2, 4, 3)
    assert transpose.setNumInputDims(2) is transpose and transpose.forward(x).shape == (4, 3, 2)
    assert transpose.backward(x, transpose.output).shape == x.shape


def test_apply_to_modules_is_for_the_children_alone():
    net = nnmod.Sequential(nnmod.Tanh(), nnmod.Sequential(nnmod.Sigmoid()))
    seen = []
    assert net.applyToModules(seen.append) is None
    assert seen == net.modules


def test_renorm():
    table = nnmod.LookupTable(4, 3, None, 1.0)
    table.weight[...] = 2
    before = table.weight.copy()
    np.testing.assert_array_equal(table.renorm(np.array([[0, 2], [2, 0]])), [0, 2, 2, 0])
    np.testing.assert_allclose(np.linalg.norm(table.weight, axis=1), [1, 12**0.5, 1, 12**0.5], rtol=1e-5)
    with pytest.raises(IndexError, match=r"input\[1\] is 4"):
        table.renorm(np.array([1, 4]))
    np.testing.assert_array_equal(table.weight[1], before[1])
    table.setMaxNorm(None).renorm(np.array([1]))
    np.testing.assert_array_equal(table.weight[1], before[1])


def test_minus_builds_graphs_as_in_nngraph():
    x = -nnmod.Linear(3, 4)
    y = x - nnmod.Tanh() - nnmod.Linear(4, 2)
    net = nnmod.gModule(x, [x, y] - nnmod.JoinTable(1))
    again = nnmod.gModule(x, nnmod.JoinTable(1)([x, y]))
    data = given((5, 3))
    np.testing.assert_array_equal(net.forward(data), again.forward(data))
    assert net.output.shape == (5, 6)
    for value in (data, [data], 3):
        with pytest.raises(TypeError, match="unsupported operand"):
            value - nnmod.Tanh()
