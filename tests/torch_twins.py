"""What PyTorch computes for the classes that it has as well: one entry a class.

Read by test_against_torch.py, which compares numbers over random arguments, and by
benchmarks/modules.py, which compares times at three sizes.
"""
from dataclasses import dataclass
from typing import Callable

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


TWINS = [
    # linear
    Twin("Linear",
         lambda r: (nnmod.Linear(a := int(r.integers(1, 40)), int(r.integers(1, 40)), bool(r.integers(2))),
                    r.standard_normal((int(r.integers(1, 9)), a))),
         lambda F, m, x: F.linear(x, m.weight, m.bias),
         sized(lambda s: nnmod.Linear(s[1], s[1]), (16, 64), (128, 512), (512, 2048))),
    # activation
    Twin("Tanh", lambda r: (nnmod.Tanh(), r.standard_normal((3, 17))), lambda F, m, x: x.tanh(),
         sized(lambda s: nnmod.Tanh(), (16, 64), (128, 1024), (512, 4096))),
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
         lambda F, m, x, t: F.mse_loss(x, t, reduction="mean" if m.sizeAverage else "sum")),
]
