"""The documentation's page about the CUDA kernels: what they cost on paper.

``python tests/cuda_kernels.py`` writes docs/cuda_kernels.rst; it needs numba-cuda[cu13] and
nvidia-cuda-nvdisasm.
"""
import pathlib

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "cuda_kernels.rst"

#: GPUs of the page: float32 operations and bytes a second, as their makers state them.
GPUS = {"H100 SXM": (66.9e12, 3.35e12), "RTX 4090": (82.6e12, 1.008e12)}

#: Kernels as modules call them: what, floating point operations and elements read or written for each
#: element of the output, with an example's size.
WORK = [
    ("gemm, 4096 x 4096 x 4096", "2 K", 2 * 4096, "(K (M + N) + M N) / (M N)", 3, 4096**2),
    ("gemm of one row, 1 x 4096 x 4096", "2 K", 2 * 4096, "K", 4096 + 2, 4096),
    ("conv2d output, 32 x 64 x 56 x 56, 3 x 3 to 64", "2 C kh kw", 2 * 64 * 9, "C / O + 1, and w once", 2.01,
     32 * 64 * 56 * 56),
    ("conv2d gradInput, the same", "2 O kh kw / stride^2", 2 * 64 * 9, "O / C + 1, and w once", 2.01,
     32 * 64 * 56 * 56),
    ("conv2d gradWeight, the same", "2 N OH OW", 2 * 32 * 56 * 56, "(x + dy) / w", 2 * 32 * 56 * 56 / 576 + 2,
     64 * 64 * 9),
    ("max pooling, 3 x 3, stride 2", "kh kw", 9, "stride^2 + 2", 6, 32 * 64 * 56 * 56),
    ("average pooling's gradient, the same", "2 kh kw / stride^2", 5, "1 + 1 / stride^2", 1.25, 32 * 64 * 112 * 112),
    ("softmax of rows, 4096 x 1000", "5", 5, "4 (three reads, of which two from the cache)", 2, 4096 * 1000),
    ("batch normalisation, training", "22", 22, "4 (three reads)", 4, 32 * 64 * 56 * 56),
    ("batch normalisation, gradient", "20", 20, "5", 5, 32 * 64 * 56 * 56),
    ("layer normalisation, 4096 x 1024", "22", 22, "2 (two more reads from the cache)", 2, 4096 * 1024),
    ("sum_rows, 4096 x 4096 (for each element of x)", "8", 8, "1", 1, 4096**2),
    ("broadcast_add", "1", 1, "2", 2, 32 * 64 * 56 * 56),
]


def label(kernel):
    """How the page and messages call a kernel."""
    return f"{kernel.__module__.removeprefix('nnmod.kernels.cuda.')}.{kernel.__name__.lstrip('_')}"


def floors():
    """The table of work: on each GPU what neither arithmetic nor memory lets a kernel be faster than."""
    yield from (".. list-table::", "   :header-rows: 1", "",
                "   * - kernel, float32", "     - operations an element", "     - elements read and written")
    yield from (f"     - floor, {name}" for name in GPUS)
    for name, flops_text, flops, moved_text, moved, size in WORK:
        yield from (f"   * - {name}", f"     - {flops_text}", f"     - {moved_text}")
        for rate, bandwidth in GPUS.values():
            compute, memory = size * flops / rate, size * moved * 4 / bandwidth
            limit = "arithmetic" if compute > memory else "memory"
            yield f"     - {max(compute, memory) * 1e6:.1f} µs ({limit})"


def text(found):
    """The page, from a list of (name of dtype, kernel, threads, what the assembler said, occupancy)."""
    from cuda_assembly import count

    lines = ["CUDA: what kernels cost on paper", "================================", "",
             "**Never timed on hardware.**  What follows comes from shapes and from the assembler, not from a",
             "clock.", "",
             "What the work takes at least", "----------------------------", "",
             "The floor is the larger of two times: the arithmetic at the GPU's peak, and the memory at its full",
             "bandwidth, with each tensor moved as often as the third column says.  No kernel reaches it.", "",
             *floors(), "",
             "What the assembler says", "-----------------------", "",
             "For compute capability 9.0: registers of a thread, shared memory of a block, the share of a",
             "multiprocessor's threads that can be resident, and instructions in the kernel's text: fused",
             "multiply-adds (a warp's product of 16 x 8 x 8 counts as one: the tiles with tf32 in their names are on",
             "tensor cores), loads from shared memory of 16 bytes, loads from and stores to global memory (those",
             "of 16 bytes among them).  No kernel spills registers.", "",
             ".. list-table::", "   :header-rows: 1", "", "   * - kernel", "     - dtype", "     - registers",
             "     - shared", "     - occupancy", "     - instructions", "     - FMA", "     - LDS.128",
             "     - LDG (128)", "     - STG (128)"]
    for dtype, kernel, said, resident in found:
        kinds = said["instructions"]
        wide = {kind: sum(n for name, n in kinds.items() if name.startswith(kind) and name.endswith("128"))
                for kind in ("LDS", "LDG", "STG")}
        lines += [f"   * - {label(kernel)}", f"     - {dtype}", f"     - {said['registers']}",
                  f"     - {said['shared']}",
                  f"     - {resident:.0%}", f"     - {sum(kinds.values())}", f"     - {count(said, 'FFMA', 'DFMA', 'HMMA')}",
                  f"     - {wide['LDS']}", f"     - {count(said, 'LDG')} ({wide['LDG']})",
                  f"     - {count(said, 'STG')} ({wide['STG']})"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    from cuda_assembly import assembled, kernels_of, occupancy

    seen, rows = set(), []
    for name in ("float32", "float64"):
        for (kernel, types), threads in kernels_of(name, False).items():
            if (kernel, name) not in seen:
                seen.add((kernel, name))
                said = assembled(kernel, types, "sm_90")
                rows.append((name, kernel, said, occupancy(said, threads, "sm_90")))
    PAGE.write_text(text(sorted(rows, key=lambda row: (label(row[1]), row[0]))))
