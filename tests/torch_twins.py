"""What PyTorch computes for the classes that it has as well: one entry a class.

Read by test_against_torch.py, which compares numbers over random arguments, and by
benchmarks/modules.py, which compares times at three sizes.
"""
from dataclasses import dataclass
from typing import Callable

import numpy as np

import nnmod


@dataclass(frozen=True)
class Twin:
    """A module (or criterion) of nnmod and the same in PyTorch."""

    id: str
    #: function(rng) -> (module, input) with random constructor arguments and a random float64 input
    #: (a list for a table); a criterion returns (criterion, input, target).
    draw: Callable
    #: function(F, m, *input) -> output, written with torch.nn.functional as F; m.weight and the other
    #: parameters are torch tensors, m.kW and the like what the module has.  (F, m, input, target) for a criterion.
    torch: Callable
    #: Three functions like draw: a small, a medium and a large case for the benchmark.
    sizes: tuple = ()


def sized(make, *shapes):
    """The three cases of a module that differ in the shape of the input alone."""
    return tuple(lambda rng, shape=shape: (make(shape), rng.standard_normal(shape)) for shape in shapes)


def _planes(make, *shapes):
    """The three cases of a module that is made from the channels of its input."""
    return sized(lambda shape: make(shape[1]), *shapes)


def _numbers(r, low, high, count=1):
    """*count* random ints, or one."""
    values = [int(v) for v in r.integers(low, high, count)]
    return values if count > 1 else values[0]


def _conv(cls, rank):
    """Random arguments of a convolution of planes, in Torch's order, and an input that they fit."""
    def draw(r):
        groups = _numbers(r, 1, 4)
        C, O = (groups * n for n in _numbers(r, 1, 5, 2))
        kernel, stride, pad = (_numbers(r, low, high, rank) for low, high in ((1, 4), (1, 4), (0, 3)))
        module = cls(C, O, *kernel, *stride, *pad, bias=bool(r.integers(2)), groups=groups)
        return module, r.standard_normal((_numbers(r, 1, 4), C, *_numbers(r, 4, 9, rank)))
    return draw


def _dilated(cls, rank):
    def draw(r):
        C, O = _numbers(r, 1, 5, 2)
        kernel, stride, pad, dilation = (_numbers(r, low, high, rank) for low, high in ((1, 4), (1, 3), (0, 3), (1, 4)))
        return (cls(C, O, *kernel, *stride, *pad, *dilation, bias=bool(r.integers(2))),
                r.standard_normal((2, C, *_numbers(r, 7, 11, rank))))
    return draw


def _full(cls, rank):
    def draw(r):
        C, O = _numbers(r, 1, 6, 2)
        kernel, stride = _numbers(r, 2, 5, rank), _numbers(r, 1, 4, rank)
        pad, adj = [_numbers(r, 0, k) for k in kernel], [_numbers(r, 0, d) for d in stride]
        return (cls(C, O, *kernel, *stride, *pad, *adj, bias=bool(r.integers(2))),
                r.standard_normal((2, C, *_numbers(r, 4, 6, rank))))
    return draw


def _transposed_conv2d(F, m, x, reference=None):
    numbers = (m.dH, m.dW), (m.padH, m.padW)
    if reference is None:
        return F.conv_transpose2d(x, m.weight, m.bias, *numbers, (m.adjH, m.adjW))
    least = F.conv_transpose2d(x, m.weight, None, *numbers).shape[2:]
    adj = tuple(n - low for n, low in zip(reference.shape[2:], least))
    return F.conv_transpose2d(x, m.weight, m.bias, *numbers, adj) + 0 * reference.sum()


def _plane_weight(m):
    """The weight of a depthwise convolution as PyTorch has it: (nOutputPlane, 1, kH, kW)."""
    M, C = m.depthwiseMultiplier, m.nInputPlane
    return m.weight.reshape(M, C, 1, m.kH, m.kW).transpose(0, 1).reshape(M * C, 1, m.kH, m.kW)


def _map_weight(m):
    """The weight of a connection table as that of a convolution, zero where nothing is connected."""
    dense = m.weight.new_zeros((m.nOutputPlane, m.nInputPlane, m.kH, m.kW))
    planes = m.weight.new_tensor(m.connTable).long()
    return dense.index_put((planes[:, 1], planes[:, 0]), m.weight, accumulate=True)


def _connections(r):
    """Connections between random planes, the last of each connected."""
    C, O, K = _numbers(r, 1, 6), _numbers(r, 1, 6), _numbers(r, 0, 12)
    return np.array([(C - 1, O - 1)] + [(_numbers(r, 0, C), _numbers(r, 0, O)) for _ in range(K)])


def _mapped(cls):
    def draw(r):
        module = cls(_connections(r), *_numbers(r, 1, 4, 4), bias=bool(r.integers(2)))
        return module, r.standard_normal((2, module.nInputPlane, *_numbers(r, 4, 8, 2)))
    return draw


def _local(F, m, x):
    """Unfold what every place sees, and multiply it with that place's weights."""
    OH, OW, O = m.weight.shape[:3]
    seen = F.unfold(x, (m.kH, m.kW), padding=(m.padH, m.padW), stride=(m.dH, m.dW))
    y = (seen.permute(2, 0, 1) @ m.weight.reshape(OH * OW, O, -1).transpose(1, 2)).permute(1, 2, 0)
    y = y.reshape(x.shape[0], O, OH, OW)
    return y if m.bias is None else y + m.bias


def _temporal(F, m, x):
    w = m.weight.reshape(m.outputFrameSize, m.kW, m.inputFrameSize).transpose(1, 2)
    return F.conv1d(x.transpose(1, 2), w, m.bias, m.dW).transpose(1, 2)


def _rows(F, m, x):
    if m.featFirst:
        return F.conv1d(x, m.weight, m.bias, m.dW, groups=m.inputFrameSize)
    return F.conv1d(x.transpose(1, 2), m.weight, m.bias, m.dW, groups=m.inputFrameSize).transpose(1, 2)


#: Rows for classes that do the same at every element.
SIZES = (16, 64), (128, 1024), (512, 4096)
def _int(r, low, high):
    return int(r.integers(low, high))


def _table(r, rows, columns, *shape):
    return nnmod.LookupTable(rows, columns), r.integers(0, rows, shape)


def _embedding(r):
    rows = _int(r, 1, 20)
    padding = [None, _int(r, 0, rows)][_int(r, 0, 2)]
    table = nnmod.LookupTable(rows, _int(r, 1, 20), padding)
    if r.integers(2):
        table.scaleGradByFreq()
    return table, r.integers(0, rows, (_int(r, 1, 5), _int(r, 1, 9)))


def _index_linear(r, features, outputs, examples, each):
    sizes = r.integers(0, 2 * each + 1, examples)
    linear = nnmod.IndexLinear(features, outputs).reset()
    return linear, [r.integers(0, features, sizes.sum()), r.standard_normal(sizes.sum()), sizes]


def _sparse_linear(r, features, outputs, examples, each):
    pairs = np.stack([r.integers(0, features, (examples, each)).astype(float),
                      r.standard_normal((examples, each))], -1)
    return nnmod.SparseLinear(features, outputs), pairs


def _bilinear(r, first, second, outputs, examples, bias=True):
    return (nnmod.Bilinear(first, second, outputs, bias),
            [r.standard_normal((examples, first)), r.standard_normal((examples, second))])


def _part(r, inputs, outputs, part, examples):
    layer = nnmod.PartialLinear(inputs, outputs).setPartition(r.integers(0, outputs, part))
    return layer, r.standard_normal((examples, inputs))


def _unit_rows(x):
    return x / (x.norm(dim=-1, keepdim=True) + 1e-12)


def compared(make, target, *shapes):
    """The three cases of a criterion that differ in the shape of the input; target(rng, shape)."""
    return tuple(lambda rng, shape=shape: (make(shape), rng.standard_normal(shape), target(rng, shape))
                 for shape in shapes)


def paired(make, target, *shapes):
    """The same for a criterion of two tensors of that shape."""
    return tuple(lambda rng, shape=shape: (
        make(shape), [rng.standard_normal(shape), rng.standard_normal(shape)], target(rng, shape))
        for shape in shapes)


def _reduction(criterion):
    return "mean" if criterion.sizeAverage else "sum"


def _weights_of(torch_like, weights):
    """The criterion's weights (or None) as a torch tensor."""
    return None if weights is None else torch_like.new_tensor(weights)


def _some(rng, weights):
    return weights if rng.integers(2) else None


def _signs(rng, shape):
    return rng.choice([-1.0, 1.0], shape)


def _classes(rng, shape):
    return rng.integers(0, shape[1], (shape[0], *shape[2:]))


def _unit(rng, shape):
    return rng.uniform(size=shape)


def _labels(rng, shape):
    """For each row of (N, C) some classes, and then -1."""
    order = np.argsort(rng.uniform(size=shape), axis=1)
    return np.where(np.arange(shape[1]) < rng.integers(1, max(2, min(shape[1], 9)), (shape[0], 1)), order, -1)


def _noise(rng, shape):
    return rng.standard_normal(shape)


_sizes = (16, 64), (128, 1024), (512, 4096)

def shape(rng, ndim, high=9):
    """A random shape of *ndim* dimensions, each 1 .. high-1."""
    return tuple(int(n) for n in rng.integers(1, high, ndim))


def reduced(cls):
    """A draw of a reduction over a random dimension of a random tensor, sometimes counted from the end."""
    def draw(rng):
        ndim = int(rng.integers(2, 5))
        return cls(int(rng.integers(-ndim, ndim))), rng.standard_normal(shape(rng, ndim))
    return draw


def pairs(make, *shapes):
    """The three cases of a module of a table of equal tensors."""
    return tuple(lambda rng, s=s: (make(), [rng.standard_normal(s) for _ in range(2)]) for s in shapes)


def tables(make, most=2):
    """A draw of a module of a table of 2 .. most equal tensors of a random shape."""
    def draw(rng):
        s = shape(rng, int(rng.integers(1, 4)))
        return make(), [rng.standard_normal(s) for _ in range(int(rng.integers(2, most + 1)))]
    return draw


def rows(make):
    """A draw of a module of two matrices of a random shape, some way from each other."""
    def draw(rng):
        s = shape(rng, 2, 30)
        return make(rng), [10 * rng.standard_normal(s), 10 * rng.standard_normal(s)]
    return draw


def bordered(cls, count, spatial, low):
    """A draw of a padding with *count* random sides, *low* or more, of images or volumes of 5 or more a side."""
    return lambda rng: (cls(*(int(p) for p in rng.integers(low, 5, count))),
                        rng.standard_normal((*shape(rng, 2, 4), *(int(n) for n in rng.integers(5, 9, spatial)))))


IMAGES = (2, 4, 8, 8), (8, 16, 28, 28), (32, 64, 56, 56)
MATRICES = (16, 64), (128, 1024), (512, 4096)


def sides(m):
    return m.pad_l, m.pad_r, m.pad_t, m.pad_b


def indexed(rng, s, axis, count):
    return nnmod.Index(axis), [rng.standard_normal(s), rng.integers(0, s[axis], count)]


def matrices(rng, batch, m, k, n, transA=False, transB=False):
    a, b = ((k, m) if transA else (m, k)), ((n, k) if transB else (k, n))
    return nnmod.MM(transA, transB), [rng.standard_normal((*batch, *a)), rng.standard_normal((*batch, *b))]


def drawn_matrices(rng):
    batch = [(), (int(rng.integers(1, 5)),)][int(rng.integers(2))]
    return matrices(rng, batch, *shape(rng, 3, 70), bool(rng.integers(2)), bool(rng.integers(2)))


def drawn_vector(rng):
    m, k = shape(rng, 2, 70)
    batch = [(), (int(rng.integers(1, 5)),)][int(rng.integers(2))]
    trans = bool(rng.integers(2))
    return nnmod.MV(trans), [rng.standard_normal((*batch, m, k)), rng.standard_normal((*batch, m if trans else k))]


def distance(F, m, a, b):
    """The p-norm, with Torch7's guard against 0 in its gradient."""
    total = ((a - b).abs() ** m.p).sum(1)
    y = (total ** (1 / m.p)).detach()
    return y + (total - total.detach()) / m.p * (y + 1e-6) ** (1 - m.p)


def one_each(size):
    return tuple(lambda rng, n=n: (nnmod.MixtureTable(1), [rng.standard_normal((n, 4)),
                                                           rng.standard_normal((n, 4, f))]) for n, f in size)
def _spatial(rng, make, *options):
    """A 2-D pooling with random arguments, and an input that it takes."""
    k, d = ([int(v) for v in rng.integers(1, high, 2)] for high in (5, 4))
    words = {}
    if "pad" in options:
        words |= {f"pad{s}": int(rng.integers(0, n // 2 + 1)) for s, n in zip("WH", k)}
    if "dilation" in options:
        words |= {f"dilation{s}": int(rng.integers(1, 4)) for s in "WH"}
    if "ceil" in options:
        words["ceilMode"] = bool(rng.integers(2))
    if "include" in options:
        words["countIncludePad"] = bool(rng.integers(2))
    return make(*k, *d, **words), rng.standard_normal((2, 3, *map(int, rng.integers(11, 24, 2))))


def _volumetric(rng, make, *options):
    """The same in 3-D."""
    k, d = ([int(v) for v in rng.integers(1, 4, 3)] for _ in range(2))
    words = {}
    if "pad" in options:
        words |= {f"pad{s}": int(rng.integers(0, n // 2 + 1)) for s, n in zip("TWH", k)}
    if "dilation" in options:
        words |= {f"dilation{s}": int(rng.integers(1, 3)) for s in "TWH"}
    return make(*k, *d, **words), rng.standard_normal((2, 2, *map(int, rng.integers(6, 10, 3))))


def _unpooling(rng, pooling, unpooling, sides):
    """A pooling with its unpooling."""
    pool = pooling(*map(int, rng.integers(1, 4, sides)))
    return nnmod.Sequential(pool, unpooling(pool)), rng.standard_normal((2, 2, *map(int, rng.integers(4, 9, sides))))


def lstm(F, x, weight, bias, features, hidden):
    """PyTorch's LSTM with nnmod's weights: from gates i, f, o, g to i, f, g, o."""
    i, f, o, g = weight.split(hidden, 1)
    w = F.torch.cat([i, f, g, o], 1)
    i, f, o, g = bias.split(hidden)
    b = F.torch.cat([i, f, g, o])
    zeros = x.new_zeros(1, x.shape[1], hidden)
    flat = [w[:features].t().contiguous(), w[features:].t().contiguous(), b, F.torch.zeros_like(b)]
    return F.torch.lstm(x, (zeros, zeros), flat, True, 1, 0.0, False, False, False)[0]


def gru(F, x, weight, bias, features, hidden):
    """A loop over the steps: PyTorch's own GRU applies the reset gate after the product."""
    h, outputs = x.new_zeros(x.shape[1], hidden), []
    for step in x:
        a = (F.torch.cat([step, h], 1) @ weight[:, :2 * hidden] + bias[:2 * hidden]).sigmoid()
        r, u = a.split(hidden, 1)
        k = (F.torch.cat([step, r * h], 1) @ weight[:, 2 * hidden:] + bias[2 * hidden:]).tanh()
        h = k + u * (h - k)
        outputs.append(h)
    return F.torch.stack(outputs)


def ctc(F, m, x, target):
    """PyTorch's loss, whose own gradient is that before a log-softmax: exp(x) more than nnmod's."""
    labels, steps, counts = target
    loss = F.ctc_loss(x, labels, steps, counts, m.blank, "mean" if m.sizeAverage else "sum")
    norm = 1 / (counts.clamp(min=1).to(x.dtype) * len(counts)) if m.sizeAverage else x.new_ones(len(counts))
    real = F.torch.arange(len(x))[:, None] < steps
    extra = (x.exp().sum(-1) * real * norm).sum()
    return loss - (extra - extra.detach())


def _ctc_case(r, T, N, C, S):
    x = r.standard_normal((T, N, C))
    x -= np.log(np.exp(x).sum(-1, keepdims=True))
    return (nnmod.CTCCriterion(0, bool(r.integers(2))), x,
            [r.integers(1, C, (N, S)), r.integers(2 * S + 1, T + 1, N), r.integers(0, S + 1, N)])


TWINS = [
    # linear
    Twin("Linear",
         lambda r: (nnmod.Linear(a := int(r.integers(1, 40)), int(r.integers(1, 40)), bool(r.integers(2))),
                    r.standard_normal((int(r.integers(1, 9)), a))),
         lambda F, m, x: F.linear(x, m.weight, m.bias),
         sized(lambda s: nnmod.Linear(s[1], s[1]), (16, 64), (128, 512), (512, 2048))),
    # convolution
    Twin("SpatialConvolution", _conv(nnmod.SpatialConvolution, 2),
         lambda F, m, x: F.conv2d(x, m.weight, m.bias, (m.dH, m.dW), (m.padH, m.padW), groups=m.groups),
         _planes(lambda C: nnmod.SpatialConvolution(C, C, 3, 3, 1, 1, 1), (1, 8, 12, 12), (8, 32, 28, 28),
                 (16, 128, 32, 32))),
    Twin("SpatialConvolutionMM",
         lambda r: (nnmod.SpatialConvolutionMM(a := _numbers(r, 1, 5), _numbers(r, 1, 6), *_numbers(r, 1, 4, 6)),
                    r.standard_normal((2, a, *_numbers(r, 4, 9, 2)))),
         lambda F, m, x: F.conv2d(x, m.weight.reshape(m.nOutputPlane, m.nInputPlane, m.kH, m.kW), m.bias,
                                  (m.dH, m.dW), (m.padH, m.padW)),
         _planes(lambda C: nnmod.SpatialConvolutionMM(C, 2 * C, 5, 5), (1, 4, 12, 12), (8, 16, 28, 28),
                 (16, 64, 32, 32))),
    Twin("SpatialDilatedConvolution", _dilated(nnmod.SpatialDilatedConvolution, 2),
         lambda F, m, x: F.conv2d(x, m.weight, m.bias, (m.dH, m.dW), (m.padH, m.padW), (m.dilationH, m.dilationW)),
         _planes(lambda C: nnmod.SpatialDilatedConvolution(C, C, 3, 3, 1, 1, 2, 2, 2, 2), (1, 8, 12, 12),
                 (8, 32, 28, 28), (16, 128, 32, 32))),
    Twin("VolumetricConvolution", _conv(nnmod.VolumetricConvolution, 3),
         lambda F, m, x: F.conv3d(x, m.weight, m.bias, (m.dT, m.dH, m.dW), (m.padT, m.padH, m.padW), groups=m.groups),
         _planes(lambda C: nnmod.VolumetricConvolution(C, C, 3, 3, 3, 1, 1, 1, 1), (1, 4, 4, 8, 8), (2, 16, 8, 16, 16),
                 (4, 64, 8, 28, 28))),
    Twin("VolumetricDilatedConvolution", _dilated(nnmod.VolumetricDilatedConvolution, 3),
         lambda F, m, x: F.conv3d(x, m.weight, m.bias, (m.dT, m.dH, m.dW), (m.padT, m.padH, m.padW),
                                  (m.dilationT, m.dilationH, m.dilationW)),
         _planes(lambda C: nnmod.VolumetricDilatedConvolution(C, C, 3, 3, 3, 1, 1, 1, 2, 2, 2, 2, 2, 2), (1, 4, 4, 8, 8),
                 (2, 16, 8, 16, 16), (4, 64, 8, 28, 28))),
    Twin("TemporalConvolution",
         lambda r: (nnmod.TemporalConvolution(a := _numbers(r, 1, 7), _numbers(r, 1, 9), *_numbers(r, 1, 5, 2),
                                              bias=bool(r.integers(2))),
                    r.standard_normal((_numbers(r, 1, 4), _numbers(r, 4, 12), a))),
         _temporal,
         sized(lambda s: nnmod.TemporalConvolution(s[2], s[2], 5), (2, 16, 16), (16, 64, 128), (32, 256, 256))),
    # full convolution
    Twin("SpatialFullConvolution", _full(nnmod.SpatialFullConvolution, 2), _transposed_conv2d,
         _planes(lambda C: nnmod.SpatialFullConvolution(C, C // 2, 4, 4, 2, 2, 1, 1), (1, 8, 6, 6), (8, 32, 14, 14),
                 (16, 128, 16, 16))),
    Twin("SpatialFullConvolution-table",
         lambda r: (nnmod.SpatialFullConvolution(3, 2, 3, 4, 2, 3, 1, 2),
                    [r.standard_normal((2, 3, 4, 5)), r.standard_normal((2, 1, 9 + _numbers(r, 0, 3),
                                                                         9 + _numbers(r, 0, 2)))]),
         _transposed_conv2d),
    Twin("VolumetricFullConvolution", _full(nnmod.VolumetricFullConvolution, 3),
         lambda F, m, x: F.conv_transpose3d(x, m.weight, m.bias, (m.dT, m.dH, m.dW), (m.padT, m.padH, m.padW),
                                            (m.adjT, m.adjH, m.adjW)),
         _planes(lambda C: nnmod.VolumetricFullConvolution(C, C // 2, 4, 4, 4, 2, 2, 2, 1, 1, 1), (1, 4, 3, 4, 4),
                 (2, 16, 4, 8, 8), (4, 64, 4, 14, 14))),
    # plane, row and local convolution
    Twin("SpatialConvolutionMap", _mapped(nnmod.SpatialConvolutionMap),
         lambda F, m, x: F.conv2d(x, _map_weight(m), m.bias, (m.dH, m.dW)),
         _planes(lambda C: nnmod.SpatialConvolutionMap(nnmod.tables.random(C, 2 * C, 4), 5, 5), (1, 6, 14, 14),
                 (8, 16, 28, 28), (16, 64, 32, 32))),
    Twin("SpatialFullConvolutionMap", _mapped(nnmod.SpatialFullConvolutionMap),
         lambda F, m, x: F.conv_transpose2d(x, _map_weight(m).transpose(0, 1), m.bias, (m.dH, m.dW)),
         _planes(lambda C: nnmod.SpatialFullConvolutionMap(nnmod.tables.random(C, 2 * C, 4), 5, 5), (1, 6, 10, 10),
                 (8, 16, 24, 24), (16, 64, 28, 28))),
    Twin("SpatialDepthWiseConvolution",
         lambda r: (nnmod.SpatialDepthWiseConvolution(a := _numbers(r, 1, 6), _numbers(r, 1, 4), *_numbers(r, 1, 4, 6),
                                                      bias=bool(r.integers(2))),
                    r.standard_normal((2, a, *_numbers(r, 4, 10, 2)))),
         lambda F, m, x: F.conv2d(x, _plane_weight(m), None if m.bias is None else m.bias.T.reshape(-1),
                                  (m.dH, m.dW), (m.padH, m.padW), groups=m.nInputPlane),
         _planes(lambda C: nnmod.SpatialDepthWiseConvolution(C, 1, 3, 3, 1, 1, 1), (1, 16, 14, 14), (8, 64, 28, 28),
                 (16, 64, 112, 112))),
    Twin("SpatialDepthWiseConvolution-stride",
         lambda r: (nnmod.SpatialDepthWiseConvolution(3, 2, 5, 4, 2, 2, _numbers(r, 0, 3)), r.standard_normal((2, 3, 9, 8))),
         lambda F, m, x: F.conv2d(x, _plane_weight(m), m.bias.T.reshape(-1), (m.dH, m.dW), (m.padH, m.padW),
                                  groups=m.nInputPlane),
         _planes(lambda C: nnmod.SpatialDepthWiseConvolution(C, 1, 3, 3, 2, 2, 1), (1, 16, 14, 14), (8, 64, 28, 28),
                 (16, 64, 112, 112))),
    Twin("SpatialSubSampling",
         lambda r: (nnmod.SpatialSubSampling(a := _numbers(r, 1, 6), *_numbers(r, 1, 4, 4)),
                    r.standard_normal((2, a, *_numbers(r, 4, 9, 2)))),
         lambda F, m, x: F.avg_pool2d(x, (m.kH, m.kW), (m.dH, m.dW), divisor_override=1) * m.weight[:, None, None]
         + m.bias[:, None, None],
         _planes(lambda C: nnmod.SpatialSubSampling(C, 2, 2, 2, 2), (1, 6, 28, 28), (8, 32, 28, 28), (32, 64, 56, 56))),
    Twin("TemporalSubSampling",
         lambda r: (nnmod.TemporalSubSampling(a := _numbers(r, 1, 6), *_numbers(r, 1, 4, 2)),
                    r.standard_normal((2, _numbers(r, 4, 9), a))),
         lambda F, m, x: F.avg_pool1d(x.transpose(1, 2), m.kW, m.dW).transpose(1, 2) * m.kW * m.weight + m.bias,
         sized(lambda s: nnmod.TemporalSubSampling(s[2], 2, 2), (2, 16, 16), (16, 64, 128), (32, 256, 256))),
    Twin("TemporalRowConvolution",
         lambda r: (nnmod.TemporalRowConvolution(a := _numbers(r, 1, 6), *_numbers(r, 1, 4, 2), bias=bool(r.integers(2))),
                    r.standard_normal((2, _numbers(r, 4, 9), a))),
         _rows, sized(lambda s: nnmod.TemporalRowConvolution(s[2], 5), (2, 16, 16), (16, 64, 128), (32, 256, 256))),
    Twin("TemporalRowConvolution-featFirst",
         lambda r: (nnmod.TemporalRowConvolution(a := _numbers(r, 1, 6), *_numbers(r, 1, 4, 2), featFirst=True),
                    r.standard_normal((2, a, _numbers(r, 4, 9)))),
         _rows, sized(lambda s: nnmod.TemporalRowConvolution(s[1], 5, featFirst=True), (2, 16, 16), (16, 128, 64),
                      (32, 256, 256))),
    Twin("SpatialConvolutionLocal",
         lambda r: (nnmod.SpatialConvolutionLocal(a := _numbers(r, 1, 5), _numbers(r, 1, 6), w := _numbers(r, 4, 8),
                                                  h := _numbers(r, 4, 8), *_numbers(r, 1, 4, 6), bias=bool(r.integers(2))),
                    r.standard_normal((_numbers(r, 1, 7), a, h, w))),
         _local,
         sized(lambda s: nnmod.SpatialConvolutionLocal(s[1], s[1], s[3], s[2], 3, 3), (1, 4, 8, 8), (8, 16, 14, 14),
               (32, 32, 16, 16))),
    Twin("LinearWeightNorm",
         lambda r: (nnmod.LinearWeightNorm(a := _int(r, 1, 40), _int(r, 1, 40), bool(r.integers(2))),
                    r.standard_normal((_int(r, 1, 9), a))),
         lambda F, m, x: F.linear(x, m.v * (m.g / m.v.norm(dim=1, keepdim=True)), m.bias),
         sized(lambda s: nnmod.LinearWeightNorm(s[1], s[1]), (16, 64), (128, 512), (512, 1024))),
    Twin("PartialLinear",
         lambda r: _part(r, _int(r, 1, 20), 30, _int(r, 1, 9), _int(r, 1, 9)),
         lambda F, m, x: F.linear(x, m.weight[m.partition], m.bias[0, m.partition]),
         tuple(lambda r, s=s: _part(r, *s) for s in ((64, 1000, 64, 16), (256, 10000, 512, 128),
                                                     (512, 20000, 2000, 256)))),
    Twin("Bilinear",
         lambda r: _bilinear(r, *r.integers(1, 12, 4).tolist(), bool(r.integers(2))),
         lambda F, m, x1, x2: F.bilinear(x1, x2, m.weight, m.bias),
         tuple(lambda r, s=s: _bilinear(r, *s) for s in ((8, 8, 8, 16), (32, 32, 32, 128), (64, 64, 128, 256)))),
    Twin("Maxout",
         lambda r: (nnmod.Maxout(a := _int(r, 1, 20), _int(r, 1, 9), _int(r, 1, 5)),
                    r.standard_normal((_int(r, 1, 9), a))),
         lambda F, m, x: F.linear(x, *(_torch().tensor(p, requires_grad=True) for p in m.modules[0].parameters()[0])).view(
             len(x), m.maxoutNumber, m.outputSize).max(1).values,
         sized(lambda s: nnmod.Maxout(s[1], s[1], 4), (16, 64), (128, 256), (256, 512))),
    # broadcast
    Twin("Add", lambda r: (nnmod.Add(a := _int(r, 1, 20)), r.standard_normal((_int(r, 1, 9), a))),
         lambda F, m, x: x + m.bias,
         sized(lambda s: nnmod.Add(s[1]), (16, 64), (128, 1024), (512, 4096))),
    Twin("CAdd",
         lambda r: (nnmod.CAdd(1, a := _int(r, 1, 9), 1, 1), r.standard_normal((2, a, _int(r, 1, 9), 3))),
         lambda F, m, x: x + m.bias,
         sized(lambda s: nnmod.CAdd(1, s[1], 1, 1), (2, 8, 8, 8), (8, 32, 28, 28), (32, 64, 56, 56))),
    Twin("CMul",
         lambda r: (nnmod.CMul(1, a := _int(r, 1, 9), 1, 1), r.standard_normal((2, a, _int(r, 1, 9), 3))),
         lambda F, m, x: x * m.weight,
         sized(lambda s: nnmod.CMul(1, s[1], 1, 1), (2, 8, 8, 8), (8, 32, 28, 28), (32, 64, 56, 56))),
    Twin("Mul", lambda r: (nnmod.Mul(), r.standard_normal((_int(r, 1, 9), 7))), lambda F, m, x: x * m.weight,
         sized(lambda s: nnmod.Mul(), (16, 64), (128, 1024), (512, 4096))),
    # distance: far apart, where the 1e-7 that Torch7 adds to distances is out of sight
    Twin("Euclidean",
         lambda r: (nnmod.Euclidean(a := _int(r, 1, 20), _int(r, 1, 20)), 1e4 * r.standard_normal((_int(r, 1, 9), a))),
         lambda F, m, x: F.torch.cdist(x, m.weight.t(), compute_mode="donot_use_mm_for_euclid_dist"),
         sized(lambda s: nnmod.Euclidean(s[1], s[1]), (16, 16), (64, 128), (256, 256))),
    Twin("WeightedEuclidean",
         lambda r: (nnmod.WeightedEuclidean(a := _int(r, 1, 20), _int(r, 1, 20)),
                    1e4 * r.standard_normal((_int(r, 1, 9), a))),
         lambda F, m, x: (m.diagCov * (x[:, :, None] - m.weight)).norm(dim=1),
         sized(lambda s: nnmod.WeightedEuclidean(s[1], s[1]), (16, 16), (64, 128), (128, 256))),
    Twin("Cosine",
         lambda r: (nnmod.Cosine(a := _int(r, 1, 20), _int(r, 1, 20)), r.standard_normal((_int(r, 1, 9), a))),
         lambda F, m, x: F.linear(_unit_rows(x), _unit_rows(m.weight)),
         sized(lambda s: nnmod.Cosine(s[1], s[1]), (16, 64), (128, 512), (256, 1024))),
    # lookup
    Twin("LookupTable", _embedding,
         lambda F, m, x: F.embedding(x, m.weight, m.paddingValue, scale_grad_by_freq=m.shouldScaleGradByFreq),
         tuple(lambda r, s=s: _table(r, *s) for s in ((100, 16, 4, 8), (1000, 64, 32, 32), (10000, 256, 64, 128)))),
    # sparse
    Twin("SparseLinear", lambda r: _sparse_linear(r, *r.integers(1, 12, 4).tolist()),
         lambda F, m, x: F.embedding_bag(x[..., 0].long(), m.weight.t(), mode="sum",
                                         per_sample_weights=x[..., 1]) + m.bias,
         tuple(lambda r, s=s: _sparse_linear(r, *s) for s in ((100, 10, 8, 5), (2000, 50, 64, 20),
                                                              (10000, 100, 256, 50)))),
    Twin("IndexLinear", lambda r: _index_linear(r, *r.integers(1, 12, 4).tolist()),
         lambda F, m, keys, values, sizes: F.embedding_bag(
             keys, m.weight, sizes.cumsum(0) - sizes, mode="sum", per_sample_weights=values) + m.bias,
         tuple(lambda r, s=s: _index_linear(r, *s) for s in ((100, 10, 8, 5), (2000, 50, 64, 20),
                                                             (10000, 100, 256, 50)))),
    # decorator
    Twin("WeightNorm",
         lambda r: (nnmod.WeightNorm(nnmod.Linear(a := _int(r, 1, 20), _int(r, 1, 20), False)),
                    r.standard_normal((3, a))),
         lambda F, m, x: F.linear(x, m.g * m.v / (m.v.square().sum(1, keepdim=True) + 1e-4).sqrt()),
         sized(lambda s: nnmod.WeightNorm(nnmod.Linear(s[1], s[1], False)), (16, 64), (128, 512), (512, 1024))),
    # activation
    Twin("Tanh", lambda r: (nnmod.Tanh(), r.standard_normal((3, 17))), lambda F, m, x: x.tanh(),
         sized(lambda s: nnmod.Tanh(), (16, 64), (128, 1024), (512, 4096))),
    Twin("ReLU", lambda r: (nnmod.ReLU(), r.standard_normal((3, 17))), lambda F, m, x: F.relu(x),
         sized(lambda s: nnmod.ReLU(), *SIZES)),
    Twin("Threshold", lambda r: (nnmod.Threshold(th := float(r.normal()), th - 1), r.standard_normal((3, 17))),
         lambda F, m, x: F.threshold(x, m.threshold, m.val), sized(lambda s: nnmod.Threshold(0.1, -1), *SIZES)),
    Twin("ReLU6", lambda r: (nnmod.ReLU6(), 5 * r.standard_normal((3, 17))), lambda F, m, x: F.relu6(x),
         sized(lambda s: nnmod.ReLU6(), *SIZES)),
    Twin("LeakyReLU", lambda r: (nnmod.LeakyReLU(float(r.uniform(0, 1))), r.standard_normal((3, 17))),
         lambda F, m, x: F.leaky_relu(x, m.negval), sized(lambda s: nnmod.LeakyReLU(), *SIZES)),
    Twin("PReLU", lambda r: (nnmod.PReLU(5), r.standard_normal((3, 5, 4))), lambda F, m, x: F.prelu(x, m.weight),
         sized(lambda s: nnmod.PReLU(s[1]), (4, 8, 8, 8), (32, 64, 32, 32), (64, 128, 32, 32))),
    Twin("RReLU", lambda r: (nnmod.RReLU(0.1, float(r.uniform(0.2, 0.5))).evaluate(), r.standard_normal((3, 17))),
         lambda F, m, x: F.rrelu(x, m.lower, m.upper, m.train), sized(lambda s: nnmod.RReLU(), *SIZES)),
    Twin("ELU", lambda r: (nnmod.ELU(float(r.uniform(0.5, 2))), r.standard_normal((3, 17))),
         lambda F, m, x: F.elu(x, m.alpha), sized(lambda s: nnmod.ELU(), *SIZES)),
    Twin("HardTanh", lambda r: (nnmod.HardTanh(-0.5, float(r.uniform(0, 2))), r.standard_normal((3, 17))),
         lambda F, m, x: F.hardtanh(x, m.min_value, m.max_value), sized(lambda s: nnmod.HardTanh(), *SIZES)),
    Twin("HardShrink", lambda r: (nnmod.HardShrink(float(r.uniform(0, 1))), r.standard_normal((3, 17))),
         lambda F, m, x: F.hardshrink(x, m.lam), sized(lambda s: nnmod.HardShrink(), *SIZES)),
    Twin("SoftShrink", lambda r: (nnmod.SoftShrink(float(r.uniform(0, 1))), r.standard_normal((3, 17))),
         lambda F, m, x: F.softshrink(x, m.lam), sized(lambda s: nnmod.SoftShrink(), *SIZES)),
    Twin("Sigmoid", lambda r: (nnmod.Sigmoid(), r.standard_normal((3, 17))), lambda F, m, x: x.sigmoid(),
         sized(lambda s: nnmod.Sigmoid(), *SIZES)),
    Twin("LogSigmoid", lambda r: (nnmod.LogSigmoid(), r.standard_normal((3, 17))), lambda F, m, x: F.logsigmoid(x),
         sized(lambda s: nnmod.LogSigmoid(), *SIZES)),
    Twin("TanhShrink", lambda r: (nnmod.TanhShrink(), r.standard_normal((3, 17))), lambda F, m, x: F.tanhshrink(x),
         sized(lambda s: nnmod.TanhShrink(), *SIZES)),
    Twin("SoftPlus", lambda r: (nnmod.SoftPlus(float(r.uniform(0.5, 2))), r.standard_normal((3, 17))),
         lambda F, m, x: F.softplus(x, m.beta), sized(lambda s: nnmod.SoftPlus(), *SIZES)),
    Twin("SoftSign", lambda r: (nnmod.SoftSign(), r.standard_normal((3, 17))), lambda F, m, x: F.softsign(x),
         sized(lambda s: nnmod.SoftSign(), *SIZES)),
    Twin("GatedLinearUnit", lambda r: (nnmod.GatedLinearUnit(int(r.integers(-2, 2))), r.standard_normal((4, 6))),
         lambda F, m, x: F.glu(x, m.dim), sized(lambda s: nnmod.GatedLinearUnit(), *SIZES)),
    Twin("Abs", lambda r: (nnmod.Abs(), r.standard_normal((3, 17))), lambda F, m, x: x.abs(),
         sized(lambda s: nnmod.Abs(), *SIZES)),
    Twin("Power", lambda r: (nnmod.Power([2, 3, -1, 0.5, 1.7][r.integers(5)]), r.uniform(0.5, 2, (3, 17))),
         lambda F, m, x: x ** m.pow, sized(lambda s: nnmod.Power(3), *SIZES)),
    Twin("Square", lambda r: (nnmod.Square(), r.standard_normal((3, 17))), lambda F, m, x: x * x,
         sized(lambda s: nnmod.Square(), *SIZES)),
    Twin("Sqrt", lambda r: (nnmod.Sqrt(), r.uniform(0.5, 2, (3, 17))), lambda F, m, x: x.sqrt(),
         sized(lambda s: nnmod.Sqrt(), *SIZES)),
    Twin("Exp", lambda r: (nnmod.Exp(), r.standard_normal((3, 17))), lambda F, m, x: x.exp(),
         sized(lambda s: nnmod.Exp(), *SIZES)),
    Twin("Log", lambda r: (nnmod.Log(), r.uniform(0.5, 2, (3, 17))), lambda F, m, x: x.log(),
         sized(lambda s: nnmod.Log(), *SIZES)),
    Twin("AddConstant", lambda r: (nnmod.AddConstant(float(r.normal())), r.standard_normal((3, 17))),
         lambda F, m, x: x + m.constant_scalar, sized(lambda s: nnmod.AddConstant(0.5), *SIZES)),
    Twin("MulConstant", lambda r: (nnmod.MulConstant(float(r.normal())), r.standard_normal((3, 17))),
         lambda F, m, x: x * m.constant_scalar, sized(lambda s: nnmod.MulConstant(0.5), *SIZES)),
    # dropout: the benchmark's only, for the noise differs
    Twin("Dropout", lambda r: (nnmod.Dropout(0.3).evaluate(), r.standard_normal((3, 17))),
         lambda F, m, x: F.dropout(x, m.p, m.train), sized(lambda s: nnmod.Dropout(), *SIZES)),
    # softmax
    Twin("SoftMax", lambda r: (nnmod.SoftMax(), r.standard_normal((3, 17))), lambda F, m, x: F.softmax(x, 1),
         sized(lambda s: nnmod.SoftMax(), (16, 10), (128, 1000), (512, 4096))),
    Twin("SoftMin", lambda r: (nnmod.SoftMin(), r.standard_normal((3, 17))), lambda F, m, x: F.softmin(x, 1),
         sized(lambda s: nnmod.SoftMin(), (16, 10), (128, 1000), (512, 4096))),
    Twin("LogSoftMax", lambda r: (nnmod.LogSoftMax(), r.standard_normal((3, 17))),
         lambda F, m, x: F.log_softmax(x, 1), sized(lambda s: nnmod.LogSoftMax(), (16, 10), (128, 1000), (512, 4096))),
    Twin("SpatialSoftMax", lambda r: (nnmod.SpatialSoftMax(), r.standard_normal((2, 3, 4, 5))),
         lambda F, m, x: F.softmax(x, 1),
         sized(lambda s: nnmod.SpatialSoftMax(), (2, 4, 8, 8), (8, 21, 32, 32), (8, 21, 128, 128))),
    Twin("SpatialLogSoftMax", lambda r: (nnmod.SpatialLogSoftMax(), r.standard_normal((2, 3, 4, 5))),
         lambda F, m, x: F.log_softmax(x, 1),
         sized(lambda s: nnmod.SpatialLogSoftMax(), (2, 4, 8, 8), (8, 21, 32, 32), (8, 21, 128, 128))),
    # normalization
    Twin("BatchNormalization", lambda r: (nnmod.BatchNormalization(6), r.standard_normal((9, 6))),
         lambda F, m, x: F.batch_norm(x, None, None, m.weight, m.bias, True),
         sized(lambda s: nnmod.BatchNormalization(s[1]), (16, 64), (128, 512), (512, 2048))),
    Twin("SpatialBatchNormalization", lambda r: (nnmod.SpatialBatchNormalization(3), r.standard_normal((2, 3, 4, 5))),
         lambda F, m, x: F.batch_norm(x, None, None, m.weight, m.bias, True),
         sized(lambda s: nnmod.SpatialBatchNormalization(s[1]), (4, 8, 8, 8), (32, 64, 32, 32), (64, 128, 32, 32))),
    Twin("VolumetricBatchNormalization",
         lambda r: (nnmod.VolumetricBatchNormalization(3), r.standard_normal((2, 3, 2, 4, 5))),
         lambda F, m, x: F.batch_norm(x, None, None, m.weight, m.bias, True),
         sized(lambda s: nnmod.VolumetricBatchNormalization(s[1]), (2, 4, 4, 8, 8), (8, 16, 8, 16, 16),
               (8, 32, 16, 32, 32))),
    Twin("InstanceNormalization", lambda r: (nnmod.InstanceNormalization(3), r.standard_normal((2, 3, 4, 5))),
         lambda F, m, x: F.instance_norm(x, None, None, m.weight, m.bias, True, 0, m.eps),
         sized(lambda s: nnmod.InstanceNormalization(s[1]), *IMAGES)),
    Twin("LayerNormalization", lambda r: (nnmod.LayerNormalization(9, eps=9e-5), r.standard_normal((4, 9))),
         lambda F, m, x: F.layer_norm(x, (m.nOutput,), m.weight, m.bias, m.eps / m.nOutput),
         sized(lambda s: nnmod.LayerNormalization(s[1]), (16, 64), (128, 512), (512, 2048))),
    Twin("Normalize", lambda r: (nnmod.Normalize([1, 2, 3.5][r.integers(3)], 0), r.standard_normal((4, 9))),
         lambda F, m, x: F.normalize(x, m.p), sized(lambda s: nnmod.Normalize(2), (16, 64), (128, 512), (512, 2048))),
    Twin("SpatialCrossMapLRN",
         lambda r: (nnmod.SpatialCrossMapLRN(5, 0.3, 0.75, 1.5), r.standard_normal((2, 7, 3, 4))),
         lambda F, m, x: F.local_response_norm(x, m.size, m.alpha, m.beta, m.k),
         sized(lambda s: nnmod.SpatialCrossMapLRN(5), (2, 8, 8, 8), (16, 64, 27, 27), (32, 256, 27, 27))),
    # reshape
    Twin("Squeeze", lambda r: (nnmod.Squeeze(1), r.standard_normal((3, 1, 4))), lambda F, m, x: x.squeeze(1),
         sized(lambda s: nnmod.Squeeze(1), (16, 1, 64), (128, 1, 1024), (512, 1, 4096))),
    Twin("Unsqueeze", lambda r: (nnmod.Unsqueeze(int(r.integers(-3, 3))), r.standard_normal((3, 4))),
         lambda F, m, x: x.unsqueeze(m.pos), sized(lambda s: nnmod.Unsqueeze(1), *MATRICES)),
    Twin("Collapse", lambda r: (nnmod.Collapse(3), r.standard_normal(shape(r, 4))),
         lambda F, m, x: x.flatten(1), sized(lambda s: nnmod.Collapse(3), *IMAGES)),
    # layout
    Twin("Transpose",
         lambda r: (nnmod.Transpose(*(tuple(map(int, r.integers(-4, 4, 2))) for _ in range(3))),
                    r.standard_normal(shape(r, 4, 20))),
         lambda F, m, x: _transposed(x, m.permutations),
         sized(lambda s: nnmod.Transpose((0, 1)), (64, 64), (512, 512), (2048, 2048))),
    Twin("Convert", lambda r: (nnmod.Convert("bchw", ["bhwc", "cbwh", "bf"][int(r.integers(3))]),
                               r.standard_normal(shape(r, 4, 20))),
         lambda F, m, x: x.flatten(1) if m.outputShape == "bf" else x.permute(
             *map("bchw".index, m.outputShape)).contiguous(),
         sized(lambda s: nnmod.Convert("bchw", "bhwc"), *IMAGES)),
    # indexing
    Twin("Select", lambda r: (nnmod.Select(int(r.integers(-3, 3)), -1), r.standard_normal(shape(r, 3))),
         lambda F, m, x: x.select(m.dimension, m.index), sized(lambda s: nnmod.Select(1, 2), *MATRICES)),
    Twin("Narrow", lambda r: (nnmod.Narrow(int(r.integers(-3, 3)), 1, int(r.integers(1, 3))),
                              r.standard_normal((3, 4, 5))),
         lambda F, m, x: x.narrow(m.dimension, m.offset, m.length),
         sized(lambda s: nnmod.Narrow(1, 2, 8), *MATRICES)),
    Twin("Replicate", lambda r: (nnmod.Replicate(int(r.integers(1, 5)), int(r.integers(-4, 4))),
                                 r.standard_normal(shape(r, 3))),
         lambda F, m, x: x.unsqueeze(m.dim).repeat_interleave(m.nf, m.dim),
         sized(lambda s: nnmod.Replicate(4, 1), *MATRICES)),
    Twin("Index", lambda r: indexed(r, shape(r, 3), int(r.integers(-3, 3)), 6),
         lambda F, m, x, i: x.index_select(m.dimension, i),
         (lambda r: indexed(r, (64, 64), 0, 16), lambda r: indexed(r, (1000, 512), 0, 256),
          lambda r: indexed(r, (256, 10000), 1, 5000))),
    Twin("MaskedSelect", lambda r: (nnmod.MaskedSelect(), [r.standard_normal((5, 6)), r.random((5, 6)) < 0.5]),
         lambda F, m, x, mask: x.masked_select(mask),
         tuple(lambda r, s=s: (nnmod.MaskedSelect(), [r.standard_normal(s), r.random(s) < 0.5]) for s in MATRICES)),
    Twin("OneHot", lambda r: (nnmod.OneHot(6), r.integers(0, 6, shape(r, 2))),
         lambda F, m, x: F.one_hot(x, m.outputSize).double().requires_grad_(),
         tuple(lambda r, n=n, c=c: (nnmod.OneHot(c), r.integers(0, c, n))
               for n, c in ((16, 10), (256, 1000), (4096, 1000)))),
    # sampling
    Twin("AffineGridGeneratorBHWD", lambda r: (nnmod.AffineGridGeneratorBHWD(4, 5), r.standard_normal((2, 2, 3))),
         lambda F, m, t: F.affine_grid(t.flip(1)[:, :, [1, 0, 2]], (len(t), 1, m.height, m.width),
                                       align_corners=True).flip(-1),
         tuple(lambda r, n=n, s=s: (nnmod.AffineGridGeneratorBHWD(s, s), r.standard_normal((n, 2, 3)))
               for n, s in ((2, 8), (16, 32), (64, 64)))),
    Twin("BilinearSamplerBHWD", lambda r: (nnmod.BilinearSamplerBHWD(), [r.standard_normal((2, 4, 5, 3)),
                                                                        r.standard_normal((2, 6, 4, 2))]),
         lambda F, m, x, g: F.grid_sample(x.permute(0, 3, 1, 2), g.flip(-1), align_corners=True).permute(0, 2, 3, 1),
         tuple(lambda r, n=n, s=s, c=c: (nnmod.BilinearSamplerBHWD(), [r.standard_normal((n, s, s, c)),
                                                                       r.uniform(-1, 1, (n, s, s, 2))])
               for n, s, c in ((2, 8, 4), (8, 28, 16), (32, 56, 16)))),
    # padding
    Twin("Padding", lambda r: (nnmod.Padding(1, int(r.choice([-3, -1, 2])), value=0.5), r.standard_normal(shape(r, 3))),
         lambda F, m, x: F.pad(x, (0, 0, -m.pad, 0) if m.pad < 0 else (0, 0, 0, m.pad), value=m.value),
         sized(lambda s: nnmod.Padding(1, 2), *MATRICES)),
    Twin("SpatialZeroPadding", bordered(nnmod.SpatialZeroPadding, 4, 2, -2), lambda F, m, x: F.pad(x, sides(m)),
         sized(lambda s: nnmod.SpatialZeroPadding(1), *IMAGES)),
    Twin("SpatialReflectionPadding", bordered(nnmod.SpatialReflectionPadding, 4, 2, 0),
         lambda F, m, x: F.pad(x, sides(m), mode="reflect"),
         sized(lambda s: nnmod.SpatialReflectionPadding(1), *IMAGES)),
    Twin("ShaveImage", lambda r: (nnmod.ShaveImage(int(r.integers(3))), r.standard_normal((2, 3, 5, 6))),
         lambda F, m, x: F.pad(x, (-m.size,) * 4), sized(lambda s: nnmod.ShaveImage(2), *IMAGES)),
    Twin("SpatialReplicationPadding", bordered(nnmod.SpatialReplicationPadding, 4, 2, -2),
         lambda F, m, x: F.pad(x, sides(m), mode="replicate"),
         sized(lambda s: nnmod.SpatialReplicationPadding(1), *IMAGES)),
    Twin("VolumetricReplicationPadding", bordered(nnmod.VolumetricReplicationPadding, 6, 3, -2),
         lambda F, m, x: F.pad(x, (m.pleft, m.pright, m.ptop, m.pbottom, m.pfront, m.pback), mode="replicate"),
         sized(lambda s: nnmod.VolumetricReplicationPadding(1), (1, 2, 4, 6, 6), (4, 8, 8, 16, 16),
               (8, 16, 16, 28, 28))),
    # reduction
    Twin("Sum", reduced(nnmod.Sum), lambda F, m, x: x.sum(m.dimension), sized(lambda s: nnmod.Sum(1), *MATRICES)),
    Twin("Sum-first", reduced(nnmod.Sum), lambda F, m, x: x.sum(m.dimension),
         sized(lambda s: nnmod.Sum(0), *MATRICES)),
    Twin("Mean", reduced(nnmod.Mean), lambda F, m, x: x.mean(m.dimension), sized(lambda s: nnmod.Mean(1), *MATRICES)),
    Twin("Max", reduced(nnmod.Max), lambda F, m, x: x.max(m.dimension)[0], sized(lambda s: nnmod.Max(1), *MATRICES)),
    Twin("Max-first", reduced(nnmod.Max), lambda F, m, x: x.max(m.dimension)[0],
         sized(lambda s: nnmod.Max(0), *MATRICES)),
    Twin("Min", reduced(nnmod.Min), lambda F, m, x: x.min(m.dimension)[0], sized(lambda s: nnmod.Min(1), *MATRICES)),
    # table
    Twin("JoinTable", lambda r: (nnmod.JoinTable(1), [r.standard_normal((3, n, 2)) for n in shape(r, 3)]),
         lambda F, m, *x: _torch().cat(x, m.dimension), pairs(lambda: nnmod.JoinTable(1), *MATRICES)),
    Twin("SplitTable", lambda r: (nnmod.SplitTable(int(r.integers(-3, 3))), r.standard_normal(shape(r, 3))),
         lambda F, m, x: list(x.unbind(m.dimension)),
         sized(lambda s: nnmod.SplitTable(0), (4, 64), (16, 128, 64), (64, 128, 256))),
    # arithmetic
    Twin("CAddTable", tables(nnmod.CAddTable, 4), lambda F, m, *x: sum(x[1:], x[0]),
         pairs(nnmod.CAddTable, *MATRICES)),
    Twin("CSubTable", tables(nnmod.CSubTable), lambda F, m, a, b: a - b, pairs(nnmod.CSubTable, *MATRICES)),
    Twin("CMulTable", tables(nnmod.CMulTable, 5), lambda F, m, *x: _torch().stack(x).prod(0) if len(x) > 2 else x[0] * x[1],
         pairs(nnmod.CMulTable, *MATRICES)),
    Twin("CDivTable", tables(nnmod.CDivTable), lambda F, m, a, b: a / b, pairs(nnmod.CDivTable, *MATRICES)),
    Twin("CMaxTable", tables(nnmod.CMaxTable, 4), lambda F, m, *x: x[0].maximum(x[1]) if len(x) == 2 else _torch().stack(
        x).max(0)[0], pairs(nnmod.CMaxTable, *MATRICES)),
    Twin("CMinTable", tables(nnmod.CMinTable, 4), lambda F, m, *x: x[0].minimum(x[1]) if len(x) == 2 else _torch().stack(
        x).min(0)[0], pairs(nnmod.CMinTable, *MATRICES)),
    Twin("MixtureTable", lambda r: (nnmod.MixtureTable(1), [r.standard_normal((3, 4)), r.standard_normal((3, 4, 5))]),
         lambda F, m, gate, x: (gate[:, :, None] * x).sum(1), one_each(((16, 32), (128, 256), (512, 1024)))),
    # product
    Twin("MM", drawn_matrices,
         lambda F, m, a, b: (a.mT if m.transA else a) @ (b.mT if m.transB else b),
         (lambda r: matrices(r, (16,), 8, 8, 8), lambda r: matrices(r, (64,), 32, 64, 32),
          lambda r: matrices(r, (16,), 128, 128, 128, False, True))),
    Twin("MV", drawn_vector, lambda F, m, a, v: ((a.mT if m.trans else a) @ v[..., None])[..., 0],
         tuple(lambda r, n=n, f=f: (nnmod.MV(), [r.standard_normal((n, f, f)), r.standard_normal((n, f))])
               for n, f in ((4, 16), (16, 64), (32, 256)))),
    Twin("DotProduct", rows(lambda r: nnmod.DotProduct()), lambda F, m, a, b: (a * b).sum(1),
         pairs(nnmod.DotProduct, *MATRICES)),
    Twin("CosineDistance", rows(lambda r: nnmod.CosineDistance()), lambda F, m, a, b: F.cosine_similarity(a, b),
         pairs(nnmod.CosineDistance, *MATRICES)),
    Twin("PairwiseDistance", rows(lambda r: nnmod.PairwiseDistance(float(r.choice([1, 1.5, 2, 3])))), distance,
         pairs(lambda: nnmod.PairwiseDistance(2), *MATRICES)),
    # pooling
    Twin("SpatialMaxPooling", lambda r: _spatial(r, nnmod.SpatialMaxPooling, "pad", "ceil"),
         lambda F, m, x: F.max_pool2d(x, (m.kH, m.kW), (m.dH, m.dW), (m.padH, m.padW), ceil_mode=m.ceilMode),
         (lambda r: (nnmod.SpatialMaxPooling(2, 2), r.standard_normal((16, 16, 28))),
          lambda r: (nnmod.SpatialMaxPooling(3, 3, 1, 1, 1, 1), r.standard_normal((32, 64, 28, 28))),
          lambda r: (nnmod.SpatialMaxPooling(3, 3, 2, 2, 1, 1), r.standard_normal((32, 64, 112, 112))))),
    Twin("SpatialDilatedMaxPooling", lambda r: _spatial(r, nnmod.SpatialDilatedMaxPooling, "pad", "dilation"),
         lambda F, m, x: F.max_pool2d(x, (m.kH, m.kW), (m.dH, m.dW), (m.padH, m.padW), (m.dilationH, m.dilationW)),
         sized(lambda s: nnmod.SpatialDilatedMaxPooling(3, 3, 1, 1, 1, 1, 2, 2),
               (4, 3, 16, 16), (16, 64, 28, 28), (32, 64, 56, 56))),
    Twin("VolumetricMaxPooling", lambda r: _volumetric(r, nnmod.VolumetricMaxPooling, "pad"),
         lambda F, m, x: F.max_pool3d(x, (m.kT, m.kH, m.kW), (m.dT, m.dH, m.dW), (m.padT, m.padH, m.padW)),
         sized(lambda s: nnmod.VolumetricMaxPooling(2, 2, 2), (4, 4, 8, 8), (4, 16, 16, 28, 28), (4, 64, 16, 56, 56))),
    Twin("VolumetricDilatedMaxPooling", lambda r: _volumetric(r, nnmod.VolumetricDilatedMaxPooling, "pad", "dilation"),
         lambda F, m, x: F.max_pool3d(x, (m.kT, m.kH, m.kW), (m.dT, m.dH, m.dW), (m.padT, m.padH, m.padW),
                                      (m.dilationT, m.dilationH, m.dilationW)),
         sized(lambda s: nnmod.VolumetricDilatedMaxPooling(2, 3, 3, 1, 2, 2, 0, 1, 1, 2, 1, 1),
               (4, 4, 8, 8), (4, 16, 16, 28, 28), (4, 64, 16, 56, 56))),
    Twin("TemporalMaxPooling",
         lambda r: (nnmod.TemporalMaxPooling(int(r.integers(1, 5)), int(r.integers(1, 4))), r.standard_normal((3, 9, 5))),
         lambda F, m, x: F.max_pool1d(x.transpose(1, 2), m.kW, m.dW).transpose(1, 2),
         sized(lambda s: nnmod.TemporalMaxPooling(2), (4, 20, 16), (16, 100, 128), (32, 400, 256))),
    Twin("SpatialAveragePooling", lambda r: _spatial(r, nnmod.SpatialAveragePooling, "pad", "include"),
         lambda F, m, x: F.avg_pool2d(x, (m.kH, m.kW), (m.dH, m.dW), (m.padH, m.padW),
                                      count_include_pad=m.countIncludePad),
         (lambda r: (nnmod.SpatialAveragePooling(2, 2, 2, 2), r.standard_normal((16, 16, 28))),
          lambda r: (nnmod.SpatialAveragePooling(3, 3, 1, 1, 1, 1), r.standard_normal((32, 64, 28, 28))),
          lambda r: (nnmod.SpatialAveragePooling(7, 7), r.standard_normal((32, 512, 7, 7))))),
    Twin("VolumetricAveragePooling", lambda r: _volumetric(r, nnmod.VolumetricAveragePooling),
         lambda F, m, x: F.avg_pool3d(x, (m.kT, m.kH, m.kW), (m.dT, m.dH, m.dW)),
         sized(lambda s: nnmod.VolumetricAveragePooling(2, 2, 2), (4, 4, 8, 8), (4, 16, 16, 28, 28), (4, 64, 16, 56, 56))),
    Twin("SpatialMaxUnpooling", lambda r: _unpooling(r, nnmod.SpatialMaxPooling, nnmod.SpatialMaxUnpooling, 2),
         lambda F, m, x: F.max_unpool2d(*F.max_pool2d(x, k := (m.modules[0].kH, m.modules[0].kW), return_indices=True),
                                        k, output_size=x.shape[-2:]),
         sized(lambda s: nnmod.Sequential(pool := nnmod.SpatialMaxPooling(2, 2), nnmod.SpatialMaxUnpooling(pool)),
               (4, 4, 12, 12), (16, 32, 28, 28), (32, 64, 56, 56))),
    Twin("VolumetricMaxUnpooling", lambda r: _unpooling(r, nnmod.VolumetricMaxPooling, nnmod.VolumetricMaxUnpooling, 3),
         lambda F, m, x: F.max_unpool3d(*F.max_pool3d(x, k := (m.modules[0].kT, m.modules[0].kH, m.modules[0].kW),
                                                      return_indices=True), k, output_size=x.shape[-3:]),
         sized(lambda s: nnmod.Sequential(pool := nnmod.VolumetricMaxPooling(2, 2, 2), nnmod.VolumetricMaxUnpooling(pool)),
               (2, 4, 4, 8, 8), (4, 16, 8, 28, 28), (4, 32, 16, 56, 56))),
    # dynamic pooling
    Twin("SpatialAdaptiveMaxPooling",
         lambda r: (nnmod.SpatialAdaptiveMaxPooling(*map(int, r.integers(1, 9, 2))), r.standard_normal((2, 3, 7, 8))),
         lambda F, m, x: F.adaptive_max_pool2d(x, (m.H, m.W)),
         sized(lambda s: nnmod.SpatialAdaptiveMaxPooling(7, 7), (2, 8, 20, 20), (16, 64, 30, 30), (32, 64, 112, 112))),
    Twin("SpatialAdaptiveAveragePooling",
         lambda r: (nnmod.SpatialAdaptiveAveragePooling(*map(int, r.integers(1, 9, 2))), r.standard_normal((2, 3, 7, 8))),
         lambda F, m, x: F.adaptive_avg_pool2d(x, (m.H, m.W)),
         sized(lambda s: nnmod.SpatialAdaptiveAveragePooling(7, 7), (2, 8, 20, 20), (16, 64, 30, 30), (32, 64, 112, 112))),
    # lp pooling
    Twin("SpatialLPPooling",
         lambda r: (nnmod.SpatialLPPooling(3, int(r.integers(1, 5)), *map(int, r.integers(1, 4, 4))),
                    r.uniform(0.1, 2, (2, 3, 6, 7))),
         lambda F, m, x: F.lp_pool2d(x, m.pnorm, (m.kH, m.kW), (m.dH, m.dW)),
         sized(lambda s: nnmod.SpatialLPPooling(s[1], 2, 2, 2), (2, 8, 16, 16), (16, 32, 28, 28), (32, 64, 56, 56))),
    # resampling
    Twin("SpatialUpSamplingNearest",
         lambda r: (nnmod.SpatialUpSamplingNearest(int(r.integers(2, 5))), r.standard_normal((2, 3, 4, 5))),
         lambda F, m, x: F.interpolate(x, scale_factor=m.scale),
         sized(lambda s: nnmod.SpatialUpSamplingNearest(2), (2, 4, 8, 8), (16, 32, 28, 28), (32, 64, 56, 56))),
    Twin("SpatialUpSamplingBilinear",
         lambda r: (nnmod.SpatialUpSamplingBilinear(dict(zip(("oheight", "owidth"), map(int, r.integers(1, 12, 2))))),
                    r.standard_normal((2, 3, 4, 6))),
         lambda F, m, x: F.interpolate(x, **({"scale_factor": m.scale_factor} if m.scale_factor
                                             else {"size": (m.oheight, m.owidth)}), mode="bilinear", align_corners=True),
         sized(lambda s: nnmod.SpatialUpSamplingBilinear(2), (2, 4, 8, 8), (16, 32, 28, 28), (32, 64, 56, 56))),
    Twin("UpSampling",
         lambda r: (nnmod.UpSampling(int(r.integers(1, 4)), str(r.choice(["nearest", "linear"]))),
                    r.standard_normal((2, 3, 2, 3, 4))),
         lambda F, m, x: F.interpolate(x, scale_factor=m.scale_factor) if m.mode == "nearest" else F.interpolate(
             x, scale_factor=m.scale_factor, mode="trilinear", align_corners=True),
         sized(lambda s: nnmod.UpSampling(2, "linear"), (1, 4, 4, 8, 8), (2, 16, 8, 16, 16), (4, 32, 8, 28, 28))),
    Twin("PixelShuffle", lambda r: (nnmod.PixelShuffle(f := int(r.integers(1, 4))), r.standard_normal((2, 2 * f * f, 3, 4))),
         lambda F, m, x: F.pixel_shuffle(x, m.upscaleFactor),
         sized(lambda s: nnmod.PixelShuffle(2), (2, 8, 8, 8), (16, 64, 28, 28), (32, 64, 56, 56))),
    # criterion
    Twin("MSECriterion",
         lambda r: (nnmod.MSECriterion(sizeAverage=bool(r.integers(2))), r.standard_normal((4, 5)),
                    r.standard_normal((4, 5))),
         lambda F, m, x, t: F.mse_loss(x, t, reduction=_reduction(m)),
         compared(lambda s: nnmod.MSECriterion(), _noise, *_sizes)),
    Twin("AbsCriterion",
         lambda r: (nnmod.AbsCriterion(bool(r.integers(2))), r.standard_normal((4, 5)), r.standard_normal((4, 5))),
         lambda F, m, x, t: F.l1_loss(x, t, reduction=_reduction(m)),
         compared(lambda s: nnmod.AbsCriterion(), _noise, *_sizes)),
    Twin("SmoothL1Criterion",
         lambda r: (nnmod.SmoothL1Criterion(bool(r.integers(2))), 2 * r.standard_normal((4, 5)),
                    r.standard_normal((4, 5))),
         lambda F, m, x, t: F.smooth_l1_loss(x, t, reduction=_reduction(m)),
         compared(lambda s: nnmod.SmoothL1Criterion(), _noise, *_sizes)),
    Twin("L1Cost", lambda r: (nnmod.L1Cost(), r.standard_normal((4, 5)), None), lambda F, m, x, t: x.abs().sum(),
         compared(lambda s: nnmod.L1Cost(), lambda r, s: None, *_sizes)),
    # classification criterion
    Twin("BCECriterion",
         lambda r: (nnmod.BCECriterion(_some(r, r.uniform(size=5)), bool(r.integers(2))), r.uniform(0.01, 0.99, (4, 5)),
                    r.uniform(size=(4, 5))),
         lambda F, m, x, t: F.binary_cross_entropy(x, t, _weights_of(x, m.weights), reduction=_reduction(m)),
         tuple(lambda r, s=s: (nnmod.BCECriterion(), r.uniform(0.01, 0.99, s), r.uniform(size=s)) for s in _sizes)),
    Twin("ClassNLLCriterion",
         lambda r: (nnmod.ClassNLLCriterion(_some(r, r.uniform(size=5)), bool(r.integers(2)), int(r.integers(-2, 5))),
                    r.standard_normal((7, 5)), r.integers(0, 5, 7)),
         lambda F, m, x, t: F.nll_loss(x, t, _weights_of(x, m.weights), ignore_index=m.ignoreIndex,
                                       reduction=_reduction(m)),
         compared(lambda s: nnmod.ClassNLLCriterion(), _classes, (16, 10), (128, 1000), (512, 8192))),
    Twin("SpatialClassNLLCriterion",
         lambda r: (nnmod.SpatialClassNLLCriterion(_some(r, r.uniform(size=5)), bool(r.integers(2)),
                                                   int(r.integers(-2, 5))),
                    r.standard_normal((2, 5, 3, 4)), r.integers(0, 5, (2, 3, 4))),
         lambda F, m, x, t: F.nll_loss(x, t, _weights_of(x, m.weights), ignore_index=m.ignoreIndex,
                                       reduction=_reduction(m)),
         compared(lambda s: nnmod.SpatialClassNLLCriterion(), _classes, (2, 3, 8, 8), (4, 10, 64, 64),
                  (4, 21, 160, 160))),
    Twin("CrossEntropyCriterion",
         lambda r: (nnmod.CrossEntropyCriterion(_some(r, r.uniform(size=5)), bool(r.integers(2))),
                    r.standard_normal((7, 5)), r.integers(0, 5, 7)),
         lambda F, m, x, t: F.cross_entropy(x, t, _weights_of(x, m.nll.weights), reduction=_reduction(m.nll)),
         compared(lambda s: nnmod.CrossEntropyCriterion(), _classes, (16, 10), (128, 1000), (512, 8192))),
    Twin("DistKLDivCriterion",
         lambda r: (nnmod.DistKLDivCriterion(bool(r.integers(2))), r.standard_normal((4, 5)), r.uniform(size=(4, 5))),
         lambda F, m, x, t: F.kl_div(x, t, reduction="sum") / (x.numel() if m.sizeAverage else 1),
         compared(lambda s: nnmod.DistKLDivCriterion(), _unit, *_sizes)),
    Twin("SoftMarginCriterion",
         lambda r: (nnmod.SoftMarginCriterion(bool(r.integers(2))), r.standard_normal((4, 5)), _signs(r, (4, 5))),
         lambda F, m, x, t: F.soft_margin_loss(x, t, reduction=_reduction(m)),
         compared(lambda s: nnmod.SoftMarginCriterion(), _signs, *_sizes)),
    Twin("MultiMarginCriterion",
         lambda r: (nnmod.MultiMarginCriterion(int(r.integers(1, 3)), _some(r, r.uniform(size=5)),
                                               float(r.uniform(0, 2)), bool(r.integers(2))),
                    r.standard_normal((7, 5)), r.integers(0, 5, 7)),
         lambda F, m, x, t: F.multi_margin_loss(x, t, m.p, m.margin, _weights_of(x, m.weights),
                                                reduction=_reduction(m)),
         compared(lambda s: nnmod.MultiMarginCriterion(), _classes, (16, 10), (128, 1000), (512, 8192))),
    Twin("MultiLabelMarginCriterion",
         lambda r: (nnmod.MultiLabelMarginCriterion(bool(r.integers(2))), r.standard_normal((7, 5)),
                    _labels(r, (7, 5))),
         lambda F, m, x, t: F.multilabel_margin_loss(x, t, reduction=_reduction(m)),
         compared(lambda s: nnmod.MultiLabelMarginCriterion(), _labels, (16, 10), (128, 1000), (512, 4096))),
    Twin("MultiLabelSoftMarginCriterion",  # PyTorch's sum is over the means of the rows
         lambda r: (nnmod.MultiLabelSoftMarginCriterion(_some(r, r.uniform(size=5)), bool(r.integers(2))),
                    r.standard_normal((4, 5)), r.uniform(size=(4, 5))),
         lambda F, m, x, t: F.multilabel_soft_margin_loss(x, t, _weights_of(x, m.weights), reduction=_reduction(m))
         * (1 if m.sizeAverage else x.shape[1]),
         compared(lambda s: nnmod.MultiLabelSoftMarginCriterion(), _unit, *_sizes)),
    # embedding criterion
    Twin("HingeEmbeddingCriterion",
         lambda r: (nnmod.HingeEmbeddingCriterion(float(r.uniform(0, 2)), bool(r.integers(2))),
                    r.standard_normal((4, 5)), _signs(r, (4, 5))),
         lambda F, m, x, t: F.hinge_embedding_loss(x, t, m.margin, reduction=_reduction(m)),
         compared(lambda s: nnmod.HingeEmbeddingCriterion(), _signs, *_sizes)),
    Twin("CosineEmbeddingCriterion",
         lambda r: (nnmod.CosineEmbeddingCriterion(float(r.uniform(-0.5, 0.5)), bool(r.integers(2))),
                    [r.standard_normal((6, 5)), r.standard_normal((6, 5))], _signs(r, 6)),
         lambda F, m, x, t: F.cosine_embedding_loss(*x, t, m.margin, reduction=_reduction(m)),
         paired(lambda s: nnmod.CosineEmbeddingCriterion(), lambda r, s: _signs(r, s[0]), *_sizes)),
    Twin("MarginRankingCriterion",
         lambda r: (nnmod.MarginRankingCriterion(float(r.uniform(0, 2)), bool(r.integers(2))),
                    [r.standard_normal(6), r.standard_normal(6)], _signs(r, 6)),
         lambda F, m, x, t: F.margin_ranking_loss(*x, t, m.margin, reduction=_reduction(m)),
         paired(lambda s: nnmod.MarginRankingCriterion(), _signs, (64,), (100_000,), (2_000_000,))),
    # sequence
    Twin("SeqLSTM",
         lambda r: (nnmod.SeqLSTM(a := int(r.integers(1, 20)), int(r.integers(1, 20))),
                    r.standard_normal((int(r.integers(1, 7)), int(r.integers(1, 5)), a))),
         lambda F, m, x: lstm(F, x, m.weight, m.bias, m.inputsize, m.hiddensize),
         sized(lambda s: nnmod.SeqLSTM(s[2], s[2]), (8, 4, 32), (32, 16, 128), (64, 32, 256))),
    Twin("SeqGRU",
         lambda r: (nnmod.SeqGRU(a := int(r.integers(1, 20)), int(r.integers(1, 20))),
                    r.standard_normal((int(r.integers(1, 7)), int(r.integers(1, 5)), a))),
         lambda F, m, x: gru(F, x, m.weight, m.bias, m.inputsize, m.outputsize),
         sized(lambda s: nnmod.SeqGRU(s[2], s[2]), (8, 4, 32), (32, 16, 128), (64, 32, 256))),
    Twin("FastLSTM",
         lambda r: (nnmod.FastLSTM(a := int(r.integers(1, 20)), int(r.integers(1, 20))),
                    r.standard_normal((int(r.integers(1, 5)), a))),
         lambda F, m, x: lstm(F, x[None], m.weight, m.bias, m.inputSize, m.outputSize)[0]),
    # ctc
    Twin("CTCCriterion", lambda r: _ctc_case(r, int(r.integers(9, 20)), int(r.integers(1, 5)), 5, 4), ctc,
         tuple(lambda r, size=size: _ctc_case(r, *size)
               for size in ((20, 2, 10, 5), (100, 16, 30, 20), (200, 32, 80, 40)))),
]


def _transposed(x, pairs):
    for pair in pairs:
        x = x.transpose(*pair)
    return x.contiguous()


def _torch():
    import torch
    return torch
