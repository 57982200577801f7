"""Graphs: what the generic tests cannot see, and the graphs that real nngraph recorded."""
import inspect
import pickle

import numpy as np
import pytest

import nnmod
from golden_data import GOLDEN
from nnmod import Identity, Linear, Tanh, gModule, nested, tensor
from test_golden import assert_close


def x32(*shape):
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


# -- real nngraph -------------------------------------------------------------------


def two_gates():
    x = Identity()()
    h1 = Tanh()(Linear(5, 4)(x))
    h2 = nnmod.Sigmoid()(Linear(5, 4)(x))
    return [x], [Linear(4, 2)(nnmod.CMulTable()([h1, h2]))]


def lstm_cell():
    x, c, h = Identity()(), Identity()(), Identity()()
    gates = nnmod.Reshape(4, 4)(nnmod.CAddTable()([Linear(3, 16)(x), Linear(4, 16)(h)]))
    n1, n2, n3, n4 = nnmod.SplitTable(1)(gates).split(4)
    input_gate, forget_gate, output_gate = (nnmod.Sigmoid()(n) for n in (n1, n2, n3))
    next_c = nnmod.CAddTable()([nnmod.CMulTable()([forget_gate, c]),
                               nnmod.CMulTable()([input_gate, Tanh()(n4)])])
    return [x, c, h], [next_c, nnmod.CMulTable()([output_gate, Tanh()(next_c)])]


def with_a_criterion():
    x, target = Identity()(), Identity()()
    return [x, target], [nnmod.MSECriterion()([Linear(3, 2)(x), target])]


RECORDED = {"gModule__1": (two_gates, ["CMulTable"]), "gModule__3": (lstm_cell, ["CMulTable", "SplitTable"]),
            "gModule__5": (with_a_criterion, [])}


def test_every_recorded_graph_is_compared():
    assert {name for name in GOLDEN.names("module") if name.startswith("gModule")} == set(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("convert, tolerance", [("double", 1e-10), ("float", 1e-5)])
def test_recorded_graphs(name, convert, tolerance):
    make, needed = RECORDED[name]
    missing = [cls for cls in needed if not hasattr(nnmod, cls)]
    if missing:
        pytest.skip(f"not there yet: {', '.join(missing)}")
    case = GOLDEN.case(name)
    net = getattr(gModule(*make()), convert)()
    dtype = tensor.dtype_of(net.type())
    input, gradOutput = (nested.map(lambda v: np.asarray(v).astype(dtype), case[key])
                         for key in ("input", "gradOutput"))
    classes = {int(path.split("/")[1]) - 1: value[3:] for path, value in case["state_before"].items()
               if path.count("/") == 2 and path.endswith("$class")}
    assert [type(m).__name__ for m in net.modules] == [classes[i] for i in range(len(classes))]
    for index, module in enumerate(net.modules):
        for key in module.paramNames:
            if getattr(module, key, None) is not None:
                getattr(module, key)[...] = case["state_before"][f"modules/{index + 1}/{key}"]
    assert_close(net.parameters()[0], [np.asarray(p).astype(dtype) for p in case["params"]], "params", tolerance)
    for _ in range(case["steps"]):
        output = nested.map(np.copy, net.forward(input))
        gradInput = net.backward(input, gradOutput, case["scale"])
    assert_close(output, case["output"], "output", tolerance)
    assert_close(gradInput, case["gradInput"], "gradInput", tolerance)
    assert_close(net.parameters()[1], case["gradParams"], "gradParams", tolerance)
    for path, value in case["state_after"].items():
        if path.endswith("criterion/output"):
            assert net.modules[int(path.split("/")[1]) - 1].criterion.output == pytest.approx(value, rel=tolerance)


# -- the same as other containers -----------------------------------------------------


def test_a_graph_computes_what_the_containers_compute():
    nnmod.manualSeed(1)
    net = nnmod.Sequential(
        Linear(5, 4), nnmod.ConcatTable(Tanh(), nnmod.Sequential(Linear(4, 4), nnmod.Sigmoid())),
        nnmod.CAddTable(), Linear(4, 2))
    first, branches, _, last = net.clone().modules
    x = Identity()()
    h = first(x)
    graph = gModule([x], [last(nnmod.CAddTable()([branches[0](h), branches[1](h)]))])
    batch, gradOutput = x32(6, 5), x32(6, 2)
    for _ in range(2):
        np.testing.assert_array_equal(graph.forward(batch), net.forward(batch))
        np.testing.assert_array_equal(graph.backward(batch, gradOutput, 0.5),
                                      net.backward(batch, gradOutput, 0.5))
    for a, b in zip(graph.parameters()[1], net.parameters()[1], strict=True):
        np.testing.assert_array_equal(a, b)


def test_backward_is_updateGradInput_and_accGradParameters():
    x = Identity()()
    h = Linear(5, 4)(x)
    net = gModule(x, nnmod.CAddTable()([Tanh()(h), h, Linear(4, 4)(h)])).double()
    batch, gradOutput = x32(3, 5).astype(np.float64), x32(3, 4).astype(np.float64)
    net.forward(batch)
    expected = net.backward(batch, gradOutput, 2.0).copy()
    gradients = [g.copy() for g in net.parameters()[1]]
    net.zeroGradParameters()
    net.forward(batch)
    with pytest.raises(RuntimeError, match="needs updateGradInput before it"):
        net.accGradParameters(batch, gradOutput)
    np.testing.assert_array_equal(net.updateGradInput(batch, gradOutput), expected)
    net.accGradParameters(batch, gradOutput, 2.0)
    for a, b in zip(net.parameters()[1], gradients, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_deep_graph_is_built_run_copied_and_pickled():
    """Thousands of nodes: nothing recurses along the graph."""
    x = node = Identity()()
    for depth in range(3000):
        node = nnmod.CAddTable()([node, node]) if depth % 1000 == 0 else Tanh()(node)
    net = gModule(x, node)
    batch = x32(2, 3)
    expected = net.forward(batch).copy()
    assert net.backward(batch, batch).shape == batch.shape
    for twin in (net.clone(), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(twin.forward(batch), expected)
    assert len(repr(net).splitlines()) == 3001 + 3


def test_only_what_the_outputs_need_is_run():
    class Never(nnmod.Tanh):
        def updateOutput(self, input):
            raise AssertionError("a dead branch was run")

    x = Identity()()
    Never()(x)
    net = gModule(x, Tanh()(x))
    assert [type(m).__name__ for m in net.modules] == ["Identity", "Tanh"]
    net.forward(x32(2, 3))


def test_a_graph_goes_through_a_checkpoint(tmp_path):
    pytest.importorskip("safetensors")
    x, y = Identity()(), Identity()()
    shared = Linear(3, 4)
    h = nnmod.CAddTable()([shared(x), shared.clone("weight", "bias", "gradWeight", "gradBias")(y)])
    h.annotate(name="sum", description="of both", graphAttributes={"color": "red"})
    a, b = nnmod.ConcatTable(Tanh(), Linear(4, 2))(h).split(2)
    net = gModule([x, [y]], [a, [b, h]])
    batch = [x32(2, 3), [x32(2, 3) + 1]]
    expected = nested.map(np.copy, net.forward(batch))
    path = tmp_path / "graph.safetensors"
    nnmod.save_checkpoint(path, net)
    loaded = nnmod.load_checkpoint(path)["model"]
    assert repr(loaded) == repr(net)
    assert loaded.forwardnodes[4].annotations == h.annotations
    for actual, value in zip(nested.leaves(loaded.forward(batch)), nested.leaves(expected), strict=True):
        np.testing.assert_array_equal(actual, value)
    assert len(loaded.parameters()[0]) == 4  # the shared pair once, and the Linear inside


def test_a_damaged_graph_is_not_loaded():
    net = gModule(*[Tanh()()] * 2)
    state = net.__getstate__()
    for key, value in (("outputs", 1), ("inputs", []), ("nodes", [])):
        with pytest.raises(ValueError, match="do not fit its modules"):
            gModule.__new__(gModule).__setstate__(state | {"_graph": net._graph | {key: value}})


def test_replace_keeps_the_graph():
    x = Identity()()
    net = gModule(x, Linear(4, 2)(Tanh()(Linear(3, 4)(x))))
    net.replace(lambda m: nnmod.ReLU() if isinstance(m, Tanh) else m)
    assert isinstance(net[2], nnmod.ReLU)
    batch = x32(2, 3)
    hidden = batch @ net[1].weight.T + net[1].bias
    np.testing.assert_allclose(net.forward(batch), np.maximum(hidden, 0) @ net[3].weight.T + net[3].bias,
                               rtol=1e-5, atol=1e-6)


def test_sizes_that_were_left_out_are_inferred():
    x = Identity()()
    net = gModule(x, Linear(None, 2)(Tanh()(Linear(None, 4)(x))))
    assert net.forward(x32(2, 7)).shape == (2, 2)
    assert [p.shape for p in net.parameters()[0]] == [(4, 7), (4,), (2, 4), (2,)]


# -- gradients that are not there ---------------------------------------------------------


class Rank(nnmod.Module):
    """Where in the row the largest element is: integers, without a gradient."""

    paramNames = ()

    def updateOutput(self, input):
        self.output = self.takeInput(input).argmax(axis=1)
        return self.output

    def updateGradInput(self, input, gradOutput):
        self.gradInput = None
        return self.gradInput


class Pick(nnmod.Module):
    """The element of each row that the indices name."""

    paramNames = ()

    def updateOutput(self, input):
        values, index = self.takeInput(input)
        self.output = np.take_along_axis(values, index[:, None], 1)
        return self.output

    def updateGradInput(self, input, gradOutput):
        (values, index), gradOutput = self.takeGradOutput(input, gradOutput)
        gradient = np.zeros_like(values)
        np.put_along_axis(gradient, index[:, None], gradOutput, 1)
        self.gradInput = [gradient, None]
        return self.gradInput


def test_integers_between_modules_carry_no_gradient():
    x = Identity()()
    h, scores = Linear(3, 4)(x), Linear(3, 4)(x)
    net = gModule(x, Pick()([h, Rank()(scores)])).double()
    nnmod.testing.check_gradients(net, x32(5, 3).astype(np.float64))
    batch = x32(5, 3).astype(np.float64)
    net.forward(batch)
    net.backward(batch, np.ones((5, 1)))
    assert net.findModules(Linear)[0][0].gradWeight.any()
    assert not net.findModules(Linear)[0][1].gradWeight.any()


def test_a_first_layer_may_skip_the_gradient_of_its_input():
    x, y = Identity()(), Tanh()()
    first, second = Linear(3, 4)(x), Linear(4, 4)
    net = gModule([x, y], nnmod.CAddTable()([second(first), nnmod.Sigmoid()(y)]))
    batch = [x32(2, 3), x32(2, 4)]
    net.forward(batch)
    net.backward(batch, x32(2, 4))
    expected = [g.copy() for g in net.parameters()[1]]
    net.zeroGradParameters()
    net.needsGradInput = False
    net.forward(batch)
    assert net.backward(batch, x32(2, 4)) is None
    for a, b in zip(net.parameters()[1], expected, strict=True):
        np.testing.assert_array_equal(a, b)
    skipped = [type(m).__name__ for m in net.modules if not m.needsGradInput]
    assert skipped == ["Identity", "Linear", "Tanh", "Sigmoid"]
    assert second.gradInput is not None


def test_an_in_place_module_leaves_gradients_of_others_alone():
    """Gradients of two entries in one memory: the in-place backward of one must not change the other."""
    class Sum(nnmod.Module):
        paramNames = ()

        def updateOutput(self, input):
            a, b = self.takeInput(input)
            self.output = a + b
            return self.output

        def updateGradInput(self, input, gradOutput):
            self.gradInput = [self.takeGradOutput(input, gradOutput)[1]] * 2
            return self.gradInput

    def net(inplace):
        nnmod.manualSeed(3)
        x, y, z = Identity()(), Identity()(), Identity()()
        a, b = Linear(3, 4)(x), Linear(3, 4)(x)
        first = Sum()([nnmod.HardTanh(-0.1, 0.1)(a), nnmod.ReLU(inplace)(b)])
        return gModule([x, y, z], Sum()([Sum()([nnmod.ReLU(inplace)(Linear(4, 4)(y)), z]), first]))

    batch, gradOutput = [x32(6, 3), x32(6, 4), x32(6, 4)], x32(6, 4)
    results = []
    for inplace in (False, True):
        graph = net(inplace)
        graph.forward(batch)
        gradInput = graph.backward(batch, gradOutput.copy())
        results.append([*nested.map(np.copy, gradInput), *graph.parameters()[1]])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


# -- errors --------------------------------------------------------------------------------


def refused(*parts, kind=ValueError):
    with pytest.raises(kind) as caught:
        parts[0]()
    for part in parts[1:]:
        assert part in str(caught.value)
    return caught.value


def test_what_is_no_graph_is_refused_in_words():
    x, y = Identity()(), Identity()()
    linear = Linear(3, 4)
    refused(lambda: gModule(x, nnmod.CAddTable()([linear(x), linear(x)])),
            "Linear(3 -> 4) stands at two nodes", 'm.clone("weight", "bias", "gradWeight", "gradBias")')
    refused(lambda: gModule([x, y], Tanh()(x)), "no output needs the input Node(Identity()) (made in test_graph.py, line ")
    refused(lambda: gModule(x, nnmod.CAddTable()([x, y])), "is not an input of the graph; list it among the inputs")
    refused(lambda: gModule([x, x], Tanh()(x)), "stands twice among the inputs")
    refused(lambda: gModule(Tanh()(x), Tanh()(x)), "an input of a graph must be a node without inputs")
    refused(lambda: gModule([], x), "got an empty list", kind=TypeError)
    refused(lambda: gModule([x], [np.zeros(3)]), "this is a ndarray", kind=TypeError)
    refused(lambda: Tanh()([x, np.zeros(3)]), "a graph is made of nodes alone", kind=TypeError)
    refused(lambda: Tanh()(x, y), "give several nodes as a list", kind=TypeError)
    refused(lambda: x.split(0), "count must be an int > 0, got 0")
    refused(lambda: x.annotate(name=3), "name must be a str, got 3", kind=TypeError)
    refused(lambda: x.annotate(graphAttributes=["red"]), "graphAttributes must be a dict", kind=TypeError)
    refused(lambda: nnmod.ModuleFromCriterion(Tanh()), "criterion must be a Criterion, got Tanh()", kind=TypeError)
    net = gModule(x, Tanh()(x))
    for change in (lambda: net.add(Tanh()), lambda: net.insert(0, Tanh()), lambda: net.remove()):
        refused(change, "build another graph", kind=TypeError)


def test_the_input_must_have_the_structure_of_the_input_nodes():
    a, b, c = Identity()(), Identity()(), Identity()()
    net = gModule([a, [b, c]], nnmod.CAddTable()([a, b, c]))
    x = x32(3)
    refused(lambda: net.forward(x), "input must be a table of 2 entries, one for each input node, got float32 (3,)",
            kind=TypeError)
    refused(lambda: net.forward([x, [x, x], x]), "input must be a table of 2 entries", "got 3",
            kind=nnmod.ShapeError)
    refused(lambda: net.forward([x, [x]]), "input[1] must be a table of 2 entries", kind=nnmod.ShapeError)


def test_errors_name_the_node():
    x = Identity()()
    line = inspect.currentframe().f_lineno + 1
    h = Linear(7, 5)(x).annotate(name="hidden")
    net = nnmod.Sequential(Tanh(), gModule(x, Linear(5, 2)(h))).clone()
    error = refused(lambda: net.forward(x32(3, 6)), "input must have shape (N, 7) or (7,)", kind=nnmod.ShapeError)
    assert error.__notes__ == [
        "in module: Sequential[1] > gModule[1: hidden] > Linear(7 -> 5).forward, given float32 (3, 6)",
        f"gModule[1: hidden] was made in test_graph.py, line {line}"]
    a, b, c = nnmod.ConcatTable(Tanh(), nnmod.BatchNormalization(3))(x).split(3)
    net = gModule(x, [a, b, c])
    error = refused(lambda: net.forward(x32(4, 3)), "a node with split(3) must give a table of 3 entries",
                    "float32 (4, 3)", kind=nnmod.ShapeError)
    assert error.__notes__[0].startswith("in module: gModule[1] > ConcatTable")
    assert error.__notes__[1] == f"gModule[1] was made in test_graph.py, line {line + 6}"
    assert not net.findModules(nnmod.BatchNormalization)[0][0].running_mean.any()


def test_a_failed_forward_leaves_nothing_to_go_back_through():
    x = Identity()()
    net = gModule(x, Linear(3, 2)(nnmod.BatchNormalization(None)(x)))
    net.forward(x32(4, 3))
    before = net[1].running_mean.copy()
    with pytest.raises(nnmod.ShapeError):
        net.forward(x32(4, 4))
    np.testing.assert_array_equal(net[1].running_mean, before)
    refused(lambda: net.backward(net._given, x32(4, 2)), "the last forward of this graph did not succeed",
            kind=RuntimeError)


def test_in_place_modules_that_would_overwrite_what_others_read_are_refused():
    def relu(node):
        return nnmod.ReLU(True)(node)

    x = Identity()()
    h = Linear(4, 4)(x)
    refused(lambda: gModule(x, nnmod.CAddTable()([relu(h), Tanh()(h)])),
            "ReLU(in place) works in place and would overwrite the output of Linear(4 -> 4), which "
            "ReLU(in place) and Tanh() use; use inplace=False")
    refused(lambda: gModule(x, [relu(h), h]), "ReLU(in place) and an output of the graph use")
    refused(lambda: gModule(x, relu(Tanh()(x))), "would overwrite the output of Tanh()",
            "which that module's backward needs")
    refused(lambda: gModule(x, relu(Identity()(Tanh()(x)))), "would overwrite the output of Tanh()")
    refused(lambda: gModule(x, nnmod.CAddTable()([relu(nnmod.View(4)(h)), Tanh()(h)])), "Linear(4 -> 4)")
    penalty = Tanh()  # gives its input on, and reads it in backward
    penalty.sharesInput, penalty.backwardNeeds = True, {"input"}
    refused(lambda: gModule(x, relu(penalty(h))), "would overwrite the output of Tanh()")
    refused(lambda: gModule(x, nnmod.CAddTable(True)([x, h])), "would overwrite the output of Identity()")
    a, b = nnmod.ConcatTable(Linear(4, 4), Linear(4, 4))(x).split(2)
    gModule(x, [relu(a), relu(b)])
    gModule(x, nnmod.CAddTable(True)([h, x]))
    refused(lambda: gModule(x, [relu(a), Tanh()(a)]), "a split")
    refused(lambda: gModule(x, [nnmod.CAddTable()(a.inputs), relu(a)]), "ConcatTable")
    net = gModule(x, nnmod.CAddTable()([h, Tanh()(x)]))
    refused(lambda: net.replace(lambda m: nnmod.ReLU(True) if isinstance(m, Tanh) else m),
            "would overwrite the output of Identity()")


def test_what_a_graph_says_about_memory():
    x = Identity()()
    assert gModule(x, nnmod.ReLU(True)(x)).inplace
    assert not gModule(x, nnmod.ReLU(True)(Linear(3, 3)(x))).inplace
    assert gModule(x, nnmod.View(3)(x)).sharesInput and not gModule(x, Tanh()(x)).sharesInput
    assert gModule(x, Tanh()(x)).backwardNeeds == {"input", "output"}
    assert gModule(x, Linear(3, 3)(x)).backwardNeeds == {"input"}
    with pytest.raises(ValueError, match="which that module's backward needs"):
        nnmod.Sequential(gModule(x, nnmod.View(3)(Tanh()(x))), nnmod.ReLU(True))


def test_a_parallel_table_of_in_place_modules_is_in_place():
    with pytest.raises(ValueError, match="works in place and would overwrite"):
        nnmod.Sequential(nnmod.ConcatTable(Tanh(), Tanh()), nnmod.ParallelTable(nnmod.ReLU(True), Identity()))


# -- nodes -------------------------------------------------------------------------------------


def test_nodes_for_scripts_from_torch():
    x = Identity()()
    h = Linear(3, 4)(x).annotate(name="i2h", description="input to hidden")
    net = gModule([x], [Tanh()(h)])
    found = {node.data.annotations["name"]: node.data.module for node in net.forwardnodes
             if "name" in node.data.annotations}
    assert found == {"i2h": h.module}
    assert repr(h) == "Node(i2h: Linear(3 -> 4))"
    assert repr(nnmod.Sequential(Tanh())(x)) == "Node(Sequential)"
    assert repr(h.split(2)[1].split(2)[0]) == "Node(entry 0 of entry 1 of Linear)"


def test_a_list_of_one_node_is_that_node():
    x = Identity()()
    net = gModule([x], [Tanh()([x])])
    batch = x32(2, 3)
    np.testing.assert_allclose(net.forward(batch), np.tanh(batch), rtol=1e-6)


def test_repr_of_a_graph():
    a, b = Identity()(), nnmod.ParallelTable(Tanh(), Identity())()
    c, d = b.split(2)
    net = gModule([a, [b]], [nnmod.CAddTable()([a, c]).annotate(name="sum"), [d, a]])
    assert repr(net) == """gModule {
  [0] Identity() <- input[0]
  [1] ParallelTable {
    [0] Tanh()
    [1] Identity()
  } <- input[1][0]
  [2] sum: CAddTable() <- [0], [1][0]
  output: [2], ([1][1], [0])
}"""
