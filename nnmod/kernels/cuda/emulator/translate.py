"""PTX functions to LLVM IR: one function that runs one thread until it waits or ends.

A register is a stack slot that LLVM promotes.  Where a thread waits (barrier, warp operation)
the registers that are read later are saved to its record, and the function returns; called
again, it jumps to where it left and loads them.  What single instructions mean is in
:mod:`instructions`.
"""
import re

from . import layout
from .errors import UnknownInstruction
from .instructions import EMITTERS
from .parse import SIZES, Instruction, llvm_type

#: Instructions at which a thread may wait.
WAITING = {"bar", "barrier", "shfl", "vote", "match", "redux", "mma"}
#: Instructions whose first operand is not written.
_NO_RESULT = {"st", "red", "bra", "ret", "exit", "call", "membar", "fence", "trap", "prefetch", "brkpt", "nanosleep"}
_REGISTER = re.compile(r"[%A-Za-z_$][\w$]*(?:\.[xyz])?")

_CHECK = "i64 @nnmod_emulator_{}(ptr, ptr, i64, i64, i64, i64)"


def translate(program, kernel_name):
    """LLVM IR of a kernel and what it calls, as text, and its :class:`Plan`."""
    plan = Plan(program, kernel_name)
    texts, done, todo = [], set(), [kernel_name]
    while todo:
        name = todo.pop()
        if name in done:
            continue
        done.add(name)
        if name not in program.functions:
            raise UnknownInstruction(f"{kernel_name} calls {name}, which is not in the PTX (printing from kernels "
                                     "and external functions are not known to the emulator)")
        emitter = Emitter(plan, program.functions[name])
        texts.append(emitter.text())
        todo += emitter.called
    declarations = [f"declare {_CHECK.format(name)}"
                    for name in ("check_global", "check_shared", "check_generic", "raise_fault")]
    return "\n".join([*plan.globals_text(), *declarations, *sorted(plan.declarations), *texts]), plan


class Plan:
    """Where a kernel's memory lies: parameters, shared, local and module variables."""

    def __init__(self, program, kernel_name):
        self.program = program
        self.kernel = program.functions[kernel_name]
        self.declarations = set()
        self.params, self.params_size = _place(self.kernel.params)
        shared = [v for v in program.variables.values() if v.space == "shared"]
        shared += [v for f in program.functions.values() for v in f.variables.values() if v.space == "shared"]
        self.shared, self.shared_size = _place([v for v in shared if v.count is not None])
        self.dynamic = [v.name for v in shared if v.count is None]
        align = max([v.align for v in shared], default=16)
        self.dynamic_start = -(-self.shared_size // align) * align if self.dynamic else self.shared_size
        self.shared.update(dict.fromkeys(self.dynamic, self.dynamic_start))
        local = [v for f in program.functions.values() for v in f.variables.values() if v.space == "local"]
        self.local, size = _place(local)
        self.local_size = -(-size // 16) * 16
        self.globals = {v.name: v for v in program.variables.values() if v.space in ("global", "const")}
        widths = {"shared": set(), "global": set()}
        for function in program.functions.values():
            for item in function.body:
                if isinstance(item, Instruction) and item.name in ("ld", "st", "atom", "red"):
                    spaces = [p for p in item.parts if p in widths]
                    for space in spaces or (widths if not {"param", "local", "const"} & set(item.parts) else ()):
                        widths[space].add(SIZES.get(item.type, 1))
        #: Bytes of the smallest access of each memory.
        self.shared_grain = min(widths["shared"], default=4)
        self.global_grain = min(widths["global"], default=4)
        self.frame_size = 0

    def global_name(self, name):
        """A module variable's name in LLVM."""
        return "nnmod_global_" + re.sub(r"\W", "_", name)

    def globals_text(self):
        """The module variables, with their initial values."""
        for variable in self.globals.values():
            data = variable.values or bytes(variable.size)
            text = "".join(f"\\{byte:02x}" for byte in data)
            yield (f'@{self.global_name(variable.name)} = global [{variable.size} x i8] c"{text}", '
                   f"align {max(variable.align, 16)}")


def _place(variables):
    """Offsets of variables laid one after the other: ({name: offset}, bytes in all)."""
    offsets, end = {}, 0
    for variable in variables:
        end = -(-end // variable.align) * variable.align
        offsets[variable.name] = end
        end += variable.size
    return offsets, end


class Emitter:
    """Writes one function; the instructions' emitters use its methods."""

    def __init__(self, plan, function):
        self.plan, self.function = plan, function
        self.registers = function.registers
        self.lines = []
        self.count = 0
        self.called = []
        self.resumed = []
        self.slots = {}
        self.instruction = None
        if not function.is_kernel:
            for item in function.body:
                if isinstance(item, Instruction) and item.name in WAITING:
                    self.refuse(item, "a barrier or warp operation in a function that is called: inline it, with "
                                      "@cuda.jit(device=True, inline='always')")

    # -- what instructions are made of -------------------------------------------------

    def emit(self, line):
        """Append a line of IR."""
        self.lines.append("  " + line)

    def new(self, text):
        """Append an instruction with a result, and return the result's name."""
        self.count += 1
        name = f"%t{self.count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def label(self):
        """A new label's name."""
        self.count += 1
        return f"l{self.count}"

    def place(self, label):
        """Start the block *label*."""
        self.lines.append(f"{label}:")

    def call(self, result, name, *args):
        """Call a function of LLVM's or of libm's on ``"type value"`` arguments."""
        kinds = ", ".join(arg.rpartition(" ")[0] for arg in args)
        self.plan.declarations.add(f"declare {result} @{name}({kinds})")
        return self.new(f"call {result} @{name}({', '.join(args)})")

    def refuse(self, instruction, why=None):
        """Raise UnknownInstruction."""
        site = self.plan.program.sites[instruction.site]
        python = f", from {site.file}:{site.line}" if site.file else ""
        raise UnknownInstruction(f"the emulator does not know {why or instruction.text}: {site.text!r} "
                                 f"(PTX line {site.ptx_line}{python})")

    def known(self, instruction, *parts):
        """Refuse an instruction with parts, behind its name, other than *parts* and types."""
        for part in instruction.parts:
            if part not in parts and part not in SIZES:
                self.refuse(instruction)
        if "f16" in instruction.parts:
            self.refuse(instruction, f"float16 ({instruction.text})")

    def width(self, name):
        """Bits of a register."""
        kind = self.registers[name]
        return 1 if kind == "pred" else 8 * SIZES[kind]

    def bits(self, operand, width):
        """The bits of an operand, as an integer of *width*."""
        operand = operand.strip()
        if operand in self.registers:
            have = self.width(operand)
            value = self.new(f"load i{have}, ptr {self.slot(operand)}")
            return value if have == width else self.new(
                f"{'trunc' if have > width else 'zext'} i{have} {value} to i{width}")
        if operand.startswith("!"):
            return self.new(f"xor i1 {self.bits(operand[1:], 1)}, true")
        if match := re.fullmatch(r"0[fF]([0-9a-fA-F]{8})|0[dD]([0-9a-fA-F]{16})", operand):
            return str(int(match[1] or match[2], 16))
        if re.fullmatch(r"-?(0[xX][0-9a-fA-F]+|\d+)U?", operand):
            return str(int(operand.rstrip("U"), 0) & (1 << width) - 1)
        special = self.special(operand)
        if special is None:
            self.refuse(self.instruction, f"the operand {operand}")
        return special if width == 64 else self.new(f"trunc i64 {special} to i{width}")

    def special(self, operand):
        """What PTX knows by name, as an i64; None for anything else."""
        plan = self.plan
        if match := re.fullmatch(r"%(n?tid|n?ctaid)\.([xyz])", operand):
            axis = "xyz".index(match[2])
            if match[1] == "tid":
                return self.field("%thread", layout.X + axis)
            first = {"ntid": layout.BLOCK_X, "ctaid": layout.AT_X, "nctaid": layout.GRID_X}[match[1]]
            return self.field("%context", first + axis)
        if operand in ("%laneid", "%warpid"):
            number = self.field("%thread", layout.NUMBER)
            return self.new(f"and i64 {number}, 31" if operand == "%laneid" else f"lshr i64 {number}, 5")
        if match := re.fullmatch(r"%lanemask_(lt|le|gt|ge|eq)", operand):
            lane = self.new(f"and i64 {self.field('%thread', layout.NUMBER)}, 31")
            one = self.new(f"shl i64 1, {lane}")
            below = self.new(f"sub i64 {one}, 1")
            upto = self.new(f"or i64 {one}, {below}")
            return {"eq": one, "lt": below, "le": upto}.get(match[1]) or self.new(
                f"xor i64 {upto if match[1] == 'gt' else below}, 4294967295")
        if operand == "%dynamic_smem_size":
            return self.field("%context", layout.DYNAMIC_SIZE)
        if operand == "%total_smem_size":
            return self.field("%context", layout.SHARED_SIZE)
        if operand == "WARP_SZ":
            return "32"
        if operand in plan.shared:
            return str(plan.shared[operand])
        if operand in plan.local:
            return self.new(f"add i64 {self.field('%thread', layout.LOCAL)}, {plan.local[operand]}")
        if operand in plan.globals:
            return self.new(f"ptrtoint ptr @{plan.global_name(operand)} to i64")
        return None

    def field(self, record, number):
        """A field of the context or of the thread."""
        return self.new(f"load i64, ptr {self.new(f'getelementptr i64, ptr {record}, i64 {number}')}")

    def set_field(self, number, value):
        """Set a field of the thread."""
        self.emit(f"store i64 {value}, ptr {self.new(f'getelementptr i64, ptr %thread, i64 {number}')}")

    def value(self, operand, kind):
        """An operand as a value of PTX type *kind*: ``float``, ``double`` or an integer."""
        if kind == "pred":
            return self.bits(operand, 1)
        width = 8 * SIZES[kind]
        if kind[0] != "f":
            if operand.startswith("-") and operand[1:] in self.registers:
                return self.new(f"sub i{width} 0, {self.bits(operand[1:], width)}")
            return self.bits(operand, width)
        if operand.startswith("-") and operand[1:] in self.registers:
            return self.new(f"fneg {llvm_type(kind)} {self.value(operand[1:], kind)}")
        return self.new(f"bitcast i{width} {self.bits(operand, width)} to {llvm_type(kind)}")

    def store(self, operand, value, kind):
        """Write a value of PTX type *kind* to a register, widened as the type says."""
        if operand == "_":
            return
        if operand not in self.registers:
            self.refuse(self.instruction, f"the result {operand}")
        want = self.width(operand)
        have = 1 if kind == "pred" else 8 * SIZES[kind]
        if kind[0] == "f":
            value = self.new(f"bitcast {llvm_type(kind)} {value} to i{have}")
        if have != want:
            verb = "trunc" if have > want else "sext" if kind[0] == "s" else "zext"
            value = self.new(f"{verb} i{have} {value} to i{want}")
        self.emit(f"store i{want} {value}, ptr {self.slot(operand)}")

    def slot(self, register):
        """The stack slot of a register."""
        return f'%"r{register}"'

    def fault(self, kind, address="0", other="-1"):
        """End the thread with a fault."""
        self.new(f"call i64 @nnmod_emulator_raise_fault(ptr %context, ptr %thread, i64 {address}, i64 {kind}, "
                 f"i64 {other}, i64 {self.instruction.site})")
        self.emit(f"ret i64 {layout.CAUGHT}")

    def fault_if(self, condition, kind, address="0"):
        """End the thread with a fault where *condition*, an i1, holds."""
        bad, good = self.label(), self.label()
        self.emit(f"br i1 {condition}, label %{bad}, label %{good}")
        self.place(bad)
        self.fault(kind, address)
        self.place(good)

    def check(self, which, address, size, access):
        """Let the runtime look at an access."""
        fault = self.new(f"call i64 @nnmod_emulator_check_{which}(ptr %context, ptr %thread, i64 {address}, "
                         f"i64 {size}, i64 {access}, i64 {self.instruction.site})")
        bad, good = self.label(), self.label()
        self.emit(f"br i1 {self.new(f'icmp ne i64 {fault}, 0')}, label %{bad}, label %{good}")
        self.place(bad)
        self.emit(f"ret i64 {layout.CAUGHT}")
        self.place(good)

    def wait(self, status):
        """Save what is read later, return, and go on here when called again."""
        number = len(self.resumed) + 1
        self.set_field(layout.PC, number)
        self.set_field(layout.AT_SITE, self.instruction.site)
        live = sorted(self.live[self.index])
        for register in live:
            slot = self.slots.setdefault(register, layout.FRAME + len(self.slots))
            self.set_field(slot, self.bits(register, 64))
        self.emit(f"ret i64 {status}")
        self.place(f"resume{number}")
        for register in live:
            width = self.width(register)
            saved = self.field("%thread", self.slots[register])
            if width < 64:
                saved = self.new(f"trunc i64 {saved} to i{width}")
            self.emit(f"store i{width} {saved}, ptr {self.slot(register)}")
        self.resumed.append(number)

    def jump_label(self, name):
        """The IR label of a PTX label."""
        return f'"L{name}"'

    def count_jump(self):
        """Before a jump back: a loop that never ends is caught."""
        left = self.new("load i64, ptr %jumps")
        self.emit(f"store i64 {self.new(f'sub i64 {left}, 1')}, ptr %jumps")
        self.fault_if(self.new(f"icmp sle i64 {left}, 0"), layout.ENDLESS)

    # -- the function ---------------------------------------------------------------------

    def text(self):
        """The function as LLVM IR."""
        function = self.function
        body = function.body
        self.positions = {item: index for index, item in enumerate(body) if isinstance(item, str)}
        self.live = self._liveness() if function.is_kernel else None
        for self.index, item in enumerate(body):
            if isinstance(item, str):
                self.emit(f"br label %{self.jump_label(item)}")
                self.place(self.jump_label(item))
                continue
            self.instruction = item
            skip = None
            if item.guard:
                do, skip = self.label(), self.label()
                self.emit(f"br i1 {self.bits(item.guard, 1)}, label %{do}, label %{skip}")
                self.place(do)
            emitter = EMITTERS.get(item.name)
            if emitter is None:
                self.refuse(item)
            emitter(self, item)
            if skip:
                self.emit(f"br label %{skip}")
                self.place(skip)
        self.emit(f"ret i64 {layout.DONE if function.is_kernel else 0}")
        entry = [f'  {self.slot(name)} = alloca i{self.width(name)}' for name in self.registers]
        entry += [f"  store i{self.width(name)} 0, ptr {self.slot(name)}" for name in self.registers]
        entry += ["  %carry = alloca i1", "  store i1 0, ptr %carry", "  %jumps = alloca i64"]
        for variable in function.variables.values():
            if variable.space == "param":
                entry.append(f'  %"p{variable.name}" = alloca [{variable.size} x i8], align 16')
        limit = f"  %limit = getelementptr i64, ptr %context, i64 {layout.JUMP_LIMIT}"
        entry += [limit, "  %allowed = load i64, ptr %limit", "  store i64 %allowed, ptr %jumps"]
        if function.is_kernel:
            head = ["define i64 @kernel(i64 %context.at, i64 %thread.at) {", "start:",
                    "  %context = inttoptr i64 %context.at to ptr", "  %thread = inttoptr i64 %thread.at to ptr"]
            cases = " ".join(f"i64 {number}, label %resume{number}" for number in self.resumed)
            entry += [f"  %pc.at = getelementptr i64, ptr %thread, i64 {layout.PC}", "  %pc = load i64, ptr %pc.at",
                      f"  switch i64 %pc, label %body [ {cases} ]"]
            self.plan.frame_size = len(self.slots)
        else:
            args = "".join(f', ptr %"p{v.name}"' for v in (*function.returns, *function.params))
            head = [f'define internal i64 @"{function.name}"(ptr %context, ptr %thread{args}) {{', "start:"]
            entry.append("  br label %body")
        return "\n".join([*head, *entry, "body:", *_closed(self.lines), "}"])

    def _liveness(self):
        """For each waiting instruction the registers that are read after it."""
        body, labels = self.function.body, self.positions
        reads, writes, nexts = [], [], []
        for index, item in enumerate(body):
            following = [index + 1] if index + 1 < len(body) else []
            if isinstance(item, str):
                reads.append(frozenset())
                writes.append(frozenset())
                nexts.append(following)
                continue
            names = [{name for name in _REGISTER.findall(operand) if name in self.registers}
                     for operand in item.operands]
            has_result = item.name not in _NO_RESULT and not (item.name == "bar" and "red" not in item.parts)
            result = names[0] if has_result and names and "[" not in item.operands[0] else set()
            read = set().union(*(names[1:] if result else names))
            if item.guard:
                read |= {item.guard.lstrip("!")}
            reads.append(frozenset(read))
            writes.append(frozenset() if item.guard else frozenset(result))
            if item.name == "bra":
                target = labels.get(item.operands[0])
                if target is None:
                    self.instruction = item
                    self.refuse(item, f"the label {item.operands[0]}")
                following = [target, *(following if item.guard else [])]
            elif item.name in ("ret", "exit", "trap") and not item.guard:
                following = []
            nexts.append(following)
        before = [set() for _ in body]
        changed = True
        while changed:
            changed = False
            for index in range(len(body) - 1, -1, -1):
                after = set().union(*(before[n] for n in nexts[index])) if nexts[index] else set()
                new = (after - writes[index]) | reads[index]
                if new != before[index]:
                    before[index], changed = new, True
        live = {}
        for index, item in enumerate(body):
            if isinstance(item, Instruction) and item.name in WAITING:
                live[index] = set().union(*(before[n] for n in nexts[index])) if nexts[index] else set()
        return live


def _closed(lines):
    """Without what follows the end of a block, up to the next label."""
    ended = False
    for line in lines:
        if not line.startswith(" "):
            ended = False
        if not ended:
            yield line
        if line.startswith(("  br ", "  ret ", "  unreachable", "  switch ")):
            ended = True
