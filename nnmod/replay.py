"""A forward in evaluation mode once more: the kernel calls of the last one, noted and repeated. Replay."""
import operator

import numpy as np

from . import geometry, kernels
from .container import Sequential
from .convolution import SpatialConvolution, SpatialConvolutionMM, SpatialDilatedConvolution
from .fused import ACTIVATIONS, Fused, usual
from .indexing import Select
from .linear import Linear, LinearNoBias
from .pooling import SpatialAveragePooling, SpatialMaxPooling
from .reshape import Collapse, Reshape, Squeeze, Unsqueeze, View
from .sequence import SeqLSTM


class Replay:
    """What a chain of modules did to an input of one shape: kernel calls whose arguments are ready.

    A module looks at its input, its parameters and its buffers before it calls a kernel, and at
    batch 1 that takes as long as many a kernel.  Where all of it is as it was, so is the call.
    Hence what the modules looked at is noted beside the calls, and compared, by identity, before
    each replay: mode, parameters, running statistics, windows and other numbers, buffers, whose
    output is whose input, the modules themselves, the backend, the method of convolutions.  If
    anything differs the modules run, and are noted anew.  Kernels read parameters where they lie:
    a weight that is changed in place is never out of date.

    Parameters
    ----------
    modules : list of Module
        A chain that has just had a forward in evaluation mode.

    Noted are the modules up to the first of a class that is not known here, or with a verb that
    somebody has replaced; ``count`` says how many that are.
    """

    def __init__(self, modules):
        self._circumstances = kernels.circumstances()
        self._lists, self._copies = [modules], [list(modules)]
        self._notes, self._single = [], []
        heads = 0
        while heads < len(modules) and type(modules[heads]) in _VIEWS and usual(modules[heads]):
            heads += 1
        calls, before = [], modules[heads - 1] if heads else None
        for module in modules[heads:]:
            # What is not dense is copied on the way.
            made = self._callsOf(module) if before is None or module._input is before.output else None
            if made is None:
                break
            calls.append(made)
            before = module
        #: How many modules of the chain the calls stand for: 0 where nothing can be replayed.
        self.count = heads + len(calls) if any(calls) else 0
        if not self.count:
            return
        for index, module in enumerate(modules[:self.count]):
            self._note(module, "output", *(("_input",) if index > heads else ()))
        self._heads, self._first = modules[:heads], modules[heads]
        self._shape, self._dtype = modules[0]._input.shape, modules[0]._input.dtype
        own = len(calls[0]) - 1  # what the first module calls before it takes its input
        calls = [call for made in calls for call in made]
        self._before, self._calls = calls[:own], kernels.of(self._first._input).joined(calls[own:])
        self._firstCall, x = self._calls.pop(0)
        self._kernelShape = x.shape

    def _callsOf(self, module):
        """The kernel calls of *module*'s last forward, each a function of its input alone and that; None: unknown."""
        if type(module) in _VIEWS and usual(module):
            return []
        make = _CALLS.get(type(module))
        if make is None or module.train or not usual(module) or module._input.__class__ is not np.ndarray:
            return None
        calls = make(module)
        if calls is not None and type(module) is Fused:
            self._lists.append(module.modules)
            self._copies.append(list(module.modules))
            for child in module.modules:
                if type(child) not in ACTIVATIONS or child.numbers():  # others have nothing to read
                    self._note(child)
        return calls

    def _note(self, module, *names):
        """Compare from now on what *module* reads, and its attributes *names*."""
        attributes = vars(module)
        names = *names, *sorted(attributes.keys() - _NOT_READ)
        read = operator.itemgetter(*names)
        self._notes.append((attributes, read, read(attributes), len(attributes)))
        # Another array of one element may compare equal: these are looked at one by one.
        self._single += [(attributes, name, attributes[name]) for name in names
                         if attributes[name].__class__ is np.ndarray and attributes[name].size < 2]

    def again(self, input):
        """Whether all is as it was: then the calls have been made with *input*, a dense tensor.

        The output is where it was, in the last module's ``output``.
        """
        if input.__class__ is not np.ndarray or input.shape != self._shape or input.dtype is not self._dtype:
            return False
        try:
            for attributes, read, values, count in self._notes:
                if read(attributes) != values or len(attributes) != count:
                    return False
        except (KeyError, ValueError):  # an attribute is gone; another array: compared element by element
            return False
        for attributes, name, value in self._single:
            if attributes[name] is not value:
                return False
        if self._lists != self._copies or self._circumstances != kernels.circumstances():
            return False
        for module in self._heads:
            input = module.forward(input)
        first = self._first
        first._given = first._input = input
        x = input if input.shape == self._kernelShape else input.reshape(self._kernelShape)
        for call, argument in self._before:
            call(argument)
        self._firstCall(x)
        for call, argument in self._calls:
            call(argument)
        return True


# -- the kernel calls of a module's last forward ------------------------------------------------------
# The last call of each takes the input; what is called before that ignores its argument.

def _linear(module, owner=None, norm=None, end=()):
    owner = owner or module
    x, y = geometry.with_batch(owner._input, 2), geometry.with_batch(owner.output, 2)
    K = kernels.of(x, module.weight, module.bias)
    return [(kernels.ready(K.linear_fused_update_output, x, module.weight, module.bias, norm, y, *end), x)]


def _convolution(module, owner=None, norm=None, end=()):
    owner = owner or module
    x, y = geometry.with_batch(owner._input, 4), geometry.with_batch(owner.output, 4)
    K = kernels.of(x, module.weight, module.bias)
    return [(kernels.ready(K.conv2d_fused_update_output, x, module._windows(module.weight), module.bias, norm, y,
                           owner._keptWeights, *module._geometry(), module.groups, *end), x)]


def _fused(fused):
    if fused._way != "whole" or any(module.train or not usual(module) for module in fused.modules):
        return None
    product, *others = fused.modules
    calls, norm, end = [], None, ()
    if type(others[0]) not in ACTIVATIONS:
        batch, norm = others[0], fused._norm
        K = kernels.of(norm, batch.running_mean)
        calls.append((lambda _: K.norm_of_statistics(batch.weight, batch.bias, batch.running_mean, batch.running_var,
                                                     norm, batch.eps), None))
    number = ACTIVATIONS.get(type(others[-1]))
    if number:
        end = number, *others[-1].numbers()
    return calls + (_linear if type(product) in _LINEAR else _convolution)(product, fused, norm, end)


def _max_pooling(module):
    _, window, _, before, after = module._known
    x = module._input.reshape(before)
    call = kernels.ready(kernels.of(x).max_pool_update_output, x, module.output.reshape(after),
                         module.indices.reshape(after), *window[:-1])
    return [(call, x)]


def _average_pooling(module):
    x, y = module._planes(module._input), module._planes(module.output)
    call = kernels.ready(kernels.of(x).avg_pool_update_output, x, y, *module._geometry(), module.countIncludePad,
                         module.divide)
    return [(call, x)]


def _lstm(module):
    if module._steps is not module._input or module._first is not None or module._remembers() or (
            module.userPrevOutput is not None or module.userPrevCell is not None):
        return None
    update_output, arrays = kernels.of(module._steps).lstm_update_output, (module._gates, module._hidden, module._cell)
    weight, bias, starts = module.weight, module.bias, [array[0] for array in arrays[1:]]

    def call(x):
        module._steps = x
        for start in starts:
            start.fill(0)
        update_output(x, weight, bias, None, None, None, None, *arrays, None, None)

    return [(call, module._steps)]


_LINEAR = {Linear, LinearNoBias}
_CALLS = {Fused: _fused, SeqLSTM: _lstm, SpatialMaxPooling: _max_pooling, SpatialAveragePooling: _average_pooling,
          **dict.fromkeys(_LINEAR, _linear),
          **dict.fromkeys((SpatialConvolution, SpatialConvolutionMM, SpatialDilatedConvolution), _convolution)}
#: Modules whose output is a view of their input: nothing is to be done but where the input is new.
_VIEWS = {View, Reshape, Squeeze, Unsqueeze, Collapse, Select}
#: What no forward in evaluation mode depends on, or notes itself.
_NOT_READ = {"gradInput", "_gradOutput", "_given", "_dense", "_keptState", "_stateMoved", "_seen", "_tablesThere",
             "_input", "output", "gradWeight", "gradBias", "_gradMiddle", "_work", "_case", "_keptSize", "_known",
             "_kin", "_spares", "needsGradInput", "_needsGradInput", "_type", "_viewed", "_steps"}

def _note(net):
    """Note the forward of *net* that has just ended, where the one before it was alike: the next one may be, too."""
    input, case, net._replay = net._input, None, None
    if not net.train and input.__class__ is np.ndarray:
        case = input.shape, input.dtype
        if case == net._case:
            replay = Replay(net.modules)
            net._replay = replay if replay.count else None
    net._case = case


Sequential._noteForReplay = _note
