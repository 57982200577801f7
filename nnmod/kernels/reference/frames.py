"""Convolution over frames in plain NumPy: sequences of vectors, and of planes.

With *groups* the channels are cut into so many parts, and each part of the output
sees only its own part of the input.
"""
import numpy as np


def temporal_conv_work_size(x_shape, w_shape, y_shape, stride):
    """How many elements of scratch the three kernels below need for these shapes.

    The scratch is their argument *work*: 1-D, of the tensors' dtype, contents
    undefined before and after.  This backend allocates its own and needs none.
    """
    return 0


def temporal_conv_update_output(x, w, b, y, work, stride):
    """y[n, t] <- b + w times the frames t * stride .. t * stride + k - 1 of x[n], one after the other.

    x       (N, T, F)
    w       (O, k * F)
    b       (O,) or None
    y       (N, OT, O)  [out]
    work    (temporal_conv_work_size(...),)  [out]
    stride  an int
    """
    with np.errstate(all="ignore"):
        y[...] = _seen(x, w, y, stride) @ w.T
        if b is not None:
            y += b


def temporal_conv_update_grad_input(dy, w, dx, work, stride):
    """dx <- the gradient of x: every frame gets w.T dy from each window that saw it.

    dy    (N, OT, O)
    w     (O, k * F)
    dx    (N, T, F)  [out]
    work  (temporal_conv_work_size(...),)  [out]
    """
    F = dx.shape[2]
    with np.errstate(all="ignore"):
        frames = dy @ w
        dx[...] = 0
        for k in range(w.shape[1] // F):
            dx[:, k:k + (dy.shape[1] - 1) * stride + 1:stride] += frames[:, :, k * F:(k + 1) * F]


def temporal_conv_acc_grad_parameters(x, dy, dw, db, work, stride, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.

    x     (N, T, F)
    dy    (N, OT, O)
    dw    (O, k * F)    added to
    db    (O,) or None  added to
    work  (temporal_conv_work_size(...),)  [out]
    """
    scale = dw.dtype.type(scale)
    with np.errstate(all="ignore"):
        dw += scale * np.einsum("nto,ntk->ok", dy, _seen(x, dw, dy, stride))
        if db is not None:
            db += scale * dy.sum(axis=(0, 1))


def _seen(x, w, y, stride):
    """What every window sees: (N, OT, k * F)."""
    reach = (y.shape[1] - 1) * stride + 1
    return np.concatenate([x[:, k:k + reach:stride] for k in range(w.shape[1] // x.shape[2])], axis=2)


def conv3d_work_size(x_shape, w_shape, y_shape, stride, pad, dilation=(1, 1, 1), groups=1):
    """How many elements of scratch the three kernels below need for these shapes.

    The scratch is their argument *work*: 1-D, of the tensors' dtype, contents
    undefined before and after.  This backend allocates its own and needs none.
    ``stride``, ``pad`` and ``dilation`` are (time, height, width).
    """
    return 0


def conv3d_update_output(x, w, b, y, work, stride, pad, dilation=(1, 1, 1), groups=1):
    """y[n, o, t, h, w'] <- b[o] + sum over c, k, i, j of w[o, c, k, i, j] x[n, c, frame, row, column]

    with frame = t * stride - pad + k * dilation, row and column in the same way, with the
    numbers of their axis in (time, height, width); outside x is 0.

    x     (N, C, T, H, W)
    w     (O, C / groups, kt, kh, kw)
    b     (O,) or None
    y     (N, O, OT, OH, OW)  [out]
    work  (conv3d_work_size(...),)  [out]
    """
    wide = _wide(x, pad)
    with np.errstate(all="ignore"):
        total = np.zeros(_cut(y, groups).shape, y.dtype)
        for tap, seen in _taps(wide, w, y, stride, dilation):
            total += np.einsum("goc,ngcthw->ngothw", _tap(w, tap, groups), _cut(wide[seen], groups))
        y[...] = total.reshape(y.shape)
        if b is not None:
            y += b[:, None, None, None]


def conv3d_update_grad_input(dy, w, dx, work, stride, pad, dilation=(1, 1, 1), groups=1):
    """dx <- the gradient of x: each dy goes back, times w, to the elements its window saw.

    dy    (N, O, OT, OH, OW)
    w     (O, C / groups, kt, kh, kw)
    dx    (N, C, T, H, W)  [out]
    work  (conv3d_work_size(...),)  [out]
    """
    wide = _wide(np.zeros_like(dx), pad)
    with np.errstate(all="ignore"):
        for tap, seen in _taps(wide, w, dy, stride, dilation):
            back = np.einsum("goc,ngothw->ngcthw", _tap(w, tap, groups), _cut(dy, groups))
            wide[seen] += back.reshape(wide[seen].shape)
    dx[...] = _inside(wide, dx, pad)


def conv3d_acc_grad_parameters(x, dy, dw, db, work, stride, pad, dilation=(1, 1, 1), groups=1, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.

    x     (N, C, T, H, W)
    dy    (N, O, OT, OH, OW)
    dw    (O, C / groups, kt, kh, kw)  added to
    db    (O,) or None                 added to
    work  (conv3d_work_size(...),)  [out]
    """
    wide, scale = _wide(x, pad), dw.dtype.type(scale)
    with np.errstate(all="ignore"):
        for tap, seen in _taps(wide, dw, dy, stride, dilation):
            gradient = np.einsum("ngothw,ngcthw->goc", _cut(dy, groups), _cut(wide[seen], groups))
            dw[(slice(None), slice(None), *tap)] += scale * gradient.reshape(dw.shape[:2])
        if db is not None:
            db += scale * dy.sum(axis=(0, 2, 3, 4))


def _wide(x, pad):
    """A copy of x with zeros around it."""
    return np.pad(x, ((0, 0), (0, 0), *((p, p) for p in pad)))


def _inside(wide, x, pad):
    """The part of a padded tensor that is x."""
    return wide[(slice(None), slice(None), *(slice(p, p + n) for p, n in zip(pad, x.shape[2:])))]


def _taps(wide, w, y, stride, dilation):
    """For each position inside the window: ``(k, i, j)`` and the slices of *wide* that it sees."""
    for tap in np.ndindex(*w.shape[2:]):
        yield tap, (slice(None), slice(None), *(
            slice(at * d, at * d + (count - 1) * s + 1, s)
            for at, d, count, s in zip(tap, dilation, y.shape[2:], stride)))


def _tap(w, tap, groups):
    """The weights of one tap: (groups, O / groups, C / groups)."""
    return _cut(w[(slice(None), slice(None), *tap)][None], groups)[0]


def _cut(planes, groups):
    """(N, C, ...) as (N, groups, C / groups, ...)."""
    return planes.reshape(planes.shape[0], groups, planes.shape[1] // groups, *planes.shape[2:])
