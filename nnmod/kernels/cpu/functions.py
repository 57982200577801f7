"""Elementary functions that LLVM can vectorise: polynomials, no calls, no branches.

They stand in for the functions of the same names in ``formulas.py`` when a
formula is compiled.  Errors are below 3 units in the last place; exp gives 0,
inf and NaN where IEEE does.  (``math.exp`` keeps a loop scalar, which is many times
slower, and Intel's SVML, which Numba could use, comes with no pip package.)
"""
import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

from .. import formulas

_LOG2E = 1 / math.log(2)
_ROUND = 1.5 * 2.0**52

# Kernels let LLVM reorder sums and products.  Here (1 + p) 2^a 2^b must not become
# (1 + p) 2^(a+b), which overflows one step too early, so these keep their order.  And
# they are always inlined: a call, whatever is in it, keeps a loop scalar.
_ORDERED = {"fastmath": {"contract", "nsz"}, "forceinline": True}


@overload(formulas.constant)
def _constant(value, like):
    return lambda value, like: type(like)(value)


@intrinsic
def _choose(typingctx, condition, a, b):
    """a where condition holds, else b, as one instruction.

    An ``if`` expression can become a branch, around which LLVM folds what follows:
    exp(NaN) is NaN, so its logarithm is too, and the loop is scalar from there on.
    """
    result = typingctx.unify_types(a, b)

    def codegen(context, builder, signature, args):
        bit = context.cast(builder, args[0], condition, types.boolean)
        values = [context.cast(builder, v, t, result) for v, t in zip(args[1:], (a, b))]
        return builder.select(builder.trunc(bit, ir.IntType(1)) if bit.type.width > 1 else bit, *values)

    return result(condition, a, b), codegen


@overload(formulas.select)
def _select(condition, a, b):
    return lambda condition, a, b: _choose(condition, a, b)


@overload(formulas.fabs)
def _fabs(x):
    return lambda x: abs(x)


@overload(formulas.sqrt)
def _sqrt(x):
    return lambda x: math.sqrt(x)


@overload(formulas.power)
def _power(x, p):
    return lambda x, p: math.pow(x, p)


@intrinsic
def _bits_of_float(typingctx, x):
    """The bits of a float64 as uint64, of a float32 as uint32."""
    target = types.uint64 if x == types.float64 else types.uint32

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(target))

    return target(x), codegen


@intrinsic
def float_from_bits(typingctx, bits):
    """Reinterpret 64 bits as float64, 32 bits as float32."""
    target = types.float64 if bits in (types.int64, types.uint64) else types.float32

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(target))

    return target(bits), codegen


# exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln 2 / 2.  ln 2 is split in
# two so that n * high is exact (Cody and Waite); exp(r) - 1 is its Taylor polynomial,
# long enough for the precision.  2^n is applied in two halves, so that results that
# are denormal or overflow come out right.

@register_jitable(**_ORDERED)
def _reduce64(x):
    x = min(max(x, -800.0), 800.0)  # past overflow and underflow; both halves of 2^n stay normal
    # Far above 2^52 a float64 has no fraction left: the sum rounds, and its low bits are n.
    shifted = x * _LOG2E + _ROUND
    n = shifted - _ROUND
    r = (x - n * 6.93145751953125e-1) - n * 1.42860682030941723212e-6
    p = 1 / 6227020800 * r + 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 0.5
    p = (p * r) * r + r
    # 2048 keeps k positive: there is no vector form of an arithmetic shift of int64.
    u = np.uint64
    k = _bits_of_float(shifted) - u(0x4338000000000000 - 2048)
    half = k >> u(1)
    return (p, float_from_bits((half - u(1)) << u(52)), float_from_bits((k - half - u(1)) << u(52)))


@register_jitable(**_ORDERED)
def _reduce32(x):
    f = np.float32
    x = min(max(x, f(-120.0)), f(120.0))
    n = np.floor(x * f(_LOG2E) + f(0.5))
    r = (x - n * f(0.693359375)) - n * f(-2.12194440e-4)
    p = f(1 / 5040) * r + f(1 / 720)
    p = p * r + f(1 / 120)
    p = p * r + f(1 / 24)
    p = p * r + f(1 / 6)
    p = p * r + f(0.5)
    p = (p * r) * r + r
    k = np.int32(n)
    half = np.int32(k >> np.int32(1))
    bias = np.int32(127)
    return (p, float_from_bits(np.int32((half + bias) << np.int32(23))),
            float_from_bits(np.int32((k - half + bias) << np.int32(23))))


@overload(formulas.exp, jit_options=_ORDERED)
def _exp(x):
    if x == types.float32:
        def impl(x):
            p, a, b = _reduce32(x)
            return _choose(x != x, x, (np.float32(1) + p) * a * b)
    else:
        def impl(x):
            p, a, b = _reduce64(np.float64(x))
            return _choose(x != x, np.float64(x), (1.0 + p) * a * b)
    return impl


@overload(formulas.expm1, jit_options=_ORDERED)
def _expm1(x):
    # 2^n (1 + p) - 1 = 2^n p + (2^n - 1): for n = 0 that is p itself, with no cancellation.
    # Far out the 1 is lost anyway, and the plain form overflows only where exp does.
    if x == types.float32:
        def impl(x):
            p, a, b = _reduce32(x)
            y = p * a * b + (a * b - np.float32(1))
            return _choose(x != x, x, _choose(x > np.float32(80), (np.float32(1) + p) * a * b, y))
    else:
        def impl(x):
            p, a, b = _reduce64(np.float64(x))
            y = p * a * b + (a * b - 1.0)
            return _choose(x != x, np.float64(x), _choose(x > 80.0, (1.0 + p) * a * b, y))
    return impl


@overload(formulas.tanh, jit_options=_ORDERED)
def _tanh(x):
    # tanh|x| = e / (e + 2) with e = expm1(2|x|); beyond 20 it is 1 in either precision.
    if x == types.float32:
        def impl(x):
            e = formulas.expm1(np.float32(2) * min(abs(x), np.float32(20)))
            y = e / (e + np.float32(2))
            return _choose(x != x, x, math.copysign(y, x))
    else:
        def impl(x):
            e = formulas.expm1(2.0 * min(abs(np.float64(x)), 20.0))
            y = e / (e + 2.0)
            return _choose(x != x, np.float64(x), math.copysign(y, np.float64(x)))
    return impl


# log(x) = e ln 2 + log(m) with m within sqrt(1/2) .. sqrt(2): e and m are read off the bits.
# log(m) = 2 artanh(s) with s = (m - 1) / (m + 1), |s| < 0.172, as its series.

@register_jitable(**_ORDERED)
def _log64(x):
    u = np.uint64
    small = x < 2.2250738585072014e-308  # denormal: made normal first
    bits = _bits_of_float(_choose(small, x * 18014398509481984.0, x))
    # Adding a constant to the bits moves the border between two exponents to sqrt(2).
    shifted = bits + u(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)
    # The exponent, as the low bits of a float64 just above 2^52: LLVM has no vector form
    # of a conversion from int64 on most processors.
    e = float_from_bits((shifted >> u(52)) | u(0x4330000000000000)) - (4503599627370496.0 + 1023.0)
    m = float_from_bits((shifted & u(0x000FFFFFFFFFFFFF)) + u(0x3FE6A09E667F3BCD))
    e = _choose(small, e - 54.0, e)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 2 / 21 * z + 2 / 19
    p = p * z + 2 / 17
    p = p * z + 2 / 15
    p = p * z + 2 / 13
    p = p * z + 2 / 11
    p = p * z + 2 / 9
    p = p * z + 2 / 7
    p = p * z + 2 / 5
    p = p * z + 2 / 3
    # 2 s = f - s f: the large part is exact.
    y = e * 6.93147180369123816490e-1 + (f - (s * (f - p * z) - e * 1.90821492927058770002e-10))
    y = _choose(x > 0.0, y, _choose(x == 0.0, -np.inf, np.nan))
    return _choose(x < np.inf, y, _choose(x == np.inf, x, np.nan))


@register_jitable(**_ORDERED)
def _log32(x):
    f32, u = np.float32, np.uint32
    small = x < f32(1.17549435e-38)
    bits = _bits_of_float(_choose(small, x * f32(33554432.0), x))
    shifted = bits + u(0x3F800000 - 0x3F3504F3)
    e = f32(np.int32(shifted >> u(23)) - np.int32(127))
    m = float_from_bits(np.int32((shifted & u(0x007FFFFF)) + u(0x3F3504F3)))
    e = _choose(small, e - f32(25.0), e)
    f = m - f32(1.0)
    s = f / (f32(2.0) + f)
    z = s * s
    p = f32(2 / 11) * z + f32(2 / 9)
    p = p * z + f32(2 / 7)
    p = p * z + f32(2 / 5)
    p = p * z + f32(2 / 3)
    y = e * f32(6.9313812256e-1) + (f - (s * (f - p * z) - e * f32(9.0580006145e-6)))
    y = _choose(x > f32(0.0), y, _choose(x == f32(0.0), f32(-np.inf), f32(np.nan)))
    return _choose(x < f32(np.inf), y, _choose(x == f32(np.inf), x, f32(np.nan)))


@overload(formulas.log)
def _log(x):
    if x == types.float32:
        return lambda x: _log32(x)
    return lambda x: _log64(np.float64(x))


@overload(formulas.log1p, jit_options=_ORDERED)
def _log1p(x):
    # With w = 1 + x rounded, log(w) x / (w - 1) takes the rounding back (Kahan).
    if x == types.float32:
        def impl(x):
            one = np.float32(1)
            w = one + x
            y = _log32(w) * (x / (w - one))
            return _choose(w == one, x, _choose(w < np.float32(np.inf), y, w))
    else:
        def impl(x):
            w = 1.0 + np.float64(x)
            y = _log64(w) * (x / (w - 1.0))
            return _choose(w == 1.0, np.float64(x), _choose(w < np.inf, y, w))
    return impl
