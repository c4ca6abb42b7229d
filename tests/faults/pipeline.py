"""An idempotent producer with five batches of each partition on their way, whose every answer is judged.

It is made for a broker that refuses and recovers. It writes to a topic alone, one record a batch, so the offset of a batch
is its sequence number, whatever was refused or sent again in between.
"""

import threading
import time
from collections import Counter

from confluent_kafka import KafkaError

from harness import Broken
from raw_batch import batch
from raw_fetch import read_partition
from raw_produce import NONE, OUT_OF_ORDER, STORAGE_ERROR, TIMED_OUT, answers, connect, new_producer, produce

AHEAD = 5
VALUE_BYTES = 4000
# Of a request that waits for room.
TIMEOUT_MS = 3000


class Pipeline:
    def __init__(self, broker, topic, partitions):
        self.broker, self.topic, self.partitions = broker, topic, partitions
        self.acknowledged = [set() for _ in range(partitions)]
        # Whether these were written is open: their requests ran out of time.
        self.open = [set() for _ in range(partitions)]
        self.next = [0] * partitions
        self.tally, self.refused_now = Counter(), False
        self.problem = None
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def value(self, partition, sequence):
        return (b"%d-%d " % (partition, sequence)).ljust(VALUE_BYTES, b".")

    def run(self):
        try:
            with connect(self.broker) as connection:
                producer = new_producer(connection)
                # Everything that was sent is written in the end.
                while not self.ending.is_set() or self.refused_now:
                    self.turn(connection, producer)
                    time.sleep(0.02)
        except (Broken, OSError) as problem:
            self.problem = f"pipeline: {problem}"

    def turn(self, connection, producer):
        """Sends what is not acknowledged of each partition's window, in order, and judges the answers."""
        sent = []
        for partition in range(self.partitions):
            window = range(self.next[partition], self.next[partition] + AHEAD)
            sent += [(partition, sequence) for sequence in window if sequence not in self.acknowledged[partition]]
        for partition, sequence in sent:
            content = batch(self.value(partition, sequence), (*producer, sequence))
            produce(connection, [(self.topic, partition, content)], TIMEOUT_MS)
        self.refused_now = False
        for partition, sequence in sent:
            [(code, offset)] = answers(connection)
            self.tally[code] += 1
            self.refused_now |= code != NONE
            self.judge(partition, sequence, code, offset)

    def judge(self, partition, sequence, code, offset):
        acknowledged, unsure = self.acknowledged[partition], self.open[partition]
        where = f"{partition}: {sequence}"
        before = set(range(self.next[partition], sequence)) - acknowledged
        if code == NONE:
            if offset != sequence:
                raise Broken(f"{where} was answered with the offset {offset}")
            if before - unsure:
                raise Broken(f"{where} was taken before {min(before - unsure)}, which was refused")
            acknowledged.add(sequence)
            unsure.discard(sequence)
            while self.next[partition] in acknowledged:
                self.next[partition] += 1
        elif code == TIMED_OUT:
            unsure.add(sequence)
        elif code == OUT_OF_ORDER:
            if not before:
                raise Broken(f"{where} continues the sequence and was answered with {code}")
        elif code != STORAGE_ERROR:
            raise Broken(f"{where} was answered with {code}")

    def wait_for(self, code, more, patience_s=90):
        """Waits until `more` further answers bear this code."""
        wanted, deadline = self.tally[code] + more, time.monotonic() + patience_s
        while self.tally[code] < wanted:
            if self.problem:
                raise Broken(self.problem)
            if time.monotonic() > deadline:
                raise Broken(f"pipeline: no {more} answers with {code} in {patience_s} s, but {dict(self.tally)}")
            time.sleep(0.005)

    def stop(self):
        self.ending.set()
        self.thread.join(90)
        if self.problem or self.thread.is_alive():
            raise Broken(self.problem or f"pipeline: what was refused is not taken at last: {dict(self.tally)}")

    def answers(self):
        """How often each code was answered, by name."""
        return {KafkaError(code).name(): count for code, count in sorted(self.tally.items())}

    def check(self, when):
        """Everything is there once, in order. Answers how many records that are."""
        for partition in range(self.partitions):
            found, code = read_partition(self.broker.kafka, self.topic, partition)
            expected = {sequence: self.value(partition, sequence) for sequence in range(self.next[partition])}
            if code is not None or found != expected:
                wrong = [at for at in expected.keys() | found.keys() if found.get(at) != expected.get(at)]
                raise Broken(f"pipeline, {when}: {partition}: {code}, wrong at {sorted(wrong)[:5]} of {len(expected)}")
        return sum(self.next)
