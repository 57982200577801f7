"""Split a kernel's outer loop over threads.

A kernel takes ``(start, stop, ...)`` and writes only what belongs to its range,
so how a range is cut never changes a bit of the result.  Compiled kernels are divided
among workers that wait in compiled code (divide.py, workers.py); where the platform has
not what those need, and for functions of Python, among threads that wait on Python's locks.
Either way several Python threads may compute at once (who comes second computes alone),
a forked child starts workers of its own, and no worker is started before it is needed.

Dividing has its price, so callers state a *grain*: how much of the loop is worth a thread.
"""
import atexit
import math
import os
import pathlib
import threading

import numpy as np

from . import workers

# Whole training steps take as long with half and with twice of these, measured with two threads.
# Well below, a worker that has gone to sleep costs more than it helps.
#: A thread is worth waking for about this many multiply-adds (some 20 us) ...
FLOPS_PER_THREAD = 1_000_000
#: ... or for this many elements read and written (some 12 us).
ELEMENTS_PER_THREAD = 60_000


def run(kernel, count, grain, *args):
    """Call ``kernel(start, stop, *args)`` over 0 .. count, at least *grain* to a thread."""
    parts = min(_pool.size, count // grain)
    if parts <= 1:
        kernel(0, count, *args)
    elif parts <= _pool.ready and getattr(kernel, "divided", False):
        kernel(-parts, count, *args)
    else:
        _pool.run(kernel, count, parts, args)


def summon(parts):
    """Have workers ready for kernels that call compile.share; into how many of *parts* they can divide."""
    return _pool.summon(min(_pool.size, parts))


def workspace(size):
    """Scratch memory for kernels, as bytes: at least *size*, and the caller's until it asks again.

    Each Python thread has its own.  It grows to the largest size that was asked for, and is
    then used again and again; what it holds means nothing.
    """
    memory = getattr(_own, "memory", None)
    if memory is None or memory.size < size:
        memory = _own.memory = np.empty(size, np.uint8)
    return memory


def grain(work_per_item, total=FLOPS_PER_THREAD):
    """How many items of the loop are worth a thread, each of *work_per_item*."""
    return max(1, total // max(1, work_per_item))


def worth(flops, elements):
    """How many threads so many multiply-adds over so many elements are worth, at least 1."""
    return max(1, min(_pool.size, int(flops / FLOPS_PER_THREAD + elements / ELEMENTS_PER_THREAD)))


def get_num_threads():
    """How many threads kernels use at most."""
    return _pool.size


def set_num_threads(count):
    """Let kernels use *count* threads at most, an int > 0."""
    _pool.resize(count)


class _PythonWorker:
    """One thread that waits for a job, runs it, and reports back."""

    def __init__(self):
        self._go = threading.Lock()
        self._done = threading.Lock()
        self._go.acquire()
        self._done.acquire()
        self._job = self._error = None
        threading.Thread(target=self._loop, name="nnmod-worker", daemon=True).start()

    def start(self, *job):
        self._job = job
        self._go.release()

    def wait(self):
        """Block until the job has ended; return what it raised, or None."""
        self._done.acquire()
        error, self._error = self._error, None
        return error

    def _loop(self):
        while True:
            self._go.acquire()
            kernel, start, stop, args = self._job
            self._job = None
            try:
                kernel(start, stop, *args)
            except BaseException as error:
                self._error = error
            del kernel, args  # keep no tensor alive while waiting
            self._done.release()


class _Pool:
    """The workers of this process: of compiled code, and of Python."""

    def __init__(self):
        self.size = _default_size()
        self.reset()

    def reset(self):
        """Forget all workers: threads do not survive a fork."""
        self._workers = workers.Workers() if workers.available else None
        self.ready = 0  # in so many parts divided kernels find their workers
        self._python_workers = []
        self._busy = threading.Lock()

    def resize(self, size):
        """Use *size* threads at most; workers beyond that leave."""
        self.size = size
        if size < self.ready:
            self.stop()

    def stop(self):
        """Let the workers of compiled code leave."""
        if self.ready:
            self.ready = 0
            self._workers.stop()

    def summon(self, parts):
        """Have workers of compiled code for so many parts, where there can be any."""
        if self._workers is None or parts <= 1:
            return 1
        parts = min(parts, workers.MOST_PARTS)
        if parts > self.ready:
            self._workers.serve(parts - 1, patient=self.size <= _processors())
            self.ready = parts
        return parts

    def run(self, kernel, count, parts, args):
        if self._workers and getattr(kernel, "divided", False):
            kernel(-self.summon(parts), count, *args)
            return
        if not self._busy.acquire(blocking=False):
            kernel(0, count, *args)  # another Python thread has the workers
            return
        started = []
        try:
            while len(self._python_workers) < parts - 1:
                self._python_workers.append(_PythonWorker())
            for part in range(1, parts):
                worker = self._python_workers[part - 1]
                worker.start(kernel, count * part // parts, count * (part + 1) // parts, args)
                started.append(worker)
            kernel(0, count // parts, *args)
        finally:
            errors = [worker.wait() for worker in started]
            self._busy.release()
        for error in errors:
            if error is not None:
                raise error


def _default_size():
    wanted = os.environ.get("NNMOD_NUM_THREADS", "")
    if wanted:
        if not wanted.isdigit() or int(wanted) < 1:
            raise ValueError(f"NNMOD_NUM_THREADS must be a whole number > 0, got {wanted!r}")
        return int(wanted)
    return max(1, min(_processors(), _quota("/proc/self/cgroup", "/sys/fs/cgroup")))


def _processors():
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quota(groups, mount):
    """How many processors Linux's control groups grant this process: inf where nothing limits it.

    A container may own every processor of the machine and yet be stopped for most of each
    period, once its threads together have used up what it may.
    """
    granted = math.inf
    try:
        lines = pathlib.Path(groups).read_text().splitlines()
    except OSError:
        return granted
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:  # version 2: one tree for all
            root, names = pathlib.Path(mount), ["cpu.max"]
        elif "cpu" in controllers.split(","):
            root, names = pathlib.Path(mount, "cpu"), ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        else:
            continue
        place = pathlib.PurePosixPath(group.lstrip("/"))
        for folder in (place, *place.parents):  # every group above has its say
            try:
                quota, period = " ".join((root / folder / name).read_text() for name in names).split()
            except (OSError, ValueError):
                continue
            if quota != "max" and int(quota) > 0:
                granted = min(granted, max(1, int(quota) // int(period)))
    return granted


_own = threading.local()
_pool = _Pool()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.reset)
atexit.register(_pool.stop)  # no thread may be in compiled code when that is unloaded
