"""How fast are the convolutions?

The output, the gradient of the input and the gradients of the parameters of layers from
LeNet, VGG and ResNet, float32.  torch runs in the better of its two memory layouts, with its
gradients taken through its own backward pass.
"""
import numpy as np

from nnmod import kernels

from .harness import Row, find_torch, measure, threads

TITLE = "Convolution"
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


def rows(run):
    """A line for each layer, verb and number of threads."""
    for layer, sizes in LAYERS.items():
        if run.tiny:
            *_, k, size, stride, pad, groups = sizes
            groups = min(groups, 2)
            sizes = (1, 4 * groups, 4 * groups, k, min(size, 12), stride, pad, groups)
        wanted = [i for i, verb in enumerate(VERBS) if run.wants(f"{layer}, {verb}")]
        if not wanted:
            continue
        batch, C, O, k, size, stride, pad, groups = sizes
        flops = 2 * batch * O * (C // groups) * k * k * ((size + 2 * pad - k) // stride + 1) ** 2
        for count in run.threads:
            torch = find_torch()
            sides = {"nnmod": _ours(sizes)}
            if torch:
                sides |= {"torch": _theirs(torch, sizes, False), "torch channels_last": _theirs(torch, sizes, True)}
            for i in wanted:
                with threads(count):
                    times = measure({side: verbs[i] for side, verbs in sides.items()}, run.seconds / 6, count)
                yield Row(f"{layer}, {VERBS[i]}", times.pop("nnmod"), times, count, flops=flops, goal=1.0)


def _ours(sizes):
    batch, C, O, k, size, stride, pad, groups = sizes
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


def _theirs(torch, sizes, channels_last):
    batch, C, O, k, size, stride, pad, groups = sizes
    out = (size + 2 * pad - k) // stride + 1
    x, w, b, dy = (torch.randn(shape) for shape in
                   ((batch, C, size, size), (O, C // groups, k, k), (O,), (batch, O, out, out)))
    if channels_last:
        x, w, dy = (t.to(memory_format=torch.channels_last) for t in (x, w, dy))

    def backward(*wanted):
        torch.ops.aten.convolution_backward(dy, x, w, [O], [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], groups,
                                            wanted)

    def forward():
        with torch.no_grad():
            torch.nn.functional.conv2d(x, w, b, stride, pad, 1, groups)

    return forward, lambda: backward(True, False, False), lambda: backward(False, True, True)
