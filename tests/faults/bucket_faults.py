#!/usr/bin/env python3
"""Runs the broker on an S3 that fails (`chaos_s3.py`), and takes that S3 away.

First a mix of lost answers, resets, 500s and 503s, truncated and flipped bodies and stale listings, while producers write
and everything is read cold. Then the bucket is gone: produce goes on to the write-ahead log's watermark, is slowed down
and then refused with a code that clients retry; what only the bucket has is answered with an error, never with nothing.
When the bucket is back, everything drains without a hand. At the end no acknowledged record is missing, no object was ever
put with two contents, and nothing is left in the bucket that nothing refers to.
"""

import json
import sys
import time
from collections import Counter

from chaos_s3 import Server
from confluent_kafka import KafkaError
from harness import SMALL_LOG, Broken, Broker, Load, arguments, check, make_cold, read_all, run_suite, wait_until
from raw_fetch import read_partition

TOPIC, PARTITIONS = "bucket-faults", 3
MIX = [
    {"op": "PUT", "p": 0.15, "mode": "commit-reset"},
    {"op": "PUT", "p": 0.05, "mode": "reset"},
    {"op": "*", "p": 0.1, "mode": "status", "status": 503},
    {"op": "*", "p": 0.03, "mode": "status", "status": 500},
    {"op": "GET", "p": 0.08, "mode": "truncate"},
    {"op": "GET", "p": 0.05, "mode": "flip"},
    {"op": "GET", "p": 0.05, "mode": "slow", "seconds": 0.3},
    {"op": "DELETE", "p": 0.1, "mode": "commit-reset"},
    {"op": "LIST", "p": 0.5, "mode": "stale"},
]
SETTINGS = {
    **SMALL_LOG,
    "esker.flush.bytes": 1 << 20,
    "esker.flush.ms": 300,
    "esker.tail.memory.bytes": 1 << 20,
    "esker.cache.disk.bytes": 0,
    "esker.gc.grace.ms": 1000,
    "esker.housekeeping.interval.ms": 1000,
    "esker.bucket.retries": 2,
    "esker.bucket.retry.timeout.ms": 2000,
    "esker.bucket.request.timeout.ms": 2000,
}
# Keys that are no objects.
MARKERS = {"prefix/cluster.json", "prefix/starts-1"}
# What a reader may be told about records that only the bucket has.
TOLD = {KafkaError.KAFKA_STORAGE_ERROR, KafkaError.REQUEST_TIMED_OUT}


def mixed(broker, store, load, seconds):
    """Writes and reads cold under the mix; every reading has to be right."""
    store.rules = MIX
    end, readings, flipped = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        load.wait_for(100, what="acknowledgements while the bucket fails")
        known = load.known()
        try:
            broker.call("v1/cache/clear")
        except OSError:
            pass
        for partition in range(PARTITIONS):
            found, code = read_partition(broker.kafka, TOPIC, partition)
            wrong = [at for at, value in found.items() if known[0].get((partition, at), value) != value]
            if wrong:
                raise Broken(f"wrong bytes were served at {partition}/{wrong[:3]}")
            if code == -1:
                raise Broken(f"records of partition {partition} are left out without an error")
            flipped += code == KafkaError._BAD_MSG or code == 2
        readings += 1
    store.rules = []
    return readings


def outage(broker, server, load, figures):
    """The bucket is gone until produce is refused, and comes back."""
    store = server.store
    broker.call("v1/cache/clear")
    store.down = True
    before, errors_before = len(load.times), Counter(load.errors)
    load.wait_for(500, what="acknowledgements without a bucket")

    found, code = read_partition(broker.kafka, TOPIC, 0)
    if code not in TOLD:
        raise Broken(f"without its bucket the broker answers {code} for what only the bucket has, after {len(found)}")
    figures["cold_read_without_bucket"] = KafkaError(code).name()

    # Until nothing is acknowledged for a while: the log is full.
    quiet_since, last = time.monotonic(), len(load.times)
    deadline = time.monotonic() + 180
    while time.monotonic() - quiet_since < 5:
        if time.monotonic() > deadline:
            raise Broken("the write-ahead log never fills up")
        if len(load.times) != last:
            quiet_since, last = time.monotonic(), len(load.times)
        time.sleep(0.1)
    figures["acknowledged_in_outage"] = len(load.times) - before
    refused = {name for name in load.errors if name.startswith(("delivery", "fatal"))} - set(errors_before)
    if refused:
        raise Broken(f"producers that retry are told {refused}")
    if not broker.runs():
        raise Broken(f"without its bucket the broker ends: {broker.last_lines()}")
    store.down = False
    back = time.monotonic()
    load.wait_for(500, what="acknowledgements after the bucket is back")
    figures["acks_after_outage_ms"] = round((time.monotonic() - back) * 1000)
    wait_until(lambda: b'"unflushed_bytes":0' in status(broker) or unflushed(broker) < 4 << 20, 180, "draining")
    figures["drained_after_outage_ms"] = round((time.monotonic() - back) * 1000)


def verified(broker):
    """What the broker says after it has read all objects that its metadata names."""
    figures = json.loads(broker.call("v1/tier/verify").decode().strip().splitlines()[-1])
    if figures.get("damaged") != 0:
        raise Broken(f"a verification found damage: {figures}")
    return figures


def unnamed(broker, store):
    """How many data objects, manifests and other keys the bucket has beyond those that are named.

    All that is named is there, says the verification; so as many are the same ones.
    """
    named = verified(broker)["objects"]
    with store.lock:
        keys = sorted(store.objects)
    objects, manifests = ([key for key in keys if key.startswith(f"prefix/{kind}/")] for kind in "dm")
    others = set(keys) - set(objects) - set(manifests) - MARKERS
    # Objects that only manifests list are not counted in this figure, and manifests are.
    has_manifests = broker.metric("esker_objects") != named
    return len(objects) - named, 0 if has_manifests else len(manifests), sorted(others)


def wait_collected(broker, store):
    """Waits until housekeeping has deleted everything that nothing names."""
    seen = []

    def is_rid():
        seen[:] = [broker.metric("esker_garbage_objects"), unnamed(broker, store)]
        return seen == [0, (0, 0, [])]

    wait_until(is_rid, 60, lambda: f"the bucket is rid of what nothing names (garbage, and objects without a name: {seen})")


def status(broker):
    return broker.call("v1/tier/status", "GET").replace(b" ", b"")


def unflushed(broker):
    text = status(broker)
    at = text.find(b'"unflushed_bytes":')
    return int(text[at + 18 :].split(b",")[0].split(b"}")[0]) if at >= 0 else 1 << 40


def main():
    options = arguments(__doc__, 1, seconds=10)

    def suite(directory):
        server = Server(seed=options.seed).start()
        store = server.store
        broker = Broker(
            options.program,
            directory / "data",
            directory / "esker.log",
            SETTINGS,
            server.environment(),
            bucket="s3://bucket/prefix",
        )
        figures, load = {"seed": options.seed}, None
        try:
            broker.start()
            broker.create_topic(TOPIC, PARTITIONS)
            load = Load(broker, TOPIC, PARTITIONS, options.seed, value_max=1000).start()
            load.wait_for(1000)
            figures["readings"] = 0
            for _ in range(options.rounds):
                figures["readings"] += mixed(broker, store, load, options.seconds)
                check(load.known(), read_all(broker, TOPIC, PARTITIONS), "after the mix")
                outage(broker, server, load, figures)
                # A crash with the bucket failing, and again whole.
                store.rules = MIX
                broker.kill()
                for attempt in range(20):
                    broker.spawn()
                    try:
                        broker.wait_ready()
                        break
                    except Broken:
                        # A bucket that fails during the start is told, and the start tried again.
                        if broker.process.returncode != 2 or attempt == 19:
                            raise
                load.wait_for(100)
                store.rules = []
            load.stop()
            check(load.known(), read_all(broker, TOPIC, PARTITIONS), "at the end")
            make_cold(broker)
            check(load.known(), read_all(broker, TOPIC, PARTITIONS), "at the end, cold")
            wait_collected(broker, store)
            figures["verified"] = verified(broker)
            rewritten = [key for key in store.rewritten() if "/d/" in key or "/m/" in key]
            if rewritten:
                raise Broken(f"objects were put with two contents: {rewritten[:3]}")
            broker.stop()
        finally:
            if load is not None:
                load.ending.set()
            broker.kill()
            server.shutdown()
        figures |= {
            "requests": sum(count for name, count in store.counts.items() if " " not in name),
            "faults": store.faults(),
            "commit_resets": sum(count for name, count in store.counts.items() if "commit-reset" in name),
            "by_fault": {name: count for name, count in sorted(store.counts.items()) if " " in name},
            "acknowledged": len(load.times),
            "lost": 0,
            "rewritten": 0,
            "unnamed": 0,
        }
        return figures, []

    return run_suite("bucket-faults", suite)


if __name__ == "__main__":
    sys.exit(main())
