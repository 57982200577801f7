"""TorchGenerator beyond what Torch recorded: its state, its distributions, what it refuses.

The streams themselves stand beside Torch's in test_golden_training.py.
"""
import numpy as np
import pytest

import nnmod


def generator():
    return nnmod.TorchGenerator(7)


@pytest.mark.parametrize("drawn", [0, 1, 3, 623, 624, 625, 1248])
@pytest.mark.parametrize("normals", [0, 1, 2])
def test_a_state_goes_round(drawn, normals):
    first = generator()
    first.words(drawn)
    first.normal(np.empty(normals))
    other = nnmod.TorchGenerator(1).setRNGState(first.getRNGState())
    np.testing.assert_array_equal(other.getRNGState(), first.getRNGState())
    for target in (a := np.empty(3)), (b := np.empty(3)):
        (first if target is a else other).normal(target)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(first.words(1300), other.words(1300))


def test_a_seed_of_the_system():
    a = generator()
    seed = a.seed()
    assert seed == a.initialSeed() and 0 <= seed < 2**32
    np.testing.assert_array_equal(a.words(4), nnmod.TorchGenerator(seed).words(4))


@pytest.mark.parametrize("spoil, error, words", [
    (lambda s: list(s), TypeError, "uint8"),
    (lambda s: s.astype(np.int64), TypeError, "uint8"),
    (lambda s: s[:-1], ValueError, r"\(5048,\)"),
    (lambda s: put(s, 8, 0), ValueError, "no state"),
    (lambda s: put(s, 16, 255), ValueError, "no state"),
    (lambda s: put(s, 28, 1), ValueError, "no state"),   # a word of more than 32 bits
    (lambda s: put(s, 5040, 2), ValueError, "no state"),
])
def test_what_is_no_state_is_refused(spoil, error, words):
    a = generator()
    a.words(3)
    before = a.getRNGState()
    with pytest.raises(error, match=words):
        a.setRNGState(spoil(before.copy()))
    np.testing.assert_array_equal(a.getRNGState(), before)


def put(state, at, value):
    state[at] = value
    return state


#: (method, its numbers, the quantile function of its distribution)
DISTRIBUTIONS = [
    ("cauchy", (1.0, 2.0), lambda q: 1 + 2 * np.tan(np.pi * (q - 0.5))),
    ("exponential", (0.5,), lambda q: -2 * np.log1p(-q)),
    ("logNormal", (0.5, 0.25), lambda q: np.exp(0.5 + 0.25 * np.array([-1.2815515655, 0, 1.2815515655]))),
    ("normal", (3, 2), lambda q: 3 + 2 * np.array([-1.2815515655, 0, 1.2815515655])),
]


@pytest.mark.parametrize("method, numbers, quantiles", DISTRIBUTIONS)
def test_quantiles(method, numbers, quantiles):
    target = np.empty(200_000)
    getattr(generator(), method)(target, *numbers)
    q = np.array([0.1, 0.5, 0.9])
    shares = [(target < limit).mean() for limit in quantiles(q)]
    np.testing.assert_allclose(shares, q, atol=0.003)


def test_geometric_counts_trials():
    target = np.empty(100_000)
    generator().geometric(target, 0.3)
    assert [(target == k).mean() for k in (1, 2, 3)] == pytest.approx([0.7, 0.21, 0.063], abs=0.005)


def test_probabilities_may_be_a_tensor():
    p = np.array([0.0, 1.0, 0.5])
    target = np.empty((1000, 3), np.float32)
    generator().bernoulli(target, p)
    assert target[:, 1].all() and target[:, 0].mean() < 0.01 and 0.4 < target[:, 2].mean() < 0.6


def test_multinomial_rows_and_shares():
    p = np.array([[1.0, 0.0, 3.0], [2.0, 2.0, 4.0]], np.float32)
    drawn = generator().multinomial(p, 20_000, True)
    assert drawn.shape == (2, 20_000) and drawn.dtype == np.int64
    for row, counts in zip(p, map(np.bincount, drawn)):
        np.testing.assert_allclose(counts / 20_000, row / row.sum(), atol=0.01)
    without = np.stack([generator().multinomial(p[1], 3) for _ in range(3)])
    assert (np.sort(without) == [0, 1, 2]).all()
    # One stream, row after row.
    a, b = generator(), generator()
    rows = np.stack([b.multinomial(row, 4, True) for row in p])
    np.testing.assert_array_equal(a.multinomial(p, 4, True), rows)


def test_nothing_is_drawn_twice_without_replacement():
    p = np.random.default_rng(1).random((50, 12)) ** 8
    for dtype in np.float64, np.float32:
        drawn = generator().multinomial(p.astype(dtype), 12)
        assert (np.sort(drawn) == np.arange(12)).all()


@pytest.mark.parametrize("call", [
    lambda g: g.normal(np.empty(2), 0, 0),
    lambda g: g.logNormal(np.empty(2), 0, -1),
    lambda g: g.exponential(np.empty(2), 0),
    lambda g: g.cauchy(np.empty(2), 0, 0),
    lambda g: g.geometric(np.empty(2), 1),
    lambda g: g.bernoulli(np.empty(2), 1.5),
    lambda g: g.bernoulli(np.empty(2), np.array([0.5, np.nan])),
    lambda g: g.random(np.empty(2), 3, 2),
    lambda g: g.random(np.empty(2), 0, 2.5),
    lambda g: g.integer(0),
    lambda g: g.multinomial(np.array([0.5, np.nan]), 1),
    lambda g: g.multinomial(np.array([0.0, 0.0]), 1, True),
    lambda g: g.multinomial(np.array([1.0, 0.0]), 2),
    lambda g: g.multinomial(np.array([-1.0, 2.0]), 1),
    lambda g: g.multinomial(np.ones((2, 2, 2)), 1),
    lambda g: g.multinomial(np.ones(3), 0),
    lambda g: g.multinomial(np.ones(0), 1),
])
def test_what_is_out_of_range_is_refused(call):
    a = generator()
    with pytest.raises(ValueError, match="must be|must have"):
        call(a)
    np.testing.assert_array_equal(a.getRNGState(), generator().getRNGState())
