"""Launch a kernel: one door, behind which is a GPU or the emulator."""
import numpy as np

from . import emulator


def launch(kernel, grid, block, *args):
    """Run *kernel*, a plain Python function written for ``numba.cuda``, over *grid* blocks of *block* threads.

    *args* are tensors on the device (their ``memory`` is what is handed over) and numbers; or
    NumPy arrays and numbers, which run in the emulator whatever else there is.  A launch of no
    blocks or no threads does nothing.
    """
    if not (np.prod(grid) and np.prod(block)):
        return
    from .array import CudaTensor
    from .engine import engine

    if not any(isinstance(value, CudaTensor) for value in args):
        emulator.launch(kernel, grid, block, *args)
        return
    for value in args:
        if isinstance(value, np.ndarray):
            raise TypeError(f"{kernel.__name__} takes tensors on one device, got cuda tensors and "
                            f"cpu.{value.dtype.name} {value.shape}; nnmod.cuda(array) copies one to the device")
    engine().launch(kernel, grid, block, [getattr(value, "memory", value) for value in args])


def blocks(count, threads):
    """How many blocks of *threads* threads cover *count* items, one thread to an item."""
    return -(-count // threads)


def scratch(like, shape, dtype):
    """Memory for a kernel's work, on the device of *like*: a tensor with undefined contents."""
    if isinstance(like, np.ndarray):
        return np.empty(shape, dtype)
    return type(like).empty(shape, dtype)
