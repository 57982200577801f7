"""The sum of one window, and a number added to all of one, along its rows by vectors.

Rows of a window are short, often shorter than a vector.  LLVM's own vector code would go
through most of them element by element; here the end of a row is a vector with some
lanes left out.
"""
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np import arrayobj

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_LANES = {types.float32: 8, types.float64: 4}


@intrinsic
def window_sum(typingctx, xs, corner, depth, height, width, deeper, lower):
    """The sum of xs over a window.

    xs                    1-D
    corner                the number of the window's first element in xs
    depth, height, width  how many elements it has along each side, 0 or more
    deeper, lower         from one element to the next along the depth and the height
    """
    def codegen(context, builder, signature, args):
        rows = _Rows(context, builder, signature, args[:7])
        total = cgutils.alloca_once(builder, rows.vector)
        builder.store(rows.zeros, total)

        def add(load, store):
            builder.store(rows.plus(builder.load(total), load()), total)

        rows.each(add)
        return rows.across(builder.load(total))

    return xs.dtype(xs, *[types.int64] * 6), codegen


@intrinsic
def window_add(typingctx, value, xs, corner, depth, height, width, deeper, lower):
    """All of a window of xs += value.  The window is given as for :func:`window_sum`."""
    def codegen(context, builder, signature, args):
        rows = _Rows(context, builder, signature, args[1:], first=1)
        undefined = ir.Constant(rows.vector, ir.Undefined)
        one = builder.insert_element(undefined, args[0], ir.Constant(_I32, 0))
        every = builder.shuffle_vector(one, undefined, ir.Constant(rows.ints, [0] * rows.lanes))
        rows.each(lambda load, store: store(rows.plus(load(), every)))
        return context.get_dummy_value()

    return types.void(xs.dtype, xs, *[types.int64] * 6), codegen


class _Rows:
    """The rows of a window, cut into vectors."""

    def __init__(self, context, builder, signature, args, first=0):
        kind = signature.args[first]
        self.builder = builder
        self.source = arrayobj.make_array(kind)(context, builder, args[0]).data
        self.corner, self.depth, self.height, self.width, self.deeper, self.lower = args[1:]
        self.lanes = _LANES[kind.dtype]
        self.size = ir.Constant(_I32, kind.dtype.bitwidth // 8)
        self.vector = ir.VectorType(context.get_value_type(kind.dtype), self.lanes)
        self.ints = ir.VectorType(_I32, self.lanes)
        self.zeros = ir.Constant(self.vector, [0.0] * self.lanes)
        self.name = f"v{self.lanes}f{kind.dtype.bitwidth}.p0"

    def plus(self, a, b):
        return self.builder.fadd(a, b)

    def each(self, work):
        """Call work(load, store) for every vector of every row."""
        b = self.builder
        lanes = ir.Constant(_I64, self.lanes)
        whole, rest = b.udiv(self.width, lanes), b.trunc(b.urem(self.width, lanes), _I32)
        undefined = ir.Constant(self.ints, ir.Undefined)
        limit = b.shuffle_vector(b.insert_element(undefined, rest, ir.Constant(_I32, 0)), undefined,
                                 ir.Constant(self.ints, [0] * self.lanes))
        mask = b.icmp_signed("<", ir.Constant(self.ints, list(range(self.lanes))), limit)
        with cgutils.for_range(b, self.depth) as outer:
            with cgutils.for_range(b, self.height) as middle:
                row = b.add(b.mul(outer.index, self.deeper), b.mul(middle.index, self.lower))
                row = b.add(self.corner, row)
                with cgutils.for_range(b, whole) as inner:
                    work(*self.access(b.add(row, b.mul(inner.index, lanes)), None))
                with b.if_then(b.icmp_signed("!=", rest, ir.Constant(_I32, 0))):
                    work(*self.access(b.add(row, b.mul(whole, lanes)), mask))

    def access(self, place, mask):
        """Functions that load and store the vector at *place*, of which *mask* says the lanes that count."""
        b = self.builder
        address = b.bitcast(b.gep(self.source, [place]), ir.PointerType(self.vector))
        if mask is None:
            size = self.size.constant
            return (lambda: b.load(address, align=size, typ=self.vector),
                    lambda value: b.store(value, address, align=size))
        load = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(self.vector, [address.type, _I32, mask.type, self.vector]),
            f"llvm.masked.load.{self.name}")
        store = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(ir.VoidType(), [self.vector, address.type, _I32, mask.type]),
            f"llvm.masked.store.{self.name}")
        return (lambda: b.call(load, [address, self.size, mask, self.zeros]),
                lambda value: b.call(store, [value, address, self.size, mask]))

    def across(self, vector):
        """The sum of the lanes, halves first."""
        b, count = self.builder, self.lanes
        while count > 1:
            count //= 2
            other = ir.Constant(self.ints, [(k + count) % self.lanes for k in range(self.lanes)])
            vector = b.fadd(vector, b.shuffle_vector(vector, vector, other))
        return b.extract_element(vector, ir.Constant(_I32, 0))
