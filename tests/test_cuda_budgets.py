"""What kernels cost on a GPU, as far as its assembler tells: spills, registers, float64 by accident.

Every kernel that the tests' calls launch is compiled and assembled, in float32 and in float64: the
largest tiles for compute capability 8.0, 9.0 and 10.0, each of the others for one of the three, always
the same.  ``NNMOD_BUDGETS=all python -m pytest tests/test_cuda_budgets.py`` takes all for all
three.  What they may take is what they took before (cuda_budgets.json); docs/cuda_kernels.rst lists
what comes out.
"""
import os

import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

import cuda_assembly
from cuda_assembly import ARCHITECTURES, assembled, budgets, chosen, count, disassembler, kernels_of, occupancy
from cuda_kernels import PAGE, label

pytestmark = pytest.mark.skipif(not cuda_assembly.available(), reason="numba-cuda[cu13] is not installed")

#: More registers than were measured: another release of the compiler deals them out a little otherwise.
SLACK = 8
#: No kernel may ever take more.  With 128 of them two blocks of 256 threads are on a multiprocessor,
#: which hides what a block waits for; sums of float64 take two each.
MOST_REGISTERS = {"float32": 128, "float64": 184}
#: The share of a multiprocessor's threads that are resident at least; and those of tiles, of windows
#: and borders in three dimensions and of sums over any of five, which count with many sizes, and of
#: loops that the compiler unrolls, for 8.0 furthest, and that spill with fewer registers.
OCCUPANCY = {"float32": 0.375, "float64": 0.25}
LESS_OCCUPANCY = {"float32": 0.24, "float64": 0.12}
LARGE = ("linear.gemm", "gather.gather", "pooling.avg_pool", "pooling.max_pool", "broadcast.sum",
         "plane_convolution.update_output", "padding.pad_grad", "distance.nearest",
         "classification_criterion.multi_label_margin_grad")


def looked_at(kernel, types, architectures=tuple(ARCHITECTURES)):
    """The architectures for which a kernel is looked at."""
    everything = os.environ.get("NNMOD_BUDGETS") == "all"
    return architectures if everything else chosen(kernel, types, architectures)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("others", [False, True], ids=["products and sums", "all others"])
def test_every_kernel_is_within_its_budget(others, dtype, architecture):
    wrong, allowed = [], budgets()
    for (kernel, types), threads in kernels_of(dtype, others).items():
        if not looked_at(kernel, types, (architecture,)):
            continue
        name, said = label(kernel), assembled(kernel, types, architecture)
        budget = allowed.get(f"{name} {dtype}", {})
        if architecture not in budget:
            wrong.append(f"{name} has no budget: python tests/cuda_assembly.py measures it")
            continue
        registers = min(budget[architecture] + SLACK, MOST_REGISTERS[dtype])
        least = (LESS_OCCUPANCY if name.startswith(LARGE) else OCCUPANCY)[dtype]
        if said["spilled"]:
            wrong.append(f"{name} spills {said['spilled']} bytes")
        if said["registers"] > registers:
            wrong.append(f"{name} takes {said['registers']} registers, {registers} are its budget")
        if said["shared"] > budget["shared"]:
            wrong.append(f"{name} takes {said['shared']} bytes of shared memory, {budget['shared']} are its budget")
        if occupancy(said, threads, architecture) < least:
            wrong.append(f"{name} fills {occupancy(said, threads, architecture):.0%} of a multiprocessor")
        words = " ".join(map(str, types))
        if dtype == "float32" and said["wide"] and "float64" not in words and not getattr(kernel, "wide", ""):
            wrong.append(f"{name} has {said['wide']} instructions of float64")
    assert not wrong, "\n".join(sorted(set(wrong)))


def test_each_kernel_is_looked_at():
    """Of the kernels of a dtype every architecture gets its share, and no kernel is left out."""
    share = dict.fromkeys(ARCHITECTURES, 0)
    kernels = {**kernels_of("float32", False), **kernels_of("float32", True)}
    for kernel, types in kernels:
        of_it = looked_at(kernel, types)
        assert len(of_it) in (1, len(ARCHITECTURES))
        for architecture in of_it:
            share[architecture] += 1
    assert min(share.values()) > len(kernels) / 5, share
    names = {f"{label(kernel)} {dtype}" for dtype in ("float32", "float64") for others in (False, True)
             for kernel, _ in kernels_of(dtype, others)}
    assert set(budgets()) == names, "python tests/cuda_assembly.py measures anew"


@pytest.mark.skipif(not disassembler(), reason="nvidia-cuda-nvdisasm is not installed")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tiles_multiply_out_of_registers(architecture):
    """A slice of 128 x 128 x 8 is 512 multiply-adds a thread, on what 32 loads of 16 bytes brought."""
    for (kernel, types), _ in kernels_of("float32", False).items():
        name = label(kernel)
        for size, run, loads in (("128x128", 64, 32), ("64x64", 32, 24), ("32x32", 16, 16)):
            if name.endswith(size) and name.startswith(("linear.gemm", "gather.gather")) and looked_at(
                    kernel, types, (architecture,)):
                said = assembled(kernel, types, architecture)
                assert count(said, "FFMA") >= 8 * run, name
                kinds = said["instructions"]
                shared = sum(n for kind, n in kinds.items() if kind.startswith("LDS") and kind.endswith("128"))
                assert shared in (loads, 2 * loads), (name, kinds)
                wide = sum(n for kind, n in kinds.items() if kind.startswith("LDG") and kind.endswith("128"))
                assert wide >= 2, (name, kinds)
                assert not any(kind.startswith(("LDL", "STL")) for kind in kinds), (name, kinds)


@pytest.mark.skipif(not disassembler(), reason="nvidia-cuda-nvdisasm is not installed")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tiles_on_tensor_cores(architecture):
    """A slice of 128 x 128 x 8 is 16 products of a warp on what 6 loads of 16 bytes brought."""
    seen = 0
    for (kernel, types), _ in kernels_of("float32", False).items():
        name = label(kernel)
        for size, products, quads, pairs in (("128x128", 16, 6, 0), ("64x64", 8, 4, 2), ("32x32", 4, 2, 2)):
            if name.endswith(f"{size}_tf32") and looked_at(kernel, types, (architecture,)):
                seen += 1
                said = assembled(kernel, types, architecture)
                kinds = said["instructions"]
                multiplied = sum(n for kind, n in kinds.items() if kind.startswith("HMMA") and "TF32" in kind)
                assert multiplied in (products, 2 * products), (name, kinds)
                times = multiplied // products
                for width, loads in (("128", quads), ("64", pairs)):
                    found = sum(n for kind, n in kinds.items() if kind.startswith("LDS") and kind.endswith(width))
                    assert found == times * loads, (name, kinds)
                assert not any(kind.startswith(("LDL", "STL")) for kind in kinds), (name, kinds)
    assert seen >= 2, "the largest tiles of gemm and gather are looked at for each"


def test_the_page_names_every_kernel_of_the_table():
    page = PAGE.read_text()
    missing = {label(kernel) for kernel, _ in kernels_of("float32", False)
               if f" {label(kernel)}\n" not in page}
    assert not missing, f"run python tests/cuda_kernels.py; the page lacks {sorted(missing)}"
    assert "Never timed on hardware" in page
