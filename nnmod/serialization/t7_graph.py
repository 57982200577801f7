"""nngraph's gModule: from its nodes to ours, and back.

A node of Torch has a table ``data``: its module, or the index that it selects of a table;
and mapindex, which maps the data of each source to its place among the inputs, and back.
Nodes come twice: in the forward graph, with what they feed as children, and in the
backward graph, with what they take; both share their data.
"""
from .. import nested
from ..graph import gModule
from ..node import Node
from ..reshape import Identity
from .t7_classes import work_out_of_place
from .t7_format import Table, Torch
from .t7_reader import Unbuildable


class Graph:
    """How a gModule is read and written."""

    name, cls = "nn.gModule", gModule

    def build(self, fields):
        """The gModule of *fields*."""
        return _Plan(fields).module()

    def write(self, module, out):
        """Put the fields of *module*, nodes and edges as raw objects, into *out*."""
        out["modules"] = list(module.modules)
        for name, key in (("output", "outputs"), ("gradInput", "inputs")):
            if nested.is_table(module._graph[key]):
                out[name] = []
        _Writer(module).write(out)


# -- reading ----------------------------------------------------------------------------


def _items(table):
    return dict(table.items) if type(table) is Table else {}


def _content(raw):
    """The fields of a node, or of its data."""
    return _items(raw.content if type(raw) is Torch else raw)


class _Plan:
    """The nodes of a file, with their sources by position."""

    def __init__(self, fields):
        self._fields = fields
        listed = _items(fields.raw("forwardnodes"))
        count = len(listed)
        try:
            self._data = [_content(listed[float(i + 1)])[b"data"] for i in range(count)]
            ends = [_content(fields.raw(name))[b"data"] for name in ("innode", "outnode")]
        except (KeyError, AttributeError):
            raise Unbuildable("its forwardnodes, innode or outnode are missing") from None
        places = {id(data): i for i, data in enumerate(self._data)}
        try:
            self._in, self._out = (places[id(data)] for data in ends)
            self._sources = [self._sources_of(data, places) for data in self._data]
        except KeyError:
            raise Unbuildable("a node takes what no node gives") from None
        self._nodes = {}    # position -> a Node of ours, or a list of them
        self._splits = {}   # id of a Node -> its entries
        self._inputs = {}   # the path to one of the inputs, a tuple of indices -> a Node

    @staticmethod
    def _sources_of(data, places):
        order = {key: value for key, value in _items(_items(data).get(b"mapindex")).items() if type(key) is float}
        return [places[id(order[float(i + 1)])] for i in range(len(order))]

    def module(self):
        count = self._fields.number("nInputs", 1)
        for position in self._order():
            self._nodes[position] = self._node(position, count)
        outputs = self._nodes[self._out]
        inputs = self._table_of(self._inputs)
        if len(inputs) != max(count, 1):
            raise Unbuildable("some of its inputs are not used")
        return _make(inputs[0] if len(inputs) == 1 else inputs, outputs)

    def _table_of(self, found):
        """The nodes of *found* in a table: what has a longer path lies in tables in it."""
        parts = {}
        for path, node in found.items():
            parts.setdefault(path[0], {})[path[1:]] = node
        if sorted(parts) != list(range(len(parts))):
            raise Unbuildable("some of its inputs are not used")
        if any(() in part and len(part) > 1 for part in parts.values()):
            raise Unbuildable("one of its inputs is used whole and in parts")
        return [part[()] if () in part else self._table_of(part) for _, part in sorted(parts.items())]

    def _order(self):
        """Positions, each after its sources; the file's own order may be any."""
        order, state = [], {}
        for root in range(len(self._sources)):
            waiting = [root]
            while waiting:
                position = waiting[-1]
                if state.get(position) is None:
                    state[position] = "open"
                    for source in self._sources[position]:
                        if state.get(source) == "open":
                            raise Unbuildable("its graph has a cycle")
                        if state.get(source) is None:
                            waiting.append(source)
                else:
                    waiting.pop()
                    if state[position] == "open":
                        state[position] = "done"
                        order.append(position)
        return order

    def _node(self, position, count):
        data = _items(self._data[position])
        sources = self._sources[position]
        if position == self._in:
            return _INPUT
        values = [self._nodes[source] for source in sources]
        select, raw = data.get(b"selectindex"), data.get(b"module")
        if select is not None:
            return self._selected(values, select, count)
        value = values[0] if len(values) == 1 else values
        if raw is None:
            return value  # a node without a module passes on what it takes
        module = self._fields.reader.child(raw, "a node")
        annotations = _items(data.get(b"annotations"))
        if isinstance(value, _Entry) or value is _INPUT:
            if value is _INPUT and count > 1:
                raise Unbuildable("a node takes the whole table of inputs")
            path = _path(value)
            if path not in self._inputs:
                node = self._inputs[path] = Node(module)
                return _annotated(node, annotations)
        return _annotated(Node(module, _real(value, self._inputs)), annotations)

    def _selected(self, values, select, count):
        if len(values) != 1 or not isinstance(select, float) or not select.is_integer() or select < 1:
            raise Unbuildable("a node selects something else than an entry of one table")
        index, value = int(select) - 1, values[0]
        if value is _INPUT and count > 1:
            return _Entry((index,))
        if isinstance(value, _Entry):
            return _Entry((*value.path, index))
        if isinstance(value, list):
            if index >= len(value):
                raise Unbuildable(f"a node selects entry {index + 1} of {len(value)}")
            return value[index]
        node = _real(value, self._inputs)
        if id(node) not in self._splits:
            self._splits[id(node)] = node.split(max(self._width(node), index + 1))
        entries = self._splits[id(node)]
        if index >= len(entries):
            raise Unbuildable(f"a node selects entry {index + 1} of {len(entries)}")
        return entries[index]

    def _width(self, node):
        """How many entries the nodes that select from *node* know of."""
        width = 1
        for position, data in enumerate(self._data):
            data, sources = _items(data), self._sources[position]
            if any(self._nodes.get(source) is node for source in sources):
                for name in (b"selectindex", b"nSplitOutputs"):
                    number = data.get(name)
                    if isinstance(number, float) and number.is_integer() and 0 < number <= 1 << 20:
                        width = max(width, int(number))
        return width


class _Entry:
    """One of several inputs of the graph, or of a table among them, before the node that takes it is made."""

    def __init__(self, path):
        self.path = path


_INPUT = object()


def _path(value):
    return value.path if isinstance(value, _Entry) else (0,)


def _real(value, inputs):
    """*value* with nodes in the place of inputs."""
    if isinstance(value, list):
        return [_real(item, inputs) for item in value]
    if isinstance(value, _Entry) or value is _INPUT:
        path = _path(value)
        if path not in inputs:
            inputs[path] = Node(Identity())
        elif not isinstance(inputs[path].module, Identity):
            # Another module took the input first; both take it from a node of its own now.
            first, shared = inputs[path], Node(Identity())
            first.inputs, inputs[path] = shared, shared
        return inputs[path]
    return value


def _annotated(node, annotations):
    for key in (b"name", b"description"):
        if isinstance(annotations.get(key), bytes):
            node.annotations[key.decode()] = annotations[key].decode("utf-8", "replace")
    return node


def _make(inputs, outputs):
    """A gModule; modules that would overwrite what others read work out of place."""
    outputs = _flat_real(outputs)
    try:
        return gModule(inputs, outputs)
    except ValueError as error:
        if "in place" not in str(error) and "overwrite" not in str(error):
            raise
        for node in _all_nodes(outputs):
            if node.module is not None:
                for module in node.module.listModules():
                    work_out_of_place(module)
        return gModule(inputs, outputs)


def _flat_real(outputs):
    if isinstance(outputs, _Entry) or outputs is _INPUT:
        raise Unbuildable("an output is an input")
    return [_flat_real(item) for item in outputs] if isinstance(outputs, list) else outputs


def _all_nodes(outputs):
    found, waiting = {}, list(nested.leaves(outputs))
    while waiting:
        node = waiting.pop()
        if id(node) not in found:
            found[id(node)] = node
            waiting += [] if node.inputs is None else nested.leaves(node.inputs)
    return list(found.values())


# -- writing ----------------------------------------------------------------------------


class _Writer:
    """The two graphs of a gModule, as raw tables and objects."""

    def __init__(self, module):
        self._module = module
        self._steps = []  # (data fields, positions of sources), in order of execution

    def write(self, out):
        graph = self._module._graph
        place, splits, given = {}, {}, {}
        innode = self._add({"input": []}, [])
        self._take_apart(graph["inputs"], innode, given)
        for index, node in enumerate(graph["nodes"]):
            if node["module"] is None:
                source = self._source(node["inputs"], place)
                if source not in splits:
                    splits[source] = self._add({"nSplitOutputs": node["entries"]}, [source])
                place[index] = self._add({"selectindex": node["entry"] + 1, "input": []}, [splits[source]])
                continue
            if node["inputs"] is None:
                sources = [given[index]]
            elif nested.is_table(node["inputs"]):
                sources = [self._source(entry, place) for entry in node["inputs"]]
            else:
                sources = [place[node["inputs"]]]
            module = self._module.modules[node["module"]]
            place[index] = self._add({"module": module, "annotations": node["annotations"]}, sources)
        outputs = graph["outputs"]
        sources = ([self._source(entry, place) for entry in outputs] if nested.is_table(outputs)
                   else [place[outputs]])
        outnode = self._add({"input": []}, sources)
        self._emit(out, innode, outnode)
        out["nInputs"] = len(graph["inputs"]) if nested.is_table(graph["inputs"]) else 1

    def _take_apart(self, inputs, source, given):
        """Nodes that select each of *inputs* from *source*; *given* gets the position of each."""
        if not nested.is_table(inputs):
            given[inputs] = source
            return
        split = self._add({"nSplitOutputs": len(inputs)}, [source])
        for index, entry in enumerate(inputs):
            self._take_apart(entry, self._add({"selectindex": index + 1, "input": []}, [split]), given)

    def _add(self, data, sources):
        self._steps.append((data, sources))
        return len(self._steps) - 1

    def _source(self, reference, place):
        """The position of the node for *reference*; a nested table gets a node that passes it on."""
        if nested.is_table(reference):
            return self._add({}, [self._source(entry, place) for entry in reference])
        return place[reference]

    def _emit(self, out, innode, outnode):
        count = len(self._steps)
        data = [Table() for _ in range(count)]
        forward = [Torch("nngraph.Node", 1) for _ in range(count)]
        backward = [Torch("nngraph.Node", 1) for _ in range(count)]
        users = [[] for _ in range(count)]
        for i, (_, sources) in enumerate(self._steps):
            for source in sources:
                users[source].append(i)
        for i, (fields, sources) in enumerate(self._steps):
            mapindex = Table()
            for index, source in enumerate(sources):
                mapindex.items += [(index + 1, data[source]), (data[source], index + 1)]
            reverse = Table()
            reverse.items += [(backward[user], True) for user in dict.fromkeys(users[i])]
            fields = {"annotations": {}, **fields, "mapindex": mapindex, "reverseMap": reverse,
                      "forwardNodeId": i + 1}
            data[i].items += [(key.encode(), value) for key, value in fields.items()]
            _fill(forward[i], i + 1, data[i], [forward[user] for user in dict.fromkeys(users[i])])
            _fill(backward[i], count - i, data[i], [backward[s] for s in dict.fromkeys(sources)])
        backward.reverse()
        out.update(forwardnodes=_list(forward), backwardnodes=_list(backward), innode=forward[innode],
                   outnode=forward[outnode], fg=_graph(forward), bg=_graph(backward), verbose=False)


def _list(values):
    table = Table()
    table.items += [(index + 1, value) for index, value in enumerate(values)]
    return table


def _both_ways(values):
    """A list, and the place of each value in it."""
    table = _list(values)
    table.items += [(value, index + 1) for index, value in enumerate(values)]
    return table


def _fill(node, number, data, children):
    node.content = Table()
    node.content.items += [(b"children", _both_ways(children)), (b"id", number), (b"data", data),
                           (b"marked", False), (b"visited", False)]


def _graph(nodes):
    edges = []
    for node in nodes:
        for key, child in dict(node.content.items)[b"children"].items:
            if isinstance(key, int):
                edge = Torch("graph.Edge", 1)
                edge.content = Table()
                edge.content.items += [(b"from", node), (b"to", child)]
                edges.append(edge)
    graph = Torch("graph.Graph", 1)
    graph.content = Table()
    graph.content.items += [(b"nodes", _both_ways(nodes)), (b"edges", _both_ways(edges))]
    return graph
