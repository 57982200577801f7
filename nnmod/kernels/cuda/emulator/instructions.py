"""What each PTX instruction means, as LLVM IR.

Rounding, NaN, infinities, denormals (kept, or flushed with ``.ftz``) and overflow are as the
PTX manual says.  Instructions that the hardware only approximates (``ex2.approx``,
``sin.approx``, ...) are computed to full float32 precision: a real GPU differs in the last
bits, within the bounds of the manual.
"""
from . import layout
from .bits import BIT_EMITTERS
from .memory import MEMORY_EMITTERS
from .parse import SIZES, llvm_type, split
from .waiting import WAITING_EMITTERS

_DIRECTED = {"rz", "rm", "rp"}
_INTEGRAL = {"rni": "roundeven", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}


def _is_float(kind):
    return kind in ("f32", "f64")


# -- floating point -------------------------------------------------------------------------

def _flushed(e, value):
    """A float32 with denormals made zero."""
    size = e.call("float", "llvm.fabs.f32", f"float {value}")
    small = e.new(f"fcmp olt float {size}, 0x3810000000000000")
    zero = e.call("float", "llvm.copysign.f32", "float 0.0", f"float {value}")
    return e.new(f"select i1 {small}, float {zero}, float {value}")


def _input(e, i, number, kind):
    value = e.value(i.operands[number], kind)
    return _flushed(e, value) if kind == "f32" and "ftz" in i.parts else value


def _result(e, i, value, kind):
    """Saturate, flush and write a result."""
    if "sat" in i.parts:
        t = llvm_type(kind)
        positive = e.new(f"fcmp ogt {t} {value}, 0.0")  # NaN becomes 0
        value = e.new(f"select i1 {positive}, {t} {value}, {t} 0.0")
        large = e.new(f"fcmp ogt {t} {value}, 1.0")
        value = e.new(f"select i1 {large}, {t} 1.0, {t} {value}")
    if "ftz" in i.parts and kind == "f32":
        value = _flushed(e, value)
    e.store(i.operands[0], value, kind)


def _directed(e, i, near, error, mode):
    """Round the exact number near + error, float64 each, to float32 in direction *mode*."""
    f = e.new(f"fptrunc double {near} to float")
    wide = e.new(f"fpext float {f} to double")
    too_large = e.new(f"fcmp ogt double {wide}, {near}")
    too_small = e.new(f"fcmp olt double {wide}, {near}")
    if error is not None:
        same = e.new(f"fcmp oeq double {wide}, {near}")
        over = e.new(f"and i1 {same}, {e.new(f'fcmp olt double {error}, 0.0')}")
        under = e.new(f"and i1 {same}, {e.new(f'fcmp ogt double {error}, 0.0')}")
        too_large, too_small = e.new(f"or i1 {too_large}, {over}"), e.new(f"or i1 {too_small}, {under}")
    negative = e.new(f"fcmp olt double {near}, 0.0")
    if mode == "rz":
        down = e.new(f"select i1 {negative}, i1 {too_small}, i1 {too_large}")
        return e.new(f"select i1 {down}, float {_neighbour(e, f, 'zero')}, float {f}")
    wrong = too_large if mode == "rm" else too_small
    return e.new(f"select i1 {wrong}, float {_neighbour(e, f, mode)}, float {f}")


def _neighbour(e, f, mode):
    """The next float32 towards zero, or down (rm), or up (rp)."""
    bits = e.new(f"bitcast float {f} to i32")
    inwards, outwards = e.new(f"sub i32 {bits}, 1"), e.new(f"add i32 {bits}, 1")
    if mode == "zero":
        return e.new(f"bitcast i32 {inwards} to float")
    negative = e.new(f"icmp slt i32 {bits}, 0")
    first, second = (outwards, inwards) if mode == "rm" else (inwards, outwards)
    moved = e.new(f"select i1 {negative}, i32 {first}, i32 {second}")
    zero = e.new(f"fcmp oeq float {f}, 0.0")
    least = e.new(f"select i1 {zero}, i32 {-2147483647 if mode == 'rm' else 1}, i32 {moved}")
    return e.new(f"bitcast i32 {least} to float")


def _exact_sum(e, a, b):
    """a + b of float64 as (rounded, error), exactly (Knuth's two-sum)."""
    total = e.new(f"fadd double {a}, {b}")
    part = e.new(f"fsub double {total}, {a}")
    rest = e.new(f"fsub double {a}, {e.new(f'fsub double {total}, {part}')}")
    return total, e.new(f"fadd double {rest}, {e.new(f'fsub double {b}, {part}')}")


def _signed_zero(e, near, a, b, mode):
    """An exact sum of 0 is -0 when rounded down, unless both terms are +0."""
    if mode != "rm":
        return near
    signs = e.new(f"or i64 {e.new(f'bitcast double {a} to i64')}, {e.new(f'bitcast double {b} to i64')}")
    minus = e.new(f"icmp slt i64 {signs}, 0")
    zero = e.new(f"fcmp oeq double {near}, 0.0")
    return e.new(f"select i1 {e.new(f'and i1 {zero}, {minus}')}, double -0.0, double {near}")


def _arithmetic(e, i):
    """add, sub, mul, fma, mad of floating point."""
    kind, t = i.type, llvm_type(i.type)
    e.known(i, "rn", "rz", "rm", "rp", "ftz", "sat", "approx", "full")
    values = [_input(e, i, number, kind) for number in range(1, len(i.operands))]
    mode = next((part for part in i.parts if part in _DIRECTED), None)
    if mode is None:
        if i.name in ("fma", "mad"):
            value = e.call(t, f"llvm.fma.{kind}", *(f"{t} {v}" for v in values))
        else:
            value = e.new(f"f{i.name} {t} {values[0]}, {values[1]}")
        return _result(e, i, value, kind)
    if kind != "f32" or i.name == "div":
        e.refuse(i)
    wide = [e.new(f"fpext float {v} to double") for v in values]
    if i.name in ("fma", "mad", "mul"):
        product = e.new(f"fmul double {wide[0]}, {wide[1]}")  # exact: 24 + 24 bits
        terms = [product, wide[2]] if len(wide) == 3 else None
    else:
        terms = [wide[0], e.new(f"fneg double {wide[1]}") if i.name == "sub" else wide[1]]
    if terms is None:
        return _result(e, i, _directed(e, i, product, None, mode), kind)
    near, error = _exact_sum(e, *terms)
    near = _signed_zero(e, near, *terms, mode)
    return _result(e, i, _directed(e, i, near, error, mode), kind)


def _reciprocal(e, i):
    """rcp, sqrt, rsqrt"""
    kind, t = i.type, llvm_type(i.type)
    e.known(i, "rn", "ftz", "approx")
    x = _input(e, i, 1, kind)
    if kind == "f64" and "approx" in i.parts and "ftz" in i.parts:
        # A start for Newton's method: denormals count as 0, and 32 bits of the result are 0.
        small = e.new(f"fcmp olt double {e.call(t, 'llvm.fabs.f64', f'double {x}')}, 0x0010000000000000")
        zero = e.call(t, "llvm.copysign.f64", "double 0.0", f"double {x}")
        x = e.new(f"select i1 {small}, double {zero}, double {x}")
    root = x if i.name == "rcp" else e.call(t, f"llvm.sqrt.{kind}", f"{t} {x}")
    value = root if i.name == "sqrt" else e.new(f"fdiv {t} 1.0, {root}")
    if kind == "f64" and "approx" in i.parts and "ftz" in i.parts:
        high = e.new(f"and i64 {e.new(f'bitcast double {value} to i64')}, -4294967296")
        number = e.new(f"bitcast i64 {high} to double")
        value = e.new(f"select i1 {e.new(f'fcmp uno double {value}, 0.0')}, double {value}, double {number}")
    _result(e, i, value, kind)


def _function(e, i):
    """ex2, lg2, sin, cos, tanh"""
    e.known(i, "approx", "ftz")
    if i.type != "f32":
        e.refuse(i)
    x = _input(e, i, 1, "f32")
    name = {"ex2": "exp2f", "lg2": "log2f", "sin": "sinf", "cos": "cosf", "tanh": "tanhf"}[i.name]
    _result(e, i, e.call("float", name, f"float {x}"), "f32")


def _extreme(e, i):
    """min and max: of a number and NaN the number, unless .NaN asks for the NaN; -0 < +0."""
    kind, t = i.type, llvm_type(i.type)
    e.known(i, "ftz", "NaN")
    if not _is_float(kind):
        a, b = e.value(i.operands[1], kind), e.value(i.operands[2], kind)
        sign = "s" if kind[0] == "s" else "u"
        test = e.new(f"icmp {sign}{'lt' if i.name == 'min' else 'gt'} {t} {a}, {b}")
        return e.store(i.operands[0], e.new(f"select i1 {test}, {t} {a}, {t} {b}"), kind)
    values = [_input(e, i, number, kind) for number in range(1, len(i.operands))]
    best = values[0]
    for b in values[1:]:
        best = _float_extreme(e, i, best, b, kind, t)
    return _result(e, i, best, kind)


def _float_extreme(e, i, a, b, kind, t):
    wider = f"i{8 * SIZES[kind]}"
    test = e.new(f"fcmp {'olt' if i.name == 'min' else 'ogt'} {t} {a}, {b}")
    best = e.new(f"select i1 {test}, {t} {a}, {t} {b}")
    both = [e.new(f"bitcast {t} {v} to {wider}") for v in (a, b)]
    merged = e.new(f"{'or' if i.name == 'min' else 'and'} {wider} {both[0]}, {both[1]}")
    equal = e.new(f"fcmp oeq {t} {a}, {b}")
    best = e.new(f"select i1 {equal}, {t} {e.new(f'bitcast {wider} {merged} to {t}')}, {t} {best}")
    a_nan, b_nan = e.new(f"fcmp uno {t} {a}, 0.0"), e.new(f"fcmp uno {t} {b}, 0.0")
    keeps = "NaN" in i.parts
    best = e.new(f"select i1 {b_nan}, {t} {b if keeps else a}, {t} {best}")
    return e.new(f"select i1 {a_nan}, {t} {a if keeps else b}, {t} {best}")


def _sign(e, i):
    """neg, abs"""
    kind, t = i.type, llvm_type(i.type)
    e.known(i, "ftz")
    if _is_float(kind):
        x = _input(e, i, 1, kind)
        value = e.new(f"fneg {t} {x}") if i.name == "neg" else e.call(t, f"llvm.fabs.{kind}", f"{t} {x}")
        return _result(e, i, value, kind)
    x = e.value(i.operands[1], kind)
    minus = e.new(f"sub {t} 0, {x}")
    if i.name == "abs":
        minus = e.new(f"select i1 {e.new(f'icmp slt {t} {x}, 0')}, {t} {minus}, {t} {x}")
    return e.store(i.operands[0], minus, kind)


def _copysign(e, i):
    kind, t = i.type, llvm_type(i.type)
    sign, size = e.value(i.operands[1], kind), e.value(i.operands[2], kind)
    e.store(i.operands[0], e.call(t, f"llvm.copysign.{kind}", f"{t} {size}", f"{t} {sign}"), kind)


def _test(e, i):
    """testp"""
    what, kind = i.parts
    t = llvm_type(kind)
    x = e.value(i.operands[1], kind)
    mask = {"notanumber": 3, "infinite": 516, "finite": 504, "number": 1020, "normal": 264, "subnormal": 144}[what]
    e.store(i.operands[0], e.call("i1", f"llvm.is.fpclass.{kind}", f"{t} {x}", f"i32 {mask}"), "pred")


# -- integers -----------------------------------------------------------------------------------

def _add_or_mul(e, i):
    """add, sub, mul, mad, fma, div of either kind of number"""
    if _is_float(i.type):
        return _arithmetic(e, i)
    if "cc" in i.parts or i.name in ("addc", "subc", "madc"):
        return _carried(e, i)
    if i.name == "div":
        return _division(e, i)
    e.known(i, "lo", "hi", "wide", "sat")
    kind, t = i.type, llvm_type(i.type)
    a, b = e.value(i.operands[1], kind), e.value(i.operands[2], kind)
    if i.name in ("add", "sub"):
        if "sat" in i.parts:
            return e.store(i.operands[0], e.call(t, f"llvm.s{i.name}.sat.{t}", f"{t} {a}", f"{t} {b}"), kind)
        return e.store(i.operands[0], e.new(f"{i.name} {t} {a}, {b}"), kind)
    if "sat" in i.parts:
        e.refuse(i)
    if "wide" in i.parts:
        double = kind[0] + str(16 * SIZES[kind])
        value = e.new(f"mul {llvm_type(double)} {_widened(e, a, kind)}, {_widened(e, b, kind)}")
        if i.name == "mad":
            value = e.new(f"add {llvm_type(double)} {value}, {e.value(i.operands[3], double)}")
        return e.store(i.operands[0], value, double)
    value = _high(e, a, b, kind) if "hi" in i.parts else e.new(f"mul {t} {a}, {b}")
    if i.name == "mad":
        value = e.new(f"add {t} {value}, {e.value(i.operands[3], kind)}")
    return e.store(i.operands[0], value, kind)


def _widened(e, value, kind):
    """An integer as one of twice the bits."""
    return e.new(f"{'sext' if kind[0] == 's' else 'zext'} {llvm_type(kind)} {value} to i{16 * SIZES[kind]}")


def _high(e, a, b, kind):
    """The upper half of a product."""
    bits = 8 * SIZES[kind]
    product = e.new(f"mul i{2 * bits} {_widened(e, a, kind)}, {_widened(e, b, kind)}")
    return e.new(f"trunc i{2 * bits} {e.new(f'lshr i{2 * bits} {product}, {bits}')} to i{bits}")


def _carried(e, i):
    """Arithmetic with the carry flag: add.cc, addc, sub.cc, subc, mad.cc, madc."""
    e.known(i, "cc", "lo", "hi")
    kind, bits = i.type, 8 * SIZES[i.type]
    a, b = e.value(i.operands[1], kind), e.value(i.operands[2], kind)
    minus = i.name.startswith("sub")
    if i.name.startswith("mad"):
        a = _high(e, a, b, kind) if "hi" in i.parts else e.new(f"mul i{bits} {a}, {b}")
        b = e.value(i.operands[3], kind)
    verb = "sub" if minus else "add"
    wide = [e.new(f"zext i{bits} {v} to i{bits + 1}") for v in (a, b)]
    value = e.new(f"{verb} i{bits + 1} {wide[0]}, {wide[1]}")
    if i.name.endswith("c"):
        flag = e.new(f"zext i1 {e.new('load i1, ptr %carry')} to i{bits + 1}")
        value = e.new(f"{verb} i{bits + 1} {value}, {flag}")
    if "cc" in i.parts:
        top = e.new(f"trunc i{bits + 1} {e.new(f'lshr i{bits + 1} {value}, {bits}')} to i1")
        e.emit(f"store i1 {top}, ptr %carry")
    e.store(i.operands[0], e.new(f"trunc i{bits + 1} {value} to i{bits}"), kind)


def _division(e, i):
    """div and rem.  Hardware gives no defined result for a divisor of 0: that is a fault here."""
    e.known(i)
    kind, t = i.type, llvm_type(i.type)
    a, b = e.value(i.operands[1], kind), e.value(i.operands[2], kind)
    e.fault_if(e.new(f"icmp eq {t} {b}, 0"), layout.DIVISION)
    if kind[0] != "s":
        return e.store(i.operands[0], e.new(f"u{i.name} {t} {a}, {b}"), kind)
    # The least integer by -1 overflows, for which LLVM has no defined result either.
    minus = e.new(f"icmp eq {t} {b}, -1")
    value = e.new(f"s{i.name} {t} {a}, {e.new(f'select i1 {minus}, {t} 1, {t} {b}')}")
    other = e.new(f"sub {t} 0, {a}") if i.name == "div" else "0"
    return e.store(i.operands[0], e.new(f"select i1 {minus}, {t} {other}, {t} {value}"), kind)


def _mad24(e, i):
    """mul24, mad24: the lower 24 bits of each factor."""
    e.known(i, "lo")
    kind, t = i.type, llvm_type(i.type)
    shift = "ashr" if kind[0] == "s" else "lshr"
    a, b = (e.new(f"{shift} {t} {e.new(f'shl {t} {e.value(o, kind)}, 8')}, 8") for o in i.operands[1:3])
    value = e.new(f"mul {t} {a}, {b}")
    if i.name == "mad24":
        value = e.new(f"add {t} {value}, {e.value(i.operands[3], kind)}")
    e.store(i.operands[0], value, kind)


def _sad(e, i):
    """|a - b| + c"""
    kind, t = i.type, llvm_type(i.type)
    a, b, c = (e.value(operand, kind) for operand in i.operands[1:])
    less = e.new(f"icmp {'s' if kind[0] == 's' else 'u'}lt {t} {a}, {b}")
    d, minus = e.new(f"sub {t} {a}, {b}"), e.new(f"sub {t} {b}, {a}")
    e.store(i.operands[0], e.new(f"add {t} {e.new(f'select i1 {less}, {t} {minus}, {t} {d}')}, {c}"), kind)


# -- comparing and moving ---------------------------------------------------------------------------

_COMPARE = {"eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge",
            "lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}


def _comparison(e, i, how, kind):
    t = llvm_type(kind)
    a, b = _input(e, i, 1, kind), _input(e, i, 2, kind)
    if _is_float(kind):
        if how in ("num", "nan"):
            return e.new(f"fcmp {'ord' if how == 'num' else 'uno'} {t} {a}, {b}")
        order = "u" if how.endswith("u") and how != "u" else "o"
        return e.new(f"fcmp {order}{how.removesuffix('u')} {t} {a}, {b}")
    if how not in _COMPARE:
        e.refuse(i)
    sign = "" if how in ("eq", "ne") else "s" if kind[0] == "s" else "u"
    return e.new(f"icmp {sign}{_COMPARE[how]} {t} {a}, {b}")


def _set_predicate(e, i):
    """setp.how{.and|.or|.xor}.type p{|q}, a, b{, c}, and set"""
    parts = [part for part in i.parts if part != "ftz"]
    logic = next((part for part in parts if part in ("and", "or", "xor")), None)
    kind = parts[-1]
    value = _comparison(e, i, parts[0], kind)
    results = [part.strip() for part in i.operands[0].split("|")]
    c = e.bits(i.operands[3], 1) if logic else None
    if i.name == "set":
        if logic:
            value = e.new(f"{logic} i1 {value}, {c}")
        target = parts[-2]
        if _is_float(target):
            return e.store(results[0], e.new(f"uitofp i1 {value} to {llvm_type(target)}"), target)
        return e.store(results[0], e.new(f"sext i1 {value} to {llvm_type(target)}"), target)
    opposite = e.new(f"xor i1 {value}, true") if len(results) > 1 else None
    if logic:
        value = e.new(f"{logic} i1 {value}, {c}")
        opposite = opposite and e.new(f"{logic} i1 {opposite}, {c}")
    e.store(results[0], value, "pred")
    if opposite:
        e.store(results[1], opposite, "pred")


def _select(e, i):
    kind, t = i.type, llvm_type(i.type)
    a, b = e.value(i.operands[1], kind), e.value(i.operands[2], kind)
    e.store(i.operands[0], e.new(f"select i1 {e.bits(i.operands[3], 1)}, {t} {a}, {t} {b}"), kind)


def _slct(e, i):
    """a where c >= 0, else b"""
    kind, t = i.parts[-2], llvm_type(i.parts[-2])
    c = _input(e, i, 3, i.parts[-1])
    test = e.new(f"fcmp oge float {c}, 0.0" if i.parts[-1] == "f32" else f"icmp sge i32 {c}, 0")
    a, b = e.value(i.operands[1], kind), e.value(i.operands[2], kind)
    e.store(i.operands[0], e.new(f"select i1 {test}, {t} {a}, {t} {b}"), kind)


def _move(e, i):
    kind = i.type
    target, source = i.operands
    if target.startswith("{"):
        targets = split(target[1:-1])
        width = 8 * SIZES[kind] // len(targets)
        value = e.bits(source, 8 * SIZES[kind])
        for number, name in enumerate(targets):
            moved = e.new(f"lshr i{8 * SIZES[kind]} {value}, {number * width}")
            e.store(name, e.new(f"trunc i{8 * SIZES[kind]} {moved} to i{width}"), f"b{width}")
    elif source.startswith("{"):
        sources, bits = split(source[1:-1]), 8 * SIZES[kind]
        value = "0"
        for number, name in enumerate(sources):
            part = e.new(f"zext i{bits // len(sources)} {e.bits(name, bits // len(sources))} to i{bits}")
            value = e.new(f"or i{bits} {value}, {e.new(f'shl i{bits} {part}, {number * (bits // len(sources))}')}")
        e.store(target, value, f"b{bits}")
    elif kind == "pred":
        e.store(target, e.bits(source, 1), "pred")
    else:
        bits = 8 * SIZES[kind]
        if source in e.registers and e.width(source) != bits:
            e.refuse(i)
        e.store(target, e.bits(source, bits), f"b{bits}")


def _convert(e, i):
    """cvt.{rounding}.{ftz}.{sat}.to.from"""
    if i.parts == ("rna", "tf32", "f32"):
        return _convert_to_tf32(e, i)
    to, source = i.parts[-2:]
    e.known(i, "rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi", "ftz", "sat")
    rounding = next((part for part in i.parts if part in _DIRECTED), None)
    integral = next((_INTEGRAL[part] for part in i.parts if part in _INTEGRAL), None)
    x = _input(e, i, 1, source) if _is_float(source) else e.value(i.operands[1], source)
    if _is_float(source) and _is_float(to):
        if integral:
            x = e.call(llvm_type(source), f"llvm.{integral}.{source}", f"{llvm_type(source)} {x}")
        if to == source:
            value = x
        elif to == "f64":
            value = e.new(f"fpext float {x} to double")
        else:
            value = e.new(f"fptrunc double {x} to float") if rounding is None else _directed(e, i, x, None, rounding)
        return _result(e, i, value, to)
    if _is_float(to):
        verb = "sitofp" if source[0] == "s" else "uitofp"
        if rounding is None:
            return _result(e, i, e.new(f"{verb} {llvm_type(source)} {x} to {llvm_type(to)}"), to)
        if to == "f64" and SIZES[source] < 8:
            return _result(e, i, e.new(f"{verb} {llvm_type(source)} {x} to double"), to)  # exact
        if to == "f64" or SIZES[source] == 8:
            e.refuse(i)
        return _result(e, i, _directed(e, i, e.new(f"{verb} {llvm_type(source)} {x} to double"), None, rounding), to)
    if _is_float(source):
        if integral is None:
            e.refuse(i)
        t, sign = llvm_type(source), "s" if to[0] == "s" else "u"
        x = e.call(t, f"llvm.{integral}.{source}", f"{t} {x}")
        # Too large a number gives the largest integer; NaN gives 0, or with 64 bits on either side the top bit.
        value = e.call(llvm_type(to), f"llvm.fpto{sign}i.sat.{llvm_type(to)}.{source}", f"{t} {x}")
        if 8 in (SIZES[to], SIZES[source]):
            nan = e.new(f"fcmp uno {t} {x}, 0.0")
            value = e.new(f"select i1 {nan}, {llvm_type(to)} {-(1 << 8 * SIZES[to] - 1)}, {llvm_type(to)} {value}")
        return e.store(i.operands[0], value, to)
    return e.store(i.operands[0], _convert_integer(e, i, x, to, source), to)


def _convert_to_tf32(e, i):
    """float32 to the nearest number of 10 bits behind the point, ties away from 0; the lower 13 bits are 0."""
    bits = e.value(i.operands[1], "b32")
    near = e.new(f"and i32 {e.new(f'add i32 {bits}, 4096')}, -8192")
    nan = e.new(f"fcmp uno float {e.value(i.operands[1], 'f32')}, 0.0")
    e.store(i.operands[0], e.new(f"select i1 {nan}, i32 2147483647, i32 {near}"), "b32")


def _convert_integer(e, i, x, to, source):
    have, want = 8 * SIZES[source], 8 * SIZES[to]
    if "sat" in i.parts:
        sign = "s" if source[0] == "s" else "u"
        low = -(1 << want - 1) if to[0] == "s" else 0
        high = (1 << want - 1 if to[0] == "s" else 1 << want) - 1
        least = -(1 << have - 1) if sign == "s" else 0
        most = (1 << have - 1 if sign == "s" else 1 << have) - 1
        if low > least:
            x = e.call(f"i{have}", f"llvm.{sign}max.i{have}", f"i{have} {x}", f"i{have} {low}")
        if high < most:
            x = e.call(f"i{have}", f"llvm.{sign}min.i{have}", f"i{have} {x}", f"i{have} {high}")
    if have == want:
        return x
    verb = "trunc" if have > want else "sext" if source[0] == "s" else "zext"
    return e.new(f"{verb} i{have} {x} to i{want}")


# -- going elsewhere ------------------------------------------------------------------------------------

def _branch(e, i):
    target = i.operands[0]
    if target not in e.positions:
        e.refuse(i, f"the label {target}")
    if e.positions[target] <= e.index:
        e.count_jump()
    e.emit(f"br label %{e.jump_label(target)}")


def _return(e, i):
    if i.name == "exit" and not e.function.is_kernel:
        e.refuse(i)
    e.emit(f"ret i64 {layout.DONE if e.function.is_kernel else 0}")


def _trap(e, i):
    e.fault(layout.TRAP)


def _nothing(e, i):
    """Instructions that order or hint: one thread runs at a time, in program order."""


EMITTERS = {
    **dict.fromkeys(("add", "sub", "mul", "mad", "fma", "div", "addc", "subc", "madc"), _add_or_mul),
    "rem": _division, "mul24": _mad24, "mad24": _mad24, "sad": _sad,
    "rcp": _reciprocal, "sqrt": _reciprocal, "rsqrt": _reciprocal,
    **dict.fromkeys(("ex2", "lg2", "sin", "cos", "tanh"), _function),
    "min": _extreme, "max": _extreme, "neg": _sign, "abs": _sign, "copysign": _copysign, "testp": _test,
    "setp": _set_predicate, "set": _set_predicate, "selp": _select, "slct": _slct, "mov": _move, "cvt": _convert,
    "bra": _branch, "ret": _return, "exit": _return, "trap": _trap,
    **dict.fromkeys(("membar", "fence", "pragma", "nanosleep", "prefetch", "prefetchu"), _nothing),
    **BIT_EMITTERS, **MEMORY_EMITTERS, **WAITING_EMITTERS,
}
