"""A kernel's PTX, compiled for this processor, and its launches.

LLVM comes with llvmlite, which Numba brings: no C compiler, no driver and no GPU are needed.
Machine code is kept on disk by a digest of the LLVM IR it came from.
"""
import ctypes
import functools
import threading

import llvmlite.binding as llvm
import numpy as np

from . import layout, runtime
from .cache import cached, digest
from .errors import KINDS, KernelFault
from .parse import parse
from .translate import translate

#: A loop that jumps back so often within one thread counts as endless.
JUMP_LIMIT = 1 << 32

_lock = threading.Lock()


class Kernel:
    """PTX that can be launched on the CPU.

    Parameters
    ----------
    ptx : str
        What Numba, or any other compiler for NVIDIA GPUs, wrote.
    name : str
        What messages call the kernel; default its name in the PTX.
    entry : str
        Which of several kernels of the text is meant.

    Raises UnknownInstruction for what the emulator cannot run.

    Attributes
    ----------
    instructions : tuple of str
        The kinds of instructions in the text, such as ``"fma.rn.f32"``.
    """

    def __init__(self, ptx, name=None, entry=None):
        self.program = parse(ptx)
        kernels = [f.name for f in self.program.functions.values() if f.is_kernel]
        if not kernels if entry is None else entry not in kernels:
            raise ValueError(f"the PTX has no kernel{f' {entry!r}' if entry else ''}; it has {kernels}")
        entry = entry or kernels[0]
        self.name = name or entry
        text, self.plan = translate(self.program, entry)
        self._engine, self._address = _compile(text)
        self._variables = []
        for variable in self.plan.globals.values():
            at = self._engine.get_global_value_address(self.plan.global_name(variable.name))
            self._variables.append((at, at + variable.size, 0, 1, int(variable.space == "const")))

    @property
    def instructions(self):
        """The kinds of instructions in the text, such as ``"fma.rn.f32"``."""
        return tuple(sorted({site.text.split()[0] if not site.text.startswith("@") else site.text.split()[1]
                             for site in self.program.sites}))

    def __call__(self, grid, block, args, shared=0, races=True, arrays=None):
        """Run *grid* blocks of *block* threads; see :func:`nnmod.kernels.cuda.emulator.launch`.

        *args* holds one value for each parameter of the PTX, as bytes.  *arrays* are those
        NumPy arrays that the kernel may touch.
        """
        arrays = arrays or []
        grid, block = _triple("grid", grid), _triple("block", block)
        count = block[0] * block[1] * block[2]
        if count > 1024:
            raise ValueError(f"a block has 1024 threads at most, got {block}: {count}")
        parameters = np.zeros(max(self.plan.params_size, 1) + 16, np.uint8)
        if len(args) != len(self.plan.kernel.params):
            raise TypeError(f"{self.name} takes {len(self.plan.kernel.params)} parameters, got {len(args)}")
        for variable, value in zip(self.plan.kernel.params, args):
            if len(value) != variable.size:
                raise TypeError(f"{self.name}: {variable.name} has {variable.size} bytes, got {len(value)}")
            at = self.plan.params[variable.name]
            parameters[at:at + variable.size] = np.frombuffer(value, np.uint8)
        # Shared memory is filled with NaN, so that what is not written is not 0 by chance.
        shared_size = self.plan.dynamic_start + shared
        if shared_size > 232448:
            raise ValueError(f"{self.name}: a block has 227 KiB of shared memory at most, got {shared_size} bytes")
        memory = np.full(shared_size + 256, 0xFF, np.uint8)
        shared_at = -(-memory.ctypes.data // 128) * 128
        shadows, rows = [], list(self._variables)
        for first, end, grain, read_only in _extents(arrays, self.plan.global_grain):
            shadow = 0
            if races and end > first:
                shadows.append(np.zeros(2 * (-(-(end - first) // grain)), np.int64))
                shadow = shadows[-1].ctypes.data
            rows.append((first, end, shadow, grain, read_only))
        allocations = np.array(rows, np.int64).reshape(len(rows), layout.ALLOCATION_SIZE)
        shared_shadow = np.zeros(2 * (shared_size // self.plan.shared_grain + 1), np.int64)
        local_memory = np.zeros(self.plan.local_size * count + 16, np.uint8)
        local_at = -(-local_memory.ctypes.data // 16) * 16
        warps = np.zeros(32, np.int64)
        context = np.zeros(layout.CONTEXT_SIZE, np.int64)
        for field, value in (
                (layout.GRID_X, grid[0]), (layout.GRID_Y, grid[1]), (layout.GRID_Z, grid[2]),
                (layout.BLOCK_X, block[0]), (layout.BLOCK_Y, block[1]), (layout.BLOCK_Z, block[2]),
                (layout.SHARED, shared_at), (layout.SHARED_SIZE, shared_size), (layout.DYNAMIC_SIZE, shared),
                (layout.SHARED_SHADOW, shared_shadow.ctypes.data if races else 0),
                (layout.SHARED_GRAIN, self.plan.shared_grain), (layout.PARAMS, parameters.ctypes.data),
                (layout.ALLOCATIONS, allocations.ctypes.data), (layout.ALLOCATION_COUNT, len(rows)),
                (layout.LOCAL_SIZE, self.plan.local_size), (layout.CLOCK, 1), (layout.LAUNCH_START, 1),
                (layout.WARP_SYNCS, warps.ctypes.data), (layout.JUMP_LIMIT, JUMP_LIMIT)):
            context[field] = value
        threads = np.zeros((count, layout.FRAME + self.plan.frame_size), np.int64)
        with np.errstate(all="ignore"):
            runtime.run(context, threads, self._address, local_at, 0, grid[0] * grid[1] * grid[2])
        if context[layout.FAULT]:
            raise self._explain(context, arrays)

    def _explain(self, context, arrays):
        """The exception for a fault that the context describes."""
        kind = KINDS[context[layout.FAULT]]
        site = self.program.sites[context[layout.SITE]]
        block_size = [int(context[f]) for f in (layout.BLOCK_X, layout.BLOCK_Y, layout.BLOCK_Z)]
        thread = _position(int(context[layout.THREAD]), block_size)
        block = tuple(int(context[f]) for f in (layout.AT_X, layout.AT_Y, layout.AT_Z))
        other = _who(int(context[layout.OTHER]), block_size)
        address = int(context[layout.ADDRESS])
        place = _place(address, arrays) if kind.startswith(("global", "misaligned global", "race in global", "write to")
                                                           ) else f"byte {address}"
        mask = f"mask {address & 0xFFFFFFFF:#010x}"
        verb = next((word for word in site.text.split() if not word.startswith("@")), "")  # @: a condition
        reader = "reads" if verb.startswith("ld") else "writes" if verb.startswith("st") else "accesses"
        rival = other if other.startswith("an atomic") else f"an access by {other}"
        size = int(context[layout.SHARED_SIZE])
        text = {
            "global out of bounds": f"{reader} memory that belongs to no array: {place}",
            "shared out of bounds": f"{reader} shared {place}, but the block has {size} bytes",
            "local out of bounds": f"{reader} local {place}, but a thread has {self.plan.local_size} bytes",
            "misaligned global access": f"{reader} {place}, which is not aligned for so wide an access",
            "misaligned shared access": f"{reader} shared {place}, which is not aligned for so wide an access",
            "misaligned local access": f"{reader} local {place}, which is not aligned for so wide an access",
            "write to read-only memory": f"writes to read-only memory: {place}",
            "uninitialised shared memory": f"reads shared {place}, which no thread of the block has written so far: "
                                           "is a barrier missing?",
            "race in shared memory": f"{reader} shared {place}, with no barrier between that and {rival}",
            "race in global memory within a block":
                f"{reader} {place}, with no barrier between that and {rival}",
            "race in global memory between blocks":
                f"{reader} {place}, and so does another block; blocks run in any order, or at once",
            "thread ended before a barrier": f"waits at a barrier, but {other} has ended",
            "divergent barrier": f"waits at another barrier than {other}, which waits at PTX line "
                                 + str(self.program.sites[min(address, len(self.program.sites) - 1)].ptx_line),
            "own lane not in the mask": f"calls a warp operation whose {mask} does not name its own lane",
            "lane of the mask missing": f"waits for {other}, which the {mask} names and which does not come: it has "
                                        "ended, is not in the block, took another branch or waits at a barrier",
            "different warp operations": f"calls a warp operation with {mask} while {other} calls another",
            "shuffle from a lane outside the mask": f"shuffles from {other}, which the {mask} does not name",
            "integer division by zero": "divides an integer by zero",
            "endless loop": f"jumps back more than {JUMP_LIMIT} times: an endless loop",
            "trap": "stops at a trap instruction",
        }[kind]
        python = f"{site.file}:{site.line}" if site.file else "unknown Python line"
        message = (f"{self.name}: {kind}: thread {thread} of block {block} {text}\n  at {python} (PTX line "
                   f"{site.ptx_line}: {site.text})")
        return KernelFault(message, kind, self.name, (site.file, site.line), site.ptx_line, thread, block)


def _compile(text):
    """Machine code for LLVM IR, from the cache or new: (engine, address of the kernel)."""
    with _lock:
        _prepare()
        key = digest("object", text, llvm.llvm_version_info, llvm.get_host_cpu_name(),
                     llvm.get_host_cpu_features().flatten())

        def build():
            module = llvm.parse_assembly(f'target triple = "{llvm.get_process_triple()}"\n' + text)
            module.verify()
            machine = _machine()
            options = llvm.create_pipeline_tuning_options(speed_level=2)
            options.loop_unrolling = options.loop_vectorization = options.slp_vectorization = False
            builder = llvm.create_pass_builder(machine, options)
            builder.getModulePassManager().run(module, builder)
            return machine.emit_object(module)

        data = cached(key, "object", build)
        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())  # which then owns the machine
        engine.add_object_file(llvm.ObjectFileRef.from_data(data))
        engine.finalize_object()
        return engine, engine.get_function_address("kernel")


@functools.cache
def _prepare():
    """Once in a process: LLVM knows this processor and the functions that kernels call."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    for name, function in runtime.checks().items():
        llvm.add_symbol(name, function.address)
        _kept.append(function)
    libm = ctypes.CDLL(None)
    for name in ("exp2f", "log2f", "sinf", "cosf", "tanhf", "fmaf", "fma"):
        try:
            llvm.add_symbol(name, ctypes.cast(getattr(libm, name), ctypes.c_void_p).value)
        except AttributeError:  # LLVM finds it by itself
            pass


def _machine():
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2, jit=True,
        reloc="default", codemodel="jitdefault")


_kept = []


def _triple(name, value):
    """Grid or block as three sizes."""
    sizes = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    sizes = (*sizes, 1, 1)[:3] if len(sizes) < 3 else sizes
    if len(sizes) != 3 or any(not isinstance(n, (int, np.integer)) or n < 1 for n in sizes):
        raise ValueError(f"{name} must be one to three ints > 0, got {value!r}")
    return tuple(map(int, sizes))


def _extents(arrays, grain):
    """The memory of arrays, overlapping ones as one: (first byte, end, bytes of an element, read-only)."""
    spans = []
    for array in arrays:
        if array.size:
            first, end = np.lib.array_utils.byte_bounds(array)
            unit = array.itemsize if array.dtype.names is None else min(grain, array.itemsize)
            spans.append([first, end, unit, int(not array.flags.writeable)])
    merged = []
    for span in sorted(spans):
        if merged and span[0] < merged[-1][1]:
            last = merged[-1]
            last[1], last[2], last[3] = max(last[1], span[1]), min(last[2], span[2]), last[3] & span[3]
        else:
            merged.append(span)
    return merged


def _position(number, block):
    return number % block[0], number // block[0] % block[1], number // (block[0] * block[1])


def _who(number, block):
    """Another thread in words."""
    if number == layout.ATOMICALLY:
        return "an atomic access of another thread"
    if number == layout.SEVERAL or number < 0:
        return "several others" if number == layout.SEVERAL else "another thread"
    if number >= 1024:
        return f"several threads of warp {number - 1024}"
    return f"thread {_position(number, block)}"


def _place(address, arrays):
    """An address in words, by the array nearest to it."""
    best, nearest = None, None
    for number, array in enumerate(arrays):
        if not array.size:
            continue
        first, end = np.lib.array_utils.byte_bounds(array)
        distance = max(first - address, address - end + 1, 0)
        if nearest is None or distance < nearest:
            best, nearest = number, distance
    if best is None:
        return f"address {address:#x}"
    array = arrays[best]
    first, end = np.lib.array_utils.byte_bounds(array)
    name = f"array {best} ({array.dtype.name} {array.shape})"
    if nearest == 0:
        at = (address - first) // array.itemsize
        if array.flags.c_contiguous:
            index = ", ".join(map(str, np.unravel_index(at, array.shape)))
            return f"element [{index}] of {name}"
        return f"byte {address - first} of {name}"
    if nearest == 1 and address >= end:
        return f"right behind the end of {name}"
    if nearest < 1 << 30:
        return f"{nearest} byte{'s' * (nearest > 1)} {'before' if address < first else 'past the end of'} {name}"
    return f"address {address:#x}"
