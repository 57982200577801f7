"""Tensors on the CUDA device, emulated here: views, copies, memory, other libraries, and what they refuse."""
import copy
import gc
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")
os.environ.setdefault("NNMOD_CUDA", "emulate")

import nnmod
from nnmod import kernels, optim, tensor
from nnmod.kernels.cuda.allocator import Allocator, size_class
from nnmod.kernels.cuda.launch import launch, scratch

EMULATED = os.environ["NNMOD_CUDA"] == "emulate"


def numbers(*shape, dtype=np.float32):
    return np.random.default_rng(3).standard_normal(shape).astype(dtype)


def same(on_device, expected):
    assert tensor.is_on_device(on_device)
    assert on_device.shape == expected.shape and on_device.dtype == expected.dtype
    np.testing.assert_array_equal(on_device.numpy(), expected)


# -- what it is ----------------------------------------------------------------------------------

def test_looks_like_an_array():
    x = numbers(3, 12)
    t = nnmod.cuda(x)
    assert repr(t) == tensor.describe(t) == "cuda.float32 (3, 12)" and tensor.type_of(t) == "cuda.float32"
    assert (t.shape, t.dtype, t.ndim, t.size, len(t), t.nbytes, t.itemsize) == ((3, 12), x.dtype, 2, 36, 3, 144, 4)
    assert t.dense and t.base is None and nnmod.cuda(t) is t
    x[:] = 0
    assert t.numpy().any(), "cuda() must copy"
    a, b = nnmod.cuda([x, {"n": np.arange(3)}])
    same(b["n"], np.arange(3))
    with pytest.raises(TypeError, match="cuda takes a NumPy array, or a table of them, got float"):
        nnmod.cuda(1.0)
    with pytest.raises(TypeError, match="a tensor on the device holds .*float32.*, got float16"):
        nnmod.cuda(np.zeros(3, np.float16))


VIEWS = {
    "row": lambda x: x[1],
    "rows": lambda x: x[1:3],
    "empty rows": lambda x: x[2:2],
    "columns": lambda x: x[:, 1:3],
    "steps": lambda x: x[::2, ::-1],
    "last": lambda x: x[..., -1],
    "new": lambda x: x[None, :, None],
    "both": lambda x: x[1:, None, 2],
    "reshape": lambda x: x.reshape(2, -1),
    "reshape of a strided": lambda x: x[:, :2].reshape(-1),
    "ravel": lambda x: x[1:].ravel(),
    "transposed": lambda x: x.transpose(2, 0, 1),
    "T": lambda x: x.T,
    "swapped": lambda x: x.swapaxes(0, 2),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views(name):
    x = numbers(4, 3, 5)
    same(VIEWS[name](nnmod.cuda(x)), VIEWS[name](x))
    same(VIEWS[name](nnmod.cuda(x)).copy(), VIEWS[name](x))


def test_views_are_views():
    x = numbers(4, 6)
    t = nnmod.cuda(x)
    t[1:3].fill(7)
    t.reshape(2, 12)[0, 0] = -1
    t.T[5, :2] = np.float32([3, 4])
    x[1:3] = 7
    x[0, 0] = -1
    x[:2, 5] = [3, 4]
    same(t, x)
    assert t[1:3].base is t and t[1:3].reshape(12).base is t
    for row, expected in zip(t, x, strict=True):
        same(row, expected)


@pytest.mark.parametrize("key", [[0], np.array([0]), True, "a", 1.5])
def test_other_indices_are_refused(key):
    with pytest.raises(TypeError, match="indexed with ints, slices, None and ..., got"):
        nnmod.cuda(numbers(3))[key]


def test_indices_outside():
    with pytest.raises(IndexError, match="index 3 is outside dimension 0 of size 3"):
        nnmod.cuda(numbers(3))[3]
    with pytest.raises(IndexError, match="too many indices"):
        nnmod.cuda(numbers(3))[0, 0]
    with pytest.raises(ValueError, match="cannot have the shape"):
        nnmod.cuda(numbers(3)).reshape(2, -1)


# -- copies ----------------------------------------------------------------------------------------

COPIES = {
    "dense": (lambda t: t, lambda s: s),
    "into columns": (lambda t: t[:, 1:4], lambda s: s[:, 1:4]),
    "from columns": (lambda t: t[:2], lambda s: s[2:, ::-1]),
    "one row to all": (lambda t: t, lambda s: s[1]),
    "one column to all": (lambda t: t, lambda s: s[:, :1]),
    "transposed": (lambda t: t[:4, :4], lambda s: s[:4, :4].T),
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("dtypes", [("float32", "float32"), ("float64", "float32"), ("float32", "float64"),
                                    ("int64", "float32")])
def test_copies(name, dtypes):
    into, out_of = COPIES[name]
    source = (10 * numbers(4, 6)).astype(dtypes[0])
    target = numbers(4, 6).astype(dtypes[1])
    expected = target.copy()
    into(expected)[...] = out_of(source)
    on_device = nnmod.cuda(target)
    into(on_device)[...] = out_of(nnmod.cuda(source))
    same(on_device, expected)
    on_device = nnmod.cuda(target)  # from the host
    into(on_device)[...] = out_of(source)
    same(on_device, expected)


def test_many_dimensions():
    x = numbers(2, 3, 2, 3, 2, 3, 2, 2)
    axes = (7, 0, 5, 2, 4, 1, 6, 3)  # no two dimensions stay beside each other
    same(nnmod.cuda(x).transpose(axes).copy(), np.ascontiguousarray(x.transpose(axes)))


def test_copies_of_overlapping_memory():
    x = numbers(40)
    t = nnmod.cuda(x)
    t[1:] = t[:-1]
    x[1:] = x[:-1].copy()
    same(t, x)


def test_copy_refuses_other_shapes():
    t = nnmod.cuda(numbers(3, 4))
    for wrong in (nnmod.cuda(numbers(4, 3)), nnmod.cuda(numbers(2, 3, 4)), numbers(5), nnmod.cuda(numbers(0, 4))):
        with pytest.raises(ValueError):
            t[...] = wrong
    same(t, numbers(3, 4))


def test_fill_and_empty():
    t = tensor.empty((3, 5), "cuda.float64")
    if EMULATED:
        assert np.isnan(t.numpy()).all(), "what nobody wrote must show"
    for value in (0, -0.0, 2.5, float("nan")):
        t.fill(value)
        np.testing.assert_array_equal(t.numpy(), np.full((3, 5), value))
        assert np.signbit(t.numpy()).all() == np.signbit(value)
    nothing = nnmod.cuda(np.zeros((0, 4), np.float32))
    nothing.fill(1)
    nothing[...] = nothing
    assert nothing.numpy().shape == (0, 4) and nothing.reshape(0, 2, 2).copy().shape == (0, 2, 2)


def test_numbers_and_arithmetic():
    x, y = numbers(3, 4), numbers(4, 3).T
    a, b = nnmod.cuda(x), nnmod.cuda(y)
    assert float(a[1, 2]) == x[1, 2] and int(nnmod.cuda(np.array([3]))) == 3 and bool(a[0, 0]) is True
    same(a + b, x + y)
    same(2 * a - b, 2 * x - y)
    same(-a / 3.0, -x / np.float32(3))
    same(1 - a, 1 - x)
    a += b
    a *= 2
    a[:, 1] -= 1
    a /= b
    x += y
    x *= 2
    x[:, 1] -= 1
    x /= y
    same(a, x)
    with pytest.raises(TypeError, match="only a tensor of one element is a number"):
        float(a)
    with pytest.raises(ValueError, match="arithmetic takes tensors of one shape"):
        a + b[0]
    with pytest.raises(TypeError, match="tensors on one device and numbers, got cuda.float32"):
        a + x
    with pytest.raises(TypeError, match="share one device and one dtype"):
        a + b.astype(np.float64)


def test_copies_by_python():
    x = numbers(3, 4)
    t = nnmod.cuda(x)
    for twin in (copy.copy(t), copy.deepcopy(t), pickle.loads(pickle.dumps(t))):
        same(twin, x)
        twin.fill(0)
        same(t, x)


# -- NumPy and other libraries -----------------------------------------------------------------------

def test_numpy_never_copies_it_unasked():
    x = numbers(3)
    t = nnmod.cuda(x)
    for call in (lambda: np.sum(t), lambda: np.asarray(t), lambda: np.concatenate([t, t]), lambda: x + t,
                 lambda: t + x, lambda: np.copyto(x, t), lambda: np.exp(t), lambda: x.__setitem__(..., t)):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(TypeError, match=r"numpy.sum works on the host, and cuda.float32 \(3,\) is on the device"):
        np.sum(t)
    with pytest.raises(TypeError, match="compare copies on the host"):
        t == t
    with pytest.raises(TypeError, match="unhashable"):
        hash(t)


def test_dlpack():
    x = numbers(4, 6)
    t = nnmod.cuda(x)
    if not EMULATED:
        assert t.__dlpack_device__()[0] == 2
        return
    assert t.__dlpack_device__() == (1, 0)
    for part in (lambda v: v, lambda v: v[1:, ::2], lambda v: v[2, 3]):
        np.testing.assert_array_equal(np.from_dlpack(part(t)), part(x))
    seen = np.from_dlpack(t)
    t.fill(5)
    assert (seen == 5).all(), "the memory must be the same"
    del t
    gc.collect()
    assert (seen == 5).all(), "the other library keeps the memory"
    for dtype in ("float64", "int32", "int64", "uint8", "bool"):
        np.testing.assert_array_equal(np.from_dlpack(nnmod.cuda(np.ones(3, dtype))), np.ones(3, dtype))
    nnmod.cuda(x).__dlpack__()  # a capsule that nobody takes
    with pytest.raises(BufferError, match="without a copy"):
        nnmod.cuda(x).__dlpack__(copy=True)


def test_cuda_array_interface():
    t = nnmod.cuda(numbers(4, 6))
    if EMULATED:
        assert not hasattr(t, "__cuda_array_interface__")
    else:
        assert t[1:].__cuda_array_interface__["data"][0] == t.address + 24


# -- memory --------------------------------------------------------------------------------------------

class Device:
    """A device with so many bytes, for the allocator."""

    def __init__(self, capacity):
        self.free_bytes, self.calls, self.given = capacity, 0, {}

    def allocate(self, size):
        self.calls += 1
        if size > self.free_bytes:
            raise MemoryError("full")
        self.free_bytes -= size
        self.given[self.calls] = size
        return self.calls

    def free(self, raw):
        self.free_bytes += self.given.pop(raw)


def test_memory_is_used_again():
    device = Device(1 << 20)
    allocator = Allocator(device.allocate, device.free)
    first = allocator.take(1000)
    raw, view = first.raw, first
    del first
    second = allocator.take(1000)
    assert second.raw != raw, "memory that is held must not be given twice"
    del view
    assert allocator.take(900).raw == raw
    assert allocator.take(1000, stream=7).raw != raw, "another stream's work may still use it"
    assert device.calls == 3 and allocator.reserved == 3 * 1024


def test_out_of_memory():
    device = Device(10 * 1024)
    allocator = Allocator(device.allocate, device.free)
    held, dropped = allocator.take(4096), allocator.take(4096)
    del dropped
    bigger = allocator.take(6144)  # does not fit until what is kept is given back
    assert device.free_bytes == 0 and allocator.kept == 0 and allocator.reserved == 10 * 1024
    with pytest.raises(MemoryError, match=r"no memory for 512 bytes more: tensors hold 10 KiB.*clearState"):
        allocator.take(1)
    assert (held.nbytes, bigger.nbytes) == (4096, 6144)
    del bigger
    assert allocator.take(6000).nbytes == 6144


@pytest.mark.parametrize("nbytes", [0, 1, 512, 513, 5000, 10**6, 10**9])
def test_size_classes(nbytes):
    assert nbytes <= size_class(nbytes) <= max(512, nbytes + 512, nbytes * 9 // 8)
    assert size_class(size_class(nbytes)) == size_class(nbytes) and size_class(nbytes) % 512 == 0


def test_scratch_is_beside_its_tensor():
    assert isinstance(scratch(numbers(2), (3,), np.float64), np.ndarray)
    t = scratch(nnmod.cuda(numbers(2)), (3,), np.float64)
    assert repr(t) == "cuda.float64 (3,)"
    with pytest.raises(TypeError, match="fill_ takes tensors on one device, got cuda tensors and cpu.float32"):
        def fill_(a, b): ...
        launch(fill_, 1, 1, t, numbers(2))


# -- modules and optimizers -----------------------------------------------------------------------------

def network():
    return nnmod.Sequential(nnmod.Linear(4, 6), nnmod.Tanh(), nnmod.Linear(6, 3))


def test_types_and_sharing():
    net = network()
    net.add(net[0].clone("weight", "bias", "gradWeight", "gradBias"))
    before = [p.copy() for p in net.parameters()[0]]
    assert net.cuda() is net and net.type() == "cuda.float32" and net[0].type() == "cuda.float32"
    assert net[0].weight is net[3].weight and net[0].gradBias is net[3].gradBias
    assert net.double().type() == "cuda.float64" and net.float().type("cuda.float32") is net
    for p, expected in zip(net.parameters()[0], before, strict=True):
        same(p, expected)
    net.cpu()
    for p, expected in zip(net.parameters()[0], before, strict=True):
        np.testing.assert_array_equal(p, expected)


def test_flat_parameters():
    net = network().cuda()
    first = [p.numpy() for p in net.parameters()[0]]
    flat, grad = net.getParameters()
    assert repr(flat) == "cuda.float32 (51,)" and net.getParameters()[0] is flat
    for p, expected in zip(net.parameters()[0], first, strict=True):
        assert p.base is flat
        same(p, expected)
    part, _ = net[2].getParameters()
    assert part.shape == (21,) and part.base is flat
    part.fill(1)
    assert (flat.numpy()[-21:] == 1).all() and (net[2].weight.numpy() == 1).all()
    net.zeroGradParameters()
    assert not grad.numpy().any()
    twin = net.clone()
    assert not tensor.same_memory(twin[0].weight, net[0].weight)


def test_inferred_sizes_are_on_the_device():
    nnmod.manualSeed(1)
    net = nnmod.Sequential(nnmod.Linear(None, 3), nnmod.BatchNormalization(3)).cuda()
    assert net.forward(nnmod.cuda(numbers(5, 4))).shape == (5, 3)
    assert repr(net[0].weight) == "cuda.float32 (3, 4)"


def test_mixed_devices():
    net, x = network(), numbers(2, 4)
    with pytest.raises(TypeError, match=r"share one device.*cuda.float32 \(2, 4\) and cpu.float32 \(6, 4\)") as caught:
        net.forward(nnmod.cuda(x))
    assert caught.value.__notes__ == ["in module: Sequential[0] > Linear(4 -> 6).forward, given cuda.float32 (2, 4)"]
    net.cuda()
    with pytest.raises(TypeError, match=r"convert the module with .cuda\(\) or .cpu\(\)"):
        net.forward(x)
    y = net.forward(nnmod.cuda(x))
    with pytest.raises(TypeError, match="gradOutput must be on the device of output, cuda.float32"):
        net.backward(net._given, y.numpy())
    criterion = nnmod.ClassNLLCriterion().cuda()
    with pytest.raises(TypeError, match="target must be on the device of input"):
        criterion.forward(y, np.array([0, 1]))
    with pytest.raises(IndexError, match=r"target\[1\] is 3, but classes are 0..2"):
        criterion.forward(y, nnmod.cuda(np.array([0, 3])))
    with pytest.raises(TypeError, match="must be on the device of the module, which is cuda.float32"):
        nnmod.Linear(None, 2).cuda().forward(x)


def test_a_missing_kernel_is_named(monkeypatch):
    from nnmod.kernels import cuda
    monkeypatch.delattr(cuda, "gemm", raising=False)
    with pytest.raises(NotImplementedError, match=r"no CUDA kernel gemm yet.*module.cpu\(\)") as caught:
        network().cuda().forward(nnmod.cuda(numbers(2, 4)))
    assert "Sequential[0] > Linear(4 -> 6).forward" in caught.value.__notes__[0]


OPTIMIZERS = {
    "sgd": {"learningRate": 0.1}, "sgd momentum": {"learningRate": 0.1, "momentum": 0.9, "weightDecay": 0.01},
    "adam": {}, "adagrad": {"learningRate": 0.1}, "rmsprop": {}, "adadelta": {}, "adamax": {}, "nag": {}, "asgd": {},
    "rprop": {}, "cg": {"maxIter": 5}, "lbfgs": {"maxIter": 5}, "de": {"popsize": 10, "maxFEs": 100},
    "cmaes": {"maxEval": 60},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name):
    """The same steps as on the CPU, on a vector that stays on the device."""
    scales = np.linspace(1, 3, 7)

    def loss(x):
        host = tensor.host(x)
        slope = 2 * scales * host
        return float((scales * host**2).sum()), nnmod.cuda(slope) if tensor.is_on_device(x) else slope

    results = []
    for place in (nnmod.cuda, lambda x: x):
        nnmod.manualSeed(3)
        x, config = place(numbers(7, dtype=np.float64)), dict(OPTIMIZERS[name])
        for _ in range(3):
            given, losses = getattr(optim, name.split()[0])(loss, x, config)
            assert given is x
        results.append((tensor.host(x), losses))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-10, atol=1e-12)


def test_files(tmp_path):
    net = network().cuda()
    net.add(nnmod.Copy("cuda.float32", "cuda.float64"))
    x = numbers(2, 4)
    y = net.forward(nnmod.cuda(x)).numpy()
    net.getParameters()
    nnmod.save(tmp_path / "net.t7", {"net": net, "state": {"v": net[0].gradWeight}})
    loaded = nnmod.load(tmp_path / "net.t7")
    assert loaded["net"].type() == "cpu.float32" and isinstance(loaded["state"]["v"], np.ndarray)
    np.testing.assert_allclose(loaded["net"].forward(x), y, rtol=1e-6)
    pytest.importorskip("safetensors")
    nnmod.save_checkpoint(tmp_path / "net.safetensors", net, v=net[0].weight)
    read = nnmod.load_checkpoint(tmp_path / "net.safetensors")
    assert read["model"].type() == "cpu.float32" and read["v"] is read["model"][0].weight
    np.testing.assert_allclose(read["model"].forward(x), y, rtol=1e-6)
    same(read["model"].cuda()[0].weight, read["v"])


def test_files_are_read_without_cuda(tmp_path):
    pytest.importorskip("safetensors")
    nnmod.save_checkpoint(tmp_path / "net", network().cuda())
    code = f"import nnmod; print(nnmod.load_checkpoint({str(tmp_path / 'net')!r})['model'].type())"
    assert fresh(code).stdout.strip() == "cpu.float32"


def test_confusion_takes_what_the_network_gives():
    confusion = nnmod.ConfusionMatrix(3)
    confusion.batchAdd(nnmod.cuda(np.eye(3, dtype=np.float32)), nnmod.cuda(np.array([0, 1, 1])))
    np.testing.assert_array_equal(confusion.mat, [[1, 0, 0], [0, 1, 1], [0, 0, 0]])


# -- processes without it ----------------------------------------------------------------------------------

def fresh(code, **settings):
    """Run *code* in a process that was not asked to emulate and sees no GPU."""
    environment = {name: value for name, value in os.environ.items() if name != "NNMOD_CUDA"}
    environment |= {"CUDA_VISIBLE_DEVICES": "-1", **settings}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


def test_without_cuda_it_says_what_to_do():
    code = ("import nnmod, numpy as np\n"
            "for call in (nnmod.Linear(2, 2).cuda, lambda: nnmod.cuda(np.zeros(3)), nnmod.MSECriterion().cuda):\n"
            "    try: call()\n"
            "    except RuntimeError as error: print(error)")
    result = fresh(code)
    assert result.stdout.splitlines() == [kernels.NO_CUDA] * 3, result.stderr
    result = fresh(code, NNMOD_CUDA="gpu")
    assert "NNMOD_CUDA must be driver or emulate, got 'gpu'" in result.stderr


def test_importing_nnmod_touches_no_cuda():
    code = ("import sys, nnmod; nnmod.Linear(2, 2);"
            "print([name for name in sys.modules if name.startswith(('numba', 'nnmod.kernels.cuda'))])")
    assert fresh(code, NNMOD_CUDA="emulate").stdout.strip() == "[]"
