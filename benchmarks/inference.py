"""How long does one answer take, beside onnxruntime and torch?

Batch 1, evaluation mode: the fused network (``net.fused()``) and the plain one, onnxruntime on
the same network with the same weights, and torch eager in inference mode.  The outputs of all
sides are compared first.
"""
import importlib.util

import numpy as np

import nnmod as nn

from . import networks
from .harness import Row, find_torch, measure, threads

TITLE = "Inference"

#: What is wanted of onnxruntime / fused, network by network.
GOALS = dict(zip((network.name for network in networks.NETWORKS), (1.1, 1.3, 1.2, 1.0, 1.0), strict=True))


def make(network, **sizes):
    """The network, with running statistics as after some training, and one sample."""
    net = networks.build(network, **sizes).training()
    for _ in range(3):
        net.forward(network.batch(8)[0])
    return net.evaluate().clearState(), network.batch(1)[0]


# -- the peers --------------------------------------------------------------------------------------

class _Graph:
    """An ONNX graph that grows by one module at a time."""

    def __init__(self):
        self.nodes, self.tensors, self.count = [], [], 0

    def tensor(self, value):
        import onnx

        name = f"w{len(self.tensors)}"
        self.tensors.append(onnx.numpy_helper.from_array(np.array(value, order="C"), name))
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
        if isinstance(module, nn.Select):
            return self.node("Gather", [x, self.tensor(np.int64(module.index))], axis=module.dimension)
        if isinstance(module, nn.SeqLSTM):
            D, H = module.inputsize, module.outputsize
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


def torch_net(network, net, torch, **sizes):
    """The same in torch, in evaluation mode."""
    peer = networks.build_torch(network, torch, net, **sizes)
    ours = (m for m in net.listModules() if isinstance(m, (nn.BatchNormalization, nn.SpatialBatchNormalization)))
    theirs = (m for m in peer.modules() if isinstance(m, torch.nn.BatchNorm2d))
    for here, there in zip(ours, theirs, strict=True):
        there.running_mean.copy_(torch.from_numpy(here.running_mean))
        there.running_var.copy_(torch.from_numpy(here.running_var))
    return peer.eval()


# -- the table --------------------------------------------------------------------------------------

def rows(run):
    """A line for each network and number of threads; ours is the fused one, the plain one stands beside it."""
    torch = find_torch()
    has_onnx = all(importlib.util.find_spec(name) for name in ("onnx", "onnxruntime"))
    for network in networks.NETWORKS:
        if not run.wants(network.name):
            continue
        sizes = network.tiny if run.tiny else {}
        net, x = make(network, **sizes)
        fused = net.fused()
        for count in run.threads:
            tasks = {"nnmod": lambda: fused.forward(x), "plain": lambda: net.forward(x)}
            if has_onnx:
                tasks["onnxruntime"] = onnx_session(net, x, count)
            if torch:
                tasks["torch"] = _torch_answer(torch, torch_net(network, net, torch, **sizes), x)
            with threads(count):
                want = tasks["plain"]().copy()
                for task in tasks.values():
                    np.testing.assert_allclose(task(), want, rtol=1e-3, atol=1e-4 * abs(want).max())
                times = measure(tasks, run.seconds, count)
            yield Row(network.name, times.pop("nnmod"), {name: times[name] for name in times if name != "plain"}, count,
                      goal=GOALS[network.name] if has_onnx else None, forms={"plain": times["plain"]})


def _torch_answer(torch, peer, x):
    given = torch.from_numpy(x)

    def answer():
        with torch.inference_mode():
            return peer(given).numpy()

    return answer
