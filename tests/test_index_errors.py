"""Indices, labels and masks that are wrong: an error in words before anything is written, and then all goes on."""
import copy

import numpy as np
import pytest

import nnmod
from nnmod import nested
from nnmod.nested import map as tree

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def _lookup(*arguments):
    return lambda: nnmod.LookupTable(*arguments)


def _index_linear():
    return nnmod.IndexLinear(9, 3).reset()


#: Each line: (make, an input that is right, the way to its indices, how many there are).
MODULES = {
    "LookupTable": (_lookup(7, 4), np.array([[0, 6], [3, 3]]), (), 7),
    "LookupTable-maxNorm": (_lookup(7, 4, 1, 1.0), np.array([0, 6, 3]), (), 7),
    "LookupTable-int32": (_lookup(7, 4), np.array([0, 6], np.int32), (), 7),
    "LookupTableMaskZero": (lambda: nnmod.LookupTableMaskZero(7, 4), np.array([[0, 7], [3, 3]]), (), 8),
    "Index": (lambda: nnmod.Index(0), [floats(5, 3), np.array([0, 4, 4])], (1,), 5),
    "Index-last": (lambda: nnmod.Index(-1), [floats(5, 3), np.array([0, 2])], (1,), 3),
    "OneHot": (lambda: nnmod.OneHot(4), np.array([[0, 3], [1, 2]]), (), 4),
    "SparseLinear": (lambda: nnmod.SparseLinear(6, 3),
                     np.array([[[0, 0.5], [5, 1.0]], [[2, 1.5], [2, 2.0]]], np.float32), "pairs", 6),
    "IndexLinear": (_index_linear, [np.array([0, 8, 3]), floats(3), np.array([2, 1])], (0,), 9),
    "IndexLinear-normalize": (lambda: nnmod.IndexLinear(9, 3, normalize=True).reset(),
                              [np.array([0, 8, 3]), floats(3), np.array([2, 1])], (0,), 9),
    "ModuleFromCriterion": (lambda: nnmod.ModuleFromCriterion(nnmod.ClassNLLCriterion()),
                            [floats(3, 4), np.array([0, 3, 1])], (1,), 4),
    "CriterionTable": (lambda: nnmod.CriterionTable(nnmod.CrossEntropyCriterion()),
                       [floats(3, 4), np.array([0, 3, 1])], (1,), 4),
}
CRITERIONS = {
    "ClassNLL": (nnmod.ClassNLLCriterion, floats(3, 4), np.array([0, 3, 1]), 4),
    "ClassNLL-weights": (lambda: nnmod.ClassNLLCriterion(np.ones(4, np.float32)), floats(3, 4), np.array([0, 3, 1]), 4),
    "SpatialClassNLL": (nnmod.SpatialClassNLLCriterion, floats(2, 4, 2, 3), RNG.integers(0, 4, (2, 2, 3)), 4),
    "CrossEntropy": (nnmod.CrossEntropyCriterion, floats(3, 4), np.array([0, 3, 1]), 4),
    "MultiMargin": (nnmod.MultiMarginCriterion, floats(3, 4), np.array([0, 3, 1]), 4),
    "MultiLabelMargin": (nnmod.MultiLabelMarginCriterion, floats(2, 4),
                         np.array([[0, 3, -1, -1], [1, -1, -1, -1]]), 4),
    "ClassSimplex": (lambda: nnmod.ClassSimplexCriterion(4), floats(3, 4), np.array([0, 3, 1]), 4),
    "ParallelCriterion": (lambda: nnmod.ParallelCriterion().add(nnmod.MSECriterion()).add(nnmod.ClassNLLCriterion()),
                          [floats(3, 4), floats(3, 4)], [floats(3, 4), np.array([0, 3, 1])], 4),
    "SequencerCriterion": (lambda: nnmod.SequencerCriterion(nnmod.ClassNLLCriterion()), floats(2, 3, 4),
                           np.array([[0, 3, 1], [1, 2, 2]]), 4),
    "MaskZeroCriterion": (lambda: nnmod.MaskZeroCriterion(nnmod.ClassNLLCriterion(), 1), floats(3, 4),
                          np.array([0, 3, 1]), 4),
    "CTC": (nnmod.CTCCriterion, floats(6, 2, 4), np.array([[1, 3], [2, 1]]), 4),
}


def broken(indices, count):
    """The same indices with one that is wrong, and what it is."""
    for wrong in (count, count + 5, -7, 2**31 - 1, -2**31):
        bad = indices.copy()
        bad.reshape(-1)[-1 if bad.ndim < 2 else 1] = wrong
        yield bad, wrong
    if indices.dtype == np.int64:
        for wrong in (2**40, 2**32, -2**63):
            bad = indices.copy()
            bad.reshape(-1)[1] = wrong
            yield bad, wrong


def put(input, way, indices):
    if way == ():
        return indices
    changed = list(input)
    changed[way[0]] = indices
    return changed


def state(module):
    names = [*module._tensorNames()]
    return {name: copy.copy(getattr(module, name, None)) for name in names
            if isinstance(getattr(module, name, None), np.ndarray)}


def same_state(module, before):
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(module, name), value, err_msg=name)


def bad_inputs(name):
    make, input, way, count = MODULES[name]
    if way == "pairs":
        for wrong in (count, -1, 0.5, np.nan, np.inf, 1e20):
            bad = input.copy()
            bad[1, 1, 0] = wrong
            yield bad
        return
    indices = input if way == () else input[way[0]]
    for bad, _ in broken(indices, count):
        yield put(input, way, bad)


@pytest.mark.parametrize("name", MODULES)
def test_a_wrong_index_changes_nothing(name):
    make, input, way, _ = MODULES[name]
    nnmod.manualSeed(0)
    module = make()
    want = tree(np.copy, module.forward(input))
    module.zeroGradParameters()
    gradOutput = tree(np.ones_like, want)
    module.backward(input, gradOutput)
    for bad in bad_inputs(name):
        before, output = state(module), tree(np.copy, module.output)
        with pytest.raises((IndexError, ValueError)) as caught:
            module.forward(bad)
        assert len(str(caught.value)) > 20
        same_state(module, before)
        for a, b in zip(nested.leaves(module.output), nested.leaves(output)):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(nested.leaves(module.forward(input)), nested.leaves(want)):
        np.testing.assert_array_equal(a, b)
    module.backward(input, gradOutput)


@pytest.mark.parametrize("name", [name for name, line in MODULES.items() if line[2] != "pairs"])
def test_indices_of_a_wrong_type(name):
    make, input, way, _ = MODULES[name]
    module = make()
    indices = input if way == () else input[way[0]]
    for bad in (indices.astype(np.float32), indices.astype(bool), indices.tolist(), None, "a", indices.astype(object)):
        with pytest.raises((TypeError, nnmod.ShapeError, ValueError)) as caught:
            module.forward(put(input, way, bad))
        assert len(str(caught.value)) > 15


def targets(target, count):
    if isinstance(target, list):
        for bad, wrong in broken(target[-1], count):
            yield [*target[:-1], bad]
        return
    for bad, wrong in broken(target, count):
        yield bad


@pytest.mark.parametrize("name", CRITERIONS)
def test_a_wrong_target_changes_nothing(name):
    make, input, target, count = CRITERIONS[name]
    criterion = make()
    loss = criterion.forward(input, target)
    gradient = tree(np.copy, criterion.backward(input, target))
    for bad in targets(target, count):
        with pytest.raises((IndexError, ValueError)) as caught:
            criterion.forward(input, bad)
        assert len(str(caught.value)) > 20 and criterion.output == loss
        with pytest.raises((IndexError, ValueError)):
            criterion.backward(input, bad)
        for a, b in zip(nested.leaves(criterion.gradInput), nested.leaves(gradient)):
            np.testing.assert_array_equal(a, b)
    assert criterion.forward(input, target) == loss
    for a, b in zip(nested.leaves(criterion.backward(input, target)), nested.leaves(gradient)):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", CRITERIONS)
def test_targets_of_a_wrong_type(name):
    make, input, target, _ = CRITERIONS[name]
    last = target[-1] if isinstance(target, list) else target
    for bad in (last.astype(np.float32), last.astype(bool), None, "a", last.astype(object), last[..., None]):
        with pytest.raises((TypeError, nnmod.ShapeError, ValueError)) as caught:
            make().forward(input, [*target[:-1], bad] if isinstance(target, list) else bad)
        assert len(str(caught.value)) > 15


@pytest.mark.parametrize("index", [3, -4, 10**12, "name"])
def test_an_entry_that_is_not_there(index):
    entries = [floats(2), floats(3), floats(4)]
    module = nnmod.SelectTable(index)
    with pytest.raises((IndexError, KeyError, TypeError)) as caught:
        module.forward(entries)
    assert len(str(caught.value)) > 15 and module.output is None
    assert module.forward({"name": entries[0]}) is entries[0] if index == "name" else True


@pytest.mark.parametrize("mask", [np.ones((2, 4), bool), np.ones(6, bool), np.ones((2, 3), np.float32),
                                  np.ones((2, 3), np.int64), None, [[True] * 3] * 2],
                         ids=str)
def test_a_mask_that_does_not_fit(mask):
    x, good = floats(2, 3), np.array([[1, 0, 1], [0, 0, 1]], bool)
    module = nnmod.MaskedSelect()
    want = module.forward([x, good]).copy()
    with pytest.raises((TypeError, ValueError)) as caught:
        module.forward([x, mask])
    assert len(str(caught.value)) > 15
    np.testing.assert_array_equal(module.output, want)


@pytest.mark.parametrize("name", MODULES)
def test_no_indices_at_all(name):
    """No rows in, no rows out; nothing learns."""
    make, input, way, _ = MODULES[name]
    module = make()
    if isinstance(module, (nnmod.ModuleFromCriterion, nnmod.CriterionTable)):
        with pytest.raises(nnmod.ShapeError, match="an average over no"):
            module.forward([input[0][:0], input[1][:0]])
        return
    if way == "pairs":
        empty = input[:0]
    elif way == ():
        empty = input[:0]
    elif name.startswith("IndexLinear"):
        empty = [part[:0] for part in input]
    else:
        empty = put(input, way, input[way[0]][:0])
    output = module.forward(empty)
    assert output.size == 0
    module.zeroGradParameters()
    gradInput = module.backward(empty, np.ones_like(output))
    assert all(not np.any(g) for g in nested.leaves(gradInput) if g is not None)
    assert all(not gradient.any() for gradient in module.parameters()[1])
