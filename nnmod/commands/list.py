"""nnmod list: everything in a file, by path."""
from .. import tensor
from . import files, values
from .text import say, say_json, size_text, table


def run(options):
    """List what is inside a file."""
    value, kind = files.read(options.file, map=True)
    if options.at is not None:
        value = values.at(value, options.at)
    base = options.at or ""
    depth = values.DEEPEST if options.depth is None else min(options.depth, values.DEEPEST)
    entries = list(_entries(value, depth, base))
    if options.json:
        say_json({"file": options.file, "format": kind, "entries": [_as_json(*entry) for entry in entries]})
        return 0
    rows = [("path", "what it is", "memory")]
    total = 0
    seen = set()
    for path, item, again in entries:
        bytes = values.size(item)
        if bytes is not None and id(item) not in seen:
            seen.add(id(item))
            total += bytes
        rows.append((path or "(all)", _text(item, again), "" if bytes is None else size_text(bytes)))
    for line in table(rows, right={2}, flexible=1):
        say(line)
    if seen:
        say()
        say(f"{len(seen)} tensors, {size_text(total)}")
    return 0


def _entries(value, depth, base):
    """(path, value, again) of what is below *value*; a list of numbers is one entry."""
    hidden = None
    for path, _, item, again in values.walk(value, depth):
        if hidden is not None and path.startswith(hidden):
            continue
        hidden = None
        path = values.join(base, path) if path else base
        yield path, item, again
        if values.numbers(item):
            hidden = path.removeprefix(base).removeprefix(".") + "." if path != base else None
            if path == base:
                return


def _text(item, again):
    if again is not None:
        return f"the same as {again or '(all)'}"
    return values.numbers_text(item) if values.numbers(item) else values.kind(item)


def _as_json(path, item, again):
    entry = {"path": path, "what": values.kind(item)}
    if again is not None:
        entry["same_as"] = again
    elif tensor.is_tensor(item):
        entry |= {"dtype": item.dtype.name, "shape": list(item.shape), "bytes": item.nbytes}
    elif isinstance(item, (bool, int, float, str)) or item is None:
        entry["value"] = item
    elif values.numbers(item):
        entry["value"] = list(item)
    return entry
