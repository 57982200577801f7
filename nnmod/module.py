"""Module: the contract that every layer and container keeps."""
import numpy as np

from . import check, kernels, rows, tensor
from .flat import flat_slice, flatten
from .node import Node, has_nodes
from .stateful import Stateful, gradient_name


class Module(Stateful):
    """The base of every layer: three verbs, stateful buffers, explicit backward.

    A subclass writes ``updateOutput``, ``updateGradInput`` and, if it has
    parameters, ``accGradParameters``, and names its tensors in ``paramNames``,
    ``stateNames`` and ``bufferNames``.  Source: Torch7's nn.Module.

    Shapes
    ------
    input   whatever the subclass takes: a tensor, or a table (a list) of them
    output  whatever it returns

    >>> from nnmod import Linear
    >>> layer, x = Linear(2, 1), np.array([[1, 2]], np.float32)
    >>> layer.weight[...], layer.bias[...] = [3, 4], 0
    >>> layer.forward(x)
    array([[11.]], dtype=float32)
    >>> layer.backward(x, np.ones((1, 1), np.float32)), layer.gradWeight
    (array([[3., 4.]], dtype=float32), array([[1., 2.]], dtype=float32))
    >>> layer.updateParameters(0.5)
    >>> layer.weight
    array([[2.5, 3. ]], dtype=float32)
    """

    paramNames = ("weight", "bias")
    #: What backward reads, a subset of {"input", "output"}.
    backwardNeeds = frozenset({"input", "output"})
    #: Whether forward overwrites its input, and backward its gradOutput.  (What kernels
    #: cannot use as it lies, strided or read-only, is copied first and stays as it was.)
    inplace = False
    #: Whether the output may be a view of the input.
    sharesInput = False
    #: False until sizes that were left out are inferred at the first forward.
    sizesKnown = True
    #: False on a first layer skips the work of updateGradInput.
    needsGradInput = True
    #: Whether accGradParameters reads what updateGradInput left; then that is not skipped.
    #: A class whose two verbs do not depend on each other says False.
    accReadsGradInput = True
    #: For parameters with features of which a step sees few: {name: the dimension of the features}.
    #: accGradParameters then notes what it touched, see :mod:`nnmod.rows`.
    sparseAxes = {}
    #: Whether its children stand in its place in a file.
    dissolves = False
    #: Whether accGradParameters can take a step itself: with ``_rate`` set it subtracts that times
    #: the gradient from the parameters, and leaves the gradients alone.
    updatesDirectly = False
    _rate = None
    #: Whether the last forward changed state that keepState() remembered.
    _stateMoved = False

    def __init__(self):
        super().__init__()
        self.train = True

    # -- the verbs ------------------------------------------------------------

    def updateOutput(self, input):
        """Compute and return ``self.output``."""
        raise NotImplementedError(f"{type(self).__name__} must define updateOutput(input)")

    def updateGradInput(self, input, gradOutput):
        """Compute and return ``self.gradInput``, the gradient of the loss by the input."""
        raise NotImplementedError(
            f"{type(self).__name__} must define updateGradInput(input, gradOutput)")

    def accGradParameters(self, input, gradOutput, scale=1.0):
        """Add ``scale`` times the gradient of the loss to each ``gradP``."""

    # -- the entry points -----------------------------------------------------

    def forward(self, input):
        """Run the module and return its output.

        The tensor returned belongs to the module: the next forward of the same
        shape overwrites it.  Copy it to keep it.
        """
        if input.__class__ is np.ndarray and input.flags.carray:
            self._given = self._input = input
        else:
            input = self.takeInput(input)
        return self.updateOutput(input)

    def __call__(self, *input):
        """``module(input)`` is forward; of a node, or a list of nodes, it makes a node of a graph.

        So does ``module()``, an input of the graph: see :class:`nnmod.gModule`.
        """
        if len(input) == 1 and not has_nodes(input[0]):
            return self.forward(input[0])
        return Node(self, *input)

    def __neg__(self):
        """``-module`` is ``module()``, an input of a graph; nngraph's scripts write it so."""
        return self()

    def __rsub__(self, nodes):
        """``node - module`` is ``module(node)``, and ``[a, b] - module`` is ``module([a, b])``."""
        return Node(self, nodes) if has_nodes(nodes) else NotImplemented

    def backward(self, input, gradOutput, scale=1.0):
        """Gradient by the input, returned; *scale* times those by the parameters, added.

        Needs a forward with the same input before it, and a gradOutput like the
        output; both are checked before anything is written.
        """
        self._checkBackward(input, gradOutput)
        if self.needsGradInput or (self.accReadsGradInput and self.paramNames):
            self.updateGradInput(self._input, self._gradOutput)
        else:
            self.gradInput = None
        self.accGradParameters(self._input, self._gradOutput, scale)
        return self.gradInput

    # -- what the entry points and the verbs check -----------------------------

    def takeInput(self, input):
        """Note *input* as what this pass works on; return it in a form kernels can use.

        That is *input* itself if it is C-contiguous, aligned and writable, else a
        copy of it in a buffer.
        """
        # A table that was taken before may hold other tensors now, unless it is our copy.
        if input is self._input and (input.__class__ is not list or input is not self._given):
            return input
        self._given = input
        if input.__class__ is np.ndarray and input.flags.carray:
            self._input = input
        else:
            self._input = self._usable("input", input)
        return self._input

    def takeGradOutput(self, input, gradOutput):
        """Check the arguments of a backward verb; return both in a form kernels can use.

        A room's ``updateGradInput`` and ``accGradParameters`` start with this, so that
        they are safe to call by hand; after ``backward`` it costs two comparisons.
        """
        if input is not self._input or gradOutput is not self._gradOutput:
            self._checkBackward(input, gradOutput, sameInput=False)
        return self._input, self._gradOutput

    def _checkBackward(self, input, gradOutput, sameInput=True):
        if self.output is None:
            raise RuntimeError("backward before forward: call forward(input) first")
        if input is not self._given:
            if self._given is None:  # a module of the user's whose updateOutput was called directly
                self.takeInput(input)
            elif input is not self._input and not tensor.same_memory(input, self._given):
                if sameInput and not tensor.equal(input, self._given):
                    raise RuntimeError(
                        "backward needs the input of the last forward: that was "
                        f"{tensor.describe(self._given)}, this is {tensor.describe(input)}"
                        + (" with other values" if _alike(input, self._given) else "")
                        + "; call forward with this input first"
                    )
                check.same_shape("input", input, "the last forward's input", self._given)
                if not sameInput:
                    self._input = self._usable("input", input)
                    self._given = input
        output = self.output
        if (gradOutput.__class__ is np.ndarray and output.__class__ is np.ndarray
                and gradOutput.shape == output.shape and gradOutput.dtype is output.dtype
                and gradOutput.flags.carray):
            self._gradOutput = gradOutput
            return
        check.same_shape("gradOutput", gradOutput, "output", output)
        self._gradOutput = self._usable("gradOutput", gradOutput)

    # -- a forward that fails further on ----------------------------------------

    def keepState(self):
        """Remember the tensors in ``stateNames`` before a forward changes them.

        Where a later module of the network then refuses its input, the containers
        call ``takeBack``, so that a failed pass leaves running statistics as they were.
        """
        if self._keptState is None:
            self._keptState = {}
        for name in self.stateNames:
            value = getattr(self, name)
            kept = tensor.resize(self._keptState.get(name), value.shape, value)
            tensor.copy(value, kept)
            self._keptState[name] = kept
        self._stateMoved = True

    def takeBack(self):
        """Undo what the last forward did to the running statistics of the tree."""
        for module in self.listModules():
            if module._stateMoved and module._keptState is not None:
                module._restoreState()
            module._stateMoved = False

    def _restoreState(self):
        for name, kept in self._keptState.items():
            tensor.copy(kept, getattr(self, name))

    # -- parameters -----------------------------------------------------------

    def parameters(self):
        """Two lists: the parameters of the tree and their gradients, in the same order.

        A pair that several modules share stands in the lists once.  Raises
        RuntimeError while sizes that were left out are unknown.
        """
        params, grads, seen = [], [], set()
        for module in self.listModules():
            if not module.sizesKnown:
                raise RuntimeError(
                    f"{module!r} does not know its sizes yet: run forward once, "
                    "or give the size when you make it"
                )
            for name in module.paramNames:
                param = getattr(module, name, None)
                if param is None:
                    continue
                grad = getattr(module, gradient_name(name))
                if (id(param), id(grad)) not in seen:
                    seen.add((id(param), id(grad)))
                    params.append(param)
                    grads.append(grad)
        return params, grads

    def zeroGradParameters(self):
        """Set the gradients of all parameters to 0."""
        sparse = self._sparseGradients()
        for grad in self.parameters()[1]:
            if id(grad) in sparse:
                rows.clear(grad, sparse[id(grad)])
            else:
                tensor.fill(grad, 0)

    def updateParameters(self, learningRate):
        """A step of gradient descent: ``p -= learningRate * g``, once for each pair."""
        sparse = self._sparseGradients()
        for param, grad in zip(*self.parameters()):
            if id(grad) in sparse and rows.step(grad, param, sparse[id(grad)], learningRate):
                continue
            _add_scaled(grad, param, param, -learningRate)

    def _sparseGradients(self):
        """The gradients of the tree of which a step touches little: {id: dimension of the features}."""
        return {id(getattr(module, gradient_name(name))): axis for module in self.listModules()
                for name, axis in module.sparseAxes.items()}

    def accUpdateGradParameters(self, input, gradOutput, lr):
        """``p -= lr * dP`` for every parameter; the gradients are left as they were."""
        self._updateDirectly(lr, lambda: self.accGradParameters(input, gradOutput, 1.0))

    def backwardUpdate(self, input, gradOutput, lr):
        """backward and updateParameters in one, without touching the gradients."""
        self._updateDirectly(lr, lambda: self.backward(input, gradOutput, 1.0))
        return self.gradInput

    def _updateDirectly(self, lr, accumulate):
        direct = self._directModules()
        alone = {id(grad) for module in direct for grad in module.parameters()[1]}
        params, grads = [], []
        for param, grad in zip(*self.parameters()):
            if id(grad) not in alone:
                params.append(param)
                grads.append(grad)
        saved = [grad.copy() for grad in grads]
        try:
            for module in direct:
                module._rate = lr
            for grad in grads:
                tensor.fill(grad, 0)
            accumulate()
            for param, grad in zip(params, grads):
                _add_scaled(grad, param, param, -lr)
        finally:
            for module in direct:
                del module._rate
            for grad, before in zip(grads, saved):
                tensor.copy(before, grad)

    def _directModules(self):
        """The modules of the tree that take their step themselves: no other one may have their parameters."""
        modules = self.listModules()
        if not any(module.updatesDirectly for module in modules):
            return []
        owners = {}
        for module in modules:
            for name in module.paramNames:
                key = id(getattr(module, name, None))
                owners[key] = owners.get(key, 0) + 1
        return [module for module in modules if module.updatesDirectly
                and all(owners[id(getattr(module, name))] == 1 for name in module.paramNames
                        if getattr(module, name) is not None)]

    def reset(self, stdv=None):
        """Draw the parameters of the tree anew, in place; returns self.

        The default draws from U(-b, b) with each class's own b, the square root of
        its fan-in; *stdv* asks for a uniform distribution of that standard deviation.
        """
        for child in self.modules:
            child.reset(stdv)
        return self

    def getParameters(self):
        """All parameters, and all gradients, as two flat tensors: ``(flat, gradFlat)``.

        Afterwards every parameter is a view into *flat*, so that an optimizer works on
        one vector.  Asked again, it returns the same two tensors until structure or
        type changes.  For a part of a network that is flat already, they are slices
        of the whole's.  Raises ValueError if a parameter is shared but its
        gradient is not.
        """
        params, grads = self.parameters()
        if not (len({id(p) for p in params}) == len(params) == len({id(g) for g in grads})):
            raise ValueError(
                "a parameter is shared but its gradient is not (or the reverse): share both, "
                'as clone("weight", "gradWeight") does'
            )
        views, flat = self.__dict__.get("_flat", ((), None))
        current = params + grads
        if flat is not None and len(views) == len(current) and all(map(_is, views, current)):
            return flat
        flat = flat_slice(params), flat_slice(grads)
        if flat[0] is None or flat[1] is None:
            moved = {}
            flat = tuple(flatten(tensors, moved, self._type) for tensors in (params, grads))
            for module in [kin for module in self.listModules() for kin in vars(module).get("_kin", (module,))]:
                for name in module._tensorNames():
                    value = getattr(module, name, None)
                    if id(value) in moved:
                        setattr(module, name, moved[id(value)])
            params, grads = self.parameters()
        self._flat = params + grads, flat
        return flat

    def share(self, other, *names):
        """Bind the tensors *names* of this tree to those of *other*, child by child.

        Both trees must have the same structure; nothing is bound unless all fits.
        Returns self.
        """
        mine, theirs = self.listModules(), other.listModules()
        if [type(m) for m in mine] != [type(m) for m in theirs]:
            raise ValueError(f"share needs two trees of the same structure, got {self!r} and {other!r}")
        bindings = []
        for module, source in zip(mine, theirs):
            for name in names:
                value, wanted = getattr(module, name, None), getattr(source, name, None)
                if (value is None) != (wanted is None) or (
                        value is not None and (value.shape, value.dtype) != (wanted.shape, wanted.dtype)):
                    raise ValueError(
                        f"cannot share {name!r} of {module!r}: it is {tensor.describe(value)} here and "
                        f"{tensor.describe(wanted)} there"
                    )
                if value is not None:
                    bindings.append((module, name, wanted))
        if not bindings:
            raise ValueError(f"{self!r} has no tensor named {' or '.join(map(repr, names))} to share")
        for module, name, wanted in bindings:
            setattr(module, name, wanted)
        return self

    def fused(self):
        """A network with the same parameters that runs neighbours as one kernel: see nnmod.Fused."""
        return self._fuse(self)

    #: What does it: fused.py, which knows the classes that it joins, sets this.
    _fuse = None

    # -- training and evaluation ------------------------------------------------

    def training(self):
        """Put the tree in training mode; returns self."""
        for module in self.listModules():
            module.train = True
        return self

    def evaluate(self):
        """Put the tree in evaluation mode; returns self.

        Drops gradInput, and all else that only backward uses; a backward makes it anew.
        """
        for module in self.listModules():
            module.train = False
            for name in ("gradInput", "_gradOutput", *module.backwardBuffers):
                setattr(module, name, None)
        return self

    # -- walking the tree -------------------------------------------------------

    def apply(self, function):
        """Call *function* on every module of the tree, parents first; returns self."""
        for module in self.listModules():
            function(module)
        return self

    def replace(self, function):
        """*function*(self), whose children are replaced in the same way; returns it."""
        out = function(self)
        if out.modules:
            out._setChildren([child.replace(function) for child in out.modules])
        return out

    def findModules(self, cls):
        """All modules of class *cls*, and the container of each: ``(modules, containers)``."""
        found, containers = [], []

        def walk(module, container):
            if isinstance(module, cls):
                found.append(module)
                containers.append(container)
            for child in module.modules:
                walk(child, module)

        walk(self, self)
        return found, containers

    def namedModules(self, prefix=""):
        """Pairs of path and module, parents first: ``("Sequential[1] > Linear", m)``."""
        here = prefix + type(self).__name__
        yield here, self
        for index, child in enumerate(self.modules):
            yield from child.namedModules(f"{here}[{index}] > ")


_add_scaled = kernels.elementwise(kernels.formulas.add_scaled)


def _is(a, b):
    return a is b


def _alike(value, other):
    return tensor.describe(value) == tensor.describe(other)
