"""The CPU engine: random products against the reference, at every width of vectors; edges of IEEE; threads' number."""
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba")

import engine_draws

import nnmod
from nnmod import kernels
from nnmod.kernels import reference
from nnmod.kernels.cpu import gemm, recurrent, threads
from nnmod.kernels.cpu.simd import VECTOR_BITS

DTYPES = [np.float32, np.float64]


def test_random_calls():
    done, errors = engine_draws.run(seed=0, count=3000)
    assert done == 3000 and not errors, "\n".join(errors)


@pytest.mark.parametrize("bits", [bits for bits in (128, 256, 512) if bits != VECTOR_BITS])
def test_random_calls_at_another_width(bits):
    code = ("import engine_draws, sys; from nnmod.kernels.cpu.simd import VECTOR_BITS; "
            f"assert VECTOR_BITS == {bits}; done, errors = engine_draws.run(seed={bits}, count=400); "
            "sys.exit('\\n'.join(errors) or None)")
    env = os.environ | {"NNMOD_VECTOR_BITS": str(bits), "NNMOD_QUIET": "1", "NNMOD_KERNELS": "cpu",
                        "PYTHONPATH": os.pathsep.join(filter(None, [os.path.dirname(__file__),
                                                                    os.path.dirname(os.path.dirname(__file__)),
                                                                    os.environ.get("PYTHONPATH")]))}
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_a_wrong_width():
    result = subprocess.run([sys.executable, "-c", "import nnmod.kernels.cpu"], capture_output=True, text=True,
                            env=os.environ | {"NNMOD_VECTOR_BITS": "333"})
    assert "ValueError: NNMOD_VECTOR_BITS must be 128, 256 or 512, got '333'" in result.stderr


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("M, N", [(1, 9), (2, 40), (20, 50)])
@pytest.mark.parametrize("trans_b", [False, True])
def test_denormals_are_kept(dtype, M, N, trans_b):
    tiny = np.finfo(dtype).smallest_subnormal * 3
    a, b = np.full((M, 5), tiny, dtype), np.ones((N, 5) if trans_b else (5, N), dtype)
    c = np.full((M, N), np.nan, dtype)
    gemm(a, b, c, 1.0, 0.0, False, trans_b)
    assert (c == dtype(15) * np.finfo(dtype).smallest_subnormal).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, trans", [((300, 500, 310), (False, False)), ((310, 500, 300), (True, True)),
                                          ((5, 4000, 2000), (False, True)), ((1, 3000, 3001), (False, False)),
                                          ((1, 700, 600), (False, True)), ((2, 500, 700), (False, False)),
                                          ((600, 1, 500), (True, False))])
def test_the_number_of_threads_changes_no_bit(dtype, shape, trans, monkeypatch):
    monkeypatch.setattr(threads, "FLOPS_PER_THREAD", 1)
    M, K, N = shape
    rng = np.random.default_rng(0)
    a = rng.standard_normal((K, M) if trans[0] else (M, K)).astype(dtype)
    b = rng.standard_normal((N, K) if trans[1] else (K, N)).astype(dtype)
    before, found = threads.get_num_threads(), set()
    try:
        for count in (1, 2, 3, 7):
            threads.set_num_threads(count)
            c = np.full((M, N), np.nan, dtype)
            gemm(a, b, c, 1.0, 0.0, *trans)
            found.add(c.tobytes())
    finally:
        threads.set_num_threads(before)
    assert len(found) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("N", [1, 2])
def test_nor_does_it_of_a_long_sequence(dtype, N, monkeypatch):
    """Whose matrix is cut into bands: 163 is no multiple of anything."""
    T, H = 25, 163
    monkeypatch.setattr(threads, "FLOPS_PER_THREAD", 1)
    monkeypatch.setattr(threads, "ELEMENTS_PER_THREAD", 1)
    assert recurrent._BAND_STEPS <= T and recurrent._BAND_BYTES <= 4 * H * 4 * H
    layer = nnmod.SeqLSTM(H, H).type("float64" if dtype == np.float64 else "float32").evaluate()
    x = np.random.default_rng(0).standard_normal((T, N, H)).astype(dtype)
    with kernels.use_backend(reference):
        expected = layer.forward(x).copy()
    before, found = threads.get_num_threads(), set()
    try:
        for count in (1, 2, 3, 7, 50):
            threads.set_num_threads(count)
            found.add(layer.forward(x).tobytes())
    finally:
        threads.set_num_threads(before)
    assert len(found) == 1
    np.testing.assert_allclose(layer.output, expected, rtol=0, atol=2e-6 if dtype == np.float32 else 1e-14)


def test_a_product_allocates_nothing_in_a_steady_state():
    a = np.ones((600, 600), np.float32)
    c = np.empty_like(a)
    gemm(a, a, c)
    memory = threads.workspace(1)
    gemm(a, a, c)
    assert threads.workspace(1) is memory and memory.size > 1


def test_a_second_process_compiles_nothing(tmp_path):
    code = ("import numba.core.compiler as C, numpy as np, sys\n"
            "made = []; real = C.compile_extra\n"
            "C.compile_extra = lambda *a, **k: (made.append(a[2].__name__), real(*a, **k))[1]\n"
            "from nnmod.kernels.cpu import gemm\n"
            "for M in (1, 2, 20, 64):\n"
            "    for trans in (False, True):\n"
            "        x, y = np.ones((M, 64), np.float32), np.ones((64, 64), np.float32)\n"
            "        gemm(x, y, np.empty((M, 64), np.float32), 1.0, 0.0, False, trans)\n"
            "print(len(made))")
    env = os.environ | {"NNMOD_CACHE_DIR": str(tmp_path), "NNMOD_QUIET": "1", "NNMOD_KERNELS": "cpu"}
    made = [int(subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=env, capture_output=True, text=True,
                               check=True).stdout) for _ in range(2)]
    assert made[0] > 0 and made[1] == 0


@pytest.mark.parametrize("groups, files, expected", [
    ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "250000 100000"}, 2),
    ("0::/\n", {"cpu.max": "50000 100000"}, 1),
    ("0::/gone\n", {}, float("inf")),
    ("4:cpu,cpuacct:/x\n1:name=systemd:/x\n", {"cpu/x/cpu.cfs_quota_us": "300000\n",
                                               "cpu/x/cpu.cfs_period_us": "100000\n"}, 3),
    ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, float("inf")),
])
def test_processors_that_a_container_grants(tmp_path, groups, files, expected):
    (tmp_path / "groups").write_text(groups)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert threads._quota(tmp_path / "groups", tmp_path) == expected
