"""LookupTable, by what the generic tests cannot see."""
import numpy as np
import pytest

import nnmod


def table(*args):
    module = nnmod.LookupTable(5, 3, *args).double()
    module.weight[...] = np.arange(15).reshape(5, 3)
    return module


def gradient(module, input, gradOutput, scale=1.0):
    module.zeroGradParameters()
    module.forward(input)
    assert module.backward(input, gradOutput, scale) is None
    return module.gradWeight


def test_an_index_outside_is_refused_and_nothing_is_written():
    module = table(None, 1.0)  # a norm that would change weights
    before = module.weight.copy()
    for input, place, value in [([0, 5], "input[1]", 5), ([-1, 0], "input[0]", -1),
                                ([[0, 1], [2, 9]], "input[1, 1]", 9)]:
        with pytest.raises(IndexError) as error:
            module.forward(np.array(input))
        assert str(error.value) == (f"{place} is {value}, but indices are 0..4 "
                                    "(nnmod counts from 0; Torch7 files are converted on load)")
    assert (module.weight == before).all() and module.output is None


def test_other_inputs_are_refused():
    with pytest.raises(TypeError, match=r"input must be int32 or int64, got float32; convert it with .astype"):
        table().forward(np.zeros(3, np.float32))
    with pytest.raises(TypeError, match="int32 or int64, got bool"):
        table().forward(np.zeros(3, bool))
    with pytest.raises(nnmod.ShapeError, match="one dimension or more"):
        table().forward(np.array(3))


def test_wrong_arguments():
    for arguments, text in [((5, 0), "nOutput must be an int > 0"), ((5, 3, 5), "paddingValue must be None or an index"),
                            ((5, 3, -1), "paddingValue"), ((5, 3, None, 0), "maxNorm must be > 0"),
                            ((5, 3, None, 1, 0), "normType must be > 0")]:
        with pytest.raises(ValueError, match=text):
            nnmod.LookupTable(*arguments)


def test_nothing_in_nothing_out():
    module = table()
    assert module.forward(np.zeros((0,), np.int64)).shape == (0, 3)
    assert module.forward(np.zeros((2, 0), np.int32)).shape == (2, 0, 3)
    module.backward(np.zeros((2, 0), np.int32), np.zeros((2, 0, 3)))
    assert not module.gradWeight.any()


def test_padding_gets_no_gradient():
    grad = gradient(table(1), np.array([1, 2, 1]), np.ones((3, 3)))
    assert grad[:, 0].tolist() == [0, 0, 1, 0, 0]


def test_gradients_by_frequency():
    grad = gradient(table().scaleGradByFreq(), np.array([1, 2, 1, 1]), np.arange(12.0).reshape(4, 3), 2.0)
    np.testing.assert_allclose(grad[1], 2 * (np.array([0, 1, 2]) + [6, 7, 8] + [9, 10, 11]) / 3, rtol=1e-14)
    assert grad[2].tolist() == [6, 8, 10]


@pytest.mark.parametrize("p", [1, 2, 3, 0.5])
def test_max_norm_scales_rows_that_are_met(p):
    module = table(None, 2.5, p)
    before = module.weight.copy()
    module.forward(np.array([4, 1, 4]))
    norms = (np.abs(module.weight) ** p).sum(axis=1) ** (1 / p)
    np.testing.assert_allclose(norms[[1, 4]], 2.5, rtol=1e-6)
    assert (norms[[1, 4]] <= 2.5).all()
    np.testing.assert_allclose(module.weight[4] / module.weight[4, 0], before[4] / before[4, 0], rtol=1e-14)
    assert (module.weight[[0, 2, 3]] == before[[0, 2, 3]]).all()


def test_max_norm_shows_nan():
    module = table(None, 1.0)
    module.weight[2, 1] = np.nan
    assert np.isnan(module.forward(np.array([2]))).any()


def test_a_table_that_is_only_updated():
    """accUpdateOnly: no gradient in memory, the same steps."""
    usual, thrifty = table(1), table(1).accUpdateOnly()
    x, dy = np.array([1, 2, 4, 4]), np.random.default_rng(0).standard_normal((4, 3))
    usual.forward(x)
    usual.backwardUpdate(x, dy, 0.1)
    thrifty.forward(x)
    assert thrifty.backwardUpdate(x, dy, 0.1) is None
    np.testing.assert_allclose(thrifty.weight, usual.weight, rtol=1e-14)
    assert thrifty.gradWeight is None and thrifty.parameters() == ([], [])
    assert thrifty.clone().weight is not thrifty.weight and thrifty.float().weight.dtype == np.float32
    thrifty.forward(x)
    with pytest.raises(RuntimeError, match="no gradWeight after accUpdateOnly"):
        thrifty.backward(x, dy.astype(np.float32))


def test_a_network_steps_directly():
    """backwardUpdate of a network is backward and updateParameters, gradients untouched."""
    nets = [nnmod.Sequential(nnmod.LookupTable(6, 4), nnmod.Linear(4, 2)).double()]
    nets.append(nets[0].clone())
    nets.append(nets[0].clone())
    nets[2][0].accUpdateOnly()
    x, dy = np.array([1, 5, 1]), np.random.default_rng(0).standard_normal((3, 2))
    nets[0].zeroGradParameters()
    nets[0].forward(x)
    nets[0].backward(x, dy)
    nets[0].updateParameters(0.3)
    for net in nets[1:]:
        for grad in net.parameters()[1]:
            grad.fill(7)
        net.forward(x)
        net.backwardUpdate(x, dy, 0.3)
        assert all((grad == 7).all() for grad in net.parameters()[1])
        for index in range(2):
            np.testing.assert_allclose(net[index].weight, nets[0][index].weight, rtol=1e-13)


def test_shared_tables_step_together():
    """Two tables with one weight: the step of both is summed before it is taken."""
    first = nnmod.LookupTable(6, 4).double()
    second = first.clone("weight", "gradWeight")
    net = nnmod.Sequential(nnmod.ParallelTable(first, second), nnmod.CAddTable())
    x, dy = [np.array([1, 2]), np.array([2, 3])], np.ones((2, 4))
    before = first.weight.copy()
    net.forward(x)
    net.backwardUpdate(x, dy, 0.5)
    np.testing.assert_allclose(before - first.weight, 0.5 * np.array([0, 1, 2, 1, 0, 0])[:, None] * np.ones(4))


def test_initialised_as_torch_does():
    nnmod.manualSeed(1)
    weight = nnmod.LookupTable(1000, 20).weight
    assert abs(weight.std() - 1) < 0.02 and abs(weight.mean()) < 0.02
    assert nnmod.LookupTable(1000, 20).reset(0.1).weight.std() == pytest.approx(0.1, rel=0.02)


def test_threads_change_no_bit():
    rng = np.random.default_rng(0)
    x, dy = rng.integers(0, 500, 9000), rng.standard_normal((9000, 300)).astype(np.float32)
    results = []
    before = nnmod.getnumthreads()
    try:
        for count in (1, 3):
            nnmod.setnumthreads(count)
            nnmod.manualSeed(0)
            module = nnmod.LookupTable(500, 300)
            module.forward(x)
            module.backward(x, dy)
            results.append((module.output.copy(), module.gradWeight.copy()))
    finally:
        nnmod.setnumthreads(before)
    for one, three in zip(*results):
        assert np.array_equal(one, three)
