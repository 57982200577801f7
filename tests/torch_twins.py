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


def _table(r):
    """Connections between random planes, the last of each connected."""
    C, O, K = _numbers(r, 1, 6), _numbers(r, 1, 6), _numbers(r, 0, 12)
    return np.array([(C - 1, O - 1)] + [(_numbers(r, 0, C), _numbers(r, 0, O)) for _ in range(K)])


def _mapped(cls):
    def draw(r):
        module = cls(_table(r), *_numbers(r, 1, 4, 4), bias=bool(r.integers(2)))
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
    # activation
    Twin("Tanh", lambda r: (nnmod.Tanh(), r.standard_normal((3, 17))), lambda F, m, x: x.tanh(),
         sized(lambda s: nnmod.Tanh(), (16, 64), (128, 1024), (512, 4096))),
    # criterion
    Twin("MSECriterion",
         lambda r: (nnmod.MSECriterion(sizeAverage=bool(r.integers(2))), r.standard_normal((4, 5)),
                    r.standard_normal((4, 5))),
         lambda F, m, x, t: F.mse_loss(x, t, reduction="mean" if m.sizeAverage else "sum")),
]
