"""Scenarios that read what is only in the bucket."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from harness.ports import free_port
from suite.brokers import Broker, Esker, finish, program
from suite.figures import GB, Figures, metric, spent
from suite.process import Process, cores, drop_page_cache, wait_for


def cold_topic(broker: Broker, topic: str, megabytes: int) -> int:
    """A topic whose records are in the bucket, and its broker stopped; answers their bytes."""
    broker.create(topic, 16)
    written = broker.bench("produce", topic, "-d", 600, "--bytes", megabytes * 1_000_000, "--acks", 1)
    broker.admin("/v1/tier/flush", "POST")
    broker.process.stop()
    return written["bytes"]


def consume(broker: Broker, topic: str) -> tuple[float, float, int]:
    """Reads a topic once: MB/s, CPU-s/GB, bytes."""
    report, cpu = spent(broker, lambda: broker.bench("consume", topic, "-c", 4))
    return report["bytes"] / report["seconds"] / 1e6, cpu / report["bytes"] * GB, report["bytes"]


def raw(url: str, environment: dict[str, str], depth: int = 8) -> float:
    """MB/s of bare ranged reads of the same objects, on the core that is not the broker's."""
    command = ["taskset", "-c", cores()[1], program("esker-machine"), "get", url, "--depth", str(depth)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise RuntimeError(f"esker-machine get {url}: {done.stderr}")
    return json.loads(done.stdout)["mb_per_second"]


class Far:
    """A MinIO of this machine behind a slow line."""

    def __init__(self, directory: Path, ms: float, mb_per_second: float) -> None:
        server, self.port = free_port(), free_port()
        # A directory that is there when it starts is a bucket.
        (directory / "minio" / "bucket").mkdir(parents=True)
        minio = [_minio(), "server", "--quiet", "--address", f"127.0.0.1:{server}", str(directory / "minio")]
        line = [program("esker-machine"), "line", f"127.0.0.1:{self.port}", f"127.0.0.1:{server}"]
        line += ["--ms", str(ms), "--mb-per-second", str(mb_per_second)]
        root = {"MINIO_ROOT_USER": "bench", "MINIO_ROOT_PASSWORD": "bench-secret", "MINIO_BROWSER": "off"}
        self.processes = [
            Process(minio, directory / "minio.log", cores()[1], root),
            Process(line, directory / "line.log", cores()[1]),
        ]
        self.url = "s3://bucket/prefix"
        self.environment = {
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench-secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
        }
        wait_for("MinIO", lambda: _answers(f"http://127.0.0.1:{server}/minio/health/live"))
        wait_for("the line", lambda: _listens(self.port))

    def stop(self) -> None:
        for process in self.processes:
            process.kill()


def _minio() -> str:
    home = Path.home()
    kept = [home / "go" / "bin" / "minio", home / ".cache" / "esker-tests" / "bin" / "minio"]
    places = [os.environ.get("ESKER_MINIO"), shutil.which("minio"), *map(str, kept)]
    for place in places:
        if place and os.access(place, os.X_OK):
            return place
    raise RuntimeError("there is no MinIO: `tests/run` installs one, or name yours in ESKER_MINIO")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class FarEsker(Esker):
    """Esker whose bucket is a far S3."""

    def __init__(self, base: Path | None, far: Far) -> None:
        super().__init__(base)
        self.far = far
        self.environment = far.environment

    def command(self) -> list[str]:
        return [*super().command(), "--bucket", self.far.url]


def shaped_catch_up(megabytes: int, ms: float, mb_per_second: float) -> Callable[[Path | None], list[Figures]]:
    """Reading back over a line of some latency and bandwidth, beside bare reads over the same line."""

    def run(base: Path | None) -> list[Figures]:
        with tempfile.TemporaryDirectory(dir=base) as directory:
            far = Far(Path(directory), ms, mb_per_second)
            try:
                broker = FarEsker(base, far).start()
                try:
                    cold_topic(broker, "far", megabytes)
                    bare = raw(far.url, far.environment)
                    broker.start()
                    rate, cpu, _ = consume(broker, "far")
                finally:
                    broker.discard()
            finally:
                far.stop()
        return [{"MB/s": rate, "of raw GET": rate / bare, "CPU-s/GB": cpu, "raw MB/s": bare}]

    return run


def beside_tail(megabytes: int, seconds: float, times: int) -> Callable[[Path | None], list[Figures]]:
    """20 MB/s with a reader at the end, alone and while somebody reads the past."""

    def prepared(base: Path | None) -> Broker:
        broker = Esker(base).start()
        cold_topic(broker, "past", megabytes)
        return broker.start()

    return beside_tail_of(prepared, seconds, times)


def beside_tail_of(
    prepared: Callable[[Path | None], Broker], seconds: float, times: int
) -> Callable[[Path | None], list[Figures]]:
    """The same with a broker whose topic `past` is not in its memory."""

    def run(base: Path | None) -> list[Figures]:
        words = ("latency", "tail", "--rate", 20_000, "-d", seconds, "--warm-up", 0.5)
        broker = prepared(base)
        try:
            broker.create("tail", 16)
            # A virtual machine takes its time to be warm.
            for _ in range(3):
                broker.bench(*words)
            return [_alone_and_beside(broker, words) for _ in range(times)]
        finally:
            broker.discard()

    return run


def _alone_and_beside(broker: Broker, words: tuple) -> Figures:
    alone = broker.bench(*words)
    tail = broker.bench(*words, wait=False)
    time.sleep(0.5)
    read = 0
    while tail.poll() is None:
        rate, _, count = consume(broker, "past")
        read += count
    beside = finish(tail)
    figures: Figures = {"cold MB/s": rate, "cold GB": read / GB}
    for name, report in (("alone", alone), ("beside", beside)):
        figures[f"tail p99 ms, {name}"] = report["end_to_end_latency"]["p99"] / 1e3
        figures[f"longest ack ms, {name}"] = report["request_latency"]["max"] / 1e3
    before, after = figures["tail p99 ms, alone"], figures["tail p99 ms, beside"]
    figures["tail p99, beside to alone"] = after / before
    # Where the past is not felt at all, less than a tenth of a millisecond is chance.
    figures["tail p99 ms, added"] = max(after - before, 0.1)
    return figures


def replay(megabytes: int) -> Callable[[Path | None], list[Figures]]:
    """A second group reads what the first one has just read from the bucket."""

    def run(base: Path | None) -> list[Figures]:
        # The disk holds all of it, with room; memory does not.
        broker = Esker(base, {"esker.cache.memory.bytes": "64MiB", "esker.cache.disk.bytes": "4GiB"}).start()
        try:
            cold_topic(broker, "again", megabytes)
            drop_page_cache()
            bare = raw(f"file://{broker.bucket}", {})
            broker.start()
            first, _, _ = consume(broker, "again")
            # The chunks that are still on their way to the disk are no part of what is measured.
            time.sleep(2)
            before = broker.metrics()
            rate, cpu, count = consume(broker, "again")
            after = broker.metrics()
        finally:
            broker.discard()
        gets = metric(after, "bucket_gets") - metric(before, "bucket_gets")
        return [
            {
                "MB/s": rate,
                "of raw GET": rate / bare,
                "CPU-s/GB": cpu,
                "GET/GB": gets / count * GB,
                "first MB/s": first,
            }
        ]

    return run
