"""The kernels by themselves: edges of IEEE, threads, the cache, the elementwise tool."""
import math
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import nnmod
from nnmod import kernels
from nnmod.kernels import formulas, optim_formulas, reference

try:
    from nnmod.kernels import cpu
    from nnmod.kernels.cpu import threads
except ImportError:
    cpu = None

needs_numba = pytest.mark.skipif(cpu is None, reason="numba is not installed")
BACKENDS = [pytest.param(reference, id="reference"), pytest.param(cpu, id="cpu", marks=needs_numba)]
DTYPES = [np.float32, np.float64]


@pytest.fixture
def backend(request):
    with kernels.use_backend(request.param):
        yield request.param


on_each_backend = pytest.mark.parametrize("backend", BACKENDS, indirect=True)


# -- gemm ----------------------------------------------------------------------------

@on_each_backend
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
def test_gemm(backend, dtype, trans_a, trans_b):
    rng = np.random.default_rng(0)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for M, N, K in [(1, 1, 1), (1, 5, 3), (2, 3, 4), (4, 4, 4), (5, 7, 9), (8, 1, 17), (13, 33, 1), (31, 18, 20),
                    (0, 3, 4), (3, 4, 0), (3, 0, 4)]:
        a, b = rng.standard_normal((M, K)), rng.standard_normal((K, N))
        bias = rng.standard_normal(N).astype(dtype)
        given_a = np.ascontiguousarray(a.T if trans_a else a, dtype)
        given_b = np.ascontiguousarray(b.T if trans_b else b, dtype)
        c = np.full((M, N), np.nan, dtype)  # beta == 0 must not read it
        backend.gemm(given_a, given_b, c, 0.5, 0.0, trans_a, trans_b, bias)
        np.testing.assert_allclose(c, 0.5 * (a @ b) + bias, rtol=tolerance, atol=tolerance * 10)
        before = c.copy()
        backend.gemm(given_a, given_b, c, -2.0, 3.0, trans_a, trans_b)
        np.testing.assert_allclose(c, -2 * (a @ b) + 3 * before, rtol=tolerance, atol=tolerance * 30)


@on_each_backend
def test_gemm_carries_nan_and_inf(backend):
    a = np.array([[1.0, np.nan], [np.inf, 1.0], [1.0, 1.0]])
    c = np.empty((3, 2))
    backend.gemm(a, np.ones((2, 2)), c)
    assert np.isnan(c[0]).all() and (c[1] == np.inf).all() and (c[2] == 2).all()
    backend.gemm(np.zeros((1, 1)), np.array([[np.inf]]), c := np.empty((1, 1)))
    assert np.isnan(c).all()  # 0 * inf


# -- formulas -------------------------------------------------------------------------

EDGES = np.array([0.0, -0.0, 1e-30, -1e-30, 1e-8, 0.3, -0.3, 1.0, -1.0, 20.0, -20.0, 88.7, -87.0, 700.0, -700.0,
                  1e30, -1e30, np.inf, -np.inf, np.nan])


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "expm1", "tanh", "sigmoid", "log", "log1p", "sqrt"])
def test_elementary_functions(name, dtype):
    """Within a few units in the last place of NumPy, and equal at IEEE's edges."""
    function = getattr(formulas, name)
    x = np.concatenate([EDGES, np.linspace(-100, 100, 20001), np.linspace(-1, 1, 2001),
                        np.linspace(-745, 710, 5001)]).astype(dtype)
    if name in ("log", "log1p", "sqrt"):
        x = np.abs(x)
    y = np.empty_like(x)
    kernels.elementwise(function)(x, y)
    with np.errstate(all="ignore"):
        exact = function(x.astype(np.float64))
        expected = exact.astype(dtype)
    if dtype == np.float32:  # float64's result may round to inf or 0 where float32 ends
        limit = np.abs(exact) > np.finfo(np.float32).max * (1 - 1e-6)
        assert np.array_equal(y[limit], expected[limit])
    finite = np.isfinite(expected)
    assert np.array_equal(y[~finite], expected[~finite], equal_nan=True)
    normal = finite & (np.abs(expected) > np.finfo(dtype).tiny * 4)
    error = np.abs(y[normal].astype(np.float64) - expected[normal]) / np.spacing(np.abs(expected[normal]))
    assert error.max() <= 4


@on_each_backend
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [nnmod.ReLU, nnmod.LeakyReLU, nnmod.ELU, nnmod.Tanh, nnmod.Sigmoid,
                                  nnmod.SoftPlus, nnmod.HardTanh], ids=lambda cls: cls.__name__)
def test_activations_at_the_edges(backend, make, dtype):
    module = make()
    x = EDGES.astype(dtype)
    y = module.forward(x)
    assert np.isnan(y[-1]) and not np.isnan(y[:-1]).any()
    dx = module.backward(x, np.ones_like(x))
    assert np.isnan(dx[-1]) and not np.isnan(dx[:-1]).any()


@on_each_backend
@pytest.mark.parametrize("make", [nnmod.SoftMax, nnmod.LogSoftMax], ids=lambda cls: cls.__name__)
def test_softmax_neither_overflows_nor_hides_nan(backend, make):
    x = np.array([[1e4, -1e4, 0, 1e4], [0, np.nan, 1, 2], [np.nan, 0, 0, 0], [-np.inf, 0, 0, 0]])
    y = make().forward(x)
    assert np.isfinite(y[0]).all() or make is nnmod.LogSoftMax
    assert not np.isnan(y[0]).any() and np.isnan(y[1:3]).all()
    probability = np.exp(y[3]) if make is nnmod.LogSoftMax else y[3]
    np.testing.assert_allclose(probability, [0, 1 / 3, 1 / 3, 1 / 3])


# -- the elementwise tool -----------------------------------------------------------------

def helper(x):
    return x * x


@on_each_backend
@pytest.mark.parametrize("dtype", DTYPES)
def test_elementwise_takes_plain_python(backend, dtype):
    """Branches, math, helpers, closures, several outputs, numbers, any shape."""
    factor = 3

    def formula(x, y, limit):
        if x > limit:
            return factor * math.sqrt(x), helper(y)
        return x, y

    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 2, (2, 3, 4)).astype(dtype), rng.standard_normal((2, 3, 4)).astype(dtype)
    a, b = np.full_like(x, np.nan), np.full_like(x, np.nan)
    kernels.elementwise(formula, outputs=2)(x, y, a, b, 1.0)
    np.testing.assert_allclose(a, np.where(x > 1, 3 * np.sqrt(x), x), rtol=1e-6)
    np.testing.assert_allclose(b, np.where(x > 1, y * y, y), rtol=1e-6)


@on_each_backend
def test_elementwise_in_place_and_strided(backend):
    double = kernels.elementwise(lambda x, y: x + y)
    wide = np.arange(24.0).reshape(4, 6)
    view = wide[:, ::2]
    expected = view * 2
    double(view, view, view)
    np.testing.assert_array_equal(view, expected)
    np.testing.assert_array_equal(wide[:, 1::2], np.arange(24.0).reshape(4, 6)[:, 1::2])
    double(x := np.ones(5), x, x)
    np.testing.assert_array_equal(x, 2)


@on_each_backend
def test_elementwise_sum_is_taken_in_float64(backend):
    x = np.full(3_000_001, 0.1, np.float32)
    total = kernels.elementwise_sum(formulas.absolute_error)(x, np.zeros_like(x))
    assert total == pytest.approx(float(np.float32(0.1)) * x.size, rel=1e-9)


@needs_numba
def test_formulas_that_share_a_line_and_a_name_do_not_share_a_kernel():
    results = []
    for function in (np.sin, np.cos):
        kernel = kernels.elementwise(lambda x: function(x))
        kernel(np.ones(1), y := np.empty(1))
        results.append(float(y[0]))
    a, b = kernels.elementwise(lambda x: x + 1.0), kernels.elementwise(lambda x: x + 2.0)
    for kernel, expected in ((a, 2), (b, 3)):
        kernel(np.ones(1), y := np.empty(1))
        assert y[0] == expected
    assert results == [pytest.approx(math.sin(1)), pytest.approx(math.cos(1))]


@needs_numba
def test_float32_kernels_hold_no_float64(monkeypatch):
    """A literal that is not constant() would double the width of the arithmetic."""
    # Numba shows no code of kernels that come from the cache.
    monkeypatch.setattr("nnmod.kernels.cpu.cache.KernelCache.load_overload", lambda *_: None)
    x = np.ones(8, np.float32)
    for function, arguments in ((formulas.relu, 1), (formulas.elu, 1), (formulas.sigmoid, 1), (formulas.tanh, 1),
                                (formulas.relu_grad, 2), (formulas.elu_grad, 2), (formulas.sigmoid_grad, 2),
                                (formulas.tanh_grad, 2), (formulas.hard_tanh_grad, 2),
                                (formulas.squared_error_grad, 2), (formulas.smooth_l1_grad, 2),
                                (optim_formulas.rmsprop, 3), (optim_formulas.adam, 4),
                                (optim_formulas.adamax, 4), (optim_formulas.adadelta, 4), (optim_formulas.nag, 3),
                                (optim_formulas.asgd, 3), (optim_formulas.rprop, 4)):
        outputs = {"rmsprop": 2, "adam": 3, "adamax": 3, "adadelta": 3, "nag": 2, "asgd": 2,
                   "rprop": 3}.get(function.__name__, 1)
        numbers = function.__code__.co_argcount - arguments
        kernel = cpu.elementwise(function, arguments, outputs)
        kernel(*[x.copy() for _ in range(arguments + outputs)], *[0.5] * numbers)
        (loop,) = kernel._loops.values()
        body = next(iter(loop.inspect_llvm().values()))
        arithmetic = [line for line in body.splitlines()
                      if " double" in line and any(op in line for op in ("fmul", "fadd", "fsub", "fdiv"))]
        assert not arithmetic, f"{function.__name__}: {arithmetic[0]}"


# -- random ---------------------------------------------------------------------------------

def test_philox_known_answers():
    """The known-answer vectors published with Random123 (Philox-4x32-10)."""
    words = reference.random.philox_words(0, 0, 4)
    assert [hex(w) for w in words] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_masks_are_the_same_everywhere(dtype):
    for size in (1, 3, 4, 1001):
        a, b = np.full(size, np.nan, dtype), np.full(size, np.nan, dtype)
        for backend, mask in ((reference, a), (cpu, b)):
            backend.dropout_mask(mask, 2**63 + 12345, 2**40 + 7, 0.3, 1.25)
        assert np.array_equal(a, b)
    assert 0.65 < (a != 0).mean() < 0.75


def test_the_same_seed_gives_the_same_numbers():
    def draw():
        nnmod.manualSeed(3)
        a, b = np.empty((3, 5)), np.empty(7, np.float32)
        nnmod.random.uniform(a, -1, 1)
        nnmod.random.normal(b, 2, 3)
        return a, b, nnmod.random.permutation(20), nnmod.Linear(3, 2).weight

    first, second = draw(), draw()
    assert all(map(np.array_equal, first, second))
    assert sorted(first[2]) == list(range(20))
    nnmod.random.normal(many := np.empty(100_001))
    assert abs(many.mean()) < 0.02 and many.std() == pytest.approx(1, abs=0.02)
    state = nnmod.random.get_state()
    a = nnmod.random.permutation(9)
    nnmod.random.set_state(state)
    assert np.array_equal(a, nnmod.random.permutation(9))


# -- threads --------------------------------------------------------------------------------------

@pytest.fixture
def eager_threads(monkeypatch):
    """Wake threads for the smallest piece of work."""
    monkeypatch.setattr(threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(threads, "ELEMENTS_PER_THREAD", 1)
    monkeypatch.setattr(threads, "grain", lambda work, total=1: 1)
    before = threads.get_num_threads()
    yield threads
    threads.set_num_threads(before)


def training_bits():
    nnmod.manualSeed(5)
    net = nnmod.Sequential(nnmod.Linear(37, 29), nnmod.Tanh(), nnmod.Dropout(0.3), nnmod.Linear(29, 11),
                           nnmod.LogSoftMax())
    criterion = nnmod.ClassNLLCriterion()
    x = np.random.default_rng(0).standard_normal((23, 37)).astype(np.float32)
    target = np.arange(23) % 11
    for _ in range(3):
        net.zeroGradParameters()
        criterion.forward(net.forward(x), target)
        net.backward(x, criterion.backward(net.output, target))
        net.updateParameters(0.1)
    return net.getParameters()[0].tobytes() + net.gradInput.tobytes()


@needs_numba
def test_the_same_bits_with_any_number_of_threads(eager_threads):
    results = set()
    for count in (1, 2, 3, 5):
        eager_threads.set_num_threads(count)
        results.add(training_bits())
    assert len(results) == 1


@needs_numba
def test_several_python_threads_at_once(eager_threads):
    eager_threads.set_num_threads(3)
    x = np.random.default_rng(0).standard_normal((64, 48))
    module = nnmod.Sequential(nnmod.Linear(48, 32), nnmod.Sigmoid()).double()
    expected = module.forward(x).copy()
    wrong = []

    def work():
        mine = module.clone()
        for _ in range(50):
            if not np.array_equal(mine.forward(x), expected):
                wrong.append(1)

    callers = [threading.Thread(target=work) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


@needs_numba
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
def test_a_forked_child_computes(tmp_path):
    code = ("import os, numpy as np, nnmod\n"
            "from nnmod.kernels.cpu import threads\n"
            "threads.FLOPS_PER_THREAD = 1; threads.ELEMENTS_PER_THREAD = 1; threads.set_num_threads(3)\n"
            "net = nnmod.Sequential(nnmod.Linear(64, 64), nnmod.ReLU()); x = np.ones((64, 64), np.float32)\n"
            "y = net.forward(x).copy()\n"
            "pid = os.fork()\n"
            "if pid == 0: os._exit(0 if np.array_equal(net.forward(x), y) else 3)\n"
            "import sys; sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n")
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=120, capture_output=True, text=True,
                            env=os.environ | {"NNMOD_KERNELS": "cpu", "NNMOD_QUIET": "1"})
    assert result.returncode == 0, result.stderr


@needs_numba
def test_an_error_in_a_worker_reaches_the_caller(eager_threads):
    eager_threads.set_num_threads(3)

    def kernel(start, stop):
        if start:
            raise ArithmeticError(f"{start}..{stop}")

    with pytest.raises(ArithmeticError):
        eager_threads.run(kernel, 9, 1)
    eager_threads.run(lambda start, stop: None, 9, 1)  # and the pool lives on


@on_each_backend
def test_the_number_of_threads(backend):
    before = nnmod.getnumthreads()
    nnmod.setnumthreads(3)
    assert nnmod.getnumthreads() == (3 if backend is cpu else 1)
    nnmod.setnumthreads(before)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_a_wrong_number_of_threads(count):
    with pytest.raises(ValueError) as caught:
        nnmod.setnumthreads(count)
    assert str(caught.value) == f"the number of threads must be an int > 0, got {count!r}"


# -- which backend, and its cache --------------------------------------------------------------------

def run_python(code, **environment):
    environment = {k: v for k, v in (os.environ | environment).items() if v is not None}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300,
                          env=environment)


FORWARD = ("import numpy as np, nnmod; nnmod.manualSeed(1); net = nnmod.Sequential(nnmod.Linear(4, 3), nnmod.Tanh());"
           "print(nnmod.kernels.backend_name(), float(np.abs(net.forward(np.ones((2, 4), np.float32))).sum()))")


def test_the_reference_takes_over_on_request_and_without_numba():
    asked = run_python(FORWARD, NNMOD_KERNELS="reference")
    assert asked.returncode == 0 and asked.stderr == ""
    hidden = ("import importlib.util as u; find = u.find_spec\n"
              "u.find_spec = lambda name, *rest: None if name == 'numba' else find(name, *rest)\n" + FORWARD)
    missing = run_python(hidden, NNMOD_KERNELS=None, NNMOD_QUIET=None)
    assert missing.stderr == ("nnmod: numba is not installed, so the NumPy reference kernels are used "
                              "(right, but slower)\n")
    assert asked.stdout == missing.stdout and asked.stdout.startswith("reference ")
    wrong = run_python(FORWARD, NNMOD_KERNELS="gpu")
    assert "NNMOD_KERNELS must be cpu or reference, got 'gpu'" in wrong.stderr
