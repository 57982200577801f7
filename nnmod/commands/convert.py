"""nnmod convert: from one kind of file to another."""
import os

from . import files, values
from .text import remark, say, size_text
from .write import guard


def run(options):
    """Read one file and write another, in one step."""
    kind = files.kind_of(options.output, options.to)
    guard(options.output, options.force)
    value, source = files.read(options.file)
    if options.at is not None:
        value = values.at(value, options.at)
    left = files.write(options.output, value, kind)
    for line in left:
        remark(f"left out, as an .npz cannot hold it: {line}")
    before, after = (size_text(os.path.getsize(path)) for path in (options.file, options.output))
    say(f"{options.file} ({files.NAMES[source]}, {before}) -> "
        f"{options.output} ({files.NAMES[kind]}, {after})")
    return 0
