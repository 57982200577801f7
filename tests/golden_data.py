"""Read the recorded behaviour of the real Torch7 (tests/golden)."""
import json
import pathlib

import numpy as np


class Golden:
    """The recorded cases: ``GOLDEN.case("Linear__1")["output"]``."""

    def __init__(self, root):
        self._root = pathlib.Path(root)
        self._manifest = json.loads((self._root / "manifest.json").read_text())
        self._groups = {}

    def names(self, *kinds):
        """The names of the cases of these kinds (module, criterion, optim, ...)."""
        return [name for name, case in self._manifest["cases"].items() if case["kind"] in kinds]

    def case(self, name):
        """All fields of one case, its tensors as arrays."""
        case = self._manifest["cases"][name]
        return {key: self._resolve(case, value) for key, value in case.items() if key != "tensors"}

    def _resolve(self, case, value):
        if isinstance(value, list):
            return [self._resolve(case, item) for item in value]
        if not isinstance(value, dict):
            return value
        if "$num" in value:
            return float(value["$num"])
        if "$t" in value:
            key, start, shape = case["tensors"][value["$t"]]
            return self._group(case["group"])[key][start:start + int(np.prod(shape))].reshape(shape)
        return {key: self._resolve(case, item) for key, item in value.items()}

    def _group(self, group):
        if group not in self._groups:
            with np.load(self._root / self._manifest["groups"][group]["npz"]) as archive:
                self._groups[group] = dict(archive)
        return self._groups[group]


GOLDEN = Golden(pathlib.Path(__file__).parent / "golden")
