"""Does a module keep its promises?  The library's own checks, for your modules too.

:func:`check_module` runs every check on one module, :func:`check_criterion` on a
loss.  Each check raises AssertionError with words that name the module, the tensor and
the place.  Gradients are compared with central finite differences in float64.  A module on
the CUDA device is tested there; inputs are NumPy arrays all the same.

>>> import numpy as np, nnmod
>>> check_module(lambda: nnmod.Linear(3, 2), np.random.default_rng(0).normal(size=(4, 3)))
"""
import copy
import dataclasses
import math
import pickle

import numpy as np

from . import kernels, nested, random, tensor
from .container import Sequential
from .errors import ShapeError
from .jacobian import Jacobian as Jacobian, SparseJacobian as SparseJacobian
from .reshape import Identity
from .stateful import gradient_name
from .testing_tools import (
    _allocates_nothing, _change, _compare, _copy, _declared_are, _double, _equal, _gradient_names,
    _holds_no_buffers, _numeric, _passes_anything, _place, _places, _poison_buffers, _raises, _read_only, _runner,
    _same, _slope, _snapshot, _StateKeeper, _strided, _tensors_of, _to,
)


def check_module(make, input):
    """Run every check of this module on the modules that *make* makes.

    Parameters
    ----------
    make : function
        Returns a new module; it is called once for each check.
    input : tensor or table
        One input, of float64; keep it away from kinks (the corner of a ReLU) and ties.
    """
    for check in MODULE_CHECKS:
        check(make, input)


def check_criterion(make, input, target):
    """Run every check on the criterions that *make* makes, with one input and target."""
    for check in CRITERION_CHECKS:
        check(make, input, target)


# -- gradients --------------------------------------------------------------------

def check_gradients(module, input, eps=1e-6, rtol=1e-6, atol=1e-8, scale=1.5):
    """backward is the derivative of forward, by the input and by every parameter.

    Works on a float64 clone; *module* is not touched.  gradOutput is random (ones hide
    faults of normalisation layers), gradients start from noise, so that assigning
    where adding is due shows, and *scale* is not 1.  Random modules are run from one
    state of the generator.
    """
    for found in compare_gradients(module, input, None, (eps,), rtol, atol, scale):
        assert found.good, f"{_double(module)!r}: {found}"


@dataclasses.dataclass
class GradientComparison:
    """What :func:`compare_gradients` found of one tensor; ``str`` of it names the worst element.

    ``name`` is that of the gradient; of its ``size`` elements ``checked`` were looked at.
    ``error`` is the largest difference, in excess of the tolerance by the value itself;
    it is at ``place``, where backward says ``actual`` and the differences ``expected``.
    """

    name: str
    size: int
    checked: int
    good: bool
    error: float = 0.0
    place: tuple = ()
    actual: float = 0.0
    expected: float = 0.0

    def __str__(self):
        if self.good:
            return f"{self.name} is right"
        return (f"{self.name} is wrong, worst at {self.place}: backward {self.actual:.9g}, "
                f"finite difference {self.expected:.9g}")


def compare_gradients(module, input, samples=None, steps=(1e-6,), rtol=1e-6, atol=1e-8, scale=1.5):
    """Compare backward with finite differences: a :class:`GradientComparison` for each tensor, one by one.

    Parameters
    ----------
    module : Module
        Works on a float64 clone, as check_gradients does.
    input : tensor or table
        Of float64, or integers.
    samples : int or None
        How many elements of each tensor are looked at, drawn at random; None for all.
    steps : tuple of float
        The differences are taken with the first step; where that disagrees, with the next.
        A smaller step is less likely to cross a kink, such as the corner of a ReLU, of
        which a large network has many near any input.
    rtol, atol : float
        How far apart they may be: ``atol + rtol * |difference|``.
    scale : float
        The scale of backward.
    """
    module = _double(module)
    input = _place(module, _copy(input))
    rng = np.random.default_rng(20240607)
    draw = np.random.default_rng(1)
    state = random.get_state()

    def forward():
        random.set_state(state)
        if module.inplace:
            return module.forward(_place(module, _copy(input)))
        return module.forward(input)

    gradOutput = nested.map(lambda y: rng.standard_normal(y.shape), forward())

    def loss():
        return sum(float(np.vdot(tensor.host(y), dy)) for y, dy in
                   zip(nested.leaves(forward()), nested.leaves(gradOutput)))

    # A training pass may move running statistics; every pass starts from the same.
    keeper = _StateKeeper(module)
    params, grads = module.parameters()
    for grad in grads:
        grad[...] = rng.standard_normal(grad.shape)
    before = _copy(grads)
    keeper.restore()
    random.set_state(state)
    given = _place(module, _copy(input)) if module.inplace else input
    module.forward(given)
    module.backward(given, _place(module, _copy(gradOutput)), scale)
    accumulated = _copy(grads)
    gradInput = _copy(module.gradInput)

    def compare(name, variable, actual, base, factor):
        assert actual.shape == variable.shape, (
            f"{module!r}: {name} has shape {actual.shape}, not {variable.shape}")
        places = _places(variable.shape, samples, draw)
        result = GradientComparison(name, variable.size, len(places), True, -math.inf)
        for place in places:
            for step in steps:
                expected = float(base[place] + factor * _slope(variable, place, loss, step, keeper))
                error = abs(float(actual[place]) - expected) - rtol * abs(expected)
                if error <= atol:
                    break
            if math.isnan(error):  # worse than any number
                error = math.inf
            if error > result.error:
                result.error, result.good = error, error <= atol
                result.place, result.actual, result.expected = place, float(actual[place]), expected
        return result

    if gradInput is not None:
        for index, (x, dx) in enumerate(zip(nested.leaves(input), nested.leaves(gradInput))):
            if dx is not None and x.dtype.kind == "f":
                name = "gradInput" if tensor.is_tensor(input) else f"gradInput, tensor {index},"
                yield compare(name, x, dx, np.zeros(x.shape), 1.0)
    for name, param, start, actual in zip(_gradient_names(module), params, before, accumulated):
        yield compare(name, param, actual, start, scale)


def check_criterion_gradients(make, input, target, eps=1e-6, rtol=1e-6, atol=1e-8):
    """A criterion's backward is the derivative of its forward."""
    criterion = _double(make())
    input, target = _place(criterion, _copy([input, target]))
    criterion.forward(input, target)
    actual = _copy(criterion.backward(input, target))
    for index, (x, dx) in enumerate(zip(nested.leaves(input), nested.leaves(actual), strict=True)):
        name = "gradInput" if tensor.is_tensor(input) else f"gradInput, tensor {index},"
        _compare(criterion, name, dx, _numeric(x, lambda: criterion.forward(input, target), eps), rtol, atol)


# -- promises of a pass ----------------------------------------------------------------

def check_gradients_of(make, input):
    """The gradients are right (see :func:`check_gradients`)."""
    check_gradients(make(), input)


def check_accumulation(make, input):
    """Two backwards add up; zeroGradParameters starts anew; scale 0 adds nothing."""
    module, run = _runner(make, input)
    if not module.parameters()[1]:
        return
    module.zeroGradParameters()
    run()
    once = _copy(module.parameters()[1])
    run()
    _equal(module, "gradients after two backwards", _copy(module.parameters()[1]),
           [2 * grad for grad in once], 1e-9)
    module.zeroGradParameters()
    for grad in module.parameters()[1]:
        assert not tensor.host(grad).any(), f"{module!r}: zeroGradParameters left a gradient"
    run(scale=0.0)
    for grad in module.parameters()[1]:
        assert not tensor.host(grad).any(), f"{module!r}: backward with scale 0 changed a gradient"


def check_buffers(make, input):
    """Buffers are reused and never read before they are written: full of NaN, same result."""
    module, run = _runner(make, input)
    expected = _copy(run())
    _poison_buffers(module, run.given)
    _equal(module, "results from poisoned buffers", run(), expected)


def check_arguments_untouched(make, input):
    """No pass writes to its input, its gradOutput or a parameter (in-place modules aside)."""
    module, run = _runner(make, input)
    if any(m.inplace for m in module.listModules()):
        return
    params = _copy(module.parameters()[0])
    run()
    _equal(module, "the input after a pass", run.given, run.input)
    _equal(module, "gradOutput after a pass", run.gradOutput, run.savedGradOutput)
    _equal(module, "the parameters after a pass", module.parameters()[0], params)


def check_strided(make, input):
    """Strided and read-only arguments give the same results, to the bit."""
    module, run = _runner(make, input)
    expected = _copy(run())
    _equal(module, "results from strided arguments", run(arrange=_strided), expected)
    _equal(module, "results from read-only arguments", run(arrange=_read_only), expected)


def check_steady_state(make, input):
    """After the first step of a shape, a training step allocates no tensor.

    Counted by nnmod's own counter and, for compiled kernels, by NumPy's: a step may
    not hold more than a few hundred bytes of array memory that was not there before.
    """
    module, run = _runner(make, input)
    given, gradOutput = _place(module, _copy(input)), run.gradOutput

    def step():
        module.zeroGradParameters()
        module.forward(given)
        module.backward(given, gradOutput)

    _allocates_nothing(module, step)


def check_new_shape(make, input):
    """A pass of another shape leaves the tensors of the last one intact."""
    module, run = _runner(make, input)
    if any(x.ndim == 0 or x.shape[0] < 2 for x in nested.leaves(input)) or module.inplace:
        return
    first = run.forward()
    kept = _copy(first)
    smaller = nested.map(lambda x: x[:-1].copy(), input)
    try:
        second = module.forward(_place(module, smaller))
    except ShapeError:
        return  # the first dimension is not free in this module
    shapes = nested.map(lambda y: y.shape, first), nested.map(lambda y: y.shape, second)
    if shapes[0] != shapes[1] and not module.sharesInput:
        _equal(module, "an output kept over a forward of another shape", first, kept)


def check_nan(make, input):
    """An input of NaN gives an output of NaN, and NaN in gradOutput arrives in gradInput.

    What no input changes, such as a border of zeros, or no gradOutput, may stay a number.
    """
    module, run = _runner(make, input)
    poison = lambda x: np.full_like(x, np.nan)  # noqa: E731
    outputs = [_copy(module.forward(_place(module, _change(run.input, change))))
               for change in (poison, np.copy, lambda x: 1.7 - x)]
    for y, plain, other in zip(*map(nested.leaves, outputs)):
        seen = np.isnan(y)
        # Zeros that a module fills in, as unpooling does around each maximum, stay what they are.
        filled = (seen | (y == 0)).all() and seen.any() and np.count_nonzero(seen) >= np.count_nonzero(plain)
        assert filled or (seen | (plain == other)).all(), f"{module!r} hides NaN: of an input of NaN it makes {y}"
    results = []
    for change in (poison, np.copy, np.negative):
        run.forward()
        gradOutput = _place(module, _change(run.savedGradOutput, change))
        results.append(_copy(module.backward(run.given, gradOutput)))
    for dx, plain, opposite in zip(*map(nested.leaves, results)):
        assert dx is None or dx.dtype.kind != "f" or np.array_equal(plain, opposite) or np.isnan(dx).any(), (
            f"{module!r}: backward hides NaN")


def check_backends(make, input):
    """The compiled kernels, or those of the CUDA device, agree with the reference kernels, in float64 and float32."""
    if kernels.backend_name() == "reference" and make().type().startswith("cpu."):
        return
    from .kernels import reference

    for convert, tolerance in (("double", 1e-10), ("float", 2e-5)):
        module, run = _runner(make, input, convert)
        start = copy.deepcopy(module)
        results = _copy(run()), _copy(module.parameters()[1])
        with kernels.use_backend(reference):
            other, run_other = _runner(start.cpu, input, convert, like=run)
            expected = _copy(run_other()), _copy(other.parameters()[1])
        _equal(module, f"{convert} results of the compiled and the reference kernels", list(results),
               list(expected), tolerance)


def check_first_layer(make, input):
    """With needsGradInput False there is no gradInput, and the parameters' gradients stay the same."""
    module, run = _runner(make, input)
    _, expected = run(), _copy(module.parameters()[1])
    module.zeroGradParameters()
    module.needsGradInput = False
    needed = any(m.accReadsGradInput and m.paramNames for m in module.listModules())
    assert run()[1] is None or needed, f"{module!r}: a first layer must not make gradInput"
    _equal(module, "gradients of a first layer", module.parameters()[1], expected)


# -- promises of state --------------------------------------------------------------------

def check_clear_state(make, input):
    """clearState drops every buffer, returns self, and changes no result."""
    module, run = _runner(make, input)
    expected = _copy(run())
    assert module.clearState() is module, f"{module!r}: clearState must return self"
    _holds_no_buffers(module)
    _equal(module, "results after clearState", run(), expected)


def check_clone(make, input):
    """A clone computes the same and shares nothing, or exactly what was asked for."""
    module, run = _runner(make, input)
    expected = _copy(run())
    run.keeper.restore()  # a pass may have moved running statistics
    twin = module.clone()
    for a, b in zip(sum(module.parameters(), []), sum(twin.parameters(), [])):
        assert not tensor.shares_memory(a, b), f"{module!r}: a clone shares a parameter"
    for m in twin.listModules():
        assert m.output is None and m.gradInput is None, f"{m!r}: a clone carries buffers"
    _, run_twin = _runner(lambda: twin, input, like=run)
    _equal(module, "results of a clone", run_twin(), expected)
    names = {name for m in module.listModules() for name in m.paramNames
             if getattr(m, name, None) is not None}
    if names:
        names |= {gradient_name(name) for name in names}
        shared = module.clone(*names)
        for a, b in zip(sum(module.parameters(), []), sum(shared.parameters(), [])):
            assert a is b, f"{module!r}: clone({', '.join(sorted(names))}) does not share"


def check_flat_parameters(make, input):
    """getParameters is idempotent; the parameters are views of it, in order; sharing survives."""
    module, run = _runner(make, input)
    expected = _copy(run())
    values = [p.copy() for p in module.parameters()[0]]
    flat, gradFlat = module.getParameters()
    again = module.getParameters()
    assert again[0] is flat and again[1] is gradFlat, f"{module!r}: getParameters is not idempotent"
    params, grads = module.parameters()
    assert flat.shape == gradFlat.shape == (sum(p.size for p in values),)
    _equal(module, "the flat parameters", flat,
           np.concatenate([tensor.host(p).ravel() for p in values]) if values else flat)
    for vector, tensors in ((flat, params), (gradFlat, grads)):
        for p in tensors:
            assert tensor.shares_memory(p, vector), f"{module!r}: a parameter is not a view of the flat tensor"
    _equal(module, "results after getParameters", run(), expected)
    twin = module.clone()
    for a, b in zip(sum(module.parameters(), []), sum(twin.parameters(), [])):
        assert not tensor.shares_memory(a, b), f"{module!r}: a clone of a flat module shares memory"


def check_types(make, input):
    """float() and double() convert everything and lose nothing; other dtypes are refused."""
    module = make()
    device = module.type().partition(".")[0]
    module.forward(_place(module, nested.map(_to(np.float32), input)))
    values = _copy(module.parameters()[0])
    assert module.double() is module and module.type() == device + ".float64"
    _declared_are(module, np.float64)
    module.float()
    _declared_are(module, np.float32)
    _equal(module, "parameters after double() and float()", module.parameters()[0], values)
    module.double()
    indices = not any(x.dtype.kind == "f" for x in nested.leaves(input))  # no precision to be wrong in
    for wrong in () if indices else (np.float16, np.float32 if module.parameters()[0] else np.float16):
        _raises(module, TypeError, lambda: module.forward(_place(module, nested.map(_to(wrong), input))),
                f"an input of {wrong.__name__}", allow_pass=_passes_anything(module))


def check_pickle(make, input):
    """A module that went through pickle computes the same and carries no buffers."""
    module, run = _runner(make, input)
    expected = _copy(run())
    try:
        run.keeper.restore()
        text = pickle.dumps(module)
    except (pickle.PicklingError, AttributeError):
        return  # a class inside a function cannot be pickled, which is Python's to say
    loaded = pickle.loads(text)
    assert loaded.output is None, f"{module!r}: buffers were saved"
    _, run_loaded = _runner(lambda: loaded, input, like=run)
    _equal(module, "results after saving and loading", run_loaded(), expected)


def check_text(make, input):
    """repr names the class, before and after a forward."""
    module = make()
    for _ in range(2):
        assert type(module).__name__ in repr(module)
        assert type(module).__name__ in module._repr_html_()
        module.forward(_place(module, nested.map(_to(np.float32), input)))


# -- errors ------------------------------------------------------------------------------

def check_errors(make, input):
    """Wrong calls raise the right exception with the path, and change nothing."""
    module, run = _runner(make, input)
    net = Sequential(Identity(), module)
    _raises(net, RuntimeError, lambda: net.backward(input, input), "backward before forward")
    run()
    before = _snapshot(module)
    given, dy = run.given, run.gradOutput
    more = _place(module, nested.map(lambda g: np.concatenate([g.ravel(), g.ravel(), np.ones(1)]), _copy(dy)))
    _raises(module, (ShapeError, ValueError), lambda: module.backward(given, more),
            "a gradOutput of another shape")
    _raises(module, TypeError, lambda: module.backward(given, _place(module, nested.map(_to(np.float32), _copy(dy)))),
            "a gradOutput of another dtype")
    if not module.inplace:
        other = _place(module, nested.map(lambda x: x + 1, input))
        _raises(module, RuntimeError, lambda: module.backward(other, dy), "backward with another input")
    error = _raises(net, (TypeError, ShapeError), lambda: net.forward("not a tensor"), "a string as input",
                    allow_pass=_passes_anything(module))
    if error is not None:
        assert any(note.startswith("in module: Sequential[1] > ") for note in error.__notes__), (
            f"{module!r}: the error does not name the path: {error!r}")
    assert _same(before, _snapshot(module)), f"{module!r}: a refused call changed parameters or state"


#: Every check that check_module runs.
MODULE_CHECKS = (
    check_gradients_of, check_accumulation, check_buffers, check_arguments_untouched, check_strided,
    check_steady_state, check_new_shape, check_nan, check_backends, check_clear_state, check_clone,
    check_flat_parameters, check_types, check_pickle, check_text, check_errors, check_first_layer,
)


# -- criterions ------------------------------------------------------------------------------

def check_criterion_buffers(make, input, target):
    """Buffers are reused and never read before they are written; arguments stay as they are."""
    criterion = _double(make())
    saved = _copy([input, target])
    input, target = _place(criterion, _copy([input, target]))
    loss = criterion.forward(input, target)
    assert isinstance(loss, float) and criterion.output == loss, f"{criterion!r}: forward must return a float"
    gradInput = criterion.backward(input, target)
    expected = _copy(gradInput)
    _poison_buffers(criterion, [input, target])
    assert criterion.forward(input, target) == loss, f"{criterion!r}: another loss from poisoned buffers"
    assert criterion.backward(input, target) is gradInput, f"{criterion!r}: gradInput is not reused"
    _equal(criterion, "gradInput from a poisoned buffer", gradInput, expected)
    _equal(criterion, "the arguments after a pass", *map(_tensors_of, ([input, target], saved)))


def check_criterion_strided(make, input, target):
    """Strided or read-only arguments give the same loss and gradient."""
    criterion = _double(make())
    input, target = _place(criterion, [input, target])
    loss, expected = criterion.forward(input, target), _copy(criterion.backward(input, target))
    for arrange in (_strided, _read_only):
        given, wanted = arrange(input), nested.map(lambda t: arrange(t) if tensor.is_tensor(t) else t, target)
        assert abs(criterion.forward(given, wanted) - loss) <= 1e-12 * abs(loss), f"{criterion!r}"
        _equal(criterion, "gradInput of a strided input", criterion.backward(given, wanted), expected)


def check_criterion_steady_state(make, input, target):
    """After the first steps with one shape, a step allocates no tensor (see check_steady_state)."""
    criterion = _double(make())
    input, target = _place(criterion, [input, target])
    _allocates_nothing(criterion, lambda: (criterion.forward(input, target), criterion.backward(input, target)))


def check_criterion_nan(make, input, target):
    """NaN in the input arrives in the loss."""
    criterion = _double(make())
    poison, target = _place(criterion, [nested.map(lambda x: np.full_like(x, np.nan), input), target])
    loss = criterion.forward(poison, target)
    assert np.isnan(loss), f"{criterion!r} hides NaN: {loss}"


def check_criterion_backends(make, input, target):
    """The compiled kernels, or those of the CUDA device, agree with the reference kernels."""
    if kernels.backend_name() == "reference" and make().type().startswith("cpu."):
        return
    from .kernels import reference

    for convert, tolerance in (("double", 1e-10), ("float", 2e-5)):
        criterion = getattr(make(), convert)()
        cast = _to(tensor.dtype_of(criterion.type()))
        x, t = nested.map(cast, input), nested.map(lambda v: cast(v) if tensor.is_tensor(v) else v, target)
        given = _place(criterion, [x, t])
        results = [np.float64(criterion.forward(*given)), _copy(criterion.backward(*given))]
        with kernels.use_backend(reference):
            criterion = criterion.cpu()
            expected = [np.float64(criterion.forward(x, t)), _copy(criterion.backward(x, t))]
        _equal(criterion, f"{convert} results of the compiled and the reference kernels",
               results, expected, tolerance)


def check_criterion_state(make, input, target):
    """clearState, clone, types, pickle and repr work, in the children too."""
    criterion = _double(make())
    input, target = _place(criterion, [input, target])
    loss = criterion.forward(input, target)
    gradient = _copy(criterion.backward(input, target))
    assert criterion.clearState() is criterion, f"{criterion!r}: clearState must return self"
    _holds_no_buffers(criterion)
    for twin in (criterion.clone(), pickle.loads(pickle.dumps(criterion))):
        assert twin.forward(input, target) == loss, f"{criterion!r}: a copy has another loss"
        _equal(criterion, "gradInput of a copy", twin.backward(input, target), gradient)
    for m in criterion.float().double()._castModules():
        assert m.type().endswith(".float64"), f"{m!r} is {m.type()} after double()"
        _declared_are(m, np.float64)
    assert type(criterion).__name__ in repr(criterion)
    assert type(criterion).__name__ in criterion._repr_html_()


def check_criterion_errors(make, input, target):
    """Wrong shapes and dtypes raise the right exception."""
    criterion = _double(make())
    kinds = (ShapeError, TypeError, IndexError)
    narrow = _place(criterion, nested.map(_to(np.float16), input)) if criterion.type().startswith("cpu.") else 1.0
    wrong, input, target = _place(criterion, [np.zeros((2, 3, 4, 5, 6)), input, target])
    # With no target to compare with, or one number for all, any shape may be right.
    free = target is None or not (isinstance(target, list) or tensor.is_tensor(target))
    _raises(criterion, kinds, lambda: criterion.forward(wrong, target), f"an input {tensor.describe(wrong)}",
            allow_pass=free)
    for given in (narrow, [1.0], "text"):
        _raises(criterion, kinds, lambda: criterion.forward(given, target),
                f"an input {tensor.describe(given)}")
    if target is not None:
        for given in (wrong, wrong.astype(np.int64), "text", None):
            _raises(criterion, kinds, lambda: criterion.forward(input, given),
                    f"a target {tensor.describe(given)}")


#: Every check that check_criterion runs.
CRITERION_CHECKS = (
    check_criterion_gradients, check_criterion_buffers, check_criterion_strided, check_criterion_steady_state,
    check_criterion_nan, check_criterion_backends, check_criterion_state, check_criterion_errors,
)
