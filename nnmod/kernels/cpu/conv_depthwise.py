"""Convolution where every output plane sees one input plane: method "depthwise".

There is no sum over channels, so nothing to gain from matrix products: a few vectors of
outputs are held in registers while the taps of the kernel pass over them, each tap reading
the frame at its own place.  For the gradient of the weight the taps' sums are held, and the
windows pass.

Threads take planes; for the gradient of the weight a plane of all samples.
"""
from numba import types
from numba.extending import intrinsic

from . import threads
from .compile import call, jit, native
from .conv_columns import as_convolution
from .conv_frame import aligned, drain_frame, fill_frame, get_integer, integer_at, numbers, put_zeros, sum_planes
from .epilogue import finish, no_end
from .simd import VECTOR_BYTES, Emitter, address, broadcast, fma, get, lanes, load, put, store, sum_lanes

#: Vectors of outputs, and taps, that are held in registers at a time.
_VECTORS = 4
_TAPS = 9


def _parts(g, units):
    # A multiply-add costs about four times as much here as in a product.
    return max(1, min(threads.get_num_threads(), units, 4 * g.flops // threads.FLOPS_PER_THREAD))


def update_output(g, x, w, b, y, end, kept):
    """y <- the convolution of x with w, plus b (empty: without), and its *end*; *kept* has no use here."""
    _convolve(g, x, w, b, y, False, end)


def _convolve(g, x, w, b, y, turned, end):
    parts, slot = _parts(g, g.N * g.O), g.frame_bytes(1)
    threads.run(_output, parts, 1, parts, x, w, b, y, threads.workspace(64 + parts * slot), g.numbers,
                g.offsets, turned, slot, *end)


def update_grad_input(g, dy, w, dx, nothing):
    """dx <- the gradient of x; *nothing* is an empty vector."""
    back = g.kept("gradient", lambda: as_convolution(g))
    if g.OG == 1 and back:
        _convolve(back, dy, w, nothing, dx, True, no_end(dx))
        return
    parts, slot = _parts(g, g.N * g.C), g.frame_bytes(1)
    threads.run(_grad_input, parts, 1, parts, dy, w, dx, threads.workspace(64 + parts * slot), g.numbers,
                g.offsets, slot)


def acc_grad_parameters(g, x, dy, dw, db, scale):
    """dw and db <- themselves + scale times the gradients of w and b."""
    sums = (g.K + _TAPS) * VECTOR_BYTES
    parts, slot = _parts(g, g.O), sums + g.frame_bytes(1)
    threads.run(_grad_parameters, parts, 1, parts, x, dy, dw, db, threads.workspace(64 + parts * slot), g.numbers,
                g.offsets, sums, slot, scale)


@jit
def _output(start, stop, parts, x, w, b, y, work, sizes, offsets, turned, slot, norm, activation, low, high):
    N, C, H, W, O, OH, OW, G, CG, OG, K, P, ph, pw, sw, width, plane, window_row, taps = numbers(sizes)
    zero, size = x.dtype.type(0), x.itemsize
    for part in range(start, stop):
        frame = aligned(work) + part * slot
        for unit in range(N * O * part // parts, N * O * (part + 1) // parts):
            n, o = unit // O, unit % O
            if unit == N * O * part // parts or o % OG == 0:
                source = address(x) + (n * C + o // OG) * H * W * size
                call(fill_frame, (zero, source, 1, H, W, ph, pw, sw, width, plane, frame))
            weights, along = address(w) + o * K * size, size
            if turned:
                weights, along = weights + (K - 1) * size, -size
            call(plane_output, (b[o] if b.size else zero, frame, address(offsets), K, weights, along, OH, OW,
                                window_row, address(y) + unit * P * size))
            if norm.size or activation:
                call(finish, (x.dtype.type(low), x.dtype.type(high), address(y) + unit * P * size, 1, P * size, P,
                              address(norm) if norm.size else 0, O, o, activation))


@intrinsic
def _emitted_plane(typingctx, bias, frame, offsets, K, w, w_step, OH, OW, window_row, out):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, bias)
        emit_plane_output(e, *e.values(args))
        return context.get_dummy_value()

    return types.void(bias, *[types.intp] * 9), codegen


@native("number", *["int"] * 9)
def plane_output(bias, frame, offsets, K, w, w_step, OH, OW, window_row, out):
    _emitted_plane(bias, frame, offsets, K, w, w_step, OH, OW, window_row, out)


def emit_plane_output(e, bias, frame, offsets, K, w, w_step, OH, OW, window_row, out):
    """out (OH, OW) <- bias + the sum over K taps of w[k] times what tap k sees.

    The last vector of a row reaches back over the one before, so that none is cut; a row
    shorter than a vector is.
    """
    size = e.item_bytes

    def rows(first, last, step, left, count, mask):
        """Blocks of *step* rows x *count* vectors, from column *left* on."""
        places = [(i, j * VECTOR_BYTES) for i in range(step) for j in range(count)]
        with e.range(first, last, step) as oh:
            here, there = frame + oh * window_row + left * size, out + (oh * OW + left) * size

            def tap(offsets, w, sums):
                seen, weight = here + integer_at(e, offsets), e.broadcast(e.get(w))
                return offsets + 8, w + w_step, [e.fma(e.load(seen + window_row * i + j), weight, total)
                                                 for (i, j), total in zip(places, sums)]

            sums = e.loop(K, tap, offsets, w, [e.broadcast(bias) for _ in places])[2]
            for (i, j), total in zip(places, sums):
                e.store(total, there + OW * size * i + j, mask)

    V = e.lanes
    blocks = OW // (_VECTORS * V) * (_VECTORS * V)
    tall = OH // _VECTORS * _VECTORS

    def column(left, mask):
        rows(e.integer(0), tall, _VECTORS, left, 1, mask)
        rows(tall, OH, 1, left, 1, mask)

    with e.range(0, blocks, _VECTORS * V) as left:
        rows(e.integer(0), OH, 1, left, _VECTORS, None)
    with e.choice(OW >= V) as (yes, no):
        with yes, e.range(blocks, OW, V) as left:
            column(e.smaller(left, OW - V), None)
        with no:
            column(e.integer(0), e.mask(OW))


@jit
def _grad_input(start, stop, parts, dy, w, dx, work, sizes, offsets, slot):
    N, C, H, W, O, OH, OW, G, CG, OG, K, P, ph, pw, sw, width, plane, window_row, taps = numbers(sizes)
    zero, size = dx.dtype.type(0), dx.itemsize
    for part in range(start, stop):
        frame = aligned(work) + part * slot
        for unit in range(N * C * part // parts, N * C * (part + 1) // parts):
            n, c = unit // C, unit % C
            put_zeros(zero, frame, frame + plane)
            for o in range(c * OG, (c + 1) * OG):
                call(plane_gradient, (zero, address(dy) + (n * O + o) * P * size, address(offsets), K,
                                      address(w) + o * K * size, OH, OW, window_row, frame))
            call(drain_frame, (zero, frame, 1, H, W, ph, pw, sw, width, plane, address(dx) + unit * H * W * size))


@native("number", *["int"] * 8)
def plane_gradient(zero, dy, offsets, K, w, OH, OW, window_row, frame):
    """Add dy (OH, OW) times w[k] to what tap k saw, for each of K taps."""
    step = lanes(zero)
    size = VECTOR_BYTES // step
    for k in range(K):
        weight = broadcast(get(zero, w + k * size))
        out, here = frame + get_integer(offsets + 8 * k), dy
        for oh in range(OH):
            ow = 0
            while ow + step <= OW:
                store(fma(load(zero, here + ow * size), weight, load(zero, out + ow * size)), out + ow * size)
                ow += step
            while ow < OW:  # one by one: an infinite weight must not meet zeros past the end
                put(get(zero, out + ow * size) + get(zero, here + ow * size) * get(zero, w + k * size), out + ow * size)
                ow += 1
            out += window_row
            here += OW * size


@jit
def _grad_parameters(start, stop, parts, x, dy, dw, db, work, sizes, offsets, sums_bytes, slot, scale):
    N, C, H, W, O, OH, OW, G, CG, OG, K, P, ph, pw, sw, width, plane, window_row, taps = numbers(sizes)
    zero, size = x.dtype.type(0), x.itemsize
    factor = x.dtype.type(scale)
    for part in range(start, stop):
        sums = aligned(work) + part * slot
        frame = sums + sums_bytes
        for o in range(O * part // parts, O * (part + 1) // parts):
            put_zeros(zero, sums, frame)
            for n in range(N):
                call(fill_frame, (zero, address(x) + (n * C + o // OG) * H * W * size, 1, H, W, ph, pw, sw,
                                  width, plane,
                                  frame))
                call(plane_sums, (zero, frame, address(offsets), K, address(dy) + (n * O + o) * P * size, OH, OW,
                                  window_row, sums))
            for k in range(K):
                place = address(dw) + (o * K + k) * size
                put(get(zero, place) + factor * sum_lanes(load(zero, sums + k * VECTOR_BYTES)), place)
        if db.size:
            call(sum_planes, (factor, address(dy), N, O, P, O * part // parts, O * (part + 1) // parts, address(db)))


@intrinsic
def _emitted_plane_sums(typingctx, like, frame, offsets, K, dy, OH, OW, window_row, out):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        emit_plane_sums(e, *e.values(args[1:]))
        return context.get_dummy_value()

    return types.void(like, *[types.intp] * 8), codegen


@native("number", *["int"] * 8)
def plane_sums(like, frame, offsets, K, dy, OH, OW, window_row, out):
    _emitted_plane_sums(like, frame, offsets, K, dy, OH, OW, window_row, out)


def emit_plane_sums(e, frame, offsets, K, dy, OH, OW, window_row, out):
    """out[k], a vector <- itself + sums over windows of dy times what tap k sees: over the lanes, the whole."""
    size = e.item_bytes
    whole = OW // e.lanes
    rest = OW - whole * e.lanes
    with e.range(0, K, _TAPS) as k:
        taps = [integer_at(e, offsets + e.smaller(K - 1, k + t) * 8) for t in range(_TAPS)]

        def windows(here, there, sums, mask=None):
            gradient = e.load(there, mask)
            return (here + VECTOR_BYTES, there + VECTOR_BYTES,
                    [e.fma(e.load(here + tap, mask), gradient, total) for tap, total in zip(taps, sums)])

        def line(here, there, sums):
            right, _, sums = e.loop(whole, windows, here, there, sums)
            last = there + whole * VECTOR_BYTES
            sums = e.changed(rest > 0, lambda sums: windows(right, last, sums, e.mask(rest))[2], sums)
            return here + window_row, there + OW * size, sums

        sums = e.loop(OH, line, frame, dy, [e.zero() for _ in taps])[2]
        for t, total in enumerate(sums):
            with e.when(K - k > t):
                place = out + (k + t) * VECTOR_BYTES
                e.store(e.load(place) + total, place)
