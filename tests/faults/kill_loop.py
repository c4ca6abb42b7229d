#!/usr/bin/env python3
"""Kills a broker again and again under load, and reads everything back.

Producers (idempotent, acks=all) write numbered values to three partitions while the broker is killed with SIGKILL at
random moments, restarted on the same directory, and now and then told to flush. At the end every acknowledged record has
to be at exactly the offset that was acknowledged, with its bytes, and no value may stand twice: once read as it is, once
after a flush, an orderly restart and with empty caches, so that the bytes come from the bucket. What all these clients did
and were told goes through the checker of histories, too. Beside them a plain producer with acks=1 writes to a topic of its
own: what was acknowledged to it has to be there as well, though a value that it sent again may stand twice.
"""

import random
import sys
import time

from harness import Broker, History, Load, arguments, check, conclude, read_all, run_suite

TOPIC, PLAIN, PARTITIONS = "kill-loop", "kill-loop-acks-1", 3
READ_EVERY = 100


def main():
    options = arguments(__doc__, 20)
    chance = random.Random(options.seed)

    def suite(directory):
        broker = Broker(options.program, directory / "data", directory / "esker.log")
        history = History(options.history or directory / "history.jsonl")
        load = plain = None
        at_start = 0
        try:
            broker.start()
            for topic in (TOPIC, PLAIN):
                broker.create_topic(topic, PARTITIONS)
            load = Load(broker, TOPIC, PARTITIONS, options.seed, value_max=200, history=history).start()
            plain = Load(broker, PLAIN, PARTITIONS, options.seed + 1, value_max=200, plain=True).start()
            kills = 0
            while kills < options.rounds:
                load.wait_for(1)
                plain.wait_for(1)
                time.sleep(chance.uniform(0.05, 0.6))
                if chance.random() < 0.3:
                    try:
                        broker.call("v1/tier/flush", timeout=chance.uniform(0.001, 0.2))
                    except OSError:
                        pass
                broker.kill()
                kills += 1
                if chance.random() < 0.3:
                    broker.spawn()
                    time.sleep(chance.uniform(0, 0.3))
                    broker.kill()
                    kills, at_start = kills + 1, at_start + 1
                broker.start()
                if kills % READ_EVERY == 0:
                    known = load.known()
                    found = read_all(broker, TOPIC, PARTITIONS, history=history)
                    check(known, found, f"after {kills} kills")
                    known = plain.known()
                    check(known, read_all(broker, PLAIN, PARTITIONS), f"acks=1, after {kills} kills", plain=True)
            read_back, problems = conclude(broker, load, history, plain)
        finally:
            for each in filter(None, (load, plain)):
                each.ending.set()
            broker.kill()
        figures = {
            "kills": kills,
            "kills_at_start": at_start,
            "seed": options.seed,
            **read_back,
        }
        return figures, problems

    return run_suite("kill-loop", suite)


if __name__ == "__main__":
    sys.exit(main())
