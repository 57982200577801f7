"""How fast are files of Torch7 read, and how much memory does that take?

Each reading runs in a process of its own, after the file is in the disk cache; the best of several.
The name of a line has the most memory that nnmod took over what it had before, as Linux counts
it, in sizes of the file.  Beside nnmod stands the package torchfile, where it is installed and
reads the file.
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import nnmod

from .harness import Row

TITLE = "Torch7's files"

#: Runs in a process of its own: argv is the reader and the path.
READ = """
import json, sys, time
import numpy as np
reader, path = sys.argv[1:]
def peak():
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))
if reader == "torchfile":
    import torchfile
    load = torchfile.load
else:
    import nnmod
    load = nnmod.load if reader == "nnmod" else lambda p: nnmod.load(p, mmap=True)
before, start = peak(), time.perf_counter()
value = load(path)
print(json.dumps([time.perf_counter() - start, peak() - before]))
"""


def measure(reader, path, rounds):
    """The least (seconds, bytes) of several readings; None if *reader* cannot read the file."""
    found = []
    for _ in range(rounds):
        done = subprocess.run([sys.executable, "-c", READ, reader, path], capture_output=True, text=True)
        if done.returncode:
            return None
        found.append(json.loads(done.stdout))
    return [min(column) for column in zip(*found)]


def rows(run):
    """A line for each kind of file."""
    gigabytes = 0.001 if run.tiny else 0.25 if run.quick else 2
    rounds = 1 if run.tiny else 3 if run.quick else 5
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.t7")
        for name, write, readers, goals in _files(1 if not run.tiny else 100, gigabytes):
            if not run.wants(name):
                continue
            write(path)
            size = os.path.getsize(path)
            with open(path, "rb") as file:  # into the disk cache
                while file.read(1 << 24):
                    pass
            peer = measure("torchfile", path, rounds)
            for reader in readers:
                seconds, memory = measure(reader, path, rounds)
                mapped = reader == "mmap"
                wanted = None if run.tiny else goals.get(reader)
                yield Row(f"{name}{', mapped' * mapped} (memory {memory / size:.2f})", seconds,
                          {"torchfile": peer[0]} if peer and not mapped else {}, bytes=0 if mapped else size,
                          at_most=wanted and (wanted if mapped else wanted * size))


def _files(less, gigabytes):
    """(name, function that writes the file, readers, their goals: seconds a byte, for mmap in all)."""
    rng = np.random.default_rng(0)

    def tensors(path):
        block = rng.standard_normal(max(1, round(gigabytes * 1e9 / 4 / 16)), np.float32)
        nnmod.save(path, {f"tensor{i}": block + np.float32(i) for i in range(16)})

    def small_tensors(path):
        nnmod.save(path, [rng.standard_normal(100, np.float32) for _ in range(20_000 // less)])

    def tables(path):
        nnmod.save(path, {f"image{i}": {"caption": f"words of caption {i}", "box": [1.5, 2, 3, 4], "good": True}
                          for i in range(50_000 // less)})

    yield "16 tensors of floats", tensors, ("nnmod", "mmap"), {"nnmod": 1 / 1e9, "mmap": 0.05}
    yield "tensors of 100 floats", small_tensors, ("nnmod", "mmap"), {}
    yield "tables of captions", tables, ("nnmod",), {}
    for kind, make in (("float64", lambda n: rng.standard_normal(n)),
                       ("float32", lambda n: rng.standard_normal(n, np.float32)),
                       ("int64", lambda n: rng.integers(0, 1 << 20, n))):
        def text(path, make=make):
            nnmod.save(path, [make(2_000_000 // less)], ascii=True)

        yield f"text of {kind}", text, ("nnmod",), {"nnmod": 1 / 30e6}
