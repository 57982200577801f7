"""Stateful: tensors that a class declares, and what is written once for all that do."""
import copy
import functools

import numpy as np

from . import kernels, notebook, tensor


def _nil_is_default(init):
    """The constructor *init* with None read as Lua reads nil: as the default of its argument.

    ``SpatialBatchNormalization(64, nil, nil, false)`` is what Torch's scripts are full of.  Arguments without
    a default, and those whose default is None, take None as they did.
    """
    code = init.__code__
    names = code.co_varnames[1:code.co_argcount]
    last = init.__defaults__ or ()
    defaults = dict(zip(names[len(names) - len(last):], last), **(init.__kwdefaults__ or {}))
    defaults = {name: value for name, value in defaults.items() if value is not None}
    if not defaults:
        return init

    @functools.wraps(init)
    def __init__(self, *args, **named):
        args = [defaults.get(name) if value is None else value for name, value in zip(names, args)] + [
            *args[len(names):]]
        named = {name: defaults.get(name) if value is None else value for name, value in named.items()}
        init(self, *args, **named)

    return __init__


class Stateful:
    """What modules and criterions share: tensors that are declared, and life with them.

    A class lists the names of its tensors; converting, copying, sharing, clearing and
    saving are written once, here, from those lists.
    """

    #: Learned tensors; each ``p`` has a twin ``gradP`` of the same shape and dtype.
    paramNames = ()
    #: Tensors learned by other means: converted and saved, but not by gradients.
    stateNames = ()
    #: Scratch: dropped by clearState(), type(), clone() and saving.
    bufferNames = ()
    #: Those of them that nothing but a backward pass uses: evaluate() drops them too.
    backwardBuffers = ()
    #: What says of which type a module is, such as "cpu.float32".
    _typeNames = ("_type",)
    #: Children; a container has a list of its own.
    modules = ()
    #: Criterions that a module holds: converted and cleared with it, but no part of the tree.
    criterions = ()

    #: Where gradInput is taken from, in a network that keeps no gradient longer than it is needed: see fused().
    _spares = None

    _passBuffers = ("output", "gradInput", "_given", "_input", "_gradOutput", "_dense", "_keptState",
                    "_seen", "_tablesThere")
    _tablesThere = None

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if "__init__" in vars(cls) and cls.__module__.startswith(__package__ + "."):
            cls.__init__ = _nil_is_default(cls.__init__)

    def __init__(self):
        self.output = None
        self.gradInput = None
        self._type = "cpu.float32"
        self._given = self._input = self._gradOutput = self._dense = None
        self._keptState = self._seen = None

    # -- buffers --------------------------------------------------------------

    def resize(self, name, shape, like=None, dtype=None):
        """Make attribute *name* a tensor of *shape* and return it; contents undefined.

        The memory is reused if shape, dtype and device are as before; otherwise it is new,
        so a reference to the old tensor stays intact.  It is on the device of *like*, on
        the CPU without one; the dtype is that of *like* unless *dtype* is given.
        """
        buffer = getattr(self, name)
        if dtype is None:
            dtype = like.dtype
        if (buffer is not None and buffer.shape == shape and buffer.dtype is dtype
                and (not kernels.device_types or tensor.is_on_device(buffer) == tensor.is_on_device(like))):
            return buffer
        if name == "gradInput" and self._spares is not None:
            self.gradInput = buffer = None
            buffer = self._spares.take(tuple(shape), np.dtype(dtype), like)
        else:
            buffer = tensor.resize(buffer, tuple(shape), dtype if like is None else like, np.dtype(dtype))
        setattr(self, name, buffer)
        return buffer

    def _usable(self, name, value):
        """*value* with every tensor dense; copies live in buffers of this object."""
        if self._dense is None:
            self._dense = {}
        usable, self._dense[name] = tensor.dense(value, self._dense.get(name))
        return usable

    def _onDevice(self, array, like):
        """*array*, a NumPy table that this object keeps as it is, on the device of *like*.

        On the CPU that is the array itself, on the device a copy that is made once.  It may be
        a tuple of arrays.
        """
        if not tensor.is_on_device(like):
            return array
        if self._tablesThere is None:
            self._tablesThere = {}
        kept = self._tablesThere.get(id(array))
        if kept is None or kept[0] is not array:
            kept = self._tablesThere[id(array)] = array, tensor.beside(array, like)
        return kept[1]

    def _placed(self, name, array, like):
        """NumPy *array*, which is another in each pass, on the device of *like*: there, a copy in buffer *name*."""
        if not tensor.is_on_device(like):
            return array
        buffer = self.resize(name, array.shape, like=like, dtype=array.dtype)
        tensor.copy(array, buffer)
        return buffer

    def clearState(self):
        """Drop output, gradInput and every buffer of the tree; returns self.

        The next forward gives the same result as before.
        """
        for module in self._everything():
            for name in (*module._passBuffers, *module.bufferNames):
                setattr(module, name, None)
        return self

    # -- the tree -------------------------------------------------------------

    def listModules(self):
        """This module and all below it, parents before children."""
        found = [self]
        for child in self.modules:
            found += child.listModules()
        return found

    def _castModules(self):
        """The modules and criterions that type() converts: all, unless a class leaves some out."""
        found = [self]
        for criterion in self.criterions:
            found += criterion._castModules()
        for child in self.modules:
            found += child._castModules()
        return found

    def _everything(self):
        """The tree, and the criterions that its modules hold."""
        found = self.listModules()
        for module in found:
            for criterion in module.criterions:
                found += criterion.listModules()
        return found

    def _tensorNames(self):
        """The names of all declared tensors: parameters, their gradients, state."""
        return (*self.paramNames, *map(gradient_name, self.paramNames), *self.stateNames)

    # -- type -----------------------------------------------------------------

    def type(self, type=None):
        """The type as text, such as ``"cpu.float32"``; with an argument, convert to it.

        Converts parameters, their gradients and state of the whole tree, drops
        buffers, and returns self.  Tensors that were shared stay shared.
        """
        if type is None:
            return self._type
        name = tensor.type_name(type)
        converted = {}
        for module in self._castModules():
            for key in module._tensorNames():
                old = getattr(module, key, None)
                if old is not None:
                    if id(old) not in converted:
                        # The old tensor is kept too, so that its id stays its own.
                        converted[id(old)] = old, tensor.convert(old, name)
                    setattr(module, key, converted[id(old)][1])
            module._type = name
        return self.clearState()

    def float(self):
        """Convert to float32, where it is; returns self."""
        return self.type(self._type.partition(".")[0] + ".float32")

    def double(self):
        """Convert to float64, where it is; returns self."""
        return self.type(self._type.partition(".")[0] + ".float64")

    def cuda(self):
        """Bring the module to the CUDA device; returns self.

        Raises RuntimeError where there is no CUDA, and says what to install or set.
        """
        return self.type("cuda." + self._type.partition(".")[2])

    def cpu(self):
        """Bring the module to the CPU; returns self."""
        return self.type("cpu." + self._type.partition(".")[2])

    # -- copies ---------------------------------------------------------------

    def clone(self, *shared):
        """A deep copy without buffers, except that the tensors named in *shared* are shared.

        ``m.clone("weight", "bias", "gradWeight", "gradBias")`` gives a module that
        learns together with m.
        """
        memo = {}
        known = set()
        for module in self.listModules():
            known.update(module._tensorNames())
            for name in shared:
                value = getattr(module, name, None)
                if tensor.is_tensor(value):
                    memo[id(value)] = value
        for name in shared:
            if name not in known:
                raise ValueError(f"{self!r} has no tensor named {name!r} to share")
        return copy.deepcopy(self, memo)

    def __getstate__(self):
        """Everything but buffers: what is copied and saved."""
        state = dict(vars(self))
        for name in (*self._passBuffers, *self.bufferNames):
            state[name] = None
        state.pop("_flat", None)
        state.pop("_kin", None)
        state.pop("_spares", None)
        state.pop("_replays", None)
        return state

    def forFile(self):
        """What is written to a file in the place of this: itself, unless the class says otherwise."""
        return self

    # -- text -----------------------------------------------------------------

    def describe(self):
        """What stands between the brackets of repr; a subclass writes only this."""
        return ""

    def __repr__(self):
        return f"{type(self).__name__}({self.describe()})"

    def _repr_html_(self):
        return notebook.tree(self)


def gradient_name(name):
    """The attribute that holds the gradient of parameter *name*.

    >>> gradient_name("weight")
    'gradWeight'
    """
    return "grad" + name[0].upper() + name[1:]
