"""The networks of the tables, for both sides: the same layers, weights and data.

Each entry of NETWORKS says how to build the network here and in torch, what it is fed, and
which ratios are wanted.  The parameters of both stand in the same order, so that one loop
copies them.
"""
import copy
import dataclasses
from collections.abc import Callable

import numpy as np

import nnmod as nn


@dataclasses.dataclass(frozen=True)
class Network:
    """A network on both sides, and what one of its batches looks like."""

    name: str
    ours: Callable
    #: ``function(torch) -> module``
    theirs: Callable
    batches: tuple
    #: Of one sample; ``batch_axis`` is where the batch goes.
    shape: tuple
    batch_axis: int = 0
    #: Ratio torch / nnmod wanted of a training step: {(batch, threads): ratio}.
    goals: dict = dataclasses.field(default_factory=dict)
    #: A form of the network for tests, that computes nothing of size: arguments for ours and theirs.
    tiny: dict = dataclasses.field(default_factory=dict)

    def batch(self, count):
        """Normal input and class numbers, the same every time."""
        rng = np.random.default_rng(count)
        shape = (*self.shape[:self.batch_axis], count, *self.shape[self.batch_axis:])
        return rng.standard_normal(shape).astype(np.float32), rng.integers(0, 10, count)


def build(network, **sizes):
    """The network here, from a fixed seed."""
    nn.manualSeed(1)
    net = network.ours(**sizes)
    net.needsGradInput = False  # as torch, which computes no gradient of the data either
    return net


def build_torch(network, torch, net, **sizes):
    """The same in torch, with the parameters of *net*."""
    peer = network.theirs(torch, **sizes)
    parameters = [p for name, p in peer.named_parameters() if not name.endswith(SILENT)]
    values = [value for module in net.listModules() for value in _in_torchs_order(module)]
    with torch.no_grad():
        for parameter, value in zip(parameters, values, strict=True):
            parameter.copy_(torch.from_numpy(value))
        for name, parameter in peer.named_parameters():
            if name.endswith(SILENT):
                parameter.zero_()
    return peer


#: torch's LSTM adds two biases: these stay zero, so that both sides learn the same.
SILENT = ("bias_hh_l0", "bias_hh_l1")


def _in_torchs_order(module):
    if isinstance(module, nn.SeqLSTM):
        # Ours: input over state, columns i f o g.  torch's: two matrices with rows i f g o.
        D, H = module.inputsize, module.outputsize
        order = np.concatenate([np.arange(2 * H), np.arange(3 * H, 4 * H), np.arange(2 * H, 3 * H)])
        weight = module.weight.T[order]
        return [np.ascontiguousarray(part) for part in (weight[:, :D], weight[:, D:], module.bias[order])]
    own = (getattr(module, name, None) for name in module.paramNames)
    return [value.copy() for value in own if value is not None]


# -- MLP ----------------------------------------------------------------------------------------------

def _mlp(hidden=512):
    return nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
                         nn.Linear(hidden, 10))


def _torch_mlp(torch, hidden=512):
    nn = torch.nn
    return nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(),
                         nn.Linear(hidden, 10))


# -- LeNet --------------------------------------------------------------------------------------------

def _lenet(first=20, second=50, hidden=500):
    return nn.Sequential(
        nn.SpatialConvolution(1, first, 5, 5), nn.ReLU(), nn.SpatialMaxPooling(2, 2),
        nn.SpatialConvolution(first, second, 5, 5), nn.ReLU(), nn.SpatialMaxPooling(2, 2),
        nn.View(second * 16, numInputDims=3), nn.Linear(second * 16, hidden), nn.ReLU(), nn.Linear(hidden, 10))


def _torch_lenet(torch, first=20, second=50, hidden=500):
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(1, first, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(first, second, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(second * 16, hidden), nn.ReLU(), nn.Linear(hidden, 10))


# -- VGG ----------------------------------------------------------------------------------------------

def _vgg(width=64, hidden=512):
    net, planes = nn.Sequential(), 3
    for times in (1, 2, 4):
        for _ in range(2):
            net.add(nn.SpatialConvolution(planes, times * width, 3, 3, 1, 1, 1, 1))
            planes = times * width
            net.add(nn.SpatialBatchNormalization(planes)).add(nn.ReLU())
        net.add(nn.SpatialMaxPooling(2, 2))
    return net.add(nn.View(planes * 16, numInputDims=3)).add(nn.Linear(planes * 16, hidden)).add(nn.ReLU()).add(
        nn.Linear(hidden, 10))


def _torch_vgg(torch, width=64, hidden=512):
    nn = torch.nn
    layers, planes = [], 3
    for times in (1, 2, 4):
        for _ in range(2):
            layers += [nn.Conv2d(planes, times * width, 3, padding=1), nn.BatchNorm2d(times * width), nn.ReLU()]
            planes = times * width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(planes * 16, hidden), nn.ReLU(), nn.Linear(hidden, 10))


# -- ResNet-18 for 32x32 ------------------------------------------------------------------------------

# In place wherever that is right, on both sides: so are the definitions in use, fb.resnet.torch's and torchvision's.

_STAGES = ((1, 1), (1, 1), (2, 2), (2, 1), (4, 2), (4, 1), (8, 2), (8, 1))  # times the width, stride


def _convolution(C, O, k, stride):
    return nn.SpatialConvolution(C, O, k, k, stride, stride, k // 2, k // 2, bias=False)


def _block(C, O, stride):
    main = nn.Sequential(_convolution(C, O, 3, stride), nn.SpatialBatchNormalization(O), nn.ReLU(True),
                         _convolution(O, O, 3, 1), nn.SpatialBatchNormalization(O))
    short = nn.Identity() if stride == 1 and C == O else nn.Sequential(
        _convolution(C, O, 1, stride), nn.SpatialBatchNormalization(O))
    return nn.Sequential(nn.ConcatTable(main, short), nn.CAddTable(True), nn.ReLU(True))


def _resnet(width=64):
    net = nn.Sequential(_convolution(3, width, 3, 1), nn.SpatialBatchNormalization(width), nn.ReLU(True))
    planes = width
    for times, stride in _STAGES:
        net.add(_block(planes, times * width, stride))
        planes = times * width
    return net.add(nn.SpatialAveragePooling(4, 4)).add(nn.View(planes, numInputDims=3)).add(nn.Linear(planes, 10))


def _torch_resnet(torch, width=64):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, C, O, stride):
            super().__init__()
            self.main = nn.Sequential(nn.Conv2d(C, O, 3, stride, 1, bias=False), nn.BatchNorm2d(O), nn.ReLU(True),
                                      nn.Conv2d(O, O, 3, 1, 1, bias=False), nn.BatchNorm2d(O))
            self.short = nn.Identity() if stride == 1 and C == O else nn.Sequential(
                nn.Conv2d(C, O, 1, stride, bias=False), nn.BatchNorm2d(O))

        def forward(self, x):
            sum = self.main(x)
            sum += self.short(x)
            return torch.relu_(sum)

    layers, planes = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)], width
    for times, stride in _STAGES:
        layers.append(Block(planes, times * width, stride))
        planes = times * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(planes, 10))


# -- LSTM ---------------------------------------------------------------------------------------------

def _lstm(hidden=256):
    return nn.Sequential(nn.SeqLSTM(256, hidden), nn.SeqLSTM(hidden, hidden), nn.Select(0, -1), nn.Linear(hidden, 10))


def _torch_lstm(torch, hidden=256):
    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(256, hidden, 2)
            self.linear = torch.nn.Linear(hidden, 10)

        def forward(self, x):
            return self.linear(self.lstm(x)[0][-1])

    return Classifier()


# torch 2.13 corrupts its memory on a ResNet of fewer planes in channels_last: tiny is not smaller.
NETWORKS = (
    Network("MLP 784-512-512-10", _mlp, _torch_mlp, (128, 16, 1), (784,), tiny={"hidden": 16}, goals={
        (128, 1): 2.5, (128, 2): 2.5, (16, 1): 2.5, (16, 2): 2.2, (1, 1): 2.0, (1, 2): 2.0}),
    Network("LeNet", _lenet, _torch_lenet, (64,), (1, 28, 28), tiny={"first": 2, "second": 3, "hidden": 8},
            goals={(64, 1): 2.2, (64, 2): 2.2}),
    Network("VGG with BatchNormalization", _vgg, _torch_vgg, (32,), (3, 32, 32), tiny={"width": 2, "hidden": 8},
            goals={(32, 1): 2.5, (32, 2): 2.3}),
    Network("ResNet-18 for 32x32", _resnet, _torch_resnet, (32,), (3, 32, 32), tiny={"width": 16},
            goals={(32, 1): 2.0, (32, 2): 1.8}),
    Network("LSTM 2 x 256, 64 steps", _lstm, _torch_lstm, (32,), (64, 256), batch_axis=1, tiny={"hidden": 8},
            goals={(32, 1): 1.3, (32, 2): 1.3}),
)


def flops(net):
    """Multiply-adds, counted twice, of a training step of a network whose forward has run; of its products alone."""
    total = 0
    for index, module in enumerate(m for m in net.listModules() if m.parameters()[0] and not m.modules):
        y = module.output
        if isinstance(module, nn.Linear):
            one = 2 * y.size * module.weight.shape[1]
        elif isinstance(module, nn.SpatialConvolution):
            one = 2 * y.size * module.weight[0].size
        elif isinstance(module, nn.SeqLSTM):
            one = 2 * y.size // module.outputsize * module.weight.size
        else:
            continue
        total += one * (2 if index == 0 else 3)  # the first layer computes no gradient of its input
    return total


def torch_forms(torch, peer, x):
    """The memory layouts of torch that this network can run in: {name: (module, input)}."""
    found = {"torch": (peer, torch.from_numpy(x.copy()))}
    if x.ndim == 4:
        last = torch.channels_last
        found["torch channels_last"] = (copy.deepcopy(peer).to(memory_format=last),
                                        torch.from_numpy(x.copy()).contiguous(memory_format=last))
    return found
