"""Vector instructions, chosen by hand, inside Numba kernels.

A **vector** is a register full of numbers; how many it holds, its **lanes**, follows from
the processor: 512 bits with AVX-512, 256 with AVX2, else 128 (SSE, NEON).
NNMOD_VECTOR_BITS=128, 256 or 512 overrules that; LLVM cuts up vectors that are wider than
the processor's, so every width gives right results everywhere.  An **address** is an integer
in bytes.  Nothing is checked and nothing need be aligned; a masked access touches the lanes
of its mask and no others, so a kernel needs no room beyond the end of an array.

There are two ways to write with vectors.

1. As values in a kernel, for plain loops:

       x = load(like, address)              # like: a number of the dtype that is meant
       y = fma(x, broadcast(scale), y)      # x * scale + y in every lane
       store(y, address)

2. With an Emitter, for kernels that keep a whole tile of sums in registers.  Python then
   runs while the kernel is compiled, and writes its instructions: a Python loop over rows
   is a kernel with all rows written out, so one text serves tiles of every size.

       def emit_dot(e, K, a, b, out):
           def step(a, b, total):
               return a + e.vector_bytes, b + e.vector_bytes, e.fma(e.load(a), e.load(b), total)
           a, b, total = e.loop(K, step, a, b, e.zero())
           e.put(e.sum(total), out)

       @intrinsic
       def dot(typingctx, like, K, a, b, out):
           def codegen(context, builder, signature, args):
               e = Emitter(builder, like)
               emit_dot(e, *e.values(args[1:]))
               return context.get_dummy_value()
           return types.void(like, *[types.intp] * 4), codegen

   Wrapped as one intrinsic such a kernel takes Numba a fifth of the time that the same
   takes as statements.  Make the intrinsic at the top level of a module: Numba's disk cache
   never finds one again that was made inside a function.
"""
import contextlib
import operator
import os

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic, models, overload, register_model


def _vector_bits():
    wanted = os.environ.get("NNMOD_VECTOR_BITS", "")
    if wanted:
        if wanted not in ("128", "256", "512"):
            raise ValueError(f"NNMOD_VECTOR_BITS must be 128, 256 or 512, got {wanted!r}")
        return int(wanted)
    features = llvmlite.binding.get_host_cpu_features()
    return 512 if features.get("avx512f") else 256 if features.get("avx2") else 128


#: The width of a vector in bits ...
VECTOR_BITS = _vector_bits()
#: ... and in bytes.
VECTOR_BYTES = VECTOR_BITS // 8

_I1, _I8, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 32, 64))


class Value:
    """An integer, a number, a truth or a vector in the code that is being emitted.

    ``+ - * /`` and the comparisons of integers emit instructions; a Python number may stand
    on either side.
    """

    def __init__(self, builder, value):
        self.builder = builder
        self.ir = value

    @property
    def _integral(self):
        return isinstance(self.ir.type, ir.IntType)

    def _other(self, other):
        return other.ir if isinstance(other, Value) else ir.Constant(self.ir.type, other)

    def _emit(self, name, left, right):
        return Value(self.builder, getattr(self.builder, name)(left, right))

    def __add__(self, other):
        if isinstance(other, int) and other == 0:
            return self
        return self._emit("add" if self._integral else "fadd", self.ir, self._other(other))

    def __sub__(self, other):
        return self._emit("sub" if self._integral else "fsub", self.ir, self._other(other))

    def __rsub__(self, other):
        return self._emit("sub" if self._integral else "fsub", self._other(other), self.ir)

    def __mul__(self, other):
        if isinstance(other, int) and other == 1:
            return self
        return self._emit("mul" if self._integral else "fmul", self.ir, self._other(other))

    def __floordiv__(self, other):
        """Of integers, rounded towards zero."""
        return self._emit("sdiv", self.ir, self._other(other))

    def __truediv__(self, other):
        return self._emit("fdiv", self.ir, self._other(other))

    def __and__(self, other):
        return self._emit("and_", self.ir, self._other(other))

    def __or__(self, other):
        return self._emit("or_", self.ir, self._other(other))

    def __invert__(self):
        return Value(self.builder, self.builder.not_(self.ir))

    def __rshift__(self, bits):
        return self._emit("ashr", self.ir, self._other(bits))

    __radd__, __rmul__ = __add__, __mul__

    def _compare(self, sign, other):
        compare = self.builder.icmp_signed if self._integral else self.builder.fcmp_unordered
        return Value(self.builder, compare(sign, self.ir, self._other(other)))

    def __lt__(self, other):
        return self._compare("<", other)

    def __le__(self, other):
        return self._compare("<=", other)

    def __gt__(self, other):
        return self._compare(">", other)

    def __ge__(self, other):
        return self._compare(">=", other)

    def equals(self, other):
        """True where it is *other*."""
        return self._compare("==", other)

    def differs(self, other):
        """True where it is not *other*; a NaN differs from everything."""
        return self._compare("!=", other)


class Emitter:
    """Writes the instructions of a kernel for one dtype: float32 or float64.

    Its methods take and return Values, and Python numbers where an integer is meant.
    """

    def __init__(self, builder, dtype):
        self.builder = builder
        self.dtype = dtype
        self.scalar = ir.FloatType() if dtype == types.float32 else ir.DoubleType()
        #: bytes of an element and of a vector, elements of a vector
        self.item_bytes = dtype.bitwidth // 8
        self.vector_bytes = VECTOR_BYTES
        self.lanes = VECTOR_BITS // dtype.bitwidth
        self.vector = ir.VectorType(self.scalar, self.lanes)

    def values(self, args):
        """LLVM's *args* as Values."""
        return [Value(self.builder, value) for value in args]

    # -- memory ------------------------------------------------------------------------

    def get(self, address):
        """The number at *address*."""
        return self._load(address, self.scalar)

    def put(self, number, address):
        """Write *number* to *address*."""
        self._store(number, address)

    def load(self, address, mask=None):
        """The vector at *address*; with a mask, zeros in the lanes that it leaves out."""
        if mask is None:
            return self._load(address, self.vector)
        pointer = ir.PointerType(self.vector)
        return self._call(f"llvm.masked.load.{self._suffix}.p0", self.vector,
                          self.builder.inttoptr(address.ir, pointer), ir.Constant(_I32, self.item_bytes),
                          mask.ir, self.zero().ir)

    def store(self, vector, address, mask=None):
        """Write *vector* to *address*; with a mask, its lanes alone."""
        if mask is None:
            self._store(vector, address)
        else:
            pointer = ir.PointerType(self.vector)
            self._call(f"llvm.masked.store.{self._suffix}.p0", ir.VoidType(), vector.ir,
                       self.builder.inttoptr(address.ir, pointer), ir.Constant(_I32, self.item_bytes), mask.ir)

    def stack(self, size):
        """The address of *size* bytes, a Python int, on the thread's stack, until the kernel returns."""
        with self.builder.goto_entry_block():
            memory = self.builder.alloca(ir.ArrayType(_I8, size))
        memory.align = 64
        return Value(self.builder, self.builder.ptrtoint(memory, _I64))

    def unknown(self, address):
        """*address*, of which LLVM does not know that it is that.

        What is stored where it was loaded, in some lanes changed and in others not, becomes a
        masked store, which some processors take ten times as long for.
        """
        kind = ir.FunctionType(_I64, [_I64])
        return Value(self.builder, self.builder.asm(kind, "", "=r,0", [address.ir], False))

    def prefetch(self, address, to_write=False):
        """Tell the processor that *address* will soon be needed; it may lie anywhere."""
        pointer = self.builder.inttoptr(address.ir, ir.PointerType(_I8))
        to_write, keep, data = (ir.Constant(_I32, number) for number in (int(to_write), 3, 1))
        self._call("llvm.prefetch.p0", ir.VoidType(), pointer, to_write, keep, data)

    def _load(self, address, kind):
        value = self.builder.load(self.builder.inttoptr(address.ir, ir.PointerType(kind)))
        value.align = self.item_bytes
        return Value(self.builder, value)

    def _store(self, value, address):
        done = self.builder.store(value.ir, self.builder.inttoptr(address.ir, ir.PointerType(value.ir.type)))
        done.align = self.item_bytes

    # -- vectors -----------------------------------------------------------------------

    def integer(self, number):
        """A Python int as a Value."""
        return Value(self.builder, ir.Constant(_I64, number))

    def number(self, number):
        """A Python float as a Value of the dtype."""
        return Value(self.builder, ir.Constant(self.scalar, number))

    def smaller(self, x, y):
        """The smaller of two integers."""
        return self.where(x < y, x, y)

    def larger(self, x, y):
        """The larger of two integers."""
        return self.where(x > y, x, y)

    def rounded(self, x, step):
        """The next multiple of *step*, for integers > 0."""
        return (x + (step - 1)) // step * step

    def where(self, truth, x, y):
        """x where *truth* holds, else y; one of them may be a Python int."""
        x, y = (self.integer(value) if isinstance(value, int) else value for value in (x, y))
        return Value(self.builder, self.builder.select(truth.ir, x.ir, y.ir))

    def zero(self):
        """A vector of zeros."""
        return Value(self.builder, ir.Constant(self.vector, [0.0] * self.lanes))

    def broadcast(self, number):
        """A vector with *number* in every lane."""
        return Value(self.builder, self._splat(number.ir))

    def mask(self, count, first=0):
        """True in the lanes whose number, counted from *first*, is below *count*."""
        numbers = ir.Constant(ir.VectorType(_I64, self.lanes), list(range(first, first + self.lanes)))
        return Value(self.builder, self.builder.icmp_signed("<", numbers, self._splat(count.ir)))

    def fma(self, x, y, z):
        """x * y + z, rounded once where the processor can."""
        # fmuladd, not fma: two instructions, and not a call, where the processor has no such one.
        return self._call(f"llvm.fmuladd.{self._suffix}", self.vector, x.ir, y.ir, z.ir)

    def maximum(self, x, y):
        """The larger in every lane; *y* where either is NaN."""
        return Value(self.builder, self.builder.select(self.builder.fcmp_ordered(">", x.ir, y.ir), x.ir, y.ir))

    def minimum(self, x, y):
        """The smaller in every lane; *y* where either is NaN."""
        return Value(self.builder, self.builder.select(self.builder.fcmp_ordered("<", x.ir, y.ir), x.ir, y.ir))

    def rectified(self, x):
        """0 in the lanes that are 0 or below; NaN stays."""
        return self.maximum(self.zero(), x)

    def sum(self, vector):
        """The sum of all lanes, halves first."""
        return self._fold(vector, lambda x, y: x + y)

    def sums(self, vectors):
        """The sum of the lanes of each vector, as vectors: lane i of the first is the sum of vector i."""
        found = []
        for first in range(0, len(vectors), self.lanes):
            group = vectors[first:first + self.lanes]
            group = group + [self.zero()] * (self.lanes - len(group))
            # Of two vectors each is folded to half its lanes, and the halves share one vector.
            d = self.lanes
            while d > 1:
                d //= 2
                group = [self._shuffle(x, y, [lane + self.lanes if lane & d else lane for lane in range(self.lanes)])
                         + self._shuffle(x, y, [lane - d + self.lanes if lane & d else lane + d
                                                for lane in range(self.lanes)])
                         for x, y in zip(group[:d], group[d:])]
            found += group
        return found

    def largest(self, vector):
        """The largest lane; a NaN may lose."""
        return self._fold(vector, self.maximum)

    def transpose(self, rows):
        """The transpose of a square: *rows* are as many vectors as one has lanes."""
        # Rows i and i + d exchange the lanes that one has where bit d of the lane's number is
        # set and the other where it is not, for d = 1, 2, 4, ...: row and lane change places.
        rows, n, d = list(rows), self.lanes, 1
        while d < n:
            for i in range(n):
                if not i & d:
                    low, high = rows[i], rows[i + d]
                    rows[i] = self._shuffle(low, high, [lane + n - d if lane & d else lane for lane in range(n)])
                    rows[i + d] = self._shuffle(low, high, [lane + n if lane & d else lane + d
                                                            for lane in range(n)])
            d *= 2
        return rows

    def _fold(self, vector, combine):
        count = self.lanes
        while count > 1:
            count //= 2
            vector = combine(self._shuffle(vector, vector, list(range(count))),
                             self._shuffle(vector, vector, list(range(count, 2 * count))))
        return Value(self.builder, self.builder.extract_element(vector.ir, ir.Constant(_I32, 0)))

    def _splat(self, number):
        start = ir.Constant(ir.VectorType(number.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(start, number, ir.Constant(_I32, 0))
        return self.builder.shuffle_vector(first, start, ir.Constant(ir.VectorType(_I32, self.lanes),
                                                                     [0] * self.lanes))

    def _shuffle(self, x, y, lanes):
        lanes = ir.Constant(ir.VectorType(_I32, len(lanes)), lanes)
        return Value(self.builder, self.builder.shuffle_vector(x.ir, y.ir, lanes))

    @property
    def _suffix(self):
        return f"v{self.lanes}f{8 * self.item_bytes}"

    def _call(self, name, result, *args):
        kind = ir.FunctionType(result, [value.type for value in args])
        return Value(self.builder, self.builder.call(cgutils.get_or_insert_function(self.builder.module, kind, name),
                                                     args))

    # -- the flow of control ---------------------------------------------------------------

    def loop(self, count, step, *state):
        """Run *step* on the state *count* times, none if that is not positive; the state then.

        The state is Values and lists of Values.  *step* is called once, to emit the body: it
        takes the state and returns the next.
        """
        builder, before = self.builder, self.builder.block
        body = builder.append_basic_block("loop")
        after = builder.append_basic_block("after")
        start = _flat(state)
        builder.cbranch((count > 0).ir, body, after)
        builder.position_at_end(body)
        left = builder.phi(_I64)
        left.add_incoming(count.ir, before)
        inside = [builder.phi(value.ir.type) for value in start]
        for phi, value in zip(inside, start):
            phi.add_incoming(value.ir, before)
        ended = _flat(step(*_like(state, self.values(inside))))
        fewer = builder.sub(left, ir.Constant(_I64, 1))
        end = builder.block
        left.add_incoming(fewer, end)
        for phi, value in zip(inside, ended):
            phi.add_incoming(value.ir, end)
        builder.cbranch(builder.icmp_signed(">", fewer, ir.Constant(_I64, 0)), body, after)
        builder.position_at_end(after)
        return self._merged(state, start, before, ended, end)

    @contextlib.contextmanager
    def range(self, start, stop, step=1):
        """``with e.range(start, stop, step) as i:`` emits the body of a loop; step > 0."""
        builder = self.builder
        start = self.integer(start) if isinstance(start, int) else start
        before, head = builder.block, builder.append_basic_block("head")
        body, after = builder.append_basic_block("body"), builder.append_basic_block("after")
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(_I64)
        index.add_incoming(start.ir, before)
        i = Value(builder, index)
        builder.cbranch((i < stop).ir, body, after)
        builder.position_at_end(body)
        yield i
        index.add_incoming((i + step).ir, builder.block)
        builder.branch(head)
        builder.position_at_end(after)

    def when(self, truth):
        """``with e.when(truth):`` emits what runs only where *truth* holds."""
        return self.builder.if_then(truth.ir)

    @contextlib.contextmanager
    def choice(self, truth):
        """``with e.choice(truth) as (yes, no): with yes: ...; with no: ...``"""
        with self.builder.if_else(truth.ir) as branches:
            yield branches

    def changed(self, truth, change, values):
        """change(values) where *truth* holds, else *values*: a list either way."""
        before = self.builder.block
        with self.builder.if_then(truth.ir):
            new = change(values)
            end = self.builder.block
        return self._merged(values, _flat(values), before, _flat(new), end)

    def function(self, native):
        """Where the address of a native function of compile.py lies; e.where chooses between two."""
        kinds = [self.scalar if kind == "number" else _I64 for kind in native.arguments]
        return Value(self.builder, native.emit_pointer(self.builder, self.dtype, kinds))

    def call(self, function, *args):
        """Call a function of which ``e.function`` told the place."""
        self.builder.call(self.builder.load(function.ir),
                          [(self.integer(value) if isinstance(value, int) else value).ir for value in args])

    def _merged(self, structure, first, before, second, end):
        phis = []
        for a, b in zip(first, second):
            phi = self.builder.phi(a.ir.type)
            phi.add_incoming(a.ir, before)
            phi.add_incoming(b.ir, end)
            phis.append(phi)
        return _like(structure, self.values(phis))


def _flat(state):
    """The Values of a structure of lists, in order."""
    return [state] if isinstance(state, Value) else [value for item in state for value in _flat(item)]


def _like(structure, values):
    """*values*, in order, in the lists that *structure* has."""
    values = iter(values)

    def fill(part):
        return next(values) if isinstance(part, Value) else [fill(item) for item in part]

    return fill(list(structure))


# -- vectors as values in a kernel --------------------------------------------------------

class Vector(types.Type):
    """Numba's type of one vector of *dtype*."""

    def __init__(self, dtype):
        self.dtype = dtype
        super().__init__(f"Vector({dtype} x {VECTOR_BITS // dtype.bitwidth})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, Emitter(None, kind.dtype).vector)


def _vector(like):
    """The type of a vector of numbers like *like*."""
    if like not in (types.float32, types.float64):
        raise TypingError(f"a vector holds float32 or float64, got {like}")
    return Vector(like)


def _codegen(dtype, emit):
    """Numba's code generator for emit(emitter, *Values), which returns a Value or None."""
    def codegen(context, builder, signature, args):
        e = Emitter(builder, dtype)
        result = emit(e, *e.values(args))
        return context.get_dummy_value() if result is None else result.ir

    return codegen


@intrinsic
def address(typingctx, array):
    """Where the first element of *array* lies."""
    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.ptrtoint(data, _I64)

    return types.intp(array), codegen


@intrinsic
def lanes(typingctx, like):
    """How many numbers of that dtype a vector holds."""
    count = VECTOR_BITS // like.bitwidth
    return types.intp(like), lambda context, builder, signature, args: ir.Constant(_I64, count)


@intrinsic
def get(typingctx, like, address):
    """The number at *address*."""
    return like(like, types.intp), _codegen(like, lambda e, like, address: e.get(address))


@intrinsic
def put(typingctx, number, address):
    """Write *number* to *address*."""
    return types.void(number, types.intp), _codegen(number, Emitter.put)


@intrinsic
def load(typingctx, like, address):
    """The vector at *address*."""
    return _vector(like)(like, types.intp), _codegen(like, lambda e, like, address: e.load(address))


@intrinsic
def store(typingctx, vector, address):
    """Write all lanes to *address*."""
    return types.void(vector, types.intp), _codegen(vector.dtype, Emitter.store)


@intrinsic
def broadcast(typingctx, number):
    """A vector with *number* in every lane."""
    return _vector(number)(number), _codegen(number, Emitter.broadcast)


@intrinsic
def fma(typingctx, x, y, z):
    """x * y + z in every lane, rounded once where the processor can."""
    return x(x, x, x), _codegen(x.dtype, Emitter.fma)


@intrinsic
def maximum(typingctx, x, y):
    """The larger in every lane; *y* where either is NaN."""
    return x(x, x), _codegen(x.dtype, Emitter.maximum)


@intrinsic
def minimum(typingctx, x, y):
    """The smaller in every lane; *y* where either is NaN."""
    return x(x, x), _codegen(x.dtype, Emitter.minimum)


@intrinsic
def sum_lanes(typingctx, vector):
    """The sum of all lanes, halves first."""
    return vector.dtype(vector), _codegen(vector.dtype, Emitter.sum)


@intrinsic
def largest_lane(typingctx, vector):
    """The largest lane; a NaN may lose."""
    return vector.dtype(vector), _codegen(vector.dtype, Emitter.largest)


@intrinsic
def _add(typingctx, x, y):
    return x(x, x), _codegen(x.dtype, lambda e, x, y: x + y)


@intrinsic
def _subtract(typingctx, x, y):
    return x(x, x), _codegen(x.dtype, lambda e, x, y: x - y)


@intrinsic
def _multiply(typingctx, x, y):
    return x(x, x), _codegen(x.dtype, lambda e, x, y: x * y)


@intrinsic
def _divide(typingctx, x, y):
    return x(x, x), _codegen(x.dtype, lambda e, x, y: x / y)


@overload(operator.add)
def _overload_add(x, y):
    if isinstance(x, Vector) and x == y:
        return lambda x, y: _add(x, y)


@overload(operator.sub)
def _overload_sub(x, y):
    if isinstance(x, Vector) and x == y:
        return lambda x, y: _subtract(x, y)


@overload(operator.mul)
def _overload_mul(x, y):
    if isinstance(x, Vector) and x == y:
        return lambda x, y: _multiply(x, y)


@overload(operator.truediv)
def _overload_truediv(x, y):
    if isinstance(x, Vector) and x == y:
        return lambda x, y: _divide(x, y)
