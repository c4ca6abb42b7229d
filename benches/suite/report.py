"""The report: a table, a page, plots."""

import json
import math
from pathlib import Path

from suite import threads
from suite.canary import QUIET_PAIRS_MIN, STALL_MS, STALLS_S
from suite.figures import number

_OURS, _THEIRS = "#2a6f97", "#c77d4a"


def table(results: dict) -> str:
    """For the terminal, and for the page."""
    lines = [
        "| scenario | figure | Esker | Kafka | ratio (95 %) | bar against Kafka | bar against the machine |",
        "|---|---|---|---|---|---|---|",
    ]
    for scenario in results["scenarios"]:
        for row in scenario["rows"]:
            lines.append("| " + " | ".join(_cells(scenario, row)) + " |")
    return "\n".join(lines)


def _cells(scenario: dict, row: dict) -> list[str]:
    kafka = number(row["kafka"][0]) if "kafka" in row else ""
    ratio = ""
    if "ratio" in row:
        median, low, high = (number(value) for value in row["ratio"])
        ratio = f"{median} ({low} to {high})"
    sign = "≤" if row["smaller is better"] else "≥"
    against = ""
    if "ratio bar" in row:
        against = f"{sign} {row['ratio bar']:g}: {'met' if row['ratio met'] else '**missed**'}"
    limit = ""
    if "limit" in row:
        of = f" of {row['of']}" if row["of"] else ""
        limit = f"{sign} {row['limit']:g}{of}: {number(row['against limit'])}, "
        limit += "met" if row["limit met"] else "**missed**"
    name = f"{scenario['number']} {scenario['name']}"
    return [name, row["figure"], number(row["esker"][0]), kafka, ratio, against, limit]


def write(results: dict, docs: Path) -> None:
    """docs/benchmarks.md and its plots."""
    plots = docs / "benchmarks"
    plots.mkdir(parents=True, exist_ok=True)
    images = []
    for title, file, pick in _PLOTS:
        bars = [bar for scenario in results["scenarios"] for bar in pick(scenario)]
        if bars:
            (plots / file).write_text(_bars(title, bars))
            images.append(f"![{title}](benchmarks/{file})")
    points = _frontier(results)
    if points:
        (plots / "throughput-latency.svg").write_text(points)
        images.append("![throughput against latency](benchmarks/throughput-latency.svg)")
    why = missed(results, (plots / "missed.md").read_text())
    asides = _memory(plots / "memory.json") + _threads(plots / "threads.json")
    (docs / "benchmarks.md").write_text(_page(results, images, why, asides))


def missed(results: dict, explained: str) -> str:
    """Where bars are missed: what is said of the scenarios whose bars this run has missed. What holds for several is said once."""
    pieces = (piece.partition("\n") for piece in explained.split("\n## ")[1:])
    said = {name: text.strip() for names, _, text in pieces for name in names.split(", ")}
    found: dict[str, list[str]] = {}
    for scenario in results["scenarios"]:
        rows = [row for row in scenario["rows"] if not (row.get("ratio met", True) and row.get("limit met", True))]
        if rows:
            figures = ", ".join(row["figure"] for row in rows)
            text = said.get(scenario["name"], "Not explained yet.")
            found.setdefault(text, []).append(f"**{scenario['number']} {scenario['name']}** ({figures})")
    lines = [f"{'; '.join(names)}. {text}\n" for text, names in found.items()]
    return "\n".join(lines) or "None is.\n"


def _threads(path: Path) -> str:
    """How Apache Kafka does with its own default of threads, if that was measured."""
    if not path.exists():
        return ""
    found = json.loads(path.read_text())
    return f"""## Apache Kafka's threads

The suites run Apache Kafka with two network and two I/O threads. `benches/run threads` holds that against its default, in pairs
as above ({found["machine"]["date"]}; {found["quiet pairs"]} of {found["pairs"]} pairs were quiet):

{threads.table(found)}

"""


def _memory(path: Path) -> str:
    """Latencies without the device, if they were measured."""
    if not path.exists():
        return ""
    found = json.loads(path.read_text())
    return f"""## Latencies without the device

Nobody runs a broker like this; it tells what is the device's and what is the software's. `benches/run memory` keeps the data of both
in a file system in memory, where a sync costs nothing and nothing stands still by itself ({found["machine"]["date"]}):

{table(found)}

"""


def _page(results: dict, images: list[str], missed: str, asides: str) -> str:
    machine, versions = results["machine"], results["versions"]
    load = ", ".join(f"{value:.1f}" for value in machine["load at the start"])
    ended = ", ".join(f"{value:.1f}" for value in results["load at the end"])
    limits = "\n".join(f"| {name} | {number(value)} |" for name, value in results["limits"].items())
    paired = [scenario for scenario in results["scenarios"] if "quiet pairs" in scenario]
    quiet, pairs = (sum(scenario[name] for scenario in paired) for name in ("quiet pairs", "pairs"))
    failed = results.get("failed blocks", [])
    again = f"\n{len(failed)} blocks failed and were taken again, the first with: `{failed[0]}`\n" if failed else ""
    what = "\n".join(
        f"- **{scenario['number']} {scenario['name']}**: {scenario['what']}." for scenario in results["scenarios"]
    )
    return f"""# Benchmarks

<!-- `benches/run {results["suite"]}` writes this page; change it there. -->

Esker at commit `{versions["esker"]}` beside {versions["kafka"]} ({versions["java"]}), in one run of {results["seconds"]} s on
{machine["date"]}.

Machine: {machine["processor"]}, {machine["cores"]} cores, {machine["memory MiB"]:,} MiB, Linux {machine["kernel"]}. Load average at the start
{load}, at the end {ended}: where it is well above the number of cores somebody else was at work, and times (not
processor seconds) say little.

Before each block canaries look whether the machine is quiet (a pipe between cores: p99 below 200 µs; 16 KiB written and
synced: p50 below 150 µs, p99 below 500; 1 MiB copied in cache: 25 GB/s). Of {pairs} pairs {quiet} were; the others do not
count where a scenario has {QUIET_PAIRS_MIN} quiet ones or more.
{again}
Both brokers are alive during the whole run; the one whose turn it is not stands still. Before a block nothing is left to be written
back, and what a scenario leaves behind is removed before the next one. Brokers are pinned to one half of
the cores and the generator (`esker bench`, the same for both) to the other; scheduling policy: {results["policy"]}. Blocks alternate, A B B A …; a ratio is
the median over pairs with a bootstrap interval, and a bar is met only when the worse end of the interval meets it.
**Esker acknowledges after `fdatasync` in every row; Apache Kafka does so only in the rows named durable.** Processor time of
Esker includes putting everything into the bucket (here a directory on the same disk) and merging it there.

{table(results)}

{what}

{chr(10).join(images)}

## Where bars are missed

{missed}
{asides}## The machine in the same run

| limit | |
|---|---|
{limits}

Stalls: a write of 16 KiB and its sync every 5 ms for {STALLS_S:g} s with nobody else at work; one is a stall above {STALL_MS:g} ms.
`disk-N`: a bare group-commit loop with N waiting writers of 16 KiB, in MB/s. The null broker reads requests and says yes: the
ceiling of generator and sockets. Raw pairs are in [benchmarks/{results["suite"]}.json](benchmarks/{results["suite"]}.json).
"""


def _rows(scenario: dict, figures: tuple[str, ...]):
    for row in scenario["rows"]:
        if row["figure"] in figures and "kafka" in row:
            label = scenario["name"] if len(figures) == 1 else f"{scenario['name']}: {row['figure']}"
            yield label, row["esker"][0], row["kafka"][0]


_PLOTS = (
    ("CPU seconds per GB", "cpu.svg", lambda scenario: _rows(scenario, ("CPU-s/GB", "CPU-s/GB out"))),
    (
        "latency, ms",
        "latency.svg",
        lambda scenario: _rows(
            scenario,
            ("ack p50 ms", "ack p99 ms", "ack p99.9 ms")
            + ("end to end p50 ms", "end to end p99 ms", "end to end p99.9 ms"),
        ),
    ),
)


def _bars(title: str, bars: list[tuple[str, float, float]]) -> str:
    """Pairs of horizontal bars, each pair to its own scale where they differ by much."""
    width, left, row = 860, 260, 46
    height = 50 + row * len(bars)
    most = max(max(ours, theirs) for _, ours, theirs in bars) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="10" y="20" font-size="14">{title}</text>',
        f'<rect x="{left}" y="10" width="12" height="12" fill="{_OURS}"/><text x="{left + 18}" y="20">Esker</text>',
        f'<rect x="{left + 80}" y="10" width="12" height="12" fill="{_THEIRS}"/>'
        f'<text x="{left + 98}" y="20">Apache Kafka</text>',
    ]
    for place, (label, ours, theirs) in enumerate(bars):
        top = 40 + place * row
        parts.append(f'<text x="10" y="{top + 20}">{label}</text>')
        for offset, value, colour in ((0, ours, _OURS), (18, theirs, _THEIRS)):
            length = max(1.0, value / most * (width - left - 90))
            parts.append(f'<rect x="{left}" y="{top + offset}" width="{length:.1f}" height="15" fill="{colour}"/>')
            parts.append(f'<text x="{left + length + 6:.1f}" y="{top + offset + 12}">{number(value)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _frontier(results: dict) -> str | None:
    """Every block of the produce scenarios: throughput against its p99."""
    points = [
        (figures["MB/s"], figures["p99 ms"], broker, scenario["name"])
        for scenario in results["scenarios"]
        for broker in ("esker", "kafka")
        for figures in scenario["raw"][broker]
        if "MB/s" in figures and "p99 ms" in figures
    ]
    if not points:
        return None


    width, height, left, bottom = 860, 420, 60, 370
    right, top = max(x for x, *_ in points) * 1.05, max(y for _, y, *_ in points) * 1.2
    low = min(y for _, y, *_ in points) / 1.2
    across = lambda x: left + x / right * (width - left - 20)  # noqa: E731
    span = math.log(top / low)
    down = lambda y: bottom - math.log(y / low) / span * (bottom - 40)  # noqa: E731
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        '<text x="10" y="20" font-size="14">p99 of a request (ms, logarithmic) against MB/s; a point is a block</text>',
        f'<line x1="{left}" y1="{bottom}" x2="{width - 20}" y2="{bottom}" stroke="black"/>',
        f'<line x1="{left}" y1="40" x2="{left}" y2="{bottom}" stroke="black"/>',
    ]
    for step in range(6):
        x = right * step / 5
        parts.append(f'<text x="{across(x):.0f}" y="{bottom + 18}" text-anchor="middle">{x:.0f}</text>')
        y = low * math.exp(span * step / 5)
        parts.append(f'<text x="{left - 8}" y="{down(y) + 4:.0f}" text-anchor="end">{number(y)}</text>')
    for x, y, broker, name in points:
        colour = _OURS if broker == "esker" else _THEIRS
        parts.append(
            f'<circle cx="{across(x):.1f}" cy="{down(y):.1f}" r="4" fill="{colour}" fill-opacity="0.7">'
            f"<title>{broker} {name}: {x:.0f} MB/s, {y:.2f} ms</title></circle>"
        )
    return "\n".join([*parts, "</svg>", ""])
