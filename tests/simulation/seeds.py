#!/usr/bin/env python3
"""Fresh seeds for the simulator, on all cores; some of them twice, some with their histories checked.

Ends with 1 when a seed fails, and prints the command that shows it; and when a fault or a kind of work never took effect
in enough seeds that each should have. `--first` repeats an earlier run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CHECKER = REPOSITORY / "tests" / "checker" / "check.py"
# In so many seeds everything takes effect, the rarest some nine times.
ENOUGH = 300


def simulator() -> Path:
    """The simulator, built."""
    subprocess.run(["cargo", "build", "--quiet", "-p", "esker-sim"], cwd=REPOSITORY, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return target / "debug" / "esker-sim"


def check_history(program: Path, seed: int, directory: str) -> bool:
    history = Path(directory) / f"{seed}.jsonl"
    ran = subprocess.run([program, "--seeds", str(seed), "--history", history, "--as-is"], check=False, capture_output=True)
    judged = subprocess.run([sys.executable, CHECKER, history], check=False, capture_output=True, text=True)
    if ran.returncode or judged.returncode:
        print(f"seed {seed}, its history:\n{judged.stdout}{judged.stderr}", flush=True)
    return ran.returncode == 0 and judged.returncode == 0


def add_up(paths: list[Path]) -> dict[str, dict[str, int]]:
    """How often what took effect, in all runs together."""
    total: dict[str, dict[str, int]] = {}
    for path in paths:
        for whose, counts in json.loads(path.read_text()).items():
            for what, count in counts.items():
                of_it = total.setdefault(whose, {})
                of_it[what] = of_it.get(what, 0) + count
    return total


def judge_effects(total: dict[str, dict[str, int]], rounds: int) -> bool:
    """Tells what took effect; whether nothing is missing that should not be."""
    for whose, counts in total.items():
        print(f"{whose:22} " + ", ".join(f"{count} {what}" for what, count in counts.items()))
    missing = []
    for whose, counts in total.items():
        if whose != "points" and "waits" in counts:
            # A place where a life waits or ends: the ends at each are few, those at all are judged with `points`.
            missing += [] if sum(counts.values()) else [whose]
        else:
            missing += [f"{whose}: {what}" for what, count in counts.items() if not count]
    if missing and rounds >= ENOUGH:
        print(f"in {rounds} seeds there were no {'; no '.join(missing)}", flush=True)
        return False
    return bool(total)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=300, help="seeds")
    parser.add_argument("--twice", type=int, default=20, help="of these, how many run twice and are compared")
    parser.add_argument("--histories", type=int, default=20, help="of these, how many have their histories checked")
    parser.add_argument("--first", type=int, default=int(time.time()) * 1000, help="the first seed")
    arguments = parser.parse_args()
    program, first = simulator(), arguments.first
    began, cores = time.monotonic(), os.cpu_count() or 1
    share = -(-arguments.rounds // cores)
    directory = tempfile.TemporaryDirectory()
    runs, effects = [], []
    for start in range(first, first + arguments.rounds, share):
        end = min(start + share, first + arguments.rounds)
        effects.append(Path(directory.name) / f"effects-{start}.json")
        command = [program, "--seeds", f"{start}..{end}", "--minutes", "600", "--effects", effects[-1]]
        runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    failed = False
    for run in runs:
        told, _ = run.communicate()
        print(told, end="", flush=True)
        failed |= run.returncode != 0
    failed |= not all(path.exists() for path in effects) or not judge_effects(add_up(effects), arguments.rounds)
    again = arguments.twice
    same = True
    if again:
        command = [program, "--seeds", f"{first}..{first + again}", "--twice", "--as-is"]
        same = subprocess.run(command, check=False).returncode == 0
    with directory:
        clean = [check_history(program, first + number, directory.name) for number in range(arguments.histories)]
    failed |= not same or not all(clean)
    print(
        f"{arguments.rounds} seeds from {first}, {again} of them twice, {len(clean)} histories:"
        f" {'FAILED' if failed else 'all passed'} in {time.monotonic() - began:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
