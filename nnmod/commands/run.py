"""nnmod run: a forward of a model on an input from a file."""
import numpy as np

from .. import nested, summary, tensor
from . import files, values
from .text import CommandError, remark, say, width
from .write import guard


def run(options):
    """Run a model on an input from a file, and show or write its output."""
    if options.output is not None:
        kind = files.kind_of(options.output)
        if kind not in ("npy", "npz"):
            raise CommandError(f"run writes .npy, or .npz for several outputs, not {options.output}")
        guard(options.output, options.force)
    value, _ = files.read(options.file)
    net = values.model(value, options.at, options.file).evaluate()
    input = _input(options.input_file, tensor.dtype_of(net.type()))
    output = net.forward(input)
    if options.output is None:
        _show(output)
        return 0
    if kind == "npy" and not tensor.is_tensor(output):
        raise CommandError(f"the model has several outputs, {summary.shape_text(summary.shapes(output))}: "
                           "write them to an .npz")
    files.write(options.output, output, kind)
    say(f"{options.output}: {values.kind(output)}")
    return 0


def _input(path, dtype):
    """The tensor in an .npy or .t7 file, or the table in an .npz or .t7; floats become *dtype*.

    An .npz of one tensor is that tensor; where NumPy named its tensors arr_0, arr_1, ..., they are a list.
    """
    value, _ = files.read(path)
    if isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    elif isinstance(value, dict) and all(name == f"arr_{index}" for index, name in enumerate(value)):
        value = list(value.values())
    leaves = list(nested.leaves(value))
    if not leaves or not all(map(tensor.is_tensor, leaves)):
        raise CommandError(f"{path} must hold a tensor, or a table of them, but holds {values.kind(value)}")
    others = {x.dtype.name for x in leaves if x.dtype.kind == "f" and x.dtype != dtype}
    if others:
        names = ", ".join(sorted(others))
        remark(f"the input is {names}; the model works in {dtype.name}, so it is converted")
    return nested.map(lambda x: x.astype(dtype) if x.dtype.kind == "f" else x, value)


def _show(output):
    for path, _, y, _ in values.walk(output):
        if not tensor.is_tensor(y):
            continue
        say((f"output {path}: " if path else "") + values.kind(y))
        with np.printoptions(linewidth=min(width(), 120), threshold=200, edgeitems=4, precision=5,
                             suppress=True):
            say(str(y))
        scored = y.ndim == 2 and y.shape[1] > 1 and y.shape[0] <= 10 and y.dtype.kind == "f"
        if scored and not np.isnan(y).any():
            for row, scores in enumerate(y):
                best = np.argsort(-scores, kind="stable")[:5]
                say(f"row {row}, largest first: " + ", ".join(f"[{i}] {scores[i]:.4g}" for i in best))
