"""Damaged files of Torch7: each gives a value or a T7Error, and nothing else, in time and memory that it explains.

    python tests/fuzz_t7.py --seconds 60
    python tests/fuzz_t7.py --count 10000000

Small files are tried oftener than large ones; some with their bytes changed, some with their
objects.  The process may take no more memory than MEGABYTES over what it started with, and no file
more of the processor's time than SLOW seconds.
"""
import argparse
import gc
import io
import itertools
import pathlib
import random
import resource
import signal
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

MEGABYTES = 400
SLOW = 20.0

#: Numbers that break readers.
NUMBERS = (0, 1, -1, 2, 3, 4, 7, 8, 9, 64, 65, 127, 255, 256, 1000, 2**15, 2**24, 2**31 - 1, -2**31, 2**31)
LONGS = (*NUMBERS, 2**32, 2**40, 2**62, 2**63 - 1, -2**63, 10**18)
DOUBLES = (0.0, -1.0, 0.5, 1e9, 1e300, float("inf"), float("nan"), -0.0, 2.0**53, 1e-320)


def seeds(limit=20_000):
    """The recorded files that are small enough to be tried often: name -> bytes."""
    found = {path.name: path.read_bytes() for path in sorted((FOLDER / "t7").glob("*.t7"))}
    with tarfile.open(FOLDER / "modules.tar.xz") as tar:
        found |= {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    state = nnmod.random.get_state()
    for module in written():  # classes that were not recorded
        file = io.BytesIO()
        nnmod.save(file, module)
        found[repr(module)] = file.getvalue()
    nnmod.random.set_state(state)
    for name in t7_format.COUNTED:
        thing, file = t7_format.Torch(name, 0), io.BytesIO()
        thing.content = t7_format.Table()
        thing.content.items += [(1.0, b"one"), (2.0, thing), (3.0, False)]
        t7_format.Writer(file).object(thing)
        found[name] = file.getvalue()
    return {name: data for name, data in found.items() if len(data) <= limit}


def written():
    """Modules of packages beside nn, whose files nnmod writes."""
    return (nnmod.SeqLSTM(2, 3), nnmod.SeqLSTMP(2, 3, 2), nnmod.SeqGRU(2, 2), nnmod.SeqBRNN(2, 2, True),
            nnmod.Sequencer(nnmod.LSTM(2, 2)), nnmod.Sequencer(nnmod.FastLSTM(2, 2)), nnmod.Repeater(nnmod.GRU(2, 2), 2),
            nnmod.Sequencer(nnmod.GRU(2, 2, p=0.5)), nnmod.Sequencer(nnmod.Linear(2, 2)), nnmod.NormStabilizer(),
            nnmod.Recurrent(2, nnmod.Linear(2, 2), nnmod.Linear(2, 2)), nnmod.LookupTableMaskZero(3, 2),
            nnmod.Recurrence(nnmod.Sequential(nnmod.JoinTable(0, 1), nnmod.Linear(4, 2)), 2, 1),
            nnmod.MaskZero(nnmod.Linear(2, 2), 1), nnmod.SeqReverseSequence(0), nnmod.SAdd(1), nnmod.CopyGrad(),
            nnmod.MaskZeroCriterion(nnmod.MSECriterion(), 1), nnmod.SequencerCriterion(nnmod.MSECriterion()),
            nnmod.InstanceNormalization(2), nnmod.AffineGridGeneratorBHWD(2, 3), nnmod.BilinearSamplerBHWD(),
            nnmod.ROIPooling(2, 2), nnmod.TotalVariation(0.1), nnmod.ShaveImage(1),
            nnmod.SpatialSymmetricPadding(1, 1, 1, 1), nnmod.BiSequencer(nnmod.Linear(2, 2)),
            nnmod.BiSequencerLM(nnmod.Tanh()), nnmod.MuFuRu(2, 1, ("keep", "max")), nnmod.GRU(1, 2).maskZero(),
            nnmod.IndexLinear(3, 2, normalize=True))


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


def restructured(raw, rng, count=4):
    """*count* files of the object *raw*, each with one more value that is another: they stay readable."""
    tables, tensors, seen, waiting = [], [], set(), [raw]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, t7_format.Torch):
            waiting += [thing.content, *thing.before]
        elif isinstance(thing, t7_format.Tensor):
            tensors.append(thing)
        elif isinstance(thing, t7_format.Table):
            tables += [thing] if thing.items else []
            waiting += [item for pair in thing.items for item in pair]
    values = [item for table in tables for pair in table.items for item in pair]
    for _ in range(count):
        for _ in range(rng.choice((1, 1, 1, 2)) if tables else 0):
            _change(rng.choice(tables), raw, values, rng)
        if tensors and (not tables or rng.random() < 0.4):
            _reshape(rng.choice(tensors), tensors, rng)
        file = io.BytesIO()
        t7_format.Writer(file, ascii=rng.random() < 0.2).object(raw)
        yield file.getvalue()


def _change(table, raw, values, rng):
    """Another key or value for *table*, or a pair less."""
    if not table.items:
        return
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


def _reshape(tensor, tensors, rng):
    """Another size, stride, offset, storage or class for *tensor*."""
    kind, number = rng.randrange(5), rng.choice(LONGS[:-2])
    if kind == 0 and tensor.shape:
        at = rng.randrange(len(tensor.shape))
        tensor.shape = (*tensor.shape[:at], number, *tensor.shape[at + 1:])
    elif kind == 1 and tensor.strides:
        at = rng.randrange(len(tensor.strides))
        tensor.strides = (*tensor.strides[:at], number, *tensor.strides[at + 1:])
    elif kind == 2:
        tensor.offset = min(number, 2**62)  # it is written one larger
    elif kind == 3:
        tensor.storage = rng.choice(tensors).storage
    else:
        tensor.shape, tensor.strides = (*tensor.shape, 1), (*tensor.strides, 1)


def attempt(data, slow=SLOW, load=None):
    """Load *data*: whether it gave a value.  Raises AssertionError for anything but a value or a T7Error."""
    start = time.process_time()  # a machine that has other things to do is no fault of the file
    try:
        (load or nnmod.load)(io.BytesIO(data))
        good = True
    except nnmod.T7Error as error:
        assert str(error) and "position" in vars(error), error
        good = False
    assert time.process_time() - start < slow, "too slow"
    return good


def fuzz(seconds=None, seed=0, count=None, report=None, load=None):
    """Try damaged files for *seconds* of the processor, or *count* of them: how many were tried, how many gave a value.

    *report* is called with both numbers once a minute.
    """
    tried = good = 0
    start, minute = time.process_time(), time.perf_counter()
    for data in damaged(seed):
        if tried == count or (seconds is not None and time.process_time() - start >= seconds):
            return tried, good
        try:
            good += attempt(data, load=load)
        except BaseException:
            failed = pathlib.Path(tempfile.gettempdir()) / "fuzz_t7_failed.t7"
            failed.write_bytes(data)
            print(f"seed {seed}, after {tried} files: the file is kept as {failed}")
            raise
        tried += 1
        if report is not None and time.perf_counter() - minute > 60:
            minute = time.perf_counter()
            report(tried, good)


def damaged(seed):
    """Damaged files without an end: of ten, six with other bytes and four with other objects."""
    rng = random.Random(seed)
    files = list(seeds().values())
    trees = [data for data in files if isinstance(t7_format.read(data), (t7_format.Table, t7_format.Torch))]
    # A number drawn from the sums picks a file: one of 200 bytes is tried 50 times as often as one of 10,000.
    sums, tree_sums = (list(itertools.accumulate(1 / max(len(data), 200) for data in f)) for f in (files, trees))
    while True:
        for data in rng.choices(files, cum_weights=sums, k=6):
            yield mutated(data, files, rng)
        data, = rng.choices(trees, cum_weights=tree_sums)
        yield from restructured(t7_format.read(data), rng)


def limited():
    """Hold this process to its memory from here on, and let the alarm of ``timed`` be an error."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEGABYTES * 2**20,) * 2)

    def too_slow(*_):
        raise AssertionError("too slow")

    signal.signal(signal.SIGPROF, too_slow)


def timed(load):
    """*load*, with an alarm after SLOW seconds of the processor, which ends what never ends by itself."""
    def run(file):
        signal.setitimer(signal.ITIMER_PROF, SLOW)
        try:
            return load(file)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return run


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, help="how long; a minute, unless --count is given")
    parser.add_argument("--count", type=int, help="how many files")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    seconds = 60 if options.seconds is None and options.count is None else options.seconds
    fuzz(0.5, seed)  # what is imported on the way belongs to the start
    limited()
    gc.collect()
    gc.freeze()  # what is there now stays, and need not be looked through again

    def report(tried, good):
        print(f"seed {seed}: {tried} files, {good} gave a value, {tried - good} a T7Error", flush=True)

    report(*fuzz(seconds, seed, options.count, report, timed(nnmod.load)))


if __name__ == "__main__":
    main()
