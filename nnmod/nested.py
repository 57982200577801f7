"""Nested lists of tensors (Torch's tables): map, zip, add, walk."""


def is_table(value):
    """Whether *value* is a table: a list or a tuple."""
    return isinstance(value, (list, tuple))


def map(function, value):
    """*value* with *function* applied to every leaf; lists come back for tables.

    >>> map(abs, [-1, [-2, 3]])
    [1, [2, 3]]
    """
    if is_table(value):
        return [map(function, item) for item in value]
    return function(value)


def zip(function, value, other):
    """Apply *function* to the leaves of two tables of the same structure.

    >>> import operator
    >>> zip(operator.add, [1, [2, 3]], [10, [20, 30]])
    [11, [22, 33]]
    """
    if is_table(value) != is_table(other) or (is_table(value) and len(value) != len(other)):
        raise ValueError(
            f"tables must have the same structure, got {structure(value)} and {structure(other)}"
        )
    if is_table(value):
        return [zip(function, value[i], other[i]) for i in range(len(value))]
    return function(value, other)


def leaves(value):
    """Every leaf of *value*, in order.

    >>> list(leaves([1, [2, 3]]))
    [1, 2, 3]
    """
    if is_table(value):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def structure(value):
    """The nesting alone, for messages: ``tensor``, ``[tensor, [tensor]]``."""
    if is_table(value):
        return "[" + ", ".join(structure(item) for item in value) + "]"
    return "tensor" if hasattr(value, "shape") else type(value).__name__
