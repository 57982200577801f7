"""MuFuRu of rnn: the network of its step, and how it is read and written."""
from ..arithmetic import CAddTable, CMaxTable, CMinTable, CMulTable, CSubTable
from ..container import Sequential
from ..layout import Transpose
from ..linear import Linear
from ..stateful import gradient_name
from ..pointwise import Abs, MulConstant, Sqrt
from ..recurrent import MuFuRu
from ..reduction import Sum
from ..reshape import Unsqueeze, View
from ..routing import NarrowTable, SelectTable
from ..sigmoid import Sigmoid
from ..softmax import SoftMax
from ..table import ConcatTable, JoinTable, MapTable, ParallelTable
from .t7_modules import add
from .t7_reader import Unbuildable
from .t7_recurrent import OfModules

#: What makes a new state of [h', v].
_OPERATIONS = {
    "keep": lambda: SelectTable(0), "replace": lambda: SelectTable(1), "mul": CMulTable, "diff": CSubTable,
    "forget": lambda: Sequential(SelectTable(0), MulConstant(0.0)),
    "sqrt_diff": lambda: Sequential(CSubTable(), Abs(), Sqrt(), MulConstant(0.25)), "max": CMaxTable, "min": CMinTable}


def network(inputs, outputs, ops):
    """The step of a MuFuRu made of modules, for batches: ``[x, h'] -> h``."""
    both, count = inputs + outputs, len(ops)
    reset = Sequential(ParallelTable(Linear(inputs, outputs), Linear(outputs, outputs, False)), CAddTable(), Sigmoid())
    feature = Sequential(
        ConcatTable(SelectTable(0), Sequential(NarrowTable(1, 2), CMulTable())), JoinTable(1),  # x and r h'
        Linear(both, outputs), Sigmoid())
    weights = Sequential(
        NarrowTable(0, 2), JoinTable(1), Linear(both, count * outputs), View(count, outputs, numInputDims=1),
        Transpose((0, 1)), SoftMax())
    results = Sequential(
        NarrowTable(0, 2), ConcatTable(*(_OPERATIONS[op]() for op in ops)), MapTable(Unsqueeze(0)), JoinTable(0))
    return Sequential(
        ConcatTable(SelectTable(0), SelectTable(1), reset),      # x, h', r
        ConcatTable(SelectTable(1), feature, weights),           # h', v, p
        ConcatTable(results, SelectTable(2)), CMulTable(), Sum(0))


class _MuFuRu(OfModules):
    """Kernels where the network is the one made here; rnn's own, with a bias more, runs as it is."""

    def _inKernels(self, fields, found, sizes):
        ops = fields.get("ops")
        if not isinstance(ops, list) or not ops or any(op not in _OPERATIONS for op in ops):
            raise Unbuildable(f"its ops must be some of {', '.join(_OPERATIONS)}, found {ops!r}")
        linears = [m for m in found.listModules() if isinstance(m, Linear)]
        inputs, outputs = sizes
        if sum(m.weight.size for m in linears) != (inputs + outputs) * outputs * (2 + len(ops)):
            return None  # nothing is allocated that the file's tensors do not account for
        if repr(network(inputs, outputs, ops)) != repr(found):
            return None
        module = self.cls(inputs, outputs, ops)
        for prefix in ("", "grad"):
            self._move(module, linears, (), prefix, False)
        return module

    def _empty(self, fields):
        return self.cls(1, 1, fields.get("ops"))

    def _model(self, module):
        return network(module.inputSize, module.outputSize, module.ops)

    def _move(self, module, linears, peepholes, prefix, out):
        D = module.inputSize
        given, state, feature, weights = linears
        for name, part, rows in (("Reset", given, slice(D)), ("Reset", state, slice(D, None)),
                                 ("Feature", feature, slice(None)), ("Ops", weights, slice(None))):
            pairs = [("weight" + name, "weight", rows)] + ([("bias" + name, "bias", slice(None))]
                                                           if part.bias is not None else [])
            for ours, theirs, taken in pairs:
                if prefix:
                    ours, theirs = gradient_name(ours), gradient_name(theirs)
                ours, theirs = getattr(module, ours)[taken], getattr(part, theirs)
                ours = ours.T if ours.ndim == 2 else ours
                if out:
                    theirs[...] = ours
                else:
                    ours[...] = theirs

    def write(self, module, out):
        super().write(module, out)
        out.update(ops=list(module.ops), num_ops=len(module.ops),
                   operations=[_OPERATIONS[op]().type(module._type) for op in module.ops])


add(_MuFuRu("nn.MuFuRu", MuFuRu))
