"""Tutorial 2: a training loop, by hand, on two spirals.

You learn the five lines that every training loop has, and why each of them is there:

    output = net.forward(x)                         what does the network say?
    loss = criterion.forward(output, t)             how wrong is it?
    net.zeroGradParameters()                        gradients add up, so start from 0
    net.backward(x, criterion.backward(output, t))  which way does the loss grow?
    net.updateParameters(rate)                      go the other way, a little

Nothing owns the loop: it is plain Python that you can stop, print in, and change.
A network of two hidden layers learns to tell two spirals apart, and the picture shows
how its opinion about every point of the plane grows.

    python tutorials/02_training_loop.py
"""
import argparse
import time
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

import nnmod


def main(argv=None):
    options = argparse.ArgumentParser(description="A training loop, by hand, on two spirals.")
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "02",
                         help="folder for the picture (default: tutorials/out/02)")
    options.add_argument("--quick", action="store_true", help="fewer points and epochs, and a lower bar")
    options = options.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    hidden = 64
    count, epochs = (500, 40) if options.quick else (1000, 100)
    bar = 0.80 if options.quick else 0.97
    snapshots = [round(share * epochs) for share in (0, 0.03, 0.1, 0.2, 0.4, 1)]

    print("1. The data: points (x, y) in the plane, and the arm that each belongs to, 0 or 1.")
    points, arms = nnmod.data.spirals(count, noise=0.03, seed=1)
    # Other points, to see what it learned and not what it recalls.
    new_points, new_arms = nnmod.data.spirals(count, noise=0.03, seed=2)
    for point, arm in list(zip(points, arms))[:3]:
        print(f"     ({point[0]:6.3f}, {point[1]:6.3f}) -> arm {arm}")
    print(f"     ... {count} of them, and {count} others to judge by")

    print("\n2. The network: nobody has programmed what a spiral is.")
    nnmod.manualSeed(1)
    net = nnmod.Sequential(
        nnmod.Linear(2, hidden), nnmod.ReLU(),
        nnmod.Linear(hidden, hidden), nnmod.ReLU(),
        nnmod.Linear(hidden, 2), nnmod.LogSoftMax(),  # log of the probability of each arm
    )
    criterion = nnmod.ClassNLLCriterion()  # minus the log-probability of the right arm
    print("    ", str(net).replace("\n", "\n     "))
    numbers = sum(p.size for p in net.parameters()[0])
    print(f"     {numbers} numbers to learn")
    # Knowing nothing, it would say 1/2 to both arms, and -log(1/2) = 0.693 is the loss to beat.
    start = criterion.forward(net.forward(points), arms)
    print(f"     loss before training: {start:.3f}; a coin has {np.log(2):.3f}")
    assert abs(start - np.log(2)) < 0.1

    print("\n3. The loop.")
    rng = np.random.default_rng(1)
    batch_size = 20
    first_rate = 0.3
    fields = [(0, probability_field(net))]
    history = [(0, start, accuracy(net, points, arms))]
    began = time.perf_counter()
    for epoch in range(1, epochs + 1):
        # Large steps at first, small ones at the end, so that it comes to rest.
        rate = first_rate * (1 - 0.9 * (epoch - 1) / epochs)
        order = rng.permutation(count)  # a fixed order could be learned by heart
        for first in range(0, count, batch_size):
            chosen = order[first:first + batch_size]
            x, t = points[chosen], arms[chosen]

            output = net.forward(x)
            criterion.forward(output, t)
            net.zeroGradParameters()
            net.backward(x, criterion.backward(output, t))
            net.updateParameters(rate)

        loss = criterion.forward(net.forward(points), arms)
        history.append((epoch, loss, accuracy(net, points, arms)))
        if epoch in snapshots:
            fields.append((epoch, probability_field(net)))
            print(f"     epoch {epoch:3d}   loss {loss:.4f}   right {100 * history[-1][2]:5.1f} %")
    seconds = time.perf_counter() - began

    print("\n4. What came of it.")
    seen, unseen = accuracy(net, points, arms), accuracy(net, new_points, new_arms)
    print(f"     trained in {seconds:.1f} s")
    print(f"     training points: {100 * seen:.1f} % right; points it never saw: {100 * unseen:.1f} %")
    assert seen >= bar, f"only {100 * seen:.1f} % of the training points are right"
    assert unseen >= bar - 0.05, f"only {100 * unseen:.1f} % of the new points are right"
    assert history[-1][1] < 0.95 * start, "the loss did not go down"

    picture = options.out / "spirals.png"
    draw(points, arms, fields, history, snapshots, picture)
    print(f"     picture: {picture}")


def accuracy(net, points, arms):
    """The share of points whose likelier arm is the right one."""
    return float((net.forward(points).argmax(axis=1) == arms).mean())


# -- the picture ---------------------------------------------------------------------

REACH, PIXELS = 1.25, 160
ARMS = ("#0072B2", "#D55E00")  # blue and orange, apart for every kind of eye
FIELD = LinearSegmentedColormap.from_list("field", ["#9CCBEA", "#FFFFFF", "#F8C79E"])
matplotlib.rcParams.update({"font.size": 11, "axes.titlesize": 12})


def probability_field(net):
    """The probability of arm 1 at every pixel of the square around the spirals."""
    line = np.linspace(-REACH, REACH, PIXELS, dtype=np.float32)
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    return np.exp(net.forward(grid)[:, 1]).reshape(PIXELS, PIXELS)


def draw(points, arms, fields, history, snapshots, path):
    """Six moments of training over the loss of all epochs."""
    figure = Figure((10, 9.4), layout="constrained")
    rows = figure.add_gridspec(3, 3, height_ratios=[3, 3, 1.9])
    panels = [figure.add_subplot(rows[i // 3, i % 3]) for i in range(6)]
    by_epoch = {epoch: (loss, right) for epoch, loss, right in history}
    for axes, (epoch, field) in zip(panels, fields):
        image = axes.imshow(field, cmap=FIELD, vmin=0, vmax=1, origin="lower",
                            extent=(-REACH, REACH, -REACH, REACH), interpolation="bilinear")
        line = np.linspace(-REACH, REACH, PIXELS)
        if field.min() < 0.5 < field.max():
            axes.contour(line, line, field, levels=[0.5], colors="#303030", linewidths=1)
        for arm, color in enumerate(ARMS):
            axes.scatter(*points[arms == arm].T, s=7, color=color, edgecolors="white", linewidths=0.25)
        axes.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        name = "before training" if epoch == 0 else f"epoch {epoch}"
        axes.set_title(f"{name}: {100 * by_epoch[epoch][1]:.1f} % right")
    for axes in panels[3:]:
        axes.set_xlabel("x")
    for axes in panels[::3]:
        axes.set_ylabel("y")
    bar = figure.colorbar(image, ax=panels, shrink=0.6, aspect=32, ticks=[0, 0.5, 1])
    bar.set_label("the network's probability of the orange arm")

    axes = figure.add_subplot(rows[2, :])
    epochs, losses, _ = zip(*history)
    axes.semilogy(epochs, losses, color="#303030", lw=1.6)
    axes.plot(snapshots, [by_epoch[epoch][0] for epoch in snapshots], "o", color="#009E73", ms=8,
              label="the moments above")
    axes.axhline(np.log(2), color="#808080", ls="--", lw=1)
    axes.text(epochs[-1], np.log(2) * 1.12, "a coin: log 2", ha="right", color="#606060")
    axes.set(xlabel="epoch", ylabel="loss of all points", title="The loss on the way")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="lower left")
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
