"""Distances to learned points, by what the generic tests cannot see."""
import numpy as np
import pytest

import nnmod
from golden_data import GOLDEN
from nnmod import testing


@pytest.mark.parametrize("cls", [nnmod.Euclidean, nnmod.WeightedEuclidean])
@pytest.mark.parametrize("shape", [(4, 5), (5,), (9, 19)])
def test_gradients_but_for_torchs_guard(cls, shape):
    """The denominators have 1e-7 added: about 1e-7 of each gradient."""
    input = np.random.default_rng(0).standard_normal(shape)
    testing.check_gradients(cls(shape[-1], 6), input, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("cls", [nnmod.Euclidean, nnmod.WeightedEuclidean])
def test_a_distance_of_zero_has_no_gradient(cls):
    module = cls(3, 2).double()
    x = module.weight[:, 0].copy()
    assert module.forward(x)[0] == 0
    module.backward(x, np.array([1.0, 0.0]))
    assert not module.gradInput.any() and not module.gradWeight.any()


def test_a_weight_of_zero_is_no_nan():
    """Torch7 divides by diagCov on the way to its gradient, which is 0/0 here."""
    module = nnmod.WeightedEuclidean(2, 1).double()
    module.weight[...], module.diagCov[...] = [[0.0], [0.0]], [[0.0], [1.0]]
    x = np.array([[3.0, 4.0]])
    assert module.forward(x) == 4
    module.backward(x, np.ones((1, 1)))
    np.testing.assert_allclose(module.gradDiagCov, [[0], [4]], rtol=1e-6)


def test_small_distances_keep_their_digits():
    """A matrix product would give |x|^2 - 2 x.w + |w|^2, which is 0 or worse here in float32."""
    module = nnmod.Euclidean(2, 1)
    module.weight[...] = [[1000.0], [1000.0]]
    y = module.forward(np.array([[1000.001, 1000.0]], np.float32))
    assert y[0, 0] == np.float32(1000.001) - np.float32(1000)


def test_the_cosine_of_zeros_is_zero():
    assert (nnmod.Cosine(3, 2).forward(np.zeros((1, 3), np.float32)) == 0).all()


def test_a_wrong_number_of_features():
    for module in (nnmod.Euclidean(3, 2), nnmod.WeightedEuclidean(3, 2), nnmod.Cosine(3, 2), nnmod.Kmeans(2, 3)):
        with pytest.raises(nnmod.ShapeError, match=r"input must have shape \(N, 3\) or \(3,\), got \(2, 4\)"):
            module.forward(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="outputSize must be an int > 0, got 0"):
        nnmod.Euclidean(3, 0)


# -- Kmeans ------------------------------------------------------------------------------

def clouds(rng, dtype=np.float32):
    """Three clouds of 40 points, and their middles."""
    middles = np.array([[0, 0], [10, 0], [0, 10]], dtype)
    return np.concatenate([m + rng.normal(size=(40, 2)) for m in middles]).astype(dtype), middles


def learn(kmeans, x, steps=10):
    for _ in range(steps):
        kmeans.zeroGradParameters()
        kmeans.forward(x)
        kmeans.backward(x, np.zeros(len(x), x.dtype))
        kmeans.updateParameters(1)
    return kmeans


def test_kmeans_finds_clouds():
    nnmod.manualSeed(3)
    x, middles = clouds(np.random.default_rng(0))
    kmeans = learn(nnmod.Kmeans(3, 2).initKmeansPlus(x), x)
    found = kmeans.weight[np.lexsort(kmeans.weight.round().T)]
    np.testing.assert_allclose(found, middles[np.lexsort(middles.T)], atol=0.6)
    assert kmeans.clusterSampleCount.tolist() == [40, 40, 40]
    labels = kmeans.forward(x).reshape(3, 40)
    assert (labels == labels[:, :1]).all() and len(set(labels[:, 0])) == 3


def test_kmeans_loss_and_counts_are_torchs():
    case = GOLDEN.case("Kmeans__1")
    kmeans = nnmod.Kmeans(3, 4).double()
    kmeans.weight[...] = case["params"][0]
    kmeans.forward(case["input"])
    assert kmeans.loss == pytest.approx(case["state_after"]["loss"], rel=1e-12)
    kmeans.backward(case["input"], case["gradOutput"])
    assert (kmeans.clusterSampleCount == case["state_after"]["clusterSampleCount"]).all()


def test_kmeans_learns_nothing_from_no_examples():
    kmeans = nnmod.Kmeans(2, 2)
    x = np.zeros((0, 2), np.float32)
    assert kmeans.forward(x).shape == (0,) and kmeans.loss == 0
    assert kmeans.backward(x, np.zeros(0, np.float32)).shape == (0, 2)
    assert not kmeans.gradWeight.any()


def test_kmeans_shows_nan():
    kmeans = nnmod.Kmeans(2, 2).double()
    x = np.array([[0.0, np.nan], [0.0, 0.0]])
    y = kmeans.forward(x)
    assert np.isnan(y[0]) and y[1] in (0, 1) and np.isnan(kmeans.loss)
    kmeans.backward(x, np.zeros(2))
    assert np.isnan(kmeans.gradWeight).any()


def test_kmeans_scale_multiplies_the_step():
    x = np.random.default_rng(0).standard_normal((5, 2))
    gradients = []
    for scale in (None, 0.25):
        kmeans = nnmod.Kmeans(2, 2, scale).double()
        kmeans.weight[...] = [[0, 0], [1, 1]]
        kmeans.forward(x)
        kmeans.backward(x, np.zeros(5))
        gradients.append(kmeans.gradWeight)
    np.testing.assert_allclose(gradients[1], 0.25 * gradients[0], rtol=1e-14)
    with pytest.raises(ValueError, match="scale must be > 0, got 0"):
        nnmod.Kmeans(2, 2, 0)


def test_kmeans_starts_from_examples():
    x = np.arange(20, dtype=np.float32).reshape(10, 2)
    rows = set(map(tuple, x.tolist()))
    for start in ("initRandom", "initKmeansPlus"):
        kmeans = nnmod.Kmeans(4, 2)
        assert getattr(kmeans, start)(x) is kmeans
        assert set(map(tuple, kmeans.weight.tolist())) <= rows
        with pytest.raises(nnmod.ShapeError, match="at least k = 4 examples"):
            getattr(kmeans, start)(x[:3])
        with pytest.raises(TypeError, match="float32 like the module"):
            getattr(kmeans, start)(x.astype(np.float64))
    line = np.arange(10, dtype=np.float32)[:, None]
    ends = nnmod.Kmeans(3, 1).initKmeansPlus(line, 1)
    assert ends.weight[1, 0] == (9 if ends.weight[0, 0] < 5 else 0)  # with p = 1 the farthest of all
    with pytest.raises(ValueError, match="p must be a number"):
        ends.initKmeansPlus(line, 2)
