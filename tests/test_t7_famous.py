"""Classes of packages beside nn that well-known files hold: they load and run, or say why not."""
import io

import numpy as np
import pytest

import nnmod
from nnmod.serialization import t7, t7_format, t7_writer
from nnmod.serialization.t7_format import Table, Torch


def table(*items, **fields):
    """A raw table of *items* and *fields*."""
    made = Table()
    made.items += [(float(i + 1), raw(item)) for i, item in enumerate(items)]
    made.items += [(name.encode(), raw(value)) for name, value in fields.items()]
    return made


def raw(value):
    """A raw object of a Python value; raw ones stay."""
    return value if isinstance(value, (Table, Torch)) else t7_writer.to_raw(value, False)


def thing(name, **fields):
    made = Torch(name, 1)
    made.content = table(**{"_type": "torch.FloatTensor", "train": True, **fields})
    return made


def loaded(root):
    file = io.BytesIO()
    t7_format.Writer(file).object(root)
    return nnmod.load(io.BytesIO(file.getvalue()))


def runs(net, *shape):
    """Forward and backward of *net*; returns the output."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    output = net.forward(x)
    assert net.backward(x, np.ones_like(output)).shape == x.shape
    return output


def test_a_network_in_a_data_parallel_table_is_its_first_replica():
    replica, other = nnmod.Sequential(nnmod.Linear(3, 2), nnmod.Tanh()), nnmod.Linear(3, 2)
    for holder in (thing("nn.DataParallelTable", modules=table(replica, other), dimension=1),
                   thing("nn.DataParallelTable", modules=table(replica), impl="serialized")):
        net = loaded(thing("nn.Sequential", modules=table(holder, nnmod.LogSoftMax())))
        assert repr(net[0]) == repr(replica)
        np.testing.assert_array_equal(net[0][0].weight, replica[0].weight)
        assert runs(net, 4, 3).shape == (4, 2)
    assert isinstance(loaded(holder), nnmod.Sequential)


def test_what_a_data_parallel_table_holds_may_be_missing_or_unknown():
    for modules in (table(), table(thing("nn.Mystery")), table(3)):
        net = loaded(thing("nn.DataParallelTable", modules=modules))
        assert isinstance(net, t7.Opaque) and net.className == "nn.DataParallelTable"


@pytest.mark.parametrize("field", ["module", "modules"])
def test_dpnns_inception_is_the_module_in_it(field):
    branches = nnmod.DepthConcat(1, nnmod.SpatialConvolution(2, 3, 1, 1), nnmod.SpatialConvolution(2, 2, 3, 3))
    holder = thing("nn.Inception", **{field: raw(branches) if field == "module" else table(branches)},
                   inputSize=2)
    net = loaded(thing("nn.Sequential", modules=table(holder, nnmod.ReLU())))
    assert isinstance(net[0], nnmod.DepthConcat)
    assert runs(net, 2, 2, 5, 5).shape == (2, 5, 5, 5)


def test_imagine_nns_pooling_rounds_up():
    size = dict(kW=3, kH=3, dW=2, dH=2)
    for more in ({}, {"padW": 0, "padH": 0, "ceil_mode": False}):
        net = loaded(thing("inn.SpatialMaxPooling", **size, **more))
        assert isinstance(net, nnmod.SpatialMaxPooling) and net.ceilMode is True
        assert runs(net, 1, 2, 6, 6).shape == (1, 2, 3, 3)
    net = loaded(thing("inn.SpatialCrossResponseNormalization", size=3, alpha=1e-4, beta=0.75))
    assert isinstance(net, nnmod.SpatialCrossMapLRN) and runs(net, 1, 4, 3, 3).shape == (1, 4, 3, 3)


    net = loaded(thing("inn.SpatialAveragePooling", **size))
    assert isinstance(net, nnmod.SpatialAveragePooling) and runs(net, 1, 2, 6, 6).shape == (1, 2, 3, 3)
    x = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
    assert net.forward(x)[0, 0, 2, 2] == x[0, 0, 4:, 4:].mean()
    same = loaded(thing("inn.SpatialSameResponseNormalization", modules=table(nnmod.Tanh()), size=3))
    assert repr(same) == repr(nnmod.Sequential(nnmod.Tanh()))


def test_cudnns_own_classes():
    clipped = loaded(thing("cudnn.ClippedReLU", ceiling=6, inplace=True))
    assert repr(clipped) == repr(nnmod.HardTanh(0, 6, True))
    assert loaded(thing("cudnn.SpatialCrossMapLRN", size=5, alpha=1e-4, beta=0.75, K=2)).k == 2
    weight, bias = np.arange(24, dtype=np.float32).reshape(4, 6), np.ones(4, np.float32)
    fields = dict(inputFrameSize=3, outputFrameSize=4, kW=3, kH=2, dW=1, dH=2, weight=weight, bias=bias)
    net = loaded(thing("cudnn.TemporalConvolution", padH=0, **fields))
    assert (net.kW, net.dW) == (2, 2)
    x = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    np.testing.assert_allclose(net.forward(x)[1], weight @ x[2:4].reshape(6) + bias, rtol=1e-5)
    padded = loaded(thing("cudnn.TemporalConvolution", padH=1, **fields))
    assert isinstance(padded, t7.Opaque) and "pads its input" in padded.reason


def test_a_convolution_with_the_batch_last_is_not_taken_for_another():
    """cuda-convnet's layout: its weight has as many elements as that of a SpatialConvolution, in another order."""
    net = loaded(thing("nn.SpatialConvolutionCUDA", nInputPlane=2, nOutputPlane=4, kW=3, kH=3, dW=1, dH=1,
                       weight=np.zeros((2, 3, 3, 4), np.float32)))
    assert isinstance(net, t7.Opaque)


def test_small_packages():
    assert repr(loaded(thing("OneHot", outputSize=5))) == repr(nnmod.OneHot(5))
    assert repr(loaded(thing("stn.AffineGridGeneratorBHWD", height=2, width=3))) == repr(
        nnmod.AffineGridGeneratorBHWD(2, 3))
    serial = loaded(thing("nn.Serial", module=nnmod.Linear(3, 2)))
    assert isinstance(serial, nnmod.Linear) and runs(serial, 4, 3).shape == (4, 2)
    matrix = loaded(thing("nn.AffineTransformMatrixGenerator", fullMode=True))
    assert runs(matrix, 1, 6).shape == (1, 2, 3)
    other = loaded(thing("nn.AffineTransformMatrixGenerator", fullMode=False, useRotation=True))
    assert isinstance(other, t7.Opaque) and "angles" in other.reason


def test_the_lstm_of_torch_rnn():
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((5, 8)).astype(np.float32), rng.standard_normal(8).astype(np.float32)
    net = loaded(thing("nn.LSTM", input_dim=3, hidden_dim=2, weight=weight, bias=bias, gradWeight=weight * 0,
                       gradBias=bias * 0, remember_states=True))
    assert isinstance(net, nnmod.SeqLSTM) and net.batchfirst
    x = rng.standard_normal((4, 5, 3)).astype(np.float32)
    h = c = np.zeros((4, 2), np.float32)
    for t in range(5):
        i, f, o, g = np.split(np.hstack([x[:, t], h]) @ weight + bias, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
    np.testing.assert_allclose(net.forward(x)[:, -1], h, rtol=1e-4, atol=1e-5)


def test_tensors_of_open_cl():
    data = t7_writer.to_raw(np.arange(3, dtype=np.float32), False)
    data.name, data.storage.name = "torch.ClTensor", "torch.ClStorage"
    np.testing.assert_array_equal(loaded(data), [0, 1, 2])


@pytest.mark.parametrize("ascii", [False, True])
def test_containers_of_tds(ascii):
    vector, made = Torch("tds.Vec", 0), Torch("tds.Hash", 0)
    vector.content, made.content = table("x", True, 2.5), table(**{"a": 1, "v": vector})
    vector.content.items[1] = (2.0, None)
    made.content.items.append((3.0, raw({"plain": [1]})))
    file = io.BytesIO()
    t7_format.Writer(file, ascii).object(raw([made, vector]))
    value = nnmod.load(io.BytesIO(file.getvalue()))
    assert value == [{"a": 1, "v": ["x", None, 2.5], 3: {"plain": [1]}}, ["x", None, 2.5]]
    assert value[0]["v"] is value[1]
    again = io.BytesIO()
    t7_format.Writer(again, ascii).object(t7_format.read(file.getvalue()))
    assert again.getvalue() == file.getvalue()
    with pytest.raises(nnmod.T7Error):
        nnmod.load(io.BytesIO(file.getvalue()[:-9]))


def test_instance_normalization_of_fast_neural_style():
    weight, bias = np.array([2, 3], np.float32), np.array([-1, 1], np.float32)
    state = dict(nOutput=2, eps=1e-5, momentum=0.1, running_mean=np.zeros(2, np.float32),
                 running_var=np.ones(2, np.float32), prev_batch_size=-1)
    inner = nnmod.SpatialBatchNormalization(4)
    net = loaded(thing("nn.InstanceNormalization", affine=True, weight=weight, bias=bias, bn=inner, **state))
    y = runs(net, 3, 2, 4, 5)
    np.testing.assert_allclose(y.mean((2, 3)), np.tile(bias, (3, 1)), atol=1e-6)
    np.testing.assert_allclose(y.std((2, 3)), np.tile(weight, (3, 1)), rtol=1e-4)
    plain = loaded(thing("nn.InstanceNormalization", affine=False, **state))
    assert plain.weight is None and runs(plain, 1, 2, 3, 3).shape == (1, 2, 3, 3)


def test_old_forms_of_a_convolution_and_a_depth_concat():
    conv = nnmod.SpatialConvolution(2, 3, 3, 3)
    old = thing("nn.SpatialConvolutionMM", nInputPlane=2, nOutputPlane=3, kW=3, kH=3, dW=1, dH=1, padding=1,
                weight=conv.weight.reshape(3, 18).copy(), bias=conv.bias)
    concat = thing("nn.DepthConcat", dimension=2, modules=table(old, nnmod.SpatialConvolution(2, 1, 1, 1)))
    net = loaded(concat)
    assert runs(net, 1, 2, 4, 4).shape == (1, 4, 4, 4)
    padded = nnmod.Sequential(nnmod.SpatialZeroPadding(1), conv)
    x = np.random.default_rng(1).standard_normal((1, 2, 4, 4)).astype(np.float32)
    np.testing.assert_allclose(net[0].forward(x), padded.forward(x), rtol=1e-5, atol=1e-6)
