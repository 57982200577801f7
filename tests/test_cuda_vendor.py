"""NVIDIA's libraries; and cuBLAS for matrix products, as a stand-in sees it: what it is asked for, in its own terms, and what comes of it.

The stand-in has the C prototypes of cuBLAS and computes, on the memory of the emulated device, what cuBLAS
promises for matrices by columns.  The library itself needs a GPU, and was never called on one.
"""
import ctypes
import os
import sys
import threading
import types

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
os.environ.setdefault("NNMOD_CUDA", "emulate")

import nnmod
from nnmod import kernels
from nnmod.kernels import cuda, reference
from nnmod.kernels.cuda import linear, vendor
from nnmod.kernels.cuda.cublas import Cublas
from nnmod.kernels.cuda.engine import Emulated, engine

INVALID_VALUE = 7
P, I, L = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong
F, D = ctypes.POINTER(ctypes.c_float), ctypes.POINTER(ctypes.c_double)


def by_columns(address, rows, columns, step, dtype):
    """The matrix at *address* whose columns are *step* elements apart."""
    size = (columns - 1) * step + rows
    memory = (ctypes.c_char * (size * dtype().itemsize)).from_address(address)
    flat = np.frombuffer(memory, dtype)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (flat.itemsize, step * flat.itemsize))


class StandIn:
    """A library with the functions of cuBLAS, as C functions; it counts what it is asked for."""

    def __init__(self):
        self.calls, self.streams, self.created = [], [], 0
        self.fail = {}  # function -> the codes that its next calls return
        self.cublasCreate_v2 = ctypes.CFUNCTYPE(I, ctypes.POINTER(P))(self.create)
        self.cublasSetStream_v2 = ctypes.CFUNCTYPE(I, P, P)(self.set_stream)
        for letter, real, dtype in (("S", F, np.float32), ("D", D, np.float64)):
            def one(handle, *args, name=f"cublas{letter}gemm_v2", dtype=dtype):
                return self.multiply(name, dtype, handle, args)

            def many(handle, op_a, op_b, m, n, k, alpha, a, lda, step_a, b, ldb, step_b, beta, c, ldc, step_c, count,
                     name=f"cublas{letter}gemmStridedBatched", dtype=dtype):
                size, status = dtype().itemsize, 0
                for i in range(count):
                    status = status or self.multiply(name, dtype, handle, (
                        op_a, op_b, m, n, k, alpha, a + i * step_a * size, lda, b + i * step_b * size, ldb, beta,
                        c + i * step_c * size, ldc))
                return status

            setattr(self, f"cublas{letter}gemm_v2",
                    ctypes.CFUNCTYPE(I, P, I, I, I, I, I, real, P, I, P, I, real, P, I)(one))
            setattr(self, f"cublas{letter}gemmStridedBatched",
                    ctypes.CFUNCTYPE(I, P, I, I, I, I, I, real, P, I, L, P, I, L, real, P, I, L, I)(many))

    def create(self, handle):
        self.created += 1
        if self.fail.get("cublasCreate_v2"):
            return self.fail["cublasCreate_v2"].pop(0)
        handle[0] = 0x1234567890
        return 0

    def set_stream(self, handle, stream):
        assert handle == 0x1234567890
        self.streams.append(stream or 0)
        return 0

    def multiply(self, name, dtype, handle, args):
        """C <- alpha op(A) op(B) + beta C, all by columns: op(A) (m, k), op(B) (k, n)."""
        if self.fail.get(name):
            return self.fail[name].pop(0)
        op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc = args
        rows_a, rows_b = (k if op_a else m), (n if op_b else k)
        if handle != 0x1234567890 or min(m, n, k) < 0 or lda < max(1, rows_a) or ldb < max(1, rows_b) or ldc < max(
                1, m) or {op_a, op_b} - {0, 1}:
            return INVALID_VALUE
        self.calls.append((name, op_a, op_b, m, n, k))
        A = by_columns(a, rows_a, m if op_a else k, lda, dtype)
        B = by_columns(b, rows_b, k if op_b else n, ldb, dtype)
        C = by_columns(c, m, n, ldc, dtype)
        product = alpha[0] * ((A.T if op_a else A).astype(np.float64) @ (B.T if op_b else B))
        C[...] = product + beta[0] * C if beta[0] else product
        return 0


@pytest.fixture
def cublas():
    library = StandIn()
    vendor.use(Cublas(library))
    yield library
    vendor.use()


def numbers(rng, shape, dtype):
    return rng.standard_normal(shape).astype(dtype)


CLOSE = {np.float32: 1e-5, np.float64: 1e-12}
each_dtype = pytest.mark.parametrize("dtype", CLOSE, ids=lambda dtype: dtype.__name__)
each_transpose = pytest.mark.parametrize("trans_a, trans_b", [(False, False), (False, True), (True, False),
                                                              (True, True)])


@each_dtype
@each_transpose
@pytest.mark.parametrize("M, N, K", [(1, 1, 1), (3, 5, 7), (17, 1, 4), (1, 9, 3), (6, 6, 1)])
def test_products(cublas, dtype, trans_a, trans_b, M, N, K):
    rng = np.random.default_rng(1)
    a, b = numbers(rng, (K, M) if trans_a else (M, K), dtype), numbers(rng, (N, K) if trans_b else (K, N), dtype)
    bias = numbers(rng, N, dtype)
    for alpha, beta, add in ((1, 0, None), (0.7, 0.5, None), (-2, 1, bias), (1, 0, bias)):
        c = numbers(rng, (M, N), dtype) if beta else np.full((M, N), np.nan, dtype)
        on_device = nnmod.cuda(c)
        cuda.gemm(nnmod.cuda(a), nnmod.cuda(b), on_device, alpha, beta, trans_a, trans_b,
                  None if add is None else nnmod.cuda(add))
        reference.gemm(a, b, c, alpha, beta, trans_a, trans_b, add)
        np.testing.assert_allclose(on_device.numpy(), c, CLOSE[dtype], CLOSE[dtype])
    # What a user of cuBLAS would write: the transpose of c, (N, M), is op(b)' op(a)'.
    name = "cublasSgemm_v2" if dtype is np.float32 else "cublasDgemm_v2"
    assert cublas.calls == [(name, int(trans_b), int(trans_a), N, M, K)] * 4
    assert cublas.created == 1


@each_dtype
@each_transpose
def test_batches(cublas, dtype, trans_a, trans_b):
    rng = np.random.default_rng(1)
    a = numbers(rng, (4, 5, 3) if trans_a else (4, 3, 5), dtype)
    b = numbers(rng, (4, 7, 5) if trans_b else (4, 5, 7), dtype)
    c, on_device = np.empty((4, 3, 7), dtype), nnmod.cuda(np.full((4, 3, 7), np.nan, dtype))
    cuda.batch_gemm(nnmod.cuda(a), nnmod.cuda(b), on_device, trans_a, trans_b)
    reference.batch_gemm(a, b, c, trans_a, trans_b)
    np.testing.assert_allclose(on_device.numpy(), c, CLOSE[dtype], CLOSE[dtype])
    assert cublas.calls[0][0].endswith("gemmStridedBatched") and len(cublas.calls) == 4


def test_rows_of_larger_tensors(cublas):
    """Operands that begin in the midst of a tensor, and leave what is around the result alone."""
    rng = np.random.default_rng(1)
    a, b, c = (numbers(rng, (10, 4), np.float32) for _ in range(3))
    on_device = nnmod.cuda(c)
    cuda.gemm(nnmod.cuda(a)[3:8], nnmod.cuda(b)[2:6], on_device[4:9])
    reference.gemm(a[3:8], b[2:6], c[4:9])
    np.testing.assert_allclose(on_device.numpy(), c, 1e-5, 1e-6)
    assert len(cublas.calls) == 1


def train(device, make, x):
    nnmod.manualSeed(3)
    net, criterion = make(), nnmod.MSECriterion()
    if device:
        net.cuda()
        criterion.cuda()
        x = nnmod.cuda(x)
    losses = []
    for _ in range(4):
        y = net.forward(x)
        target = nnmod.cuda(np.ones(y.shape, np.float32)) if device else np.ones(y.shape, np.float32)
        losses.append(criterion.forward(y, target))
        net.zeroGradParameters()
        net.backward(x, criterion.backward(y, target))
        net.updateParameters(0.1)
    return losses


@pytest.mark.parametrize("make, shape, products", [
    (lambda: nnmod.Sequential(nnmod.Linear(6, 5), nnmod.Tanh(), nnmod.Linear(5, 2)), (7, 6), 4 * 6),
    (lambda: nnmod.SeqLSTM(3, 4), (5, 2, 3), None),
    (lambda: nnmod.Sequential(nnmod.Linear(6, 5), nnmod.Tanh()).fused(), (7, 6), None),
], ids=["Linear", "SeqLSTM", "fused"])
def test_networks_train_as_on_the_cpu(cublas, monkeypatch, make, shape, products):
    x = numbers(np.random.default_rng(1), shape, np.float32)
    with kernels.use_backend(reference):
        expected = train(False, make, x)
        monkeypatch.setattr(linear.tiles, "choose", None)  # nnmod's own product would stumble
        np.testing.assert_allclose(train(True, make, x), expected, 1e-5)
    assert cublas.calls and products in (None, len(cublas.calls))


def test_what_cublas_might_leave_out_is_computed(cublas):
    """Nothing is summed up, or a factor of 0: NaN stays NaN, and no sizes of 0 are handed over."""
    x = nnmod.cuda(np.full((5, 5), np.nan, np.float32))
    y = nnmod.cuda(np.ones((5, 5), np.float32))
    cuda.gemm(x, x, y, 0.0, 1.0)
    assert np.isnan(y.numpy()).all()
    y = nnmod.cuda(np.full((5, 5), np.nan, np.float32))
    cuda.gemm(x[:, :0].copy(), x[:0], y)
    assert (y.numpy() == 0).all()
    cuda.gemm(x[:0], x, y[:0])
    z = np.empty((5, 5), np.float32)
    cuda.gemm(np.ones((5, 5), np.float32), np.ones((5, 5), np.float32), z)  # arrays of the host: the emulator
    assert (z == 5).all() and not cublas.calls


def test_it_works_on_the_stream_of_the_thread(cublas, monkeypatch):
    x = nnmod.cuda(np.ones((3, 3), np.float32))
    cuda.gemm(x, x, x.copy())
    monkeypatch.setattr(Emulated, "stream", 2**40 + 5)
    cuda.gemm(x, x, x.copy())
    assert cublas.streams == [0, 2**40 + 5]


def test_threads_share_the_handle(cublas):
    def work():
        x = nnmod.cuda(np.ones((8, 8), np.float32))
        for _ in range(5):
            y = x.copy()
            cuda.gemm(x, x, y)
            results.append((y.numpy() == 8).all())

    results = []
    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 15 and cublas.created == 1 and len(cublas.streams) == 15


def test_errors_of_the_library(cublas):
    x = nnmod.cuda(np.ones((3, 3), np.float32))
    cublas.fail["cublasSgemm_v2"] = [13]
    with pytest.raises(RuntimeError, match=r"cublasSgemm_v2 failed with status 13 \(CUBLAS_STATUS_EXECUTION_FAILED"):
        cuda.gemm(x, x, x.copy())
    cublas.fail["cublasSgemm_v2"] = [99]
    with pytest.raises(RuntimeError, match=r"status 99 \(CUBLAS_STATUS_unknown"):
        cuda.gemm(x, x, x.copy())
    cuda.gemm(x, x, x.copy())  # the next works


def test_no_memory_for_its_workspace(cublas):
    """What the allocator keeps is given back, and the handle asked for once again."""
    x = nnmod.cuda(np.ones((3, 3), np.float32))
    y = x.copy()
    nnmod.cuda(np.ones(100_000))  # is kept for the next
    cublas.fail["cublasCreate_v2"] = [3, 3]
    with pytest.raises(MemoryError, match="no memory for cublas"):
        cuda.gemm(x, x, y)
    assert cublas.created == 2 and engine().allocator.kept == 0
    assert (y.numpy() == 1).all()
    cublas.fail["cublasCreate_v2"] = [3]
    cuda.gemm(x, x, y)
    assert (y.numpy() == 3).all()


# -- asking for it ---------------------------------------------------------------------------------

@pytest.fixture
def fresh(monkeypatch):
    """Nothing was asked for so far; afterwards, nnmod's own kernels."""
    monkeypatch.setattr(vendor, "_chosen", {})
    monkeypatch.delenv("NNMOD_CUBLAS", raising=False)
    monkeypatch.delenv("NNMOD_CUDNN", raising=False)
    return monkeypatch


def test_nobody_gets_it_unasked(fresh):
    assert vendor.used() == ()
    fresh.setattr(vendor, "_chosen", {})
    fresh.setenv("NNMOD_CUBLAS", "0")
    assert vendor.used() == ()


def test_nnmod_kernels_asks(fresh):
    library = Cublas(StandIn())
    kernels.setcudalibraries(library)
    assert kernels.getcudalibraries() == ("cublas",) and vendor.library("cublas") is library
    kernels.setcudalibraries()
    assert kernels.getcudalibraries() == ()


def test_without_numba_cuda(fresh):
    fresh.delattr(cuda, "vendor")
    fresh.setitem(sys.modules, "nnmod.kernels.cuda.vendor", None)
    with pytest.raises(RuntimeError, match="there is no CUDA here"):
        kernels.setcudalibraries("cublas")


def test_not_with_the_emulator(fresh):
    for name in ("cublas", "cudnn"):
        with pytest.raises(RuntimeError, match=f"{name} runs on a GPU, and this process emulates one"):
            vendor.use(name)
    fresh.setenv("NNMOD_CUBLAS", "1")
    x = nnmod.cuda(np.ones((3, 3), np.float32))
    with pytest.raises(RuntimeError, match="leave out NNMOD_CUBLAS=1"):
        cuda.gemm(x, x, x.copy())


def test_other_names(fresh):
    for name in ("cufft", None, 3):
        with pytest.raises(ValueError, match="must be 'cublas' or 'cudnn', got"):
            vendor.use(Cublas(StandIn()), name)
    assert vendor.used() == ()
    vendor._chosen.clear()
    fresh.setenv("NNMOD_CUBLAS", "yes")
    with pytest.raises(ValueError, match="NNMOD_CUBLAS must be 0 or 1, got 'yes'"):
        vendor.used()


def test_it_is_not_installed(fresh):
    def absent(name):
        raise RuntimeError("not found")

    fresh.setattr(Emulated, "name", "driver")
    for finder in (types.SimpleNamespace(load_nvidia_dynamic_lib=absent), None):
        fresh.setitem(sys.modules, "cuda.pathfinder", finder)
        for name in ("cublas", "cudnn"):
            with pytest.raises(ImportError, match=f"{name} was asked for and cannot be loaded .*: pip install nvidia-{name}"):
                vendor.use(name)
        assert not vendor._chosen


def test_it_is_loaded_once(fresh):
    library = StandIn()
    fresh.setattr(Emulated, "name", "driver")
    fresh.setattr(vendor, "shared", lambda name: library)
    fresh.setenv("NNMOD_CUBLAS", "1")
    assert vendor.used() == ("cublas",) and vendor.library("cublas") is vendor.library("cublas")
    vendor.use()
    assert vendor.used() == ()


def test_the_real_one_has_all_the_functions():
    try:
        library = vendor.shared("cublas")
    except (ImportError, RuntimeError, OSError):
        pytest.skip("cuBLAS is not installed")
    Cublas(library)
