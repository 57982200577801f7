"""What a device does for tensors and kernels: the GPU behind its driver, or the emulator.

Both have the same methods; :func:`engine` says which one this process uses.  The driver's part
was written beside numba-cuda's source and **has never run on a GPU**.
"""
import contextlib
import os
import threading

import numpy as np

from .. import NO_CUDA
from .allocator import ALIGNMENT, Allocator
from .dlpack import CPU, CUDA
from .target import cuda, named

_engine = None
_lock = threading.Lock()


def engine():
    """The engine of this process, chosen at the first use of CUDA.

    ``NNMOD_CUDA=emulate`` asks for the emulator, ``NNMOD_CUDA=driver``, or nothing, for the GPU.
    Raises RuntimeError where that cannot be had.
    """
    global _engine
    if _engine is None:
        with _lock:
            if _engine is None:
                _engine = _choose(os.environ.get("NNMOD_CUDA", ""))
    return _engine


def _choose(name):
    if name not in ("", "driver", "emulate"):
        raise ValueError(f"NNMOD_CUDA must be driver or emulate, got {name!r}")
    if name == "emulate":
        return Emulated()
    if not cuda.is_available():
        raise RuntimeError(NO_CUDA)
    return Driver()


class Emulated:
    """Kernels run in the emulator; the memory of the device is NumPy's."""

    name = "emulator"
    #: What DLPack is told: the memory is the CPU's.
    dlpack_device = CPU, 0

    def describe(self):
        """The device, in words."""
        return "the processor runs what is compiled for the GPU"

    def __init__(self):
        self.allocator = Allocator(_aligned_bytes, lambda raw: None)

    @property
    def stream(self):
        """The stream that work goes to: there is one only, which is always done."""
        return 0

    @contextlib.contextmanager
    def on(self, stream):
        """Work within goes to *stream*; the emulator does it at once."""
        yield stream

    def block(self, nbytes):
        """A block of memory.  It holds NaN, so that reading what nobody wrote shows."""
        block = self.allocator.take(nbytes)
        block.raw.fill(255)
        return block

    def memory(self, raw, start, stop, shape, strides, dtype):
        """The array at bytes *start* .. *stop* of *raw*, as kernels take it."""
        return np.ndarray(shape, dtype, raw[start:stop], 0, strides)

    def address(self, raw):
        """Where *raw* begins."""
        return raw.ctypes.data

    def upload(self, source, target):
        """Copy a dense array of the host into one of the device, of the same size and dtype."""
        target[...] = source

    def download(self, source, target):
        """Copy a dense array of the device into one of the host, of the same size and dtype."""
        target[...] = source

    def move(self, source, target):
        """Copy a dense array of the device into another, of the same size and dtype."""
        target[...] = source

    def clear(self, target):
        """Set all bytes of a dense array to 0."""
        target.fill(0)

    def launch(self, kernel, grid, block, args):
        """Run *kernel*; arrays are what memory() made."""
        from . import emulator

        emulator.launch(kernel, grid, block, *args)

    def synchronize(self):
        """Wait for all work: it is done already."""

    def enter(self):
        """Make the device that of this thread: there is one only."""

    def release(self):
        """Give back all memory that nobody holds."""
        self.allocator.release()


def _aligned_bytes(size):
    raw = np.empty(size + ALIGNMENT, np.uint8)
    first = -raw.ctypes.data % ALIGNMENT
    return raw[first:first + size]


class Driver:
    """Kernels run on the GPU: the current device of numba-cuda, all on one.  Never run on hardware."""

    name = "driver"

    def __init__(self):
        from numba.cuda.core import config
        from numba.cuda.cudadrv import devicearray, devices, driver

        # Small tensors make small grids, which is nothing to warn of.
        config.CUDA_LOW_OCCUPANCY_WARNINGS = 0
        self._cuda, self._devicearray, self._devices, self._driver = cuda, devicearray, devices, driver
        self._current = threading.local()
        self._kernels = {}
        # What is freed goes to numba's list of memory to free, which waits for running work.
        self.allocator = Allocator(self._allocate, lambda raw: None)

    def _allocate(self, size):
        try:
            return self._devices.get_context().memalloc(size)
        except self._driver.CudaAPIError as error:
            if error.code == self._driver.binding.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
                raise MemoryError(str(error)) from error
            raise

    @property
    def dlpack_device(self):
        """What DLPack is told: a GPU, and its number."""
        return CUDA, self._cuda.get_current_device().id

    def describe(self):
        """The device, in words."""
        gpu = self._cuda.get_current_device()
        name = gpu.name.decode() if isinstance(gpu.name, bytes) else gpu.name
        return f"{name}, compute capability {'.'.join(map(str, gpu.compute_capability))}"

    @property
    def stream(self):
        """The stream that this thread's work goes to: 0, the default one, or one of numba-cuda."""
        return getattr(self._current, "stream", 0)

    @contextlib.contextmanager
    def on(self, stream):
        """Work of this thread within goes to *stream*, of numba-cuda."""
        before = self.stream
        self._current.stream = stream
        try:
            yield stream
        finally:
            self._current.stream = before

    def block(self, nbytes):
        """A block of memory; contents undefined."""
        return self.allocator.take(nbytes, int(self.stream))

    def memory(self, raw, start, stop, shape, strides, dtype):
        """The array at bytes *start* .. *stop* of *raw*, as kernels take it."""
        return self._devicearray.DeviceNDArray(shape, strides, dtype, gpu_data=raw.view(start, stop))

    def address(self, raw):
        """Where *raw* begins."""
        return raw.device_pointer_value or 0

    def upload(self, source, target):
        """Copy a dense array of the host into one of the device, of the same size and dtype."""
        target.copy_to_device(source, stream=self.stream)
        self._settle()

    def download(self, source, target):
        """Copy a dense array of the device into one of the host, of the same size and dtype."""
        source.copy_to_host(target, stream=self.stream)
        self._settle()

    def move(self, source, target):
        """Copy a dense array of the device into another, of the same size and dtype."""
        target.copy_to_device(source, stream=self.stream)

    def clear(self, target):
        """Set all bytes of a dense array to 0."""
        if target.size:
            self._driver.device_memset(target, 0, target.size * target.dtype.itemsize, stream=self.stream)

    def launch(self, kernel, grid, block, args):
        """Run *kernel*; arrays are what memory() made."""
        compiled = self._kernels.get(kernel)
        if compiled is None:
            # Some kernels say how many threads a block has, and how many blocks a processor is to hold.
            bounds = {"launch_bounds": kernel.launch_bounds} if hasattr(kernel, "launch_bounds") else {}
            compiled = kernel if hasattr(kernel, "py_func") else self._cuda.jit(kernel, **bounds)
            compiled = self._kernels.setdefault(kernel, compiled)
        with named(compiled.py_func):
            compiled[grid, block, self.stream](*args)

    def synchronize(self):
        """Wait for all work of this device."""
        self._devices.get_context().synchronize()

    def enter(self):
        """Make the GPU that of this thread, for libraries that take the thread's."""
        self._devices.get_context()

    def release(self):
        """Give back all memory that nobody holds, at once."""
        self.allocator.release()
        self._devices.get_context().memory_manager.deallocations.clear()

    def _settle(self):
        """The host's memory may be read, or written, once the copy is done."""
        if self.stream:
            self.stream.synchronize()
