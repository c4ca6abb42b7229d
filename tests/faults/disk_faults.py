#!/usr/bin/env python3
"""Lets the broker's disk fail under load: flushes and writes that fail, reads that fail, a slow disk.

A failed flush loses a part of what the disk's cache held, as drives do, and is told once: whoever asks again hears that
all is well. So the broker has to stop at the first one, name the file, and acknowledge nothing after it; what it
acknowledged before has to be there when the disk is read again. A failed read is told to the consumer as an error that
it retries, and stops nobody. A slow disk is slow, and nothing else.
"""

import json
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter

from faulty_disk import FaultyDisk
from harness import (
    SMALL_LOG,
    Broken,
    Broker,
    History,
    Load,
    arguments,
    check,
    conclude,
    read_all,
    run_suite,
)

TOPIC, PARTITIONS = "disk-faults", 3
READ_EVERY = 20
DISK_FAILED = 3


def failure_of(log):
    """The broker's own words about why it stops."""
    reasons = [json.loads(line).get("failure") for line in log.splitlines() if '"failure"' in line]
    return reasons[-1] if reasons else None


def inject(disk, broker, load, chance, kind, tally):
    """One failed flush or write; waits for the broker's end and brings it back."""
    position = broker.log_size()
    before = disk.tell("stats")[f"failed_{kind}"]
    often = chance.choice(["once", "always"])
    verb = {"flushes": "fail-flush", "writes": "fail-write"}[kind]
    disk.tell(f"{verb} {chance.randint(1, 80)} {often}")
    # A log that is full while old extents are merged writes nothing for a while.
    deadline = time.monotonic() + 120
    while disk.tell("stats")[f"failed_{kind}"] == before:
        if time.monotonic() > deadline:
            raise Broken(f"no {kind[:-2]} failed within 120 s")
        time.sleep(0.001)
    failed_at = time.monotonic()
    # The one that is being sent may have been sent before.
    first_after = load.sent + 1
    code = broker.wait_end(20)
    reason = failure_of(broker.log_since(position))
    if code != DISK_FAILED or not reason or str(broker.data) not in reason:
        raise Broken(f"after a failed {kind[:-2]} the broker ended with {code} and said `{reason}`: {broker.last_lines()}")
    tally["stop_ms_max"] = max(tally["stop_ms_max"], round((time.monotonic() - failed_at) * 1000))
    tally[re.sub(r" /.*", "", reason)] += 1
    # The medium itself is read again: nothing of what the kernel believes counts.
    disk.tell("cut drop")
    disk.detach()
    disk.attach()
    # Nobody serves: whatever of these is acknowledged by now was acknowledged by a log that had failed.
    tally["acks_after_failure"] += load.acknowledged_from(first_after)
    tally["sent_after_failure"] += load.sent - first_after
    broker.start()
    load.wait_for(1)


def read_errors(disk, broker, load):
    """Reads that fail for a while: told as retriable errors, and over when the disk recovers."""
    # More than the memory for tails holds, and less than what starts a flush: it can be read from the log only.
    load.wait_for(4000)
    before = disk.tell("stats")["failed_reads"]
    for segment in (broker.data / "wal").glob("seg-*"):
        for first, end in disk.sectors_of(segment):
            disk.tell(f"bad {first} {end}")
    position = broker.log_size()
    known = load.known()
    found, problems = {}, []

    def read():
        try:
            found.update(read_all(broker, TOPIC, PARTITIONS))
        except Broken as problem:
            problems.append(problem)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    # A flush may have come first; then the bucket answers, and nothing is counted.
    while disk.tell("stats")["failed_reads"] < before + 3 and reader.is_alive():
        time.sleep(0.01)
    if problems:
        raise problems[0]
    failed = disk.tell("heal")["failed_reads"] - before
    reader.join(120)
    if problems:
        raise problems[0]
    if reader.is_alive():
        raise Broken("reading does not come to an end although the disk has recovered")
    check(known, found, "after failed reads")
    if not broker.runs():
        raise Broken(f"failed reads have stopped the broker: {broker.log_since(position)[-500:]}")
    return failed


def read_error_at_start(disk, broker, chance):
    """A start that cannot read: one line that names the file, and a start that succeeds when the disk does."""
    broker.kill()
    disk.detach()
    disk.attach()
    position = broker.log_size()
    # The first reads are the file system's own; these fail in its hands or in ours.
    disk.tell(f"fail-read {chance.randint(1, 6)} always")
    broker.spawn()
    code = broker.wait_end(30)
    failed = disk.tell("stats")["failed_reads"]
    said = broker.log_since(position).strip().splitlines()
    if failed and (code != 2 or not said or "esker: " not in said[-1] or str(broker.data) not in said[-1]):
        raise Broken(f"a start on an unreadable disk ended with {code}: {said[-1:]}")
    disk.tell("heal")
    disk.detach()
    disk.attach()
    broker.start()
    return failed


def stop_on_failing_disk(disk, broker, directory):
    """A stop whose last syncs fail ends, and says so: nobody waits for a log that will never be closed."""
    broker.start()
    produced = subprocess.run(
        [broker.program, "topic", "produce", TOPIC, "--brokers", broker.kafka],
        input=b"last\n",
        cwd=directory,
        capture_output=True,
        check=False,
    )
    if produced.returncode != 0:
        raise Broken(f"a record before the stop was refused: {produced.stderr.decode()}")
    position = broker.log_size()
    disk.tell("fail-flush 1 always")
    broker.process.terminate()
    code = broker.wait_end(20)
    reason = failure_of(broker.log_since(position))
    if code != DISK_FAILED or not reason or str(broker.data) not in reason:
        raise Broken(f"a stop whose sync failed ended with {code} and said `{reason}`: {broker.last_lines()}")
    disk.tell("cut drop")
    disk.detach()
    disk.attach()
    broker.start()
    known = read_all(broker, TOPIC, PARTITIONS)
    broker.stop()
    return len(known)


def main():
    options = arguments(__doc__, 10)
    chance = random.Random(options.seed)

    def suite(directory):
        disk = FaultyDisk(directory, mebibytes=2048, seed=options.seed * 1000, may_repair=True)
        # What is read has to come from the disk, not from the tail in memory.
        settings = {**SMALL_LOG, "esker.tail.memory.bytes": 1 << 20, "esker.flush.ms": 60000, "esker.flush.bytes": 12 << 20}
        bucket = f"file://{directory / 'bucket'}"
        broker = Broker(options.program, disk.files / "data", directory / "esker.log", settings, bucket=bucket)
        history = History(options.history)
        load, tally, done = None, Counter(), Counter()
        try:
            disk.attach()
            broker.start()
            broker.create_topic(TOPIC, PARTITIONS)
            load = Load(broker, TOPIC, PARTITIONS, options.seed, value_max=1500, history=history).start()
            load.wait_for(10)
            for number in range(options.rounds):
                inject(disk, broker, load, chance, "flushes", tally)
                done["flushes"] += 1
                if number % 5 == 0:
                    inject(disk, broker, load, chance, "writes", tally)
                    done["writes"] += 1
                if number % 10 == 0:
                    done["reads"] += read_errors(disk, broker, load)
                    done["reads_at_start"] += read_error_at_start(disk, broker, chance)
                if number % 10 == 5:
                    disk.tell("delay 20")
                    slow = time.monotonic()
                    load.wait_for(200)
                    done["slow_ms"] += round((time.monotonic() - slow) * 1000)
                    disk.tell("heal")
                if number % READ_EVERY == READ_EVERY - 1:
                    known = load.known()
                    found = read_all(broker, TOPIC, PARTITIONS, history=history)
                    check(known, found, f"after {number + 1} failed flushes")
            read_back, problems = conclude(broker, load, history)
            done["stops_on_failing_disk"] += bool(stop_on_failing_disk(disk, broker, directory))
            late = tally["acks_after_failure"]
            if late:
                problems.append(f"{late} acknowledgements of what was sent after a failure")
            if tally["sent_after_failure"] <= 0:
                problems.append("nothing was sent after a failure: that nothing of it was acknowledged says nothing")
        finally:
            if load is not None:
                load.ending.set()
            broker.kill()
            disk.detach()
        figures = {
            "seed": options.seed,
            **done,
            "sent_after_failure": tally.pop("sent_after_failure"),
            "acks_after_failure": tally.pop("acks_after_failure"),
            "stop_ms_max": tally.pop("stop_ms_max"),
            "file_system_repairs": disk.repairs,
            "what_failed": dict(tally),
            **read_back,
        }
        return figures, problems

    return run_suite("disk-faults", suite)


if __name__ == "__main__":
    sys.exit(main())
