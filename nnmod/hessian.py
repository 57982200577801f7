"""The diagonal of the Hessian, propagated backward: how curved the loss is in each parameter.

    output = net.forward(x)
    curvature = hessian.diag_hessian_criterion(criterion, output, target)
    diagInput, diagParams = hessian.diag_hessian(net, x, curvature)

Each module turns the second derivatives by its output, D_y, into those by its input and its
parameters: ``D_x[i] = sum over o of (dy[o] / dx[i])**2 * D_y[o]``.  That keeps the diagonal at every
layer and leaves out the terms with second derivatives of the modules themselves (LeCun, Bottou, Orr
and Muller, "Efficient BackProp", 1998, section 7).  Dividing learning rates by it conditions
stochastic gradient descent.  Tensors are where the network is, on the CPU or on the CUDA device.
Source: Torch7's nn.hessian.
"""
import numpy as np

from . import check, kernels, nested, tensor
from .container import Branching, Sequential
from .graph import gModule
from .table import ParallelTable

_multiply = kernels.elementwise(kernels.formulas.multiply)

#: Modules where output o depends on input o alone: D_x = f'(x)**2 D_y.
ELEMENTWISE = {
    "Abs", "AddConstant", "Clamp", "Dropout", "ELU", "Exp", "HardShrink", "HardTanh", "LeakyReLU", "Log",
    "LogSigmoid", "MulConstant", "Power", "RReLU", "ReLU", "ReLU6", "Sigmoid", "SoftPlus", "SoftShrink",
    "SoftSign", "SpatialDropout", "Sqrt", "Square", "Tanh", "TanhShrink", "Threshold", "VolumetricDropout",
}
#: Modules whose outputs are sums of inputs, each input once: D_x is what updateGradInput makes of D_y.
SELECTING = {
    "CAddTable", "Contiguous", "Identity", "JoinTable", "JustElement", "JustTable", "Narrow", "NarrowTable",
    "Replicate", "Reshape", "Select", "SelectTable", "SpatialMaxPooling", "SpatialZeroPadding", "SplitTable",
    "Squeeze", "Transpose", "Unsqueeze", "View", "VolumetricMaxPooling",
}
#: Modules whose outputs are sums of weight * input, each pair once: the module itself, with squares in
#: the place of weights and inputs, makes D_x and the diagonal of the weights out of D_y.
BILINEAR = {
    "Linear", "SpatialConvolution", "SpatialConvolutionLocal", "SpatialConvolutionMM", "SpatialConvolutionMap",
    "SpatialDilatedConvolution", "SpatialFullConvolution", "SpatialFullConvolutionMap", "TemporalConvolution",
    "VolumetricConvolution", "VolumetricDilatedConvolution", "VolumetricFullConvolution",
}

_RULES = {}
_CRITERION_RULES = {}


def diag_hessian(module, input, diagHessianOutput, into=None):
    """The diagonal of the Hessian by the input and by the parameters of *module*.

    Parameters
    ----------
    module : Module
        After a forward with *input*.  Modules that have no rule (see :func:`rule`) are
        handled by their whole Jacobian: right, but one backward for each output element.
    input : tensor or table
        The input of that forward.
    diagHessianOutput : tensor or table
        The second derivatives of the loss by the output, of its shape and dtype.
    into : list of tensors or None
        Where to add: the second result of an earlier call.

    Returns ``(diagHessianInput, diagHessianParameters)``; the second is a list of tensors,
    one for each of ``module.parameters()[0]``.  Gradients are left as they are.

    >>> from nnmod import Linear
    >>> net = Linear(2, 1).double()
    >>> net.weight[...] = 3.0, 4.0
    >>> x = np.array([[1.0, 2.0]])
    >>> _ = net.forward(x)
    >>> diag_hessian(net, x, np.array([[1.0]]))
    (array([[ 9., 16.]]), [array([[1., 4.]]), array([1.])])
    """
    if module.output is None:
        raise RuntimeError("diag_hessian before forward: call forward(input) first")
    check.same_shape("diagHessianOutput", diagHessianOutput, "output", module.output)
    params = module.parameters()[0]
    if into is None:
        into = [tensor.zeros(p.shape, p) for p in params]
    check.same_shape("into", into, "the parameters", params)
    diagonals = {id(p): d for p, d in zip(params, into)}
    input = module.takeInput(input)
    return _propagate(module, input, tensor.clone(diagHessianOutput), diagonals), into


def diag_hessian_criterion(criterion, input, target):
    """The second derivatives of the loss by *input*, element by element.

    Raises NotImplementedError for a criterion without a rule: see :func:`criterion_rule`.

    >>> from nnmod import MSECriterion
    >>> diag_hessian_criterion(MSECriterion(), np.zeros((1, 4)), np.ones((1, 4)))
    array([[0.5, 0.5, 0.5, 0.5]])
    """
    cls = type(criterion)
    second = _CRITERION_RULES.get(cls)
    if second is None and _is_ours(cls):
        second = _CRITERIONS.get(cls.__name__)
    if second is None:
        raise NotImplementedError(
            f"{type(criterion).__name__} has no rule for second derivatives; give it one: "
            f"@nnmod.hessian.criterion_rule({type(criterion).__name__}) above a function "
            "(criterion, input, target) that returns them")
    criterion.forward(input, target)  # checks both
    if cls in _CRITERION_RULES:
        return second(criterion, input, target)
    return tensor.beside(second(criterion, tensor.host(input), target), input)


def rule(cls):
    """A decorator: the function below it handles modules of class *cls* (not of its subclasses).

    The function takes (module, input, diagHessianOutput, add) and returns diagHessianInput, or None
    where the input has none; ``add(name, values)`` adds to the diagonal of parameter *name*.
    """
    def register(function):
        _RULES[cls] = function
        return function
    return register


def criterion_rule(cls):
    """A decorator: the function below it handles criterions of class *cls* (not of its subclasses).

    The function takes (criterion, input, target) and returns a tensor like input.
    """
    def register(function):
        _CRITERION_RULES[cls] = function
        return function
    return register


# -- propagation ------------------------------------------------------------------------


def _propagate(module, input, dh, diagonals):
    """D of the input from *dh*, D of the output; adds to *diagonals*, id of a parameter -> its D."""
    cls = type(module)
    if cls in _CONTAINERS:
        return _CONTAINERS[cls](module, input, dh, diagonals)
    if isinstance(module, Branching) and _is_ours(cls):
        return _branching(module, input, dh, diagonals)
    function = _RULES.get(cls)
    if function is None and _is_ours(cls):
        function = next((f for names, f in _FAMILIES if cls.__name__ in names), None)
    if function is None:
        return _by_jacobian(module, input, dh, diagonals)

    def add(name, values):
        diagonals[id(getattr(module, name))] += values

    return function(module, input, dh, add)


def _is_ours(cls):
    return cls.__module__.partition(".")[0] == "nnmod"


def _elementwise(module, input, dh, add):
    ones = tensor.empty(dh.shape, dh)
    ones.fill(1)
    slope = _gradInput(module, input, ones)
    out = tensor.empty(dh.shape, dh)
    _multiply(slope, slope, out)
    _multiply(out, dh, out)
    return out


def _selecting(module, input, dh, add):
    return _gradInput(module, input, dh)


def _bilinear(module, input, dh, add):
    squared = module.clone()
    for param in squared.parameters()[0]:
        param *= param
    squared.zeroGradParameters()
    x = nested.map(lambda leaf: leaf * leaf, input)
    squared.forward(x)
    result = squared.backward(x, dh)
    for name in module.paramNames:
        if getattr(module, name, None) is not None:
            add(name, getattr(squared, "grad" + name[0].upper() + name[1:]))
    return result


def _gradInput(module, input, gradOutput):
    """A new tensor with what updateGradInput makes of *gradOutput*; the module's own gradInput stays."""
    kept = module.gradInput
    module.gradInput = None
    try:
        return tensor.clone(module.updateGradInput(input, gradOutput))
    finally:
        module.gradInput = kept


def _by_jacobian(module, input, dh, diagonals):
    """Any module: a backward for each element of the output, and the sum of the squares."""
    params, grads = module.parameters()
    saved, kept = [g.copy() for g in grads], module.gradInput
    result = nested.map(
        lambda x: tensor.zeros(x.shape, x) if tensor.is_tensor(x) and x.dtype.kind == "f" else None, input)
    found = False
    try:
        for leaf, values in enumerate(map(tensor.host, nested.leaves(dh))):
            for index in np.ndindex(values.shape):
                # New each time: an in-place module writes to it.
                unit = nested.map(lambda y: tensor.zeros(y.shape, y), dh)
                list(nested.leaves(unit))[leaf][index] = 1
                for grad in grads:
                    grad.fill(0)
                row = module.updateGradInput(input, unit)
                module.accGradParameters(input, unit, 1.0)
                if row is not None:
                    found = True
                    for total, dx in zip(nested.leaves(result), nested.leaves(row)):
                        if total is not None and dx is not None:
                            total += dx * dx * values[index]
                for param, grad in zip(params, grads):
                    diagonals[id(param)] += grad * grad * values[index]
    finally:
        module.gradInput = kept
        for grad, before in zip(grads, saved):
            grad[...] = before
    return result if found else None


# -- containers ---------------------------------------------------------------------------


def _sequential(module, input, dh, diagonals):
    for index in reversed(range(len(module.modules))):
        x = module.modules[index - 1].output if index else input
        dh = _propagate(module.modules[index], x, dh, diagonals)
        if dh is None:
            return None
    return dh


def _branching(module, input, dh, diagonals):
    results = [_propagate(child, input, part, diagonals)
               for child, part in zip(module.modules, tensor.clone(module.partsOf(dh)))]
    results = [r for r in results if r is not None]
    total = results[0] if results else None
    for result in results[1:]:
        total = nested.zip(_plus, total, result)
    return total


def _plus(a, b):
    return b if a is None else a if b is None else a + b


def _parallel_table(module, input, dh, diagonals):
    return [_propagate(child, entry, part, diagonals)
            for child, entry, part in zip(module.modules, input, dh)]


def _graph(module, input, dh, diagonals):
    result = module.eachNode(
        dh, lambda index, taken, total: _propagate(module.modules[index], taken, total, diagonals))
    result = tensor.clone(result)
    module._arrived = None  # these were no gradients: accGradParameters must not use them
    return result


_FAMILIES = ((ELEMENTWISE, _elementwise), (SELECTING, _selecting), (BILINEAR, _bilinear))
_CONTAINERS = {Sequential: _sequential, ParallelTable: _parallel_table, gModule: _graph}


# -- criterions ---------------------------------------------------------------------------


def _norm(criterion, input):
    return 1 / input.size if criterion.sizeAverage else 1.0


def _mse(criterion, input, target):
    return np.full_like(input, 2 * _norm(criterion, input))


def _abs(criterion, input, target):
    return np.zeros_like(input)


def _smooth_l1(criterion, input, target):
    return (np.abs(input - tensor.host(target)) < 1).astype(input.dtype) * input.dtype.type(_norm(criterion, input))


def _binary_cross_entropy(criterion, input, target):
    tiny, target = input.dtype.type(1e-12), tensor.host(target)
    second = target / np.square(input + tiny) + (1 - target) / np.square(1 - input + tiny)
    if criterion.weights is not None:
        second *= tensor.host(criterion.weights)
    return second * input.dtype.type(_norm(criterion, input))


def _class_nll(criterion, input, target):
    return np.zeros_like(input)  # linear in its input


def _cross_entropy(criterion, input, target):
    """``p (1 - p)`` for each class, with the factor that the row has in the loss."""
    probabilities = np.exp(tensor.host(criterion.lsm.output))
    # The gradient of ClassNLL is -factor at the target and 0 elsewhere.
    gradient = tensor.host(criterion.nll.backward(criterion.lsm.output, target))
    factors = -gradient.sum(axis=-1, keepdims=True)
    return probabilities * (1 - probabilities) * factors


_CRITERIONS = {
    "AbsCriterion": _abs, "BCECriterion": _binary_cross_entropy, "ClassNLLCriterion": _class_nll,
    "CrossEntropyCriterion": _cross_entropy, "L1Cost": _abs, "MSECriterion": _mse,
    "SmoothL1Criterion": _smooth_l1, "SpatialAutoCropMSECriterion": _mse, "WeightedMSECriterion": _mse,
}
