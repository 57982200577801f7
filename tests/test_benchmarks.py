"""Every table of benchmarks/ works, on sizes that say nothing about speed; its pages say what was measured."""
import json
import math

import numpy as np
import pytest

import nnmod
from benchmarks import __main__ as program
from benchmarks import harness, networks, only_here, report, training_step

TINY = harness.Run(threads=(1,), seconds=0, tiny=True)
#: Every class of torch's is measured by a test of its own elsewhere: here one says that the table works.
ONLY = {"modules": "ReLU", "startup": "import nnmod", "convolution": "LeNet 1-20", "only_here": "Clamp",
        "memory": "training step of VGG"}


@pytest.mark.parametrize("name", program.tables())
def test_table(name):
    module = program.tables()[name]
    if name == "modules" or name == "inference":
        pytest.importorskip("torch", reason="PyTorch is not installed")
    rows = list(module.rows(harness.dataclasses.replace(TINY, only=ONLY.get(name, ""))))
    assert module.TITLE and module.__doc__
    assert rows or name == "gpu", "only a machine without a GPU has nothing to say"
    for row in rows:
        assert row.ours > 0 and not row.invalid, row
        assert all(seconds > 0 for seconds in row.peers.values())
        assert len(harness.cells(row, harness.Limits(100.0, 10.0))) == len(harness.HEADER)


def test_every_class_is_measured_beside_torch_or_alone_or_has_a_reason():
    found, names = only_here.configurations(), set(only_here.names())
    assert {name for name in names if name not in found} <= set(only_here.SKIPPED)
    for name, (make, _) in only_here.LARGE.items():
        assert name in {type(module).__name__ for module in make().listModules()}
    assert set(only_here.SKIPPED) <= names and set(only_here.LARGE) <= names - set(only_here.SKIPPED)


def test_bytes_that_must_be_moved():
    x = np.ones((3, 4), np.float32)
    for module, moved in ((nnmod.Identity(), 0), (nnmod.Clamp(0, 1), 5 * 48), (nnmod.GradientReversal(), 2 * 48)):
        module.forward(x)
        module.backward(x, x)
        assert only_here._moved(module, x, x) == moved, module


def test_the_seven_networks_of_the_training_table():
    names = [f"{network.name}, {batch}" for network in networks.NETWORKS for batch in network.batches]
    assert len(names) == 7
    for network in networks.NETWORKS:
        assert set(network.goals) == {(batch, count) for batch in network.batches for count in (1, 2)}


def test_a_step_whose_losses_differ_does_not_count():
    assert training_step.difference({"nnmod": [1.0, 0.5], "torch": [1.0, 0.5001]}) == ""
    assert "apart" in training_step.difference({"nnmod": [1.0, 0.5], "torch": [1.0, 0.51]})
    assert "apart" in training_step.difference({"nnmod": [1.0, math.nan], "torch": [1.0, 0.5]})
    row = harness.Row("x", 1.0, {"torch": 2.0}, goal=1.5, invalid="losses 1e-02 apart")
    assert math.isnan(row.ratio) and row.missed


def test_the_fastest_peer_counts():
    row = harness.Row("x", 1.0, {"torch": 4.0, "torch channels_last": 2.0}, goal=2.5)
    assert (row.ratio, row.peer, row.missed) == (2.0, "torch channels_last", True)


def test_flops_of_a_network_are_those_of_its_products():
    network = networks.NETWORKS[0]
    net = networks.build(network)
    x, _ = network.batch(16)
    net.forward(x)
    first, others = 784 * 512, 512 * 512 + 512 * 10
    assert networks.flops(net) == 2 * 16 * (2 * first + 3 * others)


def made():
    rows = [harness.Row("2 x 3 x 4 NN", 1e-6, {"NumPy": 2e-6}, 1, flops=48.0, goal=3.0),
            harness.Row("copy", 1e-3, {}, 1, bytes=1e6, at_most=1e-4)]
    return report.Report({"processor": "one"}, {1: harness.Limits(100.0, 10.0)}, {"gemm": rows})


def test_json_keeps_everything():
    data = json.loads(json.dumps(report.to_json(made())))
    assert report.from_json(data) == made()
    assert data["tables"]["gemm"][0]["ratio"] == 2.0


def test_a_page_says_what_was_missed():
    page = report.to_markdown(made(), {"gemm": ("Products", "About products.")})
    assert "| 2 x 3 x 4 NN | 1 | 1.00 us | 2.00 us NumPy | 2.00 | 3.00 missed | 0.05 GF/s | 0% |" in page
    assert "| 2 x 3 x 4 NN | 1 | 2.00 | 3.00 | 0.67 us | 0% |" in page.partition("missed\n")[2]
    assert "| copy | 1 | 1.00 ms | < 100 us | " in page.partition("missed\n")[2]


def test_bytes_are_not_seconds():
    row = harness.Row("step", 5e8, {"torch": 6e8}, goal=1.0, at_most=4e8, forms={"fused": 3e8}, unit="B")
    assert harness.cells(row)[2:6] == ("500 MB; fused 300 MB", "600 MB torch", "1.20", "1.00 missed")
    page = report.to_markdown(report.Report({}, {}, {"memory": [row]}), {"memory": ("Memory", "About bytes.")})
    assert "| step | 1 | 500 MB | < 400 MB |  |  |" in page


def test_later_reports_overrule():
    first, later = made(), made()
    later.tables["gemm"] = [harness.Row("copy", 5e-3, {}, 1), harness.Row("copy", 4e-3, {}, 2)]
    assert [row.ours for row in report.merge([first, later]).tables["gemm"]] == [1e-6, 5e-3, 4e-3]
    other = made()
    other.machine = {"processor": "two"}
    with pytest.raises(ValueError, match="different machines"):
        report.merge([made(), other])


def test_the_picture(tmp_path):
    pytest.importorskip("matplotlib")
    report.draw_roofline(made(), tmp_path / "roof.png")
    assert (tmp_path / "roof.png").stat().st_size > 1000


def test_an_unknown_table_is_named(capsys):
    with pytest.raises(SystemExit):
        program.main(["gem"])
    assert "there is no table 'gem'; there are training_step" in capsys.readouterr().err
