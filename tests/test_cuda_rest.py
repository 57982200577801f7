"""CUDA kernels one by one, in the emulator, beside the reference: sizes across blocks, one element, none, NaN.

The calls that modules make of them are in test_cuda_modules.py.
"""
import importlib
import pkgutil

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

import nnmod
from cuda_calls import CALLS, Make
from nnmod import kernels
from nnmod.kernels import cpu, cuda, formulas, reference
from nnmod.kernels.cuda import compile as compile_module
from nnmod.kernels.cuda import layout
from test_cuda_modules import stays_in_float32  # noqa: F401  reads the PTX of what is launched here, too

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
EDGES = [0.0, -0.0, 1e-30, -1e-30, 0.3, -0.3, 1.0, -1.0, 20.0, -20.0, 88.7, -87.0, 700.0, -700.0, np.inf, -np.inf,
         np.nan]
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


@pytest.mark.parametrize("kind, formula, writes", [
    key for key in REGISTERED if key[1].__module__ in (formulas.__name__, kernels.optim_formulas.__name__)],
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
    exact = ((x - t).astype(np.float64) ** 2).sum()
    np.testing.assert_allclose(first[0], exact, rtol=1e-6 if dtype == np.float32 else 1e-12)


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


@each_dtype
def test_noise_in_a_view(dtype):
    """Tensors that do not begin at a multiple of 16 bytes."""
    wide = np.full(1000, np.nan, dtype)
    cuda.dropout_mask(wide[1:], 5, 0, 0.5, 2)
    expected = np.empty(999, dtype)
    reference.dropout_mask(expected, 5, 0, 0.5, 2)
    np.testing.assert_array_equal(wide[1:], expected)
    assert np.isnan(wide[0])


# -- calls, beside the reference ------------------------------------------------------------------

def _copy(arguments):
    copies = [tuple(_copy(a)) if isinstance(a, tuple) else a for a in arguments]
    return [a.copy() if isinstance(a, np.ndarray) else a for a in copies]


def _beside_the_reference(name, dtype):
    parameters = getattr(reference, name).__code__.co_varnames
    for given in CALLS[name](Make(dtype)):
        ours, theirs = _copy(given), _copy(given)
        with np.errstate(all="ignore"):
            getattr(cuda, name)(*ours)
            getattr(reference, name)(*theirs)
        for parameter, a, b in zip(parameters, ours, theirs):
            # What the gates and the projected hold at steps that are padding means nothing.
            padded = name == "lstm_update_output" and given[5] is not None
            undefined = parameter == "work" or padded and parameter in ("gates", "m")
            if isinstance(a, np.ndarray) and not undefined:
                _same(a, b, dtype, f"{name}({parameter})")


@each_dtype
@pytest.mark.parametrize("name", CALLS)
def test_beside_the_reference(name, dtype):
    _beside_the_reference(name, dtype)


@pytest.mark.parametrize("name", CALLS)
def test_runs_repeat_to_the_bit(name):
    given = CALLS[name](Make(np.float32))[0]
    once, again = _copy(given), _copy(given)
    getattr(cuda, name)(*once)
    getattr(cuda, name)(*again)
    for a, b in zip(once, again):
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["permute", "pad3d_update_output", "upsample_linear_update_grad_input", "dot_rows"])
def test_numbers_of_64_bits(name, monkeypatch):
    """Tensors of 2**31 elements and more number their items by int64; here small ones do."""
    monkeypatch.setattr(compile_module, "index", np.int64)
    monkeypatch.setattr(layout, "index", np.int64)
    _beside_the_reference(name, np.float32)
