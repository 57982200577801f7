"""Turn a scalar formula into a CUDA kernel over whole tensors, and into a sum.

The formulas are the CPU's, compiled for the device with the compiler's own elementary functions.
"""
import inspect

import numpy as np

from .compile import THREADS, build, device, each, number, on_device
from .launch import blocks, launch, scratch
from .target import cuda
from .vectors import aligned, load4, store4

#: Elements that one block adds up, as long as there are no more blocks than _MOST_PARTS.
_BLOCK = 4096
_MOST_PARTS = 1024
#: From so many elements on a thread takes four: with fewer there would be too few threads.
_LARGE = 1 << 16


def elementwise(formula, reads, writes=1):
    """``kernel(*inputs, *outputs, *numbers)``: the formula at every element.

    A thread takes one element, of large tensors four.  An output may be one of the inputs: the
    thread that writes an element has read it before.
    """
    count = reads + writes
    one, four = _loop(formula, reads, writes), _loop_of_four(formula, reads, writes)

    def run(*args):
        tensors = [tensor.reshape(tensor.size) for tensor in args[:count]]
        size = tensors[0].size
        # Numbers take the tensors' dtype once, here.
        numbers = [number(value, tensors[0]) for value in args[count:]]
        if size < _LARGE:
            each(one, size, *tensors, *numbers)
        else:
            each(four, blocks(size, 4), *tensors, *numbers)

    return run


def elementwise_sum(formula, reads):
    """``kernel(*inputs, out, *numbers)``: out[0] <- the sum of the formula over all elements.

    out  (1,)  [out] float64.  Each block adds up its elements in float64, and one block the
    blocks' sums; the order depends on the size alone.
    """
    kernel = _sum(formula, reads)

    def run(*args):
        tensors = [tensor.reshape(tensor.size) for tensor in args[:reads]]
        numbers = [number(value, tensors[0]) for value in args[reads + 1:]]
        size, out = tensors[0].size, args[reads]
        parts = parts_of(size)
        sums = out if parts == 1 else scratch(tensors[0], (parts,), np.float64)
        launch(kernel, parts, THREADS, *tensors, sums, *numbers)
        if parts > 1:
            launch(add_parts, 1, THREADS, sums, out)

    return run


def parts_of(size):
    """In how many parts, each a block's, a sum over *size* elements is taken."""
    return min(_MOST_PARTS, max(1, blocks(size, _BLOCK)))


def _arguments(formula, reads, writes):
    tensors = [f"t{k}" for k in range(reads + writes)]
    numbers = [f"n{k}" for k in range(len(inspect.signature(formula).parameters) - reads)]
    return tensors, numbers


def _loop(formula, reads, writes):
    tensors, numbers = _arguments(formula, reads, writes)
    call = ", ".join([f"{tensor}[i]" for tensor in tensors[:reads]] + numbers)
    return build("\n".join([
        f"def kernel(count, {', '.join(tensors + numbers)}):",
        "    i = cuda.grid(1)",
        "    if i < count:",
        f"        {', '.join(f'{tensor}[i]' for tensor in tensors[reads:])} = formula({call})",
    ]), formula, {"formula": on_device(formula)})


def _loop_of_four(formula, reads, writes):
    """As _loop for four elements a thread, which are loaded and stored at once where all tensors are aligned."""
    tensors, numbers = _arguments(formula, reads, writes)
    call = lambda lane: ", ".join([f"v{k}[{lane}]" for k in range(reads)] + numbers)  # noqa: E731
    each_lane = ", ".join(f"formula({call(lane)})" for lane in range(4))
    write = tensors[reads:]
    return build("\n".join([
        f"def kernel(items, {', '.join(tensors + numbers)}):",
        "    i = cuda.grid(1)",
        "    if i < items:",
        "        first = 4 * np.int64(i)",
        f"        if first + 4 <= t0.size and {' and '.join(f'aligned({tensor})' for tensor in tensors)}:",
        *(f"            v{k} = load4({tensor}, first)" for k, tensor in enumerate(tensors[:reads])),
        f"            r = ({each_lane})",
        *(f"            store4({tensor}, first, {', '.join(f'r[{lane}]{part}' for lane in range(4))})"
          for tensor, part in zip(write, [""] if writes == 1 else [f"[{k}]" for k in range(writes)])),
        "        else:",
        "            for at in range(first, min(first + 4, t0.size)):",
        f"                {', '.join(f'{tensor}[at]' for tensor in write)} = formula("
        f"{', '.join([f'{tensor}[at]' for tensor in tensors[:reads]] + numbers)})",
    ]), formula, {"formula": on_device(formula), "aligned": aligned, "load4": load4, "store4": store4})


def _sum(formula, reads):
    tensors, numbers = _arguments(formula, reads, 0)
    call = ", ".join([f"{tensor}[i]" for tensor in tensors] + numbers)
    kernel = build("\n".join([
        f"def kernel({', '.join([*tensors, 'parts', *numbers])}):",
        "    total = 0.0",
        "    for i in range(cuda.grid(1), t0.size, cuda.gridsize(1)):",
        f"        total += formula({call})",
        "    add_up(total, parts)",
    ]), formula, {"formula": on_device(formula), "add_up": add_up})
    kernel.wide = "a sum over a whole tensor is taken in float64"
    return kernel


@device
def add_up(total, parts):
    """parts[block] <- the sum of *total* over the threads of a block, of which there are THREADS."""
    sums = cuda.shared.array(THREADS, np.float64)
    thread = cuda.threadIdx.x
    cuda.syncthreads()  # of a sum before this one
    sums[thread] = total
    step = THREADS // 2
    while step > 0:
        cuda.syncthreads()
        if thread < step:
            sums[thread] += sums[thread + step]
        step //= 2
    if thread == 0:
        parts[cuda.blockIdx.x] = sums[0]


def add_parts(parts, out):
    """out[0] <- the sum of parts.  Launched with one block of THREADS threads."""
    total = 0.0
    for i in range(cuda.threadIdx.x, parts.size, THREADS):
        total += parts[i]
    add_up(total, out)


add_parts.wide = "a sum over a whole tensor is taken in float64"
