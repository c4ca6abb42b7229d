#!/usr/bin/env python3
"""Kills a broker again and again under load, and reads everything back.

Producers (idempotent, acks=all) write numbered values to three partitions while the broker is killed with SIGKILL at
random moments, restarted on the same directory, and now and then told to flush. At the end every acknowledged record has
to be at exactly the offset that was acknowledged, with its bytes, and no value may stand twice: once read as it is, once
after a flush, an orderly restart and with empty caches, so that the bytes come from the bucket. What all clients did and
were told goes through the checker of histories, too.
"""

import random
import sys
import time

from harness import Broker, History, Load, arguments, check, conclude, read_all, run_suite

TOPIC, PARTITIONS = "kill-loop", 3
READ_EVERY = 100


def main():
    options = arguments(__doc__, 20)
    chance = random.Random(options.seed)

    def suite(directory):
        broker = Broker(options.program, directory / "data", directory / "esker.log")
        history = History(options.history or directory / "history.jsonl")
        load = at_start = 0
        try:
            broker.start()
            broker.create_topic(TOPIC, PARTITIONS)
            load = Load(broker, TOPIC, PARTITIONS, options.seed, value_max=200, history=history).start()
            kills = 0
            while kills < options.rounds:
                load.wait_for(1)
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
            read_back, problems = conclude(broker, load, history)
        finally:
            if load:
                load.ending.set()
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
