"""TorchGenerator: the random numbers of Torch7, for scripts that must take Torch's path."""
import bisect
import os

import numpy as np

_WORDS = 624  # of the state of MT19937

#: Torch's generator as torch.getRNGState gives it: the memory of a C struct.
_STATE = np.dtype({
    "names": ["seed", "left", "seeded", "next", "words", "x", "y", "rho", "half"],
    "formats": ["<u8", "<i4", "<i4", "<u8", ("<u8", _WORDS), "<f8", "<f8", "<f8", "<i4"],
    "offsets": [0, 8, 12, 16, 24, 5016, 5024, 5032, 5040],
    "itemsize": 5048,
})


class TorchGenerator:
    """Torch7's generator: a script that draws in Torch's order gets Torch's numbers, to the last bit.

    MT19937 (Matsumoto and Nishimura, 1998), each uniform number u of [0, 1) from one 32-bit
    word; normal numbers in pairs by Box and Muller, the second of which is kept for the next
    call.  nnmod itself draws from ``nnmod.random``; optim.de and optim.cmaes take a
    TorchGenerator as an option.

    The methods that fill a tensor take its elements in order, one number of Torch's stream
    each (normal and logNormal two for a pair).

    Parameters
    ----------
    seed : int
        What ``torch.manualSeed`` got.

    >>> generator = TorchGenerator(123)
    >>> generator.integer(10), generator.integer(10)
    (2, 9)

    (Torch's ``torch.random(1, 10)`` gives 3 and 10: it counts from 1.)

    Source: Torch7's TH, ``THRandom`` and ``torch.multinomial``.
    """

    def __init__(self, seed):
        self.manualSeed(seed)

    # -- the state ---------------------------------------------------------------

    def manualSeed(self, seed):
        """Start anew from *seed*, an int; of more than 32 bits the lower 32 count."""
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
            raise ValueError(f"seed must be an int, got {seed!r}")
        self._seed = int(seed) % 2**64
        _, key, position, *_ = np.random.RandomState(self._seed % 2**32).get_state()
        self._bits = np.random.MT19937()
        self._bits.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": position}}
        self._x = self._y = self._rho = 0.0  # the uniform numbers of the last normal pair, its radius
        self._half = False                   # whether one of that pair is still to come

    def seed(self):
        """Start anew from a seed of the operating system's, and return it: ``torch.seed``."""
        self.manualSeed(int.from_bytes(os.urandom(4), "little"))
        return self._seed

    def initialSeed(self):
        """The seed that this stream began with: ``torch.initialSeed``."""
        return self._seed

    def getRNGState(self):
        """The state as Torch gives it: a uint8 tensor of 5048 bytes.

        >>> generator = TorchGenerator(123)
        >>> state = generator.getRNGState()
        >>> first = generator.integer(10)
        >>> generator.setRNGState(state).integer(10) == first
        True
        """
        bits = self._bits.state["state"]
        struct = np.zeros((), _STATE)
        struct["seed"], struct["seeded"] = self._seed, 1
        # Torch makes 624 new words when ``left`` falls to 0; a new stream has none yet.
        begun = not np.array_equal(bits["key"], _first_key(self._seed)) or bits["pos"] < _WORDS
        struct["next"] = bits["pos"] if begun else 0
        struct["left"] = _WORDS + 1 - bits["pos"] if begun else 1
        struct["words"] = bits["key"]
        struct["x"], struct["y"], struct["rho"], struct["half"] = self._x, self._y, self._rho, self._half
        return np.frombuffer(struct.tobytes(), np.uint8).copy()

    def setRNGState(self, state):
        """Go on from a state that getRNGState gave, here or in Torch7; returns self.

        Raises TypeError or ValueError for what is no such state, and changes nothing then.
        """
        if not isinstance(state, np.ndarray) or state.dtype != np.uint8:
            raise TypeError("a state must be a uint8 tensor, as getRNGState gives it, got "
                            f"{getattr(state, 'dtype', type(state).__name__)}")
        if state.shape != (_STATE.itemsize,):
            raise ValueError(f"a state must have shape ({_STATE.itemsize},), got {state.shape}")
        struct = np.frombuffer(state.tobytes(), _STATE)[0]
        left, following = int(struct["left"]), int(struct["next"])
        fresh = left == 1 and following == 0
        if not (fresh or (1 <= left <= _WORDS and following == _WORDS + 1 - left)) or (
                struct["words"] >= 2**32).any() or struct["half"] not in (0, 1):
            raise ValueError("these bytes are no state of Torch's generator")
        self._seed = int(struct["seed"])
        self._bits.state = {"bit_generator": "MT19937", "state": {
            "key": struct["words"].astype(np.uint32), "pos": _WORDS if fresh else following}}
        self._x, self._y, self._rho = float(struct["x"]), float(struct["y"]), float(struct["rho"])
        self._half = bool(struct["half"])
        return self

    # -- integers ------------------------------------------------------------------

    def words(self, count):
        """The next *count* random words, as uint64 numbers below 2**32: ``torch.random()``."""
        return self._bits.random_raw(count)

    def integer(self, count):
        """One random int of 0 .. count-1."""
        if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or not 0 < count <= 2**32:
            raise ValueError(f"count must be an int of 1 .. 2**32, got {count!r}")
        return int(self._bits.random_raw()) % int(count)

    def random(self, target, low, high):
        """Fill tensor *target* with ints of low .. high, both of them too: ``tensor:random(low, high)``."""
        if not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in (low, high)) or (
                not 0 <= high - low < 2**32):
            raise ValueError(f"low and high must be ints with low <= high < low + 2**32, got {low!r}, {high!r}")
        drawn = self.words(target.size) % np.uint64(int(high) - int(low) + 1)
        target[...] = (drawn.astype(np.int64) + int(low)).reshape(target.shape)

    def permutation(self, count):
        """The numbers 0 .. count-1 in random order, as an int64 tensor: ``torch.randperm``."""
        values = list(range(count))
        others = self.words(max(count - 1, 0)) % np.arange(count, 1, -1, dtype=np.uint64)
        for index, other in enumerate(others.tolist()):
            values[index], values[index + other] = values[index + other], values[index]
        return np.array(values, np.int64)

    def multinomial(self, probabilities, count, replacement=False):
        """Draw *count* categories for each row of *probabilities*: ``torch.multinomial``, from 0.

        Parameters
        ----------
        probabilities : tensor (C,) or (N, C)
            Not negative; a row need not sum to 1.  In float32 sums are rounded as Torch
            rounds them.  (Where that would draw a category again that was not to be
            replaced, as Torch does, here the nearest one left is taken.)
        count : int
            How many are drawn from each row.
        replacement : bool
            Whether a category can be drawn again; without, at least *count* categories of
            a row must have a probability.

        Returns an int64 tensor (count,) or (N, count).

        >>> TorchGenerator(123).multinomial(np.array([0.1, 0.2, 0.3, 0.4]), 4, True)
        array([3, 3, 1, 2])
        """
        p = probabilities
        if not isinstance(p, np.ndarray) or p.dtype.kind != "f":
            raise TypeError(f"probabilities must be a tensor of floats, got {getattr(p, 'dtype', type(p).__name__)}")
        if p.ndim not in (1, 2) or not p.shape[-1]:
            raise ValueError(f"probabilities must have shape (C,) or (N, C), got {p.shape}")
        if not isinstance(count, (int, np.integer)) or isinstance(count, bool) or count < 1:
            raise ValueError(f"count must be an int > 0, got {count!r}")
        rows = p.reshape(-1, p.shape[-1])
        possible = (rows > 0).sum(1)
        if not (np.isfinite(rows).all() and (rows >= 0).all() and (possible >= (1 if replacement else count)).all()):
            raise ValueError(
                "probabilities must be finite and not negative, and "
                + ("one of each row" if replacement else f"{count} of each row (drawn without replacement)")
                + " must be > 0")
        drawn = np.empty((len(rows), count), np.int64)
        for row, result in zip(rows, drawn):
            self._draw(row, result, replacement)
        return drawn.reshape(*p.shape[:-1], count)

    def _draw(self, row, result, replacement):
        """Categories of one row of probabilities, by bisection of their running sums."""
        limits = _limits(row)
        unit = self._unit(len(result))
        if replacement:
            result[:] = np.searchsorted(limits, unit)
            return
        left = row > 0
        for index, u in enumerate(unit):
            # Rounding may leave the limits out of order by a bit, so it is Torch's bisection that counts.
            choice = bisect.bisect_left(limits, u)
            if not left[choice]:  # it may also lead to a category that has been drawn: Torch draws it again
                others = np.flatnonzero(left)
                choice = int(others[np.argmin(np.abs(others - choice))])
            result[index], left[choice] = choice, False
            share = limits[choice] - (limits[choice - 1] if choice else 0.0)
            if share < 1:
                limits[choice:] -= share
                limits = (limits / (1.0 - share)).astype(row.dtype).astype(np.float64)
                limits[-1] = 1
            elif left.any():  # the others were lost in rounding
                limits = _limits(np.where(left, row, row.dtype.type(0)))

    # -- continuous distributions ------------------------------------------------------

    def uniform(self, target, low=0.0, high=1.0):
        """Fill tensor *target* from the uniform distribution on [low, high): ``u (high - low) + low``."""
        target[...] = self._unit(target.size).reshape(target.shape) * (high - low) + low

    def normal(self, target, mean=0.0, stdv=1.0):
        """Fill tensor *target* from the normal distribution; *stdv* must be > 0."""
        self._check(stdv > 0, "stdv", "> 0", stdv)
        target[...] = (self._normal(target.size) * stdv + mean).reshape(target.shape)

    def logNormal(self, target, mean=1.0, stdv=2.0):
        """Fill tensor *target* with ``exp(n)``, n normal with *mean* and *stdv* > 0."""
        self._check(stdv > 0, "stdv", "> 0", stdv)
        target[...] = np.exp(self._normal(target.size) * stdv + mean).reshape(target.shape)

    def exponential(self, target, lam=1.0):
        """Fill tensor *target* from the exponential distribution of rate *lam*: ``-log(1 - u) / lam``."""
        self._check(lam > 0, "lam", "> 0", lam)
        target[...] = (-1.0 / lam * np.log(1 - self._unit(target.size))).reshape(target.shape)

    def cauchy(self, target, median=0.0, sigma=1.0):
        """Fill tensor *target* from the Cauchy distribution: ``median + sigma tan(pi (u - 1/2))``."""
        self._check(sigma > 0, "sigma", "> 0", sigma)
        target[...] = (median + sigma * np.tan(np.pi * (self._unit(target.size) - 0.5))).reshape(target.shape)

    # -- trials --------------------------------------------------------------------------

    def bernoulli(self, target, p=0.5):
        """Fill tensor *target* with 1, of probability *p*, and 0; *p* is a number or a tensor like target."""
        self._check(np.all((p >= np.zeros(())) & (p <= np.ones(()))), "p", "within 0..1", p)
        target[...] = self._unit(target.size).reshape(target.shape) <= p

    def geometric(self, target, p):
        """Fill tensor *target* with ``floor(log(1 - u) / log(p)) + 1``, as Torch does, 0 < p < 1.

        That is 1 with probability 1 - p, 2 with probability p (1 - p), ...: p is the
        probability that a trial fails.
        """
        self._check(0 < p < 1, "p", "between 0 and 1", p)
        target[...] = (np.trunc(np.log(1 - self._unit(target.size)) / np.log(p)) + 1).reshape(target.shape)

    @staticmethod
    def _check(holds, name, what, value):
        if not holds:
            raise ValueError(f"{name} must be {what}, got {value!r}")

    def _unit(self, count):
        """*count* numbers in [0, 1), of 32 random bits each."""
        return self.words(count) / 2**32

    def _normal(self, count):
        """*count* standard normal numbers; the other one of a pair begun waits for the next call."""
        if not count:
            return np.empty(0)
        first = [self._rho * np.sin(2 * np.pi * self._x)] if self._half else []
        fresh = count - len(first)
        if not fresh:
            self._half = False
            return np.array(first)
        pairs = self._unit(2 * -(-fresh // 2)).reshape(-1, 2)
        radius, angle = np.sqrt(-2 * np.log(1 - pairs[:, 1])), 2 * np.pi * pairs[:, 0]
        values = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()
        (self._x, self._y), self._rho, self._half = map(float, pairs[-1]), float(radius[-1]), fresh % 2 == 1
        return np.concatenate([first, values[:fresh]])


def _first_key(seed):
    """The words of a stream that has just been seeded."""
    return np.random.RandomState(seed % 2**32).get_state()[1]


def _limits(row):
    """The running sums of a row of probabilities over their sum, rounded to its dtype; the last is 1."""
    sums = np.cumsum(row, dtype=np.float64)
    limits = (sums.astype(row.dtype) / sums[-1]).astype(row.dtype).astype(np.float64)
    limits[-1] = 1
    return limits
