"""What is measured, and the bars."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from suite import cold, process, tiered
from suite.crosscheck import cross_check
from suite.brokers import Broker, Esker, Kafka, Null, answers_metadata, asked_metadata, finish, program
from suite.process import Process, cores, drop_page_cache, wait_for

Figures = dict[str, float]
GB = 1e9
# What a block may write, so that a run fits a small disk.
BLOCK_BYTES = 500_000_000


@dataclass(frozen=True)
class Bar:
    """What a figure has to reach: as a ratio to Kafka, or by itself."""

    figure: str
    unit: str
    smaller: bool = True
    ratio: float | None = None
    limit: float | None = None
    # Divides the figure by one of the machine's before it is held against `limit`.
    over: str | None = None


@dataclass(frozen=True)
class Paired:
    """A scenario in which both brokers are loaded in turn."""

    name: str
    number: str
    what: str
    topic: str
    partitions: int
    block: Callable[[Broker, str, float], Figures]
    bars: tuple[Bar, ...]
    seconds: float = 3.0
    warm_up: float = 4.0
    pairs: int = 7
    configs: dict[str, str] = field(default_factory=dict)


def _spent(broker: Broker, run: Callable[[], dict]) -> tuple[dict, float]:
    before = broker.process.cpu()
    report = run()
    return report, broker.process.cpu() - before


def produce(*words: object) -> Callable[[Broker, str, float], Figures]:
    """As much as the broker takes."""

    def block(broker: Broker, topic: str, seconds: float) -> Figures:
        report, cpu = _spent(broker, lambda: broker.bench("produce", topic, "-d", seconds, "--bytes", BLOCK_BYTES, *words))
        times = report["request_latency"]
        return {
            "MB/s": report["bytes"] / report["seconds"] / 1e6,
            "CPU-s/GB": cpu / report["bytes"] * GB,
            "MB/s per core": report["bytes"] / 1e6 / max(cpu, 0.01),
            "µs CPU/request": cpu / report["requests"] * 1e6,
            "requests/s": report["requests"] / report["seconds"],
            "p50 ms": times["p50"] / 1e3,
            "p99 ms": times["p99"] / 1e3,
        }

    return block


def latency(*words: object) -> Callable[[Broker, str, float], Figures]:
    """Single records on a timetable, there and back."""

    def block(broker: Broker, topic: str, seconds: float) -> Figures:
        report, cpu = _spent(
            broker, lambda: broker.bench("latency", topic, "-d", seconds, "--warm-up", 0.5, *words)
        )
        figures = {"CPU-s/GB": cpu / report["bytes"] * GB}
        for name, times in (("ack", report["request_latency"]), ("end to end", report["end_to_end_latency"])):
            for figure, key in (("p50", "p50"), ("p99", "p99"), ("p99.9", "p99_9")):
                figures[f"{name} {figure} ms"] = times[key] / 1e3
        return figures

    return block


def fan_out(groups: int) -> Callable[[Broker, str, float], Figures]:
    """20 MB/s in, several groups that read along."""

    def block(broker: Broker, topic: str, seconds: float) -> Figures:
        before = broker.process.cpu()
        words = ("consume", topic, "-g", groups, "--from-end", "--follow", "-d", seconds)
        reading = broker.bench(*words, wait=False)
        sent = broker.bench("produce", topic, "-d", seconds, "--rate", 20e6, "--batches", 4, "-c", 2, "--acks", 1)
        read = finish(reading)
        cpu = broker.process.cpu() - before
        return {
            "CPU-s/GB out": cpu / read["bytes"] * GB,
            "GB out": read["bytes"] / GB,
            "ack p99 ms": sent["request_latency"]["p99"] / 1e3,
        }

    return block


_LARGE = ("-s", 1024, "--batch", 16, "--batches", 16, "-c", 4, "--in-flight", 5, "--acks", 1)
_SMALL = ("-s", 100, "--batch", 150, "--batches", 16, "-c", 4, "--in-flight", 5, "--acks", 1)
_SINGLE = ("-s", 1024, "--batch", 1, "--batches", 1, "-c", 64, "--in-flight", 1, "--acks", 1)
_SYNC = {"flush.messages": "1"}

PAIRED: tuple[Paired, ...] = (
    Paired(
        "produce-1k", "1", "produce 1 KiB records, 256 KiB requests, 4 connections", "p1k", 16, produce(*_LARGE),
        (
            Bar("MB/s per core", "MB/s per core", smaller=False, ratio=3.0),
            Bar("CPU-s/GB", "CPU-s/GB", ratio=0.35, limit=1.0),
            Bar("MB/s", "MB/s", smaller=False),
        ),
    ),
    Paired(
        "produce-100b", "2", "produce 100 B records, 256 KiB requests", "p100", 16, produce(*_SMALL),
        (Bar("CPU-s/GB", "CPU-s/GB", ratio=0.30), Bar("MB/s", "MB/s", smaller=False)),
    ),
    Paired(
        "produce-single", "3", "one 1 KiB record a request, 64 connections", "single", 16, produce(*_SINGLE),
        (
            Bar("µs CPU/request", "µs CPU/request", ratio=0.35, limit=45.0),
            Bar("requests/s", "requests/s", smaller=False),
        ),
    ),
    Paired(
        "durable-16", "4", "durable produce, 16 requests of 16 KiB under way; Kafka with flush.messages=1", "d16", 16,
        produce("--batches", 1, "-c", 4, "--in-flight", 4, "--acks", "all"),
        (
            Bar("MB/s", "MB/s", smaller=False, ratio=10.0, limit=0.70, over="disk-16"),
            Bar("p99 ms", "ms", ratio=0.2),
        ),
        configs=_SYNC,
    ),
    Paired(
        "durable-64", "4", "durable produce, 64 requests of 16 KiB under way; Kafka with flush.messages=1", "d64", 16,
        produce("--batches", 1, "-c", 16, "--in-flight", 4, "--acks", "all"),
        (
            Bar("MB/s", "MB/s", smaller=False, ratio=10.0, limit=0.70, over="disk-64"),
            Bar("p99 ms", "ms", ratio=0.2),
        ),
        configs=_SYNC,
    ),
    Paired(
        "publish-latency", "7", "20,000 records/s of 1 KiB, 16 partitions", "pub", 16,
        latency("--rate", 20_000),
        (
            Bar("ack p50 ms", "ms"),
            Bar("ack p99 ms", "ms", ratio=0.5),
            Bar("ack p99.9 ms", "ms", ratio=0.3),
        ),
    ),
    Paired(
        "end-to-end", "8", "10,000 records/s of 1 KiB, 1 partition, one reader", "e2e", 1,
        latency("--rate", 10_000),
        (
            Bar("end to end p50 ms", "ms", limit=0.25),
            Bar("end to end p99 ms", "ms", ratio=0.5, limit=1.0),
            Bar("end to end p99.9 ms", "ms", ratio=0.3),
        ),
    ),
    Paired(
        "fan-out-4", "9", "20 MB/s in, 4 groups read along", "fan", 16, fan_out(4),
        (Bar("CPU-s/GB out", "CPU-s/GB out", ratio=0.7, limit=0.6),),
    ),
)


@dataclass(frozen=True)
class Single:
    """A scenario that starts brokers of its own; its figures are taken several times."""

    name: str
    number: str
    what: str
    ours: Callable[[Path | None], list[Figures]]
    theirs: Callable[[Path | None], list[Figures]] | None
    bars: tuple[Bar, ...]
    full_only: bool = False


def start_up(make: Callable[[Path | None], Broker], times: int) -> Callable[[Path | None], list[Figures]]:
    """From `exec` to the first answer, in an empty directory and again after a clean stop."""

    def run(base: Path | None) -> list[Figures]:
        found = []
        for _ in range(times):
            broker = make(base)
            try:
                first = _first_answer(broker)
                broker.process.stop()
                again = _first_answer(broker)
            finally:
                broker.discard()
            found.append({"empty ms": first * 1e3, "again ms": again * 1e3})
        return found

    return run


def _first_answer(broker: Broker) -> float:
    broker.process = Process(broker.command(), broker.directory / "log", broker.core)
    wait_for("the first answer", lambda: answers_metadata(broker.port), pause=0.0005)
    return time.monotonic() - broker.process.started


def idle(make: Callable[[Path | None], Broker], seconds: float) -> Callable[[Path | None], list[Figures]]:
    """Memory and processor time of a broker that nobody uses, empty and with a thousand partitions."""

    def run(base: Path | None) -> list[Figures]:
        broker = make(base).start()
        try:
            time.sleep(2)
            empty = _rest(broker, seconds)
            for number in range(10):
                broker.create(f"idle-{number}", 100)
            time.sleep(2)
            full = _rest(broker, seconds)
        finally:
            broker.discard()
        return [
            {
                "RSS MB": empty["rss"] / 1e6,
                "% of a core": empty["cpu"] * 100,
                "wake-ups/s": empty["wakeups"],
                "KB a partition": (full["rss"] - empty["rss"]) / 1000 / 1e3,
                "% of a core at 1,000": full["cpu"] * 100,
            }
        ]

    return run


def _rest(broker: Broker, seconds: float) -> Figures:
    cpu, wakeups = broker.process.cpu(), broker.process.wakeups()
    time.sleep(seconds)
    return {
        "cpu": max(broker.process.cpu() - cpu, 1e-4) / seconds,
        "wakeups": (broker.process.wakeups() - wakeups) / seconds,
        "rss": broker.process.rss(),
    }


def connections(make: Callable[[Path | None], Broker], count: int) -> Callable[[Path | None], list[Figures]]:
    """Memory of connections that have asked for metadata, and on which nothing happens any more."""

    def run(base: Path | None) -> list[Figures]:
        broker = make(base).start()
        held = []
        try:
            time.sleep(1)
            before = broker.memory()
            for _ in range(count):
                held.append(asked_metadata(broker.port))
            time.sleep(2)
            after = broker.memory()
        finally:
            for connection in held:
                connection.close()
            broker.discard()
        return [{"KB a connection": max(after - before, 1) / count / 1e3}]

    return run


def catch_up(megabytes: int) -> Callable[[Path | None], list[Figures]]:
    """Reading back what is in the bucket only, beside raw reads of the same objects."""

    def run(base: Path | None) -> list[Figures]:
        broker = Esker(base).start()
        try:
            broker.create("cold", 16)
            written = broker.bench("produce", "cold", "-d", 600, "--bytes", megabytes * 1_000_000, "--acks", 1)
            broker.admin("/v1/tier/flush", "POST")
            broker.process.stop()
            drop_page_cache()
            raw = machine("get", f"file://{broker.bucket}")
            drop_page_cache()
            broker.start()
            report, cpu = _spent(broker, lambda: broker.bench("consume", "cold", "-c", 4))
            gets = _metric(broker.metrics(), "bucket_gets")
        finally:
            broker.discard()
        rate = report["bytes"] / report["seconds"] / 1e6
        return [
            {
                "MB/s": rate,
                "of raw GET": rate / raw["mb_per_second"],
                "CPU-s/GB": cpu / report["bytes"] * GB,
                "GET/GB": gets / report["bytes"] * GB,
                "raw MB/s": raw["mb_per_second"],
                "GB": written["bytes"] / GB,
            }
        ]

    return run


def bucket_cost(megabytes: int) -> Callable[[Path | None], list[Figures]]:
    """Requests to the bucket and bytes on the disk for what is written."""

    def run(base: Path | None) -> list[Figures]:
        broker = Esker(base).start()
        try:
            broker.create("cost", 100)
            before = broker.metrics()
            report = broker.bench(
                "produce", "cost", "-d", 600, "--bytes", megabytes * 1_000_000, "--rate", 50e6, "-c", 2, "--acks", 1
            )
            broker.admin("/v1/tier/flush", "POST")
            after = broker.metrics()
            # What was sent is values; what a log has to keep is batches.
            batches = broker.bench("consume", "cost")["bytes"]
            stored = [path.stat().st_size for path in broker.bucket.rglob("*") if path.is_file()]
        finally:
            broker.discard()
        wal = _metric(after, "wal_written") - _metric(before, "wal_written")
        return [
            {
                "PUT/GB": len([size for size in stored if size > 1024]) / report["bytes"] * GB,
                "WAL B/B": wal / batches,
                "stored B/B": sum(stored) / batches,
            }
        ]

    return run


def _metric(figures: dict[str, float], name: str) -> float:
    return next(value for key, value in figures.items() if name in key)


def partitions_cost(
    make: Callable[[Path | None], Broker], counts: tuple[int, int]
) -> Callable[[Path | None], list[Figures]]:
    """CPU at 10 MB/s over few and over many partitions."""

    def run(base: Path | None) -> list[Figures]:
        broker = make(base).start()
        figures: Figures = {}
        try:
            for count in counts:
                began = time.monotonic()
                for number in range(max(1, count // 1000)):
                    broker.create(f"n{count}-{number}", min(count, 1000))
                figures[f"create {count:,} s"] = time.monotonic() - began
                topics = max(1, count // 1000)
                before = broker.process.cpu()
                words = ("-d", 8, "--rate", 10e6 / topics, "--batches", 10, "--batch", 4, "-c", 1, "--acks", 1)
                running = [
                    broker.bench("produce", f"n{count}-{number}", *words, wait=False) for number in range(topics)
                ]
                total = sum(finish(one)["bytes"] for one in running)
                figures[f"CPU-s/GB at {count:,}"] = (broker.process.cpu() - before) / total * GB
        finally:
            broker.discard()
        few, many = (figures[f"CPU-s/GB at {count:,}"] for count in counts)
        return [figures | {"CPU, many to few": many / few}]

    return run


class LargeKafka(Kafka):
    """Thousands of partitions want a larger heap."""

    heap = "4g"


def recovery(megabytes: int) -> Callable[[Path | None], list[Figures]]:
    """Starting after a kill with a full write-ahead log."""

    def run(base: Path | None) -> list[Figures]:
        # Nothing is flushed before the kill.
        late = {"esker.flush.bytes": "4GiB", "esker.flush.ms": "1h"}
        room = {"esker.tail.memory.bytes": "8GiB", "esker.background.memory.bytes": "8GiB"}
        broker = Esker(base, late | room).start()
        try:
            broker.create("log", 16)
            report = broker.bench("produce", "log", "-d", 600, "--bytes", megabytes * 1_000_000, "--acks", 1)
            broker.process.kill()
            took = _first_answer(broker)
        finally:
            broker.discard()
        return [{"MB/s": report["bytes"] / took / 1e6, "ms": took * 1e3}]

    return run


def machine(*words: object) -> dict:
    """One limit of this machine."""
    done = subprocess.run([*process.policy, program("esker-machine"), *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"esker-machine {words[0]}: {done.stderr}")
    return json.loads(done.stdout)


def limits(base: Path | None) -> Figures:
    """The machine, in the same run."""
    directory = Path(base or "/tmp")
    found = {}
    for writers in (1, 16, 64):
        report = machine("disk", directory, "--writers", writers, "--seconds", 2)
        found[f"disk-{writers}"] = report["mb_per_second"]
        found[f"disk-{writers} p50 µs"] = report["p50_us"]
        found[f"disk-{writers} p99 µs"] = report["p99_us"]
    found["loopback MB/s"] = machine("loopback")["mb_per_second"]
    memory = machine("memory")
    found["memory GB/s"] = memory["gb_per_second_256_mib"]
    found["memory GB/s, in cache"] = memory["gb_per_second_1_mib"]
    null = Null(base).start()
    try:
        null.bench("produce", "t", "-d", 0.5, *_LARGE)
        report, cpu = _spent(null, lambda: null.bench("produce", "t", "-d", 2, *_LARGE))
        found["null broker MB/s"] = report["bytes"] / report["seconds"] / 1e6
        found["null broker CPU-s/GB"] = cpu / report["bytes"] * GB
        report, cpu = _spent(null, lambda: null.bench("produce", "t", "-d", 2, *_SINGLE))
        found["null broker µs CPU/request"] = cpu / report["requests"] * 1e6
    finally:
        null.discard()
    return found


SINGLE: tuple[Single, ...] = (
    Single(
        "start-up", "15", "from exec to the first answer, empty directory", start_up(Esker, 5), start_up(Kafka, 2),
        (Bar("empty ms", "ms", ratio=0.08, limit=30.0), Bar("again ms", "ms")),
    ),
    Single(
        "idle", "16", "nobody there; then 1,000 partitions", idle(Esker, 10), idle(Kafka, 10),
        (
            Bar("RSS MB", "MB", ratio=0.08, limit=25.0),
            Bar("% of a core", "% of a core", ratio=0.1),
            Bar("wake-ups/s", "wake-ups/s", limit=50.0),
            Bar("KB a partition", "KB", limit=10.0),
        ),
    ),
    Single(
        "connections", "18", "1,000 idle connections", connections(Esker, 1000), connections(Kafka, 1000),
        (Bar("KB a connection", "KB", ratio=0.3, limit=8.0),),
    ),
    Single(
        "catch-up", "10", "1 GB read back from the bucket (a directory), nothing in memory", catch_up(1000),
        tiered.catch_up(1000),
        (Bar("of raw GET", "of raw GET", smaller=False, limit=0.34), Bar("MB/s", "MB/s", smaller=False, ratio=3.0),
         Bar("CPU-s/GB", "CPU-s/GB"), Bar("GET/GB", "GET/GB", limit=130.0)),
    ),
    Single(
        "bucket-cost", "21, 22", "1 GB at 50 MB/s over 100 partitions; Kafka with 16 full segments of 64 MiB",
        bucket_cost(1000), tiered.requests(1074),
        (
            Bar("PUT/GB", "PUT/GB", ratio=0.5, limit=20.0),
            Bar("WAL B/B", "WAL B/B", limit=1.02),
            Bar("stored B/B", "stored B/B"),
        ),
    ),
    Single(
        "recovery", "15", "start after kill -9 with 1 GB in the log", recovery(1000), None,
        (Bar("MB/s", "MB/s", smaller=False, limit=800.0), Bar("ms", "ms")),
        full_only=True,
    ),
    Single(
        "partitions", "17", "10 MB/s over 100 and over 10,000 partitions",
        partitions_cost(Esker, (100, 10_000)), partitions_cost(LargeKafka, (100, 10_000)),
        (
            Bar("CPU, many to few", "times", limit=2.0),
            Bar("CPU-s/GB at 10,000", "CPU-s/GB", ratio=0.3),
            Bar("create 10,000 s", "s"),
        ),
        full_only=True,
    ),
    Single(
        "cross-check", "1", "1 KiB records by librdkafka's generator and by Apache Kafka's, 500 MB each",
        cross_check(Esker, 500), cross_check(Kafka, 500),
        tuple(
            Bar(f"{name} {figure}", figure, smaller=figure != "MB/s")
            for name in ("rdkafka", "kafka-tools")
            for figure in ("MB/s", "CPU-s/GB")
        ),
        full_only=True,
    ),
    Single(
        "start-10000", "15", "from exec to the first answer with 10,000 partitions", cold.start_with(10_000), None,
        (Bar("after a stop ms", "ms", limit=400.0), Bar("after a kill ms", "ms")),
        full_only=True,
    ),
    Single(
        "catch-up-far", "10", "1 GB read back from a MinIO over a line of 200 MB/s and 50 ms, nothing in memory",
        cold.shaped_catch_up(1000, 25, 200), None,
        (Bar("of raw GET", "of raw GET", smaller=False, limit=0.9), Bar("MB/s", "MB/s", smaller=False)),
        full_only=True,
    ),
    Single(
        "cold-beside-tail", "11", "20 MB/s and a reader at the end, while 1 GB of the past is read", cold.beside_tail(1000, 6),
        tiered.beside_tail(1000, 6),
        (
            Bar("tail p99 ms, added", "ms", ratio=0.2),
            Bar("tail p99, beside to alone", "times", limit=1.5),
            Bar("longest ack ms, beside", "ms", limit=50.0),
            Bar("tail p99 ms, alone", "ms"),
            Bar("tail p99 ms, beside", "ms"),
            Bar("cold MB/s", "MB/s", smaller=False),
        ),
        full_only=True,
    ),
    Single(
        "replay", "12", "1 GB read a second time, by another group, from the chunk cache", cold.replay(1000), None,
        (
            Bar("of raw GET", "of raw GET", smaller=False, limit=0.7),
            Bar("GET/GB", "GET/GB", limit=1.0),
            Bar("MB/s", "MB/s", smaller=False),
            Bar("CPU-s/GB", "CPU-s/GB"),
        ),
        full_only=True,
    ),
)
