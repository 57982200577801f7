"""Fused multiply-adds on registers alone: what the processor can do at most."""
import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from nnmod.kernels.cpu.simd import VECTOR_BYTES, Emitter, address

CHAINS = 12  # sums that do not wait for each other: latency times units, and some
FLOPS_A_TURN = 2 * CHAINS * VECTOR_BYTES // 4


@intrinsic
def _chains(typingctx, number, count, out):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, number)
        number_, count_, out_ = e.values(args)
        x = e.broadcast(number_)
        (sums,) = e.loop(count_, lambda sums: ([e.fma(x, x, total) for total in sums],), [e.zero()] * CHAINS)
        e.put(e.sum(sum(sums[1:], sums[0])), out_)
        return context.get_dummy_value()

    return types.void(number, types.intp, types.intp), codegen


@njit(nogil=True)
def _run(number, count, out):
    _chains(number, count, address(out))


def run(turns):
    """FLOPS_A_TURN float32 operations, *turns* times; other Python threads run meanwhile."""
    _run(np.float32(0.5), turns, np.empty(1, np.float32))
