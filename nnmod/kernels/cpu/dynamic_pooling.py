"""Pooling that follows the size of the input, on the CPU.  Meaning: kernels/reference/dynamic_pooling.py.

Threads take planes (sequences, for the k greatest), which are independent of each other.
"""
from . import threads
from .compile import inline, jit
from .pooling import window_max
from .views import flat
from .window_sum import window_add, window_sum


def max_regions_update_output(x, starts, stops, y, argmax):
    """y <- the maximum of x over each region, argmax <- where it was.  See the reference."""
    _run(_max_update_output, x, y, x, starts, stops, y, argmax)


def mean_regions_update_output(x, starts, stops, y):
    """y <- the mean of x over each region.  See the reference."""
    _run(_mean_update_output, x, y, x, starts, stops, y)


def mean_regions_update_grad_input(dy, starts, stops, dx):
    """dx <- each dy, shared out over the elements of its region.  See the reference."""
    _run(_mean_update_grad_input, dx, dy, dy, starts, stops, dx)


def fractional_regions(samples, starts, stops, size, out, pool):
    """starts, stops <- regions at steps that vary.  See the reference."""
    _fractional_regions(samples, starts, stops, size, out, pool)


def k_max_pool_update_output(x, y, argmax, work):
    """y <- the k greatest elements of each column, in their order.  See the reference."""
    threads.run(_k_max_update_output, len(x), threads.grain(4 * x[0].size if len(x) else 1,
                threads.ELEMENTS_PER_THREAD), x, y, argmax, work)


def _run(kernel, x, y, *args):
    """Run *kernel* over planes; a region costs about as much as it and its neighbours overlap."""
    steps = x[0].size + 4 * y[0].size if len(x) else 1
    threads.run(kernel, len(x), threads.grain(steps, threads.ELEMENTS_PER_THREAD), *args)


@jit
def _max_update_output(start, stop, x, starts, stops, y, argmax):
    D, H, W = x.shape[1:]
    OD, OH, OW = y.shape[1:]
    xs, ys, places = flat(x), flat(y), flat(argmax)
    for plane in range(start, stop):
        row = plane if len(starts) > 1 else 0
        for d in range(OD):
            for h in range(OH):
                front, depth = starts[row, d], stops[row, d] - starts[row, d]
                top, height = starts[row, OD + h], stops[row, OD + h] - starts[row, OD + h]
                for w in range(OW):
                    left, width = starts[row, OD + OH + w], stops[row, OD + OH + w] - starts[row, OD + OH + w]
                    to = ((plane * OD + d) * OH + h) * OW + w
                    ys[to], places[to] = window_max(xs, plane * D * H * W, (front * H + top) * W + left,
                                                    depth, height, width, H * W, W, 1)


@jit
def _mean_update_output(start, stop, x, starts, stops, y):
    D, H, W = x.shape[1:]
    OD, OH, OW = y.shape[1:]
    xs, ys = flat(x), flat(y)
    for plane in range(start, stop):
        row = plane if len(starts) > 1 else 0
        for d in range(OD):
            for h in range(OH):
                front, back = starts[row, d], stops[row, d]
                top, bottom = starts[row, OD + h], stops[row, OD + h]
                for w in range(OW):
                    left, right = starts[row, OD + OH + w], stops[row, OD + OH + w]
                    total = window_sum(xs, ((plane * D + front) * H + top) * W + left,
                                       back - front, bottom - top, right - left, H * W, W)
                    size = (back - front) * (bottom - top) * (right - left)
                    ys[((plane * OD + d) * OH + h) * OW + w] = total / x.dtype.type(size)


@jit
def _mean_update_grad_input(start, stop, dy, starts, stops, dx):
    D, H, W = dx.shape[1:]
    OD, OH, OW = dy.shape[1:]
    dxs, dys = flat(dx), flat(dy)
    for plane in range(start, stop):
        row = plane if len(starts) > 1 else 0
        dx[plane] = 0
        for d in range(OD):
            for h in range(OH):
                front, back = starts[row, d], stops[row, d]
                top, bottom = starts[row, OD + h], stops[row, OD + h]
                for w in range(OW):
                    left, right = starts[row, OD + OH + w], stops[row, OD + OH + w]
                    size = (back - front) * (bottom - top) * (right - left)
                    share = dys[((plane * OD + d) * OH + h) * OW + w] / dy.dtype.type(size)
                    window_add(share, dxs, ((plane * D + front) * H + top) * W + left,
                               back - front, bottom - top, right - left, H * W, W)


@jit
def _fractional_regions(samples, starts, stops, size, out, pool):
    for plane in range(len(samples)):
        begin = 0
        for side in range(3):
            n, o, k = size[side], out[side], pool[side]
            u, a = 0.0, 0.0
            if o > 1:
                u, a = samples[plane, 2 - side], (n - k) / (o - 1)
            for i in range(o):
                first = int((i + u) * a) - int(u * a) if i < o - 1 else n - k
                starts[plane, begin + i] = first
                stops[plane, begin + i] = first + k
            begin += o


# -- the k greatest -----------------------------------------------------------------------------

@inline
def _less(a, b):
    """a < b, where NaN is greater than every number."""
    return (a < b) | ((a == a) & (b != b))


@inline
def _sink(heap, place, size):
    """Restore the order below *place* in a heap whose first element is the least."""
    value = heap[place]
    while True:
        child = 2 * place + 1
        if child >= size:
            break
        if child + 1 < size and _less(heap[child + 1], heap[child]):
            child += 1
        if not _less(heap[child], value):
            break
        heap[place] = heap[child]
        place = child
    heap[place] = value


@jit
def _k_max_update_output(start, stop, x, y, argmax, work):
    T, F = x.shape[1:]
    k = y.shape[1]
    for n in range(start, stop):
        heap = work[n]  # the k greatest so far, the least of them first
        for f in range(F):
            for t in range(k):
                heap[t] = x[n, t, f]
            for t in range(k // 2):
                _sink(heap, k // 2 - 1 - t, k)
            for t in range(T - k):
                value = x[n, k + t, f]
                if _less(heap[0], value):
                    heap[0] = value
                    _sink(heap, 0, k)
            # Everything above the least of them is in, and of its equals the first ones.
            least, equals = heap[0], 0
            for t in range(k):
                equals += 0 if _less(least, heap[t]) else 1
            to = 0
            for t in range(T):
                value = x[n, t, f]
                taken = _less(least, value)
                if not taken and equals > 0 and not _less(value, least):
                    equals -= 1
                    taken = True
                if taken:
                    y[n, to, f] = value
                    argmax[n, to, f] = t * F + f
                    to += 1
