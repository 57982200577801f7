"""nnmod time: how long each layer takes, forward and backward."""
import os

from .. import check, drawing, kernels, notebook, summary, timing
from . import files, shapes, values
from .text import CommandError, count_text, say, say_json, table
from .write import guard


def run(options):
    """Time every layer of a model."""
    if options.plot is not None:
        _can_plot(options)
    value, _ = files.read(options.file)
    net = values.model(value, options.at, options.file)
    (net.evaluate if options.evaluate else net.training)()
    times = timing.time_layers(net, shapes.make(options.input, net), options.repeats, options.seconds)
    if options.json:
        say_json(_as_json(options, times))
    else:
        _tell(options, net, times)
    if options.plot is not None:
        _plot(options, times)
    return 0


def _can_plot(options):
    """Raise, before anything is timed, where the plot could not be written afterwards."""
    guard(options.plot, options.force)
    if not options.plot.lower().endswith((".png", ".svg", ".pdf")):
        raise CommandError(f"a plot ends in .png, .svg or .pdf, and {options.plot} does not")
    check.package("matplotlib.figure", "plot", "--plot")


def _tell(options, net, times):
    threads = kernels.getnumthreads()
    say(f"{options.file}, input {options.input}, {net.type().partition('.')[2]}, "
        f"{'evaluation' if options.evaluate else 'training'} mode; "
        f"{threads} thread{'s' if threads > 1 else ''}; medians of {times.repeats} passes")
    say()
    total = sum(row.forward + row.backward for row in (*times.rows, *times.containers))
    rows = [("layer", "output", "forward", "GF/s", "backward", "GF/s", "share")]
    layers = {layer.path: layer for layer in times.summary.layers}
    wide = max(len(row.path) for row in times.rows)
    for row in times.rows:
        rows.append((f"{row.path:{wide}}  {notebook.head(row.module)}".strip(),
                     summary.shape_text(layers[row.path].output),
                     _ms(row.forward), _rate(row.forwardRate), _ms(row.backward), _rate(row.backwardRate),
                     f"{100 * (row.forward + row.backward) / total:.1f} %"))
    forward, backward = _rest(times)
    rows.append(("containers", "", _ms(forward), "", _ms(backward), "",
                 f"{100 * (forward + backward) / total:.1f} %"))
    rows.append(("whole", "", _ms(times.forward), _rate(_over(2 * times.summary.multiplyAdds, times.forward)),
                 _ms(times.backward), _rate(_over(_backward_flops(times), times.backward)), ""))
    lines = list(table(rows, right={2, 3, 4, 5, 6}))
    for index, line in enumerate(lines):
        if index == len(lines) - 1:
            say()
        say(line)
    say()
    say("Times are in ms; the whole is that of passes that nothing watches.")
    say("GF/s: 10^9 floating-point operations a second, two for a multiply-add.")
    batch = _batch(times, options)
    if batch:
        say(f"{count_text(round(batch / times.forward))} inputs a second forward, "
            f"{count_text(round(batch / (times.forward + times.backward)))} forward and backward.")


def _rest(times):
    """What containers add to their children, forward and backward."""
    return (sum(row.forward for row in times.containers), sum(row.backward for row in times.containers))


def _batch(times, options):
    """How many inputs a pass has, where the first size of the input is that of a batch."""
    (_, sizes, integers), *more = shapes.parse(options.input)
    output = times.summary.layers[0].output
    whole = isinstance(output, tuple) and output and output[0] == sizes[0] and len(sizes) in (2, 4, 5)
    return sizes[0] if whole and not more and not integers else None


def _backward_flops(times):
    return sum(row.gradients * 2 * row.multiplyAdds for row in times.rows if row.multiplyAdds)


def _over(flops, seconds):
    return flops / seconds if flops and seconds else None


def _ms(seconds):
    ms = 1000 * seconds
    return f"{ms:.0f}" if ms >= 100 else f"{ms:.1f}" if ms >= 10 else f"{ms:.3f}"


def _rate(flops):
    return "-" if not flops else f"{flops / 1e9:.1f}" if flops < 1e11 else f"{flops / 1e9:.0f}"


def _as_json(options, times):
    forward, backward = _rest(times)
    layers = {layer.path: layer for layer in times.summary.layers}
    return {
        "file": options.file, "input": options.input,
        "mode": "evaluation" if options.evaluate else "training",
        "threads": kernels.getnumthreads(), "backend": kernels.backend_name(), "repeats": times.repeats,
        "forward_s": times.forward, "backward_s": times.backward,
        "containers_forward_s": forward, "containers_backward_s": backward,
        "multiply_adds": times.summary.multiplyAdds,
        "layers": [{
            "path": row.path, "text": notebook.head(row.module), "output": layers[row.path].output,
            "forward_s": row.forward, "backward_s": row.backward, "multiply_adds": row.multiplyAdds,
            "forward_flops_per_s": row.forwardRate, "backward_flops_per_s": row.backwardRate,
        } for row in times.rows],
    }


def _plot(options, times):
    names = [f"{row.path}  {notebook.head(row.module)}".strip() for row in times.rows]

    # What stands between two dollars matplotlib would set as a formula.
    file = os.path.basename(options.file).replace("$", r"\$")

    def draw(axes):
        places = range(len(names))
        forward = [1000 * row.forward for row in times.rows]
        axes.barh(places, forward, color="#0072B2", label="forward")
        axes.barh(places, [1000 * row.backward for row in times.rows], left=forward, color="#E69F00",
                  label="backward")
        axes.set_yticks(places, names, fontsize=9)
        axes.invert_yaxis()
        axes.margins(y=0.01)
        passes = f"{1000 * times.forward:.3g} ms forward, {1000 * times.backward:.3g} ms backward"
        axes.set(xlabel="time in ms", title=f"{file}, input {options.input}\n{passes}")
        axes.grid(axis="x", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="best")

    drawing.draw_on(options.plot, draw, (9, 1.8 + 0.24 * len(names)))
