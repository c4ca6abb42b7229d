#!/usr/bin/env python3
"""A server dies (kill -9) and the others go on: journals have three copies, and two disks hold what is acknowledged.

An idempotent producer writes 1,000 records a second, in turn to all partitions. Round after round the server that leads most of them is
killed and stays away: others take over what it led, from their own disks. Then it comes back, with the disk that it had or with an empty
write-ahead log. Nothing acknowledged is lost or doubled, a reader finds all of it, and how long each partition of the
dead took nothing is told: from its last acknowledgement before the kill to the first one after it.
"""

import shutil
import statistics
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from confluent_kafka import Producer  # noqa: E402
from confluent_kafka.admin import AdminClient  # noqa: E402
from harness import QUIET, Broken, arguments, check, read_all, run_suite, wait_until  # noqa: E402
from three_brokers import NODES, PATIENCE_S, Cluster, create, leaders  # noqa: E402

TOPIC, PARTITIONS = "failover", 12
# What Esker promises: a gap of a second in the usual case, of three at most.
GAP_MAX_S = 3.0


class Metronome:
    """A thread that writes a record a millisecond to one partition after the other, and notes when each is acknowledged."""

    def __init__(self, bootstrap):
        self.config = {
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 0,
            "message.timeout.ms": 120000,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100,
            "retry.backoff.ms": 20,
            "retry.backoff.max.ms": 100,
            "topic.metadata.refresh.fast.interval.ms": 50,
            **QUIET,
        }
        self.acknowledged, self.unplaced, self.failed = {}, set(), []
        self.times = defaultdict(list)
        self.ending, self.left = threading.Event(), None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def on_delivery(self, error, message):
        if error is not None:
            self.failed.append(error.name())
            return
        if message.offset() is None:
            self.unplaced.add(message.value())
        else:
            self.acknowledged[message.partition(), message.offset()] = message.value()
        self.times[message.partition()].append(time.monotonic())

    def run(self):
        producer, number, began = Producer(self.config), 0, time.monotonic()
        while not self.ending.is_set():
            while number < (time.monotonic() - began) * 1000 and len(producer) < 20000:
                producer.produce(TOPIC, value=str(number).encode(), partition=number % PARTITIONS, on_delivery=self.on_delivery)
                number += 1
            producer.poll(0.001)
        self.left = producer.flush(60)

    def wait_for(self, partitions, since, what):
        """Waits until each of the partitions was acknowledged something after `since`."""
        told = lambda: all(self.times[partition] and self.times[partition][-1] > since for partition in partitions)  # noqa: E731
        wait_until(told, PATIENCE_S, f"{what}; failed deliveries: {self.failed[-3:]}")

    def gap_s(self, partition, killed):
        """How long a partition took nothing around that moment."""
        times = self.times[partition]
        before = max((at for at in times if at <= killed), default=killed)
        after = min(at for at in times if at > killed + 0.02)
        return after - max(before, killed)

    def stop(self):
        self.ending.set()
        self.thread.join(90)


def victim_of(cluster):
    """The server that leads most partitions, and which."""
    metadata = {}
    for node in NODES:
        metadata[node] = []
    topics = AdminClient({"bootstrap.servers": cluster.kafka, **QUIET}).list_topics(TOPIC, timeout=10).topics
    for partition in topics[TOPIC].partitions.values():
        if partition.leader in metadata:
            metadata[partition.leader].append(partition.id)
    node = max(metadata, key=lambda each: len(metadata[each]))
    return cluster.servers[NODES.index(node)], metadata[node]


def away(cluster, metronome, wiped):
    """One round; answers the gaps of the partitions that the dead server led."""
    server, led = victim_of(cluster)
    metronome.wait_for(range(PARTITIONS), time.monotonic(), "acknowledgements from all partitions before the kill")
    server.kill()
    killed = time.monotonic()
    metronome.wait_for(led, killed + 0.02, f"acknowledgements from what {server.node} had led")
    gaps = [metronome.gap_s(partition, killed) for partition in led]
    metronome.wait_for(range(PARTITIONS), time.monotonic() + 1, "acknowledgements with a server away")
    if wiped:
        shutil.rmtree(Path(server.data) / "wal")
    server.start()
    metronome.wait_for(range(PARTITIONS), time.monotonic() + 2, "acknowledgements after it has come back")
    return gaps


def main():
    options = arguments(__doc__, 3)

    def suite(directory):
        cluster, metronome, gaps, problems = Cluster(options.program, directory), None, [], []
        try:
            cluster.start()
            create(cluster.servers[0].kafka, TOPIC, PARTITIONS)
            wait_until(lambda: sum(leaders(cluster.kafka, TOPIC).values()) == PARTITIONS, PATIENCE_S, "leaders of all partitions")
            metronome = Metronome(cluster.kafka)
            for number in range(options.rounds):
                gaps += away(cluster, metronome, wiped=number % 3 == 2)
            metronome.stop()
            if metronome.failed or metronome.left:
                raise Broken(f"{len(metronome.failed)} deliveries failed, {metronome.left} are left")
            known = (metronome.acknowledged, metronome.unplaced)
            check(known, read_all(cluster, TOPIC, PARTITIONS), "after the kills")
            for server in cluster.servers:
                server.stop()
        finally:
            if metronome is not None:
                metronome.ending.set()
            cluster.kill()
        longest = max(gaps)
        if longest > GAP_MAX_S:
            problems.append(f"a partition took nothing for {longest:.2f} s")
        figures = {
            "kills": options.rounds,
            "acknowledged": len(metronome.acknowledged) + len(metronome.unplaced),
            "lost": 0,
            "doubled": 0,
            "gap_p50_ms": round(statistics.median(gaps) * 1000),
            "gap_max_ms": round(longest * 1000),
        }
        return figures, problems

    return run_suite("failover", suite)


if __name__ == "__main__":
    sys.exit(main())
