"""CUDA kernels on the CPU: compiled by the compiler for GPUs, run here, and looked at closely.

``launch(kernel, grid, block, *args)`` runs a kernel written for ``numba.cuda`` on NumPy arrays,
with no GPU, no driver and no C compiler.  It finds accesses out of bounds or misaligned, races
between threads and between blocks, shared memory that nobody wrote, barriers that not all
threads reach, and warp operations with missing lanes; the message names the kernel, the line
of Python, the thread and the block.

How it works, from top to bottom: Numba writes PTX (``target.py``), :mod:`parse` reads it,
:mod:`translate` and :mod:`instructions` make LLVM IR of it, :mod:`machine` compiles that for
this processor, and :mod:`runtime` gives the threads their turns and checks their accesses.
"""
from .errors import KernelFault as KernelFault
from .errors import UnknownInstruction as UnknownInstruction
from .launch import launch as launch
from .machine import Kernel as Kernel
