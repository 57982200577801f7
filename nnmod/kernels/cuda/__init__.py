"""CUDA: kernels in Python compiled for NVIDIA GPUs, and an emulator that runs them on the CPU.

The same functions as the other backends; their meaning and shapes: the reference backend.
:mod:`emulator` runs these kernels, and anybody's, with no GPU.
"""
from .elementwise import elementwise as elementwise
from .elementwise import elementwise_sum as elementwise_sum
from .random import dropout_mask as dropout_mask
from .random import mask_rows as mask_rows
from .random import normal_noise as normal_noise
from .random import uniform_noise as uniform_noise
