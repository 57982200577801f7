"""Old versions of Torch's classes, brought to the newest: what their own ``read`` methods do.

Each entry takes the fields of an object as a dict of raw values and changes it.  18 of
nn's files carry such patches; files of the years 2012 to 2017 need them.
"""
import numpy as np

from .t7_format import Storage, Table, Tensor, Torch, view


def upgrade(thing):
    """Bring the fields of *thing*, a Torch, up to date."""
    steps = _STEPS.get(thing.name)
    if steps and type(thing.content) is Table:
        fields = dict(thing.content.items)
        before = dict(fields)
        for step in steps:
            step(fields)
        if len(fields) != len(before) or any(fields[key] is not before.get(key) for key in fields):
            thing.content.items[:] = fields.items()


def _default(**values):
    """A step that adds fields that are missing."""
    def step(fields):
        for name, value in values.items():
            if fields.get(name.encode()) is None:
                fields[name.encode()] = value
    return step


def _running_std(fields):
    """running_std held 1 / sqrt(var + eps), before there was running_var."""
    old = fields.get(b"running_std")
    if isinstance(old, Tensor) and fields.get(b"running_var") is None:
        eps = fields.get(b"eps", 1e-5)
        with np.errstate(all="ignore"):
            fields[b"running_var"] = _tensor(old.array.astype(np.float64) ** -2.0 - eps, old)
        del fields[b"running_std"]


def _affine(fields):
    if fields.get(b"affine") is None:
        fields[b"affine"] = fields.get(b"weight") is not None


def _padding(fields):
    """One number for both sides, then none, then padW and padH."""
    both = fields.pop(b"padding", None)
    for name in (b"padW", b"padH"):
        if fields.get(name) is None:
            fields[name] = both if isinstance(both, float) else 0.0


def _window_weight(fields):
    """SpatialConvolutionMM kept (nOutputPlane, nInputPlane * kH * kW); SpatialConvolution keeps four sizes."""
    for name in (b"weight", b"gradWeight"):
        old = fields.get(name)
        sizes = [fields.get(key) for key in (b"nInputPlane", b"kH", b"kW")]
        if isinstance(old, Tensor) and old.array.ndim == 2 and all(isinstance(n, float) and n > 0 for n in sizes):
            _reshape(old, (old.shape[0], *map(int, sizes)))


def _flat_weight(fields):
    """The reverse: files whose SpatialConvolutionMM has four sizes."""
    for name in (b"weight", b"gradWeight"):
        old = fields.get(name)
        if isinstance(old, Tensor) and old.array.ndim == 4:
            _reshape(old, (old.shape[0], old.array[0].size))


def _reshape(tensor, shape):
    """Another shape for a tensor that lies in one piece."""
    array = tensor.array
    if not array.size or not array.flags.c_contiguous or array.size != int(np.prod(shape)):
        return
    strides = [array.itemsize * int(np.prod(shape[i + 1:])) for i in range(len(shape))]
    tensor.shape, tensor.strides = tuple(shape), tuple(s // array.itemsize for s in strides)
    tensor.array = view(tensor, array.dtype)


def _weight_norm(fields):
    """The weight was left out when it was written: weight = g * v / sqrt(|v|^2 + 1e-4)."""
    modules = fields.get(b"modules")
    if type(modules) is not Table:
        return
    inner = dict(modules.items).get(1.0)
    v, g = fields.get(b"v"), fields.get(b"g")
    if not (type(inner) is Torch and type(inner.content) is Table and isinstance(v, Tensor)
            and isinstance(g, Tensor) and v.array.ndim == 2 and v.array.size):
        return
    content = dict(inner.content.items)
    if content.get(b"weight") is not None or g.array.size != len(v.array):
        return
    out, axis = fields.get(b"viewOut"), fields.get(b"outputDim", 1.0)
    shape = tuple(out.data.tolist()) if isinstance(out, Storage) else ()
    if not isinstance(axis, float) or not 1 <= axis <= len(shape) or any(n < 1 for n in shape):
        return
    if int(np.prod([float(n) for n in shape])) != v.array.size:
        return
    direction = v.array.astype(np.float64)
    norm = np.sqrt((direction ** 2).sum(axis=1, keepdims=True) + 1e-4)
    rows = (g.array.astype(np.float64).reshape(-1, 1) * direction / norm).reshape(shape)
    axis = int(axis) - 1
    # viewOut has the outputs first; the weight has them in outputDim.
    order = [*range(1, axis + 1), 0, *range(axis + 1, len(shape))]
    content[b"weight"] = _tensor(np.ascontiguousarray(rows.transpose(order)), v)
    inner.content.items[:] = content.items()


def _tensor(array, like):
    """A raw tensor with the elements of *array*, of the type of *like*."""
    made = Tensor(like.name, like.version)
    made.shape = array.shape
    array = np.ascontiguousarray(array).astype(like.array.dtype)
    made.strides = tuple(s // array.itemsize for s in array.strides)
    made.storage = Storage(like.storage.name, array.reshape(-1), like.storage.version)
    made.array = array
    return made


def _dropout(fields):
    """Before v2, evaluation scaled by 1 - p."""
    if fields.get(b"v2") is None:
        fields[b"v2"] = False


def _round_up(fields):
    """imagine-nn's pooling rounds up whatever its field says."""
    fields[b"ceil_mode"] = True


def _clipped(fields):
    """cudnn's ClippedReLU is a HardTanh from 0 to its ceiling."""
    fields[b"min_val"], fields[b"max_val"] = 0.0, fields.get(b"ceiling")


def _upper_k(fields):
    """The first SpatialCrossMapLRN of cudnn called its k K."""
    if fields.get(b"k") is None and fields.get(b"K") is not None:
        fields[b"k"] = fields[b"K"]


def _turned_window(fields):
    """cudnn's TemporalConvolution is a SpatialConvolution inside: its window lies along the height."""
    if fields.get(b"padH", 0.0) != 0.0:
        raise ValueError("it pads its input, which a TemporalConvolution of nnmod does not")
    fields[b"kW"], fields[b"dW"] = fields.get(b"kH"), fields.get(b"dH", 1.0)


def _fields_of_concat(fields):
    """DepthConcat and Concat without outputSize, or with ``size``: it is scratch."""
    if fields.get(b"dimension") is None and isinstance(fields.get(b"dim"), float):
        fields[b"dimension"] = fields[b"dim"]


_BATCH_NORMALIZATION = (_running_std, _affine, _default(eps=1e-5, momentum=0.1))
_CONVOLUTION = (_padding, _window_weight)
_MAX_POOLING = (_padding, _default(ceil_mode=False))
_AVERAGE_POOLING = (_padding, _default(ceil_mode=False, count_include_pad=True, divide=True))
_FULL = (_padding, _default(adjW=0.0, adjH=0.0))
_INPLACE = (_default(inplace=False),)
_ADD_THIRD = _default(padT=0.0)

_STEPS = {
    **{f"{package}.{name}BatchNormalization": _BATCH_NORMALIZATION
       for package in ("nn", "cudnn") for name in ("", "Spatial", "Volumetric")},
    **{name: _CONVOLUTION for name in ("nn.SpatialConvolution", "cudnn.SpatialConvolution",
                                       "nn.SpatialDilatedConvolution")},
    "nn.SpatialConvolutionMM": (_padding, _flat_weight),
    "nn.SpatialConvolutionLocal": (_padding,),
    "nn.SpatialDepthWiseConvolution": (_padding,),
    "nn.SpatialFullConvolution": _FULL,
    "cudnn.SpatialFullConvolution": _FULL,
    "nn.VolumetricConvolution": (_padding, _ADD_THIRD),
    "cudnn.VolumetricConvolution": (_padding, _ADD_THIRD),
    "nn.VolumetricFullConvolution": (_padding, _default(padT=0.0, adjT=0.0, adjW=0.0, adjH=0.0)),
    **{name: _MAX_POOLING for name in ("nn.SpatialMaxPooling", "cudnn.SpatialMaxPooling",
                                       "nn.SpatialDilatedMaxPooling")},
    **{name: (_padding, _default(padT=0.0, ceil_mode=False)) for name in (
        "nn.VolumetricMaxPooling", "cudnn.VolumetricMaxPooling", "nn.VolumetricDilatedMaxPooling")},
    "inn.SpatialMaxPooling": (_padding, _round_up),
    "inn.SpatialAveragePooling": (_padding, _round_up),
    "nn.SpatialAveragePooling": _AVERAGE_POOLING,
    "cudnn.SpatialAveragePooling": _AVERAGE_POOLING,
    "nn.Dropout": (_dropout,),
    **{name: _INPLACE for name in (
        "nn.Threshold", "nn.ReLU", "cudnn.ReLU", "nn.ReLU6", "nn.LeakyReLU", "nn.RReLU", "nn.ELU", "nn.HardTanh",
        "nn.Clamp", "nn.AddConstant", "nn.MulConstant", "cudnn.Tanh", "cudnn.Sigmoid")},
    "nn.HardTanh": (_default(inplace=False, min_val=-1.0, max_val=1.0),),
    "nn.ELU": (_default(inplace=False, alpha=1.0),),
    "nn.Concat": (_fields_of_concat,),
    "nn.DepthConcat": (_fields_of_concat,),
    "nn.WeightNorm": (_weight_norm,),
    "nn.Padding": (_default(value=0.0, index=1.0),),
    "nn.Sum": (_default(sizeAverage=False, squeeze=True),),
    "nn.Mean": (_default(squeeze=True),),
    "nn.GradientReversal": (_default(**{"lambda": 1.0}),),
    "nn.LookupTable": (_default(paddingValue=0.0),),
    "nn.SpatialCrossMapLRN": (_default(k=1.0),),
    "inn.SpatialCrossResponseNormalization": (_default(k=1.0),),
    "cudnn.SpatialCrossMapLRN": (_upper_k, _default(k=1.0)),
    "cudnn.ClippedReLU": (_default(inplace=False), _clipped),
    "cudnn.TemporalConvolution": (_turned_window,),
    "nn.ClassNLLCriterion": (_default(sizeAverage=True, ignoreIndex=-100.0),),
}

