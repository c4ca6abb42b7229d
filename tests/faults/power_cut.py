#!/usr/bin/env python3
"""Cuts the power of the broker's disk again and again under load, and reads everything back.

The data directory, with the bucket in it, lies on a disk whose cache forgets what was not flushed: dropped, reordered
or torn, see `disk/`. Producers (idempotent, acks=all) live through all cuts, and a plain one with acks=1, whose values may
stand twice but not be missing. Some cuts come while the broker starts. Only cuts that really threw written sectors away are
counted.
"""

import random
import sys
import time
from collections import Counter

from faulty_disk import FaultyDisk
from harness import SMALL_LOG, Broker, History, Load, arguments, check, conclude, read_all, run_suite

TOPIC, PLAIN, PARTITIONS = "power-cut", "power-cut-acks-1", 3
READ_EVERY = 20


def cut(disk, broker, chance, tally, within):
    """One cut, with the machine coming back; whether anything was thrown away.

    It comes with one of the next `within` writes in the disk's cache, or after two seconds if there are fewer.
    """
    how = chance.choice(["drop", "subset", "torn"])
    before = disk.tell("stats")["discarded"]
    disk.tell(f"cut-at {chance.randint(1, within)} {how}")
    deadline = time.monotonic() + 2
    while not disk.tell("stats")["off"] and time.monotonic() < deadline:
        time.sleep(0.005)
    discarded = disk.tell(f"cut {how}")["discarded"] - before
    broker.kill()
    disk.detach()
    disk.attach()
    tally[how] += discarded > 0
    tally["sectors"] += discarded
    return discarded > 0


def main():
    options = arguments(__doc__, 10)
    chance = random.Random(options.seed)

    def suite(directory):
        disk = FaultyDisk(directory, mebibytes=2048, seed=options.seed * 1000)
        broker = Broker(options.program, disk.files / "data", directory / "esker.log", SMALL_LOG)
        history = History(options.history)
        load = plain = None
        tally = Counter()
        try:
            disk.attach()
            broker.start()
            for topic in (TOPIC, PLAIN):
                broker.create_topic(topic, PARTITIONS)
            load = Load(broker, TOPIC, PARTITIONS, options.seed, value_max=600, history=history).start()
            plain = Load(broker, PLAIN, PARTITIONS, options.seed + 1, value_max=600, plain=True).start()
            cuts = without_effect = at_start = 0
            while cuts < options.rounds:
                load.wait_for(1)
                plain.wait_for(1)
                time.sleep(chance.uniform(0, 0.2))
                if chance.random() < 0.3:
                    try:
                        broker.call("v1/tier/flush", timeout=chance.uniform(0.001, 0.1))
                    except OSError:
                        pass
                effect = cut(disk, broker, chance, tally, 400)
                cuts, without_effect = cuts + effect, without_effect + (not effect)
                if chance.random() < 0.3:
                    broker.spawn()
                    effect = cut(disk, broker, chance, tally, 30)
                    cuts, without_effect, at_start = cuts + effect, without_effect + (not effect), at_start + effect
                broker.start()
                if cuts % READ_EVERY == 0:
                    # What was acknowledged before the reading began has to be there.
                    known = load.known()
                    found = read_all(broker, TOPIC, PARTITIONS, history=history)
                    check(known, found, f"after {cuts} cuts")
                    known = plain.known()
                    check(known, read_all(broker, PLAIN, PARTITIONS), f"acks=1, after {cuts} cuts", plain=True)
            read_back, problems = conclude(broker, load, history, plain)
        finally:
            for each in filter(None, (load, plain)):
                each.ending.set()
            broker.kill()
            disk.detach()
        figures = {
            "cuts": cuts,
            "cuts_at_start": at_start,
            "without_effect": without_effect,
            "seed": options.seed,
            "by_kind": {how: tally[how] for how in ("drop", "subset", "torn")},
            "sectors_discarded": tally["sectors"],
            **read_back,
        }
        return figures, problems

    return run_suite("power-cut", suite)


if __name__ == "__main__":
    sys.exit(main())
