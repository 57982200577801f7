"""Tutorial 6: models that Torch7 left behind.

You learn to open a .t7 file that somebody wrote years ago: to see what is in it, to run it
and get the very numbers that Torch7 got, to go on training it, and to save it, for Torch7
and for everybody else.  On the way you meet a graph, a residual network, and a file with a
class that nnmod has never heard of.

The files were written by the real Torch7, which also recorded what its networks compute.
Nobody had trained them: they say so themselves in step 3, and that changes in step 5.

    python tutorials/06_torch7_models.py
"""
import argparse
import io
import json
import shutil
import time
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import nnmod
from nnmod import graphviz, summary
from nnmod.serialization import t7

FILES = Path(__file__).parent.parent / "tests" / "golden" / "t7"


def main(argv=None):
    options = argparse.ArgumentParser(description="Load, look at, run, train and save models of Torch7.")
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "06",
                         help="folder for the pictures and the models (default: tutorials/out/06)")
    options.add_argument("--quick", action="store_true", help="fewer digits, two epochs, and a lower bar")
    options = options.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    epochs, count, bar = (2, 600, 0.75) if options.quick else (8, 4000, 0.95)

    print("1. What is in a file")
    # A .t7 holds any value of Lua.  This one is what a training script saved every epoch.
    checkpoint = nnmod.load(FILES / "table_of_modules.t7")
    for name, value in checkpoint.items():
        plain = isinstance(value, (int, float, str, list, dict))
        print(f"     {name:10} {value if plain else type(value).__name__}")
    assert checkpoint["epoch"] == 12 and checkpoint["opt"]["layers"] == [10, 20]
    # Torch counts from 1 and nnmod from 0: the reader has converted every number that is a place.
    print("     In a shell:  nnmod list tests/golden/t7/table_of_modules.t7")

    print("2. A network")
    net = nnmod.load(FILES / "lenet5.t7")
    digit = np.zeros((1, 1, 28, 28), np.float32)
    print(_indented(summary.summarize(net.clone(), digit)))
    print("     In a shell:  nnmod info tests/golden/t7/lenet5.t7 --input 1x1x28x28")

    print("3. The same numbers as Torch7's")
    for name in ("lenet5.t7", "vgg_small.t7", "gmodule.t7"):
        input, expected = recorded(name)
        model = nnmod.load(FILES / name)
        output = model.forward(input)
        distance = np.abs(output - expected).max()
        print(f"     {name:13} {input.dtype.name}  {str(input.shape):16} -> {str(output.shape):8} "
              f"largest difference {distance:.0e}")
        assert distance < (1e-5 if input.dtype == np.float32 else 1e-12)
    images, digits = nnmod.data.mnist5000()
    train, held_out = nnmod.data.split(images, digits, 1000, seed=1)
    if options.quick:
        _, train = nnmod.data.split(*train, count, seed=1)
        _, held_out = nnmod.data.split(*held_out, 200, seed=1)
    before = scores_of(net, held_out[0])
    right = accuracy(before, held_out[1])
    print(f"     As lenet5 was saved it reads {100 * right:.1f} % of {len(held_out[1])} digits; "
          "a guess is 10 %.")
    assert right < 0.3

    print("4. Pictures")
    # A residual network as fb.resnet.torch builds it, through a .t7 file of its own.
    file = io.BytesIO()
    nnmod.save(file, small_resnet())
    resnet = nnmod.load(io.BytesIO(file.getvalue())).evaluate()
    resnet.forward(held_out[0][:2])
    (options.out / "resnet.html").write_text(
        f"<!DOCTYPE html><meta charset='utf-8'><title>A residual network</title>{resnet._repr_html_()}",
        encoding="utf-8")
    graphviz.draw(resnet, options.out / "resnet.dot")
    if shutil.which("dot"):
        graphviz.draw(resnet, options.out / "resnet.svg")
    size = resnet.getParameters()[0].size
    print(f"     {size} numbers to learn; the tree that a notebook shows is resnet.html,")
    print("     the graph is resnet.dot" + (" and resnet.svg" if shutil.which("dot") else
                                            "; with Graphviz there would be a resnet.svg"))

    print("5. Training goes on", flush=True)
    # The file has no gradients and no buffers; nothing else is missing to go on.
    # Training mode, flat parameters, a criterion: the loop is that of tutorial 3.
    net.training()
    net.needsGradInput = False
    filters_before = net[0].weight.copy()
    criterion = nnmod.ClassNLLCriterion()
    flat, gradFlat = net.getParameters()
    mean, std = float(train[0].mean()), float(train[0].std())
    batches = nnmod.data.minibatches((train[0] - mean) / std, train[1], 20, seed=1)
    config = {"learningRate": 0.02, "momentum": 0.9, "dampening": 0.0}
    history = [right]
    began = time.perf_counter()
    for epoch in range(1, epochs + 1):
        config["learningRate"] = 0.02 * (1 - (epoch - 1) / epochs)
        for x, t in batches:
            loss = criterion.forward(net.forward(x), t)
            net.zeroGradParameters()
            net.backward(x, criterion.backward(net.output, t))
            nnmod.optim.sgd(lambda flat: (loss, gradFlat), flat, config)
        after = scores_of(net, (held_out[0] - mean) / std)
        history.append(accuracy(after, held_out[1]))
        print(f"     epoch {epoch}: {100 * history[-1]:.1f} % of the held-out digits are right; "
              f"{time.perf_counter() - began:.0f} s gone", flush=True)
    assert history[-1] >= bar, f"only {100 * history[-1]:.1f} % are right"

    print("6. Saved, for Torch7 and for others")
    # One file for Torch7, whose torch.load reads it; one in safetensors, which many libraries
    # read.  The weights are views of one flat vector now; both files keep that to themselves.
    nnmod.save(options.out / "lenet5.t7", net)
    nnmod.save_checkpoint(options.out / "lenet5.safetensors", net, mean=mean, std=std)
    loaded = {"lenet5.t7": nnmod.load(options.out / "lenet5.t7"),
              "lenet5.safetensors": nnmod.load_checkpoint(options.out / "lenet5.safetensors")["model"]}
    for name, model in loaded.items():
        again = scores_of(model, (held_out[0] - mean) / std)
        assert again.tobytes() == after.tobytes(), f"{name} computes something else"
        size = (options.out / name).stat().st_size
        print(f"     {name:19} {size / 1e3:5.0f} kB, read again: the same {again.size} outputs, "
              "equal to the bit")
    # The file from Torch7 was 1.2 MB: it had every buffer and gradient of its last pass in it.

    print("7. A class that nobody knows")
    # What a user of Torch wrote for himself.  The rest of such a file is usable all the same.
    text = mystery_file()
    model = nnmod.load(io.BytesIO(text))
    print(f"     {model[1]!r}")
    try:
        model.forward(np.zeros((1, 3), np.float32))
    except NotImplementedError as error:
        print(f"     {str(error).splitlines()[1].strip()}")
    # Teach the reader what it is, and the same file runs.
    t7.register("nn.Gain", lambda fields: nnmod.MulConstant(fields.number("gain")))
    try:
        model = nnmod.load(io.BytesIO(text))
    finally:
        t7.register("nn.Gain", None)
    x = np.ones((1, 3), np.float32)
    assert np.array_equal(model.forward(x), 2.5 * model[0].forward(x))
    print(f"     after t7.register: {model[1]!r}")

    draw_filters(filters_before, net, (held_out[0] - mean) / std, options.out / "filters.png")
    draw_reading(before, after, held_out, history, options.out / "reading.png")
    print(f"     pictures: {options.out}/filters.png, reading.png")


def recorded(name):
    """The input that Torch7 gave to the network in file *name*, and the output that it got."""
    expected = json.loads((FILES / "expected.json").read_text())
    entry = next(entry for entry in expected["entries"] if entry["file"] == name)
    with np.load(FILES / "expected.npz") as numbers:
        def tensor(reference):
            key, start, shape = expected["tensors"][reference["$t"]]
            return numbers[key][start:start + int(np.prod(shape))].reshape(shape)
        return tensor(entry["input"]), tensor(entry["output"])


def small_resnet():
    """Three residual blocks of 8, 16 and 32 planes, as fb.resnet.torch writes them."""
    def block(inputs, outputs, stride):
        main = nnmod.Sequential(
            nnmod.SpatialConvolution(inputs, outputs, 3, 3, stride, stride, 1, 1),
            nnmod.SpatialBatchNormalization(outputs), nnmod.ReLU(True),
            nnmod.SpatialConvolution(outputs, outputs, 3, 3, 1, 1, 1, 1),
            nnmod.SpatialBatchNormalization(outputs))
        shortcut = nnmod.Identity() if inputs == outputs else nnmod.Sequential(
            nnmod.SpatialConvolution(inputs, outputs, 1, 1, stride, stride),
            nnmod.SpatialBatchNormalization(outputs))
        return nnmod.Sequential(nnmod.ConcatTable(main, shortcut), nnmod.CAddTable(True), nnmod.ReLU(True))

    nnmod.manualSeed(1)
    return nnmod.Sequential(
        nnmod.SpatialConvolution(1, 8, 3, 3, 1, 1, 1, 1),
        nnmod.SpatialBatchNormalization(8), nnmod.ReLU(True),
        block(8, 8, 1), block(8, 16, 2), block(16, 32, 2),
        nnmod.SpatialAveragePooling(7, 7), nnmod.View(32, numInputDims=3),
        nnmod.Linear(32, 10), nnmod.LogSoftMax())


def mystery_file():
    """A .t7 with a module of class nn.Gain between two that are known."""
    net = nnmod.Sequential(nnmod.Linear(3, 2))
    net.add(t7.Opaque("nn.Gain", 1, {"gain": 2.5, "_type": "torch.FloatTensor", "train": True}))
    file = io.BytesIO()
    nnmod.save(file, net)
    return file.getvalue()


def scores_of(net, images):
    """The log-probability of each digit for each image, in evaluation mode."""
    was_training = net.train
    net.evaluate()
    scores = np.concatenate([net.forward(images[i:i + 100]).copy() for i in range(0, len(images), 100)])
    if was_training:
        net.training()
    return scores


def accuracy(scores, digits):
    """The share of images whose best digit is the right one."""
    return float(np.mean(scores.argmax(axis=1) == digits))


def _indented(value):
    return "\n".join("     " + line for line in str(value).splitlines())


# -- the pictures --------------------------------------------------------------------

BEFORE, AFTER, GREY = "#D55E00", "#0072B2", "#606060"
matplotlib.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})


def draw_filters(before, net, images, path):
    """The six filters of the first layer as Torch7 drew them and as they are now, and what each sees."""
    after = net[0].weight
    image = images[-1]
    maps = net[0].forward(image)  # without a batch: (6, 24, 24)
    figure = Figure((10.2, 5.6), layout="constrained")
    grid = figure.subplots(3, 7, width_ratios=[1.15] + [1] * 6)
    reach, strength = max(np.abs(before).max(), np.abs(after).max()), np.abs(maps).max()
    for column in range(6):
        for row, weight in enumerate((before, after)):
            shown = grid[row, column + 1].imshow(weight[column, 0], cmap="RdBu_r", vmin=-reach, vmax=reach)
        found = grid[2, column + 1].imshow(maps[column], cmap="PuOr_r", vmin=-strength, vmax=strength)
        grid[0, column + 1].set_title(f"filter {column}", fontsize=10)
    for axes, name in zip(grid[:, 0], ("as it was\nin the file", "after\ntraining", "")):
        axes.text(0.5, 0.5, name, ha="center", va="center", transform=axes.transAxes)
        axes.axis("off")
    grid[2, 0].axis("on")
    grid[2, 0].imshow(image[0], cmap="gray_r")
    grid[2, 0].set_title("what they see", fontsize=10)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set(visible=True, color="#c0c0c0")
    for image, rows, name in ((shown, grid[:2], "weight"), (found, grid[2:], "answer")):
        bar = figure.colorbar(image, ax=rows, aspect=12 * len(rows), shrink=0.9)
        bar.set_label(name, fontsize=9)
        bar.ax.tick_params(labelsize=8)
    figure.suptitle("The first layer of the network from the file")
    figure.savefig(path, dpi=120)


def draw_reading(before, after, held_out, history, path):
    """Eight digits with what the network says of them, before and after; how it got there."""
    images, digits = held_out
    figure = Figure((10.6, 4.9), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1.6, 1])
    chosen = [int(np.flatnonzero(digits == digit)[0]) for digit in (0, 2, 3, 4, 5, 6, 8, 9)]
    blocks = left.subfigures(2, 4, hspace=0.04).ravel()
    for block, index in zip(blocks, chosen):
        above, below = block.subplots(2, 1, height_ratios=[2, 1])
        above.imshow(images[index, 0, 2:26, 2:26], cmap="gray_r")
        above.axis("off")
        below.bar(np.arange(10) - 0.2, np.exp(before[index]), color=BEFORE, width=0.4)
        below.bar(np.arange(10) + 0.2, np.exp(after[index]), color=AFTER, width=0.4)
        below.set(xticks=range(10), ylim=(0, 1), yticks=[0, 1])
        below.tick_params(labelsize=7, length=2)
    left.suptitle("What it reads:  orange as it was in the file, blue after training", fontsize=11)
    axes = right.subplots()
    axes.plot(range(len(history)), 100 * np.array(history), marker="o", color=AFTER, lw=2)
    axes.plot(0, 100 * history[0], marker="o", color=BEFORE, ms=9)
    axes.axhline(10, color=GREY, ls="--", lw=1)
    axes.text(len(history) - 1, 12, "guessing", color=GREY, ha="right", fontsize=10)
    axes.set(xlabel="epochs after loading", ylabel="held-out digits that are right, in %", ylim=(0, 102),
             xticks=range(len(history)), title=f"In the end {100 * history[-1]:.1f} %")
    axes.grid(alpha=0.25)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
