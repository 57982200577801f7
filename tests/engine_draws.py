"""Random calls of the CPU kernels, each compared with the reference: for test_engine.py and soak_engine.py.

A draw takes sizes around the edges of tiles and blocks, layouts (transposed, with gaps, backwards,
off every alignment), special values, and puts the output between guard bytes.  One in three divides
its kernels over as many threads as they can be divided over.
"""
import contextlib

import numpy as np

from nnmod.kernels import cpu, reference
from nnmod.kernels.cpu import gemm, recurrent, sum_rows, threads

GUARD = 0xA5
#: Tiles are 4 to 14 rows, vectors 2 to 16 numbers, blocks of the common dimension 256.
EDGES = [0, 1, 2, 3, 4, 6, 7, 8, 14, 16, 17, 24, 32, 33, 48, 96, 126, 256, 257]
NUMBERS = [0.0, 1.0, 1.0, -1.0, 0.5, 2.0]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0]


@contextlib.contextmanager
def some_threads(rng):
    """The kernels within run on some threads, or are divided as finely as they can be."""
    before = threads.get_num_threads(), threads.FLOPS_PER_THREAD, threads.ELEMENTS_PER_THREAD
    try:
        if rng.random() < 0.33:
            threads.set_num_threads(int(rng.integers(1, 5)))
            threads.FLOPS_PER_THREAD = threads.ELEMENTS_PER_THREAD = int(rng.choice([1, 100, 5000]))
        yield
    finally:
        threads.FLOPS_PER_THREAD, threads.ELEMENTS_PER_THREAD = before[1:]
        threads.set_num_threads(before[0])


def size(rng, most):
    """A size up to *most*: an edge and its neighbours, or any."""
    if rng.random() < 0.5:
        return int(min(most, max(0, rng.choice(EDGES) + rng.integers(-1, 2))))
    return int(rng.integers(0, most + 1))


def matrix(rng, rows, columns, dtype):
    """A matrix of normal numbers, laid out in one of many ways."""
    kind = rng.choice(["dense", "dense", "gaps", "transposed", "every second", "backwards", "misaligned"])
    values = rng.standard_normal((rows, columns)).astype(dtype)
    if kind == "gaps":
        wide = np.full((rows, columns + int(rng.integers(1, 9))), np.nan, dtype)
        made = wide[:, int(rng.integers(0, wide.shape[1] - columns + 1)):][:, :columns]
    elif kind == "transposed":
        made = np.empty((columns, rows), dtype).T
    elif kind == "every second":
        made = np.full((rows, 2 * columns), np.nan, dtype)[:, ::2]
    elif kind == "backwards":
        made = np.empty((rows, columns), dtype)[::-1, ::-1]
    elif kind == "misaligned":
        start = int(rng.integers(1, 16))
        made = np.empty(rows * columns + start, dtype)[start:].reshape(rows, columns)
    else:
        made = np.empty((rows, columns), dtype)
    made[...] = values
    return made


def guarded(rng, rows, columns, dtype):
    """An output between guard bytes, and a function that tells whether they are whole."""
    gap = int(rng.choice([0, 0, 1, 5, 16]))
    before = int(rng.integers(1, 20))
    item = np.dtype(dtype).itemsize
    raw = np.full((before + rows * (columns + gap) + 40) * item, GUARD, np.uint8)
    space = raw.view(dtype)[before:before + rows * (columns + gap)].reshape(rows, columns + gap)
    out = space[:, :columns]
    if rng.random() < 0.1 and rows == columns:
        out = out.T

    def whole():
        keep = out.copy()
        out.view(np.uint8 if item == 1 else f"u{item}")[...] = int.from_bytes(bytes([GUARD] * item), "little")
        unharmed = bool((raw == GUARD).all())
        out[...] = keep
        return unharmed

    return out, whole


def spoil(rng, *tensors):
    """Put a few special values somewhere."""
    for tensor in tensors:
        if tensor.size and rng.random() < 0.5:
            tensor[tuple(int(rng.integers(0, n)) for n in tensor.shape)] = rng.choice(SPECIAL)


def draw_gemm(rng, work=2_000_000):
    """One product; an error's text, or None."""
    dtype = rng.choice([np.float32, np.float64])
    M, N, K = size(rng, 300), size(rng, 300), size(rng, 700)
    while M * N * K > work:
        M, N, K = sorted((M, N, K), key=lambda _: rng.random())
        M //= 2
    trans_a, trans_b = bool(rng.integers(2)), bool(rng.integers(2))
    a = matrix(rng, *((K, M) if trans_a else (M, K)), dtype)
    b = matrix(rng, *((N, K) if trans_b else (K, N)), dtype)
    c, whole = guarded(rng, M, N, dtype)
    alpha, beta = float(rng.choice(NUMBERS)), float(rng.choice(NUMBERS))
    bias = rng.standard_normal(N).astype(dtype) if rng.random() < 0.5 else None
    special = rng.random() < 0.2
    if special:
        spoil(rng, a, b, *([bias] if bias is not None else []))
    c[...] = np.nan if beta == 0 else rng.standard_normal((M, N))
    what = (f"gemm {np.dtype(dtype).name} {M}x{K}x{N} trans {trans_a} {trans_b} alpha {alpha} beta {beta} "
            f"bias {bias is not None} strides {a.strides} {b.strides} {c.strides} special {special}")

    wide = [None if x is None else x.astype(np.float64) for x in (a, b, c, bias)]
    expected = np.where(np.isnan(wide[2]), 0, wide[2]) if beta == 0 else wide[2].copy()
    reference.gemm(wide[0], wide[1], expected, alpha, beta, trans_a, trans_b, wide[3])
    bound = np.abs(expected) if beta == 0 else np.abs(wide[2])
    finite = [None if x is None else np.nan_to_num(np.abs(x), posinf=0, neginf=0) for x in (wide[0], wide[1], wide[3])]
    scale = np.zeros((M, N))
    reference.gemm(finite[0], finite[1], scale, abs(alpha), 0.0, trans_a, trans_b, finite[2])
    if beta != 0:
        scale += abs(beta) * bound
    gemm(a, b, c, alpha, beta, trans_a, trans_b, bias)
    return compared(what, c, expected, (K + 8) * np.finfo(dtype).eps * scale) or (
        None if whole() else f"{what}: wrote outside its output")


def draw_sum_rows(rng):
    """One sum over rows; an error's text, or None."""
    dtype = rng.choice([np.float32, np.float64])
    N, F = size(rng, 300), size(rng, 300)
    x, scale = matrix(rng, N, F, dtype), float(rng.choice(NUMBERS))
    (row, whole) = guarded(rng, 1, F, dtype)
    row[...] = rng.standard_normal((1, F))
    expected = row[0].astype(np.float64)
    bound = np.abs(expected) + abs(scale) * np.abs(x.astype(np.float64)).sum(axis=0)
    reference.sum_rows(x.astype(np.float64), expected, scale)
    sum_rows(x, row[0], scale)
    what = f"sum_rows {np.dtype(dtype).name} {N}x{F} scale {scale} strides {x.strides}"
    return compared(what, row[0], expected, (N + 8) * np.finfo(dtype).eps * bound) or (
        None if whole() else f"{what}: wrote outside its output")


def block(rng, shape, dtype):
    """An array between guard bytes, without gaps, and a function that tells whether they are whole."""
    before, count = int(rng.integers(1, 20)), int(np.prod(shape))
    raw = np.empty(before + count + 40, dtype)
    raw.view(np.uint8)[...] = GUARD
    return raw[before:before + count].reshape(shape), lambda: bool(
        (raw[:before].view(np.uint8) == GUARD).all() and (raw[before + count:].view(np.uint8) == GUARD).all())


def draw_pool(rng):
    """The maxima of one set of planes, and where they are; an error's text, or None."""
    dtype = rng.choice([np.float32, np.float64])
    squares = rng.random() < 0.6
    kernel, stride = ((1, 2, 2), (1, 2, 2)) if squares else (
        tuple((1, *rng.integers(1, 5, 2).tolist())), tuple((1, *rng.integers(1, 4, 2).tolist())))
    P, H, W = int(rng.integers(1, 5)), *(int(n) for n in rng.integers(4, 45, 2))
    x = rng.integers(-3, 4, (P, 1, H, W)).astype(dtype)
    for value in (np.nan, -np.inf):
        x[rng.random(x.shape) < rng.choice([0, 0, 0.1, 0.8])] = value
    shape = (P, 1, (H - kernel[1]) // stride[1] + 1, (W - kernel[2]) // stride[2] + 1)
    (y, y_whole), (places, places_whole) = block(rng, shape, dtype), block(rng, shape, np.int32)
    right, where = np.empty(shape, dtype), np.empty(shape, np.int32)
    numbers = kernel, stride, (0, 0, 0), (1, 1, 1)
    cpu.max_pool_update_output(x, y, places, *numbers)
    reference.max_pool_update_output(x, right, where, *numbers)
    what = f"max_pool {np.dtype(dtype).name} {x.shape} kernel {kernel} stride {stride}"
    return compared(what, y, right, 0) or compared(f"{what}: places", places, where, 0) or (
        None if y_whole() and places_whole() else f"{what}: wrote outside its output")


def draw_fused(rng):
    """A convolution or a product with its end, a normalisation, an activation; an error's text, or None."""
    dtype = rng.choice([np.float32, np.float64])
    O, activation = int(rng.choice([1, 2, 5, 8, 17, 50])), int(rng.integers(0, 6))
    low, high = ((0.2, 0.0) if activation == 2 else (-0.5, 0.75))
    norm = rng.standard_normal((3, O)).astype(dtype) if rng.random() < 0.5 else None
    b = rng.standard_normal(O).astype(dtype) if rng.random() < 0.5 else None
    wide = [None if t is None else t.astype(np.float64) for t in (b, norm)]
    if rng.random() < 0.3:
        N, K = int(rng.integers(1, 20)), int(rng.integers(1, 300))
        x, w = rng.standard_normal((N, K)).astype(dtype), rng.standard_normal((O, K)).astype(dtype)
        y, whole = block(rng, (N, O), dtype)
        spoil(rng, x)
        right = np.empty(y.shape)
        cpu.linear_fused_update_output(x, w, b, norm, y, activation, low, high)
        reference.linear_fused_update_output(x.astype(np.float64), w.astype(np.float64), *wide, right, activation, low,
                                             high)
    else:
        C, k, pad = int(rng.choice([1, 2, 3, 8, 9, 20])), int(rng.integers(1, 6)), int(rng.integers(0, 3))
        N, H, W = int(rng.integers(1, 3)), *(int(n) for n in rng.integers(k, 20, 2))
        x, w = rng.standard_normal((N, C, H, W)).astype(dtype), rng.standard_normal((O, C, k, k)).astype(dtype)
        y, whole = block(rng, (N, O, H + 2 * pad - k + 1, W + 2 * pad - k + 1), dtype)
        numbers = (1, 1), (pad, pad)
        size = cpu.conv2d_kept_size(x.shape, w.shape, y.shape, *numbers, dtype=np.dtype(dtype).name)
        right = np.empty(y.shape)
        kept = np.zeros(size, np.uint8) if size else None
        cpu.conv2d_fused_update_output(x, w, b, norm, y, kept, *numbers, (1, 1), 1, activation, low, high)
        reference.conv2d_fused_update_output(x.astype(np.float64), w.astype(np.float64), *wide, right, None, *numbers,
                                             (1, 1), 1, activation, low, high)
    what = f"fused {np.dtype(dtype).name} {x.shape} {w.shape} activation {activation} norm {norm is not None}"
    bound = np.abs(right[np.isfinite(right)]).max(initial=1.0)
    tolerance = (2e-5 * 30 if dtype == np.float32 else 1e-11) * max(bound, w[0].size)
    return compared(what, y, right, tolerance) or (None if whole() else f"{what}: wrote outside its output")


def draw_sequence(rng):
    """An LSTM over a sequence, forward and backward; an error's text, or None."""
    dtype = rng.choice([np.float32, np.float64])
    T, N, D, H = int(rng.integers(1, 8)), int(rng.integers(1, 42)), int(rng.integers(1, 20)), int(rng.integers(1, 80))
    N = int(rng.choice([1, 2, N]))  # of a few rows each step's product is divided
    first = last = None
    if rng.random() < 0.5:
        first = rng.integers(0, T, N)
        last = rng.integers(first, T + 1)
    x, dy = rng.standard_normal((T, N, D)).astype(dtype), rng.standard_normal((T, N, H)).astype(dtype)
    w = (rng.standard_normal((D + H, 4 * H)) / np.sqrt(D + H)).astype(dtype)
    b = rng.standard_normal(4 * H).astype(dtype)
    start = rng.standard_normal((2, N, H)).astype(dtype)
    shapes = {"gates": (T, N, 4 * H), "h": (T + 1, N, H), "c": (T + 1, N, H), "y": (T, N, H), "dz": (T, N, 4 * H),
              "dm": (N, H), "dh": (N, H), "dc": (N, H), "dx": (T, N, D)}
    found, whole, usual = {}, {}, (recurrent._BAND_STEPS, recurrent._BAND_BYTES)
    for name, shape in shapes.items():
        found[name], whole[name] = block(rng, shape, dtype)
    right = {name: np.empty(shape) for name, shape in shapes.items()}
    for kernels, t, cast in ((cpu, found, dtype), (reference, right, np.float64)):
        t["h"][0], t["c"][0] = start
        t["dh"][...] = t["dc"][...] = 0
        x_, w_, b_, dy_ = (value.astype(cast) for value in (x, w, b, dy))
        masked = first is not None
        if rng.random() < 0.5:  # as of long sequences and large matrices
            recurrent._BAND_STEPS, recurrent._BAND_BYTES = 1, 0
        kernels.lstm_update_output(x_, w_, b_, None, None, first, last, t["gates"], t["h"], t["c"], None,
                                   t["y"] if masked else None)
        kernels.lstm_update_grad_input(t["gates"], t["c"], w_, None, None, first, last, dy_, t["dz"], None, t["dm"],
                                       t["dh"], t["dc"], t["dx"])
        recurrent._BAND_STEPS, recurrent._BAND_BYTES = usual
    what = f"lstm {np.dtype(dtype).name} T {T} N {N} D {D} H {H} masked {masked}"
    for name in ("h", "c", "dz", "dh", "dc", "dx") + (("y",) if masked else ()):
        tolerance = 3000 * np.finfo(dtype).eps * np.abs(right[name]).max(initial=1.0)
        error = compared(f"{what}: {name}", found[name], right[name], tolerance)
        if error or not whole[name]():
            return error or f"{what}: wrote outside {name}"
    return None


def compared(what, found, expected, tolerance):
    """None, or where *found* is not what was *expected*: NaN and infinities in their places too."""
    with np.errstate(invalid="ignore"):
        right = (np.abs(found - expected) <= tolerance) | (found == expected) | (np.isnan(found) & np.isnan(expected))
    if right.all():
        return None
    place = tuple(int(n) for n in np.argwhere(~right)[0])
    return f"{what}: at {place} {found[place]!r}, expected {expected[place]!r}"


DRAWS = [draw_gemm] * 9 + [draw_sum_rows, draw_pool, draw_fused, draw_sequence]


def run(seed, count=None, seconds=None):
    """Draw until the count or the time is over; how many were drawn, and the errors' texts."""
    import time
    end = None if seconds is None else time.monotonic() + seconds
    done, errors = 0, []
    while (count is None or done < count) and (end is None or time.monotonic() < end) and len(errors) < 10:
        rng = np.random.default_rng([seed, done])
        with some_threads(np.random.default_rng([seed, done, 1])):
            error = DRAWS[int(rng.integers(len(DRAWS)))](rng)
        if error:
            errors.append(f"seed {seed}, draw {done}: {error}")
        done += 1
    return done, errors
