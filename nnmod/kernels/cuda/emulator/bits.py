"""Instructions on bits: logic, shifts, fields, counts and permutations."""
from .parse import SIZES, llvm_type


def _logic(e, i):
    kind, t = i.type, llvm_type(i.type)
    a = e.value(i.operands[1], kind)
    b = "-1" if i.name == "not" else e.value(i.operands[2], kind)
    b = "true" if i.name == "not" and kind == "pred" else b
    e.store(i.operands[0], e.new(f"{'xor' if i.name == 'not' else i.name} {t} {a}, {b}"), kind)


def _cnot(e, i):
    t = llvm_type(i.type)
    zero = e.new(f"icmp eq {t} {e.value(i.operands[1], i.type)}, 0")
    e.store(i.operands[0], e.new(f"zext i1 {zero} to {t}"), i.type)


def _shift(e, i):
    """shl, shr: shifts past the width give what shifting on would give."""
    kind, t, bits = i.type, llvm_type(i.type), 8 * SIZES[i.type]
    a, by = e.value(i.operands[1], kind), e.value(i.operands[2], "u32")
    too_far = e.new(f"icmp ugt i32 {by}, {bits - 1}")
    near = e.new(f"select i1 {too_far}, i32 {bits - 1}, i32 {by}")
    amount = near if bits == 32 else e.new(f"{'zext' if bits > 32 else 'trunc'} i32 {near} to {t}")
    verb = "shl" if i.name == "shl" else "ashr" if kind[0] == "s" else "lshr"
    value = e.new(f"{verb} {t} {a}, {amount}")
    if verb != "ashr":
        value = e.new(f"select i1 {too_far}, {t} 0, {t} {value}")
    e.store(i.operands[0], value, kind)


def _funnel(e, i):
    """shf.l and shf.r: two registers shifted as one."""
    e.known(i, "l", "r", "wrap", "clamp")
    low, high, by = (e.value(operand, "b32") for operand in i.operands[1:])
    if "clamp" in i.parts:
        by = e.call("i32", "llvm.umin.i32", f"i32 {by}", "i32 32")
    else:
        by = e.new(f"and i32 {by}, 31")
    both = _joined(e, low, high)
    amount = e.new(f"zext i32 {by} to i64")
    if "l" in i.parts:
        both = e.new(f"lshr i64 {e.new(f'shl i64 {both}, {amount}')}, 32")
    else:
        both = e.new(f"lshr i64 {both}, {amount}")
    e.store(i.operands[0], e.new(f"trunc i64 {both} to i32"), "b32")


def _joined(e, low, high):
    """Two i32 as one i64."""
    upper = e.new(f"shl i64 {e.new(f'zext i32 {high} to i64')}, 32")
    lower = e.new(f"zext i32 {low} to i64")
    return e.new(f"or i64 {upper}, {lower}")


def _count_bits(e, i):
    """popc, clz, brev, bfind"""
    kind, t = i.type, llvm_type(i.type)
    x = e.value(i.operands[1], kind)
    if i.name == "brev":
        return e.store(i.operands[0], e.call(t, f"llvm.bitreverse.{t}", f"{t} {x}"), kind)
    if i.name == "bfind":
        if kind[0] == "s":
            x = e.new(f"xor {t} {x}, {e.new(f'ashr {t} {x}, {8 * SIZES[kind] - 1}')}")
        zeros = e.call(t, f"llvm.ctlz.{t}", f"{t} {x}", "i1 false")
        value = zeros if "shiftamt" in i.parts else e.new(f"sub {t} {8 * SIZES[kind] - 1}, {zeros}")
        value = e.new(f"select i1 {e.new(f'icmp eq {t} {x}, 0')}, {t} -1, {t} {value}")
    elif i.name == "popc":
        value = e.call(t, f"llvm.ctpop.{t}", f"{t} {x}")
    else:
        value = e.call(t, f"llvm.ctlz.{t}", f"{t} {x}", "i1 false")
    if t == "i64":
        value = e.new(f"trunc i64 {value} to i32")
    return e.store(i.operands[0], value, "u32")


def _field_bounds(e, i, first, bits):
    """Position and length of a bit field, as values of the operands' width."""
    t = f"i{bits}"
    values = [e.new(f"and i32 {e.value(operand, 'u32')}, 255") for operand in i.operands[first:first + 2]]
    return values if bits == 32 else [e.new(f"zext i32 {v} to {t}") for v in values]


def _extract(e, i):
    """bfe: len bits from position pos; beyond the top there are copies of the sign."""
    kind, bits = i.type, 8 * SIZES[i.type]
    wide = f"i{2 * bits + 256}"
    x = e.value(i.operands[1], kind)
    pos, length = _field_bounds(e, i, 2, bits)
    extended = e.new(f"{'sext' if kind[0] == 's' else 'zext'} i{bits} {x} to {wide}")
    moved = e.new(f"ashr {wide} {extended}, {e.new(f'zext i{bits} {pos} to {wide}')}")
    # The sign of the field is its own top bit, or that of the whole where it reaches past the end.
    long = e.call(f"i{bits}", f"llvm.umin.i{bits}", f"i{bits} {length}", f"i{bits} {bits + 255}")
    up = e.new(f"sub {wide} {2 * bits + 256}, {e.new(f'zext i{bits} {long} to {wide}')}")
    none = e.new(f"icmp eq i{bits} {length}, 0")
    up = e.new(f"select i1 {none}, {wide} 1, {wide} {up}")
    field = e.new(f"{'ashr' if kind[0] == 's' else 'lshr'} {wide} {e.new(f'shl {wide} {moved}, {up}')}, {up}")
    value = e.new(f"trunc {wide} {field} to i{bits}")
    e.store(i.operands[0], e.new(f"select i1 {none}, i{bits} 0, i{bits} {value}"), kind)


def _insert(e, i):
    """bfi: a field of b replaced by the low bits of a."""
    kind, bits = i.type, 8 * SIZES[i.type]
    wide = f"i{bits + 512}"
    a, b = (e.new(f"zext i{bits} {e.value(operand, kind)} to {wide}") for operand in i.operands[1:3])
    pos, length = (e.new(f"zext i{bits} {v} to {wide}") for v in _field_bounds(e, i, 3, bits))
    ones = e.new(f"sub {wide} {e.new(f'shl {wide} 1, {length}')}, 1")
    mask = e.new(f"shl {wide} {ones}, {pos}")
    kept = e.new(f"and {wide} {b}, {e.new(f'xor {wide} {mask}, -1')}")
    put = e.new(f"and {wide} {e.new(f'shl {wide} {a}, {pos}')}, {mask}")
    e.store(i.operands[0], e.new(f"trunc {wide} {e.new(f'or {wide} {kept}, {put}')} to i{bits}"), kind)


def _permute(e, i):
    """prmt: four bytes chosen from eight."""
    if i.parts != ("b32",):
        e.refuse(i)
    both = _joined(e, e.value(i.operands[1], "b32"), e.value(i.operands[2], "b32"))
    choice = e.new(f"zext i32 {e.value(i.operands[3], 'b32')} to i64")
    result = "0"
    for byte in range(4):
        nibble = e.new(f"lshr i64 {choice}, {4 * byte}")
        at = e.new(f"shl i64 {e.new(f'and i64 {nibble}, 7')}, 3")
        value = e.new(f"trunc i64 {e.new(f'lshr i64 {both}, {at}')} to i8")
        sign = e.new(f"ashr i8 {value}, 7")
        spread = e.new(f"icmp ne i64 {e.new(f'and i64 {nibble}, 8')}, 0")
        value = e.new(f"zext i8 {e.new(f'select i1 {spread}, i8 {sign}, i8 {value}')} to i32")
        result = e.new(f"or i32 {result}, {e.new(f'shl i32 {value}, {8 * byte}')}")
    e.store(i.operands[0], result, "b32")


def _lop3(e, i):
    """lop3: any function of three bits, by its table."""
    if i.type != "b32":
        e.refuse(i)
    a, b, c = (e.value(operand, "b32") for operand in i.operands[1:4])
    table, result = int(i.operands[4], 0), "0"
    for row in range(8):
        if table >> row & 1:
            terms = [v if row >> shift & 1 else e.new(f"xor i32 {v}, -1") for v, shift in ((a, 2), (b, 1), (c, 0))]
            term = e.new(f"and i32 {e.new(f'and i32 {terms[0]}, {terms[1]}')}, {terms[2]}")
            result = e.new(f"or i32 {result}, {term}")
    e.store(i.operands[0], result, "b32")


BIT_EMITTERS = {
    **dict.fromkeys(("and", "or", "xor", "not"), _logic), "cnot": _cnot, "lop3": _lop3,
    "shl": _shift, "shr": _shift, "shf": _funnel,
    **dict.fromkeys(("popc", "clz", "brev", "bfind"), _count_bits),
    "bfe": _extract, "bfi": _insert, "prmt": _permute,
}
