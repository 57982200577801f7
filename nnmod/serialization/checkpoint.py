"""Checkpoints: a model and what its training needs to go on, in one safetensors file.

The tensors are stored as safetensors does, under names like ``0.weight``, so that other
libraries read them.  The structure stands beside them, as JSON in the file's metadata:

    nnmod          {"format": 1,
                    "tensors": {name: [dtype, shape], ...},
                    "modules": [{"class": name, "state": {attribute: value, ...}}, ...],
                    "content": {"model": {"$module": 0}, "epoch": 3, ...}}
    nnmod.sha256   the digest of that text

A value is what JSON has, or an object with one key that starts with ``$``: see
``_Writer.value``.  Reading a file imports nothing and runs nothing that the file names:
classes are looked up among those that exist already.

Needs the package safetensors: ``pip install nnmod[checkpoint]``.
"""
import hashlib
import json
import math
import os

import numpy as np

from .. import check, tensor
from ..module import Module
from ..stateful import Stateful, gradient_name
from . import atomic

_FORMAT = 1
_DTYPES = {"bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
           "float16", "float32", "float64"}
_HEADER_LIMIT = 100_000_000  # of safetensors; a longer header is written but never read
_HOLDS = ("a checkpoint holds None, booleans, numbers, strings, lists, tuples, dicts, sets, tensors "
          "and modules")


def save_checkpoint(path, model, **extra):
    """Write *model*, and whatever else is given by name, to the file *path*.

    Parameters
    ----------
    path : path
        Replaced in one step when all is on disk: a crash, or a full disk, leaves the
        old file as it was.
    model : Module or Criterion
        Its parameters and state are saved in the dtype that they have, and loaded on the CPU
        wherever they were: ``load_checkpoint(path)["model"].cuda()``.  **Gradients
        are not**: they are 0 after loading, so save between steps, not between
        backwards that still add up.  Buffers are not saved either.
    extra : None, booleans, numbers, strings, tensors, modules, and lists, tuples, dicts and sets of them
        The state of an optimizer, ``nnmod.random.get_state()``, the epoch.

    Tensors and modules that are shared are stored once, and are shared again after
    loading.  Raises TypeError for anything else, naming the place; the usual OSError
    where the file cannot be written.

    >>> import os, tempfile
    >>> from nnmod import Linear
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.safetensors")
    ...     save_checkpoint(path, Linear(3, 2), epoch=4)
    ...     load_checkpoint(path)
    {'model': Linear(3 -> 2), 'epoch': 4}
    """
    safetensors = check.package("safetensors.numpy", "checkpoint", "writing a checkpoint")
    if not isinstance(model, Stateful):
        raise TypeError(f"model must be a module or a criterion, got {type(model).__name__}")
    writer = _Writer()
    try:
        content = {"model": writer.value(model, "")}
        for name, value in extra.items():
            content[name] = writer.value(value, f"extra.{name}")
    except RecursionError as error:
        raise ValueError("a checkpoint cannot hold what is nested this deeply, or contains itself") from error
    text = json.dumps({
        "format": _FORMAT,
        "tensors": {name: [t.dtype.name, list(t.shape)] for name, t in writer.tensors.items()},
        "modules": writer.modules,
        "content": content,
    }, allow_nan=False)
    metadata = {"nnmod": text, "nnmod.sha256": _digest(text)}
    data = safetensors.save(writer.tensors, metadata)
    if int.from_bytes(data[:8], "little") > _HEADER_LIMIT:
        raise ValueError("the structure is too long for a safetensors file; "
                         "keep long lists of numbers as tensors (np.asarray)")
    atomic.write(path, lambda file: file.write(data))


def load_checkpoint(path):
    """Read a file from :func:`save_checkpoint`: a dict with ``"model"`` and the extras.

    The model computes the same bits as the one that was saved.  A class of your own
    must be defined, or imported, before its module can be loaded; the file itself
    runs no code.  Raises ValueError for a file that is damaged or is something else.
    """
    safetensors = check.package("safetensors", "checkpoint", "reading a checkpoint")
    path = os.fspath(path)
    with open(path, "rb"):
        pass  # the usual OSError for a path that cannot be read
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            structure = _structure(metadata, file.keys())
            tensors = {name: file.get_tensor(name) for name in structure["tensors"]}
        for name, (dtype, shape) in structure["tensors"].items():
            if (tensors[name].dtype.name, list(tensors[name].shape)) != (dtype, shape):
                raise ValueError(f"tensor {name!r} must be {dtype} {tuple(shape)}, as the structure says, "
                                 f"but is {tensor.describe(tensors[name])}")
        return _Reader(structure, tensors).content()
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file, or is cut off: {error}") from error
    except OSError:
        raise
    except RecursionError as error:
        raise ValueError(f"{path} cannot be loaded: it is nested too deeply") from error
    except Exception as error:
        words = str(error) if type(error) is ValueError else f"its structure is wrong ({error!r})"
        raise ValueError(f"{path} cannot be loaded: {words}") from error


# -- writing ------------------------------------------------------------------------


class _Writer:
    """Turns values into JSON; collects tensors and modules, each of them once."""

    def __init__(self):
        self.tensors = {}    # name -> what is stored
        self.modules = []
        self._names = {}     # id -> (name, tensor); the tensor is kept, so that its id stays its own
        self._gradients = {}  # id -> (name of its parameter, gradient)
        self._twins = set()  # names of the parameters that have a gradient there
        self._indices = {}   # id -> (index, module)

    def value(self, value, where):
        """*value* as JSON; *where* is its path, for tensors' names and for messages."""
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        if kind is list:
            return self._items(value, where)
        if kind is tuple:
            return {"$tuple": self._items(value, where)}
        if kind in (set, frozenset):
            return {"$" + kind.__name__: self._items(sorted(value, key=repr), where)}
        if kind is dict:
            if all(type(key) is str and not key.startswith("$") for key in value):
                return {key: self.value(item, _join(where, key)) for key, item in value.items()}
            return {"$dict": [[self.value(key, where), self.value(item, _join(where, key))]
                              for key, item in value.items()]}
        if isinstance(value, np.generic) and value.dtype.name in _DTYPES:
            return {"$scalar": [value.dtype.name, self.value(value.item(), where)]}
        if tensor.is_tensor(value):
            return {"$tensor": self._tensor(value, where)}
        if isinstance(value, Stateful):
            return {"$module": self._module(value, where)}
        raise TypeError(f"{where or 'model'} is of type {kind.__name__}, but {_HOLDS}")

    def _items(self, values, where):
        return [self.value(item, _join(where, index)) for index, item in enumerate(values)]

    def _tensor(self, value, where):
        if id(value) in self._names:
            return self._names[id(value)][0]
        if value.dtype.name not in _DTYPES:
            raise TypeError(f"{where} is a tensor of {value.dtype.name}, but a checkpoint holds tensors of "
                            f"{', '.join(sorted(_DTYPES))}")
        name = where
        while name in self.tensors:
            name += "'"
        # safetensors copies memory as it lies.
        self.tensors[name] = np.asarray(tensor.host(value), value.dtype.newbyteorder("="), order="C")
        self._names[id(value)] = name, value
        return name

    def _module(self, module, where):
        if id(module) in self._indices:
            return self._indices[id(module)][0]
        index = len(self.modules)
        self._indices[id(module)] = index, module
        module = module.forFile()
        entry = {"class": _class_name(type(module)), "state": {}}
        self.modules.append(entry)
        gradients = {gradient_name(name): name for name in module.paramNames}
        scratch = {*module._passBuffers, *module.bufferNames}
        for name, value in module.__getstate__().items():
            if name in scratch:
                continue
            if name in module._typeNames:
                # Files know no device: what was on one is loaded on the CPU.
                entry["state"][name] = "cpu." + value.partition(".")[2]
            elif name in gradients and tensor.is_tensor(value):
                param = getattr(module, gradients[name], None)
                entry["state"][name] = self._gradient(
                    value, param, _join(where, gradients[name]), _join(where, name))
            else:
                # Children count from their parent: 0.weight, not modules.0.weight.
                inside = where if name == "modules" else _join(where, name)
                entry["state"][name] = self.value(value, inside)
        return index

    def _gradient(self, value, param, where_param, where):
        """A gradient is stored as the name of its parameter: zeros like it."""
        if id(value) in self._gradients:
            return {"$zeros": self._gradients[id(value)][0]}
        if tensor.is_tensor(param) and (param.shape, param.dtype) == (value.shape, value.dtype):
            name = self._tensor(param, where_param)
            if name not in self._twins:
                self._twins.add(name)
                self._gradients[id(value)] = name, value
                return {"$zeros": name}
        # A second gradient of a shared parameter is a tensor of its own.
        return {"$tensor": self._tensor(np.zeros(value.shape, value.dtype), where)}


def _join(where, step):
    return f"{where}.{step}" if where else str(step)


def _class_name(cls):
    """``Linear`` for nnmod's own classes, ``package.module:Name`` for others."""
    own = cls.__module__.partition(".")[0] == "nnmod"
    return cls.__qualname__ if own else f"{cls.__module__}:{cls.__qualname__}"


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


# -- reading ------------------------------------------------------------------------


def _structure(metadata, names):
    """The JSON of a file, after what can be said about it as a whole is checked."""
    text = metadata.get("nnmod")
    if text is None:
        raise ValueError("it is a safetensors file, but no checkpoint of nnmod: it has tensors "
                         f"({', '.join(sorted(names)[:5]) or 'none'}...) and no structure")
    if metadata.get("nnmod.sha256") != _digest(text):
        raise ValueError("its structure is damaged: the digest does not fit")
    structure = json.loads(text)
    if not isinstance(structure, dict) or not check.is_int(structure.get("format")):
        raise ValueError("its structure is not one of nnmod")
    if structure["format"] != _FORMAT:
        raise ValueError(f"it has format {structure['format']}, and this nnmod reads format {_FORMAT}; "
                         "it needs a newer nnmod")
    missing = set(structure["tensors"]) - set(names)
    if missing:
        raise ValueError(f"tensors are missing: {', '.join(sorted(missing))}")
    return structure


class _Reader:
    """Builds the objects of one file; nothing is handed out before all of it is checked."""

    def __init__(self, structure, tensors):
        self._content = structure["content"]
        self._tensors = tensors
        self._zeros = {}  # name of a parameter -> its gradient
        self._entries = structure["modules"]
        classes = [_find_class(entry["class"]) for entry in self._entries]
        # All exist before any is filled: they may refer to each other.
        self._modules = [cls.__new__(cls) for cls in classes]

    def content(self):
        for module, entry in zip(self._modules, self._entries):
            self._fill(module, entry["state"])
        for module in self._modules:
            _check_module(module)
        _check_trees(self._modules)
        content = self.value(self._content)
        if not isinstance(content, dict) or not isinstance(content.get("model"), Stateful):
            raise ValueError("it has no model")
        return content

    def _fill(self, module, state):
        cls = type(module)
        values = dict.fromkeys((*module._passBuffers, *module.bufferNames))
        for name, item in state.items():
            usual = getattr(cls, name, None)
            if callable(usual) or isinstance(usual, property):
                raise ValueError(f"{name!r} is not an attribute that {cls.__name__} keeps")
            values[name] = self.value(item)
        if hasattr(cls, "__setstate__"):
            module.__setstate__(values)
        else:
            vars(module).update(values)

    def value(self, item):
        if isinstance(item, list):
            return [self.value(entry) for entry in item]
        if not isinstance(item, dict):
            return item
        key = next(iter(item), "")
        if not key.startswith("$"):
            return {key: self.value(entry) for key, entry in item.items()}
        (content,) = item.values()
        return self._KINDS[key](self, content)

    def _tensor(self, name):
        return self._tensors[name]

    def _gradient(self, name):
        if name not in self._zeros:
            self._zeros[name] = np.zeros_like(self._tensors[name])
        return self._zeros[name]

    def _module(self, index):
        if not check.is_int(index) or not 0 <= index < len(self._modules):
            raise ValueError(f"module {index!r} is missing")
        return self._modules[index]

    def _scalar(self, content):
        dtype, number = content
        if dtype not in _DTYPES:
            raise ValueError(f"unknown dtype {dtype!r}")
        return np.dtype(dtype).type(self.value(number))

    _KINDS = {
        "$float": lambda self, text: {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[text],
        "$tuple": lambda self, items: tuple(map(self.value, items)),
        "$set": lambda self, items: set(map(self.value, items)),
        "$frozenset": lambda self, items: frozenset(map(self.value, items)),
        "$dict": lambda self, items: {self.value(key): self.value(entry) for key, entry in items},
        "$scalar": _scalar,
        "$tensor": _tensor,
        "$zeros": _gradient,
        "$module": _module,
    }


def _find_class(name):
    """The class of this *name* among those that exist; nothing is imported."""
    module, _, qualname = name.rpartition(":")
    known = [cls for cls in _subclasses(Stateful) if cls.__qualname__ == qualname
             and (module or cls.__module__.partition(".")[0] == "nnmod")]
    # A class that was moved, or was in the script that wrote the file, is known by its
    # name alone; of two definitions of one class, as a notebook makes, the later counts.
    exact = [cls for cls in known if cls.__module__ == module] or known
    if len({cls.__module__ for cls in exact}) == 1:
        return exact[-1]
    if exact:
        raise ValueError(f"class {name!r} could be any of {', '.join(sorted(map(_class_name, exact)))}")
    if module:
        raise ValueError(f"class {qualname!r} of {module} is not defined here: import it first")
    raise ValueError(f"class {qualname!r} is not one of this version of nnmod")


def _subclasses(cls):
    yield cls
    for sub in cls.__subclasses__():
        yield from _subclasses(sub)


def _check_module(module):
    """Check what every module relies on: its type, its mode, its tensors and their gradients."""
    name = type(module).__name__
    state = vars(module)
    # A class may say its type itself; what the file says must be a type, in full.
    type_name = getattr(module, "_type", None)
    if tensor.type_name(str(type_name)) != type_name:
        raise ValueError(f"{name} has an unknown type")
    if isinstance(module, Module) and not isinstance(state.get("train"), bool):
        raise ValueError(f"{name} must have train, True or False")
    for key in module.paramNames:
        param, grad = state.get(key), state.get(gradient_name(key))
        if param is None and grad is None:
            continue
        if not (tensor.is_tensor(param) and tensor.is_tensor(grad)
                and (param.shape, param.dtype) == (grad.shape, grad.dtype)):
            raise ValueError(f"{name} must have {key} and {gradient_name(key)}, tensors of one shape and dtype")
    for key in module.stateNames:
        if not (state.get(key) is None or tensor.is_tensor(state[key])):
            raise ValueError(f"{name} must have {key}, a tensor or None")
    children = module.modules
    if not (isinstance(children, (list, tuple)) and all(isinstance(m, Stateful) for m in children)):
        raise ValueError(f"{name} must have modules, a list of them")


def _check_trees(modules):
    """Check that no module stands in two places: a cycle would never end."""
    placed = set()
    for module in modules:
        for child in module.modules:
            if id(child) in placed:
                raise ValueError(f"{type(child).__name__} stands in two places of a network")
            placed.add(id(child))
    reached, waiting = set(), [module for module in modules if id(module) not in placed]
    while waiting:
        module = waiting.pop()
        reached.add(id(module))
        waiting += module.modules
    if len(reached) < len(modules):
        raise ValueError("a module contains itself")
