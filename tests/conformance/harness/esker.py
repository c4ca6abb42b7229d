"""An Esker broker as a process."""

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import buckets, log_check
from harness.child import Child
from harness.ports import free_port
from harness.waiting import wait_for

REPOSITORY = Path(__file__).resolve().parents[3]


def find_program() -> Path:
    """The binary under test: `ESKER_BIN`, else what cargo built last."""
    chosen = os.environ.get("ESKER_BIN")
    if chosen:
        return Path(chosen)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    built = [path for profile in ("release", "debug") if (path := target / profile / "esker").exists()]
    if not built:
        pytest.exit("no esker program: build it with `cargo build -p esker-server`, or set ESKER_BIN", 2)
    return max(built, key=lambda path: path.stat().st_mtime)


class Esker:
    """One broker on a data directory and a bucket of its own."""

    name = "esker"

    def __init__(self, directory: Path, backend: str, settings: dict[str, str]) -> None:
        self._log = directory / "esker.log"
        self.admin = f"127.0.0.1:{free_port()}"
        self.bootstrap = f"127.0.0.1:{free_port()}"
        self._bucket = buckets.open_bucket(backend, directory)
        self.bucket_url = self._bucket.url
        self.bucket_env = self._bucket.env
        self.data_dir = directory / "data"
        self._command = [
            str(find_program()),
            "dev",
            *("--data-dir", str(self.data_dir)),
            *("--kafka-addr", self.bootstrap),
            *("--admin-addr", self.admin),
            *("--bucket", self._bucket.url),
            # Its port is the same for all.
            *("--set", "esker.otlp.http.listener="),
            *(word for name, value in settings.items() for word in ("--set", f"{name}={value}")),
        ]
        self._process = self._start()

    def _start(self) -> Child:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ESKER_"))}
        env |= self._bucket.env | {"ESKER_LOG_FORMAT": "json"}
        process = Child(self._command, self._log, env)

        def ready() -> bool:
            process.require_alive()
            try:
                return self.ask("GET", "/readyz") == "ok\n"
            except (urllib.error.URLError, OSError):
                return False

        wait_for(ready, "the broker to be ready")
        return process

    def ask(self, method: str, path: str) -> str:
        """What the admin interface answers."""
        request = urllib.request.Request(f"http://{self.admin}{path}", method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()

    def tier_status(self) -> dict[str, object]:
        """What `GET /v1/tier/status` says."""
        return json.loads(self.ask("GET", "/v1/tier/status"))

    def flush(self) -> None:
        """Brings everything that is committed into the bucket."""
        self.ask("POST", "/v1/tier/flush")

    def restart(self) -> None:
        """Stops the broker in an orderly way and starts it on the same directory, bucket and ports."""
        assert self._process.stop() == 0, self._process.log_end()
        self._process = self._start()

    def crash(self) -> None:
        """Kills the broker without a warning and starts it again."""
        self._process.kill()
        self._process = self._start()

    def pause(self) -> None:
        """The process does nothing more; its connections stay open. `crash` brings it back."""
        self._process.send(signal.SIGSTOP)

    def make_cold(self) -> None:
        self.flush()
        self.restart()
        self.ask("POST", "/v1/cache/clear")
        status = self.tier_status()
        # Nothing in memory, nothing unflushed: what a consumer gets now was read back from the bucket.
        assert status["unflushed_bytes"] == 0, status
        assert status["tail_memory_bytes"] == 0, status
        assert status["tiered_bytes"], status

    def warmths(self) -> Iterator[str]:
        yield "hot"
        self.make_cold()
        yield "cold"

    def stop(self) -> None:
        try:
            code = self._process.stop()
        finally:
            self._bucket.stop()
        assert code == 0, f"the broker ended with {code}:\n{self._process.log_end()}"
        complaints = log_check.complaints(self._log)
        assert not complaints, "the broker complained:\n" + "\n".join(complaints)

    def discard(self) -> None:
        """Ends everything without judging it."""
        self._process.kill()
        self._bucket.stop()
