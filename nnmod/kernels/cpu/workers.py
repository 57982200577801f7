"""Threads that wait for kernels inside compiled code, where Python's lock does not matter.

A job is a kernel's loop, cut into parts.  Who launches it publishes it in the control block,
does the first part, which is always the launcher's, so that its processor meets the same memory
again, takes part after part as the workers do, and waits for those that others took: a worker
that wakes late finds nothing left to do and has held up nobody.  Between jobs a worker looks for the
next one for a moment, so that kernels that follow each other start at once, and then sleeps.

The control block, words at the offsets below, each group on a cache line of its own:

    TICKET    number of the job (48 bits) and how many of its parts are left to take (16 bits).
              A part is taken by taking 1 from it, all at once: number and parts are one word, so
              that a worker that was stopped in the middle of it cannot take a part of a later
              job for one of an earlier.  What lies at PART, RECORD and PARTS belongs to the
              job, from before the ticket shows it until the last part that was taken has ended.
    UNFINISHED  parts but the launcher's that have not ended; at 0 the launcher may go
    AWAITED   1 while the launcher sleeps until then
    WORKERS   how many there are, and how many of them sleep:
    SLEEPERS  a worker adds itself and then looks at the ticket, a
              launcher changes the ticket and then looks at the sleepers: one sees the other.
    QUIT      1: workers leave
    BUSY      1 while a job runs.  A second launcher does all parts of its job itself: so do
              Python threads that compute at once, and a kernel that is launched by a kernel.
    PATIENCE  for how many nanoseconds a worker looks for a job before it sleeps
    AVOIDED   the processor that workers leave to the launcher, or -1
    STRAYED   how many jobs in a row were launched from another one
    MASK      room for a set of processors
    THREADS   the system's numbers of the workers' threads, or 0

Sleeping is a mutex and conditions of POSIX: where there are none, ``available`` is False.
"""
import ctypes
import functools
import platform
import signal
import sys
import threading
import time

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compile import function_with_address, inline
from .divide import launcher

TICKET, UNFINISHED, AWAITED, SLEEPERS, WORKERS, QUIT, BUSY, PATIENCE, PART, RECORD, PARTS, MUTEX, WORK, DONE = (
    0, 128, 136, 256, 264, 272, 384, 392, 512, 520, 528, 640, 768, 896)
AVOIDED, STRAYED, MASK, THREADS = 400, 408, 1024, 1152
_MASK_BYTES, _MOST_THREADS = 128, 512
_BYTES = THREADS + 8 * _MOST_THREADS
_LEFT = (1 << 16) - 1
#: A job has at most so many parts.
MOST_PARTS = _LEFT

#: A worker that found nothing for so long goes to sleep (ns): twice what lies between two kernels
#: of a training loop, where Python prepares a batch or an optimizer runs on one thread ...
_PATIENCE = 1_000_000
#: ... and sooner, down to this, when work was often longer in coming than that.
_LEAST_PATIENCE = 5_000
#: A launcher that was moved to another processor stays there, if it has launched so many jobs from it.
_SETTLED = 8
#: Who waits lets others have the processor after so long.
_POLITE = 100_000
#: A launcher that waits for others' parts sleeps after so long.
_LAUNCHER_PATIENCE = 1_000_000

_POSIX = ("pthread_mutex_init", "pthread_mutex_lock", "pthread_mutex_unlock", "pthread_cond_init", "pthread_cond_wait",
          "pthread_cond_signal", "pthread_cond_broadcast", "sched_yield", "clock_gettime")
_AFFINITY = ("sched_getcpu", "sched_getaffinity", "sched_setaffinity")  # Linux's


def _find(names):
    """Functions of the C library, made known to LLVM; None where one is missing."""
    try:
        library = ctypes.CDLL(None)
        found = {name: getattr(library, name) for name in names}
    except (OSError, TypeError, AttributeError):  # Windows among others
        return None
    if ctypes.sizeof(ctypes.c_void_p) != 8 or not hasattr(time, "CLOCK_MONOTONIC"):
        return None
    for name, function in found.items():
        llvmlite.binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
    return found


_posix = _find(_POSIX)
available = _posix is not None
_HAS_AFFINITY = available and sys.platform == "linux" and _find(_AFFINITY) is not None


class Workers:
    """Threads that serve divided kernels; none until ``serve`` asks for them."""

    def __init__(self):
        self._threads = []
        self._changing = threading.Lock()
        # Never freed: a thread that was cut off by a fork may have left it in any state.
        self._memory = ctypes.create_string_buffer(_BYTES + 128)
        self._control = (ctypes.addressof(self._memory) + 127) // 128 * 128
        for place, init in ((MUTEX, "pthread_mutex_init"), (WORK, "pthread_cond_init"), (DONE, "pthread_cond_init")):
            _posix[init](ctypes.c_void_p(self._control + place), None)

    def serve(self, count, patient):
        """Have *count* workers at least; unless *patient* they never look for work, but sleep at once."""
        with self._changing:
            work, launch = _compiled(_work, 1), _compiled(_launch, 4)
            self._set(PATIENCE, _PATIENCE if patient else 0)
            self._set(AVOIDED, -1)
            enter = ctypes.CFUNCTYPE(None, ctypes.c_int64)(work.address)
            while len(self._threads) < count:
                thread = threading.Thread(target=self._serve, args=(enter, len(self._threads)), name="nnmod-worker",
                                          daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the process may have no more threads: launchers do what is left
                    break
                if len(self._threads) < _MOST_THREADS:
                    self._set(THREADS + 8 * len(self._threads), thread.native_id)
                self._threads.append(thread)
                self._set(WORKERS, len(self._threads))
            launcher[:] = launch.address, self._control

    def stop(self):
        """Let all workers leave; a job that runs is finished by who launched it."""
        with self._changing:
            if self._threads:
                ctypes.CFUNCTYPE(None, ctypes.c_int64)(_compiled(_dismiss, 1).address)(self._control)
                for thread in self._threads:
                    thread.join()
                self._threads = []
                self._set(WORKERS, 0)
                self._set(QUIT, 0)

    def _serve(self, enter, number):
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())  # they are for threads that run Python
        enter(self._control)
        if number < _MOST_THREADS:  # soon the system may give this thread's number to another
            self._set(THREADS + 8 * number, 0)

    def _set(self, word, value):
        ctypes.c_int64.from_address(self._control + word).value = value


@functools.cache
def _compiled(function, arguments):
    return function_with_address(function, [types.int64] * arguments)


# -- what workers and launchers do ------------------------------------------------------------------

def _work(control):
    """A worker's life."""
    patience = load(control + PATIENCE)
    while load(control + QUIT) == 0:
        if _take_parts(control):
            continue
        most = load(control + PATIENCE)
        idle = now()
        if not _spin_for_work(control, patience):
            _sleep(control)
        # Also who slept looks longer next time, if work came soon: in a network whose kernels are a
        # little further apart than a worker is patient it would sleep, and be woken, before each.
        if now() - idle <= most:
            patience = min(2 * patience + _LEAST_PATIENCE, most)
        else:
            patience = min(max(patience // 2, _LEAST_PATIENCE), most)


def _launch(control, part, record, parts):
    """Do a job: return when all its parts have ended."""
    if exchange(control + BUSY, 1) != 0:
        for number in range(parts):
            run_part(part, record, number)
        return
    store(control + PART, part)
    store(control + RECORD, record)
    store(control + PARTS, parts)
    store(control + UNFINISHED, parts - 1)
    store(control + TICKET, ((load(control + TICKET) >> 16) + 1 << 16) | parts - 1)
    sleepers = load(control + SLEEPERS)
    wanted = min(sleepers, parts - 1 - (load(control + WORKERS) - sleepers))
    if _HAS_AFFINITY and load(control + PATIENCE) > 0:
        _leave_alone(control, wanted > 0)
    if wanted > 0:
        _wake(control, wanted)
    run_part(part, record, 0)
    _take_parts(control)
    if not _spin_until_done(control):
        posix("pthread_mutex_lock", (control + MUTEX,))
        store(control + AWAITED, 1)
        while load(control + UNFINISHED) != 0:
            posix("pthread_cond_wait", (control + DONE, control + MUTEX))
        store(control + AWAITED, 0)
        posix("pthread_mutex_unlock", (control + MUTEX,))
    store(control + BUSY, 0)


@inline
def _wake(control, wanted):
    """Wake so many workers."""
    # Whoever had counted himself among the sleepers is waiting once the mutex was ours, or has seen the
    # ticket.  The signal comes after it: a woken thread wants the mutex, and would sleep again for it.
    posix("pthread_mutex_lock", (control + MUTEX,))
    posix("pthread_mutex_unlock", (control + MUTEX,))
    for _ in range(wanted):
        posix("pthread_cond_signal", (control + WORK,))


@inline
def _leave_alone(control, waking):
    """Let workers run on every processor that this thread may use but its own.

    Linux likes to wake a thread where it is woken from, above all on virtual machines, whose idle
    processors it takes for busy ones: worker and launcher then take turns on one for many
    milliseconds.  So they do where the launcher is moved.  To move workers takes microseconds:
    it is done when one is woken, which takes longer, or when the launcher has stayed for a while.
    """
    here = posix("sched_getcpu", ())
    if here < 0 or here >= 8 * _MASK_BYTES or here == load(control + AVOIDED):
        store(control + STRAYED, 0)
        return
    strayed = load(control + STRAYED) + 1
    store(control + STRAYED, strayed)
    if not waking and strayed < _SETTLED:
        return
    store(control + STRAYED, 0)
    mask = control + MASK
    if posix("sched_getaffinity", (0, _MASK_BYTES, mask)) < 0:
        return
    word, others = mask + here // 64 * 8, 0
    store(word, load(word) & ~(1 << here % 64))
    for i in range(0, _MASK_BYTES, 8):
        others |= load(mask + i)
    if others == 0:
        return
    store(control + AVOIDED, here)
    for i in range(min(load(control + WORKERS), _MOST_THREADS)):
        thread = load(control + THREADS + 8 * i)
        if thread > 0:
            posix("sched_setaffinity", (thread, _MASK_BYTES, mask))


def _dismiss(control):
    """Tell all workers to leave."""
    posix("pthread_mutex_lock", (control + MUTEX,))
    store(control + QUIT, 1)
    posix("pthread_cond_broadcast", (control + WORK,))
    posix("pthread_mutex_unlock", (control + MUTEX,))


@inline
def _take_parts(control):
    """Run parts of the job until all are taken; whether there was one."""
    some = False
    while True:
        ticket = load(control + TICKET)
        left = ticket & _LEFT
        if left == 0:
            return some
        if exchange_if(control + TICKET, ticket, ticket - 1):
            some = True
            run_part(load(control + PART), load(control + RECORD), load(control + PARTS) - left)
            # After the last of these the job is gone; the launcher sets AWAITED before it looks.
            if add(control + UNFINISHED, -1) == 1 and load(control + AWAITED) != 0:
                posix("pthread_mutex_lock", (control + MUTEX,))
                posix("pthread_cond_signal", (control + DONE,))
                posix("pthread_mutex_unlock", (control + MUTEX,))


@inline
def _spin_for_work(control, patience):
    """Look for a job for *patience* nanoseconds; whether there is one, or an order to leave."""
    start = now()
    while load(control + TICKET) & _LEFT == 0 and load(control + QUIT) == 0:
        waited = now() - start
        if waited > patience:
            return False
        _wait_a_moment(waited)
    return True


@inline
def _spin_until_done(control):
    """Look for the end of the job for a while; whether it came."""
    start = now()
    while load(control + UNFINISHED) != 0:
        waited = now() - start
        if waited > _LAUNCHER_PATIENCE:
            return False
        _wait_a_moment(waited)
    return True


@inline
def _wait_a_moment(waited):
    if waited > _POLITE:
        posix("sched_yield", ())
    for _ in range(8):
        pause()


@inline
def _sleep(control):
    """Sleep until there is a job, or an order to leave."""
    posix("pthread_mutex_lock", (control + MUTEX,))
    add(control + SLEEPERS, 1)
    while load(control + TICKET) & _LEFT == 0 and load(control + QUIT) == 0:
        posix("pthread_cond_wait", (control + WORK, control + MUTEX))
    add(control + SLEEPERS, -1)
    posix("pthread_mutex_unlock", (control + MUTEX,))


# -- words that threads share: every access is atomic, and all threads see one order ------------------

_WORD = ir.IntType(64)


def _word(builder, address):
    return builder.inttoptr(address, _WORD.as_pointer())


@intrinsic
def load(typingctx, address):
    """The word at *address*."""
    def codegen(context, builder, signature, args):
        return builder.load_atomic(_word(builder, args[0]), "seq_cst", 8)

    return types.int64(types.int64), codegen


@intrinsic
def store(typingctx, address, value):
    """Write the word at *address*."""
    def codegen(context, builder, signature, args):
        builder.store_atomic(args[1], _word(builder, args[0]), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@intrinsic
def add(typingctx, address, value):
    """Add to the word at *address*; what it was."""
    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("add", _word(builder, args[0]), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def exchange(typingctx, address, value):
    """Write the word at *address*; what it was."""
    def codegen(context, builder, signature, args):
        return builder.atomic_rmw("xchg", _word(builder, args[0]), args[1], "seq_cst")

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def exchange_if(typingctx, address, expected, value):
    """Write the word at *address* if it is *expected*; whether it was."""
    def codegen(context, builder, signature, args):
        done = builder.cmpxchg(_word(builder, args[0]), args[1], args[2], "seq_cst", "seq_cst")
        return builder.extract_value(done, 1)

    return types.boolean(types.int64, types.int64, types.int64), codegen


@intrinsic
def run_part(typingctx, part, record, number):
    """Call the function at the address *part*; see divide.py."""
    def codegen(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [_WORD] * 2)
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def posix(typingctx, name, values):
    """What one of the C library's functions returns, an int; *name* is a literal, *values* a tuple of words."""
    if not isinstance(name, types.StringLiteral):
        return None
    callee = name.literal_value

    def codegen(context, builder, signature, args):
        words = cgutils.unpack_tuple(builder, args[1])
        kind = ir.FunctionType(ir.IntType(32), [_WORD] * len(words))
        found = builder.call(cgutils.get_or_insert_function(builder.module, kind, callee), words)
        return builder.sext(found, _WORD)

    return types.int64(name, values), codegen


@intrinsic
def now(typingctx):
    """The time in nanoseconds, from any start."""
    def codegen(context, builder, signature, args):
        found = cgutils.alloca_once(builder, ir.ArrayType(_WORD, 2))  # seconds, and nanoseconds
        kind = ir.FunctionType(ir.IntType(32), [ir.IntType(32), found.type])
        clock = ir.Constant(ir.IntType(32), time.CLOCK_MONOTONIC)
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "clock_gettime"), [clock, found])
        seconds, rest = (builder.load(cgutils.gep_inbounds(builder, found, 0, index)) for index in (0, 1))
        return builder.add(builder.mul(seconds, ir.Constant(_WORD, 1_000_000_000)), rest)

    return types.int64(), codegen


@intrinsic
def pause(typingctx):
    """Leave the processor's units to the other thread of its core for some cycles, where it knows how."""
    def codegen(context, builder, signature, args):
        machine = platform.machine().lower()
        if machine in ("x86_64", "amd64"):
            name, values = "llvm.x86.sse2.pause", []
        elif machine in ("aarch64", "arm64"):
            name, values = "llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]  # yield
        else:
            return context.get_dummy_value()
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)
        return context.get_dummy_value()

    return types.void(), codegen
