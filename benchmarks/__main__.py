"""Print tables of times beside peers: ``python -m benchmarks [tables ...]``, see ``--help``."""
import argparse
import dataclasses
import importlib
import json
import os
import pathlib
import sys

# Before NumPy is loaded: OpenBLAS shall choose its kernels by itself, and be able to use two threads.
for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.pop(_name, None)

from . import harness, report  # noqa: E402

#: In this order, as far as they are there; any other table of the folder follows.
ORDER = ("training_step", "inference", "gemm", "convolution", "modules", "only_here", "optimizers", "overhead", "threads",
         "startup", "memory")


def tables():
    """{name: module} of every file beside this one that holds a table."""
    names = sorted((path.stem for path in pathlib.Path(__file__).parent.glob("*.py")), key=lambda name: (
        ORDER.index(name) if name in ORDER else len(ORDER), name))
    modules = {name: importlib.import_module(f"{__package__}.{name}") for name in names if not name.startswith("__")}
    return {name: module for name, module in modules.items() if hasattr(module, "rows")}


def measure(names, run, out=None):
    """Measure these tables and print every line to *out* as it comes; a report.Report."""
    found = tables()
    result = report.Report(harness.describe_machine(), {count: harness.limits(count) for count in run.threads}, {})
    for text in report.heading(result):
        print(text, file=out)
    for name in names:
        print(f"\n{found[name].TITLE}: {found[name].__doc__.splitlines()[0]}", file=out)
        print(harness.line(harness.HEADER), file=out)
        rows = result.tables[name] = []
        for row in found[name].rows(run):
            rows.append(row)
            print(harness.line(harness.cells(row, result.limits.get(row.threads))), file=out, flush=True)
        for sentence in harness.summary(rows):
            print(sentence, file=out, flush=True)
    return result


def main(arguments=None):
    """The command line."""
    found = tables()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Times of nnmod beside its peers, in alternating rounds of one "
        "process; medians.  The ratio peer / nnmod is what holds on a shared machine; higher is better.")
    parser.add_argument("tables", nargs="*", metavar="table", help=", ".join(found) + "; all where none is named")
    parser.add_argument("--quick", action="store_true", help="one thread and short rounds: under three minutes")
    parser.add_argument("--threads", help="numbers of threads, such as 1,2 (the default; quick: 1)")
    parser.add_argument("--seconds", type=float, help="for a network; other lines take a part of it")
    parser.add_argument("--only", default="", metavar="TEXT", help="lines whose names contain this")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--markdown", type=pathlib.Path, metavar="FILE", help="write the tables as a page")
    parser.add_argument("--roofline", type=pathlib.Path, metavar="FILE", help="draw rates below the machine's limits")
    parser.add_argument("--from", type=pathlib.Path, metavar="FILE", dest="source", action="append", default=[],
                        help="measure nothing: read what --json wrote; given again, later files overrule")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.tables if name not in found]
    if unknown:
        parser.error(f"there is no table {unknown[0]!r}; there are {', '.join(found)}")
    if options.source:
        result = report.merge([report.from_json(json.loads(path.read_text())) for path in options.source])
    else:
        run = harness.Run(quick=options.quick, only=options.only)
        if options.quick:
            run = dataclasses.replace(run, threads=(1,), seconds=1.0)
        if options.threads:
            run = dataclasses.replace(run, threads=tuple(int(count) for count in options.threads.split(",")))
        if options.seconds:
            run = dataclasses.replace(run, seconds=options.seconds)
        result = measure(options.tables or list(found), run)
    titles = {name: (module.TITLE, module.__doc__) for name, module in found.items()}
    if options.json:
        options.json.write_text(json.dumps(report.to_json(result), indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(report.to_markdown(result, titles))
    if options.roofline:
        report.draw_roofline(result, options.roofline)


if __name__ == "__main__":
    sys.exit(main())
