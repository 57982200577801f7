"""Launch a kernel: one door, behind which is a GPU or the emulator."""
import numpy as np

from . import emulator


def launch(kernel, grid, block, *args):
    """Run *kernel*, a plain Python function written for ``numba.cuda``, over *grid* blocks of *block* threads.

    *args* are NumPy arrays, tensors on the device (their ``memory`` is what is handed over)
    and numbers.  A launch of no blocks or no threads does nothing.
    """
    if not (np.prod(grid) and np.prod(block)):
        return
    emulator.launch(kernel, grid, block, *(getattr(value, "memory", value) for value in args))


def blocks(count, threads):
    """How many blocks of *threads* threads cover *count* items, one thread to an item."""
    return -(-count // threads)


def scratch(like, shape, dtype):
    """Memory for a kernel's intermediate results, on the device of *like*; what it holds means nothing."""
    if not isinstance(like, np.ndarray):
        raise TypeError(f"no scratch memory beside a {type(like).__name__}")
    return np.empty(shape, dtype)
