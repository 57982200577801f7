"""Connectionist temporal classification: CTCCriterion."""
import numpy as np

from . import check, kernels, nested, tensor
from .criterion import Criterion
from .errors import ShapeError


class CTCCriterion(Criterion):
    """Minus the log-probability of a sequence of labels, over all ways to align it with the input.

    A path gives every step one label or the blank; it stands for the labels that
    remain when repeated ones are merged and then blanks dropped.

    Parameters
    ----------
    blank : int
        The class that stands for no label.
    sizeAverage : bool
        True divides each sample's loss by its number of labels (at least 1) and
        averages over the batch; False takes the sum.
    zeroInfinity : bool
        A sample whose labels do not fit into its steps has an infinite loss and a
        gradient of NaN; with zeroInfinity both are 0.

    Shapes
    ------
    input   (T, N, C) or (T, C), log-probabilities (the output of a LogSoftMax over C)
    target  (N, S) int32 or int64, S labels for each sample, or (S,) for an input (T, C);
            or a table [labels, steps, counts], where sample n has the first steps[n]
            steps and the first counts[n] labels: labels (N, S) padded with anything, or
            (sum of counts,) one sample after the other; steps (N,) or None for all;
            counts (N,), or None for all of a padded row

    Raises IndexError for a label that is not there or is the blank.  gradInput is the
    gradient by the log-probabilities.  Source: Graves, Fernandez, Gomez and
    Schmidhuber (2006); Torch7 users had it from warp-ctc.

    >>> x = np.log(np.full((2, 1, 2), 0.5))
    >>> round(CTCCriterion().forward(x, np.array([[1]])), 6)  # 3 of the 4 paths say "1"
    0.287682
    """

    bufferNames = ("_alpha", "_losses", "_work", "_scales", "_dense", "_forwarded",
                   "_labelsThere", "_stepsThere", "_countsThere", "_scalesThere")

    def __init__(self, blank=0, sizeAverage=True, zeroInfinity=False):
        super().__init__()
        check.not_negative(blank=blank)
        check.boolean(sizeAverage=sizeAverage, zeroInfinity=zeroInfinity)
        self.blank = blank
        self.sizeAverage = sizeAverage
        self.zeroInfinity = zeroInfinity
        for name in self.bufferNames:
            setattr(self, name, None)

    def updateOutput(self, input, target):
        x, labels, steps, counts = self._checked(input, target)
        self._forwarded = None
        losses = self._run(x, labels, steps, counts)
        self._forwarded = input, target
        total = 0.0
        for loss, scale in zip(losses.tolist(), self._scales.tolist()):
            total += loss * scale if scale else 0.0
        self.output = total
        return self.output

    def updateGradInput(self, input, target):
        x, labels, steps, counts = self._checked(input, target)
        if self._forwarded is None or input is not self._forwarded[0] or target is not self._forwarded[1]:
            self._forwarded = None
            self._run(x, labels, steps, counts)
        gradInput = self.resize("gradInput", input.shape, like=x)
        kernels.of(x).ctc_update_grad_input(x, *self._there(x, labels, steps, counts), self._alpha, self._losses,
                                            self._work, gradInput.reshape(x.shape),
                                            self._placed("_scalesThere", self._scales, x), self.blank)
        return gradInput

    def _there(self, x, labels, steps, counts):
        """Labels and lengths, which are checked on the host, on the device of *x*."""
        return (self._placed("_labelsThere", labels, x), self._placed("_stepsThere", steps, x),
                self._placed("_countsThere", counts, x))

    def _run(self, x, labels, steps, counts):
        """The losses of the samples, and the weight of each in the whole."""
        T, N, _ = x.shape
        alpha = self.resize("_alpha", (N, T, 2 * labels.shape[1] + 1), like=x)
        losses = self.resize("_losses", (N,), like=x)
        work = self.resize("_work", (N, 4, alpha.shape[2]), like=x)
        kernels.of(x).ctc_update_output(x, *self._there(x, labels, steps, counts), alpha, losses, work, self.blank)
        scales = self.resize("_scales", (N,), dtype=x.dtype)  # on the host, where the counts are
        if self.sizeAverage:
            np.maximum(counts, 1, out=scales, casting="unsafe")
            np.divide(1 / N, scales, out=scales)
        else:
            scales.fill(1)
        if self.zeroInfinity:
            scales[np.isposinf(tensor.host(losses))] = 0
        return tensor.host(losses)

    def _checked(self, input, target):
        check.floating("input", input)
        if input.ndim not in (2, 3):
            raise ShapeError(f"input must have shape (T, N, C) or (T, C), got {input.shape}")
        x = input if input.ndim == 3 else input[:, None]
        x, self._dense = tensor.dense(x, self._dense)
        T, N, C = x.shape
        if N == 0 and self.sizeAverage:
            raise ShapeError("an average over no samples has no value; use sizeAverage=False "
                             f"or skip the empty batch (input has shape {input.shape})")
        if self.blank >= C:
            raise ShapeError(f"input must have the blank, class {self.blank}, among its classes, "
                             f"got {input.shape}")
        steps = counts = None
        labels = target
        if nested.is_table(target):
            check.table("target", target, 3)
            labels, steps, counts = target
        labels = tensor.host(_integers("target", labels))
        steps = np.full(N, T) if steps is None else _lengths("steps", steps, N, T)
        if labels.ndim == 1 and input.ndim == 3:
            labels, counts = self._apart(labels, counts, N)
        else:
            labels = labels[None] if labels.ndim == 1 else labels
            if labels.ndim != 2 or labels.shape[0] != N:
                raise ShapeError(f"target must have labels of shape ({N}, S), a row for each sample, "
                                 f"got {labels.shape}")
            S = labels.shape[1]
            counts = np.full(N, S) if counts is None else _lengths("counts", counts, N, S)
            labels = np.array(labels, np.int64, order="C")
        real = np.arange(labels.shape[1]) < counts[:, None]
        wrong = real & ((labels < 0) | (labels >= C) | (labels == self.blank))
        if wrong.any():
            n, s = (int(i[0]) for i in np.nonzero(wrong))
            raise IndexError(f"target[{n}][{s}] is {int(labels[n, s])}, but labels are 0..{C - 1} without "
                             f"the blank, {self.blank}")
        return x, labels, steps, counts

    def _apart(self, labels, counts, N):
        """Labels of one sample after the other as padded rows."""
        if counts is None:
            raise ShapeError(f"target must have labels of shape ({N}, S), a row for each sample, or say in "
                             f"counts how many each has, got {labels.shape}")
        counts = _lengths("counts", counts, N, labels.size)
        if counts.sum() != labels.size:
            raise ShapeError(f"target must have {int(counts.sum())} labels, the sum of counts, "
                             f"got {labels.size}")
        rows = np.zeros((N, int(counts.max(initial=0))), np.int64)
        rows[np.arange(rows.shape[1]) < counts[:, None]] = labels
        return rows, counts

    def describe(self):
        words = [f"blank={self.blank}"] if self.blank else []
        words += ["sizeAverage=False"] * (not self.sizeAverage) + ["zeroInfinity=True"] * self.zeroInfinity
        return ", ".join(words)


def _integers(name, value):
    check.is_tensor(name, value, "np.int64")
    if value.dtype.char not in "ilq":
        raise TypeError(f"{name} must be int32 or int64, got {value.dtype.name}")
    return value


def _lengths(name, value, N, most):
    value = tensor.host(_integers(name, value if tensor.is_tensor(value) else np.asarray(value)))
    if value.shape != (N,) or (N and (value.min() < 0 or value.max() > most)):
        raise ShapeError(f"{name} must be {N} numbers within 0..{most}, one for each sample, got "
                         f"{value.tolist() if value.size < 20 else value.shape}")
    return np.array(value, np.int64)
