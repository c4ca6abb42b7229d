"""What is measured, and the bars."""

import json
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

from suite import cold, process, scale, tiered
from suite.brokers import Broker, Esker, Kafka, Null, finish, program
from suite.bucket import bucket_cost
from suite.crosscheck import cross_check
from suite.figures import GB, Bar, Figures, Paired, Single, metric, spent
from suite.process import drop_page_cache

# What a block may write, so that a run fits a small disk.
BLOCK_BYTES = 500_000_000


def produce(*words: object) -> Callable[[Broker, str, float], Figures]:
    """As much as the broker takes."""

    def block(broker: Broker, topic: str, seconds: float) -> Figures:
        report, cpu = spent(broker, lambda: broker.bench("produce", topic, "-d", seconds, "--bytes", BLOCK_BYTES, *words))
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
        report, cpu = spent(
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


LARGE = ("-s", 1024, "--batch", 16, "--batches", 16, "-c", 4, "--in-flight", 5, "--acks", 1)
_SMALL = ("-s", 100, "--batch", 150, "--batches", 16, "-c", 4, "--in-flight", 5, "--acks", 1)
_SINGLE = ("-s", 1024, "--batch", 1, "--batches", 1, "-c", 64, "--in-flight", 1, "--acks", 1)
_SYNC = {"flush.messages": "1"}
_ACK = (
    Bar("ack p50 ms", "ms"),
    Bar("ack p99 ms", "ms", ratio=0.5),
    Bar("ack p99.9 ms", "ms", ratio=0.3),
)
_END_TO_END = (
    Bar("end to end p50 ms", "ms", limit=0.25),
    Bar("end to end p99 ms", "ms", ratio=0.5, limit=1.0),
    Bar("end to end p99.9 ms", "ms", ratio=0.3),
)
_CONNECTIONS = (
    Bar("KB a connection", "KB", ratio=0.3, limit=8.0),
    Bar("connects/s", "connects/s", smaller=False),
    Bar("ack p99 ms beside", "ms"),
    Bar("ack p99, beside to alone", "times"),
)
_MANY = (
    Bar("after a stop ms", "ms", ratio=0.08),
    Bar("after a kill ms", "ms"),
    Bar("RSS MB", "MB", ratio=0.08),
    Bar("% of a core", "% of a core", ratio=0.1),
    Bar("all metadata ms", "ms"),
)
_CATCH_UP = (
    Bar("of raw GET", "of raw GET", smaller=False, limit=0.34),
    Bar("MB/s", "MB/s", smaller=False, ratio=3.0),
    Bar("CPU-s/GB", "CPU-s/GB"),
    Bar("GET/GB", "GET/GB", limit=130.0),
)
_BUCKET = (
    Bar("PUT/GB", "PUT/GB", ratio=0.5, limit=20.0),
    Bar("GET/GB, writing", "GET/GB"),
    Bar("LIST", "requests", limit=0.0),
    Bar("WAL B/B", "WAL B/B", limit=1.02),
    Bar("stored B/B", "stored B/B"),
    Bar("left after deletion B/B", "B/B", limit=0.001),
)

PAIRED: tuple[Paired, ...] = (
    Paired(
        "produce-1k", "1", "produce 1 KiB records, 256 KiB requests, 4 connections", "p1k", 16, produce(*LARGE),
        (
            Bar("MB/s per core", "MB/s per core", smaller=False, ratio=3.0),
            Bar("CPU-s/GB", "CPU-s/GB", ratio=0.35, limit=1.0),
            Bar("MB/s", "MB/s", smaller=False),
        ),
    ),
    Paired(
        "produce-100b", "2", "produce 100 B records, 256 KiB requests", "p100", 16, produce(*_SMALL),
        (
            Bar("CPU-s/GB", "CPU-s/GB", ratio=0.30, limit=1.15, over="produce-1k CPU-s/GB"),
            Bar("MB/s", "MB/s", smaller=False),
        ),
    ),
    Paired(
        "produce-single", "3", "one 1 KiB record a request, 64 connections", "single", 16, produce(*_SINGLE),
        (
            Bar("µs CPU/request", "µs CPU/request", ratio=0.35, limit=45.0),
            Bar("requests/s", "requests/s", smaller=False),
        ),
    ),
    Paired(
        "durable-16", "4",
        "durable produce, 16 requests of 16 KiB under way; Kafka with flush.messages=1 and its default of threads",
        "d16", 16,
        produce("--batches", 1, "-c", 4, "--in-flight", 4, "--acks", "all"),
        (
            Bar("MB/s", "MB/s", smaller=False, ratio=10.0, limit=0.70, over="disk-16"),
            Bar("p99 ms", "ms", ratio=0.2),
        ),
        configs=_SYNC, default_threads=True,
    ),
    Paired(
        "durable-64", "4",
        "durable produce, 64 requests of 16 KiB under way; Kafka with flush.messages=1 and its default of threads",
        "d64", 16,
        produce("--batches", 1, "-c", 16, "--in-flight", 4, "--acks", "all"),
        (
            Bar("MB/s", "MB/s", smaller=False, ratio=10.0, limit=0.70, over="disk-64"),
            Bar("p99 ms", "ms", ratio=0.2),
        ),
        configs=_SYNC, default_threads=True,
    ),
    Paired(
        "publish-latency", "7", "20,000 records/s of 1 KiB, 16 partitions", "pub", 16,
        latency("--rate", 20_000), _ACK,
    ),
    Paired(
        "end-to-end", "8", "10,000 records/s of 1 KiB, 1 partition, one reader", "e2e", 1,
        latency("--rate", 10_000), _END_TO_END,
    ),
    Paired(
        "fan-out-4", "9", "20 MB/s in, 4 groups read along", "fan", 16, fan_out(4),
        (Bar("CPU-s/GB out", "CPU-s/GB out", ratio=0.7, limit=0.6),),
    ),
    Paired(
        "publish-durable", "7", "5,000 records/s of 1 KiB, 16 partitions; Kafka with flush.messages=1", "pubd", 16,
        latency("--rate", 5_000), _ACK, configs=_SYNC, full_only=True,
    ),
    Paired(
        "publish-5", "7", "5,000 records/s of 1 KiB, 16 partitions", "pub5", 16,
        latency("--rate", 5_000), _ACK, full_only=True,
    ),
    Paired(
        "publish-40", "7", "40,000 records/s of 1 KiB, 16 partitions", "pub40", 16,
        latency("--rate", 40_000), _ACK, full_only=True,
    ),
    Paired(
        "publish-linger", "7", "20,000 records/s of 1 KiB, 16 partitions, linger of 1 ms", "publ", 16,
        latency("--rate", 20_000, "--linger", 0.001), _ACK, full_only=True,
    ),
    Paired(
        "end-to-end-100", "8", "10,000 records/s of 1 KiB, 100 partitions, one reader", "e2e100", 100,
        latency("--rate", 10_000), _END_TO_END, full_only=True,
    ),
    Paired(
        "fan-out-1", "9", "20 MB/s in, one group reads along", "fan1", 16, fan_out(1),
        (Bar("CPU-s/GB out", "CPU-s/GB out", ratio=0.7),), full_only=True,
    ),
    Paired(
        "fan-out-16", "9", "20 MB/s in, 16 groups read along", "fan16", 16, fan_out(16),
        (Bar("CPU-s/GB out", "CPU-s/GB out", ratio=0.7, limit=0.6),), full_only=True,
    ),
)

# What waits for the device, and for nothing else.
LATENCIES = ("publish-latency", "publish-5", "publish-40", "publish-linger", "end-to-end", "end-to-end-100")


def start_up(make: Callable[[Path | None], Broker], times: int) -> Callable[[Path | None], list[Figures]]:
    """From `exec` to the first answer, in an empty directory and again after a clean stop."""

    def run(base: Path | None) -> list[Figures]:
        found = []
        for _ in range(times):
            broker = make(base)
            try:
                first = scale.first_answer(broker)
                broker.process.stop()
                again = scale.first_answer(broker)
            finally:
                broker.discard()
            found.append({"empty ms": first * 1e3, "again ms": again * 1e3})
        return found

    return run


def catch_up(megabytes: int) -> Callable[[Path | None], list[Figures]]:
    """Reading back what is in the bucket only, beside raw reads of the same objects."""

    def run(base: Path | None) -> list[Figures]:
        broker = Esker(base).start()
        try:
            written = cold.cold_topic(broker, "cold", megabytes)
            drop_page_cache()
            raw = machine("get", f"file://{broker.bucket}")
            drop_page_cache()
            broker.start()
            report, cpu = spent(broker, lambda: broker.bench("consume", "cold", "-c", 4))
            gets = metric(broker.metrics(), "bucket_gets")
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
                "GB": written / GB,
            }
        ]

    return run


def recovery(megabytes: int, times: int) -> Callable[[Path | None], list[Figures]]:
    """Starting after a kill with a full write-ahead log, several times with the same one."""

    def run(base: Path | None) -> list[Figures]:
        # Nothing is flushed before the kill.
        late = {"esker.flush.bytes": "4GiB", "esker.flush.ms": "1h"}
        room = {"esker.tail.memory.bytes": "8GiB", "esker.background.memory.bytes": "8GiB"}
        broker = Esker(base, late | room).start()
        try:
            broker.create("log", 16)
            report = broker.bench("produce", "log", "-d", 600, "--bytes", megabytes * 1_000_000, "--acks", 1)
            found = []
            for _ in range(times):
                broker.process.kill()
                took = scale.first_answer(broker)
                found.append({"MB/s": report["bytes"] / took / 1e6, "ms": took * 1e3})
        finally:
            broker.discard()
        return found

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
        null.bench("produce", "t", "-d", 0.5, *LARGE)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        report, cpu = spent(null, lambda: null.bench("produce", "t", "-d", 2, *LARGE))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        generator = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found["null broker MB/s"] = report["bytes"] / report["seconds"] / 1e6
        found["null broker CPU-s/GB"] = cpu / report["bytes"] * GB
        found["generator CPU-s/GB"] = generator / report["bytes"] * GB
        report, cpu = spent(null, lambda: null.bench("produce", "t", "-d", 2, *_SINGLE))
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
        "idle", "16", "nobody there; then 1,000 partitions", scale.idle(Esker, 10), scale.idle(Kafka, 10),
        (
            Bar("RSS MB", "MB", ratio=0.08, limit=25.0),
            Bar("% of a core", "% of a core", ratio=0.1),
            Bar("wake-ups/s", "wake-ups/s", limit=50.0),
            Bar("KB a partition", "KB", limit=10.0),
            Bar("% of a core, 100 readers", "% of a core"),
        ),
    ),
    Single(
        "connections", "18", "1,000 idle connections", scale.connections(Esker, 1000), scale.connections(Kafka, 1000),
        _CONNECTIONS,
    ),
    Single(
        "catch-up", "10", "1 GB read back from the bucket (a directory), nothing in memory", catch_up(1000),
        tiered.catch_up(1000), _CATCH_UP,
    ),
    Single(
        "bucket-cost", "21, 22", "1 GB at 50 MB/s over 100 partitions; Kafka with 16 full segments of 64 MiB",
        bucket_cost(1000, 100), tiered.requests(1074), _BUCKET,
    ),
    Single(
        "connections-9000", "18", "9,000 idle connections", scale.connections(Esker, 9000), scale.connections(Kafka, 9000),
        _CONNECTIONS, full_only=True,
    ),
    Single(
        "catch-up-8", "10", "the same with 8 GB", catch_up(8000), tiered.catch_up(8000), _CATCH_UP, full_only=True,
    ),
    Single(
        "bucket-cost-10", "21, 22", "1 GB at 50 MB/s over 10 partitions", bucket_cost(1000, 10), None, _BUCKET,
        full_only=True,
    ),
    Single(
        "bucket-cost-1000", "21, 22", "1 GB at 50 MB/s over 1,000 partitions", bucket_cost(1000, 1000), None, _BUCKET,
        full_only=True,
    ),
    Single(
        "recovery", "15", "start after kill -9 with 1 GB in the log", recovery(1000, times=3), None,
        (Bar("MB/s", "MB/s", smaller=False, limit=800.0), Bar("ms", "ms")),
        full_only=True,
    ),
    Single(
        "partitions", "17", "10 MB/s over 100, 1,000 and 10,000 partitions",
        scale.partitions_cost(Esker, (100, 1_000, 10_000)), scale.partitions_cost(scale.LargeKafka, (100, 1_000, 10_000)),
        (
            Bar("CPU, many to few", "times", limit=2.0),
            Bar("CPU-s/GB at 100", "CPU-s/GB"),
            Bar("CPU-s/GB at 1,000", "CPU-s/GB"),
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
        "start-1000", "15, 16", "from exec to the first answer with 1,000 partitions, and at rest",
        scale.start_with(Esker, 1000), scale.start_with(scale.RestartedKafka, 1000), _MANY, full_only=True,
    ),
    Single(
        "start-10000", "15, 16", "from exec to the first answer with 10,000 partitions, and at rest",
        scale.start_with(Esker, 10_000), None,
        (
            Bar("after a stop ms", "ms", limit=400.0),
            Bar("after a kill ms", "ms"),
            Bar("RSS MB", "MB", limit=120.0),
            Bar("% of a core", "% of a core", limit=1.0),
            Bar("all metadata ms", "ms"),
        ),
        full_only=True,
    ),
    Single(
        "catch-up-far", "10", "1 GB read back from a MinIO over a line of 200 MB/s and 50 ms, nothing in memory",
        cold.shaped_catch_up(1000, 25, 200), None,
        (Bar("of raw GET", "of raw GET", smaller=False, limit=0.9), Bar("MB/s", "MB/s", smaller=False)),
        full_only=True,
    ),
    Single(
        "cold-beside-tail", "11", "20 MB/s and a reader at the end, while 1 GB of the past is read", cold.beside_tail(1000, 4, 5),
        tiered.beside_tail(1000, 4, 5),
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
