"""What does Python cost between the kernels of a small network?

Linear -> ReLU -> Linear at batch 1, forward and backward: the whole step, the same
kernels called one after another with arguments made ready, and the difference. Both
run in alternating rounds of one process, because shared machines drift; medians, and
the fastest round, which is the least disturbed one. Beside torch, where installed.

    python benchmarks/overhead.py
"""
import argparse
import time

import numpy as np

import nnmod

INPUT, HIDDEN, OUTPUT = 10, 20, 5


def rounds(tasks, count, repeat):
    """Microseconds a call, for each task: the rounds alternate between the tasks."""
    times = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(count):
        for name, task in tasks.items():
            start = time.perf_counter()
            for _ in range(repeat):
                task()
            times[name].append((time.perf_counter() - start) / repeat * 1e6)
    return times


def ours(x, dy):
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


def peer(x, dy):
    try:
        import torch
    except ImportError:
        return {}
    torch.set_num_threads(1)
    net = torch.nn.Sequential(torch.nn.Linear(INPUT, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, OUTPUT))
    tx, tdy = torch.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(dy.copy()) * 0
    return {"torch": lambda: net(tx).backward(tdy)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=200)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, INPUT)).astype(np.float32)
    dy = rng.standard_normal((1, OUTPUT)).astype(np.float32)
    times = rounds(ours(x, dy) | peer(x, dy), options.rounds, options.repeat)
    print(f"forward and backward at batch 1, us      median   fastest   ({nnmod.kernels.backend_name()} kernels)")
    for name, values in times.items():
        print(f"  {name:36} {np.median(values):8.1f}  {min(values):8.1f}")
    step, kernels = times["step"], times["kernels"]
    print(f"  {'Python over the kernels':36} {np.median(step) - np.median(kernels):8.1f}  "
          f"{min(step) - min(kernels):8.1f}")


if __name__ == "__main__":
    main()
