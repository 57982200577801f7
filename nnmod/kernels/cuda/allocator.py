"""Memory of a device, kept for the next tensor: a driver takes long to give it and to take it back.

A block belongs to whoever holds it; when the last reference goes, its memory returns to the list of
its size, from where the next tensor of that size takes it.  Memory that was used on one stream is only
given to that stream again: there, whatever still runs comes first.
"""
import threading

#: Sizes are multiples of this many bytes; what is on a device starts at a multiple of it too.
ALIGNMENT = 512


class Block:
    """Memory of the device: ``raw`` is what the engine handed out, ``nbytes`` its size."""

    __slots__ = ("raw", "nbytes", "_spare")

    def __init__(self, raw, nbytes, spare):
        self.raw = raw
        self.nbytes = nbytes
        self._spare = spare

    def __del__(self):
        # One step that no other thread, nor the search for garbage, can come between: no lock needed.
        self._spare.append(self.raw)


class Allocator:
    """Blocks of memory from *allocate*, which raises MemoryError where there is no more; *free* takes them back."""

    def __init__(self, allocate, free):
        self._allocate = allocate
        self._free = free
        self._spares = {}  # (stream, size) -> memory that nobody holds
        self._lock = threading.RLock()
        #: Bytes that the device gave, held by tensors or kept for the next.
        self.reserved = 0

    def take(self, nbytes, stream=0):
        """A Block of *nbytes* bytes or a little more; contents undefined.

        Where the device has no more memory, all that is kept is given back and asked for once
        again; then MemoryError is raised, and nothing is lost.
        """
        size = size_class(nbytes)
        spare = self._spares.get((stream, size))
        if spare is None:
            with self._lock:
                spare = self._spares.setdefault((stream, size), [])
        try:
            raw = spare.pop()
        except IndexError:
            raw = self._from_device(size)
        return Block(raw, size, spare)

    def _from_device(self, size):
        with self._lock:
            try:
                raw = self._allocate(size)
            except MemoryError:
                self.release()
                try:
                    raw = self._allocate(size)
                except MemoryError:
                    raise MemoryError(
                        f"the CUDA device has no memory for {show_bytes(size)} more: tensors hold "
                        f"{show_bytes(self.reserved)}, and nothing is kept unused; use smaller batches, "
                        "or drop tensors and call clearState()") from None
            self.reserved += size
            return raw

    @property
    def kept(self):
        """Bytes that nobody holds, kept for the next tensor."""
        return sum(size * len(spare) for (_, size), spare in list(self._spares.items()))

    def release(self):
        """Give the device back all that nobody holds."""
        with self._lock:
            for (_, size), spare in list(self._spares.items()):
                while spare:
                    self._free(spare.pop())
                    self.reserved -= size


def size_class(nbytes):
    """The size of the block for *nbytes* bytes: at most an eighth more, and never less than 512.

    >>> size_class(1), size_class(513), size_class(1_000_000)
    (512, 1024, 1048576)
    """
    step = max(ALIGNMENT, 1 << max(0, nbytes.bit_length() - 4))
    return max(ALIGNMENT, -(-nbytes // step) * step)


def show_bytes(count):
    """*count* bytes for people: ``1.5 GiB``."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.4g} {unit}"
        count /= 1024
    return f"{count:.4g} GiB"
