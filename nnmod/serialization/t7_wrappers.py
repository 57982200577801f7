"""Modules of Torch that load as another one: the module in them, or what computes the same."""
from ..module import Module
from ..reshape import View
from .t7_objects import Opaque
from .t7_reader import Unbuildable


def inner_module(fields):
    """The module inside of one that computes nothing itself.

    That is a DataParallelTable's first replica, and what dpnn's Inception and Serial hold.
    """
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


def affine_matrix(fields):
    """stnbhwd's AffineTransformMatrixGenerator, where it only gives six numbers the shape of a matrix."""
    if not fields.number("fullMode"):
        raise Unbuildable("it makes its matrices of angles, scales or shifts, which nnmod has no module for")
    return View(2, 3, numInputDims=1)
