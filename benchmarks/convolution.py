"""How fast are the convolutions, beside torch?

The output, the gradient of the input and the gradients of the parameters of layers from
LeNet, VGG and ResNet: float32, the same data on both sides, in alternating rounds of one
process; the best times. torch runs in the better of its two memory layouts, with its gradients
taken through its own backward pass. The ratio torch / nnmod is what holds on a shared
machine; higher is better.

    python benchmarks/convolution.py --threads 1 --only LeNet
"""
import argparse
import math
import time

import numpy as np

import nnmod
from nnmod import kernels

#: name: batch, input planes, output planes, kernel, size of the image, stride, padding, groups
LAYERS = {
    "LeNet 1-20 5x5 28": (64, 1, 20, 5, 28, 1, 0, 1),
    "LeNet 20-50 5x5 12": (64, 20, 50, 5, 12, 1, 0, 1),
    "VGG 3-64 32": (32, 3, 64, 3, 32, 1, 1, 1),
    "VGG 64-64 32": (32, 64, 64, 3, 32, 1, 1, 1),
    "VGG 128-128 16": (32, 128, 128, 3, 16, 1, 1, 1),
    "VGG 256-256 8": (32, 256, 256, 3, 8, 1, 1, 1),
    "ResNet 512-512 4": (32, 512, 512, 3, 4, 1, 1, 1),
    "ResNet 64-128 32 /2": (32, 64, 128, 3, 32, 2, 1, 1),
    "ResNet 256-512 8 /2": (32, 256, 512, 3, 8, 2, 1, 1),
    "ResNet 1x1 64-128 32 /2": (32, 64, 128, 1, 32, 2, 0, 1),
    "1x1 64-128 16": (32, 64, 128, 1, 16, 1, 0, 1),
    "1x1 256-64 16": (32, 256, 64, 1, 16, 1, 0, 1),
    "depthwise 64 32": (32, 64, 64, 3, 32, 1, 1, 64),
    "depthwise 128 16 /2": (32, 128, 128, 3, 16, 2, 1, 128),
    "5x5 32-32 14, 4 groups": (32, 32, 32, 5, 14, 1, 2, 4),
    "VGG 64-64 32, 1 image": (1, 64, 64, 3, 32, 1, 1, 1),
    "ResNet 256-256 8, 1 image": (1, 256, 256, 3, 8, 1, 1, 1),
}
VERBS = "output", "grad input", "grad weight"


def ours(layer):
    batch, C, O, k, size, stride, pad, groups = LAYERS[layer]
    rng = np.random.default_rng(0)
    out = (size + 2 * pad - k) // stride + 1
    x, w, b, dy = (rng.standard_normal(shape).astype(np.float32) for shape in
                   ((batch, C, size, size), (O, C // groups, k, k), (O,), (batch, O, out, out)))
    y, dx, dw, db = np.empty_like(dy), np.empty_like(x), np.zeros_like(w), np.zeros_like(b)
    K = kernels.of(x)
    numbers = (stride, stride), (pad, pad), (1, 1), groups
    return (lambda: K.conv2d_update_output(x, w, b, y, *numbers),
            lambda: K.conv2d_update_grad_input(dy, w, dx, *numbers),
            lambda: K.conv2d_acc_grad_parameters(x, dy, dw, db, *numbers))


def theirs(layer, channels_last):
    import torch
    batch, C, O, k, size, stride, pad, groups = LAYERS[layer]
    out = (size + 2 * pad - k) // stride + 1
    x, w, b, dy = (torch.randn(shape) for shape in
                   ((batch, C, size, size), (O, C // groups, k, k), (O,), (batch, O, out, out)))
    if channels_last:
        x, w, dy = (t.to(memory_format=torch.channels_last) for t in (x, w, dy))

    def backward(*wanted):
        torch.ops.aten.convolution_backward(dy, x, w, [O], [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], groups,
                                            wanted)

    return (lambda: torch.nn.functional.conv2d(x, w, b, stride, pad, 1, groups),
            lambda: backward(True, False, False), lambda: backward(False, True, True))


def measure(tasks, seconds):
    """The least milliseconds of each task, in alternating rounds."""
    for task in tasks.values():
        for _ in range(2):
            task()
    times = {name: [] for name in tasks}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < 5:
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            times[name].append((time.perf_counter() - start) * 1e3)
    return {name: float(np.min(values)) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each line")
    parser.add_argument("--only", default="", help="layers whose names contain this")
    options = parser.parse_args()
    nnmod.setnumthreads(options.threads)
    try:
        import torch
        torch.set_num_threads(options.threads)
    except ImportError:
        torch = None
    print(f"ms, {options.threads} thread(s)                        nnmod   GF/s    torch  torch / nnmod")
    ratios = []
    for layer in LAYERS:
        if options.only not in layer:
            continue
        batch, C, O, k, size, stride, pad, groups = LAYERS[layer]
        flops = 2e-6 * batch * O * (C // groups) * k * k * ((size + 2 * pad - k) // stride + 1) ** 2
        mine = ours(layer)
        others = [theirs(layer, False), theirs(layer, True)] if torch else []
        for i, verb in enumerate(VERBS):
            with torch.no_grad():
                times = measure({"nnmod": mine[i], **{str(j): task[i] for j, task in enumerate(others)}},
                                options.seconds)
            time_of_ours = times.pop("nnmod")
            best = min(times.values(), default=math.nan)
            ratios.append(best / time_of_ours)
            print(f"{layer:26} {verb:12} {time_of_ours:9.3f} {flops / time_of_ours:6.0f} {best:8.3f} "
                  f"{ratios[-1]:8.2f}", flush=True)
    print(f"geometric mean {math.exp(np.mean(np.log(ratios))):.2f}, least {min(ratios):.2f}")


if __name__ == "__main__":
    main()
