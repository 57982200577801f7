"""Criterions made of criterions: MultiCriterion, ParallelCriterion, ModuleCriterion."""
from . import check, errors, kernels, nested, tensor
from .criterion import Criterion
from .kernels import formulas
from .module import Module

_scale = kernels.elementwise(formulas.scale)
_add_scaled = kernels.elementwise(formulas.add_scaled)


class _Weighted(Criterion):
    """What both share: children in ``modules``, each with its weight in the sum."""

    bufferNames = ("_sums",)

    def __init__(self):
        super().__init__()
        self.modules = []
        self.weights = []
        self._sums = None

    def add(self, criterion, weight=1):
        """Append *criterion*, which counts *weight* times; returns self, so that calls chain."""
        _check_criterion("criterion", criterion)
        check.number(weight=weight)
        present = {id(m) for m in self.listModules()}
        for m in criterion.listModules():
            if id(m) in present:
                raise ValueError(f"{m!r} is already in this criterion, and one criterion holds one position; "
                                 "add m.clone()")
        self.modules.append(criterion)
        self.weights.append(weight)
        return self

    def call(self, index, method, *args):
        """``modules[index].method(*args)``; an error on the way learns where it happened."""
        return _located(f"{type(self).__name__}[{index}]", self.modules[index], method, *args)

    def _checkChildren(self):
        if not self.modules:
            raise RuntimeError(f"{type(self).__name__} has no criterions: add some before forward")

    def __repr__(self):
        if not self.modules:
            return f"{type(self).__name__}({self.describe()}) {{}}"
        lines = [type(self).__name__ + (f"({self.describe()})" if self.describe() else "") + " {"]
        for index, (child, weight) in enumerate(zip(self.modules, self.weights)):
            text = repr(child).splitlines()
            lines.append(f"  [{index}] {'' if weight == 1 else f'{weight:g} * '}{text[0]}")
            lines += ["  " + line for line in text[1:]]
        return "\n".join([*lines, "}"])


class MultiCriterion(_Weighted):
    """The weighted sum of several losses of the same input and target.

    ``add(criterion, weight=1)`` appends one.

    Shapes
    ------
    input, target   what all of the criterions take: a tensor or a table

    Source: Torch7's nn.MultiCriterion.

    >>> import numpy as np
    >>> from nnmod import AbsCriterion, MSECriterion
    >>> both = MultiCriterion().add(MSECriterion()).add(AbsCriterion(), 0.5)
    >>> both
    MultiCriterion {
      [0] MSECriterion()
      [1] 0.5 * AbsCriterion()
    }
    >>> both.forward(np.array([2.0]), np.array([0.0]))
    5.0
    """

    def updateOutput(self, input, target):
        self._checkChildren()
        self.output = float(sum(weight * self.call(index, "forward", input, target)
                                for index, weight in enumerate(self.weights)))
        return self.output

    def updateGradInput(self, input, target):
        self._checkChildren()
        gradients = [self.call(index, "backward", input, target) for index in range(len(self.modules))]
        self._sums = _weighted_sum(self._sums, gradients, self.weights)
        self.gradInput = self._sums
        return self.gradInput


class ParallelCriterion(_Weighted):
    """The weighted sum of losses, each of its own entry of the input.

    ``add(criterion, weight=1)`` appends one.

    Parameters
    ----------
    repeatTarget : bool
        Give every criterion the whole target.  False gives criterion i entry i of it.

    Shapes
    ------
    input   a table with one entry for each criterion: what that takes
    target  a table of the same length; with repeatTarget what every criterion takes

    Source: Torch7's nn.ParallelCriterion.

    >>> import numpy as np
    >>> from nnmod import ClassNLLCriterion, MSECriterion
    >>> both = ParallelCriterion().add(MSECriterion()).add(ClassNLLCriterion(), 0.5)
    >>> both.forward([np.array([2.0]), np.array([-1.0, -3.0])], [np.array([1.0]), 1])
    2.5
    """

    def __init__(self, repeatTarget=False):
        super().__init__()
        check.boolean(repeatTarget=repeatTarget)
        self.repeatTarget = repeatTarget

    def updateOutput(self, input, target):
        targets = self._targets(input, target)
        self.output = float(sum(weight * self.call(index, "forward", input[index], targets[index])
                                for index, weight in enumerate(self.weights)))
        return self.output

    def updateGradInput(self, input, target):
        targets = self._targets(input, target)
        gradients = [self.call(index, "backward", input[index], targets[index])
                     for index in range(len(self.modules))]
        old = self._sums
        if old is None or len(old) != len(gradients):
            old = [None] * len(gradients)
        new = [_weighted_sum(buffer, [gradient], [weight])
               for buffer, gradient, weight in zip(old, gradients, self.weights)]
        if not _same_entries(old, new):
            self._sums = new
        self.gradInput = self._sums
        return self.gradInput

    def _targets(self, input, target):
        self._checkChildren()
        check.table("input", input, len(self.modules))
        if self.repeatTarget:
            return [target] * len(self.modules)
        check.table("target", target, len(self.modules))
        return target

    def describe(self):
        return "repeatTarget" if self.repeatTarget else ""


class ModuleCriterion(Criterion):
    """A loss of what modules make of the input and of the target.

    Parameters
    ----------
    criterion : Criterion
        The loss.
    inputModule, targetModule : Module or None
        What the input, and the target, pass through first.
    castTarget : bool
        False leaves targetModule as it is when the criterion is converted to another
        type, for targets of a type of their own.

    Shapes
    ------
    input    what inputModule takes; without one, what the criterion takes
    target   what targetModule takes; without one, what the criterion takes

    The gradient passes through inputModule and does not reach its parameters, nor the
    target.  Source: Torch7's nn.ModuleCriterion.

    >>> import numpy as np
    >>> from nnmod import MSECriterion, Sigmoid
    >>> ModuleCriterion(MSECriterion(), Sigmoid()).forward(np.zeros(2), np.array([0.0, 1.0]))
    0.25
    """

    def __init__(self, criterion, inputModule=None, targetModule=None, castTarget=True):
        super().__init__()
        _check_criterion("criterion", criterion)
        for name, module in (("inputModule", inputModule), ("targetModule", targetModule)):
            if module is not None and not isinstance(module, Module):
                raise TypeError(f"{name} must be a module or None, got {tensor.describe(module)}")
        check.boolean(castTarget=castTarget)
        self.criterion = criterion
        self.inputModule = inputModule
        self.targetModule = targetModule
        self.castTarget = castTarget

    @property
    def modules(self):
        """The criterion and the modules that are there."""
        return [m for m in (self.criterion, self.inputModule, self.targetModule) if m is not None]

    def _castModules(self):
        kept = [] if self.castTarget or self.targetModule is None else self.targetModule.listModules()
        return [m for m in super()._castModules() if not any(m is other for other in kept)]

    def updateOutput(self, input, target):
        x, t = self._passed(input, target)
        self.output = self._call("criterion", "forward", x, t)
        return self.output

    def updateGradInput(self, input, target):
        given = self._given
        if given is None or given[0] is not input or given[1] is not target:
            self._passed(input, target)
        x = input if self.inputModule is None else self.inputModule.output
        t = target if self.targetModule is None else self.targetModule.output
        self.gradInput = self._call("criterion", "backward", x, t)
        if self.inputModule is not None:
            self.gradInput = self._call("inputModule", "updateGradInput", input, self.gradInput)
        return self.gradInput

    def _passed(self, input, target):
        """Input and target as the modules make them."""
        self._given = None
        x = input if self.inputModule is None else self._call("inputModule", "forward", input)
        t = target if self.targetModule is None else self._call("targetModule", "forward", target)
        self._given = input, target
        return x, t

    def _call(self, name, method, *args):
        return _located(f"ModuleCriterion.{name}", getattr(self, name), method, *args)

    def describe(self):
        known = [repr(self.criterion)]
        known += [f"{name}={getattr(self, name)!r}" for name in ("inputModule", "targetModule")
                  if getattr(self, name) is not None]
        return ", ".join(known + ([] if self.castTarget else ["castTarget=False"]))


def _check_criterion(name, value):
    if not isinstance(value, Criterion):
        hint = "; make an instance of it first" if isinstance(value, type) else ""
        raise TypeError(f"{name} must be a criterion, got {value!r}{hint}")


def _located(step, child, method, *args):
    """``child.method(*args)``; an error on the way learns where it happened."""
    try:
        return getattr(child, method)(*args)
    except Exception as error:
        if not errors.has_location(error):
            name = type(child).__name__ if child.modules else repr(child)
            step += f" > {name}.{method}, given {tensor.describe(args[0])}"
        errors.add_location(error, step)
        raise


def _weighted_sum(buffer, gradients, weights):
    """The sum of weight times gradient, tensors or tables of them, in *buffer* where that fits."""
    first = gradients[0]
    if nested.is_table(first):
        old = buffer if isinstance(buffer, list) and len(buffer) == len(first) else [None] * len(first)
        new = [_weighted_sum(old[i], [g[i] for g in gradients], weights) for i in range(len(first))]
        return buffer if _same_entries(old, new) else new
    if first is None:  # an input of integers has no gradient
        return None
    buffer = tensor.resize(buffer if tensor.is_tensor(buffer) else None, first.shape, first)
    _scale(first, buffer, weights[0])
    for gradient, weight in zip(gradients[1:], weights[1:]):
        _add_scaled(gradient, buffer, buffer, weight)
    return buffer


def _same_entries(old, new):
    return len(old) == len(new) and all(a is b for a, b in zip(old, new))
