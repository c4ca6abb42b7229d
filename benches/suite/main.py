"""The course of a run."""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from suite import process, report, threads
from suite.canary import QUIET_PAIRS_MIN, STALLS_S, Canary, is_quiet
from suite.brokers import ROOT, Broker, Esker, Kafka
from suite.figures import Figures, Paired, Single
from suite.scenarios import LARGE, LATENCIES, PAIRED, SINGLE, limits, produce
from suite.stats import interval, ratio

# A full disk is no measurement, and somebody else's trouble.
FREE_BYTES_MIN = 10_000_000_000
# A block that fails is taken again, so that an hour is not lost with it; the report counts them.
ATTEMPTS = 3
T = TypeVar("T")


def main() -> int:
    parser = argparse.ArgumentParser(description="Esker beside Apache Kafka on this machine.")
    parser.add_argument("suite", choices=["short", "full", "threads", "memory"], help="see the head of benches/run")
    parser.add_argument("--only", help="scenarios by name, separated by commas")
    parser.add_argument("--pairs", type=int, help="pairs of blocks in a scenario (7; in full 12, or 6 of what only full has)")
    parser.add_argument("--seconds", type=float, help="length of a block (3; in full 10, or 5 of what only full has)")
    parser.add_argument("--dir", type=Path, help="where brokers keep their data (the system's temporary directory)")
    parser.add_argument("--real-time", action="store_true", help="run both brokers and the generator under `chrt -r 10`")
    parser.add_argument("--no-report", action="store_true", help="leave docs/benchmarks.md alone")
    options = parser.parse_args()
    if options.real_time:
        process.policy += ["chrt", "-r", "10"]
    wanted = set(options.only.split(",")) if options.only else None
    if options.suite == "memory":
        wanted, options.dir = wanted or set(LATENCIES), options.dir or Path("/dev/shm")
    known = {row.name for row in PAIRED + SINGLE}
    if wanted and not wanted <= known:
        parser.error(f"no such scenario: {', '.join(sorted(wanted - known))}; there are {', '.join(sorted(known))}")
    run = Run(options, wanted)
    path = ROOT / "docs" / "benchmarks" / f"{options.suite}.json"
    if options.suite == "threads":
        found = threads.compared(run.side_by_side({}), machine())
        if not options.no_report:
            path.write_text(json.dumps(found, indent=1) + "\n")
        print(threads.table(found))
        return 0
    results = run.everything()
    if not options.no_report:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
        if options.suite != "memory":
            report.write(results, ROOT / "docs")
    print(report.table(results))
    return 0


class Run:
    def __init__(self, options: argparse.Namespace, wanted: set[str] | None) -> None:
        self.options = options
        self.full = options.suite == "full"

        def runs(row: Paired | Single) -> bool:
            return row.name in wanted if wanted else self.full or not row.full_only

        self.paired, self.single = list(filter(runs, PAIRED)), list(filter(runs, SINGLE))
        self.began = time.monotonic()
        self.canary: Canary | None = None
        self.failures: list[str] = []

    def say(self, what: str) -> None:
        print(f"[{time.monotonic() - self.began:6.0f} s] {what}", file=sys.stderr, flush=True)

    def everything(self) -> dict:
        self.say("the limits of the machine")
        results = {
            "suite": self.options.suite,
            "machine": machine(),
            "policy": " ".join(process.policy) or "the system's default",
            "versions": versions(),
            "limits": limits(self.options.dir) | self.stalls("at the start"),
            "scenarios": [],
        }
        for name, value in results["limits"].items():
            self.say(f"  {name}: {value:.4g}")
        for scenario in self.single:
            self.say(f"{scenario.name}: {scenario.what}")
            results["scenarios"].append(self.alone(scenario, results["limits"]))
        if self.paired:
            results["scenarios"] += self.side_by_side(results["limits"])
        results["limits"] |= self.stalls("at the end")
        results["failed blocks"] = self.failures
        results["seconds"] = round(time.monotonic() - self.began)
        results["load at the end"] = os.getloadavg()
        return results

    def stalls(self, when: str) -> Figures:
        canary = Canary(self.options.dir)
        try:
            found = canary.stalls(STALLS_S)
        finally:
            canary.close()
        return {f"{name}, {when}": value for name, value in found.items()}

    def alone(self, scenario: Single, machine_limits: Figures) -> dict:
        ours = self.taken(lambda: scenario.ours(self.options.dir))
        self.say(f"  Esker: {shown(ours[0])}")
        theirs = []
        if scenario.theirs:
            theirs = self.taken(lambda: scenario.theirs(self.options.dir))
            self.say(f"  Kafka: {shown(theirs[0])}")
        count = min(len(ours), len(theirs)) if theirs else len(ours)
        return judged(scenario, ours[:count], theirs[:count], machine_limits)

    def taken(self, block: Callable[[], T]) -> T:
        """A block's figures. One that fails is said and counted, and taken again."""
        for _ in range(ATTEMPTS - 1):
            try:
                return block()
            except RuntimeError as error:
                self.failures.append(str(error))
                self.say(f"  failed, and is taken again: {error}")
        return block()

    def side_by_side(self, machine_limits: Figures) -> list[dict]:
        """All brokers live through all scenarios; those whose turn it is not stand still."""
        beside_itself = self.options.suite == "threads"
        # What is deleted goes at once, as with Kafka: a run needs the disk again.
        brokers: list[Broker] = [] if beside_itself else [Esker(self.options.dir, {"esker.gc.grace.ms": "1000"})]
        kafkas: dict[bool, Broker] = {}
        found = []
        try:
            wanted = {True, False} if beside_itself else {row.default_threads for row in self.paired}
            for default in sorted(wanted, reverse=True):
                kafkas[default] = Kafka(self.options.dir, threads.DEFAULT if default else None)
                brokers.append(kafkas[default])
            for broker in brokers:
                broker.start().process.pause()
            self.canary = Canary(self.options.dir)
            self.say("warming all up")
            for broker in brokers:
                broker.process.resume()
                broker.create("warm", 16)
                # Apache Kafka's processor time for a gigabyte falls for half a minute.
                for _ in range(8):
                    produce(*LARGE)(broker, "warm", 4)
                broker.delete("warm")
                settle(broker.directory)
                broker.process.pause()
            for scenario in self.paired:
                theirs = kafkas[scenario.default_threads and not beside_itself]
                found.append(self.pair(scenario, brokers[0], theirs, machine_limits))
                taken = {f"{scenario.name} {row['figure']}": row["esker"][0] for row in found[-1]["rows"]}
                machine_limits = machine_limits | taken
        finally:
            for broker in brokers:
                broker.discard()
            if self.canary is not None:
                self.canary.close()
        return found

    def pair(self, scenario: Paired, ours: Broker, theirs: Broker, machine_limits: Figures) -> dict:
        free = shutil.disk_usage(ours.directory).free
        if free < FREE_BYTES_MIN:
            raise SystemExit(f"{ours.directory} has {free / 1e9:.1f} GB free; a run needs {FREE_BYTES_MIN / 1e9:g} GB")
        pairs, seconds = scenario.pairs, scenario.seconds
        if self.full:
            pairs, seconds = (6, 5.0) if scenario.full_only else (12, 10.0)
        pairs, seconds = self.options.pairs or pairs, self.options.seconds or seconds
        self.say(f"{scenario.name}: {scenario.what}; {pairs} pairs of {seconds:g} s")
        for broker in (ours, theirs):
            broker.process.resume()
            is_kafka = isinstance(broker, Kafka)
            configs = scenario.configs if is_kafka else {}
            broker.create(scenario.topic, scenario.partitions, **{k.replace(".", "_"): v for k, v in configs.items()})
            scenario.block(broker, scenario.topic, scenario.warm_up if is_kafka else 1.5)
            broker.process.pause()
        figures: dict[str, list[Figures]] = {"esker": [], "kafka": []}
        lists = {ours: figures["esker"], theirs: figures["kafka"]}
        canaries: list[list[Figures]] = []
        for number in range(pairs):
            order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
            canaries.append([])
            for broker in order:
                canaries[-1].append(self.canary.wait())
                broker.process.resume()
                lists[broker].append(self.taken(lambda: scenario.block(broker, scenario.topic, seconds)))
                broker.process.pause()
            self.say(f"  {number + 1}/{pairs}: {side_by_side_text(scenario, figures)}")
        for broker in (ours, theirs):
            broker.process.resume()
            broker.delete(scenario.topic)
            settle(broker.directory)
            broker.process.pause()
        quiet = [all(map(is_quiet, pair)) for pair in canaries]
        counted = quiet if sum(quiet) >= QUIET_PAIRS_MIN else [True] * pairs
        kept = {name: [row for row, counts in zip(rows, counted, strict=True) if counts] for name, rows in figures.items()}
        found = judged(scenario, kept["esker"], kept["kafka"], machine_limits)
        return found | {"raw": figures, "canaries": canaries, "quiet pairs": sum(quiet), "pairs": pairs}


def settle(directory: Path, seconds: float = 30.0) -> None:
    """Waits until a broker has removed what was deleted: that is no part of the scenario that comes next."""

    def used() -> int:
        return int(subprocess.run(["du", "-sk", directory], capture_output=True, text=True).stdout.split()[0])

    deadline, sizes = time.monotonic() + seconds, [used()]
    while time.monotonic() < deadline and (len(sizes) < 4 or min(sizes[-4:]) < max(sizes[-4:])):
        time.sleep(1)
        sizes.append(used())


def side_by_side_text(scenario: Paired, figures: dict[str, list[Figures]]) -> str:
    rows = []
    for bar in scenario.bars:
        ours, theirs = figures["esker"][-1][bar.figure], figures["kafka"][-1][bar.figure]
        rows.append(f"{bar.figure} {ours:.4g} : {theirs:.4g}")
    return ", ".join(rows)


def shown(figures: Figures) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())


def judged(scenario: Paired | Single, ours: list[Figures], theirs: list[Figures], machine_limits: Figures) -> dict:
    """The figures of a scenario, held against its bars."""
    rows = []
    for bar in scenario.bars:
        mine = [figures[bar.figure] for figures in ours]
        row: dict = {"figure": bar.figure, "unit": bar.unit, "esker": interval(mine)}
        if theirs and bar.figure in theirs[0]:
            other = [figures[bar.figure] for figures in theirs]
            found = ratio(mine, other)
            row |= {"kafka": interval(other), "ratio": [found.median, found.low, found.high]}
            if bar.ratio is not None:
                worse = found.worse(bar.smaller)
                row |= {"ratio bar": bar.ratio, "ratio met": worse <= bar.ratio if bar.smaller else worse >= bar.ratio}
        if bar.limit is not None and (bar.over is None or bar.over in machine_limits):
            divisor = machine_limits[bar.over] if bar.over else 1.0
            _, low, high = interval([value / divisor for value in mine])
            worse = high if bar.smaller else low
            row |= {
                "limit": bar.limit,
                "against limit": worse,
                "of": bar.over,
                "limit met": worse <= bar.limit if bar.smaller else worse >= bar.limit,
            }
        row["smaller is better"] = bar.smaller
        rows.append(row)
    return {
        "name": scenario.name,
        "number": scenario.number,
        "what": scenario.what,
        "rows": rows,
        "raw": {"esker": ours, "kafka": theirs},
    }


def machine() -> dict:
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")), "?")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) // 1024
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory MiB": memory,
        "kernel": platform.release(),
        "load at the start": os.getloadavg(),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def versions() -> dict:
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    java = subprocess.run(["java", "-version"], capture_output=True, text=True)
    return {
        "esker": commit.stdout.strip(),
        "kafka": Kafka.version(Kafka.__new__(Kafka)),
        "java": java.stderr.splitlines()[0] if java.stderr else "none",
    }
