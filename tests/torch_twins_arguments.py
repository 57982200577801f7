"""More of PyTorch's twins: arguments that torch_twins.py leaves alone, drawn at random.

Options that change shapes and meanings (ceil mode, in place, affine, running statistics, dimensions
counted from the end or after a batch, norms, thresholds, weights), for the classes that have them.
"""
import numpy as np

import nnmod
from torch_twins import Twin, ctc, gru, lstm, shape


def _bool(r):
    return bool(r.integers(2))


def _int(r, low, high):
    return int(r.integers(low, high))


def _in_place(make, uniform=None):
    """An elementwise module that may overwrite its input."""
    def draw(r):
        module = make(r, _bool(r))
        s = shape(r, _int(r, 1, 5), 7)
        return module, r.standard_normal(s) if uniform is None else r.uniform(*uniform, s)
    return draw


def _soft(cls):
    """(C,), (N, C), (C, H, W) or (N, C, H, W)."""
    return lambda r: (cls(), 3 * r.standard_normal(shape(r, _int(r, 1, 5), 7)))


def _classes_at(x):
    return 0 if x.ndim in (1, 3) else 1


def _normalization(cls, sides):
    """With or without affine parameters, in training or with running statistics."""
    def draw(r):
        C = _int(r, 1, 6)
        module = cls(C, float(r.uniform(1e-6, 0.1)), float(r.uniform(0.05, 0.9)), _bool(r))
        module.running_mean[...], module.running_var[...] = r.standard_normal(C), r.uniform(0.5, 2, C)
        if not r.integers(3):
            module.evaluate()
        return module, 2 + 3 * r.standard_normal((_int(r, 2, 6), C, *shape(r, sides, 6)))
    return draw


def _batch_norm(F, m, x):
    mean, variance = (getattr(m, name).clone() for name in ("running_mean", "running_var"))
    weight, bias = (getattr(m, name) if getattr(m, name) is not None else None for name in ("weight", "bias"))
    return F.batch_norm(x, mean, variance, weight, bias, m.train, m.momentum, m.eps)


def _after_batch(r, ndim):
    """A dimension of one example of *ndim* dimensions, and nInputDims where there may be a batch; the axis it is."""
    if r.integers(2):
        dim = _int(r, -ndim, ndim)
        return dim, None, dim
    dim = _int(r, 0, ndim - 1)
    return dim, ndim - 1, dim + 1  # the input has a batch in front


def _reduced(cls, *more):
    def draw(r):
        ndim = _int(r, 2, 5)
        dim, nInputDims, axis = _after_batch(r, ndim)
        module = cls(dim, nInputDims, *[_bool(r) for _ in more])
        module.axisInTorch = axis
        return module, r.standard_normal(shape(r, ndim, 6))
    return draw


def _sum(F, m, x):
    return (x.mean if m.sizeAverage else x.sum)(m.axisInTorch, keepdim=not m.squeeze)


def _extreme(name):
    return lambda F, m, x: getattr(x, name)(m.axisInTorch)[0]


def _pool(cls, sides, high, *options):
    """Windows at least as large as their steps in ceil mode, where the two libraries agree on the last one."""
    def draw(r):
        kernel = [_int(r, 1, 5) for _ in range(sides)]
        stride = [_int(r, 1, k + 1) for k in kernel]
        words = {}
        letters = "TWH"[-sides:] if sides == 3 else "WH"
        if "pad" in options:
            words |= {f"pad{s}": _int(r, 0, k // 2 + 1) for s, k in zip(letters, kernel)}
        if "dilation" in options:
            words |= {f"dilation{s}": _int(r, 1, 3) for s in letters}
        for option in ("ceilMode", "countIncludePad", "divide"):
            if option in options:
                words[option] = _bool(r)
        module = cls(*kernel, *stride, **words)
        batch = shape(r, _int(r, 1, 3), 4)
        return module, r.standard_normal((*batch, *(_int(r, 11, high) for _ in range(sides))))
    return draw


def _geometry(m, sides):
    letters = "THW" if sides == 3 else "HW"
    return [tuple(getattr(m, prefix + s) for s in letters) for prefix in ("k", "d", "pad")]


def _average(F, m, x):
    kernel, stride, pad = _geometry(m, 2)
    if m.divide:
        return F.avg_pool2d(x, kernel, stride, pad, m.ceilMode, m.countIncludePad)
    return F.avg_pool2d(x, kernel, stride, pad, m.ceilMode, divisor_override=1)


def _broadcast(cls):
    """A parameter with size 1 in random dimensions of the example, or in front of it."""
    def draw(r):
        s = shape(r, 4, 5)
        size = [n if r.integers(2) else 1 for n in s[1:]]
        return cls(1, *size), r.standard_normal(s)
    return draw


def _embedding(r):
    rows, columns = _int(r, 2, 20), _int(r, 1, 9)
    table = nnmod.LookupTable(rows, columns, None, float(r.uniform(0.2, 3)), [1.0, 2.0, 3.0][_int(r, 0, 3)])
    return table, r.integers(0, rows, shape(r, _int(r, 1, 4), 5))


def _looked_up(F, m, x):
    # In place, as nnmod does: weight is the same tensor in both for the comparison of gradients.
    weight = m.weight.detach().clone()
    F.embedding(x, weight, max_norm=m.maxNorm, norm_type=m.normType)  # changes weight
    return F.embedding(x, m.weight) * 0 + F.embedding(x, m.weight - (m.weight - weight).detach())


def _weight_norm(r):
    C, O, k = _int(r, 1, 4), _int(r, 1, 5), _int(r, 1, 4)
    inner = nnmod.SpatialConvolution(C, O, k, k, bias=False)
    return nnmod.WeightNorm(inner, [0, 1, -3][_int(r, 0, 3)]), r.standard_normal((2, C, 5, 6))


def _weight_normed(F, m, x):
    rows = m.g * m.v / (m.v.square().sum(1, keepdim=True) + 1e-4).sqrt()
    O, C, *window = m.modules[0].weight.shape
    if m.outputDim % 4 == 0:
        weight = rows.reshape(O, C, *window)
    else:  # a row of v is a plane of the input
        weight = rows.reshape(C, O, *window).transpose(0, 1)
    return F.conv2d(x, weight)


def _padded(r):
    ndim = _int(r, 2, 5)
    dim, nInputDims, axis = _after_batch(r, ndim)
    s = shape(r, ndim, 6)
    module = nnmod.Padding(dim, [-3, -1, 1, 2][_int(r, 0, 4)], nInputDims, float(r.normal()), _int(r, 0, s[axis] + 1))
    module.axisInTorch = axis
    return module, r.standard_normal(s)


def _with_slices(F, m, x):
    axis, size = m.axisInTorch, x.shape[m.axisInTorch]
    place = size - m.index if m.pad > 0 else m.index
    before, after = x.split([place, size - place], axis)
    rows = list(x.shape)
    rows[axis] = abs(m.pad)
    return F.torch.cat([before, x.new_full(rows, m.value), after], axis)


def _split_or_join(r, make):
    ndim = _int(r, 2, 5)
    dim, nInputDims, axis = _after_batch(r, ndim)
    module = make(dim, nInputDims)
    module.axisInTorch = axis
    return module, shape(r, ndim, 5), axis


def _joined(r):
    module, s, axis = _split_or_join(r, nnmod.JoinTable)
    axis %= len(s)
    return module, [r.standard_normal((*s[:axis], _int(r, 1, 5), *s[axis + 1:])) for _ in range(_int(r, 1, 5))]


def _unbound(r):
    module, s, _ = _split_or_join(r, nnmod.SplitTable)
    return module, r.standard_normal(s)


def _unbatched(make, *shapes):
    """One example without its batch."""
    return lambda r: (make(r), r.standard_normal(shapes[_int(r, 0, len(shapes))]))


def _lrn(r):
    return (nnmod.SpatialCrossMapLRN([1, 3, 5, 7][_int(r, 0, 4)], float(r.uniform(0.01, 2)), float(r.uniform(0.3, 1.5)),
                                     float(r.uniform(0.5, 3))), r.standard_normal((_int(r, 1, 4), _int(r, 1, 9), 3, 4)))


def _lrn_twin(F, m, x):
    return F.local_response_norm(x, m.size, m.alpha, m.beta, m.k)


def _ctc_case(r):
    T, N, C, S = _int(r, 9, 20), _int(r, 1, 5), _int(r, 3, 7), 4
    blank = _int(r, 0, C)
    x = r.standard_normal((T, N, C))
    x -= np.log(np.exp(x).sum(-1, keepdims=True))
    labels = r.integers(0, C - 1, (N, S))
    labels += labels >= blank  # any class but the blank
    return (nnmod.CTCCriterion(blank, _bool(r)), x, [labels, r.integers(2 * S + 1, T + 1, N), r.integers(0, S + 1, N)])


def _sequence(cls):
    def draw(r):
        a, h, batchfirst = _int(r, 1, 9), _int(r, 1, 9), _bool(r)
        return cls(a, h, batchfirst=batchfirst), r.standard_normal((_int(r, 1, 6), _int(r, 1, 6), a))
    return draw


def _time_first(m, x):
    return x.transpose(0, 1) if m.batchfirst else x


def _bias_or_none(F, m, x):
    return F.conv2d(x, m.weight.reshape(m.nOutputPlane, m.nInputPlane, m.kH, m.kW), m.bias, (m.dH, m.dW),
                    (m.padH, m.padW))


def _subsampled(F, m, x):
    y = F.avg_pool2d(x, (m.kH, m.kW), (m.dH, m.dW), divisor_override=1) * m.weight[:, None, None]
    return y if m.bias is None else y + m.bias[:, None, None]


def _squeezed(r):
    s = [n if r.integers(2) else 1 for n in shape(r, 4, 5)]
    s[_int(r, 1, 4)] = 1
    dim = [None, [i for i, n in enumerate(s) if n == 1][0]][_int(r, 0, 2)]
    s = [2, 3, 2, 3] if dim is None and set(s) == {1} else s
    return nnmod.Squeeze(dim), r.standard_normal(s)


MORE_TWINS = [
    # in place or not, any shape, every number
    Twin("Threshold-arguments", _in_place(lambda r, ip: nnmod.Threshold(th := float(r.normal()), th - 1, ip)),
         lambda F, m, x: F.threshold(x, m.threshold, m.val)),
    Twin("ReLU-arguments", _in_place(lambda r, ip: nnmod.ReLU(ip)), lambda F, m, x: F.relu(x)),
    Twin("ReLU6-arguments", _in_place(lambda r, ip: nnmod.ReLU6(ip), (-3, 9)), lambda F, m, x: F.relu6(x)),
    Twin("LeakyReLU-arguments", _in_place(lambda r, ip: nnmod.LeakyReLU(float(r.uniform(0, 1)), ip)),
         lambda F, m, x: F.leaky_relu(x, m.negval)),
    Twin("ELU-arguments", _in_place(lambda r, ip: nnmod.ELU(float(r.uniform(0.1, 3)), ip)),
         lambda F, m, x: F.elu(x, m.alpha)),
    Twin("HardTanh-arguments",
         _in_place(lambda r, ip: nnmod.HardTanh(low := float(r.uniform(-1, 0.5)), low + float(r.uniform(0.1, 2)), ip)),
         lambda F, m, x: F.hardtanh(x, m.min_value, m.max_value)),
    Twin("RReLU-arguments", _in_place(lambda r, ip: nnmod.RReLU(low := float(r.uniform(0, 0.3)),
                                                                low + float(r.uniform(0, 0.5)), ip).evaluate()),
         lambda F, m, x: F.rrelu(x, m.lower, m.upper, False)),
    Twin("AddConstant-arguments", _in_place(lambda r, ip: nnmod.AddConstant(float(r.normal()), ip)),
         lambda F, m, x: x + m.constant_scalar),
    Twin("MulConstant-arguments", _in_place(lambda r, ip: nnmod.MulConstant(float(r.normal()), ip)),
         lambda F, m, x: x * m.constant_scalar),
    Twin("Sqrt-arguments", _in_place(lambda r, ip: nnmod.Sqrt(float(r.uniform(0, 2))), (0.1, 3)),
         lambda F, m, x: (x + m.eps).sqrt()),
    Twin("SoftPlus-arguments", _in_place(lambda r, ip: nnmod.SoftPlus(float(r.uniform(0.2, 5))), (-30, 30)),
         lambda F, m, x: F.softplus(x, m.beta)),
    Twin("PReLU-arguments",
         lambda r: (nnmod.PReLU([0, 3][_int(r, 0, 2)]),
                    r.standard_normal([(4, 3), (2, 3, 4), (2, 3, 4, 2)][_int(r, 0, 3)])),
         lambda F, m, x: F.prelu(x, m.weight)),
    Twin("GatedLinearUnit-arguments",
         lambda r: (nnmod.GatedLinearUnit(d := _int(r, -3, 3)),
                    r.standard_normal([2 * n if i == d % 3 else n for i, n in enumerate(shape(r, 3, 5))])),
         lambda F, m, x: F.glu(x, m.dim)),
    # over classes: one example or a batch, of rows or images
    Twin("SoftMax-arguments", _soft(nnmod.SoftMax), lambda F, m, x: F.softmax(x, _classes_at(x))),
    Twin("SoftMin-arguments", _soft(nnmod.SoftMin), lambda F, m, x: F.softmin(x, _classes_at(x))),
    Twin("LogSoftMax-arguments", _soft(nnmod.LogSoftMax), lambda F, m, x: F.log_softmax(x, _classes_at(x))),
    Twin("SpatialSoftMax-arguments", lambda r: (nnmod.SpatialSoftMax(), 3 * r.standard_normal(shape(r, _int(r, 3, 5), 7))),
         lambda F, m, x: F.softmax(x, x.ndim - 3)),
    Twin("SpatialLogSoftMax-arguments",
         lambda r: (nnmod.SpatialLogSoftMax(), 3 * r.standard_normal(shape(r, _int(r, 3, 5), 7))),
         lambda F, m, x: F.log_softmax(x, x.ndim - 3)),
    # normalisation: eps, momentum, affine, training or not
    Twin("BatchNormalization-arguments", _normalization(nnmod.BatchNormalization, 0), _batch_norm),
    Twin("SpatialBatchNormalization-arguments", _normalization(nnmod.SpatialBatchNormalization, 2), _batch_norm),
    Twin("VolumetricBatchNormalization-arguments", _normalization(nnmod.VolumetricBatchNormalization, 3), _batch_norm),
    Twin("InstanceNormalization-arguments",
         lambda r: (nnmod.InstanceNormalization(C := _int(r, 1, 5), float(r.uniform(1e-6, 0.1)), _bool(r)),
                    r.standard_normal((_int(r, 1, 4), C, _int(r, 2, 6), _int(r, 2, 6)))),
         lambda F, m, x: F.instance_norm(x, None, None, m.weight, m.bias, True, 0, m.eps)),
    Twin("LayerNormalization-arguments",
         lambda r: (nnmod.LayerNormalization(n := _int(r, 2, 12), None, n * float(r.uniform(1e-6, 0.1)), _bool(r)),
                    r.standard_normal((_int(r, 1, 5), n))),
         lambda F, m, x: F.layer_norm(x, (m.nOutput,), m.weight, m.bias, m.eps / m.nOutput)),
    Twin("Normalize-arguments",
         lambda r: (nnmod.Normalize([1, 2, 3.5, np.inf][_int(r, 0, 4)], 0), r.standard_normal(shape(r, _int(r, 1, 3), 9))),
         lambda F, m, x: F.normalize(x, m.p, -1)),
    Twin("SpatialCrossMapLRN-arguments", _lrn, _lrn_twin),
    # dimensions, from the end or after a batch
    Twin("Sum-arguments", _reduced(nnmod.Sum, "sizeAverage", "squeeze"), _sum),
    Twin("Mean-arguments", _reduced(nnmod.Mean), lambda F, m, x: x.mean(m.axisInTorch)),
    Twin("Max-arguments", _reduced(nnmod.Max), _extreme("max")),
    Twin("Min-arguments", _reduced(nnmod.Min), _extreme("min")),
    Twin("JoinTable-arguments", _joined, lambda F, m, *x: F.torch.cat(x, m.axisInTorch)),
    Twin("SplitTable-arguments", _unbound, lambda F, m, x: list(x.unbind(m.axisInTorch))),
    Twin("Padding-arguments", _padded, _with_slices),
    Twin("Squeeze-arguments", _squeezed, lambda F, m, x: x.squeeze() if m.dim is None else x.squeeze(m.dim)),
    Twin("Narrow-arguments",
         lambda r: ((lambda s, d: (nnmod.Narrow(d, o := _int(r, 0, s[d]), _int(r, 1, s[d] - o + 1)), r.standard_normal(s)))(
             shape(r, 3, 7), _int(r, -3, 3))),
         lambda F, m, x: x.narrow(m.dimension, m.offset, m.length)),
    Twin("Select-arguments",
         lambda r: ((lambda s, d: (nnmod.Select(d, _int(r, -s[d], s[d])), r.standard_normal(s)))(
             shape(r, _int(r, 2, 5), 5), _int(r, -2, 2))),
         lambda F, m, x: x.select(m.dimension, m.index)),
    Twin("MixtureTable-arguments",
         lambda r: (nnmod.MixtureTable(), (lambda n, e, f: [r.standard_normal((n, e)), [
             r.standard_normal((n, f)) for _ in range(e)]])(*shape(r, 3, 6))),
         lambda F, m, gate, x: (gate[:, :, None] * F.torch.stack(x, 1)).sum(1)),
    # pooling: ceil mode, padding that counts or not, one image or many
    Twin("SpatialMaxPooling-arguments", _pool(nnmod.SpatialMaxPooling, 2, 20, "pad", "ceilMode"),
         lambda F, m, x: F.max_pool2d(x, *_geometry(m, 2), 1, m.ceilMode)),
    Twin("SpatialDilatedMaxPooling-arguments", _pool(nnmod.SpatialDilatedMaxPooling, 2, 20, "pad", "dilation", "ceilMode"),
         lambda F, m, x: F.max_pool2d(x, *_geometry(m, 2), (m.dilationH, m.dilationW), m.ceilMode)),
    Twin("SpatialAveragePooling-arguments",
         _pool(nnmod.SpatialAveragePooling, 2, 20, "pad", "ceilMode", "countIncludePad", "divide"), _average),
    Twin("VolumetricMaxPooling-arguments", _pool(nnmod.VolumetricMaxPooling, 3, 14, "pad", "ceilMode"),
         lambda F, m, x: F.max_pool3d(x, *_geometry(m, 3), 1, m.ceilMode)),
    Twin("VolumetricDilatedMaxPooling-arguments",
         _pool(nnmod.VolumetricDilatedMaxPooling, 3, 14, "pad", "dilation", "ceilMode"),
         lambda F, m, x: F.max_pool3d(x, *_geometry(m, 3), (m.dilationT, m.dilationH, m.dilationW), m.ceilMode)),
    Twin("SpatialAdaptiveMaxPooling-arguments",
         lambda r: (nnmod.SpatialAdaptiveMaxPooling(_int(r, 1, 9), _int(r, 1, 9)),
                    r.standard_normal((*shape(r, _int(r, 1, 3), 4), *shape(r, 2, 20)))),
         lambda F, m, x: F.adaptive_max_pool2d(x, (m.H, m.W))),
    Twin("SpatialAdaptiveAveragePooling-arguments",
         lambda r: (nnmod.SpatialAdaptiveAveragePooling(_int(r, 1, 9), _int(r, 1, 9)),
                    r.standard_normal((*shape(r, _int(r, 1, 3), 4), *shape(r, 2, 20)))),
         lambda F, m, x: F.adaptive_avg_pool2d(x, (m.H, m.W))),
    # parameters of other shapes, biases that are not there
    Twin("CAdd-arguments", _broadcast(nnmod.CAdd), lambda F, m, x: x + m.bias),
    Twin("CMul-arguments", _broadcast(nnmod.CMul), lambda F, m, x: x * m.weight),
    Twin("Add-arguments", lambda r: (nnmod.Add(a := _int(r, 1, 9), True), r.standard_normal((3, a))),
         lambda F, m, x: x + m.bias),
    Twin("LookupTable-arguments", _embedding, _looked_up),
    Twin("WeightNorm-arguments", _weight_norm, _weight_normed),
    Twin("SpatialConvolutionMM-arguments",
         lambda r: (nnmod.SpatialConvolutionMM(a := _int(r, 1, 5), _int(r, 1, 6), *(_int(r, 1, 4) for _ in range(4)),
                                               _int(r, 0, 3), _int(r, 0, 3), bias=_bool(r)),
                    r.standard_normal((_int(r, 1, 4), a, _int(r, 4, 9), _int(r, 4, 9)))), _bias_or_none),
    Twin("SpatialSubSampling-arguments",
         lambda r: (nnmod.SpatialSubSampling(a := _int(r, 1, 6), *(_int(r, 1, 4) for _ in range(4)), bias=_bool(r)),
                    r.standard_normal((2, a, _int(r, 4, 9), _int(r, 4, 9)))), _subsampled),
    # one example without its batch
    Twin("Linear-arguments", _unbatched(lambda r: nnmod.Linear(7, _int(r, 1, 9), _bool(r)), (7,)),
         lambda F, m, x: F.linear(x, m.weight, m.bias)),
    Twin("SpatialConvolution-arguments",
         _unbatched(lambda r: nnmod.SpatialConvolution(4, 2 * _int(r, 1, 4), *(_int(r, 1, 4) for _ in range(4)),
                                                       _int(r, 0, 3), _int(r, 0, 3), _bool(r), [1, 2][_int(r, 0, 2)]),
                    (4, 6, 5), (4, 9, 8)),
         lambda F, m, x: F.conv2d(x, m.weight, m.bias, (m.dH, m.dW), (m.padH, m.padW), groups=m.groups)),
    Twin("VolumetricConvolution-arguments",
         _unbatched(lambda r: nnmod.VolumetricConvolution(2, _int(r, 1, 4), *(_int(r, 1, 4) for _ in range(6)),
                                                          *(_int(r, 0, 3) for _ in range(3)), _bool(r)),
                    (2, 4, 6, 5), (2, 5, 9, 8)),
         lambda F, m, x: F.conv3d(x, m.weight, m.bias, (m.dT, m.dH, m.dW), (m.padT, m.padH, m.padW))),
    Twin("TemporalConvolution-arguments",
         _unbatched(lambda r: nnmod.TemporalConvolution(4, _int(r, 1, 6), _int(r, 1, 4), _int(r, 1, 4), _bool(r)),
                    (7, 4), (12, 4)),
         lambda F, m, x: F.conv1d(x.t(), m.weight.reshape(m.outputFrameSize, m.kW, m.inputFrameSize).transpose(1, 2),
                                  m.bias, m.dW).t()),
    # sequences, batch first or not; any class as the blank
    Twin("SeqLSTM-arguments", _sequence(nnmod.SeqLSTM),
         lambda F, m, x: _time_first(m, lstm(F, _time_first(m, x), m.weight, m.bias, m.inputsize, m.hiddensize))),
    Twin("SeqGRU-arguments", _sequence(nnmod.SeqGRU),
         lambda F, m, x: _time_first(m, gru(F, _time_first(m, x), m.weight, m.bias, m.inputsize, m.outputsize))),
    Twin("CTCCriterion-arguments", _ctc_case, ctc),
]
