"""What does Python cost between the kernels of a small network?

Linear -> ReLU -> Linear at batch 1, forward and backward: the whole step, and the same kernels
called one after another with arguments made ready.  The difference is what Python costs.
"""
import numpy as np

import nnmod

from .harness import Row, find_torch, measure, threads

TITLE = "Overhead"
INPUT, HIDDEN, OUTPUT = 10, 20, 5


def rows(run):
    """One line: the step, the kernels alone as another form of it, and torch's step."""
    name = f"Linear {INPUT}-{HIDDEN}-{OUTPUT}, forward and backward"
    if not run.wants(name):
        return
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, INPUT)).astype(np.float32)
    dy = rng.standard_normal((1, OUTPUT)).astype(np.float32)
    with threads(1):
        times = measure(_ours(x, dy) | _peer(x, dy), run.seconds, 1)
    yield Row(name, times.pop("step"), {side: times[side] for side in times if side != "kernels"}, 1, goal=1.0,
              forms={"kernels alone": times["kernels"]})


def _ours(x, dy):
    first, relu, last = nnmod.Linear(INPUT, HIDDEN), nnmod.ReLU(), nnmod.Linear(HIDDEN, OUTPUT)
    net = nnmod.Sequential(first, relu, last)
    net.forward(x)
    net.backward(x, dy)
    K = nnmod.kernels.of(x)

    def step():
        net.forward(x)
        net.backward(x, dy, 0.0)  # scale 0: gradients stay small however many rounds

    def kernels():
        h, r, y = first.output, relu.output, last.output
        dr, dh, dx = last.gradInput, relu.gradInput, first.gradInput
        K.gemm(x, first.weight, h, 1.0, 0.0, False, True, first.bias)
        relu.function(h, r)
        K.gemm(r, last.weight, y, 1.0, 0.0, False, True, last.bias)
        K.gemm(dy, last.weight, dr)
        K.gemm(dy, r, last.gradWeight, 0.0, 1.0, True)
        K.sum_rows(dy, last.gradBias, 0.0)
        relu.derivative(r, dr, dh)
        K.gemm(dh, first.weight, dx)
        K.gemm(dh, x, first.gradWeight, 0.0, 1.0, True)
        K.sum_rows(dh, first.gradBias, 0.0)

    return {"step": step, "kernels": kernels}


def _peer(x, dy):
    torch = find_torch()
    if not torch:
        return {}
    net = torch.nn.Sequential(torch.nn.Linear(INPUT, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, OUTPUT))
    tx, tdy = torch.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(dy.copy()) * 0
    return {"torch": lambda: net(tx).backward(tdy)}
