"""Tutorial 5: what is inside.  Activations and gradients, layer by layer.

You learn to look into a network while it works.  Every module keeps what it computed,
`output` and `gradInput`, and its gradients, `gradWeight` and `gradBias`, until the next
pass; `namedModules()` walks through all of them.  That is all the instrument you need to
see why a deep network does not learn:

    - gradients that vanish on their way back through eight layers, and two cures;
    - ReLU units that are dead: they never fire, so they never learn, so they never fire.

    python tutorials/05_inside.py
"""
import argparse
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

import nnmod
from nnmod import init


def main(argv=None):
    options = argparse.ArgumentParser(description="Activations and gradients, layer by layer.")
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "05",
                         help="folder for the pictures (default: tutorials/out/05)")
    options.add_argument("--quick", action="store_true", help="fewer digits and epochs, and a lower bar")
    options = options.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    count, epochs, bar = (600, 5, 0.5) if options.quick else (2000, 8, 0.8)

    images, digits = nnmod.data.mnist5000()
    x = images.reshape(len(images), -1)
    x = (x - x.mean()) / x.std()
    _, (x, t) = nnmod.data.split(x, digits, count, seed=1)

    print("1. One backward pass through eight layers of sigmoids, and a walk through what it left behind")
    criterion = nnmod.ClassNLLCriterion()
    nets = {
        "sigmoid": deep_net(nnmod.Sigmoid),
        "sigmoid, batch normalization": deep_net(nnmod.Sigmoid, normalize=True),
        "ReLU": deep_net(nnmod.ReLU),
        "ReLU, Kaiming's start": kaiming_start(deep_net(nnmod.ReLU)),
    }
    for net in nets.values():
        criterion.forward(net.forward(x), t)
        net.backward(x, criterion.backward(net.output, t))
    print("     path                       spread of output   |gradInput|   |gradWeight|")
    for path, module in nets["sigmoid"].namedModules():
        if isinstance(module, nnmod.Linear):
            print(f"     {path:24}   {module.output.std():16.3f}   {norm(module.gradInput):11.1e}   "
                  f"{norm(module.gradWeight):12.1e}")
    print("     The derivative of a sigmoid is 1/4 at most: each layer lets little of a gradient pass.")

    print("\n2. The same for four networks: |gradWeight| in the first layer and in the last")
    gradients, share = {}, {}
    for name, net in nets.items():
        linears, containers = net.findModules(nnmod.Linear)
        norms = gradients[name] = [norm(linear.gradWeight) for linear in linears]
        share[name] = norms[0] / norms[-1]
        print(f"     {name:30} {norms[0]:8.1e}   {norms[-1]:8.1e}   ratio {share[name]:.0e}")
    assert share["sigmoid"] < 1e-4, "the sigmoids' gradient should vanish"
    # Linear starts from U(-1/sqrt(n), 1/sqrt(n)), as in Torch7: 0.41 of the deviation that keeps the
    # signal of a ReLU alive, and 0.41 once more in each layer.  Kaiming's start has all of it.
    assert share["ReLU, Kaiming's start"] > 0.1, "Kaiming's start should carry the gradient through"
    assert share["sigmoid, batch normalization"] > 0.1, "batch normalization should carry it through, too"
    draw_activations(nets, options.out / "activations.png")

    print(f"\n3. Can they learn?  {epochs} epochs each, at the same rate")
    losses = {}
    for name, net in nets.items():
        losses[name] = train(net, x, t, epochs)
        print(f"     {name:30} loss {losses[name][0]:.3f} -> {losses[name][-1]:.3f}   "
              f"{100 * accuracy(net, x, t):5.1f} % of the digits right")
    assert accuracy(nets["sigmoid"], x, t) < 0.2, "nothing should reach the first layers of the sigmoids"
    assert accuracy(nets["ReLU, Kaiming's start"], x, t) > bar
    assert accuracy(nets["sigmoid, batch normalization"], x, t) > bar
    draw_gradients(gradients, losses, options.out / "gradients.png")

    print("\n4. Dead units: 100 ReLUs with a bias that starts at -5, and with one that starts at 0")
    maps = {}
    for start in (-5, 0):
        nnmod.manualSeed(1)
        net = kaiming_start(nnmod.Sequential(nnmod.Linear(784, 100), nnmod.ReLU(),
                                             nnmod.Linear(100, 10), nnmod.LogSoftMax()))
        hidden, relu = net[0], net[1]
        hidden.bias.fill(start)

        criterion.forward(net.forward(x), t)
        net.zeroGradParameters()
        net.backward(x, criterion.backward(net.output, t))
        fires = relu.output > 0
        dead = ~fires.any(axis=0)  # not for a single image
        silent = ~hidden.gradWeight.any(axis=1) & (hidden.gradBias == 0)
        assert np.array_equal(dead, silent), "a unit without output has no gradient, and the other way round"
        before = hidden.weight.copy()
        train(net, x, t, epochs)
        assert np.array_equal(hidden.weight[dead], before[dead]), "a dead unit learned something"
        moved = (hidden.weight != before).any(axis=1).sum()
        right = accuracy(net, x, t)
        maps[start] = fires, right
        print(f"     bias {start:2}: {dead.sum():3d} of 100 units are dead; after {epochs} epochs "
              f"{moved:3d} units have moved, {100 * right:.1f} % right")
        if start == 0:
            assert dead.sum() == 0 and moved == 100 and right > bar
        else:
            assert dead.sum() > 50 and moved <= 100 - dead.sum()
    assert maps[-5][1] < maps[0][1] - 0.05, "the dead units should be missed"
    print("     The gradient of a dead unit is exactly 0: not one of its weights has changed by a bit.")
    draw_dead_units(maps, options.out / "dead_units.png")
    print(f"     pictures: {options.out}/activations.png, gradients.png, dead_units.png")


def deep_net(activation, normalize=False):
    """Seven hidden layers of 100 units, and one that names the digit; the same numbers every time."""
    nnmod.manualSeed(1)
    net = nnmod.Sequential()
    for inputs in [784] + [100] * 6:
        net.add(nnmod.Linear(inputs, 100))
        if normalize:
            net.add(nnmod.BatchNormalization(100))
        net.add(activation())
    return net.add(nnmod.Linear(100, 10)).add(nnmod.LogSoftMax())


def kaiming_start(net):
    """Weights from N(0, 2/n): twice the variance, since a ReLU stops half of what comes in."""
    for linear in net.findModules(nnmod.Linear)[0]:
        init.kaiming(linear.weight, linear.inputSize)
        linear.bias.fill(0)
    return net


def train(net, x, t, epochs):
    """The loop of tutorial 3; returns the mean loss before training and of each epoch."""
    criterion = nnmod.ClassNLLCriterion()
    flat, gradFlat = net.getParameters()
    config = {"learningRate": 0.01, "momentum": 0.9, "dampening": 0.0}
    losses = [criterion.forward(net.forward(x), t)]
    batches = nnmod.data.minibatches(x, t, batchSize=50 if len(x) > 1000 else 20, seed=1)
    for epoch in range(epochs):
        total = 0.0
        for inputs, targets in batches:
            loss = criterion.forward(net.forward(inputs), targets)
            net.zeroGradParameters()
            net.backward(inputs, criterion.backward(net.output, targets))
            nnmod.optim.sgd(lambda flat: (loss, gradFlat), flat, config)
            total += loss * len(targets)
        losses.append(total / batches.samples)
    return losses


def accuracy(net, x, t):
    """The share of digits that are right, in evaluation mode."""
    right = float((net.evaluate().forward(x).argmax(axis=1) == t).mean())
    net.training()
    return right


def norm(values):
    return float(np.sqrt(np.square(values, dtype=np.float64).sum()))


# -- the pictures --------------------------------------------------------------------

STYLES = {  # apart for every kind of eye, and in grey
    "sigmoid": ("#D55E00", "o"),
    "sigmoid, batch normalization": ("#E69F00", "s"),
    "ReLU": ("#56B4E9", "^"),
    "ReLU, Kaiming's start": ("#0072B2", "D"),
}
GREY = "#606060"
matplotlib.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})


def draw_activations(nets, path):
    """What the units of each hidden layer say, as histograms."""
    figure = Figure((10.6, 7.2), layout="constrained")
    grid = figure.subplots(4, 7)
    for depth, axes in enumerate(grid[0], 1):
        axes.set_title(f"layer {depth}", fontsize=11)
    for row, (name, net) in zip(grid, nets.items()):
        layers = [m for _, m in net.namedModules() if isinstance(m, (nnmod.Sigmoid, nnmod.ReLU))]
        sigmoid = isinstance(layers[0], nnmod.Sigmoid)
        bins = np.linspace(0, 1 if sigmoid else 2, 41)
        for axes, layer in zip(row, layers):
            values = layer.output
            # A ReLU's zeros would hide all else: they are counted, and left out of the histogram.
            counts, _ = np.histogram(values if sigmoid else values[values > 0], bins)
            axes.stairs(counts / counts.max(), bins, fill=True, color=STYLES[name][0])
            text = f"spread {values.std():.2f}"
            if not sigmoid:
                text += f"\n{100 * (values == 0).mean():.0f} % are 0"
            axes.text(0.97, 1.0, text, transform=axes.transAxes, ha="right", va="top", fontsize=9)
            axes.set(yticks=[], ylim=(0, 1.25), xlim=(bins[0], bins[-1]),
                     xticks=[0, 0.5, 1] if sigmoid else [0, 1, 2])
            axes.set_xticklabels(["0", "½", "1"] if sigmoid else ["0", "1", "2"], fontsize=9)
        row[0].set_ylabel(name.replace(", ", ",\n"), fontsize=11)
    figure.suptitle("The outputs of the hidden layers before training, over all images")
    figure.savefig(path, dpi=150)


def draw_gradients(gradients, losses, path):
    """How much gradient reaches each layer, and what comes of it."""
    figure = Figure((10.6, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    for name, (color, marker) in STYLES.items():
        layers = range(1, len(gradients[name]) + 1)
        left.semilogy(layers, gradients[name], marker=marker, color=color, lw=2, ms=6, label=name)
        right.plot(range(len(losses[name])), losses[name], marker=marker, color=color, lw=2, ms=6, label=name)
    left.set(title="The gradient that reaches each layer, before training",
             xlabel="layer: 1 is next to the image", ylabel="norm of gradWeight", xticks=layers)
    left.grid(alpha=0.25)
    left.legend(frameon=False, loc="lower right")
    right.axhline(np.log(10), color=GREY, ls="--", lw=1)
    right.text(len(losses["ReLU"]) - 1, np.log(10) + 0.04, "guessing: log 10", color=GREY, ha="right",
               va="bottom", fontsize=10)
    right.set(title="What comes of it", xlabel="epoch", ylabel="training loss", ylim=(0, 3.2))
    right.grid(alpha=0.25)
    figure.savefig(path, dpi=150)


def draw_dead_units(maps, path):
    """Which unit fires for which image."""
    figure = Figure((10.6, 4.6), layout="constrained")
    for axes, (start, (fires, right)) in zip(figure.subplots(1, 2), maps.items()):
        shares = fires.mean(axis=0)
        order = np.argsort(-shares, kind="stable")
        dead = int((shares == 0).sum())
        few = fires[::len(fires) // 200][:200]  # 20 of each digit: the data are in order
        shown = few[:, order].T.astype(int)
        shown[100 - dead:] = 2
        axes.imshow(shown, cmap=ListedColormap(["#FFFFFF", "#0072B2", "#F2B28C"]), vmin=0, vmax=2,
                    aspect="auto", interpolation="nearest", extent=(0, 200, 100, 0))
        axes.spines[:].set_visible(True)
        axes.set(xlabel="200 images, by their digit", ylabel="hidden unit, the busiest first",
                 xticks=range(10, 200, 20), xticklabels=range(10),
                 title=f"bias starts at {start}: {dead} of 100 dead\n"
                       f"{100 * right:.1f} % right after training")
        if dead > 10:
            axes.text(100, 100 - dead / 2, f"{dead} units that never fire,\nand so never learn",
                      ha="center", va="center", fontsize=12)
    figure.suptitle("Blue: this unit fires for this image, before training", fontsize=11, color="#0072B2")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
