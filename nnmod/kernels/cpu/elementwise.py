"""Turn a scalar formula into a compiled loop over whole tensors, and into a sum."""
import inspect
import types

import numpy as np

from .. import formulas
from . import functions  # noqa: F401  teaches Numba the functions that formulas call
from . import threads
from .compile import fingerprint, inline, jit


def elementwise(formula, reads, writes=1):
    """``kernel(*inputs, *outputs, *numbers)``: the formula at every element."""
    return _Loop(formula, reads, writes)


def elementwise_sum(formula, reads):
    """``kernel(*inputs, out, *numbers)``: out[0] <- the sum of the formula over all elements.

    out  (1,)  [out] float64.  The sum is taken in float64, in blocks of a fixed
    size, so that it does not depend on the number of threads.
    """
    return _Sum(formula, reads)


class _Loop:
    """One formula; a compiled loop for each pattern of tensors that are the same.

    A step of an optimizer reads and writes the same tensor.  The loop then names it
    once: with two names LLVM would guard against overlap and fall back to scalars.
    """

    def __init__(self, formula, reads, writes):
        self._formula = formula
        self._reads = reads
        self._tensors = reads + writes
        self._loops = {}

    def __call__(self, *args):
        count = self._tensors
        names, flat = [], []
        for tensor in args[:count]:
            if not tensor.flags.carray:
                return self._strided(args)
            name = 0
            for other in flat:
                if other is tensor:
                    break
                name += 1
            else:
                flat.append(tensor)
            names.append(name)
        names = tuple(names)
        loop = self._loops.get(names)
        if loop is None:
            loop = self._loops[names] = self._compile(names, len(args) - count)
        size = flat[0].size
        flat = [tensor.ravel() for tensor in flat]
        numbers = map(float, args[count:])  # one compiled form, whatever kind of number comes
        if size < 2 * threads.ELEMENTS_PER_THREAD:
            loop(0, size, *flat, *numbers)
        else:
            threads.run(loop, size, threads.ELEMENTS_PER_THREAD, *flat, *numbers)

    def direct(self, otherwise):
        """The same for the usual case, written out: dense tensors, all different, too few to divide.

        *otherwise* takes every other call, a wrong one too.  Loops over the arguments
        would cost a small tensor more than its kernel does.
        """
        count = self._tensors
        tensors = [f"t{k}" for k in range(count)]
        numbers = [f"n{k}" for k in range(len(inspect.signature(self._formula).parameters) - self._reads)]
        arguments = ", ".join(tensors + numbers)
        unusual = ["t0.__class__ is not array", "t0.dtype is not float32 and t0.dtype is not float64",
                   "t0.size >= 2 * threads.ELEMENTS_PER_THREAD", "not t0.flags.carray"]
        for k, tensor in enumerate(tensors[1:], 1):
            unusual += [f"{tensor}.__class__ is not array", f"{tensor}.shape != t0.shape",
                        f"{tensor}.dtype is not t0.dtype", f"not {tensor}.flags.carray",
                        *(f"{tensor} is {other}" for other in tensors[:k])]
        loop_arguments = [f"{t}.ravel()" for t in tensors] + [f"float({n})" for n in numbers]
        source = "\n".join([
            f"def direct({arguments}):",
            "    loop = loops.get(names)",
            f"    if loop is None or {' or '.join(unusual)}:",
            f"        return otherwise({arguments})",
            f"    loop(0, t0.size, {', '.join(loop_arguments)})",
        ])
        scope = {"loops": self._loops, "names": tuple(range(count)), "otherwise": otherwise,
                 "array": np.ndarray, "threads": threads,
                 "float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}
        exec(source, scope)
        return scope["direct"]

    def _strided(self, args):
        """The same through dense copies; what is an input and an output stays one."""
        copies = {id(tensor): np.array(tensor, order="C") for tensor in args[:self._tensors]}
        self(*[copies[id(tensor)] for tensor in args[:self._tensors]], *args[self._tensors:])
        for tensor in args[self._reads:self._tensors]:
            tensor[...] = copies[id(tensor)]

    def _compile(self, names, numbers):
        reads = ", ".join(f"t{name}[i]" for name in names[:self._reads])
        writes = ", ".join(f"t{name}[i]" for name in names[self._reads:])
        tensors = [f"t{name}" for name in range(max(names) + 1)]
        values = [f"n{k}" for k in range(numbers)]
        call = ", ".join(filter(None, [reads, *values]))
        # A loop over a slice from 0 vectorises; one from a variable start does not.
        # Numbers arrive as float64 and take the tensors' dtype once.
        lines = [f"def loop(start, stop, {', '.join(tensors + values)}):"]
        lines += [f"    {t} = {t}[start:stop]" for t in tensors]
        lines += [f"    {n} = t0.dtype.type({n})" for n in values]
        lines += ["    for i in range(t0.size):", f"        {writes} = formula({call})"]
        return _build(self._formula, "\n".join(lines), "".join(map(str, names)))


_BLOCK = 4096


class _Sum:
    """One formula; a compiled loop that sums whole blocks, each by itself."""

    def __init__(self, formula, reads):
        self._reads = reads
        tensors = [f"t{k}" for k in range(reads)]
        numbers = [f"n{k}" for k in range(len(inspect.signature(formula).parameters) - reads)]
        call = ", ".join([f"{t}_block[i]" for t in tensors] + numbers)
        self._loop = _build(formula, "\n".join([
            f"def loop(start, stop, {', '.join([*tensors, 'parts', *numbers])}):",
            *(f"    {n} = t0.dtype.type({n})" for n in numbers),
            "    for b in range(start, stop):",
            "        first = b * block",
            # As above, only a loop over a slice from 0 vectorises.
            *(f"        {t}_block = {t}[first:first + block]" for t in tensors),
            "        part = 0.0",
            "        for i in range(t0_block.size):",
            f"            part += formula({call})",
            "        parts[b] = part",
        ]), f"sum{reads}")

    def __call__(self, *args):
        reads = self._reads
        out = args[reads]
        tensors = [np.ascontiguousarray(tensor).ravel() for tensor in args[:reads]]
        numbers = map(float, args[reads + 1:])
        size = tensors[0].size
        if size <= _BLOCK:
            self._loop(0, 1, *tensors, out, *numbers)
            return
        parts = np.empty((size + _BLOCK - 1) // _BLOCK)
        if size < 2 * threads.ELEMENTS_PER_THREAD:
            self._loop(0, parts.size, *tensors, parts, *numbers)
        else:
            threads.run(self._loop, parts.size, threads.ELEMENTS_PER_THREAD // _BLOCK, *tensors, parts, *numbers)
        out[0] = parts.sum()  # NumPy's order depends on the size alone


def _build(formula, source, tag):
    """Compile *source*, a function that calls ``formula``, as if it stood in formula's file."""
    code = formula.__code__
    namespace = {"formula": compilable(formula), "block": _BLOCK, "__name__": formula.__module__}
    exec(compile("\n" * (code.co_firstlineno - 1) + source, code.co_filename, "exec"), namespace)
    loop = namespace["loop"]
    loop.__qualname__ = loop.__name__ = f"{formula.__name__}_{tag}".replace("<", "").replace(">", "")
    return jit(loop, fingerprint(formula))


# What functions.py replaces: calls of these are left for Numba to resolve.
_REPLACED = {formulas.constant, formulas.select, formulas.exp, formulas.expm1, formulas.log,
             formulas.log1p, formulas.power, formulas.tanh, formulas.sqrt, formulas.fabs}


def compilable(formula):
    """*formula* as a compiled function, and with it the plain functions that it calls."""
    if formula in _REPLACED:
        return formula
    scope = dict(formula.__globals__)
    for name in formula.__code__.co_names:
        if isinstance(scope.get(name), types.FunctionType) and scope[name] not in _REPLACED:
            scope[name] = compilable(scope[name])
    cells = tuple(
        types.CellType(compilable(cell.cell_contents))
        if isinstance(cell.cell_contents, types.FunctionType) else cell
        for cell in formula.__closure__ or ()
    ) or None
    return inline(types.FunctionType(
        formula.__code__, scope, formula.__name__, formula.__defaults__, cells), always=True)
