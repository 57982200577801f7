"""Make nnmod's modules from the constructors that the real Torch7 recorded.

Torch counts from 1 and sets some options by calls; everything that differs is said here,
class by class, and nowhere else.
"""
import inspect

import numpy as np

import nnmod

#: Positions of the constructor's arguments that count from 1 in Torch (negative ones count from the end).
ONE_BASED = {
    "Concat": (0,),
    "JoinTable": (0,),
    "ClassNLLCriterion": (2,),
    "CrossEntropyCriterion": (2,),
}

#: What a call after construction means as a keyword argument: (class or None for any, method) -> words.
CALLS = {
    (None, "noBias"): lambda *_: {"bias": False},
    (None, "ceil"): lambda *_: {"ceilMode": True},
    (None, "setCountExcludePad"): lambda *_: {"countIncludePad": False},
    (None, "setNumInputDims"): lambda count: {"numInputDims": count},
}

#: Classes whose constructor takes other arguments: name -> function(args, words) -> module.
SPECIAL = {
    "SpatialConvolutionMap": lambda args, words: connection_map(nnmod.SpatialConvolutionMap, args, words),
    "SpatialFullConvolutionMap": lambda args, words: connection_map(nnmod.SpatialFullConvolutionMap, args, words),
}


def connection_map(cls, args, words):
    """A module with a connection table, whose planes are counted from 0."""
    return cls(args[0].astype(np.int64) - 1, *args[1:], **words)


def zero_based(target):
    """Class targets counted from 0."""
    return int(target) - 1 if np.isscalar(target) else np.asarray(target).astype(np.int64) - 1


#: Inputs that hold indices: name -> function that gives them dtype and origin (from 1 to 0).
INPUTS = {
}

#: Targets that hold classes or other than numbers: name -> function of the recorded target.
TARGETS = {
    "ClassNLLCriterion": zero_based,
    "CrossEntropyCriterion": zero_based,
}


def build(spec):
    """The module that a recorded constructor makes, with Torch's numbers counted from 0."""
    name = spec["$new"].split(".")[1]
    cls = getattr(nnmod, name)
    args = [argument(a) for a in spec.get("args", [])]
    for position in ONE_BASED.get(name, ()):
        if len(args) > position and args[position] is not None:
            args[position] = zero_based_dim(args[position])
    words = dict(spec.get("set") or {})
    children = []
    for method, values in spec.get("calls", []):
        if method == "add":
            children.append(build(values[0]))
        else:
            meaning = CALLS.get((name, method)) or CALLS[None, method]
            words |= meaning(*map(argument, values))
    if name in SPECIAL:
        module = SPECIAL[name](args, words)
    else:
        known = list(inspect.signature(cls).parameters.values())
        args = [known[i].default if a is None else a for i, a in enumerate(args)]
        module = cls(*args, **words)
    for child in children:
        module.add(child)
    return module


def classes(spec):
    """The names of all classes in a recorded constructor."""
    if isinstance(spec, dict):
        if "$new" in spec:
            yield spec["$new"].split(".")[1]
        for value in spec.values():
            yield from classes(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from classes(value)


def argument(value):
    """One argument: a nested constructor, a storage (a tuple), or the value itself."""
    if isinstance(value, dict) and "$new" in value:
        return build(value)
    if isinstance(value, dict) and "$storage" in value:
        return tuple(value["$storage"])
    return value


def zero_based_dim(value):
    """A dimension or index counted from 0: 1 becomes 0, -1 (the last) stays -1."""
    return value - 1 if value > 0 else value
