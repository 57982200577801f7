"""Compiled kernels on disk: loaded again, never stale, never in the way, never more than there is room for."""
import os
import pathlib
import subprocess
import sys
import time

import pytest

pytest.importorskip("numba")

from nnmod.kernels.cpu import cache  # noqa: E402

FORWARD = ("import nnmod, numpy as np; y = nnmod.Linear(3, 2).forward(np.ones((4, 3), np.float32))\n"
           "print(nnmod.kernels.backend_name(), y.shape)")
#: Counts what is compiled, whatever the cache says.
COUNT = ("import numba.core.compiler as C\n"
         "made = []; real = C.compile_extra\n"
         "C.compile_extra = lambda *a, **k: (made.append(a[2].__name__), real(*a, **k))[1]\n")


def run(code, **environment):
    env = {k: v for k, v in (os.environ | {"NNMOD_KERNELS": "cpu", "NNMOD_QUIET": None} | environment).items()
           if v is not None}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, env=env)


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path):
    """Compiled anew in each process, and said so once."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a directory should be")
    result = run(FORWARD, NNMOD_CACHE_DIR=str(blocked / "inside"))
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("cpu ")
    assert result.stderr == ("nnmod: compiling kernels for this processor "
                             "(no cache can be written for them: every process compiles anew)\n")


def test_a_damaged_cache_is_compiled_anew(tmp_path):
    first = run(FORWARD, NNMOD_CACHE_DIR=str(tmp_path))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and "compiling kernels" in first.stderr
    again = run(FORWARD, NNMOD_CACHE_DIR=str(tmp_path))
    assert again.stderr == "" and again.stdout == first.stdout
    for path in files:
        path.write_bytes(path.read_bytes()[:11] + b"damage")
    damaged = run(FORWARD, NNMOD_CACHE_DIR=str(tmp_path))
    assert damaged.returncode == 0, damaged.stderr
    assert damaged.stdout == first.stdout
    assert run(FORWARD, NNMOD_CACHE_DIR=str(tmp_path)).stderr == ""  # and mended by that


def test_processes_that_compile_at_once_leave_whole_files(tmp_path):
    env = os.environ | {"NNMOD_KERNELS": "cpu", "NNMOD_CACHE_DIR": str(tmp_path)}
    both = [subprocess.Popen([sys.executable, "-c", FORWARD], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             env=env) for _ in range(2)]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    assert not list(tmp_path.glob("*.tmp"))
    code = COUNT + FORWARD + "\nprint(made)"
    assert run(code, NNMOD_CACHE_DIR=str(tmp_path)).stdout.endswith("[]\n")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_cache_that_may_only_be_read_serves(tmp_path):
    run(FORWARD, NNMOD_CACHE_DIR=str(tmp_path))
    tmp_path.chmod(0o500)
    result = run(COUNT + FORWARD + "\nprint(made)", NNMOD_CACHE_DIR=str(tmp_path))
    assert result.stdout.endswith("[]\n") and result.stderr == ""


def test_a_changed_function_is_never_served_stale(tmp_path):
    """The same name and signature in the same file, with other code, or calling other code."""
    module = tmp_path / "kernel_of_mine.py"
    text = ("import numpy as np\nfrom nnmod.kernels.cpu.compile import inline, jit\n"
            "@inline\ndef twice(v):\n    return v * {}\n"
            "@jit\ndef fill(x):\n    for i in range(x.size):\n        x[i] = twice(x[i])\n"
            "x = np.ones(3)\nfill(x)\nprint(x[0])")
    for factor in (2, 3, 2):
        module.write_text(text.format(factor))
        result = subprocess.run([sys.executable, str(module)], capture_output=True, text=True, timeout=300,
                                env=os.environ | {"NNMOD_CACHE_DIR": str(tmp_path / "cache"),
                                                  "PYTHONPATH": str(pathlib.Path(cache.__file__).parents[3])})
        assert result.stdout == f"{factor}.0\n", result.stderr


def entry(folder, name, size, days):
    path = folder / f"{name}.kernel"
    path.write_bytes(bytes(size))
    used = time.time() - days * 86400
    os.utime(path, (used, used))


def names(folder):
    return sorted(path.stem for path in folder.iterdir())


def test_what_is_not_used_goes_and_the_rest_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setenv("NNMOD_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "MOST_BYTES", 1000)
    for name, size, days in (("today", 400, 0), ("yesterday", 400, 1), ("last_week", 400, 7), ("last_year", 1, 400)):
        entry(tmp_path, name, size, days)
    (tmp_path / "note.txt").write_text("not the cache's")
    assert cache.usage() == (4, 1201)
    cache.prune()
    assert names(tmp_path) == ["note", "today", "yesterday"]
    cache.clear()
    assert names(tmp_path) == ["note"] and cache.usage() == (0, 0)


def test_the_place_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("NNMOD_CACHE_DIR", str(tmp_path / "own"))
    assert cache.directory() == tmp_path / "own"
    monkeypatch.delenv("NNMOD_CACHE_DIR")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert cache.directory() == tmp_path / "nnmod"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache.directory() == tmp_path / "xdg" / "nnmod"


def test_what_a_kernel_calls_may_be_in_the_cache_when_the_kernel_is_not(tmp_path):
    """As after an interrupt, beside another process that compiles, or when one of two files was dropped."""
    lstm = ("import nnmod, numpy as np\n"
            "nnmod.manualSeed(1); y = nnmod.SeqLSTMP(4, 6, 5).forward(np.ones((3, 2, 4), np.float32))\n"
            "y = y + nnmod.SeqLSTM(5, 5).forward(y)\nprint(y.tolist())")
    first = run(lstm, NNMOD_CACHE_DIR=str(tmp_path))
    assert first.returncode == 0, first.stderr
    helpers, callers = list(tmp_path.glob("recurrent._lstm_cell-*")), list(tmp_path.glob("recurrent._lstm_sequence-*"))
    assert helpers and callers
    for path in callers:
        path.unlink()
    again = run(lstm, NNMOD_CACHE_DIR=str(tmp_path))
    assert again.returncode == 0, again.stderr
    assert again.stdout == first.stdout
