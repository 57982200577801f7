"""Compiled kernels on disk: one file for each kernel and combination of types, in the user's cache directory.

A file's name holds a digest of all that the code in it depends on: versions of Python and
Numba, processor, width of vectors, types, the kernel and every source file that it may inline
from.  So code is never stale, installations of several versions share one directory, and a
read-only installation is as good as another.  Numba's own cache keys a kernel on its own file
alone, keeps an index beside each, and imports all of Numba's library before it loads anything.

Files that nothing loads are dropped after some months, and the least recently used ones when
all together take too much room: the cache does not grow by itself.  Trouble on disk is a miss:
a cache that cannot be used costs time and nothing else.
"""
import functools
import hashlib
import os
import pathlib
import pickle
import re
import sys
import tempfile
import time

import llvmlite
import llvmlite.binding
import numba
from numba.core import serialize
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.runtime import _nrt_python

from .simd import VECTOR_BITS

#: All files together take this many bytes at most ...
MOST_BYTES = 256 * 1024 * 1024
#: ... and each is dropped when nothing has loaded it for so long (s).
MOST_AGE = 120 * 86400
#: What the names of its files end with.
SUFFIX = ".kernel"
_DIGEST = hashlib.sha256
_CPU = pathlib.Path(__file__).parent
_KERNELS = _CPU.parent


def directory():
    """Where compiled kernels are kept: NNMOD_CACHE_DIR, NUMBA_CACHE_DIR, or the system's place for caches."""
    for name in ("NNMOD_CACHE_DIR", "NUMBA_CACHE_DIR"):
        if os.environ.get(name):
            return pathlib.Path(os.environ[name], "nnmod" if name == "NUMBA_CACHE_DIR" else "")
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or pathlib.Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = pathlib.Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base, "nnmod")


def usage():
    """How many kernels the cache holds, and their bytes."""
    sizes = [size for _, size, _ in _entries(directory())]
    return len(sizes), sum(sizes)


def clear():
    """Drop every compiled kernel; the next call of each compiles it anew."""
    for _, _, path in _entries(directory()):
        _drop(path)


def prune():
    """Drop what nothing has loaded for long, and the least recently used beyond the cache's size."""
    entries = sorted(_entries(directory()), reverse=True)
    kept, oldest = 0, time.time() - MOST_AGE
    for used, size, path in entries:
        kept += size
        if used < oldest or kept > MOST_BYTES:
            _drop(path)


def read(path):
    """What was written to a file of the cache, or None where it is not there, or damaged."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, content = content[:_DIGEST().digest_size], content[_DIGEST().digest_size:]
    if _DIGEST(content).digest() != digest:
        return None
    _note_use(path)
    return content


def write(path, content):
    """Write bytes to a file of the cache, which others may read meanwhile: all of it, or nothing."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            file.write(_DIGEST(content).digest() + content)
        os.replace(file.name, path)
    except OSError:  # disk full, directory gone, permission withdrawn
        return
    _prune_once()


class KernelCache(NullCache):
    """What Numba asks for the compiled forms of one function.

    *extra_key* tells apart functions that share name and code but not meaning.  *missed* is
    called before something is compiled, with whether it will be kept.
    """

    def __init__(self, function, extra_key, missed):
        self._function = function
        self._extra_key = extra_key
        self._missed = missed

    def load_overload(self, sig, target_context):
        """The compiled form for *sig*, or None.

        Numba's cache first loads all that a compiler needs, which takes longer than everything
        else; what is loaded here needs nothing but the addresses of Numba's runtime.
        """
        try:
            content = read(self._path(sig, target_context.codegen()))
            if content is not None:
                return _restore(target_context, *pickle.loads(content))
        except Exception:  # of another make: to be compiled
            pass
        self._missed(writable())
        return None

    def save_overload(self, sig, cres):
        """Keep *cres*, the compiled form for *sig*."""
        try:
            if cres.lifted or cres.library.has_dynamic_globals or not writable():
                return
            write(self._path(sig, cres.codegen), serialize.dumps(_reduce(cres)))
        except Exception:  # what cannot be pickled
            pass

    def _path(self, sig, codegen):
        code = self._function.__code__
        if self._function.__closure__ and not self._extra_key:
            raise ValueError("what a closure holds has no text that could be part of a name")
        constants = [value for value in code.co_consts if not hasattr(value, "co_code")]
        digest = _DIGEST(repr((_versions(), codegen.magic_tuple(), VECTOR_BITS, str(sig), self._function.__module__,
                               _sources(code.co_filename), self._extra_key, code.co_firstlineno, code.co_code,
                               code.co_names, constants)).encode())
        name = re.sub(r"[^\w.]", "", f"{self._function.__module__.rpartition('.')[2]}.{self._function.__qualname__}")
        return directory() / f"{name[-80:]}-{digest.hexdigest()[:32]}{SUFFIX}"


def _reduce(cres):
    """What _restore needs, in forms that can be pickled."""
    code, library = cres.library, cres.library.name
    cres.fndesc.typemap = cres.fndesc.calltypes = None
    defined = [name for name in (cres.fndesc.llvm_func_name, cres.fndesc.llvm_cpython_wrapper_name,
                                 cres.fndesc.llvm_cfunc_wrapper_name) if code.get_pointer_to_function(name)]
    defined += [variable.name for variable in code._final_module.global_variables if not variable.is_declaration]
    return (library, code._get_compiled_object(), defined, cres.fndesc, cres.environment, cres.signature,
            cres.reload_init, cres._find_referenced_environments())


def _restore(context, name, code, defined, fndesc, environment, signature, reload_init, environments):
    """The compiled form again: as Numba's CompileResult does it, but for what only a compiler reads."""
    _know_runtime()
    for step in reload_init:
        step()
    library = context.codegen().create_library(name)
    library.enable_object_caching()
    library._set_compiled_object(code)
    library._finalize_final_module()
    library.codegen._engine._defined_symbols.update(defined)
    entry = context.get_executable(library, fndesc, environment)
    for other in environments:
        library.codegen.set_env(other.env_name, other)
    return CompileResult(target_context=context, typing_context=context.typing_context, library=library,
                         environment=environment, entry_point=entry, fndesc=fndesc, type_annotation="",
                         signature=signature, objectmode=False, lifted=(), typing_error=None, call_helper=None,
                         metadata=None, reload_init=reload_init, referenced_envs=environments)


@functools.cache
def _know_runtime():
    """Let LLVM know Numba's runtime by name, as Numba does when it compiles for the first time."""
    for name, address in _nrt_python.c_helpers.items():
        llvmlite.binding.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)


@functools.cache
def _versions():
    return sys.implementation.cache_tag, sys.version_info[:3], numba.__version__, llvmlite.__version__


# -- the directory ---------------------------------------------------------------------------------------

@functools.cache
def writable():
    """Whether files can be written to the directory, which is made if it is not there."""
    try:
        directory().mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory()).close()
        return True
    except OSError:
        return False


def _entries(folder):
    """(when last used, bytes, path) of each file of the cache."""
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith((SUFFIX, ".tmp")):
                    about = entry.stat()
                    found.append((about.st_mtime, about.st_size, entry.path))
    except OSError:
        pass
    return found


def _note_use(path):
    """Mark a file as used today."""
    try:
        if time.time() - path.stat().st_mtime > 86400:
            os.utime(path)
    except OSError:  # a cache that may only be read
        pass


def _drop(path):
    try:
        os.unlink(path)
    except OSError:
        pass


@functools.cache
def _prune_once():
    """Prune when this process first adds to the cache."""
    prune()


# -- what code depends on --------------------------------------------------------------------------------

@functools.cache
def _sources(file):
    """A digest of every source file of the kernels that code in *file* may inline from.

    For a file of the kernels that is itself and what it imports, near and far; for
    any other file, or none, all of them, and the file.
    """
    digest = _DIGEST()
    path = pathlib.Path(file)
    every = _every_source()
    if path == _KERNELS / "formulas.py":  # whose kernels elementwise.py builds, with functions.py
        path = _CPU / "elementwise.py"
    elif path not in every and path.is_file():
        digest.update(path.read_bytes())
    for source in sorted(_imported(path, set())) if path in every else every:
        digest.update(_read(source))
    return digest.hexdigest()


@functools.cache
def _every_source():
    return sorted([_KERNELS / "formulas.py", *_CPU.glob("*.py")])


@functools.cache
def _read(path):
    return path.read_bytes()


def _imported(path, seen):
    """*path* and the files of the kernels that it imports from, directly or through others."""
    if path not in seen and path in _every_source():
        seen.add(path)
        for imported in _imports(path):
            _imported(imported, seen)
    return seen


@functools.cache
def _imports(path):
    """The files of the kernels that the file *path* names in its imports, which are at the top level."""
    found = []
    for dots, module, names in re.findall(rb"^from (\.+)(\w*) import (\([^)]*\)|[^\n]*)", _read(path), re.MULTILINE):
        base = _CPU if len(dots) == 1 else _KERNELS
        names = [module] if module else re.findall(rb"(\w+)(?: as \w+)?", names)
        found += [base / f"{name.decode()}.py" for name in names]
    return found
