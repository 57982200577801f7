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

from .compile import call, inline, native
from .simd import VECTOR_BYTES, Emitter, address

#: Room at the end of a frame, a panel or a block for stores that run past it.
SLACK = 4 * VECTOR_BYTES


#: What Geometry.numbers holds.
NAMES = ("N", "C", "H", "W", "O", "OH", "OW", "G", "CG", "OG", "K", "P", "ph", "pw", "sw", "width", "plane",
         "window_row",
         "taps")


class Geometry:
    """The sizes of one convolution; geometry() makes and keeps them."""

    def __init__(self, x_shape, w_shape, y_shape, stride, pad, dilation, groups, size):
        self.N, self.C, self.H, self.W = _, _, H, W = x_shape
        self.O, self.CG, kh, kw = w_shape
        self.OH, self.OW = y_shape[2:]
        self.G = groups
        self.OG = self.O // groups
        self.taps = kh * kw
        self.K = self.CG * self.taps
        self.P = self.OH * self.OW
        self.flops = self.N * self.O * self.K * self.P
        (sh, sw), (ph, pw), (dh, dw) = stride, pad, dilation
        self.ph, self.pw = pad
        self.stride, self.dilation, self.kernel = stride, dilation, (kh, kw)
        height, width = H + 2 * ph, -(-(W + 2 * pw) // sw)
        row = sw * width * size
        self.plane = plane = height * row + (
            VECTOR_BYTES if height * row % 1024 == 0 and (kh, kw) != (1, 1) else 0)
        self.size = size
        #: as a kernel takes them: see numbers()
        self.numbers = np.array([self.N, self.C, H, W, self.O, self.OH, self.OW, groups, self.CG, self.OG, self.K,
                                 self.P, ph, pw, sw, width, plane, sh * row, self.taps], np.int64)
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

    def turned_offsets(self):
        """The offsets with the taps of each channel backwards."""
        return np.ascontiguousarray(self.offsets.reshape(self.CG, -1)[:, ::-1]).reshape(-1)

    def frame_bytes(self, channels):
        """The room that a frame of so many channels takes."""
        return rounded(channels * self.plane + SLACK, 64)


geometry = functools.lru_cache(512)(Geometry)


def rounded(n, step):
    """The next multiple of *step*."""
    return -(-n // step) * step


@inline
def numbers(array):
    """Geometry.numbers as a tuple: see NAMES."""
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


def put_integer(e, number, address):
    """Emit the writing of an integer."""
    e.builder.store(number.ir, e.builder.inttoptr(address.ir, ir.PointerType(ir.IntType(64))))


@inline
def aligned(work):
    """The first address in *work* that is a multiple of 64."""
    return (address(work) + 63) // 64 * 64


class Sizes:
    """Geometry.numbers in emitted code: each is read where it is first named."""

    def __init__(self, e, place):
        for i, name in enumerate(NAMES):
            setattr(self, name, integer_at(e, place + 8 * i))


@inline
def put_zeros(like, start, stop):
    """Zeros from *start* on to *stop*, and on to the end of a vector; *like* is the number 0."""
    call(clear, (like, start, stop))


@intrinsic
def _emitted_clear(typingctx, like, start, stop):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_clear(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, types.intp, types.intp), codegen


@native("number", "int", "int")
def clear(like, start, stop):
    _emitted_clear(like, start, stop)


def emit_clear(e, start, stop):
    """Zeros from *start* on to *stop*, and on to the end of a vector."""
    with e.range(start, stop, VECTOR_BYTES) as there:
        e.store(e.zero(), there)


@intrinsic
def _emitted_fill(typingctx, like, x, channels, H, W, ph, pw, sw, width, plane, frame):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_fill_frame(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 10), codegen


@native("number", *["int"] * 10)
def fill_frame(like, x, channels, H, W, ph, pw, sw, width, plane, frame):
    _emitted_fill(like, x, channels, H, W, ph, pw, sw, width, plane, frame)


def emit_fill_frame(e, x, channels, H, W, ph, pw, sw, width, plane, frame):
    """Copy *channels* planes (H, W) at x into a frame."""
    size = e.item_bytes
    row, whole = sw * width * size, W // e.lanes * e.lanes
    with e.range(0, channels) as c:
        start = frame + c * plane
        inside = start + ph * row
        emit_clear(e, start, inside)
        with e.range(0, H) as h:
            there, here = inside + h * row, x + (c * H + h) * W * size
            with e.choice(sw.equals(1)) as (yes, no):
                with yes:
                    emit_clear(e, there, there + pw * size)
                    out = there + pw * size
                    with e.range(0, whole, e.lanes) as w:
                        e.store(e.load(here + w * size), out + w * size)
                    with e.when(whole < W):
                        e.store(e.load(here + whole * size, e.mask(W - whole)), out + whole * size)
                    emit_clear(e, out + W * size, out + (W + pw) * size)
                with no:
                    emit_clear(e, there, there + row)
                    with e.choice(sw.equals(2)) as (two, more):
                        with two:
                            _emit_halves(e, W, pw, width, here, there, True)
                        with more:
                            for i, place in _emit_phases(e, W, pw, sw, width):
                                e.put(e.get(here + i * size), there + place * size)
        emit_clear(e, inside + H * row, start + plane)


def _pick(e, x, y, lanes):
    """A vector of lanes of x, and of y counted on from there."""
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
    return e.values([e.builder.shuffle_vector(x.ir, y.ir, lanes)])[0]


def _emit_halves(e, W, pw, width, image, frame, into_frame):
    """A row of an image into a row of a frame with two phases, or back; in pairs of vectors, then one by one."""
    size, pair = e.item_bytes, 2 * e.lanes

    def place(i):
        q = (i + pw) >> 1
        return frame + ((i + pw - (q + q)) * width + q) * size

    whole = W // pair * pair
    with e.range(0, whole, pair) as i:
        here = image + i * size
        if into_frame:
            left, right = e.load(here), e.load(here + VECTOR_BYTES)
            for phase in (0, 1):
                e.store(_pick(e, left, right, list(range(phase, pair, 2))), place(i + phase))
        else:
            even, odd = e.load(place(i)), e.load(place(i + 1))
            mixed = [lane // 2 + lane % 2 * e.lanes for lane in range(pair)]
            e.store(_pick(e, even, odd, mixed[:e.lanes]), here)
            e.store(_pick(e, even, odd, mixed[e.lanes:]), here + VECTOR_BYTES)
    with e.range(whole, W) as i:
        here, there = image + i * size, place(i)
        if into_frame:
            e.put(e.get(here), there)
        else:
            e.put(e.get(there), here)


def _emit_phases(e, W, pw, sw, width):
    """Once: a column of the image, and its place in a row of the frame, for all of them in turn."""
    with e.range(0, sw) as phase:
        first = e.larger(pw - phase + (sw - 1), e.integer(0)) // sw
        with e.range(first, e.smaller(width, (W + pw - phase + (sw - 1)) // sw)) as q:
            yield q * sw + phase - pw, phase * width + q


@intrinsic
def _emitted_drain(typingctx, like, frame, channels, H, W, ph, pw, sw, width, plane, x):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_drain_frame(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 10), codegen


@native("number", *["int"] * 10)
def drain_frame(like, frame, channels, H, W, ph, pw, sw, width, plane, x):
    _emitted_drain(like, frame, channels, H, W, ph, pw, sw, width, plane, x)


def emit_drain_frame(e, frame, channels, H, W, ph, pw, sw, width, plane, x):
    """Copy the inside of a frame to *channels* planes (H, W) at x, and nothing beyond them."""
    size = e.item_bytes
    row, whole = sw * width * size, W // e.lanes * e.lanes
    with e.range(0, channels) as c, e.range(0, H) as h:
        here, there = frame + c * plane + (h + ph) * row, x + (c * H + h) * W * size
        with e.choice(sw.equals(1)) as (yes, no):
            with yes:
                inside = here + pw * size
                with e.range(0, whole, e.lanes) as w:
                    e.store(e.load(inside + w * size), there + w * size)
                with e.when(whole < W):
                    e.store(e.load(inside + whole * size), there + whole * size, e.mask(W - whole))
            with no, e.choice(sw.equals(2)) as (two, more):
                with two:
                    _emit_halves(e, W, pw, width, there, here, False)
                with more:
                    for i, place in _emit_phases(e, W, pw, sw, width):
                        e.put(e.get(here + place * size), there + i * size)


@intrinsic
def _emitted_sum_planes(typingctx, factor, dy, N, O, P, first, last, db):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, factor)
        emit_sum_planes(e, *e.values(args))
        return context.get_dummy_value()

    return types.void(factor, *[types.intp] * 7), codegen


@native("number", *["int"] * 7)
def sum_planes(factor, dy, N, O, P, first, last, db):
    _emitted_sum_planes(factor, dy, N, O, P, first, last, db)


def emit_sum_planes(e, factor, dy, N, O, P, first, last, db):
    """db[o] <- itself + factor times the sum of the planes o of dy (N, O, P), for o = first .. last; db may be 0."""
    size = e.item_bytes
    pair = 2 * e.lanes
    with e.when(db.differs(0)), e.range(first, last) as o:
        def sample(line, total):
            def two(here, left, right):
                return here + 2 * VECTOR_BYTES, left + e.load(here), right + e.load(here + VECTOR_BYTES)

            rest, left, right = e.loop(P // pair, two, line, e.zero(), e.zero())
            count = P - P // pair * pair
            left = left + e.load(rest, e.mask(count))
            right = right + e.load(rest + VECTOR_BYTES, e.mask(count, e.lanes))
            return line + O * P * size, total + e.sum(left + right)

        total = e.loop(N, sample, dy + o * P * size, e.number(0.0))[1]
        place = db + o * size
        e.put(e.get(place) + factor * total, place)
