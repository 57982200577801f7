"""How fast are products of matrices, and how near the processor's peak?

Shapes from one row to 2048 cubed, as Linear uses them: N and T say how the operands lie.
Beside NumPy, with OpenBLAS at its best, and torch.
"""
import numpy as np

import nnmod

from .harness import Row, find_torch, measure, threads

TITLE = "Products of matrices"
SHAPES = [  # M, K, N, layout
    (1, 784, 512, "NT"), (1, 512, 784, "NN"), (1, 1024, 1024, "NT"), (1, 2048, 2048, "NN"), (2, 1024, 1024, "NT"),
    (4, 784, 512, "NT"), (4, 512, 784, "NN"), (8, 784, 512, "NT"), (16, 784, 512, "NT"), (16, 512, 784, "NN"),
    (512, 16, 784, "TN"), (64, 500, 10, "NT"), (10, 64, 500, "TN"), (64, 10, 500, "NN"), (32, 256, 1024, "NT"),
    (64, 800, 500, "NT"), (128, 784, 512, "NT"), (128, 512, 784, "NN"), (512, 128, 784, "TN"),
    (64, 64, 64, "NN"), (128, 128, 128, "NT"), (256, 256, 256, "NN"), (512, 512, 512, "NN"),
    (1024, 1024, 1024, "NN"), (2048, 2048, 2048, "NN"),
]
#: No single shape may be slower than this; the geometric mean is wanted at 1.05.
LEAST = 0.9


def rows(run):
    """A line for each shape and number of threads."""
    for M, K, N, layout in SHAPES:
        name = f"{M} x {K} x {N} {layout}"
        if run.wants(name) and not (run.quick and M * K * N > 1024**3):
            for count in run.threads:
                with threads(count):
                    times = measure(_tasks(*((min(size, 16) for size in (M, K, N)) if run.tiny else (M, K, N)), layout),
                                    run.seconds / 6, count)
                yield Row(name, times.pop("nnmod"), times, count, flops=2 * M * K * N, goal=LEAST)


def _tasks(M, K, N, layout):
    """The same product by everyone."""
    rng = np.random.default_rng(0)
    trans_a, trans_b = (letter == "T" for letter in layout)
    a = rng.standard_normal((K, M) if trans_a else (M, K)).astype(np.float32)
    b = rng.standard_normal((N, K) if trans_b else (K, N)).astype(np.float32)
    ours, theirs = np.empty((M, N), np.float32), np.empty((M, N), np.float32)
    left, right = a.T if trans_a else a, b.T if trans_b else b
    kernels = nnmod.kernels.of(a)
    tasks = {"nnmod": lambda: kernels.gemm(a, b, ours, 1.0, 0.0, trans_a, trans_b),
             "NumPy": lambda: np.matmul(left, right, out=theirs)}
    torch = find_torch()
    if torch:
        ta, tb, tc = torch.from_numpy(left), torch.from_numpy(right), torch.empty(M, N)
        tasks["torch"] = lambda: torch.mm(ta, tb, out=tc)
    for task in tasks.values():
        task()
    if not np.allclose(ours, theirs, atol=1e-3 * K ** 0.5):
        raise ArithmeticError(f"the product {M} x {K} x {N} {layout} differs from NumPy's")
    return tasks
