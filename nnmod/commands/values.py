"""What is in a file, by path: the names that list shows and cat takes."""
import math

import numpy as np

from .. import notebook, summary, tensor
from ..criterion import Criterion
from ..module import Module
from ..serialization.t7 import Function, Key, Opaque, OpaqueCriterion, Record
from .text import CommandError, cut


#: How deep the command looks into a file: paths of what is deeper would be longer than anyone reads, and in a
#: file that was made to do harm longer than the memory has room for.
DEEPEST = 500


def children(value):
    """Pairs (name, value) of what is inside *value*; names are unique.

    A list counts from 0; a table has its keys; a module has its children by number, then
    its tensors by name; what nnmod has no class for has the fields that the file gives.
    """
    if isinstance(value, (list, tuple)):
        return [(str(index), item) for index, item in enumerate(value)]
    if isinstance(value, (Opaque, OpaqueCriterion, Record)):
        value = value.fields
        return children(value) if isinstance(value, (dict, list)) else [("fields", value)]
    if isinstance(value, (Module, Criterion)):
        found = [(str(index), child) for index, child in enumerate(value.modules)]
        names = (*value.paramNames, *value.stateNames)
        found += [(name, getattr(value, name)) for name in names if getattr(value, name, None) is not None]
        return found + [("criterion" + (str(index) if index else ""), criterion)
                        for index, criterion in enumerate(value.criterions)]
    if isinstance(value, Function):
        return [] if value.upvalues is None else [("upvalues", value.upvalues)]
    if isinstance(value, dict):
        found, taken = [], set()
        for key, item in value.items():
            name = key if isinstance(key, str) else repr(key)
            while name in taken:  # the text "1" beside the number 1
                name += "'"
            taken.add(name)
            found.append((name, item))
        return found
    return []


def walk(value, depth=DEEPEST):
    """Every value below *value* as (path, level, value, again), parents first.

    *again* is the path where the same list, table or module was met before, or None; what
    is inside is not repeated.  Nothing recurses.  What lies deeper than *depth* is not shown.
    """
    met = {}
    waiting = [("", 0, value)]
    while waiting:
        path, level, here = waiting.pop()
        again = None
        if isinstance(here, (list, dict, Module, Criterion, Record, Function)):
            again = met.get(id(here))
            met.setdefault(id(here), (path, here))  # kept: its id stays its own
        yield path, level, here, None if again is None else again[0]
        if again is None and level < depth:
            waiting += [(join(path, name), level + 1, item) for name, item in reversed(children(here))]


def join(path, name):
    """The path of the child *name* of what is at *path*.

    >>> join("", "model"), join("model", "0")
    ('model', 'model.0')
    """
    return f"{path}.{name}" if path else name


def at(value, path):
    """The value at *path*, such as ``model.0.weight``; names may have dots in them.

    >>> at({"model": [10, {"a.b": 5}]}, "model.1.a.b")
    5
    """
    if path in ("", "."):
        return value
    # The longest name that fits, first; where that leads nowhere, the next.
    waiting = [(value, path, "")]
    furthest = value, ""
    while waiting:
        here, rest, done = waiting.pop()
        if len(done) >= len(furthest[1]):
            furthest = here, done
        fitting = [(name, item) for name, item in _reachable(here)
                   if rest == name or rest.startswith(name + ".")]
        for name, item in sorted(fitting, key=lambda pair: len(pair[0])):
            if rest == name:
                return item
            waiting.append((item, rest[len(name) + 1:], join(done, name)))
    here, done = furthest
    names = [name for name, _ in children(here)]
    what = f"{done} has" if done else "the file has"
    raise CommandError(f"there is no {path}: {what} " + (
        cut(", ".join(names), 200) if names else f"nothing inside, it is {kind(here)}"))


def _reachable(value):
    """The children, and the numbers and words that a module was made with."""
    found = children(value)
    if isinstance(value, (Module, Criterion)) and not isinstance(value, (Opaque, OpaqueCriterion)):
        found += [(name, item) for name, item in vars(value).items() if not name.startswith("_")]
    return found


def kind(value):
    """What *value* is, in a few words: ``float32 tensor of 6x1x5x5``."""
    if tensor.is_tensor(value) and value.ndim == 0:  # what an .npz makes of a number or a text
        return kind(value.item())
    if tensor.is_tensor(value):
        name = value.dtype.name if value.dtype.kind != "U" else "text"
        return f"{name} {summary.shape_text(value.shape)}"
    if isinstance(value, dict):
        return f"table of {len(value)}"
    if isinstance(value, (list, tuple)):
        return f"list of {len(value)}"
    if isinstance(value, (Opaque, OpaqueCriterion)):
        return f"{value.className} (opaque: {value.reason})"
    if isinstance(value, Record):
        return f"{value.className} (a record of {_count(value.fields)})"
    if isinstance(value, Module):
        return notebook.head(value)
    if isinstance(value, Key):
        return repr(value)
    if isinstance(value, str):
        return f"text {cut(repr(value), 60)}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes {cut(repr(value), 60)}"
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return f"{value}".lower()
    if isinstance(value, (int, float, np.generic)):
        return f"{value!r}" if isinstance(value, (int, float)) else f"{value.item()!r} ({value.dtype.name})"
    return cut(repr(value).splitlines()[0], 100)


def _count(fields):
    return f"{len(fields)} fields" if isinstance(fields, (dict, list)) else "one value"


def numbers(value):
    """Whether *value* is a list of numbers only, which fits on one line."""
    return (isinstance(value, (list, tuple)) and len(value) > 0
            and all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in value))


def numbers_text(value):
    """A list of numbers: the first of them, and how many there are."""
    return f"list of {len(value)}: " + ", ".join(f"{item:g}" for item in value[:8]) + (
        ", .." if len(value) > 8 else "")


def size(value):
    """The bytes of a tensor's numbers, or None."""
    return value.nbytes if tensor.is_tensor(value) else None


def models(value):
    """Pairs (path, module) of the networks in *value*, each at its top."""
    found, below = [], []
    for path, _, item, again in walk(value):
        if isinstance(item, Module) and again is None and not any(
                path == top or path.startswith(top + ".") or top == "" for top in below):
            found.append((path, item))
            below.append(path)
    return found


def model(value, path, name):
    """The network in *value*: the one at *path*, or the only one that it holds."""
    if path is not None:
        found = at(value, path)
        if not isinstance(found, Module):
            raise CommandError(f"{name}: {path or 'the file'} is no model but {kind(found)}")
        return _shallow(found, name)
    if isinstance(value, dict) and isinstance(value.get("model"), Module):
        return _shallow(value["model"], name)
    found = models(value)
    if not found:
        raise CommandError(f"{name} holds no model but {kind(value)}; nnmod list {name} shows what is inside")
    if len(found) > 1:
        paths = cut(", ".join(path for path, _ in found), 150)
        raise CommandError(f"{name} holds {len(found)} models ({paths}): say which with --at {found[0][0]}")
    return _shallow(found[0][1], name)


def _shallow(net, name):
    """*net*, unless its containers stand in each other more deeply than can be shown or run."""
    level, depth = [net], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise CommandError(f"{name} has containers {DEEPEST} deep and deeper: too deep to show or to run")
        level = [child for module in level for child in module.modules]
    return net


def opaque_lines(net):
    """A line for each class in *net* that nnmod cannot run, with where it is."""
    places = {}
    for layer in summary.summarize(net).layers:
        if isinstance(layer.module, Opaque):
            key = layer.module.className, layer.module.reason
            places.setdefault(key, []).append(layer.path or "the model")
    return [f"{name} at {cut(', '.join(paths), 60)}: {reason}" for (name, reason), paths in places.items()]


def finite(value):
    """A float as JSON has it."""
    return value if math.isfinite(value) else repr(value)
