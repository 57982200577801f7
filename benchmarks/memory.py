"""How much memory does a training step take, and a network in evaluation?

The most that was resident in a process of its own from its start on, interpreter, libraries and
compiled kernels among it: the median of some processes, on one thread, each after three steps, or
answers to one sample in evaluation mode.  torch runs eager.
"""
import importlib.util
import os
import statistics
import subprocess
import sys

from .harness import Row

TITLE = "Memory"

_SETTING = """
from benchmarks import memory, networks, training_step
network = next(n for n in networks.NETWORKS if n.name == {name!r})
x, target = network.batch({batch})
"""
_PEAK = """
print(memory.peak())
"""
_STEP = """
step = training_step.our_step(networks.build(network{sizes}){form}, x, target)
for _ in range(3):
    step()
"""
_TORCH_STEP = """
import torch
torch.set_num_threads(1)
step = training_step.torch_step(torch, network.theirs(torch{sizes}), torch.from_numpy(x), target)
for _ in range(3):
    step()
"""
_ANSWER = """
net = networks.build(network{sizes}){form}.evaluate()
for _ in range(3):
    net.forward(x)
"""
_TORCH_ANSWER = """
import torch
torch.set_num_threads(1)
net = network.theirs(torch{sizes}).eval()
with torch.inference_mode():
    for _ in range(3):
        net(torch.from_numpy(x))
"""
_VGG, _RESNET = "VGG with BatchNormalization", "ResNet-18 for 32x32"

#: name of the line: network, batch, our program, torch's, the ratio that is wanted, the bytes allowed
LINES = {
    "training step of VGG, batch 32": (_VGG, 32, _STEP, _TORCH_STEP, None, 450e6),
    "training step of ResNet-18, batch 32": (_RESNET, 32, _STEP, _TORCH_STEP, 1.0, None),
    "evaluation of VGG, batch 1": (_VGG, 1, _ANSWER, _TORCH_ANSWER, None, None),
    "evaluation of ResNet-18, batch 1": (_RESNET, 1, _ANSWER, _TORCH_ANSWER, None, None),
}


def rows(run):
    """A line for each program; the fused network stands beside the plain one."""
    has_torch = importlib.util.find_spec("torch") is not None
    rounds = 1 if run.quick or run.tiny else 3
    for name, (network, batch, ours, theirs, goal, at_most) in LINES.items():
        if not run.wants(name):
            continue
        programs = {"nnmod": (ours, ""), "fused": (ours, ".fused()")}
        if has_torch:
            programs["torch"] = theirs, ""
        sizes = ", width=8" if run.tiny else ""
        medians = {}
        for side, (program, form) in programs.items():
            code = _SETTING.format(name=network, batch=min(batch, 2) if run.tiny else batch)
            code += program.format(sizes=sizes, form=form) + _PEAK
            _run(code)  # fills the cache of kernels: compiling takes memory of its own
            medians[side] = statistics.median(_run(code) for _ in range(rounds))
        forms = {"fused": medians.pop("fused")}
        yield Row(name, medians.pop("nnmod"), medians, 1, goal=goal if has_torch else None, at_most=at_most,
                  forms=forms, unit="B")


def peak():
    """The bytes that were resident in this process at most."""
    try:
        with open("/proc/self/status") as lines:  # of this program alone: what getrusage counts began before it
            return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _run(code):
    """What a program prints last: its peak."""
    environment = os.environ | {"NNMOD_QUIET": "1", "NNMOD_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    result = subprocess.run([sys.executable, "-c", code], check=True, env=environment, stdout=subprocess.PIPE,
                            text=True)
    return int(result.stdout.split()[-1])
