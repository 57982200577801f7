"""Tutorial 4: your own module, from one formula to one that learns.

You learn to write a module that the library cannot tell from its own, in five steps:

    1. one formula and its derivative                  Swish
    2. another shape comes out than went in            CReLU
    3. parameters that learn                           LowRankLinear
    4. training and evaluation differ                  GaussianDropout
    5. a wrong gradient, and how it is found           two classic mistakes

Each is checked by nnmod.testing, the same checks that the library runs on itself: the
gradients against finite differences, and the promises that every module makes.  In the
end a network of all four learns the two spirals of tutorial 2.

    python tutorials/04_your_own_module.py
"""
import argparse
import math
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import nnmod
from nnmod import check, init, kernels
from nnmod.kernels.formulas import constant, exp
from nnmod.testing import MODULE_CHECKS, check_gradients, check_module


# -- 1. One formula ------------------------------------------------------------------
#
# exp and constant are nnmod's: the compiled kernels turn them into vector code.
# math.exp(x) and type(x)(1) would do as well, only slower.  A bare 1.0 would be right
# too, but it turns the arithmetic of float32 into float64.

def swish(x):
    return x / (constant(1, x) + exp(-x))


def swish_grad(x, dy):
    # y = x s with s = sigmoid(x) and s' = s (1 - s); the product rule gives s + x s'.
    one = constant(1, x)
    s = one / (one + exp(-x))
    return dy * (s + x * s * (one - s))


class Swish(nnmod.Elementwise):
    """``y = x * sigmoid(x)``, of any shape (Ramachandran, Zoph and Le, 2017)."""

    function = kernels.elementwise(swish)
    derivative = kernels.elementwise(swish_grad)
    backwardNeeds = frozenset({"input"})  # the derivative is written in x; it could be in y


# -- 2. Another shape ----------------------------------------------------------------
#
# Any module is a class with the verbs.  It takes its buffers from self.resize, which
# gives the same memory again in the next step, and writes every element of them.

class CReLU(nnmod.Module):
    """``y = [max(x, 0), max(-x, 0)]``: both halves of x, side by side (Shang et al., 2016).

    Shapes
    ------
    input   (..., F)
    output  (..., 2 F)
    """

    paramNames = ()
    backwardNeeds = frozenset({"input"})

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        F = input.shape[-1]
        output = self.resize("output", (*input.shape[:-1], 2 * F), like=input)
        np.maximum(input, 0, out=output[..., :F])
        np.maximum(-input, 0, out=output[..., F:])
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        F = input.shape[-1]
        gradInput = self.resize("gradInput", input.shape, like=input)
        gradInput[...] = gradOutput[..., :F] * (input > 0) - gradOutput[..., F:] * (input < 0)
        return gradInput


# -- 3. Parameters -------------------------------------------------------------------
#
# paramNames says what learns.  From it alone come parameters(), updateParameters(),
# double(), clone(), share(), getParameters(), saving and loading: write none of them.

class LowRankLinear(nnmod.Module):
    """``y = up (down x)``: a Linear whose weight is the product of two thin matrices.

    Shapes
    ------
    input   (N, inputSize) or (inputSize,)
    output  (N, outputSize) or (outputSize,)
    down    (rank, inputSize), gradDown the same
    up      (outputSize, rank), gradUp the same
    """

    paramNames = ("down", "up")
    bufferNames = ("hidden", "gradHidden")  # scratch: not copied, not saved
    backwardNeeds = frozenset({"input"})

    def __init__(self, inputSize, outputSize, rank):
        super().__init__()
        check.positive(inputSize=inputSize, outputSize=outputSize, rank=rank)
        self.down = np.empty((rank, inputSize), np.float32)
        self.up = np.empty((outputSize, rank), np.float32)
        self.gradDown = np.zeros_like(self.down)  # the twin of down, found by its name
        self.gradUp = np.zeros_like(self.up)
        self.hidden = self.gradHidden = None  # (N, rank) each
        self.reset()

    def reset(self, stdv=None):
        for factor in (self.down, self.up):
            init.uniform(factor, math.sqrt(3) * stdv if stdv else 1 / math.sqrt(factor.shape[1]))
        return self

    def updateOutput(self, input):
        input = self.takeInput(input)
        rank, inputSize = self.down.shape
        x = check.batched("input", input, "N", inputSize)  # a single row is a batch of one
        hidden = self.resize("hidden", (len(x), rank), like=x)
        output = self.resize("output", (*input.shape[:-1], len(self.up)), like=x)
        K = kernels.of(x, self.down, self.up)  # refuses a mix of float32 and float64
        K.gemm(x, self.down, hidden, trans_b=True)
        K.gemm(hidden, self.up, output.reshape(len(x), -1), trans_b=True)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        dy = gradOutput.reshape(-1, len(self.up))
        gradHidden = self.resize("gradHidden", self.hidden.shape, like=dy)
        gradInput = self.resize("gradInput", input.shape, like=dy)
        K = kernels.of(dy, self.down, self.up)
        K.gemm(dy, self.up, gradHidden)
        K.gemm(gradHidden, self.down, gradInput.reshape(len(dy), -1))
        return gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        # hidden and gradHidden are there: the other two verbs have run before.
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        dy = gradOutput.reshape(-1, len(self.up))
        K = kernels.of(dy, self.gradDown, self.gradUp)
        # beta=1.0 adds to what is there: gradients accumulate.
        K.gemm(self.gradHidden, input.reshape(len(dy), -1), self.gradDown, scale, beta=1.0, trans_a=True)
        K.gemm(dy, self.hidden, self.gradUp, scale, beta=1.0, trans_a=True)

    def describe(self):
        (rank, inputSize), outputSize = self.down.shape, len(self.up)
        return f"{inputSize} -> {rank} -> {outputSize}"


# -- 4. Training and evaluation differ ---------------------------------------------------
#
# self.train says which it is.  What backward needs of the forward pass is a buffer.

class GaussianDropout(nnmod.Module):
    """``y = x * noise`` in training, noise from N(1, stdv^2); ``y = x`` in evaluation.

    Shapes
    ------
    input   any
    output  the same as input
    """

    paramNames = ()
    bufferNames = ("noise",)
    backwardNeeds = frozenset()  # neither x nor y: the noise is enough

    def __init__(self, stdv):
        super().__init__()
        check.number(low=0, stdv=stdv)
        self.stdv = stdv
        self.noise = None

    def updateOutput(self, input):
        input = self.takeInput(input)
        check.floating("input", input)
        output = self.resize("output", input.shape, like=input)
        noise = self.resize("noise", input.shape, like=input)
        if self.train:
            init.normal(noise, self.stdv, mean=1.0)  # from nnmod's generator: manualSeed repeats it
        else:
            noise.fill(1)
        np.multiply(input, noise, out=output)
        return output

    def updateGradInput(self, input, gradOutput):
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        gradInput = self.resize("gradInput", input.shape, like=input)
        np.multiply(gradOutput, self.noise, out=gradInput)
        return gradInput

    def describe(self):
        return f"{self.stdv:g}"


# -- 5. Two classic mistakes --------------------------------------------------------------

class ForgetfulSwish(Swish):
    """The product rule forgotten: the derivative of x s is not s."""

    derivative = kernels.elementwise(lambda x, dy: dy / (constant(1, x) + exp(-x)))


class AssigningLinear(LowRankLinear):
    """Gradients assigned instead of added: beta=1.0 forgotten."""

    def accGradParameters(self, input, gradOutput, scale=1.0):
        kernels.of(input).gemm(self.gradHidden, input, self.gradDown, scale, trans_a=True)
        kernels.of(input).gemm(gradOutput, self.hidden, self.gradUp, scale, trans_a=True)


# -- The lesson ----------------------------------------------------------------------------

def main(argv=None):
    options = argparse.ArgumentParser(description="Your own module, from one formula to one that learns.")
    options.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "04",
                         help="folder for the picture (default: tutorials/out/04)")
    options.add_argument("--quick", action="store_true", help="fewer epochs, and a lower bar")
    options = options.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    nnmod.manualSeed(1)
    rng = np.random.default_rng(1)

    print("1. One formula: Swish")
    y = Swish().forward(np.array([-1, 0, 2], np.float32))
    print("     Swish of (-1, 0, 2) is", y.round(4), "and 2 / (1 + e^-2) =", round(2 / (1 + math.exp(-2)), 4))
    assert np.allclose(y, [-1 / (1 + math.e), 0, 2 / (1 + math.exp(-2))])
    checked(Swish, rng.standard_normal((4, 5)))

    print("\n2. Another shape: CReLU")
    y = CReLU().forward(np.array([1, -2, 3], np.float32))
    print("     CReLU of (1, -2, 3) is", y)
    assert y.tolist() == [1, 0, 3, 0, 2, 0]
    # Finite differences need room: nothing near the corner at 0.
    away = rng.choice([-1, 1], (4, 5)) * rng.uniform(0.2, 1, (4, 5))
    checked(CReLU, away)

    print("\n3. Parameters:", LowRankLinear(6, 4, rank=2))
    module = LowRankLinear(6, 4, rank=2)
    print("     getParameters() makes one vector of", module.getParameters()[0].size, "numbers: 2*6 + 4*2")
    assert module.getParameters()[0].size == 2 * 6 + 4 * 2
    x = rng.standard_normal((3, 6)).astype(np.float32)
    assert np.allclose(module.forward(x), x @ (module.up @ module.down).T, atol=1e-6)
    checked(lambda: LowRankLinear(6, 4, rank=2), rng.standard_normal((3, 6)))

    print("\n4. Training and evaluation:", GaussianDropout(0.5))
    module, ones = GaussianDropout(0.5), np.ones(100_000, np.float32)
    noisy = module.training().forward(ones).copy()  # the next forward overwrites it
    quiet = module.evaluate().forward(ones)
    print(f"     in training 1 becomes {noisy.mean():.3f} +- {noisy.std():.3f}, "
          f"in evaluation it stays {quiet.mean():g}")
    assert abs(noisy.mean() - 1) < 0.01 and abs(noisy.std() - 0.5) < 0.01 and (quiet == 1).all()
    checked(lambda: GaussianDropout(0.5), rng.standard_normal((4, 5)))

    print("\n5. Two classic mistakes, and what the checker says about them")
    for wrong, input in [(ForgetfulSwish(), rng.standard_normal((4, 5))),
                         (AssigningLinear(6, 4, rank=2), rng.standard_normal((3, 6)))]:
        try:
            check_gradients(wrong, input)
        except AssertionError as complaint:
            print(f"     {type(wrong).__name__}: {wrong.__doc__}")
            print(f"       AssertionError: {complaint}")
            assert "is wrong" in str(complaint)
        else:
            raise AssertionError(f"the check let {wrong!r} pass")
    # Why it says "wrong" and not "a little different": see the third panel of the picture.
    errors = draw(options.out / "derivative.png")
    print(f"     in float64 the best finite difference of Swish is off by {errors['float64']:.0e}, "
          f"in float32 by {errors['float32']:.0e}: check in float64")
    assert errors["float64"] < 1e-9 < 1e-5 < errors["float32"] < 1e-2

    print("\n6. All of them in one network, on two spirals")
    train(epochs=10 if options.quick else 60, bar=0.75 if options.quick else 0.95)
    print(f"     picture: {options.out / 'derivative.png'}")


def checked(make, input):
    """The gradients, and everything else that a module promises; a fault raises AssertionError."""
    check_module(make, input)
    print(f"     {type(make()).__name__}: the gradients are right, and all {len(MODULE_CHECKS)} checks pass")


def train(epochs, bar):
    """The loop of tutorial 2, with Adam: modules of yours are modules."""
    points, arms = nnmod.data.spirals(600, noise=0.03, seed=1)
    net = nnmod.Sequential(
        nnmod.Linear(2, 32), CReLU(),
        LowRankLinear(64, 64, rank=16), Swish(), GaussianDropout(0.1),
        nnmod.Linear(64, 2), nnmod.LogSoftMax(),
    )
    criterion = nnmod.ClassNLLCriterion()
    check_gradients(net, points[:3].astype(np.float64))
    flat, gradFlat = net.getParameters()
    config = {"learningRate": 0.01}
    for epoch in range(epochs):
        for x, t in nnmod.data.minibatches(points, arms, batchSize=20):
            net.zeroGradParameters()
            loss = criterion.forward(net.forward(x), t)
            net.backward(x, criterion.backward(net.output, t))
            nnmod.optim.adam(lambda flat: (loss, gradFlat), flat, config)
    right = float((net.evaluate().forward(points).argmax(axis=1) == arms).mean())
    print("    ", str(net).replace("\n", "\n     "))
    print(f"     {100 * right:.1f} % of the points are right")
    assert right >= bar, f"only {100 * right:.1f} % of the points are right"


# -- The picture -----------------------------------------------------------------------------

CURVE, SLOPE, WRONG, GREY = "#0072B2", "#009E73", "#D55E00", "#606060"
matplotlib.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})


def draw(path):
    """Swish with its derivative, right and wrong, and how far finite differences can be trusted.

    Returns the smallest error of a finite difference in each dtype.
    """
    figure = Figure((10.6, 4.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    x = np.linspace(-6, 6, 301)
    sparse = np.linspace(-6, 6, 25)

    for axes, module, color, title in [(left, Swish(), SLOPE, "Swish: the check passes"),
                                       (middle, ForgetfulSwish(), WRONG, "ForgetfulSwish: it does not")]:
        y = module.forward(x)
        axes.plot(x, y, color=CURVE, lw=2, label="y: updateOutput")
        axes.plot(x, module.backward(x, np.ones_like(x)), color=color, lw=2, label="dy/dx: updateGradInput")
        axes.plot(sparse, difference(module, sparse, 1e-6), "o", ms=5, mfc="none", color="black",
                  label="dy/dx: finite difference")
        axes.axhline(0, color=GREY, lw=0.6, zorder=0)
        axes.set(title=title, xlabel="x", ylim=(-0.7, 4.9), yticks=range(5))
        axes.legend(frameon=False, loc="upper left", fontsize=10)

    # The formula in NumPy and long double says what is right.
    exact_x = sparse.astype(np.longdouble)
    s = 1 / (1 + np.exp(-exact_x))
    exact = s + exact_x * s * (1 - s)
    steps = np.logspace(-12, 0, 49)
    best = {}
    for dtype, color, marker in [("float32", WRONG, "s"), ("float64", CURVE, "o")]:
        x = sparse.astype(dtype)
        errors = [float(np.abs(difference(Swish(), x, step) - exact).max()) for step in steps]
        right.loglog(steps, errors, marker, ms=3.5, ls="-", lw=1, color=color, label=dtype)
        best[dtype] = min(errors)
    right.axvline(1e-6, color=GREY, ls="--", lw=1)
    right.text(1.5e-6, 3e-12, "the checker's step", color=GREY, fontsize=10)
    right.set(title="How far to trust the circles", xlabel="step of the finite difference",
              ylabel="largest error of dy/dx", ylim=(1e-12, 30))
    right.legend(frameon=False, loc="upper right", fontsize=10)
    right.grid(alpha=0.25)
    figure.savefig(path, dpi=150)
    return best


def difference(module, x, step):
    """(f(x + step) - f(x - step)) / (2 step): what a derivative is, without knowing a formula."""
    step = x.dtype.type(step)
    up = module.forward(x + step).copy()
    return (up - module.forward(x - step)) / (2 * step)


if __name__ == "__main__":
    main()
