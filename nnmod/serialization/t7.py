"""Torch7's files: load any .t7, and save modules and data as one.

The pieces: t7_format.py knows the bytes; t7_reader.py makes Python values of raw objects,
t7_writer.py raw objects of Python values; t7_modules.py, t7_special.py, t7_sparse.py,
t7_criterion.py, t7_recurrent.py, t7_mufuru.py, t7_wrappers.py and t7_graph.py say which class of
Torch is which here; t7_upgrades.py brings old files up to date.
"""
import contextlib
import gc
import io
import os

from .. import check
from . import atomic, t7_criterion, t7_format, t7_graph, t7_modules, t7_mufuru, t7_recurrent, t7_sparse, t7_wrappers
from .t7_format import Function, T7Error
from .t7_objects import Key, Opaque, OpaqueCriterion, Record
from .t7_reader import BUILDERS, Fields, to_python
from .t7_writer import to_raw

__all__ = ["Fields", "Function", "Key", "Opaque", "OpaqueCriterion", "Record", "T7Error", "load", "register",
           "save"]


def load(path, mmap=False):
    """Read a file of Torch7: the value that ``torch.save`` wrote.

    Parameters
    ----------
    path : path or binary file object
        Binary and ASCII files, with longs of 8 or 4 bytes and of either byte order, are
        told apart by themselves.  Of a file object, what follows the place where it stands
        is read.  A pipe is read to its end first; of anything else on a disk, large tensors
        are read straight into their arrays.
    mmap : bool
        Leave tensors in a binary file until they are used: it opens at once, however large
        it is.  Writing to a tensor changes a copy of its pages, never the file; while the
        tensors live, nobody may shorten the file.  What lies in another byte order, and
        parameters of modules at places that the processor does not like (not at a multiple
        of their size), are read when the file is opened.

    Returns
    -------
    Numbers (ints where they are whole), strings (bytes where they are not UTF-8),
    booleans, None; a list for a table with the keys 1 .. n, or a tds.Vec, else a dict, whose
    keys that no dict can have are each a :class:`Key`; arrays for tensors and storages, which
    share memory where the file's do; modules and criterions for Torch's classes, with
    what counts from 1 there counted from 0; :class:`Function` for a function, which is
    kept as bytes and never run.

    A module of a class that nnmod does not know becomes an :class:`Opaque`, which keeps
    all its fields; other objects become a :class:`Record`.  A module that stands at
    several places of a tree comes as clones that share their parameters.  Parameters of
    half precision become float32, those of the GPU lie on the CPU.  An in-place module
    that would overwrite what another's backward reads works out of place.

    Raises T7Error, with the position, for a file that is damaged, cut off, or is
    something else; the usual OSError where it cannot be read.

    Source: torch.load (Torch7).
    """
    check.boolean(mmap=mmap)
    read = t7_format.read_map if mmap else t7_format.read
    with contextlib.nullcontext(path) if hasattr(path, "read") else io.FileIO(os.fspath(path)) as file:
        # Python looks for garbage whenever many objects were made; here there is none.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return to_python(read(file))
        except t7_format.T7Error as error:
            if file is not path:
                error.add_note(f"in the file {os.fspath(path)}")
            raise
        finally:
            if collecting:
                gc.enable()


def save(path, obj, ascii=False, buffers=False):
    """Write *obj* to a file that Torch7's ``torch.load`` reads.

    Parameters
    ----------
    path : path or binary file object
        A file is replaced in one step when all is on disk: a crash leaves the old one.
    obj : numbers, strings, bytes, booleans, arrays, modules, criterions, lists, tuples and dicts of them
        Lists and tuples become tables with the keys 1 .. n; an empty dict comes back as
        an empty list.  Arrays that are views of each other share a storage; booleans in
        an array become bytes.
    ascii : bool
        Write text.
    buffers : bool
        Write ``output`` and ``gradInput`` of modules too.

    What counts from 0 here counts from 1 in the file; a network lies on the CPU there.
    Raises TypeError for what Torch has nothing for, with its place (save_checkpoint
    writes any module): a CTCCriterion, which Torch had from another package, with labels of
    its own; maskZero of a Recurrent or NormStabilizer, which rnn refuses
    too; classes of your own.  Raises the usual OSError where the file cannot be written.

    Source: torch.save (Torch7).

    >>> import io
    >>> file = io.BytesIO()
    >>> save(file, {"layers": [64, 10], "rate": 0.5})
    >>> load(io.BytesIO(file.getvalue()))
    {'layers': [64, 10], 'rate': 0.5}
    """
    check.boolean(ascii=ascii, buffers=buffers)
    raw = to_raw(obj, buffers)
    if hasattr(path, "write"):
        t7_format.Writer(path, ascii).object(raw)
    else:
        atomic.write(os.fspath(path), lambda file: t7_format.Writer(file, ascii).object(raw))


def register(name, function):
    """Teach the reader a class: objects of Torch class *name* are built by *function*.

    Parameters
    ----------
    name : str
        The name in the file: ``"nn.Mystery"``.
    function : callable
        Takes :class:`Fields`, whose ``get``, ``number``, ``tensor``, ``child`` and
        ``children`` give the fields of the object, and returns a module, a criterion,
        or any value.  Its parameters are given by ``fields.bind(module)``.  None forgets
        what was registered before.

    >>> from nnmod import Linear
    >>> def half_linear(fields):
    ...     weight = fields.tensor("weight")
    ...     module = Linear(weight.shape[1], weight.shape[0], bias="bias" in fields)
    ...     fields.bind(module)
    ...     return module
    >>> register("fbnn.HalfLinear", half_linear)
    >>> register("fbnn.HalfLinear", None)
    """
    if not isinstance(name, str) or not (function is None or callable(function)):
        raise TypeError(f"register takes the name of a class and a function of its fields, got {name!r} "
                        f"and {function!r}")
    usual = _USUAL.get(name)
    if function is not None:
        BUILDERS[name] = function
    elif usual is not None:
        BUILDERS[name] = usual
    else:
        BUILDERS.pop(name, None)


GRAPH = t7_graph.Graph()
_USUAL = {name: layout.build for name, layout in t7_modules.LAYOUTS.items()}
_USUAL |= {name: _USUAL[twin] for name, twin in t7_modules.TWINS.items()}
_USUAL |= {GRAPH.name: GRAPH.build, t7_criterion.CONFUSION.name: t7_criterion.CONFUSION.build}
_USUAL |= {name: t7_wrappers.inner_module for name in ("nn.DataParallelTable", "nn.Inception", "nn.Serial")}
_USUAL["nn.AffineTransformMatrixGenerator"] = t7_wrappers.affine_matrix
BUILDERS.update(_USUAL)
