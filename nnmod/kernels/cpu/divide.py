"""How a compiled kernel divides its loop over threads by itself, without Python's lock.

A kernel ``(start, stop, ...)`` is made ready for that when it is compiled.  Called with a start
below zero it runs over 0 .. stop in ``-start`` parts: between Python's arguments and the kernel
stands a piece of code, the *entry*, which writes the arguments into a record on its stack and
hands it to the workers, together with the address of another piece, the *part*, which reads
them and calls the kernel for one part.  Both are a few instructions, compiled with the kernel.

The workers' own code is in workers.py.  Kernels come from a disk cache and know of it nothing
but a name of LLVM's: that of two words, the address of ``launch`` and its first argument.
"""
import ctypes
import gc

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.callwrapper import PyCallWrapper
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import BaseNativeLowering, NativeLowering

_INT, _CODE = ir.IntType(64), ir.IntType(32)
_ADDRESS = ir.IntType(8).as_pointer()
_OK, _NONE = ir.Constant(_CODE, 0), ir.Constant(_CODE, -2)  # what Numba's functions return, but for errors
_NAME = "nnmod.threads.launcher"
# Inlined in two places, a kernel could be optimised into two forms, whose results differ in the last
# bit: the number of threads would show.
_APART = ("noinline",)

#: The address of ``launch(control, part, record, parts)``, and the control block.  Both are 0,
#: and no kernel may be called with a start below zero, before workers.py has filled them in.
launcher = (ctypes.c_int64 * 2)()
llvmlite.binding.add_symbol(_NAME, ctypes.addressof(launcher))


def divides(function):
    """Whether *function* is a kernel whose loop can be divided."""
    return function.__code__.co_varnames[:2] == ("start", "stop") and function.__code__.co_argcount >= 2


class _Lower(Lower):
    """Puts the entry between Python and the kernel."""

    def create_cpython_wrapper(self, release_gil=False):
        context, fndesc = self.context, self.fndesc
        named = tuple(fndesc.args[:2]) == ("start", "stop")
        if not named or fndesc.argtypes[:2] != (types.int64, types.int64) or fndesc.restype != types.none:
            super().create_cpython_wrapper(release_gil)
            return
        module = context.create_module("wrapper")
        kernel = ir.Function(module, context.call_conv.get_function_type(fndesc.restype, fndesc.argtypes),
                             fndesc.llvm_func_name)
        PyCallWrapper(context, module, _emit_entry(module, kernel), fndesc, self.env,
                      call_helper=self.call_helper, release_gil=release_gil).build()
        self.library.add_ir_module(module)


def _emit_entry(module, kernel):
    """A function that stands in for *kernel*, and divides its loop where start < 0."""
    # The record: stop and the number of parts, the first error and what it says, the other arguments.
    _, error_info, _, _, *others = (argument.type for argument in kernel.args)
    record = ir.LiteralStructType([_INT, _INT, _CODE, error_info.pointee, *others])
    part = _emit_part(module, kernel, record)

    entry = ir.Function(module, kernel.function_type, kernel.name + ".entry")
    entry.linkage = "internal"
    builder = ir.IRBuilder(entry.append_basic_block())
    _, error_info, start, stop, *others = entry.args
    with builder.if_then(builder.icmp_signed(">=", start, ir.Constant(_INT, 0))):
        builder.ret(builder.call(kernel, entry.args, attrs=_APART))
    parts = builder.neg(start)
    given = builder.alloca(record)
    for index, value in enumerate([stop, parts, _OK, ir.Constant(error_info.type.pointee, None), *others]):
        builder.store(value, cgutils.gep_inbounds(builder, given, 0, index))
    address, control = _emit_launcher(builder)
    _emit_launch(builder, address, control, part, builder.ptrtoint(given, _INT), parts)
    builder.store(builder.load(cgutils.gep_inbounds(builder, given, 0, 3)), error_info)
    builder.ret(builder.load(cgutils.gep_inbounds(builder, given, 0, 2)))
    return entry


def _emit_launcher(builder):
    """The two words."""
    words = builder.module.globals.get(_NAME) or ir.GlobalVariable(builder.module, ir.ArrayType(_INT, 2), _NAME)
    return [builder.load(cgutils.gep_inbounds(builder, words, 0, word)) for word in (0, 1)]


def _emit_launch(builder, address, control, part, record, parts):
    launch = builder.inttoptr(address, ir.FunctionType(ir.VoidType(), [_INT] * 4).as_pointer())
    builder.call(launch, [control, builder.ptrtoint(part, _INT), record, parts])


def emit_share(builder, part, record, parts):
    """Have *part*, a function of a *record*'s address and a number, called for each number below *parts*."""
    address, control = _emit_launcher(builder)
    with builder.if_else(builder.icmp_signed("==", address, ir.Constant(_INT, 0))) as (alone, shared):
        with alone, cgutils.for_range(builder, parts) as loop:
            builder.call(part, [record, loop.index])
        with shared:
            _emit_launch(builder, address, control, part, record, parts)


def _emit_part(module, kernel, record):
    """A function of the record's address and a part's number: it calls *kernel* for that part."""
    part = ir.Function(module, ir.FunctionType(ir.VoidType(), [_INT, _INT]), kernel.name + ".part")
    part.linkage = "internal"
    builder = ir.IRBuilder(part.append_basic_block())
    given = builder.inttoptr(part.args[0], record.as_pointer())
    fields = [cgutils.gep_inbounds(builder, given, 0, index) for index in range(len(record.elements))]
    count, parts = builder.load(fields[0]), builder.load(fields[1])
    start, stop = (builder.sdiv(builder.mul(count, number), parts)
                   for number in (part.args[1], builder.add(part.args[1], ir.Constant(_INT, 1))))
    result, error_info = (builder.alloca(kernel.args[index].type.pointee) for index in (0, 1))
    builder.store(ir.Constant(error_info.type.pointee, None), error_info)
    code = builder.call(kernel, [result, error_info, start, stop, *map(builder.load, fields[4:])], attrs=_APART)
    failed = builder.and_(builder.icmp_signed("!=", code, _OK), builder.icmp_signed("!=", code, _NONE))
    with builder.if_then(failed, likely=False):
        # The first part to fail says what it was; who launched reads it when all parts have ended.
        first = builder.extract_value(builder.cmpxchg(fields[2], _OK, code, "seq_cst", "seq_cst"), 1)
        with builder.if_then(first):
            builder.store(builder.load(error_info), fields[3])
    builder.ret_void()
    return part


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(BaseNativeLowering):
    _name = "divided_native_lowering"

    @property
    def lowering_class(self):
        return _Lower


class KernelCompiler(CompilerBase):
    """Numba's compiler, but for the entry, and in a seventh less time."""

    def compile_extra(self, func):
        # Numba makes hundreds of thousands of objects for a kernel and keeps most of them: looking
        # for garbage among them, again and again, finds next to nothing.  Numba's lock is held.
        looked = gc.isenabled()
        gc.disable()
        try:
            return super().compile_extra(func)
        finally:
            if looked:
                gc.enable()

    def define_pipelines(self):
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.add_pass_after(_Lowering, NativeLowering)
        manager.passes = [step for step in manager.passes if step[0] is not NativeLowering]
        manager.finalize()
        return [manager]
