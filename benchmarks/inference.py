"""How long does one answer take, beside onnxruntime and torch?

Batch 1, evaluation mode: the fused network (``net.fused()``) and the plain one, onnxruntime on
the same network with the same weights, and torch eager in inference mode.  The outputs of all
sides are compared first.
"""
import importlib.util

import numpy as np

import nnmod as nn

from .harness import Row, find_torch, measure, threads

TITLE = "Inference"

#: What is wanted of onnxruntime / fused on one thread.
GOALS = {"MLP": 1.1, "LeNet": 1.3, "VGG": 1.2, "ResNet-18": 1.0, "LSTM": 1.0}


# -- the networks ---------------------------------------------------------------------------------

def mlp():
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def lenet():
    return nn.Sequential(
        nn.SpatialConvolution(1, 20, 5, 5), nn.ReLU(), nn.SpatialMaxPooling(2, 2),
        nn.SpatialConvolution(20, 50, 5, 5), nn.ReLU(), nn.SpatialMaxPooling(2, 2),
        nn.View(800, numInputDims=3), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))


def vgg():
    net, planes = nn.Sequential(), 3
    for width in (64, 128, 256):
        for _ in range(2):
            net.add(nn.SpatialConvolution(planes, width, 3, 3, 1, 1, 1, 1))
            net.add(nn.SpatialBatchNormalization(width)).add(nn.ReLU())
            planes = width
        net.add(nn.SpatialMaxPooling(2, 2))
    return net.add(nn.View(4096, numInputDims=3)).add(nn.Linear(4096, 512)).add(nn.ReLU()).add(nn.Linear(512, 10))


def resnet():
    def convolution(C, O, k, stride):
        return nn.SpatialConvolution(C, O, k, k, stride, stride, k // 2, k // 2, bias=False)

    def block(C, O, stride):
        main = nn.Sequential(convolution(C, O, 3, stride), nn.SpatialBatchNormalization(O), nn.ReLU(),
                             convolution(O, O, 3, 1), nn.SpatialBatchNormalization(O))
        short = nn.Identity() if stride == 1 and C == O else nn.Sequential(
            convolution(C, O, 1, stride), nn.SpatialBatchNormalization(O))
        return nn.Sequential(nn.ConcatTable(main, short), nn.CAddTable(), nn.ReLU())

    net = nn.Sequential(convolution(3, 64, 3, 1), nn.SpatialBatchNormalization(64), nn.ReLU())
    planes = 64
    for width, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        net.add(block(planes, width, stride))
        planes = width
    return net.add(nn.SpatialAveragePooling(4, 4)).add(nn.View(512, numInputDims=3)).add(nn.Linear(512, 10))


def lstm():
    return nn.Sequential(nn.SeqLSTM(256, 256), nn.SeqLSTM(256, 256))


NETWORKS = {"MLP": (mlp, (1, 784)), "LeNet": (lenet, (1, 1, 28, 28)), "VGG": (vgg, (1, 3, 32, 32)),
            "ResNet-18": (resnet, (1, 3, 32, 32)), "LSTM": (lstm, (64, 1, 256))}


def make(name):
    """The network, with running statistics as after some training, and an input."""
    build, shape = NETWORKS[name]
    nn.manualSeed(1)
    net = build()
    rng = np.random.default_rng(0)
    net.training()
    for _ in range(3):
        net.forward(rng.standard_normal((8, *shape[1:])).astype(np.float32) if name != "LSTM"
                    else rng.standard_normal(shape).astype(np.float32))
    return net.evaluate().clearState(), rng.standard_normal(shape).astype(np.float32)


# -- the peers --------------------------------------------------------------------------------------

class _Graph:
    """An ONNX graph that grows by one module at a time."""

    def __init__(self):
        self.nodes, self.tensors, self.count = [], [], 0

    def tensor(self, value):
        import onnx

        name = f"w{len(self.tensors)}"
        self.tensors.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind, inputs, outputs=1, **attributes):
        import onnx

        self.count += 1
        names = [f"n{self.count}_{k}" for k in range(outputs)]
        self.nodes.append(onnx.helper.make_node(kind, inputs, names, **attributes))
        return names[0]

    def add(self, module, x):
        """The name of what *module* makes of *x*: a name, or a list of them."""
        if isinstance(module, nn.Sequential):
            for child in module:
                x = self.add(child, x)
            return x
        if isinstance(module, nn.ConcatTable):
            return [self.add(child, x) for child in module]
        if isinstance(module, nn.CAddTable):
            return self.node("Add", x)
        if isinstance(module, nn.Identity):
            return x
        if isinstance(module, nn.ReLU):
            return self.node("Relu", [x])
        if isinstance(module, nn.Linear):
            return self.node("Gemm", [x, self.tensor(module.weight), self.tensor(module.bias)], transB=1)
        if isinstance(module, nn.SpatialConvolution):
            weights = [self.tensor(module.weight)] + ([] if module.bias is None else [self.tensor(module.bias)])
            return self.node("Conv", [x, *weights], strides=[module.dH, module.dW], kernel_shape=[module.kH, module.kW],
                             pads=[module.padH, module.padW] * 2)
        if isinstance(module, nn.SpatialBatchNormalization):
            values = (module.weight, module.bias, module.running_mean, module.running_var)
            return self.node("BatchNormalization", [x, *map(self.tensor, values)], epsilon=module.eps)
        if isinstance(module, (nn.SpatialMaxPooling, nn.SpatialAveragePooling)):
            kind = "MaxPool" if isinstance(module, nn.SpatialMaxPooling) else "AveragePool"
            return self.node(kind, [x], kernel_shape=[module.kH, module.kW], strides=[module.dH, module.dW])
        if isinstance(module, nn.View):
            return self.node("Flatten", [x])
        if isinstance(module, nn.SeqLSTM):
            D, H = module.inputsize, module.hiddensize
            gates = [module.weight[:, k * H:(k + 1) * H] for k in (0, 2, 1, 3)]  # ONNX has i, o, f, c
            weight = np.concatenate(gates, axis=1).T
            bias = np.concatenate([module.bias[k * H:(k + 1) * H] for k in (0, 2, 1, 3)])
            weights = [weight[None, :, :D], weight[None, :, D:], np.concatenate([bias, np.zeros_like(bias)])[None]]
            out = self.node("LSTM", [x, *map(self.tensor, weights)], hidden_size=H)
            return self.node("Squeeze", [out, self.tensor(np.array([1], np.int64))])
        raise TypeError(f"no ONNX node is known for {module!r}")


def onnx_session(net, x, threads):
    """*net* in onnxruntime: a function of no arguments that returns its output."""
    import onnx
    import onnxruntime

    graph = _Graph()
    output = graph.add(net, "input")
    info = onnx.helper.make_tensor_value_info
    model = onnx.helper.make_model(
        onnx.helper.make_graph(graph.nodes, "net", [info("input", 1, x.shape)], [info(output, 1, None)], graph.tensors),
        opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"input": x})[0]


def torch_net(net, torch):
    """*net* in torch."""
    T = torch.nn

    def converted(module):
        if isinstance(module, nn.Sequential):
            return T.Sequential(*map(converted, module))
        if isinstance(module, nn.ConcatTable):
            return Branches(map(converted, module))
        if isinstance(module, nn.CAddTable):
            return Sum()
        if isinstance(module, nn.Linear):
            made = T.Linear(module.inputSize, module.outputSize)
        elif isinstance(module, nn.SpatialConvolution):
            made = T.Conv2d(module.nInputPlane, module.nOutputPlane, (module.kH, module.kW), (module.dH, module.dW),
                            (module.padH, module.padW), bias=module.bias is not None)
        elif isinstance(module, nn.SpatialBatchNormalization):
            made = T.BatchNorm2d(module.nOutput)
            made.running_mean.copy_(torch.from_numpy(module.running_mean))
            made.running_var.copy_(torch.from_numpy(module.running_var))
        elif isinstance(module, nn.SeqLSTM):
            return Lstm(module)
        else:
            return {nn.ReLU: T.ReLU, nn.Identity: T.Identity, nn.View: T.Flatten,
                    nn.SpatialMaxPooling: lambda: T.MaxPool2d(2), nn.SpatialAveragePooling: lambda: T.AvgPool2d(4),
                    }[type(module)]()
        made.weight.copy_(torch.from_numpy(module.weight))
        if module.bias is not None:
            made.bias.copy_(torch.from_numpy(module.bias))
        return made

    class Branches(T.Module):
        def __init__(self, branches):
            super().__init__()
            self.branches = T.ModuleList(branches)

        def forward(self, x):
            return [branch(x) for branch in self.branches]

    class Sum(T.Module):
        def forward(self, parts):
            return parts[0] + parts[1]

    class Lstm(T.Module):
        def __init__(self, module):
            super().__init__()
            D, H = module.inputsize, module.hiddensize
            self.lstm = T.LSTM(D, H)
            order = np.concatenate([np.arange(k * H, (k + 1) * H) for k in (0, 1, 3, 2)])  # torch has i, f, g, o
            weight = torch.from_numpy(np.ascontiguousarray(module.weight[:, order].T))
            self.lstm.weight_ih_l0.copy_(weight[:, :D])
            self.lstm.weight_hh_l0.copy_(weight[:, D:])
            self.lstm.bias_ih_l0.copy_(torch.from_numpy(module.bias[order]))
            self.lstm.bias_hh_l0.zero_()

        def forward(self, x):
            return self.lstm(x)[0]

    with torch.no_grad():
        return converted(net).eval()


# -- the table --------------------------------------------------------------------------------------

def rows(run):
    """A line for each network and number of threads; ours is the fused one, the plain one stands beside it."""
    torch = find_torch()
    has_onnx = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
    for name in NETWORKS:
        if not run.wants(name) or (run.tiny and name != "MLP"):
            continue
        net, x = make(name)
        fused = net.fused()
        for count in run.threads:
            tasks = {"nnmod": lambda: fused.forward(x), "plain": lambda: net.forward(x)}
            if has_onnx:
                tasks["onnxruntime"] = onnx_session(net, x, count)
            if torch:
                tasks["torch"] = _torch_answer(torch, net, x)
            with threads(count):
                want = tasks["plain"]().copy()
                for task in tasks.values():
                    np.testing.assert_allclose(task(), want, rtol=1e-3, atol=1e-4 * abs(want).max())
                times = measure(tasks, run.seconds, count)
            ours, plain = times.pop("nnmod"), times.pop("plain")
            yield Row(name, ours, times, count, goal=GOALS[name] if has_onnx else None, forms={"plain": plain})


def _torch_answer(torch, net, x):
    peer, given = torch_net(net, torch), torch.from_numpy(x)

    def answer():
        with torch.inference_mode():
            return peer(given).numpy()

    return answer
