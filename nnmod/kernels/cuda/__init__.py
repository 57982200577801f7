"""The CUDA backend: kernels in Python compiled for NVIDIA GPUs, and an emulator that runs them on the CPU.

The same functions as the other backends; their meaning and shapes: the reference backend.
:mod:`emulator` runs these kernels, and anybody's, with no GPU.
"""
from .elementwise import elementwise as elementwise
from .elementwise import elementwise_sum as elementwise_sum
from .random import dropout_mask as dropout_mask
from .random import mask_rows as mask_rows
from .random import normal_noise as normal_noise
from .random import uniform_noise as uniform_noise


class MissingKernel(NotImplementedError, AttributeError):
    """A kernel that the CPU has and CUDA has not."""


def __getattr__(name):
    from .. import reference

    if name.startswith("_") or not hasattr(reference, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    raise MissingKernel(f"nnmod has no CUDA kernel {name} yet: run this module on the CPU, module.cpu()")
