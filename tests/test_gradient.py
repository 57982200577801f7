"""Modules whose gradient is not the derivative of their output: what it is instead."""
import numpy as np
import pytest

import nnmod

X = np.array([[1.5, -2.0, 0.0, 3.0]])
DY = np.array([[0.1, 0.2, 0.3, 0.4]])


@pytest.mark.parametrize("module, expected", [
    (nnmod.L1Penalty(0.5), DY + 0.5 * np.sign(X)),
    (nnmod.L1Penalty(0.5, sizeAverage=True), DY + 0.125 * np.sign(X)),
    (nnmod.L1Penalty(0.5, provideOutput=False), 0.5 * np.sign(X)),
    (nnmod.GradientReversal(), -DY),
    (nnmod.GradientReversal().setLambda(0.25), -0.25 * DY),
    (nnmod.ZeroGrad(), 0 * DY),
], ids=repr)
def test_the_gradient(module, expected):
    assert module.double().forward(X) is X
    np.testing.assert_allclose(module.backward(X, DY), expected, rtol=1e-15)


def test_the_penalty_of_the_last_forward():
    module = nnmod.L1Penalty(0.5).double()
    module.forward(X)
    assert module.loss == pytest.approx(3.25)


def test_nan_has_a_nan_penalty():
    module = nnmod.L1Penalty(0.5).double()
    x = np.array([np.nan, 1.0])
    module.forward(x)
    assert np.isnan(module.loss)
    assert np.isnan(module.backward(x, np.ones(2))[0])


def test_the_gradient_of_the_total_variation_is_that_of_its_loss():
    rng = np.random.default_rng(5)
    x, dy, eps = rng.normal(size=(2, 3, 4, 5)), rng.normal(size=(2, 3, 4, 5)), 1e-6

    def loss(x):
        inner = x[..., :-1, :-1]
        return 0.35 * (((inner - x[..., :-1, 1:]) ** 2).sum() + ((inner - x[..., 1:, :-1]) ** 2).sum())

    module = nnmod.TotalVariation(0.7).double()
    assert module.forward(x) is x
    dx = module.backward(x, dy)
    for place in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[place] = eps
        slope = (loss(x + step) - loss(x - step)) / (2 * eps)
        np.testing.assert_allclose(dx[place] - dy[place], slope, rtol=1e-6, atol=1e-8)
