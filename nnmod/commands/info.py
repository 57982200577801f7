"""nnmod info: what a model is made of."""
import os

from .. import notebook, summary
from ..serialization.t7 import Opaque
from . import files, shapes, values
from .text import count_text, say, say_json, size_text, table


def run(options):
    """Show the tree of a model with shapes, parameters, memory and arithmetic; 1 if it cannot run."""
    value, kind = files.read(options.file, map=options.input is None)
    if options.at is None and not values.models(value):
        return _data(options, value, kind)
    net = values.model(value, options.at, options.file)
    unknown = values.opaque_lines(net)
    input = None
    if options.input is not None and not unknown:
        net.evaluate()
        input = shapes.make(options.input, net)
    found = summary.summarize(net, input)
    if options.json:
        say_json(_as_json(options, net, found, kind, unknown))
    else:
        _tell(options, net, found, kind, unknown)
    return 1 if unknown else 0


def _data(options, value, kind):
    if options.json:
        say_json({"file": options.file, "format": kind, "model": None, "content": values.kind(value)})
    else:
        say(f"{options.file}: {files.NAMES[kind]}, {size_text(os.path.getsize(options.file))}")
        say(f"It holds no model but data: {values.kind(value)}.")
        say(f"See inside with: nnmod list {options.file}")
    return 0


def _tell(options, net, found, kind, unknown):
    say(f"{options.file}: {files.NAMES[kind]}, {size_text(os.path.getsize(options.file))}, "
        f"{net.type().partition('.')[2]}")
    say()
    ran = found.outputBytes is not None
    head = ("layer", "output", "parameters", "multiply-adds") if ran else ("layer", "parameters")
    rows = [head]
    for layer in found.layers:
        leaf = not layer.module.modules
        learned = (f"{layer.parameters:,}" if layer.parameters else "shared" if layer.shared else
                   "-" if leaf else "")
        row = [_name(layer), learned]
        if ran:
            count = layer.multiplyAdds
            row = [row[0], summary.shape_text(layer.output) if layer.output is not None else "", learned,
                   f"{count:,}" if count is not None else "-" if leaf else ""]
        rows.append(tuple(row))
    for line in table(rows, right={2, 3} if ran else {1}):
        say(line)
    say()
    state = ", running statistics included" if any(layer.module.stateNames for layer in found.layers) else ""
    say(f"parameters  {found.parameters:,}  ({size_text(found.bytes)}{state})")
    if ran:
        say(f"outputs     {size_text(found.outputBytes)} for an input of {options.input}")
        say(f"arithmetic  {count_text(found.multiplyAdds)} multiply-adds a forward "
            f"({count_text(2 * found.multiplyAdds)} FLOPs)")
    elif not unknown:
        say("Shapes and arithmetic: say what comes in, such as --input 1x3x224x224")
    if unknown:
        say()
        say("It cannot run: nnmod does not know all of it.")
        for line in unknown:
            say(f"  {line}")


def _name(layer):
    unknown = isinstance(layer.module, Opaque)
    return summary.tree_text(layer, f"?? {layer.module.className}, opaque" if unknown else None)


def _as_json(options, net, found, kind, unknown):
    return {
        "file": options.file, "format": kind, "type": net.type(), "input": options.input,
        "parameters": found.parameters, "bytes": found.bytes, "output_bytes": found.outputBytes,
        "multiply_adds": found.multiplyAdds, "opaque": unknown,
        "layers": [{
            "path": layer.path, "class": type(layer.module).__name__, "text": notebook.head(layer.module),
            "parameters": layer.parameters, "shared": layer.shared, "bytes": layer.bytes,
            "output": layer.output, "multiply_adds": layer.multiplyAdds, "calls": layer.calls,
        } for layer in found.layers],
    }
