"""SparseLinear and IndexLinear, by what the generic tests cannot see."""
import numpy as np
import pytest

import nnmod
from nnmod import rows


def drawn(cls, *args, **words):
    nnmod.manualSeed(5)
    return cls(*args, **words).double().reset()


def dense_twin(sparse):
    """A Linear with the same parameters."""
    weight = sparse.weight if isinstance(sparse, nnmod.SparseLinear) else sparse.weight.T
    twin = nnmod.Linear(sparse.inputSize, sparse.outputSize).double()
    twin.weight[...], twin.bias[...] = weight, sparse.bias
    return twin


PAIRS = [np.array([[1, 0.5], [4, -2.0], [1, 1.0]]), np.array([[0, 3.0]]), np.zeros((0, 2))]
DENSE = np.array([[0, 1.5, 0, 0, -2.0], [3, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
GRAD = np.random.default_rng(0).standard_normal((3, 2))


def entries(pairs=PAIRS):
    """The same batch in IndexLinear's form."""
    joined = np.concatenate(pairs)
    return [joined[:, 0].astype(np.int64), joined[:, 1].copy(), np.array([len(p) for p in pairs])]


MODULES = [(nnmod.SparseLinear, PAIRS), (nnmod.IndexLinear, entries())]


@pytest.mark.parametrize("cls, input", MODULES)
def test_the_same_as_linear_of_a_dense_input(cls, input):
    sparse = drawn(cls, 5, 2, True)
    twin = dense_twin(sparse)
    np.testing.assert_allclose(sparse.forward(input), twin.forward(DENSE), rtol=1e-13)
    dx = twin.backward(DENSE, GRAD, 0.5)
    gradInput = sparse.backward(input, GRAD, 0.5)
    if cls is nnmod.SparseLinear:
        assert [pairs[:, 0].tolist() for pairs in gradInput] == [[0, 1, 2, 3, 4]] * 3
        values, gradWeight = [pairs[:, 1] for pairs in gradInput], sparse.gradWeight
    else:
        assert gradInput[0].tolist() == [[0, 1, 2, 3, 4]] * 3
        values, gradWeight = gradInput[1], sparse.gradWeight.T
    np.testing.assert_allclose(values, dx, rtol=1e-13)
    np.testing.assert_allclose(gradWeight, twin.gradWeight, rtol=1e-13)
    np.testing.assert_allclose(sparse.gradBias, twin.gradBias, rtol=1e-13)


def test_the_forms_of_pairs():
    sparse = drawn(nnmod.SparseLinear, 5, 2, True)
    batch = np.stack([PAIRS[0], np.array([[0, 3.0], [2, 0.0], [2, 0.0]])])
    expected = sparse.forward(PAIRS[:2]).copy()
    np.testing.assert_array_equal(sparse.forward(batch), expected)
    assert sparse.backward(batch, GRAD[:2]).shape == (2, 5, 2)
    one = sparse.forward(PAIRS[0])
    np.testing.assert_array_equal(one, expected[0])
    assert sparse.backward(PAIRS[0], GRAD[0]).shape == (5, 2)
    assert sparse.forward(np.zeros((0, 3, 2))).shape == (0, 2)
    np.testing.assert_array_equal(sparse.forward(np.zeros((2, 0, 2))), [sparse.bias] * 2)


def test_the_forms_of_keys_and_values():
    index = drawn(nnmod.IndexLinear, 5, 2, True)
    keys, values, sizes = entries()
    expected = index.forward([keys, values, sizes]).copy()
    cut = np.cumsum(sizes)[:-1]
    lists = [np.split(keys, cut), np.split(values, cut)]
    np.testing.assert_array_equal(index.forward(lists), expected)
    gradKeys, gradValues = index.backward(lists, GRAD)
    assert len(gradKeys) == len(gradValues) == 3 and gradValues[0].shape == (5,)
    one = [keys[:3].astype(np.int32), values[:3]]
    np.testing.assert_array_equal(index.forward(one), expected[0])
    assert [g.shape for g in index.backward(one, GRAD[0])] == [(5,), (5,)]
    assert index.forward([keys[:0], values[:0], sizes[:0]]).shape == (0, 2)


def test_an_offset_of_keys():
    index, shifted = drawn(nnmod.IndexLinear, 5, 2), drawn(nnmod.IndexLinear, 5, 2, True, -10)
    keys, values, sizes = entries()
    np.testing.assert_array_equal(shifted.forward([keys + 10, values, sizes]), index.forward([keys, values, sizes]))
    assert shifted.backward([keys + 10, values, sizes], GRAD)[0][0].tolist() == [10, 11, 12, 13, 14]
    with pytest.raises(IndexError, match=r"input\[0\]\[1\] is 15, but keys are 10..14"):
        shifted.forward([np.array([10, 15]), np.zeros(2)])


def test_parameters_can_be_given():
    weight, bias = np.ones((5, 2)), np.zeros(2)
    index = nnmod.IndexLinear(None, None, weight=weight, bias=bias)
    assert index.weight is weight and index.bias is bias and index.type() == "cpu.float64"
    assert repr(index) == "IndexLinear(5 -> 2)"
    with pytest.raises(nnmod.ShapeError, match=r"weight must have shape \(4, 2\), got \(5, 2\)"):
        nnmod.IndexLinear(4, 2, weight=weight)
    with pytest.raises(TypeError, match="bias must be float64 like the module, got float32"):
        nnmod.IndexLinear(5, 2, weight=weight, bias=np.zeros(2, np.float32))


def test_wrong_features_are_refused_before_anything_is_written():
    sparse = drawn(nnmod.SparseLinear, 5, 2)
    for feature, text in [(5, "5"), (-1, "-1"), (0.5, "0.5"), (np.nan, "nan"), (np.inf, "inf")]:
        with pytest.raises(IndexError) as error:
            sparse.forward([PAIRS[1], np.array([[0, 1.0], [feature, 1.0]])])
        assert str(error.value) == (
            f"input[1][1] has the feature {text}, but features are whole numbers 0..4 "
            "(nnmod counts from 0; Torch7 files are converted on load)")
    assert sparse.output is None
    with pytest.raises(IndexError, match=r"input\[1, 0\] has the feature 7,"):
        sparse.forward(np.array([[[1.0, 0]], [[7, 0]]]))
    index = drawn(nnmod.IndexLinear, 5, 2)
    with pytest.raises(IndexError, match=r"input\[0\]\[1\]\[0\] is 5, but keys are 0..4 \(nnmod counts from 0"):
        index.forward([[np.array([1]), np.array([5])], [np.zeros(1), np.zeros(1)]])


@pytest.mark.parametrize("input, error, text", [
    (np.zeros((2, 3)), nnmod.ShapeError, r"\(M, 2\) or \(N, M, 2\), pairs of a feature and its value"),
    ([], nnmod.ShapeError, "at least one tensor"),
    ([np.zeros((2, 3))], nnmod.ShapeError, r"input\[0\] must have shape \(M0, 2\), got \(2, 3\)"),
    (np.zeros((2, 2), np.int64), TypeError, "input must be float32 or float64"),
    ([np.zeros((2, 2)), np.zeros((2, 2), np.float32)], TypeError, "one dtype"),
])
def test_wrong_pairs(input, error, text):
    with pytest.raises(error, match=text):
        drawn(nnmod.SparseLinear, 5, 2).forward(input)


@pytest.mark.parametrize("input, error, text", [
    (np.zeros(3), TypeError, r"input must be a table \[keys, values\]"),
    ([np.zeros(3, int)], nnmod.ShapeError, "2 or 3 entries"),
    ([np.zeros(3, int), np.zeros(2)], nnmod.ShapeError, "as many values as keys"),
    ([np.zeros(3), np.zeros(3)], TypeError, r"input\[0\] must be int32 or int64, got float64"),
    ([np.zeros(3, int), np.zeros(3, int)], TypeError, r"input\[1\] must be float32 or float64"),
    ([np.zeros(3, int), np.zeros(3), np.array([1, 1])], nnmod.ShapeError, "add up to the 3 keys, got a sum of 2"),
    ([np.zeros(3, int), np.zeros(3), np.array([4, -1])], nnmod.ShapeError, "with one below 0"),
    ([[np.zeros(3, int)], [np.zeros(3), np.zeros(3)]], nnmod.ShapeError, "1 entries, got 2"),
    ([[np.zeros(3, int)], [np.zeros(3)], np.array([3])], nnmod.ShapeError, "no sizes where"),
    ([np.zeros(3, int), np.zeros(3, np.float32)], TypeError, "one dtype"),
])
def test_wrong_keys_and_values(input, error, text):
    with pytest.raises(error, match=text):
        drawn(nnmod.IndexLinear, 5, 2).forward(input)


def test_wrong_arguments():
    for words, text in [({"keysOffset": 0.5}, "keysOffset must be an int"),
                        ({"doGradInput": True, "normalize": True}, "cannot both be True"),
                        ({"normalize": 4}, "normalize must be True or False")]:
        with pytest.raises(ValueError, match=text):
            nnmod.IndexLinear(5, 2, **words)


def test_values_show_nan():
    for cls, input in MODULES:
        sparse = drawn(cls, 5, 2)
        poisoned = [np.array([[1, np.nan]]), PAIRS[1]] if cls is nnmod.SparseLinear else [
            np.array([1, 2]), np.array([np.nan, 1.0]), np.array([1, 1])]
        output = sparse.forward(poisoned)
        assert np.isnan(output[0]).all() and not np.isnan(output[1]).any()


# -- steps that touch what was seen ----------------------------------------------------------

def both_ways(cls, input, share=False):
    """A module whose gradient was set to 0 here, so that rows are known, and one of which nothing is known."""
    known, unknown = drawn(cls, 500, 2), drawn(cls, 500, 2)
    known.zeroGradParameters()
    return known, unknown


@pytest.mark.parametrize("cls, input", MODULES)
def test_a_sparse_step_is_the_dense_step(cls, input):
    known, unknown = both_ways(cls, input)
    assert rows._of(known.gradWeight) is not None and rows._of(unknown.gradWeight) is None
    for module in (known, unknown):
        for _ in range(2):
            module.forward(input)
            module.backward(input, GRAD)
        module.updateParameters(0.1)
    assert sorted(rows._of(known.gradWeight).found()) == [0, 1, 4]
    np.testing.assert_array_equal(known.weight, unknown.weight)
    np.testing.assert_array_equal(known.gradWeight, unknown.gradWeight)
    known.zeroGradParameters()
    assert not known.gradWeight.any() and not rows._of(known.gradWeight).flags.any()
    assert rows._of(known.gradWeight).found().size == 0


def test_a_sparse_step_leaves_the_rest_alone():
    """What was never seen is not even read: a gradient put there by hand is not used."""
    module = drawn(nnmod.IndexLinear, 500, 2)
    module.zeroGradParameters()
    module.forward(entries())
    module.backward(entries(), GRAD)
    before = module.weight.copy()
    module.gradWeight[100] = 1
    module.updateParameters(0.1)
    assert (module.weight[100] == before[100]).all() and (module.weight[4] != before[4]).any()


def test_shared_gradients_know_of_each_other():
    first = drawn(nnmod.IndexLinear, 50, 2)
    first.zeroGradParameters()
    second = first.clone("weight", "bias", "gradWeight", "gradBias")
    for module, key in ((first, 3), (second, 7)):
        one = [np.array([key]), np.array([1.0])]
        module.forward(one)
        module.backward(one, np.ones(2))
    before = first.weight.copy()
    first.updateParameters(0.1)
    np.testing.assert_allclose((before - first.weight)[:, 0].nonzero()[0], [3, 7])


def test_flat_parameters_and_types_forget_what_was_seen():
    net = nnmod.Sequential(drawn(nnmod.IndexLinear, 50, 2), nnmod.Linear(2, 2).double())
    net.zeroGradParameters()
    flat, gradFlat = net.getParameters()
    net.forward(entries())
    net.backward(entries(), GRAD)
    before = flat.copy()
    net.updateParameters(0.5)
    np.testing.assert_allclose(flat, before - 0.5 * gradFlat, rtol=1e-15)
    gradient = gradFlat.copy()
    net.zeroGradParameters()
    assert gradient.any() and not gradFlat.any()
    net.float().forward([entries()[0], entries()[1].astype(np.float32), entries()[2]])
    net.backward(net[0]._given, GRAD.astype(np.float32))
    before = net[0].weight.copy()
    net.updateParameters(0.5)
    np.testing.assert_allclose(net[0].weight, before - 0.5 * net[0].gradWeight, rtol=1e-6)


def test_what_is_known_goes_with_the_gradient():
    module = drawn(nnmod.IndexLinear, 50, 2)
    module.zeroGradParameters()
    key = id(module.gradWeight)
    assert key in rows._known
    del module
    assert key not in rows._known


@pytest.mark.parametrize("cls, input", MODULES)
def test_direct_steps(cls, input):
    """accUpdateGradParameters subtracts what backward and updateParameters would, gradients untouched."""
    usual, direct = drawn(cls, 5, 2), drawn(cls, 5, 2)
    usual.forward(input)
    usual.backward(input, GRAD)
    usual.updateParameters(0.3)
    direct.gradWeight.fill(9)
    direct.forward(input)
    direct.accUpdateGradParameters(input, GRAD, 0.3)
    np.testing.assert_allclose(direct.weight, usual.weight, rtol=1e-13)
    np.testing.assert_allclose(direct.bias, usual.bias, rtol=1e-13)
    assert (direct.gradWeight == 9).all() and direct._rate is None


# -- normalize -------------------------------------------------------------------------------

def test_normalize_divides_by_the_greatest_value_so_far():
    index = drawn(nnmod.IndexLinear, 3, 1, normalize=True)
    index.weight[...], index.bias[...], index.featureBias[...] = [[1.0], [10.0], [100.0]], 0, [0.25, 0, 0]

    def run(keys, values):
        return float(index.forward([np.array(keys), np.array(values, float)])[0])

    assert run([0, 1], [4, -2]) == 1 * (1 + 0.25) + 10 * -1
    assert index.maxima.tolist() == [4, 2, 0]
    assert run([0], [-1]) == -0.25 + 0.25
    assert run([0, 0], [8, 4]) == (1 + 0.25) + (0.5 + 0.25)  # the second meets the maximum of the first
    index.evaluate()
    assert run([0, 1], [16, -20]) == 1.25 - 10  # clipped
    assert run([2], [5]) == 100 and run([2], [0]) == 0  # never seen
    assert index.maxima.tolist() == [8, 2, 0]


def test_direct_steps_of_normalised_features():
    usual, direct = (drawn(nnmod.IndexLinear, 5, 2, normalize=True) for _ in range(2))
    for module in (usual, direct):
        module.forward(entries())
    usual.backward(entries(), GRAD)
    usual.updateParameters(0.3)
    direct.backwardUpdate(entries(), GRAD, 0.3)
    for name in ("weight", "bias", "featureBias"):
        np.testing.assert_allclose(getattr(direct, name), getattr(usual, name), rtol=1e-13, err_msg=name)
    assert usual.featureBias.any()


def test_a_failed_pass_leaves_the_maxima():
    index = drawn(nnmod.IndexLinear, 5, 2, normalize=True)
    net = nnmod.Sequential(index, nnmod.Linear(3, 1).double())
    index.forward([np.array([1, 2]), np.array([1.0, 1.0])])
    before = index.maxima.copy()
    with pytest.raises(nnmod.ShapeError):
        net.forward([np.array([1, 1, 4]), np.array([5.0, 7.0, 1.0])])
    assert (index.maxima == before).all()


def test_initialised_as_torch_does():
    assert not nnmod.IndexLinear(6, 3).weight.any()
    nnmod.manualSeed(0)
    for module, bound in [(nnmod.IndexLinear(600, 3).reset(), 3 ** -0.5),
                          (nnmod.IndexLinear(600, 3, normalize=True).reset(), 7 ** -0.5),
                          (nnmod.SparseLinear(600, 3), 600 ** -0.5), (nnmod.SparseLinear(600, 3).reset(0.1), 0.03 ** 0.5)]:
        assert 0.98 * bound < np.abs(module.weight).max() <= bound
        assert 0 < np.abs(module.bias).max() <= 1e-6 * bound


def test_threads_change_no_bit():
    rng = np.random.default_rng(0)
    sizes = np.full(400, 50)
    keys, values = rng.integers(0, 3000, 20000), rng.standard_normal(20000)
    pairs = np.stack([keys, values], -1).reshape(400, 50, 2)
    dy = rng.standard_normal((400, 120))
    results = []
    before = nnmod.getnumthreads()
    try:
        for count in (1, 3):
            nnmod.setnumthreads(count)
            for cls, input in ((nnmod.IndexLinear, [keys, values, sizes]), (nnmod.SparseLinear, pairs)):
                module = drawn(cls, 3000, 120)
                module.forward(input)
                module.backward(input, dy)
                results.append((module.output.copy(), module.gradWeight.copy()))
    finally:
        nnmod.setnumthreads(before)
    for one, three in zip(results[0] + results[1], results[2] + results[3]):
        assert np.array_equal(one, three)
