"""What a training loop likes to have at hand: progress, Logger, StochasticGradient; and ConfusionMatrix.

They help a loop that you write, and never own it (StochasticGradient is Torch's own
small loop, for when that is all you need).  Drawing needs matplotlib, the progress bar
tqdm; both are imported where they are used.
"""
import os
import sys
import time

from . import check, drawing, random, tensor
from .confusion import ConfusionMatrix as ConfusionMatrix


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


# -- what happened ------------------------------------------------------------------


class Logger:
    """Keeps rows of numbers, writes them to a file as they come, and draws their curves.

    Parameters
    ----------
    path : path or None
        The file, in the form of Torch7's optim.Logger: a line of names, then a line for
        each row, a tab after every cell.  It is written anew, and its folder made.  None
        keeps the rows in memory only.
    timestamp : bool
        Add the time to the name of the file, so that no run overwrites another's.
    digits : int
        Of each number in the file, behind the point.  (4 is Torch's.)  In memory no digit
        is lost.

    Attributes
    ----------
    names : list of str
    rows : list of lists of float or str
    symbols : dict
        The column of each name: a list.

    Source: Torch7's optim.Logger.

    >>> log = Logger()
    >>> log.setNames(["loss", "accuracy"]).add([0.5, 0.9]).add({"loss": 0.25, "accuracy": 0.95})
    Logger(loss, accuracy: 2 rows)
    >>> log.symbols["loss"]
    [0.5, 0.25]
    """

    def __init__(self, path=None, timestamp=False, digits=4):
        check.boolean(timestamp=timestamp)
        check.not_negative(digits=digits)
        self.path = None if path is None else os.fspath(path)
        if timestamp:
            if path is None:
                raise ValueError("timestamp=True adds to the name of a file: give a path too")
            self.path += time.strftime("-%Y_%m_%d_%H-%M-%S")
        self.digits = digits
        self.names = []
        self.rows = []
        self.styles = []
        self.logscale = False

    @classmethod
    def load(cls, path, digits=4):
        """The log in the file *path*, of nnmod or of Torch7's optim.Logger.

        Rows that are added to it are appended to the file.  Cells that are no numbers
        come back as text.  Raises ValueError for a file of another form.
        """
        log = cls(path, digits=digits)
        with open(log.path, encoding="utf-8") as file:
            lines = [_cells(line) for line in file.read().splitlines()]
        if not lines or not lines[0]:
            raise ValueError(f"{log.path} must start with a line of names, separated by tabs")
        names, *rows = lines
        for number, row in enumerate(rows, 2):
            if len(row) != len(names):
                raise ValueError(f"{log.path}, line {number}: a row must have {len(names)} cells "
                                 f"({', '.join(names)}), got {len(row)}")
        log.names = names
        log.rows = [[_number_or_text(cell) for cell in row] for row in rows]
        return log

    @property
    def symbols(self):
        """The column of each name: ``{name: [value, ...]}``."""
        return {name: [row[index] for row in self.rows] for index, name in enumerate(self.names)}

    def setNames(self, names):
        """Name the columns, before the first row; returns self."""
        if self.rows:
            raise RuntimeError("setNames after add: name the columns before the first row")
        names = [_one_line(str(name)) for name in names]
        if not names:
            raise ValueError("names must be a list of at least one name, got none")
        if "" in names:
            raise ValueError(f"no name may be empty, got {names}")
        if len(set(names)) != len(names):
            raise ValueError(f"names must differ from each other, got {names}")
        self._write("w", names)
        self.names = names
        return self

    def add(self, row):
        """Keep and write a row; returns self.

        row : a number (or a text) for each name, in order; or a dict by name, the first
              of which names the columns
        """
        if isinstance(row, dict):
            names = [str(name) for name in row]
            if self.names and set(names) != set(self.names):
                raise ValueError(f"a row must have {', '.join(self.names)}, got {', '.join(names)}")
            values = dict(zip(names, row.values()))
            row = [values[name] for name in self.names or names]
        else:
            names = []
            if not self.names:
                raise RuntimeError("add before setNames: name the columns first")
        row = [_one_line(value) if isinstance(value, str) else float(value) for value in row]
        if not self.names:
            self.setNames(names)
        if len(row) != len(self.names):
            raise ValueError(f"a row must have {len(self.names)} numbers ({', '.join(self.names)}), "
                             f"got {len(row)}")
        self._write("a", [value if isinstance(value, str) else f"{value:{self.digits + 7}.{self.digits}e}"
                          for value in row])
        self.rows.append(row)
        return self

    def style(self, styles):
        """matplotlib's format for each curve, such as ``["-", "o--"]``; returns self.

        styles : one for each name, in order, or a dict of some names; a list of formats
                 in the place of one draws the curve several times
        """
        if isinstance(styles, dict):
            unknown = [str(name) for name in styles if name not in self.names]
            if unknown:
                raise ValueError(f"styles are for {', '.join(self.names)}, got {', '.join(unknown)}")
            before = self.styles or [None] * len(self.names)
            styles = [styles.get(name, old) for name, old in zip(self.names, before)]
        styles = [style if style is None or isinstance(style, (list, tuple)) else str(style)
                  for style in styles]
        if len(styles) != len(self.names):
            raise ValueError(f"styles must be {len(self.names)}, one for each name, got {len(styles)}")
        self.styles = styles
        return self

    def setlogscale(self, state=True):
        """Whether plot draws a logarithmic axis; returns self."""
        check.boolean(state=state)
        self.logscale = state
        return self

    def plot(self, where=None, names=None):
        """Draw columns as curves over the rows; NaN and text leave gaps.

        where : the path of a picture to write, or the matplotlib axes to draw on;
                None writes the log's own path with the suffix .png
        names : the columns to draw; None draws all
        """
        if where is None:
            if self.path is None:
                raise ValueError("this Logger has no path: say where the picture goes, plot(path)")
            where = os.path.splitext(self.path)[0] + ".png"
        unknown = [str(name) for name in names or () if name not in self.names]
        if unknown:
            raise ValueError(f"names must be among {', '.join(self.names)}, got {', '.join(unknown)}")
        styles = dict(zip(self.names, self.styles))

        def draw(axes):
            for name, column in self.symbols.items():
                if not column or (names is not None and name not in names):
                    continue
                usual = "-" if len(column) > 1 else "o"
                formats = styles.get(name) or usual
                for index, style in enumerate([formats] if isinstance(formats, str) else formats):
                    axes.plot(range(1, len(column) + 1),
                              [float("nan") if isinstance(value, str) else value for value in column],
                              style, label=name if index == 0 else None)
            if self.logscale:
                axes.set_yscale("log")
            axes.set_xlabel("row")
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
            if axes.lines:
                axes.legend()

        drawing.draw_on(where, draw, (6, 4))

    def _write(self, mode, cells):
        if self.path is not None:
            if mode == "w":
                os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
            with open(self.path, mode, encoding="utf-8") as file:
                file.write("".join(f"{cell}\t" for cell in cells) + "\n")

    def __repr__(self):
        return f"Logger({', '.join(self.names)}: {len(self.rows)} rows)"


def _cells(line):
    """The cells of a line, each with a tab after it (the last one's may be missing)."""
    return [cell.strip() for cell in line.removesuffix("\t").split("\t")] if line.strip() else []


def _one_line(text):
    if any(c in text for c in "\t\n\r"):
        raise ValueError("a log's names and texts stand in one cell, without tabs and newlines, "
                         f"got {text!r}")
    return text


def _number_or_text(cell):
    try:
        return float(cell)
    except ValueError:
        return cell


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
