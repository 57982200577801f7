"""Regions of images beside plain loops, and what is refused."""
import math

import numpy as np
import pytest

import nnmod


def pooled(x, rois, W, H, scale, v2):
    """The output of ROIPooling by the letter."""
    def nearest(value):
        return int(math.copysign(math.floor(abs(value) + 0.5), value))

    y = np.zeros((len(rois), x.shape[1], H, W))
    for r, (n, *edges) in enumerate(rois):
        left, top, right, bottom = (nearest(edge * scale) for edge in edges)
        for i in range(H):
            for j in range(W):
                bins = []
                for k, count, first, last in ((i, H, top, bottom), (j, W, left, right)):
                    length = max(last - first + (not v2), 1)
                    low, high = k * length / count, (k + 1) * length / count
                    low, high = (nearest(low), nearest(high)) if v2 else (math.floor(low), math.ceil(high))
                    bins.append([p + first for p in range(low, high)])
                for c in range(x.shape[1]):
                    values = [x[int(n), c, a, b] for a in bins[0] for b in bins[1]
                              if 0 <= a < x.shape[2] and 0 <= b < x.shape[3]]
                    y[r, c, i, j] = max(values, default=0)
    return y


@pytest.mark.parametrize("v2", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_regions_beside_loops(v2, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((3, 2, 9, 11))
    rois = np.column_stack([rng.integers(0, 3, 8), rng.uniform(-8, 30, (8, 4))])
    W, H, scale = (*rng.integers(1, 5, 2), rng.choice([1.0, 0.5, 0.4]))
    module = nnmod.ROIPooling(int(W), int(H), float(scale), v2).double()
    np.testing.assert_array_equal(module.forward([x, rois]), pooled(x, rois, W, H, scale, v2))


@pytest.mark.parametrize("v2", [True, False])
def test_gradients_go_to_the_maxima(v2):
    """By finite differences of the plain loops, where regions hold fractions."""
    rng = np.random.default_rng(7)
    x = rng.permutation(2 * 3 * 6 * 7).reshape(2, 3, 6, 7).astype(float)
    rois = np.array([[0, 2.2, 1.1, 5.3, 3.2], [1, 0, 0, 6, 5], [1, 4, 4, 2, 1.0], [1, 2, 0, 12, 5]])
    module = nnmod.ROIPooling(3, 2, 0.8, v2).double()
    gradOutput = rng.standard_normal(module.forward([x, rois]).shape)
    gradient, nothing = module.backward([x, rois], gradOutput)
    expected = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        moved = x.copy()
        moved[place] += 0.25
        change = pooled(moved, rois, 3, 2, 0.8, v2) - pooled(x, rois, 3, 2, 0.8, v2)
        expected[place] = (change * gradOutput).sum() / 0.25
    np.testing.assert_allclose(gradient, expected, atol=1e-12)
    assert not nothing.any()


def test_no_regions_give_no_output():
    module = nnmod.ROIPooling(2, 2)
    features, none = np.ones((1, 2, 4, 4), np.float32), np.zeros((0, 5), np.float32)
    assert module.forward([features, none]).shape == (0, 2, 2, 2)
    gradient, _ = module.backward([features, none], np.zeros((0, 2, 2, 2), np.float32))
    assert gradient.shape == features.shape and not gradient.any()


def test_nan_wins_in_its_bin():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    x[0, 0, 1, 0] = np.nan
    output = nnmod.ROIPooling(2, 2).double().forward([x, np.array([[0.0, 0, 0, 4, 4]])])
    np.testing.assert_array_equal(output, [[[[np.nan, 7], [13, 15]]]])


@pytest.mark.parametrize("region, error, words", [
    ([2, 0, 0, 1, 1], IndexError, r"image 2.0, but images are 0..1"), ([-1, 0, 0, 1, 1], IndexError, "image -1.0"),
    ([0.5, 0, 0, 1, 1], IndexError, "image 0.5"), ([np.nan, 0, 0, 1, 1], IndexError, "image nan"),
    ([0, np.nan, 0, 1, 1], ValueError, "edges that are numbers"), ([0, 0, 0, 1e300, 1], ValueError, "below"),
    ([0, 0, np.inf, 1, 1], ValueError, "below"),
])
def test_regions_that_cannot_be(region, error, words):
    with pytest.raises(error, match=words):
        nnmod.ROIPooling(2, 2).double().forward([np.zeros((2, 1, 4, 4)), np.array([region], float)])


def test_the_first_version_comes_from_old_files(tmp_path):
    nnmod.save(tmp_path / "roi.t7", nnmod.ROIPooling(3, 2, 0.0625))
    again = nnmod.load(tmp_path / "roi.t7")
    assert (again.W, again.H, again.spatial_scale, again.v2) == (3, 2, 0.0625, True)
