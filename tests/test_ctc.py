"""CTC beside PyTorch, beside a sum over all paths, and where no path is possible."""
import itertools

import numpy as np
import pytest

import nnmod
from nnmod import ShapeError


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def log_probabilities(shape, seed=0):
    return log_softmax(np.random.default_rng(seed).standard_normal(shape))


def merged(path, blank):
    return [k for k, _ in itertools.groupby(path) if k != blank]


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("labels", [[], [1], [1, 1], [1, 3], [3, 1, 3], [1, 1, 1]])
def test_the_loss_is_the_sum_over_all_paths(blank, labels):
    T, C = 5, 4
    x = log_probabilities((T, C))
    total = sum(np.exp(x[range(T), path].sum()) for path in itertools.product(range(C), repeat=T)
                if merged(path, blank) == labels)
    c = nnmod.CTCCriterion(blank, sizeAverage=False)
    assert c.forward(x, np.array(labels, np.int64)) == pytest.approx(-np.log(total), rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("average", [True, False])
def test_pytorchs_ctc_loss(seed, average):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    T, N, C, S = 12, 4, 6, 5
    blank = int(rng.integers(C))
    steps, counts = rng.integers(1, T + 1, N), rng.integers(0, S + 1, N)
    labels = rng.choice([k for k in range(C) if k != blank], (N, S))
    x = rng.standard_normal((T, N, C))
    lsm, c = nnmod.LogSoftMax(), nnmod.CTCCriterion(blank, average, zeroInfinity=True)
    rows = x.reshape(T * N, C)
    target = [labels, steps, counts]
    loss = c.forward(lsm.forward(rows).reshape(T, N, C), target)
    dx = lsm.backward(rows, c.backward(lsm.output.reshape(T, N, C), target).reshape(T * N, C)).reshape(T, N, C)
    tx = torch.tensor(x, requires_grad=True)
    expected = torch.nn.functional.ctc_loss(
        tx.log_softmax(-1), torch.tensor(labels), torch.tensor(steps), torch.tensor(counts), blank,
        "mean" if average else "sum", zero_infinity=True)
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-10)
    np.testing.assert_allclose(dx, tx.grad.numpy(), rtol=1e-8, atol=1e-11)
    flat = np.concatenate([row[:count] for row, count in zip(labels, counts)])
    if flat.size:
        assert c.forward(lsm.output.reshape(T, N, C), [flat, steps, counts]) == loss


def test_labels_that_do_not_fit():
    """Repeated labels need a blank between them: three of the same need five steps."""
    x = log_probabilities((4, 2, 3), 1)
    labels = np.array([[1, 1, 1], [1, 2, 1]])
    c = nnmod.CTCCriterion(sizeAverage=False)
    assert c.forward(x, labels) == np.inf
    dx = c.backward(x, labels)
    assert np.isnan(dx[:, 0]).any() and np.isfinite(dx[:, 1]).all()
    alone = nnmod.CTCCriterion(sizeAverage=False)
    loss = alone.forward(x[:, 1].copy(), labels[1])
    np.testing.assert_allclose(dx[:, 1], alone.backward(x[:, 1].copy(), labels[1]), rtol=1e-12)
    c = nnmod.CTCCriterion(sizeAverage=False, zeroInfinity=True)
    assert c.forward(x, labels) == pytest.approx(loss)
    dx = c.backward(x, labels)
    assert not dx[:, 0].any() and dx[:, 1].any()


def test_no_labels_are_all_blanks():
    x = log_probabilities((4, 3), 2)
    c = nnmod.CTCCriterion()
    for target in (np.empty(0, np.int64), [np.array([[1, 2]]), None, np.array([0])]):
        assert c.forward(x, target) == pytest.approx(-x[:, 0].sum())
        dx = c.backward(x, target)
        np.testing.assert_allclose(dx, [[-1, 0, 0]] * 4, atol=1e-12)


def test_no_steps():
    x = log_probabilities((3, 2, 3), 3)
    c = nnmod.CTCCriterion(sizeAverage=False)
    steps = np.array([0, 3])
    assert c.forward(x, [np.array([[1], [1]]), steps, np.array([0, 1])]) < np.inf
    assert not c.backward(x, [np.array([[1], [1]]), steps, np.array([0, 1])])[:, 0].any()
    assert c.forward(x, [np.array([[1], [1]]), steps, np.array([1, 1])]) == np.inf


def test_what_lies_beyond_a_samples_steps_is_not_read():
    x = log_probabilities((5, 2, 4), 4)
    target = [np.array([[1, 2], [3, 99]]), np.array([3, 5]), np.array([2, 1])]
    c = nnmod.CTCCriterion()
    loss, dx = c.forward(x, target), c.backward(x, target).copy()
    x[3:, 0] = np.nan
    assert c.forward(x, target) == loss
    np.testing.assert_array_equal(c.backward(x, target), dx)
    assert not dx[3:, 0].any()


def test_impossible_classes_and_far_probabilities():
    """-inf is a probability of 0; float32 has room for paths of any length."""
    x = log_probabilities((6, 4), 5)
    x[:, 3] = -np.inf
    c = nnmod.CTCCriterion()
    assert np.isfinite(c.forward(x, np.array([1, 2]))) and np.isfinite(c.backward(x, np.array([1, 2]))).all()
    assert c.forward(x, np.array([1, 3])) == np.inf
    long = log_probabilities((2000, 3), 6).astype(np.float32)
    labels = np.tile([1, 2], 300)
    expected = nnmod.CTCCriterion(sizeAverage=False).forward(long.astype(np.float64), labels)
    c = nnmod.CTCCriterion(sizeAverage=False)
    assert expected > 300 and c.forward(long, labels) == pytest.approx(expected, rel=1e-4)
    dx = c.backward(long, labels)
    np.testing.assert_allclose(dx.sum(-1), -1, rtol=1e-5)
    c.forward(long.astype(np.float64), labels)
    np.testing.assert_allclose(dx, c.backward(long.astype(np.float64), labels), atol=1e-3)


@pytest.mark.parametrize("target, error, words", [
    (np.array([[1, 4]]), IndexError, r"target\[0\]\[1\] is 4, but labels are 0..3 without the blank, 0"),
    (np.array([[0, 1]]), IndexError, r"target\[0\]\[0\] is 0, but labels are 0..3 without the blank, 0"),
    (np.array([[1, 2], [1, 2]]), ShapeError, r"labels of shape \(1, S\), a row for each sample, got \(2, 2\)"),
    (np.array([1, 2]), ShapeError, "or say in counts how many each has"),
    (np.array([[1.0]]), TypeError, "target must be int32 or int64, got float64"),
    ([np.array([[1, 2]]), np.array([6]), None], ShapeError, r"steps must be 1 numbers within 0..5, .* got \[6\]"),
    ([np.array([[1, 2]]), None, np.array([3])], ShapeError, "counts must be 1 numbers within 0..2"),
    ([np.array([1, 2]), None, np.array([1])], ShapeError, "target must have 1 labels, the sum of counts, got 2"),
    ([np.array([1, 2]), None], ShapeError, "target must be a table of 3 entries, got 2"),
])
def test_wrong_targets_in_words(target, error, words):
    with pytest.raises(error, match=words):
        nnmod.CTCCriterion().forward(log_probabilities((5, 1, 4)), target)


def test_wrong_inputs_in_words():
    with pytest.raises(ShapeError, match=r"input must have shape \(T, N, C\) or \(T, C\), got \(5,\)"):
        nnmod.CTCCriterion().forward(np.zeros(5), np.array([1]))
    with pytest.raises(ShapeError, match="must have the blank, class 7, among its classes"):
        nnmod.CTCCriterion(7).forward(np.zeros((5, 1, 4)), np.array([[1]]))
    with pytest.raises(ShapeError, match="an average over no samples has no value"):
        nnmod.CTCCriterion().forward(np.zeros((5, 0, 4)), np.zeros((0, 2), np.int64))
    assert nnmod.CTCCriterion(sizeAverage=False).forward(np.zeros((5, 0, 4)), np.zeros((0, 2), np.int64)) == 0
    with pytest.raises(ValueError, match="blank must be an int >= 0"):
        nnmod.CTCCriterion(-1)
