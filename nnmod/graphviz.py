"""Pictures of networks: any module as a graph, in the language of Graphviz.

``draw(net)`` shows itself in a notebook; ``draw(net, "net.svg")`` writes a file.  The text of
``to_dot(net)`` needs nothing; pictures need the program dot of Graphviz.
"""
import os
import shutil
import subprocess

from . import nested, tensor
from .container import Branching, Sequential
from .graph import gModule
from .notebook import head
from .serialization.t7 import Opaque
from .table import ConcatTable, ParallelTable


def draw(net, path=None):
    """A :class:`Drawing` of *net*, which shows itself in a notebook; also written to *path* if given.

    Parameters
    ----------
    net : Module
        Any module; after a forward, the shapes of the outputs stand at the nodes.
    path : path or None
        The format is that of its ending: .svg, .png, .pdf, or .dot for the text.

    Raises RuntimeError where a picture is asked for and Graphviz is not installed.
    """
    drawing = Drawing(to_dot(net))
    if path is not None:
        drawing.save(path)
    return drawing


def to_dot(net):
    """*net* as a graph in the language of Graphviz.

    Boxes are modules: blue where they have parameters, sand where branches meet, red where
    nnmod does not know them; modules that share a parameter are linked by a dashed line.
    Of a node's graphAttributes, those that link to something or load a file are left out.

    >>> from nnmod import Linear, Sequential, Tanh
    >>> print(to_dot(Sequential(Linear(3, 2), Tanh())))
    digraph Sequential {
      graph [ranksep=0.28, nodesep=0.35]
      node [shape=box, style="rounded,filled", fillcolor=white, color="#7a8798", fontname=Helvetica, fontsize=11]
      node [height=0.3, margin="0.14,0.05"]
      edge [color="#5a6472", arrowsize=0.7, fontname=Helvetica, fontsize=9]
      n0 [label="input", shape=plaintext, style=""]
      n1 [label="Linear(3 -> 2)", fillcolor="#dbe7f6"]
      n2 [label="Tanh()"]
      n3 [label="output", shape=plaintext, style=""]
      n0 -> n1
      n1 -> n2
      n2 -> n3
    }
    """
    return _Writer().text(net)


class Drawing:
    """A picture of a network: ``dot`` is its text for Graphviz."""

    def __init__(self, dot):
        self.dot = dot

    def save(self, path):
        """Write the picture to *path*, in the format of its ending (.svg, .png, .pdf, .dot, ...)."""
        path = os.fspath(path)
        format = os.path.splitext(path)[1][1:].lower()
        if not format:
            raise ValueError(f"path must end in the format of the picture, such as .svg, got {path!r}")
        data = self.dot.encode() if format in ("dot", "gv") else _run_dot(self.dot, format)
        with open(path, "wb") as file:
            file.write(data)

    def svg(self, timeout=None):
        """The picture as SVG text; TimeoutExpired if Graphviz takes longer than *timeout* seconds."""
        return _run_dot(self.dot, "svg", timeout).decode()

    def _repr_svg_(self):
        return self.svg()

    def __repr__(self):
        return f"Drawing({len(self.dot.splitlines())} lines of Graphviz; save(path) writes the picture)"


def in_notebook(net, seconds=5):
    """*net* as SVG, or None where Graphviz is not installed or needs more than *seconds*."""
    try:
        return Drawing(to_dot(net)).svg(seconds)
    except (RuntimeError, subprocess.TimeoutExpired):
        return None


def _run_dot(text, format, timeout=None):
    program = shutil.which("dot")
    if program is None:
        raise RuntimeError(
            "a picture needs the program dot of Graphviz: apt install graphviz, brew install graphviz, or "
            "https://graphviz.org/download; nnmod.graphviz.to_dot(net) gives the text without it")
    done = subprocess.run([program, f"-T{format}"], input=text.encode(), capture_output=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"dot could not make {format}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


_STYLE = [
    "  graph [ranksep=0.28, nodesep=0.35]",
    '  node [shape=box, style="rounded,filled", fillcolor=white, color="#7a8798", fontname=Helvetica, fontsize=11]',
    '  node [height=0.3, margin="0.14,0.05"]',
    '  edge [color="#5a6472", arrowsize=0.7, fontname=Helvetica, fontsize=9]',
]
_LEARNS, _MEETS, _OPAQUE = "#dbe7f6", "#f8edd6", "#f6d5d0"
#: Attributes that make links of a picture, or have Graphviz read files: a stranger's network may name them.
_REACHES_OUT = {"url", "href", "target", "image", "imagepath", "shapefile", "fontpath", "_background",
                *(end + link for end in ("edge", "head", "tail", "label") for link in ("url", "href", "target"))}


class _Writer:
    """Writes one graph.

    The value that flows along an edge is known by where it comes from: a pair (node, words for
    the edge), or a list of these for a table whose entries come from different nodes.
    """

    def __init__(self):
        self._lines = []
        self._edges = []  # written last: an edge inside a frame would draw both ends into it
        self._indent = "  "
        self._count = 0
        self._owners = {}  # id of a parameter -> the node drawn for its module

    def text(self, net):
        source = self._node("input", shape="plaintext", style="")
        result = self._module(net, (source, ""))
        self._connect(_numbered(result), self._node("output", shape="plaintext", style=""))
        return "\n".join([
            f"digraph {_identifier(type(net).__name__)} {{",
            *_STYLE,
            *self._lines,
            *self._edges,
            "}"])

    def _module(self, module, source, annotations=None):
        """Draw *module*, fed from *source*; returns where its output comes from."""
        if isinstance(module, gModule):
            return self._graph(module, source, annotations)
        if isinstance(module, Sequential):
            for child in module.modules:
                source = self._module(child, source)
            return source
        if isinstance(module, ConcatTable):
            return [self._module(child, source) for child in module.modules]
        if isinstance(module, ParallelTable):
            return [self._module(child, _entry(source, index, len(module.modules)))
                    for index, child in enumerate(module.modules)]
        if isinstance(module, Branching):
            return self._leaf(module, [self._module(child, source) for child in module.modules] or source)
        if module.modules:
            return self._box(module, source, annotations)
        return self._leaf(module, source, annotations)

    def _graph(self, net, source, annotations):
        """The nodes of a graph; one inside another network gets a frame."""
        framed = self._count > 1
        if framed:
            self._open(annotations, type(net).__name__)
        graph, values = net._graph, []
        given = {}

        def hand_out(reference, value):
            if isinstance(reference, int):
                given[reference] = value
            else:
                for index, entry in enumerate(reference):
                    hand_out(entry, _entry(value, index, len(reference)))

        hand_out(graph["inputs"], source)
        for index, node in enumerate(graph["nodes"]):
            if node["inputs"] is None:
                value = given[index]
            else:
                value = nested.map(values.__getitem__, node["inputs"]) if isinstance(node["inputs"], list) else (
                    values[node["inputs"]])
            if node["module"] is None:
                values.append(_entry(value, node["entry"], node["entries"]))
            else:
                values.append(self._module(net.modules[node["module"]], value, node["annotations"]))
        if framed:
            self._close()
        outputs = graph["outputs"]
        return values[outputs] if isinstance(outputs, int) else nested.map(values.__getitem__, outputs)

    def _box(self, module, source, annotations):
        """A container that this file knows nothing about: its children in a frame, then itself."""
        self._open(annotations, head(module))
        results = [self._module(child, source) for child in module.modules]
        self._close()
        if len(results) == 1:
            return results[0]
        return self._leaf(module, results, annotations)

    def _leaf(self, module, source, annotations=None):
        annotations = annotations or {}
        lines = [annotations.get("name"), head(module), annotations.get("description"), _shapes(module.output)]
        color = (_OPAQUE if isinstance(module, Opaque) else _LEARNS if _has_parameters(module) else
                 _MEETS if isinstance(source, list) and len(list(_flat(source))) > 1 else None)
        attributes = {"fillcolor": color} if color else {}
        attributes |= {name: value for name, value in annotations.get("graphAttributes", {}).items()
                       if name.casefold() not in _REACHES_OUT}
        node = self._node("\n".join(line for line in lines if line), **attributes)
        self._connect(source, node)
        shared = {}  # the node that a parameter was drawn for first -> its names here
        for name in module.paramNames:
            if getattr(module, name, None) is not None:
                first = self._owners.setdefault(id(getattr(module, name)), node)
                if first != node:
                    shared.setdefault(first, []).append(name)
        for first, names in shared.items():
            self._edges.append(f"  {first} -> {node} [style=dashed, dir=none, constraint=false, "
                               f"label={_quoted(', '.join(names))}]")
        return node, ""

    # -- lines of text ------------------------------------------------------------------

    def _node(self, label, **attributes):
        node = f"n{self._count}"
        self._count += 1
        words = ", ".join([f"label={_quoted(label)}",
                           *(f"{_identifier(k)}={_identifier(v)}" for k, v in attributes.items())])
        self._line(f"{node} [{words}]")
        return node

    def _connect(self, source, node):
        for start, words in _flat(source):
            self._edges.append(f"  {start} -> {node}" + (f" [label={_quoted(words)}]" if words else ""))

    def _open(self, annotations, label):
        name = (annotations or {}).get("name")
        self._line(f"subgraph cluster_{self._count} {{")
        self._indent += "  "
        title = f"{name}: {label}" if name else label
        self._line(f"label={_quoted(title)}; fontname=Helvetica; fontsize=11; color=gray")

    def _close(self):
        self._indent = self._indent[:-2]
        self._line("}")

    def _line(self, text):
        self._lines.append(self._indent + text)


def _entry(source, index, count):
    """Where entry *index* of a table of *count* entries comes from."""
    if isinstance(source, list):
        return source[index] if len(source) == count else source
    node, words = source
    return node, f"{words}[{index}]"


def _numbered(source, words=""):
    """*source* with the place of each entry in the table as words for its edge."""
    if isinstance(source, tuple):
        node, own = source
        return node, " = ".join(filter(None, (words, own)))
    return [_numbered(entry, f"{words}[{index}]") for index, entry in enumerate(source)]


def _flat(source):
    if isinstance(source, tuple):
        yield source
    else:
        for entry in source:
            yield from _flat(entry)


def _shapes(value):
    """The shapes of an output in words, or None before the first forward."""
    if nested.is_table(value):
        return "[" + ", ".join(filter(None, map(_shapes, value))) + "]"
    if nested.is_named(value):
        return "{" + ", ".join(f"{name}: {_shapes(item)}" for name, item in value.items()) + "}"
    return str(value.shape) if tensor.is_tensor(value) else None


def _has_parameters(module):
    return not module.sizesKnown or any(getattr(module, name, None) is not None for name in module.paramNames)


def _quoted(text):
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _identifier(value):
    text = str(value)
    return text if text.isidentifier() and text.isascii() else _quoted(text)
