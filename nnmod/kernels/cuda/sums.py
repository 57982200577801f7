"""Sums over many numbers, in an order that depends on shapes alone.

A sum is a pair: the rounded sum, and what rounding lost (Knuth's two-sum).  It is as good as one
in twice the precision, without float64 instructions, of which most GPUs have few.

Sums over samples and pictures are taken in two stages: blocks sum parts of a channel into scratch
memory, then one thread puts a channel's parts together.  There are no atomics.
"""
import functools

import numpy as np

from .compile import device, each, number, per_item
from .launch import launch, scratch
from .target import cuda
from .tiles import PROCESSORS

#: Threads of a block.
THREADS = 256


@device
def plus(total, lost, x):
    """(total, lost) + x."""
    new = total + x
    part = new - total
    return new, lost + ((total - (new - part)) + (x - part))


@device
def joined(total, lost, other, other_lost):
    """The sum of two pairs."""
    total, lost = plus(total, lost, other)
    return total, lost + other_lost


@device
def rounded(total, lost):
    """A pair as one number.  What infinity loses to rounding is NaN, and does not count."""
    return total + lost if total - total == type(total)(0) else total


# -- sums over samples and pictures ------------------------------------------------------------

def sum_channels_by(term, N, C, S, like, *tensors):
    """(work, parts) with work (2, parts, C): sums of two terms over parts of N and S, for each channel.

    term     ``term(at, row, channel, *tensors)`` for kernels: two numbers, of the element *at* of
             (N, C, S), which is of sample *row*
    tensors  flat, four of them
    """
    parts = max(1, min(4 * PROCESSORS // (C if S > 1 else -(-C // 32)), N * S // 2048, 512))
    share = -(-N * S // parts)
    work = scratch(like, (2 * parts * C,), like.dtype)
    across = S == 1
    launch(_sums_of(term), parts * (-(-C // 32) if across else C), THREADS, work, np.uint32(across), np.uint64(N) *
           np.uint64(S), np.uint64(C), np.uint64(S), np.uint64(share), np.uint32(parts), *tensors)
    return work, parts


@functools.cache
def _sums_of(term):
    def kernel(work, across, count, C, S, share, parts, x, y, z, t):
        """With S = 1 a warp's lanes are channels, and its warps samples; else a block's threads are elements."""
        totals = cuda.shared.array((2, 256), work.dtype)
        losses = cuda.shared.array((2, 256), work.dtype)
        thread, block = np.uint32(cuda.threadIdx.x), np.uint32(cuda.blockIdx.x)
        zero = work.dtype.type(0)
        part = np.uint32(block % parts)
        channel = np.uint64(np.uint32(block // parts))
        first, step = np.uint64(thread), np.uint64(256)
        if across:
            channel = channel * np.uint64(32) + np.uint64(np.uint32(thread % np.uint32(32)))
            first, step = np.uint64(np.uint32(thread // np.uint32(32))), np.uint64(8)
        first += np.uint64(part) * share
        last = min(np.uint64(np.uint64(part) * share + share), count)
        a, a_lost, b, b_lost = zero, zero, zero, zero
        if channel < C:
            for e in range(first, last, step):
                row = np.uint64(np.uint64(e) // S)
                at = np.uint64((row * C + channel) * S + (np.uint64(e) - row * S))
                v, w = term(at, row, channel, x, y, z, t)
                a, a_lost = plus(a, a_lost, v)
                b, b_lost = plus(b, b_lost, w)
        totals[0, thread], losses[0, thread] = a, a_lost
        totals[1, thread], losses[1, thread] = b, b_lost
        cuda.syncthreads()
        width, end = np.uint32(128), np.uint32(32) if across else np.uint32(1)
        while width >= end:
            if thread < width:
                other = np.uint32(thread + width)
                a, a_lost = joined(a, a_lost, totals[0, other], losses[0, other])
                b, b_lost = joined(b, b_lost, totals[1, other], losses[1, other])
                totals[0, thread], losses[0, thread] = a, a_lost
                totals[1, thread], losses[1, thread] = b, b_lost
            cuda.syncthreads()
            width = np.uint32(width >> np.uint32(1))
        if thread < end and channel < C:
            work[np.uint64(part) * C + channel] = rounded(a, a_lost)
            work[(np.uint64(parts) + np.uint64(part)) * C + channel] = rounded(b, b_lost)

    kernel.__name__ = kernel.__qualname__ = f"sums_of_{term.py_func.__name__.lstrip('_')}"
    return kernel


@device
def parts_total(work, which, parts, C, channel):
    """The sum of a channel's parts, in their order."""
    at = np.uint64(which) * np.uint64(parts) * np.uint64(C) + np.uint64(channel)
    total, lost = work[at], work.dtype.type(0)
    for _ in range(np.uint32(1), parts):
        at += np.uint64(C)
        total, lost = plus(total, lost, work[at])
    return rounded(total, lost)


@device
def element(at, row, channel, x, y, z, t):
    """x itself, as a term."""
    return x[at], x.dtype.type(0)


def add_channel_sums(x, y, scale):
    """y[c] <- y[c] + scale times the sum over n and s of x[n, c, s].

    x  (N, C, S)
    y  (C,)  added to
    """
    N, C, S = x.shape
    if not x.size:
        return
    flat = x.reshape(-1)
    put_sums(sum_channels_by(element, N, C, S, x, flat, flat, flat, flat), y, scale, True)


def put_sums(sums, y, scale, add):
    """y <- scale times the first of the sums that sum_channels_by returned, plus y where *add*."""
    work, parts = sums
    each(_put_sums, y.size, work, np.uint32(parts), y.reshape(-1), np.uint32(y.size), number(scale, y), bool(add))


@per_item
def _put_sums(channel, work, parts, y, C, scale, add):
    total = scale * parts_total(work, np.uint32(0), parts, C, channel)
    y[channel] = y[channel] + total if add else total
