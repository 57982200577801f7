"""Files of any kind: told apart by their first bytes, read, and written by their endings."""
import os
import zipfile
import zlib

import numpy as np

from .. import check, tensor
from ..module import Module
from ..serialization import atomic, checkpoint, t7
from . import values
from .text import CommandError

#: How a kind of file is called.
NAMES = {"t7": "Torch7 file, binary", "t7-ascii": "Torch7 file, ASCII", "checkpoint": "nnmod checkpoint",
         "safetensors": "safetensors, no checkpoint of nnmod", "npz": "NumPy archive", "npy": "NumPy array"}
#: What the ending of a file to be written means.
ENDINGS = {".t7": "t7", ".t7b": "t7", ".net": "t7", ".th": "t7", ".t7a": "t7-ascii",
           ".safetensors": "checkpoint", ".npz": "npz", ".npy": "npy"}


def read(path, map=False):
    """The value in the file *path*, and what kind of file it is: a key of NAMES.

    A checkpoint is a dict with "model" and what else it holds, an .npz a dict of tensors.
    With *map* the tensors of a .t7 stay in the file until they are looked at.
    """
    with open(path, "rb") as file:
        head = file.read(9)
    try:
        if head.startswith(b"\x93NUMPY"):
            return np.load(path, allow_pickle=False), "npy"
        if head.startswith(b"PK\x03\x04") and _holds_arrays(path):
            with np.load(path, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}, "npz"
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise CommandError(f"{path} is damaged, or holds more than tensors: {error}") from error
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < os.path.getsize(path):
        return _safetensors(path)
    value = t7.load(path, mmap=map)
    return value, "t7-ascii" if head[:1].isdigit() and head[1:2] in b"\r\n" else "t7"


def _holds_arrays(path):
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return bool(names) and all(name.endswith(".npy") for name in names)


def _safetensors(path):
    safetensors = check.package("safetensors", "checkpoint", "reading a .safetensors file")
    try:
        with safetensors.safe_open(path, framework="np") as file:
            if "nnmod" in (file.metadata() or {}):
                return checkpoint.load_checkpoint(path), "checkpoint"
            return {name: file.get_tensor(name) for name in file.keys()}, "safetensors"
    except safetensors.SafetensorError as error:
        raise CommandError(f"{path} is damaged: {error}") from error
    except TypeError as error:  # a type of numbers that NumPy does not have
        raise CommandError(f"{path} holds tensors that NumPy has no type for: {error}") from error


def kind_of(path, to=None):
    """What kind of file to write to *path*: *to* if given, else what its ending says."""
    if to is not None:
        return to
    ending = os.path.splitext(path)[1].lower()
    if ending not in ENDINGS:
        raise CommandError(f"what kind of file is {path} to be? It has none of the endings "
                           f"{', '.join(ENDINGS)}: say it with --to")
    return ENDINGS[ending]


def write(path, value, kind):
    """Write *value* to *path* in one step; a list of what that kind of file cannot hold.

    A model alone is a checkpoint of it, and the other way round.
    """
    if isinstance(value, dict) and list(value) == ["model"] and isinstance(value["model"], Module):
        value = value["model"]
    if kind in ("t7", "t7-ascii"):
        t7.save(path, value, ascii=kind == "t7-ascii")
        return []
    if kind == "checkpoint":
        if isinstance(value, Module):
            checkpoint.save_checkpoint(path, value)
        elif isinstance(value, dict) and isinstance(value.get("model"), Module) and all(
                isinstance(key, str) and key.isidentifier() for key in value):
            checkpoint.save_checkpoint(path, **value)
        else:
            raise CommandError(f"a checkpoint holds a model, alone or under the key \"model\", and this is "
                               f"{values.kind(value)}: write a .t7 or an .npz, or choose a part with --at")
        return []
    if kind == "npz":
        arrays, left = flat(value)
        if not arrays:
            raise CommandError(f"an .npz holds tensors, and there are none in {values.kind(value)}")
        atomic.write(path, lambda file: _archive(file, arrays))
        return left
    if kind == "npy":
        if not tensor.is_tensor(value):
            raise CommandError(f"an .npy holds one tensor, and this is {values.kind(value)}: "
                               "write an .npz, or choose a tensor with --at")
        atomic.write(path, lambda file: np.save(file, value))
        return []
    raise CommandError(f"nnmod cannot write {NAMES.get(kind, kind)}")


def _archive(file, arrays):
    """An .npz of *arrays*: as numpy.savez writes it, and whatever their names are."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(name + ".npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


def flat(value):
    """The tensors, numbers and texts of *value* by path, and the paths of all else that is lost."""
    arrays, left = {}, []
    for path, level, item, again in values.walk(value):
        if level == values.DEEPEST and values.children(item):
            raise CommandError(f"an .npz has no room for what is nested {level} deep: write a .t7")
        if again is not None:
            left.append(f"{path} (the same as {again or 'the whole'})")
        elif tensor.is_tensor(item) or isinstance(item, (bool, int, float, np.generic)):
            arrays[path or "value"] = np.asarray(item)
        elif isinstance(item, str) and "\0" not in item:  # NumPy drops zeros at the end of a text
            arrays[path or "value"] = np.asarray(item)
        elif not values.children(item) and not isinstance(item, Module):
            left.append(f"{path} ({values.kind(item)})")
    return {name: array for name, array in arrays.items() if array.dtype.kind != "O"}, left
