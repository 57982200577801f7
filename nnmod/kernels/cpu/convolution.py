"""Convolution on the CPU.  Meaning and shapes: kernels/reference/convolution.py.

The patches that the windows of one sample see are laid out as a matrix in *work*,
and the products of linear.py do the rest.  That matrix is (K, P), a column for
each window, or its transpose where K is much longer, since the inner loops of the
products run along its rows.  A padded sample is copied with its padding first, so
that no loop has an edge to mind.  A window of one element with stride 1 and no
padding sees the sample itself, which is such a matrix already.

Threads take samples, or blocks of output channels for the gradients of the
parameters, and each has a slot of *work* of its own.  Every element is computed,
and samples are added, in one fixed order.

The three verbs are one kernel, because most of its code, and of the time to compile
it, is the product that they share.
"""
from . import threads
from .compile import inline, jit
from .linear import empty_vector, gemm_rows

_BLOCK = 4  # output channels: what gemm_rows computes together
_DIRECT, _COLUMNS, _ROWS = 0, 1, 2
_OUTPUT, _GRAD_INPUT, _GRAD_PARAMETERS = 0, 1, 2


def conv2d_work_size(x_shape, w_shape, y_shape, stride, pad, dilation=(1, 1), groups=1):
    """How many elements of scratch the three kernels need.  See the reference."""
    slot = _slot(x_shape, w_shape, y_shape, pad, _layout(w_shape, y_shape, stride, pad))
    return slot and slot * max(_sample_parts(w_shape, y_shape), _block_parts(w_shape, y_shape, groups))


def conv2d_update_output(x, w, b, y, work, stride, pad, dilation=(1, 1), groups=1):
    """y <- the convolution of x with w, plus b.  See the reference."""
    _run(_OUTPUT, x, w, b, y, work, stride, pad, dilation, groups)


def conv2d_update_grad_input(dy, w, dx, work, stride, pad, dilation=(1, 1), groups=1):
    """dx <- the gradient of x.  See the reference."""
    _run(_GRAD_INPUT, dx, w, None, dy, work, stride, pad, dilation, groups)


def conv2d_acc_grad_parameters(x, dy, dw, db, work, stride, pad, dilation=(1, 1), groups=1, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    _run(_GRAD_PARAMETERS, x, dw, db, dy, work, stride, pad, dilation, groups, float(scale))


def _run(verb, x, w, b, y, work, stride, pad, dilation, groups, scale=1.0):
    layout = _layout(w.shape, y.shape, stride, pad)
    slot = _slot(x.shape, w.shape, y.shape, pad, layout)
    parts = (_block_parts(w.shape, y.shape, groups) if verb == _GRAD_PARAMETERS
             else _sample_parts(w.shape, y.shape))
    if slot:  # the number of threads may have been raised since the scratch was made
        parts = min(parts, work.size // slot)
    threads.run(_convolve, parts, 1, verb, x, w, empty_vector(y) if b is None else b, y, work,
                *stride, *pad, *dilation, groups, layout, slot, parts, scale)


# -- how the work is laid out and divided: the same for work_size and the kernels ------

def _sizes(w_shape, y_shape):
    """K, the elements of a patch, and P, the windows of a sample."""
    return w_shape[1] * w_shape[2] * w_shape[3], y_shape[2] * y_shape[3]


def _layout(w_shape, y_shape, stride, pad):
    K, P = _sizes(w_shape, y_shape)
    if K > 4 * P:  # from there on the faster products outweigh the slower unfolding (measured)
        return _ROWS
    if (*w_shape[2:], *stride, *pad) == (1, 1, 1, 1, 0, 0):
        return _DIRECT
    return _COLUMNS


def _slot(x_shape, w_shape, y_shape, pad, layout):
    """Elements of scratch for one thread: the matrix of one group, and the padded input."""
    if layout == _DIRECT:
        return 0
    K, P = _sizes(w_shape, y_shape)
    padded = (x_shape[2] + 2 * pad[0]) * (x_shape[3] + 2 * pad[1]) if any(pad) else 0
    return K * P + w_shape[1] * padded


def _sample_parts(w_shape, y_shape):
    return _parts(y_shape[0], w_shape, y_shape)


def _block_parts(w_shape, y_shape, groups):
    blocks = (w_shape[0] // groups + _BLOCK - 1) // _BLOCK
    return _parts(groups * blocks, w_shape, y_shape)


def _parts(count, w_shape, y_shape):
    """How many threads are worth waking, with at least one of *count* items for each."""
    K, P = _sizes(w_shape, y_shape)
    flops = y_shape[0] * w_shape[0] * K * P
    return max(1, min(threads.get_num_threads(), count, flops // threads.FLOPS_PER_THREAD))


# -- the kernel ---------------------------------------------------------------------------

@jit
def _convolve(start, stop, verb, x, w, b, y, work, sh, sw, ph, pw, dh, dw, groups, layout, slot, parts, scale):
    """For _GRAD_INPUT x and y are gradients, for _GRAD_PARAMETERS w, b and y are."""
    N, O = y.shape[:2]
    OG = O // groups
    w2 = w.reshape(O, w.size // O)
    per_group = (OG + _BLOCK - 1) // _BLOCK
    blocks = groups * per_group
    rows = layout == _ROWS
    factor = y.dtype.type(scale)
    for part in range(start, stop):
        scratch = work[part * slot:(part + 1) * slot]
        # This part's samples and output channels, the latter as blocks of all groups.
        n0, n1, first, last = N * part // parts, N * (part + 1) // parts, 0, blocks
        if verb == _GRAD_PARAMETERS:
            n0, n1, first, last = 0, N, blocks * part // parts, blocks * (part + 1) // parts
        for n in range(n0, n1):
            for g in range(first // per_group, (last + per_group - 1) // per_group):
                top = max(first - g * per_group, 0) * _BLOCK
                bottom = min((last - g * per_group) * _BLOCK, OG)
                m = _matrix(n, g, x, w, y, scratch, layout)
                wg, yg = w2[g * OG:(g + 1) * OG], _pixels(n, g, y, OG)
                if verb == _OUTPUT:
                    _unfold(n, g, x, w, y, scratch, sh, sw, ph, pw, dh, dw, layout)
                    left, right, product, beta, trans_left, trans_right = wg, m, yg, 0.0, False, rows
                elif verb == _GRAD_INPUT:
                    left, right, product, beta, trans_left, trans_right = wg, yg, m, 0.0, True, False
                    if rows:
                        left, right = yg, wg
                    bottom = m.shape[0]
                else:
                    _unfold(n, g, x, w, y, scratch, sh, sw, ph, pw, dh, dw, layout)
                    left, right, product, beta, trans_left, trans_right = yg, m, wg, 1.0, False, not rows
                gemm_rows(top, bottom, left, right, product, scale, beta, trans_left, trans_right)
                if verb == _GRAD_INPUT:
                    _fold(n, g, w, y, x, scratch, sh, sw, ph, pw, dh, dw, layout)
                elif b.size:
                    for o in range(top, bottom):
                        line = yg[o]
                        if verb == _OUTPUT:
                            for p in range(line.size):
                                line[p] += b[g * OG + o]
                        else:
                            total = y.dtype.type(0)
                            for p in range(line.size):
                                total += line[p]
                            b[g * OG + o] += factor * total


@inline
def _pixels(n, g, y, OG):
    """Group g of sample n of (N, O, OH, OW) as a matrix (O / groups, P)."""
    return y[n, g * OG:(g + 1) * OG].reshape(OG, y.shape[2] * y.shape[3])


@inline
def _matrix(n, g, x, w, y, scratch, layout):
    """Where the patches of group g of sample n lie: in x itself, or at the start of scratch."""
    CG, P = w.shape[1], y.shape[2] * y.shape[3]
    K = CG * w.shape[2] * w.shape[3]
    if layout == _DIRECT:
        return x[n, g * CG:(g + 1) * CG].reshape(K, P)
    if layout == _ROWS:
        return scratch[:K * P].reshape(P, K)
    return scratch[:K * P].reshape(K, P)


@inline
def _wide(n, g, x, w, y, scratch, ph, pw):
    """Group g of sample n with room for the padding: flat, and x itself where there is none."""
    CG, H, W = w.shape[1], x.shape[2], x.shape[3]
    if ph == 0 and pw == 0:
        return x[n, g * CG:(g + 1) * CG].reshape(CG * H * W)
    return scratch[CG * w.shape[2] * w.shape[3] * y.shape[2] * y.shape[3]:]


@inline
def _unfold(n, g, x, w, y, scratch, sh, sw, ph, pw, dh, dw, layout):
    """Write the matrix of what every window sees: (K, P), or (P, K) with layout _ROWS."""
    if layout == _DIRECT:
        return
    CG, kh, kw = w.shape[1:]
    H, W = x.shape[2], x.shape[3]
    OH, OW = y.shape[2:]
    HP, WP = H + 2 * ph, W + 2 * pw
    wide = _wide(n, g, x, w, y, scratch, ph, pw)
    if ph or pw:
        wide[:] = 0
        for c in range(CG):
            for h in range(H):
                out, run = wide[(c * HP + h + ph) * WP + pw:], x[n, g * CG + c, h]
                for i in range(W):
                    out[i] = run[i]
    t = 0
    if layout == _COLUMNS:
        for c in range(CG):
            for i in range(kh):
                for j in range(kw):
                    for oh in range(OH):
                        out, run = scratch[t:], wide[(c * HP + oh * sh + i * dh) * WP + j * dw:]
                        if sw == 1:
                            for ow in range(OW):
                                out[ow] = run[ow]
                        else:
                            for ow in range(OW):
                                out[ow] = run[ow * sw]
                        t += OW
    else:
        for oh in range(OH):
            for ow in range(OW):
                for c in range(CG):
                    for i in range(kh):
                        out, run = scratch[t:], wide[(c * HP + oh * sh + i * dh) * WP + ow * sw:]
                        if dw == 1:
                            for j in range(kw):
                                out[j] = run[j]
                        else:
                            for j in range(kw):
                                out[j] = run[j * dw]
                        t += kw


@inline
def _fold(n, g, w, y, x, scratch, sh, sw, ph, pw, dh, dw, layout):
    """The adjoint of _unfold: every element of x is the sum over the places that saw it."""
    if layout == _DIRECT:
        return
    CG, kh, kw = w.shape[1:]
    H, W = x.shape[2], x.shape[3]
    OH, OW = y.shape[2:]
    HP, WP = H + 2 * ph, W + 2 * pw
    wide = _wide(n, g, x, w, y, scratch, ph, pw)
    wide[:] = 0
    t = 0
    if layout == _COLUMNS:
        for c in range(CG):
            for i in range(kh):
                for j in range(kw):
                    for oh in range(OH):
                        out, run = wide[(c * HP + oh * sh + i * dh) * WP + j * dw:], scratch[t:]
                        if sw == 1:
                            for ow in range(OW):
                                out[ow] += run[ow]
                        else:
                            for ow in range(OW):
                                out[ow * sw] += run[ow]
                        t += OW
    else:
        for oh in range(OH):
            for ow in range(OW):
                for c in range(CG):
                    for i in range(kh):
                        out, run = wide[(c * HP + oh * sh + i * dh) * WP + ow * sw:], scratch[t:]
                        if dw == 1:
                            for j in range(kw):
                                out[j] += run[j]
                        else:
                            for j in range(kw):
                                out[j * dw] += run[j]
                        t += kw
    if ph or pw:
        for c in range(CG):
            for h in range(H):
                out, run = x[n, g * CG + c, h], wide[(c * HP + h + ph) * WP + pw:]
                for i in range(W):
                    out[i] = run[i]
