"""Which classes run on the CUDA device: the table of the documentation.

``python tests/cuda_table.py`` writes docs/cuda_classes.rst; a test says when that is due.
"""
import pathlib

import nnmod

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "cuda_classes.rst"

#: Classes that are no layers of their own: what is made of them runs where its parts do.
BASES = {"Module", "Container", "Branching", "Criterion", "PointwiseCriterion", "Elementwise", "AbstractRecurrent"}


def classes():
    """The public modules and criterions, by name."""
    return {name: value for name, value in sorted(vars(nnmod).items())
            if isinstance(value, type) and issubclass(value, (nnmod.Module, nnmod.Criterion)) and name not in BASES}


def text():
    """The page."""
    names = classes()
    lines = [
        "CUDA: what runs", "===============", "",
        f"All {len(names)} modules and criterions run on tensors of the CUDA device.",
        "The tests run each of them in the emulator, forward and backward, beside the CPU.  **None of this",
        "was ever run on a GPU.**", "",
        ".. list-table::", "   :header-rows: 1", "", "   * - class", "     - on CUDA"]
    for name in names:
        lines += [f"   * - :class:`~nnmod.{name}`", f"     - yes"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text())
