"""Convolution of single planes on the CPU.  Meaning and shapes: kernels/reference/plane_convolution.py.

A plane is cut into phases: phase (r, s) holds the rows r, r + stride, ... of the padded
plane and of them the columns s, s + stride, ...  Within a phase every window takes steps
of one, so that a tap of all windows is the phase itself from some element on: with the
results laid out in rows as long as the phase's, each tap is one long vector operation,
however small the plane.  What it computes between the end of a row of results and the
end of a row of the phase is dropped.  With stride 1 and no padding the plane is its only
phase and is used as it lies.

Threads take planes, or windows for the gradient of the weights, and each has a slot of
*work* of its own.
"""
from . import threads
from .compile import inline, jit
from .linear import empty_vector
from .views import flat

_BLOCK = 2048  # elements of results computed at a time: they stay in the nearest cache


def plane_conv_work_size(x_shape, w_shape, y_shape, stride, pad):
    """How many elements of scratch the three kernels need.  See the reference."""
    counts = x_shape[0] * y_shape[1], x_shape[0] * x_shape[1], w_shape[0]
    most = max(_parts(count, y_shape[0], w_shape, y_shape) for count in counts)
    return _slot(x_shape, w_shape, y_shape, stride, pad) * most


def plane_conv_update_output(x, w, b, pairs, to, y, work, stride, pad):
    """y <- the windows' results, added up for each plane, plus b.  See the reference."""
    if b is None:
        b = empty_vector(y).reshape(1, 0)
    _run(_update_output, x.shape[0] * y.shape[1], x, w, y, work, stride, pad, b, pairs, *to)


def plane_conv_update_grad_input(dy, w, pairs, back, dx, work, stride, pad):
    """dx <- the gradient of x.  See the reference."""
    _run(_update_grad_input, dx.shape[0] * dx.shape[1], dx, w, dy, work, stride, pad, pairs, *back)


def plane_conv_acc_grad_parameters(x, dy, pairs, dw, work, stride, pad, scale=1.0):
    """dw <- itself + scale times the gradient of w.  See the reference."""
    _run(_acc_grad_parameters, dw.shape[0], x, dw, dy, work, stride, pad, pairs, float(scale))


def add_planes(b, y):
    """y <- itself + the bias of every plane.  See the reference."""
    _over_planes(_add_planes, y.shape[0] * y.shape[1], y, b, y)


def sum_planes(dy, db, scale=1.0):
    """db <- itself + scale times the sum over every plane.  See the reference."""
    _over_planes(_sum_planes, dy.shape[1], dy, dy, db, float(scale))


def _over_planes(kernel, count, y, *args):
    """Run *kernel* over *count* planes of y, which it takes as (N, planes, elements)."""
    N, planes = y.shape[:2]
    flat = y.reshape(N, planes, y.size // max(1, N * planes))
    threads.run(kernel, count, threads.grain(y.size // max(1, count), threads.ELEMENTS_PER_THREAD),
                *(flat if arg is y else arg for arg in args))


def _run(kernel, count, x, w, y, work, stride, pad, *rest):
    slot = _slot(x.shape, w.shape, y.shape, stride, pad)
    # The number of threads may have been raised since the scratch was made.
    parts = min(_parts(count, y.shape[0], w.shape, y.shape), work.size // slot)
    threads.run(kernel, parts, 1, count, parts, slot, x, w, y, work, *stride, *pad, *rest)


def _parts(count, N, w_shape, y_shape):
    """How many threads are worth waking, with at least one of *count* items for each."""
    flops = N * w_shape[0] * w_shape[1] * w_shape[2] * y_shape[2] * y_shape[3]
    return max(1, min(threads.get_num_threads(), count, 2 * flops // threads.FLOPS_PER_THREAD))


def _slot(x_shape, w_shape, y_shape, stride, pad):
    """Elements of scratch for one thread: phases, a plane of y in their layout, a block of results."""
    PH, PW = -(-(x_shape[2] + 2 * pad[0]) // stride[0]), -(-(x_shape[3] + 2 * pad[1]) // stride[1])
    phases = min(stride[0], w_shape[1]) * min(stride[1], w_shape[2])
    return (phases + 1) * PH * PW + _front(w_shape[1], w_shape[2], *stride, PW) + max(_BLOCK, PW)


def _front(kh, kw, sh, sw, PW):
    """How far from its own place in a phase the last tap of a window reaches."""
    return (kh - 1) // sh * PW + (kw - 1) // sw


_inline_front = inline(_front)


# -- the verbs ------------------------------------------------------------------------------

@jit
def _update_output(start, stop, count, parts, slot, x, w, y, work, sh, sw, ph, pw, b, pairs, order, first):
    C, H, W = x.shape[1:]
    O, OH, OW = y.shape[1:]
    kh, kw = w.shape[1:]
    PH, PW = -(-(H + 2 * ph) // sh), -(-(W + 2 * pw) // sw)
    phases = min(sh, kh) * min(sw, kw) * PH * PW
    direct = sh == 1 and sw == 1 and ph == 0 and pw == 0
    x1, y1 = flat(x), flat(y)
    many = max(1, _BLOCK // PW)
    for part in range(start, stop):
        scratch = work[part * slot:(part + 1) * slot]
        block = scratch[phases:]
        for item in range(count * part // parts, count * (part + 1) // parts):
            n, o = item // O, item % O
            value = y.dtype.type(0)
            if b.size:
                value = b[o % b.shape[0], o // b.shape[0]]
            held = -1
            for top in range(0, OH, many):
                rows = min(many, OH - top)
                length = (rows - 1) * PW + OW
                for t in range(length):
                    block[t] = value
                for index in range(first[o], first[o + 1]):
                    k = order[index]
                    c = pairs[k, 0]
                    plane = x1[(n * C + c) * H * W:]
                    if not direct:
                        if c != held:
                            _cut(plane, scratch, H, W, PH, PW, kh, kw, sh, sw, ph, pw)
                            held = c
                        plane = scratch
                    for r in range(min(sh, kh)):
                        for s in range(min(sw, kw)):
                            phase = plane[(r * min(sw, kw) + s) * PH * PW + top * PW:]
                            _correlate(block, length, phase, 0, 1, PW, w[k], r, s, sh, sw)
                for row in range(rows):
                    line, run = y1[((n * O + o) * OH + top + row) * OW:], block[row * PW:]
                    for t in range(OW):
                        line[t] = run[t]


@jit
def _update_grad_input(start, stop, count, parts, slot, x, w, y, work, sh, sw, ph, pw, pairs, order, first):
    C, H, W = x.shape[1:]
    O, OH, OW = y.shape[1:]
    kh, kw = w.shape[1:]
    PH, PW = -(-(H + 2 * ph) // sh), -(-(W + 2 * pw) // sw)
    phases = min(sh, kh) * min(sw, kw) * PH * PW
    direct = sh == 1 and sw == 1 and ph == 0 and pw == 0
    front = _inline_front(kh, kw, sh, sw, PW)
    x1, y1 = flat(x), flat(y)
    for part in range(start, stop):
        scratch = work[part * slot:(part + 1) * slot]
        wide = scratch[phases:]
        for t in range(front + PH * PW):
            wide[t] = 0
        for item in range(count * part // parts, count * (part + 1) // parts):
            n, c = item // C, item % C
            plane = x1[item * H * W:]
            target = plane if direct else scratch
            for t in range(phases):
                target[t] = 0
            for index in range(first[c], first[c + 1]):
                k = order[index]
                _spread(y1[(n * O + pairs[k, 1]) * OH * OW:], wide[front:], OH, OW, PW)
                for r in range(min(sh, kh)):
                    for s in range(min(sw, kw)):
                        phase = target[(r * min(sw, kw) + s) * PH * PW:]
                        _correlate(phase, PH * PW, wide, front, -1, PW, w[k], r, s, sh, sw)
            if not direct:
                _join(scratch, plane, H, W, PH, PW, kh, kw, sh, sw, ph, pw)


@jit
def _acc_grad_parameters(start, stop, count, parts, slot, x, w, y, work, sh, sw, ph, pw, pairs, scale):
    N, C, H, W = x.shape
    O, OH, OW = y.shape[1:]
    kh, kw = w.shape[1:]
    PH, PW = -(-(H + 2 * ph) // sh), -(-(W + 2 * pw) // sw)
    phases = min(sh, kh) * min(sw, kw) * PH * PW
    direct = sh == 1 and sw == 1 and ph == 0 and pw == 0
    length = (OH - 1) * PW + OW
    x1, y1 = flat(x), flat(y)
    factor = w.dtype.type(scale)
    for part in range(start, stop):
        scratch = work[part * slot:(part + 1) * slot]
        wide = scratch[phases:]
        for t in range(length):
            wide[t] = 0
        for k in range(count * part // parts, count * (part + 1) // parts):
            c, o = pairs[k, 0], pairs[k, 1]
            for n in range(N):
                plane = x1[(n * C + c) * H * W:]
                if not direct:
                    _cut(plane, scratch, H, W, PH, PW, kh, kw, sh, sw, ph, pw)
                    plane = scratch
                source = y1[(n * O + o) * OH * OW:]
                if PW != OW:
                    _spread(source, wide, OH, OW, PW)
                    source = wide
                for r in range(min(sh, kh)):
                    for s in range(min(sw, kw)):
                        phase = plane[(r * min(sw, kw) + s) * PH * PW:]
                        _products(source, length, phase, PW, w[k], r, s, sh, sw, factor)


@jit
def _add_planes(start, stop, b, y):
    planes = y.shape[1]
    for item in range(start, stop):
        o = item % planes
        line, value = y[item // planes, o], b[o % b.shape[0], o // b.shape[0]]
        for t in range(line.size):
            line[t] += value


@jit
def _sum_planes(start, stop, y, b, scale):
    factor = b.dtype.type(scale)
    for o in range(start, stop):
        for n in range(y.shape[0]):
            line, total = y[n, o], b.dtype.type(0)
            for t in range(line.size):
                total += line[t]
            b[o % b.shape[0], o // b.shape[0]] += factor * total


# -- planes and phases -------------------------------------------------------------------------

@inline
def _cut(plane, out, H, W, PH, PW, kh, kw, sh, sw, ph, pw):
    """Write the phases of a plane (H, W) that some tap sees: (phases, PH, PW), zero outside the plane."""
    columns = min(sw, kw)
    out[:min(sh, kh) * columns * PH * PW] = 0
    for h in range(H):
        r, row = (h + ph) % sh, (h + ph) // sh
        if r >= kh:
            continue
        run, place = plane[h * W:], (r * columns * PH + row) * PW
        if sw == 2 and columns == 2:
            even, odd = _pair(place, PH, PW, pw)
            lines, others = out[even:], out[odd:]
            for t in range(W // 2):
                lines[t] = run[2 * t]
                others[t] = run[2 * t + 1]
            if W % 2:
                lines[W // 2] = run[W - 1]
        else:
            for s in range(columns):
                first, begin, count = _phase_columns(s, W, sw, pw)
                line, part = out[place + s * PH * PW + begin:], run[first:]
                if sw == 1:
                    for t in range(count):
                        line[t] = part[t]
                else:
                    for t in range(count):
                        line[t] = part[t * sw]


@inline
def _join(phases, plane, H, W, PH, PW, kh, kw, sh, sw, ph, pw):
    """The inverse of _cut: every element of the plane from its phase, 0 where no tap sees it."""
    columns = min(sw, kw)
    for h in range(H):
        r, row = (h + ph) % sh, (h + ph) // sh
        run, place = plane[h * W:], (r * columns * PH + row) * PW
        if r >= kh or sw > kw:
            for t in range(W):
                run[t] = 0
        if r >= kh:
            continue
        if sw == 2 and columns == 2:
            even, odd = _pair(place, PH, PW, pw)
            lines, others = phases[even:], phases[odd:]
            for t in range(W // 2):
                run[2 * t] = lines[t]
                run[2 * t + 1] = others[t]
            if W % 2:
                run[W - 1] = lines[W // 2]
        else:
            for s in range(columns):
                first, begin, count = _phase_columns(s, W, sw, pw)
                line, part = phases[place + s * PH * PW + begin:], run[first:]
                if sw == 1:
                    for t in range(count):
                        part[t] = line[t]
                else:
                    for t in range(count):
                        part[t * sw] = line[t]


@inline
def _phase_columns(s, W, sw, pw):
    """Phase s of a row of W elements: its first element, where that stands in the phase, and how many follow."""
    begin = max(0, -((s - pw) // sw))
    return begin * sw + s - pw, begin, max(0, (W - 1 - s + pw) // sw + 1 - begin)


@inline
def _pair(place, PH, PW, pw):
    """Where the even and the odd elements of a row begin, in two phases of which the first is at *place*."""
    other = place + PH * PW
    return (other + pw // 2, place + pw // 2 + 1) if pw % 2 else (place + pw // 2, other + pw // 2)


@inline
def _spread(plane, out, OH, OW, PW):
    """A plane of y in rows of PW elements; what stands between them stays as it is, zero."""
    for row in range(OH):
        line, run = out[row * PW:], plane[row * OW:]
        for t in range(OW):
            line[t] = run[t]


@inline
def _at(tap, columns, base, sign, PW):
    """Where the values that a tap of a phase sees begin."""
    return base + sign * (tap // columns * PW + tap % columns)


@inline
def _weight(w, tap, columns, r, s, sh, sw):
    return w[r + tap // columns * sh, s + tap % columns * sw]


@inline
def _correlate(out, length, source, base, sign, PW, w, r, s, sh, sw):
    """out[t] <- itself + sum over the taps of phase (r, s) of w times source[t + what the tap is away].

    With *sign* -1 it is what is away in the other direction: the adjoint.
    """
    columns = (w.shape[1] - s + sw - 1) // sw
    count = (w.shape[0] - r + sh - 1) // sh * columns
    k = 0
    while k + 9 <= count:
        a0, a1 = source[_at(k, columns, base, sign, PW):], source[_at(k + 1, columns, base, sign, PW):]
        a2, a3 = source[_at(k + 2, columns, base, sign, PW):], source[_at(k + 3, columns, base, sign, PW):]
        a4, a5 = source[_at(k + 4, columns, base, sign, PW):], source[_at(k + 5, columns, base, sign, PW):]
        a6, a7 = source[_at(k + 6, columns, base, sign, PW):], source[_at(k + 7, columns, base, sign, PW):]
        a8 = source[_at(k + 8, columns, base, sign, PW):]
        w0, w1 = _weight(w, k, columns, r, s, sh, sw), _weight(w, k + 1, columns, r, s, sh, sw)
        w2, w3 = _weight(w, k + 2, columns, r, s, sh, sw), _weight(w, k + 3, columns, r, s, sh, sw)
        w4, w5 = _weight(w, k + 4, columns, r, s, sh, sw), _weight(w, k + 5, columns, r, s, sh, sw)
        w6, w7 = _weight(w, k + 6, columns, r, s, sh, sw), _weight(w, k + 7, columns, r, s, sh, sw)
        w8 = _weight(w, k + 8, columns, r, s, sh, sw)
        for t in range(length):
            out[t] += (w0 * a0[t] + w1 * a1[t] + w2 * a2[t] + w3 * a3[t] + w4 * a4[t]
                       + w5 * a5[t] + w6 * a6[t] + w7 * a7[t] + w8 * a8[t])
        k += 9
    while k + 2 <= count:
        a0, a1 = source[_at(k, columns, base, sign, PW):], source[_at(k + 1, columns, base, sign, PW):]
        w0, w1 = _weight(w, k, columns, r, s, sh, sw), _weight(w, k + 1, columns, r, s, sh, sw)
        for t in range(length):
            out[t] += w0 * a0[t] + w1 * a1[t]
        k += 2
    if k < count:
        a0, w0 = source[_at(k, columns, base, sign, PW):], _weight(w, k, columns, r, s, sh, sw)
        for t in range(length):
            out[t] += w0 * a0[t]


@inline
def _products(dy, length, source, PW, dw, r, s, sh, sw, factor):
    """dw <- itself + factor times, for every tap of phase (r, s), the sum of dy times what the tap sees."""
    columns = (dw.shape[1] - s + sw - 1) // sw
    count = (dw.shape[0] - r + sh - 1) // sh * columns
    zero = dw.dtype.type(0)
    k = 0
    while k + 3 <= count:
        a0, a1 = source[_at(k, columns, 0, 1, PW):], source[_at(k + 1, columns, 0, 1, PW):]
        a2 = source[_at(k + 2, columns, 0, 1, PW):]
        s0 = s1 = s2 = zero
        for t in range(length):
            g = dy[t]
            s0 += g * a0[t]
            s1 += g * a1[t]
            s2 += g * a2[t]
        dw[r + k // columns * sh, s + k % columns * sw] += factor * s0
        dw[r + (k + 1) // columns * sh, s + (k + 1) % columns * sw] += factor * s1
        dw[r + (k + 2) // columns * sh, s + (k + 2) % columns * sw] += factor * s2
        k += 3
    while k < count:
        a0, s0 = source[_at(k, columns, 0, 1, PW):], zero
        for t in range(length):
            s0 += dy[t] * a0[t]
        dw[r + k // columns * sh, s + k % columns * sw] += factor * s0
        k += 1
