"""Progress, ConfusionMatrix, Logger, StochasticGradient."""
import io
import sys

import numpy as np
import pytest

import nnmod
from nnmod import ConfusionMatrix, Logger, ShapeError, StochasticGradient, progress

PNG = b"\x89PNG"



class Squares:
    """A criterion: the sum of squared errors."""

    def forward(self, output, target):
        return float(np.sum((output - target) ** 2))

    def backward(self, output, target):
        return 2 * (output - target)


def without(monkeypatch, *names):
    """As if these packages were not installed."""
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


# -- progress ------------------------------------------------------------------------


def test_progress_shows_loss_accuracy_speed_and_time_left():
    screen = io.StringIO()
    bar = progress([10, 10, 20], "epoch 1", file=screen)
    assert len(bar) == 3
    seen = []
    for samples in bar:
        seen.append(samples)
        bar.show(samples, loss=samples / 10, accuracy=0.5)
    assert seen == [10, 10, 20]
    assert bar.samples == 40
    assert bar.means == {"loss": 1.5, "accuracy": 0.5}  # weighted by the samples
    last = screen.getvalue().split("\r")[-1]
    assert "epoch 1: 100%" in last and "3/3" in last and "<00:00" in last
    assert "loss 1.5" in last and "accuracy 50.0 %" in last and "samples/s" in last


def test_progress_of_a_number_of_samples():
    screen = io.StringIO()
    with progress(4, file=screen) as bar:
        for _ in range(2):
            bar.show(2, loss=np.float32(0.25))
    assert "100%" in screen.getvalue() and "4/4" in screen.getvalue()
    assert bar.means == {"loss": 0.25}
    with pytest.raises(TypeError, match="with progress"):
        iter(bar).__next__()


def test_progress_goes_over_what_has_no_length():
    screen = io.StringIO()
    assert list(progress((i for i in range(3)), file=screen)) == [0, 1, 2]
    assert "3/?" in screen.getvalue()


def test_progress_is_closed_when_the_loop_breaks_or_raises():
    for _ in range(2):
        bar = progress([1, 2], file=io.StringIO())
        with pytest.raises(ZeroDivisionError):
            for _ in bar:
                1 / 0
        bar.close()


@pytest.mark.parametrize("what", [0, -3])
def test_progress_needs_samples(what):
    with pytest.raises(ValueError, match=f"samples must be an int > 0, got {what}"):
        progress(what, file=io.StringIO())


def test_progress_says_how_to_get_tqdm(monkeypatch):
    without(monkeypatch, "tqdm")
    with pytest.raises(ImportError, match=r"a progress bar needs the package tqdm: pip install nnmod\[tutorials\]"):
        progress([1])


# -- ConfusionMatrix -------------------------------------------------------------------


def test_confusion_counts_classes_and_scores_alike():
    one, other, third = ConfusionMatrix(3), ConfusionMatrix(3), ConfusionMatrix(3)
    scores = np.array([[0.1, 0.7, 0.2], [2, 1, 0], [0, 0, 1]], np.float32)
    targets = np.array([1, 2, 2])
    one.batchAdd(scores, targets)
    other.batchAdd(scores.argmax(1), np.eye(3)[targets])
    for row, target in zip(scores, targets):
        third.add(row, int(target))
    assert one.mat.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 1]]
    np.testing.assert_array_equal(one.mat, other.mat)
    np.testing.assert_array_equal(one.mat, third.mat)


def test_confusion_measures():
    confusion = ConfusionMatrix(3)
    confusion.batchAdd(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]))
    confusion.updateValids()
    assert confusion.totalValid == 0.75
    np.testing.assert_allclose(confusion.valids, [2 / 3, 1, np.nan], rtol=1e-7)
    np.testing.assert_allclose(confusion.unionvalids, [2 / 3, 1 / 2, np.nan], rtol=1e-7)
    assert confusion.averageValid == pytest.approx(5 / 6)  # the class without samples does not count
    assert confusion.averageUnionValid == pytest.approx(7 / 12)
    assert "nan%" in str(confusion)
    confusion.zero()
    assert confusion.mat.sum() == 0 and confusion.totalValid == 0


def test_confusion_of_nothing_is_nan():
    confusion = ConfusionMatrix(2)
    confusion.updateValids()
    assert np.isnan([confusion.totalValid, confusion.averageValid, confusion.averageUnionValid]).all()


def test_confusion_ignores_missing_targets():
    confusion = ConfusionMatrix(2)
    confusion.batchAdd(np.array([0, 1, 1]), np.array([-1, 1, -100]))
    confusion.add(0, -1)
    assert confusion.mat.tolist() == [[0, 0], [0, 1]]


def test_confusion_prints_names_and_wide_counts():
    confusion = ConfusionMatrix(2, ["cat", "dog"])
    confusion.mat[0, 0] = 123456789
    lines = str(confusion).splitlines()
    assert lines[1] == "[[ 123456789         0]   100.000% \t[class: cat]"
    assert repr(confusion) == "ConfusionMatrix(['cat', 'dog'])"
    assert str(ConfusionMatrix(2)).splitlines()[1] == "[[       0       0]   nan% "


@pytest.mark.parametrize("predictions, targets, error, text", [
    ([0, 3], [0, 1], IndexError, "predictions[1] is 3, but classes are 0..2 (nnmod counts from 0)"),
    ([0, -1], [0, 1], IndexError, "predictions[1] is -1, but classes are 0..2"),
    ([0, 1], [0, 3], IndexError, "targets[1] is 3, but classes are 0..2"),
    ([0, 1, 2], [0, 1], ShapeError, "predictions and targets must be of one number, got 3 and 2"),
    ([0.5, 1.0], [0, 1], TypeError, "predictions of shape (N,) must hold class numbers, integers, got float64"),
    (np.zeros((2, 4)), [0, 1], ShapeError, "predictions must have shape (N,) or (N, 3), got (2, 4)"),
])
def test_confusion_refuses(predictions, targets, error, text):
    confusion = ConfusionMatrix(3)
    with pytest.raises(error) as caught:
        confusion.batchAdd(np.asarray(predictions), np.asarray(targets))
    assert str(caught.value).startswith(text)
    assert confusion.mat.sum() == 0


def test_confusion_constructor_refuses():
    with pytest.raises(ValueError, match="nClasses must be an int > 0, got 0"):
        ConfusionMatrix(0)
    with pytest.raises(ValueError, match="classes must have 3 names, got 2"):
        ConfusionMatrix(3, ["a", "b"])
    with pytest.raises(TypeError, match="predictions must be a tensor"):
        ConfusionMatrix(3).batchAdd([0], np.array([0]))


def test_confusion_takes_columns_of_classes():
    confusion = ConfusionMatrix(3)
    confusion.batchAdd(np.array([[0], [2]]), np.array([[0], [1]]))
    assert confusion.mat.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_confusion_rates_of_each_class():
    confusion = ConfusionMatrix(3)
    confusion.mat[...] = [[6, 2, 0], [1, 3, 0], [0, 0, 0]]
    classFrrs, classFars, frrs, fars = confusion.farFrr()
    np.testing.assert_allclose(classFrrs, [0.25, 0.25, np.nan])
    np.testing.assert_allclose(classFars, [0.25, 0.25, np.nan])
    np.testing.assert_allclose([frrs, fars], [[0.25, 0.25]] * 2)
    np.testing.assert_allclose(confusion.sensitivity(), [0.75, 0.75, np.nan])
    np.testing.assert_allclose(confusion.specificity(), [0.75, 0.75, 1])
    expected = np.corrcoef([1] * 8 + [0] * 4, [1] * 6 + [0] * 2 + [1] + [0] * 3)[0, 1]
    np.testing.assert_allclose(confusion.matthewsCorrelation(), [expected, expected, 0])
    only = ConfusionMatrix(2)
    only.add(0, 0)
    assert np.isnan(only.farFrr()[1]).all()


def test_confusion_renders_an_image():
    confusion = ConfusionMatrix(["cat", "dog", "cow"])
    confusion.mat[...] = [[1, 1, 0], [0, 3, 0], [5, 5, 10]]
    image = confusion.render(sortmode=None, block=30, legendwidth=100)
    assert image.shape == (3, 90, 190) and image.dtype == np.float32
    assert image.min() == 0 and image.max() == 1
    corners = image[:, 4::30, 4:90:30]  # in the blocks, beside their texts
    np.testing.assert_allclose(corners[0], [[0.5, 0.5, 0], [0, 1, 0], [0.25, 0.25, 0.5]], atol=0.01)
    assert (corners[0] == corners[1]).all()
    assert confusion.render(block=30, legendwidth=0).shape == (3, 90, 90)
    best_first = confusion.render("score", 30, 0)[0, 4::30, 4::30].diagonal()
    np.testing.assert_allclose(best_first, [1, 0.5, 0.5], atol=0.01)
    most_first = confusion.render("occurrence", 30, 0)[0, 4::30, 4::30].diagonal()
    np.testing.assert_allclose(most_first, [0.5, 1, 0.5], atol=0.01)
    with pytest.raises(ValueError, match="sortmode must be 'score', 'occurrence' or None, got 'name'"):
        confusion.render("name")
    assert ConfusionMatrix(2).render(legendwidth=60).shape == (3, 50, 110)


def test_confusion_draws_sorted():
    from matplotlib.figure import Figure
    confusion = ConfusionMatrix(["a", "b"])
    confusion.mat[...] = [[1, 1], [0, 3]]
    axes = Figure().add_subplot()
    confusion.plot(axes, "score")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["b", "a"]
    assert [text.get_text() for text in axes.texts] == ["3", "1", "1"]


def test_confusion_draws_on_a_file_or_on_axes(tmp_path):
    from matplotlib.figure import Figure
    confusion = ConfusionMatrix(["a", "b"])
    confusion.batchAdd(np.array([0, 1, 1]), np.array([0, 1, 0]))
    confusion.plot(tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes().startswith(PNG)
    axes = Figure().add_subplot()
    confusion.plot(axes)
    assert axes.get_title() == "66.67 % right"
    assert [text.get_text() for text in axes.texts] == ["1", "1", "1"]


def test_drawing_says_how_to_get_matplotlib(monkeypatch, tmp_path):
    without(monkeypatch, "matplotlib", "matplotlib.figure")
    with pytest.raises(ImportError, match=r"drawing needs the package matplotlib: pip install nnmod\[plot\]"):
        ConfusionMatrix(2).plot(tmp_path / "x.png")


def test_drawing_leaves_pyplot_alone(tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    ConfusionMatrix(2).plot(tmp_path / "x.png")
    assert pyplot.get_fignums() == []


# -- Logger --------------------------------------------------------------------------------


def test_logger_writes_as_it_goes(tmp_path):
    path = tmp_path / "log.tsv"
    path.write_text("from an earlier run")
    log = Logger(path)
    log.setNames(["loss", "accuracy"])
    log.add([0.5, np.float32(0.75)])
    assert path.read_text() == "loss\taccuracy\t\n 5.0000e-01\t 7.5000e-01\t\n"  # as optim.Logger writes
    log.add((1e-12, float("nan")))
    assert path.read_text().endswith("\n 1.0000e-12\t        nan\t\n")
    assert log.rows[0] == [0.5, 0.75] and len(log.rows) == 2
    np.testing.assert_allclose(np.loadtxt(path, skiprows=1), log.rows)


TORCHS_LOG = ("% mean class accuracy (train set)\t% mean class accuracy (test set)\tnote\t\n"
              " 9.4583e+01\t 9.5200e+01\tbest\t\n 1.0000e+02\t       -nan\t\t\n")


def test_logger_reads_torchs_file_and_goes_on(tmp_path):
    path = tmp_path / "train.log"
    path.write_text(TORCHS_LOG)
    log = Logger.load(path)
    assert log.names == ["% mean class accuracy (train set)", "% mean class accuracy (test set)", "note"]
    assert log.rows[0] == [94.583, 95.2, "best"]
    assert log.rows[1][0] == 100 and np.isnan(log.rows[1][1]) and log.rows[1][2] == ""
    assert path.read_text() == TORCHS_LOG
    log.add([1, 2, "later"])
    assert path.read_text() == TORCHS_LOG + " 1.0000e+00\t 2.0000e+00\tlater\t\n"
    assert Logger.load(path).rows[2] == log.rows[2]


@pytest.mark.parametrize("text, message", [
    ("", "must start with a line of names, separated by tabs"),
    ("a\tb\t\n1\t2\t\n1\t\n", r"line 3: a row must have 2 cells \(a, b\), got 1"),
])
def test_logger_refuses_a_file_of_another_form(tmp_path, text, message):
    path = tmp_path / "x.log"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        Logger.load(path)
    with pytest.raises(FileNotFoundError):
        Logger.load(tmp_path / "missing.log")


def test_logger_takes_rows_by_name(tmp_path):
    log = Logger(tmp_path / "new" / "folder" / "log.tsv", digits=1)
    log.add({"loss": 0.5, "epoch": 1}).add({"epoch": 2, "loss": 0.25})
    assert log.symbols == {"loss": [0.5, 0.25], "epoch": [1, 2]}
    assert (tmp_path / "new" / "folder" / "log.tsv").read_text() == (
        "loss\tepoch\t\n 5.0e-01\t 1.0e+00\t\n 2.5e-01\t 2.0e+00\t\n")
    with pytest.raises(ValueError, match="a row must have loss, epoch, got loss"):
        log.add({"loss": 1})


def test_logger_adds_the_time_to_the_name(tmp_path):
    log = Logger(tmp_path / "train.log", timestamp=True).setNames(["loss"])
    (file,) = tmp_path.iterdir()
    assert str(file) == log.path and file.name.startswith("train.log-20")
    with pytest.raises(ValueError, match="give a path too"):
        Logger(timestamp=True)


def test_logger_draws_what_is_asked_for():
    from matplotlib.figure import Figure
    log = Logger().setNames(["loss", "accuracy", "note"])
    log.add([1, 0.5, "x"]).add([0.5, "?", "y"])
    axes = Figure().add_subplot()
    log.style({"loss": ["-", "+"]}).setlogscale().plot(axes, names=["loss", "accuracy"])
    assert [line.get_linestyle() for line in axes.lines] == ["-", "None", "-"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["loss", "accuracy"]
    assert np.isnan(axes.lines[2].get_ydata()[1])
    assert axes.get_yscale() == "log"
    with pytest.raises(ValueError, match="names must be among loss, accuracy, note, got other"):
        log.plot(axes, names=["other"])
    with pytest.raises(ValueError, match="styles are for loss, accuracy, note, got other"):
        log.style({"other": "-"})


def test_logger_draws(tmp_path):
    from matplotlib.figure import Figure
    log = Logger(tmp_path / "log.tsv").setNames(["loss", "accuracy"])
    log.add([1, 0.5]).add([0.5, float("nan")]).add([0.25, 0.9])
    log.plot()
    assert (tmp_path / "log.png").read_bytes().startswith(PNG)
    axes = Figure().add_subplot()
    log.style(["-", "o--"]).plot(axes)
    assert [line.get_label() for line in axes.lines] == ["loss", "accuracy"]
    assert axes.lines[1].get_linestyle() == "--"
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3]


def test_logger_without_a_file(tmp_path):
    log = Logger().setNames(["loss"])
    with pytest.raises(ValueError, match="this Logger has no path"):
        log.plot()
    log.plot(tmp_path / "empty.png")
    assert (tmp_path / "empty.png").exists()


def test_logger_refuses(tmp_path):
    log = Logger()
    with pytest.raises(RuntimeError, match="add before setNames: name the columns first"):
        log.add([1])
    with pytest.raises(ValueError, match="names must be a list of at least one name, got none"):
        log.setNames([])
    with pytest.raises(ValueError, match="without tabs and newlines"):
        log.setNames(["a\tb"])
    with pytest.raises(ValueError, match="names must differ"):
        log.setNames(["a", "a"])
    log.setNames(["loss", "accuracy"])
    with pytest.raises(ValueError, match=r"a row must have 2 numbers \(loss, accuracy\), got 1"):
        log.add([1])
    with pytest.raises(ValueError, match="styles must be 2, one for each name, got 1"):
        log.style(["-"])
    log.add([1, 2])
    with pytest.raises(RuntimeError, match="setNames after add"):
        log.setNames(["other", "names"])
    assert log.rows == [[1.0, 2.0]]


# -- StochasticGradient -----------------------------------------------------------------------


def line_dataset(count=8):
    x = np.linspace(-1, 1, count, dtype=np.float32)
    return [(np.array([a], np.float32), np.array([2 * a + 1], np.float32)) for a in x]


def test_stochastic_gradient_learns_a_line(capsys):
    net = nnmod.Linear(1, 1)
    errors = StochasticGradient(net, Squares(), learningRate=0.1).train(line_dataset())
    assert len(errors) == 25 and errors[-1] < 1e-6 < errors[0]
    np.testing.assert_allclose([net.weight.item(), net.bias.item()], [2, 1], atol=1e-2)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("# StochasticGradient: current error = ") == 25


def test_stochastic_gradient_calls_its_hooks():
    calls = []
    trainer = StochasticGradient(nnmod.Linear(None, 1), Squares(), maxIteration=2, verbose=False)
    trainer.hookExample = lambda t, example: calls.append((t is trainer, len(example)))
    trainer.hookIteration = lambda t, iteration, error: calls.append((iteration, error))
    errors = trainer.train(line_dataset(3))
    assert calls == [(True, 2)] * 3 + [(0, errors[0])] + [(True, 2)] * 3 + [(1, errors[1])]


@pytest.mark.parametrize("decay, rates", [(0.0, [0.5, 0.5, 0.5]), (0.5, [0.5, 0.25, 0.2])])
def test_stochastic_gradient_lowers_its_rate(decay, rates):
    """The first pass has the full rate, pass t (from 1) the rate / (1 + t decay)."""
    net = nnmod.Linear(1, 1, bias=False)
    before = [1.0]
    net.weight[:] = 1

    class Slope:
        forward = staticmethod(lambda output, target: 0.0)
        backward = staticmethod(lambda output, target: np.ones_like(output))

    steps = []
    trainer = StochasticGradient(net, Slope(), 0.5, decay, maxIteration=3, verbose=False)
    trainer.hookIteration = lambda *_: (steps.append(before[0] - net.weight.item()),
                                        before.__setitem__(0, net.weight.item()))
    trainer.train([(np.ones(1, np.float32), None)])
    np.testing.assert_allclose(steps, rates, rtol=1e-6)


def test_stochastic_gradient_draws_one_order():
    seen = []
    trainer = StochasticGradient(nnmod.Linear(1, 1), Squares(), maxIteration=2, verbose=False,
                                 hookExample=lambda _, example: seen.append(float(example[0][0])))
    trainer.train(line_dataset())
    assert seen[:8] == seen[8:] != sorted(seen[:8])
    assert sorted(seen[:8]) == [float(x[0]) for x, _ in line_dataset()]


@pytest.mark.parametrize("change, dataset, error, text", [
    ({}, [], ValueError, "dataset must have at least one pair (input, target), got none"),
    ({}, [(np.zeros(1, np.float32),)], TypeError,
     "dataset[0] must be a pair (input, target), got [float32 (1,)]"),
    ({"learningRate": -1}, None, ValueError, "learningRate must be a number >= 0, got -1"),
    ({"maxIteration": 1.5}, None, ValueError, "maxIteration must be an int >= 0, got 1.5"),
    ({"shuffleIndices": 1}, None, ValueError, "shuffleIndices must be True or False, got 1"),
])
def test_stochastic_gradient_refuses(change, dataset, error, text):
    trainer = StochasticGradient(nnmod.Linear(1, 1), Squares(), verbose=False)
    for name, value in change.items():
        setattr(trainer, name, value)
    with pytest.raises(error) as caught:
        trainer.train(line_dataset() if dataset is None else dataset)
    assert str(caught.value) == text


def test_stochastic_gradient_goes_on_until_it_is_interrupted():
    trainer = StochasticGradient(nnmod.Linear(1, 1), Squares(), maxIteration=0, verbose=False)
    errors = []

    def stop(_, iteration, error):
        errors.append(error)
        if iteration == 30:  # more than the default of 25
            raise KeyboardInterrupt

    trainer.hookIteration = stop
    with pytest.raises(KeyboardInterrupt):
        trainer.train(line_dataset())
    assert len(errors) == 31


def test_stochastic_gradient_takes_a_new_rate_from_a_hook():
    trainer = StochasticGradient(nnmod.Linear(1, 1), Squares(), 0.1, maxIteration=3, verbose=False)
    weights = []

    def freeze(t, *_):
        weights.append(t.module.weight.item())
        t.learningRate = 0

    trainer.hookIteration = freeze
    trainer.train(line_dataset())
    assert weights[0] == weights[1] == weights[2]


def test_stochastic_gradient_trains_without_targets():
    net = nnmod.Linear(1, 1)
    errors = StochasticGradient(net, nnmod.L1Cost(), 0.05, verbose=False).train(
        [(np.array([x], np.float32), None) for x in (1, 2, -1)])
    assert errors[-1] < errors[0]
