"""From Python's values and nnmod's modules to the raw objects of a .t7 file, without recursion."""
import numpy as np

from .. import tensor
from ..confusion import ConfusionMatrix
from ..criterion import Criterion
from ..decorator import GPU, WeightNorm
from ..graph import gModule
from ..module import Module
from ..stateful import Stateful
from .t7_criterion import CONFUSION
from .t7_format import Function, Storage, Table, Tensor, Torch
from .t7_graph import Graph
from .t7_modules import WRITERS
from .t7_objects import Key, Opaque, OpaqueCriterion, Record
from .t7_scratch import SCRATCH, VERSIONS
from .t7_special import torch_type

_NAMES = {"float64": "Double", "float32": "Float", "float16": "Half", "int64": "Long", "int32": "Int",
          "int16": "Short", "int8": "Char", "uint8": "Byte"}
_HOLDS = ("a .t7 file holds numbers, strings, booleans, arrays, lists, dicts, modules and criterions")
_LAYOUTS = {**WRITERS, gModule: Graph()}


def to_raw(value, buffers=False):
    """*value* as a raw object of t7_format; *buffers* keeps what the modules computed last."""
    return _Writer(buffers).whole(value)


class _Writer:
    """Raw objects of values, each made once: what is shared is shared in the file."""

    def __init__(self, buffers):
        self._buffers = buffers
        self._known = {}    # id of a value -> (raw, value); the value is kept, so that its id stays its own
        self._waiting = []  # (method, value, raw, where): raw objects to fill
        self._tensors = []  # (Tensor, array) whose storage is found at the end
        self._bare = set()  # ids of modules whose weight is made by a WeightNorm

    def whole(self, value):
        raw = self.raw(value, (None, "the value"))
        while self._waiting:
            method, value, unfilled, where = self._waiting.pop()
            method(value, unfilled, where)
        self._lay_out()
        return raw

    def raw(self, value, where):
        """The raw object for *value*, which may be filled later; *where* is its place, for errors: see _words."""
        kind = type(value)
        if value is None or kind in (bool, bytes, Storage, Tensor):
            return value
        if kind is float:
            return value
        if kind is int:
            if abs(value) > 2**53:
                raise ValueError(f"{_words(where)} is {value}, but Lua's numbers are whole up to 2**53 only")
            return float(value)
        if kind is str:
            return value.encode()
        if id(value) in self._known:
            return self._known[id(value)][0]
        written = value
        if isinstance(value, Stateful):
            written = (value.clone().cpu() if value.type().startswith("cuda.") else value).forFile()
        elif tensor.is_tensor(value):
            written = tensor.host(value)
        made = self._made(written, where)
        if written is not value:
            self._known[id(value)] = made, value
        if made is None:
            raise TypeError(f"{_words(where)} is of type {kind.__name__}, but {_HOLDS}")
        return made

    def _made(self, value, where):
        if isinstance(value, np.ndarray):
            return self._tensor(value, where)
        if isinstance(value, np.generic):
            return self.raw(value.item(), where) if value.dtype.kind in "fiub" else None
        if isinstance(value, (list, tuple)):
            return self._later(self._list, value, Table(), where)
        if isinstance(value, dict):
            return self._later(self._dict, value, Table(), where)
        if isinstance(value, Table):
            return self._later(self._table, value, value, where)
        if isinstance(value, (Torch, Function)):
            return self._later(self._object, value, value, where)
        if isinstance(value, (Opaque, OpaqueCriterion, Record)):
            return self._later(self._record, value, Torch(value.className, value.version), where)
        if isinstance(value, ConfusionMatrix):
            return self._later(self._confusion, value, Torch(CONFUSION.name, 1), where)
        if isinstance(value, Stateful):
            return self._later(self._module, value, Torch(self._class_of(value, where), 1), where)
        return None

    def _later(self, method, value, raw, where):
        self._known[id(value)] = raw, value
        self._waiting.append((method, value, raw, where))
        return raw

    # -- tables -----------------------------------------------------------------------

    def _list(self, values, table, where):
        index = next((i for i, v in enumerate(values) if v is None), None)
        if index is not None:
            raise TypeError(f"{_words(where)}[{index}] is None, which a Lua table cannot hold")
        table.items += [(float(i + 1), self.raw(v, (where, f"[{i}]"))) for i, v in enumerate(values)]

    def _dict(self, values, table, where):
        for key, value in values.items():
            place = where, f"[{key!r}]"
            if value is None or key is None:
                raise TypeError(f"{_words(place)} is None, which a Lua table cannot hold")
            if isinstance(key, tuple):
                raise TypeError(f"{_words(where)} has the key {key!r}, but the keys of a Lua table are numbers, "
                                "strings and booleans, or any value as a Key")
            table.items.append((self._key(key, place), self.raw(value, place)))

    def _key(self, key, place):
        return self.raw(key.value if isinstance(key, Key) else key, place)

    def _table(self, table, _, where):
        table.items[:] = [(self.raw(key, where), self.raw(value, where)) for key, value in table.items]

    def _object(self, thing, _, where):
        if isinstance(thing, Function):
            thing.upvalues = self.raw(thing.upvalues, where)
            return
        thing.before[:] = [self.raw(item, where) for item in thing.before]
        thing.content = self.raw(thing.content, where)

    def _record(self, value, thing, where):
        thing.before += [self.raw(item, where) for item in value.before]
        if value.className == "torch.Timer":
            return  # it writes nothing
        if not isinstance(value.fields, (dict, list)):
            thing.content = self.raw(value.fields, where)
            return
        thing.content = Table()
        pairs = value.fields.items() if isinstance(value.fields, dict) else (
            (i + 1, item) for i, item in enumerate(value.fields))
        thing.content.items += [(self._key(key, where), self.raw(item, (where, f".{key}"))) for key, item in pairs]

    # -- modules ----------------------------------------------------------------------

    def _class_of(self, module, where):
        layout = _LAYOUTS.get(type(module))
        if layout is None:
            raise TypeError(f"{_words(where)} is a {type(module).__name__}, which has no form in Torch7's files; "
                            "save_checkpoint writes any module")
        if isinstance(module, Module) and not module.sizesKnown:
            raise TypeError(f"{_words(where)}: {module!r} does not know its sizes yet: run forward once")
        return layout.name if getattr(module, "groups", 1) == 1 else layout.name.replace("nn.", "cudnn.")

    def _module(self, module, thing, where):
        if isinstance(module, WeightNorm):
            self._bare.add(id(module.modules[0]))
        out = {}
        _LAYOUTS[type(module)].write(module, out)
        if id(module) in self._bare:
            out.pop("weight", None)
        dtype = np.dtype(module._type.partition(".")[2])
        out = {**self._usual(module, thing.name, dtype), **out}
        if self._buffers:
            out.update({name: value for name in ("output", "gradInput")
                        if (value := getattr(module, name)) is not None})
        thing.version = VERSIONS.get(thing.name, 1)
        if isinstance(module, GPU):
            thing.before.append(self.raw([torch_type(module._type), module.device + 1], where))
        thing.content = Table()
        thing.content.items += [(name.encode(), self.raw(value, (where, f".{name}")))
                                for name, value in out.items() if value is not None]

    def _usual(self, module, name, dtype):
        """What Torch's class has beside what its constructor was told: buffers, empty as it makes them."""
        out = {}
        if isinstance(module, Module):
            out.update(_type=torch_type(module._type), train=module.train, output=np.empty(0, dtype))
        elif isinstance(module, Criterion):
            out["output"] = 0
        out["gradInput"] = np.empty(0, dtype)
        for field, kind in SCRATCH.get(name.replace("cudnn.", "nn."), {}).items():
            out[field] = kind(module) if callable(kind) else _fresh(kind, dtype)
        return out

    def _confusion(self, value, thing, where):
        out = {}
        CONFUSION.write(value, out)
        thing.content = Table()
        thing.content.items += [(name.encode(), self.raw(item, (where, f".{name}"))) for name, item in out.items()]

    # -- tensors ----------------------------------------------------------------------

    def _tensor(self, array, where):
        if array.dtype == bool:
            used = array.astype(np.uint8)
        elif array.dtype.name not in _NAMES:
            raise TypeError(f"{_words(where)} is an array of {array.dtype.name}, but Torch has tensors of "
                            f"{', '.join(_NAMES)} only")
        elif not array.dtype.isnative:
            used = array.astype(array.dtype.newbyteorder("="))
        else:
            used = array
        if array.ndim == 0:
            return self.raw(used.item(), where)
        raw = Tensor(f"torch.{_NAMES[used.dtype.name]}Tensor")
        self._known[id(array)] = raw, (array, used)
        if used.size:
            self._tensors.append((raw, used))
        elif array.ndim > 1:
            raw.shape, raw.strides = array.shape, (1,) * array.ndim
        return raw

    def _lay_out(self):
        """Give every tensor its storage: arrays that overlap in memory get one together."""
        owners = {}
        for raw, array in self._tensors:
            owner = _owner(array)
            if owner is None:
                array = np.array(array, order="C")
                owner = array
            owners.setdefault(id(owner), (owner, []))[1].append((raw, array))
        for owner, members in owners.values():
            for group in _overlapping(owner, members):
                first = min(start for start, _, _, _ in group)
                last = max(end for _, end, _, _ in group)
                name = group[0][2].name.replace("Tensor", "Storage")
                storage = Storage(name, owner.reshape(-1)[first:last])
                for start, _, raw, array in group:
                    raw.shape, raw.storage, raw.offset = array.shape, storage, start - first
                    raw.strides = tuple(s // array.itemsize for s in array.strides)


def _words(where):
    """A place, kept as its container's place and the last step, as text."""
    steps = []
    while where is not None:
        where, step = where
        steps.append(step)
    text = "".join(reversed(steps))
    return text if len(text) <= 300 else f"{text[:140]} ... {text[-140:]}"


def _fresh(kind, dtype):
    """A buffer as Torch's constructors make it."""
    if kind == "tensor":
        return np.empty(0, dtype)
    if isinstance(kind, str) and kind in _NAMES:
        return np.empty(0, kind)
    if kind == "sizes":
        return Storage("torch.LongStorage", np.empty(0, np.int64))
    if isinstance(kind, (list, tuple)):
        return [_fresh(item, dtype) for item in kind]
    return kind


def _owner(array):
    """The array in one piece whose memory *array* is a view of, or None."""
    if any(s < 0 or s % array.itemsize for s in array.strides):
        return None
    owner = array
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    fits = owner.dtype == array.dtype and owner.flags.c_contiguous
    if not fits or (_address(array) - _address(owner)) % array.itemsize:
        return None
    return owner


def _overlapping(owner, members):
    """Groups of (first, last, raw, array), in elements of *owner*; those of one group overlap."""
    spans = []
    for raw, array in members:
        start = (_address(array) - _address(owner)) // owner.itemsize
        length = 1 + sum((n - 1) * (s // array.itemsize) for n, s in zip(array.shape, array.strides))
        spans.append((start, start + length, raw, array))
    spans.sort(key=lambda span: span[:2])
    group, reach = [], 0
    for span in spans:
        if group and span[0] >= reach:
            yield group
            group = []
        group.append(span)
        reach = max(reach, span[1]) if len(group) > 1 else span[1]
    if group:
        yield group


def _address(array):
    return array.__array_interface__["data"][0]
