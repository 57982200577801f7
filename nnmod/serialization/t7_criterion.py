"""Criterions whose fields need more than a line, and optim's ConfusionMatrix: how they are read and written."""
import numpy as np

from .. import confusion
from ..classification_criterion import CrossEntropyCriterion
from ..composite_criterion import MultiCriterion, ParallelCriterion
from .t7_classes import Layout
from .t7_format import Storage
from .t7_modules import add
from .t7_reader import Unbuildable


class _CrossEntropy(Layout):
    def build(self, fields):
        module = CrossEntropyCriterion()
        module.nll = fields.child("nll")
        if "lsm" in fields:
            module.lsm = fields.child("lsm")
        return module

    def write(self, module, out):
        out.update(lsm=module.lsm, nll=module.nll, sizeAverage=module.nll.sizeAverage,
                   oldSizeAverage=module.nll.sizeAverage)


class _Weighted(Layout):
    """MultiCriterion and ParallelCriterion: criterions and their weights."""

    def build(self, fields):
        words = {} if self.cls is MultiCriterion else {"repeatTarget": bool(fields.number("repeatTarget", False))}
        module = self.cls(**words)
        weights = [float(w) for w in fields.get("weights", [])]
        children = fields.children("criterions")
        if len(weights) != len(children):
            raise Unbuildable(f"it has {len(children)} criterions and {len(weights)} weights")
        for child, weight in zip(children, weights):
            module.add(child, weight)
        return module

    def write(self, module, out):
        out["criterions"] = list(module.modules)
        if self.cls is MultiCriterion:
            out["weights"] = Storage("torch.DoubleStorage", np.array(module.weights, np.float64))
        else:
            out["weights"] = list(module.weights)
            if module.repeatTarget:
                out["repeatTarget"] = True


class _Confusion:
    """optim.ConfusionMatrix: no module, but counts."""

    name, cls = "optim.ConfusionMatrix", confusion.ConfusionMatrix

    def build(self, fields):
        mat = fields.get("mat")
        if not isinstance(mat, np.ndarray) or mat.ndim != 2 or mat.shape[0] != mat.shape[1]:
            raise Unbuildable("its mat must be a square tensor")
        names = fields.get("classes", None)
        made = self.cls(len(mat), [str(name) for name in names] if names else None)
        made.mat[...] = mat
        for name in ("valids", "unionvalids"):
            values = fields.get(name, None)
            if isinstance(values, np.ndarray) and values.size == len(mat):
                getattr(made, name)[...] = values.reshape(-1)
        for name in ("totalValid", "averageValid"):
            setattr(made, name, float(fields.number(name, 0)))
        made.averageUnionValid = float(fields.number("averageUnionValid", 0))
        return made

    def write(self, value, out):
        count = value.nClasses
        out.update(mat=value.mat, _mat_flat=value.mat.reshape(-1), valids=value.valids, unionvalids=value.unionvalids,
                   nclasses=count, totalValid=value.totalValid, averageValid=value.averageValid,
                   averageUnionValid=value.averageUnionValid, _target=np.empty(0, np.float32),
                   _prediction=np.empty(0, np.float32), _max=np.empty(0, np.float32),
                   _pred_idx=np.empty(0, np.int64), _targ_idx=np.empty(0, np.int64),
                   classes=list(value.classes) or list(range(1, count + 1)))


CONFUSION = _Confusion()

add(_CrossEntropy("nn.CrossEntropyCriterion", CrossEntropyCriterion))
add(_Weighted("nn.MultiCriterion", MultiCriterion))
add(_Weighted("nn.ParallelCriterion", ParallelCriterion))
