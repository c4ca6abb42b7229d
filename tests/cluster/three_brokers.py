#!/usr/bin/env python3
"""Three servers are one cluster: a quorum of metadata, partitions and groups on all of them, and a kill loses nothing.

Each is a process of its own with a data directory and addresses of its own; they share a bucket and a secret. A producer writes
to all partitions and a group reads while one server after the other is killed (-9), among them whoever leads the metadata. While
one is away the others make topics, serve their partitions and coordinate their groups; when it is back it serves what it
led, and everything acknowledged is there, once.
"""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))

from confluent_kafka import Consumer, KafkaException  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402
from harness import (  # noqa: E402
    QUIET,
    SMALL_LOG,
    Broken,
    Broker,
    Load,
    arguments,
    check,
    free_port,
    read_all,
    run_suite,
    wait_until,
)

TOPIC, PARTITIONS = "three-brokers", 12
NODES = (1, 2, 3)
SECRET = "a secret of this test and of nobody else"
# A voter stands for election after 0.5 to 1 s; clients ask again after a tenth.
PATIENCE_S = 30


class Server(Broker):
    """One of them."""

    def __init__(self, program, node, directory, peers, settings):
        voters = ",".join(f"{each}@127.0.0.1:{port}" for each, port in peers.items())
        own = {
            "node.id": node,
            "controller.quorum.voters": voters,
            "esker.peer.listener": f"127.0.0.1:{peers[node]}",
        }
        environment = {"ESKER_CLUSTER_SECRET": SECRET}
        data, log = directory / f"data-{node}", directory / f"esker-{node}.log"
        super().__init__(program, data, log, {**settings, **own}, environment, f"file://{directory / 'bucket'}")
        self.node = node


class Cluster:
    """All of them, as a client sees them."""

    def __init__(self, program, directory):
        peers = {node: free_port() for node in NODES}
        self.servers = [Server(program, node, directory, peers, SMALL_LOG) for node in NODES]

    @property
    def kafka(self):
        return ",".join(server.kafka for server in self.servers)

    def start(self):
        for server in self.servers:
            server.spawn()
        for server in self.servers:
            server.wait_ready()

    def kill(self):
        for server in self.servers:
            server.kill()


def create(bootstrap, topic, partitions):
    """Makes a topic; tries again while the quorum elects."""
    admin = AdminClient({"bootstrap.servers": bootstrap, **QUIET})
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            admin.create_topics([NewTopic(topic, partitions, 1)], request_timeout=10)[topic].result()
            return
        except KafkaException as error:
            if error.args[0].name() == "TOPIC_ALREADY_EXISTS":
                return
            if time.monotonic() > deadline:
                raise Broken(f"topic {topic} cannot be made: {error}") from None


def leaders(bootstrap, topic):
    """Partitions of a topic by their leader, as one server tells it."""
    metadata = AdminClient({"bootstrap.servers": bootstrap, **QUIET}).list_topics(topic, timeout=10)
    return Counter(partition.leader for partition in metadata.topics[topic].partitions.values())


class Readers:
    """A group that reads and commits until it is told to end."""

    def __init__(self, bootstrap, group):
        self.config = {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 45000,
            "reconnect.backoff.max.ms": 200,
            **QUIET,
        }
        self.seen, self.ending = Counter(), threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        consumer = Consumer(self.config)
        consumer.subscribe([TOPIC])
        while not self.ending.is_set():
            for message in consumer.consume(1000, 0.2):
                if message.error() is None:
                    self.seen[message.partition(), message.offset()] += 1
        consumer.close()

    def stop(self):
        self.ending.set()
        self.thread.join(60)


def one_away(cluster, server, load, number):
    """One server is killed: the others go on, and it comes back."""
    others = ",".join(each.kafka for each in cluster.servers if each is not server)
    server.kill()
    killed = time.monotonic()
    create(others, f"while-{server.node}-is-away-{number}", 3)
    decided_ms = round((time.monotonic() - killed) * 1000)
    load.wait_for(50, PATIENCE_S, f"acknowledgements while {server.node} is away")
    server.start()
    load.wait_for(300, PATIENCE_S, f"acknowledgements after {server.node} has come back")
    return decided_ms


def refused_without_the_secret(program, directory, cluster):
    """A node with another secret gets no connection, and says what it waits for."""
    stranger = cluster.servers[0]
    port = stranger.settings["esker.peer.listener"].rsplit(":", 1)[1]
    command = [program, "dev", "--data-dir", str(directory / "stranger"), "--kafka-addr", "127.0.0.1:0"]
    command += ["--admin-addr", "127.0.0.1:0", "--bucket", "memory:"]
    command += ["--set", f"controller.quorum.voters=1@127.0.0.1:{port},9@127.0.0.1:9", "--set", "node.id=9"]
    command += ["--set", "esker.peer.listener=127.0.0.1:0"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, env={**os.environ, "ESKER_CLUSTER_SECRET": ""})
    if told.returncode != 2 or "secret" not in told.stderr:
        raise Broken(f"a node without a secret ended with {told.returncode}: {told.stderr[-300:]}")


def main():
    options = arguments(__doc__, 1)

    def suite(directory):
        cluster = Cluster(options.program, directory)
        load, readers, decided, problems = None, None, [], []
        try:
            cluster.start()
            create(cluster.servers[0].kafka, TOPIC, PARTITIONS)
            for server in cluster.servers:
                told = lambda: sum(leaders(server.kafka, TOPIC).values()) == PARTITIONS  # noqa: E731, B023
                wait_until(told, PATIENCE_S, f"the topic on server {server.node}")
                spread = leaders(server.kafka, TOPIC)
                if sorted(spread) != list(NODES) or set(spread.values()) != {PARTITIONS // len(NODES)}:
                    raise Broken(f"server {server.node} tells of leaders {dict(spread)}")
            refused_without_the_secret(options.program, directory, cluster)
            load = Load(cluster, TOPIC, PARTITIONS, options.seed).start()
            readers = Readers(cluster.servers[1].kafka, "readers")
            load.wait_for(200)
            for number in range(options.rounds):
                for server in cluster.servers:
                    decided.append(one_away(cluster, server, load, number))
            load.stop()
            known = load.known()
            check(known, read_all(cluster, TOPIC, PARTITIONS), "after the kills")
            acknowledged = set(known[0])
            wait_until(lambda: acknowledged <= set(readers.seen), PATIENCE_S, "the group to have read everything")
            readers.stop()
            for server in cluster.servers:
                server.stop()
        finally:
            for each in (load, readers):
                if each is not None:
                    each.ending.set()
            cluster.kill()
        figures = {
            "kills": len(decided),
            "decided_without_one_ms": decided,
            "acknowledged": len(known[0]) + len(known[1]),
            "lost": 0,
            "read_by_the_group": len(readers.seen),
        }
        return figures, problems

    return run_suite("three-brokers", suite)


if __name__ == "__main__":
    sys.exit(main())
