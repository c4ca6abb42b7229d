#!/usr/bin/env python3
"""Runs the suites against Apache Kafka and against Esker and shows where they differ.

    compare.py [--all] [PYTEST-WORD...]      run both, then compare
    compare.py --files KAFKA.json ESKER.json  compare what `pytest --observations FILE` wrote before

Prints a table of case, Kafka, Esker: outcomes, and what tests observed. Without `--all` only differences are shown.
The exit code is 1 where there are some.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
WIDTH_MAX = 60


def observe(target: str, words: list[str]) -> dict:
    """What the suites see of a target."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "observations.json"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--target={target}"]
        subprocess.run([*command, f"--observations={path}", *words], cwd=HERE, stdout=sys.stderr, check=False)
        return json.loads(path.read_text())


def rows(kafka: dict, esker: dict) -> list[tuple[str, str, str]]:
    """Case, Kafka's side and ours; an observation is a case of its own below its test."""
    table = []
    for case in sorted(kafka.keys() | esker.keys()):
        sides = [side.get(case, {"outcome": "not run", "observed": {}}) for side in (kafka, esker)]
        # What Kafka's run skips is ours alone: our verbs, our refusals to start.
        if sides[0]["outcome"] == "skipped":
            continue
        table.append((case, *(side["outcome"] for side in sides)))
        seen = [side.get("observed", {}) for side in sides]
        # What is only seen when cold has no counterpart: Kafka is never cold.
        names = sorted(seen[0].keys() & seen[1].keys())
        table += [(f"{case} · {name}", *(json.dumps(side[name], sort_keys=True) for side in seen)) for name in names]
    return table


def shorten(left: str, right: str) -> tuple[str, str]:
    """Both texts from a little before their first difference."""
    same = next((i for i, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), 0)
    start = max(0, same - WIDTH_MAX // 3)

    def cut(text: str) -> str:
        piece = text[start : start + WIDTH_MAX]
        return ("…" if start else "") + piece + ("…" if start + WIDTH_MAX < len(text) else "")

    return cut(left), cut(right)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="show what is equal, too")
    parser.add_argument("--files", nargs=2, type=Path, metavar=("KAFKA", "ESKER"))
    arguments, words = parser.parse_known_args()
    if arguments.files:
        kafka, esker = (json.loads(path.read_text()) for path in arguments.files)
    else:
        kafka, esker = observe("kafka", words), observe("esker", words)
    table = rows(kafka, esker)
    different = [row for row in table if row[1] != row[2]]
    print("| case | Kafka | Esker |\n|---|---|---|")
    for case, left, right in table if arguments.all else different:
        print(f"| {case} | " + " | ".join(side.replace("|", "\\|") for side in shorten(left, right)) + " |")
    print(f"\n{len(table)} compared, {len(different)} different")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
