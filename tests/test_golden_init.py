"""Initial parameters beside those that the real Torch7 drew.

The numbers differ (Philox, not MT19937); the distributions must not.  Torch's are one draw of
each parameter, nnmod's many: what is constant is compared exactly, and of the rest the range,
the mean and, where there are enough elements, the spread, each to four standard errors.
"""
import numpy as np
import pytest

import nnmod
from golden_build import build
from golden_data import GOLDEN

RECORDS = {record["class"][3:]: record for record in GOLDEN.case("default_init__1")["inits"]}
DRAWS = 200

#: Where a reset with a standard deviation differs from Torch7's on purpose.
RESET_DEVIATIONS = {
    "PartialLinear": "Torch's reset(0.1) draws its weights ten times as wide as asked for",
}


def existing(name):
    marks = () if hasattr(nnmod, name) else pytest.mark.skip(f"not there yet: {name}")
    return pytest.param(name, marks=marks)


def draws(name, prepare):
    """The parameters of many modules: for each, an array with one row a draw."""
    nnmod.manualSeed(7)
    record = RECORDS[name]
    modules = [prepare(build({"$new": record["class"], "args": record["args"]})) for _ in range(DRAWS)]
    return [np.stack([p.ravel() for p in params]).astype(np.float64)
            for params in zip(*(m.parameters()[0] for m in modules))]


def assert_drawn_alike(ours, torch, what):
    torch = np.ravel(torch)
    assert ours.shape == (DRAWS, torch.size), what
    if np.ptp(ours) == 0:
        assert (torch == torch[0]).all() and ours[0, 0] == pytest.approx(torch[0], abs=1e-7), what
        return
    low, high, std = ours.min(), ours.max(), ours.std()
    margin = 0.02 * (high - low)
    assert low - margin <= torch.min() and torch.max() <= high + margin, f"{what}: range"
    assert abs(torch.mean() - ours.mean()) <= 4 * std / np.sqrt(torch.size), f"{what}: mean"
    if torch.size >= 12:
        kurtosis = ((ours - ours.mean()) ** 4).mean() / std ** 4
        error = np.sqrt((kurtosis - 1) / (4 * torch.size))  # relative, of a standard deviation
        assert abs(np.log(torch.std() / std)) <= 4 * error, f"{what}: spread"


@pytest.mark.parametrize("name", [existing(name) for name in RECORDS])
def test_default_initialisation(name):
    ours = draws(name, lambda module: module)
    for index, (a, b) in enumerate(zip(ours, RECORDS[name]["params"], strict=True)):
        assert_drawn_alike(a, b, f"{name}, parameter {index}")


@pytest.mark.parametrize("name", [existing(name) for name, record in RECORDS.items()
                                  if record.get("params_reset_01")])
def test_reset_with_a_standard_deviation(name):
    ours = draws(name, lambda module: module.reset(0.1))
    if name in RESET_DEVIATIONS:
        with pytest.raises(AssertionError):
            assert_drawn_alike(ours[0], RECORDS[name]["params_reset_01"][0], name)
        assert ours[0].std() == pytest.approx(0.1, rel=0.05)
        return
    for index, (a, b) in enumerate(zip(ours, RECORDS[name]["params_reset_01"], strict=True)):
        assert_drawn_alike(a, b, f"{name}, parameter {index} after reset(0.1)")


def test_a_wrong_distribution_is_found():
    """The comparison can fail: other bounds, another mean, a constant in the place of a draw."""
    rng = np.random.default_rng(0)
    torch = rng.uniform(-0.5, 0.5, 40)
    assert_drawn_alike(rng.uniform(-0.5, 0.5, (DRAWS, 40)), torch, "right")
    for wrong in (rng.uniform(-0.3, 0.3, (DRAWS, 40)), rng.uniform(-1, 1, (DRAWS, 40)),
                  rng.uniform(0, 1, (DRAWS, 40)), np.zeros((DRAWS, 40))):
        with pytest.raises(AssertionError):
            assert_drawn_alike(wrong, torch, "wrong")
