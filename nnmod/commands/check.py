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
    say(f"{options.file}, input {options.input}, float64, {'training' if options.training else 'evaluation'} mode: "
        + (f"{samples} elements of each tensor" if samples else "all elements")
        + ", backward beside finite differences")
    say()
    rows = [("gradient", "checked", "backward", "difference", "")]
    wrong = 0
    for found in testing.compare_gradients(net, input, samples, STEPS, RTOL, ATOL):
        wrong += not found.good
        rows.append((_name(found), f"{found.checked} of {found.size}",
                     *(("", "", "right") if found.good else
                       (f"{found.actual:.9g}", f"{found.expected:.9g}", f"WRONG at {list(found.place)}"))))
    for line in table(rows, right={1, 2, 3}):
        say(line)
    say()
    if wrong:
        say(f"{wrong} of {len(rows) - 1} gradients are not the derivative of forward.")
        return 1
    say(f"All {len(rows) - 1} gradients are right, of {summary.summarize(net).parameters:,} parameters and the input.")
    return 0


def _name(found):
    return found.name.rstrip(",")
