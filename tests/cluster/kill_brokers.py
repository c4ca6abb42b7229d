#!/usr/bin/env python3
"""Any of three servers is killed (-9), for some time or with its disk: others lead what it led, and nothing acknowledged is lost.

Two idempotent producers with acks=all write to all partitions of topics of their own: librdkafka and kafka-python. Each round kills one
server, by turns: the leader of partition 0, or any. While it is away every partition has to be written, those that it led by
new leaders; in two rounds of four its write-ahead log is lost with it. Then
it comes back and takes part. At the end, and once while one server is away, all that was acknowledged is read, each record
once. The gap of a kill is the longest time between two acknowledgements of one partition around it, by producer.
"""

import random
import shutil
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from confluent_kafka.admin import AdminClient  # noqa: E402
from harness import QUIET, Broken, Load, arguments, check, judge, read_all, run_suite, wait_until  # noqa: E402
from kafka import KafkaProducer  # noqa: E402
from kafka.errors import KafkaError  # noqa: E402
from three_brokers import PATIENCE_S, Cluster, create, leaders  # noqa: E402

TOPIC, OTHER, PARTITIONS = "kills", "kills-of-kafka-python", 6
# What one round takes from the server that it kills, by turns.
TAKEN = ("nothing", "its log")
# The bar for a partition without a leader is 3 s; beyond this the suite fails.
GAP_MAX_S = 10
# Records of each partition that have to be acknowledged before a round goes on.
PER_PARTITION = 10


class Placed(Load):
    """`Load` that knows when each partition was written."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.written = [[] for _ in range(self.partitions)]

    def on_delivery(self, error, message):
        super().on_delivery(error, message)
        if error is None:
            self.written[message.partition()].append(time.monotonic())


class PythonLoad:
    """An idempotent producer of kafka-python, on a thread of its own."""

    def __init__(self, bootstrap, topic, partitions, seed):
        self.topic, self.partitions, self.chance = topic, partitions, random.Random(seed)
        self.acknowledged, self.refused, self.sent = {}, [], 0
        self.written = [[] for _ in range(partitions)]
        self.lock, self.ending = threading.Lock(), threading.Event()
        self.problem, self.left = None, 0
        self.producer = KafkaProducer(
            bootstrap_servers=bootstrap.split(","),
            acks="all",
            enable_idempotence=True,
            linger_ms=1,
            retry_backoff_ms=20,
            reconnect_backoff_ms=20,
            reconnect_backoff_max_ms=200,
            request_timeout_ms=5000,
            delivery_timeout_ms=120000,
            metadata_max_age_ms=1000,
        )
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def on_written(self, partition, value, metadata):
        with self.lock:
            place = (partition, metadata.offset)
            if place in self.acknowledged:
                self.problem = f"{place} was acknowledged twice"
            self.acknowledged[place] = value
            self.written[partition].append(time.monotonic())

    def run(self):
        while not self.ending.is_set():
            partition = self.chance.randrange(self.partitions)
            value = f"{self.sent} {self.chance.randbytes(100).hex()}".encode()
            self.sent += 1
            try:
                future = self.producer.send(self.topic, value=value, partition=partition)
            except KafkaError as error:
                self.refused.append(repr(error))
                time.sleep(0.05)
                continue
            future.add_callback(lambda metadata, p=partition, v=value: self.on_written(p, v, metadata))
            future.add_errback(lambda error: self.refused.append(repr(error)))
            time.sleep(0.005)

    def known(self):
        with self.lock:
            return dict(self.acknowledged), set()

    def stop(self):
        self.ending.set()
        self.thread.join(60)
        self.producer.flush(timeout=120)
        self.producer.close(timeout=10)
        if self.problem:
            raise Broken(self.problem)


def wait_written(loads, more, what):
    """Waits until each partition of each load has been written `more` times."""
    wanted = [[len(times) + more for times in load.written] for load in loads]

    def behind():
        return [
            (load.topic, partition)
            for load, counts in zip(loads, wanted, strict=True)
            for partition, count in enumerate(counts)
            if len(load.written[partition]) < count
        ]

    wait_until(lambda: not behind(), PATIENCE_S, lambda: f"{what}: nothing was acknowledged in {behind()}")


def gap_ms(load, since):
    """The longest time that any partition was not written, from just before `since` on."""
    longest = 0.0
    for times in load.written:
        around = [at for at in list(times) if at > since - 1]
        before = [at for at in list(times) if at <= since - 1][-1:]
        around = before + around
        longest = max([longest, *(later - earlier for earlier, later in zip(around, around[1:], strict=False) if later > since)])
    return round(longest * 1000)


def victim_of(number, cluster, chance):
    """The leader of partition 0, or anyone, by turns."""
    if number % 2 == 0:
        return chance.choice(cluster.servers)
    admin = [server for server in cluster.servers if server.runs()][0]
    leader = leader_of(admin.kafka, 0)
    return next(server for server in cluster.servers if server.node == leader)


def leader_of(bootstrap, partition):
    metadata = AdminClient({"bootstrap.servers": bootstrap, **QUIET}).list_topics(TOPIC, timeout=10)
    return metadata.topics[TOPIC].partitions[partition].leader


def lose(server, what):
    """Takes from a killed server what it had on its disk."""
    if what == "its log":
        for part in ("wal", "cache"):
            shutil.rmtree(server.data / part, ignore_errors=True)


def round_of(cluster, server, loads, taken):
    """One kill, until the killed server is back and everything is written as before."""
    others = ",".join(each.kafka for each in cluster.servers if each is not server)
    wait_written(loads, PER_PARTITION, "before the kill")
    server.kill()
    killed = time.monotonic()
    lose(server, taken)
    wait_written(loads, PER_PARTITION, f"while {server.node} is away")
    gaps = {load.topic: gap_ms(load, killed) for load in loads}
    for load in loads:
        spread = leaders(others, load.topic)
        if server.node in spread or sum(spread.values()) != PARTITIONS:
            raise Broken(f"while server {server.node} is away, {load.topic} is led by {dict(spread)}")
    return gaps


def main():
    options = arguments(__doc__, 4)

    def suite(directory):
        cluster, chance = Cluster(options.program, directory), random.Random(options.seed)
        loads, gaps, problems = [], [], []
        try:
            cluster.start()
            for topic in (TOPIC, OTHER):
                create(cluster.kafka, topic, PARTITIONS)
            loads.append(Placed(cluster, TOPIC, PARTITIONS, options.seed).start())
            loads.append(PythonLoad(cluster.kafka, OTHER, PARTITIONS, options.seed))
            for number in range(options.rounds):
                server, taken = victim_of(number, cluster, chance), TAKEN[number // 2 % len(TAKEN)]
                gaps.append({"killed": server.node, "lost": taken, **round_of(cluster, server, loads, taken)})
                if number == 0:
                    # Nobody waits for a server that is away to read.
                    rest = type("Rest", (), {"kafka": ",".join(s.kafka for s in cluster.servers if s is not server)})
                    for load in loads:
                        known = load.known()
                        lost, _, some = judge(known, read_all(rest, load.topic, PARTITIONS, PATIENCE_S))
                        if lost:
                            raise Broken(f"while server {server.node} is away, {lost} records are not there: {some}")
                server.start()
                wait_written(loads, PER_PARTITION, f"after {server.node} has come back")
            for load in loads:
                load.stop()
                check(load.known(), read_all(cluster, load.topic, PARTITIONS), f"{load.topic} after the kills")
            # The last one to stop has no quorum to commit a flush to.
            for server in cluster.servers:
                server.call("v1/tier/flush")
            for server in cluster.servers:
                server.stop()
        finally:
            for load in loads:
                load.ending.set()
            cluster.kill()
        slow = [gap for gap in gaps if max(gap[TOPIC], gap[OTHER]) > GAP_MAX_S * 1000]
        problems += [f"a partition had no leader for too long: {gap}" for gap in slow]
        figures = {
            "kills": len(gaps),
            "gap_ms_librdkafka": sorted(gap[TOPIC] for gap in gaps),
            "gap_ms_kafka_python": sorted(gap[OTHER] for gap in gaps),
            "acknowledged": sum(len(load.known()[0]) + len(load.known()[1]) for load in loads),
            "refused_by_kafka_python": len(loads[1].refused),
            "lost": 0,
            "doubled": 0,
        }
        return figures, problems

    return run_suite("kill-brokers", suite)


if __name__ == "__main__":
    sys.exit(main())
