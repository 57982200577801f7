"""Convolution over frames on the CPU.  Meaning and shapes: kernels/reference/frames.py.

A window over time sees some frames.  Laid out one after the other they are a row of a
matrix, where frames are vectors, or the channels of an image, where they are planes:
matrix products and 2-D convolution do the rest.  So many windows are laid out at a time
as fit into _CHUNK elements, of images at least _IMAGES, which threads share; where the
windows tile the sequence, or one window sees all of it, it is used as it lies.
"""
from . import threads
from .compile import jit
from .convolution import conv2d_acc_grad_parameters, conv2d_update_grad_input, conv2d_update_output
from .linear import gemm, sum_rows

_CHUNK = 1 << 20
_IMAGES = 8


# -- frames that are vectors -----------------------------------------------------------

def temporal_conv_work_size(x_shape, w_shape, y_shape, stride):
    """How many elements of scratch the three kernels need.  See the reference."""
    if _tiled(x_shape, w_shape, y_shape, stride):
        return 0
    return _rows_at_once(y_shape[0] * y_shape[1], w_shape[1]) * w_shape[1]


def temporal_conv_update_output(x, w, b, y, work, stride):
    """y <- the convolution of x with w, plus b.  See the reference."""
    rows = y.reshape(-1, w.shape[0])
    if _tiled(x.shape, w.shape, y.shape, stride):
        gemm(_as_rows(x, w, rows), w, rows, trans_b=True, bias=b)
        return
    for first, last, seen in _chunks(w, rows, work):
        _lay_out(first, last, x, seen, y.shape[1], w.shape[1] // x.shape[2], stride)
        gemm(seen, w, rows[first:last], trans_b=True, bias=b)


def temporal_conv_update_grad_input(dy, w, dx, work, stride):
    """dx <- the gradient of x.  See the reference."""
    rows = dy.reshape(-1, w.shape[0])
    if _tiled(dx.shape, w.shape, dy.shape, stride):
        gemm(rows, w, _as_rows(dx, w, rows))
        dx.reshape(-1)[rows.shape[0] * w.shape[1]:] = 0  # frames after the last window
        return
    dx.fill(0)
    for first, last, seen in _chunks(w, rows, work):
        gemm(rows[first:last], w, seen)
        _put_back(first, last, seen, dx, dy.shape[1], w.shape[1] // dx.shape[2], stride)


def temporal_conv_acc_grad_parameters(x, dy, dw, db, work, stride, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    rows = dy.reshape(-1, dw.shape[0])
    if _tiled(x.shape, dw.shape, dy.shape, stride):
        gemm(rows, _as_rows(x, dw, rows), dw, scale, 1.0, trans_a=True)
    else:
        for first, last, seen in _chunks(dw, rows, work):
            _lay_out(first, last, x, seen, dy.shape[1], dw.shape[1] // x.shape[2], stride)
            gemm(rows[first:last], seen, dw, scale, 1.0, trans_a=True)
    if db is not None:
        sum_rows(rows, db, scale)


def _tiled(x_shape, w_shape, y_shape, stride):
    """Whether the windows lie in memory one after the other."""
    N, T, F = x_shape
    k = w_shape[1] // F
    return k == stride and (N == 1 or y_shape[1] * k == T)


def _as_rows(x, w, rows):
    """The frames of tiled windows as they lie: (N * OT, k * F)."""
    return x.reshape(-1)[:rows.shape[0] * w.shape[1]].reshape(rows.shape[0], w.shape[1])


def _rows_at_once(count, size):
    """How many of *count* windows are laid out at a time: the same for any number of threads."""
    return max(1, min(count, _CHUNK // size))


def _chunks(w, rows, work):
    """Ranges first .. last of the windows, each with its part of *work* as a matrix (last - first, k * F)."""
    many = _rows_at_once(rows.shape[0], w.shape[1])
    for first in range(0, rows.shape[0], many):
        last = min(first + many, rows.shape[0])
        yield first, last, work[:(last - first) * w.shape[1]].reshape(last - first, w.shape[1])


def _lay_out(first, last, x, seen, OT, k, stride):
    N, T, F = x.shape
    threads.run(_gather, last - first, threads.grain(seen.shape[1], threads.ELEMENTS_PER_THREAD),
                first, x.reshape(-1), seen.reshape(-1), 1, T, F, OT, k, stride, 0, 1)


def _put_back(first, last, seen, dx, OT, k, stride):
    N, T, F = dx.shape
    n, samples = first // OT, (last - 1) // OT + 1 - first // OT
    threads.run(_scatter, samples, threads.grain(OT * seen.shape[1], threads.ELEMENTS_PER_THREAD),
                n, first, last, seen.reshape(-1), dx.reshape(-1), 1, T, F, OT, k, stride, 0, 1, True)


# -- frames that are planes --------------------------------------------------------------

def conv3d_work_size(x_shape, w_shape, y_shape, stride, pad, dilation=(1, 1, 1), groups=1):
    """How many elements of scratch the three kernels need.  See the reference."""
    if _flat(x_shape, w_shape, y_shape, pad):
        return 0
    images, maps = _as_2d(_frames_at_once(x_shape, w_shape, y_shape), x_shape, w_shape, y_shape)
    return _count(images) + _count(maps)


def conv3d_update_output(x, w, b, y, work, stride, pad, dilation=(1, 1, 1), groups=1):
    """y <- the convolution of x with w, plus b.  See the reference."""
    numbers = stride[1:], pad[1:], dilation[1:], groups
    if _flat(x.shape, w.shape, y.shape, pad):
        images, windows, maps = _merged(x), _merged(w), _merged(y)
        conv2d_update_output(images, windows, b, maps, *numbers)
        return
    for first, last, images, maps in _batches(x, w, y, work):
        _see(first, last, x, images, w, y, stride, pad, dilation)
        conv2d_update_output(images, _merged(w), b, maps, *numbers)
        _swap_frames(first, last, maps, y, into=True)


def conv3d_update_grad_input(dy, w, dx, work, stride, pad, dilation=(1, 1, 1), groups=1):
    """dx <- the gradient of x.  See the reference."""
    numbers = stride[1:], pad[1:], dilation[1:], groups
    if _flat(dx.shape, w.shape, dy.shape, pad):
        conv2d_update_grad_input(_merged(dy), _merged(w), _merged(dx), *numbers)
        return
    dx.fill(0)
    for first, last, images, maps in _batches(dx, w, dy, work):
        _swap_frames(first, last, maps, dy, into=False)
        conv2d_update_grad_input(maps, _merged(w), images, *numbers)
        _unsee(first, last, images, dx, w, dy, stride, pad, dilation)


def conv3d_acc_grad_parameters(x, dy, dw, db, work, stride, pad, dilation=(1, 1, 1), groups=1, scale=1.0):
    """dw and db <- themselves + scale times the gradients of w and b.  See the reference."""
    numbers = stride[1:], pad[1:], dilation[1:], groups, scale
    if _flat(x.shape, dw.shape, dy.shape, pad):
        conv2d_acc_grad_parameters(_merged(x), _merged(dy), _merged(dw), db, *numbers)
        return
    for first, last, images, maps in _batches(x, dw, dy, work):
        _see(first, last, x, images, dw, dy, stride, pad, dilation)
        _swap_frames(first, last, maps, dy, into=False)
        conv2d_acc_grad_parameters(images, maps, _merged(dw), db, *numbers)


def _flat(x_shape, w_shape, y_shape, pad):
    """Whether one window sees all frames in their order."""
    return y_shape[2] == 1 and w_shape[2] == x_shape[2] and pad[0] == 0


def _merged(volume):
    """(A, B, T, H, W) as (A, B * T, H, W): frames beside channels."""
    A, B, T, H, W = volume.shape
    return volume.reshape(A, B * T, H, W)


def _as_2d(many, x_shape, w_shape, y_shape):
    """The shapes of the images and the results of *many* frames of y."""
    O, _, kt = w_shape[:3]
    return (many, x_shape[1] * kt, *x_shape[3:]), (many, O, *y_shape[3:])


def _frames_at_once(x_shape, w_shape, y_shape):
    """How many frames of y are made at a time: the same for any number of threads."""
    image, result = _as_2d(1, x_shape, w_shape, y_shape)
    fitting = _CHUNK // max(1, _count(image) + _count(result))
    return max(1, min(y_shape[0] * y_shape[2], max(fitting, _IMAGES)))


def _count(shape):
    return shape[0] * shape[1] * shape[2] * shape[3]


def _batches(x, w, y, work):
    """Ranges of frames of y, each with its images and its results, both in *work*."""
    total, many = y.shape[0] * y.shape[2], _frames_at_once(x.shape, w.shape, y.shape)
    for first in range(0, total, many):
        last = min(first + many, total)
        images, maps = _as_2d(last - first, x.shape, w.shape, y.shape)
        a, b = _count(images), _count(images) + _count(maps)
        yield first, last, work[:a].reshape(images), work[a:b].reshape(maps)


def _see(first, last, x, images, w, y, stride, pad, dilation):
    """images <- for frames first .. last of y, counted over all samples, the frames of x that they see."""
    _, C, T, H, W = x.shape
    threads.run(_gather, last - first, threads.grain(images[0].size, threads.ELEMENTS_PER_THREAD),
                first, x.reshape(-1), images.reshape(-1), C, T, H * W, y.shape[2], w.shape[2],
                stride[0], pad[0], dilation[0])


def _unsee(first, last, images, dx, w, y, stride, pad, dilation):
    """dx <- itself + the images, frame by frame: the adjoint of _see."""
    _, C, T, H, W = dx.shape
    OT = y.shape[2]
    n, samples = first // OT, (last - 1) // OT + 1 - first // OT
    threads.run(_scatter, samples * C, threads.grain(OT * w.shape[2] * H * W, threads.ELEMENTS_PER_THREAD),
                n, first, last, images.reshape(-1), dx.reshape(-1), C, T, H * W, OT, w.shape[2],
                stride[0], pad[0], dilation[0], True)


def _swap_frames(first, last, maps, y, into):
    """Copy frames first .. last between y (N, O, OT, ...) and maps (frames, O, ...), *into* y or out of it."""
    N, O, OT, OH, OW = y.shape
    if into:
        n, samples = first // OT, (last - 1) // OT + 1 - first // OT
        threads.run(_scatter, samples * O, threads.grain(OT * OH * OW, threads.ELEMENTS_PER_THREAD),
                    n, first, last, maps.reshape(-1), y.reshape(-1), O, OT, OH * OW, OT, 1, 1, 0, 1, False)
    else:
        threads.run(_gather, last - first, threads.grain(O * OH * OW, threads.ELEMENTS_PER_THREAD),
                    first, y.reshape(-1), maps.reshape(-1), O, OT, OH * OW, OT, 1, 1, 0, 1)


# -- the kernels: everything flat, a frame has S elements ---------------------------------

@jit
def _gather(start, stop, first, x, out, C, T, S, OT, kt, st, pt, dt):
    """Rows start .. stop of out (rows, C, kt, S) <- what window first + row of x (N, C, T, S) sees."""
    for q in range(start, stop):
        n, t = (first + q) // OT, (first + q) % OT * st - pt
        for c in range(C):
            source, target = x[(n * C + c) * T * S:], out[(q * C + c) * kt * S:]
            if dt == 1 and t >= 0 and t + kt <= T:
                run = source[t * S:]
                for s in range(kt * S):
                    target[s] = run[s]
            else:
                for k in range(kt):
                    line, frame = target[k * S:], t + k * dt
                    if frame < 0 or frame >= T:
                        line[:S] = 0
                    else:
                        run = source[frame * S:]
                        for s in range(S):
                            line[s] = run[s]


@jit
def _scatter(start, stop, n0, first, last, rows, x, C, T, S, OT, kt, st, pt, dt, add):
    """The adjoint of _gather, over items (sample, channel), which are independent of each other.

    The windows are first .. last of all; with *add* False they do not overlap, and x is
    assigned instead of added to.
    """
    for item in range(start, stop):
        n, c = n0 + item // C, item % C
        target = x[(n * C + c) * T * S:]
        for q in range(max(first, n * OT), min(last, (n + 1) * OT)):
            source, t = rows[((q - first) * C + c) * kt * S:], q % OT * st - pt
            for k in range(kt):
                frame = t + k * dt
                if frame >= 0 and frame < T:
                    line, run = target[frame * S:], source[k * S:]
                    if add:
                        for s in range(S):
                            line[s] += run[s]
                    else:
                        for s in range(S):
                            line[s] = run[s]
