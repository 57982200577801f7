"""Changing the number of pixels on the CPU.  Meaning and shapes: kernels/reference/resampling.py.

Threads take planes, which are independent of each other.
"""
from . import threads
from .compile import inline, jit


def upsample_nearest_update_output(x, y):
    """y <- x with every element repeated.  See the reference."""
    _run(_nearest_update_output, y, x, y)


def upsample_nearest_update_grad_input(dy, dx):
    """dx <- the sum of dy over all copies of each element.  See the reference."""
    _run(_nearest_update_grad_input, dy, dy, dx)


def linear_positions(lows, weights, size, out):
    """lows, weights <- where each position of the output lies in the input.  See the reference."""
    _positions(lows, weights, size, out)


def upsample_linear_update_output(x, lows, weights, y, work):
    """y <- x, interpolated linearly along each side.  See the reference."""
    _run(_linear_update_output, y, x, lows, weights, y, work)


def upsample_linear_update_grad_input(dy, lows, weights, dx, work):
    """dx <- each dy, shared out by the weights of its interpolation.  See the reference."""
    _run(_linear_update_grad_input, dy, dy, lows, weights, dx, work)


def pixel_shuffle_update_output(x, y):
    """y <- x, where channels become pixels between pixels.  See the reference."""
    _run(_shuffle, y, x, y)


def pixel_shuffle_update_grad_input(dy, dx):
    """dx <- dy, each pixel back in its channel.  See the reference."""
    _run(_unshuffle, dy, dy, dx)


def _run(kernel, large, *args):
    """Run *kernel* over the planes of *large*, which is read or written once."""
    steps = large[0].size if len(large) else 1
    threads.run(kernel, len(large), threads.grain(steps, threads.ELEMENTS_PER_THREAD), *args)


# -- nearest ------------------------------------------------------------------------------------

@jit
def _nearest_update_output(start, stop, x, y):
    D, H, W = x.shape[1:]
    times = y.shape[3] // W
    deep, high = y.shape[1] // D, y.shape[2] // H
    for plane in range(start, stop):
        for d in range(D):
            for h in range(H):
                first = y[plane, d * deep, h * high]
                _repeat(x[plane, d, h], first, times)
                for a in range(deep):
                    for b in range(high):
                        if a + b:
                            _collect(first, y[plane, d * deep + a, h * high + b], 1)


@inline
def _repeat(row, to, times):
    """Each element of *row*, *times* times."""
    if times == 2:
        for w in range(row.size):
            to[2 * w] = row[w]
            to[2 * w + 1] = row[w]
    else:
        for w in range(row.size):
            for j in range(times):
                to[times * w + j] = row[w]


@jit
def _nearest_update_grad_input(start, stop, dy, dx):
    D, H, W = dx.shape[1:]
    times = dy.shape[3] // W
    deep, high = dy.shape[1] // D, dy.shape[2] // H
    for plane in range(start, stop):
        for d in range(D):
            for h in range(H):
                to = dx[plane, d, h]
                to[:] = 0
                for a in range(deep):
                    for b in range(high):
                        _sum_copies(dy[plane, d * deep + a, h * high + b], to, times)


@inline
def _sum_copies(row, to, times):
    """to += the sum of each element's copies."""
    if times == 2:
        for w in range(to.size):
            to[w] += row[2 * w] + row[2 * w + 1]
    else:
        for j in range(times):
            copies = row[j:]
            for w in range(to.size):
                to[w] += copies[times * w]


# -- linear -------------------------------------------------------------------------------------

@jit
def _positions(lows, weights, size, out):
    begin = 0
    for side in range(3):
        n, o = size[side], out[side]
        step = max(o - 1, 1)
        for i in range(o):
            low = i * (n - 1) // step
            lows[begin + i] = low
            weights[begin + i] = (i * (n - 1) - low * step) / step
        begin += o


@jit
def _linear_update_output(start, stop, x, lows, weights, y, work):
    D, H, W = x.shape[1:]
    OD, OH, OW = y.shape[1:]
    for plane in range(start, stop):
        row = work[plane]
        low, weight = lows[OD + OH:], weights[OD + OH:]
        for d in range(OD):
            d0, d1, v = _between(lows[d], weights[d], D)
            for h in range(OH):
                h0, h1, u = _between(lows[OD + h], weights[OD + h], H)
                near, far = x[plane, d0, h0], x[plane, d0, h1]
                for w in range(W):
                    row[w] = _mix(near[w], far[w], u)
                if d1 > d0:
                    near, far = x[plane, d1, h0], x[plane, d1, h1]
                    for w in range(W):
                        row[w] = _mix(row[w], _mix(near[w], far[w], u), v)
                to = y[plane, d, h]
                for w in range(OW):
                    first = low[w]
                    to[w] = _mix(row[first], row[min(first + 1, W - 1)], weight[w])


@inline
def _between(low, weight, size):
    """The two elements that a position lies between, and its distance from the first."""
    return low, min(low + 1, size - 1), weight


@inline
def _mix(a, b, t):
    return (type(t)(1) - t) * a + t * b


@jit
def _linear_update_grad_input(start, stop, dy, lows, weights, dx, work):
    D, H, W = dx.shape[1:]
    OD, OH, OW = dy.shape[1:]
    one = dy.dtype.type(1)
    for plane in range(start, stop):
        row = work[plane]
        low, weight = lows[OD + OH:], weights[OD + OH:]
        dx[plane] = 0
        for d in range(OD):
            d0, d1, v = _between(lows[d], weights[d], D)
            for h in range(OH):
                h0, h1, u = _between(lows[OD + h], weights[OD + h], H)
                source = dy[plane, d, h]
                # Positions stand in order: those between w and w + 1 are one run, and
                # their sums stay in registers.
                at, carry = 0, dy.dtype.type(0)
                for w in range(W):
                    near, far = carry, dy.dtype.type(0)
                    while at < OW and low[at] == w:
                        far += weight[at] * source[at]
                        near += (one - weight[at]) * source[at]
                        at += 1
                    row[w] = near
                    carry = far
                row[W - 1] += carry  # beyond the last element lies the last element
                _add_scaled(row, (one - v) * (one - u), dx[plane, d0, h0])
                _add_scaled(row, (one - v) * u, dx[plane, d0, h1])
                if OD > 1 or D > 1:
                    _add_scaled(row, v * (one - u), dx[plane, d1, h0])
                    _add_scaled(row, v * u, dx[plane, d1, h1])


@inline
def _add_scaled(row, factor, to):
    for w in range(row.size):
        to[w] += factor * row[w]


# -- pixel shuffle ---------------------------------------------------------------------------------

@jit
def _shuffle(start, stop, x, y):
    C, H, W = y.shape[1:]
    h, w = x.shape[2:]
    if h * w:
        r = H // h
        for n in range(start, stop):
            for c in range(C):
                for row in range(H):
                    to = y[n, c, row]
                    for j in range(r):
                        source = x[n, (c * r + row % r) * r + j, row // r]
                        _spread(source, to[j:], r)


@inline
def _spread(source, to, r):
    for t in range(source.size):
        to[r * t] = source[t]


@jit
def _unshuffle(start, stop, dy, dx):
    C, H, W = dy.shape[1:]
    h, w = dx.shape[2:]
    if h * w:
        r = H // h
        for n in range(start, stop):
            for c in range(C):
                for row in range(H):
                    source = dy[n, c, row]
                    for j in range(r):
                        _collect(source[j:], dx[n, (c * r + row % r) * r + j, row // r], r)


@inline
def _collect(source, to, r):
    for t in range(to.size):
        to[t] = source[r * t]
