"""What the GPU's assembler makes of a kernel: registers, spills, shared memory, instructions.

Neither a GPU nor a driver is needed: nvJitLink, which comes with numba-cuda[cu13], assembles.
Instructions are counted where the wheel nvidia-cuda-nvdisasm is installed too, as nnmod[cuda] does.

``python tests/cuda_assembly.py`` compiles every kernel for all three architectures, half an hour's work for two
cores, and writes what comes out into tests/cuda_budgets.json: what tests/test_cuda_budgets.py allows.
"""
import collections
import contextlib
import functools
import importlib.metadata
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import zlib

import numpy as np

import cuda_calls
from nnmod.kernels import cuda
from nnmod.kernels.cuda import launch, target, tiles
from nnmod.kernels.cuda.emulator.cache import cached, digest

#: The generations of GPUs that kernels are compiled for, and their compute capabilities.
ARCHITECTURES = {"sm_80": (8, 0), "sm_90": (9, 0), "sm_100": (10, 0)}
BUDGETS = pathlib.Path(__file__).with_name("cuda_budgets.json")
#: What a multiprocessor of each has: registers, bytes of shared memory, threads, blocks.
PROCESSOR = {"sm_80": (65536, 164 << 10, 2048, 32), "sm_90": (65536, 228 << 10, 2048, 32),
             "sm_100": (65536, 228 << 10, 2048, 32)}


def available():
    """Whether kernels can be assembled here."""
    try:
        import cuda.core  # noqa: F401
    except ImportError:
        return False
    return True


@functools.cache
def disassembler():
    """The path of nvdisasm, or None."""
    try:
        files = importlib.metadata.files("nvidia-cuda-nvdisasm") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if file.name.startswith("nvdisasm")), None)


@contextlib.contextmanager
def recorded(found):
    """Launches within are not run, but noted: found[(kernel, types)] = threads of a block."""
    def note(kernel, grid, block, *args):
        if np.prod(grid) and np.prod(block):
            found[kernel, tuple(map(target.type_of, args))] = int(np.prod(block))

    real = launch.launch
    modules = [module for name, module in list(sys.modules.items())
               if name.startswith("nnmod.kernels.cuda") and getattr(module, "launch", None) is real]
    for module in modules:
        module.launch = note
    try:
        yield
    finally:
        for module in modules:
            module.launch = real


@functools.cache
def kernels_of(dtype, others):
    """{(kernel, types): threads of a block} of every kernel that the calls of the tests launch in a dtype.

    others  False: those of products, pooling, softmax, normalisation and sums; True: those of all else
    """
    found, make = {}, cuda_calls.Make(np.dtype(dtype).type)
    with recorded(found):
        if others:
            _call(cuda_calls.CALLS, make)
            return {key: threads for key, threads in found.items() if key not in kernels_of(dtype, False)}
        _call(PRODUCTS_AND_SUMS, make)
        chosen = tiles.choose
        try:
            single = np.dtype(dtype).itemsize == 4
            for tile in [tile for plain in (tiles.LARGE, tiles.MIDDLE, tiles.SMALL)[not single:]
                         for tile in (plain, plain._replace(tensor=True))[:1 + single]]:
                tiles.choose = lambda *_, tile=tile: (tile, 2)
                x = make.some(1, 8, 8, 8)
                cuda.conv2d_update_output(x, make.some(8, 8, 1, 1), None, x.copy(), (1, 1), (0, 0))
                cuda.gemm(make.some(8, 8), make.some(8, 8), make.some(8, 8))
        finally:
            tiles.choose = chosen
    return found


def _call(table, make):
    for name, calls in table.items():
        for arguments in calls(make):
            getattr(cuda, name)(*arguments)


def _channels(m):
    return m.some(4, 3, 50), m.some(4, 3, 50), m.some(3), m.positive(3)


#: Calls that reach every kernel of products, pooling, softmax, normalisation and sums.
PRODUCTS_AND_SUMS = {
    "gemm": lambda m: [(m.some(2, 8), m.some(9, 8), m.some(2, 9), 1.0, 0.0, False, True)],
    "sum_rows": lambda m: [(m.some(9, 5), m.some(5))],
    "norm_of_statistics": lambda m: [(None, None, m.some(3), m.positive(3), m.some(3, 3), 1e-5)],
    "max_pool_update_output": lambda m: [(m.some(2, 3, 7, 9), m.out(2, 2, 6, 8), m.out(2, 2, 6, 8, dtype=np.int32),
                                          (2, 2, 2), (1, 1, 1), (0, 0, 0), (1, 1, 1))],
    "max_pool_update_grad_input": lambda m: [(m.some(2, 1, 3, 4), np.zeros((2, 1, 3, 4), np.int32),
                                              m.some(2, 1, 6, 8))],
    "max_unpool_update_grad_input": lambda m: [(m.some(2, 1, 6, 8), np.zeros((2, 1, 3, 4), np.int32),
                                                m.some(2, 1, 3, 4))],
    "avg_pool_update_output": lambda m: [(m.some(2, 3, 7, 9), m.out(2, 2, 6, 8), (2, 2, 2), (1, 1, 1), (0, 0, 0),
                                          1, 1)],
    "avg_pool_update_grad_input": lambda m: [(m.some(2, 2, 6, 8), m.out(2, 3, 7, 9), (2, 2, 2), (1, 1, 1), (0, 0, 0),
                                              1, 1)],
    "softmax_update_output": lambda m: [(m.some(4, 30, s), m.out(4, 30, s)) for s in (1, 5)],
    "softmax_update_grad_input": lambda m: [(m.some(4, 30, s), m.some(4, 30, s), m.out(4, 30, s)) for s in (1, 5)],
    "batch_norm_update_output": lambda m: [(m.some(4, 3, 50), None, None, *(m.some(3) for _ in range(2)),
                                            m.out(4, 3, 50), m.out(3), m.out(3), train, 0.1, 1e-5) for train in (0, 1)],
    "batch_norm_update_grad_input": lambda m: [(*_channels(m)[:2], None, *_channels(m)[2:], m.out(4, 3, 50), True)],
    "batch_norm_acc_grad_parameters": lambda m: [(*_channels(m), m.some(3), m.some(3))],
    "layer_norm_update_output": lambda m: [(m.some(5, 40), None, None, m.out(5, 40), m.out(5), m.out(5), 1e-5)],
    "layer_norm_update_grad_input": lambda m: [(m.some(5, 40), m.some(5, 40), None, m.some(5), m.some(5),
                                                m.out(5, 40))],
    "layer_norm_acc_grad_parameters": lambda m: [(m.some(5, 40), m.some(5, 40), m.some(5), m.some(5), m.some(40),
                                                  m.some(40))],
    "normalize_update_output": lambda m: [(m.some(5, 40), m.out(5, 40), m.out(5), 2, 1e-5)],
    "normalize_update_grad_input": lambda m: [(m.some(5, 40), m.some(5, 40), m.positive(5), m.out(5, 40), 2)],
    "sum_axis": lambda m: [(m.some(3, 5, 7), m.out(3, 7), None), (m.some(1, 5, 7), m.out(1, 7), None)],
    "expand_axis": lambda m: [(m.some(3, 7), m.out(3, 5, 7))],
    "extreme_axis": lambda m: [(m.some(3, 5, b), m.out(3, b), m.out(3, b, dtype=np.int32)) for b in (1, 7)],
    "extreme_axis_update_grad_input": lambda m: [(m.some(3, 7), np.zeros((3, 7), np.int32), m.out(3, 5, 7))],
    "broadcast_add": lambda m: [(m.some(2, 3, 4, 5, 6), m.some(1, 3, 1, 1, 1), m.out(2, 3, 4, 5, 6))],
    "broadcast_multiply": lambda m: [(m.some(2, 3, 4, 5, 6), m.some(1, 3, 1, 1, 1), m.out(2, 3, 4, 5, 6))],
    "broadcast_sum": lambda m: [(m.some(2, 3, 4, 5, 6), m.some(1, 3, 1, 5, 1))],
    "broadcast_product_sum": lambda m: [(m.some(2, 3, 4, 5, 6), m.some(2, 3, 4, 5, 6), m.some(1, 3, 1, 1, 1))],
    "prelu_update_output": lambda m: [(m.some(2, 3, 4), m.some(3), m.out(2, 3, 4))],
    "prelu_update_grad_input": lambda m: [(m.some(2, 3, 4), m.some(2, 3, 4), m.some(3), m.out(2, 3, 4))],
    "prelu_acc_grad_parameters": lambda m: [(m.some(2, 3, 4), m.some(2, 3, 4), m.some(3))],
}


def assembled(kernel, types, architecture):
    """What the assembler says: registers; spilled, stack and shared bytes; instructions, if they can be counted."""
    text = target.ptx(kernel, types, ARCHITECTURES[architecture],
                      launch_bounds=getattr(kernel, "launch_bounds", None))
    key = digest("what the assembler says", text, architecture, importlib.metadata.version("nvidia-nvjitlink"),
                 bool(disassembler()))
    return json.loads(cached(key, "json", lambda: json.dumps(_assembled(text, architecture)).encode()))


def _assembled(text, architecture):
    from cuda.core import Linker, LinkerOptions, ObjectCode

    linker = Linker(ObjectCode.from_ptx(text.encode()), options=LinkerOptions(arch=architecture, ptxas_options="-v"))
    code, log = linker.link("cubin").code, linker.get_info_log()
    numbers = {"registers": r"Used (\d+) registers", "spilled": r"(\d+) bytes spill", "stack": r"(\d+) bytes stack"}
    found = {name: sum(map(int, re.findall(pattern, log))) for name, pattern in numbers.items()}
    found["shared"] = sum(_bytes(*match) for match in re.findall(
        r"^(?:\.visible )?\.shared\s+\.align \d+ \.[a-z](\d+) [^\[;]+(?:\[(\d+)\])?;", text, re.MULTILINE))
    found["wide"] = len(re.findall(r"^\s*(?:@\S+ )?[a-z]\S*\.f64", text, re.MULTILINE))
    if disassembler():
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "kernel.cubin"
            file.write_bytes(code)
            lines = subprocess.run([disassembler(), "-c", str(file)], capture_output=True, text=True, check=True).stdout
        found["instructions"] = dict(collections.Counter(
            re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z][A-Z0-9_.]+)", lines)))
    return found


def _bytes(bits, count):
    return int(bits) // 8 * int(count or 1)


def count(found, *names):
    """How many instructions of these kinds, with any modifiers that follow the names."""
    return sum(number for name, number in found["instructions"].items()
               if any(name == kind or name.startswith(kind + ".") for kind in names))


def occupancy(found, threads, architecture):
    """The share of a multiprocessor's threads that can be resident: by registers, shared memory and blocks."""
    registers, shared, most, blocks = PROCESSOR[architecture]
    warps = -(-threads // 32)
    per_warp = -(-found["registers"] * 32 // 256) * 256
    fits = min(registers // (per_warp * warps), shared // (found["shared"] + 1024), most // (32 * warps), blocks)
    return fits * warps * 32 / most


# -- budgets -----------------------------------------------------------------------------------

def chosen(kernel, types, architectures):
    """Of a kernel the architectures that the tests look at: the largest tiles' all, one by its name of the others."""
    if "128x128" in kernel.__name__:
        return architectures
    names = list(ARCHITECTURES)
    name = f"{kernel.__module__} {kernel.__name__} {' '.join(map(str, types))}"
    return [a for a in architectures if a == names[zlib.crc32(name.encode()) % len(names)]]


def budgets():
    """{kernel and dtype: {architecture: registers, "shared": bytes}}, as measured."""
    return json.loads(BUDGETS.read_text())


def measure():
    """Compile every kernel for every architecture, and write down what it takes."""
    from cuda_kernels import label

    table = {}
    for dtype in ("float32", "float64"):
        for others in (False, True):
            for kernel, types in kernels_of(dtype, others):
                for architecture in ARCHITECTURES:
                    said, name = assembled(kernel, types, architecture), f"{label(kernel)} {dtype}"
                    entry = table.setdefault(name, {})
                    for what, number in ((architecture, said["registers"]), ("shared", said["shared"])):
                        entry[what] = max(number, entry.get(what, 0))
                    print(name, architecture, said["registers"], said["shared"], said["spilled"], flush=True)
    BUDGETS.write_text("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(table[name])}" for name in sorted(table))
                       + "\n}\n")


if __name__ == "__main__":
    if not available():
        raise SystemExit("numba-cuda[cu13] is not installed: pip install 'nnmod[cuda]'")
    if "cuda_assembly" not in sys.modules:  # what cuda_kernels imports is this module
        sys.modules["cuda_assembly"] = sys.modules["__main__"]
    measure()
