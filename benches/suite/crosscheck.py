"""The same question to other people's generators, so that nobody has to trust ours.

`rdkafka_performance` is built from the sources that come with the crate rdkafka-sys, which the conformance suites build
(`tests/run` has set them up); $RDKAFKA_PERFORMANCE names one that is there already. `ProducerPerformance` is Apache Kafka's.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from suite import process
from suite.brokers import Broker, java
from suite.figures import GB, Figures
from suite.process import cores

SIZE = 1024


def rdkafka_performance(directory: Path) -> Path | None:
    """The program, built into `directory` unless it is there already; `None` without its sources."""
    if os.environ.get("RDKAFKA_PERFORMANCE"):
        return Path(os.environ["RDKAFKA_PERFORMANCE"])
    cache = Path(os.environ.get("ESKER_TEST_CACHE", Path.home() / ".cache" / "esker-tests"))
    for source in sorted(cache.glob("rust/*/build/rdkafka-sys-*/out/examples/rdkafka_performance.c")):
        out, built = source.parents[1], directory / "rdkafka_performance"
        zstd = [str(path) for path in cache.glob("rust/*/build/zstd-sys-*/out/libzstd.a")][:1]
        command = ["cc", "-O2", f"-I{out}", f"-I{out / 'src'}", "-o", str(built), str(source), str(out / "src" / "librdkafka.a")]
        command += [*(zstd or ["-lzstd"]), "-lm", "-lz", "-ldl", "-lpthread", "-lrt"]
        if subprocess.run(command, capture_output=True).returncode == 0:
            return built
    return None


def cross_check(make: Callable[[Path | None], Broker], megabytes: int) -> Callable[[Path | None], list[Figures]]:
    """Producing 1 KiB records with librdkafka's generator and with Apache Kafka's, acks=1, linger 5 ms."""

    def run(base: Path | None) -> list[Figures]:
        records = megabytes * 1_000_000 // SIZE
        broker = make(base).start()
        figures: Figures = {}
        try:
            broker.create("cross", 16)
            with tempfile.TemporaryDirectory(dir=base) as directory:
                program = rdkafka_performance(Path(directory))
                if program is not None:
                    words = ["-P", "-t", "cross", "-s", SIZE, "-c", records, "-a", 1, "-b", broker.address, "-q"]
                    command = [str(program), *words, "-X", "linger.ms=5"]
                    _measure(broker, "rdkafka", command, r"and ([\d.]+) MB/s", 1.0, records, figures)
            words = ["--topic", "cross", "--num-records", records, "--record-size", SIZE, "--throughput", -1]
            words += ["--bootstrap-server", broker.address, "--command-property", "acks=1", "linger.ms=5", "batch.size=65536"]
            command = [*java("512m"), "org.apache.kafka.tools.ProducerPerformance", *words]
            _measure(broker, "kafka-tools", command, r"sent, .*?\(([\d.]+) MB/sec\)", 1.048576, records, figures)
        finally:
            broker.discard()
        return [figures]

    return run


def _measure(
    broker: Broker, name: str, command: list, pattern: str, megabyte: float, records: int, figures: Figures
) -> None:
    # The first round also warms a Java broker up.
    for _ in range(2):
        before = broker.process.cpu()
        words = [*process.policy, "taskset", "-c", cores()[1], *map(str, command)]
        done = subprocess.run(words, capture_output=True, text=True)
        found = re.findall(pattern, done.stdout + done.stderr)
        if done.returncode or not found:
            raise RuntimeError(f"{' '.join(words)}: {(done.stdout + done.stderr)[-1000:]}")
        figures[f"{name} MB/s"] = float(found[-1]) * megabyte
        figures[f"{name} CPU-s/GB"] = (broker.process.cpu() - before) / (records * SIZE) * GB
