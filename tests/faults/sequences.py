#!/usr/bin/env python3
"""An idempotent producer of our own, two batches of each partition on their way, over many kills of the broker.

Clients hide what they are told: one that hears that a sequence number is out of order begins a new epoch and sends again
what may be there already. So the answers themselves are judged here: what continues the sequence, or repeats the last
batch, is never out of order, and a repeated batch is answered with the offset that it has. So it is where all records were
deleted before the broker died, and what they were stored in is gone.
"""

import json
import random
import sys
import time
from collections import Counter

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from harness import Broken, Broker, History, arguments, run_suite, wait_until
from raw_batch import batch
from raw_fetch import read_partition
from raw_produce import NONE, STORAGE_ERROR, TIMED_OUT, answers, connect, new_producer, produce

TOPIC, PARTITIONS, AHEAD = "sequences", 3, 2


def value_of(partition, sequence):
    return b"%d-%d" % (partition, sequence)


def send(connection, producer, partition, sequence):
    content = batch(value_of(partition, sequence), (*producer, sequence))
    produce(connection, [(TOPIC, partition, content)])


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
            [(code, offset)] = answers(connection)
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


def repeat(connection, producer, following):
    """Sends the last batch of each partition once more. A batch has one record, so it is where its number says."""
    for partition, after in enumerate(following):
        if after:
            send(connection, producer, partition, after - 1)
            if (told := answers(connection)) != [(NONE, after - 1)]:
                raise Broken(f"{partition}: {after - 1} was sent again and answered with {told}")


def delete_everything(broker, following, history):
    """Deletes all records, and waits until nothing that held them is in the bucket."""
    ends = [TopicPartition(TOPIC, partition, after) for partition, after in enumerate(following)]
    history.tell("admin", "info", "trim", {f"{TOPIC}-{partition}": after for partition, after in enumerate(following)})
    admin = AdminClient({"bootstrap.servers": broker.kafka})
    for deleted in admin.delete_records(ends).values():
        deleted.result()
    broker.call("v1/tier/flush")

    def objects():
        return json.loads(broker.call("v1/tier/verify").decode().strip().splitlines()[-1])["objects"]

    # What is said of the producers of a partition is in one object.
    wait_until(lambda: objects() <= PARTITIONS, 30, "the bucket holds no records any more")


def main():
    options = arguments(__doc__, 30)
    chance = random.Random(options.seed)

    def suite(directory):
        settings = {"esker.housekeeping.interval.ms": 100}
        broker = Broker(options.program, directory / "data", directory / "esker.log", settings)
        following, places, tally = [0] * PARTITIONS, {}, Counter()
        starts, deletions = [0] * PARTITIONS, 0
        history = History(options.history or directory / "history.jsonl")
        try:
            broker.start()
            broker.create_topic(TOPIC, PARTITIONS)
            with connect(broker) as connection:
                producer = new_producer(connection)
            for _ in range(options.rounds):
                with connect(broker) as connection:
                    repeat(connection, producer, following)
                    life(connection, producer, following, places, time.monotonic() + chance.uniform(0, 0.4), tally, history)
                    if chance.random() < 0.2:
                        delete_everything(broker, following, history)
                        starts, deletions = following.copy(), deletions + 1
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
                start = starts[partition]
                found, code = read_partition(broker.kafka, TOPIC, partition, start)
                expected = {offset: value_of(partition, offset) for offset in range(start, following[partition])}
                if code is not None or found != expected:
                    raise Broken(f"{partition}: what is read is not what was sent: {code}, {len(found)} records")
                told[f"{TOPIC}-{partition}"] = [[at, value.decode().split("-")[1]] for at, value in found.items()]
            history.read(told)
            broker.stop()
        finally:
            broker.kill()
        figures = {"kills": options.rounds, "deletions": deletions, "seed": options.seed, "batches": sum(following)}
        return {**figures, "history": history.index, "codes": dict(tally)}, history.judge()

    return run_suite("sequences", suite)


if __name__ == "__main__":
    sys.exit(main())
