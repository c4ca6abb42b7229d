#!/usr/bin/env python3
"""Fresh seeds for the simulator, on all cores; some of them twice, some with their histories checked.

Ends with 1 when a seed fails or takes longer than it may, and prints the command that shows it; and when a fault or a kind
of work never took effect in enough seeds that each should have. `--first` repeats an earlier run.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CHECKER = REPOSITORY / "tests" / "checker" / "check.py"
# In so many seeds everything takes effect, the rarest some nine times.
ENOUGH = 300
# The simulator's own word for a seed that exceeds its limit of real time. It ends with it.
ENDLESS = re.compile(r"^seed (\d+): Endless", re.MULTILINE)
# What a program may take to start, and to end after its last seed.
GRACE_S = 60


def simulator() -> Path:
    """The simulator, built."""
    subprocess.run(["cargo", "build", "--quiet", "-p", "esker-sim"], cwd=REPOSITORY, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return target / "debug" / "esker-sim"


def tell(text: str) -> None:
    print(text, end="" if text.endswith("\n") else "\n", flush=True)


def run(command: list, seconds: float) -> tuple[int, str]:
    """Runs a program for so long at most: its exit code and what it printed. One that is stopped has failed."""
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        told, _ = started.communicate(timeout=seconds)
        return started.returncode, told
    except subprocess.TimeoutExpired:
        started.kill()
        told, _ = started.communicate()
        words = " ".join(str(word) for word in command)
        return 1, f"{told}stopped after {seconds:.0f} s, a seed of it does not end: {words}\n"


class Share:
    """Seeds that one program after the other runs: one that exceeds its limit ends its program, and the next goes on."""

    def __init__(self, program: Path, start: int, end: int, seed_seconds: int, directory: Path):
        self.program, self.start, self.end, self.seed_seconds = program, start, end, seed_seconds
        self.directory = directory
        self.effects: list[Path] = []
        self.failed = False

    def run(self) -> None:
        start = self.start
        while start < self.end:
            effects = self.directory / f"effects-{start}.json"
            command = [self.program, "--seeds", f"{start}..{self.end}", "--minutes", "600", "--effects", effects]
            command += ["--seed-seconds", str(self.seed_seconds)]
            code, told = run(command, GRACE_S + (self.end - start) * self.seed_seconds)
            tell(told)
            self.failed |= code != 0
            if effects.exists():
                self.effects.append(effects)
            else:
                self.failed = True
            endless = ENDLESS.search(told)
            if endless is None:
                return
            start = int(endless[1]) + 1


def check_history(program: Path, seed: int, seed_seconds: int, directory: Path) -> bool:
    history = directory / f"{seed}.jsonl"
    command = [program, "--seeds", str(seed), "--seed-seconds", str(seed_seconds), "--history", history, "--as-is"]
    code, ran = run(command, GRACE_S + seed_seconds)
    judged, told = run([sys.executable, CHECKER, history], GRACE_S + seed_seconds)
    if code or judged:
        tell(f"seed {seed}, its history:\n{ran if code else ''}{told}")
    return code == 0 and judged == 0


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
    parser.add_argument("--seed-seconds", type=int, default=300, help="how long a seed may take, in real time")
    arguments = parser.parse_args()
    program, first, seed_seconds = simulator(), arguments.first, arguments.seed_seconds
    began, cores = time.monotonic(), os.cpu_count() or 1
    size = -(-arguments.rounds // cores)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        shares = [
            Share(program, start, min(start + size, first + arguments.rounds), seed_seconds, directory)
            for start in range(first, first + arguments.rounds, size)
        ]
        threads = [threading.Thread(target=share.run) for share in shares]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        failed = any(share.failed for share in shares)
        failed |= not judge_effects(add_up([path for share in shares for path in share.effects]), arguments.rounds)
        again = arguments.twice
        if again:
            command = [program, "--seeds", f"{first}..{first + again}", "--twice", "--as-is"]
            command += ["--seed-seconds", str(2 * seed_seconds)]
            code, told = run(command, GRACE_S + 2 * again * seed_seconds)
            tell(told)
            failed |= code != 0
        clean = [
            check_history(program, first + number, seed_seconds, directory) for number in range(arguments.histories)
        ]
    failed |= not all(clean)
    print(
        f"{arguments.rounds} seeds from {first}, {again} of them twice, {len(clean)} histories:"
        f" {'FAILED' if failed else 'all passed'} in {time.monotonic() - began:.0f} s"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
