"""Modules of Torch that compute nothing themselves: they load as the module in them."""
from ..module import Module
from .t7_objects import Opaque
from .t7_reader import Unbuildable


def inner_module(fields):
    """The module inside of one that computes nothing itself: a DataParallelTable's first replica, dpnn's Inception."""
    inner = fields.get("module", None)
    if inner is None:
        held = fields.get("modules")
        if not isinstance(held, list) or not held or (fields.name == "nn.Inception" and len(held) > 1):
            raise Unbuildable("it must hold a module")
        inner = held[0]
    if not isinstance(inner, Module) or isinstance(inner, Opaque):
        raise Unbuildable("the module that it holds cannot be built")
    # It stands in the place of the outer one: as deep as it is, and of its own type.
    fields.reader.keep_depth(inner)
    fields.keep_type = True
    return inner
