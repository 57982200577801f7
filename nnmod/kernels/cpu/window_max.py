"""The maxima of neighbouring windows, one window to each lane of a vector.

Written in LLVM's instructions: of a loop over windows LLVM makes jumps, which random
data turn into misses of the branch predictor, many times dearer than the comparison.
"""
import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

from .compile import native
from .epilogue import pointer

_I1, _I32, _I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
#: Windows that are taken at once, in float32 and in float64.
LANES = {types.float32: 8, types.float64: 4}


@intrinsic
def lanes(typingctx, like):
    """How many neighbouring windows :func:`windows_max` takes at once in the dtype of *like*."""
    count = LANES[like]

    def codegen(context, builder, signature, args):
        return ir.Constant(_I64, count)

    return types.int64(like), codegen


@intrinsic
def squares_max(typingctx, x, y, argmax, plane, first, second, to, W):
    """y, argmax <- the maxima of windows of 2 x 2 with step 2, as many as a vector has lanes, and their places.

    The first half of them begins at place *first* of a plane, the other half at *second*,
    wherever that is: the end of a row need not be the end of a vector.  W is the length of
    a row; for the rest see windows_max.
    """
    def codegen(context, builder, signature, args):
        plane, first, second, to, W = args[3:]
        arrays = [arrayobj.make_array(kind)(context, builder, value).data
                  for kind, value in zip(signature.args[:3], args)]
        dtype = signature.args[0].dtype
        n, size = LANES[dtype], dtype.bitwidth // 8
        ints = ir.VectorType(_I32, n)
        reals = ir.VectorType(context.get_value_type(dtype), n)

        def picked(low, high, start):
            return builder.shuffle_vector(low, high, ir.Constant(ints, list(range(start, 2 * n, 2))))

        def vector_at(array, number, kind):
            return builder.bitcast(builder.gep(array, [number]), ir.PointerType(kind))

        def splat(number):
            undefined = ir.Constant(ints, ir.Undefined)
            one = builder.insert_element(undefined, builder.trunc(number, _I32), ir.Constant(_I32, 0))
            return builder.shuffle_vector(one, undefined, ir.Constant(ints, [0] * n))

        halves = builder.shuffle_vector(splat(first), splat(second), ir.Constant(ints, [lane // (n // 2) * n
                                                                                        for lane in range(n)]))
        place = builder.add(halves, ir.Constant(ints, [2 * (lane % (n // 2)) for lane in range(n)]))
        best = where = None
        for row in range(2):
            low, high = (builder.load(vector_at(arrays[0], builder.add(plane, start), reals), align=size, typ=reals)
                         for start in (first, second))
            for right in range(2):
                value = picked(low, high, right)
                if best is None:
                    best, where = value, place
                    continue
                here = builder.add(place, ir.Constant(ints, [1] * n)) if right else place
                better = builder.and_(builder.fcmp_unordered(">", value, best), builder.fcmp_ordered("ord", best, best))
                best, where = builder.select(better, value, best), builder.select(better, here, where)
            place, first, second = builder.add(place, splat(W)), builder.add(first, W), builder.add(second, W)
        builder.store(best, vector_at(arrays[1], to, reals), align=size)
        builder.store(where, vector_at(arrays[2], to, ints), align=4)
        return context.get_dummy_value()

    return types.void(x, y, argmax, *[types.int64] * 5), codegen


@native("number", *["int"] * 9)
def squares(like, x, start, stop, y, argmax, H, W, OH, OW):
    """Windows of 2 x 2 side by side, in rows of whole halves of a vector: planes start .. stop, on addresses."""
    xs, ys = carray(pointer(like, x), (stop * H * W,)), carray(pointer(like, y), (stop * OH * OW,))
    places = carray(pointer(np.int32(0), argmax), (stop * OH * OW,))
    wide = lanes(like)
    for plane in range(start, stop):
        for block in range(0, OH * OW, wide):
            t = min(block, OH * OW - wide)  # the last block overlaps the one before
            row, left = t // OW, t % OW
            first = 2 * (row * W + left)
            second = first + wide if left + wide // 2 < OW else 2 * (row + 1) * W
            squares_max(xs, ys, places, plane * H * W, first, second, plane * OH * OW + t, W)


@intrinsic
def windows_max(typingctx, x, y, argmax, plane, place, to, count, depth, height, width,
                deeper, lower, righter, step, column, W, inside):
    """y, argmax <- the maxima of *count* neighbouring windows and their places.

    x, y, argmax     1-D; argmax int32
    plane            the number in x of the plane's first element
    place            of the first tap of the first window, within its plane
    to               the number in y and argmax of the first window's maximum
    count            how many windows, 1 to lanes
    depth, height, width    taps of a window; those along depth and height are all inside
    deeper, lower, righter  from one tap to the next, in elements
    step             from one window to the next, in elements
    column, W        the column of the first tap of the first window; how many there are
    inside           whether all taps of all *lanes* windows are, and count is lanes

    The first of equals wins, and NaN over all numbers.  Returns whether some window has
    no place yet: one with nothing but -inf in it, whose argmax is -1.
    """
    result = types.boolean(x, y, argmax, *[types.int64] * 13, types.boolean)

    def codegen(context, builder, signature, args):
        emit = _Emitter(context, builder, signature, args)
        with builder.if_else(args[-1]) as (then, otherwise):
            with then:
                by_one = builder.icmp_signed("==", emit.step, _number(1))
                with builder.if_else(by_one) as (one, more):
                    with one:
                        emit.taps(emit.neighbours)
                    with more:
                        by_two = builder.icmp_signed("==", emit.step, _number(2))
                        with builder.if_else(by_two) as (two, many):
                            with two:
                                emit.taps(emit.every_second)
                            with many:
                                emit.taps(emit.apart)
                emit.store_all()
            with otherwise:
                emit.taps(emit.clamped, checked=True)
                emit.store_some()
        return emit.unplaced()

    return result, codegen


def _number(value):
    return ir.Constant(_I64, value)


class _Emitter:
    """Writes the instructions of one call."""

    def __init__(self, context, builder, signature, args):
        self.builder = builder
        arrays = [arrayobj.make_array(kind)(context, builder, value).data
                  for kind, value in zip(signature.args[:3], args)]
        (plane, self.place, to, self.count, self.depth, self.height, self.width,
         self.deeper, self.lower, self.righter, self.step, self.column, self.W) = args[3:16]
        self.source = builder.gep(arrays[0], [plane])
        self.best_to, self.where_to = (builder.gep(array, [to]) for array in arrays[1:])
        self.lanes = LANES[signature.args[0].dtype]
        self.scalar = context.get_value_type(signature.args[0].dtype)
        self.size = signature.args[0].dtype.bitwidth // 8
        self.reals = ir.VectorType(self.scalar, self.lanes)
        self.ints = ir.VectorType(_I32, self.lanes)
        self.number = ir.Constant(self.ints, list(range(self.lanes)))
        self.offsets = builder.mul(self.number, self.splat(self.step))
        self.live = builder.icmp_signed("<", self.number, self.splat(self.count))
        self.best = cgutils.alloca_once(builder, self.reals)
        self.where = cgutils.alloca_once(builder, self.ints)
        builder.store(ir.Constant(self.reals, [float("-inf")] * self.lanes), self.best)
        builder.store(ir.Constant(self.ints, [-1] * self.lanes), self.where)

    def splat(self, number):
        """An int64 in every lane of an int32 vector."""
        undefined = ir.Constant(self.ints, ir.Undefined)
        first = self.builder.insert_element(undefined, self.builder.trunc(number, _I32), ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(self.ints, [0] * self.lanes))

    def taps(self, load, checked=False):
        """Take all taps of the windows in order; *load* gives the vector that one tap sees."""
        b = self.builder
        with cgutils.for_range(b, self.depth) as outer:
            with cgutils.for_range(b, self.height) as middle:
                row = b.add(b.mul(outer.index, self.deeper), b.mul(middle.index, self.lower))
                row = b.add(self.place, row)
                with cgutils.for_range(b, self.width) as inner:
                    right = b.mul(inner.index, self.righter)
                    place = b.add(row, right)
                    columns = b.add(self.splat(b.add(self.column, right)), self.offsets)
                    value = load(place, columns, right)
                    best, where = b.load(self.best), b.load(self.where)
                    better = b.and_(b.fcmp_unordered(">", value, best), b.fcmp_ordered("ord", best, best))
                    if checked:
                        seen = b.icmp_unsigned("<", columns, self.splat(self.W))
                        better = b.and_(better, b.and_(seen, self.live))
                    b.store(b.select(better, value, best), self.best)
                    b.store(b.select(better, b.add(self.splat(place), self.offsets), where), self.where)

    # -- what one tap sees: ways to load --------------------------------------------------------

    def vector_at(self, place):
        address = self.builder.gep(self.source, [place])
        return self.builder.load(self.builder.bitcast(address, ir.PointerType(self.reals)), align=self.size,
                                 typ=self.reals)

    def neighbours(self, place, columns, right):
        return self.vector_at(place)

    def every_second(self, place, columns, right):
        # Two loads that overlap in one element, so that nothing past the last is read.
        n = self.lanes
        low, high = self.vector_at(place), self.vector_at(self.builder.add(place, _number(n - 1)))
        picked = [*range(0, n, 2), *range(n + 1, 2 * n, 2)]
        return self.builder.shuffle_vector(low, high, ir.Constant(self.ints, picked))

    def apart(self, place, columns, right):
        return self.gathered(place, self.offsets)

    def clamped(self, place, columns, right):
        # Lanes outside read an element inside, which is then not used.
        b = self.builder
        zero, last = ir.Constant(self.ints, [0] * self.lanes), self.splat(b.sub(self.W, _number(1)))
        inside = b.select(b.icmp_signed("<", columns, zero), zero, columns)
        inside = b.select(b.icmp_signed("<", last, inside), last, inside)
        return self.gathered(b.sub(place, b.add(self.column, right)), inside)

    def gathered(self, place, offsets):
        b = self.builder
        vector = ir.Constant(self.reals, ir.Undefined)
        for k in range(self.lanes):
            lane = ir.Constant(_I32, k)
            offset = b.sext(b.extract_element(offsets, lane), _I64)
            value = b.load(b.gep(self.source, [b.add(place, offset)]), typ=self.scalar)
            vector = b.insert_element(vector, value, lane)
        return vector

    # -- results ----------------------------------------------------------------------------------

    def store_all(self):
        b = self.builder
        for variable, to, kind, size in ((self.best, self.best_to, self.reals, self.size),
                                         (self.where, self.where_to, self.ints, 4)):
            b.store(b.load(variable), b.bitcast(to, ir.PointerType(kind)), align=size)

    def store_some(self):
        b = self.builder
        for k in range(self.lanes):
            lane = ir.Constant(_I32, k)
            with b.if_then(b.icmp_signed("<", _number(k), self.count)):
                b.store(b.extract_element(b.load(self.best), lane), b.gep(self.best_to, [_number(k)]))
                b.store(b.extract_element(b.load(self.where), lane), b.gep(self.where_to, [_number(k)]))

    def unplaced(self):
        b = self.builder
        missing = b.icmp_signed("<", b.load(self.where), ir.Constant(self.ints, [0] * self.lanes))
        bits = b.bitcast(b.and_(missing, self.live), ir.IntType(self.lanes))
        return b.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(self.lanes), 0))
