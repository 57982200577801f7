"""Matrix products and convolutions on the emulated GPU beside the reference: every tile, every edge."""
import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from nnmod.kernels import cuda, reference
from nnmod.kernels.cuda import convolution, division, linear, tiles
from test_cuda_modules import stays_in_float32  # noqa: F401  reads the PTX of what is launched here, too

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
TILES = [(tile, dtype) for tile in (tiles.LARGE, tiles.MIDDLE, tiles.SMALL) for dtype in ("float32", "float64")
         if (tile, dtype) != (tiles.LARGE, "float64")]
each_tile = pytest.mark.parametrize("tile, dtype", TILES, ids=lambda v: getattr(v, "name", v))
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


def numbers(seed, dtype, *shape):
    """The same numbers for the same seed."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def unwritten(dtype, *shape):
    """An output: what nobody writes stays NaN."""
    return np.full(shape, np.nan, dtype)


def compare(name, arguments, outputs):
    """Call a kernel of both backends with equal arguments; compare the arguments that are outputs, and a second run."""
    ours, again, theirs = arguments(), arguments(), arguments()
    getattr(cuda, name)(*ours)
    getattr(cuda, name)(*again)
    getattr(reference, name)(*theirs)
    for k in outputs:
        if ours[k] is not None:
            assert ours[k].tobytes() == again[k].tobytes(), f"{name}: two runs differ"
            tolerance = TOLERANCE.get(ours[k].dtype.name, 0)
            finite = np.abs(theirs[k][np.isfinite(theirs[k])])
            largest = finite.max(initial=1)
            np.testing.assert_allclose(ours[k], theirs[k], rtol=tolerance, atol=tolerance * largest, err_msg=name)


@pytest.fixture
def take(monkeypatch):
    """Have every product take a tile, with its depth in so many parts."""
    def of(tile, parts):
        monkeypatch.setattr(tiles, "choose", lambda *args: (tile, parts))
        monkeypatch.setattr(linear, "FEW_ROWS", 0)
    return of


# -- matrix products ---------------------------------------------------------------------------

SIZES = [(1, 1, 1), (5, 7, 3), (130, 66, 9), (128, 132, 24), (37, 140, 50), (8, 8, 0)]


@each_tile
@pytest.mark.parametrize("parts", [1, 3])
def test_gemm_in_every_tile(tile, dtype, parts, take):
    take(tile, parts)
    for n, (M, N, K) in enumerate(SIZES):
        for trans_a in (False, True):
            for trans_b in (False, True):
                plain = (n + trans_a) % 2
                a = numbers(1, dtype, *((K, M) if trans_a else (M, K)))
                b = numbers(2, dtype, *((N, K) if trans_b else (K, N)))
                compare("gemm", lambda: (
                    a, b, unwritten(dtype, M, N) if plain else numbers(3, dtype, M, N), 1.0 if plain else 0.5,
                    0.0 if plain else 2.0, trans_a, trans_b, None if trans_b else numbers(4, dtype, N)), [2])


@each_dtype
def test_gemm_of_few_rows(dtype):
    for M, N, K in ((1, 1, 1), (1, 9, 70), (2, 5, 132), (3, 33, 4), (4, 6, 131)):
        compare("gemm", lambda: (numbers(1, dtype, M, K), numbers(2, dtype, N, K), numbers(3, dtype, M, N), 0.5, 2.0,
                                 False, True, numbers(4, dtype, N)), [2])
        compare("gemm", lambda: (numbers(1, dtype, M, K), numbers(2, dtype, N, K), unwritten(dtype, M, N), 1.0, 0.0,
                                 False, True), [2])


def test_gemm_of_memory_that_is_not_aligned():
    memory = numbers(1, "float32", 70 * 64 + 1)
    shifted = memory[1:].reshape(70, 64)
    c = unwritten("float32", 70 * 70 + 3)[3:].reshape(70, 70)
    cuda.gemm(shifted, shifted, c, 1.0, 0.0, False, True)
    np.testing.assert_allclose(c, shifted @ shifted.T, rtol=1e-5, atol=1e-4)


@each_dtype
def test_batch_gemm(dtype):
    for B, M, N, K in ((3, 4, 6, 5), (1, 33, 40, 8), (2, 1, 1, 1), (0, 3, 3, 3), (5, 36, 32, 16)):
        for trans_a in (False, True):
            a = numbers(1, dtype, B, *((K, M) if trans_a else (M, K)))
            b = numbers(2, dtype, B, N, K)
            compare("batch_gemm", lambda: (a, b, unwritten(dtype, B, M, N), trans_a, True), [2])


@each_dtype
def test_sum_rows(dtype):
    for N, F in ((1, 1), (5, 33), (3000, 40), (5000, 3), (0, 4), (4, 0)):
        compare("sum_rows", lambda: (numbers(1, dtype, N, F), numbers(2, dtype, F), 0.5), [1])


def test_what_is_empty_is_left_alone():
    for shape in ((0, 4), (4, 0)):
        cuda.gemm(numbers(1, "float32", shape[0], 3), numbers(1, "float32", 3, shape[1]), unwritten("float32", *shape))


def test_nan_and_infinity_reach_their_row_and_column_alone():
    a, b = numbers(1, "float32", 40, 20), numbers(2, "float32", 20, 40)
    a[3, 4], b[5, 6] = np.nan, np.inf
    compare("gemm", lambda: (a, b, unwritten("float32", 40, 40)), [2])


def test_choice_of_tiles():
    assert tiles.choose(4096, 4096, 4096, "float32") == (tiles.LARGE, 1)
    assert tiles.choose(4096, 4096, 4096, "float64") == (tiles.MIDDLE, 1)
    assert tiles.choose(64, 64, 64, "float32") == (tiles.SMALL, 1)
    assert tiles.choose(512, 1024, 64, "float32") == (tiles.MIDDLE, 1)
    tile, parts = tiles.choose(64, 576, 100_000, "float32")
    assert parts > 1, "a long sum into few elements is cut"
    for depth, parts in ((1, 1), (100, 3), (4097, 64)):
        assert tiles.share(depth, parts) * parts >= depth and tiles.share(depth, parts) % tiles.DEPTH == 0


def test_division_by_multiplication():
    """Every divisor's worst dividends: below and at its multiples, and the largest."""
    rng = np.random.default_rng(1)
    for divisor in [*range(1, 300), *rng.integers(300, 2**31 - 1, 300).tolist(), 2**31 - 1]:
        d, factor, shift = map(int, division.magic(divisor))
        top = 2**31 - 1
        for n in (0, 1, divisor - 1, divisor, top, top // divisor * divisor, top // divisor * divisor - 1):
            if 0 <= n <= top:
                assert (n * factor) >> shift == n // d
        assert factor < 2**32


# -- convolution ---------------------------------------------------------------------------------

#: N, C, H, W, O, kernel, stride, pad, dilation, groups
CONVOLUTIONS = [
    (2, 3, 8, 9, 5, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (1, 4, 11, 7, 6, (3, 2), (2, 3), (2, 0), (1, 1), 2),
    (3, 2, 12, 12, 4, (5, 3), (1, 2), (2, 1), (2, 2), 1),
    (2, 6, 5, 5, 6, (1, 1), (2, 2), (0, 0), (1, 1), 1),
    (2, 4, 9, 9, 4, (3, 3), (3, 2), (1, 1), (2, 1), 4),
    (1, 1, 1, 1, 1, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    (2, 8, 12, 12, 140, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    (2, 4, 4, 4, 8, (1, 1), (4, 4), (0, 0), (1, 1), 1),
]


def compare_convolution(dtype, N, C, H, W, O, kernel, *geometry):
    """All three verbs."""
    stride, pad, dilation, groups = geometry
    out = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip((H, W), pad, dilation, kernel, stride)]
    x, w, dy = numbers(1, dtype, N, C, H, W), numbers(2, dtype, O, C // groups, *kernel), numbers(3, dtype, N, O, *out)
    bias = None if groups == 2 else numbers(4, dtype, O)
    compare("conv2d_update_output", lambda: (x, w, bias, unwritten(dtype, *dy.shape), *geometry), [3])
    compare("conv2d_update_grad_input", lambda: (dy, w, unwritten(dtype, *x.shape), *geometry), [2])
    compare("conv2d_acc_grad_parameters", lambda: (
        x, dy, w.copy(), None if bias is None else bias.copy(), *geometry, 0.5), [2, 3])


@each_tile
@pytest.mark.parametrize("parts", [1, 3])
def test_convolution_in_every_tile(tile, dtype, parts, take):
    take(tile, parts)
    for geometry in CONVOLUTIONS:
        compare_convolution(dtype, *geometry)


@each_dtype
def test_convolution_with_the_tile_of_its_choice(dtype):
    compare_convolution(dtype, 0, 3, 5, 5, 4, (3, 3), (1, 1), (1, 1), (1, 1), 1)
    compare_convolution(dtype, 16, 2, 16, 16, 3, (3, 3), (1, 1), (1, 1), (1, 1), 1)


def test_phases_of_a_stride_cover_every_tap_once():
    for size, taps, stride, pad, dilation in ((7, 3, 2, 1, 1), (9, 5, 3, 2, 2), (5, 1, 4, 0, 1), (8, 4, 4, 0, 2),
                                              (3, 2, 5, 1, 1)):
        seen = set()
        phases = convolution._phases(size, taps, stride, pad, dilation)
        for first, count, tap, step, tap_count, (one, back, start) in phases:
            assert one == 1
            for u in range(count):
                for t in range(tap_count):
                    h, i, o = first + stride * u, tap + step * t, u + t * back + start
                    assert o * stride - pad + i * dilation == h and 0 <= h < size and 0 <= i < taps
                    seen.add((h, i))
        assert seen == {(h, i) for h in range(size) for i in range(taps) if (h + pad - i * dilation) % stride == 0}


def test_method_of_convolution():
    assert cuda.conv2d_method((1, 1, 3, 3), (1, 1, 3, 3), (1, 1, 1, 1), (1, 1), (0, 0)) == "implicit_gemm"


# -- with an end -----------------------------------------------------------------------------------

@each_dtype
@pytest.mark.parametrize("parts", [1, 2])
def test_products_with_an_end(dtype, parts, take):
    take(tiles.SMALL, parts)
    for activation in range(6):
        bias = numbers(4, dtype, 6) if activation % 2 else None
        norm = numbers(5, dtype, 3, 6) if activation % 3 else None
        compare("linear_fused_update_output", lambda: (
            numbers(1, dtype, 35, 40), numbers(2, dtype, 6, 40), bias, norm, unwritten(dtype, 35, 6), activation, -0.3,
            0.4), [4])
        compare("conv2d_fused_update_output", lambda: (
            numbers(1, dtype, 2, 4, 5, 6), numbers(2, dtype, 6, 2, 3, 3), bias, norm, unwritten(dtype, 2, 6, 5, 6),
            None, (1, 1), (1, 1), (1, 1), 2, activation, -0.3, 0.4), [4])
    for w in (None, numbers(1, dtype, 6)):
        compare("norm_of_statistics", lambda: (
            w, w, numbers(2, dtype, 6), np.abs(numbers(3, dtype, 6)), unwritten(dtype, 3, 6), 1e-5), [4])
    assert cuda.conv2d_kept_size((1, 1, 3, 3), (1, 1, 3, 3), (1, 1, 1, 1), (1, 1), (0, 0)) == 0
