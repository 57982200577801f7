"""Modules of Torch whose fields need more than a line: how they are read and written."""
import math

import numpy as np

from .. import local_normalization, tensor
from ..activation import CReLU, PReLU, Threshold
from ..arithmetic import CDivTable, CSubTable
from ..broadcast import Add, CAdd, CMul
from ..container import Sequential
from ..convolution import SpatialConvolution
from ..decorator import DontCast, WeightNorm
from ..dropout import Dropout
from ..dynamic_pooling import SpatialFractionalMaxPooling, VolumetricFractionalMaxPooling
from ..indexing import Replicate
from ..layout import Copy, Transpose
from ..linear import Linear, LinearWeightNorm, PartialLinear
from ..lookup import LookupTable
from ..lp_pooling import SpatialLPPooling
from ..maxout import Maxout
from ..stateful import gradient_name
from ..normalization import InstanceNormalization, LayerNormalization, Normalize
from ..padding import SpatialZeroPadding
from ..plane_convolution import SpatialConvolutionMap, SpatialDepthWiseConvolution, SpatialFullConvolutionMap
from ..pointwise import AddConstant, Constant, MulConstant, Power, Sqrt, Square
from ..pooling import SpatialAveragePooling
from ..product import MM
from ..reduction import Mean
from ..resampling import SpatialUpSamplingBilinear, UpSampling
from ..reshape import Identity, Reshape, View
from ..sigmoid import GatedLinearUnit
from ..table import ConcatTable, MapTable, ParallelTable
from .t7_classes import Layout, one_based, place, write_tensors
from .t7_format import Storage
from .t7_modules import add
from .t7_reader import Unbuildable, position


def _longs(values):
    return Storage("torch.LongStorage", np.array(values, np.int64))


class _Sizes(Layout):
    """Add and Mul with sizes of their own: the sizes are those of the tensor."""

    def __init__(self, name, cls, tensor):
        super().__init__(name, cls)
        self._tensor = tensor

    def build(self, fields):
        module = self.cls(*fields.tensor(self._tensor).shape)
        self.bind(fields, module)
        return module

    def write(self, module, out):
        out["size"] = _longs(module.size)
        write_tensors(module, out)


class _View(Layout):
    """View and Reshape: any number of sizes."""

    def build(self, fields):
        option = "numInputDims" if self.cls is View else "batchMode"
        return self.cls(*fields.sizes("size"), **{option: fields.number(option, None)})

    def write(self, module, out):
        out["size"] = _longs(module.sizes)
        if self.cls is View:
            out["numElements"] = module.numElements
            if module.numInputDims is not None:
                out["numInputDims"] = module.numInputDims
        else:
            out["nelement"] = module.numElements
            out["batchsize"] = _longs([0, *module.sizes])
            if module.batchMode is not None:
                out["batchMode"] = module.batchMode


class _Transpose(Layout):
    def build(self, fields):
        pairs = [tuple(map(position, pair)) for pair in fields.get("permutations")]
        return Transpose(*pairs, numInputDims=fields.number("numInputDims", None))

    def write(self, module, out):
        out["permutations"] = [[one_based(axis) for axis in pair] for pair in module.permutations]
        if module.numInputDims is not None:
            out["numInputDims"] = module.numInputDims


class _Copy(Layout):
    """The types are those of the two buffers."""

    def build(self, fields):
        types = [_type_of(fields.raw(name), fields) for name in ("gradInput", "output")]
        module = Copy(*types, forceCopy=fields.number("forceCopy", types[0] != types[1]))
        fields.keep_type = True
        return module

    def write(self, module, out):
        out["gradInput"], out["output"] = (np.empty(0, t.partition(".")[2]) for t in (module.intype, module.outtype))
        out["forceCopy"] = module.forceCopy


def _type_of(raw, fields):
    array = getattr(raw, "array", None)
    return array.dtype.name if array is not None and array.dtype in (np.float32, np.float64) else fields.type()


class _Dropout(Layout):
    def build(self, fields):
        return Dropout(fields.number("p", 0.5), v1=not fields.number("v2", False),
                       inplace=bool(fields.number("inplace", False)),
                       stochasticInference=bool(fields.number("stochastic_inference", False)),
                       lazy=bool(fields.number("lazy", False)), mono=bool(fields.number("mono", False)))

    def write(self, module, out):
        out.update(p=module.p, v2=not module.v1, inplace=module.inplace,
                   stochastic_inference=module.stochasticInference)
        # Only the Dropout that comes with rnn has these two.
        out.update({name: True for name in ("lazy", "mono") if getattr(module, name)})


class _PReLU(Layout):
    def build(self, fields):
        planes = fields.number("nOutputPlane", 0)
        weight = fields.tensor("weight")
        if max(planes, 1) != weight.size:
            planes = weight.size if weight.size > 1 else 0
        module = PReLU(planes)
        self.bind(fields, module)
        return module

    def write(self, module, out):
        out["nOutputPlane"] = module.nOutputPlane
        write_tensors(module, out)


class _WithConstant(Layout):
    """AddConstant and MulConstant: a number, or a tensor."""

    def build(self, fields):
        value = fields.get("constant_scalar")
        inplace = bool(fields.number("inplace", False))
        if not isinstance(value, np.ndarray):
            return self.cls(fields.number("constant_scalar"), inplace)
        module = self.cls(fields.tensor("constant_scalar"), inplace)
        module.constant_tensor = fields.tensor("constant_scalar")
        return module

    def write(self, module, out):
        tensor = module.constant_tensor
        out["constant_scalar"] = module.constant_scalar if tensor is None else tensor
        out["inplace"] = module.inplace


class _Constant(Layout):
    def build(self, fields):
        value = fields.get("value")
        count = fields.number("nInputDim", None)
        if not isinstance(value, np.ndarray):
            return Constant(fields.number("value"), count)
        module = Constant(fields.tensor("value"), count)
        module.value = fields.tensor("value")
        return module

    def write(self, module, out):
        out["value"] = module.value
        if module.nInputDim is not None:
            out["nInputDim"] = module.nInputDim


class LookupLayout(Layout):
    """LookupTable: indices count from 1, and 0 is no padding."""

    def build(self, fields):
        weight = fields.tensor("weight")
        if weight.ndim != 2:
            raise Unbuildable(f"its weight must have two dimensions, found {weight.shape}")
        module = self.cls(*weight.shape)
        padding = fields.number("paddingValue", 0)
        module.setPadding(padding - 1 if padding > 0 else None)
        module.setMaxNorm(fields.number("maxNorm", None)).setNormType(fields.number("normType", None) or 2)
        if fields.number("shouldScaleGradByFreq", False):
            module.scaleGradByFreq()
        self.bind(fields, module)
        return module

    def write(self, module, out):
        out["paddingValue"] = 0 if module.paddingValue is None else module.paddingValue + 1
        if module.maxNorm is not None:
            out["maxNorm"], out["normType"] = module.maxNorm, module.normType
        out["shouldScaleGradByFreq"] = module.shouldScaleGradByFreq
        write_tensors(module, out)


class _ConnectionMap(Layout):
    """The table of connections counts planes from 1."""

    def build(self, fields):
        table, weight = fields.tensor("connTable"), fields.tensor("weight")
        if table.ndim != 2 or weight.ndim != 3 or len(table) != len(weight):
            raise Unbuildable("its connTable must have a row for each window of its weight, "
                              f"found {table.shape} and {weight.shape}")
        if not (np.isfinite(table).all() and table.min() >= 1 and table.max() <= 1 << 20):
            raise Unbuildable("its connTable must hold numbers of planes, from 1")
        module = self.cls(table.astype(np.int64) - 1, weight.shape[2], weight.shape[1],
                          fields.number("dW", 1), fields.number("dH", 1), bias="bias" in fields)
        self.bind(fields, module)
        return module

    def write(self, module, out):
        dtype = module.weight.dtype
        out["connTable"] = (module.connTable + 1).astype(dtype)
        out.update({name: getattr(module, name) for name in ("nInputPlane", "nOutputPlane", "kW", "kH", "dW", "dH")})
        write_tensors(module, out)


class _DepthWise(Layout):
    """nOutputPlane is what one plane of the input gives."""

    def build(self, fields):
        names = ("nInputPlane", "nOutputPlane", "kW", "kH")
        sizes = [fields.number(name) for name in names]
        if fields.tensor("weight").size != math.prod(sizes):
            raise Unbuildable(f"its weight must have {math.prod(sizes)} elements, "
                              f"found {fields.tensor('weight').size}")
        module = self.cls(*sizes, *(fields.number(name, usual) for name, usual in (
            ("dW", 1), ("dH", 1), ("padW", 0), ("padH", 0))), bias="bias" in fields)
        self.bind(fields, module)
        return module

    def write(self, module, out):
        out["nOutputPlane"] = module.depthwiseMultiplier
        out.update({name: getattr(module, name) for name in (
            "nInputPlane", "kW", "kH", "dW", "dH", "padW", "padH")})
        write_tensors(module, out)


class _PartialLinear(Layout):
    """The weight is that of a LookupTable in an inner network."""

    def build(self, fields):
        table = fields.get("network").modules[0].modules[1]
        module = PartialLinear(table.weight.shape[1], table.weight.shape[0], bias="bias" in fields)
        module.weight, module.gradWeight = table.weight, table.gradWeight
        fields.bind(module, ["bias"])
        partition = fields.get("partition", None)
        outputs = np.arange(1, module.outputsize + 1)
        if isinstance(partition, np.ndarray) and not np.array_equal(partition, outputs):
            module.setPartition(partition.astype(np.int64) - 1)
        return module

    def write(self, module, out):
        table = LookupTable(1, 1)
        table.nIndex, table.nOutput = module.weight.shape
        table.weight, table.gradWeight, table._type = module.weight, module.gradWeight, module._type
        network = Sequential(ParallelTable(Identity(), table), MM(False, True))
        for part in network.listModules():
            part._type = module._type
        dtype = module.weight.dtype
        columns = np.arange(1, module.outputsize + 1).astype(dtype)
        partition = columns if module.partition is None else (module.partition + 1).astype(dtype)
        out.update(network=network, inputsize=module.inputsize, outputsize=module.outputsize, allcolumns=columns,
                   partition=partition)
        if module.bias is not None:
            out["bias"], out["gradBias"] = module.bias, module.gradBias


class _Maxout(Layout):
    """A Linear, a View and a Max, after what there is before them."""

    def build(self, fields):
        children = fields.children()
        if len(children) not in (3, 4) or not isinstance(children[0], Linear) or not isinstance(children[1], View):
            raise Unbuildable("it must hold a Linear, a View and a Max")
        numbers, outputs = children[1].sizes
        if children[0].outputSize != numbers * outputs:
            raise Unbuildable("its Linear and its View do not fit")
        module = Maxout(children[0].inputSize, outputs, numbers)
        place(module, children)
        return module

    def write(self, module, out):
        out["modules"] = list(module.modules)


class _CReLU(Layout):
    """Written with its inner modules, which the constructor makes."""

    def build(self, fields):
        module = self.cls(fields.number("nInputDims"), bool(fields.number("inplace", False)))
        for part in module.listModules():
            part._type = fields.type()
        return module

    def write(self, module, out):
        out["nInputDims"], out["inplace"] = module.nInputDims, module.modules[-1].inplace
        out["modules"] = list(module.modules)


class _LayerNormalization(Layout):
    """A Sequential in Torch: centre, divide by the norm, multiply, add."""

    def build(self, fields):
        children = fields.get("modules")
        normalize = next(m for m in children if isinstance(m, Normalize))
        scale = next(m for m in children if isinstance(m, MulConstant))
        affine = [m for m in children if isinstance(m, (CMul, Add))]
        count = round(scale.constant_scalar ** 2)
        if affine and affine[0].weight.size != count:
            raise Unbuildable("its CMul and its MulConstant do not fit")
        if not affine and count > 1 << 24:
            raise Unbuildable("its MulConstant is too large")
        module = LayerNormalization(count, eps=normalize.eps, affine=bool(affine))
        if affine:
            module.weight, module.gradWeight = affine[0].weight, affine[0].gradWeight
            module.bias, module.gradBias = affine[1].bias, affine[1].gradBias
        return module

    def write(self, module, out):
        count = module.nOutput
        parts = [
            ConcatTable(Identity(), Sequential(Mean(0, 1), Replicate(count, 0, 1))), CSubTable(),
            Normalize(2, module.eps), MulConstant(math.sqrt(count))]
        if module.affine:
            scale, shift = CMul(count), Add(count)
            scale.weight, scale.gradWeight = module.weight, module.gradWeight
            shift.bias, shift.gradBias = module.bias, module.gradBias
            parts += [scale, shift]
        for part in parts:
            for inner in part.listModules():
                inner._type = module._type
        out["modules"] = parts


class _InstanceNormalization(Layout):
    """Torch also keeps the running statistics that each of its forwards starts from, and never moves."""

    def build(self, fields):
        affine = "weight" in fields
        module = InstanceNormalization(None, fields.number("eps", 1e-5), affine)
        module.nOutput = fields.tensor("weight").size if affine else fields.number("nOutput")
        self.bind(fields, module)
        return module

    def write(self, module, out):
        super().write(module, out)
        dtype, shape = tensor.dtype_of(module.type()), (module.nOutput,)
        out.update(momentum=0.1, prev_batch_size=-1, running_mean=np.zeros(shape, dtype),
                   running_var=np.ones(shape, dtype))


class _Neighbourhood(Layout):
    """The kernel, and networks of Torch's own that compute with it."""

    def build(self, fields):
        kernel = fields.tensor("kernel")
        module = self._make(fields, kernel)
        for part in getattr(module, "modules", None) or [module]:
            part.kernel = kernel if kernel.ndim == 2 else np.outer(kernel, kernel).astype(kernel.dtype)
            part._type = fields.type()
        return module

    def _make(self, fields, kernel):
        words = {} if self.cls is local_normalization.SpatialSubtractiveNormalization else {
            "threshold": fields.number("threshold", 1e-4), "thresval": fields.number("thresval", None)}
        return self.cls(fields.number("nInputPlane", 1), kernel, **words)

    def write(self, module, out):
        first = module.modules[0] if module.modules else module
        kernel, planes = first.kernel, first.nInputPlane
        # Torch divides its kernel by the sum over all planes; ours is any multiple of it.
        kernel = kernel / (kernel.sum() * planes)
        out.update(kernel=kernel, nInputPlane=planes)
        if module.modules:
            second = module.modules[1]
            out.update(threshold=second.threshold, thresval=second.thresval,
                       normalizer=Sequential(*(m.clone() for m in module.modules)).type(module.type()))
            return
        estimate = [SpatialZeroPadding(kernel.shape[1] // 2, kernel.shape[1] // 2, kernel.shape[0] // 2,
                                       kernel.shape[0] // 2),
                    SpatialConvolution(planes, 1, kernel.shape[1], kernel.shape[0]), Replicate(planes, 0, 3)]
        estimate[1].weight[...] = kernel.astype(np.float32)
        estimate[1].bias.fill(0)
        mean = Sequential(*estimate).type(module.type())
        mean.modules[1].weight[...] = kernel
        out.update(meanestimator=mean, coef=np.ones((1, 1, 1), kernel.dtype), divider=CDivTable().type(module.type()))
        if isinstance(module, local_normalization.SpatialSubtractiveNormalization):
            out["subtractor"] = CSubTable().type(module.type())
            return
        std = Sequential(Square(), *mean.clone().modules, Sqrt()).type(module.type())
        out.update(threshold=module.threshold, thresval=module.thresval, stdestimator=std,
                   normalizer=CDivTable().type(module.type()),
                   thresholder=Threshold(module.threshold, module.thresval).type(module.type()))


class _LPPooling(Layout):
    """A Sequential in Torch: power, average, root."""

    def build(self, fields):
        first = fields.get("modules")[0]
        power = 2 if isinstance(first, Square) else first.pow
        return SpatialLPPooling(None, power, *(fields.number(name) for name in ("kW", "kH", "dW", "dH")))

    def write(self, module, out):
        out.update(kW=module.kW, kH=module.kH, dW=module.dW, dH=module.dH)
        p, window = module.pnorm, (module.kW, module.kH, module.dW, module.dH)
        out["modules"] = [Square() if p == 2 else Power(p), SpatialAveragePooling(*window),
                          MulConstant(module.kW * module.kH), Sqrt() if p == 2 else Power(1 / p)]
        for part in out["modules"]:
            part._type = module._type


class _Fractional(Layout):
    """The sizes of the output, or their ratios."""

    def __init__(self, name, cls, sides):
        super().__init__(name, cls)
        self._sides = sides

    def build(self, fields):
        sides = self._sides
        form = "out" if f"out{sides[0]}" in fields else "ratio"
        return self.cls(*(fields.number(f"poolSize{side}") for side in sides),
                        *(fields.number(form + side) for side in sides),
                        fixPoolingRegions=bool(fields.number("newRandomPool", False)))

    def write(self, module, out):
        form = "ratio" if module._ratios else "out"
        for index, side in enumerate(self._sides):
            out[f"poolSize{side}"] = getattr(module, f"poolSize{side}")
            out[form + side] = getattr(module, f"arg{index + 1}")
        out["newRandomPool"] = module.fixPoolingRegions  # Torch's name says the opposite of what it does


class _UpSampling(Layout):
    """A factor, or sizes by name."""

    def build(self, fields):
        factor = fields.number("scale_factor", None)
        sizes = {name: fields.number(name) for name in ("odepth", "oheight", "owidth") if name in fields}
        params = sizes if factor is None else factor
        return self.cls(params) if self.cls is SpatialUpSamplingBilinear else self.cls(
            params, fields.get("mode", "nearest"))

    def write(self, module, out):
        for name in ("scale_factor", "odepth", "oheight", "owidth"):
            if getattr(module, name, None) is not None:
                out[name] = getattr(module, name)
        count = 4
        if self.cls is UpSampling:
            out["mode"], count = module.mode, 5
        out["inputSize"], out["outputSize"] = _longs([0] * count), _longs([0] * count)


class _WeightNorm(Layout):
    """The weight of the inner module is made from v and g; see the upgrade of this class."""

    def build(self, fields):
        inner, = fields.children()
        # The constructor draws anew what the module holds; that must not be the file's.
        kept = {name: getattr(inner, name) for name in (*inner.paramNames, *inner.stateNames)}
        for name, value in kept.items():
            setattr(inner, name, None if value is None else np.empty_like(value))
        try:
            module = WeightNorm(inner, position(fields.number("outputDim", 1)))
        finally:
            for name, value in kept.items():
                setattr(inner, name, value)
        self.bind(fields, module)
        return module

    def write(self, module, out):
        weight, axis = module.modules[0].weight, module.outputDim
        front = (weight.shape[axis], *weight.shape[:axis], *weight.shape[axis + 1:])
        dtype = module.v.dtype
        rows = len(module.v)
        out.update(modules=list(module.modules), outputDim=axis + 1, viewOut=_longs(front),
                   viewIn=_longs(module.v.shape), weightSize=_longs(weight.shape), otherDims=weight.size // rows,
                   _norm=np.zeros((rows, 1), dtype), _scale=np.zeros(rows, dtype))
        write_tensors(module, out)
        out["gradV"], out["gradG"] = module.gradV.reshape(front), module.gradG.reshape(-1)
        bias = getattr(module.modules[0], "bias", None)
        if bias is not None:
            out["bias"], out["gradBias"] = bias, module.modules[0].gradBias


class _LinearWeightNorm(Layout):
    """In evaluation Torch computes with the weight that the file has."""

    def write(self, module, out):
        super().write(module, out)
        norm = np.maximum(np.sqrt((module.v ** 2).sum(axis=1, keepdims=True)), module.eps).astype(module.v.dtype)
        out.update(norm=norm, scale=module.g / norm, weight=module.v * (module.g / norm))


class _GatedLinearUnit(Layout):
    """Without a dimension it is the last; Torch knows no -1 here."""

    def write(self, module, out):
        if module.dim >= 0:
            out["dim"] = module.dim + 1


class _DontCast(Layout):
    def build(self, fields):
        inner, = fields.children()
        module = DontCast(inner, bool(fields.number("castin", False)), bool(fields.number("castout", False)))
        return module

    def write(self, module, out):
        out.update(modules=list(module.modules), castin=module.castin, castout=module.castout,
                   moduleType=torch_type(module.modules[0].type()))


class _MapTable(Layout):
    def build(self, fields):
        shared = bool(fields.number("shared", True))
        children = [fields.child("module")] if shared or "modules" not in fields else fields.children()
        if not children:
            raise Unbuildable("it has no module")
        module = MapTable(children[0], shared)
        if not shared:
            place(module, children)
        return module

    def write(self, module, out):
        inner = module.modules[0]
        params = list(dict.fromkeys(p for m in inner.listModules() for p in m.paramNames))
        names = params + [gradient_name(p) for p in params]
        out.update(module=inner, modules=list(module.modules), shared=module.shared,
                   sharedparams=names or ["weight", "bias", "gradWeight", "gradBias"])


def torch_type(name):
    """Torch's name of one of our types."""
    return "torch.DoubleTensor" if name == "cpu.float64" else "torch.FloatTensor"


add(_Sizes("nn.CAdd", CAdd, "bias"))
add(_Sizes("nn.CMul", CMul, "weight"))
add(_View("nn.View", View))
add(_View("nn.Reshape", Reshape))
add(_Transpose("nn.Transpose", Transpose))
add(_Copy("nn.Copy", Copy))
add(_Dropout("nn.Dropout", Dropout))
add(_PReLU("nn.PReLU", PReLU))
add(_WithConstant("nn.AddConstant", AddConstant))
add(_WithConstant("nn.MulConstant", MulConstant))
add(_Constant("nn.Constant", Constant))
add(LookupLayout("nn.LookupTable", LookupTable))
add(_ConnectionMap("nn.SpatialConvolutionMap", SpatialConvolutionMap))
add(_ConnectionMap("nn.SpatialFullConvolutionMap", SpatialFullConvolutionMap))
add(_DepthWise("nn.SpatialDepthWiseConvolution", SpatialDepthWiseConvolution))
add(_PartialLinear("nn.PartialLinear", PartialLinear))
add(_CReLU("nn.CReLU", CReLU))
add(_Maxout("nn.Maxout", Maxout))
add(_InstanceNormalization("nn.InstanceNormalization", InstanceNormalization, "nOutput eps affine"))
add(_LayerNormalization("nn.LayerNormalization", LayerNormalization))
for _cls in (getattr(local_normalization, f"Spatial{kind}Normalization")
             for kind in ("Subtractive", "Divisive", "Contrastive")):
    add(_Neighbourhood(f"nn.{_cls.__name__}", _cls))
add(_LPPooling("nn.SpatialLPPooling", SpatialLPPooling))
add(_Fractional("nn.SpatialFractionalMaxPooling", SpatialFractionalMaxPooling, "WH"))
add(_Fractional("nn.VolumetricFractionalMaxPooling", VolumetricFractionalMaxPooling, "TWH"))
add(_UpSampling("nn.UpSampling", UpSampling))
add(_UpSampling("nn.SpatialUpSamplingBilinear", SpatialUpSamplingBilinear))
add(_WeightNorm("nn.WeightNorm", WeightNorm))
add(_LinearWeightNorm("nn.LinearWeightNorm", LinearWeightNorm, "inputSize@v.1? outputSize@v.0 bias@has eps=1e-16"))
add(_GatedLinearUnit("nn.GatedLinearUnit", GatedLinearUnit, "dim@dim=-1"))
add(_DontCast("nn.DontCast", DontCast))
add(_MapTable("nn.MapTable", MapTable))
