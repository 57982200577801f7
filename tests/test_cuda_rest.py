"""CUDA kernels one by one, in the emulator, beside the reference: sizes across blocks, one element, none, NaN.

The calls that modules make of them are in test_cuda_cases.py.
"""
import importlib
import pkgutil

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

import nnmod
from nnmod import kernels
from nnmod.kernels import cpu, cuda, formulas, reference
from test_cuda_cases import stays_in_float32  # noqa: F401  reads the PTX of what is launched here, too

DTYPES = [np.float32, np.float64]
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}


# -- formulas --------------------------------------------------------------------------------

def _registered():
    """Every formula that the package makes a kernel of: {(kind, formula, tensors written): its kernel}."""
    found = {}

    def look(value):
        if isinstance(value, kernels._Elementwise):
            found.setdefault(("loop", value.formula, value.outputs), value)
        elif isinstance(value, kernels._ElementwiseSum):
            found.setdefault(("sum", value.formula, 1), value)
        elif isinstance(value, (tuple, list)):
            for item in value:
                look(item)
        elif isinstance(value, dict):
            look(list(value.values()))

    for module in pkgutil.walk_packages(nnmod.__path__, "nnmod."):
        if any(part in ("kernels", "__main__", "commands", "cli") for part in module.name.split(".")):
            continue
        for value in list(vars(importlib.import_module(module.name)).values()):
            look(value)
            if isinstance(value, type) and value.__module__.startswith("nnmod"):
                for attribute in vars(value).values():
                    look(getattr(attribute, "__func__", attribute))
    return found


REGISTERED = _registered()
EDGES = [0.0, -0.0, 1e-30, -1e-30, 0.3, -0.3, 1.0, -1.0, 20.0, -20.0, 88.7, -87.0, 700.0, -700.0, np.inf, -np.inf, np.nan]
#: Arguments of formulas that are numbers.  All others are tensors.
NUMBERS = {"slope", "alpha", "low", "high", "beta", "threshold", "limit", "value", "shift", "p", "factor",
           "number", "norm", "margin", "decay", "share", "rate", "keep", "gain", "look", "beta1", "gain1", "beta2",
           "gain2", "epsilon", "rho", "shrink", "weight", "plus", "minus", "q"}


def _inputs(formula, size, dtype):
    """Tensors of *size* elements and numbers for a formula, edges among them."""
    names = list(formula.__code__.co_varnames[:formula.__code__.co_argcount])
    rng = np.random.default_rng(3)
    count = next((k for k, name in enumerate(names) if k and name in NUMBERS), len(names))
    tensors = []
    for k in range(count):
        x = rng.standard_normal(size).astype(dtype)
        edges = np.roll(np.array(EDGES, dtype), 5 * k)[:size]
        x[:len(edges)] = edges
        tensors.append(x)
    return tensors, [0.7 + 0.1 * k for k in range(len(names) - count)]


def _same(ours, theirs, dtype, what):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.dtype.kind != "f":
        np.testing.assert_array_equal(ours, theirs, err_msg=what)
    else:
        # Where float32 is near its end one of two right roundings is Inf.
        limit = np.finfo(dtype).max / 4
        near_end = (np.abs(ours) > limit) & (np.abs(theirs) > limit)
        same = np.where(near_end, np.sign(ours) == np.sign(theirs), np.isclose(
            ours, theirs, TOLERANCE[dtype], TOLERANCE[dtype], equal_nan=True))
        assert same.all(), f"{what}: {ours[~same][:5]} is not {theirs[~same][:5]}"


@pytest.mark.parametrize("kind, formula, writes", [key for key in REGISTERED if key[1].__module__ == formulas.__name__ or
                                                   key[1].__module__.endswith("optim_formulas")],
                         ids=lambda value: getattr(value, "__name__", str(value)))
def test_formula(kind, formula, writes):
    """Every formula in float32 over two blocks, at the edges too; float64 in place, for one element and none."""
    for dtype, sizes in ((np.float32, (300,)), (np.float64, (300, 1, 0))):
        for size in sizes:
            tensors, numbers = _inputs(formula, size, dtype)
            if kind == "sum":
                tensors = [np.where(np.isfinite(x) & (np.abs(x) < 50), x, dtype(0.5)) for x in tensors]
                ours, theirs = np.empty(1), np.empty(1)
                cuda.elementwise_sum(formula, len(tensors))(*tensors, ours, *numbers)
                reference.elementwise_sum(formula, len(tensors))(*tensors, theirs, *numbers)
                _same(ours, theirs, dtype, formula.__name__)
                continue
            ours = [np.full_like(tensors[0], np.nan) for _ in range(writes)]
            theirs = [np.empty_like(x) for x in ours]
            cuda.elementwise(formula, len(tensors), writes)(*tensors, *ours, *numbers)
            reference.elementwise(formula, len(tensors), writes)(*tensors, *theirs, *numbers)
            for a, b in zip(ours, theirs):
                _same(a, b, dtype, formula.__name__)
            if dtype == np.float64:  # an output may be one of the inputs
                cuda.elementwise(formula, len(tensors), writes)(*tensors, *tensors[:writes], *numbers)
                for a, b in zip(tensors, ours):
                    np.testing.assert_array_equal(a, b)


@each_dtype
@pytest.mark.parametrize("name, writes", [("relu", 1), ("sigmoid", 1), ("divide_grad", 2), ("adam", 3)])
def test_four_elements_a_thread(name, writes, dtype):
    """Large tensors, and views of them that do not begin at a multiple of 16 bytes."""
    formula = getattr(formulas, name, None) or getattr(kernels.optim_formulas, name)
    for size, skipped in ((1 << 16, 0), ((1 << 16) + 3, 0), (70_001, 1)):
        tensors, numbers = _inputs(formula, size + skipped, dtype)
        tensors = [np.abs(x[skipped:]) for x in tensors]  # no cancellation
        ours = [np.full(size, np.nan, dtype) for _ in range(writes)]
        theirs = [np.empty_like(x) for x in ours]
        cuda.elementwise(formula, len(tensors), writes)(*tensors, *ours, *numbers)
        reference.elementwise(formula, len(tensors), writes)(*tensors, *theirs, *numbers)
        for a, b in zip(ours, theirs):
            _same(a, b, dtype, name)


def test_many_formulas_are_registered():
    assert len(REGISTERED) > 100


@each_dtype
def test_a_users_formula(dtype):
    """Branches, math, helpers, closures, several outputs, numbers."""
    import math
    factor = dtype(3)

    def half(x):
        return x / type(x)(2)

    def formula(x, y, limit):
        if x > limit:
            return factor * math.sqrt(x), half(y)
        return x, y

    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 2, (2, 3, 100)).astype(dtype), rng.standard_normal((2, 3, 100)).astype(dtype)
    a, b = np.full_like(x, np.nan), np.full_like(x, np.nan)
    cuda.elementwise(formula, 2, 2)(x, y, a, b, 1.0)
    np.testing.assert_allclose(a, np.where(x > 1, 3 * np.sqrt(x), x), rtol=1e-6)
    np.testing.assert_array_equal(b, np.where(x > 1, y / 2, y))


@each_dtype
@pytest.mark.parametrize("size", [0, 1, 255, 4096, 4097, 20_000])
def test_sums_do_not_depend_on_chance(dtype, size):
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal(size).astype(dtype), rng.standard_normal(size).astype(dtype)
    total = cuda.elementwise_sum(formulas.squared_error, 2)
    first, again = np.full(1, np.nan), np.full(1, np.nan)
    total(x, t, first)
    total(x, t, again)
    assert first[0] == again[0]
    np.testing.assert_allclose(first[0], ((x - t).astype(np.float64) ** 2).sum(), rtol=1e-6 if dtype == np.float32 else 1e-12)


# -- random numbers ----------------------------------------------------------------------------

@each_dtype
@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 1023, 1025])
def test_random_numbers_are_the_cpus(dtype, size):
    arguments = 12345678901234, 2**33 + 5
    for name, numbers in (("dropout_mask", (0.3, 1.7)), ("uniform_noise", (-0.3, 1.7)), ("normal_noise", (0.3, 1.7))):
        ours, theirs = np.full(size, np.nan, dtype), np.empty(size, dtype)
        getattr(cuda, name)(ours, *arguments, *numbers)
        getattr(cpu, name)(theirs, *arguments, *numbers)
        if name == "normal_noise":
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6 if dtype == np.float32 else 1e-14)
        else:
            np.testing.assert_array_equal(ours, theirs)


# -- calls, beside the reference ------------------------------------------------------------------

class _Make:
    """Makes the arguments of a call: the same ones each time."""

    def __init__(self, dtype):
        self.dtype, self._rng = dtype, np.random.default_rng(7)

    def some(self, *shape):
        return self._rng.standard_normal(shape).astype(self.dtype)

    def positive(self, *shape):
        return np.abs(self.some(*shape)) + self.dtype(0.5)

    def out(self, *shape, dtype=None):
        """What is to be written: poisoned."""
        dtype = np.dtype(dtype or self.dtype)
        return np.full(shape, np.nan if dtype.kind == "f" else 99, dtype)

    def below(self, limit, *shape, dtype=np.int64):
        return self._rng.integers(0, limit, shape).astype(dtype)

    def mask(self, *shape):
        return (self._rng.random(shape) < 0.4).astype(np.uint8)


def _positions(m, size, out):
    lows, weights = np.empty(sum(out), np.int32), np.empty(sum(out), m.dtype)
    reference.linear_positions(lows, weights, size, out)
    return lows, weights


def _regions(size, out):
    """Regions that overlap, and one that is a single element, for all planes alike."""
    starts = [[i * n // o for i in range(o)] for n, o in zip(size, out)]
    stops = [[min(n, -(-(i + 1) * n // o) + 1) for i in range(o)] for n, o in zip(size, out)]
    return [np.array([sum(side, [])], np.int32) for side in (starts, stops)]


def _offsets(*sizes):
    return np.cumsum([0, *sizes])


def _pairs(m, k, C, O):
    pairs = np.stack([m.below(C, k), m.below(O, k)], 1)
    cut = lambda side, count: (np.argsort(pairs[:, side], kind="stable"),  # noqa: E731
                               np.concatenate([[0], np.cumsum(np.bincount(pairs[:, side], minlength=count))]))
    return pairs, cut(1, O), cut(0, C)


def _grid(m, *shape):
    grid = m._rng.uniform(-1.3, 1.3, (*shape, 2)).astype(m.dtype)
    grid.ravel()[:3] = np.nan, np.inf, -1
    return grid


_CTC = dict(T=7, N=4, C=5, S=3)


def _ctc(m):
    """Four samples: of few and of many steps, labels that repeat, one that has no path, none at all."""
    T, N, C, S = _CTC.values()
    x = np.log(np.exp(m.some(T, N, C)) / 5).astype(m.dtype)
    labels = np.array([[1, 1, 2], [3, 2, 3], [4, 4, 4], [1, 1, 1]])
    return x, labels, np.array([7, 5, 4, 0]), np.array([3, 2, 3, 0])


def _ctc_states(m):
    x, labels, steps, counts = _ctc(m)
    alpha, losses = m.out(4, 7, 7), m.out(4)
    reference.ctc_update_output(x, labels, steps, counts, alpha, losses, m.out(4, 4, 7), 0)
    return x, labels, steps, counts, alpha, losses


#: name of a kernel -> functions that make the arguments of a call.
CALLS = {
    "mask_rows": [lambda m: (m.some(7, 301), m.some(7), m.out(7, 301))],
    "zero_row_mask": [lambda m: (np.where(m.mask(70, 1), m.some(70, 45), m.dtype(0)), m.out(70, dtype=np.uint8)),
                      lambda m: (m.out(3, 2), m.out(3, dtype=np.uint8))],
    "zero_masked_rows": [lambda m: (m.some(70, 45), m.mask(70), m.out(70, 45))],
    "permute": [lambda m: (m.some(*shape), m.out(*(shape[a] for a in axes)), axes) for shape, axes in [
        ((5, 7), (0, 1)), ((5, 7), (1, 0)), ((33, 65), (1, 0)), ((3, 40, 33), (0, 2, 1)), ((3, 40, 33), (1, 0, 2)),
        ((2, 3, 4, 5), (3, 1, 2, 0)), ((2, 3, 2, 3, 2, 5), (4, 1, 5, 2, 0, 3)), ((1,), (0,)), ((0, 3), (1, 0)),
        ((2, 3, 2, 3, 2, 3, 2), (5, 3, 1, 6, 0, 2, 4))]],
    "pad3d_update_output": [lambda m: (m.some(3, 4, 5, 17), m.out(3, *out), pad, mode) for mode in (
        "zero", "reflect", "replicate", "symmetric") for out, pad in (
        ((6, 9, 22), (1, 2, 3)), ((2, 4, 11), (-1, 0, -2)), ((4, 7, 15), (0, 2, -2)))],
    "pad3d_update_grad_input": [lambda m: (m.some(3, *out), m.out(3, 4, 5, 17), pad, mode) for mode in (
        "zero", "reflect", "replicate", "symmetric") for out, pad in (
        ((6, 9, 22), (1, 2, 3)), ((2, 4, 11), (-1, 0, -2)), ((4, 7, 15), (0, 2, -2)))],
    "upsample_nearest_update_output": [lambda m: (m.some(3, 2, 5, 7), m.out(3, 4, 5, 21))],
    "upsample_nearest_update_grad_input": [lambda m: (m.some(3, 4, 5, 21), m.out(3, 2, 5, 7))],
    "linear_positions": [lambda m: (m.out(1 + 7 + 300, dtype=np.int32), m.out(1 + 7 + 300), (1, 3, 100), (1, 7, 300)),
                         lambda m: (m.out(6, dtype=np.int32), m.out(6), (4, 1, 2), (1, 3, 2))],
    "upsample_linear_update_output": [lambda m: (m.some(3, *size), *_positions(m, size, out), m.out(3, *out),
                                                 m.out(3, size[2])) for size, out in (
        ((1, 5, 9), (1, 8, 31)), ((3, 4, 5), (5, 3, 9)), ((2, 1, 1), (2, 3, 4)), ((4, 6, 8), (1, 1, 1)))],
    "upsample_linear_update_grad_input": [lambda m: (m.some(3, *out), *_positions(m, size, out), m.out(3, *size),
                                                     m.out(3, size[2])) for size, out in (
        ((1, 5, 9), (1, 8, 31)), ((3, 4, 5), (5, 3, 9)), ((2, 1, 1), (2, 3, 4)), ((4, 6, 8), (1, 1, 1)))],
    "pixel_shuffle_update_output": [lambda m: (m.some(2, 18, 4, 5), m.out(2, 2, 12, 15))],
    "pixel_shuffle_update_grad_input": [lambda m: (m.some(2, 2, 12, 15), m.out(2, 18, 4, 5))],
    "affine_grid_update_output": [lambda m: (m.some(3, 2, 3), m.out(3, 9, 11, 2))],
    "affine_grid_update_grad_input": [lambda m: (m.some(3, 9, 41, 2), m.out(3, 2, 3))],
    "sample_bilinear_update_output": [lambda m: (m.some(3, 6, 7, 4), _grid(m, 3, 5, 9), m.out(3, 5, 9, 4))],
    "sample_bilinear_update_grad_input": [lambda m: (m.some(3, 6, 7, 4), _grid(m, 3, 5, 9), m.some(3, 5, 9, 4),
                                                     m.out(3, 6, 7, 4), m.out(3, 5, 9, 2))],
    "index_axis": [lambda m: (m.some(3, 50, 7), m.below(50, 20, dtype=np.int32), m.out(3, 20, 7)),
                   lambda m: (m.some(1, 500, 1), m.below(500, 300), m.out(1, 300, 1))],
    "index_axis_update_grad_input": [lambda m: (m.some(3, 40, 7), m.below(20, 40, dtype=np.int32), m.out(3, 20, 7)),
                                     lambda m: (m.some(2, 0, 3), m.below(5, 0), m.out(2, 5, 3))],
    "masked_select": [lambda m, n=n: (lambda mask: (m.some(n), mask, m.out(int(mask.sum()))))(m.mask(n))
                      for n in (1, 31, 300, 70_000)],
    "masked_select_update_grad_input": [lambda m, n=n: (lambda mask: (m.some(int(mask.sum())), mask, m.out(n)))(
        m.mask(n)) for n in (1, 31, 300, 70_000)] + [lambda m: (m.some(0), np.zeros(9, np.uint8), m.out(9))],
    "one_hot": [lambda m: (m.below(9, 40), m.out(40, 9)), lambda m: (m.below(9, 0), m.out(0, 9))],
    "first_outside": [lambda m: (m.below(9, 700), m.out(1, dtype=np.int64), 0, limit) for limit in (9, 8, 0)] + [
        lambda m: (m.below(9, 0), m.out(1, dtype=np.int64), 0, 3)],
    "lookup_update_output": [lambda m: (m.below(30, 50), m.some(30, 11), m.out(50, 11))],
    "lookup_count": [lambda m: (m.below(30, 500), np.full(40, 5, np.int32))],
    "lookup_acc_grad_parameters": [
        lambda m: (m.below(30, 300), m.some(300, 11), None, m.some(30, 11), 0.7, 4),
        lambda m: (m.below(30, 300, dtype=np.int32), m.some(300, 11), np.arange(1, 31, dtype=np.int32), m.some(30, 11))],
    "lookup_renorm": [lambda m: (m.below(30, 60), m.some(30, 45), 0.9, p) for p in (1, 2, 2.5)],
    "note_rows": [lambda m: (m.below(90, 300), (np.arange(90) < 5).astype(np.uint8),
                             np.concatenate([np.arange(5), np.zeros(85, int)]), np.array([5]))],
    "add_scaled_rows": [lambda m: (np.array([3, 1, 7]), m.some(2, 9, 50), m.some(2, 9, 50), -0.3)],
    "clear_rows": [lambda m: (np.array([3, 1, 7]), m.some(2, 9, 50), np.ones(9, np.uint8), np.array([3])),
                   lambda m: (np.array([], int), m.some(2, 9, 50), np.ones(9, np.uint8), np.array([3]))],
    "max_regions_update_output": [lambda m: (np.round(m.some(3, 4, 9, 11)), *_regions((4, 9, 11), (2, 3, 4)),
                                             m.out(3, 2, 3, 4), m.out(3, 2, 3, 4, dtype=np.int32))],
    "mean_regions_update_output": [lambda m: (m.some(3, 4, 9, 11), *_regions((4, 9, 11), (2, 3, 4)), m.out(3, 2, 3, 4))],
    "mean_regions_update_grad_input": [lambda m: (m.some(3, 2, 3, 4), *_regions((4, 9, 11), (2, 3, 4)),
                                                  m.out(3, 4, 9, 11))],
    "fractional_regions": [lambda m: (m._rng.random((5, 2)), m.out(5, 8, dtype=np.int32), m.out(5, 8, dtype=np.int32),
                                      (1, 9, 13), (1, 3, 4), (1, 2, 3))],
    "k_max_pool_update_output": [lambda m: (np.round(m.some(3, 50, 7)), m.out(3, 4, 7), m.out(3, 4, 7, dtype=np.int32),
                                            m.out(3, 4)),
                                 lambda m: (np.where(m.mask(2, 9, 3), m.dtype(np.nan), m.some(2, 9, 3)),
                                            m.out(2, 9, 3), m.out(2, 9, 3, dtype=np.int32), m.out(2, 9))],
    "class_nll_update_output": [
        lambda m: (m.some(5, 3, 900), m.below(3, 5, 900), m.positive(3), m.out(2, dtype=np.float64), 1),
        lambda m: (m.some(5, 3, 1), m.below(3, 5, 1, dtype=np.int32), None, m.out(2, dtype=np.float64), -100)],
    "class_nll_update_grad_input": [
        lambda m: (m.below(3, 5, 900), m.positive(3), m.out(5, 3, 900), 1, True),
        lambda m: (m.below(3, 5, 1, dtype=np.int32), None, m.out(5, 3, 1), -100, False),
        lambda m: (np.ones((5, 1), int), None, m.out(5, 3, 1), 1, True)],
    "multi_margin_update_output": [lambda m: (m.some(9, 70), m.below(70, 9), w and m.positive(70),
                                              m.out(9, dtype=np.float64), p, 0.7) for p in (1, 2) for w in (None, 1)],
    "multi_margin_update_grad_input": [lambda m: (m.some(9, 70), m.below(70, 9), w and m.positive(70), m.out(9, 70), p,
                                                  0.7, 0.3) for p in (1, 2) for w in (None, 1)],
    "multi_label_margin_update_output": [lambda m: (m.some(9, 40), m.below(41, 9, 40) - 1,
                                                    m.out(9, 40, dtype=np.uint8), m.out(9, dtype=np.float64))],
    "multi_label_margin_update_grad_input": [lambda m: (m.some(9, 40), m.below(41, 9, 40) - 1,
                                                        m.out(9, 40, dtype=np.uint8), m.out(9, 40), 0.3)],
    "class_simplex_target": [lambda m: (m.some(5, 5), m.below(5, 90), m.out(90, 5))],
    "cosine_embedding_update_output": [lambda m: (m.some(9, 70), m.some(9, 70), 2 * m.mask(9).astype(m.dtype) - 1,
                                                  m.out(9, dtype=np.float64), -0.1)],
    "cosine_embedding_update_grad_input": [lambda m: (m.some(9, 70), m.some(9, 70), 2 * m.mask(9).astype(m.dtype) - 1,
                                                      m.out(9, 70), m.out(9, 70), -0.1, 0.4)],
    "euclidean_update_output": [lambda m: (m.some(5, 40), m.some(40, 9), c and m.some(40, 9), m.out(5, 9))
                                for c in (None, 1)],
    "euclidean_update_grad_input": [lambda m: (m.some(5, 7), m.some(7, 70), c and m.some(7, 70), m.some(5, 70),
                                               m.out(5, 7)) for c in (None, 1)],
    "euclidean_acc_grad_parameters": [lambda m: (m.some(5, 40), m.some(40, 9), c and m.some(40, 9), m.some(5, 9),
                                                 m.some(40, 9), c and m.some(40, 9), -0.7) for c in (None, 1)],
    "vector_norms": [lambda m: (m.some(9, 70), m.out(9), 1e-3), lambda m: (m.some(1, 1), m.out(1), 0)],
    "divide_outer": [lambda m: (m.positive(9), m.positive(70), m.some(9, 70))],
    "cosine_gradients": [lambda m: (m.some(9, 70), m.some(9, 70), m.positive(9), m.positive(70), m.out(9, 70),
                                    m.out(9), m.out(70))],
    "add_factored_rows": [lambda m: (m.some(9, 70), m.some(9), m.out(9, 70)),
                          lambda m: (m.some(9, 70), m.some(9), m.some(9, 70), 0.5, -0.3)],
    "nearest_update_output": [lambda m: (x := m.some(9, 70), m.some(6, 70), m.out(9, dtype=np.int64), m.out(9),
                                         m.out(9), x.__setitem__((4, 60), np.nan))[:5]],
    "nearest_acc_grad_parameters": [lambda m: (m.some(40, 70), m.some(6, 70), m.below(5, 40), m.out(6, dtype=np.int64),
                                               m.some(6, 70), 0.3)],
    "dot_rows": [lambda m: (m.some(9, 70), m.some(9, 70), m.out(9))],
    "scale_rows": [lambda m: (m.some(9), m.some(9, 70), m.out(9, 70))],
    "cosine_update_output": [lambda m: (m.some(9, 70), m.some(9, 70), m.out(9), m.out(2, 9))],
    "cosine_update_grad_input": [lambda m: (m.some(9, 70), m.some(9, 70), m.some(9), m.positive(2, 9), m.some(9),
                                            m.out(9, 70), m.out(9, 70))],
    "distance_update_output": [lambda m: (m.some(9, 70), m.some(9, 70), m.out(9), p) for p in (1, 2, 3.5)],
    "distance_update_grad_input": [lambda m: (np.round(m.some(9, 70)), np.round(m.some(9, 70)), m.positive(9),
                                              m.some(9), m.out(9, 70), m.out(9, 70), p) for p in (1, 2, 3.5)],
    "mixture_update_output": [lambda m: (m.some(4, 6), m.some(4, 3, 5, 40), m.out(4, 3, 40), 1),
                              lambda m: (m.some(4, 6), m.some(4, 3, 5, 40), m.some(4, 3, 40), 0, True)],
    "mixture_update_grad_input": [lambda m: (m.some(4, 6), m.some(4, 3, 5, 40), m.some(4, 3, 40), m.some(4, 6),
                                             m.out(4, 3, 5, 40), 1)],
    "bilinear_dots": [lambda m: (m.some(4, 3, 40), m.some(4, 40), b and m.some(3), m.out(4, 3)) for b in (None, 1)],
    "bilinear_weighted": [lambda m: (m.some(4, 3, 90), m.some(4, 3), m.out(4, 90))],
    "bilinear_outer": [lambda m: (m.some(4, 3), m.some(4, 90), m.out(4, 3, 90))],
    "weight_norm_update_output": [lambda m: (m.some(9, 70), m.some(9, 1), m.out(9, 1), m.out(9, 70), 1e-3, floor)
                                  for floor in (0.1, 8)],
    "weight_norm_acc_grad_parameters": [lambda m: (m.some(9, 70), m.some(9, 1), np.maximum(m.positive(9, 1), 1),
                                                   m.some(9, 70), m.some(9, 70), m.some(9, 1), 1)],
    "entry_offsets": [lambda m: (m.below(9, 300), m.out(301, dtype=np.int64), m.out(1, dtype=np.int64)),
                      lambda m: (np.array([3, 0, -2, 4, -1]), m.out(6, dtype=np.int64), m.out(1, dtype=np.int64))],
    "even_offsets": [lambda m: (m.out(300, dtype=np.int64), 7)],
    "shift_keys": [lambda m: (m.below(9, 300, dtype=np.int32), m.out(300, dtype=np.int64), 5)],
    "split_pairs": [lambda m, wrong=wrong: (np.array([[1, 2.5], [0, 1], [8, 3], [wrong, 2], [-1, 4]][:n], m.dtype),
                                            m.out(n, dtype=np.int64), m.out(n), m.out(1, dtype=np.int64), 9)
                    for n, wrong in ((3, 0), (5, 9), (4, 1.5), (4, np.nan), (4, np.inf), (4, 3))],
    "join_pairs": [lambda m: (m.some(9, 70), m.out(9, 70, 2))],
    "sparse_linear_update_output": [lambda m: (m.below(20, 30), m.some(30), _offsets(11, 0, 19), m.some(7, 20),
                                               m.some(7), m.out(3, 7))],
    "sparse_linear_acc_grad_parameters": [lambda m: (m.below(20, 30), m.some(30), _offsets(11, 0, 19), m.some(3, 7),
                                                     m.some(7, 20), 0.3)],
    "index_linear_update_output": [lambda m: (m.below(20, 30), m.some(30), _offsets(11, 0, 19), m.some(20, 7),
                                              m.some(7), m.out(3, 7))],
    "index_linear_acc_grad_parameters": [lambda m: (m.below(20, 30), m.some(30), _offsets(11, 0, 19), m.some(3, 7),
                                                    m.some(20, 7), 0.3)],
    "index_normalize": [lambda m: (m.below(5, 30), m.some(30), m.some(5), np.abs(m.some(5)), m.out(30), m.out(30), train)
                        for train in (True, False)],
    "index_restore": [lambda m: (m.below(5, 30), m.some(30), m.some(5))],
    "index_acc_grad_shift": [lambda m: (m.below(20, 30), _offsets(11, 0, 19), m.some(3, 70), m.some(20, 70),
                                        m.some(20), 0.3)],
    "cross_map_lrn_update_output": [lambda m: (m.some(3, 7, 50), m.out(3, 7, 50), m.out(3, 7, 50), 5, 0.3, 0.75, 2)],
    "cross_map_lrn_update_grad_input": [lambda m: (m.some(3, 7, 50), m.some(3, 7, 50), m.some(3, 7, 50),
                                                   m.positive(3, 7, 50), m.out(3, 7, 50), 5, 0.3, 0.75)],
    "sum_channels": [lambda m: (m.some(3, 7, 150), m.out(3, 150), square) for square in (True, False)],
    "kernel_share": [lambda m: (m.positive(5, 3), m.out(9, 40), 1)],
    "filter_planes": [lambda m: (m.some(3, 9, 40), m.some(5, 3), f and m.some(9, 40), m.out(3, 9, 40)) for f in (None, 1)],
    "filter_planes_adjoint": [lambda m: (m.some(3, 9, 40), m.some(5, 3), f and m.some(9, 40), m.out(3, 9, 40))
                              for f in (None, 1)],
    "subtract_planes": [lambda m: (m.some(3, 7, 50), m.some(3, 50), m.out(3, 7, 50))],
    "divide_planes": [lambda m: (m.some(3, 7, 50), m.positive(3, 50), m.out(3, 7, 50))],
    "local_deviation": [lambda m: (m.positive(3, 9, 40), m.positive(9, 40), m.out(3, 9, 40), 1, 3)],
    "local_deviation_grad": [lambda m: (m.some(3, 7, 50), m.some(3, 7, 50), m.positive(3, 50), m.positive(50),
                                        m.positive(3, 50), m.out(3, 50), 1)],
    "divide_planes_grad": [lambda m: (m.some(3, 7, 50), m.some(3, 7, 50), m.positive(3, 50), m.some(3, 50),
                                      m.out(3, 7, 50))],
    "gated_linear_unit_update_output": [lambda m: (m.some(3, 2, 150), m.out(3, 150))],
    "gated_linear_unit_update_grad_input": [lambda m: (m.some(3, 2, 150), m.some(3, 150), m.out(3, 2, 150))],
    "total_variation_update_grad_input": [lambda m: (m.some(3, 9, 40), m.some(3, 9, 40), m.out(3, 9, 40), 0.3),
                                          lambda m: (m.some(3, 1, 4), m.some(3, 1, 4), m.out(3, 1, 4), 0.3)],
    "ctc_update_output": [lambda m: (*_ctc(m), np.zeros((4, 7, 7), m.dtype), m.out(4), m.out(4, 4, 7), 0)],
    "ctc_update_grad_input": [lambda m: (*_ctc_states(m), m.out(4, 4, 7), m.out(7, 4, 5),
                                         np.array([1, 0.3, 0, 1], m.dtype), 0)],
    "mufuru_update_output": [lambda m: (m.some(9, 40), m.some(9, 40), np.arange(8), m.some(9, 8, 40), m.out(9, 40))],
    "mufuru_update_grad_input": [lambda m: (m.some(9, 40), m.some(9, 40), np.arange(8), m.positive(9, 8, 40),
                                            m.some(9, 40), m.out(9, 8, 40), m.out(9, 40), m.out(9, 40))],
    "row_norms": [lambda m: (m.some(9, 70), m.out(9))],
    "add_norm_gradient": [lambda m: (m.some(3, 70), np.array([0, 1, 2], m.dtype), m.some(3), m.some(3, 70), 0.3)],
    "row_conv_update_output": [lambda m: (m.some(2, 20, 30), m.some(30, 4), b and m.some(30), m.out(2, out, 30),
                                          m.out(0), stride) for b in (None, 1) for out, stride in ((17, 1), (6, 3))],
    "row_conv_update_grad_input": [lambda m: (m.some(2, out, 30), m.some(30, 4), m.out(2, 20, 30), m.out(0), stride)
                                   for out, stride in ((17, 1), (6, 3), (3, 6))],
    "row_conv_acc_grad_parameters": [lambda m: (m.some(2, 20, 30), m.some(2, out, 30), m.some(30, 4),
                                                b and m.some(30), m.out(120), stride, 0.3)
                                     for b in (None, 1) for out, stride in ((17, 1), (6, 3))],
    "local_conv_update_output": [lambda m: (m.some(3, 4, 9, 8), m.some(5, 4, 6, 4, 3, 3), b and m.some(6, 5, 4),
                                            m.out(3, 6, 5, 4), m.out(0), (2, 2), (1, 1)) for b in (None, 1)],
    "local_conv_update_grad_input": [lambda m: (m.some(3, 6, 5, 4), m.some(5, 4, 6, 4, 3, 3), m.out(3, 4, 9, 8),
                                                m.out(0), (2, 2), (1, 1))],
    "local_conv_acc_grad_parameters": [lambda m: (m.some(3, 4, 9, 8), m.some(3, 6, 5, 4), m.some(5, 4, 6, 4, 3, 3),
                                                  b and m.some(6, 5, 4), m.out(0), (2, 2), (1, 1), 0.3)
                                       for b in (None, 1)],
    "plane_conv_update_output": [lambda m: (lambda p: (m.some(3, 4, 9, 8), m.some(7, 3, 2), b and m.some(3, 2), p[0],
                                                       p[1], m.out(3, 6, 5, 4), m.out(0), (2, 2), (1, 0)))(
        _pairs(m, 7, 4, 6)) for b in (None, 1)],
    "plane_conv_update_grad_input": [lambda m: (lambda p: (m.some(3, 6, 5, 4), m.some(7, 3, 2), p[0], p[2],
                                                           m.out(3, 4, 9, 8), m.out(0), (2, 2), (1, 0)))(
        _pairs(m, 7, 4, 6))],
    "plane_conv_acc_grad_parameters": [lambda m: (m.some(3, 4, 9, 8), m.some(3, 6, 5, 4), _pairs(m, 7, 4, 6)[0],
                                                  m.some(7, 3, 2), m.out(0), (2, 2), (1, 0), 0.3)],
    "add_planes": [lambda m: (m.some(2, 3), m.some(4, 6, 5, 9)), lambda m: (m.some(2, 3), m.some(0, 6, 5))],
    "sum_planes": [lambda m: (m.some(4, 6, 5, 9), m.some(2, 3), 0.3), lambda m: (m.some(0, 6, 5), m.some(2, 3))],
}


def _copy(arguments):
    return [tuple(_copy(a)) if isinstance(a, tuple) else a.copy() if isinstance(a, np.ndarray) else a for a in arguments]


@each_dtype
@pytest.mark.parametrize("name", CALLS)
def test_beside_the_reference(name, dtype):
    for make in CALLS[name]:
        given = make(_Make(dtype))
        ours, theirs = _copy(given), _copy(given)
        with np.errstate(all="ignore"):
            getattr(cuda, name)(*ours)
            getattr(reference, name)(*theirs)
        parameters = getattr(reference, name).__code__.co_varnames
        for parameter, a, b in zip(parameters, ours, theirs):
            if isinstance(a, np.ndarray) and parameter != "work":
                _same(a, b, dtype, f"{name}({parameter})")


@pytest.mark.parametrize("name", CALLS)
def test_runs_repeat_to_the_bit(name):
    given = CALLS[name][0](_Make(np.float32))
    once, again = _copy(given), _copy(given)
    getattr(cuda, name)(*once)
    getattr(cuda, name)(*again)
    for a, b in zip(once, again):
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
