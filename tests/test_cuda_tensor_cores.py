"""Tensor cores: the emulator's product of a warp beside NumPy, its faults, and matrix products that use it."""
import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

import test_cuda_products as products
from nnmod import kernels
from nnmod.kernels import cuda
from nnmod.kernels.cuda import linear, tensor_cores, tiles
from nnmod.kernels.cuda.emulator import Kernel, KernelFault, UnknownInstruction
from test_cuda_cases import stays_in_float32  # noqa: F401  reads the PTX of what is launched here, too
from test_cuda_instructions import nearest_tf32

TILES = [tile._replace(tensor=True) for tile in (tiles.LARGE, tiles.MIDDLE, tiles.SMALL)]
each_tile = pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.name)


# -- the instruction -------------------------------------------------------------------------------

MMA = "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32"
PRODUCT = MMA + " {%d0, %d1, %d2, %d3}, {%x0, %x1, %x2, %x3}, {%x4, %x5}, {%x6, %x7, %x8, %x9};"


def warp(lines, x, threads=32):
    """Run lines of PTX; thread t has the ten numbers x[t] in %x0 .. %x9, and returns %d0 .. %d3."""
    x, d = np.ascontiguousarray(x, np.float32), np.full((len(x), 4), 7, np.float32)
    text = "\n".join([
        ".version 8.0", ".target sm_90", ".address_size 64", ".visible .entry k(.param .u64 p0, .param .u64 p1)", "{",
        ".reg .b64 %from, %to, %i;", ".reg .b32 %t, %n, %c;", ".reg .f32 %d<4>, %x<10>;", ".reg .pred %low;",
        "mov.u32 %t, %tid.x;", "mov.u32 %n, %ntid.x;", "mov.u32 %c, %ctaid.x;", "mad.lo.s32 %n, %n, %c, %t;",
        "cvt.s64.s32 %i, %n;", "ld.param.u64 %from, [p0];", "mad.lo.s64 %from, %i, 40, %from;",
        *(f"ld.global.f32 %x{n}, [%from+{4 * n}];" for n in range(10)), "setp.lt.u32 %low, %t, 16;", *lines,
        "ld.param.u64 %to, [p1];", "mad.lo.s64 %to, %i, 16, %to;",
        *(f"st.global.f32 [%to+{4 * n}], %d{n};" for n in range(4)), "ret;", "}", ""])
    Kernel(text)(len(x) // threads, threads, [np.int64(a.ctypes.data).tobytes() for a in (x, d)], arrays=[x, d])
    return d


def dealt(a, b, c):
    """The ten numbers of each lane, for matrices (16, 8), (8, 8), (16, 8)."""
    lanes = []
    for lane in range(32):
        group, within = lane >> 2, lane % 4
        lanes.append([a[group, within], a[group + 8, within], a[group, within + 4], a[group + 8, within + 4],
                      b[within, group], b[within + 4, group],
                      c[group, 2 * within], c[group, 2 * within + 1], c[group + 8, 2 * within],
                      c[group + 8, 2 * within + 1]])
    return lanes


def matrices(seed):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in ((16, 8), (8, 8), (16, 8))]


def test_the_product_of_a_warp():
    """Every lane's numbers, of three warps in two blocks and with bits that a tensor core does not see."""
    given = [matrices(seed) for seed in range(4)]
    given[1][0][3, 4], given[2][1][5, 6], given[3][2][9, 1] = np.nan, np.inf, -np.inf
    found = warp([PRODUCT], np.concatenate([dealt(*abc) for abc in given]), threads=64).reshape(4, 32, 4)
    for (a, b, c), lanes in zip(given, found):
        seen = [(m.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64) for m in (a, b)]
        with np.errstate(invalid="ignore"):
            expected = seen[0] @ seen[1] + c
        result = np.empty((16, 8), np.float32)
        for lane, numbers in enumerate(lanes):
            for n, value in enumerate(numbers):
                result[(lane >> 2) + n // 2 * 8, lane % 4 * 2 + n % 2] = value
        np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def test_sums_go_on_from_one_product_to_the_next():
    a, b, c = matrices(5)
    again = "".join(f"mov.f32 %x{6 + n}, %d{n};" for n in range(4))
    twice = warp([PRODUCT, again, PRODUCT], dealt(a, b, c))
    once = warp([PRODUCT], dealt(a, b, c))
    c = np.asarray(dealt(a, b, c))[:, 6:]
    np.testing.assert_allclose(twice - c, 2 * (once - c), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lines, threads, kind", [
    (["@!%low bra END;", PRODUCT, "END:"], 32, "lane of the mask missing"),
    (["@!%low bra OTHER;", PRODUCT, "bra END;", "OTHER:", PRODUCT, "END:"], 32, "different warp operations"),
    ([f"@%low {PRODUCT}"], 32, "lane of the mask missing"),
    (["@%low bra END;", PRODUCT, "END:", "bar.sync 0;"], 32, "lane of the mask missing"),
    ([PRODUCT], 16, "lane of the mask missing"),
], ids=["half a warp", "two places", "guarded", "some at a barrier", "a block of half a warp"])
def test_a_product_that_not_all_lanes_come_to(lines, threads, kind):
    with pytest.raises(KernelFault, match=kind) as caught:
        warp(lines, dealt(*matrices(0)), threads)
    assert caught.value.kind == kind and "mma.sync" in str(caught.value)


@pytest.mark.parametrize("instruction", [
    PRODUCT.replace("m16n8k8", "m16n8k4"), PRODUCT.replace("tf32.tf32", "bf16.bf16"), PRODUCT.replace(".sync", ""),
    PRODUCT.replace("{%x4, %x5}", "{%x4}")])
def test_other_products_are_refused(instruction):
    with pytest.raises(UnknownInstruction, match=instruction.split()[0]):
        warp([instruction], dealt(*matrices(0)))


# -- products of matrices --------------------------------------------------------------------------

@pytest.fixture
def take(monkeypatch):
    """Have every product take a tile, of numbers that tf32 holds: the reference's results are right then."""
    plain = products.numbers
    monkeypatch.setattr(products, "numbers", lambda *args: nearest_tf32(plain(*args)))
    monkeypatch.setattr(linear, "FEW_ROWS", 0)
    return lambda tile, parts: monkeypatch.setattr(tiles, "choose", lambda *args: (tile, parts))


@pytest.fixture
def asked_for():
    """Tensor cores are asked for."""
    kernels.settensorcores("tf32")
    yield
    kernels.settensorcores(None)


@each_tile
@pytest.mark.parametrize("parts", [1, 3])
def test_gemm_in_every_tile(tile, parts, take):
    products.test_gemm_in_every_tile(tile, "float32", parts, take)


@each_tile
@pytest.mark.parametrize("parts", [1, 3])
def test_convolution_in_every_tile(tile, parts, take):
    products.test_convolution_in_every_tile(tile, "float32", parts, take)


def test_products_with_an_end(take):
    small = tiles.SMALL._replace(tensor=True)
    products.test_products_with_an_end("float32", 2, lambda tile, parts: take(small, parts))


def test_factors_are_rounded_and_the_error_is_within_its_bound(asked_for):
    a, b = products.numbers(1, "float32", 40, 70), products.numbers(2, "float32", 70, 36)
    c, again, plain = (products.unwritten("float32", 40, 36) for _ in range(3))
    cuda.gemm(a, b, c)
    cuda.gemm(nearest_tf32(a), nearest_tf32(b), again)
    np.testing.assert_array_equal(c, again)
    kernels.settensorcores(None)
    cuda.gemm(a, b, plain)
    exact = a.astype(np.float64) @ b
    size = np.abs(a).astype(np.float64) @ np.abs(b)
    assert (np.abs(c - exact) <= size * (2**-10 + 2**-18)).all()
    assert (np.abs(plain - exact) <= size * 2**-18).all()
    assert not (np.abs(c - exact) <= size * 2**-18).all(), "the product was of float32"


def test_nan_and_infinity_reach_their_row_and_column_alone(take, asked_for):
    products.test_nan_and_infinity_reach_their_row_and_column_alone()


def test_every_product_takes_them_but_those_of_float64(asked_for):
    for rows, columns, depth in ((4096, 4096, 4096), (512, 1024, 64), (64, 64, 64), (64, 576, 100_000)):
        tile, parts = tiles.choose(rows, columns, depth, "float32")
        assert tile.tensor and tile.name.endswith("_tf32")
        assert tiles.choose(rows, columns, depth, np.float64) == (tile._replace(tensor=False), parts) or (
            tile.rows == 128), "float64 knows no tile of 128 x 128"
        kernels.settensorcores(None)
        assert tiles.choose(rows, columns, depth, "float32") == (tile._replace(tensor=False), parts)
        kernels.settensorcores("tf32")


# -- the switch ------------------------------------------------------------------------------------

def test_the_switch(monkeypatch):
    assert kernels.gettensorcores() is None
    kernels.settensorcores("tf32")
    assert kernels.gettensorcores() == "tf32"
    kernels.settensorcores(None)
    assert kernels.gettensorcores() is None
    with pytest.raises(ValueError, match="kind must be 'tf32', or None for plain float32, got 'bf16'"):
        kernels.settensorcores("bf16")
    for value, expected in (("tf32", "tf32"), ("", None)):
        monkeypatch.setattr(tensor_cores, "_kind", tensor_cores._UNREAD)
        monkeypatch.setenv("NNMOD_TENSOR_CORES", value)
        assert kernels.gettensorcores() == expected
    monkeypatch.setattr(tensor_cores, "_kind", tensor_cores._UNREAD)
    monkeypatch.setenv("NNMOD_TENSOR_CORES", "yes")
    with pytest.raises(ValueError, match="NNMOD_TENSOR_CORES must be 'tf32', or None for plain float32, got 'yes'"):
        kernels.gettensorcores()


def test_a_gpu_without_them(monkeypatch):
    class Old:
        compute_capability = 7, 5

    monkeypatch.delenv("NNMOD_CUDA", raising=False)
    monkeypatch.setattr(tensor_cores.cuda, "is_available", lambda: True)
    monkeypatch.setattr(tensor_cores.cuda, "get_current_device", Old)
    with pytest.raises(ValueError, match="from compute capability 8.0 on, this GPU has 7.5"):
        kernels.settensorcores("tf32")
    assert kernels.gettensorcores() is None
