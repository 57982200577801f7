"""Drawings: the text for Graphviz, and pictures where the program dot is there."""
import re
import shutil

import numpy as np
import pytest

import nnmod
from cases import CASES
from nnmod import Identity, Linear, Tanh, gModule, graphviz


def edges(text):
    """Pairs of labels: which box points to which."""
    labels = dict(re.findall(r'^ *(n\d+) \[label="([^"]*)"', text, re.M))
    return {(labels[a], labels[b]) for a, b in re.findall(r"(n\d+) -> (n\d+)(?! \[style=dashed)", text)}


def test_a_graph_with_names_shapes_and_attributes():
    x, y = Identity()(), Identity()()
    h = Linear(3, 2)(x).annotate(name="i2h", description='the "first"', graphAttributes={"color": "red"})
    net = gModule([x, y], [nnmod.CAddTable()([h, y]), h])
    net.forward([np.ones((4, 3), np.float32), np.ones((4, 2), np.float32)])
    text = net.toDot()
    assert r'n2 [label="i2h\nLinear(3 -> 2)\nthe \"first\"\n(4, 2)", fillcolor="#dbe7f6", color=red]' in text
    assert 'n0 -> n1 [label="[0]"]' in text and 'n0 -> n3 [label="[1]"]' in text
    assert 'n4 -> n5 [label="[0]"]' in text and 'n2 -> n5 [label="[1]"]' in text
    assert text == graphviz.to_dot(net) == graphviz.draw(net).dot


def test_entries_of_a_split_table_are_on_the_edges():
    x = Identity()()
    a, b = nnmod.ConcatTable(Tanh(), nnmod.Sigmoid())(x).split(2)
    assert edges(gModule(x, [b, a]).toDot()) == {
        ("input", "Identity()"), ("Identity()", "Tanh()"), ("Identity()", "Sigmoid()"),
        ("Tanh()", "output"), ("Sigmoid()", "output")}
    pair = nnmod.Sequential(nnmod.ConcatTable(Tanh(), Tanh()), nnmod.ParallelTable(Linear(3, 2), Identity()))
    assert edges(graphviz.to_dot(pair)) == {
        ("input", "Tanh()"), ("Tanh()", "Linear(3 -> 2)"), ("Tanh()", "Identity()"),
        ("Linear(3 -> 2)", "output"), ("Identity()", "output")}


def test_containers_that_join_and_containers_of_users():
    class Twice(nnmod.Container):
        def describe(self):
            return "2 times"

    net = nnmod.Sequential(nnmod.Concat(1, Tanh(), nnmod.Sequential()), Twice(Linear(3, 3)),
                           Twice(nnmod.ReLU(), nnmod.Sigmoid()))
    text = graphviz.to_dot(net)
    assert edges(text) == {
        ("input", "Tanh()"), ("Tanh()", "Concat(1)"), ("input", "Concat(1)"), ("Concat(1)", "Linear(3 -> 3)"),
        ("Linear(3 -> 3)", "ReLU()"), ("Linear(3 -> 3)", "Sigmoid()"), ("ReLU()", "Twice(2 times)"),
        ("Sigmoid()", "Twice(2 times)"), ("Twice(2 times)", "output")}
    frame = text[text.index("subgraph"):text.index("}")]
    assert 'label="Twice(2 times)"' in frame and "Linear(3 -> 3)" in frame and "->" not in frame.replace("3 -> 3", "")


def test_shared_parameters_are_linked():
    first = Linear(3, 3)
    net = nnmod.Sequential(first, first.clone("weight", "gradWeight"))
    assert 'n1 -> n2 [style=dashed, dir=none, constraint=false, label="weight"]' in graphviz.to_dot(net)


def test_without_graphviz_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    net = gModule(*[Tanh()()] * 2)
    for picture in (lambda: net.draw(tmp_path / "net.svg"), net.draw().svg):
        with pytest.raises(RuntimeError, match="needs the program dot of Graphviz: apt install graphviz"):
            picture()
    net.draw(tmp_path / "net.dot")
    assert (tmp_path / "net.dot").read_text() == net.toDot()
    with pytest.raises(ValueError, match="path must end in the format of the picture, such as .svg"):
        net.draw(tmp_path / "net")
    assert net._repr_svg_() is None and "gModule" in net._repr_html_() and "<svg" not in net._repr_html_()


needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


@needs_dot
def test_pictures(tmp_path):
    net = nnmod.Sequential(Linear(3, 2), gModule(*[Tanh()()] * 2))
    graphviz.draw(net, tmp_path / "net.png")
    assert (tmp_path / "net.png").read_bytes().startswith(b"\x89PNG")
    svg = graphviz.draw(net)._repr_svg_()
    assert "<svg" in svg and "Linear(3 &#45;&gt; 2)" in svg
    assert "<svg" in net[1]._repr_html_()
    with pytest.raises(RuntimeError, match="dot could not make nonsense"):
        graphviz.draw(net, tmp_path / "net.nonsense")


def test_every_case_can_be_drawn():
    """Graphviz reads what is written of every module of the table, in one run."""
    texts = [graphviz.to_dot(case.make()) for case in CASES]
    assert all(text.count("{") == text.count("}") for text in texts)
    if shutil.which("dot"):
        graphviz.Drawing("\n".join(texts)).svg()
