"""Instructions at which threads wait for each other: barriers of the block, operations of the warp."""
from . import layout
from .parse import SIZES, split

_SHUFFLES = {"up": layout.SHUFFLE_UP, "down": layout.SHUFFLE_DOWN, "bfly": layout.SHUFFLE_XOR,
             "idx": layout.SHUFFLE_INDEX}
_VOTES = {"ballot": layout.BALLOT, "any": layout.VOTE_ANY, "all": layout.VOTE_ALL, "uni": layout.VOTE_UNIFORM}


def _barrier(e, i):
    """bar.sync 0, bar.red, bar.warp.sync and barrier.sync"""
    parts = [part for part in i.parts if part not in ("cta", "aligned")]
    if parts[:1] == ["warp"]:
        e.set_field(layout.OPERATION, layout.WARP_BARRIER)
        e.set_field(layout.MASK, e.new(
            f"zext i32 {e.value(i.operands[0], 'u32')} to i64"))
        return e.wait(layout.WARP)
    if parts == ["sync"]:
        if len(i.operands) > 1 or i.operands[0] != "0":
            e.refuse(i, "barriers with a number or a count of threads")
        e.set_field(layout.VALUE, "0")
        return e.wait(layout.BARRIER)
    if parts[:1] != ["red"] or i.operands[1] != "0" or len(i.operands) > 3:
        e.refuse(i)
    e.set_field(layout.VALUE, e.new(f"zext i1 {e.bits(i.operands[2], 1)} to i64"))
    e.wait(layout.BARRIER)
    field = {"popc": layout.COUNTED, "and": layout.ALL, "or": layout.ANY}[parts[1]]
    result = e.field("%context", field)
    if i.type == "pred":
        return e.store(i.operands[0], e.new(f"trunc i64 {result} to i1"), "pred")
    return e.store(i.operands[0], e.new(f"trunc i64 {result} to i32"), "u32")


def _warp(e, operation, mask, value=None):
    """Wait for the lanes of *mask*; the result, as an i64."""
    e.set_field(layout.OPERATION, operation)
    e.set_field(layout.MASK, e.new(f"zext i32 {e.value(mask, 'u32')} to i64"))
    if value is not None:
        e.set_field(layout.VALUE, value)
    e.wait(layout.WARP)
    return e.field("%thread", layout.RESULT)


def _shuffle(e, i):
    """shfl.sync.mode.b32 d{|p}, a, lane, clamp, mask"""
    if i.parts[0] != "sync" or i.parts[1] not in _SHUFFLES or i.parts[2] != "b32":
        e.refuse(i)
    for field, operand in ((layout.LANE, i.operands[2]), (layout.CLAMP, i.operands[3])):
        e.set_field(field, e.new(f"zext i32 {e.value(operand, 'u32')} to i64"))
    value = e.new(f"zext i32 {e.value(i.operands[1], 'b32')} to i64")
    result = _warp(e, _SHUFFLES[i.parts[1]], i.operands[4], value)
    target, _, predicate = i.operands[0].partition("|")
    e.store(target.strip(), e.new(f"trunc i64 {result} to i32"), "b32")
    if predicate:
        e.store(predicate.strip(), e.new(f"trunc i64 {e.field('%thread', layout.PREDICATE)} to i1"), "pred")


def _vote(e, i):
    """vote.sync.{any,all,uni}.pred, vote.sync.ballot.b32"""
    if i.parts[0] != "sync":
        e.refuse(i)
    value = e.new(f"zext i1 {e.bits(i.operands[1], 1)} to i64")
    result = _warp(e, _VOTES[i.parts[1]], i.operands[2], value)
    width = 1 if i.type == "pred" else 32
    e.store(i.operands[0], e.new(f"trunc i64 {result} to i{width}"), i.type)


def _match(e, i):
    """match.any.sync and match.all.sync"""
    width = 8 * SIZES[i.type]
    value = e.bits(i.operands[1], width)
    value = value if width == 64 else e.new(f"zext i32 {value} to i64")
    result = _warp(e, layout.MATCH_ANY if "any" in i.parts else layout.MATCH_ALL, i.operands[2], value)
    target, _, predicate = i.operands[0].partition("|")
    e.store(target.strip(), e.new(f"trunc i64 {result} to i32"), "b32")
    if predicate:
        e.store(predicate.strip(), e.new(f"trunc i64 {e.field('%thread', layout.PREDICATE)} to i1"), "pred")


def _reduce(e, i):
    """redux.sync: a sum, extreme or logical function of 32-bit integers over a warp."""
    name = "UMIN" if i.parts[1:] == ("min", "u32") else "UMAX" if i.parts[1:] == ("max", "u32") else i.parts[1].upper()
    operation = getattr(layout, f"REDUCE_{name}", None)
    if operation is None or i.type not in ("u32", "s32", "b32"):
        e.refuse(i)
    value = e.new(f"zext i32 {e.value(i.operands[1], 'b32')} to i64")
    result = _warp(e, operation, i.operands[2], value)
    e.store(i.operands[0], e.new(f"trunc i64 {result} to i32"), "b32")


def _multiply(e, i):
    """mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32: sums <- a (16, 8) b (8, 8) + c, spread over a warp."""
    parts = ("sync", "aligned", "m16n8k8", "row", "col", "f32", "tf32", "tf32", "f32")
    vectors = [split(operand.strip("{}")) for operand in i.operands]
    if i.parts != parts or [len(vector) for vector in vectors] != [4, 4, 2, 4]:
        e.refuse(i)
    e.set_field(layout.OPERATION, layout.MULTIPLY)
    e.set_field(layout.MASK, str(0xFFFFFFFF))
    for number, operand in enumerate(vectors[1] + vectors[2] + vectors[3]):
        bits = e.value(operand, "b32")
        if number < 6:  # of a factor the tensor core does not see the lower 13 bits
            bits = e.new(f"and i32 {bits}, -8192")
        value = e.new(f"fpext float {e.new(f'bitcast i32 {bits} to float')} to double")
        e.set_field(layout.FRAGMENT + number, e.new(f"bitcast double {value} to i64"))
    e.wait(layout.WARP)
    for number, register in enumerate(vectors[0]):
        total = e.new(f"bitcast i64 {e.field('%thread', layout.SUMS + number)} to double")
        e.store(register, e.new(f"fptrunc double {total} to float"), "f32")


WAITING_EMITTERS = {"bar": _barrier, "barrier": _barrier, "shfl": _shuffle, "vote": _vote, "match": _match,
                    "redux": _reduce, "mma": _multiply}
