"""Programs that the suites drive, and where they were found or built.

`tests/run` installs them and says where by the variables below; a suite whose tool is missing is skipped with
the reason, and the runner repeats those reasons at its end.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

COMMAND_PATIENCE_S = 90.0


def cache_dir() -> Path:
    """Where downloads and builds of the suites live, outside the checkout."""
    chosen = os.environ.get("ESKER_TEST_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "esker-tests"


def require_program(name: str) -> str:
    """The path of a program on PATH."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed", allow_module_level=True)
    return found


def require_built(relative: str, made_by: str) -> Path:
    """A file that the runner builds in the cache."""
    path = cache_dir() / relative
    if not path.exists():
        pytest.skip(f"{path} is missing: {made_by}", allow_module_level=True)
    return path


def kafka_libs() -> Path | None:
    """The directory with the jars of Apache Kafka."""
    chosen = os.environ.get("KAFKA_LIBS")
    path = Path(chosen) if chosen else cache_dir() / "kafka" / "libs"
    return path if any(path.glob("kafka_2.13-*.jar")) else None


def java_command(main: str, heap: str = "256m") -> list[str]:
    """How to run a class of Apache Kafka."""
    java, libs = shutil.which("java"), kafka_libs()
    if java is None or libs is None:
        pytest.skip("Java or the jars of Apache Kafka are missing", allow_module_level=True)
    return [
        java,
        f"-Xmx{heap}",
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        f"{libs}/*",
        main,
    ]


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def run(
    command: list[str],
    stdin: str | bytes | None = None,
    patience_s: float = COMMAND_PATIENCE_S,
    env: dict[str, str] | None = None,
    may_fail: bool = False,
) -> Outcome:
    """Runs a command to its end; a non-zero exit fails the test with both outputs unless `may_fail`."""
    data = stdin.encode() if isinstance(stdin, str) else (stdin or b"")
    done = subprocess.run(
        command, input=data, capture_output=True, timeout=patience_s, check=False, env={**os.environ, **(env or {})}
    )
    outcome = Outcome(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    assert may_fail or outcome.code == 0, (
        f"{' '.join(command)}\nended with {outcome.code}\n--- out\n{outcome.out}\n--- err\n{outcome.err}"
    )
    return outcome
