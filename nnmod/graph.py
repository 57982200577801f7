"""Graphs: gModule, a container whose children stand at the nodes of a graph.

Calling a module with a node makes a node (nnmod/node.py); gModule makes a module of them:

    x = nnmod.Identity()()
    h = nnmod.Tanh()(nnmod.Linear(5, 4)(x))
    net = nnmod.gModule([x], [nnmod.Linear(4, 2)(h)])
"""
from . import errors, kernels, nested, tensor
from .container import Container
from .criterion import Criterion
from .errors import ShapeError
from .graph_modules import ModuleFromCriterion
from .node import Node, as_nodes

_add = kernels.elementwise(kernels.formulas.add)


class gModule(Container):
    """A module made of a graph of modules, with any number of inputs and outputs.

    Each module runs once in a forward, in a fixed order that repr shows: before each
    node, what it takes; outputs from the first to the last.  What no output needs is
    not part of the graph.  Where a node is used several times, its gradients add up.

    Parameters
    ----------
    inputs : Node or list of nodes (nested)
        The nodes that take the input: made by ``module()``.
    outputs : Node or list of nodes (nested)
        The nodes that give the output.

    Shapes
    ------
    input   what the input node takes; for several, a table of the structure of *inputs*
    output  what the output node gives; for several, a table of the structure of *outputs*

    Raises ValueError for an input that no output needs, a node without inputs that is not
    among *inputs*, a module that stands at two nodes (share its tensors with a clone
    instead), and an in-place module that would overwrite what another one reads.

    Source: nngraph's nn.gModule (Torch7).

    >>> from nnmod import CAddTable, Identity, Linear, Tanh
    >>> x = Identity()()
    >>> h = Tanh()(Linear(5, 4)(x)).annotate(name="h")
    >>> gModule([x], [Linear(4, 2)(h), h])
    gModule {
      [0] Identity() <- input
      [1] Linear(5 -> 4) <- [0]
      [2] h: Tanh() <- [1]
      [3] Linear(4 -> 2) <- [2]
      output: [3], [2]
    }
    """

    # What each node was given and gave, the gradients that arrived, and the memory of their sums.
    bufferNames = ("_taken", "_values", "_arrived", "_sums")

    def __init__(self, inputs, outputs):
        super().__init__()
        self._taken = self._values = self._arrived = self._sums = None
        #: The graph as plain data, so that it is copied and saved like any other attribute:
        #: nodes in order of execution, each with its ``module`` (an index) or, made by split,
        #: its ``entry`` of ``entries``, and ``inputs`` (an index, a nested list of them, or
        #: None for an input); ``inputs`` and ``outputs`` of the whole in the same way.
        self._graph, modules = _plan(inputs, outputs)
        self._setChildren(modules)

    def __setstate__(self, state):
        _check_plan(state["_graph"], len(state["modules"]))
        vars(self).update(state)

    @property
    def forwardnodes(self):
        """The nodes in order of execution; each has ``module`` and ``annotations``.

        >>> from nnmod import Identity, Linear
        >>> x = Identity()()
        >>> net = gModule([x], [Linear(3, 2)(x).annotate(name="last")])
        >>> [node.module for node in net.forwardnodes if node.annotations.get("name") == "last"]
        [Linear(3 -> 2)]
        """
        found = []
        for step in self._graph["nodes"]:
            node = Node.__new__(Node)
            node.module = None if step["module"] is None else self.modules[step["module"]]
            node.inputs = None if step["inputs"] is None else nested.map(found.__getitem__, step["inputs"])
            node.entry, node.entries = step["entry"], step["entries"]
            node.annotations, node.madeIn = step["annotations"], step.get("madeIn")
            found.append(node)
        return found

    # -- children: placed by the nodes ---------------------------------------------

    def insert(self, index, module):
        """Raises TypeError: the nodes say where the modules of a graph stand."""
        raise TypeError("the nodes of a graph place its modules: build another graph, or put another "
                        "module in the place of one with replace(f)")

    def remove(self, index=-1):
        """Raises TypeError: the nodes say where the modules of a graph stand."""
        return self.insert(index, None)

    def _childrenOfInput(self):
        """The modules whose gradient by their input nothing that learns is waiting for."""
        found, learns = [], []
        for step in self._graph["nodes"]:
            before = step["inputs"] is not None and any(map(learns.__getitem__, nested.leaves(step["inputs"])))
            module = None if step["module"] is None else self.modules[step["module"]]
            if module is not None and not before:
                found.append(module)
            learns.append(before or (module is not None and _learns(module)))
        return found

    # -- the verbs -------------------------------------------------------------------

    def updateOutput(self, input):
        """The outputs of the output nodes."""
        input = self.takeInput(input)
        nodes = self._graph["nodes"]
        self._taken = self._arrived = None  # should this fail, no backward fits
        taken, values = [None] * len(nodes), [None] * len(nodes)
        _hand_out("input", self._graph["inputs"], input, taken)
        modules = self.modules
        for i, node in enumerate(nodes):
            source, index = node["inputs"], node["module"]
            if index is None:
                values[i] = self._entryOf(node, values[source])
                continue
            if source is not None:
                taken[i] = values[source] if source.__class__ is int else _gather(source, values)
            try:
                values[i] = modules[index].forward(taken[i])
            except Exception as error:
                self.located(error, index, "forward", taken[i])
                raise
        self._taken, self._values = taken, values
        self.output = _gather(self._graph["outputs"], values)
        return self.output

    def backward(self, input, gradOutput, scale=1.0):
        """backward of every module, last to first, with the sum of the gradients of its output."""
        self._checkBackward(input, gradOutput)
        modules = self.modules
        return self._backThrough(
            "backward", self._gradOutput, lambda index, x, dy: modules[index].backward(x, dy, scale))

    def updateGradInput(self, input, gradOutput):
        """updateGradInput of every module, last to first."""
        modules = self.modules
        return self._backThrough("updateGradInput", self.takeGradOutput(input, gradOutput)[1],
                                 lambda index, x, dy: modules[index].updateGradInput(x, dy))

    def accGradParameters(self, input, gradOutput, scale=1.0):
        """accGradParameters of every module; needs updateGradInput before it."""
        self.takeGradOutput(input, gradOutput)
        self._checkForward()
        if self._arrived is None:
            raise RuntimeError("accGradParameters of a graph needs updateGradInput before it")
        for i in reversed(range(len(self._arrived))):
            index = self._graph["nodes"][i]["module"]
            if index is not None and self._arrived[i] is not None:
                self.call(index, "accGradParameters", self._taken[i], self._arrived[i], scale)

    def _backThrough(self, method, gradOutput, visit):
        gradInput = self.eachNode(gradOutput, visit, method)
        self.gradInput = gradInput if self._needsGradInput else None
        return self.gradInput

    def eachNode(self, gradOutput, visit, method="backward"):
        """Go through the nodes from the outputs to the inputs, as backward does; needs a forward before.

        ``visit(index, input, gradOutput)`` is called for ``modules[index]`` with what it was
        given and the sum of what arrived at its output, and returns what arrives at its input.
        Returns what arrives at the inputs of the graph; errors name the node and *method*.
        """
        self._checkForward()
        nodes, modules, taken = self._graph["nodes"], self.modules, self._taken
        if self._sums is None:
            self._sums = [None] * len(nodes)
        waiting = [None] * len(nodes)  # what arrived at each node's output: an _Arrived, if anything did
        arrived, gradInputs = [None] * len(nodes), [None] * len(nodes)
        _deliver(self._graph["outputs"], gradOutput, waiting)
        for i in range(len(nodes) - 1, -1, -1):
            if waiting[i] is None:
                continue  # nothing that has a gradient uses this node
            node = nodes[i]
            index, source = node["module"], node["inputs"]
            total = self._total(i, waiting[i])
            waiting[i] = None
            if index is None:
                _arrivedAt(source, waiting).parts.setdefault(node["entry"], []).append(total)
                continue
            if modules[index].inplace:
                total = self._ownMemory(i, total, waiting, gradInputs)
            arrived[i] = total
            try:
                gradInput = visit(index, taken[i], total)
            except Exception as error:
                self.located(error, index, method, taken[i])
                raise
            if source is None:
                gradInputs[i] = gradInput
            else:
                _deliver(source, gradInput, waiting)
        self._arrived = arrived
        return _gather(self._graph["inputs"], gradInputs)

    def _total(self, i, waiting):
        """The sum of the gradients that arrived at node *i*."""
        whole = waiting.whole
        if len(whole) == 1 and not waiting.parts and _complete(whole[0]):
            return whole[0]
        total, self._sums[i] = _sum(self._sums[i], self._values[i], whole, waiting.parts)
        return total

    def _ownMemory(self, i, total, waiting, gradInputs):
        """*total*, in memory that no gradient still in use has: an in-place module writes there."""
        others = [gradInputs]
        for arrived in waiting:
            if arrived is not None:
                others += [arrived.whole, *arrived.parts.values()]
        used = [g for g in nested.leaves(others) if g is not None]
        if any(tensor.shares_memory(t, g) for t in nested.leaves(total) if t is not None for g in used):
            self._sums[i] = _copy(self._sums[i], total)
            return self._sums[i]
        return total

    def _checkForward(self):
        if self._taken is None:
            raise RuntimeError("backward before forward: the last forward of this graph did not succeed")

    def _entryOf(self, node, value):
        """The entry of *value*, a table, that a node made by split stands for."""
        count = node["entries"]
        if not nested.is_table(value) or len(value) != count:
            error = ShapeError(f"a node with split({count}) must give a table of {count} entries, "
                               f"got {tensor.describe(value)}")
            index = self._producer(node)
            for child in self.modules[:index + 1]:
                child.takeBack()
            errors.add_location(error, f"{self._stepTo(index)} > {self.modules[index]!r}")
            self._noteLine(error, index)
            raise error
        return value[node["entry"]]

    def _producer(self, node):
        """The index of the module whose output *node*, made by split, is an entry of."""
        while node["module"] is None:
            node = self._graph["nodes"][node["inputs"]]
        return node["module"]

    def located(self, error, index, method, input, module=None):
        """As Container's, and the line of the user's program that made the node."""
        super().located(error, index, method, input, module)
        self._noteLine(error, index)

    def _noteLine(self, error, index):
        made = self._nodeOf(index).get("madeIn")
        if made is not None:
            error.add_note(f"{self._stepTo(index)} was made in {made}")

    def _nodeOf(self, index):
        return next(node for node in self._graph["nodes"] if node["module"] == index)

    def _stepTo(self, index):
        name = self._nodeOf(index)["annotations"].get("name")
        return f"{type(self).__name__}[{index}{': ' + name if name else ''}]"

    # -- memory: what shares it, what overwrites it -----------------------------------

    @property
    def inplace(self):
        """Whether the input is overwritten."""
        return any(node["module"] is not None and self.modules[node["module"]].inplace
                   and any(source is None or None in self._sameMemory(source, self.modules)
                           for source in self._overwritten(i, self.modules))
                   for i, node in enumerate(self._graph["nodes"]))

    @property
    def sharesInput(self):
        """Whether an output may be a view of the input."""
        return any(None in self._sameMemory(i, self.modules) for i in nested.leaves(self._graph["outputs"]))

    @property
    def backwardNeeds(self):
        """What backward reads: the input, and the output if the module that made it reads that."""
        nodes = self._graph["nodes"]
        needs = {"input"}
        for output in nested.leaves(self._graph["outputs"]):
            for i in self._sameMemory(output, self.modules):
                if i is not None and nodes[i]["module"] is not None:
                    needs |= self.modules[nodes[i]["module"]].backwardNeeds & {"output"}
        return frozenset(needs)

    def _sameMemory(self, i, modules):
        """The nodes whose value may lie in the memory of node *i*'s; None for the graph's input."""
        nodes = self._graph["nodes"]
        found, waiting = [], [i]
        while waiting:
            i = waiting.pop()
            if i in found:
                continue
            found.append(i)
            if i is None:
                continue
            index, source = nodes[i]["module"], nodes[i]["inputs"]
            if index is None or modules[index].sharesInput or modules[index].inplace:
                waiting += [None] if source is None else nested.leaves(source)
        return found

    def _overwritten(self, i, modules):
        """The nodes (None: the input) whose value the in-place module at node *i* overwrites."""
        node = self._graph["nodes"][i]
        if node["inputs"] is None:
            return [None]
        sources = list(nested.leaves(node["inputs"]))
        # A module without children that works on a table in place, as CAddTable does, writes to the first.
        return sources if modules[node["module"]].modules else sources[:1]

    def _checkChildren(self, children):
        nodes = self._graph["nodes"]
        if len(children) != sum(node["module"] is not None for node in nodes):
            raise ValueError(f"this graph has {sum(n['module'] is not None for n in nodes)} modules, "
                             f"got {len(children)}")
        users = {i: [] for i in range(len(nodes))}
        for i, node in enumerate(nodes):
            for source in nested.leaves(node["inputs"]) if node["inputs"] is not None else ():
                users[source].append(i)
        for source in nested.leaves(self._graph["outputs"]):
            users[source].append(None)
        for i, node in enumerate(nodes):
            if node["module"] is not None and children[node["module"]].inplace:
                for overwritten in self._overwritten(i, children):
                    if overwritten is not None:
                        self._checkOverwriting(children[node["module"]], overwritten, users, children)

    def _checkOverwriting(self, module, overwritten, users, children):
        """Raise ValueError if *module* must not overwrite the value of node *overwritten*."""
        nodes = self._graph["nodes"]

        def words(i):
            return "an output of the graph" if i is None else repr(
                children[nodes[i]["module"]] if nodes[i]["module"] is not None else "a split")

        for i in self._sameMemory(overwritten, children):
            if i is None:
                continue
            readers = users[i]
            if all(j is not None and nodes[j]["module"] is None for j in readers):
                # The entries of a table lie apart; each is a node that is looked at by itself.
                entries = [nodes[j]["entry"] for j in readers]
                readers = readers[:1] if len(set(entries)) == len(entries) else readers
            if len(readers) > 1:
                raise ValueError(
                    f"{module!r} works in place and would overwrite the output of {words(i)}, which "
                    f"{' and '.join(dict.fromkeys(words(j) for j in readers))} use; use inplace=False")
            index = nodes[i]["module"]
            if index is not None and _readsOutput(children[index]):
                raise ValueError(
                    f"{module!r} works in place and would overwrite the output of {children[index]!r}, "
                    "which that module's backward needs; use inplace=False")

    # -- text --------------------------------------------------------------------------

    def __repr__(self):
        lines = [f"{type(self).__name__} {{"]
        for position, node in enumerate(self._graph["nodes"]):
            if node["module"] is None:
                continue
            name = node["annotations"].get("name")
            text = repr(self.modules[node["module"]]).splitlines()
            source = _input_words(self._graph, position) if node["inputs"] is None else (
                self._words(node["inputs"]))
            text[-1] += f" <- {source}"
            lines.append(f"  [{node['module']}] {name + ': ' if name else ''}{text[0]}")
            lines += ["  " + line for line in text[1:]]
        lines.append(f"  output: {self._words(self._graph['outputs'])}")
        return "\n".join([*lines, "}"])

    def toDot(self):
        """The graph in the language of Graphviz: see :func:`nnmod.graphviz.to_dot`."""
        from . import graphviz
        return graphviz.to_dot(self)

    def draw(self, path=None):
        """A drawing, written to *path* if given: see :func:`nnmod.graphviz.draw`."""
        from . import graphviz
        return graphviz.draw(self, path)

    def _repr_svg_(self):
        from . import graphviz
        return graphviz.in_notebook(self)

    def _repr_html_(self):
        tree = super()._repr_html_()
        picture = self._repr_svg_()
        if picture is None:
            return tree
        return (f'<div style="overflow:auto">{picture[picture.index("<svg"):]}</div>'
                f"<details><summary>{len(self.modules)} modules</summary>{tree}</details>")

    def _words(self, reference, inside=False):
        """A reference to nodes in words: ``[3]``, ``[3], [2]``, ``[4][1]`` for an entry."""
        if reference.__class__ is list:
            words = ", ".join(self._words(entry, True) for entry in reference)
            return f"({words})" if inside else words
        node = self._graph["nodes"][reference]
        if node["module"] is not None:
            return f"[{node['module']}]"
        return f"{self._words(node['inputs'])}[{node['entry']}]"


# -- making the plan --------------------------------------------------------------------


def _plan(inputs, outputs):
    """The graph between *inputs* and *outputs* as plain data, and its modules in order."""
    inputs, outputs = as_nodes(inputs), as_nodes(outputs)
    order = _order(outputs)
    position = {id(node): index for index, node in enumerate(order)}
    given = set()
    for node in nested.leaves(inputs):
        if node.inputs is not None:
            raise ValueError("an input of a graph must be a node without inputs of its own, made by module(), "
                             f"got {_in_words(node)}")
        if id(node) in given:
            raise ValueError(f"{_in_words(node)} stands twice among the inputs; use the node twice instead")
        if id(node) not in position:
            raise ValueError(f"no output needs the input {_in_words(node)}; leave it out, or use it")
        given.add(id(node))
    nodes, modules, places = [], [], {}
    for node in order:
        if node.inputs is None and id(node) not in given:
            raise ValueError(f"the outputs need {_in_words(node)}, which has no inputs and is not an input of "
                             "the graph; list it among the inputs")
        index = None
        if node.module is not None:
            if id(node.module) in places:
                raise ValueError(
                    f"{node.module!r} stands at two nodes, and one module holds one position; to use its weights "
                    'twice, call m.clone("weight", "bias", "gradWeight", "gradBias") at the other node')
            places[id(node.module)] = index = len(modules)
            modules.append(ModuleFromCriterion(node.module) if isinstance(node.module, Criterion)
                           else node.module)
        sources = None if node.inputs is None else nested.map(lambda n: position[id(n)], node.inputs)
        nodes.append({"module": index, "inputs": sources, "entry": node.entry, "entries": node.entries,
                      "annotations": node.annotations, "madeIn": node.madeIn})
    where = {"inputs": nested.map(lambda n: position[id(n)], inputs),
             "outputs": nested.map(lambda n: position[id(n)], outputs)}
    return {"nodes": nodes, **where}, modules


def _order(outputs):
    """All nodes that *outputs* need, each after those it takes, in the order of their use."""
    order, entered = [], set()
    for output in nested.leaves(outputs):
        if id(output) in entered:
            continue
        entered.add(id(output))
        path, stack = [output], [_sources(output)]
        while path:
            for source in stack[-1]:
                if id(source) not in entered:
                    entered.add(id(source))
                    path.append(source)
                    stack.append(_sources(source))
                    break
            else:
                stack.pop()
                order.append(path.pop())
    return order


def _in_words(node):
    """A node, and where the user's program made it."""
    return f"{node!r}" + (f" (made in {node.madeIn})" if node.madeIn else "")


def _sources(node):
    return iter(()) if node.inputs is None else nested.leaves(node.inputs)


def _check_plan(graph, count):
    """Raise ValueError unless *graph* is a plan for *count* modules: what a file holds may be damaged."""
    def before(reference, limit):
        return all(type(i) is int and 0 <= i < limit for i in nested.leaves(reference))

    nodes = graph["nodes"]
    sound = ([node["module"] for node in nodes if node["module"] is not None] == list(range(count))
             and before(graph["outputs"], len(nodes))
             and sorted(nested.leaves(graph["inputs"])) == [
                 i for i, node in enumerate(nodes) if node["inputs"] is None])
    for i, node in enumerate(nodes):
        sound = sound and (node["inputs"] is None or before(node["inputs"], i))
        if node["module"] is None:
            sound = sound and (type(node["inputs"]) is int and type(node["entries"]) is int
                               and type(node["entry"]) is int and 0 <= node["entry"] < node["entries"])
    if not sound:
        raise ValueError("the nodes of a graph do not fit its modules")


# -- values along the edges ---------------------------------------------------------------


def _gather(reference, values):
    """The values of the nodes that *reference* names, in its structure."""
    if reference.__class__ is int:
        return values[reference]
    return [_gather(entry, values) for entry in reference]


def _hand_out(name, reference, value, taken):
    """Give each input node its part of the input."""
    if reference.__class__ is int:
        taken[reference] = value
        return
    if not nested.is_table(value):
        raise TypeError(f"{name} must be a table of {len(reference)} entries, one for each input node, "
                        f"got {tensor.describe(value)}")
    if len(value) != len(reference):
        raise ShapeError(f"{name} must be a table of {len(reference)} entries, one for each input node, "
                         f"got {len(value)}")
    for index, entry in enumerate(reference):
        _hand_out(f"{name}[{index}]", entry, value[index], taken)


class _Arrived:
    """The gradients that arrived at a node's output: of all of it, and of entries of a table."""

    __slots__ = ("whole", "parts")

    def __init__(self):
        self.whole = []
        self.parts = {}


def _arrivedAt(i, waiting):
    if waiting[i] is None:
        waiting[i] = _Arrived()
    return waiting[i]


def _deliver(reference, gradient, waiting):
    """Give each node that *reference* names its part of *gradient*."""
    if gradient is None:
        return
    if reference.__class__ is int:
        _arrivedAt(reference, waiting).whole.append(gradient)
    else:
        for entry, part in zip(reference, gradient):
            _deliver(entry, part, waiting)


def _complete(gradient):
    """Whether *gradient* has no gaps: no None where a tensor should be."""
    if gradient.__class__ is dict:
        gradient = list(gradient.values())
    return gradient.__class__ is not list or all(g is not None and _complete(g) for g in gradient)


def _sum(buffer, like, whole, parts):
    """The sum of gradients of a node whose output is *like*, and the memory for the next call.

    *whole* are gradients of all of it, *parts* of single entries; where nothing arrived, it is 0.
    """
    if nested.is_table(like):
        buffers = buffer if isinstance(buffer, list) and len(buffer) == len(like) else [None] * len(like)
        pairs = [_sum(buffers[k], like[k], [g[k] for g in whole if g[k] is not None] + parts.get(k, []), {})
                 for k in range(len(like))]
        return [total for total, _ in pairs], [memory for _, memory in pairs]
    if nested.is_named(like):
        total, buffer = _sum(buffer, list(like.values()), [[g[name] for name in like] for g in whole], {})
        return dict(zip(like, total)), buffer
    if not tensor.is_tensor(like):
        return None, buffer
    if len(whole) == 1:
        return whole[0], buffer
    if like.dtype.kind != "f":
        return None, buffer  # integers have no gradient to add
    buffer = tensor.resize(buffer if tensor.is_tensor(buffer) else None, like.shape, like)
    if not whole:
        tensor.fill(buffer, 0)
        return buffer, buffer
    _add(whole[0], whole[1], buffer)
    for gradient in whole[2:]:
        _add(buffer, gradient, buffer)
    return buffer, buffer


def _copy(buffer, value):
    """A copy of *value*, a tensor or a table, in *buffer* where that fits."""
    if nested.is_table(value):
        buffers = buffer if isinstance(buffer, list) and len(buffer) == len(value) else [None] * len(value)
        return [_copy(old, item) for old, item in zip(buffers, value)]
    if nested.is_named(value):
        return dict(zip(value, _copy(list(buffer.values()) if isinstance(buffer, dict) else None,
                                     list(value.values()))))
    if value is None:
        return None
    buffer = tensor.resize(buffer if tensor.is_tensor(buffer) else None, value.shape, value)
    tensor.copy(value, buffer)
    return buffer


def _readsOutput(module):
    """Whether backward reads the memory that the output is in."""
    needs = module.backwardNeeds
    return "output" in needs or (module.sharesInput and not module.modules and "input" in needs)


def _learns(module):
    """Whether *module* has parameters, or will have once its sizes are known."""
    return any(not m.sizesKnown or any(getattr(m, name, None) is not None for name in m.paramNames)
               for m in module.listModules())


def _input_words(graph, position):
    """How the input of the input node at *position* is called: ``input``, ``input[1]``."""
    def find(reference, words):
        if reference.__class__ is int:
            return words if reference == position else None
        return next(filter(None, (find(entry, f"{words}[{i}]") for i, entry in enumerate(reference))), None)
    return find(graph["inputs"], "input")
