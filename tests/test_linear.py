"""The linear family, by what the generic tests cannot see."""
import numpy as np
import pytest

import nnmod
from nnmod import testing


# -- LinearWeightNorm ---------------------------------------------------------------------------

def test_weight_norm_is_linear_of_its_weight():
    linear = nnmod.Linear(5, 3).double()
    module = nnmod.LinearWeightNorm.fromLinear(linear)
    x = np.random.default_rng(0).standard_normal((4, 5))
    np.testing.assert_allclose(module.forward(x), linear.forward(x), rtol=1e-13)
    np.testing.assert_allclose(module.g[:, 0], np.linalg.norm(linear.weight, axis=1), rtol=1e-14)
    module.g *= 2
    back = module.toLinear()
    np.testing.assert_allclose(back.weight, 2 * linear.weight, rtol=1e-13)
    assert (back.bias == linear.bias).all() and back.type() == "cpu.float64"
    assert nnmod.LinearWeightNorm.fromLinear(nnmod.Linear(2, 2, False)).bias is None
    with pytest.raises(TypeError, match="linear must be a Linear"):
        nnmod.LinearWeightNorm.fromLinear(nnmod.Tanh())
    with pytest.raises(RuntimeError, match="does not know its sizes yet"):
        nnmod.LinearWeightNorm(None, 2).toLinear()


def test_weight_norm_gradients_add_up():
    """Torch7 scales what is in gradV once more at every backward."""
    module = nnmod.LinearWeightNorm(5, 3).double()
    x, dy = np.random.default_rng(0).standard_normal((4, 5)), np.random.default_rng(1).standard_normal((4, 3))
    module.forward(x)
    module.backward(x, dy)
    once = [g.copy() for g in module.parameters()[1]]
    module.backward(x, dy, -3.0)
    for after, before in zip(module.parameters()[1], once):
        np.testing.assert_allclose(after, -2 * before, rtol=1e-12)


def test_weight_norm_follows_its_parameters_in_evaluation():
    """Torch7 keeps an old weight in evaluation mode."""
    module = nnmod.LinearWeightNorm(2, 1, False).double().evaluate()
    x = np.array([[1.0, 1.0]])
    for direction, expected in (([3, 4], 1.4), ([4, -3], 0.2)):
        module.v[...], module.g[...] = direction, 1
        assert module.forward(x)[0, 0] == pytest.approx(expected)


def test_a_direction_of_zeros_divides_by_eps():
    module = nnmod.LinearWeightNorm(2, 1, False, 1e-3).double()
    module.v[...], module.g[...] = 0, 1
    x = np.array([[1.0, 2.0]])
    assert module.forward(x) == 0
    module.backward(x, np.ones((1, 1)))
    assert np.allclose(module.gradV, x / 1e-3) and module.gradG == 0
    with pytest.raises(ValueError, match="eps must be a number >= 0"):
        nnmod.LinearWeightNorm(2, 1, eps=-1)


# -- PartialLinear ------------------------------------------------------------------------------

def test_a_part_is_the_part_of_the_whole():
    whole = nnmod.PartialLinear(5, 7).double()
    part = whole.clone().setPartition(np.array([6, 0], np.int32))
    whole.bias[...] = part.bias[...] = np.arange(7)
    x = np.random.default_rng(0).standard_normal((4, 5))
    np.testing.assert_allclose(part.forward(x), whole.forward(x)[:, [6, 0]], rtol=1e-13)
    part.backward(x, np.ones((4, 2)))
    np.testing.assert_allclose(part.gradWeight[[0, 6]], [x.sum(axis=0)] * 2, rtol=1e-13)
    assert not part.gradWeight[1:6].any() and part.gradBias[0].tolist() == [4, 0, 0, 0, 0, 0, 4]
    np.testing.assert_array_equal(part.resetPartition().forward(x), whole.output)


def test_a_partition_is_checked():
    module = nnmod.PartialLinear(5, 7)
    for indices, error, text in [(np.array([0, 7]), IndexError, r"indices\[1\] is 7, but outputs are 0..6"),
                                 (np.array([-1]), IndexError, r"indices\[0\] is -1"),
                                 (np.array([1.0]), TypeError, "indices must be int32 or int64"),
                                 ([1], TypeError, "indices must be a tensor"),
                                 (np.array([], int), nnmod.ShapeError, "at least one")]:
        with pytest.raises(error, match=text):
            module.setPartition(indices)
    assert module.partition is None
    x = np.zeros((2, 5), np.float32)
    for first, second in [(None, [1]), ([1], None), ([1, 2], [2, 1])]:
        module.resetPartition() if first is None else module.setPartition(np.array(first))
        dy = module.forward(x).copy()
        module.resetPartition() if second is None else module.setPartition(np.array(second))
        with pytest.raises(RuntimeError, match="the partition has changed since the last forward"):
            module.backward(x, dy)
    assert not module.gradWeight.any()


def test_a_partition_is_copied():
    indices = np.array([1, 2])
    module = nnmod.PartialLinear(5, 7).setPartition(indices)
    indices[0] = 100
    assert module.partition.tolist() == [1, 2]


# -- Bilinear -------------------------------------------------------------------------------------

def test_bilinear_is_its_formula():
    module = nnmod.Bilinear(3, 4, 2).double()
    rng = np.random.default_rng(0)
    x = [rng.standard_normal((5, 3)), rng.standard_normal((5, 4))]
    expected = np.einsum("ni,oij,nj->no", x[0], module.weight, x[1]) + module.bias
    np.testing.assert_allclose(module.forward(x), expected, rtol=1e-12)


def test_bilinear_takes_scale_into_its_weight():
    """Torch7's accGradParameters forgets it there."""
    module = nnmod.Bilinear(3, 4, 2).double()
    rng = np.random.default_rng(0)
    x, dy = [rng.standard_normal((5, 3)), rng.standard_normal((5, 4))], rng.standard_normal((5, 2))
    module.forward(x)
    module.backward(x, dy, 0.25)
    np.testing.assert_allclose(module.gradWeight, 0.25 * np.einsum("ni,no,nj->oij", x[0], dy, x[1]), rtol=1e-12)


def test_bilinear_without_examples():
    module = nnmod.Bilinear(3, 4, 2)
    x = [np.zeros((0, 3), np.float32), np.zeros((0, 4), np.float32)]
    assert module.forward(x).shape == (0, 2)
    assert [dx.shape for dx in module.backward(x, np.zeros((0, 2), np.float32))] == [(0, 3), (0, 4)]
    assert not module.gradWeight.any()


@pytest.mark.parametrize("shapes, error, text", [
    ([(5, 3)], nnmod.ShapeError, "2 entries, got 1"),
    ([(5, 3), (5, 5)], nnmod.ShapeError, r"input\[1\] must have shape \(N, 4\) or \(4,\), got \(5, 5\)"),
    ([(5, 3), (6, 4)], nnmod.ShapeError, "as many rows as each other"),
    ([(3,), (1, 4)], nnmod.ShapeError, "as many rows as each other"),
])
def test_wrong_pairs_of_inputs(shapes, error, text):
    with pytest.raises(error, match=text):
        nnmod.Bilinear(3, 4, 2).forward([np.zeros(shape, np.float32) for shape in shapes])


# -- all ------------------------------------------------------------------------------------------

def test_initialised_as_torch_does():
    nnmod.manualSeed(0)
    for module, bound in [(nnmod.LinearWeightNorm(400, 9), 0.05), (nnmod.Bilinear(400, 3, 2), 0.05),
                          (nnmod.Cosine(9, 400), 0.05), (nnmod.Euclidean(400, 9), 0.05),
                          (nnmod.WeightedEuclidean(400, 9), 0.05), (nnmod.Euclidean(400, 9).reset(0.1), 0.03 ** 0.5),
                          (nnmod.Kmeans(9, 400), 1.0), (nnmod.Kmeans(9, 400).reset(0.1), 0.1)]:
        drawn = np.abs(module.parameters()[0][0])
        assert 0.97 * bound < drawn.max() <= bound and drawn.min() < 0.1 * bound, module
    assert (nnmod.WeightedEuclidean(4, 3).diagCov == 1).all()
    partial = nnmod.PartialLinear(400, 50)
    assert abs(partial.weight.std() - 1) < 0.05 and not partial.bias.any()
    module = nnmod.LinearWeightNorm(4, 3)
    np.testing.assert_allclose(module.g[:, 0], np.linalg.norm(module.v, axis=1), rtol=1e-6)


def test_gradients_of_larger_sizes():
    """Sizes that reach every remainder of the kernels' blocks."""
    rng = np.random.default_rng(0)
    for make, shape in [(lambda: nnmod.Cosine(11, 17), (13, 11)), (lambda: nnmod.LinearWeightNorm(17, 11), (6, 17))]:
        testing.check_gradients(make(), rng.standard_normal(shape))
    testing.check_gradients(nnmod.Bilinear(7, 5, 6), [rng.standard_normal((9, 7)), rng.standard_normal((9, 5))])


def test_mixed_dtypes_are_refused():
    for module, input in [(nnmod.Bilinear(3, 4, 2), [np.zeros((2, 3), np.float32), np.zeros((2, 4))]),
                          (nnmod.LinearWeightNorm(3, 2), np.zeros((2, 3))), (nnmod.Cosine(3, 2), np.zeros((2, 3)))]:
        with pytest.raises(TypeError, match="one device and one dtype"):
            module.forward(input)
