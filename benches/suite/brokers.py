"""What is measured: Esker, Apache Kafka, and a broker that does nothing."""

import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from harness.kafka_node import CLUSTER_ID, write_config
from harness.ports import free_port
from suite import process
from suite.process import Process, cores, wait_for

ROOT = Path(__file__).resolve().parents[2]
# Metadata of no topic, and of all.
_METADATA = struct.pack(">hhihi", 3, 1, 1, -1, 0)
_METADATA_OF_ALL = struct.pack(">hhihi", 3, 1, 1, -1, -1)


def program(name: str) -> str:
    """A program of ours, built for release."""
    chosen = os.environ.get("ESKER_BIN_DIR")
    target = Path(chosen) if chosen else Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    path = target / name
    if not path.exists():
        raise SystemExit(f"{path} is missing: cargo build --release -p esker-server -p esker-machine")
    return str(path)


def asked_metadata(port: int) -> socket.socket:
    """A connection on which a broker has answered a request for metadata."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    try:
        _ask(connection, _METADATA)
        return connection
    except BaseException:
        connection.close()
        raise


def ask_for_all_topics(port: int) -> None:
    """Metadata of all topics, over a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        _ask(connection, _METADATA_OF_ALL)


def _ask(connection: socket.socket, request: bytes) -> None:
    connection.sendall(struct.pack(">i", len(request)) + request)
    with connection.makefile("rb") as answers:
        prefix = answers.read(4)
        if len(prefix) < 4:
            raise ConnectionError("closed without an answer")
        length = struct.unpack(">i", prefix)[0]
        answer = answers.read(length)
    if len(answer) < length:
        raise ConnectionError("closed in the middle of an answer")
    if struct.unpack(">i", answer[:4])[0] != 1:
        raise ConnectionError("this is the answer to another request")


def answers_metadata(port: int) -> bool:
    """Whether a broker answers a request for metadata."""
    try:
        asked_metadata(port).close()
        return True
    except OSError:
        return False


class Broker:
    """A broker in a directory of its own."""

    name = ""
    title = ""

    def __init__(self, base: Path | None = None, settings: dict[str, str] | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-", dir=base))
        self.settings = settings or {}
        self.port = free_port()
        self.process: Process | None = None
        self.environment: dict[str, str] = {}
        self.core = cores()[0]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> "Broker":
        self.process = Process(self.command(), self.directory / "log", self.core, self.environment)
        try:
            wait_for(f"{self.title} to answer", lambda: not self.process.alive() or answers_metadata(self.port))
            if not self.process.alive():
                raise RuntimeError((self.directory / "log").read_text()[-2000:])
        except BaseException:
            self.discard()
            raise
        return self

    def create(self, topic: str, partitions: int, **configs: str) -> None:
        words = [word for key, value in configs.items() for word in ("-c", f"{key.replace('_', '.')}={value}")]
        done = subprocess.run(
            [program("esker"), "topic", "create", topic, "-p", str(partitions), "-r", "1", *words]
            + ["--brokers", self.address, "--timeout", "120"],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"create {topic}: {done.stderr}")
        wait_for(f"{topic} to be led", lambda: self._takes(topic, partitions), 30, 0.2)

    def _takes(self, topic: str, partitions: int) -> bool:
        """Whether every partition takes a record: Kafka answers before its partitions have leaders."""
        try:
            self.bench("produce", topic, "-s", 8, "--batch", 1, "--batches", partitions, "-c", 1, "--bytes", 1)
        except RuntimeError:
            return False
        return True

    def delete(self, topic: str) -> None:
        subprocess.run(
            [program("esker"), "topic", "delete", topic, "-y", "--brokers", self.address],
            capture_output=True,
        )

    def bench(self, *words: object, wait: bool = True):
        """Runs `esker bench` against it, on the other core. The report, or the process."""
        # A generator that keeps a timetable looks at the clock all the time; under a real-time policy the kernel would stop
        # it for 50 ms in every second.
        policy = ["nice", "-n", "-20"] if process.policy and words[0] == "latency" else process.policy
        command = [*policy, "taskset", "-c", cores()[1], program("esker"), "bench", "--brokers", self.address]
        command += [*map(str, words), "-o", "json"]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return finish(running) if wait else running

    def memory(self) -> int:
        """Bytes that it keeps."""
        return self.process.rss()

    def discard(self) -> None:
        if self.process is not None and self.process.alive():
            self.process.resume()
            self.process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def finish(running: subprocess.Popen) -> dict:
    """The report of a generator that was started before."""
    out, problem = running.communicate()
    if running.returncode:
        raise RuntimeError(f"{' '.join(running.args)}: {problem.strip()}")
    return json.loads(out)


class Esker(Broker):
    name, title = "esker", "Esker"

    def __init__(self, base: Path | None = None, settings: dict[str, str] | None = None) -> None:
        super().__init__(base, settings)
        self.admin_port = free_port()

    def command(self) -> list[str]:
        words = [word for name, value in self.settings.items() for word in ("--set", f"{name}={value}")]
        return [
            *[program("esker"), "dev", "--data-dir", str(self.directory / "data")],
            *["--kafka-addr", self.address, "--admin-addr", f"127.0.0.1:{self.admin_port}", *words],
        ]

    def version(self) -> str:
        commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
        return f"Esker at {commit.stdout.strip()}"

    def admin(self, path: str, method: str = "GET") -> str:
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin_port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=600) as answer:
            return answer.read().decode()

    def metrics(self) -> dict[str, float]:
        rows = (line.rsplit(" ", 1) for line in self.admin("/metrics").splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in rows}

    @property
    def bucket(self) -> Path:
        return self.directory / "data" / "bucket"


class Kafka(Broker):
    """One KRaft node, tuned as its own documentation advises for one small machine."""

    name, title = "kafka", "Apache Kafka"
    heap = "1g"

    def __init__(self, base: Path | None = None, settings: dict[str, str] | None = None) -> None:
        super().__init__(base, settings)
        tuned = self.defaults() | self.settings
        self._config = write_config(self.directory, self.address, free_port(), tuned)
        subprocess.run(
            [*java("256m"), "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(self._config)],
            check=True,
            capture_output=True,
        )

    def defaults(self) -> dict[str, str]:
        return {
            "num.network.threads": "2",
            "num.io.threads": "2",
            "log.segment.delete.delay.ms": "100",
            "group.initial.rebalance.delay.ms": "0",
            # It stands still while others have their turn, and would take that for its own death.
            "broker.session.timeout.ms": "3600000",
        }

    def command(self) -> list[str]:
        return [*java(self.heap), "kafka.Kafka", str(self._config)]

    def memory(self) -> int:
        """What is alive in the heap: the heap itself is set aside in advance."""
        command = ["jcmd", str(self.process.pid), "GC.class_histogram"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return int(done.stdout.strip().splitlines()[-1].split()[2])

    def version(self) -> str:
        return f"Apache Kafka {kafka_version()}, G1, {self.heap} heap, 2 network and 2 I/O threads where nothing else is said"


def libs() -> Path:
    chosen = os.environ.get("KAFKA_LIBS")
    cache = Path(os.environ.get("ESKER_TEST_CACHE", Path.home() / ".cache" / "esker-tests"))
    libs = Path(chosen) if chosen else cache / "kafka" / "libs"
    if not any(libs.glob("kafka_2.13-*.jar")):
        raise SystemExit(f"no jars of Apache Kafka in {libs}: see the head of benches/run")
    return libs


def kafka_version() -> str:
    return next(libs().glob("kafka_2.13-*.jar")).stem.rsplit("-", 1)[1]


def java(heap: str) -> list[str]:
    """The beginning of a command that runs one of Apache Kafka's programs."""
    return [
        *["java", f"-Xms{heap}", f"-Xmx{heap}", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"],
        *["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{libs()}/*"],
    ]


class Null(Broker):
    name, title = "null", "a broker that does nothing"

    def command(self) -> list[str]:
        return [program("esker-machine"), "null", "--address", self.address]
