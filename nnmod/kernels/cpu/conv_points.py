"""Convolution with kernels of one element: method "1x1".

Every pixel is a vector of channels, and the convolution a matrix product: y (O, P) = w (O, C)
x (C, P), on the tensors where they lie; conv_columns.py has the first two verbs.  With a
stride, the pixels that are seen are first brought together in scratch memory.

Threads take samples, or of few samples rows of the product, or rows or columns of the gradient
of the weight; the product itself does not depend on how it is cut.
"""
from . import conv_columns, threads
from .compile import call, inline, jit, native
from .conv_frame import SLACK, aligned, geometry, numbers, rounded, sum_planes
from .epilogue import finish, no_end
from .gemm import COLUMN_STEP, ROW_STEP, multiply
from .simd import VECTOR_BYTES, address, get, lanes, put


def _division(g):
    """How many parts, and bytes of scratch to a part."""
    parts = max(1, min(threads.get_num_threads(), g.N * g.G, g.flops // threads.FLOPS_PER_THREAD))
    return parts, rounded(g.CG * g.P * g.size + SLACK, 64)


def _flat(g, back=False):
    """The same with all pixels in one row; *back*: from y to x."""
    planes, inner = ((g.C, g.O), g.CG) if not back else ((g.O, g.C), g.OG)
    return g.kept(("flat", back), lambda: geometry(
        (g.N, planes[0], 1, g.P), (planes[1], inner, 1, 1), (g.N, planes[1], 1, g.P), (1, 1), (0, 0), (1, 1),
        g.G, g.size))


def update_output(g, x, w, b, y, end, kept):
    """y <- the convolution of x with w, plus b (empty: without), and its *end*; *kept* has no use here."""
    if g.stride == (1, 1):
        conv_columns.convolve(_flat(g), x, w, b, y, False, end)
        return
    parts, slot = _division(g)
    by_rows = max(1, min(threads.worth(g.flops, g.O * g.K) // parts, -(-g.OG // ROW_STEP)))
    threads.run(_output, parts * by_rows, 1, parts, by_rows, x, w, b, y, threads.workspace(64 + parts * by_rows * slot),
                g.numbers, *g.stride, slot, *end)


def update_grad_input(g, dy, w, dx, nothing):
    """dx <- the gradient of x; *nothing* is an empty vector."""
    if g.stride == (1, 1):
        conv_columns.convolve(_flat(g, back=True), dy, w, nothing, dx, True, no_end(dx))
        return
    parts, slot = _division(g)
    threads.run(_grad_input, parts, 1, parts, dy, w, dx, threads.workspace(64 + parts * slot), g.numbers,
                *g.stride, slot)


def acc_grad_parameters(g, x, dy, dw, db, scale):
    """dw and db <- themselves + scale times the gradients of w and b."""
    by_rows = g.OG >= g.CG
    steps = -(-g.OG // ROW_STEP) if by_rows else -(-g.CG // (COLUMN_STEP * VECTOR_BYTES // g.size))
    parts = max(1, min(threads.get_num_threads(), steps, g.flops // threads.FLOPS_PER_THREAD))
    slot = 0 if g.stride == (1, 1) else rounded(g.CG * g.P * g.size + SLACK, 64)
    threads.run(_grad_parameters, parts, 1, parts, x, dy, dw, db, threads.workspace(64 + parts * slot), g.numbers,
                *g.stride, by_rows, slot, scale)


@inline
def _share(part, parts, size, step):
    """Where a part of 0 .. size begins and ends, in whole steps."""
    steps = (size + step - 1) // step
    return min(steps * part // parts * step, size), min(steps * (part + 1) // parts * step, size)


@jit
def _output(start, stop, parts, by_rows, x, w, b, y, work, sizes, sh, sw, slot, norm, activation, low, high):
    N, C, H, W, O, OH, OW, G, CG, OG, K, P, ph, pw, _, width, plane, window_row, taps = numbers(sizes)
    one, size = x.dtype.type(1), x.itemsize
    units = N * G
    for piece in range(start, stop):
        part = piece // by_rows
        top, bottom = _share(piece % by_rows, by_rows, OG, ROW_STEP)
        for sample in range(units * part // parts, units * (part + 1) // parts):
            seen = aligned(work) + piece * slot
            call(collect, (one, address(x) + sample * CG * H * W * size, CG, H, W, OH, OW, sh, sw, seen))
            first = sample % G * OG
            beta = x.dtype.type(0)
            out = y[sample // G, first:first + OG].reshape(OG, P)
            if b.size:
                beta = one
                for o in range(top, bottom):
                    line, value = out[o], b[first + o]
                    for p in range(line.size):
                        line[p] = value
            multiply(OG, P, CG, top, bottom, 0, P, address(w) + first * CG * size, CG * size, size,
                     seen, P * size, size, address(out), P * size, size, one, beta, 0, 0, 0)
            if norm.size or activation:
                call(finish, (x.dtype.type(low), x.dtype.type(high), address(out) + top * P * size, bottom - top,
                              P * size, P, address(norm) if norm.size else 0, O, first + top, activation))


@jit
def _grad_input(start, stop, parts, dy, w, dx, work, sizes, sh, sw, slot):
    N, C, H, W, O, OH, OW, G, CG, OG, K, P, ph, pw, _, width, plane, window_row, taps = numbers(sizes)
    zero, one, size = dx.dtype.type(0), dx.dtype.type(1), dx.itemsize
    units = N * G
    for part in range(start, stop):
        for sample in range(units * part // parts, units * (part + 1) // parts):
            place = address(dx) + sample * CG * H * W * size
            out = aligned(work) + part * slot
            multiply(CG, P, OG, 0, CG, 0, P, address(w) + sample % G * OG * CG * size, size, CG * size,
                     address(dy) + sample * OG * P * size, P * size, size, out, P * size, size, one, zero, 0, 0, 0)
            dx[sample // G, sample % G * CG:(sample % G + 1) * CG] = 0
            call(spread, (one, out, CG, H, W, OH, OW, sh, sw, place))


@jit
def _grad_parameters(start, stop, parts, x, dy, dw, db, work, sizes, sh, sw, by_rows, slot, scale):
    N, C, H, W, O, OH, OW, G, CG, OG, K, P, ph, pw, _, width, plane, window_row, taps = numbers(sizes)
    one, size, step = x.dtype.type(1), x.itemsize, lanes(x.dtype.type(0))
    factor = x.dtype.type(scale)
    for part in range(start, stop):
        top, bottom, left, right = 0, OG, 0, CG
        if by_rows:
            top, bottom = _share(part, parts, OG, ROW_STEP)
        else:
            left, right = _share(part, parts, CG, COLUMN_STEP * step)
        for sample in range(N * G):
            seen = address(x) + sample * CG * H * W * size
            if slot:
                here = aligned(work) + part * slot
                call(collect, (one, seen + left * H * W * size, right - left, H, W, OH, OW, sh, sw,
                               here + left * P * size))
                seen = here
            multiply(OG, CG, P, top, bottom, left, right, address(dy) + sample * OG * P * size, P * size, size,
                     seen, size, P * size, address(dw) + sample % G * OG * CG * size, CG * size, size,
                     factor, one, 0, 0, 0)
        if db.size:
            call(sum_planes, (factor, address(dy), N, O, P, O * part // parts, O * (part + 1) // parts, address(db)))


@native("number", *["int"] * 9)
def collect(like, x, planes, H, W, OH, OW, sh, sw, out):
    """Every sh-th row and sw-th column of *planes* planes (H, W), without gaps."""
    size = VECTOR_BYTES // lanes(like)
    for c in range(planes):
        for oh in range(OH):
            here = x + (c * H + oh * sh) * W * size
            for ow in range(OW):
                put(get(like, here + ow * sw * size), out + ow * size)
            out += OW * size


@native("number", *["int"] * 9)
def spread(like, source, planes, H, W, OH, OW, sh, sw, out):
    """The reverse of collect: what lies between is left as it is."""
    size = VECTOR_BYTES // lanes(like)
    for c in range(planes):
        for oh in range(OH):
            there = out + (c * H + oh * sh) * W * size
            for ow in range(OW):
                put(get(like, source + ow * size), there + ow * sw * size)
            source += OW * size
