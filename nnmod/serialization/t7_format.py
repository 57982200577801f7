"""The .t7 format of Torch7, read and written as it stands: numbers, strings, tables, objects.

No meaning is given to classes here (t7.py does that), and nothing in a file is ever
executed: a function stays the bytes it was.  A reader of files from strangers must not
trust a single number in them, so every size is compared with what is left of the file
before anything is allocated, and every view of a tensor with its storage.

A file is a sequence of objects.  An object starts with its kind, an int32:

    0 nil     nothing follows
    1 number  float64
    2 string  its length, int32, and bytes
    3 table   its index; the first time, how many pairs of objects follow, and they do
    4 torch   its index; the first time, a version string "V n" (absent in the oldest
              files), the name of the class, and what the class wrote
    5 boolean int32, 0 or 1
    6, 7, 8   function, in three encodings: an index (not in 6); the first time bytecode,
              as a string, and its upvalues, an object

A tensor wrote its number of dimensions (int32), sizes, strides and the offset of its first
element, counted from 1 (all long), and its storage, an object; a storage its size (long)
and elements; every other class a table.  A long has 8 bytes, or 4 in files written on
Windows and on 32-bit machines; the byte order is the writer's.  The ASCII form has the
same numbers as text.
"""
import functools
import io
import mmap
import re

import numpy as np

from .t7_raw import DTYPES as DTYPES
from .t7_raw import CUT_OFF, Function, Storage, T7Error, Table, Tensor, Torch, element_type, view
from .t7_sources import Ascii, Binary, File, byte_order, is_ascii

NIL, NUMBER, STRING, TABLE, TORCH, BOOLEAN, FUNCTION_6, FUNCTION_7, FUNCTION_8 = range(9)

#: Classes that write another number of objects than one: the devices come before a GPU.
_WRITES = {"torch.Timer": 0, "nn.GPU": 2}
#: Containers of the package tds: how many objects each entry has, after a count of entries.
COUNTED = {"tds.Hash": 2, "tds_hash": 2, "tds.Vec": 1, "tds_vec": 1}
_VERSION = re.compile(rb"V (\d{1,9})")
#: What no object is.
_NONE = object()
#: Lua's tables hold no nil, and Torch writes none.
_HOLDS_NIL = "a table holds nil, which no table can: the file is damaged"


# -- reading ------------------------------------------------------------------------

def read(data, copy=True):
    """The first object in *data*, as the classes of t7_raw.py.

    data  bytes, a memory map, or a binary file object
    copy  False makes arrays views of a memory map where its byte order allows

    Raises T7Error with the position of what is wrong.
    """
    if hasattr(data, "read") and not isinstance(data, mmap.mmap):
        data = File.of(data)
    file = isinstance(data, File)
    size = data.size if file else len(data)
    if size == 0:
        raise T7Error("the file is empty", 0)
    head = data.read(512) if file else bytes(data[:512])
    if is_ascii(head):
        if file:
            data.seek(0)
            data = data.read(size)
        return _Parser(Ascii(data)).object()
    order = byte_order(head, size)
    errors = []
    for long_size in (8, 4):
        source = Binary(data, order, long_size, copy)
        parser = _Parser(source)
        try:
            value = parser.object()
            # Longs of 4 bytes are believed only if they explain the file to its end: one that
            # is cut off must not become another value.
            while long_size == 4 and source.left():
                at = source.at
                if parser.object() is None:
                    raise T7Error("nothing, or zeros, follow the first object", at)
            return value
        except T7Error as error:
            errors.append((source.at, error))
    # Sizes that make no sense are met at once; the reading that came further is the right one.
    raise max(errors, key=lambda pair: pair[0])[1] from None


def read_map(file):
    """The first object in *file*, whose arrays stay in it and are read as they are used.

    Writing to them changes copies of the pages, never the file.  OSError for what has no
    place on a disk, such as a pipe.
    """
    try:
        start, size = file.tell(), file.seek(0, io.SEEK_END)
        number = file.fileno()
    except AttributeError:
        raise TypeError(f"mmap needs a file on a disk, got {type(file).__name__}") from None
    if size <= start:
        raise T7Error("the file is empty", 0)
    whole = memoryview(mmap.mmap(number, size, access=mmap.ACCESS_COPY))
    return read(whole[start:], copy=False)


class _Parser:
    """Objects from a source of numbers, without recursion: files nest as deep as they like.

    ``_head`` reads the head of an object.  What is not complete with it is a generator, which
    yields other such generators and is given what they return; a stack holds those in progress.
    """

    def __init__(self, source):
        self.source = source
        self._known = {}

    def object(self):
        """The next object, whole."""
        value, rest = self._head()
        if rest is None:
            return value
        waiting, value = [rest], None
        while waiting:
            try:
                rest = waiting[-1].send(value)
            except StopIteration as end:
                waiting.pop()
                value = end.value
            else:
                waiting.append(rest)
                value = None
        return value

    def _head(self):
        """(value, None) for an object that is complete, else (None, a generator)."""
        source = self.source
        position = source.at
        kind = source.integer("the kind of an object")
        if kind == NUMBER:
            return source.number(), None
        if kind == STRING:
            return source.text("a string"), None
        if kind == NIL:
            return None, None
        if kind == BOOLEAN:
            return source.integer("a boolean") == 1, None
        if kind == FUNCTION_6:
            return None, self._function(Function(kind, source.text("the code of a function")))
        if kind not in (TABLE, TORCH, FUNCTION_7, FUNCTION_8):
            raise T7Error(f"the kind of an object must be a number from 0 to 8, found {kind}: the file is damaged, "
                          "or was written by something else than Torch7", position)
        index = source.integer("the index of an object")
        if index in self._known:
            return self._known[index], None
        if kind == TORCH:
            return self._torch(index)
        if kind != TABLE:
            function = self._known[index] = Function(kind, source.text("the code of a function"))
            return None, self._function(function)
        table = self._known[index] = Table()
        position = source.at
        count = source.integer("the number of pairs of a table")
        # A pair takes at least two kinds: 2 bytes each as text, 4 in binary.
        if not 0 <= count <= source.left() // 4 + 1:
            raise T7Error(f"a table says that it has {count} pairs, but {source.left()} bytes are left: "
                          f"the file is {CUT_OFF}", position)
        pairs = self._tables if isinstance(source, Binary) else self._table
        return (None, pairs(table, count)) if count else (table, None)

    def _tables(self, table, count):
        """_table for the binary form: what stands in its window, tables in tables too, takes no calls."""
        source, known, above = self.source, self._known, []
        items, left, key = table.items, count, _NONE
        window, at, end, two, one, double = source.ready()
        while True:
            value = _NONE
            if at + 12 <= end:
                kind, number = two(window, at)
                if kind == STRING:
                    start = at + 8
                    if 0 <= number <= end - start:
                        at = start + number
                        value = bytes(window[start:at])
                elif kind == NUMBER:
                    value, = double(window, at + 4)
                    at += 12
                elif kind == BOOLEAN:
                    value = number == 1
                    at += 8
                elif kind == TABLE:
                    value = known.get(number, _NONE)
                    if value is not _NONE:
                        at += 8
                    else:
                        count, = one(window, at + 8)
                        if 0 <= count <= (end - at) // 8:  # else it goes beyond the window, or is damaged
                            value = known[number] = Table()
                            at += 12
                            if count:
                                above.append((table, left, key))
                                table, left, key = value, count, _NONE
                                items = value.items
                                continue
            if value is _NONE:
                source.skip(at)
                value, rest = self._head()
                if rest is not None:
                    value = yield rest
                window, at, end, *_ = source.ready()
            while True:
                if value is None:
                    source.skip(at)
                    raise T7Error(_HOLDS_NIL, source.at)
                if key is _NONE:
                    key = value
                    break
                items.append((key, value))
                key, left = _NONE, left - 1
                if left:
                    break
                value = table
                if not above:
                    source.skip(at)
                    return value
                table, left, key = above.pop()
                items = table.items

    def _table(self, table, count):
        head, items = self._head, table.items
        for _ in range(count):
            key, rest = head()
            if rest is not None:
                key = yield rest
            value, rest = head()
            if rest is not None:
                value = yield rest
            if key is None or value is None:
                raise T7Error(_HOLDS_NIL, self.source.at)
            items.append((key, value))
        return table

    def _function(self, function):
        value, rest = self._head()
        function.upvalues = value if rest is None else (yield rest)
        return function

    def _torch(self, index):
        source, position = self.source, self.source.at
        name = source.text("a version or the name of a class")
        version = _version(name)
        if version is None:
            version = 0
        else:
            name = source.text("the name of a class")
        try:
            name = _text(name)
        except UnicodeDecodeError:
            raise T7Error(f"the name of a class must be text, found {name[:40]!r}", position) from None
        typed = element_type(name)
        if typed is None:
            thing = self._known[index] = Torch(name, version, position)
            if name in COUNTED:
                return None, self._counted(thing, COUNTED[name])
            count = _WRITES.get(name, 1)
            return (None, self._content(thing, count)) if count else (thing, None)
        dtype, form = typed
        if form == "Storage":
            storage = self._known[index] = Storage(name, version=version)
            position = source.at
            count, = source.longs(1, "the size of a storage")
            if count < 0:
                raise T7Error(f"the size of a {name} is {count}", position)
            storage.data = source.elements(dtype, count, f"a {name}")
            return storage, None
        tensor = self._known[index] = Tensor(name, version)
        position = source.at
        ndim = source.integer("the number of dimensions of a tensor")
        if not 0 <= ndim <= 32:
            raise T7Error(f"a {name} says that it has {ndim} dimensions", position)
        tensor.shape, tensor.strides, offset = source.geometry(ndim)
        tensor.offset = offset - 1
        return None, self._tensor(tensor, dtype, position)

    def _content(self, thing, count):
        values = []
        for _ in range(count):
            value, rest = self._head()
            values.append(value if rest is None else (yield rest))
        *thing.before, thing.content = values
        return thing

    def _counted(self, thing, width):
        source, position = self.source, self.source.at
        count, = source.longs(1, "the number of entries")
        if not 0 <= count <= source.left() // 2:
            raise T7Error(f"a {thing.name} says that it has {count} entries, but {source.left()} bytes are left: "
                          f"the file is {CUT_OFF}", position)
        thing.content = Table()
        for number in range(1, count + 1):
            entry = [] if width == 2 else [float(number)]
            while len(entry) < 2:
                value, rest = self._head()
                entry.append(value if rest is None else (yield rest))
            if entry[0] is None:
                raise T7Error("a key of a tds.Hash is nil: the file is damaged", source.at)
            thing.content.items.append(tuple(entry))
        return thing

    def _tensor(self, tensor, dtype, position):
        storage, rest = self._head()
        if rest is not None:
            storage = yield rest
        tensor.storage = storage
        if storage is not None and not isinstance(storage, Storage):
            raise T7Error(f"a {tensor.name} must hold a storage, found {type(storage).__name__}", position)
        if storage is not None and storage.data is None:
            raise T7Error(f"a {tensor.name} holds a storage that is not complete", position)
        tensor.array = view(tensor, dtype, position)
        return tensor


@functools.lru_cache(64)
def _version(text):
    """The number in "V n", None for other text."""
    match = _VERSION.fullmatch(text)
    return None if match is None else int(match[1])


@functools.lru_cache(256)
def _text(name):
    return name.decode("ascii")


# -- writing ------------------------------------------------------------------------

class Writer:
    """Write objects of this module (and numbers, bytes, booleans, None) to a binary file object.

    file   what ``open(path, "wb")`` returns
    ascii  write the text form
    """

    def __init__(self, file, ascii=False):
        self._file, self._ascii = file, ascii
        self._known = {}

    def object(self, value):
        """Write *value* with all it refers to, without recursion."""
        stack = [iter((value,))]
        while stack:
            for child in stack[-1]:
                following = self._start(child)
                if following is not None:
                    stack.append(following)
                    break
            else:
                stack.pop()

    def _start(self, value):
        """Write the head of *value*; returns an iterator over what follows it, or None."""
        if value is None:
            return self._integers(NIL)
        if isinstance(value, (bool, np.bool_)):
            return self._integers(BOOLEAN, int(value))
        if isinstance(value, (int, float, np.integer, np.floating)):
            self._integers(NUMBER)
            return self._elements(np.array([value], np.float64))
        if isinstance(value, bytes):
            self._integers(STRING)
            return self._text(value)
        if isinstance(value, Function) and value.kind == FUNCTION_6:
            self._integers(FUNCTION_6)
            self._text(value.code)
            return iter((value.upvalues,))
        kind = {Table: TABLE, Function: getattr(value, "kind", 0)}.get(type(value), TORCH)
        self._integers(kind)
        new = id(value) not in self._known
        if new:
            # The value is kept too, so that its id stays its own.
            self._known[id(value)] = len(self._known) + 1, value
        self._integers(self._known[id(value)][0])
        if not new:
            return None
        if isinstance(value, Table):
            self._integers(len(value.items))
            return (item for pair in value.items for item in pair)
        if isinstance(value, Function):
            self._text(value.code)
            return iter((value.upvalues,))
        if value.version or value.name in COUNTED:  # the version of those is 0
            self._text(b"V %d" % value.version)
        self._text(value.name.encode("ascii"))
        if value.name in COUNTED:
            items = value.content.items
            self._longs(len(items))
            return (item for pair in items for item in pair[2 - COUNTED[value.name]:])
        if isinstance(value, Torch):
            return iter((*value.before, value.content) if _WRITES.get(value.name, 1) else ())
        if isinstance(value, Storage):
            self._longs(value.data.size)
            return self._elements(value.data)
        self._integers(len(value.shape))
        self._longs(*value.shape)
        self._longs(*value.strides)
        self._longs(value.offset + 1)
        return iter((value.storage,))

    def _integers(self, *values):
        for value in values:
            self._file.write(b"%d\n" % value if self._ascii else int(value).to_bytes(4, "little", signed=True))

    def _longs(self, *values):
        if self._ascii:
            if values:
                self._file.write(b" ".join(b"%d" % v for v in values) + b"\n")
        else:
            self._file.write(np.array(values, "<i8").tobytes())

    def _text(self, value):
        self._integers(len(value))
        self._file.write(value + b"\n" if self._ascii else value)

    def _elements(self, data):
        if not self._ascii:
            little = data.astype(data.dtype.newbyteorder("<"), copy=False)
            self._file.write(memoryview(np.ascontiguousarray(little)).cast("B") if data.size else b"")
        elif data.dtype.itemsize == 1:
            self._file.write(data.tobytes() + b"\n")
        else:
            digits = {8: "%.17g", 4: "%.9g", 2: "%.5g"}[data.dtype.itemsize] if data.dtype.kind == "f" else "%d"
            words = [digits % v for v in data.tolist()]
            for index in np.flatnonzero(np.isnan(data) & np.signbit(data)) if data.dtype.kind == "f" else ():
                words[index] = "-nan"
            self._file.write(" ".join(words).encode() + b"\n")
        return None
