"""What the emulator raises: a fault in a kernel, and an instruction that it does not know."""


class KernelFault(RuntimeError):
    """A kernel did what no kernel may do; the message says what, and where.

    Attributes
    ----------
    kind : str
        What went wrong, as one of :data:`KINDS`.
    kernel : str
        The kernel's Python name.
    where : tuple of (str, int)
        The file and the line of Python that the instruction came from.
    ptx_line : int
        The line of the PTX text, counted from 1.
    thread, block : tuple of int
        (x, y, z) of the thread that was caught, and of its block.
    """

    def __init__(self, message, kind, kernel, where, ptx_line, thread, block):
        super().__init__(message)
        self.kind = kind
        self.kernel = kernel
        self.where = where
        self.ptx_line = ptx_line
        self.thread = thread
        self.block = block


class UnknownInstruction(NotImplementedError):
    """PTX that the emulator cannot run; the message names the instruction and its line."""


#: Kinds of faults, by the number that the runtime gives them.
KINDS = (
    "none",
    "global out of bounds",
    "shared out of bounds",
    "local out of bounds",
    "misaligned global access",
    "misaligned shared access",
    "misaligned local access",
    "write to read-only memory",
    "uninitialised shared memory",
    "race in shared memory",
    "race in global memory within a block",
    "race in global memory between blocks",
    "thread ended before a barrier",
    "divergent barrier",
    "own lane not in the mask",
    "lane of the mask missing",
    "different warp operations",
    "shuffle from a lane outside the mask",
    "integer division by zero",
    "endless loop",
    "trap",
)
