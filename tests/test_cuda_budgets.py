"""What kernels cost on a GPU, as far as its assembler tells: spills, registers, float64 by accident.

Every kernel that the tests' calls launch is assembled for three generations of GPUs, in float32
and in float64.  docs/cuda_kernels.rst lists what comes out.
"""
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

import cuda_assembly
from cuda_assembly import ARCHITECTURES, assembled, count, disassembler, kernels_of, occupancy
from cuda_kernels import PAGE, label

pytestmark = pytest.mark.skipif(not cuda_assembly.available(), reason="numba-cuda[cu13] is not installed")

#: Registers of a thread that any kernel may take.
REGISTERS = {"float32": 72, "float64": 96}
#: Those that may take more: the sums of a tile stay in registers.  With 128 of them two blocks of
#: 256 threads are on a multiprocessor, which hides what a block waits for.
MORE_REGISTERS = {
    "linear.gemm_128x128": 128, "linear.gemm_64x64": 112, "linear.gemm_32x32": 128,
    "gather.gather_128x128": 128, "gather.gather_64x64": 128, "gather.gather_32x32": 128,
    # Windows in three dimensions, sums over any of five: many sizes.
    "pooling.max_pool": 80, "pooling.avg_pool_gradient": 120, "pooling.avg_pool": 88,
    "broadcast.sum": 104,
}
MORE_REGISTERS_IN_FLOAT64 = {
    "linear.gemm_64x64": 168, "linear.gemm_32x32": 152, "gather.gather_64x64": 184, "gather.gather_32x32": 168,
    "pooling.max_pool": 96, "pooling.avg_pool_gradient": 128, "pooling.avg_pool": 96, "broadcast.sum": 112,
}
#: Bytes of shared memory of a block, in float32; of float64 twice that.
SHARED = {
    "linear.gemm_128x128": 16912, "linear.gemm_64x64": 8720, "linear.gemm_32x32": 4624,
    "gather.gather_128x128": 16912, "gather.gather_64x64": 8720, "gather.gather_32x32": 4624,
    "sums.sums_of_": 4096,
}
#: The share of a multiprocessor's threads that are resident at least.
OCCUPANCY = 0.25
LESS_OCCUPANCY = {"float32": 0.24, "float64": 0.12}


def budget(table, name, default):
    """The entry of the table for a kernel's name, or for how it begins."""
    return next((value for key, value in table.items() if name.startswith(key)), default)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("others", [False, True], ids=["products and sums", "all others"])
def test_every_kernel_is_within_its_budget(others, dtype, architecture):
    wrong = []
    for (kernel, types), threads in kernels_of(dtype, others).items():
        name, said = label(kernel), assembled(kernel, types, architecture)
        more = MORE_REGISTERS if dtype == "float32" else MORE_REGISTERS_IN_FLOAT64
        registers = budget(more, name, REGISTERS[dtype])
        shared = budget(SHARED, name, 0) * (1 if dtype == "float32" else 2)
        least = LESS_OCCUPANCY[dtype] if name in more else OCCUPANCY
        if said["spilled"]:
            wrong.append(f"{name} spills {said['spilled']} bytes")
        if said["registers"] > registers:
            wrong.append(f"{name} takes {said['registers']} registers, {registers} are its budget")
        if said["shared"] > shared:
            wrong.append(f"{name} takes {said['shared']} bytes of shared memory, {shared} are its budget")
        if occupancy(said, threads, architecture) < least:
            wrong.append(f"{name} fills {occupancy(said, threads, architecture):.0%} of a multiprocessor")
        words = " ".join(map(str, types))
        if dtype == "float32" and said["wide"] and "float64" not in words and not getattr(kernel, "wide", ""):
            wrong.append(f"{name} has {said['wide']} instructions of float64")
    assert not wrong, "\n".join(sorted(set(wrong)))


@pytest.mark.skipif(not disassembler(), reason="nvidia-cuda-nvdisasm is not installed")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tiles_multiply_out_of_registers(architecture):
    """A slice of 128 x 128 x 8 is 512 multiply-adds a thread, on what 32 loads of 16 bytes brought."""
    for (kernel, types), _ in kernels_of("float32", False).items():
        name = label(kernel)
        for size, run, loads in (("128x128", 64, 32), ("64x64", 32, 24), ("32x32", 16, 16)):
            if name.endswith(size) and name.startswith(("linear.gemm", "gather.gather")):
                said = assembled(kernel, types, architecture)
                assert count(said, "FFMA") >= 8 * run, name
                kinds = said["instructions"]
                shared = sum(n for kind, n in kinds.items() if kind.startswith("LDS") and kind.endswith("128"))
                assert shared in (loads, 2 * loads), (name, kinds)
                wide = sum(n for kind, n in kinds.items() if kind.startswith("LDG") and kind.endswith("128"))
                assert wide >= 2, (name, kinds)
                assert not any(kind.startswith(("LDL", "STL")) for kind in kinds), (name, kinds)


def test_the_page_names_every_kernel_of_the_table():
    page = PAGE.read_text()
    missing = {label(kernel) for kernel, _ in kernels_of("float32", False)
               if f" {label(kernel)}\n" not in page}
    assert not missing, f"run python tests/cuda_kernels.py; the page lacks {sorted(missing)}"
    assert "Never timed on hardware" in page
