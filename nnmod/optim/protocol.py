"""What every method does first: read its options, check x, call opfunc, find its memory."""
import difflib

from .. import check, tensor


def read(method, config, state, options, kept):
    """The options of *method* with defaults filled in, and the dict that keeps its state.

    Parameters
    ----------
    method : str
        For messages.
    config, state : dict or None
        What the caller gave.  Without a state, config keeps it.
    options : dict
        Name to default: a tuple ``(default, low, high)`` for a number within these
        limits (None: no limit), ``(default, low, high, int)`` for a whole number, a bool
        for a flag, None for what the method checks itself, such as an optional tensor.
    kept : tuple of str
        Other names that may stand in config: what the method keeps there, and what
        Torch's kept there.

    Returns the values in the order of *options*, and the dict that keeps the state.
    """
    config = {} if config is None else config
    state = config if state is None else state
    for name, value in (("config", config), ("state", state)):
        if not isinstance(value, dict):
            raise TypeError(f"{name} must be a dict, got {type(value).__name__}")
    for name in config:
        if name not in options and name not in kept:
            raise ValueError(_unknown(method, name, options))
    values = []
    for name, default in options.items():
        value = config.get(name)  # None is Torch's nil: the default
        if isinstance(default, tuple):
            default, low, high, *whole = default
            if value is not None:
                check.number(low, high, **{name: value})
                if whole and not float(value).is_integer():
                    raise ValueError(f"{name} must be a whole number, got {value!r}")
                value = int(value) if whole else float(value)
        elif isinstance(default, bool) and value is not None:
            check.boolean(**{name: value})
        values.append(default if value is None else value)
    return values, state


def vector(name, x):
    """Check that *x* is what a search can change in place: a dense 1-D vector of floats."""
    floats(name, x)
    check.shape(name, x, "P", hint="module.getParameters() gives one vector, x.reshape(-1) a view of any tensor")


def floats(name, x):
    """Check that *x* is what a step can change in place: a dense tensor of floats, of any shape."""
    check.floating(name, x)
    if not tensor.is_dense(x):
        raise ValueError(f"{name} must be C-contiguous and writable: it is changed in place; "
                         "copy it first with .copy()")


def loss(opfunc, x):
    """The loss ``opfunc(x)`` for a method without gradients: opfunc returns f, or (f, dfdx)."""
    result = opfunc(x)
    f = result[0] if isinstance(result, (tuple, list)) and result else result
    try:
        return float(f)
    except (TypeError, ValueError):
        raise TypeError("opfunc must return the loss f, a number, or (f, dfdx), "
                        f"got {tensor.describe(result)}") from None


def evaluate(opfunc, x):
    """``opfunc(x)``, checked: the loss, a number, and the gradient, which is like *x*; a flat one gets its shape."""
    result = opfunc(x)
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise TypeError(f"opfunc must return two values, (f, dfdx), got {tensor.describe(result)}")
    f, gradient = result
    if tensor.is_tensor(gradient) and gradient.shape == (x.size,) != x.shape:
        gradient = gradient.reshape(x.shape)
    check.same_shape("the gradient that opfunc returns", gradient, "x", x)
    try:
        return float(f.item() if tensor.is_tensor(f) else f), gradient
    except (TypeError, ValueError):
        raise TypeError(f"the loss that opfunc returns must be a number, got {tensor.describe(f)}") from None


def memory(state, name, x, value=0):
    """``state[name]``, a tensor like *x*; the first time a new one filled with *value*."""
    kept = state.get(name)
    if kept is None:
        kept = state[name] = tensor.empty(x.shape, x)
        tensor.fill(kept, value)
    else:
        like_x(f"state[{name!r}]", kept, x)
    return kept


def like_x(name, value, x):
    """Check that *value* has the shape and dtype of *x*."""
    check.same_shape(name, value, "x", x)


def _unknown(method, name, options):
    spelt = {option.lower(): option for option in options}
    near = difflib.get_close_matches(str(name).lower(), spelt, 1)
    hint = f"did you mean {spelt[near[0]]!r}? It" if near else "it"
    return f"optim.{method} has no option {name!r}; {hint} has {', '.join(options)}"
