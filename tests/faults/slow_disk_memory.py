#!/usr/bin/env python3
"""Producers without acks beside a disk that hardly goes on: what the broker holds stays within its budget.

Nobody waits for these batches, so only the broker itself can say that it is enough: it stops reading from its producers
while more than `esker.uncommitted.max.bytes` wait for the device. Short requests and long ones come over many connections
until none of them takes anything more; then the process's largest size is compared with the budgets. When the disk goes on
so does everything else, and a producer with acks is answered.
"""

import socket
import struct
import sys
import time
from pathlib import Path

from faulty_disk import FaultyDisk
from harness import Broken, Broker, arguments, run_suite, wait_until
from raw_batch import batch
from raw_produce import NONE, PRODUCE, answers, connect, produce

TOPIC = "flood"
CONNECTIONS = 32
EACH_MAX = 24 << 20
MEBIBYTE = 1 << 20
UNCOMMITTED_MAX, REQUESTS_MAX = 16 * MEBIBYTE, 32 * MEBIBYTE
# Sockets, allocator, and one request each that is taken up while there is still room.
AROUND = 48 * MEBIBYTE
PATIENCE_S = 60


def largest_size(broker):
    """The process's largest resident size so far, in bytes."""
    for line in Path(f"/proc/{broker.process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise Broken("the system does not tell the size of a process")


def without_acks(content):
    """A Produce request that asks for no answer."""
    body = struct.pack(">hhii", -1, 0, 10_000, 1) + struct.pack(">h", len(TOPIC)) + TOPIC.encode()
    body += struct.pack(">iii", 1, 0, len(content)) + content
    request = struct.pack(">hhih", PRODUCE, 7, 1, 3) + b"raw" + body
    return struct.pack(">i", len(request)) + request


class Flood:
    """A connection that sends the same request for as long as it is read."""

    def __init__(self, broker, content):
        self.connection = connect(broker)
        self.connection.setblocking(False)
        self.request, self.at, self.sent = without_acks(content), 0, 0

    def send(self):
        """Whether anything went."""
        if self.sent >= EACH_MAX:
            return False
        try:
            done = self.connection.send(self.request[self.at :])
        except BlockingIOError:
            return False
        self.at = (self.at + done) % len(self.request)
        self.sent += done
        return True


def flood(floods):
    """Sends until nobody is read for two seconds."""
    last = time.monotonic()
    while time.monotonic() - last < 2:
        if any([one.send() for one in floods]):
            last = time.monotonic()
        else:
            time.sleep(0.01)


def goes_on(broker):
    """Whether a producer with acks is answered, and well."""
    try:
        with connect(broker) as connection:
            produce(connection, [(TOPIC, 0, batch(b"at last"))])
            return answers(connection)[0][0] == NONE
    except (OSError, socket.timeout):
        return False


def main():
    options = arguments(__doc__, 1)

    def suite(directory):
        disk = FaultyDisk(directory, mebibytes=2048, seed=options.seed * 1000)
        settings = {
            "esker.uncommitted.max.bytes": UNCOMMITTED_MAX,
            "queued.max.request.bytes": REQUESTS_MAX,
            "esker.tail.memory.bytes": MEBIBYTE,
            "esker.wal.prefill": "false",
        }
        bucket = f"file://{directory / 'bucket'}"
        broker = Broker(options.program, disk.files / "data", directory / "esker.log", settings, bucket=bucket)
        try:
            disk.attach()
            broker.start()
            broker.create_topic(TOPIC, 1)
            before = largest_size(broker)
            disk.tell("delay 4000")
            contents = [batch(b"x" * 4000), batch(b"y" * 250_000)]
            floods = [Flood(broker, contents[number % 2]) for number in range(CONNECTIONS)]
            flood(floods)
            grown, sent = largest_size(broker) - before, sum(one.sent for one in floods)
            disk.tell("heal")
            wait_until(lambda: goes_on(broker), PATIENCE_S, "a producer with acks is not answered")
            for one in floods:
                one.connection.close()
        finally:
            broker.kill()
            disk.detach()
        allowed = UNCOMMITTED_MAX + REQUESTS_MAX + AROUND
        problems = []
        if sent >= CONNECTIONS * EACH_MAX:
            problems.append("everybody was read to the end: the disk did not hold anybody up")
        if grown > allowed:
            problems.append(f"the process grew by {grown >> 20} MiB, more than the {allowed >> 20} of its budgets")
        return {"sent_mib": sent >> 20, "grown_mib": grown >> 20, "allowed_mib": allowed >> 20}, problems

    return run_suite("slow-disk-memory", suite)


if __name__ == "__main__":
    sys.exit(main())
