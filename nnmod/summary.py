"""What a network is made of, and what flows through it: shapes, parameters, memory, arithmetic.

:func:`summarize` runs a network forward once and looks at every layer on the way.

>>> import numpy as np
>>> from nnmod import Linear, Sequential, Tanh
>>> print(summarize(Sequential(Linear(3, 4), Tanh()), np.zeros((2, 3), np.float32)))
layer              output  parameters  multiply-adds
Sequential         2x4
  0  Linear(3 -> 4)  2x4           16             24
  1  Tanh()          2x4            -              -
"""
import math
import time
from dataclasses import dataclass

import numpy as np

from . import nested, notebook, tensor
from .convolution import TemporalConvolution, _Convolution
from .distance import Cosine, Euclidean
from .full_convolution import _FullConvolution
from .fused import Fused
from .linear import Bilinear, Linear, PartialLinear
from .local_convolution import SpatialConvolutionLocal
from .plane_convolution import SpatialConvolutionMap, SpatialDepthWiseConvolution, SpatialFullConvolutionMap
from .product import MM, MV, DotProduct
from .recurrent import _Cell
from .row_convolution import TemporalRowConvolution
from .sequence import _Sequence
from .table import MapTable


@dataclass
class Layer:
    """One module of a network, as :func:`summarize` found it.

    Attributes
    ----------
    path : str
        The way to it: ``"2.0"`` is ``net[2][0]``, and ``""`` the network itself.
    module : Module
    depth : int
        How many containers it stands in.
    parameters : int
        Numbers to learn; what an earlier layer has already, shared, is not counted again.
    shared : bool
        Whether it shares a parameter with an earlier layer.
    bytes : int
        Of parameters and of state, such as running means.
    output : tuple, list, dict or None
        The shape of its output, a list or a dict of shapes for a table; None if it did not run.
    multiplyAdds : int or None
        Of one forward, for layers whose arithmetic is a sum of products; padding counts
        as input.  None where that says nothing about the work.  One is two FLOPs.
    calls : int
        How often it ran in one forward of the network.
    siblings : int
        How many children its container has.
    """

    path: str
    module: object
    depth: int
    parameters: int
    shared: bool
    bytes: int
    output: object = None
    multiplyAdds: int | None = None
    calls: int = 0
    siblings: int = 1


class Summary:
    """What :func:`summarize` found; ``str`` of it is a table.

    Attributes
    ----------
    layers : list of Layer
        Parents before children; the first is the network.
    parameters, bytes : int
        Of the whole network; what is shared counts once.
    multiplyAdds : int or None
        The sum over all layers that have a number; None without an input.
    outputBytes : int or None
        The memory of all outputs of one forward; None without an input.
    """

    def __init__(self, layers, outputBytes=None):
        self.layers = layers
        self.parameters = sum(layer.parameters for layer in layers)
        self.bytes = sum(layer.bytes for layer in layers)
        self.outputBytes = outputBytes
        counts = [layer.multiplyAdds for layer in layers if layer.multiplyAdds is not None]
        self.multiplyAdds = None if outputBytes is None else sum(counts)

    def __str__(self):
        rows = [("layer", "output", "parameters", "multiply-adds")]
        for layer in self.layers:
            numbers = (layer.parameters, layer.multiplyAdds)
            rows.append((tree_text(layer), shape_text(layer.output), *(
                "" if layer.module.modules else f"{number:,}" if number else "-" for number in numbers)))
        widths = [max(map(len, column)) for column in zip(*rows)]
        return "\n".join("  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows)


def summarize(net, input=None):
    """A :class:`Summary` of *net*.

    Parameters
    ----------
    net : Module
        Any module.
    input : tensor, table or None
        One forward of it is run, in the mode that the network is in, which may move
        running statistics: take a clone where that matters.  None runs nothing, and
        leaves shapes and arithmetic open.

    Where the input does not fit, the error names the way to the layer.
    """
    layers = list(_layers(net))
    if input is None:
        return Summary(layers)
    by_path = {layer.path: layer for layer in layers}

    def note(path, module, method, given, seconds):
        layer = by_path.get(path)
        if layer is None or method != "forward":
            return
        if module.modules and any(other.calls and is_below(other.path, path) for other in layers):
            return  # its children did the work, and have said so
        count = multiply_adds(module, given)
        if count is not None:
            layer.multiplyAdds = (layer.multiplyAdds or 0) + count
        layer.calls += 1

    with Watch(net, note):
        net.forward(input)
    for layer in layers:
        if layer.calls or layer.module.modules:
            layer.output = shapes(layer.module.output)
    # What was not known before the first forward is known now.
    for fresh in _layers(net):
        if fresh.path in by_path:
            layer = by_path[fresh.path]
            layer.parameters, layer.shared, layer.bytes = fresh.parameters, fresh.shared, fresh.bytes
    given = {id(_root(x)) for x in nested.leaves(input) if tensor.is_tensor(x)}
    held = {id(_root(x)): _root(x).nbytes for layer in layers for x in nested.leaves(layer.module.output)
            if tensor.is_tensor(x)}
    return Summary(layers, sum(size for key, size in held.items() if key not in given))


def _layers(net):
    """A Layer for each module of the tree, parents first."""
    seen = set()
    waiting = [("", net, 0, 1)]
    while waiting:
        path, module, depth, siblings = waiting.pop()
        parameters, shared, size = 0, False, 0
        for name in (*module.paramNames, *module.stateNames):
            value = getattr(module, name, None)
            if not tensor.is_tensor(value):
                continue
            if id(value) in seen:
                shared = True
                continue
            seen.add(id(value))
            size += value.nbytes
            parameters += value.size if name in module.paramNames else 0
        yield Layer(path, module, depth, parameters, shared, size, siblings=siblings)
        waiting += [(f"{path}.{index}" if path else str(index), child, depth + 1, len(module.modules))
                    for index, child in reversed(list(enumerate(module.modules)))]


def is_below(path, container):
    """Whether *path* leads into the container at *container*.

    >>> is_below("2.0", "2"), is_below("20", "2"), is_below("2", "")
    (True, False, True)
    """
    return path.startswith(f"{container}.") if container else path != ""


def _root(array):
    while tensor.is_tensor(array.base):
        array = array.base
    return array


def shapes(value):
    """The shape of a tensor, a list or a dict of them for a table, None for anything else."""
    if nested.is_table(value):
        return [shapes(item) for item in value]
    if nested.is_named(value):
        return {name: shapes(item) for name, item in value.items()}
    return tuple(value.shape) if tensor.is_tensor(value) else None


def shape_text(shape):
    """A shape in words: ``1x3x224x224``; ``[1x4, 1x5]`` for a table, ``-`` for none.

    >>> shape_text([(1, 4), (5,), ()]), shape_text({"image": (3, 8, 8)})
    ('[1x4, 5, number]', '{image: 3x8x8}')
    """
    if shape is None:
        return "-"
    if isinstance(shape, list):
        return "[" + ", ".join(map(shape_text, shape)) + "]"
    if isinstance(shape, dict):
        return "{" + ", ".join(f"{name}: {shape_text(item)}" for name, item in shape.items()) + "}"
    return "x".join(map(str, shape)) or "number"


def tree_text(layer, name=None):
    """The line of a layer in a tree: its number, indented by its depth, and its head."""
    number = layer.path.rpartition(".")[2]
    if number:
        number = number.ljust(len(str(layer.siblings - 1))) + "  "
    return "  " * layer.depth + number + (notebook.head(layer.module) if name is None else name)


# -- arithmetic ---------------------------------------------------------------------


def multiply_adds(module, input):
    """How many products the last forward of *module* summed up; None where it is not of that kind.

    *input* is what it was given.  Padding counts as input, as it does in all such counts.

    >>> import numpy as np
    >>> from nnmod import SpatialConvolution
    >>> layer, x = SpatialConvolution(3, 8, 5, 5), np.zeros((1, 3, 28, 28), np.float32)
    >>> layer.forward(x).shape, multiply_adds(layer, x) == 8 * 24 * 24 * 3 * 5 * 5
    ((1, 8, 24, 24), True)
    """
    for classes, count in _COUNTS:
        if isinstance(module, classes):
            return int(count(module, input, module.output))
    return None


def _size(value):
    return math.prod(value.shape)


def _by_output(module, input, output):
    """Each element of the output is a sum over the weights of one output unit."""
    return _size(output) * (_size(module.weight) // module.weight.shape[0])


def _linear(module, input, output):
    return _size(output) * input.shape[-1]


def _by_input(module, input, output):
    """Each element of the input goes, times all its weights, into the output."""
    return _size(input) * (_size(module.weight) // module.weight.shape[0])


def _map(module, input, output):
    """Each plane of the table slides over all places: of the output, or, transposed, of the input."""
    places = input if isinstance(module, SpatialFullConvolutionMap) else output
    batch = places.shape[0] if places.ndim == 4 else 1
    return batch * math.prod(places.shape[-2:]) * _size(module.weight)


def _local(module, input, output):
    return (input.shape[0] if input.ndim == 4 else 1) * _size(module.weight)


def _window(module, input, output):
    return _size(output) * module.kW * getattr(module, "kH", 1)


def _bilinear(module, input, output):
    """First x1 with every weight, then the result with x2."""
    rows = input[0].shape[0] if input[0].ndim == 2 else 1
    outputs, _, second = module.weight.shape
    return rows * (_size(module.weight) + outputs * second)


def _matrix_product(module, input, output):
    inner = input[0].shape[-2 if module.transA else -1]
    return _size(output) * inner


def _matrix_vector(module, input, output):
    return _size(input[0])


def _product(module, input, output):
    """The product of a Fused, whose output is that of the whole."""
    first = module.modules[0]
    return next(count for classes, count in _COUNTS if isinstance(first, classes))(first, input, output)


def _cell(module, input, output):
    """Every weight matrix once for each row of the batch."""
    rows = math.prod(input.shape[:-1])
    return rows * sum(_size(getattr(module, name)) for name in module.paramNames
                      if name.startswith("weight") and getattr(module, name).ndim == 2)


#: How each kind of layer is counted; the first that fits.
_COUNTS = [
    ((Linear, PartialLinear), _linear),
    (Bilinear, _bilinear),
    (_FullConvolution, _by_input),
    ((_Convolution, TemporalConvolution), _by_output),
    ((SpatialConvolutionMap, SpatialFullConvolutionMap), _map),
    ((SpatialDepthWiseConvolution, TemporalRowConvolution), _window),
    (SpatialConvolutionLocal, _local),
    ((Cosine, Euclidean), _linear),
    (MM, _matrix_product),
    (MV, _matrix_vector),
    (DotProduct, _matrix_vector),
    ((_Sequence, _Cell), _cell),
    (Fused, _product),
]


# -- watching -----------------------------------------------------------------------


class Watch:
    """Calls ``note(path, module, method, input, seconds)`` after every pass of every module of *net*.

    A context manager.  *method* is "forward" or "backward"; *seconds* are those that the
    module took itself, without what its children took.  Copies that a container makes of
    its children meanwhile are watched too, under the path of the original.
    """

    # A watched module is of a subclass of its class, and so are its copies, however they are
    # made; functions in the place of its methods would go on belonging to the original.

    def __init__(self, net, note):
        self.net, self.note = net, note
        self.children = []  # seconds of the children of each pass that is under way, outermost first

    def __enter__(self):
        layers = list(_layers(self.net))
        # A Fused knows its modules by their classes, and runs them as one: it is watched as a whole.
        within = {id(child) for layer in layers if isinstance(layer.module, Fused) for child in layer.module.modules}
        for layer in (layer for layer in layers if id(layer.module) not in within):
            if isinstance(layer.module, MapTable):
                layer.module._clones = None  # they are made anew from what is watched
            layer.module._watch = self, layer.path
            layer.module.__class__ = _watched(type(layer.module))
        return self

    def __exit__(self, *error):
        self.note = None  # copies in a container's buffers find out when they are called
        for module in self.net.listModules():
            _release(module)

    def __deepcopy__(self, memo):
        return self  # a copied leaf reports to the same place


def _watched(cls):
    """The subclass of *cls* whose forward and backward are noted."""
    if cls not in _WATCHED:
        methods = {method: _noting(cls, method) for method in ("forward", "backward")}
        _WATCHED[cls] = type(cls.__name__, (cls,), {
            "__module__": cls.__module__, "__qualname__": f"{cls.__qualname__}.watched", **methods})
    return _WATCHED[cls]


_WATCHED = {}  # class -> its watched subclass


def _release(module):
    vars(module).pop("_watch", None)
    if _WATCHED.get(type(module).__mro__[1]) is type(module):
        module.__class__ = type(module).__mro__[1]


def _noting(cls, method):
    original = getattr(cls, method)

    def noting(self, input, *args, **words):
        watch, path = self._watch
        if watch.note is None:
            _release(self)
            return original(self, input, *args, **words)
        began = time.perf_counter()
        watch.children.append(0.0)
        try:
            result = original(self, input, *args, **words)
        finally:
            below = watch.children.pop()
        seconds = time.perf_counter() - began
        if watch.children:
            watch.children[-1] += seconds
        if watch.note is not None:
            watch.note(path, self, method, input, seconds - below)
        return result

    return noting
