#!/usr/bin/env python3
"""Asks for a group whose coordinator cannot read its log yet: the bucket answers late, then not at all.

Nobody may hang: every request is told COORDINATOR_LOAD_IN_PROGRESS within seconds, a heartbeat that all is well. Who gave
up meanwhile must not be met in the group later. When the bucket answers again, what was committed is there.
"""

import struct
import sys
import time

from chaos_s3 import Server
from harness import SMALL_LOG, Broken, Broker, arguments, run_suite, wait_until
from raw_produce import connect, receive, send

FIND_COORDINATOR, OFFSET_COMMIT, OFFSET_FETCH, JOIN_GROUP, HEARTBEAT, DESCRIBE_GROUPS, LIST_GROUPS = 10, 8, 9, 11, 12, 15, 16
NONE, LOAD_IN_PROGRESS = 0, 14
TOPIC, GROUP, COMMITTED = "committed-to", "its-group", 7
SETTINGS = {
    **SMALL_LOG,
    "offsets.topic.num.partitions": 1,
    "esker.cache.disk.bytes": 0,
    "esker.bucket.request.timeout.ms": 5000,
    "esker.bucket.retry.timeout.ms": 20_000,
}
SLOW = [{"op": "GET", "p": 1, "mode": "slow", "seconds": 3}]
GONE = [{"op": "GET", "p": 1, "mode": "hang", "seconds": 60}]
# An answer that comes later was waited for.
ANSWERED_WITHIN_S = 2
CLIENTS_THAT_GIVE_UP = 5


def text(value):
    return struct.pack(">h", len(value)) + value.encode()


def ask(broker, key, version, body):
    with connect(broker) as connection:
        began = time.monotonic()
        send(connection, key, version, body)
        answer = receive(connection)
        took = time.monotonic() - began
    if took > ANSWERED_WITHIN_S:
        raise Broken(f"the answer to request {key} took {took:.1f} s")
    return answer[4:]


def commit(broker):
    partition = struct.pack(">iq", 0, COMMITTED) + text("")
    topics = struct.pack(">i", 1) + text(TOPIC) + struct.pack(">i", 1) + partition
    answer = ask(broker, OFFSET_COMMIT, 2, text(GROUP) + struct.pack(">i", -1) + text("") + struct.pack(">q", -1) + topics)
    return struct.unpack(">h", answer[-2:])[0]


def committed(broker):
    """(error, offset)"""
    topics = struct.pack(">i", 1) + text(TOPIC) + struct.pack(">ii", 1, 0)
    answer = ask(broker, OFFSET_FETCH, 2, text(GROUP) + topics)
    code = struct.unpack(">h", answer[-2:])[0]
    if code:
        return code, None
    at = 4 + 2 + len(TOPIC) + 4 + 4
    return code, struct.unpack_from(">q", answer, at)[0]


def join(connection):
    protocol = text("range") + struct.pack(">i", 0)
    body = text(GROUP) + struct.pack(">i", 30_000) + text("") + text("consumer") + struct.pack(">i", 1) + protocol
    send(connection, JOIN_GROUP, 0, body)


def heartbeat(broker):
    return struct.unpack(">h", ask(broker, HEARTBEAT, 0, text(GROUP) + struct.pack(">i", 1) + text("member")))[0]


def listed(broker):
    return struct.unpack_from(">h", ask(broker, LIST_GROUPS, 0, b""))[0]


def described(broker):
    """(error, state, members)"""
    answer = ask(broker, DESCRIBE_GROUPS, 0, struct.pack(">i", 1) + text(GROUP))
    code = struct.unpack_from(">h", answer, 4)[0]
    at, texts = 4 + 2, []
    for _ in range(4):
        size = struct.unpack_from(">h", answer, at)[0]
        texts.append(answer[at + 2 : at + 2 + size].decode())
        at += 2 + size
    return code, texts[1], struct.unpack_from(">i", answer, at)[0]


def while_it_loads(broker, figures):
    """What clients are told; some do not wait for it."""
    for name, code in (("fetch", committed(broker)[0]), ("describe", described(broker)[0]), ("list", listed(broker))):
        if code != LOAD_IN_PROGRESS:
            raise Broken(f"{name} is told {code} by a coordinator that loads")
    if (code := heartbeat(broker)) != NONE:
        raise Broken(f"a heartbeat is told {code} by a coordinator that loads")
    if (code := commit(broker)) != LOAD_IN_PROGRESS:
        raise Broken(f"a commit is told {code} by a coordinator that loads")
    for _ in range(CLIENTS_THAT_GIVE_UP):
        with connect(broker) as connection:
            join(connection)
    figures["told"] = "COORDINATOR_LOAD_IN_PROGRESS"


def main():
    options = arguments(__doc__, 1)

    def suite(directory):
        server = Server(seed=options.seed).start()
        store = server.store
        log = directory / "esker.log"
        broker = Broker(
            options.program, directory / "data", log, SETTINGS, server.environment(), bucket="s3://bucket/prefix"
        )
        figures = {}
        try:
            broker.start()
            broker.create_topic(TOPIC, 1)
            found = lambda: struct.unpack_from(">h", ask(broker, FIND_COORDINATOR, 0, text(GROUP)))[0] == NONE  # noqa: E731
            wait_until(found, 30, "a coordinator")
            wait_until(lambda: commit(broker) == NONE, 30, "a commit")
            broker.call("v1/tier/flush")
            broker.stop()
            store.rules = SLOW
            broker.start()
            store.rules = GONE
            while_it_loads(broker, figures)
            store.rules = []
            back = time.monotonic()
            wait_until(lambda: committed(broker) == (NONE, COMMITTED), 60, "what was committed")
            figures["served_after_ms"] = round((time.monotonic() - back) * 1000)
            code, state, members = described(broker)
            if (code, state, members) != (NONE, "Empty", 0):
                raise Broken(f"the group is {state} with {members} members, error {code}: of those that gave up")
            broker.stop()
        finally:
            broker.kill()
            server.shutdown()
        return figures, []

    return run_suite("coordinator-load", suite)


if __name__ == "__main__":
    sys.exit(main())
