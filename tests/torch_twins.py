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
    # activation
    Twin("Tanh", lambda r: (nnmod.Tanh(), r.standard_normal((3, 17))), lambda F, m, x: x.tanh(),
         sized(lambda s: nnmod.Tanh(), (16, 64), (128, 1024), (512, 4096))),
    # criterion
    Twin("MSECriterion",
         lambda r: (nnmod.MSECriterion(sizeAverage=bool(r.integers(2))), r.standard_normal((4, 5)),
                    r.standard_normal((4, 5))),
         lambda F, m, x, t: F.mse_loss(x, t, reduction="mean" if m.sizeAverage else "sum")),
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
