"""The optimizers that search: lbfgs, cg, FistaLS, cmaes, de and SciPy's, with what they are made of."""
import pickle
import sys
import tracemalloc

import numpy as np
import pytest

import nnmod
from nnmod import kernels, optim, tensor

MATRIX = np.array([[3.0, 0.5, 0.25, 0.0], [0.5, 2.0, 0.3, -0.2], [0.25, 0.3, 1.5, 0.4],
                   [0.0, -0.2, 0.4, 2.5]])
RIGHT = np.array([1.0, -2.0, 0.5, 3.0])
SEARCHES = [(optim.lbfgs, {"maxIter": 8, "learningRate": 0.1}),
            (optim.lbfgs, {"maxIter": 8, "lineSearch": optim.lswolfe}),
            (optim.cg, {"maxIter": 8})]
each_search = pytest.mark.parametrize("method, config", SEARCHES, ids=["lbfgs", "lbfgs-lswolfe", "cg"])


def quadratic(x):
    A, b = MATRIX.astype(x.dtype), RIGHT.astype(x.dtype)
    return float(x @ A @ x / 2 - b @ x), A @ x - b


def valley(x):
    """Rosenbrock's."""
    a, b = x[:-1], x[1:]
    gradient = np.zeros_like(x)
    gradient[:-1] = -400 * a * (b - a**2) - 2 * (1 - a)
    gradient[1:] += 200 * (b - a**2)
    return float(np.sum(100 * (b - a**2) ** 2 + (1 - a) ** 2)), gradient


def start(dtype=np.float64):
    return np.array([-1.2, 1.0, 0.5, -0.3], dtype)


def in_one_tensor(function, like):
    """The same opfunc, which hands out one tensor every time, as a network's gradFlat is."""
    kept = np.empty_like(like)

    def opfunc(x):
        f, kept[...] = function(x)
        return f, kept
    return opfunc


# -- lbfgs and cg ------------------------------------------------------------------------


def lbfgs_twin(opfunc, x, iterations, rate, most):
    """L-BFGS with a fixed step, with the matrix H written out."""
    x, pairs, H0 = x.copy(), [], 1.0
    f, g = opfunc(x)
    for t in range(iterations):
        H = H0 * np.eye(x.size)
        for s, y in pairs:
            V = np.eye(x.size) - np.outer(y, s) / (y @ s)
            H = V.T @ H @ V + np.outer(s, s) / (y @ s)
        step = (rate if t else rate * min(1, 1 / np.abs(g).sum())) * -H @ g
        x += step
        f, new = opfunc(x)
        if (new - g) @ step > 1e-10:
            pairs = [*pairs, (step, new - g)][-most:]
            H0 = step @ (new - g) / ((new - g) @ (new - g))
        g = new
    return x


@pytest.mark.parametrize("calls, iterations", [(1, 12), (3, 4), (12, 1)])
@pytest.mark.parametrize("most", [1, 3, 100])
def test_lbfgs_is_the_matrix_written_out(most, calls, iterations):
    x, config = start(), {"learningRate": 0.1, "maxIter": iterations, "maxEval": 100, "nCorrection": most}
    for _ in range(calls):
        optim.lbfgs(in_one_tensor(valley, x), x, config)
    np.testing.assert_allclose(x, lbfgs_twin(valley, start(), 12, 0.1, most), rtol=1e-9)
    assert config["nIter"] == 12 and len(config["old_dirs"]) <= most


def test_lbfgs_forgets_pairs_when_ncorrection_falls():
    x, state = start(), {}
    optim.lbfgs(valley, x, {"learningRate": 0.1, "maxIter": 8}, state)
    assert len(state["old_dirs"]) == 7
    optim.lbfgs(valley, x, {"learningRate": 0.1, "maxIter": 3, "nCorrection": 2}, state)
    assert len(state["old_dirs"]) == len(state["old_stps"]) == len(state["ro"]) == 2


@pytest.mark.parametrize("dtype, close", [(np.float64, 1e-6), (np.float32, 2e-3)], ids=["float64", "float32"])
@each_search
def test_a_quadratic_is_solved(method, config, dtype, close):
    x = np.ones(4, dtype)
    config = {**config, "maxIter": 60, "maxEval": 200}
    if "lineSearch" not in config and method is optim.lbfgs:
        config["learningRate"] = 1
    x, fs = method(in_one_tensor(quadratic, x), x, config)
    assert x.dtype == dtype
    np.testing.assert_allclose(x, np.linalg.solve(MATRIX, RIGHT), atol=close)
    assert fs[0] == quadratic(np.ones(4, dtype))[0] and min(fs) == pytest.approx(quadratic(x)[0], abs=1e-5)


@pytest.mark.parametrize("method, config", SEARCHES[1:], ids=["lbfgs-lswolfe", "cg"])
def test_the_valley_is_walked_to_its_end(method, config):
    x, config = np.array([-1.2, 1.0]), {**config, "maxIter": 100, "maxEval": 300}
    for _ in range(4):
        x, fs = method(valley, x, config)
        assert all(after <= before for before, after in zip(fs, fs[1:]))
    np.testing.assert_allclose(x, 1, atol=1e-4)


@each_search
def test_going_on_from_a_pickled_state_gives_the_same_bits(method, config):
    x, state = start(), {}
    for _ in range(2):
        method(valley, x, config, state)
    y, copied = pickle.loads(pickle.dumps((x, state)))
    for _ in range(2):
        method(valley, x, config, state)
        method(valley, y, config, copied)
    np.testing.assert_array_equal(x, y)
    assert state["funcEval"] == copied["funcEval"]


@each_search
def test_state_lives_in_config_unless_given(method, config):
    together, apart, state = dict(config), dict(config), {}
    x, y = start(), start()
    for _ in range(3):
        method(valley, x, together)
        method(valley, y, apart, state)
    assert apart == config and set(together) == {*config, *state}
    np.testing.assert_array_equal(x, y)


@each_search
def test_a_gradient_may_be_read_only_and_strided(method, config):
    def locked(x):
        f, g = valley(x)
        g = np.repeat(g, 2)[::2]
        g.setflags(write=False)
        return f, g

    x, y = start(), start()
    method(valley, x, dict(config))
    method(locked, y, dict(config))
    np.testing.assert_array_equal(x, y)


@each_search
def test_steady_state_allocates_no_tensor(method, config):
    x = np.linspace(-1, 1, 100_000)
    config = {**config, "maxIter": 4}
    if method is optim.lbfgs:
        config["nCorrection"] = 3
    gradient = np.empty_like(x)

    def opfunc(x):
        np.sin(x, out=gradient)
        np.multiply(gradient, 2, out=gradient)
        return -2 * float(kernels.elementwise_sum(np_cos)(x)), gradient

    for _ in range(3):
        x[...] = np.linspace(-1, 1, x.size)
        method(opfunc, x, config)
    x[...] = np.linspace(-1, 1, x.size)
    before = tensor.allocations
    tracemalloc.start()
    try:
        method(opfunc, x, config)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert tensor.allocations == before
    if kernels.backend_name() == "cpu":  # NumPy has temporaries
        assert peak < 8 * x.size / 2


def np_cos(x):
    # 1 - x^2/2 + ...: the loss needs only be near that of the gradient
    return 1.0 - x * x / 2 + x * x * x * x / 24


@each_search
def test_threads_do_not_change_a_bit(method, config):
    if kernels.backend_name() != "cpu":
        pytest.skip("the reference kernels have no threads")
    from nnmod.kernels.cpu import threads
    size = 2 * threads.ELEMENTS_PER_THREAD + 12_345
    begin = np.sin(np.arange(size))
    results, usual = [], threads.get_num_threads()
    try:
        for count in (1, 3):
            threads.set_num_threads(count)
            x = begin.copy()
            method(lambda x: (float((x**2).sum()) + float((x**4).sum()), 2 * x + 4 * x**3), x,
                   {**config, "maxIter": 3})
            results.append(x)
    finally:
        threads.set_num_threads(usual)
    np.testing.assert_array_equal(*results)


def count_calls(method, config, function=valley, begin=start):
    calls = []
    x, fs = method(lambda x: (calls.append(1), function(x))[1], begin(), config)
    return len(calls), fs


def test_lbfgs_stops_where_its_options_say():
    base = {"learningRate": 0.01, "maxIter": 20}
    assert count_calls(optim.lbfgs, base)[0] == 20
    assert count_calls(optim.lbfgs, {**base, "maxEval": 7})[0] == 7
    assert count_calls(optim.lbfgs, {**base, "tolFun": 1e9})[0] == 1
    # No direction goes down enough.
    assert count_calls(optim.lbfgs, {**base, "tolX": 1e9}) == (1, [pytest.approx(79.7)])
    assert count_calls(optim.lbfgs, {**base, "tolX": 1.7})[0] == 2  # the loss fell by less
    with_search = {"lineSearch": optim.lswolfe, "lineSearchOptions": {"maxIter": 1}, "maxIter": 3}
    assert count_calls(optim.lbfgs, with_search)[0] <= 7


def test_cg_stops_where_its_options_say():
    assert count_calls(optim.cg, {"maxEval": 5})[0] == 5
    assert count_calls(optim.cg, {"maxIter": 4})[0] == 5
    assert count_calls(optim.cg, {"maxEval": 1})[0] == 1


@pytest.mark.parametrize("options", [{"rho": 0.3}, {"sig": 0.1}, {"int": 0.4}, {"ext": 2}, {"ratio": 1.0}],
                         ids=lambda o: next(iter(o)))
def test_every_option_of_cg_changes_the_path(options):
    x, y = start(), start()
    optim.cg(valley, x, {"maxIter": 20})
    optim.cg(valley, y, {"maxIter": 20, **options})
    assert not np.array_equal(x, y) and valley(y)[0] < valley(start())[0]


def test_cg_returns_to_where_a_failed_search_began():
    """The gradient points the wrong way, so that every trial is worse."""
    x = start()
    x, fs = optim.cg(lambda x: (valley(x)[0], -valley(x)[1]), x)
    np.testing.assert_array_equal(x, start())
    assert fs == [valley(start())[0]]


def test_an_error_in_opfunc_leaves_x_where_a_search_began():
    for method, config in SEARCHES[1:]:
        x, calls = start(), []

        def opfunc(x):
            calls.append(1)
            return valley(x) if len(calls) < 2 else 1 / 0

        with pytest.raises(ZeroDivisionError):
            method(opfunc, x, dict(config))
        np.testing.assert_array_equal(x, start())


def test_lbfgs_goes_on_after_an_error_in_a_line_search():
    x, config, calls = start(), {"lineSearch": optim.lswolfe, "maxIter": 5}, []

    def opfunc(x):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return valley(x)

    with pytest.raises(KeyboardInterrupt):
        optim.lbfgs(opfunc, x, config)
    f = valley(x)[0]
    x, fs = optim.lbfgs(opfunc, x, config)
    assert fs[0] == f and fs[-1] < f


@pytest.mark.parametrize("method, config, error, text", [
    (optim.lbfgs, {"maxIter": 0}, ValueError, "maxIter must be a number >= 1, got 0"),
    (optim.lbfgs, {"nCorrection": 2.5}, ValueError, "nCorrection must be a whole number, got 2.5"),
    (optim.lbfgs, {"lineSearch": "wolfe"}, TypeError,
     "lineSearch must be a function such as optim.lswolfe, got 'wolfe'"),
    (optim.lbfgs, {"lineSearchOptions": {}}, ValueError,
     "lineSearchOptions need a lineSearch, such as optim.lswolfe"),
    (optim.lbfgs, {"lineSearch": optim.lswolfe, "lineSearchOptions": {"C1": 1}}, ValueError,
     "optim.lswolfe has no option 'C1'; did you mean 'c1'?"),
    (optim.lbfgs, {"ncorrection": 3}, ValueError,
     "optim.lbfgs has no option 'ncorrection'; did you mean 'nCorrection'?"),
    (optim.lbfgs, {"momentum": 0.9}, ValueError,
     "optim.lbfgs has no option 'momentum'; it has maxIter, maxEval,"),
    (optim.cg, {"int": 0.7}, ValueError, "int must be a number within 0..0.5, got 0.7"),
    (optim.cg, {"max_iter": 3}, ValueError, "optim.cg has no option 'max_iter'; did you mean 'maxIter'?"),
    (optim.cg, {"maxEval": "5"}, ValueError, "maxEval must be a number >= 1, got '5'"),
    (optim.lbfgs, {"old_dirs": [np.zeros(3)]}, nnmod.ShapeError,
     "state['old_dirs'][0] must have the shape of x, (4,), got (3,)"),
    (optim.lbfgs, {"g_old": np.zeros(3), "nIter": 1}, nnmod.ShapeError,
     "state['g_old'] must have the shape of x, (4,), got (3,)"),
    (optim.cg, {"s": np.zeros(4, np.float32)}, TypeError,
     "state['s'] must have the dtype of x, float64, got float32"),
])
def test_wrong_values_are_refused(method, config, error, text):
    x = start()
    with pytest.raises(error) as caught:
        method(valley, x, config)
    assert text in str(caught.value)
    np.testing.assert_array_equal(x, start())


# -- the line search and the polynomial --------------------------------------------------


@pytest.mark.parametrize("first", [1e-3, 0.1, 1, 30])
@pytest.mark.parametrize("c1, c2", [(1e-4, 0.9), (0.01, 0.1), (0.1, 0.5)])
def test_lswolfe_finds_the_wolfe_conditions(first, c1, c2):
    rng = np.random.default_rng(3)
    for _ in range(20):
        x = rng.standard_normal(4)
        before = x.copy()
        f, g = valley(x)
        d = -g / np.linalg.norm(g)
        opfunc = in_one_tensor(valley, x)
        options = {"c1": c1, "c2": c2, "maxIter": 60}
        f_new, g_new, same, t, count = optim.lswolfe(opfunc, x, first, d, f, opfunc(x)[1], float(g @ d),
                                                     options)
        assert same is x and count >= 1 and t > 0
        np.testing.assert_allclose(x, before + t * d, rtol=1e-14)
        assert f_new == pytest.approx(valley(x)[0]) and np.allclose(g_new, valley(x)[1])
        assert f_new <= f + c1 * t * (g @ d)
        assert abs(g_new @ d) <= c2 * abs(g @ d)


def test_lswolfe_ends_after_maxiter_trials_with_the_best():
    x = start()
    f, g = valley(x)
    d = -g
    f_new, _, _, t, count = optim.lswolfe(valley, x, 1e-9, d, f, g, float(g @ d), {"maxIter": 2, "c2": 0})
    assert count == 3 and f_new == valley(start() + t * d)[0] < f


def test_lswolfe_puts_x_back_where_opfunc_raises():
    x = start()
    f, g = valley(x)
    with pytest.raises(ZeroDivisionError):
        optim.lswolfe(lambda x: 1 / 0, x, 1.0, -g, f, g, -float(g @ g))
    np.testing.assert_array_equal(x, start())


@pytest.mark.parametrize("count, offset", [(2, 0), (3, 0), (4, 0), (2, 1e6), (3, -1e4)])
def test_polyinterp_finds_the_least_value(count, offset):
    rng = np.random.default_rng(5)
    for _ in range(30):
        points = rng.standard_normal((count, 3))
        points[:, 0] = rng.permutation(8)[:count] + rng.uniform(-0.3, 0.3, count)
        low, high = points[:, 0].min() - 1, points[:, 0].max() + 1
        curve = np.polynomial.Polynomial(solve(points))
        places = np.linspace(low, high, 4001)
        moved = points + [[0, offset, 0]]
        got = optim.polyinterp(moved, low, high)
        assert low <= got <= high
        assert curve(got) <= curve(places).min() + 1e-6 * np.ptp(curve(places))
        got = optim.polyinterp(moved, points[:, 0].min(), points[:, 0].max())
        inside = places[(places >= points[:, 0].min()) & (places <= points[:, 0].max())]
        assert curve(got) <= curve(inside).min() + 1e-6 * np.ptp(curve(inside))


def solve(points):
    """Coefficients of the polynomial with these values and slopes."""
    powers = np.arange(2 * len(points))
    z = points[:, :1]
    rows = np.concatenate([z**powers, powers * z ** np.maximum(powers - 1, 0)])
    return np.linalg.solve(rows, np.concatenate([points[:, 1], points[:, 2]]))


@pytest.mark.parametrize("points, bounds, expected", [
    ([[0, 1, -2], [2, 1, 2]], (), 1),                          # a parabola
    ([[2, 1, 2], [0, 1, -2]], (), 1),                          # in any order
    ([[0, 1, -2], [2, 1, 2]], (-4, 0.5), 0.5),                 # the nearer bound
    ([[0, 0, 1], [2, 0, 1]], (), 1.5773502691896257),          # x^3/... : up, down, up
    ([[0, 0, -1], [2, -2, -1]], (), 1),                        # a straight line: the middle
    ([[0, 0, -1], [2, -2, -1]], (0, 5), 5),
    ([[0, 0, -1], [2, 4, 2]], (), None),
    ([[0, 1, -2], [2, np.inf, 2]], (), 1),                     # nothing known: the middle
    ([[0, 1, -2], [2, np.nan, 2]], (1, 4), 2.5),
])
def test_polyinterp_by_hand(points, bounds, expected):
    got = optim.polyinterp(points, *bounds)
    if expected is not None:
        assert got == pytest.approx(expected, rel=1e-12)
    assert min(p[0] for p in points) <= got or bounds


@pytest.mark.parametrize("points, bounds, error, text", [
    ([[0, 1, 2]], (), nnmod.ShapeError,
     "points must have shape (N, 3), rows of x, f and g for two points or more"),
    ([[0, 1], [1, 2]], (), nnmod.ShapeError, "got (2, 2)"),
    ([[1, 1, 2], [1, 2, 3]], (), ValueError, "points must lie at places that differ, got [1.0, 1.0]"),
    ([[0, 1, 2], [1, 2, 3]], (3, 2), ValueError, "xminBound must not be above xmaxBound, got 3 and 2"),
    ([[0, 1, 2], [1, 2, 3]], ("a",), ValueError, "xminBound must be a number, got 'a'"),
])
def test_polyinterp_refuses(points, bounds, error, text):
    with pytest.raises(error) as caught:
        optim.polyinterp(points, *bounds)
    assert text in str(caught.value)


# -- FistaLS -----------------------------------------------------------------------------

D = np.array([[1.0, 0.5, -0.3], [0.2, -1.0, 0.4], [0.7, 0.1, 0.9], [-0.4, 0.6, 0.2]])
Y = np.array([1.0, -2.0, 0.5, 1.5])


def lasso(weight=0.3):
    """f, g and pl of |Dx - y|^2 / 2 + weight * sum |x|."""
    def f(x, mode=None):
        error = D.astype(x.dtype) @ x - Y.astype(x.dtype)
        value = float(error @ error) / 2
        return (value, D.T.astype(x.dtype) @ error) if mode == "dx" else value

    def pl(x, L):
        x[...] = np.sign(x) * np.maximum(np.abs(x) - weight / L, 0)

    return f, lambda x: weight * float(np.abs(x).sum()), pl


def lasso_twin(weight=0.3):
    """One coordinate after another, each solved exactly."""
    x = np.zeros(3)
    for _ in range(2000):
        for i in range(3):
            rest = Y - D @ x + D[:, i] * x[i]
            correlation = D[:, i] @ rest
            x[i] = np.sign(correlation) * max(abs(correlation) - weight, 0) / (D[:, i] @ D[:, i])
    return x


@pytest.mark.parametrize("options", [{}, {"doFistaUpdate": False}, {"L": 20}, {"Lstep": 4.0}], ids=str)
@pytest.mark.parametrize("begin", [np.zeros(3), np.array([5.0, -3.0, 1.0])], ids=["zeros", "elsewhere"])
@pytest.mark.parametrize("dtype, close", [(np.float64, 1e-5), (np.float32, 1e-2)], ids=["float64", "float32"])
def test_fista_solves_the_lasso(options, begin, dtype, close):
    params = {"maxiter": 500, "errthres": 0, **options}
    x = begin.astype(dtype)
    same, history = optim.FistaLS(*lasso(), x, params)
    assert same is x and x.dtype == dtype
    np.testing.assert_allclose(x, lasso_twin(), atol=close)
    f, g, _ = lasso()
    assert f(x) + g(x) == pytest.approx(f(lasso_twin()) + g(lasso_twin()), rel=1e-4)
    assert params["L"] < 1e4
    assert params["L"] == history[-1]["L"] and all(h["F"] == h["Fply"] + h["Gply"] for h in history)


def test_fista_is_faster_than_ista():
    needed = []
    for update in (True, False):
        _, history = optim.FistaLS(*lasso(0.01), np.zeros(3), {"maxiter": 60, "errthres": 0, "L": 10,
                                                               "doFistaUpdate": update})
        best = min(history[-1]["F"], needed[0][1] if needed else np.inf)
        needed.append((history[15]["F"], best))
    assert needed[0][0] < needed[1][0]


def test_fista_stops_where_its_options_say():
    assert len(optim.FistaLS(*lasso(), np.zeros(3), {"maxiter": 3})[1]) == 3
    assert len(optim.FistaLS(*lasso(), np.zeros(3), {"errthres": 1e9})[1]) == 2
    # Without a try more, no step is short enough: x stays where it was.
    x, history = optim.FistaLS(*lasso(), np.array([1.0, 2.0, 3.0]), {"L": 1e-3, "maxline": 0, "maxiter": 2})
    np.testing.assert_array_equal(x, [1, 2, 3])
    assert [h["nline"] for h in history] == [1, 1]


def test_fista_allocates_nothing_the_second_time():
    params = {"maxiter": 5}
    x, _ = optim.FistaLS(*lasso(), np.zeros(3), params)
    before = tensor.allocations
    optim.FistaLS(*lasso(), x, params)
    assert tensor.allocations == before


def test_fista_refuses():
    f, g, pl = lasso()
    x = np.ones(3)
    with pytest.raises(TypeError, match="pl must change its first argument in place, got float64"):
        optim.FistaLS(f, g, lambda x, L: x * 0.5, x)
    with pytest.raises(ValueError, match="optim.FistaLS has no option 'maxIter'; did you mean 'maxiter'"):
        optim.FistaLS(f, g, pl, x, {"maxIter": 3})
    with pytest.raises(ValueError, match="Lstep must be a number >= 1.0000000000000002, got 1"):
        optim.FistaLS(f, g, pl, x, {"Lstep": 1})
    with pytest.raises(ValueError, match="doFistaUpdate must be True or False, got 1"):
        optim.FistaLS(f, g, pl, x, {"doFistaUpdate": 1})
    with pytest.raises(nnmod.ShapeError, match="the gradient that opfunc returns must have the shape of x"):
        optim.FistaLS(lambda x, mode=None: (0.0, np.zeros(2)), g, pl, x)
    with pytest.raises(ZeroDivisionError):
        optim.FistaLS(f, lambda x: 1 / 0, pl, x)
    np.testing.assert_array_equal(x, 1)


# -- cmaes and de ------------------------------------------------------------------------


def sphere(x):
    return float(((x - 3) ** 2).sum())


def generators():
    return nnmod.TorchGenerator(5), None


@pytest.mark.parametrize("generator", generators(), ids=["torch", "nnmod"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("method, config", [(optim.cmaes, {"maxEval": 1500}), (optim.de, {"maxFEs": 2500})],
                         ids=["cmaes", "de"])
def test_a_search_without_gradients_finds_the_minimum(method, config, dtype, generator):
    x = np.zeros(3, dtype)
    same, fs = method(lambda x: (sphere(x), None), x, {**config, "generator": generator})
    assert same is x and x.dtype == dtype
    np.testing.assert_allclose(x, 3, atol=1e-3)
    assert min(fs) == pytest.approx(sphere(x), abs=1e-12)


@pytest.mark.parametrize("method, config", [(optim.cmaes, {"maxEval": 50}), (optim.de, {"maxFEs": 90})],
                         ids=["cmaes", "de"])
def test_the_same_seed_takes_the_same_path(method, config):
    def run(seed):
        nnmod.manualSeed(seed)
        return method(sphere, np.zeros(3), dict(config))

    (x, fs), (y, gs), (_, hs) = run(1), run(1), run(2)
    np.testing.assert_array_equal(x, y)
    assert fs == gs != hs


@pytest.mark.parametrize("method, config", [(optim.cmaes, {"maxEval": 40}), (optim.de, {"maxFEs": 200})],
                         ids=["cmaes", "de"])
def test_a_network_may_be_the_function(method, config):
    """Its parameters are x itself, so each point is written there."""
    net = nnmod.Linear(2, 1).double()
    flat, _ = net.getParameters()
    data, target = np.array([[0.0, 1], [1, 0], [1, 1]]), np.array([[1.0], [2], [3]])
    seen = []

    def opfunc(x):
        seen.append(float(((net.forward(data) - target) ** 2).mean()))
        return seen[-1]

    state = {}
    x, fs = method(opfunc, flat, config, state)
    assert state["funcEval"] == len(seen)
    best = min(seen[method is optim.cmaes:])  # the first mean of cmaes is not a candidate
    assert float(((net.forward(data) - target) ** 2).mean()) == pytest.approx(best)


def test_cmaes_stops_and_says_why(capsys):
    state = {}
    x, fs = optim.cmaes(sphere, np.zeros(2), {"ftarget": 0.5}, state)
    assert sphere(x) <= 0.5 and state["stopped"][0].endswith("the target is 0.5")
    assert fs[-1] == min(fs[1:]) and fs[0] == 18
    optim.cmaes(sphere, np.zeros(2), {"maxEval": 12, "popsize": 6}, state)
    assert state["stopped"] == ["12 losses of 12"]
    optim.cmaes(lambda x: 1.0, np.zeros(2), {}, state)
    assert state["stopped"] == ["the losses of a generation are the same"]
    state = {}
    optim.cmaes(lambda x: 1.0, np.zeros(2), {"min_iterations": 3, "popsize": 4}, state)
    assert state["funcEval"] == 1 + 3 * 4
    assert not capsys.readouterr().out
    optim.cmaes(sphere, np.zeros(2), {"maxEval": 48, "popsize": 6, "verb_disp": 4})
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in printed] == ["6", "12", "24", "48"]


def test_cmaes_learns_a_narrow_valley():
    nnmod.manualSeed(3)
    x, _ = optim.cmaes(lambda x: float(x[0] ** 2 + 1e4 * x[1] ** 2), np.array([3.0, 2.0]), {"maxEval": 2000})
    np.testing.assert_allclose(x, 0, atol=1e-4)


def test_de_searches_its_region():
    seen = []
    optim.de(lambda x: (seen.append(x.copy()), sphere(x))[1], np.zeros(2),
             {"minRegion": 1, "maxRegion": 2, "popsize": 30, "maxFEs": 30})
    assert len(seen) == 30 and np.min(seen) >= 1 and np.max(seen) < 2 and np.ptp(seen) > 0.8
    # No child differs from its parent where nothing is crossed.
    seen.clear()
    optim.de(lambda x: (seen.append(x.copy()), sphere(x))[1], np.zeros(1),
             {"popsize": 5, "maxFEs": 11, "crossoverRate": 0, "scaleFactor": 0})
    assert len(seen) == 10
    np.testing.assert_array_equal(seen[6:], seen[1:5])


def test_de_returns_the_best_point_even_if_no_child_is_better():
    """Torch returns the best child; a good point of the first population is lost there."""
    points = []

    def opfunc(x):
        points.append(x.copy())
        return 0.0 if len(points) == 3 else 5.0 - len(points) / 100
    x, fs = optim.de(opfunc, np.zeros(2), {"popsize": 6, "maxFEs": 30})
    np.testing.assert_array_equal(x, points[2])
    assert min(fs) == 0


@pytest.mark.parametrize("method", [optim.cmaes, optim.de], ids=["cmaes", "de"])
def test_what_a_search_without_gradients_refuses(method):
    x = np.ones(3)
    with pytest.raises(TypeError, match=r"opfunc must return the loss f, a number, or \(f, dfdx\), got None"):
        method(lambda x: None, x)
    with pytest.raises(ZeroDivisionError):
        method(lambda x: 1 / 0, x)
    name = method.__name__
    with pytest.raises(ValueError, match=f"optim.{name} has no option 'popSize'; did you mean 'popsize'"):
        method(sphere, x, {"popSize": 3})
    with pytest.raises(ValueError, match="popsize must be a number >= [34], got 2"):
        method(sphere, x, {"popsize": 2})
    with pytest.raises(nnmod.ShapeError, match=r"x must have shape \(P,\), got \(1, 3\)"):
        method(sphere, x[None])
    np.testing.assert_array_equal(x, 1)


def test_more_that_is_refused():
    x = np.ones(3)
    with pytest.raises(ValueError, match="minRegion must not be above maxRegion, got 2.0 and 1.0"):
        optim.de(sphere, x, {"minRegion": 2, "maxRegion": 1})
    with pytest.raises(ValueError, match="sigma must be a number >= 5e-324, got 0"):
        optim.cmaes(sphere, x, {"sigma": 0})
    with pytest.raises(ValueError, match="x must have one parameter at least"):
        optim.cmaes(sphere, np.zeros(0))


# -- checkgrad ---------------------------------------------------------------------------


def test_checkgrad_tells_right_from_wrong():
    x = start()
    diff, exact, estimate = optim.checkgrad(in_one_tensor(valley, x), x)
    assert diff < 1e-7
    np.testing.assert_array_equal(exact, valley(x)[1])
    np.testing.assert_allclose(estimate, exact, rtol=1e-6)
    np.testing.assert_array_equal(x, start())
    diff, _, _ = optim.checkgrad(lambda x: (valley(x)[0], valley(x)[1] * [1, 1, 1.1, 1]), x)
    assert diff > 1e-4
    g = valley(x)[1]
    twin = np.linalg.norm(g * 2 - estimate) / np.linalg.norm(g * 2 + estimate)
    assert optim.checkgrad(lambda x: (valley(x)[0], valley(x)[1] * 2), x)[0] == pytest.approx(twin)
    assert optim.checkgrad(lambda x: (1.0, np.zeros(4)), x)[0] == 0
    assert optim.checkgrad(lambda x: (valley(x)[0], -estimate), x)[0] > 1e6


def test_checkgrad_in_float32():
    x = start(np.float32)
    assert optim.checkgrad(quadratic, x, 1e-2)[0] < 1e-3
    text = r"eps must be large enough to change x\[0\], -1.2\d*, of dtype float32, got 1e-09"
    with pytest.raises(ValueError, match=text):
        optim.checkgrad(quadratic, x, 1e-9)
    np.testing.assert_array_equal(x, start(np.float32))
    with pytest.raises(ValueError, match="eps must be a number >= 5e-324, got 0"):
        optim.checkgrad(quadratic, x, 0)


# -- SciPy's -----------------------------------------------------------------------------

scipy_methods = pytest.mark.parametrize("method", [optim.bfgs, optim.lbfgs_scipy],
                                        ids=["bfgs", "lbfgs_scipy"])


@scipy_methods
@pytest.mark.parametrize("dtype, close", [(np.float64, 1e-6), (np.float32, 1e-3)], ids=["float64", "float32"])
def test_scipy_solves_a_quadratic(method, dtype, close):
    pytest.importorskip("scipy")
    x, state = np.ones(4, dtype), {}
    calls = []
    counted = in_one_tensor(lambda x: (calls.append(1), quadratic(x))[1], x)
    same, fs = method(counted, x, {"tolFun": 1e-7}, state)
    assert same is x and x.dtype == dtype
    np.testing.assert_allclose(x, np.linalg.solve(MATRIX, RIGHT), atol=close)
    assert fs[0] == quadratic(np.ones(4, dtype))[0] and fs[-1] == pytest.approx(quadratic(x)[0], abs=1e-5)
    assert state["funcEval"] == len(calls) and isinstance(state["message"], str)
    assert state["nIter"] == len(fs) - 1


@scipy_methods
def test_scipy_walks_the_valley_in_several_calls(method):
    pytest.importorskip("scipy")
    x, config = np.array([-1.2, 1.0]), {"maxIter": 20}
    losses = []
    for _ in range(4):
        x, fs = method(valley, x, config)
        assert len(fs) <= 21
        losses += fs
    np.testing.assert_allclose(x, 1, atol=1e-4)
    assert all(after <= before + 1e-12 for before, after in zip(losses, losses[1:]))


def test_bfgs_goes_on_with_its_matrix():
    pytest.importorskip("scipy")
    x, state = np.array([-1.2, 1.0]), {}
    optim.bfgs(valley, x, {"maxIter": 8}, state)
    y, copied = pickle.loads(pickle.dumps((x, state)))
    optim.bfgs(valley, x, {"maxIter": 8}, state)
    optim.bfgs(valley, y, {"maxIter": 8}, copied)
    np.testing.assert_array_equal(x, y)
    z = np.array([-1.2, 1.0])
    for _ in range(2):
        optim.bfgs(valley, z, {"maxIter": 8}, {})  # without it
    assert not np.array_equal(x, z)
    with pytest.raises(nnmod.ShapeError, match=r"state\['hess_inv'\] must have shape \(4, 4\), got \(2, 2\)"):
        optim.bfgs(valley, start(), {}, state)


@pytest.mark.parametrize("low, high", [(0.5, None), (None, 0.2), (-0.5, 0.5),
                                       (np.array([0.0, -1, 1, 0]), 1.0)])
def test_bounds_hold(low, high):
    pytest.importorskip("scipy")
    x, seen = np.zeros(4), []
    optim.lbfgs_scipy(lambda x: (seen.append(x.copy()), quadratic(x))[1], x, {"low": low, "high": high})
    below, above = -np.inf if low is None else low, np.inf if high is None else high
    assert all((point >= below).all() and (point <= above).all() for point in seen)
    # At the solution the gradient pushes against the bounds, or is 0.
    g = quadratic(x)[1]
    assert np.all((np.abs(g) < 1e-4) | ((x == below) & (g > 0)) | ((x == above) & (g < 0)))


@scipy_methods
def test_scipy_leaves_x_where_something_is_wrong(method, monkeypatch):
    pytest.importorskip("scipy")
    x, calls = start(), []

    def opfunc(x):
        calls.append(1)
        return valley(x) if len(calls) < 4 else 1 / 0

    with pytest.raises(ZeroDivisionError):
        method(opfunc, x)
    with pytest.raises(nnmod.ShapeError, match="the gradient that opfunc returns must have the shape of x"):
        method(lambda x: (0.0, np.zeros(3)), x)
    with pytest.raises(ValueError, match="has no option 'maxiter'; did you mean 'maxIter'"):
        method(valley, x, {"maxiter": 3})
    if method is optim.lbfgs_scipy:
        with pytest.raises(ValueError, match="low must not be above high anywhere"):
            method(valley, x, {"low": 1, "high": np.zeros(4)})
        with pytest.raises(nnmod.ShapeError, match=r"low must have the shape of x, \(4,\), got \(3,\)"):
            method(valley, x, {"low": np.zeros(3)})
        with pytest.raises(ValueError, match="the bound high must be a number, got 'a'"):
            method(valley, x, {"high": "a"})
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    text = rf"optim\.{method.__name__} needs the package scipy: pip install nnmod\[scipy\]"
    with pytest.raises(ImportError, match=text):
        method(valley, x)
    np.testing.assert_array_equal(x, start())


# -- the generators ------------------------------------------------------------------------


def test_torchs_generator_goes_on_where_it_was():
    together, parts = nnmod.TorchGenerator(9), nnmod.TorchGenerator(9)
    expected = np.empty(10)
    together.normal(expected)
    drawn = []
    for count in (0, 1, 2, 0, 3, 1, 3):
        target = np.empty(count)
        parts.normal(target)
        drawn.extend(target)
        parts = pickle.loads(pickle.dumps(parts))
    np.testing.assert_array_equal(drawn, expected)
    together.manualSeed(9)
    again = np.empty((2, 5))
    together.normal(again)
    np.testing.assert_array_equal(again.ravel(), expected)
    with pytest.raises(ValueError, match="seed must be an int, got 'x'"):
        nnmod.TorchGenerator("x")


def test_a_seed_beyond_32_bits_is_cut_as_torch_does():
    np.testing.assert_array_equal(nnmod.TorchGenerator(2**32 + 5).words(3), nnmod.TorchGenerator(5).words(3))


def test_integers_of_nnmod_cover_their_range_evenly():
    nnmod.manualSeed(1)
    drawn = [nnmod.random.integer(5) for _ in range(5000)]
    assert np.bincount(drawn, minlength=5).min() > 850 and max(drawn) == 4 and min(drawn) == 0
    for count in (0, 2.0, True):
        with pytest.raises(ValueError, match=r"count must be an int of 1 .. 2\*\*32, got"):
            nnmod.random.integer(count)
