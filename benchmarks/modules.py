"""How fast is each module beside the same in torch, at a small, a medium and a large size?

Forward and backward with all gradients, float32, the same data, both with the same
number of threads, in alternating rounds of one process. Each figure is the median over
the rounds; the ratio torch / nnmod is what holds on a shared machine; higher is better.
On one thread it is the processor's time that counts, which other processes take less from;
what comes out below 1.15 is measured again, longer. The classes and sizes are those of
tests/torch_twins.py, whose test compares the numbers.

    python benchmarks/modules.py [names ...] --threads 1
"""
import argparse
import inspect
import math
import pathlib
import sys
import time

import numpy as np

import nnmod
from nnmod import nested

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests"))


def ours(module, input, target):
    module.float()
    if isinstance(module, nnmod.Criterion):
        def run():
            module.forward(input, target)
            module.backward(input, target)
        return run
    gradOutput = nested.map(np.ones_like, module.forward(input))

    def run():
        module.forward(input)
        module.backward(input, gradOutput)
    return run


def theirs(twin, module, input, target):
    import torch

    from test_against_torch import Parameters, to_torch

    parameters, x = Parameters(module), to_torch(input)
    args = x if isinstance(x, list) else [x]
    if isinstance(module, nnmod.Criterion):
        t = nested.map(lambda a: torch.tensor(a) if isinstance(a, np.ndarray) else a, target)
        args = [x, t] if len(inspect.signature(twin.torch).parameters) == 4 else [x]
        return lambda: twin.torch(torch.nn.functional, parameters, *args).backward()
    output = twin.torch(torch.nn.functional, parameters, *args)
    ones = [torch.ones_like(y) for y in nested.leaves(output)]

    def run():
        output = twin.torch(torch.nn.functional, parameters, *args)
        torch.autograd.backward(list(nested.leaves(output)), ones)
    return run


def compare(twin, draw, seconds, clock=time.perf_counter):
    """Medians in seconds of a round of each: (nnmod, torch)."""
    drawn = draw(np.random.default_rng(0))
    module, input, target = drawn if len(drawn) == 3 else (*drawn, None)
    module.float()
    single = lambda value: nested.map(
        lambda a: a.astype(np.float32) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a, value)
    input, target = single(input), single(target)
    runs = ours(module, input, target), theirs(twin, module, input, target)
    repeats = []
    for run in runs:
        run()
        start = clock()
        run()
        repeats.append(max(1, int(0.002 / max(clock() - start, 1e-6))))

    def medians(seconds, least):
        times = [], []
        stop = clock() + seconds
        while clock() < stop or len(times[0]) < least:
            for run, repeat, taken in zip(runs, repeats, times):
                start = clock()
                for _ in range(repeat):
                    run()
                taken.append((clock() - start) / repeat)
        return tuple(float(np.median(t)) for t in times)

    mine, peer = medians(seconds, 3)
    return (mine, peer) if peer > 1.15 * mine else medians(4 * seconds, 7)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="classes to measure; all where none is named")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.3, help="for each class and size")
    options = parser.parse_args()

    import torch

    from torch_twins import TWINS

    torch.set_num_threads(options.threads)
    nnmod.setnumthreads(options.threads)
    print(f"{options.threads} thread(s); microseconds nnmod, torch, and the ratio torch / nnmod")
    print(f"{'':32s}" + "".join(f"{size:>28s}" for size in ("small", "medium", "large")))
    clock = time.process_time if options.threads == 1 else time.perf_counter
    ratios = []
    for twin in TWINS:
        if not twin.sizes or (options.names and not any(name in twin.id for name in options.names)):
            continue
        cells = []
        for draw in twin.sizes:
            mine, peer = compare(twin, draw, options.seconds, clock)
            ratios.append(peer / mine)
            cells.append(f"{mine * 1e6:10.1f}{peer * 1e6:10.1f}{peer / mine:8.2f}")
        print(f"{twin.id:32s}" + "".join(cells), flush=True)
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"geometric mean {mean:.2f}, lowest {min(ratios):.2f}, under 1: "
              f"{sum(r < 1 for r in ratios)} of {len(ratios)}")


if __name__ == "__main__":
    main()
