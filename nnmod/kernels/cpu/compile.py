"""Numba as this package uses it: one set of options, and a disk cache that never fails.

Numba's own cache raises where no directory can be written, and keys a kernel on
its own file alone.  Here a cache that cannot be used costs speed at most, and a
kernel is compiled anew whenever its file has changed, or a file that it imports from.
"""
import ast
import functools
import hashlib
import os
import pathlib
import sys
import types
import warnings

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache

#: Reordering of sums and contraction to fused multiply-add, so that reductions
#: vectorise; nothing that assumes away NaN or Inf.
FASTMATH = {"contract", "reassoc", "nsz", "arcp"}


def jit(function, extra_key=""):
    """Compile *function* at its first call, for each new combination of types.

    The compiled code releases Python's lock and is kept on disk where possible.
    *extra_key* tells apart functions that share name and code but not meaning.
    """
    kernel = numba.njit(nogil=True, error_model="numpy", fastmath=FASTMATH)(function)
    try:
        kernel._cache = _KernelCache(function, extra_key)
    except Exception:  # no directory that can be written, or a function without a file
        kernel._cache = _NoCache()
    return kernel


def inline(function):
    """Compile a helper that kernels call; it becomes part of them, however long it is."""
    return numba.njit(nogil=True, error_model="numpy", fastmath=FASTMATH, forceinline=True)(function)


def fingerprint(function):
    """A digest of what *function* computes, or None where that has no stable text.

    It covers code, constants, defaults, closure and the globals it names, through
    the functions it calls: two formulas that share a name and a line must not share
    a cache entry.
    """
    digest = hashlib.sha256()
    seen = set()

    def add(value):
        if isinstance(value, (bool, int, float, complex, str, bytes, type(None))):
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


class _NoCache(NullCache):
    """In the place of a cache where none can be had."""

    def load_overload(self, sig, target_context):
        _announcer.announce("no cache can be written for them: every process compiles anew")


class _KernelCache(FunctionCache):
    """Numba's cache for one function, with trouble on disk treated as a miss."""

    def __init__(self, function, extra_key):
        super().__init__(function)
        sources = _sources(function.__globals__.get("__file__"))
        stamp = self._impl.locator.get_source_stamp(), sources, extra_key
        self._cache_file = IndexDataCacheFile(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig, target_context):
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # unreadable or damaged entries are compiled anew
            found = None
        if found is None:
            _announcer.announce("once; later runs load them from the cache")
        return found

    def save_overload(self, sig, data):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                super().save_overload(sig, data)
        except Exception:  # disk full, directory gone, permission withdrawn
            pass


@functools.cache
def _sources(file):
    """A digest of every source file of the kernels that code in *file* may inline from.

    For a file of the kernels that is itself and what it imports, near and far; for
    any other file, or none, all of them.
    """
    digest = hashlib.sha256()
    path = pathlib.Path(file) if file else None
    if path == _KERNELS / "formulas.py":  # whose kernels elementwise.py builds, with functions.py
        path = _CPU / "elementwise.py"
    every = sorted([_KERNELS / "formulas.py", *_CPU.glob("*.py")])
    for source in sorted(_imported(path, set())) if path in every else every:
        digest.update(source.read_bytes())
    return digest.hexdigest()


_CPU = pathlib.Path(__file__).parent
_KERNELS = _CPU.parent


def _imported(path, seen):
    """*path* and the files of the kernels that it imports from, directly or through others."""
    if path in seen or not path.is_file():
        return seen
    seen.add(path)
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = _CPU if node.level == 1 else _KERNELS
            for name in [node.module] if node.module else [alias.name for alias in node.names]:
                _imported(base / f"{name}.py", seen)
    return seen


class _Announcer:
    """Says once in a process that compiling has begun, so that nobody wonders."""

    def __init__(self):
        self.done = bool(os.environ.get("NNMOD_QUIET"))

    def announce(self, hint):
        if not self.done:
            self.done = True
            print(f"nnmod: compiling kernels for this processor ({hint})", file=sys.stderr, flush=True)


_announcer = _Announcer()
