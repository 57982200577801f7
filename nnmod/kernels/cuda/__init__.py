"""CUDA: kernels in Python compiled for NVIDIA GPUs, and an emulator that runs them on the CPU.

The library's own modules have no CUDA kernels yet.  :mod:`emulator` tests anybody's.
"""
