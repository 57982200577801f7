"""IndexLinear, whose weight holds more than weights: how it is read and written."""
import numpy as np

from ..stateful import gradient_name
from ..sparse import IndexLinear
from .t7_classes import Layout, write_tensors
from .t7_modules import add
from .t7_reader import Unbuildable

#: With normalize, columns that stand before the weights: the greatest absolute value of each
#: feature, its inverse, a factor for its rate of learning (1 once it was seen), and its number.
_EXTRA = 4


class _IndexLinear(Layout):
    """Torch's offset is one less than keysOffset."""

    def build(self, fields):
        extra = fields.number("normalize", 0)
        weight = fields.tensor("weight")
        if extra not in (0, _EXTRA) or weight.ndim != 2 or weight.shape[1] <= extra:
            raise Unbuildable(f"its normalize must be 0 or {_EXTRA}, and its weight must have that many columns and "
                              f"more, found {extra} and {weight.shape}")
        gradInput, offset = bool(fields.number("doGradInput", False)), fields.number("offset", -1) + 1
        if not extra:
            module = IndexLinear(*weight.shape, gradInput, offset)
            self.bind(fields, module)
            return module
        module = IndexLinear(weight.shape[0], weight.shape[1] - _EXTRA, gradInput, offset, normalize=True)
        own = {"weight": weight[:, _EXTRA:], "featureBias": weight[:, 3], "maxima": weight[:, 0]}
        for name, values in own.items():
            setattr(module, name, np.ascontiguousarray(values))
            if name in module.paramNames:
                setattr(module, gradient_name(name), np.zeros(values.shape, weight.dtype))
        fields.bind(module, ["bias"])
        return module

    def write(self, module, out):
        out.update(inputSize=module.inputSize, outputSize=module.outputSize, doGradInput=module.doGradInput,
                   offset=module.keysOffset - 1)
        if module.normalize:
            seen = module.maxima > 0
            inverse = np.divide(1, module.maxima, out=np.zeros_like(module.maxima), where=seen)
            out.update(normalize=_EXTRA, bias=module.bias, gradBias=module.gradBias, weight=np.column_stack(
                [module.maxima, inverse, seen, module.featureBias, module.weight]).astype(module.weight.dtype))
        else:
            write_tensors(module, out)
        out["gradWeight"] = np.empty(0, module.weight.dtype)
        out["running"] = {"gradWeight": [], "keys": [], "cumSumSizes": [], "counter": 1}


add(_IndexLinear("nn.IndexLinear", IndexLinear))
