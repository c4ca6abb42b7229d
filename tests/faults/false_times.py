#!/usr/bin/env python3
"""Batches whose headers lie about time, in topics that keep records for a week: retention takes none of them.

Each topic gets one batch of records of now whose header claims that its largest timestamp is −1, 0, a month ago or half
an hour ahead, plain and compressed, or records without any timestamp. Beside them is one batch that is a month old and
says so: once retention has taken that, it has looked at all the others, too, in as many rounds. A start in the middle finds
half of the batches in the log. What is asked by time is answered by the records' times, whatever the headers said.
"""

import gzip
import struct
import sys
import time

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from harness import Broken, Broker, arguments, run_suite, wait_until
from raw_batch import batch, varint
from raw_fetch import fetch
from raw_produce import NONE, answers, connect, produce

WEEK_MS, MONTH_MS, HALF_HOUR_MS = 7 * 86_400_000, 30 * 86_400_000, 1_800_000
RECORDS = 3
PATIENCE_S = 60
HEADER_MAX_TIMESTAMP = 35


def payload():
    """Three records whose timestamps are those of the batch."""
    body = b""
    for delta in range(RECORDS):
        record = b"\0\0" + varint(delta) + b"\x01" + varint(5) + b"value" + b"\0"
        body += varint(len(record)) + record
    return body


def lying(first, claimed, compressed=False):
    body = gzip.compress(payload()) if compressed else payload()
    return batch(
        b"", attributes=int(compressed), last=RECORDS - 1, count=RECORDS, first_time=first, last_time=claimed, body=body
    )


def cases(now):
    """(topic, batch, the largest timestamp of its records)"""
    claims = {"none": -1, "zero": 0, "month": now - MONTH_MS, "ahead": now + HALF_HOUR_MS}
    for name, claimed in claims.items():
        for compressed in (False, True):
            topic = f"claims-{name}-{'gzip' if compressed else 'plain'}"
            yield topic, lying(now, claimed, compressed), now
    for compressed in (False, True):
        yield f"timeless-{'gzip' if compressed else 'plain'}", lying(-1, -1, compressed), -1


class Suite:
    def __init__(self, broker):
        self.broker = broker
        self.admin = None

    def start(self):
        self.broker.start()
        # One that has seen no leader epoch of an earlier start.
        self.admin = AdminClient({"bootstrap.servers": self.broker.kafka})

    def offset(self, topic, spec):
        answer = self.admin.list_offsets({TopicPartition(topic, 0): spec})
        return next(iter(answer.values())).result(30)

    def send(self, topic, content):
        with connect(self.broker) as connection:
            produce(connection, [(topic, 0, content)])
            ((code, offset),) = answers(connection)
        if code != NONE:
            raise Broken(f"{topic}: refused with {code}")
        return offset

    def wait_for_retention(self, number):
        """Until a batch that is old in truth was taken, after everything else was sent."""
        topic = f"old-{number}"
        old = int(time.time() * 1000) - MONTH_MS
        self.send(topic, lying(old, old))
        taken = lambda: self.offset(topic, OffsetSpec.earliest()).offset == RECORDS
        wait_until(taken, PATIENCE_S, f"{topic}: what is a month old is still there")

    def judge(self, topic, batches, largest):
        start = self.offset(topic, OffsetSpec.earliest()).offset
        if start != 0:
            raise Broken(f"{topic}: retention took acknowledged records: it begins at {start}")
        with connect(self.broker) as connection:
            code, end, content = fetch(connection, topic, 0, 0, 1 << 20)
        if (code, end) != (NONE, batches * RECORDS):
            raise Broken(f"{topic}: {code}, ends at {end}")
        claimed = struct.unpack_from(">q", content, HEADER_MAX_TIMESTAMP)[0]
        if claimed != largest:
            raise Broken(f"{topic}: a consumer is told {claimed} of records up to {largest}")
        latest = self.offset(topic, OffsetSpec.max_timestamp())
        expected = (-1, -1) if largest < 0 else (0, largest)
        if (latest.offset, latest.timestamp) != expected:
            raise Broken(f"{topic}: the largest timestamp is at {latest}, not {expected}")
        found = self.offset(topic, OffsetSpec.for_timestamp(largest if largest >= 0 else 0)).offset
        if found != expected[0]:
            raise Broken(f"{topic}: {largest} is at {found}, not {expected[0]}")


def main():
    options = arguments(__doc__, 1)

    def suite(directory):
        settings = {
            "esker.flush.ms": 1000,
            "esker.housekeeping.interval.ms": 500,
            "log.retention.ms": WEEK_MS,
            "esker.merge.extents": 2,
        }
        broker = Broker(options.program, directory / "data", directory / "esker.log", settings)
        try:
            times = Suite(broker)
            times.start()
            every = list(cases(int(time.time() * 1000)))
            for topic, *_ in every:
                broker.create_topic(topic, 1)
            for number in range(3):
                broker.create_topic(f"old-{number}", 1)
            for round_ in range(3):
                for topic, content, _ in every:
                    times.send(topic, content)
                if round_ == 1:
                    broker.kill()
                    times.start()
                times.wait_for_retention(round_)
                for topic, _, largest in every:
                    times.judge(topic, round_ + 1, largest)
            broker.stop()
        finally:
            broker.kill()
        return {"topics": len(every), "rounds": 3}, []

    return run_suite("false_times", suite)


if __name__ == "__main__":
    sys.exit(main())
