"""The CUDA backend: kernels in Python compiled for NVIDIA GPUs, and an emulator that runs them on the CPU.

Meaning and shapes: the reference backend.  :mod:`emulator` tests anybody's kernels.
"""


class MissingKernel(NotImplementedError, AttributeError):
    """A kernel that the CPU has and CUDA has not."""


def __getattr__(name):
    from .. import reference

    if name.startswith("_") or not hasattr(reference, name):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    raise MissingKernel(f"nnmod has no CUDA kernel {name} yet: run this module on the CPU, module.cpu()")
