"""How fast are products, convolutions and a training step on a GPU, beside torch with cuDNN?

Without a GPU the table says so.  With NNMOD_CUDA=emulate the kernels run in the emulator, at
small sizes, and are compared with the CPU's: that is a check, and no time is of any use.
**It never ran on a GPU.**
"""
import os
import statistics
import time

import numpy as np

import nnmod

from . import networks
from .harness import Row, find_torch
from .training_step import MOMENTUM, RATE, our_step

TITLE = "On the GPU"
PRODUCTS = [(4096, 4096, 4096), (1024, 1024, 1024), (256, 256, 256), (128, 784, 512), (1, 4096, 4096),
            (64, 100_000, 576)]
#: N, C, H, W, O, kernel, stride, pad
CONVOLUTIONS = [(32, 64, 56, 56, 64, 3, 1, 1), (32, 256, 14, 14, 256, 3, 1, 1), (32, 64, 56, 56, 256, 1, 1, 0),
                (32, 3, 224, 224, 64, 7, 2, 3), (64, 1, 28, 28, 20, 5, 1, 0)]
#: Tasks are given to the GPU so many at a time, and then waited for.
AT_ONCE = 10


def rows(run):
    """A line for each product, convolution and training step."""
    try:
        nnmod.cuda(np.zeros(1, np.float32))
    except (RuntimeError, ImportError) as error:
        print(f"nothing was measured: {error}")
        return
    emulated = os.environ.get("NNMOD_CUDA") == "emulate"
    torch = None if emulated else find_torch()
    if torch is not None and not torch.cuda.is_available():
        torch = None
    small = emulated or run.tiny
    for name, make, sizes, flops in _lines(small):
        if run.wants(name):
            tasks, ours, theirs = make(torch, *sizes)
            for task, _ in tasks.values():
                task()
            _compare(name, ours(), theirs())
            if emulated:
                print(f"{name}: equal to the CPU's, in the emulator")
            else:
                times = _measure(tasks, run.seconds / 6)
                yield Row(name, times.pop("nnmod"), times, 1, flops=flops)


def _lines(small):
    """(name, function that makes the tasks, its sizes, operations) of every line."""
    for M, K, N in PRODUCTS:
        if small:
            M, K, N = min(M, 70), min(K, 50), min(N, 70)
        yield f"product {M} x {K} x {N}", _product, (M, K, N), 2 * M * K * N
    for N, C, H, W, O, kernel, stride, pad in CONVOLUTIONS:
        if small:
            N, C, H, W, O = min(N, 2), min(C, 4), min(H, 14), min(W, 14), min(O, 6)
        out = [(size + 2 * pad - kernel) // stride + 1 for size in (H, W)]
        yield (f"convolution {N} x {C} x {H} x {W} to {O}, {kernel} x {kernel}, stride {stride}, forward and backward",
               _convolution, (N, C, H, W, O, kernel, stride, pad), 6 * N * O * C * kernel**2 * out[0] * out[1])
    network = next(network for network in networks.NETWORKS if network.name == "LeNet")
    batch = 2 if small else network.batches[-1]
    yield f"training step of {network.name}, batch {batch}", _training_step, (network, batch, small), None


def _measure(tasks, seconds):
    """The median seconds of each task, {name: (task, function that waits)}, in alternating rounds."""
    times = {name: [] for name in tasks}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(times.values()))) < 5:
        for name, (task, wait) in tasks.items():
            wait()
            start = time.perf_counter()
            for _ in range(AT_ONCE):
                task()
            wait()
            times[name].append((time.perf_counter() - start) / AT_ONCE)
    return {name: statistics.median(values) for name, values in times.items()}


def _compare(name, ours, theirs):
    """Raise where the device's results differ from the CPU's."""
    for a, b in zip(ours, theirs):
        if not np.allclose(a, b, rtol=1e-3, atol=1e-3 * max(1, np.abs(b).max(initial=0))):
            raise ArithmeticError(f"{name}: the device's result differs from the CPU's")


def _waits(tensor):
    """A function that waits for what computes *tensor*: it reads an element."""
    return lambda: tensor.reshape(-1)[:1].numpy()


def _product(torch, M, K, N):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((M, K)).astype(np.float32), rng.standard_normal((K, N)).astype(np.float32)
    x, w, y = map(nnmod.cuda, (a, b, np.empty((M, N), np.float32)))
    kernels = nnmod.kernels.of(x)
    tasks = {"nnmod": (lambda: kernels.gemm(x, w, y), _waits(y))}
    if torch:
        left, right = torch.from_numpy(a).cuda(), torch.from_numpy(b).cuda()
        tasks["torch"] = lambda: torch.mm(left, right), torch.cuda.synchronize
    return tasks, lambda: [y.numpy()], lambda: [a @ b]


def _convolution(torch, N, C, H, W, O, kernel, stride, pad):
    rng = np.random.default_rng(0)
    here = nnmod.SpatialConvolution(C, O, kernel, kernel, stride, stride, pad, pad)
    x = rng.standard_normal((N, C, H, W)).astype(np.float32)
    gradOutput = rng.standard_normal(here.forward(x).shape).astype(np.float32)
    there = here.clone().cuda()
    tensors = nnmod.cuda(x), nnmod.cuda(gradOutput)

    def step(net, x, gradOutput):
        net.zeroGradParameters()
        net.forward(x)
        net.backward(x, gradOutput)

    step(here, x, gradOutput)
    step(there, *tensors)
    tasks = {"nnmod": (lambda: step(there, *tensors), _waits(there.gradInput))}
    if torch:
        weights = [torch.from_numpy(p.copy()).cuda().requires_grad_() for p in (here.weight, here.bias)]
        picture = torch.from_numpy(x).cuda().requires_grad_()
        gradient = torch.from_numpy(gradOutput).cuda()
        tasks["torch"] = (lambda: torch.autograd.grad(
            torch.nn.functional.conv2d(picture, *weights, stride, pad), [picture, *weights], gradient),
            torch.cuda.synchronize)

    def results(net):
        return [nnmod.tensor.host(value) for value in (net.output, net.gradInput, net.gradWeight, net.gradBias)]

    return tasks, lambda: results(there), lambda: results(here)


def _training_step(torch, network, batch, small):
    sizes = network.tiny if small else {}
    here = networks.build(network, **sizes)
    x, target = network.batch(batch)
    there = here.clone().cuda()
    losses = {"here": [], "there": []}
    ours, reference = our_step(there, nnmod.cuda(x), nnmod.cuda(target)), our_step(here, x, target)
    tasks = {"nnmod": (ours, lambda: None)}  # a loss is a number: reading it has waited
    for _ in range(3):
        losses["there"].append(ours())
        losses["here"].append(reference())
    if torch:
        peer = networks.build_torch(network, torch, here, **sizes).cuda()
        picture, label = torch.from_numpy(x).cuda(), torch.from_numpy(target.copy()).cuda()
        optimizer = torch.optim.SGD(peer.parameters(), lr=RATE, momentum=MOMENTUM)

        def step():
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(peer(picture), label).backward()
            optimizer.step()

        tasks["torch"] = step, torch.cuda.synchronize
    return tasks, lambda: [np.array(losses["there"])], lambda: [np.array(losses["here"])]
