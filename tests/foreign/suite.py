"""What the scripts of foreign suites share: a broker of the wanted kind, and the table at the end."""

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "conformance"))

from harness.esker import Esker
from harness.kafka import Kafka

# Settings that the suites' authors start their own brokers with.
PROFILE = {
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "offsets.topic.num.partitions": "4",
    "num.partitions": "4",
}


def parser(description: str) -> argparse.ArgumentParser:
    """The options that every script has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--target", choices=("esker", "kafka"), default="esker")
    made.add_argument("--json", type=Path, help="file for the outcomes by case")
    return made


@contextmanager
def broker(target: str, settings: dict[str, str]) -> Iterator[Esker | Kafka]:
    """A broker on a fresh directory, which stays behind when Esker complains in its log."""
    directory = Path(tempfile.mkdtemp(prefix=f"esker-foreign-{target}-"))
    profile = PROFILE | settings
    started = Kafka(directory, profile) if target == "kafka" else Esker(directory, "file", profile)
    try:
        yield started
    except BaseException:
        started.discard()
        raise
    try:
        started.stop()
    except AssertionError as complaint:
        print(f"{complaint}\nlogs: {directory}")
    else:
        shutil.rmtree(directory, ignore_errors=True)


def conclude(outcomes: dict[str, str], path: Path | None) -> int:
    """Prints the summary, keeps the outcomes, and gives the exit code."""
    if path is not None:
        path.write_text(json.dumps(outcomes, indent=1, sort_keys=True) + "\n")
    tally = Counter(outcomes.values())
    failed = sum(count for outcome, count in tally.items() if outcome not in ("passed", "skipped"))
    print(f"{tally['passed']} passed, {failed} failed, {tally['skipped']} skipped")
    return 1 if failed else 0
