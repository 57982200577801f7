"""How long does ``import nnmod`` take, and the first training step after it?

Seconds from the start of a process to its end, in alternating rounds of fresh processes; medians.
Kernels come from a cache that an earlier process filled, except in the lines that say cold:
those begin with an empty one, once.
"""
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time

from .harness import Row

TITLE = "Start-up"

_STEP = """
from benchmarks import networks, training_step
name = {name!r}
network = next(n for n in networks.NETWORKS if n.name == name)
x, target = network.batch(network.batches[0])
"""
_OURS = _STEP + "training_step.our_step(networks.build(network), x, target)()"
_THEIRS = _STEP + """import torch
training_step.torch_step(torch, network.theirs(torch), torch.from_numpy(x), target)()"""
_LENET, _VGG = "LeNet", "VGG with BatchNormalization"

#: name: program, torch's program or "", seconds wanted
WARM = {
    "import numpy, numba": ("import numpy, numba", "", None),
    "import nnmod": ("import nnmod", "import torch", 0.45),
    "first step of LeNet": (_OURS.format(name=_LENET), _THEIRS.format(name=_LENET), 0.9),
    "first step of VGG": (_OURS.format(name=_VGG), _THEIRS.format(name=_VGG), 1.5),
}
COLD = {
    "first step of LeNet, cold": (_OURS.format(name=_LENET), 8),
    "first step of VGG, cold": (_OURS.format(name=_VGG), 15),
}


def rows(run):
    """A line for each program, on one thread."""
    has_torch = importlib.util.find_spec("torch") is not None
    rounds = 1 if run.quick or run.tiny else 5
    for name, (program, theirs, wanted) in WARM.items():
        if run.wants(name) and not (run.tiny and "step" in name):
            programs = {"nnmod": program} | ({"torch": theirs} if theirs and has_torch else {})
            times = {side: [] for side in programs}
            for turn in range(rounds + 1):
                for side, code in programs.items():
                    seconds = _run(code)
                    if turn:  # the first fills the caches
                        times[side].append(seconds)
            medians = {side: statistics.median(values) for side, values in times.items()}
            yield Row(name, medians.pop("nnmod"), medians, 1, at_most=wanted)
    for name, (program, wanted) in COLD.items():
        if run.wants(name) and not run.quick and not run.tiny:
            with tempfile.TemporaryDirectory() as empty:
                yield Row(name, _run(program, NNMOD_CACHE_DIR=empty), {}, 1, at_most=wanted)


def _run(code, **environment):
    # Python's own cache of bytecode is part of any installation, so it may be written here too.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True,
                   env=inherited | {"NNMOD_QUIET": "1", "NNMOD_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"} | environment)
    return time.perf_counter() - start
