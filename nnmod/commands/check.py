"""nnmod check: are a model's gradients the derivatives of what it computes?"""
from .. import summary, testing
from . import files, shapes, values
from .text import say, table

#: Differences are taken with the first step; the smaller ones are for the neighbourhood of kinks.
STEPS = (1e-6, 1e-7, 1e-8)
RTOL, ATOL = 1e-5, 1e-6


def run(options):
    """Check the gradients of a model in float64; 1 if one is wrong."""
    value, _ = files.read(options.file)
    net = values.model(value, options.at, options.file).clone().double()
    (net.training if options.training else net.evaluate)()
    input = shapes.make(options.input, net)
    samples = options.samples or None
    mode = "training" if options.training else "evaluation"
    say(f"{options.file}, input {options.input}, float64, {mode} mode: "
        + (f"{samples} elements of each tensor" if samples else "all elements")
        + ", backward beside finite differences")
    say()
    results = list(testing.compare_gradients(net, input, samples, STEPS, RTOL, ATOL))
    wrong = [found for found in results if not found.good]
    rows = [("gradient", "checked", *(("backward", "difference") if wrong else ()), "")]
    for found in results:
        numbers = ("", "") if found.good else (f"{found.actual:.9g}", f"{found.expected:.9g}")
        verdict = "right" if found.good else f"WRONG at {list(found.place)}"
        rows.append((_name(found.name), f"{found.checked} of {found.size}", *(numbers if wrong else ()), verdict))
    for line in table(rows, right={1, 2, 3} if wrong else {1}):
        say(line)
    say()
    if wrong:
        say(f"{len(wrong)} of {len(results)} gradients are not the derivative of forward.")
        return 1
    count = summary.summarize(net).parameters
    of_input = " and the input" if any(found.name.startswith("gradInput") for found in results) else ""
    say(f"All {len(results)} gradients are right: of {count:,} parameters{of_input}.")
    return 0


def _name(name):
    """A gradient's name with the path that nnmod list shows: ``3.0  Linear.gradBias``.

    >>> _name("Sequential[3] > Sequential[0] > Linear.gradBias"), _name("gradInput, tensor 1,")
    ('3.0  Linear.gradBias', 'gradInput, tensor 1')
    """
    steps = name.rstrip(",").split(" > ")
    path = ".".join(step[step.rindex("[") + 1:-1] for step in steps[:-1])
    return f"{path}  {steps[-1]}" if path else steps[-1]
