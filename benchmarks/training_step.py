"""How long does a whole training step take?

Zero gradients, forward, loss, backward and a step of SGD with momentum on both sides, from
the same weights and data, in alternating rounds of one process; medians.  torch runs eager, in
the faster of its two memory layouts; "fused" is ``net.fused()``.  A step counts only if the
losses of all sides agree to 1e-3 over 20 steps.  GF/s are those of the products alone, a
convolution counted as the plain sum: Winograd's method can go beyond the peak.
"""
import numpy as np

import nnmod

from . import networks
from .harness import Row, find_torch, measure, threads

TITLE = "Training steps"
STEPS = 20
TOLERANCE = 1e-3
RATE, MOMENTUM = 1e-3, 0.9


def rows(run):
    """A line for each network, batch and number of threads."""
    for network in networks.NETWORKS:
        for batch in network.batches:
            name = f"{network.name}, batch {batch}"
            if run.wants(name):
                for count in run.threads:
                    yield _row(run, network, name, batch, count)


def _row(run, network, name, batch, count):
    sizes = network.tiny if run.tiny else {}
    batch = min(batch, 2) if run.tiny else batch
    with threads(count):
        net = networks.build(network, **sizes)
        x, target = network.batch(batch)
        fused = networks.build(network, **sizes).fused()
        tasks = {"nnmod": our_step(net, x, target), "fused": our_step(fused, x, target)}
        torch = find_torch()
        if torch:
            peer = networks.build_torch(network, torch, net, **sizes)
            forms = networks.torch_forms(torch, peer, x)
            tasks |= {form: torch_step(torch, *pair, target) for form, pair in forms.items()}
        # The steps that are timed are those whose losses are compared: a long one is expensive enough.
        least = 3 if run.tiny else STEPS
        losses = {side: [] for side in tasks}
        tasks = {side: _noted(task, losses[side], least) for side, task in tasks.items()}
        times = measure(tasks, run.seconds, count, least)
    ours, forms = times.pop("nnmod"), {"fused": times.pop("fused")}
    return Row(name, ours, times, count, flops=networks.flops(net), goal=network.goals.get((batch, count)),
               forms=forms, invalid=difference(losses))


def our_step(net, x, target):
    """function() -> loss: a whole step of *net*."""
    criterion = nnmod.CrossEntropyCriterion()
    flat, gradFlat = net.getParameters()
    config = {"learningRate": RATE, "momentum": MOMENTUM, "dampening": 0}

    def evaluate(flat):
        gradFlat.fill(0)
        loss = criterion.forward(net.forward(x), target)
        net.backward(x, criterion.backward(net.output, target))
        return loss, gradFlat

    return lambda: nnmod.optim.sgd(evaluate, flat, config)[1][0]


def torch_step(torch, net, x, target):
    """function() -> loss: the same of a network of torch."""
    criterion, target = torch.nn.CrossEntropyLoss(), torch.from_numpy(target.copy())
    learning = [p for name, p in net.named_parameters() if not name.endswith(networks.SILENT)]
    optimizer = torch.optim.SGD(learning, lr=RATE, momentum=MOMENTUM)

    def step():
        net.zero_grad()
        loss = criterion(net(x), target)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def _noted(task, losses, most):
    """*task*, whose first *most* results go into *losses*."""
    def step():
        loss = task()
        if len(losses) < most:
            losses.append(loss)
    return step


def difference(losses):
    """What is wrong with the losses of the peers, or an empty string."""
    ours = np.array(losses.pop("nnmod"))
    for side, theirs in losses.items():
        apart = float(np.max(np.abs(ours - theirs) / np.maximum(1e-3, np.abs(theirs))))
        if not apart < TOLERANCE:
            return f"losses {apart:.0e} apart"
    return ""
