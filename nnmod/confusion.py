"""How good a classifier is: ConfusionMatrix."""
import numpy as np

from . import check, drawing, tensor
from .errors import ShapeError


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
        prediction, target = (np.asarray(tensor.host(value))[None] for value in (prediction, target))
        self.batchAdd(prediction, target)

    def batchAdd(self, predictions, targets):
        """Count a batch.

        predictions, targets : classes, (N,) or (N, 1) integers; or scores, (N, nClasses)
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
        values = tensor.host(values)
        if values.ndim == 2 and values.shape[1] == self.nClasses > 1:
            return values.argmax(axis=1)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
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

    # -- other measures -----------------------------------------------------------

    def farFrr(self):
        """False acceptance and false rejection: ``(classFrrs, classFars, frrs, fars)``.

        classFrrs : (nClasses,), the share of the class's samples that were taken for others
        classFars : (nClasses,), the share of another class's samples that were taken for
                    this one, averaged over the others that have samples
        frrs, fars : the same without the classes that have no samples

        A class without samples has NaN.  (Torch7: -1.)
        """
        there = self.mat.sum(axis=1) > 0
        with np.errstate(invalid="ignore"):
            rates = self.mat / self.mat.sum(axis=1, keepdims=True)
            taken = np.where(there[:, None], rates, 0)
            others = there.sum() - 1  # beside a class that has samples itself
            wrong = taken.sum(axis=0) - taken.diagonal()
            fars = wrong / others if others else np.full(self.nClasses, np.nan)
        classFrrs = np.where(there, 1 - rates.diagonal(), np.nan)
        classFars = np.where(there, fars, np.nan)
        return classFrrs, classFars, classFrrs[there], classFars[there]

    def sensitivity(self):
        """For each class the share of its samples that were recognised: TP / (TP + FN)."""
        right, missed, _, _ = self._outcomes()
        return _ratio(right, right + missed)

    def specificity(self):
        """For each class the share of the others' samples that were not taken for it: TN / (TN + FP)."""
        _, _, wrong, rest = self._outcomes()
        return _ratio(rest, rest + wrong)

    def matthewsCorrelation(self):
        """For each class Matthews' correlation of target and prediction, -1 .. 1; 0 where one is constant."""
        right, missed, wrong, rest = self._outcomes()
        pairs = right + wrong, right + missed, rest + wrong, rest + missed
        scale = np.prod(np.sqrt(pairs), axis=0)
        return np.where(scale > 0, (right * rest - wrong * missed) / np.where(scale > 0, scale, 1), 0.0)

    def _outcomes(self):
        """For each class, in float64: TP, FN, FP, TN."""
        right = self.mat.diagonal().astype(np.float64)
        missed, wrong = self.mat.sum(axis=1) - right, self.mat.sum(axis=0) - right
        return right, missed, wrong, self.mat.sum() - right - missed - wrong

    # -- pictures -------------------------------------------------------------------

    def plot(self, where, sortmode=None):
        """Draw the matrix, shaded by the share of each row, with its counts.

        where : the path of a picture to write, or the matplotlib axes to draw on
        sortmode : None keeps the order of the classes; "score" puts those that are
                   recognised best first, "occurrence" the most frequent
        """
        self.updateValids()
        order = self._order(sortmode)
        names = [self._name(c) for c in order]
        counts, shares = self.mat[np.ix_(order, order)], self._shares()[np.ix_(order, order)]

        def draw(axes):
            axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            axes.set_xticks(range(self.nClasses), names)
            axes.set_yticks(range(self.nClasses), names)
            axes.set_xlabel("prediction")
            axes.set_ylabel("target")
            axes.set_title(f"{100 * self.totalValid:.2f} % right")
            for (t, p), count in np.ndenumerate(counts):
                if count:
                    axes.text(p, t, str(count), ha="center", va="center", fontsize=8,
                              color="white" if shares[t, p] > 0.5 else "black")

        side = 2 + 0.4 * min(self.nClasses, 40)
        drawing.draw_on(where, draw, (side + 0.5, side))

    def render(self, sortmode="score", block=25, legendwidth=200):
        """The matrix as an image, a float32 tensor (3, height, width) within 0..1.

        Each block is as bright as its share of the row, and says it in percent; beside
        the rows stand how frequent the class is, and its name.

        sortmode : "score" puts the classes that are recognised best first, "occurrence"
                   the most frequent; None keeps their order
        block : the side of a block, in pixels
        legendwidth : the width of the legend, in pixels; 0 leaves it out
        """
        check.positive(block=block)
        check.not_negative(legendwidth=legendwidth)
        order = self._order(sortmode)
        shares = self._shares()[np.ix_(order, order)]
        frequency = _ratio(self.mat.sum(axis=1), np.float64(self.mat.sum()))[order]
        side = self.nClasses * block
        width, dpi = side + legendwidth, 100
        figure = drawing.new_figure((width / dpi, side / dpi), dpi=dpi, facecolor="black")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(-0.5, width / block - 0.5)
        axes.set_ylim(self.nClasses - 0.5, -0.5)
        axes.imshow(shares, cmap="gray", vmin=0, vmax=1, aspect="auto", interpolation="nearest",
                    extent=(-0.5, self.nClasses - 0.5, self.nClasses - 0.5, -0.5))
        lines = np.arange(self.nClasses + 1) - 0.5
        axes.hlines(lines, -0.5, self.nClasses - 0.5, color="0.1", linewidth=0.5)
        axes.vlines(lines, -0.5, self.nClasses - 0.5, color="0.1", linewidth=0.5)
        size = min(10, 0.4 * block) * 72 / dpi
        for (t, p), share in np.ndenumerate(shares):
            axes.text(p, t, f"{100 * share:02.0f}", ha="center", va="center", fontsize=size,
                      color="black" if share > 0.5 else "0.6")
        start = self.nClasses - 0.5 + 10 / block
        for t, c in enumerate(order if legendwidth else ()):
            axes.text(start, t, f"[{100 * frequency[t]:.2f}% labels]", va="center", fontsize=size,
                      color=(0.65, 0.65, 0.95))
            axes.text(start + 0.45 * legendwidth / block, t, self._name(c), va="center", fontsize=size,
                      color="white", clip_on=True)
        return drawing.pixels(figure)

    def _shares(self):
        return self.mat / np.maximum(self.mat.sum(axis=1, keepdims=True), 1)

    def _order(self, sortmode):
        if sortmode is None:
            return np.arange(self.nClasses)
        if sortmode not in ("score", "occurrence"):
            raise ValueError(f"sortmode must be 'score', 'occurrence' or None, got {sortmode!r}")
        key = self._shares().diagonal() if sortmode == "score" else self.mat.sum(axis=1)
        return np.argsort(-key, kind="stable")

    def _name(self, c):
        return self.classes[c] if self.classes else str(c)


def _ratio(part, whole):
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: nothing to take a share of
        return part / whole


def _mean(values):
    """The mean, in float64, of float32 *values*; NaN where there are none."""
    return float(values.sum(dtype=np.float64) / len(values)) if len(values) else float("nan")
