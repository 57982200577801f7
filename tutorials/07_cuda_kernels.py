"""Tutorial 7: CUDA kernels of your own, with no GPU.

You learn how a kernel for a GPU is written in Python, and how it goes wrong:

    1. one thread for each number          a vector sum
    2. threads that work together          a block adds up its numbers in shared memory
    3. four classic mistakes               no bounds check, no barrier, a barrier that some
                                           threads miss, two blocks that write to one place
    4. a network on the device             net.cuda(), and the same losses as on the CPU

Everything runs in the emulator: the compiler for GPUs compiles your kernel, and what it
wrote is executed by the CPU, which looks at every access of memory.  What on a GPU is
right by luck, or a wrong number without a word, is an error here that names the line.
The kernels run on a GPU as they are; the emulator was never compared with one.

    pip install -e ".[tutorials,cuda]"
    python tutorials/07_cuda_kernels.py
"""
import argparse
import linecache
import os
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import nnmod

# The device is emulated unless you ask for a GPU: NNMOD_CUDA=driver python tutorials/07_cuda_kernels.py
# puts the network of step 4 on it, steps 1 to 3 are about the emulator.
os.environ.setdefault("NNMOD_CUDA", "emulate")
try:
    from nnmod.kernels.cuda import emulator
except ImportError as error:
    sys.exit(f"this tutorial cannot run: {error}")
from numba import cuda  # after nnmod's import, which makes sure that it is the one of numba-cuda


# -- 1. One thread for each number ---------------------------------------------------
#
# A kernel is what ONE thread does.  A grid of blocks of threads is launched, and each
# asks where it is: cuda.grid(1) is blockIdx.x * blockDim.x + threadIdx.x.

@cuda.jit
def add(x, y, z):
    i = cuda.grid(1)
    if i < z.size:  # the last block has more threads than there are numbers left
        z[i] = x[i] + y[i]


# -- 2. Threads that work together ---------------------------------------------------
#
# The threads of a block share a little fast memory.  Half of them add the other half's
# numbers to their own, then half of the half, and after 8 rounds one number is left.
# A barrier, syncthreads, stands before each round: nobody reads what is not there yet.

@cuda.jit
def block_sums(x, sums):
    parts = cuda.shared.array(256, np.float32)
    thread = cuda.threadIdx.x
    i = cuda.grid(1)
    parts[thread] = x[i] if i < x.size else np.float32(0)  # a bare 0.0 would be a float64
    step = 128
    while step > 0:
        cuda.syncthreads()
        if thread < step:
            parts[thread] += parts[thread + step]
        step //= 2
    if thread == 0:
        sums[cuda.blockIdx.x] = parts[0]


# -- 3. Four classic mistakes --------------------------------------------------------

@cuda.jit
def add_unchecked(x, y, z):
    i = cuda.grid(1)
    z[i] = x[i] + y[i]  # the last block goes on behind the end


@cuda.jit
def sums_with_one_barrier(x, sums):
    parts = cuda.shared.array(256, np.float32)
    thread = cuda.threadIdx.x
    i = cuda.grid(1)
    parts[thread] = x[i] if i < x.size else np.float32(0)
    cuda.syncthreads()  # one is not enough: each round reads what the last one wrote
    step = 128
    while step > 0:
        if thread < step:
            parts[thread] += parts[thread + step]
        step //= 2
    if thread == 0:
        sums[cuda.blockIdx.x] = parts[0]


@cuda.jit
def sums_with_a_barrier_for_some(x, sums):
    parts = cuda.shared.array(256, np.float32)
    thread = cuda.threadIdx.x
    i = cuda.grid(1)
    parts[thread] = x[i] if i < x.size else np.float32(0)
    step = 128
    while step > 0:
        if thread < step:
            cuda.syncthreads()  # the others never come
            parts[thread] += parts[thread + step]
        step //= 2
    if thread == 0:
        sums[cuda.blockIdx.x] = parts[0]


@cuda.jit
def one_total(x, total):
    i = cuda.grid(1)
    if i < x.size:
        total[0] += x[i]  # read, add, write: whoever came between is forgotten


# -- The lesson ----------------------------------------------------------------------

def main(argv=None):
    options = argparse.ArgumentParser(description="CUDA kernels of your own, with no GPU.")
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "07",
                         help="folder for the pictures (default: tutorials/out/07)")
    options.add_argument("--quick", action="store_true", help="fewer steps of training")
    options = options.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)

    print("1. One thread for each number: z = x + y")
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, 1000)).astype(np.float32)
    z = np.zeros_like(x)
    blocks = -(-x.size // 256)
    print(f"     {x.size} numbers, blocks of 256 threads: {blocks} blocks, {256 * blocks} threads, "
          f"{256 * blocks - x.size} of them with nothing to do")
    emulator.launch(add, blocks, 256, x, y, z)  # on a GPU: add[blocks, 256](x, y, z)
    print(f"     x[999] + y[999] = {x[999]:.4f} + {y[999]:.4f} = {z[999]:.4f}; as NumPy's: {(z == x + y).all()}")
    assert (z == x + y).all()

    print("\n2. Threads that work together: the sum of x")
    sums, total = np.zeros(blocks, np.float32), np.zeros(1, np.float32)
    emulator.launch(block_sums, blocks, 256, x, sums)
    print("     the sums of the blocks:", vector(sums))
    emulator.launch(block_sums, 1, 256, sums, total)  # their sum: the same kernel once more, in one block
    print(f"     their sum: {total[0]:.4f}; NumPy says {x.sum():.4f}")
    assert abs(total[0] - x.sum()) < 1e-3
    # No thread writes where another one does, and who adds what is fixed: two runs give the same bits.
    again = np.zeros_like(sums)
    emulator.launch(block_sums, blocks, 256, x, again)
    assert again.tobytes() == sums.tobytes()
    rounds = watch_a_block(np.arange(1, 17, dtype=np.float32))
    assert rounds[-1, 0] == 16 * 17 / 2
    draw_rounds(rounds, options.out / "block_sum.png")

    print("\n3. Four classic mistakes, and what the emulator says of them")
    print("   No bounds check.  On a GPU it writes into whatever lies behind z:")
    fault = fault_of(add_unchecked, blocks, 256, x, y, z)
    assert fault.kind == "global out of bounds"
    # Thread 232 of block 3 is number 3 * 256 + 232 = 1000, the first that is not there.
    assert fault.block == (3, 0, 0) and fault.thread == (232, 0, 0)

    print("   One barrier before all rounds.  Each round reads what another thread may not have written yet:")
    fault = fault_of(sums_with_one_barrier, blocks, 256, x, sums)
    assert fault.kind == "race in shared memory"

    print("   A barrier that only some threads reach.  On a GPU the block may hang, or go on without it:")
    fault = fault_of(sums_with_a_barrier_for_some, blocks, 256, x, sums)
    assert fault.kind in ("divergent barrier", "thread ended before a barrier")

    print("   Threads that write to one place.  On a GPU the total is of some of the numbers, others in each run:")
    fault = fault_of(one_total, blocks, 256, x, total)
    assert "race in global memory" in fault.kind
    print("   A race is found by what orders two accesses, not by luck: any run shows it.")

    print("\n4. A network on the device")
    steps = 20 if options.quick else 100
    # Is a point of the plane in the first or third quadrant, or in the others?
    points = rng.standard_normal((128, 2)).astype(np.float32)
    quadrants = (points[:, 0] * points[:, 1] > 0).astype(np.int64)
    print(f"     the device: {engine_in_words()}")
    print(f"     a tensor there: {nnmod.cuda(points)!r}; here: numpy.{points.dtype.name} {points.shape}")
    losses = {}
    for device in ("CPU", "device"):
        began = time.perf_counter()
        losses[device] = train(points, quadrants, steps, on_device=device == "device")
        print(f"     {steps} steps on the {device:6}  loss {losses[device][0]:.6f} -> {losses[device][-1]:.6f}   "
              f"{time.perf_counter() - began:5.1f} s with compilation")
    difference = np.abs(np.subtract(losses["CPU"], losses["device"]))
    print(f"     largest difference of the losses, step by step: {difference.max():.1e}")
    assert difference.max() < 1e-4 and losses["device"][-1] < 0.9 * losses["device"][0]
    print("     The time says nothing of a GPU: the emulator checks every access of memory.")
    draw_losses(losses, options.out / "losses.png")
    print(f"\nPictures: {options.out / 'block_sum.png'}, {options.out / 'losses.png'}")


def fault_of(kernel, grid, block, *arrays):
    """Run a kernel that is wrong; print the emulator's verdict and the line, and return it."""
    try:
        emulator.launch(kernel, grid, block, *arrays)
    except emulator.KernelFault as fault:
        path, line = fault.where
        print(f"     {str(fault).splitlines()[0]}")
        print(f"       {Path(path).name}:{line}:  {linecache.getline(__file__, line).strip()}\n")
        return fault
    raise AssertionError(f"{kernel.py_func.__name__} should be caught")


def train(points, classes, steps, on_device):
    """The losses of a small network; but for three lines the loop is that of tutorial 2."""
    nnmod.manualSeed(1)
    net = nnmod.Sequential(nnmod.Linear(2, 32), nnmod.Tanh(), nnmod.Linear(32, 2), nnmod.LogSoftMax())
    criterion = nnmod.ClassNLLCriterion()
    x, t = points, classes
    if on_device:
        net.cuda()  # its parameters and gradients move there
        criterion.cuda()
        x, t = nnmod.cuda(points), nnmod.cuda(classes)  # copies there
    losses = []
    for _ in range(steps):
        losses.append(criterion.forward(net.forward(x), t))
        net.zeroGradParameters()
        net.backward(x, criterion.backward(net.output, t))
        net.updateParameters(1.0)
    net.cpu()  # back again: from here on NumPy arrays, to look at or to save
    assert isinstance(net[0].weight, np.ndarray)
    return losses


def engine_in_words():
    """Who runs the kernels: a GPU, or the emulator."""
    from nnmod.kernels.cuda.engine import engine

    return engine().describe()


def vector(values):
    return "(" + ", ".join(f"{value:.4f}" for value in values) + ")"


# -- the pictures --------------------------------------------------------------------

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#9a9a9a"  # apart for every kind of eye
matplotlib.rcParams.update({"font.size": 12, "axes.spines.top": False, "axes.spines.right": False})


@cuda.jit
def watched_sum(x, rounds):
    """The sum of block_sums for 16 threads, which writes down its shared memory before each round."""
    parts = cuda.shared.array(16, np.float32)
    thread = cuda.threadIdx.x
    parts[thread] = x[thread]
    rounds[0, thread] = parts[thread]
    step, count = 8, 1
    while step > 0:
        cuda.syncthreads()
        if thread < step:
            parts[thread] += parts[thread + step]
        rounds[count, thread] = parts[thread]
        step, count = step // 2, count + 1


def watch_a_block(x):
    """What stands in the shared memory of a block of 16 threads, round by round."""
    rounds = np.zeros((5, 16), np.float32)
    emulator.launch(watched_sum, 1, 16, x, rounds)
    return rounds


def draw_rounds(rounds, path):
    """The rounds of a sum: what each thread holds, and whose number it takes next."""
    figure = Figure((10.6, 5.2), layout="constrained")
    axes = figure.add_subplot()
    axes.axis("off")
    axes.set(xlim=(-2.6, 15.7), ylim=(-len(rounds) + 0.4, 0.9))
    step = 16
    for number, values in enumerate(rounds):
        label = "as loaded" if number == 0 else f"round {number}"
        axes.text(-2.5, -number, label, va="center", color="#404040")
        for thread, value in enumerate(values):
            works = thread < step
            axes.text(thread, -number, f"{value:g}", ha="center", va="center", color="white" if works else GREY,
                      bbox={"boxstyle": "round,pad=0.32", "facecolor": BLUE if works else "#eeeeee", "lw": 0})
        step //= 2
        for thread in range(step if number + 1 < len(rounds) else 0):
            for source, color in ((thread + step, ORANGE), (thread, BLUE)):
                axes.annotate("", (thread, -number - 0.76), (source, -number - 0.36), arrowprops={
                    "arrowstyle": "-|>", "color": color, "lw": 1.3, "alpha": 0.8})
        if number + 1 < len(rounds):
            axes.axhline(-number - 0.29, 0.13, color=ORANGE, lw=0.8, ls=":")
    for thread in range(16):
        axes.text(thread, 0.55, f"{thread}", ha="center", color=GREY)
    axes.text(-2.5, 0.55, "thread", color=GREY)
    axes.set_title("A block of 16 threads adds up 1 + 2 + ... + 16; dotted: the barriers", fontsize=13)
    figure.savefig(path, dpi=140)


def draw_losses(losses, path):
    """The losses on both devices, and how far they are apart."""
    figure = Figure((10.6, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(losses["CPU"], color=GREY, lw=5, label="CPU")
    left.plot(losses["device"], color=BLUE, lw=1.8, label="CUDA kernels")
    left.set(title="The same training, step by step", xlabel="step", ylabel="loss")
    left.legend(frameon=False)
    apart = np.abs(np.subtract(losses["CPU"], losses["device"]))
    right.semilogy(np.maximum(apart, 1e-10), "o", color=ORANGE, ms=4)
    right.set(title="How far the losses are apart", xlabel="step", ylim=(5e-11, 1e-4))
    right.axhline(1.2e-7, color=GREY, ls="--", lw=1)
    right.text(len(apart) - 1, 1.4e-7, "one step of float32 at 1", color=GREY, ha="right", va="bottom",
               fontsize=10)
    figure.savefig(path, dpi=140)


if __name__ == "__main__":
    main()
