"""Inputs from the command line: shapes such as 1x3x224x224 become tensors."""
import math
import re

import numpy as np

from .. import tensor
from .text import CommandError

_ENTRY = re.compile(r"(?:([A-Za-z_]\w*)=)?(\d+(?:[xX]\d+)*)(:int)?")


def parse(text):
    """The entries of *text* as (name, sizes, whether it is of integers); one for a tensor, several for a table.

    >>> parse("1x3x32x32"), parse("words=5:int,image=3x8x8")
    ([(None, (1, 3, 32, 32), False)], [('words', (5,), True), ('image', (3, 8, 8), False)])
    """
    found = []
    for entry in text.replace(" ", "").split(","):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise CommandError(
                f"{text!r} is no shape: write sizes with an x between them, such as 1x3x224x224; several "
                "inputs with a comma, 1x4,1x5, or with names, a=1x4,b=1x5; and :int behind a shape of "
                "integers, 1x10:int")
        name, sizes, integers = match.groups()
        sizes = tuple(map(int, sizes.lower().split("x")))
        if 0 in sizes or len(sizes) > 32:
            raise CommandError(f"{text!r} is no shape: sizes are 1 and more, and 32 at most")
        found.append((name, sizes, bool(integers)))
    names = [name for name, _, _ in found if name is not None]
    if names and len(set(names)) < len(found):
        raise CommandError(f"{text!r}: either every input has a name of its own, or none has")
    return found


def make(text, net, seed=1):
    """An input of the shapes in *text* for *net*: normal values of its type, or zeros for integers."""
    rng = np.random.default_rng(seed)
    dtype = tensor.dtype_of(net.type())
    inputs = {}
    for name, sizes, integers in parse(text):
        count = math.prod(sizes)
        if count > 2**33:
            raise CommandError(f"{text!r} is {count:,} numbers: too many for one input")
        inputs[len(inputs) if name is None else name] = np.zeros(sizes, np.int64) if integers else (
            rng.standard_normal(sizes, np.float32).astype(dtype, copy=False))
    if not all(isinstance(name, int) for name in inputs):
        return inputs
    return list(inputs.values()) if len(inputs) > 1 else inputs[0]
