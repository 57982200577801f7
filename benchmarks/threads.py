"""What does it cost to divide a kernel over threads, and from which size on does it pay?

The same kernel with its loop in parts: by nnmod's workers, by threads of Python that wait on
locks (what nnmod does where there are no workers), and by Numba's ``prange`` over OpenMP.  An
empty kernel shows the price alone; "one thread" is the same call, undivided.  Then products
and functions of growing size, beside torch with as many threads.
"""
import contextlib

import numpy as np

import nnmod

from .harness import Row, find_torch, measure, threads

TITLE = "Threads"


def rows(run):
    """Lines for every number of threads above one, at least for two."""
    for count in [count for count in run.threads if count > 1] or [2]:
        if nnmod.kernels.backend_name() == "cpu":
            for name, steps in (("an empty kernel", 0), ("10,000 steps in each part", 10_000)):
                if run.wants(name):
                    with threads(count):
                        yield _row(name, count, measure(_launches(count, steps, run.tiny), run.seconds / 2, count))
        for name, ours, theirs in _tasks(run):
            if run.wants(name):
                yield _row(name, count, _measure_sizes(ours, theirs, count, run.seconds / 4))


def _row(name, count, times):
    alone = times.pop("one thread")
    return Row(name, times.pop("workers"), times, count, forms={"one thread": alone})


def _launches(count, steps, tiny):
    from nnmod.kernels.cpu import threads as pool
    from nnmod.kernels.cpu.compile import jit

    @jit
    def kernel(start, stop, x, steps):
        for part in range(start, stop):
            value = x[part]
            for _ in range(steps):
                value = value * 0.5 + 1.0
            x[part] = value

    x = np.zeros(count)
    locks = pool._Pool()
    locks._workers, locks.size = None, count
    tasks = {
        "workers": lambda: pool.run(kernel, count, 1, x, steps),
        "one thread": lambda: kernel(0, count, x, steps),
        "Python's locks": lambda: locks.run(kernel, count, count, (x, steps)),
    }
    if not tiny:  # OpenMP kills what a process that used it forks
        with contextlib.suppress(Exception):  # or is not there
            tasks["Numba, OpenMP"] = _openmp(kernel, count, x, steps)
    return tasks


def _openmp(kernel, count, x, steps):
    import numba
    numba.config.THREADING_LAYER = "omp"

    @numba.njit(parallel=True, nogil=True)
    def divided(count, x, steps):
        for part in numba.prange(count):
            kernel(part, part + 1, x, steps)

    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
    divided(count, x, steps)
    return lambda: divided(count, x, steps)


def _tasks(run):
    """(name, what we do, what torch does) for each size."""
    torch, rng = find_torch(), np.random.default_rng(0)
    K = nnmod.kernels.of(np.zeros(1, np.float32))
    for M, N, L in ((16, 64, 64),) if run.tiny else ((16, 64, 64), (64, 128, 128), (64, 256, 256), (128, 512, 784)):
        a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((M, L), (L, N)))
        c = np.zeros((M, N), np.float32)
        theirs = [torch.from_numpy(array) for array in (a, b, c.copy())] if torch else None
        yield (f"product {M} x {L} x {N}", lambda: K.gemm(a, b, c),
               torch and (lambda: torch.mm(theirs[0], theirs[1], out=theirs[2])))
    tanh = nnmod.Tanh()
    for size in (4096,) if run.tiny else (16_384, 65_536, 262_144, 1_048_576):
        x = rng.standard_normal(size).astype(np.float32)
        source, out = (torch.from_numpy(x), torch.empty(size)) if torch else (None, None)
        yield (f"tanh of {size:,}", lambda: tanh.updateOutput(x),
               torch and (lambda: torch.tanh(source, out=out)))


def _measure_sizes(ours, theirs, count, seconds):
    """As nnmod divides it, undivided, and torch's; all by one clock."""
    pool = getattr(nnmod.kernels.of(np.zeros(1, np.float32)), "threads", None)

    def alone():
        if pool:
            pool._pool.size = 1  # workers stay, and sleep
        ours()
        if pool:
            pool._pool.size = count

    with threads(count):
        return measure({"workers": ours, "one thread": alone} | ({"torch": theirs} if theirs else {}), seconds, count)
