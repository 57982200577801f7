"""The real Torch7's optimizers, confusion matrix and trainer, number for number."""
import numpy as np
import pytest

import nnmod
from golden_data import GOLDEN
from nnmod import optim

# Torch's scratch, which nnmod does not need, and the options that Torch's asgd writes down.
SCRATCH = {
    "sgd": {"decayParameters", "deltaParameters"}, "adam": {"denom"}, "adamax": {"max"}, "rmsprop": {"tmp"},
    "adagrad": {"paramStd"}, "adadelta": {"paramStd", "delta"}, "nag": {"deltaParameters"},
    "asgd": {"tmp", "eta0", "lambda", "alpha", "t0"}, "rprop": {"sign", "psign", "nsign", "zsign", "dminmax"},
    "cg": {"df0", "df3"}, "lbfgs": {"al", "tmp1"},
}
# What Torch keeps elsewhere, in a table that was not recorded, or (ro) in one with undefined ends.
ONLY_HERE = {"cg": {"funcEval"}, "lbfgs": {"old_dirs", "old_stps", "ro", "search", "spare_s", "spare_y"}}
# These have tests of their own below: they have other arguments, or no path.
APART = {"FistaLS", "cmaes", "de"}
OPTIM_CASES = [name for name in GOLDEN.names("optim") if name.partition("__")[0] not in APART]


def rosenbrock(x):
    a, b = x[:-1], x[1:]
    grad = np.zeros_like(x)
    grad[:-1] = -400 * a * (b - a**2) - 2 * (1 - a)
    grad[1:] += 200 * (b - a**2)
    return float(np.sum(100 * (b - a**2) ** 2 + (1 - a) ** 2)), grad


def objective(case):
    if case["func"] == "rosenbrock":
        return rosenbrock
    A, b = case["consts"]["A"], case["consts"]["b"]
    return lambda x: (float(0.5 * x @ A @ x - b @ x), A @ x - b)


@pytest.mark.parametrize("apart", [False, True], ids=["state_in_config", "state_apart"])
@pytest.mark.parametrize("name", OPTIM_CASES)
def test_optimizer_takes_torchs_path(name, apart):
    case, method = GOLDEN.case(name), name.partition("__")[0]
    options = dict(case["config"] or {})
    if "lineSearch" in options:
        assert options["lineSearch"] == {"$function": "optim.lswolfe"}
        options["lineSearch"] = optim.lswolfe
    config = dict(options)
    state = {} if apart else config
    x = case["x0"].copy()
    path, losses, calls = [], [], []

    def counted(x, opfunc=objective(case)):
        calls.append(1)
        return opfunc(x)

    for _ in range(case["steps"]):
        same, fs = getattr(optim, method)(counted, x, config, state if apart else None)
        assert same is x
        path.append(x.copy())
        losses.append(fs)

    assert len(calls) == case["func_evals"]
    assert len(losses) == len(case["f_returned"])
    for got, expected in zip(losses, case["f_returned"]):
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(path, case["traj"], rtol=1e-10, atol=1e-13)

    after = {key: value for key, value in case["state_after"].items() if key not in SCRATCH[method]}
    if method == "rprop":  # there the tensor takes the place of the option
        after["stepsizes"] = after.pop("stepsize")
    after = {key: value for key, value in after.items() if key not in options}
    assert set(after) <= set(state) <= set(after) | set(options) | ONLY_HERE.get(method, set())
    for key, value in after.items():
        # Relative to the largest element: small ones of a gradient are differences of large terms.
        size = max(np.abs(value).max(), 1e-3)
        np.testing.assert_allclose(np.ravel(state[key]), np.ravel(value), rtol=0, atol=1e-10 * size,
                                   err_msg=key)
    if method == "asgd":
        np.testing.assert_allclose(state["ax"], case["extra_return"], rtol=1e-10)


def test_the_recorded_optimizers_are_there():
    recorded = {name.partition("__")[0] for name in GOLDEN.names("optim")}
    assert recorded == set(SCRATCH) | APART


def test_confusion_matrix_is_torchs():
    case = GOLDEN.case("ConfusionMatrix__1")
    confusion = nnmod.ConfusionMatrix(["a", "b", "c"])
    confusion.batchAdd(case["predictions"], case["targets"].astype(np.int64) - 1)
    confusion.add(1, 0)
    confusion.add(np.array([0.1, 0.9, 0.3]), 1)
    assert str(confusion) == case["tostring"]
    np.testing.assert_array_equal(confusion.mat, case["mat"])
    np.testing.assert_array_equal(confusion.valids, np.float32(case["valids"]))
    np.testing.assert_array_equal(confusion.unionvalids, np.float32(case["unionvalids"]))
    for name in ("totalValid", "averageValid", "averageUnionValid"):
        assert getattr(confusion, name) == pytest.approx(case[name], rel=1e-15)
    np.testing.assert_allclose(confusion.farFrr()[:2], case["farFrr"], rtol=1e-14, atol=1e-15)


def test_stochastic_gradient_is_torchs():
    case = GOLDEN.case("StochasticGradient__1")
    net = nnmod.Sequential(nnmod.Linear(4, 5), nnmod.Tanh(), nnmod.Linear(5, 3), nnmod.LogSoftMax()).double()
    flat, _ = net.getParameters()
    flat[:] = case["flat_params_before"]
    trainer = nnmod.StochasticGradient(net, nnmod.ClassNLLCriterion(), learningRate=0.1, learningRateDecay=0.05,
                                       maxIteration=4, shuffleIndices=False, verbose=False)
    errors = trainer.train([(x, int(y) - 1) for x, y in zip(case["X"], case["Y"])])
    np.testing.assert_allclose(errors, case["errors"], rtol=1e-10)
    np.testing.assert_allclose(flat, case["flat_params_after"], rtol=1e-10)


def test_polyinterp_is_torchs():
    for result in GOLDEN.case("polyinterp__1")["results"]:
        got = optim.polyinterp(result["points"], result.get("xmin"), result.get("xmax"))
        assert got == pytest.approx(result["result"], rel=1e-13)


def torch_stream(kind, count, *numbers):
    """What Torch's generator gives after ``torch.manualSeed(123)``."""
    target = np.empty(count)
    getattr(nnmod.TorchGenerator(123), kind)(target, *numbers)
    return target


#: Everything that was recorded of the generator: how to draw it here.
STREAMS = {
    "random_u32": lambda: nnmod.TorchGenerator(123).words(10),
    "uniform": lambda: torch_stream("uniform", 10),
    "uniform_m2_3": lambda: torch_stream("uniform", 10, -2, 3),
    "normal": lambda: torch_stream("normal", 9),
    "normal_1_2": lambda: torch_stream("normal", 9, 1, 2),
    "logNormal_1_2": lambda: torch_stream("logNormal", 5, 1, 2),
    "cauchy": lambda: torch_stream("cauchy", 5),
    "exponential_2": lambda: torch_stream("exponential", 5, 2),
    "geometric_03": lambda: torch_stream("geometric", 5, 0.3),
    "bernoulli_03": lambda: torch_stream("bernoulli", 10, 0.3),
    "random_1_10": lambda: torch_stream("random", 10, 1, 10),
    "rand20": lambda: torch_stream("uniform", 20),
    "tensor_uniform": lambda: torch_stream("uniform", 20),
    "randn20": lambda: torch_stream("normal", 20),
    "tensor_normal": lambda: torch_stream("normal", 20),
    "randn5": lambda: torch_stream("normal", 5),
    "float_normal": lambda: torch_stream("normal", 20).astype(np.float32),
    "float_uniform": lambda: torch_stream("uniform", 10).astype(np.float32),
    "bernoulli": lambda: torch_stream("bernoulli", 20, 0.3),
    "exponential": lambda: torch_stream("exponential", 6, 2),
    "randperm10": lambda: nnmod.TorchGenerator(123).permutation(10) + 1,
    "random_tensor": lambda: torch_stream("random", 10, 1, 100),
    "multinomial": lambda: nnmod.TorchGenerator(123).multinomial(np.array([0.1, 0.2, 0.3, 0.4]), 8, True) + 1,
    "multinomial_norepl": lambda: nnmod.TorchGenerator(123).multinomial(np.array([0.1, 0.2, 0.3, 0.4]), 3) + 1,
    "rngstate_after_uniform_normal": lambda: after_a_uniform_and_a_normal_number().getRNGState(),
}


def after_a_uniform_and_a_normal_number():
    generator = nnmod.TorchGenerator(123)
    generator.uniform(np.empty(1))
    generator.normal(np.empty(1))
    return generator


def recorded_streams():
    case = GOLDEN.case("torch_rng__1")
    return case["scalars"] | case["tensors_by_name"]


@pytest.mark.parametrize("name", sorted(recorded_streams()))
def test_the_generator_is_torchs(name):
    np.testing.assert_array_equal(STREAMS[name](), recorded_streams()[name])


def test_torchs_own_state_is_taken():
    """The bytes that real Torch wrote go in, and the rest of its stream comes out."""
    generator = nnmod.TorchGenerator(5)
    assert generator.setRNGState(recorded_streams()["rngstate_after_uniform_normal"].astype(np.uint8)) is generator
    other = after_a_uniform_and_a_normal_number()
    assert generator.initialSeed() == other.initialSeed() == 123
    for target in np.empty((2, 1)), np.empty((2, 5)):  # the normal number that was kept, then fresh ones
        generator.normal(target[0])
        other.normal(target[1])
        np.testing.assert_array_equal(*target)
    np.testing.assert_array_equal(generator.words(2000), other.words(2000))


def test_differential_evolution_is_torchs():
    case = GOLDEN.case("de__1")
    config = case["config"] | {"generator": nnmod.TorchGenerator(1)}
    x, fs = optim.de(objective(case), case["x0"].copy(), config)
    np.testing.assert_allclose(fs, case["f_returned"], rtol=1e-10)
    np.testing.assert_allclose(x, case["x_final"], rtol=1e-10)


def test_cmaes_is_torchs():
    case = GOLDEN.case("cmaes__1")
    x = case["x0"].copy()
    state = {}
    config = case["config"] | {"generator": nnmod.TorchGenerator(77)}
    x, fs = optim.cmaes(objective(case), x, config, state)
    np.testing.assert_allclose(fs, case["f_returned"], rtol=1e-10)
    np.testing.assert_allclose(x, case["x_final"], rtol=1e-10)
    assert state["funcEval"] == case["evals"] + 1


def test_fista_is_torchs():
    case = GOLDEN.case("FistaLS__1")
    D, y, weight = case["consts"]["D"], case["consts"]["y"], case["consts"]["lambda"]

    def f(x, mode=None):
        error = D @ x - y
        value = 0.5 * float(error @ error)
        return (value, D.T @ error) if mode == "dx" else value

    def pl(x, L):
        x[...] = np.sign(x) * np.maximum(np.abs(x) - weight / L, 0)

    params = dict(case["config"])
    x, history = optim.FistaLS(f, lambda x: weight * float(np.abs(x).sum()), pl, np.zeros(4), params)
    assert len(history) == len(case["history"])
    for got, expected in zip(history, case["history"]):
        assert got == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(x, case["x_final"], rtol=1e-10)
    assert params["L"] == pytest.approx(history[-1]["L"])
