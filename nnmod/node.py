"""Node: the place of a module in a graph that is being built."""
import os
import sys

from . import nested


class Node:
    """What ``module(node)`` gives: the value that *module* will compute from *inputs*.

    Nodes only describe a graph; :class:`nnmod.gModule` makes a module of them.

    Parameters
    ----------
    module : Module or Criterion
        What stands at this node.
    inputs : Node or list of nodes (nested)
        Where its input comes from; left out, the node is an input of the graph.  As in
        Torch, a list of one node stands for the node alone (JustTable makes a table of one).

    Raises TypeError for anything but nodes.  Source: nngraph's Node (Torch7).

    >>> from nnmod import Identity, Linear, Tanh
    >>> x = Identity()()
    >>> h = Tanh()(Linear(3, 2)(x)).annotate(name="h")
    >>> h
    Node(h: Tanh())
    """

    def __init__(self, module, *inputs):
        if len(inputs) > 1:
            raise TypeError(f"{module!r} takes one input; give several nodes as a list, module([a, b])")
        self.module = module
        self.inputs = as_nodes(inputs[0]) if inputs else None
        #: Which entry of the table that ``inputs`` holds, for a node made by split, and of how many.
        self.entry = self.entries = None
        self.annotations = {}
        #: The line of the user's program that made it, ``"net.py, line 12"``: errors say it.
        self.madeIn = _line_of_the_user()

    def split(self, count):
        """*count* nodes, one for each entry of the table that this node gives.

        An entry that nothing uses gets a gradient of 0.

        >>> from nnmod import ConcatTable, Linear, Tanh
        >>> a, b = ConcatTable(Linear(3, 2), Tanh())().split(2)
        >>> b
        Node(entry 1 of ConcatTable)
        """
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ValueError(f"count must be an int > 0, got {count!r}")
        return [self._entry(index, count) for index in range(count)]

    def _entry(self, index, count):
        node = Node(None, self)
        node.entry, node.entries = index, count
        return node

    def annotate(self, name=None, description=None, graphAttributes=None):
        """Note words for error messages, repr and drawings; returns self.

        Parameters
        ----------
        name : str
            What the node is called.
        description : str
            A line more in drawings.
        graphAttributes : dict
            Attributes of Graphviz for its drawing: ``{"color": "red"}``.
        """
        for key, value in (("name", name), ("description", description)):
            if value is not None:
                if not isinstance(value, str):
                    raise TypeError(f"{key} must be a str, got {value!r}")
                self.annotations[key] = value
        if graphAttributes is not None:
            if not (isinstance(graphAttributes, dict)
                    and all(isinstance(k, str) and isinstance(v, (str, int, float))
                            for k, v in graphAttributes.items())):
                raise TypeError("graphAttributes must be a dict of names and their values, such as "
                                f"{{'color': 'red'}}, got {graphAttributes!r}")
            self.annotations["graphAttributes"] = dict(graphAttributes)
        return self

    @property
    def data(self):
        """The node itself: Torch's scripts write ``node.data.module``, ``node.data.annotations``."""
        return self

    def __repr__(self):
        name = self.annotations.get("name")
        if self.module is not None:
            words = repr(self.module).splitlines()[0].removesuffix(" {")
        else:
            words = f"entry {self.entry} of {_short(self.inputs)}"
        return f"Node({name + ': ' if name else ''}{words})"


def _line_of_the_user():
    """The file and line outside nnmod that is being run, in words; None where there is none."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "nnmod":
        frame = frame.f_back
    if frame is None:
        return None
    return f"{os.path.basename(frame.f_code.co_filename)}, line {frame.f_lineno}"


def has_nodes(value):
    """Whether *value* is a node, or a table with nodes in it."""
    if isinstance(value, Node):
        return True
    return isinstance(value, (list, tuple)) and any(map(has_nodes, value))


def as_nodes(value):
    """*value*, checked to be nodes alone; a table of one is its entry."""
    for leaf in nested.leaves(value):
        if not isinstance(leaf, Node):
            raise TypeError("a graph is made of nodes alone, and this is a "
                            f"{type(leaf).__name__}; a node for an input is made by Identity()()")
    if nested.is_table(value):
        if not value:
            raise TypeError("a module needs a node, or a list of nodes, got an empty list")
        return value[0] if len(value) == 1 else nested.map(lambda node: node, value)
    return value


def _short(node):
    return type(node.module).__name__ if node.module is not None else repr(node)[5:-1]
