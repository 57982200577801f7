"""Numba as this package uses it: one set of options, functions with addresses, a disk cache that never fails.

What is compiled is kept by cache.py, and compiled anew whenever its file has changed, or a
file that it imports from.
"""
import _thread
import ctypes
import functools
import hashlib
import os
import sys
import threading
import traceback
import types

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba import types as numba_types
from numba.core import cgutils
from numba.core.ccallback import CFunc
from numba.extending import intrinsic, models, register_model, typeof_impl

from .cache import KernelCache
from .divide import KernelCompiler, divides, emit_share

#: Reordering of sums and contraction to fused multiply-add, so that reductions
#: vectorise; nothing that assumes away NaN or Inf.
FASTMATH = {"contract", "reassoc", "nsz", "arcp"}

#: For kernels in which vector and scalar code must not differ in a last bit: which of the two runs
#: can depend on where arrays happen to lie, since LLVM checks at run time whether they overlap.
IN_ORDER = {"contract", "nsz"}


def jit(function, extra_key="", fastmath=FASTMATH):
    """Compile *function* at its first call, for each new combination of types.

    The compiled code releases Python's lock and is kept on disk where possible.  A kernel whose
    arguments begin with start and stop can divide its loop over threads (divide.py).
    *extra_key* tells apart functions that share name and code but not meaning; None keeps
    the function out of the cache.
    """
    kernel = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath, no_cfunc_wrapper=True,
                        pipeline_class=KernelCompiler)(function)
    kernel.divided = divides(function)
    if extra_key is not None:
        kernel._cache = KernelCache(function, extra_key, _announce)
        _let_kernels_call(kernel, function, fastmath)
    return kernel


def _let_kernels_call(kernel, function, fastmath):
    """Have kernels that call *kernel* compile a form of their own, which becomes part of them.

    What comes from the cache is machine code, with nothing that LLVM could make part of a kernel.
    """
    @functools.cache
    def part():
        return inline(function, fastmath=fastmath)

    kernel.get_call_template = lambda args, kws: part().get_call_template(args, kws)
    kernel.get_overload = lambda sig: part().get_overload(sig)


def inline(function, always=False, fastmath=FASTMATH):
    """Compile a helper that kernels call; it becomes part of them, and Python cannot call it.

    LLVM leaves long helpers as calls, which keep the loop around them scalar, unless *always*.
    """
    return numba.njit(nogil=True, error_model="numpy", fastmath=fastmath, no_cpython_wrapper=True,
                      no_cfunc_wrapper=True, forceinline=always)(function)


def native(*arguments):
    """Compile a function once for all kernels that call it, instead of once into each.

        @native("number", "int", "int")
        def triple(like, count, x): ...

    *arguments* names the types: ``number`` is float32 or float64, as the caller's, and
    ``int`` is an integer or an address.  There is no result.  Kernels call it with
    ``call(triple, (like, count, x))``, and the first of these calls compiles it, or loads
    it from the cache.
    """
    return lambda function: _Native(function, arguments)


def fingerprint(function):
    """A digest of what *function* computes, or None where that has no stable text.

    It covers code, constants, defaults, closure and the globals it names, through
    the functions it calls: two formulas that share a name and a line must not share
    a cache entry.
    """
    digest = hashlib.sha256()
    seen = set()

    def add(value):
        if isinstance(value, (bool, int, float, complex, str, bytes, type(None), np.generic)):
            digest.update(repr(value).encode())
        elif isinstance(value, (tuple, frozenset)):
            for item in value if isinstance(value, tuple) else sorted(value, key=repr):
                add(item)
        elif isinstance(value, (types.ModuleType, types.BuiltinFunctionType, type)):
            digest.update(value.__name__.encode())
        elif isinstance(value, types.CodeType):
            digest.update(value.co_code)
            add(value.co_names)
            add(value.co_consts)
        elif isinstance(value, types.FunctionType):
            if value in seen:
                return
            seen.add(value)
            add(value.__qualname__)
            add(value.__code__)
            add(value.__defaults__)
            for cell in value.__closure__ or ():
                add(cell.cell_contents)
            for name in value.__code__.co_names:
                if name in value.__globals__:
                    add(value.__globals__[name])
        elif hasattr(value, "py_func"):
            add(value.py_func)
        else:
            raise TypeError(f"no stable text for {value!r}")

    try:
        add(function)
    except TypeError:
        return None
    return digest.hexdigest()


class _Native:
    """A function with an address, one for each dtype, that is found at the first call.

    A kernel calls through a pointer that it knows by a name of LLVM's, so that a kernel
    from the disk cache finds it too.  At first it points back to Python.
    """

    def __init__(self, function, arguments):
        self.function = function
        self.arguments = arguments
        self.name = f"{function.__module__}.{function.__name__}"
        self.__doc__ = function.__doc__
        self._pointers, self._compiled = {}, {}
        for dtype, number in ((numba_types.float32, ctypes.c_float), (numba_types.float64, ctypes.c_double)):
            kinds = [number if kind == "number" else ctypes.c_ssize_t for kind in arguments]
            self._pointers[dtype] = pointer = ctypes.c_void_p()
            self._prepare(dtype, pointer, ctypes.CFUNCTYPE(None, *kinds))
            llvmlite.binding.add_symbol(self.symbol(dtype), ctypes.addressof(pointer))

    def symbol(self, dtype):
        """LLVM's name of the pointer to the function for *dtype*."""
        return f"{self.name}.{dtype}"

    def types(self, dtype):
        """Numba's types of the arguments."""
        return [dtype if kind == "number" else numba_types.intp for kind in self.arguments]

    def emit_call(self, builder, dtype, args):
        """Emit a call with LLVM's *args*, of the right types."""
        builder.call(builder.load(self.emit_pointer(builder, dtype, [value.type for value in args])), args)

    def emit_pointer(self, builder, dtype, kinds):
        """Where the function's address lies, for LLVM; *kinds* are the arguments' types."""
        name = self.symbol(dtype)
        kind = ir.PointerType(ir.FunctionType(ir.VoidType(), kinds))
        return builder.module.globals.get(name) or ir.GlobalVariable(builder.module, kind, name)

    def bind(self, dtype):
        """Let the pointer point to compiled code; its address."""
        with _binding:
            if dtype not in self._compiled:  # it must live on
                self._compiled[dtype] = function_with_address(self.function, self.types(dtype))
            self._pointers[dtype].value = self._compiled[dtype].address
            return self._compiled[dtype].address

    def _prepare(self, dtype, pointer, prototype):
        def first_call(*args):
            # Nothing can be raised into the kernel that called, nor may it go on without a result.
            try:
                address = self.bind(dtype)
            except KeyboardInterrupt:
                address = self.bind(dtype)
                _thread.interrupt_main()
            except BaseException:
                traceback.print_exc()
                os.abort()
            prototype(address)(*args)

        self._first_call = {**getattr(self, "_first_call", {}), dtype: prototype(first_call)}
        pointer.value = ctypes.cast(self._first_call[dtype], ctypes.c_void_p).value


# Threads that divide a kernel all meet what it calls for the first time at once.
_binding = threading.RLock()


def function_with_address(function, arguments, result=numba_types.void, extra_key=""):
    """*function* compiled for Numba's types *arguments* and *result*: ``.address`` is C's."""
    compiled = CFunc(function, (tuple(arguments), result), {}, {"error_model": "numpy", "fastmath": FASTMATH},
                     pipeline_class=KernelCompiler)
    compiled._cache = KernelCache(function, extra_key, _announce)
    compiled.compile()
    return compiled


class _NativeType(numba_types.Opaque):
    """Numba's type of one native function."""

    def __init__(self, function):
        self.function = function
        super().__init__(f"native({function.name})")


register_model(_NativeType)(models.OpaqueModel)


@typeof_impl.register(_Native)
def _type_of_native(value, context):
    return _NativeType(value)


@intrinsic
def call(typingctx, function, args):
    """Call a native function with a tuple of arguments."""
    native = function.function
    dtype = args.types[native.arguments.index("number")]
    wanted = native.types(dtype)
    if len(wanted) != len(args):
        raise numba.core.errors.TypingError(f"{native.name} takes {len(wanted)} arguments, got {len(args)}")

    def codegen(context, builder, signature, values):
        given = cgutils.unpack_tuple(builder, values[1])
        native.emit_call(builder, dtype, [context.cast(builder, value, have, want)
                                          for value, have, want in zip(given, args.types, wanted)])
        return context.get_dummy_value()

    return numba_types.void(function, args), codegen


@intrinsic
def share(typingctx, function, like, record, parts):
    """Call a native *function* (number, int, int) on several threads: with 0, *record*, and each number below *parts*.

    For kernels that are not divided themselves, whose steps wait for each other; threads.summon
    has said how many parts there are.  *like* says of which dtype the 0 is.
    """
    native, dtype = function.function, like

    def codegen(context, builder, signature, values):
        word = ir.IntType(64)
        name = f"{native.symbol(dtype)}.part"
        part = builder.module.globals.get(name)
        if part is None:
            part = ir.Function(builder.module, ir.FunctionType(ir.VoidType(), [word] * 2), name)
            part.linkage = "internal"
            inside = ir.IRBuilder(part.append_basic_block())
            native.emit_call(inside, dtype, [ir.Constant(context.get_value_type(dtype), 0.0), *part.args])
            inside.ret_void()
        emit_share(builder, part, *values[2:])
        return context.get_dummy_value()

    return numba_types.void(function, like, numba_types.intp, numba_types.intp), codegen


_announced = bool(os.environ.get("NNMOD_QUIET"))


def _announce(kept):
    """Say once in a process that compiling has begun, so that nobody wonders."""
    global _announced
    if not _announced:
        _announced = True
        hint = ("once; later runs load them from the cache" if kept else
                "no cache can be written for them: every process compiles anew")
        print(f"nnmod: compiling kernels for this processor ({hint})", file=sys.stderr, flush=True)
