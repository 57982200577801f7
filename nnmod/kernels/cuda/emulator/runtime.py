"""The emulated GPU: blocks one after the other, threads until they wait, every access looked at.

A compiled kernel is one function of a context and a thread (see :mod:`layout`).  It runs a thread
until that ends, waits for a barrier of its block or an operation of its warp, or is caught.
Here the threads take their turns, and what they wait for is done when all have come.

**Races.**  Each element of memory has a shadow: when, by a clock that moves at every barrier,
it was last written and read, and by whom.  Two accesses of one element, not both reads
and not both atomic, by different threads, are ordered only by a barrier of the block
(threads of one block), or of the warp (``syncwarp``, threads of one warp), in between.
Whatever is not ordered is a race, however the turns happened to fall.
"""
import functools
import pathlib

import numba
import numpy as np
from llvmlite import ir
from numba import int64, types
from numba.extending import intrinsic

from ...cpu import compile as cpu_compile
from .cache import digest
from .layout import (
    ADDRESS, ALL, ALLOCATION_COUNT, ALLOCATION_SIZE, ALLOCATIONS, ANY, AT_SITE, AT_X, AT_Y, AT_Z, ATOMIC, ATOMICALLY,
    BALLOT, BARRIER, BLOCK_RACE, BLOCK_START, BLOCK_X, BLOCK_Y, CLAMP, CLOCK, COUNTED, DIVERGENT_BARRIER,
    DONE, EARLY_END, END, FAULT, FIRST, FRAME, GLOBAL_ALIGN, GLOBAL_BOUNDS, GRAIN, GRID_RACE, GRID_X, GRID_Y, LANE,
    LANE_MISSING, LAST_BARRIER, LAUNCH_START, LEFT, LOCAL, LOCAL_SIZE, MASK, MATCH_ALL, MATCH_ANY, MULTIPLY,
    NOT_WRITABLE, NUMBER,
    OPERATION, OTHER, OTHERS, OWN_LANE, PREDICATE, READ, READ_ONLY, REDUCE_ADD, REDUCE_AND, REDUCE_MAX,
    REDUCE_MIN, REDUCE_OR, REDUCE_UMAX, REDUCE_UMIN, RESULT, RIGHT, RUNNING, SEVERAL, SHADOW, SHARED, SHARED_ALIGN,
    SHARED_BOUNDS, SHARED_GRAIN, SHARED_RACE, SHARED_SHADOW, SHARED_SIZE, SHUFFLE_DOWN, SHUFFLE_INDEX,
    SHUFFLE_OUTSIDE, SHUFFLE_UP, SHUFFLE_XOR, SITE, STATUS, SUMS, THREAD, UNINITIALISED, VALUE, VOTE_ALL, VOTE_ANY,
    VOTE_UNIFORM, WARP, WARP_BARRIER, WARP_MIXED, WARP_SYNCS, WHO_BITS, WRITE, X, Y, Z)

# The layout is compiled into the code: both files are part of what the cache knows it by.
_SOURCES = digest(*(pathlib.Path(__file__).with_name(name).read_text() for name in ("runtime.py", "layout.py")))
_WHO = (1 << WHO_BITS) - 1
_words = types.CPointer(int64)


@intrinsic
def _at(typingctx, address):
    """The 64-bit words at an address."""
    def codegen(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return _words(int64), codegen


@intrinsic
def _step(typingctx, function, context_address, thread_address):
    """Run one thread, by the kernel's address; its new status."""
    def codegen(context, builder, signature, args):
        word = ir.IntType(64)
        kind = ir.PointerType(ir.FunctionType(word, [word, word]))
        return builder.call(builder.inttoptr(args[0], kind), args[1:])

    return int64(int64, int64, int64), codegen


def _inline(function):
    return numba.njit(nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


# -- memory ---------------------------------------------------------------------------------

@_inline
def _fault(context, thread, kind, site, address, other):
    """Note what was caught, unless something was before."""
    if context[FAULT] == 0:
        context[FAULT], context[SITE], context[ADDRESS] = kind, site, address
        context[THREAD], context[OTHER] = thread[NUMBER], other
    return kind


@_inline
def _since(context, thread, who):
    """The clock of the last barrier between this thread and *who*."""
    warp = who >> 5 if who < 1024 else who - 1024
    if warp == thread[NUMBER] >> 5:
        return _at(context[WARP_SYNCS])[warp]
    return context[LAST_BARRIER]


@_inline
def _conflict(context, thread, record, atomic):
    """Whether an access recorded before is ordered with one now: 0 if so, 1 same block, 2 another."""
    if record == 0:
        return 0
    when, who = (record & ~OTHERS) >> WHO_BITS, record & _WHO
    if when < context[LAUNCH_START] or (atomic and who == ATOMICALLY):
        return 0
    if when < context[BLOCK_START] or record & OTHERS:
        return 2
    if who == thread[NUMBER]:
        return 0
    return 1 if when >= _since(context, thread, who) else 0


@_inline
def _note(context, thread, shadow, element, access):
    """Look for a race at one element and record the access: 0, 1 (within the block), 2 (between blocks)."""
    written, read = 2 * element, 2 * element + 1
    now, me = context[CLOCK] << WHO_BITS, thread[NUMBER]
    race = _conflict(context, thread, shadow[written], access == ATOMIC)
    if race:
        return race
    if access != READ:
        race = _conflict(context, thread, shadow[read], False)
        if race:
            return race
        shadow[written] = now | (ATOMICALLY if access == ATOMIC else me)
        return 0
    before = shadow[read]
    when, who = (before & ~OTHERS) >> WHO_BITS, before & _WHO
    others = before & OTHERS
    if when < context[LAUNCH_START]:
        others = 0
    elif when < context[BLOCK_START]:
        others = OTHERS
    elif who != me and when >= _since(context, thread, who):
        warp = who >> 5 if who < 1024 else who - 1024
        me = 1024 + warp if warp == me >> 5 else SEVERAL
    shadow[read] = others | now | me
    return 0


def check_global(context, thread, address, size, access, site):
    """Look at one access of global memory: 0, or the fault."""
    if address & (size - 1):
        return _fault(context, thread, GLOBAL_ALIGN, site, address, -1)
    arrays = _at(context[ALLOCATIONS])
    for number in range(context[ALLOCATION_COUNT]):
        base = number * ALLOCATION_SIZE
        if arrays[base + FIRST] <= address and address + size <= arrays[base + END]:
            if access != READ and arrays[base + READ_ONLY]:
                return _fault(context, thread, NOT_WRITABLE, site, address, -1)
            if arrays[base + SHADOW]:
                grain = arrays[base + GRAIN]
                first = (address - arrays[base + FIRST]) // grain
                last = (address + size - 1 - arrays[base + FIRST]) // grain
                shadow = _at(arrays[base + SHADOW])
                for element in range(first, last + 1):
                    race = _note(context, thread, shadow, element, access)
                    if race:
                        other = (shadow[2 * element] if access == READ else max(
                            shadow[2 * element], shadow[2 * element + 1])) & _WHO
                        return _fault(context, thread, BLOCK_RACE if race == 1 else GRID_RACE, site, address, other)
            return 0
    return _fault(context, thread, GLOBAL_BOUNDS, site, address, -1)


def check_shared(context, thread, address, size, access, site):
    """Look at one access of shared memory, whose addresses count from 0."""
    if address < 0 or address + size > context[SHARED_SIZE]:
        return _fault(context, thread, SHARED_BOUNDS, site, address, -1)
    if address & (size - 1):
        return _fault(context, thread, SHARED_ALIGN, site, address, -1)
    if context[SHARED_SHADOW] == 0:
        return 0
    shadow, grain = _at(context[SHARED_SHADOW]), context[SHARED_GRAIN]
    for element in range(address // grain, (address + size - 1) // grain + 1):
        written = shadow[2 * element]
        if (written & ~OTHERS) >> WHO_BITS < context[BLOCK_START]:  # by the block before, if ever
            if access != WRITE:
                return _fault(context, thread, UNINITIALISED, site, address, -1)
            shadow[2 * element] = 0
        if (shadow[2 * element + 1] & ~OTHERS) >> WHO_BITS < context[BLOCK_START]:
            shadow[2 * element + 1] = 0
        if _note(context, thread, shadow, element, access):
            return _fault(context, thread, SHARED_RACE, site, address,
                          max(shadow[2 * element], shadow[2 * element + 1]) & _WHO)
    return 0


_check_global, _check_shared = _inline(check_global), _inline(check_shared)


def check_generic(context, thread, address, size, access, site):
    """Look at an access by an address that may belong to any memory."""
    if context[SHARED] <= address < context[SHARED] + context[SHARED_SIZE]:
        return _check_shared(context, thread, address - context[SHARED], size, access, site)
    if thread[LOCAL] <= address and address + size <= thread[LOCAL] + context[LOCAL_SIZE]:
        return 0
    return _check_global(context, thread, address, size, access, site)


def raise_fault(context, thread, address, kind, other, site):
    """Note a fault that the kernel itself found."""
    return _fault(context, thread, kind, site, address, other)


# -- warps ------------------------------------------------------------------------------------

@_inline
def _join_warp(context, context_address, threads, first, count):
    """Do the operations of one warp for which every lane has come; whether any was done."""
    progress = False
    for lane in range(count):
        thread = _at(threads[first + lane].ctypes.data)
        if thread[STATUS] != WARP:
            continue
        mask, operation = thread[MASK] & 0xFFFFFFFF, thread[OPERATION]
        if not mask >> lane & 1:
            _fault(context, thread, OWN_LANE, thread[AT_SITE], mask, -1)
            return False
        ready = True
        for other in range(32):
            if mask >> other & 1:
                if other >= count or threads[first + other, STATUS] == DONE:
                    _fault(context, thread, LANE_MISSING, thread[AT_SITE], mask, first + other)
                    return False
                if threads[first + other, STATUS] != WARP:
                    ready = False
                elif threads[first + other, OPERATION] != operation or (
                        threads[first + other, MASK] & 0xFFFFFFFF) != mask or (
                        operation == MULTIPLY and threads[first + other, AT_SITE] != thread[AT_SITE]):
                    _fault(context, thread, WARP_MIXED, thread[AT_SITE], mask, first + other)
                    return False
        if not ready:
            continue
        if operation == WARP_BARRIER:
            context[CLOCK] += 1
            _at(context[WARP_SYNCS])[first >> 5] = context[CLOCK]
        elif operation == MULTIPLY:
            _multiply(threads, first)
        elif operation <= SHUFFLE_INDEX:
            _shuffle(context, threads, first, count, mask, operation)
        else:
            _vote(threads, first, mask, operation)
        for other in range(count):
            if mask >> other & 1:
                threads[first + other, STATUS] = RUNNING
        progress = True
    return progress


@_inline
def _shuffle(context, threads, first, count, mask, operation):
    for lane in range(count):
        if not mask >> lane & 1:
            continue
        thread = _at(threads[first + lane].ctypes.data)
        clamp, segment, by = thread[CLAMP] & 31, thread[CLAMP] >> 8 & 31, thread[LANE] & 31
        low = lane & segment
        high = low | clamp & ~segment
        if operation == SHUFFLE_UP:
            source = lane - by
            valid = source >= high
        elif operation == SHUFFLE_DOWN:
            source = lane + by
            valid = source <= high
        elif operation == SHUFFLE_XOR:
            source = lane ^ by
            valid = source <= high
        else:
            source = low | by & ~segment
            valid = source <= high
        if not valid:
            source = lane
        if source >= count or not mask >> source & 1:
            _fault(context, thread, SHUFFLE_OUTSIDE, thread[AT_SITE], mask, first + source)
            return
        thread[RESULT], thread[PREDICATE] = threads[first + source, VALUE], valid


@_inline
def _vote(threads, first, mask, operation):
    ballot, lanes = 0, 0
    total = 0
    started = False
    for lane in range(32):
        if mask >> lane & 1:
            value = threads[first + lane, VALUE]
            lanes += 1
            ballot |= (1 if value else 0) << lane
            signed = value - (1 << 32) if value >> 31 & 1 else value
            if not started:
                total = signed if operation in (REDUCE_MIN, REDUCE_MAX) else value
            elif operation == REDUCE_ADD:
                total += value
            elif operation == REDUCE_MIN:
                total = min(total, signed)
            elif operation == REDUCE_MAX:
                total = max(total, signed)
            elif operation == REDUCE_UMIN:
                total = min(total, value)
            elif operation == REDUCE_UMAX:
                total = max(total, value)
            elif operation == REDUCE_AND:
                total &= value
            elif operation == REDUCE_OR:
                total |= value
            else:
                total ^= value
            started = True
    for lane in range(32):
        if mask >> lane & 1:
            if operation == BALLOT:
                result = ballot
            elif operation == VOTE_ANY:
                result = 1 if ballot != 0 else 0
            elif operation == VOTE_ALL:
                result = 1 if ballot == mask else 0
            elif operation == VOTE_UNIFORM:
                result = 1 if ballot == mask or ballot == 0 else 0
            elif operation == MATCH_ANY or operation == MATCH_ALL:
                same = 0
                for other in range(32):
                    if mask >> other & 1 and threads[first + other, VALUE] == threads[first + lane, VALUE]:
                        same |= 1 << other
                if operation == MATCH_ALL:
                    threads[first + lane, PREDICATE] = same == mask
                    same = same if same == mask else 0
                result = same
            else:
                result = total & 0xFFFFFFFF
            threads[first + lane, RESULT] = result


@_inline
def _multiply(threads, first):
    """The product of a warp: element (row, column) is with lane row % 8 * 4 + column // 2, and its sum is rounded once.

    A GPU may add in another order, and cut off where this rounds.
    """
    numbers = threads.view(np.float64)
    for row in range(16):
        left, above = first + row % 8 * 4, LEFT + row // 8
        for column in range(8):
            right = first + column * 4
            lane, place = left + column // 2, SUMS + row // 8 * 2 + column % 2
            total = numbers[lane, place]
            for k in range(4):
                total += numbers[left + k, above] * numbers[right + k, RIGHT]
                total += numbers[left + k, above + 2] * numbers[right + k, RIGHT + 1]
            numbers[lane, place] = total


# -- blocks -----------------------------------------------------------------------------------

@functools.partial(cpu_compile.jit, extra_key=_SOURCES)
def run(context_array, threads, kernel, local_memory, first_block, last_block):
    """Run blocks first_block .. last_block-1 of a launch; stops at the first fault."""
    context_address = context_array.ctypes.data
    context = _at(context_address)
    count = threads.shape[0]
    warps = _at(context[WARP_SYNCS])
    for block in range(first_block, last_block):
        context[AT_X] = block % context[GRID_X]
        context[AT_Y] = block // context[GRID_X] % context[GRID_Y]
        context[AT_Z] = block // (context[GRID_X] * context[GRID_Y])
        context[CLOCK] += 1
        context[BLOCK_START] = context[LAST_BARRIER] = context[CLOCK]
        for warp in range((count + 31) >> 5):
            warps[warp] = context[CLOCK]
        for number in range(count):
            thread = threads[number]
            thread[:FRAME] = 0
            thread[NUMBER] = number
            thread[X] = number % context[BLOCK_X]
            thread[Y] = number // context[BLOCK_X] % context[BLOCK_Y]
            thread[Z] = number // (context[BLOCK_X] * context[BLOCK_Y])
            thread[LOCAL] = local_memory + number * context[LOCAL_SIZE]
        while True:
            ended, site = 0, -1
            for first in range(0, count, 32):
                lanes = min(32, count - first)
                while True:
                    for number in range(first, first + lanes):
                        if threads[number, STATUS] == RUNNING:
                            address = threads[number].ctypes.data
                            status = _step(kernel, context_address, address)
                            threads[number, STATUS] = status
                            if context[FAULT]:
                                return
                    progress = _join_warp(context, context_address, threads, first, lanes)
                    if context[FAULT]:
                        return
                    if not progress:
                        break
                for number in range(first, first + lanes):
                    if threads[number, STATUS] == DONE:
                        ended += 1
                    elif threads[number, STATUS] == WARP:
                        # The lanes it waits for wait elsewhere.
                        mask = threads[number, MASK]
                        other = first
                        while not mask >> (other - first) & 1 or threads[other, STATUS] == WARP:
                            other += 1
                        thread = _at(threads[number].ctypes.data)
                        _fault(context, thread, LANE_MISSING, thread[AT_SITE], mask, other)
                        return
            if ended == count:
                break
            counted = 0
            for number in range(count):
                thread = _at(threads[number].ctypes.data)
                if thread[STATUS] == BARRIER:
                    if ended:
                        done = 0
                        while threads[done, STATUS] != DONE:
                            done += 1
                        _fault(context, thread, EARLY_END, thread[AT_SITE], 0, done)
                        return
                    if site < 0:
                        site = thread[AT_SITE]
                    elif thread[AT_SITE] != site:
                        _fault(context, thread, DIVERGENT_BARRIER, thread[AT_SITE], site, 0)
                        return
                    if thread[VALUE]:
                        counted += 1
            context[COUNTED], context[ALL], context[ANY] = counted, counted == count, counted > 0
            context[CLOCK] += 1
            context[LAST_BARRIER] = context[CLOCK]
            for warp in range((count + 31) >> 5):
                warps[warp] = context[CLOCK]
            for number in range(count):
                threads[number, STATUS] = RUNNING


def checks():
    """The functions that kernels call, compiled: {name: what has their ``address``}."""
    arguments = [_words, _words, int64, int64, int64, int64]
    return {f"nnmod_emulator_{function.__name__}": cpu_compile.function_with_address(
        function, arguments, int64, _SOURCES) for function in (check_global, check_shared, check_generic, raise_fault)}
