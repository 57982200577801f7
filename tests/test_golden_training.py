"""The real Torch7's optimizers, confusion matrix and trainer, number for number."""
import numpy as np
import pytest

import nnmod
from golden_data import GOLDEN
from nnmod import optim

# Torch's scratch, which nnmod does not need.
SCRATCH = {"decayParameters", "deltaParameters", "denom", "tmp", "paramStd"}
METHODS = ("sgd", "adam", "rmsprop", "adagrad")
OPTIM_CASES = [name for name in GOLDEN.names("optim") if name.partition("__")[0] in METHODS]


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
    case = GOLDEN.case(name)
    method = getattr(optim, name.partition("__")[0])
    config = dict(case["config"] or {})
    state = {} if apart else config
    x = case["x0"].copy()
    path, losses = [], []
    for _ in range(case["steps"]):
        same, fs = method(objective(case), x, config, state if apart else None)
        assert same is x
        path.append(x.copy())
        losses.append(fs)

    np.testing.assert_allclose(losses, case["f_returned"], rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(path, case["traj"], rtol=1e-10, atol=1e-13)
    after = {key: value for key, value in case["state_after"].items() if key not in SCRATCH}
    if apart:
        after = {key: value for key, value in after.items() if key not in config}
    assert set(state) == set(after)
    for key, value in after.items():
        np.testing.assert_allclose(state[key], value, rtol=1e-10, atol=1e-13, err_msg=key)


def test_the_recorded_optimizers_are_there():
    assert {name.partition("__")[0] for name in OPTIM_CASES} == set(METHODS)


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
