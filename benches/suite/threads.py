"""Apache Kafka with its own default of threads beside Apache Kafka with two of each kind, which the suites use.

Which is better depends on what is done: `default_threads` marks the scenarios in which the suites run it with its default.
"""

from suite.figures import number

DEFAULT = {"num.network.threads": "3", "num.io.threads": "8"}


def compared(scenarios: list[dict], machine: dict) -> dict:
    """What is kept of a run."""
    rows = [
        {
            "scenario": scenario["name"],
            "figure": row["figure"],
            "smaller is better": row["smaller is better"],
            "default": row["esker"],
            "two of each": row["kafka"],
            "ratio": row["ratio"],
        }
        for scenario in scenarios
        for row in scenario["rows"]
    ]
    quiet, pairs = (sum(scenario[name] for scenario in scenarios) for name in ("quiet pairs", "pairs"))
    return {"machine": machine, "quiet pairs": quiet, "pairs": pairs, "rows": rows}


def table(found: dict) -> str:
    lines = [
        "| scenario | figure | 3 network, 8 I/O threads | 2 and 2 | ratio (95 %) | better |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        median, low, high = row["ratio"]
        better = "no difference"
        if low > 1.0 or high < 1.0:
            better = "default" if (median < 1.0) == row["smaller is better"] else "2 and 2"
        cells = [row["scenario"], row["figure"], number(row["default"][0]), number(row["two of each"][0])]
        cells += [f"{number(median)} ({number(low)} to {number(high)})", better]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
