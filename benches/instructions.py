#!/usr/bin/env python3
"""Counts the instructions of hot operations and compares them with those that are kept.

    benches/instructions.py           fails where an operation costs more than 2 % more than in instructions.json
    benches/instructions.py update    writes instructions.json anew

Builds what it counts, in the profile `quick`: counts of another one do not compare. Ends with 77 and the reason where
valgrind is missing.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KEPT = Path(__file__).with_suffix(".json")
MARGIN = 0.02
# Rounds: enough that start-up differences of a few instructions vanish.
OPERATIONS = {
    "produce-decode": 2000,
    "produce-answer": 2000,
    "batch-judge": 1000,
    "records-prove": 200,
    "records-open": 100,
    "log-append": 1000,
    "bundle": 100,
    "fetch-1": 2000,
    "fetch-100": 200,
    "fetch-10000": 4,
    "metadata-10000": 4,
}
# What the crate `kafka-protocol` can do, too. Its counts are shown, not kept.
PEERS = ("produce-decode", "produce-answer", "fetch-1", "fetch-100", "metadata-10000")


def main() -> int:
    if sys.argv[1:] not in ([], ["update"]):
        print(__doc__, file=sys.stderr)
        return 2
    if not shutil.which("valgrind"):
        print("valgrind is missing: apt-get install valgrind")
        return 77
    subprocess.run(["cargo", "build", "--quiet", "--profile", "quick", "-p", "esker-instructions"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    program = target / "quick" / "esker-instructions"
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        names = [*OPERATIONS, *(f"peer-{name}" for name in PEERS)]
        counts = dict(zip(names, pool.map(lambda name: count(program, name), names), strict=True))
    counted = {name: counts[name] for name in OPERATIONS}
    if sys.argv[1:]:
        KEPT.write_text(json.dumps(counted, indent=1) + "\n")
    kept = json.loads(KEPT.read_text())
    worse = 0
    print(f"{'operation':16} {'instructions':>14} {'kept':>14} {'change':>8} {'of kafka-protocol':>18}")
    for name, value in counted.items():
        before = kept.get(name)
        change = value / before - 1 if before else 0.0
        is_worse = before is None or change > MARGIN
        worse += is_worse
        peer = f"{value / counts[f'peer-{name}']:18.2f}" if name in PEERS else " " * 18
        print(f"{name:16} {value:14,.1f} {before or 0:14,.1f} {change:+8.1%} {peer}{'  too much' if is_worse else ''}")
    print(f"{len(counted)} operations counted, {worse} cost too much")
    return 1 if worse else 0


def count(program: Path, operation: str) -> float:
    """Instructions of one round."""
    rounds = OPERATIONS[operation.removeprefix("peer-")]
    return round((run(program, operation, 2 * rounds) - run(program, operation, rounds)) / rounds, 1)


def run(program: Path, operation: str, rounds: int) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", str(program), operation, str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found:
        raise SystemExit(f"{' '.join(command)}:\n{done.stderr}")
    return int(found.group(1))


if __name__ == "__main__":
    sys.exit(main())
