#!/usr/bin/env python3
"""Fresh seeds for the simulator, on all cores; some of them twice, some with their histories checked.

Ends with 1 when a seed fails, and prints the command that shows it. `--first` repeats an earlier run.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CHECKER = REPOSITORY / "tests" / "checker" / "check.py"


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
    runs = []
    for start in range(first, first + arguments.rounds, share):
        end = min(start + share, first + arguments.rounds)
        command = [program, "--seeds", f"{start}..{end}", "--minutes", "600"]
        runs.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    failed = False
    for run in runs:
        told, _ = run.communicate()
        print(told, end="", flush=True)
        failed |= run.returncode != 0
    again = arguments.twice
    same = True
    if again:
        command = [program, "--seeds", f"{first}..{first + again}", "--twice", "--as-is"]
        same = subprocess.run(command, check=False).returncode == 0
    with tempfile.TemporaryDirectory() as directory:
        clean = [check_history(program, first + number, directory) for number in range(arguments.histories)]
    failed |= not same or not all(clean)
    print(
        f"{arguments.rounds} seeds from {first}, {again} of them twice, {len(clean)} histories:"
        f" {'FAILED' if failed else 'all passed'} in {time.monotonic() - began:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
