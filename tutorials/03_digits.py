"""Tutorial 3: LeNet reads handwritten digits.

You learn to train a convolutional network on real data, with the loop of tutorial 2 and
four things that every real training has: data held out to judge by, an optimizer on the
flat parameters, a progress bar, and a file with the trained model that can be loaded
again.  Then you look at what the network learned, and at what it still gets wrong.

The data are 5,000 digits of MNIST, 4,000 to learn from and 1,000 to judge by.  Expect
more than 98 % right after less than a minute on two cores.

    python tutorials/03_digits.py
"""
import argparse
import hashlib
import time
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import nnmod


def main(argv=None):
    options = argparse.ArgumentParser(description="LeNet reads handwritten digits.")
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "03",
                         help="folder for the pictures and the model (default: tutorials/out/03)")
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--seed", type=int, default=1, help="the same seed gives the same bits")
    options.add_argument("--quick", action="store_true", help="fewer digits, two epochs, and a lower bar")
    options = options.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    epochs, batch_size, bar = (2, 20, 0.60) if options.quick else (options.epochs, 50, 0.97)

    print("1. The data")
    images, digits = nnmod.data.mnist5000()
    # The split has a seed of its own: whatever the seed of the run, the judges are the same.
    # (Another split moves the result by half a percent: 1,000 digits are not many.)
    train, held_out = nnmod.data.split(images, digits, 1000, seed=1)
    if options.quick:
        _, train = nnmod.data.split(*train, 600, seed=1)
        _, held_out = nnmod.data.split(*held_out, 200, seed=1)
    # Mean 0 and deviation 1, so that the first steps have the right size.  Both numbers come
    # from the training images: those held out must not have a say.
    mean, std = float(train[0].mean()), float(train[0].std())
    train = (train[0] - mean) / std, train[1]
    held_out = (held_out[0] - mean) / std, held_out[1]
    print(f"     {len(train[0])} digits to learn from, {len(held_out[0])} held out, as many of each digit")

    print("2. The network")
    nnmod.manualSeed(options.seed)
    net = nnmod.Sequential(
        nnmod.SpatialConvolution(1, 20, 5, 5),   # 1 x 28 x 28 -> 20 x 24 x 24
        nnmod.SpatialMaxPooling(2, 2),           #             -> 20 x 12 x 12
        nnmod.SpatialConvolution(20, 50, 5, 5),  #             -> 50 x 8 x 8
        nnmod.SpatialMaxPooling(2, 2),           #             -> 50 x 4 x 4
        nnmod.View(800, numInputDims=3),
        nnmod.Linear(800, 500), nnmod.ReLU(),
        nnmod.Linear(500, 10), nnmod.LogSoftMax(),
    )
    net.needsGradInput = False  # nobody asks how the loss changes with the image: skip that work
    criterion = nnmod.ClassNLLCriterion()
    # One vector of all weights and one of all gradients: what an optimizer works on.
    flat, gradFlat = net.getParameters()
    print("    ", str(net).replace("\n", "\n     "))
    print(f"     {flat.size} numbers to learn")

    print("3. One step of a copy", flush=True)
    # Kernels are compiled when they are first called, and kept on disk.  The copy makes that
    # happen now, so that the clock below measures training only.
    began = time.perf_counter()
    copy = net.clone()
    training_step(copy, criterion, train[0][:batch_size], train[1][:batch_size], *copy.getParameters(),
                  {"learningRate": 0.0, "momentum": 0.9, "dampening": 0.0})
    print(f"     compiling kernels ... {time.perf_counter() - began:.1f} s")

    print("4. Training")
    # Left alone, the network learns the 4,000 by heart.  Moved by a pixel at random, hardly
    # an image comes twice: that saves a quarter of the mistakes on the others.
    rng = np.random.default_rng(options.seed)
    batches = nnmod.data.minibatches(*train, batch_size, seed=options.seed)
    config = {"momentum": 0.9, "dampening": 0.0}
    log = nnmod.Logger(options.out / "log.tsv")
    log.setNames(["training loss", "held-out loss", "training accuracy", "held-out accuracy"])
    began = time.perf_counter()
    for epoch in range(1, epochs + 1):
        # Large steps to get near, small ones to settle.
        config["learningRate"] = 0.03 * (1 - 0.9 * (epoch - 1) / epochs)
        bar_of_epoch = nnmod.progress(batches, text=f"epoch {epoch}/{epochs}")
        for x, t in bar_of_epoch:
            loss = training_step(net, criterion, shifted(x, rng), t, flat, gradFlat, config)
            accuracy = np.mean(net.output.argmax(axis=1) == t)
            bar_of_epoch.show(len(t), loss=loss, accuracy=accuracy)
        means = bar_of_epoch.means
        scores = predict(net, held_out[0])
        right = np.mean(scores.argmax(axis=1) == held_out[1])
        log.add([means["loss"], criterion.forward(scores, held_out[1]), means["accuracy"], right])
        spent = time.perf_counter() - began
        print(f"     epoch {epoch}: {100 * right:.1f} % of the held-out digits are right; "
              f"{spent:.0f} s gone, {spent / epoch * (epochs - epoch):.0f} s to go", flush=True)
    seconds = time.perf_counter() - began

    print("5. The result")
    print(f"     training time: {seconds:.1f} s")
    print(f"     held-out accuracy: {100 * right:.2f} %")
    print(f"     fingerprint of the weights: {hashlib.sha256(flat.tobytes()).hexdigest()[:16]}")
    assert right >= bar, f"only {100 * right:.1f} % of the held-out digits are right"

    print("6. Saved and loaded")
    path = options.out / "lenet.safetensors"
    # What the images were scaled by belongs to the model: without it nobody can use it.
    nnmod.save_checkpoint(path, net, mean=mean, std=std, epochs=epochs)
    saved = nnmod.load_checkpoint(path)
    again = predict(saved["model"], held_out[0])
    same = again.tobytes() == scores.tobytes()
    assert same, "the loaded model computes something else"
    assert (saved["mean"], saved["std"]) == (mean, std)
    print(f"     {path} ({path.stat().st_size / 1e6:.1f} MB)")
    print(f"     the loaded model gives the same {scores.size} outputs, equal to the bit")

    print("7. What it learned, and what it did not")
    confusion = nnmod.ConfusionMatrix(10)
    confusion.batchAdd(scores, held_out[1])
    draw_curves(log, options.out / "learning_curves.png")
    draw_filters(net, held_out, options.out / "filters.png")
    draw_confusion(confusion, options.out / "confusion.png")
    wrong = draw_mistakes(scores, *held_out, options.out / "mistakes.png")
    assert wrong == confusion.mat.sum() - np.trace(confusion.mat) == round((1 - right) * len(scores))
    print(f"     {wrong} of {len(scores)} are wrong: see mistakes.png")
    print(f"     pictures: {options.out}/learning_curves.png, filters.png, confusion.png, mistakes.png")


def training_step(net, criterion, x, t, flat, gradFlat, config):
    """The lines of tutorial 2, with an optimizer for the last of them; returns the loss."""
    loss = criterion.forward(net.forward(x), t)
    net.zeroGradParameters()
    net.backward(x, criterion.backward(net.output, t))
    # An optimizer asks for the loss and the gradient at flat: they are there already.
    nnmod.optim.sgd(lambda flat: (loss, gradFlat), flat, config)
    return loss


def shifted(images, rng):
    """Each image moved by up to one pixel each way, at random: still the same digit."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    moved = np.empty_like(images)
    for i, (top, left) in enumerate(rng.integers(0, 3, (len(images), 2))):
        moved[i] = padded[i, :, top:top + 28, left:left + 28]
    return moved


def predict(net, images):
    """The log-probability of each digit for each image, with the network in evaluation mode."""
    net.evaluate()
    # The output belongs to the network and is overwritten by the next batch: copy it.
    scores = [net.forward(images[i:i + 100]).copy() for i in range(0, len(images), 100)]
    net.training()
    return np.concatenate(scores)


# -- the pictures --------------------------------------------------------------------

TRAIN, HELD_OUT, WRONG, GREY = "#0072B2", "#009E73", "#D55E00", "#606060"
matplotlib.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})


def draw_curves(log, path):
    """Loss and error over the epochs."""
    figure = Figure((9.6, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = np.array(log.rows)
    epochs = np.arange(1, len(rows) + 1)
    for axes, columns, ticks in [(left, rows[:, :2], [0.01, 0.03, 0.1, 0.3, 1, 3]),
                                 (right, 100 * (1 - rows[:, 2:]), [0.1, 0.3, 1, 3, 10, 30])]:
        for column, color, marker, name in [(columns[:, 0], TRAIN, "o", "training, on shifted images"),
                                            (columns[:, 1], HELD_OUT, "s", "held out")]:
            axes.semilogy(epochs, column, marker=marker, ms=5, color=color, lw=1.8, label=name)
        low, high = axes.get_ylim()
        axes.minorticks_off()
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set(xlabel="epoch", xticks=epochs, ylim=(low, high))
        axes.grid(alpha=0.25)
    left.set(title="Loss", ylabel="mean of -log p(right digit)")
    right.set(title=f"Error: in the end {100 - 100 * rows[-1, 3]:.1f} % of the held-out digits",
              ylabel="wrong, in %")
    left.legend(frameon=False)
    figure.savefig(path, dpi=150)


def draw_filters(net, held_out, path):
    """The 20 filters of the first layer, and what each makes of one digit."""
    image = held_out[0][np.flatnonzero(held_out[1] == 5)[0]]
    maps = net[0].forward(image)  # without a batch: (20, 24, 24)
    weight = net[0].weight[:, 0]
    figure = Figure((10.6, 3.95), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[2, 10])
    axes = left.subplots()
    axes.imshow(image[0], cmap="gray_r")
    axes.set_title("the input", fontsize=11)
    grid = right.subplots(4, 10)
    reach, strength = np.abs(weight).max(), np.abs(maps).max()
    for index in range(20):
        row, column = 2 * (index // 10), index % 10
        shown = grid[row, column].imshow(weight[index], cmap="RdBu_r", vmin=-reach, vmax=reach)
        found = grid[row + 1, column].imshow(maps[index], cmap="PuOr_r", vmin=-strength, vmax=strength)
        grid[row, column].set_title(str(index), fontsize=9, pad=3)
    for box in (axes, *grid.flat):
        box.set(xticks=[], yticks=[])
        box.spines[:].set(visible=True, color="#c0c0c0")
    for row, name in enumerate(["filter", "its map"] * 2):
        grid[row, 0].set_ylabel(name, fontsize=10)
    for image, name in [(shown, "weight: red asks for ink"), (found, "map: orange is a yes")]:
        bar = right.colorbar(image, ax=grid, aspect=25, shrink=0.8)
        bar.set_label(name, fontsize=9)
        bar.ax.tick_params(labelsize=8)
    figure.suptitle("The first layer: 20 filters of 5 x 5, and where each of them finds what it looks for")
    figure.savefig(path, dpi=150)


def draw_confusion(confusion, path):
    """Which digit was taken for which; the mistakes are framed."""
    figure = Figure((6.2, 5.9), layout="constrained")
    axes = figure.add_subplot()
    confusion.plot(axes)
    is_wrong = confusion.mat - np.diag(confusion.mat.diagonal()) > 0
    for digit, said in np.argwhere(is_wrong):
        axes.plot(said, digit, "s", ms=24, mfc="none", mec=WRONG, mew=1.8)
    axes.set(xlabel="the network says", ylabel="the digit is",
             title=f"Held-out digits: {100 * confusion.totalValid:.1f} % right")
    axes.spines[:].set_visible(True)
    figure.savefig(path, dpi=150)


def draw_mistakes(scores, images, digits, path):
    """The worst mistakes: wrong, and sure of it.  Returns how many mistakes there are."""
    said = scores.argmax(axis=1)
    wrong = np.flatnonzero(said != digits)
    wrong = wrong[np.argsort(-scores[wrong, said[wrong]], kind="stable")]  # the surest first
    figure = Figure((9.6, 5.9), layout="constrained")
    blocks = figure.subfigures(2, 6, hspace=0.03).ravel()
    for block, index in zip(blocks, wrong):
        probability = np.exp(scores[index])
        above, below = block.subplots(2, 1, height_ratios=[3.4, 1])
        above.imshow(images[index, 0, 2:26, 2:26], cmap="gray_r")
        above.set(xticks=[], yticks=[])
        above.spines[:].set_visible(False)
        sure = 100 * probability[said[index]]
        above.set_title(f"a {digits[index]}, read as {said[index]}\nwith {sure:.0f} %", fontsize=11)
        colors = ["#b0b0b0"] * 10
        colors[said[index]], colors[digits[index]] = WRONG, HELD_OUT
        below.bar(range(10), probability, color=colors, width=0.85)
        below.set(xticks=range(10), ylim=(0, 1), yticks=[0, 1], yticklabels=["0", "1"])
        below.tick_params(labelsize=8, length=2)
    figure.suptitle("The worst mistakes, the surest first.  Bars: the probability of each digit, "
                    "green the right one, orange the one it said", fontsize=11)
    figure.savefig(path, dpi=150)
    return len(wrong)


if __name__ == "__main__":
    main()
