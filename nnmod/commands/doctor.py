"""nnmod doctor: what a bug report needs, and whether the kernels are right and fast here."""
import importlib.metadata
import os
import pathlib
import platform
import statistics
import time

import numpy as np

import nnmod

from .. import kernels
from .text import say, say_json, size_text

EXTRAS = ("safetensors", "matplotlib", "tqdm", "scipy", "mlxtend", "numba-cuda")


def run(options):
    """Say what is installed and where, and test the kernels; 1 if a result is wrong."""
    facts = {"nnmod": _nnmod(), "system": _system(), "packages": _packages(), "cache": _cache(),
             "cuda": _cuda()}
    if not options.no_test:
        facts["test"] = self_test()
    bad = [name for name, found in facts.get("test", {}).items() if not found["right"]]
    if options.json:
        say_json(facts)
    else:
        _tell(facts, bad)
    return 1 if bad else 0


def _nnmod():
    return {
        "version": nnmod.__version__,
        "place": str(pathlib.Path(nnmod.__file__).parent),
        "kernels": kernels.backend_name(),
        "threads": kernels.getnumthreads(),
        "settings": {name: value for name, value in sorted(os.environ.items())
                     if name.startswith(("NNMOD_", "NUMBA_", "OPENBLAS_", "OMP_", "MKL_"))},
    }


def _system():
    memory = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "processor": _processor(),
        "processors": os.cpu_count(),
        "usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": memory,
        "vector_bits": _vector_bits(),
    }


def _processor():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _vector_bits():
    if kernels.backend_name() != "cpu":
        return None
    from ..kernels.cpu.simd import VECTOR_BITS
    return VECTOR_BITS


def _packages():
    found = {"numpy": np.__version__}
    for name in ("numba", "llvmlite", *EXTRAS):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _cache():
    """Where compiled kernels are kept, how much there is, and whether it can be written."""
    if kernels.backend_name() != "cpu":
        return None
    from ..kernels.cpu import cache
    count, size = cache.usage()
    return {"place": str(cache.directory()), "files": count, "bytes": size, "writable": cache.writable()}


def _cuda():
    """Which engine runs kernels for CUDA, or why none does."""
    try:
        kernels.device()
    except (RuntimeError, ValueError) as error:
        return {"engine": None, "reason": str(error)}
    from ..kernels.cuda.engine import engine
    return {"engine": engine().name, "device": engine().describe()}


# -- the self-test ------------------------------------------------------------------


def self_test():
    """Each test with its largest error beside NumPy, and its speed; ten seconds at most from a warm cache."""
    rng = np.random.default_rng(1)
    found = {}
    for dtype, tolerance in ((np.float32, 1e-4), (np.float64, 1e-11)):
        n = 512
        a, b = (rng.standard_normal((n, n)).astype(dtype) for _ in range(2))
        y = np.empty((n, n), dtype)
        K = kernels.of(a)
        seconds = _median(lambda: K.gemm(a, b, y, 1.0, 0.0))
        found[f"gemm {np.dtype(dtype).name} {n}x{n}x{n}"] = _result(
            y, a.astype(np.float64) @ b.astype(np.float64), tolerance * np.sqrt(n), seconds, 2 * n**3)
    layer = nnmod.SpatialConvolution(16, 32, 3, 3, 1, 1, 1, 1)
    x = rng.standard_normal((4, 16, 28, 28)).astype(np.float32)
    seconds = _median(lambda: layer.forward(x))
    found["convolution float32 16 -> 32, 3x3"] = _result(
        layer.output, _convolution(layer, x), 1e-3, seconds, 2 * layer.output.size * 16 * 9)
    tanh = nnmod.Tanh()
    wide = rng.standard_normal(1_000_000).astype(np.float32)
    seconds = _median(lambda: tanh.forward(wide))
    expected = np.tanh(wide.astype(np.float64))
    found["tanh float32, a million"] = _result(tanh.output, expected, 1e-5, seconds, None)
    return found


def _convolution(layer, x):
    """The output of a 3x3 convolution of stride 1 and padding 1, in float64 by NumPy alone."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    return np.einsum("nchwkl,ockl->nohw", windows, layer.weight.astype(np.float64), optimize=True) + \
        layer.bias[:, None, None]


def _median(call):
    """The median time of *call*, over a third of a second, after a first call that may compile."""
    call()
    times = []
    end = time.perf_counter() + 0.3
    while not times or (time.perf_counter() < end and len(times) < 200):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _result(actual, expected, tolerance, seconds, flops):
    error = float(np.max(np.abs(actual - expected)))
    return {"right": bool(error <= tolerance), "error": error, "tolerance": float(tolerance),
            "seconds": seconds, "flops_per_s": flops and flops / seconds}


# -- words --------------------------------------------------------------------------


def _tell(facts, bad):
    def line(name, text):
        say(f"  {name:12} {text}")

    ours, system, cache = facts["nnmod"], facts["system"], facts["cache"]
    say("nnmod")
    line("version", ours["version"])
    line("place", ours["place"])
    line("kernels", {"cpu": "cpu (Numba)", "reference": "reference (NumPy): right, but slower"}.get(
        ours["kernels"], ours["kernels"]))
    line("threads", ours["threads"])
    for name, value in ours["settings"].items():
        line("setting", f"{name}={value}")
    say("system")
    line("python", system["python"])
    line("platform", system["platform"])
    line("processor", f"{system['processor']}, {system['usable']} of {system['processors']} usable")
    if system["vector_bits"]:
        line("vectors", f"{system['vector_bits']} bits")
    if system["memory"]:
        line("memory", size_text(system["memory"]))
    say("packages")
    for name, version in facts["packages"].items():
        line(name, version or "not installed")
    say("kernel cache")
    if cache is None:
        line("", "not needed: the reference kernels are not compiled")
    else:
        line("place", cache["place"])
        if not cache["writable"]:
            line("", "it cannot be written: every process compiles what is not there")
        line("holds", f"{cache['files']} files, {size_text(cache['bytes'])}")
    say("cuda")
    cuda = facts["cuda"]
    line("engine", cuda["engine"] or "none")
    line("", cuda["device"] if cuda["engine"] else cuda["reason"])
    if "test" in facts:
        say("self-test, beside NumPy in float64")
        width = max(map(len, facts["test"]))
        for name, found in facts["test"].items():
            speed = f"{found['flops_per_s'] / 1e9:6.1f} GF/s" if found["flops_per_s"] else " " * 11
            say(f"  {name:{width}}  {'right' if found['right'] else 'WRONG'}  error {found['error']:.1e}  "
                f"{1000 * found['seconds']:8.3f} ms  {speed}")
        say()
        say(f"WRONG: {', '.join(bad)}.  Please report this, with all of the above." if bad else "All is well.")
