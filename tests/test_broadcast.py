"""Add, CAdd, Mul and CMul, by what the generic tests cannot see."""
import numpy as np
import pytest

import nnmod
from nnmod import kernels


@pytest.mark.parametrize("size, shape, broadcast", [
    ((4,), (3, 4), (1, 4)), ((4,), (4,), (4,)), ((4,), (2, 2), (2, 2)),
    ((2, 3), (5, 2, 3), (1, 2, 3)), ((2, 3), (5, 6), (1, 6)), ((6,), (5, 2, 3), (1, 2, 3)),
    ((1, 3, 1, 1), (2, 3, 4, 5), (1, 3, 1, 1)), ((1, 3, 1, 1), (3, 4, 5), (3, 1, 1)),
    ((3, 1, 1), (2, 3, 4, 5), (3, 1, 1)), ((2, 1, 4), (2, 3, 4), (2, 1, 4)),
    ((1, 3, 1, 2, 1), (4, 3, 5, 2, 6), (1, 3, 1, 2, 1)), ((3, 1, 2, 1, 4), (3, 5, 2, 6, 4), (3, 1, 2, 1, 4)),
    ((1,), (3, 1), (1,)), ((1, 1), (3, 4), (1, 1)),
])
def test_how_sizes_meet(size, shape, broadcast):
    """As NumPy broadcasts, where the parameter has the shape *broadcast*."""
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal(shape), rng.standard_normal(shape)
    summed = tuple(a for a in range(len(shape)) if (1,) * (len(shape) - len(broadcast)) + broadcast != shape
                   and ((1,) * (len(shape) - len(broadcast)) + broadcast)[a] == 1)
    multiply, add = nnmod.CMul(*size).double(), nnmod.CAdd(size).double()
    np.testing.assert_allclose(multiply.forward(x), x * multiply.weight.reshape(broadcast), rtol=1e-15)
    np.testing.assert_allclose(add.forward(x), x + add.bias.reshape(broadcast), rtol=1e-15)
    dx = multiply.backward(x, dy, 0.5)
    np.testing.assert_allclose(dx, dy * multiply.weight.reshape(broadcast), rtol=1e-15)
    np.testing.assert_allclose(multiply.gradWeight.ravel(), 0.5 * (x * dy).sum(axis=summed).ravel(), rtol=1e-12)
    np.testing.assert_array_equal(add.backward(x, dy, 0.5), dy)
    np.testing.assert_allclose(add.gradBias.ravel(), 0.5 * dy.sum(axis=summed).ravel(), rtol=1e-12)


def test_sizes_that_do_not_meet():
    for module in (nnmod.CMul(3, 1), nnmod.CAdd(3, 1)):
        with pytest.raises(nnmod.ShapeError) as error:
            module.forward(np.zeros((4, 5), np.float32))
        assert str(error.value) == (
            "input must have shape (3, 1), with or without a batch in front, sizes of 1 standing for any, "
            "or rows of 3 elements, got (4, 5)")
    with pytest.raises(nnmod.ShapeError, match="rows of 3 elements"):
        nnmod.Add(3).forward(np.zeros((2, 4), np.float32))
    with pytest.raises(nnmod.ShapeError, match="alternates too often"):
        nnmod.CMul(2, 1, 2, 1, 2, 1).forward(np.zeros((2, 2, 2, 2, 2, 2), np.float32))


def test_wrong_arguments():
    for make, text in [(lambda: nnmod.CMul(), "size must have at least one number"),
                       (lambda: nnmod.CAdd(3, 0), r"size\[1\] must be an int > 0, got 0"),
                       (lambda: nnmod.Add(0), "inputSize must be an int > 0"),
                       (lambda: nnmod.Add(3, 4), "scalar must be True or False, got 4")]:
        with pytest.raises(ValueError, match=text):
            make()


def test_the_sum_of_many_is_exact():
    """One number's gradient is summed in float64: a float32 sum of these loses every other one."""
    x = np.full((1, 1 << 20), 1.0, np.float32)
    x[0, 0] = 1 << 24
    expected = np.float32((1 << 24) + (1 << 20) - 1)
    for module, grad in ((nnmod.Mul(), "gradWeight"), (nnmod.Add(1, True), "gradBias")):
        module.forward(np.ones_like(x))
        module.backward(np.ones_like(x), x)
        assert getattr(module, grad)[0] == expected


def test_initialised_as_torch_does():
    nnmod.manualSeed(0)
    for module, bound in [(nnmod.Add(400), 0.05), (nnmod.CAdd(20, 20), 0.05), (nnmod.CMul(400), 0.05),
                          (nnmod.CMul(400).reset(0.1), 0.03 ** 0.5)]:
        drawn = np.abs(module.parameters()[0][0])
        assert 0.97 * bound < drawn.max() <= bound and drawn.min() < 0.1 * bound
    assert max(abs(nnmod.Mul().weight[0]) for _ in range(100)) > 0.9


def test_threads_change_no_bit():
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((700, 3000)), rng.standard_normal((700, 3000))
    results = []
    before = nnmod.getnumthreads()
    try:
        for count in (1, 3):
            nnmod.setnumthreads(count)
            y, dw, db = np.empty_like(x), np.zeros((1, 1, 1, 1, 3000)), np.zeros(3000)
            K = kernels.of(x)
            wide = (1, 1, 1, *x.shape)
            K.broadcast_multiply(x.reshape(wide), dy[:1].reshape(1, 1, 1, 1, -1), y.reshape(wide))
            K.broadcast_product_sum(x.reshape(wide), dy.reshape(wide), dw, 0.3)
            K.broadcast_sum(x.reshape(wide), db.reshape(1, 1, 1, 1, -1), 0.3)
            results.append((y, dw, db))
    finally:
        nnmod.setnumthreads(before)
    for one, three in zip(*results):
        assert np.array_equal(one, three)
