"""Changing the number of pixels on the device.  Meaning and shapes: kernels/reference/resampling.py.

A thread computes one element of the result, and gathers what it is made of.
"""
from .compile import device, each, per_item, resident, split


def upsample_nearest_update_output(x, y):
    """y <- x with every element repeated.  See the reference."""
    each(_nearest_update_output, y.size, x, y)


def upsample_nearest_update_grad_input(dy, dx):
    """dx <- the sum of dy over all copies of each element.  See the reference."""
    each(_nearest_update_grad_input, dx.size, dy, dx)


def linear_positions(lows, weights, size, out):
    """lows, weights <- where each position of the output lies in the input.  See the reference."""
    begin = 0
    for n, o in zip(size, out):
        each(_positions, o, lows, weights, begin, n, max(o - 1, 1))
        begin += o


def upsample_linear_update_output(x, lows, weights, y, work):
    """y <- x, interpolated linearly along each side.  See the reference; *work* is the CPU's."""
    each(_linear_update_output, y.size, x, lows, weights, y)


def upsample_linear_update_grad_input(dy, lows, weights, dx, work):
    """dx <- each dy, shared out by the weights of its interpolation.  See the reference; *work* is the CPU's."""
    each(_linear_update_grad_input, dx.size, dy, lows, weights, dx)


def pixel_shuffle_update_output(x, y):
    """y <- x, where channels become pixels between pixels.  See the reference."""
    each(_shuffle, y.size, x, y)


def pixel_shuffle_update_grad_input(dy, dx):
    """dx <- dy, each pixel back in its channel.  See the reference."""
    each(_unshuffle, dx.size, dy, dx)


@device
def _place(i, x):
    """The plane, depth, row and column of element i of x."""
    i, w = split(i, x.shape[3])
    i, h = split(i, x.shape[2])
    p, d = split(i, x.shape[1])
    return p, d, h, w


@per_item
def _nearest_update_output(i, x, y):
    p, d, h, w = _place(i, y)
    y[p, d, h, w] = x[p, d // (y.shape[1] // x.shape[1]), h // (y.shape[2] // x.shape[2]),
                      w // (y.shape[3] // x.shape[3])]


@resident(3)
@per_item
def _nearest_update_grad_input(i, dy, dx):
    p, d, h, w = _place(i, dx)
    deep, high = dy.shape[1] // dx.shape[1], dy.shape[2] // dx.shape[2]
    wide = dy.shape[3] // dx.shape[3]
    total = dx.dtype.type(0)
    for a in range(d * deep, (d + 1) * deep):
        for b in range(h * high, (h + 1) * high):
            for c in range(w * wide, (w + 1) * wide):
                total += dy[p, a, b, c]
    dx[p, d, h, w] = total


@per_item
def _positions(i, lows, weights, begin, n, step):
    # Whole numbers until the last division, so that corners are exact.
    far = i * (n - 1)
    low = far // step
    lows[begin + i] = low
    weights[begin + i] = weights.dtype.type(far - low * step) / weights.dtype.type(step)


@device
def _mix(a, b, t):
    return (type(t)(1) - t) * a + t * b


@per_item
def _linear_update_output(i, x, lows, weights, y):
    p, d, h, w = _place(i, y)
    D, H, W = x.shape[1:]
    at_h, at_w = y.shape[1] + h, y.shape[1] + y.shape[2] + w
    d0, h0, w0 = lows[d], lows[at_h], lows[at_w]
    d1, h1, w1 = min(d0 + 1, D - 1), min(h0 + 1, H - 1), min(w0 + 1, W - 1)
    u, v = weights[at_h], weights[at_w]
    value = _mix(_mix(x[p, d0, h0, w0], x[p, d0, h1, w0], u), _mix(x[p, d0, h0, w1], x[p, d0, h1, w1], u), v)
    if d1 > d0:
        far = _mix(_mix(x[p, d1, h0, w0], x[p, d1, h1, w0], u), _mix(x[p, d1, h0, w1], x[p, d1, h1, w1], u), v)
        value = _mix(value, far, weights[d])
    y[p, d, h, w] = value


@device
def _first_beside(place, n, out):
    """The first of *out* positions that may lie between place - 1 and place + 1 of n elements."""
    # The least i with i (n - 1) // step >= place - 1.  The compiler may divide ahead of an if, so never by 0.
    first = ((place - 1) * max(out - 1, 1) + n - 2) // max(n - 1, 1)
    return 0 if n == 1 or place < 2 else first


@device
def _share(place, n, low, weight):
    """What of a position, between *low* and the next of n elements, is given to *place*."""
    one = type(weight)(1)
    share = one - weight if low == place else type(weight)(0)
    return share + weight if min(low + 1, n - 1) == place else share


@per_item
def _linear_update_grad_input(i, dy, lows, weights, dx):
    p, d, h, w = _place(i, dx)
    D, H, W = dx.shape[1:]
    OD, OH, OW = dy.shape[1:]
    total = dx.dtype.type(0)
    a = _first_beside(d, D, OD)
    while a < OD and lows[a] <= d:
        deep = _share(d, D, lows[a], weights[a])
        b = _first_beside(h, H, OH)
        while b < OH and lows[OD + b] <= h:
            high = deep * _share(h, H, lows[OD + b], weights[OD + b])
            c = _first_beside(w, W, OW)
            while c < OW and lows[OD + OH + c] <= w:
                total += high * _share(w, W, lows[OD + OH + c], weights[OD + OH + c]) * dy[p, a, b, c]
                c += 1
            b += 1
        a += 1
    dx[p, d, h, w] = total


@per_item
def _shuffle(i, x, y):
    n, c, h, w = _place(i, y)
    r = y.shape[2] // x.shape[2]
    y[n, c, h, w] = x[n, (c * r + h % r) * r + w % r, h // r, w // r]


@per_item
def _unshuffle(i, dy, dx):
    n, c, h, w = _place(i, dx)
    r = dy.shape[2] // dx.shape[2]
    dx[n, c, h, w] = dy[n, c // (r * r), h * r + c // r % r, w * r + c % r]
