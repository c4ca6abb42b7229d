#!/usr/bin/env python3
"""Kills a broker again and again under load, and reads everything back.

Producers (idempotent, acks=all) write numbered values to three partitions while the broker is killed with SIGKILL at
random moments, restarted on the same directory, and now and then told to flush. At the end every acknowledged record has
to be at exactly the offset that was acknowledged, with its bytes, and no value may stand twice: once read as it is, once
after a flush, an orderly restart and with empty caches, so that the bytes come from the bucket.

Exit code 0: nothing lost, nothing doubled. The last line is JSON.
"""

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "kill-loop"
PARTITIONS = 3
QUIET = {"log_level": 0}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    def __init__(self, program, directory):
        self.program = program
        self.directory = directory
        self.kafka = f"127.0.0.1:{free_port()}"
        self.admin = f"127.0.0.1:{free_port()}"
        self.process = None

    def start(self):
        log = open(os.path.join(self.directory, "esker.log"), "ab")
        self.process = subprocess.Popen(
            [
                self.program,
                "dev",
                "--data-dir",
                os.path.join(self.directory, "data"),
                "--kafka-addr",
                self.kafka,
                "--admin-addr",
                self.admin,
            ],
            stderr=log,
        )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SystemExit(f"the broker ended with {self.process.returncode}: see {log.name}")
            try:
                self.call("readyz", "GET", 1)
                return
            except OSError:
                time.sleep(0.01)
        raise SystemExit("the broker does not become ready")

    def call(self, path, method="POST", timeout=60):
        request = urllib.request.Request(f"http://{self.admin}/{path}", method=method)
        return urllib.request.urlopen(request, timeout=timeout).read()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        if self.process.wait(60) != 0:
            raise SystemExit(f"an orderly stop ended with {self.process.returncode}")


def write(broker, rounds, chance):
    """Answers what was acknowledged: (partition, offset) to value; and how many values were sent."""
    acknowledged, sent, failed = {}, 0, 0

    def on_delivery(error, message):
        nonlocal failed
        if error is not None:
            failed += 1
            return
        place = (message.partition(), message.offset())
        if place in acknowledged:
            raise SystemExit(f"{place} was acknowledged twice: {acknowledged[place]} and {message.value()}")
        acknowledged[place] = message.value()

    for _ in range(rounds):
        producer = Producer(
            {
                "bootstrap.servers": broker.kafka,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 1,
                "message.timeout.ms": 30000,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 100,
                **QUIET,
            }
        )
        kill_at = time.monotonic() + chance.uniform(0.05, 0.6)
        end = kill_at + 0.3
        killed = False
        while time.monotonic() < end:
            for _ in range(20):
                try:
                    producer.produce(
                        TOPIC, value=b"%d" % sent, partition=chance.randrange(PARTITIONS), on_delivery=on_delivery
                    )
                    sent += 1
                except BufferError:
                    producer.poll(0.05)
            producer.poll(0)
            if not killed and chance.random() < 0.02:
                try:
                    broker.call("v1/tier/flush", timeout=0.3)
                except OSError:
                    pass
            if not killed and time.monotonic() >= kill_at:
                broker.kill()
                killed = True
                broker.start()
            time.sleep(0.001)
        left = producer.flush(60)
        if left:
            raise SystemExit(f"{left} records were neither acknowledged nor refused")
    return acknowledged, sent, failed


def read(broker):
    consumer = Consumer(
        {
            "bootstrap.servers": broker.kafka,
            "group.id": "reader",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            **QUIET,
        }
    )
    consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)])
    found, ended = {}, set()
    deadline = time.monotonic() + 300
    while len(ended) < PARTITIONS and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            ended.add(message.partition())
            continue
        found[(message.partition(), message.offset())] = message.value()
    consumer.close()
    if len(ended) < PARTITIONS:
        raise SystemExit("reading does not come to an end")
    return found


def judge(acknowledged, found):
    lost = [place for place, value in acknowledged.items() if found.get(place) != value]
    values = list(found.values())
    return len(lost), len(values) - len(set(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=os.environ.get("ESKER_BIN", "target/debug/esker"))
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="esker-kill-")
    broker = Broker(arguments.program, directory)
    started = time.monotonic()
    try:
        broker.start()
        admin = AdminClient({"bootstrap.servers": broker.kafka, **QUIET})
        admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result()
        acknowledged, sent, failed = write(broker, arguments.rounds, random.Random(arguments.seed))
        hot = judge(acknowledged, read(broker))
        broker.call("v1/tier/flush")
        broker.stop()
        broker.start()
        broker.call("v1/cache/clear")
        cold = judge(acknowledged, read(broker))
        broker.stop()
    finally:
        if broker.process.poll() is None:
            broker.kill()
    clean = hot == (0, 0) and cold == (0, 0)
    print(
        json.dumps(
            {
                "kills": arguments.rounds,
                "seed": arguments.seed,
                "sent": sent,
                "acknowledged": len(acknowledged),
                "failed": failed,
                "lost_hot": hot[0],
                "doubled_hot": hot[1],
                "lost_cold": cold[0],
                "doubled_cold": cold[1],
                "seconds": round(time.monotonic() - started, 1),
            }
        )
    )
    if clean:
        shutil.rmtree(directory)
    else:
        print(f"kept: {directory}", file=sys.stderr)
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
