"""Four numbers at a time: loads and stores of 16 bytes, by the number of the first element.

The index counts elements from the start of a flat array and is never negative: no code for
indices that wrap is made.  The address must be a multiple of 16 bytes.
"""
import numpy as np
from llvmlite import ir
from numba.cuda import types
from numba.cuda.extending import intrinsic as _intrinsic

from .compile import device


def intrinsic(function):
    """A function that writes LLVM code, with a text that caches can see."""
    made = _intrinsic(function)
    made.py_func = function
    return made


def pointer4(context, builder, kind, array, index, count=4):
    """Where the vector of four, or *count*, from *index* on is, for code that builds LLVM's."""
    data = context.make_array(kind)(context, builder, array).data
    wide = ir.IntType(64)
    at = builder.gep(data, [builder.zext(index, wide) if index.type.width < 64 else index])
    vector = ir.VectorType(data.type.pointee, count)
    return builder.bitcast(at, ir.PointerType(vector, data.type.addrspace))


@intrinsic
def load4(typingctx, array, index):
    """The four elements of *array* from *index* on."""
    def codegen(context, builder, signature, args):
        vector = builder.load(pointer4(context, builder, signature.args[0], *args), align=16)
        parts = [builder.extract_element(vector, ir.Constant(ir.IntType(32), i)) for i in range(4)]
        return context.make_tuple(builder, signature.return_type, parts)

    return types.UniTuple(array.dtype, 4)(array, index), codegen


@intrinsic
def store4(typingctx, array, index, a, b, c, d):
    """array[index], ... <- a, b, c, d."""
    def codegen(context, builder, signature, args):
        at = pointer4(context, builder, signature.args[0], *args[:2])
        value = ir.Constant(at.type.pointee, ir.Undefined)
        for i in range(4):
            value = builder.insert_element(value, args[2 + i], ir.Constant(ir.IntType(32), i))
        builder.store(value, at, align=16)
        return context.get_dummy_value()

    return types.void(array, index, *[array.dtype] * 4), codegen


@intrinsic
def aligned(typingctx, array):
    """Whether the array's first element is at a multiple of 16 bytes."""
    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        low = builder.and_(builder.ptrtoint(data, ir.IntType(64)), ir.Constant(ir.IntType(64), 15))
        return builder.icmp_unsigned("==", low, ir.Constant(ir.IntType(64), 0))

    return types.boolean(array), codegen


@device
def room(at, end):
    """How many elements there are from *at* to *end*: never less than 0."""
    return np.uint32(end - at) if at < end else np.uint32(0)


@device
def some4(array, index, count):
    """The first *count* elements of *array* from *index* on, 0 in the place of the others of four."""
    zero = array.dtype.type(0)
    a = array[index] if count > np.uint32(0) else zero
    b = array[index + np.uint64(1)] if count > np.uint32(1) else zero
    c = array[index + np.uint64(2)] if count > np.uint32(2) else zero
    d = array[index + np.uint64(3)] if count > np.uint32(3) else zero
    return a, b, c, d


@device
def put4(array, index, count, whole, beta, a, b, c, d):
    """array[index], ... <- a, b, c, d, plus beta times what was there; only the first *count*.

    *whole*: four at a time may be stored.  What was there is not read where beta is 0.
    """
    if whole and count >= np.uint32(4):
        if beta != array.dtype.type(0):
            p, q, r, s = load4(array, index)
            a, b, c, d = a + beta * p, b + beta * q, c + beta * r, d + beta * s
        store4(array, index, a, b, c, d)
    else:
        if beta != array.dtype.type(0):
            p, q, r, s = some4(array, index, count)
            a, b, c, d = a + beta * p, b + beta * q, c + beta * r, d + beta * s
        if count > np.uint32(0):
            array[index] = a
        if count > np.uint32(1):
            array[index + np.uint64(1)] = b
        if count > np.uint32(2):
            array[index + np.uint64(2)] = c
        if count > np.uint32(3):
            array[index + np.uint64(3)] = d
