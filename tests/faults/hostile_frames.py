#!/usr/bin/env python3
"""Sends what no client sends, and watches the broker.

Every frame has to end in Kafka's answer or in a closed connection, never in a hang, a crash, or memory of the size that
a frame only claims. A bystander asks for the versions in between, to see that others are served on.

Exit code 0: every case ended as expected. The last line counts them.
"""

import argparse
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

from harness import free_port

API_VERSIONS, METADATA, PRODUCE, FETCH, CREATE_TOPICS, JOIN_GROUP, OFFSET_COMMIT = 18, 3, 0, 1, 19, 11, 8
FIND_COORDINATOR, DELETE_RECORDS, DESCRIBE_CONFIGS, INCREMENTAL_ALTER_CONFIGS = 10, 21, 32, 44
CLOSED, ANSWERED, EITHER = "closed", "answered", "either"


def frame(body):
    return struct.pack(">i", len(body)) + body


def header(key, version, client=b"\x00\x04evil", flexible=False):
    return struct.pack(">hhi", key, version, 7) + client + (b"\x00" if flexible else b"")


def cases(chance):
    """(name, bytes, expected end)"""
    yield "size -1", struct.pack(">i", -1) + b"x" * 8, CLOSED
    yield "size 0", struct.pack(">i", 0), CLOSED
    yield "size 3", struct.pack(">i", 3) + b"abc", CLOSED
    yield "size 2^31-1", struct.pack(">i", 2**31 - 1) + b"x" * 64, CLOSED
    yield "size above socket.request.max.bytes", struct.pack(">i", 200 << 20) + b"x" * 64, CLOSED
    yield "unknown key", frame(header(999, 0)), CLOSED
    yield "negative key", frame(header(-5, 0)), CLOSED
    yield "controller's key", frame(header(52, 0, flexible=True)), CLOSED
    yield "unserved version", frame(header(METADATA, 99)), CLOSED
    yield "produce version 0", frame(header(PRODUCE, 0) + b"\x00" * 16), CLOSED
    yield "ApiVersions version 99", frame(header(API_VERSIONS, 99, flexible=True)), ANSWERED
    yield "client id of 32 KiB", frame(header(API_VERSIONS, 0, struct.pack(">h", 32767) + b"x" * 32767)), ANSWERED
    yield "client id beyond the frame", frame(struct.pack(">hhih", API_VERSIONS, 0, 7, 30000)), CLOSED
    yield "client id that is no UTF-8", frame(header(API_VERSIONS, 0, b"\x00\x02\xff\xfe")), EITHER
    for length in (2**31 - 1, -2, 2**30, 1000):
        yield f"{length} topics in Metadata", frame(header(METADATA, 1) + struct.pack(">i", length)), CLOSED
    yield "compact array of 2^32-1", frame(header(METADATA, 12, flexible=True) + b"\xff\xff\xff\xff\x0f"), CLOSED
    yield "varint of 6 bytes", frame(header(METADATA, 12, flexible=True) + b"\xff" * 6), CLOSED
    yield "a million tags", frame(header(METADATA, 12, flexible=False) + b"\xc0\x84\x3d" + b"\x01\x00" * 9), CLOSED
    yield "topic name of -3 bytes", frame(header(METADATA, 1) + struct.pack(">ih", 1, -3)), CLOSED
    yield (
        "produce with records beyond the frame",
        frame(
            header(PRODUCE, 7) + struct.pack(">hhii", -1, 1, 1000, 1) + b"\x00\x01t" + struct.pack(">iii", 1, 0, 2**30)
        ),
        CLOSED,
    )
    for size in (0, 1, 12, 48, 60):
        yield (
            f"produce with a batch of {size} bytes",
            frame(
                header(PRODUCE, 7)
                + struct.pack(">hhii", -1, 1, 1000, 1)
                + b"\x00\x01t"
                + struct.pack(">iii", 1, 0, size)
                + bytes(size)
            ),
            ANSWERED,
        )
    yield (
        "produce with acks 7",
        frame(header(PRODUCE, 7) + struct.pack(">hhii", -1, 7, 1000, 1) + b"\x00\x01t" + struct.pack(">iii", 1, 0, 0)),
        ANSWERED,
    )
    yield (
        "fetch of 2^31-1 topics",
        frame(header(FETCH, 4) + struct.pack(">iiiibi", -1, 0, 0, 2**31 - 1, 0, 2**31 - 1)),
        CLOSED,
    )
    yield (
        "join with 2^31-1 protocols",
        frame(
            header(JOIN_GROUP, 0)
            + b"\x00\x01g"
            + struct.pack(">i", 6000)
            + b"\x00\x00"
            + b"\x00\x01c"
            + struct.pack(">i", 2**31 - 1)
        ),
        CLOSED,
    )
    yield (
        "commit of 2^31-1 topics",
        frame(
            header(OFFSET_COMMIT, 2)
            + b"\x00\x01g"
            + struct.pack(">i", -1)
            + b"\x00\x00"
            + struct.pack(">qi", -1, 2**31 - 1)
        ),
        CLOSED,
    )
    yield (
        "topic of 2^31-1 partitions",
        frame(
            header(CREATE_TOPICS, 2)
            + struct.pack(">i", 1)
            + b"\x00\x03big"
            + struct.pack(">ihii", 2**31 - 1, 1, 0, 0)
            + struct.pack(">ib", 1000, 0)
        ),
        ANSWERED,
    )
    for name in (b"", b".", b"..", b"a/b", b"a\x00b", b"x" * 250, b"%2e%2e%2f", b"a\nb"):
        yield (
            f"topic named {name[:12]!r}",
            frame(
                header(CREATE_TOPICS, 2)
                + struct.pack(">i", 1)
                + struct.pack(">h", len(name))
                + name
                + struct.pack(">ihii", 1, 1, 0, 0)
                + struct.pack(">ib", 1000, 0)
            ),
            ANSWERED,
        )
    whole = frame(header(METADATA, 12, flexible=True) + b"\x02" + b"\x00" * 16 + b"\x02t\x00" + b"\x01\x00\x00")
    for number in range(200):
        mutant = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            mutant[chance.randrange(4, len(mutant))] = chance.randrange(256)
        yield f"mutated Metadata {number}", bytes(mutant), EITHER


def wordy():
    """(name, bytes, most bytes that the metadata log may grow by): requests that say or ask little in many words."""
    many, one = 100_000, struct.pack(">i", 1)

    def text(content):
        return struct.pack(">h", len(content)) + content

    def create(name, assignments=b"", configs=b"", partitions=1):
        head = header(CREATE_TOPICS, 4) + one + text(name)
        shape = struct.pack(">ih", *((-1, -1) if assignments else (partitions, 1)))
        return frame(head + shape + (assignments or bytes(4)) + (configs or bytes(4)) + struct.pack(">ib", 10_000, 0))

    yield "a topic to trim", create(b"wordy"), 1000
    same = text(b"retention.ms") + text(b"86400000")
    yield "one setting many times", create(b"repeated", configs=struct.pack(">i", many) + same * many), 1000
    # More than `esker.partitions.max`.
    assigned = b"".join(struct.pack(">iii", number, 1, 1) for number in range(many + 1))
    yield "too many partitions assigned", create(b"assigned", struct.pack(">i", many + 1) + assigned), 1000
    reset = b"".join(text(b"unheard.of.%d" % number) + b"\x01" + struct.pack(">h", -1) for number in range(many))
    altered = one + b"\x02" + text(b"wordy") + struct.pack(">i", many) + reset + b"\x00"
    yield "resets of what is not set", frame(header(INCREMENTAL_ALTER_CONFIGS, 0) + altered), 1000
    trims = one + text(b"wordy") + struct.pack(">i", many) + struct.pack(">iq", 0, 0) * many
    yield "one trim many times", frame(header(DELETE_RECORDS, 0) + trims + struct.pack(">i", 10_000)), 1000
    yield "a wide topic", create(b"wide", partitions=1000), 2000
    yield "one topic asked for many times", frame(header(METADATA, 1) + struct.pack(">i", many) + text(b"wide") * many), 0
    described = b"\x02" + text(b"wide") + struct.pack(">i", -1)
    settings = struct.pack(">i", many) + described * many + b"\x00"
    yield "one topic's settings", frame(header(DESCRIBE_CONFIGS, 1) + settings), 0
    yield "a coordinator", frame(header(FIND_COORDINATOR, 0) + text(b"g")), 2000
    commit = header(OFFSET_COMMIT, 2) + text(b"g") + struct.pack(">ihq", -1, 0, -1) + one + text(b"wordy")
    # A request names at most 250,000 items.
    for times in (1, 2 * many):
        commits = struct.pack(">i", times) + struct.pack(">iqh", 0, 0, -1) * times
        yield f"a commit {times} times", frame(commit + commits), 0


def metadata_log_bytes(data):
    directory = os.path.join(data, "metadata")
    logs = [name for name in os.listdir(directory) if name.startswith("log-")]
    return sum(os.path.getsize(os.path.join(directory, name)) for name in logs)


def peak_bytes(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))


def end_of(address, content):
    """How the broker ends a connection that sent `content`."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(content)
        try:
            prefix = connection.recv(4)
        except ConnectionResetError:
            return CLOSED
        except TimeoutError:
            return "hang"
        return ANSWERED if prefix else CLOSED


def bystander(address):
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(frame(header(API_VERSIONS, 0)))
        size = struct.unpack(">i", connection.recv(4))[0]
        return size > 100


def resident_bytes(process):
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=os.environ.get("ESKER_BIN", "target/debug/esker"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    kafka, admin = free_port(), free_port()
    passed, failed = 0, []
    with tempfile.TemporaryDirectory(prefix="esker-hostile-") as directory:
        with open(os.path.join(directory, "log"), "wb") as log:
            process = subprocess.Popen(
                [
                    arguments.program,
                    "dev",
                    "--data-dir",
                    os.path.join(directory, "data"),
                    "--kafka-addr",
                    f"127.0.0.1:{kafka}",
                    "--admin-addr",
                    f"127.0.0.1:{admin}",
                ],
                stderr=log,
            )
            for _ in range(500):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=1)
                    break
                except OSError:
                    time.sleep(0.02)
            address = ("127.0.0.1", kafka)
            before, peak_before = resident_bytes(process), peak_bytes(process)
            for name, content, expected in cases(random.Random(arguments.seed)):
                got = end_of(address, content)
                ended = got == expected or (expected == EITHER and got in (CLOSED, ANSWERED))
                if ended and process.poll() is None and bystander(address):
                    passed += 1
                else:
                    failed.append(f"{name}: expected {expected}, got {got}")
            grown = resident_bytes(process) - before
            if grown > 32 << 20:
                failed.append(f"the broker has grown by {grown >> 20} MiB")
            else:
                passed += 1
            for name, content, bytes_max in wordy():
                length = metadata_log_bytes(os.path.join(directory, "data"))
                got = end_of(address, content)
                longer = metadata_log_bytes(os.path.join(directory, "data")) - length
                if got == ANSWERED and longer <= bytes_max and process.poll() is None and bystander(address):
                    passed += 1
                else:
                    failed.append(f"{name}: {got}, and the metadata log has grown by {longer} bytes of {bytes_max}")
            peak = peak_bytes(process) - peak_before
            if peak > 64 << 20:
                failed.append(f"the broker has taken {peak >> 20} MiB meanwhile")
            else:
                passed += 1
            process.terminate()
            if process.wait(30) != 0:
                failed.append(f"the broker ended with {process.returncode}")
    for failure in failed:
        print(failure)
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
