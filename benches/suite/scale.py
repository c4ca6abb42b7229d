"""Scenarios of many: partitions, connections, and readers that wait."""

import contextlib
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from suite.brokers import Broker, Kafka, answers_metadata, ask_for_all_topics, asked_metadata, finish
from suite.figures import GB, Figures
from suite.process import Process, wait_for

Make = Callable[[Path | None], Broker]
Run = Callable[[Path | None], list[Figures]]


class LargeKafka(Kafka):
    """Thousands of partitions want a larger heap."""

    heap = "4g"


class RestartedKafka(Kafka):
    """A broker that was killed is let in again once its session is over: Kafka's own setting, not one for standing still."""

    def defaults(self) -> dict[str, str]:
        return super().defaults() | {"broker.session.timeout.ms": "9000"}


def idle(make: Make, seconds: float) -> Run:
    """Memory and processor time of a broker that nobody uses, empty and with a thousand partitions; then of one whose readers
    wait."""

    def run(base: Path | None) -> list[Figures]:
        broker = make(base).start()
        try:
            time.sleep(2)
            empty = _rest(broker, seconds)
            for number in range(10):
                broker.create(f"idle-{number}", 100)
            time.sleep(2)
            full = _rest(broker, seconds)
            words = ("consume", "idle-0", "-g", 100, "--from-end", "--follow", "-d", seconds + 4)
            reading = broker.bench(*words, wait=False)
            time.sleep(3)
            waited_for = _rest(broker, seconds)
            finish(reading)
        finally:
            broker.discard()
        return [
            {
                "RSS MB": empty["rss"] / 1e6,
                "% of a core": empty["cpu"] * 100,
                "wake-ups/s": empty["wakeups"],
                "KB a partition": (full["rss"] - empty["rss"]) / 1000 / 1e3,
                "% of a core at 1,000": full["cpu"] * 100,
                "% of a core, 100 readers": waited_for["cpu"] * 100,
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


def first_answer(broker: Broker) -> float:
    broker.process = Process(broker.command(), broker.directory / "log", broker.core)
    wait_for("the first answer", lambda: answers_metadata(broker.port), pause=0.0005)
    return time.monotonic() - broker.process.started


def start_with(make: Make, partitions: int) -> Run:
    """From `exec` to the first answer with many partitions, after a clean stop and after a kill; then at rest."""

    def run(base: Path | None) -> list[Figures]:
        broker = make(base).start()
        figures: Figures = {}
        try:
            for number in range(partitions // 1000):
                broker.create(f"many-{number}", 1000)
            for end in ("stop", "kill"):
                getattr(broker.process, end)()
                figures[f"after a {end} ms"] = first_answer(broker) * 1e3
            time.sleep(3)
            rest = _rest(broker, 5)
            times = []
            for _ in range(20):
                began = time.monotonic()
                ask_for_all_topics(broker.port)
                times.append(time.monotonic() - began)
        finally:
            broker.discard()
        figures["RSS MB"] = rest["rss"] / 1e6
        figures["% of a core"] = rest["cpu"] * 100
        figures["all metadata ms"] = statistics.median(times) * 1e3
        return [figures]

    return run


def connections(make: Make, count: int) -> Run:
    """Memory of connections that have asked for metadata, and on which nothing happens any more; and what they cost those on
    which something does."""

    def run(base: Path | None) -> list[Figures]:
        words = ("latency", "active", "--rate", 1000, "-d", 3, "--warm-up", 0.5)
        broker = make(base).start()

        def p99() -> float:
            # Of several, because the machine stands still at times.
            takes = [broker.bench(*words)["request_latency"]["p99"] / 1e3 for _ in range(3)]
            return statistics.median(takes)

        with contextlib.ExitStack() as held:
            try:
                broker.create("active", 1)
                # A virtual machine takes its time to be warm.
                broker.bench(*words)
                alone = p99()
                time.sleep(1)
                before, began = broker.memory(), time.monotonic()
                for _ in range(count):
                    held.enter_context(asked_metadata(broker.port))
                took = time.monotonic() - began
                time.sleep(2)
                after = broker.memory()
                beside = p99()
            finally:
                broker.discard()
        return [
            {
                "KB a connection": max(after - before, 1) / count / 1e3,
                "connects/s": count / took,
                "ack p99 ms beside": beside,
                "ack p99, beside to alone": beside / alone,
            }
        ]

    return run


def partitions_cost(make: Make, counts: tuple[int, ...]) -> Run:
    """CPU at 10 MB/s over few and over many partitions."""

    def run(base: Path | None) -> list[Figures]:
        broker = make(base).start()
        figures: Figures = {}
        try:
            for count in counts:
                topics = max(1, count // 1000)
                began = time.monotonic()
                for number in range(topics):
                    broker.create(f"n{count}-{number}", min(count, 1000))
                figures[f"create {count:,} s"] = time.monotonic() - began
                before = broker.process.cpu()
                words = ("-d", 8, "--rate", 10e6 / topics, "--batches", 10, "--batch", 4, "-c", 1, "--acks", 1)
                running = [
                    broker.bench("produce", f"n{count}-{number}", *words, wait=False) for number in range(topics)
                ]
                total = sum(finish(one)["bytes"] for one in running)
                figures[f"CPU-s/GB at {count:,}"] = (broker.process.cpu() - before) / total * GB
        finally:
            broker.discard()
        few, many = (figures[f"CPU-s/GB at {count:,}"] for count in (counts[0], counts[-1]))
        return [figures | {"CPU, many to few": many / few}]

    return run
