"""nnmod cat: one value in a file."""
import numpy as np

from .. import tensor
from ..criterion import Criterion
from ..module import Module
from . import files, values
from .text import CommandError, say, width
from .write import guard


def run(options):
    """Show the value at a path, or write a tensor to a file of its own."""
    value, _ = files.read(options.file, map=True)
    value = values.at(value, options.path)
    if options.output is not None:
        return _write(options, value)
    if tensor.is_tensor(value):
        _tensor(value, options.all)
    elif isinstance(value, (Module, Criterion)):
        say(repr(value))
    elif isinstance(value, str):
        say(value)
    elif isinstance(value, bytes):
        say(repr(value))
    elif isinstance(value, (dict, list, tuple)) and not values.numbers(value):
        say(values.kind(value) + (":" if value else ""))
        for name, item in values.children(value):
            say(f"  {name}: {values.numbers_text(item) if values.numbers(item) else values.kind(item)}")
    elif isinstance(value, (list, tuple)):
        say(", ".join(f"{item!r}" for item in value))
    else:
        say(values.kind(value))
        for name, item in values.children(value):
            say(f"  {name}: {values.kind(item)}")
    return 0


def _tensor(value, all):
    say(values.kind(value) + _spread(value))
    limit = value.size + 1 if all else 400
    with np.printoptions(linewidth=min(width(), 120), threshold=limit, edgeitems=4, suppress=True):
        say(str(value))


def _spread(value):
    """The range of a tensor's numbers, NaN and infinities counted apart."""
    if not value.size or value.dtype.kind not in "fiu":
        return ""
    good = value[np.isfinite(value)] if value.dtype.kind == "f" else value
    words = ""
    if good.size:
        words = f", {good.min():.6g} .. {good.max():.6g}, mean {good.mean(dtype=np.float64):.6g}"
    lost = value.size - good.size
    return words + (f", {lost} of {value.size} not finite" if lost else "")


def _write(options, value):
    kind = files.kind_of(options.output)
    if kind not in ("npy", "npz"):
        raise CommandError(f"cat writes .npy and .npz; nnmod convert {options.file} {options.output} "
                           f"--at {options.path} writes other kinds")
    guard(options.output, options.force)
    files.write(options.output, value, kind)
    return 0
