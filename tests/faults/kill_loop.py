#!/usr/bin/env python3
"""Kills a broker again and again under load, and reads everything back.

Producers (idempotent, acks=all) write numbered values to three partitions while the broker is killed with SIGKILL at
random moments, restarted on the same directory, and now and then told to flush. At the end every acknowledged record has
to be at exactly the offset that was acknowledged, with its bytes, and no value may stand twice: once read as it is, once
after a flush, an orderly restart and with empty caches, so that the bytes come from the bucket.
"""

import random
import sys
import time

from harness import Broker, Load, arguments, check, judge, make_cold, read_all, run_suite

TOPIC, PARTITIONS = "kill-loop", 3
READ_EVERY = 100


def main():
    options = arguments(__doc__, 20)
    chance = random.Random(options.seed)

    def suite(directory):
        broker = Broker(options.program, directory / "data", directory / "esker.log")
        load = at_start = 0
        try:
            broker.start()
            broker.create_topic(TOPIC, PARTITIONS)
            load = Load(broker, TOPIC, PARTITIONS, options.seed, value_max=200).start()
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
                    check(known, read_all(broker, TOPIC, PARTITIONS), f"after {kills} kills")
            load.stop()
            hot = judge(load.known(), read_all(broker, TOPIC, PARTITIONS))
            make_cold(broker)
            cold = judge(load.known(), read_all(broker, TOPIC, PARTITIONS))
            broker.stop()
        finally:
            if load:
                load.ending.set()
            broker.kill()
        problems = []
        if any(hot[:2] + cold[:2]):
            problems.append(f"lost and doubled: {hot} hot, {cold} cold")
        figures = {
            "kills": kills,
            "kills_at_start": at_start,
            "seed": options.seed,
            "sent": load.sent,
            "acknowledged": len(load.times),
            "refused": sum(count for name, count in load.errors.items() if name.startswith("delivery")),
            "lost_hot": hot[0],
            "doubled_hot": hot[1],
            "lost_cold": cold[0],
            "doubled_cold": cold[1],
        }
        return figures, problems

    return run_suite("kill-loop", suite)


if __name__ == "__main__":
    sys.exit(main())
