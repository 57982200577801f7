"""Elementary functions that LLVM can vectorise: polynomials, no calls, no branches.

They stand in for the functions of the same names in ``formulas.py`` when a
formula is compiled.  Errors are below 3 units in the last place; exp gives 0,
inf and NaN where IEEE does.  (``math.exp`` keeps a loop scalar, which is many times
slower, and Intel's SVML, which Numba could use, comes with no pip package.)
"""
import math

import numpy as np
from numba import types
from numba.extending import intrinsic, overload, register_jitable

from .. import formulas

_LOG2E = 1 / math.log(2)

# Kernels let LLVM reorder sums and products.  Here (1 + p) 2^a 2^b must not become
# (1 + p) 2^(a+b), which overflows one step too early, so these keep their order.
_ORDERED = {"contract", "nsz"}


@overload(formulas.constant)
def _constant(value, like):
    return lambda value, like: type(like)(value)


@overload(formulas.select)
def _select(condition, a, b):
    return lambda condition, a, b: a if condition else b


@overload(formulas.fabs)
def _fabs(x):
    return lambda x: abs(x)


@overload(formulas.sqrt)
def _sqrt(x):
    return lambda x: math.sqrt(x)


@overload(formulas.log)
def _log(x):
    return lambda x: math.log(x)


@overload(formulas.log1p)
def _log1p(x):
    return lambda x: math.log1p(x)


@intrinsic
def _float_from_bits(typingctx, bits):
    """Reinterpret an int64 as float64, an int32 as float32."""
    target = types.float64 if bits == types.int64 else types.float32

    def codegen(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(target))

    return target(bits), codegen


# exp(x) = 2^n exp(r) with n = round(x / ln 2) and |r| <= ln 2 / 2.  ln 2 is split in
# two so that n * high is exact (Cody and Waite); exp(r) - 1 is its Taylor polynomial,
# long enough for the precision.  2^n is applied in two halves, so that results that
# are denormal or overflow come out right.

@register_jitable(fastmath=_ORDERED)
def _reduce64(x):
    x = min(max(x, -800.0), 800.0)  # past overflow and underflow; both halves of 2^n stay normal
    n = np.floor(x * _LOG2E + 0.5)
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
    k = np.int64(n)
    half = k >> 1
    return (p, _float_from_bits(np.int64((half + 1023) << 52)),
            _float_from_bits(np.int64((k - half + 1023) << 52)))


@register_jitable(fastmath=_ORDERED)
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
    return (p, _float_from_bits(np.int32((half + bias) << np.int32(23))),
            _float_from_bits(np.int32((k - half + bias) << np.int32(23))))


@overload(formulas.exp, jit_options={"fastmath": _ORDERED})
def _exp(x):
    if x == types.float32:
        def impl(x):
            p, a, b = _reduce32(x)
            return x if x != x else (np.float32(1) + p) * a * b
    else:
        def impl(x):
            p, a, b = _reduce64(np.float64(x))
            return np.float64(x) if x != x else (1.0 + p) * a * b
    return impl


@overload(formulas.expm1, jit_options={"fastmath": _ORDERED})
def _expm1(x):
    # 2^n (1 + p) - 1 = 2^n p + (2^n - 1): for n = 0 that is p itself, with no cancellation.
    # Far out the 1 is lost anyway, and the plain form overflows only where exp does.
    if x == types.float32:
        def impl(x):
            p, a, b = _reduce32(x)
            y = p * a * b + (a * b - np.float32(1))
            return x if x != x else ((np.float32(1) + p) * a * b if x > np.float32(80) else y)
    else:
        def impl(x):
            p, a, b = _reduce64(np.float64(x))
            y = p * a * b + (a * b - 1.0)
            return np.float64(x) if x != x else ((1.0 + p) * a * b if x > 80.0 else y)
    return impl


@overload(formulas.tanh, jit_options={"fastmath": _ORDERED})
def _tanh(x):
    # tanh|x| = e / (e + 2) with e = expm1(2|x|); beyond 20 it is 1 in either precision.
    if x == types.float32:
        def impl(x):
            e = formulas.expm1(np.float32(2) * min(abs(x), np.float32(20)))
            y = e / (e + np.float32(2))
            return x if x != x else math.copysign(y, x)
    else:
        def impl(x):
            e = formulas.expm1(2.0 * min(abs(np.float64(x)), 20.0))
            y = e / (e + 2.0)
            return np.float64(x) if x != x else math.copysign(y, np.float64(x))
    return impl
