"""What nnmod raises, and how an error learns where in the network it happened."""

_PREFIX = "in module: "


class ShapeError(ValueError):
    """An input, target or gradient does not have the shape that is needed."""


def add_location(error, step):
    """Put *step* in front of the module path that *error* carries as a note (PEP 678).

    Each container on the way up adds its own step, so that the outermost caller
    reads one line such as ``in module: Sequential[2] > Concat[0] > Linear(12 -> 5)``.
    Type, message and traceback of the error stay as they are.
    """
    notes = getattr(error, "__notes__", [])
    for index, note in enumerate(notes):
        if note.startswith(_PREFIX):
            notes[index] = f"{_PREFIX}{step} > {note[len(_PREFIX):]}"
            return
    error.add_note(_PREFIX + step)


def has_location(error):
    """Whether some container has already noted where *error* happened."""
    return any(note.startswith(_PREFIX) for note in getattr(error, "__notes__", ()))
