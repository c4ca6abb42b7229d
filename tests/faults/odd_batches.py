#!/usr/bin/env python3
"""Batches that no client sends, each beside an ordinary one of another topic in the same commit of the log.

Each is taken as Apache Kafka takes it, or refused with an error code. Whatever was taken, the broker starts again after it
was killed, and all that was acknowledged is read, from the log and then from the bucket, byte for byte: what one client
sends harms no other. What stands behind a batch and is no whole batch is cut off.
"""

import sys
import time
from collections import Counter

from confluent_kafka import KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from harness import Broken, Broker, arguments, run_suite
from raw_batch import batch, varint
from raw_fetch import read_partition
from raw_produce import NONE, answers, connect, produce

CUT, ODD, ORDINARY = "cut", "odd", "ordinary"
REFUSED, TAKEN, EITHER, WHOLE_REFUSED = "refused", "taken", "either", "refused with all of its request"
TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53
LONG_MAX, LONG_MIN, INT_MAX = 2**63 - 1, -(2**63), 2**31 - 1
NOW = int(time.time() * 1000)


def cases():
    """(name, topic, batch, what stands behind it, what becomes of it); in `CUT` the value is the name."""
    whole = batch(b"behind")
    for length in (1, 8, 11, 12, 16, 17, 60, 61, len(whole) - 1):
        name = f"{length} bytes of another batch behind it"
        yield name, CUT, batch(name.encode()), whole[:length], TAKEN
    yield "another batch behind it", CUT, batch(b"never"), whole, REFUSED
    value = b"odd"
    for when in (LONG_MAX, LONG_MIN, -1, -2, 0, 1):
        yield f"the time {when}", ODD, batch(value, first_time=when, last_time=when), b"", EITHER
        yield f"the largest time {when}", ODD, batch(value, last_time=when), b"", EITHER
        yield f"the first time {when}", ODD, batch(value, first_time=when), b"", EITHER
    for attributes in (0x10, 0x18):
        yield f"the attributes {attributes:#x}", ODD, batch(value, attributes=attributes), b"", WHOLE_REFUSED
    for attributes in (0x08, 0x40, 0x80, 0x4000):
        yield f"the attributes {attributes:#x}", ODD, batch(value, attributes=attributes), b"", EITHER
    yield "a control batch", ODD, batch(value, attributes=0x20), b"", REFUSED
    for codec in (1, 2, 3, 4):
        yield f"the codec {codec} and what was never compressed", ODD, batch(value, attributes=codec), b"", REFUSED
    for codec in (5, 6, 7):
        yield f"the codec {codec}", ODD, batch(value, attributes=codec), b"", REFUSED
    for last, count in ((1, 1), (0, 2), (-1, 1), (-1, 0), (0, 0), (0, -1), (INT_MAX, INT_MAX)):
        yield f"{count} records up to {last}", ODD, batch(value, last=last, count=count), b"", REFUSED
    yield "2^31-1 records in one", ODD, batch(value, last=INT_MAX - 1, count=INT_MAX), b"", REFUSED
    for base in (1, -1, LONG_MAX, LONG_MIN):
        yield f"the offset {base}", ODD, batch(value, base=base), b"", REFUSED
    for producer in ((7, 0, -1), (7, 0, -2)):
        yield f"the producer {producer}", ODD, batch(value, producer=producer), b"", REFUSED
    for producer in ((LONG_MAX, 0, 0), (8, 2**15 - 1, 0), (9, -1, 0), (-2, 0, 0), (10, 0, INT_MAX)):
        yield f"the producer {producer}", ODD, batch(value, producer=producer), b"", EITHER
    for body in (b"", b"\0", b"\x01", b"\xff" * 40, varint(INT_MAX)):
        yield f"records that are {body[:6]!r}", ODD, batch(value, body=body), b"", REFUSED


class Suite:
    def __init__(self, broker):
        self.broker = broker
        self.expected = {CUT: {}, ORDINARY: {}}
        self.codes = Counter()

    def judge(self, when):
        for topic, expected in self.expected.items():
            found, code = read_partition(self.broker.kafka, topic, 0)
            if code is not None or found != expected:
                wrong = [at for at in expected.keys() | found.keys() if found.get(at) != expected.get(at)]
                raise Broken(f"{when}: {topic}: {code}, wrong at {sorted(wrong)[:5]} of {len(expected)}")

    def look_for_times(self):
        """What is read of odd batches by their times is no matter; that it is answered is."""
        admin = AdminClient({"bootstrap.servers": self.broker.kafka})
        for when in (0, NOW, LONG_MAX - 1):
            asked = {TopicPartition(ODD, 0): OffsetSpec.for_timestamp(when)}
            for found in admin.list_offsets(asked).values():
                found.result(30)

    def one(self, number, name, topic, content, behind, expected):
        value = b"%d" % number
        with connect(self.broker) as connection:
            try:
                produce(connection, [(topic, 0, content + behind), (ORDINARY, 0, batch(value))])
                (code, offset), ordinary = answers(connection, 2)
            except OSError as error:
                raise Broken(f"{name}: {error}") from None
        if expected == WHOLE_REFUSED:
            if (code, ordinary[0]) != (TRANSACTIONAL_ID_AUTHORIZATION_FAILED,) * 2:
                raise Broken(f"{name}: is answered with {code}, and what is beside it with {ordinary[0]}")
            return
        if ordinary[0] != NONE:
            raise Broken(f"{name}: what was sent beside it is answered with {ordinary[0]}")
        self.expected[ORDINARY][ordinary[1]] = value
        self.codes[KafkaError(code).name()] += 1
        if expected != EITHER and (code == NONE) != (expected == TAKEN):
            raise Broken(f"{name}: should be {expected}, and is answered with {code}")
        if code == NONE and topic == CUT:
            self.expected[CUT][offset] = name.encode()

    def again(self, name):
        """Everything once more after a kill, and then from the bucket."""
        self.broker.kill()
        self.broker.start()
        self.judge(f"{name}, from the log")
        self.broker.call("v1/tier/flush")
        self.broker.call("v1/cache/clear")
        self.judge(f"{name}, from the bucket")
        self.look_for_times()


def main():
    options = arguments(__doc__, 1)

    def suite(directory):
        settings = {"esker.housekeeping.interval.ms": 100}
        broker = Broker(options.program, directory / "data", directory / "esker.log", settings)
        try:
            broker.start()
            for topic in (CUT, ODD, ORDINARY):
                broker.create_topic(topic, 1)
            odd = Suite(broker)
            every = list(cases())
            for number, (name, *case) in enumerate(every):
                odd.one(number, name, *case)
                odd.again(name)
            broker.stop()
        finally:
            broker.kill()
        return {"batches": len(every), "starts": len(every) + 1, "codes": dict(odd.codes)}, []

    return run_suite("odd_batches", suite)


if __name__ == "__main__":
    sys.exit(main())
