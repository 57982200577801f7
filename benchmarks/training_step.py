"""How long does a whole training step take, beside torch?

Zero gradients, forward, loss, backward and a plain SGD update, on the same data, both
with the same number of threads, in alternating rounds of one process; medians. torch
runs eager, in the better of its two memory layouts. The ratio torch / nnmod is what
holds on a shared machine; higher is better.

    python benchmarks/training_step.py --threads 1
"""
import argparse
import time

import numpy as np

import nnmod

BATCHES = {"MLP 784-512-512-10": (128, 16, 1), "LeNet": (64,)}


def make(name):
    if name == "LeNet":
        return nnmod.Sequential(
            nnmod.SpatialConvolution(1, 20, 5, 5), nnmod.ReLU(), nnmod.SpatialMaxPooling(2, 2),
            nnmod.SpatialConvolution(20, 50, 5, 5), nnmod.ReLU(), nnmod.SpatialMaxPooling(2, 2),
            nnmod.View(800, numInputDims=3), nnmod.Linear(800, 500), nnmod.ReLU(), nnmod.Linear(500, 10))
    return nnmod.Sequential(nnmod.Linear(784, 512), nnmod.ReLU(), nnmod.Linear(512, 512), nnmod.ReLU(),
                            nnmod.Linear(512, 10))


def ours(name, x, target):
    net, criterion = make(name), nnmod.CrossEntropyCriterion()
    net.needsGradInput = False  # as torch, which computes no gradient of the data either
    flat, gradFlat = net.getParameters()
    config = {"learningRate": 1e-3}

    def evaluate(flat):
        gradFlat.fill(0)
        loss = criterion.forward(net.forward(x), target)
        net.backward(x, criterion.backward(net.output, target))
        return loss, gradFlat

    return lambda: nnmod.optim.sgd(evaluate, flat, config)


def theirs(name, x, target, channels_last):
    import torch
    from torch import nn

    layers = {
        "LeNet": lambda: [nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(),
                          nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)],
    }.get(name, lambda: [nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)])
    net, criterion = nn.Sequential(*layers()), nn.CrossEntropyLoss()
    inputs, targets = torch.from_numpy(x.copy()), torch.from_numpy(target.copy())
    if channels_last:
        net, inputs = net.to(memory_format=torch.channels_last), inputs.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad()
        criterion(net(inputs), targets).backward()
        optimizer.step()

    return step


def measure(tasks, seconds=6.0):
    """The median milliseconds of each task, in alternating rounds."""
    for task in tasks.values():
        for _ in range(3):
            task()
    times = {name: [] for name in tasks}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < 5:
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: float(np.median(values)) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    nnmod.setnumthreads(options.threads)
    try:
        import torch
        torch.set_num_threads(options.threads)
    except ImportError:
        torch = None
    rng = np.random.default_rng(0)
    print(f"ms a step, {options.threads} thread(s)        nnmod     torch   torch / nnmod")
    for name, batches in BATCHES.items():
        for batch in batches:
            shape = (batch, 1, 28, 28) if name == "LeNet" else (batch, 784)
            x = rng.standard_normal(shape).astype(np.float32)
            target = rng.integers(0, 10, batch)
            tasks = {"nnmod": ours(name, x, target)}
            if torch:
                tasks["torch"] = theirs(name, x, target, False)
                if len(shape) == 4:
                    tasks["torch channels_last"] = theirs(name, x, target, True)
            times = measure(tasks)
            mine = times.pop("nnmod")
            best = min(times.values(), default=float("nan"))
            print(f"{name + f', batch {batch}':28} {mine:9.2f} {best:9.2f} {best / mine:10.2f}")


if __name__ == "__main__":
    main()
