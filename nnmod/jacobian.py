"""Torch's gradient checkers by whole Jacobians: Jacobian, SparseJacobian.

Each test returns an error, as Torch's do, for a script to compare with its own precision;
``nnmod.testing.check_gradients`` raises by itself.
"""
import os
import pickle
import tempfile

import numpy as np

from . import nested, random, tensor
from .module import Module


class Jacobian:
    """A module's derivatives, by backward and by central differences; tests return the largest error.

    A Jacobian is a matrix of one row for each element of what is varied and one column for
    each element of the output.  Modules and inputs must be of float64.  Inputs may be tables;
    what they hold of integers stays as it is.  Where a test draws, it draws from U(minval, maxval)
    and writes into *input* and the parameters, as Torch's does.

    On the CUDA device both are varied there; the matrices and errors are on the host.

    Random modules are run from one state of the generator, and running statistics are put back.
    Source: Torch7's nn.Jacobian.

    >>> import nnmod
    >>> Jacobian.testJacobian(nnmod.Tanh().double(), np.zeros((4, 3))) < 1e-7
    True
    """

    # -- Jacobians ---------------------------------------------------------------------

    @classmethod
    def backward(cls, module, input, param=None, dparam=None):
        """The Jacobian by *param*, whose gradient is *dparam*, or by the input: one backward a column."""
        columns = []
        with _Runs(module, input) as runs:
            for unit in _units(runs.forward()):
                runs.forward()
                module.zeroGradParameters()
                gradInput = module.updateGradInput(runs.given, unit)
                module.accGradParameters(runs.given, unit, 1.0)
                if param is None and gradInput is None:
                    raise ValueError(f"{module!r} has no gradient by its input")
                columns.append(_flat(dparam if param is not None else cls._free(gradInput)))
        return _matrix(columns, param.size if param is not None else sum(x.size for x in cls._free(input)))

    @classmethod
    def forward(cls, module, input, param=None, perturbation=1e-6):
        """The Jacobian by *param*, or by the input, from central differences: two forwards a row."""
        rows = []
        with _Runs(module, input) as runs:
            for variable in [param] if param is not None else cls._free(input):
                for index in np.ndindex(variable.shape):
                    saved = tensor.number(variable, index)
                    values = []
                    for shifted in (saved + perturbation, saved - perturbation):
                        variable[index] = shifted
                        values.append(_flat(runs.forward()))
                    variable[index] = saved
                    rows.append((values[0] - values[1]) / (2 * perturbation))
        return np.array(rows).reshape(len(rows), -1)

    @classmethod
    def backwardUpdate(cls, module, input, param):
        """What *param* becomes after ``accUpdateGradParameters`` with rate 1, for each element of the output."""
        params = module.parameters()[0]
        saved = [p.copy() for p in params]
        columns = []
        with _Runs(module, input) as runs:
            for unit in _units(runs.forward()):
                runs.forward()
                module.updateGradInput(runs.given, unit)
                module.accUpdateGradParameters(runs.given, unit, 1)
                columns.append(_flat(param))
                for p, before in zip(params, saved):
                    p[...] = before
        return _matrix(columns, param.size)

    @classmethod
    def forwardUpdate(cls, module, input, param, perturbation=1e-6):
        """The same by central differences: *param* less its Jacobian."""
        return tensor.host(param).reshape(-1, 1) - cls.forward(module, input, param, perturbation)

    # -- tests ------------------------------------------------------------------------

    @classmethod
    def testJacobian(cls, module, input, minval=-2, maxval=2, perturbation=1e-6):
        """The largest error of the gradient by the input, at an input drawn anew."""
        cls._draw(module, input, minval, maxval)
        return _largest(cls.forward(module, input, None, perturbation) - cls.backward(module, input))

    @classmethod
    def testJacobianParameters(cls, module, input, param=None, dparam=None, minval=-2, maxval=2,
                               perturbation=1e-6):
        """The largest error of the gradient *dparam* by *param*, both drawn anew with the input.

        Without *param*, of all parameters.
        """
        if param is None:
            return max((cls.testJacobianParameters(module, input, p, g, minval, maxval, perturbation)
                        for p, g in zip(*module.parameters())), default=0.0)
        if dparam is None:
            raise ValueError("dparam must be the gradient of param, such as module.gradWeight")
        cls._draw(module, input, minval, maxval)
        random.uniform(param, minval, maxval)
        return _largest(cls.forward(module, input, param, perturbation)
                        - cls.backward(module, input, param, dparam))

    @classmethod
    def testJacobianUpdateParameters(cls, module, input, param=None, minval=-2, maxval=2, perturbation=1e-6):
        """The largest error of a direct step (accUpdateGradParameters) in *param*, or in all parameters."""
        if param is None:
            return max((cls.testJacobianUpdateParameters(module, input, p, minval, maxval, perturbation)
                        for p in module.parameters()[0]), default=0.0)
        cls._draw(module, input, minval, maxval)
        random.uniform(param, minval, maxval)
        return _largest(cls.backwardUpdate(module, input, param)
                        - cls.forwardUpdate(module, input, param, perturbation))

    @classmethod
    def testIO(cls, module, input, minval=-2, maxval=2):
        """The largest errors of output and gradInput of the module after it went through a file (pickle)."""
        cls._check(module, input)
        state = random.get_state()
        with _Runs(module, input) as runs:
            gradOutput = tensor.clone(runs.forward())
        for leaf in nested.leaves(gradOutput):
            random.uniform(leaf, minval, maxval)
        handle, path = tempfile.mkstemp(suffix=".pickle")
        try:
            with os.fdopen(handle, "wb") as file:
                pickle.dump(module, file)
            with open(path, "rb") as file:
                loaded = pickle.load(file)
        finally:
            os.unlink(path)
        results = []
        for m in (module, loaded):
            with _Runs(m, input, state) as runs:
                output = _flat(runs.forward())
                m.zeroGradParameters()
                results.append((output, _flat(m.updateGradInput(runs.given, tensor.clone(gradOutput)))))
        (outputs, gradients), (outputs2, gradients2) = results
        return _largest(outputs - outputs2), _largest(gradients - gradients2)

    @classmethod
    def testAllUpdate(cls, module, input, weight, gradWeight):
        """Errors of the ways to take a step in the parameter named *weight*, as a dict.

        A step from gradients added up, the direct one, and both with a module that shares
        the parameter, and with one that shares its gradient too.
        """
        cls._check(module, input)
        state = random.get_state()
        rate = float(random.permutation(10)[0] + 1) / 10

        def run(*modules, direct):
            for m in modules:
                m.zeroGradParameters()
            for m in modules:
                with _Runs(m, input, state) as runs:
                    gradOutput = _gradOutput(runs.forward())
                    m.updateGradInput(runs.given, gradOutput)
                    if direct:
                        m.accUpdateGradParameters(runs.given, gradOutput, rate)
                    else:
                        m.accGradParameters(runs.given, gradOutput, 1.0)
            if not direct:
                done = set()
                for m in modules:
                    if id(getattr(m, gradWeight)) not in done:  # one step for one gradient
                        done.add(id(getattr(m, gradWeight)))
                        m.updateParameters(rate)
            return tensor.host(getattr(modules[0], weight))

        once = module.clone()
        before = tensor.host(getattr(once, weight)).copy()
        stepped = run(once, direct=False)
        step = rate * tensor.host(getattr(once, gradWeight))
        errors = {"accGradParameters": _norm(before - step - stepped),
                  "accUpdateGradParameters": _norm(run(module.clone(), direct=True) - stepped)}
        for words, names in (("shared", (weight,)), ("shared with its gradient", (weight, gradWeight))):
            for method, direct in (("accGradParameters", False), ("accUpdateGradParameters", True)):
                first = module.clone()
                twice = run(first, first.clone(*names), direct=direct)
                errors[f"{method} [{words}]"] = _norm(before - 2 * step - twice)
        return errors

    # -- what varies --------------------------------------------------------------------

    @classmethod
    def _free(cls, value):
        """The elements of an input, or of its gradient, that vary: views."""
        return [x for x in nested.leaves(value) if tensor.is_tensor(x) and x.dtype.kind == "f"]

    @classmethod
    def _draw(cls, module, input, minval, maxval):
        cls._check(module, input)
        for x in cls._free(input):
            random.uniform(x, minval, maxval)

    @classmethod
    def _check(cls, module, input):
        if not isinstance(module, Module):
            raise TypeError(f"module must be a Module, got {module!r}")
        for x in nested.leaves(input):
            if tensor.is_tensor(x) and x.dtype.kind == "f" and x.dtype != np.float64:
                raise TypeError(f"input must be float64, got {x.dtype.name}: differences of float32 say nothing; "
                                "use module.double() and input.astype(np.float64)")


class SparseJacobian(Jacobian):
    """The same for sparse inputs: rows of an index and a value, of which the values vary.

    An input is a tensor (n, 2), or a table of such tensors, one for each example; indices are
    in the first column.  Source: Torch7's nn.SparseJacobian.
    """

    @classmethod
    def _free(cls, value):
        return [x[..., 1] for x in super()._free(value)]


class _Runs:
    """Forwards of one module and input, all from one random state and one state of its statistics.

    Both are put back at the end.
    """

    def __init__(self, module, input, state=None):
        self._module, self._input = module, input
        self._after = random.get_state()
        self._state = self._after if state is None else state
        self._kept = [(m, name, getattr(m, name).copy()) for m in module.listModules()
                      for name in m.stateNames if getattr(m, name, None) is not None]
        self.given = input

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._putBack()
        random.set_state(self._after)

    def _putBack(self):
        for module, name, value in self._kept:
            getattr(module, name)[...] = value

    def forward(self):
        random.set_state(self._state)
        self._putBack()
        if self._module.inplace:
            self.given = tensor.clone(self._input)
        return self._module.forward(self.given)


def _units(output):
    """gradOutputs of 0 with a single 1, for each element of *output*."""
    shapes = [y.shape for y in nested.leaves(output)]  # output's memory changes meanwhile
    for leaf, shape in enumerate(shapes):
        for index in np.ndindex(shape):
            unit = nested.map(lambda y: tensor.zeros(y.shape, y), output)
            list(nested.leaves(unit))[leaf][index] = 1
            yield unit


def _flat(value):
    """All numbers of *value* in one new row, on the host."""
    parts = [np.ravel(tensor.host(x)) for x in nested.leaves(value) if x is not None]
    return np.concatenate(parts) if parts else np.zeros(0)


def _matrix(columns, count):
    return np.array(columns).T.reshape(count, len(columns))


def _gradOutput(output):
    rng = np.random.default_rng(20240607)
    return nested.map(lambda y: tensor.beside(rng.uniform(size=y.shape).astype(y.dtype), y), output)


def _largest(error):
    """The largest absolute value, NaN if there is one; 0.0 of nothing."""
    return float(np.max(np.abs(error), initial=0.0))


def _norm(error):
    return float(np.sqrt(np.sum(np.square(error))))
