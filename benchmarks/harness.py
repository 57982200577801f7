"""What every table needs: fair timing, the same threads for both sides, the machine and its limits, printing.

A table is a file with a docstring, a ``TITLE`` and ``rows(run)``, a generator of Row: it
measures a line, yields it, and goes on with the next.  ``run`` (a Run) says how many threads,
how long and how large.
"""
import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import math
import platform
import statistics
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import nnmod


@dataclasses.dataclass(frozen=True)
class Run:
    """How a table is to be measured."""

    #: Every line is measured with each of these numbers of threads.
    threads: tuple = (1, 2)
    #: Seconds for a line: the more, the steadier the medians.
    seconds: float = 3.0
    #: Leave out what takes long and says little more.
    quick: bool = False
    #: Sizes that say nothing about speed: whether the table works at all.
    tiny: bool = False
    #: Lines whose names contain this.
    only: str = ""

    def wants(self, name):
        """Whether the line *name* was asked for."""
        return self.only.lower() in name.lower()


@dataclasses.dataclass
class Row:
    """One line: a task, the seconds of nnmod and of its peers, the work in it, and the goal.

    Or bytes instead of seconds, where *unit* says so.
    """

    name: str
    ours: float
    #: Seconds of each peer, by its name; the fastest one counts.
    peers: dict = dataclasses.field(default_factory=dict)
    threads: int = 1
    #: Multiply-adds count twice.  Of a convolution: those of the plain sum, however it is computed.
    flops: float = 0.0
    #: Bytes that must at least be read and written.
    bytes: float = 0.0
    #: The ratio, fastest peer / nnmod, that is wanted; or the seconds that nnmod may take at most.
    goal: float | None = None
    at_most: float | None = None
    #: Other forms of the same on our side, in seconds: {"fused": ...}.
    forms: dict = dataclasses.field(default_factory=dict)
    #: Why the line does not count, where it does not.
    invalid: str = ""
    #: What ours, the peers, at_most and the forms are: "s" or "B".
    unit: str = "s"

    @property
    def peer(self):
        """The name of the fastest peer, or an empty string."""
        return min(self.peers, key=self.peers.get, default="")

    @property
    def ratio(self):
        """Fastest peer / nnmod: above 1 nnmod is faster.  NaN without a peer, or where losses differ."""
        return math.nan if self.invalid or not self.peers else self.peers[self.peer] / self.ours

    @property
    def missed(self):
        """Whether there is a goal, and this is below it."""
        return bool(self.invalid) or (self.goal is not None and self.ratio < self.goal) or (
            self.at_most is not None and self.ours > self.at_most)


# -- threads -----------------------------------------------------------------------------------------

@contextlib.contextmanager
def threads(count):
    """nnmod, torch and the BLAS inside NumPy with *count* threads each, and the same as before afterwards."""
    before = nnmod.getnumthreads()
    nnmod.setnumthreads(count)
    torch = find_torch()
    if torch:
        torch_before = torch.get_num_threads()
        torch.set_num_threads(count)
    try:
        with _blas_threads(count):
            yield
    finally:
        nnmod.setnumthreads(before)
        if torch:
            torch.set_num_threads(torch_before)


def _blas_threads(count):
    if importlib.util.find_spec("threadpoolctl") is None:
        return contextlib.nullcontext()
    from threadpoolctl import threadpool_limits
    return threadpool_limits(count, user_api="blas")


def find_torch():
    """The module torch, or None where it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch
    return torch


# -- time --------------------------------------------------------------------------------------------

#: Seconds in which the workers of every library here have gone to sleep: OpenBLAS's look for work for 0.11.
PAUSE = 0.15
#: Seconds for which a short task is repeated in its turn.
TURN = 0.02


def clock_for(count):
    """The clock for tasks of *count* threads.

    For one thread the processor time of the whole process: other programs disturb it less,
    and a thread that somebody starts in secret is charged to him.  For several, the wall's.
    """
    return time.process_time if count == 1 else time.perf_counter


def measure(tasks, seconds, count, least=5):
    """The median seconds of each task, {name: function}, in alternating rounds of one process.

    What disturbs one round disturbs all of its tasks.  A short task is repeated within its
    turn until that takes about TURN; before it are runs that are not timed, which bring its
    memory back into the caches and wake its workers, as in a training loop.  Workers of some
    libraries spin for a while after their task, OpenBLAS's longest, and would take a core from
    the next one: with several threads a turn begins with a pause.
    """
    clock = clock_for(count)
    repeats = {}
    for name, task in tasks.items():
        # The first calls of a task may prepare the later ones; of a long one each is expensive.
        seen = []
        while len(seen) < 2 or (len(seen) < 6 and min(seen) < 0.002):
            start = time.perf_counter()
            task()
            seen.append(time.perf_counter() - start)
        repeats[name] = max(1, round(TURN / max(1e-7, min(seen))))
    times = {name: [] for name in tasks}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < least:
        for name, task in tasks.items():
            repeat = range(repeats[name])
            if count > 1:
                time.sleep(PAUSE)
            for _ in range((count > 1) + len(repeat) // 2):
                task()
            start = clock()
            for _ in repeat:
                task()
            times[name].append((clock() - start) / len(repeat))
    return {name: statistics.median(values) for name, values in times.items()}


# -- what the machine can do ---------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Limits:
    """What the machine was measured to do at most, with some number of threads."""

    gflops: float
    gbytes: float


def limits(count, seconds=0.5):
    """Multiply-adds on registers, and the bandwidth of copying 64 MB, with *count* threads."""
    return Limits(_multiply_adds(count, seconds) / 1e9, _bandwidth(count, seconds) / 1e9)


def _multiply_adds(count, seconds):
    if nnmod.kernels.backend_name() != "cpu":
        return math.nan
    from . import peak
    turns = 500_000  # a millisecond or two: much longer than it takes to hand them to threads
    return peak.FLOPS_A_TURN * turns * count / _best(lambda i: peak.run(turns), count, seconds)


def _bandwidth(count, seconds):
    size = 64 * 2**20 // count
    arrays = [(np.zeros(size, np.uint8), np.ones(size, np.uint8)) for _ in range(count)]
    return 2 * size * count / _best(lambda i: np.copyto(*arrays[i]), count, seconds)


def _best(task, count, seconds):
    """The least seconds in which *count* threads do ``task(i)`` side by side."""
    clock = clock_for(count)
    with ThreadPoolExecutor(count) as pool:
        run = (lambda: task(0)) if count == 1 else (lambda: list(pool.map(task, range(count))))
        run()
        times, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 5:
            start = clock()
            run()
            times.append(clock() - start)
    return min(times)


def describe_machine():
    """Processor, cores, vectors and versions, as {name: text}."""
    found = {"processor": _processor(), "cores": str(_cores()), "system": platform.platform(),
             "kernels": nnmod.kernels.backend_name()}
    if nnmod.kernels.backend_name() == "cpu":
        from nnmod.kernels.cpu.simd import VECTOR_BITS
        found["vectors"] = f"{VECTOR_BITS} bits"
    found["Python"] = platform.python_version()
    found["nnmod"] = nnmod.__version__
    for package in ("numpy", "numba", "torch", "onnxruntime"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    if find_torch():
        found["torch's vectors"] = find_torch().backends.cpu.get_cpu_capability()
    return found


def _processor():
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _cores():
    import os
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


# -- words -------------------------------------------------------------------------------------------

def duration(seconds):
    """A time in the unit that suits it.

    >>> duration(0.0123), duration(4.5e-6), duration(2)
    ('12.3 ms', '4.50 us', '2.00 s')
    """
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if seconds * factor >= 1:
            return f"{_three(seconds * factor)} {unit}"
    return f"{_three(seconds * 1e6)} us"


def amount(value, unit):
    """Seconds or bytes, as the unit says.

    >>> amount(0.0123, "s"), amount(450e6, "B")
    ('12.3 ms', '450 MB')
    """
    return duration(value) if unit == "s" else f"{_three(value / 1e6)} MB"


def _three(number):
    return f"{number:.0f}" if number >= 100 else f"{number:.1f}" if number >= 10 else f"{number:.2f}"


HEADER = ("", "threads", "nnmod", "fastest peer", "ratio", "goal", "rate", "of peak")


def cells(row, limit=None):
    """The texts of a line under HEADER; *limit* is what the machine can do with that many threads."""
    peer = f"{amount(row.peers[row.peer], row.unit)} {row.peer}" if row.peers else "-"
    if row.goal is not None:
        goal = f"{row.goal:.2f}"
    else:
        goal = f"< {amount(row.at_most, row.unit)}" if row.at_most else ""
    rate = share = ""
    if row.flops:
        speed = row.flops / row.ours / 1e9
        rate, share = f"{_three(speed)} GF/s", f"{speed / limit.gflops:.0%}" if limit else ""
    elif row.bytes:
        speed = row.bytes / row.ours / 1e9
        rate, share = f"{_three(speed)} GB/s", f"{speed / limit.gbytes:.0%}" if limit else ""
    ratio = row.invalid or ("" if math.isnan(row.ratio) else f"{row.ratio:.2f}")
    if row.missed and not row.invalid:
        goal += " missed"
    forms = "".join(f"; {name} {amount(value, row.unit)}" for name, value in row.forms.items())
    return row.name, str(row.threads), amount(row.ours, row.unit) + forms, peer, ratio, goal, rate, share


def line(texts):
    """The cells of a line, in columns for a terminal."""
    widths = (40, 7, 10, 26, 6, 12, 10, 7)
    name, *others = texts
    return f"{name:{widths[0]}} " + " ".join(f"{text:>{width}}" for text, width in zip(others, widths[1:]))


def summary(rows: Iterable[Row]):
    """A sentence for each number of threads: how many lines, geometric mean, least, behind."""
    sentences = []
    rows = list(rows)
    for count in sorted({row.threads for row in rows}):
        ratios = [row.ratio for row in rows if row.threads == count and not math.isnan(row.ratio)]
        if ratios:
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            sentences.append(f"{count} thread{'s' * (count > 1)}: {len(ratios)} lines, geometric mean {mean:.2f}, "
                             f"least {min(ratios):.2f}, a peer ahead in {sum(r < 1 for r in ratios)}")
    return sentences
