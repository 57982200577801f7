"""Softmax on the GPU.  Meaning and shapes: kernels/reference/softmax.py.

Of images a thread takes a pixel.  Of rows (S = 1) a warp takes a row: its lanes put maxima and
sums together by shuffles.
"""
import math

import numpy as np

from .compile import device
from .launch import blocks, launch
from .target import cuda

#: Warps of a block of the kernels that take rows.
_WARPS = 4
_FULL = 0xFFFFFFFF


def softmax_update_output(x, y):
    """y <- exp(x) / sum over c of exp(x).  See the reference."""
    _run(_row_softmax, _pixel_softmax, x.shape, x, y, np.uint32(0))


def log_softmax_update_output(x, y):
    """y <- x - log sum over c of exp(x).  See the reference."""
    _run(_row_softmax, _pixel_softmax, x.shape, x, y, np.uint32(1))


def softmax_update_grad_input(y, dy, dx):
    """dx <- y (dy - sum over c of y dy).  See the reference."""
    _run(_row_gradient, _pixel_gradient, y.shape, y, dy, dx, np.uint32(0))


def log_softmax_update_grad_input(y, dy, dx):
    """dx <- dy - exp(y) sum over c of dy.  See the reference."""
    _run(_row_gradient, _pixel_gradient, y.shape, y, dy, dx, np.uint32(1))


def _run(rows, pixels, shape, *args):
    """Launch the kernel for rows or that for images on flat tensors; the last argument is a number."""
    N, C, S = shape
    flat = [tensor.reshape(-1) for tensor in args[:-1]]
    if not N * C * S:
        return
    if S == 1:
        launch(rows, blocks(N, _WARPS), 32 * _WARPS, *flat, args[-1], np.uint64(N), np.uint32(C))
    else:
        launch(pixels, blocks(N * S, 128), 128, *flat, args[-1], np.uint64(N * S), np.uint64(C), np.uint64(S))


@device
def _larger(a, b):
    """The larger of two numbers; NaN wins over every number."""
    return a if a > b or a != a else b


@device
def _warp_largest(v):
    """The largest of the lanes' numbers, for all of them."""
    step = 16
    while step > 0:
        v = _larger(v, cuda.shfl_xor_sync(_FULL, v, step))
        step >>= 1
    return v


@device
def _warp_sum(v):
    """The sum of the lanes' numbers, the same bits for all of them."""
    step = 16
    while step > 0:
        v += cuda.shfl_xor_sync(_FULL, v, step)
        step >>= 1
    return v


def _row_softmax(x, y, log, N, C):
    lane = np.uint32(np.uint32(cuda.threadIdx.x) % np.uint32(32))
    row = np.uint64(cuda.blockIdx.x) * np.uint64(_WARPS) + np.uint64(cuda.threadIdx.x) // np.uint64(32)
    if row < N:
        start = row * np.uint64(C)
        # The first element stands in for lanes that have none.
        largest = x[start]
        for c in range(lane, C, np.uint32(32)):
            largest = _larger(largest, x[start + np.uint64(c)])
        largest = _warp_largest(largest)
        total = x.dtype.type(0)
        for c in range(lane, C, np.uint32(32)):
            total += math.exp(x[start + np.uint64(c)] - largest)
        total = _warp_sum(total)
        logarithm = math.log(total)
        for c in range(lane, C, np.uint32(32)):
            at = start + np.uint64(c)
            shifted = x[at] - largest
            y[at] = shifted - logarithm if log else math.exp(shifted) / total


def _pixel_softmax(x, y, log, count, C, S):
    pixel = np.uint64(cuda.grid(1))
    if pixel < count:
        start = pixel // S * C * S + pixel % S
        end = start + C * S
        largest = x[start]
        for at in range(start, end, S):
            largest = _larger(largest, x[np.uint64(at)])
        total = x.dtype.type(0)
        for at in range(start, end, S):
            total += math.exp(x[np.uint64(at)] - largest)
        logarithm = math.log(total)
        for at in range(start, end, S):
            shifted = x[np.uint64(at)] - largest
            y[np.uint64(at)] = shifted - logarithm if log else math.exp(shifted) / total


@device
def _gradient(y, dy, total, log):
    return dy - math.exp(y) * total if log else y * (dy - total)


def _row_gradient(y, dy, dx, log, N, C):
    lane = np.uint32(np.uint32(cuda.threadIdx.x) % np.uint32(32))
    row = np.uint64(cuda.blockIdx.x) * np.uint64(_WARPS) + np.uint64(cuda.threadIdx.x) // np.uint64(32)
    if row < N:
        start = row * np.uint64(C)
        total = y.dtype.type(0)
        for c in range(lane, C, np.uint32(32)):
            at = start + np.uint64(c)
            total += dy[at] if log else y[at] * dy[at]
        total = _warp_sum(total)
        for c in range(lane, C, np.uint32(32)):
            at = start + np.uint64(c)
            dx[at] = _gradient(y[at], dy[at], total, log)


def _pixel_gradient(y, dy, dx, log, count, C, S):
    pixel = np.uint64(cuda.grid(1))
    if pixel < count:
        start = pixel // S * C * S + pixel % S
        end = start + C * S
        total = y.dtype.type(0)
        for place in range(start, end, S):
            at = np.uint64(place)
            total += dy[at] if log else y[at] * dy[at]
        for place in range(start, end, S):
            at = np.uint64(place)
            dx[at] = _gradient(y[at], dy[at], total, log)
