"""Maxout, by what the generic tests cannot see."""
import numpy as np
import pytest

import nnmod


def test_maxout_is_the_greatest_of_its_maps():
    module = nnmod.Maxout(5, 3, 2).double()
    x = np.random.default_rng(0).standard_normal((4, 5))
    maps = (x @ module[0].weight.T + module[0].bias).reshape(4, 2, 3)
    np.testing.assert_allclose(module.forward(x), maps.max(axis=1), rtol=1e-13)
    assert [type(m).__name__ for m in module] == ["Linear", "View", "Max"]


def test_maxout_processes_in_between():
    dropout = nnmod.Dropout(0.5)
    module = nnmod.Maxout(5, 3, 2, dropout)
    module.forward(np.ones((4, 5), np.float32))
    assert module[2] is dropout and dropout.output.shape == (4, 2, 3)


def test_maxout_takes_its_size_from_the_input():
    module = nnmod.Maxout(None, 3, 2)
    assert module.forward(np.ones((4, 7), np.float32)).shape == (4, 3)
    assert module[0].inputSize == 7


def test_wrong_arguments():
    for arguments, text in [((5, 0, 2), "outputSize must be an int > 0"), ((5, 3, 0), "maxoutNumber must be an int > 0")]:
        with pytest.raises(ValueError, match=text):
            nnmod.Maxout(*arguments)
