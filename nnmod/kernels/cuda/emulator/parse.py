"""PTX text to functions: variables, registers, labels and instructions, each with its line.

PTX is the assembly that Numba's compiler writes for NVIDIA GPUs (NVIDIA, *Parallel Thread
Execution ISA*).  This reads what that compiler writes and what stands in inline assembly:
scoped blocks with registers of their own, calls, vectors in braces, initialised variables.
"""
import bisect
import dataclasses
import re

from .errors import UnknownInstruction

#: Bytes of a value of each type.
SIZES = {"b8": 1, "u8": 1, "s8": 1, "b16": 2, "u16": 2, "s16": 2, "f16": 2, "b32": 4, "u32": 4, "s32": 4, "f32": 4,
         "b64": 8, "u64": 8, "s64": 8, "f64": 8, "pred": 1}


def llvm_type(kind):
    """LLVM's type for a PTX type.

    >>> llvm_type("f32"), llvm_type("s64"), llvm_type("pred")
    ('float', 'i64', 'i1')
    """
    return {"f32": "float", "f64": "double", "f16": "half", "pred": "i1"}.get(kind) or f"i{8 * SIZES[kind]}"


_NAME = r"[%A-Za-z_$][\w$]*"
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
_FUNCTION = re.compile(rf"\.(entry|func)\s*(?:\(([^)]*)\))?\s*({_NAME})\s*(?:\(([^)]*)\))?\s*([^{{;]*?)([{{;])")
_VARIABLE = re.compile(
    rf"\.(shared|global|const|local|param)\s+(?:\.attribute\([^)]*\)\s*)?(?:\.align\s+(\d+)\s+)?\.(\w+)\s+"
    rf"(?:\.ptr[^,;]*?\s)?({_NAME})\s*((?:\[\d*\])*)\s*(?:=\s*([^;]*))?$")
_LOC = re.compile(r"\.loc\s+(\d+)\s+(\d+)[^\n]*")
_FILE = re.compile(r'\.file\s+(\d+)\s+"([^"]*)"')


@dataclasses.dataclass(slots=True)
class Variable:
    """Memory with a name.  ``count`` is None for shared memory whose size the launch gives."""

    name: str
    space: str
    type: str
    align: int
    count: int | None
    values: bytes | None = None

    @property
    def size(self):
        """Bytes."""
        return 0 if self.count is None else SIZES[self.type] * self.count


@dataclasses.dataclass(slots=True)
class Instruction:
    """``@guard name.part.part operands;`` and the number of its place in :attr:`Program.sites`."""

    name: str
    parts: tuple
    operands: list
    guard: str | None
    site: int

    @property
    def type(self):
        """The last part: the type of the operands of most instructions."""
        return self.parts[-1] if self.parts else ""

    @property
    def text(self):
        """The instruction without its operands."""
        return ".".join((self.name, *self.parts))


@dataclasses.dataclass(slots=True)
class Function:
    """A kernel, or a function that kernels call.  ``body`` holds instructions and labels (str)."""

    name: str
    is_kernel: bool
    params: list
    returns: list
    registers: dict
    variables: dict
    body: list


@dataclasses.dataclass(slots=True)
class Site:
    """Where an instruction stands: line of the PTX, file and line of the Python, its text."""

    ptx_line: int
    file: str
    line: int
    text: str


@dataclasses.dataclass(slots=True)
class Program:
    """All of a PTX text."""

    functions: dict
    variables: dict
    sites: list


def parse(ptx):
    """Read a PTX text; raises UnknownInstruction for what has no place in one."""
    return _Parser(ptx).program()


def split(text):
    """Operands: what commas separate outside of brackets.

    >>> split("{%f1, %f2}, [%rd1+4], 7")
    ['{%f1, %f2}', '[%rd1+4]', '7']
    """
    parts, depth, start = [], 0, 0
    for position, character in enumerate(text):
        if character in "{[(":
            depth += 1
        elif character in "}])":
            depth -= 1
        elif character == "," and depth == 0:
            parts.append(text[start:position].strip())
            start = position + 1
    last = text[start:].strip()
    return [*parts, last] if last else parts


class _Parser:
    def __init__(self, ptx):
        self.text = _COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), ptx)
        self.starts = [0, *(match.end() for match in re.finditer("\n", self.text))]
        self.files = {int(number): name for number, name in _FILE.findall(self.text)}
        self.sites = []

    def line(self, position):
        return bisect.bisect_right(self.starts, position)

    def program(self):
        functions, variables, outside, end = {}, {}, [], 0
        for header in _FUNCTION.finditer(self.text):
            if header.start() < end:
                continue
            outside.append((end, self.text[end:header.start()]))
            if header[6] == ";":  # a declaration
                end = header.end()
                continue
            end = self.closing_brace(header.end())
            function = Function(
                header[3], header[1] == "entry", self.params(header[4]), self.params(header[2]), {}, {}, [])
            _Body(self, function, header.end(), end - 1).read()
            functions[function.name] = function
        outside.append((end, self.text[end:]))
        for _, text in outside:
            for statement in re.sub(r"\.section[^{]*\{[^}]*\}", "", text).split(";"):
                statement = re.sub(r"\.(version|target|address_size|file|loc)\b[^\n]*", "", statement).strip()
                statement = re.sub(r"\.(visible|extern|common|weak)\b", "", statement).strip()
                variable = self.variable(statement) if statement else None
                if variable is not None:
                    variables[variable.name] = variable
        return Program(functions, variables, self.sites)

    def closing_brace(self, position):
        depth = 1
        while depth:
            match = re.compile("[{}]").search(self.text, position)
            if match is None:
                raise UnknownInstruction("the PTX ends inside a function")
            depth += 1 if match[0] == "{" else -1
            position = match.end()
        return position

    def params(self, text):
        variables = [self.variable(part) for part in split(text or "")]
        return [variable for variable in variables if variable is not None]

    def variable(self, statement):
        match = _VARIABLE.match(" ".join(statement.split()))
        if match is None:
            return None
        space, align, kind, name, dims, values = match.groups()
        if kind not in SIZES:
            raise UnknownInstruction(f"variables of type .{kind} are not known to the emulator: {statement}")
        count = 1
        for dim in re.findall(r"\[(\d*)\]", dims):
            count = None if dim == "" or count is None else count * int(dim)
        data = None if values is None or count is None else _initial(values, kind, count, statement)
        return Variable(name, space, kind, int(align or SIZES[kind]), count, data)


def _initial(text, kind, count, statement):
    """The bytes of an initialiser."""
    size, data = SIZES[kind], bytearray()
    for item in split(text.strip().strip("{}")):
        if re.fullmatch(r"0[fFdD][0-9a-fA-F]+", item):
            item = "0x" + item[2:]
        if not re.fullmatch(r"-?(0x[0-9a-fA-F]+|\d+)U?", item):
            raise UnknownInstruction(f"the emulator cannot read the initial value {item!r}: {statement[:120]}")
        data += (int(item.rstrip("U"), 0) & (1 << 8 * size) - 1).to_bytes(size, "little")
    return bytes(data.ljust(size * count, b"\0"))


class _Body:
    """The statements of one function."""

    def __init__(self, parser, function, start, stop):
        self.parser, self.function = parser, function
        self.position, self.stop = start, stop
        self.scopes = [{}]
        self.count = 0
        self.file, self.line = "", 0

    def read(self):
        text = self.parser.text
        while True:
            while self.position < self.stop and text[self.position].isspace():
                self.position += 1
            if self.position >= self.stop:
                return
            start = self.position
            if text[start] == "{":
                self.scopes.append(dict(self.scopes[-1]))
                self.position += 1
            elif text[start] == "}":
                self.scopes.pop()
                self.position += 1
            elif match := _LOC.match(text, start):
                self.file, self.line = self.parser.files.get(int(match[1]), ""), int(match[2]) or self.line
                self.position = match.end()
            elif match := re.compile(rf"({_NAME}):").match(text, start):
                self.function.body.append(self.renamed(match[1]))
                self.position = match.end()
            else:
                end = text.index(";", start)
                self.statement(" ".join(text[start:end].split()), start)
                self.position = end + 1

    def declare(self, name):
        """A name of this scope's own, where it is not the function's."""
        if len(self.scopes) > 1:
            self.count += 1
            self.scopes[-1][name] = f"{name}$s{self.count}"

    def renamed(self, text):
        names = self.scopes[-1]
        return re.sub(_NAME, lambda match: names.get(match[0], match[0]), text) if names else text

    def statement(self, text, start):
        function, line = self.function, self.parser.line(start)
        if text.startswith(".reg"):
            kind, names = re.match(r"\.reg\s+\.(\w+)\s+(.*)", text).groups()
            if kind not in SIZES:
                raise UnknownInstruction(f"PTX line {line}: registers of type .{kind} are not known to the emulator")
            for name in names.split(","):
                name = name.strip()
                if match := re.fullmatch(r"(.+)<(\d+)>", name):
                    for number in range(int(match[2])):
                        function.registers[f"{match[1]}{number}"] = kind
                else:
                    self.declare(name)
                    function.registers[self.renamed(name)] = kind
            return
        if text.startswith("."):
            variable = self.parser.variable(text)
            if variable is not None:
                self.declare(variable.name)
                variable.name = self.renamed(variable.name)
                function.variables[variable.name] = variable
            elif not re.match(r"\.(pragma|branchtargets|maxn|minn|reqn)", text):
                raise UnknownInstruction(f"PTX line {line}: {text} is not known to the emulator")
            return
        match = re.match(r"(?:@(!?[%\w$]+)\s+)?([a-z][\w]*)((?:(?:\.|::)[\w:]+)*)\s*(.*)", text)
        if match is None:
            raise UnknownInstruction(f"PTX line {line}: {text} is not known to the emulator")
        guard, name, parts, operands = match.groups()
        site = len(self.parser.sites)
        self.parser.sites.append(Site(line, self.file, self.line, text))
        function.body.append(Instruction(
            name, tuple(parts.split(".")[1:]), split(self.renamed(operands)),
            self.renamed(guard) if guard else None, site))
