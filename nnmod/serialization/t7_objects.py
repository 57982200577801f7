"""What a .t7 file holds and nnmod has no class for: Opaque modules, records, keys, functions.

They keep everything that the file says of them, print it, and are written back as they were.
"""
from ..criterion import Criterion
from ..module import Module


class Key:
    """A key of a Lua table that no Python dict can have: a table, a tensor, or a boolean beside 0 or 1.

    ``value`` is the key; two Keys are equal only if they are the same object.
    """

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    def __repr__(self):
        return f"Key({_short(self.value)})"


class Record:
    """An object of a Torch class that is no module, such as a node of a graph or a data set.

    Attributes
    ----------
    className : str
        The name in the file: ``"tnt.BatchDataset"``.
    version : int
        Of the format of that class; 0 in the oldest files.
    before : list
        What the class wrote ahead of its fields; empty for nearly every class.
    fields : dict, list or other
        What it wrote, nearly always a table of its fields.
    """

    def __init__(self, className, version=1, fields=None):
        self.className, self.version = className, version
        self.before, self.fields = [], {} if fields is None else fields

    def __repr__(self):
        return f"Record({_describe(self)})"


class Opaque(Module):
    """A module of a class that nnmod does not know, with all its fields.

    It cannot run, and says so with the names of all such modules of its file at once;
    what it holds is printed, and is written back unchanged.
    ``nnmod.serialization.t7.register`` teaches the reader its class.

    Parameters
    ----------
    className : str
        The name in the file: ``"nn.Mystery"``.
    version, fields, before
        As in :class:`Record`.
    reason : str
        Why it is opaque.

    Shapes
    ------
    input, output   none: it cannot run

    Source: none; it stands for any class of Torch7.
    """

    paramNames = ()

    def __init__(self, className, version=1, fields=None, reason="nnmod does not know this class"):
        super().__init__()
        self.className, self.version, self.reason = className, version, reason
        self.before, self.fields = [], {} if fields is None else fields
        #: One line for each opaque module of the file that this one comes from.
        self.companions = []

    def updateOutput(self, input):
        """Raises NotImplementedError, which names all opaque modules of the file."""
        raise NotImplementedError(_cannot_run(self))

    def updateGradInput(self, input, gradOutput):
        """Raises NotImplementedError, as updateOutput does."""
        raise NotImplementedError(_cannot_run(self))

    def describe(self):
        return _describe(self)


class OpaqueCriterion(Criterion):
    """A criterion of a class that nnmod does not know, with all its fields: see :class:`Opaque`.

    Parameters
    ----------
    className, version, fields, reason
        As in Opaque.

    Shapes
    ------
    input, target   none: it cannot run

    Source: none; it stands for any criterion of Torch7.
    """

    def __init__(self, className, version=1, fields=None, reason="nnmod does not know this class"):
        super().__init__()
        self.className, self.version, self.reason = className, version, reason
        self.before, self.fields = [], {} if fields is None else fields
        self.companions = []

    def updateOutput(self, input, target):
        """Raises NotImplementedError, which names all opaque modules of the file."""
        raise NotImplementedError(_cannot_run(self))

    def updateGradInput(self, input, target):
        """Raises NotImplementedError, as updateOutput does."""
        raise NotImplementedError(_cannot_run(self))

    def describe(self):
        return _describe(self)


def _cannot_run(module):
    lines = module.companions or [line_of(module)]
    return ("this model has modules that nnmod cannot run:\n  " + "\n  ".join(lines)
            + "\nnnmod.serialization.t7.register(name, function) teaches the reader a class; or put "
              "modules of your own in their place, with net.replace(f)")


def line_of(thing, count=1):
    """The line that names one opaque thing, *count* times in its file."""
    times = f" ({count} times)" if count > 1 else ""
    return f"{thing.className}{times}: {thing.reason}"


#: Fields that every module of Torch has, and buffers: not worth a place in a line.
_USUAL = {"_type", "output", "gradInput", "train"}


def _describe(thing):
    if not isinstance(thing.fields, dict):
        return f"{thing.className}, {_short(thing.fields)}"
    words = [f"{key}={_short(value)}" for key, value in thing.fields.items() if key not in _USUAL]
    return ", ".join([thing.className, *words])


def _short(value):
    """*value* in a few words."""
    if hasattr(value, "shape"):
        return f"{value.dtype.name} {value.shape}"
    if isinstance(value, (dict, list)):
        return f"{type(value).__name__} of {len(value)}"
    if isinstance(value, (Module, Criterion, Record)):
        return getattr(value, "className", type(value).__name__)
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
