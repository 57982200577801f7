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
import mmap
import os
import re

import numpy as np

NIL, NUMBER, STRING, TABLE, TORCH, BOOLEAN, FUNCTION_6, FUNCTION_7, FUNCTION_8 = range(9)

#: The element types by the first part of a class name; Cuda types are read as CPU types.
DTYPES = {"Double": np.dtype("f8"), "Float": np.dtype("f4"), "Half": np.dtype("f2"), "Long": np.dtype("i8"),
          "Int": np.dtype("i4"), "Short": np.dtype("i2"), "Char": np.dtype("i1"), "Byte": np.dtype("u1"),
          "Cuda": np.dtype("f4"), "CudaDouble": np.dtype("f8"), "CudaHalf": np.dtype("f2"),
          "CudaLong": np.dtype("i8"), "CudaInt": np.dtype("i4"), "CudaShort": np.dtype("i2"),
          "CudaChar": np.dtype("i1"), "CudaByte": np.dtype("u1")}
#: Classes that write another number of objects than one: the devices come before a GPU.
_WRITES = {"torch.Timer": 0, "nn.GPU": 2}
_TYPED = re.compile(r"torch\.(\w*?)(Tensor|Storage)\Z")


class T7Error(ValueError):
    """A .t7 file that is damaged, cut off or something else; ``position`` is in bytes."""

    def __init__(self, text, position=None):
        super().__init__(text if position is None else f"{text} (at byte {position})")
        self.position = position


class Table:
    """A Lua table as the file has it: ``items``, a list of (key, value) pairs in file order."""

    __slots__ = ("items",)

    def __init__(self):
        self.items = []


class Torch:
    """An object of a class that is no tensor: its name, its version and what the class wrote.

    ``content`` is the last object that it wrote, a Table for nearly every class, and
    ``before`` those that came first.
    """

    __slots__ = ("name", "version", "before", "content", "position")

    def __init__(self, name, version, position=None):
        self.name, self.version, self.position = name, version, position
        self.before, self.content = [], None


class Function:
    """A Lua function: bytecode, never executed, and its upvalues."""

    __slots__ = ("kind", "code", "upvalues")

    def __init__(self, kind, code):
        self.kind, self.code, self.upvalues = kind, code, None

    def __repr__(self):
        return f"Function({len(self.code)} bytes of Lua's, never run)"


class Storage:
    """A storage: ``data``, a 1-D array; ``name`` is the class that the file names."""

    __slots__ = ("name", "version", "data")

    def __init__(self, name, data=None, version=1):
        self.name, self.data, self.version = name, data, version


class Tensor:
    """A view of a storage: shape and strides in elements, offset from 0."""

    __slots__ = ("name", "version", "shape", "strides", "offset", "storage", "array")

    def __init__(self, name, version=1):
        self.name, self.version = name, version
        self.shape = self.strides = ()
        self.offset, self.storage, self.array = 0, None, None


def element_type(name):
    """(dtype, "Tensor" or "Storage") of a class name, or None for other classes.

    >>> element_type("torch.CudaTensor")
    (dtype('float32'), 'Tensor')
    """
    match = _TYPED.match(name)
    if match and match[1] in DTYPES:
        return DTYPES[match[1]], match[2]
    return None


# -- reading ------------------------------------------------------------------------

def read(buffer, copy=True):
    """The first object in *buffer*, as the classes above.

    buffer  bytes, or a memory map
    copy    False makes arrays views of the buffer where its byte order allows

    Raises T7Error with the position of what is wrong.
    """
    if len(buffer) == 0:
        raise T7Error("the file is empty", 0)
    text = _is_ascii(buffer)
    if text:
        return _Parser(_Ascii(buffer)).object()
    order = _byte_order(buffer)
    errors = []
    for long_size in (8, 4):
        source = _Binary(buffer, order, long_size, copy)
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


def read_file(file, map=False):
    """The first object in *file*, open for reading in binary; *map* leaves arrays in it."""
    if not map:
        return read(file.read())
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise T7Error("the file is empty", 0)
    return read(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY), copy=False)


def _is_ascii(buffer):
    """Whether the file starts with a kind as text: a digit and the end of the line."""
    head = bytes(buffer[:3])
    return re.match(rb"[0-8](\r?\n|\Z)", head) is not None


def _byte_order(buffer):
    """< or >: the kind of the first object is a small number in one of them."""
    head = bytes(buffer[:4])
    for order, name in (("<", "little"), (">", "big")):
        if len(head) == 4 and int.from_bytes(head, name) <= FUNCTION_8:
            return order
    raise T7Error(_what_it_is(bytes(buffer[:512])), 0)


#: How other files begin, and what to say of them.
_OTHERS = (
    (rb"version https://git-lfs", "this is a Git LFS pointer, not the file itself: fetch it with git lfs pull"),
    (rb"PK\x03\x04", "this is a zip archive: a PyTorch file (torch.load of PyTorch reads it), or a .npz"),
    (rb"\x80[\x02-\x05]", "this is a Python pickle, perhaps an old PyTorch file: PyTorch's torch.load reads it"),
    (rb"\x89HDF", "this is an HDF5 file: h5py reads it"),
    (rb"\x93NUMPY", "this is a .npy file: numpy.load reads it"),
    (rb"\x1f\x8b", "this is a gzip archive: unpack it first with gunzip"),
    (rb"BZh|\xfd7zXZ|7z\xbc|Rar!", "this is an archive: unpack it first"),
    (rb"\s*<(!DOCTYPE|html|\?xml)", "this is a web page, not a .t7 file: the download brought an answer in words"),
    (rb".{4}ustar|.{257}ustar", "this is a tar archive: unpack it first"),
    (rb"MATLAB", "this is a MATLAB file"),
)


def _what_it_is(head):
    for pattern, words in _OTHERS:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            return words
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return "this is a safetensors file: nnmod.load_checkpoint reads those that nnmod wrote"
    if not re.search(rb"[^\t\r\n -~]", head):
        return f"this is a text file, not a .t7 file; it begins {head[:40].decode()!r}"
    return ("this is not a .t7 file: it must begin with the kind of an object, a number from 0 to 8, "
            f"but begins with the bytes {head[:8].hex(' ')}")


class _Binary:
    """Numbers and strings from the binary form."""

    def __init__(self, buffer, order, long_size, copy):
        self.buffer, self.size, self.at = memoryview(buffer), len(buffer), 0
        self._name = "little" if order == "<" else "big"
        self._order, self._copy = order, copy
        self._long = long_size
        self._double = np.dtype(order + "f8")

    def _take(self, count, what):
        start = self.at
        if count > self.size - start:
            raise T7Error(f"the file ends where {what} of {count} bytes must stand, "
                          f"{self.size - start} are left: it is cut off or damaged", start)
        self.at = start + count
        return self.buffer[start:self.at]

    def integer(self, what):
        return int.from_bytes(self._take(4, what), self._name, signed=True)

    def number(self):
        return float(np.frombuffer(self._take(8, "a number"), self._double)[0])

    def longs(self, count, what):
        data = self._take(self._long * count, what)
        return [int.from_bytes(data[i:i + self._long], self._name, signed=True)
                for i in range(0, len(data), self._long)]

    def text(self, what):
        start, size = self.at, self.integer(f"the length of {what}")
        if size < 0:
            raise T7Error(f"the length of {what} is {size}", start)
        return bytes(self._take(size, what))

    def elements(self, dtype, count, what):
        size = dtype.itemsize
        if dtype.kind == "i" and dtype.itemsize == 8:
            size = self._long
        start = self.at
        if count > (self.size - start) // size:
            raise T7Error(f"{what} says that it has {count} elements of {size} bytes, "
                          f"but {self.size - start} bytes are left", start)
        data = np.frombuffer(self._take(size * count, what), np.dtype(f"{self._order}{dtype.kind}{size}"))
        native = data.dtype.isnative and data.dtype == dtype
        return data if native and not self._copy else data.astype(dtype)

    def left(self):
        return self.size - self.at


class _Ascii:
    """The same from text: numbers apart by white space, strings by their length."""

    def __init__(self, buffer):
        self.buffer, self.size, self.at = bytes(buffer), len(buffer), 0

    def _line(self, what):
        end = self.buffer.find(b"\n", self.at)
        if end < 0:
            raise T7Error(f"the file ends where {what} must stand: it is cut off or damaged", self.at)
        start, self.at = self.at, end + 1
        return start, self.buffer[start:end]

    def _numbers(self, convert, count, what):
        start, line = self._line(what)
        words = line.split()
        if len(words) != count:
            raise T7Error(f"{what}: {count} numbers must stand in the line, found {len(words)}", start)
        try:
            return [convert(word) for word in words]
        except ValueError:
            raise T7Error(f"{what} must be a number, found {line[:40]!r}", start) from None

    def integer(self, what):
        return self._numbers(int, 1, what)[0]

    def number(self):
        return self._numbers(float, 1, "a number")[0]

    def longs(self, count, what):
        return self._numbers(int, count, what) if count else self._empty()

    def _empty(self):
        # What has no numbers has a line of its own all the same, in some files.
        if self.buffer[self.at:self.at + 1] == b"\n":
            self.at += 1
        return []

    def text(self, what):
        start, size = self.at, self.integer(f"the length of {what}")
        if not 0 <= size <= self.size - self.at:
            raise T7Error(f"the length of {what} is {size}, but {max(0, self.size - self.at)} bytes are left", start)
        value = self.buffer[self.at:self.at + size]
        self.at += size
        if self.buffer[self.at:self.at + 1] == b"\n":
            self.at += 1
        return value

    def elements(self, dtype, count, what):
        if count == 0:
            self._empty()
            return np.empty(0, dtype)
        start = self.at
        if dtype.itemsize == 1:  # bytes stand as they are
            if count > self.size - start:
                raise T7Error(f"{what} says that it has {count} elements, but {self.size - start} bytes are left",
                              start)
            self.at += count + 1
            return np.frombuffer(self.buffer, dtype, count, start).copy()
        if 2 * count - 1 > self.size - start:
            raise T7Error(f"{what} says that it has {count} elements, but {self.size - start} bytes are left", start)
        start, line = self._line(what)
        kind = np.int64 if dtype.kind == "i" else np.float64
        words = line.split()
        if len(words) != count:
            raise T7Error(f"{what}: {count} numbers must stand in the line, found {len(words)}", start)
        try:
            with np.errstate(all="ignore"):  # what is too large becomes infinite, as in Torch
                return np.array(words).astype(kind).astype(dtype)
        except (ValueError, OverflowError):
            raise T7Error(f"{what}: the line holds something else than numbers", start) from None

    def left(self):
        return max(0, self.size - self.at)


class _Parser:
    """Objects from a source of numbers, without recursion: files nest as deep as they like."""

    def __init__(self, source):
        self.source = source
        self._known = {}

    def object(self):
        """The next object, whole."""
        waiting = []  # objects that are not complete, the innermost last: generators that take children
        value, pending = self._start()
        while True:
            if pending is not None:
                waiting.append(pending)
                step = None
            else:
                step = (value,)
            # Hand a finished value to whoever waits for it, as long as that finishes another one.
            while True:
                if not waiting:
                    return step[0]
                try:
                    if step is None:
                        next(waiting[-1])
                    else:
                        waiting[-1].send(step[0])
                    break
                except StopIteration as end:
                    waiting.pop()
                    step = (end.value,)
            value, pending = self._start()

    def _start(self):
        """Read the head of an object: (value, None) if that is all, else (None, a generator)."""
        source, position = self.source, self.source.at
        kind = source.integer("the kind of an object")
        if kind == NUMBER:
            return source.number(), None
        if kind == STRING:
            return source.text("a string"), None
        if kind == NIL:
            return None, None
        if kind == BOOLEAN:
            return source.integer("a boolean") != 0, None
        if kind == FUNCTION_6:
            function = Function(kind, source.text("the code of a function"))
            return None, self._function(function)
        if kind not in (TABLE, TORCH, FUNCTION_7, FUNCTION_8):
            raise T7Error(f"the kind of an object must be a number from 0 to 8, found {kind}: "
                          "the file is damaged, or was written by something else than Torch7", position)
        index = source.integer("the index of an object")
        if index in self._known:
            return self._known[index], None
        if kind == TABLE:
            table = self._known[index] = Table()
            position = source.at
            count = source.integer("the number of pairs of a table")
            # A pair takes at least two kinds: 2 bytes each as text, 4 in binary.
            if not 0 <= count <= source.left() // 4 + 1:
                raise T7Error(f"a table says that it has {count} pairs, but {source.left()} bytes are left",
                              position)
            return (None, self._table(table, count, source)) if count else (table, None)
        if kind != TORCH:
            function = self._known[index] = Function(kind, source.text("the code of a function"))
            return None, self._function(function)
        return self._torch(index)

    @staticmethod
    def _table(table, count, source):
        for _ in range(count):
            at = source.at
            key = yield
            value = yield
            if key is None or value is None:  # Lua's tables hold no nil, and Torch writes none
                raise T7Error("a table holds nil, which no table can: the file is damaged", at)
            table.items.append((key, value))
        return table

    @staticmethod
    def _function(function):
        function.upvalues = yield
        return function

    def _torch(self, index):
        source, position = self.source, self.source.at
        name = source.text("a version or the name of a class")
        version = 0
        match = re.fullmatch(rb"V (\d{1,9})", name)
        if match:
            version, name = int(match[1]), source.text("the name of a class")
        try:
            name = name.decode("ascii")
        except UnicodeDecodeError:
            raise T7Error(f"the name of a class must be text, found {name[:40]!r}", position) from None
        typed = element_type(name)
        if typed is None:
            thing = self._known[index] = Torch(name, version, position)
            count = _WRITES.get(name, 1)
            return (None, self._content(thing, count)) if count else (thing, None)
        dtype, form = typed
        if form == "Storage":
            storage = self._known[index] = Storage(name, version=version)
            at = source.at
            count, = source.longs(1, f"the size of a {name}")
            if count < 0:
                raise T7Error(f"the size of a {name} is {count}", at)
            storage.data = source.elements(dtype, count, f"a {name}")
            return storage, None
        tensor = self._known[index] = Tensor(name, version)
        at = source.at
        ndim = source.integer(f"the number of dimensions of a {name}")
        if not 0 <= ndim <= 32:
            raise T7Error(f"a {name} says that it has {ndim} dimensions", at)
        sizes = source.longs(ndim, f"the sizes of a {name}")
        strides = source.longs(ndim, f"the strides of a {name}")
        offset, = source.longs(1, f"the offset of a {name}")
        tensor.shape, tensor.strides, tensor.offset = tuple(sizes), tuple(strides), offset - 1
        return None, self._tensor(tensor, dtype, at)

    @staticmethod
    def _content(thing, count):
        for _ in range(count - 1):
            thing.before.append((yield))
        thing.content = yield
        return thing

    @staticmethod
    def _tensor(tensor, dtype, position):
        storage = yield
        tensor.storage = storage
        if storage is not None and not isinstance(storage, Storage):
            raise T7Error(f"a {tensor.name} must hold a storage, found {type(storage).__name__}", position)
        tensor.array = view(tensor, dtype, position)
        return tensor


def view(tensor, dtype, position=None, data=None):
    """The elements of *tensor* as an array, a view of its storage; checked against its bounds.

    *data* stands for the elements of the storage, if given.
    """
    shape, strides = tensor.shape, tensor.strides
    if not shape or 0 in shape:
        if any(n < 0 for n in shape):
            raise T7Error(f"a {tensor.name} has sizes {shape}", position)
        # Torch's tensor of no dimensions has no elements.
        return _array(tensor, shape or (0,), dtype, None, 0, None, position)
    if data is None and tensor.storage is not None:
        data = tensor.storage.data
    count = 0 if data is None else data.size
    last = tensor.offset + sum((n - 1) * s for n, s in zip(shape, strides))
    lowest = tensor.offset + sum(min(0, (n - 1) * s) for n, s in zip(shape, strides))
    if min(shape) < 0 or min(strides) < 0 or lowest < 0 or last >= count:
        raise T7Error(f"a {tensor.name} of sizes {shape}, strides {strides} and offset {tensor.offset + 1} "
                      f"does not fit into its storage of {count} elements", position)
    total = 1
    for n in shape:
        total *= n
    if total > max(count, 1) * 1_000_000:
        raise T7Error(f"a {tensor.name} of sizes {shape} repeats a storage of {count} elements too often", position)
    if data.dtype != dtype:
        raise T7Error(f"a {tensor.name} lies in a {tensor.storage.name}", position)
    steps = [s * dtype.itemsize for s in strides]
    return _array(tensor, shape, dtype, data, tensor.offset * dtype.itemsize, steps, position)


def _array(tensor, shape, dtype, data, offset, steps, position):
    try:
        return np.ndarray(shape, dtype, data, offset, steps)
    except (ValueError, OverflowError, MemoryError) as error:
        raise T7Error(f"a {tensor.name} of sizes {shape} and strides {tensor.strides} cannot be: {error}",
                      position) from None


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
        if value.version:
            self._text(b"V %d" % value.version)
        self._text(value.name.encode("ascii"))
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
