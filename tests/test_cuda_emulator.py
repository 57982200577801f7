"""The emulator: what it computes, what it catches (planted faults), and what it says."""
import math
import os
import pathlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="numba-cuda is not installed")

from numba import cuda

import nnmod
from nnmod.kernels.cuda.emulator import Kernel, KernelFault, launch, machine
from nnmod.kernels.cuda.emulator import cache as disk_cache

FULL = 0xFFFFFFFF
i32, f32 = np.int32, np.float32


# -- right results ---------------------------------------------------------------------------

def add_rows(x, y):
    row, column = cuda.grid(2)
    if row < x.shape[0] and column < x.shape[1]:
        y[row, column] = x[row, column] + f32(1)


@pytest.mark.parametrize("block", [(1, 1), (16, 16), (7, 3), (32, 32)])
def test_two_dimensions_and_strides(block):
    wide = np.arange(60, dtype=f32).reshape(6, 10)
    x, y = wide[:, ::2], np.zeros((6, 5), f32)
    grid = tuple(-(-n // b) for n, b in zip(x.shape, block))
    launch(add_rows, grid, block, x, y)
    np.testing.assert_array_equal(y, x + 1)


def shared_sum(x, out, n):
    parts = cuda.shared.array(8, np.float32)
    thread = cuda.threadIdx.x
    total = f32(0)
    for k in range(thread, n, 256):
        total += x[k]
    step = 16
    while step > 0:
        total += cuda.shfl_down_sync(FULL, total, step)
        step >>= 1
    if thread & 31 == 0:
        parts[thread >> 5] = total
    cuda.syncthreads()
    if thread == 0:
        for k in range(1, 8):
            total += parts[k]
        out[0] = total


def test_shared_memory_and_shuffles():
    x = np.arange(1000, dtype=f32)
    out = np.zeros(1, f32)
    launch(shared_sum, 1, 256, x, out, i32(1000))
    assert out[0] == x.sum()


def dynamic_reverse(x):
    copy = cuda.shared.array(0, np.int32)
    thread = cuda.threadIdx.x
    copy[thread] = x[thread]
    cuda.syncthreads()
    x[thread] = copy[cuda.blockDim.x - 1 - thread]


def test_dynamic_shared_memory():
    x = np.arange(100, dtype=i32)
    launch(dynamic_reverse, 1, 100, x, shared=400)
    np.testing.assert_array_equal(x, np.arange(100)[::-1])


def warp_functions(out):
    lane = cuda.threadIdx.x
    out[0, lane] = cuda.shfl_sync(FULL, lane, 5)
    out[1, lane] = cuda.shfl_up_sync(FULL, lane, 3)
    out[2, lane] = cuda.shfl_xor_sync(FULL, lane, 9)
    out[3, lane] = cuda.popc(cuda.ballot_sync(FULL, lane % 3 == 0))
    out[4, lane] = i32(cuda.all_sync(FULL, lane < 40))
    out[5, lane] = i32(cuda.any_sync(FULL, lane == 7))
    out[6, lane] = cuda.popc(cuda.match_any_sync(FULL, lane % 4))
    out[7, lane] = cuda.syncthreads_count(i32(lane > 9))
    out[8, lane] = cuda.syncthreads_or(i32(lane == 3))
    out[9, lane] = cuda.syncthreads_and(i32(lane == 3))
    out[10, lane] = cuda.laneid


def test_warp_functions():
    out, lane = np.zeros((11, 32), i32), np.arange(32)
    launch(warp_functions, 1, 32, out)
    expected = [lane * 0 + 5, np.where(lane < 3, lane, lane - 3), lane ^ 9, 11, 1, 1, 8, 22, 1, 0, lane]
    for row, want in zip(out, expected):
        np.testing.assert_array_equal(row != 0 if want is True else row, np.broadcast_to(want, 32))


def atomics(counts, total, x):
    i = cuda.grid(1)
    cuda.atomic.add(counts, x[i] % 4, 1)
    cuda.atomic.add(total, 0, f32(0.5))
    cuda.atomic.max(counts, 4, i)
    cuda.atomic.min(counts, 5, -i)
    cuda.atomic.cas(counts, 6, 0, 7)


def test_atomics():
    counts, total, x = np.zeros(8, i32), np.zeros(1, f32), np.arange(200, dtype=i32)
    launch(atomics, 4, 50, counts, total, x)
    assert counts.tolist() == [50, 50, 50, 50, 199, -199, 7, 0] and total[0] == 100


MATH = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "tanh": np.tanh,
        "sinh": np.sinh, "log1p": np.log1p, "expm1": np.expm1, "floor": np.floor, "atan": np.arctan,
        "erf": np.vectorize(math.erf), "lgamma": np.vectorize(math.lgamma), "fabs": np.abs}
_made = {}


def math_kernel(name):
    if name not in _made:
        space = {"cuda": cuda, "math": math}
        exec(f"def kernel(x, y):\n    i = cuda.grid(1)\n    if i < x.size:\n        y[i] = math.{name}(x[i])", space)
        _made[name] = space["kernel"]
    return _made[name]


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", MATH)
def test_mathematical_functions(name, dtype):
    x = np.concatenate([np.linspace(0.01, 30, 200), [1e-30, 1e30, 1e5, np.inf, np.nan]]).astype(dtype)
    if name in ("lgamma", "erf"):
        x = x[:200]
    y = np.zeros_like(x)
    launch(math_kernel(name), 3, 128, x, y)
    with np.errstate(all="ignore"):
        expected = MATH[name](x.astype(np.float64)).astype(dtype)
    np.testing.assert_allclose(y, expected, rtol=1e-6 if dtype == np.float32 else 1e-13,
                               atol=2e-7 if dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_powers_and_division(dtype):
    def kernel(x, y, z):
        i = cuda.grid(1)
        y[i] = math.pow(x[i], x[i] * x.dtype.type(0.25))
        z[i] = math.fmod(x[i], x.dtype.type(3))

    x = np.linspace(0.1, 20, 128).astype(dtype)
    y, z = np.zeros_like(x), np.zeros_like(x)
    launch(kernel, 1, 128, x, y, z)
    np.testing.assert_allclose(y, np.power(x, x * dtype(0.25)), rtol=3e-6 if dtype == np.float32 else 1e-13)
    np.testing.assert_allclose(z, np.fmod(x, dtype(3)), rtol=1e-6)


@cuda.jit
def jitted(x, factor):
    i = cuda.grid(1)
    x[i] *= factor


def test_what_cuda_jit_made_is_taken():
    x = np.ones(64, f32)
    launch(jitted, 2, 32, x, f32(3))
    assert (x == 3).all()


@cuda.jit(device=True)
def halved(x):
    return x / f32(2)


def test_a_function_that_the_kernel_calls():
    def kernel(x):
        x[cuda.grid(1)] = halved(x[cuda.grid(1)])

    x = np.ones(64, f32)
    launch(kernel, 2, 32, x)
    assert (x == 0.5).all()


CALLS = """
.version 8.0
.target sm_90
.address_size 64
.global .align 4 .b32 table[4] = {10, 20, 0x1E, 40};
.func (.param .b32 result) twice(.param .b32 value)
{
    .reg .b32 %r<3>;
    ld.param.b32 %r1, [value];
    shl.b32 %r2, %r1, 1;
    st.param.b32 [result], %r2;
    ret;
}
.visible .entry first(.param .u64 out)
{
    ret;
}
.visible .entry second(.param .u64 out)
{
    .reg .b32 %r<8>;
    .reg .b64 %rd<8>;
    .reg .pred %p<2>;
    mov.u32 %r1, %tid.x;
    ld.param.u64 %rd1, [out];
    mul.wide.u32 %rd2, %r1, 4;
    mov.u64 %rd3, table;
    add.s64 %rd4, %rd3, %rd2;
    ld.global.b32 %r2, [%rd4];
    { // callseq 0, 0
    .reg .b32 temp;
    .param .b32 param0;
    st.param.b32 [param0+0], %r2;
    .param .b32 retval0;
    call.uni (retval0), twice, (param0);
    ld.param.b32 %r3, [retval0+0];
    }
    add.s64 %rd5, %rd1, %rd2;
    { .reg .b32 %r2; mov.b32 %r2, 1; add.s32 %r3, %r3, %r2; }
    st.global.b32 [%rd5], %r3;
    ret;
}
"""


def test_calls_variables_and_scopes_in_ptx():
    out = np.zeros(4, i32)
    kernel = Kernel(CALLS, entry="second")
    kernel(1, 4, [np.int64(out.ctypes.data).tobytes()], arrays=[out])
    assert out.tolist() == [21, 41, 61, 81]
    assert "mul.wide.u32" in kernel.instructions
    with pytest.raises(ValueError, match="no kernel 'third'"):
        Kernel(CALLS, entry="third")
    with pytest.raises(KernelFault, match="belongs to no array") as caught:
        kernel(1, 5, [np.int64(out.ctypes.data).tobytes()], arrays=[out])
    assert caught.value.ptx_line == CALLS[:CALLS.index("ld.global.b32")].count("\n") + 1


def test_the_example_of_the_documentation(tmp_path):
    page = (pathlib.Path(nnmod.__file__).parents[1] / "docs" / "emulator.rst").read_text()
    code = textwrap.dedent(page.partition(".. code-block:: python\n")[2].partition("\nThe tutorial")[0])
    (tmp_path / "sums.py").write_text(code)
    for forget, text in (("", None), ("        cuda.syncthreads()\n", "uninitialised shared memory: thread (0, 0, 0)")):
        (tmp_path / "sums.py").write_text(code.replace(forget, ""))
        done = subprocess.run([sys.executable, str(tmp_path / "sums.py")], capture_output=True, text=True,
                              env=os.environ | {"PYTHONPATH": str(pathlib.Path(nnmod.__file__).parents[1])})
        assert done.returncode == 0 if text is None else text in done.stderr, done.stderr


# -- planted faults ----------------------------------------------------------------------------

FAULTS = {}


def fault(kind, grid=1, block=64, *args, shared=0, wants=""):
    """Register a kernel with a fault of *kind*; *args* make its arguments."""
    def register(kernel):
        FAULTS[kernel.__name__] = kernel, kind, grid, block, args, shared, wants
        return kernel
    return register


def floats(*shape):
    return lambda: np.ones(shape, f32)


def ints(*shape):
    return lambda: np.ones(shape, i32)


@fault("global out of bounds", 2, 64, floats(100), wants="thread (36, 0, 0) of block (1, 0, 0) writes")
def store_past_the_end(x):
    x[cuda.grid(1)] = f32(0)


@fault("global out of bounds", 1, 64, floats(64), floats(65),
       wants="reads memory that belongs to no array: right behind the end of array 0")
def load_past_the_end(x, y):
    y[cuda.grid(1)] = x[cuda.grid(1) + 1]


@fault("global out of bounds", 1, 8, floats(64), wants="before array 0 (float32 (64,))")
def negative_address(x):
    x[np.uint64(cuda.grid(1)) - np.uint64(1)] = f32(0)


@fault("global out of bounds", 1, (8, 9), floats(8, 8))
def one_row_too_many(x):
    x[cuda.threadIdx.y, cuda.threadIdx.x] = f32(0)


@fault("shared out of bounds", 1, 64, floats(64))
def shared_past_the_end(x):
    s = cuda.shared.array(32, np.float32)
    s[cuda.threadIdx.x] = x[0]
    cuda.syncthreads()
    x[cuda.threadIdx.x] = s[0]


@fault("shared out of bounds", 1, 64, ints(64), shared=128)
def dynamic_shared_too_small(x):
    s = cuda.shared.array(0, np.int32)
    s[cuda.threadIdx.x] = x[0]
    cuda.syncthreads()
    x[cuda.threadIdx.x] = s[0]


@fault("local out of bounds", 1, 1, ints(64))
def local_past_the_end(x):
    s = cuda.local.array(4, np.int32)
    for k in range(x[0] * 4 + 1):
        s[k] = x[k]
    x[0] = s[x[1]]


@fault("write to read-only memory", 1, 32, lambda: np.frombuffer(bytes(256), f32))
def write_to_an_input(x):
    x[cuda.grid(1)] = f32(0)


@fault("uninitialised shared memory", 1, 64, floats(64))
def shared_never_written(x):
    s = cuda.shared.array(64, np.float32)
    if cuda.threadIdx.x < 63:
        s[cuda.threadIdx.x] = x[0]
    cuda.syncthreads()
    x[cuda.threadIdx.x] = s[cuda.threadIdx.x]


@fault("uninitialised shared memory", 2, 64, floats(128))
def shared_left_by_another_block(x):
    s = cuda.shared.array(64, np.float32)
    if cuda.blockIdx.x == 0:
        s[cuda.threadIdx.x] = f32(1)
    x[cuda.grid(1)] = s[cuda.threadIdx.x]


@fault("race in shared memory", 1, 64, floats(64))
def missing_barrier(x):
    s = cuda.shared.array(64, np.float32)
    s[cuda.threadIdx.x] = x[cuda.threadIdx.x]
    x[cuda.threadIdx.x] = s[63 - cuda.threadIdx.x] if cuda.threadIdx.x > 40 else f32(0)


@fault("race in shared memory", 1, 64, floats(64))
def missing_barrier_before_reuse(x):
    s = cuda.shared.array(64, np.float32)
    s[cuda.threadIdx.x] = x[cuda.threadIdx.x]
    cuda.syncthreads()
    v = s[63 - cuda.threadIdx.x]
    s[cuda.threadIdx.x] = v
    cuda.syncthreads()
    x[cuda.threadIdx.x] = s[cuda.threadIdx.x]


@fault("race in shared memory", 1, 32, floats(32))
def missing_syncwarp(x):
    s = cuda.shared.array(32, np.float32)
    s[cuda.threadIdx.x] = x[cuda.threadIdx.x]
    x[cuda.threadIdx.x] = s[cuda.threadIdx.x & 30]


@fault("race in shared memory", 1, 64, floats(64))
def syncwarp_between_warps(x):
    s = cuda.shared.array(64, np.float32)
    s[cuda.threadIdx.x] = x[cuda.threadIdx.x]
    cuda.syncwarp()
    x[cuda.threadIdx.x] = s[cuda.threadIdx.x & 31]


@fault("race in global memory within a block", 1, 64, floats(64))
def two_threads_add(x):
    x[cuda.threadIdx.x // 2] += f32(1)


@fault("race in global memory within a block", 1, 64, floats(65))
def neighbours_through_global(x):
    x[cuda.threadIdx.x] = x[cuda.threadIdx.x + 1]


@fault("race in global memory between blocks", 3, 32, floats(64))
def blocks_add(x):
    x[cuda.threadIdx.x] += f32(1)


@fault("race in global memory between blocks", 2, 32, floats(64))
def block_reads_what_another_writes(x):
    x[cuda.grid(1)] = x[63 - cuda.grid(1)]


@fault("race in global memory between blocks", 2, 32, ints(64))
def atomic_and_plain(x):
    if cuda.blockIdx.x == 0:
        cuda.atomic.add(x, cuda.threadIdx.x, 1)
    else:
        x[cuda.threadIdx.x] = 0


@fault("divergent barrier", 1, 64, floats(64))
def two_barriers(x):
    if cuda.threadIdx.x < 40:
        x[cuda.threadIdx.x] = f32(2)
        cuda.syncthreads()
        x[cuda.threadIdx.x] += f32(5)
    else:
        cuda.syncthreads()


@fault("thread ended before a barrier", 1, 64, floats(64), wants="has ended")
def early_return(x):
    if cuda.threadIdx.x >= 60:
        return
    x[cuda.threadIdx.x] = f32(2)
    cuda.syncthreads()
    x[cuda.threadIdx.x] = x[0]


@fault("lane of the mask missing", 1, 32, floats(32))
def full_mask_in_a_branch(x):
    if cuda.threadIdx.x < 20:
        x[cuda.threadIdx.x] = cuda.shfl_down_sync(FULL, x[cuda.threadIdx.x], 1)


@fault("lane of the mask missing", 1, 64, floats(64))
def full_mask_in_a_loop_of_uneven_length(x):
    v = x[cuda.threadIdx.x]
    for _ in range(cuda.threadIdx.x & 3):
        v += cuda.shfl_xor_sync(FULL, v, 1)
    cuda.syncthreads()
    x[cuda.threadIdx.x] = v


@fault("own lane not in the mask", 1, 32, ints(32))
def wrong_mask(x):
    x[cuda.threadIdx.x] = cuda.ballot_sync(0xFFFF, True)


@fault("lane of the mask missing", 1, 40, ints(40))
def half_a_warp(x):
    x[cuda.threadIdx.x] = cuda.ballot_sync(FULL, True)


@fault("shuffle from a lane outside the mask", 1, 32, ints(32))
def shuffle_from_outside(x):
    if cuda.threadIdx.x < 16:
        x[cuda.threadIdx.x] = cuda.shfl_sync(0xFFFF, x[cuda.threadIdx.x], 20)


@fault("different warp operations", 1, 32, ints(32))
def two_warp_operations(x):
    lane = cuda.threadIdx.x
    if lane < 16:
        x[lane] = cuda.ballot_sync(FULL, lane > 3)
    else:
        x[lane] = cuda.any_sync(FULL, lane > 20)


@fault("endless loop", 1, 1, ints(4))
def endless(x):
    while x[0] > 0:
        x[1] ^= 1


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_found(name, monkeypatch):
    kernel, kind, grid, block, make, shared, wants = FAULTS[name]
    monkeypatch.setattr(machine, "JUMP_LIMIT", 10_000)
    with pytest.raises(KernelFault) as caught:
        launch(kernel, grid, block, *(one() for one in make), shared=shared)
    error = caught.value
    assert error.kind == kind, str(error)
    assert error.kernel == name and name in str(error) and wants in str(error)
    file, line = error.where
    assert pathlib.Path(file).name == "test_cuda_emulator.py" and f"{file}:{line}" in str(error)
    first = kernel.__code__.co_firstlineno
    assert first <= line <= first + 12
    assert f"thread {error.thread} of block {error.block}" in str(error)


VECTORS = """
.version 8.0
.target sm_90
.address_size 64
.visible .entry vectors(.param .u64 data)
{
    .reg .b64 %rd<3>;
    .reg .f32 %f<4>;
    .shared .align 16 .b8 buffer[64];
    ld.param.u64 %rd1, [data];
    INSTRUCTION
    ret;
}
"""


@pytest.mark.parametrize("instruction, kind", [
    ("ld.global.v4.f32 {%f0, %f1, %f2, %f3}, [%rd1+8];", "misaligned global access"),
    ("st.shared.v2.f32 [buffer+4], {%f0, %f1};", "misaligned shared access"),
    ("ld.global.v4.f32 {%f0, %f1, %f2, %f3}, [%rd1+64];", "global out of bounds"),
    ("trap;", "trap"), (".reg .b32 %q; div.u32 %q, 7, 0;", "integer division by zero"),
    (".local .align 4 .b8 small[6]; ld.local.f32 %f0, [small+2];", "misaligned local access"),
])
def test_vectors_and_traps(instruction, kind):
    x = np.zeros(32, f32)
    x = x[(-x.ctypes.data // 4) % 4:][:16]
    with pytest.raises(KernelFault) as caught:
        Kernel(VECTORS.replace("INSTRUCTION", instruction))(1, 1, [np.int64(x.ctypes.data).tobytes()], arrays=[x])
    assert caught.value.kind == kind and caught.value.where == ("", 0)


def test_kinds_of_faults_that_are_planted():
    assert len({entry[1] for entry in FAULTS.values()} | {"misaligned global access", "misaligned shared access",
                                                         "misaligned local access", "integer division by zero",
                                                         "trap"}) >= 20


def ordered_by_syncwarp(x):
    s = cuda.shared.array(32, np.float32)
    lane = cuda.threadIdx.x
    s[lane] = x[lane]
    step = 16
    while step > 0:
        cuda.syncwarp()
        v = s[lane ^ step]
        cuda.syncwarp()
        s[lane] += v
        step >>= 1
    x[lane] = s[lane]


def test_no_false_alarm_where_syncwarp_orders():
    x = np.arange(32, dtype=f32)
    launch(ordered_by_syncwarp, 1, 32, x)
    assert (x == 496).all()


def test_races_are_not_looked_for_when_not_asked():
    x = np.ones(64, f32)
    launch(blocks_add, 3, 32, x, races=False)
    assert (x[:32] == 4).all()


# -- arguments and the cache --------------------------------------------------------------------

@pytest.mark.parametrize("grid, block, text", [
    (0, 32, "grid must be one to three ints > 0, got 0"), (1, (32, 32, 2), "1024 threads at most"),
    ((1, 1, 1, 1), 1, "grid must be"), (1, 1.5, "block must be")])
def test_wrong_launches(grid, block, text):
    with pytest.raises(ValueError, match=text):
        launch(jitted, grid, block, np.ones(4, f32), f32(1))


def test_a_wrong_argument():
    def kernel(x, y):
        x[0] = y[0]

    with pytest.raises(TypeError, match="the emulator takes NumPy arrays and numbers"):
        launch(kernel, 1, 1, np.ones(4, f32), (1.0, 2.0))
    with pytest.raises(ValueError, match="227 KiB"):
        launch(dynamic_reverse, 1, 1, np.ones(4, i32), shared=300000)


def test_a_damaged_cache_is_built_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("NNMOD_CACHE_DIR", str(tmp_path))
    assert disk_cache.cached("a", "x", lambda: b"one") == b"one"
    assert disk_cache.cached("a", "x", lambda: b"two") == b"one"
    path, = tmp_path.iterdir()
    path.write_bytes(b"damaged")
    assert disk_cache.cached("a", "x", lambda: b"three") == b"three"
    monkeypatch.setenv("NNMOD_CACHE_DIR", str(path))
    assert disk_cache.cached("a", "x", lambda: b"four") == b"four"


def test_importing_nnmod_does_not_touch_cuda():
    code = ("import sys, nnmod; net = nnmod.Linear(2, 2); import numpy as np; net.forward(np.ones((1, 2), np.float32));"
            "sys.exit(any(name.startswith(('numba_cuda', 'numba.cuda', 'cuda')) for name in sys.modules))")
    assert subprocess.run([sys.executable, "-c", code], cwd=pathlib.Path(nnmod.__file__).parent.parent).returncode == 0
