#!/usr/bin/env python3
"""Fills the broker's disk while the bucket lies on it, too, and empties it again; then the file system turns read-only.

While there is no room: producers are told a code that they retry, what was acknowledged is read on, and the process
lives. When room returns everything goes on without a restart, and nothing acknowledged is missing. Of a producer with five
batches on their way, refused and sent again, every answer is judged (`pipeline.py`). A file system that the kernel made
read-only under the broker is a failed disk: the broker says so and stops.
"""

import itertools
import os
import sys
import time
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from disk_faults import DISK_FAILED, failure_of
from faulty_disk import FaultyDisk
from harness import QUIET, SMALL_LOG, Broken, Broker, Load, arguments, check, make_cold, read_all, run_suite
from pipeline import Pipeline
from raw_produce import NONE, STORAGE_ERROR

TOPIC, AHEAD, PARTITIONS = "disk-full", "disk-full-ahead", 2
# Batches ahead that are refused in each filling, at least.
AHEAD_REFUSED = 20
# The codes that every client retries by itself. The first is for a record that was taken and waits for room: whether it
# will be written is open when its request runs out of time.
RETRIED = {KafkaError.REQUEST_TIMED_OUT, KafkaError.KAFKA_STORAGE_ERROR}


def refusal(broker, number):
    """What a producer without retries is told until it is refused at once, and what was accepted before."""
    told = []
    producer = Producer(
        {
            "bootstrap.servers": broker.kafka,
            "acks": "all",
            "retries": 0,
            "linger.ms": 0,
            "request.timeout.ms": 3000,
            "message.timeout.ms": 30000,
            **QUIET,
        }
    )
    accepted = []
    deadline = time.monotonic() + 90
    for attempt in itertools.count():
        if KafkaError.KAFKA_STORAGE_ERROR in told:
            return set(told), dict(accepted)
        if time.monotonic() > deadline:
            raise Broken(f"a full disk does not refuse with KAFKA_STORAGE_ERROR but with {told}")

        def on_delivery(error, message):
            if error is None:
                accepted.append(((message.partition(), message.offset()), message.value()))
            else:
                told.append(error.code())

        producer.produce(TOPIC, value=b"filler %d.%d " % (number, attempt) + bytes(200_000), on_delivery=on_delivery)
        producer.flush(40)


def fill(files):
    """Takes all room that is left."""
    with (files / "filler").open("wb") as filler:
        block = bytes(1 << 20)
        while True:
            try:
                filler.write(block)
                filler.flush()
            except OSError:
                if len(block) == 4096:
                    break
                block = bytes(4096)
    # A part of the last block may be left over in the file's buffer; nothing more fits.


def main():
    options = arguments(__doc__, 2)

    def suite(directory):
        disk = FaultyDisk(directory, mebibytes=160, seed=options.seed)
        settings = {**SMALL_LOG, "esker.cache.disk.bytes": 0}
        broker = Broker(options.program, disk.files / "data", directory / "esker.log", settings)
        load, pipeline, codes, waited = None, None, set(), []
        try:
            disk.attach()
            broker.start()
            for topic in (TOPIC, AHEAD):
                broker.create_topic(topic, PARTITIONS)
            pipeline = Pipeline(broker, AHEAD, PARTITIONS).start()
            load = Load(broker, TOPIC, PARTITIONS, options.seed, value_max=200).start()
            known = {}
            for number in range(options.rounds):
                load.wait_for(200)
                try:
                    fill(disk.files)
                except OSError:
                    pass
                told, accepted = refusal(broker, number)
                pipeline.wait_for(STORAGE_ERROR, AHEAD_REFUSED)
                known.update(accepted)
                codes |= {KafkaError(code).name() for code in told}
                if told - RETRIED:
                    raise Broken(f"a full disk is told as {codes}, which not everybody retries")
                if not broker.runs():
                    raise Broken(f"a full disk ends the broker: {broker.last_lines()}")
                places, unplaced = load.known()
                check(({**places, **known}, unplaced), read_all(broker, TOPIC, PARTITIONS), "while the disk is full")
                # Metadata waits for room, too, and goes on by itself.
                admin = AdminClient({"bootstrap.servers": broker.kafka, **QUIET})
                created = admin.create_topics([NewTopic(f"later-{number}", 1, 1)], operation_timeout=60)
                (disk.files / "filler").unlink()
                freed = time.monotonic()
                load.wait_for(100)
                waited.append(round((time.monotonic() - freed) * 1000))
                pipeline.wait_for(NONE, 100)
                try:
                    created[f"later-{number}"].result(90)
                except KafkaException as problem:
                    if problem.args[0].code() not in RETRIED:
                        raise Broken(f"creating a topic on a full disk: {problem}") from None
            load.stop()
            pipeline.stop()
            places, unplaced = load.known()
            everything = ({**places, **known}, unplaced)
            for when in ("with room again", "with room again, cold"):
                check(everything, read_all(broker, TOPIC, PARTITIONS), when)
                ahead = pipeline.check(when)
                if when == "with room again":
                    make_cold(broker)

            # The kernel gives the file system up under the broker.
            trigger = Path("/sys/fs/ext4") / Path(disk.loop).name / "trigger_fs_error"
            read_only, skipped = None, {}
            if not os.access(trigger, os.W_OK):
                skipped["read-only file system"] = f"this kernel lets nobody write {trigger}"
            else:
                position = broker.log_size()
                last = Load(broker, TOPIC, PARTITIONS, options.seed + 1, value_max=200)
                last.sent = 1 << 30
                last.start()
                last.wait_for(100)
                trigger.write_text("planted")
                code = broker.wait_end(60)
                reason = failure_of(broker.log_since(position))
                if code != DISK_FAILED or not reason or str(broker.data) not in reason:
                    raise Broken(f"a read-only file system ended the broker with {code}, it said `{reason}`")
                disk.detach()
                disk.attach()
                broker.start()
                last.stop()
                more, more_unplaced = last.known()
                everything = ({**everything[0], **more}, unplaced | more_unplaced)
                check(everything, read_all(broker, TOPIC, PARTITIONS), "after the file system was read-only")
                read_only = reason
            broker.stop()
        finally:
            for each in filter(None, (load, pipeline)):
                each.ending.set()
            broker.kill()
            disk.detach()
        figures = {
            "fillings": options.rounds,
            "codes": sorted(codes),
            "first_100_acks_after_room_ms": waited,
            "acknowledged": len(everything[0]) + len(everything[1]),
            "lost": 0,
            "ahead": {"batches": ahead, "answers": pipeline.answers()},
            "read_only": read_only,
            "skipped": skipped,
        }
        return figures, []

    return run_suite("disk-full", suite)


if __name__ == "__main__":
    sys.exit(main())
