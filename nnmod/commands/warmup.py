"""nnmod warmup: compile kernels ahead, so that nothing waits for them later."""
import concurrent.futures
import multiprocessing
import os
import sys
import time

from .. import kernels, warmup
from . import files, shapes, values
from .text import CommandError, say


def run(options):
    """Compile everything, or what one model needs."""
    if options.list:
        for name in sorted(warmup.GROUPS):
            say(name)
        return 0
    models = _models(options) if options.file is not None else None
    if models is None and (options.input is not None or options.at is not None):
        raise CommandError("--input and --at are of a model: name its file")
    if kernels.backend_name() == "reference":
        say("The reference kernels are in use, which are not compiled: there is nothing to do.")
        return 0
    began = time.perf_counter()
    what = _everything(options) if models is None else _for_models(options, models)
    say(f"Compiled {what}: {time.perf_counter() - began:.0f} s.")
    return 0


def _models(options):
    """The model in the file in each type that is asked for, by default its own, with its input."""
    if options.input is None:
        raise CommandError(f"what will {options.file} be given? Say it with --input, such as "
                           "--input 1x3x224x224")
    if options.only or options.jobs:
        raise CommandError("--only and --jobs are for everything: leave the file out")
    value, _ = files.read(options.file)
    net = values.model(value, options.at, options.file)
    nets = [net if dtype is None else net.clone().type(dtype) for dtype in _types(options, None)]
    return [(net, shapes.make(options.input, net)) for net in nets]


def _types(options, usual):
    return {None: (usual,), "both": ("float32", "float64")}.get(options.type, (options.type,))


def _for_models(options, models):
    for net, input in models:
        warmup.compile_for(net, input)
    return f"what {options.file} needs for an input of {options.input}"


def _everything(options):
    types = _types(options, "float32")
    names = _chosen(options.only)
    jobs = [(name, dtype) for dtype in types for name in names]
    count = min(options.jobs or warmup.processes(), len(jobs))
    if not options.only:
        # The kernels that most groups share first, here, so that they are not compiled in every process.
        warmup.compile_group("linear", types[0])
    # Fresh processes: a fork would copy locks that Numba's threads hold.
    context = multiprocessing.get_context("spawn")
    with _quiet(), concurrent.futures.ProcessPoolExecutor(count, context) as pool:
        waiting = {pool.submit(warmup.compile_group, *job): job for job in jobs}
        bar = _Bar(len(jobs))
        try:
            for done in concurrent.futures.as_completed(waiting):
                done.result()
                bar.step(" ".join(waiting[done]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            bar.close()
    return f"the kernels of {len(names)} groups for {' and '.join(types)} in {count} processes"


def _chosen(only):
    unknown = set(only or ()) - set(warmup.GROUPS)
    if unknown:
        raise CommandError(f"there is no group {', '.join(sorted(unknown))}; the groups are "
                           f"{', '.join(sorted(warmup.GROUPS))}")
    # The longest first, so that no process is left alone with them.
    return sorted(only or warmup.GROUPS, key=lambda name: -len(warmup.GROUPS[name]))


class _quiet:
    """Children do not announce that they compile: the bar does."""

    def __enter__(self):
        self._before = os.environ.get("NNMOD_QUIET")
        os.environ["NNMOD_QUIET"] = "1"

    def __exit__(self, *error):
        if self._before is None:
            del os.environ["NNMOD_QUIET"]
        else:
            os.environ["NNMOD_QUIET"] = self._before


class _Bar:
    """How far it is: tqdm's bar where that is installed, else a line a step, on standard error."""

    def __init__(self, total):
        self._total, self._done = total, 0
        try:
            from tqdm import tqdm
        except ImportError:
            self._bar = None
        else:
            self._bar = tqdm(total=total, unit="group", file=sys.stderr, disable=None)

    def step(self, name):
        self._done += 1
        if self._bar is not None:
            self._bar.set_postfix_str(name, refresh=False)
            self._bar.update()
        if self._bar is None or self._bar.disable:
            sys.stderr.write(f"{self._done}/{self._total} {name}\n")
            sys.stderr.flush()

    def close(self):
        if self._bar is not None:
            self._bar.close()
