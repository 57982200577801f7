"""What is counted and timed of a network, and the tree that a notebook shows."""
import html.parser
import re
import time

import numpy as np
import pytest

import nnmod
from cases import CASES
from nnmod import nested, notebook, summary, timing
from nnmod.serialization.t7 import Opaque

LINEAR = {
    "Linear": (lambda: nnmod.Linear(5, 3), (4, 5)),
    "Linear-one": (lambda: nnmod.Linear(5, 3), (5,)),
    "LinearWeightNorm": (lambda: nnmod.LinearWeightNorm(5, 3), (4, 5)),
    "PartialLinear": (lambda: nnmod.PartialLinear(5, 3), (4, 5)),
    "SpatialConvolution": (lambda: nnmod.SpatialConvolution(2, 3, 3, 2, 2, 1), (2, 2, 6, 5)),
    "SpatialConvolution-groups": (lambda: nnmod.SpatialConvolution(4, 6, 3, 3, groups=2), (2, 4, 5, 5)),
    "SpatialConvolutionMM": (lambda: nnmod.SpatialConvolutionMM(2, 3, 3, 2), (2, 2, 6, 5)),
    "SpatialDilatedConvolution": (lambda: nnmod.SpatialDilatedConvolution(2, 3, 2, 2, 1, 1, 0, 0, 2, 2), (2, 6, 5)),
    "VolumetricConvolution": (lambda: nnmod.VolumetricConvolution(2, 3, 2, 3, 2), (2, 2, 4, 4, 5)),
    "TemporalConvolution": (lambda: nnmod.TemporalConvolution(3, 5, 2), (2, 6, 3)),
    "SpatialFullConvolution": (lambda: nnmod.SpatialFullConvolution(2, 3, 3, 2, 2, 2), (2, 2, 3, 4)),
    "VolumetricFullConvolution": (lambda: nnmod.VolumetricFullConvolution(2, 3, 2, 2, 2), (2, 2, 2, 3, 4)),
    "SpatialConvolutionMap": (lambda: nnmod.SpatialConvolutionMap(_TABLE, 3, 2), (2, 2, 6, 5)),
    "SpatialFullConvolutionMap": (lambda: nnmod.SpatialFullConvolutionMap(_TABLE, 3, 2), (2, 2, 3, 4)),
    "SpatialDepthWiseConvolution": (lambda: nnmod.SpatialDepthWiseConvolution(3, 2, 3, 2), (2, 3, 4, 6)),
    "SpatialConvolutionLocal": (lambda: nnmod.SpatialConvolutionLocal(2, 3, 5, 4, 3, 2), (2, 2, 4, 5)),
    "TemporalRowConvolution": (lambda: nnmod.TemporalRowConvolution(3, 2), (2, 8, 3)),
    "MM": (nnmod.MM, [(2, 3, 4), (2, 4, 5)]),
    "MM-transposed": (lambda: nnmod.MM(True, True), [(4, 3), (5, 4)]),
    "MV": (nnmod.MV, [(2, 3, 4), (2, 4)]),
    "DotProduct": (nnmod.DotProduct, [(4, 5), (4, 5)]),
}
_TABLE = np.array([[0, 0], [1, 0], [1, 1]])


@pytest.mark.parametrize("name", LINEAR)
def test_multiply_adds_are_what_ones_add_up_to(name):
    """With weights and inputs of 1, each output is the number of its products (where nothing is padded)."""
    make, shape = LINEAR[name]
    module = make()
    for parameter in module.parameters()[0]:
        parameter.fill(1)
    if name == "LinearWeightNorm":
        module.g[...] = np.sqrt(module.v.shape[1])  # so that the weight it makes is 1
    if getattr(module, "bias", None) is not None:
        module.bias.fill(0)
    shapes = shape if isinstance(shape, list) else [shape]
    ones = [np.ones(s, np.float32) for s in shapes]
    x = ones if isinstance(shape, list) else ones[0]
    total = float(np.sum(module.forward(x), dtype=np.float64))
    assert summary.multiply_adds(module, x) == pytest.approx(total, rel=1e-5)


def test_multiply_adds_of_sequences_are_those_of_their_matrices():
    x = np.ones((5, 2, 3), np.float32)
    for module, per_row in ((nnmod.SeqLSTM(3, 4), 7 * 16), (nnmod.SeqGRU(3, 4), 7 * 12),
                            (nnmod.SeqLSTMP(3, 6, 4), 7 * 24 + 6 * 4)):
        module.forward(x)
        assert summary.multiply_adds(module, x) == 10 * per_row
    net = nnmod.Sequencer(nnmod.Sequential(nnmod.LSTM(3, 4), nnmod.Linear(4, 2)))
    found = summary.summarize(net, x)
    counts = {type(layer.module).__name__: (layer.multiplyAdds, layer.calls) for layer in found.layers}
    assert counts["LSTM"] == (10 * 7 * 16, 5) and counts["Linear"] == (10 * 8, 5)
    assert summary.multiply_adds(nnmod.Tanh(), x) is None


def test_a_fused_layer_counts_as_the_layers_that_it_is_made_of():
    for net, shape in ((nnmod.Sequential(nnmod.Linear(3, 4), nnmod.ReLU(), nnmod.Linear(4, 2)), (5, 3)),
                       (nnmod.Sequential(nnmod.SpatialConvolution(2, 3, 3, 3), nnmod.SpatialBatchNormalization(3),
                                         nnmod.Tanh()), (2, 2, 6, 5))):
        x = np.ones(shape, np.float32)
        for mode in (net.training, net.evaluate):
            mode()
            count = summary.summarize(net, x).multiplyAdds
            assert count and summary.summarize(net.fused(), x).multiplyAdds == count
            assert timing.time_layers(net.fused(), x, repeats=2).rows[0].multiplyAdds > 0


def test_a_summary():
    first = nnmod.Linear(3, 3)
    net = nnmod.Sequential(first, first.clone("weight", "bias", "gradWeight", "gradBias"),
                           nnmod.Sequential(nnmod.BatchNormalization(3), nnmod.View(3, 1)))
    x = np.ones((4, 3), np.float32)
    found = summary.summarize(net, x)
    assert [layer.path for layer in found.layers] == ["", "0", "1", "2", "2.0", "2.1"]
    assert [layer.shared for layer in found.layers] == [False, False, True, False, False, False]
    assert found.parameters == 12 + 6 and found.bytes == 4 * (12 + 6 + 6)  # running mean and variance
    assert found.layers[-1].output == (4, 3, 1) and found.multiplyAdds == 2 * 36
    assert found.outputBytes == 3 * 48  # a view holds nothing of its own
    assert summary.summarize(net).multiplyAdds is None and summary.summarize(net).layers[1].output is None
    assert "2x3" in str(summary.summarize(nnmod.Linear(5, 3), np.ones((2, 5), np.float32)))


def test_a_summary_of_sizes_that_were_left_out():
    net = nnmod.Sequential(nnmod.Linear(None, 4))
    assert summary.summarize(net).parameters == 0
    assert summary.summarize(net, np.ones((2, 3), np.float32)).parameters == 16


def test_an_input_that_does_not_fit_is_told_with_the_layer_and_leaves_no_trace():
    net = nnmod.Sequential(nnmod.Identity(), nnmod.Linear(3, 2))
    with pytest.raises(nnmod.ShapeError) as caught:
        summary.summarize(net, np.ones((1, 4), np.float32))
    assert "Sequential[1] > Linear" in caught.value.__notes__[0]
    assert type(net[0]) is nnmod.Identity and type(net[1]) is nnmod.Linear and "_watch" not in vars(net[0])


def test_copies_that_a_container_made_before_are_counted_too():
    net, x = nnmod.MapTable(nnmod.Linear(3, 2)), [np.ones((4, 3), np.float32)] * 3
    assert [summary.summarize(net, x).multiplyAdds for _ in range(2)] == [72, 72]
    net.forward(x)
    assert type(net._clones[1][0]) is nnmod.Linear


def test_copies_that_a_container_makes_are_watched_and_let_go():
    net, x = nnmod.MapTable(nnmod.Linear(4, 2)), [np.ones((n, 4), np.float32) for n in (3, 5, 2)]
    found = summary.summarize(net, x)
    assert found.layers[1].calls == 3 and found.layers[1].multiplyAdds == 10 * 8
    net.forward(x)
    assert [type(clone) for clone, _ in net._clones] == 3 * [nnmod.Linear]
    assert [row.path for row in timing.time_layers(net, x, repeats=1).rows] == ["0"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_watching_changes_nothing(case):
    """Every module computes the same while it is watched, and each leaf that runs is seen."""
    module, x = case.make().double(), case.input()
    twin, state, seen = module.clone(), nnmod.random.get_state(), []
    expected = nested.map(np.copy, module.forward(nested.map(np.copy, x)))
    nnmod.random.set_state(state)
    with summary.Watch(twin, lambda path, module, method, input, seconds: seen.append((path, method, seconds))):
        output = twin.forward(nested.map(np.copy, x))
        for y, z in zip(nested.leaves(output), nested.leaves(expected)):
            np.testing.assert_array_equal(y, z)
    assert all(method == "forward" and seconds > -1e-6 for _, method, seconds in seen)
    assert [type(m) for m in twin.listModules()] == [type(m) for m in module.listModules()]
    assert not any("_watch" in vars(m) for m in twin.listModules())
    assert "" in [path for path, _, _ in seen]


def test_a_container_that_does_the_work_of_its_children_is_a_layer():
    class Twice(nnmod.Container):
        """Computes what its children would, without calling them."""

        def updateOutput(self, input):
            self.output = 2 * self.takeInput(input)
            return self.output

        def updateGradInput(self, input, gradOutput):
            self.gradInput = 2 * gradOutput
            return self.gradInput

    net = nnmod.Sequential(Twice(nnmod.Identity(), nnmod.Identity()), nnmod.Sequential(nnmod.Tanh()))
    times = timing.time_layers(net, np.ones((16, 40), np.float32), repeats=2)
    assert [row.path for row in times.rows] == ["0", "1.0"]
    assert [row.path for row in times.containers] == ["", "1"] and times.containers[0].forward > 0
    assert [layer.calls for layer in times.summary.layers] == [0, 1, 0, 0, 0, 1]


def test_the_time_of_a_container_is_without_its_children():
    slow, seen = nnmod.Identity(), {}
    slow.updateOutput = lambda input: (time.sleep(0.05), nnmod.Identity.updateOutput(slow, input))[1]
    net = nnmod.Sequential(nnmod.Sequential(slow))
    with summary.Watch(net, lambda path, module, method, input, seconds: seen.update({path: seconds})):
        net.forward(np.ones(3, np.float32))
    assert seen["0.0"] >= 0.05 > 0.04 > max(seen[""], seen["0"]) >= 0


def test_times():
    net = nnmod.Sequential(nnmod.Linear(40, 50), nnmod.ReLU(True), nnmod.Linear(50, 5))
    before = net[0].weight.copy()
    times = timing.time_layers(net, np.ones((16, 40), np.float32), repeats=4)
    assert [row.path for row in times.rows] == ["0", "1", "2"] and times.repeats == 4
    assert all(row.forward > 0 and row.backward > 0 for row in times.rows)
    assert times.rows[0].forwardRate == 2 * 16 * 2000 / times.rows[0].forward
    assert times.rows[0].backwardRate == 4 * 16 * 2000 / \
        times.rows[0].backward and times.rows[1].forwardRate is None
    assert net.output is None and np.array_equal(net[0].weight, before)  # a clone was timed
    first = nnmod.Sequential(nnmod.Linear(40, 50))
    first.needsGradInput = False
    assert timing.time_layers(first, np.ones((16, 40), np.float32), repeats=1).rows[0].gradients == 1
    with pytest.raises(ValueError, match="repeats must be an int > 0"):
        timing.time_layers(net, np.ones((16, 40), np.float32), repeats=0)


# -- the tree of a notebook --------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """Checks that every element is closed, in order; collects the text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.text, self.tags = [], [], []
        self.feed(page)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_tree_shows_shapes_and_parameters_and_folds():
    net = nnmod.Sequential(nnmod.Linear(3, 4), nnmod.Sequential(nnmod.Tanh(), nnmod.Linear(4, 2)))
    page = Page(net._repr_html_())
    assert page.text == ["output", "parameters", "Sequential", "26", "0", "Linear(3 -> 4)", "16", "1", "Sequential",
                         "10", "0", "Tanh()", "1", "Linear(4 -> 2)", "10"]
    assert [tag for tag, _ in page.tags].count("details") == 2
    net.forward(np.ones((5, 3), np.float32))
    assert Page(net._repr_html_()).text.count("5x2") == 3
    table = nnmod.ConcatTable(nnmod.Tanh(), nnmod.Identity())
    table.forward(np.ones((5, 3), np.float32))
    assert "[5x3, 5x3]" in Page(table._repr_html_()).text


def test_shared_parameters_count_once():
    first = nnmod.Linear(3, 3)
    net = nnmod.Sequential(first, first.clone("weight", "bias", "gradWeight", "gradBias"))
    assert Page(net._repr_html_()).text.count("12") == 2  # of the network, and of the first


def test_text_from_files_is_escaped():
    evil = Opaque('<img src=x onerror="alert(1)">', 1, {"<b>": "</details>"})
    page = Page(nnmod.Sequential(evil)._repr_html_())
    assert {tag for tag, _ in page.tags} == {"div", "span", "details", "summary"}
    assert all(set(attributes) <= {"style", "title", "open"} for _, attributes in page.tags)


def test_large_networks_start_folded_and_deep_ones_do_not_recurse():
    wide = nnmod.Sequential(*[nnmod.Sequential(nnmod.Tanh()) for _ in range(40)])
    opened = [attributes for tag, attributes in Page(wide._repr_html_()).tags if tag == "details"]
    assert len(opened) == 41 and ["open" in attributes for attributes in opened] == [True] + 40 * [False]
    net = nnmod.Tanh()
    for _ in range(3000):
        around = nnmod.Sequential()
        around.modules = [net]  # add() looks at the whole tree, each time
        net = around
    assert notebook.tree(net).count("<details") == 3000


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_every_case_has_a_page(case):
    module = case.make()
    for _ in range(2):
        page = Page(notebook.tree(module))
        assert type(module).__name__ in " ".join(page.text)
        module.forward(nested.map(lambda x: x.astype(np.float32) if x.dtype.kind == "f" else x, case.input()))


def test_links_of_a_strangers_graph_are_left_out():
    node = nnmod.Tanh()().annotate(graphAttributes={"URL": "javascript:alert(1)", "image": "/etc/passwd",
                                                    "color": "red", "labelHref": "x"})
    text = nnmod.gModule(node, node).toDot()
    assert "color=red" in text and not re.search("javascript|passwd|labelHref", text)


def test_colours_of_a_graph():
    net = nnmod.Sequential(nnmod.ConcatTable(nnmod.Linear(3, 3), nnmod.Identity()), nnmod.CAddTable(),
                           Opaque("nn.Mystery"))
    text = nnmod.graphviz.to_dot(net)
    assert re.search(r'"Linear\(3 -> 3\)", fillcolor="#dbe7f6"', text)
    assert re.search(r'"CAddTable\(\)", fillcolor="#f8edd6"', text)
    assert re.search(r'"Opaque\(nn.Mystery\)", fillcolor="#f6d5d0"', text)
