"""Make nnmod's modules from the constructors that the real Torch7 recorded.

Torch counts from 1 and sets some options by calls; everything that differs is said here,
class by class, and nowhere else.
"""
import inspect

import numpy as np

import nnmod
from nnmod import nested

#: Positions of the constructor's arguments that count from 1 in Torch (negative ones count from the end).
ONE_BASED = {
    "GatedLinearUnit": (0,),
    "WeightNorm": (1,),
    "GPU": (1, 2),
    "Concat": (0,),
    "JoinTable": (0,),
    "ClassNLLCriterion": (2,),
    "CrossEntropyCriterion": (2,),
    "DepthConcat": (0,),
    "Parallel": (0, 1),
    "SplitTable": (0,),
    "SelectTable": (0,),
    "NarrowTable": (0,),
    "MixtureTable": (0,),
    "Squeeze": (0,),
    "Unsqueeze": (0,),
    "Select": (0, 1),
    "Narrow": (0, 1),
    "Replicate": (1,),
    "Index": (0,),
    "Padding": (0, 4),
    "Sum": (0,),
    "Mean": (0,),
    "Max": (0,),
    "Min": (0,),
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
    # The module keeps its type, and Torch's was float64.
    "DontCast": lambda args, words: nnmod.DontCast(args[0].double(), *args[1:], **words),
    # A padding of 0 is none in Torch; the norm's type is nil for 2.
    "LookupTable": lambda args, words: nnmod.LookupTable(
        *args[:2], *[p - 1 if p else None for p in args[2:3]], *args[3:4], *[t or 2 for t in args[4:]], **words),
    "Transpose": lambda args, words: nnmod.Transpose(*[tuple(map(zero_based_dim, pair)) for pair in args], **words),
    "Copy": lambda args, words: nnmod.Copy(*map(type_of, args[:2]), *args[2:]),
}


def connection_map(cls, args, words):
    """A module with a connection table, whose planes are counted from 0."""
    return cls(args[0].astype(np.int64) - 1, *args[1:], **words)


def zero_based(target):
    """Class targets counted from 0."""
    return int(target) - 1 if np.isscalar(target) else np.asarray(target).astype(np.int64) - 1


#: Inputs that hold indices: name -> function that gives them dtype and origin (from 1 to 0).
INPUTS = {
    "SparseLinear": lambda x: nested.map(_features_from_0, x),
    "IndexLinear": lambda x: [nested.map(lambda k: k.astype(np.int64) - 1, x[0]), x[1],
                              *[sizes.astype(np.int64) for sizes in x[2:]]],
    "LookupTable": lambda x: x.astype(np.int64) - 1,
    "Index": lambda input: [input[0], zero_based(input[1])],
    "MaskedSelect": lambda input: [input[0], input[1].astype(bool)],
    "OneHot": zero_based,
}

#: Targets that hold classes or other than numbers: name -> function of the recorded target.
TARGETS = {
    "ClassNLLCriterion": zero_based,
    "CrossEntropyCriterion": zero_based,
}

#: Outputs that hold indices: name -> function of the recorded output.
OUTPUTS = {
    "Kmeans": lambda y: y - 1,
}

#: Gradients by the input that hold indices: name -> function of the recorded gradient.
GRAD_INPUTS = {
    "SparseLinear": lambda x: nested.map(_features_from_0, x),
}

#: Gradients by the parameters in another form: name -> function(recorded case, our parameters) -> a list.
GRADIENTS = {
    "IndexLinear": lambda case, params: [_of_keys(case, params[0]), case["gradParams"][1]],
    # Torch7's C code leaves the gradient behind as (nOutputPlane, nInputPlane, kH, kW).
    "SpatialDepthWiseConvolution": lambda case, params: [
        g.reshape(p.shape) for g, p in zip(case["gradParams"], params)],
    "WeightNorm": lambda case, params: [g.reshape(p.shape) for g, p in zip(case["gradParams"], params)],
}

#: Targets that hold classes or other than numbers: name -> function of the recorded target.
TARGETS = {
    "ClassNLLCriterion": zero_based,
    "ClassSimplexCriterion": zero_based,
    "CrossEntropyCriterion": zero_based,
    "MultiLabelMarginCriterion": zero_based,
    "MultiMarginCriterion": zero_based,
    "ParallelCriterion": lambda targets: [targets[0], zero_based(targets[1])],
    "SpatialClassNLLCriterion": zero_based,
}


def _features_from_0(pairs):
    return pairs - np.array([1, 0], pairs.dtype)


def _of_keys(case, weight):
    """Torch keeps a gradient for each key that came; here is one for each feature."""
    keys = np.concatenate([np.ravel(k) for k in nested.leaves(case["input"][0])]).astype(np.int64)
    offset = (case["new"]["args"][3] if len(case["new"]["args"]) > 3 else None) or 0
    dense = np.zeros(weight.shape)
    np.add.at(dense, keys - 1 + offset, case["gradParams"][0])
    return dense


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
            children.append([build(values[0]), *values[1:]])
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
        module.add(*child)
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


def type_of(value):
    """nnmod's name of a Torch type: torch.DoubleTensor is float64."""
    return {"torch.FloatTensor": "float32", "torch.DoubleTensor": "float64"}[value]
