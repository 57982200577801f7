"""What the constructors of Torch's classes leave in an object beside what they were told.

Mostly buffers, empty, of the kind that their methods expect to find: a class whose
gradInput is a table fails on a tensor.  A value is

    "tensor"          an empty tensor of the module's type
    "int64", ...      one of that type
    "sizes"           an empty LongStorage
    a list            a table of such values
    a function        of the module, for what follows from its arguments
    anything else     itself
"""
import numpy as np

from .. import sigmoid
from .t7_format import Storage
from .t7_objects import Record

_PAIR = {"gradInput": ["tensor", "tensor"]}
_TABLE_IN = {"gradInput": []}
_TABLES = {"gradInput": [], "output": []}
_NOISE = {"noise": "tensor"}
_INDICES = {"indices": "int64"}
_EXTREME = {"gradInput": [], "mask": "tensor", "gradMaxVals": "tensor"}
_CLASS_NLL = {"output_tensor": lambda m: np.zeros(1, _dtype(m)), "total_weight_tensor": lambda m: np.ones(1, _dtype(m)),
              "target": lambda m: np.zeros(1, np.int64)}


def _dtype(module):
    return np.dtype(module._type.partition(".")[2])


def _typed(module, inner):
    return inner.type(module._type)


def _zeros(count):
    return lambda module: Storage("torch.LongStorage", np.zeros(count, np.int64))


def _convert(name):
    """Fields of Convert that follow from the letters of its shapes."""
    return {"inputBatchDim": lambda m: m.inputShape.index("b") + 1,
            "outputBatchDim": lambda m: m.outputShape.index("b") + 1,
            "nInputDim": lambda m: len(m.inputShape), "nOutputDim": lambda m: len(m.outputShape),
            "transposition": lambda m: len(m.inputShape) == len(m.outputShape), "modules": []}[name]


#: class in Torch -> {field: value}
SCRATCH = {
    "nn.Add": {"_ones": lambda m: np.ones(1, _dtype(m))},
    "nn.Bilinear": _PAIR,
    "nn.Bottle": {"inShape": lambda m: np.zeros(m.nInputDim, _dtype(m)),
                  "outShape": lambda m: np.zeros(m.nOutputDim, _dtype(m)),
                  "dimDelta": lambda m: m.nInputDim - m.nOutputDim},
    "nn.CAddTable": _TABLE_IN, "nn.CAddTensorTable": _TABLE_IN, "nn.CDivTable": _TABLE_IN,
    "nn.CMulTable": _TABLE_IN, "nn.CSubTable": _TABLE_IN,
    "nn.CMaxTable": {**_EXTREME, "maxIdx": "tensor", "maxVals": "tensor"},
    "nn.CMinTable": {**_EXTREME, "minIdx": "tensor", "minVals": "tensor"},
    "nn.Clamp": {"inplace": False},
    "nn.ClassNLLCriterion": _CLASS_NLL,
    "nn.ClassSimplexCriterion": {"simplex": lambda m: m.simplex,
                                 "_target": lambda m: np.zeros(m.nClasses, _dtype(m))},
    "nn.Concat": {"outputSize": "sizes"},
    "nn.ConcatTable": {"output": []},
    "nn.Convert": {name: _convert(name) for name in (
        "inputBatchDim", "outputBatchDim", "nInputDim", "nOutputDim", "transposition", "modules")},
    "nn.CosineDistance": _PAIR,
    "nn.CosineEmbeddingCriterion": _PAIR,
    "nn.CriterionTable": {"gradInput": ["tensor"]},
    "nn.DepthConcat": {"outputSize": "sizes"},
    "nn.DotProduct": _PAIR,
    "nn.Dropout": _NOISE,
    "nn.Euclidean": {"fastBackward": True},
    "nn.FlattenTable": {**_TABLES, "input_map": []},
    "nn.Index": _PAIR,
    "nn.IndexLinear": {"normalize": 0, "gradWeightBuffer": "tensor", "sizesCache": [], "cumSumSizesCache": [],
                       "weightDecay": 0, "normalizedValues": "tensor", "valuesBuffer": "tensor"},
    "nn.JoinTable": {"size": "sizes", "gradInput": []},
    "nn.Kmeans": {"loss": 0},
    "nn.L1HingeEmbeddingCriterion": _PAIR,
    "nn.MM": _PAIR, "nn.MV": _PAIR,
    "nn.MapTable": _TABLES,
    "nn.MarginRankingCriterion": {"gradInput": lambda m: [np.zeros(1, _dtype(m)), np.zeros(1, _dtype(m))]},
    "nn.MaskedSelect": {"_maskIndexBuffer": "int64", "_maskIndexBufferCPU": "float32", "_gradBuffer": "tensor",
                        "_gradMask": "uint8", "_maskIndices": "int64"},
    "nn.Mean": {"squeeze": True, "sizeAverage": True},
    "nn.MixtureTable": {"gradInput": [], "size": "sizes", "size2": "sizes", "backwardSetup": False, "batchSize": 0},
    "nn.ModuleFromCriterion": {**_PAIR, "output": lambda m: np.zeros(1, _dtype(m))},
    "nn.MultiLabelMarginCriterion": {"isTarget": "tensor"},
    "nn.MultiLabelSoftMarginCriterion": {"sigmoid": lambda m: _typed(m, sigmoid.Sigmoid())},
    "nn.NarrowTable": _TABLES,
    "nn.Padding": {"outputSize": "sizes"},
    "nn.PairwiseDistance": {"gradInput": [], "diff": "tensor"},
    "nn.ParallelCriterion": _TABLE_IN,
    "nn.ParallelTable": _TABLES,
    "nn.PixelShuffle": {"upscaleFactorSquared": lambda m: m.upscaleFactor ** 2},
    "nn.Profile": {"numFwds": 0, "numBwds": 0, "summedFwdTime": 0, "summedBwdTime": 0,
                   "module": lambda m: m.modules[0], "timer": lambda m: Record("torch.Timer", 1)},
    "nn.RReLU": _NOISE,
    "nn.ReLU": {"threshold": 0, "val": 0},
    "nn.SelectTable": _TABLE_IN,
    "nn.SoftPlus": {"threshold": 20},
    "nn.SparseLinear": {"gradInput": [], "sparseUpdate": 0, "weightDecay": 0},
    "nn.SpatialClassNLLCriterion": _CLASS_NLL,
    "nn.SpatialConvolutionLocal": {
        "oW": lambda m: m.weight.shape[1], "oH": lambda m: m.weight.shape[0]},
    "nn.SpatialDilatedMaxPooling": _INDICES,
    "nn.SpatialDropout": _NOISE,
    "nn.SpatialFullConvolution": {"ones": "tensor"},
    "nn.SpatialMaxPooling": _INDICES,
    "nn.SpatialUpSamplingNearest": {"inputSize": _zeros(4), "outputSize": _zeros(4)},
    "nn.TanhShrink": {"tanh": lambda m: _typed(m, sigmoid.Tanh())},
    "nn.VolumetricDilatedMaxPooling": _INDICES,
    "nn.VolumetricDropout": _NOISE,
    "nn.VolumetricFullConvolution": {"finput": "tensor", "fgradInput": "tensor", "ones": "tensor"},
    "nn.VolumetricMaxPooling": _INDICES,
    "nn.WhiteNoise": _NOISE,
    "nn.ZipTable": _TABLES,
    "nn.ZipTableOneToMany": {**_TABLES, "gradInputEl": "tensor"},
    "inn.ROIPooling": {**_PAIR, "indices": "tensor"},
    "nngraph.JustElement": _TABLE_IN,
    "nngraph.JustTable": {"output": []},
}

#: The versions of the formats that the newest classes write, where they are not 1.
VERSIONS = {"nn.BatchNormalization": 2, "nn.SpatialBatchNormalization": 2, "nn.GradientReversal": 2,
            "nn.LookupTable": 4, "nn.VolumetricMaxPooling": 2}
