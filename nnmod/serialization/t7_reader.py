"""From the raw objects of a .t7 file to Python's values and nnmod's modules, without recursion."""
import functools
import math

import numpy as np

from .. import check, random, tensor
from ..module import Module
from ..stateful import Stateful, gradient_name
from . import t7_upgrades
from .t7_format import COUNTED, Function, Storage, T7Error, Table, Tensor, Torch, element_type, view
from .t7_objects import Key, Opaque, OpaqueCriterion, Record, line_of

#: How a class is built: name -> function(fields) -> module.  t7_modules.py fills it, and register().
BUILDERS = {}

#: Methods that decide what a module computes; where a file brings its own, nnmod cannot know it.
_VERBS = {"forward", "backward", "updateOutput", "updateGradInput", "accGradParameters"}
#: Modules that store closures of their own, and that nnmod computes without them.
_WITH_CLOSURES = {"nn.Copy"}
_ABSENT = object()
_ONLY_FLOATS = {float}
#: What has a value of its own, which is made in the order of the file.
_BUILT = frozenset((Table, Torch))
#: A tree of modules goes no deeper: Python's own stack has an end.
_DEEPEST = 200
#: What constructors raise for numbers that they do not take, and builders for fields of another kind.
_WRONG = (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RuntimeError,
          ZeroDivisionError, AssertionError, StopIteration)


class Unbuildable(ValueError):
    """A known class in a form that nnmod has no module for: it becomes opaque, with this reason."""


def to_python(root):
    """The value of *root*, a raw object of t7_format."""
    state = random.get_state()
    try:
        with np.errstate(all="ignore"):  # what is too large for a type becomes infinite, without a word
            return Reader().value_of(root)
    finally:
        random.set_state(state)  # modules draw parameters when they are made; a file must not change a run


class Reader:
    """Values of raw objects, each made once: what was shared in the file is shared again."""

    def __init__(self):
        self._values = {}    # id of a raw object -> its value
        self._kept = []      # raw objects made here, so that their ids stay their own
        self._names = {}     # a key -> its text
        self._arrays = {}    # (storage, offset, shape, strides, dtype) -> the array of a parameter
        self._wide = {}      # id of a storage of half precision -> float32
        self._placed = set()  # ids of modules that have a place in a tree
        self._late = []      # (container, key, raw): places of objects that were not made yet
        self._entered = set()  # ids of raw objects that were begun
        self._opaque = []
        self._depths = {}    # id of a module -> how deep its tree is
        self._depth = 0      # of the module that is being built
        self._broken = {}    # id of a raw object -> why it cannot be brought up to date
        self.gradients = {}  # id of a parameter -> a gradient for it that the file does not have

    def value_of(self, root):
        """Build *root* and all it refers to."""
        waiting, entered = [root], self._entered
        while waiting:
            raw = waiting.pop()
            kind = type(raw)
            if kind is Table:
                target = self._container(raw)
                if id(raw) not in entered:
                    entered.add(id(raw))
                    self._fill(target, raw, waiting)
            elif kind is tuple:
                self._finish(*raw)
            elif kind is Torch and id(raw) not in entered:
                entered.add(id(raw))
                if raw.name in COUNTED:  # data, that a class of its own holds
                    self._values[id(raw)] = self._container(raw.content)
                    waiting.append(raw.content)
                    continue
                self._begin(raw)
                waiting.append((raw, None, None))
                waiting += reversed(_children(raw))
        for target, key, raw in self._late:
            target[key] = self.simple(raw)
        self._name_companions()
        return self.simple(root)

    # -- in the order of the file -----------------------------------------------------

    def _container(self, table):
        """The value of *table*, which may not be filled yet."""
        target = self._values.get(id(table))
        if target is None:
            items = table.items
            if not items:
                target = []
            elif type(items[0][0]) is not float:
                target = {}
            else:
                keys, values = zip(*items)
                if not _are_places(keys):
                    target = {}
                elif set(map(type, values)) == _ONLY_FLOATS and keys == _places(len(keys)):
                    target = list(map(self.simple, values))  # complete already
                    self._entered.add(id(table))
                else:
                    target = []
            self._values[id(table)] = target
        return target

    def _fill(self, target, table, waiting=None):
        """Fill *target* with the pairs of *table*.

        The objects in it that have no value yet go to *waiting*: what is there is taken from its
        end.  Tables in it are filled later, but are in their places at once; modules come to theirs
        by an entry (table, target, keys) below them.  One whose keys are such objects is filled
        after them.
        """
        names, simple, entered, first, missing = self._names, self.simple, self._entered, [], []
        is_list = isinstance(target, list)
        if is_list:
            target += [None] * len(table.items)
        for key, item in table.items:
            if is_list:
                key = int(key) - 1
            elif type(key) is bytes:  # by far the most
                name = names.get(key)
                if name is None:
                    name = names[key] = simple(key)
                key = name
            elif waiting is not None and type(key) is Torch and id(key) not in self._values:
                target.clear()
                waiting.append((table, target, None))
                waiting += reversed([thing for pair in table.items for thing in pair if type(thing) in _BUILT])
                return
            else:
                key = self._key(key, table, first)
            kind = type(item)
            if kind is Table:
                target[key] = self._container(item)
                if id(item) not in entered:
                    first.append(item)
            elif kind is bytes:
                try:
                    target[key] = item.decode()
                except UnicodeDecodeError:
                    target[key] = item
            elif kind is not Torch:
                target[key] = simple(item)
            else:
                first.append(item)
                target[key] = value = simple(item, _ABSENT)
                if value is _ABSENT:
                    target[key] = None
                    missing.append((key, item))
        if missing and waiting is None:
            self._late += [(target, key, item) for key, item in missing]
        elif missing:
            waiting.append((table, target, missing))
        if first and waiting is not None:
            waiting += reversed(first)

    def _key(self, raw, table, first):
        """The value of *raw* as a key of a dict."""
        if type(raw) is Table:
            first.append(raw)
            name = self._container(raw)
        else:
            name = self.simple(raw)
        if isinstance(name, (list, dict, np.ndarray)) or (
                isinstance(name, bool) and any(type(k) is float and k == name for k, _ in table.items)):
            return Key(name)
        return name

    def _begin(self, raw):
        """What can be referred to before it is complete."""
        try:
            t7_upgrades.upgrade(raw)
        except _WRONG as error:
            self._broken[id(raw)] = f"its fields are not those of any version ({error})"
        if raw.name not in BUILDERS:
            self._values[id(raw)] = _shell(raw, "nnmod does not know this class")

    def _finish(self, raw, target, missing):
        if target is not None:  # the objects of a table that came later
            if missing is None:
                self._fill(target, raw)
                return
            for key, item in missing:
                value = self.simple(item, _ABSENT)
                if value is _ABSENT:
                    self._late.append((target, key, item))
                else:
                    target[key] = value
            return
        value = self._values.get(id(raw))
        if value is None:
            value = self._values[id(raw)] = self._build(raw)
        if isinstance(value, (Opaque, OpaqueCriterion, Record)):
            value.before[:] = [self.simple(item) for item in raw.before]
            if type(raw.content) is Table:
                self._fill(value.fields, raw.content)
            else:
                value.fields = self.simple(raw.content)
            if not isinstance(value, Record):
                self._opaque.append(value)

    def _build(self, raw):
        try:
            if id(raw) in self._broken:
                raise Unbuildable(self._broken[id(raw)])
            if type(raw.content) is not Table:
                raise Unbuildable("its fields are not a table")
            fields = Fields(self, raw)
            closures = sorted(name for name in _VERBS if isinstance(fields.raw(name), Function))
            if closures and raw.name not in _WITH_CLOSURES:
                raise Unbuildable(f"the file gives it functions of its own ({', '.join(closures)})")
            self._depth = 0
            module = BUILDERS[raw.name](fields)
            self._depths[id(module)] = self._depth
            if not isinstance(module, Stateful):
                return module
            fields.settle(module)
            return module
        except _WRONG as error:
            if isinstance(error, T7Error):
                raise
            words = str(error) if isinstance(error, (ValueError, TypeError)) else repr(error)
            return _shell(raw, words)

    # -- values -----------------------------------------------------------------------

    def simple(self, raw, absent=None):
        """The value of *raw*; *absent* for one that is still being made."""
        kind = type(raw)
        if kind is float:
            if raw:
                return int(raw) if raw.is_integer() and -2**53 <= raw <= 2**53 else raw
            return raw if math.copysign(1, raw) < 0 else 0  # -0.0 has a sign to keep
        if kind is bytes:
            try:
                return raw.decode()
            except UnicodeDecodeError:
                return raw
        if kind is Tensor:
            return raw.array
        if kind is Storage:
            return raw.data
        if kind in _BUILT:
            return self._values.get(id(raw), absent)
        return raw  # nil, booleans, functions

    def array(self, raw):
        """The tensor *raw* as a parameter: dense, float32 or float64, one array for one geometry."""
        data = raw.storage.data if raw.storage is not None else np.empty(0)
        dtype = data.dtype if data.dtype.kind == "f" and data.dtype.itemsize > 2 else np.dtype("f4")
        key = id(raw.storage), raw.offset, raw.shape, raw.strides, dtype
        if key not in self._arrays:
            array = raw.array
            # Sizes beside a 0 stand for no element, and a constructor may allocate what they say.
            if max(array.size, *array.shape) > 8 * max(data.size, 8):
                raise Unbuildable(f"a tensor of sizes {array.shape} repeats a storage of {data.size} elements")
            if array.dtype != dtype:
                array = view(raw, dtype, data=self._widened(raw.storage, dtype))
            self._arrays[key] = array if array.flags.carray else np.array(array, order="C")
        return self._arrays[key]

    def _widened(self, storage, dtype):
        if id(storage) not in self._wide:
            self._wide[id(storage)] = storage.data.astype(dtype)
        return self._wide[id(storage)]

    def child(self, raw, what):
        """The module or criterion *raw* for a place in a tree; a clone that learns with it for a second one."""
        value = self.simple(raw, _ABSENT)
        if value is _ABSENT:
            raise Unbuildable(f"{what} contains the module itself")
        if not isinstance(value, Stateful):
            raise Unbuildable(f"{what} must be a module, found {type(value).__name__}")
        self._depth = max(self._depth, self._depths.get(id(value), 0) + 1)
        if self._depth > _DEEPEST:
            raise Unbuildable(f"it holds modules nested more than {_DEEPEST} deep")
        if id(value) in self._placed:
            names = {name for module in value._everything() for name in module._tensorNames()
                     if isinstance(getattr(module, name, None), np.ndarray)}
            value = value.clone(*names) if isinstance(value, Module) and names else value.clone()
        else:
            self._placed.add(id(value))
            self._kept.append(value)
        return value

    def keep_depth(self, module):
        """Let the module that is being built be as deep as *module*, which it turns out to be."""
        self._depth = self._depths.get(id(module), 0)

    def _name_companions(self):
        counts = {}
        for thing in self._opaque:
            kind = thing.className, thing.reason
            counts[kind] = thing, counts.get(kind, (thing, 0))[1] + 1
        lines = [line_of(thing, count) for thing, count in counts.values()]
        for thing in self._opaque:
            thing.companions[:] = lines


class Fields:
    """The fields of one object, as its builder reads them; numbers still count from 1."""

    def __init__(self, reader, raw):
        self.reader, self.name, self.position = reader, raw.name, raw.position
        #: Whether the builder has set the type of the module itself.
        self.keep_type = False
        self._raw = {}
        for key, value in raw.content.items:
            if type(key) is bytes:
                self._raw[key.decode("latin-1")] = value

    def __contains__(self, name):
        return self._raw.get(name) is not None

    def raw(self, name):
        """The raw object in field *name*, None where there is none."""
        return self._raw.get(name)

    def get(self, name, default=_ABSENT):
        """The value of field *name*."""
        raw = self._raw.get(name)
        if raw is None:
            if default is _ABSENT:
                raise Unbuildable(f"its field {name} is missing")
            return default
        return self.reader.simple(raw)

    def number(self, name, default=_ABSENT):
        """A field that must be a number or a boolean."""
        value = self.get(name, default)
        if value is not default and not isinstance(value, (bool, int, float)):
            raise Unbuildable(f"its field {name} must be a number, found {type(value).__name__}")
        return value

    def tensor(self, name, default=_ABSENT):
        """A field that must be a tensor, as a parameter."""
        raw = self._raw.get(name)
        if raw is None and default is not _ABSENT:
            return default
        if not isinstance(raw, Tensor):
            raise Unbuildable(f"its field {name} must be a tensor, found {type(self.get(name)).__name__}")
        return self.reader.array(raw)

    def sizes(self, name):
        """A field that holds sizes, a LongStorage or a table, as a tuple."""
        value = self.get(name)
        return tuple(int(n) for n in value)

    def child(self, name, default=_ABSENT):
        """The module or criterion in field *name*."""
        raw = self._raw.get(name)
        if raw is None:
            return self.get(name, default)
        return self.reader.child(raw, f"its field {name}")

    def children(self, name="modules"):
        """The modules in the table *name*, in order."""
        raw = self._raw.get(name)
        if raw is None:
            return []
        if type(raw) is not Table:
            raise Unbuildable(f"its field {name} must be a table")
        items = sorted(((key, item) for key, item in raw.items if type(key) is float), key=lambda pair: pair[0])
        if [key for key, _ in items] != [float(i + 1) for i in range(len(items))]:
            raise Unbuildable(f"its field {name} must be a list of modules")
        return [self.reader.child(item, f"its field {name}") for _, item in items]

    def type(self):
        """nnmod's name of the type: ``_type``, or that of the tensors."""
        raw = self._raw.get("_type")
        found = element_type(raw.decode("latin-1")) if isinstance(raw, bytes) else None
        if found is None:
            values = list(self._raw.values())
            values += [item for value in values if type(value) is Table for _, item in value.items]
            tensors = (element_type(value.name) for value in values if isinstance(value, Tensor))
            found = next((kind for kind in tensors if kind[0].kind == "f"), None)
        return "cpu.float64" if found is not None and found[0] == np.float64 else "cpu.float32"

    def settle(self, module):
        """Give *module* what every module has: its type, its mode, the dtype of what it holds."""
        if not self.keep_type:
            module._type = self.type()
        train = self._raw.get("train")
        if isinstance(module, Module) and isinstance(train, bool):
            module.train = train
        dtype = tensor.dtype_of(module._type)
        for name in module._tensorNames():
            value = getattr(module, name, None)
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype != dtype:
                setattr(module, name, value.astype(dtype))

    def bind(self, module, names=None, field=None):
        """Put the file's tensors in the place of those of *module*: parameters, gradients, state."""
        shapes = module._shapes() if hasattr(module, "_shapes") else {}
        for name in (*module.paramNames, *module.stateNames) if names is None else names:
            present = getattr(module, name, None)
            if name not in self and present is None:
                continue
            array = self.tensor(field or name)
            wanted = present.shape if present is not None else shapes.get(name, array.shape)
            if array.shape != wanted:
                if array.size != int(np.prod(wanted)):
                    raise Unbuildable(f"its {name} must have sizes {wanted}, found {array.shape}")
                array = array.reshape(wanted)
            setattr(module, name, array)
            if name in module.paramNames:
                self.bind_gradient(module, name, array, gradient_name(field or name))

    def bind_gradient(self, module, name, array, field):
        """The gradient of parameter *name*: the file's if it fits, else zeros."""
        raw, grads = self._raw.get(field), self.reader.gradients
        gradient = None
        if isinstance(raw, Tensor) and raw.array.size == array.size:
            gradient = self.reader.array(raw)
            if gradient.shape != array.shape:
                gradient = gradient.reshape(array.shape)
            if gradient.dtype != array.dtype:
                gradient = gradient.astype(array.dtype)
        if gradient is None:
            if id(array) not in grads:
                grads[id(array)] = array, np.zeros(array.shape, array.dtype)
            gradient = grads[id(array)][1]
        setattr(module, gradient_name(name), gradient)


def position(value):
    """A dimension or index counted from 0: 1 becomes 0; what counts from the end stays."""
    if not check.is_int(value):
        raise Unbuildable(f"a dimension or an index must be a whole number, found {value!r}")
    return value - 1 if value > 0 else value


def _children(raw):
    """The objects that *raw*, a Torch, refers to and that are built before it is complete."""
    found = list(raw.before)
    if type(raw.content) is Table:
        found += [item for pair in raw.content.items for item in pair]
    else:
        found.append(raw.content)
    return [item for item in found if type(item) in _BUILT]


def _are_places(keys):
    """Whether *keys* are 1 .. n, in any order."""
    count = len(keys)
    if set(map(type, keys)) != _ONLY_FLOATS:
        return False
    places = _places(count)
    return keys == places or (min(keys) == 1 and set(keys) == set(places))


def _places(count):
    """1.0 .. count."""
    return _few_places(count) if count < 100 else tuple(map(float, range(1, count + 1)))


@functools.lru_cache(None)
def _few_places(count):
    return tuple(map(float, range(1, count + 1)))


def _shell(raw, reason):
    """What stands for an object that nnmod cannot build; its fields are filled in later."""
    keys = {key for key, _ in raw.content.items} if type(raw.content) is Table else set()
    version = raw.version
    if not keys & {b"_type", b"output", b"gradInput", b"train"} and not raw.name.startswith(("nn.", "cudnn.")):
        return Record(raw.name, version)
    if raw.name.endswith("Criterion"):
        return OpaqueCriterion(raw.name, version, reason=reason)
    opaque = Opaque(raw.name, version, reason=reason)
    train = dict(raw.content.items).get(b"train") if b"train" in keys else True
    opaque.train = train if isinstance(train, bool) else True
    return opaque

