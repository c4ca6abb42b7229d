"""Whether the machine is quiet enough, asked before each block: what a busy one does is no figure of a broker."""

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

from suite import process
from suite.process import cores

# The worst that counts as quiet.
PIPE_P99_US = 200.0
SYNC_P50_US = 150.0
SYNC_P99_US = 500.0
COPY_GB_PER_SECOND = 25.0
# A synced write of 16 KiB that takes longer is a stall of the device.
STALL_MS = 15.0
# How long the device is watched for them, before and after a run.
STALLS_S = 20.0
# With fewer quiet pairs than this, the others count as well.
QUIET_PAIRS_MIN = 4

# Longest look at one of them.
LOOK_S = 0.1
_BYTES = 16 << 10
_PAGES = 64
_ECHO = "import os\nwhile (byte := os.read(0, 1)): os.write(1, byte)"


class Canary:
    """A pipe to another core, a file that is written and synced, and a piece of memory that is copied."""

    def __init__(self, base: Path | None) -> None:
        words = [*process.policy, "taskset", "-c", cores()[0], sys.executable, "-c", _ECHO]
        self.echo = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self.path = Path(base or "/tmp") / f"canary-{os.getpid()}"
        self.file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.write(self.file, bytes(_BYTES * _PAGES))
        os.fsync(self.file)
        self.page = mmap.mmap(-1, _BYTES)
        try:
            direct = os.open(self.path, os.O_RDWR | os.O_DIRECT)
            os.pwrite(direct, self.page, 0)
            os.close(self.file)
            self.file = direct
        except OSError:
            pass  # A file system without direct writing: the copy through the page cache is short.
        self.from_, self.to = memoryview(bytearray(1 << 20)), memoryview(bytearray(1 << 20))

    def look(self) -> dict[str, float]:
        pipe = _times(200, lambda _: (os.write(self.echo.stdin.fileno(), b"x"), os.read(self.echo.stdout.fileno(), 1)))
        sync = _times(100, lambda turn: (os.pwrite(self.file, self.page, turn % _PAGES * _BYTES), os.fdatasync(self.file)))

        def copy(_: int) -> None:
            self.to[:] = self.from_

        copies = _times(100, copy)
        return {
            "pipe p99 µs": _at(pipe, 0.99),
            "sync p50 µs": _at(sync, 0.5),
            "sync p99 µs": _at(sync, 0.99),
            "copy GB/s": (1 << 20) / _at(copies, 0.5) / 1e3,
        }

    def wait(self, tries: int = 3) -> dict[str, float]:
        """Looks until the machine is quiet, a few times at most, with nothing of earlier blocks left to be written back."""
        os.sync()
        for left in reversed(range(tries)):
            found = self.look()
            if is_quiet(found) or not left:
                return found
            time.sleep(0.3)
        raise AssertionError("the last try returns")

    def stalls(self, seconds: float) -> dict[str, float]:
        """How often the device stands still by itself, with nobody else at work: a small write and its sync every 5 ms."""
        times = []
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            os.pwrite(self.file, self.page, len(times) % _PAGES * _BYTES)
            os.fdatasync(self.file)
            times.append((time.perf_counter() - began) * 1e3)
            time.sleep(0.005)
        count = sum(took > STALL_MS for took in times)
        return {"stalls a minute": count / seconds * 60, "longest stall ms": max(times)}

    def close(self) -> None:
        self.echo.kill()
        self.echo.wait()
        os.close(self.file)
        self.path.unlink(missing_ok=True)


def is_quiet(found: dict[str, float]) -> bool:
    return (
        found["pipe p99 µs"] < PIPE_P99_US
        and found["sync p50 µs"] < SYNC_P50_US
        and found["sync p99 µs"] < SYNC_P99_US
        and found["copy GB/s"] > COPY_GB_PER_SECOND
    )


def _times(count: int, work) -> list[float]:
    """Microseconds of each of `count` rounds, ascending; fewer where they take long."""
    found: list[float] = []
    end = time.perf_counter() + LOOK_S
    for turn in range(count):
        if found and time.perf_counter() > end:
            break
        began = time.perf_counter()
        work(turn)
        found.append((time.perf_counter() - began) * 1e6)
    return sorted(found)


def _at(found: list[float], quantile: float) -> float:
    return found[min(len(found) - 1, int(len(found) * quantile))]
