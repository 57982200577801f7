"""Which class of Torch is which of nnmod's, and where their fields lie: one line each.

Classes whose fields need more than a line are in t7_special.py and t7_criterion.py.
"""
from .. import (
    activation, arithmetic, broadcast, classification_criterion, composite_criterion, container, convolution, criterion,
    decorator, distance, dropout, dynamic_pooling, embedding_criterion, full_convolution, gradient, graph_modules,
    indexing, layout, linear, local_convolution, local_normalization, lp_pooling, normalization, padding,
    plane_convolution, pointwise, pooling, product, reduction, resampling, reshape, routing, row_convolution, sampling,
    sigmoid, softmax, sparse, table)
from .t7_classes import Layout

#: name of the class in Torch -> its Layout
LAYOUTS = {}
#: class here -> its Layout, for writing
WRITERS = {}

_CONVOLUTION = "nInputPlane? nOutputPlane kW kH dW=1 dH=1 padW=0 padH=0 bias@has"
_VOLUMETRIC = "nInputPlane? nOutputPlane kT kW kH dT=1 dW=1 dH=1 padT=0 padW=0 padH=0 bias@has"
_POOLING = "kW kH dW dH padW=0 padH=0"
_VOLUMETRIC_POOLING = "kT kW kH dT dW dH padT=0 padW=0 padH=0"
_BATCH_NORMALIZATION = "nOutput@running_mean.0? eps momentum affine"
_REDUCTION = "dimension@dim=0 nInputDims@count=None"
_AVERAGE = "sizeAverage=True"
_WEIGHTED = "weights@array=None sizeAverage=True"


def _layouts(room, **lines):
    """Lines for the classes of one room: their names, here and in nn, are the same."""
    for name, line in lines.items():
        cls = getattr(room, name)
        add(Layout(f"nn.{name}", cls, line))


def add(made):
    """Enter a Layout in both tables."""
    LAYOUTS[made.name] = WRITERS[made.cls] = made


_layouts(
    activation, Threshold="th.threshold:threshold v.val:val ip.inplace:inplace=False", ReLU="inplace=False",
    ReLU6="inplace=False", LeakyReLU="negval=0.01 inplace=False", RReLU="l.lower:lower u.upper:upper inplace=False",
    ELU="alpha=1.0 inplace=False", HardTanh="min_value:min_val=-1.0 max_value:max_val=1.0 inplace=False",
    Clamp="min_value:min_val max_value:max_val", HardShrink="lam:lambda=0.5", SoftShrink="lam:lambda=0.5")
_layouts(
    arithmetic, CAddTable="inplace=False", CAddTensorTable="", CSubTable="", CMulTable="", CDivTable="", CMaxTable="",
    CMinTable="", MixtureTable="dim@dim=None")
_layouts(broadcast, Add="inputSize@bias.0 scalar=False", Mul="")
_layouts(
    classification_criterion, BCECriterion=_WEIGHTED, MultiLabelSoftMarginCriterion=_WEIGHTED,
    MarginCriterion="margin=1 sizeAverage=True", SoftMarginCriterion=_AVERAGE, DistKLDivCriterion=_AVERAGE,
    ClassNLLCriterion="weights@array=None sizeAverage=True ignoreIndex@dim=-100",
    SpatialClassNLLCriterion="weights@array=None sizeAverage=True ignoreIndex@dim=-100",
    MultiMarginCriterion="p=1 weights@array=None margin=1 sizeAverage=True", MultiLabelMarginCriterion=_AVERAGE,
    ClassSimplexCriterion="nClasses@simplex.0 sizeAverage=True")
_layouts(
    composite_criterion,
    ModuleCriterion="criterion@child inputModule@child=None targetModule@child=None castTarget=True")
_layouts(
    convolution, SpatialConvolution=_CONVOLUTION + " groups=1", SpatialConvolutionMM=_CONVOLUTION,
    SpatialDilatedConvolution=_CONVOLUTION + " dilationW=1 dilationH=1",
    VolumetricConvolution=_VOLUMETRIC + " groups=1",
    VolumetricDilatedConvolution=_VOLUMETRIC + " dilationT=1 dilationW=1 dilationH=1",
    TemporalConvolution="inputFrameSize? outputFrameSize kW dW=1 bias@has")
_layouts(
    criterion, AbsCriterion=_AVERAGE, MSECriterion=_AVERAGE, SmoothL1Criterion=_AVERAGE, L1Cost="",
    SpatialAutoCropMSECriterion=_AVERAGE)
add(Layout("nn.WeightedMSECriterion", criterion.WeightedMSECriterion, "w.weights:weight@array sizeAverage=True",
           tensors={"weights": "weight"}))
_layouts(
    decorator, Decorator="module@only", Bottle="module@only nInputDim=2 nOutputDim=None",
    NaN="module@only id@text=None", Profile="module@only print_interval=100 name@text=None",
    GPU="module@only device@dim outdevice@dim=None")
_layouts(
    distance, Euclidean="inputSize@weight.0? outputSize@weight.1", Cosine="inputSize@weight.1? outputSize@weight.0",
    WeightedEuclidean="inputSize@weight.0? outputSize@weight.1", Kmeans="k@weight.0 dim@weight.1 scale=None")
_layouts(
    dropout, SpatialDropout="p=0.5 stochasticInference:stochastic_inference=False",
    VolumetricDropout="p=0.5 stochasticInference:stochastic_inference=False", WhiteNoise="mean=0.0 std=0.1")
_layouts(
    dynamic_pooling, SpatialAdaptiveMaxPooling="W H", SpatialAdaptiveAveragePooling="W H",
    TemporalDynamicKMaxPooling="minK factor=0")
_layouts(
    embedding_criterion, HingeEmbeddingCriterion="margin=1 sizeAverage=True", L1HingeEmbeddingCriterion="margin=1",
    CosineEmbeddingCriterion="margin=0 sizeAverage=True", MarginRankingCriterion="margin=1 sizeAverage=True",
    DistanceRatioCriterion=_AVERAGE)
_layouts(
    full_convolution, SpatialFullConvolution="nInputPlane? nOutputPlane kW kH dW=1 dH=1 padW=0 padH=0 "
    "adjW=0 adjH=0 bias@has",
    VolumetricFullConvolution="nInputPlane? nOutputPlane kT kW kH dT=1 dW=1 dH=1 padT=0 padW=0 padH=0 "
    "adjT=0 adjW=0 adjH=0 bias@has")
_layouts(gradient, L1Penalty="l1weight sizeAverage=False provideOutput=True", GradientReversal="lambda_:lambda=1.0",
         TotalVariation="strength", ZeroGrad="")
_layouts(graph_modules, ModuleFromCriterion="criterion@child")
for _name in ("JustElement", "JustTable"):
    add(Layout(f"nngraph.{_name}", getattr(graph_modules, _name)))
_layouts(
    indexing, Select="dimension@dim index@dim", Narrow="dimension@dim offset:index@dim length=1",
    Replicate="nf:nfeatures dim@dim=0 ndim@count=None", Index="dimension@dim", MaskedSelect="", OneHot="outputSize")
_layouts(layout, Convert="inputShape@text outputShape@text")
_layouts(
    linear, Linear="inputSize@weight.1? outputSize@weight.0 bias@has",
    LinearNoBias="inputSize@weight.1? outputSize@weight.0",
    Bilinear="inputSize1@weight.1 inputSize2@weight.2 outputSize@weight.0 bias@has")
_layouts(local_convolution, SpatialConvolutionLocal="nInputPlane? nOutputPlane iW iH kW kH dW=1 dH=1 padW=0 padH=0 "
         "bias@has")
_layouts(local_normalization, SpatialCrossMapLRN="size alpha=1e-4 beta=0.75 k=1.0")
_layouts(lp_pooling, FeatureLPPooling="width stride power batch_mode")
_layouts(
    normalization, BatchNormalization=_BATCH_NORMALIZATION, SpatialBatchNormalization=_BATCH_NORMALIZATION,
    VolumetricBatchNormalization=_BATCH_NORMALIZATION, Normalize="p eps=1e-10")
_layouts(
    padding, Padding="dim@dim pad nInputDim@count=None value=0 index@dim=0",
    SpatialZeroPadding="pad_l pad_r pad_t pad_b", SpatialReflectionPadding="pad_l pad_r pad_t pad_b",
    SpatialReplicationPadding="pad_l pad_r pad_t pad_b", SpatialSymmetricPadding="pad_l pad_r pad_t pad_b",
    ShaveImage="size",
    VolumetricReplicationPadding="pleft pright ptop pbottom pfront pback")
_layouts(plane_convolution, SpatialSubSampling="nInputPlane@weight.0 kW kH dW=1 dH=1 bias@has")
_layouts(pointwise, Abs="", Power="p.pow:pow", Square="", Sqrt="b.eps:eps=0.0", Exp="", Log="")
_layouts(
    pooling, SpatialMaxPooling=_POOLING + " ceilMode:ceil_mode=False",
    SpatialDilatedMaxPooling=_POOLING + " dilationW=1 dilationH=1 ceilMode:ceil_mode=False",
    VolumetricMaxPooling=_VOLUMETRIC_POOLING + " ceilMode:ceil_mode=False",
    VolumetricDilatedMaxPooling=_VOLUMETRIC_POOLING + " dilationT=1 dilationW=1 dilationH=1 "
    "ceilMode:ceil_mode=False",
    SpatialAveragePooling=_POOLING + " ceilMode:ceil_mode=False countIncludePad:count_include_pad=True divide=True",
    VolumetricAveragePooling="kT kW kH dT dW dH", TemporalMaxPooling="kW dW",
    SpatialMaxUnpooling="poolingModule.pooling:pooling@link",
    VolumetricMaxUnpooling="poolingModule.pooling:pooling@link")
_layouts(product, MM="transA=False transB=False", MV="trans=False", DotProduct="", CosineDistance="",
         PairwiseDistance="p:norm=2")
_layouts(reduction, Sum=_REDUCTION + " sizeAverage=False squeeze=True", Mean=_REDUCTION, Max=_REDUCTION,
         Min=_REDUCTION)
_layouts(resampling, SpatialUpSamplingNearest="scale:scale_factor", PixelShuffle="upscaleFactor")
_layouts(
    reshape, Identity="", Contiguous="", Squeeze="dim@dim=None numInputDims@count=None",
    Unsqueeze="pos@dim numInputDims@count=None", Collapse="nInputDim", PrintSize="prefix@text=''")
_layouts(routing, SelectTable="index@key", NarrowTable="offset@dim length=1", FlattenTable="", ZipTable="",
         ZipTableOneToMany="")
_layouts(row_convolution, TemporalRowConvolution="inputFrameSize@weight.0 kW@weight.2 dW=1 featFirst=False bias@has",
         TemporalSubSampling="inputFrameSize@weight.0 kW dW=1 bias@has")
_layouts(sampling, AffineGridGeneratorBHWD="height width", BilinearSamplerBHWD="")
add(Layout("inn.ROIPooling", sampling.ROIPooling, "W H spatial_scale=1 v2=False"))
_layouts(sigmoid, Sigmoid="", LogSigmoid="", SoftPlus="beta=1.0", SoftSign="", Tanh="", TanhShrink="")
_layouts(softmax, SoftMax="", SoftMin="", LogSoftMax="", SpatialSoftMax="", SpatialLogSoftMax="")
_layouts(sparse, SparseLinear="inputSize@weight.1 outputSize@weight.0 doGradInput=False")
_layouts(table, JoinTable="dimension@dim nInputDims@count=None", SplitTable="dimension@dim nInputDims@count=None",
         CriterionTable="criterion@child")

for _name, _line in {"Sequential": "", "Container": "", "Concat": "dimension@dim", "DepthConcat": "dimension@dim",
                     "Parallel": "inputDimension@dim outputDimension@dim"}.items():
    add(Layout(f"nn.{_name}", getattr(container, _name), _line, children=True))
for _name in ("ConcatTable", "ParallelTable"):
    add(Layout(f"nn.{_name}", getattr(table, _name), children=True))

#: Classes of cudnn.torch and others that stand for twins in nn.
TWINS = {
    **{f"cudnn.{name}": f"nn.{name}" for name in (
        "SpatialConvolution", "VolumetricConvolution", "SpatialFullConvolution", "VolumetricFullConvolution",
        "SpatialDilatedConvolution", "ReLU", "Tanh", "Sigmoid", "SoftMax", "LogSoftMax", "SpatialSoftMax",
        "SpatialLogSoftMax", "SpatialMaxPooling", "SpatialAveragePooling", "VolumetricMaxPooling",
        "VolumetricAveragePooling", "SpatialBatchNormalization", "BatchNormalization",
        "VolumetricBatchNormalization", "SpatialCrossMapLRN", "TemporalConvolution", "VolumetricDilatedConvolution")},
    "cudnn.ClippedReLU": "nn.HardTanh",
    # Of imagine-nn; its pooling always rounds up: see t7_upgrades.py.
    "inn.SpatialMaxPooling": "nn.SpatialMaxPooling",
    "inn.SpatialAveragePooling": "nn.SpatialAveragePooling",
    "inn.SpatialCrossResponseNormalization": "nn.SpatialCrossMapLRN",
    "inn.SpatialSameResponseNormalization": "nn.Sequential",
    # Of other packages.
    "nn.Dictionary": "nn.LookupTable",
    "stn.AffineGridGeneratorBHWD": "nn.AffineGridGeneratorBHWD",
    "stn.BilinearSamplerBHWD": "nn.BilinearSamplerBHWD",
    "OneHot": "nn.OneHot",  # of char-rnn
}
