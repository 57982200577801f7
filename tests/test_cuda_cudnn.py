"""cuDNN for convolutions, as a stand-in sees it: what it is asked for, in its own terms, and what comes of it.

The stand-in has the C prototypes of cuDNN and computes, on the memory of the emulated device, what cuDNN
promises.  The library itself needs a GPU, and was never called on one.
"""
import ctypes
import os

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
os.environ.setdefault("NNMOD_CUDA", "emulate")

import nnmod
from nnmod import kernels
from nnmod.kernels import cuda, reference
from nnmod.kernels.cuda import cudnn, gather, vendor
from nnmod.kernels.cuda.engine import Emulated, engine

P, I, Z = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
TO_P, TO_Z = ctypes.POINTER(P), ctypes.POINTER(Z)
BAD_PARAM, NOT_SUPPORTED, NO_MEMORY, FAILED = 2000, 3000, 4004, 5000
NAMES = {BAD_PARAM: b"CUDNN_STATUS_BAD_PARAM", NOT_SUPPORTED: b"CUDNN_STATUS_NOT_SUPPORTED",
         NO_MEMORY: b"CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", FAILED: b"CUDNN_STATUS_EXECUTION_FAILED"}
HANDLE, WORK_BYTES = 0x1234567890, 40


def array(address, shape, dtype):
    """The tensor at an address."""
    memory = (ctypes.c_char * (int(np.prod(shape)) * dtype().itemsize)).from_address(address)
    return np.frombuffer(memory, dtype).reshape(shape)


class StandIn:
    """A library with the functions of cuDNN, as C functions; it notes what it is asked for."""

    def __init__(self):
        self.calls, self.streams, self.made, self.created = [], [], {}, 0
        self.fail = {}  # function -> the codes that its next calls return
        self.unsupported = set()  # (function, algorithm)
        self._define("cudnnCreate", self.create, TO_P)
        self._define("cudnnSetStream", lambda handle, stream: self.streams.append(stream or 0) or 0, P, P)
        for kind in ("Tensor", "Filter", "Convolution"):
            self._define(f"cudnnCreate{kind}Descriptor", self.describe, TO_P)
            self._define(f"cudnnDestroy{kind}Descriptor", lambda which: self.made.pop(which) and 0, P)
        self._define("cudnnSetTensor4dDescriptor",
                     lambda which, layout, real, *shape: self.set(which, layout=layout, real=real, shape=shape),
                     P, *[I] * 6)
        self._define("cudnnSetFilter4dDescriptor",
                     lambda which, real, layout, *shape: self.set(which, layout=layout, real=real, shape=shape),
                     P, *[I] * 6)
        self._define("cudnnSetConvolution2dDescriptor",
                     lambda which, ph, pw, sh, sw, dh, dw, mode, real: self.set(
                         which, pad=(ph, pw), stride=(sh, sw), dilation=(dh, dw), mode=mode, real=real),
                     P, *[I] * 8)
        self._define("cudnnSetConvolutionGroupCount", lambda which, groups: self.set(which, groups=groups), P, I)
        self._define("cudnnSetConvolutionMathType", lambda which, math: self.set(which, math=math), P, I)
        for verb in ("Forward", "BackwardData", "BackwardFilter"):
            self._define(f"cudnnGetConvolution{verb}WorkspaceSize",
                         lambda *args, verb=verb: self.workspace(verb, *args), P, P, P, P, P, I, TO_Z)
            self._define(f"cudnnConvolution{verb}", lambda *args, verb=verb: self.convolve(verb, *args),
                         P, P, P, P, P, P, P, I, P, Z, P, P, P)
        self._names = {status: ctypes.create_string_buffer(name) for status, name in NAMES.items()}
        self.cudnnGetErrorString = ctypes.CFUNCTYPE(P, I)(lambda status: ctypes.addressof(self._names[status]))

    def _define(self, name, function, *kinds):
        def call(*args):
            return self.fail[name].pop(0) if self.fail.get(name) else function(*args)

        setattr(self, name, ctypes.CFUNCTYPE(I, *kinds)(call))

    def create(self, handle):
        self.created += 1
        handle[0] = HANDLE
        return 0

    def describe(self, place):
        place[0] = 4096 + 16 * len(self.calls) + len(self.made)
        while place[0] in self.made:
            place[0] += 1
        self.made[place[0]] = {"kind": True}
        return 0

    def set(self, which, **values):
        self.made[which] |= values
        return 0

    def workspace(self, verb, handle, a, b, convolution, c, algorithm, size):
        if handle != HANDLE:
            return BAD_PARAM
        if (verb, algorithm) in self.unsupported:
            return NOT_SUPPORTED
        size[0] = WORK_BYTES
        return 0

    def convolve(self, verb, handle, alpha, of_a, a, of_b, b, convolution, algorithm, work, size, beta, of_c, c):
        """Forward: x, w, y; BackwardData: w, dy, dx; BackwardFilter: x, dy, dw."""
        how, (a_, b_, c_) = self.made[convolution], (self.made[which] for which in (of_a, of_b, of_c))
        if handle != HANDLE or size < WORK_BYTES or not work or how["mode"] != 1 or {
                one["layout"] for one in (a_, b_, c_)} != {0} or len({
                    one["real"] for one in (a_, b_, c_, how)}) != 1:
            return BAD_PARAM
        array(work, (WORK_BYTES,), np.uint8)[...] = 77
        dtype, real = ((np.float32, ctypes.c_float), (np.float64, ctypes.c_double))[how["real"]]
        alpha, beta = (ctypes.cast(number, ctypes.POINTER(real))[0] for number in (alpha, beta))
        numbers = how["stride"], how["pad"], how["dilation"], how["groups"]
        A, B, C = (array(address, one["shape"], dtype) for address, one in ((a, a_), (b, b_), (c, c_)))
        new = np.zeros(C.shape)
        A, B = A.astype(np.float64), B.astype(np.float64)
        if verb == "Forward":
            reference.conv2d_update_output(A, B, None, new, *numbers)
        elif verb == "BackwardData":
            reference.conv2d_update_grad_input(B, A, new, *numbers)
        else:
            reference.conv2d_acc_grad_parameters(A, B, new, None, *numbers)
        C[...] = alpha * new + (beta * C if beta else 0)
        self.calls.append((verb, algorithm, how["math"], alpha, beta))
        return 0


@pytest.fixture
def library():
    standin = StandIn()
    vendor.use(cudnn.Cudnn(standin))
    yield standin
    vendor.use()


CLOSE = {np.float32: 1e-5, np.float64: 1e-12}
SHAPES = [  # x, planes, kernel, stride, pad, dilation, groups
    ((2, 3, 9, 8), 4, (3, 3), (1, 1), (1, 1), (1, 1), 1), ((1, 4, 7, 9), 6, (2, 3), (2, 1), (0, 2), (1, 2), 2),
    ((3, 2, 5, 5), 3, (1, 1), (1, 1), (0, 0), (1, 1), 1), ((1, 6, 8, 8), 6, (3, 3), (3, 3), (2, 2), (1, 1), 3)]


def numbers_of(shape, planes, kernel, stride, pad, dilation, groups, dtype):
    rng = np.random.default_rng(5)
    size = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, p, d, k, s in zip(shape[2:], pad, dilation, kernel, stride)]
    return [rng.standard_normal(s).astype(dtype) for s in (
        shape, (planes, shape[1] // groups, *kernel), planes, (shape[0], planes, *size))]


@pytest.mark.parametrize("dtype", CLOSE, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_three_verbs(library, monkeypatch, shape, dtype):
    x, w, b, dy = numbers_of(*shape, dtype)
    how = shape[3:]
    y, dx = np.empty_like(dy), np.empty_like(x)
    dw, db = np.ones_like(w), np.ones_like(b)
    reference.conv2d_update_output(x, w, b, y, *how)
    reference.conv2d_update_grad_input(dy, w, dx, *how)
    reference.conv2d_acc_grad_parameters(x, dy, dw, db, *how, 0.5)
    monkeypatch.setattr(gather, "gather_kernel", None)  # nnmod's own product would stumble
    on = {name: nnmod.cuda(np.ones_like(value) if name in "dw db" else np.full_like(value, np.nan))
          for name, value in (("y", y), ("dx", dx), ("dw", dw), ("db", db))}
    given = {name: nnmod.cuda(value) for name, value in (("x", x), ("w", w), ("b", b), ("dy", dy))}
    cuda.conv2d_update_output(given["x"], given["w"], given["b"], on["y"], *how)
    cuda.conv2d_update_grad_input(given["dy"], given["w"], on["dx"], *how)
    cuda.conv2d_acc_grad_parameters(given["x"], given["dy"], on["dw"], on["db"], *how, 0.5)
    for name, value in (("y", y), ("dx", dx), ("dw", dw), ("db", db)):
        np.testing.assert_allclose(on[name].numpy(), value, CLOSE[dtype], CLOSE[dtype] * np.abs(value).max(), err_msg=name)
    assert library.calls == [("Forward", 1, 3, 1, 0), ("BackwardData", 1, 3, 1, 0), ("BackwardFilter", 1, 3, 0.5, 1)]
    assert library.created == 1 and len(library.made) == 4  # one geometry, described once


def test_an_end_follows(library):
    """Normalised and rectified, as a fused network in evaluation has it."""
    x, w, b, dy = numbers_of(*SHAPES[0], np.float32)
    norm = np.random.default_rng(3).standard_normal((3, 4)).astype(np.float32)
    how, y = SHAPES[0][3:], np.empty_like(dy)
    reference.conv2d_fused_update_output(x, w, b, norm, y, None, *how, 1)
    for bias in (b, None):
        reference.conv2d_fused_update_output(x, w, bias, norm, y, None, *how, 1)
        out = nnmod.cuda(np.full_like(y, np.nan))
        cuda.conv2d_fused_update_output(nnmod.cuda(x), nnmod.cuda(w), None if bias is None else nnmod.cuda(bias),
                                        nnmod.cuda(norm), out, None, *how, 1)
        np.testing.assert_allclose(out.numpy(), y, 1e-5, 1e-5)
    assert len(library.calls) == 2


def test_the_method_is_named(library):
    numbers = (1, 1, 4, 4), (1, 1, 2, 2), (1, 1, 3, 3), (1, 1), (0, 0)
    assert cuda.conv2d_method(*numbers) == "cudnn"
    vendor.use()
    assert cuda.conv2d_method(*numbers) == "implicit_gemm"


def train(device):
    nnmod.manualSeed(3)
    net = nnmod.Sequential(nnmod.SpatialConvolution(2, 4, 3, 3), nnmod.ReLU(), nnmod.SpatialConvolution(4, 3, 2, 2, 2, 2),
                           nnmod.View(-1).setNumInputDims(3), nnmod.Linear(12, 2))
    criterion, x = nnmod.MSECriterion(), np.random.default_rng(1).standard_normal((3, 2, 6, 6)).astype(np.float32)
    target, losses = np.ones((3, 2), np.float32), []
    if device:
        net.cuda()
        criterion.cuda()
        x, target = nnmod.cuda(x), nnmod.cuda(target)
    for _ in range(4):
        losses.append(criterion.forward(net.forward(x), target))
        net.zeroGradParameters()
        net.backward(x, criterion.backward(net.output, target))
        net.updateParameters(0.1)
    return losses


def test_a_network_trains_as_on_the_cpu(library):
    with kernels.use_backend(reference):
        np.testing.assert_allclose(train(True), train(False), 1e-5)
    assert {call[0] for call in library.calls} == {"Forward", "BackwardData", "BackwardFilter"}


def test_what_it_does_not_support_nnmod_computes(library):
    x, w, b, dy = numbers_of(*SHAPES[0], np.float32)
    how, y = SHAPES[0][3:], np.empty_like(dy)
    reference.conv2d_update_output(x, w, b, y, *how)
    library.unsupported = {("Forward", 1), ("BackwardData", 1)}
    for expected in ([("Forward", 0)], [], []):
        out = nnmod.cuda(np.full_like(y, np.nan))
        library.calls.clear()
        cuda.conv2d_update_output(nnmod.cuda(x), nnmod.cuda(w), nnmod.cuda(b), out, *how)
        np.testing.assert_allclose(out.numpy(), y, 1e-5, 1e-5)
        assert [call[:2] for call in library.calls] == expected
        library.unsupported |= {("Forward", 0)}
        if not expected:  # it may say so as late as that
            library.unsupported.clear()
            library.fail["cudnnConvolutionForward"] = [NOT_SUPPORTED]
    dx, on_device = np.empty_like(x), nnmod.cuda(np.full_like(x, np.nan))
    reference.conv2d_update_grad_input(dy, w, dx, *how)
    library.unsupported = {("BackwardData", 1)}
    cuda.conv2d_update_grad_input(nnmod.cuda(dy), nnmod.cuda(w), on_device, *how)
    np.testing.assert_allclose(on_device.numpy(), dx, 1e-5, 1e-5)
    assert not library.calls, "the gradient's other algorithm adds in any order"


def test_windows_beyond_the_padding_and_nothing_at_all_are_nnmods(library):
    x, w = nnmod.cuda(np.ones((1, 1, 4, 4), np.float32)), nnmod.cuda(np.ones((1, 1, 2, 2), np.float32))
    y = nnmod.cuda(np.full((1, 1, 4, 4), np.nan, np.float32))  # one row and column of windows more
    cuda.conv2d_update_output(x, w, None, y, (1, 1), (0, 0))
    assert (y.numpy()[0, 0, :3, :3] == 4).all() and (y.numpy()[0, 0, 3, :3] == 2).all()
    cuda.conv2d_update_output(x[:0], w, None, y[:0], (1, 1), (0, 0))
    cuda.conv2d_acc_grad_parameters(x[:0], y[:0], w, None, (1, 1), (0, 0))
    assert (w.numpy() == 1).all() and not library.calls


def test_tf32_where_it_is_asked_for(library):
    try:
        for kind, dtype, math in ((None, np.float32, 3), ("tf32", np.float32, 0), ("tf32", np.float64, 3)):
            kernels.settensorcores(kind)
            x, w, _, dy = (nnmod.cuda(value) for value in numbers_of(*SHAPES[0], dtype))
            cuda.conv2d_update_output(x, w, None, dy, *SHAPES[0][3:])
            assert library.calls[-1][2] == math
    finally:
        kernels.settensorcores(None)


def test_descriptors_are_kept_and_given_back(library, monkeypatch):
    monkeypatch.setattr(cudnn, "_KEPT", 2)
    for rows in (4, 5, 4, 6, 7):
        x, w = nnmod.cuda(np.ones((1, 1, rows, 4), np.float32)), nnmod.cuda(np.ones((1, 1, 2, 2), np.float32))
        y = nnmod.cuda(np.full((1, 1, rows - 1, 3), np.nan, np.float32))
        cuda.conv2d_update_output(x, w, None, y, (1, 1), (0, 0))
        assert (y.numpy() == 4).all() and len(library.made) <= 8
    library.fail["cudnnSetConvolutionGroupCount"] = [BAD_PARAM]
    before = len(library.made)
    x = nnmod.cuda(np.ones((1, 1, 9, 4), np.float32))
    with pytest.raises(RuntimeError, match=r"GroupCount failed with status 2000 \(CUDNN_STATUS_BAD_PARAM\)"):
        cuda.conv2d_update_output(x, w, None, nnmod.cuda(np.ones((1, 1, 8, 3), np.float32)), (1, 1), (0, 0))
    assert len(library.made) <= before


def test_it_works_on_the_stream_of_the_thread(library, monkeypatch):
    x, w, _, y = (nnmod.cuda(value) for value in numbers_of(*SHAPES[2], np.float32))
    cuda.conv2d_update_output(x, w, None, y, *SHAPES[2][3:])
    monkeypatch.setattr(Emulated, "stream", 2**40 + 5)
    cuda.conv2d_update_output(x, w, None, y, *SHAPES[2][3:])
    assert library.streams == [0, 2**40 + 5]


def test_errors(library):
    x, w, _, y = (nnmod.cuda(value) for value in numbers_of(*SHAPES[2], np.float32))
    library.fail["cudnnConvolutionForward"] = [FAILED]
    with pytest.raises(RuntimeError, match=r"cudnnConvolutionForward failed with status 5000 \(CUDNN_STATUS_EXEC"):
        cuda.conv2d_update_output(x, w, None, y, *SHAPES[2][3:])
    library.fail["cudnnConvolutionForward"] = [NO_MEMORY]
    with pytest.raises(MemoryError, match="no memory for cudnn"):
        cuda.conv2d_update_output(x, w, None, y, *SHAPES[2][3:])
    cuda.conv2d_update_output(x, w, None, y, *SHAPES[2][3:])  # the next works


def test_no_memory_for_its_handle():
    library = StandIn()
    vendor.use(cudnn.Cudnn(library))
    try:
        x, w, _, y = (nnmod.cuda(value) for value in numbers_of(*SHAPES[2], np.float32))
        nnmod.cuda(np.ones(100_000))  # is kept for the next
        library.fail["cudnnCreate"] = [NO_MEMORY, NO_MEMORY]
        with pytest.raises(MemoryError, match="no memory for cudnn"):
            cuda.conv2d_update_output(x, w, None, y, *SHAPES[2][3:])
        assert engine().allocator.kept == 0
        library.fail["cudnnCreate"] = [NO_MEMORY]
        cuda.conv2d_update_output(x, w, None, y, *SHAPES[2][3:])
        assert len(library.calls) == 1
    finally:
        vendor.use()


def test_the_real_one_understands_the_descriptions():
    """These functions of cuDNN need no GPU: it has all others, and finds the same sizes for the output."""
    try:
        library = vendor.shared("cudnn")
    except (ImportError, RuntimeError, OSError):
        pytest.skip("cuDNN is not installed")
    real = cudnn.Cudnn(library)
    assert "NOT_SUPPORTED" in real.describe(3000 if library.cudnnGetVersion() >= 90000 else 9)
    for dtype in CLOSE:
        for shape in SHAPES:
            x, w, _, y = (value.shape for value in numbers_of(*shape, dtype))
            _, _, stride, pad, dilation, groups = shape[1:]
            of_x, of_w, _, convolution = real._described((x, w, y, pad, stride, dilation, groups, np.dtype(dtype)))
            sizes = [I() for _ in y]
            assert library.cudnnGetConvolution2dForwardOutputDim(convolution, of_x, of_w, *map(ctypes.byref, sizes)) == 0
            assert tuple(size.value for size in sizes) == y
