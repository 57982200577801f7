"""Elements taken by number or by mask, on the device.  Meaning and shapes: kernels/reference/indexing.py.

Where a mask decides, three launches follow each other: blocks count what they will take, one
block adds up the counts, and then every thread knows where its element goes.
"""
import numpy as np

from .chains import chains
from .compile import THREADS, device, each, per_item, split
from .launch import blocks, launch, scratch
from .target import cuda

_WARPS = THREADS // 32


def index_axis(x, index, y):
    """y[a, j, b] <- x[a, index[j], b].  See the reference."""
    each(_index, y.size, x, index, y)


def index_axis_update_grad_input(dy, index, dx):
    """dx[a, i, b] <- the sum of dy[a, j, b] over every j with index[j] = i.  See the reference."""
    each(_zero, dx.size, dx.reshape(dx.size))
    each(_index_grad, dy.size, dy, index, *chains(index), dx)


def masked_select(x, mask, y):
    """y <- the elements of x where mask is not 0, in order.  See the reference."""
    if mask.size:
        launch(_select, blocks(mask.size, THREADS), THREADS, x, mask, _begins(mask), y)


def masked_select_update_grad_input(dy, mask, dx):
    """dx <- dy, one after the other, where mask is not 0, and 0 elsewhere.  See the reference."""
    if mask.size:
        launch(_select_grad, blocks(mask.size, THREADS), THREADS, dy, mask, _begins(mask), dx)


def one_hot(index, y):
    """y[i, index[i]] <- 1, and 0 elsewhere.  See the reference."""
    each(_one_hot, y.size, index, y)


def _begins(mask):
    """For each block of THREADS elements of the mask: how many are taken before it."""
    begins = scratch(mask, (blocks(mask.size, THREADS),), np.int64)
    launch(_count, begins.size, THREADS, mask, begins)
    launch(_add_before, 1, THREADS, begins)
    return begins


@per_item
def _zero(i, x):
    x[i] = 0


@per_item
def _index(i, x, index, y):
    i, b = split(i, y.shape[2])
    a, j = split(i, y.shape[1])
    y[a, j, b] = x[a, index[j], b]


@per_item
def _index_grad(i, dy, index, heads, following, dx):
    i, b = split(i, dy.shape[2])
    a, j = split(i, dy.shape[1])
    if heads[j]:
        place, total = index[j], dx.dtype.type(0)
        while j >= 0:
            total += dy[a, j, b]
            j = np.int64(following[j])
        dx[a, place, b] = total


@per_item
def _one_hot(i, index, y):
    n, c = split(i, y.shape[1])
    y[n, c] = 1 if index[n] == c else 0


@device
def _taken(mask):
    """This thread's element of the mask, by number, and whether it is taken."""
    i = cuda.grid(1)
    return i, i < mask.size and mask[min(i, mask.size - 1)] != 0


def _count(mask, counts):
    i, taken = _taken(mask)
    total = cuda.syncthreads_count(np.int32(taken))
    if cuda.threadIdx.x == 0:
        counts[cuda.blockIdx.x] = total


def _add_before(counts):
    """counts <- the sum of all counts before each.  Launched with one block."""
    sums = cuda.shared.array(THREADS, np.int64)
    thread = cuda.threadIdx.x
    size = (counts.size + THREADS - 1) // THREADS
    first, last = min(thread * size, counts.size), min((thread + 1) * size, counts.size)
    total = 0
    for k in range(first, last):
        total += counts[k]
    sums[thread] = total
    cuda.syncthreads()
    before = 0
    for other in range(thread):
        before += sums[other]
    for k in range(first, last):
        count = counts[k]
        counts[k] = before
        before += count


@device
def _rank(taken):
    """How many threads of the block before this one take their element."""
    counts = cuda.shared.array(_WARPS, np.int32)
    thread = cuda.threadIdx.x
    lanes = cuda.ballot_sync(0xFFFFFFFF, taken)
    if thread % 32 == 0:
        counts[thread // 32] = cuda.popc(lanes)
    cuda.syncthreads()
    rank = np.int64(cuda.popc(np.uint32(lanes) & np.uint32((1 << (thread % 32)) - 1)))
    for warp in range(thread // 32):
        rank += counts[warp]
    return rank


def _select(x, mask, begins, y):
    i, taken = _taken(mask)
    at = begins[cuda.blockIdx.x] + _rank(taken)
    if taken and at < y.size:
        y[at] = x[i]


def _select_grad(dy, mask, begins, dx):
    i, taken = _taken(mask)
    at = begins[cuda.blockIdx.x] + _rank(taken)
    if i < dx.size:
        dx[i] = dy[min(at, dy.size - 1)] if taken and dy.size > 0 else dx.dtype.type(0)
