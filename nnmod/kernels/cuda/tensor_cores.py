"""Products on tensor cores: whether they are asked for, and the instructions of PTX that use them.

A tensor core multiplies numbers of the format tf32: float32 with 10 bits behind the point
instead of 23.  Each factor is rounded to it (to the nearest, relative error 2**-11 at most), so a
product is off by 2**-10 of its size at most; products are exact then, and are added in float32.
"""
import os

from llvmlite import ir
from numba.cuda import types

from .target import cuda
from .vectors import intrinsic

_UNREAD = object()
_kind = _UNREAD


def set_tensor_cores(kind):
    """Let products use tensor cores ("tf32"), or not (None).  See nnmod.kernels.settensorcores."""
    global _kind
    _kind = _possible("kind", kind)


def get_tensor_cores():
    """"tf32" where products use tensor cores, or None."""
    global _kind
    if _kind is _UNREAD:
        _kind = _possible("NNMOD_TENSOR_CORES", os.environ.get("NNMOD_TENSOR_CORES") or None)
    return _kind


def _possible(name, kind):
    """*kind*, where there is such a thing and the GPU has it."""
    if kind not in (None, "tf32"):
        raise ValueError(f"{name} must be 'tf32', or None for plain float32, got {kind!r}")
    if kind and os.environ.get("NNMOD_CUDA") != "emulate" and cuda.is_available():
        capability = cuda.get_current_device().compute_capability
        if capability < (8, 0):
            raise ValueError("tensor cores multiply tf32 from compute capability 8.0 on, this GPU has "
                             f"{'.'.join(map(str, capability))}: leave them off")
    return kind


@intrinsic
def tf32(typingctx, x):
    """x, rounded to tf32: to the nearest, ties away from 0; NaN stays NaN."""
    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(ir.IntType(32), [ir.FloatType()])
        bits = builder.asm(kind, "cvt.rna.tf32.f32 $0, $1;", "=r,f", args, False)
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.float32), codegen


def multiply_add(builder, a, b, c):
    """LLVM's code for a (16, 8) b (8, 8) + c (16, 8) of a warp, all 32 threads of which must come.

    Of thread t, with g = t // 4 and s = t % 4:
    a  4 numbers of tf32: (g, s), (g + 8, s), (g, s + 4), (g + 8, s + 4)
    b  2 numbers of tf32: (s, g), (s + 4, g)
    c  4 numbers of float32: (g, 2 s), (g, 2 s + 1), (g + 8, 2 s), (g + 8, 2 s + 1)
    Returns the 4 numbers of the result, as c.  Source: PTX ISA, "Matrix Fragments for mma.m16n8k8".
    """
    number, bits = ir.FloatType(), ir.IntType(32)
    factors = [builder.bitcast(x, bits) for x in (*a, *b)]
    asm = ir.InlineAsm(
        ir.FunctionType(ir.LiteralStructType([number] * 4), [bits] * 6 + [number] * 4),
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, "
        "{$10, $11, $12, $13};", "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f", side_effect=True)
    # Convergent: no copy of it may come into a branch that only some threads of the warp take.
    result = builder.call(asm, [*factors, *c], attrs=["convergent"])
    return [builder.extract_value(result, i) for i in range(4)]
