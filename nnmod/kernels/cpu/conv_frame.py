"""What every method of convolution stands on: the geometry, and frames.

A **frame** is scratch memory that holds channels of one sample with their padding, so that
no loop over windows has an edge to mind.  With a horizontal stride s its rows are sorted into
s **phases**: first columns 0, s, 2s, ..., then 1, s + 1, ...  What tap (i, j) of the kernel sees
along a row of windows then always lies side by side, whatever the stride and the dilation:

    element of tap t for window (oh, ow) = frame + offsets[t] + oh * window_row + ow    (elements)

Stores of whole vectors may run past the end of a row, for what follows is written later; a
frame has room for that at its end.  Steps and sizes are in bytes.
"""
import functools

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compile import inline, native
from .simd import VECTOR_BYTES, broadcast, get, lanes, load, load_part, put, store, store_part

#: Room at the end of a frame, a panel or a block for stores that run past it.
SLACK = 4 * VECTOR_BYTES


class Geometry:
    """The sizes of one convolution; geometry() makes and keeps them."""

    def __init__(self, x_shape, w_shape, y_shape, stride, pad, dilation, groups, size):
        self.N, self.C, self.H, self.W = _, _, H, W = x_shape
        self.O, self.CG, kh, kw = w_shape
        self.OH, self.OW = y_shape[2:]
        self.G = groups
        self.OG = self.O // groups
        self.K = self.CG * kh * kw
        self.P = self.OH * self.OW
        self.flops = self.N * self.O * self.K * self.P
        (sh, sw), (ph, pw), (dh, dw) = stride, pad, dilation
        self.ph, self.pw = pad
        self.stride, self.dilation, self.kernel = stride, dilation, (kh, kw)
        height, width = H + 2 * ph, -(-(W + 2 * pw) // sw)
        row = sw * width * size
        self.plane = plane = height * row + (VECTOR_BYTES if height * row % 1024 == 0 else 0)
        self.size = size
        #: as a kernel takes them: see numbers()
        self.numbers = np.array([self.N, self.C, H, W, self.O, self.OH, self.OW, groups, self.CG, self.OG, self.K,
                                 self.P, ph, pw, sw, width, plane, sh * row, kh * kw], np.int64)
        #: where each tap of each channel finds its element for window 0, in bytes
        self.offsets = np.array([c * plane + i * dh * row + (j * dw % sw * width + j * dw // sw) * size
                                 for c in range(self.CG) for i in range(kh) for j in range(kw)], np.int64)

        self._kept = {}

    def kept(self, name, make):
        """What *make* returned when it was first asked for."""
        found = self._kept.get(name)
        if found is None:
            found = self._kept[name] = make()
        return found

    def frame_bytes(self, channels):
        """The room that a frame of so many channels takes."""
        return rounded(channels * self.plane + SLACK, 64)


geometry = functools.lru_cache(512)(Geometry)


def rounded(n, step):
    """The next multiple of *step*."""
    return -(-n // step) * step


@inline
def numbers(array):
    """Geometry.numbers, by name: N, C, H, W, O, OH, OW, G, CG, OG, K, P, ph, pw, sw, width, plane, window_row, taps."""
    return (array[0], array[1], array[2], array[3], array[4], array[5], array[6], array[7], array[8], array[9],
            array[10], array[11], array[12], array[13], array[14], array[15], array[16], array[17], array[18])


def integer_at(e, address):
    """Emit the reading of an integer."""
    return e.values([e.builder.load(e.builder.inttoptr(address.ir, ir.PointerType(ir.IntType(64))))])[0]


@intrinsic
def get_integer(typingctx, address):
    """The integer at *address*."""
    def codegen(context, builder, signature, args):
        return builder.load(builder.inttoptr(args[0], ir.PointerType(ir.IntType(64))))

    return types.intp(types.intp), codegen


@intrinsic
def put_integer(typingctx, number, address):
    """Write an integer to *address*."""
    def codegen(context, builder, signature, args):
        builder.store(args[0], builder.inttoptr(args[1], ir.PointerType(ir.IntType(64))))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@inline
def put_zeros(like, start, stop):
    """Zeros from *start* on to *stop*, and on to the end of a vector."""
    zeros = broadcast(like - like)
    while start < stop:
        store(zeros, start)
        start += VECTOR_BYTES


@native("number", *["int"] * 10)
def fill_frame(zero, x, channels, H, W, ph, pw, sw, width, plane, frame):
    """Copy *channels* planes (H, W) at x into a frame; *zero* is the number 0."""
    step = lanes(zero)
    size = VECTOR_BYTES // step
    row = sw * width * size
    for c in range(channels):
        end = frame + plane
        put_zeros(zero, frame, frame + ph * row)
        there = frame + ph * row
        for h in range(H):
            if sw == 1:
                put_zeros(zero, there, there + pw * size)
                out = there + pw * size
                w = 0
                while w + step <= W:
                    store(load(zero, x + w * size), out + w * size)
                    w += step
                if w < W:
                    store(load_part(zero, x + w * size, W - w), out + w * size)
                put_zeros(zero, out + W * size, out + (W + pw) * size)
            else:
                put_zeros(zero, there, there + row)
                for phase in range(sw):
                    first = max(0, pw - phase + sw - 1) // sw
                    here = x + (first * sw + phase - pw) * size
                    for q in range(first, min(width, (W + pw - phase + sw - 1) // sw)):
                        put(get(zero, here), there + (phase * width + q) * size)
                        here += sw * size
            x += W * size
            there += row
        put_zeros(zero, there, end)
        frame = end


@native("number", *["int"] * 10)
def drain_frame(zero, frame, channels, H, W, ph, pw, sw, width, plane, x):
    """Copy the inside of a frame to *channels* planes (H, W) at x, and nothing beyond them."""
    step = lanes(zero)
    size = VECTOR_BYTES // step
    row = sw * width * size
    for c in range(channels):
        here = frame + ph * row
        for h in range(H):
            if sw == 1:
                w = 0
                while w + step <= W:
                    store(load(zero, here + (pw + w) * size), x + w * size)
                    w += step
                if w < W:
                    store_part(load(zero, here + (pw + w) * size), x + w * size, W - w)
            else:
                for phase in range(sw):
                    first = max(0, pw - phase + sw - 1) // sw
                    out = x + (first * sw + phase - pw) * size
                    for q in range(first, min(width, (W + pw - phase + sw - 1) // sw)):
                        put(get(zero, here + (phase * width + q) * size), out)
                        out += sw * size
            x += W * size
            here += row
        frame += plane
