"""Changing and printing trees, beside what the real Torch7 printed."""
import re

import numpy as np

import nnmod
from golden_data import GOLDEN
from test_golden import api_network

CASE = GOLDEN.case("module_api__1")


def printed(text):
    """The modules of a printed tree in order: class, and sizes where it has any."""
    return re.findall(r"nn\.(\w+)(?:\((\d+ -> \d+)\))?", text)


def ours(net):
    return [(type(m).__name__, m.describe() if isinstance(m, nnmod.Linear) else "") for m in net.listModules()]


def test_the_tree_that_torch_prints():
    assert ours(api_network()) == printed(CASE["tostring"])


def test_replace():
    net = api_network()
    assert net.replace(lambda m: nnmod.Tanh() if isinstance(m, nnmod.ReLU) else m) is net
    assert ours(net) == printed(CASE["replaced_tostring"])


def test_insert_and_remove():
    net = nnmod.Sequential(nnmod.Linear(3, 4), nnmod.Tanh())
    net.insert(0, nnmod.Sigmoid())
    assert isinstance(net.remove(), nnmod.Tanh)
    assert ours(net) == printed(CASE["insert_remove_tostring"])


def test_sharing_survives_a_change_of_type():
    first = nnmod.Linear(3, 3).double()
    net = nnmod.Sequential(first, first.clone("weight", "bias", "gradWeight", "gradBias"))
    net.float()
    assert (net[0].weight is net[1].weight and net[0].gradWeight is net[1].gradWeight) == CASE["float_shared_kept"]
    assert net[0].weight.dtype == np.float32
