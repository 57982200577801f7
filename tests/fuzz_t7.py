"""Damaged files of Torch7: each gives a value or a T7Error, and nothing else, in time and memory that it explains.

    python tests/fuzz_t7.py --seconds 60
"""
import argparse
import io
import pathlib
import random
import resource
import struct
import sys
import tarfile
import tempfile
import time

FOLDER = pathlib.Path(__file__).parent / "golden"
if __name__ == "__main__":
    sys.path.insert(0, str(FOLDER.parents[1]))

import nnmod  # noqa: E402
from nnmod.serialization import t7_format  # noqa: E402

#: Numbers that break readers.
NUMBERS = (0, 1, -1, 2, 3, 4, 7, 8, 9, 64, 65, 127, 255, 256, 1000, 2**15, 2**24, 2**31 - 1, -2**31, 2**31)
LONGS = (*NUMBERS, 2**32, 2**40, 2**62, 2**63 - 1, -2**63, 10**18)
DOUBLES = (0.0, -1.0, 0.5, 1e9, 1e300, float("inf"), float("nan"), -0.0, 2.0**53, 1e-320)


def seeds(limit=20_000):
    """The recorded files that are small enough to be tried often: name -> bytes."""
    found = {path.name: path.read_bytes() for path in sorted((FOLDER / "t7").glob("*.t7"))}
    with tarfile.open(FOLDER / "modules.tar.xz") as tar:
        found |= {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    return {name: data for name, data in found.items() if len(data) <= limit}


def mutated(data, pool, rng):
    """*data* with one to four faults: bytes, numbers of the format, words, pieces moved or cut."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        size = len(data)
        if not size:
            break
        at, kind = rng.randrange(size), rng.randrange(9)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            data[at & ~3:(at & ~3) + 4] = struct.pack("<i", rng.choice(NUMBERS[:-1]))
        elif kind == 3:
            data[at:at + 8] = struct.pack("<q", rng.choice(LONGS))
        elif kind == 4:
            data[at:at + 8] = struct.pack("<d", rng.choice(DOUBLES))
        elif kind == 5:
            del data[at:at + rng.choice((1, 4, 8, 40))]
        elif kind == 6:
            other = rng.choice(pool)
            start = rng.randrange(len(other))
            data[at:at] = other[start:start + rng.choice((4, 12, 60, 400))]
        elif kind == 7:
            data[at:] = b""
        else:
            # A number of the text form, or a name of a class for another.
            words = (b"nn.Linear", b"nn.Sequential", b"torch.DoubleTensor", b"weight", b"modules", b"1", b"-1",
                     b"99999999999", b"nn.gModule", b"nan", b"nn.WeightNorm")
            word = rng.choice(words)
            there = data.find(word, at)
            new = rng.choice(words)
            if there >= 0:
                data[there:there + len(word)] = new
                if there >= 4 and struct.unpack_from("<i", data, there - 4)[0] == len(word):
                    struct.pack_into("<i", data, there - 4, len(new))
    return bytes(data)


def restructured(raw, rng):
    """The object *raw* with another value in some place, so that the file stays readable."""
    tables, seen, waiting = [], set(), [raw]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, t7_format.Torch):
            waiting += [thing.content, *thing.before]
        elif isinstance(thing, t7_format.Table):
            tables += [thing] if thing.items else []
            waiting += [item for pair in thing.items for item in pair]
    values = [item for table in tables for pair in table.items for item in pair]
    for _ in range(rng.choice((1, 1, 2, 3)) if tables else 0):
        table = rng.choice([table for table in tables if table.items] or [t7_format.Table()])
        if not table.items:
            break
        at = rng.randrange(len(table.items))
        key, value = table.items[at]
        kind = rng.randrange(5)
        if kind == 0:
            del table.items[at]
        elif kind == 1:
            table.items[at] = key, rng.choice(values)
        elif kind == 2:
            table.items[at] = key, rng.choice((*DOUBLES, -3.0, 1e6, 2.0, 3.0, True, False, b"x", None, t7_format.Table()))
        elif kind == 3:
            table.items[at] = rng.choice(values), value
        else:
            table.items[at] = key, raw
    file = io.BytesIO()
    t7_format.Writer(file).object(raw)
    return file.getvalue()


def attempt(data, slow=20.0):
    """Load *data*: whether it gave a value.  Raises AssertionError for anything but a value or a T7Error."""
    start = time.perf_counter()
    try:
        nnmod.load(io.BytesIO(data))
        good = True
    except nnmod.T7Error as error:
        assert str(error) and "position" in vars(error), error
        good = False
    assert time.perf_counter() - start < slow, "too slow"
    return good


def fuzz(seconds, seed=0, count=None, megabytes=None):
    """Try damaged files for *seconds*, or *count* of them: how many were tried, and how many gave a value."""
    rng = random.Random(seed)
    files = list(seeds().values())
    tried = good = 0
    end = time.perf_counter() + seconds
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while time.perf_counter() < end and (count is None or tried < count):
        data = rng.choice(files)
        raw = t7_format.read(data) if rng.random() < 0.4 else None
        if isinstance(raw, (t7_format.Table, t7_format.Torch)):
            data = restructured(raw, rng)
        else:
            data = mutated(data, files, rng)
        try:
            good += attempt(data)
        except BaseException:
            failed = pathlib.Path(tempfile.gettempdir()) / "fuzz_t7_failed.t7"
            failed.write_bytes(data)
            print(f"the file is kept as {failed}")
            raise
        tried += 1
        if megabytes and tried % 50 == 0:
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            assert grown < megabytes, f"{grown:.0f} MB more after {tried} files"
    return tried, good


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    tried, good = fuzz(options.seconds, seed, megabytes=400)
    print(f"seed {seed}: {tried} files, {good} gave a value, {tried - good} a T7Error")


if __name__ == "__main__":
    main()
