"""Random convolutions on the CPU kernels, each compared with the reference in float64.

A draw takes a method, sizes around the edges of vectors and tiles, strides, padding, dilation
and groups, and puts every output between guard bytes; some inputs hold a NaN or an infinity.
"""
import numpy as np
from engine_draws import some_threads

from nnmod import kernels
from nnmod.kernels import cpu, reference

GUARD = 0xA5
METHODS = [None, None, "im2col", "1x1", "depthwise", "winograd", "winograd"]


def guarded(rng, shape, dtype):
    """An array between guard bytes, off every alignment, and a function that tells whether they are whole."""
    count, before = int(np.prod(shape)), int(rng.integers(1, 20))
    item = np.dtype(dtype).itemsize
    raw = np.full((before + count + 40) * item, GUARD, np.uint8)
    out = raw.view(dtype)[before:before + count].reshape(shape)
    return out, lambda: bool((raw[:before * item] == GUARD).all() and (raw[(before + count) * item:] == GUARD).all())


def shapes(rng, method):
    """Random shapes of x, w and y, and stride, pad, dilation, groups, that *method* is often able to compute."""
    def some(low, high):
        return tuple(int(n) for n in rng.integers(low, high, 2))

    while True:
        kernel, stride, pad, dilation = some(1, 6), some(1, 4), some(0, 4), some(1, 4)
        groups = int(rng.choice([1, 1, 1, 2, 3]))
        inner = int(rng.choice([1, 2, 3, 8, 9, 16, 17, 40]))
        outer = int(rng.choice([1, 2, 5, 6, 7, 8, 15, 16, 17, 33, 50]))
        if rng.random() < 0.5:
            stride = dilation = 1, 1
        if method == "1x1":
            kernel, pad = (1, 1), (0, 0)
        elif method == "depthwise":
            groups, inner, outer = int(rng.integers(2, 12)), 1, int(rng.integers(1, 4))
        elif method == "winograd":
            side = int(rng.choice([3, 3, 5]))
            kernel, stride, dilation, pad, groups = (side, side), (1, 1), (1, 1), some(0, side), 1
        x_shape = (int(rng.integers(1, 4)), groups * inner, *some(1, 40 if groups * inner < 10 else 20))
        size = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1
                     for n, k, s, p, d in zip(x_shape[2:], kernel, stride, pad, dilation))
        if min(size) > 0:
            y_shape = (x_shape[0], groups * outer, *size)
            return x_shape, (groups * outer, inner, *kernel), y_shape, (stride, pad, dilation, groups)


def draw(rng):
    """One convolution, its three verbs; an error's text, or None."""
    method = METHODS[int(rng.integers(len(METHODS)))]
    x_shape, w_shape, y_shape, numbers = shapes(rng, method)
    dtype = np.float32 if method == "winograd" or rng.random() < 0.5 else np.float64
    x, w, b, dy = (rng.standard_normal(shape).astype(dtype) for shape in (x_shape, w_shape, w_shape[:1], y_shape))
    special = None
    if rng.random() < 0.3:
        special = str(rng.choice(["x", "w", "dy"]))
        spoiled = {"x": x, "w": w, "dy": dy}[special]
        spoiled[tuple(int(rng.integers(n)) for n in spoiled.shape)] = rng.choice([np.nan, np.inf])
    bias = None if rng.random() < 0.3 else b
    scale = float(rng.choice([1.0, -0.5]))
    y, y_whole = guarded(rng, y_shape, dtype)
    dx, dx_whole = guarded(rng, x_shape, dtype)
    dw, dw_whole = guarded(rng, w_shape, dtype)
    db, db_whole = guarded(rng, w_shape[:1], dtype)
    y.fill(np.nan), dx.fill(np.nan), dw.fill(0.5), db.fill(-0.5)
    kernels.setconv2dmethod(method)
    try:
        taken = cpu.conv2d_method(x_shape, w_shape, y_shape, *numbers, dtype=dtype)
        cpu.conv2d_update_output(x, w, bias, y, *numbers)
        cpu.conv2d_update_grad_input(dy, w, dx, *numbers)
        cpu.conv2d_acc_grad_parameters(x, dy, dw, None if bias is None else db, *numbers, scale=scale)
    finally:
        kernels.setconv2dmethod(None)
    what = (f"{taken} {np.dtype(dtype).name} {x_shape} {w_shape} stride, pad, dilation, groups {numbers} "
            f"bias {bias is not None} special {special}")

    wide = [a.astype(np.float64) for a in (x, w, b, dy)]
    expected = [np.empty(y_shape), np.empty(x_shape), np.full(w_shape, 0.5), np.full(w_shape[:1], -0.5)]
    bounds = [np.empty(y_shape), np.empty(x_shape), np.full(w_shape, 0.5), np.full(w_shape[:1], 0.5)]
    for (a, u, v, d), outs, factor in ((wide, expected, scale),
                                       ([np.nan_to_num(np.abs(t), posinf=0) for t in wide], bounds, abs(scale))):
        reference.conv2d_update_output(a, u, None if bias is None else v, outs[0], *numbers)
        reference.conv2d_update_grad_input(d, u, outs[1], *numbers)
        reference.conv2d_acc_grad_parameters(a, d, outs[2], None if bias is None else outs[3], *numbers,
                                             scale=factor)
    terms = w[0].size, w[:, 0].size, dy[:, 0].size, dy[:, 0].size
    for name, found, right, bound, count, whole in zip(("y", "dx", "dw", "db"), (y, dx, dw, db), expected, bounds, terms,
                                                       (y_whole, dx_whole, dw_whole, db_whole)):
        if not whole():
            return f"{what}: wrote outside {name}"
        tolerance = (count + 8) * np.finfo(dtype).eps * bound
        if taken == "winograd" and name != "db":
            finite = right[np.isfinite(right)]
            tolerance = 2e-5 * max(1.0 if name == "dw" else 0.0, np.abs(finite).max(initial=0.0))
        # Winograd sums whole tiles, and a weight may meet padding: what is not finite may reach more than it must.
        read = {"y": ("x", "w"), "dx": ("dy", "w"), "dw": ("x", "dy"), "db": ()}[name]
        spreads = special in read and (taken == "winograd" or (special, name) == ("w", "dx"))
        error = wrong(found, right, tolerance, spreads)
        if error:
            return f"{what}: {name} {error}"
    return None


def wrong(found, expected, tolerance, spreads):
    """None, or where *found* is not as expected; *spreads*: a NaN may reach more than it must."""
    with np.errstate(invalid="ignore"):
        right = (np.abs(found - expected) <= tolerance) | (found == expected) | (np.isnan(found) & np.isnan(expected))
    if spreads:
        right |= np.isnan(found)
    if right.all():
        return None
    place = tuple(int(n) for n in np.argwhere(~right)[0])
    return f"at {place} {found[place]!r}, expected {expected[place]!r}"


def run(seed, count):
    """How many were drawn, and the errors' texts."""
    errors = []
    for number in range(count):
        with some_threads(np.random.default_rng([seed, number, 1])):
            error = draw(np.random.default_rng([seed, number]))
        if error:
            errors.append(f"seed {seed}, draw {number}: {error}")
        if len(errors) == 5:
            return number + 1, errors
    return count, errors
