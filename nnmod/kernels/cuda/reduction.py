"""Sums and extremes over one dimension on the GPU.  Meaning and shapes: kernels/reference/reduction.py."""
import numpy as np

from .compile import device, each, each_warp, number, per_item, per_warp, split
from .sums import element, plus, put_sums, rounded, sum_channels_by
from .target import cuda

_FULL = 0xFFFFFFFF


def sum_axis(x, y, work, scale=1.0):
    """y[a, b] <- scale times the sum over i of x[a, i, b].  See the reference; *work* is not needed."""
    A, n, B = x.shape
    flat = x.reshape(-1)
    if x.size and (A == 1 or B == 1):  # few sums, maybe long ones: blocks take parts of them
        N, C, S = (1, A, n) if B == 1 else (n, B, 1)
        put_sums(sum_channels_by(element, N, C, S, x, flat, flat, flat, flat), y, scale, False)
    else:
        each(_sum, y.size, flat, y.reshape(-1), n, B, number(scale, y))


def expand_axis(x, y, scale=1.0):
    """y[a, i, b] <- scale times x[a, b].  See the reference."""
    A, n, B = y.shape
    each(_expand, y.size, x.reshape(-1), y.reshape(-1), n, B, number(scale, y))


def extreme_axis(x, y, where, largest=True):
    """y <- the largest or smallest of x along axis 1, where <- its place.  See the reference."""
    A, n, B = x.shape
    args = x.reshape(-1), y.reshape(-1), where.reshape(-1), n, bool(largest)
    if B == 1:
        each_warp(_extreme_of_row, A, *args)
    else:
        each(_extreme, y.size, *args, B)


def extreme_axis_update_grad_input(dy, where, dx):
    """dx <- dy at the places *where*, and 0 elsewhere.  See the reference."""
    A, n, B = dx.shape
    each(_choose, dx.size, dy.reshape(-1), where.reshape(-1), dx.reshape(-1), n, B)


@per_item
def _sum(i, x, y, n, B, scale):
    a, b = split(i, B)
    total, lost = y.dtype.type(0), y.dtype.type(0)
    for k in range(n):
        total, lost = plus(total, lost, x[np.uint64((np.int64(a) * n + k) * B + b)])
    y[i] = scale * rounded(total, lost)


@per_item
def _expand(i, x, y, n, B, scale):
    row, b = split(i, B)
    a, _ = split(row, n)
    y[i] = scale * x[np.uint64(np.int64(a) * B + b)]


@device
def _better(v, best, largest):
    """Whether v comes before *best*; NaN comes before every number."""
    return (v > best if largest else v < best) or (v != v and best == best)


@per_item
def _extreme(i, x, y, where, n, largest, B):
    a, b = split(i, B)
    start = np.int64(a) * n * B + b
    best, place = x[np.uint64(start)], 0
    for k in range(1, n):
        v = x[np.uint64(start + k * B)]
        if _better(v, best, largest):
            best, place = v, k
    y[i] = best
    where[i] = np.int32(place)


@per_warp
def _extreme_of_row(i, lane, x, y, where, n, largest):
    start = np.int64(i) * n
    place = np.int64(min(lane, n - 1))
    best = x[np.uint64(start + place)]
    for k in range(lane + 32, n, 32):
        v = x[np.uint64(start + k)]
        if _better(v, best, largest):
            best, place = v, np.int64(k)
    for step in (16, 8, 4, 2, 1):
        v = cuda.shfl_xor_sync(_FULL, best, step)
        other = cuda.shfl_xor_sync(_FULL, place, step)
        if _better(v, best, largest) or (not _better(best, v, largest) and other < place):
            best, place = v, other
    if lane == 0:
        y[i] = best
        where[i] = np.int32(place)


@per_item
def _choose(i, dy, where, dx, n, B):
    row, b = split(i, B)
    a, k = split(row, n)
    at = np.uint64(np.int64(a) * B + b)
    dx[i] = dy[at] if np.int64(where[at]) == k else dx.dtype.type(0)
