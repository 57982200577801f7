"""Tutorial 1: the three verbs, by hand, on one Linear.

You learn what a module of nnmod does, and all that it does:

    updateOutput(input)                        the value:     y = W x + b
    updateGradInput(input, gradOutput)         the gradient of the loss by the input
    accGradParameters(input, gradOutput)       the gradient by the parameters, which is ADDED

The numbers are so small that you can check each of them on paper, and you should: what
happens in a network of a million weights is the same, only more of it.

    python tutorials/01_three_verbs.py
"""
import argparse
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import nnmod


def main(argv=None):
    options = argparse.ArgumentParser(description="The three verbs, by hand, on one Linear.")
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "01",
                         help="folder for the pictures (default: tutorials/out/01)")
    options.add_argument("--quick", action="store_true", help="the same: this lesson takes no time")
    out = options.parse_args(argv).out
    out.mkdir(parents=True, exist_ok=True)

    # A tensor is a NumPy array of float32.  The layer maps two numbers to two numbers.
    layer = nnmod.Linear(2, 2)
    layer.weight[:] = [[1, 2],
                       [3, -1]]
    layer.bias[:] = [0, 1]
    x = np.array([1, 2], np.float32)
    target = np.array([3, 4], np.float32)

    print("1. updateOutput: y = W x + b")
    y = layer.updateOutput(x)
    print("     y[0] = 1*1 + 2*2    + 0 =", int(y[0]))
    print("     y[1] = 3*1 + (-1)*2 + 1 =", int(y[1]))
    assert y.tolist() == [5, 2]
    assert y is layer.output, "a module keeps what it computed"

    print("\n2. The loss: how far is y from the target (3, 4)?  The mean of the squared differences.")
    criterion = nnmod.MSECriterion()
    loss = criterion.updateOutput(y, target)
    print(f"     loss = ((5-3)^2 + (2-4)^2) / 2 = {loss:g}")
    assert loss == 4
    # The derivative of (y - t)^2 / 2 by y is y - t.
    gradOutput = criterion.updateGradInput(y, target)
    print("     d loss / d y = (5-3, 2-4) =", vector(gradOutput))
    assert gradOutput.tolist() == [2, -2]

    print("\n3. updateGradInput: d loss / d x, by the chain rule W^T gradOutput")
    gradInput = layer.updateGradInput(x, gradOutput)
    print("     x[0] reaches y[0] with weight 1, y[1] with weight  3:  1*2 + 3*(-2)    =", int(gradInput[0]))
    print("     x[1] reaches y[0] with weight 2, y[1] with weight -1:  2*2 + (-1)*(-2) =", int(gradInput[1]))
    assert gradInput.tolist() == [-4, 6]

    print("\n4. accGradParameters: d loss / d W[i,j] = gradOutput[i] * x[j], d loss / d b[i] = gradOutput[i]")
    layer.accGradParameters(x, gradOutput)
    print("     gradWeight = | 2*1   2*2  |   | 2  4|      gradBias = | 2|")
    print("                  |-2*1  -2*2  | = |-2 -4|                 |-2|")
    assert layer.gradWeight.tolist() == [[2, 4], [-2, -4]]
    assert layer.gradBias.tolist() == [2, -2]

    # The picture is of this moment: every value and every gradient is there.
    draw_network(layer, x, target, loss, gradOutput, out / "network.png")

    print("\n5. Do you believe it?  Nudge W[0,1] by 1/4 up and down, and look at the loss:")
    losses = []
    for nudge in (0.25, -0.25):
        layer.weight[0, 1] += nudge
        losses.append(criterion.forward(layer.forward(x), target))
        layer.weight[0, 1] -= nudge
    slope = (losses[0] - losses[1]) / 0.5
    print(f"     ({losses[0]:g} - {losses[1]:g}) / (1/2) = {slope:g}, and gradWeight[0,1] is "
          f"{layer.gradWeight[0, 1]:g}")
    assert slope == layer.gradWeight[0, 1] == 4

    print("\n6. Gradients ADD: the same verb once more doubles them, and half a one makes 2.5")
    layer.forward(x)  # the nudges left another output behind
    layer.accGradParameters(x, gradOutput)
    print("     after the second call: gradBias =", vector(layer.gradBias))
    assert layer.gradWeight.tolist() == [[4, 8], [-4, -8]]
    assert layer.gradBias.tolist() == [4, -4]
    layer.accGradParameters(x, gradOutput, scale=0.5)
    print("     and one with scale=0.5: gradBias =", vector(layer.gradBias))
    assert layer.gradBias.tolist() == [5, -5]
    # That is what lets a batch be worked off in parts, and a weight be used in two places.
    layer.zeroGradParameters()
    print("     zeroGradParameters():   gradBias =", vector(layer.gradBias))
    assert not layer.gradWeight.any() and not layer.gradBias.any()

    print("\n7. One step of gradient descent: W -= 1/8 gradWeight, b -= 1/8 gradBias")
    # forward is updateOutput with checks; backward is the other two verbs, one after the other.
    layer.forward(x)
    layer.backward(x, gradOutput)
    assert layer.gradInput.tolist() == [-4, 6] and layer.gradWeight.tolist() == [[2, 4], [-2, -4]]
    layer.weight -= 0.125 * layer.gradWeight
    layer.bias -= 0.125 * layer.gradBias
    assert layer.weight.tolist() == [[0.75, 1.5], [3.25, -0.5]]
    assert layer.bias.tolist() == [-0.25, 1.25]
    y = layer.forward(x)
    after = criterion.forward(y, target)
    print("     W = |0.75  1.5|   b = |-0.25|   y = |0.75*1 + 1.5*2 - 0.25| =", vector(y))
    print("         |3.25 -0.5|       | 1.25|       |3.25*1 - 0.5*2 + 1.25|")
    print(f"     loss = (0.5^2 + (-0.5)^2) / 2 = {after:g}: it was {loss:g}")
    assert y.tolist() == [3.5, 3.5] and after == 0.25

    print("\n8. How long a step?  y moves by -rate * gradOutput * (x[0]^2 + x[1]^2 + 1) = -6 rate (y - t),")
    print("   so that the loss becomes 4 (1 - 6 rate)^2.  nnmod and the formula:")
    rates = [0, 1/8, 1/6, 1/4, 1/3, 3/8]
    measured = [loss_after_a_step(rate, x, target) for rate in rates]
    for rate, value in zip(rates, measured):
        print(f"     rate {rate:5.3f}   nnmod {value:6.3f}   formula {4 * (1 - 6 * rate) ** 2:6.3f}")
        assert abs(value - 4 * (1 - 6 * rate) ** 2) < 1e-5
    print("   1/6 arrives in one step, 1/3 jumps to the other side, 3/8 makes it worse.")
    assert measured[2] < 1e-10 and abs(measured[4] - 4) < 1e-5 and measured[5] > 4
    draw_descent(rates, measured, out / "descent.png")

    print(f"\nAll numbers are as on paper.  Pictures: {out / 'network.png'}, {out / 'descent.png'}")


def loss_after_a_step(rate, x, target):
    """The whole of training, once: the lines that you will write again and again."""
    layer = nnmod.Linear(2, 2)
    layer.weight[:] = [[1, 2], [3, -1]]
    layer.bias[:] = [0, 1]
    criterion = nnmod.MSECriterion()

    criterion.forward(layer.forward(x), target)
    layer.zeroGradParameters()
    layer.backward(x, criterion.backward(layer.output, target))
    layer.updateParameters(rate)
    return criterion.forward(layer.forward(x), target)


def vector(values):
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


# -- the pictures --------------------------------------------------------------------

VALUE, GRADIENT, LINE = "#0072B2", "#D55E00", "#9a9a9a"  # apart for every kind of eye
matplotlib.rcParams.update({"font.size": 12, "axes.spines.top": False, "axes.spines.right": False})


def draw_network(layer, x, target, loss, gradOutput, path):
    """The little network with the values and the gradients on its wires."""
    figure = Figure((10, 5.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xlim=(-0.6, 9.2), ylim=(-1.3, 4.6), aspect="equal")
    axes.axis("off")
    inputs, outputs, end = [(0.3, 3.1), (0.3, 0.3)], [(5.1, 3.1), (5.1, 0.3)], (8.4, 1.7)

    def wire(start, stop, from_circle=True):
        # The value runs one way and its gradient the other, side by side.
        along = np.subtract(stop, start)
        aside = np.array([-along[1], along[0]]) / np.hypot(*along) * 0.055
        near = 40 if from_circle else 2
        for color, a, b, shift, shrink in [(VALUE, start, stop, aside, (near, 40)),
                                           (GRADIENT, stop, start, -aside, (40, near))]:
            axes.annotate("", b + shift, a + shift, zorder=1, arrowprops=dict(
                arrowstyle="-|>", color=color, lw=1.5, shrinkA=shrink[0], shrinkB=shrink[1]))

    def label(place, name, value, gradient, box=False):
        if box:
            axes.add_patch(Rectangle((place[0] - 0.62, place[1] - 0.3), 1.24, 0.6, color="white", zorder=2))
        for text, color, va, shift in [(f"{name} = {value:g}", VALUE, "bottom", 0.03),
                                       (f"∂ = {gradient:g}", GRADIENT, "top", -0.03)]:
            axes.text(place[0], place[1] + shift, text.replace("-", "\u2212"), color=color,
                      ha="center", va=va, zorder=4)

    def circle(place):
        axes.scatter(*place, s=5000, color="white", edgecolors="#404040", linewidths=1.6, zorder=3)

    for j, start in enumerate(inputs):
        for i, stop in enumerate(outputs):
            wire(start, stop)
            t = 0.5 if i == j else 0.3  # not in the middle, where the wires cross
            place = [(1 - t) * a + t * b for a, b in zip(start, stop)]
            label(place, f"W[{i},{j}]", layer.weight[i, j], layer.gradWeight[i, j], box=True)
    for i, stop in enumerate(outputs):
        side = 1 if i == 0 else -1
        start = (stop[0], stop[1] + 1.4 * side)
        wire(start, stop, from_circle=False)
        label((start[0] + 0.75, start[1] - 0.3 * side), f"b[{i}]", layer.bias[i], layer.gradBias[i])
        wire(stop, end)
        circle(stop)
        label(stop, f"y[{i}]", layer.output[i], gradOutput[i])
    for j, start in enumerate(inputs):
        circle(start)
        label(start, f"x[{j}]", x[j], layer.gradInput[j])
    circle(end)
    axes.text(*end, f"loss\n{loss:g}", color=VALUE, ha="center", va="center", zorder=4, linespacing=1.3)
    axes.text(end[0], end[1] - 0.95, f"target {vector(target)}", ha="center", color="#404040")
    axes.set_title("One Linear: values run to the right, gradients run back", fontsize=14)
    axes.text(-0.35, -1.0, "→  value", color=VALUE)
    axes.text(1.0, -1.0, "←  ∂ = d loss / d value", color=GRADIENT)
    figure.savefig(path, dpi=150)


def draw_descent(rates, losses, path):
    """The loss after one step, for steps of every length."""
    figure = Figure((7.5, 4.6), layout="constrained")
    axes = figure.add_subplot()
    curve = np.linspace(0, 0.395, 200)
    axes.axhline(0, color="#404040", lw=0.8)
    axes.plot(curve, 4 * (1 - 6 * curve) ** 2, color=LINE, lw=2, label="on paper: 4 (1 - 6 rate)²")
    axes.plot(rates, losses, "o", color=VALUE, ms=9, label="nnmod: one step at that rate")
    for rate, loss, text, offset, ha in [
        (0, 4, "no step", (12, 2), "left"), (1/8, 0.25, "1/8: our step", (0, 16), "left"),
        (1/6, 0, "1/6: arrives", (0, -20), "center"), (1/4, 1, "1/4: too far", (13, -9), "left"),
        (1/3, 4, "1/3: as bad as before", (-12, 3), "right"), (3/8, 6.25, "3/8: worse", (-12, 3), "right"),
    ]:
        axes.annotate(text, (rate, loss), xytext=offset, textcoords="offset points", fontsize=11, ha=ha)
    axes.set(xlabel="learning rate", ylabel="loss after one step", xlim=(-0.02, 0.42), ylim=(-0.8, 7.4),
             title="One gradient, steps of different length")
    axes.legend(loc="upper left", frameon=False, bbox_to_anchor=(0.12, 1))
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
