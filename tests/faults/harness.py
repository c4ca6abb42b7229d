"""What the fault suites share: a broker as a process, producers that write down what was acknowledged, a reader, a judge.

A suite is a program with a verdict of its own. Exit code 0: as promised; 1: not; 77: it could not run here, and the
last line says why. The last line of a run is JSON with what was done and found; its `skipped` names the recipes of a suite
that could not run here, and why: the runner counts them as skipped.
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
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections import Counter
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

QUIET = {"log_level": 0}
# What the client tells in passing while it goes on by itself.
PASSING = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError.KAFKA_STORAGE_ERROR)
SKIPPED = 77
START_PATIENCE_S = 60
READ_PATIENCE_S = 300
# Small, so that segments roll, logs are recycled and snapshots written within a run of seconds.
SMALL_LOG = {
    "esker.wal.segment.bytes": 4 << 20,
    "esker.wal.capacity.bytes": 32 << 20,
    "esker.flush.bytes": 2 << 20,
    "esker.flush.ms": 2000,
    "metadata.log.max.record.bytes.between.snapshots": 20_000,
}


def wait_until(condition, patience_s, what):
    """Waits for a condition; `what` it is, or a function that says it when it does not come."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise Broken(f"{what() if callable(what) else what}: not within {patience_s} s")
        time.sleep(0.05)


class Broken(Exception):
    """The broker does not keep a promise."""


class Skipped(Exception):
    """What the suite needs is not to be had on this machine."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Broker:
    """`esker dev` on a data directory; what it logs is kept in `log`, outside of that directory."""

    def __init__(self, program, data, log, settings=None, environment=None, bucket=None):
        self.program = program
        self.data = Path(data)
        self.log = Path(log)
        self.settings = settings or {}
        self.environment = environment or {}
        self.bucket = bucket
        self.kafka = f"127.0.0.1:{free_port()}"
        self.admin = f"127.0.0.1:{free_port()}"
        self.process = None

    def spawn(self):
        """Starts the process; does not wait for it."""
        command = [self.program, "dev", "--data-dir", str(self.data)]
        command += ["--kafka-addr", self.kafka, "--admin-addr", self.admin]
        if self.bucket:
            command += ["--bucket", self.bucket]
        # Where OTLP is taken unless told is the same port for all.
        for name, value in {"esker.otlp.http.listener": "", **self.settings}.items():
            command += ["--set", f"{name}={value}"]
        with self.log.open("ab") as log:
            environment = {**os.environ, **self.environment}
            self.process = subprocess.Popen(command, stderr=log, stdout=log, env=environment)

    def start(self):
        """Starts the process and waits until it serves."""
        self.spawn()
        self.wait_ready()

    def is_ready(self):
        try:
            self.call("readyz", "GET", 1)
            return True
        except OSError:
            return False

    def wait_ready(self):
        deadline = time.monotonic() + START_PATIENCE_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Broken(f"the broker ended with {self.process.returncode}: {self.last_lines()}")
            if self.is_ready():
                return
            time.sleep(0.01)
        raise Broken("the broker does not become ready")

    def wait_end(self, patience_s=30):
        """Waits until the process ends by itself; its exit code."""
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            raise Broken(f"the broker runs on: {self.last_lines()}") from None

    def call(self, path, method="POST", timeout=60):
        request = urllib.request.Request(f"http://{self.admin}/{path}", method=method)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.read()

    def metric(self, name):
        """A figure of `/metrics`, counted since the start."""
        for line in self.call("metrics", "GET").decode().splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
        raise Broken(f"there is no metric {name}")

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self):
        self.process.terminate()
        code = self.wait_end(60)
        if code != 0:
            raise Broken(f"an orderly stop ended with {code}: {self.last_lines()}")

    def log_size(self):
        return self.log.stat().st_size if self.log.exists() else 0

    def log_since(self, position=0):
        with self.log.open("rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")

    def last_lines(self, count=3):
        return " | ".join(self.log_since().strip().splitlines()[-count:])

    def create_topic(self, topic, partitions, config=None):
        admin = AdminClient({"bootstrap.servers": self.kafka, **QUIET})
        admin.create_topics([NewTopic(topic, partitions, 1, config=config or {})])[topic].result()


class History:
    """What clients do and are told, in the format of `tests/checker`. Any thread may tell; without a file nothing is kept."""

    def __init__(self, path):
        self.path, self.file = path, path.open("w") if path else None
        self.lock = threading.Lock()
        self.index = self.readers = self.senders = 0
        # A process of the format does one thing at a time; a producer with many records on their way is as many of them.
        self.idle, self.sending = [], {}

    def tell(self, process, kind, f, value):
        if self.file is None:
            return
        with self.lock:
            now = time.monotonic_ns() // 1_000_000
            entry = {"index": self.index, "time": now, "process": process, "type": kind, "f": f, "value": value}
            self.file.write(json.dumps(entry) + "\n")
            self.index += 1

    def sent(self, key, value):
        """A value, unique within the partition `key`, is on its way."""
        if self.file is None:
            return
        if self.idle:
            process = self.idle.pop()
        else:
            self.senders += 1
            process = f"sender-{self.senders}"
        self.sending[key, value] = process
        self.tell(process, "invoke", "send", [["send", key, value]])

    def settled(self, key, value, kind, offset=None, details=None):
        """What became of it: `ok` or `info`, and where it is if that was told."""
        if self.file is None:
            return
        process = self.sending.pop((key, value))
        self.tell(process, kind, "send", [["send", key, [offset, value, details or {}]]])
        self.idle.append(process)

    def read(self, found):
        """A reader of its own has read from the beginning of each partition: `{key: [[offset, value, details]...]}`."""
        self.readers += 1
        reader = f"reader-{self.readers}"
        self.tell(reader, "ok", "assign", list(found))
        self.tell(reader, "ok", "poll", [["poll", found]])

    def edges(self, edges):
        self.tell("edges", "ok", "edges", edges)

    def last_polls(self):
        self.tell("end", "ok", "final-polls", None)

    def judge(self):
        """What the checker finds wrong."""
        if self.file is None:
            return []
        self.file.flush()
        program = Path(__file__).resolve().parent.parent / "checker" / "check.py"
        done = subprocess.run([sys.executable, program, self.path], capture_output=True, text=True, check=False)
        return [] if done.returncode == 0 else [*done.stdout.splitlines(), *done.stderr.splitlines()[-3:]]


UNTOLD = History(None)


def sum_of(value):
    """What a history compares contents by."""
    return {"sum": zlib.crc32(value)}


def name_of(value):
    """What a history calls a value of `Load`: its number."""
    return value.split(b" ", 1)[0].decode()


class Load:
    """A thread with a producer that writes numbered values and notes what is acknowledged.

    It is idempotent and asks for acks=all, or `plain`: acks=1 and nothing that keeps a value that it sends again from
    standing twice.
    """

    def __init__(
        self, broker, topic, partitions, seed, value_max=2000, pause_s=0.004, burst=8, timeout_ms=300000, history=UNTOLD, plain=False
    ):
        self.history, self.plain = history, plain
        self.topic, self.partitions, self.chance = topic, partitions, random.Random(seed)
        self.value_max, self.pause_s, self.burst = value_max, pause_s, burst
        self.acknowledged, self.sent = {}, 0
        # The client knows that these are written, not where: it was told that their sequence numbers are behind.
        self.unplaced = set()
        # Time of each acknowledgement, in their order.
        self.times = []
        self.errors = Counter()
        self.problem = None
        self.config = {
            "bootstrap.servers": broker.kafka,
            "acks": "1" if plain else "all",
            "enable.idempotence": not plain,
            "linger.ms": 1,
            "message.timeout.ms": timeout_ms,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100,
            "retry.backoff.ms": 20,
            "retry.backoff.max.ms": 200,
            "error_cb": lambda error: self.errors.update([error.name()]),
            **QUIET,
        }
        self.ending = threading.Event()
        self.thread = None

    def on_delivery(self, error, message):
        key, name = f"{self.topic}-{message.partition()}", name_of(message.value())
        if error is not None:
            self.errors[f"delivery: {error.name()}"] += 1
            self.history.settled(key, name, "info", details=sum_of(message.value()))
            return
        self.history.settled(key, name, "ok", message.offset(), sum_of(message.value()))
        if message.offset() is None:
            self.unplaced.add(message.value())
            self.times.append(time.monotonic())
            return
        place = (message.partition(), message.offset())
        if place in self.acknowledged:
            self.problem = f"{place} was acknowledged twice"
        self.acknowledged[place] = message.value()
        self.times.append(time.monotonic())

    def start(self):
        self.ending.clear()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def value(self):
        filler = self.chance.randbytes(self.chance.randrange(self.value_max) // 2).hex() if self.value_max else ""
        return f"{self.sent} {filler}".encode()

    def run(self):
        producer = Producer(self.config)
        while not self.ending.is_set():
            for _ in range(self.burst):
                try:
                    partition = self.chance.randrange(self.partitions)
                    producer.produce(self.topic, value=self.value(), partition=partition, on_delivery=self.on_delivery)
                    # Told late: deliveries are heard of in this very thread, so none comes between.
                    self.history.sent(f"{self.topic}-{partition}", str(self.sent))
                    self.sent += 1
                except BufferError:
                    producer.poll(0.05)
                except KafkaException as error:
                    # A fatal error of an idempotent producer: only a new one goes on.
                    self.errors[f"fatal: {error.args[0].name()}"] += 1
                    producer = Producer(self.config)
            producer.poll(0)
            # A full queue means that nothing is taken: no need to fill it with a million more.
            if len(producer) > 5000:
                producer.poll(0.05)
            time.sleep(self.pause_s)
        self.left = producer.flush(120)

    def wait_for(self, more, patience_s=60, what="acknowledgements"):
        """Waits until `more` further records are acknowledged."""
        wanted = len(self.times) + more
        deadline = time.monotonic() + patience_s
        while len(self.times) < wanted:
            if time.monotonic() > deadline:
                raise Broken(f"no {what} in {patience_s} s; errors: {dict(self.errors)}")
            time.sleep(0.005)

    def acknowledged_from(self, number):
        """How many of the values that were sent from this number on are acknowledged."""
        values = list(self.acknowledged.values()) + list(self.unplaced)
        return sum(int(name_of(value)) >= number for value in values)

    def known(self):
        """What is acknowledged by now: places with their values, and values without a place."""
        return dict(self.acknowledged), set(self.unplaced)

    def stop(self):
        """Ends writing; everything sent is acknowledged or refused afterwards."""
        self.ending.set()
        self.thread.join()
        if self.left:
            raise Broken(f"{self.left} records were neither acknowledged nor refused: {dict(self.errors)}")
        if self.problem:
            raise Broken(self.problem)


def read_all(broker, topic, partitions, patience_s=READ_PATIENCE_S, history=UNTOLD):
    """Everything from the beginning to the ends of this moment: (partition, offset) to value."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.kafka,
            "group.id": "reader",
            "enable.auto.commit": False,
            "check.crcs": True,
            **QUIET,
        }
    )
    deadline = time.monotonic() + patience_s
    try:
        edges = {}
        for partition in range(partitions):
            place = TopicPartition(topic, partition)
            edges[partition] = consumer.get_watermark_offsets(place, timeout=patience_s)
        history.edges({f"{topic}-{partition}": list(edge) for partition, edge in edges.items()})
        ends = {partition: end for partition, (_, end) in edges.items()}
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
        epochs = {}
        found, open_ends = {}, {partition for partition, end in ends.items() if end > 0}
        while open_ends:
            if time.monotonic() > deadline:
                raise Broken(f"reading does not come to an end: {len(found)} records read, the ends are {ends}")
            for message in consumer.consume(10000, 0.2):
                error = message.error()
                if error is None:
                    found[(message.partition(), message.offset())] = message.value()
                    epochs[(message.partition(), message.offset())] = message.leader_epoch()
                    if message.offset() + 1 >= ends[message.partition()]:
                        open_ends.discard(message.partition())
                elif not error.retriable() and error.code() not in PASSING:
                    raise Broken(f"reading ends with {error}")
        told = {f"{topic}-{partition}": [] for partition in range(partitions)}
        for (partition, offset), value in found.items():
            details = {**sum_of(value), "epoch": epochs[partition, offset]}
            told[f"{topic}-{partition}"].append([offset, name_of(value), details])
        history.read(told)
        return found
    except KafkaException as error:
        raise Broken(f"reading fails: {error}") from None
    finally:
        consumer.close()


def judge(known, found):
    """Compares what `Load.known` answered with what was read: (lost, doubled, the first few that are)."""
    acknowledged, unplaced = known
    values = Counter(found.values())
    lost = [(place, value[:20], found.get(place)) for place, value in acknowledged.items() if found.get(place) != value]
    lost += [(None, value[:20], None) for value in unplaced if value not in values]
    doubled = [value[:20] for value, count in values.items() if count > 1]
    return len(lost), sum(count - 1 for count in values.values()), [*lost[:5], *doubled[:5]]


def check(known, found, when, plain=False):
    """Raises with what is lost or doubled; a plain producer may double."""
    lost, doubled, some = judge(known, found)
    if lost or (doubled and not plain):
        raise Broken(f"{when}: {lost} records are lost, {doubled} doubled: {some}")


def make_cold(broker):
    """Everything into the bucket, then a restart with empty caches: what is read comes from objects."""
    broker.call("v1/tier/flush")
    broker.stop()
    broker.start()
    broker.call("v1/cache/clear")


def conclude(broker, load, history=UNTOLD, plain=None):
    """Ends the load, and that of a plain producer on a topic of its own, and reads everything back, hot and then from the
    bucket alone. Answers figures and what is wrong."""
    for each in filter(None, (load, plain)):
        each.stop()
    history.last_polls()

    def read_back():
        judged = judge(load.known(), read_all(broker, load.topic, load.partitions, history=history))
        of_plain = judge(plain.known(), read_all(broker, plain.topic, plain.partitions)) if plain else None
        return judged, of_plain

    hot, plain_hot = read_back()
    make_cold(broker)
    cold, plain_cold = read_back()
    broker.stop()
    problems = [f"lost and doubled: {hot} hot, {cold} cold"] if any(hot[:2] + cold[:2]) else []
    figures = {
        "sent": load.sent,
        "acknowledged": len(load.times),
        "refused": sum(count for name, count in load.errors.items() if name.startswith("delivery")),
        "lost_hot": hot[0],
        "doubled_hot": hot[1],
        "lost_cold": cold[0],
        "doubled_cold": cold[1],
    }
    if plain:
        if plain_hot[0] or plain_cold[0]:
            problems.append(f"of acks=1 lost: {plain_hot} hot, {plain_cold} cold")
        if not plain.times:
            problems.append("nothing was acknowledged with acks=1: that nothing of it is lost says nothing")
        figures["acks_1"] = {
            "sent": plain.sent,
            "acknowledged": len(plain.times),
            "lost_hot": plain_hot[0],
            "lost_cold": plain_cold[0],
            "sent_again_and_doubled": plain_cold[1],
        }
    if history.file is not None:
        figures["history"] = history.index
    return figures, problems + history.judge()


def arguments(description, rounds, **more):
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--program", default=os.environ.get("ESKER_BIN", "target/debug/esker"))
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--history", type=Path, help="keep what clients do and are told, for tests/checker, and check it")
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()


def run_suite(name, suite):
    """Runs `suite(directory)`, which answers a dictionary of figures and the list of what is wrong."""
    directory = Path(tempfile.mkdtemp(prefix=f"esker-{name}-"))
    started = time.monotonic()
    try:
        figures, problems = suite(directory)
    except Skipped as reason:
        shutil.rmtree(directory, ignore_errors=True)
        print(f"skipped: {reason}")
        return SKIPPED
    except Broken as problem:
        figures, problems = {}, [str(problem)]
    figures = {"suite": name, **figures, "seconds": round(time.monotonic() - started, 1)}
    for problem in problems:
        print(f"broken: {problem}", file=sys.stderr)
    if problems:
        print(f"kept: {directory}", file=sys.stderr)
    else:
        shutil.rmtree(directory, ignore_errors=True)
    sys.stderr.flush()
    print(json.dumps({**figures, "broken": len(problems)}))
    return 1 if problems else 0
