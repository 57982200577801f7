"""Instructions that read and write memory, atomically or not, and calls."""
import re

from . import layout
from .parse import SIZES, llvm_type, split

_ATOMIC = ("add", "min", "max", "exch", "cas", "and", "or", "xor", "inc", "dec")
_SPACES = ("global", "shared", "local", "param", "const")
_IGNORED = {"weak", "volatile", "relaxed", "acquire", "release", "gpu", "cta", "sys", "acq_rel", "nc", "ca", "cg", "cs",
            "lu", "cv", "wb", "wt", "cta_group", "noftz", *_SPACES}


def _address(e, operand):
    """``[base+offset]``: the base's name and the offset."""
    match = re.fullmatch(r"\[\s*(.+?)\s*(?:\+\s*(-?\w+))?\s*\]", operand)
    if match is None:
        e.refuse(e.instruction, f"the address {operand}")
    return match[1], int(match[2] or "0", 0)


def _space(e, i):
    for part in i.parts:
        if part == "async" or part.startswith(("L1", "L2", "level")) or part in SIZES or part in _IGNORED:
            continue
        if part not in ("v2", "v4", *_ATOMIC):
            e.refuse(i)
    return next((part for part in i.parts if part in _SPACES), "generic")


def _pointer(e, i, operand, size, access):
    """Check an access and return the host's pointer."""
    space = _space(e, i)
    base, offset = _address(e, operand)
    if space == "param":
        return _param(e, i, base, offset)
    address = e.bits(base, 64) if base in e.registers else e.special(base)
    if address is None:
        address = e.bits(base, 64)
    if offset:
        address = e.new(f"add i64 {address}, {offset}")
    if space == "shared":
        e.check("shared", address, size, access)
        address = e.new(f"add i64 {address}, {e.field('%context', layout.SHARED)}")
    elif space == "local":
        _check_local(e, address, size)
    else:
        e.check("generic" if space == "generic" else "global", address, size, access)
    return e.new(f"inttoptr i64 {address} to ptr")


def _check_local(e, address, size):
    at = e.new(f"sub i64 {address}, {e.field('%thread', layout.LOCAL)}")
    outside = e.new(f"icmp ugt i64 {at}, {e.plan.local_size - size}")
    e.fault_if(outside if e.plan.local_size >= size else "true", layout.LOCAL_BOUNDS, at)
    if size > 1:
        low = e.new(f"and i64 {address}, {size - 1}")
        e.fault_if(e.new(f"icmp ne i64 {low}, 0"), layout.LOCAL_ALIGN, at)


def _param(e, i, base, offset):
    """A parameter of the kernel, of this function, or of one that is about to be called."""
    if e.function.is_kernel and base in e.plan.params:
        params = e.field("%context", layout.PARAMS)
        return e.new(f"inttoptr i64 {e.new(f'add i64 {params}, {e.plan.params[base] + offset}')} to ptr")
    known = {v.name for v in (*e.function.returns, *e.function.params)} | {
        v.name for v in e.function.variables.values() if v.space == "param"}
    if base not in known:
        e.refuse(i, f"the parameter {base}")
    return e.new(f'getelementptr i8, ptr %"p{base}", i64 {offset}')


def _load(e, i):
    kind, vector = i.type, next((int(part[1]) for part in i.parts if part in ("v2", "v4")), 1)
    if kind not in SIZES or kind == "pred":
        e.refuse(i)
    size = SIZES[kind]
    store = i.name == "st"
    registers, place = (i.operands[1], i.operands[0]) if store else i.operands
    names = split(registers[1:-1]) if registers.startswith("{") else [registers]
    if len(names) != vector:
        e.refuse(i)
    pointer = _pointer(e, i, place, size * vector, layout.WRITE if store else layout.READ)
    bits = f"i{8 * size}"
    if store:
        values = [e.bits(name, 8 * size) for name in names]
    for number, name in enumerate(names):
        at = e.new(f"getelementptr i8, ptr {pointer}, i64 {number * size}") if number else pointer
        if store:
            e.emit(f"store {bits} {values[number]}, ptr {at}, align 1")
        else:
            value = e.new(f"load {bits}, ptr {at}, align 1")
            e.store(name, value, f"{'s' if kind[0] == 's' else 'b'}{8 * size}")


def _atomic(e, i):
    """atom and red: one thread runs at a time, so plain reads and writes are atomic."""
    kind, t = i.type, llvm_type(i.type)
    operation = next((part for part in i.parts if part in _ATOMIC), None)
    operands = i.operands if i.name == "atom" else ["_", *i.operands]
    if operation is None or kind not in SIZES or kind == "f16":
        e.refuse(i)
    pointer = _pointer(e, i, operands[1], SIZES[kind], layout.ATOMIC)
    old = e.new(f"load {t}, ptr {pointer}, align 1")
    b = e.value(operands[2], kind)
    sign = "s" if kind[0] == "s" else "u"
    if operation == "add":
        new = e.new(f"{'fadd' if kind[0] == 'f' else 'add'} {t} {old}, {b}")
    elif operation in ("min", "max") and kind[0] != "f":
        new = e.call(t, f"llvm.{sign}{operation}.{t}", f"{t} {old}", f"{t} {b}")
    elif operation in ("and", "or", "xor"):
        new = e.new(f"{operation} {t} {old}, {b}")
    elif operation == "exch":
        new = b
    elif operation == "cas":
        same = e.new(f"icmp eq {t} {old}, {b}")
        new = e.new(f"select i1 {same}, {t} {e.value(operands[3], kind)}, {t} {old}")
    elif operation == "inc":
        more = e.new(f"add {t} {old}, 1")
        new = e.new(f"select i1 {e.new(f'icmp uge {t} {old}, {b}')}, {t} 0, {t} {more}")
    elif operation == "dec":
        less = e.new(f"sub {t} {old}, 1")
        wraps = e.new(f"or i1 {e.new(f'icmp eq {t} {old}, 0')}, {e.new(f'icmp ugt {t} {old}, {b}')}")
        new = e.new(f"select i1 {wraps}, {t} {b}, {t} {less}")
    else:
        e.refuse(i)
    e.emit(f"store {t} {new}, ptr {pointer}, align 1")
    e.store(operands[0], old, kind)


def _address_space(e, i):
    """cvta: shared addresses count from 0 and stand elsewhere among all addresses; the others are equal."""
    value = e.bits(i.operands[1], 64)
    if "shared" in i.parts:
        verb = "sub" if "to" in i.parts else "add"
        value = e.new(f"{verb} i64 {value}, {e.field('%context', layout.SHARED)}")
    elif "param" in i.parts:
        e.refuse(i)
    e.store(i.operands[0], value, "b64")


def _is_space(e, i):
    """isspacep"""
    address = e.bits(i.operands[1], 64)
    if i.parts[0] in ("shared", "local"):
        record, first, size = (("%context", layout.SHARED, e.field("%context", layout.SHARED_SIZE))
                               if i.parts[0] == "shared" else ("%thread", layout.LOCAL, str(e.plan.local_size)))
        inside = e.new(f"icmp ult i64 {e.new(f'sub i64 {address}, {e.field(record, first)}')}, {size}")
    else:
        e.refuse(i)
    e.store(i.operands[0], inside, "pred")


def _call(e, i):
    """call.uni (results), name, (params)"""
    operands = list(i.operands)
    results = split(operands.pop(0)[1:-1]) if operands[0].startswith("(") else []
    name = operands.pop(0)
    params = split(operands.pop(0)[1:-1]) if operands and operands[0].startswith("(") else []
    if operands or name in e.registers:
        e.refuse(i, "calls by address")
    called = e.plan.program.functions.get(name)
    if called is None:
        e.refuse(i, f"the function {name} (printing from kernels and external functions are not there)")
    given = len(called.returns), len(called.params)
    if given != (len(results), len(params)):
        e.refuse(i)
    e.called.append(name)
    args = "".join(f', ptr %"p{v}"' for v in (*results, *params))
    status = e.new(f'call i64 @"{name}"(ptr %context, ptr %thread{args})')
    bad, good = e.label(), e.label()
    e.emit(f"br i1 {e.new(f'icmp ne i64 {status}, 0')}, label %{bad}, label %{good}")
    e.place(bad)
    e.emit(f"ret i64 {layout.CAUGHT}")
    e.place(good)


MEMORY_EMITTERS = {"ld": _load, "ldu": _load, "st": _load, "atom": _atomic, "red": _atomic, "cvta": _address_space,
                   "isspacep": _is_space, "call": _call}
