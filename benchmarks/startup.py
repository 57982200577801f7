"""How long does `import nnmod` take, and what follows it?

Each line is the median of fresh processes, in alternating rounds: an empty Python,
NumPy, NumPy and Numba, nnmod, and nnmod up to the end of a first small training step
(from a warm kernel cache). Beside torch, where installed.

    python benchmarks/startup.py
"""
import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time

STEP = """
import numpy as np, nnmod
net = nnmod.Sequential(nnmod.Linear(10, 20), nnmod.ReLU(), nnmod.Linear(20, 5))
criterion = nnmod.MSECriterion()
x, t = np.ones((4, 10), np.float32), np.ones((4, 5), np.float32)
criterion.forward(net.forward(x), t)
net.backward(x, criterion.backward(net.output, t))
net.updateParameters(0.1)
"""

PROGRAMS = {
    "python": "",
    "import numpy": "import numpy",
    "import numpy, numba": "import numpy, numba",
    "import nnmod": "import nnmod",
    "import nnmod, first training step": STEP,
    "import torch": "import torch",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    programs = {name: code for name, code in PROGRAMS.items()
                if name != "import torch" or importlib.util.find_spec("torch")}
    environment = os.environ | {"NNMOD_QUIET": "1"}
    times = {name: [] for name in programs}
    for round in range(options.rounds + 1):
        for name, code in programs.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)
            if round:  # the first fills caches
                times[name].append(time.perf_counter() - start)
    for name, values in times.items():
        print(f"{name:36} {statistics.median(values):6.2f} s")


if __name__ == "__main__":
    main()
