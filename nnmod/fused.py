"""Networks that see further: neighbours that run as one kernel.  Fused, and what net.fused() does."""
import weakref

from . import kernels, tensor
from .activation import HardTanh, LeakyReLU, ReLU, ReLU6
from .container import Concat, DepthConcat, Parallel, Sequential
from .convolution import SpatialConvolution, SpatialConvolutionMM, SpatialDilatedConvolution
from .graph import gModule
from .linear import Linear, LinearNoBias
from .module import Module
from .normalization import BatchNormalization, SpatialBatchNormalization, VolumetricBatchNormalization
from .sigmoid import Sigmoid, Tanh
from .table import ConcatTable, ParallelTable

# Only these very classes are joined: a class derived from one of them may compute something else.
_PRODUCTS = {Linear: BatchNormalization, LinearNoBias: BatchNormalization,
             SpatialConvolution: SpatialBatchNormalization, SpatialConvolutionMM: SpatialBatchNormalization,
             SpatialDilatedConvolution: SpatialBatchNormalization}
_NORMALIZATIONS = (BatchNormalization, SpatialBatchNormalization, VolumetricBatchNormalization)
ACTIVATIONS = {cls: kernels.formulas.ACTIVATIONS.index(cls.function.formula)
                for cls in (ReLU, LeakyReLU, ReLU6, HardTanh, Tanh, Sigmoid)}
_CONTAINERS = {Concat, DepthConcat, Parallel, ConcatTable, ParallelTable, gModule}
_VERBS = {"forward", "backward", "updateOutput", "updateGradInput", "accGradParameters"}


class Fused(Sequential):
    """A product, its batch normalisation and its activation, run as one kernel; or a normalisation and its ReLU.

    What ``net.fused()`` puts in the place of neighbours; its repr names them.  The output is
    finished while it is in the cache: the bits are those of the modules one after the other,
    unless a convolution takes another method.  Gradients are those of the modules, too.

    Parameters
    ----------
    *modules : Module
        A Linear or a convolution of images; then a batch normalisation, an activation or both:
        ReLU, ReLU6, LeakyReLU with a slope >= 0, HardTanh, Tanh or Sigmoid.  Or a batch
        normalisation and a ReLU.

    Shapes
    ------
    input   what the first module takes
    output  what it returns

    In training a batch normalisation needs the whole output of the product, which runs alone.  A
    ReLU then shares the normalisation's passes over memory, forward and backward, where the sign of
    the output says what passed; other activations follow.  In evaluation the normalisation is part
    of the kernel, with numbers that are made of the running statistics at every forward: there are
    no folded weights that could be out of date.  Raises ValueError for other modules.  Source: Abadi
    et al., "TensorFlow: a system for large-scale machine learning", 2016, for the idea of fused
    kernels.

    The network that ``net.fused()`` returns has the parameters, gradients and running statistics
    of the plain one, the very arrays, also after getParameters of either; mode, buffers and
    structure are its own.  Copies and ``type()`` part them; a file holds the plain modules.
    Gradients between its modules share memory, and are gone, None, after backward; that of the
    whole network stays.  In evaluation mode it notes the kernel calls of a
    forward, and makes the same again while modules, settings, tensors and the input's shape are what
    they were: see nnmod.replay.

    >>> import numpy as np
    >>> from nnmod import Linear, ReLU
    >>> Sequential(Linear(3, 4), ReLU(), Linear(4, 2)).fused()
    Sequential {
      [0] Fused(Linear(3 -> 4) + ReLU())
      [1] Linear(4 -> 2)
    }
    >>> both = Fused(Linear(3, 2), ReLU())
    >>> both
    Fused(Linear(3 -> 2) + ReLU())
    >>> both.forward(np.ones((4, 3), np.float32)).shape
    (4, 2)
    """

    bufferNames = (*Sequential.bufferNames, "_norm", "_gradMiddle", "_keptWeights", "_way")
    backwardBuffers = ("_gradMiddle",)
    inplace = sharesInput = False
    dissolves = True

    def __init__(self, *modules):
        super().__init__()
        self._norm = self._gradMiddle = self._keptWeights = self._way = None
        self._setChildren(list(modules))

    def _checkChildren(self, children):
        if _joinable(children) != len(children):
            raise ValueError("Fused takes a Linear or a convolution of images, then a batch normalization of its "
                             "planes, an activation that it knows, or both; or a batch normalization and a ReLU; "
                             f"got {', '.join(map(repr, children))}")

    @property
    def backwardNeeds(self):
        """An activation is told by its output what passed; a normalisation, as the last, does not look at its own."""
        return frozenset({"input", "output"} if type(self.modules[-1]) in ACTIVATIONS else {"input"})

    def forFile(self):
        """The same modules in a Sequential."""
        plain = Sequential()
        state = self.__getstate__()
        vars(plain).update({name: state[name] for name in vars(plain)})
        return plain

    # -- the verbs --------------------------------------------------------------------

    def updateOutput(self, input):
        """The output of the last module."""
        input = self.takeInput(input)
        modules = self.modules
        last, norm, index = modules[-1], None, 0
        normed = type(modules[1]) not in ACTIVATIONS
        pair = type(modules[0]) in _NORMALIZATIONS
        rectified = pair or (normed and modules[1].train and type(last) is ReLU)
        if normed and modules[1].train and not rectified:
            self._way = None
            return super().updateOutput(input)
        if self._way is None:
            self.output = None  # it was the last module's
        self._way = "rectified" if rectified else "whole"
        number = ACTIVATIONS.get(type(last))
        try:
            if pair:
                return modules[0].compute(self, input, rectify=True)
            if rectified:
                middle = modules[0].forward(input)
                index = 1
                return modules[1].compute(self, middle, rectify=True)
            if normed:
                index = 1
                norm = modules[1].line(self)
                modules[1]._stateMoved = False
                index = 0
            return modules[0].compute(self, input, norm, (number, *last.numbers()) if number else ())
        except Exception as error:
            self.located(error, index, "forward", input)
            raise

    def backward(self, input, gradOutput, scale=1.0):
        """backward of every module, last to first."""
        self._checkBackward(input, gradOutput)
        if self._way == "rectified":
            return self._rectified(input, gradOutput, True, True, scale)
        if not self._prepared(input, gradOutput):
            return super().backward(input, gradOutput, scale)
        first = self.modules[0]
        if self._needsGradInput:
            self.call(0, "updateGradInput", self._input, self._gradMiddle)
        self.call(0, "accGradParameters", self._input, self._gradMiddle, scale)
        self.gradInput = first.gradInput if self._needsGradInput else None
        self._letGo(first)
        return self.gradInput

    def _letGo(self, *modules):
        """In a network whose gradients share memory, forget those of *modules*."""
        if self._spares is not None:
            for module in modules:
                module.gradInput = module._gradOutput = None

    def updateGradInput(self, input, gradOutput):
        """updateGradInput of every module, last to first."""
        if self._way == "rectified":
            return self._rectified(input, gradOutput, True, False)
        if not self._prepared(input, gradOutput):
            return super().updateGradInput(input, gradOutput)
        self.gradInput = self.call(0, "updateGradInput", self._input, self._gradMiddle)
        return self.gradInput

    def accGradParameters(self, input, gradOutput, scale=1.0):
        """accGradParameters of every module; needs updateGradInput before it."""
        if self._way == "rectified":
            self._rectified(input, gradOutput, False, True, scale)
            return
        if not self._prepared(input, gradOutput):
            return super().accGradParameters(input, gradOutput, scale)
        self.call(0, "accGradParameters", self._input, self._gradMiddle, scale)

    def _rectified(self, input, gradOutput, wantsInput, wantsParameters, scale=1.0):
        """The gradients where a normalisation and its ReLU ran as one, behind a product or alone."""
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        first = self.modules[0]
        if type(first) in _NORMALIZATIONS:
            wanted = wantsInput and (self._needsGradInput or not wantsParameters)
            gradInput = first.rectifiedGradients(input, self.output, gradOutput, wanted, wantsParameters, scale)
        else:
            norm = self.modules[1]
            if wantsInput:
                norm.rectifiedGradients(first.output, self.output, gradOutput, True, wantsParameters, scale)
            else:
                gradMiddle = norm.gradInput
                norm.rectifiedGradients(first.output, self.output, gradOutput, False, wantsParameters, scale)
                norm.gradInput = gradMiddle
            verb = "backward" if wantsInput and wantsParameters else (
                "updateGradInput" if wantsInput else "accGradParameters")
            numbers = (scale,) if wantsParameters else ()
            self.call(0, verb, input, norm.gradInput, *numbers)
            gradInput = first.gradInput
        if wantsInput:
            self.gradInput = gradInput
        if wantsInput and wantsParameters:
            self._letGo(*self.modules)
        return self.gradInput

    def _prepared(self, input, gradOutput):
        """Let the product go on from here; False: all modules have had a forward, and go on one after the other."""
        if self._way is None:
            return False
        input, gradOutput = self.takeGradOutput(input, gradOutput)
        first, last = self.modules[0], self.modules[-1]
        if type(self.modules[1]) not in ACTIVATIONS:
            # What lies between product and normalisation was never written: it is made now.
            norm, output = self.modules[1], self.output
            mode, norm.train = norm.train, False
            super().updateOutput(input)
            norm.train, self.output = mode, output
            return False
        gradMiddle = self.resize("_gradMiddle", self.output.shape, like=self.output)
        last.derivative(self.output, gradOutput, gradMiddle, *last.numbers())
        first._given = first._input = input
        first._gradOutput = gradMiddle
        return True

    # -- text -------------------------------------------------------------------------

    def __repr__(self):
        return f"Fused({' + '.join(map(repr, self.modules))})"


# -- joining -----------------------------------------------------------------------------

def _fused(net):
    """A network with the tensors of *net*, and a Fused where neighbours can be joined, wherever in the tree.

    Both know of each other, so that getParameters of either replaces the tensors of both.
    """
    net.parameters()  # says so where sizes are unknown
    names = {name for module in net.listModules() for name in module._tensorNames()
             if tensor.is_tensor(getattr(module, name, None))}
    twin = net.clone(*sorted(names))
    for module, other in zip(net.listModules(), twin.listModules()):
        kin = vars(module).setdefault("_kin", weakref.WeakSet((module,)))
        kin.add(other)
        other._kin = kin
    overwriting = any(module.inplace for module in twin.listModules())
    twin = _joined(twin, overwriting)
    for module in twin.listModules():
        if type(module) is Sequential and usual(module):
            module._replays = True
    spares = tensor.Spares(overwriting)
    for module in twin.listModules():
        if type(module).__module__.startswith(f"{__package__}.") and usual(module):
            module._spares = spares
    return twin


def _joined(module, overwriting):
    if not usual(module):
        return module
    if type(module) is Sequential:
        rest, children = [_joined(child, overwriting) for child in module.modules], []
        while rest:
            count = _joinable(rest, overwriting)
            if count:
                child = Fused(*rest[:count])
                child.train, child._type = rest[0].train, rest[0]._type
                child.needsGradInput = rest[0].needsGradInput
                children.append(child)
            else:
                count = 1
                children.append(rest[0])
            rest = rest[count:]
        module._setChildren(children)
    elif type(module) in _CONTAINERS:
        module._setChildren([_joined(child, overwriting) for child in module.modules])
    return module


def _joinable(modules, overwriting=False):
    """How many of *modules*, from the first on, run as one: 0 where that is fewer than two.

    overwriting  whether some module may overwrite the last one's output, which that one's
                 backward, unlike Fused's, might not need
    """
    norm = _PRODUCTS.get(type(modules[0])) if modules and usual(modules[0]) else None
    if norm is None:
        pair = (len(modules) > 1 and type(modules[0]) in _NORMALIZATIONS and type(modules[1]) is ReLU
                and usual(modules[0]) and usual(modules[1]))
        return 2 if pair else 0
    count, planes = 1, getattr(modules[0], "outputSize", None) or modules[0].nOutputPlane
    if len(modules) > 1 and type(modules[1]) is norm and usual(modules[1]) and modules[1].nOutput in (None, planes):
        count = 2
    if len(modules) > count and type(modules[count]) in ACTIVATIONS and usual(modules[count]):
        last = modules[count]
        by_output = last.backwardNeeds == {"output"} or not overwriting
        if by_output and not (type(last) is LeakyReLU and last.negval < 0):
            count += 1
    return count if count > 1 else 0


def usual(module):
    """Whether nobody has put another verb into this very module."""
    return not _VERBS & vars(module).keys()


Module._fuse = staticmethod(_fused)
