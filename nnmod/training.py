"""What a training loop likes to have at hand: progress, ConfusionMatrix, Logger, StochasticGradient.

They help a loop that you write, and never own it (StochasticGradient is Torch's own
small loop, for when that is all you need).  Drawing needs matplotlib, the progress bar
tqdm; both are imported where they are used.
"""
import os
import sys
import time

import numpy as np

from . import check, random, tensor
from .errors import ShapeError


# -- progress -------------------------------------------------------------------


def progress(what, text="", file=None):
    """A progress bar around a loop: how far, the loss, the accuracy, the speed, the time left.

    Parameters
    ----------
    what : iterable or int
        What to loop over, such as :func:`nnmod.data.minibatches`; or, for a loop that
        has no iterable, the number of samples in it.
    text : str
        Stands in front of the bar.
    file : writable
        Where the bar is drawn; None is the standard error.

    Returns a :class:`Progress`: loop over it, or use it in a ``with`` where *what* is
    a number, and call ``show(samples, loss=..., accuracy=...)`` in each step.

    >>> import io
    >>> bar = progress([2, 4], file=io.StringIO())
    >>> for x in bar:
    ...     bar.show(1, loss=x / 2)
    >>> bar.means
    {'loss': 1.5}

    Raises ImportError without tqdm: ``pip install nnmod[tutorials]``.
    """
    return Progress(what, text, file)


class Progress:
    """What :func:`progress` returns.

    ``means`` holds the means of what was shown, weighted by the samples, and
    ``samples`` their number: what a log wants at the end of a pass.
    """

    def __init__(self, what, text="", file=None):
        tqdm = check.package("tqdm", "tutorials", "a progress bar").tqdm
        counted = check.is_int(what)
        if counted:
            check.positive(samples=what)
        self._items = None if counted else what
        self._sums = {}
        self.samples = 0
        self._bar = tqdm(
            desc=text and f"{text}: ", file=file, dynamic_ncols=True,
            total=what if counted else len(what) if hasattr(what, "__len__") else None,
            bar_format="{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
        )
        self._start = time.perf_counter()

    @property
    def means(self):
        """The mean over the samples so far of each value shown."""
        return {name: total / weight for name, (total, weight) in self._sums.items()}

    def show(self, samples, **values):
        """Count *samples* more, and show the means of *values* such as ``loss=0.3``.

        ``accuracy``, a fraction, is shown in percent.
        """
        check.positive(samples=samples)
        self.samples += samples
        for name, value in values.items():
            total, weight = self._sums.get(name, (0.0, 0))
            self._sums[name] = total + float(value) * samples, weight + samples
        words = [f"{name} {100 * mean:.1f} %" if name == "accuracy" else f"{name} {mean:.4g}"
                 for name, mean in self.means.items()]
        seconds = time.perf_counter() - self._start
        words.append(f"{self.samples / max(seconds, 1e-9):.0f} samples/s")
        self._bar.set_postfix_str(", ".join(words), refresh=False)
        if self._items is None:
            self._bar.update(samples)

    def close(self):
        """Draw the bar for the last time."""
        self._bar.close()

    def __iter__(self):
        if self._items is None:
            raise TypeError("this progress was given a number, not something to loop over; "
                            "use it as `with progress(total) as bar:`")
        try:
            for item in self._items:
                yield item
                self._bar.update()
        finally:
            self.close()

    def __len__(self):
        return len(self._items)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


# -- how good it is -----------------------------------------------------------------


class ConfusionMatrix:
    """Counts how often each class was taken for each: rows are targets, columns predictions.

    Parameters
    ----------
    nClasses : int or list of str
        How many classes there are, or their names.
    classes : list of str
        The names, where nClasses is a number.

    Attributes
    ----------
    mat : (nClasses, nClasses) int64
    totalValid : float
        The share of right predictions.  It and the next four are set by
        updateValids(), and by str().
    valids, averageValid : (nClasses,) float32, float
        For each class the share of its samples that were recognised; their mean.
    unionvalids, averageUnionValid : (nClasses,) float32, float
        The same, of the samples that are or were taken for the class (the PASCAL VOC
        measure).  A class without samples has NaN and does not count in the means.

    Classes count from 0; a negative target stands for a missing one and is ignored.
    Raises IndexError for a class that does not exist, before anything is counted.
    Source: Torch7's optim.ConfusionMatrix.

    >>> confusion = ConfusionMatrix(["cat", "dog"])
    >>> confusion.batchAdd(np.array([0, 1, 1]), np.array([0, 1, 0]))
    >>> confusion.updateValids()
    >>> confusion.mat.tolist(), round(confusion.totalValid, 3)
    ([[1, 1], [0, 1]], 0.667)
    """

    def __init__(self, nClasses, classes=None):
        if isinstance(nClasses, (list, tuple)):
            nClasses, classes = len(nClasses), nClasses
        check.positive(nClasses=nClasses)
        self.nClasses = int(nClasses)
        self.classes = [str(name) for name in classes or ()]
        if classes is not None and len(self.classes) != nClasses:
            raise ValueError(f"classes must have {nClasses} names, got {len(self.classes)}")
        self.mat = np.zeros((self.nClasses, self.nClasses), np.int64)
        self.zero()

    def zero(self):
        """Forget all counts; returns self."""
        self.mat.fill(0)
        self.valids = np.zeros(self.nClasses, np.float32)
        self.unionvalids = np.zeros(self.nClasses, np.float32)
        self.totalValid = self.averageValid = self.averageUnionValid = 0.0
        return self

    def add(self, prediction, target):
        """Count one sample.

        prediction, target : a class, or a vector (nClasses,) whose maximum is at the class
        """
        prediction, target = (np.asarray(value)[None] for value in (prediction, target))
        self.batchAdd(prediction, target)

    def batchAdd(self, predictions, targets):
        """Count a batch.

        predictions, targets : classes, (N,) integers; or scores, (N, nClasses)
        """
        predictions = self._classes("predictions", predictions)
        targets = self._classes("targets", targets)
        if len(predictions) != len(targets):
            raise ShapeError(f"predictions and targets must be of one number, got {len(predictions)} "
                             f"and {len(targets)}")
        there = targets >= 0
        self._checkRange("predictions", predictions, there & (predictions < 0))
        pairs = targets[there] * self.nClasses + predictions[there]
        self.mat += np.bincount(pairs, minlength=self.mat.size).reshape(self.mat.shape)

    def _classes(self, name, values):
        check.is_tensor(name, values)
        if values.ndim == 2 and values.shape[1] == self.nClasses:
            return values.argmax(axis=1)
        if values.ndim != 1:
            raise ShapeError(f"{name} must have shape (N,) or (N, {self.nClasses}), got {values.shape}")
        if values.dtype.kind not in "iu":
            raise TypeError(f"{name} of shape (N,) must hold class numbers, integers, "
                            f"got {values.dtype.name}")
        self._checkRange(name, values, values >= self.nClasses)
        return values.astype(np.int64, copy=False)

    def _checkRange(self, name, values, wrong):
        if wrong.any():
            index = int(wrong.argmax())
            raise IndexError(f"{name}[{index}] is {values[index]}, but classes are 0..{self.nClasses - 1} "
                             "(nnmod counts from 0)")

    def updateValids(self):
        """Compute totalValid, valids, unionvalids and their means from the counts."""
        right = self.mat.diagonal().astype(np.float64)
        rows, columns = self.mat.sum(axis=1), self.mat.sum(axis=0)
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: a class without samples
            # In float32, as Torch keeps them, so that the text comes out the same.
            self.valids = (right / rows).astype(np.float32)
            self.unionvalids = (right / (rows + columns - right)).astype(np.float32)
            self.totalValid = float(right.sum() / self.mat.sum())
        known = rows > 0
        self.averageValid = _mean(self.valids[known])
        self.averageUnionValid = _mean(self.unionvalids[known])

    def __str__(self):
        """The matrix and the measures, as Torch prints them."""
        self.updateValids()
        width = max(8, len(str(self.mat.max())) + 1)
        lines = ["ConfusionMatrix:"]
        for t, row in enumerate(self.mat):
            line = ("[[" if t == 0 else " [") + "".join(f"{count:{width}d}" for count in row)
            line += "]]  " if t == self.nClasses - 1 else "]   "
            line += f"{100 * self.valids[t]:.3f}% "
            lines.append(line + (f"\t[class: {self.classes[t]}]" if self.classes else ""))
        lines += [f" + average row correct: {100 * self.averageValid:.14g}% ",
                  f" + average rowUcol correct (VOC measure): {100 * self.averageUnionValid:.14g}% ",
                  f" + global correct: {100 * self.totalValid:.14g}%"]
        return "\n".join(lines)

    def __repr__(self):
        return f"ConfusionMatrix({self.classes or self.nClasses})"

    def plot(self, where):
        """Draw the matrix, shaded by the share of each row, with its counts.

        where : the path of a picture to write, or the matplotlib axes to draw on
        """
        self.updateValids()
        names = self.classes or [str(index) for index in range(self.nClasses)]
        rows = self.mat.sum(axis=1, keepdims=True)
        shares = self.mat / np.maximum(rows, 1)

        def draw(axes):
            axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            axes.set_xticks(range(self.nClasses), names)
            axes.set_yticks(range(self.nClasses), names)
            axes.set_xlabel("prediction")
            axes.set_ylabel("target")
            axes.set_title(f"{100 * self.totalValid:.2f} % right")
            for (t, p), count in np.ndenumerate(self.mat):
                if count:
                    axes.text(p, t, str(count), ha="center", va="center", fontsize=8,
                              color="white" if shares[t, p] > 0.5 else "black")

        side = 2 + 0.4 * min(self.nClasses, 40)
        _draw(draw, where, (side + 0.5, side))


def _mean(values):
    """The mean, in float64, of float32 *values*; NaN where there are none."""
    return float(values.sum(dtype=np.float64) / len(values)) if len(values) else float("nan")


# -- what happened ------------------------------------------------------------------


class Logger:
    """Keeps rows of numbers, writes them to a file as they come, and draws their curves.

    Parameters
    ----------
    path : path or None
        The file: a line of names, then a line for each row, separated by tabs.  It
        is written anew.  None keeps the rows in memory only.

    Attributes
    ----------
    names : list of str
    rows : list of lists of float

    Source: Torch7's optim.Logger.

    >>> log = Logger()
    >>> log.setNames(["loss", "accuracy"]).add([0.5, 0.9]).add([0.25, 0.95])
    Logger(loss, accuracy: 2 rows)
    """

    def __init__(self, path=None):
        self.path = None if path is None else os.fspath(path)
        self.names = []
        self.rows = []
        self.styles = []

    def setNames(self, names):
        """Name the columns, before the first row; returns self."""
        if self.rows:
            raise RuntimeError("setNames after add: name the columns before the first row")
        names = [str(name) for name in names]
        if not names:
            raise ValueError("names must be a list of at least one name, got none")
        self.names = names
        self._write("w", names)
        return self

    def add(self, row):
        """Keep and write a row, a number for each name; returns self."""
        if not self.names:
            raise RuntimeError("add before setNames: name the columns first")
        row = [float(value) for value in row]
        if len(row) != len(self.names):
            raise ValueError(f"a row must have {len(self.names)} numbers ({', '.join(self.names)}), "
                             f"got {len(row)}")
        self._write("a", [f"{value:.8g}" for value in row])
        self.rows.append(row)
        return self

    def style(self, styles):
        """matplotlib's format for each curve, such as ``["-", "o--"]``; returns self."""
        styles = [str(style) for style in styles]
        if len(styles) != len(self.names):
            raise ValueError(f"styles must be {len(self.names)}, one for each name, got {len(styles)}")
        self.styles = styles
        return self

    def plot(self, where=None):
        """Draw each column as a curve over the rows; NaN leaves a gap.

        where : the path of a picture to write, or the matplotlib axes to draw on;
                None writes the log's own path with the suffix .png
        """
        if where is None:
            if self.path is None:
                raise ValueError("this Logger has no path: say where the picture goes, plot(path)")
            where = os.path.splitext(self.path)[0] + ".png"

        def draw(axes):
            styles = self.styles or ["-" if len(self.rows) > 1 else "o"] * len(self.names)
            for name, style, column in zip(self.names, styles, zip(*self.rows)):
                axes.plot(range(1, len(column) + 1), column, style, label=name)
            axes.set_xlabel("row")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
            if self.rows:
                axes.legend()

        _draw(draw, where, (6, 4))

    def _write(self, mode, words):
        if self.path is not None:
            with open(self.path, mode, encoding="utf-8") as file:
                file.write("\t".join(words) + "\n")

    def __repr__(self):
        return f"Logger({', '.join(self.names)}: {len(self.rows)} rows)"


def _draw(draw, where, size):
    """*draw* on axes: *where* itself, or those of a new figure that is saved at that path."""
    if hasattr(where, "get_figure"):
        draw(where)
        return
    # A Figure of its own needs no display, and leaves pyplot's state alone.
    figure = check.package("matplotlib.figure", "plot", "drawing").Figure(size, layout="constrained")
    draw(figure.add_subplot())
    figure.savefig(where, dpi=120)


# -- Torch's own loop -----------------------------------------------------------------


class StochasticGradient:
    """Torch's small training loop: one example at a time, ``p -= rate * dP``.

    Parameters
    ----------
    module, criterion : Module, Criterion
        What is trained, and on what.
    learningRate, learningRateDecay : float
        The rate of pass t, from 1, is learningRate in the first pass and
        ``learningRate / (1 + t * learningRateDecay)`` in the others.
    maxIteration : int
        The number of passes; 0 goes on until it is interrupted.
    shuffleIndices : bool
        Draw one random order of the examples, for all passes.
    verbose : bool
        Write the error of each pass to the standard error.
    hookExample : function
        Called as ``hookExample(trainer, example)`` after each example.
    hookIteration : function
        Called as ``hookIteration(trainer, iteration, error)`` after each pass; the
        first is number 0.

    All are attributes too, and can be changed until train() is called.  The
    gradients of the module are overwritten.  Source: Torch7's nn.StochasticGradient.
    """

    def __init__(self, module, criterion, learningRate=0.01, learningRateDecay=0.0, maxIteration=25,
                 shuffleIndices=True, verbose=True, hookExample=None, hookIteration=None):
        self.module = module
        self.criterion = criterion
        self.learningRate = learningRate
        self.learningRateDecay = learningRateDecay
        self.maxIteration = maxIteration
        self.shuffleIndices = shuffleIndices
        self.verbose = verbose
        self.hookExample = hookExample
        self.hookIteration = hookIteration

    def train(self, dataset):
        """Train on *dataset*, a list of pairs ``(input, target)``.

        Returns the mean error of each pass, taken while it trains.
        """
        check.number(low=0, learningRate=self.learningRate, learningRateDecay=self.learningRateDecay)
        check.not_negative(maxIteration=self.maxIteration)
        check.boolean(shuffleIndices=self.shuffleIndices, verbose=self.verbose)
        count = len(dataset)
        if not count:
            raise ValueError("dataset must have at least one pair (input, target), got none")
        order = random.permutation(count) if self.shuffleIndices else range(count)
        errors = []
        rate = self.learningRate
        self._say("training")
        while True:
            error = sum(self._step(dataset, index, rate) for index in order) / count
            errors.append(error)
            if self.hookIteration:
                self.hookIteration(self, len(errors) - 1, error)
            self._say(f"current error = {error:.14g}")
            if len(errors) == self.maxIteration:
                self._say("the maximum number of iterations is reached")
                return errors
            rate = self.learningRate / (1 + (len(errors) + 1) * self.learningRateDecay)

    def _step(self, dataset, index, rate):
        example = dataset[index]
        if not isinstance(example, (list, tuple)) or len(example) != 2:
            raise TypeError(f"dataset[{index}] must be a pair (input, target), got {tensor.describe(example)}")
        input, target = example
        output = self.module.forward(input)
        loss = self.criterion.forward(output, target)
        self.module.zeroGradParameters()
        self.module.backward(input, self.criterion.backward(output, target))
        self.module.updateParameters(rate)
        if self.hookExample:
            self.hookExample(self, example)
        return loss

    def _say(self, text):
        if self.verbose:
            print("# StochasticGradient:", text, file=sys.stderr)
