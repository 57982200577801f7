"""Trees: children, walking, sharing, flat parameters, a first layer's gradient."""
import numpy as np
import pytest

import nnmod
from nnmod import Concat, ConcatTable, Identity, Linear, ParallelTable, ReLU, Sequential, Tanh


def x32(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_children():
    a, b, c = Linear(2, 3), Tanh(), Linear(3, 1)
    net = Sequential(a).add(c)
    assert net.insert(1, b) is net
    assert list(net) == [a, b, c] and len(net) == net.size() == 3
    assert net[0] is net.get(0) is a and net[-1] is c
    part = net[:2]
    assert isinstance(part, Sequential) and part.modules == [a, b]
    assert net.remove() is c and net.remove(0) is a and list(net) == [b]
    for index in (5, -3, 1.0):
        with pytest.raises(IndexError):
            net.insert(index, Tanh())
    with pytest.raises(IndexError):
        net.remove(7)
    assert list(net) == [b]


def test_repr_is_the_tree():
    net = Sequential(Linear(4, 3), Concat(1, Linear(3, 2, bias=False), Identity()), ReLU(True), Sequential())
    assert repr(net) == """Sequential {
  [0] Linear(4 -> 3)
  [1] Concat(1) {
    [0] Linear(3 -> 2, no bias)
    [1] Identity()
  }
  [2] ReLU(in place)
  [3] Sequential {}
}"""
    assert "Linear(3 -&gt; 2, no bias)" in net._repr_html_()


def test_walking():
    net = Sequential(Linear(4, 3), ConcatTable(Tanh(), Sequential(Identity())))
    assert [path for path, _ in net.namedModules()] == [
        "Sequential", "Sequential[0] > Linear", "Sequential[1] > ConcatTable",
        "Sequential[1] > ConcatTable[0] > Tanh", "Sequential[1] > ConcatTable[1] > Sequential",
        "Sequential[1] > ConcatTable[1] > Sequential[0] > Identity"]
    assert [m for _, m in net.namedModules()] == net.listModules()
    found, containers = net.findModules(Sequential)
    assert found == [net, net[1][1]] and containers == [net, net[1]]


def test_replace_descends_into_the_replacement():
    net = Sequential(Linear(4, 3), Tanh(), Concat(1, Tanh(), Identity()))

    def rebuild(module):
        if isinstance(module, Tanh):
            return Sequential(ReLU(), Identity())
        return nnmod.Dropout(0) if isinstance(module, Identity) else module

    net = net.replace(rebuild)
    names = [type(m).__name__ for m in net.listModules()]
    assert names == ["Sequential", "Linear", "Sequential", "ReLU", "Dropout", "Concat", "Sequential", "ReLU",
                     "Dropout", "Dropout"]
    assert isinstance(Tanh().replace(rebuild), Sequential)
    one = ReLU()
    with pytest.raises(ValueError, match="one module holds one position"):
        Sequential(Tanh(), Tanh()).replace(lambda m: one if isinstance(m, Tanh) else m)


def test_training_and_evaluation_reach_every_module():
    net = Sequential(Concat(1, nnmod.Dropout(), Identity()))
    assert net.train and net.evaluate() is net
    assert not any(m.train for m in net.listModules())
    assert net.training() is net and all(m.train for m in net.listModules())


def test_clone_keeps_sharing_inside_the_tree():
    first = Linear(3, 3)
    net = Sequential(first, Tanh(), first.clone("weight", "gradWeight"))
    twin = net.clone()
    assert twin[0].weight is twin[2].weight and twin[0].weight is not first.weight
    assert twin[0].bias is not twin[2].bias
    twin.double()
    assert twin[0].weight is twin[2].weight and twin[0].gradWeight is twin[2].gradWeight
    flat, _ = twin.getParameters()
    assert twin[0].weight is twin[2].weight and flat.size == 9 + 3 + 3


def test_updateParameters_steps_once_for_a_shared_pair():
    first = Linear(2, 2)
    net = Sequential(first, first.clone("weight", "bias", "gradWeight", "gradBias"))
    before = first.weight.copy()
    first.gradWeight.fill(1)
    net.updateParameters(0.5)
    np.testing.assert_allclose(first.weight, before - 0.5)


def test_share():
    net, other = (Sequential(Linear(3, 3), Tanh(), Linear(3, 2)) for _ in range(2))
    assert net.share(other, "weight", "bias") is net
    assert net[0].weight is other[0].weight and net[2].bias is other[2].bias
    assert net[0].gradWeight is not other[0].gradWeight
    with pytest.raises(ValueError, match="same structure"):
        net.share(Sequential(Linear(3, 3)), "weight")
    with pytest.raises(ValueError, match="has no tensor named 'wait' to share"):
        net.share(other, "wait")


def test_flat_parameters_of_a_part_are_slices_of_the_whole():
    net = Sequential(Linear(3, 4), Tanh(), Linear(4, 2))
    flat, gradFlat = net.getParameters()
    part, gradPart = net[2].getParameters()
    assert np.shares_memory(part, flat) and np.shares_memory(gradPart, gradFlat)
    part[...] = 7
    assert (flat[-10:] == 7).all() and (net[2].weight == 7).all()
    again = net.getParameters()
    assert again[0] is flat and again[1] is gradFlat


def test_flat_parameters_follow_structure_and_type():
    net = Sequential(Linear(3, 4))
    flat, _ = net.getParameters()
    net.add(Linear(4, 2))
    longer, _ = net.getParameters()
    assert longer.size == flat.size + 10 and np.array_equal(longer[:16], flat)
    assert net.double().getParameters()[0].dtype == np.float64
    assert Tanh().getParameters()[0].shape == (0,)


def test_mixed_dtypes_cannot_be_one_vector():
    net = Sequential(Linear(3, 4), Linear(4, 2).double())
    with pytest.raises(TypeError, match="parameters must share one dtype, got float32 and float64"):
        net.getParameters()


@pytest.mark.parametrize("wrap", [
    lambda: Sequential(Linear(3, 2), Tanh()),
    lambda: Sequential(Sequential(Linear(3, 2)), Tanh()),
    lambda: Concat(1, Linear(3, 2), Sequential(Linear(3, 1), Tanh())),
], ids=["Sequential", "nested", "Concat"])
def test_a_first_layer_may_skip_the_gradient_of_its_input(wrap):
    nnmod.manualSeed(1)
    net = wrap()
    x = x32(4, 3)
    dy = np.ones_like(net.forward(x))
    assert net.backward(x, dy) is not None
    expected = [g.copy() for g in net.parameters()[1]]
    net.zeroGradParameters()
    net.needsGradInput = False
    net.forward(x)
    assert net.backward(x, dy) is None and net.gradInput is None
    for grad, value in zip(net.parameters()[1], expected):
        np.testing.assert_array_equal(grad, value)
    assert net.findModules(Linear)[0][0].gradInput is None
    net.insert(0, Sequential(Identity()) if isinstance(net, Sequential) else Linear(3, 1))
    assert net[0].needsGradInput is False


def test_a_gradient_that_accGradParameters_builds_on_is_not_skipped():
    """LowRank's accGradParameters reads a buffer of updateGradInput (contract, line 5)."""
    class LowRank(nnmod.Module):
        paramNames = ("down", "up")
        bufferNames = ("hidden", "gradHidden")

        def __init__(self):
            super().__init__()
            self.down, self.up = np.ones((2, 3)), np.ones((4, 2))
            self.gradDown, self.gradUp = np.zeros((2, 3)), np.zeros((4, 2))
            self.hidden = self.gradHidden = None

        def updateOutput(self, input):
            self.hidden = input @ self.down.T
            self.output = self.hidden @ self.up.T
            return self.output

        def updateGradInput(self, input, gradOutput):
            self.gradHidden = gradOutput @ self.up
            self.gradInput = self.gradHidden @ self.down
            return self.gradInput

        def accGradParameters(self, input, gradOutput, scale=1.0):
            self.gradDown += scale * self.gradHidden.T @ input
            self.gradUp += scale * gradOutput.T @ self.hidden

    first = LowRank()
    first.needsGradInput = False
    x = np.ones((5, 3))
    first.backward(x, np.ones_like(first.forward(x)))
    first.backward(x, 3 * np.ones_like(first.forward(x)))
    np.testing.assert_allclose(first.gradDown, 4 * 5 * 4)


def test_needsGradInput_of_one_layer():
    net = Sequential(Linear(3, 2), Tanh())
    net[0].needsGradInput = False
    x = x32(4, 3)
    net.backward(x, np.ones_like(net.forward(x)))
    assert net[0].gradInput is None and net[0].gradWeight.any()


def test_tables_may_change_their_length():
    net = Sequential(nnmod.CAddTable(), Linear(3, 2))
    for count in (3, 1, 2):
        entries = [x32(4, 3) for _ in range(count)]
        net.backward(entries, np.ones_like(net.forward(entries)))
        assert len(net.gradInput) == count
    join = nnmod.JoinTable(1)
    assert join.forward((x32(2, 1), x32(2, 2))).shape == (2, 3)  # a tuple will do
    assert isinstance(join.backward((x32(2, 1), x32(2, 2)), x32(2, 3)), list)


def test_a_table_of_tables():
    net = ParallelTable(ConcatTable(Linear(3, 2), Tanh()), Identity())
    entries = [x32(4, 3), [x32(2, 2), x32(1)]]
    output = net.forward(entries)
    assert [type(v) for v in output] == [list, list]
    gradients = net.backward(entries, [[np.ones_like(y) for y in part] for part in output])
    assert gradients[0].shape == (4, 3) and [g.shape for g in gradients[1]] == [(2, 2), (1,)]


def test_backwardUpdate_is_backward_and_a_step():
    nnmod.manualSeed(2)
    net = Sequential(Linear(3, 2), Tanh())
    twin, x = net.clone(), x32(4, 3)
    dy = np.ones_like(net.forward(x))
    net.parameters()[1][0].fill(5)
    gradInput = net.backwardUpdate(x, dy, 0.1).copy()
    twin.forward(x)
    np.testing.assert_array_equal(twin.backward(x, dy), gradInput)
    twin.updateParameters(0.1)
    for a, b in zip(net.parameters()[0], twin.parameters()[0]):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert (net.parameters()[1][0] == 5).all()


def test_the_verbs_of_a_container_one_by_one():
    for make in (lambda: Sequential(Linear(3, 2), Tanh()), lambda: Concat(1, Linear(3, 2), Tanh()),
                 lambda: ConcatTable(Linear(3, 2), Tanh())):
        net = make()
        twin, x = net.clone(), x32(4, 3)
        dy = nnmod.nested.map(np.ones_like, net.forward(x))
        twin.forward(x)
        expected = twin.backward(x, dy)
        np.testing.assert_array_equal(net.updateGradInput(x, dy), expected)
        net.accGradParameters(x, dy)
        for a, b in zip(net.parameters()[1], twin.parameters()[1]):
            np.testing.assert_array_equal(a, b)
    entries = [x32(4, 3), x32(4, 2)]
    net = ParallelTable(Linear(3, 2), Tanh())
    dy = nnmod.nested.map(np.ones_like, net.forward(entries))
    assert len(net.updateGradInput(entries, dy)) == 2
    net.accGradParameters(entries, dy)
    assert net[0].gradWeight.any()


def test_a_module_of_the_users_own():
    """Two verbs suffice; inputs arrive dense; the contract's checks come from the base."""
    class Double(nnmod.Module):
        paramNames = ()

        def updateOutput(self, input):
            assert input.flags.c_contiguous
            self.output = 2 * input
            return self.output

        def updateGradInput(self, input, gradOutput):
            self.gradInput = 2 * gradOutput
            return self.gradInput

    net = Sequential(Double(), Linear(3, 2))
    x = x32(3, 4).T
    np.testing.assert_array_equal(net[0].forward(x), 2 * x)
    dy = np.ones_like(net.forward(x))
    assert net.backward(x, dy).shape == (4, 3)
    with pytest.raises(nnmod.ShapeError):
        net[0].backward(x, x32(1))
    nnmod.testing.check_gradients(Double(), np.random.default_rng(0).standard_normal((3, 4)))


def test_the_gradient_checker_finds_a_wrong_gradient():
    class Wrong(nnmod.Linear):
        def accGradParameters(self, input, gradOutput, scale=1.0):
            super().accGradParameters(input, gradOutput, scale)
            self.gradBias += 0.1

    with pytest.raises(AssertionError, match=r"Wrong\(3 -> 2\): gradBias is wrong, worst at \(\d,\): "
                                             r"backward [-\d.e]+, finite difference"):
        nnmod.testing.check_gradients(Wrong(3, 2), np.random.default_rng(0).standard_normal((4, 3)))


def test_inferred_sizes():
    net = Sequential(Linear(None, 4), Tanh(), Linear(None, 2))
    assert repr(net[0]) == "Linear(? -> 4)"
    twin = net.clone()
    net.double()
    assert net.forward(np.zeros((5, 3))).shape == (5, 2)
    assert repr(net[0]) == "Linear(3 -> 4)" and net[0].weight.dtype == np.float64
    assert twin.forward(x32(2, 7)).shape == (2, 2)


def test_copies_of_strided_arguments_never_go_into_the_callers_tensors():
    """A table may hold a dense tensor in one pass and a strided one in the next."""
    join = nnmod.JoinTable(1)
    dense, wide = x32(2, 3), np.zeros((2, 3, 2), np.float32)
    strided = wide[..., 0]
    join.forward([strided, dense])
    kept = dense.copy()
    join.forward([strided, wide[..., 1]])
    np.testing.assert_array_equal(dense, kept)
    outputs = join.forward([dense, strided]), join.forward([strided, dense])
    np.testing.assert_array_equal(dense, kept)
    assert outputs[0].shape == (2, 6)

    net = ParallelTable(Tanh(), Tanh())
    entries = [x32(2, 3), x32(2, 3)]
    net.forward(entries)
    gradient = x32(2, 3)
    kept = gradient.copy()
    net.backward(entries, [strided, gradient])
    net.forward(entries)
    net.backward(entries, [strided, wide[..., 1]])
    np.testing.assert_array_equal(gradient, kept)
