"""Nested lists of tensors (Torch's tables): map, zip, add, walk.

A dict is a table whose entries have names.  Modules that take any value hand it on,
SelectTable and MapTable work on it; those that need an order want a list.
"""


def is_table(value):
    """Whether *value* is a table whose entries have an order: a list or a tuple."""
    return isinstance(value, (list, tuple))


def is_named(value):
    """Whether *value* is a table whose entries have names: a dict."""
    return isinstance(value, dict)


def map(function, value):
    """*value* with *function* applied to every leaf; lists come back for tables.

    >>> map(abs, [-1, [-2, 3]])
    [1, [2, 3]]
    """
    if is_table(value):
        return [map(function, item) for item in value]
    if is_named(value):
        return {name: map(function, item) for name, item in value.items()}
    return function(value)


def zip(function, value, other):
    """Apply *function* to the leaves of two tables of the same structure.

    >>> import operator
    >>> zip(operator.add, [1, [2, 3]], [10, [20, 30]])
    [11, [22, 33]]
    """
    if (is_table(value) != is_table(other) or (is_table(value) and len(value) != len(other))
            or (is_named(value) or is_named(other)) and not same_names(value, other)):
        raise ValueError(
            f"tables must have the same structure, got {structure(value)} and {structure(other)}"
        )
    if is_table(value):
        return [zip(function, value[i], other[i]) for i in range(len(value))]
    if is_named(value):
        return {name: zip(function, item, other[name]) for name, item in value.items()}
    return function(value, other)


def same_names(value, other):
    """Whether both are dicts with the same names."""
    return is_named(value) and is_named(other) and value.keys() == other.keys()


def leaves(value):
    """Every leaf of *value*, in order.

    >>> list(leaves([1, [2, 3]]))
    [1, 2, 3]
    """
    if is_table(value):
        for item in value:
            yield from leaves(item)
    elif is_named(value):
        for item in value.values():
            yield from leaves(item)
    else:
        yield value


def structure(value):
    """The nesting alone, for messages: ``tensor``, ``[tensor, [tensor]]``."""
    if is_table(value):
        return "[" + ", ".join(structure(item) for item in value) + "]"
    if is_named(value):
        return "{" + ", ".join(f"{name!r}: {structure(item)}" for name, item in value.items()) + "}"
    return "tensor" if hasattr(value, "shape") else type(value).__name__
