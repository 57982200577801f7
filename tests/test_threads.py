"""Threads: every part of a loop once, errors, callers side by side, forks, exits, sleep, and the way without workers."""
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("numba")

from numba import types  # noqa: E402
from numba.extending import intrinsic  # noqa: E402

from nnmod.kernels.cpu import threads, workers  # noqa: E402
from nnmod.kernels.cpu.compile import call, jit, native  # noqa: E402
from nnmod.kernels.cpu.simd import Emitter, address  # noqa: E402

needs_workers = pytest.mark.skipif(not workers.available, reason="the platform has no POSIX threads")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform cannot fork")


@jit
def count_up(start, stop, x, by):
    for i in range(start, stop):
        x[i] += by


@jit
def refuse(start, stop, x, limit):
    for i in range(start, stop):
        if i >= limit:
            raise ArithmeticError("beyond the limit")
        x[i] += 1


@jit
def note_ranges(start, stop, seen):
    seen[start] = stop


@intrinsic
def emitted_double(typingctx, like, count, x):
    def codegen(context, builder, signature, args):
        e = Emitter(builder, like)
        count, x = e.values(args[1:])
        with e.range(0, count) as i:
            there = x + i * e.item_bytes
            e.put(e.get(there) * 2.0, there)
        return context.get_dummy_value()

    return types.void(like, types.intp, types.intp), codegen


@native("number", "int", "int")
def double_up(like, count, x):
    emitted_double(like, count, x)


@jit
def double_rows(start, stop, x):
    for n in range(start, stop):
        row = x[n]
        call(double_up, (x.dtype.type(0), row.size, address(row)))


@pytest.fixture(params=[pytest.param("workers", marks=needs_workers), "python"])
def way(request, monkeypatch):
    """Both ways to divide, each from its start."""
    before = threads.get_num_threads()
    threads._pool.stop()
    if request.param == "python":
        monkeypatch.setattr(threads._pool, "_workers", None)
    yield request.param
    threads.set_num_threads(before)


@pytest.mark.parametrize("size", [2, 3, 5, 16, 40])
def test_every_part_runs_once(size, way):
    threads.set_num_threads(size)
    for count in (2, 3, 7, size, 1000, 1001):
        x = np.zeros(count)
        for _ in range(20):
            threads.run(count_up, count, 1, x, 2.0)
        assert np.array_equal(x, np.full(count, 40.0))


def test_the_grain_limits_the_parts(way):
    threads.set_num_threads(4)
    for grain, parts in ((1, 4), (3, 3), (4, 2), (5, 2), (6, 1), (100, 1)):
        seen = np.zeros(10, np.int64)
        threads.run(note_ranges, 10, grain, seen)
        assert np.count_nonzero(seen) == parts
        start = 0
        while start < 10:  # and the parts are the whole, without gaps
            assert seen[start] - start >= 10 // parts
            start = seen[start]
        assert start == 10


def test_an_error_in_any_part_reaches_the_caller(way):
    threads.set_num_threads(3)
    x = np.zeros(9)
    for limit in (0, 4, 8):
        with pytest.raises(ArithmeticError, match="beyond the limit"):
            threads.run(refuse, 9, 1, x, limit)
    x[:] = 0
    threads.run(refuse, 9, 1, x, 9)  # and the workers live on
    assert np.array_equal(x, np.ones(9))


def test_a_function_of_python(way):
    threads.set_num_threads(3)
    seen = []
    threads.run(lambda start, stop: seen.append((start, stop)), 7, 1)
    assert sorted(seen) == [(0, 2), (2, 4), (4, 7)]


def test_what_is_compiled_when_first_called_is_compiled_once_for_all_threads(way):
    threads.set_num_threads(3)
    for dtype in (np.float32, np.float64):
        x = np.ones((9, 5), dtype)
        threads.run(double_rows, 9, 1, x)
        threads.run(double_rows, 9, 1, x)
        assert np.array_equal(x, np.full((9, 5), 4, dtype))
    assert len(double_up._compiled) == 2


def test_callers_side_by_side_while_the_number_changes(way):
    wrong, over = [], threading.Event()

    def work():
        x = np.zeros(501)
        for k in range(1, 301):
            threads.run(count_up, 501, 1, x, 1.0)
            if not (x == k).all():
                wrong.append(k)

    def change():
        for k in range(10_000):
            if over.is_set():
                break
            threads.set_num_threads(1 + k % 5)

    threads.set_num_threads(3)
    callers = [threading.Thread(target=work) for _ in range(4)]
    other = threading.Thread(target=change)
    for thread in (*callers, other):
        thread.start()
    for thread in callers:
        thread.join()
    over.set()
    other.join()
    assert not wrong


def test_where_no_thread_can_be_started(way, monkeypatch):
    """A process may have all the threads that it is allowed: the caller then does the work."""
    if way == "python":
        pytest.skip("Python's way needs Python's threads")

    def start(self):
        raise RuntimeError("can't start new thread")

    threads.set_num_threads(4)
    monkeypatch.setattr(threading.Thread, "start", start)
    x = np.zeros(10)
    threads.run(count_up, 10, 1, x, 1.0)
    assert np.array_equal(x, np.ones(10))


# -- processes ------------------------------------------------------------------------------------------

START = """
import os, sys, threading, time
import numpy as np
sys.path.insert(0, {tests!r})
from test_threads import count_up
from nnmod.kernels.cpu import threads
threads.set_num_threads(3)
x = np.zeros(64)
threads.run(count_up, 64, 1, x, 1.0)
assert (x == 1).all()
""".format(tests=os.path.dirname(__file__))


def run_python(code, limit=100):
    """What a fresh process says, and how long it took from its last line of output to its end."""
    return subprocess.run([sys.executable, "-W", "ignore", "-c", START + code], timeout=limit, capture_output=True,
                          text=True, env=os.environ | {"NNMOD_QUIET": "1"})


@needs_workers
@pytest.mark.parametrize("code", [
    "",
    "time.sleep(0.1)",
    "threading.Thread(target=lambda: [threads.run(count_up, 64, 1, x, 1.0) for _ in range(10**9)],"
    " daemon=True).start(); time.sleep(0.1)",
    "threading.Thread(target=lambda: (time.sleep(0.2), threads.run(count_up, 64, 1, x, 1.0))).start()",
    "sys.exit(0)",
    "os._exit(0)",
], ids=["at once", "asleep", "while a thread computes", "while a thread waits", "exit", "_exit"])
def test_a_process_ends_with_its_workers(code):
    result = run_python(code)
    assert result.returncode == 0 and result.stderr == ""


@needs_workers
def test_idle_workers_sleep():
    result = run_python("time.sleep(0.1)\nbefore = time.process_time()\ntime.sleep(1)\n"
                        "print(time.process_time() - before)\n")
    assert float(result.stdout) < 0.1, "workers look for work though there has been none for long"


@needs_workers
@pytest.mark.skipif(sys.platform != "linux" or len(os.sched_getaffinity(0)) < 2, reason="wants Linux, two processors")
def test_a_woken_worker_leaves_the_launcher_its_processor():
    result = run_python("""
may, one = os.sched_getaffinity(0), min(os.sched_getaffinity(0))
threads.set_num_threads(2)
def again():
    time.sleep(0.1)  # the worker sleeps
    threads.run(count_up, 64, 1, x, 1.0)
    worker, = (thread.native_id for thread in threading.enumerate() if thread.name == "nnmod-worker")
    return os.sched_getaffinity(worker)
os.sched_setaffinity(0, {one})
threads.run(count_up, 64, 1, x, 1.0)
assert again()  # with one processor for both, it stays
os.sched_setaffinity(0, may)
assert again() < may and os.sched_getaffinity(0) == may
threads.set_num_threads(1)
threads.set_num_threads(2)
threads.run(count_up, 64, 1, x, 1.0)
assert again() < may
assert (x == 6).all(), x
""")
    assert result.returncode == 0, result.stderr


@needs_workers
@needs_fork
def test_a_fork_while_another_thread_computes():
    result = run_python("""
def work():
    y = np.zeros(64)
    while True:
        threads.run(count_up, 64, 1, y, 1.0)
threading.Thread(target=work, daemon=True).start()
for k in range(10):
    child = os.fork()
    if child == 0:
        y = np.zeros(64)
        for _ in range(100):
            threads.run(count_up, 64, 1, y, 1.0)
        os._exit(0 if (y == 100).all() and threads._pool.ready == 3 else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    threads.run(count_up, 64, 1, x, 1.0)
assert (x == 11).all()
""")
    assert result.returncode == 0, result.stderr


@needs_workers
@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_an_interrupt_reaches_python():
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", START + """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and hand that on
try:
    print("ready", flush=True)
    while True:
        threads.run(count_up, 64, 1, x, 1.0)
except KeyboardInterrupt:
    threads.run(count_up, 64, 1, x, 1.0)
    print("interrupted")
"""], stdout=subprocess.PIPE, text=True, env=os.environ | {"NNMOD_QUIET": "1"})
    try:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "interrupted\n" and process.returncode == 0
    finally:
        process.kill()
