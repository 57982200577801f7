"""Launch a Python kernel on the emulated GPU."""
import functools
import threading

import numpy as np

from .machine import Kernel

_lock = threading.Lock()
_kernels = {}


def launch(kernel, grid, block, *args, shared=0, races=True, compute_capability=(9, 0), fastmath=False):
    """Run a CUDA kernel on the CPU, with every access of memory looked at.

    Parameters
    ----------
    kernel : function or what ``numba.cuda.jit`` made of one
        It is compiled by numba-cuda to PTX, as for a GPU, for the types of *args*.
    grid, block : int or tuple of int
        The number of blocks, and of threads of one block, in up to three dimensions.
    *args
        NumPy arrays, which stand for arrays on the GPU, and numbers.
    shared : int
        Bytes of dynamic shared memory.
    races : bool
        Look for races and for shared memory that is read before it is written.  False
        is faster, and needed where blocks hand results to each other by atomics and fences.
    compute_capability : pair of int
        Which generation of GPUs to compile for.
    fastmath : bool
        Let the compiler use approximate instructions.

    Raises KernelFault for what no kernel may do, UnknownInstruction for PTX that cannot be
    emulated, and what Numba raises for a function that does not compile.
    """
    fastmath = fastmath or bool(getattr(kernel, "targetoptions", {}).get("fastmath"))
    function = getattr(kernel, "py_func", kernel)
    compiled, types = compiled_for(function, args, compute_capability, fastmath)
    data, arrays = [], []
    for value, kind in zip(args, types):
        if isinstance(value, np.ndarray):
            arrays.append(value)
            data += _array_words(value)
        else:
            data += _scalar_bytes(function, value, kind)
    compiled(grid, block, data, shared, races, arrays)


def compiled_for(function, args, compute_capability=(9, 0), fastmath=False):
    """The Kernel of *function* for the types of *args*, compiled once, and those types."""
    from .. import target

    types = tuple(target.type_of(value) for value in args)
    key = function, types, compute_capability, fastmath
    found = _kernels.get(key)
    if found is None:
        text = target.ptx(function, types, compute_capability, fastmath, getattr(function, "launch_bounds", None))
        with _lock:
            found = _kernels[key] = Kernel(text, function.__name__)
    return found, types


def _array_words(array):
    """An array as Numba passes it: no owner, sizes, address, shape, strides."""
    words = np.array([0, 0, array.size, array.itemsize, array.ctypes.data, *array.shape, *array.strides], np.int64)
    return [word.tobytes() for word in words]


def _scalar_bytes(function, value, kind):
    """A number as the bytes of Numba's type for it."""
    try:
        dtype = _dtype(str(kind))
    except TypeError:
        raise TypeError(f"{function.__name__}: the emulator takes NumPy arrays and numbers as arguments, got "
                        f"{type(value).__name__}") from None
    return [np.asarray(value, dtype).tobytes()]


@functools.cache
def _dtype(name):
    return np.dtype("bool" if name.startswith("bool") else name)
