"""Where the numbers of a .t7 file come from: its binary form, its text form, and what is neither.

A source gives integers, numbers, longs, text and the elements of a storage in the order of the
file.  It trusts no number in it: every size is compared with what is left before anything is
allocated.  A file is read through a small window, and the elements of a large storage go straight
into their array, so that a file takes no more memory than what it holds.
"""
import codecs
import io
import os
import re
import struct

import numpy as np

from .t7_raw import CUT_OFF, T7Error

#: How much of a file is read at a time, but for large storages.
_WINDOW = 1 << 18
#: How much text is turned into numbers at a time.
_CHUNK = 1 << 20


class Binary:
    """Numbers and strings from the binary form.

    data       bytes or a memory map: the whole file; or a File
    order      "<" or ">"
    long_size  8 or 4
    copy       False makes arrays views of *data* where its byte order allows
    """

    def __init__(self, data, order, long_size, copy=True):
        self._file = data if isinstance(data, File) else None
        self._window = b"" if self._file else data if type(data) is bytes else memoryview(data)
        self._base = 0                   # where the window begins in the file
        self._next = 0                   # the place of the next byte in the window
        self._end = len(self._window)
        self._copy = copy
        self.size = self._file.size if self._file else self._end
        self._order, self._long_size = order, long_size
        self._integer, self._number, self._two = (struct.Struct(order + kind).unpack_from for kind in ("i", "d", "ii"))
        self._long = "q" if long_size == 8 else "i"
        if self._file:
            self._file.seek(0)

    @property
    def at(self):
        """The place in the file."""
        return self._base + self._next

    def left(self):
        """How many bytes are left."""
        return self.size - self._base - self._next

    def ready(self):
        """(window, place in it, its end, function for two integers, for one, for a number): see skip."""
        return self._window, self._next, self._end, self._two, self._integer, self._number

    def skip(self, place):
        """Go to *place* in the window: what stands before it was taken from there."""
        self._next = place

    def _need(self, count, what):
        """Have the next *count* bytes in the window."""
        left = self.left()
        if count > left:
            raise T7Error(f"the file ends where {what} of {count} bytes must stand, {left} are left: "
                          f"it is {CUT_OFF}", self.at)
        if self._next + count > self._end:
            rest = self._window[self._next:]
            self._base += self._next
            # Never further than the size that the file had at first: it may be growing.
            self._window = rest + self._file.read(min(max(count, _WINDOW), left) - len(rest))
            self._next, self._end = 0, len(self._window)
            if count > self._end:
                raise T7Error(f"the file became shorter while it was read: {what} of {count} bytes is missing",
                              self.at)

    def integer(self, what):
        """An int32."""
        start = self._next
        if start + 4 > self._end:
            self._need(4, what)
            start = self._next
        self._next = start + 4
        return self._integer(self._window, start)[0]

    def number(self):
        """A float64."""
        start = self._next
        if start + 8 > self._end:
            self._need(8, "a number")
            start = self._next
        self._next = start + 8
        return self._number(self._window, start)[0]

    def longs(self, count, what):
        """A tuple of *count* longs."""
        size = count * self._long_size
        start = self._next
        if start + size > self._end:
            self._need(size, what)
            start = self._next
        self._next = start + size
        return struct.unpack_from(f"{self._order}{count}{self._long}", self._window, start)

    def geometry(self, ndim):
        """The sizes, the strides and the offset of a tensor."""
        numbers = self.longs(2 * ndim + 1, "the sizes, strides and offset of a tensor")
        return numbers[:ndim], numbers[ndim:-1], numbers[-1]

    def text(self, what):
        """A string with its length."""
        begin, size = self.at, self.integer(what)
        if size < 0:
            raise T7Error(f"the length of {what} is {size}", begin)
        start = self._next
        if start + size > self._end:
            self._need(size, what)
            start = self._next
        self._next = start + size
        return bytes(self._window[start:start + size])

    def elements(self, dtype, count, what):
        """An array of *count* elements of *dtype*."""
        itemsize = self._long_size if dtype.kind == "i" and dtype.itemsize == 8 else dtype.itemsize
        if count > self.left() // itemsize:
            raise T7Error(f"{what} says that it has {count} elements of {itemsize} bytes, "
                          f"but {self.left()} bytes are left: the file is {CUT_OFF}", self.at)
        stored = np.dtype(f"{self._order}{dtype.kind}{itemsize}")
        size = count * itemsize
        if self._file is None or size <= _WINDOW:
            if self._next + size > self._end:
                self._need(size, what)
            array = np.frombuffer(self._window, stored, count, self._next)
            self._next += size
            if not self._copy and stored.isnative and stored == dtype:
                return array
            return array.astype(dtype)
        array = np.empty(count, stored)
        whole = memoryview(array.view(np.uint8))
        had = self._end - self._next
        whole[:had] = self._window[self._next:]
        begin = self.at
        self._base, self._next, self._window, self._end = begin + size, 0, b"", 0
        if self._file.fill(whole[had:]) < size - had:
            raise T7Error(f"the file became shorter while it was read: {what} is incomplete", begin)
        if not stored.isnative:
            array = array.byteswap(inplace=True).view(stored.newbyteorder("="))
        return array.astype(dtype, copy=False)


class Ascii:
    """The same from text: numbers apart by white space, strings by their length."""

    def __init__(self, data):
        self._data, self.size, self.at = bytes(data), len(data), 0

    def left(self):
        """How many bytes are left."""
        return max(0, self.size - self.at)

    def _line(self, what):
        end = self._data.find(b"\n", self.at)
        if end < 0:
            raise T7Error(f"the file ends where {what} must stand: it is {CUT_OFF}", self.at)
        start, self.at = self.at, end + 1
        return start, end

    def _numbers(self, convert, count, what):
        start, end = self._line(what)
        line = self._data[start:end]
        words = line.split()
        if len(words) != count:
            raise T7Error(f"{what}: {count} numbers must stand in the line, found {len(words)}", start)
        try:
            return tuple(map(convert, words))
        except ValueError:
            raise T7Error(f"{what} must be a number, found {line[:40]!r}", start) from None

    def integer(self, what):
        """A whole number in a line of its own."""
        return self._numbers(int, 1, what)[0]

    def number(self):
        """A number in a line of its own."""
        return self._numbers(float, 1, "a number")[0]

    def longs(self, count, what):
        """A tuple of *count* whole numbers in one line."""
        if count:
            return self._numbers(int, count, what)
        self._skip_newline()
        return ()

    def geometry(self, ndim):
        """The sizes, the strides and the offset of a tensor, in lines of their own."""
        sizes, strides = (self.longs(ndim, f"the {what} of a tensor") for what in ("sizes", "strides"))
        return sizes, strides, self.longs(1, "the offset of a tensor")[0]

    def _skip_newline(self):
        # What has no numbers has a line of its own all the same, in some files; one that went through
        # a text mode of Windows has its lines end in two bytes.
        end = self._data[self.at:self.at + 2]
        self.at += 2 if end == b"\r\n" else end[:1] == b"\n"

    def text(self, what):
        """A string with its length."""
        start, size = self.at, self.integer(f"the length of {what}")
        if not 0 <= size <= self.size - self.at:
            raise T7Error(f"the length of {what} is {size}, but {self.left()} bytes are left: the file is {CUT_OFF}",
                          start)
        value = self._data[self.at:self.at + size]
        self.at += size
        self._skip_newline()
        return value

    def elements(self, dtype, count, what):
        """An array of *count* elements of *dtype*, in one line; bytes stand as they are."""
        start = self.at
        if count == 0:
            self._skip_newline()
            return np.empty(0, dtype)
        if (count if dtype.itemsize == 1 else 2 * count - 1) > self.left():
            raise T7Error(f"{what} says that it has {count} elements, but {self.left()} bytes are left: "
                          f"the file is {CUT_OFF}", start)
        if dtype.itemsize == 1:
            self.at += count
            self._skip_newline()
            return np.frombuffer(self._data, dtype, count, start).copy()
        _, end = self._line(what)
        array, have = np.empty(count, dtype), 0
        while start < end:
            stop = self._cut(start, end)
            piece = self._data[start:stop]
            values = _parsed(piece, np.dtype(np.int64 if dtype.kind == "i" else np.float64), what, start)
            if have + values.size > count:
                found = have + len(self._data[start:end].split())
                raise T7Error(f"{what}: {count} numbers must stand in the line, found {found}", start)
            _convert(values, array[have:have + values.size], what, start)
            have += values.size
            start = stop
        if have != count:
            raise T7Error(f"{what}: {count} numbers must stand in the line, found {have}", start)
        return array

    def _cut(self, start, end):
        """The end of a piece of the line start .. end, at white space."""
        stop = start + _CHUNK
        if stop >= end:
            return end
        space = self._data.find(b" ", stop, end)
        return end if space < 0 else space


def _parsed(text, dtype, what, position):
    """The numbers in *text*, each a word: no word may hold two, or anything else."""
    space = np.frombuffer(text, np.uint8) <= 32
    words = int(np.count_nonzero(space[:-1] & ~space[1:])) + int(not space[0])
    try:
        values = np.fromstring(text, dtype, sep=" ")
    except (ValueError, DeprecationWarning):
        values = None
    if values is None or values.size != words:
        raise T7Error(f"{what}: the line holds something else than numbers", position)
    if dtype.kind == "i" and values.size and max(int(values.max()), -int(values.min()) - 1) == np.iinfo(dtype).max:
        # Larger ones would have become the largest.
        if any(int(word) != value for word, value in zip(text.split(), values.tolist())):
            raise T7Error(f"{what}: a number is larger than 64 bits hold", position)
    if dtype.kind == "f" and b"-n" in text.lower():  # NumPy forgets the sign of NaN
        for index, word in enumerate(text.split()):
            if word[:2].lower() == b"-n":
                values[index] = -np.nan
    return values


def _convert(values, target, what, position):
    """Put *values* into *target*, an array of another type perhaps."""
    if target.dtype.kind == "i" and values.size:
        limits = np.iinfo(target.dtype)
        if values.min() < limits.min or values.max() > limits.max:
            raise T7Error(f"{what}: its numbers must lie between {limits.min} and {limits.max}", position)
    with np.errstate(all="ignore"):  # what is too large becomes infinite, as in Torch
        target[...] = values


_TEXT = 'load needs a file that is open in binary: open(path, "rb")'


class File:
    """A binary file object, read from where it stands to its end; it can go back to there."""

    def __init__(self, file):
        self._file = file
        self._start = file.tell()
        self.size = max(0, file.seek(0, os.SEEK_END) - self._start)

    @staticmethod
    def of(file):
        """A File, or the bytes of what cannot go back: a pipe, or a device that has no size."""
        if isinstance(file, io.TextIOBase):
            raise TypeError(_TEXT)
        try:
            whole = File(file)
            if whole.size:
                whole.seek(0)
                return whole
            file.seek(whole._start)
        except (AttributeError, OSError, ValueError):  # io.UnsupportedOperation is both of these
            pass
        parts = []
        while part := file.read(1 << 24):
            if not isinstance(part, (bytes, bytearray, memoryview)):
                raise TypeError(_TEXT)
            parts.append(part)
        return b"".join(parts)

    def seek(self, position):
        """Go to *position*, counted from where the file stood."""
        self._file.seek(self._start + position)

    def read(self, count):
        """The next *count* bytes; fewer where the file ends."""
        parts = []
        while count > 0 and (part := self._file.read(count)):
            if not isinstance(part, (bytes, bytearray, memoryview)):
                raise TypeError(_TEXT)
            parts.append(bytes(part))
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def fill(self, target):
        """Read into *target*, a memoryview of bytes; returns how many came."""
        readinto = getattr(self._file, "readinto", None)
        done = 0
        while done < len(target):
            if readinto is not None:
                count = readinto(target[done:done + _LARGEST_READ])
            else:
                part = self._file.read(min(len(target) - done, _WINDOW))
                count = len(part)
                target[done:done + count] = part
            if not count:
                break
            done += count
        return done


#: One call of the system reads no more than 2 GB.
_LARGEST_READ = 1 << 30


def is_ascii(head):
    """Whether a file starts with a kind as text: a digit and the end of the line."""
    return re.match(rb"[0-8](\r?\n|\Z)", head) is not None


def byte_order(head, size):
    """< or >: the kind of the first object is a small number in one of them."""
    known = what_it_is(head)
    if known is not None:
        raise T7Error(known, 0)
    if size > 4 and not head.strip(b"\0"):
        raise T7Error(f"the file begins with {min(size, len(head))} zeros: it was not written, or downloaded, "
                      "to its end", 0)
    for order, name in (("<", "little"), (">", "big")):
        if len(head) >= 4 and int.from_bytes(head[:4], name) <= 8:
            return order
    text = _as_text(head)
    if text:
        raise T7Error(f"this is a text file, not a .t7 file; it begins {text[:40]!r}", 0)
    raise T7Error("this is not a .t7 file: it must begin with the kind of an object, a number from 0 to 8, "
                  f"but begins with the bytes {head[:8].hex(' ')}", 0)


#: How other files begin, and what to say of them.
_OTHERS = [(re.compile(_start, re.DOTALL | re.IGNORECASE), _words) for _start, _words in (
    (rb"version https://git-lfs", "this is a Git LFS pointer, not the file itself: fetch it with git lfs pull"),
    (rb"PK\x03\x04.{26,80}\.npy", "this is a .npz file: numpy.load reads it"),
    (rb"PK\x03\x04", "this is a zip archive: a PyTorch file (torch.load of PyTorch reads it), a .npz, or what must be unpacked first"),
    (rb"\x80[\x02-\x05]", "this is a Python pickle, perhaps an old PyTorch file: PyTorch's torch.load reads it"),
    (rb"\x89HDF", "this is an HDF5 file: h5py reads it"),
    (rb"\x93NUMPY", "this is a .npy file: numpy.load reads it"),
    (rb"\x1f\x8b", "this is a gzip archive: unpack it first with gunzip"),
    (rb"BZh|\xfd7zXZ|7z\xbc|Rar!|\x28\xb5\x2f\xfd", "this is an archive: unpack it first"),
    (rb"\s*<(!DOCTYPE|html|\?xml)", "this is a web page, not a .t7 file: the download brought an answer in words"),
    (rb".{4}ustar|.{257}ustar", "this is a tar archive: unpack it first"),
    (rb"MATLAB", "this is a MATLAB file"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", "this is a picture"),
)]


def _as_text(head):
    """*head* as UTF-8, perhaps cut in its last character; None if it is no text."""
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return None
    return None if re.search("[\x00-\x08\x0e-\x1f\x7f]", text) else text


def what_it_is(head):
    """What a file that begins with *head* is, in words with what to do, where that is known."""
    if head[1:4] == b"\0\0\0" and head[:1] <= b"\x08" and head[4:8] != b"\0\0\0\0":
        return None  # a .t7 file: its kind, and what no length of eight bytes holds
    for pattern, words in _OTHERS:
        if pattern.match(head):
            return words
    # Eight bytes of length come first there; a .t7 file has no object of index 0.
    if head[8:9] == b"{" and 8 <= int.from_bytes(head[:8], "little") < 1 << 32:
        return "this is a safetensors file: nnmod.load_checkpoint reads those that nnmod wrote"
    return None
