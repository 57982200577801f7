"""How a class of Torch is read and written: one Layout for each, in a line of words.

A line names the arguments of nnmod's constructor in order, each with where it lies:

    name.attribute:field@kind=default

The attribute of our module and the field of Torch's object are called as the argument is,
unless said otherwise.  The kind says how the value changes on the way:

    dim       a dimension, index or class: from 1 in Torch, from 0 here; from the end in both
    count     a number of dimensions; what is not above 0 means that none is given
    has       True if the object has a tensor of that name; nothing is written
    child     a module or criterion, which gets a place in the tree
    only      the only module of ``modules``
    link      a module that stands elsewhere in the tree
    array     a tensor
    weight.1  the size 1 of tensor ``weight``, whatever fields say: nothing is allocated
              that the file's own tensors do not account for
    text      a string
    key       the name of a table's entry, a string, or a position like dim

A ``?`` after the kind gives the constructor None, so that it allocates nothing, and sets the
attribute afterwards.  Where default is left out the field must be there.
"""
import ast
import re

import numpy as np

from ..elementwise import InPlace
from ..stateful import gradient_name
from .t7_reader import Unbuildable, position

_WORD = re.compile(r"(\w+)(?:\.(\w+))?(?::(\w+))?(?:@(\w+)(?:\.(\d))?)?(\?)?(?:=(\S+))?\Z")
_KINDS = {"dim", "count", "has", "child", "only", "link", "array", "text", "key"}
_REQUIRED = object()


class _Argument:
    """One word of a line."""

    def __init__(self, word):
        match = _WORD.match(word)
        self.name, attribute, field, kind, axis, late, default = match.groups()
        self.attribute, self.field = attribute or self.name, field or self.name
        self.kind, self.axis = kind, None if axis is None else int(axis)
        self.late = late is not None
        self.default = _REQUIRED if default is None else ast.literal_eval(default)

    def read(self, fields):
        kind = self.kind
        if self.axis is not None:
            array = fields.tensor(kind)
            if self.axis >= array.ndim:
                raise Unbuildable(f"its {kind} must have more than {self.axis} dimensions, found {array.shape}")
            return array.shape[self.axis]
        if kind == "has":
            return self.field in fields
        if kind == "only":
            children = fields.children()
            if len(children) != 1:
                raise Unbuildable(f"it must hold one module, found {len(children)}")
            return children[0]
        if self.field not in fields and self.default is not _REQUIRED:
            return self.default
        if kind == "child":
            return fields.child(self.field)
        if kind == "array":
            return fields.tensor(self.field)
        value = fields.get(self.field) if kind in ("link", "text", "key") else fields.number(self.field)
        if kind == "key":
            return value if isinstance(value, str) else position(fields.number(self.field))
        if kind == "dim":
            return position(value)
        if kind == "count":
            return value if value > 0 else None
        return value

    def write(self, module, out):
        if self.kind == "only":
            out["modules"] = list(module.modules)
            return
        if self.kind in ("has", "array") or (self.axis is not None and self.field in out):
            return
        value = getattr(module, self.attribute, None)
        if value is None:
            return
        if self.kind in ("dim", "key") and not isinstance(value, str):
            value = one_based(value)
        out[self.field] = value


def one_based(value):
    """A position counted from 1; what counts from the end stays."""
    return value + 1 if value >= 0 else value


class Layout:
    """How the objects of one class are read and written.

    name      the class in Torch
    cls       the class here
    words     the line described above
    children  whether it holds a list of modules
    tensors   where tensors have other names in the file: {ours: Torch's}
    """

    def __init__(self, name, cls, words="", children=False, tensors=None):
        self.name, self.cls, self.children = name, cls, children
        self.arguments = [_Argument(word) for word in words.split()]
        self.tensors = tensors or {}

    def build(self, fields):
        """The module of *fields*."""
        values = [(argument, argument.read(fields)) for argument in self.arguments]
        module = self.cls(**{argument.name: None if argument.late else value for argument, value in values})
        for argument, value in values:
            if argument.late:
                setattr(module, argument.attribute, value)
        if self.children:
            place(module, fields.children())
        self.bind(fields, module)
        return module

    def bind(self, fields, module):
        """Give *module* the tensors of the file."""
        for name in (*module.paramNames, *module.stateNames):
            fields.bind(module, [name], self.tensors.get(name, name))

    def write(self, module, out):
        """Put the fields of *module* into the dict *out*."""
        for argument in self.arguments:
            argument.write(module, out)
        if self.children:
            out["modules"] = list(module.modules)
        write_tensors(module, out, self.tensors)


def write_tensors(module, out, names=None):
    """Put the parameters, their gradients and the state of *module* into *out*."""
    names = names or {}
    for name in module.paramNames:
        array = getattr(module, name, None)
        if array is not None:
            field = names.get(name, name)
            out[field] = array
            out[gradient_name(field)] = getattr(module, gradient_name(name))
    for name in module.stateNames:
        array = getattr(module, name, None)
        if isinstance(array, np.ndarray):
            out[names.get(name, name)] = array


def place(container, children):
    """Put *children* into *container*.

    Where an in-place module would overwrite what another one reads, which Torch allows
    and then computes wrong gradients, it works out of place here.
    """
    try:
        container._setChildren(children)
    except ValueError as error:
        if "in place" not in str(error):
            raise
        changed = [m for child in children for m in child.listModules() if work_out_of_place(m)]
        if not changed:
            raise
        container._setChildren(children)


def work_out_of_place(module):
    """Make *module* leave its input alone; returns whether it did not."""
    if not (isinstance(module, InPlace) or "inplace" in vars(module)) or not module.inplace:
        return False
    module.inplace = False
    if "backwardNeeds" in vars(module):
        module.backwardNeeds = frozenset({"input"})
    return True
