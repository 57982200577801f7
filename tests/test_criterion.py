"""What the generic tests of criterions cannot see: words, edges, children, threads."""
import numpy as np
import pytest

import nnmod
from nnmod import ShapeError

nan, inf = np.nan, np.inf


def float64(*rows):
    return np.array(rows, np.float64)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def signs(*shape, seed=1):
    return np.random.default_rng(seed).choice([-1.0, 1.0], shape)


# -- errors in words --------------------------------------------------------------------

PAIR = [np.zeros((2, 3)), np.zeros((2, 3))]


@pytest.mark.parametrize("criterion, input, target, kind, text", [
    (nnmod.SpatialClassNLLCriterion(), np.zeros((2, 3, 2, 2)), np.full((2, 2, 2), 3), IndexError,
     "target[0, 0, 0] is 3, but classes are 0..2"),
    (nnmod.SpatialClassNLLCriterion(), np.zeros((2, 3, 2, 2)), np.zeros((2, 2), int), ShapeError,
     "target must have shape (2, 2, 2), got (2, 2)"),
    (nnmod.SpatialClassNLLCriterion(np.ones(4)), np.zeros((2, 3, 2, 2)), np.zeros((2, 2, 2), int), ShapeError,
     "input must have shape (N, 4, 2, 2), got (2, 3, 2, 2); one weight for each class"),
    (nnmod.SpatialClassNLLCriterion(), np.zeros((3, 2)), np.zeros(3, int), ShapeError,
     "input must have shape (N, C, H, W) or (C, H, W), got (3, 2)"),
    (nnmod.MultiLabelMarginCriterion(), np.zeros((2, 3)), np.array([[0, -1, 0], [-2, 0, 0]]), IndexError,
     "target[1, 0] is -2, but classes are 0..2"),
    (nnmod.MultiLabelMarginCriterion(), np.zeros((2, 3)), np.array([[0, -1, 3], [0, 0, 0]]), IndexError,
     "target[0, 2] is 3, but classes are 0..2"),
    (nnmod.MultiLabelMarginCriterion(), np.zeros((2, 3)), np.zeros((2, 2), int), ShapeError,
     "target must have shape (2, 3), got (2, 2)"),
    (nnmod.MultiMarginCriterion(), np.zeros((2, 3)), np.array([0, -1]), IndexError,
     "target[1] is -1, but classes are 0..2"),
    (nnmod.MultiMarginCriterion(weights=np.ones(4)), np.zeros((2, 3)), np.array([0, 1]), ShapeError,
     "input must have shape (N, 4) or (4,), got (2, 3); one weight for each class"),
    (nnmod.ClassSimplexCriterion(4), np.zeros((2, 3)), np.array([0, 1]), ShapeError,
     "input must have shape (N, 4) or (4,), got (2, 3)"),
    (nnmod.WeightedMSECriterion(np.ones((2, 2))), np.zeros((3, 2)), np.zeros((3, 2)), ShapeError,
     "input must have shape (N, 2, 2) or (2, 2), one weight for each element, got (3, 2)"),
    (nnmod.SpatialAutoCropMSECriterion(), np.zeros((1, 4, 4)), np.zeros((1, 4, 3)), ShapeError,
     "target must have shape (1, TH, TW) with TH >= 4 and TW >= 4, got (1, 4, 3)"),
    (nnmod.SpatialAutoCropMSECriterion(), np.zeros((4, 4)), np.zeros((4, 4)), ShapeError,
     "input must have shape (N, C, H, W) or (C, H, W), got (4, 4)"),
    (nnmod.HingeEmbeddingCriterion(), np.zeros((2, 2)), float64([1, -1], [1, 0]), ValueError,
     "target[1, 1] is 0, but must be 1 or -1"),
    (nnmod.HingeEmbeddingCriterion(), np.zeros(2), 0.5, ValueError, "target must be 1 or -1, got 0.5"),
    (nnmod.HingeEmbeddingCriterion(), np.zeros(2), np.ones(3), ShapeError,
     "target must have shape (2,), or be the number 1 or -1 for all, got (3,)"),
    (nnmod.HingeEmbeddingCriterion(), np.zeros(2), np.ones(2, np.float32), TypeError,
     "target must be float64 like the input, or of integers, got float32"),
    (nnmod.CosineEmbeddingCriterion(), PAIR, float64(1, nan), ValueError, "target[1] is nan, but must be 1 or -1"),
    (nnmod.CosineEmbeddingCriterion(), PAIR[:1], 1, ShapeError, "input must be a table of 2 entries, got 1"),
    (nnmod.CosineEmbeddingCriterion(), [np.zeros((2, 3)), np.zeros((2, 4))], 1, ShapeError,
     "input[1] must have the shape of input[0], (2, 3), got (2, 4)"),
    (nnmod.CosineEmbeddingCriterion(), [np.zeros((2, 3, 1))] * 2, 1, ShapeError,
     "input[0] must have shape (N, D) or (D,), got (2, 3, 1)"),
    (nnmod.MarginRankingCriterion(), PAIR, np.full((2, 3), 2.0), ValueError,
     "target[0, 0] is 2, but must be 1 or -1"),
    (nnmod.L1HingeEmbeddingCriterion(), PAIR, 0, ValueError, "target must be 1 or -1, got 0"),
    (nnmod.L1HingeEmbeddingCriterion(), PAIR, np.ones(2), TypeError,
     "target must be the number 1 or -1, got float64 (2,)"),
    (nnmod.DistanceRatioCriterion(), np.zeros(3), None, TypeError,
     "input must be a table (a list of tensors), got float64 (3,)"),
    (nnmod.MSECriterion(), np.zeros(3), None, TypeError, "target must be a tensor (numpy.ndarray), got NoneType"),
    (nnmod.MultiCriterion(), np.zeros(3), np.zeros(3), RuntimeError,
     "MultiCriterion has no criterions: add some before forward"),
    (nnmod.ParallelCriterion().add(nnmod.L1Cost()), PAIR, [None], ShapeError,
     "input must be a table of 1 entries, got 2"),
    (nnmod.ParallelCriterion().add(nnmod.L1Cost()), PAIR[:1], None, TypeError,
     "target must be a table (a list of tensors), got None"),
])
def test_refused_in_words(criterion, input, target, kind, text):
    criterion.double()
    with pytest.raises(kind) as caught:
        criterion.forward(input, target)
    assert str(caught.value).startswith(text)
    if kind is not ValueError:  # in a tensor of signs, a wrong one shows in the loss only
        with pytest.raises(kind):
            criterion.backward(input, target)
        assert criterion.gradInput is None


@pytest.mark.parametrize("make, kind, text", [
    (lambda: nnmod.WeightedMSECriterion(None), ValueError, "w must be a tensor of weights, got None"),
    (lambda: nnmod.WeightedMSECriterion([1, 2]), ValueError,
     "weights must be a tensor of float32 or float64, got int64"),
    (lambda: nnmod.MultiMarginCriterion(3), ValueError, "p must be 1 or 2, got 3"),
    (lambda: nnmod.MultiMarginCriterion(1, np.ones((2, 2))), ValueError,
     "weights must be a tensor of shape (n,), one weight for each class, got shape (2, 2)"),
    (lambda: nnmod.MarginCriterion("1"), ValueError, "margin must be a number, got '1'"),
    (lambda: nnmod.CosineEmbeddingCriterion(1.5), ValueError, "margin must be a number within -1..1, got 1.5"),
    (lambda: nnmod.ClassSimplexCriterion(1), ValueError, "nClasses must be an int >= 2, got 1"),
    (lambda: nnmod.DistKLDivCriterion(1), ValueError, "sizeAverage must be True or False, got 1"),
    (lambda: nnmod.ParallelCriterion(0), ValueError, "repeatTarget must be True or False, got 0"),
    (lambda: nnmod.MultiCriterion().add(nnmod.MSECriterion), TypeError, "; make an instance of it first"),
    (lambda: nnmod.MultiCriterion().add(nnmod.Tanh()), TypeError, "criterion must be a criterion, got Tanh()"),
    (lambda: nnmod.MultiCriterion().add(nnmod.L1Cost(), None), ValueError, "weight must be a number, got None"),
    (lambda: nnmod.ModuleCriterion(nnmod.Tanh()), TypeError, "criterion must be a criterion, got Tanh()"),
    (lambda: nnmod.ModuleCriterion(nnmod.L1Cost(), nnmod.L1Cost()), TypeError,
     "inputModule must be a module or None"),
])
def test_constructors_refuse(make, kind, text):
    with pytest.raises(kind) as caught:
        make()
    assert text in str(caught.value)


AVERAGED = [
    (nnmod.WeightedMSECriterion(np.ones(3)), (0, 3), np.zeros((0, 3))),
    (nnmod.DistKLDivCriterion(), (0, 3), np.zeros((0, 3))),
    (nnmod.SpatialClassNLLCriterion(), (0, 3, 2, 2), np.zeros((0, 2, 2), int)),
    (nnmod.MultiMarginCriterion(), (0, 3), np.zeros(0, int)),
    (nnmod.MultiLabelMarginCriterion(), (0, 3), np.zeros((0, 3), int)),
    (nnmod.ClassSimplexCriterion(3), (0, 3), np.zeros(0, int)),
    (nnmod.HingeEmbeddingCriterion(), (0,), np.zeros(0)),
    (nnmod.CosineEmbeddingCriterion(), [(0, 3), (0, 3)], np.zeros(0)),
    (nnmod.MarginRankingCriterion(), [(0,), (0,)], np.zeros(0)),
    (nnmod.DistanceRatioCriterion(), [(0,), (0,)], None),
]


@pytest.mark.parametrize("criterion, shape, target", AVERAGED, ids=lambda v: type(v).__name__)
def test_an_empty_batch_has_a_sum_and_no_average(criterion, shape, target):
    criterion = criterion.clone().double()
    input = [np.zeros(s) for s in shape] if isinstance(shape, list) else np.zeros(shape)
    with pytest.raises(ShapeError, match="an average over no elements has no value; use sizeAverage=False"):
        criterion.forward(input, target)
    criterion.sizeAverage = False
    assert criterion.forward(input, target) == 0
    for x, dx in zip(nnmod.nested.leaves(input), nnmod.nested.leaves(criterion.backward(input, target)), strict=True):
        assert dx.shape == x.shape


# -- NaN, infinity, ties -------------------------------------------------------------------


@pytest.mark.parametrize("criterion, input, target", [
    (nnmod.WeightedMSECriterion(np.ones(3)), noise(2, 3), noise(2, 3)),
    (nnmod.DistKLDivCriterion(), noise(2, 3), float64([1, 0, 0], [0, 0.5, 0.5])),
    (nnmod.MarginCriterion(), noise(2, 3), signs(2, 3)),
    (nnmod.SoftMarginCriterion(), noise(2, 3), signs(2, 3)),
    (nnmod.MultiLabelSoftMarginCriterion(), noise(2, 3), np.ones((2, 3))),
    (nnmod.MultiMarginCriterion(), noise(2, 3), np.array([1, 2])),
    (nnmod.MultiMarginCriterion(2), noise(2, 3), np.array([1, 2])),
    (nnmod.HingeEmbeddingCriterion(), noise(2, 3), signs(2, 3)),
    (nnmod.L1Cost(), noise(2, 3), None),
], ids=lambda v: type(v).__name__)
def test_one_nan_is_enough(criterion, input, target):
    criterion.double()
    for index in np.ndindex(input.shape):
        poisoned = input.copy()
        poisoned[index] = nan
        assert np.isnan(criterion.forward(poisoned, target))
        gradient = criterion.backward(poisoned, target)
        if not isinstance(criterion, nnmod.DistKLDivCriterion):  # whose derivative is -t, whatever x is
            assert np.isnan(gradient[index])


def test_one_nan_in_a_pair_is_enough():
    for criterion in (nnmod.CosineEmbeddingCriterion(), nnmod.MarginRankingCriterion(),
                      nnmod.L1HingeEmbeddingCriterion(50), nnmod.DistanceRatioCriterion()):
        for target in (1, -1):
            for side in (0, 1):
                pair = [noise(3, 2), noise(3, 2, seed=1)]
                pair[side][1, 1] = nan
                assert np.isnan(criterion.forward(pair, target))
                assert all(np.isnan(g[1, 1]) for g in criterion.backward(pair, target))


def test_nan_in_the_target_shows():
    for criterion in (nnmod.DistKLDivCriterion(), nnmod.MarginCriterion(), nnmod.SoftMarginCriterion(),
                      nnmod.MultiLabelSoftMarginCriterion()):
        assert np.isnan(criterion.forward(noise(2, 2), float64([1, nan], [1, 1])))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_scores_do_not_overflow(dtype):
    far = np.array([800, -800], dtype)
    soft = nnmod.SoftMarginCriterion(sizeAverage=False)
    assert soft.forward(far, np.array([-1, -1], dtype)) == 800
    np.testing.assert_array_equal(soft.backward(far, np.array([-1, -1], dtype)), [1, 0])
    labels = nnmod.MultiLabelSoftMarginCriterion(sizeAverage=False)
    assert labels.forward(far, np.array([0, 1], dtype)) == 1600
    np.testing.assert_array_equal(labels.backward(far, np.array([0, 1], dtype)), [1, -1])
    ratio = nnmod.DistanceRatioCriterion(False)
    assert ratio.forward([far, far[::-1]]) == 1600
    np.testing.assert_array_equal(ratio.backward([far, far[::-1]]), [[1, 0], [-1, 0]])


def test_small_losses_keep_their_digits():
    x = float64(30.0, 36.5, 400.0)
    np.testing.assert_allclose([nnmod.SoftMarginCriterion().forward(x[i:i + 1], np.ones(1)) for i in range(3)],
                               np.exp(-x), rtol=1e-13)


def test_an_infinite_score_of_the_target_has_no_loss():
    for p in (1, 2):
        criterion = nnmod.MultiMarginCriterion(p)
        assert criterion.forward(float64(0, inf, 3), 1) == 0
        np.testing.assert_array_equal(criterion.backward(float64(0, inf, 3), 1), [0, 0, 0])
    assert nnmod.MultiMarginCriterion().forward(float64(0, inf, 3), 0) == inf


def test_kl_divergence_counts_no_loss_where_the_target_is_0():
    criterion = nnmod.DistKLDivCriterion(sizeAverage=False)
    x, t = float64(-inf, 0.0), float64(0.0, 1.0)
    assert criterion.forward(x, t) == 0
    np.testing.assert_array_equal(criterion.backward(x, t), [0, -1])


def test_equal_elements_have_no_l1_gradient():
    """Torch7 draws 1 or -1 there; 0 is what they are on average, and the same each time."""
    criterion = nnmod.L1HingeEmbeddingCriterion(5)
    pair = [float64(1, 2), float64(1, 0)]
    assert criterion.forward(pair, 1) == 2
    np.testing.assert_array_equal(criterion.backward(pair, 1), [[0, 1], [0, -1]])
    np.testing.assert_array_equal(criterion.backward(pair, -1), [[0, -1], [0, 1]])
    assert criterion.forward(pair, -1) == 3


# -- what the classes promise ---------------------------------------------------------------


def test_labels_after_the_first_minus_one_do_not_count():
    criterion = nnmod.MultiLabelMarginCriterion()
    x = noise(1, 4)
    assert criterion.forward(x, np.array([[2, -1, 3, 1]])) == criterion.forward(x, np.array([[2, -1, -1, -1]]))
    assert criterion.forward(x, np.array([[-1, 2, 3, 1]])) == 0
    assert not criterion.backward(x, np.array([[-1, 2, 3, 1]])).any()


def test_pixels_are_rows():
    x, t = noise(2, 3, 4, 5), np.random.default_rng(2).integers(0, 3, (2, 4, 5))
    weights = float64(0.5, 2, 1)
    rows, classes = x.transpose(0, 2, 3, 1).reshape(-1, 3).copy(), t.ravel()
    for average in (True, False):
        spatial = nnmod.SpatialClassNLLCriterion(weights, average, ignoreIndex=1)
        plain = nnmod.ClassNLLCriterion(weights, average, ignoreIndex=1)
        assert spatial.forward(x, t) == pytest.approx(plain.forward(rows, classes), rel=1e-14)
        np.testing.assert_allclose(spatial.backward(x, t).transpose(0, 2, 3, 1).reshape(-1, 3),
                                   plain.backward(rows, classes), rtol=1e-14)


def test_targets_that_are_all_ignored_have_no_loss():
    for criterion, x, t in ((nnmod.ClassNLLCriterion(ignoreIndex=0), noise(3, 2), np.zeros(3, int)),
                            (nnmod.SpatialClassNLLCriterion(ignoreIndex=0), noise(2, 3, 3), np.zeros((3, 3), int))):
        assert criterion.forward(x, t) == 0
        assert not criterion.backward(x, t).any()


def test_auto_crop_takes_the_centre():
    input, target = noise(2, 3, 4), noise(2, 6, 7, seed=1)
    criterion, plain = nnmod.SpatialAutoCropMSECriterion(), nnmod.MSECriterion()
    centre = target[:, 1:4, 1:5].copy()
    assert criterion.forward(input, target) == plain.forward(input, centre)
    np.testing.assert_array_equal(criterion.backward(input, target), plain.backward(input, centre))
    np.testing.assert_array_equal(criterion.backward(input, centre), plain.backward(input, centre))


@pytest.mark.parametrize("n", [2, 3, 10])
def test_simplex_is_regular(n):
    criterion = nnmod.ClassSimplexCriterion(n).double()
    simplex = criterion.simplex
    assert simplex.shape == (n, n) and not simplex[:, -1].any()
    np.testing.assert_allclose(simplex @ simplex.T, np.where(np.eye(n, dtype=bool), 1, -1 / (n - 1)), atol=1e-14)
    np.testing.assert_array_equal(criterion.getTopPrediction(simplex + 0.1 * noise(n, n)), np.arange(n))
    assert criterion.getPredictions(simplex[0]).shape == (1, n)
    assert criterion.forward(simplex, np.arange(n)) == 0
    criterion.simplex.fill(nan)  # a copy
    assert criterion.forward(simplex, np.arange(n)) == 0
    assert nnmod.ClassSimplexCriterion(n).simplex.dtype == np.float32


def test_margin_ranking_averages_over_the_first_dimension():
    pair = [noise(4, 3), noise(4, 3, seed=1)]
    total = nnmod.MarginRankingCriterion(sizeAverage=False).forward(pair, 1)
    assert nnmod.MarginRankingCriterion().forward(pair, 1) == pytest.approx(total / 4, rel=1e-15)


@pytest.mark.parametrize("number", [1, -1.0, np.float32(1), np.int64(-1)])
def test_a_number_stands_for_every_target(number):
    x, pair = noise(4), [noise(4, 3), noise(4, 3, seed=1)]
    for criterion, input, shape in ((nnmod.HingeEmbeddingCriterion(), x, (4,)),
                                    (nnmod.CosineEmbeddingCriterion(), pair, (4,)),
                                    (nnmod.MarginRankingCriterion(), pair, (4, 3))):
        full = np.full(shape, float(number))
        assert criterion.forward(input, number) == criterion.forward(input, full)
        np.testing.assert_array_equal(criterion.backward(input, number), np.copy(criterion.backward(input, full)))


def test_a_gradient_kept_over_another_shape_stays():
    criterion = nnmod.MarginRankingCriterion()
    first = criterion.backward([noise(3), noise(3, seed=1)], 1)
    kept = [g.copy() for g in first]
    criterion.backward([noise(2), noise(2, seed=1)], 1)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("criterion, text", [
    (nnmod.MarginCriterion(0.5, False), "MarginCriterion(margin=0.5, sizeAverage=False)"),
    (nnmod.MultiMarginCriterion(2, np.ones(3)), "MultiMarginCriterion(p=2, 3 weights)"),
    (nnmod.ClassNLLCriterion(ignoreIndex=3), "ClassNLLCriterion(ignoreIndex=3)"),
    (nnmod.WeightedMSECriterion(np.ones(3)), "WeightedMSECriterion(3 weights)"),
    (nnmod.CosineEmbeddingCriterion(), "CosineEmbeddingCriterion()"),
    (nnmod.ParallelCriterion(True).add(nnmod.MultiCriterion().add(nnmod.L1Cost(), 2)),
     "ParallelCriterion(repeatTarget) {\n  [0] MultiCriterion {\n    [0] 2 * L1Cost()\n  }\n}"),
    (nnmod.ModuleCriterion(nnmod.L1Cost(), nnmod.Tanh(), castTarget=False),
     "ModuleCriterion(L1Cost(), inputModule=Tanh(), castTarget=False)"),
])
def test_repr(criterion, text):
    assert repr(criterion) == text


# -- criterions made of criterions -----------------------------------------------------------


def note(error):
    return [n for n in error.value.__notes__ if n.startswith("in module: ")]


def test_errors_name_the_child():
    criterion = nnmod.ParallelCriterion().add(nnmod.MSECriterion()).add(
        nnmod.MultiCriterion().add(nnmod.L1Cost()).add(nnmod.MarginCriterion()))
    with pytest.raises(ShapeError) as caught:
        criterion.forward([noise(2), noise(2)], [noise(2), noise(3)])
    assert note(caught) == ["in module: ParallelCriterion[1] > MultiCriterion[1] > MarginCriterion().forward, "
                            "given float64 (2,)"]
    with pytest.raises(ShapeError) as caught:
        criterion.backward([noise(2), noise(2)], [noise(3), noise(2)])
    assert note(caught) == ["in module: ParallelCriterion[0] > MSECriterion().backward, given float64 (2,)"]
    passing = nnmod.ModuleCriterion(nnmod.MSECriterion(), nnmod.Sequential(nnmod.Linear(3, 2))).double()
    with pytest.raises(ShapeError) as caught:
        passing.forward(noise(4, 5), noise(4, 2))
    assert note(caught) == ["in module: ModuleCriterion.inputModule > Sequential[0] > Linear(3 -> 2).forward, "
                            "given float64 (4, 5)"]
    with pytest.raises(ShapeError) as caught:
        passing.forward(noise(4, 3), noise(4, 3))
    assert note(caught) == ["in module: ModuleCriterion.criterion > MSECriterion().forward, given float64 (4, 2)"]


def test_one_criterion_holds_one_position():
    child = nnmod.MSECriterion()
    criterion = nnmod.MultiCriterion().add(child)
    for again in (child, nnmod.MultiCriterion().add(child), criterion):
        with pytest.raises(ValueError, match="is already in this criterion"):
            criterion.add(again)
    assert criterion.modules == [child] and criterion.weights == [1]


def test_children_are_converted_cleared_and_copied():
    criterion = nnmod.ParallelCriterion().add(nnmod.ClassNLLCriterion(np.ones(3, np.float32))).add(
        nnmod.MultiCriterion().add(nnmod.BCECriterion(np.ones(2, np.float32))))
    nll, bce = criterion.modules[0], criterion.modules[1].modules[0]
    criterion.double()
    assert nll.weights.dtype == bce.weights.dtype == np.float64
    input, target = [noise(2, 3), 1 / (1 + np.exp(noise(2, 2)))], [np.array([0, 1]), np.ones((2, 2))]
    loss = criterion.forward(input, target)
    criterion.backward(input, target)
    twin = criterion.clone()
    assert twin.modules[0] is not nll and twin.modules[0].weights is not nll.weights
    assert twin.forward(input, target) == loss
    criterion.clearState()
    assert nll.gradInput is None and bce.gradInput is None and criterion.gradInput is None


def test_losses_without_target_stand_beside_others():
    criterion = nnmod.MultiCriterion().add(nnmod.MSECriterion()).add(nnmod.L1Cost(), 0.1)
    x, t = float64(1, -2), float64(1, 0)
    assert criterion.forward(x, t) == pytest.approx(2 + 0.3)
    np.testing.assert_allclose(criterion.backward(x, t), [0.1, -2.1])


def test_module_criterion_leaves_parameters_alone():
    module = nnmod.Linear(3, 2).double()
    criterion = nnmod.ModuleCriterion(nnmod.MSECriterion(), module)
    before = [p.copy() for p in module.parameters()[0]]
    x, t = noise(4, 3), noise(4, 2)
    criterion.forward(x, t)
    criterion.backward(x, t)
    assert not any(g.any() for g in module.parameters()[1])
    for p, old in zip(module.parameters()[0], before):
        np.testing.assert_array_equal(p, old)


def test_module_criterion_follows_another_argument_in_backward():
    criterion = nnmod.ModuleCriterion(nnmod.MSECriterion(), nnmod.Tanh(), nnmod.Tanh())
    x, t, other = noise(3), noise(3, seed=1), noise(3, seed=2)
    criterion.forward(x, other)
    expected = 2 / 3 * (np.tanh(x) - np.tanh(t)) * (1 - np.tanh(x)**2)
    np.testing.assert_allclose(criterion.backward(x, t), expected, rtol=1e-12)
    np.testing.assert_allclose(criterion.backward(x.copy(), t), expected, rtol=1e-12)


def test_module_criterion_keeps_the_targets_module_as_it_is():
    for cast in (True, False):
        target = nnmod.Sequential(nnmod.Linear(3, 2))
        criterion = nnmod.ParallelCriterion().add(
            nnmod.ModuleCriterion(nnmod.MSECriterion(), nnmod.Linear(3, 2), target, cast)).double()
        assert criterion.modules[0].inputModule.weight.dtype == np.float64
        assert target[0].weight.dtype == (np.float64 if cast else np.float32)
        target.forward(np.ones(3, target[0].weight.dtype))
        criterion.clearState()
        assert target.output is None
        assert criterion.clone().modules[0].targetModule[0].weight is not target[0].weight


# -- threads ---------------------------------------------------------------------------------


def many(dtype):
    rng = np.random.default_rng(5)
    rows, wide = 1500, 2003
    x, y = (rng.standard_normal((rows, wide)).astype(dtype) for _ in range(2))
    labels = np.where(np.arange(wide) < 3, rng.integers(0, wide, (rows, wide)), -1)
    yield nnmod.MultiMarginCriterion(2), x, rng.integers(0, wide, rows)
    yield nnmod.MultiLabelMarginCriterion(), x, labels
    yield nnmod.CosineEmbeddingCriterion(), [x, y], rng.choice([-1, 1], rows).astype(dtype)
    yield nnmod.SpatialClassNLLCriterion(), x.reshape(20, 3, 25, wide), rng.integers(0, 3, (20, 25, wide))
    yield nnmod.SoftMarginCriterion(), x, np.sign(y)
    yield nnmod.MarginRankingCriterion(), [x, y], np.sign(x * y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_number_of_threads_changes_no_bit(dtype):
    before = nnmod.getnumthreads()
    try:
        for criterion, input, target in many(dtype):
            results = []
            for count in (1, 2, 3):
                nnmod.setnumthreads(count)
                loss = criterion.forward(input, target)
                results.append((loss, [np.copy(g) for g in nnmod.nested.leaves(criterion.backward(input, target))]))
            for loss, gradients in results[1:]:
                assert loss == results[0][0], criterion
                for a, b in zip(gradients, results[0][1]):
                    np.testing.assert_array_equal(a, b, err_msg=repr(criterion))
    finally:
        nnmod.setnumthreads(before)


# -- sums with numbers --------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_elementwise_sum_takes_numbers(backend):
    kernels = nnmod.kernels
    module = pytest.importorskip(f"nnmod.kernels.{backend}", exc_type=ImportError)
    with kernels.use_backend(module):
        scaled = kernels.elementwise_sum(lambda x, factor, power: factor * x if x > 0 else x**power)
        assert scaled(float64(1, -2, 3), 0.5, 2) == 6
        assert scaled(float64([1, -2], [3, 4]), 2, 2) == 20
        with pytest.raises(TypeError, match="takes 3 arguments, tensors and then numbers, got cpu.float64"):
            scaled(float64(1))
        with pytest.raises(ValueError, match=r"tensors must have one shape, got \(1,\) and \(2,\)"):
            scaled(float64(1), float64(1, 2), 1)
