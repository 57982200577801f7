"""What was measured, as JSON, as a page in Markdown, and as a picture."""
import dataclasses
import math

from .harness import HEADER, Limits, Row, cells, summary


@dataclasses.dataclass
class Report:
    """The machine, {threads: Limits} as measured in the same run, and {table: rows}."""

    machine: dict
    limits: dict
    tables: dict


def heading(report):
    """The machine, its limits and the versions, a line each."""
    yield ", ".join(f"{name} {text}" for name, text in report.machine.items())
    for count, limit in report.limits.items():
        yield (f"{count} thread{'s' * (count > 1)}: {limit.gflops:.0f} GF/s of multiply-adds on registers, "
               f"{limit.gbytes:.1f} GB/s of copying, as measured now")


def to_json(report):
    """Numbers, strings, lists and dicts; the ratio is written too, for those who only read."""
    return {"machine": report.machine,
            "limits": {str(count): dataclasses.asdict(limit) for count, limit in report.limits.items()},
            "tables": {name: [dataclasses.asdict(row) | {"ratio": None if math.isnan(row.ratio) else row.ratio}
                              for row in rows] for name, rows in report.tables.items()}}


def from_json(data):
    """The report that to_json turned into *data*."""
    names = {field.name for field in dataclasses.fields(Row)}
    return Report(data["machine"], {int(count): Limits(**limit) for count, limit in data["limits"].items()},
                  {name: [Row(**{key: value for key, value in row.items() if key in names}) for row in rows]
                   for name, rows in data["tables"].items()})


def merge(reports):
    """One report of several from one machine: a line that a later one has again replaces the earlier."""
    result = reports[0]
    for report in reports[1:]:
        if report.machine != result.machine:
            raise ValueError("these reports come from different machines or versions: "
                             f"{report.machine} and {result.machine}")
        for count, limit in report.limits.items():
            had = result.limits.get(count, limit)
            result.limits[count] = Limits(max(had.gflops, limit.gflops), max(had.gbytes, limit.gbytes))
        for name, rows in report.tables.items():
            lines = {(row.name, row.threads): row for row in result.tables.get(name, [])}
            lines.update({(row.name, row.threads): row for row in rows})
            result.tables[name] = list(lines.values())
    return result


# -- Markdown ------------------------------------------------------------------------------------------

def to_markdown(report, titles):
    """The whole page; *titles* is {table: (title, docstring)}."""
    lines = ["# Results", "",
             "Written by `python -m benchmarks --markdown benchmarks/RESULTS.md`. Times are medians of alternating "
             "rounds in one process, float32, both sides with the same number of threads: processor time for one "
             "thread, the wall's time for several. The ratio is that of the fastest peer to nnmod: above 1 nnmod is "
             "faster. \"Of peak\" is the share of what the machine was measured to do at most.", ""]
    lines += [f"- {line}" for line in heading(report)] + [""]
    for name, rows in report.tables.items():
        title, doc = titles[name]
        lines += [f"## {title}", "", *(line for line in doc.strip().splitlines()), ""]
        lines += [_bar(HEADER), _bar(["---"] + ["---:"] * (len(HEADER) - 1))]
        lines += [_bar(cells(row, report.limits.get(row.threads))) for row in rows]
        lines += ["", *(f"{sentence}." for sentence in summary(rows)), ""]
    missed = [(name, row) for name, rows in report.tables.items() for row in rows if row.missed]
    if missed:
        lines += ["## Goals that were missed", "",
                  "What a goal would take: the time that it allows beside this peer, and the share of the "
                  "multiply-adds or of the bandwidth that the machine has.", "",
                  _bar(["", "threads", "reached", "goal", "allows", "of peak"]),
                  _bar(["---"] + ["---:"] * 5)]
        lines += [_bar(_miss(row, report.limits.get(row.threads))) for _, row in missed] + [""]
    return "\n".join(lines).rstrip() + "\n"


def _miss(row, limit):
    from .harness import amount
    if row.at_most is not None:
        return row.name, str(row.threads), amount(row.ours, row.unit), f"< {amount(row.at_most, row.unit)}", "", ""
    if row.invalid:
        return row.name, str(row.threads), row.invalid, f"{row.goal:.2f}", "", ""
    allowed = row.peers[row.peer] / row.goal
    share = ""
    if limit and row.flops:
        share = f"{row.flops / allowed / 1e9 / limit.gflops:.0%}"
    elif limit and row.bytes:
        share = f"{row.bytes / allowed / 1e9 / limit.gbytes:.0%}"
    return row.name, str(row.threads), f"{row.ratio:.2f}", f"{row.goal:.2f}", amount(allowed, row.unit), share


def _bar(texts):
    return "| " + " | ".join(texts) + " |"


# -- picture -------------------------------------------------------------------------------------------

#: Bytes that a product moves at least, from its name "M x K x N layout".
def _intensity(row):
    if row.bytes:
        return row.flops / row.bytes
    try:
        M, K, N = (int(part.split()[0]) for part in row.name.split(" x "))
    except ValueError:
        return None
    return row.flops / (4 * (M * K + K * N + M * N))


def draw_roofline(report, path):
    """Products and peers as points below the roof that the machine sets, one picture for each number of threads.

    Horizontally the operations for each byte that must move, vertically the rate.
    """
    try:
        import matplotlib
    except ImportError:
        raise ImportError("the roofline picture needs matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(report.limits), figsize=(7 * len(report.limits), 5), squeeze=False)
    for axis, (count, limit) in zip(axes[0], report.limits.items()):
        points = [(row, _intensity(row)) for rows in report.tables.values() for row in rows
                  if row.threads == count and row.flops]
        points = [(row, x) for row, x in points if x]
        axis.loglog()
        edge = [0.1, limit.gflops / limit.gbytes, 1000]
        axis.plot(edge, [min(limit.gflops, x * limit.gbytes) for x in edge], color="black", label="the machine's limits")
        axis.scatter([x for _, x in points], [row.flops / row.ours / 1e9 for row, _ in points], label="nnmod", zorder=3)
        for marker, peer in zip("+x1", sorted({name for row, _ in points for name in row.peers})):
            there = [(x, row.flops / row.peers[peer] / 1e9) for row, x in points if peer in row.peers]
            axis.scatter(*zip(*there), marker=marker, label=peer, zorder=2)
        axis.set(xlabel="operations for each byte that must move", ylabel="GF/s",
                 title=f"{count} thread{'s' * (count > 1)}")
        axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
