"""The classes of rnn: how they are read and written.

A cell of rnn, such as LSTM, holds a network that computes a step, and clones of it.  Here it
runs that network, whatever it is, with buffers of its own at each step; where the network is
the one that nnmod itself writes, the cell runs in kernels again.
"""
import numpy as np

from .. import check
from ..bidirectional import BiSequencer, BiSequencerLM, SeqBRNN, SeqReverseSequence
from ..broadcast import CMul
from ..container import Sequential
from ..layout import Transpose
from ..linear import Linear
from ..mask import LookupTableMaskZero, MaskZero, MaskZeroCriterion, TrimZero
from ..stateful import gradient_name
from ..normalization import BatchNormalization
from ..recurrence import CopyGrad, NormStabilizer, Recurrence, Recurrent, Recursor, SAdd
from ..recurrent import GRU, LSTM, FastLSTM
from ..reshape import Identity
from ..routing import ZipTable
from ..sequence import SeqGRU, SeqLSTM, SeqLSTMP
from ..sequencer import Repeater, RepeaterCriterion, Sequencer, SequencerCriterion
from ..table import ConcatTable, ParallelTable
from .t7_classes import Layout
from .t7_modules import add
from .t7_objects import Opaque
from .t7_reader import Unbuildable
from .t7_special import LookupLayout, torch_type

_MODES = ("both", "train", "eval", "neither")


def _remembered(fields):
    """What the file says to ``remember``; the first versions had a flag."""
    mode = fields.get("_remember", "both" if fields.number("remember_states", False) is True else "neither")
    if mode not in _MODES:
        raise Unbuildable(f"its _remember must be one of {', '.join(_MODES)}, found {mode!r}")
    return mode


def _size(fields, name):
    value = fields.number(name)
    if not check.is_int(value) or value < 1:
        raise Unbuildable(f"its {name} must be a whole number above 0, found {value!r}")
    return value


def _no_form(module, why):
    return TypeError(f"a {type(module).__name__} {why} has no form in a .t7 file: save_checkpoint writes it")


# -- whole sequences ------------------------------------------------------------------------


class _Whole(Layout):
    """A layer over a whole sequence: its sizes are those of its tensors."""

    def __init__(self, name, cls, gates):
        super().__init__(name, cls)
        self._gates = gates

    def build(self, fields):
        if fields.number("maskzero", False):
            raise Unbuildable("it takes zeros in the data for padding (maskzero); a SeqLSTM or SeqGRU of nnmod "
                              "is told the lengths instead, by setLengths")
        weight, hidden = fields.tensor("weight"), fields.tensor("bias").size // self._gates
        projected = (fields.tensor("weightO").shape[-1],) if self.cls is SeqLSTMP else ()
        output = projected[0] if projected else hidden
        if not hidden or weight.ndim != 2 or weight.shape[1] != self._gates * hidden or weight.shape[0] <= output:
            raise Unbuildable(f"its weight {weight.shape} and its bias of {fields.tensor('bias').size} do not fit")
        # The first versions had no batchfirst, and the batch came first.
        first = bool(fields.number("batchfirst", "remember_states" in fields))
        module = self.cls(weight.shape[0] - output, hidden, *projected, batchfirst=first)
        module.remember(_remembered(fields))
        self.bind(fields, module)
        return module

    def write(self, module, out):
        super().write(module, out)
        sizes = ("inputSize", "outputSize") if self.cls is SeqGRU else ("inputsize", "outputsize")
        out.update(zip(sizes, (module.inputsize, module.outputsize)))
        if self.cls is not SeqGRU:
            out["hiddensize"] = module.hiddensize
        dtype = module.weight.dtype
        out.update({name: np.empty(0, dtype) for name in (
            "cell", "gates", "buffer1", "buffer2", "buffer3", "grad_a_buffer", "h0", "c0", "grad_c0", "grad_h0",
            "grad_x")})
        out.update(batchfirst=module.batchfirst, maskzero=False, _remember=module._remember)


class _Both(Layout):
    """SeqBRNN: two layers in a network that turns one of them round."""

    def build(self, fields):
        network = fields.get("module").modules
        first = isinstance(network[0], Transpose)
        ahead, back = (fields.child(name) for name in ("forwardModule", "backwardModule"))
        merge = fields.child("merge")
        for layer in (ahead, back):
            if not isinstance(layer, (SeqLSTM, SeqGRU)):
                raise Unbuildable(f"its layers must be SeqLSTM or SeqGRU, found {type(layer).__name__}")
            layer.batchfirst = first
        return self.cls(ahead.inputsize, ahead.outputsize, first, merge, ahead, back)

    def write(self, module, out):
        first = module.forwardModule.batchfirst
        layers = [_sharing(layer) for layer in (module.forwardModule, module.backwardModule)]
        for layer in layers:
            layer.batchfirst = False  # the network around it puts time in front
        merge = module.modules[1]
        turned = _row(module, SeqReverseSequence(0), layers[1], SeqReverseSequence(0))
        network = _row(module, _row(module, layers[0], turned, cls=ConcatTable), merge)
        if first:
            network.modules[:0], network.modules[2:] = [Transpose((0, 1))], [merge, Transpose((0, 1))]
        for part in network.listModules():
            part._type = module._type
        out.update(forwardModule=layers[0], backwardModule=layers[1], merge=merge, dim=1, module=network,
                   modules=[network])


def _sharing(module):
    """A clone that learns together with *module*."""
    names = {name for part in module.listModules() for name in part._tensorNames()
             if isinstance(getattr(part, name, None), np.ndarray)}
    return module.clone(*names)


def _row(module, *parts, cls=Sequential):
    """A container of *parts* for a file: they may stand elsewhere, too."""
    made = cls()
    made.modules, made._type = list(parts), module._type
    return made


# -- what drives steps -----------------------------------------------------------------------


class _Driver(Layout):
    """Sequencer and Repeater."""

    def build(self, fields):
        field = next((name for name in ("module", "rnn") if name in fields), "module")
        steps = [_size(fields, "nStep" if "nStep" in fields else "rho")] if self.cls is Repeater else []
        return self.cls(fields.child(field), *steps).remember(_remembered(fields))

    def write(self, module, out):
        out.update(module=module.module, modules=[module.module], sharedClones=[], step=1, output=[], gradInput=[],
                   tableoutput=[], tablegradInput=[], _remember=module._remember)
        if self.cls is Repeater:
            out["nStep"] = module.nStep


class _TwoWays(Layout):
    """BiSequencer and BiSequencerLM."""

    def build(self, fields):
        steps = [fields.child(name) for name in ("forwardModule", "backwardModule", "mergeModule")]
        return self.cls(*steps).remember(_remembered(fields))

    def write(self, module, out):
        ahead, back, merge = module.modules
        turned = _row(module, _reverse(module), back, _reverse(module))
        merged = [ZipTable(), merge]
        merged[0]._type = module._type
        names = ("forwardModule", "backwardModule", "mergeModule")
        out.update(zip(names, (sequencer.module for sequencer in module.modules)))
        out.update(fwdSeq=ahead, bwdSeq=back, mergeSeq=merge, output=[], gradInput=[], _remember=ahead._remember)
        if self.cls is BiSequencerLM:
            zipped = _row(module, *merged)
            out.update(_fwd=ahead, _bwd=turned, _merge=zipped, modules=[ahead, turned, zipped])
        else:
            network = _row(module, _row(module, ahead, turned, cls=ConcatTable), *merged)
            out.update(module=network, modules=[network])


def _reverse(module):
    """dpnn's ReverseTable, which rnn turns a sequence with."""
    fields = {"_type": torch_type(module._type), "train": module.train, "output": [], "gradInput": []}
    return Opaque("nn.ReverseTable", 1, fields)


class _Masked(Layout):
    """MaskZero and TrimZero."""

    def build(self, fields):
        return self.cls(fields.child("module"), _size(fields, "nInputDim"))

    def write(self, module, out):
        out.update(module=module.modules[0], modules=list(module.modules), nInputDim=module.nInputDim)


class _MaskedTable(LookupLayout):
    """LookupTableMaskZero: the first row is that of padding."""

    def build(self, fields):
        weight = fields.tensor("weight")
        if weight.ndim != 2 or len(weight) < 2:
            raise Unbuildable(f"its weight must have two dimensions, and a row for padding, found {weight.shape}")
        module = self.cls(len(weight) - 1, weight.shape[1])
        self.bind(fields, module)
        return module


# -- steps ----------------------------------------------------------------------------------


def _begin(out, network=None):
    """The fields that every step of rnn has before its first forward."""
    out.update(step=1, fastBackward=True, copyInputs=True, copyGradOutputs=True, inputs=[], outputs=[], gradOutputs=[],
               _gradOutputs=[], scales=[], gradParametersAccumulated=False, sharedClones=[])
    if network is not None:
        out.update(recurrentModule=network, module=network, modules=[network], sharedClones=[network])


def _masked(module, network):
    """*network*, with the rows of padding set to 0 where the step *module* does that."""
    if module.maskzero is None:
        return network
    made = MaskZero(Identity(), module.maskzero)
    made.modules, made._type = [network], module._type
    return made


def _unmasked(module):
    """Refuse maskZero where rnn does: its step is no single module that a MaskZero could stand around."""
    if module.maskzero is not None:
        raise _no_form(module, "with maskZero")


def _how_far(fields):
    return min(_size(fields, "rho"), 10**9) if "rho" in fields else 9999


class _Recursor(Layout):
    def build(self, fields):
        return Recursor(fields.child("recurrentModule" if "recurrentModule" in fields else "module"),
                        _how_far(fields))

    def write(self, module, out):
        _begin(out, _masked(module, module.modules[0]))
        out["rho"] = module.rho


class _Recurrence(Layout):
    def build(self, fields):
        return Recurrence(fields.child("recurrentModule"), self._given(fields.get("outputSize")),
                          _size(fields, "nInputDim"), _how_far(fields))

    def _given(self, size):
        """Numbers are a shape; a table of something else is a table of shapes."""
        if isinstance(size, list) and not all(check.is_int(n) for n in size):
            return [self._given(item) for item in size]
        return size if check.is_int(size) else tuple(int(n) for n in size)

    def write(self, module, out):
        _begin(out, _masked(module, module.modules[0]))
        out.update(rho=module.rho, outputSize=module.outputSize, nInputDim=module.nInputDim,
                   typeTensor=np.empty(0, module._type.partition(".")[2]))


class _Recurrent(Layout):
    """Five modules, and two networks of them: for the first step, and for the others."""

    _NAMES = ("startModule", "inputModule", "feedbackModule", "transferModule", "mergeModule")

    def build(self, fields):
        start, given, feedback, transfer, merge = (fields.child(name) for name in self._NAMES)
        return Recurrent(start, given, feedback, transfer, _how_far(fields), merge)

    def write(self, module, out):
        _unmasked(module)
        start, given, feedback, transfer, merge = module.modules
        both = _row(module, given, feedback, cls=ParallelTable)
        _begin(out)
        out.update(zip(self._NAMES, module.modules))
        out.update(rho=module.rho, modules=list(module.modules), initialModule=_row(
            module, _sharing(given), start, _sharing(transfer)), recurrentModule=_row(module, both, merge, transfer))


class _Stabilizer(Layout):
    def build(self, fields):
        return NormStabilizer(fields.number("beta"), _how_far(fields))

    def write(self, module, out):
        _unmasked(module)
        _begin(out)
        out.update(beta=module.beta, rho=module.rho)


class OfModules(Layout):
    """LSTM, FastLSTM, GRU: a network for a step, or kernels for the one that nnmod makes."""

    def build(self, fields):
        if "recurrentModule" not in fields and "weight" in fields and self.cls is LSTM:
            return SEQ_LSTM.build(fields)  # the LSTM of torch-rnn, which rnn's SeqLSTM was made after
        network, masked = fields.child("recurrentModule"), None
        if isinstance(network, (MaskZero, TrimZero)):
            network, masked = network.modules[0], network.nInputDim
        sizes = [_size(fields, name) for name in ("inputSize", "outputSize")]
        module = self._inKernels(fields, network, sizes)
        if module is None:
            module = self._around(self._empty(fields), network, sizes)
            module.p = fields.number("p", 0.0)
            module.mono = bool(module.p and fields.number("mono", False))
        module.rho = _how_far(fields)
        return module if masked is None else module.maskZero(masked)

    def _empty(self, fields):
        """A small cell in kernels, to be made one of modules."""
        return self.cls(1, 1)

    def _around(self, module, network, sizes):
        for name in module.paramNames:
            delattr(module, name)
            delattr(module, gradient_name(name))
        module.paramNames, module._count = (), 1
        module._setChildren([network])
        module.inputSize, module.outputSize = sizes
        statistics = [m for m in network.listModules() if type(m) is BatchNormalization]
        if self.cls is FastLSTM and statistics:
            first = statistics[0]
            module.bn, module.eps, module.momentum, module.affine = True, first.eps, first.momentum, first.affine
        if self.cls is LSTM:
            module.cell2gate = bool(_parts(network)[1])
        return module

    def _inKernels(self, fields, network, sizes):
        """The cell in kernels, with the parameters of *network*; None where that is made otherwise."""
        linears, peepholes = _parts(network)
        if sum(linear.weight.size for linear in linears) != self._count(*sizes):
            return None  # nothing is allocated that the file's tensors do not account for
        words = {} if self.cls is not LSTM else {"cell2gate": bool(peepholes)}
        module = self.cls(*sizes, **words)
        if repr(self._model(module)) != repr(network):
            return None
        for prefix in ("", "grad"):
            self._move(module, linears, peepholes, prefix, False)
        return module

    def _count(self, inputs, outputs):
        return (inputs + outputs) * outputs * (3 if self.cls is GRU else 4)

    def _move(self, module, linears, peepholes, prefix, out):
        """Copy the blocks of the weights from the network's modules, or *out* to them."""
        def tensors(owner, name):
            return getattr(owner, gradient_name(name) if prefix else name)

        def move(ours, theirs):
            target, source = (theirs, ours) if out else (ours, theirs)
            target[...] = source

        D, H = module.inputSize, module.outputSize
        for (weights, biases, columns), (given, state) in zip(self._blocks(module), zip(linears[::2], linears[1::2])):
            weight, bias = tensors(module, weights), tensors(module, biases)
            for row, column in enumerate(columns):
                rows, columns_ = slice(row * H, row * H + H), slice(column * H, column * H + H)
                move(weight[:D, columns_].T, tensors(given, "weight")[rows])
                move(weight[D:, columns_].T, tensors(state, "weight")[rows])
                move(bias[columns_], tensors(given, "bias")[rows])
        for row, part in zip((1, 0, 2), peepholes):  # f, i, o in the network; i, f, o here
            move(tensors(module, "peephole")[row], tensors(part, "weight"))

    def _blocks(self, module):
        """For each pair of Linears of the network: our weight, our bias, our columns for its rows."""
        if self.cls is GRU:
            return [("weightGates", "biasGates", (0, 1)), ("weight", "bias", (0,))]
        if self.cls is FastLSTM:
            return [("weight", "bias", (0, 3, 1, 2))]  # i, g, f, o there; i, f, o, g here
        return [("weight", "bias", (column,)) for column in (1, 0, 3, 2)]  # f, i, g, o

    def write(self, module, out):
        network = module.recurrentModule
        if network is None:
            network = self._model(module).type(module._type)
            linears, peepholes = _parts(network)
            for prefix in ("", "grad"):
                self._move(module, linears, peepholes, prefix, True)
        _begin(out, _masked(module, network))
        out.update(inputSize=module.inputSize, outputSize=module.outputSize, rho=module.rho, cells=[], gradCells=[],
                   zeroTensor=np.empty(0, module._type.partition(".")[2]), p=module.p, mono=module.mono)

    def _model(self, module):
        return module.buildModel()


def _parts(network):
    """The Linears of *network* in their order, and its CMuls."""
    modules = network.listModules()
    return [m for m in modules if isinstance(m, Linear)], [m for m in modules if type(m) is CMul]


SEQ_LSTM = _Whole("nn.SeqLSTM", SeqLSTM, 4)
add(SEQ_LSTM)
add(_Whole("nn.SeqLSTMP", SeqLSTMP, 4))
add(_Whole("nn.SeqGRU", SeqGRU, 3))
add(_Both("nn.SeqBRNN", SeqBRNN))
add(Layout("nn.SeqReverseSequence", SeqReverseSequence, "dim@dim"))
add(_Driver("nn.Sequencer", Sequencer))
add(_Driver("nn.Repeater", Repeater))
add(_TwoWays("nn.BiSequencer", BiSequencer))
add(_TwoWays("nn.BiSequencerLM", BiSequencerLM))
add(_Masked("nn.MaskZero", MaskZero))
add(_Masked("nn.TrimZero", TrimZero))
add(_MaskedTable("nn.LookupTableMaskZero", LookupTableMaskZero))
add(_Recursor("nn.Recursor", Recursor))
add(_Recurrence("nn.Recurrence", Recurrence))
add(_Recurrent("nn.Recurrent", Recurrent))
add(_Stabilizer("nn.NormStabilizer", NormStabilizer))
add(Layout("nn.CopyGrad", CopyGrad))
add(Layout("nn.SAdd", SAdd, "addend negate=False"))
add(OfModules("nn.LSTM", LSTM))
add(OfModules("nn.FastLSTM", FastLSTM))
add(OfModules("nn.GRU", GRU))
add(Layout("nn.SequencerCriterion", SequencerCriterion, "criterion@child sizeAverage=False"))
add(Layout("nn.RepeaterCriterion", RepeaterCriterion, "criterion@child sizeAverage=False"))
add(Layout("nn.MaskZeroCriterion", MaskZeroCriterion, "criterion@child nInputDim"))
