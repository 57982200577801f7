"""What the checks of testing.py are made of: passes to repeat, arguments rearranged, comparisons in words."""
import math
import tracemalloc

import numpy as np

from . import kernels, nested, random, tensor
from .reshape import Identity
from .stateful import gradient_name


def _numeric(variable, loss, eps, keeper=None):
    """The gradient of loss() by *variable*, by central differences."""
    gradient = np.empty(variable.shape, variable.dtype)
    for place in np.ndindex(variable.shape):
        gradient[place] = _slope(variable, place, loss, eps, keeper)
    return gradient


def _slope(variable, place, loss, eps, keeper=None):
    """The derivative of loss() by one element of *variable*, by a central difference."""
    saved = tensor.number(variable, place)
    values = []
    for shifted in (saved + eps, saved - eps):
        if keeper is not None:
            keeper.restore()
        variable[place] = shifted
        values.append(loss())
    variable[place] = saved
    return (values[0] - values[1]) / (2 * eps)


def _places(shape, samples, draw):
    """The indices of all elements, or of *samples* of them, drawn without repetition."""
    count = math.prod(shape)
    if samples is None or samples >= count:
        return list(np.ndindex(shape))
    chosen = np.sort(draw.choice(count, samples, replace=False))
    return list(zip(*(axis.tolist() for axis in np.unravel_index(chosen, shape))))


def _compare(module, name, actual, expected, rtol, atol):
    actual = tensor.host(actual)
    assert actual.shape == expected.shape, (
        f"{module!r}: {name} has shape {actual.shape}, not {expected.shape}")
    if not actual.size:
        return
    with np.errstate(invalid="ignore"):
        error = np.abs(actual - expected) - rtol * np.abs(expected)
    worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), error.shape)
    assert error[worst] <= atol, (
        f"{module!r}: {name} is wrong, worst at {tuple(map(int, worst))}: "
        f"backward {actual[worst]:.9g}, finite difference {expected[worst]:.9g}")


class _StateKeeper:
    """The running statistics of a tree, to go back to."""

    def __init__(self, module):
        self._saved = [(m, name, getattr(m, name).copy())
                       for m in module.listModules() for name in m.stateNames
                       if getattr(m, name, None) is not None]

    def restore(self):
        for module, name, value in self._saved:
            getattr(module, name)[...] = value


def _allocates_nothing(module, step):
    for _ in range(3):
        step()
    count = tensor.allocations
    step()
    assert tensor.allocations == count, (
        f"{module!r} allocates {tensor.allocations - count} tensors in each step of a steady state")
    if kernels.backend_name() == "reference" or module.type().startswith("cuda."):
        return  # NumPy expressions make temporaries
    domain = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
    tracemalloc.start()
    try:
        step()
        before = tracemalloc.take_snapshot().filter_traces([domain])
        tracemalloc.reset_peak()
        step()
        after = tracemalloc.take_snapshot().filter_traces([domain])
    finally:
        tracemalloc.stop()
    grown = sum(t.size for t in after.traces) - sum(t.size for t in before.traces)
    assert grown <= 256, f"{module!r} leaves {grown} bytes of new arrays behind in each step"


class _Run:
    """One module with an input and a random gradOutput: a pass that can be repeated."""

    def __init__(self, module, input, like=None):
        self.module = module
        self.input = input
        self.keeper = _StateKeeper(module)
        self.random = like.random if like else random.get_state()
        self.given = None
        output = self.forward()
        # A seed of its own: were gradOutput equal to the input, a normalisation layer's
        # gradient would be exactly 0, and only rounding would be compared.
        rng = np.random.default_rng(20240607)
        self.gradOutput = nested.map(
            lambda y: rng.standard_normal(y.shape).astype(y.dtype), output)
        self.savedGradOutput = _copy(self.gradOutput)
        self.gradOutput = _place(module, self.gradOutput)
        self.keeper.restore()

    def forward(self, arrange=None):
        """forward of a copy of the input, from the same statistics and random state."""
        self.keeper.restore()
        random.set_state(self.random)
        self.given = _place(self.module, _copy(self.input))
        if arrange:
            self.given = arrange(self.given)
        return self.module.forward(self.given)

    def __call__(self, scale=1.0, arrange=None):
        """forward and backward: ``[output, gradInput]``."""
        output = self.forward(arrange)
        gradOutput = _place(self.module, _copy(self.savedGradOutput))
        if arrange:
            gradOutput = arrange(gradOutput)
        self.gradOutput = gradOutput
        kept = _copy(output)  # an in-place module may overwrite it in backward
        return [kept, self.module.backward(self.given, gradOutput, scale)]


def _runner(make, input, convert="double", like=None):
    module = make()
    if any(not m.sizesKnown for m in module.listModules()):
        module.forward(_place(module, nested.map(_to(np.float32), input)))  # sizes that were left out
        module.clearState()
    module = getattr(module, convert)()
    input = nested.map(_to(tensor.dtype_of(module.type())), input)
    return module, _Run(module, input, like)


def _double(module):
    """A float64 copy of a module or criterion, its sizes known."""
    return module.clone().double()


def _copy(value):
    """A copy of *value*, on the host."""
    return nested.map(lambda x: np.array(tensor.host(x), order="C") if tensor.is_tensor(x) else x, value)


def _place(module, value):
    """*value* where *module* is: itself on the CPU, a copy on the device."""
    if module.type().startswith("cpu."):
        return value
    return nested.map(lambda x: tensor.cuda(x) if tensor.is_tensor(x) else x, value)


def _to(dtype):
    """A function that converts float tensors to *dtype* and copies the others."""
    return lambda x: x.astype(dtype) if x.dtype.kind == "f" else x.copy()


def _change(value, function):
    """*value* with *function* applied to its float tensors; the others as copies."""
    return nested.map(lambda x: np.asarray(function(x)) if x.dtype.kind == "f" else x.copy(), value)


def _strided(value):
    """The same numbers with a gap after each."""
    def spread(x):
        wide = tensor.zeros((*x.shape, 2), x)
        wide[..., 0] = x
        return wide[..., 0]
    return nested.map(spread, value)


def _read_only(value):
    def freeze(x):
        x = x.copy()
        if not tensor.is_on_device(x):  # where nothing is read-only
            x.flags.writeable = False
        return x
    return nested.map(freeze, value)


def _equal(module, what, actual, expected, tolerance=0.0):
    actual, expected = list(nested.leaves(_seen(actual))), list(nested.leaves(_seen(expected)))
    assert len(actual) == len(expected), f"{module!r}: {what}: another number of tensors"
    for a, b in zip(actual, expected):
        if a is None or b is None:
            assert a is b, f"{module!r}: {what}: {a} and {b}"
            continue
        assert a.shape == b.shape, f"{module!r}: {what} has shape {a.shape}, not {b.shape}"
        size = np.max(np.abs(b), initial=0)
        same = np.allclose(a, b, rtol=tolerance, atol=tolerance * size, equal_nan=True)
        assert same, (
            f"{module!r}: {what} differ by up to "
            f"{np.nanmax(np.abs(np.asarray(a) - b)):.3g} (NaN: {int(np.isnan(a).sum())})")


def _seen(value):
    """*value* with its tensors on the host, to be looked at."""
    return nested.map(lambda x: tensor.host(x) if tensor.is_tensor(x) else x, value)


def _tensors_of(value):
    return [x for x in nested.leaves(value) if tensor.is_tensor(x)]


def _poison_buffers(module, given):
    """Fill every buffer with NaN that is not what the caller gave, or a view of it."""
    for m in module.listModules():
        for buffer in _tensors_of([getattr(m, name) for name in ("output", "gradInput", *m.bufferNames)]):
            if buffer.dtype.kind == "f" and not any(tensor.shares_memory(buffer, x) for x in _tensors_of(given)):
                buffer.fill(np.nan)


def _holds_no_buffers(module):
    for m in module.listModules():
        for name in ("output", "gradInput", *m.bufferNames):
            assert getattr(m, name) is None, f"{m!r}: clearState left {name}"


def _gradient_names(module):
    names, seen = [], set()
    for path, m in module.namedModules():
        for name in m.paramNames:
            param = getattr(m, name, None)
            if param is not None:
                grad = getattr(m, gradient_name(name))
                if (id(param), id(grad)) not in seen:
                    seen.add((id(param), id(grad)))
                    prefix = "" if m is module else f"{path}."
                    names.append(prefix + gradient_name(name))
    return names


def _declared_are(module, dtype):
    for m in module.listModules():
        for name in m._tensorNames():
            value = getattr(m, name, None)
            assert value is None or value.dtype == dtype, (
                f"{m!r}: {name} is {value.dtype.name} after converting to {np.dtype(dtype).name}")


def _snapshot(module):
    return [_copy(getattr(m, name)) for m in module.listModules() for name in m._tensorNames()
            if getattr(m, name, None) is not None]


def _same(before, after):
    return len(before) == len(after) and all(map(np.array_equal, before, after))


def _passes_anything(module):
    """Whether a module takes any value, as Identity does and what is made of it."""
    return all(isinstance(m, Identity) or m.modules for m in module.listModules()) or module.sharesInput


def _raises(module, kinds, call, what, allow_pass=False):
    try:
        call()
    except kinds as error:
        assert str(error), f"{module!r}: the error for {what} has no text"
        return error
    except Exception as error:
        raise AssertionError(f"{module!r}: {what} raised {type(error).__name__}: {error}") from error
    assert allow_pass, f"{module!r}: {what} raised nothing"
    return None
