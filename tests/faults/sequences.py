#!/usr/bin/env python3
"""An idempotent producer of our own, two batches of each partition on their way, over many kills of the broker.

Clients hide what they are told: one that hears that a sequence number is out of order begins a new epoch and sends again
what may be there already. So the answers themselves are judged here: what continues the sequence, or repeats the last
batch, is never out of order, and a repeated batch is answered with the offset that it has.
"""

import random
import sys
import time
from collections import Counter

from harness import Broken, Broker, History, arguments, run_suite
from raw_fetch import read_partition
from raw_produce import NONE, STORAGE_ERROR, TIMED_OUT, answer, connect, new_producer, produce

TOPIC, PARTITIONS, AHEAD = "sequences", 3, 2


def value_of(partition, sequence):
    return b"%d-%d" % (partition, sequence)


def send(connection, producer, partition, sequence):
    produce(connection, TOPIC, producer, partition, sequence, value_of(partition, sequence), 10000)


def life(connection, producer, following, places, end, tally, history):
    """Writes until `end`: batches in order, `AHEAD` of a partition at a time."""
    first = True
    while first or time.monotonic() < end:
        first = False
        sent = [(p, following[p] + ahead) for p in range(PARTITIONS) for ahead in range(AHEAD)]
        for partition, sequence in sent:
            # A batch that is sent again is on its way since it was sent first.
            if (f"{TOPIC}-{partition}", str(sequence)) not in history.sending:
                history.sent(f"{TOPIC}-{partition}", str(sequence))
            send(connection, producer, partition, sequence)
        for partition, sequence in sent:
            code, offset = answer(connection, TOPIC)
            tally[code] += 1
            if code == NONE:
                if sequence != following[partition]:
                    raise Broken(f"{partition}: {sequence} was taken, {following[partition]} is next")
                if places.setdefault((partition, offset), sequence) != sequence:
                    raise Broken(f"{partition}: {sequence} was answered with the offset of {places[partition, offset]}")
                following[partition] += 1
                history.settled(f"{TOPIC}-{partition}", str(sequence), "ok", offset)
            elif code not in (TIMED_OUT, STORAGE_ERROR) and sequence == following[partition]:
                raise Broken(f"{partition}: {sequence} continues the sequence and was answered with {code}")
            elif code in (TIMED_OUT, STORAGE_ERROR):
                # Nothing is wrong with the disk: a start that makes producers stumble makes them doubt.
                raise Broken(f"{partition}: {sequence} was refused with {code} on a disk without faults")


def main():
    options = arguments(__doc__, 30)
    chance = random.Random(options.seed)

    def suite(directory):
        broker = Broker(options.program, directory / "data", directory / "esker.log")
        following, places, tally = [0] * PARTITIONS, {}, Counter()
        history = History(options.history or directory / "history.jsonl")
        try:
            broker.start()
            broker.create_topic(TOPIC, PARTITIONS)
            with connect(broker) as connection:
                producer = new_producer(connection)
            for _ in range(options.rounds):
                with connect(broker) as connection:
                    life(connection, producer, following, places, time.monotonic() + chance.uniform(0, 0.4), tally, history)
                    if chance.random() < 0.5:
                        # On their way when the broker dies: written or not, they are sent again.
                        for partition in range(PARTITIONS):
                            send(connection, producer, partition, following[partition])
                        time.sleep(chance.uniform(0, 0.01))
                    broker.kill()
                broker.start()
            with connect(broker) as connection:
                life(connection, producer, following, places, 0, tally, history)
            history.last_polls()
            told = {}
            for partition in range(PARTITIONS):
                found, code = read_partition(broker.kafka, TOPIC, partition)
                expected = {offset: value_of(partition, offset) for offset in range(following[partition])}
                if code is not None or found != expected:
                    raise Broken(f"{partition}: what is read is not what was sent: {code}, {len(found)} records")
                told[f"{TOPIC}-{partition}"] = [[at, value.decode().split("-")[1]] for at, value in found.items()]
            history.read(told)
            broker.stop()
        finally:
            broker.kill()
        figures = {"kills": options.rounds, "seed": options.seed, "batches": sum(following), "history": history.index}
        return {**figures, "codes": dict(tally)}, history.judge()

    return run_suite("sequences", suite)


if __name__ == "__main__":
    sys.exit(main())
