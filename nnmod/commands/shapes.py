"""Inputs from the command line: shapes such as 1x3x224x224 become tensors."""
import re

import numpy as np

from .. import tensor
from .text import CommandError

_ENTRY = re.compile(r"(\d+(?:x\d+)*)(:int)?")


def parse(text):
    """The shapes in *text* with whether each is of integers; a list of one pair, or of several for a table.

    >>> parse("1x3x32x32"), parse("5x2,5:int")
    ([((1, 3, 32, 32), False)], [((5, 2), False), ((5,), True)])
    """
    found = []
    for entry in text.lower().replace(" ", "").split(","):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise CommandError(f"{text!r} is no shape: write sizes with an x between them, such as "
                               "1x3x224x224; several inputs with a comma, 1x4,1x5; and :int behind a shape of "
                               "integers, 1x10:int")
        sizes = tuple(map(int, match[1].split("x")))
        if 0 in sizes or len(sizes) > 32:
            raise CommandError(f"{text!r} is no shape: sizes are 1 and more, and 32 at most")
        found.append((sizes, bool(match[2])))
    return found


def make(text, net, seed=1):
    """An input of the shapes in *text* for *net*: normal values of its type, or zeros for integers."""
    rng = np.random.default_rng(seed)
    dtype = tensor.dtype_of(net.type())
    inputs = []
    for sizes, integers in parse(text):
        count = 1
        for size in sizes:
            count *= size
        if count > 2**33:
            raise CommandError(f"{text!r} is {count:,} numbers: too many for one input")
        inputs.append(np.zeros(sizes, np.int64) if integers else
                      rng.standard_normal(sizes, np.float32).astype(dtype, copy=False))
    return inputs if len(inputs) > 1 else inputs[0]
