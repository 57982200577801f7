"""How fast are files of Torch7 read, and how much memory do they take?

    python benchmarks/t7_files.py [--gigabytes 2] [--folder FOLDER]

Each reading runs in a process of its own, after the file is in the disk cache; the best of several
is shown, and the most memory that it took over what it had before, as Linux counts it.  Beside nnmod
stands the package torchfile (pip install torchfile), where it is there and reads the file.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import nnmod

#: Runs in a process of its own: argv is the reader, the path, and "all" to touch every element.
READ = """
import json, sys, time
import numpy as np
reader, path, touch = sys.argv[1:]
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
seconds, opened = time.perf_counter() - start, peak() - before
if touch == "all":
    total = sum(float(t.sum()) for t in (value.values() if isinstance(value, dict) else value))
print(json.dumps([seconds, opened, peak() - before, time.perf_counter() - start]))
"""


def measure(reader, path, touch="no", rounds=5):
    """The best of (seconds, bytes when it is open, bytes at the end, seconds with touching), or None."""
    rows = []
    for _ in range(rounds):
        done = subprocess.run([sys.executable, "-c", READ, reader, path, touch], capture_output=True, text=True)
        if done.returncode:
            return None
        rows.append(json.loads(done.stdout))
    return [min(column) for column in zip(*rows)]


def show(title, path, readers, touch="no", rounds=5):
    """One line for each reader."""
    size = os.path.getsize(path)
    print(f"\n{title}: {size / 1e6:.0f} MB")
    with open(path, "rb") as file:  # into the disk cache
        while file.read(1 << 24):
            pass
    for reader in readers:
        row = measure(reader, path, touch, rounds)
        if row is None:
            print(f"  {reader:14} does not read it")
            continue
        seconds, opened, whole, touched = row
        words = f"  {reader:14} {1e3 * seconds:9.1f} ms {size / seconds / 1e6:9.0f} MB/s, memory {opened / size:5.2f} x"
        print(words + (f"; all read after {touched:.2f} s" if touch == "all" else ""))


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--folder", help="where the files are written (10 times --gigabytes at most)")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = os.path.join(folder, "file.t7")
        count = max(1, round(options.gigabytes * 1e9 / 4 / 16))
        block = rng.standard_normal(count, np.float32)
        nnmod.save(path, {f"tensor{i}": block + np.float32(i) for i in range(16)})
        show("16 float tensors", path, ["nnmod", "nnmod mmap", "torchfile"], "all", 3)
        del block
        nnmod.save(path, [rng.standard_normal(100, np.float32) for _ in range(20_000)])
        show("20,000 tensors of 100 floats", path, ["nnmod", "nnmod mmap", "torchfile"])
        nnmod.save(path, {f"image{i}": {"caption": f"words of caption {i}", "box": [1.5, 2, 3, 4], "good": True}
                          for i in range(50_000)})
        show("tables: 50,000 captions with boxes", path, ["nnmod", "torchfile"])
        for dtype, values in (("float64", rng.standard_normal(2_000_000)),
                              ("float32", rng.standard_normal(3_000_000, np.float32)),
                              ("int64", rng.integers(0, 1 << 20, 4_000_000))):
            nnmod.save(path, [values], ascii=True)
            show(f"text: {values.size:,} of {dtype}", path, ["nnmod", "torchfile"])


if __name__ == "__main__":
    main()
