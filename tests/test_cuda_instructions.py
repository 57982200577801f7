"""The emulator's arithmetic, instruction by instruction, beside NumPy on edge values."""
import itertools
import math
import re
from fractions import Fraction

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from nnmod.kernels.cuda.emulator import Kernel, UnknownInstruction

F32 = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 1e-40, -1e-40, 1.1754944e-38, 3.4e38, -3.4e38,
                np.inf, -np.inf, np.nan, 1 + 2**-23, 16777217, 0.1, 1e10, -1e10, 2**31, 2**32, 4e18, 1e20],
               np.float32)
F64 = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.7, -3.7, 1e-310, -1e-310, 1.7e308, -1.7e308, np.inf,
                -np.inf, np.nan, 1 + 2**-52, 0.1, 1e10, 2.0**53 + 2, 2**31, 2**32, 2**63, 1e20, 1e-40, 3.5e38])
S32 = np.array([0, 1, -1, 2, -2, 3, 7, -7, 31, 32, 33, 255, 256, -256, 2**31 - 1, -2**31, 123456789, -987654321],
               np.int32)
S64 = np.array([0, 1, -1, 3, -7, 63, 64, 65, 2**31, -2**31, 2**32 + 5, 2**63 - 1, -2**63, 1234567890123456789],
               np.int64)
S16 = np.array([0, 1, -1, 7, -7, 15, 16, 255, 32767, -32768], np.int16)
VALUES = {"f32": F32, "f64": F64, "s32": S32, "u32": S32.view(np.uint32), "b32": S32.view(np.uint32), "s64": S64,
          "u64": S64.view(np.uint64), "b64": S64.view(np.uint64), "s16": S16, "u16": S16.view(np.uint16),
          "b16": S16.view(np.uint16)}
DTYPES = {kind: values.dtype for kind, values in VALUES.items()} | {
    "s8": np.dtype(np.int8), "u8": np.dtype(np.uint8), "pred": np.dtype(np.uint8)}


def run(instruction, kinds, result, columns):
    """The results of ``instruction d, a, b, c``, one thread for each row of *columns*."""
    inputs = [np.ascontiguousarray(c) for c in columns]
    count = inputs[0].size
    output = np.zeros(count, DTYPES[result])
    register = {"pred": "pred", **{k: f"b{max(16, 8 * d.itemsize)}" for k, d in DTYPES.items() if k != "pred"}}
    lines, names = [], []
    for number, kind in enumerate(kinds):
        lines += [f".reg .{register[kind]} %a{number};", f"ld.param.u64 %at, [p{number + 1}];",
                  f"mad.lo.s64 %at, %i, {DTYPES[kind].itemsize}, %at;", f"ld.global.{kind} %a{number}, [%at];"]
        names.append(f"%a{number}")
    lines += [f".reg .{register[result]} %d;", re.sub(
        r"\{([abced])\}", lambda m: {"d": "%d", **dict(zip("abce", names))}[m[1]], instruction) + ";"]
    if result == "pred":
        lines += [".reg .b16 %flag;", "selp.b16 %flag, 1, 0, %d;"]
    lines += ["ld.param.u64 %at, [p0];", f"mad.lo.s64 %at, %i, {output.itemsize}, %at;",
              f"st.global.{'u8' if result == 'pred' else result} [%at], {'%flag' if result == 'pred' else '%d'};"]
    params = ", ".join(f".param .u64 p{number}" for number in range(len(kinds) + 1))
    text = "\n".join([".version 8.0", ".target sm_90", ".address_size 64", f".visible .entry k({params})", "{",
                      ".reg .b64 %at, %i;", ".reg .b32 %t, %n, %c;", "mov.u32 %t, %tid.x;", "mov.u32 %n, %ntid.x;",
                      "mov.u32 %c, %ctaid.x;", "mad.lo.s32 %t, %n, %c, %t;", "cvt.s64.s32 %i, %t;", *lines, "ret;",
                      "}", ""])
    arrays = [output, *inputs]
    block = next(b for b in range(min(count, 256), 0, -1) if count % b == 0)
    Kernel(text)(count // block, block, [np.int64(a.ctypes.data).tobytes() for a in arrays], arrays=arrays)
    return output


def columns(*kinds):
    """Every combination of the edge values."""
    rows = list(itertools.product(*(range(VALUES[kind].size) for kind in kinds)))
    return [VALUES[kind][[row[n] for row in rows]] for n, kind in enumerate(kinds)]


def same(actual, expected):
    """Equal to the bit, except that any NaN is a NaN."""
    expected = np.asarray(expected).astype(actual.dtype, copy=False)
    if actual.dtype.kind == "f":
        nan = np.isnan(expected)
        assert np.array_equal(np.isnan(actual), nan)
        unsigned = f"u{actual.itemsize}"
        wrong = ~nan & (actual.view(unsigned) != expected.view(unsigned))
    else:
        wrong = actual != expected
    assert not wrong.any(), (actual[wrong][:5], expected[wrong][:5], np.flatnonzero(wrong)[:5])


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def nearest_tf32(x):
    """float32 to the nearest number of 10 bits behind the point, ties away from 0."""
    near = ((x.view(np.uint32) + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)
    return np.where(np.isnan(x), x, near)


def test_rounding_to_tf32():
    ties = np.float32([1 + 2**-11, 1 + 2**-11 - 2**-23, 1 + 3 * 2**-11, -1 - 2**-11, 2**-126 + 2**-137, 2**-140,
                       2**-136 - 2**-149, 2**-137, np.finfo(np.float32).max, 3.4e38, 65504, -1e-3])
    x = np.concatenate([F32, ties, np.random.default_rng(0).standard_normal(200).astype(np.float32)])
    actual = run("cvt.rna.tf32.f32 {d}, {a}", ["f32"], "b32", [x]).view(np.float32)
    same(actual, nearest_tf32(x))
    # Beside whole numbers of the last place, where there are no ties to argue about.
    usual = np.isfinite(x) & (np.abs(x) > 1e-30) & (np.abs(x) < 1e30)
    place = 2.0 ** (np.floor(np.log2(np.abs(x[usual].astype(np.float64)))) - 10)
    assert (np.abs(actual[usual] - x[usual].astype(np.float64)) <= place / 2).all()
    assert (actual[usual] / place % 1 == 0).all()
    with pytest.raises(UnknownInstruction, match="cvt.rna.satfinite.tf32.f32"):
        run("cvt.rna.satfinite.tf32.f32 {d}, {a}", ["f32"], "b32", [x])


def flush(x):
    return np.where(np.abs(x) < np.float32(1.1754944e-38), np.copysign(np.float32(0), x), x)


def signed_min(a, b):
    best = np.where(a < b, a, b)
    best = np.where((a == b) & np.signbit(a), a, best)
    return np.where(np.isnan(a), b, np.where(np.isnan(b), a, best))


def signed_max(a, b):
    return -signed_min(-a, -b)


def exact_fma(a, b, c):
    """a b + c rounded once, by whole fractions."""
    out = np.empty_like(a)
    for n, (x, y, z) in enumerate(zip(a, b, c)):
        if not (np.isfinite(x) and np.isfinite(y) and np.isfinite(z)):
            out[n] = x * y + z if not np.isfinite(x) or not np.isfinite(y) else z
            continue
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        if exact == 0:
            out[n] = x * y + z
            continue
        out[n] = nearest(exact, a.dtype)
    return out


def nearest(exact, dtype):
    """A fraction rounded to the nearest float, ties to even."""
    digits, least, most = (24, -149, 2.0**128) if dtype == np.float32 else (53, -1074, None)
    size = abs(exact)
    if dtype == np.float64 and size >= Fraction(2) ** 1024:
        return dtype.type(math.inf if exact > 0 else -math.inf)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    if size >= 2 ** exponent if exponent >= 0 else size * 2 ** -exponent >= 1:
        exponent += 1
    unit = max(exponent - digits, least)
    scaled = size / 2 ** unit if unit >= 0 else size * 2 ** -unit
    whole = round(scaled)
    try:
        value = math.ldexp(whole, unit)
    except OverflowError:
        value = math.inf
    if most is not None and value >= most:
        value = math.inf
    return dtype.type(math.copysign(value, 1 if exact > 0 else -1))


BINARY_FLOAT = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "min": signed_min,
                "max": signed_max}


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("name", BINARY_FLOAT)
def test_two_floats(name, kind):
    a, b = columns(kind, kind)
    rounding = ".rn" if name == "div" else ""
    same(run(f"{name}{rounding}.{kind} {{d}}, {{a}}, {{b}}", [kind, kind], kind, [a, b]), BINARY_FLOAT[name](a, b))
    if kind == "f32":
        flushed = flush(BINARY_FLOAT[name](flush(a), flush(b)))
        same(run(f"{name}{rounding}.ftz.f32 {{d}}, {{a}}, {{b}}", ["f32", "f32"], "f32", [a, b]), flushed)


@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_fma_rounds_once(kind):
    a, b, c = columns(kind, kind, kind)
    pick = np.random.default_rng(0).permutation(a.size)[:3000]
    a, b, c = a[pick], b[pick], c[pick]
    same(run(f"fma.rn.{kind} {{d}}, {{a}}, {{b}}, {{c}}", [kind] * 3, kind, [a, b, c]), exact_fma(a, b, c))


@pytest.mark.parametrize("mode", ["rz", "rm", "rp"])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "fma", "cvt"])
def test_directed_rounding(name, mode):
    """Beside whole fractions: the nearest float, moved where it lies on the wrong side."""
    rng = np.random.default_rng(1)
    a, b, c = (np.concatenate([rng.standard_normal(300).astype(np.float32) * s for s in (1, 1e-8, 1e30)])
               for _ in range(3))
    if name == "cvt":
        x = a.astype(np.float64) * (1 + 1e-12)
        actual = run(f"cvt.{mode}.f32.f64 {{d}}, {{a}}", ["f64"], "f32", [x])
        exact = [Fraction(float(v)) for v in x]
    else:
        operands = [a, b, c] if name == "fma" else [a, b]
        letters = ", ".join("{" + letter + "}" for letter in "abc"[:len(operands)])
        actual = run(f"{name}.{mode}.f32 {{d}}, {letters}", ["f32"] * len(operands), "f32", operands)
        formula = {"add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y,
                   "fma": lambda x, y, z: x * y + z}[name]
        exact = [formula(*(Fraction(float(v)) for v in row)) for row in zip(*operands)]
    expected = []
    for value in exact:
        f = nearest(value, np.dtype(np.float32))
        toward = {"rm": -np.inf, "rp": np.inf, "rz": 0}[mode]
        if np.isinf(f) or (Fraction(float(f)) != value and (
                mode == "rm" and Fraction(float(f)) > value or mode == "rp" and Fraction(float(f)) < value
                or mode == "rz" and abs(Fraction(float(f))) > abs(value))):
            if not (np.isinf(f) and (mode == "rm" and f < 0 or mode == "rp" and f > 0)):
                f = np.nextafter(f, np.float32(toward))
        expected.append(f)
    same(actual, np.array(expected, np.float32))


UNARY_FLOAT = {"neg": np.negative, "abs": np.abs, "sqrt.rn": np.sqrt, "rcp.rn": lambda x: 1 / x}


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("name", UNARY_FLOAT)
def test_one_float(name, kind):
    x = VALUES[kind]
    same(run(f"{name}.{kind} {{d}}, {{a}}", [kind], kind, [x]), UNARY_FLOAT[name](x))


@pytest.mark.parametrize("name, function", [
    ("ex2.approx.ftz.f32", np.exp2), ("lg2.approx.f32", np.log2), ("rcp.approx.f32", lambda x: 1 / x),
    ("sqrt.approx.f32", np.sqrt), ("rsqrt.approx.f32", lambda x: 1 / np.sqrt(x)), ("sin.approx.f32", np.sin),
    ("cos.approx.f32", np.cos), ("tanh.approx.f32", np.tanh)])
def test_approximate_instructions(name, function):
    x = np.concatenate([F32, np.linspace(-20, 20, 401, dtype=np.float32)])
    if "sin" in name or "cos" in name:
        x = x[np.abs(x) < 100]
    expected = function((flush(x) if "ftz" in name else x).astype(np.float64)).astype(np.float32)
    expected = flush(expected) if "ftz" in name else expected
    np.testing.assert_allclose(run(f"{name} {{d}}, {{a}}", ["f32"], "f32", [x]), expected, rtol=3e-7, atol=1e-45)


def test_approximate_float64():
    """Starts of Newton's method: the lower 32 bits are 0."""
    x = np.array([3.0, -7.0, 0.0, 1e-310, np.inf, 2.0])
    for name, expected in (("rcp", 1 / np.where(np.abs(x) < 1e-307, 0, x)), ("rsqrt", 1 / np.sqrt(
            np.where(np.abs(x) < 1e-307, 0, x)))):
        actual = run(f"{name}.approx.ftz.f64 {{d}}, {{a}}", ["f64"], "f64", [x])
        np.testing.assert_allclose(actual, expected, rtol=2e-6)
        finite = np.isfinite(actual)
        assert not (actual[finite].view(np.uint64) & np.uint64(0xFFFFFFFF)).any()


def integers(name, kind):
    wide = {"s32": np.int64, "u32": np.uint64, "s16": np.int32, "u16": np.uint32}.get(kind)
    bits = 8 * DTYPES[kind].itemsize

    def shift(a, b):
        out = []
        for x, n in zip(a.tolist(), b.tolist()):
            n &= 0xFFFFFFFF
            out.append((x << n if n < 200 else 0) if name == "shl" else x >> min(n, 200))
        return np.array([v & (1 << bits) - 1 for v in out], dtype=np.uint64)

    def high(a, b):
        return np.array([(x * y >> bits) & (1 << bits) - 1 for x, y in zip(a.tolist(), b.tolist())], dtype=np.uint64)

    def quotient(a, b):
        return np.array([(abs(x) // abs(y)) * (1 if (x < 0) == (y < 0) else -1) & (1 << bits) - 1
                         for x, y in zip(a.tolist(), b.tolist())], dtype=np.uint64)

    def remainder(a, b):
        return np.array([(abs(x) % abs(y)) * (-1 if x < 0 else 1) & (1 << bits) - 1
                         for x, y in zip(a.tolist(), b.tolist())], dtype=np.uint64)

    return {"add": np.add, "sub": np.subtract, "mul.lo": np.multiply, "mul.hi": high, "div": quotient,
            "rem": remainder, "min": np.minimum, "max": np.maximum, "shl": shift, "shr": shift,
            "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
            "mul.wide": lambda a, b: a.astype(wide) * b.astype(wide)}[name]


@pytest.mark.parametrize("name, kinds", [
    ("add", "s16 s32 u32 s64"), ("sub", "u16 s32 u32 s64"), ("mul.lo", "s16 s32 u32 s64 u64"),
    ("mul.hi", "s32 u32 s64 u64"), ("mul.wide", "s16 u16 s32 u32"), ("div", "s16 s32 u32 s64 u64"),
    ("rem", "u16 s32 u32 s64 u64"), ("min", "s16 s32 u32 s64 u64"), ("max", "u16 s32 u32 s64 u64"),
    ("shl", "b16 b32 b64"), ("shr", "s16 u16 s32 u32 s64 u64"), ("and", "b16 b32 b64"), ("or", "b32 b64"),
    ("xor", "b16 b32 b64")])
def test_two_integers(name, kinds):
    for kind in kinds.split():
        a, b = columns(kind, "u32" if name in ("shl", "shr") else kind)
        if name in ("div", "rem"):
            a, b = a[b != 0], b[b != 0]
        result = {2: "s32", 4: "s64"}[DTYPES[kind].itemsize] if name == "mul.wide" else kind
        result = result.replace("s", "u") if kind[0] != "s" else result
        actual = run(f"{name}.{kind} {{d}}, {{a}}, {{b}}", [kind, "u32" if name in ("shl", "shr") else kind], result,
                     [a, b])
        expected = np.asarray(integers(name, kind)(a, b))
        unsigned = f"u{actual.itemsize}"
        same(actual.view(unsigned), expected.astype(unsigned) if expected.itemsize != actual.itemsize
             else expected.view(unsigned))


def test_mad():
    a, b, c = columns("s32", "s32", "s32")
    same(run("mad.lo.s32 {d}, {a}, {b}, {c}", ["s32"] * 3, "s32", [a, b, c]), a * b + c)
    wide = run("mad.wide.s32 {d}, {a}, {b}, {c}", ["s32", "s32", "s64"], "s64", [a, b, c.astype(np.int64)])
    same(wide, a.astype(np.int64) * b + c)
    ua, ub, uc = (v.view(np.uint32).astype(np.uint64) for v in (a, b, c))
    same(run("mad.hi.u32 {d}, {a}, {b}, {c}", ["u32"] * 3, "u32", [v.astype(np.uint32) for v in (ua, ub, uc)]),
         ((ua * ub >> np.uint64(32)) + uc).astype(np.uint32))


def test_carries():
    """64 bits by halves of 32."""
    a, b = columns("u64", "u64")
    halves = ".reg .b32 %l0, %h0, %l1, %h1; mov.b64 {%l0, %h0}, {a}; mov.b64 {%l1, %h1}, {b}; "
    for name, expected in (("add", a + b), ("sub", a - b)):
        text = halves + f"{name}.cc.u32 %l0, %l0, %l1; {name}c.u32 %h0, %h0, %h1; mov.b64 {{d}}, {{%l0, %h0}}"
        same(run(text, ["u64", "u64"], "u64", [a, b]), expected)
    x, y = (v.astype(np.uint32) for v in columns("u32", "u32"))
    text = (".reg .b32 %lo, %hi; mad.lo.cc.u32 %lo, {a}, {b}, 4294967295; madc.hi.u32 %hi, {a}, {b}, 7; "
            "mov.b64 {d}, {%lo, %hi}")
    same(run(text, ["u32", "u32"], "u64", [x, y]),
         x.astype(np.uint64) * y + np.uint64(0xFFFFFFFF) + (np.uint64(7) << np.uint64(32)))


@pytest.mark.parametrize("kind", ["b32", "b64"])
def test_bits(kind):
    x = VALUES[kind]
    bits = 8 * x.itemsize
    texts = [f"{v:0{bits}b}" for v in x.tolist()]
    same(run(f"popc.{kind} {{d}}, {{a}}", [kind], "u32", [x]), [t.count("1") for t in texts])
    same(run(f"clz.{kind} {{d}}, {{a}}", [kind], "u32", [x]), [(t + "1").index("1") for t in texts])
    same(run(f"brev.{kind} {{d}}, {{a}}", [kind], kind, [x]), np.array([int(t[::-1], 2) for t in texts], x.dtype))
    same(run(f"not.{kind} {{d}}, {{a}}", [kind], kind, [x]), ~x)
    number = kind.replace("b", "u")
    same(run(f"bfind.{number} {{d}}, {{a}}", [kind], "u32", [x]),
         np.array([bits - 1 - t.index("1") if "1" in t else 0xFFFFFFFF for t in texts], np.uint32))


@pytest.mark.parametrize("kind", ["u32", "s32", "u64", "s64"])
def test_bit_fields(kind):
    bits = 8 * DTYPES[kind].itemsize
    places = np.array([0, 1, 5, 16, 31, 32, 63, 64, 200], np.uint32)
    rows = list(itertools.product(VALUES[kind].tolist(), places.tolist(), places.tolist()))
    x, pos, length = (np.array(c, d) for c, d in zip(zip(*rows), (DTYPES[kind], np.uint32, np.uint32)))

    def extract(value, p, n):
        sign = value < 0 and kind[0] == "s"
        value &= (1 << bits) - 1
        top = value >> min(p + n - 1, bits - 1) & 1 if kind[0] == "s" and n else 0
        out = 0
        for k in range(bits):
            bit = (value >> (k + p) & 1) if k < n and k + p < bits else top
            out |= bit << k
        assert sign in (True, False)
        return out - (1 << bits) if kind[0] == "s" and out >> (bits - 1) else out

    same(run(f"bfe.{kind} {{d}}, {{a}}, {{b}}, {{c}}", [kind, "u32", "u32"], kind, [x, pos, length]),
         np.array([extract(*row) for row in rows], DTYPES[kind]))
    if kind[0] == "u":
        other = np.roll(x, 7)
        ones = (1 << bits) - 1
        expected = [(b & ~(((1 << n) - 1) << p) | (a << p) & (((1 << n) - 1) << p)) & ones
                    for a, b, p, n in zip(x.tolist(), other.tolist(), pos.tolist(), length.tolist())]
        same(run(f"bfi.b{bits} {{d}}, {{a}}, {{b}}, {{c}}, {{e}}",
                 [kind, kind, "u32", "u32"], kind, [x, other, pos, length]), np.array(expected, x.dtype))


def test_permutations_and_tables():
    a, b, c = columns("u32", "u32", "u32")
    choice = np.array([0x3210, 0x7654, 0x0426, 0xFEDC, 0x8888], np.uint32)[np.arange(a.size) % 5]

    def permuted(x, y, select):
        data = (x | y << 32).to_bytes(8, "little")
        out = bytearray()
        for k in range(4):
            nibble = select >> 4 * k & 15
            byte = data[nibble & 7]
            out.append((255 if byte & 128 else 0) if nibble & 8 else byte)
        return int.from_bytes(out, "little")

    same(run("prmt.b32 {d}, {a}, {b}, {c}", ["u32"] * 3, "u32", [a, b, choice]),
         np.array([permuted(*row) for row in zip(a.tolist(), b.tolist(), choice.tolist())], np.uint32))
    same(run("lop3.b32 {d}, {a}, {b}, {c}, 150", ["u32"] * 3, "u32", [a, b, c]), a ^ b ^ c)
    same(run("lop3.b32 {d}, {a}, {b}, {c}, 202", ["u32"] * 3, "u32", [a, b, c]), a & b | ~a & c)
    n = c & np.uint32(31)
    both = b.astype(np.uint64) << np.uint64(32) | a
    same(run("shf.l.wrap.b32 {d}, {a}, {b}, {c}", ["u32"] * 3, "u32", [a, b, c]),
         (both << n.astype(np.uint64) >> np.uint64(32)).astype(np.uint32))
    same(run("shf.r.wrap.b32 {d}, {a}, {b}, {c}", ["u32"] * 3, "u32", [a, b, c]),
         (both >> n.astype(np.uint64)).astype(np.uint32))
    same(run("mul24.lo.u32 {d}, {a}, {b}", ["u32"] * 2, "u32", [a, b]), (a & 0xFFFFFF) * (b & 0xFFFFFF))
    s = [v.view(np.int32).astype(np.int64) for v in (a, b, c)]
    same(run("sad.s32 {d}, {a}, {b}, {c}", ["s32"] * 3, "s32", [v.astype(np.int32) for v in s]),
         (np.abs(s[0] - s[1]) + s[2]).astype(np.int32))


COMPARE = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
           "ge": np.greater_equal}


@pytest.mark.parametrize("kind", ["f32", "f64", "s32", "u32", "s64", "u64", "s16", "u16"])
@pytest.mark.parametrize("how", COMPARE)
def test_comparing(how, kind):
    a, b = columns(kind, kind)
    expected = COMPARE[how](a, b)
    if kind[0] == "f":
        nan = np.isnan(a) | np.isnan(b)
        same(run(f"setp.{how}u.{kind} {{d}}, {{a}}, {{b}}", [kind] * 2, "pred", [a, b]), expected | nan)
        expected = expected & ~nan
        same(run(f"setp.nan.{kind} {{d}}, {{a}}, {{b}}", [kind] * 2, "pred", [a, b]), nan)
        same(run(f"setp.num.{kind} {{d}}, {{a}}, {{b}}", [kind] * 2, "pred", [a, b]), ~nan)
    same(run(f"setp.{how}.{kind} {{d}}, {{a}}, {{b}}", [kind] * 2, "pred", [a, b]), expected)


def test_predicates():
    a, b = columns("s32", "s32")
    text = ".reg .pred %p, %q; setp.lt.s32 %p|%q, {a}, {b}; setp.gt.and.s32 {d}, {a}, 0, %q"
    same(run(text, ["s32"] * 2, "pred", [a, b]), (a > 0) & ~(a < b))
    text = ".reg .pred %p; setp.lt.s32 %p, {a}, {b}; mov.b32 {d}, {b}; @%p mov.b32 {d}, {a}; @!%p add.s32 {d}, {d}, 1"
    same(run(text, ["s32"] * 2, "s32", [a, b]), np.where(a < b, a, b + np.int32(1)))
    same(run("set.ge.u32.s32 {d}, {a}, {b}", ["s32"] * 2, "u32", [a, b]), np.where(a >= b, 0xFFFFFFFF, 0))
    same(run("slct.s32.s32 {d}, {a}, {b}, {a}", ["s32"] * 2, "s32", [a, b]), np.where(a >= 0, a, b))
    x, y = columns("f32", "f32")
    same(run("copysign.f32 {d}, {a}, {b}", ["f32"] * 2, "f32", [x, y]), np.copysign(y, x))
    for what, function in (("finite", np.isfinite), ("infinite", np.isinf), ("notanumber", np.isnan)):
        same(run(f"testp.{what}.f32 {{d}}, {{a}}", ["f32"], "pred", [F32]), function(F32))


def to_integer(x, rounding, kind):
    """As PTX says: out of range the nearest integer, NaN 0 (with 64 bits on either side the top bit)."""
    bits = 8 * DTYPES[kind].itemsize
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if kind[0] == "s" else (0, (1 << bits) - 1)
    out = []
    for v in x.tolist():
        if math.isnan(v):
            out.append(low if kind[0] == "s" and 64 in (bits, 8 * x.itemsize)
                       else 1 << bits - 1 if 64 in (bits, 8 * x.itemsize) else 0)
        elif math.isinf(v):
            out.append(high if v > 0 else low)
        else:
            whole = {"rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil, "rni": round}[rounding](v)
            out.append(min(max(whole, low), high))
    return np.array(out, DTYPES[kind])


@pytest.mark.parametrize("source", ["f32", "f64"])
@pytest.mark.parametrize("target", ["s32", "u32", "s64", "u64", "s16"])
@pytest.mark.parametrize("rounding", ["rni", "rzi", "rmi", "rpi"])
def test_float_to_integer(source, target, rounding):
    x = VALUES[source]
    same(run(f"cvt.{rounding}.{target}.{source} {{d}}, {{a}}", [source], target, [x]), to_integer(x, rounding, target))


@pytest.mark.parametrize("source", ["s16", "u16", "s32", "u32", "s64", "u64"])
def test_integer_to_float(source):
    x = VALUES[source]
    for target, dtype in (("f32", np.float32), ("f64", np.float64)):
        same(run(f"cvt.rn.{target}.{source} {{d}}, {{a}}", [source], target, [x]), x.astype(dtype))


def test_between_floats():
    same(run("cvt.f64.f32 {d}, {a}", ["f32"], "f64", [F32]), F32.astype(np.float64))
    same(run("cvt.rn.f32.f64 {d}, {a}", ["f64"], "f32", [F64]), F64.astype(np.float32))
    same(run("cvt.sat.f32.f32 {d}, {a}", ["f32"], "f32", [F32]), np.where(F32 > 0, np.minimum(F32, 1), np.float32(0)))
    same(run("cvt.ftz.f64.f32 {d}, {a}", ["f32"], "f64", [F32]), flush(F32).astype(np.float64))
    for rounding, function in (("rni", np.rint), ("rzi", np.trunc), ("rmi", np.floor), ("rpi", np.ceil)):
        same(run(f"cvt.{rounding}.f32.f32 {{d}}, {{a}}", ["f32"], "f32", [F32]), function(F32))
        same(run(f"cvt.{rounding}.f64.f64 {{d}}, {{a}}", ["f64"], "f64", [F64]), function(F64))


@pytest.mark.parametrize("source, target", [
    (s, t) for s in ("s16", "u16", "s32", "u32", "s64", "u64") for t in ("s8", "u8", "s16", "s32", "u32", "s64", "u64")])
def test_between_integers(source, target):
    x = VALUES[source]
    same(run(f"cvt.{target}.{source} {{d}}, {{a}}", [source], target, [x]), x.astype(DTYPES[target]))
    limits = np.iinfo(DTYPES[target])
    clipped = [min(max(v, limits.min), limits.max) for v in x.tolist()]
    same(run(f"cvt.sat.{target}.{source} {{d}}, {{a}}", [source], target, [x]), np.array(clipped, DTYPES[target]))


@pytest.mark.parametrize("text", [
    "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {d}, {a}, {a}, {a}", "add.f16 {d}, {a}, {a}",
    "cvt.rn.bf16.f32 {d}, {a}", "cp.async.ca.shared.global [{a}], [{a}], 4", "activemask.b32 {d}",
    "add.rz.f64 {d}, {a}, {a}", "bar.sync 1, 64", "shfl.sync.down.f32 {d}, {a}, 1, 31, -1", "mov.u32 {d}, %clock",
    "frobnicate.s32 {d}, {a}"])
def test_what_is_not_known_is_refused_by_name_and_line(text):
    with pytest.raises(UnknownInstruction) as caught:
        run(text, ["u32"], "u32", [S32.view(np.uint32)])
    assert "PTX line" in str(caught.value) and text.split()[0].split(".")[0] in str(caught.value)
