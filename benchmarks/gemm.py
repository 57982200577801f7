"""How fast are products of matrices, beside NumPy's BLAS and torch, and how near the processor's peak?

Shapes from one row to 2048 cubed, as Linear uses them: N and T say how the operands lie. All
on one thread, in alternating rounds of one process, timed by the processor time of the thread,
which other processes disturb less; the median of the faster half. The peak is that of
fused multiply-adds on registers, measured here. Ratios are theirs / ours; higher is better.

    python benchmarks/gemm.py            (--seconds 1 for steadier figures)
"""
import argparse
import os
import time

# Before NumPy is loaded: one thread, and the kernel that OpenBLAS itself would choose.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["NNMOD_NUM_THREADS"] = "1"
for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

import nnmod  # noqa: F401  settles which backend there is
from nnmod.kernels.cpu import gemm
from nnmod.kernels.cpu.simd import VECTOR_BITS, Emitter, address

SHAPES = [  # M, K, N, layout
    (1, 784, 512, "NT"), (1, 512, 784, "NN"), (1, 1024, 1024, "NT"), (1, 2048, 2048, "NN"), (2, 1024, 1024, "NT"),
    (4, 784, 512, "NT"), (4, 512, 784, "NN"), (8, 784, 512, "NT"), (16, 784, 512, "NT"), (16, 512, 784, "NN"),
    (512, 16, 784, "TN"), (64, 500, 10, "NT"), (10, 64, 500, "TN"), (64, 10, 500, "NN"), (32, 256, 1024, "NT"),
    (64, 800, 500, "NT"), (128, 784, 512, "NT"), (128, 512, 784, "NN"), (512, 128, 784, "TN"),
    (64, 64, 64, "NN"), (128, 128, 128, "NT"), (256, 256, 256, "NN"), (512, 512, 512, "NN"),
    (1024, 1024, 1024, "NN"), (2048, 2048, 2048, "NN"),
]
CHAINS = 12  # sums that do not wait for each other: latency times units, and some


@intrinsic
def _chains(typingctx, number, count, out):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, number)
        number_, count_, out_ = e.values(args)
        x = e.broadcast(number_)
        (sums,) = e.loop(count_, lambda sums: ([e.fma(x, x, total) for total in sums],), [e.zero()] * CHAINS)
        e.put(e.sum(sum(sums[1:], sums[0])), out_)
        return context.get_dummy_value()

    return types.void(number, types.intp, types.intp), codegen


@njit(nogil=True)
def _multiply_adds(number, count, out):
    _chains(number, count, address(out))


def peak(dtype, rounds=50, count=50_000):
    """GF/s of multiply-adds that touch no memory, on one thread."""
    out, best = np.zeros(1, dtype), float("inf")
    _multiply_adds(dtype(0.5), 1, out)
    for _ in range(rounds):
        start = time.thread_time()
        _multiply_adds(dtype(0.5), count, out)
        best = min(best, time.thread_time() - start)
    return 2e-9 * CHAINS * count * VECTOR_BITS / 8 / np.dtype(dtype).itemsize / best


def tasks(M, K, N, layout, dtype, torch):
    """What to time: the same product by everyone."""
    rng = np.random.default_rng(0)
    trans_a, trans_b = (letter == "T" for letter in layout)
    a = rng.standard_normal((K, M) if trans_a else (M, K)).astype(dtype)
    b = rng.standard_normal((N, K) if trans_b else (K, N)).astype(dtype)
    ours, theirs = np.empty((M, N), dtype), np.empty((M, N), dtype)
    left, right = a.T if trans_a else a, b.T if trans_b else b
    found = {"nnmod": lambda: gemm(a, b, ours, 1.0, 0.0, trans_a, trans_b),
             "NumPy": lambda: np.matmul(left, right, out=theirs)}
    if torch:
        ta, tb, tc = torch.from_numpy(left), torch.from_numpy(right), torch.empty(M, N, dtype=torch.from_numpy(a).dtype)
        found["torch"] = lambda: torch.mm(ta, tb, out=tc)
    for task in found.values():
        task()
    assert np.allclose(ours, theirs, atol=1e-3 * K ** 0.5)
    return found


def measure(found, seconds, repeat):
    """Seconds of each task: medians of the faster halves of alternating rounds."""
    times = {name: [] for name in found}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["nnmod"]) < 4:
        for name, task in found.items():
            start = time.thread_time()
            for _ in range(repeat):
                task()
            times[name].append((time.thread_time() - start) / repeat)
    return {name: sorted(values)[len(values) // 4] for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="for each shape")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    options = parser.parse_args()
    dtype = getattr(np, options.dtype)
    try:
        import torch
        torch.set_num_threads(1)
    except ImportError:
        torch = None
    top = peak(dtype)
    print(f"{options.dtype}, one thread, vectors of {VECTOR_BITS} bits; peak {top:.0f} GF/s\n"
          f"{'M x K x N':>20}     nnmod  of peak    NumPy  ratio    torch  ratio   (GF/s)")
    ratios = {"NumPy": [], "torch": []}
    for M, K, N, layout in SHAPES:
        work = 2e-9 * M * K * N
        found = tasks(M, K, N, layout, dtype, torch)
        times = measure(found, options.seconds, max(1, int(0.002 / (work / top + 3e-6))))
        line = f"{M:>6} x{K:5} x{N:5} {layout}  {work / times['nnmod']:8.1f}  {work / times['nnmod'] / top:6.0%} "
        for name in ratios:
            if name in times:
                ratios[name].append(times[name] / times["nnmod"])
                line += f" {work / times[name]:8.1f} {ratios[name][-1]:6.2f}"
        print(line, flush=True)
    for name, values in ratios.items():
        if values:
            print(f"geometric mean of {name} / nnmod: {np.exp(np.mean(np.log(values))):.2f}, least {min(values):.2f}")


if __name__ == "__main__":
    main()
