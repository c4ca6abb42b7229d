"""Apache Kafka with tiered storage: its own plugin, which keeps what is remote in a directory, as Esker's bucket is here."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from suite.brokers import Kafka, kafka_version, libs, program
from suite.cold import beside_tail_of, consume
from suite.figures import GB, Figures
from suite.process import drop_page_cache, wait_for

# Esker's objects are of this size as well.
SEGMENT_BYTES = 64 << 20


def _plugin() -> Path:
    """The jar that has the plugin. It is no part of what a broker needs, and is kept apart."""
    version = kafka_version()
    name, home = f"kafka-storage-{version}-test.jar", libs().parent / "tiered"
    if not (home / name).exists():
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
        what = f"-Dartifact=org.apache.kafka:kafka-storage:{version}:jar:test"
        subprocess.run(["mvn", "-q", "-B", goal, what, f"-DoutputDirectory={home}"], check=True)
    return home / name


class TieredKafka(Kafka):
    """Closed segments go to a directory at once, and leave the local log."""

    def defaults(self) -> dict[str, str]:
        return super().defaults() | {
            "remote.log.storage.system.enable": "true",
            "remote.log.storage.manager.class.name": "org.apache.kafka.server.log.remote.storage.LocalTieredStorage",
            "remote.log.metadata.manager.listener.name": "PLAINTEXT",
            "rlmm.config.remote.log.metadata.topic.replication.factor": "1",
            "rlmm.config.remote.log.metadata.topic.num.partitions": "1",
            "rsm.config.dir": str(self.remote),
            "remote.log.manager.task.interval.ms": "500",
            "log.retention.check.interval.ms": "500",
            "log.initial.task.delay.ms": "500",
        }

    def command(self) -> list[str]:
        # The jar of the plugin brings settings for logs with it, which are meant for Kafka's own tests.
        settings = self.directory / "log4j2.properties"
        settings.write_text("rootLogger.level=warn\n")
        words = super().command()
        place = words.index("-cp") + 1
        classes = f"{words[place]}:{_plugin()}"
        return [*words[:place], classes, f"-Dlog4j2.configurationFile={settings}", *words[place + 1 :]]

    @property
    def remote(self) -> Path:
        return self.directory / "remote"

    def cold_topic(self, topic: str, megabytes: int) -> None:
        """A topic whose records are remote, all but one of each partition."""
        segment = str(SEGMENT_BYTES)
        self.create(topic, 16, remote_storage_enable="true", local_retention_bytes="1", segment_bytes=segment)
        self.bench("produce", topic, "-d", 600, "--bytes", megabytes * 1_000_000, "--acks", 1)
        self.set(topic, "segment.ms", "500")
        time.sleep(1)
        # A segment is closed by the record that comes after its time.
        self._takes(topic, 16)
        self.set(topic, "segment.ms", str(7 * 24 * 3_600_000))
        most = megabytes * 1_000_000 // 100
        wait_for(f"{topic} to be remote", lambda: self._local(topic) < most, 120, 0.5)

    def set(self, topic: str, name: str, value: str) -> None:
        command = [program("esker"), "topic", "alter", topic, "-s", f"{name}={value}", "--brokers", self.address]
        subprocess.run(command, check=True, capture_output=True)

    def _local(self, topic: str) -> int:
        return sum(path.stat().st_size for path in (self.directory / "data").glob(f"{topic}-*/*.log") if path.exists())


def catch_up(megabytes: int) -> Callable[[Path | None], list[Figures]]:
    """Reading back what is remote only."""

    def run(base: Path | None) -> list[Figures]:
        broker = TieredKafka(base).start()
        try:
            broker.cold_topic("cold", megabytes)
            drop_page_cache()
            rate, cpu, count = consume(broker, "cold")
        finally:
            broker.discard()
        return [{"MB/s": rate, "CPU-s/GB": cpu, "GB": count / GB}]

    return run


def requests(megabytes: int) -> Callable[[Path | None], list[Figures]]:
    """Files that are put for what is written: the segment, and what belongs to it. Fewer partitions than Esker has in the
    same scenario, so that each fills a segment of the size of Esker's objects, are to Kafka's advantage."""

    def run(base: Path | None) -> list[Figures]:
        broker = TieredKafka(base).start()
        try:
            broker.cold_topic("cost", megabytes)
            stored = [path for path in broker.remote.rglob("*") if path.is_file()]
            # A segment of what made sure that the partition has a leader, or closed the one before, is none of the scenario's.
            kept = sum(path.stat().st_size > SEGMENT_BYTES // 4 for path in stored)
            each = len(stored) / sum(path.suffix == ".log" for path in stored)
        finally:
            broker.discard()
        return [{"PUT/GB": kept * each / (megabytes / 1e3)}]

    return run


def beside_tail(megabytes: int, seconds: float, times: int) -> Callable[[Path | None], list[Figures]]:
    """20 MB/s with a reader at the end, alone and while somebody reads what is remote."""

    def prepared(base: Path | None) -> TieredKafka:
        broker = TieredKafka(base).start()
        broker.cold_topic("past", megabytes)
        drop_page_cache()
        return broker

    return beside_tail_of(prepared, seconds, times)
