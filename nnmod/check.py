"""What must hold, in words: every check says what was expected and what came."""
import importlib

import numpy as np

from . import nested, tensor
from .errors import ShapeError


def is_tensor(name, value, dtype="np.float32"):
    """Check that *value* is a tensor; *dtype* is what a message proposes."""
    if not tensor.is_tensor(value):
        hint = f"; use np.asarray(..., {dtype})" if isinstance(value, (list, tuple, int, float)) else ""
        raise TypeError(f"{name} must be a tensor (numpy.ndarray), got {type(value).__name__}{hint}")


def shape(name, value, *dims, hint=""):
    """Check the shape of *value* against *dims* and return it.

    An int in *dims* must match, a str names a free size.

    >>> shape("input", np.zeros((4, 3)), "N", 3)
    (4, 3)
    """
    is_tensor(name, value)
    got = value.shape
    if not _matches(got, dims):
        raise ShapeError(f"{name} must have shape {show(dims)}, got {got}{hint and '; ' + hint}")
    return got


def batched(name, value, *dims, hint=""):
    """Check *value* against *dims*, whose first is the batch; return it with a batch dimension.

    The batch dimension may be absent (contract, line 9): a view with a batch of
    one is returned then, so that modules are written once, for a batch.

    >>> batched("input", np.zeros(3), "N", 3).shape
    (1, 3)
    """
    if value.__class__ is np.ndarray and value.shape[1:] == dims[1:]:
        return value
    is_tensor(name, value)
    got = value.shape
    if _matches(got, dims):
        return value
    if _matches(got, dims[1:]):
        return value[None]
    raise ShapeError(
        f"{name} must have shape {show(dims)} or {show(dims[1:])}, got {got}{hint and '; ' + hint}"
    )


def same_shape(name, value, other_name, other, inTable=False):
    """Check that two values (tensors, or tables of them) have the same shapes and dtypes.

    None may stand for the gradient of an integer tensor, or of an entry of a table.
    """
    if nested.is_table(other):
        if not nested.is_table(value) or len(value) != len(other):
            raise ShapeError(
                f"{name} must be a table like {other_name}, {tensor.describe(other)}, "
                f"got {tensor.describe(value)}"
            )
        for index, (item, other_item) in enumerate(zip(value, other)):
            same_shape(f"{name}[{index}]", item, f"{other_name}[{index}]", other_item, True)
        return
    if nested.is_named(other):
        if not nested.same_names(value, other):
            raise ShapeError(
                f"{name} must be a dict like {other_name}, {tensor.describe(other)}, "
                f"got {tensor.describe(value)}"
            )
        for key, item in other.items():
            same_shape(f"{name}[{key!r}]", value[key], f"{other_name}[{key!r}]", item, True)
        return
    if not tensor.is_tensor(other) or (value is None and (inTable or other.dtype.kind != "f")):
        return  # None: no gradient flows into this entry, or into integers
    is_tensor(name, value)
    if value.shape != other.shape:
        raise ShapeError(
            f"{name} must have the shape of {other_name}, {other.shape}, got {value.shape}"
        )
    if value.dtype != other.dtype:
        raise TypeError(
            f"{name} must have the dtype of {other_name}, {other.dtype.name}, got {value.dtype.name}"
        )
    same_device(name, value, other_name, other)


def same_device(name, value, other_name, other):
    """Check that two tensors are both on the CPU, or both on the CUDA device."""
    if value.__class__ is not other.__class__ and tensor.is_on_device(value) != tensor.is_on_device(other):
        raise TypeError(f"{name} must be on the device of {other_name}, {tensor.describe(other)}, got "
                        f"{tensor.describe(value)}; nnmod.cuda(array) and .numpy() copy to and from the device")


def floating(name, value):
    """Check that *value* is a tensor of float32 or float64."""
    is_tensor(name, value)
    if value.dtype.char not in "fd":
        raise TypeError(
            f"{name} must be float32 or float64, got {value.dtype.name}; "
            "convert it with .astype(np.float32)"
        )


def integers(name, value):
    """Check that *value* is a tensor of int32 or int64."""
    is_tensor(name, value, "np.int64")
    if value.dtype.char not in "ilq":  # int32, int64 and, where it differs, long long
        raise TypeError(f"{name} must be int32 or int64, got {value.dtype.name}; "
                        "convert it with .astype(np.int64)")


def type_is(name, value, type_name):
    """Check that the dtype of *value* is the one that a module of *type_name* works in."""
    if tensor.is_on_device(value) != type_name.startswith("cuda."):
        raise TypeError(f"{name} must be on the device of the module, which is {type_name}, got "
                        f"{tensor.describe(value)}; module.cuda() and module.cpu() move the module, "
                        "nnmod.cuda(array) and .numpy() copy a tensor")
    if value.dtype != tensor.dtype_of(type_name):
        raise TypeError(
            f"{name} must be {type_name.partition('.')[2]} like the module, got {value.dtype.name}; "
            "convert the module with .float() or .double(), or the tensor with .astype"
        )


def parameters(module, **shapes):
    """Check each named parameter of *module*, and its gradient, against its shape.

    Kernels trust these sizes, and a user may have put another tensor in the place of
    one.  An absent parameter is None together with its gradient.
    """
    for name, want in shapes.items():
        twin = _TWINS.get(name) or _TWINS.setdefault(name, "grad" + name[0].upper() + name[1:])
        param, grad = getattr(module, name), getattr(module, twin)
        if param is None and grad is None:
            continue
        if (param.__class__ is np.ndarray and grad.__class__ is np.ndarray
                and param.shape == want == grad.shape and param.flags.carray and grad.flags.carray):
            continue
        if grad is None:
            raise TypeError(f"{twin} must be a tensor as long as {name} is one, got None; a gradient that nothing was "
                            "added to takes no memory, and updateGradInput adds nothing")
        for key, value in ((name, param), (twin, grad)):
            is_tensor(key, value)
            if value.shape != want:
                raise ShapeError(f"{key} must have shape {show(want)}, got {value.shape}; "
                                 f"write into it ({key}[...] = values) rather than replace it")
            if not tensor.is_dense(value):
                raise ValueError(f"{key} must be C-contiguous and writable; use np.ascontiguousarray")


_TWINS = {}  # name of a parameter -> name of its gradient


def table(name, value, length=None):
    """Check that *value* is a table (list or tuple) of *length* entries, at least one."""
    if not nested.is_table(value):
        raise TypeError(f"{name} must be a table (a list of tensors), got {tensor.describe(value)}"
                        + ("; SelectTable(name) takes an entry out of a dict" if nested.is_named(value) else ""))
    if length is not None and len(value) != length:
        raise ShapeError(f"{name} must be a table of {length} entries, got {len(value)}")
    if not value:
        raise ShapeError(f"{name} must be a table of at least one tensor, got an empty one")


def positive(**sizes):
    """Check that every keyword is an int > 0.

    >>> positive(kW=0)
    Traceback (most recent call last):
    ValueError: kW must be an int > 0, got 0
    """
    for name, value in sizes.items():
        if not is_int(value) or value <= 0:
            raise ValueError(f"{name} must be an int > 0, got {value!r}")


def not_negative(**sizes):
    """Check that every keyword is an int >= 0."""
    for name, value in sizes.items():
        if not is_int(value) or value < 0:
            raise ValueError(f"{name} must be an int >= 0, got {value!r}")


def number(low=None, high=None, **values):
    """Check that every keyword is a number, within [low, high] where given."""
    for name, value in values.items():
        real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if real and (low is None or value >= low) and (high is None or value <= high):
            continue
        limits = "" if low is None and high is None else (
            f" >= {low}" if high is None else f" <= {high}" if low is None else f" within {low}..{high}")
        raise ValueError(f"{name} must be a number{limits}, got {value!r}")


def boolean(**flags):
    """Check that every keyword is True or False: catches a size given where a flag stands."""
    for name, value in flags.items():
        if not isinstance(value, (bool, np.bool_)):
            raise ValueError(f"{name} must be True or False, got {value!r}")


def is_int(value):
    """Whether *value* is an integer, and not a bool."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def dimension(name, dim, ndim):
    """*dim* counted from 0 for a tensor of *ndim* dimensions; negative counts from the end.

    >>> dimension("dimension", -1, 3)
    2
    """
    if -ndim <= dim < ndim:
        return dim % ndim
    raise ShapeError(f"{name} {dim} does not exist in a tensor of {ndim} dimensions (counted from 0)")


def axis(name, dim, ndim, nInputDims=None):
    """The dimension *dim* of a tensor of *ndim* dimensions, whose examples have *nInputDims*.

    With a batch in front of an example, a *dim* counted from 0 moves on by one.

    >>> axis("dimension", 0, 3, nInputDims=2)
    1
    """
    return dimension(name, dim + 1 if nInputDims is not None and ndim == nInputDims + 1 and dim >= 0 else dim, ndim)


def integer(**values):
    """Check that every keyword is an int.

    >>> integer(dimension=1.5)
    Traceback (most recent call last):
    ValueError: dimension must be an int, counted from 0 (negative: from the end), got 1.5
    """
    for name, value in values.items():
        if not is_int(value):
            raise ValueError(f"{name} must be an int, counted from 0 (negative: from the end), got {value!r}")


def indices(name, value, size, what="elements"):
    """Check that *value* is a tensor of int32 or int64 within 0 .. size-1.

    >>> indices("index", np.array([0, 3]), 3)
    Traceback (most recent call last):
    IndexError: index holds 3, but elements are 0..2 (nnmod counts from 0)
    """
    is_tensor(name, value, "np.int64")
    if value.dtype.char not in "ilq":
        raise TypeError(f"{name} must hold int32 or int64, got {value.dtype.name}; convert it with .astype(np.int64)")
    value = tensor.host(value)
    if value.size and _not_below(value, size):
        wrong = value[(value < 0) | (value >= size)].flat[0]
        raise IndexError(f"{name} holds {int(wrong)}, but {what} are 0..{size - 1} (nnmod counts from 0)")


def _not_below(values, size):
    """Whether some of these integers is not in 0 .. size-1."""
    # As unsigned numbers, negative ones are the largest of all: one pass finds both kinds.
    return values.view(f"u{values.itemsize}").max() >= size


def class_targets(target, shape, n_classes, ignore=None, low=0, like=None):
    """Check integer class targets and return them as an integer tensor of *shape*.

    *shape* is a tuple, or the number of rows; *like* is the tensor whose device they are
    needed on.  Raises IndexError for a class outside *low* .. n_classes-1 (except *ignore*).
    """
    if is_int(target):
        target = tensor.beside(np.asarray([target], np.int64), like)
    is_tensor("target", target, "np.int64")
    if like is not None:
        same_device("target", target, "input", like)
    if target.ndim == 0:
        target = target[None]
    if target.dtype.char not in "ilq":  # int32, int64 and, where it differs, long long
        raise TypeError(f"target must hold class numbers of int32 or int64, got {target.dtype.name}")
    if is_int(shape):
        if target.shape != (shape,):
            raise ShapeError(f"target must have shape ({shape},), one class for each row, got {target.shape}")
    elif target.shape != shape:
        raise ShapeError(f"target must have shape {show(shape)}, got {target.shape}")
    values = tensor.host(target)
    if target.size and (values.min() < low or values.max() >= n_classes if low else _not_below(values, n_classes)):
        wrong = (values < low) | (values >= n_classes)
        if ignore is not None:
            wrong &= values != ignore
        if not wrong.any():
            return target
        index = np.unravel_index(wrong.argmax(), wrong.shape)
        place = ", ".join(map(str, index))
        raise IndexError(
            f"target[{place}] is {int(values[index])}, but classes are 0..{n_classes - 1} "
            "(nnmod counts from 0; Torch7 files are converted on load)"
        )
    return target


def package(name, extra, purpose):
    """Import and return the package *name*, which only *purpose* needs.

    >>> package("no_such_package", "plot", "drawing")
    Traceback (most recent call last):
    ImportError: drawing needs the package no_such_package: pip install nnmod[plot]
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{purpose} needs the package {name.partition('.')[0]}: "
                          f"pip install nnmod[{extra}]") from error


def show(dims):
    """A shape in words: ``(N, 7)``, ``(7,)``."""
    return "(" + ", ".join(map(str, dims)) + ("," if len(dims) == 1 else "") + ")"


def _matches(got, dims):
    if len(got) != len(dims):
        return False
    for size, want in zip(got, dims):
        if size != want and not isinstance(want, str):
            return False
    return True
