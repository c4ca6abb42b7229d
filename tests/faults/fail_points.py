#!/usr/bin/env python3
"""Aborts the broker at its durable steps: before, in the middle of and after writes, syncs, renames, removals.

First every step of a broker's first start, one after the other, on an empty directory. Then steps of a broker under load,
by kind of step and kind of file. After each abort the broker starts again without a hand, and at the end nothing
acknowledged is missing or stands twice. Needs a debug build (`ESKER_FAIL_POINT`); steps that a round does not reach are
not counted.
"""

import itertools
import random
import signal
import sys
import time
from collections import Counter

from harness import (
    SMALL_LOG,
    Broken,
    Broker,
    History,
    Load,
    Skipped,
    arguments,
    check,
    conclude,
    read_all,
    run_suite,
)

TOPIC, PARTITIONS = "fail-points", 3
# Steps of a first start that are tried; there are fewer.
FIRST_STEPS = 200
STEPS = {
    "/wal/seg-": ["write", "half", "sync", "synced", "renamed"],
    "/wal/spare-": ["create", "write", "half", "sync", "synced", "rename", "renamed"],
    "/metadata/log-": ["create", "write", "half", "sync", "synced", "rename", "renamed", "remove"],
    "/metadata/snapshot": ["create", "write", "half", "sync", "synced", "rename", "renamed"],
    "/identity.json": ["create", "write", "sync", "rename", "renamed"],
    "/bucket/d/": ["rename", "renamed", "remove"],
    "/bucket/~staging/": ["create", "write", "half", "sync", "synced", "remove"],
    "/wal": ["sync-dir"],
    "/metadata": ["sync-dir"],
    "/bucket": ["sync-dir"],
}
SETTINGS = {
    **SMALL_LOG,
    "esker.flush.ms": 300,
    "esker.flush.bytes": 512 << 10,
    "esker.gc.grace.ms": 500,
    "esker.housekeeping.interval.ms": 500,
    "esker.metadata.snapshot.entries": 10,
}


def aborted(broker, position):
    """The step at which the broker aborted by itself, or None."""
    if broker.process.wait() != -signal.SIGABRT:
        raise Broken(f"the broker ended with {broker.process.returncode}: {broker.last_lines()}")
    said = [line for line in broker.log_since(position).splitlines() if line.startswith("aborted at ")]
    if not said:
        raise Broken(f"the broker aborted for another reason: {broker.last_lines()}")
    return said[-1].split()[2]


def first_start(program, directory, number):
    """Aborts at the `number`th durable step of a first start; whether there is such a step."""
    data = directory / f"first-{number}"
    broker = Broker(program, data, directory / "esker.log", SETTINGS, {"ESKER_FAIL_POINT": f"any {data} {number}"})
    position = broker.log_size()
    broker.spawn()
    try:
        while broker.runs():
            if broker.is_ready():
                return None
            time.sleep(0.005)
        step = aborted(broker, position)
        broker.environment = {}
        broker.start()
        broker.create_topic(TOPIC, 1)
        return step
    finally:
        broker.kill()


def main():
    options = arguments(__doc__, 30)
    chance = random.Random(options.seed)

    def suite(directory):
        steps, first = Counter(), 0
        wanted = range(1, FIRST_STEPS) if options.rounds >= 100 else range(1, FIRST_STEPS, 7)
        for number in wanted:
            step = first_start(options.program, directory, number)
            if step is None:
                break
            first += 1
            steps[f"first start: {step}"] += 1
        if not first:
            raise Skipped("the program has no crash points: it is no debug build")

        broker = Broker(options.program, directory / "data", directory / "esker.log", SETTINGS)
        history = History(options.history)
        load, unreached, points = None, 0, []
        try:
            broker.start()
            broker.create_topic(TOPIC, PARTITIONS)
            load = Load(broker, TOPIC, PARTITIONS, options.seed, value_max=600, history=history).start()
            load.wait_for(100)
            # Every pair in turn, in an order of the seed.
            pairs = [(part, step) for part, steps_of in STEPS.items() for step in steps_of]
            chance.shuffle(pairs)
            for number, (part, step) in zip(range(options.rounds), itertools.cycle(pairs)):
                broker.kill()
                position = broker.log_size()
                count = chance.randint(1, 300 if part == "/wal/seg-" else 6)
                broker.environment = {"ESKER_FAIL_POINT": f"{step} {part} {count}"}
                broker.spawn()
                deadline = time.monotonic() + 5
                while broker.runs() and time.monotonic() < deadline:
                    time.sleep(0.01)
                if broker.runs():
                    unreached += 1
                    broker.kill()
                else:
                    points.append((part, aborted(broker, position)))
                    steps[f"{part} {points[-1][1]}"] += 1
                broker.environment = {}
                broker.start()
                load.wait_for(10)
                if number % 50 == 49:
                    known = load.known()
                    found = read_all(broker, TOPIC, PARTITIONS, history=history)
                    check(known, found, f"after {len(points)} aborts")
            read_back, problems = conclude(broker, load, history)
        finally:
            if load is not None:
                load.ending.set()
            broker.kill()
        figures = {
            "seed": options.seed,
            "aborts_in_first_start": first,
            "aborts_under_load": len(points),
            "not_reached": unreached,
            "kinds_of_steps": len(set(points)),
            "steps": dict(sorted(steps.items())),
            **read_back,
        }
        return figures, problems

    return run_suite("fail-points", suite)


if __name__ == "__main__":
    sys.exit(main())
