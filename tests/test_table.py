"""Tables, their arithmetic, products of pairs, containers of them: what the generic tests cannot see."""
import numpy as np
import pytest

import nnmod
from nnmod import ShapeError, kernels
from test_kernels import DTYPES, backend, on_each_backend  # noqa: F401


def float32(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


# -- arithmetic ------------------------------------------------------------------------

@on_each_backend
def test_extremes_of_tables_ties_and_nan(backend):
    nan = np.nan
    tables = [np.array([1, 2, nan, 1, nan, 0.0]), np.array([1, 3, 0, nan, nan, -0.0]), np.array([0, 3, 5, 5, 5, 0.0])]
    for cls, values, winners in [(nnmod.CMaxTable, [1, 3, nan, nan, nan, 0], [0, 1, 0, 1, 0, 0]),
                                 (nnmod.CMinTable, [0, 2, nan, nan, nan, 0], [2, 0, 0, 1, 0, 0])]:
        module = cls()
        np.testing.assert_array_equal(module.forward(tables), values)
        dx = module.backward(tables, np.arange(1.0, 7.0))
        for index, part in enumerate(dx):
            np.testing.assert_array_equal(part, np.where(np.array(winners) == index, np.arange(1.0, 7.0), 0))


def test_the_gradient_of_a_product_needs_no_division():
    """With a zero in one tensor the gradient of that one is still the product of the others."""
    tables = [np.array([0.0, 2.0]), np.array([3.0, 0.0]), np.array([5.0, 7.0])]
    module = nnmod.CMulTable()
    module.forward(tables)
    dx = module.backward(tables, np.ones(2))
    assert [part.tolist() for part in dx] == [[15, 0], [0, 14], [0, 0]]


def test_gradients_of_a_sum_are_copies():
    """One tensor for all would be overwritten by the first module that works in place."""
    for module in (nnmod.CAddTable(), nnmod.CSubTable(), nnmod.CAddTensorTable()):
        x = [float32(3), [float32(3)]] if isinstance(module, nnmod.CAddTensorTable) else [float32(3), float32(3)]
        dy = nnmod.nested.map(np.ones_like, module.forward(x))
        parts = list(nnmod.nested.leaves(module.backward(x, dy)))
        for part in parts:
            assert not any(np.shares_memory(part, other) for other in nnmod.nested.leaves([dy, parts])
                           if other is not part)


def test_mixture_of_as_many_experts_as_the_gate_says():
    module = nnmod.MixtureTable()
    with pytest.raises(ShapeError, match="input\\[1\\] must be a table of 2 entries, got 3"):
        module.forward([float32(4, 2), [float32(4, 3)] * 3])
    with pytest.raises(ShapeError, match="must have the batch of the gate, 4"):
        module.forward([float32(4, 2), [float32(5, 3)] * 2])
    with pytest.raises(ShapeError, match="must have 2 experts in dimension 1"):
        module.forward([float32(4, 2), float32(4, 3, 2)])
    with pytest.raises(ShapeError, match="dim 0 is the batch"):
        nnmod.MixtureTable(0).forward([float32(4, 2), float32(2, 4, 3)])


# -- products --------------------------------------------------------------------------

@on_each_backend
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
def test_batch_gemm(backend, dtype, trans_a, trans_b):
    rng = np.random.default_rng(0)
    for B, M, K, N in [(2, 3, 4, 5), (1, 1, 7, 3), (3, 15, 30, 41), (2, 64, 50, 60), (2, 5, 1, 5), (2, 3, 0, 4), (0, 2, 2, 2)]:
        a, b = rng.standard_normal((B, M, K)).astype(dtype), rng.standard_normal((B, K, N)).astype(dtype)
        c = np.full((B, M, N), np.nan, dtype)
        backend.batch_gemm(np.ascontiguousarray(a.swapaxes(1, 2)) if trans_a else a,
                           np.ascontiguousarray(b.swapaxes(1, 2)) if trans_b else b, c, trans_a, trans_b)
        np.testing.assert_allclose(c, a @ b, rtol=1e-4 if dtype == np.float32 else 1e-11, atol=1e-5)


@on_each_backend
def test_products_carry_nan_and_inf(backend):
    a, b = np.array([[[1.0, np.nan], [np.inf, 0.0]]]), np.array([[[1.0, 0.0], [0.0, 1.0]]])
    c = np.empty((1, 2, 2))
    backend.batch_gemm(a, b, c)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(c, a @ b)


def test_distance_of_equal_rows():
    a = [np.ones((2, 3)), np.ones((2, 3))]
    for p in (1, 1.5, 2, 3):
        module = nnmod.PairwiseDistance(p)
        assert module.forward(a).tolist() == [0, 0]
        assert all(np.array_equal(part, np.zeros((2, 3))) for part in module.backward(a, np.ones(2)))


def test_distance_between_1_and_2_has_its_own_derivative():
    """Torch7 leaves out a factor there; finite differences say what is right."""
    a = [np.array([[3.0, -1.0]]), np.array([[0.0, 1.0]])]
    module = nnmod.PairwiseDistance(1.5)
    module.forward(a)
    da = module.backward(a, np.ones(1))[0]
    y = (3**1.5 + 2**1.5) ** (1 / 1.5)
    np.testing.assert_allclose(da, [[3**0.5 * y**-0.5, -(2**0.5) * y**-0.5]], rtol=1e-6)


def test_cosine_of_long_rows_does_not_overflow():
    a = [np.full((1, 4), 1e15, np.float32), np.full((1, 4), 1e15, np.float32)]
    assert nnmod.CosineDistance().forward(a)[0] == pytest.approx(1, rel=1e-6)


# -- leading entries -------------------------------------------------------------------

def test_integers_that_are_not_chosen_have_no_gradient():
    table = [float32(2), np.array([1, 2]), [float32(3), np.array([1])]]
    module = nnmod.SelectTable(0)
    module.forward(table)
    gradInput = module.backward(table, np.ones(2, np.float32))
    assert gradInput[0].tolist() == [1, 1] and gradInput[1] is None
    assert gradInput[2][0].tolist() == [0, 0, 0] and gradInput[2][1] is None


def test_entries_with_names():
    """Torch's scripts take entries out of a table by name; gradients come back by name."""
    x = {"words": np.arange(3), "image": float32(2, 3)}
    module = nnmod.Sequential(nnmod.SelectTable("image"), nnmod.MulConstant(2))
    assert module.forward(x).tolist() == (2 * x["image"]).tolist()
    dx = module.backward(x, np.ones((2, 3), np.float32))
    assert list(dx) == ["words", "image"] and dx["words"] is None and (dx["image"] == 2).all()
    with pytest.raises(RuntimeError, match="with other values"):
        module.backward({"words": np.arange(3), "image": x["image"] + 1}, np.ones((2, 3), np.float32))
    with pytest.raises(RuntimeError, match="this is {'image'"):
        module.backward({"image": x["image"]}, np.ones((2, 3), np.float32))


def test_branches_that_have_no_gradient_for_an_entry():
    """Integers have no gradient in any branch, and none in the sum."""
    module = nnmod.ConcatTable(nnmod.NarrowTable(0, 2), nnmod.SelectTable(0))
    x, dy = [float32(2), np.arange(2)], np.ones(2, np.float32)
    module.forward(x)
    dx = module.backward(x, [[dy, None], dy])
    assert dx[0].tolist() == [2, 2] and dx[1] is None


def test_a_map_over_names():
    module = nnmod.MapTable(nnmod.Linear(3, 2))
    x = {"a": float32(4, 3), "b": float32(3)}
    y = module.forward(x)
    assert list(y) == ["a", "b"] and y["b"].tolist() == y["a"][0].tolist()
    dx = module.backward(x, {"a": None, "b": np.ones(2, np.float32)})
    assert dx["a"] is None and dx["b"].shape == (3,)
    module.forward(x := {"b": float32(3), "a": float32(4, 3)})  # in another order
    assert list(module.backward(x, module.output)) == ["b", "a"]


def test_criterion_table_trains_a_network_and_converts_with_it():
    net = nnmod.Sequential(nnmod.ParallelTable(nnmod.Linear(3, 2), nnmod.Identity()),
                           nnmod.CriterionTable(nnmod.ClassNLLCriterion(np.ones(2, np.float32))))
    net.double()
    criterion = net.modules[1].criterion
    assert criterion.weights.dtype == np.float64
    x = [np.ones((4, 3)), np.array([0, 1, 1, 1])]
    loss = net.forward(x)
    assert loss.shape == () and loss == criterion.output
    gradInput = net.backward(x, np.array(2.0))
    assert gradInput[1] is None
    np.testing.assert_allclose(net.modules[0].modules[0].gradBias, [-0.5, -1.5])  # twice the criterion's
    net.clearState()
    assert criterion.gradInput is None
    with pytest.raises(TypeError, match="criterion must be a criterion"):
        nnmod.CriterionTable(nnmod.Identity())


# -- MapTable --------------------------------------------------------------------------

def test_map_table_shares_everything_but_buffers():
    inner = nnmod.Sequential(nnmod.Linear(3, 2), nnmod.Dropout(0.5), nnmod.BatchNormalization(2))
    module = nnmod.MapTable(inner)
    tables = [np.random.default_rng(i).standard_normal((4, 3)).astype(np.float32) for i in range(3)]
    module.forward(tables)
    assert len(module.parameters()[0]) == 4 and len(module.listModules()) == 5
    flat, gradFlat = module.getParameters()
    flat[...] = np.random.default_rng(0).standard_normal(flat.shape)
    module.evaluate()
    inner.modules[1].p = 0.9
    outputs = [y.copy() for y in module.forward(tables)]
    for x, y in zip(tables, outputs):  # every entry as if it were the only one
        np.testing.assert_array_equal(inner.forward(x), y)
    assert all(clone.modules[1].p == 0.9 and not clone.train for clone, _ in module._clones)
    assert module.getParameters()[0] is flat


def test_map_table_infers_sizes_once_for_all():
    module = nnmod.MapTable(nnmod.Linear(None, 2))
    module.forward([float32(2, 3), float32(4, 3)])
    assert module._clones[1][0].weight is module.modules[0].weight
    module.modules[0].gradWeight.fill(0)
    module.backward([float32(2, 3), float32(4, 3)], [np.ones((2, 2), np.float32), np.ones((4, 2), np.float32)])
    assert module.modules[0].gradBias.tolist() == [6, 6]


def test_map_table_not_shared():
    module = nnmod.MapTable(nnmod.Linear(3, 2), shared=False).extend(2)
    assert len(module.parameters()[0]) == 4
    a, b = module.modules
    b.weight.fill(0)
    b.bias.fill(1)
    assert module.forward([float32(1, 3), float32(1, 3)])[1].tolist() == [[1, 1]]
    assert a.weight.any()


def test_map_table_says_which_entry_failed_and_takes_back():
    norm = nnmod.BatchNormalization(3)
    module = nnmod.MapTable(norm)
    with pytest.raises(ShapeError) as caught:
        module.forward([float32(4, 3), float32(4, 2)])
    assert caught.value.__notes__ == [
        f"in module: MapTable[1] > {norm!r}.forward, given float32 (4, 2)"]
    with pytest.raises(ValueError, match="one module for all entries"):
        module.add(nnmod.Identity())


# -- containers ------------------------------------------------------------------------

def test_depth_concat_centres_what_is_smaller():
    big, small = nnmod.Identity(), nnmod.SpatialAveragePooling(2, 2, 3, 3)
    module = nnmod.DepthConcat(0, big, small)
    y = module.forward(np.ones((1, 5, 5)))
    assert y.shape == (2, 5, 5)
    expected = np.zeros((5, 5))
    expected[1:3, 1:3] = 1  # two of five: one before, two after
    np.testing.assert_array_equal(y[1], expected)


def test_parallel_needs_a_slice_for_each_module():
    module = nnmod.Parallel(0, 0, nnmod.Identity(), nnmod.Identity())
    with pytest.raises(ShapeError) as caught:
        module.forward(float32(3, 2))
    assert str(caught.value) == "input must have one slice in dimension 0 for each of 2 modules, got shape (3, 2)"


def test_parallel_without_a_gradient_for_the_input():
    module = nnmod.Parallel(1, 1, nnmod.Linear(2, 3), nnmod.Linear(2, 1))
    module.needsGradInput = False
    x = float32(4, 2, 2)
    y = module.forward(x)
    assert module.backward(x, np.ones_like(y)) is None
    assert module.modules[1].gradBias.tolist() == [4]


@pytest.mark.parametrize("call, kind, text", [
    (lambda: nnmod.CSubTable().forward([float32(2)]), ShapeError, "input must be a table of 2 entries, got 1"),
    (lambda: nnmod.CMulTable().forward([float32(2), float32(3)]), ShapeError,
     "input[1] must have as many elements as input[0], (2,), got (3,)"),
    (lambda: nnmod.CDivTable().forward([float32(2), np.ones(2)]), TypeError,
     "tensors must share one device and one dtype, got cpu.float32 (2,) and cpu.float64 (2,); "
     "convert the module with .float() or .double(), or the tensor with .astype"),
    (lambda: nnmod.CAddTensorTable().forward([float32(2), [float32(3)]]), ShapeError,
     "input[1][0] must have as many elements as input[0], (2,), got (3,)"),
    (lambda: nnmod.SelectTable("c").forward({"a": float32(2), "b": float32(2)}), IndexError,
     "entry 'c' does not exist in a table with 'a', 'b'"),
    (lambda: nnmod.SelectTable("c").forward([float32(2)]), TypeError,
     "input must be a dict with an entry 'c', got [float32 (2,)]"),
    (lambda: nnmod.SelectTable(0).forward({"a": float32(2)}), TypeError,
     "input must be a table (a list of tensors), got {'a': float32 (2,)}; SelectTable(name) takes an entry out of a "
     "dict"),
    (lambda: nnmod.SelectTable(1.5), ValueError,
     "index must be an int, counted from 0, or the name of an entry, got 1.5"),
    (lambda: nnmod.MapTable(nnmod.Tanh(), False).forward({"a": float32(2)}), TypeError,
     "a MapTable with shared=False takes a list, in which each module knows its entry, got {'a': float32 (2,)}"),
    (lambda: nnmod.MapTable(nnmod.Tanh()).forward({}), ShapeError,
     "input must be a table of at least one tensor, got an empty one"),
    (lambda: nnmod.SelectTable(2).forward([float32(2)]), IndexError,
     "entry 2 does not exist in a table of 1 (counted from 0)"),
    (lambda: nnmod.NarrowTable(-3, 2).forward([float32(2)] * 2), ShapeError,
     "input must be a table of at least 3 entries, got 2"),
    (lambda: nnmod.NarrowTable(-1, 2).forward([float32(2)] * 2), ShapeError,
     "2 entries from -1 on go beyond a table of 2"),
    (lambda: nnmod.NarrowTable(1, 2).forward([float32(2)]), ShapeError,
     "input must be a table of at least 3 entries, got 1"),
    (lambda: nnmod.ZipTable().forward([[float32(2)], [float32(2), float32(2)]]), ShapeError,
     "input[1] must be a table of 1 entries, got 2"),
    (lambda: nnmod.MM().forward([float32(2, 3), float32(2, 3)]), ShapeError,
     "the matrices do not fit: 3 columns by 2 rows, of shapes (2, 3) and (2, 3)"),
    (lambda: nnmod.MM().forward([float32(2), float32(2)]), ShapeError,
     "input must be two matrices (M, K) and (K, P), or two batches of them, got (2,) and (2,)"),
    (lambda: nnmod.MV().forward([float32(2, 3), float32(2)]), ShapeError,
     "matrix and vector do not fit: 3 columns by 2 elements, of shapes (2, 3) and (2,)"),
    (lambda: nnmod.DotProduct().forward([float32(2, 3), float32(3)]), ShapeError,
     "input must be two tensors of one shape, (N, F) or (F,), got (2, 3) and (3,)"),
    (lambda: nnmod.PairwiseDistance(0), ValueError, "p must be > 0, got 0"),
])
def test_errors_in_words(call, kind, text):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == text


def test_pairs_do_not_depend_on_the_number_of_threads():
    if kernels.backend_name() != "cpu":
        pytest.skip("the reference kernels leave threads to NumPy")
    rng = np.random.default_rng(0)
    pair = [rng.standard_normal((3000, 1000)).astype(np.float32) for _ in range(2)]
    batch = [rng.standard_normal((5000, 20, 20)).astype(np.float32) for _ in range(2)]
    before, results = nnmod.getnumthreads(), []
    try:
        for count in (1, 3):
            nnmod.setnumthreads(count)
            made = []
            for module, x in [(nnmod.DotProduct(), pair), (nnmod.CosineDistance(), pair),
                              (nnmod.PairwiseDistance(2), pair), (nnmod.MM(), batch)]:
                y = module.forward(x)
                made += [y.copy(), *[part.copy() for part in module.backward(x, y.copy())]]
            results.append(made)
    finally:
        nnmod.setnumthreads(before)
    for one, other in zip(*results):
        np.testing.assert_array_equal(one, other)
